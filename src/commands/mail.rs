//! What `check` finds about the ways of mail: domains that are named twice or not let in, lines that are never reached, and
//! forwards, catch-alls and files that lose mail. Whether mail arrives is decided by [`deliver`]; nothing is decided here.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::commands::circles::Leads;
use crate::commands::faults;
use crate::commands::few::{Few, MAX_NAMED, first_few};
use crate::commands::forwards::{self, Forward, NO_ADDRESS};
use crate::decide::{Delivery, Step, Taker, Trail, Verdict, deliver};
use crate::error::show_path;
use crate::host::assign::Assignment;
use crate::host::dot_qmail::{DotQmail, Instruction, Opening, Program, is_never_asked, spelled, unspelled};
use crate::host::vpopmail::{BOUNCE_MAIL, Vpasswd, is_found};
use crate::host::{Home, HomeState, Homes, Host};
use crate::report::{Code, Level, Note};
use crate::text::{DEFAULT, Shown, count, join_address, split_address};

/// Domains, and addresses of virtualdomains, that control/locals names too.
pub fn twice_named(host: &Host) -> Vec<Note> {
    let control = &host.control;
    let file = show_path(&host.control_path("virtualdomains")).to_string();
    let other = show_path(&host.control_path(if control.locals_from_me { "me" } else { "locals" })).to_string();
    let lines = control.virtual_domains.iter().filter(|(_, found)| !found.prepend.is_empty());
    let found = lines.filter_map(|(key, found)| {
        let domain = split_address(key).map_or(&key[..], |(_, domain)| domain);
        let line = control.locals.get(domain)?.map(|line| format!(", line {line}")).unwrap_or_default();
        let note = Note::warning(format!(
            "{file}: line {}: \"{}\" has no effect: {other}{line}, names {} too, and qmail-send looks there first",
            found.line,
            Shown(key),
            Shown(domain)
        ));
        Some(note.of(Code::DomainLocalAndVirtual).about(domain))
    });
    found.collect()
}

/// Domains of vpopmail for which qmail-smtpd takes no mail from strangers.
pub fn not_let_in(host: &Host) -> Vec<Note> {
    let file = show_path(&host.control_path("virtualdomains")).to_string();
    let names = host.assignments.domains().map(|(name, _)| name);
    let refused = names.filter(|name| host.is_vpopmail_like(name) && !host.control.accepts(name));
    let note = |name: &[u8]| {
        // A suffix may be what makes it virtual; then the name itself is nowhere.
        let line = host.control.virtual_domains.get(name)?.line;
        let note = Note::warning(format!(
            "{file}: line {line}: {} is a domain of vpopmail, and control/rcpthosts does not name it: qmail-smtpd refuses mail \
             for it from other hosts",
            Shown(name)
        ));
        Some(note.of(Code::DomainNotInRcpthosts).about(name))
    };
    refused.filter_map(note).collect()
}

/// Domains of vpopmail that qmail takes for those of another host.
pub fn not_led_here(host: &Host) -> Vec<Note> {
    let file = show_path(&host.layout.root.path(&[&host.layout.qmail[..], b"/users/assign"].concat())).to_string();
    let control = &host.control;
    let locals = if control.locals_from_me { "me" } else { "locals" };
    let note = |(name, line): (&[u8], &Assignment)| {
        let at = line.line.map(|line| format!("line {line}: ")).unwrap_or_default();
        let (start, name) = (format!("{file}: {at}{} is a domain of vpopmail, but ", Shown(name)), name);
        let text = if is_stray(host, name, line) {
            format!(
                "{start}by control/virtualdomains and control/locals it is another host's: no mail from other hosts reaches \
                 its mailboxes"
            )
        } else if control.locals.contains_key(name)
            && !control.virtual_domains.contains_key(name)
            && is_vpopmails(name, line)
        {
            format!("{start}only control/{locals} names it, not control/virtualdomains: no mail reaches its mailboxes")
        } else {
            return None;
        };
        Some(Note::warning(text).of(Code::DomainNotVirtual).about(name))
    };
    host.assignments.domains().filter_map(note).collect()
}

