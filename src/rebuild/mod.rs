//! The story of one rebuild, on one page: lock, read the host, build the tables home by home, publish, report.

pub mod database;
mod edits;
pub mod homes;
mod incremental;
pub mod memory;
pub mod others;
pub mod users_seen;
pub mod workers;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::RandomState;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::Builder;
use std::time::{Duration, Instant, SystemTime};

use crate::cdb::{self, Chunk};
use crate::error::{Denied, Error, Nature, Trouble, show_cause, show_path};
use crate::fs::Stamp;
use crate::fs::budget::too_long;
use crate::fs::failures::Mark;
use crate::host::Host;
use crate::host::accounts::{Accounts, Sources, read_shadow};
use crate::host::authvars::AuthVars;
use crate::host::compilers::{Compiler, Due};
use crate::host::mailboxes::snapshot::Snapshot;
use crate::os::confine;
use crate::os::lock;
use crate::os::spawn;
use crate::os::stop::Stop;
use crate::protect::hold::{self, Change, Held, Moves, Patience, Scales, published_default};
use crate::protect::retain::{self, Retained};
use crate::publish::{Before, Look, Published, Ready, Staged, Target};
use crate::report::{self, Code, Level, Note, Progress};
use crate::settings::Settings;
use crate::tables::logins::{Policy, PublishedLogins};
use crate::tables::recipients::{self, Common, Plan, PublishedKeys, Tables};
use crate::text::{Shown, count, domain_question};

use homes::{Asked, HomeReader, KeptHome, Unread, ask};
use incremental::Halt;
use memory::{Because, Known, Laid, Memory, Remembered, Scope, Stretch};
use workers::Workers;

/// A service remembers so many notes about what was widened in the tables to which several homes contribute.
const MAX_NOTES: usize = 500;

/// So many homes at most are left out of a rebuild because a table would be too long.
const MAX_GIVEN_UP: usize = 20;
/// A home that was left out so rests as one that takes so long to read.
const TOO_LONG_AGAIN: Duration = Duration::from_secs(3);

/// Where the records of the two tables go.
pub trait Sink {
    /// Takes records of validrcptto.cdb.
    ///
    /// # Errors
    /// They cannot be written.
    fn recipients(&mut self, records: &Chunk) -> Result<(), Error>;
    /// Takes records of auth.cdb.
    ///
    /// # Errors
    /// They cannot be written.
    fn logins(&mut self, records: &Chunk) -> Result<(), Error>;
}

/// What a rebuild published.
#[derive(Clone, Debug)]
pub struct Done {
    /// validrcptto.cdb.
    pub recipients: TableDone,
    /// auth.cdb.
    pub logins: TableDone,
    /// When the next login expires, in seconds since 1970-01-01 UTC.
    pub next_expiry: Option<u64>,
    /// How long it took.
    pub duration: Duration,
    /// The domains that keep their published entries, those that would lose most first.
    pub held: Vec<Held>,
    /// How many domains take every name, because nobody can know the users of a program.
    pub open_domains: usize,
    /// The homes, and the files of our own, that could not be read.
    pub kept: Vec<KeptHome>,
    /// What this process may not read, which is not root.
    pub denied: Denied,
    /// The compilers whose files are behind, when the host was read for this.
    pub behind: Vec<Due>,
    /// The host, its homes aside.
    pub host: Arc<Host>,
    /// Whether it was read for this; else nobody touched it.
    pub host_read: bool,
    /// How many homes were read, where a service counts that.
    pub homes: Option<HomesRead>,
    /// The published files.
    pub stamps: Stamps,
    /// Those of other qmails, and what became of each.
    pub others: Vec<(TableDone, Option<Stamp>)>,
    /// Whether something could not be read that another reading may find: it has to be read again soon.
    pub is_again_soon: bool,
}

/// How many homes a rebuild read.
#[derive(Clone, Copy, Debug)]
pub struct HomesRead {
    /// Of how many.
    pub all: usize,
    /// So many.
    pub read: usize,
    /// Why these are all.
    pub because: Option<Because>,
}

/// What became of one table.
#[derive(Clone, Debug)]
pub struct TableDone {
    /// Its path, as it is set.
    pub path: PathBuf,
    /// Its last name.
    pub name: String,
    /// Whether the file was replaced.
    pub published: bool,
    /// How many records it holds.
    pub records: u64,
    /// How many records came and went, where that was counted.
    pub difference: Option<(u64, u64)>,
}

