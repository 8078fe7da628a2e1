//! The commands that only look: list, what a rebuild would change, lookup, explain, status, domains, user. They print answers to standard
//! output, and hold no rule of their own.

use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use crate::args::{Completed, Format, Table};
use crate::cdb;
use crate::commands::check;
use crate::commands::compare::{Change, Compared, Sorted, compare, word};
use crate::commands::findings::{Accepted, Findings, Shows};
use crate::commands::overview::{self, Absence, Agreement, Answer, Domain, User, Users};
use crate::commands::screen::{Field, Form, Row, Screen, Tone, VERSION, table};
use crate::decide::{Delivery, Verdict};
use crate::error::{Denied, Error, show_path};
use crate::host::Host;
use crate::os::confine;
use crate::os::lock;
use crate::protect::hold;
use crate::rebuild::homes::{HomeReader, KeptHome};
use crate::rebuild::{behind, build, now, others, read_host};
use crate::report::{self, Level, Note};
use crate::service::follow_ups;
use crate::service::status;
use crate::settings::Settings;
use crate::tables::logins::{Policy, PublishedLogins};
use crate::tables::smtpd::{self, Says};
use crate::text::{DEFAULT, Shown, count, join_address, lower, split_address};

/// How a failure to write an answer ends the command: a closed standard output is no failure, nobody reads on.
pub(crate) fn written(result: io::Result<()>) -> Result<(), Error> {
    match result {
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(cause) => Err(Error::Io { doing: "write to", path: "standard output".into(), cause }),
        Ok(()) => Ok(()),
    }
}

/// Prints what a rebuild would write.
///
/// # Errors
/// What stops a rebuild; a standard output that is full.
pub fn list(settings: &Settings, screen: &Screen, what: Table, format: Format) -> Result<(), Error> {
    if (what, format) == (Table::Recipients, Format::PasswdFile) {
        return Err(Error::Usage("--format passwd-file: it is for logins only".to_owned()));
    }
    let mut sorted = Sorted::default();
    let mut built = build(settings, &mut sorted)?;
    built.notes.retain(|note| !note.denied);
    report::say_all(&built.notes);
    report::say_all(&behind(&built.host, &hold::held_before(settings)?));
    built.denied.nothing_closed("what a rebuild writes is unknown")?;
    if screen.form == Form::Json {
        let shown = |key: &Vec<u8>| Shown(key).to_string();
        let entries: Vec<_> = match what {
            Table::Recipients => {
                let entry = |(key, data): (&Vec<u8>, &&[u8])| serde_json::json!({ "key": shown(key), "accepts": smtpd::accepts(data) });
                sorted.recipients.iter().map(entry).collect()
            }
            Table::Logins => sorted.logins.keys().map(|key| serde_json::json!({ "key": shown(key) })).collect(),
        };
        let name = if what == Table::Recipients { "recipients" } else { "logins" };
        let all = serde_json::json!({ "version": VERSION, "table": name, "entries": entries });
        return screen.print(&format!("{all:#}\n"));
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut print = || -> io::Result<()> {
        let recipients = sorted.recipients.iter().map(|(key, data)| (&key[..], *data));
        let logins = sorted.logins.iter().map(|(key, data)| (&key[..], &data[..]));
        match (what, format) {
            (Table::Recipients, Format::Text) => {
                for (key, data) in recipients {
                    let says = Says::of(data);
                    writeln!(out, "{}\t{}\t{says}", word(says.accepts()), Shown(key))?;
                }
            }
            (Table::Logins, Format::Text) => {
                for (key, _) in logins {
                    writeln!(out, "{}", Shown(key))?;
                }
            }
            (Table::Recipients, Format::Cdbmake) => print_cdbmake(&mut out, recipients)?,
            (Table::Logins, Format::Cdbmake) => print_cdbmake(&mut out, logins)?,
            (_, Format::PasswdFile) => print_passwd_file(&mut out, logins)?,
        }
        out.flush()
    };
    written(print())
}

/// The text form of a cdb: `+klen,dlen:key->data` a line, then an empty line.
fn print_cdbmake<'r>(out: &mut impl Write, records: impl Iterator<Item = (&'r [u8], &'r [u8])>) -> io::Result<()> {
    for (key, data) in records {
        write!(out, "+{},{}:", key.len(), data.len())?;
        out.write_all(key)?;
        out.write_all(b"->")?;
        out.write_all(data)?;
        out.write_all(b"\n")?;
    }
    out.write_all(b"\n")
}

