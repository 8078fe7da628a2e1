//! The story of one rebuild, on one page: lock, read the host, build the tables home by home, publish, report.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rayon::prelude::*;

use crate::cdb;
use crate::commands;
use crate::confine;
use crate::error::{Error, show_path};
use crate::hold::{self, Held, Images, Patience, Scales, published_default};
use crate::host::accounts::{Accounts, Sources, read_shadow};
use crate::host::authvars::AuthVars;
use crate::host::vpopmail::{ABSENT, Mailboxes};
use crate::host::{Home, HomeState, Homes, Host};
use crate::lock;
use crate::logins::{Login, Policy};
use crate::publish::{Look, Published, Ready, Staged, Target};
use crate::recipients::{self, Answers, Plan, Recipient, Tables, Unit};
use crate::report::{self, Level, Note, Progress};
use crate::settings::Settings;
use crate::text::{Shown, count, split_address};

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
    /// What qmail-newu and qmail-newmrh still have to do.
    pub behind: Vec<Note>,
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
            .filter(|table| table.published)
            .map(|table| table.path.clone())
            .collect()
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
        format!("{head}: {recipients} {logins}{held}{middle} ms={}", self.duration.as_millis())
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
    /// How a held domain is published all the same, in words.
    pub then: &'a str,
    /// Set when the rebuild has to be given up.
    pub stop: &'a AtomicBool,
}

/// Rebuilds and publishes both tables, and says so. What follows a rebuild is [`crate::follow_up`]'s.
///
/// # Errors
/// Whatever keeps the tables from being right; the published files are then the old ones, unless it says otherwise.
pub fn rebuild(settings: &Settings, order: &Order<'_>) -> Result<Done, Error> {
    let done = publish(settings, order)?;
    report::say(Level::Status, &done.story(order.head, order.middle));
    Ok(done)
}

impl Done {
    /// The error that a held domain is.
    ///
    /// # Errors
    /// When one is held.
    pub fn nothing_held(self) -> Result<Done, Error> {
        match self.held.len() {
            0 => Ok(self),
            held => Err(Error::Temporary(format!(
                "held, as the alert says: {}; everything else is published",
                count(held, "domain")
            ))),
        }
    }
}

/// Builds both tables and puts them in the place of the old ones.
fn publish(settings: &Settings, order: &Order<'_>) -> Result<Done, Error> {
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
    for (target, _) in [&recipients, &logins] {
        if settings
            .sources()
            .iter()
            .any(|source| Target::find(&settings.layout.root, source).is_ok_and(|s| s.is_the_same(target)))
        {
            let text = format!("{} is read by qmail; no table is published in its place", show_path(&target.name));
            return Err(stays(Error::Usage(text)));
        }
    }
    let was_open = logins.0.is_open_to_all();
    let stage = |(target, look): &(Target, Look)| {
        target.remove_litter()?;
        Staged::create(target, *look)
    };
    let build = || -> Result<_, Error> {
        let mut new = New { recipients: stage(&recipients)?, logins: stage(&logins)?, stop: order.stop };
        let built = build(settings, &mut new)?;
        let new = (new.recipients.finish()?, new.logins.finish()?);
        let guarded = guard(settings, order, &built, new, &mut || {
            Ok((Staged::create(&recipients.0, recipients.1)?, Staged::create(&logins.0, logins.1)?))
        })?;
        Ok((guarded, built))
    };
    let (new, built) = build().map_err(stays)?;
    report::say_all(&built.notes);
    let table = |target: &Target, new: &Ready| TableDone {
        path: target.name.clone(),
        name: target.base_name(),
        published: new.is_new(),
        records: new.records,
        difference: new.difference,
    };
    let behind = built.behind();
    let (recipients, logins) = (table(&recipients.0, &new.recipients), table(&logins.0, &new.logins));
    new.recipients.publish().map_err(stays)?;
    new.logins.publish().map_err(|error| match recipients.published {
        true => error.then(&format!("the new {} is published already", recipients.name)),
        false => stays(error),
    })?;
    if was_open {
        let name = show_path(&logins.path);
        let text = format!("{name}: everybody on this host could read the hashes in it; its mode is mended now");
        report::say(Level::Alert, &text);
    }
    let duration = start.elapsed();
    Ok(Done { recipients, logins, next_expiry: new.next_expiry, duration, held: new.held, behind })
}