impl Done {
    /// The files that were replaced.
    pub fn changed(&self) -> Vec<PathBuf> {
        [&self.recipients, &self.logins]
            .into_iter()
            .chain(self.others.iter().map(|(table, _)| table))
            .filter(|table| table.published)
            .map(|table| table.path.clone())
            .collect()
    }

    /// By what all published files are known again, in the order of [`Settings::published`].
    pub fn left(&self) -> Vec<Option<Stamp>> {
        let others = self.others.iter().map(|(_, stamp)| stamp.clone());
        [self.stamps.0.clone(), self.stamps.1.clone()].into_iter().chain(others).collect()
    }

    /// The same, when the tables of other qmails are published too, and the log was told of it.
    fn told(mut self, settings: &Settings, order: &Order<'_>, start: Instant) -> Result<Done, Error> {
        let others = others::publish(settings, self.stamps.0.as_ref());
        let others = others.map_err(|error| error.then("validrcptto.cdb and auth.cdb are published all the same"));
        self.duration = start.elapsed();
        if !order.is_quiet || !self.changed().is_empty() {
            report::say(Level::Status, &self.story(order.head, order.middle));
        }
        Ok(Done { others: others?, ..self })
    }

    /// What the log says of it; `middle` stands before the time it took.
    fn story(&self, head: &str, middle: &str) -> String {
        let table = |table: &TableDone, what: &str| {
            let word = if table.published { "published" } else { "unchanged" };
            let difference = table.difference.map_or(String::new(), |(came, went)| format!(" (+{came} -{went})"));
            format!("{} {word} {what}={}{difference}", table.name, table.records)
        };
        let (recipients, logins) = (table(&self.recipients, "recipients"), table(&self.logins, "logins"));
        let held = if self.held.is_empty() { String::new() } else { format!(" held={}", self.held.len()) };
        let because = |because: Because| format!(" because={}", because.word());
        let homes = self.homes.map_or(String::new(), |HomesRead { read, all, because: why }| {
            format!(" read={read}/{all}{}", why.map_or(String::new(), because))
        });
        format!("{head}: {recipients} {logins}{held}{homes}{middle} ms={}", self.duration.as_millis())
    }
}

/// How a rebuild is made and told of.
pub struct Order<'a> {
    /// What the line in the log begins with: which rebuild.
    pub head: &'a str,
    /// What it says beside the result: why.
    pub middle: &'a str,
    /// How long the guard holds domains.
    pub patience: Patience,
    /// The domains, in lower case, that it does not hold.
    pub let_go: &'a [Vec<u8>],
    /// How a held domain is published all the same, in words.
    pub then: &'a str,
    /// Takes what was found wrong on the host.
    pub note: &'a dyn Fn(&[Note]),
    /// Comes when the rebuild has to be given up.
    pub stop: &'a Stop,
    /// Whether nothing is told of it when it published nothing.
    pub is_quiet: bool,
}

/// Rebuilds and publishes both tables, and says so. What follows a rebuild is [`crate::service::follow_ups`]'s.
///
/// # Errors
/// Whatever keeps the tables from being right; the published files are then the old ones, unless it says otherwise.
pub fn rebuild(settings: &Settings, order: &Order<'_>) -> Result<Done, Error> {
    let start = Instant::now();
    settings.layout.root.silences.begin();
    database::begin(settings);
    let targets = Targets::take(settings)?;
    let (done, _) = publish(settings, order, &targets, &|_, _| (), None)?;
    done.told(settings, order, start)
}

