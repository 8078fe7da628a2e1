//! One rebuild at a time on a host.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{Error, show_path};
use crate::fs::{End, Root};
use crate::report::{self, Level};

/// The host's one lock; dropped, it is free.
pub type Lock = File;

/// How long a rebuild waits for another one.
const PATIENCE: Duration = Duration::from_secs(60);
/// After how long it says so.
const SAID_AFTER: Duration = Duration::from_secs(2);

/// Takes the host's one lock, `lock` in the folder of states (absolute, below the root), which is made when it is missing; held until it is dropped.
///
/// # Errors
/// A folder or file that cannot be made; another rebuild that takes longer than a minute.
pub fn acquire(root: &Root, folder: &[u8]) -> Result<Lock, Error> {
    let folder = &make(root, folder)?;
    let path = folder.join("lock");
    let failed = |cause| Error::io("lock", &path, cause);
    let file = open(&path)?;
    let start = Instant::now();
    let mut is_said = false;
    loop {
        if start.elapsed() >= SAID_AFTER && !std::mem::replace(&mut is_said, true) {
            report::say(Level::Status, &format!("waits for another rebuild, which holds {}", show_path(&path)));
        }
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
            Err(TryLockError::WouldBlock) if start.elapsed() >= PATIENCE => {
                return Err(Error::Temporary(format!(
                    "{}: another rebuild has held it for {} s",
                    show_path(&path),
                    PATIENCE.as_secs()
                )));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Takes the lock of one of qmail's compilers, so that only one process of this program runs it; `None` while another one
/// holds it.
///
/// # Errors
/// A directory or file that cannot be made.
pub fn try_compiler(root: &Root, folder: &[u8], name: &str) -> Result<Option<Lock>, Error> {
    let path = make(root, folder)?.join(format!("{name}.lock"));
    let file = open(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(cause)) => Err(Error::io("lock", &path, cause)),
    }
}

/// Whether a service reads the pipe; `None` when we may not look.
pub fn is_fifo_read(root: &Root, folder: &[u8], fifo: &Path) -> Option<bool> {
    is_held(root, &[folder, b"/", fifo_lock_name(fifo).as_bytes()].concat())
}

/// Whether a rebuild is running; `None` when we may not look.
pub fn is_rebuild_running(root: &Root, folder: &[u8]) -> Option<bool> {
    is_held(root, &[folder, b"/lock"].concat())
}

fn is_held(root: &Root, lock: &[u8]) -> Option<bool> {
    let path = root.walk(lock);
    let found = match path.end {
        End::Found(found) => found,
        End::Missing(_) => return Some(false),
        End::Failed(cause) => return (cause != nix::errno::Errno::EACCES).then_some(false),
        End::Silent(_) => return None,
    };
    match File::open(found.real) {
        Ok(file) => Some(matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))),
        Err(cause) => (cause.kind() != io::ErrorKind::PermissionDenied).then_some(false),
    }
}

/// The lock of one pipe: only one service reads it.
pub struct FifoLock {
    file: File,
    path: PathBuf,
    fifo: PathBuf,
}

/// Takes the lock of one pipe.
///
/// # Errors
/// A folder or file that cannot be made; another service that holds it.
pub fn acquire_fifo(root: &Root, folder: &[u8], fifo: &Path) -> Result<FifoLock, Error> {
    let path = make(root, folder)?.join(fifo_lock_name(fifo));
    let file = open(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(FifoLock { file, path, fifo: fifo.to_owned() }),
        Err(TryLockError::Error(cause)) => Err(Error::io("lock", &path, cause)),
        Err(TryLockError::WouldBlock) => {
            Err(Error::Temporary(format!("{}: another service reads this pipe", show_path(fifo))))
        }
    }
}

impl FifoLock {
    /// Takes the lock again when its file was removed, which lets another service take it. What was removed is the answer.
    ///
    /// # Errors
    /// Those of [`acquire_fifo`].
    pub fn keep(&mut self, root: &Root, folder: &[u8]) -> Result<Option<PathBuf>, Error> {
        let id = |meta: fs::Metadata| (meta.dev(), meta.ino());
        let ours = self.file.metadata().map(id).map_err(|cause| Error::io("lock", &self.path, cause))?;
        match fs::symlink_metadata(&self.path).map(id) {
            Ok(is) if is == ours => return Ok(None),
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(Error::io("lock", &self.path, cause)),
        }
        let all = matches!(root.walk(folder).end, End::Missing(_));
        let removed = if all { root.path(folder) } else { self.path.clone() };
        *self = acquire_fifo(root, folder, &self.fifo)?;
        Ok(Some(removed))
    }
}

/// The name of a pipe's lock.
fn fifo_lock_name(fifo: &Path) -> String {
    // Two pipes never share a name: what is no plain byte of a path is escaped.
    let name: String = fifo
        .as_os_str()
        .as_bytes()
        .iter()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' => char::from(*b).to_string(),
            b => format!("_{b:02x}"),
        })
        .collect();
    format!("fifo{name}.lock")
}

/// Opens a lock file, which is made when it is missing. On a read-only file system the file that is there will do.
fn open(path: &Path) -> Result<File, Error> {
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
    let mut writable = OpenOptions::new();
    writable.create(true).truncate(false).write(true).mode(0o640).custom_flags(flags.bits());
    let opened = writable.open(path).or_else(|cause| match cause.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(|_| cause)
        }
        _ => Err(cause),
    });
    opened.map_err(|cause| Error::io("lock", path, cause))
}

/// The mode of the folder of states.
const MODE: u32 = 0o750;

/// The real path of the folder of states, made with mode 0750, whatever the umask says, when it is missing.
fn make(root: &Root, folder: &[u8]) -> Result<PathBuf, Error> {
    let path = root.path(folder);
    let failed = |cause| Error::io("make the directory", &path, cause);
    let missing = matches!(root.walk(folder).end, End::Missing(_));
    let real = root.make_folder(folder, MODE).map_err(failed)?;
    if missing {
        fs::set_permissions(&real, fs::Permissions::from_mode(MODE)).map_err(failed)?;
    }
    Ok(real)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Bounds;

    #[test]
    fn what_was_removed_of_a_lock_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (root, fifo) = (Root::new(folder.path(), Bounds::default()), Path::new("/tmp/p"));
        let mut lock = acquire_fifo(&root, b"/state", fifo).unwrap();
        let state = folder.path().join("state");
        let file = state.join("fifo_2ftmp_2fp.lock");
        assert_eq!(lock.keep(&root, b"/state").unwrap(), None);
        fs::remove_file(&file).unwrap();
        assert_eq!(lock.keep(&root, b"/state").unwrap(), Some(file.clone()), "the directory is still there");
        fs::remove_dir_all(&state).unwrap();
        assert_eq!(lock.keep(&root, b"/state").unwrap(), Some(state.clone()));
        fs::rename(&file, state.join("old")).unwrap();
        fs::write(&file, "").unwrap();
        let other = File::open(&file).unwrap();
        other.try_lock().unwrap();
        let error = lock.keep(&root, b"/state").err().unwrap();
        assert_eq!(error.to_string(), "/tmp/p: another service reads this pipe");
    }
}
