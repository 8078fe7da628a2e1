//! Where `.qmail` files and aliases of a user database forward mail to, and so by which other addresses an address is
//! reached. A rebuild needs none of this, so the lines are read again here. Only what has the form of an address is shown:
//! a link can make a file with secrets look like one that forwards.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::decide::{Delivery, Step, Taker, Trail, Verdict, deliver};
use crate::host::dot_qmail::{DotQmail, Program, program_of, unspelled};
use crate::host::mailboxes::alias::Aliases;
use crate::host::{Home, HomeState, Homes, Host};
use crate::protect::guard::{NOBODY, stands_for};
use crate::text::{DEFAULT, Shown, join_address, lines, lower, split_address, trim_end};

/// So much of a file is read, in bytes.
const MAX_LENGTH: usize = 1 << 16;
/// Why a line forwards to nobody, unless there is more to say.
pub const NO_ADDRESS: &str = "is no address";
/// So many addresses of one file are told.
const MAX_TARGETS: usize = 100;
/// An address is at most so long, in bytes.
const MAX_ADDRESS: usize = 320;
/// So many addresses are asked whether they lead to one.
const MAX_ASKED: usize = 20_000;

fn read(host: &Host, file: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    let read = host.layout.root.open(file).ok().flatten().map(|mut file| file.read_start(&mut content, MAX_LENGTH));
    if read.is_none_or(|read| read.is_err()) {
        return Vec::new();
    }
    content.truncate(MAX_LENGTH);
    content
}

/// The first line after this one that is neither blank nor a comment.
pub fn line_after(host: &Host, file: &[u8], line: usize) -> Option<usize> {
    let content = read(host, file);
    let says = |text: &[u8]| !matches!(trim_end(text).first(), None | Some(0 | b'#'));
    lines(&content).find(|(number, text)| *number > line && says(text)).map(|(number, _)| number)
}

/// Whether a line has this word in it.
pub fn line_has(host: &Host, file: &[u8], line: usize, word: &[u8]) -> bool {
    let content = read(host, file);
    lines(&content).any(|(number, text)| number == line && memchr::memmem::find(text, word).is_some())
}

/// The first line that may end the delivery, and the first one whose forward may not be sent: what a file forwards is sent
/// only after all its lines went well.
fn ends(host: &Host, content: &[u8]) -> (usize, usize) {
    let is_vdelivermail = |text: &[u8]| memchr::memmem::find(text, b"vdelivermail").is_some() && !text.contains(&b';');
    let mut is_list = false;
    for (number, text) in lines(content) {
        let text = trim_end(text);
        match text.first() {
            Some(b'|' | b'/' | b'.') if is_list => return (number, 0),
            Some(b'|') => match program_of(&text[1..], &host.layout.qmail, &host.layout.vpopmail) {
                Program::Exit(0) | Program::Vdelivermail(_) => {}
                Program::Exit(99) => return (number, number),
                Program::Unknown(_) if is_vdelivermail(text) => {}
                _ => return (number, 0),
            },
            Some(b'+') => is_list |= text == b"+list" || text.starts_with(b"+list\0"),
            _ => {}
        }
    }
    // What stands behind that is not read.
    if content.len() < MAX_LENGTH { (usize::MAX, usize::MAX) } else { (usize::MAX, 0) }
}

/// The addresses that the lines of this file forward to, each with its line, from 1.
fn of_file(host: &Host, file: &[u8]) -> Vec<(usize, Vec<u8>)> {
    of_lines(&read(host, file)).take(MAX_TARGETS).collect()
}

fn of_lines(content: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> + '_ {
    let lines = lines(content).map(|(number, line)| (number, trim_end(line)));
    let forwards = lines.filter(|(_, line)| mistyped(line).is_none());
    forwards.filter_map(|(number, line)| Some((number, target(line)?)))
}

