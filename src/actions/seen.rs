//! What was seen of each domain, kept in STATE/actions for its owner only: names, and for what stands behind each a number
//! that only whoever has the key can make. `domains` lists the domains, and holds the key; beside it is a picture of
//! each vpopmail domain, so that a changed mailbox writes what its domain holds and no more.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use siphasher::sip::SipHasher24;

use crate::error::Error;
use crate::host::Host;
use crate::host::inventory::Inventory;
use crate::publish;
use crate::root::{Root, Who};
use crate::text::lower;

/// How the files begin; other ones are as good as none.
const DOMAINS: &[u8] = b"qmail-updater domains 1\n";
const PICTURE: &[u8] = b"qmail-updater picture 1\n";

/// What a domain holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A mailbox.
    Mailbox,
    /// A file `.qmail-NAME`.
    Alias,
}

/// The names that a domain holds, with a number of what stands behind each.
pub type Picture = BTreeMap<(What, Vec<u8>), u64>;

/// What became of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It went.
    Gone,
    /// It came.
    New,
    /// Something else stands behind it.
    Other,
}

/// What changed between two pictures, in the order in which it is told: what went, aliases before the mailboxes that they
/// may lead to, then what came, mailboxes first.
pub fn difference(before: &Picture, after: &Picture) -> Vec<(Change, What, Vec<u8>)> {
    let gone = before.keys().filter(|key| !after.contains_key(key)).map(|(what, name)| (Change::Gone, *what, name));
    let came = after.iter().filter_map(|((what, name), number)| match before.get(&(*what, name.clone())) {
        None => Some((Change::New, *what, name)),
        Some(old) => (old != number).then_some((Change::Other, *what, name)),
    });
    let mut all: Vec<_> = gone.chain(came).map(|(change, what, name)| (change, what, name.clone())).collect();
    all.sort_by_key(|(change, what, _)| match (change, what) {
        (Change::Gone, What::Alias) => 0,
        (Change::Gone, What::Mailbox) => 1,
        (Change::New, What::Mailbox) => 2,
        (Change::Other, What::Mailbox) => 3,
        (_, What::Alias) => 4,
    });
    all
}

/// One domain of users/assign that is vpopmail's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Its home.
    pub home: Vec<u8>,
    /// Who owns it.
    pub who: Who,
    /// The domain that it is an alias of.
    pub real: Option<Vec<u8>>,
}

/// All of them, in lower case.
pub type Domains = BTreeMap<Vec<u8>, Domain>;

/// Those of the host.
pub fn domains(host: &Host) -> Domains {
    let assignments = &host.assignments;
    let domain = |(name, line): (&[u8], &crate::host::assign::Assignment)| {
        let user = lower(&line.user);
        let is_alias = user != name
            && host.is_vpopmail_like(&user)
            && assignments.vpopmail_domain(&user).is_some_and(|real| real.home == line.home);
        let real = is_alias.then_some(user);
        (name.to_vec(), Domain { home: line.home.clone(), who: line.who, real })
    };
    assignments.domains().filter(|(name, _)| host.is_vpopmail_like(name)).map(domain).collect()
}

/// What makes the numbers; whoever has it and a picture could test guesses of a crypt string, so both are root's only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(u64, u64);

impl Key {
    /// One that nobody knows.
    pub fn new() -> Key {
        // Keyed by getrandom(2).
        let number = || RandomState::new().hash_one(0);
        Key(number(), number())
    }

    fn number(self, parts: &[&[u8]]) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.0, self.1);
        for part in parts {
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part);
        }
        hasher.finish()
    }

    /// What a domain holds.
    pub fn picture(self, domain: &[u8], inventory: &Inventory) -> Picture {
        let mailboxes = inventory.mailboxes.usable_records();
        let mailboxes = mailboxes.into_iter().map(|(name, record)| (What::Mailbox, name, record));
        let aliases = inventory.aliases.iter().map(|(name, content)| (What::Alias, &name[..], &content[..]));
        let number = |(what, name, content): (What, &[u8], &[u8])| {
            ((what, name.to_vec()), self.number(&[b"entry", domain, &[what as u8], name, content]))
        };
        mailboxes.chain(aliases).map(number).collect()
    }

    /// The whole picture as a number.
    pub fn print(self, picture: &Picture) -> u64 {
        self.number(&[b"picture", &to_bytes(b"", picture)])
    }
}

