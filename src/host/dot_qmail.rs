//! The .qmail files of one home, and what their instructions mean (dot-qmail(5), qmail-command(8), docs/rules.md, 3.6
//! to 3.8). Every entry whose name begins with `.qmail` counts, whatever it is: also what no mail ever reaches decides
//! whether an address falls through to the next name.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::line::aliases::{Aliases, Asked, Fastforward, Vdeliver};
use super::line::declared::Declarations;
use super::line::{Agent, Line, Lines, MAX_LINE};
use crate::error::Trouble;
use crate::fs::silence::at;
use crate::fs::{Directory, End, Found, Kind, NAME_MAX, Opened, PATH_MAX, Perm, Root, Who};
use crate::text::{Shown, bytes_among, lines, trim_end};

/// A dot-qmail file longer than this is not read to its end, in bytes.
const MAX_LENGTH: usize = 1 << 20;
/// Directories called `.qmail-...` are read to this depth below the home.
const MAX_DEPTH: usize = 16;
/// In one file at most so many paths of programs are looked at.
const MAX_PROBES: usize = 16;
/// In one file at most so many lines are read as the shell does.
const MAX_SHELL_LINES: usize = 8;
/// So many bytes of such a line are one step of the home's budget.
const BYTES_OF_STEP: usize = 4;
/// At most so many entries are read below one home's `.qmail-...` directories.
const MAX_NESTED: usize = 10_000;

/// What the names of files end in that answer for every extension that begins as they do.
const DEFAULT: &[u8] = b"default";

/// A byte of an extension as qmail-local spells it in the name of a file: `:` for `.` (dot-qmail(5)).
pub fn spelled_byte(byte: u8) -> u8 {
    if byte == b'.' { b':' } else { byte }
}

/// An extension as qmail-local spells it in the name of a file.
pub fn spelled(extension: &[u8]) -> Vec<u8> {
    extension.iter().map(|b| spelled_byte(*b)).collect()
}

/// The extension that an address most likely has for which this part of a file's name answers: `.` for `:`.
pub fn unspelled(name: &[u8]) -> Vec<u8> {
    name.iter().map(|b| if *b == b':' { b'.' } else { *b }).collect()
}

/// Whether qmail-local never asks for a file, by its name without `.qmail`: it looks for names in lower case and with a `:`
/// for each dot.
pub fn is_never_asked(name: &[u8]) -> bool {
    name.first() == Some(&b'-') && name.iter().any(|b| b.is_ascii_uppercase() || *b == b'.')
}

/// What one line of a dot-qmail file says that does more than forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// Deliver to a mailbox or maildir.
    Mailbox,
    /// `+list`: no mailbox or program line may follow.
    List,
    /// Run a program.
    Program(Program),
}

/// What is known about a program line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// Nothing: it may deliver. The first word of the line.
    Unknown(Box<[u8]>),
    /// bouncesaying without a condition.
    Bouncesaying,
    /// `exit N`, N modulo 256, or nothing at all (0).
    Exit(u8),
    /// `vdelivermail X CATCHALL`.
    Vdelivermail(Catchall),
    /// vdelivermail with another number of arguments: it defers.
    VdelivermailMisused,
    /// What the shell makes of the line.
    Line(Arc<Line>),
}

/// What vdelivermail does with a name that is no mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Catchall {
    /// `bounce-no-mailbox`.
    Bounce,
    /// `delete`: the message is swallowed.
    Delete,
    /// A directory or an address: this one, cut after [`PATH_MAX`] bytes.
    Deliver(Vec<u8>),
}

impl Catchall {
    /// What the last argument of vdelivermail says.
    pub fn of(argument: &[u8]) -> Catchall {
        match argument {
            b"bounce-no-mailbox" => Catchall::Bounce,
            b"delete" => Catchall::Delete,
            other => Catchall::Deliver(other[..other.len().min(PATH_MAX)].to_vec()),
        }
    }
}

/// The instructions of one dot-qmail file that can decide about a message. A file of a million lines takes no more room
/// than one of ten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DotQmail {
    /// Whether it is empty, which means default delivery.
    pub empty: bool,
    /// Whether its first line is blank, which defers.
    pub blank_first: bool,
    /// The first line that forwards.
    pub first_forward: Option<usize>,
    /// How many bytes were read as the shell does.
    pub shell_bytes: usize,
    /// Its other instructions by line, from 1, up to the one that decides whatever comes before; what only repeats an
    /// earlier one is left out, but for lines of the shell.
    pub instructions: Vec<(usize, Instruction)>,
}

