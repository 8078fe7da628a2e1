//! The only unsafe code.
//!
//! - Descriptors that the parent gave. The standard library knows only 0, 1 and 2 without it, and `/proc/self/fd` opens a
//!   file anew: not a socket, not another user's pipe, and at its beginning.
//! - crypt(3) of the system, which knows each scheme that the hashes of this host have.
//! - procctl(2) of FreeBSD.
//! - Two calls of mimalloc, whose crate has only the allocator. One comes before it is asked for memory.

#![allow(unsafe_code)]

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use std::ffi::{CStr, c_char, c_int, c_long};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

/// Where the memory of a program of ours comes from, whatever the C library: musl's own takes three times as long where
/// threads share it.
pub use mimalloc::MiMalloc as Memory;

/// What the loader calls before main.
#[used]
// SAFETY: the loader calls what this section names once, while there is one thread. The function returns.
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = choose_how_memory_is_taken;

/// Sets how mimalloc takes memory and gives it back, before it is asked for any.
extern "C" fn choose_how_memory_is_taken() {
    /// `mi_option_purge_delay`, in milliseconds. It would wait for a second, which is longer than most rebuilds take: none
    /// would ever use less than all that it freed.
    const PURGE_DELAY: c_int = 15;
    /// `mi_option_arena_reserve`, in KiB of addresses. It would be 1 GiB, and a list for that.
    const RESERVE: c_int = 23;
    unsafe extern "C" {
        /// Of mimalloc, whose crate does not name it: stores a number.
        safe fn mi_option_set(option: c_int, value: c_long);
    }
    mi_option_set(PURGE_DELAY, 1);
    #[cfg(target_os = "linux")]
    let addresses = Resource::RLIMIT_AS;
    #[cfg(target_os = "freebsd")]
    let addresses = Resource::RLIMIT_VMEM;
    // Both limits count what is reserved: most of them is for the program and for the stacks of its threads.
    let limits = [addresses, Resource::RLIMIT_DATA];
    let limit = limits.into_iter().filter_map(|which| getrlimit(which).ok()).map(|(limit, _)| limit).min();
    mi_option_set(
        RESERVE,
        // In MiB.
        match limit.unwrap_or(RLIM_INFINITY) >> 20 {
            ..128 => 0,
            128..512 => 32 << 10,
            512.. => 128 << 10,
        },
    );
}

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

/// No core dump of this process, and no debugger of another user, until it becomes another program or has another uid.
///
/// # Errors
/// Those of prctl(2), or of procctl(2).
pub fn keep_memory_private() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_dumpable(false)?;
    #[cfg(target_os = "freebsd")]
    {
        use nix::libc::{P_PID, PROC_TRACE_CTL, PROC_TRACE_CTL_DISABLE, procctl};
        let (own, mut word) = (nix::unistd::getpid().as_raw().into(), PROC_TRACE_CTL_DISABLE);
        // SAFETY: it is about this process. The word outlives the call, which only reads it.
        nix::errno::Errno::result(unsafe { procctl(P_PID, own, PROC_TRACE_CTL, (&raw mut word).cast()) })?;
    }
    Ok(())
}

/// Gives the system the memory that is free: as much as one large home made a thread need once.
pub fn give_memory_back() {
    unsafe extern "C" {
        /// Of mimalloc, whose crate does not name it.
        fn mi_collect(all: bool);
    }
    // SAFETY: it touches nothing but what is free, and any thread may call it.
    unsafe { mi_collect(true) };
}

/// The crypt string of a password, with the scheme, the costs and the salt of a setting: a prefix, or another crypt string
/// of which they are taken. On failure `None`, or on some systems a string that begins with `*`.
pub fn crypt(password: &CStr, setting: &CStr) -> Option<Vec<u8>> {
    // musl has it in the C library.
    #[cfg_attr(not(target_env = "musl"), link(name = "crypt"))]
    unsafe extern "C" {
        fn crypt(password: *const c_char, setting: *const c_char) -> *const c_char;
    }
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: both arguments are strings with a NUL at their end, which outlive the call. The result is null or a string in
    // memory of the C library; the next call overwrites it, and none begins before the string is copied.
    unsafe {
        let hash = crypt(password.as_ptr(), setting.as_ptr());
        (!hash.is_null()).then(|| CStr::from_ptr(hash).to_bytes().to_vec())
    }
}
