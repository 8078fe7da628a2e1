//! The findings of `check`: each with a code that stays, its place, and what fixes it; and the administrator's list of those
//! that are accepted.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::commands::screen::{Form, Tone, wrapped};
use crate::error::{Error, show_path};
use crate::host::Host;
use crate::report::{Code, Level, Note};
use crate::settings::Settings;
use crate::text::{Shown, count, our_lines, trim};

/// One finding.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What it is about.
    pub code: Code,
    /// How serious it is, and its text.
    pub note: Note,
    /// The file that it names first, and the line in it.
    place: Option<(String, Option<usize>)>,
    /// The domain that it concerns, when it is one.
    domain: Option<String>,
}

impl Finding {
    /// A finding; where it says no place, its text begins with the file and the line, if it has any.
    pub fn new(note: Note) -> Finding {
        let code = note.code.unwrap_or(Code::Other);
        let of_text = || {
            let (file, rest) = note.text.strip_prefix('/')?.split_once(": ")?;
            let line = rest.strip_prefix("line ").and_then(|rest| rest.split(':').next()?.parse().ok());
            Some((format!("/{file}"), line))
        };
        let place = note.place.clone().or_else(of_text);
        let domain = note.domain.clone();
        Finding { code, note, place, domain }
    }

    /// The same, with the domain whose home directory it names.
    #[must_use]
    pub fn of_host(mut self, host: &Host) -> Finding {
        if let (None, Some((file, _))) = (&self.domain, &self.place) {
            let is_of = |home: &[u8]| {
                let home = host.layout.root.path(home);
                let home = show_path(&home).to_string();
                file.strip_prefix(&home[..]).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            let its =
                host.assignments.domains().filter(|(name, line)| host.is_vpopmail_like(name) && is_of(&line.home));
            let real = its.map(|(name, _)| host.assignments.alias_of(name).unwrap_or(name)).min();
            self.domain = real.map(|name| Shown(name).to_string());
        }
        self
    }

    /// Whether it needs attention.
    fn counts(&self) -> bool {
        self.note.level >= Level::Warning
    }

    fn is_alert(&self) -> bool {
        self.note.level >= Level::Alert
    }

    /// The worst first: by the level, then what concerns the whole host before a single file, as the codes are listed.
    fn urgency(&self) -> (Reverse<Level>, Code) {
        (Reverse(self.note.level), self.code)
    }

    /// What fixes it, with its domain in place of `DOMAIN`.
    fn fix(&self) -> String {
        self.code.fix().replace("DOMAIN", self.domain.as_deref().unwrap_or("DOMAIN"))
    }

    fn as_json(&self, is_accepted: bool) -> Value {
        json!({
            "level": self.note.level.to_string(),
            "text": self.note.text,
            "code": self.code.word(),
            "file": self.place.as_ref().map(|(file, _)| file),
            "line": self.place.as_ref().and_then(|(_, line)| *line),
            "domain": self.domain,
            "fix": self.fix(),
            "accepted": is_accepted,
        })
    }

    fn for_terminal(&self, width: usize, is_accepted: bool) -> String {
        let level = self.note.level.to_string().to_uppercase();
        let tone = match self.note.level {
            Level::Status => Tone::Good,
            Level::Warning => Tone::Caution,
            Level::Alert | Level::Fatal => Tone::Bad,
        };
        let accepted = if is_accepted { " (accepted)" } else { "" };
        let lines = wrapped(&format!("{level:<9}{}{accepted}", self.note.text), width, 0, 9);
        let painted = lines.replacen(&level, &tone.paint(&level), 1);
        let object = self.object().map(|object| format!(" {object}")).unwrap_or_default();
        format!("{painted}{}", wrapped(&format!("[{}{object}]  fix: {}", self.code.word(), self.fix()), width, 9, 9))
    }

    /// What a line of the list of accepted findings calls it by: its domain, else its file.
    fn object(&self) -> Option<&str> {
        self.domain.as_deref().or(self.place.as_ref().map(|(file, _)| &file[..]))
    }
}

/// The findings that an administrator accepts.
#[derive(Debug, Default)]
pub struct Accepted(BTreeSet<(String, String)>);

impl Accepted {
    /// Reads the list: a code, blanks, and a domain or a file on each line, `#` begins a comment. A line that cannot be used
    /// is a finding itself.
    ///
    /// # Errors
    /// A file that cannot be read, and one that is not there when it was `named`.
    pub fn read(settings: &Settings, file: &[u8], named: bool) -> Result<(Accepted, Vec<Finding>), Error> {
        let path = settings.layout.root.path(file);
        let content = match settings.layout.root.read(file).map_err(|cause| Error::io("read", &path, cause))? {
            None if named => {
                return Err(Error::Usage(format!("--accepted {}: no such file", show_path(&path))));
            }
            content => content.unwrap_or_default(),
        };
        let (mut accepted, mut findings) = (Accepted::default(), Vec::new());
        for (number, line) in our_lines(&content) {
            let line = trim(line);
            if matches!(line.first(), None | Some(b'#')) {
                continue;
            }
            let mut words = line.split(|b| b.is_ascii_whitespace()).filter(|word| !word.is_empty());
            let (code, object, more) = (words.next().unwrap_or_default(), words.next(), words.next());
            let is_code = Code::ALL.iter().any(|known| known.word().as_bytes() == code);
            match (object, more) {
                // Some findings are of the whole host: their code is enough.
                (object, None) if is_code => {
                    let object = Shown(object.unwrap_or_default()).to_string().to_ascii_lowercase();
                    accepted.0.insert((Shown(code).to_string(), object));
                }
                _ => {
                    let note = Note::warning(format!(
                        "{}: line {number}: \"{}\" is not a code of check and a domain or file; no finding is accepted by it",
                        show_path(&path),
                        Shown(line)
                    ));
                    findings.push(Finding::new(note.of(Code::AcceptedFile)));
                }
            }
        }
        Ok((accepted, findings))
    }

