//! `status`: what the service did last, and whether the published tables are as the configuration is.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::commands::check;
use crate::commands::compare::{Compared, compare, made};
use crate::commands::screen::{Field, Form, Screen, Tone, wrapped};
use crate::error::{Denied, Error};
use crate::host::compilers::Compiler;
use crate::os::lock;
use crate::pipe::fifo;
use crate::protect::hold;
use crate::rebuild::behind_of;
use crate::rebuild::homes::KeptHome;
use crate::rebuild::others;
use crate::report::Level::{Alert, Warning};
use crate::report::{self, Code, Level, Note};
use crate::service::status::{self, Fact, LAST_REBUILD, STATUS_FILE};
use crate::settings::Settings;
use crate::text::count;

/// How long `status` asks network file systems whether they answer.
const ASKED_FOR: Duration = Duration::from_millis(500);

/// What `check` finds of tables that mail servers cannot use.
const BROKEN: [Code; 4] = [Code::TableMissing, Code::TableDamaged, Code::TableUnreadable, Code::TableNew];

/// What is seen of the service.
struct Service {
    /// Its status file.
    file: Option<Vec<u8>>,
    /// Whether it runs; `None` when this process may not see it.
    alive: Option<bool>,
    /// Why its file says no more what it does.
    stale: Option<String>,
    /// In which settings it differs from this command.
    differences: Option<String>,
    /// Why nobody can trigger it through one of its pipes.
    pipes: Vec<String>,
    seen: status::Seen,
}

impl Service {
    fn look(settings: &Settings, file: Option<Vec<u8>>) -> Result<Service, Error> {
        let is_read = |fifo| lock::is_fifo_read(&settings.layout.root, &settings.state, fifo);
        let read: Vec<Option<bool>> = settings.fifos.iter().map(|fifo| is_read(fifo)).collect();
        let alive = read.iter().all(|read| *read == Some(true));
        let is_known = alive || read.contains(&Some(false));
        let rebuilding = lock::is_rebuild_running(&settings.layout.root, &settings.state) == Some(true);
        let stale = alive.then(|| status::staleness(settings, file.as_deref(), rebuilding)).flatten();
        let anything_held = hold::is_anything_held(settings)?;
        let seen = status::Seen { alive, writes: stale.is_none(), rebuilding, anything_held };
        let (alive, differences) = (is_known.then_some(alive), status::differences(settings));
        let is_heard = |(_, read): &(&PathBuf, &Option<bool>)| **read == Some(true);
        let heard = settings.fifos.iter().zip(&read).filter(is_heard);
        let pipes = heard.filter_map(|(fifo, _)| fifo::missing(fifo)).collect();
        Ok(Service { file, alive, stale, differences, pipes, seen })
    }

    fn status(&self) -> Option<Value> {
        serde_json::from_slice(self.file.as_deref()?).ok()
    }

    /// Which domains it holds.
    fn held(&self) -> Option<String> {
        status::held(&self.status()?, &self.seen).map(str::to_owned)
    }

    /// Whether the loss guard only would hold something: people are told that it holds nothing before the next rebuild.
    fn would_hold(&self, for_people: bool) -> bool {
        for_people && !self.seen.anything_held
    }

    /// The number of its process, for people.
    fn pid(&self, for_people: bool) -> String {
        let status = self.status();
        let pid = status.and_then(|status| status["pid"].as_u64()).filter(|_| for_people && self.stale.is_none());
        pid.map(|pid| format!(", pid {pid}")).unwrap_or_default()
    }

