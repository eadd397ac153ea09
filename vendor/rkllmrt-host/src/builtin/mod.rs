//! Models that need no download: llama-shaped, with seeded pseudo-random weights.
//!
//! Their speed is real and their text is noise. A file is the same to the byte on every machine: weights are made by
//! integer arithmetic alone.

mod gguf;
mod vocabulary;
mod weights;

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use gguf::{Gguf, Value};
use weights::{BLOCK, norm, q8_0};

/// The dimensions of a llama model. All weights are `q8_0` but for the norms, which are `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// What the model is called; it also seeds the weights.
    pub name: &'static str,
    /// Tokens of the vocabulary: 3 special ones, 256 bytes, then pieces of text.
    pub n_vocab: usize,
    /// Width of the embedding: a multiple of 32.
    pub n_embd: usize,
    /// Layers.
    pub n_layer: usize,
    /// Attention heads; `n_embd` divides into them evenly, each of an even width.
    pub n_head: usize,
    /// Heads of keys and values, a divisor of `n_head`.
    pub n_head_kv: usize,
    /// Width of the feed-forward part: a multiple of 32.
    pub n_ff: usize,
    /// The longest context, in tokens.
    pub context_length: usize,
    /// The chat template that the file carries, in the language of Hugging Face's templates.
    pub chat_template: Option<&'static str>,
}

impl Shape {
    /// About 15 million parameters: loads in no time, generates hundreds of tokens a second on one core, and is
    /// large enough that the time goes into matrix products as with any model.
    pub const TINY: Self = Self {
        name: "tiny",
        n_vocab: 4096,
        n_embd: 384,
        n_layer: 8,
        n_head: 6,
        n_head_kv: 2,
        n_ff: 1024,
        context_length: 8192,
        chat_template: None,
    };

    /// How many weights the model has.
    pub fn n_parameters(&self) -> usize {
        self.tensors().iter().map(Tensor::len).sum()
    }

    /// Why no model can be of this shape, if so.
    fn defect(&self) -> Option<&'static str> {
        let counts = [
            self.n_embd,
            self.n_layer,
            self.n_head,
            self.n_head_kv,
            self.n_ff,
            self.context_length,
        ];
        if counts
            .iter()
            .any(|&count| count == 0 || u32::try_from(count).is_err())
        {
            Some("every dimension must be at least 1 and fit into 32 bits")
        } else if !self.n_embd.is_multiple_of(BLOCK) || !self.n_ff.is_multiple_of(BLOCK) {
            Some("n_embd and n_ff must be multiples of 32")
        } else if !self.n_embd.is_multiple_of(self.n_head * 2) || !self.n_head.is_multiple_of(self.n_head_kv)
        {
            Some("n_embd must divide into heads of even width, and n_head into n_head_kv groups")
        } else if self.name.contains('\0')
            || self.chat_template.is_some_and(|template| template.contains('\0'))
        {
            Some("the name and the chat template must not hold a NUL")
        } else {
            (!vocabulary::SIZES.contains(&self.n_vocab)).then_some("n_vocab is too small or too large")
        }
    }

    fn tensors(&self) -> Vec<Tensor> {
        let n_kv = self.n_embd / self.n_head * self.n_head_kv;
        let mut tensors = vec![
            Tensor::matrix("token_embd.weight".into(), self.n_embd, self.n_vocab),
            Tensor::norm("output_norm.weight".into(), self.n_embd),
            Tensor::matrix("output.weight".into(), self.n_embd, self.n_vocab),
        ];
        for layer in 0..self.n_layer {
            let name = |part: &str| format!("blk.{layer}.{part}.weight");
            tensors.extend([
                Tensor::norm(name("attn_norm"), self.n_embd),
                Tensor::matrix(name("attn_q"), self.n_embd, self.n_embd),
                Tensor::matrix(name("attn_k"), self.n_embd, n_kv),
                Tensor::matrix(name("attn_v"), self.n_embd, n_kv),
                Tensor::matrix(name("attn_output"), self.n_embd, self.n_embd),
                Tensor::norm(name("ffn_norm"), self.n_embd),
                Tensor::matrix(name("ffn_gate"), self.n_embd, self.n_ff),
                Tensor::matrix(name("ffn_up"), self.n_embd, self.n_ff),
                Tensor::matrix(name("ffn_down"), self.n_ff, self.n_embd),
            ]);
        }
        tensors
    }

    fn metadata(&self) -> Vec<(&'static str, Value)> {
        let count = |value: usize| Value::Count(u32::try_from(value).unwrap_or(u32::MAX));
        let mut metadata = vec![
            ("general.architecture", Value::Text("llama".into())),
            (
                "general.name",
                Value::Text(format!("{} (random weights)", self.name)),
            ),
            (
                "general.description",
                Value::Text("Pseudo-random weights: the speed is real, the text is noise".into()),
            ),
            ("general.file_type", Value::Count(gguf::MOSTLY_Q8_0)),
            ("llama.vocab_size", count(self.n_vocab)),
            ("llama.context_length", count(self.context_length)),
            ("llama.embedding_length", count(self.n_embd)),
            ("llama.block_count", count(self.n_layer)),
            ("llama.feed_forward_length", count(self.n_ff)),
            ("llama.attention.head_count", count(self.n_head)),
            ("llama.attention.head_count_kv", count(self.n_head_kv)),
            ("llama.attention.layer_norm_rms_epsilon", Value::Real(1e-5)),
            ("llama.rope.dimension_count", count(self.n_embd / self.n_head)),
        ];
        metadata.extend(vocabulary::metadata(self.n_vocab));
        metadata.extend(
            self.chat_template
                .map(|text| ("tokenizer.chat_template", Value::Text(text.into()))),
        );
        metadata
    }
}

