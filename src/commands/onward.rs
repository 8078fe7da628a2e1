//! Where the file that takes the mail of an address sends it on, and what becomes of it there.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::commands::{faults, forwards, hints, mail, overview};
use crate::decide::{Route, Step, Trail, Verdict, deliver, route};
use crate::host::dot_qmail::Opening;
use crate::host::mailboxes::Users;
use crate::host::{HomeState, Homes, Host};
use crate::text::{Shown, question, split_address};

/// So many forwards in a row are followed.
const MAX_FOLLOWED: usize = 100;

/// Where a line of a file leads on to.
struct Lead {
    /// As it is written.
    to: Vec<u8>,
    /// Whether another line than the one that decides leads there.
    is_beside: bool,
}

impl Lead {
    /// Whether it is a directory, to which vdelivermail delivers itself.
    fn is_directory(&self) -> bool {
        matches!(self.to.first(), Some(b'/' | b'.'))
    }
}

/// What a file that takes mail leads on to.
#[derive(Default)]
struct Leads {
    all: Vec<Lead>,
    /// The mailboxes and maildirs that its lines deliver to, as they are written.
    directories: Vec<String>,
    /// Its lines that should forward, but hold no address.
    mistyped: Vec<String>,
    /// Whether forwards that are known are what decides, and nothing else is done with the mail.
    is_forwarded: bool,
}

/// Where the mail of an address goes on to.
#[derive(Default)]
pub struct Ways {
    /// What it is forwarded to, and the directory of a catch-all.
    pub targets: Vec<Target>,
    /// The mailboxes and maildirs that a `.qmail` file delivers to, as they are written.
    pub directories: Vec<String>,
    /// The lines that should forward, but hold no address.
    pub mistyped: Vec<String>,
    /// Whether forwards that are known, or a catch-all, are what decides, and nothing else is done with the mail.
    pub is_forwarded: bool,
}

/// An address that is forwarded to, or a directory.
#[derive(Clone)]
pub struct Target {
    /// As it is written.
    pub address: String,
    /// Whether another line than the one that decides leads there.
    pub is_beside: bool,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Why mail to it comes back, as far as the rules that are known decide.
    pub lost: Option<String>,
    /// Whether some of it is delivered all the same.
    pub is_kept: bool,
    /// Why it is not certain that mail to it arrives, though it does not come back: for people.
    pub doubt: Option<String>,
}

/// Why mail does not arrive that is forwarded on.
enum Lost {
    /// It comes to an address for a second time.
    Circle,
    /// This address takes none, and why.
    Bounces(Vec<u8>, String),
    /// Mail to this address waits; or, if so, it may come back, because what decides about it cannot be read.
    Waits(Vec<u8>, bool),
}

impl Target {
    /// For people.
    pub fn words(&self) -> String {
        let Target { address, lost, is_kept, doubt, .. } = self;
        match (lost, doubt) {
            (Some(why), _) if *is_kept => format!("{address} ({why}), but also delivered"),
            (Some(why), _) | (None, Some(why)) => format!("{address} ({why})"),
            (None, None) => address.clone(),
        }
    }
}

/// What is asked where mail goes on to.
pub struct Onward<'a> {
    /// The host.
    pub host: &'a Host,
    /// Its homes.
    pub homes: &'a dyn Homes,
}

impl Ways {
    /// That nothing comes of what is forwarded, to stand behind the reason.
    pub fn fault(&self) -> Option<&'static str> {
        let is_any = !self.targets.is_empty() || !self.mistyped.is_empty();
        let is_lost =
            self.is_forwarded && is_any && self.targets.iter().all(|target| target.lost.is_some() && !target.is_kept);
        is_lost.then_some("but no address that it forwards to takes the mail")
    }

    /// The addresses that it is forwarded to, and the lines that hold none, in words.
    pub fn forwards(&self) -> Vec<String> {
        let addresses = self.targets.iter().filter(|target| !target.is_directory);
        addresses.map(Target::words).chain(self.mistyped.iter().cloned()).collect()
    }
}

