//! Paths below the root, walked as the kernel walks them after chroot(2): an absolute symbolic link starts again at the
//! root, and `..` does not leave it. The walk also notes the permissions of every directory that it searched, because
//! we run as root and have to judge what other users may reach (SPEC section 3).
//!
//! Nothing is opened that is no regular file or directory: a FIFO cannot hang us and a device is never touched.

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};

/// The kernel follows this many symbolic links in one walk (path_resolution(7)).
const MAX_LINKS: usize = 40;
/// The longest path the kernel takes, its final NUL included, in bytes (PATH_MAX).
pub const PATH_MAX: usize = 4096;
/// The longest name in a directory, in bytes (NAME_MAX).
pub const NAME_MAX: usize = 255;

/// How much is read of what users and customers may have made as large as they like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// A file longer than this is not read, in bytes.
    pub file: u64,
    /// A folder with more names that matter is not read, and of one home no more keys are made of names that are spelled
    /// in several ways.
    pub names: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { file: 1 << 30, names: 200_000 }
    }
}

/// Who asks: an effective user and the one group that qmail-lspawn leaves a delivery, no supplementary ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Who {
    /// Numeric user id.
    pub uid: u32,
    /// Numeric group id.
    pub gid: u32,
}

/// Mode, owner and group of a file, as stat(2) gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        Perm { mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid }
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

/// A walk: the directories that were searched, in order, and where it ended. The root itself is not among them.
#[derive(Debug)]
pub struct Walk {
    /// Permissions of each directory a name was looked up in, as long as the walk went.
    pub searched: Vec<Perm>,
    /// Who owns the links that were followed.
    pub link_owners: Vec<u32>,
    /// Where it ended.
    pub end: End,
}

/// One directory of a walk.
struct Step {
    fd: Arc<OwnedFd>,
    perm: Perm,
    id: (u64, u64),
    name: OsString,
}

/// The directory that every absolute path is taken below, `/` on a real host.
#[derive(Clone, Debug)]
pub struct Root {
    prefix: PathBuf,
    /// How much is read below it.
    pub bounds: Bounds,
}