    fn facts(&self, for_people: bool) -> Vec<Fact> {
        let alive = match self.alive {
            None => Fact::new("service", "service: ", "unknown").as_warning(),
            Some(true) => Fact::new("service", "service: ", format!("alive{}", self.pid(for_people))),
            Some(false) => Fact::new("service", "service: ", "not running").as_warning(),
        };
        let stale = self.stale.iter().map(|why| Fact::new(STATUS_FILE, "", why).as_alert());
        let told = self.file.as_deref().and_then(|file| status::facts(file, &self.seen, for_people));
        let told =
            told.unwrap_or_else(|| vec![Fact::new(LAST_REBUILD, "", "nothing is known of a rebuild by the service")]);
        let pipes = self.pipes.iter().map(|why| Fact::new("pipe", "pipe: ", why).as_alert());
        [alive].into_iter().chain(stale).chain(told).chain(pipes).collect()
    }
}

/// How the tables differ from what a rebuild would make.
struct Differences {
    /// How many entries it would change.
    made: usize,
    /// How many more it would change if nothing were held.
    held: usize,
    /// Which domains are held.
    held_in_words: Option<String>,
    /// The sources that it could not use.
    kept: Vec<KeptHome>,
}

/// What is seen of the tables and their sources.
struct Tables {
    /// How they differ from what a rebuild would make.
    compared: Result<Differences, Error>,
    /// The tables that are missing, damaged or cannot be read.
    broken: Vec<Note>,
    /// Why vpopmail's users are not read.
    unread: Option<String>,
    /// That there is no rcpthosts, and what comes of it.
    unlisted: Option<String>,
    /// By which compiled files qmail takes mail that the tables may refuse, or else does not take what they accept.
    compiled: Vec<(bool, String)>,
    /// What is wrong with the tables of other qmails.
    others: Vec<String>,
    /// What this process may not read.
    denied: Denied,
}

impl Tables {
    fn look(settings: &Settings, is_service_known: bool) -> Tables {
        let mut denied = Denied::default();
        let compared = compare(settings);
        let state = settings.layout.root.path(&settings.state);
        if !is_service_known && settings.layout.root.silences.of(&state).is_none() {
            denied.add(state);
        }
        denied.extend(compared.iter().flat_map(|compared| compared.denied.clone()));
        let mut broken = check::published(settings, &mut denied);
        broken.retain(|note| note.code.is_some_and(|code| BROKEN.contains(&code)));
        let others = others::look(settings, &mut denied).into_iter().map(|note| note.text).collect();
        // Of a user database that is not read, not even the tables that are current say everything.
        let unread = compared.as_ref().ok().and_then(|compared| compared.built.host.build.users.elsewhere().cloned());
        let is_unlisted = |note: &&Note| note.code == Some(Code::RcpthostsMissing);
        let unlisted = compared.as_ref().ok().and_then(|compared| compared.built.notes.iter().find(is_unlisted));
        let unlisted = unlisted.map(|note| note.text.clone());
        let compiled = compared.as_ref().map(other_than_text).unwrap_or_default();
        let kept = |compared: &Compared| -> Vec<KeptHome> {
            compared.built.kept.iter().filter(|home| !home.alert.denied).cloned().collect()
        };
        let compared = compared.map(|compared| {
            let (made, kept) = (made(&compared.changes), kept(&compared));
            let held = compared.changes.len() - made;
            Differences { made, held, held_in_words: compared.held_in_words, kept }
        });
        Tables { compared, broken, unread: unread.map(|cause| cause.to_string()), unlisted, compiled, others, denied }
    }

    /// Whether this process may not read what decides.
    fn is_unknown(&self) -> bool {
        !self.denied.is_empty() || self.compared.as_ref().is_err_and(Error::is_denied)
    }

    /// Whether both are as the configuration is; `None` when that cannot be known.
    fn are_current(&self) -> Option<bool> {
        let Differences { made, held, .. } = self.compared.as_ref().ok().filter(|_| !self.is_unknown())?;
        Some(made + held == 0 && self.broken.is_empty())
    }

    /// Which domains are held, as far as is known now.
    fn held(&self) -> Option<&str> {
        self.compared.as_ref().ok()?.held_in_words.as_deref()
    }

