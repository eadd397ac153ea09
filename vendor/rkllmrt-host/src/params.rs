//! The parameters of a client, checked and in types of our own.

use std::ffi::{CStr, CString, OsStr, c_char};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::header::{RKLLMExtendParam, RKLLMParam, RKLLMSamplingParam};
use crate::llama::Threads;
use crate::{cpu, log};

/// What `rkllm_createDefaultParam` gives: the sampling values that Rockchip documents, limits that suit most models.
pub(crate) fn defaults() -> RKLLMParam {
    let cores = i8::try_from(cpu::available()).unwrap_or(i8::MAX);
    RKLLMParam {
        model_path: std::ptr::null(),
        max_context_len: 4096,
        max_new_tokens: 512,
        top_k: 40,
        n_keep: -1,
        top_p: 0.9,
        temperature: 0.8,
        repeat_penalty: 1.1,
        frequency_penalty: 0.0,
        presence_penalty: 0.0,
        mirostat: 0,
        mirostat_tau: 5.0,
        mirostat_eta: 0.1,
        skip_special_token: 1,
        ignore_eos_token: 0,
        is_async: 0,
        extend_param: RKLLMExtendParam {
            base_domain_id: 0,
            embed_flash: 0,
            // One core stays free: with a thread on each, a single other process makes ggml's threads wait for each
            // other many times longer than that process takes.
            enabled_cpus_num: (cores - 1).max(1),
            enabled_cpus_mask: 0,
            n_batch: 1,
            use_cross_attn: 0,
            reserved: [0; 104],
        },
    }
}

/// `RKLLMParam` as the runtime keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) model_path: CString,
    /// Positions that a run may fill.
    pub(crate) window: usize,
    /// `None`: as many as the window has room for.
    pub(crate) max_new_tokens: Option<usize>,
    pub(crate) sampling: Sampling,
    pub(crate) skip_special: bool,
    pub(crate) ignore_end: bool,
    pub(crate) threads: Threads,
}

impl Settings {
    /// `model_path` is that of `param`, read already.
    pub(crate) fn new(param: &RKLLMParam, model_path: CString) -> Result<Self, String> {
        let extend = &param.extend_param;
        if extend.n_batch > 1 {
            return Err(format!(
                "n_batch = {}: the host runtime supports one sequence only",
                extend.n_batch
            ));
        }
        if extend.use_cross_attn != 0 {
            return Err("use_cross_attn is not supported by the host runtime".to_owned());
        }
        let window = usize::try_from(param.max_context_len).unwrap_or(0);
        if window == 0 {
            return Err(format!(
                "max_context_len is {}, must be at least 1",
                param.max_context_len
            ));
        }
        Ok(Self {
            model_path,
            window,
            max_new_tokens: token_cap(param.max_new_tokens),
            sampling: Sampling::at_init(param)?,
            skip_special: param.skip_special_token != 0,
            ignore_end: param.ignore_eos_token != 0,
            threads: threads(extend),
        })
    }
}

/// A cap on new tokens; zero or less is none.
pub(crate) fn token_cap(value: i32) -> Option<usize> {
    usize::try_from(value).ok().filter(|&cap| cap > 0)
}

/// As many of the threads and CPUs asked for as this process may use. Clients ask for what their board has: four
/// threads on CPUs 4 to 7. Where less is here, a line says so; a harness that measures refuses it before.
fn threads(extend: &RKLLMExtendParam) -> Threads {
    let count = match i32::from(extend.enabled_cpus_num) {
        count @ 1.. => count,
        _ => i32::from(defaults().extend_param.enabled_cpus_num),
    };
    let asked = Threads {
        count,
        mask: Some(extend.enabled_cpus_mask).filter(|&mask| mask != 0),
    };
    let (available, allowed) = (cpu::available(), cpu::allowed_mask());
    let given = within(asked, available, allowed);
    if given != asked {
        let usable = match (asked.mask, allowed) {
            (Some(_), Some(allowed)) => format!("{available} CPUs, mask {allowed:#x}"),
            _ => format!("{available} CPUs"),
        };
        log::warning(format_args!(
            "{asked} asked for, and this process may use {usable}: it runs with {given}"
        ));
    }
    given
}

/// What is left of `asked` with so many CPUs `available`, those of `allowed`. A mask of none of them is no mask.
fn within(asked: Threads, available: i32, allowed: Option<u32>) -> Threads {
    let mask = asked.mask.map(|mask| mask & allowed.unwrap_or(mask));
    let mask = mask.filter(|&mask| mask != 0);
    let most = mask.map_or(available, |mask| available.min(mask.count_ones().cast_signed()));
    Threads {
        count: asked.count.min(most),
        mask,
    }
}

/// Mirostat with its target, in bits a token, and its learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mirostat {
    Off,
    One { tau: f32, eta: f32 },
    Two { tau: f32, eta: f32 },
}

