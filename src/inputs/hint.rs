//! Commands in messages, written so that users can paste them where the message was printed.

use std::path::{Path, PathBuf};

#[cfg(not(test))]
use crate::base::IS_HOST;
#[cfg(not(test))]
use crate::base::paths;
use crate::inputs::prompts::{OF_SERVER, Suite};

/// The name of this package's program.
pub(crate) const PROGRAM: &str = "rkllm-bench";
/// The folder of this package at build time.
const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

/// The program `rkllm-bench` with arguments.
pub(crate) fn tool(arguments: &[&str]) -> String {
    quoted(
        here()
            .tool()
            .iter()
            .map(String::as_str)
            .chain(arguments.iter().copied()),
    )
}

/// The same for root, who has another `PATH`.
pub(crate) fn tool_as_root(arguments: &[&str]) -> String {
    let program = here().program_file();
    let words = ["sudo", program.as_str()].into_iter();
    quoted(words.chain(arguments.iter().copied()))
}

/// The bench target that measures the suite `suite`; all targets for a suite that is not ours.
pub(crate) fn bench(suite: &str) -> String {
    let mut words = here().cargo_bench();
    words.extend(target_of(suite));
    quoted(words.iter().map(String::as_str))
}

/// The bench targets that a bare `cargo bench` runs.
pub(crate) fn benches() -> String {
    quoted(here().cargo_bench().iter().map(String::as_str))
}

/// The arguments that choose the bench target of a suite.
fn target_of(suite: &str) -> Vec<String> {
    let words: Vec<&str> = match suite.strip_prefix(OF_SERVER) {
        None if Suite::names().any(|name| name == suite) => vec!["--bench", suite],
        None => vec![],
        // The name may end in a number of clients.
        Some(of_server) => {
            let numbered = of_server
                .rsplit_once("-c")
                .filter(|(_, clients)| clients.parse::<u16>().is_ok());
            let suite = numbered.map_or(of_server, |(suite, _)| suite);
            let mut words = vec!["--bench", "server", "--", "--suite", suite];
            if let Some((_, clients)) = numbered {
                words.extend(["--concurrency", clients]);
            }
            words
        }
    };
    words.into_iter().map(str::to_owned).collect()
}

/// Words, quoted for a shell.
pub(crate) fn quoted<'a>(words: impl Iterator<Item = &'a str> + Clone) -> String {
    // A word with a NUL cannot be an argument.
    shlex::try_join(words.clone()).unwrap_or_else(|_| words.collect::<Vec<_>>().join(" "))
}

/// The surroundings of a process that decide how the program is called from there.
#[derive(Debug, Clone)]
struct Surroundings {
    /// The first word of the command line if it leads to the running file; else that file.
    started_as: String,
    /// The running file.
    executable: PathBuf,
    /// The package that cargo started it for.
    package: Option<PathBuf>,
    /// The working directory.
    directory: PathBuf,
    /// Cargo's target folder.
    target: PathBuf,
    /// Whether it uses the host runtime, which cargo builds without flags.
    is_host: bool,
    /// Whether `PATH` has a program with this name.
    is_installed: bool,
}

impl Surroundings {
    fn tool(&self) -> Vec<String> {
        let word = |word: &str| vec![word.to_owned()];
        let is_program = self.is_program();
        if is_program && !self.started_as.contains('/') {
            return word(PROGRAM);
        }
        // The alias from .cargo/config.toml of the checkout, which builds with the default features.
        let has_alias = self.directory.starts_with(PACKAGE) && self.is_host;
        if has_alias && self.package.as_deref() == Some(Path::new(PACKAGE)) {
            return ["cargo", PROGRAM].map(str::to_owned).to_vec();
        }
        if is_program {
            return word(&self.started_as);
        }
        if let Some(file) = self.sibling() {
            return word(&file.to_string_lossy());
        }
        if self.is_installed || !Path::new(PACKAGE).join("Cargo.toml").is_file() {
            return word(PROGRAM);
        }
        self.built_from_sources()
    }

    /// The program, built from the sources that a package depends on. It uses the target folder of that package, and so
    /// its results.
    fn built_from_sources(&self) -> Vec<String> {
        let manifest = format!("{PACKAGE}/Cargo.toml");
        let target = self.target.to_string_lossy();
        let mut words = vec![
            "cargo",
            "run",
            "--release",
            "--quiet",
            "--manifest-path",
            &manifest,
        ];
        if !self.is_host {
            words.push("--no-default-features");
        }
        words.extend(["--target-dir", &*target, "--bin", PROGRAM, "--"]);
        words.into_iter().map(str::to_owned).collect()
    }

    /// The file of the program, or its name if there is none.
    fn program_file(&self) -> String {
        let file = if self.is_program() {
            Some(self.executable.clone())
        } else {
            self.sibling()
        };
        file.map_or_else(|| PROGRAM.to_owned(), |file| file.to_string_lossy().into_owned())
    }

    fn is_program(&self) -> bool {
        self.executable.file_name().is_some_and(|name| name == PROGRAM)
    }

