//! Conservation laws that every inference must keep to become a sample.
//!
//! What our own clock and counts disprove rejects the sample and says why; it is never averaged in. Disagreement with
//! a counter of the runtime whose meaning is unconfirmed is only marked.

mod cache_start;
mod disturbance;
#[cfg(test)]
mod edges;
mod explain;
mod stream;
mod verdict;

use crate::base::number::{Float as _, Size as _};
use std::cmp::Ordering;

use crate::inference::Abilities;
use crate::inference::LoadSpec;
use crate::inference::{Finish, Inference, Input, Phases, Request, RuntimeStats, Stream, TokenEvent};

pub use disturbance::{LOWER_RATIO, MOST_LOST_PERCENT, marks as disturbances};
pub use verdict::{Mark, Rejection};

/// Absolute part of the tolerance between the runtime's times and ours, ms. The larger of both parts counts.
pub const TOLERANCE_MS: f64 = 2.0;
/// Relative part of the tolerance between the runtime's times and ours.
pub const TOLERANCE_RATIO: f64 = 0.05;
/// A callback with the token of the one before is that token told again when the gap between the two is less than this
/// share of the run's median gap: the computation of one token is not so much shorter than that of another.
pub const REPEATED_GAP_RATIO: f64 = 0.02;

/// An inference that stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// Its phases.
    pub phases: Phases,
    /// What is odd about it.
    pub marks: Vec<Mark>,
}

/// The laws, and what they need to remember between the runs of one loaded model.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// Whether each run is to give as many tokens as were asked for.
    fixed_length: bool,
    /// Whether the runtime can be told to.
    can_ignore_eos: bool,
    /// Whether prompts vary, since the KV cache cannot be cleared.
    varies_prompts: bool,
    max_context: u32,
    /// The model, by the name that a server is asked for.
    model: String,
    last_stats: Option<RuntimeStats>,
    late_callbacks: u64,
    fills_at_load: cache_start::FillsAtLoad,
    /// Tokens less `generate_tokens`, of runs that went on to their limit and of those that ended by themselves; absent
    /// until a run has shown it.
    uncounted: [Option<usize>; 2],
}

impl Ledger {
    /// For a model freshly loaded by `spec` into a runtime of these abilities.
    pub fn new(can: Abilities, spec: &LoadSpec) -> Self {
        Self {
            fixed_length: spec.ignore_eos,
            can_ignore_eos: can.ignore_eos,
            varies_prompts: !can.clear_kv_cache,
            max_context: spec.max_context,
            model: spec.model_path.to_string_lossy().into_owned(),
            last_stats: None,
            late_callbacks: 0,
            fills_at_load: None,
            uncounted: [None; 2],
        }
    }

    /// Judges one inference. `prompt_tokens` is how many tokens the prompt's prefill computes, where that is known: the ids'
    /// count less a prefix in the KV cache, or what the first run computed.
    ///
    /// # Errors
    /// The first law that was broken.
    pub fn judge(
        &mut self,
        request: &Request,
        prompt_tokens: Option<u32>,
        inference: &Inference,
    ) -> Result<Accepted, Rejection> {
        let before = self.last_stats;
        // A run without any leaves what a runtime may report again.
        let given = inference.stats.filter(|stats| !stats.are_zero());
        self.last_stats = given.or(before);
        let late =
            inference.late_callbacks > std::mem::replace(&mut self.late_callbacks, inference.late_callbacks);
        judge_ending(request, inference)?;
        if late {
            return Err(Rejection::LateCallback);
        }
        let phases = inference.phases().ok_or(Rejection::TimeRunsBackwards)?;
        let end_ns = inference.tokens.last().map_or(0, |token| token.at_ns);
        if end_ns > inference.return_ns {
            return Err(Rejection::TimeRunsBackwards);
        }
        let mut marks = Vec::new();
        cache_start::judge(request, prompt_tokens, inference, &mut self.fills_at_load)?;
        let told = inference.reported_prompt_tokens(&request.input);
        self.judge_count(request, prompt_tokens.or(told), inference, &mut marks)?;
        stream::judge(
            request,
            prompt_tokens.or(told),
            &self.model,
            inference,
            &mut marks,
        )?;
        if request.cache_start.is_cold() {
            judge_cache(request.depth, inference.kv_cache_before, &mut marks)?;
        }
        judge_callbacks(inference, &mut marks);
        if self.varies_prompts {
            marks.push(Mark::PromptVaried);
        }
        match inference.stats.as_ref().filter(|stats| !stats.are_zero()) {
            Some(stats) => {
                judge_stats(
                    request,
                    stats,
                    before.as_ref(),
                    prompt_tokens,
                    inference,
                    &phases,
                    &mut marks,
                )?;
                self.judge_generate_tokens(request, stats, inference, &mut marks);
            }
            None if inference.stream.as_ref().is_some_and(Stream::reports_cold_start) => {}
            None => marks.push(Mark::NoStats),
        }
        Ok(Accepted { phases, marks })
    }

