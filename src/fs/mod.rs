//! Paths below the root, walked as the kernel walks them after chroot(2): an absolute symbolic link starts again at the
//! root, and `..` does not leave it. The walk also notes the permissions of every directory that it searched, because
//! we run as root and have to judge what other users may reach (docs/rules.md, 3.5 and 3.6).
//!
//! Nothing is opened that is no regular file or directory: a FIFO cannot hang us and a device is never touched.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, lstat};
use nix::unistd::{AccessFlags, faccessat};
use rustix::buffer::spare_capacity;
use rustix::fs::{FileType, SeekFrom};

use crate::error::{Nature, outside};
use crate::kernel;

pub mod budget;
pub mod failures;
mod make;
pub mod sample;
pub mod silence;
pub mod trust;

use budget::{Budget, Resting, too_many_names, too_many_steps};
use silence::{Silence, Silences, at, back, led_to};
use trust::{Link, Way};

/// The kernel follows this many symbolic links in one walk (path_resolution(7)).
const MAX_LINKS: usize = 40;
/// To walk through a directory or link takes as long as to list so many names.
const WALKED: usize = 4;
/// To open a file or directory and to read it takes as long as to list so many names.
const OPENED: usize = 20;
/// A walk holds so many of the last directories open, and the root.
const MAX_HELD: usize = 16;
/// The longest path the kernel takes, its final NUL included, in bytes (PATH_MAX).
pub const PATH_MAX: usize = 4096;
/// The longest name in a directory, in bytes (NAME_MAX).
pub const NAME_MAX: usize = 255;
/// [`Folders`] remembers so many.
const MAX_FOLDERS: usize = 8;
/// Names of a directory, and the first bytes of a file, are read by so many bytes.
const CHUNK: usize = 1 << 15;
/// So many bytes of a file are read by one call.
const AT_ONCE: usize = 1 << 24;
/// A buffer for files holds at least so many bytes.
const MIN_ROOM: usize = 1 << 12;

/// How much is read of what users and customers may have made as large as they like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// A file longer than this is not read, in bytes.
    pub file: u64,
    /// A home with more names that matter is not read, and of one home no more keys are made of names that are spelled
    /// in several ways.
    pub names: usize,
    /// A home that takes more steps is not read: directories and links that are walked through, names that are looked at,
    /// files that are read, addresses that are asked. Two million of them take less than a second.
    pub steps: usize,
    /// A home is not read when more bytes of its files have to be.
    pub bytes: u64,
    /// A home that makes more entries in one table makes none.
    pub entries: usize,
    /// A home makes no entries when more of its keys than this have the same hash.
    pub alike: usize,
    /// How long a call that looks at a file may take.
    pub wait: Duration,
    /// How long a table may be, in bytes: a cdb has 32 bits for each place.
    pub table: u64,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            file: 1 << 30,
            names: 200_000,
            steps: 2_000_000,
            bytes: 64 << 20,
            entries: 1_000_000,
            alike: 100,
            wait: Duration::from_secs(20),
            table: u32::MAX.into(),
        }
    }
}

/// Who asks: an effective user and the one group that qmail-lspawn leaves a delivery, no supplementary ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Who {
    /// Numeric user id.
    pub uid: u32,
    /// Numeric group id.
    pub gid: u32,
}

/// Mode, owner and group of a file, as stat(2) gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Perm {
    /// The permission bits (`07777`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Perm {
    fn of(stat: &FileStat) -> Perm {
        Perm { mode: kernel::bits_of_mode(stat) & 0o7777, uid: stat.st_uid, gid: stat.st_gid }
    }

    /// Whether `who`, no superuser, may read the file.
    pub fn readable(&self, who: Who) -> bool {
        self.grants(who, 0o4)
    }

    /// Whether `who`, no superuser, may search the directory.
    pub fn searchable(&self, who: Who) -> bool {
        self.grants(who, 0o1)
    }

    fn grants(&self, who: Who, bit: u32) -> bool {
        let class = if who.uid == self.uid {
            self.mode >> 6
        } else if who.gid == self.gid {
            self.mode >> 3
        } else {
            self.mode
        };
        class & bit != 0
    }
}

/// What kind of thing a walk ended at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link; only where links are not followed.
    Link,
    /// A FIFO, a device or a socket.
    Other,
}

/// What stands at the end of a walk. Holds its directory open, not the thing itself.
#[derive(Debug)]
pub struct Found {
    parent: Arc<OwnedFd>,
    name: OsString,
    /// What it is.
    pub kind: Kind,
    /// Its mode, owner and group.
    pub perm: Perm,
    /// Its device and inode.
    pub id: (u64, u64),
    /// Device and inode of each directory above it, from the root down, links resolved.
    pub above: Vec<(u64, u64)>,
    /// Its path on this machine, links resolved.
    pub real: PathBuf,
    bounds: Bounds,
    budget: Option<Budget>,
}

/// How a walk ended.
#[derive(Debug)]
pub enum End {
    /// At a file, directory or other thing.
    Found(Found),
    /// Nothing there: a name is missing, a link dangles or loops, a name is too long, or a file is used as a directory.
    Missing(Errno),
    /// It could not be found out: the error that stopped the walk.
    Failed(Errno),
    /// It is not looked at: it does not answer.
    Silent(Silence),
}