/// New tables that may be published.
struct Guarded {
    recipients: Ready,
    logins: Ready,
    held: Vec<Held>,
    /// When the next login expires, in seconds since 1970-01-01 UTC.
    next_expiry: Option<u64>,
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
        return Ok(Guarded { recipients, logins, held: Vec::new(), next_expiry: built.next_expiry });
    }
    // A table that does not change loses nothing, and is not read.
    let images = Images { recipients: recipients.image()?, logins: logins.image()? };
    let published = built.published.read(settings, images.recipients.is_some(), images.logins.is_some());
    let policy = built.policy();
    let mut scales = Scales::new(settings, &built.host, &policy);
    scales.weigh(&published, &images);
    let held = scales.held(order.patience);
    // Before anything is published: the tables do not tell what is new in them.
    if let Err(error) = hold::remember(settings, &held) {
        report::say_all(&[Note::warning(format!("{error}; the next rebuild does not know what is held"))]);
    }
    report::say_all(scales.alert(&held, order.then).as_slice());
    if held.is_empty() {
        return Ok(Guarded { recipients, logins, held, next_expiry: built.next_expiry });
    }
    let (mut of_recipients, mut of_logins) = stage()?;
    if published.recipients.is_some() {
        scales
            .keep_recipients(&held, &published, &images, &mut |record| of_recipients.add(&record.key, record.data()))?;
        recipients = of_recipients.finish()?;
    }
    if published.logins.is_some() {
        scales.keep_logins(&held, &published, &images, &mut |login| of_logins.add(&login.key, &login.data))?;
        logins = of_logins.finish()?;
    }
    let next_expiry = [built.next_expiry, policy.next_expiry()].into_iter().flatten().min();
    Ok(Guarded { recipients, logins, held, next_expiry })
}

/// The two new files.
struct New<'a> {
    recipients: Staged,
    logins: Staged,
    /// Set when the service has to end.
    stop: &'a AtomicBool,
}

impl New<'_> {
    fn go_on(&self) -> Result<(), Error> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Temporary("the rebuild was given up, because the service ends".to_owned()));
        }
        Ok(())
    }
}

