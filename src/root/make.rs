//! Making things in an open directory, by its descriptor: nothing that exists is replaced, and no link is followed.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;

use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::{UnlinkatFlags, symlinkat, unlinkat};

use super::{Directory, Opened};

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
    /// Makes a directory that only its owner may use; false when something of that name is there.
    ///
    /// # Errors
    /// Those of mkdirat(2).
    pub fn make_directory(&self, name: &[u8]) -> io::Result<bool> {
        is_made(mkdirat(&self.fd, OsStr::from_bytes(name), Mode::S_IRWXU))
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
    /// there. One that cannot be written to its end goes again.
    ///
    /// # Errors
    /// Those of openat(2), read(2) and write(2).
    pub fn make_file(&self, name: &[u8], from: Opened, length: u64, mode: u32) -> io::Result<bool> {
        let name = OsStr::from_bytes(name);
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = match openat(&self.fd, name, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(fd) => fd,
            Err(nix::errno::Errno::EEXIST) => return Ok(false),
            Err(cause) => return Err(cause.into()),
        };
        let mut file = File::from(fd);
        let copied = io::copy(&mut File::from(from.fd).take(length), &mut file)
            .and_then(|_| file.set_permissions(Permissions::from_mode(mode)));
        if let Err(cause) = copied {
            let _ = unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir);
            return Err(cause);
        }
        Ok(true)
    }

    /// Gives it this mode.
    ///
    /// # Errors
    /// Those of fchmod(2).
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        Ok(fchmod(&self.fd, Mode::from_bits_truncate(mode))?)
    }
}
