//! Reads a record's file: bytes, then JSON without duplicate keys, then structs. Each fault names its field.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::fault::{ALTERED, Fault, WHERE_RECORDS_ARE};
use super::parse::parsed;
use super::run_record::{OLDEST_VERSION, RunRecord, SCHEMA_VERSION};
use super::{check, journal};
use crate::base::error::Result as Loading;
use crate::base::json::{Object, Walk, clip};

/// Largest file that is read. Ten runs of the largest suite take a tenth of it.
const MOST_BYTES: u64 = 1 << 30;
/// A JSON file that was read, with the header that has its kind and version. [`typed`] makes structs directly from the
/// text, since a tree of JSON values takes ten times the memory.
#[derive(Debug)]
pub(crate) struct Document {
    text: String,
    /// Lines after the JSON of a run record that was being written.
    journal: String,
    pub(crate) header: Header,
}

/// The fields that identify a document. Their types are open, since a user can name any file.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
pub(crate) struct Header {
    kind: Option<Value>,
    schema_version: Option<Value>,
    tool_version: Option<Value>,
    run_id: Option<Value>,
    #[serde(default)]
    runs: Vec<Self>,
}

impl Header {
    /// The document's kind. A run record has none.
    pub(crate) fn kind(&self) -> Option<&str> {
        self.kind.as_ref().and_then(Value::as_str)
    }

    /// Whether it has the name of a run, as a run record does.
    pub(crate) fn is_of_run(&self) -> bool {
        self.run_id.is_some()
    }

    /// Checks versions. The document's must be `known`, and each run's must be one that this rkllm-bench reads. This
    /// comes before reading the fields, since another version may have renamed them.
    pub(crate) fn check_versions(&self, known: u32) -> Result<(), Fault> {
        self.check_version(known, known)?;
        for (index, run) in self.runs.iter().enumerate() {
            run.check_version(OLDEST_VERSION, SCHEMA_VERSION)
                .map_err(|fault| fault.within(&format!("runs[{index}]")))?;
        }
        Ok(())
    }

    fn check_version(&self, oldest: u32, newest: u32) -> Result<(), Fault> {
        let field = "schema_version";
        let Some(version) = &self.schema_version else {
            return Err(foreign("no schema_version in it"));
        };
        let Some(version) = version.as_u64() else {
            return Err(Fault::altered(
                field,
                format!("{}, not a whole number", clip(&version.to_string())),
            ));
        };
        let (age, known) = match version {
            _ if version > u64::from(newest) => ("newer", newest),
            _ if version < u64::from(oldest) => ("older", oldest),
            _ => return Ok(()),
        };
        let writer = self.tool_version.as_ref().and_then(Value::as_str);
        Err(Fault::at(
            field,
            format!(
                "it has version {version}, {age} than {known}, which rkllm-bench {ours} reads: use the rkllm-bench \
                 that wrote it{writer}, or measure again",
                ours = env!("CARGO_PKG_VERSION"),
                writer = writer.map_or_else(String::new, |writer| format!(" ({})", clip(writer)))
            ),
        ))
    }
}

fn foreign(what: &str) -> Fault {
    Fault::whole(format!("{what}, so another program's file; {WHERE_RECORDS_ARE}"))
}

/// The JSON document in the file at `path`.
pub(crate) fn document(path: &Path) -> Result<Document, Fault> {
    let (bytes, journal) = journal::split(bytes_of(path)?);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Fault::whole(format!("the file is empty; {WHERE_RECORDS_ARE}")));
    }
    let text = |bytes| {
        String::from_utf8(bytes).map_err(|error| {
            Fault::whole(format!(
                "binary data, not JSON: byte {} is not UTF-8; {WHERE_RECORDS_ARE}",
                error.utf8_error().valid_up_to()
            ))
        })
    };
    let (text, journal) = (text(bytes)?, text(journal)?);
    match parsed::<Object<Header>>(&text) {
        Ok(Object(header)) if header.is_of_run() || journal.is_empty() => Ok(Document {
            text,
            journal,
            header,
        }),
        Ok(_) => Err(Fault::whole(format!(
            "lines of a run behind what is no run; {ALTERED}"
        ))),
        // Parsing a header skips most of the text, so its errors have no field.
        Err(fault) => Err(match parsed::<Walk>(&text) {
            Err(placed) => placed,
            Ok(Walk) if text.trim_start().starts_with('{') => fault,
            Ok(Walk) => foreign("no JSON object"),
        }),
    }
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, Fault> {
    let unreadable = |error: std::io::Error| Fault::whole(format!("cannot be read: {error}"));
    // Check before opening: opening a pipe would wait for a writer.
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(Fault::whole("a folder: name a file in it"));
    }
    if !metadata.is_file() {
        return Err(Fault::whole("a device, pipe or socket: name a regular file"));
    }
    if metadata.len() > MOST_BYTES {
        return Err(Fault::whole(format!(
            "{} bytes, at most {MOST_BYTES} (1 GiB) are read: is it the right file?",
            metadata.len()
        )));
    }
    let mut bytes = Vec::new();
    // A file may grow after the size check. JSON cut off here does not parse.
    File::open(path)
        .and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    Ok(bytes)
}

