//! The status file, STATE/status.json: what the service did last, and what it still owes when it is started again. It
//! never holds a hash, only counts and names.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::error::{Error, show_cause, show_path};
use crate::fs::silence::Silence;
use crate::os::lock;
use crate::protect::hold::{self, Held};
use crate::publish;
use crate::rebuild::database::standing;
use crate::rebuild::{Done, TableDone};
use crate::report::{Code, Level, Note};
use crate::service::database;
use crate::service::owed::{self, FollowUps, Owed};
use crate::settings::Settings;
use crate::text::{Shown, count};

/// What the service knows of itself.
#[derive(Debug, Default)]
pub struct Status {
    last_rebuild: Value,
    last_error: Value,
    /// When the last rebuild began.
    since: Value,
    /// How long the longest rebuild so far took, in milliseconds, what it waited for in vain left out.
    longest: u64,
    commands_error: Value,
    actions_failed: Value,
    kept: usize,
    /// Why vpopmail's users are not read; `None` when they are.
    users_unread: Option<String>,
    kept_in_words: Vec<String>,
    held: Vec<Value>,
    held_in_words: Value,
    /// When the first of them loses its entries, in seconds since 1970-01-01 UTC.
    held_until: Option<u64>,
    open_domains: usize,
    /// Where the last rebuild found vpopmail: etc/passwd may say so, and may change.
    vpopmail: Option<String>,
}

/// How many sources that are kept are named for people.
pub const MAX_NAMED: usize = 5;

impl Status {
    /// A rebuild ended, which waited so long in vain. Its domains are held for so long.
    pub fn rebuilt(
        &mut self,
        number: u64,
        cause: &str,
        waited: Duration,
        hold: Duration,
        result: &Result<Done, Error>,
    ) {
        match result {
            Ok(done) => {
                let took = done.duration.saturating_sub(waited).as_millis();
                self.longest = self.longest.max(u64::try_from(took).unwrap_or(u64::MAX));
                let table = |table: &TableDone| {
                    json!({
                        "published": table.published,
                        "records": table.records,
                        "came": table.difference.map(|(came, _)| came),
                        "went": table.difference.map(|(_, went)| went),
                    })
                };
                let milliseconds = u64::try_from(done.duration.as_millis()).unwrap_or(u64::MAX);
                self.last_rebuild = json!({
                    "number": number,
                    "at": now(),
                    "ms": milliseconds,
                    "cause": cause,
                    "recipients": table(&done.recipients),
                    "logins": table(&done.logins),
                });
                let held = |held: &Held| {
                    json!({
                        "domain": held.name(),
                        "leaves": held.leaves(),
                        "recipients_lost": held.recipients.lost,
                        "recipients": held.recipients.published,
                        "logins_lost": held.logins.lost,
                        "logins": held.logins.published,
                    })
                };
                self.held = done.held.iter().map(held).collect();
                self.held_in_words = hold::in_words(&done.held).into();
                self.held_until = done.held.iter().map(|held| now() + held.let_go_in(hold).as_secs()).min();
                self.vpopmail = Some(Shown(&done.host.layout.vpopmail).to_string());
                self.users_unread = done.host.build.users.elsewhere().map(ToString::to_string);
                self.open_domains = done.open_domains;
                self.kept = done.kept.len();
                self.kept_in_words = done.kept.iter().take(MAX_NAMED).map(|home| home.alert.text.clone()).collect();
                self.last_error = Value::Null;
            }
            Err(error) => self.last_error = json!({ "number": number, "at": now(), "error": error.to_string() }),
        }
    }

    /// A rebuild starts.
    pub fn rebuilding(&mut self) {
        self.since = now().into();
    }

