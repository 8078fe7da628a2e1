//! The story of a rebuild that does not begin anew: what nobody touched is taken from the published files. Its result is
//! what a rebuild of everything would publish, byte for byte.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::cdb::diff::Difference;
use crate::cdb::{Batch, Chunk, Edit, Extent, Piece, Record};
use crate::error::{Denied, Error};
use crate::fs::failures::Mark;
use crate::host::Host;
use crate::host::accounts::read_shadow;
use crate::host::compilers::Compiler;
use crate::os::confine;
use crate::protect::guard;
use crate::protect::hold::{self, Held, Patience};
use crate::publish::{Before, Look, Published, Ready, Staged, Target};
use crate::report::{self, Note};
use crate::settings::Settings;
use crate::tables::logins::Policy;

use super::homes::{Asked, HomeReader, Unread, ask};
use super::memory::{Because, Known, Laid, Memory, Scope, Stretch};
use super::workers::Workers;
use super::{
    Done, HomesRead, Order, Targets, add_system_users, as_kept, default_unknown, now, read_host, retained, stays,
};

/// What is edited stands in memory: of more than this, in bytes, everything is laid out again.
const MOST_EDITED: usize = 16 << 20;
/// A thread looks at so many homes before it takes the next ones.
const HOMES_A_LOOK: usize = 16;

/// What came of it.
pub enum Again {
    /// Both files are right.
    Done(Box<Done>, Box<Memory>),
    /// Everything has to be read again.
    Anew(Because),
}

/// One of the two files.
struct Change {
    /// The published file.
    old: Arc<Published>,
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
}

