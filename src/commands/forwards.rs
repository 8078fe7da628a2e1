//! Where `.qmail` files and aliases of a user database forward mail to, and so by which other addresses an address is
//! reached. A rebuild needs none of this, so the lines are read again here. Only what has the form of an address is shown:
//! a link can make a file with secrets look like one that forwards.

use std::path::PathBuf;

use crate::host::dot_qmail::{DotQmail, Program, program_of, unspelled};
use crate::host::mailboxes::alias::Aliases;
use crate::host::{Home, HomeState, Homes, Host};
use crate::text::{DEFAULT, Shown, join_address, lines, lower, trim_end};

/// So much of a file is read, in bytes.
const MAX_LENGTH: usize = 1 << 16;
/// So many addresses of one file are told.
const MAX_TARGETS: usize = 100;
/// An address is at most so long, in bytes.
const MAX_ADDRESS: usize = 320;

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
pub fn of_file(host: &Host, file: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let content = read(host, file);
    let targets = lines(&content).filter_map(|(number, line)| Some((number, target(trim_end(line))?)));
    targets.take(MAX_TARGETS).collect()
}

/// The address that a line of a `.qmail` file or a row of an alias forwards to.
pub fn target(line: &[u8]) -> Option<Vec<u8>> {
    if matches!(line.first(), None | Some(b'#' | b'|' | b'/' | b'.' | b'+')) {
        return None;
    }
    address(line.strip_prefix(b"&").unwrap_or(line))
}

/// What has the form of an address that people use.
fn address(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    let is_usual = |b: &u8| b.is_ascii_alphanumeric() || b"@.-_+=~/!#%&'*^".contains(b);
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
    from: From,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum From {
    /// A `.qmail` file: its home and its name without `.qmail`.
    File(Vec<u8>, Vec<u8>),
    /// An alias of a user database.
    Alias(Vec<u8>),
}

impl Forward {
    /// The addresses that lead to it; a catch-all has none of its own, so `(any other name)` is in their place.
    pub fn addresses(&self, host: &Host) -> Vec<String> {
        let (home, name) = match &self.from {
            From::Alias(address) => return vec![Shown(address).to_string()],
            From::File(home, name) => (home, name),
        };
        let mut locals = Vec::new();
        // These are addresses of each local domain too, but mail is not sent to them by those names.
        let mut of_vpopmail = Vec::new();
        for (local, line) in host.assignments.exact.iter().filter(|(_, line)| line.home == *home) {
            if [&line.dash[..], &line.ext].concat() == *name {
                locals.push(local.clone());
            }
        }
        for (loc, line) in host.assignments.wildcards.iter().filter(|(_, line)| line.home == *home) {
            if let Some(rest) = name.strip_prefix(&[&line.dash[..], &line.ext].concat()[..]) {
                let domain = loc.strip_suffix(b"-").filter(|domain| host.is_vpopmail_like(domain));
                let its = if domain.is_some() { &mut of_vpopmail } else { &mut locals };
                its.push([&loc[..], &unspelled(rest)].concat());
            }
        }
        let accounts = &host.accounts;
        let is_alias = accounts.alias.as_ref().is_some_and(|alias| alias.home == *home);
        locals.extend(name.strip_prefix(b"-").filter(|_| is_alias).map(unspelled));
        for (account, _) in accounts.accepted.iter().filter(|(_, account)| account.home == *home && !is_alias) {
            locals.push([&account[..], &unspelled(name)].concat());
        }
        let mut found: Vec<String> = Vec::new();
        for domain in host.control.domains().filter(|domain| domain.first() != Some(&b'.') && !domain.is_empty()) {
            let Some(prefix) = host.control.prefix(domain) else { continue };
            // Those of its alias domains are told as such.
            if host.assignments.alias_of(domain).is_some() {
                continue;
            }
            let its = of_vpopmail.iter().filter(|_| !prefix.is_empty());
            for local in locals.iter().chain(its).filter_map(|local| local.strip_prefix(&prefix[..])) {
                let shown = match local.strip_suffix(DEFAULT) {
                    Some(start) if name.ends_with(DEFAULT) => format!("{}(any other name)", Shown(start)),
                    _ => Shown(local).to_string(),
                };
                found.push(format!("{shown}@{}", Shown(domain)));
            }
        }
        found.sort();
        found.dedup();
        found
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
                take(Forward { path, line: Some(line), target, is_catch_all, is_certain, from });
            });
        }
    }
    for users in &home.users {
        let Some(domain) = &users.of else { continue };
        for (name, line) in users.known_aliases().into_iter().flat_map(Aliases::lines) {
            if let Some(target) = target(line) {
                let from = From::Alias(join_address(name, domain));
                let path = users.tables.1.clone();
                take(Forward { path, line: None, target, is_catch_all: false, is_certain: false, from });
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

/// The other addresses that lead to this one by a forward, an alias or a catch-all, each with what leads there.
pub fn that_reach(host: &Host, homes: &dyn Homes, address: &[u8]) -> Vec<(String, Forward)> {
    let wanted = whole(host, address);
    let mut found: Vec<Forward> = Vec::new();
    for path in host.homes() {
        of_home(host, &homes.home(path), &mut |forward| {
            // The first line of several in one file tells it.
            let is_told = |last: &Forward| (&last.from, last.is_catch_all) == (&forward.from, forward.is_catch_all);
            if whole(host, &forward.target) == wanted && !found.last().is_some_and(is_told) {
                found.push(forward);
            }
        });
    }
    let named = |forward: Forward| forward.addresses(host).into_iter().map(move |address| (address, forward.clone()));
    let mut found: Vec<(String, Forward)> = found.into_iter().flat_map(named).collect();
    found.sort_by(|a, b| (a.1.is_catch_all, &a.0).cmp(&(b.1.is_catch_all, &b.0)));
    found
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
