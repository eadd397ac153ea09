//! What went wrong in a run.

use crate::record::RunRecord;

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
    lines.push(record.faults().to_string());
    lines.join("\n")
}
