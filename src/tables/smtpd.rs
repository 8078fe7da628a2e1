//! How the patched qmail-smtpd looks a recipient up (docs/rules.md, 2.1). The other half of the contract with it is the
//! form of the data: what begins with `-` refuses, anything else accepts.

use crate::text::{DEFAULT, join_address, lower, split_address};

/// The data of a key that refuses.
pub const REFUSE: &[u8] = b"-";
/// The data of a key that accepts.
pub const ACCEPT: &[u8] = b"";

/// The data of a key that accepts or refuses.
pub fn data_of(accepted: bool) -> &'static [u8] {
    if accepted { ACCEPT } else { REFUSE }
}

/// Whether this data accepts the recipient.
pub fn accepts(data: &[u8]) -> bool {
    data.first() != Some(&b'-')
}

/// qmail-smtpd's answer for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it is accepted.
    pub accepted: bool,
    /// The key that decided; `None` when none was found, which refuses.
    pub key: Option<Vec<u8>>,
}

/// Looks the address up: the whole; then, cut at each `break_byte` of the local part from the right, with `default` in
/// place of what followed; then `@domain`. An address without `@` is tried as it stands only. `find` gives the data of a
/// key.
///
/// ```
/// use qmail_updater::tables::smtpd::lookup;
/// let find = |key: &[u8]| (key == b"list-default@a.test").then(|| b"".to_vec());
/// assert!(lookup(b"LIST-2026-11@a.test", b'-', find).accepted);
/// assert!(!lookup(b"list@a.test", b'-', find).accepted);
/// ```
pub fn lookup<D: AsRef<[u8]>>(address: &[u8], break_byte: u8, find: impl Fn(&[u8]) -> Option<D>) -> Answer {
    let address = lower(address);
    let decide = |key: Vec<u8>| find(&key).map(|data| Answer { accepted: accepts(data.as_ref()), key: Some(key) });
    let refused = Answer { accepted: false, key: None };
    let Some((local, domain)) = split_address(&address) else { return decide(address).unwrap_or(refused) };
    let cuts = (0..local.len()).rev().filter(|at| local[*at] == break_byte);
    decide(address.clone())
        .or_else(|| cuts.map(|at| default_key(&local[..=at], domain)).find_map(decide))
        .or_else(|| decide(join_address(b"", domain)))
        .unwrap_or(refused)
}

/// The key that answers for every name that begins with `prefix`, which ends in the break character.
pub fn default_key(prefix: &[u8], domain: &[u8]) -> Vec<u8> {
    join_address(&[prefix, DEFAULT].concat(), domain)
}
