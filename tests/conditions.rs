//! What the sampler sees of this machine: busy processes beside a run, and a quota of CPU time.
//!
//! Each waits for its turn, since they would disturb each other.

#![cfg(feature = "host")]
#![allow(missing_docs, clippy::expect_used, reason = "tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::host::{quick, turn};
use common::{Place, run, text_of, wait_until};
use rkllm_bench::ledger::Mark;
use rkllm_bench::record::RunRecord;

/// Where groups with a share of CPU time are made: control groups of version 1, and of version 2.
const GROUPS: [&str; 2] = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup"];

/// Processes that do nothing but run, ended when dropped.
struct Busy(Vec<Child>);

impl Busy {
    fn start(count: usize) -> Self {
        let one = |_| {
            let mut command = Command::new("sh");
            let command = command.args(["-c", "while :; do :; done"]).stdin(Stdio::null());
            command.spawn().expect("sh starts")
        };
        Self((0..count).map(one).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for process in &mut self.0 {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn samples(record: &RunRecord) -> usize {
    let prompts = &record.models[0].prompts;
    prompts.iter().map(|prompt| prompt.samples.len()).sum()
}

/// The record as it is on disk while the run goes on.
fn so_far(place: &Place) -> usize {
    let files = place.records();
    let record = files.first().and_then(|file| RunRecord::load(file).ok());
    record.as_ref().map_or(0, samples)
}

#[test]
fn processes_that_begin_in_mid_run_are_seen_and_every_report_says_so() {
    let _turn = turn();
    let place = Place::new();
    let mut command = quick(&place);
    command.args(["--record-only", "--sample-size", "60", "question"]);
    let bench = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let bench = bench.expect("the bench starts");
    wait_until(|| so_far(&place) >= 5);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let busy = Busy::start(2 * cores);
    let before = so_far(&place);
    let output = bench.wait_with_output().expect("it ends");
    drop(busy);
    let text = text_of(&output);
    assert!(output.status.success(), "{text}");

    let record = place.record();
    let samples = &record.models[0].prompts[0].samples;
    // What else this machine does may disturb the samples before, so of those nothing is asked.
    let taken: Vec<f64> = samples[before..]
        .iter()
        .flat_map(|sample| &sample.marks)
        .filter_map(|mark| match mark {
            Mark::OtherProcess { percent, cpus } if !cpus.is_empty() => Some(*percent),
            _ => None,
        })
        .collect();
    assert!(
        taken.iter().any(|percent| *percent > 5.0),
        "{before} before: {text}"
    );
    assert!(text.contains("other_process "), "{text}");
    assert!(text.contains(" % of one core"), "{text}");
    let conditions = samples[before]
        .conditions
        .as_ref()
        .expect("Linux shows something");
    assert!(conditions.rss_bytes > Some(1_000_000), "{conditions:?}");
    assert!(record.sampler.is_some_and(|sampler| sampler.cpu_ns > 0));
}

/// A control group that may use half of one CPU, removed when dropped.
struct HalfACpu(PathBuf);

impl HalfACpu {
    /// Absent where this process cannot make one.
    fn new() -> Option<Self> {
        let name = format!("rkllm-bench-test-{}", std::process::id());
        GROUPS.iter().find_map(|folder| {
            let group = Self(Path::new(folder).join(&name));
            fs::create_dir(&group.0).ok()?;
            let set = |file: &str, text: &str| {
                let path = group.0.join(file);
                path.exists() && fs::write(path, text).is_ok()
            };
            let limited = set("cpu.max", "50000 100000")
                || set("cpu.cfs_period_us", "100000") && set("cpu.cfs_quota_us", "50000");
            limited.then_some(group)
        })
    }
}

impl Drop for HalfACpu {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
#[ignore = "needs root and control groups that can be made: cargo test --release --test conditions -- --ignored"]
fn a_quota_of_cpu_time_is_recorded_and_found_unfit() {
    let _turn = turn();
    let group = HalfACpu::new().expect("a control group can be made: this needs root");
    let place = Place::new();
    let mut bench = quick(&place);
    bench.args(["--record-only", "--sample-size", "2", "question"]);
    let mut inside = Command::new("sh");
    inside
        .args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""])
        .arg(&group.0)
        .arg(bench.get_program())
        .args(bench.get_args());
    for (name, value) in bench.get_envs() {
        match value {
            Some(value) => inside.env(name, value),
            None => inside.env_remove(name),
        };
    }
    let text = text_of(&run(inside.current_dir(common::ROOT)));
    let record = place.record();
    assert_eq!(record.board.share.quota_cpus, Some(0.5), "{text}");
    assert!(text.contains("board: not fit: "), "{text}");
    let line = text.lines().find(|line| line.starts_with("board: "));
    assert!(line.is_some_and(|line| line.contains("quota")), "{text}");
}
