//! Arguments in, exit status out.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{Resource, setrlimit};
use qmail_updater::args::{self, Cli, Color, Command};
use qmail_updater::commands::answers::Checking;
use qmail_updater::commands::findings::{self, Shows};
use qmail_updater::commands::overview::State;
use qmail_updater::commands::screen::Screen;
use qmail_updater::commands::status::status;
use qmail_updater::commands::{answers, check, demo, explain, list, lookup, user};
use qmail_updater::error::{Error, show_path};
use qmail_updater::front::Caller;
use qmail_updater::fs::silence::Back;
use qmail_updater::kernel::ACCEPTED;
use qmail_updater::os::raw;
use qmail_updater::os::spawn;
use qmail_updater::os::stop::Stop;
use qmail_updater::pipe::notice::to_line;
use qmail_updater::pipe::write::{Poked, poke};
use qmail_updater::protect::hold::{self, Patience};
use qmail_updater::rebuild::{Order, database};
use qmail_updater::report::Level;
use qmail_updater::service::{self, follow_ups};
use qmail_updater::settings::{self, Refusal, Settings};
use qmail_updater::text::{count, lower};
use qmail_updater::{actions, publish, rebuild, report};
use signal_hook::consts::{SIGABRT, SIGXFSZ};

#[global_allocator]
static MEMORY: raw::Memory = raw::Memory;

fn main() -> ExitCode {
    if let Some(code) = spawn::begin_session(&args::typed()) {
        return ExitCode::from(code);
    }
    let caller = Caller::find();
    if caller.is_some() {
        report::write_in_background();
    }
    // Caught, the signal leaves write(2) to fail with EFBIG, which is reported and cleaned up after.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
    // Without memory Rust aborts: that may go better next time.
    let out_of_memory = caller.as_ref().map_or(111, Caller::out_of_memory);
    let _ = signal_hook::flag::register_conditional_shutdown(SIGABRT, out_of_memory, Arc::new(AtomicBool::new(true)));
    // No core dump, and no debugger of another user: the memory holds hashes.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let _ = raw::keep_memory_private();
    std::panic::set_hook(Box::new(|fault| report::fault(fault.location())));
    let code = match catch_unwind(AssertUnwindSafe(|| command(caller.as_ref()))) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            // The answer first: a hook's caller waits for nothing else.
            let code = caller.as_ref().map_or_else(|| failed(&error), Caller::failed);
            report::fatal(&if caller.is_some() { error } else { error.or_as_root() });
            code
        }
        // The panic's own hook has said where.
        Err(_) => {
            let error = Error::Temporary("a fault in this program".to_owned());
            caller.map_or_else(|| failed(&error), |caller| caller.failed())
        }
    };
    report::flush(LAST_WORDS);
    ExitCode::from(code)
}

/// The exit status of a command that failed. Nagios reads standard output, and has exit statuses of its own. Where this program
/// stands in the place of its link rcptcheck, or of a line of a `.qmail` file, 100 would refuse mail for good: what
/// qmail-smtpd and qmail-local set shows that.
fn failed(error: &Error) -> u8 {
    let typed = args::typed();
    let is_typed = |word: &str| typed.iter().any(|typed| typed == word);
    if is_typed("check") && is_typed("--nagios") {
        return match Screen::new(Color::Never, false).print(&findings::nagios_unknown(error)) {
            Ok(()) => findings::NAGIOS_UNKNOWN,
            Err(error) => error.exit_code(),
        };
    }
    let is_asked = args::variable("RECIPIENT").is_some();
    if is_asked { Error::Temporary(String::new()).exit_code() } else { error.exit_code() }
}

/// What was typed, done; the exit status.
fn command(caller: Option<&Caller>) -> Result<u8, Error> {
    if caller.is_none() && args::typed().len() <= 1 {
        Screen::new(Color::Auto, false).print(args::SHORT_HELP)?;
    }
    let (cli, settings) = match settings::read().map_err(refused) {
        Ok(read) => read,
        Err(error) => {
            // A client of a connection gets an answer all the same; the log says first why it is none.
            let connection = caller.filter(|caller| caller.serves_connection());
            let Some(caller) = connection else { return Err(error) };
            report::fatal(&error);
            return Ok(caller.serve_without_settings());
        }
    };
    match (&cli.command, caller) {
        (Command::Hook(hook), Some(caller)) => caller.serve(&settings, hook),
        _ => run(&cli, settings),
    }
}

/// How long the end waits for a log that takes nothing.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Prints what was asked for instead of a command, or says what cannot be used.
fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Help(help) => help.exit(),
        Refusal::Error(error) => error,
    }
}

