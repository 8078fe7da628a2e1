//! What an administrator looks a host up for: its domains, and the mailboxes of one. Pure: the host says what there is,
//! `delivery` what becomes of mail, `logins` who may log in; here it is only put together. No hash and no password is in
//! what it says.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use crate::cdb;
use crate::commands::hints;
use crate::decide::{Delivery, Route, Step, Taker, Trail, Verdict, deliver, route};
use crate::error::{Trouble, show_path};
use crate::fs::Who;
use crate::host::compilers::Compiler;
use crate::host::dot_qmail::{Opening, spelled};
use crate::host::mailboxes::{self, Source};
use crate::host::vpopmail::{ABSENT, BOUNCE_MAIL, Mailbox, Mailboxes, Particulars, Vpasswd, flag_names, is_found};
use crate::host::{Home, HomeState, Homes, Host};
use crate::protect::guard::{NOBODY, stands_for};
use crate::report::Note;
use crate::tables::logins::{Policy, Refusal, Weakness, scheme, weakness};
use crate::tables::recipients::relay_step;
use crate::text::{DEFAULT, Shown, count, domain_question, join_address, lower, split_address, without_word};

/// The note on a domain where one alert says why, for all of them.
const UNREAD: &str = "its mailboxes are unknown";

/// Whose a domain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// vpopmail's.
    Vpopmail,
    /// In locals.
    Local,
    /// virtualdomains gives it to a user.
    Virtual,
    /// virtualdomains leads to nobody.
    Nobody,
    /// Another host's; rcpthosts accepts it.
    Relay,
    /// Another host's, and not accepted.
    Remote,
}

impl Kind {
    /// How it is written.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Vpopmail => "vpopmail",
            Kind::Local => "local",
            Kind::Virtual => "virtual",
            Kind::Nobody => "nobody",
            Kind::Relay => "relay",
            Kind::Remote => "remote",
        }
    }
}

/// What the published recipient table answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Whether it accepts the address.
    Accepts(bool),
    /// No whole table is published.
    NoTable,
    /// This process may not read it, which is not root.
    Closed,
}

/// One domain.
#[derive(Clone, Debug)]
pub struct Domain {
    /// Its name, in lower case; empty for all that virtualdomains leads somewhere by its empty key.
    pub name: Vec<u8>,
    /// The real domain behind an alias domain.
    pub alias_of: Option<Vec<u8>>,
    /// Whose it is.
    pub kind: Kind,
    /// The folder that it belongs to, as users/assign or passwd names it, and who delivers there.
    pub folder: Option<(Vec<u8>, Who)>,
    /// How many mailboxes it has that vpopmail finds; `None` where there are none to count, or that cannot be known.
    pub mailboxes: Option<usize>,
    /// How many names have a .qmail file; `None` likewise.
    pub aliases: Option<usize>,
    /// Whether a name that nobody lists is accepted: by the published table, where its answer is kept; `None` when this
    /// process may not read what decides.
    pub others_accepted: Option<bool>,
    /// What the file that answers for such a name does.
    pub catch_all: Option<String>,
    /// What else there is to know, or to mend.
    pub notes: Vec<String>,
    /// Why its home could not be read.
    pub trouble: Option<Trouble>,
    /// Whether mail bounces before vdelivermail looks for a mailbox, because no `.qmail` file answers.
    pub lacks_default: bool,
    /// What becomes of mail to its mailboxes, where none of them gets any.
    pub unreached: Option<Verdict>,
    /// The entry that a compiled file lacks, so that qmail does not take its mail yet, in words.
    pub not_yet_taken: Option<String>,
    /// The entry of a compiled file by which qmail takes its mail, although nobody owns it, in words.
    pub still_taken: Option<String>,
    /// What becomes of its entries.
    pub state: State,
}

/// What becomes of the published entries of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// They are as the configuration is.
    Ok,
    /// The loss guard keeps some that would go.
    Held,
    /// They stay, because its source cannot be read.
    Kept,
    /// Every name is accepted, because a program decides that cannot be known.
    Open,
    /// This process may not read what decides.
    Unknown,
}

