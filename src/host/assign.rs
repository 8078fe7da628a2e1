//! users/assign: who owns an address (qmail-users(5), qmail-newu(8), docs/rules.md, 3.3). Parsed as qmail-newu parses
//! it, asked as qmail-lspawn asks the file compiled from it: users/cdb, or users/assign.cdb where qmail is s/qmail.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::compilers::{Behind, Compiler};
use crate::cdb;
use crate::error::{Error, show_cause, show_path};
use crate::fs::{End, Root, Stamp, Who};
use crate::host::Layout;
use crate::report::{Code, Note};
use crate::text::{leading_number, lines, lower};

/// What one line assigns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The user's name; of a vpopmail domain, the real domain's.
    pub user: Vec<u8>,
    /// Who delivers. Uid 0 never does.
    pub who: Who,
    /// The home, as the line names it.
    pub home: Vec<u8>,
    /// `-` or nothing, usually.
    pub dash: Vec<u8>,
    /// ext of an exact line, pre of a wildcard.
    pub ext: Vec<u8>,
    /// The line of users/assign; `None` when only users/cdb is there.
    pub line: Option<usize>,
}

impl Assignment {
    fn assigns_the_same(&self, other: &Assignment) -> bool {
        let (a, b) = (self, other);
        (&a.user, a.who, &a.home, &a.dash, &a.ext) == (&b.user, b.who, &b.home, &b.dash, &b.ext)
    }
}

/// users/assign, keys in lower case; of equal keys the first line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignments {
    /// `=local` lines, and all others that begin neither with `+` nor with `.`.
    pub exact: HashMap<Vec<u8>, Assignment>,
    /// `+loc` lines.
    pub wildcards: HashMap<Vec<u8>, Assignment>,
    /// The last bytes of the wildcards' locs, as they are written: the only bytes after which qmail-lspawn tries one.
    pub last_bytes: BTreeSet<u8>,
    /// How the compiled file differs from users/assign; `None` when it does not.
    pub behind: Option<Behind>,
    /// The compiled file, as the host names it.
    pub compiled_file: Vec<u8>,
    /// The lines that begin with `#`, each with the local part that it assigns: qmail-newu knows no comments.
    pub no_comments: Vec<(usize, Vec<u8>)>,
    /// What qmail-newu does not read.
    pub unread: Option<Unread>,
    /// Whether they came from the compiled file because there is no users/assign.
    pub compiled_only: bool,
    /// Whether neither users/assign nor the compiled file is there: nobody knows what was assigned.
    pub are_missing: bool,
    /// The lengths of the wildcards' locs, longest last.
    lengths: BTreeSet<usize>,
}

/// Lines of users/assign after the one that ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// The line that begins with a dot.
    pub end: usize,
    /// The first line after it that is neither empty, nor begins with a dot or a `#`.
    pub first: usize,
    /// How many there are.
    pub count: usize,
}

/// What users/assign says about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match<'a> {
    /// An exact line.
    Exact(&'a Assignment),
    /// A wildcard: its loc, and what it assigns.
    Wildcard(&'a [u8], &'a Assignment),
}

impl Assignments {
    /// Reads users/assign, or the compiled file when there is no such file.
    ///
    /// # Errors
    /// Whatever would make qmail-newu refuse users/assign; a file that cannot be read.
    pub fn read(layout: &Layout, notes: &mut Vec<Note>) -> Result<Assignments, Error> {
        let (root, file) = (&layout.root, [&layout.qmail[..], b"/users/assign"].concat());
        let compiled_file = compiled_file(layout, notes);
        let compiler = Compiler::Newu.program(layout);
        let has_compiler = matches!(root.walk(&compiler).end, End::Found(_));
        let read = Assignments::read_from(root, &file, (&compiled_file, has_compiler), notes)?;
        Ok(Assignments { compiled_file, ..read })
    }

