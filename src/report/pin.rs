//! What a pin is to change, what it changed, and what did not take.

use std::fmt::Write as _;
use std::path::Path;

use super::words::{counted, plain};
use crate::base::foreign::Shown as _;
use crate::inputs::hint;
use crate::machine::board::mhz;
use crate::machine::pin::apply::Held;
use crate::machine::pin::plan::{Missing, Plan};

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

/// The clocks that cannot be held; nothing where there are none.
pub(crate) fn missing(missing: &[Missing]) -> String {
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
        "{} remembers them: try `{}` again; a reboot gives them back too",
        plain(&state.shown().to_string()),
        hint::tool_as_root(&["unpin"])
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_given_back_is_named_with_its_remedy_and_obeyed_by_no_terminal() {
        let path = Path::new("/run/rkllm-bench/pin.json");
        assert_eq!(given_back(&[], path), "the clocks are as they were found\n");
        let faults = ["/a: x was refused: \u{1b}[31m".to_owned(), "/b: |`<b>".to_owned()];
        assert_eq!(
            given_back(&faults, path),
            "2 values NOT GIVEN BACK:\n  /a: x was refused: \u{fffd}[31m\n  /b: |`<b>\n/run/rkllm-bench/pin.json remembers them: \
             try `sudo rkllm-bench unpin` again; a reboot gives them back too\n"
        );
    }

    #[test]
    fn a_clock_is_held_or_loudly_not() {
        let clock = |faults: &[&str]| Held {
            what: "DDR".into(),
            hz: 2_112_000_000,
            faults: faults.iter().map(|&fault| fault.to_owned()).collect(),
        };
        let absent = Missing {
            what: "NPU".into(),
            why: "no\nnode".into(),
        };
        assert_eq!(
            outcome(&[clock(&[]), clock(&["/f: refused"])], &[absent]),
            "experimental: nobody has tried this on a board\nDDR: held at 2112 MHz\nDDR: NOT HELD at 2112 MHz\n  /f: refused\n\
             NPU: CANNOT BE HELD: no node\n"
        );
    }
}
