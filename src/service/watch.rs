//! Changes that nobody announced, by notify, which reads inotify(7) on Linux, and kqueue(2) on a system without it. Its mask is
//! silent about what the program reads itself. Only names that decide something count, so that deliveries into a home do not
//! wake the service, and the published tables, which others than this service may change. What it cannot see (what links
//! in a home lead to, directories called `.qmail-...`) the next sweep sees.
//!
//! notify knows a directory by its path, and takes a path that it knows for watched, whatever is there now. So this module
//! notes which directory it had watched, and has it watched again when another one is there.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::convert::Infallible;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, select};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit};
use notify::event::{EventKind, ModifyKind, RenameMode};
use notify::{
    Config, ErrorKind, Event, EventKindMask, PathOp, RecommendedWatcher, RecursiveMode, WatchPathConfig, Watcher as _,
    WatcherKind,
};

use super::worker::thread;
use crate::fs::silence::at;
use crate::fs::{End, Kind, Root};
use crate::host::Host;
use crate::host::user_database::Kind as Backend;
use crate::kernel::{self, PASSWORDS};
use crate::rebuild::database::file_of;
use crate::report::Note;
use crate::settings::Settings;

/// So often the directories are looked up again, because some were new to the watches.
const MAX_LOOKS: usize = 4;
/// So many operations at once: what follows one that fails is handed back.
const AT_ONCE: usize = 100;
/// Beyond so many directories that are not watched any more, all the others are watched from the beginning: notify needs longer to let
/// one go the more it watches.
const MANY_GONE: usize = 200;
/// How long the watcher may take for all orders of one look.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many descriptors the watcher opens: of inotify, and of the two by which its thread waits.
pub const DESCRIPTORS: usize = 3;
/// When so many watchers wait for what does not answer, there is no other one until one of them answers.
const MAX_AWAY: usize = 3;

/// Which names in a directory matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// All.
    All,
    /// This one, which is read before its directory is watched.
    Source(Vec<u8>),
    /// This one, which is looked up after its directory is watched.
    This(Vec<u8>),
    /// Those of this home, as users/assign or passwd names it: `.qmail...` and `vpasswd...`.
    Home(Vec<u8>),
    /// All of this home: where mailboxes are in a user database, only their directories show that they come and go.
    Users(Vec<u8>),
    /// The user database in a file of this name, and what its writers keep beside it.
    Database(Vec<u8>),
    /// All, in the directory of a published file: another name may be one of its own.
    Published,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Changed {
    /// Names in this home, as users/assign or passwd names it.
    Home(Vec<u8>),
    /// The user database, which each rebuild asks.
    Database,
    /// Something in the directory of a published file, by this service or by another program.
    Published,
    /// Something else: nobody knows what that means.
    Anything,
}

/// What matters in one directory. There is one for each home, so it is small.
#[derive(Default)]
struct Matters {
    all: bool,
    published: bool,
    /// Whether something in it is read before it is watched.
    is_source: bool,
    /// Each home, and whether all of its names matter.
    homes: Vec<(Vec<u8>, bool)>,
    these: BTreeSet<Vec<u8>>,
    database: Option<Vec<u8>>,
}

impl Matters {
    fn add(&mut self, names: Names) {
        self.is_source |= matches!(names, Names::All | Names::Source(_) | Names::Database(_));
        let mut add_home = |path, has_all| {
            // There is hardly ever another one.
            self.homes.reserve_exact(1);
            self.homes.push((path, has_all));
        };
        match names {
            Names::All => self.all = true,
            Names::Home(path) => add_home(path, false),
            Names::Users(path) => add_home(path, true),
            Names::Source(name) | Names::This(name) => drop(self.these.insert(name)),
            Names::Database(name) => self.database = Some(name),
            Names::Published => self.published = true,
        }
    }

    /// What mattered before matters still.
    fn keep(&mut self, before: Matters) {
        self.all |= before.all;
        self.published |= before.published;
        self.is_source |= before.is_source;
        self.homes = before.homes;
        self.database = before.database;
        self.these.extend(before.these);
    }

    /// Something in it changed, and nobody says what. The tables are published beside control files: there each rebuild would
    /// bring another one, so that control files wait for the next sweep.
    fn changed_somehow(&self, changed: &mut HashSet<Changed>) {
        if self.published {
            changed.insert(Changed::Published);
        } else if self.all || !self.these.is_empty() {
            changed.insert(Changed::Anything);
        }
        changed.extend(self.homes.iter().map(|(path, _)| Changed::Home(path.clone())));
        changed.extend(self.database.as_ref().map(|_| Changed::Database));
    }

