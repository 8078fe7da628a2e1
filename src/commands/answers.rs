//! The commands that only look: what a rebuild would change, check, lookup, domains. They print answers to standard output, and
//! hold no rule of their own.

use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use crate::args::Completed;
use crate::cdb;
use crate::commands::check;
use crate::commands::compare::{Change, Compared, compare, made, word};
use crate::commands::findings::{Accepted, Findings, Shows};
use crate::commands::overview::{self, Answer, Domain};
use crate::commands::screen::{Field, Form, Row, Screen, Tone, VERSION, table, wrapped};
use crate::decide::Verdict;
use crate::error::{Error, show_path};
use crate::host::Host;
use crate::os::confine;
use crate::protect::hold;
use crate::publish::{Look, Target};
use crate::rebuild::homes::HomeReader;
use crate::rebuild::{behind, others, read_host};
use crate::report::{self, Level, Note};
use crate::service::{follow_ups, status};
use crate::settings::Settings;
use crate::tables::smtpd;
use crate::text::{DEFAULT, Shown, count, domain_question, lower, split_address};

/// How a failure to write an answer ends the command: a closed standard output is no failure, nobody reads on.
pub(crate) fn written(result: io::Result<()>) -> Result<(), Error> {
    match result {
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(cause) => Err(Error::Io { doing: "write to", path: "standard output".into(), cause }),
        Ok(()) => Ok(()),
    }
}

/// Prints what a rebuild would change: each change, or how many each domain has.
///
/// # Errors
/// What stops a rebuild; a standard output that is full.
pub fn dry_run(settings: &Settings, screen: &Screen, commands: bool, summary: bool) -> Result<(), Error> {
    let Compared { changes, silent, built, held, mut denied, .. } = compare(settings)?;
    report::say_all(&built.notes);
    if silent > 0 {
        let table = settings.layout.root.path(&settings.validrcptto);
        let names = count(silent, "accepted name");
        let text =
            format!("{}: of {names} it does not say what takes the mail; a rebuild adds that", show_path(&table));
        report::say(Level::Status, &text);
    }
    report::say_all(&others::look(settings, &mut denied));
    let looks = looks(settings);
    for text in looks.iter().cloned().chain(others_made(settings, &changes)) {
        report::say(Level::Status, &text);
    }
    let follow_ups =
        if commands { follow_ups::would_run(settings, &built.host, &held) } else { behind(&built.host, &held) };
    report::say_all(&follow_ups);
    let is_unknown = !denied.is_empty();
    let head = match screen.form {
        // What was said of the files is a change too.
        Form::Terminal(_) if changes.is_empty() && !is_unknown && !looks.is_empty() => {
            "no entry would change\n".to_owned()
        }
        Form::Terminal(width) => wrapped(&total(&changes, is_unknown), width, 0, 2),
        Form::Pipe | Form::Json => String::new(),
    };
    let text = if summary {
        Summary::of(&changes).text(screen.form, &head)
    } else {
        changes_as_text(screen.form, &changes, &head)
    };
    screen.print(&text)?;
    denied.nothing_closed("further changes are unknown")
}

/// Which published files a rebuild replaces for their mode or owner alone.
fn looks(settings: &Settings) -> Vec<String> {
    let targets = [settings.recipients_target(), settings.logins_target()];
    let look = |(target, wanted): (Target, Look)| {
        let (mode, owner) = target.look().filter(|_| !target.has(wanted))?;
        let wanted_owner = wanted.owner.map_or_else(String::new, |owner| format!(", {}:{}", owner.0, owner.1));
        let name = show_path(&target.name);
        let is = format!("{name}: mode {mode:04o}, owner {}:{}", owner.0, owner.1);
        Some(format!("{is}; a rebuild makes it {:04o}{wanted_owner}", wanted.mode))
    };
    targets.into_iter().flatten().filter_map(look).collect()
}

/// Which tables of other qmails follow the changes.
fn others_made(settings: &Settings, changes: &[Change]) -> Vec<String> {
    if !changes.iter().any(|change| change.accepts.is_some() && !change.is_held) {
        return Vec::new();
    }
    let paths = settings.others.iter().map(|other| settings.layout.root.path(&other.path));
    paths.map(|path| format!("{}: a rebuild recreates it from the new validrcptto.cdb", show_path(&path))).collect()
}

