//! A command that measures: a bench executable, or `cargo bench --bench NAME`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use super::cargo::{CargoBench, file_name};
use crate::base::console::say;
use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::base::paths;
use crate::inputs::hint::{PROGRAM, quoted};
use crate::measure::turns;

/// Variables that are not passed on. `cargo run` sets the first two for this program. In the command, they would
/// select the library of the dynamic linker, and make the bench believe that `cargo test` runs it. The turns of this
/// process are not those of its child processes.
const NOT_PASSED_ON: [&str; 3] = ["LD_LIBRARY_PATH", "CARGO_MANIFEST_DIR", turns::VARIABLE];
/// A variable that each bench executable reads. Its name in a file identifies a bench executable. Only this program
/// has it too.
const MARK: &str = "RKLLM_BENCH_PROMPT_TOKENS";
/// Advice for a command that measures nothing.
const INSTEAD: &str =
    "name a bench executable (`cargo bench --no-run` builds and lists them), or `cargo bench --bench quick`";

/// A program with its arguments, which is started without a shell, or a bench target that cargo builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandLine {
    /// Variables that are set for the program, written before it as in a shell.
    assignments: Vec<(String, String)>,
    words: Vec<String>,
}

impl CommandLine {
    /// Makes a command from separate words.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if the program does not exist, or cannot be one that measures.
    pub(crate) fn of_words(words: Vec<String>) -> Result<Self> {
        let line = Self::split(words);
        if paths::find_program(line.program()).is_none() {
            return Err(Error::BadParameter(format!(
                "{:?}: no such program; {INSTEAD}, with its options",
                line.program()
            )));
        }
        if CargoBench::of(&line.words)?.is_none() && !line.words.iter().any(|word| may_measure(word)) {
            return Err(Error::BadParameter(format!(
                "{line}: no bench executable of rkllm-bench in this command; {INSTEAD}"
            )));
        }
        Ok(line)
    }

    /// Separates the assignments before the program, also after an `env` without options.
    fn split(mut words: Vec<String>) -> Self {
        let by_env = words.first().is_some_and(|word| file_name(word) == "env")
            && words.get(1).is_some_and(|word| assignment(word).is_some());
        if by_env {
            words.remove(0);
        }
        let count = words.iter().take_while(|word| assignment(word).is_some()).count();
        let rest = words.split_off(count);
        Self {
            assignments: words.iter().filter_map(|word| assignment(word)).collect(),
            words: rest,
        }
    }

    fn program(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// Builds the target of a `cargo bench` command, and returns the command with its executable.
    ///
    /// # Errors
    /// [`Error::NotBuilt`] if the build fails, [`Error::BadParameter`] if the target is not a bench target of
    /// rkllm-bench.
    pub(crate) fn built(self) -> Result<Self> {
        let Some(bench) = CargoBench::of(&self.words)? else {
            return Ok(self);
        };
        let refuse = |reason: String| Error::NotBuilt {
            command: self.to_string(),
            reason,
        };
        let executable = bench
            .build(self.assignments.iter().map(|(name, value)| (name, value)))
            .map_err(refuse)?;
        if !is_bench(&executable) {
            return Err(Error::BadParameter(format!(
                "{self}: {} is not a bench target of rkllm-bench; {INSTEAD}",
                executable.shown()
            )));
        }
        say(format_args!("{self} starts {}", executable.shown()));
        Ok(Self {
            words: bench.words_of(&executable.to_string_lossy()),
            ..self
        })
    }

    /// The program's file.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        paths::find_program(self.program())
    }

    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(self.program());
        command.args(self.words.iter().skip(1));
        for variable in NOT_PASSED_ON {
            command.env_remove(variable);
        }
        command.envs(self.assignments.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl FromStr for CommandLine {
    type Err = String;

    /// Splits a text into words as a POSIX shell does, without expansions.
    fn from_str(text: &str) -> Result<Self, String> {
        let words = shlex::split(text).ok_or("unclosed quote, or a backslash at the end")?;
        Self::of_words(words).map_err(|error| error.to_string())
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.assignments {
            write!(f, "{name}={} ", quoted([value.as_str()].into_iter()))?;
        }
        f.write_str(&quoted(self.words.iter().map(String::as_str)))
    }
}

/// `NAME=value`, as a shell takes it before a command.
fn assignment(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    let of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_name =
        name.bytes().all(of_name) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    is_name.then(|| (name.to_owned(), value.to_owned()))
}

/// Whether a word of a command may be a bench executable. This is the case for any script, and for a text that a
/// shell runs and that contains such a word.
fn may_measure(word: &str) -> bool {
    let in_text = || {
        let words = shlex::split(word).unwrap_or_default();
        words.len() > 1 && words.iter().any(|word| may_measure(word))
    };
    paths::find_program(word).is_some_and(|file| is_script(&file) || is_bench(&file)) || in_text()
}

fn is_script(file: &Path) -> bool {
    use std::io::Read as _;
    let mut start = [0; 2];
    let read = std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == *b"#!"
}

/// Whether a file is a bench executable of rkllm-bench, of any version.
fn is_bench(file: &Path) -> bool {
    let is_this_program = file.file_name().is_some_and(|name| name == PROGRAM);
    let Ok(bytes) = std::fs::read(file) else {
        return false;
    };
    let mark = regex::bytes::Regex::new(MARK);
    !is_this_program && mark.is_ok_and(|mark| mark.is_match(&bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A script, which may be anything.
    fn script() -> tempfile::TempPath {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "#!/bin/sh\n").expect("written");
        let permissions = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(file.path(), permissions).expect("made executable");
        file.into_temp_path()
    }

    #[test]
    fn a_command_is_taken_apart_as_a_shell_would() {
        let script = script();
        let script = script.to_str().expect("a path");
        for env in ["", "env ", "/usr/bin/env "] {
            let line: CommandLine = format!("{env}A='b c' {script} \\$HOME x=y")
                .parse()
                .expect("a command");
            assert_eq!(line.words, [script, "$HOME", "x=y"]);
            assert_eq!(line.assignments, [("A".into(), "b c".into())]);
            assert_eq!(line.to_string().parse(), Ok(line));
        }
        for (wrong, reason) in [
            ("env 'a", "unclosed quote"),
            ("", "no such program"),
            ("/no/such/program x", "/no/such/program"),
            ("no-such-program", "no such program"),
            ("/etc/passwd", "no such program"),
            ("/tmp", "no such program"),
        ] {
            let error = wrong.parse::<CommandLine>().expect_err(wrong);
            assert!(error.contains(reason), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_program_that_measures_nothing_is_refused_before_it_runs() {
        for wrong in [
            "true",
            "env A=b true",
            "env -i true",
            "sh -c 'exit 3'",
            "sleep 1000",
        ] {
            let error = wrong.parse::<CommandLine>().expect_err(wrong);
            assert!(
                error.contains("no bench executable") && error.contains("cargo bench --bench quick"),
                "{wrong}: {error}"
            );
        }
        let script = script();
        let script = script.to_str().expect("a path");
        for right in [
            format!("nice {script}"),
            format!("sh -c 'cd / && exec {script} x'"),
        ] {
            right.parse::<CommandLine>().expect("it may measure");
        }
        // This test has the mark of a bench, since it has the options of one.
        let itself = std::env::current_exe().expect("a path");
        assert!(is_bench(&itself) && !is_script(&itself));
        assert!(!is_bench("/bin/true".as_ref()));
    }
}
