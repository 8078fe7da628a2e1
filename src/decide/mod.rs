//! What qmail would do with one address, and the trail of why. Pure: the facts come from [`Host`] and [`Homes`]. The
//! one place where the rules of qmail-send, qmail-lspawn, qmail-getpw, qmail-local and vdelivermail are decided
//! (docs/rules.md, 3, 4 and 12).

mod programs;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Trouble, show_path};
use crate::fs::Who;
use crate::host::assign::{Assignment, Match};
use crate::host::dot_qmail::{Catchall, DotQmail, Instruction, Opening, Program, spelled};
use crate::host::line::codes::bounces;
use crate::host::mailboxes::alias::Effect;
use crate::host::mailboxes::{Source, Users};
use crate::host::vpopmail::{
    ABSENT, ADDRESS_MAX, COMPILED, Mail, Mailbox, Mailboxes, TEXT, Vpasswd, is_legal_host, is_legal_name,
};
use crate::host::{Home, HomeState, Homes, Host};
use crate::text::{DEFAULT, Shown, join_address, lower, show_domain, split_address};
use programs::{Asking, Lines};

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is delivered.
    Deliver,
    /// It is kept and tried again.
    Defer,
    /// It is returned to its sender, or only swallowed and not wanted.
    Bounce,
    /// It goes to another host.
    Remote,
    /// This process may not read what decides. The table must not refuse it for that.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Deliver => "deliver",
            Verdict::Defer => "defer",
            Verdict::Bounce => "bounce",
            Verdict::Remote => "remote",
            Verdict::Unknown => "unknown",
        })
    }
}

/// What takes the mail of a name that is accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Taker {
    /// A file, an account, a program line, a list; also mail that is deferred.
    #[default]
    Other,
    /// A mailbox of vpopmail.
    Mailbox,
    /// An alias in a user database.
    Alias,
    /// The catch-all of vdelivermail.
    CatchAll,
    /// With qmail-ext, a mailbox whose name is what the name has before its first `-`.
    Extension,
}

/// A uid or gid that setuid(2) and setgid(2) refuse, because it means "leave it as it is".
const NO_ID: u32 = u32::MAX;

/// What is said of mail for an address with nothing before its `@`.
pub const NO_LOCAL_PART: &str = "no local part: qmail drops the message silently";
/// What is said of mail that a file takes, if no line of it delivers.
pub const DROPPED: [&str; 2] = [NOTHING, DONE];
/// What is said of a file that does nothing.
const NOTHING: &str = "nothing to do: delivered";
/// What is said of a line that ends a delivery well.
const DONE: &str = "exit 99: done, delivered";
/// What is said of mail that only a catch-all `delete` takes.
pub const SWALLOWED: &str = "nothing but the catch-all takes it, which swallows it: refused instead";
/// Why nobody can know what an address without a line in users/assign comes to.
pub const UNLISTED: &str = "accounts come from elsewhere too and cannot be listed; there may be one for this: deferred";
/// What would become of a message to one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What becomes of it.
    pub verdict: Verdict,
    /// What could not be read, when the verdict says only "we cannot know" and what is published is kept.
    pub doubt: Option<Doubt>,
    /// Whether what decides could be read.
    pub known: bool,
    /// What takes it, when it is delivered.
    pub taker: Taker,
    /// The program line that takes it, when its users cannot be known.
    pub open: Option<Box<Open>>,
}

/// A program line that takes every name, because nobody can know which ones it has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Open {
    /// The file.
    pub path: PathBuf,
    /// The line in it, from 1.
    pub line: usize,
    /// The program that decides, or the first word of a line that is not read.
    pub program: Vec<u8>,
    /// What closes it, when it is known.
    pub kind: OpenKind,
}

/// Why a program line takes every name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OpenKind {
    /// The program is not known.
    Program,
    /// Dovecot may have users that vpopmail does not have.
    Dovecot,
    /// The line depends on a condition.
    Condition,
    /// The shell may do anything with the line.
    Line,
}

/// A source that could not be read, and the assignment that led to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Doubt {
    /// The home, or the file of control/validrcptto.d.
    pub home: Vec<u8>,
    /// `+loc` or `=local` of users/assign, an account's name, or `validrcptto.d/domain`.
    pub assignment: Vec<u8>,
    /// Why it could not be read.
    pub cause: Trouble,
}