/// Rebuilds by what is remembered.
///
/// # Errors
/// As [`crate::rebuild::rebuild`].
pub(super) fn rebuild(
    settings: &Settings,
    order: &Order<'_>,
    scope: &Scope,
    targets: &Targets,
    mut memory: Box<Memory>,
    found: &dyn Fn(&Host, bool),
) -> Result<Again, Error> {
    // What a user database says is in no look of a home.
    let is_in_database = memory.host.build.users.snapshot().is_some();
    if is_in_database {
        return Ok(Again::Anew(Because::Database));
    }
    let is_over = |held: &Held| matches!(order.patience, Patience::Until(time) if held.let_go_in(time).is_zero());
    // What is held was read a moment ago; another process that changes it changes the tables too.
    let is_held_otherwise = (memory.held.is_empty() || *scope == Scope::All)
        && hold::held_before(settings).map_err(stays)? != hold::names(&memory.held);
    if order.patience == Patience::Force
        || !order.let_go.is_empty()
        || memory.held.iter().any(is_over)
        || is_held_otherwise
    {
        return Ok(Again::Anew(Because::Held));
    }
    let mark = Mark::now();
    let (mut notes, mut scope) = (Vec::new(), scope);
    if let Scope::Some { domains, .. } = scope
        && domains.iter().any(|domain| memory.host.assignments.vpopmail_domain(domain).is_none())
    {
        scope = &Scope::All;
    }
    let mut behind = Vec::new();
    if *scope == Scope::All {
        let mut host = read_host(settings, &mut notes).map_err(stays)?;
        if let (Err(cause), true) = (&host.default_domain, memory.is_default_unknown) {
            let stays = memory.host.default_domain.clone();
            notes.extend(default_unknown(cause, stays.as_ref().ok().and_then(Option::as_deref)));
            host.default_domain = stays;
        }
        behind = Compiler::due_of(&host, &hold::names(&memory.held));
        let is_the_same = host.says_the_same(&memory.host);
        let host = Arc::new(host);
        if !is_the_same
            || host.read_authvars() != *memory.variables
            || confine::folders(&host).map_err(stays)? != memory.folders
        {
            return Ok(Again::Anew(Because::Host));
        }
        found(&host, false);
    }
    let open = |laid: Option<Laid>, (target, look): &(Target, Look)| {
        let laid = laid?;
        let old = laid.open(target).filter(|_| target.has(*look))?;
        let old = Arc::new(old);
        Some(Change { old, laid, edits: Vec::new(), moves: Vec::new(), edited: 0, came: 0, went: 0, gone: 0 })
    };
    let (Some(mut recipients), Some(mut logins)) =
        (open(memory.recipients.take(), &targets.recipients), open(memory.logins.take(), &targets.logins))
    else {
        return Ok(Again::Anew(Because::Tables));
    };
    let now = now();
    let hashes = settings
        .auth_system_users
        .then(|| read_shadow(&settings.layout.root, now / 86_400))
        .transpose()
        .map_err(stays)?;
    // A clock that was set back: what had expired has not yet.
    if now < std::mem::replace(&mut memory.now, now) {
        return Ok(Again::Anew(Because::Clock));
    }
    let (asked, unconfined, returned) = changed(settings, *memory, scope, (&recipients.old, &logins.old), now)?;
    notes.extend(unconfined);
    mark.system().map_err(stays)?;
    // Everything has to be read again, because nobody knows what could not be read.
    if mark.storage_failed() {
        return Ok(Again::Anew(Because::Storage));
    }
    // What waits for what does not answer may still look at it.
    let Some(returned) = returned else { return Ok(Again::Anew(Because::Silence)) };
    let asked = match asked {
        Ok(asked) => asked,
        Err(because) => return Ok(Again::Anew(because)),
    };
    *memory = returned;
    let kept_logins = memory.variables.unusable().map(|_| logins.old.clone());
    let policy = Policy::new(&memory.host, &memory.variables, now).keeping(as_kept(kept_logins.as_ref()));
    let mut fresh: HashMap<usize, Known> = HashMap::new();
    for (number, asked) in asked {
        let before = &memory.units[number];
        let mut after = Known::new(&asked, before.recipients.start.into(), before.logins.start.into(), &memory.seed);
        if memory.is_held(number) {
            let unheld = before.unheld.as_deref().unwrap_or(&before.recipients);
            if !unheld.says_the_same(&after.recipients)
                || before.logins != after.logins
                || before.shared != after.shared
            {
                return Ok(Again::Anew(Because::Held));
            }
            after.recipients.clone_from(&before.recipients);
            after.unheld.clone_from(&before.unheld);
            fresh.insert(number, after);
            continue;
        }
        if after.shared != before.shared || asked.answers.is_doubtful() {
            return Ok(Again::Anew(Because::Shared));
        }
        let of_recipients = (&before.recipients, &after.recipients, &asked.answers.records);
        let of_logins = (&before.logins, &after.logins, &asked.logins);
        if !recipients.replace(number, of_recipients).map_err(unread(&targets.recipients))?
            || !logins.replace(number, of_logins).map_err(unread(&targets.logins))?
        {
            return Ok(Again::Anew(Because::Large));
        }
        fresh.insert(number, after);
    }
    let read = fresh.len();
    let known = |number: usize| fresh.get(&number).unwrap_or(&memory.units[number]);
    let all = || (0..memory.units.len()).map(known);
    let mut last = Chunk::default();
    let bare: BTreeSet<&Vec<u8>> = all().flat_map(|known| &known.bare).collect();
    add_system_users(&mut last, &policy, &memory.host, hashes.as_ref(), &|name| bare.contains(name));
    let last = last.into();
    let last_after = Stretch::new(memory.last_logins.start.into(), &last, &memory.seed);
    if !memory.held.is_empty() && last_after != memory.last_logins {
        return Ok(Again::Anew(Because::Held));
    }
    let of_last = (&memory.last_logins, &last_after, &last);
    if !logins.replace(memory.units.len(), of_last).map_err(unread(&targets.logins))? {
        return Ok(Again::Anew(Because::Large));
    }
    all().for_each(|known| policy.expires(known.expiry));
    let next_expiry = policy.next_expiry();
    let kept = |known: &mut dyn Iterator<Item = &Known>| {
        let mut unread = Unread::default();
        known.filter_map(|known| known.unread.as_ref()).for_each(|of_home| unread.add(of_home));
        unread.kept(&memory.host, &memory.variables, memory.unknown)
    };
    let (all_kept, told) = match scope {
        Scope::All => {
            notes.extend(all().flat_map(|known| &known.notes).chain(&memory.notes).cloned());
            let kept = kept(&mut all());
            (kept.clone(), kept)
        }
        Scope::Some { .. } => {
            notes.extend(fresh.values().flat_map(|known| &known.notes).cloned());
            (kept(&mut all()), kept(&mut fresh.values()))
        }
    };
    notes
        .extend(told.into_iter().filter(|kept| kept.unusable.is_none() || *scope == Scope::All).map(|kept| kept.alert));
    // What the guard may hold, it has to weigh.
    if recipients.went + logins.gone >= guard::LEAST_TOGETHER {
        return Ok(Again::Anew(Because::Loss));
    }
    if *scope == Scope::All {
        report::say_all(&memory.held_alerts);
    }
    (order.note)(&notes);
    let moved = [&mut recipients, &mut logins].map(|change| std::mem::take(&mut change.moves));
    let (mut recipients, recipients_laid) = recipients.write(&targets.recipients).map_err(stays)?;
    let (mut logins, logins_laid) = logins.write(&targets.logins).map_err(stays)?;
    let places = (recipients.take_places(), logins.take_places());
    let ((recipients, logins), stamps) = targets.publish(recipients, logins)?;
    memory.recipients = recipients_laid.or_else(|| Laid::of(stamps.0, places.0));
    memory.logins = logins_laid.or_else(|| Laid::of(stamps.1, places.1));
    // Where everything stands now.
    for (number, known) in fresh {
        memory.units[number] = known;
    }
    memory.last_logins = last_after;
    shift(memory.units.iter_mut().map(|known| &mut known.recipients), &moved[0]);
    let stretches = memory.units.iter_mut().map(|known| &mut known.logins);
    shift(stretches.chain([&mut memory.last_logins]), &moved[1]);
    let done = Done {
        recipients,
        logins,
        next_expiry,
        duration: Duration::ZERO,
        held: memory.held.clone(),
        kept: all_kept,
        denied: Denied::default(),
        behind,
        host: memory.host.clone(),
        host_read: *scope == Scope::All,
        homes: Some(HomesRead { read, all: memory.units.len(), because: None }),
        stamps: [&memory.recipients, &memory.logins].map(|laid| laid.as_ref().map(|laid| laid.stamp.clone())).into(),
        is_again_soon: false,
    };
    Ok(Again::Done(Box::new(done), memory))
}

