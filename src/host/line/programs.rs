//! The programs that a line may run: which of them the shell does itself, which only run another one, and the one table of
//! those that are known (docs/rules.md, 12.3).

use std::cell::Cell;

use super::super::dot_qmail::{Catchall, Programs, exit_code};
use super::aliases::{Fastforward, Vdeliver};
use super::read::may_be_set;
use super::words::{Piece, Word};
use super::{Agent, Command, Node};

/// Where a command without a `/` is looked for, after QMAIL/bin.
pub const PATH: [&[u8]; 3] = [b"/usr/local/bin", b"/usr/bin", b"/bin"];
/// Where Dovecot's delivery agent is installed.
const DOVECOT: [&[u8]; 4] =
    [b"/usr/libexec/dovecot", b"/usr/local/libexec/dovecot", b"/usr/lib/dovecot", b"/usr/lib64/dovecot"];

/// Where the settings of vmailmgr are, beside those in the home directory.
const VMAILMGR: [&[u8]; 3] = [b"/etc/vmailmgr", b"/usr/local/etc/vmailmgr", b"/usr/pkg/etc/vmailmgr"];

/// What is known about one program.
struct Known {
    name: &'static [u8],
    /// What it is with these arguments.
    read: fn(&[Word], &Programs<'_>) -> Agent,
}

/// The programs that decide about an address, each with how its arguments are read.
const KNOWN: [Known; 6] = [
    Known { name: b"vdelivermail", read: vdelivermail },
    Known { name: b"bouncesaying", read: bouncesaying },
    Known { name: b"fastforward", read: fastforward },
    Known { name: b"dovecot-lda", read: dovecot_lda },
    Known { name: b"deliver", read: dovecot_lda },
    Known { name: b"vdeliver", read: vdeliver },
];
/// The programs that end as the one does which they run.
const WRAPPERS: [&[u8]; 3] = [b"env", b"nice", b"preline"];
/// What the shell does itself, or what is part of its grammar: it changes what follows, or shells disagree about it.
const BUILTINS: [&[u8]; 61] = [
    b".",
    b"alias",
    b"bg",
    b"bind",
    b"break",
    b"builtin",
    b"caller",
    b"case",
    b"cd",
    b"chdir",
    b"command",
    b"compgen",
    b"complete",
    b"continue",
    b"coproc",
    b"declare",
    b"dirs",
    b"disown",
    b"do",
    b"done",
    b"elif",
    b"else",
    b"enable",
    b"esac",
    b"eval",
    b"exec",
    b"exit",
    b"export",
    b"fc",
    b"fg",
    b"fi",
    b"for",
    b"function",
    b"getopts",
    b"hash",
    b"if",
    b"jobs",
    b"let",
    b"local",
    b"logout",
    b"mapfile",
    b"popd",
    b"pushd",
    b"read",
    b"readonly",
    b"return",
    b"select",
    b"set",
    b"shift",
    b"shopt",
    b"source",
    b"suspend",
    b"then",
    b"time",
    b"times",
    b"trap",
    b"typeset",
    b"ulimit",
    b"umask",
    b"unset",
    b"while",
];
/// More of them, which do no harm to what follows.
const HARMLESS: [&[u8]; 16] = [
    b":", b"true", b"false", b"echo", b"printf", b"test", b"[", b"pwd", b"type", b"wait", b"kill", b"unalias",
    b"until", b"!", b"{", b"}",
];

/// The places where the programs that are known are looked for on each host.
pub fn usual_places(qmail: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let bin = [qmail, b"/bin"].concat();
    let directories = std::iter::once(bin).chain(PATH.iter().map(|directory| directory.to_vec()));
    let names = || KNOWN.iter().map(|known| known.name).filter(|name| name != b"deliver").chain(WRAPPERS);
    let in_path = directories
        .flat_map(move |directory| names().map(move |name| [&directory[..], b"/", name].concat()).collect::<Vec<_>>());
    let of_dovecot = DOVECOT
        .iter()
        .flat_map(|directory| [&b"dovecot-lda"[..], b"deliver"].map(|name| [directory, &b"/"[..], name].concat()));
    in_path.chain(of_dovecot)
}

/// Reads the programs of one line.
pub struct Reader<'a, 'p> {
    programs: &'a Programs<'p>,
    probes: &'a mut usize,
    number: usize,
    /// Whether nothing was asked that is another thing for another home directory.
    is_general: Cell<bool>,
}

/// A command that was found.
struct Found {
    name: Vec<u8>,
    in_path: bool,
    /// Whether it is there.
    is_there: bool,
}

impl<'a, 'p> Reader<'a, 'p> {
    /// For lines of a host with these programs; at most `probes` more files are looked for.
    pub fn new(programs: &'a Programs<'p>, probes: &'a mut usize) -> Reader<'a, 'p> {
        Reader { programs, probes, number: 0, is_general: Cell::new(true) }
    }

