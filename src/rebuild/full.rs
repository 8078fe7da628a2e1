//! Both tables from all homes. Everything that decides is read, and the records go where the caller says: into new files, or
//! into memory for a command that compares.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::RandomState;
use std::sync::Arc;

use crate::cdb::Chunk;
use crate::error::{Denied, Error, Trouble, show_path};
use crate::fs::failures::Mark;
use crate::host::Host;
use crate::host::accounts::read_shadow;
use crate::host::authvars::AuthVars;
use crate::host::mailboxes::snapshot::Snapshot;
use crate::os::confine;
use crate::protect::hold::published_default;
use crate::publish::{Before, Published};
use crate::report::{Code, Note, Progress};
use crate::settings::Settings;
use crate::tables::logins::Policy;
use crate::tables::recipients::{self, Common, Plan, PublishedKeys, Tables};
use crate::text::Shown;

use super::homes::{Asked, HomeReader, KeptHome, Unread, ask};
use super::length::{Counting, Length, give_up_largest};
use super::memory::{Because, Known, Memory, Remembered, Stretch};
use super::old::{Old, as_kept, read_whole, whole};
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
    let mut notes = Vec::new();
    let mark = Mark::at_rebuild();
    let mut host = read_host(settings, &mut notes)?;
    mark.system()?;
    found(&host, true);
    let variables = host.read_authvars();
    let published = Old::open(settings)?;
    for (before, inside) in [(&published.recipients, &settings.validrcptto), (&published.logins, &settings.auth)] {
        let path = settings.layout.root.path(inside);
        notes.extend(before.trouble.as_ref().filter(|cause| !cause.denied).map(|cause| {
            Note::alert(format!("{}: {cause}; nothing can be kept from it", show_path(&path))).of(Code::TableNotKept)
        }));
    }
    let mut denied = Denied::default();
    denied.extend(host.denied());
    let is_default_unknown = host.default_domain.is_err();
    if let Err(cause) = &host.default_domain {
        // The bare names stay those of the domain that they are published of.
        let known = match published.logins.file.as_ref().map(|logins| published_default(&logins.cdb()?)) {
            None | Some(Ok(None)) => None,
            Some(found) => whole(settings, &settings.auth, &published.logins.file)?.and(found.ok().flatten()),
        };
        notes.extend(default_unknown(cause, known.as_deref()));
        host.default_domain = Ok(known);
    }
    let mut to_keep = (None, None);
    if host.build.users.elsewhere().is_some() {
        let Old { recipients, logins } = &published;
        denied.extend(recipients.closed.iter().chain(&logins.closed).cloned());
        // Of a damaged table nothing is kept.
        let if_whole = |inside, before: &Before| -> Result<_, Error> {
            Ok(read_whole(settings, inside, &before.file)?.and(before.file.clone()))
        };
        to_keep = (if_whole(&settings.validrcptto, recipients)?, if_whole(&settings.auth, logins)?);
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
    let policy = Policy::new(&host, &variables, now).keeping(as_kept(kept_logins.as_ref()));
    let plan = Plan::new(host.clone());
    let plan = Arc::new(if seed.is_some() { plan.with_few_notes() } else { plan });
    let folders = confine::directories(&host)?;
    let most = settings.layout.root.bounds.table;
    let mut sink = Counting { sink, recipients: Length::new(most), logins: Length::new(most) };
    let confined = || -> Result<_, Error> {
        let kept_from = (published.retained(settings, &host), to_keep.clone());
        let homes = HomeReader::keeping(&host, &published.logins, kept_from, settings.threads(), seed.clone());
        let mut tables = Tables::new(&plan);
        let asker = Asker {
            host: host.clone(),
            variables: variables.clone(),
            kept_logins: kept_logins.clone(),
            now,
            plan: plan.clone(),
            homes: homes.clone(),
        };
        let AllAsked { mut unread, notes, open_domains, bare, known, common } =
            ask_all(settings, &asker, &policy, &mut tables, (&mut sink, mark))?;
        let keys = tables.is_doubtful().then(|| homes.retained_recipients() as &dyn PublishedKeys);
        let outcome = tables.finish(&homes.at_last(), keys, &mut |records| sink.recipients(records))?;
        homes.all_retained()?;
        let mut by_many = Unread::default();
        by_many.add_recipients(&outcome.unread);
        unread.add(&by_many);
        let mut logins = Chunk::default();
        add_system_users(&mut logins, &policy, &host, hashes.as_ref(), &|name| bare.contains(name));
        let last = sink.logins.next;
        sink.logins(&logins)?;
        let of_homes = OfHomes { unread, by_many, notes, open_domains, known, common, denied: homes.denied() };
        Ok((of_homes, outcome.notes, (last, logins)))
    };
    let (result, unconfined) = confine::within(&host.layout.root, &folders, confined)?;
    let result = result.and_then(|found| match sink.too_long(settings) {
        None => Ok(found),
        Some((table, length)) => Err(give_up_largest(settings, &host, &table, length)),
    });
    let (of_homes, notes_of_tables, (last, logins)) = result?;
    let OfHomes {
        unread,
        by_many: unread_by_many,
        notes: notes_of_homes,
        open_domains,
        known,
        common,
        denied: denied_in_homes,
    } = of_homes;
    mark.system()?;
    let is_again_soon = mark.storage_failed();
    let is_unanswered = host.build.is_unanswered;
    denied.extend(denied_in_homes);
    // What lies elsewhere is not remembered as published.
    let is_elsewhere = host.build.users.elsewhere().is_some();
    let forgets = match () {
        () if is_again_soon => Some(Because::Storage),
        () if is_elsewhere && !unread.is_empty() => Some(Because::Unread),
        () => None,
    };
    let mut remembered_notes = notes_of_tables.clone();
    recipients::bound_notes(&mut remembered_notes, MAX_NOTES, "");
    notes.extend(unconfined);
    let kept = unread.kept(&host, &variables, policy.unknown());
    notes.extend(kept.iter().map(|home| home.alert.clone()));
    notes.extend(notes_of_homes);
    notes.extend(notes_of_tables);
    let next_expiry = policy.next_expiry();
    let homes = plan.units.len();
    let memory = forgets.map_or(Ok(()), Err).and_then(|()| {
        let seed = seed.ok_or(Because::Start)?;
        Ok(Box::new(Memory {
            host: host.clone(),
            variables: variables.clone(),
            plan,
            common,
            folders,
            units: known,
            last_logins: Stretch::new(last, &logins.into(), &seed),
            notes: remembered_notes,
            is_default_unknown,
            unknown: policy.unknown(),
            held: Vec::new(),
            held_alerts: Vec::new(),
            held_expiry: None,
            unread: unread_by_many,
            unassigned_users: database_of(&host).map_or(0, |snapshot| database::unassigned(&host, &snapshot, &seed)),
            recipients: None,
            logins: None,
            now,
            seed,
        }))
    });
    // What asks a server that has no answer now does so again soon.
    let is_again_soon = is_again_soon || is_unanswered;
    Ok(Built {
        notes,
        open_domains,
        kept,
        denied,
        next_expiry,
        host,
        variables,
        now,
        published,
        homes,
        memory,
        is_again_soon,
    })
}

/// What the user database said, where it was asked.
fn database_of(host: &Host) -> Option<Arc<Snapshot>> {
    host.build.users.snapshot()
}

/// What came of reading all homes, beside the records.
struct OfHomes {
    unread: Unread,
    /// Of that, what concerns tables in which several homes have a part.
    by_many: Unread,
    notes: Vec<Note>,
    open_domains: usize,
    known: Vec<Known>,
    common: Arc<Common>,
    denied: Denied,
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