/// Whether the loss guard holds it.
fn state_field(is_held: bool) -> Field {
    if is_held { Field::word("HELD", Tone::Caution) } else { Field::text("ok") }
}

/// How much would change, in a sentence, and how much is held, in another one.
fn total(changes: &[Change], is_unknown: bool) -> String {
    let made = match made(changes) {
        0 if is_unknown => "UNKNOWN  What a rebuild would change is unknown.".to_owned(),
        number if is_unknown => {
            format!("UNKNOWN  A rebuild would make {} or more: {}.", count(number, "change"), in_words(changes, false))
        }
        0 if changes.is_empty() => return "nothing would change".to_owned(),
        0 => "A rebuild would change nothing.".to_owned(),
        number => format!("A rebuild would make {}: {}.", count(number, "change"), in_words(changes, false)),
    };
    match changes.iter().filter(|change| change.is_held).count() {
        0 => made,
        number => format!("{made} The loss guard holds {}: {}.", count(number, "change"), in_words(changes, true)),
    }
}

/// What changes, of what is held or of the rest.
fn in_words(changes: &[Change], is_held: bool) -> String {
    let changes: Vec<&Change> = changes.iter().filter(|change| change.is_held == is_held).collect();
    let of = |what: &str, is_login: bool| {
        let number = |sign: char| {
            changes.iter().filter(|change| change.accepts.is_none() == is_login && change.sign == sign).count()
        };
        let words = [('+', "added"), ('-', "removed"), ('~', "changed")].map(|(sign, word)| (number(sign), word));
        let some: Vec<String> =
            words.iter().filter(|(number, _)| *number > 0).map(|(number, word)| format!("{number} {word}")).collect();
        (!some.is_empty()).then(|| format!("{what} {}", some.join(", ")))
    };
    let words: Vec<String> = [of("recipients", false), of("logins", true)].into_iter().flatten().collect();
    words.join("; ")
}

fn changes_as_text(form: Form, changes: &[Change], head: &str) -> String {
    match form {
        Form::Json => {
            let change = |change: &Change| {
                serde_json::json!({
                    "change": change.sign.to_string(),
                    "entry": change.word(),
                    "key": Shown(&change.key).to_string(),
                    "held": change.is_held,
                })
            };
            let changes: Vec<_> = changes.iter().map(change).collect();
            format!("{:#}\n", serde_json::json!({ "version": VERSION, "changes": changes }))
        }
        Form::Pipe => changes.iter().map(|change| format!("{change}\n")).collect(),
        Form::Terminal(_) if changes.is_empty() => head.to_owned(),
        Form::Terminal(width) => {
            let row = |change: &Change| {
                let tone = if change.accepts == Some(false) { Tone::Bad } else { Tone::Good };
                let state = state_field(change.is_held);
                let cells = vec![
                    Field::text(match change.sign {
                        '+' => "add",
                        '-' => "remove",
                        _ => "change",
                    }),
                    Field::word(change.word(), tone),
                    Field::text(Shown(&change.key).to_string()),
                    state,
                ];
                Row { cells, below: Vec::new() }
            };
            let rows: Vec<Row> = changes.iter().map(row).collect();
            format!("{head}\n{}", table(width, &["CHANGE", "ENTRY", "KEY", "STATE"], &rows))
        }
    }
}

/// How many entries of each domain would change: added and removed recipients; added, removed and changed logins. Where
/// something is held, a rebuild does not make all of it.
struct Summary(BTreeMap<Vec<u8>, ([usize; 5], bool)>);

impl Summary {
    fn of(changes: &[Change]) -> Summary {
        let mut domains: BTreeMap<Vec<u8>, ([usize; 5], bool)> = BTreeMap::new();
        for change in changes.iter().filter(|change| (change.accepts, change.sign) != (Some(true), '~')) {
            let (numbers, is_held) = domains.entry(change.domain().to_vec()).or_default();
            numbers[match (change.accepts, change.sign) {
                (Some(_), '+') => 0,
                (Some(_), _) => 1,
                (None, '+') => 2,
                (None, '-') => 3,
                (None, _) => 4,
            }] += 1;
            *is_held |= change.is_held;
        }
        Summary(domains)
    }