    /// The program that cargo built beside a bench executable, which is in `deps`.
    fn sibling(&self) -> Option<PathBuf> {
        let file = self.executable.parent()?.parent()?.join(PROGRAM);
        file.is_file().then_some(file)
    }

    fn cargo_bench(&self) -> Vec<String> {
        let mut words = vec!["cargo".to_owned(), "bench".to_owned()];
        if !self.is_host {
            words.push("--no-default-features".to_owned());
        }
        words
    }
}

/// The surroundings of this process.
#[cfg(not(test))]
fn here() -> Surroundings {
    let executable = paths::program();
    Surroundings {
        started_as: started_as(&executable),
        executable,
        package: std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from),
        directory: std::env::current_dir().unwrap_or_default(),
        target: paths::target_dir(),
        is_host: IS_HOST,
        is_installed: paths::find_program(PROGRAM).is_some(),
    }
}

/// The parent process chooses the first word, which may be anything.
#[cfg(not(test))]
fn started_as(executable: &Path) -> String {
    let word = std::env::args_os().next().unwrap_or_default();
    let word = word.to_string_lossy();
    let found = paths::find_program(&word);
    if found.is_some_and(|file| paths::is_running(&file)) {
        word.into_owned()
    } else {
        executable.to_string_lossy().into_owned()
    }
}

/// For the tests of this crate, which run anywhere: an installed program.
#[cfg(test)]
fn here() -> Surroundings {
    Surroundings {
        started_as: PROGRAM.to_owned(),
        executable: PROGRAM.into(),
        package: None,
        directory: "/".into(),
        target: "target".into(),
        is_host: true,
        is_installed: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::foreign::Shown as _;

    fn joined(surroundings: &Surroundings) -> String {
        surroundings.tool().join(" ")
    }

    #[test]
    fn the_program_is_named_as_it_can_be_called_from_where_it_runs() {
        let by_path = Surroundings {
            started_as: "target/release/rkllm-bench".into(),
            executable: format!("{PACKAGE}/target/release/rkllm-bench").into(),
            directory: PACKAGE.into(),
            ..here()
        };
        assert_eq!(joined(&here()), "rkllm-bench");
        assert_eq!(joined(&by_path), "target/release/rkllm-bench");
        let by_cargo = Surroundings {
            package: Some(PACKAGE.into()),
            ..by_path.clone()
        };
        assert_eq!(joined(&by_cargo), "cargo rkllm-bench");
        // The alias works only below the checkout, and builds for the host runtime.
        for elsewhere in [
            Surroundings {
                directory: "/".into(),
                ..by_cargo.clone()
            },
            Surroundings {
                is_host: false,
                ..by_cargo
            },
        ] {
            assert_eq!(joined(&elsewhere), "target/release/rkllm-bench");
        }
        assert_eq!(
            by_path.program_file(),
            format!("{PACKAGE}/target/release/rkllm-bench")
        );
    }

    #[test]
    fn a_bench_target_names_the_program_that_was_built_with_it_or_how_to_build_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let bench = Surroundings {
            started_as: "deps/quick-0".into(),
            executable: dir.path().join("deps/quick-0"),
            package: Some("/elsewhere".into()),
            directory: "/elsewhere".into(),
            is_installed: false,
            target: "/elsewhere/target".into(),
            ..here()
        };
        assert_eq!(
            joined(&bench),
            format!(
                "cargo run --release --quiet --manifest-path {PACKAGE}/Cargo.toml --target-dir /elsewhere/target \
                 --bin rkllm-bench --"
            )
        );
        let installed = Surroundings {
            is_installed: true,
            ..bench.clone()
        };
        assert_eq!(joined(&installed), "rkllm-bench");
        let file = dir.path().join(PROGRAM);
        std::fs::write(&file, "").expect("written");
        assert_eq!(joined(&bench), file.shown().to_string());
        assert_eq!(bench.program_file(), file.shown().to_string());
        let in_checkout = Surroundings {
            package: Some(PACKAGE.into()),
            directory: PACKAGE.into(),
            ..bench
        };
        assert_eq!(joined(&in_checkout), "cargo rkllm-bench");
    }

    #[test]
    fn arguments_are_quoted_and_a_suite_has_its_target() {
        assert_eq!(
            tool(&["report", "my runs/a.json"]),
            "rkllm-bench report 'my runs/a.json'"
        );
        assert_eq!(tool_as_root(&["pin"]), "sudo rkllm-bench pin");
        assert_eq!(benches(), "cargo bench");
        for (suite, expected) in [
            ("quick", "cargo bench --bench quick"),
            ("table", "cargo bench --bench table"),
            ("mine", "cargo bench"),
            ("server-quick", "cargo bench --bench server -- --suite quick"),
            (
                "server-my-c-suite-c4",
                "cargo bench --bench server -- --suite my-c-suite --concurrency 4",
            ),
        ] {
            assert_eq!(bench(suite), expected);
        }
    }
}
