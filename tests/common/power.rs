//! What a power cut leaves of what a program wrote: its system calls, as strace logs them, on a model of a disk.
//!
//! The model promises no more than POSIX does. Contents are stored by a sync of the file, names by a sync of their folder. Before
//! that each change of a name may be stored or lost, and contents are whatever the disk had of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{command, run, text_of};

/// Calls that change files, on all machines; `?`: some machines have no such call.
const CALLS: &str = "?open,openat,?creat,write,writev,pwrite64,ftruncate,fsync,fdatasync,?rename,?renameat,renameat2,?link,\
                     linkat,?unlink,unlinkat,?mkdir,mkdirat,?rmdir";

/// A call that succeeded: its name, its arguments and its result, with the path of each descriptor.
#[derive(Debug, Clone)]
pub struct Call(pub String);

/// Whether strace may trace a process here. A container may forbid it.
pub fn can_trace() -> bool {
    Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a command under strace to its end, which may be a verdict, and gives its calls and those of its children.
#[track_caller]
pub fn traced(traced: &Command, log: &Path) -> Vec<Call> {
    let mut strace = command("strace");
    strace
        .args(["-f", "--seccomp-bpf", "-y", "-s", "0", "-e", "signal=none"])
        .args(["-e", &format!("trace={CALLS}"), "-o"])
        .arg(log)
        .arg(traced.get_program())
        .args(traced.get_args());
    for (name, value) in traced.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    if let Some(folder) = traced.get_current_dir() {
        strace.current_dir(folder);
    }
    let output = run(&mut strace);
    let can_be = [0, 1, 2].map(Some);
    assert!(can_be.contains(&output.status.code()), "{}", text_of(&output));
    calls(&std::fs::read_to_string(log).expect("a log"))
}

/// The calls of a log, each where it ended.
fn calls(log: &str) -> Vec<Call> {
    let mut begun = HashMap::new();
    let mut calls = Vec::new();
    for line in log.lines() {
        let (pid, text) = line.split_once(' ').expect("a process and its call");
        let text = text.trim_start();
        let whole = if let Some(head) = text.strip_suffix(" <unfinished ...>") {
            begun.insert(pid, head.to_owned());
            continue;
        } else if let Some(resumed) = text.strip_prefix("<... ") {
            let tail = resumed.split_once(" resumed>").expect("the rest").1;
            begun.remove(pid).expect("its beginning") + tail
        } else {
            text.to_owned()
        };
        if whole
            .rsplit_once(" = ")
            .is_some_and(|(_, result)| !result.starts_with(['-', '?']))
        {
            calls.push(Call(whole));
        }
    }
    calls
}

impl Call {
    fn name(&self) -> &str {
        self.0.split('(').next().expect("a name")
    }

    fn result(&self) -> &str {
        self.0.rsplit_once(" = ").expect("a result").1
    }

    /// The path of the descriptor that is the first argument.
    fn file(&self) -> PathBuf {
        self.0
            .split_once('<')
            .map_or("", |(_, rest)| between(rest))
            .into()
    }

    /// The paths among the arguments, each from the folder before it.
    fn paths(&self) -> Vec<PathBuf> {
        let arguments = self.0.rsplit_once(" = ").expect("a result").0;
        let quoted = arguments.split('"').collect::<Vec<_>>();
        let folder = |before: &str| {
            before
                .rsplit_once('<')
                .map_or("", |(_, rest)| between(rest))
                .to_owned()
        };
        quoted
            .chunks_exact(2)
            .map(|pair| Path::new(&folder(pair[0])).join(pair[1]))
            .collect()
    }

    /// Whether it is a sync of this file or folder.
    pub fn syncs(&self, is_meant: impl Fn(&Path) -> bool) -> bool {
        matches!(self.name(), "fsync" | "fdatasync") && is_meant(&self.file())
    }
}

/// Up to the end of a descriptor's path.
fn between(text: &str) -> &str {
    text.split_once('>').map_or(text, |(path, _)| path)
}

/// What a crash leaves of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Left {
    Nothing,
    /// A file of this number, with all that this many writes put into it.
    Whole(usize, u64),
    /// What was synced of it, and something behind that.
    Grown(usize),
    /// Anything.
    Torn(usize),
}

#[derive(Debug, Clone, Copy, Default)]
struct Contents {
    writes: u64,
    /// How many of them are stored, if the file was synced at all.
    synced: Option<u64>,
}

/// A name that comes to lead to a file, or to nothing.
#[derive(Debug, Clone)]
struct Change {
    names: Vec<(PathBuf, Option<usize>)>,
}

/// A disk, and what processes see of it.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    files: Vec<Contents>,
    seen: BTreeMap<PathBuf, usize>,
    stored: BTreeMap<PathBuf, usize>,
    pending: Vec<Change>,
}

