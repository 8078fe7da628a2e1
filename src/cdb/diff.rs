//! Which records of two cdb files are only in one of them, found in one pass through both. Where they agree, that costs a
//! comparison; what is at another place in the other file waits until it is met there, as two hashes.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io;

use crate::cdb::{Record, Records};

/// How a new cdb differs from an old one. A record is a key with its data.
#[derive(Debug, Default)]
pub struct Difference {
    /// How many records are only in the new one.
    pub came: u64,
    /// How many records are only in the old one.
    pub went: u64,
    /// How many of these left their key behind, with other data.
    pub changed: u64,
    /// Whether neither is damaged; what is behind a damage counts as missing.
    pub whole: bool,
    seed: RandomState,
    /// What only the old one has: the hash of the data by that of the key.
    gone: HashMap<u64, u64>,
    /// The hashes of the other keys of which a record went.
    kept: HashSet<u64>,
}

/// One of the two.
struct Side<'f> {
    records: Records<'f>,
    /// The hashes of the current record, once somebody asked for them.
    hashes: Option<(u64, u64)>,
    /// What was not met in the other yet: the hash of the data by that of the key.
    waiting: HashMap<u64, u64>,
    /// How many records have the key of one that waits.
    repeated: u64,
}

impl<'f> Side<'f> {
    fn new(records: Records<'f>) -> Side<'f> {
        Side { records, hashes: None, waiting: HashMap::new(), repeated: 0 }
    }

    fn current(&self) -> Option<Record<'_>> {
        self.records.current()
    }

    fn advance(&mut self) -> io::Result<()> {
        self.hashes = None;
        self.records.advance()
    }

    /// The hashes of the current record's key and data.
    fn hashes(&mut self, seed: &RandomState) -> Option<(u64, u64)> {
        if self.hashes.is_none() {
            self.hashes = self.current().map(|record| (seed.hash_one(record.key), seed.hash_one(record.data)));
        }
        self.hashes
    }

    /// Lets the current record wait. The hash of a key that waits already is the answer.
    fn wait(&mut self, seed: &RandomState) -> io::Result<Option<u64>> {
        let Some((key, data)) = self.hashes(seed) else { return Ok(None) };
        self.advance()?;
        let again = self.waiting.insert(key, data).is_some();
        self.repeated += u64::from(again);
        Ok(again.then_some(key))
    }

    fn is_whole(&self) -> bool {
        self.records.damage().is_none()
    }
}

impl Difference {
    /// So many records came and went; which ones, nobody asks.
    pub fn counted(came: u64, went: u64) -> Difference {
        Difference { came, went, whole: true, ..Difference::default() }
    }

