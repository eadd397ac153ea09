//! What is put around a prompt.

use std::ffi::{CStr, CString};

use crate::callbacks::Callbacks;
use crate::llama::{Model, Token, apply_chat_template};
use crate::log;
use crate::tools::{Tools, check_result};

/// How text prompts are wrapped.
#[derive(Debug)]
pub(crate) struct Template {
    wrapping: Wrapping,
    tools: Option<Tools>,
}

#[derive(Debug)]
enum Wrapping {
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

/// What turns text into tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tokenizer<'a> {
    pub(crate) model: &'a Model,
    pub(crate) callbacks: &'a Callbacks,
    /// How many tokens there is room for.
    pub(crate) window: usize,
}

impl Tokenizer<'_> {
    fn tokens(self, text: &str) -> Result<Vec<Token>, String> {
        self.callbacks.tokenize(self.model, text, self.window)
    }

    fn with_leading_token(self, opening: bool, text: &str) -> Result<Vec<Token>, String> {
        let mut tokens = self.tokens(text)?;
        if let Some(leading) = self
            .model
            .leading_token()
            .filter(|leading| opening && tokens.first() != Some(leading))
        {
            tokens.insert(0, leading);
        }
        Ok(tokens)
    }
}

impl Template {
    /// The model's own, if it has one that llama.cpp can apply.
    pub(crate) fn of_model(model: &Model) -> Self {
        let Some(template) = model.chat_template() else {
            log::info("the model has no chat template: prompts are not wrapped");
            return Self::plain(Wrapping::Off);
        };
        if apply_chat_template(&template, &[(c"user", c"")], true).is_none() {
            log::warning("llama.cpp does not know the model's chat template: prompts are not wrapped");
            return Self::plain(Wrapping::Off);
        }
        Self::plain(Wrapping::OfModel(template))
    }

    /// Three empty strings switch wrapping off.
    pub(crate) fn custom(system: String, prefix: String, postfix: String) -> Self {
        if system.is_empty() && prefix.is_empty() && postfix.is_empty() {
            return Self::plain(Wrapping::Off);
        }
        Self::plain(Wrapping::Custom {
            system,
            prefix,
            postfix,
        })
    }

    fn plain(wrapping: Wrapping) -> Self {
        Self {
            wrapping,
            tools: None,
        }
    }

    /// Puts functions into the system prompt from here on.
    pub(crate) fn set_tools(&mut self, tools: Tools) -> Result<(), String> {
        if matches!(self.wrapping, Wrapping::Off) {
            return Err(
                "there is no chat template to put functions into; rkllm_set_chat_template sets one"
                    .to_owned(),
            );
        }
        self.tools = Some(tools);
        Ok(())
    }

    /// The tokens of a prompt. `opening`: nothing comes before it, so the system prompt and the vocabulary's leading
    /// token do. Text that is not wrapped gets no leading token, as with Rockchip's runtime.
    pub(crate) fn tokens(
        &self,
        tokenizer: Tokenizer<'_>,
        role: &CStr,
        prompt: &CStr,
        opening: bool,
    ) -> Result<Vec<Token>, String> {
        let text = prompt
            .to_str()
            .map_err(|error| format!("the prompt is not UTF-8: {error}"))?;
        if role == c"tool" {
            check_result(text)?;
        }
        match &self.tools {
            // The models that know such marks know them in what the user says.
            Some(tools) if role == c"tool" => self.wrapped(tokenizer, c"user", &tools.result(text), opening),
            _ => self.wrapped(tokenizer, role, text, opening),
        }
    }

    fn wrapped(
        &self,
        tokenizer: Tokenizer<'_>,
        role: &CStr,
        text: &str,
        opening: bool,
    ) -> Result<Vec<Token>, String> {
        match &self.wrapping {
            Wrapping::Off => tokenizer.tokens(text),
            Wrapping::Custom { prefix, postfix, .. } => {
                let system = if opening {
                    self.custom_system()
                } else {
                    String::new()
                };
                tokenizer.with_leading_token(opening, &format!("{system}{prefix}{text}{postfix}"))
            }
            Wrapping::OfModel(template) => {
                let text = CString::new(text).map_err(|error| error.to_string())?;
                let system = self.tools.as_ref().filter(|_| opening).map(Tools::system);
                let messages: Vec<_> = system
                    .map(|system| (c"system", system))
                    .into_iter()
                    .chain([(role, text.as_c_str())])
                    .collect();
                let wrapped = apply_chat_template(template, &messages, true).ok_or_else(|| {
                    format!(
                        "the model's chat template does not take the role {}",
                        role.to_string_lossy()
                    )
                })?;
                tokenizer.with_leading_token(opening, &wrapped)
            }
        }
    }

    /// The tokens that the system prompt of `rkllm_set_chat_template` or `rkllm_set_function_tools` puts in front; none
    /// without one.
    pub(crate) fn system_tokens(&self, tokenizer: Tokenizer<'_>) -> Result<Vec<Token>, String> {
        let system = match (&self.wrapping, &self.tools) {
            (Wrapping::Custom { .. }, _) => self.custom_system(),
            (Wrapping::OfModel(template), Some(tools)) => {
                apply_chat_template(template, &[(c"system", tools.system())], false).unwrap_or_default()
            }
            _ => String::new(),
        };
        if system.is_empty() {
            return Ok(Vec::new());
        }
        tokenizer.with_leading_token(true, &system)
    }

    /// The system prompt of `rkllm_set_chat_template` and behind it what the functions add.
    fn custom_system(&self) -> String {
        let Wrapping::Custom { system, .. } = &self.wrapping else {
            return String::new();
        };
        let tools = self.tools.as_ref().map(|tools| tools.system().to_string_lossy());
        format!("{system}{}", tools.unwrap_or_default())
    }
}
