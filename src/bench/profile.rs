//! Flamegraphs: criterion's `--profile-time` runs live inference in this process, under a sampling profiler.
//!
//! Nothing is measured here. Each picture shows one prompt and has two frames at its root: `prefill` has the samples
//! before the first token of a run, `decode` those after it, on all threads. The runtime's own frames cannot show this
//! division: its worker threads do not know the phase, and an NPU runtime has no symbols.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use criterion::Criterion;
use criterion::profiler::Profiler;
use pprof::flamegraph::Options as Drawing;
use pprof::{Frames, ProfilerGuard, ProfilerGuardBuilder, Report, Symbol, UnresolvedReport};

use crate::base::console::say;
use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::bench::criterion::replay;
use crate::bench::criterion::replay::TokenTime;
use crate::inference::Abilities;
use crate::inference::Failure;
use crate::inference::Request;
use crate::measure::recorder::Plan;
use crate::measure::trial;
use crate::record::RunRecord;
use crate::record::phase;
use crate::report::criterion_folder::Place;
use crate::runtime::engine::{Engine as _, InProcess, Moment};

/// Samples for each second of CPU time: enough for a run of one second, and odd, to stay out of step with timers.
const FREQUENCY: i32 = 499;

/// Libraries in which a thread may hold a lock that unwinding its stack would wait for.
const NOT_UNWOUND: [&str; 4] = ["libc", "libgcc", "pthread", "vdso"];

/// Runs each prompt of `record` by its model's plan while criterion, which reads this process's arguments, asks for
/// more; `selects` decides which identifiers run.
///
/// # Errors
/// [`Error::Profile`] when a prompt could not be run or drawn; the other prompts were.
pub(crate) fn profile(record: &RunRecord, plans: &[Plan], selects: &dyn Fn(&str) -> bool) -> Result<()> {
    // A process started by way of /proc/self/exe has the name "exe".
    let _ = rustix::thread::set_name(c"main");
    let flamegraph = Flamegraph::default();
    let mut criterion = replay::criterion().with_profiler(flamegraph.clone());
    let mut failed = 0;
    for (model, plan) in record.models.iter().zip(plans) {
        for (prompt, request) in model.prompts.iter().zip(&plan.requests) {
            // A run has all phases, so each prompt gets one picture: at the last phase that the filter selects.
            let phases = phase::planned_phases(&record.parameters, Abilities::of_header())
                .into_iter()
                .rev();
            let id = |phase| phase::identifier(&model.name, &record.suite.name, phase, &prompt.id);
            let Some(phase) = phases.into_iter().find(|phase| selects(&id(*phase))) else {
                continue;
            };
            let place = Place::of(&model.name, &record.suite.name, phase, &prompt.id);
            let outcome = load(plan, request, &flamegraph)
                .and_then(|engine| run_live(&mut criterion, place, engine, request, &flamegraph));
            if let Err(failure) = outcome {
                say(format_args!("{}: {failure}", id(phase)));
                failed += 1;
            }
        }
    }
    failed += flamegraph.state().failed;
    if let Some(note) = flamegraph.state().note {
        say(note);
    }
    if failed == 0 {
        Ok(())
    } else {
        Err(Error::Profile { failed })
    }
}

/// Makes as many runs as criterion asks for, until one fails.
fn run_live(
    criterion: &mut Criterion<TokenTime>,
    place: Place,
    mut engine: InProcess,
    request: &Request,
    flamegraph: &Flamegraph,
) -> Result<(), Failure> {
    let mut outcome = Ok(());
    let mut group = criterion.benchmark_group(place.group);
    group.bench_function(place.id, |bencher| {
        bencher.iter_custom(|runs| {
            let start = Instant::now();
            for _ in 0..runs {
                if outcome.is_ok() {
                    outcome = engine.infer(request).map(|_| ());
                    flamegraph.settle(Some(Part::Decode));
                }
            }
            // Criterion goes on until its time has passed. After a failure a long duration ends it.
            if outcome.is_ok() {
                start.elapsed()
            } else {
                Duration::from_hours(1)
            }
        });
    });
    group.finish();
    outcome
}

/// Loads the model for `request`; the engine reports the start and the first token of each run to `flamegraph`.
fn load(plan: &Plan, request: &Request, flamegraph: &Flamegraph) -> Result<InProcess, Failure> {
    let mut spec = plan.spec.clone();
    spec.max_new_tokens = request.max_new_tokens;
    spec.sampling = request.sampling;
    let mut engine = InProcess::new();
    let mut loaded = engine.load(&spec)?;
    trial::pass(&mut engine, &spec, &mut loaded)?;
    let flamegraph = flamegraph.clone();
    engine.watch(move |moment| match moment {
        Moment::Call => flamegraph.settle(None),
        Moment::FirstToken => flamegraph.settle(Some(Part::Prefill)),
    });
    Ok(engine)
}

/// The parts of a run that a picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Prefill,
    Decode,
}

impl Part {
    const ALL: [Self; 2] = [Self::Prefill, Self::Decode];

    const fn index(self) -> usize {
        match self {
            Self::Prefill => 0,
            Self::Decode => 1,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
        }
    }
}

/// Criterion's profiler, shared with the runs that it profiles.
#[derive(Debug, Clone, Default)]
struct Flamegraph(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    sampling: Option<Sampling>,
    failed: usize,
    /// Of the pictures that were drawn.
    note: Option<&'static str>,
}

