//! What a vpopmail domain holds, as it is written: the records of its mailboxes and the lines of its aliases. For what
//! wants to see what changed; what decides about mail is read elsewhere.

use std::collections::BTreeMap;
use std::io;

use super::dot_qmail::unspelled;
use super::vpopmail::{ABSENT, Mailboxes, Vpasswd};
use super::{HomeState, Host};
use crate::error::{Trouble, show_cause, show_path};
use crate::fs::budget::Budget;
use crate::fs::trust::Place;
use crate::fs::{Folders, Kind, Perm};

/// Of all aliases of a domain at most so many bytes are read.
const ALL_MAX: usize = 64 << 20;

/// The mailboxes and aliases of one domain.
pub struct Inventory {
    /// Its mailboxes; `None` when vpopmail keeps its users where they are not read.
    pub mailboxes: Option<Vpasswd>,
    /// Owner, mode and content of each regular file `.qmail-NAME`, by the name that mail has (`.` for `:`). The
    /// catch-all is no alias, nor is a link.
    pub aliases: BTreeMap<Vec<u8>, (Perm, Vec<u8>)>,
}

/// Whether mail to some address can lead to the file `.qmail-NAME`: qmail-local looks for lower case, and `:` for `.`.
fn can_answer(name: &[u8]) -> bool {
    !name.is_empty()
        && name != b"default"
        && !name.iter().any(|b| b.is_ascii_uppercase() || b.is_ascii_control() || b"@.".contains(b))
}

impl Host {
    /// Takes stock of the domain in the home at `path`.
    ///
    /// # Errors
    /// Why that cannot be done, in words.
    pub fn inventory(&self, folders: &Folders, path: &[u8]) -> Result<Inventory, String> {
        self.layout.root.at(path, || self.read_inventory(folders, path))
    }

    fn read_inventory(&self, folders: &Folders, path: &[u8]) -> Result<Inventory, String> {
        let budget = Budget::new(self.layout.root.bounds);
        let root = &self.layout.root.spending(&budget);
        let told = |name: &[u8], cause: &dyn std::fmt::Display| {
            format!("{}: {cause}", show_path(&root.path(&[path, b"/", name].concat())))
        };
        let closed = |cause: &dyn std::fmt::Display| format!("{}: {cause}", show_path(&root.path(path)));
        let (way, directory) = match folders.open_directory(path) {
            Some((way, directory)) => (way, directory.spending(&budget)),
            None => {
                let (way, opened) = super::open_home(root, path);
                let directory = opened.map_err(|state| match state {
                    HomeState::Missing(cause) => closed(&cause),
                    HomeState::Unreadable(_, cause) => closed(&cause),
                    // Cannot come here because it could not be opened.
                    HomeState::Listed(..) => closed(&"not read"),
                })?;
                (way, directory)
            }
        };
        let assigned = self.assigned(path);
        let place = Place { way: &way, perm: directory.perm, assigned: &assigned };
        let (mailboxes, doubt) = match self.read_users(path, &budget).into_iter().next() {
            Some(users) => (users.mailboxes, None),
            None => self.read_mailboxes(root, folders, path, &place, &directory),
        };
        if let Some(doubt) = place.doubt().map(Trouble::from).or(doubt) {
            return Err(closed(&doubt));
        }
        let mailboxes = match mailboxes {
            Mailboxes::Known(mailboxes) => Some(mailboxes),
            Mailboxes::Unknown(cause) => return Err(format!("{}: {cause}", show_path(&root.path(path)))),
            // A line of an account looks the same.
            Mailboxes::Elsewhere(_) if !self.domains_of(path).any(|domain| self.is_vpopmail_like(domain)) => {
                return Err(format!(
                    "{}: virtualdomains names no domain that it is the home of",
                    show_path(&root.path(path))
                ));
            }
            Mailboxes::Elsewhere(_) => None,
            Mailboxes::Absent => return Err(format!("{}: {ABSENT}", show_path(&root.path(path)))),
            Mailboxes::Unreadable(file, cause) => return Err(told(file.as_bytes(), &cause)),
        };
        let is_alias = |name: &[u8]| name.strip_prefix(b".qmail-").is_some_and(can_answer);
        let listed = directory.entries(is_alias).map_err(|cause| told(b".", &show_cause(&cause)))?;
        let (mut aliases, mut bytes) = (BTreeMap::new(), 0);
        for (file, _) in listed.into_iter().filter(|(_, kind)| matches!(kind, Some(Kind::Regular) | None)) {
            let mut content = Vec::new();
            let read = directory.open_file(&file).and_then(|mut open| {
                open.read_start(&mut content, ALL_MAX + 1 - bytes)?;
                Ok(open.perm)
            });
            let perm = match read {
                Ok(perm) => perm,
                Err(cause) if budget.is_passed() => return Err(told(b".", &show_cause(&cause))),
                // Gone, or put in its place meanwhile: the next look sees it.
                Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::Other) => continue,
                Err(cause) => return Err(told(&file, &show_cause(&cause))),
            };
            bytes += content.len();
            if bytes > ALL_MAX {
                return Err(told(b".", &format!("more than {} MiB of aliases", ALL_MAX >> 20)));
            }
            aliases.insert(unspelled(&file[b".qmail-".len()..]), (perm, content));
        }
        Ok(Inventory { mailboxes, aliases })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::fs::{Bounds, Root};
    use crate::host::Layout;
    use crate::host::accounts::Sources;

    #[test]
    fn what_cannot_be_taken_stock_of_is_told_as_it_was_seen() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("var/qmail/control")).unwrap();
        fs::write(folder.path().join("var/qmail/control/me"), "a.test\n").unwrap();
        fs::create_dir(folder.path().join("empty")).unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let layout = Layout {
            root: Root::new(folder.path(), Bounds::default()),
            qmail: b"/var/qmail".to_vec(),
            users_cdb: None,
            user_database: None,
            connection: None,
            valias: None,
            snapshot: None,
            vpopmail: b"/home/vpopmail".to_vec(),
            is_vpopmail_given: false,
            break_byte: b'-',
            qmail_ext: false,
            refuse_delete: true,
        };
        let host = Host::read(layout, Sources::Files, None, &mut Vec::new()).unwrap();
        let why = |path: &str| {
            let why = host.inventory(&Folders::new(&host.layout.root), path.as_bytes()).err().unwrap();
            why.replace(folder.path().to_str().unwrap(), "")
        };
        assert_eq!(why("/gone"), "/gone: No such file or directory");
        assert_eq!(why("/file"), "/file: Not a directory");
        assert_eq!(why("/empty"), "/empty: neither vpasswd.cdb nor vpasswd is there");
    }
}
