//! The run records of a folder, for people and for programs.

use serde::Serialize;
use textwrap::core::display_width;

use super::words::{counted, plain};
use crate::base::layout::{beside, document};
use crate::record::Status;
use crate::record::run_folder::Entry;

/// Version of the JSON document's shape.
const SCHEMA_VERSION: u32 = 1;
/// Identifies this kind of JSON document.
const KIND: &str = "rkllm-bench runs";

/// A heading for each suite with its models, and a line for each of its runs, in `width` columns.
pub(crate) fn text(entries: &[Entry], width: u16) -> String {
    let mut text = String::new();
    for (index, first) in entries.iter().enumerate() {
        let subject = first.subject();
        if entries[..index].iter().any(|entry| entry.subject() == subject) {
            continue;
        }
        text += &heading(first, width);
        for entry in entries.iter().filter(|entry| entry.subject() == subject) {
            let id = format!("  {}  ", plain(entry.short_id()));
            let started = entry.started_at.strftime("%Y-%m-%d %H:%M:%S");
            let samples = counted(entry.samples, "sample");
            text += &beside(width, &id, &format!("{started}  {samples:>11}{}", remark(entry)));
        }
    }
    text
}

/// The suite, and its models on the same line or, if they do not fit, on one line each.
fn heading(entry: &Entry, width: u16) -> String {
    let suite = plain(&entry.suite);
    let models: Vec<String> = entry.models.iter().map(|model| plain(model)).collect();
    let line = format!("{suite}: {}", models.join(", "));
    if display_width(&line) <= usize::from(width) {
        return line + "\n";
    }
    format!("{suite}:\n    {}\n", models.join("\n    "))
}

/// Why comparisons skip the run.
fn remark(entry: &Entry) -> String {
    let Some(unfit) = entry.unfit else {
        return String::new();
    };
    let filter = entry.filter.as_deref().map_or_else(String::new, |filter| {
        // A line has room only for the beginning.
        let shown: String = plain(filter).chars().take(12).collect();
        let cut = if shown.len() < filter.len() { "…" } else { "" };
        format!(" ({shown}{cut})")
    });
    format!("  {unfit}{filter}")
}

/// The same for programs.
pub(crate) fn json(entries: &[Entry]) -> String {
    #[derive(Serialize)]
    struct Run<'a> {
        id: &'a str,
        name: &'a str,
        file: String,
        started_at: String,
        suite: &'a str,
        models: &'a [String],
        samples: usize,
        status: Status,
        filter: Option<&'a str>,
        /// Why comparisons skip it; null: they use it.
        passed_over: Option<String>,
    }
    #[derive(Serialize)]
    struct Content<'a> {
        runs: Vec<Run<'a>>,
    }
    let of_entry = |entry| {
        let Entry {
            path,
            run_id,
            suite,
            models,
            ..
        }: &Entry = entry;
        Run {
            id: entry.short_id(),
            name: run_id,
            file: path.to_string_lossy().into_owned(),
            started_at: entry.started_at.to_string(),
            suite,
            models,
            samples: entry.samples,
            status: entry.status,
            filter: entry.filter.as_deref(),
            passed_over: entry.unfit.map(|unfit| unfit.to_string()),
        }
    };
    let runs = entries.iter().map(of_entry).collect();
    document(KIND, SCHEMA_VERSION, &Content { runs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures;

    fn entry(id: &str, suite: &str, models: &[&str], filter: Option<&str>) -> Entry {
        let mut run = fixtures::complete(id);
        suite.clone_into(&mut run.suite.name);
        run.models = models.iter().map(|name| fixtures::model(name)).collect();
        run.models[0].prompts = fixtures::complete("").models[0].prompts.clone();
        run.filter = filter.map(str::to_owned);
        Entry::of(format!("{id}.json").as_ref(), &run)
    }

    #[test]
    fn runs_stand_below_their_suite_and_models_in_80_columns() {
        let long = "DeepSeek-R1-Distill-Qwen-1.5B_W8A8_RK3588_o1_3core_and_more";
        let entries = [
            entry("20260101T000000Z-m-quick-aaaaaa", "quick", &["m"], None),
            entry(
                "t-cccccc",
                "quick",
                &[long, "other"],
                Some("decode/question|prefill"),
            ),
            entry("20260101T000000Z-m-quick-bbbbbb", "quick", &["m"], None),
        ];
        let text = text(&entries, 80);
        assert_eq!(
            text,
            format!(
                "quick: m\n  aaaaaa  2026-01-01 00:00:00    4 samples\n  bbbbbb  2026-01-01 00:00:00    4 samples\n\
                 quick: {long}, other\n  cccccc  2026-01-01 00:00:00    4 samples  filtered (decode/quest…)\n"
            )
        );
        let two = heading(&entry("x", "performance", &[long, long], None), 80);
        assert_eq!(two, format!("performance:\n    {long}\n    {long}\n"));
    }

    #[test]
    fn json_has_each_run_and_why_it_is_passed_over() {
        let text = json(&[entry("t-m-quick-cccccc", "quick", &["m"], Some("decode"))]);
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["kind"], KIND);
        let run = &value["runs"][0];
        assert_eq!(run["id"], "cccccc");
        assert_eq!(run["passed_over"], "filtered");
        assert_eq!(run["filter"], "decode");
        assert_eq!(run["samples"], 4);
    }
}
