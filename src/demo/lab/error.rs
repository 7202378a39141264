//! What can go wrong in a lab, said so that one can act on it.

use std::io;
use std::time::Duration;

/// Why a lab could not be built or used.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Namespaces are root's.
    #[error("network namespaces need root: run it again with sudo")]
    NotRoot,
    /// A program that is not installed.
    #[error("the program `{program}` is missing: install it with `apt-get install {package}`")]
    MissingProgram {
        /// Its name.
        program: String,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// The kernel has no TUN driver, or this container does not show it.
    #[error("/dev/net/tun is missing: load the driver with `modprobe tun`, or give the container that device")]
    NoTun,
    /// A program failed.
    #[error("`{command}` failed ({status}): {message}")]
    Command {
        /// What was run.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it wrote to standard error.
        message: String,
    },
    /// Something did not come about in time.
    #[error("{what} did not happen within {within:?}: {last}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        within: Duration,
        /// What was seen last.
        last: String,
    },
    /// The operating system refused something.
    #[error("{action}: {source}")]
    Io {
        /// What was tried.
        action: String,
        /// Its answer.
        source: io::Error,
    },
}

/// Gives an I/O error the words that say what was tried.
pub(crate) trait During<T> {
    /// Names the action that failed.
    fn during(self, action: impl FnOnce() -> String) -> Result<T, LabError>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, action: impl FnOnce() -> String) -> Result<T, LabError> {
        self.map_err(|source| LabError::Io { action: action(), source })
    }
}
