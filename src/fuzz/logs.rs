//! The output of a runtime, and the strings in its library.

use proptest::collection::vec;
use proptest::prelude::*;

use super::edits::byte_edit;
use super::hold;
use super::properties::logs::log;

const WORDS: &[&str] = &[
    "I rkllm: ",
    "rkllm-runtime version: ",
    ", rknpu driver version: ",
    ", platform: ",
    "RKLLM SDK (version: ",
    "toolkit version: ",
    "npu_core_num: ",
    "1.2.3",
    "1.2.1b1",
    "%s",
    "999",
    "unknown",
    "\u{1b}[31m",
    "\0",
    "\n",
    "\r",
    ",",
    " ",
];

#[test]
fn what_is_found_in_a_log_is_part_of_it() {
    let logs = vec(byte_edit(WORDS), 0..12).prop_map(|edits| {
        let mut bytes = b"I rkllm: rkllm-runtime version: 1.2.3, rknpu driver version: 0.9.8, platform: RK3588\n\
            I rkllm: toolkit version: 1.2.3, max_context_limit: 4096, npu_core_num: 3, target_platform: RK3588\n"
            .to_vec();
        for edit in edits {
            edit.apply(&mut bytes);
        }
        bytes
    });
    hold("logs", 1000, &logs, |bytes| log(&bytes));
}
