//! The program that asks vpopmail's user database. qmail-updater starts it; the clients of the databases are in this program
//! alone, so that the other one, which every hook is, stays small.

use std::process::ExitCode;

use qmail_updater::error::Error;
use qmail_updater::os::raw;
use qmail_updater::os::spawn::{self, DATABASE_PROGRAM};
use qmail_updater::{args, report, sql};

#[global_allocator]
static MEMORY: raw::Memory = raw::Memory;

fn main() -> ExitCode {
    let Some(begun) = spawn::begin_companion(&args::typed()) else {
        report::fatal(&Error::Usage(format!(
            "{DATABASE_PROGRAM} {}: qmail-updater starts this program to read a user database, and nobody else has to",
            env!("CARGO_PKG_VERSION")
        )));
        return ExitCode::from(100);
    };
    let served = begun.and_then(|(file, socket)| sql::serve(file.into(), socket));
    ExitCode::from(if served.is_ok() { 0 } else { 111 })
}
