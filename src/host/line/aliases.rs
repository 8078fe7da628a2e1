//! fastforward(1) and vdeliver(1) of vmailmgr: the names of their cdb, and which of them answers for an address.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use crate::cdb;
use crate::error::Trouble;
use crate::fs::{End, Perm, Root, Who};
use crate::text::{Shown, lower, split_address};

/// A cdb longer than this is not read, in bytes.
const MAX_LENGTH: u64 = 32 << 20;

/// What fastforward does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fastforward {
    /// Its file, as the host names it.
    pub file: Vec<u8>,
    /// `-p`: it leaves other names to the next line, and stops after its own.
    pub passes: bool,
    /// `-d`: it looks for `$DEFAULT@$HOST`, else for `$RECIPIENT`.
    pub by_default: bool,
    /// The names in it; or why it could not be read.
    pub aliases: Result<Arc<Aliases>, Trouble>,
}

/// What vdeliver does: it looks for `$EXT`, then for [`Aliases::EVERY_USER`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vdeliver {
    /// Its file, as the host names it.
    pub file: Vec<u8>,
    /// The users in it.
    pub users: Arc<Aliases>,
}

/// Which name of an address a program looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `$DEFAULT`.
    Default,
    /// `$EXT`.
    Ext,
    /// That of `$RECIPIENT`.
    Recipient,
}

/// The names of a cdb that setforward(1) or vmailmgr made.
#[derive(Debug, PartialEq, Eq)]
pub struct Aliases {
    keys: BTreeSet<Vec<u8>>,
    perm: Perm,
    searched: Vec<Perm>,
}

impl Aliases {
    /// The user of vmailmgr that takes the mail of every name that is none.
    pub const EVERY_USER: &[u8] = b"+";

    /// Reads the cdb at `path`, as the host names it.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn read(root: &Root, path: &[u8]) -> Result<Arc<Aliases>, Trouble> {
        let walk = root.walk(path);
        let found = match walk.end {
            End::Found(found) => found,
            End::Missing(cause) => return Err(cause.into()),
            End::Failed(cause) => return Err(cause.into()),
            End::Silent(silence) => return Err(silence.to_string().into()),
        };
        let failed = |cause: std::io::Error| {
            let cause = Trouble::from(&cause);
            cause.of_file(Shown(found.real.as_os_str().as_bytes()))
        };
        let mut file = found.open_file().map_err(failed)?;
        if file.size > MAX_LENGTH {
            return Err(format!("it is longer than {} MiB", MAX_LENGTH >> 20).into());
        }
        let mut image = Vec::new();
        let length = usize::try_from(file.size).unwrap_or(usize::MAX);
        file.read_start(&mut image, length).map_err(failed)?;
        let keys = keys_of(&image).ok_or_else(|| Trouble::from("it is no cdb, or damaged".to_owned()))?;
        Ok(Arc::new(Aliases { keys, perm: file.perm, searched: walk.searched }))
    }

    /// One of these keys, readable by all.
    pub fn of_keys(keys: impl IntoIterator<Item = Vec<u8>>) -> Aliases {
        let perm = Perm { mode: 0o100_644, uid: 0, gid: 0 };
        Aliases { keys: keys.into_iter().collect(), perm, searched: Vec::new() }
    }

    /// Whether `who` may read it.
    pub fn is_readable(&self, who: Who) -> bool {
        self.perm.readable(who) && self.searched.iter().all(|directory| directory.searchable(who))
    }

    /// Whether there is a recipient for an address: by its whole, its host, or its name.
    pub fn has(&self, address: &[u8]) -> bool {
        let address = lower(address);
        let (user, host) = split_address(&address).unwrap_or((&address, b""));
        let keys = [[b":", user, b"@", host].concat(), [b":@", host].concat(), [b":", user, b"@"].concat()];
        keys.iter().any(|key| self.keys.contains(key))
    }

    /// Whether a user of vmailmgr has this name, or takes the mail of every name.
    pub fn has_user(&self, name: &[u8]) -> bool {
        self.keys.contains(&lower(name)) || self.keys.contains(Self::EVERY_USER)
    }

    /// The names of the users of vmailmgr.
    pub fn users(&self) -> impl Iterator<Item = &[u8]> {
        let names = self.keys.iter().map(Vec::as_slice);
        names.filter(|name| !name.is_empty() && !name.iter().any(u8::is_ascii_uppercase))
    }

    /// The names before the `@` of its keys.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        let recipients = self.keys.iter().filter_map(|key| key.strip_prefix(b":"));
        let names = recipients.filter_map(|key| split_address(key).map(|(name, _)| name));
        names.filter(|name| !name.is_empty() && !name.iter().any(u8::is_ascii_uppercase))
    }
}

/// The keys of a cdb; `None` when a look-up may not find them.
fn keys_of(image: &[u8]) -> Option<BTreeSet<Vec<u8>>> {
    let cdb = cdb::Reader::new(image).ok()?;
    cdb.check_all_found().ok()?;
    Some(cdb.records().map(|record| record.key.to_vec()).collect())
}
