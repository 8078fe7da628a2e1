//! When two texts are equal for the `=` of a column (docs/rules.md, 10.4). Names are looked up in lower case and in ASCII, so
//! what a row is found by is one text: its key.

use std::borrow::Cow;

/// How a column compares, as far as that decides about ASCII texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collation {
    /// Upper and lower case are equal.
    pub folds: bool,
    /// Blanks at the end do not count.
    pub pads: bool,
    /// `I` is no upper case of `i`.
    pub has_dotless_i: bool,
    /// Different letters that are equal: in each pair the second one counts as the first.
    pub alike: Vec<(u8, u8)>,
}

/// More pairs than this no collation has.
const MAX_ALIKE: usize = 8;
/// Of one name at most so many spellings count.
const MAX_SPELLINGS: usize = 1 << 12;

impl Collation {
    /// What rows of this text are found by.
    pub fn key<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let end = text.iter().rposition(|b| *b != b' ').map_or(0, |last| last + 1);
        let text = if self.pads { &text[..end] } else { text };
        // Nearly all names: all bytes are looked at, which is faster than to stop at one.
        let has_upper = self.folds && text.iter().fold(false, |has, b| has | b.is_ascii_uppercase());
        if !has_upper && self.alike.is_empty() {
            return Cow::Borrowed(text);
        }
        let is_folded = |b: u8| self.folds && b.is_ascii_uppercase() && !(self.has_dotless_i && b == b'I');
        let key = |b: &u8| {
            let folded = if is_folded(*b) { b.to_ascii_lowercase() } else { *b };
            self.alike.iter().find(|(_, second)| *second == folded).map_or(folded, |(first, _)| *first)
        };
        Cow::Owned(text.iter().map(key).collect())
    }

    /// Every text that is equal to this key, which is the first of them; of very many, so many.
    pub fn spellings(&self, key: &[u8]) -> Vec<Vec<u8>> {
        let mut spellings = vec![key.to_vec()];
        for at in (0..key.len()).filter(|_| !self.alike.is_empty()) {
            for (_, second) in self.alike.iter().filter(|(first, _)| *first == key[at]) {
                let spelled = spellings.clone().into_iter().map(|mut text| {
                    text[at] = *second;
                    text
                });
                let room = MAX_SPELLINGS.saturating_sub(spellings.len());
                spellings.extend(spelled.take(room));
            }
        }
        spellings
    }

    /// As a field of the stream.
    pub(super) fn to_field(&self) -> Vec<u8> {
        let flags = u8::from(self.folds) | u8::from(self.pads) << 1 | u8::from(self.has_dotless_i) << 2;
        let letters = self.alike.iter().flat_map(|(first, second)| [*first, *second]);
        std::iter::once(flags).chain(letters).collect()
    }

    /// A field of the stream; `None` when it is none.
    pub(super) fn of_field(field: &[u8]) -> Option<Collation> {
        let (flags, letters) = field.split_first()?;
        let (pairs, rest) = letters.as_chunks::<2>();
        let is_one = *flags < 8 && rest.is_empty() && pairs.len() <= MAX_ALIKE;
        // A pair of one letter, or of letters that are the first ones of others, would make equal texts of different keys.
        let is_sound = |[first, second]: &[u8; 2]| first != second && !pairs.iter().any(|[_, other]| other == first);
        (is_one && pairs.iter().all(is_sound)).then(|| Collation {
            folds: flags & 1 != 0,
            pads: flags & 2 != 0,
            has_dotless_i: flags & 4 != 0,
            alike: pairs.iter().map(|[first, second]| (*first, *second)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_a_column_calls_equal_have_one_key() {
        let ci = Collation { folds: true, pads: true, ..Collation::default() };
        let (bytes, bin) = (Collation::default(), Collation { pads: true, ..Collation::default() });
        let turkish = Collation { has_dotless_i: true, ..ci.clone() };
        let lithuanian = Collation { alike: vec![(b'i', b'y')], ..ci.clone() };
        let roman = Collation { alike: vec![(b'i', b'j'), (b'u', b'v')], ..ci.clone() };
        for (collation, text, key) in [
            (&ci, "Joe  ", "joe"),
            (&ci, " Joe", " joe"),
            (&ci, "  ", ""),
            (&ci, "jos\u{e9}", "jos\u{e9}"),
            (&bytes, "Joe ", "Joe "),
            (&bin, "Joe ", "Joe"),
            (&turkish, "IvY", "Ivy"),
            (&lithuanian, "Yvonne", "ivonne"),
            (&roman, "JVLIVS", "iulius"),
        ] {
            assert_eq!(collation.key(text.as_bytes()), key.as_bytes(), "{text:?} {collation:?}");
            assert_eq!(collation.key(key.as_bytes()), key.as_bytes(), "{key:?} {collation:?}");
            assert_eq!(Collation::of_field(&collation.to_field()).as_ref(), Some(collation));
        }
        let spelled = |collation: &Collation, key: &str| {
            let spellings = collation.spellings(key.as_bytes());
            spellings.iter().map(|text| String::from_utf8_lossy(text)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(spelled(&ci, "joe"), "joe");
        assert_eq!(spelled(&lithuanian, "ivi"), "ivi yvi ivy yvy");
        assert_eq!(lithuanian.spellings(&[b'i'; 40]).len(), MAX_SPELLINGS);
        for field in [&b""[..], b"\x08", b"\0i", b"\0ii", b"\0ijjk", b"\0abcdefghijklmnopqrst"] {
            assert_eq!(Collation::of_field(field), None, "{field:?}");
        }
    }
}
