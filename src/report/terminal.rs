//! The tables at the end of `cargo bench`.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

use crate::engine::RuntimeIdentity;
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
        let rest = self.all.saturating_sub(inference + self.load + self.criterion);
        let share = if self.all.is_zero() {
            0.0
        } else {
            inference.as_secs_f64() / self.all.as_secs_f64()
        };
        write!(
            f,
            "time: {:.1} s = {:.1} s samples + {:.1} s warm-up + {:.1} s load + {:.1} s criterion + {:.1} s rest \
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
            text += "\n";
        }
    }
    text
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

/// Medians over the samples of one prompt; absent where there is nothing to take one of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Time to the first token, ms.
    pub ttft_ms: Option<f64>,
    /// Prompt tokens a second of prefill.
    pub prefill_tok_per_s: Option<f64>,
    /// Tokens a second after the first.
    pub decode_tok_per_s: Option<f64>,
}

impl Figures {
    /// Of one prompt.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a run's nanoseconds fit the 52 bits of a float"
    )]
    pub fn of(prompt: &PromptRecord) -> Self {
        let ttft_ns = median(
            prompt
                .samples
                .iter()
                .map(|sample| sample.phases.ttft_ns as f64)
                .collect(),
        );
        let decode_ns = median(
            prompt
                .samples
                .iter()
                .filter_map(|s| s.phases.decode_ns_per_token)
                .collect(),
        );
        let prefill = prompt
            .prompt_tokens
            .zip(ttft_ns)
            .map(|(tokens, ns)| f64::from(tokens) * 1e9 / ns);
        Self {
            ttft_ms: ttft_ns.map(|ns| ns / 1e6),
            prefill_tok_per_s: prefill,
            decode_tok_per_s: decode_ns.map(|ns| 1e9 / ns),
        }
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn the_last_line_adds_up() {
        let spent = TimeSpent {
            load: Duration::from_secs(1),
            warm_up: Duration::from_secs(2),
            samples: Duration::from_secs(15),
            criterion: Duration::from_secs(1),
            all: Duration::from_secs(20),
        };
        assert_eq!(
            spent.to_string(),
            "time: 20.0 s = 15.0 s samples + 2.0 s warm-up + 1.0 s load + 1.0 s criterion + 1.0 s rest (85 % inference)"
        );
    }
}
