//! The status file, STATE/status.json: what the service did last, and what it still owes when it is started again. It
//! never holds a hash, only counts and names.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::error::{Error, show_cause, show_path};
use crate::fs::silence::Silence;
use crate::os::lock;
use crate::protect::hold::Held;
use crate::publish;
use crate::rebuild::database::standing;
use crate::rebuild::{Done, TableDone};
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
    open_domains: usize,
    /// Where the last rebuild found vpopmail: etc/passwd may say so, and may change.
    vpopmail: Option<String>,
}

/// How many domains that are held or kept are named for people.
pub const MAX_NAMED: usize = 5;

impl Status {
    /// A rebuild ended, which waited so long in vain.
    pub fn rebuilt(&mut self, number: u64, cause: &str, waited: Duration, result: &Result<Done, Error>) {
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
                let words = done.held.iter().take(MAX_NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
                self.held_in_words = match done.held.len() {
                    0 => Value::Null,
                    held => {
                        format!("{}: {words}{}", count(held, "domain"), if held > MAX_NAMED { ", ..." } else { "" })
                            .into()
                    }
                };
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
    let status: Value = serde_json::from_slice(&read(settings).ok()??).ok()?;
    let of_service = status["settings"].as_object()?;
    // Its pipes may be others than ours.
    let its_fifos = of_service.get("fifo").and_then(Value::as_array)?.iter().filter_map(Value::as_str).map(Path::new);
    let mut fifos = its_fifos.chain(settings.fifos.iter().map(PathBuf::as_path));
    let (root, state) = (&settings.layout.root, &settings.state);
    let is_running = fifos.any(|fifo| lock::is_fifo_read(root, state, fifo) == Some(true));
    let differences = settings.differences(of_service).filter(|_| is_running)?;
    Some(format!("this command has other settings than the running service: {differences}"))
}

/// Whether a rebuild, or a command that follows one, failed, says this status file, and did not do better since.
pub fn is_anything_failing(file: &[u8]) -> bool {
    let is_failing = |status: Value| status["last_error"].is_object() || status["commands_error"].is_object();
    serde_json::from_slice(file).is_ok_and(is_failing)
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

/// The status file in words, of a service of which this is seen; `None` when it is no status file.
pub fn describe(file: &[u8], seen: &Seen) -> Option<String> {
    let status: Value = serde_json::from_slice(file).ok()?;
    let state = status["state"].as_str()?;
    let ago = |value: &Value| Some(now().saturating_sub(value.get("at")?.as_u64()?));
    let mut text = String::new();
    // What it does now.
    let alive = seen.alive && seen.writes;
    if seen.alive && !seen.writes && seen.rebuilding {
        text += "a rebuild is running\n";
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
        text += &format!("a rebuild has been running for {seconds} s{unusual}\n");
    }
    for silence in status["unanswered"].as_array().into_iter().flatten().filter(|_| seen.alive) {
        text += &format!("{}; what it holds is kept as published\n", silence["in_words"].as_str()?);
    }
    if alive && state == State::Following.word() {
        text += "the commands that follow a rebuild are running\n";
    }
    if alive && status["pending_triggers"] == true {
        text += "triggers wait for the next rebuild\n";
    }
    let rebuild = &status["last_rebuild"];
    if let Some(ago) = ago(rebuild) {
        let table = |name: &str| {
            let table = &rebuild[name];
            let word = if table["published"] == true { "published" } else { "unchanged" };
            format!("{name} {} ({word})", table["records"])
        };
        text += &format!(
            "last rebuild: number {}, {ago} s ago, {} ms, cause {}, {}, {}\n",
            rebuild["number"],
            rebuild["ms"],
            rebuild["cause"].as_str()?,
            table("recipients"),
            table("logins")
        );
    }
    let error = &status["last_error"];
    if let Some(ago) = ago(error) {
        text += &format!("last error: rebuild {}, {ago} s ago: {}\n", error["number"], error["error"].as_str()?);
    }
    let error = &status["commands_error"];
    if let Some(ago) = ago(error) {
        text += &format!("after rebuild {}, {ago} s ago: {}\n", error["number"], error["error"].as_str()?);
        for command in error["commands"].as_array().into_iter().flatten() {
            text += &format!("  {}\n", command["what"].as_str()?);
            for line in command["said"].as_array()? {
                text += &format!("    {}\n", line.as_str()?);
            }
        }
    }
    let failed = &status["actions_failed"];
    if let Some(ago) = ago(failed) {
        let (count, last) = (&failed["count"], failed["last"].as_str()?);
        text += &format!("actions that failed since the service started: {count}; the last one {ago} s ago: {last}\n");
    }
    if let Some(held) = status["held_in_words"].as_str().filter(|_| seen.anything_held) {
        text += &format!(
            "held: {held}; they keep their published entries; rebuild --force publishes them as they are, and rebuild \
             --force DOMAIN one of them\n"
        );
    }
    if let Some(open) = status["open_domains"].as_u64().filter(|open| *open > 0) {
        text += &format!(
            "open: {}: a program takes each name there, because its users are not known; qmail-updater check names the lines\n",
            count(usize::try_from(open).unwrap_or(usize::MAX), "domain")
        );
    }
    let names = |owed: &Value| -> Option<String> {
        let owed: Vec<&str> = owed.as_array()?.iter().filter_map(Value::as_str).collect();
        (!owed.is_empty()).then(|| owed.join(", "))
    };
    match status["commands"].as_array() {
        Some(commands) => {
            for entry in commands {
                let command = entry["command"].as_str()?;
                let wait = entry["next_try"].as_u64().filter(|_| alive).map(|next| next.saturating_sub(now()));
                let next = match wait {
                    Some(wait) => format!("; next try in {wait} s"),
                    None if alive && entry["running"] == true => "; it is running".to_owned(),
                    None => String::new(),
                };
                if let Some(why) = entry["put_off"].as_str() {
                    text += &format!("{command} is not run, because {why}\n");
                }
                match (names(&entry["owed"]), wait) {
                    (Some(owed), _) => text += &format!("{command} has not been told of {owed}{next}\n"),
                    (None, _) if entry["failed"] == true => text += &format!("{command} failed{next}\n"),
                    (None, Some(wait)) => text += &format!("{command} runs in {wait} s if it is still needed then\n"),
                    (None, None) => {}
                }
            }
        }
        // Of version 0.1.0.
        None => {
            let owed =
                names(&status["owed"]).map(|owed| format!("the commands of --after have not been told of {owed}\n"));
            text += &owed.unwrap_or_default();
        }
    }
    if let Some(sweep) = status["next_sweep"].as_u64().filter(|_| alive) {
        text += &format!("next sweep: in {} s\n", sweep.saturating_sub(now()));
    }
    text.extend(database::describe(&status["database"], now()));
    Some(text)
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
