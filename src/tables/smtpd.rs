//! How the patched qmail-smtpd looks a recipient up (docs/rules.md, 2.1). The other half of the contract with it is the
//! form of the data: what begins with `-` refuses, anything else accepts. The data of an entry that accepts names what takes the
//! mail (docs/rules.md, 13.1), which qmail-smtpd does not look at.

use std::fmt;

use crate::decide::Taker;
use crate::text::{DEFAULT, join_address, lower, split_address};

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Says {
    /// The name is refused.
    Refuses,
    /// The name is accepted, and this takes its mail; `None` for an entry that does not say it, as those of version 0.1.0.
    Accepts(Option<Taker>),
}

/// An accepted name whose mail nothing takes that has a name of its own.
pub const OTHER: Says = Says::Accepts(Some(Taker::Other));

/// What takes the mail, by the data of an entry: two hexadecimal digits, as Qmail::Deliverable counts.
const TAKERS: [(Taker, &[u8], &str); 5] = [
    (Taker::Other, b"f1", "other"),
    (Taker::Mailbox, b"f2", "mailbox"),
    (Taker::Alias, b"f3", "alias"),
    (Taker::CatchAll, b"f4", "catch-all"),
    (Taker::Extension, b"f6", "qmail-ext"),
];

impl Says {
    /// What an entry with this data says. Of unknown data no more counts than qmail-smtpd looks at.
    pub fn of(data: &[u8]) -> Says {
        match data.first() {
            Some(b'-') => Says::Refuses,
            _ => Says::Accepts(TAKERS.iter().find(|(_, its, _)| *its == data).map(|(taker, ..)| *taker)),
        }
    }

    /// The data of an entry that says this.
    pub fn data(self) -> &'static [u8] {
        match self {
            Says::Refuses => b"-",
            Says::Accepts(taker) => row(taker).map_or(b"", |(_, data, _)| data),
        }
    }

    /// Whether it accepts the recipient.
    pub fn accepts(self) -> bool {
        self != Says::Refuses
    }
}

fn row(taker: Option<Taker>) -> Option<(Taker, &'static [u8], &'static str)> {
    TAKERS.into_iter().find(|(its, ..)| Some(*its) == taker)
}

/// What takes the mail, in a word: `-` for a refused name, `unknown` where the entry does not say it.
impl fmt::Display for Says {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Says::Refuses => "-",
            Says::Accepts(taker) => row(*taker).map_or("unknown", |(.., word)| word),
        })
    }
}

/// Whether this data accepts the recipient.
pub fn accepts(data: &[u8]) -> bool {
    Says::of(data).accepts()
}

/// qmail-smtpd's answer for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the table says of it; a name without a key is refused.
    pub says: Says,
    /// The key that decided; `None` when none was found, which refuses.
    pub key: Option<Vec<u8>>,
}

impl Answer {
    /// Whether it is accepted.
    pub fn accepted(&self) -> bool {
        self.says.accepts()
    }
}

/// Looks the address up: the whole; then, cut at each `break_byte` of the local part from the right, with `default` in
/// place of what followed; then `@domain`. An address without `@` is tried as it stands only. `find` gives the data of a
/// key.
///
/// ```
/// use qmail_updater::tables::smtpd::lookup;
/// let find = |key: &[u8]| (key == b"list-default@a.test").then(|| b"".to_vec());
/// assert!(lookup(b"LIST-2026-11@a.test", b'-', find).accepted());
/// assert!(!lookup(b"list@a.test", b'-', find).accepted());
/// ```
pub fn lookup<D: AsRef<[u8]>>(address: &[u8], break_byte: u8, find: impl Fn(&[u8]) -> Option<D>) -> Answer {
    let address = lower(address);
    let decide = |key: Vec<u8>| find(&key).map(|data| Answer { says: Says::of(data.as_ref()), key: Some(key) });
    let refused = Answer { says: Says::Refuses, key: None };
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
