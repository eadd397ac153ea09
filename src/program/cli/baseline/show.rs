//! Prints the baselines, and the runs of one.

use crate::base::console::{print, say, width};
use crate::base::error::Result;
use crate::base::foreign::Shown as _;
use crate::base::layout::{folded_to, whole};
use crate::inputs::hint;
use crate::machine::board::Board;
use crate::record::RunRecord;
use crate::record::baseline::{Baseline, Store};
use crate::report::grid::Grid;
use crate::report::terminal::runtime_line;

/// Show the runs of a baseline with their times, suites, models, runtime and board
#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// Name of a baseline, or a file: an argument with a '/' or the ending .json is a file
    #[arg(value_name = "NAME|FILE")]
    baseline: String,
}

/// Prints a line for each baseline. One that cannot be used is reported on stderr.
pub(super) fn list(store: &Store) -> Result<()> {
    let names = store.names()?;
    if names.is_empty() {
        print(&format!(
            "no baselines in {}: `{}` makes one of the newest run\n",
            store.dir().shown(),
            hint::tool(&["baseline", "save", "before"])
        ));
        return Ok(());
    }
    let mut rows = Vec::new();
    for name in names {
        match Baseline::load(&store.path(&name)?) {
            Ok(baseline) => rows.push(row_of_baseline(name, &baseline)),
            Err(error) => say(error),
        }
    }
    print(&table(["name", "runs", "suites", "models", "saved at"], 1, rows));
    Ok(())
}

fn row_of_baseline(name: String, baseline: &Baseline) -> [String; 5] {
    let models = baseline.runs.iter().flat_map(models_of);
    [
        name,
        baseline.runs.len().to_string(),
        each_once(baseline.runs.iter().map(|run| run.suite.name.clone())).join(", "),
        each_once(models).join(",\n"),
        whole_seconds(&baseline.saved_at),
    ]
}

/// Prints the runs of one baseline.
pub(super) fn show(store: &Store, arguments: &Show) -> Result<()> {
    let path = store.find(&arguments.baseline)?;
    let baseline = Baseline::load(&path)?;
    let rows = baseline.runs.iter().map(row_of_run).collect();
    let what = format!(
        "baseline {}, saved at {} by rkllm-bench {}, in {}",
        baseline.name,
        whole_seconds(&baseline.saved_at),
        crate::base::json::clip(&baseline.tool_version),
        whole(&path.shown().to_string())
    );
    let mut text = folded_to(width(), &what);
    text += &table(["run", "started at", "suite", "models", "samples"], 4, rows);
    let loaded = baseline.runs.iter().flat_map(|run| &run.models);
    let runtimes = loaded.filter_map(|model| Some(runtime_line(&model.loaded.as_ref()?.runtime)));
    let boards = baseline.runs.iter().map(|run| board_line(&run.board));
    for line in each_once(runtimes.chain(boards)) {
        text += &folded_to(width(), &crate::base::json::clip(&line));
    }
    print(&text);
    Ok(())
}

fn row_of_run(run: &RunRecord) -> [String; 5] {
    let prompts = run.models.iter().flat_map(|model| &model.prompts);
    [
        run.run_id.clone(),
        whole_seconds(&run.started_at),
        run.suite.name.clone(),
        models_of(run).collect::<Vec<_>>().join(",\n"),
        prompts
            .map(|prompt| prompt.samples.len())
            .sum::<usize>()
            .to_string(),
    ]
}

fn models_of(run: &RunRecord) -> impl Iterator<Item = String> {
    run.models.iter().map(|model| whole(&model.name))
}

/// The board of a run, in a line.
fn board_line(board: &Board) -> String {
    let name = board.name.as_ref().or(board.cpu.as_ref());
    format!(
        "board: {}, {}, {} CPUs, kernel {}",
        or_unknown(name),
        or_unknown(board.architecture.as_ref()),
        or_unknown(board.cores.as_ref()),
        or_unknown(board.kernel.as_ref())
    )
}

fn or_unknown(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| "unknown".to_owned(), ToString::to_string)
}

/// A time without fractions of a second. Text that is not a time stays unchanged.
fn whole_seconds(time: &str) -> String {
    time.parse::<jiff::Timestamp>().map_or_else(
        |_| crate::base::json::clip(time),
        |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}

/// Each different text once, in the order of first occurrence.
fn each_once(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut once = Vec::new();
    for text in texts {
        if !once.contains(&text) {
            once.push(text);
        }
    }
    once
}

/// A table in which column `number`, counted from 0, is right-aligned.
fn table<const N: usize>(header: [&str; N], number: usize, rows: Vec<[String; N]>) -> String {
    let mut table = Grid::new(header, number..number + 1);
    for row in rows {
        table.row(row);
    }
    table.fitted(width())
}
