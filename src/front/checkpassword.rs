//! checkpassword: who says the right password to a published login becomes the program that was asked for. An unknown
//! login takes the same way as a known one, through the record of another one, so that the time does not tell them apart.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::unistd::close;
use zeroize::Zeroizing;

use crate::cdb;
use crate::error::{Error, show_path};
use crate::front::crypt::{self, Verdict};
use crate::front::{damaged, with_table};
use crate::host::authvars::{Variables, expires, parse_groups};
use crate::os::spawn::become_program;
use crate::report::{self, Level};
use crate::settings::Settings;
use crate::text::Shown;

const REFUSED: u8 = 1;
const MISUSE: u8 = 2;

/// How long what stands on descriptor 3 may be.
const MAX_INPUT: usize = 512;

/// Checks what `given` says, which is descriptor 3 if that is open; the exit status, unless it becomes `program`.
///
/// # Errors
/// Why nobody knows whether the password is right; a program that cannot be run.
pub fn serve(settings: &Settings, program: &[OsString], given: Option<&File>) -> Result<u8, Error> {
    let misuse = |what: &str| {
        report::say(Level::Fatal, &format!("checkpassword: {what}"));
        Ok(MISUSE)
    };
    let Some((program, arguments)) = program.split_first() else { return misuse("no program to run is named") };
    let Some(input) = read(given)? else { return misuse("descriptor 3 is not open for reading") };
    let Some((login, password)) = fields(&input) else {
        return misuse("descriptor 3 gives no login, password and time stamp, each ended by NUL, in at most 512 bytes");
    };
    let (known, other) = with_table(&settings.layout.root, &settings.auth, |table| {
        let known = table.search(login)?;
        if known.as_ref().is_some_and(|data| data.contains(&0)) {
            return Err(damaged());
        }
        Ok((known, table.some(cdb::hash(login))?))
    })?;
    let record = Record { known: known.is_some(), data: known.or(other).unwrap_or_default() };
    let variables = match record.judge(password, now()) {
        Ok(Some(variables)) => variables,
        Ok(None) => return Ok(REFUSED),
        Err(why) => {
            let path = settings.layout.root.path(&settings.auth);
            return Err(Error::Temporary(format!("{}: {}: {why}", show_path(&path), Shown(login))));
        }
    };
    let variables = variables.iter().filter(|(name, _)| may_be_set(name));
    let user = (OsStr::new("USER"), OsStr::from_bytes(login));
    let variables: Vec<_> =
        variables.map(|(name, value)| (OsStr::from_bytes(name), OsStr::from_bytes(value))).chain([user]).collect();
    let cause = become_program(program, arguments, &variables);
    Err(Error::io("run", Path::new(program), cause))
}

/// Whether a published variable reaches the program: not where it, or what it loads, is looked for.
fn may_be_set(name: &[u8]) -> bool {
    name != b"PATH" && !name.starts_with(b"LD_")
}

/// What stands on descriptor 3, which is closed then; `None` when nothing can be read there. One byte more than is allowed
/// is enough.
fn read(given: Option<&File>) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let failed = |cause: io::Error| Error::io("read", Path::new("descriptor 3"), cause);
    let Some(given) = given else { return Ok(None) };
    // Room for all of it: a buffer that grows leaves what it held behind.
    let mut input = Zeroizing::new(Vec::with_capacity(MAX_INPUT + 2));
    match given.take(MAX_INPUT as u64 + 1).read_to_end(&mut input) {
        Err(cause) if cause.raw_os_error() == Some(Errno::EBADF as i32) => return Ok(None),
        read => read.map_err(failed)?,
    };
    close(3).map_err(|cause| failed(cause.into()))?;
    Ok(Some(input))
}

/// Login and password.
fn fields(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut fields = input.split(|b| *b == 0);
    let (login, password, _stamp) = (fields.next()?, fields.next()?, fields.next()?);
    // Behind the NUL of the time stamp there is something, be it empty.
    fields.next().filter(|_| input.len() <= MAX_INPUT)?;
    Some((login, password))
}

/// Seconds since 1970-01-01 UTC. A clock that stands before it lets nobody in who may have expired.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(u64::MAX, |since| since.as_secs())
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
        let (hash, groups) = match self.data.iter().position(|b| *b == b',') {
            Some(comma) => (&self.data[..comma], &self.data[comma + 1..]),
            None => (&self.data[..], &b""[..]),
        };
        let groups = if hash.len() == self.data.len() { Ok(Vec::new()) } else { parse_groups(groups) };
        let groups: Result<Variables, String> = groups.map(|groups| groups.into_iter().collect());
        let has_expired = groups.as_ref().is_ok_and(|groups| expires(groups).is_some_and(|time| now >= time));
        match (crypt::compare(password, hash), self.known) {
            (Verdict::Same, true) if !has_expired => groups.map(Some),
            (Verdict::Unable(why), true) => Err(why.to_owned()),
            _ => Ok(None),
        }
    }
}