impl Delivery {
    /// Whether qmail keeps the message, so that it must not be refused.
    pub fn accepted(&self) -> bool {
        self.verdict != Verdict::Bounce
    }

    /// Whether a program decides that qmail runs as before: only its line in validrcptto.programs cannot be used.
    pub fn is_undeclared(&self, host: &Host) -> bool {
        let unusable = host.control.programs.unusable.as_ref();
        self.doubt.as_ref().is_some_and(|doubt| unusable.is_some_and(|unusable| unusable.path == doubt.home))
    }
}

impl From<Verdict> for Delivery {
    fn from(verdict: Verdict) -> Delivery {
        Delivery { verdict, doubt: None, known: true, taker: Taker::Other, open: None }
    }
}

/// One step on the way of an address, with the file and line behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The file.
    pub path: Option<PathBuf>,
    /// The line in it, from 1.
    pub line: Option<usize>,
    /// What it says, and what follows.
    pub text: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}: ", show_path(path))?;
        }
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.text)
    }
}

/// Collects the steps where somebody wants to know them.
#[derive(Debug, Default)]
pub struct Trail(Option<Vec<Step>>);

impl Trail {
    /// Keeps every step.
    pub fn kept() -> Trail {
        Trail(Some(Vec::new()))
    }

    /// Keeps none, and costs nothing.
    pub fn unkept() -> Trail {
        Trail(None)
    }

    /// The steps in their order.
    pub fn steps(self) -> Vec<Step> {
        self.0.unwrap_or_default()
    }

    fn add(&mut self, step: impl FnOnce() -> (PathBuf, Option<usize>, String)) {
        if let Some(steps) = &mut self.0 {
            let (path, line, text) = step();
            steps.push(Step { path: Some(path), line, text });
        }
    }
}

/// A file and a line in it; the path is made only when somebody wants to know.
#[derive(Clone, Copy)]
struct Place<'a> {
    path: &'a dyn Fn() -> PathBuf,
    line: Option<usize>,
}

impl Place<'_> {
    fn note(&self, trail: &mut Trail, text: impl FnOnce() -> String) {
        trail.add(|| ((self.path)(), self.line, text()));
    }

    fn decide(&self, trail: &mut Trail, verdict: Verdict, text: impl FnOnce() -> String) -> Delivery {
        self.note(trail, text);
        verdict.into()
    }
}

/// Where qmail-send and qmail-lspawn take an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// It is decided before any home is looked at.
    Decided(Verdict),
    /// It cannot be known: there may be an account for it.
    Unlisted,
    /// qmail-local is run.
    Local(Assigned<'a>),
}

/// What qmail-local is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned<'a> {
    /// The uid and gid it runs as.
    pub who: Who,
    /// The user as users/assign names it, or the account.
    pub user: &'a [u8],
    /// `+loc` or `=local` of users/assign, or an account's name.
    pub assignment: Vec<u8>,
    /// The home, absolute.
    pub home: &'a [u8],
    /// What stands between `.qmail` and ext.
    pub dash: &'a [u8],
    /// The extension, in lower case.
    pub ext: Vec<u8>,
    /// The whole local part after qmail-send's rewriting, in lower case.
    pub local: Vec<u8>,
    /// The domain of the address, in lower case.
    pub domain: Vec<u8>,
    /// Whether users/assign named the home: then its absence is a failure of the host, not the account's own.
    pub from_assign: bool,
}

impl Assigned<'_> {
    /// What cannot be known, because `cause` keeps something in this home from being read, when the published answer is
    /// kept for it.
    fn doubted(&self, home: &[u8], cause: Trouble) -> Delivery {
        let delivery = unread(&cause);
        let doubt = Doubt { home: home.to_vec(), assignment: self.assignment.clone(), cause };
        Delivery { doubt: Some(doubt), ..delivery }
    }
}

/// What cannot be known for this cause: qmail, which may read it, or finds it as broken as we do, keeps the message.
fn unread(cause: &Trouble) -> Delivery {
    Delivery { known: false, ..if cause.denied { Verdict::Unknown } else { Verdict::Defer }.into() }
}

