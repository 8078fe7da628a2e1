//! Tables of any records, written in each of the ways that we have: readers that others wrote find what was written.

mod support;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use qmail_updater::cdb::{Chunk, Edit, HEADER, Places, Writer, hash, image};
use support::witness;

type Record = (Vec<u8>, Vec<u8>);

/// Some words that have one hash with another one of them.
fn alike() -> Vec<Vec<u8>> {
    let letters = || (b'a'..=b'z').chain(b'0'..=b'9');
    let words = letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| vec![a, b, c])));
    let mut by_hash: HashMap<u32, Vec<Vec<u8>>> = HashMap::new();
    words.for_each(|word| by_hash.entry(hash(&word)).or_default().push(word));
    let mut words: Vec<Vec<u8>> = by_hash.into_values().filter(|words| words.len() > 1).flatten().collect();
    words.sort();
    words.truncate(40);
    assert_eq!(words.len(), 40);
    words
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let key = prop_oneof![
        4 => "[a-c]{0,3}@[a-c]\\.test".prop_map(String::into_bytes),
        2 => proptest::sample::select(alike()),
        2 => vec(any::<u8>(), 0..4),
        1 => vec(any::<u8>(), 0..300),
    ];
    let data = prop_oneof![4 => Just(Vec::new()), 2 => vec(any::<u8>(), 0..8), 1 => vec(any::<u8>(), 0..9_000)];
    vec((key, data), 0..40)
}

fn chunk(records: &[Record]) -> Chunk {
    let mut chunk = Chunk::default();
    records.iter().for_each(|(key, data)| chunk.add(&[key], &[data]));
    chunk
}

/// A table at this path, for which this is done.
fn written(path: &Path, write: impl FnOnce(&mut Writer)) -> Places {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path).unwrap();
    let mut writer = Writer::new(file).unwrap();
    write(&mut writer);
    writer.finish().unwrap()
}

/// What the other readers find at this path are these records.
fn holds(path: &Path, records: &[Record]) {
    assert_eq!(witness::agrees(path), records.len());
    let expected = image(records.iter().map(|(key, data)| (&key[..], &data[..]))).unwrap();
    assert!(fs::read(path).unwrap() == expected, "the same records, other bytes");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn other_readers_find_what_was_written_in_pieces_and_what_was_edited(
        (old, new) in (records(), records()),
        cuts in vec((0..40usize, 0..40usize), 0..4),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        let places = written(&first, |writer| old.chunks(7).for_each(|some| writer.add(&chunk(some)).unwrap()));
        holds(&first, &old);
        // Ranges of the old records, in order, each with some of the new ones in its place.
        let mut cuts: Vec<usize> = cuts.iter().flat_map(|(a, b)| [a, b]).map(|cut| *cut.min(&old.len())).collect();
        cuts.sort_unstable();
        let all = chunk(&old);
        let position = |number: usize| u32::try_from(HEADER + all.offset(number)).unwrap();
        let share = new.len().div_ceil((cuts.len() / 2).max(1)).max(1);
        let added: Vec<&[Record]> = new.chunks(share).chain([&[][..]; 4]).take(cuts.len() / 2).collect();
        let chunks: Vec<Chunk> = added.iter().map(|records| chunk(records)).collect();
        let (mut edits, mut expected, mut from) = (Vec::new(), Vec::new(), 0);
        for ((cut, records), added) in cuts.chunks(2).zip(&chunks).zip(&added) {
            expected.extend_from_slice(&old[from..cut[0]]);
            expected.extend_from_slice(added);
            from = cut[1];
            edits.push(Edit { range: position(cut[0])..position(cut[1]), records });
        }
        expected.extend_from_slice(&old[from..]);
        let file = File::open(&first).unwrap();
        written(&second, |writer| writer.add_edited(&file, places, &edits).unwrap());
        holds(&second, &expected);
    }
}