    /// How many programs were read.
    pub fn commands(&self) -> usize {
        self.number
    }

    /// Whether the line means the same in each home directory of the host.
    pub fn is_general(&self) -> bool {
        self.is_general.get()
    }

    /// A word as it is written.
    pub fn word(&self, written: &[u8]) -> Option<Word> {
        Word::read(written, &|name| match name {
            b"" => {
                self.is_general.set(false);
                Some(self.programs.home.to_vec())
            }
            name => (self.programs.home_of)(name),
        })
    }

    /// A simple command, without its assignments and redirections.
    pub fn command(&mut self, words: &[Word]) -> Option<Node> {
        let (name, arguments) = words.split_first()?;
        match &name.literal()?[..] {
            b"exit" => match arguments {
                [] => Some(Node::Exit(None)),
                [code] => Some(Node::Exit(Some(exit_code(&code.literal()?)?))),
                _ => None,
            },
            b"exec" => {
                let is_option = arguments.first()?.literal()?.starts_with(b"-");
                let run = if is_option { None } else { self.program(arguments, true) };
                run.map(|node| Node::Exec(Box::new(node)))
            }
            b":" => Some(Node::Colon),
            b"true" => Some(Node::Code(0)),
            b"false" => Some(Node::Code(1)),
            _ => self.program(words, false),
        }
    }

    /// A program with its arguments, which another one runs or the shell.
    fn program(&mut self, words: &[Word], is_run: bool) -> Option<Node> {
        let mut words = words;
        let mut wrappers: Vec<Vec<u8>> = Vec::new();
        loop {
            let (name, arguments) = words.split_first()?;
            let name = name.literal()?;
            let is_bare = !name.contains(&b'/');
            if is_bare
                && (BUILTINS.contains(&&name[..])
                    || ((is_run || !wrappers.is_empty()) && HARMLESS.contains(&&name[..])))
            {
                return None;
            }
            let found = self.find(name);
            let basename = found.name.rsplit(|b| *b == b'/').next().unwrap_or_default();
            let declared = self.programs.declared.of(&found.name);
            if found.is_there && declared.is_none() && WRAPPERS.contains(&basename) {
                let length = match basename {
                    b"env" => env_arguments(arguments)?,
                    b"nice" => nice_arguments(arguments)?,
                    _ => preline_arguments(arguments)?,
                };
                wrappers.push(found.name);
                words = &arguments[length..];
                if wrappers.len() > 8 {
                    return None;
                }
                continue;
            }
            let is_dovecots = basename != b"deliver" || directory_of(&found.name).ends_with(b"/dovecot");
            let known = KNOWN.iter().find(|known| known.name == basename && found.is_there && is_dovecots);
            let agent = match (&found.name[..], known) {
                (_, Some(known)) => (known.read)(arguments, self.programs),
                // The shell does these itself, or finds a program that does the same.
                (b"echo", None) => Agent::Echo,
                (b"printf" | b"test" | b"[", None) => Agent::Test,
                _ => Agent::Unknown,
            };
            if matches!(basename, b"fastforward" | b"vdeliver") {
                self.is_general.set(false);
            }
            self.number += 1;
            return Some(Node::Run(Command {
                number: self.number - 1,
                name: found.name,
                wrappers,
                in_path: found.in_path,
                agent,
                declared,
            }));
        }
    }

