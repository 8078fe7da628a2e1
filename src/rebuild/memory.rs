//! What a service remembers of its last rebuild: how each home looked, and where its records stand in the published
//! files. What nobody touched is then neither read again nor made again.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;

use super::guarded::Guarded;
use super::homes::{Asked, KeptHome, Unread};
use crate::cdb::{Batch, Chunk, Extent, Places};
use crate::fs::Stamp;
use crate::host::Host;
use crate::host::authvars::AuthVars;
use crate::host::look::Look;
use crate::protect::hold::Held;
use crate::publish::{Published, Target};
use crate::report::Note;
use crate::tables::logins::Unknown;
use crate::tables::recipients::{Common, Plan};

/// Which homes a rebuild has to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All, and everything else on the host.
    All,
    /// These, and those of these domains: of everything else it is known that nothing changed.
    Some {
        /// Paths as users/assign or passwd names them.
        homes: BTreeSet<Vec<u8>>,
        /// Lower case.
        domains: BTreeSet<Vec<u8>>,
    },
}

impl Default for Scope {
    fn default() -> Scope {
        Scope::Some { homes: BTreeSet::new(), domains: BTreeSet::new() }
    }
}

/// More homes than this are as good as all.
const MAX_SOME: usize = 1_000;

impl Scope {
    /// Adds what another one holds.
    pub fn add(&mut self, other: Scope) {
        match (&mut *self, other) {
            (Scope::All, _) => {}
            (_, Scope::All) => *self = Scope::All,
            (Scope::Some { homes, domains }, Scope::Some { homes: more_homes, domains: more_domains }) => {
                homes.extend(more_homes);
                domains.extend(more_domains);
                if homes.len() + domains.len() > MAX_SOME {
                    *self = Scope::All;
                }
            }
        }
    }

    /// One home.
    pub fn home(path: Vec<u8>) -> Scope {
        Scope::Some { homes: BTreeSet::from([path]), domains: BTreeSet::new() }
    }

    /// One domain.
    pub fn domain(name: Vec<u8>) -> Scope {
        Scope::Some { homes: BTreeSet::new(), domains: BTreeSet::from([name]) }
    }
}

/// Some records of a published file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// Where they begin, in bytes.
    pub start: u32,
    /// How long they are, in bytes.
    pub length: u32,
    /// What they are, as a number.
    print: u64,
    /// In which pieces they stand, as a number.
    pieces: u64,
    /// How long each chunk of the pieces is; empty where one chunk is all of it.
    extents: Box<[Extent]>,
}

impl Stretch {
    /// These records, at this place.
    pub fn new(start: u64, records: &Batch, seed: &RandomState) -> Stretch {
        let bytes: Vec<&[u8]> = records.chunks().iter().map(Chunk::bytes).collect();
        let is_one = records.chunks().len() == 1;
        let extents = if is_one { Box::default() } else { records.chunks().iter().map(Extent::of).collect() };
        // Cannot be cut, because the writer refuses what is longer.
        let (start, length) = (start as u32, records.size() as u32);
        Stretch { start, length, print: seed.hash_one(bytes), pieces: seed.hash_one(records.pieces()), extents }
    }

    /// Whether these are the same records, wherever they stand.
    pub fn says_the_same(&self, other: &Stretch) -> bool {
        Stretch { start: other.start, ..self.clone() } == *other
    }

    /// Whether its records stand in the same pieces as those of the other.
    pub fn has_the_pieces_of(&self, other: &Stretch) -> bool {
        self.pieces == other.pieces
    }

    /// How long a chunk of the pieces is.
    pub fn extent(&self, chunk: usize) -> Option<Extent> {
        if self.extents.is_empty() { Some(Extent::plain(self.length)) } else { self.extents.get(chunk).copied() }
    }
}