/// What stops a walk.
enum Stop {
    Errno(Errno),
    Silent(Silence),
}

impl From<Errno> for Stop {
    fn from(cause: Errno) -> Stop {
        Stop::Errno(cause)
    }
}

/// A walk: the directories that were searched, in order, and where it ended. The root itself is not among them.
#[derive(Debug)]
pub struct Walk {
    /// Permissions of each directory a name was looked up in, as long as the walk went.
    pub searched: Vec<Perm>,
    /// Who owns the links that were followed.
    pub link_owners: Vec<u32>,
    /// Those of them that lead to something.
    pub links: Vec<Link>,
    /// Where it ended.
    pub end: End,
}

impl Walk {
    /// What it met.
    pub fn into_way(self) -> (Way, End) {
        (Way { searched: self.searched, links: self.links }, self.end)
    }
}

/// One directory of a walk.
struct Step {
    /// `None` when there are [`MAX_HELD`] behind it: a path of thousands of directories must not take all descriptors.
    fd: Option<Arc<OwnedFd>>,
    perm: Perm,
    id: (u64, u64),
    name: OsString,
}

/// Files outside the homes that lines of the homes name, and that decide, as the host names them.
#[derive(Debug, Default)]
pub struct Elsewhere(Mutex<BTreeSet<Vec<u8>>>);

/// Each user may name such files: so many are known.
const MAX_ELSEWHERE: usize = 1_000;

impl Elsewhere {
    /// A line names this file.
    pub fn add(&self, file: &[u8]) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() < MAX_ELSEWHERE && file.starts_with(b"/") && !files.contains(file) {
            files.insert(file.to_vec());
        }
    }

    /// All that were named.
    pub fn all(&self) -> BTreeSet<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The directory that every absolute path is taken below, `/` on a real host.
#[derive(Clone, Debug)]
pub struct Root {
    prefix: PathBuf,
    /// How much is read below it.
    pub bounds: Bounds,
    /// What does not answer there.
    pub silences: Arc<Silences>,
    /// The homes that cost more than they may.
    pub resting: Arc<Resting>,
    /// Files outside the homes that their lines name, and that decide.
    pub elsewhere: Arc<Elsewhere>,
    /// What a home may cost, where one is read.
    budget: Option<Budget>,
}

impl Root {
    /// The root at `prefix`, an existing directory.
    pub fn new(prefix: &Path, bounds: Bounds) -> Root {
        let silences = Arc::new(Silences::new(prefix, bounds.wait));
        Root {
            prefix: prefix.to_owned(),
            bounds,
            silences,
            resting: Arc::default(),
            elsewhere: Arc::default(),
            budget: None,
        }
    }

    /// The same root for who reads a home: what is walked and read is counted in this budget.
    #[must_use]
    pub fn spending(&self, budget: &Budget) -> Root {
        Root { budget: Some(budget.clone()), ..self.clone() }
    }

    /// What a home may cost, where one is read.
    pub fn budget(&self) -> Option<&Budget> {
        self.budget.as_ref()
    }

    /// Whether the home that is read has passed a bound.
    pub fn is_spent(&self) -> bool {
        self.budget.as_ref().is_some_and(Budget::is_passed)
    }

    /// Whether this is the machine's own root.
    pub fn is_machine(&self) -> bool {
        self.prefix == Path::new("/")
    }

    /// The folder on this machine that it is.
    pub fn top(&self) -> &Path {
        &self.prefix
    }

    /// Whether this real path is the root itself.
    pub fn is_top(&self, real: &Path) -> bool {
        self.prefix == real
    }

    /// The path as it is named in messages: below the root, no link resolved.
    pub fn path(&self, inside: &[u8]) -> PathBuf {
        let relative = inside.iter().position(|b| *b != b'/').map_or(&b""[..], |start| &inside[start..]);
        if inside.first() == Some(&b'/') {
            self.prefix.join(OsStr::from_bytes(relative))
        } else {
            PathBuf::from(OsStr::from_bytes(inside))
        }
    }

    /// Walks `inside` (absolute, as the host's own programs name it), following every link.
    pub fn walk(&self, inside: &[u8]) -> Walk {
        self.walk_with(inside, true)
    }

    /// Why there is no directory at `inside`; `None` when there is one, or when that cannot be found out.
    pub fn no_directory(&self, inside: &[u8]) -> Option<Errno> {
        match self.walk(inside).end {
            End::Missing(cause) => Some(cause),
            End::Found(found) => (found.kind != Kind::Directory).then_some(Errno::ENOTDIR),
            End::Failed(_) | End::Silent(_) => None,
        }
    }

    /// Walks `inside`, but does not follow a link that it ends at.
    pub fn walk_no_follow(&self, inside: &[u8]) -> Walk {
        self.walk_with(inside, false)
    }

    fn walk_with(&self, inside: &[u8], follow_last: bool) -> Walk {
        let end = End::Missing(Errno::ENOENT);
        let mut walk = Walk { searched: Vec::new(), link_owners: Vec::new(), links: Vec::new(), end };
        walk.end = match self.at(inside, || self.walk_steps(inside, follow_last, &mut walk)) {
            Ok(found) => End::Found(found),
            Err(Stop::Silent(silence)) => End::Silent(silence),
            Err(Stop::Errno(
                cause @ (Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENAMETOOLONG | Errno::EINVAL),
            )) => End::Missing(cause),
            Err(Stop::Errno(cause)) => {
                // A bound that was passed is no failure.
                if !self.is_spent() {
                    failures::note(cause, || self.path(inside));
                }
                End::Failed(cause)
            }
        };
        walk
    }

