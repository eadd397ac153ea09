//! A GGUF file in the making, by ggml's functions.

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::ptr::{self, NonNull};

use llama_cpp_sys_2 as sys;

/// `general.file_type` of files whose matrices are `q8_0`.
pub(super) const MOSTLY_Q8_0: u32 = sys::LLAMA_FTYPE_MOSTLY_Q8_0;

/// A value of the metadata.
#[derive(Debug)]
pub(super) enum Value {
    Flag(bool),
    Count(u32),
    Real(f32),
    Text(String),
    Integers(Vec<i32>),
    Reals(Vec<f32>),
    Texts(Vec<String>),
}

/// The weights of a tensor, which ggml reads when the file is written.
#[derive(Debug)]
enum Weights {
    Q8_0(Vec<u8>),
    F32(Vec<f32>),
}

#[derive(Debug)]
pub(super) struct Gguf {
    ptr: NonNull<sys::gguf_context>,
    weights: Vec<Weights>,
}

impl Gguf {
    pub(super) fn new() -> Self {
        // SAFETY: no condition.
        let gguf = unsafe { sys::gguf_init_empty() };
        // It comes from C++'s `new`, which does not give NULL.
        Self {
            ptr: NonNull::new(gguf).unwrap_or_else(|| unreachable!("ggml made no GGUF context")),
            weights: Vec::new(),
        }
    }

    pub(super) fn set(&mut self, key: &str, value: &Value) -> io::Result<()> {
        let key = CString::new(key)?;
        let (gguf, key) = (self.ptr.as_ptr(), key.as_ptr());
        match value {
            // SAFETY: the context is alive, the key ends in NUL; ggml copies both key and value.
            Value::Flag(value) => unsafe { sys::gguf_set_val_bool(gguf, key, *value) },
            // SAFETY: as above.
            Value::Count(value) => unsafe { sys::gguf_set_val_u32(gguf, key, *value) },
            // SAFETY: as above.
            Value::Real(value) => unsafe { sys::gguf_set_val_f32(gguf, key, *value) },
            Value::Text(value) => {
                let value = CString::new(value.as_str())?;
                // SAFETY: as above, for the value too.
                unsafe { sys::gguf_set_val_str(gguf, key, value.as_ptr()) };
            }
            Value::Integers(values) => {
                let (data, kind) = (values.as_ptr().cast(), sys::GGUF_TYPE_INT32);
                // SAFETY: as above, with the array's own type and length.
                unsafe { sys::gguf_set_arr_data(gguf, key, kind, data, values.len()) };
            }
            Value::Reals(values) => {
                let (data, kind) = (values.as_ptr().cast(), sys::GGUF_TYPE_FLOAT32);
                // SAFETY: as above.
                unsafe { sys::gguf_set_arr_data(gguf, key, kind, data, values.len()) };
            }
            Value::Texts(values) => {
                let values = values
                    .iter()
                    .map(|value| CString::new(value.as_str()))
                    .collect::<Result<Vec<_>, _>>()?;
                let mut pointers: Vec<*const c_char> = values.iter().map(|value| value.as_ptr()).collect();
                // SAFETY: as above; the pointers are to strings alive until the end of this block.
                unsafe { sys::gguf_set_arr_str(gguf, key, pointers.as_mut_ptr(), pointers.len()) };
            }
        }
        Ok(())
    }

    /// A matrix of `rows` rows, in blocks of `q8_0`.
    pub(super) fn add_q8_0(
        &mut self,
        name: &str,
        row: usize,
        rows: usize,
        blocks: Vec<u8>,
    ) -> io::Result<()> {
        self.add(name, sys::GGML_TYPE_Q8_0, &[row, rows], Weights::Q8_0(blocks))
    }

    pub(super) fn add_f32(&mut self, name: &str, values: Vec<f32>) -> io::Result<()> {
        self.add(name, sys::GGML_TYPE_F32, &[values.len()], Weights::F32(values))
    }

    fn add(
        &mut self,
        name: &str,
        kind: sys::ggml_type,
        extents: &[usize],
        weights: Weights,
    ) -> io::Result<()> {
        let name = CString::new(name)?;
        let extents = extents
            .iter()
            .map(|&extent| i64::try_from(extent))
            .collect::<Result<Vec<_>, _>>()
            .map_err(io::Error::other)?;
        let description = Description::new(&name, kind, &extents)?;
        let (data, length) = match &weights {
            Weights::Q8_0(blocks) => (blocks.as_ptr().cast(), blocks.len()),
            Weights::F32(values) => (values.as_ptr().cast(), size_of_val(values.as_slice())),
        };
        if length != description.n_bytes() {
            return Err(io::Error::other(format!(
                "{name:?}: {length} bytes are not what its shape needs"
            )));
        }
        // SAFETY: both contexts are alive; ggml copies the description.
        unsafe { sys::gguf_add_tensor(self.ptr.as_ptr(), description.tensor) };
        // SAFETY: the tensor was just added; its data is as long as its shape needs, checked above, and stays where
        // it is until `self` is dropped: moving a vector does not move its heap.
        unsafe { sys::gguf_set_tensor_data(self.ptr.as_ptr(), name.as_ptr(), data) };
        self.weights.push(weights);
        Ok(())
    }

    pub(super) fn write(&self, path: &CStr) -> io::Result<()> {
        // SAFETY: the context is alive with all of its weights; the path ends in NUL.
        let written = unsafe { sys::gguf_write_to_file(self.ptr.as_ptr(), path.as_ptr(), false) };
        if written {
            Ok(())
        } else {
            Err(io::Error::other(format!(
                "cannot write {}",
                path.to_string_lossy()
            )))
        }
    }
}

impl Drop for Gguf {
    fn drop(&mut self) {
        // SAFETY: made by gguf_init_empty and freed only here.
        unsafe { sys::gguf_free(self.ptr.as_ptr()) };
    }
}

/// A tensor's name, type and extents, in a ggml context of its own, without data.
struct Description {
    context: NonNull<sys::ggml_context>,
    tensor: *mut sys::ggml_tensor,
}

impl Description {
    fn new(name: &CStr, kind: sys::ggml_type, extents: &[i64]) -> io::Result<Self> {
        let n_dims = i32::try_from(extents.len()).map_err(io::Error::other)?;
        // SAFETY: no condition.
        let mem_size = unsafe { sys::ggml_tensor_overhead() };
        let params = sys::ggml_init_params {
            mem_size,
            mem_buffer: ptr::null_mut(),
            no_alloc: true,
        };
        // SAFETY: NULL for a buffer has ggml allocate one of the size.
        let context = unsafe { sys::ggml_init(params) };
        let context = NonNull::new(context).ok_or_else(|| io::Error::other("ggml made no context"))?;
        // SAFETY: the context is alive and has room for one tensor; the extents are as many as told.
        let tensor = unsafe { sys::ggml_new_tensor(context.as_ptr(), kind, n_dims, extents.as_ptr()) };
        let description = Self { context, tensor };
        // SAFETY: the tensor is alive with its context; ggml copies the name, which ends in NUL.
        unsafe { sys::ggml_set_name(tensor, name.as_ptr()) };
        Ok(description)
    }

    fn n_bytes(&self) -> usize {
        // SAFETY: the tensor is alive with its context.
        unsafe { sys::ggml_nbytes(self.tensor) }
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        // SAFETY: made by ggml_init and freed only here, with the tensor in it.
        unsafe { sys::ggml_free(self.context.as_ptr()) };
    }
}
