//! A record's file during the run: the initial record, then a line of JSON for each step.
//!
//! Writing the whole record after each inference would write the square of its size. A line cut off by `kill -9` has no
//! line end and is ignored, which costs at most one inference. At the end, the run replaces the file with the whole
//! record.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::parse::parsed;
use super::run_record::{ModelRecord, PromptRecord, Rejected, RunRecord, Sample, Status};
use crate::base::error::{Error, Result};
use crate::base::json::Object;
use crate::base::number::Long as _;
use crate::inference::Failure;

/// Start of each line.
const MARK: &[u8] = br#"{"journal":"#;

/// A line after the record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    journal: Step<'a>,
}

/// What changed in the record since the previous line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step<'a> {
    /// A model, without its prompts.
    Model {
        index: usize,
        record: Box<ModelRecord>,
    },
    Prompt(Taken<'a>),
}

/// New results of a prompt.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Taken<'a> {
    model: usize,
    prompt: usize,
    prompt_tokens: Option<u32>,
    given_up: Option<Cow<'a, str>>,
    warm_up: Cow<'a, [Sample]>,
    samples: Cow<'a, [Sample]>,
    rejected: Cow<'a, [Rejected]>,
    failures: Cow<'a, [Failure]>,
}

impl<'a> Taken<'a> {
    /// What `record` has in addition to what was `written`. Absent if nothing.
    fn since(written: Counts, record: &'a PromptRecord, model: usize, prompt: usize) -> Option<Self> {
        let taken = Self {
            model,
            prompt,
            prompt_tokens: record.prompt_tokens,
            given_up: record.given_up.as_deref().map(Cow::Borrowed),
            warm_up: record.warm_up[written.warm_up..].into(),
            samples: record.samples[written.samples..].into(),
            rejected: record.rejected[written.rejected..].into(),
            failures: record.failures[written.failures..].into(),
        };
        (Counts::of(record) != written).then_some(taken)
    }

    fn add_to(self, record: &mut PromptRecord) {
        record.prompt_tokens = self.prompt_tokens;
        record.given_up = self.given_up.map(Cow::into_owned);
        record.warm_up.extend(self.warm_up.into_owned());
        record.samples.extend(self.samples.into_owned());
        record.rejected.extend(self.rejected.into_owned());
        record.failures.extend(self.failures.into_owned());
    }
}

/// How much of a prompt has been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    warm_up: usize,
    samples: usize,
    rejected: usize,
    failures: usize,
    is_given_up: bool,
}

impl Counts {
    fn of(prompt: &PromptRecord) -> Self {
        Self {
            warm_up: prompt.warm_up.len(),
            samples: prompt.samples.len(),
            rejected: prompt.rejected.len(),
            failures: prompt.failures.len(),
            is_given_up: prompt.given_up.is_some(),
        }
    }
}

/// Appends what is new in a record to its file.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    /// End of the last whole line.
    end: u64,
    /// What has been written of each model and its prompts.
    written: Vec<(ModelRecord, Vec<Counts>)>,
}

impl Journal {
    /// Saves `record` and opens its file for appending.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn begin(record: &RunRecord, path: &Path) -> Result<Self> {
        record.save(path)?;
        let opened = OpenOptions::new().append(true).open(path);
        let (file, end) = opened
            .and_then(|mut file| {
                let end = file.seek(SeekFrom::End(0))?;
                Ok((file, end))
            })
            .map_err(Error::io(path))?;
        let counts = |model: &ModelRecord| model.prompts.iter().map(Counts::of).collect();
        let models = record.models.iter();
        Ok(Self {
            file,
            end,
            written: models.map(|model| (head(model), counts(model))).collect(),
        })
    }

    /// Writes what is new, without a sync, since the next inference may start right away. After a failure the next call
    /// tries again.
    ///
    /// # Errors
    /// [`std::io::Error`].
    pub(crate) fn add(&mut self, record: &RunRecord) -> std::io::Result<()> {
        for (index, model) in record.models.iter().enumerate() {
            let new = head(model);
            if self.written[index].0 != new {
                let record = Box::new(new.clone());
                self.write(Step::Model { index, record })?;
                self.written[index].0 = new;
            }
            for (number, prompt) in model.prompts.iter().enumerate() {
                let written = self.written[index].1[number];
                if let Some(taken) = Taken::since(written, prompt, index, number) {
                    self.write(Step::Prompt(taken))?;
                    self.written[index].1[number] = Counts::of(prompt);
                }
            }
        }
        Ok(())
    }

    /// Writes one line, or nothing.
    fn write(&mut self, step: Step) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(&Line { journal: step })?;
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line) {
            let _ = self.file.set_len(self.end); // what stays is left out by readers, being cut off
            return Err(error);
        }
        self.end += line.len().long();
        Ok(())
    }
}

/// A model without its prompts.
fn head(model: &ModelRecord) -> ModelRecord {
    ModelRecord {
        name: model.name.clone(),
        path: model.path.clone(),
        bytes: model.bytes,
        sha256: model.sha256.clone(),
        random_weights: model.random_weights,
        loaded: model.loaded.clone(),
        load_failure: model.load_failure.clone(),
        unload_failure: model.unload_failure.clone(),
        changed: model.changed.clone(),
        warnings: model.warnings.clone(),
        prompts: Vec::new(),
    }
}