    /// A command that follows a rebuild ended, and failed or not. The file names all that failed when they ran last.
    pub fn followed(&mut self, number: u64, is_failed: bool, follow_ups: &FollowUps) {
        let commands = follow_ups.failures().map(|failure| json!({ "what": failure.what, "said": failure.said }));
        let commands: Vec<Value> = commands.collect();
        let error = format!("{} failed; both files are right", count(commands.len(), "command"));
        let (number, at) = match &self.commands_error {
            Value::Object(before) if !is_failed => (before["number"].clone(), before["at"].clone()),
            _ => (number.into(), now().into()),
        };
        let failure = json!({ "number": number, "at": at, "error": error, "commands": commands });
        self.commands_error = if commands.is_empty() { Value::Null } else { failure };
    }

    /// A round of actions ended: how many of them failed, and what the log says of the last one.
    pub fn acted(&mut self, failed: usize, last: Option<&String>) {
        if let Some(last) = last {
            let before = self.actions_failed["count"].as_u64().unwrap_or(0);
            self.actions_failed = json!({ "count": before + failed as u64, "at": now(), "last": last });
        }
    }

    /// Writes the file, mode 0640, in the place of the old one. Its `owed` are the changed files that some command has not
    /// been told of, which is all that version 0.1.0 knows; its `commands` tell what each of them is owed.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(
        &self,
        settings: &Settings,
        state: State,
        pending: bool,
        next_sweep: Option<u64>,
        follow_ups: &FollowUps,
    ) -> Result<(), Error> {
        let (published, at, now) = (settings.published(), Instant::now(), now());
        let shown = |untold: &BTreeSet<&PathBuf>| -> Vec<String> {
            let untold = published.iter().filter(|path| untold.contains(path));
            untold.map(|path| show_path(path).to_string()).collect()
        };
        let owed = shown(&follow_ups.commands().iter().flat_map(Owed::untold).collect());
        let command = |owed: &Owed| {
            let next = owed.due().map(|due| now + due.saturating_duration_since(at).as_secs());
            json!({
                "command": command_name(settings, &owed.command),
                "owed": shown(&owed.untold()),
                "failed": owed.failure().is_some(),
                "put_off": owed.put_off(),
                "running": owed.is_running(),
                "next_try": next,
            })
        };
        let commands: Vec<Value> = follow_ups.commands().iter().map(command).collect();
        let mut effective = settings.effective();
        if let Some(vpopmail) = &self.vpopmail {
            effective.insert("vpopmail".to_owned(), vpopmail.as_str().into());
        }
        let status = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "state": state.word(),
            "pid": std::process::id(),
            "at": now,
            "last_rebuild": self.last_rebuild,
            "last_error": self.last_error,
            "rebuilding_since": self.since,
            "longest_ms": self.longest,
            "commands_error": self.commands_error,
            "actions_failed": self.actions_failed,
            "kept": self.kept,
            "kept_in_words": self.kept_in_words,
            "users_unread": self.users_unread,
            "pending_triggers": pending,
            "next_sweep": next_sweep,
            "owed": owed,
            "commands": commands,
            "held": self.held,
            "held_in_words": self.held_in_words,
            "held_until": self.held_until,
            "open_domains": self.open_domains,
            "settings": effective,
            "unanswered": settings.layout.root.silences.all().iter().map(unanswered).collect::<Vec<_>>(),
            "database": database::to_json(standing(settings).as_ref()),
        });
        publish::replace(&settings.layout.root, &file(settings), 0o640, format!("{status:#}\n").as_bytes())
    }
}

/// What does not answer, for the file.
fn unanswered(silence: &Silence) -> Value {
    json!({
        "place": silence.place.as_os_str().as_bytes(),
        "mounted": silence.mounted,
        "seconds": silence.waited.as_secs_f64(),
        "in_words": silence.to_string(),
    })
}

/// What does not answer, says this status file.
pub fn silences(file: &[u8]) -> Vec<Silence> {
    let silence = |value: &Value| {
        let place: Vec<u8> = serde_json::from_value(value["place"].clone()).ok()?;
        let mounted = value["mounted"].as_str().map(str::to_owned);
        let waited = Duration::try_from_secs_f64(value["seconds"].as_f64()?).ok()?;
        Some(Silence { place: OsString::from_vec(place).into(), mounted, waited })
    };
    let status: Value = serde_json::from_slice(file).unwrap_or_default();
    status["unanswered"].as_array().into_iter().flatten().filter_map(silence).collect()
}

