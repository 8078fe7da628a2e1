//! Changes that nobody announced, by inotify(7) (through nix, which the pipe needs anyway; a mask of our own is silent
//! about what we read ourselves). Only names that decide something count, so that
//! deliveries into a home do not wake us, and the published tables, which others than this service may change. What it cannot see (what links lead to, folders called `.qmail-...`) the next sweep sees.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

use crate::report::Note;

/// Which names in a folder matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// All.
    All,
    /// This one.
    This(Vec<u8>),
    /// Those of this home, as users/assign or passwd names it: `.qmail...` and `vpasswd...`.
    Home(Vec<u8>),
    /// All, in the folder of a published file: another name may be one of its own.
    Published,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Names in this home, as users/assign or passwd names it.
    Home(Vec<u8>),
    /// Something in the folder of a published file, by this service or by another program.
    Published,
    /// Something else: nobody knows what that means.
    Anything,
}

/// What matters in one folder.
#[derive(Default)]
struct Matters {
    all: bool,
    homes: Vec<Vec<u8>>,
    these: HashSet<Vec<u8>>,
    published: bool,
}

impl Matters {
    fn add(&mut self, names: Names) {
        match names {
            Names::All => self.all = true,
            Names::Home(path) => self.homes.push(path),
            Names::This(name) => drop(self.these.insert(name)),
            Names::Published => self.published = true,
        }
    }

    fn changed(&self, name: &[u8]) -> Vec<Changed> {
        let is_of_home = name.starts_with(b".qmail") || name == b"vpasswd" || name == b"vpasswd.cdb";
        let mut changed = Vec::new();
        if self.published {
            changed.push(Changed::Published);
        }
        if self.all || self.these.contains(name) {
            changed.push(Changed::Anything);
        } else if is_of_home {
            changed.extend(self.homes.iter().cloned().map(Changed::Home));
        }
        changed
    }
}

/// The folders that are watched.
pub struct Watch {
    inotify: Inotify,
    /// Tells when something is mounted or unmounted (proc(5)); `None` where there is no /proc.
    mounts: Option<File>,
    folders: Mutex<Folders>,
}

#[derive(Default)]
struct Folders {
    names: HashMap<WatchDescriptor, Matters>,
    /// Whether it was said that the system allows too few watches.
    too_few_said: bool,
    /// Whether every folder that is there is watched.
    complete: bool,
}

impl Watch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// Those of inotify_init(2).
    pub fn new() -> nix::Result<Watch> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        Ok(Watch { inotify, mounts: File::open("/proc/self/mountinfo").ok(), folders: Mutex::default() })
    }

    /// Watches these folders, and no others but those above them, from `top` down, where they may be renamed. A folder that is missing is
    /// waited for in the nearest one that is there. Says when the system allows too few watches.
    pub fn set(&self, top: &Path, wanted: &[(PathBuf, Names)]) -> Option<Note> {
        let events = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: HashMap<_, Matters> = HashMap::new();
        let mut above: BTreeSet<&Path> = BTreeSet::new();
        let (mut refused, mut complete) = (None, true);
        let mut add = |path: &Path, of_path: Names| match self.inotify.add_watch(path, events) {
            Ok(watch) => names.entry(watch).or_default().add(of_path),
            // A missing folder is waited for in the one above it.
            Err(cause) => {
                refused = refused.or(Some(cause).filter(|cause| *cause == Errno::ENOSPC));
                complete &= matches!(cause, Errno::ENOENT | Errno::ENOTDIR);
            }
        };
        for (folder, of_folder) in wanted {
            let mut path = folder.as_path();
            while let (Some(parent), Some(name)) = (path.parent(), path.file_name())
                && path != top
                && above.insert(path)
            {
                add(parent, Names::This(name.as_bytes().to_vec()));
                path = parent;
            }
            // After those above it, so that it is not made unseen between the two.
            add(folder, of_folder.clone());
        }
        for watch in folders.names.keys().filter(|watch| !names.contains_key(watch)) {
            let _ = self.inotify.rm_watch(*watch);
        }
        folders.names = names;
        folders.complete = complete;
        let said = std::mem::replace(&mut folders.too_few_said, refused.is_some());
        refused.filter(|_| !said).map(|_| {
            Note::warning(
                "the system allows too few watches (sysctl fs.inotify.max_user_watches); what they would see, the next \
                 sweep sees",
            )
        })
    }

    /// Whether it was not told yet what to watch.
    pub fn is_new(&self) -> bool {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).names.is_empty()
    }

    /// Whether it sees every change in the folders that it was told to watch.
    pub fn is_complete(&self) -> bool {
        self.mounts.is_some() && self.folders.lock().unwrap_or_else(PoisonError::into_inner).complete
    }

    /// Calls `changed` for every change that matters, until `stop` is closed at its other end.
    pub fn listen(&self, stop: &OwnedFd, changed: &mut dyn FnMut(Vec<Changed>)) {
        loop {
            let mut fds = vec![
                PollFd::new(stop.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN),
            ];
            fds.extend(self.mounts.as_ref().map(|mounts| PollFd::new(mounts.as_fd(), PollFlags::POLLPRI)));
            if poll(&mut fds, PollTimeout::NONE).is_err() {
                continue;
            }
            if fds[0].revents().is_some_and(|events| !events.is_empty()) {
                return;
            }
            if fds.get(2).and_then(PollFd::revents).is_some_and(|events| !events.is_empty()) {
                changed(vec![Changed::Anything]);
            }
            let events = self.inotify.read_events().unwrap_or_default();
            let found: Vec<Changed> = events.iter().flat_map(|event| self.changed(event)).collect();
            if !found.is_empty() {
                changed(found);
            }
        }
    }

    fn changed(&self, event: &InotifyEvent) -> Vec<Changed> {
        // More than the kernel keeps: anything may have changed.
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            return vec![Changed::Anything];
        }
        let folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(names) = folders.names.get(&event.wd) else { return Vec::new() };
        // Without a name it is about the folder itself: moved, removed, another mode.
        let of_name = |name: &OsString| names.changed(name.as_bytes());
        event.name.as_ref().map_or_else(|| vec![Changed::Anything], of_name)
    }
}

/// The folder and name of a file that matters, for [`Watch::set`].
pub fn file(path: &Path) -> Option<(PathBuf, Names)> {
    Some((path.parent()?.to_owned(), Names::This(path.file_name()?.as_bytes().to_vec())))
}

/// The folder of a file that we publish.
pub fn published(path: &Path) -> Option<(PathBuf, Names)> {
    Some((path.parent()?.to_owned(), Names::Published))
}
