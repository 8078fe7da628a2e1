//! What a user database said when it was asked, as a whole: the rows of each domain.

use std::collections::HashMap;

use super::rows::{self, Rows};
use crate::error::Trouble;
use crate::host::vpopmail::Mailbox;

/// What a user database said at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    mailboxes: HashMap<Vec<u8>, Vec<u8>>,
    limits: HashMap<Vec<u8>, u64>,
}

/// The contents of two may differ: which domains do is told by what each domain's rows are.
impl PartialEq for Snapshot {
    fn eq(&self, _: &Snapshot) -> bool {
        true
    }
}

impl Eq for Snapshot {}

impl Snapshot {
    /// Adds the row of a mailbox.
    pub fn add_mailbox(&mut self, domain: &[u8], name: &[u8], crypt: &[u8], flags: u32) {
        let rows = self.mailboxes.entry(domain.to_vec()).or_default();
        rows::add(rows, name, &[&flags.to_le_bytes()[..], crypt].concat());
    }

    /// Adds the limits of a domain, as flags.
    pub fn add_limits(&mut self, domain: &[u8], flags: u64) {
        self.limits.insert(domain.to_vec(), flags);
    }

    /// The mailboxes that it has under this domain.
    ///
    /// # Errors
    /// The rows cannot be read back.
    pub fn mailboxes(&self, domain: &[u8]) -> Result<Rows, Trouble> {
        let rows = self.mailboxes.get(domain).cloned().unwrap_or_default();
        Rows::parse(rows).ok_or_else(|| "rows that are none".into())
    }

    /// The limits of a domain; `None` when the user database holds none of it.
    pub fn limits(&self, domain: &[u8]) -> Option<u64> {
        self.limits.get(domain).copied()
    }
}

/// The mailbox that a row is.
pub fn mailbox(value: &[u8]) -> Mailbox<'_> {
    let (flags, crypt) = value.split_first_chunk().unwrap_or((&[0; 4], b""));
    Mailbox::of_row(crypt, u32::from_le_bytes(*flags))
}