    /// Compares a new cdb, in which no key repeats, with the old one. Where a key repeats in that, more
    /// records may count than came and went, never fewer.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn between(new: Records<'_>, old: Records<'_>) -> io::Result<Difference> {
        let mut found = Difference::default();
        let (mut new, mut old) = (Side::new(new), Side::new(old));
        loop {
            let (of_new, of_old) = (new.current(), old.current());
            if of_new.is_none() && of_old.is_none() {
                break;
            }
            if of_new == of_old {
                new.advance()?;
                old.advance()?;
            } else if let (Some(of_new), Some(of_old)) = (of_new, of_old)
                && of_new.key == of_old.key
            {
                let key = found.seed.hash_one(of_old.key);
                found.kept.insert(key);
                found.changed += 1;
                new.advance()?;
                old.advance()?;
            // Only one side goes on when what it shows was waited for: so they come to the same place again.
            } else if !found.meet(&mut new, &mut old)? && !found.meet(&mut old, &mut new)? {
                new.wait(&found.seed)?;
                let again = old.wait(&found.seed)?;
                found.kept.extend(again);
            }
        }
        found.whole = new.is_whole() && old.is_whole();
        let alone = |side: &Side<'_>| side.waiting.len() as u64 + side.repeated + found.changed;
        (found.came, found.went) = (alone(&new), alone(&old));
        found.gone = old.waiting;
        Ok(found)
    }

    /// Whether one side's current record was waited for; then it is passed.
    fn meet(&mut self, side: &mut Side<'_>, other: &mut Side<'_>) -> io::Result<bool> {
        let Some((key, data)) = side.hashes(&self.seed) else { return Ok(false) };
        let Some(waited) = other.waiting.remove(&key) else { return Ok(false) };
        if waited != data {
            self.kept.insert(key);
            self.changed += 1;
        }
        side.advance()?;
        Ok(true)
    }

    /// How many of the old keys are not in the new one.
    pub fn gone(&self) -> u64 {
        self.went - self.changed
    }

    /// Whether a record with this key may have gone; when not, it did not.
    pub fn may_have_gone(&self, key: &[u8]) -> bool {
        let key = self.seed.hash_one(key);
        !self.whole || self.gone.contains_key(&key) || self.kept.contains(&key)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::File;
    use std::io::Write;

    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;
    use crate::cdb::{FileReader, image};

    type Pair = (Vec<u8>, Vec<u8>);

    fn file(image: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(image).unwrap();
        file
    }

    fn file_of(records: &[Pair]) -> File {
        file(&image(records.iter().map(|(key, data)| (&key[..], &data[..]))).unwrap())
    }

    fn between(new: &File, old: &File) -> Difference {
        let records = |file| FileReader::new(file).unwrap().records().unwrap();
        Difference::between(records(new), records(old)).unwrap()
    }

    /// What is found in both, one record at a time.
    fn assert_right(new: &[Pair], old: &[Pair]) {
        let found = between(&file_of(new), &file_of(old));
        let table = |records: &[Pair]| records.iter().cloned().collect::<BTreeMap<_, _>>();
        let (new_table, old_table) = (table(new), table(old));
        let missing = |from: &[Pair], other: &BTreeMap<_, _>| {
            from.iter().filter(|(key, data)| other.get(key) != Some(data)).cloned().collect::<Vec<_>>()
        };
        let (came, went) = (missing(new, &old_table), missing(old, &new_table));
        let gone = went.iter().filter(|(key, _)| !new_table.contains_key(key)).count();
        let counts = (came.len() as u64, went.len() as u64, gone as u64, true);
        assert_eq!((found.came, found.went, found.gone(), found.whole), counts, "{new:?} {old:?}");
        for (key, _) in old {
            assert_eq!(found.may_have_gone(key), went.iter().any(|(other, _)| other == key), "{key:?}");
        }
    }

    /// Tables with some of the same keys and data, in any order.
    fn tables() -> impl Strategy<Value = (Vec<Pair>, Vec<Pair>)> {
        let table = || btree_map(vec(b'a'..b'e', 0..3), vec(b'0'..b'2', 0..2), 0..20);
        let ordered = |table: BTreeMap<_, _>| Just(table.into_iter().collect::<Vec<Pair>>());
        let table = move || table().prop_flat_map(ordered);
        (table(), prop_oneof![table(), table().prop_shuffle()])
    }

    proptest! {
        #[test]
        fn what_came_and_went_is_what_a_look_at_each_record_says((new, old) in tables()) {
            assert_right(&new, &old);
        }

        #[test]
        fn a_few_changes_are_found_in_a_long_table(
            changes in vec((0..300_usize, 0..4_u8), 0..6),
            places in vec((0..300_usize, 0..300_usize), 0..3),
        ) {
            let old: Vec<Pair> = (0..300).map(|number| (format!("user{number}@a.test").into(), b"1".into())).collect();
            let mut new = old.clone();
            for (at, how) in changes {
                let at = at % new.len();
                match how {
                    0 => drop(new.remove(at)),
                    1 => new[at].1 = b"2".into(),
                    _ => new.insert(at, (format!("new{}@a.test", new.len() * 4 + usize::from(how)).into(), b"1".into())),
                }
            }
            for (a, b) in places {
                let (a, b) = (a % new.len(), b % new.len());
                new.swap(a, b);
            }
            let unique: BTreeMap<_, _> = new.iter().cloned().collect();
            prop_assume!(unique.len() == new.len());
            assert_right(&new, &old);
        }
    }

    #[test]
    fn nothing_that_went_is_missed_when_a_key_repeats_in_the_old_one() {
        let pair = |key: &str, data: &str| (key.as_bytes().to_vec(), data.as_bytes().to_vec());
        let new = [pair("x", ""), pair("a", "-")];
        for old in [
            [pair("a", ""), pair("a", "-"), pair("y", "")],
            [pair("a", "-"), pair("a", ""), pair("y", "")],
            [pair("y", ""), pair("a", "-"), pair("a", "")],
        ] {
            let found = between(&file_of(&new), &file_of(&old));
            assert!(found.may_have_gone(b"a") && found.may_have_gone(b"y"), "{old:?}");
            assert!(found.came >= 1 && found.went >= 2, "{found:?}");
        }
    }

    #[test]
    fn a_damaged_old_one_may_have_lost_anything() {
        let records: Vec<Pair> = (0..9_u8).map(|number| (vec![number], vec![])).collect();
        let new = file_of(&records);
        let mut old = image(records.iter().map(|(key, data)| (&key[..], &data[..]))).unwrap();
        old[2048 + 9 * 3..][..8].fill(0xff);
        let found = between(&new, &file(&old));
        assert_eq!((found.came, found.went, found.whole), (6, 0, false));
        assert!(found.may_have_gone(&[0]) && found.may_have_gone(&[8]));
    }
}