/// The same for a service: what nobody touched is taken from the published files, by what is remembered of the last
/// rebuild, and what is remembered of this one is the answer. `found` is told of the host before its homes are read, and
/// whether it says anything new.
///
/// # Errors
/// Those of [`rebuild`].
pub fn rebuild_again(
    settings: &Settings,
    order: &Order<'_>,
    scope: &Scope,
    remembered: Remembered,
    found: &dyn Fn(&Host, bool),
) -> Result<(Done, Remembered), Error> {
    let start = Instant::now();
    settings.layout.root.silences.begin();
    database::begin(settings);
    let targets = Targets::take(settings)?;
    let go_on = |memory| incremental::rebuild(settings, order, scope, &targets, memory, found);
    match remembered.map_err(Halt::Full).and_then(go_on) {
        Ok((done, memory)) => {
            // What is held is not what the host says.
            // What rests is read later.
            if settings.verify && done.held.is_empty() && !settings.layout.root.resting.is_any_behind() {
                verify(settings, &targets)?;
            }
            Ok((done.told(settings, order, start)?, Ok(memory)))
        }
        Err(Halt::Full(because)) => {
            let (done, memory) = publish(settings, order, &targets, found, Some((RandomState::new(), because)))?;
            Ok((done.told(settings, order, start)?, memory))
        }
        Err(Halt::Failed(error)) => Err(error),
    }
}

/// Holds the published files against those of a rebuild that reads everything.
///
/// # Errors
/// They differ, which is a fault in this program.
fn verify(settings: &Settings, targets: &Targets) -> Result<(), Error> {
    let never = Stop::never();
    let mut new = New::stage(targets, &never)?;
    build(settings, &mut new)?;
    for new in [new.recipients.finish()?, new.logins.finish()?] {
        if new.is_new() {
            let text = format!(
                "{}: not what a rebuild of everything makes it (+{} -{}): a fault in this program",
                show_path(new.name()),
                new.difference.as_ref().map_or(0, |difference| difference.came),
                new.difference.as_ref().map_or(0, |difference| difference.went),
            );
            return Err(Error::Temporary(text));
        }
    }
    Ok(())
}

impl Done {
    /// The error that a file of our own is that cannot be used, or a held domain.
    ///
    /// # Errors
    /// When there is one.
    pub fn all_published(self) -> Result<Done, Error> {
        let mut unusable = self.kept.iter().filter_map(|kept| kept.unusable.as_ref());
        if let Some(first) = unusable.next() {
            let path = self.host.layout.root.path(&first.path);
            let text = format!(
                "{}: {}; what depends on that stays as published, and everything else is published",
                show_path(&path),
                first.cause
            );
            let stays = first.stays || unusable.any(|unusable| unusable.stays);
            return Err(if stays { Error::Usage(text) } else { Error::Temporary(text) });
        }
        match self.held.len() {
            0 => Ok(self),
            held => Err(Error::Temporary(format!(
                "held, as the alert says: {}; everything else is published",
                count(held, "domain")
            ))),
        }
    }
}

/// What follows a failure before anything is published.
fn stays(error: Error) -> Error {
    error.then("nothing is published, the old files stay")
}

/// By what the published files are known again, where that is possible: validrcptto.cdb, auth.cdb.
pub type Stamps = (Option<Stamp>, Option<Stamp>);

/// Where both tables go, while no other rebuild runs.
struct Targets {
    recipients: (Target, Look),
    logins: (Target, Look),
    _lock: lock::Lock,
}

impl Targets {
    fn take(settings: &Settings) -> Result<Targets, Error> {
        let find = || -> Result<_, Error> { Ok((settings.recipients_target()?, settings.logins_target()?)) };
        // Another rebuild may hold the lock because they do not answer: they are not waited for twice.
        find().map_err(stays)?;
        let lock = lock::acquire(&settings.layout.root, &settings.state).map_err(stays)?;
        let (recipients, logins) = find().map_err(stays)?;
        if recipients.0.is_the_same(&logins.0) {
            return Err(stays(Error::Usage(format!(
                "{} and {} are the same file",
                show_path(&recipients.0.name),
                show_path(&logins.0.name)
            ))));
        }
        let sources = find_sources(settings).map_err(stays)?;
        let others = others::targets(settings).map_err(stays)?;
        let tables: Vec<&Target> = [&recipients.0, &logins.0].into_iter().chain(&others).collect();
        for (number, other) in tables.iter().enumerate().skip(2) {
            if let Some(same) = tables[..number].iter().find(|table| table.is_the_same(other)) {
                let (same, other) = (show_path(&same.name), show_path(&other.name));
                return Err(stays(Error::Usage(format!("{same} and {other} are the same file"))));
            }
        }
        for target in tables {
            if sources.iter().any(|source| source.is_the_same(target)) {
                let name = show_path(&target.name);
                let text = format!("{name} is read by qmail or vpopmail; no table is published in its place");
                return Err(stays(Error::Usage(text)));
            }
        }
        Ok(Targets { recipients, logins, _lock: lock })
    }

