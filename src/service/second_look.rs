//! What is told only when a second look finds it again. vadddomain and vdeldomain pass through states that look broken for
//! some milliseconds: a directory that is root's or gone, a domain without mailboxes. What a rebuild finds wrong on the host
//! counts at once; the log tells of it when it still is so some seconds later.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use crate::report::Note;

/// How long after the first look the second one is made.
pub const SECOND_LOOK: Duration = Duration::from_secs(5);
/// So many findings wait for theirs at once; what is more waits until some of these have had it.
const MAX_WAITING: usize = 20_000;

/// The findings of one kind of look: of rebuilds, of rounds of actions.
#[derive(Default)]
pub struct SecondLook {
    /// When the second look at each is due.
    waiting: BTreeMap<u64, Instant>,
    told: HashSet<u64>,
    numbers: RandomState,
}

/// One look at the host.
pub struct Look {
    /// When it began.
    pub began: Instant,
    /// When it ended.
    pub ended: Instant,
    /// Whether it looked at everything: what it does not find is gone.
    pub is_whole: bool,
}

impl SecondLook {
    /// Of the findings of a look, each with what it is known by, gives those that can be told now.
    pub fn tell(&mut self, look: &Look, found: Vec<(Vec<u8>, Note)>) -> Vec<Note> {
        let (mut notes, mut now) = (Vec::new(), HashSet::new());
        for (key, note) in found {
            let number = self.numbers.hash_one(key);
            now.insert(number);
            if self.told.contains(&number) {
                notes.push(note);
            } else if self.waiting.get(&number).is_some_and(|due| *due <= look.began) {
                self.waiting.remove(&number);
                self.told.insert(number);
                notes.push(note);
            } else if self.waiting.len() < MAX_WAITING {
                self.waiting.entry(number).or_insert(look.ended + SECOND_LOOK);
            }
        }
        if look.is_whole {
            self.waiting.retain(|number, _| now.contains(number));
            self.told.retain(|number| now.contains(number));
        }
        notes
    }

    /// Whether what is known by this was told, and was found ever since.
    pub fn was_told(&self, key: &[u8]) -> bool {
        self.told.contains(&self.numbers.hash_one(key))
    }

    /// When the next second look is due.
    pub fn due(&self) -> Option<Instant> {
        self.waiting.values().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_never_told_and_what_stays_is_told_at_the_second_look() {
        let (mut second, zero) = (SecondLook::default(), Instant::now());
        let found = |names: &[&str]| -> Vec<(Vec<u8>, Note)> {
            names.iter().map(|name| (name.as_bytes().to_vec(), Note::alert((*name).to_owned()))).collect()
        };
        let mut tell = |at: u64, is_whole: bool, names: &[&str]| -> Vec<String> {
            let began = zero + Duration::from_secs(at);
            let look = Look { began, ended: began, is_whole };
            let told = second.tell(&look, found(names)).into_iter().map(|note| note.text).collect();
            assert_eq!(second.due().is_some(), !second.waiting.is_empty());
            told
        };
        assert_eq!(tell(0, true, &["stays", "passes"]), [""; 0]);
        assert_eq!(tell(4, true, &["stays"]), [""; 0], "not yet");
        assert_eq!(tell(4, true, &["stays", "passes"]), [""; 0]);
        assert_eq!(tell(5, true, &["stays", "passes"]), ["stays"], "the other one has begun again");
        // Where it was not looked, nothing is known to be gone.
        assert_eq!(tell(6, false, &[]), [""; 0]);
        assert_eq!(tell(9, true, &["stays", "passes"]), ["stays", "passes"]);
        assert_eq!(tell(10, true, &[]), [""; 0]);
        assert_eq!(tell(20, true, &["stays"]), [""; 0], "it was gone meanwhile");
    }
}
