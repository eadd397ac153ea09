//! Run records for tests.

use super::{
    ModelRecord, Parameters, PromptRecord, Purpose, RunRecord, SCHEMA_VERSION, Sample, Status, SuiteRecord,
};
use crate::inference::{CacheStart, Input, RuntimeStats, Sampling};
use crate::machine::board::Board;
use crate::runtime::engine::scripted;

/// A complete run of model `m` over prompts `a` and `b`: for each sample the TTFT and the gap between each two of
/// its ten tokens, both in nanoseconds.
pub(crate) fn run(id: &str, samples: &[(u64, u64)]) -> RunRecord {
    let samples: Vec<Sample> = samples
        .iter()
        .map(|(ttft, gap)| even_sample(*ttft, *gap))
        .collect();
    let of_prompt = |id| PromptRecord {
        prompt_tokens: Some(100),
        samples: samples.clone(),
        ..prompt(id)
    };
    let mut record = RunRecord {
        run_id: id.into(),
        status: Status::Complete,
        ..empty()
    };
    record.models.push(ModelRecord {
        loaded: Some(scripted::loaded(scripted::ABILITIES)),
        prompts: vec![of_prompt("a"), of_prompt("b")],
        ..model("m")
    });
    record
}

/// A sample of ten tokens.
fn even_sample(ttft_ns: u64, gap_ns: u64) -> Sample {
    sample_of(&(0..10).map(|token| ttft_ns + token * gap_ns).collect::<Vec<_>>())
}

/// A sample with a token at each stamp, of a call at 0.
pub(crate) fn sample_of(stamps: &[u64]) -> Sample {
    let end = stamps.last().copied().unwrap_or_default();
    let mut inference = scripted::inference(0, stamps, end);
    inference.peak_rss_bytes = Some(100_000_000);
    Sample {
        phases: inference.phases().expect("tokens came"),
        marks: Vec::new(),
        conditions: None,
        inference,
    }
}

/// A record without models.
pub(crate) fn empty() -> RunRecord {
    RunRecord {
        schema_version: SCHEMA_VERSION,
        tool_version: "0.0.0".into(),
        run_id: "run".into(),
        started_at: "2026-01-01T00:00:00Z".into(),
        status: Status::Running,
        label: None,
        git: None,
        purpose: Purpose::Measure,
        filter: None,
        suite: SuiteRecord {
            name: "quick".into(),
            sha256: "00".into(),
            ignore_eos: true,
            sweep: false,
        },
        parameters: Parameters {
            max_context: 512,
            threads: Some(1),
            cpu_mask: None,
            npu_cores: None,
            embed_flash: None,
            base_domain_id: None,
            settle_s: None,
            timeout_s: 60,
            load_timeout_s: 60,
            samples: 10,
            warm_up: 1,
            in_process: false,
            strict: false,
            server: None,
        },
        board: Board {
            cores: Some(1),
            kernel: Some("6".into()),
            architecture: Some("aarch64".into()),
            ..Board::default()
        },
        doctor: Vec::new(),
        sampler: None,
        models: Vec::new(),
    }
}

/// A complete record of a model with two prompts of two samples each.
pub(crate) fn complete(run_id: &str) -> RunRecord {
    let sampled = |id: &str| PromptRecord {
        samples: vec![sample(), sample()],
        ..prompt(id)
    };
    RunRecord {
        run_id: run_id.into(),
        status: Status::Complete,
        models: vec![ModelRecord {
            loaded: Some(scripted::loaded(scripted::ABILITIES)),
            prompts: vec![sampled("question"), sampled("code")],
            ..model("m")
        }],
        ..empty()
    }
}

/// Four tokens: TTFT 5,000 ns, then 1,000 ns a token.
pub(crate) fn sample() -> Sample {
    let mut inference = scripted::inference(1_000, &[6_000, 7_000, 8_500, 9_000], 9_200);
    inference.stats = Some(RuntimeStats {
        prefill_time_ms: 0.005,
        prefill_tokens: 12,
        generate_time_ms: 0.003,
        generate_tokens: 4,
        memory_usage_mb: 1.0,
    });
    Sample {
        phases: inference.phases().expect("tokens came"),
        marks: vec![],
        conditions: None,
        inference,
    }
}

/// A model without prompts that was not loaded yet.
pub(crate) fn model(name: &str) -> ModelRecord {
    ModelRecord {
        name: name.into(),
        path: name.into(),
        bytes: 0,
        sha256: String::new(),
        random_weights: true,
        loaded: None,
        load_failure: None,
        unload_failure: None,
        changed: None,
        warnings: Vec::new(),
        prompts: Vec::new(),
    }
}

/// A prompt without samples.
pub(crate) fn prompt(id: &str) -> PromptRecord {
    PromptRecord {
        id: id.into(),
        name: id.into(),
        input: Input::Text("text".into()),
        max_new_tokens: 8,
        sampling: Sampling::GREEDY,
        depth: 0,
        cache_start: CacheStart::Cold,
        checks: vec![],
        prompt_tokens: None,
        warm_up: vec![],
        samples: vec![],
        rejected: vec![],
        failures: vec![],
        given_up: None,
    }
}
