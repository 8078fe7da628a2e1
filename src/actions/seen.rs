//! What was seen of each domain, kept in STATE/actions for its owner only: names, and for what stands behind each a number
//! that only whoever has the key can make. `domains` lists the domains, and holds the key; beside it is a picture of
//! each vpopmail domain, so that a changed mailbox writes what its domain holds and no more.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read};

use siphasher::sip::SipHasher24;

use crate::error::{Error, show_cause, show_path};
use crate::fs::{End, Root, Who};
use crate::host::Host;
use crate::host::inventory::Inventory;
use crate::publish;
use crate::text::lower;

/// How the files begin; other ones are as good as none.
const DOMAINS: &[u8] = b"qmail-updater domains 1\n";
const PICTURE: &[u8] = b"qmail-updater picture 1\n";

/// How many bytes of STATE one domain may take for each entry that a home may have in a table (`--max-entries`). A name of
/// 19 bytes takes so many, and a shorter one counts as one of 19: so the names are no more than the entries either.
pub const FOR_AN_ENTRY: usize = 32;
/// What a name takes beside its bytes: what it is, its length, and its number.
const BESIDE_A_NAME: usize = 1 + 4 + 8;

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

/// Those of users/assign, whatever else names them: a line of it is what makes and ends a domain of vpopmail's. An
/// account's line looks the same; what has no dot in its name counts when virtualdomains says so.
pub fn domains(host: &Host) -> Domains {
    let assignments = &host.assignments;
    let domain = |(name, line): (&[u8], &crate::host::assign::Assignment)| {
        let user = lower(&line.user);
        let is_alias = user != name && assignments.vpopmail_domain(&user).is_some_and(|real| real.home == line.home);
        let real = is_alias.then_some(user);
        (name.to_vec(), Domain { home: line.home.clone(), who: line.who, real })
    };
    assignments.domains().filter(|(name, _)| name.contains(&b'.') || host.is_vpopmail_like(name)).map(domain).collect()
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

    /// What a domain holds. What it held `before` says of mailboxes that are not read stays. `None` when it takes more than
    /// so many bytes to remember, each name counting [`FOR_AN_ENTRY`] at least.
    pub fn picture(self, domain: &[u8], inventory: &Inventory, before: &Picture, most: usize) -> Option<Picture> {
        let unread = before.iter().filter(|((what, _), _)| *what == What::Mailbox && inventory.mailboxes.is_none());
        let unread = unread.map(|(key, number)| (key.clone(), *number));
        let mailboxes = inventory.mailboxes.iter().flat_map(|mailboxes| mailboxes.usable_records());
        let mailboxes = mailboxes.map(|(name, record)| (What::Mailbox, name, record));
        let aliases = inventory.aliases.iter().map(|(name, content)| (What::Alias, &name[..], &content.1[..]));
        let number = |(what, name, content): (What, &[u8], &[u8])| {
            ((what, name.to_vec()), self.number(&[b"entry", domain, &[what as u8], name, content]))
        };
        let mut left = most;
        let within = |entry: ((What, Vec<u8>), u64)| {
            left = left.checked_sub((BESIDE_A_NAME + entry.0.1.len()).max(FOR_AN_ENTRY))?;
            Some(entry)
        };
        mailboxes.chain(aliases).map(number).chain(unread).map(within).collect()
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

/// Why a file does not say what was seen.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread {
    /// It cannot be read now.
    Later(String),
    /// It is damaged, or of another format.
    Damaged(String),
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
        matches!(self.root.walk_no_follow(&self.list()).end, End::Found(_))
    }

    /// Forgets all of it: what changes from now on is not seen.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn forget(&self) -> Result<(), Error> {
        publish::remove(self.root, &self.list())?;
        self.remove_pictures()
    }

    /// Removes every picture, whatever key it was made with.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn remove_pictures(&self) -> Result<(), Error> {
        let is_hex = |name: &[u8], length: usize| name.len() == length && name.iter().all(u8::is_ascii_hexdigit);
        let list = |folder: &[u8], length: usize| match self.root.walk_no_follow(folder).end {
            End::Found(found) => {
                let names = found.open_directory().and_then(|open| open.entries(|name| is_hex(name, length)));
                let names = names.map_err(|cause| Error::io("look into", &self.root.path(folder), cause))?;
                Ok(names.into_iter().map(|(name, _)| [folder, b"/", &name].concat()).collect())
            }
            End::Missing(_) => Ok(Vec::new()),
            End::Failed(cause) => Err(Error::io("look into", &self.root.path(folder), cause)),
            End::Silent(silence) => Err(Error::io("look into", &self.root.path(folder), silence)),
        };
        for folder in list(&self.folder(), 2)? {
            for file in list(&folder, 32)? {
                publish::remove(self.root, &file)?;
            }
        }
        Ok(())
    }

    /// The content of a file of ours, however long; `None` when it is not there.
    fn read<T>(&self, inside: &[u8], parse: impl FnOnce(&[u8]) -> Option<T>) -> Result<Option<T>, Unread> {
        let shown = || show_path(&self.root.path(inside)).to_string();
        let mut content = Vec::new();
        let read = self
            .root
            .open(inside)
            .and_then(|open| open.map(|open| open.into_file().read_to_end(&mut content)).transpose());
        match read {
            Ok(None) => Ok(None),
            Ok(Some(_)) => match parse(&content) {
                Some(parsed) => Ok(Some(parsed)),
                None => Err(Unread::Damaged(format!("{}: not as this version writes it", shown()))),
            },
            Err(cause) if is_temporary(&cause) => Err(Unread::Later(format!("{}: {}", shown(), show_cause(&cause)))),
            Err(cause) => Err(Unread::Damaged(format!("{}: {}", shown(), show_cause(&cause)))),
        }
    }

    /// The key, and the domains that there were; `None` when nobody wrote them.
    ///
    /// # Errors
    /// They are there, and do not tell.
    pub fn read_domains(&self) -> Result<Option<(Key, Domains)>, Unread> {
        self.read(&self.list(), domains_from_bytes)
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

    /// What a domain held; `None` when nobody wrote it.
    ///
    /// # Errors
    /// It is there, and does not tell.
    pub fn read_picture(&self, key: Key, domain: &[u8]) -> Result<Option<Picture>, Unread> {
        self.read(&self.picture(key, domain).1, |bytes| from_bytes(domain, bytes))
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
            made.map_err(|cause| Error::io("make the directory", &self.root.path(folder), cause))?;
        }
        publish::replace(self.root, file, 0o600, content)
    }
}

