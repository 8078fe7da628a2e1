//! Least privilege, by landlock(7): what reads the files of users and customers can open these for reading and nothing
//! else, write nothing, and reach no network and no other process. Files that are open already stay usable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
    path_beneath_rules,
};

use crate::error::{Error, show_cause};
use crate::report::Note;
use crate::root::{End, Kind, Root};

/// What is asked of the kernel; an older one gives what it has.
const KNOWN: ABI = ABI::V6;

/// Does the work in a thread of its own, which, like every thread that it starts, can open only what lies in these
/// folders, for reading. The note says when the kernel cannot do that; the work is done all the same.
///
/// # Errors
/// A fault in the work, which was reported where it happened.
pub fn within<T: Send>(folders: &[PathBuf], work: impl FnOnce() -> T + Send) -> Result<(T, Option<Note>), Error> {
    let confined = || {
        let note = match restrict(folders) {
            Ok(RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced) => None,
            Ok(RulesetStatus::NotEnforced) => Some("the kernel has no Landlock".to_owned()),
            Err(cause) => Some(format!("Landlock: {cause}")),
        };
        let note = note.map(|why| Note::warning(format!("{why}; what reads the homes is not confined to them")));
        (work(), note)
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .spawn_scoped(scope, confined)
            .map_err(|cause| Error::Temporary(format!("unable to start a thread: {}", show_cause(&cause))))?;
        thread.join().map_err(|_| Error::Temporary("a fault in this program".to_owned()))
    })
}

fn restrict(folders: &[PathBuf]) -> Result<RulesetStatus, RulesetError> {
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        .create()?
        .add_rules(path_beneath_rules(folders, AccessFs::ReadFile | AccessFs::ReadDir))?
        .restrict_self()?;
    Ok(status.ruleset)
}

/// The folders to confine to, for these homes as the host names them: the one above each, so that a home that is made
/// anew meanwhile is read too; the home itself where that would be the root. A home that is the root would open all, and
/// stays closed. Links are followed.
pub fn folders<'h>(root: &Root, homes: impl IntoIterator<Item = &'h [u8]>) -> Vec<PathBuf> {
    let mut by_folder: BTreeMap<&[u8], BTreeSet<&[u8]>> = BTreeMap::new();
    for home in homes {
        let slash = home.iter().rposition(|b| *b == b'/').unwrap_or(0);
        by_folder.entry(&home[..slash]).or_default().insert(&home[slash..]);
    }
    let mut folders = BTreeSet::new();
    for (folder, names) in by_folder {
        let walk = if folder.is_empty() { root.walk(b"/") } else { root.walk(folder) };
        let End::Found(above) = walk.end else { continue };
        let is_top = root.is_top(&above.real);
        // One listing tells of all of them which are links; where it does not, each is walked.
        let wanted = |name: &[u8]| names.contains(&[b"/", name].concat()[..]);
        let listed = above.open_directory().and_then(|directory| directory.entries(wanted)).unwrap_or_default();
        let plain: BTreeSet<Vec<u8>> = listed
            .into_iter()
            .filter(|(_, kind)| !is_top && *kind == Some(Kind::Directory))
            .map(|(name, _)| [b"/", &name[..]].concat())
            .collect();
        for name in names.iter().filter(|name| !plain.contains(**name)) {
            if let End::Found(home) = root.walk(&[folder, name].concat()).end
                && !root.is_top(&home.real)
            {
                let beside = home.real.parent().filter(|beside| !root.is_top(beside));
                folders.insert(beside.unwrap_or(&home.real).to_owned());
            }
        }
        if !is_top {
            folders.insert(above.real);
        }
    }
    // A folder below another one needs no rule of its own.
    let all: Vec<PathBuf> = folders.iter().cloned().collect();
    let is_covered = |folder: &Path| folder.ancestors().skip(1).any(|above| folders.contains(above));
    all.into_iter().filter(|folder| !is_covered(folder)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::root::Bounds;

    #[test]
    fn what_is_confined_reads_its_folders_writes_nothing_and_reaches_nothing() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (kept, secret) = (inside.path().join("kept"), outside.path().join("secret"));
        fs::write(&kept, "readable").unwrap();
        fs::write(&secret, "unreadable").unwrap();
        std::os::unix::fs::symlink(&secret, inside.path().join("link")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (denied, note) = within(&[inside.path().to_owned()], || {
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
            println!("skipped: confinement: {}", note.text);
            return;
        }
        assert_eq!(denied, [true; 7]);
        assert_eq!(fs::read(&kept).unwrap(), b"readable");
        assert_eq!(fs::read(&secret).unwrap(), b"unreadable", "whoever confined it is free");
    }

    #[test]
    fn the_folder_above_each_home_is_open_the_root_never() {
        let host = tempfile::tempdir().unwrap();
        let at = |path: &str| host.path().join(path);
        for folder in ["home/vpopmail/domains/a.test", "home/vpopmail/domains/b.test", "srv/mail/c.test", "top"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        std::os::unix::fs::symlink("/srv/mail/c.test", at("home/vpopmail/domains/c.test")).unwrap();
        let homes = ["/home/vpopmail/domains/a.test", "/home/vpopmail/domains/c.test", "/home/gone/x", "/top", "/"];
        let found = folders(&Root::new(host.path(), Bounds::default()), homes.map(str::as_bytes));
        assert_eq!(found, [at("home/vpopmail/domains"), at("srv/mail"), at("top")]);
    }
}
