//! The files in QMAIL/control: me, locals, virtualdomains, rcpthosts, morercpthosts, envnoathost, percenthack, and our
//! own validrcptto.d. Line rules: SPEC section 3, after qmail's `control.c` and `constmap.c`.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::cdb;
use crate::error::{Error, show_path};
use crate::report::Note;
use crate::root::{End, Root};
use crate::text::{Shown, lines, lower, split_address, trim, trim_end};

/// A list of names, each with the line it stands on (the first one; `None`: not from a text file).
pub type Names = HashMap<Vec<u8>, Option<usize>>;

/// What a key of virtualdomains says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualDomain {
    /// What is put before the local part, with a `-` between them; empty means "not virtual".
    pub prepend: Vec<u8>,
    /// The line of control/virtualdomains.
    pub line: usize,
}

/// The control files, names in lower case.
#[derive(Clone, Debug, Default)]
pub struct Control {
    /// control/locals, or me when there is no such file.
    pub locals: Names,
    /// Whether `locals` came from control/me.
    pub locals_from_me: bool,
    /// control/virtualdomains by key; of equal keys the last line.
    pub virtual_domains: HashMap<Vec<u8>, VirtualDomain>,
    /// control/rcpthosts; `None` without the file: every domain is accepted.
    pub rcpthosts: Option<Names>,
    /// control/morercpthosts.
    pub morercpthosts: Names,
    /// What is appended to an address without `@`.
    pub envnoathost: Vec<u8>,
    /// The file that `envnoathost` came from.
    pub envnoathost_file: &'static str,
    /// control/validrcptto.d by domain.
    pub relay_lists: HashMap<Vec<u8>, RelayList>,
}

/// control/validrcptto.d/DOMAIN: the recipients of a relayed domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelayList {
    /// Local parts in lower case: whether they are accepted, and on which line that stands.
    pub names: HashMap<Vec<u8>, (bool, usize)>,
    /// The line that accepts every other name.
    pub others: Option<usize>,
}

impl RelayList {
    /// Whether the local part (lower case) is accepted, and the line that says so; the empty one stands for every name
    /// that is not listed.
    pub fn find(&self, local: &[u8]) -> (bool, Option<usize>) {
        match self.names.get(local) {
            Some((accepted, line)) => (*accepted, Some(*line)),
            None => (self.others.is_some(), self.others),
        }
    }
}

impl Control {
    /// Reads the control files below `qmail` (the folder's path on the host).
    ///
    /// # Errors
    /// A file that is there and cannot be read; neither locals nor me (qmail-send would not start); a malformed file in
    /// validrcptto.d.
    pub fn read(root: &Root, qmail: &[u8], notes: &mut Vec<Note>) -> Result<Control, Error> {
        let file = |name: &str| [qmail, b"/control/", name.as_bytes()].concat();
        let read =
            |name: &str| root.read(&file(name)).map_err(|cause| Error::io("read", &root.path(&file(name)), cause));
        let me = read("me")?.map(|content| first_line(&content));
        let (locals, locals_from_me) = match (read("locals")?, &me) {
            (Some(content), _) => (names(&content), false),
            (None, Some(me)) => (me.split(|b| *b == 0).map(|name| (lower(name), Some(1))).collect(), true),
            (None, None) => {
                return Err(Error::Temporary(format!(
                    "neither {} nor {} exists; qmail-send would not start, and nothing is published",
                    show_path(&root.path(&file("locals"))),
                    show_path(&root.path(&file("me")))
                )));
            }
        };
        let (envnoathost, envnoathost_file) = match (read("envnoathost")?, &me) {
            (Some(content), _) => (first_line(&content), "envnoathost"),
            (None, Some(me)) => (me.clone(), "me"),
            (None, None) => (b"envnoathost".to_vec(), "envnoathost"),
        };
        let virtual_domains = match read("virtualdomains")? {
            Some(content) => parse_virtual_domains(&content, &root.path(&file("virtualdomains")), notes),
            None => HashMap::new(),
        };
        let rcpthosts = read("rcpthosts")?.map(|content| names(&content));
        if rcpthosts.is_none() {
            notes.push(Note::warning(format!(
                "{}: no such file: qmail-smtpd takes mail for every domain, and refuses those that no control file \
                 names here",
                show_path(&root.path(&file("rcpthosts")))
            )));
        }
        let morercpthosts = read_morercpthosts(root, &file("morercpthosts"), notes)?;
        if read("percenthack")?.is_some_and(|content| !names(&content).is_empty()) {
            notes.push(Note::warning(format!(
                "{}: not supported: an address with % in it is judged as if qmail left it alone",
                show_path(&root.path(&file("percenthack")))
            )));
        }
        let relay_lists = read_relay_lists(root, &file("validrcptto.d"), notes)?;
        Ok(Control {
            locals,
            locals_from_me,
            virtual_domains,
            rcpthosts,
            morercpthosts,
            envnoathost: lower(&envnoathost),
            envnoathost_file,
            relay_lists,
        })
    }

