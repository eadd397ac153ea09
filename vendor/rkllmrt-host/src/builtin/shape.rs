//! What a built-in model consists of.

use super::gguf::{self, Kind, Value};
use super::vocabulary;
use super::weights::BLOCK;

/// The dimensions of a model. Matrices are `q8_0`, norms and biases `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// What the model is called. It also seeds the weights, and says what the model is: one that begins with `qwen2-`
    /// or `qwen3-` is of that architecture, any other is a llama.
    pub name: &'static str,
    /// Tokens of the vocabulary: 3 special ones, 256 bytes, then pieces of text.
    pub n_vocab: usize,
    /// Width of the embedding: a multiple of 32.
    pub n_embd: usize,
    /// Layers.
    pub n_layer: usize,
    /// Attention heads. Those of a Qwen3 are 128 wide; for the others `n_embd` divides into them evenly, each of an
    /// even width.
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

/// What the layers of a model are like, apart from their sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Architecture {
    /// With an output matrix of its own.
    Llama,
    /// With biases on queries, keys and values; the embedding is the output matrix too.
    Qwen2,
    /// With norms on the queries and keys of each head; the embedding is the output matrix too.
    Qwen3,
}

impl Architecture {
    /// As llama.cpp calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }

    /// The width of a head, where it does not follow from the embedding's.
    fn head_width(self) -> Option<usize> {
        (self == Self::Qwen3).then_some(128)
    }

    /// The base of the rotary embedding's frequencies, where it is not the 10,000 that llama.cpp takes for one that is
    /// not given.
    fn rope_base(self) -> Option<f32> {
        (self != Self::Llama).then_some(1e6)
    }

    fn rms_epsilon(self) -> f32 {
        match self {
            Self::Llama => 1e-5,
            Self::Qwen2 | Self::Qwen3 => 1e-6,
        }
    }
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

    /// Qwen2-0.5B's dimensions: 494 million parameters, more than a quarter of them in the embedding.
    pub const QWEN2_0_5B: Self = Self {
        name: "qwen2-0.5b",
        n_vocab: 151_936,
        n_embd: 896,
        n_layer: 24,
        n_head: 14,
        n_head_kv: 2,
        n_ff: 4864,
        context_length: 32_768,
        chat_template: None,
    };

    /// Qwen3-0.6B's dimensions: 596 million parameters.
    pub const QWEN3_0_6B: Self = Self {
        name: "qwen3-0.6b",
        n_vocab: 151_936,
        n_embd: 1024,
        n_layer: 28,
        n_head: 16,
        n_head_kv: 8,
        n_ff: 3072,
        context_length: 40_960,
        chat_template: None,
    };

    /// `TinyLlama`-1.1B's dimensions: 1,100 million parameters.
    pub const TINYLLAMA_1_1B: Self = Self {
        name: "tinyllama-1.1b",
        n_vocab: 32_000,
        n_embd: 2048,
        n_layer: 22,
        n_head: 32,
        n_head_kv: 4,
        n_ff: 5632,
        context_length: 2048,
        chat_template: None,
    };

    /// All that have a name here, the smallest first.
    pub const ALL: [Self; 4] = [
        Self::TINY,
        Self::QWEN2_0_5B,
        Self::QWEN3_0_6B,
        Self::TINYLLAMA_1_1B,
    ];

    /// How many weights the model has, norms and biases included.
    pub fn n_parameters(&self) -> usize {
        self.tensors().iter().map(Tensor::len).sum()
    }

    fn architecture(&self) -> Architecture {
        if self.name.starts_with("qwen2-") {
            Architecture::Qwen2
        } else if self.name.starts_with("qwen3-") {
            Architecture::Qwen3
        } else {
            Architecture::Llama
        }
    }

    fn head_width(&self) -> usize {
        self.architecture()
            .head_width()
            .unwrap_or(self.n_embd / self.n_head)
    }

