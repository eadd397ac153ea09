//! What a record says of its run: faults, warnings, causes, caption, end.

use super::{Git, MOST_WARNINGS, ModelRecord, Rejected, RunRecord, Status, check, fixtures, journal};
use crate::inference::Failure;
use crate::machine::sampler::{ClockRange, Conditions};
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

#[test]
fn a_record_is_read_up_to_the_last_value_that_can_be() {
    type Change = fn(&mut RunRecord);
    let of = |change: Change| {
        let mut run = fixtures::complete("one");
        change(&mut run);
        check::record(&run).map_err(|fault| fault.to_string())
    };
    let passes: [Change; 3] = [
        |run| {
            run.git = Some(Git {
                revision: "0123456789abcdef0123456789abcdef01234567".into(),
                clean: false,
            });
        },
        |run| conditions(run).steal_percent = Some(0.0),
        |run| run.parameters.samples = check::MOST_SAMPLES,
    ];
    for (index, change) in passes.into_iter().enumerate() {
        assert_eq!(of(change), Ok(()), "{index}");
    }
    let refused: [(Change, &str); 4] = [
        (
            |run| {
                run.git = Some(Git {
                    revision: "main".into(),
                    clean: false,
                });
            },
            "git.revision",
        ),
        (|run| conditions(run).steal_percent = Some(-0.5), "steal_percent"),
        (|run| run.parameters.samples = 0, "parameters.samples"),
        (
            |run| run.parameters.samples = check::MOST_SAMPLES + 1,
            "parameters.samples",
        ),
    ];
    for (change, field) in refused {
        let said = of(change).expect_err(field);
        assert!(said.contains(field), "{said}");
    }
}

fn conditions(run: &mut RunRecord) -> &mut Conditions {
    run.models[0].prompts[0].samples[0]
        .conditions
        .get_or_insert_with(Conditions::default)
}

#[test]
fn lines_behind_a_record_are_a_journal_or_part_of_the_file() {
    let split = |text: &str| {
        let (record, lines) = journal::split(text.into());
        [record, lines].map(|bytes| String::from_utf8(bytes).expect("text"))
    };
    let whole = |text: &str| [text.to_owned(), String::new()];
    assert_eq!(split("{}"), whole("{}"));
    assert_eq!(split("{}\n"), whole("{}\n"));
    assert_eq!(split("{}\n{}\n"), whole("{}\n{}\n"));
    let line = "{\"journal\":1}\n";
    assert_eq!(
        split(&format!("{{}}\n{line}{line}")),
        ["{}\n".to_owned(), line.repeat(2)]
    );
    // A cut line is left out.
    assert_eq!(
        split(&format!("{{}}\n{line}{{\"jour")),
        ["{}\n".to_owned(), line.to_owned()]
    );
    assert_eq!(split("{}\n{\"jour"), ["{}\n".to_owned(), String::new()]);
}

#[test]
fn a_journal_belongs_to_a_run_and_a_file_has_a_size_that_is_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("run.json");
    let refused = || RunRecord::load(&path).expect_err("refused").to_string();
    std::fs::write(&path, "{\"kind\":1}\n{\"journal\":1}\n").expect("written");
    assert!(refused().contains("behind what is no run"), "{}", refused());
    let file = std::fs::File::create(&path).expect("made");
    file.set_len((1 << 30) + 1).expect("sparse");
    assert!(refused().contains("at most 1073741824 (1 GiB)"), "{}", refused());
}

#[test]
fn the_longest_call_and_the_shortest_time_are_read() {
    let of = |change: fn(&mut crate::record::Sample)| {
        let mut run = fixtures::complete("one");
        let sample = &mut run.models[0].prompts[0].samples[0];
        change(sample);
        sample.phases = sample.inference.phases().expect("stamps");
        check::record(&run).map_err(|fault| fault.to_string())
    };
    assert_eq!(
        of(|sample| sample.inference.return_ns = sample.inference.call_ns + (1 << 52)),
        Ok(())
    );
    let longer = of(|sample| sample.inference.return_ns = sample.inference.call_ns + (1 << 52) + 1);
    assert!(longer.expect_err("too long").contains("return_ns"));
    assert_eq!(
        of(|sample| sample
            .inference
            .stats
            .as_mut()
            .expect("statistics")
            .generate_time_ms = 0.0),
        Ok(())
    );
    let negative = of(|sample| {
        sample
            .inference
            .stats
            .as_mut()
            .expect("statistics")
            .generate_time_ms = -0.1;
    });
    assert!(negative.expect_err("no time").contains("generate_time_ms"));
    let clocks = |min_hz: u64| {
        let mut run = fixtures::complete("one");
        conditions(&mut run).clocks.push(ClockRange {
            clock: "cpu".into(),
            held_hz: None,
            min_hz,
            max_hz: 1_000_000,
        });
        check::record(&run).is_ok()
    };
    assert!(clocks(1_000_000) && !clocks(1_000_001));
}

#[test]
fn the_commit_is_that_of_the_work_tree() {
    let dir = tempfile::tempdir().expect("a folder");
    assert_eq!(Git::of_work_tree(dir.path()), None, "no repository");
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command
            .args(["-c", "user.name=a", "-c", "user.email=a@b.c"])
            .args(arguments);
        command.env_remove("GIT_DIR").current_dir(dir.path());
        let output = command.output().expect("git runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    };
    git(&["init", "-q"]);
    std::fs::write(dir.path().join("file"), "a").expect("written");
    git(&["add", "file"]);
    git(&["commit", "-q", "-m", "a"]);
    let commit = git(&["rev-parse", "HEAD"]);
    let found = |clean| {
        Some(Git {
            revision: commit.clone(),
            clean,
        })
    };
    assert_eq!(Git::of_work_tree(dir.path()), found(true));
    std::fs::write(dir.path().join("file"), "b").expect("written");
    assert_eq!(Git::of_work_tree(dir.path()), found(false));
}