/// What a file sends on when it takes mail.
pub struct Sent {
    /// The addresses, as they are written.
    pub targets: Vec<Vec<u8>>,
    /// The mailboxes and maildirs, as they are written.
    pub directories: Vec<Vec<u8>>,
    /// The lines that should forward, but hold no address, from 1, and why not.
    pub mistyped: Vec<(usize, &'static str)>,
    /// Whether other lines forward, to what is not shown.
    pub is_more: bool,
}

/// What this file sends on when it takes mail.
pub fn sent_by(host: &Host, file: &[u8]) -> Sent {
    let content = read(host, file);
    let (end, unsent) = ends(host, &content);
    // What stands behind `exit 99` is not read.
    let is_read = |number: usize| number < end || end != unsent;
    let read = || lines(&content).filter(|(number, _)| is_read(*number)).map(|(number, line)| (number, trim_end(line)));
    let wrong = read().filter_map(|(number, line)| Some((number, mistyped(line)?)));
    Sent {
        targets: of_lines(&content)
            .filter(|(number, _)| is_read(*number))
            .map(|(_, to)| to)
            .take(MAX_TARGETS)
            .collect(),
        directories: read().filter_map(|(_, line)| directory(line)).take(MAX_TARGETS).collect(),
        mistyped: wrong.take(MAX_TARGETS).collect(),
        is_more: read().any(|(_, line)| forwards(line) && mistyped(line).is_none() && target(line).is_none()),
    }
}

/// The lines of a file that run a program or deliver to a path, and end in CR, from 1.
pub fn ended_by_cr(host: &Host, file: &[u8]) -> Vec<usize> {
    let content = read(host, file);
    let is_ended = |line: &[u8]| matches!(line.first(), Some(b'|' | b'/' | b'.')) && line.ends_with(b"\r");
    lines(&content).filter(|(_, line)| is_ended(trim_end(line))).map(|(number, _)| number).take(MAX_TARGETS).collect()
}

/// The mailbox or maildir that a line of a `.qmail` file delivers to.
fn directory(line: &[u8]) -> Option<Vec<u8>> {
    let is_path = matches!(line.first(), Some(b'/' | b'.'));
    // Blanks were cut already, and a CR is a part of it.
    is_path.then(|| line.strip_suffix(b"\r").unwrap_or(line)).and_then(address).map(|_| line.to_vec())
}

/// Whether a line forwards to something, be it an address or not.
fn forwards(line: &[u8]) -> bool {
    !matches!(line.first(), None | Some(0 | b'#' | b'|' | b'/' | b'.' | b'+'))
}

/// Why a line that forwards holds only what a person takes for an address: it has a name, another address, a blank, a sign that
/// no address has without quotes, or what an editor of another system adds.
fn mistyped(line: &[u8]) -> Option<&'static str> {
    if !forwards(line) {
        None
    } else if line == b"&" {
        Some("is empty")
    } else if line.ends_with(b"\r") {
        Some("ends in CR, which becomes a part of the address")
    } else if line.starts_with(b"\xef\xbb\xbf") {
        Some("begins with a byte order mark, which becomes a part of the address")
    } else {
        line.iter().any(|b| b" \t<>,;:\"()\\".contains(b)).then_some(NO_ADDRESS)
    }
}

/// The address that a line of a `.qmail` file or a row of an alias forwards to.
pub fn target(line: &[u8]) -> Option<Vec<u8>> {
    if matches!(line.first(), None | Some(b'#' | b'|' | b'/' | b'.' | b'+')) {
        return None;
    }
    address(line.strip_prefix(b"&").unwrap_or(line))
}

/// What has the form of an address that people use. A line that is none may be a secret of another file, to which a link leads.
fn address(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    let is_usual = |b: &u8| b.is_ascii_alphanumeric() || b"@.-_+=~/!#%&'*^[]".contains(b);
    (!text.is_empty() && text.len() <= MAX_ADDRESS && text.iter().all(is_usual)).then(|| text.to_vec())
}

/// The address as qmail-send sees it: in lower case, and with a domain.
pub fn whole(host: &Host, address: &[u8]) -> Vec<u8> {
    let address = lower(address);
    if address.contains(&b'@') { address } else { join_address(&address, &host.control.envnoathost) }
}

