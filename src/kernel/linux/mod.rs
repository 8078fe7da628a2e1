//! Linux.

mod fence;
mod mounts;
mod proc;
mod touches;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use nix::fcntl::{FallocateFlags, OFlag, fallocate, open};
use nix::sys::stat::{FileStat, Mode, makedev};
use nix::time::ClockId;
use rustix::fs::{AtFlags, CWD, FileType, RawDir, StatxAttributes, StatxFlags, statx};
use rustix::io::Errno;

pub use fence::Fence;
pub use mounts::{mount_events, mounts};
pub use proc::{holders_of_lock, ignored_signals, other_readers, own_file, own_program, protected_fifos};
pub use touches::{Touches, why_no_watcher};

/// Where the settings are that no option and no variable of the environment gives.
pub const SETTINGS: &str = "/etc/qmail-updater/env";
/// Where a package has the directory of actions; nobody misses it there.
pub const ACTIONS: &str = "/etc/qmail-updater/actions.d";
/// Where the findings are that an administrator accepts, when no option says it.
pub const ACCEPTED: &str = "/etc/qmail-updater/accepted";
/// Where locks and the status file are, when no setting says it.
pub const STATE: &str = "/run/qmail-updater";
/// Where vpopmail is on a host without a user of that name.
pub const VPOPMAIL: &str = "/home/vpopmail";
/// Which file has the hashes of accounts, and whether each of its lines is one of master.passwd(5) of the BSDs.
pub const PASSWORDS: (&str, bool) = ("/etc/shadow", false);

/// What decides how many directories can be watched, in words.
pub const LIMIT_OF_WATCHES: &str = "sysctl fs.inotify.max_user_watches";

/// The clock that [`super::rough_time`] asks.
pub(super) const ROUGH_CLOCK: ClockId = ClockId::CLOCK_MONOTONIC_COARSE;

/// Lists a directory from where its descriptor stands, by so many bytes at once. `each` gets the name of each entry and what
/// it is, or the error of a call, and says whether to go on.
///
/// # Errors
/// Those of `each`.
pub fn list(
    directory: impl AsFd,
    chunk: usize,
    mut each: impl FnMut(Result<(&[u8], FileType), Errno>) -> io::Result<bool>,
) -> io::Result<()> {
    let mut buffer: Vec<u8> = Vec::with_capacity(chunk);
    let mut listing = RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = listing.next() {
        let goes_on = match entry {
            Ok(entry) => each(Ok((entry.file_name().to_bytes(), entry.file_type())))?,
            Err(cause) => each(Err(cause))?,
        };
        if !goes_on {
            break;
        }
    }
    Ok(())
}

/// Whether something is mounted over this real path; false when that cannot be known.
pub fn is_mount_point(real: &Path) -> bool {
    let stat = statx(CWD, real, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS);
    stat.is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// A new file in this directory that has no name and is gone at once, to be written.
///
/// # Errors
/// Those of open(2).
pub fn nameless_file(directory: &Path) -> io::Result<File> {
    let flags = OFlag::O_TMPFILE | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    Ok(File::from(open(directory, flags, Mode::S_IRUSR | Mode::S_IWUSR)?))
}

/// Allocates so many bytes of a new file before they are written, which takes less time then. Its length stays. What the file
/// system does not do is done when they are written.
pub fn allocate(file: &File, length: u64) {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let _ = fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, length);
}

/// The number of /dev/null, where there is one.
pub fn null_device() -> Option<u64> {
    Some(makedev(1, 3))
}

/// The mode that stat(2) gives.
pub fn bits_of_mode(stat: &FileStat) -> u32 {
    stat.st_mode
}

/// These bits as a mode.
pub fn mode_of(bits: u32) -> Mode {
    Mode::from_bits_truncate(bits)
}