/// What is known of a host's programs, for [`DotQmail::parse`].
pub struct Programs<'a> {
    /// qmail's folder, as the host names it.
    pub qmail: &'a [u8],
    /// vpopmail's folder, as the host names it.
    pub vpopmail: &'a [u8],
    /// The home directory that the file is in, as the host names it.
    pub home: &'a [u8],
    /// What the administrator says about programs.
    pub declared: &'a Declarations,
    /// Whether a program is there, if this is one of the places where each host has it.
    pub usual: &'a dyn Fn(&[u8]) -> Option<bool>,
    /// Whether a file is there, by its path on the host.
    pub exists: &'a dyn Fn(&[u8]) -> bool,
    /// The home directory of an account.
    pub home_of: &'a dyn Fn(&[u8]) -> Option<Vec<u8>>,
    /// The names in a cdb of fastforward or vmailmgr, by its path on the host.
    pub aliases: &'a AliasesOf<'a>,
    /// The lines of the host that were read before.
    pub lines: Option<&'a Lines>,
}

impl<'a> Programs<'a> {
    /// What is known of a host of which nothing is known but these directories, and which files are there.
    pub fn of_directories(
        qmail: &'a [u8],
        vpopmail: &'a [u8],
        declared: &'a Declarations,
        exists: &'a dyn Fn(&[u8]) -> bool,
    ) -> Programs<'a> {
        Programs {
            qmail,
            vpopmail,
            home: b"/home",
            declared,
            usual: &|_| None,
            exists,
            home_of: &|_| None,
            aliases: &|_| Err("it is not read".into()),
            lines: None,
        }
    }
}

/// The names in a cdb of fastforward or vmailmgr, by its path on the host; or why they cannot be read.
pub type AliasesOf<'a> = dyn Fn(&[u8]) -> Result<Arc<Aliases>, Trouble> + 'a;

impl DotQmail {
    /// Parses the content of a dot-qmail file as qmail-local does.
    pub fn parse(content: &[u8], programs: &Programs<'_>) -> DotQmail {
        let mut found = DotQmail { empty: content.is_empty(), ..DotQmail::default() };
        let (mut probes, mut shell_lines) = (MAX_PROBES, 0);
        // Whether a later line can still decide, and whether `+list` was met.
        let (mut open, mut list) = (true, false);
        for (number, line) in lines(content) {
            let line = trim_end(line);
            let instruction = match line.first() {
                None | Some(0) if number == 1 => {
                    found.blank_first = true;
                    break;
                }
                None | Some(0 | b'#') => continue,
                Some(b'/' | b'.' | b'|' | b'+') if !open => continue,
                Some(b'/' | b'.') => Instruction::Mailbox,
                Some(b'|') => Instruction::Program(match parse_program(&line[1..], programs, &mut probes) {
                    Some(program) => program,
                    None if shell_lines == MAX_SHELL_LINES => Program::Unknown(first_word(&line[1..])),
                    None => {
                        shell_lines += 1;
                        found.shell_bytes += line.len().min(MAX_LINE);
                        read_program(&line[1..], programs, &mut probes)
                    }
                }),
                // A NUL ends the word, as it ends a string in C.
                Some(b'+') if line == b"+list" || line.starts_with(b"+list\0") => Instruction::List,
                Some(b'+') => continue,
                Some(_) => {
                    found.first_forward.get_or_insert(number);
                    continue;
                }
            };
            open = match &instruction {
                Instruction::List => true,
                Instruction::Program(Program::Exit(0) | Program::Vdelivermail(Catchall::Delete) | Program::Line(_)) => {
                    !list
                }
                Instruction::Mailbox | Instruction::Program(_) => false,
            };
            list |= instruction == Instruction::List;
            // What a line of the shell comes to depends on the lines before it.
            let is_shells = matches!(instruction, Instruction::Program(Program::Line(_)));
            if !open || is_shells || !found.instructions.iter().any(|(_, before)| *before == instruction) {
                found.instructions.push((number, instruction));
            }
        }
        found
    }
}

impl DotQmail {
    /// The program lines that were read as the shell does.
    fn lines(&self) -> impl Iterator<Item = &Line> {
        self.instructions.iter().filter_map(|(_, instruction)| match instruction {
            Instruction::Program(Program::Line(line)) => Some(&**line),
            _ => None,
        })
    }
}

impl DotQmail {
    /// Whether mail may go on from it to an address that it names.
    pub fn forwards(&self) -> bool {
        self.first_forward.is_some() || self.catch_all().is_some()
    }

    /// Whether it delivers to a mailbox or maildir.
    pub fn delivers_to_mailbox(&self) -> bool {
        self.instructions.iter().any(|(_, instruction)| *instruction == Instruction::Mailbox)
    }

    /// Where its catch-all delivers to: an address or a directory, and the line.
    pub fn catch_all(&self) -> Option<(usize, &[u8])> {
        self.instructions.iter().find_map(|(line, instruction)| match instruction {
            Instruction::Program(Program::Vdelivermail(Catchall::Deliver(to))) => Some((*line, &to[..])),
            _ => None,
        })
    }
}

/// The names that a program of a file knows.
pub struct Named<'a> {
    /// What the name of the file has between the dash and `default`.
    pub prefix: &'a [u8],
    /// What the names are.
    pub asked: Asked,
    /// The names.
    pub names: Vec<&'a [u8]>,
}