    /// The name of a domain; what has none is of no domain, such as a login by a bare name.
    fn name(domain: &[u8]) -> String {
        if domain.is_empty() { "-".to_owned() } else { Shown(domain).to_string() }
    }

    fn text(&self, form: Form, head: &str) -> String {
        let state = |is_held: bool| if is_held { "held" } else { "ok" };
        match form {
            Form::Json => {
                let domain = |(domain, (numbers, is_held)): (&Vec<u8>, &([usize; 5], bool))| {
                    let [added, removed, logins_added, logins_removed, logins_changed] = numbers;
                    serde_json::json!({
                        "domain": Summary::name(domain),
                        "recipients_added": added,
                        "recipients_removed": removed,
                        "logins_added": logins_added,
                        "logins_removed": logins_removed,
                        "logins_changed": logins_changed,
                        "state": state(*is_held),
                    })
                };
                let domains: Vec<_> = self.0.iter().map(domain).collect();
                format!("{:#}\n", serde_json::json!({ "version": VERSION, "domains": domains }))
            }
            Form::Pipe => {
                let line = |(domain, (numbers, is_held)): (&Vec<u8>, &([usize; 5], bool))| {
                    let numbers = numbers.map(|number| number.to_string()).join("\t");
                    format!("{}\t{numbers}\t{}\n", Summary::name(domain), state(*is_held))
                };
                self.0.iter().map(line).collect()
            }
            Form::Terminal(_) if self.0.is_empty() => head.to_owned(),
            Form::Terminal(width) => {
                let signed = |numbers: [usize; 5]| {
                    let signs = ["+", "-", "+", "-", "~"];
                    let number = |(sign, number): (&str, usize)| match number {
                        0 => Field::number("."),
                        number => Field::number(format!("{sign}{number}")),
                    };
                    signs.into_iter().zip(numbers).map(number).collect::<Vec<_>>()
                };
                let row = |name: String, numbers: [usize; 5], is_held: bool| {
                    let state = state_field(is_held);
                    Row { cells: [vec![Field::text(name)], signed(numbers), vec![state]].concat(), below: Vec::new() }
                };
                let name = |domain: &[u8]| if domain.is_empty() { "(none)".to_owned() } else { Summary::name(domain) };
                let domains = self.0.iter().map(|(domain, (numbers, is_held))| row(name(domain), *numbers, *is_held));
                let is_any_held = self.0.values().any(|(_, is_held)| *is_held);
                let all = [0, 1, 2, 3, 4].map(|at| self.0.values().map(|(numbers, _)| numbers[at]).sum());
                let rows: Vec<Row> = domains.chain([row("(all)".to_owned(), all, is_any_held)]).collect();
                let headings = ["DOMAIN", "RECIPIENTS +", "-", "LOGINS +", "-", "~", "STATE"];
                format!("{head}\n{}", table(width, &headings, &rows))
            }
        }
    }
}

/// How `check` answers.
pub struct Checking<'a> {
    /// The list of accepted findings, and whether it was named.
    pub accepted: (&'a [u8], bool),
    /// Which findings are shown.
    pub shows: Shows,
    /// Whether Nagios asks.
    pub nagios: bool,
}

/// Prints what is wrong or risky on this host, worst first. The exit status is 1 when something needs attention, or that of
/// Nagios.
///
/// # Errors
/// What this process may not read; a list of accepted findings that cannot be read; a standard output that is full.
pub fn check(settings: &Settings, screen: &Screen, checking: &Checking<'_>) -> Result<u8, Error> {
    let (file, is_named) = checking.accepted;
    let (accepted, of_list) = Accepted::read(settings, file, is_named)?;
    let (mut findings, unknown) = check::check(settings);
    findings.extend(of_list);
    let findings = Findings::new(findings, &accepted);
    if checking.nagios {
        let (line, status) = findings.nagios(unknown.as_ref().err());
        return screen.print(&line).map(|()| status);
    }
    screen.print(&findings.text(screen.form, checking.shows, unknown.is_err()))?;
    let warnings = findings.only_warnings();
    if checking.shows.quiet && warnings > 0 {
        let warnings = count(warnings, "warning");
        report::say(Level::Warning, &format!("{warnings}, which check shows without -q"));
    }
    unknown?;
    Ok(if findings.is_fine() { 0 } else { 1 })
}

