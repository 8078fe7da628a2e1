//! The programs of qmail that compile a text of the host: which file each reads and writes, and whether the compiled file
//! is behind. vpopmail runs both too, and each writes one temporary file with a fixed name.

use std::collections::BTreeSet;

use super::assign::{self, Assignments};
use super::control::{Control, host_names};
use super::{Host, Layout};
use crate::error::{Error, show_path};
use crate::fs::Stamp;
use crate::text::{Shown, count, lower};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiler {
    /// qmail-newu(8) compiles users/assign.
    Newu,
    /// qmail-newmrh(8) compiles control/morercpthosts.
    Newmrh,
}

/// What stat(2) says of a text and of the compiled file.
pub type Stamps = [Option<Stamp>; 2];

/// How a compiled file differs from its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    /// In words.
    pub how: String,
    /// What the compiled file holds that the text lacks or changes: the next run takes it away. Of users/assign each has
    /// `=` or `+` in front.
    pub goes: BTreeSet<Vec<u8>>,
    /// What it lacks that the text names, written the same way; nothing when it cannot be read.
    pub comes: BTreeSet<Vec<u8>>,
}

/// A compiler whose file a rebuild found behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub compiler: Compiler,
    /// What its next run may take away; nothing when it must not run.
    pub may_go: BTreeSet<Vec<u8>>,
    /// Why it must not run, in words.
    pub put_off: Option<String>,
}

impl Due {
    /// It may run, and take nothing away.
    pub fn new(compiler: Compiler) -> Due {
        Due { compiler, may_go: BTreeSet::new(), put_off: None }
    }
}

/// How many of the held domains a message names.
const MAX_NAMED: usize = 5;

