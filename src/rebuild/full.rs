//! Both tables from all homes. Everything that decides is read, and the records go where the caller says: into new files, or
//! into memory for a command that compares.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::RandomState;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cdb::Chunk;
use crate::error::{Denied, Error, Trouble};
use crate::fs::failures::Mark;
use crate::host::Host;
use crate::host::accounts::read_shadow;
use crate::host::authvars::AuthVars;
use crate::host::mailboxes::snapshot::Snapshot;
use crate::os::confine;
use crate::protect::hold::published_default;
use crate::publish::Published;
use crate::report::{Code, Note, Progress};
use crate::settings::Settings;
use crate::tables::logins::{Policy, Unknown};
use crate::tables::recipients::{self, Common, Plan, PublishedKeys, Tables};
use crate::text::Shown;

use super::homes::{Asked, HomeReader, KeptFrom, KeptHome, Unread, ask};
use super::length::{Counting, Length, give_up_largest};
use super::memory::{Because, Known, Memory, Remembered, Stretch};
use super::old::{Old, as_kept, whole};
use super::workers::Workers;
use super::{Sink, database, now, read_host};

/// A service remembers so many notes about what was widened in the tables to which several homes contribute.
const MAX_NOTES: usize = 500;

/// What came of building beside the records.
pub struct Built {
    /// What somebody should know.
    pub notes: Vec<Note>,
    /// How many domains take every name, because nobody can know the users of a program.
    pub open_domains: usize,
    /// The homes, and the files of our own, that could not be read.
    pub kept: Vec<KeptHome>,
    /// What this process may not read, which is not root, and what decides about the records.
    pub denied: Denied,
    /// When the next login expires, in seconds since 1970-01-01 UTC.
    pub next_expiry: Option<u64>,
    /// What the host said.
    pub host: Arc<Host>,
    variables: Arc<AuthVars>,
    /// When it was said, in seconds since 1970-01-01 UTC.
    now: u64,
    pub(super) published: Old,
    /// How many homes there are.
    pub(super) homes: usize,
    /// What a service remembers of it.
    pub(super) memory: Remembered,
    /// Whether something could not be read that another reading may find.
    pub(super) is_again_soon: bool,
}

impl Built {
    /// How logins are decided.
    pub fn policy(&self) -> Policy<'_> {
        Policy::new(&self.host, &self.variables, self.now).keeping(as_kept(self.published.logins.file.as_ref()))
    }
}

/// Builds both tables into the sink, home by home. The same sources give the same records in the same order, whatever
/// the number of threads. What reads the homes, and calls the sink, is confined to them.
///
/// # Errors
/// What stops a rebuild, and those of the sink.
pub fn build(settings: &Settings, sink: &mut (dyn Sink + Send)) -> Result<Built, Error> {
    build_and_remember(settings, sink, &|_, _| (), None)
}

/// The same, with what a service remembers of it when there is a seed.
pub(super) fn build_and_remember(
    settings: &Settings,
    sink: &mut (dyn Sink + Send),
    found: &dyn Fn(&Host, bool),
    seed: Option<RandomState>,
) -> Result<Built, Error> {
    let begun = Begun::read(settings, found, seed)?;
    let policy = Policy::new(&begun.host, &begun.variables, begun.now).keeping(as_kept(begun.kept_logins.as_ref()));
    let most = settings.layout.root.bounds.table;
    let mut sink = Counting { sink, recipients: Length::new(most), logins: Length::new(most) };
    let confined = || begun.ask_homes(settings, &policy, &mut sink);
    let (result, unconfined) = confine::within(&begun.host.layout.root, &begun.directories, confined)?;
    let result = result.and_then(|found| match sink.too_long(settings) {
        None => Ok(found),
        Some((table, length)) => Err(give_up_largest(settings, &begun.host, &table, length)),
    });
    let of_homes = result?;
    begun.mark.system()?;
    let (unknown, next_expiry) = (policy.unknown(), policy.next_expiry());
    Ok(begun.end(of_homes, unconfined, unknown, next_expiry))
}

