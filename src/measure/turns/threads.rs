//! Two threads of one process that take turns.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::ORDER;
use crate::base::signals;
use crate::measure::recorder::Stopped;

/// How often a wait checks whether the user asked to stop.
const TICK: Duration = Duration::from_millis(50);

/// The turn, which at most one of the two sides holds.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Number of turns that were given back.
    taken: usize,
    holder: Option<usize>,
    waits: [bool; 2],
    gone: [bool; 2],
}

impl State {
    fn give_back(&mut self, side: usize) {
        if self.holder == Some(side) {
            self.holder = None;
            self.taken += 1;
        }
    }

    /// Gives the turn to the next side, if neither side is working.
    fn give(&mut self) {
        let idle = (0..2).all(|side| self.waits[side] || self.gone[side]);
        if self.holder.is_none() && idle {
            let next = ORDER[self.taken % ORDER.len()];
            self.holder = [next, 1 - next].into_iter().find(|side| !self.gone[*side]);
        }
    }
}

impl Turns {
    /// Gives back the turn of `side`, if it has it, and waits for its next turn. The other side's turn ends with its
    /// inference, which has a deadline, or with that side.
    ///
    /// # Errors
    /// [`Stopped`] if the user asked for it.
    pub(crate) fn next(&self, side: usize) -> Result<(), Stopped> {
        let mut state = self.lock();
        state.give_back(side);
        state.waits[side] = true;
        loop {
            state.give();
            if state.holder == Some(side) {
                state.waits[side] = false;
                return Ok(());
            }
            self.changed.notify_all();
            if signals::is_stopped() {
                return Err(Stopped);
            }
            state = self
                .changed
                .wait_timeout(state, TICK)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Ends a side. The other side has all further turns.
    pub(crate) fn leave(&self, side: usize) {
        let mut state = self.lock();
        state.give_back(side);
        state.gone[side] = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sides_alternate_and_the_longer_one_goes_on_alone() {
        let turns = Turns::default();
        let order = Mutex::new(String::new());
        std::thread::scope(|scope| {
            for (side, count) in [(0, 3), (1, 5)] {
                let (turns, order) = (&turns, &order);
                scope.spawn(move || {
                    for _ in 0..count {
                        turns.next(side).expect("not stopped");
                        order
                            .lock()
                            .expect("no panic")
                            .push(if side == 0 { 'a' } else { 'b' });
                    }
                    turns.leave(side);
                });
            }
        });
        assert_eq!(*order.lock().expect("no panic"), "abbaabbb");
    }
}