    /// Looks for a program as the shell does.
    fn find(&mut self, name: Vec<u8>) -> Found {
        let Programs { qmail, vpopmail, .. } = self.programs;
        let is_ours = |directory: &[u8], program: &[u8]| {
            name.strip_prefix(directory).and_then(|rest| rest.strip_prefix(b"/bin/")) == Some(program)
        };
        // The service may run beside the mail host, which has them.
        let is_sure = name == b"bouncesaying"
            || is_ours(qmail, b"bouncesaying")
            || is_ours(vpopmail, b"vdelivermail")
            || (name.starts_with(b"/") && name.ends_with(b"/vpopmail/bin/vdelivermail"));
        if is_sure {
            return Found { name, in_path: false, is_there: true };
        }
        // Of a program that is not known it does not matter. Each look would make its home be read again and again.
        let basename = name.rsplit(|b| *b == b'/').next().unwrap_or_default();
        let is_known = KNOWN.iter().any(|known| known.name == basename) || WRAPPERS.contains(&basename);
        if name.starts_with(b"/") {
            let is_there = is_known && self.is_there(&name);
            return Found { name, in_path: false, is_there };
        }
        // The shell looks into PATH for a bare name only.
        let is_bare = !name.contains(&b'/');
        let is_there = is_known
            && is_bare
            && std::iter::once([qmail, &b"/bin"[..]].concat())
                .chain(PATH.iter().map(|directory| directory.to_vec()))
                .any(|directory| self.is_there(&[&directory[..], b"/", &name].concat()));
        Found { name, in_path: is_there, is_there }
    }

