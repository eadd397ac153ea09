//! RKLLM in this process.

use std::sync::Arc;
use std::time::Instant;

use super::cache_start::{CacheStarts, cache_size};
use super::log::{LAST_LINES, tail, warnings_in, with_stdout_seen};
use super::varied::varied;
use super::{Engine, Failure, FailureKind, LoadSpec, Loaded, Runtime, RuntimeIdentity};
use crate::base::foreign::Shown as _;
use crate::base::number::Size as _;
use crate::inference::{Abilities, Finish};
use crate::inference::{CacheSetUp, Inference, Input, Request, RuntimeStats, Sampling, token_ids};
use crate::inference::{Library, VersionLine};
use crate::machine::board;
use crate::runtime::ffi::library::{self};
use crate::runtime::ffi::{Params, Recording, RunInput, RunOutcome, RunRequest, Session, sys};

/// The runtime in this process. A crash of the runtime ends the process.
#[derive(Default)]
pub struct InProcess {
    session: Option<Session>,
    /// Prefixes of the loaded model.
    cache_starts: CacheStarts,
    /// The last run did not finish, so the runtime may still be working on it.
    abort_pending: bool,
    /// Number of runs, over all loads.
    runs: usize,
    watcher: Option<Arc<Watcher>>,
    /// Warnings of loads that [`Engine::warnings`] has not returned yet.
    warnings: Vec<String>,
}

type Watcher = dyn Fn(Moment) + Send + Sync;

/// A point in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The runtime is about to be called.
    Call,
    /// The first token has arrived.
    FirstToken,
}

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InProcess")
            .field("session", &self.session)
            .field("abort_pending", &self.abort_pending)
            .finish_non_exhaustive()
    }
}

impl InProcess {
    /// An engine without a model.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `watcher` as each run progresses. Its time counts as part of the run, so this is not for measurements.
    pub(crate) fn watch(&mut self, watcher: impl Fn(Moment) + Send + Sync + 'static) {
        self.watcher = Some(Arc::new(watcher));
    }
}

impl Engine for InProcess {
    fn load(&mut self, spec: &LoadSpec) -> Result<Loaded, Failure> {
        self.session = None;
        self.cache_starts = CacheStarts::default();
        self.abort_pending = false;
        let library = library::verify(spec.trust_sdk_version.as_deref()).map_err(Failure::refused)?;
        let params = params_of(spec)?;
        let start = Instant::now();
        let (session, printed) = with_stdout_seen(|| Session::open(&params)).map_err(|error| {
            Failure::refused(format!("the runtime's output could not be captured: {error}"))
        })?;
        self.warnings.extend(warnings_in(&printed));
        let load_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let version_line = library::find_version_line(&printed);
        check_version_line(library, version_line.as_ref(), &printed)?;
        self.session = Some(session.map_err(|error| Failure {
            kind: FailureKind::Refused,
            message: format!("{} could not be loaded: {error}", spec.model_path.shown()),
            last_lines: tail(&printed, LAST_LINES),
        })?);
        let npu_cores = library::find_npu_cores(&printed);
        let toolkit = library::find_toolkit(&printed);
        check_npu_cores(spec.npu_cores, npu_cores)?;
        Ok(Loaded {
            load_ns,
            npu_cores,
            toolkit,
            runtime: Runtime::Library(RuntimeIdentity {
                library: library.clone(),
                version_line,
                header_generation: library::header_generation().to_owned(),
                abilities: Abilities::of_header(),
                cpu_features: cpu_features(),
                trial: None,
            }),
            peak_rss_bytes: board::peak_rss_bytes(),
        })
    }

    fn infer(&mut self, request: &Request) -> Result<Inference, Failure> {
        let session = self.session.as_mut().ok_or_else(no_model)?;
        let can = session.abilities();
        if std::mem::take(&mut self.abort_pending) {
            session.abort().map_err(Failure::refused)?;
        }
        if can.clear_kv_cache {
            session.clear_kv_cache().map_err(Failure::refused)?;
        }
        if request.depth > 0 {
            let filled = fill_cache(session, request)?;
            self.abort_pending = filled.aborted;
            refuse_unfilled(&filled, request)?;
        }
        let result = match self.cache_starts.set_up(session, request) {
            Ok(set_up) => self.measure(request, set_up),
            Err(failure) => {
                // The next run must not continue the one that failed.
                self.abort_pending = true;
                Err(failure)
            }
        };
        if let Some(session) = &mut self.session {
            self.cache_starts.release(session)?;
        }
        result
    }

