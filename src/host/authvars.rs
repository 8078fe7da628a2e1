//! control/authvars: environment variables that a login brings into qmail-smtpd (docs/rules.md, 2.3 and 2.6). A file of
//! our own:
//!
//! ```text
//! # pattern            variables
//! *                    DATABYTES="20000000"
//! @big.example         DATABYTES="100000000",VALIDRCPTTO_LIMIT="50"
//! ann@big.example      PASSWORD_EXPIRES="1767225600"
//! ```

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use super::control::Unusable;
use crate::error::Error;
use crate::text::{Shown, count, leading_number, lower, our_lines, split_address, trim};

/// The variable whose value is the time from which a login is refused, in seconds since 1970-01-01 UTC.
pub const PASSWORD_EXPIRES: &[u8] = b"PASSWORD_EXPIRES";

/// Variables by name.
pub type Variables = BTreeMap<Vec<u8>, Vec<u8>>;

/// Of the lines that cannot be used so many are named.
const MAX_NAMED: usize = 3;

/// The variables of each pattern: `user@domain`, `@domain`, or `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthVars {
    variables: HashMap<Vec<u8>, Variables>,
    /// The domains that patterns name.
    domains: HashSet<Vec<u8>>,
    unusable: Option<Unusable>,
    concerned: Concerned,
}

/// The logins whose variables are not known, because a line that concerns them cannot be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Concerned {
    /// A line may concern any login.
    all: bool,
    /// Patterns whose groups cannot be used.
    patterns: HashSet<Vec<u8>>,
    /// What stands in the place of a pattern, without a domain: a name, or a domain without its `@`.
    words: HashSet<Vec<u8>>,
}

impl Concerned {
    /// Adds what stands in the place of the pattern of a line that cannot be used.
    fn add(&mut self, pattern: &[u8]) {
        if is_pattern(pattern) {
            self.patterns.insert(pattern.to_vec());
            return;
        }
        // Only with one of these bytes it may be more than a name or a domain.
        match pattern.strip_suffix(b"@").unwrap_or(pattern) {
            word if !word.is_empty() && !word.iter().any(|b| b"@*=,\"".contains(b)) => {
                self.words.insert(word.to_vec());
            }
            _ => self.all = true,
        }
    }

    /// The most specific of the patterns of this address that a line may have which cannot be used.
    fn closest<'a>(&self, address: &'a [u8]) -> Option<&'a [u8]> {
        let (local, domain) = split_address(address).unwrap_or((address, b""));
        if self.all || self.words.contains(local) || self.words.contains(domain) {
            return Some(address);
        }
        patterns_of(address).into_iter().find(|pattern| self.patterns.contains(*pattern))
    }
}

/// The patterns that an address matches, the most specific first.
fn patterns_of(address: &[u8]) -> Vec<&[u8]> {
    let domain = split_address(address).map(|(local, _)| &address[local.len()..]);
    [Some(address), domain, Some(&b"*"[..])].into_iter().flatten().collect()
}

/// No login has one of the bytes that two patterns on one line have between them.
fn is_pattern(pattern: &[u8]) -> bool {
    let is_local = |local: &[u8]| !local.iter().any(|b| b"@,\"".contains(b));
    let is_domain = |domain: &[u8]| !domain.is_empty() && !domain.iter().any(|b| b"*=,\"".contains(b));
    pattern == b"*" || split_address(pattern).is_some_and(|(local, domain)| is_local(local) && is_domain(domain))
}

