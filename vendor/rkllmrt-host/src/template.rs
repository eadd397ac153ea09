//! What is put around a prompt.

use std::ffi::{CStr, CString};

use crate::llama::{Model, Token, apply_chat_template};
use crate::log;

/// How text prompts are wrapped.
#[derive(Debug)]
pub(crate) enum Template {
    /// Not at all.
    Off,
    /// With the strings of `rkllm_set_chat_template`.
    Custom {
        system: String,
        prefix: String,
        postfix: String,
    },
    /// With the template that the model's file carries.
    OfModel(CString),
}

impl Template {
    /// The model's own, if it has one that llama.cpp can apply.
    pub(crate) fn of_model(model: &Model) -> Self {
        let Some(template) = model.chat_template() else {
            log::info("the model has no chat template: prompts are not wrapped");
            return Self::Off;
        };
        if apply_chat_template(&template, c"user", c"").is_none() {
            log::warning("llama.cpp does not know the model's chat template: prompts are not wrapped");
            return Self::Off;
        }
        Self::OfModel(template)
    }

    /// Three empty strings switch wrapping off.
    pub(crate) fn custom(system: String, prefix: String, postfix: String) -> Self {
        if system.is_empty() && prefix.is_empty() && postfix.is_empty() {
            return Self::Off;
        }
        Self::Custom {
            system,
            prefix,
            postfix,
        }
    }

    /// The tokens of a prompt. `opening`: nothing comes before it, so the system prompt and the vocabulary's leading
    /// token do. Text that is not wrapped gets no leading token, as with Rockchip's runtime.
    pub(crate) fn tokens(
        &self,
        model: &Model,
        role: &CStr,
        prompt: &CStr,
        opening: bool,
    ) -> Result<Vec<Token>, String> {
        let text = prompt
            .to_str()
            .map_err(|error| format!("the prompt is not UTF-8: {error}"))?;
        match self {
            Self::Off => model.tokenize(text),
            Self::Custom {
                system,
                prefix,
                postfix,
            } => {
                let system = if opening { system.as_str() } else { "" };
                with_leading_token(model, opening, &format!("{system}{prefix}{text}{postfix}"))
            }
            Self::OfModel(template) => {
                let wrapped = apply_chat_template(template, role, prompt).ok_or_else(|| {
                    format!(
                        "the model's chat template does not take the role {}",
                        role.to_string_lossy()
                    )
                })?;
                with_leading_token(model, opening, &wrapped)
            }
        }
    }

    /// The tokens that the system prompt of `rkllm_set_chat_template` puts in front; none without one.
    pub(crate) fn system_tokens(&self, model: &Model) -> Result<Vec<Token>, String> {
        match self {
            Self::Custom { system, .. } if !system.is_empty() => with_leading_token(model, true, system),
            _ => Ok(Vec::new()),
        }
    }
}

fn with_leading_token(model: &Model, opening: bool, text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = model.tokenize(text)?;
    if let Some(leading) = model
        .leading_token()
        .filter(|leading| opening && tokens.first() != Some(leading))
    {
        tokens.insert(0, leading);
    }
    Ok(tokens)
}