    /// Whether this does not answer.
    fn is_silent(&self, path: impl FnOnce() -> PathBuf) -> Result<(), Silence> {
        let silences = &self.silences;
        let is_known = silences.are_any() || silence::is_given_up();
        is_known.then(|| silences.of(&path())).flatten().map_or(Ok(()), Err)
    }

    fn walk_steps(&self, inside: &[u8], follow_last: bool, walk: &mut Walk) -> Result<Found, Stop> {
        if inside.is_empty() {
            return Err(Errno::ENOENT.into());
        }
        if inside.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG.into());
        }
        self.is_silent(|| self.prefix.clone()).map_err(Stop::Silent)?;
        let top = openat(AT_FDCWD, &self.prefix, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        let stat = fstat(&top)?;
        back();
        let mut dirs = vec![Step {
            fd: Some(Arc::new(top)),
            perm: Perm::of(&stat),
            id: (stat.st_dev, stat.st_ino),
            name: ".".into(),
        }];
        // Names still to be walked, the next one last.
        let mut todo: Vec<OsString> = names(inside);
        let mut must_be_directory = inside.ends_with(b"/");
        // The links whose targets are being walked to, and how many names are left after each.
        let mut led: Vec<(Link, usize)> = Vec::new();
        while let Some(name) = todo.pop() {
            if let Some(budget) = &self.budget {
                budget.steps(WALKED).map_err(|_| Errno::EOVERFLOW)?;
            }
            // Cannot be empty because `..` never removes the root.
            let here = dirs.last().ok_or(Errno::ENOENT)?;
            while let Some((link, _)) = led.pop_if(|(_, left)| *left > todo.len()) {
                walk.links.push(Link { to: here.perm.uid, ..link });
            }
            if dirs.len() > 1 {
                walk.searched.push(here.perm);
            }
            if name == "." {
                continue;
            }
            if name == ".." {
                if dirs.len() > 1 {
                    open_above(&mut dirs)?;
                    dirs.pop();
                }
                continue;
            }
            let above = here.perm.uid;
            // Cannot be missing because the last one is always held.
            let here = here.fd.clone().ok_or(Errno::ENOENT)?;
            self.is_silent(|| self.real(&dirs).join(&name)).map_err(Stop::Silent)?;
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let fd = openat(&here, name.as_os_str(), flags, Mode::empty())?;
            let stat = fstat(&fd)?;
            back();
            let kind = kind_of(&stat);
            let last = todo.is_empty();
            match kind {
                Kind::Link if !last || follow_last || must_be_directory => {
                    walk.link_owners.push(stat.st_uid);
                    led.push((Link { owner: stat.st_uid, above, to: 0 }, todo.len()));
                    if walk.link_owners.len() > MAX_LINKS {
                        return Err(Errno::ELOOP.into());
                    }
                    let target = readlinkat(&fd, "")?.into_vec();
                    if target.first() == Some(&b'/') {
                        dirs.truncate(1);
                    }
                    if last && target.ends_with(b"/") {
                        must_be_directory = true;
                    }
                    todo.extend(names(&target));
                    led_to(|| todo.iter().rev().fold(self.real(&dirs), |path, name| path.join(name)));
                }
                Kind::Directory => {
                    let id = (stat.st_dev, stat.st_ino);
                    dirs.push(Step { fd: Some(Arc::new(fd)), perm: Perm::of(&stat), id, name });
                    let far = dirs.len().saturating_sub(MAX_HELD + 1);
                    if far > 0 {
                        dirs[far].fd = None;
                    }
                }
                _ if !last || must_be_directory => return Err(Errno::ENOTDIR.into()),
                _ => {
                    walk.links.extend(led.into_iter().map(|(link, _)| Link { to: stat.st_uid, ..link }));
                    return Ok(Found {
                        parent: here,
                        kind,
                        perm: Perm::of(&stat),
                        id: (stat.st_dev, stat.st_ino),
                        above: dirs.iter().map(|dir| dir.id).collect(),
                        real: self.real(&dirs).join(&name),
                        name,
                        bounds: self.bounds,
                        budget: self.budget.clone(),
                    });
                }
            }
        }
        let real = self.real(&dirs);
        if dirs.len() > 1 {
            open_above(&mut dirs)?;
        }
        let last = dirs.pop().ok_or(Errno::ENOENT)?;
        walk.links.extend(led.into_iter().map(|(link, _)| Link { to: last.perm.uid, ..link }));
        let parent = dirs.last().map_or_else(|| last.fd.clone(), |dir| dir.fd.clone());
        Ok(Found {
            // Cannot be missing because it was opened again.
            parent: parent.ok_or(Errno::ENOENT)?,
            name: last.name,
            kind: Kind::Directory,
            perm: last.perm,
            id: last.id,
            above: dirs.iter().map(|dir| dir.id).collect(),
            real,
            bounds: self.bounds,
            budget: self.budget.clone(),
        })
    }

    fn real(&self, dirs: &[Step]) -> PathBuf {
        let mut path = self.prefix.clone();
        dirs.iter().skip(1).for_each(|dir| path.push(&dir.name));
        path
    }

    /// What stat(2) says of the thing at `inside`, every link followed below the root.
    ///
    /// # Errors
    /// Why nothing can be found there.
    pub fn stamp_of(&self, inside: &[u8]) -> nix::Result<Stamp> {
        match self.walk(inside).end {
            End::Found(found) => found.stamp(),
            End::Missing(cause) | End::Failed(cause) => Err(cause),
            End::Silent(_) => Err(Errno::ETIMEDOUT),
        }
    }

    /// The same in a single call, for a path in which no link leads out of the root: a link at its end is not followed.
    ///
    /// # Errors
    /// Those of lstat(2).
    pub fn stamp_without_links(&self, inside: &[u8]) -> nix::Result<Stamp> {
        Ok(Stamp::of(&lstat(&self.path(inside))?))
    }

    /// The content of the regular file at `inside`, or `None` when nothing is there.
    ///
    /// # Errors
    /// Whatever keeps it from being read; something that is no regular file is an error too.
    pub fn read(&self, inside: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.at(inside, || self.open(inside)?.map(Opened::read_all).transpose())
    }

    /// Does the work, which looks at what is at `inside`: a thread that can be spared notes that it is there.
    pub fn at<T>(&self, inside: &[u8], work: impl FnOnce() -> T) -> T {
        at(|| self.path(inside), work)
    }

    /// Opens the regular file at `inside`, or `None` when nothing is there.
    ///
    /// # Errors
    /// Whatever keeps it from being opened; something that is no regular file is an error too.
    pub fn open(&self, inside: &[u8]) -> io::Result<Option<Opened>> {
        match self.walk(inside).end {
            End::Found(found) => found.open_file().map(Some),
            End::Missing(_) => Ok(None),
            End::Failed(cause) => Err(cause.into()),
            End::Silent(silence) => Err(silence.into()),
        }
    }

    /// The real path of the folder at `inside`, which is made, with this mode less the umask, when it is missing, and so
    /// are those above it, mode 0755. Links are followed below the root.
    ///
    /// # Errors
    /// A folder that cannot be made, or is something else.
    pub fn make_folder(&self, inside: &[u8], mode: u32) -> io::Result<PathBuf> {
        match self.walk(inside).end {
            End::Found(found) if found.kind == Kind::Directory => Ok(found.real),
            End::Found(_) => Err(Errno::ENOTDIR.into()),
            End::Failed(cause) => Err(cause.into()),
            End::Silent(silence) => Err(silence.into()),
            End::Missing(_) => {
                let inside = inside.strip_suffix(b"/").unwrap_or(inside);
                let slash = inside.iter().rposition(|b| *b == b'/').ok_or(Errno::ENOENT)?;
                let above = if slash == 0 { &b"/"[..] } else { &inside[..slash] };
                let path = self.make_folder(above, 0o755)?.join(OsStr::from_bytes(&inside[slash + 1..]));
                match DirBuilder::new().mode(mode).create(&path) {
                    // Another one made it meanwhile; a link of that name is no folder of ours.
                    Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
                        if std::fs::symlink_metadata(&path)?.is_dir() { Ok(path) } else { Err(cause) }
                    }
                    made => made.map(|()| path),
                }
            }
        }
    }
}