/// Whether a line of users/assign for this name is one that vpopmail writes for a domain.
fn is_vpopmails(name: &[u8], line: &Assignment) -> bool {
    name.contains(&b'.') && (line.user == name || line.user.contains(&b'.'))
}

/// Whether qmail takes this domain of vpopmail for one of another host.
pub fn is_stray(host: &Host, name: &[u8], line: &Assignment) -> bool {
    is_vpopmails(name, line) && host.control.prefix(name).is_none()
}

/// A vpopmail that never runs the onchange that is installed.
pub fn onchange_uncalled(host: &Host) -> Option<Note> {
    let (script, program) = host.layout.uncalled_onchange()?;
    let text = format!(
        "{}: installed, but {} never calls it: vpopmail was built without --enable-onchange-script; the service sees changes \
         by its watches",
        show_path(&script),
        show_path(&program)
    );
    Some(Note::new(Level::Status, text).of(Code::OnchangeUncalled))
}

/// Looks at one home after the other, and at how they lead to each other at the end.
pub struct Ways<'a> {
    host: &'a Host,
    /// The same where `delete` takes mail: what a catch-all swallows on purpose is not lost.
    tolerant: Host,
    homes: &'a dyn Homes,
    /// What surely leads on from a file, and from its catch-all.
    leads: Leads,
}