/// Everything that decides but the homes, before these are read.
struct Begun {
    /// When the reading began.
    mark: Mark,
    /// What makes the numbers that a service remembers.
    seed: Option<RandomState>,
    host: Arc<Host>,
    variables: Arc<AuthVars>,
    is_default_unknown: bool,
    published: Old,
    /// Both published tables, where vpopmail's user database is not read.
    to_keep: KeptFrom,
    /// The published logins, where the variables are that control/authvars cannot tell.
    kept_logins: Option<Arc<Published>>,
    /// The hashes of the system accounts, where these log in.
    hashes: Option<HashMap<Vec<u8>, Vec<u8>>>,
    /// In seconds since 1970-01-01 UTC.
    now: u64,
    plan: Arc<Plan>,
    /// The directories that may be read.
    directories: Vec<PathBuf>,
    notes: Vec<Note>,
    denied: Denied,
}

impl Begun {
    /// Reads it. `found` is told of the host.
    ///
    /// # Errors
    /// What stops a rebuild.
    fn read(settings: &Settings, found: &dyn Fn(&Host, bool), seed: Option<RandomState>) -> Result<Begun, Error> {
        let mut notes = Vec::new();
        let mark = Mark::at_rebuild();
        let mut host = read_host(settings, &mut notes)?;
        mark.system()?;
        found(&host, true);
        let variables = host.read_authvars();
        let published = Old::open(settings)?;
        notes.extend(published.troubles(settings));
        let mut denied = Denied::default();
        denied.extend(host.denied());
        let is_default_unknown = host.default_domain.is_err();
        notes.extend(keep_default_domain(settings, &mut host, &published)?);
        let mut to_keep = (None, None);
        if host.build.users.elsewhere().is_some() {
            denied.extend(published.recipients.closed.iter().chain(&published.logins.closed).cloned());
            to_keep = published.if_whole(settings)?;
        }
        let now = now();
        let hashes = settings.auth_system_users.then(|| read_shadow(&settings.layout.root, now)).transpose()?;
        // The variables that control/authvars cannot tell now are those that are published.
        let unusable = variables.unusable();
        denied.extend(unusable.filter(|file| file.cause.denied).map(|file| settings.layout.root.path(&file.path)));
        let kept_logins = match unusable {
            Some(_) => whole(settings, &settings.auth, &published.logins.file)?.and(published.logins.file.clone()),
            None => None,
        };
        let (host, variables) = (Arc::new(host), Arc::new(variables));
        let plan = Plan::new(host.clone());
        let plan = Arc::new(if seed.is_some() { plan.with_few_notes() } else { plan });
        let directories = confine::directories(&host)?;
        Ok(Begun {
            mark,
            seed,
            host,
            variables,
            is_default_unknown,
            published,
            to_keep,
            kept_logins,
            hashes,
            now,
            plan,
            directories,
            notes,
            denied,
        })
    }

    /// Asks all homes, and hands every record to the sink.
    ///
    /// # Errors
    /// What stops a rebuild, and those of the sink.
    fn ask_homes(&self, settings: &Settings, policy: &Policy<'_>, sink: &mut Counting<'_>) -> Result<OfHomes, Error> {
        let Begun { mark, seed, host, published, plan, .. } = self;
        let kept_from = (published.retained(settings, host), self.to_keep.clone());
        let homes = HomeReader::keeping(host, &published.logins, kept_from, settings.threads(), seed.clone());
        let mut tables = Tables::new(plan);
        let asker = self.asker(&homes);
        let AllAsked { mut unread, notes, open_domains, bare, known, common } =
            ask_all(settings, &asker, policy, &mut tables, (sink, *mark))?;
        let keys = tables.is_doubtful().then(|| homes.retained_recipients() as &dyn PublishedKeys);
        let outcome = tables.finish(&homes.at_last(), keys, &mut |records| sink.recipients(records))?;
        homes.all_retained()?;
        let mut by_many = Unread::default();
        by_many.add_recipients(&outcome.unread);
        unread.add(&by_many);
        let mut logins = Chunk::default();
        add_system_users(&mut logins, policy, host, self.hashes.as_ref(), &|name| bare.contains(name));
        let last = sink.logins.next;
        sink.logins(&logins)?;
        let laid = LaidOut { by_many, known, common, last, logins, notes: outcome.notes.clone() };
        Ok(OfHomes { unread, notes, notes_of_tables: outcome.notes, open_domains, denied: homes.denied(), laid })
    }

    /// What the threads need that ask the homes.
    fn asker(&self, homes: &HomeReader) -> Asker {
        Asker {
            host: self.host.clone(),
            variables: self.variables.clone(),
            kept_logins: self.kept_logins.clone(),
            now: self.now,
            plan: self.plan.clone(),
            homes: homes.clone(),
        }
    }

