//! `cargo bench --bench NAME` as a command. Cargo builds the executable once, and then it is started directly.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use crate::base::child;
use crate::base::error::{Error, Result};

/// Options of `cargo bench` whose value may be the next word.
const WITH_VALUE: [&str; 16] = [
    "-p",
    "--package",
    "--exclude",
    "-j",
    "--jobs",
    "--profile",
    "-F",
    "--features",
    "--target",
    "--target-dir",
    "--manifest-path",
    "--color",
    "--config",
    "-Z",
    "--lockfile-path",
    "-C",
];
/// Options that select other targets.
const OTHER_TARGETS: [&str; 10] = [
    "--benches",
    "--all-targets",
    "--lib",
    "--bins",
    "--bin",
    "--example",
    "--examples",
    "--test",
    "--tests",
    "--doc",
];
/// Prefixes of the variables that cargo sets for programs. Some build scripts depend on them, so that cargo would
/// rebuild.
const OF_A_PACKAGE: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "OUT_DIR"];

/// A `cargo bench` command for one bench target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CargoBench {
    /// cargo with its toolchain and the options of the build.
    cargo: Vec<String>,
    target: String,
    /// Arguments of the executable.
    arguments: Vec<String>,
}

impl CargoBench {
    /// Parses the words of a command. Absent if it calls another program.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if cargo would not run exactly one bench target.
    pub(super) fn of(words: &[String]) -> Result<Option<Self>> {
        if words.first().is_none_or(|word| file_name(word) != "cargo") {
            return Ok(None);
        }
        let refuse = |reason: &str| {
            let line = crate::inputs::hint::quoted(words.iter().map(String::as_str));
            Err(Error::BadParameter(format!(
                "`{line}` {reason}; expected one bench target, such as `cargo bench --bench quick`"
            )))
        };
        let own = words.iter().position(|word| word == "--").unwrap_or(words.len());
        let (of_cargo, of_bench) = words.split_at(own);
        let mut bench = Self {
            cargo: Vec::new(),
            target: String::new(),
            arguments: vec!["--bench".to_owned()],
        };
        let (mut subcommand, mut filters) = (None, Vec::new());
        let mut rest = of_cargo.iter().peekable();
        while let Some(word) = rest.next() {
            let (flag, value) = word.split_once('=').unwrap_or((word, ""));
            if flag == "--bench" && bench.target.is_empty() {
                bench.target = match value {
                    "" => rest.next().cloned().unwrap_or_default(),
                    value => value.to_owned(),
                };
            } else if flag == "--bench" || OTHER_TARGETS.contains(&flag) {
                return refuse("runs several targets");
            } else if flag == "--no-run" {
                // `build` adds it.
            } else if flag == "--message-format" {
                rest.next_if(|_| value.is_empty());
            } else if word.starts_with(['-', '+']) || bench.cargo.is_empty() {
                bench.cargo.push(word.clone());
                bench
                    .cargo
                    .extend(rest.next_if(|_| WITH_VALUE.contains(&word.as_str())).cloned());
            } else if subcommand.is_none() {
                subcommand = Some(word.as_str());
                bench.cargo.push(word.clone());
            } else {
                filters.push(word.clone());
            }
        }
        if subcommand != Some("bench") {
            return refuse("starts no bench target");
        }
        if bench.target.is_empty() {
            return refuse("runs several bench targets");
        }
        bench.arguments.extend(filters);
        bench.arguments.extend(of_bench.iter().skip(1).cloned());
        Ok(Some(bench))
    }

