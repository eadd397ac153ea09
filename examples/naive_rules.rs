//! Compares common rules for tokens per second with the rate from each token's stamp, on recorded answers.
//!
//! ```text
//! scripts/fetch-model
//! cargo bench --bench quick --bench performance --bench quality -- --model SmolLM2-135M-Instruct.Q4_1 --record-only --sample-size 1
//! cargo run --release --example naive_rules -- target/rkllm-bench/runs/*.json
//! ```
//!
//! Answers of models with random weights are left out, because they are not text.

use std::path::Path;

use rkllm_bench::inference::Inference;
use rkllm_bench::record::RunRecord;

/// A rule that computes the decode rate of an answer, in tokens per second.
type Rule = fn(&Answer) -> f64;

const RULES: [(&str, Rule); 4] = [
    ("words as tokens", |answer| (answer.words - 1.0) / answer.decode_s),
    ("characters / 4 as tokens", |answer| {
        (answer.characters / 4.0 - 1.0) / answer.decode_s
    }),
    ("a role-only chunk as first token", |answer| {
        answer.tokens / answer.to_last_s
    }),
    ("(total - TTFT) / tokens", |answer| {
        answer.tokens / answer.after_first_s
    }),
];

/// An answer as a client sees it. Times are in seconds.
#[derive(Debug, Clone, PartialEq)]
struct Answer {
    tokens: f64,
    words: f64,
    characters: f64,
    /// From the first token to the last.
    decode_s: f64,
    /// From the call to the last token. A server that streams sends a chunk with only the role as soon as it accepts a
    /// request.
    to_last_s: f64,
    /// From the first token to the return.
    after_first_s: f64,
}

impl Answer {
    /// Absent for fewer than two tokens, because then there is no decode.
    fn of(inference: &Inference) -> Option<Self> {
        let [first, .., last] = inference.tokens.as_slice() else {
            return None;
        };
        #[expect(
            clippy::cast_precision_loss,
            reason = "a run's nanoseconds and counts fit the 52 bits of a float"
        )]
        let (seconds, number) = (
            |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e9,
            |count: usize| count as f64,
        );
        Some(Self {
            tokens: number(inference.tokens.len()),
            words: number(inference.text.split_whitespace().count()),
            characters: number(inference.text.chars().count()),
            decode_s: seconds(first.at_ns, last.at_ns),
            to_last_s: seconds(inference.call_ns, last.at_ns),
            after_first_s: seconds(first.at_ns, inference.return_ns),
        })
    }

    /// Decode rate in tokens per second: the number of gaps between tokens, divided by their time.
    fn rate(&self) -> f64 {
        (self.tokens - 1.0) / self.decode_s
    }

    fn error(&self, rule: Rule) -> f64 {
        rule(self) / self.rate() - 1.0
    }
}

fn answers(file: &Path) -> rkllm_bench::Result<Vec<Answer>> {
    let run = RunRecord::load(file)?;
    let real = run.models.iter().filter(|model| !model.random_weights);
    let samples = real
        .flat_map(|model| &model.prompts)
        .flat_map(|prompt| &prompt.samples);
    Ok(samples
        .filter_map(|sample| Answer::of(&sample.inference))
        .collect())
}

#[expect(clippy::print_stdout, reason = "it prints a table")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files: Vec<_> = std::env::args_os().skip(1).collect();
    let mut all = Vec::new();
    for file in &files {
        all.extend(answers(file.as_ref())?);
    }
    if all.is_empty() {
        return Err(
            "no answers of a real model in these records; the top of this file shows the commands".into(),
        );
    }
    let tokens: f64 = all.iter().map(|answer| answer.tokens).sum();
    println!(
        "{} answers, {tokens} tokens, {} records\n",
        all.len(),
        files.len()
    );
    println!("{:<34} {:>14} {:>14}", "rule", "median error", "worst error");
    for (name, rule) in RULES {
        let (median, worst) = median_and_worst(all.iter().map(|answer| answer.error(rule)).collect());
        println!("{name:<34} {:>+13.1}% {:>+13.1}%", median * 100.0, worst * 100.0);
    }
    Ok(())
}

/// The median error, and the error farthest from 0. `errors` must not be empty.
fn median_and_worst(mut errors: Vec<f64>) -> (f64, f64) {
    errors.sort_by(f64::total_cmp);
    let middle = errors.len() / 2;
    let median = if errors.len() % 2 == 1 {
        errors[middle]
    } else {
        f64::midpoint(errors[middle - 1], errors[middle])
    };
    let (lowest, highest) = (errors[0], errors[errors.len() - 1]);
    let worst = if lowest.abs() > highest.abs() {
        lowest
    } else {
        highest
    };
    (median, worst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_a_hand_made_answer() {
        // 11 tokens: prefill of 1 s, then one each 0.1 s, return 0.2 s later; 6 words of 40 characters in all.
        let answer = Answer {
            tokens: 11.0,
            words: 6.0,
            characters: 40.0,
            decode_s: 1.0,
            to_last_s: 2.0,
            after_first_s: 1.2,
        };
        let errors = RULES.map(|(_, rule)| format!("{:.3}", answer.error(rule)));
        assert_eq!(errors, ["-0.500", "-0.100", "-0.450", "-0.083"]);
        assert_eq!(median_and_worst(vec![0.1, -0.5, 0.2]), (0.1, -0.5));
        assert_eq!(median_and_worst(vec![0.25, 0.75]), (0.5, 0.75));
    }
}
