//! The pool: recorded pairs of fresh processes, without and with a known slowdown, in one compact file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::analysis::gate::Sides;
use crate::analysis::metrics::{self, Measure, Metric};
use crate::base::atomic::{self, Existing};
use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::base::stats::RunValue;
use crate::record::phase::Phase;
use crate::record::{PromptRecord, RunRecord};

/// Version of the file's shape.
const SCHEMA_VERSION: u32 = 1;

/// Recorded pairs of one program under several conditions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pool {
    schema_version: u32,
    /// What the runs were made with: suite, model, runtime, processor.
    pub(crate) made_with: String,
    /// The metrics, in the order of each run's values.
    pub(crate) metrics: Vec<Metric>,
    /// The pairs under each condition: `none`, or a slowdown such as `decode=5%`.
    pub(crate) conditions: BTreeMap<String, Vec<Pair>>,
}

/// Two neighbouring runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pair {
    /// Time from the first call to the last return of both runs, seconds.
    pub(crate) seconds: f64,
    pub(crate) base: Run,
    pub(crate) candidate: Run,
}

/// One run (one process).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// One value for each metric of the pool.
    pub(crate) values: Vec<RunValue>,
    /// The samples for criterion, by prompt.
    pub(crate) samples: BTreeMap<String, Vec<Sample>>,
}

/// The durations of one inference for criterion, ns.
pub(crate) type Sample = [u64; PHASES.len()];

/// The phases of a [`Sample`].
pub(crate) const PHASES: [Phase; 3] = [Phase::Ttft, Phase::Decode, Phase::Total];

impl Pool {
    /// Makes a pool from folders of `rkllm-bench ab`, each with its condition.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Record`] for an invalid run record, [`Error::BadParameter`] for runs that lack a
    /// metric of the others, or folders without a pair.
    pub(crate) fn collect(folders: &[(String, PathBuf)]) -> Result<Self> {
        let mut pool = Self {
            schema_version: SCHEMA_VERSION,
            made_with: String::new(),
            metrics: Vec::new(),
            conditions: BTreeMap::new(),
        };
        for (condition, folder) in folders {
            let mut pairs = Vec::new();
            for index in 1.. {
                let path = |side| folder.join(format!("pair-{index:03}-{side}.json"));
                if !path("candidate").is_file() {
                    break;
                }
                let base = RunRecord::load(&path("base"))?;
                let candidate = RunRecord::load(&path("candidate"))?;
                pairs.push(Pair {
                    seconds: seconds(&[&base, &candidate]),
                    base: pool.run(&base)?,
                    candidate: pool.run(&candidate)?,
                });
            }
            if pairs.is_empty() {
                return Err(Error::BadParameter(format!(
                    "{}: no pair-001-base.json and pair-001-candidate.json, which rkllm-bench ab writes",
                    folder.shown()
                )));
            }
            pool.conditions
                .entry(condition.clone())
                .or_default()
                .extend(pairs);
        }
        Ok(pool)
    }

    fn run(&mut self, record: &RunRecord) -> Result<Run> {
        let values = metrics::of_run(record, &metrics::prompts_with_samples(record));
        if self.metrics.is_empty() {
            self.metrics = values.keys().cloned().collect();
            self.made_with = made_with(record);
        }
        let values: Option<Vec<RunValue>> = self
            .metrics
            .iter()
            .map(|metric| values.get(metric).copied())
            .collect();
        let values = values.ok_or_else(|| {
            Error::BadParameter(format!(
                "run {} lacks a metric that the first run has",
                record.run_id
            ))
        })?;
        let prompts = record.models.iter().flat_map(|model| &model.prompts);
        Ok(Run {
            values,
            samples: prompts
                .map(|prompt| (prompt.id.clone(), samples(prompt)))
                .collect(),
        })
    }