/// At most so many words are printed for a shell to complete.
const MAX_COMPLETED: usize = 2_000;

/// Prints the words that begin so, for a shell to complete, from the published recipient table. A shell must not be told
/// why there is none.
///
/// # Errors
/// A standard output that is full.
pub fn complete(settings: &Settings, screen: &Screen, what: Completed, begin: &[u8]) -> Result<(), Error> {
    let image = settings.recipients_target().and_then(|(target, _)| {
        target.open().and_then(|published| published.read()).map_err(|cause| Error::io("read", &target.name, cause))
    });
    let Some(cdb) = image.as_deref().ok().and_then(|image| cdb::Reader::new(image).ok()) else { return Ok(()) };
    let begin = lower(begin);
    let mut found = BTreeSet::new();
    for record in cdb.records() {
        let Some((local, domain)) = split_address(record.key) else { continue };
        let is_listed = !local.is_empty() && !local.ends_with(DEFAULT) && smtpd::accepts(record.data);
        let address = (what != Completed::Domains && is_listed).then(|| record.key.to_vec());
        let domain = match what {
            Completed::Domains => Some(domain.to_vec()),
            Completed::Users => Some([b"@", domain].concat()),
            Completed::Addresses => None,
        };
        let printable = |word: &Vec<u8>| word.starts_with(&begin) && word.iter().all(u8::is_ascii_graphic);
        found.extend(address.into_iter().chain(domain).filter(printable));
        if found.len() > MAX_COMPLETED {
            found.pop_last();
        }
    }
    screen.print(&found.iter().map(|word| format!("{}\n", Shown(word))).collect::<String>())
}

/// Prints the domains of the host, or those that are named, one a line. Whether each that was named is one is the answer.
///
/// # Errors
/// What stops a rebuild; a standard output that is full.
pub fn domains(
    settings: &Settings,
    screen: &Screen,
    names: &[std::ffi::OsString],
    only: &[overview::State],
) -> Result<bool, Error> {
    let host = read_host_only(settings)?;
    say_settings(settings, screen);
    let before = settings.logins_target()?.0.before();
    let wanted: BTreeSet<Vec<u8>> =
        names.iter().map(|name| if name == "*" { Vec::new() } else { lower(name.as_bytes()) }).collect();
    let homes = HomeReader::new(&host, &before, settings.threads(), None);
    let (own, names) = (host.clone(), wanted.clone());
    let recipients = settings.recipients_target()?.0.before();
    let break_byte = settings.layout.break_byte;
    let find = move || {
        let (table, is_closed) = (OnceCell::new(), Cell::new(false));
        let read = || recipients.file.as_ref()?.read().ok().filter(|image| is_whole(image));
        let published = |address: &[u8]| {
            if recipients.closed.is_some() {
                is_closed.set(true);
                return Answer::Closed;
            }
            let Some(cdb) = table.get_or_init(read).as_deref().and_then(|image| cdb::Reader::new(image).ok()) else {
                return Answer::NoTable;
            };
            Answer::Accepts(smtpd::lookup(address, break_byte, |key| cdb.find(key)).accepted())
        };
        let found = overview::domains(&own, &homes, &names, &published);
        let mut denied = homes.denied();
        denied.extend(recipients.closed.clone().filter(|_| is_closed.get()));
        (found, denied)
    };
    let ((mut found, mut denied), unconfined) =
        confine::attempt(&host.layout.root, confine::directories(&host)?, find)?;
    report::say_all(unconfined.as_slice());
    for domain in &found {
        // What is so for all of them was said.
        if let (Some(cause), Some((folder, _))) = (&domain.trouble, &domain.folder)
            && host.build.users.unread() != Some(cause)
        {
            let path = host.layout.root.path(folder);
            let text = format!("{}: {cause}; the mailboxes of {} are unknown", show_path(&path), Shown(&domain.name));
            report::say(Level::Alert, &text);
        }
    }
    let none: Vec<&Vec<u8>> = wanted.iter().filter(|name| !found.iter().any(|domain| domain.name == **name)).collect();
    let held = hold::held_before(settings)?;
    for domain in found.iter_mut().filter(|domain| held.contains(&domain.name)) {
        domain.state = overview::State::Held;
    }
    found.retain(|domain| only.is_empty() || only.contains(&domain.state));
    screen.print(&match screen.form {
        Form::Json => format!("{:#}\n", serde_json::Value::from_iter(found.iter().map(domain_as_json))),
        Form::Pipe => found.iter().map(|domain| domain_as_line(domain) + "\n").collect(),
        Form::Terminal(width) => domains_as_table(width, &found),
    })?;
    for name in &none {
        let question = domain_question(name, host.control.listed());
        report::say(Level::Warning, &format!("{}: no domain of this host{question}", domain_name(name)));
    }
    denied.extend(host.denied());
    denied.nothing_closed("what depends on it is unknown")?;
    Ok(none.is_empty())
}