    /// Why no model can be of this shape, if so.
    pub(super) fn defect(&self) -> Option<&'static str> {
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
        } else if self.architecture().head_width().is_none() && !self.n_embd.is_multiple_of(self.n_head * 2) {
            Some("n_embd must divide into heads of even width")
        } else if !self.n_head.is_multiple_of(self.n_head_kv) {
            Some("n_head must divide into n_head_kv groups")
        } else if self.name.contains('\0')
            || self.chat_template.is_some_and(|template| template.contains('\0'))
        {
            Some("the name and the chat template must not hold a NUL")
        } else {
            (!vocabulary::SIZES.contains(&self.n_vocab)).then_some("n_vocab is too small or too large")
        }
    }

    pub(super) fn tensors(&self) -> Vec<Tensor> {
        let mut tensors = vec![
            Tensor::matrix("token_embd.weight".into(), self.n_embd, self.n_vocab),
            Tensor::norm("output_norm.weight".into(), self.n_embd),
        ];
        if self.architecture() == Architecture::Llama {
            let output = Tensor::matrix("output.weight".into(), self.n_embd, self.n_vocab);
            tensors.push(output);
        }
        tensors.extend((0..self.n_layer).flat_map(|layer| self.layer(layer)));
        tensors
    }

    fn layer(&self, layer: usize) -> Vec<Tensor> {
        let n_q = self.head_width() * self.n_head;
        let n_kv = self.head_width() * self.n_head_kv;
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        let bias = |part: &str, width| Tensor::bias(format!("blk.{layer}.{part}.bias"), width);
        let mut tensors = vec![
            Tensor::norm(name("attn_norm"), self.n_embd),
            Tensor::matrix(name("attn_q"), self.n_embd, n_q),
            Tensor::matrix(name("attn_k"), self.n_embd, n_kv),
            Tensor::matrix(name("attn_v"), self.n_embd, n_kv),
            Tensor::matrix(name("attn_output"), n_q, self.n_embd),
            Tensor::norm(name("ffn_norm"), self.n_embd),
            Tensor::matrix(name("ffn_gate"), self.n_embd, self.n_ff),
            Tensor::matrix(name("ffn_up"), self.n_embd, self.n_ff),
            Tensor::matrix(name("ffn_down"), self.n_ff, self.n_embd),
        ];
        match self.architecture() {
            Architecture::Llama => {}
            Architecture::Qwen2 => {
                tensors.extend([bias("attn_q", n_q), bias("attn_k", n_kv), bias("attn_v", n_kv)]);
            }
            Architecture::Qwen3 => tensors.extend([
                Tensor::norm(name("attn_q_norm"), self.head_width()),
                Tensor::norm(name("attn_k_norm"), self.head_width()),
            ]),
        }
        tensors
    }

    pub(super) fn metadata(&self) -> Vec<(String, Value)> {
        let text = |text: &str| Value::Text(text.into());
        let general = [
            ("general.architecture", text(self.architecture().name())),
            ("general.name", text(&format!("{} (random weights)", self.name))),
            (
                "general.description",
                text("Pseudo-random weights: the speed is real, the text is noise"),
            ),
            ("general.file_type", Value::Count(gguf::MOSTLY_Q8_0)),
        ];
        let template = self
            .chat_template
            .map(|template| ("tokenizer.chat_template", text(template)));
        let tokenizer = vocabulary::metadata(self.n_vocab).into_iter().chain(template);
        let owned = |(key, value): (&str, Value)| (key.to_owned(), value);
        general
            .into_iter()
            .map(owned)
            .chain(self.hyperparameters())
            .chain(tokenizer.map(owned))
            .collect()
    }

    /// What the metadata has under the architecture's name.
    fn hyperparameters(&self) -> impl Iterator<Item = (String, Value)> {
        let count = |value: usize| Value::Count(u32::try_from(value).unwrap_or(u32::MAX));
        let architecture = self.architecture();
        let mut values = vec![
            ("vocab_size", count(self.n_vocab)),
            ("context_length", count(self.context_length)),
            ("embedding_length", count(self.n_embd)),
            ("block_count", count(self.n_layer)),
            ("feed_forward_length", count(self.n_ff)),
            ("attention.head_count", count(self.n_head)),
            ("attention.head_count_kv", count(self.n_head_kv)),
            (
                "attention.layer_norm_rms_epsilon",
                Value::Real(architecture.rms_epsilon()),
            ),
            ("rope.dimension_count", count(self.head_width())),
        ];
        values.extend(
            architecture
                .rope_base()
                .map(|base| ("rope.freq_base", Value::Real(base))),
        );
        if let Some(width) = architecture.head_width() {
            values.extend([
                ("attention.key_length", count(width)),
                ("attention.value_length", count(width)),
            ]);
        }
        values
            .into_iter()
            .map(move |(key, value)| (format!("{}.{key}", architecture.name()), value))
    }
}

