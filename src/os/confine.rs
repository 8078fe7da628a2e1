//! Least privilege, by landlock(7): what reads the files of users and customers can open these for reading and nothing
//! else, write nothing, and reach no network and no other process. Files that are open already stay usable.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;
use crate::fs::failures::of_home;
use crate::fs::silence::at;
use crate::fs::trust::is_foreign;
use crate::fs::{Directory, End, Kind, Root};
use crate::host::Host;
use crate::host::accounts::Account;
use crate::kernel::Fence;
use crate::report::{Code, Note};

/// Does the work in a thread of its own, which, like every thread that it starts, can open only what lies in these
/// folders, for reading. The note says when the kernel cannot do that; the work is done all the same. The work itself must
/// look at no home: it is waited for.
///
/// # Errors
/// A fault in the work, which was reported where it happened.
pub fn within<T: Send>(
    root: &Root,
    folders: &[PathBuf],
    work: impl FnOnce() -> T + Send,
) -> Result<(T, Option<Note>), Error> {
    let (own, folders) = (root.clone(), folders.to_vec());
    let fence = root.silences.attempt_apart(move || fence(&own, &folders)).map_err(|cause| Error::undone(&cause))?;
    let confined = || {
        let unconfined = fence.close();
        (work(), unconfined.map(|why| readers_unconfined(&why)))
    };
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().spawn_scoped(scope, confined).map_err(|cause| Error::thread(&cause))?;
        thread.join().map_err(|_| Error::Temporary("a fault in this program".to_owned()))
    })
}

/// The same for work that looks at homes itself: its thread is given up when one does not answer, and the work begun
/// again by another one, which is told so.
///
/// # Errors
/// Those of [`crate::fs::silence::Silences::attempt`].
pub fn attempt<T: Send + 'static>(
    root: &Root,
    folders: Vec<PathBuf>,
    work: impl Fn() -> T + Send + Sync + 'static,
) -> Result<(T, Option<Note>), Error> {
    let own = root.clone();
    let confined = move || {
        let note = this_thread(&own, &folders);
        (work(), note)
    };
    root.silences.attempt_apart(confined).map_err(|cause| Error::undone(&cause))
}

/// From now on this thread, and those that it starts, can open only what lies in these folders, for reading, where the
/// kernel can do that.
pub fn this_thread(root: &Root, folders: &[PathBuf]) -> Option<Note> {
    fence(root, folders).close().map(|why| readers_unconfined(&why))
}

fn readers_unconfined(why: &str) -> Note {
    Note::warning(format!("{why}; what reads the homes is not confined to them")).of(Code::Confinement)
}

/// What confines a thread to these directories; those that do not answer are left out.
fn fence(root: &Root, directories: &[PathBuf]) -> Fence {
    let answering = directories.iter().filter(|directory| root.silences.of(directory).is_none());
    answering.fold(Fence::of_nothing(), |fence, directory| at(|| directory.clone(), || fence.read(directory)))
}

/// From now on this thread can read below one directory, make and write below another, and nothing else. The note says
/// when the kernel cannot do that.
pub fn copying(from: &Directory, into: &Directory) -> Option<Note> {
    let unconfined = Fence::of_nothing().read_below(from).make_below(into).close();
    unconfined.map(|why| Note::warning(format!("{why}; what copies the skeleton is not confined to it")))
}

/// What the process reaches that asks a user database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The directory of a database that is a file.
    pub directory: Option<PathBuf>,
    /// The TCP ports that it may connect to.
    pub ports: Vec<u16>,
}

/// Where the C library looks names up, what it loads for that, and the certificates of authorities.
const LOOKUPS: [&str; 12] = [
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/ld.so.cache",
    "/run/systemd/resolve",
    "/lib",
    "/lib64",
    "/usr/lib",
];

/// From now on this thread, and those that it starts, reach what this names and nothing else: they open no other file, write
/// none, and connect to no other port. The note says when the kernel cannot do that. Sockets that are files are left out:
/// Landlock of today does not know them.
pub fn client(reach: &Reach) -> Option<Note> {
    let files = LOOKUPS.into_iter().map(Path::new).chain(reach.directory.as_deref());
    let fence =
        reach.ports.iter().fold(files.fold(Fence::of_nothing(), Fence::read), |fence, port| fence.connect(*port));
    fence.close().map(|why| Note::warning(format!("{why}; what asks the user database is not confined to it")))
}

