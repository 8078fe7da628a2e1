//! Bytes as people read them. Names on a mail host are bytes, not text: they are compared as bytes, lower-cased as
//! ASCII only (qmail's `case.h` knows no other letters), and shown with everything unprintable escaped, because a log
//! reader's terminal obeys escape sequences.

use std::fmt;

/// Shows bytes with everything outside printable ASCII as `\xHH`.
///
/// ```
/// use qmail_updater::text::Shown;
/// assert_eq!(Shown(b"joe\x1b[2J@a.test").to_string(), "joe\\x1b[2J@a.test");
/// ```
#[derive(Clone, Copy)]
pub struct Shown<'a>(
    /// The bytes to show.
    pub &'a [u8],
);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while !rest.is_empty() {
            let plain = rest.iter().take_while(|b| (0x20..0x7f).contains(*b)).count();
            let (shown, tail) = rest.split_at(plain);
            // Cannot fail because printable ASCII is UTF-8.
            f.write_str(std::str::from_utf8(shown).unwrap_or_default())?;
            rest = tail;
            if let Some((odd, tail)) = rest.split_first() {
                write!(f, "\\x{odd:02x}")?;
                rest = tail;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// The bytes in lower case, ASCII letters only, as qmail's `case_lowerb` does it.
pub fn lower(bytes: &[u8]) -> Vec<u8> {
    bytes.to_ascii_lowercase()
}

/// An address cut at its last `@`: local part and domain, or `None` without an `@` (SPEC section 3).
pub fn split_address(address: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = address.iter().rposition(|b| *b == b'@')?;
    Some((&address[..at], &address[at + 1..]))
}

/// `local@domain`.
pub fn join_address(local: &[u8], domain: &[u8]) -> Vec<u8> {
    [local, b"@", domain].concat()
}

/// The line without the blanks (spaces and tabs) at its end.
pub fn trim_end(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|b| !matches!(b, b' ' | b'\t')).map_or(0, |last| last + 1);
    &line[..end]
}

/// The line without the blanks (spaces, tabs, CR) at both its ends, for files of our own, where none is meant.
pub fn trim(line: &[u8]) -> &[u8] {
    line.trim_ascii()
}

/// The lines of a file with their numbers from 1, newlines removed; nothing stands after the last newline.
pub fn lines(content: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let body = content.strip_suffix(b"\n").unwrap_or(content);
    let count = if content.is_empty() { 0 } else { usize::MAX };
    body.split(|b| *b == b'\n').enumerate().map(|(index, line)| (index + 1, line)).take(count)
}

/// The leading decimal digits as a number, 0 without any, wrapping as C's `scan_ulong` does.
pub fn leading_number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .fold(0u64, |n, b| n.wrapping_mul(10).wrapping_add(u64::from(b - b'0')))
}
/// `1 line`, `2 lines`, `2 mailboxes`.
pub fn count(number: usize, what: &str) -> String {
    let end = if what.ends_with('x') { "es" } else { "s" };
    format!("{number} {what}{}", if number == 1 { "" } else { end })
}
