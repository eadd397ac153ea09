//! GGUF files for the tests: matrices read, models with something left out, adapters.

use std::ffi::{CStr, CString, c_void};
use std::path::{Path, PathBuf};
use std::ptr;

use llama_cpp_sys_2 as sys;

fn c_path(path: &Path) -> CString {
    CString::new(path.to_str().expect("the path is UTF-8")).expect("no NUL")
}

/// A file in memory, with its tensors.
struct Whole {
    gguf: *mut sys::gguf_context,
    tensors: *mut sys::ggml_context,
}

impl Whole {
    fn read(path: &Path) -> Self {
        let mut tensors = ptr::null_mut();
        let params = sys::gguf_init_params {
            no_alloc: false,
            ctx: &raw mut tensors,
        };
        // SAFETY: a path that ends in NUL; ggml fills in the context.
        let gguf = unsafe { sys::gguf_init_from_file(c_path(path).as_ptr(), params) };
        assert!(!gguf.is_null());
        Self { gguf, tensors }
    }

    fn names(&self) -> Vec<CString> {
        // SAFETY: the file is in memory.
        let count = unsafe { sys::gguf_get_n_tensors(self.gguf) };
        let name = |index| {
            // SAFETY: as above; there are as many.
            let name = unsafe { sys::gguf_get_tensor_name(self.gguf, index) };
            // SAFETY: ggml's names end in NUL.
            unsafe { CStr::from_ptr(name) }.to_owned()
        };
        (0..count).map(name).collect()
    }

    fn tensor(&self, name: &CStr) -> *mut sys::ggml_tensor {
        // SAFETY: the file is in memory, the name ends in NUL.
        let tensor = unsafe { sys::ggml_get_tensor(self.tensors, name.as_ptr()) };
        assert!(!tensor.is_null(), "{name:?}");
        tensor
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        // SAFETY: made by ggml and freed only here.
        unsafe { sys::gguf_free(self.gguf) };
        // SAFETY: as above.
        unsafe { sys::ggml_free(self.tensors) };
    }
}

/// The rows of a `q8_0` matrix, as floats: a half-precision scale and 32 bytes make 32 values.
pub(crate) fn matrix(path: &Path, name: &CStr) -> Vec<Vec<f32>> {
    let whole = Whole::read(path);
    let tensor = whole.tensor(name);
    // SAFETY: the tensor is in memory.
    let tensor = unsafe { &*tensor };
    assert_eq!(tensor.type_, sys::GGML_TYPE_Q8_0);
    let ([width, height, ..], data) = (tensor.ne, tensor.data);
    let (width, height) = (usize::try_from(width).unwrap(), usize::try_from(height).unwrap());
    // SAFETY: a block of 34 bytes for each 32 values.
    let bytes = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), width * height / 32 * 34) };
    let values: Vec<f32> = bytes
        .chunks_exact(34)
        .flat_map(|block| {
            // SAFETY: no condition.
            let scale = unsafe { sys::ggml_fp16_to_fp32(u16::from_le_bytes([block[0], block[1]])) };
            block[2..]
                .iter()
                .map(move |byte| f32::from(byte.cast_signed()) * scale)
        })
        .collect();
    values.chunks_exact(width).map(<[f32]>::to_vec).collect()
}

/// What a model may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lack {
    Tokenizer,
    Tensor(&'static CStr),
}

/// Writes the model at `from` without one of its parts.
pub(crate) fn write_without(lack: &[Lack], n_vocab: u32, from: &Path, to: &Path) {
    let whole = Whole::read(from);
    // SAFETY: no condition.
    let gguf = unsafe { sys::gguf_init_empty() };
    // SAFETY: both are alive; ggml copies.
    unsafe { sys::gguf_set_kv(gguf, whole.gguf) };
    if lack.contains(&Lack::Tokenizer) {
        for key in [
            c"tokenizer.ggml.tokens",
            c"tokenizer.ggml.scores",
            c"tokenizer.ggml.token_type",
        ] {
            // SAFETY: the file is alive, the key ends in NUL.
            unsafe { sys::gguf_remove_key(gguf, key.as_ptr()) };
        }
        // SAFETY: as above, for the value too.
        unsafe { sys::gguf_set_val_str(gguf, c"tokenizer.ggml.model".as_ptr(), c"no_vocab".as_ptr()) };
        // SAFETY: as above.
        unsafe { sys::gguf_set_val_u32(gguf, c"llama.vocab_size".as_ptr(), n_vocab) };
    }
    for name in whole.names() {
        if !lack
            .iter()
            .any(|lack| matches!(lack, Lack::Tensor(missing) if **missing == *name))
        {
            // SAFETY: both are alive; the tensor's data is until the file is written.
            unsafe { sys::gguf_add_tensor(gguf, whole.tensor(&name)) };
        }
    }
    write(gguf, to);
}

/// A value that a file is to have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Text(&'a CStr),
    Number(u32),
    Flag(bool),
}

