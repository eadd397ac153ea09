//! Brings a prefix of the prompt into the KV cache before the timed run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Failure, FailureKind};
use crate::base::foreign::Shown as _;
use crate::base::scratch::Scratch;
use crate::inference::{Abilities, Finish};
use crate::inference::{CacheSetUp, CacheStart, Input, PrefixSource, Request, RuntimeStats, Sampling};
use crate::runtime::ffi::{Recording, RunInput, RunRequest, Session};

/// The prefixes and prompts of one loaded model.
#[derive(Debug, Default)]
pub(super) struct CacheStarts {
    /// Folder of the prompt-cache files.
    folder: Option<Scratch>,
    saved: Vec<Saved>,
    /// Texts, with the number of tokens that a cold run of each computed.
    lengths: Vec<(Input, u32)>,
    /// Whether a prompt cache is loaded, or may be.
    is_loaded: bool,
}

/// A prefix with a saved prompt cache.
#[derive(Debug)]
struct Saved {
    prefix: Input,
    tokens: u32,
    file: PathBuf,
}

impl CacheStarts {
    /// Brings the prefix of `request` into the KV cache, which must be empty, and returns what was done. Returns
    /// `None` for a cold start.
    pub(super) fn set_up(
        &mut self,
        session: &mut Session,
        request: &Request,
    ) -> Result<Option<CacheSetUp>, Failure> {
        let Some((prefix, source)) = request.cache_start.prefix() else {
            return Ok(None);
        };
        if let Some(reason) = refusal(session.abilities(), request) {
            return Err(Failure::refused(reason));
        }
        let deadline = request.deadline;
        let prompt_tokens = self.length(session, &request.input, deadline)?;
        let (prefix_tokens, cleared_to) = match source {
            PrefixSource::Run => {
                let cleared_to = cache_size(session)?;
                (run_once(session, prefix, "prefix", None, deadline)?, cleared_to)
            }
            PrefixSource::File => {
                let (tokens, file) = self.file_of(session, prefix, deadline)?;
                let cleared_to = cache_size(session)?;
                self.is_loaded = true;
                session
                    .load_prompt_cache(&file)
                    .map_err(|error| failed("the prompt cache of its prefix could not be loaded", error))?;
                (tokens, cleared_to)
            }
        };
        Ok(Some(CacheSetUp {
            source,
            prompt_tokens,
            prefix_tokens,
            cleared_to,
        }))
    }

    /// Releases a loaded prompt cache. Otherwise every later prompt with the same prefix would use it.
    pub(super) fn release(&mut self, session: &mut Session) -> Result<(), Failure> {
        if !std::mem::take(&mut self.is_loaded) {
            return Ok(());
        }
        session.release_prompt_cache().map_err(|error| Failure {
            // The cache may still be in use, so no further request may go to this model.
            kind: FailureKind::Lost,
            ..failed("the prompt cache could not be released", error)
        })
    }

    /// Number of tokens of a prompt. For text, the first call makes a cold run to find out.
    fn length(&mut self, session: &mut Session, input: &Input, deadline: Duration) -> Result<u32, Failure> {
        if let Some(tokens) = input.token_count() {
            return Ok(tokens);
        }
        if let Some((_, tokens)) = self.lengths.iter().find(|(known, _)| known == input) {
            return Ok(*tokens);
        }
        let tokens = run_once(session, input, "prompt", None, deadline)?;
        session.clear_kv_cache().map_err(Failure::refused)?;
        self.lengths.push((input.clone(), tokens));
        Ok(tokens)
    }

    /// The number of tokens of the prefix, and its prompt-cache file. The first call saves the file.
    fn file_of(
        &mut self,
        session: &mut Session,
        prefix: &Input,
        deadline: Duration,
    ) -> Result<(u32, PathBuf), Failure> {
        if let Some(saved) = self.saved.iter().find(|saved| saved.prefix == *prefix) {
            return Ok((saved.tokens, saved.file.clone()));
        }
        let folder = match &mut self.folder {
            Some(folder) => folder,
            none => none.insert(
                Scratch::new()
                    .map_err(|error| failed("the folder for prompt caches could not be created", error))?,
            ),
        };
        let file = folder.path().join(format!("{}.cache", self.saved.len()));
        let tokens = run_once(session, prefix, "prefix", Some(&file), deadline)?;
        session.clear_kv_cache().map_err(Failure::refused)?;
        if !file.is_file() {
            return Err(Failure::refused(format!(
                "the runtime reported no error, but saved no prompt cache to {}",
                file.shown()
            )));
        }
        self.saved.push(Saved {
            prefix: prefix.clone(),
            tokens,
            file: file.clone(),
        });
        Ok((tokens, file))
    }
}

