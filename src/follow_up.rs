//! What follows a rebuild: qmail-newu(8) and qmail-newmrh(8) where their files are behind, then what the administrator
//! hangs on a change. A command that fails is an alert; the published files stay.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::commands::{self, Outcome, Task};
use crate::error::{Error, show_path};
use crate::host::assign::Assignments;
use crate::host::control::Control;
use crate::report::{self, Level, Note};
use crate::settings::Settings;

/// How often qmail-newu or qmail-newmrh is run until its file says what it should.
const COMPILER_TRIES: usize = 3;

/// Runs what follows a rebuild: qmail-newu and qmail-newmrh when their files are behind (which is looked at only when
/// somebody may have changed them: `is_host_new`), and, when a file `changed`, the administrator's commands. How many
/// failed is the answer; each has been told of.
pub fn run(settings: &Settings, is_host_new: bool, changed: &[PathBuf], stop: &AtomicBool) -> usize {
    let layout = &settings.layout;
    let folder = layout.root.path(&layout.qmail);
    let mut failed = 0;
    let mut alert = |text: String| {
        report::say(Level::Alert, &text);
        failed += 1;
    };
    type Behind<'a> = (&'static str, &'a dyn Fn() -> Result<Option<String>, Error>);
    let assign = || Assignments::read(&layout.root, &layout.qmail, &mut Vec::new()).map(|read| read.behind);
    let control = || Control::read(&layout.root, &layout.qmail, &mut Vec::new()).map(|read| read.morercpthosts_behind);
    let compilers: [Behind<'_>; 2] = [("qmail-newu", &assign), ("qmail-newmrh", &control)];
    for (name, behind) in compilers.into_iter().filter(|_| is_host_new) {
        let program = layout.root.path(&[&layout.qmail[..], b"/bin/", name.as_bytes()].concat());
        let task = Task { program: &program, folder: &folder, environment: Vec::new(), stop };
        let mut tries = 0..COMPILER_TRIES;
        loop {
            let how = match behind() {
                Ok(None) => break,
                Ok(Some(how)) => how,
                Err(error) => {
                    alert(error.to_string());
                    break;
                }
            };
            // vpopmail runs it too, and both write the same temporary file: what came of it counts, not how it ended.
            if tries.next().is_none() {
                alert(format!("{how}, although {} was run {COMPILER_TRIES} times", show_path(&program)));
                break;
            }
            match commands::run(&task) {
                Outcome::Done => {}
                Outcome::Missing => {
                    report::say_all(&[Note::warning(format!("{}: not there, so not run; {how}", show_path(&program)))]);
                    break;
                }
                Outcome::Failed(failure) => {
                    alert(format!("{}: {failure}; {how}", show_path(&program)));
                    break;
                }
            }
        }
    }
    for command in settings.after.iter().filter(|_| !changed.is_empty()) {
        if stop.load(Ordering::Relaxed) {
            alert(format!("{}: not run, because the service ends", show_path(&layout.root.path(command))));
            continue;
        }
        let program = layout.root.path(command);
        let environment = vec![("QMAIL_UPDATER_CHANGED", commands::join_paths(changed))];
        match commands::run(&Task { program: &program, folder: &folder, environment, stop }) {
            Outcome::Done => {}
            Outcome::Missing => {
                report::say_all(&[Note::warning(format!("{}: not there, so not run", show_path(&program)))]);
            }
            Outcome::Failed(failure) => alert(format!("{}: {failure}", show_path(&program))),
        }
    }
    failed
}