/// Takes the address where qmail-send and qmail-lspawn take it; its case does not count.
pub fn route<'a>(host: &'a Host, address: &[u8], trail: &mut Trail) -> Route<'a> {
    let mut address = lower(address);
    if !address.contains(&b'@') {
        let envnoathost = &host.control.envnoathost;
        trail.add(|| {
            let file = host.control_path(host.control.envnoathost_file);
            (file, Some(1), format!("no @ in the address; @{} is appended", Shown(envnoathost)))
        });
        address = join_address(&address, envnoathost);
    }
    // Cannot be None because an @ was just made sure of.
    let (local, domain) = split_address(&address).unwrap_or_default();
    let control = &host.control;
    let nobody = local.is_empty();
    let local = if let Some(line) = control.locals.get(domain) {
        trail.add(|| {
            let file = host.control_path(if control.locals_from_me { "me" } else { "locals" });
            (file, *line, format!("{} is local", Shown(domain)))
        });
        local.to_vec()
    } else {
        let Some((key, virtual_domain)) = control.virtual_domain(&address) else {
            trail.add(|| {
                let text = format!("{} is neither in locals nor here: another host's", show_domain(domain));
                (host.control_path("virtualdomains"), None, text)
            });
            return Route::Decided(Verdict::Remote);
        };
        let file = || (host.control_path("virtualdomains"), Some(virtual_domain.line));
        let prepend = &virtual_domain.prepend;
        if prepend.is_empty() {
            trail.add(|| {
                let text = format!("\"{}\" has an empty prepend, which makes it another host's", Shown(key));
                (file().0, file().1, text)
            });
            return Route::Decided(Verdict::Remote);
        }
        let whole = [&prepend[..], b"-", local].concat();
        trail.add(|| {
            let key = if key.is_empty() { "the empty key".to_owned() } else { format!("\"{}\"", Shown(key)) };
            let text = format!("{key} makes it virtual; the local part becomes {}", Shown(&whole));
            (file().0, file().1, text)
        });
        whole
    };
    if nobody {
        trail.add(|| {
            let file = if control.locals.contains_key(domain) { "locals" } else { "virtualdomains" };
            (host.control_path(file), None, NO_LOCAL_PART.to_owned())
        });
        return Route::Decided(Verdict::Bounce);
    }
    own(host, local, domain.to_vec(), trail)
}

/// qmail-lspawn: users/assign, else qmail-getpw.
fn own<'a>(host: &'a Host, local: Vec<u8>, domain: Vec<u8>, trail: &mut Trail) -> Route<'a> {
    match host.assignments.find(&local) {
        Some(Match::Exact(line)) => {
            let ext = lower(&line.ext);
            assigned(host, line, [b"=", &local[..]].concat(), ext, local, domain, trail)
        }
        Some(Match::Wildcard(loc, line)) => {
            let ext = [&lower(&line.ext)[..], &local[loc.len()..]].concat();
            assigned(host, line, [b"+", loc].concat(), ext, local, domain, trail)
        }
        None => getpw(host, local, domain, trail),
    }
}

fn assigned<'a>(
    host: &'a Host,
    line: &'a Assignment,
    key: Vec<u8>,
    ext: Vec<u8>,
    local: Vec<u8>,
    domain: Vec<u8>,
    trail: &mut Trail,
) -> Route<'a> {
    let place = Place { path: &|| host.assign_path(), line: line.line };
    place.note(trail, || {
        format!(
            "\"{}\" assigns it to {} (uid {}), home {}, extension \"{}\"",
            Shown(&key),
            Shown(&line.user),
            line.who.uid,
            Shown(&line.home),
            Shown(&ext)
        )
    });
    let (who, home, dash) = (line.who, &line.home, &line.dash);
    let user = &line.user;
    run_local(Assigned { who, user, assignment: key, home, dash, ext, local, domain, from_assign: true }, &place, trail)
}