/// The lines of a passwd-file of Dovecot, `LOGIN:{CRYPT}HASH`.
fn print_passwd_file<'r>(out: &mut impl Write, records: impl Iterator<Item = (&'r [u8], &'r [u8])>) -> io::Result<()> {
    for (login, data) in records {
        let hash = data.split(|byte| *byte == b',').next().unwrap_or_default();
        let ends = |byte: &u8| *byte <= b' ' || *byte == b':' || *byte == 0x7f;
        if login.is_empty() || login.starts_with(b"#") || login.iter().chain(hash).any(ends) {
            let text = format!("{}: left out: a passwd-file cannot hold this login or its hash", Shown(login));
            report::say(Level::Warning, &text);
            continue;
        }
        out.write_all(&[login, b":{CRYPT}", hash, b"\n"].concat())?;
    }
    Ok(())
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
    let follow_ups =
        if commands { follow_ups::would_run(settings, &built.host, &held) } else { behind(&built.host, &held) };
    report::say_all(&follow_ups);
    let text = if summary {
        Summary::of(&changes, &held).text(screen.form)
    } else {
        changes_as_text(screen.form, &changes, &held)
    };
    screen.print(&text)?;
    denied.nothing_closed("further changes are unknown")
}

fn changes_as_text(form: Form, changes: &[Change], held: &BTreeSet<Vec<u8>>) -> String {
    let is_held = |change: &Change| change.sign != '+' && held.contains(change.domain());
    match form {
        Form::Json => {
            let change = |change: &Change| {
                serde_json::json!({
                    "change": change.sign.to_string(),
                    "entry": change.word(),
                    "key": Shown(&change.key).to_string(),
                    "held": is_held(change),
                })
            };
            let changes: Vec<_> = changes.iter().map(change).collect();
            format!("{:#}\n", serde_json::json!({ "version": VERSION, "changes": changes }))
        }
        Form::Pipe => changes.iter().map(|change| format!("{change}\n")).collect(),
        Form::Terminal(_) if changes.is_empty() => "nothing would change\n".to_owned(),
        Form::Terminal(width) => {
            let row = |change: &Change| {
                let tone = if change.accepts == Some(false) { Tone::Bad } else { Tone::Good };
                let held = if is_held(change) { Field::word("HELD", Tone::Caution) } else { Field::text("") };
                let cells = vec![
                    Field::text(change.sign.to_string()),
                    Field::word(change.word(), tone),
                    Field::text(Shown(&change.key).to_string()),
                    held,
                ];
                Row { cells, below: Vec::new() }
            };
            table(width, &["", "ENTRY", "KEY", ""], &changes.iter().map(row).collect::<Vec<_>>())
        }
    }
}

/// How many entries of each domain a rebuild would change: added and removed recipients; added, removed and changed
/// logins. A held domain keeps what would be removed.
struct Summary(BTreeMap<Vec<u8>, ([usize; 5], bool)>);

impl Summary {
    fn of(changes: &[Change], held: &BTreeSet<Vec<u8>>) -> Summary {
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
            *is_held = held.contains(change.domain());
        }
        Summary(domains)
    }

    /// The name of a domain; what has none is of no domain, such as a login by a bare name.
    fn name(domain: &[u8]) -> String {
        if domain.is_empty() { "-".to_owned() } else { Shown(domain).to_string() }
    }

    fn text(&self, form: Form) -> String {
        let state = |is_held: bool| if is_held { "held" } else { "ok" };
        let total = |at: usize| self.0.values().map(|(numbers, _)| numbers[at]).sum::<usize>();
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
            Form::Terminal(_) if self.0.is_empty() => "nothing would change\n".to_owned(),
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
                    let state = if is_held { Field::word("HELD", Tone::Caution) } else { Field::text("") };
                    Row { cells: [vec![Field::text(name)], signed(numbers), vec![state]].concat(), below: Vec::new() }
                };
                let domains =
                    self.0.iter().map(|(domain, (numbers, is_held))| row(Summary::name(domain), *numbers, *is_held));
                let all = [0, 1, 2, 3, 4].map(total);
                let rows: Vec<Row> = domains.chain([row("total".to_owned(), all, false)]).collect();
                table(width, &["DOMAIN", "RECIPIENTS", "", "LOGINS", "", "", ""], &rows)
            }
        }
    }
}

