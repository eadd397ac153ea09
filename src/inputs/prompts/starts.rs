//! The keys of a test about the KV cache: the states in which its prompt starts.

use serde_json::Number;

use super::fault::Checked;
use super::values::whole;
use crate::base::json::clip;
use crate::base::suggest;
use crate::inference::{COLD, CacheStart, Input, PrefixSource};

/// The keys of a test about the KV cache.
pub(super) struct OurStarts {
    pub(super) cache_starts: Option<Vec<String>>,
    pub(super) prefix: Option<String>,
    pub(super) prefix_tokens: Option<Number>,
}

const KNOWN: [&str; 3] = [COLD, PrefixSource::Run.start(), PrefixSource::File.start()];

impl OurStarts {
    /// The starts of a test in their order, all distinct; a cold one if the test names none.
    pub(super) fn starts(self, input: &Input, place: &str) -> Checked<Vec<CacheStart>> {
        let prefix = self.checked_prefix(input, place)?;
        let names = self.cache_starts.unwrap_or_else(|| vec![COLD.to_owned()]);
        if names.is_empty() {
            return Err(format!(
                "{place}/cache_starts: empty: name at least one, or leave the key out for {COLD}"
            ));
        }
        let mut starts = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            let start = start(name, prefix.as_ref())
                .map_err(|why| format!("{place}/cache_starts/{index}: {} {why}", clip(name)))?;
            if starts.contains(&start) {
                return Err(format!(
                    "{place}/cache_starts/{index}: {name} is there twice: remove one"
                ));
            }
            starts.push(start);
        }
        if prefix.is_some() && starts.iter().all(CacheStart::is_cold) {
            return Err(format!(
                "{place}: a prefix, but no start that has one: name warm_prefix or restored_cache in \
                 `cache_starts`, or remove the prefix"
            ));
        }
        Ok(starts)
    }

    /// The prefix of the prompt: text for a text, a number of ids for ids.
    fn checked_prefix(&self, input: &Input, place: &str) -> Checked<Option<Input>> {
        let (key, prefix) = match (input, &self.prefix, &self.prefix_tokens) {
            (_, None, None) => return Ok(None),
            (Input::Text(_), Some(text), None) => ("prefix", Input::Text(text.clone())),
            (Input::Tokens(ids), None, Some(number)) => {
                let place = format!("{place}/prefix_tokens");
                let most = i64::try_from(ids.len()).unwrap_or(i64::MAX) - 1;
                if most < 1 {
                    return Err(format!("{place}: a prompt of one token has no prefix"));
                }
                let count: usize = whole(number, 1..=most, &place)?;
                ("prefix_tokens", Input::Tokens(ids[..count].to_vec()))
            }
            (Input::Text(_), _, Some(_)) => {
                return Err(format!(
                    "{place}/prefix_tokens: is for `token_ids`; the prefix of a `prompt` is text: write it as `prefix`"
                ));
            }
            (Input::Tokens(_), Some(_), _) => {
                return Err(format!(
                    "{place}/prefix: is for a `prompt`; for `token_ids` write the number of ids as `prefix_tokens`"
                ));
            }
        };
        if !input.extends(&prefix) {
            return Err(format!(
                "{place}/{key}: not a beginning of the prompt that leaves something of it: copy the first part of the \
                 prompt"
            ));
        }
        Ok(Some(prefix))
    }
}

fn start(name: &str, prefix: Option<&Input>) -> Result<CacheStart, String> {
    let of_prefix = |start: fn(Input) -> CacheStart| {
        prefix
            .cloned()
            .map(start)
            .ok_or_else(|| "needs a prefix: add `prefix`, or `prefix_tokens` for `token_ids`".to_owned())
    };
    match name {
        COLD => Ok(CacheStart::Cold),
        "warm_prefix" => of_prefix(CacheStart::WarmPrefix),
        "restored_cache" => of_prefix(CacheStart::RestoredCache),
        _ => Err(format!("is not a start{}", suggest::among(name, &KNOWN))),
    }
}