impl Found {
    /// Opens the regular file for reading.
    ///
    /// # Errors
    /// Also when it is something else, or became something else meanwhile.
    pub fn open_file(&self) -> io::Result<Opened> {
        if self.kind != Kind::Regular {
            return Err(not_regular());
        }
        at(|| self.real.clone(), || open_regular(&self.parent, &self.name, self.bounds, self.budget.as_ref()))
    }

    /// What stat(2) says of it now.
    ///
    /// # Errors
    /// Those of fstatat(2).
    pub fn stamp(&self) -> nix::Result<Stamp> {
        let stat = fstatat(&self.parent, self.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW);
        Ok(Stamp::of(&noted(stat, &self.name)?))
    }

    /// Opens the directory for listing.
    ///
    /// # Errors
    /// Also when it is no directory, or is one no longer.
    pub fn open_directory(&self) -> io::Result<Directory> {
        at(|| self.real.clone(), || open_directory(&self.parent, &self.name, self.bounds, self.budget.as_ref()))
    }
}

/// Opens the last directory but one again when it is not held any more. Meanwhile somebody may have moved the last one to
/// another place: then what stands above it is not what was walked through.
fn open_above(dirs: &mut [Step]) -> nix::Result<()> {
    let [.., above, last] = dirs else { return Ok(()) };
    if above.fd.is_some() {
        return Ok(());
    }
    let below = last.fd.as_ref().ok_or(Errno::ENOENT)?;
    let fd = openat(below, "..", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let stat = fstat(&fd)?;
    back();
    if (stat.st_dev, stat.st_ino) != above.id {
        return Err(Errno::ESTALE);
    }
    above.fd = Some(Arc::new(fd));
    Ok(())
}

/// Opens directories that stand side by side in few folders: it walks to a folder once, and goes on from there for as
/// long as it remembers it, whatever becomes of the folder meanwhile.
#[derive(Debug)]
pub struct Folders {
    root: Root,
    /// Those that were used last, the last one first.
    recent: Mutex<Vec<Arc<Folder>>>,
    /// Which files are in which directories, once somebody wants to know.
    file_owners: Mutex<Option<Arc<FileOwners>>>,
}

/// Directories by device and inode, and their paths, by the device and inode of a file in them.
pub type FileOwners = HashMap<(u64, u64), Vec<((u64, u64), PathBuf)>>;

/// A folder, held open, and the way to what is in it.
#[derive(Debug)]
struct Folder {
    path: Vec<u8>,
    /// Its path on this machine, links resolved.
    real: PathBuf,
    fd: OwnedFd,
    way: Way,
}

impl Folders {
    /// Those below the root.
    pub fn new(root: &Root) -> Folders {
        Folders { root: root.clone(), recent: Mutex::default(), file_owners: Mutex::default() }
    }

    /// Which files are in which directories, as `find` found it the first time. Threads that ask at the same time may all
    /// find it: none waits for another, which may be waiting for what does not answer.
    pub fn file_owners(&self, find: impl FnOnce() -> FileOwners) -> Arc<FileOwners> {
        let known = || self.file_owners.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(owners) = &*known() {
            return owners.clone();
        }
        let found = Arc::new(find());
        known().get_or_insert(found).clone()
    }

    /// The root that they are below.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Opens the directory at `inside` for listing, with what [`Root::walk`] would have met on the way; `None` when it takes
    /// a walk to tell what stands there.
    pub fn open_directory(&self, inside: &[u8]) -> Option<(Way, Directory)> {
        if inside.len() >= PATH_MAX {
            return None;
        }
        let (above, name) = inside.split_at(inside.iter().rposition(|b| *b == b'/')? + 1);
        if matches!(name, b"" | b"." | b"..") {
            return None;
        }
        let folder = self.folder(above)?;
        let name = OsStr::from_bytes(name);
        let real = || folder.real.join(name);
        self.root.is_silent(real).ok()?;
        let directory = at(real, || open_directory(&folder.fd, name, self.root.bounds, self.root.budget())).ok()?;
        led_to(real);
        Some((folder.way.clone(), directory))
    }

    /// The folder at `path`, which ends with a slash.
    fn folder(&self, path: &[u8]) -> Option<Arc<Folder>> {
        let recent = || self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut recent = recent();
            if let Some(at) = recent.iter().position(|folder| folder.path == path) {
                recent[..=at].rotate_right(1);
                return Some(recent[0].clone());
            }
        }
        let (mut way, end) = self.root.walk(path).into_way();
        let End::Found(found) = end else { return None };
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let open = || -> nix::Result<_> {
            let fd = openat(&found.parent, found.name.as_os_str(), flags, Mode::empty())?;
            let stat = fstat(&fd)?;
            Ok((fd, stat))
        };
        let (fd, stat) = at(|| found.real.clone(), || noted(open(), &found.name)).ok()?;
        // The root itself is not among them.
        if !found.above.is_empty() {
            way.searched.push(Perm::of(&stat));
        }
        let folder = Arc::new(Folder { path: path.to_vec(), real: found.real, fd, way });
        let mut recent = recent();
        recent.insert(0, folder.clone());
        recent.truncate(MAX_FOLDERS);
        Some(folder)
    }
}

