//! The story of one rebuild, on one page: lock (`targets`), read the host, build the tables home by home (`full`, or
//! `incremental` for those that changed), protect (`guarded`), publish, report (`done`).

mod behind;
pub mod database;
mod done;
mod edits;
mod full;
mod guarded;
pub mod homes;
mod incremental;
mod length;
pub mod memory;
mod old;
pub mod others;
mod targets;
pub mod users_seen;
pub mod workers;

use std::hash::RandomState;
use std::time::{Duration, Instant, SystemTime};

use crate::cdb::Chunk;
use crate::error::{Error, show_cause, show_path};
use crate::host::Host;
use crate::host::accounts::{Accounts, Sources};
use crate::host::compilers::Compiler;
use crate::os::spawn;
use crate::os::stop::Stop;
use crate::protect::hold::{self, Patience};
use crate::publish::{Look, Staged, Target};
use crate::report::{self, Note};
use crate::settings::Settings;

use guarded::guard;
use incremental::Halt;
use length::build_short_enough;
use memory::{Because, Laid, Remembered, Scope};
use targets::{New, Targets};

pub use behind::{behind, behind_of};
pub use done::{Done, HomesRead, TableDone};
pub use full::{Built, build};
pub use targets::Stamps;

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

/// What follows a failure before anything is published.
fn stays(error: Error) -> Error {
    error.then("nothing is published, the old files stay")
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