/// Says in what these settings differ from those of the service that runs. That stops a command that would publish other
/// tables, unless it is to.
fn compare_with_service(settings: &Settings, goes_on: bool) -> Result<(), Error> {
    match service::status::differences(settings) {
        Some(differences) if !goes_on => Err(Error::Usage(format!(
            "{differences}; nothing is published; change the settings of the service and start it again, or give rebuild \
             --own-settings"
        ))),
        differences => {
            differences.iter().for_each(|differences| report::say(Level::Warning, differences));
            // It would undo what such a rebuild does, such as a new owner of the login table.
            report::say_all(service::status::unheeded(settings).as_slice());
            Ok(())
        }
    }
}

/// Rebuilds; `force` names the domains that the guard must not hold, and without a name it holds none.
fn rebuild(settings: &Settings, commands: bool, force: Option<&[OsString]>) -> Result<(), Error> {
    report::say_all(&settings.unknown_variables());
    let stop = Stop::never();
    let patience = if force.is_some_and(<[_]>::is_empty) { Patience::Force } else { Patience::Ever };
    let let_go: Vec<Vec<u8>> = force.unwrap_or_default().iter().map(|name| lower(name.as_bytes())).collect();
    if let_go.iter().any(Vec::is_empty) {
        return Err(Error::Usage("--force \"\": a domain has a name; --force alone holds none".to_owned()));
    }
    let then = match let_go.is_empty() {
        true => "restore what is missing; if the loss is right, rebuild --force publishes it",
        false => {
            "what --force names is not held; restore what else is missing; if that loss is right, rebuild --force publishes it"
        }
    };
    let note = &report::say_all;
    let order =
        Order { head: "rebuild done", middle: "", patience, let_go: &let_go, then, note, stop: &stop, is_quiet: false };
    let had_logins = settings.logins_target().is_ok_and(|(target, _)| target.look().is_some());
    let done = rebuild::rebuild(settings, &order)?;
    // Without the commands something else has to be done here before mail servers use the tables.
    if commands && report::is_terminal() && !had_logins {
        warn_of_logins(settings);
    }
    if !commands {
        report::say_all(&rebuild::behind(&done.host, &hold::names(&done.held)));
    } else if let failed @ 1.. = follow_ups::run_all(settings, &done.changed(), &done.behind, &stop).len() {
        let failed = count(failed, "command");
        return Err(Error::Temporary(format!("{failed} failed; both files are right, and stay published")));
    }
    warn_of_database(settings);
    done.denied.nothing_closed("what depends on it is kept as published, or accepted")?;
    done.all_published().map(drop)
}

/// Says that nobody can log in by the new auth.cdb, if only root can read it.
fn warn_of_logins(settings: &Settings) {
    if let Ok((target, _)) = settings.logins_target() {
        report::say_all(check::no_logins(settings, &target).as_slice());
    }
}

/// Says that the user database did not answer, which is no failure of a rebuild.
fn warn_of_database(settings: &Settings) {
    if database::standing(settings).as_ref().is_some_and(|standing| standing.failing.is_some()) {
        let text = "done without the user database, as the alert says: no change in it is published, and a user without a \
                    published login cannot log in; rebuild again when it answers";
        report::say(Level::Warning, text);
    }
}

/// Pokes every pipe; that nobody listens is no failure.
fn trigger(settings: &Settings, notice: &[OsString], verbose: bool) {
    let fields: Vec<&[u8]> = notice.iter().take(4).map(|field| field.as_bytes()).collect();
    let line = to_line(&fields);
    // The service makes the directory of its state.
    let state = settings.layout.root.path(&settings.state);
    let service = state.symlink_metadata().ok().filter(|meta| meta.is_dir()).map(|meta| meta.uid());
    for fifo in &settings.fifos {
        let what = match poke(fifo, &line, service) {
            Poked::Written => "the service was told".to_owned(),
            Poked::Full => "full of triggers already; the service will rebuild".to_owned(),
            Poked::NoReader => "nobody reads it; a service that starts rebuilds anyway".to_owned(),
            Poked::Foreign(uid) => format!("a pipe of uid {uid}, which is not the service's; nothing is written to it"),
            Poked::NoFifo => "no pipe to write to: something else is there; nothing is written to it".to_owned(),
            Poked::Failed(cause @ (Errno::ENOENT | Errno::ENOTDIR)) => {
                format!("no pipe to write to ({}); is the service running?", cause.desc())
            }
            Poked::Failed(cause) => format!("nothing is written to it: {}", cause.desc()),
        };
        if verbose {
            report::say(Level::Status, &format!("{}: {what}", show_path(fifo)));
        }
    }
}

