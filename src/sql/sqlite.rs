//! The client of SQLite: VPOPMAIL/domains/_vpopmail.sqlite, read-only.

use std::io::Write;

use super::ask::Ask;
use super::{Client, Failure};

/// An open database.
#[derive(Debug)]
pub struct Sqlite;

impl Sqlite {
    /// Opens the database that the question names.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub fn connect(ask: &Ask) -> Result<Sqlite, Failure> {
        Err(Failure::Server(format!("no client of {} yet", ask.kind.name())))
    }
}

impl Client for Sqlite {
    fn answer(&mut self, _ask: &Ask, _output: &mut dyn Write) -> Result<(), Failure> {
        Err(Failure::Server("no client yet".to_owned()))
    }
}