struct Tensor {
    name: String,
    /// Length of a row: what a matrix product sums over.
    row: usize,
    /// `None`: one row of norms.
    rows: Option<usize>,
}

impl Tensor {
    fn matrix(name: String, row: usize, rows: usize) -> Self {
        Self {
            name,
            row,
            rows: Some(rows),
        }
    }

    fn norm(name: String, row: usize) -> Self {
        Self {
            name,
            row,
            rows: None,
        }
    }

    fn len(&self) -> usize {
        self.row * self.rows.unwrap_or(1)
    }
}

/// Writes a model of `shape` as a GGUF file. The file is made beside `path` and renamed, so that whoever finds it
/// finds it whole, also when two processes write the same one; a missing directory is made.
///
/// # Errors
///
/// `InvalidInput` for a shape that no model can have, else what the file system answered.
pub fn write(shape: &Shape, path: &Path) -> io::Result<()> {
    if let Some(defect) = shape.defect() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("built-in model {}: {defect}", shape.name),
        ));
    }
    if let Some(directory) = path
        .parent()
        .filter(|directory| !directory.as_os_str().is_empty())
    {
        fs::create_dir_all(directory)?;
    }
    let draft = draft_path(path);
    let written = write_draft(shape, &draft).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&draft);
    }
    written
}

/// Beside `path`, and of no other writer in this or another process.
fn draft_path(path: &Path) -> PathBuf {
    static WRITERS: AtomicU64 = AtomicU64::new(0);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(
        ".{}-{}.draft",
        process::id(),
        WRITERS.fetch_add(1, Ordering::Relaxed)
    ));
    path.with_file_name(name)
}

fn write_draft(shape: &Shape, draft: &Path) -> io::Result<()> {
    let mut gguf = Gguf::new();
    for (key, value) in shape.metadata() {
        gguf.set(key, &value)?;
    }
    for tensor in shape.tensors() {
        let seed = weights::seed(shape.name, &tensor.name);
        match tensor.rows {
            Some(rows) => gguf.add_q8_0(&tensor.name, tensor.row, rows, q8_0(seed, tensor.row, rows))?,
            None => gguf.add_f32(&tensor.name, norm(tensor.row))?,
        }
    }
    gguf.write(&CString::new(draft.as_os_str().as_bytes())?)?;
    File::open(draft)?.sync_all()
}
