//! Takes the samples of one suite with one model.
//!
//! Warm-up comes first and is recorded separately. Then the prompts are interleaved, round by round, so that a drift
//! of the machine does not affect only one of them. A sample that fails or is rejected is repeated once, immediately.
//! If the worker was lost, the model is loaded again first. After a second failure of the same sample, the prompt
//! gets no more samples.
//!
//! Runtimes before 1.3.0 take a run's length and sampling only at load. Prompts that differ in these are then run in
//! groups, with a load before each group.

use serde::{Deserialize, Serialize};

use crate::inference::Abilities;
use crate::inference::{Failure, FailureKind, LoadSpec};
use crate::inference::{Inference, Request};
use crate::machine::sampler::{Conditions, Witness};
use crate::measure::trial;
use crate::record::ledger::{Accepted, Ledger, Rejection, disturbances};
use crate::record::{ModelRecord, PromptRecord, Rejected, RunRecord, Sample};
use crate::runtime::engine::Engine;

pub use crate::measure::observer::{At, Observer, Outcome, Round, Stopped};

/// The samples to take.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The model.
    pub spec: LoadSpec,
    /// One request for each prompt of the model's record, in the same order.
    pub requests: Vec<Request>,
    /// Warm-up inferences of each prompt.
    pub warm_up: usize,
    /// Samples of each prompt.
    pub samples: usize,
    /// Whether a sample that the machine disturbed is rejected and repeated.
    pub strict: bool,
}

/// Takes the plan's samples and adds them to the model `index` of `record`, with the conditions that `witness` saw.
///
/// # Errors
/// [`Stopped`] if the engine reports a stop by the user or a changed model, or if the observer stops.
pub fn record(
    engine: &mut dyn Engine,
    plan: &Plan,
    record: &mut RunRecord,
    index: usize,
    witness: &mut dyn Witness,
    observer: &mut dyn Observer,
) -> Result<(), Stopped> {
    let mut recorder = Recorder {
        engine,
        plan,
        spec: plan.spec.clone(),
        record,
        index,
        witness,
        observer,
        loaded: None,
    };
    let mut left: Vec<usize> = (0..plan.requests.len()).collect();
    while let Some(first) = left.first() {
        recorder.load_for(&plan.requests[*first])?;
        let Some(loaded) = &recorder.loaded else {
            return Ok(()); // not loaded, and the record has the reason
        };
        let (group, others): (Vec<usize>, Vec<usize>) = left
            .into_iter()
            .partition(|prompt| serves(loaded.can, &recorder.spec, &plan.requests[*prompt]));
        let taken = recorder.take_all(&group);
        recorder.unload();
        taken?;
        left = others;
    }
    Ok(())
}

/// Whether a model that was loaded with `spec` can serve `request`.
fn serves(can: Abilities, spec: &LoadSpec, request: &Request) -> bool {
    (can.new_tokens_per_run || spec.max_new_tokens == request.max_new_tokens)
        && (can.sampling_per_run || spec.sampling == request.sampling)
}

/// A loaded model.
struct Ready {
    can: Abilities,
    ledger: Ledger,
}

struct Recorder<'a> {
    engine: &'a mut dyn Engine,
    plan: &'a Plan,
    /// The plan's load specification, with the settings of the current prompts.
    spec: LoadSpec,
    record: &'a mut RunRecord,
    /// The model's index in the record.
    index: usize,
    witness: &'a mut dyn Witness,
    observer: &'a mut dyn Observer,
    /// Absent while no model is loaded.
    loaded: Option<Ready>,
}