/// The samples since the start: all of them, and those assigned to each part.
struct Sampling {
    guard: ProfilerGuard<'static>,
    all: UnresolvedReport,
    parts: [UnresolvedReport; 2],
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("sampling", &self.sampling.is_some())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl Flamegraph {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Assigns the samples since the last call to `part`, or to none.
    fn settle(&self, part: Option<Part>) {
        if let Some(sampling) = &mut self.state().sampling {
            sampling.settle(part);
        }
    }
}

impl Sampling {
    fn start() -> pprof::Result<Self> {
        let guard = ProfilerGuardBuilder::default()
            .frequency(FREQUENCY)
            .blocklist(&NOT_UNWOUND)
            .build()?;
        let empty = || guard.report().build_unresolved();
        let (all, parts) = (empty()?, [empty()?, empty()?]);
        Ok(Self { guard, all, parts })
    }

    fn settle(&mut self, part: Option<Part>) {
        let Ok(now) = self.guard.report().build_unresolved() else {
            return; // the profiler is gone, and nothing can have been sampled
        };
        if let Some(part) = part {
            let counts = &mut self.parts[part.index()].data;
            for (stack, count) in &now.data {
                let new = count - self.all.data.get(stack).copied().unwrap_or_default();
                if new > 0 {
                    *counts.entry(stack.clone()).or_default() += new;
                }
            }
        }
        self.all = now;
    }

    /// All stacks, with the names of part and thread at the root, and how many of their frames have names.
    fn into_report(self) -> (Report, Names) {
        let timing = self.all.timing;
        let mut data = std::collections::HashMap::new();
        let mut names = Names::default();
        for (part, report) in Part::ALL.into_iter().zip(self.parts) {
            for (stack, count) in report.data {
                let depth = stack.frames.len();
                // The conversion drops frames without a name.
                let mut frames = Frames::from(stack);
                names.add(depth, &frames, count.unsigned_abs());
                let thread = std::mem::replace(&mut frames.thread_name, part.name().into());
                frames.frames.push(vec![named(&thread)]);
                *data.entry(frames).or_default() += count;
            }
        }
        (Report { data, timing }, names)
    }
}

/// How many of the sampled frames have names.
#[derive(Debug, Default)]
struct Names {
    /// Frames of all samples.
    frames: usize,
    /// Those with a name.
    named: usize,
    /// Whether any function of this crate is among them.
    has_ours: bool,
}

impl Names {
    fn add(&mut self, depth: usize, frames: &Frames, count: usize) {
        self.frames += depth * count;
        self.named += frames.frames.len() * count;
        let mut symbols = frames.frames.iter().flatten();
        self.has_ours = self.has_ours || symbols.any(|symbol| symbol.name().contains("rkllm_bench::"));
    }

    /// What the picture lacks, and what to do about it.
    fn note(&self) -> Option<&'static str> {
        if !self.has_ours {
            Some(
                "note: this executable has no symbols, so the picture names few functions; build it with \
                 CARGO_PROFILE_BENCH_STRIP=false to keep them, and with CARGO_PROFILE_BENCH_DEBUG=line-tables-only to see \
                 inlined functions too",
            )
        } else if self.named * 2 < self.frames {
            Some(
                "note: more than half of the frames are in libraries without symbols, so the picture does not name them",
            )
        } else {
            None
        }
    }
}

fn named(name: &str) -> Symbol {
    Symbol {
        name: Some(name.as_bytes().to_vec()),
        addr: None,
        lineno: None,
        filename: None,
    }
}

impl Profiler for Flamegraph {
    fn start_profiling(&mut self, id: &str, _: &Path) {
        let mut state = self.state();
        match Sampling::start() {
            Ok(sampling) => {
                say(format_args!("{id}: running under the profiler"));
                state.sampling = Some(sampling);
            }
            Err(error) => {
                say(format_args!("{id}: the profiler did not start: {error}"));
                state.failed += 1;
            }
        }
    }

    fn stop_profiling(&mut self, id: &str, folder: &Path) {
        let mut state = self.state();
        let Some(sampling) = state.sampling.take() else {
            return;
        };
        let path = folder.join("flamegraph.svg");
        let (report, names) = sampling.into_report();
        match draw(&report, id, &path) {
            Ok(samples) => {
                say(format_args!("{id}: {samples} samples in {}", path.shown()));
                state.note = names.note().or(state.note);
            }
            Err(error) => {
                say(format_args!("{id}: no flamegraph: {error}"));
                state.failed += 1;
            }
        }
    }
}

/// Draws `report` and returns the number of its samples.
fn draw(report: &Report, title: &str, path: &Path) -> Result<isize> {
    let samples = report.data.values().sum();
    if samples == 0 {
        return Err(Error::BadParameter(
            "nothing was sampled; profile for longer (--profile-time)".into(),
        ));
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    let file = BufWriter::new(File::create(path).map_err(Error::io(path))?);
    let mut drawing = Drawing::default();
    title.clone_into(&mut drawing.title);
    report
        .flamegraph_with_options(file, &mut drawing)
        .map_err(|error| Error::BadParameter(error.to_string()))?;
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_names_is_said() {
        let names = |frames, named, has_ours| Names {
            frames,
            named,
            has_ours,
        };
        assert_eq!(names(10, 9, true).note(), None);
        let stripped = names(10, 3, false).note();
        assert!(stripped.is_some_and(|note| note.contains("CARGO_PROFILE_BENCH_STRIP=false")));
        let library = names(10, 4, true).note();
        assert!(library.is_some_and(|note| note.contains("libraries without symbols")));
    }
}
