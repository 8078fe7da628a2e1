//! How much one home may cost one rebuild. What its files make us do is counted together, whatever part of them asks for
//! it: directories and links that are walked through, names that are listed, bytes that are read. When a count passes
//! its bound, nothing more of the home is read, and all of it is kept as published.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::{Bounds, Stamp};
use crate::error::Trouble;

/// The counts of one home. A clone counts together with its original.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    bounds: Bounds,
    steps: AtomicU64,
    names: AtomicU64,
    bytes: AtomicU64,
    /// The first bound that was passed, in words.
    passed: OnceLock<String>,
}

/// What was spent of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Directories and links that were walked through, and other names that were looked at.
    pub steps: u64,
    /// Names that were listed.
    pub names: u64,
    /// Bytes that were read.
    pub bytes: u64,
}

impl Budget {
    /// A new one, of which nothing is spent.
    pub fn new(bounds: Bounds) -> Budget {
        let zero = AtomicU64::default;
        Budget(Arc::new(Counts { bounds, steps: zero(), names: zero(), bytes: zero(), passed: OnceLock::new() }))
    }

    /// Why nothing more is read; `None` while there is something left.
    pub fn passed(&self) -> Option<Trouble> {
        self.0.passed.get().map(|words| words.as_str().into())
    }

    /// What was spent by now.
    pub fn spent(&self) -> Counted {
        let Counts { steps, names, bytes, .. } = &*self.0;
        let [steps, names, bytes] = [steps, names, bytes].map(|count| count.load(Ordering::Relaxed));
        Counted { steps, names, bytes }
    }

    /// Whether a bound was passed.
    pub fn is_passed(&self) -> bool {
        self.0.passed.get().is_some()
    }

    /// Counts directories or links that are walked through, and other names that are looked at.
    ///
    /// # Errors
    /// There are more than the bound, or another bound was passed.
    pub fn steps(&self, steps: usize) -> io::Result<()> {
        let Counts { bounds, steps: count, .. } = &*self.0;
        self.count(count, steps as u64, bounds.steps as u64, || too_many_steps(bounds))
    }

    /// How many steps were counted.
    pub fn steps_taken(&self) -> u64 {
        self.0.steps.load(Ordering::Relaxed)
    }

    /// Counts names that were listed.
    ///
    /// # Errors
    /// Those of [`Budget::steps`].
    pub fn names(&self, names: usize) -> io::Result<()> {
        let Counts { bounds, names: count, .. } = &*self.0;
        self.count(count, names as u64, bounds.names as u64, || too_many_names(bounds))
    }

    /// Counts bytes that were read.
    ///
    /// # Errors
    /// Those of [`Budget::steps`].
    pub fn bytes(&self, bytes: u64) -> io::Result<()> {
        let Counts { bounds, bytes: count, .. } = &*self.0;
        self.count(count, bytes, bounds.bytes, || too_many_bytes(bounds))
    }

    /// Whether so many more bytes may be read: a file that only seems long must not cost the reading either.
    ///
    /// # Errors
    /// Those of [`Budget::steps`].
    pub fn has_room_for(&self, bytes: u64) -> io::Result<()> {
        let Counts { bounds, bytes: count, .. } = &*self.0;
        let after = count.load(Ordering::Relaxed).saturating_add(bytes);
        if after > bounds.bytes { self.pass(too_many_bytes(bounds)) } else { self.goes_on() }
    }

    /// Holds the number of entries that it has in a table against the bound.
    ///
    /// # Errors
    /// Those of [`Budget::steps`].
    pub fn entries(&self, entries: usize) -> io::Result<()> {
        let bound = self.0.bounds.entries;
        if entries <= bound { self.goes_on() } else { self.pass(too_many_entries(bound)) }
    }

    fn count(&self, count: &AtomicU64, more: u64, bound: u64, words: impl FnOnce() -> String) -> io::Result<()> {
        // What is not done any more costs nothing.
        self.goes_on()?;
        let before = count.fetch_add(more, Ordering::Relaxed);
        if before.saturating_add(more) > bound { self.pass(words()) } else { self.goes_on() }
    }

    fn goes_on(&self) -> io::Result<()> {
        self.0.passed.get().map_or(Ok(()), |words| Err(io::Error::other(words.clone())))
    }

    fn pass(&self, words: String) -> io::Result<()> {
        Err(io::Error::other(self.0.passed.get_or_init(|| words).clone()))
    }
}

/// To ask for an address takes as long as to list so many names.
pub const ASKED: usize = 14;

/// That more is walked through than the bound allows, in words.
pub fn too_many_steps(bounds: &Bounds) -> String {
    format!("its directories, links, files and names take more than the {} steps of --max-steps", bounds.steps)
}

fn too_many_bytes(bounds: &Bounds) -> String {
    format!("its files hold more than the {} MiB of --max-read", bounds.bytes >> 20)
}

/// That there are more names than the bound allows, in words.
pub fn too_many_names(bounds: &Bounds) -> String {
    format!("more names than the {} of --max-names", bounds.names)
}

/// That there are more entries than the bound allows, in words.
pub fn too_many_entries(bound: usize) -> String {
    format!("it makes more than the {bound} entries of --max-entries in a table")
}

/// That more keys have the same hash than the bound allows, in words.
pub fn too_many_alike(bounds: &Bounds) -> String {
    format!("more of its keys in a table have the same hash than the {} of --max-alike", bounds.alike)
}

/// What was spent on a home that is beyond its budget is at most this part of the time.
const SHARE: u32 = 100;
/// A home that is beyond its budget is read again after so long at the latest, when a rebuild comes to it.
const LONGEST: Duration = Duration::from_secs(300);
/// So many homes are remembered.
const MAX_HOMES: usize = 10_000;

/// The homes that are beyond their budgets. To find that out again costs the whole budget, so it is not tried with every
/// rebuild: only when the home has changed, or when the last time is long enough ago.
#[derive(Debug, Default)]
pub struct Spent(Mutex<HashMap<Vec<u8>, Seen>>);

#[derive(Debug)]
struct Seen {
    stamps: Vec<Option<Stamp>>,
    cause: Trouble,
    until: Instant,
}

impl Spent {
    fn homes(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<u8>, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything is remembered of this home.
    pub fn knows(&self, path: &[u8]) -> bool {
        self.homes().contains_key(path)
    }

    /// Why this home is beyond its budget, when it still looks like that.
    pub fn of(&self, path: &[u8], stamps: &[Option<Stamp>]) -> Option<Trouble> {
        let mut homes = self.homes();
        let seen = homes.get(path)?;
        if !stamps.is_empty() && seen.stamps == stamps && Instant::now() < seen.until {
            return Some(seen.cause.clone());
        }
        homes.remove(path);
        None
    }

    /// Remembers it, and that it took so long to find out.
    pub fn add(&self, path: &[u8], stamps: Vec<Option<Stamp>>, cause: &Trouble, took: Duration) {
        let until = Instant::now() + took.saturating_mul(SHARE).min(LONGEST);
        let mut homes = self.homes();
        if homes.len() >= MAX_HOMES {
            homes.retain(|_, seen| Instant::now() < seen.until);
        }
        if homes.len() < MAX_HOMES {
            homes.insert(path.to_vec(), Seen { stamps, cause: cause.clone(), until });
        }
    }
}
