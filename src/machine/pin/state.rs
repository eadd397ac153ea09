//! The file that records what a pin found, so that it can be restored.

use std::fs::{self, DirBuilder, Metadata, OpenOptions, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::knob::{Knob, Node};
use super::plan::Write;
use crate::base::atomic::{self, Existing};
use crate::base::error::{Error, Result};
use crate::base::foreign::Shown as _;
use crate::base::json::{Object, clip};
use crate::machine::board::{Board, Files};

/// Its path below the root, in a folder that a reboot empties: a reboot also undoes the pin.
const FOLDER: &str = "run/rkllm-bench";
/// Version of the file format.
const SCHEMA_VERSION: u32 = 1;
/// Most bytes that are read: a board has about twenty entries.
const MOST_BYTES: u64 = 256 * 1024;

/// Path of the state file of the machine below `root`.
pub(crate) fn path(root: &Path) -> PathBuf {
    root.join(FOLDER).join("pin.json")
}

/// Path of the lock that a process holds while it changes clocks or runs a command.
pub(crate) fn lock_path(root: &Path) -> PathBuf {
    root.join(FOLDER).join("pin.lock")
}

/// A file that was changed or was about to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Saved {
    pub(crate) node: Node,
    pub(crate) knob: Knob,
    /// Its old value; absent if there was nothing to restore.
    pub(crate) from: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    schema_version: u32,
    board: Option<String>,
    soc: Option<String>,
    boot_id: Option<String>,
    saved: Vec<Saved>,
}

/// The state file and its contents.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    contents: Contents,
}

/// The state that an earlier pin left.
#[derive(Debug)]
pub(crate) enum Left {
    /// Nothing.
    Nothing,
    /// A pin of this boot.
    Pin(StateFile),
    /// A pin before the last reboot, which undid it: there is nothing to restore.
    Outdated(StateFile),
}

impl StateFile {
    /// A new state file for the machine below `root`; nothing is written yet.
    pub(crate) fn new(root: &Path, board: &Board) -> Self {
        Self {
            path: path(root),
            contents: Contents {
                schema_version: SCHEMA_VERSION,
                board: board.name.clone(),
                soc: board.soc.clone(),
                boot_id: Files::below(root).value("proc/sys/kernel/random/boot_id"),
                saved: Vec::new(),
            },
        }
    }

    /// The state file that an earlier pin left.
    ///
    /// # Errors
    /// [`Error::Pin`] if it is not a state file, or belongs to another board.
    pub(crate) fn left(root: &Path, board: &Board) -> Result<Left> {
        let here = Self::new(root, board);
        let Some(contents) = read(&here.path)? else {
            return Ok(Left::Nothing);
        };
        let refuse = |why: &str| Err(unusable(&here.path, why));
        if contents.schema_version != SCHEMA_VERSION {
            return refuse("it is of another version of rkllm-bench");
        }
        if (&contents.board, &contents.soc) != (&here.contents.board, &here.contents.soc) {
            return refuse("it is of another board");
        }
        let plausible = |saved: &Saved| {
            saved.node.is_plain() && saved.from.as_ref().is_none_or(|from| saved.knob.can_hold(from))
        };
        if !contents.saved.iter().all(plausible) {
            return refuse("it names a file or a value that no pin changes");
        }
        let same_boot = contents.boot_id == here.contents.boot_id;
        let state = Self { contents, ..here };
        Ok(if same_boot {
            Left::Pin(state)
        } else {
            Left::Outdated(state)
        })
    }

    /// Its entries, in the order of the writes.
    pub(super) fn saved(&self) -> &[Saved] {
        &self.contents.saved
    }

    /// Records the value in a file that is about to be written.
    pub(super) fn remember(&mut self, write: &Write) -> Result<()> {
        self.contents.saved.push(Saved {
            node: write.node.clone(),
            knob: write.knob,
            from: write.from.clone(),
        });
        self.save()
    }

    /// Keeps only these entries.
    pub(super) fn keep(&mut self, saved: Vec<Saved>) -> Result<()> {
        self.contents.saved = saved;
        self.save()
    }

    fn save(&self) -> Result<()> {
        atomic::write_json(&self.path, &self.contents, Existing::Replace)?;
        // Regardless of the umask: a file that others can write is not read back.
        fs::set_permissions(&self.path, Permissions::from_mode(0o644)).map_err(Error::io(&self.path))
    }

    /// Removes the file, if it exists.
    pub(crate) fn remove(&self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&self.path)(error)),
            _ => Ok(()),
        }
    }
}

/// Creates the folder of the state file and the lock below `root`, and refuses one that root cannot trust.
///
/// # Errors
/// [`Error::Pin`] for a folder of another user or one that others can write to, [`Error::Io`] if it cannot be created.
pub(crate) fn make_folder(root: &Path) -> Result<()> {
    let folder = root.join(FOLDER);
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&folder)
        .map_err(Error::io(&folder))?;
    folder
        .ancestors()
        .take_while(|above| above.starts_with(root))
        .try_for_each(atomic::sync_folder)?;
    let meta = folder.symlink_metadata().map_err(Error::io(&folder))?;
    match distrust(&meta) {
        None if meta.is_dir() => Ok(()),
        why => Err(unusable(&folder, why.unwrap_or("it is a link, not a folder"))),
    }
}

/// Why root must not trust a file or folder: anybody could have written it.
fn distrust(meta: &Metadata) -> Option<&'static str> {
    const FOR_OTHERS: u32 = 0o022;
    if !rustix::process::geteuid().is_root() {
        None
    } else if meta.uid() != 0 {
        Some("its owner is not root")
    } else if meta.mode() & FOR_OTHERS != 0 {
        Some("users other than root can write to it")
    } else {
        None
    }
}

fn read(path: &Path) -> Result<Option<Contents>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_NOFOLLOW)
        .open(path);
    let file = match file {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path, &error.to_string())),
    };
    let meta = file
        .metadata()
        .map_err(|error| unusable(path, &error.to_string()))?;
    if let Some(why) = distrust(&meta) {
        return Err(unusable(path, why));
    }
    if !meta.is_file() {
        return Err(unusable(path, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| unusable(path, &error.to_string()))?;
    serde_json::from_slice(&bytes)
        .map(|Object(contents)| Some(contents))
        .map_err(|error| unusable(path, &clip(&error.to_string())))
}

fn unusable(path: &Path, why: &str) -> Error {
    Error::Pin(format!(
        "{path}: this record of what a pin changed cannot be used: {why}. Nothing was changed. Remove it; a \
         reboot restores the clocks",
        path = path.shown()
    ))
}
