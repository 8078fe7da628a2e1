//! QMAIL/control/validrcptto.programs: what the administrator says about programs of delivery lines (docs/rules.md, 12.4).

use std::collections::BTreeMap;
use std::path::Path;

use super::super::control::Unusable;
use crate::error::Error;
use crate::text::{Shown, our_lines, trim};

/// What a program does with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared {
    /// It delivers to the mailboxes of vpopmail, and to no other name.
    Mailboxes,
    /// It is a filter: what follows decides.
    Passes,
    /// It takes everything.
    Accepts,
    /// It bounces everything.
    Refuses,
    /// The line that names it cannot be used.
    Unusable,
}

/// What is declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declarations {
    /// By path or basename, with the line.
    programs: BTreeMap<Vec<u8>, (Declared, usize)>,
    /// What is wrong with the file; without a line that can be used for a program, what is published for it stays.
    pub unusable: Option<Unusable>,
    /// Whether nothing of the file could be read.
    is_unread: bool,
}

impl Declarations {
    /// Parses the file: `path` is for messages, `inside` the path on the host.
    pub fn parse(content: &[u8], inside: &[u8], path: &Path) -> Declarations {
        let mut found = Declarations::default();
        let mut wrong = Vec::new();
        for (number, line) in our_lines(content) {
            let line = trim(line);
            if matches!(line.first(), None | Some(b'#')) {
                continue;
            }
            let mut words = line.split(|b| b.is_ascii_whitespace()).filter(|word| !word.is_empty());
            let (name, word) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let declared = match word {
                _ if words.next().is_some() => Declared::Unusable,
                b"mailboxes" => Declared::Mailboxes,
                b"passes" => Declared::Passes,
                b"accepts" => Declared::Accepts,
                b"refuses" => Declared::Refuses,
                _ => Declared::Unusable,
            };
            let before = found.programs.get(name).copied();
            let what = match (declared, before) {
                (Declared::Unusable, _) => Some(format!(
                    "\"{}\" is no program followed by one of the words mailboxes, passes, accepts, refuses; the line is ignored, and \
                     the domains that it concerns keep their entries",
                    Shown(line)
                )),
                (declared, Some((other, first))) if declared != other => Some(format!(
                    "\"{}\" has another word on line {first}; the domains that it concerns keep their entries",
                    Shown(name)
                )),
                _ => None,
            };
            let declared = if what.is_some() { Declared::Unusable } else { declared };
            found.programs.insert(name.to_vec(), (declared, before.map_or(number, |(_, first)| first)));
            wrong.extend(what.map(|what| (number, what)));
        }
        if let [(first, what), others @ ..] = &wrong[..] {
            let others: Vec<String> = others.iter().map(|(number, _)| number.to_string()).collect();
            let what = match &others[..] {
                [] => what.clone(),
                [other] => format!("{what}; line {other} is wrong too"),
                _ => format!("{what}; lines {} are wrong too", others.join(", ")),
            };
            found.unusable = Some(Unusable::new(inside, &Error::malformed(path, *first, what)));
        }
        found
    }

    /// Those of a file that could not be read.
    pub fn unread(inside: &[u8], error: &Error) -> Declarations {
        Declarations { unusable: Some(Unusable::new(inside, error)), is_unread: true, ..Declarations::default() }
    }

    /// What is declared of a program that a line names like this, a path before a basename.
    pub fn of(&self, name: &[u8]) -> Option<Declared> {
        let basename = name.rsplit(|b| *b == b'/').next().unwrap_or_default();
        let declared = self.programs.get(name).or_else(|| self.programs.get(basename));
        declared.map(|(declared, _)| *declared).or_else(|| self.is_unread.then_some(Declared::Unusable))
    }

    /// Whether nothing is declared.
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty() && !self.is_unread
    }

    /// The declared names, each with its line.
    pub fn names(&self) -> impl Iterator<Item = (&[u8], usize)> {
        self.programs.iter().map(|(name, (_, line))| (&name[..], *line))
    }
}
