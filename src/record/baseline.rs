//! Named baselines: whole run records under a name, to compare later runs with.
//!
//! Several runs, each in its own process, since two runs of an unchanged program already differ.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::atomic::{self, Existing};
use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::base::lock::{self, Lock};
use crate::base::paths;
use crate::base::suggest;
use crate::inputs::hint;
use crate::record::{self, Document, Fault, RunRecord};

/// Value of the field `kind`. A run record has no such field.
pub const KIND: &str = "rkllm-bench baseline";
/// Version of the baseline's own shape. Each run has its own version. A reader refuses any other version.
pub const SCHEMA_VERSION: u32 = 1;
/// Longest name, bytes. With `.json` and the suffix of a temporary file it stays well below the 255 bytes of a file
/// name.
const LONGEST_NAME: usize = 64;
const ENDING: &str = ".json";
/// Longest wait for another process that reads or writes a baseline.
const LOCK_PATIENCE: Duration = Duration::from_mins(1);

/// One or more complete runs, each with its own id and at least one sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// [`KIND`].
    pub kind: String,
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Version of rkllm-bench that wrote it.
    pub tool_version: String,
    /// Its name: 1 to 64 letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// Time of the last save, RFC 3339, UTC.
    pub saved_at: String,
    /// The runs, in the order they were added.
    pub runs: Vec<RunRecord>,
}

impl Baseline {
    /// A baseline of `runs`, saved now. [`Baseline::save`] checks whether they can be used.
    pub fn new(name: &str, runs: Vec<RunRecord>) -> Self {
        Self {
            kind: KIND.to_owned(),
            schema_version: SCHEMA_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            name: name.to_owned(),
            saved_at: now(),
            runs,
        }
    }

    /// Adds runs and sets the time of saving to now.
    #[must_use]
    pub fn with(mut self, runs: impl IntoIterator<Item = RunRecord>) -> Self {
        self.runs.extend(runs);
        Self::new(&self.name, self.runs)
    }

    /// Writes it to `path` atomically and replaces an existing file.
    ///
    /// # Errors
    /// [`Error::Baseline`] if it could not be loaded again; [`Error::Io`]. `path` is then unchanged.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.write(path, Existing::Replace)
    }

    /// Writes it to `path`, which must not exist.
    ///
    /// # Errors
    /// As [`Baseline::save`], and [`Error::Io`] of the kind `AlreadyExists`.
    pub fn save_new(&self, path: &Path) -> Result<()> {
        self.write(path, Existing::Keep)
    }

    fn write(&self, path: &Path, existing: Existing) -> Result<()> {
        self.check().map_err(unusable(path))?;
        atomic::write_json(path, self, existing)
    }

    /// Reads the file at `path` as strictly as [`RunRecord::load_complete`] reads one run.
    ///
    /// # Errors
    /// [`Error::Baseline`] with the field, as `runs[1].models[0].name`, and what to do.
    pub fn load(path: &Path) -> Result<Self> {
        record::document(path)
            .and_then(|document| Self::of_document(&document, path))
            .map_err(unusable(path))
    }

    fn of_document(document: &Document, path: &Path) -> Result<Self, Fault> {
        match document.header.kind() {
            Some(KIND) => {}
            None if document.header.is_of_run() => {
                let file = path.to_string_lossy();
                return Err(Fault::whole(format!(
                    "one run, not a baseline: `{}` makes one of it",
                    hint::tool(&["baseline", "save", "before", "--runs", &file])
                )));
            }
            _ => {
                return Err(Fault::whole(format!(
                    "no \"kind\": \"{KIND}\" in it, so another program's file; `{}` says how baselines are written",
                    hint::tool(&["baseline", "export", "--help"])
                )));
            }
        }
        document.header.check_versions(SCHEMA_VERSION)?;
        let baseline: Self = record::typed(document)?;
        baseline.check()?;
        Ok(baseline)
    }

    fn check(&self) -> Result<(), Fault> {
        check_name(&self.name).map_err(|error| Fault::at("name", error.to_string()))?;
        record::check_time("saved_at", &self.saved_at)?;
        if self.runs.is_empty() {
            return Err(Fault::at("runs", "empty: there is nothing to compare with"));
        }
        for (index, run) in self.runs.iter().enumerate() {
            run.check()
                .and_then(|()| run.check_comparable())
                .map_err(|fault| fault.within(&format!("runs[{index}]")))?;
        }
        let placed = self.runs.iter().enumerate();
        refuse_twins(placed.map(|(index, run)| (format!("runs[{index}]"), run))).map_err(Fault::whole)
    }
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

