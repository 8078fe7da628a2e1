//! The two published files with the records of some homes in the place of those that stood there.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::cdb::diff::Difference;
use crate::cdb::{Batch, Chunk, Edit, Extent, Piece, Record};
use crate::error::Error;
use crate::protect::{guard, hold};
use crate::publish::{Look, Published, Ready, Staged, Target};
use crate::text::split_address;

use super::TableDone;
use super::homes::Asked;
use super::incremental::Halt;
use super::length::SLOTS;
use super::memory::{Because, Known, Laid, Memory, Stretch};
use super::targets::{Stamps, Targets, both};

/// What is edited stands in memory: of more than this, in bytes, everything is laid out again.
const MOST_EDITED: usize = 16 << 20;
/// What changes in both files.
pub(super) struct Edits {
    pub recipients: Change,
    pub logins: Change,
}

/// One of the two files.
pub(super) struct Change {
    /// The published file.
    pub old: Arc<Published>,
    /// Where its records are.
    laid: Laid,
    /// What comes in the place of what, in the order of the places.
    edits: Vec<(Range<u32>, Chunk)>,
    /// How long that is, in bytes.
    edited: usize,
    /// By how much which unit's records become longer, in the order of the units.
    moves: Vec<(usize, i64)>,
    /// How many records come and go, and how many keys go.
    came: u64,
    went: u64,
    gone: u64,
    /// The domains that keep published entries, and whether any entry of theirs comes or goes.
    held: BTreeSet<Vec<u8>>,
    touches_held: bool,
}

impl Edits {
    /// Nothing yet, of the files that were published last.
    pub fn open(memory: &mut Memory, targets: &Targets) -> Result<Edits, Halt> {
        let held = hold::names(&memory.held);
        let open = |laid: Option<Laid>, (target, look): &(Target, Look)| {
            let laid = laid?;
            let old = Arc::new(laid.open(target).filter(|_| target.has(*look))?);
            let (edits, moves, held) = (Vec::new(), Vec::new(), held.clone());
            Some(Change { old, laid, edits, moves, edited: 0, came: 0, went: 0, gone: 0, held, touches_held: false })
        };
        let recipients = open(memory.recipients.take(), &targets.recipients);
        let logins = open(memory.logins.take(), &targets.logins);
        let (Some(recipients), Some(logins)) = (recipients, logins) else { return Err(Halt::Full(Because::Tables)) };
        Ok(Edits { recipients, logins })
    }

    /// Puts what came of one home in the place of what is known of it.
    pub fn put(&mut self, number: usize, asked: &Asked, memory: &Memory, targets: &Targets) -> Result<Known, Halt> {
        let before = &memory.units[number];
        let mut after = Known::new(asked, before.recipients.start.into(), before.logins.start.into(), &memory.seed);
        if memory.is_held(number) {
            let unheld = before.unheld.as_deref().unwrap_or(&before.recipients);
            let says_the_same = unheld.says_the_same(&after.recipients) && before.logins == after.logins;
            if !says_the_same || before.shared != after.shared {
                return Err(Halt::Full(Because::Held));
            }
            after.recipients.clone_from(&before.recipients);
            after.unheld.clone_from(&before.unheld);
            return Ok(after);
        }
        if after.shared != before.shared {
            return Err(Halt::Full(Because::Shared));
        }
        let of_recipients = (&before.recipients, &after.recipients, &asked.answers.records);
        self.recipients.replace(number, of_recipients, &targets.recipients)?;
        self.logins.replace(number, (&before.logins, &after.logins, &asked.logins), &targets.logins)?;
        Ok(after)
    }

    /// Puts these logins of system accounts in the place of those behind the logins of all homes.
    pub fn put_last_logins(&mut self, logins: Chunk, memory: &Memory, targets: &Targets) -> Result<Stretch, Halt> {
        let logins = logins.into();
        let after = Stretch::new(memory.last_logins.start.into(), &logins, &memory.seed);
        if !memory.held.is_empty() && after != memory.last_logins {
            return Err(Halt::Full(Because::Held));
        }
        self.logins.replace(memory.units.len(), (&memory.last_logins, &after, &logins), &targets.logins)?;
        Ok(after)
    }

