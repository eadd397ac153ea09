//! Runs of the suite `table` on a board, for tests.

use crate::inference::Input;
use crate::inference::VersionLine;
use crate::record::{ModelRecord, PromptRecord, RunRecord, Sample, Status, SuiteRecord, fixtures};
use crate::runtime::engine::scripted;

/// The file of the model that [`run`] is of.
pub(crate) const MODEL: &str = "Qwen2-0.5B-w8a8-rk3588";

/// 128 tokens in, 64 out, by Qwen2-0.5B w8a8 on RK3588: for each sample the TTFT and the gap between each two
/// tokens, both in nanoseconds. The peak is 100 MB of 8 GB.
pub(crate) fn run(samples: &[(u64, u64)]) -> RunRecord {
    let mut loaded = scripted::loaded(scripted::ABILITIES);
    scripted::library(&mut loaded).version_line = Some(VersionLine {
        runtime: "1.3.0".into(),
        driver: Some("0.9.8".into()),
        platform: Some("RK3588".into()),
    });
    let mut run = RunRecord {
        status: Status::Complete,
        suite: SuiteRecord {
            name: "table".into(),
            sweep: true,
            ..fixtures::empty().suite
        },
        ..fixtures::empty()
    };
    run.parameters.threads = None;
    run.board.memory.total_bytes = Some(8_000_000_000);
    run.models.push(ModelRecord {
        path: format!("models/{MODEL}.rkllm").into(),
        loaded: Some(loaded),
        prompts: vec![PromptRecord {
            input: Input::Tokens(vec![1000; 128]),
            max_new_tokens: 64,
            prompt_tokens: Some(128),
            samples: samples.iter().map(|(ttft, gap)| sample(*ttft, *gap)).collect(),
            ..fixtures::prompt("p128-n64")
        }],
        ..fixtures::model(MODEL)
    });
    run
}

fn sample(ttft_ns: u64, gap_ns: u64) -> Sample {
    fixtures::sample_of(&(0..64).map(|token| ttft_ns + token * gap_ns).collect::<Vec<_>>())
}