    fn unload(&mut self) -> Result<(), Failure> {
        self.cache_starts = CacheStarts::default();
        match self.session.take() {
            Some(session) => session.close().map_err(Failure::refused),
            None => Ok(()),
        }
    }

    fn process_id(&self) -> Option<u32> {
        Some(std::process::id())
    }

    fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }
}

impl InProcess {
    /// The timed run. The KV cache is already set up.
    fn measure(&mut self, request: &Request, set_up: Option<CacheSetUp>) -> Result<Inference, Failure> {
        let session = self.session.as_mut().ok_or_else(no_model)?;
        let can = session.abilities();
        let kv_cache_before = cache_size(session)?;
        let mut recording = Recording::with_room_for(request.max_new_tokens.size());
        let varied = (!can.clear_kv_cache).then(|| varied(&request.input, self.runs));
        let input = RunInput::from(varied.as_ref().unwrap_or(&request.input));
        let run = RunRequest {
            sampling: Some(request.sampling),
            deadline: request.deadline,
            ..RunRequest::new(input, i32::try_from(request.max_new_tokens).unwrap_or(i32::MAX))
        };
        if let Some(watcher) = &self.watcher {
            notify(watcher, &mut recording);
        }
        let outcome = session.run(&run, &mut recording).map_err(Failure::refused)?;
        self.runs += 1;
        // After an abort or a pause, the next run would continue this one instead of reading its own prompt.
        self.abort_pending = recording.finish() != Finish::Finished;
        Ok(Inference {
            call_ns: outcome.call_ns,
            return_ns: outcome.return_ns,
            overflow: recording.overflow,
            finish: recording.finish(),
            aborted: outcome.aborted,
            refusal: outcome.refusal,
            stats: recording.stats.map(RuntimeStats::from),
            set_up,
            kv_cache_before,
            kv_cache_after: cache_size(session)?,
            late_callbacks: session.late_callbacks(),
            split_characters: recording.split_characters,
            other_thread: recording.other_thread,
            peak_rss_bytes: board::peak_rss_bytes(),
            text: String::from_utf8_lossy(&recording.text).into_owned(),
            tokens: recording.tokens,
            stream: None,
        })
    }
}

fn no_model() -> Failure {
    Failure {
        kind: FailureKind::Lost,
        ..Failure::refused("no model is loaded")
    }
}

impl<'a> From<&'a Input> for RunInput<'a> {
    fn from(input: &'a Input) -> Self {
        match input {
            Input::Text(text) => Self::Text(text),
            Input::Tokens(ids) => Self::Tokens(ids),
        }
    }
}

impl From<sys::rkb_stats> for RuntimeStats {
    fn from(stats: sys::rkb_stats) -> Self {
        Self {
            prefill_time_ms: stats.prefill_time_ms,
            prefill_tokens: stats.prefill_tokens,
            generate_time_ms: stats.generate_time_ms,
            generate_tokens: stats.generate_tokens,
            memory_usage_mb: stats.memory_usage_mb,
        }
    }
}

/// Reports the call to the watcher now, and the first token when it arrives.
fn notify(watcher: &Arc<Watcher>, recording: &mut Recording) {
    let watcher = Arc::clone(watcher);
    watcher(Moment::Call);
    let mut first = true;
    recording.on_token(move |_, _| {
        if std::mem::take(&mut first) {
            watcher(Moment::FirstToken);
        }
    });
}

