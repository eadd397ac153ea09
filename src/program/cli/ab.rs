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

/// Time budget for all pairs without `--budget` and `--pairs`.
const BUDGET: Duration = Duration::from_mins(10);

const LIBRARY_PATH: &str = "LD_LIBRARY_PATH is not passed on, because cargo sets it for this program. If the bench needs it, set it in the command:
  --base \"env LD_LIBRARY_PATH=/opt/rkllm/lib ./quick-0123 --models m.rkllm\"";

/// Compare two bench commands in pairs of fresh processes that take turns
///
/// A command is one quoted argument, which is split into words as a shell does. It is a bench executable with its
/// options, or `cargo bench --bench NAME`, which is built once and then started directly.
#[derive(Debug, clap::Args)]
#[command(after_help = LIBRARY_PATH)]
pub(super) struct Arguments {
    /// The bench command to compare with
    #[arg(long, value_name = "CMD")]
    base: CommandLine,
    /// The bench command under test
    #[arg(long, value_name = "CMD")]
    candidate: CommandLine,
    /// Number of pairs, at least 2 [default: as many as the budget allows]
    #[arg(long, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(2..))]
    pairs: Option<usize>,
    /// Time budget: start no pair expected to finish later; the first two always run [default: 10m without --pairs]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    budget: Option<Duration>,
    /// Bound of the phases and of memory; loading and tails have a minimum bound of their own
    #[arg(long, value_name = "PERCENT", default_value = "1%")]
    max_regression: Percent,
    #[command(flatten)]
    judging: Judging,
    /// Permit these differences too, because they are what you are testing; model and runtime always may differ
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    allow: Vec<Aspect>,
    /// Format of the verdict on stdout
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Decides which command of a pair starts first [default: random]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Folder for the records [default: rkllm-bench/ab/<time> in cargo's target folder]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    signals::listen()?;
    let plan = plan(arguments)?;
    let folder = plan.folder.clone();
    let _words = LastWords::new(move || format!("\nstopped; the finished pairs are in {}", folder.shown()));
    let taken = ab::take(&plan).inspect_err(|_| {
        say(format_args!("the finished pairs are in {}", plan.folder.shown()));
    })?;
    if taken.end.is_none() {
        let signal = signals::stop_signal().unwrap_or_default();
        say(format_args!(
            "\nstopped; the {} finished pairs are in {}",
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
            .map_err(|error| Error::Worker(format!("no random numbers from the system: set --seed: {error}")))
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

/// Base and candidate, after cargo has built their targets.
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
        "--candidate {}: building it replaced the executable of the base; give one of the two its own target folder, \
         with --target-dir in its command",
        arguments.candidate
    )))
}

/// What was run, for the top of the output.
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

/// How long the further pairs would take that are likely to give a verdict. Absent if the gate cannot estimate their
/// number, or if that is too high to be practical.
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
