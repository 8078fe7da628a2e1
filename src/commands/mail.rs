//! What `check` finds about the ways of mail: domains that are named twice or not let in, lines that are never reached, and
//! forwards, catch-alls and files that lose mail. Whether mail arrives is decided by [`deliver`]; nothing is decided here.

use std::path::{Path, PathBuf};

use crate::commands::circles::Leads;
use crate::commands::few::{Few, MAX_NAMED};
use crate::commands::forwards::{self, Forward};
use crate::decide::{Delivery, Step, Taker, Trail, Verdict, deliver};
use crate::error::show_path;
use crate::host::assign::Assignment;
use crate::host::dot_qmail::{DotQmail, Instruction, Opening, Program, is_never_asked, unspelled};
use crate::host::vpopmail::{Vpasswd, is_found};
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

    /// What becomes of mail, and the steps of its way.
    fn ask(&self, address: &[u8]) -> (Delivery, Vec<Step>) {
        let mut trail = Trail::kept();
        let delivery = deliver(&self.tolerant, self.homes, address, &mut trail);
        (delivery, trail.steps())
    }

    /// Whether mail may come to the file of a forward, and be sent on: in a domain of vpopmail that is asked.
    fn reaches(&self, home: &Home, forward: &Forward) -> bool {
        let Some(file) = name_of(&self.host.layout.root.path(&home.path), &forward.path) else { return true };
        if is_never_asked(&file) {
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
            let mut others: Vec<String> = circle.others.iter().map(|path| show_path(path).to_string()).collect();
            if circle.number > others.len() {
                others.push(format!("and {}", count(circle.number - others.len(), "other")));
            }
            let by = if others.is_empty() { String::new() } else { format!(" by {}", others.join(", ")) };
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
        for (name, content) in dot_qmails.files().filter(|(name, _)| !is_never_asked(name)) {
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

    /// Mailboxes whose mail goes to a `.qmail` file that only forwards it, or takes it for nothing.
    pub fn of_mailboxes(&self, home: &Home, domain: &[u8], vpasswd: &Vpasswd, findings: &mut Few) {
        let HomeState::Listed(_, dot_qmails) = &home.state else { return };
        let Some(line) = self.host.assignments.vpopmail_domain(domain) else { return };
        if !self.has_its_files(home, domain) {
            return;
        }
        let of = Shown(domain).to_string();
        let mut before: Option<&[u8]> = None;
        for (name, _) in vpasswd.all() {
            let is_other = before.replace(name) != Some(name);
            // Most have no file that could answer.
            let may = dot_qmails.answers_for(name) || name.contains(&b'-') && dot_qmails.tries(name) > 0;
            if !is_other || name.contains(&b'/') || !is_found(name) || !may {
                continue;
            }
            let address = join_address(name, domain);
            let (delivery, mut steps) = self.ask(&address);
            let Some(Step { path: Some(path), .. }) = steps.pop().filter(|_| delivery.known) else { continue };
            let Some(file) = name_of(&self.host.layout.root.path(&home.path), &path) else { continue };
            let Opening::File(_, content) = dot_qmails.open(&file, line.who) else { continue };
            if content.first_forward.is_some() && keeps_nothing(content) {
                let text = format!(
                    "{}: takes the mail of {}, which is a mailbox, and forwards it: nothing arrives in the mailbox",
                    show_path(&path),
                    Shown(&address)
                );
                findings.add(&of, Note::warning(text).of(Code::MailboxShadowed).about(domain).at(&path, None));
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