/// What a file says, or the one that a link leads to.
fn content_of(entry: &Entry) -> Option<&DotQmail> {
    match entry {
        Entry::File { content: Ok(content), .. } => Some(content),
        Entry::Link { target: Some(target), .. } => content_of(target),
        _ => None,
    }
}

impl fmt::Display for DotQmail {
    /// What it does with a message, in a few words, in the order of its lines. Of a program only that there is one: its
    /// arguments may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |instruction: &Instruction| match instruction {
            Instruction::List | Instruction::Program(Program::Exit(0)) => None,
            Instruction::Mailbox => Some("a mailbox or maildir".to_owned()),
            Instruction::Program(Program::Unknown(_) | Program::Line(_)) => Some("a program".to_owned()),
            Instruction::Program(Program::Bouncesaying) => Some("bouncesaying".to_owned()),
            Instruction::Program(Program::Exit(code)) => Some(format!("exit {code}")),
            Instruction::Program(Program::VdelivermailMisused) => Some("vdelivermail, misused".to_owned()),
            Instruction::Program(Program::Vdelivermail(catchall)) => Some(match catchall {
                Catchall::Bounce => "bounce-no-mailbox".to_owned(),
                Catchall::Delete => "delete".to_owned(),
                Catchall::Deliver(to) => Shown(to).to_string(),
            }),
        };
        let fixed = [(self.empty, "default delivery"), (self.blank_first, "a blank first line")];
        let fixed = fixed.into_iter().filter(|(is, _)| *is).map(|(_, word)| word.to_owned());
        let lines = self.instructions.iter().filter_map(|(_, instruction)| word(instruction));
        let forward = self.first_forward.map(|_| "a forward".to_owned());
        let words: Vec<String> = fixed.chain(lines).chain(forward).collect();
        f.write_str(&if words.is_empty() { "nothing".to_owned() } else { words.join(", ") })
    }
}

/// Whether a byte means more to the shell than itself: then nothing is known about the command.
const SPECIAL: [bool; 256] = bytes_among(b"\r\0;|&<>`$(){}[]*?~#!\\");

/// What is known about a command that vdelivermail hands to `sh -c`, of a host with these directories.
pub fn program_of(command: &[u8], qmail: &[u8], vpopmail: &[u8]) -> Program {
    parse_plain(command, (qmail, vpopmail), &mut |_| false).unwrap_or(Program::Unknown(Box::default()))
}

/// What is known about the command behind a `|`, which qmail-local hands to `sh -c`; `None` when it has to be read as the
/// shell does.
fn parse_program(command: &[u8], programs: &Programs<'_>, probes: &mut usize) -> Option<Program> {
    let mut is_there = |name: &[u8]| {
        if let Some(is_there) = (programs.usual)(name) {
            return is_there;
        }
        // Each costs a walk; a file that needs more is none that anybody wrote.
        *probes = probes.saturating_sub(1);
        *probes > 0 && (programs.exists)(name)
    };
    let plain = parse_plain(command, (programs.qmail, programs.vpopmail), &mut is_there);
    // What is declared wins.
    let is_declared = || {
        let name = command.split(|b| matches!(b, b' ' | b'\t')).find(|word| !word.is_empty()).unwrap_or_default();
        programs.declared.of(name).is_some()
    };
    plain.filter(|_| programs.declared.is_empty() || !is_declared())
}

/// What the shell does with a command.
fn read_program(command: &[u8], programs: &Programs<'_>, probes: &mut usize) -> Program {
    match Line::read(command, programs, probes) {
        Some(line) => Program::Line(line),
        None => Program::Unknown(first_word(command)),
    }
}

/// The first word of a line, for messages: what follows may be secret.
fn first_word(command: &[u8]) -> Box<[u8]> {
    const SHOWN: usize = 100;
    let word = command.split(|b| matches!(b, b' ' | b'\t')).find(|word| !word.is_empty()).unwrap_or_default();
    word[..word.len().min(SHOWN)].into()
}

/// What is known about a command that holds nothing but words; `None` when it has to be read as the shell does.
fn parse_plain(
    command: &[u8],
    (qmail, vpopmail): (&[u8], &[u8]),
    is_there: &mut dyn FnMut(&[u8]) -> bool,
) -> Option<Program> {
    if command.iter().any(|b| SPECIAL[usize::from(*b)]) {
        return None;
    }
    let words = shell_words(command)?;
    let Some((name, arguments)) = words.split_first() else { return Some(Program::Exit(0)) };
    let name = &name[..];
    let is_ours = |folder: &[u8], program: &[u8]| {
        name.strip_prefix(folder).and_then(|rest| rest.strip_prefix(b"/bin/")) == Some(program)
    };
    if name == b"exit" {
        return match arguments {
            [] => Some(Program::Exit(0)),
            [code] => exit_code(code).map(Program::Exit),
            _ => None,
        };
    }
    if name == b"bouncesaying" || is_ours(qmail, b"bouncesaying") {
        return (arguments.len() <= 1).then_some(Program::Bouncesaying);
    }
    let is_vdelivermail = is_ours(vpopmail, b"vdelivermail")
        || (name.starts_with(b"/")
            && (name.ends_with(b"/vpopmail/bin/vdelivermail") || (name.ends_with(b"/vdelivermail") && is_there(name))));
    is_vdelivermail.then(|| match arguments {
        [_, catchall] => Program::Vdelivermail(Catchall::of(catchall)),
        _ => Program::VdelivermailMisused,
    })
}

