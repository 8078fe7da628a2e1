//! Arguments in, exit status out.

use std::process::ExitCode;
use std::sync::Arc;

use qmail_updater::cli::{Cli, Command, Refusal};
use qmail_updater::error::Error;
use qmail_updater::settings::Settings;
use qmail_updater::{answers, rebuild, report};

fn main() -> ExitCode {
    // Caught, the signal leaves write(2) to fail with EFBIG, which is reported and cleaned up after.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
    match Cli::read().map_err(usage).and_then(|cli| run(&cli)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            report::fatal(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Prints what was asked for instead of a command, or says what cannot be used.
fn usage(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Help(help) => help.exit(),
        Refusal::Misuse(what) => Error::Usage(what),
    }
}

/// Runs the command; false is a negative answer.
fn run(cli: &Cli) -> Result<bool, Error> {
    let settings = Settings::new(&cli.options)?;
    match &cli.command {
        Command::Rebuild { dry_run: false, no_commands } => rebuild::rebuild(&settings, !no_commands).map(|()| true),
        Command::Rebuild { dry_run: true, .. } => answers::dry_run(&settings).map(|()| true),
        Command::List { what, format } => answers::list(&settings, *what, *format).map(|()| true),
        Command::Lookup { addresses } => answers::lookup(&settings, addresses),
        Command::Explain { addresses } => answers::explain(&settings, addresses).map(|()| true),
    }
}
