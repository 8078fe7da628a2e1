//! Calls that fail for another reason than what is on the host (see [`Nature`]). Such a failure is no fact: what could not
//! be read because of it is kept as published, no fingerprint is remembered, and it is read again soon. When the system
//! lacks something, the whole rebuild fails. The walks and reads below the root note each failure here, whatever their
//! callers make of the error.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use crate::error::{Error, Nature, Trouble, show_path};

/// After the system seemed to lack something in so many rebuilds at the same home, and did not lack it, that is a failure
/// of the home's storage: a file system of a user can answer with any error.
const MAX_SEEMING: u32 = 3;
/// So many homes are remembered at which the system seemed to lack something.
const MAX_HOMES: usize = 1_000;

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it tells of.
    pub nature: Nature,
    /// What it was at: a path on this machine, or a name in the directory that was read.
    pub place: PathBuf,
    /// Why it failed.
    pub cause: Errno,
}

impl Failure {
    /// Why a home could not be read, without the path of the home.
    pub fn trouble(&self, home: &Path) -> Trouble {
        match self.place.strip_prefix(home).or_else(|_| self.place.strip_prefix(".")) {
            Ok(inside) if inside.as_os_str().is_empty() => self.cause.into(),
            Ok(inside) => Trouble::from(self.cause).of_file(show_path(inside)),
            Err(_) => Trouble::from(self.cause).of_file(show_path(&self.place)),
        }
    }

    fn below(self, home: &Path) -> Failure {
        let inside = self.place.strip_prefix(".").unwrap_or(&self.place);
        Failure { place: home.join(inside), ..self }
    }
}

/// What was met on the way of some work.
#[derive(Clone, Debug, Default)]
pub struct Met {
    /// The failure that tells most, of several the first.
    pub failure: Option<Failure>,
    /// Whether the system refused something: another process may have changed a mode meanwhile, or put another directory in
    /// the place of one.
    pub is_refused: bool,
}

thread_local! {
    /// What the work of this thread has met, when that is wanted.
    static MET: RefCell<Option<Met>> = const { RefCell::new(None) };
}

/// Notes a call that failed; `place` is what it was at.
pub fn note(cause: Errno, place: impl FnOnce() -> PathBuf) {
    let nature = Nature::of(cause);
    if nature == Nature::Host {
        let is_refused = matches!(cause, Errno::EACCES | Errno::EPERM);
        MET.with_borrow_mut(|met| met.iter_mut().for_each(|met| met.is_refused |= is_refused));
        return;
    }
    note_as(nature, cause, place);
}

/// The same of a failure that tells of something else here than its number does.
pub(super) fn note_as(nature: Nature, cause: Errno, place: impl FnOnce() -> PathBuf) {
    let failure = Failure { nature, place: place(), cause };
    let untold = MET.with_borrow_mut(|met| match met {
        Some(met) => {
            met.add(failure);
            None
        }
        None => Some(failure),
    });
    untold.into_iter().for_each(tell);
}

/// The same of an error of the standard library.
pub fn note_error(cause: &io::Error, place: impl FnOnce() -> PathBuf) {
    if let Some(code) = cause.raw_os_error() {
        note(Errno::from_raw(code), place);
    }
}

impl Met {
    fn add(&mut self, failure: Failure) {
        if self.failure.as_ref().is_none_or(|before| before.nature < failure.nature) {
            self.failure = Some(failure);
        }
    }
}

/// Does the work, and gives what it met, which nobody else is told of.
pub fn during<T>(work: impl FnOnce() -> T) -> (T, Met) {
    let before = MET.replace(Some(Met::default()));
    let done = work();
    (done, MET.replace(before).unwrap_or_default())
}

/// Does work that looks at one home, `home` on this machine, and tells of what failed: a rebuild ends when the system lacks
/// something, and reads the home again soon when its storage failed. What was met is the answer, too.
pub fn of_home<T>(home: &Path, work: impl FnOnce() -> T) -> (T, Met) {
    let (done, mut met) = during(work);
    if let Some(failure) = &mut met.failure {
        if failure.nature == Nature::System && is_only_seeming(home) {
            failure.nature = Nature::Storage;
        }
        tell(failure.clone().below(home));
    }
    (done, met)
}