    /// What came of everything, when this came of the homes and their logins.
    fn end(mut self, of_homes: OfHomes, unconfined: Option<Note>, unknown: Unknown, next_expiry: Option<u64>) -> Built {
        let OfHomes { unread, notes: notes_of_homes, notes_of_tables, open_domains, denied: denied_in_homes, laid } =
            of_homes;
        let is_again_soon = self.mark.storage_failed();
        // What lies elsewhere is not remembered as published.
        let is_elsewhere = self.host.build.users.elsewhere().is_some();
        let forgets = match () {
            () if is_again_soon => Some(Because::Storage),
            () if is_elsewhere && !unread.is_empty() => Some(Because::Unread),
            () => None,
        };
        let memory = forgets.map_or(Ok(()), Err).and_then(|()| self.remember(laid, unknown));
        let Begun { host, variables, published, now, plan, mut notes, mut denied, .. } = self;
        denied.extend(denied_in_homes);
        let kept = unread.kept(&host, &variables, unknown);
        notes.extend(unconfined);
        notes.extend(kept.iter().map(|home| home.alert.clone()));
        notes.extend(notes_of_homes);
        notes.extend(notes_of_tables);
        // What asks a server that has no answer now does so again soon.
        let is_again_soon = is_again_soon || host.build.is_unanswered;
        Built {
            notes,
            open_domains,
            kept,
            denied,
            next_expiry,
            host,
            variables,
            now,
            published,
            homes: plan.units.len(),
            memory,
            is_again_soon,
        }
    }

    /// What a service remembers, when it gave a seed.
    fn remember(&mut self, laid: LaidOut, unknown: Unknown) -> Remembered {
        let seed = self.seed.take().ok_or(Because::Start)?;
        let (host, LaidOut { by_many, known, common, last, logins, mut notes }) = (&self.host, laid);
        recipients::bound_notes(&mut notes, MAX_NOTES, "");
        Ok(Box::new(Memory {
            host: host.clone(),
            variables: self.variables.clone(),
            plan: self.plan.clone(),
            common,
            directories: std::mem::take(&mut self.directories),
            units: known,
            last_logins: Stretch::new(last, &logins.into(), &seed),
            notes,
            is_default_unknown: self.is_default_unknown,
            unknown,
            held: Vec::new(),
            held_alerts: Vec::new(),
            held_expiry: None,
            unread: by_many,
            unassigned_users: database_of(host).map_or(0, |snapshot| database::unassigned(host, &snapshot, &seed)),
            recipients: None,
            logins: None,
            now: self.now,
            seed,
        }))
    }
}

/// What the user database said, where it was asked.
fn database_of(host: &Host) -> Option<Arc<Snapshot>> {
    host.build.users.snapshot()
}

/// What came of reading all homes, beside the records.
struct OfHomes {
    unread: Unread,
    notes: Vec<Note>,
    /// What was widened in the tables to which several homes contribute.
    notes_of_tables: Vec<Note>,
    open_domains: usize,
    denied: Denied,
    laid: LaidOut,
}

/// What a service remembers of how the records were laid out.
struct LaidOut {
    /// Of what could not be read, what concerns tables in which several homes have a part.
    by_many: Unread,
    known: Vec<Known>,
    common: Arc<Common>,
    /// Where the logins of system accounts begin.
    last: u64,
    /// These logins.
    logins: Chunk,
    /// A copy of [`OfHomes::notes_of_tables`].
    notes: Vec<Note>,
}

/// If the default domain cannot be read, the bare names keep the domain for which they are published.
fn keep_default_domain(settings: &Settings, host: &mut Host, published: &Old) -> Result<Option<Note>, Error> {
    let Err(cause) = &host.default_domain else { return Ok(None) };
    let known = match published.logins.file.as_ref().map(|logins| published_default(&logins.cdb()?)) {
        None | Some(Ok(None)) => None,
        Some(found) => whole(settings, &settings.auth, &published.logins.file)?.and(found.ok().flatten()),
    };
    let note = default_unknown(cause, known.as_deref());
    host.default_domain = Ok(known);
    Ok(note)
}

