//! The result as a Markdown table, to paste into a forum or an issue.

use super::facts::{RuntimeParts, bytes, is_of_models, new_tokens, npu_cores, quantization};
use crate::analysis::figures::Figures;
use crate::analysis::summary::{Spread, Summary};
use crate::base::number::Float as _;
use crate::record::ledger::Mark;
use crate::record::{ModelRecord, PromptRecord, RunRecord};
use crate::report::markup::{code, prose};
use crate::report::numbers::value;
use crate::report::words::counted;

const COLUMNS: usize = 15;
/// Names of the columns, and whether they hold numbers.
const HEADER: [(&str, bool); COLUMNS] = [
    ("model", false),
    ("size", true),
    ("quant", false),
    ("runtime", false),
    ("driver", false),
    ("machine", false),
    ("threads", true),
    ("NPU cores", true),
    ("test", false),
    ("tokens in/out", true),
    ("prefill tok/s", true),
    ("decode tok/s", true),
    ("TTFT ms", true),
    ("memory MB", true),
    ("run", false),
];

/// One row for each model, over all its prompts; for a sweep, one row for each prompt, since prompts are its sizes.
pub(super) fn markdown(runs: &[RunRecord]) -> String {
    let mut rows: Vec<[String; COLUMNS]> = Vec::new();
    for run in runs {
        for model in &run.models {
            if run.suite.sweep {
                rows.extend(model.prompts.iter().map(|prompt| of_prompt(run, model, prompt)));
            } else {
                rows.push(of_model(run, model));
            }
        }
    }
    table(&rows)
}

/// The cells whose values differ between the rows of a model.
struct Measured {
    test: String,
    tokens: String,
    prefill: Option<f64>,
    decode: Option<f64>,
    ttft: Option<f64>,
    memory: Option<f64>,
}

fn of_model(run: &RunRecord, model: &ModelRecord) -> [String; COLUMNS] {
    let summary = Summary::of(model);
    let median = |spread: Option<Spread>| spread.map(|spread| spread.median);
    let samples = counted(summary.requests.successful, "sample");
    let measured = Measured {
        test: format!(
            "{}, {samples}{}{}",
            code(&run.suite.name),
            disturbed(&model.prompts),
            incomplete(model)
        ),
        tokens: tokens(&model.prompts),
        prefill: median(summary.prefill_tok_per_s),
        decode: median(summary.decode_tok_per_s),
        ttft: median(summary.ttft_ms),
        memory: summary.peak_memory_mb.map(|spread| spread.maximum),
    };
    row(run, model, measured)
}

fn of_prompt(run: &RunRecord, model: &ModelRecord, prompt: &PromptRecord) -> [String; COLUMNS] {
    let figures = Figures::of(prompt);
    let id = format!("{}/{}", run.suite.name, prompt.id);
    let samples = counted(prompt.samples.len(), "sample");
    let prompts = std::slice::from_ref(prompt);
    let measured = Measured {
        test: format!("{}, {samples}{}", code(&id), disturbed(prompts)),
        tokens: tokens(prompts),
        prefill: figures.prefill_tok_per_s,
        decode: figures.decode_tok_per_s,
        ttft: figures.ttft_ms,
        memory: figures.peak_memory_mb,
    };
    row(run, model, measured)
}

/// Number of samples that heat, a lower clock or another process disturbed.
fn disturbed(prompts: &[PromptRecord]) -> String {
    let samples = prompts.iter().flat_map(|prompt| &prompt.samples);
    match samples
        .filter(|sample| sample.marks.iter().any(Mark::is_disturbance))
        .count()
    {
        0 => String::new(),
        count => format!(", {count} disturbed"),
    }
}

/// Number of prompts that lack samples. The figures then cover fewer prompts than those of another model.
fn incomplete(model: &ModelRecord) -> String {
    let is_lacking = |prompt: &&PromptRecord| prompt.samples.is_empty() || prompt.given_up.is_some();
    match model.prompts.iter().filter(is_lacking).count() {
        0 => String::new(),
        count => format!(", {} incomplete", counted(count, "prompt")),
    }
}

