//! The head of a GGUF file, by ggml's functions: metadata, and what the tensors are and where their weights go.

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

/// How the numbers of a tensor are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Q8_0,
    F32,
}

/// Where the weights of a tensor belong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Behind the end of the head, in bytes.
    pub(super) offset: usize,
    /// In bytes.
    pub(super) length: usize,
}

impl Place {
    /// What a file takes up to the end of these weights: they are filled up to the alignment of GGUF, the last ones too.
    pub(super) fn padded_end(self) -> usize {
        (self.offset + self.length).next_multiple_of(ALIGNMENT)
    }
}

/// GGUF's own, in bytes, for a file that does not say another.
const ALIGNMENT: usize = 32;

#[derive(Debug)]
pub(super) struct Gguf {
    ptr: NonNull<sys::gguf_context>,
}

impl Gguf {
    pub(super) fn new() -> Self {
        // SAFETY: no condition.
        let gguf = unsafe { sys::gguf_init_empty() };
        // It comes from C++'s `new`, which does not give NULL.
        Self {
            ptr: NonNull::new(gguf).unwrap_or_else(|| unreachable!("ggml made no GGUF context")),
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

    /// Adds a tensor behind those that are there.
    pub(super) fn add(&mut self, name: &str, kind: Kind, extents: &[usize]) -> io::Result<Place> {
        let name = CString::new(name)?;
        let kind = match kind {
            Kind::Q8_0 => sys::GGML_TYPE_Q8_0,
            Kind::F32 => sys::GGML_TYPE_F32,
        };
        let extents = extents
            .iter()
            .map(|&extent| i64::try_from(extent))
            .collect::<Result<Vec<_>, _>>()
            .map_err(io::Error::other)?;
        let description = Description::new(&name, kind, &extents)?;
        // SAFETY: both contexts are alive; ggml copies the description.
        unsafe { sys::gguf_add_tensor(self.ptr.as_ptr(), description.tensor) };
        // SAFETY: the context is alive, the name ends in NUL.
        let index = unsafe { sys::gguf_find_tensor(self.ptr.as_ptr(), name.as_ptr()) };
        Ok(Place {
            // SAFETY: the index is of the tensor that was just added.
            offset: unsafe { sys::gguf_get_tensor_offset(self.ptr.as_ptr(), index) },
            length: description.n_bytes(),
        })
    }

    /// Everything that comes before the weights.
    pub(super) fn head(&self) -> Vec<u8> {
        // SAFETY: the context is alive.
        let mut bytes = vec![0; unsafe { sys::gguf_get_meta_size(self.ptr.as_ptr()) }];
        // SAFETY: as above, and there is room for as many bytes as ggml said.
        unsafe { sys::gguf_get_meta_data(self.ptr.as_ptr(), bytes.as_mut_ptr().cast()) };
        bytes
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