/// qmail-getpw: an account, else alias.
fn getpw<'a>(host: &'a Host, local: Vec<u8>, domain: Vec<u8>, trail: &mut Trail) -> Route<'a> {
    let accounts = &host.accounts;
    trail.add(|| (host.assign_path(), None, format!("no line for {}: qmail-getpw is asked", Shown(&local))));
    let found = accounts.find(&local, host.layout.break_byte);
    if accounts.more_unlisted && found.is_none_or(|(name, _)| name != local) {
        trail.add(|| (host.layout.root.path(b"/etc/nsswitch.conf"), None, UNLISTED.to_owned()));
        return Route::Unlisted;
    }
    let (name, account, dash, ext) = match (found, &accounts.alias) {
        (Some((name, account)), _) if name == local => (name, account, &b""[..], &b""[..]),
        (Some((name, account)), _) => (name, account, &b"-"[..], &local[name.len() + 1..]),
        (None, Some(alias)) => (&b"alias"[..], alias, &b"-"[..], &local[..]),
        (None, None) => {
            trail.add(|| {
                let text = "no account for it, and no account alias: deferred".to_owned();
                (host.layout.root.path(b"/etc/passwd"), None, text)
            });
            return Route::Decided(Verdict::Defer);
        }
    };
    let place = Place { path: &|| host.layout.root.path(b"/etc/passwd"), line: account.line };
    place.note(trail, || {
        format!(
            "account {} (uid {}), home {}, extension \"{}\"",
            Shown(name),
            account.who.uid,
            Shown(&account.home),
            Shown(ext)
        )
    });
    let (ext, assignment) = (ext.to_vec(), name.to_vec());
    let (who, home) = (account.who, &account.home);
    run_local(
        Assigned { who, user: name, assignment, home, dash, ext, local, domain, from_assign: false },
        &place,
        trail,
    )
}

/// What qmail-lspawn and qmail-local refuse at once.
fn run_local<'a>(assigned: Assigned<'a>, place: &Place<'_>, trail: &mut Trail) -> Route<'a> {
    if assigned.who.uid == 0 {
        place.note(trail, || "uid 0: qmail delivers nothing as root: deferred".to_owned());
        return Route::Decided(Verdict::Defer);
    }
    for (what, id) in [("gid", assigned.who.gid), ("uid", assigned.who.uid)] {
        if id == NO_ID {
            place.note(trail, || format!("{what} {id}: no process can have it: deferred"));
            return Route::Decided(Verdict::Defer);
        }
    }
    if assigned.home.first() != Some(&b'/') {
        place.note(trail, || "the home is no absolute path: qmail-local bounces it".to_owned());
        return Route::Decided(Verdict::Bounce);
    }
    Route::Local(assigned)
}

/// What qmail would do with a message to `address`.
pub fn deliver(host: &Host, homes: &dyn Homes, address: &[u8], trail: &mut Trail) -> Delivery {
    match route(host, address, trail) {
        Route::Decided(Verdict::Remote) => remote(host, address),
        Route::Decided(verdict) => verdict.into(),
        Route::Unlisted => Delivery { known: false, ..Verdict::Defer.into() },
        Route::Local(assigned) => qmail_local(host, homes, &assigned, trail),
    }
}

/// Another host's mail. Which names that host takes, only a list can say.
fn remote(host: &Host, address: &[u8]) -> Delivery {
    let domain = split_address(address).map(|(_, domain)| lower(domain)).unwrap_or_default();
    let Some(list) = host.control.unusable_list(&domain) else { return Verdict::Remote.into() };
    let assignment = [b"validrcptto.d/", &domain[..]].concat();
    let doubt = Doubt { home: list.path.clone(), assignment, cause: list.cause.clone() };
    let verdict = if list.cause.denied { Verdict::Unknown } else { Verdict::Remote };
    Delivery { doubt: Some(doubt), known: false, ..verdict.into() }
}

