//! The file format of D. J. Bernstein's cdb, both ways (docs/rules.md, 2.4).
//!
//! Reading is our own: it works on bytes that somebody else may have damaged on purpose, and must neither panic nor
//! take more memory or time than goes with the file's size. Writing is our own too: records come in chunks whose hashes
//! others have made already, and only their places stay in memory.

mod batch;
pub mod diff;

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, Builder};

pub use batch::{Batch, Extent, Frame, Piece};

/// The pointers to the 256 tables: what every cdb begins with.
pub const HEADER: usize = 2048;

/// What is wrong with a cdb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corrupt {
    /// Shorter than its 2048 bytes of pointers.
    TooShort,
    /// Larger than 4 GiB, which no pointer reaches.
    TooLong,
    /// The tables are not where the pointers say, one behind the other up to the end of the file.
    Tables,
    /// A record runs past the end of the records.
    Record,
    /// A record cannot be found by its key.
    Lost,
    /// What a record holds is not what anybody writes.
    Data,
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Corrupt::TooShort => "corrupt: shorter than a cdb's 2048 bytes of pointers",
            Corrupt::TooLong => "corrupt: longer than the 4 GiB of a cdb",
            Corrupt::Tables => "corrupt: its tables are not where its pointers say",
            Corrupt::Record => "corrupt: a record runs past the end of the records",
            Corrupt::Lost => "corrupt: a record cannot be found by its key",
            Corrupt::Data => "corrupt: a record's data holds NUL",
        })
    }
}

impl std::error::Error for Corrupt {}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its key.
    pub key: &'a [u8],
    /// Its data.
    pub data: &'a [u8],
}

/// Reads a cdb that is whole in memory.
///
/// ```
/// use qmail_updater::cdb::{Reader, image};
/// let file = image([(&b"joe@a.test"[..], &b""[..])]).unwrap();
/// let cdb = Reader::new(&file).unwrap();
/// assert_eq!(cdb.find(b"joe@a.test"), Some(&b""[..]));
/// assert_eq!(cdb.find(b"ann@a.test"), None);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    image: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Takes the bytes of a cdb file, as its own readers take them: whatever is wrong inside is only "not found".
    ///
    /// # Errors
    /// Too short or too long to be one.
    pub fn new(image: &'a [u8]) -> Result<Reader<'a>, Corrupt> {
        if image.len() < HEADER {
            return Err(Corrupt::TooShort);
        }
        if u32::try_from(image.len()).is_err() {
            return Err(Corrupt::TooLong);
        }
        Ok(Reader { image })
    }

    /// The data of the first record with this key, as `cdb_find` finds it: a damaged record ends the search.
    pub fn find(&self, key: &[u8]) -> Option<&'a [u8]> {
        let hash = hash(key);
        let (position, slots) = pair(self.image, (hash as usize & 0xff) * 8)?;
        let first = (hash as usize >> 8).checked_rem(slots)?;
        for slot in (first..slots).chain(0..first) {
            let (slot_hash, record) = pair(self.image, position.checked_add(slot.checked_mul(8)?)?)?;
            if record == 0 {
                return None;
            }
            if slot_hash == hash as usize {
                let record = self.record_at(record, self.image.len()).ok()?.0;
                if record.key == key {
                    return Some(record.data);
                }
            }
        }
        None
    }

    /// All records in the order in which they were written; of a damaged cdb nothing after the first damage.
    pub fn records(&self) -> impl Iterator<Item = Record<'a>> + use<'a> {
        let reader = *self;
        let end = tables_within(self.image, self.image.len()).map_or(HEADER, |tables| tables.start);
        let mut position = HEADER;
        std::iter::from_fn(move || {
            let (record, next) = (position < end).then(|| reader.record_at(position, end).ok()).flatten()?;
            position = next;
            Some(record)
        })
    }

    /// Makes sure that the cdb is whole: its tables fill the file behind the records, and every record is found by its
    /// key. However the tables were made, it takes no longer than the file is large.
    ///
    /// # Errors
    /// The first damage.
    pub fn check(&self) -> Result<(), Corrupt> {
        check_tables(self.image, self.image.len())?;
        self.check_all_found()
    }

    /// Makes sure that every record of a cdb that somebody else made is found by its key. Bytes behind its tables are no
    /// damage: its own readers do not look at them.
    ///
    /// # Errors
    /// The first damage.
    pub fn check_all_found(&self) -> Result<(), Corrupt> {
        self.check_slots().map(drop)
    }

    /// Checks; the slots of all records, as [`slot`] has them, in the order in which the records were written.
    fn check_slots(&self) -> Result<Vec<u64>, Corrupt> {
        let end = tables_within(self.image, self.image.len())?.start;
        let mut slots = self.slots()?;
        slots.sort_unstable();
        self.check_records(&slots, end)?;
        Ok(slots)
    }

    /// Makes sure that the records, which end here, are those of these slots, which are sorted.
    fn check_records(&self, slots: &[u64], end: usize) -> Result<(), Corrupt> {
        let mut found = slots.iter();
        let mut position = HEADER;
        while position < end {
            let (record, next) = self.record_at(position, end)?;
            if found.next() != Some(&slot(position, hash(record.key))) {
                return Err(Corrupt::Lost);
            }
            position = next;
        }
        if found.next().is_some() { Err(Corrupt::Lost) } else { Ok(()) }
    }

    /// The slots in use, of tables that were checked, as [`slot`] has them.
    ///
    /// # Errors
    /// A slot that no search for its hash comes to.
    fn slots(&self) -> Result<Vec<u64>, Corrupt> {
        let mut found = Vec::new();
        for table in 0..256 {
            let (position, slots) = pair(self.image, table * 8).ok_or(Corrupt::Tables)?;
            let bytes = self.image.get(position..position + slots * 8).ok_or(Corrupt::Tables)?;
            for_each_used(table, bytes, |record, hash| found.push(slot(record, hash)))?;
        }
        Ok(found)
    }

    /// The record at `position` and where the next one begins; it must end by `limit`.
    fn record_at(&self, position: usize, limit: usize) -> Result<(Record<'a>, usize), Corrupt> {
        let (key_length, data_length) = pair(self.image, position).ok_or(Corrupt::Record)?;
        let key_start = position + 8;
        let data_start = key_start.checked_add(key_length).ok_or(Corrupt::Record)?;
        let next = data_start.checked_add(data_length).filter(|next| *next <= limit).ok_or(Corrupt::Record)?;
        Ok((Record { key: &self.image[key_start..data_start], data: &self.image[data_start..next] }, next))
    }
}

/// Calls back with the record and the hash of each slot in use of a table.
///
/// # Errors
/// A slot that no search for its hash comes to.
fn for_each_used(table: usize, bytes: &[u8], mut used: impl FnMut(usize, u32)) -> Result<(), Corrupt> {
    let mut slots = Slots::new(table, bytes.len() / 8);
    slots.pass(bytes, &mut used)?;
    slots.end(&mut used)
}

/// The slots of one table, looked at from the first to the last: each in use must be where a search for its hash comes to.
struct Slots {
    table: usize,
    /// How many there are, and how many were looked at.
    count: usize,
    passed: usize,
    /// How many in a row are in use, up to the one looked at: a search ends at an empty slot.
    row: usize,
    /// Those in front of the first empty slot, with the hash and the record: what comes to them may begin at the end.
    first: Vec<(u32, u32)>,
    is_any_empty: bool,
}

impl Slots {
    fn new(table: usize, count: usize) -> Slots {
        Slots { table, count, passed: 0, row: 0, first: Vec::new(), is_any_empty: false }
    }

