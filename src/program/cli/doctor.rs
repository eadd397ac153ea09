//! `rkllm-bench doctor`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::base::IS_HOST;
use crate::base::console::{self, print};
use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::inputs::models;
use crate::machine::board::Board;
use crate::machine::doctor::{Fitness, ModelFacts, RuntimeFacts, examine};
use crate::report;

/// Check whether this machine is fit to measure on, and list each problem with the command that fixes it
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Arguments {
    /// Print JSON instead of text, including all that was read from the board
    #[arg(long)]
    json: bool,
    /// A model file, or a folder of models
    #[arg(long, value_name = "DIR|FILE", env = "RKLLM_BENCH_MODELS", default_value = models::DEFAULT_DIR)]
    models: PathBuf,
    /// Use a copy of a board's /proc, /sys and /dev below DIR, and check it for an NPU runtime
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

const EXIT_CODES: &str = "Exit codes:
  0    fit to measure: everything that matters was checked, and nothing is bad
  1    not fit: something is bad
  2    cannot tell: nothing is bad, but something that matters could not be seen
  64   usage: no such folder or model
  70   an internal error, or stdout could not be written";

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let board = match &arguments.root {
        None => Board::read(),
        Some(root) if root.is_dir() => Board::read_below(root),
        Some(root) => {
            return Err(Error::BadParameter(format!(
                "--root {}: no such folder; name a folder with the proc and sys of a machine",
                root.shown()
            )));
        }
    };
    let runtime = RuntimeFacts {
        is_host: IS_HOST && arguments.root.is_none(),
        cpu_mask: None,
    };
    let items = examine(&board, &facts_of_models(&arguments.models)?, runtime);
    print(&if arguments.json {
        report::doctor::json(&board, &items)
    } else {
        report::doctor::text(&board, &items, console::width())
    });
    Ok(ExitCode::from(Fitness::of(&items).exit_code()))
}

fn facts_of_models(place: &Path) -> Result<Vec<ModelFacts>> {
    if !place.exists() && place == Path::new(models::DEFAULT_DIR) {
        return Ok(Vec::new());
    }
    let models = models::find(place, &[])?;
    Ok(models
        .iter()
        .map(|model| ModelFacts::of_file(&model.name, &model.path))
        .collect())
}