/// qmail-local: the home, then the dot-qmail file that answers for the extension.
fn qmail_local(host: &Host, homes: &dyn Homes, assigned: &Assigned<'_>, trail: &mut Trail) -> Delivery {
    let home = homes.home(assigned.home);
    let home_path = || host.layout.root.path(assigned.home);
    let here = Place { path: &home_path, line: None };
    // qmail-getpw passes over an account whose home is missing; one that cannot be read is no less a failure there.
    let failed = assigned.from_assign || matches!(home.state, HomeState::Unreadable(..));
    let mut doubted = |cause: Trouble| {
        let delivery = if failed { assigned.doubted(assigned.home, cause.clone()) } else { Verdict::Defer.into() };
        here.note(trail, || told(&cause));
        delivery
    };
    match &home.state {
        HomeState::Missing(cause) => return doubted(cause.as_str().into()),
        // What the modes say is so, whoever looks.
        HomeState::Unreadable(_, cause) if !cause.denied => return doubted(cause.clone()),
        HomeState::Unreadable(..) | HomeState::Listed(..) => {}
    }
    if let Some(why) = home.refusal(assigned.who) {
        return doubted(why.into());
    }
    let forbids = |bit: u32| home.perm().is_some_and(|perm| perm.mode & bit != 0);
    if forbids(0o002) {
        return here.decide(trail, Verdict::Defer, || "world-writable: deferred".to_owned());
    }
    if forbids(0o1000) {
        return here.decide(trail, Verdict::Defer, || "sticky: deferred".to_owned());
    }
    let dot_qmails = match &home.state {
        HomeState::Listed(_, dot_qmails) => dot_qmails,
        HomeState::Unreadable(_, cause) => return doubted(cause.clone()),
        HomeState::Missing(cause) => return doubted(cause.as_str().into()),
    };
    let safe_ext = spelled(&assigned.ext);
    // Whoever reads the trail wants to see the names that are not there, too.
    let is_kept = trail.0.is_some();
    let defaults = (0..=safe_ext.len())
        .rev()
        .filter(|end| *end == 0 || safe_ext[end - 1] == b'-')
        .map(|end| [assigned.dash, &safe_ext[..end], DEFAULT].concat())
        .filter(|name| is_kept || dot_qmails.may_hold_default(name));
    let whole = std::iter::once(([assigned.dash, &safe_ext].concat(), true));
    for (name, is_whole) in whole.chain(defaults.map(|name| (name, false))) {
        let path = || host.layout.root.path(&[assigned.home, b"/.qmail", &name].concat());
        let here = Place { path: &path, line: None };
        let mut deferred = |why: &str| here.decide(trail, Verdict::Defer, || format!("{why}: deferred"));
        match dot_qmails.open(&name, assigned.who) {
            Opening::Passed(why) => here.note(trail, || why.to_owned()),
            Opening::Denied => return deferred(&format!("uid {} may not open it", assigned.who.uid)),
            Opening::Unread(cause) => {
                here.note(trail, || format!("not read: {}", told(cause)));
                return unread(cause);
            }
            Opening::File(perm, _) if perm.mode & 0o002 != 0 => return deferred("world-writable"),
            Opening::File(perm, content) => {
                let forward_only = perm.mode & 0o100 != 0;
                // Of the whole name there is no rest.
                let prefix = name.strip_suffix(DEFAULT).filter(|_| !is_whole);
                let rest = prefix.and_then(|prefix| assigned.ext.get(prefix.len() - assigned.dash.len()..));
                let file = DotQmailFile { content, forward_only, path: &path, rest };
                return follow(host, homes, &home, assigned, &file, trail);
            }
        }
    }
    if assigned.dash.is_empty() {
        here.decide(trail, Verdict::Deliver, || "no .qmail file, and none is needed: default delivery".to_owned())
    } else {
        here.decide(trail, Verdict::Bounce, || "no .qmail file answers: no mailbox here by that name".to_owned())
    }
}

/// What cannot be known, in words.
fn told(cause: &Trouble) -> String {
    format!("{cause}: {}", if cause.denied { "unknown" } else { "deferred" })
}

/// The dot-qmail file that was found.
struct DotQmailFile<'a> {
    content: &'a DotQmail,
    /// Its owner's x bit is set.
    forward_only: bool,
    /// What `default` in its name stands for.
    rest: Option<&'a [u8]>,
    path: &'a dyn Fn() -> PathBuf,
}