/// The number of an `exit`, modulo 256; `None` for what some shell would refuse.
pub fn exit_code(word: &[u8]) -> Option<u8> {
    if word.is_empty() || !word.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: i32 = std::str::from_utf8(word).ok()?.parse().ok()?;
    Some((number & 0xff) as u8)
}

/// The words of a command that holds no special character but quotes, as the shell splits them; `None` when a quote is
/// not closed.
fn shell_words(command: &[u8]) -> Option<Vec<Cow<'_, [u8]>>> {
    let mut words = Vec::new();
    let mut word: Option<Cow<'_, [u8]>> = None;
    let mut rest = command;
    loop {
        let plain = rest.iter().take_while(|b| !matches!(b, b' ' | b'\t' | b'\'' | b'"')).count();
        let mut add = |part| match &mut word {
            Some(word) => word.to_mut().extend_from_slice(part),
            None => word = Some(Cow::Borrowed(part)),
        };
        if plain > 0 {
            add(&rest[..plain]);
        }
        match rest[plain..].split_first() {
            Some((quote @ (b'\'' | b'"'), behind)) => {
                let end = behind.iter().position(|b| b == quote)?;
                add(&behind[..end]);
                rest = &behind[end + 1..];
            }
            Some((_, behind)) => {
                words.extend(word.take());
                rest = behind;
            }
            None => {
                words.extend(word);
                return Some(words);
            }
        }
    }
}

/// What one name in a home is.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A regular file.
    File {
        /// Its mode, owner and group.
        perm: Perm,
        /// What it says; or why it was not read to its end.
        content: Result<DotQmail, Trouble>,
    },
    /// A directory.
    Directory {
        /// Its mode, owner and group.
        perm: Perm,
        /// What is in it; or why that was not read.
        entries: Result<BTreeMap<Vec<u8>, Entry>, Trouble>,
    },
    /// Anything else: to be opened for reading, and then passed over.
    Other(Perm),
    /// A symbolic link.
    Link {
        /// The permissions of the directories that must be searched to follow it, each once.
        searched: Box<[Perm]>,
        /// What it leads to; `None` when it dangles or loops.
        target: Option<Box<Entry>>,
    },
    /// What it is could not be found out: why.
    Unknown(Trouble),
}