/// A regular file, open for reading.
#[derive(Debug)]
pub struct Opened {
    fd: OwnedFd,
    name: OsString,
    /// Its mode, owner and group.
    pub perm: Perm,
    /// Its size in bytes when it was opened.
    pub size: u64,
    /// How many names it has.
    pub links: u64,
    /// Its device and inode.
    pub id: (u64, u64),
    bounds: Bounds,
    budget: Option<Budget>,
}

impl Opened {
    /// Reads it to its end.
    ///
    /// # Errors
    /// Those of read(2); a file that is longer than the bound.
    pub fn read_all(mut self) -> io::Result<Vec<u8>> {
        let bound = self.bounds.file;
        // A file that only seems long must not cost the reading either.
        if self.size > bound {
            return Err(self.too_long());
        }
        let mut content = Vec::new();
        self.read_on(&mut content, usize::try_from(bound).unwrap_or(usize::MAX).saturating_add(1))?;
        if content.len() as u64 > bound { Err(self.too_long()) } else { Ok(content) }
    }

    /// Fills the buffer from this position on.
    ///
    /// # Errors
    /// Those of read(2), and a file that ends before.
    pub fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            let end = buffer.len().min(filled + AT_ONCE);
            let read = rustix::io::pread(&self.fd, &mut buffer[filled..end], position + filled as u64);
            back();
            match read {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => filled += read,
                Err(rustix::io::Errno::INTR) => {}
                Err(cause) => return Err(failed(Errno::from_raw(cause.raw_os_error()), &self.name)),
            }
        }
        self.budget.as_ref().map_or(Ok(()), |budget| budget.bytes(filled as u64))
    }

    /// Where data is next, from this position on: in front of it are only bytes that the file has no blocks for. `None` when
    /// there is none.
    ///
    /// # Errors
    /// Those of lseek(2).
    pub fn data_from(&self, position: u64) -> io::Result<Option<u64>> {
        let found = rustix::fs::seek(&self.fd, SeekFrom::Data(position));
        back();
        match found {
            Ok(data) => Ok(Some(data)),
            Err(rustix::io::Errno::NXIO) => Ok(None),
            // The file system does not tell.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => Ok(Some(position)),
            Err(cause) => Err(failed(Errno::from_raw(cause.raw_os_error()), &self.name)),
        }
    }

    /// Whether so many of its bytes may stand in memory.
    ///
    /// # Errors
    /// It is longer than the bound, or the home's budget does not reach.
    pub fn may_hold(&self, bytes: u64) -> io::Result<()> {
        if self.size > self.bounds.file {
            return Err(self.too_long());
        }
        self.budget.as_ref().map_or(Ok(()), |budget| budget.has_room_for(bytes))
    }

    fn too_long(&self) -> io::Error {
        io::Error::other(format!("longer than the {} MiB of --max-file", self.bounds.file >> 20))
    }

    /// The file, for whoever reads at positions of its own.
    pub fn into_file(self) -> std::fs::File {
        self.fd.into()
    }

    /// Reads its first `length` bytes, or what there is before its end, in the place of what `content` holds. There may
    /// be more when `content` has room for it.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn read_start(&mut self, content: &mut Vec<u8>, length: usize) -> io::Result<()> {
        content.clear();
        self.read_on(content, length)
    }

    /// Reads on, behind what was read, until there are `length` bytes.
    fn read_on(&mut self, content: &mut Vec<u8>, length: usize) -> io::Result<()> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        if let Some(budget) = &self.budget {
            budget.has_room_for(size.min(length).saturating_sub(content.len()) as u64)?;
        }
        while content.len() < length {
            // One byte more than it is said to hold: a read that leaves room for it has come to the end.
            let room = size.saturating_add(1).max(content.len().saturating_mul(2)).clamp(MIN_ROOM.min(length), length);
            // So that each call comes back in time, however slow the disk is.
            let more = (room - content.len()).min(AT_ONCE);
            content.try_reserve_exact(more).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
            let read = rustix::io::read(&self.fd, spare_capacity(content));
            back();
            if let (Some(budget), Ok(read)) = (&self.budget, read) {
                budget.bytes(read as u64)?;
            }
            match read {
                Ok(0) => break,
                Ok(_) if content.len() == size && content.len() < content.capacity() => break,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(cause) => return Err(failed(Errno::from_raw(cause.raw_os_error()), &self.name)),
            }
        }
        Ok(())
    }
}

