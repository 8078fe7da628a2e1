//! Runs what follows a rebuild: qmail-newu(8) and qmail-newmrh(8) where a compiled file is behind, then the commands of
//! the administrator when a table changed. A command that fails is an alert; the published files stay. What each command
//! is owed, and when it runs, is decided by [`crate::service::owed`].

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::error::show_path;
use crate::host::Host;
use crate::host::compilers::{Behind, Compiler, Due, Stamps};
use crate::os::lock::{self, Lock};
use crate::os::spawn::{self, Task};
use crate::os::stop::Stop;
use crate::report::{self, Level, Note};
use crate::service::owed::{Command, Failure, FollowUps, LONGEST_WAIT, Order, Outcome, Owed, Seen};
use crate::settings::Settings;

/// For how long a run waits for the run of another process of this program, which ends or is killed within a minute.
const LONGEST_RUN: Duration = Duration::from_secs(90);

/// How often the lock of a run of another process is tried.
const LOCK_LOOK: Duration = Duration::from_millis(50);
/// How often a compiler is run until its file says what it should.
const COMPILER_TRIES: usize = 3;

/// Runs everything that follows a rebuild which changed these files, one after the other, and gives what failed; each
/// failure has been told. A compiler that has to wait is waited for at the end. The rebuild found these `behind`.
pub fn run_all(settings: &Settings, changed: &[PathBuf], behind: &[Due], stop: &Stop) -> Vec<Failure> {
    let changed: BTreeSet<PathBuf> = changed.iter().cloned().collect();
    let now = Instant::now();
    let after = settings.after.iter().map(|command| (command.clone(), changed.clone()));
    let mut follow_ups = FollowUps::new(after);
    follow_ups.rebuilt(now, &[]);
    // Each looks once more, for what changed since the rebuild read its files.
    let due = |compiler: Compiler| {
        let found = behind.iter().find(|due| due.compiler == compiler);
        found.cloned().unwrap_or_else(|| Due::new(compiler))
    };
    let (may_run, put_off): (Vec<Due>, Vec<Due>) =
        Compiler::ALL.into_iter().map(due).partition(|due| due.put_off.is_none());
    follow_ups.read(now, &may_run);
    let note = |due: &Due| Some(not_run(settings, due.compiler, due.put_off.as_ref()?));
    report::say_all(&put_off.iter().filter_map(note).collect::<Vec<_>>());
    let mut orders: VecDeque<(Instant, Order)> =
        follow_ups.start(now).into_iter().flatten().map(|order| (now, order)).collect();
    let mut failed = Vec::new();
    while let Some((due, order)) = orders.pop_front() {
        stop.wait(due.saturating_duration_since(Instant::now()));
        match run(settings, &order, stop) {
            Outcome::Done | Outcome::PutOff(_) => {}
            Outcome::Failed(failure) => failed.push(failure),
            Outcome::NotYet(seen, wait) => {
                if let Command::Compiler(compiler) = order.command {
                    report::say(Level::Status, &waits(settings, compiler, wait));
                }
                orders.push_back((Instant::now() + wait, Order { seen: Some(seen), ..order }));
            }
        }
    }
    failed
}

/// Why a compiler is waited for.
fn waits(settings: &Settings, compiler: Compiler, wait: Duration) -> String {
    let [text, compiled] = paths(settings, compiler);
    format!(
        "{}: waits for {:.1} s, because {} or {} has just changed and what changed it may run {0} itself",
        show_path(&program(settings, compiler)),
        wait.as_secs_f64(),
        show_path(&text),
        show_path(&compiled)
    )
}

/// Why a compiler is not run although its file is behind.
fn not_run(settings: &Settings, compiler: Compiler, why: &str) -> Note {
    Note::warning(format!("{}: not run, because {why}", show_path(&program(settings, compiler))))
}

/// What was said of the compilers that are not run although their files are behind.
pub fn all_not_run(settings: &Settings, follow_ups: &FollowUps) -> Vec<Note> {
    let note = |owed: &Owed| {
        let Command::Compiler(compiler) = owed.command else { return None };
        Some(not_run(settings, compiler, owed.put_off()?))
    };
    follow_ups.commands().iter().filter_map(note).collect()
}

