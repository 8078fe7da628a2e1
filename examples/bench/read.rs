//! A bound from below: whoever judges dot-qmail files by their mode, owner and instructions cannot do less than list each
//! home, and open, look at and read each of these files and the mailboxes. This does that, and nothing with it.

use std::ffi::{CStr, OsString};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{CWD, Mode, OFlags, RawDir, fstat, openat};

/// The first argument that makes this program do it; then the root and the number of threads.
pub const WORD: &str = "--only-read";

/// Reads every home that users/assign names.
pub fn serve(words: &[OsString]) -> io::Result<ExitCode> {
    let [root, threads] = words else { return Err(io::Error::other("a root, and how many threads")) };
    let root = Path::new(root);
    let assign = fs::read_to_string(root.join("var/qmail/users/assign"))?;
    let home = |line: &str| line.split(':').nth(4).map(|home| root.join(home.trim_start_matches('/')));
    let homes: Vec<_> = assign.lines().filter_map(home).collect();
    let next = AtomicUsize::new(0);
    let threads = threads.to_string_lossy().parse().map_err(io::Error::other)?;
    std::thread::scope(|scope| {
        let read = || -> io::Result<()> {
            let (mut names, mut content) = (vec![MaybeUninit::uninit(); 1 << 15], vec![0; 1 << 16]);
            while let Some(home) = homes.get(next.fetch_add(1, Ordering::Relaxed)) {
                read_home(home, &mut names, &mut content)?;
            }
            Ok(())
        };
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(read)).collect();
        all.into_iter().try_for_each(|one| one.join().map_err(|_| io::Error::other("a fault"))?)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn read_home(home: &Path, names: &mut [MaybeUninit<u8>], content: &mut [u8]) -> io::Result<()> {
    let flags = OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let folder = openat(CWD, home, flags | OFlags::DIRECTORY, Mode::empty())?;
    fstat(&folder)?;
    let mut read = |name: &CStr| -> io::Result<()> {
        let file = openat(&folder, name, flags, Mode::empty())?;
        fstat(&file)?;
        rustix::io::read(&file, &mut *content)?;
        Ok(())
    };
    let mut entries = RawDir::new(&folder, names);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_bytes().starts_with(b".qmail") || name == c"vpasswd.cdb" {
            read(name)?;
        }
    }
    Ok(())
}