/// Follows the instructions line by line until one decides.
fn follow(
    host: &Host,
    homes: &dyn Homes,
    home: &Arc<Home>,
    assigned: &Assigned<'_>,
    file: &DotQmailFile<'_>,
    trail: &mut Trail,
) -> Delivery {
    use Verdict::{Bounce, Defer, Deliver};
    let whole = Place { path: file.path, line: None };
    if file.content.empty {
        return whole.decide(trail, Deliver, || "empty: default delivery".to_owned());
    }
    if file.content.blank_first {
        let first = Place { line: Some(1), ..whole };
        return first.decide(trail, Defer, || "blank first line: deferred".to_owned());
    }
    let mut forward_only = file.forward_only;
    let mut lines = Lines::default();
    for (line, instruction) in &file.content.instructions {
        let here = Place { line: Some(*line), ..whole };
        let mut decide = |verdict, text: &str| here.decide(trail, verdict, || text.to_owned());
        let program = match instruction {
            Instruction::List => {
                forward_only = true;
                continue;
            }
            Instruction::Mailbox | Instruction::Program(_) if file.forward_only => {
                return decide(Defer, "mailbox or program line in a file with the owner's x bit: deferred");
            }
            Instruction::Mailbox | Instruction::Program(_) if forward_only => {
                return decide(Defer, "mailbox or program line after +list: deferred");
            }
            Instruction::Mailbox => return decide(Deliver, "mailbox or maildir: delivered"),
            Instruction::Program(program) => program,
        };
        let place = Some(*line);
        match program {
            Program::Unknown(word) => {
                let open = Open { path: (file.path)(), line: *line, program: word.to_vec(), kind: OpenKind::Line };
                let delivery = decide(Deliver, "a line that is not read: taken as delivered");
                return Delivery { open: Some(Box::new(open)), ..delivery };
            }
            Program::Bouncesaying => {
                return lines.bounce(&here, trail, "bouncesaying: bounced");
            }
            Program::Exit(0) => {}
            Program::Exit(99) => return decide(Deliver, DONE),
            Program::Exit(code) if bounces(*code) => {
                return lines.bounce(&here, trail, &format!("exit {code}: bounced"));
            }
            Program::Exit(code) => return here.decide(trail, Defer, || format!("exit {code}: deferred")),
            Program::VdelivermailMisused => {
                return decide(Defer, "vdelivermail without exactly two arguments: deferred");
            }
            Program::Vdelivermail(catchall) => {
                match vdelivermail(host, homes, home, assigned, catchall, &here, trail) {
                    Taken::Decided(delivery) => return lines.settle(delivery),
                    Taken::Deleted => lines.went_on(false, Some(place)),
                    Taken::Passed => {
                        lines.went_on(false, None);
                        lines.passed = true;
                    }
                }
            }
            Program::Line(program) => {
                let asking = Asking { host, homes, home, assigned, rest: file.rest, here };
                if let Some(delivery) = asking.follow(program, &mut lines, trail) {
                    return delivery;
                }
            }
        }
    }
    if let Some(line) = file.content.first_forward {
        let here = Place { line: Some(line), ..whole };
        return here.decide(trail, Deliver, || "forwards: delivered".to_owned());
    }
    match lines.deleted {
        Some(line) if host.layout.refuse_delete => {
            let here = Place { line, ..whole };
            lines.settle(here.decide(trail, Bounce, || SWALLOWED.to_owned()))
        }
        Some(line) => {
            let delivery = Place { line, ..whole }.decide(trail, Deliver, || "swallowed by the catch-all".to_owned());
            Delivery { taker: Taker::CatchAll, ..delivery }
        }
        None => {
            let taker = if lines.passed { Taker::Alias } else { Taker::Other };
            let delivery = whole.decide(trail, Deliver, || NOTHING.to_owned());
            Delivery { taker, open: lines.open(), ..delivery }
        }
    }
}

/// What vdelivermail does with a message.
enum Taken {
    /// This becomes of it.
    Decided(Delivery),
    /// The catch-all `delete` took it, and qmail-local reads the next line.
    Deleted,
    /// An alias took it that does nothing, and qmail-local reads the next line.
    Passed,
}

