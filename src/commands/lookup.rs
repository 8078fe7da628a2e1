//! `lookup`: what the published recipient table says of an address; for people also whether qmail-smtpd asks it.

use std::io::{self, BufRead, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;

use crate::cdb;
use crate::commands::answers::written;
use crate::commands::compare::word;
use crate::commands::screen::{Field, Form, Row, Screen, Tone, VERSION, table};
use crate::commands::{check, hints};
use crate::decide::{Delivery, Verdict};
use crate::error::Error;
use crate::host::Layout;
use crate::host::control::{self, Accepted};
use crate::report::{self, Level};
use crate::settings::Settings;
use crate::tables::smtpd;
use crate::text::{Shown, lower, split_address};

/// What is said of an answer that is what the configuration asks for.
pub(crate) const AS_IT_SHOULD_BE: &str = "as it should be";

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
    screen.print(&as_text(settings, screen.form, &found))?;
    Ok(all)
}

fn as_text(settings: &Settings, form: Form, found: &[(Vec<u8>, smtpd::Answer)]) -> String {
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
            let Layout { root, qmail, .. } = &settings.layout;
            // The answer is that of the table, which a list that cannot be read does not change.
            let listed = control::read_accepted(root, qmail).ok();
            let row = |(address, answer): &(Vec<u8>, smtpd::Answer)| {
                let tone = if answer.accepted() { Tone::Good } else { Tone::Bad };
                let cells = vec![
                    Field::word(word(answer.accepted()), tone),
                    Field::text(Shown(address).to_string()),
                    Field::text(key(answer).unwrap_or_else(|| "-".to_owned())),
                    Field::text(answer.says.to_string()),
                ];
                Row { cells, below: hint(address, answer, listed.as_ref()).into_iter().collect() }
            };
            table(width, &["ANSWER", "ADDRESS", "KEY", "BY"], &found.iter().map(row).collect::<Vec<_>>())
        }
    }
}

/// Why qmail-smtpd does not ask the table about an address, and which one may be meant.
fn hint(address: &[u8], answer: &smtpd::Answer, listed: Option<&Accepted>) -> Option<String> {
    let domain = split_address(address).map(|(_, domain)| lower(domain));
    let refusing = domain.zip(listed).filter(|(domain, listed)| !listed.lets_through(domain));
    let Some((domain, listed)) = refusing else {
        return hints::meant(address).filter(|_| !answer.accepted()).map(|meant| hints::question(&meant));
    };
    let reason = hints::not_listed(address, &domain);
    Some(match answer.accepted() {
        true => reason + ": qmail-smtpd refuses strangers' mail for it",
        false => hints::with_nearest(&reason, address, listed.listed()),
    })
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
    /// Whether it is damaged: qmail-smtpd refuses what it does not find in it.
    pub(crate) is_damaged: bool,
}

impl Published {
    pub(crate) fn open(settings: &Settings) -> Result<Published, Error> {
        let target = settings.recipients_target()?.0;
        let image = target.open().and_then(|published| published.read()).map_err(|cause| {
            let is_missing = cause.kind() == io::ErrorKind::NotFound;
            let error = Error::io("read", &target.name, cause);
            if is_missing { error.then("a qmail-smtpd that asks it answers 421 to every client") } else { error }
        })?;
        let damage = check::damage(&target.name, &image);
        damage.iter().for_each(|damage| report::say(damage.level, &damage.text));
        Ok(Published { image, break_byte: settings.layout.break_byte, is_damaged: damage.is_some() })
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
            _ if self.is_damaged => "the table is damaged; a rebuild recreates it",
            _ if delivery.doubt.is_some() => "the published answer is kept while the source above cannot be read",
            (true, false) => "but should be refused; rebuild --dry-run shows whether a rebuild changes it",
            (false, true) => "but should be accepted; rebuild --dry-run shows whether a rebuild changes it",
            _ => AS_IT_SHOULD_BE,
        };
        format!("{answered}, {by}: {agrees}")
    }
}
