//! Atomic replacement (docs/rules.md, 7.1); the only writer. A new file appears under its name only when it is complete
//! and on disk: written under a temporary name in the same folder, with its owner and mode set before its first byte.

mod temporary;

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::thread::{self, Builder};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::libc::O_PATH;
use nix::unistd::{Gid, Uid, fchown, geteuid};

use crate::cdb::{self, diff::Difference};
use crate::error::{Error, Nature, Trouble, is_denied_to_us, show_cause, show_path};
use crate::fs::silence::at;
use crate::fs::trust::is_foreign;
use crate::fs::{End, Kind, Root, Stamp};
use crate::kernel::{allocate, holders_of_lock, is_mount_point, nameless_file};

use temporary::Temporary;

pub use temporary::{leave_none as leave_no_temporary, remove_all as remove_all_temporary};

/// Numeric owner and group.
pub type Owner = (u32, u32);

/// What a published file must look like.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Its permission bits.
    pub mode: u32,
    /// Its owner; `None`: whoever writes it.
    pub owner: Option<Owner>,
}

/// A published file: where its name leads, and the folder there.
#[derive(Clone, Debug)]
pub struct Target {
    /// The name that was asked for, as it is typed.
    pub name: PathBuf,
    /// Where it is published: the name itself, or what a symbolic link of that name leads to.
    real: PathBuf,
    folder: PathBuf,
}

/// A file without a name in the directory of temporary files, which goes when it is closed. Nobody else may open it: it may
/// hold hashes.
///
/// # Errors
/// Those of open(2).
pub fn unnamed() -> io::Result<File> {
    private(tempfile::tempfile()?)
}

