//! The tables at the end of `cargo bench`.

use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::engine::{Loaded, RuntimeIdentity};
use crate::figures::Figures;
use crate::record::{ModelRecord, PromptRecord, RunRecord, Sample};

/// Where the wall time of a run went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeSpent {
    /// Loading models.
    pub load: Duration,
    /// Warm-up inferences and those that did not become samples.
    pub warm_up: Duration,
    /// Samples.
    pub samples: Duration,
    /// Criterion's statistics, plots and pages.
    pub criterion: Duration,
    /// Waiting for this process's turns; zero where none are taken.
    pub waiting: Duration,
    /// From the first to the last moment.
    pub all: Duration,
}

impl TimeSpent {
    /// Adds up what a record says of its inferences.
    pub fn of_record(record: &RunRecord, criterion: Duration, all: Duration) -> Self {
        let ns = |samples: &[Sample]| Duration::from_nanos(samples.iter().map(|s| s.phases.total_ns).sum());
        let mut spent = Self {
            criterion,
            all,
            ..Self::default()
        };
        for model in &record.models {
            spent.load += Duration::from_nanos(model.loaded.as_ref().map_or(0, |loaded| loaded.load_ns));
            for prompt in &model.prompts {
                spent.samples += ns(&prompt.samples);
                spent.warm_up += ns(&prompt.warm_up);
                for rejected in &prompt.rejected {
                    let run = &rejected.inference;
                    spent.warm_up += Duration::from_nanos(run.return_ns.saturating_sub(run.call_ns));
                }
            }
        }
        spent
    }
}

impl std::fmt::Display for TimeSpent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inference = self.samples + self.warm_up;
        let at_work = self.all.saturating_sub(self.waiting);
        let rest = at_work.saturating_sub(inference + self.load + self.criterion);
        let share = if at_work.is_zero() {
            0.0
        } else {
            inference.as_secs_f64() / at_work.as_secs_f64()
        };
        let waiting = if self.waiting.is_zero() {
            String::new()
        } else {
            format!("{:.1} s waiting for turns + ", self.waiting.as_secs_f64())
        };
        write!(
            f,
            "time: {:.1} s = {:.1} s samples + {:.1} s warm-up + {:.1} s load + {:.1} s criterion + {waiting}{:.1} s rest \
             ({:.0} % inference)",
            self.all.as_secs_f64(),
            self.samples.as_secs_f64(),
            self.warm_up.as_secs_f64(),
            self.load.as_secs_f64(),
            self.criterion.as_secs_f64(),
            rest.as_secs_f64(),
            share * 100.0
        )
    }
}

/// One line about the runtime that made the figures.
pub fn runtime_line(runtime: &RuntimeIdentity) -> String {
    let (version, driver, platform) = match &runtime.version_line {
        Some(line) => (
            line.runtime.clone(),
            line.driver.clone().unwrap_or_else(|| "not printed".into()),
            line.platform.clone().unwrap_or_else(|| "not printed".into()),
        ),
        None => ("not printed".into(), "not printed".into(), "not printed".into()),
    };
    format!(
        "runtime: {} {version}, driver {driver}, platform {platform}, from {}",
        runtime.library.name,
        runtime.library.path.display()
    )
}

/// The figures of a run: for each model its runtime and its table.
pub fn figures(record: &RunRecord) -> String {
    let mut text = String::new();
    for model in &record.models {
        if let Some(loaded) = &model.loaded {
            text += &runtime_line(&loaded.runtime);
            text += "\n";
            text += &model_table(model);
            text += &end_token_note(loaded).unwrap_or_default();
            text += "\n";
        }
    }
    text
}

/// What is known of runtime 1.3.0 with models of these toolkits (noc7c9/rkllm-eos-repro, logs of both versions): it reads
/// the end token in another integer type than they wrote it.
fn end_token_note(loaded: &Loaded) -> Option<String> {
    let runtime = &loaded.runtime.version_line.as_ref()?.runtime;
    let toolkit = loaded.toolkit.as_deref()?;
    (runtime == "1.3.0" && ["1.2.2", "1.2.3"].contains(&toolkit)).then(|| {
        format!(
            "note: runtime 1.3.0 is known to miss the end token of models that toolkit {toolkit} converted; answers that are to \
             end by themselves then go on to the limit\n"
        )
    })
}