/// How long `status` asks network file systems whether they answer.
const ASKED_FOR: Duration = Duration::from_millis(500);

/// Prints what the service did last, and whether the published files say what the host says. Whether all is well is the
/// answer: the service is alive, neither its last rebuild failed nor a command that follows one, all could be read, and the
/// files are current.
///
/// # Errors
/// A status file that cannot be read, when it is asked for; a standard output that is full.
pub fn status(settings: &Settings, json: bool) -> Result<bool, Error> {
    let state = match status::read(settings) {
        Err(error) if error.is_denied() => {
            return Err(error.then("only who may read it can tell how the service is"));
        }
        Err(error) if json => return Err(error),
        Err(error) => {
            report::say(Level::Warning, &error.to_string());
            None
        }
        Ok(state) => state,
    };
    let is_read = |fifo| lock::is_fifo_read(&settings.layout.root, &settings.state, fifo);
    let read: Vec<Option<bool>> = settings.fifos.iter().map(|fifo| is_read(fifo)).collect();
    let alive = read.iter().all(|read| *read == Some(true));
    let is_service_known = alive || read.contains(&Some(false));
    let rebuilding = lock::is_rebuild_running(&settings.layout.root, &settings.state) == Some(true);
    let stale = alive.then(|| status::staleness(settings, state.as_deref(), rebuilding)).flatten();
    let anything_held = hold::is_anything_held(settings)?;
    let seen = status::Seen { alive, writes: stale.is_none(), rebuilding, anything_held };
    let differences = status::differences(settings);
    if let Some(differences) = differences.as_ref().filter(|_| json) {
        report::say(Level::Warning, differences);
    }
    let mut out = io::stdout().lock();
    let mut print = || -> io::Result<()> {
        if json {
            return out.write_all(state.as_deref().unwrap_or(b"null\n"));
        }
        writeln!(
            out,
            "service: {}",
            if !is_service_known {
                "unknown"
            } else if alive {
                "alive"
            } else {
                "not running"
            }
        )?;
        if let Some(why) = &stale {
            writeln!(out, "{why}")?;
        }
        match state.as_deref().and_then(|state| status::describe(state, &seen)) {
            Some(lines) => out.write_all(lines.as_bytes()),
            None => writeln!(out, "nothing is known of a rebuild by the service"),
        }
    };
    // Before the host is looked at, which may take its time.
    written(print().and_then(|()| out.flush()))?;
    let silences = &settings.layout.root.silences;
    // What the service waits for is not waited for again.
    let known = state.as_deref().filter(|_| alive).map(status::silences).unwrap_or_default();
    known.into_iter().for_each(|silence| silences.believe(silence));
    silences.probe_every(ASKED_FOR);
    let compared = compare(settings);
    let mut denied = Denied::default();
    let state_folder = settings.layout.root.path(&settings.state);
    if !is_service_known && silences.of(&state_folder).is_none() {
        denied.add(state_folder);
    }
    denied.extend(compared.iter().flat_map(|compared| compared.denied.clone()));
    let of_others = others::look(settings, &mut denied);
    let kept = |compared: &Compared| -> Vec<KeptHome> {
        compared.built.kept.iter().filter(|home| !home.alert.denied).cloned().collect()
    };
    // Of a user database that is not read, not even the tables that are current say everything.
    let unread = compared.as_ref().ok().and_then(|compared| compared.built.host.build.users.elsewhere().cloned());
    let compared = compared.map(|compared| (compared.changes.len(), kept(&compared), compared.denied.is_empty()));
    let mut print = || -> io::Result<()> {
        if json {
            return Ok(());
        }
        if let Some(differences) = &differences {
            writeln!(out, "settings: {differences}; what follows is said by those of this command")?;
        }
        if let Ok((_, kept, _)) = &compared
            && !kept.is_empty()
        {
            writeln!(
                out,
                "{} (the home of a domain or of an account, or a file of our own in control) cannot be used; fix what each line \
                 names, and the next rebuild uses it:",
                count(kept.len(), "source")
            )?;
            kept.iter().take(status::MAX_NAMED).try_for_each(|home| writeln!(out, "  {}", home.alert.text))?;
            if let more @ 1.. = kept.len().saturating_sub(status::MAX_NAMED) {
                writeln!(out, "  and {more} more; qmail-updater check names all")?;
            }
        }
        if let Some(cause) = &unread {
            writeln!(out, "users: {cause}; their names are accepted, and their published logins kept")?;
        }
        match &compared {
            Ok((_, _, false)) => writeln!(out, "tables: unknown: {}", denied.words()),
            Ok((0, kept, _)) if kept.is_empty() && unread.is_none() => writeln!(out, "tables: as the host says"),
            Ok((0, ..)) => writeln!(out, "tables: as the host says, where it can be read"),
            Ok((number, ..)) => {
                let changes = count(*number, "change");
                writeln!(out, "tables: not what the host says: {changes}; qmail-updater rebuild --dry-run shows them")
            }
            Err(error) => writeln!(out, "tables: they cannot be compared with the host: {error}"),
        }?;
        of_others.iter().try_for_each(|note| writeln!(out, "tables: {}", note.text))
    };
    written(print())?;
    let compared = match compared {
        Err(error) if error.is_denied() => return Err(error),
        compared => compared,
    };
    denied.nothing_closed("whether all is well is unknown")?;
    let failing = state.as_deref().is_some_and(status::is_anything_failing);
    Ok(alive
        && stale.is_none()
        && !failing
        && differences.is_none()
        && unread.is_none()
        && of_others.is_empty()
        && compared.is_ok_and(|(changes, kept, _)| changes == 0 && kept.is_empty()))
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
    screen.print(&findings.text(screen.form, checking.shows))?;
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

/// Asks the published recipients' table as qmail-smtpd does. Whether all were accepted is the answer.
///
/// # Errors
/// A table that is not there; a standard output that is full.
pub fn lookup(settings: &Settings, screen: &Screen, addresses: &[std::ffi::OsString]) -> Result<bool, Error> {
    let published = Published::open(settings)?;
    let (mut all, mut found) = (true, Vec::new());
    let mut out = io::stdout().lock();
    let mut answer = |address: &[u8]| -> io::Result<()> {
        let answer = published.lookup(address);
        all &= answer.accepted();
        if screen.form != Form::Pipe {
            found.push((address.to_vec(), answer));
            return Ok(());
        }
        let key = answer.key.as_deref().unwrap_or(b"-");
        let accepted = word(answer.accepted());
        writeln!(out, "{accepted}\t{}\t{}\t{}", Shown(address), Shown(key), answer.says)
    };
    let result = if addresses.is_empty() || (addresses.len() == 1 && addresses[0] == "-") {
        if io::stdin().is_terminal() {
            report::say(Level::Status, "reads addresses, one per line; Ctrl-D ends them");
        }
        read_addresses(&mut answer)?
    } else {
        addresses.iter().try_for_each(|address| answer(address.as_bytes()))
    };
    written(result)?;
    drop(out);
    screen.print(&lookup_as_text(screen.form, &found))?;
    Ok(all)
}

fn lookup_as_text(form: Form, found: &[(Vec<u8>, smtpd::Answer)]) -> String {
    let key = |answer: &smtpd::Answer| answer.key.as_ref().map(|key| Shown(key).to_string());
    match form {
        Form::Pipe => String::new(),
        Form::Json => {
            let answer = |(address, answer): &(Vec<u8>, smtpd::Answer)| {
                serde_json::json!({
                    "address": Shown(address).to_string(),
                    "accepted": answer.accepted(),
                    "key": key(answer),
                    "by": answer.says.to_string(),
                })
            };
            let all: Vec<_> = found.iter().map(answer).collect();
            format!("{:#}\n", serde_json::json!({ "version": VERSION, "addresses": all }))
        }
        Form::Terminal(width) => {
            let row = |(address, answer): &(Vec<u8>, smtpd::Answer)| {
                let tone = if answer.accepted() { Tone::Good } else { Tone::Bad };
                let cells = vec![
                    Field::word(word(answer.accepted()), tone),
                    Field::text(Shown(address).to_string()),
                    Field::text(key(answer).unwrap_or_else(|| "-".to_owned())),
                    Field::text(answer.says.to_string()),
                ];
                Row { cells, below: Vec::new() }
            };
            table(width, &["ANSWER", "ADDRESS", "KEY", "BY"], &found.iter().map(row).collect::<Vec<_>>())
        }
    }
}

/// Reads one address a line from standard input.
fn read_addresses(answer: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<io::Result<()>, Error> {
    for line in io::stdin().lock().split(b'\n') {
        let line = line.map_err(|cause| Error::Io { doing: "read", path: "standard input".into(), cause })?;
        if !line.is_empty()
            && let Err(cause) = answer(&line)
        {
            return Ok(Err(cause));
        }
    }
    Ok(Ok(()))
}

/// The published recipients' table.
pub(crate) struct Published {
    image: Vec<u8>,
    break_byte: u8,
}

impl Published {
    pub(crate) fn open(settings: &Settings) -> Result<Published, Error> {
        let target = settings.recipients_target()?.0;
        let image = target.open().and_then(|published| published.read()).map_err(|cause| {
            let is_missing = cause.kind() == io::ErrorKind::NotFound;
            let error = Error::io("read", &target.name, cause);
            if is_missing { error.then("a qmail-smtpd that asks it answers 421 to every client") } else { error }
        })?;
        if let Some(damage) = check::damage(&target.name, &image) {
            report::say(damage.level, &damage.text);
        }
        Ok(Published { image, break_byte: settings.layout.break_byte })
    }

    pub(crate) fn lookup(&self, address: &[u8]) -> smtpd::Answer {
        let cdb = cdb::Reader::new(&self.image).ok();
        smtpd::lookup(address, self.break_byte, |key| cdb?.find(key))
    }

    /// What it answers, and whether that is what is wanted.
    pub(crate) fn compared(&self, address: &[u8], wanted: bool, delivery: &Delivery) -> String {
        let answer = self.lookup(address);
        let by = match &answer.key {
            Some(key) => format!("by its key {}", Shown(key)),
            None => "no key matches".to_owned(),
        };
        let answered = if answer.accepted() { "accepted" } else { "refused" };
        let agrees = match (answer.accepted(), wanted) {
            _ if delivery.verdict == Verdict::Unknown => "whether that is right is unknown",
            _ if delivery.doubt.is_some() => "the published answer is kept while the source above cannot be read",
            (true, false) => "but should be refused; rebuild --dry-run shows whether a rebuild changes it",
            (false, true) => "but should be accepted; rebuild --dry-run shows whether a rebuild changes it",
            _ => "as it should be",
        };
        format!("{answered}, {by}: {agrees}")
    }
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
        if let (Some(cause), Some((folder, _))) = (&domain.trouble, &domain.folder) {
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
    none.iter().for_each(|name| report::say(Level::Warning, &format!("{}: no domain of this host", domain_name(name))));
    denied.extend(host.denied());
    denied.nothing_closed("what depends on it is unknown")?;
    Ok(none.is_empty())
}

/// Whether a published table is not damaged.
fn is_whole(image: &[u8]) -> bool {
    cdb::Reader::new(image).is_ok_and(|cdb| cdb.check().is_ok())
}

/// Reads the host without its homes, and says what there is to say about it.
fn read_host_only(settings: &Settings) -> Result<Arc<Host>, Error> {
    let mut notes = Vec::new();
    let host = read_host(settings, &mut notes)?;
    say_seen(notes);
    report::say_all(&behind(&host, &hold::held_before(settings)?));
    Ok(Arc::new(host))
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
                overview::State::Ok => Field::text("ok"),
                state => Field::word(state.word().to_uppercase(), Tone::Caution),
            },
            Field::text(domain.catch_all.clone().unwrap_or_else(|| "-".to_owned())),
        ];
        Row { cells, below: alias.into_iter().chain(domain.notes.iter().cloned()).collect() }
    };
    let headings = ["DOMAIN", "KIND", "MAILBOXES", "ALIASES", "OTHERS", "STATE", "CATCH-ALL"];
    table(width, &headings, &domains.iter().map(row).collect::<Vec<_>>())
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

/// Prints mailboxes: one, or all of a domain. Whether each address is one is the answer.
///
/// # Errors
/// What stops a rebuild; a mailbox file that cannot be read; a standard output that is full.
pub fn user(settings: &Settings, addresses: &[std::ffi::OsString], json: bool) -> Result<bool, Error> {
    let host = read_host_only(settings)?;
    let variables = host.read_authvars();
    let before = settings.logins_target()?.0.before();
    let kept = before.file.as_ref().map(|logins| &**logins as &dyn PublishedLogins);
    let policy = Policy::new(&host, &variables, now()).keeping(kept);
    let mut is_concerned = false;
    let find = || -> io::Result<(Vec<Absence>, Denied)> {
        let homes = HomeReader::new(&host, &before, settings.threads(), None);
        let (published, published_at) = (before.cdb(), before.changed());
        let users = Users { host: &host, homes: &homes, policy: &policy, published, published_at };
        let mut out = io::BufWriter::new(io::stdout().lock());
        let mut number = 0;
        let mut print = |user: &User<'_>| -> io::Result<()> {
            number += 1;
            is_concerned |= variables.is_concerned(&join_address(user.name, user.domain));
            match (json, number) {
                (true, 1) => write!(out, "[\n{}", user_as_json(user)),
                (true, _) => write!(out, ",\n{}", user_as_json(user)),
                (false, 1) => out.write_all(user_as_text(user).as_bytes()),
                (false, _) => write!(out, "\n{}", user_as_text(user)),
            }
        };
        let mut absent = Vec::new();
        for address in addresses {
            absent.extend(users.find(address.as_bytes(), &mut print)?.err());
        }
        if json {
            out.write_all(if number == 0 { b"[]\n" } else { b"\n]\n" })?;
        }
        out.flush().map(|()| (absent, homes.denied()))
    };
    let (result, unconfined) = confine::within(&host.layout.root, &confine::directories(&host)?, find)?;
    report::say_all(unconfined.as_slice());
    if let Some(file) = variables.unusable().filter(|file| is_concerned && !file.cause.denied) {
        let path = host.layout.root.path(&file.path);
        let text =
            format!("{}: {}; logins that depend on it keep their published variables", show_path(&path), file.cause);
        report::say(Level::Alert, &text);
    }
    let (absent, mut denied) = match result {
        Ok(found) => found,
        Err(cause) => return written(Err(cause)).map(|()| true),
    };
    let mut unread = None;
    for absence in &absent {
        match absence {
            Absence::None(why) => report::say(Level::Warning, why),
            // Told of at the end.
            Absence::Unread(why) if why.denied => {}
            Absence::Unread(why) if unread.is_none() => unread = Some(Error::Temporary(why.text.clone())),
            Absence::Unread(why) => report::say(Level::Alert, &why.text),
        }
    }
    denied.extend(before.closed);
    denied.extend(host.denied());
    let closed = variables.unusable().filter(|file| is_concerned && file.cause.denied);
    denied.extend(closed.map(|file| host.layout.root.path(&file.path)));
    match (unread, denied.nothing_closed("what depends on it is unknown")) {
        (Some(error), Ok(())) => Err(error),
        (unread, denied) => {
            report::say_all(&unread.map(|error| Note::alert(error.to_string())).into_iter().collect::<Vec<_>>());
            denied.map(|()| absent.is_empty())
        }
    }
}