    /// Puts the new files in the place of the old ones. What became of both, and their stamps, are the answer.
    fn publish(&self, recipients: Ready, logins: Ready) -> Result<((TableDone, TableDone), Stamps), Error> {
        let done = (TableDone::of(&self.recipients.0, &recipients), TableDone::of(&self.logins.0, &logins));
        let was_open = self.logins.0.is_open_to_all();
        let of_recipients = recipients.publish().map_err(stays)?;
        let of_logins = logins.publish().map_err(|error| match done.0.published {
            true => error.then(&format!("the new {} is published already", done.0.name)),
            false => stays(error),
        })?;
        if was_open {
            let name = show_path(&done.1.path);
            let text = format!("{name}: everybody on this host could read the hashes in it; its mode is fixed now");
            report::say(Level::Alert, &text);
        }
        for error in [of_recipients.unsynced, of_logins.unsynced].into_iter().flatten() {
            let error =
                error.then("the new file is published, but after a crash of the machine the old one may be there");
            report::say(Level::Alert, &error.to_string());
        }
        Ok((done, (of_recipients.stamp, of_logins.stamp)))
    }
}

/// Where the files are that no table may be published over. What is missing is no table, and neither is what does not
/// answer: where the tables are answers.
fn find_sources(settings: &Settings) -> Result<Vec<Target>, Error> {
    let (root, sources) = (settings.layout.root.clone(), settings.sources());
    let find = move || sources.iter().filter_map(|source| Target::find(&root, source).ok()).collect();
    settings.layout.root.silences.attempt(find).map_err(|cause| Error::undone(&cause))
}

/// Builds both tables and puts them in the place of the old ones.
fn publish(
    settings: &Settings,
    order: &Order<'_>,
    targets: &Targets,
    found: &dyn Fn(&Host, bool),
    service: Option<(RandomState, Because)>,
) -> Result<(Done, Remembered), Error> {
    let (seed, because) = service.unzip();
    let build = || -> Result<_, Error> {
        let (new, mut built) = build_short_enough(settings, order, targets, found, seed.clone())?;
        if let Err(error) = users_seen::remember(settings, &built.host) {
            report::say_all(&[Note::warning(format!(
                "{error}; another rebuild does not know it when the files are gone that tell where vpopmail keeps its users"
            ))]);
        }
        // What it holds could not be kept.
        let published = &built.published;
        if let Some(path) = published.recipients.closed.as_ref().or(published.logins.closed.as_ref()) {
            return Err(Error::io("read", path, nix::errno::Errno::EACCES));
        }
        let mut guarded = guard(settings, order, &built, new.finish()?, &mut || {
            let create = |(target, look): &(Target, Look)| Staged::create(target, *look);
            Ok((create(&targets.recipients)?, create(&targets.logins)?))
        })?;
        let places = (guarded.recipients.take_places(), guarded.logins.take_places());
        let memory = std::mem::replace(&mut built.memory, Err(Because::Start)).map(|mut memory| {
            memory.hold(&guarded);
            (memory, places)
        });
        Ok((guarded, built, memory))
    };
    let (new, built, memory) = build().map_err(stays)?;
    (order.note)(&built.notes);
    let behind = Compiler::due_of(&built.host, &hold::names(&new.held));
    let ((recipients, logins), stamps) = targets.publish(new.recipients, new.logins)?;
    let homes = because.map(|_| HomesRead { read: built.homes, all: built.homes, because });
    let memory = memory.map(|(mut memory, places)| {
        memory.recipients = Laid::of(stamps.0.clone(), places.0);
        memory.logins = Laid::of(stamps.1.clone(), places.1);
        memory
    });
    let done = Done {
        recipients,
        logins,
        next_expiry: new.next_expiry,
        duration: Duration::ZERO,
        held: new.held,
        open_domains: built.open_domains,
        kept: built.kept.clone(),
        denied: built.denied,
        behind,
        host: built.host.clone(),
        host_read: true,
        homes,
        stamps,
        others: Vec::new(),
        is_again_soon: built.is_again_soon,
    };
    Ok((done, memory))
}