    fn facts(&self, for_people: bool, would_hold: bool) -> Vec<Fact> {
        let (right, wrong, source) = match for_people {
            true => {
                ("up to date", "not up to date", "a home directory, or a file in control that only qmail-updater reads")
            }
            false => (
                "as the host says",
                "not what the host says",
                "the home of a domain or of an account, or a file of our own in control",
            ),
        };
        let mut facts = Vec::new();
        if let Ok(Differences { kept, .. }) = &self.compared
            && !kept.is_empty()
        {
            let text = format!(
                "{} ({source}) cannot be used; fix what each line names, and the next rebuild uses it:",
                count(kept.len(), "source")
            );
            let mut below: Vec<String> =
                kept.iter().take(status::MAX_NAMED).map(|home| home.alert.text.clone()).collect();
            if let more @ 1.. = kept.len().saturating_sub(status::MAX_NAMED) {
                below.push(format!("and {more} more; qmail-updater check names all"));
            }
            facts.push(Fact::new("kept", "", text).as_alert().with(below));
        }
        if let Some(cause) = &self.unread {
            let text = format!("{cause}; their names are accepted, and their published logins kept");
            facts.push(Fact::new("users", "users: ", text).as_alert());
        }
        facts.extend(self.unlisted.iter().map(|text| Fact::new("rcpthosts", "", text.clone()).as_alert()));
        let tables = |text: String| Fact::new("tables", "tables: ", text);
        facts.extend(self.broken.iter().map(|note| tables(note.text.clone()).at(note.level)));
        facts.push(match &self.compared {
            Ok(_) if !self.denied.is_empty() => tables(format!("unknown: {}", self.denied.words())).as_warning(),
            Ok(Differences { made: 0, held: 1.., .. }) if would_hold => {
                tables(format!("{right}, but for what the loss guard would hold")).as_warning()
            }
            Ok(Differences { made: 0, held: 1.., .. }) => {
                tables(format!("{right}, but for what the loss guard holds")).as_warning()
            }
            Ok(Differences { made: 0, kept, .. }) if kept.is_empty() && self.unread.is_none() => {
                tables(right.to_owned())
            }
            Ok(Differences { made: 0, .. }) => tables(format!("{right}, where it can be read")).as_warning(),
            Ok(Differences { made, .. }) => {
                let changes = count(*made, "change");
                tables(format!("{wrong}: {changes}; qmail-updater rebuild --dry-run shows them")).as_warning()
            }
            Err(error) => {
                let fact = tables(format!("they cannot be compared with the host: {error}"));
                if error.is_denied() { fact.as_warning() } else { fact.as_alert() }
            }
        });
        facts.extend(self.compiled.iter().map(|(_, text)| Fact::new("qmail", "qmail: ", text.clone()).as_warning()));
        facts.extend(self.others.iter().map(|text| tables(text.clone()).as_warning()));
        facts
    }
}

/// The compiled files that lack entries of their texts, or have entries that these lost, which is told first: the tables go by
/// the texts. What the service puts off it says itself.
fn other_than_text(compared: &Compared) -> Vec<(bool, String)> {
    let host = &compared.built.host;
    let of = |compiler: Compiler| {
        let is_lost = compiler.lost(host).is_some();
        let is_other = (is_lost || compiler.lacks_any(host)) && compiler.put_off(host, &compared.held).is_none();
        is_other.then_some((is_lost, behind_of(compiler, host, &compared.held)?.text))
    };
    Compiler::ALL.into_iter().filter_map(of).collect()
}