impl<'a> Ways<'a> {
    /// Of this host.
    pub fn new(host: &'a Host, homes: &'a dyn Homes) -> Ways<'a> {
        let mut tolerant = host.clone();
        tolerant.layout.refuse_delete = false;
        Ways { host, tolerant, homes, leads: Leads::default() }
    }

    /// What one home shows by itself.
    pub fn of_home(&mut self, home: &Home, findings: &mut Few) {
        self.unreached(home, findings);
        self.mistyped(home, findings);
        let of = show_path(&self.host.layout.root.path(&home.path)).to_string();
        let mut asked: Option<(PathBuf, bool)> = None;
        forwards::of_home(self.host, home, &mut |forward| {
            let asked_before = asked.take().filter(|(path, _)| *path == forward.path);
            let (path, reached) = asked_before.unwrap_or_else(|| (forward.path.clone(), self.reaches(home, &forward)));
            asked = Some((path, reached));
            if let Some(note) = self.of_forward(forward).filter(|_| reached) {
                findings.add(&of, note);
            }
        });
    }

    /// Whether qmail may open a file of this home that is called so behind `.qmail`. Others have such names too, such as
    /// vpopmail's `.qmailadmin-limits`.
    fn is_asked(&self, home: &Home, name: &[u8]) -> bool {
        let assignments = &self.host.assignments;
        let mut lines = assignments.all();
        let is_usual = matches!(name.first(), None | Some(b'-'));
        !is_never_asked(name) && (is_usual || lines.any(|line| line.home == home.path && name.starts_with(&line.dash)))
    }

    /// What becomes of mail, and the steps of its way.
    fn ask(&self, address: &[u8]) -> (Delivery, Vec<Step>) {
        let mut trail = Trail::kept();
        let delivery = deliver(&self.tolerant, self.homes, address, &mut trail);
        (delivery, trail.steps())
    }

    /// Whether mail may come to the file of a forward, and be sent on: in a domain of vpopmail that is asked.
    fn reaches(&self, home: &Home, forward: &Forward) -> bool {
        let Some(file) = name_of(&self.host.layout.root.path(&home.path), &forward.path) else { return true };
        if !self.is_asked(home, &file) {
            return false;
        }
        let Some(name) = file.strip_prefix(b"-").filter(|_| !file.ends_with(DEFAULT)) else { return true };
        let mut domains = self.host.domains_of(&home.path).filter(|domain| self.has_its_files(home, domain)).peekable();
        let sends = |domain: &[u8]| {
            let (delivery, steps) = self.ask(&join_address(&unspelled(name), domain));
            let is_by = |step: &Step| step.path.as_ref() == Some(&forward.path);
            delivery.known && delivery.verdict == Verdict::Deliver && steps.iter().any(is_by)
        };
        domains.peek().is_none() || domains.any(sends)
    }

    /// Whether the names of a domain of vpopmail are those of the files of this home.
    fn has_its_files(&self, home: &Home, domain: &[u8]) -> bool {
        let is_usual = |line: &Assignment| line.home == home.path && line.dash == b"-" && line.ext.is_empty();
        self.host.is_vpopmail_like(domain) && self.host.assignments.vpopmail_domain(domain).is_some_and(is_usual)
    }

    fn of_forward(&mut self, forward: Forward) -> Option<Note> {
        if !forward.is_certain {
            return None;
        }
        let target = forwards::whole(self.host, &forward.target);
        let (local, domain) = split_address(&target)?;
        // Of a local part with a break the variables of the message may decide.
        if local.is_empty() || self.host.control.prefix(domain).is_none() {
            return None;
        }
        let (delivery, mut steps) = self.ask(&target);
        let last = steps.pop()?;
        let line = forward.line.map(|line| format!("line {line}: ")).unwrap_or_default();
        let place = format!("{}: {line}", show_path(&forward.path));
        let to = Shown(&target).to_string();
        if delivery.verdict == Verdict::Bounce && delivery.known {
            if faults::still_taken(self.host, domain, &delivery).is_some() {
                return None;
            }
            let (what, code) = match forward.is_catch_all {
                true => ("the catch-all delivers to", Code::CatchAllNobody),
                false => ("forwards to", Code::ForwardRefused),
            };
            let text = format!("{place}{what} {to}, to which this host delivers nothing ({last})");
            return Some(Note::warning(text).of(code).at(&forward.path, forward.line));
        }
        let line = forward.line.filter(|_| delivery.verdict == Verdict::Deliver)?;
        let to_node = (last.path?, delivery.taker == Taker::CatchAll);
        let from = (forward.path.clone(), forward.is_catch_all);
        if forward.is_catch_all && to_node == from {
            let text =
                format!("{place}the catch-all delivers to {to}, which no mailbox has, so the catch-all takes it again");
            return Some(Note::warning(text).of(Code::CatchAllNobody).at(&forward.path, forward.line));
        }
        self.leads.add(from, to_node, line, forward.target);
        None
    }

    /// Forwards that lead back to the file that they are in.
    pub fn loops(&self, findings: &mut Few) {
        for circle in self.leads.circles(MAX_NAMED) {
            let others: Vec<&[u8]> = circle.others.iter().map(|path| path.as_os_str().as_bytes()).collect();
            let by =
                if others.is_empty() { String::new() } else { format!(" by {}", first_few(&others, circle.number)) };
            let text = format!(
                "{}: line {}: forwards to {}, which leads back to this file{by}: qmail bounces what loops",
                show_path(circle.file),
                circle.line,
                Shown(circle.target)
            );
            let of = show_path(circle.file.parent().unwrap_or(circle.file)).to_string();
            findings.add(&of, Note::warning(text).of(Code::ForwardLoop).at(circle.file, Some(circle.line)));
        }
    }

    /// Lines after one that ends the delivery.
    fn unreached(&self, home: &Home, findings: &mut Few) {
        let HomeState::Listed(_, dot_qmails) = &home.state else { return };
        let of = show_path(&self.host.layout.root.path(&home.path)).to_string();
        for (name, content) in dot_qmails.files().filter(|(name, _)| self.is_asked(home, name)) {
            let Some((end, word)) = end_of(content) else { continue };
            let file = [&home.path[..], b"/.qmail", name].concat();
            if let Some(line) = forwards::line_after(self.host, &file, end) {
                let path = self.host.layout.root.path(&file);
                let text = format!(
                    "{}: line {line}: never reached: {word} on line {end} ends every delivery",
                    show_path(&path)
                );
                findings.add(&of, Note::warning(text).of(Code::QmailLineUnreached).at(&path, Some(line)));
            }
        }
    }

    /// Lines that should forward, but hold no address, and others that an editor of another system ended.
    fn mistyped(&self, home: &Home, findings: &mut Few) {
        let HomeState::Listed(_, dot_qmails) = &home.state else { return };
        let of = show_path(&self.host.layout.root.path(&home.path)).to_string();
        for (name, content) in dot_qmails.files().filter(|(name, _)| self.is_asked(home, name)) {
            let file = [&home.path[..], b"/.qmail", name].concat();
            let path = self.host.layout.root.path(&file);
            if let Some((line, word)) = content.catch_all()
                && !is_place(word)
            {
                let text = format!(
                    "{}: line {line}: the catch-all is no address and no path, and neither bounce-no-mailbox nor delete",
                    show_path(&path)
                );
                findings.add(&of, Note::warning(text).of(Code::CatchAllNobody).at(&path, Some(line)));
            }
            for line in forwards::ended_by_cr(self.host, &file) {
                let text = format!(
                    "{}: line {line}: ends in CR, which becomes a part of the program's last word, or of the path",
                    show_path(&path)
                );
                findings.add(&of, Note::warning(text).of(Code::QmailLineCr).at(&path, Some(line)));
            }
        }
        for (name, _) in dot_qmails.forwarding().filter(|(name, _)| self.is_asked(home, name)) {
            let file = [&home.path[..], b"/.qmail", name].concat();
            let path = self.host.layout.root.path(&file);
            for (line, why) in forwards::sent_by(self.host, &file).mistyped {
                let why = if why == NO_ADDRESS { "is none" } else { why };
                let text = format!(
                    "{}: line {line}: qmail takes the whole line for one address, and it {why}",
                    show_path(&path)
                );
                findings.add(&of, Note::warning(text).of(Code::ForwardMistyped).at(&path, Some(line)));
            }
        }
    }

    /// Mailboxes that no mail reaches: it bounces before, or goes to a `.qmail` file that only forwards it, or takes it for
    /// nothing.
    pub fn of_mailboxes(&self, home: &Home, domain: &[u8], vpasswd: &Vpasswd, findings: &mut Few) {
        if !self.has_its_files(home, domain) {
            return;
        }
        let mut lost: BTreeMap<Lost, (usize, Vec<Vec<u8>>, String)> = BTreeMap::new();
        let mut before: Option<&[u8]> = None;
        for (name, mailbox) in vpasswd.all() {
            let is_other = before.replace(name) != Some(name);
            // That one of them gets no mail is a setting of its own.
            let is_meant = mailbox.flags & BOUNCE_MAIL != 0;
            if !is_other || is_meant || name.contains(&b'/') || !is_found(name) {
                continue;
            }
            let Some((by, last)) = self.loses(home, domain, name) else { continue };
            let (number, first, _) = lost.entry(by).or_insert_with(|| (0, Vec::new(), last.to_string()));
            *number += 1;
            if first.len() < MAX_NAMED {
                first.push(name.to_vec());
            }
        }
        let of = Shown(domain).to_string();
        for (by, (number, names, why)) in lost {
            let (whose, there) = match &names[..] {
                [name] => (format!("{}, which is a mailbox,", Shown(&join_address(name, domain))), "the mailbox"),
                _ => (format!("{} of {of} ({})", count(number, "mailbox"), first_few(&names, number)), "them"),
            };
            findings.add(&of, by.note(&why, &whose, there).about(domain));
        }
    }

    /// What takes the mail of this mailbox away, when it is surely lost, and the last step of its way.
    fn loses(&self, home: &Home, domain: &[u8], name: &[u8]) -> Option<(Lost, Step)> {
        let address = join_address(name, domain);
        let delivery = deliver(&self.tolerant, self.homes, &address, &mut Trail::unkept());
        let is_taken = matches!(delivery.taker, Taker::Mailbox | Taker::Extension | Taker::Alias);
        if is_taken || !delivery.known || !matches!(delivery.verdict, Verdict::Bounce | Verdict::Deliver) {
            return None;
        }
        let last = self.ask(&address).1.pop()?;
        let path = last.path.clone()?;
        let file = name_of(&self.host.layout.root.path(&home.path), &path);
        if delivery.verdict == Verdict::Bounce {
            // Its own file refuses it on purpose.
            let is_own = file.is_some_and(|file| file == [b"-", &spelled(name)[..]].concat());
            return (!is_own).then_some((Lost::Bounced(path, last.line), last));
        }
        let HomeState::Listed(_, dot_qmails) = &home.state else { return None };
        let who = self.host.assignments.vpopmail_domain(domain)?.who;
        let file = file?;
        let Opening::File(_, content) = dot_qmails.open(&file, who) else { return None };
        Some((Lost::Taken(path, taking(content, file == DEFAULT_FILE)?), last))
    }
}

