//! `rkllm-bench ab`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use rand::TryRng as _;
use rand::rngs::SysRng;

use crate::analysis::gate::{Aspect, Comparison, Percent, Verdict};
use crate::base::console::{self, print, say};
use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::base::layout::folded_to;
use crate::base::signals;
use crate::base::signals::LastWords;
use crate::bench::repetitions::{self, End, Repetitions, parse_time};
use crate::measure::run::run_id;
use crate::program::ab::{self, Plan, Taken};
use crate::program::bench_process::CommandLine;
use crate::program::cli::judging::{Judging, in_words};
use crate::report::gate::Format;
use crate::report::gate::advice::is_feasible;

/// Time for all pairs unless the user says otherwise.
const BUDGET: Duration = Duration::from_mins(10);

const LIBRARY_PATH: &str = "LD_LIBRARY_PATH is not passed on, since cargo sets it for this program. Name it in the command where it is meant:
  --base \"env LD_LIBRARY_PATH=/opt/rkllm/lib ./quick-0123 --models m.rkllm\"";

/// Compare two bench executables in pairs of fresh processes that measure in turns
///
/// A command is one text, taken apart as a shell would: a bench executable, which is started as it is, or `cargo bench --bench
/// NAME`, which is built first.
#[derive(Debug, clap::Args)]
#[command(after_help = LIBRARY_PATH)]
pub(super) struct Arguments {
    /// Bench executable that is compared with, and its arguments
    #[arg(long, value_name = "CMD")]
    base: CommandLine,
    /// Bench executable that is compared, and its arguments
    #[arg(long, value_name = "CMD")]
    candidate: CommandLine,
    /// Pairs, at least 2 [default: as many as the budget allows]
    #[arg(long, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(2..))]
    pairs: Option<usize>,
    /// Begin no pair that would end later than this, but for the first two [default: 10m without --pairs]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    budget: Option<Duration>,
    /// Bound of the phases and of memory; those of loading and of the tails are never lower
    #[arg(long, value_name = "PERCENT", default_value = "1%")]
    max_regression: Percent,
    #[command(flatten)]
    judging: Judging,
    /// Differences that are the experiment, besides model and runtime: suite, parameters, driver, soc
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    allow: Vec<Aspect>,
    /// How the verdict is written to stdout
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Decides which of a pair goes first [default: by chance]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Folder of the records [default: rkllm-bench/ab/<time> in cargo's target folder]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    signals::listen()?;
    let plan = plan(arguments)?;
    let folder = plan.folder.clone();
    let _words = LastWords::new(move || format!("\nstopped; the pairs until then are in {}", folder.shown()));
    let taken = ab::take(&plan).inspect_err(|_| {
        say(format_args!(
            "the pairs until then are in {}",
            plan.folder.shown()
        ));
    })?;
    if taken.end.is_none() {
        let signal = signals::stop_signal().unwrap_or_default();
        say(format_args!(
            "\nstopped; the {} pairs until then are in {}",
            taken.base.len(),
            plan.folder.shown()
        ));
        return Ok(ExitCode::from(signals::SIGNAL + signal));
    }
    let header = header(&plan, &taken);
    let per_pair = repetitions::mean(taken.base.len(), taken.elapsed);
    let limits = arguments.judging.limits(arguments.max_regression);
    let mut comparison = ab::compare(&taken.base, taken.candidate, &arguments.allow, &limits);
    comparison.run_seconds = Some(per_pair.as_secs_f64());
    if arguments.format == Format::Text {
        print(&header);
    } else {
        // Programs read stdout.
        say(header);
    }
    print(&arguments.format.render_within(&comparison, console::width()));
    if let Some(further) = further(&comparison, taken.base.len(), per_pair) {
        say(further);
    }
    Ok(ExitCode::from(comparison.overall.exit_code()))
}

fn plan(arguments: &Arguments) -> Result<Plan> {
    let by_chance = || {
        SysRng
            .try_next_u64()
            .map_err(|error| Error::Worker(format!("no random numbers, name a --seed: {error}")))
    };
    let output = arguments.output.clone();
    let [base, candidate] = built(arguments)?;
    Ok(Plan {
        base,
        candidate,
        repetitions: Repetitions {
            count: arguments.pairs,
            budget: arguments.budget.or(arguments.pairs.is_none().then_some(BUDGET)),
        },
        seed: arguments.seed.map_or_else(by_chance, Ok)?,
        folder: output.unwrap_or_else(|| ab::folder_of(&run_id("ab"))),
    })
}

/// Base and candidate, once cargo has built what they name.
fn built(arguments: &Arguments) -> Result<[CommandLine; 2]> {
    let base = arguments.base.clone().built()?;
    let made = || {
        let file = base.file()?;
        file.metadata().ok()?.modified().ok()
    };
    let before = made();
    let candidate = arguments.candidate.clone().built()?;
    if made() == before {
        return Ok([base, candidate]);
    }
    Err(Error::BadParameter(format!(
        "--candidate {}: to build it replaced the executable of the base: give one of the two a target folder of its own, \
         with --target-dir in its command",
        arguments.candidate
    )))
}

/// What was run.
fn header(plan: &Plan, taken: &Taken) -> String {
    let count = taken.base.len();
    let ended = match (taken.end, plan.repetitions) {
        (Some(End::Budget), repetitions) => {
            let budget = in_words(repetitions.budget.unwrap_or_default());
            let wanted = repetitions.count.map(|count| format!(" of {count} (--pairs)"));
            format!(
                ",{} as many as fit into {budget} (--budget)",
                wanted.unwrap_or_default()
            )
        }
        (_, Repetitions { budget: Some(_), .. }) => ", all of --pairs, within --budget".into(),
        _ => String::new(),
    };
    let pairs = format!(
        "pairs: {count} in {}, {} a pair{ended}; seed {}",
        in_words(taken.elapsed),
        in_words(repetitions::mean(count, taken.elapsed)),
        plan.seed,
    );
    format!(
        "base:      {}\ncandidate: {}\n{}records: {}\n\n",
        plan.base,
        plan.candidate,
        folded_to(console::width(), &pairs),
        plan.folder.shown(),
    )
}

/// How long the pairs would take that are likely to decide; absent where the gate cannot tell how many those are, and
/// where nobody would take so many.
fn further(comparison: &Comparison, done: usize, per_pair: Duration) -> Option<String> {
    let more = comparison
        .metrics
        .iter()
        .filter_map(|judged| match judged.verdict {
            Verdict::CannotTell { more } => more,
            _ => None,
        });
    let more = more.max()?;
    let is_disturbed = comparison.disturbed.iter().any(|side| side.disturbance.is_most());
    if is_disturbed || !is_feasible(more, Some(per_pair.as_secs_f64())) {
        return None;
    }
    let time = per_pair.saturating_mul(u32::try_from(more).unwrap_or(u32::MAX));
    Some(format!(
        "{more} more pairs would take about {} at {} a pair: --pairs {}",
        in_words(time),
        in_words(per_pair),
        done + more
    ))
}