    fn read_from(
        root: &Root,
        file: &[u8],
        (compiled_file, has_compiler): (&[u8], bool),
        notes: &mut Vec<Note>,
    ) -> Result<Assignments, Error> {
        let (path, compiled_path) = (root.path(file), root.path(compiled_file));
        let text = root.read(file).map_err(|cause| Error::io("read", &path, cause))?;
        let compiled = root.read(compiled_file);
        let Some(text) = text else {
            let compiled = compiled.map_err(|cause| Error::io("read", &compiled_path, cause))?;
            return Assignments::from_compiled(compiled.as_deref(), (&path, &compiled_path), notes);
        };
        let mut assignments = Assignments::parse(&text, &path)?;
        let (mut goes, mut comes) = (BTreeSet::new(), BTreeSet::new());
        let behind = match compiled.map(|image| image.as_deref().map(Assignments::parse_compiled)) {
            // The text alone says who owns an address.
            Err(cause) => Some(format!("{}; it cannot be compared with {}", show_cause(&cause), show_path(&path))),
            Ok(Some(Ok(compiled))) if compiled.says_the_same(&assignments) => None,
            Ok(Some(Ok(compiled))) => {
                goes = compiled.lost_to(&assignments);
                comes = assignments.lost_to(&compiled).difference(&goes).cloned().collect();
                Some(format!("not what {} says; qmail delivers by the old one", show_path(&path)))
            }
            Ok(Some(Err(corrupt))) => Some(format!("{corrupt}; qmail defers all local mail")),
            Ok(None) if assignments.exact.is_empty() && assignments.wildcards.is_empty() => None,
            Ok(None) => {
                // Where no qmail is installed, nothing delivers by it.
                if has_compiler {
                    comes = assignments.lost_to(&Assignments::default());
                }
                Some(format!("missing; qmail knows nothing of {}", show_path(&path)))
            }
        };
        let how = |how| format!("{}: {how}", show_path(&compiled_path));
        assignments.behind = behind.map(|why: String| Behind { how: how(why), goes, comes });
        Ok(assignments)
    }

    /// The assignments of the compiled file, where there is no users/assign; these are the paths of both, for messages.
    fn from_compiled(
        compiled: Option<&[u8]>,
        (path, compiled_path): (&Path, &Path),
        notes: &mut Vec<Note>,
    ) -> Result<Assignments, Error> {
        match compiled {
            Some(compiled) => {
                notes.push(
                    Note::warning(format!(
                        "{}: no such file; what {} says counts",
                        show_path(path),
                        show_path(compiled_path)
                    ))
                    .of(Code::AssignMissing),
                );
                Assignments::parse_compiled(compiled)
                    .map_err(|cause| Error::malformed(compiled_path, None, cause.to_string()))
            }
            None => {
                notes.push(
                    Note::warning(format!(
                        "{}: no such file, and no {} either: no address is assigned, and no vpopmail domain is known",
                        show_path(path),
                        show_path(compiled_path)
                    ))
                    .of(Code::AssignMissing),
                );
                Ok(Assignments { are_missing: true, ..Assignments::default() })
            }
        }
    }

    /// Parses users/assign. `path` is for messages.
    ///
    /// # Errors
    /// What makes qmail-newu fail: fewer than seven colons, a colon first, a NUL, an empty line, no line that begins
    /// with `.`.
    pub fn parse(text: &[u8], path: &Path) -> Result<Assignments, Error> {
        let mut found = Assignments::default();
        let refused =
            |line: usize, what: &str| Err(Error::malformed(path, line, format!("{what}; qmail-newu refuses the file")));
        let mut last = 0;
        let mut unended = false;
        let mut lines = lines(text);
        while let Some((number, line)) = lines.next() {
            last = number;
            if line.first() == Some(&b'.') {
                let mut unread = lines.filter(|(_, line)| line.first().is_some_and(|first| !b".#".contains(first)));
                let first = unread.next();
                found.unread = first.map(|(first, _)| Unread { end: number, first, count: 1 + unread.count() });
                return Ok(found);
            }
            unended = !text.ends_with(b"\n");
            if line.is_empty() {
                return refused(number, "empty line");
            }
            if line.contains(&0) {
                return refused(number, "NUL byte");
            }
            if line[0] == b':' {
                return refused(number, "begins with a colon");
            }
            let mut fields = line.splitn(8, |b| *b == b':');
            let mut field = || fields.next();
            let (Some(key), Some(user), Some(uid), Some(gid), Some(home), Some(dash), Some(ext), Some(_)) =
                (field(), field(), field(), field(), field(), field(), field(), field())
            else {
                let what = "fewer than seven colons";
                let of_comment = format!("{what}, and # begins no comment here");
                return refused(number, if line[0] == b'#' { &of_comment } else { what });
            };
            let assignment = Assignment {
                user: user.to_vec(),
                who: who(uid, gid),
                home: home.to_vec(),
                dash: dash.to_vec(),
                ext: ext.to_vec(),
                line: Some(number),
            };
            if key[0] == b'+' {
                found.add_wildcard(&key[1..], assignment);
            } else {
                if key[0] == b'#' {
                    found.no_comments.push((number, key[1..].to_vec()));
                }
                found.exact.entry(lower(&key[1..])).or_insert(assignment);
            }
        }
        let what = if unended {
            "no newline at its end, and no line that begins with \".\""
        } else {
            "no line that begins with \".\" ends the file"
        };
        refused(last + usize::from(!unended), what)
    }

