//! Temporary files beside the files that they will replace. Each is noted, so that a program that a signal ends leaves none.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::Builder;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use tempfile::NamedTempFile;

use crate::kernel::ignored_signals;

/// How long their removal may take.
const LAST_WAIT: Duration = Duration::from_millis(500);

/// Where all of them are.
static ALL: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
/// Shared while one is made or put in its place: a file system that does not answer keeps no other thread waiting. Taken
/// whole, and never given back, when all of them are removed.
static MAKING: RwLock<()> = RwLock::new(());

fn all() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A temporary file; dropped, it is removed.
pub struct Temporary(NamedTempFile);

impl Temporary {
    /// Makes one.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn make(make: impl FnOnce() -> io::Result<NamedTempFile>) -> io::Result<Temporary> {
        let _making = MAKING.read().unwrap_or_else(PoisonError::into_inner);
        let file = make()?;
        all().insert(file.path().to_owned());
        Ok(Temporary(file))
    }

    /// The open file.
    pub fn file(&self) -> &File {
        self.0.as_file()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Puts it in the place of another file.
    ///
    /// # Errors
    /// Those of rename(2), after which the other file is still there.
    pub fn persist(self, path: &Path) -> io::Result<File> {
        let _making = MAKING.read().unwrap_or_else(PoisonError::into_inner);
        all().remove(self.0.path());
        self.0.persist(path).map_err(|failed| failed.error)
    }
}

/// Removes all of them, at the end of the program: from now on no thread makes another one, or puts one in its place. A
/// file system that does not answer is not waited for.
pub fn remove_all() {
    let (say, hear) = channel();
    let remove = move || {
        std::mem::forget(MAKING.write().unwrap_or_else(PoisonError::into_inner));
        all().iter().for_each(|path| drop(fs::remove_file(path)));
        let _ = say.send(());
    };
    // Without it they stay, and the next rebuild removes them.
    let _ = Builder::new().spawn(remove);
    let _ = hear.recv_timeout(LAST_WAIT);
}

/// From now on TERM and INT remove all of them before they end the program. A signal that is ignored stays ignored.
pub fn leave_none() {
    let ignored = ignored_signals();
    let caught = [SIGTERM, SIGINT].into_iter().filter(move |signal| ignored >> (signal - 1) & 1 == 0);
    let (ready, wait) = channel();
    // The thread first: signals that are caught, and end nothing, are worse than a file that stays.
    let thread = Builder::new().spawn(move || {
        let signals = Signals::new(caught);
        let _ = ready.send(());
        if let Ok(mut signals) = signals
            && let Some(signal) = signals.forever().next()
        {
            remove_all();
            let _ = emulate_default_handler(signal);
        }
    });
    if thread.is_ok() {
        let _ = wait.recv();
    }
}
