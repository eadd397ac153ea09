//! Facts about runs, models and prompts that each format of the result shows.

use crate::inference::Runtime;
use crate::record::{ModelRecord, PromptRecord, RunRecord};

/// The parts of a runtime's description; each is absent if unknown.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub(super) struct RuntimeParts<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) version: Option<&'a str>,
    pub(super) driver: Option<&'a str>,
    pub(super) platform: Option<&'a str>,
}

impl<'a> RuntimeParts<'a> {
    pub(super) fn of(model: &'a ModelRecord) -> Self {
        let runtime = model.loaded.as_ref().map(|loaded| &loaded.runtime);
        let line = runtime.and_then(Runtime::version_line);
        Self {
            name: runtime.map(Runtime::name),
            version: line.map(|line| line.runtime.as_str()),
            driver: line.and_then(|line| line.driver.as_deref()),
            platform: line.and_then(|line| line.platform.as_deref()),
        }
    }
}

/// Whether the record describes the machine that the models ran on. With a remote server it describes the client's.
pub(super) fn is_of_models(run: &RunRecord) -> bool {
    run.parameters.server.is_none() || !run.doctor.is_empty()
}

/// Quantization of the weights, from the model's name.
pub(super) fn quantization(model: &ModelRecord) -> Option<String> {
    let parts = model.name_parts();
    parts.dtype.or(parts.gguf_type)
}

/// NPU cores that the model was converted for: from the runtime, else from the model's name.
pub(super) fn npu_cores(model: &ModelRecord) -> Option<u8> {
    let loaded = model.loaded.as_ref().and_then(|loaded| loaded.npu_cores);
    loaded.or_else(|| model.name_parts().npu_cores)
}

/// Size of the model's file; absent for a model on a server.
pub(super) fn bytes(model: &ModelRecord) -> Option<u64> {
    Some(model.bytes).filter(|bytes| *bytes > 0)
}

/// New tokens of the shortest and the longest sample; absent without samples, or if a count is unknown.
pub(super) fn new_tokens(prompt: &PromptRecord) -> Option<(usize, usize)> {
    let samples = prompt.samples.iter();
    let counts = samples.map(|sample| sample.inference.token_count().tokens);
    let counts = counts.collect::<Option<Vec<_>>>()?;
    counts.iter().min().copied().zip(counts.iter().max().copied())
}

/// Inferences of a prompt that yielded no sample.
pub(super) fn failed(prompt: &PromptRecord) -> usize {
    prompt.rejected.len() + prompt.failures.len()
}