/// What the service is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits.
    Idle,
    /// It waits, and the guard holds domains.
    Held,
    /// A rebuild is running.
    Rebuilding,
    /// What follows a rebuild is running.
    Following,
    /// It has ended.
    Ended,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Idle => "idle",
            State::Held => "held",
            State::Rebuilding => "rebuilding",
            State::Following => "following",
            State::Ended => "ended",
        }
    }
}

/// The published files whose change each command of `--after` may not have been told of by the service that ran before:
/// what it said that it owed, and everything when that is unknown, when it was killed during a rebuild, and when it did not
/// run that command.
pub fn owed(settings: &Settings) -> Vec<BTreeSet<PathBuf>> {
    let status: Value =
        read(settings).ok().flatten().and_then(|file| serde_json::from_slice(&file).ok()).unwrap_or_default();
    let between =
        [State::Idle, State::Held, State::Following, State::Ended].iter().any(|state| status["state"] == state.word());
    let owed_to = |command: &Vec<u8>| {
        let name = command_name(settings, &owed::Command::After(command.clone()));
        // Version 0.1.0 owed the same to all.
        let files = status["commands"].as_array().map_or(&status["owed"], |commands| {
            commands.iter().find(|entry| entry["command"] == name).map_or(&Value::Null, |entry| &entry["owed"])
        });
        let is_owed = |path: &PathBuf| {
            let path = show_path(path).to_string();
            files.as_array().is_none_or(|files| files.iter().any(|file| *file == path))
        };
        settings.published().into_iter().filter(|path| !between || is_owed(path)).collect()
    };
    settings.after.iter().map(owed_to).collect()
}

/// What a command is called in the status file.
fn command_name(settings: &Settings, command: &owed::Command) -> String {
    let layout = &settings.layout;
    let inside = match command {
        owed::Command::Compiler(compiler) => &compiler.program(layout),
        owed::Command::After(command) => command,
    };
    show_path(&layout.root.path(inside)).to_string()
}

/// Whether a rebuild that has been running for so many seconds takes longer than it should, when the longest one before
/// took so many milliseconds.
fn is_unusual(seconds: u64, longest: u64) -> bool {
    seconds >= 10 && seconds.saturating_mul(1_000) > longest.saturating_mul(5)
}

fn file(settings: &Settings) -> Vec<u8> {
    [&settings.state[..], b"/status.json"].concat()
}

/// Seconds since 1970-01-01 UTC.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// By which all that a status file says is described.
const EVERYTHING: Seen = Seen { alive: true, writes: true, rebuilding: true, anything_held: true };

/// The status file as it is; `None` when there is none.
///
/// # Errors
/// It cannot be read, or it is no status file.
pub fn read(settings: &Settings) -> Result<Option<Vec<u8>>, Error> {
    let root = &settings.layout.root;
    let path = root.path(&file(settings));
    let image = root.read(&file(settings)).map_err(|cause| Error::io("read", &path, cause))?;
    if image.as_ref().is_some_and(|image| describe(image, &EVERYTHING).is_none()) {
        return Err(Error::malformed(&path, None, "not what the service writes; its next rebuild recreates it"));
    }
    Ok(image)
}

/// In which settings that decide about the tables a command with these settings and the service that runs differ, in
/// words. `None` when they do not, when no service runs, and when it does not say.
pub fn differences(settings: &Settings) -> Option<String> {
    let differences = settings.differences(&of_running_service(settings)?)?;
    Some(format!("this command has other settings than the running service: {differences}"))
}

/// That the service that runs makes the tables by other settings than these: what a command says of them may be wrong then.
pub fn differing(settings: &Settings) -> Option<Note> {
    let text = format!("{}; all that is found goes by those of this command", differences(settings)?);
    Some(Note::warning(text).of(Code::SettingsDiffer))
}