impl Recorder<'_> {
    fn model(&mut self) -> &mut ModelRecord {
        &mut self.record.models[self.index]
    }

    fn prompt(&mut self, prompt: usize) -> &mut PromptRecord {
        &mut self.model().prompts[prompt]
    }

    fn notify<T>(&mut self, what: impl FnOnce(&mut dyn Observer, At<'_>) -> T) -> T {
        let at = At {
            record: self.record,
            index: self.index,
        };
        what(self.observer, at)
    }

    /// Loads the model with the settings of `request`, for runtimes that take them only at load. Adds a failure to
    /// the record.
    fn load_for(&mut self, request: &Request) -> Result<(), Stopped> {
        self.loaded = None;
        self.spec.max_new_tokens = request.max_new_tokens;
        self.spec.sampling = request.sampling;
        match self.load() {
            Ok(()) => Ok(()),
            Err(failure) => {
                let continues = self.continue_after(&failure);
                if failure.kind != FailureKind::Changed {
                    self.model().load_failure = Some(failure);
                }
                continues
            }
        }
    }

    /// Whether the run continues after `failure`.
    fn continue_after(&mut self, failure: &Failure) -> Result<(), Stopped> {
        match failure.kind {
            FailureKind::Stopped => Err(Stopped),
            FailureKind::Changed => {
                self.model().changed = Some(failure.message.clone());
                Err(Stopped)
            }
            FailureKind::Refused | FailureKind::Lost => Ok(()),
        }
    }

    /// Frees the model, if one is loaded. A failure does not affect the samples, but it is recorded.
    fn unload(&mut self) {
        if self.loaded.take().is_some()
            && let Err(failure) = self.engine.unload()
        {
            self.model().unload_failure.get_or_insert(failure);
        }
    }

    /// Takes all samples of the prompts in `group`.
    fn take_all(&mut self, group: &[usize]) -> Result<(), Stopped> {
        let warm_up = (0..self.plan.warm_up).map(Round::WarmUp);
        let samples = (0..self.plan.samples).map(Round::Sample);
        for round in warm_up.chain(samples) {
            for prompt in group {
                self.take_one(*prompt, round)?;
            }
        }
        Ok(())
    }

    fn load(&mut self) -> Result<(), Failure> {
        let loaded = self.engine.load(&self.spec);
        self.note_warnings();
        let mut loaded = loaded?;
        // Once for each model: a second load has the same runtime.
        if self.model().loaded.is_none() {
            trial::pass(self.engine, &self.spec, &mut loaded)?;
        }
        let can = loaded.runtime.abilities();
        self.loaded = Some(Ready {
            can,
            ledger: Ledger::new(can, &self.spec),
        });
        self.model().loaded.get_or_insert(loaded);
        self.notify(|observer, at| observer.loaded(at));
        Ok(())
    }

    /// Takes one sample of one prompt, in at most two attempts.
    fn take_one(&mut self, prompt: usize, round: Round) -> Result<(), Stopped> {
        const ATTEMPTS: usize = 2;
        for _ in 0..ATTEMPTS {
            if self.prompt(prompt).given_up.is_some() || self.attempt(prompt, round)? {
                return Ok(());
            }
        }
        let record = self.prompt(prompt);
        record.given_up = Some(format!(
            "one sample failed {ATTEMPTS} times in a row: {}",
            last_fault(record)
        ));
        Ok(())
    }

    /// Makes one attempt. Returns whether it gave a sample.
    fn attempt(&mut self, prompt: usize, round: Round) -> Result<bool, Stopped> {
        self.notify(|observer, at| observer.begins(at, prompt, round))?;
        match self.infer(prompt) {
            Ok(inference) => Ok(self.judge(prompt, round, inference)),
            Err(failure) => {
                self.continue_after(&failure)?;
                if failure.kind == FailureKind::Lost {
                    self.loaded = None;
                }
                self.prompt(prompt).failures.push(failure.clone());
                self.notify(|observer, at| observer.ended(at, prompt, Outcome::Failed(&failure)));
                Ok(false)
            }
        }
    }

    fn infer(&mut self, prompt: usize) -> Result<Inference, Failure> {
        if self.loaded.is_none() {
            self.load()?;
        }
        self.witness.begins(self.engine.process_id());
        let inference = self.engine.infer(&self.plan.requests[prompt]);
        self.note_warnings();
        inference
    }

    /// Keeps the runtime's warnings, because they may affect the result: no chat template, or fewer threads.
    fn note_warnings(&mut self) {
        let warnings = self.engine.warnings();
        self.model().warn(warnings);
    }

    fn judge(&mut self, prompt: usize, round: Round, inference: Inference) -> bool {
        let request = &self.plan.requests[prompt];
        let conditions = self.witness.conditions(inference.call_ns, inference.return_ns);
        let Some(loaded) = &mut self.loaded else {
            return false;
        };
        let record = &mut self.record.models[self.index].prompts[prompt];
        let mut verdict = loaded.ledger.judge(request, record.prompt_tokens, &inference);
        if verdict.is_ok() && record.prompt_tokens.is_none() {
            record.prompt_tokens = inference.reported_prompt_tokens(&request.input);
        }
        if let Some(conditions) = &conditions {
            // A warm-up is not a sample, so it is not repeated.
            let is_strict = self.plan.strict && matches!(round, Round::Sample(_));
            verdict = verdict.and_then(|accepted| disturbed(accepted, conditions, is_strict));
        }
        match verdict {
            Ok(accepted) => {
                let samples = match round {
                    Round::WarmUp(_) => &mut record.warm_up,
                    Round::Sample(_) => &mut record.samples,
                };
                samples.push(Sample {
                    phases: accepted.phases,
                    marks: accepted.marks,
                    conditions,
                    inference,
                });
                self.notify(|observer, at| observer.ended(at, prompt, Outcome::Stands));
                true
            }
            Err(reason) => {
                record.rejected.push(Rejected {
                    reason: reason.clone(),
                    inference,
                });
                self.notify(|observer, at| observer.ended(at, prompt, Outcome::Rejected(&reason)));
                false
            }
        }
    }
}

