//! What a runtime prints, and what is inside its library.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    rkllm_bench::fuzz::targets::logs(bytes);
});
