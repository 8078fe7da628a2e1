//! The rows that a user database has of one domain: a name and a value each.

/// Names with their values, in the order of the names; those of one name in the order in which they came.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// The rows as they came, one after the other.
    bytes: Vec<u8>,
    /// Where each begins, in the order of the names.
    order: Vec<u32>,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("len", &self.order.len()).finish_non_exhaustive()
    }
}

/// What stands in front of a row's name: the lengths of its name and its value, in bytes.
const HEAD: usize = 2 + 4;
/// The length of the number that a value begins with, in bytes.
const NUMBER: usize = 4;

/// A row as it is written: a name, and its value, which is a number and a text.
#[derive(Clone, Copy, Hash)]
pub(super) struct Entry<'r> {
    pub(super) number: u32,
    pub(super) name: &'r [u8],
    pub(super) text: &'r [u8],
}

impl Entry<'_> {
    /// How long it is, in bytes.
    pub(super) fn len(&self) -> usize {
        HEAD + self.name.len() + NUMBER + self.text.len()
    }

    /// Adds it to other rows.
    pub(super) fn add_to(&self, rows: &mut Vec<u8>) {
        let Entry { number, name, text } = self;
        // Both are short: names are bounded by the longest address, and texts by the longest frame.
        rows.extend_from_slice(&(name.len() as u16).to_le_bytes());
        rows.extend_from_slice(&((NUMBER + text.len()) as u32).to_le_bytes());
        rows.extend_from_slice(name);
        rows.extend_from_slice(&number.to_le_bytes());
        rows.extend_from_slice(text);
    }
}

/// The number and the text of a value.
pub(super) fn parts(value: &[u8]) -> (u32, &[u8]) {
    value.split_first_chunk().map_or((0, b""), |(number, text)| (u32::from_le_bytes(*number), text))
}

/// A name and its value.
type Row<'r> = (&'r [u8], &'r [u8]);

/// The row that begins there, and where the next one begins; `None` when there is no whole one, with its number.
fn row(bytes: &[u8], start: usize) -> Option<(Row<'_>, usize)> {
    let (head, rest) = bytes.get(start..)?.split_at_checked(HEAD)?;
    let (of_name, of_value) = head.split_at(2);
    let of_name = usize::from(u16::from_le_bytes(of_name.try_into().ok()?));
    let of_value = u32::from_le_bytes(of_value.try_into().ok()?) as usize;
    let (name, rest) = rest.split_at_checked(of_name)?;
    if of_value < NUMBER {
        return None;
    }
    Some(((name, rest.get(..of_value)?), start + HEAD + of_name + of_value))
}

/// Each row, as long as there are whole ones.
pub(super) fn each(bytes: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let ((name, value), after) = row(bytes, at)?;
        at = after;
        let (number, text) = parts(value);
        Some(Entry { number, name, text })
    })
}

/// The length of what stands in front of a row that waits, in bytes: two numbers.
pub(super) const MARKED: usize = 4 + 4;

/// Each row with the two numbers in front of it, as long as there are whole ones.
pub(super) fn marked(bytes: &[u8]) -> impl Iterator<Item = (u32, u32, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (first, rest) = bytes.get(at..)?.split_first_chunk()?;
        let (second, _) = rest.split_first_chunk()?;
        let start = at + MARKED;
        at = row(bytes, start)?.1;
        Some((u32::from_le_bytes(*first), u32::from_le_bytes(*second), bytes.get(start..at)?))
    })
}

impl Rows {
    /// The rows that stand one after the other in `bytes`; `None` when something else does.
    pub fn parse(bytes: Vec<u8>) -> Option<Rows> {
        let (mut order, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            order.push(u32::try_from(at).ok()?);
            at = row(&bytes, at)?.1;
        }
        order.shrink_to_fit();
        let mut rows = Rows { bytes, order: Vec::new() };
        order.sort_by(|a, b| rows.name(*a).cmp(rows.name(*b)));
        rows.order = order;
        Some(rows)
    }

    fn at(&self, start: u32) -> Row<'_> {
        // Cannot be None because each start was found in front of a whole row.
        row(&self.bytes, start as usize).map_or_else(Default::default, |(row, _)| row)
    }

    fn name(&self, start: u32) -> &[u8] {
        self.at(start).0
    }

    /// Each name with its value, in the order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        self.order.iter().map(|start| self.at(*start))
    }

    /// The values of this name, in the order in which they came.
    pub fn of(&self, name: &[u8]) -> impl Iterator<Item = &[u8]> + use<'_> {
        let first = self.order.partition_point(|start| self.name(*start) < name);
        let after = self.order[first..].partition_point(|start| self.name(*start) <= name);
        self.order[first..first + after].iter().map(|start| self.at(*start).1)
    }

    /// The names, each once.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        let mut last = None;
        self.iter().map(|(name, _)| name).filter(move |name| last.replace(*name) != Some(name))
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// How long the rows are together, in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_name_and_those_of_one_name_stay_in_their_order() {
        let mut bytes = Vec::new();
        for (name, text) in [("b", "1"), ("a", "2"), ("b", "3"), ("", "4"), ("ab", "5"), ("a", "")] {
            Entry { number: 7, name: name.as_bytes(), text: text.as_bytes() }.add_to(&mut bytes);
        }
        let cut = bytes.len() - 1;
        let rows = Rows::parse(bytes.clone()).unwrap();
        let text = |value| String::from_utf8_lossy(parts(value).1);
        let of = |name: &str| rows.of(name.as_bytes()).map(text).collect::<Vec<_>>().join(" ");
        assert!(rows.iter().all(|(_, value)| parts(value).0 == 7));
        assert_eq!([of("a"), of("b"), of(""), of("ab"), of("c")], ["2 ", "1 3", "4", "5", ""]);
        assert_eq!(rows.names().collect::<Vec<_>>(), [&b""[..], b"a", b"ab", b"b"]);
        assert_eq!((rows.len(), rows.is_empty()), (6, false));
        assert_eq!(Rows::parse(bytes[..cut].to_vec()), None);
        for end in 0..bytes.len() {
            // No length makes it panic.
            let _ = Rows::parse(bytes[..end].to_vec());
        }
    }
}