/// An open directory of the host.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    /// Its mode, owner and group.
    pub perm: Perm,
    /// Its device and inode.
    pub id: (u64, u64),
    bounds: Bounds,
    budget: Option<Budget>,
}

impl Directory {
    /// The same, of a home whose cost is counted in this budget.
    #[must_use]
    pub fn spending(self, budget: &Budget) -> Directory {
        Directory { budget: Some(budget.clone()), ..self }
    }

    /// Names and kinds of its entries that `wanted` picks, in the order of their bytes; a kind that the file system
    /// does not tell is `None`.
    ///
    /// # Errors
    /// Those of getdents(2); more names than the bounds.
    pub fn entries(&self, wanted: impl Fn(&[u8]) -> bool) -> io::Result<Vec<(Vec<u8>, Option<Kind>)>> {
        // What may be listed but not searched is as good as closed.
        self.stat(b".")?;
        let is_failed = |cause: rustix::io::Errno| failed(Errno::from_raw(cause.raw_os_error()), OsStr::new("."));
        rustix::fs::seek(&self.fd, SeekFrom::Start(0)).map_err(is_failed)?;
        let mut found = Vec::new();
        let mut looked_at = 0;
        kernel::list(&self.fd, CHUNK, |entry| {
            back();
            // A folder with millions of other names costs time, too.
            looked_at += 1;
            match &self.budget {
                Some(budget) => budget.steps(1)?,
                None if looked_at > self.bounds.steps => return Err(io::Error::other(too_many_steps(&self.bounds))),
                None => {}
            }
            let (name, kind) = match entry {
                // As readdir(3) has it: a directory that was removed meanwhile has come to its end.
                Err(rustix::io::Errno::NOENT) => return Ok(false),
                entry => entry.map_err(is_failed)?,
            };
            if name != b"." && name != b".." && wanted(name) {
                if found.len() >= self.bounds.names {
                    // Those of a home count together.
                    self.budget.as_ref().map_or(Ok(()), |budget| budget.names(found.len() + 1))?;
                    return Err(io::Error::other(too_many_names(&self.bounds)));
                }
                let kind = match kind {
                    FileType::RegularFile => Some(Kind::Regular),
                    FileType::Directory => Some(Kind::Directory),
                    FileType::Symlink => Some(Kind::Link),
                    FileType::Unknown => None,
                    _ => Some(Kind::Other),
                };
                found.push((name.to_vec(), kind));
            }
            Ok(true)
        })?;
        found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// What the entry is, links not followed.
    ///
    /// # Errors
    /// Those of fstatat(2), a vanished entry among them.
    pub fn stat(&self, name: &[u8]) -> io::Result<(Kind, Perm, (u64, u64))> {
        let name = OsStr::from_bytes(name);
        let stat = noted(fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW), name)?;
        back();
        Ok((kind_of(&stat), Perm::of(&stat), (stat.st_dev, stat.st_ino)))
    }

