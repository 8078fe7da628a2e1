//! FreeBSD, 13.1 or newer, which has O_PATH. What it lacks of Linux is said where it is missing, and in docs/guide/freebsd.md.

use std::fs::{File, Metadata, metadata, symlink_metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::sys::stat::{FileStat, Mode};
use nix::time::ClockId;
use rustix::fs::{Dir, FileType};
use rustix::io::Errno;

use super::Mount;

/// Where the settings are that no option and no variable of the environment gives.
pub const SETTINGS: &str = "/usr/local/etc/qmail-updater/env";
/// Where a package has the directory of actions; nobody misses it there.
pub const ACTIONS: &str = "/usr/local/etc/qmail-updater/actions.d";
/// Where the findings are that an administrator accepts, when no option says it.
pub const ACCEPTED: &str = "/usr/local/etc/qmail-updater/accepted";
/// Where locks and the status file are, when no setting says it.
pub const STATE: &str = "/var/run/qmail-updater";
/// Where vpopmail is on a host without a user of that name.
pub const VPOPMAIL: &str = "/usr/local/vpopmail";
/// Which file has the hashes of accounts, and whether each of its lines is one of master.passwd(5) of the BSDs.
pub const PASSWORDS: (&str, bool) = ("/etc/master.passwd", true);

/// What decides how many directories can be watched, in words.
pub const LIMIT_OF_WATCHES: &str = "the limit of descriptors";

/// The clock that [`super::rough_time`] asks.
pub(super) const ROUGH_CLOCK: ClockId = ClockId::CLOCK_MONOTONIC_FAST;

/// What confines a thread on Linux. FreeBSD has nothing like it: capsicum(4) confines whole processes, for good.
pub struct Fence;

impl Fence {
    /// One that confines nothing.
    pub fn of_nothing() -> Fence {
        Fence
    }

    /// Changes nothing.
    #[must_use]
    pub fn read(self, _: &Path) -> Fence {
        self
    }

    /// Changes nothing.
    #[must_use]
    pub fn read_below(self, _: impl AsFd) -> Fence {
        self
    }

    /// Changes nothing.
    #[must_use]
    pub fn make_below(self, _: impl AsFd) -> Fence {
        self
    }

    /// Changes nothing.
    #[must_use]
    pub fn connect(self, _: u16) -> Fence {
        self
    }

    /// Why the thread is not confined.
    pub fn close(self) -> Option<String> {
        Some("FreeBSD has no Landlock".to_owned())
    }
}

/// All that is mounted, which is not known here: a file system that does not answer is given up path by path.
pub fn mounts() -> Option<Vec<Mount>> {
    None
}

/// What is ready when something is mounted or unmounted, which is not known here: the next full check sees it.
pub fn mount_events() -> Option<File> {
    None
}

/// Whether something is mounted over this real path; false when that cannot be known.
pub fn is_mount_point(real: &Path) -> bool {
    let device = |path: &Path| symlink_metadata(path).map(|meta| meta.dev());
    matches!((device(real), device(&real.join(".."))), (Ok(own), Ok(above)) if own != above)
}

/// Sees a change of a file's times, each time that it is asked: touch(1) of FreeBSD opens no file that is there.
pub struct Touches {
    path: PathBuf,
    modified: Option<(i64, i64)>,
}

impl Touches {
    /// Whether each writer that closes the file is counted.
    pub const COUNT_CLOSES: bool = false;

    /// Those of what is at this path now, which is not followed when it is a link.
    ///
    /// # Errors
    /// The cause.
    pub fn of(path: &Path) -> Result<Touches, &'static str> {
        Ok(Touches { path: path.to_owned(), modified: modified(path) })
    }

    /// What can be read when there is one; `None` where they have to be asked for.
    pub fn ready(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// How many writers closed it since the last call, and how often it was touched otherwise.
    pub fn take(&mut self) -> (usize, usize) {
        let now = modified(&self.path);
        (0, usize::from(std::mem::replace(&mut self.modified, now) != now))
    }
}

fn modified(path: &Path) -> Option<(i64, i64)> {
    symlink_metadata(path).ok().map(|meta| (meta.mtime(), meta.mtime_nsec()))
}

/// Why a watcher that needs so many descriptors was refused with EMFILE.
pub fn why_no_watcher(_: usize) -> &'static str {
    nix::errno::Errno::EMFILE.desc()
}

/// What starts this program. Another file may have its name by now.
pub fn own_program() -> PathBuf {
    static OWN: OnceLock<PathBuf> = OnceLock::new();
    // Without a name there is nothing to start, as without /proc on Linux.
    std::env::current_exe().map_or_else(|_| PathBuf::from("/nonexistent"), |found| OWN.get_or_init(|| found).clone())
}

/// The file of this program as it was started, links resolved, what it is, and whether another file has its name by now or
/// none, which is not known here.
///
/// # Errors
/// It cannot be found.
pub fn own_file() -> io::Result<(PathBuf, Metadata, bool)> {
    let path = std::env::current_exe()?.canonicalize()?;
    let file = path.metadata()?;
    Ok((path, file, false))
}

/// The signals that this process was started to ignore: a bit for each, from the lowest. That is not known here.
pub fn ignored_signals() -> u64 {
    0
}

/// The users whose processes hold a lock on this file; none, because that is not known here.
pub fn holders_of_lock(_: &Metadata) -> Vec<u32> {
    Vec::new()
}

/// The programs, other than this one, that have the pipe open for reading alone, which are not known here.
pub fn other_readers(_: &Metadata) -> Vec<(String, String)> {
    Vec::new()
}

/// Whether the system keeps users from pipes of others in a sticky directory: it never does.
pub fn protected_fifos() -> String {
    String::new()
}

/// Lists a directory from its beginning. `each` gets the name of each entry and what it is, or the error of a call, and says
/// whether to go on.
///
/// # Errors
/// Those of `each`.
pub fn list(
    directory: impl AsFd,
    _: usize,
    mut each: impl FnMut(Result<(&[u8], FileType), Errno>) -> io::Result<bool>,
) -> io::Result<()> {
    let listing = match Dir::read_from(directory) {
        Ok(listing) => listing,
        Err(cause) => return each(Err(cause)).map(drop),
    };
    for entry in listing {
        let goes_on = match &entry {
            Ok(entry) => each(Ok((entry.file_name().to_bytes(), entry.file_type())))?,
            Err(cause) => each(Err(*cause))?,
        };
        if !goes_on {
            break;
        }
    }
    Ok(())
}

/// A new file in this directory that is gone at once, to be written.
///
/// # Errors
/// Those of open(2).
pub fn nameless_file(directory: &Path) -> io::Result<File> {
    tempfile::tempfile_in(directory)
}

/// Nothing: posix_fallocate(2) changes the length, and ZFS refuses it.
pub fn allocate(_: &File, _: u64) {}

/// The number of /dev/null, where there is one.
pub fn null_device() -> Option<u64> {
    metadata("/dev/null").ok().map(|null| null.rdev())
}

/// The mode that stat(2) gives.
pub fn bits_of_mode(stat: &FileStat) -> u32 {
    stat.st_mode.into()
}

/// These bits, of which a mode has twelve, as a mode.
pub fn mode_of(bits: u32) -> Mode {
    Mode::from_bits_truncate((bits & 0o7777) as u16)
}
