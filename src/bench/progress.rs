//! Progress on a terminal. Without one nothing is shown.

use crate::base::number::Long as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use textwrap::core::display_width;

use crate::base::console::{self, has_styles, say};
use crate::base::foreign::for_terminal;
use crate::base::layout::{folded_to, message, unglued, whole};
use crate::bench::repetitions::Repetitions;
use crate::measure::recorder::{At, Observer, Outcome, Round, Stopped};
use crate::record::{PromptRecord, RunRecord};
use crate::report::terminal::unknown_release;
use crate::report::words::plain;

/// Columns of the bar, and most columns of the text after it: `0123/4567 59m left`.
const BAR: usize = 10;
const BEHIND: usize = 20;
/// Assumed width of a terminal whose width is unknown.
const UNKNOWN: u16 = 80;

/// Where bars are drawn: stderr, unless it is no terminal or has no styles. A bar needs escape sequences too.
fn target() -> ProgressDrawTarget {
    if has_styles() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    }
}

/// A bar on stderr: model, prompt, sample, the latest decode rate, time left.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Whether the user was warned of an unknown runtime: one warning for each run is enough.
    has_warned: bool,
}

impl Progress {
    /// For all inferences of a record that is still empty.
    pub(crate) fn of(record: &RunRecord) -> Self {
        Self::on(target(), record)
    }

    fn on(target: ProgressDrawTarget, record: &RunRecord) -> Self {
        let prompts: usize = record.models.iter().map(|model| model.prompts.len()).sum();
        let inferences = prompts * (record.parameters.warm_up + record.parameters.samples);
        let bar = ProgressBar::with_draw_target(Some(inferences.long()), target);
        let progress = Self {
            bar,
            has_warned: false,
        };
        progress.show(UNKNOWN, "", "begins");
        // Keeps the bar's clock going between calls. Draws nothing if stderr is no terminal.
        progress.bar.enable_steady_tick(Duration::from_secs(1));
        progress
    }

    /// Shows the model, the prompt and the state of an inference. If they do not fit on one line, the names are folded
    /// above the bar and not cut.
    fn show(&self, columns: u16, whose: &str, state: &str) {
        let (whose, state) = (&for_terminal(whose), for_terminal(state));
        let room = usize::from(columns).saturating_sub(1 + BAR + 1 + BEHIND);
        let line = [whose.as_str(), &state]
            .into_iter()
            .filter(|part| !part.is_empty());
        let line = line.collect::<Vec<_>>().join(", ");
        let bar = format!("{{wide_msg}} {{bar:{BAR}}} {{pos}}/{{len}} {{eta}} left");
        let (template, above, message) = if display_width(&line) <= room {
            (bar, String::new(), unglued(&line))
        } else {
            let above = folded_to(columns, whose).trim_end().to_owned();
            (format!("{{prefix}}\n{bar}"), above, state)
        };
        if let Ok(style) = ProgressStyle::with_template(&template) {
            self.bar.set_prefix(above);
            self.bar.set_style(style);
        }
        self.bar.set_message(message);
    }
}

impl Progress {
    /// Shows the reason for waiting.
    pub(crate) fn waits(&self, why: &str) {
        self.show(columns(), &format!("settling: {why}"), "");
    }

    /// Prints a line where the bar does not cover it.
    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| say(line));
    }

    fn print(&self, text: &str) {
        self.bar
            .println(message(columns(), &for_terminal(text)).trim_end());
    }
}

fn columns() -> u16 {
    console::columns(std::io::stderr()).unwrap_or(UNKNOWN)
}

/// The names of a model and a prompt; neither is folded.
fn whose(model: &str, prompt: &str) -> String {
    format!("{} {}", whole(&plain(model)), whole(&plain(prompt)))
}

/// The number of the inference, and the latest decode rate.
fn state(round: Round, prompt: &PromptRecord) -> String {
    let round = match round {
        Round::WarmUp(_) => "warm-up".to_owned(),
        Round::Sample(index) => format!("sample {}", index + 1),
    };
    let latest = prompt.samples.last().or(prompt.warm_up.last());
    let rate = latest
        .and_then(|sample| sample.phases.decode_ns_per_token)
        .map(|ns| 1e9 / ns);
    let rate = rate.map(|rate| format!(", {rate:.1} tok/s")).unwrap_or_default();
    round + &rate
}

impl Observer for Progress {
    fn loaded(&mut self, at: At<'_>) {
        let loaded = at.model().loaded.as_ref();
        let warning = loaded.and_then(|loaded| unknown_release(&loaded.runtime));
        if let Some(warning) = warning.filter(|_| !self.has_warned) {
            self.say(&warning);
            self.has_warned = true;
        }
        self.show(columns(), &whole(&plain(&at.model().name)), "loaded");
    }