/// What is not well, each in a few words; the exit status is 1 when there is anything.
fn reasons(service: &Service, tables: &Tables, for_people: bool) -> Vec<(Level, String)> {
    let mut reasons = Vec::new();
    let mut add = |level: Level, text: String| reasons.push((level, text));
    // What is known now, before what the service saw; people read that below, and two numbers would be a riddle.
    let of_service = service.held().filter(|_| tables.is_unknown() || for_people);
    let of_tables = || tables.held().filter(|_| !tables.is_unknown()).map(str::to_owned);
    if let Some(held) = of_service.or_else(of_tables) {
        add(
            Alert,
            match service.would_hold(for_people) {
                true => format!("at the next rebuild the loss guard holds {held}"),
                false => format!("the loss guard holds {held}"),
            },
        );
    }
    for note in &tables.broken {
        add(note.level, note.text.split("; ").next().unwrap_or_default().to_owned());
    }
    if service.alive != Some(true) {
        let known =
            if service.alive.is_none() { "whether the service runs is unknown" } else { "the service does not run" };
        add(Warning, known.to_owned());
    }
    if service.stale.is_some() {
        add(Alert, "the service cannot write its status file".to_owned());
    }
    if !service.pipes.is_empty() {
        add(Alert, "nobody can trigger it".to_owned());
    }
    let (is_rebuild, is_command) = service.file.as_deref().map(status::failing).unwrap_or_default();
    if is_rebuild {
        add(Alert, "the last rebuild failed".to_owned());
    }
    if is_command {
        add(Warning, "a command after the last rebuild failed".to_owned());
    }
    if service.differences.is_some() {
        add(Warning, "this command has other settings than the service".to_owned());
    }
    if tables.unread.is_some() {
        add(Alert, "the users of vpopmail are not read".to_owned());
    }
    if tables.unlisted.is_some() {
        add(Alert, "control/rcpthosts is missing".to_owned());
    }
    match &tables.compared {
        _ if tables.is_unknown() => add(Warning, "whether the tables are up to date is unknown".to_owned()),
        Err(_) => add(Alert, "the tables cannot be compared with the configuration".to_owned()),
        Ok(Differences { made, kept, .. }) => {
            if let sources @ 1.. = kept.len() {
                add(Alert, format!("{} cannot be used", count(sources, "source")));
            }
            if *made > 0 {
                add(Warning, format!("a rebuild would make {}", count(*made, "change")));
            }
        }
    }
    if tables.compiled.iter().any(|(is_lost, _)| *is_lost) {
        add(Warning, "qmail may take mail that the tables refuse".to_owned());
    }
    if tables.compiled.iter().any(|(is_lost, _)| !is_lost) {
        add(Warning, "qmail may not take mail that the tables accept".to_owned());
    }
    if !tables.others.is_empty() {
        add(Warning, format!("of the tables of other qmails, {} not right", are(tables.others.len())));
    }
    // The worst first.
    reasons.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
    reasons
}

fn are(number: usize) -> String {
    if number == 1 { "one is".to_owned() } else { format!("{number} are") }
}

