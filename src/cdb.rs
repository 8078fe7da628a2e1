//! The file format of D. J. Bernstein's cdb, both ways (SPEC section 2).
//!
//! Reading is our own: it works on bytes that somebody else may have damaged on purpose, and must neither panic nor
//! take more memory than the file is large (the reader of cdb2 allocates what a record claims before it looks whether
//! the file is that long, maps a file that may shrink meanwhile, and loses an empty last record). Writing is cdb2's.

use std::fmt;
use std::fs::File;
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
    /// key.
    ///
    /// # Errors
    /// The first damage.
    pub fn check(&self) -> Result<(), Corrupt> {
        let end = check_tables(self.image, self.image.len())?;
        let mut position = HEADER;
        while position < end {
            let (record, next) = self.record_at(position, end)?;
            if self.find(record.key).is_none() {
                return Err(Corrupt::Lost);
            }
            position = next;
        }
        Ok(())
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