    /// Looks at the next ones, which are in these bytes.
    fn pass(&mut self, bytes: &[u8], used: &mut impl FnMut(usize, u32)) -> Result<(), Corrupt> {
        for slot in bytes.chunks_exact(8) {
            let (hash, record) = pair(slot, 0).ok_or(Corrupt::Tables)?;
            if record == 0 {
                self.pass_empty(1);
                continue;
            }
            if !self.is_any_empty {
                // Cannot be cut because a cdb has 32 bits for each.
                self.first.push((hash as u32, record as u32));
            } else {
                self.row += 1;
                self.check(self.passed, hash)?;
                used(record, hash as u32);
            }
            self.passed += 1;
        }
        Ok(())
    }

    /// Passes so many that are empty.
    fn pass_empty(&mut self, count: usize) {
        self.passed += count;
        self.row = 0;
        self.is_any_empty |= count > 0;
    }

    /// Looks at those that were put off.
    fn end(mut self, used: &mut impl FnMut(usize, u32)) -> Result<(), Corrupt> {
        if !self.is_any_empty {
            self.row = self.count;
        }
        for (number, (hash, record)) in std::mem::take(&mut self.first).into_iter().enumerate() {
            self.row += 1;
            self.check(number, hash as usize)?;
            used(record as usize, hash);
        }
        Ok(())
    }

    fn check(&self, number: usize, hash: usize) -> Result<(), Corrupt> {
        let first = (hash >> 8) % self.count;
        let steps = if number < first { number + self.count - first } else { number - first };
        if hash & 0xff != self.table || steps >= self.row { Err(Corrupt::Lost) } else { Ok(()) }
    }
}

/// A cdb file of somebody else, whose size says nothing about how much is in it.
pub trait Source {
    /// How long it is, in bytes.
    fn length(&self) -> u64;
    /// Fills the buffer from this position on.
    ///
    /// # Errors
    /// Those of read(2).
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()>;
    /// Where data is next, from this position on: in front of it is nothing but NUL. `None` when there is none.
    ///
    /// # Errors
    /// Those of lseek(2).
    fn data_from(&self, position: u64) -> io::Result<Option<u64>>;
    /// Whether so many bytes may stand in memory.
    ///
    /// # Errors
    /// They may not.
    fn may_hold(&self, bytes: u64) -> io::Result<()>;
    /// Whether there may be so many records.
    ///
    /// # Errors
    /// They may not.
    fn may_have(&self, records: usize) -> io::Result<()>;
}

/// So many bytes of a file of somebody else are read at once.
const READ_AT_ONCE: usize = 1 << 16;
/// Where so many bytes in a row are NUL, the file may have a hole.
const HOLE: usize = 1 << 12;

/// Some bytes of a file of somebody else.
struct Window<'s> {
    source: &'s dyn Source,
    /// How much of the file counts.
    length: usize,
    bytes: Vec<u8>,
    /// Where in the file they begin.
    start: usize,
}

impl Window<'_> {
    /// Bytes at this position: no more than `most`, and no fewer than `least` of them.
    fn at(&mut self, position: usize, least: usize, most: usize) -> io::Result<&[u8]> {
        let end = self.start + self.bytes.len();
        if position < self.start || position + least > end {
            let more = READ_AT_ONCE.min(self.length.saturating_sub(position));
            self.bytes.resize(more, 0);
            self.source.read_at(&mut self.bytes, position as u64)?;
            self.start = position;
        }
        let bytes = self.bytes.get(position - self.start..).unwrap_or_default();
        let bytes = &bytes[..bytes.len().min(most)];
        if bytes.len() < least { Err(io::Error::other(Corrupt::Tables)) } else { Ok(bytes) }
    }

    /// The slots in use, as [`slot`] has them, sorted. Of what the file has no blocks for, nothing is read.
    fn slots(&mut self, header: &[u8]) -> io::Result<Vec<u64>> {
        let mut found: Vec<u64> = Vec::new();
        for table in 0..256 {
            let (position, count) = pair(header, table * 8).ok_or_else(|| io::Error::other(Corrupt::Tables))?;
            let mut slots = Slots::new(table, count);
            while slots.passed < count {
                let at = position + slots.passed * 8;
                let bytes = self.at(at, 8, (count - slots.passed) * 8)?;
                let bytes = &bytes[..bytes.len() / 8 * 8];
                if bytes.len() >= HOLE && bytes.iter().all(|byte| *byte == 0) {
                    let at = at + bytes.len();
                    slots.pass_empty(bytes.len() / 8);
                    let data = if slots.passed < count { self.source.data_from(at as u64)? } else { None };
                    let gap = data.map_or(u64::MAX, |data| data.saturating_sub(at as u64)) / 8;
                    slots.pass_empty(usize::try_from(gap).unwrap_or(usize::MAX).min(count - slots.passed));
                    continue;
                }
                found.try_reserve(bytes.len() / 8).map_err(no_memory)?;
                slots.pass(bytes, &mut |record, hash| found.push(slot(record, hash))).map_err(io::Error::other)?;
                self.source.may_have(found.len() + slots.first.len())?;
            }
            found.try_reserve(slots.first.len()).map_err(no_memory)?;
            slots.end(&mut |record, hash| found.push(slot(record, hash))).map_err(io::Error::other)?;
        }
        found.sort_unstable();
        Ok(found)
    }
}

fn no_memory(_: std::collections::TryReserveError) -> io::Error {
    io::ErrorKind::OutOfMemory.into()
}

/// A slot as a number that sorts by where the record is.
fn slot(record: usize, hash: u32) -> u64 {
    (record as u64) << 32 | u64::from(hash)
}

/// A cdb that is whole and checked, its records sorted by key: its own tables can be made so that each search takes as
/// long as the file is large.
#[derive(Clone)]
pub struct Indexed {
    /// The file up to its tables.
    image: Vec<u8>,
    /// What the key of each record begins with, and where the record is; of equal keys the first written comes first.
    order: Vec<(u64, u32)>,
}

impl Indexed {
    /// Checks the cdb and sorts its records.
    ///
    /// # Errors
    /// The first damage.
    pub fn new(mut image: Vec<u8>) -> Result<Indexed, Corrupt> {
        let slots = Reader::new(&image)?.check_slots()?;
        image.truncate(tables_within(&image, image.len())?.start);
        Ok(Indexed::of(image, slots))
    }

    /// Reads the records of a cdb into memory, checks and sorts them. Its tables are only looked at: they may be thousands
    /// of times as large as what is in them.
    ///
    /// # Errors
    /// Those of the source; [`Corrupt`] within for the first damage.
    pub fn read(source: &dyn Source) -> io::Result<Indexed> {
        let length = u32::try_from(source.length()).map_err(|_| io::Error::other(Corrupt::TooLong))? as usize;
        if length < HEADER {
            return Err(io::Error::other(Corrupt::TooShort));
        }
        let mut window = Window { source, length, bytes: Vec::new(), start: 0 };
        let mut image = window.at(0, HEADER, HEADER)?.to_vec();
        let tables = tables_within(&image, length).map_err(io::Error::other)?;
        let end = tables.start;
        window.length = tables.end;
        source.may_hold(end as u64)?;
        image.try_reserve_exact(end - HEADER).map_err(no_memory)?;
        while image.len() < end {
            let bytes = window.at(image.len(), 1, end - image.len())?;
            // A hole in the file: nobody writes a record like that.
            if bytes.len() == READ_AT_ONCE && bytes.iter().all(|byte| *byte == 0) {
                return Err(io::Error::other(Corrupt::Data));
            }
            image.extend_from_slice(bytes);
        }
        let slots = window.slots(&image)?;
        Reader { image: &image }.check_records(&slots, end).map_err(io::Error::other)?;
        Ok(Indexed::of(image, slots))
    }

    /// Sorts the records in front of the tables, which have these slots.
    fn of(image: Vec<u8>, slots: Vec<u64>) -> Indexed {
        let positions = slots.into_iter().map(|slot| (slot >> 32) as u32);
        let mut order: Vec<(u64, u32)> =
            positions.map(|position| (prefix(record(&image, position).key), position)).collect();
        order.sort_unstable();
        for alike in order.chunk_by_mut(|(a, _), (b, _)| a == b).filter(|alike| alike.len() > 1) {
            alike.sort_unstable_by_key(|(_, position)| (record(&image, *position).key, *position));
        }
        Indexed { image, order }
    }