/// What a tensor holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Of so many rows.
    Matrix(usize),
    Norm,
    Bias,
}

#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) name: String,
    /// Length of a row: what a matrix product sums over.
    pub(super) row: usize,
    pub(super) content: Content,
}

impl Tensor {
    fn matrix(name: String, row: usize, rows: usize) -> Self {
        let content = Content::Matrix(rows);
        Self { name, row, content }
    }

    fn norm(name: String, row: usize) -> Self {
        let content = Content::Norm;
        Self { name, row, content }
    }

    fn bias(name: String, row: usize) -> Self {
        let content = Content::Bias;
        Self { name, row, content }
    }

    fn len(&self) -> usize {
        self.extents().iter().product()
    }

    pub(super) fn extents(&self) -> Vec<usize> {
        match self.content {
            Content::Matrix(rows) => vec![self.row, rows],
            Content::Norm | Content::Bias => vec![self.row],
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self.content {
            Content::Matrix(_) => Kind::Q8_0,
            Content::Norm | Content::Bias => Kind::F32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shape;
    use crate::builtin::gguf::Value;

    fn metadata(shape: &Shape, wanted: &str) -> Option<String> {
        let found = shape.metadata().into_iter().find(|(key, _)| key == wanted);
        found.map(|(_, value)| match value {
            Value::Text(value) => value,
            Value::Count(value) => value.to_string(),
            Value::Real(value) => value.to_string(),
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn the_files_say_what_the_real_models_say() {
        let value = |shape, key| metadata(shape, key).expect("the file says it");
        let (qwen2, qwen3, llama) = (&Shape::QWEN2_0_5B, &Shape::QWEN3_0_6B, &Shape::TINYLLAMA_1_1B);
        for (shape, key, expected) in [
            (qwen2, "general.architecture", "qwen2"),
            (qwen2, "qwen2.context_length", "32768"),
            (qwen2, "qwen2.rope.freq_base", "1000000"),
            (qwen2, "qwen2.rope.dimension_count", "64"),
            (qwen2, "qwen2.attention.layer_norm_rms_epsilon", "0.000001"),
            (qwen3, "general.architecture", "qwen3"),
            (qwen3, "qwen3.context_length", "40960"),
            (qwen3, "qwen3.rope.freq_base", "1000000"),
            (qwen3, "qwen3.rope.dimension_count", "128"),
            (qwen3, "qwen3.attention.key_length", "128"),
            (qwen3, "qwen3.attention.value_length", "128"),
            (qwen3, "qwen3.attention.layer_norm_rms_epsilon", "0.000001"),
            (llama, "general.architecture", "llama"),
            (llama, "llama.context_length", "2048"),
            (llama, "llama.rope.dimension_count", "64"),
            (llama, "llama.attention.layer_norm_rms_epsilon", "0.00001"),
        ] {
            assert_eq!(value(shape, key), expected, "{}: {key}", shape.name);
        }
        assert_eq!(metadata(llama, "llama.rope.freq_base"), None, "llama.cpp's own");
    }

    #[test]
    fn only_llamas_have_an_output_matrix() {
        for shape in Shape::ALL {
            let has_output = shape
                .tensors()
                .iter()
                .any(|tensor| tensor.name == "output.weight");
            assert_eq!(has_output, !shape.name.starts_with("qwen"), "{}", shape.name);
        }
    }
}
