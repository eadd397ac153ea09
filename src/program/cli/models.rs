//! `rkllm-bench models`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::base::console::{self, print};
use crate::base::error::Result;
use crate::base::foreign::Shown as _;
use crate::base::layout::{folded_to, whole};
use crate::base::paths;
use crate::inputs::models;
use crate::report::grid::Grid;
use crate::report::words::plain;
use crate::runtime::ffi::library;

/// List the models that `cargo bench` would run, the built-in models, and the runtime
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A model file, or a folder of models
    #[arg(long, value_name = "DIR|FILE", env = "RKLLM_BENCH_MODELS", default_value = models::DEFAULT_DIR)]
    models: PathBuf,
    /// Version of an SDK library whose file has none; no effect on other libraries
    #[arg(long, value_name = "VERSION", env = "RKLLM_BENCH_TRUST_SDK_VERSION")]
    trust_sdk_version: Option<String>,
    /// Remove the files of the built-in models; they are generated again when a run needs them
    #[arg(long)]
    remove_built_in: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    print(&if arguments.remove_built_in {
        let bytes = models::remove_built_in(&paths::cache_dir())?;
        format!("removed {} MB\n", bytes / 1_000_000)
    } else {
        list(&arguments.models, arguments.trust_sdk_version.as_deref())?
    });
    Ok(ExitCode::SUCCESS)
}

fn list(place: &Path, trust_sdk_version: Option<&str>) -> Result<String> {
    let runtime = library::verify(trust_sdk_version)?;
    let runtime = format!(
        "runtime: {}, API generation {}, from {}",
        runtime.name,
        library::header_generation(),
        whole(&runtime.path.shown().to_string())
    );
    let mut rows = Vec::new();
    if place.exists() || place != Path::new(models::DEFAULT_DIR) {
        let found = models::look_into(place)?;
        for model in models::distinct(found.models)? {
            let files = match models::files_of(&model.path).len() {
                1 => String::new(),
                several => format!(" and {} more shards", several - 1),
            };
            rows.push([model.name, format!("{}{files}", model.path.shown())]);
        }
        for skipped in &found.skipped {
            rows.push(["skipped".into(), skipped.to_string()]);
        }
    }
    for name in models::built_in_names() {
        let made = models::built_in_path(name, &paths::cache_dir()).filter(|path| path.is_file());
        let state = made.map_or_else(
            || "generated when a run needs it".to_owned(),
            |path| path.shown().to_string(),
        );
        rows.push([format!("{}{name}", models::BUILT_IN), state]);
    }
    Ok(folded_to(console::width(), &runtime) + &lines(rows, console::columns(std::io::stdout())))
}

/// Names and paths. On a terminal they are two columns, or a path goes below its name if a line has no room for both.
/// Without `columns` each model is a line with a tab between name and path, for programs.
fn lines(rows: Vec<[String; 2]>, columns: Option<u16>) -> String {
    let Some(columns) = columns else {
        return rows.into_iter().map(|row| row.join("\t") + "\n").collect();
    };
    let mut grid = Grid::new(["model", "file"], 0..0);
    for [name, path] in rows {
        grid.row([plain(&name), whole(&plain(&path))]);
    }
    grid.fitted(columns)
}