/// Whether a service runs that gives the login table to another owner than a command with these settings.
pub fn has_other_owner(settings: &Settings) -> bool {
    of_running_service(settings).is_some_and(|its| settings.has_other_owner(&its))
}

/// Which settings of the directory the service that runs has not read; they decide about the service alone, and so does who
/// owns the login table after its next rebuild.
pub fn unheeded(settings: &Settings) -> Option<Note> {
    let unheeded = settings.unheeded(&of_running_service(settings)?)?;
    let text = format!("the running service has not read all its settings; restart it: {unheeded}");
    Some(Note::warning(text).of(Code::SettingsDiffer))
}

/// That the last rebuild of the service that runs failed, or that its file cannot say whether it did.
pub fn failure(settings: &Settings) -> Option<Note> {
    let (status, _) = running_service(settings)?;
    let rebuilding = lock::is_rebuild_running(&settings.layout.root, &settings.state) == Some(true);
    let stale = || staleness(settings, read(settings).ok().flatten().as_deref(), rebuilding);
    let text = match status["last_error"]["error"].as_str() {
        Some(error) => format!("the last rebuild of the service failed: {error}; changes wait until one succeeds"),
        None => {
            let why = stale()?;
            // Without what it says of the lines of `status`.
            let why = why.rsplit_once(';').map_or(&why[..], |(why, _)| why);
            format!("{why}; the log of the service says whether its last rebuild failed")
        }
    };
    Some(Note::alert(text).of(Code::RebuildFailed))
}

/// When the service that runs lets go of the first domain that the loss guard holds, to stand behind what is held; `None` when
/// that is not known.
pub fn first_loss(settings: &Settings) -> Option<String> {
    running_service(settings).and_then(|(status, _)| first_loss_of(&status))
}

/// The same by a status file.
fn first_loss_of(status: &Value) -> Option<String> {
    let time = status["held_until"].as_u64()?.checked_sub(now()).filter(|time| *time > 0)?;
    Some(format!("; the service publishes the first loss in {}", span(time, true)))
}

/// The settings of the service that runs, where it says them.
fn of_running_service(settings: &Settings) -> Option<Map<String, Value>> {
    running_service(settings).map(|(_, settings)| settings)
}

/// The status file of the service that runs, and the settings in it.
fn running_service(settings: &Settings) -> Option<(Value, Map<String, Value>)> {
    let status: Value = serde_json::from_slice(&read(settings).ok()??).ok()?;
    let of_service = status["settings"].as_object()?.clone();
    // Its pipes may be others than ours.
    let its_fifos = of_service.get("fifo").and_then(Value::as_array)?.iter().filter_map(Value::as_str).map(Path::new);
    let mut fifos = its_fifos.chain(settings.fifos.iter().map(PathBuf::as_path));
    let (root, state) = (&settings.layout.root, &settings.state);
    let is_running = fifos.any(|fifo| lock::is_fifo_read(root, state, fifo) == Some(true));
    is_running.then_some((status, of_service))
}

/// Whether the last rebuild failed, and whether a command that follows one did, says this status file, and did not do better
/// since.
pub fn failing(file: &[u8]) -> (bool, bool) {
    let status: Value = serde_json::from_slice(file).unwrap_or_default();
    (status["last_error"].is_object(), status["commands_error"].is_object())
}

/// What is seen of a service beside its status file.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Whether it is alive.
    pub alive: bool,
    /// Whether it writes the file: else what it does now stands there no more.
    pub writes: bool,
    /// Whether a rebuild is running, the service's or another one.
    pub rebuilding: bool,
    /// Whether any domain is held.
    pub anything_held: bool,
}

/// For so long a rebuild that has begun may not have taken its lock yet.
const BEGINS_WITHIN: u64 = 60;