/// Whether a published table is not damaged.
fn is_whole(image: &[u8]) -> bool {
    cdb::Reader::new(image).is_ok_and(|cdb| cdb.check().is_ok())
}

/// Reads the host without its homes, and says what there is to say about it.
pub(crate) fn read_host_only(settings: &Settings) -> Result<Arc<Host>, Error> {
    let mut notes = Vec::new();
    let host = read_host(settings, &mut notes)?;
    say_seen(notes);
    report::say_all(&behind(&host, &hold::held_before(settings)?));
    Ok(Arc::new(host))
}

/// Tells people that the service makes the tables by other settings than those of this command.
pub(crate) fn say_settings(settings: &Settings, screen: &Screen) {
    if let Form::Terminal(_) = screen.form {
        report::say_all(status::differing(settings).as_slice());
    }
}

/// Says what was seen of the host. What this process may not read is told at the end, where it matters: nothing is kept
/// for it here.
pub(crate) fn say_seen(mut notes: Vec<Note>) {
    notes.retain(|note| !note.denied);
    report::say_all(&notes);
}

/// The name of a domain; the empty key of virtualdomains stands for all others.
fn domain_name(name: &[u8]) -> String {
    if name.is_empty() { "*".to_owned() } else { Shown(name).to_string() }
}

fn domain_as_line(domain: &Domain) -> String {
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let number = |number: Option<usize>| or_none(number.map(|number| number.to_string()));
    let alias = domain.alias_of.as_ref().map(|real| format!(" (alias of {})", Shown(real)));
    [
        domain_name(&domain.name) + &alias.unwrap_or_default(),
        domain.kind.word().to_owned(),
        or_none(domain.folder.as_ref().map(|(folder, _)| Shown(folder).to_string())),
        or_none(domain.folder.as_ref().map(|(_, who)| format!("{}:{}", who.uid, who.gid))),
        number(domain.mailboxes),
        number(domain.aliases),
        domain.others_accepted.map_or("unknown", word).to_owned(),
        or_none(domain.catch_all.clone()),
        or_none(Some(domain.notes.join("; ")).filter(|notes| !notes.is_empty())),
        domain.state.word().to_owned(),
    ]
    .join("\t")
}

