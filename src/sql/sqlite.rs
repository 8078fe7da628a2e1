//! The client of SQLite: the file VPOPMAIL/domains/_vpopmail.sqlite, read-only.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, params_from_iter};

use super::ask::Ask;
use super::reading::{self, EachRow, Field, Known, Refusal, Session};
use super::{Client, Failure};

/// No statement has more columns.
const COLUMNS: usize = 4;
/// The first of them are compared with texts, as vpopmail compares them: the domain and the name. The others are read.
const COMPARED: usize = 2;
/// A file that another process just opens or closes is looked at again so often, ...
const ATTEMPTS: usize = 10;
/// ... after this time. A later change than that shows in the times of a file, whatever their resolution is.
const PAUSE: Duration = Duration::from_millis(20);

/// An open database. It is opened for each question: another file may have taken its place.
#[derive(Debug)]
pub struct SqliteClient;

fn failure(cause: &rusqlite::Error) -> Failure {
    Failure::Server(match cause {
        rusqlite::Error::SqliteFailure(code, Some(words)) => format!("{}: {words}", code.extended_code),
        // These hold the statement, or a value.
        rusqlite::Error::SqlInputError { error, msg, .. } => format!("{}: {msg}", error.extended_code),
        rusqlite::Error::SqliteFailure(..) => cause.to_string(),
        _ => "the database does not answer as one of SQLite does".to_owned(),
    })
}

fn refusal(cause: &rusqlite::Error) -> Refusal {
    match failure(cause) {
        Failure::Server(words) => Refusal::Statement(words),
        other => Refusal::Connection(other),
    }
}

/// A file beside the database.
fn beside(database: &Path, end: &str) -> PathBuf {
    let mut path = OsString::from(database);
    path.push(end);
    path.into()
}

/// What a change changes: device, inode and size, and the times of the contents and of the inode.
type Stamp = ([u64; 3], [i64; 4]);

/// What is there of a database.
#[derive(PartialEq, Eq)]
enum Place {
    /// It is locked while it changes.
    Locked,
    /// Its changes are in a file beside it (WAL), which is shared with other processes.
    Shared,
    /// The same, and that file is not there, or empty: nobody has it open, or nobody has changed it. Who opens it in the usual way makes
    /// files, which this process may not. With this stamp the database is whole.
    Alone { stamp: Stamp },
    /// The same, and it changed just now: another change may leave the same stamp.
    Fresh,
}

impl Place {
    fn of(database: &Path) -> io::Result<Place> {
        // Its first bytes: 18 and 19 are 2 for a database with such a file.
        let mut header = [0; 20];
        let mut file = File::open(database)?;
        match file.read_exact(&mut header) {
            Ok(()) if header[18..] == [2, 2] => {}
            Err(cause) if cause.kind() != ErrorKind::UnexpectedEof => return Err(cause),
            _ => return Ok(Place::Locked),
        }
        match fs::metadata(beside(database, "-wal")) {
            Ok(changes) if changes.len() > 0 => return Ok(Place::Shared),
            Err(cause) if cause.kind() != ErrorKind::NotFound => return Ok(Place::Shared),
            _ => {}
        }
        let found = file.metadata()?;
        // Where it is now, not where it was when it was opened.
        let is_here = fs::metadata(database).is_ok_and(|here| stamp(&here) == stamp(&found));
        let is_fresh =
            |found: &Metadata| found.modified().is_ok_and(|time| time.elapsed().is_ok_and(|age| age < PAUSE));
        Ok(match !is_here || is_fresh(&found) {
            true => Place::Fresh,
            false => Place::Alone { stamp: stamp(&found) },
        })
    }
}

fn stamp(found: &Metadata) -> Stamp {
    let times = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()];
    ([found.dev(), found.ino(), found.size()], times)
}

/// What opens a database that does not change: no lock is taken, and no file beside it is looked for.
fn unchanging(database: &Path) -> String {
    let bytes = database.as_os_str().as_bytes().iter();
    let path: String = bytes.map(|b| if *b == b'/' { "/".to_owned() } else { format!("%{b:02x}") }).collect();
    format!("file:{path}?immutable=1")
}

struct Transaction {
    connection: Connection,
    database: String,
}

impl Transaction {
    fn begin(ask: &Ask, path: &Path) -> rusqlite::Result<Transaction> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(ask.read)?;
        // The first row that is read begins it.
        connection.execute_batch("BEGIN; SELECT 1 FROM sqlite_master LIMIT 1")?;
        let database = ask.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Transaction { connection, database })
    }

    /// Begins where another process may open or close it at the same time, which makes and removes the files beside it.
    fn begin_shared(ask: &Ask) -> Result<Option<Transaction>, Failure> {
        match Transaction::begin(ask, &ask.file) {
            Ok(transaction) => Ok(Some(transaction)),
            Err(cause) if matches!(cause.sqlite_error_code(), Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen)) => {
                Ok(None)
            }
            Err(cause) => Err(failure(&cause)),
        }
    }
}