impl TableDone {
    fn of(target: &Target, new: &Ready) -> TableDone {
        TableDone {
            path: target.name.clone(),
            name: target.base_name(),
            published: new.is_new(),
            records: new.records,
            difference: new.difference.as_ref().map(|difference| (difference.came, difference.went)),
        }
    }
}

/// New tables that may be published.
struct Guarded {
    recipients: Ready,
    logins: Ready,
    held: Vec<Held>,
    /// Where the recipients of held domains make the table longer or shorter than what the host says.
    moves: Moves,
    /// What an administrator has to know about the held domains.
    alerts: Vec<Note>,
    /// When the first login expires that a hold keeps, in seconds since 1970-01-01 UTC.
    held_expiry: Option<u64>,
    /// When the next login expires, in seconds since 1970-01-01 UTC.
    next_expiry: Option<u64>,
}

impl Guarded {
    /// Nothing is held.
    fn whole((recipients, logins): (Ready, Ready), next_expiry: Option<u64>) -> Guarded {
        Guarded {
            recipients,
            logins,
            held: Vec::new(),
            moves: Moves::default(),
            alerts: Vec::new(),
            held_expiry: None,
            next_expiry,
        }
    }
}

/// The new tables; those of the domains that the guard holds hold what was published too.
fn guard(
    settings: &Settings,
    order: &Order<'_>,
    built: &Built,
    new: (Ready, Ready),
    stage: &mut dyn FnMut() -> Result<(Staged, Staged), Error>,
) -> Result<Guarded, Error> {
    let (mut recipients, mut logins) = new;
    if order.patience == Patience::Force {
        hold::remember(settings, &[])?;
    }
    let weighs = !order.let_go.is_empty() || hold::may_hold(settings, &recipients, &logins)?;
    if order.patience == Patience::Force || !weighs {
        return Ok(Guarded::whole((recipients, logins), built.next_expiry));
    }
    let old = &built.published;
    let of_recipients = change(settings, &settings.validrcptto, &old.recipients.file, &recipients)?;
    let of_logins = change(settings, &settings.auth, &old.logins.file, &logins)?;
    let policy = built.policy();
    let mut scales = Scales::new(settings, &built.host, &policy)?;
    scales.weigh(of_recipients.as_ref(), of_logins.as_ref())?;
    let (held, over) = scales.held(order.patience);
    let (let_go, mut held): (Vec<Held>, Vec<Held>) =
        held.into_iter().partition(|held| order.let_go.contains(&held.domain));
    let notes = not_held(order.let_go, &let_go, &built.host, &|domain| scales.knows(domain))?;
    scales.begin(
        &mut held,
        of_recipients.as_ref().map(|change| &change.published),
        of_logins.as_ref().map(|change| &change.published),
    )?;
    // Before anything is published: the tables do not tell what is new in them.
    if let Err(error) = hold::remember(settings, &held) {
        report::say_all(&[Note::warning(format!("{error}; the next rebuild does not know what is held"))]);
    }
    notes.iter().for_each(|text| report::say(Level::Status, text));
    let mut alerts = scales.alerts(&held, order.then);
    alerts.extend(Scales::published(&over, order.patience));
    report::say_all(&alerts);
    if held.is_empty() {
        return Ok(Guarded { alerts, ..Guarded::whole((recipients, logins), built.next_expiry) });
    }
    let mut moves = Moves::default();
    let (mut kept_recipients, mut kept_logins) = stage()?;
    if let Some(change) = of_recipients {
        moves = scales.keep_recipients(&held, &change, &mut |records| kept_recipients.add(records))?;
        recipients = kept_recipients.finish()?;
    }
    if let Some(change) = of_logins {
        scales.keep_logins(&held, &change, &mut |records| kept_logins.add(records))?;
        logins = kept_logins.finish()?;
    }
    let held_expiry = policy.next_expiry();
    let next_expiry = [built.next_expiry, held_expiry].into_iter().flatten().min();
    Ok(Guarded { recipients, logins, held, moves, alerts, held_expiry, next_expiry })
}

