//! What is wrong with a whole domain, so that none of its mailboxes gets mail. The answer about one address says so, because it is
//! not the fault of that address.

use crate::commands::hints;
use crate::commands::overview::{self, Domain, Kind};
use crate::decide::{Delivery, Step, Trail, Verdict, deliver};
use crate::host::compilers::Compiler;
use crate::host::{Homes, Host};
use crate::protect::guard::{NOBODY, stands_for};
use crate::text::{Shown, join_address, lower, split_address, without_word};

/// What keeps mail from each mailbox of the domain of this address, so that the name does not matter, and what to do; `last` is
/// the step that decided about the address.
pub fn of_domain(
    host: &Host,
    homes: &dyn Homes,
    address: &[u8],
    (delivery, last): (&Delivery, Option<&Step>),
) -> Option<String> {
    let domain = lower(split_address(address)?.1);
    let is_vpopmails = host.assignments.vpopmail_domain(&domain).is_some() && domain.contains(&b'.');
    let shown = Shown(&domain);
    let is_at_home =
        |found: &Domain| found.folder.as_ref().is_some_and(|(home, _)| overview::is_at_home(host, home, last));
    let still_taken = still_taken(host, &domain, delivery);
    let not_yet_taken = Compiler::not_yet_taken(host, &domain);
    let fault = match delivery.verdict {
        Verdict::Remote if is_vpopmails => Some(format!("but users/assign has {shown} as a domain of this host")),
        _ if still_taken.is_some() => still_taken.map(|entry| format!("but {entry}")),
        _ if !host.control.accepts(&domain) => is_vpopmails.then(|| "but it is a domain of this host".to_owned()),
        Verdict::Bounce if is_vpopmails && host.control.locals.contains_key(&domain) => {
            let file = if host.control.locals_from_me { "me" } else { "locals" };
            Some(format!("but users/assign has {shown} as a domain of vpopmail, and control/{file} names it, too"))
        }
        _ if not_yet_taken.is_some() => not_yet_taken.map(|entry| format!("but {entry}")),
        Verdict::Bounce => match overview_of(host, homes, &domain)? {
            found if found.kind == Kind::Nobody => Some(format!("no name of {shown} gets mail: nobody owns it")),
            found if found.lacks_default && is_at_home(&found) => {
                Some(format!("{shown} has no .qmail-default, so its mailboxes get no mail"))
            }
            _ => None,
        },
        _ => None,
    };
    fault.map(|fault| format!("{fault}: tell the administrator"))
}

/// By which entry of a compiled file qmail takes mail to this domain, although the configuration does not, in words.
pub fn still_taken(host: &Host, domain: &[u8], delivery: &Delivery) -> Option<String> {
    match delivery.verdict {
        _ if !host.control.accepts(domain) => Compiler::Newmrh.still_takes(host, domain),
        Verdict::Bounce => Compiler::Newu.still_takes(host, domain),
        _ => None,
    }
}

/// The same of a domain, with what becomes of mail to a name that nobody listed.
pub fn with_reason(host: &Host, homes: &dyn Homes, domain: &[u8]) -> Option<String> {
    let address = stands_for(&join_address(b"", domain), host.layout.break_byte);
    let mut trail = Trail::kept();
    let delivery = deliver(host, homes, &address, &mut trail);
    let last = trail.steps().pop();
    let fault = of_domain(host, homes, &address, (&delivery, last.as_ref()));
    let reason = match last {
        _ if !host.control.accepts(domain) => hints::not_listed(&address, domain),
        Some(last) => without_word(&last.to_string(), &NOBODY),
        None => return fault,
    };
    match fault {
        Some(fault) => Some(format!("{reason}; {fault}")),
        None => overview_of(host, homes, domain)?.unreached.map(|_| format!("{reason}: tell the administrator")),
    }
}

/// What `domains` says of one domain, without the published table.
fn overview_of(host: &Host, homes: &dyn Homes, domain: &[u8]) -> Option<Domain> {
    overview::domains(host, homes, &[domain.to_vec()].into(), &|_| overview::Answer::NoTable).pop()
}