/// What opening a name for reading comes to, in the place of qmail-local.
#[derive(Clone, Copy, Debug)]
pub enum Opening<'a> {
    /// Not there, or no regular file: the next name is tried.
    Passed(&'static str),
    /// Not permitted.
    Denied,
    /// A regular file with these permissions and this content.
    File(Perm, &'a DotQmail),
    /// It was not read: why.
    Unread(&'a Trouble),
}

/// The dot-qmail entries of one home, by name without its `.qmail`.
#[derive(Clone, Debug, Default)]
pub struct DotQmails {
    entries: BTreeMap<Vec<u8>, Entry>,
    /// The marks of what stands behind a `-` in the names of the entries.
    marks: u128,
    /// How long those names are that end in `default`, in bytes.
    defaults: BTreeSet<usize>,
    /// What was left unread, and counts as delivered: the first few.
    pub unread: Vec<Unread>,
}

/// A file or folder that was left unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its path, as the host names it.
    pub path: Vec<u8>,
    /// Why.
    pub cause: Trouble,
    /// Whether it is more than we read, or broken: somebody should know about that at once.
    pub bound: bool,
}

/// How many of the unread files of one home are told of, of each kind.
const MAX_TOLD: usize = 3;

impl DotQmails {
    /// Opens the file `.qmail` + `name` as `who`, in a home that `who` may search. `name` may lead into directories.
    pub fn open(&self, name: &[u8], who: Who) -> Opening<'_> {
        if name.len() + b".qmail".len() >= PATH_MAX {
            return Opening::Passed("name too long");
        }
        let mut parts = name.split(|b| *b == b'/');
        let Some(first) = parts.next() else { return Opening::Passed("no such file") };
        if first.len() + b".qmail".len() > NAME_MAX {
            return Opening::Passed("name too long");
        }
        let Some(mut entry) = self.entries.get(first) else { return Opening::Passed("no such file") };
        let mut rest = parts.peekable();
        loop {
            while let Entry::Link { searched, target } = entry {
                if !searched.iter().all(|directory| directory.searchable(who)) {
                    return Opening::Denied;
                }
                match target {
                    Some(target) => entry = target,
                    None => return Opening::Passed("a link that leads nowhere"),
                }
            }
            if rest.peek().is_none() {
                break;
            }
            let Entry::Directory { perm, entries } = entry else {
                return match entry {
                    Entry::Unknown(cause) => Opening::Unread(cause),
                    _ => Opening::Passed("below a file"),
                };
            };
            // Slashes side by side are one; a last one asks for the directory itself.
            while rest.next_if(|part| part.is_empty()).is_some() {}
            let Some(part) = rest.next() else { break };
            if !perm.searchable(who) {
                return Opening::Denied;
            }
            if part.len() > NAME_MAX {
                return Opening::Passed("name too long");
            }
            match entries.as_ref().map(|entries| entries.get(part)) {
                Ok(Some(inner)) => entry = inner,
                Ok(None) => return Opening::Passed("no such file"),
                Err(cause) => return Opening::Unread(cause),
            }
        }
        let (perm, opened) = match entry {
            Entry::File { perm, content: Ok(content) } => (perm, Opening::File(*perm, content)),
            Entry::File { perm, content: Err(cause) } => (perm, Opening::Unread(cause)),
            Entry::Directory { perm, .. } => (perm, Opening::Passed("a directory")),
            Entry::Other(perm) => (perm, Opening::Passed("no regular file")),
            // Cannot come here because every link was followed.
            Entry::Link { .. } => return Opening::Passed("a link that leads nowhere"),
            Entry::Unknown(cause) => return Opening::Unread(cause),
        };
        if perm.readable(who) { opened } else { Opening::Denied }
    }

    /// Whether `.qmail-` + `name` is there, as qmail-local spells it. `name` holds no `/`.
    pub fn answers_for(&self, name: &[u8]) -> bool {
        // Most are like none of them.
        self.marks & mark(name) != 0 && self.entries.contains_key(&[b"-", &spelled(name)[..]].concat())
    }

    /// Whether there may be an entry of this name, which ends in `default`; seldom so when there is none.
    pub fn may_hold_default(&self, name: &[u8]) -> bool {
        self.defaults.contains(&name.len()) || name.contains(&b'/')
    }

    /// For how many names that end in `default`, and may be there, qmail-local looks at most, for an extension or a longer
    /// local part.
    pub fn tries(&self, local: &[u8]) -> usize {
        let dashes = memchr::memchr_iter(b'-', local).count();
        if local.contains(&b'/') { dashes } else { dashes.min(self.defaults.len()) }
    }

    /// How many programs the lines of a file that ends in `default` run at most: each of its names has them run.
    pub fn most_programs(&self) -> usize {
        let defaults = self.entries.iter().filter(|(name, _)| name.ends_with(DEFAULT));
        let programs = defaults
            .map(|(_, entry)| content_of(entry).into_iter().flat_map(DotQmail::lines).map(|line| line.commands).sum());
        programs.max().unwrap_or(0)
    }

    /// Whether the home holds no name that begins with `.qmail`.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The names of its entries, without their `.qmail`, that begin with a `-`.
    pub fn extensions(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.keys().map(Vec::as_slice).filter(|name| name.first() == Some(&b'-'))
    }

    /// The files of the home itself that forward, or have a catch-all that delivers: their names without `.qmail`, and
    /// what they say.
    pub fn forwarding(&self) -> impl Iterator<Item = (&[u8], &DotQmail)> {
        self.entries.iter().filter_map(|(name, entry)| match entry {
            Entry::File { content: Ok(content), .. } if content.forwards() => Some((name.as_slice(), content)),
            _ => None,
        })
    }

    /// The files that were read, by their names without `.qmail`.
    pub fn files(&self) -> impl Iterator<Item = (&[u8], &DotQmail)> {
        self.entries.iter().filter_map(|(name, entry)| match entry {
            Entry::File { content: Ok(content), .. } => Some((name.as_slice(), content)),
            _ => None,
        })
    }

    /// The names, without their `.qmail`, of what is no file and leads to none, and what it is.
    pub fn no_files(&self) -> impl Iterator<Item = (&[u8], &'static str)> {
        fn what(entry: &Entry) -> Option<&'static str> {
            match entry {
                Entry::Directory { entries: Ok(entries), .. } if entries.is_empty() => Some("an empty directory"),
                Entry::Link { target: None, .. } => Some("a link that leads nowhere"),
                Entry::Link { target: Some(target), .. } => what(target),
                _ => None,
            }
        }
        self.entries.iter().filter_map(|(name, entry)| Some((name.as_slice(), what(entry)?)))
    }

    /// The names, without their `.qmail`, of folders that were not read, and why.
    pub fn closed_folders(&self) -> impl Iterator<Item = (&[u8], &Trouble)> {
        fn closed(entry: &Entry) -> Option<&Trouble> {
            match entry {
                Entry::Directory { entries, .. } => entries.as_ref().err(),
                Entry::Link { target, .. } => target.as_deref().and_then(closed),
                _ => None,
            }
        }
        self.entries.iter().filter_map(|(name, entry)| Some((name.as_slice(), closed(entry)?)))
    }

    /// Whether `.qmail-default` is a file that cannot call vdelivermail: then the home is no vpopmail domain.
    pub fn default_serves_otherwise(&self) -> bool {
        let is_vdelivermail = |instruction: &Instruction| {
            let Instruction::Program(program) = instruction else { return false };
            match program {
                Program::Vdelivermail(_) | Program::VdelivermailMisused | Program::Unknown(_) => true,
                Program::Line(line) => line.may_serve_mailboxes(),
                Program::Bouncesaying | Program::Exit(_) => false,
            }
        };
        matches!(self.entries.get(&b"-default"[..]), Some(Entry::File { content: Ok(content), .. })
            if !content.instructions.iter().any(|(_, instruction)| is_vdelivermail(instruction)))
    }

    /// Whether `.qmail-default` asks for more of a name than whether it is a mailbox.
    pub fn default_asks_names(&self) -> bool {
        self.entries
            .get(&b"-default"[..])
            .and_then(content_of)
            .is_some_and(|content| content.lines().any(Line::asks_names))
    }

    /// Whether any file asks for more of a name than whether it is a mailbox, so that the domain counts.
    pub fn asks_names(&self) -> bool {
        self.all_lines().iter().any(|line| line.asks_names())
    }

    /// The programs that the lines run which were read as the shell does, as they name them.
    pub fn programs(&self) -> Vec<Vec<u8>> {
        self.all_lines().into_iter().flat_map(Line::programs).map(|command| command.name.clone()).collect()
    }

    /// The program lines of all files that were read as the shell does.
    fn all_lines(&self) -> Vec<&Line> {
        let mut found = Vec::new();
        let mut left: Vec<&Entry> = self.entries.values().collect();
        while let Some(entry) = left.pop() {
            if let Entry::Directory { entries: Ok(entries), .. } = entry {
                left.extend(entries.values());
            }
            found.extend(content_of(entry).into_iter().flat_map(DotQmail::lines));
        }
        found
    }

    /// The names in the cdb of each program that has one, for each file that ends in `default` and runs it. `who` has to be
    /// able to read them: the names of a file of somebody else's are not published.
    pub fn aliases(&self, dash: &[u8], who: Who) -> Vec<Named<'_>> {
        let prefix =
            |name: &'_ [u8]| name.strip_prefix(dash).and_then(|rest| rest.strip_suffix(DEFAULT)).map(<[u8]>::len);
        let mut found = Vec::new();
        for (name, entry) in &self.entries {
            let Some(length) = prefix(name).filter(|length| *length == 0 || name[dash.len() + length - 1] == b'-')
            else {
                continue;
            };
            for line in content_of(entry).iter().flat_map(|content| content.lines()) {
                for command in line.programs() {
                    let (asked, aliases, names) = match &command.agent {
                        Agent::Fastforward(Fastforward { aliases: Ok(aliases), by_default, .. }) => {
                            let asked = if *by_default { Asked::Default } else { Asked::Recipient };
                            (asked, aliases, aliases.names().collect())
                        }
                        Agent::Vdeliver(Vdeliver { users, .. }) => (Asked::Ext, users, users.users().collect()),
                        _ => continue,
                    };
                    if aliases.is_readable(who) {
                        found.push(Named { prefix: &name[dash.len()..dash.len() + length], asked, names });
                    }
                }
            }
        }
        found
    }

    /// Every stem (docs/rules.md, 8.2) whose name begins with `dash`, without it: entries of any kind, and what lies in
    /// directories that `who` may search, with `/` between their names. Names with an upper-case letter after `dash` are
    /// left out: no address is spelled like them.
    pub fn stems(&self, dash: &[u8], who: Who) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        collect_stems(&self.entries, b"", dash, who, &mut found);
        found
    }

    /// Reads the entries of an open home. `home` is its path on the host, for links that lead out of it.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn read(root: &Root, home: &[u8], directory: &Directory, programs: &Programs<'_>) -> io::Result<DotQmails> {
        let mut reader = Reader {
            root,
            home_id: directory.id,
            programs,
            nested: 0,
            unread: Vec::new(),
            path: home.to_vec(),
            buffer: Vec::new(),
        };
        let listed = directory.entries(|name| name.starts_with(b".qmail"))?;
        root.budget().map_or(Ok(()), |budget| budget.names(listed.len()))?;
        let mut entries = reader.read_entries(directory, listed, 0, &[directory.id]);
        for (name, _) in &mut entries {
            name.drain(..b".qmail".len());
        }
        let extensions = entries.iter().filter_map(|(name, _)| name.strip_prefix(b"-"));
        let marks = extensions.fold(0, |all, extension| all | mark(extension));
        let defaults = entries.iter().filter(|(name, _)| name.ends_with(DEFAULT)).map(|(name, _)| name.len()).collect();
        Ok(DotQmails { entries: entries.into_iter().collect(), marks, defaults, unread: reader.unread })
    }
}

