//! Groups the rows of a snapshot by domain, in the order in which they came. If there is an earlier snapshot, the rows that it
//! has too keep their place. If there is none, the first rows of each domain get their final place at once (runs.rs). All
//! other rows are collected in a file without a name, some groups of domains beside each other, and then each group is ordered.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::FileExt;
use std::panic::resume_unwind;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder};

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use nix::errno::Errno;

use super::runs::{Ended, Runs};
use super::{Extent, File, MAX_DOMAINS, Numbers, Place, Snapshot, What, damaged, of_copy};
use crate::error::Trouble;
use crate::host::mailboxes::rows::{self, Entry};
use crate::host::mailboxes::stream::MAX_FRAME;

/// The rows of so many groups of domains are collected beside each other.
const GROUPS: usize = 32;
/// So many bytes of a group stand in memory.
pub(super) const GROUP: usize = 1 << 16;
/// In so many bytes, read piece by piece, there is a whole row: none is longer than its frame.
const LONGEST: usize = MAX_FRAME + GROUP;
/// So many bytes of rows that no snapshot has any more may stand in a file, beside as many as are in use.
const MAX_UNUSED: u64 = 1 << 20;
/// More bytes than this no user database has.
const MAX_BYTES: u64 = 1 << 35;
/// More rows than this no user database has: four bytes of each stay in memory.
const MAX_ROWS: usize = 1 << 28;

/// A domain of which rows come.
struct Domain {
    /// What its rows are, and under which key they come.
    place: Arc<[u8]>,
    now: Place,
    /// Where rows are that may be its own: of an earlier snapshot, or of its run.
    before: Option<Place>,
    /// How many of its first rows are equal to the first ones at `before`.
    same: Extent,
    /// Whether they have to be written.
    is_moved: bool,
}

impl Domain {
    /// Whether its rows are all at `before`, and no others.
    fn is_same(&self) -> bool {
        self.before.is_some_and(|before| before.all == self.now.all && before.all == self.same)
    }
}

/// The rows that need not be written again.
enum Before<'s> {
    /// Those of an earlier snapshot.
    Snapshot(&'s Snapshot),
    /// The first ones of each domain, where there is no earlier one.
    Runs(Runs),
}

impl Before<'_> {
    fn file(&self) -> &Arc<File> {
        match self {
            Before::Snapshot(snapshot) => &snapshot.file,
            Before::Runs(runs) => runs.file(),
        }
    }

    fn end(&self) -> u64 {
        match self {
            Before::Snapshot(snapshot) => snapshot.end,
            Before::Runs(runs) => runs.end(),
        }
    }

    fn marks(&self) -> &[u32] {
        match self {
            Before::Snapshot(snapshot) => &snapshot.marks,
            Before::Runs(runs) => runs.marks(),
        }
    }

    /// Notes that they are not those that were written: the next snapshot takes none of them.
    fn note_damage(&self) -> Trouble {
        if let Before::Snapshot(snapshot) = self {
            snapshot.is_damaged.store(true, Ordering::Relaxed);
        }
        damaged()
    }
}

/// Groups rows by domain.
pub(super) struct Grouping<'s> {
    seed: SeedableRandomState,
    before: Before<'s>,
    numbers: Numbers,
    /// The domain of the last row.
    last: u32,
    /// By number.
    domains: Vec<Domain>,
    /// The rows that are in no file yet, each behind its domain's number and its mark, in the group of the number.
    waiting: Vec<Vec<u8>>,
    /// The rows before them.
    spool: File,
    spooled: u64,
    /// Where in the spool those of each group are.
    pieces: Vec<Vec<(u64, usize)>>,
    /// What the domain of a row is looked up by.
    place: Vec<u8>,
}