/// Why a database with a file of changes cannot be opened.
fn why_not_shared(database: &Path) -> Failure {
    let unread = ["-wal", "-shm"].map(|end| beside(database, end)).into_iter().find_map(|file| {
        let cause = File::open(&file).err()?;
        Some(format!("{}: {cause}", file.file_name().unwrap_or_default().to_string_lossy()))
    });
    let what = unread.unwrap_or_else(|| "the files -wal and -shm beside it cannot be used".to_owned());
    Failure::Server(format!("it is in WAL mode: {what}"))
}

impl Session for Transaction {
    fn database(&self) -> String {
        self.database.clone()
    }

    fn lacks(&mut self, table: &str) -> Result<bool, Refusal> {
        let statement = "SELECT 1 FROM sqlite_master WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE";
        self.has_none(statement, &[table.as_bytes()])
    }

    fn columns(&self) -> &'static str {
        // How each of them compares is asked.
        "SELECT name, 'pw_name', name FROM sqlite_master WHERE type IN ('table', 'view')"
    }

    fn quoted(&self, table: &str) -> String {
        format!("\"{}\"", table.replace('"', "\"\""))
    }

    fn first(&self, column: &str, length: usize) -> String {
        format!("substr({column}, 1, {length})")
    }

    fn number(&self, column: &str) -> String {
        column.to_owned()
    }

    fn parameter(&self, number: usize) -> String {
        format!("?{number}")
    }

    fn select(&mut self, statement: &str, parameters: &[&[u8]], each: EachRow<'_>) -> Result<(), Refusal> {
        let mut statement = self.connection.prepare(statement).map_err(|cause| refusal(&cause))?;
        let columns = statement.column_count().min(COLUMNS);
        let parameters = parameters.iter().map(|text| Value::Text(String::from_utf8_lossy(text).into_owned()));
        let mut rows = statement.query(params_from_iter(parameters)).map_err(|cause| refusal(&cause))?;
        let lost = |cause: &rusqlite::Error| Refusal::Connection(failure(cause));
        while let Some(row) = rows.next().map_err(|cause| lost(&cause))? {
            let mut numbers: [Option<String>; COLUMNS] = Default::default();
            for (at, number) in numbers.iter_mut().enumerate().take(columns) {
                *number = match row.get_ref(at).map_err(|cause| lost(&cause))? {
                    ValueRef::Integer(value) => Some(value.to_string()),
                    ValueRef::Real(value) => Some(value.to_string()),
                    ValueRef::Null | ValueRef::Text(_) | ValueRef::Blob(_) => None,
                };
            }
            let mut fields: [Field<'_>; COLUMNS] = [None; COLUMNS];
            for (at, field) in fields.iter_mut().enumerate().take(columns) {
                *field = match row.get_ref(at).map_err(|cause| lost(&cause))? {
                    ValueRef::Text(text) => Some(text),
                    // It is equal to no text, and is read as one.
                    ValueRef::Blob(bytes) => Some(bytes).filter(|_| at >= COMPARED),
                    ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => {
                        numbers[at].as_deref().map(str::as_bytes)
                    }
                };
            }
            each(&fields[..columns]).map_err(Refusal::Connection)?;
        }
        Ok(())
    }
}

/// Reads the whole while nobody changes the database; `None` when somebody did.
fn answer_alone(ask: &Ask, place: &Place) -> Option<Result<Vec<u8>, Failure>> {
    let mut rows = Vec::new();
    let answered =
        Transaction::begin(ask, Path::new(&unchanging(&ask.file))).map_err(|cause| failure(&cause)).and_then(
            |mut transaction| reading::answer(&mut transaction, ask, &mut Known::new(), &mut rows, &|words| words),
        );
    let is_same = Place::of(&ask.file).is_ok_and(|now| now == *place);
    is_same.then(|| answered.map(|()| rows))
}

impl Client for SqliteClient {
    fn answer(&mut self, ask: &Ask, output: &mut dyn Write) -> Result<(), Failure> {
        let (start, mut refused) = (Instant::now(), 0);
        while refused < ATTEMPTS {
            match Place::of(&ask.file).map_err(|cause| Failure::Server(cause.to_string()))? {
                Place::Locked => {
                    let begun = Transaction::begin(ask, &ask.file).map_err(|cause| failure(&cause));
                    return reading::answer(&mut begun?, ask, &mut Known::new(), output, &|words| words);
                }
                Place::Shared => match Transaction::begin_shared(ask)? {
                    Some(mut transaction) => {
                        return reading::answer(&mut transaction, ask, &mut Known::new(), output, &|words| words);
                    }
                    None => refused += 1,
                },
                place @ Place::Alone { .. } => {
                    if let Some(rows) = answer_alone(ask, &place) {
                        return Ok(output.write_all(&rows?)?);
                    }
                }
                Place::Fresh => {}
            }
            if start.elapsed() > ask.read {
                return Err(Failure::Server("it changed again whenever it was read".to_owned()));
            }
            sleep(PAUSE);
        }
        Err(why_not_shared(&ask.file))
    }
}
