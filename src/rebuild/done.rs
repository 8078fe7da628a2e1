//! What a rebuild published, and how that is said: in the log, and as the error that something of it is held or kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Denied, Error, show_path};
use crate::fs::Stamp;
use crate::host::Host;
use crate::host::compilers::Due;
use crate::protect::hold::Held;
use crate::publish::{Ready, Target};
use crate::report::{self, Level};
use crate::settings::Settings;
use crate::text::count;

use super::homes::KeptHome;
use super::memory::Because;
use super::targets::Stamps;
use super::{Order, others};

/// What a rebuild published.
#[derive(Clone, Debug)]
pub struct Done {
    /// validrcptto.cdb.
    pub recipients: TableDone,
    /// auth.cdb.
    pub logins: TableDone,
    /// When the next login expires, in seconds since 1970-01-01 UTC.
    pub next_expiry: Option<u64>,
    /// How long it took.
    pub duration: Duration,
    /// The domains that keep their published entries, those that would lose most first.
    pub held: Vec<Held>,
    /// How many domains take every name, because nobody can know the users of a program.
    pub open_domains: usize,
    /// The homes, and the files of our own, that could not be read.
    pub kept: Vec<KeptHome>,
    /// What this process may not read, which is not root.
    pub denied: Denied,
    /// The compilers whose files are behind, when the host was read for this.
    pub behind: Vec<Due>,
    /// The host, its homes aside.
    pub host: Arc<Host>,
    /// Whether it was read for this; else nobody touched it.
    pub host_read: bool,
    /// How many homes were read, where a service counts that.
    pub homes: Option<HomesRead>,
    /// The published files.
    pub stamps: Stamps,
    /// Those of other qmails, and what became of each.
    pub others: Vec<(TableDone, Option<Stamp>)>,
    /// Whether something could not be read that another reading may find: it has to be read again soon.
    pub is_again_soon: bool,
}

impl Done {
    /// The files that were replaced.
    pub fn changed(&self) -> Vec<PathBuf> {
        [&self.recipients, &self.logins]
            .into_iter()
            .chain(self.others.iter().map(|(table, _)| table))
            .filter(|table| table.published)
            .map(|table| table.path.clone())
            .collect()
    }

    /// By what all published files are known again, in the order of [`Settings::published`].
    pub fn left(&self) -> Vec<Option<Stamp>> {
        let others = self.others.iter().map(|(_, stamp)| stamp.clone());
        [self.stamps.0.clone(), self.stamps.1.clone()].into_iter().chain(others).collect()
    }

    /// The same, when the tables of other qmails are published too, and the log was told of it.
    pub(super) fn told(mut self, settings: &Settings, order: &Order<'_>, start: Instant) -> Result<Done, Error> {
        let others = others::publish(settings, self.stamps.0.as_ref());
        let others = others.map_err(|error| error.then("validrcptto.cdb and auth.cdb are published all the same"));
        self.duration = start.elapsed();
        if !order.is_quiet || !self.changed().is_empty() {
            report::say(Level::Status, &self.story(order.head, order.middle));
        }
        Ok(Done { others: others?, ..self })
    }

    /// What the log says of it; `middle` stands before the time it took.
    fn story(&self, head: &str, middle: &str) -> String {
        let table = |table: &TableDone, what: &str| {
            let word = if table.published { "published" } else { "unchanged" };
            let difference = table.difference.map_or(String::new(), |(came, went)| format!(" (+{came} -{went})"));
            format!("{} {word} {what}={}{difference}", table.name, table.records)
        };
        let (recipients, logins) = (table(&self.recipients, "recipients"), table(&self.logins, "logins"));
        let held = if self.held.is_empty() { String::new() } else { format!(" held={}", self.held.len()) };
        let because = |because: Because| format!(" because={}", because.word());
        let homes = self.homes.map_or(String::new(), |HomesRead { read, all, because: why }| {
            format!(" read={read}/{all}{}", why.map_or(String::new(), because))
        });
        format!("{head}: {recipients} {logins}{held}{homes}{middle} ms={}", self.duration.as_millis())
    }

    /// The error that a file of our own is that cannot be used, or a held domain.
    ///
    /// # Errors
    /// When there is one.
    pub fn all_published(self) -> Result<Done, Error> {
        let mut unusable = self.kept.iter().filter_map(|kept| kept.unusable.as_ref());
        if let Some(first) = unusable.next() {
            let path = self.host.layout.root.path(&first.path);
            let text = format!(
                "{}: {}; what depends on that stays as published, and everything else is published",
                show_path(&path),
                first.cause
            );
            let stays = first.stays || unusable.any(|unusable| unusable.stays);
            return Err(if stays { Error::Usage(text) } else { Error::Temporary(text) });
        }
        match self.held.len() {
            0 => Ok(self),
            held => Err(Error::Temporary(format!(
                "held, as the alert says: {}; everything else is published",
                count(held, "domain")
            ))),
        }
    }
}

/// How many homes a rebuild read.
#[derive(Clone, Copy, Debug)]
pub struct HomesRead {
    /// Of how many.
    pub all: usize,
    /// So many.
    pub read: usize,
    /// Why these are all.
    pub because: Option<Because>,
}

/// What became of one table.
#[derive(Clone, Debug)]
pub struct TableDone {
    /// Its path, as it is set.
    pub path: PathBuf,
    /// Its last name.
    pub name: String,
    /// Whether the file was replaced.
    pub published: bool,
    /// How many records it holds.
    pub records: u64,
    /// How many records came and went, where that was counted.
    pub difference: Option<(u64, u64)>,
}

impl TableDone {
    pub(super) fn of(target: &Target, new: &Ready) -> TableDone {
        TableDone {
            path: target.name.clone(),
            name: target.base_name(),
            published: new.is_new(),
            records: new.records,
            difference: new.difference.as_ref().map(|difference| (difference.came, difference.went)),
        }
    }
}