/// Why this runtime cannot start from a prefix, or cannot prove that it did. Absent if it can.
fn refusal(can: Abilities, request: &Request) -> Option<String> {
    let start = request.cache_start.name();
    if request.depth > 0 {
        return Some(format!(
            "{start} and a depth of {}: a prompt can start behind only one of the two",
            request.depth
        ));
    }
    let needed = [
        (can.clear_kv_cache, "empty its KV cache (it can from 1.2.0 on)"),
        (
            can.perf,
            "report how many tokens a prefill computed (it can from 1.2.1 on)",
        ),
        (
            can.kv_cache_size,
            "report the size of its KV cache (it can from 1.2.1 on)",
        ),
        (
            can.prompt_cache || !matches!(request.cache_start, CacheStart::RestoredCache(_)),
            "restore a prompt cache: its library has no rkllm_load_prompt_cache",
        ),
    ];
    let (_, what) = needed.iter().find(|(can, _)| !can)?;
    Some(format!(
        "this runtime cannot {what}, so {start} cannot be measured: leave out such prompts"
    ))
}

/// Runs `input` for one token and returns how many tokens its prefill computed.
fn run_once(
    session: &mut Session,
    input: &Input,
    what: &str,
    save_to: Option<&Path>,
    deadline: Duration,
) -> Result<u32, Failure> {
    let purpose = if save_to.is_some() {
        " and its cache saved"
    } else {
        ""
    };
    let not_run = format!("the {what} could not be run{purpose} before the prompt");
    let mut recording = Recording::with_room_for(1);
    let run = RunRequest {
        sampling: Some(Sampling::GREEDY),
        save_prompt_cache: save_to,
        deadline,
        ..RunRequest::new(RunInput::from(input), 1)
    };
    let outcome = session
        .run(&run, &mut recording)
        .map_err(|error| failed(&not_run, error))?;
    if outcome.aborted {
        let limit = deadline.as_secs();
        return Err(failed(
            &not_run,
            format!("it took longer than the deadline of {limit} s (--timeout)"),
        ));
    }
    if let Some(reason) = outcome.refusal {
        return Err(failed(&not_run, reason));
    }
    if recording.finish() != Finish::Finished {
        return Err(failed(&not_run, "it ended without FINISH"));
    }
    let stats = recording.stats.map(RuntimeStats::from);
    let computed = stats
        .filter(|stats| !stats.are_zero())
        .and_then(|stats| u32::try_from(stats.prefill_tokens).ok());
    computed.ok_or_else(|| {
        failed(
            &format!("the {what} was run"),
            "the runtime did not report how many tokens that computed",
        )
    })
}

fn failed(what: &str, why: impl std::fmt::Display) -> Failure {
    Failure::refused(format!("{what}: {why}"))
}

/// Number of tokens in the KV cache. Absent if the runtime has no call for it.
pub(super) fn cache_size(session: &Session) -> Result<Option<u32>, Failure> {
    if !session.abilities().kv_cache_size {
        return Ok(None);
    }
    let size = session.kv_cache_size().map_err(Failure::refused)?;
    Ok(u32::try_from(size).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::engine::scripted;

    #[test]
    fn what_a_runtime_lacks_is_named() {
        let request = |cache_start| Request {
            cache_start,
            ..scripted::request(8)
        };
        let prefix = || Input::Text("pro".into());
        let warm = request(CacheStart::WarmPrefix(prefix()));
        let restored = request(CacheStart::RestoredCache(prefix()));
        let without = |lack: fn(&mut Abilities)| {
            let mut can = scripted::ABILITIES;
            lack(&mut can);
            can
        };
        assert_eq!(refusal(scripted::ABILITIES, &warm), None);
        assert_eq!(refusal(scripted::ABILITIES, &restored), None);
        assert_eq!(refusal(without(|can| can.prompt_cache = false), &warm), None);
        let deep = Request {
            depth: 8,
            ..warm.clone()
        };
        for (can, request, expected) in [
            (
                without(|can| can.clear_kv_cache = false),
                &warm,
                "empty its KV cache",
            ),
            (
                without(|can| can.perf = false),
                &warm,
                "report how many tokens a prefill computed",
            ),
            (
                without(|can| can.kv_cache_size = false),
                &restored,
                "report the size of its KV cache",
            ),
            (
                without(|can| can.prompt_cache = false),
                &restored,
                "rkllm_load_prompt_cache",
            ),
            (scripted::ABILITIES, &deep, "warm_prefix and a depth of 8"),
        ] {
            let reason = refusal(can, request).expect(expected);
            assert!(reason.contains(expected), "{reason}");
        }
    }
}