    fn begins(&mut self, at: At<'_>, prompt: usize, round: Round) -> Result<(), Stopped> {
        let prompt = &at.model().prompts[prompt];
        let whose = whose(&at.model().name, &prompt.id);
        self.show(columns(), &whose, &state(round, prompt));
        Ok(())
    }

    fn ended(&mut self, _: At<'_>, _: usize, outcome: Outcome<'_>) {
        match outcome {
            Outcome::Stands => self.bar.inc(1),
            Outcome::Rejected(reason) => self.print(&format!("rejected: {reason}")),
            Outcome::Failed(failure) => self.print(&format!("failed: {failure}")),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A line on stderr while something without a known length goes on.
#[derive(Debug)]
pub(crate) struct Working(ProgressBar);

impl Working {
    /// On `what`.
    pub(crate) fn on(what: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(None, target()).with_style(ProgressStyle::default_spinner());
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A bar on stderr over repeated processes: which one, of how many, time left.
#[derive(Debug)]
pub(crate) struct Repeats {
    bar: ProgressBar,
    /// The repeated unit: pair, run.
    what: &'static str,
    repetitions: Repetitions,
}

impl Repeats {
    /// Of `what`, as many as `repetitions` says.
    pub(crate) fn of(what: &'static str, repetitions: Repetitions) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), target());
        if let Ok(style) = ProgressStyle::with_template("{wide_msg} {bar:16}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        Self {
            bar,
            what,
            repetitions,
        }
    }

    /// One begins, after `done` that took `elapsed`.
    pub(crate) fn begins(&self, done: usize, elapsed: Duration) {
        let expected = self.repetitions.expected(done, elapsed);
        let of = expected.map(|count| format!(" of {count}")).unwrap_or_default();
        let left = self.repetitions.left(done, elapsed);
        let left = left
            .map(|left| format!(", {} s left", left.as_secs()))
            .unwrap_or_default();
        self.bar.set_length(expected.unwrap_or_default().long());
        self.bar.set_position(done.long());
        self.bar
            .set_message(format!("{} {}{of}{left}", self.what, done + 1));
    }
}

impl Drop for Repeats {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;
    use crate::record::fixtures;

    /// A terminal of so many columns that keeps what is drawn, line by line.
    #[derive(Debug, Clone)]
    struct Screen {
        columns: u16,
        drawn: Arc<Mutex<String>>,
    }

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            self.columns
        }

        fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
            self.write_str("\n")
        }

        fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
            self.write_str("\n")
        }

        fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> std::io::Result<()> {
            self.write_str(&format!("{text}\n"))
        }

        fn write_str(&self, text: &str) -> std::io::Result<()> {
            self.drawn.lock().expect("no panic").push_str(text);
            Ok(())
        }

        fn clear_line(&self) -> std::io::Result<()> {
            self.write_str("\n")
        }

        fn flush(&self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What stands on a terminal of so many columns.
    fn drawn(columns: u16, model: &str, prompt: &str, state: &str) -> String {
        let screen = Screen {
            columns,
            drawn: Arc::default(),
        };
        let mut record = fixtures::complete("one");
        record.parameters.samples = 1000;
        let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
        let progress = Progress::on(target, &record);
        progress.bar.set_position(1234);
        progress.show(columns, &whose(model, prompt), state);
        progress.bar.force_draw();
        screen.drawn.lock().expect("no panic").clone()
    }

    /// The rows of a terminal of so many columns that this fills.
    fn rows(columns: u16, drawn: &str) -> Vec<String> {
        let mut rows = Vec::new();
        for line in drawn.lines() {
            let mut row = String::new();
            for shown in line.chars() {
                if display_width(&row) + display_width(&shown.to_string()) > columns.into() {
                    rows.push(std::mem::take(&mut row));
                }
                row.push(shown);
            }
            rows.push(row);
        }
        rows
    }

    #[test]
    fn neither_names_nor_the_unit_of_the_rate_are_cut() {
        let model = "DeepSeek-R1-Distill-Qwen-1.5B_W8A8_G128_RK3588_ctx4096_opt1";
        let prompt = "a-prompt-whose-identifier-is-rather-long";
        let state = "sample 1000, 12345.6 tok/s";
        for (model, prompt) in [(model, prompt), ("m", "q"), ("通义千问 大语言模型", prompt)] {
            for columns in [60, 80] {
                let drawn = drawn(columns, model, prompt, state);
                let rows = rows(columns, &drawn);
                for word in [model, prompt, "12345.6 tok/s", "1234/2002", " left"] {
                    let is_whole = rows.iter().any(|row| row.contains(word));
                    assert!(is_whole, "{word} at {columns}: {rows:?}");
                }
            }
        }
    }

    #[test]
    fn what_fits_stands_on_one_line() {
        let drawn = drawn(80, "m", "question", "sample 3, 12.3 tok/s");
        assert!(drawn.contains("m question, sample 3, 12.3 tok/s  "), "{drawn}");
    }
}