/// vdelivermail '' CATCHALL: the extension is the mailbox, the address's domain the vpopmail domain.
fn vdelivermail(
    host: &Host,
    homes: &dyn Homes,
    home: &Arc<Home>,
    assigned: &Assigned<'_>,
    catchall: &Catchall,
    here: &Place<'_>,
    trail: &mut Trail,
) -> Taken {
    use Verdict::{Bounce, Deliver};
    let (name, domain) = (&assigned.ext[..], &assigned.domain[..]);
    let unfit = if name == assigned.local {
        Some("the extension is the whole local part (looping)")
    } else if !is_legal_host(domain) {
        Some("a byte in the domain that vpopmail does not take")
    } else if !is_legal_name(name) {
        Some("a byte in the name that vpopmail does not take")
    } else {
        None
    };
    if let Some(why) = unfit {
        return Taken::Decided(here.decide(trail, Bounce, || format!("vdelivermail: {why}: bounced")));
    }
    let not_read = match &host.build.users {
        Source::Files | Source::Snapshot(_) => None,
        // No refusal is kept: it may come from files that vpopmail does not look at.
        Source::Elsewhere(cause) => Some((cause, unread(cause))),
        Source::Failed(cause) | Source::Unknown(_, cause) => Some((cause, assigned.doubted(&home.path, cause.clone()))),
    };
    if let Some((cause, delivery)) = not_read {
        here.note(trail, || {
            let taken = if cause.denied { "unknown" } else { "taken as deferred" };
            format!("vdelivermail looks for {} in {}: {cause}: {taken}", Shown(name), Shown(domain))
        });
        return Taken::Decided(delivery);
    }
    let line = host.assignments.vpopmail_domain(domain);
    let asked = match line {
        Some(line) => {
            let its_home = if line.home == home.path { home.clone() } else { homes.home(&line.home) };
            let is_own = line.who.uid == assigned.who.uid;
            let users = its_home.users_of(&line.user);
            let found = users.and_then(|users| ask_aliases(host, assigned, (users, &line.home), here, trail));
            found.or_else(|| {
                if is_own || users.is_some_and(|users| users.for_any_uid) {
                    let mailboxes = its_home.known_mailboxes(&line.user);
                    let database = users.filter(|users| users.of.is_some());
                    let asked = Asked { home: &line.home, database, mailboxes };
                    return ask_mailboxes(host, assigned, &asked, here, trail);
                }
                here.note(trail, || {
                    format!("vdelivermail: users/assign gives {} another uid, so it has no mailbox", Shown(domain))
                });
                None
            })
        }
        None => {
            let users = homes.unassigned(domain);
            let found = users.as_ref().and_then(|users| ask_aliases(host, assigned, (users, &home.path), here, trail));
            found.or_else(|| {
                if let Some(users) = users.as_deref().filter(|users| users.for_any_uid) {
                    let mailboxes = match &users.mailboxes {
                        Mailboxes::Unknown(cause) => Err(cause.clone()),
                        mailboxes => mailboxes.known().ok_or_else(|| ABSENT.into()),
                    };
                    let asked = Asked { home: &home.path, database: Some(users), mailboxes };
                    return ask_mailboxes(host, assigned, &asked, here, trail);
                }
                here.note(trail, || {
                    format!("vdelivermail: no line +{}- in users/assign, so it has no mailbox", Shown(domain))
                });
                None
            })
        }
    };
    if let Some(taken) = asked {
        return taken;
    }
    Taken::Decided(match catchall {
        Catchall::Bounce => here.decide(trail, Bounce, || "catch-all bounce-no-mailbox: bounced".to_owned()),
        Catchall::Deliver(_) => {
            let delivery = here.decide(trail, Deliver, || "the catch-all takes it: delivered".to_owned());
            Delivery { taker: Taker::CatchAll, ..delivery }
        }
        Catchall::Delete => {
            here.note(trail, || "catch-all delete: the next line is read".to_owned());
            return Taken::Deleted;
        }
    })
}

/// What the aliases of a user database make of a name; `None` when none answers for it. They are those of the domain whose
/// home directory is `home`.
fn ask_aliases(
    host: &Host,
    assigned: &Assigned<'_>,
    (users, home): (&Users, &[u8]),
    here: &Place<'_>,
    trail: &mut Trail,
) -> Option<Taken> {
    let aliases = match &users.aliases {
        Ok(aliases) => aliases,
        Err(cause) => return Some(cannot_know(host, assigned, (home, cause), here, trail)),
    };
    let (alias, (effect, number, words)) = aliases.find(&assigned.ext, host.layout.qmail_ext)?;
    let of = users.of.as_deref().unwrap_or_default();
    let table = Place { path: &|| users.tables.1.clone(), line: None };
    table.note(trail, || format!("{}, row {number}: {words}", Shown(&join_address(alias, of))));
    Some(match effect {
        Effect::Passes => Taken::Passed,
        Effect::Delivers => Taken::Decided(Delivery { taker: Taker::Alias, ..Verdict::Deliver.into() }),
        Effect::Defers => Taken::Decided(Verdict::Defer.into()),
        Effect::Bounces => Taken::Decided(Verdict::Bounce.into()),
    })
}