/// The structs of a document.
pub(crate) fn typed<'de, T: Deserialize<'de>>(document: &'de Document) -> Result<T, Fault> {
    parsed::<Object<T>>(&document.text).map(|Object(value)| value)
}

/// The record in a document, checked.
pub(crate) fn record(document: &Document) -> Result<RunRecord, Fault> {
    if let Some(kind) = document.header.kind() {
        return Err(Fault::at("kind", format!("a {}, not one run", clip(kind))));
    }
    document.header.check_version(OLDEST_VERSION, SCHEMA_VERSION)?;
    let mut record: RunRecord = typed(document)?;
    journal::replay(&mut record, &document.journal)?;
    check::record(&record)?;
    Ok(record)
}

impl RunRecord {
    /// Reads a record, complete or not. Refuses what rkllm-bench cannot have written: another shape or version, or
    /// stored phases that do not follow from their inference's stamps.
    ///
    /// # Errors
    /// [`Error::Record`](crate::Error::Record) with the field and what to do.
    pub fn load(path: &Path) -> Loading<Self> {
        document(path)
            .and_then(|document| self::record(&document))
            .map_err(|fault| fault.of_record(path))
    }

    /// Reads a record for a comparison: a complete run with at least one sample.
    ///
    /// # Errors
    /// As [`RunRecord::load`], and [`Error::Record`](crate::Error::Record) with the status of an incomplete run.
    pub fn load_complete(path: &Path) -> Loading<Self> {
        let record = Self::load(path)?;
        record.check_comparable().map_err(|fault| fault.of_record(path))?;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use crate::base::foreign::Shown as _;
    use serde_json::json;

    use super::*;
    use crate::machine::sampler::{ClockRange, Conditions};
    use crate::record::fixtures;

    /// What `RunRecord::load` says of these bytes.
    #[track_caller]
    fn refusal(bytes: &[u8]) -> String {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("run.json");
        std::fs::write(&path, bytes).expect("written");
        let text = RunRecord::load(&path).expect_err("it cannot be used").to_string();
        let start = format!("{}: not a usable run record: ", path.shown());
        text.strip_prefix(&start)
            .unwrap_or_else(|| panic!("{start} is not the start of: {text}"))
            .to_owned()
    }

    /// A whole record as text.
    fn whole() -> String {
        serde_json::to_string(&fixtures::complete("one")).expect("serialises")
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let whole = whole();
        let cut = &whole[..whole.find("\"ttft_ns\"").expect("a sample") + 9];
        let estimates =
            r#"{"mean": {"confidence_interval": {"confidence_level": 0.95}, "point_estimate": 1.0}}"#;
        let rows: [(&str, &[u8], &[&str]); 11] = [
            (
                "cut off",
                cut.as_bytes(),
                &[
                    "models[0].prompts[0].",
                    ": the file ends in the middle",
                    "copy it anew",
                ],
            ),
            (
                "criterion's",
                estimates.as_bytes(),
                &["no schema_version", "another program's", "rkllm-bench/runs"],
            ),
            ("an array", b"[1, 2]", &["no JSON object", "rkllm-bench/runs"]),
            ("a number", b"3", &["no JSON object", "rkllm-bench/runs"]),
            (
                "HTML",
                b"<!DOCTYPE html>",
                &["not JSON", "line 1 column 1", "rkllm-bench/runs"],
            ),
            ("empty", b"", &["the file is empty", "rkllm-bench/runs"]),
            ("blank", b" \n", &["the file is empty"]),
            ("binary", b"\x7fELF\xff\x00", &["binary data", "byte 4"]),
            (
                "two",
                &[whole.as_bytes(), b"{}"].concat(),
                &["more than one JSON document", "take the original"],
            ),
            (
                "a key twice",
                br#"{"schema_version": 3, "schema_version": 3}"#,
                &["duplicate field `schema_version`", "take the original"],
            ),
            (
                "a baseline",
                br#"{"kind": "rkllm-bench baseline", "runs": []}"#,
                &["kind: a rkllm-bench baseline, not one run"],
            ),
        ];
        for (name, bytes, parts) in rows {
            let text = refusal(bytes);
            for part in parts {
                assert!(text.contains(part), "{name}: {part:?} is not in: {text}");
            }
        }
    }

    #[test]
    fn another_version_is_refused_with_both_numbers() {
        for (version, parts) in [
            (
                json!(99),
                [
                    "schema_version: it has version 99, newer than 7",
                    "(0.0.0), or measure again",
                ],
            ),
            (
                json!(2),
                [
                    "schema_version: it has version 2, older than 6",
                    "(0.0.0), or measure again",
                ],
            ),
            (
                json!("3"),
                ["schema_version: \"3\", not a whole number", "take the original"],
            ),
        ] {
            let text = refusal(&edited("schema_version", version));
            for part in parts {
                assert!(text.contains(part), "{part:?} is not in: {text}");
            }
        }
    }

    /// A whole record with the value at `field` replaced, which is a path such as `models[0].name`.
    #[track_caller]
    fn edited(field: &str, value: Value) -> Vec<u8> {
        let mut document: Value = serde_json::from_str(&whole()).expect("JSON");
        let pointer = format!("/{}", field.replace(['.', '['], "/").replace(']', ""));
        *document
            .pointer_mut(&pointer)
            .unwrap_or_else(|| panic!("{field} is in a record")) = value;
        document.to_string().into_bytes()
    }

    const SAMPLE: &str = "models[0].prompts[1].samples[1]";

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table, one row a value")]
    fn a_field_that_cannot_be_is_named() {
        let model = json!(fixtures::complete("one").models[0]);
        let prompt = model["prompts"][0].clone();
        let rows = [
            ("phases.ttft_ns", json!(-5), "-5"),
            ("phases.ttft_ns", json!(0), "no token comes in no time"),
            ("phases.ttft_ns", json!(5.5), "5.5"),
            ("phases.ttft_ns", json!(1e30), "1e"),
            ("phases.ttft_ns", json!("NaN"), "\"NaN\""),
            (
                "phases.ttft_ns",
                json!(5),
                "5 ns, but the stamps of the inference give 5000 ns: another unit",
            ),
            (
                "phases.total_ns",
                json!(8201),
                "8201 ns, but the stamps of the inference give 8200 ns",
            ),
            (
                "phases.worst_gap_ns",
                json!(null),
                "absent, but the stamps of the inference give 1500 ns",
            ),
            (
                "phases.decode_ns_per_token",
                json!(-1.0),
                "-1 ns: a token takes more than no time",
            ),
            (
                "phases.decode_ns_per_token",
                json!(0.0),
                "0 ns: a token takes more than no time",
            ),
            (
                "phases.decode_ns_per_token",
                json!(null),
                "absent, but the stamps of the inference give 1000 ns",
            ),
            (
                "phases.decode_ns_per_token",
                json!(1000.5),
                "1000.5 ns, but the stamps of the inference give 1000 ns",
            ),
            ("phases.decode_ns_per_token", json!("NaN"), "\"NaN\""),
            (
                "inference.tokens",
                json!([]),
                "the stamps run backwards, or there is none",
            ),
            ("inference.tokens[1].at_ns", json!(1), "the stamps run backwards"),
            ("inference.return_ns", json!(2_000), "the stamps run backwards"),
            ("inference.return_ns", json!(u64::MAX), "no call takes longer"),
            (
                "inference.stats.prefill_time_ms",
                json!(-1.0),
                "-1 ms is not a time",
            ),
            (
                "inference.stats.generate_time_ms",
                json!("NaN"),
                "NaN ms is not a time",
            ),
        ];
        let rows = rows.map(|(field, value, part)| (format!("{SAMPLE}.{field}"), value, part));
        let more = [
            ("run_id", json!(""), "empty"),
            ("suite.name", json!("a\u{1b}[2J"), "control characters"),
            ("started_at", json!("yesterday"), "not an RFC 3339 time"),
            ("status", json!("done"), "done"),
            (
                "models[0].prompts[0].checks",
                json!([{"check": "words", "min": -1}]),
                "/min: -1 is out of range",
            ),
            (
                "models[0].prompts[0].checks",
                json!([{"check": "sums"}]),
                "/check: no such kind of check",
            ),
            ("models[0].prompts[0].checks", json!([5]), "[0]: 5 is not a check"),
            (
                "models[0].loaded.load_ns",
                json!(u64::MAX),
                "no call takes longer",
            ),
            ("models", json!([model, model]), "m is there twice"),
            (
                "models[0].prompts",
                json!([prompt, prompt]),
                "question is there twice",
            ),
        ];
        let more = more.map(|(field, value, part)| (field.to_owned(), value, part));
        for (field, value, part) in rows.into_iter().chain(more) {
            let shown = format!("{field} = {value}");
            let text = refusal(&edited(&field, value));
            // A list names the item that repeats, stamps the list that they are in.
            let place = field.split("[1].at_ns").next().unwrap_or(&field);
            assert!(
                text.starts_with(place) && text.contains(part) && text.contains("take the original"),
                "{shown}: {text}"
            );
        }
    }

    #[test]
    fn a_sample_among_those_of_another_start_is_found() {
        let field = "models[0].prompts[0].cache_start";
        let start = |prefix: &str| json!({"warm_prefix": {"text": prefix}});
        for (value, part) in [
            (
                start("te"),
                "of an inference that began cold, among those that began warm_prefix",
            ),
            (start("no"), "the input does not go on from that prefix"),
            (json!("hot"), "unknown variant `hot`"),
        ] {
            let text = refusal(&edited(field, value));
            assert!(
                text.starts_with("models[0].prompts[0].") && text.contains(part),
                "{text}"
            );
        }
    }

    #[test]
    fn a_number_that_json_does_not_have_is_placed() {
        for number in ["NaN", "-Infinity", "1e999"] {
            let text = whole().replacen("\"ttft_ns\":5000", &format!("\"ttft_ns\":{number}"), 1);
            let text = refusal(text.as_bytes());
            assert!(
                text.starts_with("models[0].prompts[0].samples[0].phases.ttft_ns: not JSON")
                    && text.contains("no NaN"),
                "{number}: {text}"
            );
        }
    }

    #[test]
    fn a_field_under_another_unit_is_missed_by_its_own_name() {
        let text = refusal(whole().replacen("\"ttft_ns\"", "\"ttft_ms\"", 1).as_bytes());
        assert!(
            text.starts_with("models[0].prompts[0].samples[0].phases: missing field `ttft_ns`"),
            "{text}"
        );
    }

    #[test]
    fn what_is_no_regular_file_is_refused_unopened() {
        let dir = tempfile::tempdir().expect("a folder");
        let fifo = dir.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).expect("made");
        for (path, part) in [
            (fifo.as_path(), "a device, pipe or socket"),
            (Path::new("/dev/zero"), "a device, pipe or socket"),
            (dir.path(), "a folder"),
            (Path::new("/no/such/run.json"), "No such file"),
        ] {
            let text = RunRecord::load(path).expect_err("no file").to_string();
            assert!(
                text.contains(part) && text.contains(&*path.to_string_lossy()),
                "{text}"
            );
        }
    }

    #[test]
    fn conditions_that_cannot_be_are_named() {
        let with = |field: &str, value: Value| {
            let mut record = fixtures::complete("one");
            record.models[0].prompts[1].samples[1].conditions = Some(Conditions {
                idle_percent: Some(1.0),
                clocks: vec![ClockRange {
                    clock: "npu".into(),
                    held_hz: None,
                    min_hz: 1,
                    max_hz: 2,
                }],
                ..Conditions::default()
            });
            let mut document = json!(record);
            let pointer = format!("/models/0/prompts/1/samples/1/conditions/{field}");
            *document.pointer_mut(&pointer).expect("a field") = value;
            refusal(document.to_string().as_bytes())
        };
        for (field, value, expected) in [
            (
                "idle_percent",
                json!(-1.0),
                "conditions.idle_percent: -1 % is not a share",
            ),
            (
                "clocks/0/min_hz",
                json!(3),
                "conditions.clocks[0].min_hz: 3 Hz, more than",
            ),
        ] {
            let text = with(field, value);
            assert!(text.starts_with(&format!("{SAMPLE}.{expected}")), "{text}");
        }
    }
}