/// What was told since the process began.
static TOLD: Mutex<Told> =
    Mutex::new(Told { number: 0, rebuild: 0, storage: 0, system: None, seeming: BTreeMap::new() });

struct Told {
    /// How many failures there were.
    number: u64,
    /// How many rebuilds began.
    rebuild: u64,
    /// The number of the last failure of storage.
    storage: u64,
    /// The last failure of the system, and its number.
    system: Option<(u64, Failure)>,
    /// The homes at which the system seemed to lack something: in which rebuild that was last, and in how many.
    seeming: BTreeMap<PathBuf, (u64, u32)>,
}

fn told() -> MutexGuard<'static, Told> {
    TOLD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tell(failure: Failure) {
    let mut told = told();
    told.number += 1;
    match failure.nature {
        Nature::System => told.system = Some((told.number, failure)),
        Nature::Host | Nature::Storage => told.storage = told.number,
    }
}

/// Whether what seems to be a failure of the system comes from this home alone.
fn is_only_seeming(home: &Path) -> bool {
    // A descriptor, and some memory of the kernel: what is there now.
    if open("/", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).is_err() {
        return false;
    }
    let mut told = told();
    let rebuild = told.rebuild;
    if told.seeming.len() >= MAX_HOMES && !told.seeming.contains_key(home) {
        return false;
    }
    let (last, times) = told.seeming.entry(home.to_owned()).or_insert((0, 0));
    if *last != rebuild || *times == 0 {
        (*last, *times) = (rebuild, times.saturating_add(1));
    }
    *times >= MAX_SEEMING
}

/// A moment, for [`Mark::storage_failed`] and [`Mark::system`].
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

impl Mark {
    /// Now.
    pub fn now() -> Mark {
        Mark(told().number)
    }

    /// Now, when a rebuild begins.
    pub fn at_rebuild() -> Mark {
        let mut told = told();
        told.rebuild += 1;
        Mark(told.number)
    }

    /// Whether the storage of anything failed since then.
    pub fn storage_failed(self) -> bool {
        told().storage > self.0
    }

    /// Whether the system lacked nothing since then.
    ///
    /// # Errors
    /// What it lacked.
    pub fn system(self) -> Result<(), Error> {
        match &told().system {
            Some((number, failure)) if *number > self.0 => Err(Error::io("read", &failure.place, failure.cause)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> PathBuf {
        PathBuf::from(".qmail")
    }

    #[test]
    fn what_is_on_the_host_is_no_failure_and_what_the_system_lacks_tells_most() {
        let ((), met) = during(|| {
            note(Errno::ENOENT, place);
            note(Errno::ELOOP, place);
        });
        assert_eq!((met.failure, met.is_refused), (None, false));
        let ((), met) = during(|| {
            note(Errno::EACCES, place);
            note(Errno::EIO, place);
            note(Errno::EMFILE, place);
            note(Errno::ESTALE, place);
        });
        let failure = Failure { nature: Nature::System, place: place(), cause: Errno::EMFILE };
        assert_eq!((met.failure, met.is_refused), (Some(failure), true));
    }

    #[test]
    fn a_home_that_seems_to_exhaust_the_system_again_and_again_fails_alone() {
        let home = Path::new("/only/of/this/test");
        let natures: Vec<Nature> = (0..5)
            .map(|_| {
                Mark::at_rebuild();
                // Several times in one rebuild are one time.
                let mut natures =
                    [(); 2].map(|()| of_home(home, || note(Errno::EMFILE, place)).1.failure.unwrap().nature);
                natures.sort();
                natures[1]
            })
            .collect();
        use Nature::{Storage, System};
        assert_eq!(natures, [System, System, Storage, Storage, Storage]);
    }
}