impl Default for Key {
    fn default() -> Key {
        Key::new()
    }
}

/// The files.
pub struct Files<'a> {
    /// What they are below.
    pub root: &'a Root,
    /// STATE, as the host names it.
    pub state: &'a [u8],
}

impl Files<'_> {
    fn folder(&self) -> Vec<u8> {
        [self.state, b"/actions"].concat()
    }

    /// The list of domains; its presence says that what changed can be told.
    fn list(&self) -> Vec<u8> {
        [self.state, b"/actions/domains"].concat()
    }

    /// The folder and the name of a domain's picture: spread, so that no folder becomes long.
    fn picture(&self, key: Key, domain: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let name = format!("{:016x}{:016x}", key.number(&[b"file", domain]), key.number(&[b"FILE", domain]));
        let folder = [&self.folder()[..], b"/", &name.as_bytes()[..2]].concat();
        let file = [&folder[..], b"/", name.as_bytes()].concat();
        (folder, file)
    }

    /// Whether anything is remembered.
    pub fn are_there(&self) -> bool {
        matches!(self.root.walk_no_follow(&self.list()).end, crate::root::End::Found(_))
    }

    /// Forgets all of it: what changes from now on is not seen.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn forget(&self) -> Result<(), Error> {
        publish::remove(self.root, &self.list())
    }

    /// The key, and the domains that there were; `None` when nobody knows.
    pub fn read_domains(&self) -> Option<(Key, Domains)> {
        let file = self.root.read(&self.list()).ok()??;
        let (key, list) = file.strip_prefix(DOMAINS)?.split_at_checked(16)?;
        let number = |bytes: &[u8]| Some(u64::from_le_bytes(bytes.try_into().ok()?));
        let key = Key(number(&key[..8])?, number(&key[8..])?);
        let mut fields: Vec<&[u8]> = list.split(|b| *b == 0).collect();
        // What follows the last field says that nothing is missing.
        if fields.pop()? != b"." || !fields.len().is_multiple_of(5) {
            return None;
        }
        let id = |field: &[u8]| std::str::from_utf8(field).ok()?.parse().ok();
        let domain = |fields: &[&[u8]]| {
            let who = Who { uid: id(fields[2])?, gid: id(fields[3])? };
            let real = (!fields[4].is_empty()).then(|| fields[4].to_vec());
            Some((fields[0].to_vec(), Domain { home: fields[1].to_vec(), who, real }))
        };
        Some((key, fields.chunks(5).map(domain).collect::<Option<Domains>>()?))
    }

    /// Writes them.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write_domains(&self, key: Key, domains: &Domains) -> Result<(), Error> {
        let mut file = [DOMAINS, &key.0.to_le_bytes(), &key.1.to_le_bytes()].concat();
        for (name, Domain { home, who, real }) in domains {
            let (uid, gid) = (who.uid.to_string(), who.gid.to_string());
            for field in [name, home, uid.as_bytes(), gid.as_bytes(), real.as_deref().unwrap_or_default()] {
                file.extend_from_slice(field);
                file.push(0);
            }
        }
        file.push(b'.');
        self.write(&self.folder(), &self.list(), &file)
    }

    /// What a domain held; `None` when nobody knows.
    pub fn read_picture(&self, key: Key, domain: &[u8]) -> Option<Picture> {
        from_bytes(domain, &self.root.read(&self.picture(key, domain).1).ok()??)
    }

    /// Writes it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write_picture(&self, key: Key, domain: &[u8], picture: &Picture) -> Result<(), Error> {
        let (folder, file) = self.picture(key, domain);
        self.write(&folder, &file, &to_bytes(domain, picture))
    }

    /// Removes it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn remove_picture(&self, key: Key, domain: &[u8]) -> Result<(), Error> {
        publish::remove(self.root, &self.picture(key, domain).1)
    }

    fn write(&self, folder: &[u8], file: &[u8], content: &[u8]) -> Result<(), Error> {
        for (folder, mode) in [(self.state, 0o750), (&self.folder(), 0o700), (folder, 0o700)] {
            let made = self.root.make_folder(folder, mode);
            made.map_err(|cause| Error::io("make the folder", &self.root.path(folder), cause))?;
        }
        publish::replace(self.root, file, 0o600, content)
    }
}

