//! The copy of a host that the program brings along.

use std::fs::{DirBuilder, Permissions, set_permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use include_dir::{Dir, DirEntry};

use crate::error::{Error, show_cause, show_path};

/// Makes a new directory, `None` being one below TMPDIR, with the files in it. As on a real host, everybody may read
/// them and nobody else may write; and there is a /tmp for the pipe. Returns where they are.
///
/// # Errors
/// Something is there already, or cannot be made.
pub fn copy(files: &Dir<'_>, to: Option<&Path>) -> Result<PathBuf, Error> {
    let failed = |path: &Path, cause: io::Error| match cause.kind() {
        io::ErrorKind::AlreadyExists => Error::Usage(format!("{}: exists; name a new directory", show_path(path))),
        _ => Error::Temporary(format!("{}: cannot be made: {}", show_path(path), show_cause(&cause))),
    };
    let top = match to {
        Some(directory) => {
            DirBuilder::new().mode(0o755).create(directory).map_err(|cause| failed(directory, cause))?;
            directory.to_owned()
        }
        None => {
            let below = tempfile::env::temp_dir();
            let made = tempfile::Builder::new().prefix("qmail-updater-demo.").tempdir_in(&below);
            made.map_err(|cause| failed(&below, cause))?.keep()
        }
    };
    let pipes = || {
        DirBuilder::new().create(top.join("tmp"))?;
        set_permissions(top.join("tmp"), Permissions::from_mode(0o1777))
    };
    files
        .extract(&top)
        .and_then(|()| set_modes(files, &top))
        .and_then(|()| pipes())
        .map_err(|cause| failed(&top, cause))?;
    Ok(top)
}

fn set_modes(files: &Dir<'_>, top: &Path) -> io::Result<()> {
    let directory = if files.path().as_os_str().is_empty() { top.to_owned() } else { top.join(files.path()) };
    set_permissions(directory, Permissions::from_mode(0o755))?;
    for entry in files.entries() {
        match entry {
            DirEntry::Dir(directory) => set_modes(directory, top)?,
            DirEntry::File(file) => set_permissions(top.join(file.path()), Permissions::from_mode(0o644))?,
        }
    }
    Ok(())
}