/// Mailboxes that are asked for.
struct Asked<'a> {
    /// Where their domain's home directory is.
    home: &'a [u8],
    /// What the user database says, when it is one.
    database: Option<&'a Users>,
    mailboxes: Result<&'a Vpasswd, Trouble>,
}

/// What the mailboxes make of a name; `None` when none is found.
fn ask_mailboxes(
    host: &Host,
    assigned: &Assigned<'_>,
    asked: &Asked<'_>,
    here: &Place<'_>,
    trail: &mut Trail,
) -> Option<Taken> {
    let (name, domain) = (&assigned.ext[..], &assigned.domain[..]);
    let home = asked.home;
    let found = asked.mailboxes.as_ref().map(|mailboxes| find_mailbox(host, mailboxes, name));
    match found {
        Err(cause) => Some(cannot_know(host, assigned, (home, cause), here, trail)),
        Ok(Some((its, mailbox))) => {
            let taker = if its == name { Taker::Mailbox } else { Taker::Extension };
            let name = its;
            here.note(trail, || format!("vdelivermail looks for {} in {}", Shown(name), Shown(domain)));
            let (verdict, why) = judge_mailbox(mailbox);
            let taken = |delivery| Some(Taken::Decided(Delivery { taker, ..delivery }));
            if let Some(users) = asked.database {
                let table = Place { path: &|| users.tables.0.clone(), line: None };
                let address = join_address(name, users.of.as_deref().unwrap_or_default());
                let found = || format!("{}: mailbox: {why}", Shown(&address));
                return taken(table.decide(trail, verdict, found));
            }
            let line = mailbox.line;
            let file = if line.is_some() { TEXT } else { COMPILED };
            let path = || host.layout.root.path(&[home, b"/", file.as_bytes()].concat());
            let found = || format!("mailbox {}: {why}", Shown(name));
            taken(Place { path: &path, line }.decide(trail, verdict, found))
        }
        Ok(None) => {
            here.note(trail, || format!("vdelivermail finds no mailbox {} in {}", Shown(name), Shown(domain)));
            None
        }
    }
}

/// Where the users of the domain whose home directory is `home` could not be read.
fn cannot_know(
    host: &Host,
    assigned: &Assigned<'_>,
    (home, cause): (&[u8], &Trouble),
    here: &Place<'_>,
    trail: &mut Trail,
) -> Taken {
    here.note(trail, || {
        let taken = if cause.denied { "unknown" } else { "taken as deferred" };
        format!("vdelivermail: {}: {cause}: {taken}", show_path(&host.layout.root.path(home)))
    });
    Taken::Decided(assigned.doubted(home, cause.clone()))
}

/// The mailbox that takes the name, or, with qmail-ext, the name up to its first `-`.
fn find_mailbox<'a>(host: &Host, mailboxes: &'a Vpasswd, name: &'a [u8]) -> Option<(&'a [u8], Mailbox<'a>)> {
    let find = |name: &'a [u8]| Some((name, mailboxes.find(name).filter(|_| name.len() <= ADDRESS_MAX)?));
    let base = || name.iter().position(|b| *b == b'-').filter(|_| host.layout.qmail_ext).map(|dash| &name[..dash]);
    find(name).or_else(|| find(base()?))
}

fn judge_mailbox(mailbox: Mailbox<'_>) -> (Verdict, &'static str) {
    match mailbox.mail() {
        Mail::Crashes => (Verdict::Defer, "its record has fewer than three fields: deferred"),
        Mail::SwitchedOff => (Verdict::Bounce, "its mail is switched off: bounced"),
        Mail::NoDirectory => (Verdict::Bounce, "its record has no field for a directory: bounced"),
        Mail::Delivered => (Verdict::Deliver, "delivered"),
    }
}
