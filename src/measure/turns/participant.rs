//! The bench process's side of taking turns.

use std::io::{Error as IoError, ErrorKind, Read as _, Result as IoResult, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{GIVE, VARIABLE, YIELD};
use crate::base::IS_HOST;
use crate::base::error::{Error, Result};
use crate::base::signals;
use crate::measure::recorder::Stopped;

/// How often a wait checks whether the user asked to stop.
const TICK: Duration = Duration::from_millis(50);
/// How long sending a byte may take.
const SENDING: Duration = Duration::from_secs(5);

/// This process's connection for turns. Without turns it does nothing.
#[derive(Debug, Default)]
pub(crate) struct Participant {
    socket: Option<UnixStream>,
    path: PathBuf,
    waited: Duration,
    trouble: Option<Error>,
}

impl Participant {
    /// Connects if [`VARIABLE`] names a socket. With an NPU runtime it does not, because its process holds the NPU
    /// until it ends, and so keeps its turn.
    ///
    /// # Errors
    /// [`Error::Turns`] if the socket does not exist.
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
    /// [`Stopped`] if the user asked for it, or if the connection failed; [`trouble`](Self::trouble) then has the
    /// error.
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

    /// The error that ended the turns.
    pub(crate) fn trouble(self) -> Option<Error> {
        self.trouble
    }
}

/// Waits for the next turn. Returns `false` if the user asked to stop instead.
fn wait(socket: &mut UnixStream) -> IoResult<bool> {
    let gone = || {
        IoError::new(
            ErrorKind::UnexpectedEof,
            "the program that gives the turns has ended",
        )
    };
    socket.write_all(&[YIELD]).map_err(|_| gone())?;
    let mut answer = [0];
    // No deadline: the other side's turn may include loading its model. If the program that gives the turns ends, so
    // does this.
    loop {
        match socket.read(&mut answer) {
            Ok(1) if answer == [GIVE] => return Ok(true),
            Ok(0) => return Err(gone()),
            Ok(_) => {
                return Err(IoError::new(
                    ErrorKind::InvalidData,
                    "the socket does not give turns",
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

/// Whether a read ended without data because of a timeout or a signal.
pub(super) fn is_pause(error: &IoError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
