//! The connection of one client: standard input and standard output, with bounds on each line, on the time that it may take,
//! and on the time that the client may take to read an answer.

use std::io;
use std::net::Shutdown;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{read, write};
use zeroize::{Zeroize, Zeroizing};

/// How long a client may take to read an answer, in all protocols.
const MAX_UNREAD: Duration = Duration::from_secs(60);
/// How long, and for how many bytes, the end waits for a client to close its side.
const FAREWELL: Duration = Duration::from_secs(2);
const MAX_FAREWELL: usize = 1 << 20;

/// Both directions of a connection.
pub trait Wire {
    /// Reads some bytes; 0 is the end.
    ///
    /// # Errors
    /// Those of read(2); [`io::ErrorKind::TimedOut`] when there are none until then.
    fn read(&mut self, buffer: &mut [u8], until: Option<Instant>) -> io::Result<usize>;

    /// Writes an answer, in one write if the other side takes it.
    ///
    /// # Errors
    /// Those of write(2); [`io::ErrorKind::TimedOut`].
    fn write(&mut self, answer: &[u8]) -> io::Result<()>;

    /// Ends the connection so that the client gets the last answer, also when it has sent more than was read.
    fn finish(&mut self) {}
}

/// Standard input and standard output.
#[derive(Debug)]
pub struct Stdio;

impl Wire for Stdio {
    fn read(&mut self, buffer: &mut [u8], until: Option<Instant>) -> io::Result<usize> {
        let input = io::stdin();
        loop {
            wait(input.as_fd(), PollFlags::POLLIN, until)?;
            match read(&input, buffer) {
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(Errno::ECONNRESET) => return Ok(0),
                read => return Ok(read?),
            }
        }
    }

    fn write(&mut self, mut answer: &[u8]) -> io::Result<()> {
        let output = io::stdout();
        let until = Some(Instant::now() + MAX_UNREAD);
        while !answer.is_empty() {
            wait(output.as_fd(), PollFlags::POLLOUT, until)?;
            match write(&output, answer) {
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                written => answer = &answer[written?..],
            }
        }
        Ok(())
    }

    fn finish(&mut self) {
        let output = io::stdout();
        let is_socket =
            fstat(&output).is_ok_and(|found| found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFSOCK.bits());
        // The kernel resets a connection that is closed with unread input, and the client loses the answer.
        if is_socket && let Ok(copy) = output.as_fd().try_clone_to_owned() {
            let _ = UnixStream::from(copy).shutdown(Shutdown::Write);
            let (until, mut left) = (Some(Instant::now() + FAREWELL), MAX_FAREWELL);
            let mut ignored = Zeroizing::new([0; 4096]);
            while left > 0
                && let Ok(more @ 1..) = self.read(&mut ignored[..], until)
            {
                left = left.saturating_sub(more);
            }
        }
    }
}

/// Waits until a descriptor is ready.
fn wait(file: BorrowedFd<'_>, what: PollFlags, until: Option<Instant>) -> io::Result<()> {
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // A millisecond more: the last one may be cut.
        let timeout = left.map_or(PollTimeout::NONE, |left| {
            PollTimeout::try_from(left.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut [PollFd::new(file, what)], timeout) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(cause) => return Err(cause.into()),
        }
    }
}

/// Why there is no further line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client closed its side, or reads no answer. What it sent of a line is none.
    Closed,
    /// The time is over.
    Late,
    /// The line is longer than it may be.
    TooLong,
}

/// How long lines are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the first byte of one; `None`: for ever.
    pub idle: Option<Duration>,
    /// From the first byte of one to its end.
    pub line: Duration,
}

/// A connection, read line by line or in pieces of a known length. What was read is overwritten when it is done with.
pub struct Client<'w> {
    wire: &'w mut dyn Wire,
    buffer: Zeroizing<Vec<u8>>,
    /// What of the buffer was read and is not used yet.
    unused: Range<usize>,
    patience: Patience,
    /// When everything is over.
    end: Option<Instant>,
}

