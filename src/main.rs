//! Arguments in, exit status out.

use std::process::ExitCode;

use clap::Parser;
use qmail_updater::cli::{Cli, Command};
use qmail_updater::error::Error;
use qmail_updater::settings::Settings;
use qmail_updater::{answers, rebuild, report};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; everything else is misuse.
            let code = if error.use_stderr() { 100 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(&cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            report::fatal(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Runs the command; false is a negative answer.
fn run(cli: &Cli) -> Result<bool, Error> {
    let settings = Settings::new(&cli.options)?;
    match &cli.command {
        Command::Rebuild { dry_run: false } => rebuild::rebuild(&settings).map(|()| true),
        Command::Rebuild { dry_run: true } => answers::dry_run(&settings).map(|()| true),
        Command::List { what, format } => answers::list(&settings, *what, *format).map(|()| true),
        Command::Lookup { addresses } => answers::lookup(&settings, addresses),
        Command::Explain { addresses } => answers::explain(&settings, addresses).map(|()| true),
    }
}