    fn changed(&self, name: &[u8], kind: EventKind, changed: &mut HashSet<Changed>) {
        let of_database = self.database.as_ref().and_then(|database| name.strip_prefix(&database[..]));
        if matches!(of_database, Some(b"" | b"-wal" | b"-journal")) {
            // Who reads it may close what is open for writing.
            if !matches!(kind, EventKind::Access(_)) {
                changed.insert(Changed::Database);
            }
            return;
        }
        let is_of_home = name.starts_with(b".qmail") || name == b"vpasswd" || name == b"vpasswd.cdb";
        if self.published {
            changed.insert(Changed::Published);
        }
        if self.all || self.these.contains(name) {
            changed.insert(Changed::Anything);
        } else {
            let homes = self.homes.iter().filter(|(_, has_all)| *has_all || is_of_home);
            changed.extend(homes.map(|(path, _)| Changed::Home(path.clone())));
        }
    }
}

/// Whether the watcher has a directory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Watched,
    /// It has it under a path where it may not be any more.
    Moved,
    Unwatched,
}

/// A directory that is watched.
struct Directory {
    /// Its device and inode, when it was looked up.
    id: (u64, u64),
    state: State,
    matters: Matters,
}

/// What is watched, and what was seen there.
#[derive(Default)]
struct Seen {
    /// By their real paths, and each directory once: of two paths of one, notify tells the last.
    directories: HashMap<PathBuf, Directory>,
    /// What was seen, and nobody took yet.
    changed: HashSet<Changed>,
    /// Whether a directory is not watched any more, or is not where it was.
    is_stale: bool,
    /// Whether the watcher may have lost sight of any directory.
    are_lost: bool,
}

impl Seen {
    fn hear(&mut self, event: notify::Result<Event>) {
        let Some(event) = event.ok().filter(|event| !event.need_rescan()) else {
            // More than the system keeps: anything may have changed, and a directory may have gone that notify takes for watched.
            self.are_lost = true;
            self.is_stale = true;
            self.changed.insert(Changed::Anything);
            return;
        };
        // Both halves of a rename are told by themselves.
        if event.kind == EventKind::Modify(ModifyKind::Name(RenameMode::Both)) {
            return;
        }
        for path in &event.paths {
            // About the directory itself: moved, removed, another mode.
            if let Some(directory) = self.directories.get_mut(path) {
                if is_kqueue() && matches!(event.kind, EventKind::Modify(ModifyKind::Any | ModifyKind::Data(_))) {
                    directory.matters.changed_somehow(&mut self.changed);
                    continue;
                }
                let state = match event.kind {
                    EventKind::Remove(_) => State::Unwatched,
                    EventKind::Modify(ModifyKind::Name(_)) | EventKind::Create(_) => State::Moved,
                    _ => directory.state,
                };
                self.is_stale |= state != State::Watched;
                directory.state = if directory.state == State::Unwatched { State::Unwatched } else { state };
                self.changed.insert(Changed::Anything);
            }
            if let (Some(parent), Some(name)) = (path.parent(), path.file_name())
                && let Some(directory) = self.directories.get(parent)
            {
                directory.matters.changed(name.as_bytes(), event.kind, &mut self.changed);
            }
        }
    }
}

/// The directories that are wanted, as they were found.
struct Found {
    directories: Vec<(PathBuf, Directory)>,
    is_complete: bool,
}

/// What the watcher has to do.
#[derive(Default)]
struct Orders {
    /// Whether it begins with nothing.
    from_nothing: bool,
    unwatch: Vec<PathBuf>,
    watch: Vec<PathBuf>,
}

/// What came of orders.
#[derive(Default)]
struct Outcome {
    are_too_few: bool,
    /// What is not watched; the second time it is not tried.
    refused: Vec<PathBuf>,
    /// What was not there any more.
    gone: Vec<PathBuf>,
    /// Whether the watcher has ended by itself.
    is_dead: bool,
}

/// What watches; and a channel that ends when its thread does, and has let go of all watches.
struct Watcher {
    notify: RecommendedWatcher,
    ended: Receiver<Infallible>,
}

impl Watcher {
    /// One that notes there what it sees, and watches nothing yet.
    fn new(seen: Arc<Mutex<Seen>>, wake: Sender<()>) -> nix::Result<Watcher> {
        let (lives, ended) = bounded::<Infallible>(1);
        let handler = move |event| {
            let _ends_with_it = &lives;
            let mut seen = lock(&seen);
            seen.hear(event);
            if !seen.changed.is_empty() {
                // When it is full, the one who takes has not begun.
                let _ = wake.try_send(());
            }
        };
        let errno = |error: notify::Error| match error.kind {
            ErrorKind::Io(cause) => cause.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
            _ => Errno::EAGAIN,
        };
        let kinds = EventKindMask::CORE | EventKindMask::ACCESS_CLOSE;
        let notify = RecommendedWatcher::new(handler, Config::default().with_event_kinds(kinds)).map_err(errno)?;
        // Where it gets no thread, this is what says so.
        notify.watched_paths().map_err(errno)?;
        Ok(Watcher { notify, ended })
    }