impl Sink for New<'_> {
    fn recipient(&mut self, recipient: Recipient) -> Result<(), Error> {
        self.go_on()?;
        self.recipients.add(&recipient.key, recipient.data())
    }

    fn login(&mut self, login: Login) -> Result<(), Error> {
        self.go_on()?;
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
/// the number of threads. What reads the homes, and calls the sink, is confined to them.
///
/// # Errors
/// What stops a rebuild, and those of the sink.
pub fn build(settings: &Settings, sink: &mut (dyn Sink + Send)) -> Result<Built, Error> {
    let mut notes = Vec::new();
    let mut host = read_host(settings, &mut notes)?;
    let variables = host.read_authvars()?;
    let published = Old::open(settings)?;
    if let Err(cause) = &host.default_domain {
        // The bare names stay those of the domain that they are published of.
        let known = read_whole(settings, &settings.auth, &published.logins)
            .and_then(|image| cdb::Reader::new(&image).ok().and_then(published_default));
        let name = known.as_ref().map(|domain| Shown(domain).to_string());
        notes.extend(name.map(|name| {
            Note::alert(format!("{cause}; bare names log in for {name}, of which they are published, as before"))
        }));
        host.default_domain = Ok(known);
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let hashes = settings.auth_system_users.then(|| read_shadow(&settings.layout.root, now / 86_400)).transpose()?;
    let policy = Policy::new(&host, &variables, now);
    let plan = Plan::new(&host);
    let folders = confine::folders(&host);
    let confined = || -> Result<(Unread, recipients::Outcome), Error> {
        let homes = HomeReader::new(&host, published.logins.as_ref(), settings.threads);
        let mut tables = Tables::new(&plan);
        let (mut unread, mut bare) = ask_all(settings, &plan, &policy, &homes, &mut tables, sink)?;
        let image = if tables.is_doubtful() {
            read_whole(settings, &settings.validrcptto, &published.recipients)
        } else {
            None
        };
        let cdb = image.as_deref().and_then(|image| cdb::Reader::new(image).ok());
        let outcome = tables.finish(&homes, cdb, &mut |recipient| sink.recipient(recipient))?;
        if !unread.domains.is_empty() {
            let image = read_whole(settings, &settings.auth, &published.logins);
            for login in unread.keep_logins(image.as_deref(), &policy) {
                bare.insert(login.key.clone());
                sink.login(login)?;
            }
        }
        let users = host.accounts.accepted.keys().filter(|name| !bare.contains(*name));
        let hash_of = |name: &Vec<u8>| hashes.as_ref()?.get(name);
        for login in users.filter_map(|name| policy.system_user(name, hash_of(name)?)) {
            sink.login(login)?;
        }
        Ok((unread, outcome))
    };
    let (result, unconfined) = confine::within(&folders, confined)?;
    let (unread, outcome) = result?;
    notes.extend(unconfined);
    notes.extend(unread.alerts(&host, &outcome));
    notes.extend(unread.notes);
    notes.extend(outcome.notes);
    let next_expiry = policy.next_expiry();
    Ok(Built { notes, next_expiry, host, variables, now, published })
}

/// Asks every unit, and hands the records of the domains that are complete to the sink. What could not be read and the
/// bare logins are the answer.
fn ask_all(
    settings: &Settings,
    plan: &Plan<'_>,
    policy: &Policy<'_>,
    homes: &HomeReader<'_>,
    tables: &mut Tables<'_>,
    sink: &mut dyn Sink,
) -> Result<(Unread, HashSet<Vec<u8>>), Error> {
    let start = || rayon::ThreadPoolBuilder::new().num_threads(settings.threads).build();
    let pool = (settings.threads > 1)
        .then(start)
        .transpose()
        .map_err(|cause| Error::Temporary(format!("unable to start {} threads: {cause}", settings.threads)))?;
    let progress = Progress::new(plan.units.len());
    let mut unread = Unread::default();
    let mut bare = HashSet::new();
    // A batch is asked in parallel and added in order: what is in memory stays bounded.
    let batch = settings.threads * 32;
    for (number, units) in plan.units.chunks(batch).enumerate() {
        let ask = |unit| ask(plan, policy, unit, homes);
        let asked: Vec<Asked> = match &pool {
            Some(pool) => pool.install(|| units.par_iter().map(ask).collect()),
            None => units.iter().map(ask).collect(),
        };
        for (index, asked) in asked.into_iter().enumerate() {
            tables.add(number * batch + index, asked.answers, &mut |recipient| sink.recipient(recipient))?;
            unread.causes.extend(asked.trouble);
            unread.domains.extend(asked.unread_domains);
            unread.notes.extend(asked.notes);
            for login in asked.logins {
                if !login.key.contains(&b'@') {
                    bare.insert(login.key.clone());
                }
                sink.login(login)?;
            }
        }
        progress.advance(units.len());
    }
    Ok((unread, bare))
}

/// The published files, open before anything is confined.
#[derive(Debug)]
struct Old {
    recipients: Option<Published>,
    logins: Option<Published>,
}

impl Old {
    fn open(settings: &Settings) -> Result<Old, Error> {
        let open = |target: Target| target.open().ok();
        Ok(Old { recipients: open(settings.recipients_target()?.0), logins: open(settings.logins_target()?.0) })
    }

    /// Reads those that are wanted.
    fn read(&self, settings: &Settings, recipients: bool, logins: bool) -> Images {
        let read = |wanted: bool, inside: &[u8], published| {
            if wanted { read_whole(settings, inside, published) } else { None }
        };
        Images {
            recipients: read(recipients, &settings.validrcptto, &self.recipients),
            logins: read(logins, &settings.auth, &self.logins),
        }
    }
}

/// What came of building beside the records.
#[derive(Debug)]
pub struct Built {
    /// What somebody should know.
    pub notes: Vec<Note>,
    /// When the next login expires, in seconds since 1970-01-01 UTC.
    pub next_expiry: Option<u64>,
    /// What the host said.
    pub host: Host,
    variables: AuthVars,
    /// When it was said, in seconds since 1970-01-01 UTC.
    now: u64,
    published: Old,
}

impl Built {
    /// What qmail-newu and qmail-newmrh still have to do, for commands that do not run them.
    pub fn behind(&self) -> Vec<Note> {
        let host = &self.host;
        let compilers =
            [(&host.assignments.behind, "qmail-newu"), (&host.control.morercpthosts_behind, "qmail-newmrh")];
        let note =
            |(behind, name): (&Option<String>, _)| Some(Note::warning(format!("{}: run {name}", behind.as_ref()?)));
        compilers.into_iter().filter_map(note).collect()
    }

    /// How logins are decided.
    pub fn policy(&self) -> Policy<'_> {
        Policy::new(&self.host, &self.variables, self.now)
    }
}

/// The content of a published file to keep entries from; a damaged one has lost who knows what, and nothing is kept from
/// it. `inside` is its path on the host.
fn read_whole(settings: &Settings, inside: &[u8], published: &Option<Published>) -> Option<Vec<u8>> {
    let image = published.as_ref()?.read().ok()?;
    let whole = cdb::Reader::new(&image).and_then(|cdb| cdb.check());
    if let Err(corrupt) = whole {
        let path = settings.layout.root.path(inside);
        let text = format!("{}: {corrupt}; nothing can be kept from it", show_path(&path));
        report::say_all(&[Note::alert(text)]);
        return None;
    }
    Some(image)
}

/// What came of one unit.
struct Asked {
    answers: Answers,
    logins: Vec<Login>,
    /// The home and why it, or its mailboxes, could not be read.
    trouble: Option<(Vec<u8>, String)>,
    /// The domains whose logins could not be read, with their home.
    unread_domains: Vec<(Vec<u8>, Vec<u8>)>,
    /// What was left unread in the home, or not listed.
    notes: Vec<Note>,
}

fn ask(plan: &Plan<'_>, policy: &Policy<'_>, unit: &Unit<'_>, homes: &HomeReader<'_>) -> Asked {
    let mut asked = Asked {
        answers: plan.ask(unit, homes),
        logins: Vec::new(),
        trouble: None,
        unread_domains: Vec::new(),
        notes: Vec::new(),
    };
    let Some(path) = unit.home else { return asked };
    let home = homes.home(path);
    if unit.matters {
        asked.notes.extend(homes.host.unread_notes(&home));
        if asked.answers.cut {
            let path = homes.host.layout.root.path(path);
            asked.notes.push(Note::alert(format!(
                "{}: its .qmail names with colons can be spelled in more ways than the {} of --max-names; of the others \
                 only the spelling with dots and the one with colons are accepted",
                show_path(&path),
                homes.host.layout.root.bounds.names
            )));
        }
    }
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
    /// What was left unread in homes, or not listed.
    notes: Vec<Note>,
}

impl Unread {
    /// The published logins of the domains that could not be read; `published` is auth.cdb.
    fn keep_logins(&mut self, published: Option<&[u8]>, policy: &Policy<'_>) -> Vec<Login> {
        let mut kept = BTreeMap::new();
        let published = published.into_iter().flat_map(cdb::Reader::new);
        // A bare login may be anybody's: those of the default domain are made anew.
        for record in published.flat_map(|cdb| cdb.records()) {
            if let Some((name, domain)) = split_address(record.key)
                && let Some(home) = self.domains.get(domain)
            {
                *self.kept.entry(home.clone()).or_default() += 1;
                for login in policy.kept(name, domain, record.data) {
                    kept.entry(login.key.clone()).or_insert(login);
                }
            }
        }
        kept.into_values().collect()
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
                if !kept.accepted.is_empty() {
                    let some: Vec<String> =
                        kept.accepted.iter().take(3).map(|domain| Shown(domain).to_string()).collect();
                    let more = if kept.accepted.len() > some.len() { " and others" } else { "" };
                    follows.push(format!(
                        "nothing is published to keep for {}{more}, so what leads there is accepted",
                        some.join(", ")
                    ));
                }
            }
            if let Some(count) = self.kept.get(home) {
                follows.push(format!("{count} logins are kept as published"));
            } else if self.domains.iter().any(|(domain, unread)| unread == home && host.is_vpopmail_like(domain)) {
                follows.push("no login is published to keep, so nobody logs in there".to_owned());
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
    /// Those that could not be read, all of them: one that can be read again a moment later is still in doubt, so that
    /// its published entries are kept and not only half of them.
    troubled: Mutex<HashMap<Vec<u8>, Arc<Home>>>,
    /// The domains that have published logins; read when the first one without mailboxes is met.
    published_domains: OnceLock<HashSet<Vec<u8>>>,
    /// auth.cdb.
    published: Option<&'a Published>,
}

impl<'a> HomeReader<'a> {
    /// Remembers a few homes for each thread. `published` is auth.cdb.
    pub fn new(host: &'a Host, published: Option<&'a Published>, threads: usize) -> HomeReader<'a> {
        let remembered = 4 + 2 * threads;
        let (recent, troubled) = (Mutex::default(), Mutex::default());
        HomeReader { host, recent, remembered, troubled, published_domains: OnceLock::new(), published }
    }

    fn read_published_domains(&self) -> HashSet<Vec<u8>> {
        let image = self.published.and_then(|published| published.read().ok()).unwrap_or_default();
        let logins = cdb::Reader::new(&image).into_iter().flat_map(|cdb| cdb.records());
        logins.filter_map(|login| split_address(login.key)).map(|(_, domain)| domain.to_vec()).collect()
    }

    /// Reads a home. One that holds no mailboxes any more, though logins of its domain are published, is half deleted
    /// or an empty mount point: nothing in it counts. Unless its .qmail-default says that it is no vpopmail domain now.
    fn read(&self, path: &[u8]) -> Home {
        let mut home = self.host.read_home(path);
        if let (HomeState::Listed(perm, dot_qmails), Mailboxes::Absent) = (&home.state, &home.mailboxes)
            && !dot_qmails.default_serves_otherwise()
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
        let troubled = || self.troubled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(home) = troubled().get(path) {
            return home.clone();
        }
        let home = Arc::new(self.read(path));
        if home.trouble().is_some() {
            troubled().insert(path.to_vec(), home.clone());
            return home;
        }
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.insert(0, home.clone());
        recent.truncate(self.remembered);
        home
    }
}