/// What takes the mail of a mailbox away.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Lost {
    /// It bounces by this file, or by what this directory has not, and this line.
    Bounced(PathBuf, Option<usize>),
    /// A file takes it, and this is what it does.
    Taken(PathBuf, &'static str),
}

impl Lost {
    /// The finding that mail to `whose` mailboxes is lost, because of what the last step of its way says.
    fn note(&self, why: &str, whose: &str, there: &str) -> Note {
        match self {
            Lost::Bounced(path, line) => {
                let text = format!("{why}; so mail to {whose} bounces: nothing arrives in {there}");
                Note::warning(text).of(Code::MailboxUnreached).at(path, *line)
            }
            Lost::Taken(path, what) => {
                let path_shown = show_path(path);
                let text = format!("{path_shown}: takes the mail of {whose} and {what}: nothing arrives in {there}");
                Note::warning(text).of(Code::MailboxShadowed).at(path, None)
            }
        }
    }
}

/// The name, without its `.qmail`, of a file in a home.
fn name_of(home: &Path, path: &Path) -> Option<Vec<u8>> {
    let rest = path.strip_prefix(home).ok()?.as_os_str().as_bytes();
    rest.strip_prefix(b".qmail").map(<[u8]>::to_vec)
}

/// Whether a catch-all can be delivered to: an address, or a path.
fn is_place(word: &[u8]) -> bool {
    word.starts_with(b"/") || word.contains(&b'@') && !word.iter().any(|b| b.is_ascii_whitespace() || *b == b',')
}

