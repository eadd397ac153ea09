//! An engine without a clock, which returns the answers of a test's script.

use std::collections::VecDeque;

use super::{Engine, Failure, FailureKind, LoadSpec, Loaded, Runtime, RuntimeIdentity};
use crate::inference::{Abilities, Finish, TokenEvent};
use crate::inference::{Inference, Input, Request};
use crate::inference::{Library, Pairing};

/// All that a 1.3.0 runtime can do.
pub(crate) const ABILITIES: Abilities = Abilities {
    perf: true,
    clear_kv_cache: true,
    kv_cache_size: true,
    chat_template: true,
    ignore_eos: true,
    keep_history: true,
    new_tokens_per_run: true,
    sampling_per_run: true,
    cpu_choice: true,
    embed_flash: true,
    prompt_cache: true,
};

/// Returns the answers of its script in order, and remembers the requests.
#[derive(Debug)]
pub(crate) struct Scripted {
    pub(crate) answers: VecDeque<Result<Inference, Failure>>,
    /// Results of the next loads; when the queue is empty, loads succeed.
    pub(crate) loads: VecDeque<Result<(), Failure>>,
    pub(crate) asked: Vec<Request>,
    /// What was loaded, in order.
    pub(crate) specs: Vec<LoadSpec>,
    /// Result of unloading.
    pub(crate) unload: Result<(), Failure>,
    /// Takes away abilities that a 1.3.0 runtime has.
    pub(crate) lacks: fn(&mut Abilities),
}

impl Default for Scripted {
    fn default() -> Self {
        Self {
            answers: VecDeque::new(),
            loads: VecDeque::new(),
            asked: Vec::new(),
            specs: Vec::new(),
            unload: Ok(()),
            lacks: |_| {},
        }
    }
}

impl Engine for Scripted {
    fn load(&mut self, spec: &LoadSpec) -> Result<Loaded, Failure> {
        self.specs.push(spec.clone());
        let mut abilities = ABILITIES;
        (self.lacks)(&mut abilities);
        self.loads.pop_front().unwrap_or(Ok(()))?;
        Ok(loaded(abilities))
    }

    fn infer(&mut self, request: &Request) -> Result<Inference, Failure> {
        self.asked.push(request.clone());
        self.answers.pop_front().expect("the script is long enough")
    }

    fn unload(&mut self) -> Result<(), Failure> {
        self.unload.clone()
    }
}

/// What a load of the scripted engine returns.
pub(crate) fn loaded(abilities: Abilities) -> Loaded {
    Loaded {
        load_ns: 1_000_000,
        npu_cores: None,
        toolkit: None,
        runtime: Runtime::Library(RuntimeIdentity {
            library: Library {
                path: "scripted".into(),
                name: "scripted".into(),
                file_version: None,
                sha256: None,
                pairing: Pairing::Known,
            },
            version_line: None,
            header_generation: "1.3.0".into(),
            abilities,
            cpu_features: None,
            trial: None,
        }),
        peak_rss_bytes: None,
    }
}

/// The library of a load's result.
pub(crate) fn library(loaded: &mut Loaded) -> &mut RuntimeIdentity {
    match &mut loaded.runtime {
        Runtime::Library(library) => library,
        Runtime::Server(server) => panic!("{server}"),
    }
}

/// A finished inference with a token at each stamp and no statistics.
pub(crate) fn inference(call_ns: u64, stamps: &[u64], return_ns: u64) -> Inference {
    Inference {
        call_ns,
        return_ns,
        tokens: stamps
            .iter()
            .map(|at_ns| TokenEvent { at_ns: *at_ns, id: 1 })
            .collect(),
        overflow: 0,
        text: "text".into(),
        finish: Finish::Finished,
        aborted: false,
        refusal: None,
        stats: None,
        set_up: None,
        kv_cache_before: Some(0),
        kv_cache_after: None,
        late_callbacks: 0,
        split_characters: 0,
        other_thread: 0,
        peak_rss_bytes: None,
        stream: None,
    }
}

/// Asks for `max_new_tokens` tokens.
pub(crate) fn request(max_new_tokens: u32) -> Request {
    Request::new(Input::Text("prompt".into()), max_new_tokens)
}

/// Loads no file, with a context of 64 tokens and runs of fixed length.
pub(crate) fn spec(max_new_tokens: u32) -> LoadSpec {
    LoadSpec {
        max_context: 64,
        max_new_tokens,
        ..LoadSpec::new("m")
    }
}

/// A worker that died.
pub(crate) fn lost() -> Failure {
    Failure {
        kind: FailureKind::Lost,
        ..Failure::refused("the worker was killed by SIGSEGV")
    }
}