/// A bit that is the same for an extension and for how qmail-local spells it, and another one for most that are neither.
fn mark(extension: &[u8]) -> u128 {
    let end = |byte: Option<&u8>| byte.map_or(0, |byte| usize::from(spelled_byte(*byte)));
    1 << ((end(extension.first()) + 5 * end(extension.last()) + 23 * extension.len()) % 128)
}

fn collect_stems(entries: &BTreeMap<Vec<u8>, Entry>, above: &[u8], dash: &[u8], who: Who, found: &mut Vec<Vec<u8>>) {
    for (name, entry) in entries {
        let name = [above, name].concat();
        let rest = name.strip_prefix(dash).filter(|rest| !rest.iter().any(u8::is_ascii_uppercase));
        found.extend(rest.map(<[u8]>::to_vec));
        let mut entry = entry;
        let mut is_open = true;
        while let Entry::Link { searched, target: Some(target) } = entry {
            is_open &= searched.iter().all(|directory| directory.searchable(who));
            entry = target;
        }
        if let Entry::Directory { perm, entries: Ok(entries) } = entry
            && is_open
            && perm.searchable(who)
        {
            collect_stems(entries, &[&name[..], b"/"].concat(), dash, who, found);
        }
    }
}

/// Reads the entries of one home.
struct Reader<'a> {
    root: &'a Root,
    home_id: (u64, u64),
    programs: &'a Programs<'a>,
    /// How many entries were read below directories.
    nested: usize,
    unread: Vec<Unread>,
    /// The path of what is being read, as the host names it.
    path: Vec<u8>,
    /// What files are read into.
    buffer: Vec<u8>,
}