/// Whether it may be read the next time: what the system says, not what is no file.
fn is_temporary(cause: &io::Error) -> bool {
    cause.raw_os_error().is_some()
}

fn domains_from_bytes(bytes: &[u8]) -> Option<(Key, Domains)> {
    let (key, list) = bytes.strip_prefix(DOMAINS)?.split_at_checked(16)?;
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
    use crate::fs::Bounds;

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
        assert!(!files.are_there() && files.read_domains() == Ok(None));
        let domain = |real: Option<&[u8]>| Domain {
            home: b"/home/a\nb".to_vec(),
            who: Who { uid: 89, gid: 90 },
            real: real.map(<[u8]>::to_vec),
        };
        let domains =
            Domains::from([(b"a.test".to_vec(), domain(None)), (b"b.test".to_vec(), domain(Some(b"a.test")))]);
        let key = Key::new();
        files.write_domains(key, &domains).unwrap();
        assert_eq!(files.read_domains(), Ok(Some((key, domains))));
        let path = folder.path().join("run/x/actions/domains");
        let content = std::fs::read(&path).unwrap();
        for length in 0..content.len() {
            std::fs::write(&path, &content[..length]).unwrap();
            assert!(matches!(files.read_domains(), Err(Unread::Damaged(_))), "{length}");
        }
        files.forget().unwrap();
        assert!(!files.are_there());
    }

    #[test]
    fn a_picture_of_any_length_is_read_and_one_that_cannot_be_read_is_not_unknown() {
        let folder = tempfile::tempdir().unwrap();
        // As --max-file may say.
        let root = Root::new(folder.path(), Bounds { file: 10, ..Bounds::default() });
        let files = Files { root: &root, state: b"/run/x" };
        let key = Key::new();
        let picture: Picture = (0..100_u32).map(|n| ((What::Alias, n.to_le_bytes().to_vec()), 1)).collect();
        files.write_picture(key, b"a.test", &picture).unwrap();
        assert_eq!(files.read_picture(key, b"a.test"), Ok(Some(picture.clone())));
        assert_eq!(files.read_picture(key, b"b.test"), Ok(None));
        let path = root.path(&files.picture(key, b"a.test").1);
        std::fs::write(&path, "other").unwrap();
        assert!(matches!(files.read_picture(key, b"a.test"), Err(Unread::Damaged(_))));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(files.read_picture(key, b"a.test"), Err(Unread::Damaged(_))));
        for cause in [nix::errno::Errno::EMFILE, nix::errno::Errno::EIO, nix::errno::Errno::EACCES] {
            assert!(is_temporary(&cause.into()), "{cause}");
        }
        if !nix::unistd::geteuid().is_root() {
            use std::os::unix::fs::PermissionsExt;
            std::fs::remove_dir(&path).unwrap();
            files.write_picture(key, b"a.test", &picture).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
            assert!(matches!(files.read_picture(key, b"a.test"), Err(Unread::Later(_))));
        }
    }

    #[test]
    fn old_pictures_go_with_the_list_and_what_is_not_ours_stays() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path(), Bounds::default());
        let files = Files { root: &root, state: b"/run/x" };
        let keys = [Key::new(), Key::new()];
        for key in keys {
            files.write_domains(key, &Domains::new()).unwrap();
            files.write_picture(key, b"a.test", &Picture::new()).unwrap();
        }
        let other = root.path(&files.picture(keys[0], b"a.test").0).join("notes");
        std::fs::write(&other, "").unwrap();
        files.forget().unwrap();
        assert!(keys.iter().all(|key| files.read_picture(*key, b"a.test") == Ok(None)) && other.exists());
    }
}