/// The real path of one home, to confine to; `None` when it is the root itself, not there, or a link leads there that does
/// not belong to root, to us or to the owner of what it leads to.
pub fn folder(root: &Root, home: &[u8]) -> Option<PathBuf> {
    let (walk, _) = of_home(&root.path(home), || root.walk(home));
    let End::Found(found) = walk.end else { return None };
    let owner = found.perm.uid;
    let trusted = walk.links.iter().all(|link| !is_foreign(link.owner) || (link.owner == link.to && link.to == owner));
    Some(found.real).filter(|real| trusted && !root.is_top(real))
}

/// The folders to confine to: each home, and of a vpopmail domain the folder above it, so that one that is made anew
/// meanwhile is read too; never the root itself. A link counts when root or we made it, or when what it leads to belongs to
/// the owner of the link: the owner of the domains' directory must not open another one by putting a link there.
///
/// # Errors
/// Those of [`crate::fs::silence::Silences::attempt`].
pub fn directories(host: &Arc<Host>) -> Result<Vec<PathBuf>, Error> {
    let own = host.clone();
    host.layout.root.silences.attempt(move || find_directories(&own)).map_err(|cause| Error::undone(&cause))
}

fn find_directories(host: &Host) -> Vec<PathBuf> {
    let root = &host.layout.root;
    let real = |inside: &[u8]| folder(root, inside);
    let mut folders = BTreeSet::new();
    let mut domains: BTreeMap<&[u8], BTreeSet<&[u8]>> = BTreeMap::new();
    for (_, line) in host.assignments.domains().filter(|(_, line)| line.home.first() == Some(&b'/')) {
        let slash = line.home.iter().rposition(|b| *b == b'/').unwrap_or(0);
        domains.entry(&line.home[..slash]).or_default().insert(&line.home);
    }
    let is_domain = |home: &[u8]| {
        let slash = home.iter().rposition(|b| *b == b'/').unwrap_or(0);
        domains.get(&home[..slash]).is_some_and(|homes| homes.contains(home))
    };
    for (above, homes) in &domains {
        // Below an open folder only links lead elsewhere; one listing tells of all which are.
        let plain = plain_folders(root, above);
        let above = real(above);
        let name = |home: &[u8]| home[home.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1)..].to_vec();
        folders.extend(homes.iter().filter(|home| !plain.contains(&name(home))).filter_map(|home| real(home)));
        folders.extend(above);
    }
    folders.extend(host.homes().into_iter().filter(|home| !is_domain(home)).filter_map(real));
    // The names in their homes count too (docs/rules.md, 8.2); not those of /dev, /var/backups and the like.
    let owns = |account: &&Account| match of_home(&root.path(&account.home), || root.walk(&account.home)).0.end {
        End::Found(found) => found.perm.uid == account.who.uid,
        End::Missing(_) | End::Failed(_) | End::Silent(_) => false,
    };
    folders.extend(host.accounts.passed_over.values().filter(owns).filter_map(|account| real(&account.home)));
    folders.extend(alias_files(root));
    // A folder below another one needs no rule of its own.
    let all: Vec<PathBuf> = folders.iter().cloned().collect();
    let is_covered = |folder: &Path| folder.ancestors().skip(1).any(|above| folders.contains(above));
    all.into_iter().filter(|folder| !is_covered(folder)).collect()
}

/// The files in /etc that fastforward may be told to look into; a rule for a file opens that file alone.
fn alias_files(root: &Root) -> Vec<PathBuf> {
    let End::Found(found) = root.walk(b"/etc").end else { return Vec::new() };
    let list = || found.open_directory().and_then(|directory| directory.entries(|name| name.ends_with(b".cdb")));
    let (listed, _) = of_home(&found.real, || at(|| found.real.clone(), list));
    let listed = listed.unwrap_or_default();
    let files = listed.into_iter().filter(|(_, kind)| *kind == Some(Kind::Regular));
    files.map(|(name, _)| found.real.join(OsStr::from_bytes(&name))).collect()
}

