//! State files of `pin`, which root reads back.

use serde_json::json;

use super::properties::pins::pin;
use super::{edits, hold_reader};

const WORDS: &[&str] = &[
    "schema_version",
    "board",
    "soc",
    "boot_id",
    "saved",
    "node",
    "knob",
    "from",
    "cpufreq",
    "devfreq",
    "rknpu_debug",
    "governor",
    "min",
    "max",
    "set",
    "dmc",
    "fdab0000.npu",
    "performance",
    "408000",
    "../../../etc",
    "a/../b",
];

#[test]
fn a_state_file_writes_to_clocks_alone_or_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let entry = |node, knob, from| json!({"node": node, "knob": knob, "from": from});
    let saved = vec![
        entry(json!({"cpufreq": 4}), "governor", json!("ondemand")),
        entry(json!({"cpufreq": 4}), "min", json!("408000")),
        entry(json!({"cpufreq": 4}), "max", json!("2400000")),
        entry(json!({"devfreq": "fdab0000.npu"}), "set", json!(null)),
        entry(json!("rknpu_debug"), "set", json!("1000000000")),
    ];
    let documents = vec![
        json!({"schema_version": 1, "board": null, "soc": null, "boot_id": null, "saved": saved}),
        json!({"schema_version": 1, "board": null, "soc": null, "boot_id": "another", "saved": []}),
    ];
    hold_reader("pins", 1000, &edits::file(documents, WORDS), |bytes| {
        pin(dir.path(), &bytes)
    });
}
