//! Changes that nobody announced, by inotify(7) (through nix, which the pipe needs anyway; a mask of our own is silent
//! about what we read ourselves). Only names that decide something count, so that
//! deliveries into a home do not wake us, and the published tables, which others than this service may change. What it cannot see (what links lead to, folders called `.qmail-...`) the next sweep sees.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

use crate::fs::silence::at;
use crate::fs::{End, Root};
use crate::host::Host;
use crate::report::Note;
use crate::settings::Settings;

/// Which names in a folder matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// All.
    All,
    /// This one.
    This(Vec<u8>),
    /// Those of this home, as users/assign or passwd names it: `.qmail...` and `vpasswd...`.
    Home(Vec<u8>),
    /// All of this home: where mailboxes are in a user database, only their directories show that they come and go.
    Users(Vec<u8>),
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
    users: Vec<Vec<u8>>,
    these: HashSet<Vec<u8>>,
    published: bool,
}

impl Matters {
    fn add(&mut self, names: Names) {
        match names {
            Names::All => self.all = true,
            Names::Home(path) => self.homes.push(path),
            Names::Users(path) => self.users.push(path),
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
        } else {
            let homes = self.homes.iter().filter(|_| is_of_home).chain(&self.users);
            changed.extend(homes.cloned().map(Changed::Home));
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

/// What a folder is watched for.
const EVENTS: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVE)
    .union(AddWatchFlags::IN_CLOSE_WRITE)
    .union(AddWatchFlags::IN_MODIFY)
    .union(AddWatchFlags::IN_ATTRIB)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_ONLYDIR);

/// What came of adding watches.
#[derive(Default)]
struct Added {
    names: HashMap<WatchDescriptor, Matters>,
    are_too_few: bool,
    is_complete: bool,
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

    /// Watches these folders, and no others but those above them, up to the root, where they may be renamed. A folder that
    /// is missing is waited for in the nearest one that is there; one that does not answer is not waited for. Says when the
    /// system allows too few watches.
    pub fn set(self: &Arc<Self>, root: &Root, wanted: Vec<(PathBuf, Names)>) -> Option<Note> {
        let (own, below) = (self.clone(), root.clone());
        let added = root.silences.attempt(move || own.add(&below, &wanted));
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(added) = added else {
            folders.complete = false;
            return None;
        };
        for watch in folders.names.keys().filter(|watch| !added.names.contains_key(watch)) {
            let _ = self.inotify.rm_watch(*watch);
        }
        folders.names = added.names;
        folders.complete = added.is_complete;
        let said = std::mem::replace(&mut folders.too_few_said, added.are_too_few);
        (added.are_too_few && !said).then(|| {
            Note::warning(
                "the system allows too few watches (sysctl fs.inotify.max_user_watches); what they would see, the next \
                 sweep sees",
            )
        })
    }

    /// Adds the watches. Meanwhile those that there were stay: what a new one sees before its names are known, whoever asks
    /// for it reads later.
    fn add(&self, root: &Root, wanted: &[(PathBuf, Names)]) -> Added {
        let mut added = Added { is_complete: true, ..Added::default() };
        let mut real = HashMap::new();
        let mut above: BTreeSet<&Path> = BTreeSet::new();
        let mut add = |path: &Path, of_path: Names| match self.add_one(root, path, &mut real) {
            Ok(watch) => added.names.entry(watch).or_default().add(of_path),
            // A missing folder is waited for in the one above it.
            Err(cause) => {
                added.are_too_few |= cause == Errno::ENOSPC;
                added.is_complete &= matches!(cause, Errno::ENOENT | Errno::ENOTDIR);
            }
        };
        for (folder, of_folder) in wanted {
            let mut path = folder.as_path();
            while let (Some(parent), Some(name)) = (path.parent(), path.file_name())
                && path != root.top()
                && above.insert(path)
            {
                add(parent, Names::This(name.as_bytes().to_vec()));
                path = parent;
            }
            // After those above it, so that it is not made unseen between the two.
            add(folder, of_folder.clone());
        }
        added
    }

