//! The judge of recipients: what the published recipient table says about an address. Each front end asks here.

use std::cell::RefCell;

use crate::error::Error;
use crate::front::{damaged, with_table};
use crate::host::control;
use crate::settings::Settings;
use crate::tables::smtpd;
use crate::text::{join_address, lower, split_address};

/// The longest address that qmail-smtpd takes, in bytes. A look-up of a longer one would take as many steps as it has dashes.
const MAX_ADDRESS: usize = 900;

/// What the table says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whether the recipient is accepted.
    pub accepted: bool,
    /// The data of the key that decided; empty when there is none.
    pub data: Vec<u8>,
}

/// Asks the published table about an address; and where no key matches, whether the table can say anything about its domain: a
/// subdomain that only a `.suffix` in rcpthosts lets through is accepted, as by qmail.
///
/// # Errors
/// The table cannot be used, and nobody knows.
pub fn ask(settings: &Settings, recipient: &[u8]) -> Result<Answer, Error> {
    let layout = &settings.layout;
    let (mut answer, is_known) = with_table(&layout.root, &settings.validrcptto, |table| {
        if recipient.len() > MAX_ADDRESS {
            return Ok((Answer::default(), true));
        }
        let (failure, last) = (RefCell::new(None), RefCell::new(None));
        let find = |key: &[u8]| match table.search(key) {
            // What is lost to zeros; anything else accepts or refuses, as in qmail-smtpd.
            Ok(Some(data)) if data.first() == Some(&0) => failure.replace(Some(damaged())).and(None),
            Ok(data) => {
                last.replace(data.clone());
                data
            }
            Err(cause) => failure.replace(Some(cause)).and(None),
        };
        let answer = smtpd::lookup(recipient, layout.break_byte, find);
        let is_known = answer.key.is_some();
        let data = last.into_inner().filter(|_| is_known).unwrap_or_default();
        failure.into_inner().map_or(Ok((Answer { accepted: answer.accepted(), data }, is_known)), Err)
    })?;
    if !is_known && let Some((local, domain)) = split_address(recipient) {
        answer.accepted =
            !local.is_empty() && control::is_let_in_by_a_suffix_alone(&layout.root, &layout.qmail, &lower(domain));
    }
    Ok(answer)
}

/// The address without the quotes and backslashes that RFC 5321 has around an odd local part; keys have none.
///
/// ```
/// use qmail_updater::front::recipients::unquoted;
/// assert_eq!(unquoted(br#""office:desk"@a.test"#), b"office:desk@a.test");
/// assert_eq!(unquoted(br#""a\"b"@a.test"#), br#"a"b@a.test"#);
/// assert_eq!(unquoted(b"ann@a.test"), b"ann@a.test");
/// ```
pub fn unquoted(address: &[u8]) -> Vec<u8> {
    let Some((local, domain)) = split_address(address) else { return address.to_vec() };
    let Some(inner) = local.strip_prefix(b"\"").and_then(|local| local.strip_suffix(b"\"")) else {
        return address.to_vec();
    };
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        plain.extend(if *byte == b'\\' { bytes.next() } else { Some(byte) });
    }
    join_address(&plain, domain)
}