/// The line that ends each delivery, and what it says.
fn end_of(content: &DotQmail) -> Option<(usize, String)> {
    content.instructions.iter().find_map(|(line, instruction)| match instruction {
        Instruction::Program(Program::Exit(code)) if *code != 0 => Some((*line, format!("exit {code}"))),
        Instruction::Program(Program::Bouncesaying) => Some((*line, "bouncesaying".to_owned())),
        _ => None,
    })
}

/// The file for all names that have none, behind `.qmail`.
const DEFAULT_FILE: &[u8] = b"-default";

/// What a file does with mail that it surely delivers to no mailbox of vpopmail. What one file for all names delivers is not
/// that of one of them.
fn taking(content: &DotQmail, is_default: bool) -> Option<&'static str> {
    let is_idle =
        |instruction: &Instruction| matches!(instruction, Instruction::List | Instruction::Program(Program::Exit(0)));
    let is_mailbox = |instruction: &Instruction| matches!(instruction, Instruction::Mailbox);
    let all = || content.instructions.iter().map(|(_, instruction)| instruction);
    if content.empty {
        return is_default.then_some("leaves it to the default delivery into this directory");
    }
    match content.first_forward {
        _ if !all().all(|instruction| is_idle(instruction) || is_default && is_mailbox(instruction)) => None,
        _ if all().any(is_mailbox) => Some("delivers it to the same place for every name"),
        Some(_) => Some("forwards it"),
        None => Some("does nothing with it"),
    }
}
