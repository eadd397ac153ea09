//! RKLLM in this process.

use std::time::Instant;

use super::log::{tail, with_stdout_seen};
use super::{Engine, Failure, FailureKind, LoadSpec, Loaded, RuntimeIdentity};
use crate::board;
use crate::ffi::library::{self, VersionLine};
use crate::ffi::{Abilities, Params, Recording, RunInput, Session};
use crate::inference::{Inference, Input, Request, RuntimeStats};

/// The runtime in this process: nothing stands between, and nothing protects from its faults.
#[derive(Debug, Default)]
pub struct InProcess {
    session: Option<Session>,
    /// A run was aborted: the runtime may still hold on to it.
    abort_pending: bool,
}

impl InProcess {
    /// Without a model yet.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Engine for InProcess {
    fn load(&mut self, spec: &LoadSpec) -> Result<Loaded, Failure> {
        self.session = None;
        self.abort_pending = false;
        let library = library::verify(spec.trust_sdk_version.as_deref()).map_err(Failure::refused)?;
        let params = params_of(spec)?;
        let start = Instant::now();
        let (session, printed) = with_stdout_seen(|| Session::open(&params)).map_err(|error| {
            Failure::refused(format!("the runtime's output could not be caught: {error}"))
        })?;
        let load_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let version_line = library::find_version_line(&printed);
        check_version_line(version_line.as_ref(), &printed)?;
        self.session = Some(session.map_err(|error| Failure {
            kind: FailureKind::Refused,
            message: format!("{} was not loaded: {error}", spec.model_path.display()),
            last_lines: tail(&printed),
        })?);
        Ok(Loaded {
            load_ns,
            runtime: RuntimeIdentity {
                library: library.clone(),
                version_line,
                header_generation: library::header_generation().to_owned(),
                abilities: Abilities::of_header(),
                cpu_features: cpu_features(),
            },
            peak_rss_bytes: board::peak_rss_bytes(),
        })
    }

    fn infer(&mut self, request: &Request) -> Result<Inference, Failure> {
        let Some(session) = &mut self.session else {
            return Err(Failure {
                kind: FailureKind::Lost,
                ..Failure::refused("no model is loaded")
            });
        };
        let can = session.abilities();
        if std::mem::take(&mut self.abort_pending) {
            session.abort().map_err(Failure::refused)?;
        }
        if can.clear_kv_cache {
            session.clear_kv_cache().map_err(Failure::refused)?;
        }
        let kv_cache_before = cache_size(session)?;
        let mut recording = Recording::with_room_for(request.max_new_tokens as usize);
        let input = match &request.input {
            Input::Text(text) => RunInput::Text(text),
            Input::Tokens(ids) => RunInput::Tokens(ids),
        };
        let cap = i32::try_from(request.max_new_tokens).unwrap_or(i32::MAX);
        let outcome = session
            .run(input, cap, request.deadline, &mut recording)
            .map_err(Failure::refused)?;
        self.abort_pending = outcome.aborted;
        Ok(Inference {
            call_ns: outcome.call_ns,
            return_ns: outcome.return_ns,
            overflow: recording.overflow,
            finish: recording.finish(),
            aborted: outcome.aborted,
            refusal: outcome.refusal,
            stats: recording.stats.map(|stats| RuntimeStats {
                prefill_time_ms: stats.prefill_time_ms,
                prefill_tokens: stats.prefill_tokens,
                generate_time_ms: stats.generate_time_ms,
                generate_tokens: stats.generate_tokens,
                memory_usage_mb: stats.memory_usage_mb,
            }),
            kv_cache_before,
            kv_cache_after: cache_size(session)?,
            late_callbacks: session.late_callbacks(),
            peak_rss_bytes: board::peak_rss_bytes(),
            text: String::from_utf8_lossy(&recording.text).into_owned(),
            tokens: recording.tokens,
        })
    }
}

fn params_of(spec: &LoadSpec) -> Result<Params, Failure> {
    let number = |name: &str, value: u32| {
        i32::try_from(value)
            .map_err(|_| Failure::refused(format!("{name} of {value} is more than the API can say")))
    };
    let defaults = Params::new(&spec.model_path).map_err(Failure::refused)?;
    Ok(Params {
        max_context_len: number("a context", spec.max_context)?,
        max_new_tokens: number("a token limit", spec.max_new_tokens)?,
        // Greedy, and nothing that depends on what was generated before: two runs do the same work.
        top_k: 1,
        repeat_penalty: 1.0,
        frequency_penalty: 0.0,
        presence_penalty: 0.0,
        ignore_eos: true,
        cpu_count: spec.threads.unwrap_or(defaults.cpu_count),
        cpu_mask: spec.cpu_mask.unwrap_or(defaults.cpu_mask),
        ..defaults
    })
}

fn check_version_line(line: Option<&VersionLine>, printed: &str) -> Result<(), Failure> {
    let Some(line) = line else { return Ok(()) };
    library::verify_version_line(line).map_err(|error| Failure {
        last_lines: tail(printed),
        ..Failure::refused(error)
    })
}

fn cache_size(session: &Session) -> Result<Option<u32>, Failure> {
    if !session.abilities().kv_cache_size {
        return Ok(None);
    }
    let size = session.kv_cache_size().map_err(Failure::refused)?;
    Ok(u32::try_from(size).ok())
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