fn unusable(path: &Path) -> impl FnOnce(Fault) -> Error {
    move |fault| Error::Baseline {
        path: path.to_owned(),
        reason: fault.to_string(),
    }
}

/// Refuses two runs with the same id. Each run comes with its place.
///
/// # Errors
/// The id and both places.
pub(crate) fn refuse_twins<'a>(
    runs: impl IntoIterator<Item = (String, &'a RunRecord)>,
) -> Result<(), String> {
    let mut places = HashMap::new();
    for (place, run) in runs {
        let id = run.run_id.as_str();
        if let Some(first) = places.get(id) {
            return Err(format!(
                "run {id} is there twice, in {first} and in {place}: counted twice it would look like two runs that \
                 agree; leave one out"
            ));
        }
        places.insert(id, place);
    }
    Ok(())
}

/// The runs in the file at `path`: all runs of a baseline, or the one run of a record.
///
/// # Errors
/// [`Error::Baseline`], [`Error::Record`], each with the field and what to do.
pub fn runs_of(path: &Path) -> Result<Vec<RunRecord>> {
    let of_record = |fault: Fault| fault.of_record(path);
    let document = record::document(path).map_err(of_record)?;
    if document.header.kind().is_some() {
        let baseline = Baseline::of_document(&document, path).map_err(unusable(path))?;
        return Ok(baseline.runs);
    }
    let run = record::of_document(&document).map_err(of_record)?;
    run.check_comparable().map_err(of_record)?;
    Ok(vec![run])
}

/// Whether an argument names a file rather than a baseline: it contains a `/` or ends in `.json`.
pub fn is_file(argument: &str) -> bool {
    argument.contains('/') || argument.ends_with(ENDING)
}

