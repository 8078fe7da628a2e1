//! Bytes as people read them. Names on a mail host are bytes, not text: they are compared as bytes, lower-cased as
//! ASCII only (qmail's `case.h` knows no other letters), and shown with everything unprintable escaped, because a log
//! reader's terminal obeys escape sequences. A hash is never shown: a record of vpasswd that was broken in two makes one a name.

use std::fmt;

/// What stands behind the last break character of a name that answers for every name that begins like it: in the name of a
/// `.qmail` file and in a key of validrcptto.cdb.
pub const DEFAULT: &[u8] = b"default";

/// Shows bytes with everything outside printable ASCII as `\xHH`, and what has the shape of a hash of crypt(5) as its
/// scheme alone.
///
/// ```
/// use qmail_updater::text::Shown;
/// assert_eq!(Shown(b"joe\x1b[2J@a.test").to_string(), "joe\\x1b[2J@a.test");
/// assert_eq!(Shown(b"$6$salt$BkXNhPlzlEAJ@a.test").to_string(), "$6$...@a.test");
/// assert_eq!(Shown(b"$boss$of$it@a.test").to_string(), "$boss$of$it@a.test");
/// ```
#[derive(Clone, Copy)]
pub struct Shown<'a>(
    /// The bytes to show.
    pub &'a [u8],
);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((first, tail)) = rest.split_first() {
            if let Some((scheme, hash)) = hash_at(rest) {
                write!(f, "${}$...", Shown(scheme))?;
                rest = &rest[hash..];
            } else if !is_plain(first) {
                write!(f, "\\x{first:02x}")?;
                rest = tail;
            } else {
                let plain = 1 + tail.iter().take_while(|b| is_plain(b) && **b != b'$').count();
                let (shown, tail) = rest.split_at(plain);
                // Cannot fail because printable ASCII is UTF-8.
                f.write_str(std::str::from_utf8(shown).unwrap_or_default())?;
                rest = tail;
            }
        }
        Ok(())
    }
}

fn is_plain(byte: &u8) -> bool {
    (0x20..0x7f).contains(byte)
}

/// The shortest part of a hash that nobody may see, in bytes.
const HASH_MIN: usize = 8;

/// The scheme and the length of the hash `$scheme$salt$hash` at the beginning of these bytes (crypt(5)).
fn hash_at(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let body = bytes.strip_prefix(b"$")?;
    let end = body.iter().take(9).position(|b| *b == b'$')?;
    let (scheme, rest) = (&body[..end], &body[end + 1..]);
    let is_of_hash = |b: &&u8| b.is_ascii_alphanumeric() || b"./=+,$".contains(*b);
    let hash = &rest[..rest.iter().take_while(is_of_hash).count()];
    // Between names of a list stand commas.
    let hash = hash.strip_suffix(b",").unwrap_or(hash);
    let is_hash = !scheme.is_empty()
        && scheme.iter().all(u8::is_ascii_alphanumeric)
        && hash.split(|b| *b == b'$').skip(1).any(|part| part.len() >= HASH_MIN);
    is_hash.then_some((scheme, end + 2 + hash.len()))
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// The longest word of a message that is shown whole, in bytes: longer than any name that a mail server takes.
const MAX_WORD: usize = 300;
/// So many bytes of a longer one are shown at its beginning, and as many at its end.
const SHOWN_OF_WORD: usize = 60;

/// The text of a message in which no word is longer than a name can be; paths stay whole.
///
/// ```
/// use qmail_updater::text::shorten_words;
/// let name = |length| format!("a{}z@a.test", "b".repeat(length));
/// assert_eq!(shorten_words(format!("{} is none", name(200))), format!("{} is none", name(200)));
/// let short = format!("a{}...{}z@a.test is none", "b".repeat(59), "b".repeat(52));
/// assert_eq!(shorten_words(format!("{} is none", name(1000))), short);
/// let path = format!("/{}", name(1000));
/// assert_eq!(shorten_words(path.clone()), path);
/// ```
pub fn shorten_words(text: String) -> String {
    let is_long = |word: &&str| word.len() > MAX_WORD && !word.contains('/') && word.is_ascii();
    if !text.split(' ').any(|word| is_long(&word)) {
        return text;
    }
    let shorten = |word: &str| format!("{}...{}", &word[..SHOWN_OF_WORD], &word[word.len() - SHOWN_OF_WORD..]);
    let words = text.split(' ').map(|word| if is_long(&word) { shorten(word) } else { word.to_owned() });
    words.collect::<Vec<_>>().join(" ")
}

/// The bytes in lower case, ASCII letters only, as qmail's `case_lowerb` does it.
pub fn lower(bytes: &[u8]) -> Vec<u8> {
    bytes.to_ascii_lowercase()
}

/// An address cut at its last `@`: local part and domain, or `None` without an `@` (docs/rules.md, 3.1).
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

/// The lines of a file of our own, which an editor may begin with a UTF-8 byte order mark.
pub fn our_lines(content: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    lines(content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(content))
}

/// For each byte, whether it is one of these.
pub const fn bytes_among(bytes: &[u8]) -> [bool; 256] {
    let mut among = [false; 256];
    let mut at = 0;
    while at < bytes.len() {
        among[bytes[at] as usize] = true;
        at += 1;
    }
    among
}

/// The leading decimal digits as a number, 0 without any, wrapping as C's `scan_ulong` does.
pub fn leading_number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .fold(0u64, |n, b| n.wrapping_mul(10).wrapping_add(u64::from(b - b'0')))
}