/// Writes the model at `from` with other values in its metadata, and of its tensors those that `keep` takes.
pub(crate) fn write_with(
    values: &[(&CStr, Value<'_>)],
    keep: impl Fn(&CStr) -> bool,
    from: &Path,
    to: &Path,
) {
    let whole = Whole::read(from);
    // SAFETY: no condition.
    let gguf = unsafe { sys::gguf_init_empty() };
    // SAFETY: both are alive; ggml copies.
    unsafe { sys::gguf_set_kv(gguf, whole.gguf) };
    for (key, value) in values {
        let key = key.as_ptr();
        match value {
            // SAFETY: the file is alive, key and value end in NUL.
            Value::Text(text) => unsafe { sys::gguf_set_val_str(gguf, key, text.as_ptr()) },
            // SAFETY: as above.
            Value::Number(number) => unsafe { sys::gguf_set_val_u32(gguf, key, *number) },
            // SAFETY: as above.
            Value::Flag(flag) => unsafe { sys::gguf_set_val_bool(gguf, key, *flag) },
        }
    }
    for name in whole.names().iter().filter(|name| keep(name)) {
        // SAFETY: both are alive; the tensor's data is until the file is written.
        unsafe { sys::gguf_add_tensor(gguf, whole.tensor(name)) };
    }
    write(gguf, to);
}

/// Writes the model at `from` as `count` shards beside each other, as llama.cpp's gguf-split does: all metadata in the
/// first one, the tensors shared out. `first_is_bare`: it has none of the tensors. Gives the files in order.
pub(crate) fn split(from: &Path, stem: &Path, count: u16, first_is_bare: bool) -> Vec<PathBuf> {
    let whole = Whole::read(from);
    let names = whole.names();
    let share = |index: usize| {
        let holders = usize::from(count) - usize::from(first_is_bare);
        u16::try_from(index % holders).unwrap() + u16::from(first_is_bare)
    };
    let shards = (0..count).map(|number| {
        // SAFETY: no condition.
        let gguf = unsafe { sys::gguf_init_empty() };
        if number == 0 {
            // SAFETY: both are alive; ggml copies.
            unsafe { sys::gguf_set_kv(gguf, whole.gguf) };
        }
        // SAFETY: the file is alive, the key ends in NUL.
        unsafe { sys::gguf_set_val_u16(gguf, c"split.no".as_ptr(), number) };
        // SAFETY: as above.
        unsafe { sys::gguf_set_val_u16(gguf, c"split.count".as_ptr(), count) };
        let total = i32::try_from(names.len()).unwrap();
        // SAFETY: as above.
        unsafe { sys::gguf_set_val_i32(gguf, c"split.tensors.count".as_ptr(), total) };
        for (_, name) in names
            .iter()
            .enumerate()
            .filter(|(index, _)| share(*index) == number)
        {
            // SAFETY: both are alive; the tensor's data is until the file is written.
            unsafe { sys::gguf_add_tensor(gguf, whole.tensor(name)) };
        }
        let name = format!("{}-{:05}-of-{count:05}.gguf", stem.display(), number + 1);
        write(gguf, name.as_ref());
        name.into()
    });
    shards.collect()
}

fn write(gguf: *mut sys::gguf_context, to: &Path) {
    // SAFETY: the file is alive, the path ends in NUL.
    assert!(unsafe { sys::gguf_write_to_file(gguf, c_path(to).as_ptr(), false) });
    // SAFETY: made by gguf_init_empty and freed only here.
    unsafe { sys::gguf_free(gguf) };
}

/// An adapter of the matrices called `target`, each taking in and giving out so many values, by two random matrices of
/// this rank.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lora<'a> {
    pub(crate) architecture: &'static CStr,
    pub(crate) target: &'a str,
    pub(crate) n_in: usize,
    pub(crate) n_out: usize,
    /// What the numbers begin with.
    pub(crate) seed: u32,
    /// What the second matrix is multiplied by.
    pub(crate) factor: f32,
}

const RANK: usize = 4;
/// Equal to the rank, it leaves the matrices as they are.
const ALPHA: f32 = 4.0;

impl Lora<'_> {
    pub(crate) fn write(&self, to: &Path) {
        // SAFETY: no condition.
        let gguf = unsafe { sys::gguf_init_empty() };
        for (key, value) in [
            (c"general.type", c"adapter"),
            (c"general.architecture", self.architecture),
            (c"adapter.type", c"lora"),
        ] {
            // SAFETY: the file is alive, key and value end in NUL.
            unsafe { sys::gguf_set_val_str(gguf, key.as_ptr(), value.as_ptr()) };
        }
        // SAFETY: as above.
        unsafe { sys::gguf_set_val_f32(gguf, c"adapter.lora.alpha".as_ptr(), ALPHA) };
        let params = sys::ggml_init_params {
            mem_size: 1 << 20,
            mem_buffer: ptr::null_mut::<c_void>(),
            no_alloc: false,
        };
        // SAFETY: ggml allocates the memory.
        let tensors = unsafe { sys::ggml_init(params) };
        let mut state = self.seed;
        for (part, width, height, factor) in [
            ("lora_a", self.n_in, RANK, 1.0),
            ("lora_b", RANK, self.n_out, self.factor),
        ] {
            let (width, height) = (i64::try_from(width).unwrap(), i64::try_from(height).unwrap());
            // SAFETY: the context is alive and large enough.
            let tensor = unsafe { sys::ggml_new_tensor_2d(tensors, sys::GGML_TYPE_F32, width, height) };
            let name = CString::new(format!("{}.{part}", self.target)).expect("no NUL");
            // SAFETY: the tensor is alive; ggml copies the name.
            unsafe { sys::ggml_set_name(tensor, name.as_ptr()) };
            // SAFETY: the tensor is alive.
            let data = unsafe { sys::ggml_get_data_f32(tensor) };
            let length = usize::try_from(width * height).unwrap();
            // SAFETY: as many values as width and height say.
            for value in unsafe { std::slice::from_raw_parts_mut(data, length) } {
                // The generator of Numerical Recipes (Press et al.), whose upper bits are random enough here.
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *value = (f32::from(u16::try_from(state >> 16).unwrap()) / 65_536.0 - 0.5) * factor;
            }
            // SAFETY: both are alive, the data until the file is written.
            unsafe { sys::gguf_add_tensor(gguf, tensor) };
        }
        write(gguf, to);
        // SAFETY: made by ggml and freed only here.
        unsafe { sys::ggml_free(tensors) };
    }
}
