//! What a person may have meant by an address that is refused.

use crate::host::vpopmail::{Vpasswd, is_found};
use crate::host::{Homes, Host};
pub(crate) use crate::text::question;
use crate::text::{Shown, join_address, lower, nearest, show_domain, split_address};

/// What an address begins with that was copied as a link.
const MAILTO: &[u8] = b"mailto:";

/// The address in what was pasted: without brackets, a name before them, quotes, `mailto:`, blanks, and what ends a sentence;
/// `None` when that is what was typed.
pub(crate) fn meant(typed: &[u8]) -> Option<Vec<u8>> {
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
    let (local, domain) = split_address(&bare[start..=end])?;
    // The other quote is before the @.
    let meant = join_address(local.strip_suffix(b"\"").unwrap_or(local), domain);
    (meant != typed).then_some(meant)
}

/// The reason why an address of no such domain is refused, and which address may be meant.
pub(crate) fn with_nearest<'a>(reason: &str, address: &[u8], domains: impl Iterator<Item = &'a [u8]>) -> String {
    of_nearest(address, domains).map_or_else(|| reason.to_owned(), |near| format!("{reason}; {}", question(&near)))
}

/// The address of the domain that is nearest in spelling, if one is near; of several the first by name. A pasted address is asked
/// about already.
pub(crate) fn of_nearest<'a>(address: &[u8], domains: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let (local, domain) = split_address(address).filter(|_| meant(address).is_none())?;
    let domains = domains.filter(|domain| !domain.iter().any(u8::is_ascii_control));
    Some(join_address(local, nearest(&lower(domain), domains)?))
}

/// That rcpthosts does not list the domain of an address, and which address may be meant.
pub(crate) fn not_listed(address: &[u8], domain: &[u8]) -> String {
    match meant(address) {
        Some(meant) => format!("rcpthosts does not list \"{}\"; {}", Shown(domain), question(&meant)),
        None => format!("rcpthosts does not list {}", show_domain(domain)),
    }
}

/// The address of the mailbox that is nearest in spelling to a name that its domain does not have, if one is near.
pub(crate) fn nearest_mailbox(host: &Host, homes: &dyn Homes, address: &[u8]) -> Option<Vec<u8>> {
    let (local, domain) = split_address(address)?;
    let line = host.assignments.vpopmail_domain(&lower(domain))?;
    let home = homes.home(&line.home);
    let mailboxes = home.known_mailboxes(&line.user).ok()?.all();
    let near = nearest(&lower(local), mailboxes.iter().map(|(name, _)| *name).filter(|name| is_found(name)))?;
    Some(join_address(near, domain))
}

/// The mailbox that a name may mean, and that vpopmail never finds, in words.
pub(crate) fn never_found(vpasswd: &Vpasswd, local: &[u8]) -> Option<String> {
    let all = vpasswd.all();
    let name = all.iter().map(|(name, _)| *name).find(|name| name.eq_ignore_ascii_case(local) && !is_found(name))?;
    Some(format!("there is a mailbox {}, which vpopmail never finds", Shown(name)))
}

/// The same of an address.
pub(crate) fn never_found_by(host: &Host, homes: &dyn Homes, address: &[u8]) -> Option<String> {
    let (local, domain) = split_address(address)?;
    let line = host.assignments.vpopmail_domain(&lower(domain))?;
    never_found(homes.home(&line.home).known_mailboxes(&line.user).ok()?, local)
}

/// That all mailboxes of a domain may be meant, to stand behind a message about its name without an @; empty for another name.
pub(crate) fn domain_meant(host: &Host, typed: &[u8]) -> String {
    let domain = lower(typed);
    let is_one = host.assignments.vpopmail_domain(&domain).is_some() && domain.contains(&b'.');
    if is_one { format!("; {}", question(&[b"@", &domain[..]].concat())) } else { String::new() }
}
