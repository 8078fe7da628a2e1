//! What failed, doing what, to which file, at which line, and what follows. Made where it happens, printed once, in
//! `main`.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::geteuid;

use crate::text::{Shown, count};

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

    /// Work on a thread of its own that could not be done: there is no thread, or something does not answer.
    pub fn undone(cause: &io::Error) -> Error {
        if cause.raw_os_error().is_some() { Error::thread(cause) } else { Error::Temporary(show_cause(cause)) }
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

    /// Whether the system refused it to this process, which is not root.
    pub fn is_denied(&self) -> bool {
        match self {
            Error::Io { cause, .. } => is_denied_to_us(cause),
            Error::Then(error, _) => error.is_denied(),
            Error::Usage(_) | Error::Malformed { .. } | Error::Temporary(_) => false,
        }
    }

    /// Whether what could not be used is not there.
    pub fn is_missing(&self) -> bool {
        match self {
            Error::Io { cause, .. } => cause.kind() == io::ErrorKind::NotFound,
            Error::Then(error, _) => error.is_missing(),
            Error::Usage(_) | Error::Malformed { .. } | Error::Temporary(_) => false,
        }
    }

    /// The same error of a typed command; when root may be allowed to do it, with what to do.
    #[must_use]
    pub fn or_as_root(self) -> Error {
        if self.is_denied() { self.then(AS_ROOT) } else { self }
    }

    /// What is wrong, without the path that the message begins with.
    pub fn cause(&self) -> String {
        match self {
            Error::Malformed { line: Some(line), what, .. } => format!("line {line}: {what}"),
            Error::Malformed { line: None, what, .. } => what.clone(),
            Error::Io { cause, .. } => show_cause(cause),
            Error::Usage(_) | Error::Temporary(_) | Error::Then(..) => self.to_string(),
        }
    }

    /// 100 for what stays wrong until somebody mends it, 111 for what may go better next time (docs/decisions.md, "Exit
    /// statuses").
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) | Error::Malformed { .. } => 100,
            Error::Io { .. } | Error::Temporary(_) => 111,
            Error::Then(error, _) => error.exit_code(),
        }
    }
}

/// What to do when this process, which is not root, may not do something.
pub const AS_ROOT: &str = "run as root";
/// So many of the paths that this process may not read are named.
const MAX_NAMED: usize = 3;

/// The paths that the system does not let this process read, which is not root. What they hold is unknown, and that is
/// no fact about the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denied(BTreeSet<PathBuf>);

impl Denied {
    /// Adds one.
    pub fn add(&mut self, path: PathBuf) {
        self.0.insert(path);
    }

    /// Whether everything could be read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first of them, and by whom they cannot be read, in words.
    pub fn words(&self) -> String {
        let named: Vec<String> = self.0.iter().take(MAX_NAMED).map(|path| show_path(path).to_string()).collect();
        let named = named.join(", ");
        let more = match self.0.len().saturating_sub(MAX_NAMED) {
            0 => String::new(),
            more => format!(", and {}", count(more, "other")),
        };
        format!("uid {} may not read {named}{more}", geteuid())
    }

    /// The error that they are; `follows` says what is unknown for it.
    ///
    /// # Errors
    /// When there is one.
    pub fn nothing_closed(&self, follows: &str) -> Result<(), Error> {
        match self.is_empty() {
            true => Ok(()),
            false => Err(Error::Temporary(format!("{}; {follows}; {AS_ROOT}", self.words()))),
        }
    }
}

impl Extend<PathBuf> for Denied {
    fn extend<T: IntoIterator<Item = PathBuf>>(&mut self, paths: T) {
        self.0.extend(paths);
    }
}

impl IntoIterator for Denied {
    type Item = PathBuf;
    type IntoIter = std::collections::btree_set::IntoIter<PathBuf>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// What a call that failed tells of. The one place where that is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nature {
    #[default]
    /// What is on the host: the next call fails in the same way, until somebody changes the host.
    Host,
    /// The storage of one file or directory: the next call may succeed.
    Storage,
    /// This system or this process, which lacks something: the failure says nothing about the file.
    System,
}

impl Nature {
    /// That of an error number. What is not known here is taken for a failure of the storage.
    pub fn of(cause: Errno) -> Nature {
        use Errno::{
            EACCES, EAGAIN, EEXIST, EINTR, EINVAL, EISDIR, ELOOP, EMFILE, ENAMETOOLONG, ENFILE, ENOENT, ENOMEM,
            ENOTDIR, EPERM,
        };
        match cause {
            ENOENT | ENOTDIR | EISDIR | ELOOP | ENAMETOOLONG | EACCES | EPERM | EEXIST | EINVAL => Nature::Host,
            EMFILE | ENFILE | ENOMEM | EAGAIN | EINTR => Nature::System,
            _ => Nature::Storage,
        }
    }

    /// The same of an error without a number, which is one of our own: a bound, or what was found in a file.
    pub fn of_error(cause: &io::Error) -> Nature {
        cause.raw_os_error().map_or(Nature::Host, |code| Nature::of(Errno::from_raw(code)))
    }
}

/// Why something could not be read: what was seen, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Trouble {
    /// In words.
    pub text: String,
    /// Whether the system refused it to this process, which is not root. That is no fact about the host.
    pub denied: bool,
}

impl Trouble {
    /// The same of a file, which is named in front.
    #[must_use]
    pub fn of_file(self, file: impl fmt::Display) -> Trouble {
        Trouble { text: format!("{file}: {}", self.text), ..self }
    }
}

impl From<&io::Error> for Trouble {
    fn from(cause: &io::Error) -> Trouble {
        Trouble { text: show_cause(cause), denied: is_denied_to_us(cause) }
    }
}

impl From<io::Error> for Trouble {
    fn from(cause: io::Error) -> Trouble {
        Trouble::from(&cause)
    }
}

impl From<Errno> for Trouble {
    fn from(cause: Errno) -> Trouble {
        Trouble::from(&io::Error::from(cause))
    }
}

impl From<String> for Trouble {
    fn from(text: String) -> Trouble {
        Trouble { text, denied: false }
    }
}

impl From<&str> for Trouble {
    fn from(text: &str) -> Trouble {
        Trouble::from(text.to_owned())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether the system refused something to this process, which is not root: root may be allowed to do it.
pub fn is_denied_to_us(cause: &io::Error) -> bool {
    cause.kind() == io::ErrorKind::PermissionDenied && !is_outside(cause) && !geteuid().is_root()
}

/// What reads the home directories is confined to them (Landlock), and something else was to be opened. Its mode would
/// have let us.
#[derive(Debug)]
struct Outside;

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is outside the home directories, where nothing is opened")
    }
}

impl std::error::Error for Outside {}

/// The failure to open what lies outside the directories that this process is confined to.
pub fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, Outside)
}

/// Whether it is the failure to open what lies outside the directories that this process is confined to.
pub fn is_outside(cause: &io::Error) -> bool {
    cause.get_ref().is_some_and(|cause| cause.is::<Outside>())
}

/// Something does not answer: what, and for how long it was waited for, in words.
#[derive(Debug)]
struct Unanswered(String);

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unanswered {}

/// The failure to look at what does not answer, which these words describe.
pub fn unanswered(words: String) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, Unanswered(words))
}

/// Whether the words of an error are ours.
fn is_ours(cause: &io::Error) -> bool {
    cause.get_ref().is_some_and(|cause| cause.is::<Outside>() || cause.is::<Unanswered>())
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
        None if cause.kind() != io::ErrorKind::Other && !is_ours(cause) => cause.kind().to_string(),
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
