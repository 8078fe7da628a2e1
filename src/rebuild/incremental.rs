//! A rebuild by what is remembered: what did not change is taken from the published files. Its result is what a rebuild of
//! everything would publish, byte for byte.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::cdb::Chunk;
use crate::error::{Denied, Error};
use crate::fs::failures::Mark;
use crate::host::Host;
use crate::host::accounts::read_shadow;
use crate::host::compilers::{Compiler, Due};
use crate::host::mailboxes::Source;
use crate::host::mailboxes::snapshot::Snapshot;
use crate::os::confine;
use crate::protect::hold::{self, Held, Patience};
use crate::publish::{Before, Published};
use crate::report::{self, Note};
use crate::settings::Settings;
use crate::tables::logins::Policy;

use super::database;
use super::edits::Edits;
use super::full::{add_system_users, default_unknown};
use super::homes::{Asked, HomeReader, KeptHome, ask};
use super::memory::{Because, Known, Memory, Scope};
use super::old::{as_kept, retained};
use super::targets::Targets;
use super::workers::Workers;
use super::{Done, HomesRead, Order, now, read_host, stays};

/// A thread looks at so many homes before it takes the next ones.
const HOMES_A_LOOK: usize = 16;

/// Why a rebuild does not end by what is remembered.
pub enum Halt {
    /// Every home has to be read.
    Full(Because),
    /// Nothing can be published.
    Failed(Error),
}

/// A failure before anything is published.
impl From<Error> for Halt {
    fn from(error: Error) -> Halt {
        Halt::Failed(stays(error))
    }
}

/// Rebuilds by what is remembered.
///
/// # Errors
/// Why it cannot, or those of [`crate::rebuild::rebuild`].
pub(super) fn rebuild(
    settings: &Settings,
    order: &Order<'_>,
    scope: &Scope,
    targets: &Targets,
    mut memory: Box<Memory>,
    found: &dyn Fn(&Host, bool),
) -> Result<(Done, Box<Memory>), Halt> {
    may_go_on(settings, order, scope, &memory)?;
    let (mark, mut notes) = (Mark::now(), Vec::new());
    let scope = if names_a_new_domain(scope, &memory.host) { &Scope::All } else { scope };
    let host_read = *scope == Scope::All;
    let behind = if host_read { look_at_host(settings, &mut memory, &mut notes, found)? } else { Vec::new() };
    if !host_read {
        ask_database(settings, &mut memory)?;
    }
    let mut edits = Edits::open(&mut memory, targets)?;
    let now = now();
    let hashes = settings.auth_system_users.then(|| read_shadow(&settings.layout.root, now)).transpose()?;
    set_time(&mut memory, now)?;
    let old = (&edits.recipients.old, &edits.logins.old);
    let (asked, unconfined, returned) = changed(settings, *memory, scope, old, now)?;
    notes.extend(unconfined);
    all_could_be_read(mark)?;
    // What waits for what does not answer may still look at it.
    let mut memory = Box::new(returned.ok_or(Halt::Full(Because::Silence))?);
    let mut fresh: HashMap<usize, Known> = HashMap::new();
    for (number, asked) in asked.map_err(Halt::Full)? {
        fresh.insert(number, edits.put(number, &asked, &memory, targets)?);
    }
    let read = fresh.len();
    let kept_logins = memory.variables.unusable().map(|_| edits.logins.old.clone());
    let policy = Policy::new(&memory.host, &memory.variables, now).keeping(as_kept(kept_logins.as_ref()));
    let last = logins_of_system_users(&memory, &fresh, &policy, hashes.as_ref());
    let last_logins = edits.put_last_logins(last, &memory, targets)?;
    let next_expiry = next_expiry(&memory, &fresh, &policy);
    edits.are_small(settings.layout.root.bounds.table)?;
    let kept = memory.kept(&mut latest(&memory, &fresh));
    let open_domains = latest(&memory, &fresh).flat_map(|known| &known.open).collect::<BTreeSet<_>>().len();
    if host_read {
        notes.extend(notes_of_all(&memory, &fresh, &kept));
        report::say_all(&memory.held_alerts);
    } else {
        notes.extend(notes_of_fresh(&memory, &fresh));
    }
    (order.note)(&notes);
    let ((recipients, logins), stamps) = edits.publish(&mut memory, (fresh, last_logins), targets)?;
    let done = Done {
        open_domains,
        recipients,
        logins,
        next_expiry,
        duration: Duration::ZERO,
        held: memory.held.clone(),
        kept,
        denied: Denied::default(),
        behind,
        host: memory.host.clone(),
        host_read,
        homes: Some(HomesRead { read, all: memory.units.len(), because: None }),
        stamps,
        others: Vec::new(),
        is_again_soon: memory.host.build.is_unanswered,
    };
    Ok((done, memory))
}