/// What a rebuild would run, and why, with what cannot run, when the guard holds these domains.
pub fn would_run(settings: &Settings, host: &Host, held: &BTreeSet<Vec<u8>>) -> Vec<Note> {
    let note = |compiler: Compiler| {
        let how = &compiler.behind(host)?.how;
        let program = program(settings, compiler);
        Some(if let Some(why) = compiler.put_off(host, held) {
            Note::warning(format!("{}: would not run, because {why}", show_path(&program)))
        } else if is_missing(&program) {
            Note::warning(format!("{}: not there, so it would not run; {how}", show_path(&program)))
        } else {
            Note::new(Level::Status, format!("{}: would run, because {how}", show_path(&program)))
        })
    };
    Compiler::ALL.into_iter().filter_map(note).collect()
}

/// Runs one command. A failure has been told.
pub fn run(settings: &Settings, order: &Order, stop: &Stop) -> Outcome {
    match &order.command {
        Command::Compiler(compiler) => compile(settings, *compiler, order, stop),
        Command::After(command) => tell(settings, command, &order.changed, stop),
    }
}

/// Tells a command of `--after` what changed.
fn tell(settings: &Settings, command: &[u8], changed: &BTreeSet<PathBuf>, stop: &Stop) -> Outcome {
    let layout = &settings.layout;
    let (program, folder) = (layout.root.path(command), layout.root.path(&layout.qmail));
    let shown = show_path(&program);
    if stop.is_told() {
        return alert(format!("{shown}: not run, because the service ends"), Vec::new());
    }
    let changed: Vec<PathBuf> = settings.published().into_iter().filter(|path| changed.contains(path)).collect();
    let environment = vec![(spawn::CHANGED, spawn::join_paths(&changed))];
    match spawn::run(&Task { environment, ..Task::new(&program, &folder, stop) }) {
        spawn::Outcome::Done => Outcome::Done,
        spawn::Outcome::Missing => alert(format!("{shown}: not there, so not run"), Vec::new()),
        spawn::Outcome::Failed { how, said } => alert(format!("{shown}: {how}"), said),
        spawn::Outcome::Later(how) => alert(format!("{shown}: {how}"), Vec::new()),
    }
}