/// What is said of the domains that are to be let go, and that are not held.
///
/// # Errors
/// A name that is none of a domain: somebody mistyped it, and nothing must be done.
fn not_held(
    names: &[Vec<u8>],
    let_go: &[Held],
    host: &Host,
    is_published: &dyn Fn(&[u8]) -> bool,
) -> Result<Vec<String>, Error> {
    let others = names.iter().filter(|name| !let_go.iter().any(|held| held.domain == **name));
    let (known, unknown): (Vec<&Vec<u8>>, Vec<&Vec<u8>>) =
        others.partition(|name| is_published(name) || host.knows(name));
    if !unknown.is_empty() {
        let names: Vec<String> = unknown.iter().map(|name| Shown(name).to_string()).collect();
        let question = unknown.iter().map(|name| domain_question(name, host.control.listed())).collect::<String>();
        let text = format!("--force {}: neither held nor a domain of this host{question}", names.join(" "));
        return Err(Error::Usage(text));
    }
    Ok(known.iter().map(|name| format!("{}: not held; it is published as it is in any case", Shown(name))).collect())
}

/// A new table with the published one, which lies at `inside`; none of one that does not change, and so loses nothing.
fn change<'a>(
    settings: &Settings,
    inside: &[u8],
    published: &'a Option<Arc<Published>>,
    new: &'a Ready,
) -> Result<Option<Change<'a>>, Error> {
    let Some(cdb) = new.cdb()? else { return Ok(None) };
    let change = |published| Change { published, new: cdb, difference: new.difference.as_ref() };
    Ok(whole(settings, inside, published)?.map(change))
}

/// Finishes both files side by side: most of it is waiting for the disk.
fn both<R, L: Send>(
    recipients: impl FnOnce() -> Result<R, Error>,
    logins: impl FnOnce() -> Result<L, Error> + Send,
) -> Result<(R, L), Error> {
    std::thread::scope(|scope| {
        let logins = Builder::new().spawn_scoped(scope, logins).map_err(|cause| Error::thread(&cause))?;
        let recipients = recipients();
        let logins = logins.join().map_err(|_| Error::Temporary("a fault in this program".to_owned()))?;
        Ok((recipients?, logins?))
    })
}

/// The two new files.
struct New<'a> {
    recipients: Staged,
    logins: Staged,
    /// Comes when the service has to end.
    stop: &'a Stop,
}

impl<'a> New<'a> {
    fn stage(targets: &Targets, stop: &'a Stop) -> Result<New<'a>, Error> {
        let stage = |(target, look): &(Target, Look)| {
            target.remove_litter()?;
            Staged::create(target, *look)
        };
        Ok(New { recipients: stage(&targets.recipients)?, logins: stage(&targets.logins)?, stop })
    }

    fn finish(self) -> Result<(Ready, Ready), Error> {
        let (recipients, logins) = (self.recipients, self.logins);
        both(|| recipients.finish(), || logins.finish())
    }

    fn go_on(&self) -> Result<(), Error> {
        if self.stop.is_told() {
            return Err(Error::Temporary("the rebuild was given up, because the service ends".to_owned()));
        }
        Ok(())
    }
}

impl Sink for New<'_> {
    fn recipients(&mut self, records: &Chunk) -> Result<(), Error> {
        self.go_on()?;
        self.recipients.add(records)
    }

    fn logins(&mut self, records: &Chunk) -> Result<(), Error> {
        self.go_on()?;
        self.logins.add(records)
    }
}

/// Reads everything but the homes, and asks the file systems that these are on whether they answer.
///
/// # Errors
/// What stops a rebuild.
pub fn read_host(settings: &Settings, notes: &mut Vec<Note>) -> Result<Host, Error> {
    let (layout, silences) = (settings.layout.clone(), &settings.layout.root.silences);
    silences.read_mounts();
    let earlier = users_seen::remembered(settings)?;
    let read = move || -> Result<_, Error> {
        let (layout, mut notes) = (layout.clone(), Vec::new());
        let sources = Accounts::sources(&layout.root)?;
        let enumerated = match sources == Sources::More && layout.root.is_machine() {
            true => spawn::getent_passwd()
                .map_err(|cause| Error::Temporary(format!("unable to run getent: {}", show_cause(&cause))))?,
            false => None,
        };
        let mut host = Host::read(layout, sources, enumerated.as_deref(), &mut notes)?;
        host.find_users_without_signs(earlier.as_ref(), &mut notes);
        let question = database::question(&host);
        Ok((host, notes, question))
    };
    let (mut host, more, question) = silences.attempt(read).map_err(|cause| Error::undone(&cause))??;
    notes.extend(more);
    database::answer(settings, &mut host, question, notes);
    silences.probe_homes(&host.homes());
    Ok(host)
}

