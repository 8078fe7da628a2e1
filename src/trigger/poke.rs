//! The writer's side of the pipe: one line in one write, into nothing but a FIFO, and never waiting (SPEC section 6).

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::write;
use std::path::Path;

/// What became of a poke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poked {
    /// The line was written.
    Written,
    /// The pipe is full of triggers already.
    Full,
    /// Nobody reads; a service that starts rebuilds anyway.
    NoReader,
    /// Nothing, or no FIFO, is there: nothing was written.
    NoFifo(Errno),
}

/// Writes the line into the FIFO at `path` and never blocks.
pub fn poke(path: &Path, line: &[u8]) -> Poked {
    let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let fifo = match open(path, flags, Mode::empty()) {
        Ok(fifo) => fifo,
        // A FIFO or a socket; either way nobody reads.
        Err(Errno::ENXIO) => return Poked::NoReader,
        Err(cause) => return Poked::NoFifo(cause),
    };
    let is_fifo = fstat(fifo.as_fd()).is_ok_and(|stat| stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFIFO.bits());
    if !is_fifo {
        return Poked::NoFifo(Errno::EINVAL);
    }
    // Rust programs ignore SIGPIPE: a reader that has just gone is an error here.
    match write(fifo.as_fd(), line) {
        Ok(_) => Poked::Written,
        Err(Errno::EAGAIN) => Poked::Full,
        Err(_) => Poked::NoReader,
    }
}