/// The address of a mailbox, of an alias domain with the real one.
fn user_address(user: &User<'_>) -> String {
    format!("{}@{}", Shown(user.name), Shown(user.domain))
}

fn user_as_text(user: &User<'_>) -> String {
    let words = |words: &[String]| if words.is_empty() { "none".to_owned() } else { words.join(", ") };
    let alias = user.alias_of.map(|real| format!(" (alias of {})", Shown(real)));
    let mut text = format!("{}{}\n", user_address(user), alias.unwrap_or_default());
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name}: {value}\n"));
    line("owner", format!("{}:{}", user.who.uid, user.who.gid));
    match &user.particulars {
        Some(particulars) => {
            line("comment", Shown(particulars.gecos).to_string());
            line("folder", Shown(particulars.folder).to_string());
            line("quota", Shown(particulars.quota).to_string());
        }
        None => line("record", "not as vpopmail writes it: neither comment nor folder nor quota are shown".to_owned()),
    }
    line("password", user.scheme.clone());
    line("flags", words(&user.flags));
    line("effective flags", user.effective.as_ref().map_or_else(|why| format!("unknown: {why}"), |flags| words(flags)));
    let refused =
        if user.accepted { "" } else { "; but rcpthosts does not list the domain: strangers' mail is refused" };
    line(
        "mail",
        match &user.mail {
            None => "none: vpopmail never finds that name".to_owned(),
            Some((delivery, None)) => format!("{}{refused}", delivery.verdict),
            Some((delivery, Some(step))) => format!("{}: {step}{refused}", delivery.verdict),
        },
    );
    let published = match &user.published {
        Ok(None | Some(Agreement::Same)) => String::new(),
        Ok(Some(Agreement::Changed)) => "; auth.cdb says otherwise: the host has changed since".to_owned(),
        Ok(Some(Agreement::Other)) => "; auth.cdb says otherwise".to_owned(),
        Err(cause) => format!("; auth.cdb: {cause}"),
    };
    line(
        "smtp login",
        match &user.login {
            Err(why) => format!("unknown: {why}"),
            Ok(Ok(_)) if user.never.is_some() => format!("never: {}{published}", user.never.unwrap_or_default()),
            Ok(Ok(logins)) => {
                let logins: Vec<String> = logins.iter().map(|login| Shown(login).to_string()).collect();
                format!("yes, as {}{published}", logins.join(" and "))
            }
            Ok(Err(why)) => format!("no: {why}{published}"),
        },
    );
    text
}

