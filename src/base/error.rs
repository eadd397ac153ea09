//! The one error type.

use std::path::PathBuf;

use crate::base::foreign::Shown as _;

/// What can go wrong. Each message says what failed, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.shown())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The dynamic linker loaded another RKLLM library than the chosen one.
    #[error(
        "the RKLLM library that was loaded is not the one this program was built with\n  \
         loaded: {loaded}\n  chosen: {chosen}\n\
         Look at LD_LIBRARY_PATH and the rpath, or, when the loaded one is what you want to measure, choose it: \
         RKLLM_LIBRARY={loaded_path}"
    )]
    WrongLibrary {
        /// Path and SHA-256 of what was loaded.
        loaded: String,
        /// Path and SHA-256 of what was chosen.
        chosen: String,
        /// Path alone of what was loaded.
        loaded_path: String,
    },
    /// The version of the library does not match the header that the guard was compiled with.
    #[error(
        "the RKLLM library is version {library} ({seen_in}), the header this program was built with is {header}; \
         passing structs between the two would corrupt memory\n\
         Build with header and library of one checkout, and without RKLLM_LIBRARY: \
         RKLLM_SDK=<rknn-llm checkout of release {library}> cargo bench --no-default-features"
    )]
    VersionMismatch {
        /// Version found.
        library: String,
        /// Generation of the header, in words.
        header: String,
        /// Where the version was found.
        seen_in: String,
    },
    /// The library has no version that can be read before it is used.
    #[error(
        "{path} carries no readable version, so it cannot be checked against the header, which is {header}\n\
         If you know its release, say so: --trust-sdk-version {release}", path = path.shown()
    )]
    NoVersion {
        /// The library.
        path: PathBuf,
        /// Generation of the header, in words.
        header: String,
        /// The release that matches the header.
        release: String,
    },
    /// The structs of the library differ from those of the header.
    #[error(
        "{found}: header and library are of different releases, and no model was loaded\n\
         Build with header and library of one checkout: RKLLM_SDK=<rknn-llm checkout> cargo bench --no-default-features"
    )]
    OtherLayout {
        /// The evidence.
        found: String,
    },
    /// A call into the runtime failed.
    #[error("{call} failed: {reason}")]
    Runtime {
        /// The C function.
        call: &'static str,
        /// The runtime's code or the exception's text.
        reason: String,
    },
    /// The runtime of this generation has no such function.
    #[error("this runtime (generation {generation}) has no {call}")]
    Absent {
        /// The C function.
        call: &'static str,
        /// Generation of the header.
        generation: String,
    },
    /// A parameter is out of range; the text says which one and the range.
    #[error("{0}")]
    BadParameter(String),
    /// A prompt suite cannot be used.
    #[error("{origin}: {reason}")]
    Suite {
        /// File or built-in name.
        origin: String,
        /// What is wrong and how to fix it.
        reason: String,
    },
    /// A model is missing or ambiguous; the text says what was looked for and where.
    #[error("{0}")]
    Model(String),
    /// A server gave an unusable answer; the text says what was asked and what came back.
    #[error("{0}")]
    Server(String),
    /// The folder for results is not writable.
    #[error(
        "{path}: cannot write results there: {source}; name a writable folder with CRITERION_HOME=<folder>, \
         and one for the run record with --output", path = path.shown()
    )]
    NoResults {
        /// The file or folder that could not be created.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Criterion ignored a failure to write a file.
    #[error(
        "{path}: criterion did not keep its results of {id}; is the disk full? \
         The run record has all samples", path = path.shown()
    )]
    NotKept {
        /// The identifier.
        id: String,
        /// The file that is missing, outdated or not JSON.
        path: PathBuf,
    },
    /// Another run holds a resource that this one needs.
    #[error("{what}: in use by process {holder}; {remedy}")]
    Busy {
        /// What is held.
        what: String,
        /// The holder's process id.
        holder: String,
        /// What to do.
        remedy: String,
    },
    /// The file at the path of a lock cannot be a lock.
    #[error("{path}: no lock for {what}: {reason}; see who put it there, and remove it", path = path.shown())]
    Lock {
        /// The place.
        path: PathBuf,
        /// What is to be locked.
        what: String,
        /// What is at that path.
        reason: String,
    },
    /// This process cannot take turns with the other process of its pair.
    #[error("cannot take turns over the socket {socket} (RKLLM_BENCH_TURNS): {source}", socket = socket.shown())]
    Turns {
        /// The socket's path.
        socket: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Some prompts were not profiled; a message named each.
    #[error("{failed} prompts were not profiled")]
    Profile {
        /// How many.
        failed: usize,
    },
    /// The worker process could not be started, or the connection to it failed.
    #[error("worker process: {0}")]
    Worker(String),
    /// A bench process did not write the complete run record that it was started for.
    #[error(
        "{command}: {reason}; what it left is in {folder}{tail}", folder = folder.shown(), tail = tail_of(last_lines)
    )]
    NoRecord {
        /// Its command.
        command: String,
        /// What it did instead.
        reason: String,
        /// The folder for its record.
        folder: PathBuf,
        /// The last lines that it printed.
        last_lines: Vec<String>,
    },
    /// Cargo did not build the bench target that a command names.
    #[error("{command}: nothing to start: {reason}; see the output of cargo above")]
    NotBuilt {
        /// The command.
        command: String,
        /// Why.
        reason: String,
    },
    /// A calibration cannot be used.
    #[error("{path}: not a usable calibration: {reason}; `{command}` says how to make it again", path = path.shown())]
    Calibration {
        /// The file, or the folder of its runs.
        path: PathBuf,
        /// What is wrong.
        reason: String,
        /// The command that explains calibrations.
        command: String,
    },
    /// Clocks could not be pinned or restored; the text says which file is in the way, and what to do.
    #[error("{0}")]
    Pin(String),
    /// A run record could not be read.
    #[error("{path}: not a usable run record: {reason}", path = path.shown())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong, in which field, and what to do.
        reason: String,
    },
    /// A baseline could not be read, or would not be readable after being written.
    #[error("{path}: not a usable baseline: {reason}", path = path.shown())]
    Baseline {
        /// The file.
        path: PathBuf,
        /// What is wrong, in which field, and what to do.
        reason: String,
    },
}

impl Error {
    /// An [`Error::Io`] about `path`, for `map_err`.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// The last lines that a process printed, each on its own line below a message.
pub(crate) fn tail_of(lines: &[String]) -> String {
    lines
        .iter()
        .fold(String::new(), |text, line| text + "\n  | " + line)
}

/// Result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