    /// How long its records are, in bytes.
    pub fn size(&self) -> usize {
        self.image.len()
    }

    /// The data of the first record with this key.
    pub fn find(&self, key: &[u8]) -> Option<&[u8]> {
        let wanted = prefix(key);
        let is_less = |(prefix, position): &(u64, u32)| {
            *prefix < wanted || *prefix == wanted && record(&self.image, *position).key < key
        };
        let (_, position) = self.order.get(self.order.partition_point(is_less))?;
        Some(record(&self.image, *position)).filter(|record| record.key == key).map(|record| record.data)
    }

    /// All records in the order of their keys, those of equal keys in that in which they were written.
    pub fn sorted(&self) -> impl ExactSizeIterator<Item = Record<'_>> {
        self.order.iter().map(|(_, position)| record(&self.image, *position))
    }
}

/// A record of a cdb that was checked.
fn record(image: &[u8], position: u32) -> Record<'_> {
    let found = Reader { image }.record_at(position as usize, image.len());
    // Cannot fail because it was read before.
    found.map_or(Record { key: b"", data: b"" }, |(record, _)| record)
}

/// The first eight bytes of a key as a number that sorts as they do.
pub fn prefix(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = key.len().min(8);
    bytes[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(bytes)
}

/// How much of a file is read at once, in bytes.
pub const PIECE: usize = 1 << 18;

/// What is known of a cdb file, for all who look keys up in it.
#[derive(Debug)]
pub struct Index {
    pointers: Vec<u8>,
    length: usize,
    /// Which tables were found whole: an address may have hundreds of keys.
    whole: Vec<OnceLock<()>>,
}

impl Index {
    /// Reads the pointers of a cdb file, wherever its offset is.
    ///
    /// # Errors
    /// Those of read(2); [`Corrupt`] within, when it is too short or too long to be one.
    pub fn read(file: &File) -> io::Result<Index> {
        let length = u32::try_from(file.metadata()?.len()).map_err(|_| io::Error::other(Corrupt::TooLong))?;
        let mut pointers = vec![0; HEADER];
        let read = file.read_exact_at(&mut pointers, 0);
        read.map_err(|cause| match cause.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::other(Corrupt::TooShort),
            _ => cause,
        })?;
        Ok(Index { pointers, length: length as usize, whole: vec![OnceLock::new(); 256] })
    }
}

/// Reads a cdb where it lies: its memory does not go with the size of the file.
#[derive(Clone, Debug)]
pub struct FileReader<'f> {
    file: &'f File,
    index: Arc<Index>,
}

impl<'f> FileReader<'f> {
    /// Takes a cdb file; whatever is wrong inside is only "not found".
    ///
    /// # Errors
    /// Those of [`Index::read`].
    pub fn new(file: &'f File) -> io::Result<FileReader<'f>> {
        Ok(FileReader::with(file, Arc::new(Index::read(file)?)))
    }

    /// The same, with what is known of the file.
    pub fn with(file: &'f File, index: Arc<Index>) -> FileReader<'f> {
        FileReader { file, index }
    }

    /// The data of the first record with this key, as [`Reader::find`] finds it: a record that is damaged, or cannot be
    /// read, ends the search.
    pub fn find(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.look(key, |_| Ok(())).ok().flatten()
    }

    /// The data of the first record with this key, where neither the answer nor "not found" must come from damage: the
    /// table of the key's hash must be whole, and each record that the search comes to must be the one that its slot
    /// says. So a file that was cut, or parts of which were lost to zeros or to anything else that is no table, is told.
    ///
    /// What cannot be seen: data that was changed (whoever asks knows what it may be), or parts of another cdb which
    /// happen to fit, as nothing in the format says to which file they belong.
    ///
    /// # Errors
    /// Those of read(2); [`Corrupt`] within, when the search comes to what is damaged.
    pub fn search(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.check_table(hash(key) as usize & 0xff)?;
        self.look(key, |found| if hash(found) == hash(key) { Ok(()) } else { Err(io::Error::other(Corrupt::Lost)) })
    }

    /// Looks a key up; `other` is shown the keys of the other records that the search comes to.
    fn look(&self, key: &[u8], other: impl Fn(&[u8]) -> io::Result<()>) -> io::Result<Option<Vec<u8>>> {
        let hash = hash(key);
        for record in self.row(hash as usize & 0xff, hash) {
            let (slot_hash, record) = record?;
            if slot_hash == hash as usize {
                let (found, data) = self.record(record)?;
                if found == key {
                    return Ok(Some(data));
                }
                other(&found)?;
            }
        }
        Ok(None)
    }

    /// Makes sure that a table is as everybody writes it: half of its slots are in use, each where a search comes to it,
    /// and for a record that lies where records do.
    fn check_table(&self, table: usize) -> io::Result<()> {
        if self.index.whole[table].get().is_some() {
            return Ok(());
        }
        let (records_end, _) = pair(&self.index.pointers, 0).unwrap_or_default();
        let (position, slots) = pair(&self.index.pointers, table * 8).unwrap_or_default();
        let bytes = self.bytes(position, slots.saturating_mul(8))?;
        let (mut used, mut misplaced) = (0, 0);
        for_each_used(table, &bytes, |record, _| {
            used += 1;
            misplaced += usize::from(!(HEADER..records_end).contains(&record));
        })
        .map_err(io::Error::other)?;
        if used * 2 != slots || misplaced > 0 {
            return Err(io::Error::other(Corrupt::Lost));
        }
        let _ = self.index.whole[table].set(());
        Ok(())
    }

    /// The data of some record, of the same one for the same hash; `None` when there is no record.
    ///
    /// # Errors
    /// Those of [`FileReader::search`].
    pub fn some(&self, hash: u32) -> io::Result<Option<Vec<u8>>> {
        let tables = (0..256).map(|step| (hash as usize + step) & 0xff);
        let record = tables.flat_map(|table| self.row(table, hash).next()).next();
        record.map(|record| Ok(self.record(record?.1)?.1)).transpose()
    }

    /// Makes sure that the file ends where its tables do: one that was cut off, or written over, hardly ever does.
    ///
    /// # Errors
    /// [`Corrupt::Tables`].
    pub fn check_tables(&self) -> Result<(), Corrupt> {
        check_tables(&self.index.pointers, self.index.length).map(drop)
    }

    /// The hashes and records of a table from the slot where a search for this hash begins, up to an empty slot.
    fn row(&self, table: usize, hash: u32) -> impl Iterator<Item = io::Result<(usize, usize)>> {
        // Cannot fail because all pointers were read.
        let (position, slots) = pair(&self.index.pointers, table * 8).unwrap_or_default();
        let first = (hash as usize >> 8).checked_rem(slots).unwrap_or_default();
        let at = move |slot: usize| slot.checked_mul(8)?.checked_add(position);
        let slots = (first..slots).chain(0..first);
        let all = slots.map(move |slot| self.pair(at(slot).unwrap_or(usize::MAX)));
        all.take_while(|slot| !matches!(slot, Ok((_, 0))))
    }

    /// All records in the order in which they were written.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn records(&self) -> io::Result<Records<'f>> {
        let buffer = vec![0; PIECE.min(self.index.length)];
        let (end, damage) = match tables_within(&self.index.pointers, self.index.length) {
            Ok(tables) => (tables.start, None),
            Err(damage) => (HEADER, Some(damage)),
        };
        let mut records =
            Records { file: self.file, buffer, unread: 0..0, position: HEADER, end, current: None, damage };
        records.find_current()?;
        Ok(records)
    }

    /// The key and the data of the record at a position of the file.
    fn record(&self, position: usize) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let (key_length, data_length) = self.pair(position)?;
        let length = key_length.checked_add(data_length).ok_or_else(|| io::Error::other(Corrupt::Record))?;
        let mut key = self.bytes(position + 8, length)?;
        let data = key.split_off(key_length);
        Ok((key, data))
    }

