//! Takes the samples of one suite with one model.
//!
//! Warm-up comes first and apart. Then the prompts are interleaved, round by round, so that a drift of the machine
//! does not fall on one of them. A sample that fails or is rejected is tried once more at once, with the model loaded
//! anew when its worker was lost; a second failure of the same sample gives the prompt up.

use crate::engine::{Engine, Failure, FailureKind, LoadSpec, Loaded};
use crate::inference::{Inference, Request};
use crate::ledger::{Ledger, Rejection};
use crate::record::{ModelRecord, PromptRecord, Rejected, Sample};

/// What to take.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The model.
    pub spec: LoadSpec,
    /// One request for each prompt of the model's record, in the same order.
    pub requests: Vec<Request>,
    /// Warm-up inferences of each prompt.
    pub warm_up: usize,
    /// Samples of each prompt.
    pub samples: usize,
}

/// What is told while it goes on. The recorder does not know who listens.
pub trait Observer {
    /// The model was loaded, for the first time or again.
    fn loaded(&mut self, _model: &ModelRecord, _loaded: &Loaded) {}
    /// An inference is about to be made.
    fn begins(&mut self, _model: &ModelRecord, _prompt: usize, _round: Round) {}
    /// An inference was made, or failed; the model's record holds it now.
    fn ended(&mut self, _model: &ModelRecord, _prompt: usize, _outcome: Outcome<'_>) {}
}

/// Where the recorder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// In warm-up, counted from 0.
    WarmUp(usize),
    /// At a sample, counted from 0.
    Sample(usize),
}

/// What became of an inference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome<'a> {
    /// It stands.
    Stands(&'a Sample),
    /// The ledger rejected it.
    Rejected(&'a Rejection),
    /// The engine gave none.
    Failed(&'a Failure),
}

/// The user stopped the run; what was recorded until then is in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// Takes the plan's samples into `model`.
///
/// # Errors
/// [`Stopped`] when the engine says that the user asked for it.
pub fn record(
    engine: &mut dyn Engine,
    plan: &Plan,
    model: &mut ModelRecord,
    observer: &mut dyn Observer,
) -> Result<(), Stopped> {
    let mut recorder = Recorder {
        engine,
        plan,
        model,
        observer,
        ledger: None,
    };
    if let Err(failure) = recorder.load() {
        let stopped = failure.kind == FailureKind::Stopped;
        recorder.model.load_failure = Some(failure);
        return if stopped { Err(Stopped) } else { Ok(()) };
    }
    let warm_up = (0..plan.warm_up).map(Round::WarmUp);
    let samples = (0..plan.samples).map(Round::Sample);
    for round in warm_up.chain(samples) {
        for prompt in 0..plan.requests.len() {
            recorder.take_one(prompt, round)?;
        }
    }
    Ok(())
}

struct Recorder<'a> {
    engine: &'a mut dyn Engine,
    plan: &'a Plan,
    model: &'a mut ModelRecord,
    observer: &'a mut dyn Observer,
    /// Absent while no model is loaded.
    ledger: Option<Ledger>,
}

impl Recorder<'_> {
    fn load(&mut self) -> Result<(), Failure> {
        let loaded = self.engine.load(&self.plan.spec)?;
        self.ledger = Some(Ledger::new(loaded.runtime.abilities));
        self.observer.loaded(self.model, &loaded);
        self.model.loaded.get_or_insert(loaded);
        Ok(())
    }

    /// One sample of one prompt, in at most two attempts.
    fn take_one(&mut self, prompt: usize, round: Round) -> Result<(), Stopped> {
        const ATTEMPTS: usize = 2;
        for _ in 0..ATTEMPTS {
            if self.model.prompts[prompt].given_up.is_some() || self.attempt(prompt, round)? {
                return Ok(());
            }
        }
        let record = &mut self.model.prompts[prompt];
        record.given_up = Some(format!(
            "one sample failed {ATTEMPTS} times in a row: {}",
            last_fault(record)
        ));
        Ok(())
    }

    /// Whether the attempt gave a sample.
    fn attempt(&mut self, prompt: usize, round: Round) -> Result<bool, Stopped> {
        self.observer.begins(self.model, prompt, round);
        match self.infer(prompt) {
            Ok(inference) => Ok(self.judge(prompt, round, inference)),
            Err(failure) if failure.kind == FailureKind::Stopped => Err(Stopped),
            Err(failure) => {
                if failure.kind == FailureKind::Lost {
                    self.ledger = None;
                }
                self.model.prompts[prompt].failures.push(failure.clone());
                self.observer.ended(self.model, prompt, Outcome::Failed(&failure));
                Ok(false)
            }
        }
    }

    fn infer(&mut self, prompt: usize) -> Result<Inference, Failure> {
        if self.ledger.is_none() {
            self.load()?;
        }
        self.engine.infer(&self.plan.requests[prompt])
    }

    fn judge(&mut self, prompt: usize, round: Round, inference: Inference) -> bool {
        let record = &mut self.model.prompts[prompt];
        let Some(ledger) = &mut self.ledger else {
            return false;
        };
        match ledger.judge(&self.plan.requests[prompt], record.prompt_tokens, &inference) {
            Ok(accepted) => {
                if record.prompt_tokens.is_none() {
                    record.prompt_tokens = inference
                        .stats
                        .and_then(|stats| stats.prefill_tokens.try_into().ok());
                }
                let sample = Sample {
                    phases: accepted.phases,
                    marks: accepted.marks,
                    inference,
                };
                match round {
                    Round::WarmUp(_) => record.warm_up.push(sample.clone()),
                    Round::Sample(_) => record.samples.push(sample.clone()),
                }
                self.observer.ended(self.model, prompt, Outcome::Stands(&sample));
                true
            }
            Err(reason) => {
                record.rejected.push(Rejected {
                    reason: reason.clone(),
                    inference,
                });
                self.observer
                    .ended(self.model, prompt, Outcome::Rejected(&reason));
                false
            }
        }
    }
}

