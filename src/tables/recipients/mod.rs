//! Which keys validrcptto.cdb needs so that qmail-smtpd's lookup gives [`delivery`](crate::decide)'s answer for every
//! address, the ones nobody listed included (docs/rules.md, 8). Pure. Nothing is decided here about mail: the points at
//! which the answer can change are collected, delivery is asked for each, and the answers are laid out as a table.
//!
//! The work is cut into [`Unit`]s, one a home, so that each home is read once, asked for every domain that it serves,
//! and dropped. A domain's table is finished, and leaves, with the last home that contributes to it.

mod ask;
mod plan;
mod tables;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::Hash;
use std::path::Path;
use std::sync::Arc;

use crate::cdb;
use crate::decide::Doubt;
use crate::error::show_path;
use crate::fs::Who;
use crate::host::Host;
use crate::report::Note;
use crate::tables::smtpd::Says;
use crate::text::count;

pub use ask::relay_step;
pub use tables::{Kept, Outcome, PublishedKeys, Tables};

/// A stem with more colons than this is given two spellings only, all `.` and all `:`.
pub const MAX_SPELLED_COLONS: usize = 6;

/// A service keeps so many notes of one home about what was widened.
const MAX_NOTES: usize = 50;

/// Keeps so many of the notes, and says how many there are more; `place` stands in front of that.
pub fn bound_notes(notes: &mut Vec<Note>, most: usize, place: &str) {
    if notes.len() > most {
        let more = notes.len() - most;
        notes.truncate(most);
        notes.push(more_notes(more, place));
        notes.shrink_to_fit();
    }
}

fn more_notes(more: usize, place: &str) -> Note {
    let more = count(more, "more note");
    Note::warning(format!("{place}{more} like these; qmail-updater check shows them all"))
}

/// A point at which the answer can change: below a domain, or, before the domain is known, a whole local part as
/// qmail-lspawn sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Point {
    local: Vec<u8>,
    kind: Kind,
}

impl Point {
    /// What a pattern begins with, as a name that nobody looks for in the list.
    fn as_name(&self) -> Point {
        Point { local: self.local.clone(), kind: Kind::Name { listed: false } }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// This very name. `listed`: people look for it in the list, so it is written even where a wider key accepts it.
    Name { listed: bool },
    /// Every name that begins like this and that nobody listed.
    Pattern,
}

/// A domain that qmail-smtpd may ask about.
#[derive(Debug)]
struct Domain {
    name: Vec<u8>,
    /// What qmail-send puts before a local part, its `-` included; empty for a local domain, `None` for a relayed one.
    prefix: Option<Vec<u8>>,
    /// Whether rcpthosts lets it through; if not, only its bare names matter.
    accepted: bool,
    /// Whether names without `@` belong to it.
    bare: bool,
}

/// One way from a local part into a home: a `+loc` line, or an account, or alias.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rule {
    /// What the local part begins with.
    loc: Vec<u8>,
    /// What the extension begins with, lower case.
    pre: Vec<u8>,
    dash: Vec<u8>,
    who: Who,
}

/// One home and what has to be asked while it is at hand.
#[derive(Debug, Default)]
pub struct Unit {
    /// The home; `None` for what needs none.
    pub home: Option<Vec<u8>>,
    /// The domains whose `+domain-` line names this home, with the line's uid; published or not.
    pub vpopmail_domains: Vec<(Vec<u8>, u32)>,
    /// The domains without a `+domain-` line of which a user database has users, by number.
    unassigned: Vec<usize>,
    /// Whether mail or logins depend on the home; else only its names are of interest.
    pub matters: bool,
    rules: Vec<usize>,
    /// Points by whole local part: for every domain whose prefix they begin with.
    placed: Vec<Point>,
    /// Points of one domain.
    own: Vec<(usize, Point)>,
    /// What of the tables nobody but this unit and the shared ones contributes to.
    parts: Vec<Part>,
    /// Those of the parts that have the same answers as others: a domain and its alias domains.
    groups: Vec<Vec<Twin>>,
}

/// A part of the tables that differs from the others of its group in nothing but its name: a rule of the same kind leads to
/// each, and nothing else does, and no rule asks for the name of the domain in another way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Twin {
    part: Part,
    /// The rule that leads there.
    rule: usize,
}

/// The names of a domain that begin with a prefix: of a domain with one home, all of them; of a local domain, those that
/// lead to one vpopmail domain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Part {
    domain: usize,
    prefix: Vec<u8>,
}

/// The numbers of things in the order of their names, each with what its name begins with (see [`cdb::prefix`]).
type Sorted = Vec<(u64, u32)>;

