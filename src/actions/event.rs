//! What happened, as vpopmail would tell its onchange script.

use crate::host::inventory::Inventory;
use crate::host::vpopmail::directory_of;
use crate::text::{Shown, join_address};

use super::seen::{Change, Domain, What};

/// How much of an argument is logged, in bytes.
const MAX_SHOWN: usize = 200;
/// How much of an alias an argument holds, in bytes.
const MAX_LINES: usize = 64 << 10;

/// What happened, as vpopmail would tell its onchange script.
pub(super) struct Event<'a> {
    pub(super) name: &'static str,
    pub(super) object: Vec<u8>,
    pub(super) second: Vec<u8>,
    pub(super) domain: &'a [u8],
    pub(super) of: &'a Domain,
    /// The directory of a mailbox that appeared.
    pub(super) directory: Option<Vec<u8>>,
}

impl<'a> Event<'a> {
    fn of_domain(name: &'static str, domain: &'a [u8], of: &'a Domain) -> Event<'a> {
        Event { name, object: domain.to_vec(), second: b"-".to_vec(), domain, of, directory: None }
    }

    pub(super) fn added(domain: &'a [u8], of: &'a Domain) -> Event<'a> {
        match &of.real {
            Some(real) => Event { second: real.clone(), ..Event::of_domain("add_alias_domain", domain, of) },
            None => Event::of_domain("add_domain", domain, of),
        }
    }

    pub(super) fn deleted(domain: &'a [u8], of: &'a Domain) -> Event<'a> {
        let event = Event::of_domain("del_domain", domain, of);
        match &of.real {
            Some(real) => Event { object: [domain, b" alias of ", real].concat(), ..event },
            None => event,
        }
    }

    /// What became of a name, and what stands behind it now.
    pub(super) fn of_name(
        (change, what, name): (Change, What, &[u8]),
        domain: &'a [u8],
        of: &'a Domain,
        inventory: Option<&Inventory>,
    ) -> Event<'a> {
        let called = match (change, what) {
            (Change::Gone, What::Mailbox) => "del_user",
            (Change::New, What::Mailbox) => "add_user",
            (Change::Other, What::Mailbox) => "mod_user",
            (Change::Gone, What::Alias) => "del_alias",
            (_, What::Alias) => "insert_alias",
        };
        let mut event = Event { object: join_address(name, domain), ..Event::of_domain(called, domain, of) };
        let alias = inventory.and_then(|inventory| inventory.aliases.get(name)).filter(|_| what == What::Alias);
        // The domain's owner is told nothing that he could not read himself.
        if let Some((_, lines)) = alias.filter(|(perm, _)| perm.uid == of.who.uid && perm.readable(of.who)) {
            // As much of it as an argument can hold.
            let lines = &lines[..lines.len().min(MAX_LINES)];
            let lines = lines.split(|b| *b == 0).next().unwrap_or_default();
            let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
            if !lines.is_empty() {
                event.second = lines.to_vec();
            }
        }
        if called == "add_user" {
            let record = inventory.and_then(|inventory| inventory.mailboxes.as_ref()?.record(name));
            event.directory = record.map(|record| directory_of(record).to_vec());
        }
        event
    }

    /// For the log; no space in it can pass for anything else.
    pub(super) fn shown(&self) -> String {
        let object = &self.object[..self.object.len().min(MAX_SHOWN)];
        format!("{}:{}", self.name, Shown(object).to_string().replace(' ', "\\x20"))
    }
}