/// Marks what disturbed an inference, or rejects the inference.
fn disturbed(
    mut accepted: Accepted,
    conditions: &Conditions,
    is_strict: bool,
) -> Result<Accepted, Rejection> {
    let by = disturbances(conditions);
    if is_strict && !by.is_empty() {
        return Err(Rejection::Disturbed { by });
    }
    accepted.marks.extend(by);
    Ok(accepted)
}

/// The last failure of a prompt that was given up.
fn last_fault(record: &PromptRecord) -> String {
    let failure = record.failures.last().map(|failure| failure.message.clone());
    let rejection = record.rejected.last().map(|rejected| rejected.reason.to_string());
    failure.or(rejection).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::base::number::Size as _;
    use std::collections::VecDeque;

    use super::*;
    use crate::inference::{Finish, Input, RuntimeStats};
    use crate::record::fixtures;
    use crate::record::ledger::Mark;
    use crate::runtime::engine::scripted::{self, Scripted};

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

    fn model(ids: &[&str]) -> ModelRecord {
        ModelRecord {
            prompts: ids.iter().map(|id| fixtures::prompt(id)).collect(),
            ..fixtures::model("m")
        }
    }

    fn plan(prompts: usize, warm_up: usize, samples: usize) -> Plan {
        Plan {
            spec: scripted::spec(TOKENS),
            requests: (0..prompts)
                .map(|prompt| Request {
                    input: Input::Text(format!("prompt {prompt}")),
                    ..scripted::request(TOKENS)
                })
                .collect(),
            warm_up,
            samples,
            strict: false,
        }
    }

    fn run(engine: &mut Scripted, plan: &Plan, model: &mut ModelRecord) -> Result<(), Stopped> {
        run_seen_by(&mut (), engine, plan, model)
    }

    fn run_seen_by(
        witness: &mut dyn Witness,
        engine: &mut Scripted,
        plan: &Plan,
        model: &mut ModelRecord,
    ) -> Result<(), Stopped> {
        struct Silent;
        impl Observer for Silent {}
        let mut whole = fixtures::empty();
        whole.models.push(model.clone());
        let outcome = record(engine, plan, &mut whole, 0, witness, &mut Silent);
        *model = whole.models.remove(0);
        outcome
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
        assert_eq!(engine.specs.len(), 2);
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
        assert_eq!(engine.specs.len(), 3);
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
                tokens: TOKENS.size()
            }
        );
        assert_eq!(engine.specs.len(), 1, "a rejection does not cost the model");
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
    fn what_a_runtime_learns_only_at_load_is_loaded_for() {
        let answers: VecDeque<_> = (1..=4).map(|step| clean(step * 1000)).collect();
        let mut plan = plan(2, 0, 2);
        plan.requests[1].sampling.temperature = 0.5;
        let asked = |lacks: fn(&mut Abilities)| {
            let mut engine = Scripted {
                answers: answers.clone(),
                lacks,
                ..Scripted::default()
            };
            run(&mut engine, &plan, &mut model(&["a", "b"])).expect("not stopped");
            let inputs: Vec<_> = engine
                .asked
                .iter()
                .map(|request| request.sampling.temperature)
                .collect();
            let loads: Vec<_> = engine
                .specs
                .iter()
                .map(|spec| spec.sampling.temperature)
                .collect();
            (inputs, loads)
        };
        assert_eq!(asked(|_| {}), (vec![1.0, 0.5, 1.0, 0.5], vec![1.0]));
        assert_eq!(
            asked(|can| can.sampling_per_run = false),
            (vec![1.0, 1.0, 0.5, 0.5], vec![1.0, 0.5])
        );
    }

    #[test]
    fn a_death_on_unloading_costs_no_sample_and_is_recorded() {
        let mut engine = Scripted {
            answers: [clean(1000)].into(),
            unload: Err(scripted::lost()),
            ..Scripted::default()
        };
        let mut model = model(&["a"]);
        run(&mut engine, &plan(1, 0, 1), &mut model).expect("not stopped");
        assert_eq!(model.prompts[0].samples.len(), 1);
        assert_eq!(model.unload_failure, Some(scripted::lost()));
    }

    /// Saw what a test wrote down, and what it was asked.
    struct Seen {
        lost_percent: VecDeque<f64>,
        asked: Vec<(u64, u64)>,
    }

    impl Witness for Seen {
        fn begins(&mut self, _: Option<u32>) {}

        fn conditions(&mut self, call_ns: u64, return_ns: u64) -> Option<Conditions> {
            self.asked.push((call_ns, return_ns));
            Some(Conditions {
                waited_percent: self.lost_percent.pop_front(),
                cpus: vec![0],
                ..Conditions::default()
            })
        }
    }

    /// Warm-up and four inferences, of which the warm-up and the second sample lose a third of a core.
    fn disturbed_run(strict: bool) -> (ModelRecord, Vec<(u64, u64)>) {
        let mut engine = Scripted {
            answers: (1..=4).map(|n| clean(n * 1000)).collect(),
            ..Scripted::default()
        };
        let mut seen = Seen {
            lost_percent: [33.0, 1.0, 33.0, 1.0].into(),
            asked: vec![],
        };
        let plan = Plan {
            strict,
            ..plan(1, 1, 2)
        };
        let mut model = model(&["a"]);
        run_seen_by(&mut seen, &mut engine, &plan, &mut model).expect("not stopped");
        (model, seen.asked)
    }

    #[test]
    fn a_disturbed_sample_stands_with_its_mark_and_conditions() {
        let (model, asked) = disturbed_run(false);
        let prompt = &model.prompts[0];
        assert_eq!((prompt.samples.len(), prompt.rejected.len()), (2, 0));
        let mark = Mark::OtherProcess {
            percent: 33.0,
            cpus: vec![0],
        };
        assert!(!prompt.samples[0].marks.contains(&mark));
        assert!(prompt.samples[1].marks.contains(&mark) && prompt.warm_up[0].marks.contains(&mark));
        let waited = prompt.samples[1]
            .conditions
            .as_ref()
            .map(|seen| seen.waited_percent);
        assert_eq!(waited, Some(Some(33.0)));
        assert_eq!(asked[1], (0, 50_008_000), "the inference's own stamps");
    }

    #[test]
    fn a_strict_run_takes_a_disturbed_sample_again() {
        let (model, asked) = disturbed_run(true);
        let prompt = &model.prompts[0];
        assert_eq!(
            (prompt.warm_up.len(), prompt.samples.len(), asked.len()),
            (1, 2, 4)
        );
        assert_eq!(prompt.rejected.len(), 1);
        let reason = prompt.rejected[0].reason.to_string();
        assert_eq!(
            reason,
            "disturbed (--strict): other processes took CPU time from the model"
        );
        assert_eq!(prompt.given_up, None);
        let marks = prompt.samples.iter().flat_map(|sample| &sample.marks);
        assert_eq!(marks.filter(|mark| mark.name() == "other_process").count(), 0);
    }

    #[test]
    fn an_observer_can_stop_the_run_before_an_inference() {
        struct StopsAt(Round);
        impl Observer for StopsAt {
            fn begins(&mut self, _: At<'_>, _: usize, round: Round) -> Result<(), Stopped> {
                if round == self.0 { Err(Stopped) } else { Ok(()) }
            }
        }
        let mut engine = Scripted {
            answers: [clean(1000), clean(2000)].into(),
            ..Scripted::default()
        };
        let mut whole = fixtures::empty();
        whole.models.push(model(&["a"]));
        let mut observer = StopsAt(Round::Sample(1));
        let outcome = record(&mut engine, &plan(1, 1, 2), &mut whole, 0, &mut (), &mut observer);
        assert_eq!(outcome, Err(Stopped));
        assert_eq!(engine.asked.len(), 2, "the warm-up and one sample");
        assert_eq!(whole.models[0].prompts[0].samples.len(), 1);
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