/// A number as C's `atoi` reads it where a `long` has 64 bits: blanks, a sign, digits; what is beyond a `long` is cut to
/// its largest or smallest value, and all of it to the 32 bits of an `int`.
///
/// ```
/// use qmail_updater::text::atoi;
/// assert_eq!([atoi(b" +16x"), atoi(b"-1"), atoi(b"x1"), atoi(b"4294967296")], [16, -1, 0, 0]);
/// assert_eq!([atoi(b"99999999999999999999"), atoi(b"-99999999999999999999")], [-1, 0]);
/// ```
pub fn atoi(bytes: &[u8]) -> i32 {
    let (negative, digits, _) = signed(bytes);
    let value = digits.iter().try_fold(0i64, |number, digit| {
        let digit = i64::from(digit - b'0');
        let number = number.checked_mul(10)?;
        if negative { number.checked_sub(digit) } else { number.checked_add(digit) }
    });
    value.unwrap_or(if negative { i64::MIN } else { i64::MAX }) as i32
}

/// What C's `strtol` takes for a number, behind blanks: whether a minus stands before it, its digits, and what follows.
pub fn signed(bytes: &[u8]) -> (bool, &[u8], &[u8]) {
    let is_blank = |b: &&u8| matches!(**b, b' ' | b'\t'..=b'\r');
    let text = &bytes[bytes.iter().take_while(is_blank).count()..];
    let (negative, text) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let (digits, rest) = text.split_at(text.iter().take_while(|b| b.is_ascii_digit()).count());
    (negative, digits, rest)
}

/// A text in which the made-up word stands for every name that is not listed: it says so instead.
pub fn without_word(text: &str, word: &[u8]) -> String {
    text.replace(&String::from_utf8_lossy(word)[..], ANY_NAME)
}

/// What stands for every name that is not listed.
const ANY_NAME: &str = "(any name)";

/// `1 line`, `2 lines`, `2 mailboxes`.
pub fn count(number: usize, what: &str) -> String {
    let end = if what.ends_with('x') { "es" } else { "s" };
    format!("{number} {what}{}", if number == 1 { "" } else { end })
}

/// A time in seconds since 1970-01-01 UTC, for people.
pub fn date(seconds: u64) -> String {
    const DAY: u64 = 24 * 60 * 60;
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut days, second, mut year) = (seconds / DAY, seconds % DAY, 1970);
    loop {
        let february = 28 + u64::from(is_leap(year));
        for (month, length) in (1..).zip([31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
            if days < length {
                let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
                return format!("{year}-{month:02}-{:02} {hour:02}:{minute:02}:{second:02} UTC", days + 1);
            }
            days -= length;
        }
        year += 1;
        if year > 9999 {
            return "after the year 9999".to_owned();
        }
    }
}

/// For each so many bytes of a name one typing error is supposed,
const BYTES_PER_ERROR: usize = 5;
/// and so many at most.
const MOST_ERRORS: usize = 2;
/// A longer one is no name.
const LONGEST_NAME: usize = 255;

/// The name of a domain or of a mailbox that is nearest in spelling to this one (lower case), if one is near; of several the first.
/// One of these names is no misspelling.
pub fn nearest<'a>(typed: &[u8], names: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    let most = (typed.len() / BYTES_PER_ERROR).min(MOST_ERRORS);
    let may_be_near = |name: &&[u8]| name.len() <= LONGEST_NAME && name.len().abs_diff(typed.len()) <= most;
    let rated = names.filter(may_be_near).map(|name| (strsim::generic_damerau_levenshtein(name, typed), name));
    Some(rated.filter(|(errors, _)| *errors <= most).min().filter(|(errors, _)| *errors > 0)?.1)
}

/// Whether this is meant.
pub fn question(meant: &[u8]) -> String {
    format!("did you mean {}?", Shown(meant))
}

/// That this domain may be meant, to stand behind a message that no such domain is known; empty when none is near.
pub fn domain_question<'a>(domain: &[u8], domains: impl Iterator<Item = &'a [u8]>) -> String {
    nearest(domain, domains).map(|near| format!("; {}", question(near))).unwrap_or_default()
}

/// A domain in a message; that of an address which ends with its @ has no name.
pub fn show_domain(domain: &[u8]) -> String {
    if domain.is_empty() { "\"\"".to_owned() } else { Shown(domain).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_that_of_the_calendar() {
        for (seconds, wanted) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (68_169_599, "1972-02-28 23:59:59 UTC"),
            (68_169_600, "1972-02-29 00:00:00 UTC"),
            (951_827_696, "2000-02-29 12:34:56 UTC"),
            (4_107_542_399, "2100-02-28 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
            (253_402_300_800, "after the year 9999"),
            (u64::MAX, "after the year 9999"),
        ] {
            assert_eq!(date(seconds), wanted, "{seconds}");
        }
    }
}
