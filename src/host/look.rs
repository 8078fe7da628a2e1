//! What a home looks like from outside: enough to know that nothing in it changed since it was read.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::time::Duration;

use super::Host;
use super::vpopmail::{COMPILED, LIMITS, TEXT};
use crate::fs::failures::during;
use crate::fs::{End, Folders, Kind, Stamp};

/// A file that changes twice within so long may have the same times both times.
const TICK: Duration = Duration::from_millis(100);
/// The same on a file system that counts whole seconds, or two of them.
const SLOW_TICK: Duration = Duration::from_secs(3);

/// The look of a home: that of its folder, its mailboxes, its limits and each of its dot-qmail files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// What stat(2) says of all of them, as a number.
    print: u64,
    /// The names of its dot-qmail files, each ended by NUL.
    names: Box<[u8]>,
}

/// Collects what stat(2) says.
struct Print<H> {
    hasher: H,
    /// The latest time that anything has.
    youngest: Duration,
    /// Whether every time is a whole second.
    slow: bool,
}

impl<H: Hasher> Print<H> {
    fn add(&mut self, stamp: Option<&Stamp>) {
        stamp.hash(&mut self.hasher);
        for time in stamp.iter().flat_map(|stamp| [stamp.modified, stamp.changed]) {
            self.youngest = self.youngest.max(time);
            self.slow &= time.subsec_nanos() == 0;
        }
    }
}

impl Host {
    /// The look of the home at `path`, taken `now` (since 1970-01-01 UTC), before it is read. `None` when it cannot tell that
    /// nothing changed: what is a link or a folder, leads elsewhere; a change may have the time of another one just before;
    /// something could not be looked at.
    pub fn look(&self, folders: &Folders, path: &[u8], seed: &RandomState, now: Duration) -> Option<Look> {
        // A call that fails tells no more than that there is no look.
        during(|| folders.root().at(path, || look(folders, path, seed, now))).0
    }

    /// Whether the home at `path` still looks like that.
    pub fn looks_like(&self, folders: &Folders, path: &[u8], look: &Look, seed: &RandomState) -> bool {
        let print = || print(folders, path, &look.names, seed);
        during(|| folders.root().at(path, print)).0.is_some_and(|(print, ..)| print == look.print)
    }
}

fn look(folders: &Folders, path: &[u8], seed: &RandomState, now: Duration) -> Option<Look> {
    let entries = match folders.open_directory(path) {
        Some((_, directory)) => directory.entries(|name| name.starts_with(b".qmail")).ok()?,
        None => Vec::new(),
    };
    let mut names = Vec::new();
    for (name, kind) in entries {
        if kind != Some(Kind::Regular) {
            return None;
        }
        names.extend_from_slice(&name);
        names.push(0);
    }
    let names = names.into_boxed_slice();
    let (print, youngest, slow) = print(folders, path, &names, seed)?;
    let tick = if slow { SLOW_TICK } else { TICK };
    (youngest + tick < now).then_some(Look { print, names })
}