    /// `generate_tokens` is the number of tokens or one below. Which of the two is the runtime's way, so it is the same in
    /// every cold run, though an end token may count otherwise: where it changes, a token was lost or told twice.
    fn judge_generate_tokens(
        &mut self,
        request: &Request,
        stats: &RuntimeStats,
        inference: &Inference,
        marks: &mut Vec<Mark>,
    ) {
        let Some(counted) = inference.token_count().tokens else {
            return;
        };
        let by_itself = counted < request.max_new_tokens.size();
        let known = &mut self.uncounted[usize::from(by_itself)];
        let reported = usize::try_from(stats.generate_tokens).ok();
        match reported.and_then(|reported| counted.checked_sub(reported)) {
            Some(way @ 0..=1) if known.is_none_or(|known| known == way) => *known = Some(way),
            _ => marks.push(Mark::GenerateTokens {
                reported: stats.generate_tokens,
                counted,
            }),
        }
    }

    fn judge_count(
        &self,
        request: &Request,
        prompt_tokens: Option<u32>,
        inference: &Inference,
        marks: &mut Vec<Mark>,
    ) -> Result<(), Rejection> {
        let asked = request.max_new_tokens;
        let Some(got) = inference.token_count().tokens else {
            return Ok(());
        };
        match got.cmp(&(asked.size())) {
            Ordering::Equal => {
                if !self.fixed_length {
                    marks.push(Mark::ReachedLimit { limit: asked });
                }
                return Ok(());
            }
            Ordering::Greater if inference.stream.is_some() => {
                marks.push(Mark::LongerThanAsked { asked, got });
                return Ok(());
            }
            Ordering::Greater => return Err(Rejection::TokenCount { asked, got }),
            Ordering::Less => {}
        }
        let of_set_up = inference.set_up.map(|set_up| set_up.prompt_tokens);
        let prompt = of_set_up.or(prompt_tokens).unwrap_or(0);
        let held = request.depth + prompt + u32::try_from(got).unwrap_or(u32::MAX);
        // The last token need not have its place in the context.
        if held + 1 >= self.max_context {
            let context = self.max_context;
            return Err(Rejection::ContextFull {
                asked,
                got,
                context,
                held,
            });
        }
        match (self.fixed_length, self.can_ignore_eos) {
            (true, true) => Err(Rejection::TokenCount { asked, got }),
            (true, false) => {
                marks.push(Mark::EndedEarly { asked, got });
                Ok(())
            }
            (false, _) => Ok(()),
        }
    }
}

/// What is odd about the callbacks themselves.
fn judge_callbacks(inference: &Inference, marks: &mut Vec<Mark>) {
    // The chunks of a server tell no ids, and may come in bursts.
    let has_ids = inference.stream.is_none();
    let callbacks = repeated_callbacks(&inference.tokens);
    if has_ids && callbacks > 0 {
        marks.push(Mark::RepeatedCallback { callbacks });
    }
    if inference.split_characters > 0 {
        let tokens = inference.split_characters;
        marks.push(Mark::SplitText { tokens });
    }
    if inference.other_thread > 0 {
        let callbacks = inference.other_thread;
        marks.push(Mark::OtherThread { callbacks });
    }
}