    /// Two numbers at a position of the file.
    fn pair(&self, position: usize) -> io::Result<(usize, usize)> {
        pair(&self.bytes(position, 8)?, 0).ok_or_else(|| io::Error::other(Corrupt::Record))
    }

    fn bytes(&self, position: usize, length: usize) -> io::Result<Vec<u8>> {
        let end = position.checked_add(length).filter(|end| *end <= self.index.length);
        end.ok_or_else(|| io::Error::other(Corrupt::Record))?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, position as u64)?;
        Ok(bytes)
    }
}

/// The records of a cdb file one after the other, through one buffer that is no larger than the largest of them needs;
/// of a damaged cdb nothing after the first damage, as [`Reader::records`].
///
/// ```
/// use qmail_updater::cdb::{FileReader, image};
/// let mut file = tempfile::tempfile().unwrap();
/// std::io::Write::write_all(&mut file, &image([(&b"joe@a.test"[..], &b""[..])]).unwrap()).unwrap();
/// let mut records = FileReader::new(&file).unwrap().records().unwrap();
/// assert_eq!(records.current().unwrap().key, b"joe@a.test");
/// records.advance().unwrap();
/// assert_eq!((records.current(), records.damage()), (None, None));
/// ```
#[derive(Debug)]
pub struct Records<'f> {
    file: &'f File,
    buffer: Vec<u8>,
    /// What was read into the buffer and not passed yet.
    unread: Range<usize>,
    /// Where in the file the first unread byte is.
    position: usize,
    /// Where in the file the records end.
    end: usize,
    /// How long the key and the data of the current record are; it is what the unread bytes begin with.
    current: Option<(usize, usize)>,
    damage: Option<Corrupt>,
}

impl Records<'_> {
    /// The record that it has come to; `None` behind the last one.
    pub fn current(&self) -> Option<Record<'_>> {
        let (key_length, data_length) = self.current?;
        let (key, rest) = self.buffer[self.unread.start + 8..].split_at(key_length);
        Some(Record { key, data: &rest[..data_length] })
    }

    /// Goes on to the next record.
    ///
    /// # Errors
    /// Those of read(2); a file that has become shorter.
    pub fn advance(&mut self) -> io::Result<()> {
        let Some((key_length, data_length)) = self.current.take() else { return Ok(()) };
        let length = 8 + key_length + data_length;
        self.unread.start += length;
        self.position += length;
        self.find_current()
    }

    /// The damage that the records ended at.
    pub fn damage(&self) -> Option<Corrupt> {
        self.damage
    }

    fn find_current(&mut self) -> io::Result<()> {
        let left = self.end - self.position;
        if left == 0 {
            return Ok(());
        }
        self.fill(left.min(8))?;
        let lengths = pair(&self.buffer[self.unread.clone()], 0);
        let length = |(key, data): (usize, usize)| key.checked_add(data)?.checked_add(8).filter(|sum| *sum <= left);
        match lengths.and_then(length) {
            Some(length) => self.fill(length)?,
            None => {
                self.damage = Some(Corrupt::Record);
                return Ok(());
            }
        }
        self.current = lengths;
        Ok(())
    }

    /// Makes sure that so many unread bytes are in the buffer, which are no more than the records have left.
    fn fill(&mut self, length: usize) -> io::Result<()> {
        if self.unread.len() >= length {
            return Ok(());
        }
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        if self.buffer.len() < length {
            self.buffer.resize(length, 0);
        }
        let full = self.buffer.len().min(self.end - self.position);
        let position = self.position + self.unread.end;
        self.file.read_exact_at(&mut self.buffer[self.unread.end..full], position as u64)?;
        self.unread.end = full;
        Ok(())
    }
}

/// Looks at the pointers that a cdb of `length` bytes begins with: the 256 tables must stand one behind the other, the
/// last one ending the file. Where the first begins, the records end.
///
/// # Errors
/// They do not.
pub fn check_tables(header: &[u8], length: usize) -> Result<usize, Corrupt> {
    let tables = tables_within(header, length)?;
    if tables.end == length { Ok(tables.start) } else { Err(Corrupt::Tables) }
}

/// Looks at the pointers that a cdb of `length` bytes begins with: the 256 tables must stand one behind the other. Where
/// they are; what lies behind them is nothing to who reads a cdb.
///
/// # Errors
/// They do not.
pub fn tables_within(header: &[u8], length: usize) -> Result<Range<usize>, Corrupt> {
    let (first, _) = pair(header, 0).ok_or(Corrupt::TooShort)?;
    let mut next = first;
    for table in 0..256 {
        let (position, slots) = pair(header, table * 8).ok_or(Corrupt::TooShort)?;
        if position != next {
            return Err(Corrupt::Tables);
        }
        next = slots.checked_mul(8).and_then(|size| position.checked_add(size)).ok_or(Corrupt::Tables)?;
    }
    if first < HEADER || next > length {
        return Err(Corrupt::Tables);
    }
    Ok(first..next)
}

/// Two little-endian u32 at `position`, as sizes.
fn pair(image: &[u8], position: usize) -> Option<(usize, usize)> {
    let both = u64::from_le_bytes(*image.get(position..)?.first_chunk()?);
    Some(((both & 0xffff_ffff) as usize, (both >> 32) as usize))
}

const HASH_START: u32 = 5381;

/// The record that begins at this position of a cdb; `None` when none can.
pub fn record_in(image: &[u8], position: u32) -> Option<Record<'_>> {
    Reader { image }.record_at(position as usize, image.len()).ok().map(|(record, _)| record)
}

/// The hash of a key: `h = 5381`, then `h = (h * 33) xor c` for each byte.
pub fn hash(key: &[u8]) -> u32 {
    hash_on(HASH_START, key)
}

fn hash_on(hash: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(hash, |h, c| h.wrapping_mul(33) ^ u32::from(*c))
}

/// How often the most frequent of these hashes is among them.
pub fn most_alike(mut hashes: Vec<u32>) -> usize {
    hashes.sort_unstable();
    hashes.chunk_by(|a, b| a == b).map(<[u32]>::len).max().unwrap_or(0)
}

/// Records as they stand in a cdb, before their place in it is known.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    bytes: Vec<u8>,
    /// The hash of each key, and where its record begins.
    places: Vec<(u32, u32)>,
}

impl Chunk {
    /// Adds a record; its key and its data may come in pieces.
    pub fn add(&mut self, key: &[&[u8]], data: &[&[u8]]) {
        self.add_hashed(key.iter().fold(HASH_START, |hash, piece| hash_on(hash, piece)), key, data);
    }

