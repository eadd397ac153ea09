//! The CPU: which instructions it has, which of its cores this process may use.

use std::ffi::c_int;
use std::thread;

use llama_cpp_sys_2 as sys;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Whether this CPU has every instruction set that llama.cpp's kernels were compiled for; the error names those it
/// lacks. Using a kernel without them would end the process by SIGILL, so this comes before any call of llama.cpp
/// that prepares its CPU backend.
pub(crate) fn check() -> Result<(), String> {
    let missing: Vec<&str> = compiled_in()
        .into_iter()
        .filter(|(_, compiled, present)| *compiled && !*present)
        .map(|(name, ..)| name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "this CPU lacks {}, which llama.cpp was compiled for; build on this machine with \
         RUSTFLAGS=-Ctarget-cpu=native",
        missing.join(", ")
    ))
}

/// Instruction sets: the name, whether ggml was compiled for it, whether this CPU has it.
#[cfg(target_arch = "x86_64")]
fn compiled_in() -> Vec<(&'static str, bool, bool)> {
    use std::arch::is_x86_feature_detected as has;
    vec![
        ("AVX", asked(sys::ggml_cpu_has_avx), has!("avx")),
        ("AVX2", asked(sys::ggml_cpu_has_avx2), has!("avx2")),
        ("FMA", asked(sys::ggml_cpu_has_fma), has!("fma")),
        ("F16C", asked(sys::ggml_cpu_has_f16c), has!("f16c")),
        ("BMI2", asked(sys::ggml_cpu_has_bmi2), has!("bmi2")),
        ("AVX-512", asked(sys::ggml_cpu_has_avx512), has!("avx512f")),
        (
            "AVX512-VBMI",
            asked(sys::ggml_cpu_has_avx512_vbmi),
            has!("avx512vbmi"),
        ),
        (
            "AVX512-VNNI",
            asked(sys::ggml_cpu_has_avx512_vnni),
            has!("avx512vnni"),
        ),
        (
            "AVX512-BF16",
            asked(sys::ggml_cpu_has_avx512_bf16),
            has!("avx512bf16"),
        ),
        ("AVX-VNNI", asked(sys::ggml_cpu_has_avx_vnni), has!("avxvnni")),
    ]
}

#[cfg(target_arch = "aarch64")]
fn compiled_in() -> Vec<(&'static str, bool, bool)> {
    use std::arch::is_aarch64_feature_detected as has;
    vec![
        ("dot product", asked(sys::ggml_cpu_has_dotprod), has!("dotprod")),
        ("FP16 arithmetic", asked(sys::ggml_cpu_has_fp16_va), has!("fp16")),
        (
            "int8 matrix multiplication",
            asked(sys::ggml_cpu_has_matmul_int8),
            has!("i8mm"),
        ),
        ("SVE", asked(sys::ggml_cpu_has_sve), has!("sve")),
    ]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn compiled_in() -> Vec<(&'static str, bool, bool)> {
    Vec::new()
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn asked(question: unsafe extern "C" fn() -> c_int) -> bool {
    // SAFETY: ggml's questions have no condition: they return what the compiler was told.
    unsafe { question() != 0 }
}

/// How many threads can run at once: CPUs of this process, less what a cgroup's quota takes away.
pub(crate) fn available() -> i32 {
    thread::available_parallelism().map_or(1, |count| i32::try_from(count.get()).unwrap_or(i32::MAX))
}

/// Those of the first 32 CPUs that this thread may run on, as bits.
pub(crate) fn allowed_mask() -> Option<u32> {
    let set = sched_getaffinity(None).ok()?;
    Some(
        (0..u32::BITS)
            .filter(|&cpu| set.is_set(cpu as usize))
            .fold(0, |mask, cpu| mask | 1 << cpu),
    )
}

/// Remembers where the calling thread may run and goes back to that when dropped. ggml pins the thread that calls it
/// along with its own, and that thread is the client's.
#[derive(Debug)]
pub(crate) struct Unpin {
    saved: Option<CpuSet>,
}

impl Unpin {
    pub(crate) fn later() -> Self {
        Self {
            saved: sched_getaffinity(None).ok(),
        }
    }
}

impl Drop for Unpin {
    fn drop(&mut self) {
        if let Some(saved) = &self.saved {
            // Nothing to do about a refusal: the set was this thread's own a moment ago.
            let _ = sched_setaffinity(None, saved);
        }
    }
}
