//! checkpassword (<https://cr.yp.to/checkpwd/interface.html>): a login with the right password becomes the program that was
//! asked for.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::close;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::front::logins;
use crate::os::spawn::become_program;
use crate::report::{self, Level};
use crate::settings::Settings;

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
    let Some(variables) = logins::ask(settings, login, password)? else { return Ok(REFUSED) };
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
