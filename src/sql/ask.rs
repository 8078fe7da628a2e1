//! What is asked of a user database, and how the question gets to the process that asks it. It holds no secret.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::host::user_database::Kind;

/// No question is longer, in bytes.
const MAX_LENGTH: usize = 1 << 27;

/// A question: everything that decides about mail and logins, as of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Which user database it is.
    pub kind: Kind,
    /// The database of SQLite; empty for others.
    pub file: PathBuf,
    /// Whether this vpopmail looks aliases up in the table valias; `None`: nothing shows it, and it does where the table is.
    /// A table that is not there, of a vpopmail that does, has no row.
    pub aliases: Option<bool>,
    /// The same of limits and the table limits.
    pub limits: Option<bool>,
    /// Whether each domain has a table of its own for its mailboxes; `None`: nothing shows it, and each has one where there
    /// is no table vpopmail.
    pub table_each: Option<bool>,
    /// The domains under which users/assign has users, in lower case: with a table each, these tables are read, where they
    /// are ([`crate::host::mailboxes::snapshot::table_of`]). In one table all rows are read.
    pub domains: Vec<Vec<u8>>,
    /// How long the server may take to answer when a connection is made.
    pub connect: Duration,
    /// How long it may take until it sends more.
    pub read: Duration,
}

fn of_option(option: Option<bool>) -> u8 {
    option.map_or(2, u8::from)
}

fn to_option(byte: u8) -> Option<bool> {
    (byte < 2).then_some(byte == 1)
}

fn malformed() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidData)
}

impl Ask {
    /// Writes it.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn write(&self, output: &mut dyn Write) -> io::Result<()> {
        let options = [self.aliases, self.limits, self.table_each].map(of_option);
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).to_le_bytes();
        let (connect, read) = (millis(self.connect), millis(self.read));
        let kind = self.kind.option().as_bytes();
        let fields = [kind, self.file.as_os_str().as_bytes(), &options, &connect, &read];
        let mut bytes = vec![0; size_of::<u32>()];
        for field in fields.into_iter().chain(self.domains.iter().map(Vec::as_slice)) {
            let length = u32::try_from(field.len()).map_err(|_| malformed())?;
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(field);
        }
        let length = bytes.len() - size_of::<u32>();
        if length > MAX_LENGTH {
            return Err(malformed());
        }
        bytes[..size_of::<u32>()].copy_from_slice(&(length as u32).to_le_bytes());
        output.write_all(&bytes)?;
        output.flush()
    }

    /// Reads one; `None` when no other one follows.
    ///
    /// # Errors
    /// Those of read(2); what comes is none.
    pub fn read(input: &mut dyn Read) -> io::Result<Option<Ask>> {
        let mut length = [0; size_of::<u32>()];
        match input.read(&mut length[..1])? {
            0 => return Ok(None),
            _ => input.read_exact(&mut length[1..])?,
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_LENGTH {
            return Err(malformed());
        }
        let mut bytes = Vec::new();
        if input.take(length as u64).read_to_end(&mut bytes)? < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ask::parse(&bytes).map(Some).ok_or_else(malformed)
    }

    fn parse(mut bytes: &[u8]) -> Option<Ask> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_first_chunk()?;
            let (field, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            fields.push(field);
            bytes = rest;
        }
        let [kind, file, options, connect, read, domains @ ..] = &fields[..] else { return None };
        let &[aliases, limits, table_each] = *options else { return None };
        let all = [Kind::Cdb, Kind::Mysql, Kind::Pgsql, Kind::Sqlite];
        let time = |field: &[u8]| Some(Duration::from_millis(u64::from_le_bytes(field.try_into().ok()?)));
        Some(Ask {
            kind: all.into_iter().find(|known| known.option().as_bytes() == *kind)?,
            file: PathBuf::from(OsStr::from_bytes(file)),
            aliases: to_option(aliases),
            limits: to_option(limits),
            table_each: to_option(table_each),
            domains: domains.iter().map(|domain| domain.to_vec()).collect(),
            connect: time(connect)?,
            read: time(read)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_as_it_was_written_and_another_one_follows() {
        let first = Ask {
            kind: Kind::Sqlite,
            file: PathBuf::from("/home/vpopmail/domains/_vpopmail.sqlite"),
            aliases: Some(true),
            limits: None,
            table_each: Some(false),
            domains: vec![b"a.test".to_vec(), b"b-c.test".to_vec()],
            connect: Duration::from_millis(2500),
            read: Duration::from_secs(20),
        };
        let second = Ask { kind: Kind::Mysql, file: PathBuf::new(), domains: Vec::new(), ..first.clone() };
        let mut bytes = Vec::new();
        first.write(&mut bytes).unwrap();
        second.write(&mut bytes).unwrap();
        let input = &mut &bytes[..];
        assert_eq!(Ask::read(input).unwrap(), Some(first));
        assert_eq!(Ask::read(input).unwrap(), Some(second));
        assert_eq!(Ask::read(input).unwrap(), None);
        for end in 1..bytes.len() {
            let read = Ask::read(&mut &bytes[..end]);
            assert!(read.is_err() || end > bytes.len() / 2, "{end}");
        }
        assert!(Ask::read(&mut &[255; 64][..]).is_err(), "longer than any question");
    }
}
