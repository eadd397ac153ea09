//! What a pin is to change, what it changed, and what did not take.

use std::fmt::Write as _;
use std::path::Path;

use super::words::{counted, plain};
use crate::pin::apply::Held;
use crate::pin::plan::{Missing, Plan};

/// Stands above whatever users see of it.
const EXPERIMENTAL: &str = "experimental: nobody has tried this on a board\n";

/// The writes that a plan would make.
pub(crate) fn plan(plan: &Plan) -> String {
    let mut text = EXPERIMENTAL.to_owned();
    for target in &plan.targets {
        let _ = writeln!(text, "{}: {}", target.what, mhz(target.hz));
        if target.writes.is_empty() {
            text += "  held already\n";
        }
        for write in &target.writes {
            let from = write.from.as_deref().unwrap_or("no value");
            let path = write.node.path(write.knob);
            let _ = writeln!(text, "  /{path}: {from} -> {}", write.to);
        }
    }
    text + &missing(&plan.missing)
}

/// What became of each clock.
pub(crate) fn outcome(held: &[Held], absent: &[Missing]) -> String {
    let mut text = EXPERIMENTAL.to_owned();
    for clock in held {
        if clock.faults.is_empty() {
            let _ = writeln!(text, "{}: held at {}", clock.what, mhz(clock.hz));
        } else {
            let _ = writeln!(text, "{}: NOT HELD at {}", clock.what, mhz(clock.hz));
        }
        for fault in &clock.faults {
            let _ = writeln!(text, "  {}", plain(fault));
        }
    }
    text + &missing(absent)
}

fn missing(missing: &[Missing]) -> String {
    missing.iter().fold(String::new(), |text, clock| {
        text + &format!("{}: CANNOT BE HELD: {}\n", clock.what, plain(&clock.why))
    })
}

/// That the clocks were given back, or what of them was not.
pub(crate) fn given_back(faults: &[String], state: &Path) -> String {
    if faults.is_empty() {
        return "the clocks are as they were found\n".to_owned();
    }
    let mut text = format!("{} NOT GIVEN BACK:\n", counted(faults.len(), "value"));
    for fault in faults {
        let _ = writeln!(text, "  {}", plain(fault));
    }
    let _ = writeln!(
        text,
        "{} remembers them: try `sudo rkllm-bench unpin` again; a reboot gives them back too",
        plain(&state.display().to_string())
    );
    text
}

fn mhz(hz: u64) -> String {
    format!("{} MHz", hz / 1_000_000)
}