impl Root {
    /// The root at `prefix`, an existing directory.
    pub fn new(prefix: &Path, bounds: Bounds) -> Root {
        Root { prefix: prefix.to_owned(), bounds }
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

    /// Walks `inside`, but does not follow a link that it ends at.
    pub fn walk_no_follow(&self, inside: &[u8]) -> Walk {
        self.walk_with(inside, false)
    }

    fn walk_with(&self, inside: &[u8], follow_last: bool) -> Walk {
        let mut walk = Walk { searched: Vec::new(), link_owners: Vec::new(), end: End::Missing(Errno::ENOENT) };
        walk.end = match self.walk_steps(inside, follow_last, &mut walk) {
            Ok(found) => End::Found(found),
            Err(cause @ (Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENAMETOOLONG | Errno::EINVAL)) => {
                End::Missing(cause)
            }
            Err(cause) => End::Failed(cause),
        };
        walk
    }

    fn walk_steps(&self, inside: &[u8], follow_last: bool, walk: &mut Walk) -> nix::Result<Found> {
        if inside.is_empty() {
            return Err(Errno::ENOENT);
        }
        if inside.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let top = openat(AT_FDCWD, &self.prefix, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        let stat = fstat(&top)?;
        let mut dirs =
            vec![Step { fd: Arc::new(top), perm: Perm::of(&stat), id: (stat.st_dev, stat.st_ino), name: ".".into() }];
        // Names still to be walked, the next one last.
        let mut todo: Vec<OsString> = names(inside);
        let mut must_be_directory = inside.ends_with(b"/");
        while let Some(name) = todo.pop() {
            // Cannot be empty because `..` never removes the root.
            let here = dirs.last().ok_or(Errno::ENOENT)?;
            if dirs.len() > 1 {
                walk.searched.push(here.perm);
            }
            if name == "." {
                continue;
            }
            if name == ".." {
                if dirs.len() > 1 {
                    dirs.pop();
                }
                continue;
            }
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let fd = openat(&here.fd, name.as_os_str(), flags, Mode::empty())?;
            let stat = fstat(&fd)?;
            let kind = kind_of(&stat);
            let last = todo.is_empty();
            match kind {
                Kind::Link if !last || follow_last || must_be_directory => {
                    walk.link_owners.push(stat.st_uid);
                    if walk.link_owners.len() > MAX_LINKS {
                        return Err(Errno::ELOOP);
                    }
                    let target = readlinkat(&fd, "")?.into_vec();
                    if target.first() == Some(&b'/') {
                        dirs.truncate(1);
                    }
                    if last && target.ends_with(b"/") {
                        must_be_directory = true;
                    }
                    todo.extend(names(&target));
                }
                Kind::Directory => {
                    dirs.push(Step { fd: Arc::new(fd), perm: Perm::of(&stat), id: (stat.st_dev, stat.st_ino), name })
                }
                _ if !last || must_be_directory => return Err(Errno::ENOTDIR),
                _ => {
                    return Ok(Found {
                        parent: here.fd.clone(),
                        kind,
                        perm: Perm::of(&stat),
                        id: (stat.st_dev, stat.st_ino),
                        above: dirs.iter().map(|dir| dir.id).collect(),
                        real: self.real(&dirs).join(&name),
                        name,
                        bounds: self.bounds,
                    });
                }
            }
        }
        let real = self.real(&dirs);
        let last = dirs.pop().ok_or(Errno::ENOENT)?;
        let parent = dirs.last().map_or_else(|| last.fd.clone(), |dir| dir.fd.clone());
        Ok(Found {
            parent,
            name: last.name,
            kind: Kind::Directory,
            perm: last.perm,
            id: last.id,
            above: dirs.iter().map(|dir| dir.id).collect(),
            real,
            bounds: self.bounds,
        })
    }

    fn real(&self, dirs: &[Step]) -> PathBuf {
        dirs.iter().skip(1).fold(self.prefix.clone(), |path, dir| path.join(&dir.name))
    }

    /// The content of the regular file at `inside`, or `None` when nothing is there.
    ///
    /// # Errors
    /// Whatever keeps it from being read; something that is no regular file is an error too.
    pub fn read(&self, inside: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.open(inside)?.map(Opened::read_all).transpose()
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
        open_regular(&self.parent, &self.name, self.bounds)
    }

    /// Opens the directory for listing.
    ///
    /// # Errors
    /// Also when it is no directory, or is one no longer.
    pub fn open_directory(&self) -> io::Result<Directory> {
        open_directory(&self.parent, &self.name, self.bounds)
    }
}

/// A regular file, open for reading.
#[derive(Debug)]
pub struct Opened {
    file: File,
    /// Its mode, owner and group.
    pub perm: Perm,
    /// Its size in bytes when it was opened.
    pub size: u64,
    bounds: Bounds,
}

impl Opened {
    /// Reads it to its end.
    ///
    /// # Errors
    /// Those of read(2); a file that is longer than the bound.
    pub fn read_all(mut self) -> io::Result<Vec<u8>> {
        let bound = self.bounds.file;
        let too_long = || io::Error::other(format!("longer than the {} MiB of --max-file", bound >> 20));
        // A file that only seems long must not cost the reading either.
        if self.size > bound {
            return Err(too_long());
        }
        let mut content = Vec::new();
        (&mut self.file).take(bound + 1).read_to_end(&mut content)?;
        if content.len() as u64 > bound { Err(too_long()) } else { Ok(content) }
    }

    /// Reads the next `length` bytes, or what there is before its end.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn read_start(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        (&mut self.file).take(length as u64).read_to_end(&mut content)?;
        Ok(content)
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
}

impl Directory {
    /// Names and kinds of its entries that `wanted` picks, in the order of their bytes; a kind that the file system
    /// does not tell is `None`.
    ///
    /// # Errors
    /// Those of getdents(2); more names than the bound.
    pub fn entries(&self, wanted: impl Fn(&[u8]) -> bool) -> io::Result<Vec<(Vec<u8>, Option<Kind>)>> {
        let mut dir =
            Dir::openat(&self.fd, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        let mut found = Vec::new();
        for entry in dir.iter() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." && wanted(name) {
                if found.len() >= self.bounds.names {
                    let bound = self.bounds.names;
                    return Err(io::Error::other(format!("more names than the {bound} of --max-names")));
                }
                let kind = entry.file_type().map(|kind| match kind {
                    nix::dir::Type::File => Kind::Regular,
                    nix::dir::Type::Directory => Kind::Directory,
                    nix::dir::Type::Symlink => Kind::Link,
                    _ => Kind::Other,
                });
                found.push((name.to_vec(), kind));
            }
        }
        found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// What the entry is, links not followed.
    ///
    /// # Errors
    /// Those of fstatat(2), a vanished entry among them.
    pub fn stat(&self, name: &[u8]) -> io::Result<(Kind, Perm, (u64, u64))> {
        let stat =
            nix::sys::stat::fstatat(&self.fd, OsStr::from_bytes(name), nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW)?;
        Ok((kind_of(&stat), Perm::of(&stat), (stat.st_dev, stat.st_ino)))
    }

    /// Opens an entry that is a regular file.
    ///
    /// # Errors
    /// Also when it is something else.
    pub fn open_file(&self, name: &[u8]) -> io::Result<Opened> {
        open_regular(&self.fd, OsStr::from_bytes(name), self.bounds)
    }

    /// Opens an entry that is a directory.
    ///
    /// # Errors
    /// Also when it is something else.
    pub fn open_directory(&self, name: &[u8]) -> io::Result<Directory> {
        open_directory(&self.fd, OsStr::from_bytes(name), self.bounds)
    }
}

fn open_regular(dir: impl AsFd, name: &OsStr, bounds: Bounds) -> io::Result<Opened> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let fd = openat(dir, name, flags, Mode::empty())?;
    let stat = fstat(&fd)?;
    if kind_of(&stat) != Kind::Regular {
        return Err(not_regular());
    }
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    Ok(Opened { file: File::from(fd), perm: Perm::of(&stat), size, bounds })
}

fn open_directory(dir: impl AsFd, name: &OsStr, bounds: Bounds) -> io::Result<Directory> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let fd = openat(dir, name, flags, Mode::empty())?;
    let stat = fstat(&fd)?;
    Ok(Directory { fd, perm: Perm::of(&stat), id: (stat.st_dev, stat.st_ino), bounds })
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
