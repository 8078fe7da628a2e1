//! The words of a server, without the password of its connection: they go to the log.

use std::collections::BTreeSet;

/// No words of a server are longer that mean anything, in bytes.
const MAX_WORDS: usize = 1 << 16;

/// Takes a password out, however it is quoted: each of its characters may be written by itself, twice, behind a backslash or
/// as its code, in any mixture.
pub fn without(words: String, password: &str) -> String {
    if password.is_empty() {
        return words;
    }
    let end = (0..=words.len().min(MAX_WORDS)).rev().find(|end| words.is_char_boundary(*end));
    let (mut shown, mut rest) = (String::new(), &words[..end.unwrap_or(0)]);
    while let Some(first) = rest.chars().next() {
        match end_of(rest.as_bytes(), password).filter(|end| rest.is_char_boundary(*end)) {
            Some(end) => {
                shown.push_str("...");
                rest = &rest[end..];
            }
            None => {
                shown.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    shown
}

/// Where the longest way ends to write the password that the words begin with.
fn end_of(words: &[u8], password: &str) -> Option<usize> {
    let mut ends = BTreeSet::from([0]);
    for character in password.chars() {
        let code = format!("\\u{{{:x}}}", u32::from(character));
        let mut next: BTreeSet<usize> = ends.iter().filter_map(|at| Some(at + written(words, *at, &code)?)).collect();
        let mut bytes = ends;
        for byte in character.encode_utf8(&mut [0; 4]).bytes() {
            bytes = bytes.iter().flat_map(|at| ways(words, *at, byte)).collect();
        }
        next.append(&mut bytes);
        ends = next;
    }
    ends.last().copied()
}

/// How long a text is that stands there, in lower or upper case.
fn written(words: &[u8], at: usize, text: &str) -> Option<usize> {
    let there = words.get(at..at + text.len())?;
    there.eq_ignore_ascii_case(text.as_bytes()).then_some(text.len())
}

/// Where each way ends to write this byte there.
fn ways(words: &[u8], at: usize, byte: u8) -> Vec<usize> {
    let is = |at: usize, byte: u8| words.get(at) == Some(&byte);
    let mut ends = Vec::new();
    ends.extend(is(at, byte).then_some(at + 1));
    if !byte.is_ascii_alphanumeric() {
        ends.extend((is(at, byte) && is(at + 1, byte)).then_some(at + 2));
        ends.extend((is(at, b'\\') && is(at + 1, byte)).then_some(at + 2));
    }
    let letter = [(b'\n', b'n'), (b'\r', b'r'), (b'\t', b't'), (0, b'0')].into_iter().find(|(of, _)| *of == byte);
    ends.extend(letter.filter(|(_, letter)| is(at, b'\\') && is(at + 1, *letter)).map(|_| at + 2));
    for code in [format!("%{byte:02x}"), format!("\\x{byte:02x}"), format!("{byte:02x}")] {
        ends.extend(written(words, at, &code).map(|length| at + length));
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_taken_out_however_it_is_quoted() {
        for (password, quoted) in [
            ("it's", vec!["it's", "it''s", r"it\'s", "it%27s", "69742773"]),
            (
                "a\"b\\c",
                vec!["a\"b\\c", "a\"\"b\\c", r#"a\"b\c"#, r#"a\"b\\c"#, "a%22b%5Cc", "a%22b%5cc", "6122625C63"],
            ),
            ("pé `x`", vec!["pé `x`", "pé ``x``", r"p\u{e9} `x`", r"p\xc3\xa9 `x`", "p%C3%A9%20%60x%60"]),
            ("tab\there", vec!["tab\there", r"tab\there", r"tab\x09here", r"tab\u{9}here"]),
            (r"end\", vec![r"end\", r"end\\"]),
            (".", vec!["."]),
            ("..", vec![".."]),
        ] {
            for quoted in quoted {
                let words = without(format!("user 'u' ({quoted}) is refused: é"), password);
                assert_eq!(words, "user 'u' (...) is refused: é", "{quoted}");
            }
        }
        assert_eq!(without("nothing".to_owned(), ""), "nothing");
        assert_eq!(without("secre secret".to_owned(), "secret"), "secre ...");
        assert_eq!(without(String::new(), "secret"), "");
    }
}
