//! The commit of a package's checkout.
//!
//! It calls the program `git`. Libraries that check whether a work tree is clean are larger than this whole crate, and
//! a machine with a checkout usually has git.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use crate::base::child::ended_within;
use crate::base::signals;
use crate::base::wait::received;

/// Time limit for git. A work tree on a slow card is read faster than this. One on a lost network drive never is.
const DEADLINE: Duration = Duration::from_secs(5);

/// Variables that select another repository or parts of one (`git rev-parse --local-env-vars`). Git sets them for its
/// hooks, and they take precedence over the folder.
const OF_ANOTHER_REPOSITORY: [&str; 12] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// A commit, and whether the work tree matched it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Git {
    /// Hash of the commit that was checked out, hexadecimal.
    pub revision: String,
    /// Whether no tracked file differed from that commit. Untracked files do not count.
    pub clean: bool,
}

impl Git {
    /// The commit of the work tree that contains `folder`. Absent without git, without a repository or before the first
    /// commit. Also absent if git takes longer than five seconds or refuses, as in another user's checkout.
    pub fn of_work_tree(folder: &Path) -> Option<Self> {
        Self::asked_of("git", folder, DEADLINE)
    }

    fn asked_of(program: &str, folder: &Path, deadline: Duration) -> Option<Self> {
        let mut command = Command::new(program);
        for variable in OF_ANOTHER_REPOSITORY {
            command.env_remove(variable);
        }
        command
            // The repository chooses the monitor program, which may keep running.
            .args(["-c", "core.fsmonitor=false"])
            .args(["status", "--porcelain=v2", "--branch", "--untracked-files=no"])
            .current_dir(folder)
            // Only read: do not refresh an index that a build may use at the same time.
            .env("GIT_OPTIONAL_LOCKS", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Its own group, so that it can be killed with all its children.
            .process_group(0);
        let mut child = command.spawn().ok()?;
        let text = output_within(&mut child, deadline);
        // It may keep running after it closed its output.
        let status = text
            .as_ref()
            .and_then(|_| ended_within(&mut child, deadline, signals::is_stopped));
        if status.is_none() {
            // Do not wait for it: a process blocked on a lost drive does not end.
            let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw)?;
            let _ = kill_process_group(group, Signal::KILL);
        }
        status?.success().then_some(())?;
        Self::of_status(&text?)
    }

    /// Of what `git status --porcelain=v2 --branch` printed.
    fn of_status(text: &str) -> Option<Self> {
        let revision = text
            .lines()
            .find_map(|line| line.strip_prefix("# branch.oid "))
            .filter(|revision| is_revision(revision))?;
        Some(Self {
            revision: revision.to_owned(),
            clean: text.lines().all(|line| line.starts_with('#')),
        })
    }

    /// For people: the first twelve digits, enough for any repository, and whether files differed.
    pub fn short(&self) -> String {
        let short: String = self.revision.chars().take(12).collect();
        if self.clean {
            short
        } else {
            format!("{short} with changes")
        }
    }
}

/// Whether a text is a commit's hash: SHA-1 or SHA-256.
pub(super) fn is_revision(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    matches!(text.len(), 40 | 64) && text.bytes().all(is_digit)
}

/// All output of a child until it closes stdout. Absent if that takes longer than `deadline`.
fn output_within(child: &mut Child, deadline: Duration) -> Option<String> {
    let mut stdout = child.stdout.take()?;
    let (sender, text) = channel();
    // After the deadline this thread is left running. It ends when the pipe closes.
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.read_to_end(&mut bytes);
        let _ = sender.send(read.map(|_| bytes));
    });
    let bytes = received(&text, deadline).ok()?.ok()?;
    // Paths may be any bytes; they are not looked at.
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn a_status_gives_the_commit_and_whether_files_differ() {
        let of = |text: &str| Git::of_status(text).map(|git| (git.revision, git.clean));
        let head = format!("# branch.oid {HASH}\n# branch.head (detached)\n");
        assert_eq!(of(&head), Some((HASH.to_owned(), true)));
        let changed = format!("{head}1 .M N... 100644 100644 100644 {HASH} {HASH} # a file\n");
        assert_eq!(of(&changed), Some((HASH.to_owned(), false)));
        assert_eq!(of("# branch.oid (initial)\n# branch.head main\n"), None);
        assert_eq!(of(""), None);
        assert_eq!(of("# branch.oid 0123\n"), None);
    }

    #[test]
    fn in_words() {
        let git = |clean| Git {
            revision: HASH.into(),
            clean,
        };
        assert_eq!(git(true).short(), "0123456789ab");
        assert_eq!(git(false).short(), "0123456789ab with changes");
    }

    /// In git's place: a program that never ends and leaves a child behind that holds its output, one that closes its output
    /// and goes on, and none.
    #[test]
    fn a_git_that_hangs_or_is_missing_gives_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let program = dir.path().join("git");
        for body in ["sleep 1000 &\nsleep 1000", "exec sleep 1000 >&-"] {
            std::fs::write(&program, format!("#!/bin/sh\n{body}\n")).expect("written");
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("set");
            let hanging = program.to_str().expect("UTF-8");
            let outcome = Git::asked_of(hanging, dir.path(), Duration::from_millis(200));
            assert_eq!(outcome, None, "{body}");
        }
        assert_eq!(Git::asked_of("/no/such/git", dir.path(), DEADLINE), None);
        assert_eq!(Git::asked_of("git", Path::new("/no/such/folder"), DEADLINE), None);
    }
}
