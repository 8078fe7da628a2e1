//! What a published table holds of a domain, for the entries that stay because their source cannot be read. The table is
//! read, whole, when the first such source is met.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::cdb::{self, Chunk};
use crate::error::{Error, Nature, show_cause, show_path};
use crate::publish::{Before, Published};
use crate::report::{self, Code, Note};
use crate::tables::recipients::PublishedKeys;
use crate::text::split_address;

/// Where the records of each domain stand.
type Places = HashMap<Vec<u8>, OfDomain>;

/// Where the records of a domain stand, in bytes.
#[derive(Default)]
struct OfDomain {
    /// In the order of the table; what stands side by side is one.
    ranges: Vec<Range<u32>>,
    /// Each record, in the order of the keys: of a domain whose records stand in several places, of which parts are asked for.
    sorted: Vec<Range<u32>>,
}

/// A published table from which entries are kept.
pub struct Retained {
    file: Option<Arc<Published>>,
    /// Its name, for messages.
    name: PathBuf,
    /// Its name, when this process may not read it, which is not root.
    pub closed: Option<PathBuf>,
    /// The domain of keys that have none.
    without_domain: Vec<u8>,
    places: OnceLock<Places>,
    /// Why it could not be read, when another reading may succeed: no rebuild may go on without it.
    failure: Mutex<Option<Error>>,
}

impl Retained {
    /// The table that was published before; without one, nothing is kept. `name` is its path on this machine.
    pub fn new(before: &Before, name: PathBuf, without_domain: &[u8]) -> Retained {
        let (file, closed, without_domain) = (before.file.clone(), before.closed.clone(), without_domain.to_vec());
        Retained { file, name, closed, without_domain, places: OnceLock::new(), failure: Mutex::default() }
    }

    /// The records of a domain, in lower case, in the order of the table.
    pub fn records_of(&self, domain: &[u8]) -> Chunk {
        let mut found = Chunk::default();
        let Some(file) = &self.file else { return found };
        for range in self.places().get(domain).into_iter().flat_map(|of_domain| &of_domain.ranges) {
            match file.records(range.clone()) {
                Ok(records) => records.records().for_each(|record| found.add(&[record.key], &[record.data])),
                Err(cause) => self.fail(cause),
            }
        }
        found
    }

    /// The key of the record that stands there.
    fn key_at(&self, range: &Range<u32>) -> Vec<u8> {
        let records = self.file.as_ref().map(|file| file.records(range.clone()));
        let key = |records: Chunk| records.records().next().map(|record| record.key.to_vec());
        match records {
            Some(Ok(records)) => key(records).unwrap_or_default(),
            Some(Err(cause)) => {
                self.fail(cause);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// Fails when the table could not be read.
    ///
    /// # Errors
    /// Why.
    pub fn all_read(&self) -> Result<(), Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }

    fn fail(&self, cause: io::Error) {
        self.fail_as(Error::io("read", &self.name, cause));
    }

    fn fail_as(&self, error: Error) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    fn places(&self) -> &Places {
        self.places.get_or_init(|| match read_whole(self.file.as_deref(), &self.name) {
            Ok(image) => image.map_or_else(Places::new, |image| self.places_in(&image)),
            Err(error) => {
                self.fail_as(error);
                Places::new()
            }
        })
    }

    fn places_in(&self, image: &[u8]) -> Places {
        let mut places = Places::new();
        let mut start = cdb::HEADER as u32;
        for record in cdb::Reader::new(image).into_iter().flat_map(|cdb| cdb.records()) {
            // Cannot be cut: a cdb is no longer than 4 GiB.
            let end = start + (8 + record.key.len() + record.data.len()) as u32;
            let domain = split_address(record.key).map_or(&self.without_domain[..], |(_, domain)| domain);
            let of_domain = match places.get_mut(domain) {
                Some(found) => found,
                None => places.entry(domain.to_vec()).or_default(),
            };
            match of_domain.ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => of_domain.ranges.push(start..end),
            }
            start = end;
        }
        for of_domain in places.values_mut().filter(|of_domain| of_domain.ranges.len() > 1) {
            of_domain.sort(image);
        }
        places
    }
}

impl OfDomain {
    fn sort(&mut self, image: &[u8]) {
        let key = |range: &Range<u32>| cdb::record_in(image, range.start).map(|record| record.key);
        for range in &self.ranges {
            let mut start = range.start;
            while let Some(record) = cdb::record_in(image, start).filter(|_| start < range.end) {
                let end = start + (8 + record.key.len() + record.data.len()) as u32;
                self.sorted.push(start..end);
                start = end;
            }
        }
        self.sorted.sort_by(|a, b| key(a).cmp(&key(b)));
    }
}

impl PublishedKeys for Retained {
    fn has(&self, domain: &[u8]) -> bool {
        self.places().contains_key(domain)
    }

    fn of_domain(&self, domain: &[u8], prefix: &[u8]) -> Vec<Vec<u8>> {
        let sorted = self.places().get(domain).map_or(&[][..], |of_domain| &of_domain.sorted);
        if prefix.is_empty() || sorted.is_empty() {
            let records = self.records_of(domain);
            let keys = records.records().map(|record| record.key).filter(|key| key.starts_with(prefix));
            return keys.map(<[u8]>::to_vec).collect();
        }
        let first = sorted.partition_point(|range| &self.key_at(range)[..] < prefix);
        let keys = sorted[first..].iter().map(|range| self.key_at(range));
        keys.take_while(|key| key.starts_with(prefix)).collect()
    }

    fn find(&self, key: &[u8]) -> Option<Vec<u8>> {
        // Of a damaged table nothing is kept.
        let file = self.file.as_ref().filter(|_| !self.places().is_empty())?;
        let found = file.cdb().and_then(|cdb| cdb.search(key));
        found.unwrap_or_else(|cause| {
            self.fail(cause);
            None
        })
    }
}

/// The content of a published table to keep entries from, called `name`; a damaged one has lost who knows what, and nothing
/// is kept from it.
///
/// # Errors
/// It cannot be read now.
pub fn read_whole(published: Option<&Published>, name: &std::path::Path) -> Result<Option<Vec<u8>>, Error> {
    let Some(published) = published else { return Ok(None) };
    let read = match published.read() {
        Err(cause) if Nature::of_error(&cause) != Nature::Host => {
            return Err(Error::io("read", name, cause).then("if that stays so, move the file away"));
        }
        read => read.map_err(|cause| show_cause(&cause)),
    };
    let whole = read.and_then(|image| {
        let checked = cdb::Reader::new(&image).and_then(|cdb| cdb.check());
        checked.map(|()| image).map_err(|corrupt| corrupt.to_string())
    });
    let alert = |cause| {
        Note::alert(format!("{}: {cause}; nothing can be kept from it", show_path(name))).of(Code::TableNotKept)
    };
    Ok(whole.map_err(|cause| report::say_all(&[alert(cause)])).ok())
}