    /// Whether qmail-smtpd takes mail for the domain (lower case) at all: by name, or by a suffix that begins with a dot.
    pub fn accepts(&self, domain: &[u8]) -> bool {
        let Some(rcpthosts) = &self.rcpthosts else { return true };
        (0..domain.len())
            .filter(|at| *at == 0 || domain[*at] == b'.')
            .any(|at| rcpthosts.contains_key(&domain[at..]) || self.morercpthosts.contains_key(&domain[at..]))
    }

    /// What virtualdomains says about `local@domain` (lower case), and the key that said it: the whole address, the
    /// domain, its suffixes from the longest, the empty key. An empty prepend is an answer too.
    pub fn virtual_domain(&self, address: &[u8]) -> Option<(&[u8], &VirtualDomain)> {
        let (local, domain) = split_address(address)?;
        let start = local.len() + 1;
        let suffixes = (1..domain.len()).filter(|at| domain[*at] == b'.').map(|at| start + at);
        [0, start]
            .into_iter()
            .chain(suffixes)
            .chain([address.len()])
            .find_map(|at| self.virtual_domains.get_key_value(&address[at..]))
            .map(|(key, value)| (key.as_slice(), value))
    }
}

/// The entries of a control file with the line of each: trailing blanks cut, empty lines and comments skipped, split at
/// NUL, as they are written.
fn entries(content: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    lines(content)
        .map(|(number, line)| (number, trim_end(line)))
        .filter(|(_, line)| !matches!(line.first(), None | Some(b'#' | 0)))
        .flat_map(|(number, line)| line.split(|b| *b == 0).map(move |entry| (number, entry)))
}

/// The entries of a control file that lists names, in lower case.
fn names(content: &[u8]) -> Names {
    let mut found = Names::new();
    for (number, entry) in entries(content) {
        found.entry(lower(entry)).or_insert(Some(number));
    }
    found
}

/// The one line of a one-line file, trailing blanks cut.
pub fn first_line(content: &[u8]) -> Vec<u8> {
    trim_end(content.split(|b| *b == b'\n').next().unwrap_or_default()).to_vec()
}

fn parse_virtual_domains(content: &[u8], path: &Path, notes: &mut Vec<Note>) -> HashMap<Vec<u8>, VirtualDomain> {
    let mut found = HashMap::new();
    for (line, entry) in entries(content) {
        match entry.iter().position(|b| *b == b':') {
            Some(colon) => {
                let prepend = lower(&entry[colon + 1..]);
                found.insert(lower(&entry[..colon]), VirtualDomain { prepend, line });
            }
            None => notes.push(Note::warning(format!(
                "{}: line {line}: no colon in \"{}\"; qmail-send passes the line over, and so do we",
                show_path(path),
                Shown(entry)
            ))),
        }
    }
    found
}