/// The units that have to be looked at: those of the scope, and those of which a login has expired.
fn wanted(memory: &Memory, scope: &Scope, policy: &Policy<'_>) -> Vec<usize> {
    let Scope::Some { homes, domains } = scope else { return (0..memory.units.len()).collect() };
    let mut homes: BTreeSet<&[u8]> = homes.iter().map(Vec::as_slice).collect();
    let lines = domains.iter().filter_map(|domain| memory.host.assignments.vpopmail_domain(domain));
    homes.extend(lines.map(|line| &line.home[..]));
    let touched = |number: &usize| {
        let (unit, known) = (&memory.plan.units[*number], &memory.units[*number]);
        unit.home.iter().chain(&known.others).any(|home| homes.contains(&home[..]))
            || known.expiry.is_some_and(|expiry| policy.is_over(expiry))
    };
    (0..memory.units.len()).filter(touched).collect()
}

/// What came of looking at the units, whether that was confined, and the memory again.
type Looked = (Result<Vec<(usize, Asked)>, Because>, Option<Note>, Option<Memory>);

/// Looks at the units of the scope, and asks those that changed; or says why everything has to be asked.
fn changed(
    settings: &Settings,
    memory: Memory,
    scope: &Scope,
    (recipients, logins): (&Arc<Published>, &Arc<Published>),
    now: u64,
) -> Result<Looked, Error> {
    let (workers, folders) = (Workers::new(settings), memory.folders.clone());
    let wanted = wanted(&memory, scope, &Policy::new(&memory.host, &memory.variables, now));
    let before = Before { file: Some(logins.clone()), ..Before::default() };
    let of_recipients = Before { file: Some(recipients.clone()), ..Before::default() };
    let kept_from =
        (retained(settings, &memory.host, (&of_recipients, &before)), (Some(recipients.clone()), Some(logins.clone())));
    let homes = HomeReader::keeping(&memory.host, &before, kept_from, settings.threads(), Some(memory.seed.clone()));
    // Accounts that qmail-getpw passes over depend on another home, that of alias.
    let entangled = wanted.iter().any(|number| !memory.units[*number].others.is_empty());
    let by_home: HashMap<Vec<u8>, usize> = (0..memory.units.len())
        .filter(|_| entangled)
        .filter_map(|number| Some((memory.plan.units[number].home.clone()?, number)))
        .collect();
    let looking = Arc::new(Looking { memory, wanted, by_home, homes, logins: Some(logins.clone()), now });
    let own = looking.clone();
    let (asked, unconfined) =
        confine::attempt(&settings.layout.root, folders, move || Looking::changed(&own, &workers))?;
    Ok((asked?, unconfined, Arc::into_inner(looking).map(|looking| looking.memory)))
}

