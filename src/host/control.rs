//! The files in QMAIL/control: me, locals, virtualdomains, rcpthosts, morercpthosts, envnoathost, percenthack, and our
//! own validrcptto.d and validrcptto.programs. Line rules: docs/rules.md, 3.1, after qmail's `control.c` and `constmap.c`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::ErrorKind;
use std::path::Path;

use super::compilers::Behind;
use super::line::declared::Declarations;
use crate::cdb;
use crate::error::{Error, Trouble, show_cause, show_path};
use crate::fs::{End, Root};
use crate::report::{Code, Note};
use crate::text::{Shown, lines, lower, our_lines, split_address, trim, trim_end};

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

/// A file of our own that cannot be used, or not all of it. What it governs is kept as it is published
/// (docs/decisions.md, "A bad file of our own").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// Its path, as the host names it.
    pub path: Vec<u8>,
    /// The line, and what is wrong with it; or why the file cannot be read.
    pub cause: Trouble,
    /// Whether it stays so until somebody changes it; else it may be read the next time.
    pub stays: bool,
}

impl Unusable {
    /// The file at `path`, as the host names it, of which this is wrong.
    pub fn new(path: &[u8], error: &Error) -> Unusable {
        // What is no regular file, or too long, was refused by us; what does not answer has this kind.
        let refused = matches!(error, Error::Io { cause, .. }
            if cause.raw_os_error().is_none() && cause.kind() != ErrorKind::TimedOut);
        let cause = Trouble { text: error.cause(), denied: error.is_denied() };
        Unusable { path: path.to_vec(), cause, stays: refused || error.exit_code() == 100 }
    }
}

