//! The story of one rebuild, on one page: lock, read the host, build the tables home by home, publish, report.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use rayon::prelude::*;

use crate::cdb;
use crate::commands;
use crate::error::{Error, show_path};
use crate::follow_up;
use crate::host::accounts::{Accounts, Sources, read_shadow};
use crate::host::vpopmail::{ABSENT, Mailboxes};
use crate::host::{Home, HomeState, Homes, Host};
use crate::lock;
use crate::logins::{Login, Policy};
use crate::publish::{Look, Staged, Target};
use crate::recipients::{self, Answers, Plan, Recipient, Tables, Unit};
use crate::report::{self, Level, Note, Progress};
use crate::settings::Settings;
use crate::text::{Shown, split_address};

/// Where the records of the two tables go.
pub trait Sink {
    /// Takes a record of validrcptto.cdb.
    ///
    /// # Errors
    /// It cannot be written.
    fn recipient(&mut self, recipient: Recipient) -> Result<(), Error>;
    /// Takes a record of auth.cdb.
    ///
    /// # Errors
    /// It cannot be written.
    fn login(&mut self, login: Login) -> Result<(), Error>;
}

/// Rebuilds and publishes both tables, and then, unless `commands` is off, runs what follows a rebuild.
///
/// # Errors
/// Whatever keeps them from being right; the published files are then the old ones, unless it says otherwise. A command
/// that failed.
pub fn rebuild(settings: &Settings, commands: bool) -> Result<(), Error> {
    let start = Instant::now();
    let stays = |error: Error| error.then("nothing is published, the old files stay");
    let _lock = lock::acquire(&settings.layout.root, &settings.state).map_err(stays)?;
    let targets = || -> Result<_, Error> { Ok((settings.recipients_target()?, settings.logins_target()?)) };
    let (recipients, logins) = targets().map_err(stays)?;
    if recipients.0.is_the_same(&logins.0) {
        return Err(stays(Error::Usage(format!(
            "{} and {} are the same file",
            show_path(&recipients.0.name),
            show_path(&logins.0.name)
        ))));
    }
    let stage = |(target, look): &(Target, Look)| {
        target.remove_litter()?;
        Staged::create(target, *look)
    };
    let build = || -> Result<_, Error> {
        let mut new = New { recipients: stage(&recipients)?, logins: stage(&logins)? };
        let built = build(settings, &mut new)?;
        Ok((new.recipients.finish()?, new.logins.finish()?, built))
    };
    let (new_recipients, new_logins, built) = build().map_err(stays)?;
    report::say_all(&built.notes);
    let (recipient_count, login_count) = (new_recipients.records, new_logins.records);
    let recipients_changed = new_recipients.publish().map_err(stays)?;
    let logins_changed = new_logins
        .publish()
        .map_err(|error| error.then(&format!("the new {} is published already", recipients.0.base_name())))?;
    let word = |changed| if changed { "published" } else { "unchanged" };
    report::say(
        Level::Status,
        &format!(
            "rebuild done: {} {} recipients={recipient_count} {} {} logins={login_count} ms={}",
            recipients.0.base_name(),
            word(recipients_changed),
            logins.0.base_name(),
            word(logins_changed),
            start.elapsed().as_millis()
        ),
    );
    let changed = [(recipients.0, recipients_changed), (logins.0, logins_changed)];
    let changed: Vec<PathBuf> =
        changed.into_iter().filter(|(_, changed)| *changed).map(|(target, _)| target.name).collect();
    if !commands {
        report::say_all(&built.behind());
        return Ok(());
    }
    match follow_up::run(settings, &changed) {
        0 => Ok(()),
        failed => Err(Error::Temporary(format!("{failed} commands failed; both files are right, and stay published"))),
    }
}

/// The two new files.
struct New {
    recipients: Staged,
    logins: Staged,
}

impl Sink for New {
    fn recipient(&mut self, recipient: Recipient) -> Result<(), Error> {
        self.recipients.add(&recipient.key, recipient.data())
    }

    fn login(&mut self, login: Login) -> Result<(), Error> {
        self.logins.add(&login.key, &login.data)
    }
}

/// Reads everything but the homes.
///
/// # Errors
/// What stops a rebuild.
pub fn read_host(settings: &Settings, notes: &mut Vec<Note>) -> Result<Host, Error> {
    let layout = settings.layout.clone();
    let sources = Accounts::sources(&layout.root)?;
    let enumerated = (sources == Sources::More && layout.root.is_machine()).then(commands::getent_passwd).flatten();
    Host::read(layout, sources, enumerated.as_deref(), notes)
}

