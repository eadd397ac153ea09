//! The abilities of the runtime, and the parameters of a load.

use crate::inference::{Abilities, Pairing, Sampling};
use std::ffi::CStr;
use std::path::{Path, PathBuf};

use super::status::check;
use super::{library, sys};
use crate::base::error::{Error, Result};

impl Abilities {
    /// The abilities of the header in use.
    pub fn of_header() -> Self {
        // SAFETY: takes nothing and returns the address of a static.
        let can = unsafe { sys::rkb_header_abilities() };
        // SAFETY: that static is initialised once and never changes.
        let can = unsafe { &*can };
        Self {
            perf: can.perf != 0,
            clear_kv_cache: can.clear_kv_cache != 0,
            kv_cache_size: can.kv_cache_size != 0,
            chat_template: can.chat_template != 0,
            ignore_eos: can.ignore_eos != 0,
            keep_history: can.keep_history != 0,
            new_tokens_per_run: can.new_tokens_per_run != 0,
            sampling_per_run: can.sampling_per_run != 0,
            cpu_choice: can.cpu_choice != 0,
            embed_flash: can.embed_flash != 0,
            prompt_cache: can.prompt_cache != 0,
        }
    }
}

impl Sampling {
    fn from_raw(raw: sys::rkb_sampling) -> Self {
        Self {
            top_k: raw.top_k,
            top_p: raw.top_p,
            temperature: raw.temperature,
            repeat_penalty: raw.repeat_penalty,
            frequency_penalty: raw.frequency_penalty,
            presence_penalty: raw.presence_penalty,
        }
    }

    pub(super) fn to_raw(self) -> sys::rkb_sampling {
        sys::rkb_sampling {
            top_k: self.top_k,
            top_p: self.top_p,
            temperature: self.temperature,
            repeat_penalty: self.repeat_penalty,
            frequency_penalty: self.frequency_penalty,
            presence_penalty: self.presence_penalty,
        }
    }
}

/// Parameters of a load. [`Params::new`] starts from the runtime's own defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// The model file.
    pub model_path: PathBuf,
    /// Context window in tokens, at most the limit of the model.
    pub max_context_len: i32,
    /// Limit of new tokens of a run.
    pub max_new_tokens: i32,
    /// How tokens are chosen unless a run sets it.
    pub sampling: Sampling,
    /// Whether special tokens are delivered without text.
    pub skip_special_token: bool,
    /// Whether a run goes on past an end token. No effect before 1.3.0.
    pub ignore_eos: bool,
    /// Whether embedding rows are read from storage instead of memory. No effect before 1.2.0.
    pub embed_flash: bool,
    /// Number of CPU cores; 0 lets the runtime decide. No effect before 1.2.0.
    pub cpu_count: u8,
    /// The CPU cores: bit n is CPU n; 0 lets the runtime decide. No effect before 1.2.0.
    pub cpu_mask: u32,
    /// First NPU memory domain to load into.
    pub base_domain_id: i32,
}

impl Params {
    /// The defaults of `rkllm_createDefaultParam` for the model at `model_path`.
    ///
    /// # Errors
    /// The errors of [`library::verify`], and [`crate::Error::Runtime`].
    pub fn new(model_path: &Path) -> Result<Self> {
        let library = library::verify(None)?;
        let mut raw = sys::rkb_params::default();
        let mut why = sys::rkb_failure::default();
        // SAFETY: both out-parameters are writable. The library was verified, so struct layouts agree. For an
        // unconfirmed layout, the guard has room for more than the header declares.
        let status = unsafe { sys::rkb_default_params(&raw mut raw, &raw mut why) };
        check("rkllm_createDefaultParam", status, &why)?;
        if library.pairing == Pairing::OneSdk {
            check_plausible(&raw)?;
        }
        Ok(Self {
            model_path: model_path.to_owned(),
            max_context_len: raw.max_context_len,
            max_new_tokens: raw.max_new_tokens,
            sampling: Sampling::from_raw(raw.sampling),
            skip_special_token: raw.skip_special_token != 0,
            ignore_eos: raw.ignore_eos != 0,
            embed_flash: raw.embed_flash != 0,
            cpu_count: raw.cpu_count,
            cpu_mask: raw.cpu_mask,
            base_domain_id: raw.base_domain_id,
        })
    }

    pub(super) fn to_raw(&self, model_path: &CStr) -> sys::rkb_params {
        sys::rkb_params {
            model_path: model_path.as_ptr(),
            max_context_len: self.max_context_len,
            max_new_tokens: self.max_new_tokens,
            sampling: self.sampling.to_raw(),
            skip_special_token: self.skip_special_token.into(),
            ignore_eos: self.ignore_eos.into(),
            embed_flash: self.embed_flash.into(),
            cpu_count: self.cpu_count,
            cpu_mask: self.cpu_mask,
            base_domain_id: self.base_domain_id,
        }
    }
}

/// Whether the defaults of an unknown release are plausible. A field that is read at another field's offset seldom is.
fn check_plausible(raw: &sys::rkb_params) -> Result<()> {
    let count = |name, value: i32, most| (name, f64::from(value), -1.0, most);
    let number = |name, value: f32, least, most| (name, f64::from(value), least, most);
    let sampling = raw.sampling;
    let defaults = [
        count("max_context_len", raw.max_context_len, 16_777_216.0),
        count("max_new_tokens", raw.max_new_tokens, 16_777_216.0),
        count("top_k", sampling.top_k, 16_777_216.0),
        number("top_p", sampling.top_p, 0.0, 1.0),
        number("temperature", sampling.temperature, 0.0, 10.0),
        number("repeat_penalty", sampling.repeat_penalty, 0.0, 10.0),
        number("frequency_penalty", sampling.frequency_penalty, -2.0, 2.0),
        number("presence_penalty", sampling.presence_penalty, -2.0, 2.0),
        count("base_domain_id", raw.base_domain_id, 1024.0),
    ];
    for (name, value, least, most) in defaults {
        // The bits of a float give a large count, and those of a count give a float near 0.
        let is_tiny = value != 0.0 && value.abs() < 1e-6;
        if !(least..=most).contains(&value) || is_tiny {
            return Err(Error::OtherLayout {
                found: format!(
                    "rkllm_createDefaultParam gave {value} for {name}, read by the header's layout"
                ),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_read_at_the_place_of_others_are_implausible() {
        let right = sys::rkb_params {
            max_context_len: 4096,
            max_new_tokens: -1,
            sampling: Sampling::GREEDY.to_raw(),
            ..sys::rkb_params::default()
        };
        assert!(check_plausible(&right).is_ok());
        let float_for_count = sys::rkb_params {
            max_new_tokens: i32::from_ne_bytes(0.8f32.to_ne_bytes()),
            ..right
        };
        let mut count_for_float = right;
        count_for_float.sampling.top_p = f32::from_bits(40);
        let mut not_a_number = right;
        not_a_number.sampling.temperature = f32::NAN;
        for wrong in [float_for_count, count_for_float, not_a_number] {
            assert!(matches!(check_plausible(&wrong), Err(Error::OtherLayout { .. })));
        }
    }
}