    /// Takes apart a compiled file: exact lines under `!local` NUL, wildcards under `!loc`, the wildcards' last bytes under
    /// the empty key (qmail-lspawn).
    ///
    /// # Errors
    /// A damaged cdb, or one without the empty key.
    pub fn parse_compiled(image: &[u8]) -> Result<Assignments, cdb::Corrupt> {
        let cdb = cdb::Reader::new(image)?;
        cdb.check_all_found()?;
        let mut found = Assignments { compiled_only: true, ..Assignments::default() };
        for record in cdb.records() {
            let Some((b'!', key)) = record.key.split_first() else { continue };
            let mut fields = record.data.splitn(7, |b| *b == 0);
            let mut field = || fields.next().unwrap_or_default();
            let user = field().to_vec();
            let who = who(field(), field());
            let assignment = Assignment {
                user,
                who,
                home: field().to_vec(),
                dash: field().to_vec(),
                ext: field().to_vec(),
                line: None,
            };
            match key.split_last() {
                Some((0, local)) => {
                    found.exact.entry(local.to_vec()).or_insert(assignment);
                }
                _ => found.add_wildcard(key, assignment),
            }
        }
        found.last_bytes = cdb.find(b"").ok_or(cdb::Corrupt::Record)?.iter().copied().collect();
        Ok(found)
    }

    fn add_wildcard(&mut self, loc: &[u8], assignment: Assignment) {
        self.last_bytes.extend(loc.last());
        self.lengths.insert(loc.len());
        self.wildcards.entry(lower(loc)).or_insert(assignment);
    }

    /// What the others lack, or assign otherwise: exact lines with `=` in front, wildcards with `+`.
    fn lost_to(&self, others: &Assignments) -> BTreeSet<Vec<u8>> {
        let lost = |kind: u8, a: &HashMap<Vec<u8>, Assignment>, b: &HashMap<Vec<u8>, Assignment>| {
            let lost = a.iter().filter(|(key, a)| !b.get(*key).is_some_and(|b| a.assigns_the_same(b)));
            lost.map(|(key, _)| [&[kind], &key[..]].concat()).collect::<BTreeSet<_>>()
        };
        let mut all = lost(b'=', &self.exact, &others.exact);
        all.append(&mut lost(b'+', &self.wildcards, &others.wildcards));
        all
    }

    fn says_the_same(&self, other: &Assignments) -> bool {
        let same = |a: &HashMap<Vec<u8>, Assignment>, b: &HashMap<Vec<u8>, Assignment>| {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| a.assigns_the_same(b)))
        };
        self.last_bytes == other.last_bytes
            && same(&self.exact, &other.exact)
            && same(&self.wildcards, &other.wildcards)
    }

    /// Who owns the local part (lower case): an exact line, else the longest loc that it begins with.
    pub fn find(&self, local: &[u8]) -> Option<Match<'_>> {
        if let Some(assignment) = self.exact.get(local) {
            return Some(Match::Exact(assignment));
        }
        self.lengths
            .range(..=local.len())
            .rev()
            .filter(|length| self.is_tried(&local[..**length]))
            .find_map(|length| self.wildcards.get_key_value(&local[..*length]))
            .map(|(loc, assignment)| Match::Wildcard(loc, assignment))
    }

    /// Every line, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Assignment> {
        self.exact.values().chain(self.wildcards.values())
    }

    /// Whether qmail-lspawn ever tries a wildcard of this loc (lower case): after the bytes that some loc ends in, as
    /// written; the empty loc always.
    pub fn is_tried(&self, loc: &[u8]) -> bool {
        loc.last().is_none_or(|last| self.last_bytes.contains(last))
    }

    /// The `+domain-` line of a vpopmail domain (lower case), which is where vpopmail looks its folder up.
    pub fn vpopmail_domain(&self, domain: &[u8]) -> Option<&Assignment> {
        self.wildcards.get(&[domain, b"-"].concat())
    }

    /// The real domain behind an alias domain (lower case): its line names that one as the user, and the same home.
    pub fn alias_of(&self, domain: &[u8]) -> Option<&[u8]> {
        let line = self.vpopmail_domain(domain)?;
        let (loc, real) = self.wildcards.get_key_value(&[&lower(&line.user)[..], b"-"].concat())?;
        let (_, name) = loc.split_last()?;
        (name != domain && real.home == line.home && lower(&real.user) == name).then_some(name)
    }

    /// Every `+domain-` line with its domain (not empty), vpopmail domain or not.
    pub fn domains(&self) -> impl Iterator<Item = (&[u8], &Assignment)> {
        self.wildcards.iter().filter_map(|(loc, assignment)| match loc.split_last() {
            Some((b'-', domain)) if !domain.is_empty() => Some((domain, assignment)),
            _ => None,
        })
    }
}