fn row(run: &RunRecord, model: &ModelRecord, measured: Measured) -> [String; COLUMNS] {
    let runtime = RuntimeParts::of(model);
    let number = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), value);
    let text = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), prose);
    let count = |count: Option<u8>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    let weights = if model.random_weights {
        ", random weights"
    } else {
        ""
    };
    [
        format!("{}{weights}", code(&model.name)),
        size(model),
        text(quantization(model).as_deref()),
        text(joined(&[runtime.name, runtime.version, runtime.platform], " ").as_deref()),
        text(runtime.driver),
        text(machine(run).as_deref()),
        count(run.parameters.threads),
        count(npu_cores(model)),
        measured.test,
        measured.tokens,
        number(measured.prefill),
        number(measured.decode),
        number(measured.ttft),
        number(measured.memory),
        text(Some(&which(run))),
    ]
}

/// The machine that the models ran on; absent for a remote server, or if it has no name.
fn machine(run: &RunRecord) -> Option<String> {
    let board = &run.board;
    let named = board.name.as_deref().or(board.cpu.as_deref());
    joined(&[named, board.soc.as_deref()], ", ").filter(|_| is_of_models(run))
}

/// The known parts, joined.
fn joined(parts: &[Option<&str>], between: &str) -> Option<String> {
    let known: Vec<&str> = parts.iter().copied().flatten().collect();
    (!known.is_empty()).then(|| known.join(between))
}

/// Day, label and commit of a run.
fn which(run: &RunRecord) -> String {
    let day: String = run.started_at.chars().take(10).collect();
    let revision = run.git.as_ref().map(|git| {
        let short: String = git.revision.chars().take(8).collect();
        format!("{short}{}", if git.clean { "" } else { " with changes" })
    });
    let parts = [Some(day), run.label.clone(), revision];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The file's size in MiB or GiB.
fn size(model: &ModelRecord) -> String {
    let Some(bytes) = bytes(model) else {
        return "-".into();
    };
    let mib = bytes.float() / f64::from(1 << 20);
    if mib < 1024.0 {
        format!("{mib:.2} MiB")
    } else {
        format!("{:.2} GiB", mib / 1024.0)
    }
}

/// Prompt tokens and new tokens, each as one number or as minimum and maximum.
fn tokens(prompts: &[PromptRecord]) -> String {
    let read = prompts.iter().map(|prompt| prompt.prompt_tokens);
    let read: Option<Vec<usize>> = read.map(|tokens| usize::try_from(tokens?).ok()).collect();
    let written = prompts.iter().filter_map(new_tokens);
    let written: Vec<usize> = written.flat_map(|(least, most)| [least, most]).collect();
    format!("{} / {}", span(&read.unwrap_or_default()), span(&written))
}

fn span(counts: &[usize]) -> String {
    match (counts.iter().min(), counts.iter().max()) {
        (Some(least), Some(most)) if least == most => most.to_string(),
        (Some(least), Some(most)) => format!("{least}-{most}"),
        _ => "-".into(),
    }
}

/// The table, with padded columns so that it is also readable as plain text.
fn table(rows: &[[String; COLUMNS]]) -> String {
    let width = |text: &str| text.chars().count();
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| width(&row[column]));
        cells.chain([width(HEADER[column].0)]).max().unwrap_or_default()
    });
    let line = |cells: [&str; COLUMNS]| {
        let padded = cells
            .iter()
            .zip(HEADER)
            .zip(widths)
            .map(|((cell, (_, right)), width)| {
                if right {
                    format!("| {cell:>width$} ")
                } else {
                    format!("| {cell:<width$} ")
                }
            });
        padded.collect::<String>() + "|\n"
    };
    let rules = HEADER.iter().zip(widths).map(|((_, right), width)| {
        let dashes = "-".repeat(width.saturating_sub(1));
        if *right {
            format!("| {dashes}: ")
        } else {
            format!("| {dashes}- ")
        }
    });
    let mut text = line(HEADER.map(|(name, _)| name));
    text += &(rules.collect::<String>() + "|\n");
    for row in rows {
        text += &line(std::array::from_fn(|column| row[column].as_str()));
    }
    text
}
