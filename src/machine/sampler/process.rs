//! The process that runs the model, from its files in `/proc`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::reread::{again, ns};
use crate::base::file;

/// Most threads that are watched.
const MOST_THREADS: usize = 1024;

/// A process that is watched until it ends.
#[derive(Debug)]
pub(super) struct Process {
    pid: u32,
    /// A thread that does not work for the model.
    pub(super) ignored: Option<u32>,
    stat: Option<File>,
    statm: Option<File>,
    tasks: PathBuf,
    /// Its threads by id; empty before the first sample.
    threads: BTreeMap<u32, Thread>,
    waited_ns: Option<u64>,
}

#[derive(Debug)]
struct Thread {
    schedstat: File,
    waited_ns: u64,
}

/// One sample of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Seen {
    pub(super) rss_bytes: Option<u64>,
    pub(super) cpu_ns: Option<u64>,
    pub(super) waited_ns: Option<u64>,
}

impl Process {
    pub(super) fn open(root: &Path, pid: u32) -> Self {
        let folder = root.join(format!("proc/{pid}"));
        let open = |name: &str| file::open(&folder.join(name)).ok();
        Self {
            pid,
            ignored: None,
            stat: open("stat"),
            statm: open("statm"),
            tasks: folder.join("task"),
            threads: BTreeMap::new(),
            waited_ns: None,
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn look(&mut self, buffer: &mut [u8]) -> Seen {
        let statm = self.statm.as_ref().and_then(|file| again(file, buffer));
        let rss_bytes = statm.and_then(rss_bytes);
        let stat = self.stat.as_ref().and_then(|file| again(file, buffer));
        let cpu_ns = stat.and_then(cpu_ns);
        Seen {
            rss_bytes,
            cpu_ns,
            waited_ns: self.wait_more(buffer),
        }
    }

    /// Adds the waiting time of each thread since the last sample. The first sample adds nothing: its threads waited
    /// before it.
    fn wait_more(&mut self, buffer: &mut [u8]) -> Option<u64> {
        let tids = self.tids();
        self.threads.retain(|tid, _| tids.contains(tid));
        let mut sum = self.waited_ns;
        for tid in tids {
            let known = self.threads.get(&tid).map(|thread| thread.waited_ns);
            if known.is_none() {
                let path = self.tasks.join(format!("{tid}/schedstat"));
                let Ok(schedstat) = file::open(&path) else {
                    continue;
                };
                let waited_ns = 0;
                self.threads.insert(tid, Thread { schedstat, waited_ns });
            }
            let Some(thread) = self.threads.get_mut(&tid) else {
                continue;
            };
            let Some(now_ns) = again(&thread.schedstat, buffer).and_then(waited_ns) else {
                continue;
            };
            let before_ns = std::mem::replace(&mut thread.waited_ns, now_ns);
            let more_ns = now_ns.saturating_sub(before_ns);
            // It is unknown when the wait before the first sample happened.
            let counted = if self.waited_ns.is_some() { more_ns } else { 0 };
            sum = Some(sum.unwrap_or(0).saturating_add(counted));
        }
        self.waited_ns = sum;
        // A process without threads is gone.
        sum.filter(|_| !self.threads.is_empty())
    }

    fn tids(&self) -> Vec<u32> {
        let entries = fs::read_dir(&self.tasks).into_iter().flatten().take(MOST_THREADS);
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|tid| Some(*tid) != self.ignored)
            .collect()
    }
}

/// The second number of `/proc/<pid>/statm` is the resident set in pages (proc(5)).
fn rss_bytes(text: &str) -> Option<u64> {
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(u64::try_from(rustix::param::page_size()).ok()?)
}

/// `utime` and `stime` in `/proc/<pid>/stat`, fields 14 and 15 (proc(5)). Field 2 is the program name in parentheses,
/// which may contain any characters.
fn cpu_ns(text: &str) -> Option<u64> {
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let (user, system) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(ns(user).saturating_add(ns(system)))
}

/// `schedstat` has three numbers: time on a CPU and time spent waiting for one, both ns, and how often it ran (kernel's
/// documentation of scheduler statistics).
fn waited_ns(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().nth(1)?.parse().ok()
}