/// Remembers the time of this rebuild, in seconds since 1970-01-01 UTC.
///
/// # Errors
/// The clock was set back: what had expired has not yet.
fn set_time(memory: &mut Memory, now: u64) -> Result<(), Halt> {
    if now < std::mem::replace(&mut memory.now, now) { Err(Halt::Full(Because::Clock)) } else { Ok(()) }
}

/// Fails if a call failed since then, because files may be missing from what was read.
fn all_could_be_read(since: Mark) -> Result<(), Halt> {
    since.system()?;
    if since.storage_failed() { Err(Halt::Full(Because::Storage)) } else { Ok(()) }
}

/// What is known of each unit now: of those that were asked again, what came of that.
fn latest<'m>(memory: &'m Memory, fresh: &'m HashMap<usize, Known>) -> impl Iterator<Item = &'m Known> {
    (0..memory.units.len()).map(|number| fresh.get(&number).unwrap_or(&memory.units[number]))
}

/// The logins of system accounts whose names no mailbox of these units has taken.
fn logins_of_system_users(
    memory: &Memory,
    fresh: &HashMap<usize, Known>,
    policy: &Policy<'_>,
    hashes: Option<&HashMap<Vec<u8>, Vec<u8>>>,
) -> Chunk {
    let bare: BTreeSet<&Vec<u8>> = latest(memory, fresh).flat_map(|known| &known.bare).collect();
    let mut logins = Chunk::default();
    add_system_users(&mut logins, policy, &memory.host, hashes, &|name| bare.contains(name));
    logins
}

/// When the next login expires, those of held domains among them; `policy` knows those of system accounts.
fn next_expiry(memory: &Memory, fresh: &HashMap<usize, Known>, policy: &Policy<'_>) -> Option<u64> {
    let expiries = latest(memory, fresh).map(|known| known.expiry);
    expiries.chain([memory.held_expiry]).for_each(|expiry| policy.expires(expiry));
    policy.next_expiry()
}

/// The notes of all homes, and of what is kept.
fn notes_of_all(memory: &Memory, fresh: &HashMap<usize, Known>, kept: &[KeptHome]) -> Vec<Note> {
    let of_homes = latest(memory, fresh).flat_map(|known| &known.notes).chain(&memory.notes).cloned();
    of_homes.chain(kept.iter().map(|kept| kept.alert.clone())).collect()
}

/// The notes of the homes that were asked again.
fn notes_of_fresh(memory: &Memory, fresh: &HashMap<usize, Known>) -> Vec<Note> {
    let homes = memory
        .kept(&mut fresh.values().filter(|known| known.unread.is_some()))
        .into_iter()
        .filter(|kept| kept.unusable.is_none());
    let notes = fresh.values().flat_map(|known| &known.notes).cloned();
    notes.chain(homes.map(|kept| kept.alert)).collect()
}

/// Whether what is remembered is enough for such a rebuild, before anything is looked at.
fn may_go_on(settings: &Settings, order: &Order<'_>, scope: &Scope, memory: &Memory) -> Result<(), Halt> {
    if memory.held_expiry.is_some_and(|expiry| expiry <= now()) {
        return Err(Halt::Full(Because::Held));
    }
    let is_over = |held: &Held| matches!(order.patience, Patience::Until(time) if held.let_go_in(time).is_zero());
    if order.patience == Patience::Force || !order.let_go.is_empty() || memory.held.iter().any(is_over) {
        return Err(Halt::Full(Because::Held));
    }
    // What is held was read a moment ago; another process that changes it changes the tables too.
    let is_asked = memory.held.is_empty() || *scope == Scope::All;
    if is_asked && hold::held_before(settings)? != hold::names(&memory.held) {
        return Err(Halt::Full(Because::Held));
    }
    Ok(())
}

