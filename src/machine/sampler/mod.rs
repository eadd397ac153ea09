//! A thread that samples the machine and the process that runs the model ten times a second during a run. What it saw
//! during an inference becomes the [`Conditions`] of that sample.
//!
//! It avoids the measuring CPUs if there are others, opens its files once, and records its own cost.

mod conditions;
mod process;
mod reread;
mod series;
mod sources;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::thread::CpuSet;
use rustix::time::{ClockId, Timespec, clock_gettime};
use serde::{Deserialize, Serialize};

pub use conditions::{ClockRange, Conditions};

use crate::base::wait;
use crate::machine::board::Board;
use series::Series;
use sources::Sources;

/// Sampling interval.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long the thread may take to end: more than one sample.
const ENDING: Duration = Duration::from_secs(1);

/// Watches the machine during inferences. The recorder knows only this trait.
pub trait Witness {
    /// The process `pid` is about to make an inference; absent: an invisible process is.
    fn begins(&mut self, pid: Option<u32>);

    /// What was seen between two times of `CLOCK_MONOTONIC`, ns, of the inference that has just ended; absent if
    /// nothing could be read.
    fn conditions(&mut self, call_ns: u64, return_ns: u64) -> Option<Conditions>;
}

/// A watch that sees nothing.
impl Witness for () {
    fn begins(&mut self, _pid: Option<u32>) {}

    fn conditions(&mut self, _call_ns: u64, _return_ns: u64) -> Option<Conditions> {
        None
    }
}

/// How a run was watched, and the cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamplerRecord {
    /// Sampling interval, ms; there is one more sample right before and right after each inference.
    pub interval_ms: u64,
    /// CPUs that the model ran on, as far as known.
    pub cpus: Vec<u16>,
    /// CPUs of the sampler's thread; empty if there were none beside those of the model.
    pub own_cpus: Vec<u16>,
    /// Number of samples.
    pub ticks: u64,
    /// CPU time of all samples, ns.
    pub cpu_ns: u64,
    /// Time from its start to this record, ns.
    pub elapsed_ns: u64,
}

impl SamplerRecord {
    /// Its cost, percent of one core; absent if no time has passed.
    pub fn cost_percent(&self) -> Option<f64> {
        series::percent(self.cpu_ns, self.elapsed_ns)
    }
}

/// The sampler. Dropping it ends its thread.
#[derive(Debug)]
pub struct Sampler {
    state: Arc<Mutex<State>>,
    own_cpus: Vec<u16>,
    started_ns: u64,
    /// Dropped to end the thread.
    stop: Option<Sender<()>>,
    /// Absent if no thread could be started: then only the samples before and after each inference exist.
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    root: PathBuf,
    sources: Sources,
    series: Series,
    ticks: u64,
    cpu_ns: u64,
    /// The sampler's own thread.
    own_tid: Option<u32>,
}

impl Sampler {
    /// Starts to watch this machine, described by `board`, for a model on the CPUs of `cpu_mask` (bit n is CPU n).
    pub fn start(board: &Board, cpu_mask: Option<u32>) -> Self {
        let mut sampler = Self::below(Path::new("/"), board, cpu_mask);
        let (stop, stopped) = channel();
        let (state, own_cpus) = (Arc::clone(&sampler.state), sampler.own_cpus.clone());
        let thread = std::thread::Builder::new().name("sampler".into()).spawn(move || {
            pin(&own_cpus);
            lock(&state).own_tid = u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).ok();
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                lock(&state).tick(now_ns(ClockId::Monotonic));
            }
        });
        sampler.stop = Some(stop);
        sampler.thread = thread.ok();
        sampler
    }

    /// The same for the files below `root`, without a thread.
    fn below(root: &Path, board: &Board, cpu_mask: Option<u32>) -> Self {
        let share = &board.share;
        let usable = if share.allowed_cpus.is_empty() {
            &share.online_cpus
        } else {
            &share.allowed_cpus
        };
        let of_mask = |mask: u32| (0..32).filter(|cpu| mask >> cpu & 1 == 1).collect();
        let cpus: Vec<u16> = cpu_mask.map_or_else(|| usable.clone(), of_mask);
        // Without a mask a runtime uses the fast CPUs, if there are any.
        let measuring = if cpu_mask.is_none() && !board.big_cpus.is_empty() {
            &board.big_cpus
        } else {
            &cpus
        };
        let own_cpus = usable.iter().filter(|cpu| !measuring.contains(cpu)).copied();
        Self {
            own_cpus: own_cpus.collect(),
            state: Arc::new(Mutex::new(State {
                root: root.to_owned(),
                sources: Sources::open(root, board, cpus),
                series: Series::default(),
                ticks: 0,
                cpu_ns: 0,
                own_tid: None,
            })),
            started_ns: now_ns(ClockId::Monotonic),
            stop: None,
            thread: None,
        }
    }

    /// How the run was watched, and the cost until now.
    pub fn record(&self) -> SamplerRecord {
        let state = lock(&self.state);
        SamplerRecord {
            interval_ms: u64::try_from(INTERVAL.as_millis()).unwrap_or(u64::MAX),
            cpus: state.sources.cpus.clone(),
            own_cpus: self.own_cpus.clone(),
            ticks: state.ticks,
            cpu_ns: state.cpu_ns,
            elapsed_ns: now_ns(ClockId::Monotonic).saturating_sub(self.started_ns),
        }
    }
}

impl Witness for Sampler {
    fn begins(&mut self, pid: Option<u32>) {
        let now_ns = now_ns(ClockId::Monotonic);
        lock(&self.state).begin(pid, now_ns);
    }

    fn conditions(&mut self, call_ns: u64, return_ns: u64) -> Option<Conditions> {
        let mut state = lock(&self.state);
        state.tick(now_ns(ClockId::Monotonic));
        state.series.conditions(&state.sources, call_ns, return_ns)
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it, or a sensor whose driver hangs, costs only the later samples.
            wait::joined(thread, ENDING);
        }
    }
}

impl State {
    /// Takes a sample right before an inference of `pid`.
    fn begin(&mut self, pid: Option<u32>, at_ns: u64) {
        self.series.forget_before(at_ns);
        let Self { root, sources, .. } = self;
        sources.watch(root, pid, self.own_tid);
        self.tick(at_ns);
    }

    fn tick(&mut self, at_ns: u64) {
        let before_ns = now_ns(ClockId::ThreadCPUTime);
        let tick = self.sources.tick(at_ns);
        self.series.push(tick);
        self.ticks += 1;
        self.cpu_ns += now_ns(ClockId::ThreadCPUTime).saturating_sub(before_ns);
    }
}

/// The numbers stay consistent after a panic while it was locked.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Pins this thread to `cpus`, if any. If the kernel refuses, it runs anywhere.
fn pin(cpus: &[u16]) {
    let mut set = CpuSet::new();
    for cpu in cpus.iter().map(|cpu| usize::from(*cpu)) {
        if cpu < CpuSet::MAX_CPU {
            set.set(cpu);
        }
    }
    if set.count() > 0 {
        let _ = rustix::thread::sched_setaffinity(None, &set);
    }
}

fn now_ns(clock: ClockId) -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    let (seconds, ns) = (
        u64::try_from(tv_sec).unwrap_or(0),
        u64::try_from(tv_nsec).unwrap_or(0),
    );
    seconds.saturating_mul(1_000_000_000).saturating_add(ns)
}
