//! How much one home may cost one rebuild. What its files, and the rows that a user database has of its domains, make us do
//! is counted together, whatever part of them asks for it: directories and links that are walked through, names that are
//! listed, bytes that are read, aliases that are decided. When a count passes its bound, nothing more of the home is read,
//! and all of it is kept as published.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use super::{Bounds, Stamp};
use crate::error::{Trouble, show_path};

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
    /// Directories and links that were walked through, other names that were looked at, and rows of aliases.
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
    format!("its directories, links, files, names and rows take more than the {} steps of --max-steps", bounds.steps)
}

fn too_many_bytes(bounds: &Bounds) -> String {
    format!("its files and rows hold more than the {} MiB of --max-read", bounds.bytes >> 20)
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

/// That a table would be too long with the entries of a home, in words.
pub fn too_long(table: &Path) -> String {
    format!("with all its entries {} would be longer than the 4 GiB of a cdb", show_path(table))
}

/// What is spent on a home that is beyond its budget and does not change is at most this part of the time.
const SHARE: u32 = 100;
/// Such a home is read again after so long at the earliest, and at the latest: however little it takes, the rebuild that
/// reads it makes others wait for the pause behind it.
const REST: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));
/// The same for one that changes.
const SHARE_OF_CHANGED: u32 = 20;
/// See [`SHARE_OF_CHANGED`].
const REST_OF_CHANGED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The same for one that is inside its budget and takes long.
const SHARE_OF_LARGE: u32 = 10;
/// A home takes long that takes so much time.
const LONG: Duration = Duration::from_millis(100);
/// See [`SHARE_OF_LARGE`].
const LONGEST_OF_LARGE: Duration = Duration::from_secs(10);
/// So many homes are remembered.
const MAX_HOMES: usize = 10_000;

/// The time of a processor that this thread has had: how long something takes must not depend on what else the machine does.
pub fn time_of_thread() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// The homes that take long to read, and those that are beyond their budgets. An owner who makes his home so, and changes it
/// again and again, must not take the time of others: such a home is read again only when it has not been read for many times
/// as long as that took.
#[derive(Debug, Default)]
pub struct Resting(Mutex<HashMap<Vec<u8>, Seen>>);

#[derive(Debug)]
struct Seen {
    /// What stat(2) said of it, and why it is beyond its budget; `None` for a home inside it.
    beyond: Option<(Vec<Option<Stamp>>, Trouble)>,
    /// The domains that it has.
    domains: Vec<Vec<u8>>,
    /// When it was read.
    read: Instant,
    /// It is not read before, whatever changes.
    rests_until: Instant,
    /// It is not read before, when nothing changes.
    until: Instant,
    /// Whether it seems to have changed meanwhile.
    has_changed: bool,
    /// Whether somebody has to look at it when its time has come.
    is_wanted: bool,
}

impl Seen {
    fn due(&self) -> Option<Instant> {
        self.is_wanted.then_some(if self.has_changed { self.rests_until } else { self.until })
    }
}

