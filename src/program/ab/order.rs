//! Decides which side of a pair goes first.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::side::Side;

/// Every two pairs form an ABBA: the side that went first in one pair goes second in the next, so that a steady drift
/// cancels out. A coin decides how each ABBA starts, so that a disturbance with the rhythm of the pairs does not
/// always affect the same side.
#[derive(Debug)]
pub(super) struct Order {
    coins: ChaCha8Rng,
    /// The side that went first in the first of two pairs, until the second pair starts.
    open: Option<Side>,
}

impl Order {
    /// The same seed gives the same order.
    pub(super) fn seeded(seed: u64) -> Self {
        Self {
            coins: ChaCha8Rng::seed_from_u64(seed),
            open: None,
        }
    }

    /// The side that goes first in the next pair.
    pub(super) fn next_first(&mut self) -> Side {
        if let Some(first) = self.open.take() {
            return first.other();
        }
        let first = Side::ALL[usize::from(self.coins.next_u32() % 2 == 1)];
        self.open = Some(first);
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(seed: u64) -> Vec<Side> {
        let mut order = Order::seeded(seed);
        (0..40).map(|_| order.next_first()).collect()
    }

    #[test]
    fn each_two_pairs_are_an_abba() {
        for seed in 0..20 {
            for two in order(seed).chunks(2) {
                assert_eq!(two[1], two[0].other());
            }
        }
    }

    #[test]
    fn how_they_begin_is_the_seeds() {
        assert_eq!(order(7), order(7));
        let starts = |seed| order(seed).into_iter().step_by(2).collect::<Vec<_>>();
        for seed in 0..20 {
            let base = starts(seed).iter().filter(|side| **side == Side::Base).count();
            assert!((3..=17).contains(&base), "seed {seed}: {base} of 20");
        }
        assert_ne!(starts(1), starts(2));
        // ab.json records only the seed, so another generator would change the order.
        assert_eq!(
            starts(1)[..4],
            [Side::Candidate, Side::Base, Side::Candidate, Side::Base]
        );
    }
}