    /// What the guard may hold, it has to weigh; and a table of more than `most` bytes has to leave out a home.
    pub fn are_small(&self, most: u64) -> Result<(), Halt> {
        if self.recipients.is_too_long(most) || self.logins.is_too_long(most) {
            return Err(Halt::Full(Because::Large));
        }
        let is_large = self.recipients.went + self.logins.gone >= guard::LEAST_TOGETHER;
        if is_large { Err(Halt::Full(Because::Loss)) } else { Ok(()) }
    }

    /// Publishes both files, and remembers where everything stands now.
    pub fn publish(
        mut self,
        memory: &mut Memory,
        (fresh, last_logins): (HashMap<usize, Known>, Stretch),
        targets: &Targets,
    ) -> Result<((TableDone, TableDone), Stamps), Halt> {
        let moved = [&mut self.recipients, &mut self.logins].map(|change| std::mem::take(&mut change.moves));
        let Edits { recipients, logins } = self;
        // Other threads are not seen to wait for a file system that does not answer.
        let staged = (recipients.stage(&targets.recipients)?, logins.stage(&targets.logins)?);
        let written =
            both(|| recipients.write(staged.0, &targets.recipients.0), || logins.write(staged.1, &targets.logins.0))?;
        let ((mut recipients, recipients_laid), (mut logins, logins_laid)) = written;
        let places = (recipients.take_places(), logins.take_places());
        let (done, stamps) = targets.publish(recipients, logins).map_err(Halt::Failed)?;
        memory.recipients = recipients_laid.or_else(|| Laid::of(stamps.0, places.0));
        memory.logins = logins_laid.or_else(|| Laid::of(stamps.1, places.1));
        for (number, known) in fresh {
            memory.units[number] = known;
        }
        memory.last_logins = last_logins;
        shift(memory.units.iter_mut().map(|known| &mut known.recipients), &moved[0]);
        let stretches = memory.units.iter_mut().map(|known| &mut known.logins);
        shift(stretches.chain([&mut memory.last_logins]), &moved[1]);
        Ok((done, [&memory.recipients, &memory.logins].map(|laid| laid.as_ref().map(|laid| laid.stamp.clone())).into()))
    }
}

/// What changes in the records of one chunk, wherever they stand.
struct Changed {
    /// Those in front of what goes, and those that go.
    stays: Extent,
    goes: Extent,
    /// Those that come in their place.
    comes: Chunk,
    /// How many records come and go, and how many keys go.
    came: u64,
    went: u64,
    gone: u64,
}

impl Changed {
    /// `None` when nothing does.
    fn between(old: &Chunk, new: &Chunk) -> Option<Changed> {
        let (first, last) = new.in_common(old);
        let (goes, comes) = (old.part(first..old.len() - last), new.part(first..new.len() - last));
        if goes.is_empty() && comes.is_empty() {
            return None;
        }
        fn row(chunk: &Chunk) -> HashMap<&[u8], &[u8]> {
            chunk.records().map(|Record { key, data }| (key, data)).collect()
        }
        let (before, after) = (row(&goes), row(&comes));
        let missing = |from: &HashMap<&[u8], &[u8]>, other: &HashMap<&[u8], &[u8]>| {
            from.iter().filter(|(key, data)| other.get(*key) != Some(data)).count() as u64
        };
        let (came, went) = (missing(&after, &before), missing(&before, &after));
        let gone = before.keys().filter(|key| !after.contains_key(*key)).count() as u64;
        let stays = Extent::of(&old.part(0..first));
        Some(Changed { stays, goes: Extent::of(&goes), came, went, gone, comes })
    }
}

impl Change {
    /// Puts the new records of a unit in the place of the old ones: only what differs from them, for each name that has
    /// records alike.
    ///
    /// # Errors
    /// The published file cannot be read; it cannot be done, or is so much that everything should be asked.
    fn replace(
        &mut self,
        unit: usize,
        records: (&Stretch, &Stretch, &Batch),
        (target, _): &(Target, Look),
    ) -> Result<(), Halt> {
        let unread = |cause| Error::io("read", &target.name, cause);
        let is_done = self.try_to_replace(unit, records).map_err(unread)?;
        // What a held domain keeps stands in one place, whichever homes its entries come from.
        if self.touches_held {
            return Err(Halt::Full(Because::Held));
        }
        if is_done { Ok(()) } else { Err(Halt::Full(Because::Large)) }
    }