    /// Reads a pool's file.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Record`] for another schema, or if the file is not a pool.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        let pool: Self = serde_json::from_str(&text).map_err(|error| Error::Record {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        if pool.schema_version == SCHEMA_VERSION {
            Ok(pool)
        } else {
            Err(Error::Record {
                path: path.to_owned(),
                reason: format!(
                    "the pool has schema {}, not {SCHEMA_VERSION}",
                    pool.schema_version
                ),
            })
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        atomic::write_json(path, self, Existing::Replace)
    }

    /// The pairs of a condition. Empty if it was not recorded.
    pub(crate) fn pairs(&self, condition: &str) -> &[Pair] {
        self.conditions.get(condition).map_or(&[], Vec::as_slice)
    }

    /// Two sides, metric by metric, with the metrics that this number of inferences supports.
    pub(crate) fn sides(&self, baseline: &[&Run], candidate: &[&Run]) -> Vec<Sides> {
        let values = |runs: &[&Run], index: usize| runs.iter().map(|run| run.values[index]).collect();
        let carried = |runs: &[&Run], metric: &Metric| {
            let fewest = |run: &&Run| run.samples.values().map(Vec::len).min().unwrap_or_default();
            metric.measure.is_carried_by(runs.iter().map(fewest).sum())
        };
        self.metrics
            .iter()
            .enumerate()
            // TTFT and prefill are one measurement here; keep TTFT.
            .filter(|(_, metric)| metric.measure != Measure::Prefill)
            .filter(|(_, metric)| carried(baseline, metric) && carried(candidate, metric))
            .map(|(index, metric)| Sides {
                metric: metric.clone(),
                baseline: values(baseline, index),
                candidate: values(candidate, index),
                calibration: Vec::new(),
            })
            .collect()
    }
}

fn samples(prompt: &PromptRecord) -> Vec<Sample> {
    let of_sample = |sample: &crate::record::Sample| {
        let ns = PHASES.map(|phase| phase.duration(sample).unwrap_or_default().as_nanos());
        ns.map(|ns| u64::try_from(ns).unwrap_or(u64::MAX))
    };
    prompt.samples.iter().map(of_sample).collect()
}

/// Time from the first call to the last return of some runs, by the machine's clock.
fn seconds(records: &[&RunRecord]) -> f64 {
    let inferences = || {
        let models = records.iter().flat_map(|record| &record.models);
        let prompts = models.flat_map(|model| &model.prompts);
        prompts.flat_map(|prompt| prompt.warm_up.iter().chain(&prompt.samples))
    };
    let first = inferences().map(|sample| sample.inference.call_ns).min();
    let last = inferences().map(|sample| sample.inference.return_ns).max();
    let length = first
        .zip(last)
        .map(|(first, last)| Duration::from_nanos(last - first));
    length.unwrap_or_default().as_secs_f64()
}

fn made_with(record: &RunRecord) -> String {
    let model = record.models.first();
    let new_tokens = model
        .and_then(|model| model.prompts.first())
        .map_or(0, |prompt| prompt.max_new_tokens);
    format!(
        "suite {}, model {}, {new_tokens} new tokens, {} samples a prompt and run, {} thread(s), {} on {} cores",
        record.suite.name,
        model.map_or("none", |model| &model.name),
        record.parameters.samples,
        record.parameters.threads.unwrap_or_default(),
        record.board.cpu.as_deref().unwrap_or("an unnamed processor"),
        record
            .board
            .cores
            .map_or_else(|| "unknown".to_owned(), |cores| cores.to_string()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures;

    fn folder_of_pairs(pairs: usize) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for index in 1..=pairs {
            for (side, ttft) in [("base", 50_000_000), ("candidate", 51_000_000)] {
                let record = fixtures::run(&format!("{side}-{index}"), &[(ttft, 10_000_000); 10]);
                let path = folder.path().join(format!("pair-{index:03}-{side}.json"));
                record.save(&path).expect("saved");
            }
        }
        folder
    }

    #[test]
    fn a_pool_is_made_of_folders_and_comes_back_as_it_was() {
        let folder = folder_of_pairs(3);
        let of = |condition: &str| (condition.to_owned(), folder.path().to_owned());
        let pool = Pool::collect(&[of("none"), of("decode=5%"), of("none")]).expect("a pool");
        assert_eq!((pool.pairs("none").len(), pool.pairs("decode=5%").len()), (6, 3));
        assert_eq!(
            pool.pairs("none")[0].candidate.samples["a"][0],
            [51_000_000, 10_000_000, 141_000_000]
        );
        let file = folder.path().join("pool.json");
        pool.save(&file).expect("saved");
        assert_eq!(Pool::load(&file).expect("loaded"), pool);
        let runs: Vec<&Run> = pool.pairs("none").iter().map(|pair| &pair.base).collect();
        let ids: Vec<String> = pool
            .sides(&runs, &runs)
            .iter()
            .map(|sides| sides.metric.to_string())
            .collect();
        // 60 inferences of each prompt do not carry a percentile.
        assert!(
            ids.contains(&"m/quick/ttft/a".into()) && !ids.contains(&"m/quick/gap_p90".into()),
            "{ids:?}"
        );
    }

    #[test]
    fn a_folder_without_pairs_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = Pool::collect(&[("none".into(), folder.path().into())]).expect_err("no pair");
        assert!(error.to_string().contains("pair-001-base.json"), "{error}");
    }
}