/// One home.
#[derive(Debug)]
pub struct Known {
    /// What it looked like; `None` when that would not tell whether it changed.
    pub look: Option<Look>,
    /// Whether it is beyond its budget: as long as it rests, that has not changed.
    pub is_spent: bool,
    /// The other homes that its answers depend on.
    pub others: Vec<Vec<u8>>,
    /// Its own recipients.
    pub recipients: Stretch,
    /// Its logins.
    pub logins: Stretch,
    /// What the user database has under its domains and those of `others`, as a number.
    pub users: u64,
    /// What it contributes to tables that others contribute to, as a number.
    pub shared: u64,
    /// When the first of its logins expires, in seconds since 1970-01-01 UTC.
    pub expiry: Option<u64>,
    /// Its logins without a domain.
    pub bare: Vec<Vec<u8>>,
    /// What somebody should know of it.
    pub notes: Vec<Note>,
    /// The open domains that it leads to, by number.
    pub open: Box<[usize]>,
    /// What of it could not be read, and what is kept because of that.
    pub unread: Option<Box<Unread>>,
    /// Its own recipients as the host says them, where the published ones hold what a hold keeps.
    pub unheld: Option<Box<Stretch>>,
}

impl Known {
    /// What came of one home; its records are at these places.
    pub fn new(asked: &Asked, recipients: u64, logins: u64, seed: &RandomState) -> Known {
        Known {
            look: asked.look.clone(),
            is_spent: asked.is_spent,
            others: asked.others.iter().cloned().collect(),
            recipients: Stretch::new(recipients, &asked.answers.records, seed),
            logins: Stretch::new(logins, &asked.logins, seed),
            users: asked.users,
            shared: seed.hash_one(asked.answers.shared()),
            expiry: asked.expiry,
            bare: asked.bare.clone(),
            notes: [&asked.notes[..], asked.answers.notes()].concat(),
            open: asked.answers.open.iter().copied().collect(),
            unread: (!asked.unread.is_empty()).then(|| Box::new(asked.unread.clone())),
            unheld: None,
        }
    }
}

/// A published file.
#[derive(Debug)]
pub struct Laid {
    /// What stat(2) said of it when it was published.
    pub stamp: Stamp,
    /// Where its records are.
    pub places: Places,
}

/// Why a rebuild reads every home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// It is the first one of this service.
    Start,
    /// The service was asked to forget what it knows.
    Hup,
    /// The last rebuild failed.
    Failed,
    /// A call failed at the storage of a home: what could not be read is not known.
    Storage,
    /// Something cannot be read, and vpopmail keeps its users elsewhere.
    Unread,
    /// What the host says besides its homes is new: control files, assignments, accounts.
    Host,
    /// Another program replaced a table, or its mode or owner has to change.
    Tables,
    /// The clock was set back.
    Clock,
    /// Something that several homes share changed.
    Shared,
    /// Very many homes changed.
    Many,
    /// A change is so large, or of such a kind, that the tables have to be laid out again.
    Large,
    /// So many entries go that the guard has to weigh them.
    Loss,
    /// A file system does not answer.
    Silence,
    /// Domains are held, or have to be let go.
    Held,
    /// The user database could not be read, or says something else of domains without a line in users/assign.
    Database,
}

impl Because {
    /// The word in the log.
    pub fn word(self) -> &'static str {
        match self {
            Because::Start => "start",
            Because::Hup => "hup",
            Because::Failed => "failure",
            Because::Storage => "storage",
            Because::Unread => "unread",
            Because::Host => "host",
            Because::Tables => "tables",
            Because::Clock => "clock",
            Because::Shared => "shared",
            Because::Many => "many",
            Because::Large => "large",
            Because::Loss => "loss",
            Because::Silence => "silence",
            Because::Held => "held",
            Because::Database => "database",
        }
    }
}

/// What is remembered, or why the next rebuild reads every home.
pub type Remembered = Result<Box<Memory>, Because>;

