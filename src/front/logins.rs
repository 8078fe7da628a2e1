//! The judge of logins: whether a password is the one of a published login. Each front end asks here. An unknown login takes
//! the same way as a known one, through the record of another one, so that the time does not tell them apart.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::cdb;
use crate::error::{Error, show_path};
use crate::front::crypt::{self, Verdict};
use crate::front::{damaged, with_table};
use crate::host::authvars::{Variables, expires, parse_groups};
use crate::settings::Settings;
use crate::text::Shown;

/// Asks the published table about a login, as it stands, and its password: the variables that it brings; `None` refuses it.
///
/// # Errors
/// The table cannot be used, or not its record of this login, and nobody knows.
pub fn ask(settings: &Settings, login: &[u8], password: &[u8]) -> Result<Option<Variables>, Error> {
    let (known, other) = with_table(&settings.layout.root, &settings.auth, |table| {
        let known = table.search(login)?;
        if known.as_ref().is_some_and(|data| data.contains(&0)) {
            return Err(damaged());
        }
        Ok((known, table.some(cdb::hash(login))?))
    })?;
    // No password holds NUL; crypt(3) would compare what stands in front of it.
    let is_one = !password.contains(&0);
    let password = password.split(|b| *b == 0).next().unwrap_or_default();
    // The hash of a customer who chose a slow one costs nobody else its time.
    let other = other.filter(|data| crypt::is_usual(hash_of(data)));
    let record = Record { known: known.is_some() && is_one, data: known.or(other).unwrap_or_default() };
    record.judge(password, now()).map_err(|why| {
        let path = settings.layout.root.path(&settings.auth);
        Error::Temporary(format!("{}: {}: {why}", show_path(&path), Shown(login)))
    })
}

/// Whether the table can be used.
///
/// # Errors
/// It cannot.
pub fn can_ask(settings: &Settings) -> Result<(), Error> {
    with_table(&settings.layout.root, &settings.auth, |_| Ok(()))
}

/// Seconds since 1970-01-01 UTC. A clock that stands before it lets nobody in who may have expired.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(u64::MAX, |since| since.as_secs())
}

/// The hash in the data of a record.
fn hash_of(data: &[u8]) -> &[u8] {
    data.split(|b| *b == b',').next().unwrap_or_default()
}

/// What a password is compared with: the record of the login, or of another one.
struct Record {
    known: bool,
    /// The hash up to the first comma, then `NAME="value"` groups.
    data: Vec<u8>,
}

impl Record {
    /// The variables that a login with this password brings; `None` refuses it. `now` is in seconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// Why nobody knows, of a known login only.
    fn judge(&self, password: &[u8], now: u64) -> Result<Option<Variables>, String> {
        let hash = hash_of(&self.data);
        let groups = self.data.get(hash.len() + 1..).map_or_else(|| Ok(Vec::new()), parse_groups);
        let groups: Result<Variables, String> = groups.map(|groups| groups.into_iter().collect());
        let has_expired = groups.as_ref().is_ok_and(|groups| expires(groups).is_some_and(|time| now >= time));
        match (crypt::compare(password, hash), self.known) {
            (Verdict::Same, true) if !has_expired => groups.map(Some),
            (Verdict::Unable(why), true) => Err(why.to_owned()),
            _ => Ok(None),
        }
    }
}