    fn is_dead(&self) -> bool {
        self.ended.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Ends it, and waits a moment until its watches are free for another one.
    fn end(self) {
        let Watcher { notify, ended } = self;
        drop(notify);
        let _ = ended.recv_timeout(PATIENCE / 10);
    }

    fn carry_out(&mut self, orders: Orders) -> Outcome {
        let mut outcome = Outcome::default();
        let unwatch = orders.unwatch.into_iter().map(PathOp::unwatch);
        // What had gone by itself is no error.
        self.update(unwatch, |_, _| true, &mut outcome);
        // As they are: a link that takes the place of one is not followed.
        let config = WatchPathConfig::new(RecursiveMode::NonRecursive).with_dereference_symlinks(false);
        let watch = orders.watch.into_iter().map(|path| PathOp::Watch(path, config.clone()));
        let refused = |error: (ErrorKind, PathBuf), outcome: &mut Outcome| {
            match error.0 {
                ErrorKind::PathNotFound => outcome.gone.push(error.1),
                cause => {
                    outcome.are_too_few |= matches!(cause, ErrorKind::MaxFilesWatch);
                    outcome.refused.push(error.1);
                }
            }
            // Each other one would be refused.
            !outcome.are_too_few
        };
        self.update(watch, refused, &mut outcome);
        outcome
    }

    /// Carries operations out, some at once: what follows one that fails is handed back. Told of that, `go_on` says whether
    /// the others are tried.
    fn update(
        &mut self,
        mut all: impl Iterator<Item = PathOp>,
        go_on: impl Fn((ErrorKind, PathBuf), &mut Outcome) -> bool,
        outcome: &mut Outcome,
    ) {
        loop {
            let mut some: Vec<PathOp> = all.by_ref().take(AT_ONCE).collect();
            if some.is_empty() {
                return;
            }
            while let Err(error) = self.notify.update_paths(some) {
                some = error.remaining;
                // Without one that failed it is the watcher that did.
                outcome.is_dead |= error.origin.is_none();
                let goes_on =
                    error.origin.is_some_and(|origin| go_on((error.source.kind, origin.into_path()), outcome));
                if !goes_on {
                    outcome.refused.extend(some.drain(..).chain(all).map(PathOp::into_path));
                    return;
                }
            }
        }
    }
}

/// What was read before the directories are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing.
    Nothing,
    /// What says where the homes are; the homes are read later.
    Host,
    /// The homes too. What a line in one of them names may lie in a directory that was watched for other names.
    Homes,
    /// As much as could be; what was watched stays watched.
    Failure,
}

/// The watches.
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    /// Told when something was seen.
    wake: Sender<()>,
    woken: Receiver<()>,
    /// Tells when something is mounted or unmounted; `None` where that cannot be known.
    mounts: Option<File>,
    inner: Mutex<Inner>,
}

struct Inner {
    /// `None` while another thread gives it orders.
    watcher: Option<Watcher>,
    /// How many orders were given.
    orders: u64,
    /// How many threads give orders.
    away: usize,
    /// Whether it was said that the system allows too few watches.
    too_few_said: bool,
    /// Whether every directory that is there is watched.
    complete: bool,
}

/// Whether notify uses kqueue(2), as on a FreeBSD without inotify(2): it tells that something in a directory came or went, not
/// what, and nothing of a file that is written in place.
fn is_kqueue() -> bool {
    RecommendedWatcher::kind() == WatcherKind::Kqueue
}

