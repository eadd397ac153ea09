//! The report as a page of Markdown.

use std::fmt::Write as _;

use super::answers;
use super::configuration;
use crate::analysis::checks::{Outcome, Verdict};
use crate::analysis::figures::Figures;
use crate::analysis::reference::Finding;
use crate::analysis::summary::{Spread, Summary};
use crate::inference::Input;
use crate::record::{ModelRecord, PromptRecord, RunRecord};
use crate::report::ModelReport;
use crate::report::conditions;
use crate::report::doctor;
use crate::report::markup::{code, fenced, prose};
use crate::report::numbers::value;
use crate::report::reference;
use crate::report::terminal::runtime_line;
use crate::report::words::{counted, unfinished};

/// The page of one model of a run.
pub fn markdown(report: &ModelReport) -> String {
    let (run, model) = (report.run, report.model);
    let mut page = format!("# Benchmark of {}\n\n", code(&model.name));
    page += &introduction(run, model);
    page += "\n## Summary\n\n";
    page += &summary(&report.summary);
    page += &machine(run, model);
    page += "\n## Figures\n\n";
    page += &figures(model);
    page += &published(&report.findings);
    page += &failures(run, model);
    page += "\n## Configuration\n\n";
    page += &configuration::markdown(run, model);
    page += "\n## Prompts and answers\n";
    for (prompt, outcomes) in report.prompts() {
        page += &of_prompt(prompt, outcomes);
    }
    page
}

fn introduction(run: &RunRecord, model: &ModelRecord) -> String {
    let state = unfinished(run.status).map_or_else(String::new, |state| format!(" {state}"));
    let weights = if model.random_weights {
        "\nThe weights are random: the speed is real, the text means nothing.\n"
    } else {
        ""
    };
    let mut warnings = String::new();
    for warning in &model.warnings {
        let _ = writeln!(warnings, "\nThe runtime warned: {}", code(warning));
    }
    let runtime = model.loaded.as_ref().map_or_else(String::new, |loaded| {
        format!("\nMeasured with {}.\n", prose(&runtime_line(&loaded.runtime)))
    });
    let caption = run
        .caption()
        .map_or_else(String::new, |words| format!("\nThe run's {}.\n", prose(&words)));
    format!(
        "Suite {}, run {}, begun at {}, by rkllm-bench {}.{state}\n{caption}{runtime}{weights}{warnings}",
        code(&run.suite.name),
        code(&run.run_id),
        prose(&run.started_at),
        prose(&run.tool_version)
    )
}

fn summary(summary: &Summary) -> String {
    let requests = summary.requests;
    let mut text = format!(
        "{}: {} successful, {} failed. {}.\n\n",
        counted(requests.total, "request"),
        requests.successful,
        requests.failed,
        match (summary.tokens.input, summary.tokens.output) {
            (Some(input), Some(output)) =>
                format!("{} tokens: {input} read, {output} written", input + output),
            (None, Some(output)) => format!("{output} tokens written; how many were read is unknown"),
            (Some(input), None) => format!("{input} tokens read; how many were written is unknown"),
            (None, None) => "How many tokens were read and written is unknown".into(),
        }
    );
    text += "| | average | median | minimum | maximum |\n| --- | ---: | ---: | ---: | ---: |\n";
    for (name, spread) in [
        ("TTFT, ms", summary.ttft_ms),
        ("total time, ms", summary.total_ms),
        ("prefill, tok/s", summary.prefill_tok_per_s),
        ("decode, tok/s", summary.decode_tok_per_s),
        ("peak memory, MB", summary.peak_memory_mb),
    ] {
        let of = |of: fn(Spread) -> f64| show(spread.map(of));
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} | {} |",
            of(|spread| spread.average),
            of(|spread| spread.median),
            of(|spread| spread.minimum),
            of(|spread| spread.maximum)
        );
    }
    text
}

