//! Both tables in memory, and how they differ from the published ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::cdb;
use crate::error::{Denied, Error};
use crate::protect::guard::stands_for;
use crate::protect::hold::{self, Patience, Scales};
use crate::publish::Published;
use crate::rebuild::{Built, Sink, build};
use crate::settings::Settings;
use crate::tables::smtpd::{Says, lookup};
use crate::text::{Shown, split_address};

/// Both tables, sorted.
#[derive(Default)]
pub struct Sorted {
    /// validrcptto.cdb.
    pub recipients: BTreeMap<Vec<u8>, &'static [u8]>,
    /// auth.cdb.
    pub logins: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Sink for Sorted {
    fn recipients(&mut self, records: &cdb::Chunk) -> Result<(), Error> {
        let data = |record: cdb::Record<'_>| Says::of(record.data).data();
        self.recipients.extend(records.records().map(|record| (record.key.to_vec(), data(record))));
        Ok(())
    }

    fn logins(&mut self, records: &cdb::Chunk) -> Result<(), Error> {
        self.logins.extend(records.records().map(|record| (record.key.to_vec(), record.data.to_vec())));
        Ok(())
    }
}

/// One entry that a rebuild would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `+`, `-`, or `~` for a login that stays and says something else, and for a name whose mail something else takes.
    pub sign: char,
    /// Whether the entry of the recipient table accepts; `None` for a login.
    pub accepts: Option<bool>,
    /// The entry.
    pub key: Vec<u8>,
    /// Whether the loss guard keeps the published entry: a rebuild does not make this change.
    pub is_held: bool,
}

impl Change {
    /// `accept`, `refuse` or `login`.
    pub fn word(&self) -> &'static str {
        self.accepts.map_or("login", word)
    }

    /// The domain of the entry; empty for one without.
    pub fn domain(&self) -> &[u8] {
        split_address(&self.key).map_or(b"", |(_, domain)| domain)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{}\t{}", self.sign, self.word(), Shown(&self.key))
    }
}

/// How many of these a rebuild would make: all but the held ones.
pub fn made(changes: &[Change]) -> usize {
    changes.iter().filter(|change| !change.is_held).count()
}

/// What a rebuild would do.
pub struct Compared {
    /// What it would write if nothing were held.
    pub new: Sorted,
    /// What that would change, in the order of the keys; of a table of which that cannot be known, nothing.
    pub changes: Vec<Change>,
    /// How many published entries of the recipient table accept without what takes the mail, and would say it: those of
    /// version 0.1.0. They are no changes.
    pub silent: usize,
    /// What came of building beside the records; what the guard would hold is among its notes.
    pub built: Built,
    /// The names of the domains that the guard would hold.
    pub held: BTreeSet<Vec<u8>>,
    /// What they would lose, in words.
    pub held_in_words: Option<String>,
    /// What this process may not read, which is not root, and a rebuild by root would.
    pub denied: Denied,
}

