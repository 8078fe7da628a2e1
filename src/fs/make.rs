//! Making things in an open directory, by its descriptor: nothing that exists is replaced, and no link is followed.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;

use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::{UnlinkatFlags, linkat, symlinkat, unlinkat};

use super::{Directory, Opened};
use crate::kernel::mode_of;

/// What a file is called until it is whole.
const TEMPORARY: &str = ".qmail-updater.draft";

/// True when it was made; false when something of that name is there.
fn is_made(made: nix::Result<()>) -> io::Result<bool> {
    match made {
        Ok(()) => Ok(true),
        Err(nix::errno::Errno::EEXIST) => Ok(false),
        Err(cause) => Err(cause.into()),
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Directory {
    /// Makes a directory with this mode less the umask; false when something of that name is there.
    ///
    /// # Errors
    /// Those of mkdirat(2).
    pub fn make_directory(&self, name: &[u8], mode: u32) -> io::Result<bool> {
        is_made(mkdirat(&self.fd, OsStr::from_bytes(name), mode_of(mode)))
    }

    /// Makes a symbolic link; false when something of that name is there.
    ///
    /// # Errors
    /// Those of symlinkat(2).
    pub fn make_link(&self, name: &[u8], target: &[u8]) -> io::Result<bool> {
        is_made(symlinkat(OsStr::from_bytes(target), &self.fd, OsStr::from_bytes(name)))
    }

    /// Where the symbolic link of this name leads.
    ///
    /// # Errors
    /// Those of readlinkat(2).
    pub fn link_target(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        Ok(readlinkat(&self.fd, OsStr::from_bytes(name))?.into_vec())
    }

    /// Makes a file with the first `length` bytes of another one and this mode; false when something of that name is
    /// there. It appears whole, or not at all; what a killed call left beside it goes with the next one.
    ///
    /// # Errors
    /// Those of openat(2), read(2), write(2) and linkat(2).
    pub fn make_file(&self, name: &[u8], from: Opened, length: u64, mode: u32) -> io::Result<bool> {
        let remove = || unlinkat(&self.fd, TEMPORARY, UnlinkatFlags::NoRemoveDir);
        let _ = remove();
        if self.stat(name).is_ok() {
            return Ok(false);
        }
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut file = File::from(openat(&self.fd, TEMPORARY, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
        let made = io::copy(&mut File::from(from.fd).take(length), &mut file)
            .and_then(|_| file.set_permissions(Permissions::from_mode(mode)))
            .and_then(|()| is_made(linkat(&self.fd, TEMPORARY, &self.fd, OsStr::from_bytes(name), AtFlags::empty())));
        remove()?;
        made
    }

    /// Gives it this mode.
    ///
    /// # Errors
    /// Those of fchmod(2).
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        Ok(fchmod(&self.fd, mode_of(mode))?)
    }
}