/// Something that forwards.
#[derive(Clone, Debug)]
pub struct Forward {
    /// The file, or the table of aliases.
    pub path: PathBuf,
    /// The line in it, from 1.
    pub line: Option<usize>,
    /// Where it forwards to, as it is written.
    pub target: Vec<u8>,
    /// Whether it is a catch-all.
    pub is_catch_all: bool,
    /// Whether mail that the file takes surely goes there: no program can end the delivery before that.
    pub is_certain: bool,
    /// Whether the delivery always ends before its line.
    is_unread: bool,
    from: From,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum From {
    /// A `.qmail` file: its home and its name without `.qmail`.
    File(Vec<u8>, Vec<u8>),
    /// An alias of a user database: its name and its domain.
    Alias(Vec<u8>, Vec<u8>),
}

impl Forward {
    /// The addresses that may lead to it. For a catch-all or another file for many names it is one that nobody lists.
    fn addresses(&self, host: &Host) -> BTreeSet<Vec<u8>> {
        let (home, name) = match &self.from {
            From::Alias(name, domain) => {
                return family(host, domain).iter().map(|domain| join_address(name, domain)).collect();
            }
            From::File(home, name) => (home, name),
        };
        let mut locals = BTreeSet::new();
        // These are addresses of each local domain too, but mail is not sent to them by those names.
        let mut of_vpopmail = BTreeSet::new();
        for (local, line) in host.assignments.exact.iter().filter(|(_, line)| line.home == *home) {
            if [&line.dash[..], &line.ext].concat() == *name {
                locals.insert(local.clone());
            }
        }
        for (loc, line) in host.assignments.wildcards.iter().filter(|(_, line)| line.home == *home) {
            if let Some(rest) = name.strip_prefix(&[&line.dash[..], &line.ext].concat()[..]) {
                let domain = loc.strip_suffix(b"-").filter(|domain| host.is_vpopmail_like(domain));
                let its = if domain.is_some() { &mut of_vpopmail } else { &mut locals };
                its.insert([&loc[..], &unspelled(rest)].concat());
            }
        }
        let accounts = &host.accounts;
        let is_alias = accounts.alias.as_ref().is_some_and(|alias| alias.home == *home);
        locals.extend(name.strip_prefix(b"-").filter(|_| is_alias).map(unspelled));
        for (account, _) in accounts.accepted.iter().filter(|(_, account)| account.home == *home && !is_alias) {
            locals.insert([&account[..], &unspelled(name)].concat());
        }
        let mut found = BTreeSet::new();
        for domain in host.control.domains().filter(|domain| domain.first() != Some(&b'.') && !domain.is_empty()) {
            let Some(prefix) = host.control.prefix(domain) else { continue };
            let its = [Some(&locals), Some(&of_vpopmail).filter(|_| !prefix.is_empty())];
            for local in its.into_iter().flatten().flat_map(|its| its.range(prefix.clone()..)) {
                let Some(local) = local.strip_prefix(&prefix[..]) else { break };
                let address = join_address(local, domain);
                found.insert(if name.ends_with(DEFAULT) {
                    stands_for(&address, host.layout.break_byte)
                } else {
                    address
                });
            }
        }
        found
    }