impl State {
    /// Each of them.
    pub const ALL: [State; 5] = [State::Ok, State::Held, State::Kept, State::Open, State::Unknown];

    /// What follows from how mail is delivered; the caller knows what the loss guard holds.
    pub fn of(delivery: &Delivery) -> State {
        match (&delivery.doubt, &delivery.open) {
            _ if delivery.verdict == Verdict::Unknown => State::Unknown,
            (Some(_), _) => State::Kept,
            (_, Some(_)) => State::Open,
            _ => State::Ok,
        }
    }

    /// How it is written.
    pub fn word(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Held => "held",
            State::Kept => "kept",
            State::Open => "open",
            State::Unknown => "unknown",
        }
    }
}

/// The domains of these names (lower case), or all, in the order of their names; a name that is no domain of this host is
/// left out. Each home is read once. `published` says what the published recipient table answers.
pub fn domains(
    host: &Host,
    homes: &dyn Homes,
    wanted: &BTreeSet<Vec<u8>>,
    published: &dyn Fn(&[u8]) -> Answer,
) -> Vec<Domain> {
    let all = || host.control.domains().chain(host.assignments.domains().map(|(name, _)| name)).map(<[u8]>::to_vec);
    let names: BTreeSet<Vec<u8>> = if wanted.is_empty() { all().collect() } else { wanted.clone() };
    let home = |name: &[u8]| host.assignments.vpopmail_domain(name).map(|line| &line.home);
    let mut by_home: Vec<&Vec<u8>> = names.iter().collect();
    by_home.sort_by_key(|name| home(name));
    let mut elsewhere: HashMap<&[u8], usize> = HashMap::new();
    for key in host.control.virtual_domains.keys() {
        if let Some((_, name)) = split_address(key) {
            *elsewhere.entry(name).or_default() += 1;
        }
    }
    let one = |name: &Vec<u8>| {
        let elsewhere = elsewhere.get(&name[..]).copied().unwrap_or_default();
        domain(host, homes, name, elsewhere, !wanted.is_empty(), published)
    };
    let mut found: Vec<Domain> = by_home.into_iter().filter_map(one).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// One domain; `elsewhere` counts its addresses that virtualdomains names by themselves. One that was asked for may be
/// covered by a suffix or the empty key only.
fn domain(
    host: &Host,
    homes: &dyn Homes,
    name: &[u8],
    elsewhere: usize,
    asked: bool,
    published: &dyn Fn(&[u8]) -> Answer,
) -> Option<Domain> {
    let control = &host.control;
    let line = host.assignments.vpopmail_domain(name);
    // A line of an account looks the same.
    let is_one = || host.is_vpopmail_like(name) || name.contains(&b'.');
    let vpopmail_home =
        line.map(|line| homes.home(&line.home)).filter(|home| match home.mailboxes_of(host.user_domain(name)) {
            Mailboxes::Absent => host.is_vpopmail_like(name) && home.trouble().is_some(),
            Mailboxes::Elsewhere(_) | Mailboxes::Unknown(_) => is_one(),
            Mailboxes::Known(Vpasswd::Rows(rows)) => !rows.is_empty() || is_one(),
            Mailboxes::Known(_) | Mailboxes::Unreadable(..) => true,
        });
    let accepted = control.accepts(name);
    let prefix = control.prefix(name);
    let is_covered = || prefix.is_some() || (control.rcpthosts.is_some() && accepted);
    // A `+name-` line may be any user's.
    if !control.is_named(name) && elsewhere == 0 && vpopmail_home.is_none() && !(asked && is_covered()) {
        return None;
    }
    let address = stands_for(&join_address(b"", name), host.layout.break_byte);
    let mut trail = Trail::kept();
    let delivery = deliver(host, homes, &address, &mut trail);
    let last = trail.steps().pop();
    let led = match route(host, &address, &mut Trail::unkept()) {
        Route::Local(assigned) => Some(assigned),
        Route::Decided(_) | Route::Unlisted => None,
    };
    let led_home = led.as_ref().map(|led| homes.home(led.home));
    let kind = match &prefix {
        Some(prefix) if prefix.is_empty() => Kind::Local,
        Some(_) if vpopmail_home.is_some() && host.is_vpopmail_like(name) => Kind::Vpopmail,
        Some(prefix) if delivery.verdict != Verdict::Deliver && is_nobodys(host, led_home.as_deref(), prefix) => {
            Kind::Nobody
        }
        Some(_) => Kind::Virtual,
        None if accepted && (control.rcpthosts.is_some() || control.is_named(name)) => Kind::Relay,
        None => Kind::Remote,
    };
    let folder = match (&vpopmail_home, line, &led) {
        (Some(_), Some(line), _) => Some((line.home.clone(), line.who)),
        (_, _, Some(led)) if kind == Kind::Virtual => Some((led.home.to_vec(), led.who)),
        _ => None,
    };
    let home = vpopmail_home.clone().or_else(|| led_home.clone().filter(|_| kind == Kind::Virtual));
    let trouble = home.as_ref().and_then(|home| home.trouble());
    let counted = vpopmail_home.as_ref().and_then(|home| match home.mailboxes_of(host.user_domain(name)) {
        Mailboxes::Known(vpasswd) => {
            let all = distinct(vpasswd);
            let found = all.iter().filter(|(name, _)| is_found(name)).count();
            Some((found, all.len() - found))
        }
        Mailboxes::Absent | Mailboxes::Unreadable(..) | Mailboxes::Elsewhere(_) | Mailboxes::Unknown(_) => None,
    });
    let aliases = match (&home, &led) {
        (Some(home), Some(led)) if home.path == led.home => aliases(home, (led.dash, led.who), &led.ext, &address),
        _ => None,
    };
    let catch_all = match (&led, &led_home, &last) {
        (Some(led), Some(home), Some(last)) => answering_file(host, home, led.who, last),
        _ => None,
    };
    // What is published of it is kept.
    let kept =
        (accepted && delivery.doubt.is_some() && delivery.verdict != Verdict::Unknown).then(|| published(&address));
    let vpasswd = vpopmail_home.as_ref().and_then(|home| home.mailboxes_of(host.user_domain(name)).known());
    let unreached = vpasswd.and_then(|vpasswd| unreached(host, homes, name, vpasswd));
    let is_at_home = line.is_some_and(|line| is_at_home(host, &line.home, last.as_ref()));
    let lacks_default = kind == Kind::Vpopmail
        && delivery.verdict == Verdict::Bounce
        && counted.is_some_and(|(found, _)| found > 0)
        && is_at_home;
    let mut domain = Domain {
        name: name.to_vec(),
        alias_of: vpopmail_home.as_ref().and_then(|_| host.assignments.alias_of(name)).map(<[u8]>::to_vec),
        kind,
        folder,
        mailboxes: counted.map(|(found, _)| found),
        aliases,
        others_accepted: match (kept, relay_step(host, &address, &delivery)) {
            // The table has no entries for a line that begins with a dot.
            _ if !accepted || name.first() == Some(&b'.') => Some(false),
            _ if delivery.verdict == Verdict::Unknown => None,
            (Some(Answer::Closed), _) => None,
            (Some(Answer::Accepts(is)), _) => Some(is),
            (None, Some((is, _))) => Some(is),
            (Some(Answer::NoTable) | None, _) => Some(delivery.accepted()),
        },
        catch_all,
        notes: Vec::new(),
        trouble,
        lacks_default,
        unreached: unreached.filter(|_| State::of(&delivery) == State::Ok),
        not_yet_taken: Compiler::not_yet_taken(host, name),
        still_taken: Compiler::Newu.still_takes(host, name).filter(|_| kind == Kind::Nobody),
        state: State::of(&delivery),
    };
    domain.notes = notes(host, &domain, prefix.as_deref(), accepted, elsewhere);
    if let Some((_, lost @ 1..)) = counted {
        domain.notes.push(format!("{} that vpopmail never finds beside these", count(lost, "mailbox")));
    }
    domain.notes.extend(domain.not_yet_taken.clone());
    let is_elsewhere = |home: &Arc<Home>| matches!(home.mailboxes_of(host.user_domain(name)), Mailboxes::Elsewhere(_));
    if vpopmail_home.as_ref().is_some_and(is_elsewhere) {
        domain.notes.push(UNREAD.to_owned());
    }
    if lacks_default {
        domain.notes.insert(0, "no .qmail-default: its mailboxes get no mail".to_owned());
    }
    if let (Some(Verdict::Deliver), Kind::Vpopmail, Some(last)) = (domain.unreached, kind, &last) {
        let by = without_word(&last.to_string(), &NOBODY);
        domain.notes.insert(0, format!("no mail arrives in its mailboxes: {by}"));
    }
    if let Some(open) = &delivery.open {
        domain.notes.insert(0, format!("open: the users of {} are not known", Shown(&open.program)));
    } else if let (Verdict::Defer, true, None, Some(last)) = (delivery.verdict, delivery.known, &domain.trouble, last) {
        // Nothing in a directory with wrong rights is looked at.
        let is_all = is_at_home || domain.unreached == Some(Verdict::Defer);
        let what = if is_all { "all its mail" } else { "mail to names that nobody listed" };
        domain.notes.insert(0, format!("{what} waits: {}", without_word(&last.to_string(), &NOBODY)));
    }
    Some(domain)
}

/// What becomes of mail to the mailboxes of a domain, if it arrives in none of them; of different verdicts the first. One whose
/// mail is switched off says nothing.
fn unreached(host: &Host, homes: &dyn Homes, domain: &[u8], vpasswd: &Vpasswd) -> Option<Verdict> {
    let mut all = None;
    for (name, mailbox) in distinct(vpasswd) {
        if !is_found(name) || mailbox.flags & BOUNCE_MAIL != 0 {
            continue;
        }
        let delivery = deliver(host, homes, &join_address(name, domain), &mut Trail::unkept());
        let is_taken = matches!(delivery.taker, Taker::Mailbox | Taker::Extension | Taker::Alias);
        if delivery.verdict == Verdict::Unknown || delivery.verdict == Verdict::Deliver && is_taken {
            return None;
        }
        all.get_or_insert(delivery.verdict);
    }
    all
}

/// Whether the way of an address ended at this home directory itself, so that no `.qmail` file answered.
pub fn is_at_home(host: &Host, home: &[u8], last: Option<&Step>) -> bool {
    last.and_then(|last| last.path.as_deref()) == Some(&host.layout.root.path(home))
}

/// Whether mail that cannot be decided about may bounce. It cannot where qmail-local may not enter the home directory: then it waits.
pub fn may_bounce(host: &Host, homes: &dyn Homes, delivery: &Delivery, last: Option<&Step>) -> bool {
    delivery.doubt.as_ref().is_some_and(|doubt| {
        // One that could not be read, say because it holds too much, may be entered.
        let may_enter = || matches!(&homes.home(&doubt.home).state, HomeState::Unreadable(_, cause) if !cause.denied);
        !is_at_home(host, &doubt.home, last) || may_enter()
    })
}

/// Every mailbox, of equal names the first.
fn distinct(vpasswd: &Vpasswd) -> Vec<(&[u8], Mailbox<'_>)> {
    let mut all = vpasswd.all();
    all.dedup_by_key(|(name, _)| *name);
    all
}

/// Whether nobody owns a local part that begins with `prefix`: no line of users/assign, no account, and no .qmail file of
/// alias, whose home is `home`.
fn is_nobodys(host: &Host, home: Option<&Home>, prefix: &[u8]) -> bool {
    let (assignments, accounts) = (&host.assignments, &host.accounts);
    let mut owned = assignments.exact.keys().chain(assignments.wildcards.keys()).chain(accounts.accepted.keys());
    let stem = [b"-", &spelled(prefix)[..]].concat();
    let answers = |home: &Home| match &home.state {
        HomeState::Listed(_, dot_qmails) => dot_qmails.extensions().any(|name| name.starts_with(&stem)),
        HomeState::Missing(_) | HomeState::Unreadable(..) => true,
    };
    !accounts.more_unlisted
        && assignments.find(prefix).is_none()
        && accounts.find(prefix, host.layout.break_byte).is_none()
        && !owned.any(|key| key.starts_with(prefix))
        && !home.is_some_and(answers)
}

/// How many names of a domain have a .qmail file; `ext` is the extension of an address that nobody lists.
fn aliases(home: &Home, (dash, who): (&[u8], Who), ext: &[u8], address: &[u8]) -> Option<usize> {
    let HomeState::Listed(_, dot_qmails) = &home.state else { return None };
    let (word, _) = split_address(address)?;
    let begin = spelled(ext.strip_suffix(word)?);
    let stems = dot_qmails.stems(dash, who);
    let names = stems.iter().filter_map(|stem| stem.strip_prefix(&begin[..]));
    Some(names.filter(|name| !name.is_empty() && *name != DEFAULT).count())
}

/// What the .qmail file does at which the way of an address ended; `None` when there was none.
fn answering_file(host: &Host, home: &Home, who: Who, last: &Step) -> Option<String> {
    let HomeState::Listed(_, dot_qmails) = &home.state else { return None };
    let begin = host.layout.root.path(&[&home.path[..], b"/.qmail"].concat());
    let name = last.path.as_ref()?.as_os_str().as_bytes().strip_prefix(begin.as_os_str().as_bytes())?;
    match dot_qmails.open(name, who) {
        Opening::File(_, content) => Some(content.to_string()),
        Opening::Passed(_) | Opening::Denied | Opening::Unread(_) => None,
    }
}

fn notes(host: &Host, domain: &Domain, prefix: Option<&[u8]>, accepted: bool, elsewhere: usize) -> Vec<String> {
    let name = &domain.name[..];
    let is_for_all = |trouble: &Trouble| host.build.users.unread() == Some(trouble);
    let note = |trouble: &Trouble| if is_for_all(trouble) { UNREAD.to_owned() } else { trouble.to_string() };
    let mut notes: Vec<String> = domain.trouble.iter().map(note).collect();
    match domain.kind {
        Kind::Virtual => notes.push(format!("leads to {}", Shown(prefix.unwrap_or_default()))),
        Kind::Nobody => {
            let to = Shown(prefix.unwrap_or_default());
            notes.push(match &domain.still_taken {
                Some(entry) => format!("leads to {to}, which nobody owns by users/assign; but {entry}"),
                None => format!("leads to {to}, which nobody owns: its mail does not arrive"),
            });
        }
        Kind::Relay => notes.push(match (host.control.unusable_list(name), host.control.relay_lists.get(name)) {
            (Some(list), _) if list.cause.denied => format!("its list in control/validrcptto.d: {}", list.cause),
            (Some(list), _) => {
                format!("its list in control/validrcptto.d cannot be used, so what is published stays: {}", list.cause)
            }
            (None, Some(list)) => format!("control/validrcptto.d lists {}", count(list.names.len(), "name")),
            (None, None) if name.first() == Some(&b'.') => "of another host".to_owned(),
            (None, None) => "no list in control/validrcptto.d: every name is accepted for another host".to_owned(),
        }),
        Kind::Vpopmail | Kind::Local | Kind::Remote => {}
    }
    if !accepted && domain.kind != Kind::Remote && !name.is_empty() {
        notes.push("not in rcpthosts: strangers' mail for it is refused".to_owned());
    }
    if domain.unreached.is_some() && domain.kind != Kind::Vpopmail {
        let by = if domain.kind == Kind::Local { "control/locals" } else { "virtualdomains" };
        notes.push(format!("its mailboxes get no mail by {by}"));
    }
    // qmail-send looks into locals first.
    if elsewhere > 0 && domain.kind != Kind::Local {
        notes.push(format!("virtualdomains says otherwise of {}", count(elsewhere, "single name")));
    }
    if name.first() == Some(&b'.') {
        notes.push("any subdomain; the table refuses those that no other line names".to_owned());
    } else if name.is_empty() {
        notes.push("every domain that no other line names".to_owned());
    }
    let has_users = domain.mailboxes.is_some()
        || (domain.kind == Kind::Vpopmail
            && host.build.users != Source::Files
            && host.build.users.snapshot().is_none());
    if has_users && host.is_default_domain(name) {
        notes.push("the default domain: its users log in by their bare names".to_owned());
    }
    notes
}

/// One mailbox.
#[derive(Debug)]
pub struct User<'a> {
    /// Its name, as vpasswd writes it.
    pub name: &'a [u8],
    /// Its domain as it was asked for, in lower case.
    pub domain: &'a [u8],
    /// The real domain, when that is an alias domain.
    pub alias_of: Option<&'a [u8]>,
    /// Who delivers in its domain.
    pub who: Who,
    /// What may be shown of the rest of its record; `None` when that is not as vpopmail writes it.
    pub particulars: Option<Particulars<'a>>,
    /// How its password is hashed.
    pub scheme: String,
    /// Its own flags.
    pub flags: Vec<String>,
    /// What the domain's limits make of them; or why that cannot be known.
    pub effective: Result<Vec<String>, Trouble>,
    /// What becomes of its mail and the step that decides; `None` when no mail ever comes to it.
    pub mail: Option<(Delivery, Option<Step>)>,
    /// Whether strangers may send to it at all.
    pub accepted: bool,
    /// The logins of auth.cdb by which it may authenticate for SMTP, or why it may not; or why that cannot be known.
    pub login: Result<Result<Vec<Vec<u8>>, String>, Trouble>,
    /// When they are refused, in seconds since 1970-01-01 UTC.
    pub expires: Option<u64>,
    /// Why these never succeed, whatever the password.
    pub never: Option<&'static str>,
    /// Why nobody can log in now, whatever the table says.
    pub closed: Option<&'a Note>,
    /// What the published auth.cdb says of it, `None` when that cannot be compared; or why it cannot be read.
    pub published: Result<Option<Agreement>, String>,
    /// Whether qmail does not take its mail yet, because a compiled file lacks its domain.
    pub is_not_taken: bool,
    /// Why its mail is not accepted now, though the configuration delivers it; found out for people alone.
    pub refused: Option<&'static str>,
}

