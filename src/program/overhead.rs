//! Measures what a server adds to its runtime: the same prompts directly and over HTTP, in pairs of neighbouring
//! inferences that take turns.

use std::path::{Path, PathBuf};

use crate::base::error::Result;
use crate::bench::progress::Progress;
use crate::measure::recorder::{At, Observer, Outcome, Round, Stopped};
use crate::measure::run::Run;
use crate::measure::turns::threads::Turns;
use crate::record::RunRecord;
use crate::record::keeper::Keeper;

/// Makes both runs, one inference at a time in turns. Saves the record after each inference.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if a record cannot be written, and the errors of [`Run::record`].
pub(crate) fn measure(runs: [&Run; 2], folder: &Path) -> Result<[(RunRecord, PathBuf); 2]> {
    let mut begun = Vec::new();
    for run in runs {
        let record = run.begin(&|_| true)?;
        let mut keeper = Keeper::new(folder.join(format!("{}.json", record.run_id)));
        keeper.save(&record)?;
        begun.push((run, record, keeper));
    }
    let turns = Turns::default();
    let mut taken = std::thread::scope(|scope| {
        let sides: Vec<_> = begun
            .into_iter()
            .enumerate()
            .map(|(side, (run, mut record, mut keeper))| {
                let turns = &turns;
                scope.spawn(move || {
                    let mut observer = InTurns {
                        turns,
                        side,
                        keeper: &mut keeper,
                        // Both have the same number of inferences.
                        progress: (side == 1).then(|| Progress::of(&record)),
                    };
                    let stopped = run.take(&mut record, &mut observer).is_err();
                    drop(observer);
                    record.end(stopped);
                    (record, keeper)
                })
            })
            .collect();
        // Deadlines or a stop end each side.
        let joined = sides.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined
            .map(|side| side.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Vec<_>>()
    });
    // Only after both have ended, because writing would disturb the other side's measurement.
    for (record, keeper) in &mut taken {
        keeper.save(record)?;
    }
    let mut taken = taken
        .into_iter()
        .map(|(record, keeper)| (record, keeper.path().to_owned()));
    match (taken.next(), taken.next()) {
        (Some(direct), Some(server)) => Ok([direct, server]),
        _ => unreachable!("two sides were started"),
    }
}

struct InTurns<'a> {
    turns: &'a Turns,
    side: usize,
    keeper: &'a mut Keeper,
    progress: Option<Progress>,
}

impl Observer for InTurns<'_> {
    fn begins(&mut self, at: At<'_>, prompt: usize, round: Round) -> std::result::Result<(), Stopped> {
        self.turns.next(self.side)?;
        match &mut self.progress {
            Some(progress) => progress.begins(at, prompt, round),
            None => Ok(()),
        }
    }

    fn ended(&mut self, at: At<'_>, prompt: usize, outcome: Outcome<'_>) {
        if let Some(progress) = &mut self.progress {
            progress.ended(at, prompt, outcome);
        }
        // A failure is reported by the last save.
        let _ = self.keeper.add(at.record);
    }
}

impl Drop for InTurns<'_> {
    fn drop(&mut self) {
        self.turns.leave(self.side);
    }
}
