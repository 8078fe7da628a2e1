//! The skeleton: what lies in VPOPMAIL/skel is copied into the directory of a new mailbox, by a child that runs as the
//! domain's owner. Both are reached by descriptors, no link is followed below the domain's home, and then the child can
//! read nothing but the skeleton and write nowhere but in that directory (Landlock).

use std::io;

use nix::sys::stat::{Mode, umask};
use nix::unistd::geteuid;

use crate::error::{Error, show_cause, show_path};
use crate::fs::{Directory, End, Kind, Root};
use crate::host::Layout;
use crate::os::confine;
use crate::report::{self, Note};
use crate::settings::Settings;
use crate::text::Shown;

/// How deep a skeleton may be.
const MAX_DEPTH: usize = 16;
/// How many names a skeleton may hold.
const MAX_NAMES: usize = 10_000;
/// How many bytes its files may hold together.
const MAX_BYTES: u64 = 64 << 20;
/// Nobody's skeleton makes a program that runs as somebody else.
const MODES: u32 = 0o777;

/// The skeleton of a host, as it names it.
pub fn path(layout: &Layout) -> Vec<u8> {
    [&layout.vpopmail[..], b"/skel"].concat()
}

/// Copies the skeleton into the `directory` of a mailbox below the domain's `home`. Nothing that exists is overwritten; a
/// directory that is not there (any more) is no error, nor is a skeleton.
///
/// # Errors
/// Whoever asks is root; a directory that is not the domain's, or is not reached without a link; no more room.
pub fn copy(settings: &Settings, home: &[u8], directory: &[u8]) -> Result<(), Error> {
    let root = &settings.layout.root;
    if geteuid().is_root() {
        return Err(Error::Usage(
            "skel: a mailbox's directory is no place for root; its domain's owner does it".to_owned(),
        ));
    }
    let Some(from) = open(root, &path(&settings.layout))? else { return Ok(()) };
    let Some(into) = open_mailbox(root, home, directory)? else { return Ok(()) };
    // This process does nothing else: what it makes has the skeleton's modes from the first moment.
    umask(Mode::empty());
    report::say_all(confine::copying(&from, &into).as_slice());
    let mut copier = Copier { names: 0, bytes: 0 };
    let copied = copier.copy(&from, &into, &mut Vec::new());
    copied.map_err(|cause| Error::io("copy the skeleton into", &root.path(directory), cause))
}

/// Opens a folder that only root's links lead to; `None` when it is not there.
fn open(root: &Root, inside: &[u8]) -> Result<Option<Directory>, Error> {
    let path = root.path(inside);
    let walk = root.walk(inside);
    if let Some(uid) = walk.link_owners.iter().find(|uid| **uid != 0) {
        let text = format!("{}: a link on the way there belongs to uid {uid}, and is not followed", show_path(&path));
        return Err(Error::Usage(text));
    }
    match walk.end {
        End::Found(found) => found.open_directory().map(Some).map_err(|cause| Error::io("open", &path, cause)),
        End::Missing(_) => Ok(None),
        End::Failed(cause) => Err(Error::io("open", &path, cause)),
        End::Silent(silence) => Err(Error::io("open", &path, silence)),
    }
}

/// Opens the directory of a mailbox, name by name below the home; `None` when it is not there.
fn open_mailbox(root: &Root, home: &[u8], directory: &[u8]) -> Result<Option<Directory>, Error> {
    let path = root.path(directory);
    let refused = |why: &str| Err(Error::Usage(format!("{}: {why}; nothing is copied there", show_path(&path))));
    let home = &home[..home.iter().rposition(|b| *b != b'/').map_or(0, |last| last + 1)];
    let below = directory.strip_prefix(home).and_then(|rest| rest.strip_prefix(b"/")).unwrap_or_default();
    let names: Vec<&[u8]> = below.split(|b| *b == b'/').filter(|name| !name.is_empty()).collect();
    if names.is_empty() || names.iter().any(|name| matches!(*name, b"." | b"..")) {
        return refused("not below the domain's home");
    }
    let Some(mut here) = open(root, home)? else { return Ok(None) };
    for name in names {
        here = match (here.open_directory(name), here.stat(name)) {
            (Ok(inner), _) => inner,
            (Err(cause), _) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            (Err(_), Ok((Kind::Link, ..))) => return refused("a symbolic link is on the way there"),
            (Err(cause), _) => return Err(Error::io("open", &path, cause)),
        };
    }
    if here.perm.uid != geteuid().as_raw() {
        return refused(&format!("it belongs to uid {}, and the domain to uid {}", here.perm.uid, geteuid()));
    }
    Ok(Some(here))
}

/// What was copied so far.
struct Copier {
    names: usize,
    bytes: u64,
}

impl Copier {
    /// Copies what is in one directory into the other. `path` is where both are below the two that it began with.
    fn copy(&mut self, from: &Directory, into: &Directory, path: &mut Vec<u8>) -> io::Result<()> {
        let depth = path.iter().filter(|b| **b == b'/').count();
        let warn = |path: &[u8], why: &str| {
            report::say_all(&[Note::warning(format!("skel{}: {why}; it is left out", Shown(path)))]);
        };
        for (name, _) in from.entries(|_| true)? {
            let length = path.len();
            path.push(b'/');
            path.extend_from_slice(&name);
            self.names += 1;
            if self.names > MAX_NAMES {
                return Err(io::Error::other(format!("the skeleton has more than {MAX_NAMES} names")));
            }
            match from.stat(&name).map(|(kind, ..)| kind) {
                Ok(Kind::Regular) => match from.open_file(&name) {
                    Ok(file) if file.links != 1 => warn(path, "a file with more than one name"),
                    Ok(file) if self.bytes + file.size > MAX_BYTES => warn(path, "more than 64 MiB together"),
                    Ok(file) => {
                        self.bytes += file.size;
                        let (size, mode) = (file.size, file.perm.mode & MODES);
                        into.make_file(&name, file, size, mode)?;
                    }
                    Err(cause) => warn(path, &show_cause(&cause)),
                },
                Ok(Kind::Link) => match from.link_target(&name) {
                    Ok(target) => drop(into.make_link(&name, &target)?),
                    Err(cause) => warn(path, &show_cause(&cause)),
                },
                Ok(Kind::Directory) if depth >= MAX_DEPTH => warn(path, "too deep"),
                Ok(Kind::Directory) => match from.open_directory(&name) {
                    Ok(inner) => {
                        // As it will be, but for what its owner needs to fill it.
                        let (mode, open) = (inner.perm.mode & MODES, inner.perm.mode & MODES | 0o700);
                        into.make_directory(&name, open)?;
                        match into.open_directory(&name) {
                            Ok(copy) if copy.perm.uid == geteuid().as_raw() => {
                                self.copy(&inner, &copy, path)?;
                                // Made so above, now or before a kill.
                                if mode != open && copy.perm.mode == open {
                                    copy.set_mode(mode)?;
                                }
                            }
                            // Something else is there already, and stays.
                            Ok(_) | Err(_) => {}
                        }
                    }
                    Err(cause) => warn(path, &show_cause(&cause)),
                },
                Ok(Kind::Other) => warn(path, "no file, directory or link"),
                Err(cause) => warn(path, &show_cause(&cause)),
            }
            path.truncate(length);
        }
        Ok(())
    }
}