/// How many directories may be watched. kqueue(2) needs a descriptor for each, and what is read needs some too.
fn most() -> usize {
    let descriptors = || getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft / 2);
    if is_kqueue() { usize::try_from(descriptors()).unwrap_or(usize::MAX) } else { usize::MAX }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// Those of inotify_init(2).
    pub fn new() -> nix::Result<Watch> {
        let (wake, woken) = bounded(1);
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let watcher = Some(Watcher::new(seen.clone(), wake.clone())?);
        let inner = Mutex::new(Inner { watcher, orders: 0, away: 0, too_few_said: false, complete: false });
        Ok(Watch { seen, wake, woken, mounts: kernel::mount_events(), inner })
    }

    /// Watches these directories, and no others but those above them, up to the root, where they may be renamed. A directory that
    /// is missing is waited for in the nearest one that is there; one that does not answer is not waited for. Says when the
    /// system allows too few watches.
    pub fn set(self: &Arc<Self>, root: &Root, wanted: Vec<(PathBuf, Names)>, after: After) -> Option<Note> {
        let wanted = Arc::new(wanted);
        let mut refused = HashSet::new();
        let (mut are_too_few, mut is_unread, mut complete) = (false, false, false);
        // What was made between the look and the watch, the next look finds.
        for _ in 0..MAX_LOOKS {
            let (below, all) = (root.clone(), wanted.clone());
            let Ok(mut found) = root.silences.attempt(move || find(&below, &all)) else { break };
            are_too_few |= found.directories.len() > most();
            // The first ones count most.
            found.directories.truncate(most());
            complete = found.is_complete && refused.is_empty();
            let (orders, has_sources) = self.note(found, after, &refused);
            is_unread |= has_sources;
            if orders.unwatch.is_empty() && orders.watch.is_empty() {
                break;
            }
            complete = false;
            let Some(outcome) = self.order(orders) else { break };
            are_too_few |= outcome.are_too_few;
            refused.extend(outcome.refused);
            if are_too_few {
                break;
            }
        }
        // What was read before it was watched may have changed meanwhile.
        if (is_unread && after != After::Nothing) || after == After::Homes {
            self.tell(Changed::Anything);
        }
        let mut inner = lock(&self.inner);
        inner.complete = complete;
        let said = std::mem::replace(&mut inner.too_few_said, are_too_few);
        (are_too_few && !said).then(|| {
            Note::warning(format!(
                "the system allows too few watches ({}); what they would see, the next sweep sees",
                kernel::LIMIT_OF_WATCHES
            ))
        })
    }

    /// Notes what was found. Returns what the watcher has to do for it, and whether that concerns what was read already.
    fn note(&self, found: Found, after: After, refused: &HashSet<PathBuf>) -> (Orders, bool) {
        let has_none = lock(&self.inner).watcher.as_ref().is_none_or(Watcher::is_dead);
        let mut seen = lock(&self.seen);
        seen.is_stale = false;
        let are_lost = std::mem::take(&mut seen.are_lost) || has_none;
        let mut before = std::mem::replace(&mut seen.directories, HashMap::with_capacity(found.directories.len()));
        let (mut orders, mut has_sources) = (Orders::default(), false);
        for (path, mut directory) in found.directories {
            let state = match before.remove(&path) {
                None => State::Unwatched,
                Some(old) => {
                    let is_another = old.state == State::Watched && old.id != directory.id;
                    if after == After::Failure {
                        directory.matters.keep(old.matters);
                    }
                    if is_another { State::Moved } else { old.state }
                }
            };
            if state == State::Moved {
                orders.unwatch.push(path.clone());
            }
            if state != State::Watched && !refused.contains(&path) {
                has_sources |= directory.matters.is_source;
                orders.watch.push(path.clone());
                directory.state = State::Watched;
            } else if state == State::Watched {
                directory.state = state;
            }
            seen.directories.insert(path, directory);
        }
        if after == After::Failure {
            seen.directories.extend(before);
        } else {
            let gone = before.into_iter().filter(|(_, directory)| directory.state != State::Unwatched);
            orders.unwatch.extend(gone.map(|(path, _)| path));
        }
        if are_lost || orders.unwatch.len() > MANY_GONE {
            let mut all: Vec<_> = seen.directories.iter_mut().filter(|(path, _)| !refused.contains(*path)).collect();
            // Where there are too few for all, it is these that count.
            all.sort_by_key(|(_, directory)| !directory.matters.is_source);
            all.iter_mut().for_each(|(_, directory)| directory.state = State::Watched);
            let watch = all.into_iter().map(|(path, _)| path.clone()).collect();
            (orders, has_sources) = (Orders { from_nothing: true, unwatch: Vec::new(), watch }, true);
        }
        (orders, has_sources)
    }

    /// Gives orders to the watcher, which may have to wait for a file system that does not answer. Returns `None` when it does
    /// not carry them out in time: then another one is taken the next time.
    fn order(self: &Arc<Self>, orders: Orders) -> Option<Outcome> {
        let lost = || lock(&self.seen).are_lost = true;
        let (mut watcher, number, are_many_away) = {
            let mut inner = lock(&self.inner);
            inner.orders += 1;
            (inner.watcher.take(), inner.orders, inner.away >= MAX_AWAY)
        };
        if orders.from_nothing {
            watcher.take().into_iter().for_each(Watcher::end);
            if !are_many_away {
                watcher = Watcher::new(self.seen.clone(), self.wake.clone()).ok();
            }
        }
        let Some(mut watcher) = watcher else {
            lost();
            return None;
        };
        lock(&self.inner).away += 1;
        let (say, hear) = bounded(1);
        let own = self.clone();
        let work = move || {
            let outcome = watcher.carry_out(orders);
            own.give_back(Some(watcher).filter(|_| !outcome.is_dead), number);
            let _ = say.send(outcome);
        };
        if thread(work).is_err() {
            lock(&self.inner).away -= 1;
        }
        let Some(outcome) = hear.recv_timeout(PATIENCE).ok().filter(|outcome| !outcome.is_dead) else {
            lost();
            return None;
        };
        let mut seen = lock(&self.seen);
        for path in outcome.refused.iter().chain(&outcome.gone) {
            if let Some(directory) = seen.directories.get_mut(path) {
                directory.state = State::Unwatched;
            }
        }
        drop(seen);
        Some(outcome)
    }

    /// Takes back the watcher that carried these orders out, if it still can watch. When others were given since then, another
    /// one has them.
    fn give_back(&self, watcher: Option<Watcher>, number: u64) {
        let mut inner = lock(&self.inner);
        inner.away -= 1;
        if inner.orders == number {
            inner.watcher = watcher;
        }
    }

    /// Whether it was not told yet what to watch.
    pub fn is_new(&self) -> bool {
        lock(&self.seen).directories.is_empty()
    }

    /// Whether something that was watched is not watched any more.
    pub fn is_stale(&self) -> bool {
        // One lock after the other.
        let is_stale = lock(&self.seen).is_stale;
        is_stale || !self.has_watcher()
    }

    fn has_watcher(&self) -> bool {
        lock(&self.inner).watcher.as_ref().is_some_and(|watcher| !watcher.is_dead())
    }

    /// Whether it sees every change in the directories that it was told to watch.
    pub fn is_complete(&self) -> bool {
        self.mounts.is_some() && self.has_watcher() && lock(&self.inner).complete
    }

    fn tell(&self, changed: Changed) {
        lock(&self.seen).changed.insert(changed);
        let _ = self.wake.try_send(());
    }

    /// Calls `changed` for every change that matters, until `stop` ends.
    pub fn listen(&self, stop: &Receiver<Infallible>, changed: &mut dyn FnMut(HashSet<Changed>)) {
        loop {
            select! {
                recv(self.woken) -> _ => {
                    let seen = std::mem::take(&mut lock(&self.seen).changed);
                    if !seen.is_empty() {
                        changed(seen);
                    }
                }
                recv(stop) -> _ => return,
            }
        }
    }

    /// Notes what is mounted and unmounted, which no directory tells, until `stop` is closed at its other end.
    pub fn listen_to_mounts(&self, stop: &OwnedFd) {
        let Some(mounts) = &self.mounts else { return };
        loop {
            let mut fds =
                [PollFd::new(stop.as_fd(), PollFlags::POLLIN), PollFd::new(mounts.as_fd(), PollFlags::POLLPRI)];
            if poll(&mut fds, PollTimeout::NONE).is_err() {
                continue;
            }
            let [stopped, mounted] = fds.map(|fd| fd.revents().is_some_and(|events| !events.is_empty()));
            if stopped {
                return;
            }
            if mounted {
                self.tell(Changed::Anything);
            }
        }
    }
}

