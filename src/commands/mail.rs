//! What `check` finds about the ways of mail: domains that are named twice or not let in, lines that are never reached, and
//! forwards, catch-alls and files that lose mail. Whether mail arrives is decided by [`deliver`]; nothing is decided here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::commands::forwards::{self, Forward};
use crate::decide::{Delivery, Step, Taker, Trail, Verdict, deliver};
use crate::error::show_path;
use crate::host::dot_qmail::{DotQmail, Instruction, Opening, Program};
use crate::host::vpopmail::{Vpasswd, is_found};
use crate::host::{Home, HomeState, Homes, Host};
use crate::report::{Code, Level, Note};
use crate::text::{Shown, join_address, split_address};

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
    /// What surely leads on from a file, and from its catch-all, to which of them.
    next: BTreeMap<Node, Vec<(Node, Forward)>>,
}

/// So many steps are taken to find loops: the owners of domains write what leads where.
const MAX_STEPS: usize = 1_000_000;

/// A file, and whether it is its catch-all that takes the mail.
type Node = (PathBuf, bool);

impl<'a> Ways<'a> {
    /// Of this host.
    pub fn new(host: &'a Host, homes: &'a dyn Homes) -> Ways<'a> {
        let mut tolerant = host.clone();
        tolerant.layout.refuse_delete = false;
        Ways { host, tolerant, homes, next: BTreeMap::new() }
    }

    /// What one home shows by itself.
    pub fn of_home(&mut self, home: &Home, findings: &mut Vec<Note>) {
        self.unreached(home, findings);
        let mut found = Vec::new();
        forwards::of_home(self.host, home, &mut |forward| found.push(forward));
        for forward in found {
            findings.extend(self.of_forward(forward));
        }
    }

    /// What becomes of mail, and the last step of the way.
    fn ask(&self, address: &[u8]) -> (Delivery, Option<Step>) {
        let mut trail = Trail::kept();
        let delivery = deliver(&self.tolerant, self.homes, address, &mut trail);
        (delivery, trail.steps().pop())
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
        let (delivery, last) = self.ask(&target);
        let last = last?;
        let line = forward.line.map(|line| format!("line {line}: ")).unwrap_or_default();
        let place = format!("{}: {line}", show_path(&forward.path));
        let to = Shown(&target).to_string();
        if delivery.verdict == Verdict::Bounce && delivery.known {
            let (what, code) = match forward.is_catch_all {
                true => ("the catch-all delivers to", Code::CatchAllNobody),
                false => ("forwards to", Code::ForwardRefused),
            };
            let text = format!("{place}{what} {to}, to which this host delivers nothing ({last})");
            return Some(Note::warning(text).of(code));
        }
        if delivery.verdict != Verdict::Deliver || forward.line.is_none() {
            return None;
        }
        let to_node = (last.path?, delivery.taker == Taker::CatchAll);
        let from = (forward.path.clone(), forward.is_catch_all);
        if forward.is_catch_all && to_node == from {
            let text =
                format!("{place}the catch-all delivers to {to}, which no mailbox has, so the catch-all takes it again");
            return Some(Note::warning(text).of(Code::CatchAllNobody));
        }
        self.next.entry(from).or_default().push((to_node, forward));
        None
    }

    /// Forwards that lead back to the file that they are in.
    pub fn loops(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        let mut told: BTreeSet<&Node> = BTreeSet::new();
        let mut steps = MAX_STEPS;
        for (start, leads) in &self.next {
            if told.contains(start) {
                continue;
            }
            let first = leads.iter().find_map(|(to, forward)| Some((self.way_back(to, start, &mut steps)?, forward)));
            let Some((nodes, forward)) = first else { continue };
            told.extend(nodes.iter().copied());
            let others = nodes.iter().filter(|node| **node != start).map(|(path, _)| show_path(path).to_string());
            let others: Vec<String> = others.collect();
            let by = if others.is_empty() { String::new() } else { format!(" by {}", others.join(", ")) };
            let line = forward.line.unwrap_or_default();
            let text = format!(
                "{}: line {line}: forwards to {}, which leads back to this file{by}: qmail bounces what loops",
                show_path(&start.0),
                Shown(&forward.target)
            );
            notes.push(Note::warning(text).of(Code::ForwardLoop));
        }
        notes
    }

    /// The files on a way from `from` to `to`, when there is one.
    fn way_back<'s>(&'s self, from: &'s Node, to: &'s Node, steps: &mut usize) -> Option<Vec<&'s Node>> {
        let mut before: BTreeMap<&Node, Option<&Node>> = BTreeMap::from([(from, None)]);
        let mut waiting = vec![from];
        while let Some(node) = waiting.pop() {
            *steps = steps.checked_sub(1)?;
            if node == to {
                let way = std::iter::successors(Some(node), |node| before.get(*node).copied().flatten());
                return Some(way.collect());
            }
            for (next, _) in self.next.get(node).into_iter().flatten() {
                before.entry(next).or_insert_with(|| {
                    waiting.push(next);
                    Some(node)
                });
            }
        }
        None
    }

    /// Lines after one that ends the delivery.
    fn unreached(&self, home: &Home, findings: &mut Vec<Note>) {
        let HomeState::Listed(_, dot_qmails) = &home.state else { return };
        for (name, end, word) in dot_qmails.files().filter_map(|(name, content)| {
            let (line, word) = end_of(content)?;
            Some((name, line, word))
        }) {
            let file = [&home.path[..], b"/.qmail", name].concat();
            if let Some(line) = forwards::line_after(self.host, &file, end) {
                let text = format!(
                    "{}: line {line}: never reached: {word} on line {end} ends every delivery",
                    show_path(&self.host.layout.root.path(&file))
                );
                findings.push(Note::warning(text).of(Code::QmailLineUnreached));
            }
        }
    }

    /// Mailboxes whose mail goes to a `.qmail` file that only forwards it, or takes it for nothing.
    pub fn of_mailboxes(&self, home: &Home, domain: &[u8], vpasswd: &Vpasswd, findings: &mut Vec<Note>) {
        let HomeState::Listed(_, dot_qmails) = &home.state else { return };
        let Some(line) = self.host.assignments.vpopmail_domain(domain) else { return };
        if !self.host.is_vpopmail_like(domain) || line.home != home.path || line.dash != b"-" || !line.ext.is_empty() {
            return;
        }
        let mut before: Option<&[u8]> = None;
        for (name, _) in vpasswd.all() {
            let is_other = before.replace(name) != Some(name);
            // Most have no file that could answer.
            let may = dot_qmails.answers_for(name) || name.contains(&b'-') && dot_qmails.tries(name) > 0;
            if !is_other || name.contains(&b'/') || !is_found(name) || !may {
                continue;
            }
            let address = join_address(name, domain);
            let (delivery, last) = self.ask(&address);
            let Some(Step { path: Some(path), .. }) = last.filter(|_| delivery.known) else { continue };
            let Some(file) = name_of(&self.host.layout.root.path(&home.path), &path) else { continue };
            let Opening::File(_, content) = dot_qmails.open(&file, line.who) else { continue };
            if content.first_forward.is_some() && keeps_nothing(content) {
                let text = format!(
                    "{}: takes the mail of {}, which is a mailbox, and forwards it: nothing arrives in the mailbox",
                    show_path(&path),
                    Shown(&address)
                );
                findings.push(Note::warning(text).of(Code::MailboxShadowed).about(domain));
            }
        }
    }
}

/// The name, without its `.qmail`, of a file in a home.
fn name_of(home: &Path, path: &Path) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    let rest = path.strip_prefix(home).ok()?.as_os_str().as_bytes();
    rest.strip_prefix(b".qmail").map(<[u8]>::to_vec)
}

/// The line that ends each delivery, and what it says.
fn end_of(content: &DotQmail) -> Option<(usize, String)> {
    content.instructions.iter().find_map(|(line, instruction)| match instruction {
        Instruction::Program(Program::Exit(code)) if *code != 0 => Some((*line, format!("exit {code}"))),
        Instruction::Program(Program::Bouncesaying) => Some((*line, "bouncesaying".to_owned())),
        _ => None,
    })
}

/// Whether a file surely has no line that delivers: no mailbox, and no program that could.
fn keeps_nothing(content: &DotQmail) -> bool {
    !content.empty
        && content
            .instructions
            .iter()
            .all(|(_, instruction)| matches!(instruction, Instruction::List | Instruction::Program(Program::Exit(0))))
}