/// Callbacks that tell the token of the one before again. Stamps are in order.
fn repeated_callbacks(tokens: &[TokenEvent]) -> usize {
    let gaps = || tokens.windows(2).map(|pair| pair[1].at_ns - pair[0].at_ns);
    let mut sorted: Vec<u64> = gaps().collect();
    sorted.sort_unstable();
    let Some(median) = sorted.get(sorted.len() / 2) else {
        return 0;
    };
    let soon = ms(*median) * REPEATED_GAP_RATIO;
    let again = tokens.windows(2).map(|pair| pair[1].id == pair[0].id);
    again
        .zip(gaps())
        .filter(|(again, gap)| *again && ms(*gap) < soon)
        .count()
}

/// What the KV cache held before the run: `depth` tokens, or one more, since it is unconfirmed whether the last token
/// of a turn gets its place in that turn or in the next one.
fn judge_cache(depth: u32, held: Option<u32>, marks: &mut Vec<Mark>) -> Result<(), Rejection> {
    match (depth, held) {
        (0, None | Some(0)) => {}
        (0, Some(positions)) => marks.push(Mark::CacheNotEmpty { positions }),
        (_, None) => marks.push(Mark::DepthUnproven),
        (_, Some(held)) if held != depth && held != depth + 1 => {
            return Err(Rejection::Depth { depth, held });
        }
        (_, Some(_)) => {}
    }
    Ok(())
}

fn judge_ending(request: &Request, inference: &Inference) -> Result<(), Rejection> {
    let tokens = inference.tokens.len();
    if inference.aborted {
        return Err(Rejection::DeadlinePassed {
            deadline_s: request.deadline.as_secs(),
            tokens,
        });
    }
    if let Some(reason) = &inference.refusal {
        return Err(Rejection::RunFailed {
            reason: reason.clone(),
        });
    }
    if let Some(reason) = stream::failure(inference) {
        return Err(Rejection::RunFailed { reason });
    }
    match inference.finish {
        Finish::Error => Err(Rejection::RunFailed {
            reason: "the runtime reported an error".into(),
        }),
        Finish::Lost if inference.stream.is_some() => Err(Rejection::StreamCut { tokens }),
        Finish::Lost => Err(Rejection::LostFinish { tokens }),
        Finish::Finished if tokens == 0 => Err(Rejection::NoTokens),
        Finish::Finished => Ok(()),
    }
}

fn judge_stats(
    request: &Request,
    stats: &RuntimeStats,
    before: Option<&RuntimeStats>,
    prompt_tokens: Option<u32>,
    inference: &Inference,
    phases: &Phases,
    marks: &mut Vec<Mark>,
) -> Result<(), Rejection> {
    // Two runs that agree to the last bit of both times are one run reported twice.
    if before.is_some_and(|before| {
        before.prefill_time_ms.to_bits() == stats.prefill_time_ms.to_bits()
            && before.generate_time_ms.to_bits() == stats.generate_time_ms.to_bits()
    }) {
        return Err(Rejection::StaleStats);
    }
    if let Some(prompt) = prefill_disproven(request, prompt_tokens, stats.prefill_tokens) {
        return Err(Rejection::WarmPrefill {
            computed: stats.prefill_tokens,
            prompt,
        });
    }
    if stats.prefill_tokens <= 0 {
        return Err(Rejection::WarmPrefill {
            computed: stats.prefill_tokens,
            prompt: prompt_tokens.unwrap_or(0),
        });
    }
    let prefill_ms = possible_time(
        "prefill_time_ms",
        stats.prefill_time_ms,
        true,
        stats.prefill_tokens,
    )?;
    // One token alone leaves nothing to decode.
    let decoded = stats.generate_tokens > 1 || inference.tokens.len() > 1;
    let generate_ms = possible_time(
        "generate_time_ms",
        stats.generate_time_ms,
        decoded,
        stats.generate_tokens,
    )?;

    if let Some(ttft_ns) = phases.ttft_ns {
        fits("prefill", prefill_ms, ms(ttft_ns))?;
    }
    fits(
        "prefill and decode",
        prefill_ms + generate_ms,
        ms(phases.total_ns),
    )?;
    let unexplained = ms(phases.total_ns) - prefill_ms - generate_ms;
    // What a server adds is what its users wait for.
    if inference.stream.is_none() && unexplained > tolerance(ms(phases.total_ns)) {
        marks.push(Mark::UnexplainedTime { ms: unexplained });
    }
    Ok(())
}