/// Why the status file of a service that is alive says no more what it does; `None` when it may. `file` is its content.
pub fn staleness(settings: &Settings, file: Option<&[u8]>, rebuilding: bool) -> Option<String> {
    let root = &settings.layout.root;
    let path = root.path(&self::file(settings));
    let path = show_path(&path);
    let status: Value = file.and_then(|file| serde_json::from_slice(file).ok()).unwrap_or_default();
    let from = status["at"].as_u64().map(|at| format!(", {} s ago", now().saturating_sub(at))).unwrap_or_default();
    if let Err(cause) = publish::try_to_write(root, &settings.state) {
        let cause = show_cause(&cause);
        return Some(format!("unable to write {path}: {cause}; what follows is what the service wrote last{from}"));
    }
    let since = status["rebuilding_since"].as_u64().unwrap_or(u64::MAX);
    let says_rebuilding = status["state"] == State::Rebuilding.word();
    (says_rebuilding && !rebuilding && now().saturating_sub(since) > BEGINS_WITHIN).then(|| {
        format!(
            "{path}: it says that a rebuild is running, and none is: the service could not write it; what follows is what \
             it wrote last{from}"
        )
    })
}

/// What a fact is about: the last rebuild of the service.
pub const LAST_REBUILD: &str = "last rebuild";
/// The same: the file that says so.
pub const STATUS_FILE: &str = "status file";

/// One thing that there is to say of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it is about, for people.
    pub about: &'static str,
    /// What a line for scripts begins with: such a word with its colon, or nothing.
    prefix: &'static str,
    /// Whether something should be done about it.
    pub level: Level,
    /// What there is to say.
    pub text: String,
    /// Lines that belong to it.
    pub below: Vec<String>,
}

impl Fact {
    /// Something that needs no attention.
    pub fn new(about: &'static str, prefix: &'static str, text: impl Into<String>) -> Fact {
        Fact { about, prefix, level: Level::Status, text: text.into(), below: Vec::new() }
    }

    /// The same, as something that should be looked at.
    #[must_use]
    pub fn as_warning(self) -> Fact {
        Fact { level: Level::Warning, ..self }
    }

    /// The same, as something that makes the tables less than the truth.
    #[must_use]
    pub fn as_alert(self) -> Fact {
        Fact { level: Level::Alert, ..self }
    }

    /// The same, at this level.
    #[must_use]
    pub fn at(self, level: Level) -> Fact {
        Fact { level, ..self }
    }

    /// The same, with these lines below it.
    #[must_use]
    pub fn with(self, below: Vec<String>) -> Fact {
        Fact { below, ..self }
    }

    /// That the loss guard holds these domains, and when the service lets go of the first of them.
    pub fn held(words: &str, ends: Option<&str>) -> Fact {
        let text = format!(
            "{words}; they keep their published entries: restore what is missing; if the loss is right, rebuild --force \
             publishes it, and rebuild --force DOMAIN that of one domain{}",
            ends.unwrap_or_default()
        );
        Fact::new("held", "held: ", text).as_alert()
    }

    /// That the loss guard holds none of these domains yet, and will.
    pub fn would_be_held(words: &str) -> Fact {
        let text = format!(
            "the next rebuild would hold {words}; it would keep their published entries: restore what is missing; if the loss \
             is right, rebuild --force publishes it, and rebuild --force DOMAIN that of one domain"
        );
        Fact::new("held", "held: ", text).as_alert()
    }

    /// The lines for scripts.
    pub fn lines(&self) -> String {
        let below: String = self.below.iter().map(|line| format!("  {line}\n")).collect();
        format!("{}{}\n{below}", self.prefix, self.text)
    }
}

/// The status file in words, of a service of which this is seen; `None` when it is no status file.
pub fn describe(file: &[u8], seen: &Seen) -> Option<String> {
    Some(facts(file, seen, false)?.iter().map(Fact::lines).collect())
}

/// A time that has passed or will pass, in words.
fn span(seconds: u64, for_people: bool) -> String {
    match seconds {
        _ if !for_people => format!("{seconds} s"),
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Which domains a status file says are held, in words.
pub fn held<'s>(status: &'s Value, seen: &Seen) -> Option<&'s str> {
    status["held_in_words"].as_str().filter(|_| seen.anything_held)
}

