//! `LoRA` adapters.

use std::ffi::CStr;
use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;

use super::{Model, capture_errors, metadata};

/// An adapter of a model, freed with it.
#[derive(Debug)]
pub(crate) struct Adapter(NonNull<sys::llama_adapter_lora>);

// SAFETY: an adapter is not changed once loaded, whichever thread uses it.
unsafe impl Send for Adapter {}

impl Adapter {
    /// Loads an adapter into memory. The error is what llama.cpp said, or would have aborted on.
    pub(crate) fn load(model: &Model, path: &CStr) -> Result<Self, String> {
        metadata::check_adapter(path)?;
        let (adapter, errors) = capture_errors(|| {
            // SAFETY: the model is alive and takes over the adapter; the path is NUL-terminated.
            unsafe { sys::llama_adapter_lora_init(model.as_ptr(), path.as_ptr()) }
        });
        NonNull::new(adapter).map(Self).ok_or(errors)
    }

    pub(super) fn as_ptr(&self) -> *mut sys::llama_adapter_lora {
        self.0.as_ptr()
    }
}