/// Seconds since 1970-01-01 UTC.
pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
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
fn build_and_remember(
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
fn default_unknown(cause: &Trouble, stays: Option<&[u8]>) -> Option<Note> {
    let name = Shown(stays?);
    let text = format!("{cause}; bare names log in for {name}, of which they are published, as before");
    Some(Note::alert(text).of(Code::DefaultDomainUnreadable).but_denied(cause.denied))
}

/// Builds both tables. Where one would be too long for its format, the largest home stays as it is published, and then the
/// next one.
fn build_short_enough<'a>(
    settings: &Settings,
    order: &Order<'a>,
    targets: &Targets,
    found: &dyn Fn(&Host, bool),
    seed: Option<RandomState>,
) -> Result<(New<'a>, Built), Error> {
    let resting = &settings.layout.root.resting;
    let mut left = MAX_GIVEN_UP;
    loop {
        let (mut new, before) = (New::stage(targets, order.stop)?, resting.number_beyond());
        match build_and_remember(settings, &mut new, found, seed.clone()) {
            Ok(built) => return Ok((new, built)),
            Err(error) if !is_too_long(&error) || left == 0 || resting.number_beyond() == before => return Err(error),
            Err(_) => left -= 1,
        }
    }
}

fn is_too_long(error: &Error) -> bool {
    matches!(error, Error::Io { cause, .. } if cause.kind() == std::io::ErrorKind::FileTooLarge)
}

/// In the place of a table that would be too long, the largest home of it stays as it is published for a while.
fn give_up_largest(settings: &Settings, host: &Host, table: &[u8], length: &Length) -> Error {
    let table = settings.layout.root.path(table);
    if let Some((home, stamps, _)) = &length.largest {
        let cause = too_long(&table);
        let domains = host.some_domains_of(home);
        host.layout.root.resting.add(home, domains, stamps.clone(), &cause.as_str().into(), TOO_LONG_AGAIN);
    }
    Error::io("write", &table, std::io::Error::new(std::io::ErrorKind::FileTooLarge, cdb::Corrupt::TooLong))
}

/// Adds the logins of system accounts whose names no mailbox has taken.
fn add_system_users(
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

/// Where the next records go. When a table is longer than it may be, nothing more is written, and it is only counted.
struct Counting<'a> {
    sink: &'a mut (dyn Sink + Send),
    recipients: Length,
    logins: Length,
}

/// How long a table is.
struct Length {
    /// The longest that it may be, in bytes.
    most: u64,
    /// Where the next record begins.
    next: u64,
    records: u64,
    /// The home of which most of it is: the path, what stat(2) said of it, and how many bytes.
    largest: Option<(Vec<u8>, Vec<Option<Stamp>>, u64)>,
}

/// A table has two slots of eight bytes for each record.
const SLOTS: u64 = 16;

impl Length {
    fn new(most: u64) -> Length {
        Length { most, next: cdb::HEADER as u64, records: 0, largest: None }
    }

    fn add(&mut self, records: &Chunk) {
        self.next += records.size() as u64;
        self.records += records.len() as u64;
    }

    fn is_too_long(&self) -> bool {
        self.next + self.records * SLOTS > self.most
    }

    /// Notes what a home has in the table.
    fn add_home(&mut self, home: &[u8], stamps: &[Option<Stamp>], bytes: u64) {
        if bytes > self.largest.as_ref().map_or(0, |(.., most)| *most) {
            self.largest = Some((home.to_vec(), stamps.to_vec(), bytes));
        }
    }
}

impl Counting<'_> {
    /// The first table that is too long, and its length.
    fn too_long(&self, settings: &Settings) -> Option<(Vec<u8>, &Length)> {
        let tables = [(&settings.validrcptto, &self.recipients), (&settings.auth, &self.logins)];
        let found = tables.into_iter().find(|(_, length)| length.is_too_long());
        found.map(|(path, length)| (path.clone(), length))
    }
}

