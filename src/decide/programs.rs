//! What a program line comes to for one address (docs/rules.md, 12): each program in it is asked, and the exit codes that
//! follow decide.

use std::sync::Arc;

use super::{
    Assigned, Delivery, Doubt, Open, OpenKind, Place, Taken, Taker, Trail, Verdict, told, unread, vdelivermail,
};
use crate::error::show_path;
use crate::host::line::aliases::{Aliases, Fastforward, Vdeliver};
use crate::host::line::codes::{
    AGENT, Codes, DELETED, DELIVERED, DOUBTED, Ending, FAILED, FILTER, PENDING, REFUSED, bounces,
};
use crate::host::line::declared::Declared;
use crate::host::line::words::Word;
use crate::host::line::{Agent, Command, Line, filter, unknown};
use crate::host::mailboxes::Source;
use crate::host::vpopmail::ADDRESS_MAX;
use crate::host::{Home, Homes, Host};
use crate::text::{Shown, join_address, lower, split_address};

/// What came of the lines of a file so far that did not decide.
#[derive(Default)]
pub(super) struct Lines {
    /// The line in which a program that is not known has run, and none since that knows users.
    pending: Option<Box<Open>>,
    /// The line of the catch-all `delete`, if it swallowed the message.
    pub deleted: Option<Option<usize>>,
    /// Whether an alias took the message that does nothing with it.
    pub passed: bool,
    /// The line that went on because of a condition.
    condition: Option<Box<Open>>,
    /// What an earlier line may come to.
    deferred: Option<Delivery>,
}

impl Lines {
    /// What is decided, when an earlier line may defer.
    pub fn settle(&mut self, delivery: Delivery) -> Delivery {
        match self.deferred.take() {
            Some(deferred) if delivery.verdict == Verdict::Bounce => deferred,
            _ => delivery,
        }
    }

    /// A bounce that asks no users: what ran before may have delivered.
    pub fn bounce(&mut self, here: &Place<'_>, trail: &mut Trail, text: &str) -> Delivery {
        if let Some(open) = self.pending.take() {
            let delivery = here.decide(trail, Verdict::Deliver, || {
                format!("{text}, but {} may have delivered: taken as delivered", Shown(&open.program))
            });
            return Delivery { open: Some(open), ..delivery };
        }
        let delivery = here.decide(trail, Verdict::Bounce, || text.to_owned());
        self.settle(delivery)
    }

    /// What is not known, and has decided when no line decides.
    pub fn open(&mut self) -> Option<Box<Open>> {
        self.pending.take().or_else(|| self.condition.take())
    }

    /// A program that knows users has run, and the next line is read.
    pub fn went_on(&mut self, is_pending: bool, deleted: Option<Option<usize>>) {
        if !is_pending {
            self.pending = None;
        }
        self.deleted = self.deleted.or(deleted);
    }
}

/// One line of one file for one address.
pub(super) struct Asking<'a> {
    pub host: &'a Host,
    pub homes: &'a dyn Homes,
    pub home: &'a Arc<Home>,
    pub assigned: &'a Assigned<'a>,
    /// What `default` in the name of the file stands for.
    pub rest: Option<&'a [u8]>,
    pub here: Place<'a>,
}

/// What the mailboxes say of a name.
enum Mailbox {
    Is,
    IsNone,
    /// It cannot be known which name is asked for.
    Unclear,
    /// They could not be read.
    Doubted(Delivery),
}

/// What was met while a line was asked.
#[derive(Default)]
struct Met {
    /// What could not be read.
    doubted: Option<Delivery>,
    /// The first program that is not known, and why it decides.
    open: Option<(Vec<u8>, OpenKind)>,
    /// The first program that says what holds, such as `test`.
    condition: Option<Vec<u8>>,
    /// What takes the mail in the first program that delivers.
    taker: Option<Taker>,
    /// Whether an alias took the message that does nothing with it.
    passed: bool,
    /// Whether a program that is declared to have the mailboxes of vpopmail was asked for another name.
    is_no_mailbox: bool,
}