impl Resting {
    fn homes(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<u8>, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this home was beyond its budget when it was read last.
    pub fn is_beyond(&self, path: &[u8]) -> bool {
        self.homes().get(path).is_some_and(|seen| seen.beyond.is_some())
    }

    /// How many homes are beyond their budgets.
    pub fn number_beyond(&self) -> usize {
        self.homes().values().filter(|seen| seen.beyond.is_some()).count()
    }

    /// Why this home is beyond its budget, when it was seen lately, or still looks like that.
    pub fn of(&self, path: &[u8], stamps: &[Option<Stamp>]) -> Option<Trouble> {
        let mut homes = self.homes();
        let seen = homes.get_mut(path).filter(|seen| seen.beyond.is_some())?;
        let cause = seen.why_still(stamps);
        if cause.is_none() {
            homes.remove(path);
        }
        cause
    }

    /// Whether [`Resting::of`] would say why.
    pub fn stays_beyond(&self, path: &[u8], stamps: &[Option<Stamp>]) -> bool {
        self.homes().get_mut(path).is_some_and(|seen| seen.why_still(stamps).is_some())
    }

    /// Whether a home rests that is inside its budget and has changed. It is due later.
    pub fn rests(&self, path: &[u8]) -> bool {
        let mut homes = self.homes();
        homes.get_mut(path).filter(|seen| seen.beyond.is_none()).is_some_and(Seen::is_put_off)
    }

    /// Whether nothing has to be done about a change in this home now, because it rests. It is due later.
    pub fn puts_off(&self, path: &[u8]) -> bool {
        self.homes().get_mut(path).is_some_and(Seen::is_put_off)
    }

    /// The same for a change in the home of this domain.
    pub fn puts_off_domain(&self, domain: &[u8]) -> bool {
        let mut homes = self.homes();
        let of_domain = |seen: &&mut Seen| seen.domains.iter().any(|its| its == domain);
        homes.values_mut().find(of_domain).is_some_and(Seen::is_put_off)
    }

    /// Whether a home rests that is inside its budget and was seen to change, so that the published tables are behind.
    pub fn is_any_behind(&self) -> bool {
        self.homes().values().any(|seen| seen.is_wanted && seen.beyond.is_none())
    }

    /// When the first of them is due.
    pub fn due(&self) -> Option<Instant> {
        self.homes().values().filter_map(Seen::due).min()
    }

    /// Those that are due, each once.
    pub fn take_due(&self) -> Vec<Vec<u8>> {
        let (mut homes, now) = (self.homes(), Instant::now());
        let due = homes.iter_mut().filter(|(_, seen)| seen.due().is_some_and(|due| due <= now));
        due.map(|(path, seen)| {
            seen.is_wanted = false;
            path.clone()
        })
        .collect()
    }

    /// Remembers a home that is beyond its budget, and that it took so long to find out.
    pub fn add(&self, path: &[u8], domains: Vec<Vec<u8>>, stamps: Vec<Option<Stamp>>, cause: &Trouble, took: Duration) {
        let read = Instant::now();
        let beyond = Some((stamps, cause.clone()));
        let has_changed = self.has_changed_meanwhile(path);
        let mut seen = Seen { beyond, domains, read, rests_until: read, until: read, has_changed, is_wanted: true };
        seen.takes(took);
        self.insert(path, seen);
    }

    /// Remembers that it took so long to say what is published of a home that is beyond its budget, if it is one.
    pub fn took_beyond(&self, path: &[u8], took: Duration) {
        self.homes().get_mut(path).filter(|seen| seen.beyond.is_some()).into_iter().for_each(|seen| seen.takes(took));
    }

    /// Remembers that it took so long to read a home that is inside its budget, and to ask for all its addresses.
    pub fn took(&self, path: &[u8], domains: Vec<Vec<u8>>, took: Duration) {
        let has_changed = self.has_changed_meanwhile(path);
        if took < LONG && !has_changed {
            self.homes().remove(path);
            return;
        }
        let rest = if took < LONG { Duration::ZERO } else { took.saturating_mul(SHARE_OF_LARGE).min(LONGEST_OF_LARGE) };
        let read = Instant::now();
        let (until, is_wanted) = (read + rest, has_changed);
        self.insert(path, Seen { beyond: None, domains, read, rests_until: until, until, has_changed, is_wanted });
    }

    /// Whether a change was put off that nobody has looked at: it may have come while the home was read.
    fn has_changed_meanwhile(&self, path: &[u8]) -> bool {
        self.homes().get(path).is_some_and(|seen| seen.is_wanted && seen.has_changed)
    }

    /// Forgets all: everything is read again.
    pub fn forget(&self) {
        self.homes().clear();
    }

    fn insert(&self, path: &[u8], seen: Seen) {
        let mut homes = self.homes();
        if homes.len() >= MAX_HOMES {
            homes.retain(|_, seen| Instant::now() < seen.until);
        }
        if homes.len() < MAX_HOMES {
            homes.insert(path.to_vec(), seen);
        }
    }
}

impl Seen {
    /// Lets a home that is beyond its budget, and takes so long, rest from when it was read.
    fn takes(&mut self, took: Duration) {
        let rest = |share, (shortest, longest)| self.read + took.saturating_mul(share).clamp(shortest, longest);
        self.rests_until = self.rests_until.max(rest(SHARE_OF_CHANGED, REST_OF_CHANGED));
        self.until = self.until.max(rest(SHARE, REST));
    }

    /// Why it is beyond its budget, when it need not be read now. It is due later.
    fn why_still(&mut self, stamps: &[Option<Stamp>]) -> Option<Trouble> {
        let (before, cause) = self.beyond.as_ref()?;
        // What changed inside a file is in no stamp of the directory.
        let (now, is_same) = (Instant::now(), !stamps.is_empty() && *before == stamps && !self.has_changed);
        if now >= self.rests_until && !(is_same && now < self.until) {
            return None;
        }
        let cause = cause.clone();
        self.has_changed |= !is_same;
        self.is_wanted = true;
        Some(cause)
    }