/// The names in a folder that are folders and no links.
fn plain_folders(root: &Root, folder: &[u8]) -> BTreeSet<Vec<u8>> {
    let End::Found(found) = root.walk(folder).end else { return BTreeSet::new() };
    let list = || found.open_directory().and_then(|directory| directory.entries(|_| true));
    let (listed, _) = of_home(&found.real, || at(|| found.real.clone(), list));
    let listed = listed.unwrap_or_default();
    listed.into_iter().filter(|(_, kind)| *kind == Some(Kind::Directory)).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Says why a test is left out; the tests would catch what `println` prints.
    fn skip(why: &str) {
        let _ = writeln!(std::io::stderr(), "skipped: confinement: {why}");
    }

    #[test]
    fn what_is_confined_reads_its_folders_writes_nothing_and_reaches_nothing() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (kept, secret) = (inside.path().join("kept"), outside.path().join("secret"));
        fs::write(&kept, "readable").unwrap();
        fs::write(&secret, "unreadable").unwrap();
        std::os::unix::fs::symlink(&secret, inside.path().join("link")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let root = Root::new(Path::new("/"), crate::fs::Bounds::default());
        let (denied, note) = within(&root, &[inside.path().to_owned()], || {
            assert_eq!(fs::read(&kept).unwrap(), b"readable");
            // The same in threads that it starts, as a rebuild does.
            std::thread::scope(|scope| {
                let tries = || {
                    let is_denied = |result: std::io::Result<()>| {
                        result.is_err_and(|cause| cause.kind() == std::io::ErrorKind::PermissionDenied)
                    };
                    [
                        is_denied(fs::read(&secret).map(drop)),
                        is_denied(fs::read(inside.path().join("link")).map(drop)),
                        is_denied(fs::write(&kept, "changed")),
                        is_denied(fs::write(inside.path().join("new"), "made")),
                        is_denied(fs::remove_file(&kept)),
                        is_denied(fs::rename(&kept, inside.path().join("moved"))),
                        is_denied(TcpStream::connect(address).map(drop)),
                    ]
                };
                scope.spawn(tries).join().unwrap()
            })
        })
        .unwrap();
        if let Some(note) = note {
            assert!(note.text.contains("is not confined"), "{}", note.text);
            skip(&note.text);
            return;
        }
        assert_eq!(denied, [true; 7]);
        assert_eq!(fs::read(&kept).unwrap(), b"readable");
        assert_eq!(fs::read(&secret).unwrap(), b"unreadable", "the process that confined it is free");
    }

    #[test]
    fn what_copies_reads_one_folder_writes_another_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = |inside: &str| folder.path().join(inside);
        for name in ["from", "into", "other"] {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join("file"), name).unwrap();
        }
        fs::create_dir(path("into/moved")).unwrap();
        let root = Root::new(folder.path(), crate::fs::Bounds::default());
        let open = |inside: &[u8]| match root.walk(inside).end {
            End::Found(found) => found.open_directory().unwrap(),
            end => panic!("{end:?}"),
        };
        let (from, into, moved) = (open(b"/from"), open(b"/into"), open(b"/into/moved"));
        let (confined, go_on) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
        let done = std::thread::scope(|scope| {
            let copying = scope.spawn(|| {
                let note = copying(&from, &into);
                let may = |result: std::io::Result<()>| result.is_ok();
                let before = moved.make_directory(b"before", 0o700);
                confined.wait();
                go_on.wait();
                let done = [
                    may(fs::read(path("from/file")).map(drop)),
                    may(fs::write(path("into/new"), "")),
                    may(before.map(drop)),
                    may(fs::read(path("other/file")).map(drop)),
                    may(fs::write(path("other/file"), "")),
                    may(fs::write(path("other/new"), "")),
                    may(fs::write(path("from/file"), "")),
                    may(std::os::unix::fs::symlink("x", path("other/link"))),
                    // A folder that was moved out while it was open.
                    may(moved.make_directory(b"after", 0o700).map(drop)),
                ];
                (note, done)
            });
            confined.wait();
            fs::rename(path("into/moved"), path("other/moved")).unwrap();
            go_on.wait();
            copying.join().unwrap()
        });
        match done {
            (Some(note), _) => skip(&note.text),
            (None, done) => assert_eq!(done, [true, true, true, false, false, false, false, false, false]),
        }
    }
}