/// Takes the rights from a new file that O_TMPFILE gave others.
fn private(file: File) -> io::Result<File> {
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

impl Target {
    /// A file without a name on the file system of this one, or where temporary files are when this process may write none
    /// there. It goes when it is closed.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn unnamed(&self) -> io::Result<File> {
        tempfile::tempfile_in(&self.folder).and_then(private).or_else(|_| unnamed())
    }

    /// Finds out where the file `inside` (absolute, below the root) is to be published.
    ///
    /// # Errors
    /// A folder that is not there; a name that is no regular file; a symbolic link when one of the folders belongs to
    /// somebody else than root and the caller; a link or file that somebody else put into a folder that others may write.
    pub fn find(root: &Root, inside: &[u8]) -> Result<Target, Error> {
        let name = root.path(inside);
        let failed = |cause: nix::errno::Errno| Error::io("use", &name, cause);
        let foreign = |what: String| Error::Temporary(format!("unable to use {}: {what}", show_path(&name)));
        let mut inside = inside.to_vec();
        let mut folders: Vec<(PathBuf, u32)> = Vec::new();
        // As many links as the kernel follows.
        for _ in 0..40 {
            let slash = inside.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
            let (folder_inside, file) = (inside[..slash].to_vec(), inside[slash..].to_vec());
            let walk = root.walk(&folder_inside);
            if let Some(uid) = walk.link_owners.into_iter().find(|uid| is_foreign(*uid)) {
                return Err(foreign(format!(
                    "a link on the way there belongs to uid {uid}, who could lead it anywhere"
                )));
            }
            let folder = match walk.end {
                End::Found(found) if found.kind == Kind::Directory => found,
                End::Found(_) => return Err(failed(nix::errno::Errno::ENOTDIR)),
                End::Missing(cause) | End::Failed(cause) => {
                    let folder = root.path(&folder_inside);
                    return Err(Error::io("use the directory", &folder, cause));
                }
                End::Silent(silence) => {
                    return Err(Error::io("use the directory", &root.path(&folder_inside), silence));
                }
            };
            let exposed = folder.perm.mode & 0o022 != 0 || is_foreign(folder.perm.uid);
            let real = folder.real.join(std::ffi::OsStr::from_bytes(&file));
            folders.push((folder.real.clone(), folder.perm.uid));
            let end = root.walk_no_follow(&inside).end;
            if let End::Found(found) = &end
                && exposed
                && is_foreign(found.perm.uid)
            {
                return Err(foreign(format!("uid {} put it into a directory that others may write", found.perm.uid)));
            }
            match end {
                End::Found(found) if found.kind == Kind::Link => {
                    let target = fs::read_link(&real).map_err(|cause| Error::io("read the link", &real, cause))?;
                    let target = target.as_os_str().as_bytes();
                    inside = if target.starts_with(b"/") { target.to_vec() } else { [&folder_inside, target].concat() };
                }
                End::Found(found) if found.kind != Kind::Regular => return Err(foreign("no regular file".to_owned())),
                End::Failed(cause) => return Err(failed(cause)),
                End::Silent(silence) => return Err(Error::io("use", &name, silence)),
                End::Found(_) | End::Missing(_) => {
                    if let Some((folder, uid)) = folders.iter().find(|(_, uid)| folders.len() > 1 && is_foreign(*uid)) {
                        return Err(foreign(format!(
                            "it is a symbolic link, and the directory {} belongs to uid {uid}, who could lead it anywhere",
                            show_path(folder)
                        )));
                    }
                    return Ok(Target { name, real, folder: folder.real });
                }
            }
        }
        Err(failed(nix::errno::Errno::ELOOP))
    }

    /// Where it is published: the name itself, or what a symbolic link of that name leads to.
    pub fn real(&self) -> &Path {
        &self.real
    }

    /// Whether both are published at the same place.
    pub fn is_the_same(&self, other: &Target) -> bool {
        self.real == other.real
    }

    /// Opens the file that is published now, to be read later, and by somebody who may not open it.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open(&self) -> io::Result<Published> {
        at(|| self.real.clone(), || File::open(&self.real).map(Published::new))
    }

    /// The same, to keep entries from it and to compare with it.
    pub fn before(&self) -> Before {
        match self.open() {
            Ok(file) => Before { file: Some(Arc::new(file)), ..Before::default() },
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Before::default(),
            Err(cause) => {
                let closed = is_denied_to_us(&cause).then(|| self.name.clone());
                Before { file: None, nature: Nature::of_error(&cause), trouble: Some((&cause).into()), closed }
            }
        }
    }

    /// How the file that is published now looks: its mode and owner; `None` when there is none.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn seen(&self) -> io::Result<Option<(u32, Owner)>> {
        match at(|| self.real.clone(), || fs::metadata(&self.real)) {
            Ok(meta) => Ok(Some((meta.mode() & 0o7777, (meta.uid(), meta.gid())))),
            Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(cause) => Err(cause),
        }
    }

    /// The same; none when this process may not look at it either.
    ///
    /// # Errors
    /// A call that failed, and that may succeed later.
    pub fn seen_now(&self) -> io::Result<Option<(u32, Owner)>> {
        self.seen().or_else(|cause| if Nature::of_error(&cause) == Nature::Host { Ok(None) } else { Err(cause) })
    }

    /// The same; none when it cannot be looked at either.
    pub fn look(&self) -> Option<(u32, Owner)> {
        self.seen().ok().flatten()
    }

    /// Whether everybody may read the file that is published now.
    pub fn is_open_to_all(&self) -> bool {
        self.look().is_some_and(|(mode, _)| mode & 0o004 != 0)
    }

    /// Whether the file that is published now looks as it must.
    pub fn has(&self, look: Look) -> bool {
        at(|| self.real.clone(), || has_look(&self.real, look))
    }

    /// Its last name, for messages.
    pub fn base_name(&self) -> String {
        self.name.file_name().map(|name| show_path(Path::new(name)).to_string()).unwrap_or_default()
    }

    fn temporary_prefix(&self) -> Vec<u8> {
        let name = self.real.file_name().unwrap_or_default();
        [b".", name.as_bytes(), b"."].concat()
    }

    /// A new file beside it, which only its owner may read.
    fn temporary(&self) -> io::Result<Temporary> {
        Temporary::make(|| {
            tempfile::Builder::new()
                .prefix(std::ffi::OsStr::from_bytes(&self.temporary_prefix()))
                .suffix(std::ffi::OsStr::from_bytes(SUFFIX))
                .rand_bytes(RANDOM)
                .permissions(fs::Permissions::from_mode(0o600))
                .tempfile_in(&self.folder)
        })
    }

    /// Removes what a killed rebuild left behind. A temporary file that is still written is locked, and stays.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn remove_litter(&self) -> Result<(), Error> {
        at(|| self.folder.clone(), || self.remove_litter_of_others())
    }

    fn remove_litter_of_others(&self) -> Result<(), Error> {
        let failed = |cause| Error::io("look for temporary files in", &self.folder, cause);
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let random = name.as_bytes().strip_prefix(&self.temporary_prefix()[..]);
            let random = random.and_then(|rest| rest.strip_suffix(SUFFIX));
            let ours =
                random.is_some_and(|random| random.len() == RANDOM && random.iter().all(u8::is_ascii_alphanumeric));
            // Only a regular file is opened: another kind of that name is not ours.
            if ours
                && entry.file_type().is_ok_and(|kind| kind.is_file())
                && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok() || !is_written(&file))
            {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }
}