impl Sink for Counting<'_> {
    fn recipients(&mut self, records: &Chunk) -> Result<(), Error> {
        self.recipients.add(records);
        if self.recipients.is_too_long() { Ok(()) } else { self.sink.recipients(records) }
    }

    fn logins(&mut self, records: &Chunk) -> Result<(), Error> {
        self.logins.add(records);
        if self.logins.is_too_long() { Ok(()) } else { self.sink.logins(records) }
    }
}

/// The published files, open before anything is confined.
#[derive(Debug)]
struct Old {
    recipients: Before,
    logins: Before,
}

impl Old {
    fn open(settings: &Settings) -> Result<Old, Error> {
        let open = |(target, _): (Target, Look)| {
            let before = target.before();
            match &before.trouble {
                // What it holds may have to be kept.
                Some(cause) if before.nature != Nature::Host => Err(Error::Temporary(format!(
                    "unable to read {}: {cause}; if that stays so, move the file away",
                    show_path(&target.name)
                ))),
                _ => Ok(before),
            }
        };
        Ok(Old { recipients: open(settings.recipients_target()?)?, logins: open(settings.logins_target()?)? })
    }

    /// Both, to keep entries from.
    fn retained(&self, settings: &Settings, host: &Host) -> (Retained, Retained) {
        retained(settings, host, (&self.recipients, &self.logins))
    }
}

/// Both published tables, to keep entries from.
fn retained(settings: &Settings, host: &Host, (recipients, logins): (&Before, &Before)) -> (Retained, Retained) {
    let path = |inside: &[u8]| settings.layout.root.path(inside);
    let recipients = Retained::new(recipients, path(&settings.validrcptto), &host.control.envnoathost);
    // A bare login may be anybody's.
    (recipients, Retained::new(logins, path(&settings.auth), b""))
}

/// The published logins, for those whose variables control/authvars cannot tell.
fn as_kept(published: Option<&Arc<Published>>) -> Option<&dyn PublishedLogins> {
    published.map(|published| &**published as &dyn PublishedLogins)
}

impl PublishedLogins for Published {
    fn data(&self, login: &[u8]) -> Option<Vec<u8>> {
        self.cdb().ok()?.find(login)
    }
}

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
    published: Old,
    /// How many homes there are.
    homes: usize,
    /// What a service remembers of it.
    memory: Remembered,
    /// Whether something could not be read that another reading may find.
    is_again_soon: bool,
}

impl Built {
    /// How logins are decided.
    pub fn policy(&self) -> Policy<'_> {
        Policy::new(&self.host, &self.variables, self.now).keeping(as_kept(self.published.logins.file.as_ref()))
    }
}

/// Which compiled files are not what their sources say, and who makes them, when the guard holds these domains. For
/// commands that do not run the compilers.
pub fn behind(host: &Host, held: &BTreeSet<Vec<u8>>) -> Vec<Note> {
    Compiler::ALL.into_iter().filter_map(|compiler| behind_of(compiler, host, held)).collect()
}

/// The same of one.
pub fn behind_of(compiler: Compiler, host: &Host, held: &BTreeSet<Vec<u8>>) -> Option<Note> {
    let (how, name) = (&compiler.behind(host)?.how, compiler.name());
    let text = match (compiler.put_off(host, held), compiler.lost(host)) {
        (Some(why), _) => format!("do not run {name} now: {why}"),
        (None, Some(lost)) => format!("{how}, {lost}: put back a line that went by mistake, or run {name}"),
        (None, None) => format!("{how}: run {name}"),
    };
    Some(Note::warning(text).of(Code::CompiledStale))
}

/// The content of a published file to keep entries from. `inside` is its path on the host.
///
/// # Errors
/// Those of [`retain::read_whole`].
fn read_whole(
    settings: &Settings,
    inside: &[u8],
    published: &Option<Arc<Published>>,
) -> Result<Option<Vec<u8>>, Error> {
    retain::read_whole(published.as_deref(), &settings.layout.root.path(inside))
}

/// A published file to compare with, where it lies; none when it is missing or damaged, as [`read_whole`] says.
///
/// # Errors
/// Those of [`read_whole`].
fn whole<'p>(
    settings: &Settings,
    inside: &[u8],
    published: &'p Option<Arc<Published>>,
) -> Result<Option<cdb::FileReader<'p>>, Error> {
    let is_whole = read_whole(settings, inside, published)?.is_some();
    Ok(published.as_ref().filter(|_| is_whole).and_then(|published| published.cdb().ok()))
}
