//! What the fuzz targets share: how an input is cut into several, what may be printed, and a cdb made in memory.

pub mod front_ends;

use qmail_updater::cdb::{HEADER, hash};
use qmail_updater::error::Error;
use qmail_updater::report::Note;

/// Cuts an input at each line `%%`, so that one input can hold several files and stays readable.
pub fn sections(input: &[u8]) -> Vec<&[u8]> {
    const CUT: &[u8] = b"\n%%\n";
    let mut found = Vec::new();
    let mut rest = input;
    while let Some(at) = rest.windows(CUT.len()).position(|window| window == CUT) {
        found.push(&rest[..at]);
        rest = &rest[at + CUT.len()..];
    }
    found.push(rest);
    found
}

/// What a log reader's terminal sees holds printable ASCII only.
#[track_caller]
pub fn assert_printable(text: &str) {
    assert!(text.bytes().all(|b| (0x20..0x7f).contains(&b)), "not printable: {text:?}");
}

/// A parser of `input` refused it: a malformed file, in printable words that are not much longer than it.
#[track_caller]
pub fn assert_malformed(error: &Error, input: &[u8]) {
    assert_eq!(error.exit_code(), 100);
    let text = error.to_string();
    assert_printable(&text);
    // Every byte is shown as four at most, and a name may be shown three times.
    assert!(text.len() <= 300 + 12 * input.len(), "{} bytes of message", text.len());
}

/// Notes are printable, and no more than one a line of the input.
#[track_caller]
pub fn assert_notes(notes: &[Note], input: &[u8]) {
    assert!(notes.len() <= 1 + input.iter().filter(|b| matches!(b, b'\n' | 0)).count());
    notes.iter().for_each(|note| assert_printable(&note.text));
}

/// A cdb as cdbmake makes it, by a second hand.
pub fn compile(records: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let number = |n: usize| u32::try_from(n).expect("inputs are small").to_le_bytes();
    let mut image = vec![0; HEADER];
    let mut tables: Vec<Vec<(u32, usize)>> = vec![Vec::new(); 256];
    for (key, data) in records {
        tables[hash(key) as usize % 256].push((hash(key), image.len()));
        image.extend(number(key.len()).into_iter().chain(number(data.len())));
        image.extend(key.iter().chain(data));
    }
    for (which, entries) in tables.iter().enumerate() {
        let mut slots = vec![(0, 0); entries.len() * 2];
        for (hash, position) in entries {
            let mut slot = (*hash as usize >> 8) % slots.len();
            while slots[slot].1 != 0 {
                slot = (slot + 1) % slots.len();
            }
            slots[slot] = (*hash, *position);
        }
        let pointer: Vec<u8> = number(image.len()).into_iter().chain(number(slots.len())).collect();
        image[which * 8..][..8].copy_from_slice(&pointer);
        image.extend(slots.into_iter().flat_map(|(hash, position)| [hash.to_le_bytes(), number(position)]).flatten());
    }
    image
}
