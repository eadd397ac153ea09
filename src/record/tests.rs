use super::{Faults, ModelRecord, RunRecord, Status, fixtures};
use crate::inputs::prompts::Check;

#[test]
fn a_record_comes_back_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("deep/run.json");
    let mut record = fixtures::complete("one");
    record.models[0].prompts[0].checks = vec![
        Check::Words {
            min: Some(1),
            max: None,
        },
        Check::NoRepetition {},
    ];
    record.save(&path).expect("saved");
    assert_eq!(RunRecord::load(&path).expect("loaded"), record);
    let files: Vec<_> = std::fs::read_dir(dir.path().join("deep"))
        .expect("listed")
        .collect();
    assert_eq!(files.len(), 1, "nothing is left beside it");
}

#[test]
fn only_a_complete_run_with_samples_is_compared() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("run.json");
    let complete = fixtures::complete("one");
    complete.save(&path).expect("saved");
    assert_eq!(RunRecord::load_complete(&path).expect("loaded"), complete);
    let of = |models: Vec<ModelRecord>| RunRecord {
        models,
        ..complete.clone()
    };
    let with_status = |status| RunRecord {
        status,
        ..complete.clone()
    };
    let mut unloaded = fixtures::model("m");
    let mut silent = unloaded.clone();
    silent.prompts.push(fixtures::prompt("question"));
    unloaded.prompts.clear();
    for (record, expected) in [
        (with_status(Status::Running), "status: running: "),
        (with_status(Status::Stopped), "status: stopped: "),
        (of(vec![]), "models: no model was run"),
        (of(vec![unloaded]), "models[0].prompts: no prompt was run"),
        (of(vec![silent]), "models: no prompt has a sample"),
    ] {
        record.save(&path).expect("saved");
        assert_eq!(RunRecord::load(&path).expect("partial data is read"), record);
        assert_eq!(record.is_complete(), record.status == Status::Complete);
        let text = RunRecord::load_complete(&path)
            .expect_err("nothing to compare")
            .to_string();
        assert!(
            text.contains(expected) && text.contains("measure again"),
            "{text}"
        );
    }
}

#[test]
fn faults_in_words() {
    assert_eq!(Faults::default().to_string(), "no faults");
    let faults = Faults {
        failed: 1,
        given_up: 2,
        ..Faults::default()
    };
    assert_eq!(faults.to_string(), "1 inference failed, 2 prompts given up");
    assert!(faults.are_fatal());
    assert!(
        !Faults {
            rejected: 3,
            ..Faults::default()
        }
        .are_fatal()
    );
}
