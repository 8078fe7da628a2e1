//! The file format of D. J. Bernstein's cdb, both ways (SPEC section 2).
//!
//! Reading is our own: it works on bytes that somebody else may have damaged on purpose, and must neither panic nor
//! take more memory or time than goes with the file's size (the reader of cdb2 allocates what a record claims before it
//! looks whether the file is that long, maps a file that may shrink meanwhile, and loses an empty last record). Writing
//! is cdb2's.

use std::fmt;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;

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
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Corrupt::TooShort => "corrupt: shorter than a cdb's 2048 bytes of pointers",
            Corrupt::TooLong => "corrupt: longer than the 4 GiB of a cdb",
            Corrupt::Tables => "corrupt: its tables are not where its pointers say (truncated?)",
            Corrupt::Record => "corrupt: a record runs past the end of the records",
            Corrupt::Lost => "corrupt: a record cannot be found by its key",
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
        let end = check_tables(self.image, self.image.len()).unwrap_or(HEADER);
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
        let end = check_tables(self.image, self.image.len())?;
        let mut slots = self.slots()?;
        slots.sort_unstable();
        let mut slots = slots.into_iter();
        let mut position = HEADER;
        while position < end {
            let (record, next) = self.record_at(position, end)?;
            if slots.next() != Some((position as u32, hash(record.key))) {
                return Err(Corrupt::Lost);
            }
            position = next;
        }
        if slots.next().is_some() { Err(Corrupt::Lost) } else { Ok(()) }
    }

    /// The slots in use, of tables that were checked: where the record of each is, and its hash.
    ///
    /// # Errors
    /// A slot that no search for its hash comes to.
    fn slots(&self) -> Result<Vec<(u32, u32)>, Corrupt> {
        let mut found = Vec::new();
        for table in 0..256 {
            let (position, slots) = pair(self.image, table * 8).ok_or(Corrupt::Tables)?;
            let slot = |number: usize| pair(self.image, position + number * 8).ok_or(Corrupt::Tables);
            // A search ends at an empty slot: how many in a row are in use, up to the one looked at.
            let empty = (0..slots).find(|number| slot(*number).is_ok_and(|(_, record)| record == 0));
            let (mut row, begin) = empty.map_or((slots, 0), |number| (0, number));
            for number in (begin..slots).chain(0..begin) {
                let (hash, record) = slot(number)?;
                if record == 0 {
                    row = 0;
                    continue;
                }
                row += 1;
                let steps = (number + slots - (hash >> 8) % slots) % slots;
                if hash & 0xff != table || steps >= row {
                    return Err(Corrupt::Lost);
                }
                found.push((record as u32, hash as u32));
            }
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

/// A cdb that is whole and checked, with tables of our own: its own can be made so that each search takes as long as the
/// file is large.
#[derive(Clone)]
pub struct Indexed {
    image: Vec<u8>,
    /// Where the first record of each key is, or 0.
    slots: Vec<u32>,
    seed: RandomState,
}

impl Indexed {
    /// Checks the cdb and makes the tables.
    ///
    /// # Errors
    /// The first damage.
    pub fn new(image: Vec<u8>) -> Result<Indexed, Corrupt> {
        let cdb = Reader::new(&image)?;
        cdb.check()?;
        let slots = vec![0; cdb.records().count() * 2 + 1];
        let mut indexed = Indexed { image, slots, seed: RandomState::new() };
        let mut position = HEADER;
        while let Some((record, next)) = indexed.record_at(position) {
            let slot = indexed.slot(record.key);
            if indexed.slots[slot] == 0 {
                indexed.slots[slot] = position as u32;
            }
            position = next;
        }
        Ok(indexed)
    }

    /// The data of the first record with this key.
    pub fn find(&self, key: &[u8]) -> Option<&[u8]> {
        self.record_at(self.slots[self.slot(key)] as usize).map(|(record, _)| record.data)
    }

    /// All records in the order in which they were written.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        Reader { image: &self.image }.records()
    }

    /// The slot of a key, or the empty one where it would be.
    fn slot(&self, key: &[u8]) -> usize {
        let first = self.seed.hash_one(key) as usize % self.slots.len();
        let mut slots = (first..self.slots.len()).chain(0..first);
        let is_its = |slot: &usize| match self.record_at(self.slots[*slot] as usize) {
            Some((record, _)) => record.key == key,
            None => true,
        };
        // Cannot fail because less than half of the slots are in use.
        slots.find(is_its).unwrap_or(first)
    }

    /// The record at a position and where the next one begins; none at 0 and behind the last.
    fn record_at(&self, position: usize) -> Option<(Record<'_>, usize)> {
        let reader = Reader { image: &self.image };
        let (end, _) = pair(&self.image, 0)?;
        (HEADER..end).contains(&position).then(|| reader.record_at(position, end).ok()).flatten()
    }
}

/// Looks at the pointers that a cdb of `length` bytes begins with: the 256 tables must stand one behind the other, the
/// last one ending the file. Where the first begins, the records end.
///
/// # Errors
/// They do not.
pub fn check_tables(header: &[u8], length: usize) -> Result<usize, Corrupt> {
    let (first, _) = pair(header, 0).ok_or(Corrupt::TooShort)?;
    let mut next = first;
    for table in 0..256 {
        let (position, slots) = pair(header, table * 8).ok_or(Corrupt::TooShort)?;
        if position != next {
            return Err(Corrupt::Tables);
        }
        next = slots.checked_mul(8).and_then(|size| position.checked_add(size)).ok_or(Corrupt::Tables)?;
    }
    if first < HEADER || next != length {
        return Err(Corrupt::Tables);
    }
    Ok(first)
}

/// Two little-endian u32 at `position`, as sizes.
fn pair(image: &[u8], position: usize) -> Option<(usize, usize)> {
    let bytes = image.get(position..position.checked_add(8)?)?;
    let number = |at: usize| bytes[at..at + 4].iter().rev().fold(0usize, |n, b| n << 8 | usize::from(*b));
    Some((number(0), number(4)))
}

/// The hash of a key: `h = 5381`, then `h = (h * 33) xor c` for each byte.
pub fn hash(key: &[u8]) -> u32 {
    key.iter().fold(5381, |h: u32, c| h.wrapping_mul(33) ^ u32::from(*c))
}

/// Writes a cdb into a file from its beginning. Equal keys are not looked for.
pub struct Writer(cdb2::CDBMake);

impl Writer {
    /// Starts a cdb in an empty file.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn new(file: File) -> io::Result<Writer> {
        cdb2::CDBMake::new(file).map(Writer)
    }

    /// Adds a record.
    ///
    /// # Errors
    /// Those of write(2), and a file that would pass 4 GiB.
    pub fn add(&mut self, key: &[u8], data: &[u8]) -> io::Result<()> {
        self.0.add(key, data)
    }

    /// Writes the tables and the pointers to them. The caller syncs.
    ///
    /// # Errors
    /// Those of write(2), and a file that would pass 4 GiB.
    pub fn finish(self) -> io::Result<()> {
        self.0.finish()
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
        writer.add(key, data)?;
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
}