/// Prints what the service did last, and whether the published files say what the host says. Whether all is well is the
/// answer: the service is alive, neither its last rebuild failed nor a command that follows one, all could be read, and the
/// files are current.
///
/// # Errors
/// A status file that cannot be read, when it is asked for; a standard output that is full.
pub fn status(settings: &Settings, screen: &Screen) -> Result<bool, Error> {
    let is_json = screen.form == Form::Json;
    let file = match status::read(settings) {
        Err(error) if error.is_denied() => {
            return Err(error.then("only a user who may read it can see whether the service runs"));
        }
        Err(error) if is_json => return Err(error),
        Err(error) => {
            report::say(Warning, &error.to_string());
            None
        }
        Ok(file) => file,
    };
    let service = Service::look(settings, file)?;
    if let Some(differences) = service.differences.as_ref().filter(|_| is_json) {
        report::say(Warning, differences);
    }
    let lines = |facts: &[Fact]| facts.iter().map(Fact::lines).collect::<String>();
    if screen.form == Form::Pipe {
        // Before the host is looked at, which may take its time.
        screen.print(&lines(&service.facts(false)))?;
    }
    let silences = &settings.layout.root.silences;
    // What the service waits for is not waited for again.
    let known = service.file.as_deref().filter(|_| service.seen.alive).map(status::silences).unwrap_or_default();
    known.into_iter().for_each(|silence| silences.believe(silence));
    silences.probe_every(ASKED_FOR);
    let tables = Tables::look(settings, service.alive.is_some());
    let settings_differ = service.differences.iter().map(|differences| {
        let text = format!("{differences}; what follows is said by those of this command");
        Fact::new("settings", "settings: ", text).as_warning()
    });
    // The service tells of those that it holds.
    let for_people = matches!(screen.form, Form::Terminal(_));
    let would_hold = service.would_hold(for_people);
    let of_held = |words| if would_hold { Fact::would_be_held(words) } else { Fact::held(words, None) };
    let held = tables.held().filter(|_| service.held().is_none()).map(of_held);
    let of_tables = tables.facts(screen.form != Form::Pipe, would_hold);
    let of_tables: Vec<Fact> = settings_differ.chain(held).chain(of_tables).collect();
    let reasons = reasons(&service, &tables, for_people);
    screen.print(&match screen.form {
        Form::Pipe => lines(&of_tables),
        Form::Json => as_json(&service, &tables, &reasons),
        Form::Terminal(width) => {
            let mut facts: Vec<Fact> = service.facts(true).into_iter().chain(of_tables).collect();
            // The worst first.
            facts.sort_by_key(|fact| std::cmp::Reverse(fact.level));
            for_terminal(width, &reasons, tables.is_unknown(), &facts)
        }
    })?;
    if let Err(error) = tables.compared
        && error.is_denied()
    {
        return Err(error);
    }
    tables.denied.nothing_closed("whether all is well is unknown")?;
    Ok(reasons.is_empty())
}

/// The status file, and what is seen beside it; `null` when there is none.
fn as_json(service: &Service, tables: &Tables, reasons: &[(Level, String)]) -> String {
    let mut status = service.status().unwrap_or_default();
    if let Some(members) = status.as_object_mut() {
        members.insert("alive".to_owned(), service.alive.into());
        members.insert("tables_current".to_owned(), tables.are_current().into());
        let reasons: Vec<Value> =
            reasons.iter().map(|(level, text)| json!({ "level": level.to_string(), "text": text })).collect();
        members.insert("attention".to_owned(), reasons.into());
    }
    format!("{status:#}\n")
}

/// The width of the words before the facts.
const NAMES: usize = 14;

/// The verdict with its reasons, then each fact beside what it is about.
fn for_terminal(width: usize, reasons: &[(Level, String)], is_unknown: bool, facts: &[Fact]) -> String {
    let worst = reasons.iter().map(|(level, _)| *level).max();
    let (word, tone) = match worst {
        None => ("OK", Tone::Good),
        Some(level) if level >= Alert => ("ALERT", Tone::Bad),
        Some(_) if is_unknown => ("UNKNOWN", Tone::Caution),
        Some(_) => ("WARNING", Tone::Caution),
    };
    let why: Vec<&str> = reasons.iter().map(|(_, text)| &text[..]).collect();
    let why =
        if why.is_empty() { "the service is alive, and both tables are up to date".to_owned() } else { why.join("; ") };
    let head = wrapped(&format!("{word}  {why}"), width, 0, 2);
    let mut text = format!("{}\n", head.replacen(word, &tone.paint(word), 1));
    for fact in facts {
        let tone = match fact.level {
            Warning => Some(Tone::Caution),
            level => (level >= Alert).then_some(Tone::Bad),
        };
        let name = tone.map_or_else(|| Field::text(fact.about), |tone| Field::word(fact.about, tone));
        let rest = wrapped(&fact.text, width, NAMES, NAMES);
        text.push_str(&format!("{}{}", name.padded(NAMES), rest.trim_start()));
        for line in &fact.below {
            text.push_str(&wrapped(line, width, NAMES + 2, NAMES + 4));
        }
    }
    text
}
