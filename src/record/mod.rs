//! The run record: one JSON file for each run, with every raw sample. Reports, baselines and the gate read only this.

pub mod baseline;
mod check;
#[cfg(test)]
mod edges;
mod fault;
mod faults;
#[cfg(test)]
pub(crate) mod fixtures;
mod git;
mod journal;
pub(crate) mod keeper;
pub mod ledger;
mod parse;
pub mod phase;
mod read;
pub(crate) mod run_folder;
mod run_record;
#[cfg(test)]
mod tests;

pub(crate) use check::{
    MOST_SAMPLES, label as check_label, parameters as check_parameters, time as check_time,
};
pub(crate) use fault::Fault;
pub use faults::Faults;
pub use git::Git;
pub(crate) use journal::Journal;
pub(crate) use read::{Document, document, record as of_document, typed};
pub(crate) use run_record::captions;
pub use run_record::{
    MOST_WARNINGS, ModelRecord, Parameters, PromptRecord, Purpose, Rejected, RunRecord, SCHEMA_VERSION,
    Sample, ServerParameters, Status, SuiteRecord,
};