impl Mirostat {
    fn new(version: i32, tau: f32, eta: f32) -> Result<Self, String> {
        let mirostat = match version {
            0 => return Ok(Self::Off),
            1 => Self::One { tau, eta },
            2 => Self::Two { tau, eta },
            unknown => return Err(format!("mirostat is {unknown}, must be 0, 1 or 2")),
        };
        for (name, value) in [("mirostat_tau", tau), ("mirostat_eta", eta)] {
            if !(value.is_finite() && value > 0.0) {
                return Err(format!("{name} is {value}, must be a finite number above 0"));
            }
        }
        Ok(mirostat)
    }
}

/// The nine sampling values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sampling {
    pub(crate) top_k: i32,
    pub(crate) top_p: f32,
    pub(crate) temperature: f32,
    pub(crate) repeat_penalty: f32,
    pub(crate) frequency_penalty: f32,
    pub(crate) presence_penalty: f32,
    pub(crate) mirostat: Mirostat,
}

impl Sampling {
    fn at_init(param: &RKLLMParam) -> Result<Self, String> {
        Self::new(&RKLLMSamplingParam {
            top_k: param.top_k,
            top_p: param.top_p,
            temperature: param.temperature,
            repeat_penalty: param.repeat_penalty,
            frequency_penalty: param.frequency_penalty,
            presence_penalty: param.presence_penalty,
            mirostat: param.mirostat,
            mirostat_tau: param.mirostat_tau,
            mirostat_eta: param.mirostat_eta,
        })
    }

    pub(crate) fn new(param: &RKLLMSamplingParam) -> Result<Self, String> {
        let finite = [
            ("top_p", param.top_p),
            ("temperature", param.temperature),
            ("repeat_penalty", param.repeat_penalty),
            ("frequency_penalty", param.frequency_penalty),
            ("presence_penalty", param.presence_penalty),
        ];
        if let Some((name, value)) = finite.iter().find(|(_, value)| !value.is_finite()) {
            return Err(format!("{name} is {value}, must be a finite number"));
        }
        if param.repeat_penalty <= 0.0 {
            return Err(format!(
                "repeat_penalty is {}, must be above 0",
                param.repeat_penalty
            ));
        }
        Ok(Self {
            top_k: param.top_k,
            top_p: param.top_p,
            temperature: param.temperature,
            repeat_penalty: param.repeat_penalty,
            frequency_penalty: param.frequency_penalty,
            presence_penalty: param.presence_penalty,
            mirostat: Mirostat::new(param.mirostat, param.mirostat_tau, param.mirostat_eta)?,
        })
    }
}

/// A client's string, copied; `None` for NULL.
///
/// # Safety
///
/// `text` is NULL or a NUL-terminated string that nobody changes meanwhile.
pub(crate) unsafe fn copied(text: *const c_char) -> Option<CString> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not NULL, and the caller upholds the rest.
    Some(unsafe { CStr::from_ptr(text) }.to_owned())
}

/// A client's path: any bytes but NUL.
pub(crate) fn path_of(path: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(path.to_bytes()))
}

/// Looks into a model file before llama.cpp does, to say in one line what is wrong with it.
pub(crate) fn check_model_file(path: &CStr) -> Result<(), String> {
    let path = path_of(path);
    let shown = path.display();
    let unreadable = |error| format!("cannot read the model {shown}: {error}");
    let mut file = File::open(path).map_err(unreadable)?;
    let mut magic = Vec::with_capacity(4);
    file.by_ref()
        .take(4)
        .read_to_end(&mut magic)
        .map_err(unreadable)?;
    if magic == b"GGUF" {
        return Ok(());
    }
    if path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("rkllm"))
    {
        return Err(format!(
            "{shown} is an RKLLM model, which needs Rockchip's runtime and an NPU; the host runtime loads GGUF files"
        ));
    }
    Err(format!("invalid model {shown}: not a GGUF file"))
}

#[cfg(test)]
mod tests {
    use super::within;
    use crate::llama::Threads;

    #[test]
    fn threads_and_mask_come_down_to_what_there_is() {
        let threads = |count, mask| Threads { count, mask };
        for (asked, available, allowed, given) in [
            // Four threads on the big cores of an RK3588, on a machine of two CPUs and on one of six.
            (threads(4, Some(0xF0)), 2, Some(0b11), threads(2, None)),
            (threads(4, Some(0xF0)), 6, Some(0x3F), threads(2, Some(0x30))),
            (threads(4, None), 2, Some(0b11), threads(2, None)),
            (threads(2, Some(1)), 2, Some(0b11), threads(1, Some(1))),
            (threads(2, Some(0b11)), 2, Some(0b11), threads(2, Some(0b11))),
            // A quota of one CPU on two.
            (threads(2, Some(0b11)), 1, Some(0b11), threads(1, Some(0b11))),
            (
                threads(1, Some(0x8000_0000)),
                64,
                None,
                threads(1, Some(0x8000_0000)),
            ),
        ] {
            assert_eq!(within(asked, available, allowed), given, "{asked:?}");
        }
    }
}