fn print(folders: &Folders, path: &[u8], names: &[u8], seed: &RandomState) -> Option<(u64, Duration, bool)> {
    let mut print = Print { hasher: seed.build_hasher(), youngest: Duration::ZERO, slow: true };
    let Some((way, directory)) = folders.open_directory(path) else {
        // Nothing there is a look, too.
        let walk = folders.root().walk(path);
        let End::Missing(cause) = walk.end else { return None };
        (&walk.searched, cause as i32).hash(&mut print.hasher);
        return Some((print.hasher.finish(), print.youngest, print.slow));
    };
    way.hash(&mut print.hasher);
    print.add(Some(&directory.stamp().ok()?));
    for name in [COMPILED, TEXT, LIMITS] {
        let stamp = directory.stamp_of(name.as_bytes()).ok()?;
        if stamp.as_ref().is_some_and(|stamp| stamp.kind != Kind::Regular) {
            return None;
        }
        print.add(stamp.as_ref());
    }
    for name in names.split(|b| *b == 0).filter(|name| !name.is_empty()) {
        let stamp = directory.stamp_of(name).ok()?;
        if stamp.as_ref().is_none_or(|stamp| stamp.kind != Kind::Regular) {
            return None;
        }
        print.add(stamp.as_ref());
    }
    Some((print.hasher.finish(), print.youngest, print.slow))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;
    use crate::fs::{Bounds, Root};
    use crate::host::Layout;
    use crate::host::accounts::Sources;

    fn host(root: &Path) -> Host {
        let layout = Layout {
            users_cdb: None,
            user_database: None,
            connection: None,
            valias: None,
            snapshot: None,
            is_vpopmail_given: false,
            root: Root::new(root, Bounds::default()),
            qmail: b"/var/qmail".to_vec(),
            vpopmail: b"/home/vpopmail".to_vec(),
            break_byte: b'-',
            qmail_ext: false,
            refuse_delete: true,
        };
        Host::read(layout, Sources::Files, None, &mut Vec::new()).unwrap()
    }

    #[test]
    fn whatever_decides_about_a_home_changes_its_look() {
        let folder = tempfile::tempdir().unwrap();
        let path = |inside: &str| folder.path().join(inside);
        for made in ["etc", "var/qmail/control", "home/joe"] {
            fs::create_dir_all(path(made)).unwrap();
        }
        fs::write(path("etc/passwd"), "").unwrap();
        fs::write(path("var/qmail/control/me"), "a.test\n").unwrap();
        let host = host(folder.path());
        let seed = RandomState::new();
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let folders = || Folders::new(&host.layout.root);
        let old = SystemTime::now() - Duration::from_secs(1_000);
        let age = |path: &Path| fs::File::open(path).unwrap().set_modified(old).unwrap();
        for name in [".qmail", ".qmail-list", "vpasswd.cdb"] {
            fs::write(path("home/joe").join(name), "one").unwrap();
        }
        let changes: [(&str, &dyn Fn()); 8] = [
            ("rewritten in place, its time set back", &|| {
                fs::write(path("home/joe/.qmail"), "two").unwrap();
                age(&path("home/joe/.qmail"));
            }),
            ("another mode", &|| {
                fs::set_permissions(path("home/joe/.qmail"), fs::Permissions::from_mode(0o606)).unwrap()
            }),
            ("another mode of the home", &|| {
                fs::set_permissions(path("home/joe"), fs::Permissions::from_mode(0o700)).unwrap();
            }),
            ("another mode above it", &|| {
                fs::set_permissions(path("home"), fs::Permissions::from_mode(0o711)).unwrap();
            }),
            ("a new file", &|| fs::write(path("home/joe/.qmail-new"), "").unwrap()),
            ("a file removed", &|| fs::remove_file(path("home/joe/.qmail-list")).unwrap()),
            ("limits", &|| fs::write(path("home/joe/.qmailadmin-limits"), "disable_smtp\n").unwrap()),
            ("mailboxes renamed into place", &|| {
                fs::write(path("home/joe/vpasswd.new"), "two").unwrap();
                fs::rename(path("home/joe/vpasswd.new"), path("home/joe/vpasswd.cdb")).unwrap();
            }),
        ];
        // Until nothing is young any more.
        let look_at = |home: &[u8]| {
            std::iter::repeat_with(|| host.look(&folders(), home, &seed, now())).find_map(|look| look).unwrap()
        };
        for (what, change) in changes {
            let look = look_at(b"/home/joe");
            assert!(host.looks_like(&folders(), b"/home/joe", &look, &seed), "before: {what}");
            change();
            assert!(!host.looks_like(&folders(), b"/home/joe", &look, &seed), "{what}");
        }
        fs::remove_file(path("home/joe/.qmail")).unwrap();
        std::os::unix::fs::symlink(".qmail-new", path("home/joe/.qmail")).unwrap();
        fs::create_dir(path("home/ann")).unwrap();
        look_at(b"/home/ann");
        assert_eq!(host.look(&folders(), b"/home/joe", &seed, now()), None, "a link leads to what no look here sees");
    }
}