/// Builds both tables into the sink, home by home. The same sources give the same records in the same order, whatever
/// the number of threads.
///
/// # Errors
/// What stops a rebuild, and those of the sink.
pub fn build(settings: &Settings, sink: &mut dyn Sink) -> Result<Built, Error> {
    let mut notes = Vec::new();
    let host = read_host(settings, &mut notes)?;
    let variables = host.read_authvars()?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let policy = Policy { host: &host, variables: &variables, now };
    let plan = Plan::new(&host);
    let homes = HomeReader::new(&host, settings);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(settings.threads)
        .build()
        .map_err(|cause| Error::Temporary(format!("unable to start {} threads: {cause}", settings.threads)))?;
    let progress = Progress::new(plan.units.len());
    let mut tables = Tables::new(&plan);
    let mut unread = Unread::default();
    let mut bare = HashSet::new();
    // A batch is asked in parallel and added in order: what is in memory stays bounded.
    let batch = settings.threads * 32;
    for (number, units) in plan.units.chunks(batch).enumerate() {
        let asked: Vec<Asked> =
            pool.install(|| units.par_iter().map(|unit| ask(&plan, &policy, unit, &homes)).collect());
        for (index, asked) in asked.into_iter().enumerate() {
            tables.add(number * batch + index, asked.answers, &mut |recipient| sink.recipient(recipient))?;
            unread.causes.extend(asked.trouble);
            unread.domains.extend(asked.unread_domains);
            for login in asked.logins {
                if !login.key.contains(&b'@') {
                    bare.insert(login.key.clone());
                }
                sink.login(login)?;
            }
        }
        progress.advance(units.len());
    }
    let published = if tables.is_doubtful() { settings.recipients_target()?.0.read() } else { None };
    let published = published.as_deref().and_then(|image| cdb::Reader::new(image).ok());
    let outcome = tables.finish(&homes, published, &mut |recipient| sink.recipient(recipient))?;
    for login in unread.keep_logins(settings, &policy)? {
        bare.insert(login.key.clone());
        sink.login(login)?;
    }
    if settings.auth_system_users {
        let hashes = read_shadow(&settings.layout.root, now / 86_400)?;
        let users = host.accounts.accepted.keys().filter(|name| !bare.contains(*name));
        for login in users.filter_map(|name| policy.system_user(name, hashes.get(name)?)) {
            sink.login(login)?;
        }
    }
    notes.extend(unread.alerts(&host, &outcome));
    notes.extend(outcome.notes);
    Ok(Built { notes, assign_behind: host.assignments.behind, morercpthosts_behind: host.control.morercpthosts_behind })
}

/// What came of building beside the records.
#[derive(Debug)]
pub struct Built {
    /// What somebody should know.
    pub notes: Vec<Note>,
    assign_behind: Option<String>,
    morercpthosts_behind: Option<String>,
}

impl Built {
    /// What qmail-newu and qmail-newmrh still have to do, for commands that do not run them.
    pub fn behind(&self) -> Vec<Note> {
        let compilers = [(&self.assign_behind, "qmail-newu"), (&self.morercpthosts_behind, "qmail-newmrh")];
        let note =
            |(behind, name): (&Option<String>, _)| Some(Note::warning(format!("{}: run {name}", behind.as_ref()?)));
        compilers.into_iter().filter_map(note).collect()
    }
}

/// What came of one unit.
struct Asked {
    answers: Answers,
    logins: Vec<Login>,
    /// The home and why it, or its mailboxes, could not be read.
    trouble: Option<(Vec<u8>, String)>,
    /// The domains whose logins could not be read, with their home.
    unread_domains: Vec<(Vec<u8>, Vec<u8>)>,
}

fn ask(plan: &Plan<'_>, policy: &Policy<'_>, unit: &Unit<'_>, homes: &HomeReader<'_>) -> Asked {
    let mut asked =
        Asked { answers: plan.ask(unit, homes), logins: Vec::new(), trouble: None, unread_domains: Vec::new() };
    let Some(path) = unit.home else { return asked };
    let home = homes.home(path);
    asked.trouble = home.trouble().filter(|_| unit.matters).map(|cause| (path.to_vec(), cause));
    for (domain, _) in &unit.vpopmail_domains {
        match policy.domain(domain, &home) {
            Ok(logins) => asked.logins.extend(logins),
            // A home without mailboxes may just be no vpopmail domain.
            Err(_) if asked.trouble.is_none() => {}
            Err(_) => asked.unread_domains.push((domain.to_vec(), path.to_vec())),
        }
    }
    asked
}

/// What could not be read.
#[derive(Default)]
struct Unread {
    /// Why, by home.
    causes: BTreeMap<Vec<u8>, String>,
    /// The homes of the domains whose logins are unknown.
    domains: BTreeMap<Vec<u8>, Vec<u8>>,
    /// How many published logins are kept, by home.
    kept: BTreeMap<Vec<u8>, usize>,
}