    fn try_to_replace(
        &mut self,
        unit: usize,
        (before, after, records): (&Stretch, &Stretch, &Batch),
    ) -> io::Result<bool> {
        if before == after {
            return Ok(true);
        }
        if !after.has_the_pieces_of(before) {
            return Ok(false);
        }
        self.moves.push((unit, i64::from(after.length) - i64::from(before.length)));
        let mut changed: BTreeMap<usize, Option<Changed>> = BTreeMap::new();
        let mut start = before.start;
        for Piece { chunk, frame } in records.pieces() {
            let (Some(extent), Some(new)) = (before.extent(*chunk), records.chunks().get(*chunk)) else {
                return Ok(false);
            };
            let frame = frame.as_ref();
            // Cannot be cut, because they stand in a file that is no longer.
            let length = |extent: Extent| extent.within(frame) as u32;
            let changed = match changed.entry(*chunk) {
                Entry::Occupied(found) => found.into_mut(),
                Entry::Vacant(place) => {
                    let old = self.old.records(start..start + length(extent))?;
                    let old = match frame {
                        Some(frame) => frame.take_out(&old).filter(|old| Extent::of(old) == extent),
                        None => Some(old),
                    };
                    // They are not what is remembered of them.
                    let Some(old) = old else { return Ok(false) };
                    place.insert(Changed::between(&old, new))
                }
            };
            if let Some(Changed { stays, goes, comes, came, went, gone }) = changed {
                let from = start + length(*stays);
                let range = from..from + length(*goes);
                let mut records = Chunk::default();
                match frame {
                    Some(frame) => frame.put_into(comes, &mut records),
                    None => records = std::mem::take(comes),
                }
                if !self.held.is_empty() {
                    let goes = self.old.records(range.clone())?;
                    let mut both = goes.records().chain(records.records());
                    self.touches_held |= both.any(|record| self.is_held(record.key));
                }
                self.edited += records.size();
                self.edits.push((range, records));
                self.came += *came;
                self.went += *went;
                self.gone += *gone;
                if self.edited > MOST_EDITED {
                    return Ok(false);
                }
            }
            start += length(extent);
        }
        Ok(true)
    }

    /// Whether a key is one of a held domain, or may be.
    fn is_held(&self, key: &[u8]) -> bool {
        split_address(key).is_none_or(|(_, domain)| self.held.contains(domain))
    }

    /// Whether the new file would be longer than so many bytes.
    fn is_too_long(&self, most: u64) -> bool {
        let moved: i64 = self.moves.iter().map(|(_, more)| *more).sum();
        let records = (self.laid.places.records() + self.came).saturating_sub(self.went);
        u64::from(self.laid.places.end()).saturating_add_signed(moved) + records * SLOTS > most
    }

    /// Begins the new file; there is none when nothing changed.
    fn stage(&self, (target, look): &(Target, Look)) -> Result<Option<Staged>, Error> {
        if self.edits.is_empty() {
            return Ok(None);
        }
        target.remove_litter()?;
        Staged::create(target, *look).map(Some)
    }

    /// Writes the new file; when nothing changed, the published one is right, and where its records are stays true.
    fn write(self, staged: Option<Staged>, target: &Target) -> Result<(Ready, Option<Laid>), Error> {
        let Some(mut staged) = staged else {
            return Ok((Ready::unchanged(target, self.laid.places.records()), Some(self.laid)));
        };
        let edits: Vec<Edit<'_>> =
            self.edits.iter().map(|(range, records)| Edit { range: range.clone(), records }).collect();
        staged.add_edited(&self.old, self.laid.places, &edits)?;
        Ok((staged.finish_as(Difference::counted(self.came, self.went))?, None))
    }
}

/// Moves the stretches of the units behind those that became longer or shorter.
fn shift<'k>(stretches: impl Iterator<Item = &'k mut Stretch>, moves: &[(usize, i64)]) {
    let (mut moved, mut moves) = (0, moves.iter().peekable());
    for (unit, stretch) in stretches.enumerate() {
        while let Some((_, more)) = moves.next_if(|(before, _)| *before < unit) {
            moved += more;
        }
        // Cannot be cut, because the writer refuses what is longer.
        stretch.start = (i64::from(stretch.start) + moved) as u32;
    }
}