    /// The same with the hash of the key.
    fn add_hashed(&mut self, hash: u32, key: &[&[u8]], data: &[&[u8]]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 8]);
        key.iter().for_each(|piece| self.bytes.extend_from_slice(piece));
        let data_start = self.bytes.len();
        data.iter().for_each(|piece| self.bytes.extend_from_slice(piece));
        let lengths = [data_start - start - 8, self.bytes.len() - data_start];
        for (at, length) in [start, start + 4].into_iter().zip(lengths) {
            // What is longer passes 4 GiB, which the writer refuses.
            self.bytes[at..at + 4].copy_from_slice(&(length as u32).to_le_bytes());
        }
        self.places.push((hash, start as u32));
    }

    /// Makes room for so many records more, of so many bytes together beside the eight that each begins with.
    pub fn reserve(&mut self, records: usize, bytes: usize) {
        self.bytes.reserve(bytes + 8 * records);
        self.places.reserve(records);
    }

    /// Gives back the room that it does not need.
    pub fn shrink_to_fit(&mut self) {
        self.bytes.shrink_to_fit();
        self.places.shrink_to_fit();
    }

    /// Takes all records out, and keeps their room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
    }

    /// Those of its records whose numbers are in this range.
    #[must_use]
    pub fn part(&self, numbers: Range<usize>) -> Chunk {
        let bytes = self.offset(numbers.start)..self.offset(numbers.end);
        let start = bytes.start as u32;
        let places = self.places[numbers].iter().map(|(hash, at)| (*hash, at - start)).collect();
        Chunk { bytes: self.bytes[bytes].to_vec(), places }
    }

    /// How many bytes stand in front of the record of this number.
    pub fn offset(&self, number: usize) -> usize {
        self.places.get(number).map_or(self.bytes.len(), |(_, at)| *at as usize)
    }

    /// How many records at the beginning, and how many of the others at the end, are those of another chunk.
    pub fn in_common(&self, other: &Chunk) -> (usize, usize) {
        let bytes = |chunk: &'_ Chunk, number: usize| chunk.offset(number)..chunk.offset(number + 1);
        let is_same = |ours: usize, theirs: usize| self.bytes[bytes(self, ours)] == other.bytes[bytes(other, theirs)];
        let both = self.len().min(other.len());
        let first = (0..both).take_while(|number| is_same(*number, *number)).count();
        let is_same_from_end = |number: &usize| is_same(self.len() - 1 - number, other.len() - 1 - number);
        (first, (0..both - first).take_while(is_same_from_end).count())
    }

    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How long they are, in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The same records, read from a cdb in which they stand side by side.
    ///
    /// # Errors
    /// Those of read(2); bytes that are no records.
    pub fn read(file: &File, range: Range<u32>) -> io::Result<Chunk> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        file.read_exact_at(&mut bytes, u64::from(range.start))?;
        let mut chunk = Chunk { bytes, places: Vec::new() };
        let mut at = 0;
        while at < chunk.bytes.len() {
            let reader = Reader { image: &chunk.bytes };
            let (record, next) = reader.record_at(at, chunk.bytes.len()).map_err(io::Error::other)?;
            let place = (hash(record.key), at as u32);
            chunk.places.push(place);
            at = next;
        }
        Ok(chunk)
    }

    /// The bytes of the records.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All records in the order in which they were added.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let reader = Reader { image: &self.bytes };
        self.places.iter().filter_map(move |(_, at)| Some(reader.record_at(*at as usize, self.bytes.len()).ok()?.0))
    }
}

/// How much is written at once, in bytes.
const WRITTEN_AT_ONCE: usize = 1 << 16;
/// How much is copied at once, in bytes, and how much of the tables is written at once meanwhile. Programs that watch the
/// directory are woken each time, and two threads that write one file wait for each other.
const COPIED_AT_ONCE: u64 = 1 << 20;

/// Writes a cdb into a file. Equal keys are not looked for. Of each record eight bytes stay in memory.
pub struct Writer {
    file: File,
    /// What is not written yet, and where it begins.
    buffer: Vec<u8>,
    written: u64,
    places: Places,
    /// The pointers to the tables, when these are in the file already.
    header: Option<Vec<u8>>,
}

/// Where the records of a cdb are: for each of its 256 tables the hashes and positions, in the order of the positions.
#[derive(Clone, Debug)]
pub struct Places {
    tables: Vec<Row>,
    /// Where the records end, in bytes.
    end: u32,
}

/// A row that grows without being moved, and has little room to spare.
#[derive(Clone, Debug, Default)]
struct Row {
    blocks: Vec<Vec<(u32, u32)>>,
    length: usize,
}

/// How many places stand in one block at most.
const BLOCK: usize = 512;

impl Row {
    fn push(&mut self, place: (u32, u32)) {
        match self.blocks.last_mut().filter(|block| block.len() < block.capacity()) {
            Some(block) => block.push(place),
            None => {
                let mut block = Vec::with_capacity(self.length.clamp(4, BLOCK));
                block.push(place);
                self.blocks.push(block);
            }
        }
        self.length += 1;
    }

    fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.blocks.iter().flatten().copied()
    }

    /// Keeps those places of which this says so, as it changes them.
    fn retain(&mut self, mut keep: impl FnMut(&mut (u32, u32)) -> bool) {
        self.blocks.iter_mut().for_each(|block| block.retain_mut(&mut keep));
        self.length = self.blocks.iter().map(Vec::len).sum();
    }

    /// Adds the places of another one, in the order of the positions.
    fn merge(&mut self, other: &Row) {
        let mut others = other.iter().peekable();
        for place in std::mem::take(self).iter() {
            while let Some(before) = others.next_if(|other| other.1 < place.1) {
                self.push(before);
            }
            self.push(place);
        }
        others.for_each(|place| self.push(place));
    }
}

impl Default for Places {
    fn default() -> Places {
        Places { tables: vec![Row::default(); 256], end: HEADER as u32 }
    }
}

impl Places {
    fn add(&mut self, hash: u32, position: u32) {
        self.tables[hash as usize & 0xff].push((hash, position));
    }

    /// Where the records end, in bytes.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// How many records there are.
    pub fn records(&self) -> u64 {
        self.tables.iter().map(|table| table.length as u64).sum()
    }

    /// The places after these edits, which are in the order of their ranges.
    ///
    /// # Errors
    /// The records would pass 4 GiB.
    fn edited(mut self, edits: &[Edit<'_>]) -> io::Result<Places> {
        let longer =
            |Edit { range, records }: &Edit<'_>| records.bytes.len() as i64 - i64::from(range.end - range.start);
        // No place is after that, and so none is cut.
        let end = i64::from(self.end) + edits.iter().map(longer).sum::<i64>();
        self.end = u32::try_from(end).map_err(|_| too_long())?;
        let mut added = Places::default();
        // By how much what follows each edit moves.
        let mut moves: Vec<i64> = Vec::new();
        let mut moved = 0i64;
        for edit @ Edit { range, records } in edits {
            let start = (i64::from(range.start) + moved) as u32;
            records.places.iter().for_each(|(hash, at)| added.add(*hash, start + at));
            moved += longer(edit);
            moves.push(moved);
        }
        for (table, added) in self.tables.iter_mut().zip(added.tables) {
            let mut next = 0;
            table.retain(|(_, position)| {
                while edits.get(next).is_some_and(|edit| edit.range.end <= *position) {
                    next += 1;
                }
                let stays = edits.get(next).is_none_or(|edit| !edit.range.contains(position));
                let moved = if next > 0 { moves[next - 1] } else { 0 };
                *position = (i64::from(*position) + moved) as u32;
                stays
            });
            // Most tables get none, and need no other memory then.
            if added.length > 0 {
                table.merge(&added);
            }
        }
        Ok(self)
    }
}

/// Records that come in the place of others.
#[derive(Clone, Debug)]
pub struct Edit<'a> {
    /// Where the others are, in bytes; empty for records that come in front of what is there.
    pub range: Range<u32>,
    /// The new ones.
    pub records: &'a Chunk,
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, Corrupt::TooLong)
}