fn params_of(spec: &LoadSpec) -> Result<Params, Failure> {
    let number = |name: &str, value: u32| {
        i32::try_from(value)
            .map_err(|_| Failure::refused(format!("{name} of {value} exceeds the limit of the API")))
    };
    if spec.embed_flash == Some(true) && !Abilities::of_header().embed_flash {
        return Err(Failure::refused(
            "this runtime cannot read embedding rows from storage (it can from 1.2.0 on): leave out --embed-flash and \
             RKLLM_BENCH_EMBED_FLASH",
        ));
    }
    let defaults = Params::new(&spec.model_path).map_err(Failure::refused)?;
    Ok(Params {
        max_context_len: number("a context", spec.max_context)?,
        max_new_tokens: number("a token limit", spec.max_new_tokens)?,
        sampling: spec.sampling,
        ignore_eos: spec.ignore_eos,
        cpu_count: spec.threads.unwrap_or(defaults.cpu_count),
        cpu_mask: spec.cpu_mask.unwrap_or(defaults.cpu_mask),
        embed_flash: spec.embed_flash.unwrap_or(defaults.embed_flash),
        base_domain_id: match spec.base_domain_id {
            Some(id) => number("a base domain", id)?,
            None => defaults.base_domain_id,
        },
        ..defaults
    })
}

/// Fills the KV cache with `request.depth` tokens, by a run whose history is kept. Its answer is one token. That
/// token's place in the cache is computed with the next prompt, or was computed already.
fn fill_cache(session: &mut Session, request: &Request) -> Result<RunOutcome, Failure> {
    if !session.abilities().keep_history {
        return Err(Failure::refused(
            "this runtime cannot keep tokens in its KV cache from run to run (it can from 1.2.0 on), so only a depth \
             of 0 can be measured",
        ));
    }
    let ids = token_ids(request.depth.size());
    let mut recording = Recording::with_room_for(1);
    let run = RunRequest {
        sampling: Some(Sampling::GREEDY),
        keep_history: true,
        deadline: request.deadline,
        ..RunRequest::new(RunInput::Tokens(&ids), 1)
    };
    session.run(&run, &mut recording).map_err(Failure::refused)
}

fn refuse_unfilled(filled: &RunOutcome, request: &Request) -> Result<(), Failure> {
    let depth = request.depth;
    let why = match &filled.refusal {
        _ if filled.aborted => format!(
            "it took longer than the deadline of {} s (--timeout)",
            request.deadline.as_secs()
        ),
        Some(reason) => reason.clone(),
        None => return Ok(()),
    };
    Err(Failure::refused(format!(
        "the KV cache could not be filled to a depth of {depth}: {why}"
    )))
}

fn check_version_line(library: &Library, line: Option<&VersionLine>, printed: &str) -> Result<(), Failure> {
    let Some(line) = line else { return Ok(()) };
    library::verify_version_line(library, line).map_err(|error| Failure {
        last_lines: tail(printed, LAST_LINES),
        ..Failure::refused(error)
    })
}

fn check_npu_cores(wanted: Option<u8>, of_model: Option<u8>) -> Result<(), Failure> {
    let Some(wanted) = wanted else { return Ok(()) };
    match of_model {
        Some(of_model) if of_model == wanted => Ok(()),
        Some(of_model) => Err(Failure::refused(format!(
            "the model was converted for {of_model} NPU cores, but --npu-cores is {wanted}: the count is fixed \
             at conversion, so convert it with num_npu_core={wanted}"
        ))),
        None => Err(Failure::refused(
            "the runtime did not report for how many NPU cores the model was converted, so --npu-cores cannot be \
             checked",
        )),
    }
}

#[cfg(feature = "host")]
#[expect(clippy::unnecessary_wraps, reason = "absent without the host runtime")]
fn cpu_features() -> Option<String> {
    Some(rkllmrt::cpu_features())
}

#[cfg(not(feature = "host"))]
fn cpu_features() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn npu_cores_are_checked_only_where_they_were_asked_for() {
        assert_eq!(check_npu_cores(None, Some(3)), Ok(()));
        assert_eq!(check_npu_cores(Some(3), Some(3)), Ok(()));
        assert!(check_npu_cores(Some(1), Some(3)).is_err());
        assert!(check_npu_cores(Some(1), None).is_err());
    }
}
