//! Checks of a prompt's answers: those of its suite, and two built-in ones. Outcomes follow from the run record alone,
//! so the same record gives the same outcomes. `docs/prompts.md` describes each kind.
//!
//! A check reports what a program can see, not whether an answer is good. There is no score.

mod answer;
mod ending;
mod json;
mod outcome;
mod python;
mod repetition;
mod same_text;
mod sections;
mod text;
mod words;

use crate::inputs::prompts::Check;
use crate::record::{ModelRecord, PromptRecord, SuiteRecord};
use answer::Answer;
use outcome::{Finding, Judge, summed_up};

pub use outcome::{Outcome, Verdict};

/// The outcomes of one prompt: `not truncated` if the suite lets answers end early, `same text`, and the suite's checks
/// in their order.
///
/// Only samples are judged, neither warm-up nor rejected inferences. With pseudo-random weights or without a sample, no
/// check is applicable.
pub fn outcomes(model: &ModelRecord, suite: &SuiteRecord, prompt: &PromptRecord) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    if !suite.ignore_eos {
        outcomes.push(ending::outcome(prompt));
    }
    outcomes.push(same_text::outcome(prompt));
    // Greedy answers are mostly alike, so each distinct text is judged once.
    let texts: Vec<&str> = prompt
        .samples
        .iter()
        .map(|sample| &*sample.inference.text)
        .collect();
    let answers = Answer::distinct(&texts);
    outcomes.extend(prompt.checks.iter().map(|check| {
        let (name, judge) = prepared(check);
        let findings: Vec<(Finding, usize)> = answers
            .iter()
            .map(|(answer, count)| (judge(answer), *count))
            .collect();
        summed_up(name, &findings)
    }));
    let unjudged = if model.random_weights {
        Some("random weights: the text is not judged")
    } else if prompt.samples.is_empty() {
        Some("no sample was taken")
    } else {
        None
    };
    if let Some(reason) = unjudged {
        for outcome in &mut outcomes {
            outcome.verdict = Verdict::NotApplicable;
            reason.clone_into(&mut outcome.reason);
        }
    }
    outcomes
}

/// A check's name and its function on an answer.
fn prepared(check: &Check) -> (String, Judge<'_>) {
    match check {
        Check::Words { min, max } => (words::name(*min, *max), words::judge(*min, *max)),
        Check::Json { schema, bare } => (json::name(*bare), json::judge(schema, *bare)),
        Check::PythonFunction {
            name,
            parameters,
            docstring,
        } => (
            python::name(name),
            python::judge(name, parameters.as_deref(), *docstring),
        ),
        Check::Sections { headings, only } => (sections::name(headings), sections::judge(headings, *only)),
        Check::Text {
            starts_with,
            ends_with,
            contains,
        } => {
            let asked = text::Asked::new(starts_with.as_deref(), ends_with.as_deref(), contains);
            (asked.name(), Box::new(move |answer| asked.judge(answer)))
        }
        Check::NoRepetition {} => ("no repetition".into(), Box::new(repetition::judge)),
    }
}

#[cfg(test)]
mod fixtures {
    use super::*;
    use crate::record::fixtures;

    /// A prompt with these answers, and a model whose text is to be judged.
    pub(super) fn answered(texts: &[&str], checks: serde_json::Value) -> (ModelRecord, PromptRecord) {
        let mut model = fixtures::model("m");
        model.random_weights = false;
        let mut prompt = fixtures::prompt("p");
        prompt.checks = serde_json::from_value(checks).expect("checks");
        for text in texts {
            let mut sample = fixtures::sample();
            (*text).clone_into(&mut sample.inference.text);
            prompt.samples.push(sample);
        }
        (model, prompt)
    }

    pub(super) fn suite(ignore_eos: bool) -> SuiteRecord {
        SuiteRecord {
            ignore_eos,
            ..fixtures::empty().suite
        }
    }

    /// What one check finds in one answer.
    #[track_caller]
    pub(super) fn judged(check: &serde_json::Value, text: &str) -> (Verdict, String) {
        let (model, prompt) = answered(&[text], serde_json::json!([check]));
        let outcome = outcomes(&model, &suite(true), &prompt).pop().expect("an outcome");
        (outcome.verdict, outcome.reason)
    }