fn user_as_json(user: &User<'_>) -> serde_json::Value {
    let shown = |bytes: &[u8]| Shown(bytes).to_string();
    let particulars = user.particulars.as_ref();
    serde_json::json!({
        "address": user_address(user),
        "alias_of": user.alias_of.map(shown),
        "uid": user.who.uid,
        "gid": user.who.gid,
        "comment": particulars.map(|particulars| shown(particulars.gecos)),
        "folder": particulars.map(|particulars| shown(particulars.folder)),
        "quota": particulars.map(|particulars| shown(particulars.quota)),
        "password": user.scheme,
        "flags": user.flags,
        "effective_flags": user.effective.as_ref().ok(),
        "mail": user.mail.as_ref().map(|(delivery, _)| delivery.verdict.to_string()),
        "mail_by": user.mail.as_ref().and_then(|(_, step)| step.as_ref()).map(ToString::to_string),
        "accepted": user.accepted,
        "logins": user.login.as_ref().ok().map(|may| {
            let logins = may.iter().flatten().map(|login| shown(login));
            logins.collect::<Vec<_>>()
        }),
        "login_refused": user.login.as_ref().ok().and_then(|may| may.as_ref().err().map(String::as_str)).or(user.never),
        "login_unknown": user.login.as_ref().err().map(ToString::to_string),
        "published": user.published.as_ref().ok().and_then(Option::as_ref).map(|is| *is == Agreement::Same),
    })
}
