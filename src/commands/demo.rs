//! The sample host inside the program: a copy of it is rebuilt and asked, so that the program can be tried without qmail.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use include_dir::{Dir, include_dir};

use super::screen::{Form, Screen, wrapped};
use crate::args;
use crate::error::{Error, show_cause, show_path};
use crate::fs::sample;
use crate::os::spawn;

/// The files of examples/host.
static HOST: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/examples/host");
/// What is shown. Each is a command that can be typed.
const COMMANDS: [&[&str]; 3] = [
    &["rebuild", "--no-commands"],
    &["lookup", "ANN@example.com", "nobody@example.com", "bob@example.com", "anybody@example.net"],
    &["explain", "bob@example.com"],
];
/// What of the environment decides about the form of the output.
const OF_TERMINAL: [&str; 4] = ["TERM", "COLUMNS", "NO_COLOR", "LANG"];

/// Copies the sample host into a new directory of this machine, `None` being one below TMPDIR, and runs commands on it.
///
/// # Errors
/// The directory is there already, or cannot be made; a command failed.
pub fn demo(screen: &Screen, directory: Option<&OsStr>) -> Result<(), Error> {
    let top = sample::copy(&HOST, directory.map(Path::new))?;
    let shown = show_path(&top);
    let say = |text: &str| match screen.form {
        Form::Terminal(width) => screen.print(&wrapped(text, width, 0, 0)),
        Form::Pipe | Form::Json => screen.print(&format!("{text}\n")),
    };
    say(&format!("The sample host is copied to {shown}. Nothing else is touched."))?;
    for command in COMMANDS {
        screen.print(&format!("\n$ qmail-updater --root {shown} {}\n", command.join(" ")))?;
        let mut arguments = vec![OsString::from("--root"), top.clone().into_os_string()];
        arguments.extend(command.iter().map(OsString::from));
        let environment = OF_TERMINAL.iter().filter_map(|name| Some((*name, args::variable(name)?)));
        let status = spawn::ourselves(&arguments, environment)
            .map_err(|cause| Error::Temporary(format!("this program does not start: {}", show_cause(&cause))))?;
        // Negative answers are answers.
        if !matches!(status, Some(0 | 1)) {
            return Err(Error::Temporary(format!("{} failed; the copy stays in {shown}", command[0])));
        }
    }
    screen.print("\n")?;
    say(&format!("Change a file in {shown}, rebuild, and ask again. These commands tell more:"))?;
    screen.print(&format!(
        "\x20 qmail-updater --root {shown} rebuild --dry-run\n\
         \x20 qmail-updater --root {shown} check\n\
         \x20 qmail-updater --root {shown} domains\n\
         \x20 qmail-updater --root {shown} explain sales@example.com\n\
         Remove the copy: rm -r {shown}\n"
    ))
}
