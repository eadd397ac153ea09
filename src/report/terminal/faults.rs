//! What went wrong in a run.

use crate::record::{Faults, RunRecord};
use crate::report::words::{plain_lines, unfinished};

/// The failures, each cause once with its count; an unfinished run comes first.
pub fn faults(record: &RunRecord) -> String {
    let mut lines: Vec<String> = unfinished(record.status).map(str::to_owned).into_iter().collect();
    for model in &record.models {
        if let Some(failure) = &model.load_failure {
            lines.push(format!("{}: {failure}", model.name));
        }
        if let Some(failure) = &model.unload_failure {
            lines.push(format!("{}, on unloading: {failure}", model.name));
        }
        if let Some(what) = &model.changed {
            lines.push(format!("{}: {what}", model.name));
        }
        for prompt in &model.prompts {
            for (cause, count) in prompt.causes() {
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
    let faults = record.faults();
    if lines.is_empty() || faults != Faults::default() {
        lines.push(faults.to_string());
    }
    plain_lines(&lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::Failure;
    use crate::record::{Status, fixtures};

    #[test]
    fn a_run_that_did_not_end_says_so_instead_of_no_faults() {
        let mut run = fixtures::complete("one");
        assert_eq!(faults(&run), "no faults");
        run.status = Status::Stopped;
        let stopped = "The run was stopped before its end, so samples are missing.";
        assert_eq!(faults(&run), stopped);
        run.models[0].load_failure = Some(Failure::refused("no"));
        let lines = faults(&run);
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines, [stopped, "m: no", "1 model not loaded"]);
    }

    #[test]
    fn no_terminal_obeys_what_a_runtime_printed() {
        let mut run = fixtures::complete("one");
        run.models[0].load_failure = Some(Failure {
            last_lines: vec!["\u{1b}[2Jgone".into()],
            ..Failure::refused("no\u{7}")
        });
        let text = faults(&run);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        assert!(text.contains("\n  | \u{fffd}[2Jgone\n"), "{text:?}");
    }
}