/// Uid and gid as qmail-lspawn reads them: leading digits, no digits is 0.
fn who(uid: &[u8], gid: &[u8]) -> Who {
    // Wraps like qmail's assignment of an unsigned long to a uid_t.
    Who { uid: leading_number(uid) as u32, gid: leading_number(gid) as u32 }
}

/// The names below QMAIL that qmail-newu gives the compiled file: qmail's, and s/qmail's.
pub const COMPILED: [&str; 2] = ["users/cdb", "users/assign.cdb"];
/// How much of qmail-newu is looked at, in bytes. It has 20,000 to 50,000.
const MAX_PROGRAM: usize = 4 << 20;

/// The file that qmail-newu compiles users/assign into and that qmail-lspawn reads, as the host names it.
///
/// It is the one that the administrator named; else the only one that the binary of qmail-newu names. A script may name
/// one and run another program that writes the other, so with a script, and where there is no program, the one that is
/// there counts. When both or none are there, it is the one that the program names, then the newer one, then users/cdb.
pub fn compiled_file(layout: &Layout, notes: &mut Vec<Note>) -> Vec<u8> {
    let (root, qmail) = (&layout.root, &layout.qmail[..]);
    if let Some(name) = &layout.users_cdb {
        return [qmail, b"/users/", name].concat();
    }
    let mut program = Vec::new();
    if let Ok(Some(mut opened)) = root.open(&[qmail, b"/bin/qmail-newu"].concat()) {
        // One that cannot be read is as good as none.
        let _ = opened.read_start(&mut program, MAX_PROGRAM);
    }
    let [cdb, assign_cdb] = COMPILED.map(|name| [qmail, b"/", name.as_bytes()].concat());
    let named = named_by(&program);
    if let Some(named) = named.filter(|_| !program.starts_with(b"#!")) {
        return if named == COMPILED[1] { assign_cdb } else { cdb };
    }
    let stamp = |file: &[u8]| {
        let opened = root.open(file).ok().flatten()?;
        Stamp::of_file(opened.into_file()).ok()
    };
    match (stamp(&cdb), stamp(&assign_cdb), named) {
        (Some(_), None, _) => cdb,
        (None, Some(_), _) => assign_cdb,
        (_, _, Some(named)) => {
            if named == COMPILED[1] {
                assign_cdb
            } else {
                cdb
            }
        }
        (None, None, None) => cdb,
        (Some(old), Some(new), None) => {
            let (counts, other) = if new.modified > old.modified { (assign_cdb, cdb) } else { (cdb, assign_cdb) };
            notes.push(Note::warning(format!(
                "{}: there beside {}, and nothing tells which one qmail-newu writes; the newer one counts: remove the \
                 other one, or name the right one with --users-cdb",
                show_path(&root.path(&other)),
                show_path(&root.path(&counts))
            )).of(Code::AssignTwoCompiled));
            counts
        }
    }
}

/// The one of [`COMPILED`] that a program names; `None` when it names none or both. A binary that writes one may speak of
/// the other in a message, so a name that ends in a NUL, as one that is handed to rename(2), counts before others.
fn named_by(program: &[u8]) -> Option<&'static str> {
    let only = |end: &[u8]| {
        let holds = |name: &&str| {
            let wanted = [name.as_bytes(), end].concat();
            program.windows(wanted.len()).any(|window| window == wanted)
        };
        let mut named = COMPILED.into_iter().filter(holds);
        named.next().filter(|_| named.next().is_none())
    };
    only(b"\0").or_else(|| only(b""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiled_file_is_the_one_that_the_binary_names() {
        assert_eq!(named_by(b"..users/cdb.tmp\0users/cdb\0.."), Some("users/cdb"));
        assert_eq!(named_by(b"..users/assign.cdb\0.."), Some("users/assign.cdb"));
        assert_eq!(named_by(b"unable to move users/cdb.tmp: \0users/assign.cdb\0"), Some("users/assign.cdb"));
        assert_eq!(named_by(b"mv users/tmp users/assign.cdb"), Some("users/assign.cdb"));
        assert_eq!(named_by(b"users/cdb\0users/assign.cdb\0"), None);
        assert_eq!(named_by(b""), None);
    }
}
