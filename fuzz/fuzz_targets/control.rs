//! The control files. The sections are locals, virtualdomains, rcpthosts, morercpthosts, a list of recipients, and
//! addresses that are asked.

#![no_main]

use std::collections::HashMap;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use qmail_updater::host::control::{
    Control, Names, RelayList, first_line, names, parse_morercpthosts, parse_virtual_domains,
};
use qmail_updater_fuzz::{assert_malformed, assert_notes, sections};

fuzz_target!(|input: &[u8]| {
    let mut sections = sections(input).into_iter();
    let mut next = || sections.next().unwrap_or_default();
    let (locals, virtual_domains, rcpthosts, morercpthosts, list, addresses) =
        (next(), next(), next(), next(), next(), next());
    let mut notes = Vec::new();
    let mut control = Control::default();
    control.locals = read_names(locals);
    control.virtual_domains = parse_virtual_domains(virtual_domains, Path::new("virtualdomains"), &mut notes);
    control.rcpthosts = (rcpthosts != b"-").then(|| read_names(rcpthosts));
    control.morercpthosts = parse_morercpthosts(morercpthosts);
    control.envnoathost = first_line(locals);
    assert_notes(&notes, virtual_domains);
    judge_names(&control.morercpthosts, morercpthosts);
    judge_virtual_domains(&control, virtual_domains);
    assert!(!control.envnoathost.contains(&b'\n') && !control.envnoathost.ends_with(b" "));
    for address in addresses.split(|b| *b == b'\n') {
        ask(&control, &address.to_ascii_lowercase());
    }
    read_list(list);
});

fn read_names(content: &[u8]) -> Names {
    let found = names(content);
    judge_names(&found, content);
    assert!(found.keys().all(|name| !name.contains(&0)));
    // Written out again, they mean the same; what stood behind a NUL may look like a comment or an empty line then.
    let again: Vec<&[u8]> = found
        .keys()
        .map(|name| &name[..])
        .filter(|name| !matches!(trim_end(name).first(), None | Some(b'#')))
        .collect();
    let read = names(&again.join(&b'\n'));
    assert!(again.iter().all(|name| read.contains_key(trim_end(name))));
    found
}

fn judge_names(found: &Names, content: &[u8]) {
    let lines: Vec<&[u8]> = content.split(|b| *b == b'\n').collect();
    for (name, line) in found {
        let line = lines[line.expect("it stands on a line") - 1].to_ascii_lowercase();
        assert!(line.windows(name.len().max(1)).any(|window| window == name) || name.is_empty());
        assert!(!matches!(line.first(), None | Some(b'#')));
    }
}

fn trim_end(line: &[u8]) -> &[u8] {
    let blanks = line.iter().rev().take_while(|b| b" \t".contains(b)).count();
    &line[..line.len() - blanks]
}

/// Of equal keys the last line.
fn judge_virtual_domains(control: &Control, content: &[u8]) {
    let mut expected = HashMap::new();
    for (index, line) in content.split(|b| *b == b'\n').enumerate() {
        let line = trim_end(line);
        if matches!(line.first(), None | Some(b'#' | 0)) {
            continue;
        }
        for entry in line.to_ascii_lowercase().split(|b| *b == 0) {
            let mut halves = entry.splitn(2, |b| *b == b':');
            if let (Some(key), Some(prepend)) = (halves.next(), halves.next()) {
                expected.insert(key.to_vec(), (prepend.to_vec(), index + 1));
            }
        }
    }
    let found = control.virtual_domains.iter().map(|(key, says)| (key.clone(), (says.prepend.clone(), says.line)));
    assert_eq!(found.collect::<HashMap<_, _>>(), expected);
}

/// What the control files say about one address, the slow way.
fn ask(control: &Control, address: &[u8]) {
    let found = control.virtual_domain(address).map(|(key, _)| key);
    let Some(at) = address.iter().rposition(|b| *b == b'@') else { return assert_eq!(found, None) };
    let domain = &address[at + 1..];
    let mut suffixes: Vec<&[u8]> = (0..domain.len()).map(|at| &domain[at..]).collect();
    suffixes.retain(|suffix| suffix.len() == domain.len() || suffix.starts_with(b"."));
    let mut keys = [address, domain].into_iter().chain(suffixes.iter().copied()).chain([&b""[..]]);
    assert_eq!(found, keys.find(|key| control.virtual_domains.contains_key(*key)));
    let named = |name: &&[u8]| {
        control.rcpthosts.as_ref().is_none_or(|names| names.contains_key(*name))
            || control.morercpthosts.contains_key(*name)
    };
    assert_eq!(control.accepts(domain), control.rcpthosts.is_none() || suffixes.iter().any(named));
    if let Some(prefix) = control.prefix(domain) {
        assert!(prefix.is_empty() == control.locals.contains_key(domain) && prefix != b"-");
    }
}

/// What was understood, written out again, means the same.
fn read_list(content: &[u8]) {
    const DOMAIN: &[u8] = b"relay.example";
    let list = match RelayList::parse(content, DOMAIN, Path::new("list")) {
        Ok(list) => list,
        Err(error) => return assert_malformed(&error, content),
    };
    let mut written = if list.others.is_some() { b"@\n".to_vec() } else { Vec::new() };
    for (name, (accepted, line)) in &list.names {
        assert_eq!(list.find(name), (*accepted, Some(*line)));
        assert!(!name.is_empty() && !name.iter().any(|b| b.is_ascii_uppercase() || b.is_ascii_whitespace()));
        written.extend([if *accepted { &b""[..] } else { b"!" }, name, b"@", DOMAIN, b"\n"].concat());
    }
    assert_eq!(list.find(b""), (list.others.is_some(), list.others));
    let again = RelayList::parse(&written, DOMAIN, Path::new("list")).expect("what we write");
    let plain = |list: &RelayList| -> HashMap<Vec<u8>, bool> {
        list.names.iter().map(|(name, (accepted, _))| (name.clone(), *accepted)).collect()
    };
    assert_eq!((plain(&list), list.others.is_some()), (plain(&again), again.others.is_some()));
}