impl Compiler {
    /// All of them.
    pub const ALL: [Compiler; 2] = [Compiler::Newu, Compiler::Newmrh];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Compiler::Newu => "qmail-newu",
            Compiler::Newmrh => "qmail-newmrh",
        }
    }

    /// The program, as the host names it.
    pub fn program(self, layout: &Layout) -> Vec<u8> {
        [&layout.qmail[..], b"/bin/", self.name().as_bytes()].concat()
    }

    /// The text and the compiled file, as the host names them.
    pub fn files(self, layout: &Layout) -> [Vec<u8>; 2] {
        let file = |name: &str| [&layout.qmail[..], b"/", name.as_bytes()].concat();
        match self {
            Compiler::Newu => [file("users/assign"), assign::compiled_file(layout, &mut Vec::new())],
            Compiler::Newmrh => ["control/morercpthosts", "control/morercpthosts.cdb"].map(file),
        }
    }

    /// How the compiled file of this host differs from the text, in words; `None` when it does not.
    pub fn behind(self, host: &Host) -> Option<&Behind> {
        match self {
            Compiler::Newu => host.assignments.behind.as_ref(),
            Compiler::Newmrh => host.control.morercpthosts_behind.as_ref(),
        }
    }

    /// Those whose compiled file differs from the text, when the guard holds these domains.
    pub fn due_of(host: &Host, held: &BTreeSet<Vec<u8>>) -> Vec<Due> {
        let due = |compiler: Compiler| {
            let behind = compiler.behind(host)?;
            let put_off = compiler.put_off(host, held);
            let may_go = if put_off.is_some() { BTreeSet::new() } else { behind.goes.clone() };
            Some(Due { compiler, may_go, put_off })
        };
        Compiler::ALL.into_iter().filter_map(due).collect()
    }

    /// Why it must not run while the guard holds these domains: qmail would bounce or refuse mail of theirs that the held
    /// tables accept. `None` when it may.
    pub fn put_off(self, host: &Host, held: &BTreeSet<Vec<u8>>) -> Option<String> {
        let goes = &self.behind(host)?.goes;
        let served: Vec<&Vec<u8>> = held.iter().filter(|domain| self.serving(host, goes, domain).is_some()).collect();
        let first: Vec<String> = served.iter().take(MAX_NAMED).map(|domain| Shown(domain).to_string()).collect();
        if served.is_empty() {
            return None;
        }
        let more = match served.len().saturating_sub(MAX_NAMED) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let [text, compiled] = self.files(&host.layout).map(|file| host.layout.root.path(&file));
        let (text, compiled) = (show_path(&text), show_path(&compiled));
        let entries = if goes.len() == 1 { "1 entry".to_owned() } else { format!("{} entries", goes.len()) };
        Some(format!(
            "{compiled} has {entries} that {text} lacks or changes, and the guard holds domains of these: {}{more}; qmail \
             goes by {compiled}",
            first.join(", ")
        ))
    }

    /// The entry of the compiled file by which qmail takes mail to the domain, although the text lacks or changes it, in words.
    pub fn still_takes(self, host: &Host, domain: &[u8]) -> Option<String> {
        let entry = self.serving(host, &self.behind(host)?.goes, domain)?;
        let [_, compiled] = self.files(&host.layout).map(|file| host.layout.root.path(&file));
        Some(format!("qmail goes by {}, which still has the entry {}", show_path(&compiled), Shown(entry)))
    }

    /// The entry that the text has for the domain, and the compiled file does not yet, so that qmail does not go by it, in words.
    pub fn not_yet_takes(self, host: &Host, domain: &[u8]) -> Option<String> {
        let comes = &self.behind(host)?.comes;
        let entry = match self {
            Compiler::Newu => comes.get(&[b"+", &lower(&host.control.prefix(domain)?)[..]].concat())?,
            Compiler::Newmrh if host.control.is_in_rcpthosts(domain) => return None,
            Compiler::Newmrh => host_names(domain).find_map(|name| comes.get(name))?,
        };
        let [_, compiled] = self.files(&host.layout).map(|file| host.layout.root.path(&file));
        let (compiled, entry, name) = (show_path(&compiled), Shown(entry), self.name());
        Some(format!("qmail goes by {compiled}, which lacks the entry {entry} until {name} runs"))
    }

    /// Whether the text has entries that the compiled file lacks.
    pub fn lacks_any(self, host: &Host) -> bool {
        self.behind(host).is_some_and(|behind| !behind.comes.is_empty())
    }

    /// The same of whichever compiler.
    pub fn not_yet_taken(host: &Host, domain: &[u8]) -> Option<String> {
        Compiler::ALL.into_iter().find_map(|compiler| compiler.not_yet_takes(host, domain))
    }

    /// What the compiled file has that the text lacks or changes, in words: a line may have gone by mistake.
    pub fn lost(self, host: &Host) -> Option<String> {
        let goes = &self.behind(host)?.goes;
        let first = Shown(goes.first()?);
        Some(match goes.len() - 1 {
            0 => format!("whose entry {first} the new one lacks or changes"),
            others => format!("whose entry {first} and {} the new one lacks or changes", count(others, "other")),
        })
    }

    /// The first of these entries of the compiled file that may decide about mail to the domain.
    fn serving<'g>(self, host: &Host, goes: &'g BTreeSet<Vec<u8>>, domain: &[u8]) -> Option<&'g Vec<u8>> {
        if domain.is_empty() {
            return None;
        }
        match self {
            Compiler::Newu => {
                // vpopmail's prefix, when virtualdomains does not name the domain any more.
                let named = [domain, b"-"].concat();
                let prefixes = [Some(named), host.control.prefix(domain)];
                let is_local = host.control.locals.contains_key(domain);
                goes.iter().find(|entry| {
                    let Some((kind, key)) = entry.split_first() else { return false };
                    // A wildcard with a dot is that of a vpopmail domain, and not of a local user.
                    if is_local && *kind == b'+' && key.contains(&b'.') {
                        return false;
                    }
                    let is_of = |prefix: &Vec<u8>| key.starts_with(prefix) || *kind == b'+' && prefix.starts_with(key);
                    prefixes.iter().flatten().any(is_of)
                })
            }
            Compiler::Newmrh => host_names(domain).find_map(|name| goes.get(name)),
        }
    }

    /// How it differs, read now.
    ///
    /// # Errors
    /// A file that cannot be read, or that the program refuses.
    pub fn look(self, layout: &Layout) -> Result<Option<Behind>, Error> {
        match self {
            Compiler::Newu => Assignments::read(layout, &mut Vec::new()).map(|read| read.behind),
            Compiler::Newmrh => {
                Control::read(&layout.root, &layout.qmail, &mut Vec::new()).map(|read| read.morercpthosts_behind)
            }
        }
    }

    /// What both files are now. A file that is not there, or cannot be opened, has none.
    pub fn stamps(self, layout: &Layout) -> Stamps {
        self.files(layout).map(|file| {
            let opened = layout.root.open(&file).ok().flatten()?;
            Stamp::of_file(opened.into_file()).ok()
        })
    }
}