impl AuthVars {
    /// Parses the file. `inside` is its path as the host names it, `path` that for messages.
    ///
    /// A line cannot be used that is no pattern, white space and `NAME="value"` groups separated by commas; one that gives
    /// a name again to its pattern; one with a PASSWORD_EXPIRES that is no number. The logins that it concerns are
    /// [`concerned`](AuthVars::is_concerned).
    pub fn parse(text: &[u8], inside: &[u8], path: &Path) -> AuthVars {
        let mut found = AuthVars::default();
        let mut errors = Vec::new();
        for (number, line) in our_lines(text) {
            let line = trim(line);
            if matches!(line.first(), None | Some(b'#')) {
                continue;
            }
            let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
            let (pattern, groups) = (lower(&line[..end]), trim(&line[end..]));
            if let Err(what) = found.add(&pattern, groups) {
                errors.push(Error::malformed(path, number, what));
                found.concerned.add(&pattern);
                // A second address in the place of the groups.
                let unquoted = groups.split(|b| *b == b'"').next().unwrap_or_default();
                let words = unquoted.split(|b| b.is_ascii_whitespace() || *b == b',');
                words.filter(|word| word.contains(&b'@') || *word == b"*").for_each(|word| {
                    found.concerned.add(&lower(word));
                });
            }
        }
        if let Some(first) = errors.first() {
            let causes: Vec<String> = errors.iter().take(MAX_NAMED).map(Error::cause).collect();
            let mut cause = causes.join("; ");
            if let more @ 1.. = errors.len() - causes.len() {
                cause.push_str(&format!("; and {}", count(more, "more line")));
            }
            found.unusable = Some(Unusable { cause: cause.into(), ..Unusable::new(inside, first) });
        }
        found
    }

    /// A file that cannot be read: it concerns every login.
    pub fn unread(inside: &[u8], error: &Error) -> AuthVars {
        let concerned = Concerned { all: true, ..Concerned::default() };
        AuthVars { unusable: Some(Unusable::new(inside, error)), concerned, ..AuthVars::default() }
    }

    /// Adds the groups of a line to its pattern.
    fn add(&mut self, pattern: &[u8], groups: &[u8]) -> Result<(), String> {
        if !is_pattern(pattern) {
            return Err(format!("\"{}\" is no pattern; write user@domain, @domain or *", Shown(pattern)));
        }
        let before = self.variables.get(pattern);
        let mut added = Variables::new();
        for (name, value) in parse_groups(groups)? {
            if name == PASSWORD_EXPIRES && (value.is_empty() || !value.iter().all(u8::is_ascii_digit)) {
                return Err("the value of PASSWORD_EXPIRES is no time in seconds since 1970".to_owned());
            }
            if before.is_some_and(|before| before.contains_key(&name)) || added.contains_key(&name) {
                return Err(format!("\"{}\" gets {} twice", Shown(pattern), Shown(&name)));
            }
            added.insert(name, value);
        }
        self.domains.extend(split_address(pattern).map(|(_, domain)| domain.to_vec()));
        self.variables.entry(pattern.to_vec()).or_default().extend(added);
        Ok(())
    }

    /// Whether no login brings variables.
    pub fn is_empty(&self) -> bool {
        self.variables.is_empty() && self.unusable.is_none()
    }

    /// Whether the logins of this domain may bring others than those of another domain: a pattern names it, or what names it
    /// is not known.
    pub fn may_name(&self, domain: &[u8]) -> bool {
        self.unusable.is_some() || self.domains.contains(domain)
    }

    /// What is wrong with the file.
    pub fn unusable(&self) -> Option<&Unusable> {
        self.unusable.as_ref()
    }

    /// Whether a line that cannot be used concerns this login (lower case): then its variables are not known.
    pub fn is_concerned(&self, address: &[u8]) -> bool {
        self.unusable.is_some() && self.concerned.closest(address).is_some()
    }

    /// The variables of a login (lower case), which counts as `address` in patterns; per name the most specific pattern
    /// wins.
    pub fn of(&self, address: &[u8]) -> Variables {
        let mut variables = Variables::new();
        for pattern in patterns_of(address).into_iter().rev() {
            variables.extend(self.variables.get(pattern).cloned().unwrap_or_default());
        }
        variables
    }

    /// When a login that is [`concerned`](AuthVars::is_concerned) is refused in any case, in seconds since 1970-01-01 UTC:
    /// no line that cannot be used may be more specific than the one that says it.
    pub fn expires_in_any_case(&self, address: &[u8]) -> Option<u64> {
        let closest = self.concerned.closest(address)?;
        let patterns = patterns_of(address);
        let last = patterns.iter().position(|pattern| *pattern == closest)?;
        patterns[..=last].iter().find_map(|pattern| self.variables.get(*pattern).and_then(expires))
    }
}

