//! The words of a command: quotes, backslashes, `~` and the variables that qmail-local sets, after POSIX 2.2 and 2.6.

use crate::text::bytes_among;

/// A part of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(Vec<u8>),
    /// A variable that qmail-local sets, and whether it stands in double quotes.
    Variable(Vec<u8>, bool),
}

/// One word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word(pub Vec<Piece>);

/// The variables that qmail-local sets (qmail-command(8)).
const VARIABLES: [&[u8]; 18] = [
    b"SENDER",
    b"NEWSENDER",
    b"RECIPIENT",
    b"USER",
    b"HOME",
    b"HOST",
    b"HOST2",
    b"HOST3",
    b"HOST4",
    b"LOCAL",
    b"EXT",
    b"EXT2",
    b"EXT3",
    b"EXT4",
    b"DEFAULT",
    b"DTLINE",
    b"RPLINE",
    b"UFLINE",
];
/// What the shell makes more of than itself, or some shells do, outside of quotes.
const SPECIAL: [bool; 256] = bytes_among(b"*?[]{}`~();&|<>\n");

/// What the shell makes several words or names of files of, in a value that is not quoted.
const SPLIT: [bool; 256] = bytes_among(b" \t\n*?[\\");

/// A byte of a name.
pub fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

impl Word {
    /// The word as it stands; `None` when it holds a variable.
    pub fn literal(&self) -> Option<Vec<u8>> {
        self.0
            .iter()
            .map(|piece| if let Piece::Text(text) = piece { Some(&text[..]) } else { None })
            .collect::<Option<Vec<_>>>()
            .map(|texts| texts.concat())
    }

    /// Whether it is one word whatever its variables hold.
    pub fn is_one(&self) -> bool {
        !self.0.iter().any(|piece| matches!(piece, Piece::Variable(_, false)))
    }

    /// The word without its first bytes, which are text.
    pub fn without_start(&self, length: usize) -> Word {
        let mut word = self.clone();
        if let Some(Piece::Text(text)) = word.0.first_mut() {
            text.drain(..length.min(text.len()));
        }
        word.0.retain(|piece| *piece != Piece::Text(Vec::new()));
        word
    }

    /// Whether it is the extension and an `@`, followed by anything.
    pub fn is_ext_at(&self) -> bool {
        let pieces: Vec<&Piece> = self.0.iter().filter(|piece| **piece != Piece::Text(Vec::new())).collect();
        matches!(pieces[..], [Piece::Variable(name, _), Piece::Text(text), ..] if name == b"EXT" && text.starts_with(b"@"))
    }

    /// `$EXT@$HOST`.
    pub fn ext_at_host() -> Word {
        let variable = |name: &[u8]| Piece::Variable(name.to_vec(), true);
        Word(vec![variable(b"EXT"), Piece::Text(b"@".to_vec()), variable(b"HOST")])
    }

    /// What it comes to with these values; `None` when one is not known, or could become several words or names of files.
    pub fn expanded(&self, value_of: &dyn Fn(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        let mut expanded = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => expanded.extend_from_slice(text),
                Piece::Variable(name, is_quoted) => {
                    let value = value_of(name)?;
                    if !is_quoted && value.iter().any(|b| SPLIT[usize::from(*b)]) {
                        return None;
                    }
                    expanded.extend(value);
                }
            }
        }
        Some(expanded)
    }

    fn add(&mut self, byte: u8) {
        match self.0.last_mut() {
            Some(Piece::Text(text)) => text.push(byte),
            _ => self.0.push(Piece::Text(vec![byte])),
        }
    }

    /// Reads a word as it is written; `home_of` has the home directory of an account, and for no name that of the one who
    /// runs it. `None` when it cannot be known what it is.
    pub fn read(written: &[u8], home_of: &dyn Fn(&[u8]) -> Option<Vec<u8>>) -> Option<Word> {
        // Alone they are no pattern.
        if matches!(written, b"[" | b"]") {
            return Some(Word(vec![Piece::Text(written.to_vec())]));
        }
        let mut word = Word(vec![Piece::Text(Vec::new())]);
        let mut at = 0;
        if written.first() == Some(&b'~') {
            let end = written.iter().position(|b| *b == b'/').unwrap_or(written.len());
            let name = &written[1..end];
            if !name.iter().all(|b| is_name_byte(*b) || matches!(b, b'-' | b'.')) || name.first() == Some(&b'-') {
                return None;
            }
            let home = home_of(name)?;
            word.0 = vec![Piece::Text(home)];
            at = end;
        }
        let mut in_double = false;
        while let Some(byte) = written.get(at).copied() {
            at += 1;
            match byte {
                b'"' => in_double = !in_double,
                b'\'' if !in_double => {
                    let length = written[at..].iter().position(|b| *b == b'\'')?;
                    written[at..at + length].iter().for_each(|b| word.add(*b));
                    at += length + 1;
                }
                b'\\' => {
                    let next = *written.get(at)?;
                    if in_double && !matches!(next, b'$' | b'`' | b'"' | b'\\') {
                        word.add(b'\\');
                    } else {
                        word.add(next);
                        at += 1;
                    }
                }
                b'$' => {
                    let in_braces = written.get(at) == Some(&b'{');
                    let start = at + usize::from(in_braces);
                    let end = written[start..]
                        .iter()
                        .position(|b| !is_name_byte(*b))
                        .map_or(written.len(), |length| start + length);
                    let name = &written[start..end];
                    if !VARIABLES.contains(&name) || (in_braces && written.get(end) != Some(&b'}')) {
                        return None;
                    }
                    word.0.push(Piece::Variable(name.to_vec(), in_double));
                    at = end + usize::from(in_braces);
                }
                b'`' => return None,
                byte if !in_double && SPECIAL[usize::from(byte)] => return None,
                byte => word.add(byte),
            }
        }
        (!in_double).then_some(word)
    }
}