/// A name with its length before it.
fn add_name(bytes: &mut Vec<u8>, name: &[u8]) {
    // Cannot be cut: a mailbox's name is no longer than an address, an alias's no longer than a file's.
    bytes.extend((name.len() as u32).to_le_bytes());
    bytes.extend_from_slice(name);
}

fn to_bytes(domain: &[u8], picture: &Picture) -> Vec<u8> {
    let mut bytes = [PICTURE, &(picture.len() as u64).to_le_bytes()].concat();
    add_name(&mut bytes, domain);
    for ((what, name), number) in picture {
        bytes.push(*what as u8);
        add_name(&mut bytes, name);
        bytes.extend(number.to_le_bytes());
    }
    bytes
}

/// `None` when it is not the domain's picture, and whole.
fn from_bytes(domain: &[u8], bytes: &[u8]) -> Option<Picture> {
    fn number(bytes: &mut &[u8]) -> Option<u64> {
        let (number, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(u64::from_le_bytes(*number))
    }
    fn name<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (name, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        *bytes = rest;
        Some(name)
    }
    let rest = &mut bytes.strip_prefix(PICTURE)?;
    let count = number(rest)?;
    if name(rest)? != domain {
        return None;
    }
    let mut picture = Picture::new();
    while let Some((what, tail)) = rest.split_first() {
        *rest = tail;
        let what = match what {
            0 => What::Mailbox,
            1 => What::Alias,
            _ => return None,
        };
        let name = name(rest)?.to_vec();
        picture.insert((what, name), number(rest)?);
    }
    (picture.len() as u64 == count).then_some(picture)
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;
    use crate::root::Bounds;

    fn pictures() -> impl Strategy<Value = Picture> {
        let what = prop_oneof![Just(What::Mailbox), Just(What::Alias)];
        btree_map((what, vec(any::<u8>(), 0..4)), 0..3_u64, 0..12)
    }

    proptest! {
        #[test]
        fn a_picture_is_read_as_it_was_written_or_not_at_all(picture in pictures(), cut in any::<prop::sample::Index>()) {
            let bytes = to_bytes(b"a.test", &picture);
            prop_assert_eq!(from_bytes(b"a.test", &bytes), Some(picture));
            prop_assert_eq!(from_bytes(b"b.test", &bytes), None);
            prop_assert_eq!(from_bytes(b"a.test", &bytes[..cut.index(bytes.len())]), None);
        }

        #[test]
        fn who_does_what_a_difference_says_comes_from_one_picture_to_the_other(before in pictures(), after in pictures()) {
            let mut now = before.clone();
            for (change, what, name) in difference(&before, &after) {
                let key = (what, name);
                match change {
                    Change::Gone => prop_assert!(now.remove(&key).is_some()),
                    Change::New => prop_assert!(now.insert(key.clone(), after[&key]).is_none()),
                    Change::Other => prop_assert!(now.insert(key.clone(), after[&key]) != Some(after[&key])),
                }
            }
            prop_assert_eq!(now, after);
        }
    }

    #[test]
    fn the_list_of_domains_is_read_as_it_was_written_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path(), Bounds::default());
        let files = Files { root: &root, state: b"/run/x" };
        assert!(!files.are_there() && files.read_domains().is_none());
        let domain = |real: Option<&[u8]>| Domain {
            home: b"/home/a\nb".to_vec(),
            who: Who { uid: 89, gid: 90 },
            real: real.map(<[u8]>::to_vec),
        };
        let domains =
            Domains::from([(b"a.test".to_vec(), domain(None)), (b"b.test".to_vec(), domain(Some(b"a.test")))]);
        let key = Key::new();
        files.write_domains(key, &domains).unwrap();
        assert_eq!(files.read_domains(), Some((key, domains)));
        let path = folder.path().join("run/x/actions/domains");
        let content = std::fs::read(&path).unwrap();
        for length in 0..content.len() {
            std::fs::write(&path, &content[..length]).unwrap();
            assert_eq!(files.read_domains(), None, "{length}");
        }
        files.forget().unwrap();
        assert!(!files.are_there());
    }
}