/// Whether the machine was fit, what disturbed samples, and what watching cost.
fn machine(run: &RunRecord, model: &ModelRecord) -> String {
    let fit = (!run.doctor.is_empty()).then(|| doctor::line(&run.doctor));
    let summary = Summary::of(model);
    let marked = [conditions::marked(&summary)]
        .into_iter()
        .chain(conditions::meanings(&summary));
    let cost = conditions::sampler(run.sampler.as_ref());
    let lines = fit.into_iter().chain(marked).chain(cost);
    lines.fold("\n".to_owned(), |text, line| text + "- " + &prose(&line) + "\n")
}

fn figures(model: &ModelRecord) -> String {
    let mut text = String::from(
        "Medians over the samples of each prompt; gap and memory are the greatest of all.\n\n\
         | prompt | samples | prompt tokens | TTFT, ms | prefill, tok/s | decode, tok/s [95 %] | worst gap, ms | peak memory, MB |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for prompt in &model.prompts {
        let figures = Figures::of(prompt);
        let interval = figures.decode_interval.map_or_else(String::new, |interval| {
            format!(" [{}, {}]", value(interval.lower), value(interval.upper))
        });
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {}{interval} | {} | {} |",
            code(&prompt.id),
            prompt.samples.len(),
            prompt
                .prompt_tokens
                .map_or_else(|| "-".to_owned(), |tokens| tokens.to_string()),
            show(figures.ttft_ms),
            show(figures.prefill_tok_per_s),
            show(figures.decode_tok_per_s),
            show(figures.worst_gap_ms),
            show(figures.peak_memory_mb)
        );
    }
    text
}

fn show(number: Option<f64>) -> String {
    number.map_or_else(|| "-".to_owned(), value)
}

/// Published figures beside the model's; nothing where there are none.
fn published(findings: &[Finding]) -> String {
    match reference::markdown(findings).as_str() {
        "" => String::new(),
        text => format!("\n{text}"),
    }
}

/// What failed and why; nothing where nothing did.
fn failures(run: &RunRecord, model: &ModelRecord) -> String {
    let mut items = Vec::new();
    if let Some(failure) = &model.load_failure {
        items.push(format!("not loaded: {}", prose(&failure.to_string())));
    }
    if let Some(what) = &model.changed {
        items.push(format!("changed: {}", prose(what)));
    }
    if let Some(failure) = &model.unload_failure {
        items.push(format!("on unloading: {}", prose(&failure.to_string())));
    }
    for prompt in &model.prompts {
        let id = code(&prompt.id);
        for (cause, count) in prompt.causes() {
            items.push(format!("{id}: {count} × {}", prose(&cause)));
        }
        if let Some(why) = &prompt.given_up {
            items.push(format!(
                "{id}: given up with {} of {} samples: {}",
                prompt.samples.len(),
                run.parameters.samples,
                prose(why)
            ));
        }
    }
    if items.is_empty() {
        return String::new();
    }
    items.iter().fold("\n## Failures\n\n".to_owned(), |text, item| {
        text + "- " + item + "\n"
    })
}

fn of_prompt(prompt: &PromptRecord, outcomes: &[Outcome]) -> String {
    let mut text = format!("\n### {} ({})\n\n", prose(&prompt.name), code(&prompt.id));
    match &prompt.input {
        Input::Text(input) => {
            text += "**Prompt**\n\n";
            text += &fenced(input);
        }
        Input::Tokens(ids) => {
            let _ = writeln!(
                text,
                "The prompt is {} given by their ids.",
                counted(ids.len(), "token")
            );
        }
    }
    text += &answers::markdown(prompt);
    text + &checks(outcomes)
}

/// What the checks found; nothing where none applies.
fn checks(outcomes: &[Outcome]) -> String {
    if outcomes
        .iter()
        .all(|outcome| outcome.verdict == Verdict::NotApplicable)
    {
        return String::new();
    }
    let mut text = String::from("\n| check | | |\n| --- | --- | --- |\n");
    for outcome in outcomes {
        let verdict = match outcome.verdict {
            Verdict::Pass => "✅ pass",
            Verdict::Fail => "❌ fail",
            Verdict::NotApplicable => "not applicable",
        };
        let _ = writeln!(
            text,
            "| {} | {verdict} | {} |",
            prose(&outcome.name),
            prose(&outcome.reason)
        );
    }
    text
}