    fn is_put_off(&mut self) -> bool {
        if Instant::now() >= self.rests_until {
            return false;
        }
        (self.has_changed, self.is_wanted) = (true, true);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As if the time in which a home rests whatever changes were over.
    fn end_rest(resting: &Resting, path: &[u8]) {
        resting.homes().get_mut(path).into_iter().for_each(|seen| seen.rests_until = Instant::now());
    }

    #[test]
    fn a_change_that_was_put_off_while_the_home_was_read_is_looked_at_later() {
        let resting = Resting::default();
        let took = |took: Duration| resting.took(b"/h", vec![b"a.test".to_vec()], took);
        for then in [LONG * 2, LONG / 2] {
            took(LONG * 2);
            assert!(resting.puts_off_domain(b"a.test"), "a notice comes while another rebuild reads the home");
            took(then);
            assert!(resting.due().is_some(), "{then:?}");
            resting.forget();
        }
    }

    #[test]
    fn a_home_beyond_its_budget_that_changed_in_no_stamp_is_read_again() {
        let (resting, stamp) = (Resting::default(), Stamp::of_file(std::fs::File::open("/").unwrap()).ok());
        resting.add(b"/h", vec![b"a.test".to_vec()], vec![stamp.clone()], &"too much".into(), LONG);
        assert!(resting.puts_off(b"/h"));
        end_rest(&resting, b"/h");
        assert_eq!(resting.take_due(), [b"/h".to_vec()]);
        assert_eq!(resting.of(b"/h", &[stamp]), None);
    }

    #[test]
    fn a_home_that_takes_long_rests_and_is_due_after_it_changed() {
        let resting = Resting::default();
        let domains = || vec![b"a.test".to_vec()];
        resting.took(b"/short", Vec::new(), LONG / 2);
        assert!(!resting.puts_off(b"/short"));
        resting.took(b"/long", domains(), LONG);
        assert!(resting.due().is_none() && !resting.is_any_behind());
        assert!(resting.puts_off_domain(b"a.test") && !resting.puts_off_domain(b"b.test"));
        assert!(resting.rests(b"/long") && resting.is_any_behind());
        let due = resting.due().unwrap();
        assert!(due > Instant::now() && due <= Instant::now() + LONG * SHARE_OF_LARGE);
        assert!(resting.take_due().is_empty());
    }

    #[test]
    fn a_home_beyond_its_budget_rests_as_long_as_its_kept_entries_take_and_stays_beyond_meanwhile() {
        let (resting, stamps) = (Resting::default(), [Stamp::of_file(std::fs::File::open("/").unwrap()).ok()]);
        resting.add(b"/h", Vec::new(), stamps.to_vec(), &"too much".into(), Duration::ZERO);
        assert!(resting.stays_beyond(b"/h", &stamps));
        let shortest = resting.due().unwrap();
        assert!(shortest > Instant::now() + REST_OF_CHANGED.0, "it is not due at once");
        // Found out in no time, but what is published of it takes long to say, each time.
        resting.took_beyond(b"/h", LONG * 2);
        let due = resting.due().unwrap();
        assert!(due > shortest && due > Instant::now() + LONG * SHARE_OF_CHANGED);
        assert!(resting.stays_beyond(b"/h", &stamps));
        resting.took_beyond(b"/h", LONG * 2);
        assert_eq!(resting.due(), Some(due), "that rebuilds ask it does not put it off");
        assert!(resting.stays_beyond(b"/h", &[None]), "it looks different, and rests");
        end_rest(&resting, b"/h");
        assert!(!resting.stays_beyond(b"/h", &stamps), "it has looked different");
        resting.took(b"/large", Vec::new(), LONG);
        resting.took_beyond(b"/large", LONG * 2);
        assert!(!resting.is_beyond(b"/large") && !resting.stays_beyond(b"/large", &stamps));
    }

    #[test]
    fn a_home_beyond_its_budget_is_not_read_again_at_each_change_and_is_due_by_itself() {
        let resting = Resting::default();
        let cause = Trouble::from("too much");
        let took = LONG;
        resting.add(b"/spent", Vec::new(), Vec::new(), &cause, took);
        let is_until = |most: Duration| resting.due().unwrap() <= Instant::now() + most;
        assert!(is_until(took * SHARE) && !is_until(took * SHARE_OF_CHANGED));
        // It looks different now.
        assert_eq!(resting.of(b"/spent", &[None]), Some(cause));
        assert!(is_until(took * SHARE_OF_CHANGED) && !resting.is_any_behind());
        end_rest(&resting, b"/spent");
        assert_eq!(resting.take_due(), [b"/spent".to_vec()]);
        assert!(resting.due().is_none() && resting.take_due().is_empty());
        assert!(resting.is_beyond(b"/spent"));
        assert_eq!(resting.of(b"/spent", &[None]), None);
        assert!(!resting.is_beyond(b"/spent"));
    }
}