/// Whether a process that may write the tables holds the lock on a temporary file. A process of another user can lock one
/// that it may read.
fn is_written(file: &File) -> bool {
    let Ok(meta) = file.metadata() else { return true };
    let holders = holders_of_lock(&meta);
    let is_ours = |uid: &u32| *uid == 0 || *uid == geteuid().as_raw();
    if holders.is_empty() {
        // The holder is not known. No rebuild writes for so long without a word.
        return meta.modified().is_ok_and(|time| time.elapsed().is_ok_and(|age| age < LEFT_AFTER));
    }
    holders.iter().any(is_ours)
}

/// What was published before.
#[derive(Debug, Default)]
pub struct Before {
    /// The file, when it is there and can be opened.
    pub file: Option<Arc<Published>>,
    /// Why it cannot be opened, when it is there.
    pub trouble: Option<Trouble>,
    /// What that tells of.
    pub nature: Nature,
    /// Its name, when it is there and this process may not open it, which is not root.
    pub closed: Option<PathBuf>,
}

impl Before {
    /// The cdb in it; or why there is none.
    ///
    /// # Errors
    /// That, in words.
    pub fn cdb(&self) -> Result<cdb::FileReader<'_>, String> {
        match (&self.file, &self.trouble) {
            (Some(file), _) => file.cdb().map_err(|cause| show_cause(&cause)),
            (None, Some(trouble)) => Err(trouble.to_string()),
            (None, None) => Err("not there".to_owned()),
        }
    }

    /// When it was changed last, since 1970-01-01 UTC; never, when that cannot be known.
    pub fn changed(&self) -> Duration {
        let stamp = self.file.as_ref().and_then(|file| file.stamp().ok());
        stamp.map_or(Duration::MAX, |stamp| stamp.changed)
    }
}

/// A published file, open for reading; once it is replaced, still the old one.
#[derive(Debug)]
pub struct Published {
    file: File,
    index: OnceLock<Arc<cdb::Index>>,
}

impl Published {
    fn new(file: File) -> Published {
        Published { file, index: OnceLock::new() }
    }

    /// What stat(2) says of it.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn stamp(&self) -> io::Result<Stamp> {
        Stamp::of_file(&self.file)
    }

    /// The records that stand side by side in this range, in bytes.
    ///
    /// # Errors
    /// Those of read(2); bytes that are no records.
    pub fn records(&self, range: Range<u32>) -> io::Result<cdb::Chunk> {
        cdb::Chunk::read(&self.file, range)
    }

    /// Its content.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let mut content = vec![0; usize::try_from(self.file.metadata()?.len()).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut content, 0)?;
        Ok(content)
    }

    /// The cdb in it, where it lies.
    ///
    /// # Errors
    /// Those of [`cdb::Index::read`].
    pub fn cdb(&self) -> io::Result<cdb::FileReader<'_>> {
        let index = match self.index.get() {
            Some(index) => index.clone(),
            None => {
                let index = Arc::new(cdb::Index::read(&self.file)?);
                self.index.get_or_init(|| index).clone()
            }
        };
        Ok(cdb::FileReader::with(&self.file, index))
    }
}

/// A temporary file that was not written to for so long was left behind.
const LEFT_AFTER: Duration = Duration::from_secs(3600);
/// The end of a temporary file's name.
const SUFFIX: &[u8] = b".tmp";
/// How many random letters and digits a temporary file's name holds.
const RANDOM: usize = 6;

