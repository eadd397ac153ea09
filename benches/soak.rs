//! A soak test: loads, runs and unloads a model repeatedly, first in workers, then in this process. Memory, threads,
//! file descriptors and child processes must not grow.
//!
//! Run it by name, with a duration in seconds (default 10) and a model (default: the tiny built-in one):
//! `cargo bench --bench soak -- 120`. Its exit code is 1 if something grew.

#![expect(
    unsafe_code,
    reason = "glibc returns free memory and reports the allocated bytes"
)]

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use rkllm_bench::engine::{Engine, InProcess, Worker, serve_if_worker};
use rkllm_bench::inference::{FailureKind, LoadSpec};
use rkllm_bench::inference::{Finish, Input, Request, Sampling, token_ids};
use rkllm_bench::models;

/// Allowed growth of resident memory between the first and the last third of the rounds, kB. Fragmentation keeps partly
/// used pages resident.
const ALLOWED_RESIDENT_KB: i64 = 1024;
/// Allowed growth of allocated memory, kB, which fragmentation does not affect.
const ALLOWED_HEAP_KB: i64 = 16;
/// Disables glibc's cache of freed chunks: up to 236 kB for each thread, counted as allocated. glibc reads the variable
/// when a program starts.
const WITHOUT_CACHE: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");
/// First rounds, which do not count: allocator, thread pools and files of the runtime reach their size.
const WARM_UP: usize = 5;
/// Closed sessions that the guard keeps for late callbacks: memory grows during this number of loads.
const KEPT_SESSIONS: usize = 64;
/// Minimum number of rounds for a result.
const FEWEST: usize = 9;
/// How long threads and processes may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What the process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    threads: usize,
    descriptors: usize,
    children: usize,
}

impl Held {
    fn now() -> Result<Self> {
        let (mut threads, mut children) = (0, 0);
        for task in fs::read_dir("/proc/self/task")? {
            threads += 1;
            // A thread may end while it is looked at.
            let listed = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
            children += listed.split_whitespace().count();
        }
        Ok(Self {
            threads,
            // Without the one that reads the folder.
            descriptors: fs::read_dir("/proc/self/fd")?.count() - 1,
            children,
        })
    }

