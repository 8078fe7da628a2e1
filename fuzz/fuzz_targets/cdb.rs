//! Reading a cdb: one that is whole gives back what was written; a damaged one neither panics nor gives more than it
//! holds.
//!
//! The input is a script, because no fuzzer finds its way through 2048 bytes of pointers: `%%` cuts it into the records,
//! `key=data` a line, and into damages, `position byte...` with a position of two bytes; a damage of fewer than three
//! bytes cuts the file off there. An input that begins with `*` is a cdb as it is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use qmail_updater::cdb::{Corrupt, HEADER, Reader, image};
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

type Record = (Vec<u8>, Vec<u8>);

fn script(input: &[u8]) -> (Vec<Record>, Vec<&[u8]>) {
    let mut sections = sections(input).into_iter();
    let lines = sections.next().unwrap_or_default().split(|b| *b == b'\n').filter(|line| !line.is_empty());
    let cut = |line: &[u8]| match line.iter().position(|b| *b == b'=') {
        Some(at) => (line[..at].to_vec(), line[at + 1..].to_vec()),
        None => (line.to_vec(), Vec::new()),
    };
    (lines.map(cut).collect(), sections.collect())
}

/// What was written is found, in the file of our writer and in that of the second hand alike.
fn read_whole(file: &[u8], records: &[Record]) {
    let written = image(records.iter().map(|(key, data)| (&key[..], &data[..]))).expect("a temporary file");
    assert!(written == file, "two hands write two files");
    let cdb = Reader::new(file).expect("long enough");
    assert_eq!(cdb.check(), Ok(()));
    assert!(cdb.records().eq(records.iter().map(|(key, data)| qmail_updater::cdb::Record { key, data })));
    for (key, _) in records {
        let first = records.iter().find(|(other, _)| other == key).map(|(_, data)| &data[..]);
        assert_eq!(cdb.find(key), first);
        let other = [key, &b"\n"[..]].concat();
        assert_eq!(cdb.find(&other), None);
    }
}

fn read_anything(file: &[u8], keys: &[&[u8]]) {
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
    match cdb.check() {
        Ok(()) => assert!(cdb.records().all(|record| cdb.find(record.key).is_some())),
        Err(corrupt) => assert_printable(&corrupt.to_string()),
    }
    for key in keys.iter().copied().chain([&b""[..], b"joe", b"@x.test"]) {
        assert!(cdb.find(key).is_none_or(inside));
    }
}