/// What a status file says, one after the other; `None` when it is no status file. For people, times are rounded, and what
/// matters least comes last.
pub fn facts(file: &[u8], seen: &Seen, for_people: bool) -> Option<Vec<Fact>> {
    let status: Value = serde_json::from_slice(file).ok()?;
    let mut facts = activity(&status, seen, for_people)?;
    facts.extend(last_rebuild(&status, for_people)?);
    facts.extend(failures(&status, for_people)?);
    let ends = if for_people && seen.alive && seen.writes { first_loss_of(&status) } else { None };
    facts.extend(held(&status, seen).map(|words| Fact::held(words, ends.as_deref())));
    if let Some(open) = status["open_domains"].as_u64().filter(|open| *open > 0) {
        let text = format!(
            "in {} a program decides about names, some or all; each is accepted, because its users are not known; \
             qmail-updater check names the lines",
            count(usize::try_from(open).unwrap_or(usize::MAX), "domain")
        );
        facts.push(Fact::new("programs", "programs: ", text));
    }
    let alive = seen.alive && seen.writes;
    facts.extend(commands(&status, alive, for_people)?);
    if let Some(sweep) = status["next_sweep"].as_u64().filter(|_| alive) {
        let text = format!("in {}", span(sweep.saturating_sub(now()), for_people));
        facts.push(Fact::new("full check", "next sweep: ", text));
    }
    let database = database::describe(&status["database"], |at| span(now().saturating_sub(at), for_people));
    facts.extend(database.map(|text| Fact::new("user database", "user database: ", text)));
    Some(facts)
}

/// What the service does now.
fn activity(status: &Value, seen: &Seen, for_people: bool) -> Option<Vec<Fact>> {
    let state = status["state"].as_str()?;
    let mut facts = Vec::new();
    let mut add = |text: String| facts.push(Fact::new("now", "", text));
    let alive = seen.alive && seen.writes;
    if seen.alive && !seen.writes && seen.rebuilding {
        add("a rebuild is running".to_owned());
    }
    if alive && state == State::Rebuilding.word() {
        let seconds = now().saturating_sub(status["rebuilding_since"].as_u64()?);
        let longest = status["longest_ms"].as_u64().filter(|longest| *longest > 0);
        let unusual = match longest {
            Some(longest) if is_unusual(seconds, longest) => {
                format!(", which is unusually long: the longest one before took {longest} ms")
            }
            _ => String::new(),
        };
        add(format!("a rebuild has been running for {}{unusual}", span(seconds, for_people)));
    }
    for silence in status["unanswered"].as_array().into_iter().flatten().filter(|_| seen.alive) {
        add(format!("{}; what it holds is kept as published", silence["in_words"].as_str()?));
    }
    if alive && state == State::Following.word() {
        add("the commands that follow a rebuild are running".to_owned());
    }
    if alive && status["pending_triggers"] == true {
        add("triggers wait for the next rebuild".to_owned());
    }
    Some(facts)
}

/// How many seconds ago something of the status file happened.
fn ago(value: &Value) -> Option<u64> {
    Some(now().saturating_sub(value.get("at")?.as_u64()?))
}

fn last_rebuild(status: &Value, for_people: bool) -> Option<Option<Fact>> {
    let rebuild = &status["last_rebuild"];
    let Some(ago) = ago(rebuild) else { return Some(None) };
    let table = |name: &str| {
        let table = &rebuild[name];
        let word = if table["published"] == true { "published" } else { "unchanged" };
        format!("{name} {} ({word})", table["records"])
    };
    let (number, ms, cause) = (&rebuild["number"], &rebuild["ms"], rebuild["cause"].as_str()?);
    let (recipients, logins, ago) = (table("recipients"), table("logins"), span(ago, for_people));
    let text = match for_people {
        true => format!("{ago} ago, in {ms} ms; number {number}, cause {cause}; {recipients}, {logins}"),
        false => format!("number {number}, {ago} ago, {ms} ms, cause {cause}, {recipients}, {logins}"),
    };
    Some(Some(Fact::new(LAST_REBUILD, "last rebuild: ", text)))
}