/// A new file that is being written beside the one it will replace; dropped, it leaves nothing.
pub struct Staged {
    target: Target,
    look: Look,
    file: Temporary,
    writer: cdb::Writer,
    /// How many records it holds.
    pub records: u64,
    /// The published file, as long as it says the same up to `seen`.
    old: Option<File>,
    seen: u64,
    /// So many bytes are allocated, if the file system can do that.
    allocated: u64,
}

/// So many bytes are begun to be brought to the disk at once.
const BEGUN_AT_ONCE: u64 = 1 << 20;
/// So many bytes of two files are compared at once, while a rebuild needs most memory.
const COMPARED_AT_ONCE: usize = 1 << 16;

impl Staged {
    /// Makes the temporary file, with its final owner and mode, and starts a cdb in it.
    ///
    /// # Errors
    /// Those of the file system; a file that cannot be given to its owner.
    pub fn create(target: &Target, look: Look) -> Result<Staged, Error> {
        at(|| target.folder.clone(), || Staged::create_there(target, look))
    }

    fn create_there(target: &Target, look: Look) -> Result<Staged, Error> {
        let failed = |cause: io::Error| Error::io("make a temporary file for", &target.name, cause);
        let file = target.temporary().map_err(failed)?;
        file.file().try_lock().map_err(|cause| failed(cause.into()))?;
        if let Some((uid, gid)) = look.owner {
            let is = file.file().metadata().map_err(failed)?;
            if (is.uid(), is.gid()) != (uid, gid) {
                fchown(file.file(), Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).map_err(|cause| {
                    Error::Temporary(format!(
                        "unable to give {} to uid {uid}, gid {gid}: {}",
                        show_path(&target.name),
                        cause.desc()
                    ))
                })?;
            }
        }
        file.file().set_permissions(fs::Permissions::from_mode(look.mode)).map_err(failed)?;
        let writer = file.file().try_clone().and_then(cdb::Writer::new).map_err(failed)?;
        let old = File::open(&target.real).ok();
        // The new one is hardly ever much shorter, and never longer than a cdb can be.
        let length = old.as_ref().and_then(|old| old.metadata().ok()).map_or(0, |old| old.len());
        let allocated = length.min(u32::MAX.into());
        allocate(file.file(), allocated);
        // The pointers that it begins with are written last.
        Ok(Staged { target: target.clone(), look, file, writer, records: 0, old, allocated, seen: cdb::HEADER as u64 })
    }

    /// Adds records.
    ///
    /// # Errors
    /// Those of write(2), and a file that would pass the 4 GiB of a cdb.
    pub fn add(&mut self, records: &cdb::Chunk) -> Result<(), Error> {
        self.records += records.len() as u64;
        self.writer.add(records).map_err(|cause| Error::io("write", &self.target.name, cause))?;
        if self.writer.written() >= self.seen + BEGUN_AT_ONCE {
            self.begin_what_is_new();
        }
        Ok(())
    }

    /// Has the kernel begin to bring to the disk what was written, while homes are still read, so that the end has less
    /// to wait for. As long as the published file says the same, nothing needs to get there.
    fn begin_what_is_new(&mut self) {
        let (seen, written) = (self.seen, self.writer.written());
        self.seen = written;
        let begin = match self.old.take() {
            Some(old) if is_same(self.file.file(), &old, seen..written) => {
                self.old = Some(old);
                return;
            }
            Some(_) => 0,
            None => seen,
        };
        begin_to_disk(self.file.file(), begin..written);
    }

    /// Writes the rest and brings it to the disk, unless the published file says the same already.
    ///
    /// # Errors
    /// Those of write(2) and fsync(2), and a file that would pass the 4 GiB of a cdb.
    pub fn finish(self) -> Result<Ready, Error> {
        let Staged { target, look, file, writer, records, allocated, .. } = self;
        let failed = |cause: io::Error| Error::io("write", &target.name, cause);
        let places = Some(complete(file.file(), writer, allocated).map_err(failed)?);
        let same = has_look(&target.real, look).then(|| same_bytes(file.file(), &target.real)).flatten();
        let (mut difference, changed) = (None, same.is_none());
        if changed {
            file.file().sync_all().map_err(failed)?;
            difference = compare(file.file(), records, &target.real).ok();
        }
        Ok(Ready { target, file: changed.then_some(file), records, difference, places, same })
    }