/// The domains in columns, what else there is to know below each.
fn domains_as_table(width: usize, domains: &[Domain]) -> String {
    let number =
        |number: Option<usize>| Field::number(number.map_or_else(|| "-".to_owned(), |number| number.to_string()));
    let row = |domain: &Domain| {
        let alias = domain.alias_of.as_ref().map(|real| format!("alias of {}", Shown(real)));
        let cells = vec![
            Field::text(domain_name(&domain.name)),
            Field::text(domain.kind.word()),
            number(domain.mailboxes),
            number(domain.aliases),
            match domain.others_accepted {
                Some(true) => Field::word("accept", Tone::Good),
                Some(false) => Field::word("refuse", Tone::Bad),
                None => Field::word("unknown", Tone::Caution),
            },
            match domain.state {
                overview::State::Ok => match reach(domain) {
                    Reach::Usual => Field::text("ok"),
                    Reach::Waits => Field::word("WAITS", Tone::Caution),
                    Reach::Elsewhere => Field::word("ELSEWHERE", Tone::Caution),
                    Reach::None => Field::word("NO MAIL", Tone::Bad),
                },
                state => Field::word(state.word().to_uppercase(), Tone::Caution),
            },
            Field::text(domain.catch_all.clone().unwrap_or_else(|| "-".to_owned())),
        ];
        let trouble = domain.trouble.as_ref().map(ToString::to_string);
        let note = |note: &String| match (&domain.folder, &trouble) {
            (Some((folder, _)), Some(trouble)) if note == trouble => format!("{}: {note}", Shown(folder)),
            _ => note.clone(),
        };
        let state = match domain.state {
            overview::State::Held => Some(format!(
                "the loss guard keeps entries that would go; rebuild --force {} publishes it as it is",
                Shown(&domain.name)
            )),
            overview::State::Kept => Some("what is published of it stays until it can be read".to_owned()),
            _ => None,
        };
        Row { cells, below: alias.into_iter().chain(domain.notes.iter().map(note)).chain(state).collect() }
    };
    let headings = ["DOMAIN", "KIND", "MAILBOXES", "ALIASES", "OTHERS", "STATE", "CATCH-ALL"];
    if domains.is_empty() {
        return "no domain\n".to_owned();
    }
    let in_words = |domain: &Domain| match (domain.state, reach(domain)) {
        (overview::State::Ok, Reach::Waits) => "whose mail waits",
        (overview::State::Ok, Reach::Elsewhere) => "whose mailboxes get no mail",
        (overview::State::Ok, Reach::None) => "where no mail arrives",
        (state, _) => state.word(),
    };
    let mut numbers: Vec<(&str, usize)> = Vec::new();
    let of_states = overview::State::ALL.map(overview::State::word);
    for word in of_states.into_iter().chain(domains.iter().map(in_words)) {
        if !numbers.iter().any(|(other, _)| *other == word) {
            numbers.push((word, domains.iter().filter(|domain| in_words(domain) == word).count()));
        }
    }
    let numbers = numbers.iter().filter(|(_, number)| *number > 0);
    let states: Vec<String> = numbers.map(|(word, number)| format!("{number} {word}")).collect();
    let head = wrapped(&format!("{}: {}", count(domains.len(), "domain"), states.join(", ")), width, 0, 2);
    format!("{head}\n{}", table(width, &headings, &domains.iter().map(row).collect::<Vec<_>>()))
}

/// Where mail to the mailboxes of a domain goes.
#[derive(PartialEq)]
enum Reach {
    /// To them, or there are none.
    Usual,
    Waits,
    /// Something else takes all of it.
    Elsewhere,
    /// Nowhere.
    None,
}

fn reach(domain: &Domain) -> Reach {
    let is_nobodys = domain.kind == overview::Kind::Nobody && domain.still_taken.is_none();
    match domain.unreached {
        _ if domain.lacks_default || is_nobodys || domain.not_yet_taken.is_some() => Reach::None,
        // It may have users of another kind.
        Some(_) if domain.kind == overview::Kind::Local => Reach::Elsewhere,
        Some(Verdict::Bounce | Verdict::Remote) => Reach::None,
        Some(Verdict::Defer) => Reach::Waits,
        Some(Verdict::Deliver) => Reach::Elsewhere,
        Some(Verdict::Unknown) | None => Reach::Usual,
    }
}

fn domain_as_json(domain: &Domain) -> serde_json::Value {
    serde_json::json!({
        "domain": domain_name(&domain.name),
        "alias_of": domain.alias_of.as_ref().map(|real| Shown(real).to_string()),
        "kind": domain.kind.word(),
        "folder": domain.folder.as_ref().map(|(folder, _)| Shown(folder).to_string()),
        "uid": domain.folder.as_ref().map(|(_, who)| who.uid),
        "gid": domain.folder.as_ref().map(|(_, who)| who.gid),
        "mailboxes": domain.mailboxes,
        "aliases": domain.aliases,
        "others_accepted": domain.others_accepted,
        "catch_all": domain.catch_all,
        "notes": domain.notes,
        "state": domain.state.word(),
    })
}
