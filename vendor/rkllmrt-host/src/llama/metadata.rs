//! A look at a GGUF file's metadata before llama.cpp loads it.

use std::ffi::{CStr, CString};
use std::ptr::{self, NonNull};

use llama_cpp_sys_2 as sys;

use super::{capture_errors, owned};
use crate::model_file::ModelFile;

/// Layers that llama.cpp has room for (`LLAMA_MAX_LAYERS` in its llama-hparams.h). With more it does not refuse the
/// file but aborts the process.
const MAX_LAYERS: u32 = 512;

/// The types of numbers that the matrices of an adapter may have: those that llama.cpp's converter writes. ggml aborts
/// on some others.
const ADAPTER_KINDS: [sys::ggml_type; 4] = [
    sys::GGML_TYPE_F32,
    sys::GGML_TYPE_F16,
    sys::GGML_TYPE_BF16,
    sys::GGML_TYPE_Q8_0,
];

/// Refuses a model whose metadata cannot be read, or on which llama.cpp would abort. Says what the file is.
pub(super) fn check(path: &CStr) -> Result<ModelFile, String> {
    let metadata = Metadata::read(path)?;
    match metadata.layers() {
        Some(layers) if layers > MAX_LAYERS => Err(format!(
            "it says that it has {layers} layers, and {MAX_LAYERS} are the most that can be loaded"
        )),
        _ => Ok(ModelFile::of(&metadata)),
    }
}

/// The same for an adapter.
pub(super) fn check_adapter(path: &CStr) -> Result<(), String> {
    let metadata = Metadata::read(path)?;
    let text = sys::GGUF_TYPE_STRING;
    for (key, kind) in [
        (c"general.type", text),
        (c"general.architecture", text),
        (c"adapter.type", text),
        (c"adapter.lora.alpha", sys::GGUF_TYPE_FLOAT32),
    ] {
        if metadata.find(key, kind).is_none() {
            let key = key.to_string_lossy();
            return Err(format!(
                "it is no LoRA adapter: its {key} is missing or of another type"
            ));
        }
    }
    let odd = (0..metadata.n_tensors()).find(|&tensor| {
        // SAFETY: the metadata is alive and has this tensor.
        !ADAPTER_KINDS.contains(&unsafe { sys::gguf_get_tensor_type(metadata.0.as_ptr(), tensor) })
    });
    match odd {
        None => Ok(()),
        Some(tensor) => Err(format!(
            "its {} is of a type that adapters do not come in",
            metadata.tensor_name(tensor).to_string_lossy()
        )),
    }
}

/// What GGUF calls the matrix of the embedding layer.
pub(crate) const EMBEDDING: &CStr = c"token_embd.weight";

/// What a file says of itself before its tensors.
pub(crate) struct Metadata(NonNull<sys::gguf_context>);

impl Metadata {
    /// The error is what ggml said.
    pub(crate) fn read(path: &CStr) -> Result<Self, String> {
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
        let architecture = self.text(c"general.architecture")?;
        let name = CString::new(format!("{architecture}.block_count")).ok()?;
        let key = self.find(&name, sys::GGUF_TYPE_UINT32)?;
        // SAFETY: the metadata is alive and the key is one of its numbers of this type.
        Some(unsafe { sys::gguf_get_val_u32(self.0.as_ptr(), key) })
    }

    /// The text under a key, if there is one.
    pub(crate) fn text(&self, name: &CStr) -> Option<String> {
        let key = self.find(name, sys::GGUF_TYPE_STRING)?;
        // SAFETY: the metadata is alive and the key is one of its strings.
        let text = unsafe { sys::gguf_get_val_str(self.0.as_ptr(), key) };
        // SAFETY: ggml gives a NUL-terminated string that belongs to the metadata.
        Some(unsafe { owned(text) })
    }

    /// The whole number under a key, of one of the types that such keys have.
    pub(crate) fn number(&self, name: &CStr) -> Option<i64> {
        let gguf = self.0.as_ptr();
        if let Some(key) = self.find(name, sys::GGUF_TYPE_UINT16) {
            // SAFETY: the metadata is alive and the key is one of its numbers of this type.
            return Some(unsafe { sys::gguf_get_val_u16(gguf, key) }.into());
        }
        if let Some(key) = self.find(name, sys::GGUF_TYPE_UINT32) {
            // SAFETY: as above.
            return Some(unsafe { sys::gguf_get_val_u32(gguf, key) }.into());
        }
        let key = self.find(name, sys::GGUF_TYPE_INT32)?;
        // SAFETY: as above.
        Some(unsafe { sys::gguf_get_val_i32(gguf, key) }.into())
    }

    /// Whether a key says yes or no.
    pub(crate) fn boolean(&self, name: &CStr) -> Option<bool> {
        let key = self.find(name, sys::GGUF_TYPE_BOOL)?;
        // SAFETY: the metadata is alive and the key is one of its values of this type.
        Some(unsafe { sys::gguf_get_val_bool(self.0.as_ptr(), key) })
    }

    /// Whether there is such a key.
    pub(crate) fn has(&self, name: &CStr) -> bool {
        // SAFETY: the metadata is alive, the name is NUL-terminated.
        unsafe { sys::gguf_find_key(self.0.as_ptr(), name.as_ptr()) >= 0 }
    }

    /// The place of a tensor, if there is one of this name.
    pub(crate) fn tensor(&self, name: &CStr) -> Option<i64> {
        // SAFETY: the metadata is alive, the name is NUL-terminated.
        let tensor = unsafe { sys::gguf_find_tensor(self.0.as_ptr(), name.as_ptr()) };
        (tensor >= 0).then_some(tensor)
    }

    pub(crate) fn n_tensors(&self) -> i64 {
        // SAFETY: the metadata is alive.
        unsafe { sys::gguf_get_n_tensors(self.0.as_ptr()) }
    }

    /// Width and height of a matrix.
    pub(super) fn extents(&self, tensor: i64) -> [i64; 2] {
        // SAFETY: the metadata is alive and has this tensor.
        let extents = unsafe { sys::gguf_get_tensor_ne(self.0.as_ptr(), tensor) };
        // SAFETY: ggml has four extents for each tensor, which belong to the metadata.
        let [width, height, ..] = unsafe { *extents.cast::<[i64; 4]>() };
        [width, height]
    }

    fn tensor_name(&self, tensor: i64) -> &CStr {
        // SAFETY: the metadata is alive and has this tensor.
        let name = unsafe { sys::gguf_get_tensor_name(self.0.as_ptr(), tensor) };
        // SAFETY: a NUL-terminated string that belongs to the metadata.
        unsafe { CStr::from_ptr(name) }
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