impl Onward<'_> {
    /// Where mail goes on to whose way ended so.
    pub fn of(&self, address: &[u8], steps: &[Step], verdict: Verdict) -> Ways {
        let Leads { all, directories, mistyped, is_forwarded } = self.leads(address, steps, verdict);
        let targets = all.iter().map(|lead| self.target(address, lead)).collect();
        Ways { targets, directories, mistyped, is_forwarded }
    }

    /// What becomes of mail that is sent on there.
    fn target(&self, from: &[u8], lead: &Lead) -> Target {
        let (address, is_directory) = (Shown(&lead.to).to_string(), lead.is_directory());
        let whole = forwards::whole(self.host, &lead.to);
        let way = &mut vec![forwards::whole(self.host, from)];
        let lost = if is_directory { None } else { self.lost(way, whole.clone(), &mut { MAX_FOLLOWED }) };
        let control = &self.host.control;
        let is_ours =
            split_address(&whole).is_some_and(|(_, domain)| control.accepts(domain) || control.is_named(domain));
        let near = (!is_directory && !is_ours).then(|| hints::of_nearest(&whole, control.listed())).flatten();
        let is_kept = lost.as_ref().is_some_and(|(_, is_kept)| *is_kept);
        let (lost, doubt) = match lost.map(|(lost, _)| lost) {
            Some(Lost::Circle) => (Some("leads in a circle: qmail bounces what loops".to_owned()), None),
            Some(Lost::Bounces(at, why)) if at == whole => (Some(format!("bounces: {why}")), None),
            Some(Lost::Bounces(at, _)) => (Some(format!("forwards to {}, which bounces", Shown(&at))), None),
            Some(Lost::Waits(at, may_bounce)) => {
                let waits = if may_bounce { "waits or bounces" } else { "waits" };
                let further = || format!("forwards to {}, which {waits}", Shown(&at));
                (None, Some(if at == whole { waits.to_owned() } else { further() }))
            }
            None if self.is_astray(&whole) => {
                (None, Some("control/virtualdomains gives it to another host".to_owned()))
            }
            None => (None, near.map(|near| question(&near))),
        };
        Target { address, is_beside: lead.is_beside, is_directory, lost, is_kept, doubt }
    }

    /// Whether qmail takes the domain of vpopmail that an address is in for one of another host.
    fn is_astray(&self, address: &[u8]) -> bool {
        let domain = split_address(address).map(|(_, domain)| domain).unwrap_or_default();
        let line = self.host.assignments.vpopmail_domain(domain);
        line.is_some_and(|line| mail::is_stray(self.host, domain, line))
    }

    /// Whether mail to this address comes to one that takes none, or for a second time to one, as far as so many forwards show;
    /// and whether some of it is delivered all the same. `way` has those before it.
    fn lost(&self, way: &mut Vec<Vec<u8>>, address: Vec<u8>, left: &mut usize) -> Option<(Lost, bool)> {
        if way.contains(&address) {
            return Some((Lost::Circle, false));
        }
        *left = left.checked_sub(1)?;
        let mut trail = Trail::kept();
        let delivery = deliver(self.host, self.homes, &address, &mut trail);
        let steps = trail.steps();
        let domain = split_address(&address).map(|(_, domain)| domain.to_vec()).unwrap_or_default();
        if faults::still_taken(self.host, &domain, &delivery).is_some() {
            return None;
        }
        if delivery.verdict == Verdict::Bounce && delivery.known {
            let why = steps.last().map(|step| step.text.as_str()).unwrap_or_default();
            return Some((Lost::Bounces(address, why.strip_suffix(": bounced").unwrap_or(why).to_owned()), false));
        }
        if delivery.verdict == Verdict::Defer && !delivery.is_undeclared(self.host) {
            let may_bounce = overview::may_bounce(self.host, self.homes, &delivery, steps.last());
            return Some((Lost::Waits(address, may_bounce), false));
        }
        let Leads { all, is_forwarded, .. } = self.leads(&address, &steps, delivery.verdict);
        way.push(address);
        let (mut found, mut waits, mut is_kept) = (None, None, !is_forwarded);
        for lead in all {
            let lost = match lead.is_directory() {
                true => None,
                false => self.lost(way, forwards::whole(self.host, &lead.to), left),
            };
            match lost {
                Some((waiting @ Lost::Waits(..), _)) => waits = waits.or(Some(waiting)),
                None => is_kept = true,
                Some((lost, is_kept_there)) => {
                    found = found.or(Some(lost));
                    is_kept |= is_kept_there;
                }
            }
        }
        way.pop();
        found.map(|lost| (lost, is_kept)).or(waits.map(|waiting| (waiting, false)))
    }

    /// What else than its own delivery the file that takes mail does with it: where it sends it on.
    fn leads(&self, address: &[u8], steps: &[Step], verdict: Verdict) -> Leads {
        let (Some(Step { path: Some(path), line, .. }), true, Route::Local(assigned)) =
            (steps.last(), verdict == Verdict::Deliver, route(self.host, address, &mut Trail::unkept()))
        else {
            return Leads::default();
        };
        let home = self.homes.home(assigned.home);
        // A row of an alias.
        let with_domain = |users: &&Users| users.of.is_some() && users.tables.1 == *path;
        if let Some(users) = home.users.iter().find(with_domain)
            && let Some(aliases) = users.known_aliases()
            && let Some((alias, _)) = aliases.find(&assigned.ext, self.host.layout.qmail_ext)
        {
            let targets = aliases.lines_of(alias).filter_map(forwards::target);
            let all: Vec<Lead> = targets.map(|to| Lead { to, is_beside: false }).collect();
            return Leads { is_forwarded: !all.is_empty(), all, ..Leads::default() };
        }
        let begin = self.host.layout.root.path(&[assigned.home, b"/.qmail"].concat());
        let name = |path: &Path| Some(path.as_os_str().as_bytes().strip_prefix(begin.as_os_str().as_bytes())?.to_vec());
        let HomeState::Listed(_, dot_qmails) = &home.state else { return Leads::default() };
        let named = steps.iter().rev().find_map(|step| Some((step.path.as_deref()?, name(step.path.as_deref()?)?)));
        let Some((file, name)) = named else { return Leads::default() };
        let Opening::File(_, content) = dot_qmails.open(&name, assigned.who) else { return Leads::default() };
        let is_deciding = |at: usize| file == path && Some(at) == *line;
        let catch_all = content.catch_all().filter(|(at, _)| is_deciding(*at));
        let mut all: Vec<Lead> =
            catch_all.map(|(_, to)| Lead { to: to.to_vec(), is_beside: false }).into_iter().collect();
        let sent = forwards::sent_by(self.host, &[assigned.home, b"/.qmail", &name].concat());
        if let Some(first) = content.first_forward {
            all.extend(sent.targets.into_iter().map(|to| Lead { to, is_beside: !is_deciding(first) }));
        }
        let file_name = Shown(&[b".qmail", &name[..]].concat()).to_string();
        let told = |(line, why): (usize, &str)| format!("(line {line} of {file_name} {why})");
        let is_forwarded = catch_all.is_some() || content.first_forward.is_some_and(is_deciding);
        Leads {
            is_forwarded: is_forwarded && sent.directories.is_empty() && !sent.is_more,
            all,
            directories: sent.directories.iter().map(|to| Shown(to).to_string()).collect(),
            mistyped: sent.mistyped.into_iter().map(told).collect(),
        }
    }
}