    /// The same for a file of which it is known how it differs from the published one.
    ///
    /// # Errors
    /// Those of [`Staged::finish`].
    pub fn finish_as(self, difference: Difference) -> Result<Ready, Error> {
        let Staged { target, file, writer, allocated, .. } = self;
        let failed = |cause: io::Error| Error::io("write", &target.name, cause);
        let places = complete(file.file(), writer, allocated).map_err(failed)?;
        file.file().sync_all().map_err(failed)?;
        let (records, places) = (places.records(), Some(places));
        Ok(Ready { target, file: Some(file), records, difference: Some(difference), places, same: None })
    }

    /// Adds the records of the published file, which has them at these places, but for these edits, which are in the
    /// order of their ranges. Nothing else may be added.
    ///
    /// # Errors
    /// Those of read(2) and write(2), and a file that would pass the 4 GiB of a cdb.
    pub fn add_edited(
        &mut self,
        published: &Published,
        places: cdb::Places,
        edits: &[cdb::Edit<'_>],
    ) -> Result<(), Error> {
        let (file, seen) = (self.file.file(), &mut self.seen);
        let added = thread::scope(|scope| {
            let (tell, parts) = channel();
            // The copying need not wait for it. Without this thread fsync does it all.
            let begin = move || parts.iter().for_each(|part| begin_to_disk(file, part));
            let _ = Builder::new().spawn_scoped(scope, begin);
            let mut written = |written: u64| {
                if written >= *seen + BEGUN_AT_ONCE {
                    let _ = tell.send(std::mem::replace(seen, written)..written);
                }
            };
            let added = self.writer.add_edited_telling(&published.file, places, edits, &mut written);
            // That thread ends.
            drop(tell);
            added
        });
        added.map_err(|cause| Error::io("write", &self.target.name, cause))
    }
}

/// Writes the rest of a new file, and gives back what was allocated and not needed.
fn complete(file: &File, writer: cdb::Writer, allocated: u64) -> io::Result<cdb::Places> {
    let places = writer.finish()?;
    let length = file.metadata()?.len();
    if length < allocated {
        file.set_len(length)?;
    }
    Ok(places)
}

/// A new file that is complete and on disk, or not needed.
pub struct Ready {
    target: Target,
    file: Option<Temporary>,
    /// How many records it holds.
    pub records: u64,
    /// What came and went; `None` when it is not new, or the published file cannot be read as a cdb.
    pub difference: Option<Difference>,
    places: Option<cdb::Places>,
    /// That of the published file, before it was found to have the same bytes.
    same: Option<Stamp>,
}

impl Ready {
    /// A file that is right as it is published.
    pub fn unchanged(target: &Target, records: u64) -> Ready {
        Ready { target: target.clone(), file: None, records, difference: None, places: None, same: None }
    }

    /// Where its records are, and those of the published file when it is not new; once.
    pub fn take_places(&mut self) -> Option<cdb::Places> {
        self.places.take()
    }

    /// The name that it is published under, as it is typed.
    pub fn name(&self) -> &Path {
        &self.target.name
    }

    /// Whether it differs from the published file.
    pub fn is_new(&self) -> bool {
        self.file.is_some()
    }

    /// The cdb in it, where it lies; `None` when it is not new.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn cdb(&self) -> Result<Option<cdb::FileReader<'_>>, Error> {
        let Some(file) = &self.file else { return Ok(None) };
        cdb::FileReader::new(file.file()).map(Some).map_err(|cause| Error::io("read", file.path(), cause))
    }

    /// Puts it in the place of the old one, when it differs.
    ///
    /// # Errors
    /// Those of rename(2), after which the old file is still there.
    pub fn publish(self) -> Result<InPlace, Error> {
        let Ready { target, file, same, .. } = self;
        let Some(file) = file else { return Ok(InPlace { stamp: same, unsynced: None, _old: None }) };
        let old = fs::OpenOptions::new().read(true).custom_flags(O_PATH).open(&target.real).ok();
        let before = Stamp::of_file(file.file()).ok();
        let file = file.persist(&target.real).map_err(|cause| {
            let error = Error::io("publish", &target.name, cause);
            if is_mount_point(&target.real) { error.then("a file is mounted over it: unmount it") } else { error }
        })?;
        let synced = File::open(&target.folder).and_then(|folder| folder.sync_all());
        let unsynced = synced.err().map(|cause| Error::io("sync the directory of", &target.name, cause));
        let stamp = Stamp::of_file(&file).ok().filter(|now| before.is_some_and(|before| now.has_content_of(&before)));
        Ok(InPlace { stamp, unsynced, _old: old })
    }
}

