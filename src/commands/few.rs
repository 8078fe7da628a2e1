//! Findings of which one home directory or domain can have any number: its owner makes as many as he likes. A few of each
//! kind are kept and told, and how many more there are.

use std::collections::BTreeMap;

use crate::report::{Code, Note};
use crate::text::{Shown, count};

/// How many names a finding about many names.
pub const MAX_NAMED: usize = 3;
/// So many findings of one kind are told of one home directory or domain.
const MAX_TOLD: usize = 10;

/// Such findings.
#[derive(Default)]
pub struct Few {
    told: Vec<Note>,
    /// How many there are of each kind, and the first one that is not told.
    numbers: BTreeMap<(String, Option<Code>), (usize, Option<Note>)>,
}

impl Few {
    /// One more, of this home directory or domain.
    pub fn add(&mut self, of: &str, note: Note) {
        let (number, first_more) = self.numbers.entry((of.to_owned(), note.code)).or_default();
        *number += 1;
        if *number <= MAX_TOLD {
            self.told.push(note);
        } else {
            first_more.get_or_insert(note);
        }
    }

    /// All that is told.
    pub fn notes(self) -> Vec<Note> {
        let more = self.numbers.into_iter().filter_map(|((of, code), (number, first_more))| {
            let more = first_more?;
            let word = code.unwrap_or(Code::Other).word();
            let text = format!("{of}: and {} of the kind {word}", count(number - MAX_TOLD, "more finding"));
            let (domain, place) = if of.starts_with('/') { (None, Some((of, None))) } else { (Some(of), None) };
            Some(Note { text, domain: more.domain.or(domain), place, ..more })
        });
        self.told.into_iter().chain(more).collect()
    }
}

/// The first few of these names, and how many of `number` there are beside.
pub fn first_few(names: &[impl AsRef<[u8]>], number: usize) -> String {
    let mut words: Vec<String> = names.iter().take(MAX_NAMED).map(|name| Shown(name.as_ref()).to_string()).collect();
    if number > words.len() {
        words.push(format!("and {}", count(number - words.len(), "other")));
    }
    words.join(", ")
}