    /// The state after ending threads and processes have ended.
    fn settled(wanted: Self) -> Result<Self> {
        let end = Instant::now() + PATIENCE;
        loop {
            let now = Self::now()?;
            if now == wanted || Instant::now() > end {
                return Ok(now);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Allocated bytes in all arenas and mapped blocks; only glibc reports them. The value wraps at 4 GB, but differences
/// are right. (`mallinfo2`, which does not wrap, needs glibc 2.33; boards have older versions.)
fn allocated() -> Option<i32> {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: no condition.
        let info = unsafe { libc::mallinfo() };
        Some(info.uordblks.wrapping_add(info.hblkhd))
    }
    #[cfg(not(target_env = "gnu"))]
    None
}

/// Resident memory after free heap memory was returned, because a leak would first fill that.
fn resident_kb() -> Result<i64> {
    // SAFETY: no condition.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kb = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .ok_or("no VmRSS")?;
    Ok(kb.parse()?)
}

/// A load of a file that is not there.
fn refused_load(engine: &mut dyn Engine) -> Result<()> {
    let missing = LoadSpec::new("no-such-model.gguf");
    let refusal = engine.load(&missing).err();
    refusal
        .map(drop)
        .ok_or_else(|| "a missing model was loaded".into())
}

/// One round: a load, runs of every kind, an unload, and now and then what goes wrong.
fn round(engine: &mut dyn Engine, number: usize, model: &Path) -> Result<usize> {
    let spec = LoadSpec {
        max_context: 1024,
        threads: Some(2),
        ..LoadSpec::new(model)
    };
    if number.is_multiple_of(3) {
        refused_load(engine)?;
    }
    engine.load(&spec)?;
    let mut tokens = 0;
    let text = Request::new(
        Input::Text("Why is the sky blue, and why is it red at night?".into()),
        16,
    );
    let sampled = Sampling {
        top_k: 40,
        temperature: 0.8,
        ..Sampling::GREEDY
    };
    let ids = Request {
        sampling: sampled,
        ..Request::new(Input::Tokens(token_ids(100)), 16)
    };
    let behind = Request {
        depth: 64,
        ..Request::new(Input::Tokens(token_ids(20)), 8)
    };
    for request in [&text, &ids, &behind, &text] {
        let inference = engine.infer(request)?;
        if inference.finish != Finish::Finished {
            return Err(format!("round {number}: {inference:?}").into());
        }
        tokens += inference.tokens.len();
    }
    let late = Request {
        deadline: Duration::from_millis(5),
        ..Request::new(Input::Tokens(token_ids(300)), 700)
    };
    let inference = engine.infer(&late)?;
    if !inference.aborted {
        return Err(format!("round {number}: the deadline was kept").into());
    }
    let outside = Request::new(Input::Tokens(vec![i32::MAX]), 4);
    if engine.infer(&outside)?.refusal.is_none() {
        return Err(format!("round {number}: a token of no vocabulary was taken").into());
    }
    if number % 4 == 1 {
        engine.load(&spec)?; // in place of the one that is loaded
        tokens += engine.infer(&text)?.tokens.len();
    }
    engine.unload()?;
    Ok(tokens)
}

/// A worker that is killed in the middle.
fn killed(engine: &mut dyn Engine, model: &Path) -> Result<()> {
    engine.load(&LoadSpec::new(model))?;
    let pid = engine.process_id().and_then(|pid| i32::try_from(pid).ok());
    let pid = pid.and_then(rustix::process::Pid::from_raw).ok_or("no worker")?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
    match engine.infer(&Request::new(Input::Text("Are you there?".into()), 4)) {
        Err(failure) if failure.kind == FailureKind::Lost => Ok(()),
        outcome => Err(format!("of a killed worker: {outcome:?}").into()),
    }
}

/// Runs rounds for this time and reports the growth.
fn soak(name: &str, engine: &mut dyn Engine, is_worker: bool, time: Duration, model: &Path) -> Result<bool> {
    let end = Instant::now() + time;
    // Reserved for days of rounds, because these notes must not grow either.
    let (mut resident, mut heap) = (Vec::with_capacity(1 << 20), Vec::with_capacity(1 << 20));
    let (mut base, mut allocated_base, mut tokens, mut number) = (Held::now()?, None, 0, 0);
    let mut grown = None;
    for _ in 0..KEPT_SESSIONS {
        refused_load(engine)?;
    }
    while (Instant::now() < end || resident.len() < FEWEST) && grown.is_none() {
        tokens += round(engine, number, model)?;
        if is_worker && number % 5 == 2 {
            killed(engine, model)?;
        }
        number += 1;
        if number <= WARM_UP {
            // What the runtime keeps from its first load on is there now.
            std::thread::sleep(Duration::from_millis(20));
            base = Held::now()?;
            allocated_base = allocated();
            continue;
        }
        let held = Held::settled(base)?;
        grown = (held != base).then_some(held);
        if let (Some(base), Some(now)) = (allocated_base, allocated()) {
            heap.push(i64::from(now.wrapping_sub(base)) / 1024);
        }
        resident.push(resident_kb()?);
    }
    Ok(report(
        name,
        &Seen {
            rounds: number,
            tokens,
            resident,
            heap,
            base,
            grown,
        },
    ))
}

struct Seen {
    rounds: usize,
    tokens: usize,
    /// After each round but the first ones, kB.
    resident: Vec<i64>,
    /// Growth of allocated memory; empty if the C library does not report it.
    heap: Vec<i64>,
    base: Held,
    grown: Option<Held>,
}

/// Prints a row; whether nothing grew.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
fn report(name: &str, seen: &Seen) -> bool {
    let (first, last) = ends(&seen.resident);
    let (heap_first, heap_last) = ends(&seen.heap);
    let (resident, heap) = (last - first, heap_last - heap_first);
    let (base, held) = (seen.base, seen.grown.unwrap_or(seen.base));
    let is_sound = seen.grown.is_none() && resident <= ALLOWED_RESIDENT_KB && heap <= ALLOWED_HEAP_KB;
    println!(
        "{name:<12} {:>6} {:>7} {first:>9} {resident:>+7} {:>9} {:>7} {:>11} {:>8}  {}",
        seen.rounds,
        seen.tokens,
        if seen.heap.is_empty() {
            "-".into()
        } else {
            format!("{heap:+}")
        },
        pair(base.threads, held.threads),
        pair(base.descriptors, held.descriptors),
        pair(base.children, held.children),
        if is_sound { "nothing grew" } else { "GREW" }
    );
    is_sound
}

/// Medians of the first and of the last third.
fn ends(values: &[i64]) -> (i64, i64) {
    let third = values.len() / 3;
    (median(&values[..third]), median(&values[values.len() - third..]))
}

/// Before and after, or one number for both.
fn pair(before: usize, after: usize) -> String {
    if before == after {
        before.to_string()
    } else {
        format!("{before}->{after}")
    }
}

fn median(values: &[i64]) -> i64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

#[expect(clippy::print_stdout, reason = "the table is what it is for")]
fn run() -> Result<bool> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let seconds: u64 = arguments.next().map_or(Ok(10), |seconds| seconds.parse())?;
    let place = arguments.next();
    let model = models::select(place.as_deref().map(Path::new), Path::new("."), &[])?.remove(0);
    let half = Duration::from_secs(seconds) / 2;
    // The runtime logs each request that it is meant to refuse.
    rustix::stdio::dup2_stderr(fs::File::create("/dev/null")?)?;
    println!(
        "{} for {seconds} s; what is resident and what is allocated in kB, medians of the first and last third\n\
         after {WARM_UP} rounds; +{ALLOWED_RESIDENT_KB} kB and +{ALLOWED_HEAP_KB} kB allowed",
        model.name
    );
    println!("             rounds  tokens  resident  growth allocated threads descriptors children");
    // First while this process is small.
    let mut worker = Worker::of_this_executable();
    let in_workers = soak("in workers", &mut worker, true, half, &model.path)?;
    let in_process = soak("in process", &mut InProcess::new(), false, half, &model.path)?;
    Ok(in_workers && in_process)
}

/// Restarts this program without the cache; returns only on failure.
fn again_without_cache() -> std::io::Error {
    match std::env::current_exe() {
        Ok(program) => Command::new(program)
            .args(std::env::args_os().skip(1))
            .env(WITHOUT_CACHE.0, WITHOUT_CACHE.1)
            .exec(),
        Err(error) => error,
    }
}

#[expect(clippy::print_stdout, reason = "stderr is the runtime's by then")]
fn main() -> ExitCode {
    if let Some(code) = serve_if_worker() {
        return code;
    }
    if std::env::var_os(WITHOUT_CACHE.0).is_none_or(|value| value != WITHOUT_CACHE.1) {
        println!("soak: {}", again_without_cache());
        return ExitCode::FAILURE;
    }
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}
