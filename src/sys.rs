//! The only unsafe code: descriptors that the parent gave. The standard library knows only 0, 1 and 2 without it, and
//! `/proc/self/fd` opens a file anew: not a socket, not another user's pipe, and at its beginning.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

/// A copy of a descriptor that was open when this program began, which no program that we become gets. To be taken before
/// any file is opened, which may have the number otherwise.
///
/// # Errors
/// It is not open.
pub fn inherited(number: u8) -> io::Result<OwnedFd> {
    // SAFETY: the number is not -1. It is borrowed for one call of fcntl(2), which only fails when it is not open; while
    // there is one thread nobody closes it meanwhile.
    let given = unsafe { BorrowedFd::borrow_raw(RawFd::from(number)) };
    given.try_clone_to_owned()
}
