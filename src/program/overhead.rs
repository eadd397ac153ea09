//! What a server adds to its runtime: the same prompts called directly and over HTTP, in turns, in pairs of neighbouring
//! inferences.

use std::path::{Path, PathBuf};

use crate::base::error::Result;
use crate::bench::progress::Progress;
use crate::measure::recorder::{At, Observer, Outcome, Round, Stopped};
use crate::measure::run::Run;
use crate::measure::turns::threads::Turns;
use crate::record::RunRecord;
use crate::record::keeper::Keeper;

/// Both runs, inference by inference in turns. Each inference is in its record's file once it is made.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) when a record could not be written, and what [`Run::record`] refuses.
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
                        // Both have as many inferences.
                        progress: (side == 1).then(|| Progress::of(&record)),
                    };
                    let stopped = run.take(&mut record, &mut observer).is_err();
                    drop(observer);
                    record.end(stopped);
                    (record, keeper)
                })
            })
            .collect();
        // Each side ends by its deadlines or by a stop.
        let joined = sides.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined
            .map(|side| side.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Vec<_>>()
    });
    // Not before both have ended: the one would wait for the disk while the other measures.
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
        // A failure shows at the end, when it is saved for good.
        let _ = self.keeper.add(at.record);
    }
}

impl Drop for InTurns<'_> {
    fn drop(&mut self) {
        self.turns.leave(self.side);
    }
}
