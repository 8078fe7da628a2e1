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

/// A command that failed.
#[derive(Debug)]
pub struct Failure {
    /// Which, and how.
    pub what: String,
    /// The last lines that it printed, escaped.
    pub said: Vec<String>,
}

/// Runs what follows a rebuild: qmail-newu and qmail-newmrh when their files are behind (which is looked at only when
/// somebody may have changed them: `is_host_new`), and, when a file `changed`, the administrator's commands. Those
/// that failed are the answer; each has been told of.
pub fn run(settings: &Settings, is_host_new: bool, changed: &[PathBuf], stop: &AtomicBool) -> Vec<Failure> {
    let layout = &settings.layout;
    let folder = layout.root.path(&layout.qmail);
    let mut failed = Vec::new();
    let mut alert = |what: String, said: Vec<String>| {
        report::say(Level::Alert, &what);
        failed.push(Failure { what, said });
    };
    type Behind<'a> = (&'static str, &'a dyn Fn() -> Result<Option<String>, Error>);
    let assign = || Assignments::read(layout, &mut Vec::new()).map(|read| read.behind);
    let control = || Control::read(&layout.root, &layout.qmail, &mut Vec::new()).map(|read| read.morercpthosts_behind);
    let compilers: [Behind<'_>; 2] = [("qmail-newu", &assign), ("qmail-newmrh", &control)];
    for (name, behind) in compilers.into_iter().filter(|_| is_host_new) {
        let program = layout.root.path(&[&layout.qmail[..], b"/bin/", name.as_bytes()].concat());
        let task = Task::new(&program, &folder, stop);
        let mut tries = 0..COMPILER_TRIES;
        loop {
            let how = match behind() {
                Ok(None) => break,
                Ok(Some(how)) => how,
                Err(error) => {
                    alert(error.to_string(), Vec::new());
                    break;
                }
            };
            // vpopmail runs it too, and both write the same temporary file: what came of it counts, not how it ended.
            if tries.next().is_none() {
                let what = format!("{how}, although {} was run {COMPILER_TRIES} times", show_path(&program));
                alert(what, Vec::new());
                break;
            }
            match commands::run(&task) {
                Outcome::Done => {}
                Outcome::Missing => {
                    report::say_all(&[Note::warning(format!("{}: not there, so not run; {how}", show_path(&program)))]);
                    break;
                }
                Outcome::Failed { how: failure, said } => {
                    alert(format!("{}: {failure}; {how}", show_path(&program)), said);
                    break;
                }
                Outcome::Later(failure) => {
                    alert(format!("{}: {failure}; {how}", show_path(&program)), Vec::new());
                    break;
                }
            }
        }
    }
    for command in settings.after.iter().filter(|_| !changed.is_empty()) {
        if stop.load(Ordering::Relaxed) {
            let what = format!("{}: not run, because the service ends", show_path(&layout.root.path(command)));
            alert(what, Vec::new());
            continue;
        }
        let program = layout.root.path(command);
        let environment = vec![(commands::CHANGED, commands::join_paths(changed))];
        match commands::run(&Task { environment, ..Task::new(&program, &folder, stop) }) {
            Outcome::Done => {}
            Outcome::Missing => alert(format!("{}: not there, so not run", show_path(&program)), Vec::new()),
            Outcome::Failed { how, said } => alert(format!("{}: {how}", show_path(&program)), said),
            Outcome::Later(how) => alert(format!("{}: {how}", show_path(&program)), Vec::new()),
        }
    }
    failed
}