    /// The check passes, or fails, with this reason.
    #[track_caller]
    pub(super) fn assert_judged(check: &serde_json::Value, rows: &[(&str, Verdict, &str)]) {
        for (text, verdict, reason) in rows {
            let seen = judged(check, text);
            let shown: String = text.chars().take(60).collect();
            assert_eq!(seen, (*verdict, (*reason).to_owned()), "{shown:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::fixtures::{answered, judged, suite};
    use super::*;

    fn two_words() -> serde_json::Value {
        json!([{"check": "words", "min": 2, "max": 2}])
    }

    #[test]
    fn the_checks_of_a_prompt_come_in_order_behind_those_without_an_entry() {
        let (model, prompt) = answered(
            &["two words", "two words"],
            json!([{"check": "no_repetition"}, {"check": "words", "max": 2}]),
        );
        let names = |ignore_eos| {
            outcomes(&model, &suite(ignore_eos), &prompt)
                .into_iter()
                .map(|outcome| outcome.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            names(false),
            ["not truncated", "same text", "no repetition", "words at most 2"]
        );
        assert_eq!(names(true), ["same text", "no repetition", "words at most 2"]);
    }

    #[test]
    fn one_bad_answer_fails_the_check() {
        let rows: [(&[&str], _, _); 5] = [
            (
                &["a b", "a b"],
                Verdict::Pass,
                "2 of 2 answers: 2 words, 2 to 2 asked",
            ),
            (
                &["a b", "one", "a b", "one"],
                Verdict::Fail,
                "2 of 4 answers: 1 word, 2 to 2 asked",
            ),
            (
                &["a b", "one", "a b c"],
                Verdict::Fail,
                "2 of 3 answers, the first: 1 word, 2 to 2 asked",
            ),
            (&["a b c"], Verdict::Fail, "3 words, 2 to 2 asked"),
            (&[], Verdict::NotApplicable, "no sample was taken"),
        ];
        for (texts, verdict, reason) in rows {
            let (model, prompt) = answered(texts, two_words());
            let outcome = outcomes(&model, &suite(true), &prompt).pop().expect("an outcome");
            assert_eq!((outcome.verdict, outcome.reason.as_str()), (verdict, reason));
        }
    }

    #[test]
    fn text_of_pseudo_random_weights_is_not_judged() {
        let (mut model, prompt) = answered(&["one"], two_words());
        model.random_weights = true;
        let outcomes = outcomes(&model, &suite(false), &prompt);
        assert_eq!(outcomes.len(), 3);
        for outcome in outcomes {
            assert_eq!(outcome.verdict, Verdict::NotApplicable, "{}", outcome.name);
            assert_eq!(outcome.reason, "random weights: the text is not judged");
        }
    }

    #[test]
    fn warm_up_and_rejected_answers_are_not_judged() {
        let (model, mut prompt) = answered(&["a b", "one"], two_words());
        prompt.warm_up.extend(prompt.samples.pop());
        let outcome = outcomes(&model, &suite(true), &prompt).pop().expect("an outcome");
        assert_eq!(outcome.reason, "2 words, 2 to 2 asked");
    }

    #[test]
    fn an_outcome_as_json() {
        let (model, prompt) = answered(&["a|`<b>\u{1b}"], json!([{"check": "text", "contains": ["x"]}]));
        let outcomes = json!(outcomes(&model, &suite(true), &prompt));
        assert_eq!(
            outcomes[1],
            json!({
                "name": "contains \"x\"",
                "verdict": "fail",
                "reason": "1 of 1 texts missing, the first: \"x\""
            })
        );
        assert_eq!(outcomes[0]["verdict"], "not_applicable");
    }

    /// Every kind on every text that has broken a parser: an outcome in few words, and no crash.
    #[test]
    fn hostile_answers_are_judged_in_few_words() {
        let long = |piece: &str, times: usize| piece.repeat(times);
        let texts = [
            String::new(),
            "\0\0\u{1b}[2J\u{9b}".into(),
            "\u{202e}\u{feff}".into(),
            long("a", 1 << 20),
            long("a ", 1 << 19),
            long("é", 1 << 19),
            long("[", 10_000) + &long("]", 10_000),
            long("{\"a\":", 10_000) + "1" + &long("}", 10_000),
            format!("```json\n{}", long("[", 10_000)),
            format!("x = {}1{}", long("(", 10_000), long(")", 10_000)),
            format!("x = {}1{}", long("(", 30_000), long(")", 30_000)),
            format!("x = {}", long("[", 60_000)),
            format!("x = {}1", long("-", 60_000)),
            format!("x = {}1", long("not ", 15_000)),
            format!("x = {}1", long("lambda:", 9_000)),
            format!("x = a{}", long(".a", 30_000)),
            format!("x = a{}", long("()", 30_000)),
            format!("x = 1{}", long("+1", 30_000)),
            format!("x = {}1", long("1 if 1 else ", 5_000)),
            format!("with {}", long("(", 30_000)),
            format!("x = f'{}", long("{f'", 20_000)),
            (0..300).fold(String::new(), |code, depth| code + &" ".repeat(depth) + "if x:\n"),
            long("```\n", 50_000),
            long("> ", 50_000),
            long("- ", 50_000),
            long("# ", 50_000),
            long("*_", 50_000),
            long("[a](", 50_000),
            long("<!--", 50_000),
            long("`", 100_000),
            long("|", 100_000),
            long("<think>", 50_000),
        ];
        let checks = [
            json!({"check": "words", "min": 1}),
            json!({"check": "json", "schema": {"type": "object", "required": ["a"]}}),
            json!({"check": "json", "schema": {"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}}}),
            json!({"check": "python_function", "name": "f"}),
            json!({"check": "sections", "headings": ["# A"], "only": true}),
            json!({"check": "text", "starts_with": "x", "ends_with": "y", "contains": ["z"]}),
            json!({"check": "no_repetition"}),
        ];
        for text in &texts {
            for check in &checks {
                let (_, reason) = judged(check, text);
                let shown: String = text.chars().take(20).collect();
                assert!(
                    !reason.is_empty() && reason.chars().count() < 400 && !reason.contains(char::is_control),
                    "{check} of {shown:?}: {reason:?}"
                );
            }
        }
    }
}