impl<'w> Client<'w> {
    /// A client whose lines, without their end, and pieces have at most so many bytes; `session` is how long the connection
    /// may last.
    pub fn new(wire: &'w mut dyn Wire, most: usize, patience: Patience, session: Option<Duration>) -> Client<'w> {
        let end = session.map(|session| Instant::now() + session);
        Client { wire, buffer: Zeroizing::new(vec![0; most + 1]), unused: 0..0, patience, end }
    }

    /// The next line without its LF.
    ///
    /// # Errors
    /// There is none. After a line that is too long, [`Client::skip_line`] goes on behind it.
    pub fn line(&mut self) -> Result<Zeroizing<Vec<u8>>, End> {
        let mut until = self.until(self.unused.is_empty());
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer[self.unused.clone()]) {
                let line = self.take(end);
                self.take(1);
                return Ok(line);
            }
            if self.unused.len() == self.buffer.len() {
                return Err(End::TooLong);
            }
            self.fill(&mut until)?;
        }
    }

    /// Passes the rest of a line.
    ///
    /// # Errors
    /// It has no end.
    pub fn skip_line(&mut self) -> Result<(), End> {
        let until = self.until(false);
        loop {
            let unused = &self.buffer[self.unused.clone()];
            if let Some(end) = memchr::memchr(b'\n', unused) {
                self.take(end + 1);
                return Ok(());
            }
            self.take(unused.len());
            // One limit for all of it: each byte begins another one here.
            let mut limit = until;
            self.fill(&mut limit)?;
        }
    }

    /// The bytes up to one that `is_end` finds, and that byte.
    ///
    /// # Errors
    /// There is none within `most` bytes.
    pub fn up_to(&mut self, is_end: impl Fn(u8) -> bool, most: usize) -> Result<(Zeroizing<Vec<u8>>, u8), End> {
        let mut until = self.until(self.unused.is_empty());
        loop {
            let unused = &self.buffer[self.unused.clone()];
            if let Some(end) = unused.iter().take(most + 1).position(|byte| is_end(*byte)) {
                let (bytes, byte) = (self.take(end), self.take(1));
                return Ok((bytes, byte[0]));
            }
            if unused.len() > most {
                return Err(End::TooLong);
            }
            self.fill(&mut until)?;
        }
    }

    /// The next bytes, so many.
    ///
    /// # Errors
    /// There are fewer.
    pub fn piece(&mut self, length: usize) -> Result<Zeroizing<Vec<u8>>, End> {
        let mut until = self.until(false);
        while self.unused.len() < length {
            if length > self.buffer.len() {
                return Err(End::TooLong);
            }
            self.fill(&mut until)?;
        }
        Ok(self.take(length))
    }

    /// Answers; an answer that the client does not take ends the connection.
    ///
    /// # Errors
    /// [`End::Closed`].
    pub fn answer(&mut self, answer: &[u8]) -> Result<(), End> {
        self.wire.write(answer).map_err(|_| End::Closed)
    }

    /// Answers for the last time.
    pub fn last_answer(&mut self, answer: &[u8]) {
        if self.wire.write(answer).is_ok() {
            self.wire.finish();
        }
    }

    /// Until when is waited: for the first byte of a line, or for the rest.
    fn until(&self, is_idle: bool) -> Option<Instant> {
        let patience = if is_idle { self.patience.idle } else { Some(self.patience.line) };
        let until = patience.and_then(|patience| Instant::now().checked_add(patience));
        until.into_iter().chain(self.end).min()
    }

    /// Takes bytes that were read, and leaves no copy of them.
    fn take(&mut self, length: usize) -> Zeroizing<Vec<u8>> {
        let taken = self.unused.start..self.unused.start + length;
        let bytes = Zeroizing::new(self.buffer[taken.clone()].to_vec());
        self.buffer[taken].zeroize();
        self.unused.start += length;
        bytes
    }

    fn fill(&mut self, until: &mut Option<Instant>) -> Result<(), End> {
        let was_idle = self.unused.is_empty();
        if self.unused.start > 0 {
            self.buffer.copy_within(self.unused.clone(), 0);
            let old = self.unused.len().max(self.unused.start)..self.unused.end;
            self.buffer[old].zeroize();
            self.unused = 0..self.unused.len();
        }
        match self.wire.read(&mut self.buffer[self.unused.end..], *until) {
            Ok(0) => Err(End::Closed),
            Ok(more) => {
                self.unused.end += more;
                if was_idle {
                    *until = self.until(false);
                }
                Ok(())
            }
            Err(cause) if cause.kind() == io::ErrorKind::TimedOut => Err(End::Late),
            Err(_) => Err(End::Closed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time, and notes until when it may take.
    struct Dripping(Vec<u8>, Vec<Option<Instant>>);

    impl Wire for Dripping {
        fn read(&mut self, buffer: &mut [u8], until: Option<Instant>) -> io::Result<usize> {
            self.1.push(until);
            let Some(byte) = self.0.pop() else { return Ok(0) };
            buffer[0] = byte;
            Ok(1)
        }

        fn write(&mut self, _: &[u8]) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_rest_of_a_line_has_one_limit_however_slowly_it_comes() {
        let mut wire = Dripping(b"\nxxxxx".to_vec(), Vec::new());
        let patience = Patience { idle: None, line: Duration::from_secs(60) };
        Client::new(&mut wire, 100, patience, None).skip_line().unwrap();
        assert_eq!(wire.1.len(), 6);
        assert!(wire.1.iter().all(|until| until.is_some() && *until == wire.1[0]), "{:?}", wire.1);
    }
}