/// morercpthosts, which qmail-smtpd reads only compiled: the text is what the next qmail-newmrh will compile, and counts;
/// without the text the compiled file does.
fn read_morercpthosts(root: &Root, file: &[u8], notes: &mut Vec<Note>) -> Result<Names, Error> {
    let compiled_file = [file, b".cdb"].concat();
    let (path, compiled_path) = (root.path(file), root.path(&compiled_file));
    let text = root.read(file).map_err(|cause| Error::io("read", &path, cause))?;
    let compiled = root.read(&compiled_file).map_err(|cause| Error::io("read", &compiled_path, cause))?;
    let compiled: Option<HashSet<Vec<u8>>> = match compiled {
        Some(image) => match cdb::Reader::new(&image).and_then(|cdb| {
            cdb.records().map(|record| record.map(|record| record.key.to_vec())).collect::<Result<_, _>>()
        }) {
            Ok(keys) => Some(keys),
            Err(cause) => {
                notes.push(Note::warning(format!(
                    "{}: {cause}; qmail-smtpd knows none of its domains until qmail-newmrh makes it again",
                    show_path(&compiled_path)
                )));
                None
            }
        },
        None => None,
    };
    let Some(text) = text else {
        let Some(compiled) = compiled else { return Ok(Names::new()) };
        notes.push(Note::warning(format!(
            "{}: no such file; the domains of {} count",
            show_path(&path),
            show_path(&compiled_path)
        )));
        return Ok(compiled.into_iter().map(|name| (name, None)).collect());
    };
    let mut found = Names::new();
    // qmail-newmrh trims and lower-cases the line; a NUL is part of the entry there.
    for (number, line) in lines(&text) {
        let line = trim_end(line);
        if !matches!(line.first(), None | Some(b'#')) {
            found.entry(lower(line)).or_insert(Some(number));
        }
    }
    if compiled.is_none_or(|keys| keys.len() != found.len() || !found.keys().all(|name| keys.contains(name)))
        && !(found.is_empty() && matches!(root.walk(&compiled_file).end, End::Missing(_)))
    {
        notes.push(Note::warning(format!(
            "{}: missing, or not what {} says: run qmail-newmrh; until then qmail-smtpd goes by the old list",
            show_path(&compiled_path),
            show_path(&path)
        )));
    }
    Ok(found)
}

fn read_relay_lists(root: &Root, folder: &[u8], notes: &mut Vec<Note>) -> Result<HashMap<Vec<u8>, RelayList>, Error> {
    let path = root.path(folder);
    let directory = match root.walk(folder).end {
        End::Found(found) => found.open_directory().map_err(|cause| Error::io("open", &path, cause))?,
        End::Missing(_) => return Ok(HashMap::new()),
        End::Failed(cause) => return Err(Error::io("open", &path, cause)),
    };
    let mut lists = HashMap::new();
    for (name, _) in directory.entries(|_| true).map_err(|cause| Error::io("read", &path, cause))? {
        let file = [folder, b"/", &name].concat();
        let path = root.path(&file);
        if lower(&name) != name {
            notes.push(Note::warning(format!("{}: ignored: its name is not in lower case", show_path(&path))));
            continue;
        }
        match root.read(&file) {
            Ok(Some(content)) => {
                lists.insert(name.clone(), parse_relay_list(&content, &name, &path)?);
            }
            Ok(None) => notes.push(Note::warning(format!("{}: ignored: a link to nothing", show_path(&path)))),
            Err(cause) => {
                return Err(Error::Io { doing: "read", path, cause });
            }
        }
    }
    Ok(lists)
}

/// Parses control/validrcptto.d/DOMAIN.
///
/// # Errors
/// An address of another domain; blanks or unprintable bytes inside an entry; one name both accepted and refused.
pub fn parse_relay_list(content: &[u8], domain: &[u8], path: &Path) -> Result<RelayList, Error> {
    let mut list = RelayList::default();
    for (number, line) in lines(content) {
        let line = trim(line);
        if matches!(line.first(), None | Some(b'#')) {
            continue;
        }
        let malformed = |what: String| Error::malformed(path, number, what);
        let (accepted, entry) = match line.strip_prefix(b"!") {
            Some(rest) => (false, trim(rest)),
            None => (true, line),
        };
        if let Some(odd) = entry.iter().find(|b| !b.is_ascii_graphic() && b.is_ascii()) {
            return Err(malformed(format!(
                "\"{}\" holds the byte \\x{odd:02x}; one local part or one address a line",
                Shown(entry)
            )));
        }
        let entry = lower(entry);
        let local = match split_address(&entry) {
            Some((local, host)) if host == domain || entry == b"@" => local,
            Some((_, host)) => {
                return Err(malformed(format!(
                    "\"{}\" is an address of {}, not of {}",
                    Shown(&entry),
                    Shown(host),
                    Shown(domain)
                )));
            }
            None => &entry,
        };
        if local.is_empty() {
            if !accepted {
                return Err(malformed(
                    "\"!\" needs the name that it refuses; names not listed are refused anyway".into(),
                ));
            }
            list.others.get_or_insert(number);
        } else {
            let (before, first) = *list.names.entry(local.to_vec()).or_insert((accepted, number));
            if before != accepted {
                return Err(malformed(format!(
                    "\"{}\" is {} here and {} on line {first}",
                    Shown(local),
                    if accepted { "accepted" } else { "refused" },
                    if before { "accepted" } else { "refused" },
                )));
            }
        }
    }
    Ok(list)
}
