//! What /proc tells (proc(5)).

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};

/// This program, also when another file has its name by now.
const OURSELVES: &str = "/proc/self/exe";

/// What starts this program, also when another file has its name by now.
pub fn own_program() -> PathBuf {
    PathBuf::from(OURSELVES)
}

/// The file of this program as it was started, links resolved, what it is, and whether another file has its name by now or
/// none.
///
/// # Errors
/// It cannot be found.
pub fn own_file() -> io::Result<(PathBuf, Metadata, bool)> {
    let (path, file) = (Path::new(OURSELVES).read_link()?, Path::new(OURSELVES).metadata()?);
    let replaced = path.as_os_str().as_bytes().strip_suffix(b" (deleted)");
    Ok(match replaced.filter(|_| path.symlink_metadata().is_err()) {
        Some(name) => (PathBuf::from(OsStr::from_bytes(name)), file, true),
        None => (path, file, false),
    })
}

/// The signals that this process was started to ignore, by proc_pid_status(5): a bit for each, from the lowest.
pub fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

/// The users whose processes hold a lock on this file, by proc_locks(5); none where that cannot be known.
pub fn holders_of_lock(file: &Metadata) -> Vec<u32> {
    // The process, and then the device and the inode.
    let (device, inode) = (file.dev(), file.ino());
    let id = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let holders = locks.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip_while(|field| field.parse::<u32>().is_err());
        let (process, place) = (fields.next()?, fields.next()?);
        (place == id).then(|| real_uid(process)).flatten()
    });
    holders.collect()
}

/// The user that started a process, by proc_pid_status(5).
fn real_uid(process: &str) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_ascii_whitespace().next()?.parse().ok()
}

/// The programs, other than this one, that have the pipe open for reading alone, each with its process. What this process
/// may not look at is left out.
pub fn other_readers(pipe: &Metadata) -> Vec<(String, String)> {
    let name_of = |process: &str| {
        let real = fs::read_link(format!("{process}/exe")).ok()?;
        let name = real.file_name()?.to_string_lossy().into_owned();
        Some(name.trim_end_matches(" (deleted)").to_owned())
    };
    let own = name_of("/proc/self");
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let number = process.file_name().to_string_lossy().into_owned();
        if !number.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        let path = format!("/proc/{number}");
        let descriptors = fs::read_dir(format!("{path}/fd")).into_iter().flatten().flatten();
        let reads = |descriptor: fs::DirEntry| {
            let is_it =
                fs::metadata(descriptor.path()).is_ok_and(|meta| (meta.dev(), meta.ino()) == (pipe.dev(), pipe.ino()));
            let info = || fs::read_to_string(format!("{path}/fdinfo/{}", descriptor.file_name().to_string_lossy()));
            is_it && info().is_ok_and(|info| is_read_only(&info))
        };
        let mut descriptors = descriptors;
        if descriptors.any(reads)
            && let Some(name) = name_of(&path).filter(|name| Some(name) != own.as_ref())
        {
            found.push((number, name));
        }
    }
    found
}

/// Whether a descriptor is open for reading alone, by its fdinfo.
fn is_read_only(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok()).is_some_and(|flags| flags & 0o3 == 0)
}

/// Whether the system keeps users from pipes of others in a sticky directory: the value of sysctl fs.protected_fifos, which
/// is empty where there is none.
pub fn protected_fifos() -> String {
    fs::read_to_string("/proc/sys/fs/protected_fifos").unwrap_or_default().trim().to_owned()
}