/// A new file that took the place of the old one.
#[derive(Debug)]
pub struct InPlace {
    /// As long as the published file has this stamp, it has the same bytes; `None` when that cannot be known.
    pub stamp: Option<Stamp>,
    /// The error of fsync(2) on the directory: until the system writes it, a crash can bring the old file back.
    pub unsynced: Option<Error>,
    /// The old one. The system frees its space when this is closed, which takes milliseconds.
    _old: Option<File>,
}

/// Puts a small file of our own in the place of the old one, at once and whole; it need not survive a crash.
///
/// # Errors
/// Those of the file system.
pub fn replace(root: &Root, inside: &[u8], mode: u32, content: &[u8]) -> Result<(), Error> {
    let target = Target::find(root, inside)?;
    target.remove_litter()?;
    let failed = |cause: io::Error| Error::io("write", &target.name, cause);
    let file = target.temporary().map_err(failed)?;
    file.file().set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)?;
    file.file().write_all_at(content, 0).map_err(failed)?;
    file.persist(&target.real).map(drop).map_err(failed)
}

/// Whether a small file of our own could be written into this folder, by a file there that has no name and is gone at
/// once. A folder that is missing, or that we may not write, says nothing.
///
/// # Errors
/// Those of open(2) and write(2).
pub fn try_to_write(root: &Root, folder: &[u8]) -> io::Result<()> {
    let End::Found(found) = root.walk(folder).end else { return Ok(()) };
    let written = at(|| found.real.clone(), || nameless_file(&found.real)?.write_all_at(&[0; 4096], 0));
    match written.as_ref().map_err(io::Error::raw_os_error) {
        // Not every file system has such files.
        Err(Some(code))
            if [Errno::EOPNOTSUPP, Errno::EISDIR, Errno::EACCES, Errno::EPERM].contains(&Errno::from_raw(code)) =>
        {
            Ok(())
        }
        _ => written,
    }
}

/// The content of a small file of our own; none when it is not there, or is nothing that this process can read.
///
/// # Errors
/// A call that failed, and that may succeed later.
pub fn read_own(root: &Root, inside: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    root.read(inside).or_else(|cause| match Nature::of_error(&cause) {
        Nature::Host => Ok(None),
        Nature::Storage | Nature::System => Err(Error::io("read", &root.path(inside), cause)),
    })
}

/// Removes a small file of our own; one that is not there is no error.
///
/// # Errors
/// Those of the file system.
pub fn remove(root: &Root, inside: &[u8]) -> Result<(), Error> {
    let path = match root.walk_no_follow(inside).end {
        End::Found(found) => found.real,
        End::Missing(_) => return Ok(()),
        End::Failed(cause) => return Err(Error::io("remove", &root.path(inside), cause)),
        End::Silent(silence) => return Err(Error::io("remove", &root.path(inside), silence)),
    };
    fs::remove_file(&path).map_err(|cause| Error::io("remove", &path, cause))
}

/// How a new cdb of so many records differs from the published one.
fn compare(new: &File, records: u64, published: &Path) -> io::Result<Difference> {
    let old = match File::open(published) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Difference::counted(records, 0)),
        opened => opened?,
    };
    Difference::between(cdb::FileReader::new(new)?.records()?, cdb::FileReader::new(&old)?.records()?)
}

/// Whether the published file has this look.
fn has_look(published: &Path, look: Look) -> bool {
    fs::metadata(published).is_ok_and(|meta| {
        meta.is_file()
            && meta.mode() & 0o7777 == look.mode
            && look.owner.is_none_or(|owner| owner == (meta.uid(), meta.gid()))
    })
}

/// The stamp of a published file that has the same bytes as the new one.
fn same_bytes(new: &File, published: &Path) -> Option<Stamp> {
    let length = |file: &File| file.metadata().map(|meta| meta.len()).ok();
    let old = File::open(published).ok()?;
    // First: what is written to it later makes another one.
    let stamp = Stamp::of_file(&old).ok()?;
    let end = length(new).filter(|end| length(&old) == Some(*end))?;
    is_same(new, &old, 0..end).then_some(stamp)
}