    /// Adds the watch of one folder, where links lead to below the root. `real` remembers where the folders above are.
    fn add_one(
        &self,
        root: &Root,
        path: &Path,
        real: &mut HashMap<PathBuf, nix::Result<PathBuf>>,
    ) -> nix::Result<WatchDescriptor> {
        let (Ok(below), Some(parent), Some(name)) = (path.strip_prefix(root.top()), path.parent(), path.file_name())
        else {
            return at(|| path.to_owned(), || self.inotify.add_watch(path, EVENTS));
        };
        let walked = |inside: &Path| match root.walk(&[b"/", inside.as_os_str().as_bytes()].concat()).end {
            End::Found(found) => Ok(found.real),
            End::Missing(cause) | End::Failed(cause) => Err(cause),
            End::Silent(_) => Err(Errno::ETIMEDOUT),
        };
        if below.as_os_str().is_empty() {
            return at(|| path.to_owned(), || self.inotify.add_watch(path, EVENTS));
        }
        let folder = match real.get(parent) {
            Some(known) => known.clone()?,
            None => {
                let walked = walked(below.parent().unwrap_or(Path::new("")));
                real.entry(parent.to_owned()).or_insert(walked).clone()?
            }
        };
        let add = |path: &Path, events: AddWatchFlags| match root.silences.of(path) {
            Some(_) => Err(Errno::ETIMEDOUT),
            None => at(|| path.to_owned(), || self.inotify.add_watch(path, events)),
        };
        match add(&folder.join(name), EVENTS | AddWatchFlags::IN_DONT_FOLLOW) {
            // A link, or no folder.
            Err(Errno::ENOTDIR) => add(&walked(below)?, EVENTS),
            added => added,
        }
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

/// What the service has to watch; of a host that cannot be read, what has to be mended.
pub fn wanted(settings: &Settings, host: Option<&Host>) -> Vec<(PathBuf, Names)> {
    let layout = host.map_or(&settings.layout, |host| &host.layout);
    let root = &layout.root;
    let mut sources = settings.sources();
    sources.extend([b"/etc/nsswitch.conf".to_vec()]);
    // The accounts may say that vpopmail is elsewhere now.
    sources.extend(layout.vpopmail_sources().filter(|source| !settings.sources().contains(source)));
    // What qmail-newu and qmail-newmrh make is no news, unless it stands in for the text.
    let users = [&settings.layout.qmail[..], b"/users/"].concat();
    let counts = |file: &[u8]| {
        file.ends_with(b"/assign")
            || host.is_none_or(|host| host.assignments.compiled_only && host.assignments.compiled_file == file)
    };
    let made =
        |source: &[u8]| source.ends_with(b"/morercpthosts.cdb") || (source.starts_with(&users) && !counts(source));
    let unused = |source: &[u8]| source == b"/etc/group" || (source == b"/etc/shadow" && !settings.auth_system_users);
    sources.retain(|source| !made(source) && !unused(source));
    let mut wanted: Vec<_> = sources.iter().filter_map(|source| file(&root.path(source))).collect();
    let lists = root.path(&[&settings.layout.qmail[..], b"/control/validrcptto.d"].concat());
    wanted.extend(file(&lists));
    wanted.push((lists, Names::All));
    let homes = host.iter().flat_map(|host| host.homes());
    let is_asked =
        |home: &[u8]| host.is_some_and(|host| host.build.asked.is_some() && host.domains_of(home).next().is_some());
    let names = |home: &[u8]| if is_asked(home) { Names::Users(home.to_vec()) } else { Names::Home(home.to_vec()) };
    wanted.extend(homes.map(|home| (root.path(home), names(home))));
    // An account counts as soon as its home is there and its own.
    let passed_over = host.iter().flat_map(|host| host.accounts.passed_over.values());
    let homes = passed_over.filter(|account| account.home.starts_with(b"/")).map(|account| root.path(&account.home));
    wanted.extend(homes.filter_map(|home| file(&home)));
    wanted.extend(settings.published().iter().filter_map(|table| published(table)));
    // Where a link leads.
    let targets = [settings.recipients_target(), settings.logins_target()];
    wanted.extend(targets.iter().flatten().filter_map(|(target, _)| published(target.real())));
    wanted
}
