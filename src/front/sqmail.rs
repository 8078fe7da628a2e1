//! The PAM of control/recipients in s/qmail, qmail-recipients(5): the address stands on descriptor 3, and NUL ends it
//! (docs/rules.md, 11.7).

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::error::Error;
use crate::front::{is_not_for_us, recipients};
use crate::settings::Settings;

const KNOWN: u8 = 0;
const UNKNOWN: u8 = 1;

/// So much of descriptor 3 is read: more than the longest address.
const MAX_INPUT: usize = 1024;
/// What s/qmail puts behind a name without a domain.
const NO_DOMAIN: &[u8] = b"@localhost";

/// Answers about a recipient; the exit status.
///
/// # Errors
/// Why nobody knows.
pub fn serve(settings: &Settings, given: Option<&File>) -> Result<u8, Error> {
    let nothing = || Error::Usage("descriptor 3 gives no address".to_owned());
    let mut given = given.ok_or_else(nothing)?;
    let (mut input, mut length) = ([0; MAX_INPUT], 0);
    // s/qmail may keep its side open.
    while length < MAX_INPUT && !input[..length].contains(&0) {
        match given.read(&mut input[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
            Err(cause) => return Err(Error::io("read", Path::new("descriptor 3"), cause)),
        }
    }
    let end = input[..length].iter().position(|byte| *byte == 0).unwrap_or(length);
    if end == 0 {
        return Err(nothing());
    }
    let address = &input[..end];
    let is_known = |address: &[u8]| Ok::<bool, Error>(recipients::ask(settings, address)?.accepted);
    let known = is_not_for_us()
        || is_known(address)?
        || match address.strip_suffix(NO_DOMAIN) {
            Some(name) => is_known(name)?,
            None => false,
        };
    Ok(if known { KNOWN } else { UNKNOWN })
}
