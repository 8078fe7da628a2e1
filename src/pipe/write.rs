//! The writer's side of the pipe: one line in one write, into nothing but a FIFO that the service can have made, and
//! never waiting (docs/rules.md, 6.3).

use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{geteuid, write};

/// What became of a poke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poked {
    /// The line was written.
    Written,
    /// The pipe is full of triggers already.
    Full,
    /// Nobody reads; a service that starts rebuilds anyway.
    NoReader,
    /// Something else is there: nothing was written.
    NoFifo,
    /// Nothing is there, or it cannot be written to.
    Failed(Errno),
    /// The FIFO belongs to this uid: nothing was written, because a stranger would read the names in the line.
    Foreign(u32),
}

/// Writes the line into the FIFO at `path` and never blocks. The FIFO must belong to root, to this process or to
/// `service`, the uid that the service runs as where that is known.
pub fn poke(path: &Path, line: &[u8], service: Option<u32>) -> Poked {
    let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let fifo = match open(path, flags, Mode::empty()) {
        Ok(fifo) => fifo,
        // A FIFO or a socket; either way nobody reads.
        Err(Errno::ENXIO) => return Poked::NoReader,
        // A link, which is not followed, or a directory.
        Err(Errno::ELOOP | Errno::EMLINK | Errno::EISDIR) => return Poked::NoFifo,
        Err(cause) => return Poked::Failed(cause),
    };
    let stat = match fstat(fifo.as_fd()) {
        Ok(stat) if stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFIFO.bits() => stat,
        Ok(_) => return Poked::NoFifo,
        Err(cause) => return Poked::Failed(cause),
    };
    if ![Some(0), Some(geteuid().as_raw()), service].contains(&Some(stat.st_uid)) {
        return Poked::Foreign(stat.st_uid);
    }
    // Rust programs ignore SIGPIPE: a reader that has just gone is an error here.
    match write(fifo.as_fd(), line) {
        Ok(_) => Poked::Written,
        Err(Errno::EAGAIN) => Poked::Full,
        Err(Errno::EPIPE) => Poked::NoReader,
        Err(cause) => Poked::Failed(cause),
    }
}
