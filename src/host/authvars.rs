//! control/authvars: environment variables that a login brings into qmail-smtpd (SPEC section 2). A file of our own:
//!
//! ```text
//! # pattern            variables
//! *                    DATABYTES="20000000"
//! @big.example         DATABYTES="100000000",VALIDRCPTTO_LIMIT="50"
//! ann@big.example      PASSWORD_EXPIRES="1767225600"
//! ```

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::error::Error;
use crate::text::{Shown, leading_number, lines, lower, split_address, trim};

/// The variable whose value is the time from which a login is refused, in seconds since 1970-01-01 UTC.
pub const PASSWORD_EXPIRES: &[u8] = b"PASSWORD_EXPIRES";

/// Variables by name.
pub type Variables = BTreeMap<Vec<u8>, Vec<u8>>;

/// The variables of each pattern: `user@domain`, `@domain`, or `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthVars(HashMap<Vec<u8>, Variables>);

impl AuthVars {
    /// Parses the file. `path` is for messages.
    ///
    /// # Errors
    /// A line that is no pattern, white space and `NAME="value"` groups separated by commas; a name that one pattern
    /// gives twice; a PASSWORD_EXPIRES that is no number.
    pub fn parse(text: &[u8], path: &Path) -> Result<AuthVars, Error> {
        let mut found: HashMap<Vec<u8>, Variables> = HashMap::new();
        for (number, line) in lines(text) {
            let line = trim(line);
            if matches!(line.first(), None | Some(b'#')) {
                continue;
            }
            let malformed = |what: String| Error::malformed(path, number, what);
            let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
            let (pattern, groups) = (lower(&line[..end]), trim(&line[end..]));
            let is_pattern = pattern == b"*" || split_address(&pattern).is_some_and(|(_, domain)| !domain.is_empty());
            if !is_pattern {
                return Err(malformed(format!(
                    "\"{}\" is no pattern; write user@domain, @domain or *",
                    Shown(&pattern)
                )));
            }
            let variables = found.entry(pattern.clone()).or_default();
            for (name, value) in parse_groups(groups).map_err(malformed)? {
                if name == PASSWORD_EXPIRES && (value.is_empty() || !value.iter().all(u8::is_ascii_digit)) {
                    return Err(malformed("the value of PASSWORD_EXPIRES is no time in seconds since 1970".to_owned()));
                }
                if variables.insert(name.clone(), value).is_some() {
                    return Err(malformed(format!("\"{}\" gets {} twice", Shown(&pattern), Shown(&name))));
                }
            }
        }
        Ok(AuthVars(found))
    }

    /// Whether no login brings variables.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The variables of a login (lower case), which counts as `address` in patterns; per name the most specific pattern
    /// wins.
    pub fn of(&self, address: &[u8]) -> Variables {
        let domain = split_address(address).map(|(local, _)| &address[local.len()..]);
        let mut variables = Variables::new();
        for pattern in [Some(&b"*"[..]), domain, Some(address)].into_iter().flatten() {
            variables.extend(self.0.get(pattern).cloned().unwrap_or_default());
        }
        variables
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

    fn parse(text: &str) -> Result<AuthVars, String> {
        AuthVars::parse(text.as_bytes(), Path::new("authvars")).map_err(|error| error.to_string())
    }

    #[test]
    fn the_most_specific_pattern_wins_for_each_name() {
        let vars = parse("* A=\"1\",B=\"1\"\n# note\n@D.test B=\"2\", C=\"x,y=z\"\nJoe@d.test B=\"\"\n").unwrap();
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
            let vars = parse(&format!("* PASSWORD_EXPIRES=\"{value}\"\n")).unwrap();
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
            let said = parse(text).unwrap_err();
            assert!(said.contains(error), "{text:?}: {said}");
        }
    }
}