/// The prompt's length, when a prefill of `computed` tokens cannot have been that of the whole prompt. Behind a kept
/// turn that turn's last token may be computed too.
fn prefill_disproven(request: &Request, prompt_tokens: Option<u32>, computed: i32) -> Option<u32> {
    if !request.cache_start.is_cold() {
        return None; // judged with its start
    }
    let (prompt, more) = match (prompt_tokens, &request.input) {
        (Some(known), _) => (known, 0),
        (None, Input::Tokens(ids)) => (u32::try_from(ids.len()).ok()?, u32::from(request.depth > 0)),
        (None, Input::Text(_)) => return None,
    };
    let whole = i64::from(prompt)..=i64::from(prompt) + i64::from(more);
    (!whole.contains(&i64::from(computed))).then_some(prompt)
}

fn possible_time(field: &str, value: f32, must_be_positive: bool, tokens: i32) -> Result<f64, Rejection> {
    if !value.is_finite() || value < 0.0 || (must_be_positive && value == 0.0) {
        return Err(Rejection::ImpossibleTime {
            field: field.into(),
            value: value.to_string(),
            tokens,
        });
    }
    Ok(value.into())
}

fn fits(what: &str, reported_ms: f64, measured_ms: f64) -> Result<(), Rejection> {
    if reported_ms > measured_ms + tolerance(measured_ms) {
        return Err(Rejection::TimeOverrun {
            what: what.into(),
            reported_ms,
            measured_ms,
        });
    }
    Ok(())
}

fn tolerance(measured_ms: f64) -> f64 {
    TOLERANCE_MS.max(measured_ms * TOLERANCE_RATIO)
}

