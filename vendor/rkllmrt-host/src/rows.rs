//! Embeddings among the tokens of a context.

use std::collections::HashMap;
use std::sync::Arc;

use crate::llama::Token;

/// Embeddings of the input by the ids that stand for them where a context is a list of tokens: -1, -2 and so on. Equal
/// ones have the same id, so that a prefix of embeddings is found in the cache as one of tokens is.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    ids: HashMap<Arc<[u32]>, Token>,
    /// By their bits, for which equality is an equivalence.
    rows: Vec<Arc<[u32]>>,
}

/// Whether an id is of an embedding.
pub(crate) fn is_row(id: Token) -> bool {
    id < 0
}

impl Rows {
    pub(crate) fn id_of(&mut self, row: &[f32]) -> Token {
        let bits: Arc<[u32]> = row.iter().map(|value| value.to_bits()).collect();
        if let Some(&id) = self.ids.get(&bits) {
            return id;
        }
        self.rows.push(Arc::clone(&bits));
        let id = -Token::try_from(self.rows.len()).unwrap_or(Token::MAX);
        self.ids.insert(bits, id);
        id
    }

    /// The embeddings of ids that were given out, one after the other.
    pub(crate) fn values(&self, ids: &[Token]) -> Vec<f32> {
        let rows = ids
            .iter()
            .filter_map(|id| self.rows.get(id.unsigned_abs() as usize - 1));
        rows.flat_map(|row| row.iter().copied().map(f32::from_bits))
            .collect()
    }

    /// Once no context has any of the ids.
    pub(crate) fn forget(&mut self) {
        self.ids.clear();
        self.rows.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::Rows;

    #[test]
    fn equal_embeddings_share_an_id_and_come_back_by_it() {
        let mut rows = Rows::default();
        let ids = [[1.0, 2.0], [0.0, 0.0], [1.0, 2.0], [-0.0, 0.0]].map(|row| rows.id_of(&row));
        assert_eq!(ids, [-1, -2, -1, -3]);
        assert_eq!(rows.values(&[-2, -1]), [0.0, 0.0, 1.0, 2.0]);
        rows.forget();
        assert_eq!(rows.id_of(&[3.0, 4.0]), -1);
        assert_eq!(rows.values(&[-1]), [3.0, 4.0]);
    }
}
