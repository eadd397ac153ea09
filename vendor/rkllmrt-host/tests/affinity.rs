//! Where the threads run. One test in a process of its own: it looks at all of the process's threads.
#![expect(clippy::expect_used, reason = "a test stops at what it did not expect")]

mod common;

use std::collections::BTreeSet;
use std::fs;

use common::header::*;
use common::{Client, greedy, infer_param, small, token_input};

const PROMPT: [i32; 6] = [1, 300, 301, 302, 303, 304];

/// `Cpus_allowed_list` of each thread of this process.
fn allowed_lists() -> Vec<String> {
    let threads = fs::read_dir("/proc/self/task").expect("the threads are listed");
    threads
        .filter_map(|task| allowed_list(&task.ok()?.path().join("status")))
        .collect()
}

fn allowed_list(status: &std::path::Path) -> Option<String> {
    let status = fs::read_to_string(status).ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .map(|list| list.trim().to_owned())
}

fn own_list() -> String {
    allowed_list("/proc/thread-self/status".as_ref()).expect("this thread has a list")
}

/// The CPUs below 32 of a list like `0-2,5`.
fn cpus(text: &str) -> Vec<u32> {
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        first.parse::<u32>().expect("a number")..=last.parse().expect("a number")
    };
    text.split(',').flat_map(range).filter(|&cpu| cpu < 32).collect()
}

/// Lists of all threads and of the calling one, taken in the callback of a run.
fn lists_in_a_run(param: &RKLLMParam) -> (Vec<String>, String) {
    let client = Client::load(small(), param);
    let mut lists = (Vec::new(), String::new());
    let run = client.call(&token_input(&PROMPT), &infer_param(), |_| {
        lists = (allowed_lists(), own_list());
        0
    });
    common::Run::of(run);
    lists
}

#[test]
fn the_mask_is_where_the_threads_run_and_the_caller_gets_its_own_back() {
    let before = own_list();
    let usable = cpus(&before);
    let chosen: Vec<u32> = usable.iter().copied().rev().take(2).collect();
    let mut param = greedy();

    let (all, caller) = lists_in_a_run(&param);
    assert_eq!(caller, before, "no mask: nothing is pinned");
    assert!(all.iter().all(|list| *list == before), "{all:?}");

    param.extend_param.enabled_cpus_num = 1;
    param.extend_param.enabled_cpus_mask = 1 << chosen[0];
    let (_, caller) = lists_in_a_run(&param);
    assert_eq!(
        caller,
        chosen[0].to_string(),
        "the caller is one of the computing threads"
    );
    assert_eq!(own_list(), before, "and is back where it was");

    if let [one, two] = chosen[..] {
        param.extend_param.enabled_cpus_num = 2;
        param.extend_param.enabled_cpus_mask = 1 << one | 1 << two;
        let (all, caller) = lists_in_a_run(&param);
        let pinned: BTreeSet<&String> = all.iter().filter(|list| **list != before).collect();
        let expected = [one.to_string(), two.to_string()];
        assert_eq!(pinned, expected.iter().collect(), "a CPU for each thread");
        assert!(expected.contains(&caller));
        assert_eq!(own_list(), before);
    }
}