impl<'s> Grouping<'s> {
    pub(super) fn new(
        file: &mut dyn FnMut() -> Result<File, Trouble>,
        seed: &RandomState,
        before: Option<&'s Snapshot>,
    ) -> Result<Grouping<'s>, Trouble> {
        // Two numbers are made of each row, and those of the standard library take several times as long.
        let seed = SeedableRandomState::with_seed(seed.hash_one("rows"), SharedSeed::global_random());
        Ok(Grouping {
            numbers: HashMap::with_hasher(seed.clone()),
            last: 0,
            seed,
            before: match before.filter(|before| !before.is_damaged.load(Ordering::Relaxed)) {
                Some(before) => Before::Snapshot(before),
                None => Before::Runs(Runs::new(file()?)),
            },
            domains: Vec::new(),
            waiting: vec![Vec::new(); GROUPS],
            spool: file()?,
            spooled: 0,
            pieces: vec![Vec::new(); GROUPS],
            place: Vec::new(),
        })
    }

    /// The number of the domain that has rows under this key.
    fn number(&mut self, what: What, key: &[u8]) -> Result<u32, Trouble> {
        let is_its = |number: &u32| {
            let place = self.domains.get(*number as usize).and_then(|domain| domain.place.split_first());
            place.is_some_and(|(its, of)| *its == what as u8 && of == key)
        };
        // Servers send the rows of a domain one after the other, or the domains of a name in their order: then none is looked up.
        let near = [self.last, self.last + 1].into_iter().find(is_its);
        let number = match near {
            Some(number) => number,
            None => self.look_up(what, key)?,
        };
        self.last = number;
        Ok(number)
    }

    fn look_up(&mut self, what: What, key: &[u8]) -> Result<u32, Trouble> {
        self.place.clear();
        self.place.push(what as u8);
        self.place.extend_from_slice(key);
        if let Some(number) = self.numbers.get(&self.place[..]) {
            return Ok(*number);
        }
        if self.domains.len() == MAX_DOMAINS {
            return Err(format!("it has rows of more than {MAX_DOMAINS} domains").into());
        }
        let number = self.domains.len() as u32;
        let before = match &self.before {
            Before::Snapshot(snapshot) => snapshot.place(&self.place).copied(),
            Before::Runs(_) => None,
        };
        let place: Arc<[u8]> = self.place[..].into();
        self.numbers.insert(Arc::clone(&place), number);
        self.domains.push(Domain { place, now: Place::default(), before, same: Extent::default(), is_moved: false });
        Ok(number)
    }

    /// Adds a row. It waits to be written, unless it has its place already.
    pub(super) fn add(&mut self, (what, key): (What, &[u8]), row: Entry<'_>) -> Result<(), Trouble> {
        let number = self.number(what, key)?;
        let is_in_run = self.is_in_run(number)?;
        let Domain { now, before, same, .. } = &mut self.domains[number as usize];
        let are_same = now.all == *same;
        now.all.rows += 1;
        now.all.length += row.len() as u64;
        now.all.print = self.seed.hash_one((now.all.print, row));
        let mark = now.all.print as u32;
        if let Before::Runs(runs) = &mut self.before
            && is_in_run
        {
            *same = now.all;
            runs.add(row, mark, now.all).map_err(of_copy)?;
            return if runs.end() > MAX_BYTES || runs.marks().len() > MAX_ROWS { Err(too_many()) } else { Ok(()) };
        }
        let place = before.filter(|before| are_same && same.rows < before.all.rows);
        let of_before = place.and_then(|place| self.before.marks().get(place.marks + same.rows));
        if of_before == Some(&mark) {
            *same = now.all;
            return Ok(());
        }
        self.wait(number, mark, row)
    }

    /// Whether the next row of this domain belongs to its run, which begins with its first row and ends with the next row of
    /// another domain.
    fn is_in_run(&mut self, number: u32) -> Result<bool, Trouble> {
        let Before::Runs(runs) = &mut self.before else { return Ok(false) };
        if runs.is_of(number) {
            return Ok(true);
        }
        let ended = runs.finish();
        let is_first = self.domains[number as usize].now.all.rows == 0;
        if is_first {
            runs.begin(number);
        }
        self.settle(ended)?;
        Ok(is_first)
    }

    /// Remembers the place of a run. The rows of a short one wait like others.
    fn settle(&mut self, ended: Option<Ended>) -> Result<(), Trouble> {
        match ended {
            None => {}
            Some(Ended::Placed(number, place)) => self.domains[number as usize].before = Some(place),
            Some(Ended::Short(number, rows, marks)) => {
                self.domains[number as usize].same = Extent::default();
                for (row, mark) in rows::each(&rows).zip(marks) {
                    self.wait(number, mark, row)?;
                }
            }
        }
        Ok(())
    }

    fn wait(&mut self, number: u32, mark: u32, row: Entry<'_>) -> Result<(), Trouble> {
        let group = number as usize % GROUPS;
        let waiting = &mut self.waiting[group];
        if waiting.len() + rows::MARKED + row.len() > GROUP && !waiting.is_empty() {
            self.spool.write_all_at(waiting, self.spooled).map_err(of_copy)?;
            self.pieces[group].push((self.spooled, waiting.len()));
            self.spooled += waiting.len() as u64;
            waiting.clear();
        }
        if waiting.capacity() == 0 {
            waiting.reserve_exact(GROUP);
        }
        waiting.extend_from_slice(&number.to_le_bytes());
        waiting.extend_from_slice(&mark.to_le_bytes());
        row.add_to(waiting);
        if self.spooled > MAX_BYTES { Err(too_many()) } else { Ok(()) }
    }

    /// Writes each domain's rows beside each other, in the order in which they came. The rows of a domain that are beside each
    /// other already keep their place, as long as that file does not hold too much that is of no use any more.
    pub(super) fn write(mut self, file: &mut dyn FnMut() -> Result<File, Trouble>) -> Result<Written, Trouble> {
        if let Before::Runs(runs) = &mut self.before {
            let ended = runs.finish();
            runs.write().map_err(of_copy)?;
            self.settle(ended)?;
        }
        let (mut all, mut new, mut rows) = (0, 0, 0);
        // The marks of each group stand beside each other.
        let mut of_groups = [0; GROUPS];
        for (group, of_group) in of_groups.iter_mut().enumerate() {
            let before = rows;
            for domain in self.domains.iter_mut().skip(group).step_by(GROUPS) {
                domain.now.marks = rows;
                rows += domain.now.all.rows;
                all += domain.now.all.length;
                new += if domain.is_same() { 0 } else { domain.now.all.length };
            }
            *of_group = rows - before;
        }
        let goes_on = self.before.end() + new <= 2 * all + MAX_UNUSED;
        let (file, mut end) = match goes_on {
            true => (Arc::clone(self.before.file()), self.before.end()),
            false => (Arc::new(file()?), 0),
        };
        if rows > MAX_ROWS {
            return Err(too_many());
        }
        let mut marks = Vec::new();
        marks.try_reserve_exact(rows).map_err(|_| Errno::ENOMEM)?;
        marks.resize(rows, 0);
        for group in 0..GROUPS {
            for domain in self.domains.iter_mut().skip(group).step_by(GROUPS) {
                let (before, same) = (domain.before.unwrap_or_default(), domain.same.rows);
                marks[domain.now.marks..][..same].copy_from_slice(&self.before.marks()[before.marks..][..same]);
                domain.is_moved = !goes_on || !domain.is_same();
                domain.now.start = if domain.is_moved { end } else { before.start };
                end += if domain.is_moved { domain.now.all.length } else { 0 };
            }
        }
        if let Before::Runs(runs) = &mut self.before {
            runs.forget_marks();
        }
        self.order_all(&file, &mut marks, &of_groups).map_err(of_copy)?;
        let places = self.domains.into_iter().map(|domain| domain.now).collect();
        Ok(Written { numbers: self.numbers, places, marks, file, end })
    }

    /// Adds the first rows of a domain, which are at `before` already, to those that wait.
    fn add_same(&self, domain: &Domain, waiting: &mut Waiting, file: &File) -> Result<(), Trouble> {
        let (start, same) = (domain.before.unwrap_or_default().start, domain.same);
        let (mut at, mut print, mut bytes) = (0, 0, Vec::new());
        while at < same.length {
            // The rest of a row is in front of what follows.
            let rest = bytes.len();
            let length = usize::try_from(same.length - at).map_or(GROUP, |length| length.min(GROUP));
            bytes.resize(rest + length, 0);
            self.before.file().read_exact_at(&mut bytes[rest..], start + at)?;
            at += length as u64;
            let mut whole = 0;
            for row in rows::each(&bytes) {
                print = self.seed.hash_one((print, row));
                whole += row.len();
            }
            if whole == 0 && bytes.len() > LONGEST {
                return Err(self.before.note_damage());
            }
            waiting.add(&bytes[..whole], file)?;
            bytes.drain(..whole);
        }
        // Only half of each of their numbers was compared.
        if print == same.print { Ok(()) } else { Err(self.before.note_damage()) }
    }

    /// Orders each group, two at the same time. These are how many marks each group has.
    fn order_all(&self, file: &File, mut marks: &mut [u32], of_groups: &[usize]) -> Result<(), Trouble> {
        let mut groups = Vec::new();
        for (group, of_group) in of_groups.iter().enumerate() {
            let (its, others) = marks.split_at_mut(*of_group);
            groups.push((group, its));
            marks = others;
        }
        let groups = Mutex::new(groups);
        let order = || -> Result<(), Trouble> {
            loop {
                let next = groups.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let Some((group, marks)) = next else { return Ok(()) };
                self.order(group, file, marks)?;
            }
        };
        thread::scope(|scope| {
            // Few rows are ordered before another thread begins; and without one this thread orders all.
            let is_much = self.spooled > 0;
            let other = is_much.then(|| Builder::new().spawn_scoped(scope, order).ok()).flatten();
            let own = order();
            let other = other.map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
            own.and(other.unwrap_or(Ok(())))
        })
    }

    /// Writes the rows of the domains of a group that are moved to their places in the file, and keeps their marks.
    fn order(&self, group: usize, file: &File, marks: &mut [u32]) -> Result<(), Trouble> {
        let of_group = || self.domains.iter().skip(group).step_by(GROUPS);
        let first = of_group().next().map_or(0, |domain| domain.now.marks);
        let mut all = Vec::new();
        for domain in of_group() {
            let now = domain.now;
            let length = usize::try_from(now.all.length).map_or(GROUP, |length| length.min(GROUP));
            let rows = Vec::with_capacity(if domain.is_moved { length } else { 0 });
            let mut waiting = Waiting { at: now.start, marks: now.marks - first + domain.same.rows, rows };
            if domain.is_moved {
                self.add_same(domain, &mut waiting, file)?;
            }
            all.push(waiting);
        }
        let mut sort = |rows: &[u8]| -> io::Result<()> {
            for (number, mark, row) in rows::marked(rows) {
                let number = number as usize;
                let found = all.get_mut(number / GROUPS).filter(|_| number % GROUPS == group);
                if let Some((waiting, of_row)) = found.and_then(|it| marks.get_mut(it.marks).map(|mark| (it, mark))) {
                    *of_row = mark;
                    waiting.marks += 1;
                    waiting.add(row, file)?;
                }
            }
            Ok(())
        };
        let mut piece = Vec::new();
        for (at, length) in &self.pieces[group] {
            piece.resize(*length, 0);
            self.spool.read_exact_at(&mut piece, *at)?;
            sort(&piece)?;
        }
        sort(&self.waiting[group])?;
        // Small domains stand beside each other: one call writes many of them.
        let mut last = Waiting::default();
        for (Domain { now, .. }, waiting) in of_group().zip(all).filter(|(domain, _)| domain.is_moved) {
            if (waiting.end(), waiting.marks) != (now.start + now.all.length, now.marks - first + now.all.rows) {
                return Err(damaged());
            }
            if last.end() != waiting.at {
                last.write(file)?;
                last.at = waiting.at;
            }
            last.add(&waiting.rows, file)?;
        }
        Ok(last.write(file)?)
    }
}

/// Rows that wait until there are enough of them for one call.
#[derive(Default)]
struct Waiting {
    /// Where in the file they go.
    at: u64,
    /// Where the mark of the next one goes.
    marks: usize,
    rows: Vec<u8>,
}

impl Waiting {
    fn end(&self) -> u64 {
        self.at + self.rows.len() as u64
    }

    fn add(&mut self, rows: &[u8], file: &File) -> io::Result<()> {
        self.rows.extend_from_slice(rows);
        if self.rows.len() >= GROUP { self.write(file) } else { Ok(()) }
    }

    fn write(&mut self, file: &File) -> io::Result<()> {
        file.write_all_at(&self.rows, self.at)?;
        self.at = self.end();
        self.rows.clear();
        Ok(())
    }
}

/// Where a snapshot's rows are.
pub(super) struct Written {
    pub(super) numbers: Numbers,
    pub(super) places: Vec<Place>,
    pub(super) marks: Vec<u32>,
    pub(super) file: Arc<File>,
    pub(super) end: u64,
}

fn too_many() -> Trouble {
    "it has more rows than this program reads".into()
}
