//! One rebuild at a time on a host.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, show_path};

/// How long a rebuild waits for another one.
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes the host's one lock, `lock` in the folder of states, which is made when it is missing; held until it is dropped.
///
/// # Errors
/// A folder or file that cannot be made; another rebuild that takes longer than a minute.
pub fn acquire(folder: &Path) -> Result<File, Error> {
    if !folder.is_dir() {
        if let Some(above) = folder.parent() {
            fs::create_dir_all(above).map_err(|cause| Error::io("make", above, cause))?;
        }
        match DirBuilder::new().mode(0o700).create(folder) {
            // Whatever the umask says.
            Ok(()) => fs::set_permissions(folder, fs::Permissions::from_mode(0o750))
                .map_err(|cause| Error::io("set the mode of", folder, cause))?,
            Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(cause) => return Err(Error::io("make", folder, cause)),
        }
    }
    let path = folder.join("lock");
    let failed = |cause| Error::io("lock", &path, cause);
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o640)
        .custom_flags(flags.bits())
        .open(&path)
        .map_err(failed)?;
    let start = Instant::now();
    loop {
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
