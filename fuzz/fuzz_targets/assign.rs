//! users/assign, and the users/cdb that qmail-newu makes of it: both assign the same addresses. An input that begins with
//! `*` is records of a users/cdb, `key=data` a line, with `;` for NUL.

#![no_main]

use std::collections::HashMap;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use qmail_updater::host::assign::{Assignment, Assignments, Match};
use qmail_updater_fuzz::{assert_malformed, assert_printable, compile};

fuzz_target!(|input: &[u8]| {
    if let Some(script) = input.strip_prefix(b"*") {
        return read_compiled(script);
    }
    let text = input;
    let assignments = match Assignments::parse(text, Path::new("assign")) {
        Ok(assignments) => assignments,
        Err(error) => return assert_malformed(&error, text),
    };
    // The first line of a key wins, up to the line that ends the file.
    let lines: Vec<&[u8]> = text.split(|b| *b == b'\n').take_while(|line| !line.starts_with(b".")).collect();
    for (number, line) in lines.iter().enumerate() {
        let colon = line.iter().position(|b| *b == b':').expect("seven colons");
        let key = line[1..colon].to_ascii_lowercase();
        let map = if line[0] == b'+' { &assignments.wildcards } else { &assignments.exact };
        assert!(map[&key].line.is_some_and(|first| first <= number + 1));
        judge(&assignments, &key);
        judge(&assignments, &[&key[..], b"-list"].concat());
        judge(&assignments, &line.to_ascii_lowercase());
    }
    assert!(assignments.exact.len() + assignments.wildcards.len() <= lines.len());
    for (domain, assignment) in assignments.domains() {
        assert!(assignments.vpopmail_domain(domain) == Some(assignment));
    }
    let mut compiled = Assignments::parse_compiled(&newu(&assignments)).expect("what qmail-newu makes");
    assert!(compiled.compiled_only);
    let lines = |map: &HashMap<Vec<u8>, Assignment>| -> HashMap<Vec<u8>, Option<usize>> {
        map.iter().map(|(key, assignment)| (key.clone(), assignment.line)).collect()
    };
    for (map, lines) in
        [(&mut compiled.exact, lines(&assignments.exact)), (&mut compiled.wildcards, lines(&assignments.wildcards))]
    {
        map.iter_mut().for_each(|(key, assignment)| assignment.line = lines[key]);
    }
    assert!(compiled.exact == assignments.exact);
    assert!(compiled.wildcards == assignments.wildcards);
    assert_eq!(compiled.last_bytes, assignments.last_bytes);
});

/// What qmail-lspawn would find, the slow way.
fn judge(assignments: &Assignments, local: &[u8]) {
    let wildcard = || {
        let locs = (0..=local.len()).rev().map(|length| &local[..length]);
        let mut tried = locs.filter(|loc| loc.last().is_none_or(|last| assignments.last_bytes.contains(last)));
        tried.find_map(|loc| Some(Match::Wildcard(loc, assignments.wildcards.get(loc)?)))
    };
    let expected = assignments.exact.get(local).map(Match::Exact).or_else(wildcard);
    assert_eq!(assignments.find(local), expected);
}

/// users/cdb, as qmail-newu makes it.
fn newu(assignments: &Assignments) -> Vec<u8> {
    let data = |assignment: &Assignment| {
        let (uid, gid) = (assignment.who.uid.to_string(), assignment.who.gid.to_string());
        [&assignment.user[..], uid.as_bytes(), gid.as_bytes(), &assignment.home, &assignment.dash, &assignment.ext, b""]
            .join(&0)
    };
    let exact = assignments.exact.iter().map(|(key, line)| ([b"!", &key[..], b"\0"].concat(), data(line)));
    let wildcards = assignments.wildcards.iter().map(|(key, line)| ([b"!", &key[..]].concat(), data(line)));
    let last_bytes = (Vec::new(), assignments.last_bytes.iter().copied().collect());
    compile(&exact.chain(wildcards).chain([last_bytes]).collect::<Vec<_>>())
}

fn read_compiled(script: &[u8]) {
    let bytes = |text: &[u8]| text.iter().map(|b| if *b == b';' { 0 } else { *b }).collect::<Vec<u8>>();
    let cut = |line: &[u8]| {
        let at = line.iter().position(|b| *b == b'=').unwrap_or(line.len());
        (bytes(&line[..at]), bytes(line.get(at + 1..).unwrap_or_default()))
    };
    let records: Vec<_> = script.split(|b| *b == b'\n').map(cut).collect();
    match Assignments::parse_compiled(&compile(&records)) {
        Ok(assignments) => {
            assert!(records.iter().any(|(key, _)| key.is_empty()));
            assert!(assignments.exact.len() + assignments.wildcards.len() <= records.len());
            for (key, _) in &records {
                judge(&assignments, key);
                judge(&assignments, key.get(1..).unwrap_or_default());
            }
        }
        Err(corrupt) => assert_printable(&corrupt.to_string()),
    }
}
