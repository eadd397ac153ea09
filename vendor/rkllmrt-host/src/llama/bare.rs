//! A model without an embedding layer: its file lacks the matrix that llama.cpp insists on.
//!
//! llama.cpp takes models in several files. The second one here is a temporary file with the missing matrix: a hole, no
//! byte of which is ever read, since nothing looks a token up.

use std::ffi::{CStr, CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::ptr::{self, NonNull};

use llama_cpp_sys_2 as sys;
use tempfile::NamedTempFile;

use super::capture_errors;
use super::metadata::{EMBEDDING, Metadata};

/// Most rows and columns of a matrix: token ids are 32-bit numbers, and ggml aborts where the product does not fit its own.
const MOST_EXTENT: i64 = 0x7FFF_FFFF;

pub(super) fn load(
    path: &CStr,
    mut params: sys::llama_model_params,
) -> Result<NonNull<sys::llama_model>, String> {
    let metadata = Metadata::read(path)?;
    let output = metadata
        .tensor(c"output.weight")
        .ok_or("it has no output matrix, neither one of its own nor the embedding's")?;
    let hole = Hole::new(metadata.extents(output)).map_err(|error| error.to_string())?;
    // What the first of two files would say, and this one, which is whole, does not.
    let overrides = [
        (c"split.no", 0),
        (c"split.count", 2),
        (c"split.tensors.count", metadata.n_tensors() + 1),
        (c"", 0),
    ]
    .map(|(key, value)| replaced(key, value));
    params.kv_overrides = overrides.as_ptr();
    let mut paths = [path.as_ptr(), hole.path.as_ptr()];
    let (model, errors) = capture_errors(|| {
        // SAFETY: two paths that end in NUL; the overrides end in an empty key and outlive the call.
        unsafe { sys::llama_model_load_from_splits(paths.as_mut_ptr(), paths.len(), params) }
    });
    NonNull::new(model).ok_or(errors)
}

/// A number that takes the place of what the metadata say. The list of these ends with an empty key.
fn replaced(key: &CStr, value: i64) -> sys::llama_model_kv_override {
    let mut name: [c_char; 128] = [0; 128];
    for (to, from) in name.iter_mut().zip(key.to_bytes()) {
        *to = c_char::from_ne_bytes([*from]);
    }
    sys::llama_model_kv_override {
        tag: sys::LLAMA_KV_OVERRIDE_TYPE_INT,
        key: name,
        __bindgen_anon_1: sys::llama_model_kv_override__bindgen_ty_1 { val_i64: value },
    }
}

/// The file with the missing matrix. Once mapped it is no longer needed under its name.
pub(super) struct Hole {
    path: CString,
    _file: NamedTempFile,
}

impl Hole {
    pub(super) fn new(extents: [i64; 2]) -> std::io::Result<Self> {
        let [width, height] = extents;
        if !(1..=MOST_EXTENT).contains(&width) || !(1..=MOST_EXTENT).contains(&height) {
            return Err(std::io::Error::other(format!(
                "its output matrix is {width} by {height}, which no model has"
            )));
        }
        let file = NamedTempFile::with_prefix("rkllmrt-embedding-")?;
        let path = CString::new(file.path().as_os_str().as_bytes())?;
        let length = write_head(&path, extents)
            .ok_or_else(|| std::io::Error::other("ggml did not write the head of a file"))?;
        // ggml wrote to the file by its name and left it as long as its head.
        file.as_file().set_len(length)?;
        Ok(Self { path, _file: file })
    }
}

/// Says in a file that an embedding matrix of these extents follows, and how long the file is with it.
fn write_head(path: &CStr, [width, height]: [i64; 2]) -> Option<u64> {
    let params = sys::ggml_init_params {
        // SAFETY: no condition.
        mem_size: unsafe { sys::ggml_tensor_overhead() },
        mem_buffer: ptr::null_mut(),
        no_alloc: true,
    };
    // SAFETY: NULL for a buffer has ggml allocate one of the size.
    let context = NonNull::new(unsafe { sys::ggml_init(params) })?;
    // SAFETY: the context is alive and has room for one tensor.
    let tensor = unsafe { sys::ggml_new_tensor_2d(context.as_ptr(), sys::GGML_TYPE_F16, width, height) };
    // SAFETY: the tensor is alive; ggml copies the name.
    unsafe { sys::ggml_set_name(tensor, EMBEDDING.as_ptr()) };
    // SAFETY: no condition; C++'s `new` does not give NULL.
    let gguf = unsafe { sys::gguf_init_empty() };
    // SAFETY: the head is alive, the key ends in NUL.
    unsafe { sys::gguf_set_val_u16(gguf, c"split.no".as_ptr(), 1) };
    // SAFETY: both are alive; ggml copies the description.
    unsafe { sys::gguf_add_tensor(gguf, tensor) };
    // SAFETY: the head is alive, the path ends in NUL.
    let written = unsafe { sys::gguf_write_to_file(gguf, path.as_ptr(), true) };
    // SAFETY: as above.
    let head = unsafe { sys::gguf_get_meta_size(gguf) };
    // SAFETY: the tensor is alive.
    let weights = unsafe { sys::ggml_nbytes(tensor) };
    // SAFETY: made above and freed only here.
    unsafe { sys::gguf_free(gguf) };
    // SAFETY: as above, with the tensor in it.
    unsafe { sys::ggml_free(context.as_ptr()) };
    let length = head.checked_add(weights)?;
    written.then_some(length as u64)
}