impl Disk {
    /// All below `root` is stored.
    pub fn of(root: &Path) -> Self {
        let mut disk = Self::default();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            disk.store(&folder);
            for entry in std::fs::read_dir(&folder).expect("listed") {
                let path = entry.expect("listed").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    disk.store(&path);
                }
            }
        }
        disk
    }

    fn store(&mut self, path: &Path) {
        let file = self.add(Some(0));
        self.seen.insert(path.to_owned(), file);
        self.stored.insert(path.to_owned(), file);
    }

    fn add(&mut self, synced: Option<u64>) -> usize {
        self.files.push(Contents { writes: 0, synced });
        self.files.len() - 1
    }

    /// What processes see below `folder`.
    pub fn below(&self, folder: &Path) -> Vec<PathBuf> {
        let inside = self
            .seen
            .keys()
            .filter(|path| path.starts_with(folder) && *path != folder);
        inside.cloned().collect()
    }

    /// The file that processes see, all of it.
    pub fn whole(&self, path: &Path) -> Left {
        let file = self.seen.get(path);
        file.map_or(Left::Nothing, |file| Left::Whole(*file, self.files[*file].writes))
    }

    /// What a crash may leave at `path`.
    pub fn after_crash(&self, path: &Path) -> BTreeSet<Left> {
        let concerns = |change: &&Change| change.names.iter().any(|(name, _)| path.starts_with(name));
        let open: Vec<&Change> = self.pending.iter().filter(concerns).collect();
        assert!(open.len() < 12, "too many to try: {open:?}");
        (0..1_u32 << open.len())
            .map(|chosen| {
                let mut names = self.stored.clone();
                for (bit, change) in open.iter().enumerate() {
                    if chosen & (1 << bit) != 0 {
                        apply(&mut names, change);
                    }
                }
                self.left(&names, path)
            })
            .collect()
    }

    fn left(&self, names: &BTreeMap<PathBuf, usize>, path: &Path) -> Left {
        // A folder that processes do not see is none of this disk.
        let is_reached = path
            .ancestors()
            .filter(|folder| self.seen.contains_key(*folder))
            .all(|folder| names.contains_key(folder));
        let Some(file) = names.get(path).filter(|_| is_reached) else {
            return Left::Nothing;
        };
        let contents = self.files[*file];
        match contents.synced {
            Some(synced) if synced == contents.writes => Left::Whole(*file, synced),
            Some(_) => Left::Grown(*file),
            None => Left::Torn(*file),
        }
    }

    pub fn make(&mut self, call: &Call) {
        match call.name() {
            "open" | "openat" | "creat" => {
                let path: PathBuf = call
                    .result()
                    .split_once('<')
                    .map_or("", |(_, rest)| between(rest))
                    .into();
                if call.0.contains("O_CREAT") && !self.seen.contains_key(&path) {
                    let file = self.add(None);
                    self.change(vec![(path, Some(file))]);
                } else if call.0.contains("O_TRUNC") {
                    self.write(&path, true);
                }
            }
            "write" | "writev" | "pwrite64" => self.write(&call.file(), false),
            "ftruncate" => self.write(&call.file(), true),
            "fsync" | "fdatasync" => self.sync(&call.file()),
            "mkdir" | "mkdirat" => {
                let folder = self.add(Some(0));
                self.change(vec![(call.paths().remove(0), Some(folder))]);
            }
            "unlink" | "unlinkat" | "rmdir" => self.change(vec![(call.paths().remove(0), None)]),
            "rename" | "renameat" | "renameat2" | "link" | "linkat" => {
                let paths = call.paths();
                let file = self.seen.get(&paths[0]).copied();
                let mut names = vec![(paths[1].clone(), file)];
                if call.name().starts_with("rename") {
                    names.push((paths[0].clone(), None));
                }
                // Within a folder that is one change, else one of each.
                if paths[0].parent() == paths[1].parent() {
                    self.change(names);
                } else {
                    for name in names {
                        self.change(vec![name]);
                    }
                }
            }
            other => panic!("{other} is not in the model"),
        }
    }

    fn write(&mut self, path: &Path, cuts: bool) {
        if let Some(file) = self.seen.get(path) {
            let contents = &mut self.files[*file];
            contents.writes += 1;
            contents.synced = contents.synced.filter(|_| !cuts);
        }
    }

    fn sync(&mut self, path: &Path) {
        let Some(file) = self.seen.get(path) else {
            return;
        };
        let contents = &mut self.files[*file];
        contents.synced = Some(contents.writes);
        for change in std::mem::take(&mut self.pending) {
            if change.names.iter().any(|(name, _)| name.parent() == Some(path)) {
                apply(&mut self.stored, &change);
            } else {
                self.pending.push(change);
            }
        }
    }

    fn change(&mut self, names: Vec<(PathBuf, Option<usize>)>) {
        let change = Change { names };
        apply(&mut self.seen, &change);
        self.pending.push(change);
    }
}

fn apply(names: &mut BTreeMap<PathBuf, usize>, change: &Change) {
    for (name, file) in &change.names {
        match file {
            Some(file) => names.insert(name.clone(), *file),
            None => names.remove(name),
        };
    }
}
