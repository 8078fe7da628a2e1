//! What failed, doing what, to which file, at which line, and what follows. Made where it happens, printed once, in
//! `main`.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::text::Shown;

/// A failure that ends the command.
#[derive(Debug)]
pub enum Error {
    /// What was typed or set cannot be used (exit 100).
    Usage(String),
    /// A file says something that it must not say (exit 100).
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1; `None` when the file as a whole is meant.
        line: Option<usize>,
        /// What is wrong with it.
        what: String,
    },
    /// A file or folder could not be used (exit 111).
    Io {
        /// What was being done, as an infinitive: `read`, `lock`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        cause: io::Error,
    },
    /// Something else that may go better next time (exit 111).
    Temporary(String),
    /// Any of these, and what follows from it.
    Then(Box<Error>, String),
}

impl Error {
    /// The failure of `doing` something to `path`.
    pub fn io(doing: &'static str, path: &Path, cause: impl Into<io::Error>) -> Error {
        Error::Io { doing, path: path.to_owned(), cause: cause.into() }
    }

    /// A thread that cannot be started.
    pub fn thread(cause: &io::Error) -> Error {
        Error::Temporary(format!("unable to start a thread: {}", show_cause(cause)))
    }

    /// A malformed `line` (from 1) of the file at `path`.
    pub fn malformed(path: &Path, line: impl Into<Option<usize>>, what: impl Into<String>) -> Error {
        Error::Malformed { path: path.to_owned(), line: line.into(), what: what.into() }
    }

    /// The same error, with what follows from it.
    #[must_use]
    pub fn then(self, follows: &str) -> Error {
        Error::Then(Box::new(self), follows.to_owned())
    }

    /// Whether somebody else may do it.
    pub fn is_denied(&self) -> bool {
        matches!(self, Error::Io { cause, .. } if cause.kind() == io::ErrorKind::PermissionDenied)
    }

    /// 100 for what stays wrong until somebody mends it, 111 for what may go better next time (DESIGN, "exit status").
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) | Error::Malformed { .. } => 100,
            Error::Io { .. } | Error::Temporary(_) => 111,
            Error::Then(error, _) => error.exit_code(),
        }
    }
}

/// The path with everything unprintable escaped.
pub fn show_path(path: &Path) -> Shown<'_> {
    use std::os::unix::ffi::OsStrExt;
    Shown(path.as_os_str().as_bytes())
}

/// The cause in the words of strerror(3), without Rust's error number behind it.
pub fn show_cause(cause: &io::Error) -> String {
    match cause.raw_os_error() {
        Some(code) => nix::errno::Errno::from_raw(code).desc().to_owned(),
        // An error that a library wrapped, which may hold a path.
        None if cause.kind() != io::ErrorKind::Other => cause.kind().to_string(),
        None => cause.to_string(),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(what) | Error::Temporary(what) => f.write_str(what),
            Error::Malformed { path, line: Some(line), what } => write!(f, "{}: line {line}: {what}", show_path(path)),
            Error::Malformed { path, line: None, what } => write!(f, "{}: {what}", show_path(path)),
            Error::Then(error, follows) => write!(f, "{error}; {follows}"),
            Error::Io { doing, path, cause } => {
                write!(f, "unable to {doing} {}: {}", show_path(path), show_cause(cause))
            }
        }
    }
}

impl std::error::Error for Error {}