impl Writer {
    /// Starts a cdb in an empty file.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn new(file: File) -> io::Result<Writer> {
        Ok(Writer { file, buffer: vec![0; HEADER], written: 0, places: Places::default(), header: None })
    }

    /// How much of it is in the file already, in bytes.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Where the next record begins.
    pub fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Adds records.
    ///
    /// # Errors
    /// Those of write(2), and a file that would pass 4 GiB.
    pub fn add(&mut self, chunk: &Chunk) -> io::Result<()> {
        let start = self.position();
        self.add_bytes(&chunk.bytes)?;
        chunk.places.iter().for_each(|(hash, at)| self.places.add(*hash, start as u32 + at));
        Ok(())
    }

    /// Writes the records of another cdb, which has them at these places, but for these edits, which are in the order of
    /// their ranges. Nothing else may be added.
    ///
    /// # Errors
    /// Those of read(2) and write(2), and a file that would pass 4 GiB.
    pub fn add_edited(&mut self, old: &File, places: Places, edits: &[Edit<'_>]) -> io::Result<()> {
        self.add_edited_telling(old, places, edits, &mut |_| ())
    }

    /// The same; meanwhile `written` is told how many bytes are in the file.
    ///
    /// # Errors
    /// Those of [`Writer::add_edited`].
    pub fn add_edited_telling(
        &mut self,
        old: &File,
        places: Places,
        edits: &[Edit<'_>],
        written: &mut dyn FnMut(u64),
    ) -> io::Result<()> {
        let (end, file, places) = (places.end, self.file.try_clone()?, Mutex::new(places));
        let tables = || -> io::Result<_> {
            let places = std::mem::take(&mut *places.lock().unwrap_or_else(PoisonError::into_inner)).edited(edits)?;
            let header = write_tables(&file, &places, Vec::new(), COPIED_AT_ONCE as usize)?;
            Ok((places, header))
        };
        thread::scope(|scope| {
            // To make the tables takes about as long as to copy the records. Without another thread this one does both.
            let other = Builder::new().spawn_scoped(scope, tables).ok();
            let mut from = HEADER as u32;
            for Edit { range, records } in edits {
                self.copy(old, from..range.start, written)?;
                self.add_bytes(&records.bytes)?;
                from = range.end;
            }
            self.copy(old, from..end, written)?;
            let made = other.map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
            let (places, header) = made.unwrap_or_else(tables)?;
            self.places = places;
            self.header = Some(header);
            Ok(())
        })
    }

    fn copy(&mut self, old: &File, range: Range<u32>, written: &mut dyn FnMut(u64)) -> io::Result<()> {
        let (mut from, end) = (u64::from(range.start), u64::from(range.end));
        while from < end {
            from += match self.copy_inside(old, from..end)? {
                0 => self.copy_through_buffer(old, from..end)?,
                copied => copied,
            };
            written(self.written);
        }
        Ok(())
    }

    /// Has the kernel copy the first bytes of a long part; how many.
    fn copy_inside(&mut self, mut old: &File, part: Range<u64>) -> io::Result<u64> {
        let length = COPIED_AT_ONCE.min(part.end - part.start);
        if length < WRITTEN_AT_ONCE as u64 {
            return Ok(0);
        }
        self.flush()?;
        let mut file = &self.file;
        // All other calls say where in the file they read or write.
        old.seek(SeekFrom::Start(part.start))?;
        file.seek(SeekFrom::Start(self.written))?;
        let copied = io::copy(&mut old.take(length), &mut file)?;
        self.written += copied;
        Ok(copied)
    }

    fn copy_through_buffer(&mut self, old: &File, part: Range<u64>) -> io::Result<u64> {
        let (start, length) = (self.buffer.len(), WRITTEN_AT_ONCE.min((part.end - part.start) as usize));
        self.buffer.resize(start + length, 0);
        old.read_exact_at(&mut self.buffer[start..], part.start)?;
        self.flush_full()?;
        Ok(length as u64)
    }

    fn add_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        // What its records need in the tables is known at the end.
        if self.position() + bytes.len() as u64 > u64::from(u32::MAX) {
            return Err(too_long());
        }
        if bytes.len() < WRITTEN_AT_ONCE {
            self.buffer.extend_from_slice(bytes);
            return self.flush_full();
        }
        // The records of a large domain need no second place in memory.
        self.flush()?;
        self.file.write_all_at(bytes, self.written)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn flush_full(&mut self) -> io::Result<()> {
        if self.buffer.len() >= WRITTEN_AT_ONCE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the tables, unless they are there already, and the pointers to them. The caller syncs.
    ///
    /// # Errors
    /// Those of write(2), and a file that would pass 4 GiB.
    pub fn finish(mut self) -> io::Result<Places> {
        self.flush()?;
        let mut places = std::mem::take(&mut self.places);
        let header = match self.header.take() {
            Some(header) => header,
            None => {
                // Cannot be cut, because what is longer was refused.
                places.end = self.written as u32;
                write_tables(&self.file, &places, self.buffer, WRITTEN_AT_ONCE)?
            }
        };
        self.file.write_all_at(&header, 0)?;
        Ok(places)
    }
}

/// Writes the tables of these records after them, so many bytes at once by way of an empty buffer, and gives the pointers to
/// them.
fn write_tables(file: &File, places: &Places, mut buffer: Vec<u8>, at_once: usize) -> io::Result<Vec<u8>> {
    let (mut header, mut written) = (Vec::with_capacity(HEADER), u64::from(places.end));
    let mut free = Free::default();
    let size = |table: &Row| table.length * 2 * 8;
    let (all, longest) = (places.tables.iter().map(size).sum(), places.tables.iter().map(size).max());
    // While it grew, it would need twice the memory.
    buffer.reserve_exact((at_once + longest.unwrap_or(0)).min(all));
    for table in &places.tables {
        // Twice as many slots as records, so that a search soon comes to an empty one.
        let slots = table.length * 2;
        let (start, begin) = (written + buffer.len() as u64, buffer.len());
        if start + slots as u64 * 8 > u64::from(u32::MAX) {
            return Err(too_long());
        }
        header.extend_from_slice(&(start as u32).to_le_bytes());
        header.extend_from_slice(&(slots as u32).to_le_bytes());
        buffer.resize(begin + slots * 8, 0);
        let filled = &mut buffer[begin..];
        free.reset(slots);
        for (hash, position) in table.iter() {
            // Cannot be cut, because a longer table was refused. It is divided by 32 bits in less time.
            let slot = free.take(((hash >> 8) % slots as u32) as usize);
            filled[slot * 8..][..4].copy_from_slice(&hash.to_le_bytes());
            filled[slot * 8 + 4..][..4].copy_from_slice(&position.to_le_bytes());
        }
        if buffer.len() >= at_once {
            file.write_all_at(&buffer, written)?;
            written += buffer.len() as u64;
            buffer.clear();
        }
    }
    file.write_all_at(&buffer, written)?;
    Ok(header)
}

/// The free slots of one table. A customer chooses the keys and so the hashes: to walk over the slots in use for each
/// record would take the square of the number of records. So each slot in use remembers a later slot at or before the
/// next free one, and each walk shortens the next (a union-find with path compression).
#[derive(Default)]
struct Free {
    /// For each slot: 0 while it is free, else 1 more than the slot where the search goes on.
    next: Vec<u32>,
}

impl Free {
    /// Starts a table of so many slots, all of them free.
    fn reset(&mut self, slots: usize) {
        self.next.clear();
        self.next.resize(slots, 0);
    }

    /// Takes the first free slot from `first` on, in the order in which a reader looks at them. One must be free.
    fn take(&mut self, first: usize) -> usize {
        let mut slot = first;
        while self.next[slot] != 0 {
            slot = self.next[slot] as usize - 1;
        }
        // Cannot be cut, because a table of more slots does not fit into 4 GiB.
        let after = if slot + 1 == self.next.len() { 1 } else { slot as u32 + 2 };
        let mut passed = first;
        while passed != slot {
            passed = std::mem::replace(&mut self.next[passed], after) as usize - 1;
        }
        self.next[slot] = after;
        slot
    }
}

/// The bytes of a cdb with these records, for tests and examples.
///
/// # Errors
/// Those of writing a temporary file.
pub fn image<'a>(records: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> io::Result<Vec<u8>> {
    let file = tempfile::tempfile()?;
    let mut writer = Writer::new(file.try_clone()?)?;
    for (key, data) in records {
        let mut chunk = Chunk::default();
        chunk.add(&[key], &[data]);
        writer.add(&chunk)?;
    }
    writer.finish()?;
    let mut image = Vec::new();
    io::Seek::rewind(&mut &file)?;
    io::Read::read_to_end(&mut &file, &mut image)?;
    Ok(image)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    /// A cdb with one table, that of the key `a`, and its slots: a hash, and where the record is.
    fn image_with(keys: &[u8], slots: impl Iterator<Item = (u32, usize)>) -> Vec<u8> {
        let number = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
        let mut image = vec![0; HEADER];
        for key in keys {
            image.extend([1, 0, 0, 0, 0, 0, 0, 0, *key]);
        }
        let tables = image.len();
        image.extend(slots.flat_map(|(hash, record)| [hash.to_le_bytes(), number(record)]).flatten());
        let its = hash(b"a") as usize % 256;
        for table in 0..256 {
            let position = if table > its { image.len() } else { tables };
            let slots = if table == its { (image.len() - tables) / 8 } else { 0 };
            image[table * 8..][..8].copy_from_slice(&[number(position), number(slots)].concat());
        }
        image
    }

    #[test]
    fn damage_that_a_search_comes_to_is_told_and_some_record_is_found_in_any_cdb() {
        let records: Vec<(Vec<u8>, Vec<u8>)> =
            (0..20u32).map(|n| (format!("key{n}").into_bytes(), format!("data{n}").into_bytes())).collect();
        for count in 0..records.len() {
            let whole = image(records[..count].iter().map(|(key, data)| (&key[..], &data[..]))).unwrap();
            let mut file = tempfile::tempfile().unwrap();
            std::io::Write::write_all(&mut file, &whole).unwrap();
            let reader = FileReader::new(&file).unwrap();
            reader.check_tables().unwrap();
            for (number, (key, data)) in records.iter().enumerate() {
                assert_eq!(reader.search(key).unwrap().as_ref(), (number < count).then_some(data));
                let some = reader.some(hash(key)).unwrap();
                assert!(if count == 0 {
                    some.is_none()
                } else {
                    records[..count].iter().any(|(_, data)| Some(data) == some.as_ref())
                });
            }
            // Without its tables, and without the end of its last record.
            for length in [whole.len() - 16 * count, 2048 + 8].into_iter().filter(|length| *length < whole.len()) {
                file.set_len(length as u64).unwrap();
                let reader = FileReader::new(&file).unwrap();
                assert_eq!(reader.check_tables(), Err(Corrupt::Tables));
                assert!(
                    records[..count].iter().all(|(key, _)| reader.search(key).is_err() && reader.find(key).is_none())
                );
            }
        }
    }

    #[test]
    fn a_cdb_made_to_be_slow_costs_no_more_than_another() {
        const MANY: usize = 200_000;
        let start = Instant::now();
        let hash_of_a = hash(b"a");
        let first = (hash_of_a as usize >> 8) % MANY;
        // All slots say that they lead to `a`, and all but the last that is tried lead to `b`.
        let keys = [&[b'a'; MANY][..], b"b"].concat();
        let place = |slot: usize| if (slot + 1) % MANY == first { HEADER } else { HEADER + 9 * MANY };
        let image = image_with(&keys, (0..MANY).map(|slot| (hash_of_a, place(slot))));
        assert_eq!(Reader::new(&image).unwrap().check(), Err(Corrupt::Lost));
        // A whole one without an empty slot: a search for another key goes through them all.
        let place = |slot: usize| HEADER + 9 * ((slot + MANY - first) % MANY);
        let image = image_with(&[b'a'; MANY], (0..MANY).map(|slot| (hash_of_a, place(slot))));
        let cdb = Indexed::new(image).unwrap();
        let other =
            (0..).map(|n: u32| n.to_string()).find(|key| hash(key.as_bytes()) % 256 == hash_of_a % 256).unwrap();
        assert!((0..MANY).all(|_| cdb.find(other.as_bytes()).is_none()));
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }

    #[test]
    fn records_that_are_too_many_for_the_buffer_stand_between_those_before_and_after() {
        let long = vec![b'x'; WRITTEN_AT_ONCE];
        let records = [("a", &b"1"[..]), ("b", &b"2"[..]), ("long", &long), ("c", &b"3"[..])];
        let image = image(records.map(|(key, data)| (key.as_bytes(), data))).unwrap();
        let cdb = Reader::new(&image).unwrap();
        assert_eq!(cdb.check(), Ok(()));
        assert!(cdb.records().eq(records.map(|(key, data)| Record { key: key.as_bytes(), data })));
    }

    proptest! {
        /// A cdb that is edited has the bytes of one that is made of the records as they are then.
        #[test]
        fn an_edited_cdb_is_the_one_of_the_edited_records(
            parts in proptest::collection::vec((proptest::collection::vec("[ab]{0,3}", 0..9), any::<bool>()), 1..9),
            others in proptest::collection::vec(proptest::collection::vec("[a-c]{0,4}", 0..9), 9),
        ) {
            let chunk = |keys: &[String]| {
                let mut chunk = Chunk::default();
                keys.iter().for_each(|key| chunk.add(&[key.as_bytes()], &[b"data of ", key.as_bytes()]));
                chunk
            };
            let written = |chunks: &[Chunk]| {
                let file = tempfile::tempfile().unwrap();
                let mut writer = Writer::new(file.try_clone().unwrap()).unwrap();
                chunks.iter().for_each(|chunk| writer.add(chunk).unwrap());
                (writer.finish().unwrap(), file)
            };
            let image = |file: &File| {
                let mut image = vec![0; file.metadata().unwrap().len() as usize];
                file.read_exact_at(&mut image, 0).unwrap();
                image
            };
            let old: Vec<Chunk> = parts.iter().map(|(keys, _)| chunk(keys)).collect();
            let fresh: Vec<Chunk> = others.iter().map(|keys| chunk(keys)).collect();
            let (places, file) = written(&old);
            let (mut edits, mut wanted, mut at) = (Vec::new(), Vec::new(), HEADER as u32);
            for ((old, fresh), (_, changes)) in old.iter().zip(&fresh).zip(&parts) {
                let range = at..at + old.size() as u32;
                prop_assert_eq!(Chunk::read(&file, range.clone()).unwrap().places, old.places.clone());
                at = range.end;
                wanted.push(if *changes { fresh.clone() } else { old.clone() });
                edits.extend(changes.then_some(Edit { range, records: fresh }));
            }
            let edited = tempfile::tempfile().unwrap();
            let mut writer = Writer::new(edited.try_clone().unwrap()).unwrap();
            writer.add_edited(&file, places, &edits).unwrap();
            let found = writer.finish().unwrap();
            let (places, wanted) = written(&wanted);
            let rows = |places: &Places| places.tables.iter().map(|row| row.iter().collect()).collect::<Vec<Vec<_>>>();
            prop_assert_eq!((rows(&found), found.end), (rows(&places), places.end));
            prop_assert_eq!(image(&edited), image(&wanted));
            prop_assert!(Reader::new(&image(&edited)).unwrap().check().is_ok());
        }
    }

    #[test]
    fn a_long_cdb_is_edited_the_same_on_one_file_system_and_from_another_one() {
        let chunk = |letter: char| {
            let mut chunk = Chunk::default();
            // More than is copied at once.
            (0..12_000).for_each(|n| chunk.add(&[format!("{letter}{n}").as_bytes()], &[&[b'x'; 100]]));
            chunk
        };
        let write = |mut file: File, chunks: &[Chunk]| {
            let mut writer = Writer::new(file.try_clone().unwrap()).unwrap();
            chunks.iter().for_each(|chunk| writer.add(chunk).unwrap());
            let places = writer.finish().unwrap();
            let mut image = Vec::new();
            file.read_to_end(&mut image).unwrap();
            (file, places, image)
        };
        let [first, second, third, new] = ['a', 'b', 'c', 'd'].map(chunk);
        let (_, _, wanted) = write(tempfile::tempfile().unwrap(), &[first.clone(), new.clone(), third.clone()]);
        let memory = tempfile::tempfile_in("/dev/shm");
        for old in [tempfile::tempfile().unwrap()].into_iter().chain(memory) {
            let (old, places, _) = write(old, &[first.clone(), second.clone(), third.clone()]);
            let range = (HEADER + first.size()) as u32..(HEADER + first.size() + second.size()) as u32;
            let file = tempfile::tempfile().unwrap();
            let mut writer = Writer::new(file.try_clone().unwrap()).unwrap();
            writer.add_edited(&old, places, &[Edit { range, records: &new }]).unwrap();
            writer.finish().unwrap();
            let mut image = vec![0; file.metadata().unwrap().len() as usize];
            file.read_exact_at(&mut image, 0).unwrap();
            assert!(image == wanted, "{} bytes, and not {}", image.len(), wanted.len());
        }
    }

    #[test]
    fn records_of_one_hash_are_placed_in_a_time_that_grows_with_their_number() {
        const MANY: u32 = 1_000_000;
        let start = Instant::now();
        let mut free = Free::default();
        free.reset(MANY as usize * 2);
        // Two rows that run into each other, and the second one over the end of the table.
        for n in 0..MANY / 2 {
            assert_eq!(free.take(7), 7 + n as usize);
        }
        let last = MANY as usize * 2 - 1;
        assert_eq!((free.take(last), free.take(last), free.take(last)), (last, 0, 1));
        let places: Vec<usize> = (0..MANY / 2 - 3).map(|_| free.take(last)).collect();
        let behind = 7 + MANY as usize / 2;
        assert!(places.into_iter().eq((2..7).chain(behind..).take(MANY as usize / 2 - 3)));
        // To walk over them for each takes minutes.
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }

    proptest! {
        #[test]
        fn each_record_takes_the_first_free_slot_that_a_reader_comes_to(
            firsts in vec(any::<Index>(), 1..40),
            more in 0..9usize,
        ) {
            let slots = firsts.len() + more;
            let (mut free, mut taken) = (Free::default(), vec![false; slots]);
            free.reset(slots);
            for first in firsts {
                let first = first.index(slots);
                let wanted = (first..slots).chain(0..first).find(|slot| !taken[*slot]);
                prop_assert_eq!(Some(free.take(first)), wanted);
                taken[wanted.unwrap_or_default()] = true;
            }
        }
    }

    #[test]
    fn a_record_that_no_search_comes_to_is_lost() {
        let hash = hash(b"a");
        let (here, empty) = ((hash, HEADER), (0, 0));
        // The slots from the one where a search begins.
        for (slots, found) in [
            ([here, empty, empty, empty], Ok(())),
            ([empty, here, empty, empty], Err(Corrupt::Lost)),
            ([empty, empty, empty, here], Err(Corrupt::Lost)),
            ([empty, empty, empty, empty], Err(Corrupt::Lost)),
            ([(hash ^ 0x100, HEADER), empty, empty, empty], Err(Corrupt::Lost)),
            ([here, here, empty, empty], Err(Corrupt::Lost)),
            ([(hash, HEADER + 1), here, empty, empty], Err(Corrupt::Lost)),
        ] {
            let begin = (hash as usize >> 8) % 4;
            let image = image_with(b"a", (0..4).map(|slot| slots[(slot + 4 - begin) % 4]));
            assert_eq!(Reader::new(&image).unwrap().check(), found, "{slots:?}");
        }
    }

    #[test]
    fn of_equal_keys_the_first_is_found() {
        let records = [("b", "1"), ("a", "2"), ("", "3"), ("b", "4"), ("", "5")];
        let image = image(records.map(|(key, data)| (key.as_bytes(), data.as_bytes()))).unwrap();
        let cdb = Indexed::new(image).unwrap();
        assert_eq!(
            ["", "a", "b", "c"].map(|key| cdb.find(key.as_bytes())),
            [Some(&b"3"[..]), Some(b"2"), Some(b"1"), None]
        );
    }

    /// The bytes in a file, and what both readers say of them, which must be the same.
    fn read_both_ways(image: &[u8], keys: &[&[u8]]) {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, image).unwrap();
        let (reader, file) = match (Reader::new(image), FileReader::new(&file)) {
            (Ok(reader), Ok(file)) => (reader, file),
            (Err(corrupt), Err(cause)) => return assert_eq!(cause.to_string(), corrupt.to_string()),
            (reader, file) => panic!("{reader:?}, {file:?}"),
        };
        let (mut records, mut size) = (file.records().unwrap(), HEADER);
        for record in reader.records() {
            assert_eq!(records.current(), Some(record));
            assert_eq!(file.find(record.key).as_deref(), reader.find(record.key));
            size += 8 + record.key.len() + record.data.len();
            records.advance().unwrap();
        }
        assert_eq!(records.current(), None);
        let damage = check_tables(image, image.len()).err();
        let ended = check_tables(image, image.len()).is_ok_and(|end| size < end).then_some(Corrupt::Record);
        assert_eq!(records.damage(), damage.or(ended));
        records.advance().unwrap();
        assert_eq!(records.current(), None);
        for key in keys {
            assert_eq!(file.find(key).as_deref(), reader.find(key));
        }
    }

    #[test]
    fn records_larger_than_the_buffer_are_read_from_a_file_too() {
        let long = |length: usize| vec![b'x'; length];
        for lengths in [&[(0, PIECE)][..], &[(3, 5), (PIECE * 2, 1), (1, PIECE - 8), (0, 0)], &[(1, PIECE - 9); 3]] {
            let records: Vec<_> = lengths.iter().map(|(key, data)| (long(*key), long(*data))).collect();
            let image = image(records.iter().map(|(key, data)| (&key[..], &data[..]))).unwrap();
            read_both_ways(&image, &[b"x"]);
        }
    }

    proptest! {
        #[test]
        fn a_file_reads_as_the_same_bytes_in_memory_do_however_damaged(
            records in vec((vec(any::<u8>(), 0..6), vec(any::<u8>(), 0..40)), 0..20),
            damages in vec((any::<Index>(), any::<u8>()), 0..4),
            cut in prop::option::weighted(0.3, any::<Index>()),
        ) {
            let mut image = image(records.iter().map(|(key, data)| (&key[..], &data[..]))).unwrap();
            let body = HEADER - 8..image.len();
            for (at, byte) in damages {
                image[body.start + at.index(body.len())] = byte;
            }
            image.truncate(cut.map_or(image.len(), |cut| cut.index(image.len())));
            let keys: Vec<&[u8]> = records.iter().map(|(key, _)| &key[..]).collect();
            read_both_ways(&image, &keys);
        }
    }

    #[test]
    fn sorted_records_are_in_the_order_of_their_keys_whatever_they_begin_with() {
        let keys =
            ["mailbox10", "mailbox1", "", "mailbox", "m", "mailbox\0", "mailbox1", "\0", "mailbox100", "z", "\0\0"];
        let records = keys.iter().enumerate().map(|(at, key)| (key.as_bytes(), at.to_string()));
        let mut records: Vec<(&[u8], String)> = records.collect();
        let cdb = Indexed::new(image(records.iter().map(|(key, data)| (*key, data.as_bytes()))).unwrap()).unwrap();
        records.sort_by_key(|(key, _)| *key);
        assert!(cdb.sorted().eq(records.iter().map(|(key, data)| Record { key, data: data.as_bytes() })));
        for (at, key) in keys.iter().enumerate() {
            let first = keys.iter().position(|other| other == key).unwrap_or(at);
            assert_eq!(cdb.find(key.as_bytes()), Some(first.to_string().as_bytes()));
        }
        assert_eq!(["a", "mailbox2", "mailbox1000", "zz"].map(|key| cdb.find(key.as_bytes())), [None; 4]);
    }
}
