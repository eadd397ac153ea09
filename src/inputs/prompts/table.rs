//! The suite `table`: prompts of given sizes, as in Rockchip's published figures.
//!
//! Those have 128 prompt tokens, 64 new tokens and no earlier end (`benchmark.md` of rknn-llm 1.3.0; it does not say
//! whether the 128 include a chat template). The tokens are given as ids, so a size means the same for every model.

use crate::base::number::Size as _;
use sha2::{Digest as _, Sha256};

use super::suite::{Prompt, Suite};
use crate::inference::{CacheStart, Input, Sampling, token_ids};

/// Sizes to measure; each combination is a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// Tokens of the prompt.
    pub prompt_tokens: Vec<u32>,
    /// New tokens.
    pub new_tokens: Vec<u32>,
    /// Tokens that are already in the KV cache.
    pub depth: Vec<u32>,
}

impl Default for Sweep {
    /// The size of the published figures.
    fn default() -> Self {
        Self {
            prompt_tokens: vec![128],
            new_tokens: vec![64],
            depth: vec![0],
        }
    }
}

impl Suite {
    /// The prompts of `sweep` in their order, each size once.
    pub fn table(sweep: &Sweep) -> Self {
        let mut prompts: Vec<Prompt> = Vec::new();
        for depth in &sweep.depth {
            for prompt_tokens in &sweep.prompt_tokens {
                for new_tokens in &sweep.new_tokens {
                    let prompt = of_size(*depth, *prompt_tokens, *new_tokens);
                    if !prompts.iter().any(|known| known.id == prompt.id) {
                        prompts.push(prompt);
                    }
                }
            }
        }
        let sizes: Vec<&str> = prompts.iter().map(|prompt| prompt.id.as_str()).collect();
        Self {
            name: "table".into(),
            sha256: hex::encode(Sha256::digest(sizes.join(" "))),
            ignore_eos: true,
            sweep: true,
            prompts,
        }
    }
}

fn of_size(depth: u32, prompt_tokens: u32, new_tokens: u32) -> Prompt {
    let (behind, behind_in_words) = if depth > 0 {
        (format!("-d{depth}"), format!(", behind {depth} in the KV cache"))
    } else {
        (String::new(), String::new())
    };
    Prompt {
        id: format!("p{prompt_tokens}-n{new_tokens}{behind}"),
        name: format!("{prompt_tokens} prompt tokens, {new_tokens} new ones{behind_in_words}"),
        input: Input::Tokens(token_ids(prompt_tokens.size())),
        max_new_tokens: Some(new_tokens),
        sampling: Sampling::GREEDY,
        depth,
        cache_start: CacheStart::Cold,
        checks: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_is_a_prompt_and_none_is_there_twice() {
        let sweep = Sweep {
            prompt_tokens: vec![128, 512, 128],
            depth: vec![0, 1024],
            ..Sweep::default()
        };
        let suite = Suite::table(&sweep);
        let sizes: Vec<_> = suite
            .prompts
            .iter()
            .map(|prompt| match &prompt.input {
                Input::Tokens(ids) => (prompt.id.as_str(), ids.len(), prompt.max_new_tokens, prompt.depth),
                Input::Text(_) => ("text", 0, None, 0),
            })
            .collect();
        assert_eq!(
            sizes,
            [
                ("p128-n64", 128, Some(64), 0),
                ("p512-n64", 512, Some(64), 0),
                ("p128-n64-d1024", 128, Some(64), 1024),
                ("p512-n64-d1024", 512, Some(64), 1024),
            ]
        );
    }

    #[test]
    fn other_sizes_are_another_suite_by_digest() {
        let other = Sweep {
            new_tokens: vec![32],
            ..Sweep::default()
        };
        assert_ne!(
            Suite::table(&other).sha256,
            Suite::table(&Sweep::default()).sha256
        );
    }
}