/// The table of one model: medians over its samples.
pub fn model_table(model: &ModelRecord) -> String {
    let note = if model.random_weights {
        " (random weights: the speed is real, the text means nothing)"
    } else {
        ""
    };
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    // Folds to the width of a terminal; elsewhere lines are as long as they are.
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header([
        "prompt",
        "tokens in/out",
        "TTFT ms",
        "prefill tok/s",
        "decode tok/s",
        "samples",
    ]);
    for prompt in &model.prompts {
        table.add_row(row(prompt));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let table = table.to_string();
    let lines: Vec<&str> = table.lines().map(str::trim_end).collect();
    format!("{}{note}, medians\n{}\n", model.name, lines.join("\n"))
}

fn row(prompt: &PromptRecord) -> [String; 6] {
    let figures = Figures::of(prompt);
    let show = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
    let out = prompt.samples.first().map(|sample| sample.inference.tokens.len());
    let count = |count: Option<String>| count.unwrap_or_else(|| "-".into());
    [
        prompt.id.clone(),
        format!(
            "{}/{}",
            count(prompt.prompt_tokens.map(|tokens| tokens.to_string())),
            count(out.map(|out| out.to_string()))
        ),
        show(figures.ttft_ms),
        show(figures.prefill_tok_per_s),
        show(figures.decode_tok_per_s),
        prompt.samples.len().to_string(),
    ]
}

/// What went wrong, each cause once, and counted.
pub fn faults(record: &RunRecord) -> String {
    let mut lines = Vec::new();
    for model in &record.models {
        if let Some(failure) = &model.load_failure {
            lines.push(format!("{}: {failure}", model.name));
        }
        if let Some(failure) = &model.unload_failure {
            lines.push(format!("{}, on unloading: {failure}", model.name));
        }
        for prompt in &model.prompts {
            for (cause, count) in causes(prompt) {
                lines.push(format!("{} {}: {count} x {cause}", model.name, prompt.id));
            }
            if let Some(why) = &prompt.given_up {
                lines.push(format!(
                    "{} {}: given up with {} of {} samples: {why}",
                    model.name,
                    prompt.id,
                    prompt.samples.len(),
                    record.parameters.samples
                ));
            }
        }
    }
    // The runtime's own name for it, in Rockchip's messages and in the host runtime's.
    if lines.iter().any(|line| line.contains("max_context[")) {
        lines.push(
            "The context window is set with --max-context: prompt and new tokens must fit into it, and it into the \
             model's limit."
                .into(),
        );
    }
    lines.push(record.faults().to_string());
    lines.join("\n")
}

/// The different causes of a prompt's faults, in the order they came first, with their counts.
fn causes(prompt: &PromptRecord) -> Vec<(String, usize)> {
    let mut causes: Vec<(String, usize)> = Vec::new();
    let failures = prompt.failures.iter().map(ToString::to_string);
    let rejections = prompt
        .rejected
        .iter()
        .map(|rejected| format!("rejected: {}", rejected.reason));
    for cause in failures.chain(rejections) {
        match causes.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, count)) => *count += 1,
            None => causes.push((cause, 1)),
        }
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_adds_up() {
        let spent = TimeSpent {
            load: Duration::from_secs(1),
            warm_up: Duration::from_secs(2),
            samples: Duration::from_secs(15),
            criterion: Duration::from_secs(1),
            waiting: Duration::ZERO,
            all: Duration::from_secs(20),
        };
        assert_eq!(
            spent.to_string(),
            "time: 20.0 s = 15.0 s samples + 2.0 s warm-up + 1.0 s load + 1.0 s criterion + 1.0 s rest (85 % inference)"
        );
        let in_turns = TimeSpent {
            waiting: Duration::from_secs(14),
            all: Duration::from_secs(34),
            ..spent
        };
        assert_eq!(
            in_turns.to_string(),
            "time: 34.0 s = 15.0 s samples + 2.0 s warm-up + 1.0 s load + 1.0 s criterion + 14.0 s waiting for turns + 1.0 s rest \
             (85 % inference)"
        );
    }
}
