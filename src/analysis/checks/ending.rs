//! The built-in check `not truncated`, for suites whose answers may end before the limit.

use super::outcome::{Outcome, summed_up};
use crate::base::number::Size as _;
use crate::inference::{End, Finish};
use crate::record::ledger::Mark;
use crate::record::{PromptRecord, Sample};

pub(super) fn outcome(prompt: &PromptRecord) -> Outcome {
    let findings: Vec<_> = prompt
        .samples
        .iter()
        .map(|sample| {
            let count = sample.inference.token_count().tokens;
            let tokens = count.map_or_else(|| "an unknown number of".into(), |count| count.to_string());
            let finding = if is_cut(sample, prompt.max_new_tokens) {
                Err(format!("cut off after {tokens} tokens, the requested limit"))
            } else if sample.inference.finish == Finish::Finished {
                Ok(format!(
                    "ended after {tokens} of at most {} tokens",
                    prompt.max_new_tokens
                ))
            } else {
                Err(format!(
                    "broken off after {tokens} tokens, before the runtime said that it finished"
                ))
            };
            (finding, 1)
        })
        .collect();
    summed_up("not truncated".into(), &findings)
}

/// Whether the limit ended the answer. An answer that finished exactly at the limit looks the same.
fn is_cut(sample: &Sample, limit: u32) -> bool {
    let marked = sample
        .marks
        .iter()
        .any(|mark| matches!(mark, Mark::ReachedLimit { .. }));
    if let Some(tokens) = sample.inference.token_count().tokens {
        return marked || tokens >= limit.size();
    }
    // Only the server can say so.
    let stream = sample.inference.stream.as_ref();
    let reason = stream.and_then(|stream| stream.finish_reason.as_deref());
    reason.is_some_and(|reason| End::of(reason) == End::AtLimit)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::record::fixtures;

    fn of(samples: Vec<Sample>) -> (Verdict, String) {
        let outcome = outcome(&PromptRecord {
            samples,
            ..fixtures::prompt("p")
        });
        assert_eq!(outcome.name, "not truncated");
        (outcome.verdict, outcome.reason)
    }

    #[test]
    fn an_answer_ends_by_itself_or_at_the_limit() {
        let ended = fixtures::sample();
        let at_limit = fixtures::sample_of(&[10, 20, 30, 40, 50, 60, 70, 80]);
        let mut marked = ended.clone();
        marked.marks.push(Mark::ReachedLimit { limit: 4 });
        let mut lost = ended.clone();
        lost.inference.finish = Finish::Lost;
        let cut = "cut off after 8 tokens, the requested limit";
        for (samples, verdict, reason) in [
            (
                vec![ended.clone()],
                Verdict::Pass,
                "ended after 4 of at most 8 tokens",
            ),
            (vec![at_limit.clone()], Verdict::Fail, cut),
            (
                vec![marked],
                Verdict::Fail,
                "cut off after 4 tokens, the requested limit",
            ),
            (
                vec![lost],
                Verdict::Fail,
                "broken off after 4 tokens, before the runtime said that it finished",
            ),
            (
                vec![ended.clone(), at_limit, ended],
                Verdict::Fail,
                &format!("1 of 3 answers: {cut}"),
            ),
        ] {
            assert_eq!(of(samples), (verdict, reason.to_owned()));
        }
    }
}