/// Looks the wanted directories up, and those above them.
fn find(root: &Root, wanted: &[(PathBuf, Names)]) -> Found {
    let mut found = Found { directories: Vec::with_capacity(wanted.len()), is_complete: true };
    let mut numbers: HashMap<(u64, u64), usize> = HashMap::new();
    let mut real = HashMap::new();
    let mut above: BTreeSet<PathBuf> = BTreeSet::new();
    let mut add = |path: &Path, of_path: Names| match find_one(root, path, &mut real) {
        Ok((path, id)) => {
            let number = *numbers.entry(id).or_insert(found.directories.len());
            if number == found.directories.len() {
                let directory = Directory { id, state: State::Unwatched, matters: Matters::default() };
                found.directories.push((path, directory));
            }
            found.directories[number].1.matters.add(of_path);
        }
        // A missing directory is waited for in the one above it.
        Err(cause) => found.is_complete &= matches!(cause, Errno::ENOENT | Errno::ENOTDIR),
    };
    let mut look = |directory: &Path, names: &Names| {
        let mut path = directory;
        while let (Some(parent), Some(name)) = (path.parent(), path.file_name())
            && path != root.top()
            && !above.contains(path)
        {
            above.insert(path.to_owned());
            add(parent, Names::This(name.as_bytes().to_vec()));
            path = parent;
        }
        add(directory, names.clone());
    };
    for (directory, names) in wanted {
        look(directory, names);
        for mut file in files_of(root, directory, names) {
            for _ in 0..MAX_LINKS {
                let Some(next) = led_to(root, &file) else { break };
                let Some((directory, names)) = source(&next) else { break };
                look(&directory, &names);
                file = next;
            }
        }
    }
    found
}

/// So many links are followed from a file that is watched.
const MAX_LINKS: usize = 8;