/// What a published table says of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// What the host says.
    Same,
    /// Something else, and the host has changed since it was published.
    Changed,
    /// Something else.
    Other,
}

/// Why there is nothing to show.
#[derive(Debug)]
pub enum Absence {
    /// No such mailbox or domain.
    None(String),
    /// What would say could not be read.
    Unread(Trouble),
}

impl Absence {
    /// Whether it is known that there is none.
    pub fn is_certain(&self) -> bool {
        matches!(self, Absence::None(_))
    }
}

/// What decides about mailboxes.
pub struct Users<'a> {
    /// The host.
    pub host: &'a Host,
    /// Its homes.
    pub homes: &'a dyn Homes,
    /// How logins are decided.
    pub policy: &'a Policy<'a>,
    /// auth.cdb, or why it cannot be read.
    pub published: Result<cdb::FileReader<'a>, String>,
    /// When it was published, since 1970-01-01 UTC.
    pub published_at: Duration,
    /// Why nobody can log in by it, whatever it says.
    pub closed: Option<Note>,
    /// Why the published recipient table does not accept an address; found out for people alone.
    pub refuses: &'a dyn Fn(&[u8]) -> Option<&'static str>,
}

impl Users<'_> {
    /// The local part and the domain, in lower case, of what was asked for: a bare name is one of the default domain.
    fn parts<'n>(&self, address: &'n [u8]) -> Option<(&'n [u8], Vec<u8>)> {
        let default = self.host.default_domain.as_ref().ok().and_then(Option::as_deref);
        match (split_address(address), default) {
            (Some((local, domain)), _) => Some((local, lower(domain))),
            (None, Some(default)) if !address.is_empty() => Some((address, default.to_vec())),
            (None, _) => None,
        }
    }

    /// The whole address that is asked for; `None` for what is none, and for all mailboxes of a domain.
    pub fn whole(&self, address: &[u8]) -> Option<Vec<u8>> {
        let (local, domain) = self.parts(address)?;
        (!local.is_empty()).then(|| join_address(local, &domain))
    }

    /// Hands the mailbox of this address, or with an empty local part every mailbox of the domain, to `take`.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn find(
        &self,
        address: &[u8],
        take: &mut dyn FnMut(&User<'_>) -> io::Result<()>,
    ) -> io::Result<Result<(), Absence>> {
        let host = self.host;
        let none = |why: String| Ok(Err(Absence::None(format!("{}: {why}", Shown(address)))));
        let Some((local, domain)) = self.parts(address) else {
            return none("no @ in it, and no name of the default domain".to_owned());
        };
        let Some(line) = host.assignments.vpopmail_domain(&domain) else {
            let path = host.assign_path();
            // Of a whole address the answer about its mail says more.
            let question = match host.control.prefix(&domain).as_deref() {
                _ if !local.is_empty() => String::new(),
                Some(b"") => "; it is a local domain: its users are accounts".to_owned(),
                Some(prefix) if host.assignments.find(prefix).is_some() => {
                    "; it is a virtual domain without mailboxes of vpopmail".to_owned()
                }
                None if host.control.is_named(&domain) => "; it is a domain of another host".to_owned(),
                _ => domain_question(&domain, host.control.listed()),
            };
            return none(format!("no vpopmail domain: no line +{}- in {}{question}", Shown(&domain), show_path(&path)));
        };
        let home = self.homes.home(&line.home);
        let folder = host.layout.root.path(&line.home);
        let unread = |file: &str, cause: Trouble| {
            let path = if file.is_empty() { folder.clone() } else { folder.join(file) };
            let text = format!("unable to read {}: {cause}", show_path(&path));
            Ok(Err(Absence::Unread(Trouble { text, ..cause })))
        };
        let vpasswd = match (&home.state, home.mailboxes_of(&line.user)) {
            (_, Mailboxes::Known(vpasswd)) => vpasswd,
            (HomeState::Listed(..), Mailboxes::Absent) => {
                return none(format!("no vpopmail domain: {} holds no vpasswd", show_path(&folder)));
            }
            (_, Mailboxes::Unreadable(file, cause)) => return unread(file, cause.clone()),
            (_, Mailboxes::Elsewhere(cause) | Mailboxes::Unknown(cause)) => {
                let text = format!("{}: {cause}; what is there is unknown", Shown(address));
                return Ok(Err(Absence::Unread(Trouble { text, ..cause.clone() })));
            }
            (HomeState::Missing(cause), Mailboxes::Absent) => return unread("", cause.as_str().into()),
            (HomeState::Unreadable(_, cause), Mailboxes::Absent) => return unread("", cause.clone()),
        };
        let mut one = |name: &[u8], mailbox| take(&self.user(name, &domain, &home, line.who, mailbox));
        if local.is_empty() {
            return distinct(vpasswd).into_iter().try_for_each(|(name, mailbox)| one(name, mailbox)).map(Ok);
        }
        // vpopmail lower-cases what it is asked for; a record that it never finds is shown as it is written.
        for name in [&lower(local)[..], local] {
            if let Some(mailbox) = vpasswd.find(name) {
                return one(name, mailbox).map(Ok);
            }
        }
        let mut trail = Trail::kept();
        let delivery = deliver(host, self.homes, &join_address(local, &domain), &mut trail);
        let why = trail.steps().pop().map(|step| format!(": {step}"));
        let lost = hints::never_found(vpasswd, local).map(|lost| format!("; {lost}"));
        let why: String = why.into_iter().chain(lost).collect();
        none(format!("no such mailbox; mail to it: {}{why}", delivery.verdict))
    }

    fn user<'u>(&'u self, name: &'u [u8], domain: &'u [u8], home: &Home, who: Who, mailbox: Mailbox<'u>) -> User<'u> {
        let address = join_address(name, domain);
        let mail = is_found(name).then(|| {
            let mut trail = Trail::kept();
            (deliver(self.host, self.homes, &address, &mut trail), trail.steps().pop())
        });
        let mut logins = Vec::new();
        let of = self.host.login_domain(domain);
        let users = home.users_of(of);
        let is_unknown =
            |users: &mailboxes::Users| users.mailboxes.known().is_some_and(|known| known.find(name).is_none());
        let absent = || Trouble::from(ABSENT);
        let limits = users.map_or_else(|| Err(absent()), |users| users.limits.clone());
        let login = match users.map_or_else(|| Err(absent()), |users| users.logins.clone()).and(limits.clone()) {
            Err(cause) => Err(cause),
            // PostgreSQL's vpopmail looks for the users of an alias domain under its own name.
            Ok(_) if users.is_some_and(is_unknown) => Ok(Err(format!(
                "the user database has no {address} for logins",
                address = Shown(&join_address(name, of))
            ))),
            Ok(limits) => {
                let mut add = |key: &[&[u8]], data: &[&[u8]]| logins.push((key.concat(), data.concat()));
                let may = self.policy.mailbox(name, domain, mailbox, limits, &mut add);
                // What this process may not read says nothing of the login.
                let closed = self.policy.closed_variables(&address);
                match (may, closed) {
                    (Ok(()) | Err(Refusal::Variables), Some(cause)) => Err(cause),
                    (may, _) => Ok(may.map_err(|why| why.to_string())),
                }
            }
        };
        let published = self.published.as_ref().map_err(Clone::clone).map(|published| {
            let says = |(key, data): &(Vec<u8>, Vec<u8>)| published.find(key).as_ref() == Some(data);
            let may = login.as_ref().ok()?.is_ok();
            let is_same = if may { logins.iter().all(says) } else { published.find(&address).is_none() };
            Some(match is_same {
                true => Agreement::Same,
                false if self.host.has_changed_since(&home.path, self.published_at) => Agreement::Changed,
                false => Agreement::Other,
            })
        });
        let is_taken = |(delivery, _): &(Delivery, _)| matches!(delivery.verdict, Verdict::Deliver | Verdict::Defer);
        let refused = mail.as_ref().filter(|mail| is_taken(mail)).and_then(|_| (self.refuses)(&address));
        User {
            name,
            domain,
            alias_of: self.host.assignments.alias_of(domain),
            who,
            particulars: mailbox.particulars(),
            scheme: scheme(mailbox.crypt),
            flags: flag_names(mailbox.flags),
            effective: limits.map(|limits| flag_names(mailbox.effective_flags(limits))),
            mail,
            accepted: self.host.control.accepts(domain),
            login: login.map(|may| may.map(|()| logins.into_iter().map(|(key, _)| key).collect())),
            expires: self.policy.expiry(&address),
            never: (weakness(mailbox.crypt) == Some(Weakness::Unusable))
                .then_some("its password field holds nothing that crypt(3) makes"),
            closed: self.closed.as_ref(),
            published,
            is_not_taken: Compiler::not_yet_taken(self.host, domain).is_some(),
            refused,
        }
    }
}