    /// Whether mail to this address comes to it, and is sent on.
    fn takes(&self, host: &Host, homes: &dyn Homes, address: &[u8]) -> bool {
        let (delivery, last) = end_of(host, homes, address);
        let is_here = last.is_some_and(|step| {
            step.path.as_ref() == Some(&self.path) && (!self.is_catch_all || step.line == self.line)
        });
        is_here && delivery.verdict == Verdict::Deliver && self.is_catch_all == (delivery.taker == Taker::CatchAll)
    }
}

/// What becomes of mail to an address, and the step that decides.
fn end_of(host: &Host, homes: &dyn Homes, address: &[u8]) -> (Delivery, Option<Step>) {
    let mut trail = Trail::kept();
    let delivery = deliver(host, homes, address, &mut trail);
    (delivery, trail.steps().pop())
}

/// A domain, the real one of an alias domain, and all alias domains of that, in the order of their names.
fn family<'h>(host: &'h Host, domain: &'h [u8]) -> BTreeSet<&'h [u8]> {
    let assignments = &host.assignments;
    let real = assignments.alias_of(domain).unwrap_or(domain);
    let aliases = assignments.domains().map(|(name, _)| name).filter(|name| assignments.alias_of(name) == Some(real));
    aliases.chain([domain, real]).collect()
}

/// How an address is told: a name that nobody lists stands for many.
fn shown(address: &[u8]) -> String {
    let nobody = split_address(address).and_then(|(local, domain)| Some((local.strip_suffix(&NOBODY[..])?, domain)));
    match nobody {
        Some((start, domain)) => format!("{}(any other name)@{}", Shown(start), Shown(domain)),
        None => Shown(address).to_string(),
    }
}

/// Hands everything that forwards in this home to `take`.
pub fn of_home(host: &Host, home: &Home, take: &mut dyn FnMut(Forward)) {
    if let HomeState::Listed(_, dot_qmails) = &home.state {
        for (name, content) in dot_qmails.forwarding() {
            let file = [&home.path[..], b"/.qmail", name].concat();
            let (end, unsent) = ends(host, &read(host, &file));
            of_content(host, &file, content, &mut |line, target, is_catch_all| {
                let from = From::File(home.path.clone(), name.to_vec());
                let path = host.layout.root.path(&file);
                let is_certain = line < if is_catch_all { end } else { unsent };
                let is_unread = line > end && end == unsent;
                take(Forward { path, line: Some(line), target, is_catch_all, is_certain, is_unread, from });
            });
        }
    }
    for users in &home.users {
        let Some(domain) = &users.of else { continue };
        for (name, line) in users.known_aliases().into_iter().flat_map(Aliases::lines) {
            if let Some(target) = target(line) {
                let from = From::Alias(name.to_vec(), domain.clone());
                let (path, is_catch_all, is_certain, is_unread) = (users.tables.1.clone(), false, false, false);
                take(Forward { path, line: None, target, is_catch_all, is_certain, is_unread, from });
            }
        }
    }
}

/// Hands each line of a `.qmail` file that leads on to an address to `take`: the line, the address, and whether it is the
/// catch-all.
fn of_content(host: &Host, file: &[u8], content: &DotQmail, take: &mut dyn FnMut(usize, Vec<u8>, bool)) {
    let catch_all = content.catch_all();
    if let Some((line, to)) = catch_all
        && let Some(to) = address(to).filter(|to| to.contains(&b'@'))
    {
        take(line, to, true);
    }
    if content.first_forward.is_some() {
        of_file(host, file).into_iter().for_each(|(line, target)| take(line, target, false));
    }
}

/// The other addresses whose mail comes to one.
#[derive(Debug, Default)]
pub struct Reaching {
    /// By a forward, a catch-all or an alias domain, each with which of these it is.
    pub by: Vec<(String, &'static str)>,
    /// By a `.qmail` file that delivers into the maildir of its mailbox.
    pub by_maildir: Vec<String>,
}

/// The other addresses whose mail comes to this one. Each was asked how it is delivered, but of very many only the first.
pub fn that_reach(host: &Host, homes: &dyn Homes, address: &[u8]) -> Reaching {
    let own = whole(host, address);
    let mut same = of_other_names(host, homes, &own);
    let (mut found, mut to_maildir): (Vec<Forward>, Vec<Forward>) = (Vec::new(), Vec::new());
    let maildir = maildir_of(host, homes, &own);
    for path in host.homes() {
        let home = homes.home(path);
        of_home(host, &home, &mut |forward| {
            // The first line of several in one file tells it.
            let is_told = |last: &Forward| (&last.from, last.is_catch_all) == (&forward.from, forward.is_catch_all);
            let target = whole(host, &forward.target);
            let is_wanted = target == own || same.contains(&target);
            if is_wanted && !forward.is_unread && !found.last().is_some_and(is_told) {
                found.push(forward);
            }
        });
        to_maildir.extend(maildir.iter().flat_map(|maildir| into_maildir(host, &home, maildir)));
    }
    let reaching = |found: &[Forward]| -> Vec<(bool, Vec<u8>)> {
        let all = found.iter().flat_map(|forward| forward.addresses(host).into_iter().map(move |by| (forward, by)));
        let reaches = |(forward, by): &(&Forward, Vec<u8>)| *by != own && forward.takes(host, homes, by);
        all.take(MAX_ASKED).filter(reaches).map(|(forward, by)| (forward.is_catch_all, by)).collect()
    };
    let (all, into_maildir) = (reaching(&found), reaching(&to_maildir));
    all.iter().for_each(|(_, address)| _ = same.remove(address));
    let told: BTreeSet<(bool, String)> =
        all.into_iter().map(|(is_catch_all, address)| (is_catch_all, shown(&address))).collect();
    let by = |is_catch_all| if is_catch_all { "catch-all" } else { "forward" };
    let told = told.into_iter().map(|(is_catch_all, address)| (address, by(is_catch_all)));
    let by_maildir: BTreeSet<String> = into_maildir.iter().map(|(_, address)| shown(address)).collect();
    Reaching {
        by: told.chain(same.iter().map(|address| (shown(address), "alias domain"))).collect(),
        by_maildir: by_maildir.into_iter().collect(),
    }
}

/// The maildir of the mailbox of this address.
fn maildir_of(host: &Host, homes: &dyn Homes, address: &[u8]) -> Option<Vec<u8>> {
    let (local, domain) = split_address(address)?;
    let line = host.assignments.vpopmail_domain(domain)?;
    let home = homes.home(&line.home);
    let particulars = home.known_mailboxes(&line.user).ok()?.find(local)?.particulars()?;
    Some([particulars.folder, b"/Maildir"].concat())
}

/// Whether a `.qmail` file of this home that says so delivers into this maildir.
fn is_maildir(home: &[u8], written: &[u8], maildir: &[u8]) -> bool {
    let path = match written.strip_prefix(b"./") {
        Some(rest) => [home, b"/", rest].concat(),
        None => written.to_vec(),
    };
    // Without the slash it is an mbox file.
    path.strip_suffix(b"/") == Some(maildir)
}

/// Whether a `.qmail` file of the domain that delivers into these directories delivers into the mailbox of this address.
pub fn is_own_mailbox(host: &Host, homes: &dyn Homes, address: &[u8], directories: &[String]) -> bool {
    let line = split_address(address).and_then(|(_, domain)| host.assignments.vpopmail_domain(domain));
    let own = line.zip(maildir_of(host, homes, address));
    own.is_some_and(|(line, own)| directories.iter().any(|to| is_maildir(&line.home, to.as_bytes(), &own)))
}

/// The `.qmail` files of this home that deliver into this maildir.
fn into_maildir(host: &Host, home: &Home, maildir: &[u8]) -> Vec<Forward> {
    let HomeState::Listed(_, dot_qmails) = &home.state else { return Vec::new() };
    let is_it = |written: &Vec<u8>| is_maildir(&home.path, written, maildir);
    let files = dot_qmails.files().filter(|(_, content)| content.delivers_to_mailbox());
    let of_file = |(name, _): (&[u8], &DotQmail)| {
        let file = [&home.path[..], b"/.qmail", name].concat();
        let target = sent_by(host, &file).directories.into_iter().find(is_it)?;
        let (path, from) = (host.layout.root.path(&file), From::File(home.path.clone(), name.to_vec()));
        Some(Forward { path, line: None, target, is_catch_all: false, is_certain: true, is_unread: false, from })
    };
    files.filter_map(of_file).collect()
}

/// The addresses that an address has in the other names of its domain, if the same takes their mail.
fn of_other_names(host: &Host, homes: &dyn Homes, own: &[u8]) -> BTreeSet<Vec<u8>> {
    let Some((local, domain)) = split_address(own) else { return BTreeSet::new() };
    let (delivery, last) = end_of(host, homes, own);
    // A mailbox whose mail is switched off is one all the same.
    let is_somebodys = delivery.accepted() || delivery.taker == Taker::Mailbox;
    if !is_somebodys || last.is_none() {
        return BTreeSet::new();
    }
    let others = family(host, domain).into_iter().filter(|name| *name != domain).map(|name| join_address(local, name));
    let is_same = |address: &Vec<u8>| {
        let (its, its_last) = end_of(host, homes, address);
        its.verdict == delivery.verdict && its_last == last
    };
    others.take(MAX_ASKED).filter(is_same).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_form_of_an_address_is_shown() {
        let shown = |line: &[u8]| target(line).map(|target| String::from_utf8(target).unwrap());
        assert_eq!(shown(b"&ann@example.com").as_deref(), Some("ann@example.com"));
        assert_eq!(shown(b"ann").as_deref(), Some("ann"));
        assert_eq!(shown(b"&first.last+x@example.com").as_deref(), Some("first.last+x@example.com"));
        // Lines of shadow and vpasswd, and what is no forward.
        for line in
            [&b"root:$6$salt$hash:1::::::"[..], b"$6$salt$hash", b"|program", b"/Maildir/", b"# x", b"+list", b""]
        {
            assert_eq!(shown(line), None, "{}", Shown(line));
        }
    }
}
