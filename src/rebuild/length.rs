//! How long the tables become. Where one would be too long for its format, the largest home stays as it is published, and
//! then the next one.

use std::hash::RandomState;
use std::time::Duration;

use crate::cdb::{self, Chunk};
use crate::error::Error;
use crate::fs::Stamp;
use crate::fs::budget::too_long;
use crate::host::Host;
use crate::settings::Settings;

use super::full::{Built, build_and_remember};
use super::targets::{New, Targets};
use super::{Order, Sink};

/// So many homes at most are left out of a rebuild because a table would be too long.
const MAX_GIVEN_UP: usize = 20;
/// A home that was left out so rests as one that takes so long to read.
const TOO_LONG_AGAIN: Duration = Duration::from_secs(3);

/// Builds both tables. Where one would be too long for its format, the largest home stays as it is published, and then the
/// next one.
pub(super) fn build_short_enough<'a>(
    settings: &Settings,
    order: &Order<'a>,
    targets: &Targets,
    found: &dyn Fn(&Host, bool),
    seed: Option<RandomState>,
) -> Result<(New<'a>, Built), Error> {
    let resting = &settings.layout.root.resting;
    let mut left = MAX_GIVEN_UP;
    loop {
        let (mut new, before) = (New::stage(targets, order.stop)?, resting.number_beyond());
        match build_and_remember(settings, &mut new, found, seed.clone()) {
            Ok(built) => return Ok((new, built)),
            Err(error) if !is_too_long(&error) || left == 0 || resting.number_beyond() == before => return Err(error),
            Err(_) => left -= 1,
        }
    }
}

fn is_too_long(error: &Error) -> bool {
    matches!(error, Error::Io { cause, .. } if cause.kind() == std::io::ErrorKind::FileTooLarge)
}

/// In the place of a table that would be too long, the largest home of it stays as it is published for a while.
pub(super) fn give_up_largest(settings: &Settings, host: &Host, table: &[u8], length: &Length) -> Error {
    let table = settings.layout.root.path(table);
    if let Some((home, stamps, _)) = &length.largest {
        let cause = too_long(&table);
        let domains = host.some_domains_of(home);
        host.layout.root.resting.add(home, domains, stamps.clone(), &cause.as_str().into(), TOO_LONG_AGAIN);
    }
    Error::io("write", &table, std::io::Error::new(std::io::ErrorKind::FileTooLarge, cdb::Corrupt::TooLong))
}

/// Where the next records go. When a table is longer than it may be, nothing more is written, and it is only counted.
pub(super) struct Counting<'a> {
    pub(super) sink: &'a mut (dyn Sink + Send),
    pub(super) recipients: Length,
    pub(super) logins: Length,
}

/// How long a table is.
pub(super) struct Length {
    /// The longest that it may be, in bytes.
    most: u64,
    /// Where the next record begins.
    pub(super) next: u64,
    records: u64,
    /// The home of which most of it is: the path, what stat(2) said of it, and how many bytes.
    largest: Option<(Vec<u8>, Vec<Option<Stamp>>, u64)>,
}

/// A table has two slots of eight bytes for each record.
pub(super) const SLOTS: u64 = 16;

impl Length {
    pub(super) fn new(most: u64) -> Length {
        Length { most, next: cdb::HEADER as u64, records: 0, largest: None }
    }

    fn add(&mut self, records: &Chunk) {
        self.next += records.size() as u64;
        self.records += records.len() as u64;
    }

    fn is_too_long(&self) -> bool {
        self.next + self.records * SLOTS > self.most
    }

    /// Notes what a home has in the table.
    pub(super) fn add_home(&mut self, home: &[u8], stamps: &[Option<Stamp>], bytes: u64) {
        if bytes > self.largest.as_ref().map_or(0, |(.., most)| *most) {
            self.largest = Some((home.to_vec(), stamps.to_vec(), bytes));
        }
    }
}

impl Counting<'_> {
    /// The first table that is too long, and its length.
    pub(super) fn too_long(&self, settings: &Settings) -> Option<(Vec<u8>, &Length)> {
        let tables = [(&settings.validrcptto, &self.recipients), (&settings.auth, &self.logins)];
        let found = tables.into_iter().find(|(_, length)| length.is_too_long());
        found.map(|(path, length)| (path.clone(), length))
    }
}

impl Sink for Counting<'_> {
    fn recipients(&mut self, records: &Chunk) -> Result<(), Error> {
        self.recipients.add(records);
        if self.recipients.is_too_long() { Ok(()) } else { self.sink.recipients(records) }
    }

    fn logins(&mut self, records: &Chunk) -> Result<(), Error> {
        self.logins.add(records);
        if self.logins.is_too_long() { Ok(()) } else { self.sink.logins(records) }
    }
}
