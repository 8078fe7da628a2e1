//! `list`: what a rebuild would write.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde_json::{Value, json};

use crate::args::{Format, Table};
use crate::commands::answers::written;
use crate::commands::compare::{Sorted, word};
use crate::commands::few::first_few;
use crate::commands::screen::{Field, Form, Row, Screen, Tone, VERSION, table, wrapped};
use crate::error::{Error, show_path};
use crate::protect::hold;
use crate::rebuild::{behind, build};
use crate::report::{self, Level, Note};
use crate::settings::Settings;
use crate::tables::smtpd::Says;
use crate::text::{Shown, count};

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
    let held = hold::held_before(settings)?;
    report::say_all(&behind(&built.host, &held));
    report::say_all(kept_beside(&held).as_slice());
    built.denied.nothing_closed("what a rebuild writes is unknown")?;
    match (format, screen.form) {
        (Format::Text, Form::Json) => screen.print(&as_json(&sorted, what)),
        (Format::Text, Form::Terminal(width)) => screen.print(&for_terminal(settings, &sorted, what, width)),
        (Format::Text, Form::Pipe) => {
            let mut out = screen.out();
            written(print_lines(&mut out, &sorted, what).and_then(|()| out.flush()))
        }
        (Format::Cdbmake | Format::PasswdFile, _) => {
            let mut out = screen.raw();
            written(print_as(&mut out, &sorted, what, format).and_then(|()| out.flush()))
        }
    }
}

/// That a rebuild keeps more of the held domains than is listed.
fn kept_beside(held: &BTreeSet<Vec<u8>>) -> Option<Note> {
    let names: Vec<&Vec<u8>> = held.iter().filter(|domain| !domain.is_empty()).collect();
    (!names.is_empty()).then(|| {
        Note::warning(format!(
            "the loss guard holds {}: a rebuild keeps their published entries, too; rebuild --dry-run shows these as held",
            first_few(&names, names.len())
        ))
    })
}

fn as_json(sorted: &Sorted, what: Table) -> String {
    let shown = |key: &Vec<u8>| Shown(key).to_string();
    let (name, entries): (_, Vec<Value>) = match what {
        Table::Recipients => {
            let says = sorted.recipients.iter().map(|(key, data)| (key, Says::of(data)));
            let entry = |(key, says): (_, Says)| json!({ "key": shown(key), "accepts": says.accepts(), "by": says.to_string() });
            ("recipients", says.map(entry).collect())
        }
        Table::Logins => ("logins", sorted.logins.keys().map(|key| json!({ "key": shown(key) })).collect()),
    };
    format!("{:#}\n", json!({ "version": VERSION, "table": name, "entries": entries }))
}

fn print_lines(out: &mut impl Write, sorted: &Sorted, what: Table) -> io::Result<()> {
    match what {
        Table::Recipients => sorted.recipients.iter().try_for_each(|(key, data)| {
            let says = Says::of(data);
            writeln!(out, "{}\t{}\t{says}", word(says.accepts()), Shown(key))
        }),
        Table::Logins => sorted.logins.keys().try_for_each(|key| writeln!(out, "{}", Shown(key))),
    }
}

/// How many entries there are, then each below headings.
fn for_terminal(settings: &Settings, sorted: &Sorted, what: Table, width: usize) -> String {
    let row = |cells: Vec<Field>| Row { cells, below: Vec::new() };
    let (file, entries, headings, rows): (_, _, &[&str], Vec<Row>) = match what {
        Table::Recipients => {
            let all: Vec<(&Vec<u8>, Says)> =
                sorted.recipients.iter().map(|(key, data)| (key, Says::of(data))).collect();
            let accepting = all.iter().filter(|(_, says)| says.accepts()).count();
            let refusing = all.len() - accepting;
            let entries = format!("{} ({accepting} accept, {refusing} refuse)", entries(all.len()));
            let each = |(key, says): (&Vec<u8>, Says)| {
                let tone = if says.accepts() { Tone::Good } else { Tone::Bad };
                let answer = Field::word(word(says.accepts()), tone);
                row(vec![answer, Field::text(Shown(key).to_string()), Field::text(says.to_string())])
            };
            (&settings.validrcptto, entries, &["ANSWER", "KEY", "BY"], all.into_iter().map(each).collect())
        }
        Table::Logins => {
            let each = |key: &Vec<u8>| row(vec![Field::text(Shown(key).to_string())]);
            (&settings.auth, count(sorted.logins.len(), "login"), &["LOGIN"], sorted.logins.keys().map(each).collect())
        }
    };
    let file = settings.layout.root.path(file);
    let head = wrapped(&format!("A rebuild would write {entries} into {}.", show_path(&file)), width, 0, 2);
    if rows.is_empty() { head } else { format!("{head}\n{}", table(width, headings, &rows)) }
}

fn entries(number: usize) -> String {
    if number == 1 { "1 entry".to_owned() } else { format!("{number} entries") }
}

fn print_as(out: &mut impl Write, sorted: &Sorted, what: Table, format: Format) -> io::Result<()> {
    let recipients = sorted.recipients.iter().map(|(key, data)| (&key[..], *data));
    let logins = sorted.logins.iter().map(|(key, data)| (&key[..], &data[..]));
    match (what, format) {
        (Table::Recipients, _) => print_cdbmake(out, recipients),
        (Table::Logins, Format::PasswdFile) => print_passwd_file(out, logins),
        (Table::Logins, _) => print_cdbmake(out, logins),
    }
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