/// What happened last to a prompt that is given up.
fn last_fault(record: &PromptRecord) -> String {
    let failure = record.failures.last().map(|failure| failure.message.clone());
    let rejection = record.rejected.last().map(|rejected| rejected.reason.to_string());
    failure.or(rejection).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::scripted::{self, Scripted};
    use crate::inference::{Finish, Input, RuntimeStats};

    const TOKENS: u32 = 4;

    /// A clean inference whose decode takes `step` ns a token, with statistics of its own.
    #[expect(clippy::unnecessary_wraps, reason = "a line of a script")]
    fn clean(step: u32) -> Result<Inference, Failure> {
        let ms = 1_000_000;
        let stamps: Vec<u64> = (0..u64::from(TOKENS))
            .map(|n| 50 * ms + n * u64::from(step))
            .collect();
        let end = 50 * ms + u64::from(TOKENS) * u64::from(step);
        let mut inference = scripted::inference(0, &stamps, end);
        inference.stats = Some(RuntimeStats {
            prefill_time_ms: 49.0,
            prefill_tokens: 12,
            generate_time_ms: f32::from(u16::try_from(step).expect("small")) / 1e6,
            generate_tokens: 3,
            memory_usage_mb: 1.0,
        });
        Ok(inference)
    }

    fn lost_finish(step: u32) -> Result<Inference, Failure> {
        clean(step).map(|inference| Inference {
            finish: Finish::Lost,
            stats: None,
            ..inference
        })
    }

    fn model(prompts: &[&str]) -> ModelRecord {
        let prompts = prompts.iter().map(|id| PromptRecord {
            id: (*id).into(),
            name: (*id).into(),
            input: Input::Text("text".into()),
            prompt_tokens: None,
            warm_up: vec![],
            samples: vec![],
            rejected: vec![],
            failures: vec![],
            given_up: None,
        });
        ModelRecord {
            name: "m".into(),
            path: "m".into(),
            bytes: 0,
            sha256: String::new(),
            random_weights: true,
            loaded: None,
            load_failure: None,
            prompts: prompts.collect(),
        }
    }

    fn plan(prompts: usize, warm_up: usize, samples: usize) -> Plan {
        Plan {
            spec: LoadSpec {
                model_path: "m".into(),
                max_context: 64,
                max_new_tokens: TOKENS,
                threads: None,
                cpu_mask: None,
                trust_sdk_version: None,
                deadline: Duration::from_secs(1),
            },
            requests: (0..prompts)
                .map(|prompt| Request {
                    input: Input::Text(format!("prompt {prompt}")),
                    ..scripted::request(TOKENS)
                })
                .collect(),
            warm_up,
            samples,
        }
    }

    fn run(engine: &mut Scripted, plan: &Plan, model: &mut ModelRecord) -> Result<(), Stopped> {
        struct Silent;
        impl Observer for Silent {}
        record(engine, plan, model, &mut Silent)
    }

    #[test]
    fn prompts_are_interleaved_and_warm_up_is_kept_apart() {
        let mut engine = Scripted {
            answers: (1..=6).map(|n| clean(n * 1000)).collect(),
            ..Scripted::default()
        };
        let mut model = model(&["a", "b"]);
        run(&mut engine, &plan(2, 1, 2), &mut model).expect("not stopped");
        let asked: Vec<_> = engine.asked.iter().map(|request| request.input.clone()).collect();
        let text = |n: usize| Input::Text(format!("prompt {n}"));
        assert_eq!(asked, [text(0), text(1), text(0), text(1), text(0), text(1)]);
        let steps = |samples: &[Sample]| -> Vec<_> {
            samples
                .iter()
                .map(|sample| sample.phases.decode_ns_per_token.expect("decoded"))
                .collect()
        };
        assert_eq!(steps(&model.prompts[0].warm_up), [1000.0]);
        assert_eq!(steps(&model.prompts[0].samples), [3000.0, 5000.0]);
        assert_eq!(steps(&model.prompts[1].samples), [4000.0, 6000.0]);
        assert_eq!(model.prompts[0].prompt_tokens, Some(12));
    }

    #[test]
    fn a_death_costs_one_attempt_and_the_model_is_loaded_again() {
        let answers = [clean(1000), Err(scripted::lost()), clean(2000), clean(3000)];
        let mut engine = Scripted {
            answers: answers.into(),
            ..Scripted::default()
        };
        let mut model = model(&["a"]);
        run(&mut engine, &plan(1, 0, 3), &mut model).expect("not stopped");
        assert_eq!(engine.times_loaded, 2);
        assert_eq!(model.prompts[0].samples.len(), 3);
        assert_eq!(model.prompts[0].failures, [scripted::lost()]);
        assert_eq!(model.prompts[0].given_up, None);
    }

    #[test]
    fn a_second_failure_of_one_sample_gives_the_prompt_up_and_the_others_go_on() {
        // Round 1: a dies twice, b stands. Round 2: b alone.
        let answers = [
            Err(scripted::lost()),
            Err(scripted::lost()),
            clean(1000),
            clean(2000),
        ];
        let mut engine = Scripted {
            answers: answers.into(),
            ..Scripted::default()
        };
        let mut model = model(&["a", "b"]);
        run(&mut engine, &plan(2, 0, 2), &mut model).expect("not stopped");
        assert_eq!(model.prompts[0].samples.len(), 0);
        assert!(
            model.prompts[0]
                .given_up
                .as_ref()
                .is_some_and(|why| why.contains("SIGSEGV"))
        );
        assert_eq!(model.prompts[1].samples.len(), 2);
        assert_eq!(engine.times_loaded, 3);
    }

    #[test]
    fn a_rejected_inference_is_made_good_and_kept_with_its_reason() {
        let answers = [lost_finish(1000), clean(2000)];
        let mut engine = Scripted {
            answers: answers.into(),
            ..Scripted::default()
        };
        let mut model = model(&["a"]);
        run(&mut engine, &plan(1, 0, 1), &mut model).expect("not stopped");
        assert_eq!(model.prompts[0].samples.len(), 1);
        assert_eq!(model.prompts[0].rejected.len(), 1);
        assert_eq!(
            model.prompts[0].rejected[0].reason,
            Rejection::LostFinish {
                tokens: TOKENS as usize
            }
        );
        assert_eq!(engine.times_loaded, 1, "a rejection does not cost the model");
    }

    #[test]
    fn a_shorter_prefill_than_the_first_is_rejected() {
        let mut reused = clean(2000).expect("clean");
        reused.stats = reused.stats.map(|stats| RuntimeStats {
            prefill_tokens: 3,
            ..stats
        });
        let answers = [clean(1000), Ok(reused), clean(3000)];
        let mut engine = Scripted {
            answers: answers.into(),
            ..Scripted::default()
        };
        let mut model = model(&["a"]);
        run(&mut engine, &plan(1, 0, 2), &mut model).expect("not stopped");
        assert_eq!(
            model.prompts[0].rejected[0].reason,
            Rejection::WarmPrefill {
                computed: 3,
                prompt: 12
            }
        );
        assert_eq!(model.prompts[0].samples.len(), 2);
    }

    #[test]
    fn a_model_that_does_not_load_is_recorded_with_its_reason() {
        let loads = [Err(Failure::refused("no such file"))];
        let mut engine = Scripted {
            loads: loads.into(),
            ..Scripted::default()
        };
        let mut model = model(&["a"]);
        run(&mut engine, &plan(1, 1, 1), &mut model).expect("not stopped");
        assert_eq!(model.load_failure, Some(Failure::refused("no such file")));
        assert!(engine.asked.is_empty());
    }

    #[test]
    fn a_stop_ends_the_run_and_keeps_what_there_is() {
        let stop = Failure {
            kind: FailureKind::Stopped,
            ..Failure::refused("stopped by the user")
        };
        let mut engine = Scripted {
            answers: [clean(1000), Err(stop)].into(),
            ..Scripted::default()
        };
        let mut model = model(&["a"]);
        assert_eq!(run(&mut engine, &plan(1, 0, 5), &mut model), Err(Stopped));
        assert_eq!(model.prompts[0].samples.len(), 1);
    }
}
