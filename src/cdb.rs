//! The file format of D. J. Bernstein's cdb, both ways (SPEC section 2).
//!
//! Reading is our own: it works on bytes that somebody else may have damaged on purpose, and must neither panic nor
//! take more memory than the file is large (the reader of cdb2 allocates what a record claims before it looks whether
//! the file is that long, maps a file that may shrink meanwhile, and loses an empty last record). Writing is cdb2's.

use std::fmt;
use std::fs::File;
use std::io;

/// The pointers to the 256 tables: what every cdb begins with.
const HEADER: usize = 2048;

/// What is wrong with a cdb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corrupt {
    /// Shorter than its 2048 bytes of pointers.
    TooShort,
    /// Larger than 4 GiB, which no pointer reaches.
    TooLong,
    /// A pointer leads outside the file.
    Pointer,
    /// A record runs past the end of the records.
    Record,
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Corrupt::TooShort => "corrupt: shorter than a cdb's 2048 bytes of pointers",
            Corrupt::TooLong => "corrupt: longer than the 4 GiB of a cdb",
            Corrupt::Pointer => "corrupt: a pointer leads outside the file (truncated?)",
            Corrupt::Record => "corrupt: a record runs past the end of the records",
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
    /// Where the records end and the tables begin.
    end: usize,
}

impl<'a> Reader<'a> {
    /// Takes the bytes of a cdb file; every pointer to a table must lead into the file.
    ///
    /// # Errors
    /// What makes it no cdb, or a damaged one.
    pub fn new(image: &'a [u8]) -> Result<Reader<'a>, Corrupt> {
        if image.len() < HEADER {
            return Err(Corrupt::TooShort);
        }
        if u32::try_from(image.len()).is_err() {
            return Err(Corrupt::TooLong);
        }
        let mut end = image.len();
        for table in 0..256 {
            let (position, slots) = pair(image, table * 8).ok_or(Corrupt::TooShort)?;
            let length = slots.checked_mul(8).ok_or(Corrupt::Pointer)?;
            if position < HEADER || position.checked_add(length).is_none_or(|stop| stop > image.len()) {
                return Err(Corrupt::Pointer);
            }
            end = end.min(position);
        }
        Ok(Reader { image, end })
    }

    /// The data of the first record with this key, as `cdb_find` finds it: a damaged record ends the search.
    pub fn find(&self, key: &[u8]) -> Option<&'a [u8]> {
        let hash = hash(key);
        let (position, slots) = pair(self.image, (hash as usize & 0xff) * 8)?;
        let first = (hash as usize >> 8).checked_rem(slots)?;
        for slot in (first..slots).chain(0..first) {
            let (slot_hash, record) = pair(self.image, position + slot * 8)?;
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

    /// All records in the order in which they were written. Ends after the first damaged one.
    pub fn records(&self) -> impl Iterator<Item = Result<Record<'a>, Corrupt>> + use<'a> {
        let reader = *self;
        let mut position = HEADER;
        std::iter::from_fn(move || {
            if position >= reader.end {
                return None;
            }
            match reader.record_at(position, reader.end) {
                Ok((record, next)) => {
                    position = next;
                    Some(Ok(record))
                }
                Err(corrupt) => {
                    position = reader.end;
                    Some(Err(corrupt))
                }
            }
        })
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