    /// Opens an entry that is a regular file.
    ///
    /// # Errors
    /// Also when it is something else.
    pub fn open_file(&self, name: &[u8]) -> io::Result<Opened> {
        open_regular(&self.fd, OsStr::from_bytes(name), self.bounds, self.budget.as_ref())
    }

    /// Opens an entry that is a directory.
    ///
    /// # Errors
    /// Also when it is something else.
    pub fn open_directory(&self, name: &[u8]) -> io::Result<Directory> {
        open_directory(&self.fd, OsStr::from_bytes(name), self.bounds, self.budget.as_ref())
    }
}

/// What is done to a file by renaming another one over it, in words.
pub const REPLACED: &str = "put another file in its place";

/// What stat(2) says of a file: as long as all of it is the same, the file is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// What it is.
    pub kind: Kind,
    id: (u64, u64),
    /// Of its content, in bytes.
    pub size: i64,
    perm: Perm,
    /// When its content changed last, since 1970-01-01 UTC.
    pub modified: Duration,
    /// When anything about it changed last, since 1970-01-01 UTC.
    pub changed: Duration,
}

impl Stamp {
    fn of(stat: &FileStat) -> Stamp {
        let time = |seconds: i64, nanoseconds: i64| {
            Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanoseconds).unwrap_or(0))
        };
        Stamp {
            kind: kind_of(stat),
            id: (stat.st_dev, stat.st_ino),
            size: stat.st_size,
            perm: Perm::of(stat),
            modified: time(stat.st_mtime, stat.st_mtime_nsec),
            changed: time(stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// Whether nothing was written since the other one was taken, of the same file.
    pub fn has_content_of(&self, before: &Stamp) -> bool {
        (self.id, self.size, self.modified) == (before.id, before.size, before.modified)
    }

    /// What was done to what was there before, in words.
    pub fn difference(&self, before: &Stamp) -> &'static str {
        if self.kind != Kind::Regular {
            "put something in its place that is no regular file"
        } else if self.id != before.id {
            REPLACED
        } else if self.perm != before.perm {
            "changed its mode or owner"
        } else if !self.has_content_of(before) {
            "wrote to it"
        } else {
            "set its times or gave it another name"
        }
    }

    /// That of an open file.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn of_file(file: impl AsFd) -> io::Result<Stamp> {
        Ok(Stamp::of(&fstat(file)?))
    }
}

impl Directory {
    /// Its own.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn stamp(&self) -> io::Result<Stamp> {
        Ok(Stamp::of(&noted(fstat(&self.fd), OsStr::new("."))?))
    }

    /// That of an entry, links not followed; `None` when it is not there.
    ///
    /// # Errors
    /// Those of fstatat(2).
    pub fn stamp_of(&self, name: &[u8]) -> io::Result<Option<Stamp>> {
        let stat = fstatat(&self.fd, OsStr::from_bytes(name), AtFlags::AT_SYMLINK_NOFOLLOW);
        back();
        match stat {
            Ok(stat) => Ok(Some(Stamp::of(&stat))),
            Err(Errno::ENOENT) => Ok(None),
            Err(cause) => Err(failed(cause, OsStr::from_bytes(name))),
        }
    }
}

fn open_regular(dir: impl AsFd, name: &OsStr, bounds: Bounds, budget: Option<&Budget>) -> io::Result<Opened> {
    budget.map_or(Ok(()), |budget| budget.steps(OPENED))?;
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let fd = open_in(dir, name, flags)?;
    let stat = noted(fstat(&fd), name)?;
    back();
    if kind_of(&stat) != Kind::Regular {
        return Err(not_regular());
    }
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let (links, id) = (stat.st_nlink, (stat.st_dev, stat.st_ino));
    Ok(Opened { fd, name: name.to_owned(), perm: Perm::of(&stat), size, links, id, bounds, budget: budget.cloned() })
}

fn open_directory(dir: impl AsFd, name: &OsStr, bounds: Bounds, budget: Option<&Budget>) -> io::Result<Directory> {
    budget.map_or(Ok(()), |budget| budget.steps(OPENED))?;
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let fd = open_in(dir, name, flags)?;
    let stat = noted(fstat(&fd), name)?;
    back();
    Ok(Directory { fd, perm: Perm::of(&stat), id: (stat.st_dev, stat.st_ino), bounds, budget: budget.cloned() })
}

/// Opens something for reading. What its mode would have let us open, and this thread may not, lies outside the directories
/// that the thread is confined to: access(2) knows nothing of these (landlock(7)).
fn open_in(dir: impl AsFd, name: &OsStr, flags: OFlag) -> io::Result<OwnedFd> {
    openat(&dir, name, flags, Mode::empty()).map_err(|cause| {
        let may = || faccessat(&dir, name, AccessFlags::R_OK, AtFlags::AT_EACCESS).is_ok();
        let stat = || fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).map(|stat| kind_of(&stat));
        // FreeBSD's word for a link that is not followed.
        let cause = if cause == Errno::EMLINK { Errno::ELOOP } else { cause };
        match cause {
            // A socket cannot be opened. FreeBSD says it in another way.
            Errno::ENXIO | Errno::EOPNOTSUPP if stat() == Ok(Kind::Other) => not_regular(),
            // Somebody holds a lease on the file (fcntl(2)), which ends soon.
            Errno::EAGAIN => {
                failures::note_as(Nature::Storage, cause, || name.into());
                cause.into()
            }
            cause => {
                let failed = failed(cause, name);
                if cause == Errno::EACCES && may() { outside() } else { failed }
            }
        }
    })
}