/// When a login with these variables is refused, in seconds since 1970-01-01 UTC.
pub fn expires(variables: &Variables) -> Option<u64> {
    variables.get(PASSWORD_EXPIRES).map(|value| match value.iter().skip_while(|b| **b == b'0').count() {
        // Later than any clock goes.
        20.. => u64::MAX,
        _ => leading_number(value),
    })
}

/// A name and its value.
pub type Group = (Vec<u8>, Vec<u8>);

/// `NAME="value"` groups, separated by commas.
///
/// # Errors
/// What is wrong with them, in words.
pub fn parse_groups(text: &[u8]) -> Result<Vec<Group>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let equals =
            rest.iter().position(|b| *b == b'=').ok_or("NAME=\"value\" is missing behind the pattern or a comma")?;
        let name = trim(&rest[..equals]);
        if name.is_empty() || name.iter().any(|b| !b.is_ascii_graphic() || b"\",".contains(b)) {
            return Err(format!("\"{}\" is no variable's name", Shown(name)));
        }
        let quoted = rest[equals + 1..]
            .strip_prefix(b"\"")
            .ok_or_else(|| format!("the value of {} does not begin with a double quote", Shown(name)))?;
        let end = quoted
            .iter()
            .position(|b| *b == b'"')
            .ok_or_else(|| format!("the value of {} does not end with a double quote", Shown(name)))?;
        if quoted[..end].contains(&0) {
            return Err(format!("the value of {} holds a NUL", Shown(name)));
        }
        found.push((name.to_vec(), quoted[..end].to_vec()));
        rest = trim(&quoted[end + 1..]);
        if rest.is_empty() {
            return Ok(found);
        }
        rest = rest.strip_prefix(b",").ok_or_else(|| format!("no comma behind the value of {}", Shown(name)))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> AuthVars {
        AuthVars::parse(text.as_bytes(), b"/authvars", Path::new("authvars"))
    }

    #[test]
    fn the_most_specific_pattern_wins_for_each_name() {
        let vars = parse("* A=\"1\",B=\"1\"\n# note\n@D.test B=\"2\", C=\"x,y=z\"\nJoe@d.test B=\"\"\n");
        let shown = |address: &str| {
            let vars = vars.of(address.as_bytes()).into_iter();
            vars.map(|(name, value)| format!("{}={}", Shown(&name), Shown(&value))).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown("joe@d.test"), "A=1 B= C=x,y=z");
        assert_eq!(shown("ann@d.test"), "A=1 B=2 C=x,y=z");
        assert_eq!(shown("ann@e.test"), "A=1 B=1");
        assert_eq!(shown("ann"), "A=1 B=1");
    }

    #[test]
    fn zeros_in_front_of_a_time_do_not_put_it_off() {
        for (value, time) in [
            ("1767225600", 1_767_225_600),
            ("00000000001767225600", 1_767_225_600),
            ("000000000000000000000", 0),
            ("9999999999999999999", 9_999_999_999_999_999_999),
            ("0099999999999999999999", u64::MAX),
        ] {
            let vars = parse(&format!("* PASSWORD_EXPIRES=\"{value}\"\n"));
            assert_eq!(expires(&vars.of(b"joe@d.test")), Some(time), "{value}");
        }
    }

    #[test]
    fn malformed_lines_are_named() {
        for (text, error) in [
            ("\nann A=\"1\"\n", "line 2: \"ann\" is no pattern"),
            ("* A=\"1\n", "line 1: the value of A does not end"),
            ("* A=1\n", "line 1: the value of A does not begin"),
            ("*\n", "line 1: NAME=\"value\" is missing"),
            ("* A=\"1\",\n", "line 1: NAME=\"value\" is missing"),
            ("* A=\"1\" B=\"2\"\n", "line 1: no comma"),
            ("* A,B=\"1\"\n", "line 1: \"A,B\" is no variable's name"),
            ("* A=\"1\"\n* B=\"1\",A=\"1\"\n", "line 2: \"*\" gets A twice"),
            ("* PASSWORD_EXPIRES=\"soon\"\n", "line 1: the value of PASSWORD_EXPIRES"),
        ] {
            let said = parse(text).unusable().unwrap().cause.text.clone();
            assert!(said.starts_with(error), "{text:?}: {said}");
        }
        let many = parse("a\n* A=\"1\"\nb\nc\nd\ne\n");
        let said = &many.unusable().unwrap().cause.text;
        assert!(
            said.contains("line 1: ") && said.contains("; line 4: ") && said.ends_with("; and 2 more lines"),
            "{said}"
        );
        assert_eq!(many.of(b"joe@d.test").len(), 1, "the other lines count");
    }

    #[test]
    fn a_line_that_cannot_be_used_concerns_the_logins_that_it_may_mean() {
        for (line, concerned, others) in [
            ("ann@a.test A=1", &["ann@a.test"][..], &["bob@a.test", "ann@b.test", "ann"][..]),
            ("@A.test A=1", &["ann@a.test", "bob@a.test"], &["ann@b.test", "a.test"]),
            ("* A=1", &["ann@a.test", "ann"], &[]),
            ("ann A=\"1\"", &["ann@a.test", "ann@b.test", "ann"], &["bob@a.test"]),
            ("ann@ A=\"1\"", &["ann@a.test", "ann"], &["bob@a.test"]),
            ("a.test A=\"1\"", &["ann@a.test"], &["ann@b.test"]),
            ("@a.testA=\"1\"", &["ann@a.test", "ann@b.test"], &[]),
            ("*A=\"1\"", &["ann@a.test"], &[]),
            ("@ A=\"1\"", &["ann@a.test"], &[]),
            ("@c.test,@a.test A=\"1\"", &["ann@a.test"], &[]),
            ("ann@c.test,ann@a.test A=\"1\"", &["ann@a.test"], &[]),
            ("ann@a.test Bob@a.test A=\"1\"", &["ann@a.test", "bob@a.test"], &["cid@a.test"]),
            ("ann@a.test A=\"1\" bob@a.test=\"cid@a.test\"", &["ann@a.test"], &["cid@a.test"]),
            ("ann@a.test * A=\"1\"", &["ann@a.test", "bob@a.test"], &[]),
        ] {
            let found = parse(&format!("{line}\n@b.test B=\"2\"\n"));
            assert!(found.unusable().is_some(), "{line}");
            let concerns = |address: &&&str| found.is_concerned(address.as_bytes());
            assert_eq!(concerned.iter().filter(concerns).count(), concerned.len(), "{line}");
            assert_eq!(others.iter().filter(concerns).count(), 0, "{line}");
        }
        assert!(!parse("* A=\"1\"\n").is_concerned(b"ann@a.test"));
    }

    #[test]
    fn an_expiry_counts_when_no_line_that_cannot_be_used_may_be_more_specific() {
        let text = "* PASSWORD_EXPIRES=\"1\"\n@a.test PASSWORD_EXPIRES=\"2\"\nann@a.test PASSWORD_EXPIRES=\"3\"\n";
        for (line, ann, bob, dan) in [
            ("* A", Some(3), Some(2), Some(1)),
            ("@a.test A", Some(3), Some(2), None),
            ("bob@a.test A", None, None, None),
            ("ann@a.test PASSWORD_EXPIRES=\"9\",A", Some(3), None, None),
            ("ann A", Some(3), None, None),
            ("@a.test,@b.test A=\"1\"", Some(3), None, None),
        ] {
            let found = parse(&format!("{line}\n{text}"));
            let expiry = |address: &str| found.expires_in_any_case(address.as_bytes());
            assert_eq!([expiry("ann@a.test"), expiry("bob@a.test"), expiry("dan@b.test")], [ann, bob, dan], "{line}");
        }
    }
}