impl Unread {
    /// The published logins of the domains that could not be read.
    fn keep_logins(&mut self, settings: &Settings, policy: &Policy<'_>) -> Result<Vec<Login>, Error> {
        if self.domains.is_empty() {
            return Ok(Vec::new());
        }
        let Some(image) = settings.logins_target()?.0.read() else { return Ok(Vec::new()) };
        let Ok(published) = cdb::Reader::new(&image) else { return Ok(Vec::new()) };
        let mut kept = BTreeMap::new();
        for record in published.records() {
            // A bare login may be a system account's: it belongs to the default domain when its address is there too.
            let address = match split_address(record.key) {
                Some(_) => record.key.to_vec(),
                None => policy.address_of_bare(record.key),
            };
            let Some((_, domain)) = split_address(&address).filter(|_| published.find(&address).is_some()) else {
                continue;
            };
            if let Some(home) = self.domains.get(domain) {
                *self.kept.entry(home.clone()).or_default() += 1;
                if let Some(login) = policy.kept(record.key, &address, record.data) {
                    kept.entry(login.key.clone()).or_insert(login);
                }
            }
        }
        Ok(kept.into_values().collect())
    }

    /// One alert for each home that could not be read: why, and what follows for recipients and logins.
    fn alerts(&self, host: &Host, outcome: &recipients::Outcome) -> Vec<Note> {
        let homes: BTreeSet<&Vec<u8>> = self.causes.keys().chain(outcome.unread.keys()).collect();
        let alert = |home: &Vec<u8>| {
            let cause =
                self.causes.get(home).map_or("the user that users/assign names may not enter it", String::as_str);
            let mut follows = Vec::new();
            if let Some(kept) = outcome.unread.get(home) {
                if kept.keys > 0 {
                    follows.push(format!("{} recipients are kept as published", kept.keys));
                }
                if let Some(domain) = kept.accepted.first() {
                    let more = match kept.accepted.len() - 1 {
                        0 => String::new(),
                        more => format!(" and {more} more domains"),
                    };
                    let domain = Shown(domain);
                    follows.push(format!(
                        "nothing is published to keep for {domain}{more}, so what leads there is accepted"
                    ));
                }
            }
            if self.domains.values().any(|unread| unread == home) {
                follows.push(match self.kept.get(home) {
                    Some(count) => format!("{count} logins are kept as published"),
                    None => "no login is published to keep, so nobody logs in there".to_owned(),
                });
            }
            let path = host.layout.root.path(home);
            let text = format!("{}: {}; {}", show_path(&path), Shown(cause.as_bytes()), follows.join("; "));
            (!follows.is_empty()).then(|| Note::alert(text))
        };
        homes.into_iter().filter_map(alert).collect()
    }
}

/// Reads homes from the host, and remembers the last few: an address may lead from one home to the next.
pub struct HomeReader<'a> {
    host: &'a Host,
    recent: Mutex<Vec<Arc<Home>>>,
    remembered: usize,
    /// The domains that have published logins; read when the first one without mailboxes is met.
    published_domains: OnceLock<HashSet<Vec<u8>>>,
    settings: &'a Settings,
}

impl<'a> HomeReader<'a> {
    /// Remembers a few homes for each thread.
    pub fn new(host: &'a Host, settings: &'a Settings) -> HomeReader<'a> {
        let remembered = 4 + 2 * settings.threads;
        HomeReader { host, recent: Mutex::default(), remembered, published_domains: OnceLock::new(), settings }
    }

    fn read_published_domains(&self) -> HashSet<Vec<u8>> {
        let image = self.settings.logins_target().ok().and_then(|(target, _)| target.read()).unwrap_or_default();
        let logins = cdb::Reader::new(&image).into_iter().flat_map(|cdb| cdb.records());
        logins.filter_map(|login| split_address(login.key)).map(|(_, domain)| domain.to_vec()).collect()
    }

    /// Reads a home. One that holds no mailboxes any more, though logins of its domain are published, is half deleted
    /// or an empty mount point: nothing in it counts.
    fn read(&self, path: &[u8]) -> Home {
        let mut home = self.host.read_home(path);
        if let (HomeState::Listed(perm, _), Mailboxes::Absent) = (&home.state, &home.mailboxes)
            && self
                .host
                .domains_of(path)
                .any(|domain| self.published_domains.get_or_init(|| self.read_published_domains()).contains(domain))
        {
            home.state = HomeState::Unreadable(Some(*perm), ABSENT.to_owned());
        }
        home
    }
}

impl Homes for HomeReader<'_> {
    fn home(&self, path: &[u8]) -> Arc<Home> {
        {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = recent.iter().position(|home| home.path == path) {
                let home = recent.remove(at);
                recent.insert(0, home.clone());
                return home;
            }
        }
        let home = Arc::new(self.read(path));
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.insert(0, home.clone());
        recent.truncate(self.remembered);
        home
    }
}