/// Splits a file into its record and the whole lines after it.
pub(super) fn split(mut bytes: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return (bytes, Vec::new());
    };
    let behind = &bytes[end + 1..];
    if behind.is_empty() || !(behind.starts_with(MARK) || MARK.starts_with(behind)) {
        return (bytes, Vec::new());
    }
    let mut lines = bytes.split_off(end + 1);
    let whole = lines.iter().rposition(|byte| *byte == b'\n');
    lines.truncate(whole.map_or(0, |last| last + 1));
    (bytes, lines)
}

/// Adds the lines of `journal` to `record`.
pub(super) fn replay(record: &mut RunRecord, journal: &str) -> std::result::Result<(), Fault> {
    if !journal.is_empty() && record.status != Status::Running {
        return Err(Fault::altered(
            "status",
            "there are lines behind a run that has ended",
        ));
    }
    for (number, line) in journal.lines().enumerate() {
        let place = format!("journal[{number}]");
        let Object(Line { journal }) = parsed(line).map_err(|fault| fault.within(&place))?;
        let absent = || Fault::altered(&place, "there is no such model or prompt in the record");
        match journal {
            Step::Model { index, record: new } => {
                let model = record.models.get_mut(index).ok_or_else(absent)?;
                let prompts = std::mem::take(&mut model.prompts);
                *model = *new;
                model.prompts = prompts;
            }
            Step::Prompt(taken) => {
                let model = record.models.get_mut(taken.model).ok_or_else(absent)?;
                let prompt = model.prompts.get_mut(taken.prompt).ok_or_else(absent)?;
                taken.add_to(prompt);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures;

    /// A run that begins, and the same with all its samples.
    fn begun() -> (RunRecord, RunRecord) {
        let mut whole = fixtures::run("run", &[(50, 10), (60, 10)]);
        whole.status = Status::Running;
        let mut begun = whole.clone();
        begun.models[0].loaded = None;
        for prompt in &mut begun.models[0].prompts {
            prompt.samples.clear();
            prompt.prompt_tokens = None;
        }
        (begun, whole)
    }

    #[test]
    fn what_was_added_is_read_and_a_cut_costs_the_last_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("run.json");
        let (begun, mut whole) = begun();
        let mut journal = Journal::begin(&begun, &path).expect("written");
        assert_eq!(RunRecord::load(&path).expect("read"), begun);
        journal.add(&whole).expect("added");
        whole.models[0].prompts[1].given_up = Some("it failed twice".into());
        whole.models[0].warnings.push("W no template".into());
        journal.add(&whole).expect("added");
        journal.add(&whole).expect("nothing is new");
        assert_eq!(RunRecord::load(&path).expect("read"), whole);
        let bytes = std::fs::read(&path).expect("read");
        let lines = String::from_utf8_lossy(&bytes).lines().count();
        assert_eq!(
            lines, 6,
            "the record, a model and two prompts, a model and a prompt"
        );
        // Cut anywhere behind the record: what is whole before that is read.
        let record = bytes.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
        let mut samples = 0;
        for end in record..bytes.len() {
            std::fs::write(&path, &bytes[..end]).expect("written");
            let read = RunRecord::load(&path).expect("read");
            let now: usize = read.models[0]
                .prompts
                .iter()
                .map(|prompt| prompt.samples.len())
                .sum();
            assert!(now >= samples, "at {end}");
            samples = now;
        }
        assert_eq!(samples, 4);
    }

    #[test]
    fn lines_that_no_run_wrote_are_refused_by_their_place() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("run.json");
        let (begun, whole) = begun();
        let taken = r#"{"journal":{"prompt":{"model":0,"prompt":9,"prompt_tokens":null,"given_up":null,"warm_up":[],"samples":[],"rejected":[],"failures":[]}}}"#;
        let other = taken.replace("\"prompt\":9", "\"prompt\":0");
        for (line, reason) in [
            (taken, "journal[0]: there is no such model or prompt"),
            (
                r#"{"journal":{"other":1}}"#,
                "journal[0].journal: unknown variant `other`",
            ),
            (r#"{"journal":1}"#, "journal[0].journal: "),
            (
                &format!("{other}\n{}", r#"{"journal":"#),
                "journal[1].journal: the file ends in the middle",
            ),
            (&format!("{other}\nwords"), "journal[1]: not JSON"),
        ] {
            begun.save(&path).expect("saved");
            let text = std::fs::read_to_string(&path).expect("read") + line + "\n";
            std::fs::write(&path, text).expect("written");
            let text = RunRecord::load(&path).expect_err(reason).to_string();
            assert!(text.contains(reason), "{reason:?} is not in: {text}");
        }
        let ended = RunRecord {
            status: Status::Complete,
            ..whole
        };
        ended.save(&path).expect("saved");
        let text = std::fs::read_to_string(&path).expect("read") + &other + "\n";
        std::fs::write(&path, text).expect("written");
        let text = RunRecord::load(&path).expect_err("ended").to_string();
        assert!(
            text.contains("status: there are lines behind a run that has ended"),
            "{text}"
        );
    }
}