/// Says what the command waits for, once. Ends it when its own thread waits for what does not answer, as where the tables are.
fn end_in_time(settings: &Settings) -> Back {
    let silences = &settings.layout.root.silences;
    let (spot, mut vigil) = (silences.spot(), silences.vigil(silences.tick()));
    spot.take();
    vigil.add((), &spot);
    silences.when_waiting(|path, wait| {
        let text =
            format!("waits for {}, which does not answer; gives it up after {} s", show_path(path), wait.as_secs());
        report::say(Level::Status, &text);
    });
    let tick = silences.tick();
    let look = move || {
        loop {
            std::thread::sleep(tick);
            if let Some(((), silence)) = vigil.look().pop() {
                let error = Error::Temporary(silence.to_string());
                report::fatal(&error);
                report::flush(LAST_WORDS);
                std::process::exit(failed(&error).into());
            }
        }
    };
    // Without it the command waits.
    let _ = std::thread::Builder::new().spawn(look);
    spot
}

/// Runs the command; the exit status, 1 for a negative answer.
fn run(cli: &Cli, settings: Settings) -> Result<u8, Error> {
    spawn::raise_descriptors();
    if !matches!(cli.command, Command::Check { .. } | Command::Complete { .. }) {
        report::say_all(&settings.notes);
    }
    if cli.needs_only().is_none() && !matches!(cli.command, Command::Complete { .. } | Command::Skel { .. }) {
        report::say_all(settings.without_qmail().as_slice());
    }
    let _waited_for = match cli.command {
        Command::Run { .. } | Command::Trigger { .. } | Command::Demo { .. } | Command::Skel { .. } => None,
        _ => Some(end_in_time(&settings)),
    };
    if let Command::Rebuild { .. } = cli.command {
        publish::leave_no_temporary();
    }
    let screen = |json: bool| Screen::new(cli.options.color, json);
    let positive = match &cli.command {
        Command::Rebuild { dry_run: false, no_commands, force, own_settings, quiet, .. } => {
            compare_with_service(&settings, *own_settings)?;
            report::only_from(if *quiet { Level::Warning } else { Level::Status });
            rebuild(&settings, !*no_commands, force.as_deref()).map(|()| true)
        }
        Command::Rebuild { dry_run: true, no_commands, summary, json, .. } => {
            compare_with_service(&settings, true)?;
            answers::dry_run(&settings, &screen(*json), !*no_commands, *summary).map(|()| true)
        }
        Command::List { what, format, json } => list::list(&settings, &screen(*json), *what, *format).map(|()| true),
        Command::Lookup { addresses, json } => lookup::lookup(&settings, &screen(*json), addresses),
        Command::Run { .. } => service::run(&Arc::new(settings)).map(|()| true),
        Command::Check { json, accepted, all, quiet, nagios } => {
            let file = accepted.as_ref().map_or(ACCEPTED.as_bytes(), |file| file.as_bytes());
            let shows = Shows { all: *all, quiet: *quiet };
            let checking = Checking { accepted: (file, accepted.is_some()), shows, nagios: *nagios };
            return answers::check(&settings, &screen(*json), &checking);
        }
        Command::Status { json } => status(&settings, &screen(*json)),
        Command::Trigger { verbose, notice } => {
            trigger(&settings, notice, *verbose || report::is_terminal());
            Ok(true)
        }
        Command::Demo { directory } => demo::demo(&screen(false), directory.as_deref()).map(|()| true),
        Command::Skel { home, directory } => {
            actions::skel::copy(&settings, home.as_bytes(), directory.as_bytes()).map(|()| true)
        }
        Command::Complete { what, begin } => {
            answers::complete(&settings, &screen(false), *what, begin.as_bytes()).map(|()| true)
        }
        Command::Explain { addresses, json } => explain::explain(&settings, &screen(*json), addresses),
        Command::Domains { domains, held, open, json } => {
            let only = [(*held, State::Held), (*open, State::Open)].into_iter().filter(|(is, _)| *is);
            answers::domains(&settings, &screen(*json), domains, &only.map(|(_, state)| state).collect::<Vec<_>>())
        }
        Command::User { addresses, json } => user::user(&settings, &screen(*json), addresses),
        // Cannot come here because whoever runs a hook is found.
        Command::Hook(_) => Err(Error::Temporary("nobody waits for an answer".to_owned())),
    }?;
    Ok(if positive { 0 } else { 1 })
}