/// What failed last.
fn failures(status: &Value, for_people: bool) -> Option<Vec<Fact>> {
    let mut facts = Vec::new();
    let ago = |value: &Value| Some(span(ago(value)?, for_people));
    let error = &status["last_error"];
    if let Some(ago) = ago(error) {
        let text = format!("rebuild {}, {ago} ago: {}", error["number"], error["error"].as_str()?);
        facts.push(Fact::new("last error", "last error: ", text).as_alert());
    }
    let error = &status["commands_error"];
    if let Some(ago) = ago(error) {
        let text = format!("after rebuild {}, {ago} ago: {}", error["number"], error["error"].as_str()?);
        let mut below = Vec::new();
        for command in error["commands"].as_array().into_iter().flatten() {
            below.push(command["what"].as_str()?.to_owned());
            for line in command["said"].as_array()? {
                below.push(format!("  {}", line.as_str()?));
            }
        }
        facts.push(Fact::new("commands", "", text).as_warning().with(below));
    }
    let failed = &status["actions_failed"];
    if let Some(ago) = ago(failed) {
        let (count, last) = (&failed["count"], failed["last"].as_str()?);
        let text = format!("actions that failed since the service started: {count}; the last one {ago} ago: {last}");
        facts.push(Fact::new("actions", "", text).as_warning());
    }
    Some(facts)
}

/// What each command that follows a rebuild is owed.
fn commands(status: &Value, alive: bool, for_people: bool) -> Option<Vec<Fact>> {
    let mut facts = Vec::new();
    let mut add = |text: String| facts.push(Fact::new("commands", "", text).as_warning());
    let names = |owed: &Value| -> Option<String> {
        let owed: Vec<&str> = owed.as_array()?.iter().filter_map(Value::as_str).collect();
        (!owed.is_empty()).then(|| owed.join(", "))
    };
    let Some(commands) = status["commands"].as_array() else {
        // Of version 0.1.0.
        if let Some(owed) = names(&status["owed"]) {
            add(format!("the commands of --after have not been told of {owed}"));
        }
        return Some(facts);
    };
    for entry in commands {
        let command = entry["command"].as_str()?;
        let wait = entry["next_try"].as_u64().filter(|_| alive).map(|next| next.saturating_sub(now()));
        let wait = wait.map(|wait| span(wait, for_people));
        let next = match &wait {
            Some(wait) => format!("; next try in {wait}"),
            None if alive && entry["running"] == true => "; it is running".to_owned(),
            None => String::new(),
        };
        if let Some(why) = entry["put_off"].as_str() {
            add(format!("{command} is not run, because {why}"));
        }
        match (names(&entry["owed"]), wait) {
            (Some(owed), _) => add(format!("{command} has not been told of {owed}{next}")),
            (None, _) if entry["failed"] == true => add(format!("{command} failed{next}")),
            (None, Some(wait)) => add(format!("{command} runs in {wait} if it is still needed then")),
            (None, None) => {}
        }
    }
    Some(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rebuild_is_called_unusually_long_by_those_before_it() {
        let file = |seconds: u64, longest: u64| {
            let status = json!({
                "state": "rebuilding",
                "rebuilding_since": now() - seconds,
                "longest_ms": longest,
                "owed": [],
                "unanswered": [{ "in_words": "/srv has not answered for 20 s" }],
            });
            describe(status.to_string().as_bytes(), &EVERYTHING).unwrap()
        };
        let silent = "/srv has not answered for 20 s; what it holds is kept as published";
        for (seconds, longest) in [(1, 10), (9, 10), (30, 7_000), (3_000, 0)] {
            let said = file(seconds, longest);
            let lines: Vec<&str> = said.lines().collect();
            assert!(!said.contains("unusually") && lines.len() == 2 && lines[1] == silent, "{said}");
        }
        for (seconds, longest) in [(11, 10), (36, 7_000)] {
            let said = file(seconds, longest);
            assert!(
                said.contains(&format!(" s, which is unusually long: the longest one before took {longest} ms\n")),
                "{said}"
            );
        }
    }
}