    fn is_there(&mut self, path: &[u8]) -> bool {
        if let Some(is_there) = (self.programs.usual)(path) {
            return is_there;
        }
        self.is_general.set(false);
        // Each costs a walk; a file that needs more is none that anybody wrote.
        *self.probes = self.probes.saturating_sub(1);
        *self.probes > 0 && (self.programs.exists)(path)
    }
}

fn directory_of(path: &[u8]) -> &[u8] {
    &path[..path.iter().rposition(|b| *b == b'/').unwrap_or(0)]
}

/// How many arguments of env(1) stand before the command; `None` when it does more than to set variables.
fn env_arguments(arguments: &[Word]) -> Option<usize> {
    let mut length = 0;
    for word in arguments {
        let Some(Piece::Text(start)) = word.0.first() else { return None };
        let Some(equals) = start.iter().position(|b| *b == b'=') else { break };
        // What is not quoted may be several words.
        if !may_be_set(&start[..equals]) || !word.is_one() {
            return None;
        }
        length += 1;
    }
    arguments.get(length)?.literal().filter(|name| !name.starts_with(b"-"))?;
    Some(length)
}

/// The same of nice(1): `-n N`.
fn nice_arguments(arguments: &[Word]) -> Option<usize> {
    let is_number = |text: &[u8]| {
        let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
        !digits.is_empty() && digits.len() < 4 && digits.iter().all(u8::is_ascii_digit)
    };
    let first = arguments.first()?.literal()?;
    let length = match first.strip_prefix(b"-n") {
        Some(b"") => is_number(&arguments.get(1)?.literal()?).then_some(2),
        Some(number) => is_number(number).then_some(1),
        None => Some(0),
    }?;
    arguments.get(length)?.literal().filter(|name| !name.starts_with(b"-"))?;
    Some(length)
}

/// The same of preline(1): `-dfr` in any order.
fn preline_arguments(arguments: &[Word]) -> Option<usize> {
    let mut length = 0;
    loop {
        let word = arguments.get(length)?.literal()?;
        match word.strip_prefix(b"-") {
            None => return Some(length),
            Some(b"") => return None,
            Some(flags) if flags.iter().all(|b| matches!(b, b'd' | b'f' | b'r')) => length += 1,
            Some(_) => return None,
        }
    }
}

fn vdelivermail(arguments: &[Word], _: &Programs<'_>) -> Agent {
    if !arguments.iter().all(Word::is_one) {
        return Agent::Unknown;
    }
    let [_, catchall] = arguments else { return Agent::VdelivermailMisused };
    Agent::Vdelivermail(match catchall.literal() {
        Some(catchall) => Catchall::of(&catchall),
        None => Catchall::Deliver(b"an address made of the recipient's".to_vec()),
    })
}

fn bouncesaying(arguments: &[Word], _: &Programs<'_>) -> Agent {
    let is_certain = arguments.len() <= 1 && arguments.iter().all(Word::is_one);
    if is_certain { Agent::Bouncesaying } else { Agent::Unknown }
}

/// `fastforward [-NpPdD] FILE.cdb`.
fn fastforward(arguments: &[Word], programs: &Programs<'_>) -> Agent {
    let (mut passes, mut by_default) = (false, false);
    let mut rest = arguments;
    while let Some((word, others)) = rest.split_first() {
        let Some(word) = word.literal() else { return Agent::Unknown };
        let Some(flags) = word.strip_prefix(b"-").filter(|flags| !flags.is_empty()) else { break };
        rest = others;
        if word == b"--" {
            break;
        }
        for flag in flags {
            match flag {
                b'p' => passes = true,
                b'P' => passes = false,
                b'd' => by_default = true,
                b'D' => by_default = false,
                b'N' => {}
                _ => return Agent::Unknown,
            }
        }
    }
    let [file] = rest else { return Agent::Unknown };
    let Some(file) = file.literal().filter(|file| !file.is_empty()) else { return Agent::Unknown };
    let file = if file.starts_with(b"/") { file } else { [programs.home, b"/", &file].concat() };
    let aliases = (programs.aliases)(&file);
    Agent::Fastforward(Fastforward { file, passes, by_default, aliases })
}

/// `dovecot-lda [-d ADDRESS] ...`, and `deliver` before it.
fn dovecot_lda(arguments: &[Word], _: &Programs<'_>) -> Agent {
    let mut user = None;
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        let Some(Piece::Text(start)) = word.0.first() else { return Agent::Unknown };
        match &start[..] {
            b"-e" | b"-k" => {}
            [b'-', flag @ (b'a' | b'd' | b'f' | b'm' | b'o' | b'r'), joined @ ..] => {
                let is_joined = !joined.is_empty() || word.0.len() > 1;
                let value = if is_joined { Some(word.without_start(2)) } else { rest.next().cloned() };
                let Some(value) = value else { return Agent::Unknown };
                match flag {
                    b'd' if user.is_some() => return Agent::Unknown,
                    b'd' => user = Some(value),
                    b'o' => {
                        let setting = value.literal().unwrap_or_default();
                        if !setting.starts_with(b"mail_plugins") && !setting.starts_with(b"plugin/") {
                            return Agent::Unknown;
                        }
                    }
                    _ => {}
                }
            }
            _ => return Agent::Unknown,
        }
    }
    Agent::DovecotLda(user)
}

/// `vdeliver [-DFRdfr] [--quiet] ...`: the users in `passwd.cdb` of the home directory. With settings that may name other
/// ones, or without that file, it is not known.
fn vdeliver(arguments: &[Word], programs: &Programs<'_>) -> Agent {
    let is_option = |word: &Word| {
        let Some(word) = word.literal() else { return false };
        let flags = word.strip_prefix(b"-").unwrap_or_default();
        matches!(&word[..], b"--quiet" | b"--no-predeliver" | b"--no-postdeliver")
            || (!flags.is_empty() && flags.iter().all(|flag| b"DFRdfr".contains(flag)))
    };
    let home = |name: &[u8]| [programs.home, b"/", name].concat();
    let directories = VMAILMGR.iter().map(|directory| directory.to_vec()).chain([home(b".vmailmgr")]);
    let settings = directories.flat_map(|directory| {
        [&b"/default-username"[..], b"/password-file"].map(|name| [&directory[..], name].concat())
    });
    // A build with gdbm may have left the cdb of the one before.
    let is_elsewhere = || settings.chain([home(b"passwd.gdbm")]).any(|path| (programs.exists)(&path));
    if !arguments.iter().all(is_option) || is_elsewhere() {
        return Agent::Unknown;
    }
    let file = home(b"passwd.cdb");
    (programs.aliases)(&file).map_or(Agent::Unknown, |users| Agent::Vdeliver(Vdeliver { file, users }))
}
