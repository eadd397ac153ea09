//! Both versions of mirostat, beside the samplers of llama.cpp in a plain loop.
#![expect(unsafe_code, reason = "the C API is what is tested")]

mod common;

use common::header::*;
use common::plain::Plain;
use common::{Client, greedy, infer_param, small};
use llama_cpp_sys_2 as sys;

const PROMPT: [i32; 6] = [1, 300, 301, 302, 303, 304];
const N_TOKENS: usize = 16;
/// What the README calls a fixed seed.
const SEED: u32 = 1;
const TEMPERATURE: f32 = 0.8;

fn sampling(mirostat: i32, tau: f32, eta: f32) -> RKLLMSamplingParam {
    RKLLMSamplingParam {
        top_k: 40,
        top_p: 0.9,
        temperature: TEMPERATURE,
        repeat_penalty: 1.0,
        frequency_penalty: 0.0,
        presence_penalty: 0.0,
        mirostat,
        mirostat_tau: tau,
        mirostat_eta: eta,
    }
}

fn run(client: &Client, mut sampling: RKLLMSamplingParam) -> Vec<i32> {
    let infer = RKLLMInferParam {
        sampling_params: &raw mut sampling,
        ..infer_param()
    };
    client.clear(0);
    client.run(&PROMPT, &infer).ids()
}

#[test]
fn tokens_are_those_of_llama_cpps_samplers() {
    let client = Client::small();
    let n_vocab = Plain::load(small()).n_vocab();
    let mut answers = Vec::new();
    for (tau, eta) in [(5.0, 0.1), (2.0, 0.1), (2.0, 1.0)] {
        for version in [1, 2] {
            // SAFETY: no condition.
            let warm = unsafe { sys::llama_sampler_init_temp(TEMPERATURE) };
            let mirostat = if version == 1 {
                // SAFETY: no condition.
                unsafe { sys::llama_sampler_init_mirostat(n_vocab, SEED, tau, eta, 100) }
            } else {
                // SAFETY: no condition.
                unsafe { sys::llama_sampler_init_mirostat_v2(SEED, tau, eta) }
            };
            let expected = Plain::load(small()).sampled(&PROMPT, &[warm, mirostat], N_TOKENS);
            let ids = run(&client, sampling(version, tau, eta));
            assert_eq!(ids, expected, "mirostat {version}, tau {tau}, eta {eta}");
            answers.push(ids);
        }
    }
    answers.sort();
    answers.dedup();
    assert_eq!(
        answers.len(),
        6,
        "target, rate and version each make a difference"
    );
}

#[test]
fn the_values_of_init_count_as_those_of_a_run() {
    for mirostat in [1, 2] {
        let param = RKLLMParam {
            mirostat,
            mirostat_tau: 3.0,
            mirostat_eta: 0.2,
            top_k: 40,
            temperature: TEMPERATURE,
            ..greedy()
        };
        let ids = Client::load(small(), &param).run(&PROMPT, &infer_param()).ids();
        assert_eq!(ids, run(&Client::small(), sampling(mirostat, 3.0, 0.2)));
    }
}

#[test]
fn without_surprise_or_temperature_the_likeliest_token_comes() {
    let client = Client::small();
    let greedy = client.run(&PROMPT, &infer_param()).ids();
    assert_eq!(run(&client, sampling(2, 1e-3, 0.1)), greedy);
    for version in [1, 2] {
        let cold = RKLLMSamplingParam {
            temperature: 0.0,
            ..sampling(version, 5.0, 0.1)
        };
        assert_eq!(run(&client, cold), greedy);
        let top_k = RKLLMSamplingParam {
            top_k: 1,
            ..sampling(version, 5.0, 0.1)
        };
        assert_eq!(
            run(&client, top_k),
            run(&client, sampling(version, 5.0, 0.1)),
            "mirostat makes its own cut"
        );
    }
}
