//! Progress on a terminal. Without one nothing is shown.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console::{has_styles, say};
use crate::extent::Extent;
use crate::record::RunRecord;
use crate::recorder::{At, Observer, Outcome, Round, Stopped};

/// A bar on stderr, of so many steps or without a known length; hidden where stderr is no terminal, or shows no styles:
/// a bar is drawn with escape sequences too.
fn bar(steps: Option<u64>) -> ProgressBar {
    let target = if has_styles() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    match steps {
        Some(_) => ProgressBar::with_draw_target(steps, target),
        None => ProgressBar::with_draw_target(None, target).with_style(ProgressStyle::default_spinner()),
    }
}

/// A bar on stderr: model, prompt, sample, the latest decode rate, time left.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// For all inferences of a record that is still empty.
    pub(crate) fn of(record: &RunRecord) -> Self {
        let prompts: usize = record.models.iter().map(|model| model.prompts.len()).sum();
        let inferences = prompts * (record.parameters.warm_up + record.parameters.samples);
        let bar = bar(Some(inferences as u64));
        if let Ok(style) = ProgressStyle::with_template("{wide_msg} {bar:16} {pos}/{len} {eta} left") {
            bar.set_style(style);
        }
        // Draws nothing where stderr is no terminal. Between inferences the clock of the bar goes on by itself.
        bar.enable_steady_tick(Duration::from_secs(1));
        Self { bar }
    }
}

impl Progress {
    /// Shows what is waited for.
    pub(crate) fn waits(&self, why: &str) {
        self.bar.set_message(format!("settling: {why}"));
    }

    /// Prints a line where the bar does not cover it.
    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| say(line));
    }
}

impl Observer for Progress {
    fn loaded(&mut self, at: At<'_>) {
        self.bar.set_message(format!("{}: loaded", at.model().name));
    }

    fn begins(&mut self, at: At<'_>, prompt: usize, round: Round) -> Result<(), Stopped> {
        let prompt = &at.model().prompts[prompt];
        let round = match round {
            Round::WarmUp(_) => "warm-up".to_owned(),
            Round::Sample(index) => format!("sample {}", index + 1),
        };
        let latest = prompt.samples.last().or(prompt.warm_up.last());
        let rate = latest
            .and_then(|sample| sample.phases.decode_ns_per_token)
            .map(|ns| 1e9 / ns);
        let rate = rate.map(|rate| format!(", {rate:.1} tok/s")).unwrap_or_default();
        self.bar
            .set_message(format!("{} {}, {round}{rate}", at.model().name, prompt.id));
        Ok(())
    }

    fn ended(&mut self, _: At<'_>, _: usize, outcome: Outcome<'_>) {
        match outcome {
            Outcome::Stands => self.bar.inc(1),
            Outcome::Rejected(reason) => self.bar.println(format!("rejected: {reason}")),
            Outcome::Failed(failure) => self.bar.println(format!("failed: {failure}")),
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
        let bar = bar(None);
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
    /// What is repeated: pair, run.
    what: &'static str,
    extent: Extent,
}

impl Repeats {
    /// Of `what`, as many as `extent` says.
    pub(crate) fn of(what: &'static str, extent: Extent) -> Self {
        let bar = bar(Some(0));
        if let Ok(style) = ProgressStyle::with_template("{wide_msg} {bar:16}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        Self { bar, what, extent }
    }

    /// One begins, after `done` that took `elapsed`.
    pub(crate) fn begins(&self, done: usize, elapsed: Duration) {
        let expected = self.extent.expected(done, elapsed);
        let of = expected.map(|count| format!(" of {count}")).unwrap_or_default();
        let left = self.extent.left(done, elapsed);
        let left = left
            .map(|left| format!(", {} s left", left.as_secs()))
            .unwrap_or_default();
        self.bar.set_length(expected.unwrap_or_default() as u64);
        self.bar.set_position(done as u64);
        self.bar
            .set_message(format!("{} {}{of}{left}", self.what, done + 1));
    }
}

impl Drop for Repeats {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
