//! What a record says of its run: faults, warnings, causes, caption, end.

use super::{Git, MOST_WARNINGS, ModelRecord, Rejected, RunRecord, Status, check, fixtures};
use crate::inference::Failure;
use crate::record::ledger::Rejection;

type Break = fn(&mut ModelRecord);

fn rejected(reason: Rejection) -> Rejected {
    Rejected {
        reason,
        inference: fixtures::sample().inference,
    }
}

#[test]
fn each_fault_is_counted_and_one_is_enough_for_a_failure() {
    let faults: [(Break, &str, bool); 6] = [
        (
            |model| model.load_failure = Some(Failure::refused("no")),
            "model",
            true,
        ),
        (
            |model| model.unload_failure = Some(Failure::refused("no")),
            "model failed",
            true,
        ),
        (|model| model.changed = Some("it".into()), "model changed", true),
        (
            |model| model.prompts[0].failures = vec![Failure::refused("no")],
            "inference failed",
            true,
        ),
        (
            |model| model.prompts[0].rejected = vec![rejected(Rejection::NoTokens)],
            "inference rejected",
            false,
        ),
        (
            |model| model.prompts[0].given_up = Some("it".into()),
            "prompt given up",
            true,
        ),
    ];
    for (break_it, words, is_fatal) in faults {
        let mut run = fixtures::complete("one");
        break_it(&mut run.models[0]);
        let said = run.faults().to_string();
        assert!(
            said.starts_with(&format!("1 {words}")) && !said.contains(','),
            "{said}"
        );
        assert_eq!(run.faults().are_fatal(), is_fatal, "{words}");
        // Of two models, both count; a fault of another kind does not make up for either.
        run.models.push(run.models[0].clone());
        run.models[1].prompts[1].given_up = Some("it".into());
        let said = run.faults().to_string();
        assert!(said.starts_with("2 ") || said.starts_with("3 prompts"), "{said}");
        assert!(run.faults().are_fatal(), "{said}");
    }
    let healthy = fixtures::complete("one").faults();
    assert!(!healthy.are_fatal() && healthy.to_string() == "no faults");
    // None offsets or multiplies another.
    let mut run = fixtures::complete("one");
    run.models[0].changed = Some("it".into());
    run.models[0].prompts[0].failures = vec![Failure::refused("no")];
    run.models[0].prompts[0].given_up = Some("it".into());
    assert!(run.faults().are_fatal());
}

#[test]
fn warnings_are_kept_once_each_and_not_without_end() {
    let mut model = fixtures::model("m");
    model.warn(vec!["a".into(), "b".into(), "a".into()]);
    assert_eq!(model.warnings, ["a", "b"]);
    model.warn((0..2 * MOST_WARNINGS).map(|number| number.to_string()).collect());
    assert_eq!(model.warnings.len(), MOST_WARNINGS);
    assert_eq!(model.warnings[2], "0");
}

#[test]
fn causes_are_counted_in_the_order_they_came() {
    let mut prompt = fixtures::prompt("a");
    prompt.failures = ["x", "y", "x"].map(Failure::refused).to_vec();
    prompt.rejected = vec![rejected(Rejection::NoTokens), rejected(Rejection::NoTokens)];
    let causes = [("x", 2), ("y", 1), ("rejected: no token came", 2)];
    assert_eq!(
        prompt.causes(),
        causes.map(|(cause, count)| (cause.to_owned(), count))
    );
}

#[test]
fn the_caption_has_the_label_and_the_commit() {
    let mut run = fixtures::complete("one");
    assert_eq!(run.caption(), None);
    run.label = Some("night".into());
    assert_eq!(run.caption().as_deref(), Some("label night"));
    run.git = Some(Git {
        revision: "0123456789abcdef0123456789abcdef01234567".into(),
        clean: true,
    });
    let caption = run.caption().unwrap_or_default();
    assert!(caption.starts_with("label night, revision 0123456"), "{caption}");
}

#[test]
fn a_run_ends_by_what_came_of_it() {
    let ended = |stopped: bool, changed: bool| {
        let mut run = RunRecord {
            status: Status::Running,
            ..fixtures::complete("one")
        };
        run.models[0].changed = changed.then(|| "its file".into());
        run.end(stopped);
        run.status
    };
    assert_eq!(ended(false, false), Status::Complete);
    assert_eq!(ended(true, false), Status::Stopped);
    assert_eq!(ended(false, true), Status::Changed);
    assert_eq!(ended(true, true), Status::Changed);
}

#[test]
fn a_label_is_one_line_of_a_hundred_characters_at_most() {
    assert_eq!(check::label(" night "), Ok("night".into()));
    assert_eq!(check::label(&"x".repeat(100)), Ok("x".repeat(100)));
    for refused in ["", "  ", &"x".repeat(101), "a\nb", "a\u{1b}b"] {
        assert!(check::label(refused).is_err(), "{refused:?}");
    }
}