/// The control files, names in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// How morercpthosts.cdb differs from it; `None` when it does not.
    pub morercpthosts_behind: Option<Behind>,
    /// What is appended to an address without `@`.
    pub envnoathost: Vec<u8>,
    /// The file that `envnoathost` came from.
    pub envnoathost_file: &'static str,
    /// control/validrcptto.d by domain.
    pub relay_lists: HashMap<Vec<u8>, RelayList>,
    /// Those of its files that cannot be used, by domain.
    unusable_lists: BTreeMap<Vec<u8>, Unusable>,
    /// control/validrcptto.programs.
    pub programs: Declarations,
    /// The directory itself, when it cannot be listed: then any relayed domain may have a list.
    unusable_directory: Option<Unusable>,
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
    /// Parses control/validrcptto.d/DOMAIN.
    ///
    /// # Errors
    /// An address of another domain; blanks or unprintable bytes inside an entry; one name both accepted and refused.
    pub fn parse(content: &[u8], domain: &[u8], path: &Path) -> Result<RelayList, Error> {
        let mut list = RelayList::default();
        for (number, line) in our_lines(content) {
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
                let what =
                    if odd.is_ascii_whitespace() { "a blank".to_owned() } else { format!("the byte \\x{odd:02x}") };
                return Err(malformed(format!(
                    "\"{}\" holds {what}; write one local part or one address a line, and comments on lines of their own",
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

    /// Whether the local part (lower case) is accepted, and the line that says so; the empty one stands for every name
    /// that is not listed.
    pub fn find(&self, local: &[u8]) -> (bool, Option<usize>) {
        match self.names.get(local) {
            Some((accepted, line)) => (*accepted, Some(*line)),
            None => (self.others.is_some(), self.others),
        }
    }
}

/// What rcpthosts and morercpthosts let through.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Accepted(Control);

impl Accepted {
    /// Whether there is an rcpthosts; without one every domain is let through.
    pub fn is_a_list(&self) -> bool {
        self.0.rcpthosts.is_some()
    }

    /// Whether qmail-smtpd takes mail for this domain (lower case) at all.
    pub fn lets_through(&self, domain: &[u8]) -> bool {
        self.0.accepts(domain)
    }

    /// The domains that they name.
    pub fn listed(&self) -> impl Iterator<Item = &[u8]> {
        self.0.listed()
    }

    /// Whether they name this domain (lower case), itself or by a suffix.
    pub fn names(&self, domain: &[u8]) -> bool {
        self.is_a_list() && self.0.accepts(domain)
    }
}

/// Reads rcpthosts and morercpthosts.
///
/// # Errors
/// They cannot be read.
pub fn read_accepted(root: &Root, qmail: &[u8]) -> Result<Accepted, Error> {
    let file = |name: &str| [qmail, b"/control/", name.as_bytes()].concat();
    let path = file("rcpthosts");
    let rcpthosts = root.read(&path).map_err(|cause| Error::io("read", &root.path(&path), cause))?;
    let (morercpthosts, _) = read_morercpthosts(root, &file("morercpthosts"), &mut Vec::new())?;
    let rcpthosts = rcpthosts.map(|content| names(&content));
    Ok(Accepted(Control { rcpthosts, morercpthosts, ..Control::default() }))
}

/// Whether only a suffix in rcpthosts lets a domain (lower case) through, and nothing else names it: then qmail takes its mail, and
/// the recipient table has no key for it (docs/rules.md, 8.1 and 8.7). Where that cannot be read it is none.
pub fn is_let_in_by_a_suffix_alone(root: &Root, qmail: &[u8], domain: &[u8]) -> bool {
    let read = |name: &str| root.read(&[qmail, b"/control/", name.as_bytes()].concat()).ok().flatten();
    let Some(rcpthosts) = read("rcpthosts").map(|content| names(&content)) else { return false };
    let has_suffix = (1..domain.len()).any(|at| domain[at] == b'.' && rcpthosts.contains_key(&domain[at..]));
    if !has_suffix || domain.contains(&b'@') || rcpthosts.contains_key(domain) {
        return false;
    }
    // A hub without them cannot know which domains the table is about.
    let Some(locals) = read("locals").or_else(|| read("me")).map(|content| names(&content)) else { return false };
    let virtual_domains = read("virtualdomains").unwrap_or_default();
    let virtual_domains = parse_virtual_domains(&virtual_domains, Path::new("virtualdomains"), &mut Vec::new());
    let names_it = |key: &Vec<u8>| key == domain || split_address(key).is_some_and(|(_, named)| named == domain);
    let more = read("morercpthosts").map(|content| parse_morercpthosts(&content)).unwrap_or_default();
    !(locals.contains_key(domain) || virtual_domains.keys().any(names_it) || more.contains_key(domain))
}

/// The domains of which control/recipients of s/qmail accepts every name: a line `!DOMAIN`.
pub fn read_open_for_sqmail(root: &Root, qmail: &[u8]) -> BTreeSet<Vec<u8>> {
    let content = root.read(&[qmail, b"/control/recipients"].concat()).ok().flatten().unwrap_or_default();
    let open = lines(&content).filter_map(|(_, line)| trim(line).strip_prefix(b"!").map(lower));
    open.collect()
}

impl Control {
    /// Reads the control files below `qmail` (the folder's path on the host).
    ///
    /// # Errors
    /// A file that is there and cannot be read; neither locals nor me (qmail-send would not start).
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
                    "neither {} nor {} exists; qmail-send would not start",
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
            notes.push(Note::alert(format!(
                "{}: no such file: qmail-smtpd lets every domain through, and the table refuses all that neither locals \
                 nor virtualdomains nor morercpthosts names",
                show_path(&root.path(&file("rcpthosts")))
            )).of(Code::RcpthostsMissing));
        }
        let (morercpthosts, morercpthosts_behind) = read_morercpthosts(root, &file("morercpthosts"), notes)?;
        // Nothing depends on what it says.
        if read("percenthack").map_or(true, |content| content.is_some_and(|content| !names(&content).is_empty())) {
            notes.push(
                Note::warning(format!(
                    "{}: not supported: an address with % in it is judged as if qmail left it alone",
                    show_path(&root.path(&file("percenthack")))
                ))
                .of(Code::Percenthack),
            );
        }
        let mut control = Control {
            locals,
            locals_from_me,
            virtual_domains,
            rcpthosts,
            morercpthosts,
            morercpthosts_behind,
            envnoathost: lower(&envnoathost),
            envnoathost_file,
            relay_lists: HashMap::new(),
            unusable_lists: BTreeMap::new(),
            programs: Declarations::default(),
            unusable_directory: None,
        };
        control.programs = read_declarations(root, &file("validrcptto.programs"));
        control.read_relay_lists(root, &file("validrcptto.d"), notes);
        Ok(control)
    }

    /// Whether qmail-smtpd takes mail for the domain (lower case) at all: by name, or by a suffix that begins with a dot. A
    /// name with an `@` is the domain of no address, since only what follows the last one is.
    pub fn accepts(&self, domain: &[u8]) -> bool {
        if domain.contains(&b'@') {
            return false;
        }
        let Some(rcpthosts) = &self.rcpthosts else { return true };
        host_names(domain).any(|name| rcpthosts.contains_key(name) || self.morercpthosts.contains_key(name))
    }

    /// Whether rcpthosts alone lets the domain (lower case) in.
    pub fn is_in_rcpthosts(&self, domain: &[u8]) -> bool {
        self.rcpthosts.as_ref().is_none_or(|rcpthosts| host_names(domain).any(|name| rcpthosts.contains_key(name)))
    }

    /// What virtualdomains says about `local@domain` (lower case), and the key that said it: the whole address, the
    /// domain, its suffixes from the longest, the empty key. An empty prepend is an answer too.
    pub fn virtual_domain(&self, address: &[u8]) -> Option<(&[u8], &VirtualDomain)> {
        let (_, domain) = split_address(address)?;
        self.key(address).or_else(|| self.virtual_domain_of_all(domain))
    }

    /// The same for a local part that no key names.
    fn virtual_domain_of_all(&self, domain: &[u8]) -> Option<(&[u8], &VirtualDomain)> {
        let suffixes = (1..domain.len()).filter(|at| domain[*at] == b'.');
        std::iter::once(0).chain(suffixes).chain([domain.len()]).find_map(|at| self.key(&domain[at..]))
    }

    fn key(&self, key: &[u8]) -> Option<(&[u8], &VirtualDomain)> {
        self.virtual_domains.get_key_value(key).map(|(key, value)| (key.as_slice(), value))
    }

    /// What qmail-send puts before local parts of the domain (lower case) that no `user@domain` key names, its `-`
    /// included: nothing for a local domain, `None` when they are another host's.
    pub fn prefix(&self, domain: &[u8]) -> Option<Vec<u8>> {
        if self.locals.contains_key(domain) {
            return Some(Vec::new());
        }
        let (_, found) = self.virtual_domain_of_all(domain)?;
        (!found.prepend.is_empty()).then(|| [&found.prepend[..], b"-"].concat())
    }

    /// What rcpthosts and morercpthosts name, suffixes too, with file and line.
    pub fn let_in(&self) -> impl Iterator<Item = (&[u8], &'static str, Option<usize>)> {
        let rcpthosts = self.rcpthosts.iter().flatten().map(|name| (name, "rcpthosts"));
        let names = rcpthosts.chain(self.morercpthosts.iter().map(|name| (name, "morercpthosts")));
        names.map(|((name, line), file)| (&name[..], file, *line))
    }

    /// The domains that rcpthosts and morercpthosts name, one that both name twice.
    pub fn listed(&self) -> impl Iterator<Item = &[u8]> {
        self.let_in().map(|(name, ..)| name).filter(|name| name.first() != Some(&b'.'))
    }

    /// The domains that rcpthosts or morercpthosts names, that are another host's, and for which validrcptto.d says
    /// nothing, with the file and line.
    pub fn relayed_to_all(&self) -> Vec<(&[u8], &'static str, Option<usize>)> {
        let is_one = |name: &[u8]| name.first() != Some(&b'.') && self.is_relayed(name) && !self.has_list(name);
        let mut relayed: Vec<_> = self.let_in().filter(|(name, ..)| is_one(name)).collect();
        relayed.sort_unstable();
        relayed
    }

    /// The suffixes, which begin with a dot, that rcpthosts and morercpthosts let through, with file and line.
    pub fn suffixes(&self) -> Vec<(&[u8], &'static str, Option<usize>)> {
        let mut suffixes: Vec<_> = self.let_in().filter(|(name, ..)| name.first() == Some(&b'.')).collect();
        suffixes.sort_unstable();
        suffixes
    }

    /// Whether there is no rcpthosts, and nothing else names the domain (lower case): then qmail-smtpd lets it in, and the
    /// recipient table has no key for it (docs/rules.md, 8.1).
    pub fn is_unnamed(&self, domain: &[u8]) -> bool {
        self.rcpthosts.is_none() && !self.domains().any(|name| name == domain)
    }

    /// Every domain that a control file names, suffixes and the empty key included.
    pub fn domains(&self) -> impl Iterator<Item = &[u8]> {
        let virtual_domains =
            self.virtual_domains.keys().map(|key| split_address(key).map_or(&key[..], |(_, name)| name));
        let lists = [Some(&self.locals), self.rcpthosts.as_ref(), Some(&self.morercpthosts)];
        let names =
            lists.into_iter().flatten().flat_map(|names| names.keys().map(Vec::as_slice)).chain(virtual_domains);
        names.filter(|name| !name.contains(&b'@'))
    }

    /// Whether a control file names the domain (lower case) itself, not only a suffix of it.
    pub fn is_named(&self, domain: &[u8]) -> bool {
        self.locals.contains_key(domain)
            || self.virtual_domains.contains_key(domain)
            || self.morercpthosts.contains_key(domain)
            || self.rcpthosts.as_ref().is_some_and(|names| names.contains_key(domain))
    }

    /// Whether the domain (lower case) is relayed: rcpthosts or morercpthosts names it, and it is another host's.
    fn is_relayed(&self, domain: &[u8]) -> bool {
        let named = self.morercpthosts.contains_key(domain)
            || self.rcpthosts.as_ref().is_some_and(|names| names.contains_key(domain));
        named && self.accepts(domain) && self.prefix(domain).is_none()
    }

    /// Whether validrcptto.d holds a list of this relayed domain (lower case), or may hold one.
    pub fn has_list(&self, domain: &[u8]) -> bool {
        self.relay_lists.contains_key(domain) || self.unusable_list(domain).is_some()
    }

    /// The list of this domain (lower case), when it is relayed and cannot be used.
    pub fn unusable_list(&self, domain: &[u8]) -> Option<&Unusable> {
        self.unusable_lists.get(domain).or(self.unusable_directory.as_ref().filter(|_| self.is_relayed(domain)))
    }

    /// The files of our own that cannot be used: lists of validrcptto.d, or the directory itself, and validrcptto.programs.
    pub fn unusable(&self) -> impl Iterator<Item = &Unusable> {
        self.unusable_lists.values().chain(&self.unusable_directory).chain(&self.programs.unusable)
    }

    /// Reads validrcptto.d; files that are for no relayed domain are passed over, with a warning.
    fn read_relay_lists(&mut self, root: &Root, folder: &[u8], notes: &mut Vec<Note>) {
        let path = root.path(folder);
        let opened = match root.walk(folder).end {
            End::Found(found) => found.open_directory().map_err(|cause| Error::io("open", &path, cause)),
            End::Missing(_) => return,
            End::Failed(cause) => Err(Error::io("open", &path, cause)),
            End::Silent(silence) => Err(Error::io("open", &path, silence)),
        };
        let names =
            opened.and_then(|directory| directory.entries(|_| true).map_err(|cause| Error::io("read", &path, cause)));
        let names = match names {
            Ok(names) => names,
            Err(error) => {
                self.unusable_directory = Some(Unusable::new(folder, &error));
                return;
            }
        };
        for (name, _) in names {
            let file = [folder, b"/", &name].concat();
            let path = root.path(&file);
            let mut ignored = |why: &str| {
                notes.push(Note::warning(format!("{}: ignored: {why}", show_path(&path))).of(Code::RelayListIgnored))
            };
            if self.is_relayed(&lower(&name)) && lower(&name) != name {
                ignored("its name is not in lower case");
            } else if !self.is_relayed(&name) {
                ignored("no relayed domain is called so");
            } else {
                let content = root.read(&file).map_err(|cause| Error::io("read", &path, cause));
                let list =
                    content.and_then(|content| content.map(|text| RelayList::parse(&text, &name, &path)).transpose());
                match list {
                    Ok(Some(list)) => {
                        if list.names.is_empty() && list.others.is_none() {
                            let text = format!("{}: empty: every recipient is refused", show_path(&path));
                            notes.push(Note::warning(text).of(Code::RelayListEmpty));
                        }
                        self.relay_lists.insert(name, list);
                    }
                    Ok(None) => ignored("a link that leads nowhere"),
                    Err(error) => {
                        self.unusable_lists.insert(name, Unusable::new(&file, &error));
                    }
                }
            }
        }
    }
}

fn read_declarations(root: &Root, file: &[u8]) -> Declarations {
    let path = root.path(file);
    match root.read(file) {
        Ok(content) => Declarations::parse(&content.unwrap_or_default(), file, &path),
        Err(cause) => Declarations::unread(file, &Error::io("read", &path, cause)),
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
pub fn names(content: &[u8]) -> Names {
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

/// control/virtualdomains by key; of equal keys the last line. `path` is for messages.
pub fn parse_virtual_domains(content: &[u8], path: &Path, notes: &mut Vec<Note>) -> HashMap<Vec<u8>, VirtualDomain> {
    let mut found = HashMap::new();
    for (line, entry) in entries(content) {
        match entry.iter().position(|b| *b == b':') {
            Some(colon) => {
                let prepend = lower(&entry[colon + 1..]);
                let before: Option<VirtualDomain> =
                    found.insert(lower(&entry[..colon]), VirtualDomain { prepend, line });
                notes.extend(before.map(|before| {
                    Note::warning(format!(
                        "{}: line {line}: \"{}\" stands on line {} already; the last one counts",
                        show_path(path),
                        Shown(&entry[..colon]),
                        before.line
                    ))
                    .of(Code::VirtualdomainsTwice)
                }));
            }
            None => notes.push(
                Note::warning(format!(
                    "{}: line {line}: no colon in \"{}\"; qmail-send passes the line over, and so do we",
                    show_path(path),
                    Shown(entry)
                ))
                .of(Code::VirtualdomainsColon),
            ),
        }
    }
    found
}

/// The names by which a list of hosts lets a domain in: its own, and its ends that begin with a dot.
pub fn host_names(domain: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..domain.len()).filter(|at| *at == 0 || domain[*at] == b'.').map(|at| &domain[at..])
}

/// morercpthosts, which qmail-smtpd reads only compiled: the text is what the next qmail-newmrh will compile, and counts;
/// without the text the compiled file does. Then how the compiled file differs.
fn read_morercpthosts(root: &Root, file: &[u8], notes: &mut Vec<Note>) -> Result<(Names, Option<Behind>), Error> {
    let compiled_file = [file, b".cdb"].concat();
    let (path, compiled_path) = (root.path(file), root.path(&compiled_file));
    let text = root.read(file).map_err(|cause| Error::io("read", &path, cause))?;
    let keys = |image: Vec<u8>| -> Result<HashSet<Vec<u8>>, cdb::Corrupt> {
        let cdb = cdb::Reader::new(&image)?;
        cdb.check_all_found().map(|()| cdb.records().map(|record| record.key.to_vec()).collect())
    };
    let compiled = root.read(&compiled_file).map(|image| image.map(keys));
    let Some(text) = text else {
        return match compiled.map_err(|cause| Error::io("read", &compiled_path, cause))? {
            None => Ok((Names::new(), None)),
            Some(Err(corrupt)) => {
                let how = format!("{}: {corrupt}; qmail-smtpd knows none of its domains", show_path(&compiled_path));
                Ok((Names::new(), Some(Behind { how, ..Behind::default() })))
            }
            Some(Ok(compiled)) => {
                notes.push(
                    Note::warning(format!(
                        "{}: no such file; the domains of {} count",
                        show_path(&path),
                        show_path(&compiled_path)
                    ))
                    .of(Code::MorercpthostsMissing),
                );
                Ok((compiled.into_iter().map(|name| (name, None)).collect(), None))
            }
        };
    };
    let found = parse_morercpthosts(&text);
    let (mut goes, mut comes) = (BTreeSet::new(), BTreeSet::new());
    let behind = match compiled {
        // The text alone says what the next qmail-newmrh compiles.
        Err(cause) => Some(format!("{}; it cannot be compared with {}", show_cause(&cause), show_path(&path))),
        Ok(Some(Ok(keys))) if keys.len() == found.len() && found.keys().all(|name| keys.contains(name)) => None,
        Ok(Some(Ok(keys))) => {
            comes = found.keys().filter(|name| !keys.contains(*name)).cloned().collect();
            goes = keys.into_iter().filter(|name| !found.contains_key(name)).collect();
            Some(format!("not what {} says; qmail-smtpd goes by the old list", show_path(&path)))
        }
        Ok(Some(Err(corrupt))) => Some(format!("{corrupt}; qmail-smtpd knows none of its domains")),
        Ok(None) if found.is_empty() => None,
        Ok(None) => {
            comes = found.keys().cloned().collect();
            Some("missing; qmail-smtpd knows none of its domains".to_owned())
        }
    };
    Ok((found, behind.map(|how| Behind { how: format!("{}: {how}", show_path(&compiled_path)), goes, comes })))
}

/// The entries of control/morercpthosts as qmail-newmrh compiles them: it trims and lower-cases the line; a NUL is part of
/// the entry there.
pub fn parse_morercpthosts(text: &[u8]) -> Names {
    let mut found = Names::new();
    for (number, line) in lines(text) {
        let line = trim_end(line);
        if !matches!(line.first(), None | Some(b'#')) {
            found.entry(lower(line)).or_insert(Some(number));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_file_that_does_not_answer_may_be_read_the_next_time_and_one_that_is_no_file_may_not() {
        for (cause, stays) in [
            (io::Error::new(ErrorKind::TimedOut, "/x has not answered for 20 s"), false),
            (io::Error::from_raw_os_error(5), false),
            (io::Error::other("no regular file"), true),
        ] {
            let unusable = Unusable::new(b"/x", &Error::io("read", Path::new("/x"), cause));
            assert_eq!(unusable.stays, stays, "{unusable:?}");
        }
    }
}
