//! The recipient-validation-command of spamdyke: `COMMAND DOMAIN USER`, without a shell, split at each blank (docs/rules.md, 11.6).

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use crate::error::Error;
use crate::front::{is_not_for_us, recipients};
use crate::settings::Settings;
use crate::text::join_address;

/// Not decided: spamdyke goes on, and accepts.
pub const UNDECIDED: u8 = 0;
const VALID: u8 = 1;
const INVALID: u8 = 2;

/// Answers about a recipient; the exit status.
///
/// # Errors
/// Why nobody knows.
pub fn serve(settings: &Settings, domain: Option<&OsString>, user: &[OsString]) -> Result<u8, Error> {
    let (Some(domain), false) = (domain, user.is_empty()) else {
        return Err(Error::Usage("spamdyke gives a domain and a user; one of them is missing".to_owned()));
    };
    if is_not_for_us() {
        return Ok(UNDECIDED);
    }
    // A blank in the name arrives as the end of a word.
    let user: Vec<&[u8]> = user.iter().map(|word| word.as_bytes()).collect();
    let recipient = join_address(&user.join(&b' '), domain.as_bytes());
    Ok(if recipients::ask(settings, &recipient)?.accepted { VALID } else { INVALID })
}