/// Has the kernel begin to bring this part of a new file to the disk. What is not yet there cannot be dropped, so Linux only
/// begins to write; what it does not do is left to fsync.
fn begin_to_disk(file: &File, part: Range<u64>) {
    let (begin, length) = (part.start as i64, (part.end - part.start) as i64);
    let _ = posix_fadvise(file, begin, length, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
}

/// Whether both files can be read here, and have the same bytes.
fn is_same(new: &File, old: &File, range: Range<u64>) -> bool {
    let compare = || -> io::Result<bool> {
        let (mut a, mut b) = (vec![0; COMPARED_AT_ONCE], vec![0; COMPARED_AT_ONCE]);
        for position in range.clone().step_by(COMPARED_AT_ONCE) {
            let piece = COMPARED_AT_ONCE.min((range.end - position) as usize);
            new.read_exact_at(&mut a[..piece], position)?;
            old.read_exact_at(&mut b[..piece], position)?;
            if a[..piece] != b[..piece] {
                return Ok(false);
            }
        }
        Ok(true)
    };
    compare().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Bounds;

    #[test]
    fn whatever_a_large_table_has_in_common_with_the_published_one_it_is_what_was_added() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path(), Bounds::default());
        let target = Target::find(&root, b"/table.cdb").unwrap();
        let table = |different: Option<usize>| -> Vec<(Vec<u8>, Vec<u8>)> {
            let data = |number| vec![if Some(number) == different { b'y' } else { b'x' }; 100];
            (0..40_000).map(|number| (format!("{number}@a.test").into_bytes(), data(number))).collect()
        };
        let publish = |records: &[(Vec<u8>, Vec<u8>)]| -> bool {
            let mut staged = Staged::create(&target, Look { mode: 0o600, owner: None }).unwrap();
            for some in records.chunks(100) {
                let mut chunk = cdb::Chunk::default();
                some.iter().for_each(|(key, data)| chunk.add(&[key], &[data]));
                staged.add(&chunk).unwrap();
            }
            let ready = staged.finish().unwrap();
            let is_new = ready.is_new();
            ready.publish().unwrap();
            is_new
        };
        // New, the same, other in the first, a middle and the last record, and shorter.
        for (different, length, is_new) in [
            (None, 40_000, true),
            (None, 40_000, false),
            (Some(0), 40_000, true),
            (Some(20_000), 40_000, true),
            (Some(20_000), 40_000, false),
            (Some(39_999), 40_000, true),
            (None, 30_000, true),
            (None, 40_000, true),
        ] {
            let records = &table(different)[..length];
            let wanted = cdb::image(records.iter().map(|(key, data)| (&key[..], &data[..]))).unwrap();
            assert_eq!(publish(records), is_new, "{different:?} {length}");
            assert!(fs::read(&target.name).unwrap() == wanted, "{different:?} {length}");
            // What was allocated for a longer one is given back. A block of a file system is hardly longer than this.
            let taken = fs::metadata(&target.name).unwrap().blocks() * 512;
            assert!(taken < wanted.len() as u64 + (128 << 10), "{different:?} {length}: {taken}");
        }
    }

    #[test]
    fn what_somebody_writes_meanwhile_is_not_taken_for_what_was_published() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path(), Bounds::default());
        let target = Target::find(&root, b"/table.cdb").unwrap();
        let ready = || Staged::create(&target, Look { mode: 0o600, owner: None }).unwrap().finish().unwrap();
        let now = || Stamp::of_file(File::open(folder.path().join("table.cdb")).unwrap()).ok();
        let new = ready().publish().unwrap().stamp;
        assert!(new.is_some() && new == now(), "a new one");
        assert_eq!(ready().publish().unwrap().stamp, now(), "the same again");
        let same = ready();
        File::options().write(true).open(folder.path().join("table.cdb")).unwrap().set_len(100).unwrap();
        let stamp = same.publish().unwrap().stamp;
        assert!(stamp.is_some() && stamp != now(), "cut off after it was found to be the same");
    }
}
