//! A look at a GGUF file's metadata before llama.cpp loads it.

use std::ffi::{CStr, CString};
use std::ptr::{self, NonNull};

use llama_cpp_sys_2 as sys;

use super::{capture_errors, owned};

/// Layers that llama.cpp has room for (`LLAMA_MAX_LAYERS` in its llama-hparams.h). With more it does not refuse the
/// file but aborts the process.
const MAX_LAYERS: u32 = 512;

/// Refuses a file whose metadata cannot be read, or on which llama.cpp would abort.
pub(super) fn check(path: &CStr) -> Result<(), String> {
    let metadata = Metadata::read(path)?;
    match metadata.layers() {
        Some(layers) if layers > MAX_LAYERS => Err(format!(
            "it says that it has {layers} layers, and {MAX_LAYERS} are the most that can be loaded"
        )),
        _ => Ok(()),
    }
}

struct Metadata(NonNull<sys::gguf_context>);

impl Metadata {
    /// The error is what ggml said.
    fn read(path: &CStr) -> Result<Self, String> {
        let params = sys::gguf_init_params {
            no_alloc: true,
            ctx: ptr::null_mut(),
        };
        let (gguf, errors) = capture_errors(|| {
            // SAFETY: the path is NUL-terminated; without a context to fill, ggml reads the metadata alone.
            unsafe { sys::gguf_init_from_file(path.as_ptr(), params) }
        });
        NonNull::new(gguf).map(Self).ok_or(errors)
    }

    /// What the file says of its layers, if it does.
    fn layers(&self) -> Option<u32> {
        let key = self.find(c"general.architecture", sys::GGUF_TYPE_STRING)?;
        // SAFETY: the metadata is alive and the key is one of its strings.
        let text = unsafe { sys::gguf_get_val_str(self.0.as_ptr(), key) };
        // SAFETY: ggml gives a NUL-terminated string that belongs to the metadata.
        let architecture = unsafe { owned(text) };
        let name = CString::new(format!("{architecture}.block_count")).ok()?;
        let key = self.find(&name, sys::GGUF_TYPE_UINT32)?;
        // SAFETY: as above, for a number.
        Some(unsafe { sys::gguf_get_val_u32(self.0.as_ptr(), key) })
    }

    /// The place of a key whose value is of this type.
    fn find(&self, name: &CStr, kind: sys::gguf_type) -> Option<i64> {
        // SAFETY: the metadata is alive, the name is NUL-terminated.
        let key = unsafe { sys::gguf_find_key(self.0.as_ptr(), name.as_ptr()) };
        if key < 0 {
            return None;
        }
        // SAFETY: as above; the key was found.
        let found = unsafe { sys::gguf_get_kv_type(self.0.as_ptr(), key) };
        (found == kind).then_some(key)
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        // SAFETY: ours alone, and freed once.
        unsafe { sys::gguf_free(self.0.as_ptr()) };
    }
}
