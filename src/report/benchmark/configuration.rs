//! All settings of a run's record.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::inference::{CacheStart, Input, Sampling};
use crate::record::{ModelRecord, PromptRecord, RunRecord};
use crate::report::markup::{code, prose};

/// A table of all settings: name and value.
pub(super) fn markdown(run: &RunRecord, model: &ModelRecord) -> String {
    let mut rows = Vec::new();
    let mut add = |name: &str, value: Value| flatten(name, &value, &mut rows);
    add("model.path", value(&model.path));
    add("model.bytes", value(&model.bytes));
    add("model.sha256", value(&model.sha256));
    add("model.name", value(&model.name_parts()));
    if let Some(loaded) = &model.loaded {
        add("model.npu_cores", value(&loaded.npu_cores));
        add("model.toolkit", value(&loaded.toolkit));
        add("runtime", value(&loaded.runtime));
    }
    add("suite", value(&run.suite));
    add("parameters", value(&run.parameters));
    add("board", value(&run.board));
    for prompt in &model.prompts {
        add(&format!("prompt.{}", prompt.id), of_prompt(prompt).into());
    }
    let mut table = String::from("| setting | value |\n| --- | --- |\n");
    for (name, value) in rows {
        let _ = writeln!(table, "| {} | {} |", code(&name), prose(&value));
    }
    table
}

fn of_prompt(prompt: &PromptRecord) -> String {
    let sampling = if prompt.sampling == Sampling::GREEDY {
        "greedy".to_owned()
    } else {
        value(&prompt.sampling).to_string()
    };
    let depth = match prompt.depth {
        0 => String::new(),
        depth => format!(" behind {depth}"),
    };
    format!(
        "at most {} new tokens{depth}, sampling {sampling}, KV cache {}",
        prompt.max_new_tokens,
        start(&prompt.cache_start)
    )
}

fn start(start: &CacheStart) -> String {
    let prefix = match start.prefix() {
        None => String::new(),
        Some((Input::Tokens(ids), _)) => format!(" of {} tokens", ids.len()),
        Some((Input::Text(text), _)) => format!(" of {} characters", text.chars().count()),
    };
    format!("{}{prefix}", start.name())
}

fn value(value: &impl Serialize) -> Value {
    // Every setting can be serialised.
    serde_json::to_value(value).unwrap_or_default()
}

/// One row for each number, text or list of these; objects contribute their fields' names. Absent and empty values have
/// no row.
fn flatten(name: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Array(items) if items.is_empty() => {}
        Value::Object(fields) => {
            for (field, value) in fields {
                flatten(&format!("{name}.{field}"), value, rows);
            }
        }
        Value::String(text) => rows.push((name.to_owned(), text.clone())),
        other => rows.push((name.to_owned(), other.to_string())),
    }
}