/// What is said when nobody knows the default domain, and this one stays that of the bare logins.
pub(super) fn default_unknown(cause: &Trouble, stays: Option<&[u8]>) -> Option<Note> {
    let name = Shown(stays?);
    let text = format!("{cause}; bare names log in for {name}, of which they are published, as before");
    Some(Note::alert(text).of(Code::DefaultDomainUnreadable).but_denied(cause.denied))
}

/// Adds the logins of system accounts whose names no mailbox has taken.
pub(super) fn add_system_users(
    logins: &mut Chunk,
    policy: &Policy<'_>,
    host: &Host,
    hashes: Option<&HashMap<Vec<u8>, Vec<u8>>>,
    is_taken: &dyn Fn(&Vec<u8>) -> bool,
) {
    let users = host.accounts.accepted.keys().filter(|name| !is_taken(name));
    for login in users.filter_map(|name| policy.system_user(name, hashes?.get(name)?)) {
        logins.add(&[&login.key], &[&login.data]);
    }
}

/// Asks every unit, and hands the records of the domains that are complete to the sink. What could not be read and the
/// bare logins are the answer.
fn ask_all(
    settings: &Settings,
    asker: &Asker,
    policy: &Policy<'_>,
    tables: &mut Tables<'_>,
    (sink, mark): (&mut Counting<'_>, Mark),
) -> Result<AllAsked, Error> {
    let Asker { plan, homes, .. } = asker;
    let progress = Progress::new(plan.units.len());
    let (mut unread, mut notes) = (Unread::default(), Vec::new());
    let mut open = BTreeSet::new();
    let mut bare = HashSet::new();
    let mut known = Vec::new();
    let mut add = |tables: &mut Tables<'_>, number: usize, mut asked: Asked| -> Result<(), Error> {
        mark.system()?;
        known.extend(homes.seed().map(|seed| Known::new(&asked, sink.recipients.next, sink.logins.next, seed)));
        unread.add(&asked.unread);
        notes.append(&mut asked.notes);
        notes.append(&mut asked.answers.take_notes());
        open.extend(asked.answers.open.iter().copied());
        let resting = &settings.layout.root.resting;
        if let Some(home) = plan.units[number].home.as_ref().filter(|home| !resting.is_beyond(home)) {
            sink.recipients.add_home(home, &asked.stamps, asked.answers.records.size());
            sink.logins.add_home(home, &asked.stamps, asked.logins.size());
        }
        policy.expires(asked.expiry);
        policy.add_unknown(asked.unknown);
        tables.add(number, asked.answers, &mut |records| sink.recipients(records))?;
        if settings.auth_system_users {
            bare.extend(asked.bare);
        }
        asked.logins.lay_out(&mut |records| sink.logins(records))
    };
    let workers = Workers::new(settings);
    workers.each(0..plan.shared, asker.of(Arc::default()), |(number, asked)| add(tables, number, asked))?;
    let common = Arc::new(tables.common());
    workers.each(plan.shared..plan.units.len(), asker.of(common.clone()), |(number, asked)| {
        progress.advance(1);
        add(tables, number, asked)
    })?;
    Ok(AllAsked { unread, notes, open_domains: open.len(), bare, known, common })
}

/// What a thread needs that asks units, which may outlive the rebuild.
#[derive(Clone)]
struct Asker {
    host: Arc<Host>,
    variables: Arc<AuthVars>,
    /// Where the variables are that control/authvars cannot tell.
    kept_logins: Option<Arc<Published>>,
    now: u64,
    plan: Arc<Plan>,
    homes: HomeReader,
}

impl Asker {
    /// Asks the unit of this number.
    fn of(&self, common: Arc<Common>) -> impl Fn(usize) -> (usize, Asked) + Send + Sync + use<> {
        let Asker { host, variables, kept_logins, now, plan, homes } = self.clone();
        move |number| {
            let policy = Policy::new(&host, &variables, now).keeping(as_kept(kept_logins.as_ref()));
            (number, ask(&plan, &policy, &plan.units[number], &homes, &common))
        }
    }
}

/// What came of asking all.
struct AllAsked {
    unread: Unread,
    /// What was left unread in homes, not listed, or widened.
    notes: Vec<Note>,
    open_domains: usize,
    /// The logins without a domain, where system accounts log in too.
    bare: HashSet<Vec<u8>>,
    /// What is remembered of each home, where that is wanted.
    known: Vec<Known>,
    common: Arc<Common>,
}