/// Asks the user database again; what it says now counts. One that did not answer is asked by the next full look.
fn ask_database(settings: &Settings, memory: &mut Memory) -> Result<(), Halt> {
    if memory.host.build.users.snapshot().is_none() {
        return Ok(());
    }
    let host = memory.host.clone();
    let silences = &settings.layout.root.silences;
    let question = silences.attempt(move || database::question(&host)).map_err(|cause| Error::undone(&cause))?;
    // The full look tells of a failure.
    let full = |_| Halt::Full(Because::Database);
    question.map_or(Ok(()), |question| let_count(memory, &database::ask(settings, question).map_err(full)?))
}

/// Lets what the user database said count from now on.
fn let_count(memory: &mut Memory, snapshot: &Arc<Snapshot>) -> Result<(), Halt> {
    let unassigned = database::unassigned(&memory.host, snapshot, &memory.seed);
    let Source::Snapshot(latest) = &memory.host.build.users else { return Ok(()) };
    // The options of the build, or the order of a column, decide about every home.
    if *latest.get() != **snapshot || unassigned != memory.unassigned_users {
        return Err(Halt::Full(Because::Database));
    }
    latest.replace(snapshot.clone());
    Ok(())
}

/// Whether a domain is announced that the host did not have.
fn names_a_new_domain(scope: &Scope, host: &Host) -> bool {
    let is_new = |domain: &Vec<u8>| host.assignments.vpopmail_domain(domain).is_none();
    matches!(scope, Scope::Some { domains, .. } if domains.iter().any(is_new))
}

/// Reads everything but the homes, which must say what is remembered, and gives the compilers whose files are behind.
fn look_at_host(
    settings: &Settings,
    memory: &mut Memory,
    notes: &mut Vec<Note>,
    found: &dyn Fn(&Host, bool),
) -> Result<Vec<Due>, Halt> {
    let mut host = read_host(settings, notes)?;
    if let (Err(cause), true) = (&host.default_domain, memory.is_default_unknown) {
        let stays = memory.host.default_domain.clone();
        notes.extend(default_unknown(cause, stays.as_ref().ok().and_then(Option::as_deref)));
        host.default_domain = stays;
    }
    let behind = Compiler::due_of(&host, &hold::names(&memory.held));
    let is_the_same = host.says_the_same(&memory.host) && host.read_authvars() == *memory.variables;
    let host = Arc::new(host);
    if !is_the_same || confine::directories(&host)? != memory.directories {
        return Err(Halt::Full(Because::Host));
    }
    if let Some(snapshot) = host.build.users.snapshot() {
        let_count(memory, &snapshot)?;
    }
    found(&host, false);
    Ok(behind)
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
            || has_other_users(memory, *number)
            || known.expiry.is_some_and(|expiry| policy.is_over(expiry))
    };
    (0..memory.units.len()).filter(touched).collect()
}

/// Whether the user database says something else of a unit than when it was read.
fn has_other_users(memory: &Memory, number: usize) -> bool {
    let (unit, known) = (&memory.plan.units[number], &memory.units[number]);
    let mut homes = unit.home.iter().chain(&known.others).map(Vec::as_slice);
    memory.host.print_of_users(&mut homes, &memory.seed) != known.users
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
    let (workers, directories) = (Workers::new(settings), memory.directories.clone());
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
        confine::attempt(&settings.layout.root, directories, move || Looking::changed(&own, &workers))?;
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
        let Some(home) = &self.memory.plan.units[number].home else { return false };
        let looks_the_same = self.looks_the_same(number)
            && self.memory.units[number].others.iter().all(is_same)
            && !has_other_users(&self.memory, number);
        // One that rests is read later.
        !looks_the_same && !self.memory.host.layout.root.resting.rests(home)
    }

    fn looks_the_same(&self, number: usize) -> bool {
        let (known, home) = (&self.memory.units[number], self.memory.plan.units[number].home.as_ref());
        home.is_some_and(|home| match &known.look {
            Some(look) => self.homes.looks_like(home, look),
            None => known.is_spent && self.homes.rests_spent(home),
        })
    }

    fn ask(&self, number: usize) -> Asked {
        let Looking { memory, homes, .. } = self;
        let kept_logins = memory.variables.unusable().and(self.logins.as_ref());
        let policy = Policy::new(&memory.host, &memory.variables, self.now).keeping(as_kept(kept_logins));
        ask(&memory.plan, &policy, &memory.plan.units[number], homes, &memory.common)
    }
}