/// What has to be asked of whom.
#[derive(Debug)]
pub struct Plan {
    host: Arc<Host>,
    /// In the order of their names.
    domains: Vec<Domain>,
    /// The domains that have a prefix, in its order.
    by_prefix: Sorted,
    /// How long prefixes are, in bytes.
    prefix_lengths: BTreeSet<usize>,
    rules: Vec<Rule>,
    /// The rules in the order of their locs.
    by_loc: Sorted,
    /// The bytes that some loc ends in.
    last_bytes: BTreeSet<u8>,
    /// In the order in which their answers must be added.
    pub units: Vec<Unit>,
    /// How many units contribute to every domain: the first ones.
    pub shared: usize,
    /// For each unit the domains with a prefix of their own that it contributes to beside others.
    contributions: Vec<Vec<usize>>,
    fresh_word: Vec<u8>,
    /// The domains that a `user@domain` key of virtualdomains names.
    has_own_names: HashSet<Vec<u8>>,
    /// What stands before each `-` of the exact lines of users/assign, with it.
    has_exact_lines: HashSet<Vec<u8>>,
    /// So many notes are made of one unit about what was widened.
    most_notes: usize,
}

/// One answer of delivery.
#[derive(Debug, Hash)]
struct Answer {
    domain: usize,
    point: Point,
    fact: Fact,
}

#[derive(Clone, Debug, PartialEq, Hash)]
struct Fact {
    says: Says,
    /// What could not be read, when `says` says only "we cannot know".
    doubt: Option<Box<Doubt>>,
    /// The file and line behind it, for an answer that may have to be widened.
    origin: Option<Box<str>>,
    listed: bool,
    /// Whether this process may not read what decides, and is not root.
    unknown: bool,
    /// Whether a program line takes it whose users cannot be known.
    open: bool,
}

impl Fact {
    fn accepted(&self) -> bool {
        self.says.accepts()
    }
}

/// What came of one unit.
#[derive(Debug, Default)]
pub struct Answers {
    /// The records of those parts of the tables that are laid out already: of this unit alone, and nothing is in doubt.
    pub records: cdb::Batch,
    /// Which parts these are.
    laid_out: Vec<Part>,
    /// What those of local domains answer where nobody is listed: whether that needs a key, the whole domain decides.
    tops: Vec<Top>,
    /// The answers for all other parts.
    rest: Vec<Answer>,
    /// The parts that are laid out with published answers in the place of those that nobody knows, and the assignments of
    /// which anything is kept.
    retained: Vec<Part>,
    kept: BTreeSet<Vec<u8>>,
    /// What the format cannot say and was widened.
    notes: Vec<Note>,
    /// How many notes of it there would be more.
    more_notes: usize,
    /// Whether some names are listed in two spellings only, because there are too many.
    pub cut: bool,
    /// Whether a group could not be laid out as one, so that each of its parts has to be asked.
    is_unlike: bool,
    /// The domains, by number, that take names which nobody listed, because of a program line whose users cannot be known.
    pub open: BTreeSet<usize>,
    /// What there is more of than one home may make, in words; then there is nothing else here.
    pub too_many: Option<String>,
}

/// What the names of a part that nobody listed come to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Top {
    part: Part,
    says: Says,
}

impl Answers {
    /// None, because a home would make more than it may.
    fn of_too_many(words: String) -> Answers {
        Answers { too_many: Some(words), ..Answers::default() }
    }

    /// Notes that a part is laid out, and what its names come to that nobody listed.
    fn add_part(&mut self, part: &Part, top: Option<Says>) {
        self.laid_out.push(part.clone());
        let top = top.filter(|_| !part.prefix.is_empty());
        self.tops.extend(top.map(|says| Top { part: part.clone(), says }));
    }

    /// What others have a part in: as long as it is the same, so is all that they make together.
    pub fn shared(&self) -> impl Hash + '_ {
        (&self.laid_out, &self.tops, &self.rest)
    }

    /// What the format cannot say and was widened.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    fn note(&mut self, most: usize, note: impl FnOnce() -> Note) {
        if self.notes.len() < most {
            self.notes.push(note());
        } else {
            self.more_notes += 1;
        }
    }

    /// Adds a note that says how many there would be more.
    pub fn note_more(&mut self, path: &Path) {
        if self.more_notes > 0 {
            self.notes.push(more_notes(self.more_notes, &format!("{}: ", show_path(path))));
        }
    }

    /// The same, taken out.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// Whether something could not be read.
    pub fn is_doubtful(&self) -> bool {
        self.rest.iter().any(|answer| answer.fact.doubt.is_some())
    }
}

impl Part {
    /// Whether a local part of a domain is in it.
    fn has(&self, domain: usize, local: &[u8]) -> bool {
        domain == self.domain && local.starts_with(&self.prefix)
    }
}

/// The names that the shared units know, by domain: whoever has such a name in a part of his own does not lay it out alone.
#[derive(Debug, Default)]
pub struct Common(BTreeMap<usize, BTreeSet<Vec<u8>>>);

impl Common {
    fn touches(&self, part: &Part) -> bool {
        let from = |names: &BTreeSet<Vec<u8>>| {
            names.range(part.prefix.clone()..).next().is_some_and(|name| name.starts_with(&part.prefix))
        };
        self.0.get(&part.domain).is_some_and(from)
    }
}

/// Names, and what the table says of each.
type Judged<'n> = Vec<(&'n [u8], Says)>;
