//! A closed loop: several clients of one server, each of which sends its next request after an answer.
//!
//! Each client takes all samples of the plan, as in a run with one client, so that all have the same work. Their
//! samples are combined in one record.

use std::sync::mpsc::{Sender, channel};

use crate::inference::{Failure, FailureKind};
use crate::measure::recorder::{self, At, Observer, Outcome, Plan, Stopped};
use crate::record::{ModelRecord, Rejected, RunRecord, Sample};
use crate::runtime::engine::Engine;

/// A result of a client.
enum Taken {
    WarmUp(usize, Sample),
    Sample(usize, Sample),
    Rejected(usize, Rejected),
    Failed(usize, Failure),
}

/// Takes the plan's samples with `clients` clients, and adds them to the model `index` of `record`. `engine` makes a
/// client. One more client keeps the model loaded meanwhile.
///
/// # Errors
/// [`Stopped`] if the user asked for it.
pub(crate) fn record(
    clients: u16,
    engine: &(dyn Fn() -> Result<Box<dyn Engine>, Failure> + Sync),
    plan: &Plan,
    record: &mut RunRecord,
    index: usize,
    observer: &mut dyn Observer,
) -> Result<(), Stopped> {
    let loaded = engine().and_then(|mut holder| {
        let loaded = holder.load(&plan.spec)?;
        Ok((holder, loaded))
    });
    let mut holder = match loaded {
        Ok((holder, loaded)) => {
            record.models[index].loaded = Some(loaded);
            holder
        }
        Err(failure) => {
            let stopped = failure.kind == FailureKind::Stopped;
            record.models[index].load_failure = Some(failure);
            return if stopped { Err(Stopped) } else { Ok(()) };
        }
    };
    observer.loaded(At { record, index });
    let alone = RunRecord {
        models: vec![record.models[index].clone()],
        ..record.clone()
    };
    let (sender, taken) = channel();
    let outcomes = std::thread::scope(|scope| {
        let running: Vec<_> = (0..clients)
            .map(|_| {
                let (mut own, sender) = (alone.clone(), sender.clone());
                scope.spawn(move || {
                    let outcome = client(engine, plan, &mut own, sender);
                    (own.models.remove(0), outcome)
                })
            })
            .collect();
        drop(sender);
        // Ends when all clients have ended, which happens by their deadlines or by a stop.
        for taken in taken {
            keep(record, index, taken, observer);
        }
        let ended = running.into_iter().map(std::thread::ScopedJoinHandle::join);
        ended
            .map(|client| client.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Vec<_>>()
    });
    let model = &mut record.models[index];
    let stopped = outcomes.iter().any(|(_, outcome)| outcome.is_err());
    for (number, (of_client, _)) in outcomes.into_iter().enumerate() {
        join(model, of_client, number + 1);
    }
    if let Err(failure) = holder.unload() {
        model.unload_failure.get_or_insert(failure);
    }
    if stopped { Err(Stopped) } else { Ok(()) }
}

fn client(
    engine: &(dyn Fn() -> Result<Box<dyn Engine>, Failure> + Sync),
    plan: &Plan,
    own: &mut RunRecord,
    sender: Sender<Taken>,
) -> Result<(), Stopped> {
    let mut engine = match engine() {
        Ok(engine) => engine,
        Err(failure) => {
            own.models[0].load_failure = Some(failure);
            return Ok(());
        }
    };
    // The client's machine is not watched, because the load is on the server.
    recorder::record(&mut *engine, plan, own, 0, &mut (), &mut Reporting(sender))
}

/// Sends the results of a client.
struct Reporting(Sender<Taken>);

impl Observer for Reporting {
    fn ended(&mut self, at: At<'_>, prompt: usize, outcome: Outcome<'_>) {
        let record = &at.model().prompts[prompt];
        let taken = match outcome {
            Outcome::Stands => match record.samples.last() {
                Some(sample) => Some(Taken::Sample(prompt, sample.clone())),
                None => record
                    .warm_up
                    .last()
                    .map(|sample| Taken::WarmUp(prompt, sample.clone())),
            },
            Outcome::Rejected(_) => record
                .rejected
                .last()
                .map(|last| Taken::Rejected(prompt, last.clone())),
            Outcome::Failed(failure) => Some(Taken::Failed(prompt, failure.clone())),
        };
        if let Some(taken) = taken {
            let _ = self.0.send(taken); // the receiver outlives all clients
        }
    }
}

fn keep(record: &mut RunRecord, index: usize, taken: Taken, observer: &mut dyn Observer) {
    let prompts = &mut record.models[index].prompts;
    let (prompt, reason, failure) = match taken {
        Taken::WarmUp(prompt, sample) => {
            prompts[prompt].warm_up.push(sample);
            (prompt, None, None)
        }
        Taken::Sample(prompt, sample) => {
            prompts[prompt].samples.push(sample);
            (prompt, None, None)
        }
        Taken::Rejected(prompt, rejected) => {
            let reason = rejected.reason.clone();
            prompts[prompt].rejected.push(rejected);
            (prompt, Some(reason), None)
        }
        Taken::Failed(prompt, failure) => {
            prompts[prompt].failures.push(failure.clone());
            (prompt, None, Some(failure))
        }
    };
    let outcome = match (&reason, &failure) {
        (Some(reason), _) => Outcome::Rejected(reason),
        (_, Some(failure)) => Outcome::Failed(failure),
        _ => Outcome::Stands,
    };
    observer.ended(At { record, index }, prompt, outcome);
}

/// Adds what a client knows about its prompts, and sorts the samples of all clients by time.
fn join(model: &mut ModelRecord, of_client: ModelRecord, number: usize) {
    if let Some(failure) = of_client.load_failure {
        model.load_failure.get_or_insert(failure);
    }
    for (prompt, own) in model.prompts.iter_mut().zip(of_client.prompts) {
        prompt.prompt_tokens = prompt.prompt_tokens.or(own.prompt_tokens);
        if let Some(why) = own.given_up {
            prompt
                .given_up
                .get_or_insert_with(|| format!("client {number}: {why}"));
        }
        for samples in [&mut prompt.warm_up, &mut prompt.samples] {
            samples.sort_by_key(|sample| sample.inference.call_ns);
        }
    }
}
