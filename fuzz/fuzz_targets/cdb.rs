//! Reading a cdb: one that is whole gives back what was written; a damaged one neither panics nor gives more than it
//! holds.
//!
//! The input is a script, because no fuzzer finds its way through 2048 bytes of pointers: `%%` cuts it into the records,
//! `key=data` a line, and into damages, `position byte...` with a position of two bytes; a damage of fewer than three
//! bytes cuts the file off there. An input that begins with `*` is a cdb as it is.

#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use qmail_updater::cdb::{Corrupt, FileReader, HEADER, Indexed, Reader, Record, image, tables_within};
use qmail_updater_fuzz::{assert_printable, compile, sections};

fuzz_target!(|input: &[u8]| {
    if let Some(image) = input.strip_prefix(b"*") {
        return read_anything(image, &[]);
    }
    let (records, damages) = script(input);
    let mut file = compile(&records);
    if damages.is_empty() {
        read_whole(&file, &records);
    }
    for damage in damages {
        match damage {
            [high, low, bytes @ ..] if !bytes.is_empty() => {
                let at = usize::from(u16::from_be_bytes([*high, *low])) % file.len().max(1);
                for (old, new) in file[at..].iter_mut().zip(bytes) {
                    *old = *new;
                }
            }
            [high, low] => file.truncate(usize::from(u16::from_be_bytes([*high, *low]))),
            _ => {}
        }
    }
    let keys: Vec<&[u8]> = records.iter().map(|(key, _)| &key[..]).collect();
    read_anything(&file, &keys);
});

type Pair = (Vec<u8>, Vec<u8>);

fn script(input: &[u8]) -> (Vec<Pair>, Vec<&[u8]>) {
    let mut sections = sections(input).into_iter();
    let lines = sections.next().unwrap_or_default().split(|b| *b == b'\n').filter(|line| !line.is_empty());
    let cut = |line: &[u8]| match line.iter().position(|b| *b == b'=') {
        Some(at) => (line[..at].to_vec(), line[at + 1..].to_vec()),
        None => (line.to_vec(), Vec::new()),
    };
    (lines.map(cut).collect(), sections.collect())
}

/// What was written is found, in the file of our writer and in that of the second hand alike.
fn read_whole(file: &[u8], records: &[Pair]) {
    let written = image(records.iter().map(|(key, data)| (&key[..], &data[..]))).expect("a temporary file");
    assert!(written == file, "two hands write two files");
    let cdb = Reader::new(file).expect("long enough");
    assert_eq!(cdb.check(), Ok(()));
    assert!(cdb.records().eq(records.iter().map(|(key, data)| Record { key, data })));
    let indexed = Indexed::new(file.to_vec()).expect("it is whole");
    for (key, _) in records {
        let first = records.iter().find(|(other, _)| other == key).map(|(_, data)| &data[..]);
        assert_eq!((cdb.find(key), indexed.find(key)), (first, first));
        let other = [key, &b"\n"[..]].concat();
        assert_eq!((cdb.find(&other), indexed.find(&other)), (None, None));
    }
}

/// Read where it lies, a file says what it says in memory.
fn read_in_pieces(image: &[u8], keys: &[&[u8]]) {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(image).expect("it is small");
    let (cdb, file) = match (Reader::new(image), FileReader::new(&file)) {
        (Ok(cdb), Ok(file)) => (cdb, file),
        (Err(corrupt), Err(cause)) => return assert_eq!(cause.to_string(), corrupt.to_string()),
        (cdb, file) => panic!("{cdb:?}, {file:?}"),
    };
    let mut records = file.records().expect("it can be read");
    let mut size = HEADER;
    for record in cdb.records() {
        assert_eq!(records.current(), Some(record));
        size += 8 + record.key.len() + record.data.len();
        records.advance().expect("it can be read");
    }
    assert_eq!(records.current(), None);
    let end = tables_within(image, image.len()).map(|tables| tables.start);
    let damage = end.map_or_else(Some, |end| (size < end).then_some(Corrupt::Record));
    assert_eq!(records.damage(), damage);
    for key in keys.iter().copied().chain(cdb.records().map(|record| record.key).take(8)) {
        assert_eq!(file.find(key).as_deref(), cdb.find(key));
    }
}

fn read_anything(file: &[u8], keys: &[&[u8]]) {
    read_in_pieces(file, keys);
    let cdb = match Reader::new(file) {
        Ok(cdb) => cdb,
        Err(corrupt) => {
            assert_eq!((corrupt, file.len() < HEADER), (Corrupt::TooShort, true));
            return;
        }
    };
    let range = file.as_ptr_range();
    let inside = |bytes: &[u8]| bytes.is_empty() || (range.contains(&bytes.as_ptr()) && bytes.len() <= file.len());
    let mut size = HEADER;
    for record in cdb.records() {
        assert!(inside(record.key) && inside(record.data));
        size += 8 + record.key.len() + record.data.len();
        assert!(size <= file.len(), "more records than the file has room for");
    }
    let indexed = Indexed::new(file.to_vec());
    assert_eq!(indexed.as_ref().err(), cdb.check_all_found().as_ref().err());
    // Found through its own tables is the very record that was written.
    let found = |record: Record<'_>| cdb.find(record.key).is_some_and(|data| data.as_ptr() == record.data.as_ptr());
    match &indexed {
        Ok(indexed) => {
            assert_eq!(indexed.sorted().len(), cdb.records().count());
            for record in cdb.records() {
                let first = cdb.records().find(|other| other.key == record.key).map(|first| first.data);
                assert_eq!(indexed.find(record.key), first);
                assert!(cdb.find(record.key).is_some());
            }
            for key in keys.iter().filter(|key| indexed.find(key).is_none()) {
                assert_eq!(cdb.find(key), None);
            }
        }
        Err(Corrupt::Lost) if cdb.records().all(found) => {
            assert!(more_slots_than_records(file), "all is found, and lost all the same")
        }
        Err(corrupt) => assert_printable(&corrupt.to_string()),
    }
    for key in keys.iter().copied().chain([&b""[..], b"joe", b"@x.test"]) {
        assert!(cdb.find(key).is_none_or(inside));
    }
}

/// Whether slots are in use that lead to no record of their own.
fn more_slots_than_records(file: &[u8]) -> bool {
    let number = |at: usize| u32::from_le_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]) as usize;
    let slots = (number(0)..file.len()).step_by(8).filter(|slot| number(slot + 4) != 0).count();
    slots > Reader::new(file).expect("long enough").records().count()
}