/// Runs a compiler until the compiled file says what the text says. vpopmail runs it too, and both write the same temporary
/// file: what came of a run counts, not how it ended; and a run that failed while somebody else changed one of the files
/// is looked at again before it is told. What it would take away that no rebuild has weighed, it leaves to the next one.
fn compile(settings: &Settings, compiler: Compiler, order: &Order, stop: &Stop) -> Outcome {
    let layout = &settings.layout;
    let (program, folder) = (program(settings, compiler), layout.root.path(&layout.qmail));
    let shown = show_path(&program);
    let mut seen = order.seen.clone();
    let mut is_told = false;
    let mut turn = None;
    // How the last run failed, and what the files were before it.
    let mut failed: Option<(String, Vec<String>, Stamps)> = None;
    loop {
        let Behind { how, goes, .. } = match compiler.look(layout) {
            Ok(None) => return Outcome::Done,
            Ok(Some(behind)) => behind,
            Err(error) => return alert(error.to_string(), Vec::new()),
        };
        let stamps = compiler.stamps(layout);
        let tries = seen.as_ref().map_or(0, |seen| seen.tries);
        if let Some((failure, said, before)) = failed.take()
            && (tries >= COMPILER_TRIES || before == stamps)
        {
            return alert(format!("{shown}: {failure}; {how}"), said);
        }
        if tries >= COMPILER_TRIES {
            return alert(format!("{how}, although {shown} was run {COMPILER_TRIES} times"), Vec::new());
        }
        if is_missing(&program) {
            return not_there(&program, &how);
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (mut looked, wait) = Seen::look(seen, stamps.clone(), Instant::now(), now);
        if !wait.is_zero() && looked.is_too_long(Instant::now()) {
            return changed_too_often(settings, compiler, &how);
        }
        if !wait.is_zero() {
            return Outcome::NotYet(looked, wait);
        }
        if !goes.is_subset(&order.may_go) {
            return leave_to_next_rebuild(settings, compiler, order);
        }
        // Another process of this program may have compiled it meanwhile.
        if turn.is_none() {
            turn = Some(take_turn(settings, compiler, stop));
            if stop.is_told() {
                return alert(format!("{shown}: not run, because the service ends"), Vec::new());
            }
            seen = Some(looked);
            continue;
        }
        if !std::mem::replace(&mut is_told, true) {
            report::say(Level::Status, &format!("{shown}: runs, because {how}"));
        }
        looked.tries += 1;
        seen = Some(looked);
        match spawn::run(&Task::new(&program, &folder, stop)) {
            spawn::Outcome::Done => {}
            spawn::Outcome::Missing => return not_there(&program, &how),
            spawn::Outcome::Failed { how, said } => failed = Some((how, said, stamps)),
            spawn::Outcome::Later(how) => failed = Some((how, Vec::new(), stamps)),
        }
    }
}

/// Leaves a compiler alone that is not installed.
fn not_there(program: &Path, how: &str) -> Outcome {
    report::say_all(&[Note::warning(format!("{}: not there, so not run; {how}", show_path(program)))]);
    Outcome::Done
}

/// Leaves a compiler alone whose files changed all the time while it waited for them.
fn changed_too_often(settings: &Settings, compiler: Compiler, how: &str) -> Outcome {
    let program = program(settings, compiler);
    let shown = show_path(&program);
    let [text, compiled] = paths(settings, compiler);
    let (text, compiled, seconds) = (show_path(&text), show_path(&compiled), LONGEST_WAIT.as_secs());
    let what =
        format!("{how}; {shown} was not run, because {text} or {compiled} changed again and again for {seconds} s");
    alert(what, Vec::new())
}

/// Does not run a compiler that would remove what may not go, or what the next rebuild has to look at first.
fn leave_to_next_rebuild(settings: &Settings, compiler: Compiler, order: &Order) -> Outcome {
    if let Some(why) = &order.forbidden {
        report::say_all(&[not_run(settings, compiler, why)]);
        return Outcome::PutOff(why.clone());
    }
    let program = program(settings, compiler);
    let shown = show_path(&program);
    let [text, compiled] = paths(settings, compiler);
    let what = format!(
        "{shown}: not run, because {} or {} changed since the last rebuild read them; the next rebuild looks at \
         them again",
        show_path(&text),
        show_path(&compiled)
    );
    report::say(Level::Status, &what);
    Outcome::Done
}

/// Waits until no other process of this program runs the compiler. Without the lock, it runs all the same: what comes of
/// two runs at once is looked at again.
fn take_turn(settings: &Settings, compiler: Compiler, stop: &Stop) -> Option<Lock> {
    let start = Instant::now();
    let mut is_told = false;
    while start.elapsed() < LONGEST_RUN && !stop.is_told() {
        if let Some(lock) = lock::try_compiler(&settings.layout.root, &settings.state, compiler.name()).transpose() {
            return lock.ok();
        }
        if !std::mem::replace(&mut is_told, true) {
            let shown = program(settings, compiler);
            let text = format!("{}: waits, because another process of qmail-updater runs it", show_path(&shown));
            report::say(Level::Status, &text);
        }
        stop.wait(LOCK_LOOK);
    }
    None
}

/// Whether it is known that there is no such program.
fn is_missing(program: &Path) -> bool {
    program.try_exists().is_ok_and(|exists| !exists)
}

fn program(settings: &Settings, compiler: Compiler) -> PathBuf {
    settings.layout.root.path(&compiler.program(&settings.layout))
}

/// The text and the compiled file.
fn paths(settings: &Settings, compiler: Compiler) -> [PathBuf; 2] {
    compiler.files(&settings.layout).map(|file| settings.layout.root.path(&file))
}

/// Tells of a failure.
fn alert(what: String, said: Vec<String>) -> Outcome {
    report::say(Level::Alert, &what);
    Outcome::Failed(Failure { what, said })
}
