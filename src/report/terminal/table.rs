//! The table of one model: a line for each prompt.

use crate::analysis::figures::{Figures, Interval};
use crate::base::layout::{folded_to, whole};
use crate::record::{ModelRecord, PromptRecord};
use crate::report::grid::Grid;
use crate::report::numbers::value;
use crate::report::words::{counted, plain};

/// The line above the table: the model, and the kind of its figures.
pub(super) fn title(model: &ModelRecord) -> String {
    let counts = || model.prompts.iter().map(|prompt| prompt.samples.len());
    let samples = match (counts().min().unwrap_or(0), counts().max().unwrap_or(0)) {
        (same, most) if same == most => counted(most, "sample"),
        (least, most) => format!("{least} to {most} samples"),
    };
    format!("{}: medians of {samples} a prompt", whole(&plain(&model.name)))
}

/// Medians over the samples of each prompt; gap and memory are maxima.
pub(super) fn table(model: &ModelRecord, width: u16) -> String {
    let mut note = if model.random_weights {
        folded_to(width, "random weights: the speed is real, the text means nothing")
    } else {
        String::new()
    };
    for warning in &model.warnings {
        note += &folded_to(width, &format!("the runtime warned: {}", plain(warning)));
    }
    let header = [
        "prompt",
        "tokens\nin",
        "tokens\nout",
        "TTFT\nms",
        "prefill\ntok/s",
        "decode\ntok/s [95 %]",
        "worst\ngap ms",
        "memory\nMB",
    ];
    let mut table = Grid::new(header, 1..8);
    for prompt in &model.prompts {
        table.row(row(prompt));
    }
    table.fitted(width) + &note
}

fn row(prompt: &PromptRecord) -> [String; 8] {
    let figures = Figures::of(prompt);
    let count = |count: Option<u32>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    [
        plain(&prompt.id),
        count(prompt.prompt_tokens),
        output(prompt),
        show(figures.ttft_ms),
        show(figures.prefill_tok_per_s),
        with_interval(figures.decode_tok_per_s, figures.decode_interval),
        show(figures.worst_gap_ms),
        show(figures.peak_memory_mb),
    ]
}

/// New tokens of a sample, or of the shortest and the longest one.
fn output(prompt: &PromptRecord) -> String {
    let samples = || prompt.samples.iter();
    let counts: Option<Vec<usize>> = samples()
        .map(|sample| sample.inference.token_count().tokens)
        .collect();
    let counts = counts.unwrap_or_default();
    match (counts.iter().min(), counts.iter().max()) {
        (Some(least), Some(most)) if least == most => most.to_string(),
        (Some(least), Some(most)) => format!("{least}-{most}"),
        _ => "-".into(),
    }
}

pub(super) fn show(number: Option<f64>) -> String {
    number.map_or_else(|| "-".to_owned(), value)
}

fn with_interval(estimate: Option<f64>, interval: Option<Interval>) -> String {
    match interval {
        Some(Interval { lower, upper }) => format!("{} [{}, {}]", show(estimate), value(lower), value(upper)),
        None => show(estimate),
    }
}
