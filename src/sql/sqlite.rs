//! The client of SQLite: the file VPOPMAIL/domains/_vpopmail.sqlite, read-only.

use std::io::Write;
use std::time::Duration;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OpenFlags, params_from_iter};

use super::ask::Ask;
use super::reading::{self, EachRow, Field, Refusal, Session};
use super::{Client, Failure};

/// No statement has more columns.
const COLUMNS: usize = 4;

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

struct Transaction {
    connection: Connection,
    database: String,
}

impl Transaction {
    fn begin(ask: &Ask) -> Result<Transaction, Failure> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&ask.file, flags).map_err(|cause| failure(&cause))?;
        let wait = |time: Duration| connection.busy_timeout(time);
        wait(ask.read).and_then(|()| connection.execute_batch("BEGIN")).map_err(|cause| failure(&cause))?;
        let database = ask.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Transaction { connection, database })
    }
}

impl Session for Transaction {
    fn database(&self) -> String {
        self.database.clone()
    }

    fn lacks(&mut self, table: &str) -> Result<bool, Refusal> {
        let statement = "SELECT 1 FROM sqlite_master WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE";
        self.has_none(statement, &[table.as_bytes()])
    }

    fn tables(&self) -> &'static str {
        // How each of them compares is asked.
        "SELECT name, name FROM sqlite_master WHERE type IN ('table', 'view')"
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
                    ValueRef::Blob(bytes) => Some(bytes),
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

impl Client for SqliteClient {
    fn answer(&mut self, ask: &Ask, output: &mut dyn Write) -> Result<(), Failure> {
        let mut transaction = Transaction::begin(ask)?;
        reading::answer(&mut transaction, ask, output)
    }
}