/// Checks whether a baseline may have this name.
///
/// # Errors
/// [`Error::BadParameter`].
pub fn check_name(name: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let fits = (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(allowed);
    // A leading dot would hide the file, and this ending would make the name look like a file.
    if fits && !name.starts_with('.') && !name.ends_with(ENDING) {
        return Ok(());
    }
    Err(Error::BadParameter(format!(
        "{name:?} is not a valid baseline name: take 1 to {LONGEST_NAME} letters (a to z, A to Z), digits, '.', '_' \
         and '-', with no '.' first and no {ENDING} last"
    )))
}

/// The folder of the named baselines.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// A store in `dir`, which need not exist yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// In cargo's target folder: [`paths::baselines_dir`].
    pub fn in_target() -> Self {
        Self::new(paths::baselines_dir())
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file of the baseline `name`, which need not exist.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for an invalid name.
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        check_name(name)?;
        Ok(self.dir.join(format!("{name}{ENDING}")))
    }

    /// The names, in order.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn names(&self) -> Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io(&self.dir)(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let file = entry.map_err(Error::io(&self.dir))?.file_name();
            let name = file.to_str().and_then(|file| file.strip_suffix(ENDING));
            names.extend(name.filter(|name| check_name(name).is_ok()).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// The file that an argument refers to: the argument itself if [`is_file`], else the file of the baseline.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if there is no baseline of that name. The message lists the existing ones.
    pub fn find(&self, name_or_file: &str) -> Result<PathBuf> {
        if is_file(name_or_file) {
            return Ok(name_or_file.into());
        }
        let path = self.path(name_or_file)?;
        if path.exists() {
            return Ok(path);
        }
        Err(Error::BadParameter(format!(
            "no baseline {name_or_file} in {dir}{known}; `{save}` makes one of the newest run, and a file is named \
             with its ending, as ./{name_or_file}{ENDING}",
            save = hint::tool(&["baseline", "save", name_or_file]),
            dir = self.dir.shown(),
            known = suggest::among(name_or_file, &self.names()?)
        )))
    }

    /// Removes the baselines `names`. If one of them does not exist, none is removed.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for an unknown name, [`Error::Io`].
    pub fn remove(&self, names: &[String]) -> Result<()> {
        let mut paths = Vec::new();
        for name in names {
            check_name(name)?;
            paths.push(self.find(name)?);
        }
        paths.sort();
        paths.dedup();
        paths
            .iter()
            .try_for_each(|path| std::fs::remove_file(path).map_err(Error::io(path)))
    }

    /// Locks the baselines, waiting at most one minute for another process. Dropping the result unlocks them. Without
    /// the lock, two processes that add a run at the same time would lose one.
    ///
    /// # Errors
    /// [`Error::Busy`] with the process that holds the lock, [`Error::NoResults`] if the lock cannot be created.
    pub fn lock(&self) -> Result<std::fs::File> {
        atomic::make_folder(&self.dir)?;
        let path = self.dir.join(".lock");
        let what = format!("the baselines in {}", self.dir.shown());
        lock::take_within(LOCK_PATIENCE, &path, &what, "wait for it, or end it").map(Lock::into_file)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::record::{Status, fixtures};

    fn of(ids: &[&str]) -> Baseline {
        Baseline::new("before", ids.iter().map(|id| fixtures::complete(id)).collect())
    }

    #[test]
    fn a_baseline_comes_back_as_it_was_and_gives_its_runs() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("before.json");
        let baseline = of(&["one", "two"]);
        baseline.save_new(&path).expect("saved");
        assert_eq!(Baseline::load(&path).expect("loaded"), baseline);
        assert_eq!(runs_of(&path).expect("runs"), baseline.runs);
        baseline.runs[0].save(&path).expect("saved");
        assert_eq!(runs_of(&path).expect("one run"), baseline.runs[..1]);
        let running = RunRecord {
            status: Status::Running,
            ..fixtures::complete("one")
        };
        running.save(&path).expect("saved");
        let text = runs_of(&path).expect_err("incomplete").to_string();
        assert!(
            text.contains("before.json: ") && text.contains("status: running"),
            "{text}"
        );
        let more = of(&["one"]).with([fixtures::complete("two")]);
        assert_eq!(more.runs, baseline.runs);
    }

    #[test]
    fn what_cannot_be_used_overwrites_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("before.json");
        let good = of(&["one"]);
        good.save(&path).expect("saved");
        let with_run = |edit: fn(&mut RunRecord)| {
            let mut baseline = of(&["one", "two"]);
            edit(&mut baseline.runs[1]);
            baseline
        };
        let rows = [
            (of(&[]), "runs: empty"),
            (
                of(&["one", "two", "one"]),
                "run one is there twice, in runs[0] and in runs[2]",
            ),
            (
                with_run(|run| run.status = Status::Running),
                "runs[1].status: running",
            ),
            (
                with_run(|run| run.status = Status::Stopped),
                "runs[1].status: stopped",
            ),
            (
                with_run(|run| run.models.clear()),
                "runs[1].models: no model was run",
            ),
            (
                with_run(|run| run.models[0].prompts[1].samples[0].phases.ttft_ns = Some(5)),
                "runs[1].models[0].prompts[1].samples[0].phases.ttft_ns: 5 ns, but",
            ),
            (
                Baseline {
                    name: "a b".into(),
                    ..good.clone()
                },
                "name: \"a b\" is not a valid baseline name",
            ),
            (
                Baseline {
                    saved_at: "now".into(),
                    ..good.clone()
                },
                "saved_at: now is not an RFC 3339 time",
            ),
        ];
        for (baseline, expected) in rows {
            let refused = baseline.save(&path).expect_err(expected).to_string();
            let start = format!("{}: not a usable baseline: {expected}", path.shown());
            assert!(refused.starts_with(&start), "{refused}");
            assert_eq!(Baseline::load(&path).expect("as it was"), good, "{expected}");
            let file = dir.path().join("other.json");
            atomic::write_json(&file, &baseline, Existing::Replace).expect("written");
            let refused = Baseline::load(&file).expect_err(expected).to_string();
            assert!(refused.contains(expected), "loaded: {refused}");
        }
    }

    #[test]
    fn a_file_that_is_no_baseline_is_refused_with_its_field() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("before.json");
        let whole = json!(of(&["one", "two"]));
        let with = |pointer: &str, value: Value| {
            let mut document = whole.clone();
            *document.pointer_mut(pointer).expect(pointer) = value;
            document
        };
        let rows = [
            (
                json!(whole["runs"][0]),
                "one run, not a baseline: `rkllm-bench baseline save",
            ),
            (json!([]), "no JSON object"),
            (
                with("/kind", json!("other")),
                "no \"kind\": \"rkllm-bench baseline\"",
            ),
            (
                with("/schema_version", json!(2)),
                "schema_version: it has version 2, newer than 1",
            ),
            (
                with("/runs/1/schema_version", json!(2)),
                "runs[1].schema_version: it has version 2, older than 6",
            ),
            (
                with("/runs/1", json!(5)),
                "runs[1]: invalid type: integer `5`, expected an object",
            ),
            (with("/runs", json!({})), "runs: invalid type: map"),
            (
                with("/runs/1/models/0/bytes", json!(-1)),
                "runs[1].models[0].bytes: invalid value",
            ),
        ];
        for (document, expected) in rows {
            atomic::write_json(&path, &document, Existing::Replace).expect("written");
            let text = Baseline::load(&path).expect_err(expected).to_string();
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }

    #[test]
    fn names() {
        let long = "x".repeat(64);
        for name in ["a", "v1.2_rc-3", &long] {
            check_name(name).expect(name);
        }
        for name in [
            "",
            ".",
            "..",
            ".a",
            "a/b",
            "a b",
            "ä",
            "a.json",
            "a\n",
            &format!("{long}x"),
        ] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        for (argument, expected) in [("a", false), ("./a", true), ("a.json", true), ("json", false)] {
            assert_eq!(is_file(argument), expected, "{argument}");
        }
    }

    #[test]
    fn a_missing_name_lists_those_there_are_and_what_makes_one() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::new(dir.path().join("new"));
        assert_eq!(store.names().expect("no folder, no names"), [""; 0]);
        let text = store.find("before").expect_err("missing").to_string();
        assert!(
            text.contains(": there are none; `rkllm-bench baseline save before`"),
            "{text}"
        );
        let path = store.path("before").expect("a name");
        of(&["one"]).save(&path).expect("saved");
        std::fs::write(store.dir().join(".tmpX"), "left by a process that was killed").expect("written");
        let _lock = store.lock().expect("free");
        assert_eq!(store.names().expect("listed"), ["before"]);
        assert_eq!(store.find("before").expect("there"), path);
        assert_eq!(store.find("x/before").expect("a file"), Path::new("x/before"));
        let text = store.find("befor").expect_err("missing").to_string();
        assert!(text.contains("did you mean before?"), "{text}");
        let both = ["before".to_owned(), "other".to_owned()];
        store.remove(&both).expect_err("one is missing");
        assert!(path.exists(), "so the other one stays");
        store.remove(&both[..1]).expect("removed");
        assert!(!path.exists());
    }
}