/// The files in a watched directory that may be links, and that decide.
fn files_of(root: &Root, directory: &Path, names: &Names) -> Vec<PathBuf> {
    match names {
        Names::Source(name) => vec![directory.join(OsStr::from_bytes(name))],
        Names::All if root.silences.of(directory).is_none() => {
            let entries = at(|| directory.to_owned(), || std::fs::read_dir(directory));
            let files = entries.into_iter().flatten().flatten();
            let is_link = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_symlink());
            files.filter(is_link).map(|entry| entry.path()).collect()
        }
        _ => Vec::new(),
    }
}

/// The path that is written in a link; `None` when the file is none. What it leads to need not be there.
fn led_to(root: &Root, file: &Path) -> Option<PathBuf> {
    if root.silences.of(file).is_some() {
        return None;
    }
    let target = at(|| file.to_owned(), || std::fs::read_link(file)).ok()?;
    if target.is_absolute() {
        return Some(root.path(target.as_os_str().as_bytes()));
    }
    // `..` is taken from where the link really is.
    let inside = file.parent()?.strip_prefix(root.top()).ok()?;
    let End::Found(directory) = root.walk(&[b"/", inside.as_os_str().as_bytes()].concat()).end else { return None };
    let mut path = directory.real;
    for part in target.components() {
        match part {
            Component::ParentDir if path != root.top() => drop(path.pop()),
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    Some(path)
}

/// The real path of one directory, where links lead to below the root, its device and its inode. `real` remembers where the
/// directories above are.
fn find_one(
    root: &Root,
    path: &Path,
    real: &mut HashMap<PathBuf, nix::Result<PathBuf>>,
) -> nix::Result<(PathBuf, (u64, u64))> {
    let errno = |cause: std::io::Error| cause.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
    let look = |path: &Path| match root.silences.of(path) {
        Some(_) => Err(Errno::ETIMEDOUT),
        None => at(|| path.to_owned(), || std::fs::symlink_metadata(path)).map_err(errno),
    };
    let walk = |inside: &Path| match root.walk(&[b"/", inside.as_os_str().as_bytes()].concat()).end {
        End::Found(found) => Ok(found),
        End::Missing(cause) | End::Failed(cause) => Err(cause),
        End::Silent(_) => Err(Errno::ETIMEDOUT),
    };
    let below = path.strip_prefix(root.top()).ok().filter(|below| !below.as_os_str().is_empty());
    let (Some(below), Some(parent), Some(name)) = (below, path.parent(), path.file_name()) else {
        let path = at(|| path.to_owned(), || std::fs::canonicalize(path)).map_err(errno)?;
        let found = look(&path)?;
        return Ok((path, (found.dev(), found.ino())));
    };
    let above = match real.get(parent) {
        Some(known) => known.clone()?,
        None => {
            let walked = walk(below.parent().unwrap_or(Path::new(""))).map(|found| found.real);
            real.entry(parent.to_owned()).or_insert(walked).clone()?
        }
    };
    let path = above.join(name);
    let found = look(&path)?;
    if found.is_dir() {
        return Ok((path, (found.dev(), found.ino())));
    }
    let found = if found.is_symlink() { walk(below)? } else { return Err(Errno::ENOTDIR) };
    if found.kind == Kind::Directory { Ok((found.real, found.id)) } else { Err(Errno::ENOTDIR) }
}

/// The directory and name of a file that is read before it is watched, for [`Watch::set`].
fn source(path: &Path) -> Option<(PathBuf, Names)> {
    Some((path.parent()?.to_owned(), Names::Source(path.file_name()?.as_bytes().to_vec())))
}

/// The same of a home that may come.
fn coming(path: &Path) -> Option<(PathBuf, Names)> {
    Some((path.parent()?.to_owned(), Names::This(path.file_name()?.as_bytes().to_vec())))
}

/// The same of a user database.
fn in_file(path: &Path) -> Option<(PathBuf, Names)> {
    Some((path.parent()?.to_owned(), Names::Database(path.file_name()?.as_bytes().to_vec())))
}

/// The directory of a file that we publish.
pub fn published(path: &Path) -> Option<(PathBuf, Names)> {
    Some((path.parent()?.to_owned(), Names::Published))
}

/// What the service has to watch; of a host that cannot be read, what has to be fixed.
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
    let unused =
        |source: &[u8]| source == b"/etc/group" || (source == PASSWORDS.0.as_bytes() && !settings.auth_system_users);
    sources.retain(|source| !made(source) && !unused(source));
    sources.extend(root.elsewhere.all());
    let mut wanted: Vec<_> = sources.iter().filter_map(|path| source(&root.path(path))).collect();
    let lists = root.path(&[&settings.layout.qmail[..], b"/control/validrcptto.d"].concat());
    wanted.extend(source(&lists));
    wanted.push((lists, Names::All));
    let homes = host.iter().flat_map(|host| host.homes());
    let is_asked =
        |home: &[u8]| host.is_some_and(|host| host.build.asked.is_some() && host.domains_of(home).next().is_some());
    let names = |home: &[u8]| if is_asked(home) { Names::Users(home.to_vec()) } else { Names::Home(home.to_vec()) };
    wanted.extend(homes.map(|home| (root.path(home), names(home))));
    let database = host.filter(|host| host.build.asked.as_ref().is_some_and(|sign| sign.kind == Backend::Sqlite));
    wanted.extend(database.and_then(|host| in_file(&root.path(&file_of(&host.layout, Backend::Sqlite)))));
    // An account counts as soon as its home is there and its own.
    let passed_over = host.iter().flat_map(|host| host.accounts.passed_over.values());
    let homes = passed_over.filter(|account| account.home.starts_with(b"/")).map(|account| root.path(&account.home));
    wanted.extend(homes.filter_map(|home| coming(&home)));
    wanted.extend(settings.published().iter().filter_map(|table| published(table)));
    // Where a link leads.
    let targets = [settings.recipients_target(), settings.logins_target()];
    wanted.extend(targets.iter().flatten().filter_map(|(target, _)| published(target.real())));
    wanted
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir, create_dir_all, rename, write};
    use std::os::unix::fs::symlink;

    use notify::event::Flag;

    use super::*;
    use crate::fs::Bounds;

    #[test]
    fn where_no_name_is_told_a_publication_brings_no_rebuild_and_a_change_in_a_home_brings_its_own() {
        let told = |names: &[Names]| {
            let (mut matters, mut changed) = (Matters::default(), HashSet::new());
            names.iter().for_each(|names| matters.add(names.clone()));
            matters.changed_somehow(&mut changed);
            changed
        };
        let source = || Names::Source(b"rcpthosts".to_vec());
        assert_eq!(told(&[source(), Names::Published]), HashSet::from([Changed::Published]));
        assert_eq!(told(&[source()]), HashSet::from([Changed::Anything]));
        assert_eq!(told(&[Names::Home(b"/home/joe".to_vec())]), HashSet::from([Changed::Home(b"/home/joe".to_vec())]));
    }

    /// Watches, and the directory that is their root.
    struct Watched {
        top: tempfile::TempDir,
        watch: Arc<Watch>,
    }

    impl Watched {
        fn new() -> Watched {
            Watched { top: tempfile::tempdir().unwrap(), watch: Arc::new(Watch::new().unwrap()) }
        }

        fn root(&self) -> Root {
            Root::new(self.top.path(), Bounds::default())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.top.path().join(name)
        }

        /// Wants this home watched.
        fn set(&self, home: &str, after: After) {
            let root = self.root();
            let note = self.watch.set(&root, vec![(self.path(home), Names::Home(home.into()))], after);
            assert!(note.is_none(), "{note:?}");
        }

        /// Waits until this was seen.
        fn wait_for(&self, wanted: &Changed) {
            loop {
                let woken = self.watch.woken.recv_timeout(Duration::from_secs(60));
                assert!(woken.is_ok(), "{wanted:?} is never seen");
                if std::mem::take(&mut lock(&self.watch.seen).changed).contains(wanted) {
                    return;
                }
            }
        }

        /// Waits until everything is told that has happened: what it is asked after an answer, it takes up after that.
        fn settle(&self) {
            let inner = lock(&self.watch.inner);
            let notify = &inner.watcher.as_ref().unwrap().notify;
            assert!([notify.watched_paths(), notify.watched_paths()].iter().all(Result::is_ok));
        }

        /// Whether a change in this home is seen.
        fn sees(&self, home: &str) {
            write(self.path(home).join(".qmail-x"), "&x@y.test\n").unwrap();
            self.wait_for(&Changed::Home(home.into()));
        }
    }

    #[test]
    fn what_takes_the_place_of_a_directory_that_a_link_leads_to_is_watched_at_the_next_look() {
        let watched = Watched::new();
        // Nothing watches the directory above it.
        create_dir_all(watched.path("elsewhere/home")).unwrap();
        symlink("elsewhere/home", watched.path("home")).unwrap();
        watched.set("home", After::Nothing);
        watched.sees("home");
        rename(watched.path("elsewhere/home"), watched.path("elsewhere/old")).unwrap();
        create_dir(watched.path("elsewhere/home")).unwrap();
        watched.wait_for(&Changed::Anything);
        watched.set("home", After::Host);
        watched.sees("home");
        // Nobody tells that the directory above it is another one.
        rename(watched.path("elsewhere"), watched.path("former")).unwrap();
        create_dir_all(watched.path("elsewhere/home")).unwrap();
        watched.set("home", After::Host);
        watched.sees("home");
    }

    #[test]
    fn after_more_events_than_the_system_keeps_every_directory_is_watched_again() {
        let watched = Watched::new();
        create_dir(watched.path("home")).unwrap();
        watched.set("home", After::Nothing);
        // As if its end had been among the events that were lost: the watcher still has it, and it is no more.
        let first = lock(&watched.watch.inner).watcher.take().unwrap();
        let other = Watcher::new(watched.watch.seen.clone(), watched.watch.wake.clone()).unwrap();
        lock(&watched.watch.inner).watcher = Some(other);
        first.end();
        lock(&watched.watch.seen).hear(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan)));
        lock(&watched.watch.seen).changed.clear();
        assert!(watched.watch.is_stale());
        watched.set("home", After::Host);
        // What was read meanwhile may be old.
        watched.wait_for(&Changed::Anything);
        watched.sees("home");
        assert!(!watched.watch.is_stale());
    }

    #[test]
    fn a_watcher_that_ended_is_replaced() {
        let watched = Watched::new();
        create_dir(watched.path("home")).unwrap();
        watched.set("home", After::Nothing);
        let (lives, ended) = bounded(1);
        drop(lives);
        lock(&watched.watch.inner).watcher.as_mut().unwrap().ended = ended;
        assert!(!watched.watch.is_complete() && watched.watch.is_stale());
        watched.set("home", After::Host);
        watched.sees("home");
    }

    #[test]
    fn a_watcher_that_comes_back_late_does_not_take_the_place_of_the_one_with_newer_orders() {
        let watched = Watched::new();
        let watcher = || Watcher::new(watched.watch.seen.clone(), watched.watch.wake.clone()).unwrap();
        {
            let mut inner = lock(&watched.watch.inner);
            (inner.watcher, inner.orders, inner.away) = (None, 2, 2);
        }
        watched.watch.give_back(Some(watcher()), 1);
        assert!(!watched.watch.has_watcher(), "the newer orders are not carried out yet");
        watched.watch.give_back(Some(watcher()), 2);
        assert!(watched.watch.has_watcher());
    }

    #[test]
    fn one_directory_at_two_paths_is_seen_as_both_homes() {
        let watched = Watched::new();
        create_dir(watched.path("home")).unwrap();
        symlink("home", watched.path("other")).unwrap();
        let root = watched.root();
        let wanted = ["home", "other"].map(|home| (watched.path(home), Names::Home(home.into())));
        watched.watch.set(&root, wanted.into(), After::Nothing);
        write(watched.path("home/.qmail"), "").unwrap();
        watched.wait_for(&Changed::Home(b"home".into()));
        write(watched.path("home/.qmail-y"), "").unwrap();
        watched.wait_for(&Changed::Home(b"other".into()));
    }

    #[test]
    fn a_source_that_was_read_before_it_is_watched_is_read_again_and_a_home_is_not() {
        let watched = Watched::new();
        create_dir_all(watched.path("control")).unwrap();
        create_dir_all(watched.path("home")).unwrap();
        let root = watched.root();
        let wanted =
            || vec![source(&watched.path("control/me")).unwrap(), (watched.path("home"), Names::Home(b"home".into()))];
        let is_told = || lock(&watched.watch.seen).changed.contains(&Changed::Anything);
        watched.watch.set(&root, wanted(), After::Nothing);
        assert!(!is_told());
        for (name, told) in [("home", false), ("control", true)] {
            rename(watched.path(name), watched.path(&format!("former {name}"))).unwrap();
            create_dir(watched.path(name)).unwrap();
            watched.settle();
            lock(&watched.watch.seen).changed.clear();
            watched.watch.set(&root, wanted(), After::Host);
            assert_eq!(is_told(), told, "{name}");
        }
    }

    #[test]
    fn a_file_that_was_read_before_its_name_mattered_is_read_again() {
        let watched = Watched::new();
        create_dir(watched.path("etc")).unwrap();
        let wanted = |names: &[&str]| names.iter().map(|name| source(&watched.path(name)).unwrap()).collect();
        watched.watch.set(&watched.root(), wanted(&["etc/passwd"]), After::Nothing);
        // Its directory is watched, and nobody waits for this name yet.
        write(watched.path("etc/aliases.cdb"), "").unwrap();
        watched.watch.set(&watched.root(), wanted(&["etc/passwd", "etc/aliases.cdb"]), After::Homes);
        watched.wait_for(&Changed::Anything);
    }

    #[test]
    fn what_was_watched_stays_watched_when_the_host_cannot_be_read() {
        let watched = Watched::new();
        create_dir_all(watched.path("control")).unwrap();
        create_dir_all(watched.path("home")).unwrap();
        watched.set("home", After::Nothing);
        let root = watched.root();
        watched.watch.set(&root, vec![source(&watched.path("control/me")).unwrap()], After::Failure);
        watched.sees("home");
        write(watched.path("control/me"), "x").unwrap();
        watched.wait_for(&Changed::Anything);
    }
}
