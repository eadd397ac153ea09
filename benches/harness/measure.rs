//! Takes the figures, for one number of tokens after the other.

use std::time::Instant;

use rkllm_bench::engine::{Engine, InProcess, Worker};
use rkllm_bench::inference::LoadSpec;
use rkllm_bench::inference::{Finish, Inference, Input, Request, TokenEvent};

use crate::{Result, allocator};

/// Tokens that the runs of one size have together, and bounds on how many runs that are.
const TOKENS_A_SIZE: u32 = 2_000_000;
const FEWEST_RUNS: u32 = 5;
const MOST_RUNS: u32 = 201;

/// The cost of runs of `tokens` tokens; times are medians over the runs, ns.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) tokens: u32,
    pub(crate) runs: u32,
    /// `rkllm_run` as the bare C client calls it.
    pub(crate) bare_ns: f64,
    /// `rkllm_run` as the harness calls it, from its stamps.
    pub(crate) run_ns: f64,
    /// A whole inference in this process.
    pub(crate) in_process_ns: f64,
    /// A whole inference in the worker process.
    pub(crate) worker_ns: f64,
    /// Delay of the harness's stamps after the runtime's own, for all tokens, sorted.
    pub(crate) errors_ns: Vec<u32>,
    /// The same in the worker process.
    pub(crate) worker_errors_ns: Vec<u32>,
    /// Allocations of the calling thread between the stamps of call and return, over all runs.
    pub(crate) allocations: usize,
    /// Heap bytes of an inference that is kept, its text not counted.
    pub(crate) kept_bytes: usize,
    /// Bytes of its text.
    pub(crate) text_bytes: usize,
    /// Heap bytes while it was made, at most.
    pub(crate) peak_bytes: usize,
    /// Bytes of the tokens of an inference that came from the worker process.
    pub(crate) worker_kept_bytes: usize,
}

/// One row for each power of ten up to `most_tokens`.
pub(crate) fn rows(most_tokens: u32) -> Result<Vec<Row>> {
    // The null runtime opens no file.
    let spec = LoadSpec::new("no model");
    let bare_run_ns = bare_client()?;
    let (mut in_process, mut worker) = (InProcess::new(), Worker::of_this_executable());
    in_process.load(&spec)?;
    worker.load(&spec)?;
    let mut rows = Vec::new();
    for tokens in (0..).map_while(|power| 10_u32.checked_pow(power)) {
        if tokens > most_tokens {
            break;
        }
        rows.push(row(tokens, bare_run_ns, &mut in_process, &mut worker)?);
    }
    in_process.unload()?;
    worker.unload()?;
    Ok(rows)
}

type BareRun = extern "C" fn(i32) -> u64;

/// The bare C client of the null runtime.
fn bare_client() -> Result<BareRun> {
    let name = c"null_bare_run_ns";
    // SAFETY: a search among the libraries that are loaded, for a name that ends in NUL.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    if found.is_null() {
        return Err("the library that runs is not the null runtime".into());
    }
    // SAFETY: null_runtime.cpp defines it with this signature.
    Ok(unsafe { std::mem::transmute::<*mut libc::c_void, BareRun>(found) })
}

fn row(tokens: u32, bare_run_ns: BareRun, in_process: &mut InProcess, worker: &mut Worker) -> Result<Row> {
    let request = Request::new(Input::Tokens(vec![1]), tokens);
    let runs = (TOKENS_A_SIZE / tokens).clamp(FEWEST_RUNS, MOST_RUNS);
    let (mut bare_ns, mut run_ns, mut in_process_ns, mut worker_ns) = (vec![], vec![], vec![], vec![]);
    let (mut errors_ns, mut worker_errors_ns) = (vec![], vec![]);
    let mut allocations = 0;
    let mut last = None;
    // The first round warms up what a run of this size touches for the first time.
    for round in 0..=runs {
        let bare = bare_run_ns(i32::try_from(tokens)?);
        let start = Instant::now();
        let (inference, seen) = allocator::watch(|| in_process.infer(&request));
        let in_process = start.elapsed();
        let start = Instant::now();
        let from_worker = worker.infer(&request);
        let worker = start.elapsed();
        let (inference, from_worker) = (whole(inference?, tokens)?, whole(from_worker?, tokens)?);
        let during = inference.call_ns..=inference.return_ns;
        allocations += seen.stamps_ns.iter().filter(|at| during.contains(at)).count();
        if round > 0 {
            bare_ns.push(bare);
            run_ns.push(inference.return_ns - inference.call_ns);
            in_process_ns.push(u64::try_from(in_process.as_nanos())?);
            worker_ns.push(u64::try_from(worker.as_nanos())?);
            errors_ns.extend(inference.tokens.iter().map(error_ns));
            worker_errors_ns.extend(from_worker.tokens.iter().map(error_ns));
        }
        last = Some((inference, from_worker, seen));
    }
    let (inference, from_worker, seen) = last.ok_or("no run was made")?;
    errors_ns.sort_unstable();
    worker_errors_ns.sort_unstable();
    let text_bytes = inference.text.capacity();
    Ok(Row {
        tokens,
        runs,
        bare_ns: median(bare_ns),
        run_ns: median(run_ns),
        in_process_ns: median(in_process_ns),
        worker_ns: median(worker_ns),
        errors_ns,
        worker_errors_ns,
        allocations,
        kept_bytes: seen.kept_bytes - text_bytes,
        text_bytes,
        peak_bytes: seen.peak_bytes,
        worker_kept_bytes: from_worker.tokens.capacity() * size_of::<TokenEvent>(),
    })
}

/// The inference, if it matches the null runtime's output.
fn whole(inference: Inference, tokens: u32) -> Result<Inference> {
    if inference.finish != Finish::Finished || inference.tokens.len() != tokens as usize {
        return Err(format!("not {tokens} tokens and FINISH, but {inference:?}").into());
    }
    Ok(inference)
}

/// Delay of the harness's stamp after the runtime's, whose low 31 bits are the token's id.
fn error_ns(token: &TokenEvent) -> u32 {
    const BITS: u32 = (1 << 31) - 1;
    let ours = u32::try_from(token.at_ns & u64::from(BITS)).unwrap_or_default();
    ours.wrapping_sub(token.id.cast_unsigned()) & BITS
}

fn median(mut values: Vec<u64>) -> f64 {
    values.sort_unstable();
    let middle = values.len() / 2;
    #[expect(
        clippy::cast_precision_loss,
        reason = "a run's nanoseconds fit the 52 bits of a float"
    )]
    let at = |index: usize| values[index] as f64;
    if values.len() % 2 == 1 {
        at(middle)
    } else {
        f64::midpoint(at(middle - 1), at(middle))
    }
}