/// All of it.
pub struct Memory {
    /// The host, its homes aside.
    pub host: Arc<Host>,
    /// control/authvars.
    pub variables: Arc<AuthVars>,
    /// What is asked of whom.
    pub plan: Arc<Plan>,
    /// The names that the shared units know.
    pub common: Arc<Common>,
    /// The directories that the homes are in.
    pub directories: Vec<PathBuf>,
    /// The homes, in the order of the plan's units.
    pub units: Vec<Known>,
    /// The logins behind those of the homes: system accounts.
    pub last_logins: Stretch,
    /// What somebody should know of the tables together.
    pub notes: Vec<Note>,
    /// Whether nobody knows the default domain, and the one in `host` is that of the published logins.
    pub is_default_unknown: bool,
    /// The logins whose variables control/authvars cannot tell.
    pub unknown: Unknown,
    /// The domains that keep their published entries, and what an administrator has to know about them.
    pub held: Vec<Held>,
    /// See `held`.
    pub held_alerts: Vec<Note>,
    /// When the first of the logins that they keep expires, in seconds since 1970-01-01 UTC.
    pub held_expiry: Option<u64>,
    /// What could not be read where several homes have a part, and what is kept because of that.
    pub unread: Unread,
    /// What the user database has under domains without a line in users/assign, as a number.
    pub unassigned_users: u64,
    /// validrcptto.cdb; `None` until it is published.
    pub recipients: Option<Laid>,
    /// auth.cdb; `None` until it is published.
    pub logins: Option<Laid>,
    /// When it was made, in seconds since 1970-01-01 UTC.
    pub now: u64,
    /// What makes the numbers.
    pub seed: RandomState,
}

impl Memory {
    /// Notes what is held, and where the records stand because of that: those of the recipients at their places among the
    /// others, the logins behind all others.
    pub(super) fn hold(&mut self, guarded: &Guarded) {
        self.held.clone_from(&guarded.held);
        self.held_alerts.clone_from(&guarded.alerts);
        self.held_expiry = guarded.held_expiry;
        let (mut moved, mut moves) = (0, guarded.moves.iter().peekable());
        for known in &mut self.units {
            let (start, length) = (u64::from(known.recipients.start), u64::from(known.recipients.length));
            while let Some((_, longer)) = moves.next_if(|(place, _)| *place < start) {
                moved += longer;
            }
            let (mut inside, mut is_held) = (0, false);
            while let Some((_, longer)) = moves.next_if(|(place, _)| *place < start + length) {
                inside += longer;
                is_held = true;
            }
            let unheld = known.recipients.clone();
            // Cannot be cut, because the writer refuses what is longer.
            known.recipients.start = (i64::from(unheld.start) + moved) as u32;
            known.recipients.length = (i64::from(unheld.length) + inside) as u32;
            known.unheld = is_held.then(|| Box::new(unheld));
            moved += inside;
        }
    }

    /// What could not be read of these homes, and of files of our own.
    pub(super) fn kept(&self, homes: &mut dyn Iterator<Item = &Known>) -> Vec<KeptHome> {
        let mut unread = self.unread.clone();
        homes.filter_map(|known| known.unread.as_ref()).for_each(|of_home| unread.add(of_home));
        unread.kept(&self.host, &self.variables, self.unknown)
    }

    /// Whether anything that is held is of this unit.
    pub fn is_held(&self, number: usize) -> bool {
        let is_held = |domain: &Vec<u8>| self.held.iter().any(|held| held.domain == *domain);
        self.units[number].unheld.is_some()
            || self.plan.units[number].vpopmail_domains.iter().any(|(domain, _)| is_held(domain))
    }
}

impl Laid {
    /// The file that was published, with its records at these places; `None` when nobody knows which file has them.
    pub fn of(stamp: Option<Stamp>, places: Option<Places>) -> Option<Laid> {
        Some(Laid { stamp: stamp?, places: places? })
    }

    /// The published file, open, when it is still the same.
    pub fn open(&self, target: &Target) -> Option<Published> {
        target.open().ok().filter(|file| file.stamp().is_ok_and(|stamp| stamp == self.stamp))
    }
}