    fn has(&self, finding: &Finding) -> bool {
        let places = finding.place.iter().flat_map(|(file, line)| {
            let with_line = line.map(|line| format!("{file}:{line}"));
            std::iter::once(file.clone()).chain(with_line)
        });
        let of_host = Some(String::new()).filter(|_| finding.object().is_none());
        let mut objects = finding.domain.iter().cloned().chain(places).chain(of_host);
        objects.any(|object| self.0.contains(&(finding.code.word().to_owned(), object.to_ascii_lowercase())))
    }
}

/// Which findings are shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shows {
    /// Accepted ones too.
    pub all: bool,
    /// Alerts alone.
    pub quiet: bool,
}

/// The findings, and which of them are accepted.
pub struct Findings(Vec<(Finding, bool)>);

impl Findings {
    /// These, some of them accepted.
    pub fn new(findings: Vec<Finding>, accepted: &Accepted) -> Findings {
        Findings(
            findings
                .into_iter()
                .map(|finding| {
                    let is = accepted.has(&finding);
                    (finding, is)
                })
                .collect(),
        )
    }

    fn number(&self, level: Level) -> usize {
        self.0.iter().filter(|(finding, is_accepted)| !is_accepted && finding.note.level == level).count()
    }

    /// How many alerts, warnings and accepted findings there are.
    fn numbers(&self) -> (usize, usize, usize) {
        (self.number(Level::Alert), self.number(Level::Warning), self.accepted())
    }

    /// How many warnings there are, when nothing else sets the exit status.
    pub fn only_warnings(&self) -> usize {
        match self.numbers() {
            (0, warnings, _) => warnings,
            _ => 0,
        }
    }

    fn accepted(&self) -> usize {
        self.0.iter().filter(|(_, is_accepted)| *is_accepted).count()
    }

    /// Whether none needs attention.
    pub fn is_fine(&self) -> bool {
        self.0.iter().all(|(finding, is_accepted)| *is_accepted || !finding.counts())
    }

