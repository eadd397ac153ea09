//! A bench process's part in taking turns.

use std::io::{Error as IoError, ErrorKind, Read as _, Result as IoResult, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{GIVE, VARIABLE, YIELD};
use crate::base::IS_HOST;
use crate::base::error::{Error, Result};
use crate::base::signals;
use crate::measure::recorder::Stopped;

/// How often a wait looks whether the user asked to stop.
const TICK: Duration = Duration::from_millis(50);
/// How long a byte may take to be sent.
const SENDING: Duration = Duration::from_secs(5);

/// This process's part. Where no turns are taken it does nothing.
#[derive(Debug, Default)]
pub(crate) struct Participant {
    socket: Option<UnixStream>,
    path: PathBuf,
    waited: Duration,
    trouble: Option<Error>,
}

impl Participant {
    /// Takes part where [`VARIABLE`] names a socket. Not with an NPU runtime: its process must keep the NPU until it ends,
    /// and so it keeps its turn.
    ///
    /// # Errors
    /// [`Error::Turns`] when there is no such socket.
    pub(crate) fn take() -> Result<Self> {
        match std::env::var_os(VARIABLE) {
            Some(path) if IS_HOST => Self::by_socket(Path::new(&path)),
            _ => Ok(Self::default()),
        }
    }

    fn by_socket(path: &Path) -> Result<Self> {
        let failed = |source| Error::Turns {
            socket: path.to_owned(),
            source,
        };
        let socket = UnixStream::connect(path).map_err(failed)?;
        socket.set_read_timeout(Some(TICK)).map_err(failed)?;
        socket.set_write_timeout(Some(SENDING)).map_err(failed)?;
        Ok(Self {
            socket: Some(socket),
            path: path.to_owned(),
            ..Self::default()
        })
    }

    /// Gives the turn back and waits for the next.
    ///
    /// # Errors
    /// [`Stopped`] when the user asked for it, or when nobody gives turns any more: that is then the [trouble](Self::trouble).
    pub(crate) fn next(&mut self) -> Result<(), Stopped> {
        let Some(socket) = &mut self.socket else {
            return Ok(());
        };
        let start = Instant::now();
        let outcome = wait(socket);
        self.waited += start.elapsed();
        match outcome {
            Ok(true) => Ok(()),
            Ok(false) => Err(Stopped),
            Err(source) => {
                self.trouble = Some(Error::Turns {
                    socket: self.path.clone(),
                    source,
                });
                Err(Stopped)
            }
        }
    }

    /// Time spent waiting for turns.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    /// What kept this process from its turns.
    pub(crate) fn trouble(self) -> Option<Error> {
        self.trouble
    }
}

/// Whether the next turn came; `false` when the user asked to stop instead.
fn wait(socket: &mut UnixStream) -> IoResult<bool> {
    let gone = || {
        IoError::new(
            ErrorKind::UnexpectedEof,
            "the program that gives the turns has ended",
        )
    };
    socket.write_all(&[YIELD]).map_err(|_| gone())?;
    let mut answer = [0];
    // Without a deadline: the other one's turn may take as long as its model's loading. The giver's end ends it.
    loop {
        match socket.read(&mut answer) {
            Ok(1) if answer == [GIVE] => return Ok(true),
            Ok(0) => return Err(gone()),
            Ok(_) => {
                return Err(IoError::new(
                    ErrorKind::InvalidData,
                    "it is no socket that gives turns",
                ));
            }
            Err(error) if is_pause(&error) => {}
            Err(error) => return Err(error),
        }
        if signals::is_stopped() {
            return Ok(false);
        }
    }
}

/// Whether a read ended without data because its time was over or a signal came.
pub(super) fn is_pause(error: &IoError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
