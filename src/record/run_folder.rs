//! The folder of run records: its contents, and which runs can be compared.

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::base::console::say;
use crate::base::error::{Error, Result};
use crate::base::suggest;
use crate::inputs::hint;
use crate::record::phase::MIN_SAMPLES;
use crate::record::{Purpose, RunRecord, Status};

/// Why a comparison takes a run only if it is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unfit {
    Quick,
    Test,
    Filtered,
    FewSamples,
    Running,
    Stopped,
    Changed,
    Empty,
    Unreadable,
}

impl Unfit {
    /// Why `run` is not taken. Absent: it can be compared.
    pub(crate) fn of(run: &RunRecord) -> Option<Self> {
        let by_purpose = match run.purpose {
            Purpose::Measure => None,
            Purpose::Quick => Some(Self::Quick),
            Purpose::Test => Some(Self::Test),
        };
        let by_status = match run.status {
            Status::Complete => None,
            Status::Running => Some(Self::Running),
            Status::Stopped => Some(Self::Stopped),
            Status::Changed => Some(Self::Changed),
        };
        let filtered = run.filter.is_some().then_some(Self::Filtered);
        let few = (run.parameters.samples < MIN_SAMPLES).then_some(Self::FewSamples);
        let empty = run.check_comparable().is_err().then_some(Self::Empty);
        by_purpose.or(by_status).or(filtered).or(few).or(empty)
    }
}

/// Follows a number of runs.
impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quick => f.write_str("by --quick"),
            Self::Test => f.write_str("by --test"),
            Self::Filtered => f.write_str("filtered"),
            Self::FewSamples => write!(f, "with fewer than {MIN_SAMPLES} samples"),
            Self::Running => f.write_str("running or killed"),
            Self::Stopped => f.write_str("stopped"),
            Self::Changed => f.write_str("of a model that changed"),
            Self::Empty => f.write_str("empty"),
            Self::Unreadable => f.write_str("unreadable"),
        }
    }
}

/// The files in a folder, except hidden ones: these are being written.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(folder)(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io(folder))?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A record in the folder, without its samples.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) run_id: String,
    pub(crate) started_at: Timestamp,
    pub(crate) suite: String,
    pub(crate) models: Vec<String>,
    pub(crate) samples: usize,
    pub(crate) status: Status,
    pub(crate) filter: Option<String>,
    /// Why no comparison takes it. Absent: it is taken.
    pub(crate) unfit: Option<Unfit>,
}

impl Entry {
    pub(crate) fn of(path: &Path, run: &RunRecord) -> Self {
        let prompts = run.models.iter().flat_map(|model| &model.prompts);
        Self {
            path: path.to_owned(),
            run_id: run.run_id.clone(),
            // Loading refuses a record with an invalid time.
            started_at: run.started_at.parse().unwrap_or_default(),
            suite: run.suite.name.clone(),
            models: run.models.iter().map(|model| model.name.clone()).collect(),
            samples: prompts.map(|prompt| prompt.samples.len()).sum(),
            status: run.status,
            filter: run.filter.clone(),
            unfit: Unfit::of(run),
        }
    }

    /// The end of the run's name, which is enough if it is unique.
    pub(crate) fn short_id(&self) -> &str {
        self.run_id.rsplit('-').next().unwrap_or_default()
    }

    /// What makes two runs the same kind.
    pub(crate) fn subject(&self) -> (&str, &[String]) {
        (&self.suite, &self.models)
    }
}

/// The records in a folder, newest first. Files that are not records are reported on stderr.
pub(crate) fn entries(folder: &Path) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for path in files(folder)? {
        match RunRecord::load(&path) {
            Ok(run) => entries.push(Entry::of(&path, &run)),
            Err(error) => say(error),
        }
    }
    entries.sort_by(|a, b| (b.started_at, &b.path).cmp(&(a.started_at, &a.path)));
    Ok(entries)
}

/// The record that an argument refers to by its name, the end of its name, or its file.
pub(crate) fn find<'a>(entries: &'a [Entry], argument: &str) -> Result<&'a Entry> {
    let is_meant = |entry: &&Entry| {
        let file = entry.path.file_name().is_some_and(|name| name == argument);
        file || entry.run_id == argument || entry.short_id() == argument || entry.path == Path::new(argument)
    };
    let found: Vec<&Entry> = entries.iter().filter(is_meant).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => {
            let ids: Vec<&str> = entries.iter().map(|entry| entry.run_id.as_str()).collect();
            Err(Error::BadParameter(format!(
                "no run {argument}{}; `{}` shows all",
                suggest::nearest(argument, &ids),
                hint::tool(&["runs", "list"])
            )))
        }
        several => {
            let ids: Vec<&str> = several.iter().map(|entry| entry.run_id.as_str()).collect();
            Err(Error::BadParameter(format!(
                "{argument} is the end of several runs: {}: name one in full",
                ids.join(", ")
            )))
        }
    }
}
