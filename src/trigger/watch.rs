//! Changes that nobody announced, by inotify(7) (through nix, which the pipe needs anyway; a mask of our own is silent
//! about what we read ourselves). Only names that decide something count, so that neither deliveries into a home nor our
//! own files wake us. What it cannot see (what links lead to, folders called `.qmail-...`) the next sweep sees.

use std::collections::HashMap;
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
    /// These.
    These(Vec<Vec<u8>>),
    /// Those of a home: `.qmail...` and `vpasswd...`.
    Home,
}

impl Names {
    fn matter(&self, name: &[u8]) -> bool {
        match self {
            Names::All => true,
            Names::These(names) => names.iter().any(|wanted| wanted == name),
            Names::Home => name.starts_with(b".qmail") || name == b"vpasswd" || name == b"vpasswd.cdb",
        }
    }
}

/// The folders that are watched.
pub struct Watch {
    inotify: Inotify,
    folders: Mutex<Folders>,
}

#[derive(Default)]
struct Folders {
    by_path: HashMap<PathBuf, WatchDescriptor>,
    names: HashMap<WatchDescriptor, Vec<Names>>,
    /// Whether it was said that the system allows too few watches.
    too_few_said: bool,
}

impl Watch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// Those of inotify_init(2).
    pub fn new() -> nix::Result<Watch> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        Ok(Watch { inotify, folders: Mutex::default() })
    }

    /// Watches these folders, and no others. A folder that is missing is waited for in the nearest one that is there.
    /// Says when the system allows too few watches.
    pub fn set(&self, wanted: &[(PathBuf, Names)]) -> Option<Note> {
        let events = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut by_path, mut names): (HashMap<PathBuf, WatchDescriptor>, HashMap<_, Vec<Names>>) = Default::default();
        let mut refused = None;
        for (folder, of_folder) in wanted {
            let (mut path, mut of_path) = (folder.clone(), of_folder.clone());
            loop {
                match self.inotify.add_watch(&path, events) {
                    Ok(watch) => {
                        names.entry(watch).or_default().push(of_path);
                        by_path.insert(path, watch);
                        break;
                    }
                    Err(Errno::ENOSPC) => {
                        refused = Some(Errno::ENOSPC);
                        break;
                    }
                    Err(_) => {
                        let Some((above, name)) = path.parent().zip(path.file_name()) else { break };
                        of_path = Names::These(vec![name.as_bytes().to_vec()]);
                        path = above.to_owned();
                    }
                }
            }
        }
        for (path, watch) in &folders.by_path {
            if !names.contains_key(watch) && !by_path.contains_key(path) {
                let _ = self.inotify.rm_watch(*watch);
            }
        }
        (folders.by_path, folders.names) = (by_path, names);
        let said = std::mem::replace(&mut folders.too_few_said, refused.is_some());
        refused.filter(|_| !said).map(|_| {
            Note::warning(
                "the system allows too few watches (sysctl fs.inotify.max_user_watches); what they would see, the next \
                 sweep sees",
            )
        })
    }

    /// Calls `changed` for every change that matters, until `stop` is closed at its other end.
    pub fn listen(&self, stop: &OwnedFd, changed: &mut dyn FnMut()) {
        loop {
            let mut fds =
                [PollFd::new(stop.as_fd(), PollFlags::POLLIN), PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::NONE).is_err() {
                continue;
            }
            if fds[0].revents().is_some_and(|events| !events.is_empty()) {
                return;
            }
            if self.inotify.read_events().is_ok_and(|events| events.iter().any(|event| self.matters(event))) {
                changed();
            }
        }
    }

    fn matters(&self, event: &InotifyEvent) -> bool {
        // More than the kernel keeps: anything may have changed.
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            return true;
        }
        let folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(names) = folders.names.get(&event.wd) else { return false };
        // Without a name it is about the folder itself: moved, removed, another mode.
        event.name.as_ref().is_none_or(|name| names.iter().any(|names| names.matter(name.as_bytes())))
    }
}

/// The folder and name of a file that matters, for [`Watch::set`].
pub fn file(path: &Path) -> Option<(PathBuf, Names)> {
    Some((path.parent()?.to_owned(), Names::These(vec![path.file_name()?.as_bytes().to_vec()])))
}
