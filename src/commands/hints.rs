//! What a person may have meant by an address that is refused.

use crate::text::Shown;

/// What an address begins with that was copied as a link.
const MAILTO: &[u8] = b"mailto:";

/// The address in what was pasted: without brackets, a name before them, quotes, `mailto:`, blanks, and what ends a sentence;
/// `None` when that is what was typed.
pub(crate) fn meant(typed: &[u8]) -> Option<&[u8]> {
    let bare = match (typed.iter().rposition(|b| *b == b'<'), typed.iter().rposition(|b| *b == b'>')) {
        (Some(start), Some(end)) if start < end => &typed[start + 1..end],
        _ => typed,
    };
    let bare = bare
        .split_at_checked(MAILTO.len())
        .filter(|(start, _)| start.eq_ignore_ascii_case(MAILTO))
        .map_or(bare, |(_, rest)| rest);
    let is_beside = |b: &u8| b.is_ascii_whitespace() || b"<>.,;:\"'".contains(b);
    let start = bare.iter().position(|b| !is_beside(b))?;
    let end = bare.iter().rposition(|b| !is_beside(b))?;
    let meant = &bare[start..=end];
    (meant != typed && meant.contains(&b'@')).then_some(meant)
}

/// That rcpthosts does not list the domain of an address, and which address may be meant.
pub(crate) fn not_listed(address: &[u8], domain: &[u8]) -> String {
    let domain = Shown(domain);
    match meant(address) {
        Some(meant) => format!("rcpthosts does not list \"{domain}\"; did you mean {}?", Shown(meant)),
        None => format!("rcpthosts does not list {domain}"),
    }
}