impl Asking<'_> {
    /// What the line comes to; `None` when the next one is read.
    pub fn follow(&self, line: &Line, lines: &mut Lines, trail: &mut Trail) -> Option<Delivery> {
        let mut met = Met::default();
        let mut asked: Vec<Option<Vec<Ending>>> = vec![None; line.commands];
        let states = line.run(&mut |command| {
            let known = asked.get(command.number).cloned().flatten();
            known.unwrap_or_else(|| {
                let endings = self.ask(command, &mut met, trail);
                if let Some(slot) = asked.get_mut(command.number) {
                    *slot = Some(endings.clone());
                }
                endings
            })
        });
        let condition = met.condition.take().map(|program| (program, OpenKind::Condition));
        let open = met.open.take().or(condition).map(|(program, kind)| {
            let (path, line) = ((self.here.path)(), self.here.line.unwrap_or(1));
            Box::new(Open { path, line, program, kind })
        });
        let (mut delivers, mut may_deliver, mut doubts, mut defers, mut is_bounced) =
            (false, false, false, false, false);
        let (mut goes_on, mut is_deleted, mut is_plain) = (Codes::default(), false, false);
        let mut is_pending = false;
        for (marks, codes) in states.each() {
            let has = |mark: u8| marks & mark != 0;
            if has(DELIVERED) {
                delivers = true;
                continue;
            }
            if has(DOUBTED) {
                doubts = true;
                continue;
            }
            if has(FILTER) {
                continue;
            }
            let is_open = has(PENDING) && !has(AGENT);
            // What ran in an earlier line counts as long as no program of this one knows users.
            let is_open = is_open || (lines.pending.is_some() && !has(AGENT) && !has(DELETED));
            if has(REFUSED) {
                if is_open {
                    may_deliver = true
                } else {
                    is_bounced = true
                }
                continue;
            }
            for code in codes.each() {
                match code {
                    0 => {
                        goes_on = goes_on.or(Codes::of(0));
                        is_pending |= has(PENDING);
                        if has(DELETED) { is_deleted = true } else { is_plain = true }
                    }
                    99 => may_deliver = true,
                    code if bounces(code) && is_open => may_deliver = true,
                    code if bounces(code) => is_bounced = true,
                    _ => defers |= !has(FAILED),
                }
            }
        }
        trail.add(|| {
            let commands = line.programs().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            let text = format!("the shell runs {}", if commands.is_empty() { "no program" } else { &commands });
            ((self.here.path)(), self.here.line, text)
        });
        let decide = |trail: &mut Trail, verdict, text: &str| self.here.decide(trail, verdict, || text.to_owned());
        if delivers {
            let delivery = decide(trail, Verdict::Deliver, "delivered");
            return Some(Delivery { taker: met.taker.unwrap_or_default(), ..delivery });
        }
        if may_deliver {
            let open = open.or_else(|| lines.pending.take());
            let text = if open.is_some() { "a program that may deliver: taken as delivered" } else { super::DONE };
            return Some(Delivery { open, ..decide(trail, Verdict::Deliver, text) });
        }
        if doubts {
            return Some(met.doubted.unwrap_or_else(|| Delivery {
                open,
                ..decide(trail, Verdict::Defer, "it may have users that vpopmail does not have: deferred")
            }));
        }
        if goes_on.is_empty() {
            if is_bounced && !defers {
                let text = if met.is_no_mailbox { "no mailbox by that name: bounced" } else { "bounced" };
                let delivery = decide(trail, Verdict::Bounce, text);
                return Some(lines.settle(delivery));
            }
            return Some(Delivery { open, ..decide(trail, Verdict::Defer, "deferred") });
        }
        if defers {
            lines.deferred = Some(Delivery { open: open.clone(), ..Verdict::Defer.into() });
        }
        if is_pending {
            lines.pending = open.or_else(|| lines.pending.take());
        } else {
            if line.programs().iter().any(|command| knows_users(command)) {
                lines.pending = None;
            }
            // Another outcome bounces or defers.
            if is_bounced || defers {
                lines.condition = open.or_else(|| lines.condition.take());
            }
        }
        if is_deleted && !is_plain {
            lines.deleted = lines.deleted.or(Some(self.here.line));
        }
        lines.passed |= met.passed;
        self.here.note(trail, || "the next line is read".to_owned());
        None
    }

    fn ask(&self, command: &Command, met: &mut Met, trail: &mut Trail) -> Vec<Ending> {
        let agent = |codes, set| vec![Ending { codes, set: set | AGENT, clear: PENDING }];
        let failed = Codes::ALL.without(Codes::of(0));
        let doubted = |met: &mut Met, delivery: Delivery| {
            met.doubted.get_or_insert(delivery);
            agent(Codes::of(111), DOUBTED)
        };
        let not_known = |met: &mut Met| {
            met.open.get_or_insert((command.name.clone(), OpenKind::Program));
            unknown()
        };
        let delivered = |met: &mut Met, taker: Taker| {
            met.taker.get_or_insert(taker);
            agent(Codes::of(0), DELIVERED)
        };
        match command.declared {
            Some(Declared::Accepts) => return delivered(met, Taker::Other),
            Some(Declared::Refuses) => return vec![Ending { codes: failed, set: REFUSED, clear: 0 }],
            Some(Declared::Passes) => return filter(),
            Some(Declared::Unusable) => {
                let Some(unusable) = &self.host.control.programs.unusable else { return not_known(met) };
                let (home, cause) = (unusable.path.clone(), unusable.cause.clone());
                let path = self.host.layout.root.path(&home);
                self.here.note(trail, || format!("{}: {}", show_path(&path), told(&cause)));
                let delivery = unread(&cause);
                let doubt = Doubt { home, assignment: self.assigned.assignment.clone(), cause };
                return doubted(met, Delivery { doubt: Some(doubt), ..delivery });
            }
            Some(Declared::Mailboxes) => {
                let by_name = Word::ext_at_host();
                let template = match &command.agent {
                    Agent::DovecotLda(Some(word)) => word,
                    _ => &by_name,
                };
                let codes = if matches!(command.agent, Agent::DovecotLda(_)) { Codes::of(67) } else { failed };
                return match self.mailbox(template, trail) {
                    Mailbox::Is => delivered(met, Taker::Mailbox),
                    Mailbox::IsNone => {
                        met.is_no_mailbox = true;
                        agent(codes, REFUSED)
                    }
                    // It may be one, and no declaration says more.
                    Mailbox::Unclear => delivered(met, Taker::Other),
                    Mailbox::Doubted(delivery) => doubted(met, delivery),
                };
            }
            None => {}
        }
        match &command.agent {
            Agent::Unknown => not_known(met),
            Agent::Echo => filter(),
            Agent::Test => {
                met.condition.get_or_insert_with(|| command.name.clone());
                vec![Ending { codes: Codes::of(0).or(Codes::of(1)).or(Codes::of(2)), set: 0, clear: 0 }]
            }
            Agent::Bouncesaying => vec![Ending { codes: Codes::of(100), set: 0, clear: 0 }],
            Agent::VdelivermailMisused => doubted(met, Verdict::Defer.into()),
            Agent::Vdelivermail(catchall) => {
                let Asking { host, homes, home, assigned, here, .. } = self;
                match vdelivermail(host, *homes, home, assigned, catchall, here, trail) {
                    Taken::Decided(Delivery { verdict: Verdict::Deliver, taker, .. }) => delivered(met, taker),
                    Taken::Decided(Delivery { verdict: Verdict::Bounce, .. }) => agent(Codes::of(100), 0),
                    Taken::Decided(delivery) => doubted(met, delivery),
                    // A name with a byte that it does not take bounces, and no key of the table could say that.
                    Taken::Deleted => [agent(Codes::of(0), DELETED), agent(Codes::of(100), 0)].concat(),
                    Taken::Passed => {
                        met.passed = true;
                        agent(Codes::of(0), 0)
                    }
                }
            }
            Agent::DovecotLda(None) => delivered(met, Taker::Other),
            Agent::DovecotLda(Some(template)) => match self.mailbox(template, trail) {
                Mailbox::Is => delivered(met, Taker::Mailbox),
                Mailbox::IsNone | Mailbox::Unclear => {
                    met.open.get_or_insert((command.name.clone(), OpenKind::Dovecot));
                    agent(Codes::of(67), DOUBTED)
                }
                Mailbox::Doubted(delivery) => doubted(met, delivery),
            },
            Agent::Fastforward(fastforward) => self.fastforward(fastforward, met, trail),
            Agent::Vdeliver(vdeliver) => self.vdeliver(vdeliver, met, trail),
        }
    }

    fn vdeliver(&self, Vdeliver { file, users }: &Vdeliver, met: &mut Met, trail: &mut Trail) -> Vec<Ending> {
        let agent = |code, set| vec![Ending { codes: Codes::of(code), set: set | AGENT, clear: PENDING }];
        let ext = &self.assigned.ext;
        let users = match self.readable(users) {
            Ok(users) => users,
            Err(why) => return self.not_read("vdeliver", file, &why, met, trail),
        };
        let is_there = users.has_user(ext);
        self.here.note(trail, || {
            let has = if is_there { "has a user for" } else { "has no user for" };
            format!("vdeliver: {} {has} {}", Shown(file), Shown(ext))
        });
        if !is_there {
            return agent(100, 0);
        }
        met.taker.get_or_insert(Taker::Other);
        agent(0, DELIVERED)
    }

    /// These names, if the one who runs the program may read them.
    fn readable<'n>(&self, names: &'n Aliases) -> Result<&'n Aliases, String> {
        let who = self.assigned.who;
        if names.is_readable(who) { Ok(names) } else { Err(format!("uid {} may not read it", who.uid)) }
    }

    /// What a program comes to that cannot read its file.
    fn not_read(&self, program: &str, file: &[u8], why: &str, met: &mut Met, trail: &mut Trail) -> Vec<Ending> {
        self.here.note(trail, || format!("{program}: {}: {why}: deferred", Shown(file)));
        met.doubted.get_or_insert(Verdict::Defer.into());
        vec![Ending { codes: Codes::of(111), set: DOUBTED | AGENT, clear: PENDING }]
    }

    fn fastforward(&self, fastforward: &Fastforward, met: &mut Met, trail: &mut Trail) -> Vec<Ending> {
        let agent = |code, set| vec![Ending { codes: Codes::of(code), set: set | AGENT, clear: PENDING }];
        let (assigned, file) = (self.assigned, &fastforward.file);
        let aliases = fastforward.aliases.as_ref().map_err(|cause| cause.text.clone());
        let aliases = match aliases.and_then(|aliases| self.readable(aliases)) {
            Ok(aliases) => aliases,
            Err(why) => return self.not_read("fastforward", file, &why, met, trail),
        };
        let local = if fastforward.by_default { self.rest.unwrap_or(&assigned.ext) } else { &assigned.local };
        let address = join_address(local, &assigned.domain);
        let is_there = aliases.has(&address);
        self.here.note(trail, || {
            let has = if is_there { "has" } else { "does not have" };
            format!("fastforward: {} {has} {}", Shown(file), Shown(&address))
        });
        match (is_there, fastforward.passes) {
            (true, passes) => {
                met.taker.get_or_insert(Taker::Other);
                agent(if passes { 99 } else { 0 }, DELIVERED)
            }
            (false, true) => agent(0, 0),
            (false, false) => agent(100, 0),
        }
    }

    /// What qmail-local gives a variable; `None` when nobody knows it.
    fn value(&self, name: &[u8]) -> Option<Vec<u8>> {
        let Assigned { user, home, ext, local, domain, .. } = self.assigned;
        Some(match name {
            b"EXT" => ext.clone(),
            b"LOCAL" => local.clone(),
            b"HOST" => domain.clone(),
            b"USER" => user.to_vec(),
            b"HOME" => home.to_vec(),
            b"RECIPIENT" => join_address(local, domain),
            b"DEFAULT" => self.rest?.to_vec(),
            _ => return None,
        })
    }

    /// Whether the address that this makes is a mailbox of vpopmail's. Only what the recipient table can say is clear: the
    /// extension below the domain of the address, or one and the same name for all.
    fn mailbox(&self, template: &Word, trail: &mut Trail) -> Mailbox {
        let (host, assigned) = (self.host, self.assigned);
        let Some(address) = template.expanded(&|name| self.value(name)).map(|address| lower(&address)) else {
            return Mailbox::Unclear;
        };
        let Some((name, domain)) = split_address(&address) else { return Mailbox::Unclear };
        if name != assigned.ext && template.literal().is_none() {
            return Mailbox::Unclear;
        }
        let not_read = match &host.build.users {
            Source::Files | Source::Snapshot(_) => None,
            Source::Elsewhere(cause) => Some((cause, unread(cause))),
            Source::Failed(cause) | Source::Unknown(_, cause) => {
                Some((cause, assigned.doubted(&self.home.path, cause.clone())))
            }
        };
        if let Some((cause, delivery)) = not_read {
            self.here.note(trail, || told(cause));
            return Mailbox::Doubted(delivery);
        }
        let line_of = |domain: &[u8]| host.assignments.vpopmail_domain(domain);
        let (Some(line), Some(own)) = (line_of(domain), line_of(&assigned.domain)) else { return Mailbox::Unclear };
        if (&line.home, &line.user) != (&own.home, &own.user) || own.who.uid != assigned.who.uid {
            return Mailbox::Unclear;
        }
        let its_home = if line.home == self.home.path { self.home.clone() } else { self.homes.home(&line.home) };
        let found = match its_home.known_mailboxes(&line.user) {
            Ok(mailboxes) => name.len() <= ADDRESS_MAX && mailboxes.find(name).is_some(),
            Err(cause) => {
                self.here.note(trail, || told(&cause));
                return Mailbox::Doubted(assigned.doubted(&line.home, cause));
            }
        };
        self.here
            .note(trail, || format!("{} is {} mailbox of vpopmail", Shown(&address), if found { "a" } else { "no" }));
        if found { Mailbox::Is } else { Mailbox::IsNone }
    }
}

fn knows_users(command: &Command) -> bool {
    match command.declared {
        Some(Declared::Mailboxes) => true,
        Some(_) => false,
        None => matches!(
            command.agent,
            Agent::Vdelivermail(_) | Agent::DovecotLda(_) | Agent::Fastforward(_) | Agent::Vdeliver(_)
        ),
    }
}