/// Builds both tables and compares them with the published ones.
///
/// # Errors
/// What stops a rebuild.
pub fn compare(settings: &Settings) -> Result<Compared, Error> {
    let (of_recipients, of_logins) = (settings.recipients_target()?.0.before(), settings.logins_target()?.0.before());
    let published = (of_recipients.file, of_logins.file);
    let read = |published: &Option<Arc<Published>>| published.as_ref()?.read().ok();
    let (recipients, logins) = (read(&published.0), read(&published.1));
    let mut new = Sorted::default();
    let mut built = build(settings, &mut new)?;
    // What is built says nothing about what root would build.
    let is_known = built.denied.is_empty();
    let are_known = [&of_recipients.closed, &of_logins.closed].map(|closed| is_known && closed.is_none());
    let mut denied = built.denied.clone();
    denied.extend(of_recipients.closed.into_iter().chain(of_logins.closed));
    built.notes.retain(|note| !note.denied);
    let (mut changes, mut silent) = (Vec::new(), 0);
    // What a rebuild would write, where that is something else: the loss guard keeps published entries.
    let (mut kept_recipients, mut kept_logins) = (None, BTreeMap::new());
    let (alerts, held, held_in_words) = if is_known {
        let policy = built.policy();
        let mut scales = Scales::new(settings, &built.host, &policy)?;
        let of_recipients = file(&published.0, recipients.as_deref());
        let of_logins = file(&published.1, logins.as_deref());
        if let Some(published) = &of_recipients {
            scales.weigh_recipients(published, &new.recipients, &|_| true)?;
        }
        if let Some(published) = &of_logins {
            scales.weigh_logins(published, &|key| !new.logins.contains_key(key))?;
        }
        let (held, _) = scales.held(Patience::Ever);
        if let Some(published) = of_recipients.filter(|_| !held.is_empty()) {
            kept_recipients = Some(scales.kept_recipients(&held, &published, &new.recipients)?);
        }
        if let Some(published) = of_logins.filter(|_| !held.is_empty()) {
            scales.kept_logins(&held, &published, &mut |login| {
                kept_logins.entry(login.key).or_insert(login.data);
                Ok(())
            })?;
        }
        let then = "restore what is missing; the service makes these changes when the hold ends; only with --force does a \
                    rebuild make all of these changes now";
        let alerts = scales.alerts(&held, then);
        (alerts, hold::names(&held), hold::in_words(&held))
    } else {
        (Vec::new(), hold::held_before(settings)?, None)
    };
    built.notes.extend(alerts);
    let old = records(recipients.as_deref());
    let break_byte = settings.layout.break_byte;
    // What the old table accepts by a wider key and without what takes it.
    let is_silent =
        |key: &[u8]| lookup(&stands_for(key, break_byte), break_byte, |key| old.get(key)).says == Says::Accepts(None);
    let keys = || -> BTreeSet<&[u8]> { old.keys().copied().chain(new.recipients.keys().map(Vec::as_slice)).collect() };
    for key in if are_known[0] { keys() } else { BTreeSet::new() } {
        let says = |data: Option<&[u8]>| data.map(Says::of);
        let signs = match (says(old.get(key).copied()), says(new.recipients.get(key).copied())) {
            (before, after) if before == after => continue,
            (Some(Says::Accepts(None)), Some(Says::Accepts(_))) => {
                silent += 1;
                continue;
            }
            (None, Some(Says::Accepts(Some(_)))) if is_silent(key) => {
                silent += 1;
                continue;
            }
            (Some(Says::Accepts(_)), after @ Some(Says::Accepts(_))) => [('~', after), ('~', None)],
            (before, after) => [('-', before), ('+', after)],
        };
        let written = kept_recipients.as_ref().map(|kept| says(kept.get(key).copied()));
        let is_held = written.is_some_and(|written| written == says(old.get(key).copied()));
        let change = |(sign, says): (char, Option<Says>)| {
            Some(Change { sign, accepts: Some(says?.accepts()), key: key.to_vec(), is_held })
        };
        changes.extend(signs.into_iter().filter_map(change));
    }
    let old = records(logins.as_deref());
    let keys = || -> BTreeSet<&[u8]> { old.keys().copied().chain(new.logins.keys().map(Vec::as_slice)).collect() };
    for key in if are_known[1] { keys() } else { BTreeSet::new() } {
        let sign = match (old.get(key), new.logins.get(key)) {
            (None, _) => '+',
            (_, None) => '-',
            (Some(old), Some(new)) if *old == &new[..] => continue,
            _ => '~',
        };
        let is_held = sign == '-' && kept_logins.get(key).map(Vec::as_slice) == old.get(key).copied();
        changes.push(Change { sign, accepts: None, key: key.to_vec(), is_held });
    }
    Ok(Compared { new, changes, silent, built, held, held_in_words, denied })
}

/// `accept` or `refuse`.
pub fn word(accepted: bool) -> &'static str {
    if accepted { "accept" } else { "refuse" }
}

/// The records of a published file, of equal keys the first; none of what is missing or damaged.
fn records(image: Option<&[u8]>) -> BTreeMap<&[u8], &[u8]> {
    let mut found = BTreeMap::new();
    for record in whole(image).into_iter().flat_map(|cdb| cdb.records()) {
        found.entry(record.key).or_insert(record.data);
    }
    found
}

/// A published file where it lies, unless its content is missing or damaged.
fn file<'p>(published: &'p Option<Arc<Published>>, image: Option<&[u8]>) -> Option<cdb::FileReader<'p>> {
    whole(image)?;
    published.as_ref()?.cdb().ok()
}

/// A published file, unless it is missing or damaged.
fn whole(image: Option<&[u8]>) -> Option<cdb::Reader<'_>> {
    cdb::Reader::new(image?).ok().filter(|cdb| cdb.check().is_ok())
}