/// What a thread needs that looks at the units.
struct Looking {
    memory: Memory,
    wanted: Vec<usize>,
    by_home: HashMap<Vec<u8>, usize>,
    homes: HomeReader,
    /// The published logins.
    logins: Option<Arc<Published>>,
    now: u64,
}

impl Looking {
    fn changed(looking: &Arc<Looking>, workers: &Workers) -> Result<Result<Vec<(usize, Asked)>, Because>, Error> {
        let memory = &looking.memory;
        let chunks = looking.wanted.len().div_ceil(HOMES_A_LOOK);
        let own = looking.clone();
        let looked = move |chunk: usize| own.changed_of(own.wanted.chunks(HOMES_A_LOOK).nth(chunk).unwrap_or_default());
        let numbers: Vec<usize> = workers.map(0..chunks, looked)?.concat();
        if numbers.iter().any(|number| *number < memory.plan.shared) {
            return Ok(Err(Because::Shared));
        }
        if numbers.len() > 64.max(memory.units.len() / 4) {
            return Ok(Err(Because::Many));
        }
        let own = looking.clone();
        let asked = workers.map(0..numbers.len(), move |at| (numbers[at], own.ask(numbers[at])))?;
        looking.homes.all_retained()?;
        Ok(Ok(asked))
    }

    /// Those of the numbers whose units changed.
    fn changed_of(&self, numbers: &[usize]) -> Vec<usize> {
        let policy = Policy::new(&self.memory.host, &self.memory.variables, self.now);
        let is_due = |number: usize| self.memory.units[number].expiry.is_some_and(|expiry| policy.is_over(expiry));
        numbers.iter().copied().filter(|number| is_due(*number) || self.is_changed(*number)).collect()
    }

    fn is_changed(&self, number: usize) -> bool {
        let is_same = |home: &Vec<u8>| self.by_home.get(home).is_some_and(|number| self.looks_the_same(*number));
        self.memory.plan.units[number].home.is_some()
            && !(self.looks_the_same(number) && self.memory.units[number].others.iter().all(is_same))
    }

    fn looks_the_same(&self, number: usize) -> bool {
        let look = self.memory.units[number].look.as_ref().zip(self.memory.plan.units[number].home.as_ref());
        look.is_some_and(|(look, home)| self.homes.looks_like(home, look))
    }

    fn ask(&self, number: usize) -> Asked {
        let Looking { memory, homes, .. } = self;
        let kept_logins = memory.variables.unusable().and(self.logins.as_ref());
        let policy = Policy::new(&memory.host, &memory.variables, self.now).keeping(as_kept(kept_logins));
        ask(&memory.plan, &policy, &memory.plan.units[number], homes, &memory.common)
    }
}

/// The error that a published file is which cannot be read.
fn unread((target, _): &(Target, Look)) -> impl Fn(io::Error) -> Error {
    |cause| stays(Error::io("read", &target.name, cause))
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
    /// records alike. False when that cannot be done, or is so much that everything should be asked.
    ///
    /// # Errors
    /// The published file cannot be read.
    fn replace(&mut self, unit: usize, (before, after, records): (&Stretch, &Stretch, &Batch)) -> io::Result<bool> {
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

    /// Writes the new file; when nothing changed, the published one is right, and where its records are stays true.
    fn write(self, (target, look): &(Target, Look)) -> Result<(Ready, Option<Laid>), Error> {
        if self.edits.is_empty() {
            return Ok((Ready::unchanged(target, self.laid.places.records()), Some(self.laid)));
        }
        target.remove_litter()?;
        let mut staged = Staged::create(target, *look)?;
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