impl Reader<'_> {
    /// What these names in `directory` are; those that have vanished are left out. `above` are the directories they lie
    /// in, so that a link to one of them does not go round for ever.
    fn read_entries(
        &mut self,
        directory: &Directory,
        listed: Vec<(Vec<u8>, Option<Kind>)>,
        depth: usize,
        above: &[(u64, u64)],
    ) -> Vec<(Vec<u8>, Entry)> {
        let length = self.path.len();
        let mut entries = Vec::with_capacity(listed.len());
        for (name, kind) in listed {
            // Nothing of the home counts then.
            if self.root.is_spent() {
                break;
            }
            self.path.push(b'/');
            self.path.extend_from_slice(&name);
            let entry = self.read_entry(directory, &name, kind, depth, above);
            self.path.truncate(length);
            entries.extend(entry.map(|entry| (name, entry)));
        }
        entries
    }

    /// What `name` in `directory` is, whose path is `self.path`; `None` when it has vanished.
    fn read_entry(
        &mut self,
        directory: &Directory,
        name: &[u8],
        kind: Option<Kind>,
        depth: usize,
        above: &[(u64, u64)],
    ) -> Option<Entry> {
        let kind = match kind {
            Some(Kind::Other) | None => match directory.stat(name) {
                Ok((Kind::Other, perm, _)) => return Some(Entry::Other(perm)),
                Ok((kind, ..)) => kind,
                Err(cause) => return unknown_unless_gone(&cause),
            },
            Some(kind) => kind,
        };
        match kind {
            Kind::Regular => match directory.open_file(name) {
                Ok(file) => Some(self.read_file(file)),
                Err(cause) => self.read_perm_only(directory, name, &cause),
            },
            Kind::Directory => match directory.open_directory(name) {
                Ok(inner) => Some(self.read_directory(&inner, depth, above)),
                Err(cause) => self.read_perm_only(directory, name, &cause),
            },
            Kind::Link => Some(self.read_link(depth, above)),
            // Cannot come here because its permissions were asked for above.
            Kind::Other => Some(Entry::Unknown("no regular file".into())),
        }
    }

    /// An entry that could not be opened: what stat(2) still says about it.
    fn read_perm_only(&mut self, directory: &Directory, name: &[u8], cause: &io::Error) -> Option<Entry> {
        let stat = directory.stat(name);
        let trouble = Trouble::from(cause);
        if stat.is_ok() {
            // What root may not read is broken; what others may not read is only not theirs.
            self.leave(trouble.clone(), cause.kind() != io::ErrorKind::PermissionDenied);
        }
        match stat {
            Ok((Kind::Regular, perm, _)) => Some(Entry::File { perm, content: Err(trouble) }),
            Ok((Kind::Directory, perm, _)) => Some(Entry::Directory { perm, entries: Err(trouble) }),
            Ok((Kind::Other, perm, _)) => Some(Entry::Other(perm)),
            Ok((Kind::Link, ..)) => Some(Entry::Unknown(trouble)),
            Err(_) => unknown_unless_gone(cause),
        }
    }

    /// Notes what is left unread.
    fn leave(&mut self, cause: Trouble, bound: bool) {
        let is_alike = |before: &&Unread| (before.bound, before.cause.denied) == (bound, cause.denied);
        if self.unread.iter().filter(is_alike).count() < MAX_TOLD {
            self.unread.push(Unread { path: self.path.clone(), cause, bound });
        }
    }

    /// Notes that something is more than is read; why.
    fn beyond(&mut self, cause: String) -> Trouble {
        let cause = Trouble::from(cause);
        self.leave(cause.clone(), true);
        cause
    }

    fn read_file(&mut self, mut file: Opened) -> Entry {
        let perm = file.perm;
        let too_long = || format!("it is longer than {} MiB", MAX_LENGTH >> 20);
        if file.size > MAX_LENGTH as u64 {
            return Entry::File { perm, content: Err(self.beyond(too_long())) };
        }
        let content = match file.read_start(&mut self.buffer, MAX_LENGTH + 1) {
            Ok(()) if self.buffer.len() > MAX_LENGTH => Err(self.beyond(too_long())),
            Ok(()) => {
                let found = DotQmail::parse(&self.buffer, self.programs);
                // What is spent is told of the home as a whole.
                if found.shell_bytes > 0
                    && let Some(budget) = self.root.budget()
                {
                    let _ = budget.steps(found.shell_bytes / BYTES_OF_STEP);
                }
                Ok(found)
            }
            Err(cause) => {
                let cause = Trouble::from(&cause);
                self.leave(cause.clone(), true);
                Err(cause)
            }
        };
        Entry::File { perm, content }
    }

    fn read_directory(&mut self, directory: &Directory, depth: usize, above: &[(u64, u64)]) -> Entry {
        let perm = directory.perm;
        let closed = |cause: Trouble| Entry::Directory { perm, entries: Err(cause) };
        let round = above.iter().filter(|id| **id == directory.id).count() > usize::from(directory.id == self.home_id);
        if round {
            return closed("it leads back to a directory that it is in".into());
        }
        if depth >= MAX_DEPTH {
            return closed(format!("more than {MAX_DEPTH} directories deep").into());
        }
        let too_many = || format!("more than {MAX_NESTED} names are below the home's .qmail directories");
        if self.nested >= MAX_NESTED {
            return closed(too_many().into());
        }
        let listed = match directory.entries(|_| true) {
            Ok(listed) => listed,
            Err(cause) => {
                self.leave((&cause).into(), cause.kind() != io::ErrorKind::PermissionDenied);
                return closed((&cause).into());
            }
        };
        self.nested += listed.len();
        if self.nested > MAX_NESTED {
            return closed(self.beyond(too_many()));
        }
        if let Some(Err(cause)) = self.root.budget().map(|budget| budget.names(listed.len())) {
            return closed((&cause).into());
        }
        let above = [above, &[directory.id]].concat();
        let entries = self.read_entries(directory, listed, depth + 1, &above);
        Entry::Directory { perm, entries: Ok(entries.into_iter().collect()) }
    }

    fn read_link(&mut self, depth: usize, above: &[(u64, u64)]) -> Entry {
        let walk = self.root.walk(&self.path);
        let target = match walk.end {
            End::Found(found) => Some(Box::new(self.read_target(&found, depth, above))),
            End::Missing(_) => None,
            End::Failed(cause) => {
                let cause = Trouble::from(cause);
                self.leave(cause.clone(), !cause.denied);
                Some(Box::new(Entry::Unknown(cause)))
            }
            End::Silent(silence) => Some(Box::new(Entry::Unknown(silence.to_string().into()))),
        };
        // A way of thousands of directories has few modes and owners.
        let mut searched = walk.searched;
        searched.sort_unstable();
        searched.dedup();
        Entry::Link { searched: searched.into(), target }
    }

    fn read_target(&mut self, found: &Found, depth: usize, above: &[(u64, u64)]) -> Entry {
        at(|| found.real.clone(), || self.read_found(found, depth, above))
    }

    fn read_found(&mut self, found: &Found, depth: usize, above: &[(u64, u64)]) -> Entry {
        let perm = found.perm;
        match found.kind {
            Kind::Regular => match found.open_file() {
                Ok(file) => self.read_file(file),
                Err(cause) => {
                    let to = format!("a link that leads to {}", Shown(found.real.as_os_str().as_bytes()));
                    let cause = Trouble::from(&cause).of_file(to);
                    self.leave(cause.clone(), false);
                    Entry::File { perm, content: Err(cause) }
                }
            },
            // What lies outside the home is not read: its names are not the home's.
            Kind::Directory if found.id == self.home_id || found.above.contains(&self.home_id) => {
                match found.open_directory() {
                    Ok(directory) => self.read_directory(&directory, depth, above),
                    Err(cause) => {
                        self.leave((&cause).into(), cause.kind() != io::ErrorKind::PermissionDenied);
                        Entry::Directory { perm, entries: Err((&cause).into()) }
                    }
                }
            }
            Kind::Directory => Entry::Directory { perm, entries: Err("it is outside the home directory".into()) },
            Kind::Other | Kind::Link => Entry::Other(perm),
        }
    }
}

fn unknown_unless_gone(cause: &io::Error) -> Option<Entry> {
    (cause.kind() != io::ErrorKind::NotFound).then(|| Entry::Unknown(cause.into()))
}
