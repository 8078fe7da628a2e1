//! control/authvars: what was understood, written out again, means the same, and per name the most specific pattern wins.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use qmail_updater::host::authvars::{AuthVars, PASSWORD_EXPIRES, Variables, expires};
use qmail_updater::text::split_address;
use qmail_updater_fuzz::assert_printable;

fn parse(text: &[u8]) -> AuthVars {
    AuthVars::parse(text, b"/authvars", Path::new("authvars"))
}

fuzz_target!(|text: &[u8]| {
    let all = parse(text);
    if let Some(unusable) = all.unusable() {
        assert!(unusable.stays && unusable.cause.text.starts_with("line "));
        return assert_printable(&unusable.cause.text);
    }
    let mut written = Vec::new();
    let mut patterns = Vec::new();
    for line in text.split(|b| *b == b'\n') {
        let pattern = line.trim_ascii().split(u8::is_ascii_whitespace).next().unwrap_or_default().to_ascii_lowercase();
        if matches!(pattern.first(), None | Some(b'#')) {
            continue;
        }
        let alone = parse(line);
        assert!(alone.unusable().is_none(), "each line alone is good too");
        let variables = alone.of(&pattern);
        let groups = variables.iter().map(|(name, value)| [name, &b"=\""[..], value, b"\""].concat());
        written.extend([&pattern[..], b" ", &groups.collect::<Vec<_>>().join(&b','), b"\n"].concat());
        patterns.push(pattern);
    }
    assert!(parse(&written) == all);
    for pattern in patterns {
        let found = all.of(&pattern);
        let domain = split_address(&pattern).map(|(local, _)| pattern[local.len()..].to_vec());
        let mut expected: Variables = all.of(b"*");
        expected.extend(domain.filter(|domain| *domain != pattern).map(|domain| all.of(&domain)).unwrap_or_default());
        // What a more specific pattern does not name, the wider ones still say.
        assert!(expected.keys().all(|name| found.contains_key(name)));
        judge(&found);
    }
});

/// The variables of one login, as they stand in auth.cdb.
fn judge(variables: &Variables) {
    for (name, value) in variables {
        assert!(!name.is_empty() && name.iter().all(|b| b.is_ascii_graphic() && !b"\",=".contains(b)));
        assert!(!value.iter().any(|b| b"\"\n\0".contains(b)));
    }
    let digits = variables.get(PASSWORD_EXPIRES).map(|value| std::str::from_utf8(value).expect("digits only"));
    // What has 20 digits is later than any clock goes.
    let time = |digits: &str| digits.parse().ok().filter(|time| *time < 10u64.pow(19)).unwrap_or(u64::MAX);
    assert_eq!(expires(variables), digits.map(time));
}
