//! The command line of criterion's process.

use std::ffi::OsString;

use super::{Mode, Options};

impl Options {
    /// The arguments for criterion's process. It prints no colours, because this program styles the output that it
    /// shows.
    pub(crate) fn criterion_arguments(&self) -> Vec<OsString> {
        let mode = self.mode();
        let flags = [
            (mode != Mode::Test, "--bench"),
            (mode == Mode::Test, "--test"),
            (self.criterion.exact, "--exact"),
            (self.criterion.discard_baseline, "--discard-baseline"),
            (self.criterion.noplot, "--noplot"),
            (self.criterion.verbose, "--verbose"),
            (self.criterion.quiet, "--quiet"),
            (self.criterion.quick, "--quick"),
            (true, "--color=never"),
        ];
        let given = flags.iter().filter(|(on, _)| *on);
        let mut arguments: Vec<OsString> = given.map(|(_, flag)| OsString::from(flag)).collect();
        let text = |number: Option<f64>| number.map(|number| number.to_string());
        let values = [
            ("save-baseline", self.criterion.save_baseline.clone()),
            ("baseline", self.criterion.baseline.clone()),
            ("baseline-lenient", self.criterion.baseline_lenient.clone()),
            ("load-baseline", self.criterion.load_baseline.clone()),
            ("noise-threshold", text(self.criterion.noise_threshold)),
            ("confidence-level", text(self.criterion.confidence_level)),
            ("significance-level", text(self.criterion.significance_level)),
            (
                "nresamples",
                self.criterion.nresamples.map(|number| number.to_string()),
            ),
            ("output-format", self.criterion.output_format.clone()),
            ("plotting-backend", self.criterion.plotting_backend.clone()),
            ("profile-time", text(self.criterion.profile_time)),
        ];
        for (flag, value) in values {
            // One argument, because a value may begin with a hyphen.
            arguments.extend(value.map(|value| OsString::from(format!("--{flag}={value}"))));
        }
        if let Some(filter) = &self.filter {
            arguments.extend(["--", filter].map(OsString::from));
        }
        arguments
    }
}