    /// Builds the target with cargo in the working directory. Returns the executable, or why the build failed.
    /// Cargo's output goes to stderr.
    pub(super) fn build<'a>(
        &self,
        variables: impl Iterator<Item = (&'a String, &'a String)>,
    ) -> Result<PathBuf, String> {
        let mut command = Command::new(&self.cargo[0]);
        command
            .args(&self.cargo[1..])
            .args(["--bench", &self.target, "--no-run"])
            .arg("--message-format=json-render-diagnostics");
        for (variable, _) in std::env::vars_os() {
            let name = variable.to_string_lossy();
            if OF_A_PACKAGE.iter().any(|start| name.starts_with(start)) {
                command.env_remove(&variable);
            }
        }
        // No deadline: a build may take long, and shows its progress.
        let (status, stdout) = child::output_within(command.envs(variables), Duration::MAX)
            .map_err(|error| error.to_string())?;
        if !status.success() {
            return Err(format!("cargo ended with {status}"));
        }
        let messages = String::from_utf8_lossy(&stdout);
        let mut executables = messages.lines().filter_map(|line| self.executable_of(line));
        executables
            .next_back()
            .ok_or_else(|| format!("cargo reports no executable of a bench target {}", self.target))
    }

    /// The executable in a message of cargo, if it is that of the target.
    fn executable_of(&self, message: &str) -> Option<PathBuf> {
        let message: Message = serde_json::from_str(message).ok()?;
        let target = message.target?;
        let is_it = target.name == self.target && target.kind.iter().any(|kind| kind == "bench");
        message.executable.filter(|_| is_it)
    }

    /// The command that starts `executable` as cargo would.
    pub(super) fn words_of(self, executable: &str) -> Vec<String> {
        let executable = executable.to_owned();
        [executable].into_iter().chain(self.arguments).collect()
    }
}

pub(super) fn file_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// The fields of a cargo message that are read.
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Option<CargoBench>> {
        CargoBench::of(&shlex::split(line).expect("words"))
    }

    #[test]
    fn what_is_built_and_what_is_started_are_told_apart() {
        for (line, cargo, arguments) in [
            ("cargo bench --bench quick", "cargo bench", "--bench"),
            (
                "cargo +nightly bench --bench=quick --no-default-features -j 2",
                "cargo +nightly bench --no-default-features -j 2",
                "--bench",
            ),
            (
                "/usr/bin/cargo --locked bench --manifest-path a/Cargo.toml --bench quick decode -- --sample-size 20",
                "/usr/bin/cargo --locked bench --manifest-path a/Cargo.toml",
                "--bench decode --sample-size 20",
            ),
            (
                "cargo bench --no-run --message-format json --bench quick --features=x",
                "cargo bench --features=x",
                "--bench",
            ),
        ] {
            let bench = of(line).expect(line).expect("cargo");
            assert_eq!(bench.target, "quick", "{line}");
            assert_eq!(bench.cargo.join(" "), cargo, "{line}");
            assert_eq!(bench.arguments.join(" "), arguments, "{line}");
        }
        assert_eq!(of("./quick --bench").expect("another program"), None);
    }

    #[test]
    fn what_runs_something_else_is_refused_with_what_to_write() {
        for (line, reason) in [
            ("cargo bench", "runs several bench targets"),
            ("cargo bench -- --bench quick", "runs several bench targets"),
            ("cargo bench --bench", "runs several bench targets"),
            ("cargo bench --bench quick --bench table", "runs several targets"),
            ("cargo bench --benches", "runs several targets"),
            ("cargo bench --bench quick --lib", "runs several targets"),
            ("cargo", "starts no bench target"),
            ("cargo run --bench quick", "starts no bench target"),
            ("cargo rkllm-bench gate", "starts no bench target"),
            ("cargo criterion --bench quick", "starts no bench target"),
        ] {
            let text = of(line).expect_err(line).to_string();
            assert!(
                text.contains(reason) && text.contains("`cargo bench --bench quick`"),
                "{line}: {text}"
            );
        }
    }

    #[test]
    fn the_executable_is_the_one_of_the_target() {
        let bench = of("cargo bench --bench quick").expect("fine").expect("cargo");
        for (message, expected) in [
            (
                r#"{"target":{"name":"quick","kind":["bench"]},"executable":"/t/quick-0"}"#,
                Some("/t/quick-0"),
            ),
            (
                r#"{"target":{"name":"quick","kind":["example"]},"executable":"/t/quick-1"}"#,
                None,
            ),
            (
                r#"{"target":{"name":"table","kind":["bench"]},"executable":"/t/table-0"}"#,
                None,
            ),
            (
                r#"{"target":{"name":"quick","kind":["bench"]},"executable":null}"#,
                None,
            ),
            ("Compiling", None),
        ] {
            assert_eq!(
                bench.executable_of(message),
                expected.map(PathBuf::from),
                "{message}"
            );
        }
    }
}