    /// As they are printed; `is_unknown` is whether not everything could be looked at.
    pub fn text(&self, form: Form, shows: Shows, is_unknown: bool) -> String {
        let is_shown = |finding: &&(Finding, bool)| (shows.all || !finding.1) && (!shows.quiet || finding.0.is_alert());
        let mut shown: Vec<&(Finding, bool)> = self.0.iter().filter(is_shown).collect();
        match form {
            Form::Json => {
                let all: Vec<Value> =
                    shown.iter().map(|(finding, is_accepted)| finding.as_json(*is_accepted)).collect();
                format!("{:#}\n", Value::from(all))
            }
            Form::Pipe => {
                let line = |(finding, _): &&(Finding, bool)| {
                    format!("{}: {}\t{}\n", finding.note.level, finding.note.text, finding.code.word())
                };
                shown.iter().map(line).collect()
            }
            Form::Terminal(_) if shows.quiet && shown.is_empty() => String::new(),
            Form::Terminal(width) => {
                let (alerts, warnings, accepted) = self.numbers();
                let (word, tone) = match (alerts, warnings) {
                    (0, _) if is_unknown => ("UNKNOWN", Tone::Caution),
                    (0, 0) => ("OK", Tone::Good),
                    (0, _) => ("WARNING", Tone::Caution),
                    _ => ("ALERT", Tone::Bad),
                };
                let hidden = match accepted {
                    0 => String::new(),
                    _ if shows.all => String::new(),
                    number => format!(" ({} hidden: --all)", count(number, "accepted finding")),
                };
                let but = if is_unknown { "not everything could be looked at: " } else { "" };
                let head = format!("{but}{}, {}{hidden}", count(alerts, "alert"), count(warnings, "warning"));
                let each = |(finding, is_accepted): &&(Finding, bool)| {
                    format!("\n{}", finding.for_terminal(width, *is_accepted))
                };
                shown.sort_by_key(|(finding, _)| finding.urgency());
                format!("{}  {head}\n{}", tone.paint(word), shown.iter().map(each).collect::<String>())
            }
        }
    }

    /// One line for Nagios with performance data, and its exit status; `unknown` is why not everything could be looked at.
    pub fn nagios(&self, unknown: Option<&Error>) -> (String, u8) {
        let (alerts, warnings, accepted) = self.numbers();
        let (word, status) = match (alerts, warnings, unknown) {
            (1.., ..) => ("CRITICAL", 2),
            (_, _, Some(_)) => ("UNKNOWN", NAGIOS_UNKNOWN),
            (0, 1.., _) => ("WARNING", 1),
            (0, 0, None) => ("OK", 0),
        };
        let counted = self.0.iter().filter(|(finding, is_accepted)| !is_accepted && finding.counts());
        let first = counted.min_by_key(|(finding, _)| finding.urgency());
        let why = match (unknown, first) {
            (Some(error), _) if status == NAGIOS_UNKNOWN => format!("; {error}"),
            (_, Some((finding, _))) => format!("; {}", finding.note.text),
            _ => String::new(),
        };
        // Nagios takes what follows a bar for performance data.
        let text = format!("{}, {}{why}", count(alerts, "alert"), count(warnings, "warning")).replace('|', "/");
        (format!("{word} - {text} | alerts={alerts} warnings={warnings} accepted={accepted}\n"), status)
    }
}

/// The exit status by which Nagios knows that nothing is known.
pub const NAGIOS_UNKNOWN: u8 = 3;

/// The line for Nagios when nothing could be looked at.
pub fn nagios_unknown(error: &Error) -> String {
    format!("UNKNOWN - {}\n", Shown(error.to_string().as_bytes()).to_string().replace('|', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_file_and_line_that_a_text_begins_with() {
        let place = |text: &str| Finding::new(Note::warning(text)).place;
        assert_eq!(place("/a/b: line 7: wrong"), Some(("/a/b".to_owned(), Some(7))));
        assert_eq!(place("/a/b: wrong"), Some(("/a/b".to_owned(), None)));
        assert_eq!(place("logins a and b differ"), None);
    }
}