fn ms(ns: u64) -> f64 {
    ns.float() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::engine::scripted;

    const MS: u64 = 1_000_000;

    /// 8 tokens: prefill 100 ms, then one each 10 ms; the runtime agrees with our clock.
    fn good() -> Inference {
        let stamps: Vec<u64> = (0..8).map(|token| (100 + 10 * token) * MS).collect();
        let mut inference = scripted::inference(0, &stamps, 170 * MS + MS / 10);
        inference.stats = Some(stats(99.5, 70.0));
        inference
    }

    fn stats(prefill_time_ms: f32, generate_time_ms: f32) -> RuntimeStats {
        RuntimeStats {
            prefill_time_ms,
            prefill_tokens: 12,
            generate_time_ms,
            generate_tokens: 7,
            memory_usage_mb: 1.0,
        }
    }

    fn judge(inference: &Inference) -> Result<Accepted, Rejection> {
        Ledger::new(scripted::ABILITIES, &scripted::spec(8)).judge(&scripted::request(8), Some(12), inference)
    }

    #[test]
    fn a_clean_inference_stands_without_marks() {
        assert_eq!(judge(&good()).map(|accepted| accepted.marks), Ok(vec![]));
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table, one row a law")]
    fn each_law_rejects_by_name() {
        let with_stats = |stats: RuntimeStats| Inference {
            stats: Some(stats),
            ..good()
        };
        let rows: Vec<(&str, Inference)> = vec![
            (
                "passed its deadline",
                Inference {
                    aborted: true,
                    ..good()
                },
            ),
            (
                "the run failed: no",
                Inference {
                    refusal: Some("no".into()),
                    ..good()
                },
            ),
            (
                "reported an error",
                Inference {
                    finish: Finish::Error,
                    ..good()
                },
            ),
            (
                "no FINISH came",
                Inference {
                    finish: Finish::Lost,
                    ..good()
                },
            ),
            (
                "no token came",
                Inference {
                    tokens: vec![],
                    ..good()
                },
            ),
            (
                "7 tokens came where 8",
                Inference {
                    tokens: good().tokens[..7].to_vec(),
                    ..good()
                },
            ),
            (
                "9 tokens came where 8",
                Inference {
                    overflow: 1,
                    ..good()
                },
            ),
            (
                "out of order",
                Inference {
                    return_ns: 120 * MS,
                    ..good()
                },
            ),
            (
                "out of order",
                Inference {
                    call_ns: 101 * MS,
                    ..good()
                },
            ),
            (
                "computed 3 tokens of a prompt of 12",
                with_stats(RuntimeStats {
                    prefill_tokens: 3,
                    ..stats(99.5, 70.0)
                }),
            ),
            (
                "computed 0 tokens of a prompt of 12",
                with_stats(RuntimeStats {
                    prefill_tokens: 0,
                    ..stats(0.0, 70.0)
                }),
            ),
            ("prefill_time_ms = 0", with_stats(stats(0.0, 70.0))),
            ("prefill_time_ms = -1", with_stats(stats(-1.0, 70.0))),
            ("prefill_time_ms = NaN", with_stats(stats(f32::NAN, 70.0))),
            ("generate_time_ms = 0", with_stats(stats(99.5, 0.0))),
            ("generate_time_ms = inf", with_stats(stats(99.5, f32::INFINITY))),
            ("of prefill, our clock", with_stats(stats(105.1, 60.0))),
            ("of prefill and decode, our clock", with_stats(stats(99.5, 80.0))),
            (
                "after its run had returned",
                Inference {
                    late_callbacks: 1,
                    ..good()
                },
            ),
        ];
        for (expected, inference) in rows {
            let text = judge(&inference).map(|_| ()).expect_err(expected).to_string();
            assert!(text.contains(expected), "expected {expected:?}, got {text:?}");
        }
    }

    #[test]
    fn tolerance_is_the_larger_of_two_milliseconds_and_five_percent() {
        assert!(
            judge(&Inference {
                stats: Some(stats(104.9, 60.0)),
                ..good()
            })
            .is_ok()
        );
        assert!(
            judge(&Inference {
                stats: Some(stats(105.1, 60.0)),
                ..good()
            })
            .is_err()
        );
        // TTFT of 10 ms: 5 % would be half a millisecond.
        let short = |prefill_ms| {
            let stamps: Vec<u64> = (0..8).map(|token| (10 + token) * MS).collect();
            Inference {
                stats: Some(stats(prefill_ms, 5.0)),
                ..scripted::inference(0, &stamps, 18 * MS)
            }
        };
        assert!(judge(&short(11.9)).is_ok());
        assert!(judge(&short(12.1)).is_err());
    }

    #[test]
    fn statistics_of_the_run_before_are_stale_even_when_a_rejected_run_lies_between() {
        let mut ledger = Ledger::new(scripted::ABILITIES, &scripted::spec(8));
        let request = scripted::request(8);
        assert!(ledger.judge(&request, Some(12), &good()).is_ok());
        assert_eq!(
            ledger.judge(&request, Some(12), &good()),
            Err(Rejection::StaleStats)
        );
        assert_eq!(
            ledger.judge(&request, Some(12), &good()),
            Err(Rejection::StaleStats)
        );
        let without = Inference {
            stats: None,
            ..good()
        };
        assert!(ledger.judge(&request, Some(12), &without).is_ok());
        assert_eq!(
            ledger.judge(&request, Some(12), &good()),
            Err(Rejection::StaleStats),
            "those of the last run that had any"
        );
        let fresh = Inference {
            stats: Some(stats(99.25, 70.25)),
            ..good()
        };
        assert!(ledger.judge(&request, Some(12), &fresh).is_ok());
    }

    #[test]
    fn a_late_callback_costs_one_sample() {
        let mut ledger = Ledger::new(scripted::ABILITIES, &scripted::spec(8));
        let request = scripted::request(8);
        let late = Inference {
            late_callbacks: 1,
            ..good()
        };
        assert_eq!(
            ledger.judge(&request, Some(12), &late),
            Err(Rejection::LateCallback)
        );
        let next = Inference {
            late_callbacks: 1,
            stats: Some(stats(99.0, 69.0)),
            ..good()
        };
        assert!(ledger.judge(&request, Some(12), &next).is_ok());
    }

    #[test]
    fn counters_of_unconfirmed_meaning_only_mark() {
        let marks = |inference: Inference| judge(&inference).map(|accepted| accepted.marks);
        let one_more = RuntimeStats {
            generate_tokens: 8,
            ..stats(99.5, 70.0)
        };
        assert_eq!(
            marks(Inference {
                stats: Some(one_more),
                ..good()
            }),
            Ok(vec![])
        );
        let off = RuntimeStats {
            generate_tokens: 5,
            ..stats(99.5, 70.0)
        };
        assert_eq!(
            marks(Inference {
                stats: Some(off),
                ..good()
            }),
            Ok(vec![Mark::GenerateTokens {
                reported: 5,
                counted: 8
            }])
        );
        assert_eq!(
            marks(Inference {
                kv_cache_before: Some(3),
                ..good()
            }),
            Ok(vec![Mark::CacheNotEmpty { positions: 3 }])
        );
        assert_eq!(
            marks(Inference {
                stats: None,
                ..good()
            }),
            Ok(vec![Mark::NoStats])
        );
        let unexplained = marks(Inference {
            stats: Some(stats(50.0, 70.0)),
            ..good()
        });
        assert!(
            matches!(unexplained.as_deref(), Ok([Mark::UnexplainedTime { ms }]) if (ms - 50.1).abs() < 0.01)
        );
    }

    #[test]
    fn the_runtimes_way_of_counting_does_not_change() {
        let marks = |ledger: &mut Ledger, run: u8, generate_tokens| {
            let inference = Inference {
                stats: Some(RuntimeStats {
                    generate_tokens,
                    ..stats(99.0 + f32::from(run) / 8.0, 70.0)
                }),
                ..good()
            };
            let accepted = ledger.judge(&scripted::request(8), Some(12), &inference);
            accepted.expect("stands").marks
        };
        let odd = |reported| vec![Mark::GenerateTokens { reported, counted: 8 }];
        for (way, other) in [(7, 8), (8, 7)] {
            let mut ledger = Ledger::new(scripted::ABILITIES, &scripted::spec(8));
            assert_eq!(marks(&mut ledger, 0, way), vec![]);
            assert_eq!(marks(&mut ledger, 1, other), odd(other));
            assert_eq!(marks(&mut ledger, 2, way), vec![]);
            assert_eq!(marks(&mut ledger, 3, 9), odd(9));
            assert_eq!(marks(&mut ledger, 4, -1), odd(-1));
        }
    }

    #[test]
    fn a_token_told_twice_is_told_from_one_that_comes_twice() {
        let marks_of = |at_ns: u64, id: i32| {
            let mut inference = good();
            for (token, its_id) in inference.tokens.iter_mut().zip(0..) {
                token.id = its_id;
            }
            inference.tokens[5].at_ns = at_ns;
            inference.tokens[5].id = id;
            judge(&inference).expect("stands").marks
        };
        // The token before came at 140 ms; the gaps are 10 ms.
        let twice = vec![Mark::RepeatedCallback { callbacks: 1 }];
        assert_eq!(marks_of(140 * MS + MS / 10, 4), twice);
        assert_eq!(marks_of(140 * MS + MS / 10, 5), vec![], "another token");
        assert_eq!(marks_of(140 * MS + MS / 2, 4), vec![], "the same word again");
    }

    #[test]
    fn an_early_end_is_a_mark_where_end_tokens_cannot_be_ignored() {
        let can = Abilities {
            ignore_eos: false,
            ..scripted::ABILITIES
        };
        let early = Inference {
            tokens: good().tokens[..7].to_vec(),
            ..good()
        };
        let accepted = Ledger::new(can, &scripted::spec(8))
            .judge(&scripted::request(8), Some(12), &early)
            .expect("stands");
        assert_eq!(accepted.marks, [Mark::EndedEarly { asked: 8, got: 7 }]);
    }
}
