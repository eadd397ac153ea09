//! What the model reads: text or token ids.

use serde::{Deserialize, Serialize};

/// The input of a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// Text; the runtime applies the chat template of the model.
    Text(String),
    /// Token ids, used unchanged.
    Tokens(Vec<i32>),
}

impl Input {
    /// Whether `prefix` is a proper, non-empty prefix of this input.
    pub fn extends(&self, prefix: &Self) -> bool {
        match (self, prefix) {
            (Self::Text(text), Self::Text(prefix)) => is_proper(text.as_bytes(), prefix.as_bytes()),
            (Self::Tokens(ids), Self::Tokens(prefix)) => is_proper(ids, prefix),
            _ => false,
        }
    }

    /// Number of tokens; unknown for text.
    pub fn token_count(&self) -> Option<u32> {
        match self {
            Self::Text(_) => None,
            Self::Tokens(ids) => u32::try_from(ids.len()).ok(),
        }
    }
}

fn is_proper<T: PartialEq>(whole: &[T], prefix: &[T]) -> bool {
    !prefix.is_empty() && prefix.len() < whole.len() && whole.starts_with(prefix)
}

/// `count` token ids that are pieces of text in any vocabulary of 4,000 tokens or more. They contain no special token
/// and no runs of one id, and are the same on every machine.
pub fn token_ids(count: usize) -> Vec<i32> {
    // The stride and the number of ids have no common divisor, so all ids appear before one repeats.
    (0..3000)
        .map(|index| 1000 + index * 7919 % 3000)
        .cycle()
        .take(count)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_neither_empty_nor_the_whole_nor_of_another_kind() {
        let text = |text: &str| Input::Text(text.into());
        let ids = |ids: &[i32]| Input::Tokens(ids.into());
        for (whole, prefix, is) in [
            (text("Read this."), text("Read"), true),
            (text("Read this."), text("Read this."), false),
            (text("Read this."), text(""), false),
            (text("Read this."), text("read"), false),
            (ids(&[1, 2, 3]), ids(&[1, 2]), true),
            (ids(&[1, 2, 3]), ids(&[1, 2, 3]), false),
            (ids(&[1, 2, 3]), ids(&[]), false),
            (ids(&[1, 2, 3]), ids(&[2]), false),
            (ids(&[1, 2, 3]), text("1"), false),
        ] {
            assert_eq!(whole.extends(&prefix), is, "{whole:?} {prefix:?}");
        }
    }

    #[test]
    fn token_ids_are_of_any_vocabulary_and_do_not_repeat_soon() {
        let ids = token_ids(3001);
        assert!(ids.iter().all(|id| (1000..4000).contains(id)));
        let distinct: std::collections::BTreeSet<_> = ids[..3000].iter().collect();
        assert_eq!(distinct.len(), 3000);
        assert_eq!(ids[3000], ids[0]);
    }
}