/// What came of a call that looked at this name, when a failure of it has been noted.
fn noted<T>(called: nix::Result<T>, name: &OsStr) -> nix::Result<T> {
    called.inspect_err(|cause| failures::note(*cause, || name.into()))
}

/// A call that looked at this name has failed.
fn failed(cause: Errno, name: &OsStr) -> io::Error {
    failures::note(cause, || name.into());
    cause.into()
}

/// The names of a path, the last one first.
fn names(path: &[u8]) -> Vec<OsString> {
    path.split(|b| *b == b'/')
        .rev()
        .filter(|name| !name.is_empty())
        .map(|name| OsString::from_vec(name.to_vec()))
        .collect()
}

fn kind_of(stat: &FileStat) -> Kind {
    match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFREG => Kind::Regular,
        SFlag::S_IFDIR => Kind::Directory,
        SFlag::S_IFLNK => Kind::Link,
        _ => Kind::Other,
    }
}

fn not_regular() -> io::Error {
    io::Error::other("no regular file")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_directory_in_a_folder_that_is_known_is_reached_as_by_a_walk() {
        let dir = tempfile::tempdir().unwrap();
        let path = |inside: &str| dir.path().join(inside);
        for folder in ["top", "a/b/one", "a/b/two"] {
            fs::create_dir_all(path(folder)).unwrap();
        }
        fs::write(path("a/b/file"), "").unwrap();
        fs::set_permissions(path("a"), fs::Permissions::from_mode(0o711)).unwrap();
        symlink("/a/b", path("link")).unwrap();
        symlink("one", path("a/b/three")).unwrap();
        let root = Root::new(dir.path(), Bounds::default());
        let folders = Folders::new(&root);
        let inside = [
            "/top",
            "/a/b/one",
            "/a/b/two",
            "/a//b/./one",
            "/link/two",
            "/a/../a/b/one",
            "a/b/two",
            "/a/b/three",
            "/a/b/file",
            "/a/b/none",
            "/none/one",
            "/a/b/file/one",
            "/a/b/one/",
            "/a/b/..",
            "/",
            "top",
            "",
        ];
        for inside in inside.iter().chain(&inside) {
            let (walked, end) = root.walk(inside.as_bytes()).into_way();
            match (folders.open_directory(inside.as_bytes()), end) {
                (Some((way, directory)), End::Found(found)) => {
                    assert_eq!((way, directory.id, directory.perm), (walked, found.id, found.perm))
                }
                (Some(_), end) => panic!("{inside}: {end:?}"),
                // A link, no directory, or a path that does not end with its name.
                (None, _) => assert!(!inside.ends_with("/one") || inside.contains("file") || inside.contains("none")),
            }
        }
    }

    #[test]
    fn a_folder_that_went_is_walked_to_again() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("domains/a.test");
        let root = Root::new(dir.path(), Bounds::default());
        let folders = Folders::new(&root);
        let opened = || folders.open_directory(b"/domains/a.test").map(|(_, directory)| directory.id);
        fs::create_dir_all(&home).unwrap();
        let first = opened().unwrap();
        fs::rename(dir.path().join("domains"), dir.path().join("old")).unwrap();
        fs::create_dir_all(&home).unwrap();
        assert_eq!(opened(), Some(first), "the directory as it was found");
        fs::remove_dir_all(dir.path().join("old")).unwrap();
        assert_eq!(opened(), None);
        assert!(matches!(root.walk(b"/domains/a.test").end, End::Found(_)));
    }

    #[test]
    fn a_file_is_read_to_its_end_and_no_further_than_its_bound() {
        let dir = tempfile::tempdir().unwrap();
        let bound = 3 * CHUNK;
        let root = Root::new(dir.path(), Bounds { file: bound as u64, ..Bounds::default() });
        let open = || root.open(b"/file").unwrap().unwrap();
        for length in [0, 1, MIN_ROOM - 1, MIN_ROOM, MIN_ROOM + 1, CHUNK - 1, CHUNK, CHUNK + 1, bound, bound + 1] {
            let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            fs::write(dir.path().join("file"), &content).unwrap();
            assert_eq!(open().read_all().ok(), (length <= bound).then_some(content.clone()), "{length}");
            let start = |wanted: usize| {
                let mut read = b"before".to_vec();
                open().read_start(&mut read, wanted).unwrap();
                read
            };
            assert_eq!(start(MIN_ROOM), content[..length.min(MIN_ROOM)]);
            assert_eq!(start(2 * bound), content);
            // What it held when it was opened does not bound it.
            let opened = open();
            fs::write(dir.path().join("file"), [&content[..], b"more"].concat()).unwrap();
            let more = opened.read_all().ok();
            assert_eq!(more, (length + 4 <= bound).then(|| [&content[..], b"more"].concat()), "{length}");
        }
        let mut piece = [0; 3];
        open().read_at(&mut piece, 1).unwrap();
        assert_eq!(piece, [1, 2, 3]);
        assert!(open().read_at(&mut piece, 2 * bound as u64).is_err(), "it ends before");
    }
}
