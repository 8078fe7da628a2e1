//! Actions: what an administrator hangs on what the service saw change, and the skeleton of a new mailbox. The story of
//! one round, which follows a rebuild: look at the domains that it looked at, compare with what was seen before, run
//! what has to be run for each difference, remember. A notice runs nothing: only what the host says counts.
//!
//! At least once: what was seen is remembered after its actions ran.

pub mod seen;
pub mod skel;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::hash::RandomState;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::unistd::{getegid, geteuid};

use crate::commands::{self, Outcome, Task};
use crate::confine;
use crate::error::{Error, show_cause, show_path};
use crate::host::Host;
use crate::host::inventory::Inventory;
use crate::host::look::Look;
use crate::host::vpopmail::directory_of;
use crate::rebuild::memory::Scope;
use crate::report::{self, Level, Note};
use crate::root::{End, Folders, Found, Kind, Perm, Root, Who};
use crate::settings::Settings;
use crate::text::{Shown, count, join_address};
use seen::{Change, Domain, Domains, Files, Key, Picture, Unread, What, difference};

/// What is seen, as files of the folder are named.
const SEEN: [&str; 8] =
    ["add_domain", "del_domain", "add_alias_domain", "add_user", "del_user", "mod_user", "insert_alias", "del_alias"];
/// The file that is run for each of them.
const ANY: &str = "any";
/// How a name ends that runs as root.
const AS_ROOT: &str = ".root";
/// A domain that would lose so many names at once is looked at again after another rebuild: the guard goes first.
const MANY: usize = 10;
/// While a domain's actions run, what was done is written down so often.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// How much of an argument is logged, in bytes.
const MAX_SHOWN: usize = 200;
/// How much of an alias an argument holds, in bytes.
const MAX_LINES: usize = 64 << 10;

/// What a rebuild leaves for the round that follows it.
#[derive(Debug)]
pub struct Occasion {
    /// The host as it was read.
    pub host: Arc<Host>,
    /// Which homes were looked at.
    pub scope: Scope,
    /// The domains that the guard holds.
    pub held: BTreeSet<Vec<u8>>,
    /// When the rebuild began.
    pub began: Instant,
    /// When the round begins, since 1970-01-01 UTC.
    pub now: Duration,
}

/// What came of a round.
#[derive(Debug, Default)]
pub struct Round {
    /// Whether a domain was put off, or the service ends; the next round begins with it.
    pub is_cut_off: bool,
    /// What the next rebuild has to look at again.
    pub again: Scope,
    /// How many actions failed; they are not run again.
    pub failed: usize,
    /// What the log says of the last one.
    pub last_failure: Option<String>,
}

/// What a service remembers between rounds.
#[derive(Default)]
pub struct Actions {
    known: Option<Known>,
    /// When it was first seen that there is nothing to do any more.
    off_since: Option<Instant>,
}

/// What is known once the first round has begun.
struct Known {
    key: Key,
    domains: Domains,
    /// How the homes looked when their pictures were made.
    looks: HashMap<Vec<u8>, Look>,
    seed: RandomState,
    /// Domains that would lose many names: what they would hold, and when that was seen.
    doubtful: HashMap<Vec<u8>, (u64, Instant)>,
    /// Domains that are gone while another one is: when that was seen first.
    missing: HashMap<Vec<u8>, Instant>,
    /// Pictures that could not be written.
    unwritten: HashMap<Vec<u8>, Picture>,
}

/// Why something was not run, which is owed now.
enum Stopped {
    /// The service ends.
    Ends,
    /// This domain is put off to the next round, and only this one.
    PutOff,
}

/// Whether the domain was put off.
fn is_put_off(run: Result<(), Stopped>) -> Result<bool, Stopped> {
    match run {
        Err(Stopped::Ends) => Err(Stopped::Ends),
        run => Ok(run.is_err()),
    }
}

/// Whether there is anything to do: a folder of actions, a skeleton, or something remembered that is to be forgotten.
pub fn are_wanted(settings: &Settings) -> bool {
    is_on(settings) == Some(true) || files(settings).are_there()
}

/// Whether there is a folder of actions, or a skeleton; `None` when nobody knows. A VPOPMAIL without anything in it may be
/// mounted again.
fn is_on(settings: &Settings) -> Option<bool> {
    let root = &settings.layout.root;
    let is_there = |inside: &[u8]| match root.walk(inside).end {
        End::Found(_) => Some(true),
        End::Missing(_) => Some(false),
        End::Failed(_) => None,
    };
    let is_mounted = || match root.walk(&settings.layout.vpopmail).end {
        End::Found(found) => {
            found.open_directory().and_then(|open| open.entries(|_| true)).is_ok_and(|all| !all.is_empty())
        }
        End::Missing(_) | End::Failed(_) => false,
    };
    match (is_there(&settings.actions), is_there(&skel::path(settings))) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) if is_mounted() => Some(false),
        _ => None,
    }
}

fn files(settings: &Settings) -> Files<'_> {
    Files { root: &settings.layout.root, state: &settings.state }
}

/// What happened, as vpopmail would tell its onchange script.
struct Event<'a> {
    name: &'static str,
    object: Vec<u8>,
    second: Vec<u8>,
    domain: &'a [u8],
    of: &'a Domain,
    /// The directory of a mailbox that appeared.
    directory: Option<Vec<u8>>,
}

impl<'a> Event<'a> {
    fn of_domain(name: &'static str, domain: &'a [u8], of: &'a Domain) -> Event<'a> {
        Event { name, object: domain.to_vec(), second: b"-".to_vec(), domain, of, directory: None }
    }

    fn added(domain: &'a [u8], of: &'a Domain) -> Event<'a> {
        match &of.real {
            Some(real) => Event { second: real.clone(), ..Event::of_domain("add_alias_domain", domain, of) },
            None => Event::of_domain("add_domain", domain, of),
        }
    }

    fn deleted(domain: &'a [u8], of: &'a Domain) -> Event<'a> {
        let event = Event::of_domain("del_domain", domain, of);
        match &of.real {
            Some(real) => Event { object: [domain, b" alias of ", real].concat(), ..event },
            None => event,
        }
    }

    /// What became of a name, and what stands behind it now.
    fn of_name(
        (change, what, name): (Change, What, &[u8]),
        domain: &'a [u8],
        of: &'a Domain,
        inventory: Option<&Inventory>,
    ) -> Event<'a> {
        let called = match (change, what) {
            (Change::Gone, What::Mailbox) => "del_user",
            (Change::New, What::Mailbox) => "add_user",
            (Change::Other, What::Mailbox) => "mod_user",
            (Change::Gone, What::Alias) => "del_alias",
            (_, What::Alias) => "insert_alias",
        };
        let mut event = Event { object: join_address(name, domain), ..Event::of_domain(called, domain, of) };
        let alias = inventory.and_then(|inventory| inventory.aliases.get(name)).filter(|_| what == What::Alias);
        // The domain's owner is told nothing that he could not read himself.
        if let Some((_, lines)) = alias.filter(|(perm, _)| perm.uid == of.who.uid && perm.readable(of.who)) {
            // As much of it as an argument can hold.
            let lines = &lines[..lines.len().min(MAX_LINES)];
            let lines = lines.split(|b| *b == 0).next().unwrap_or_default();
            let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
            if !lines.is_empty() {
                event.second = lines.to_vec();
            }
        }
        if called == "add_user" {
            let record = inventory.and_then(|inventory| inventory.mailboxes.record(name));
            event.directory = record.map(|record| directory_of(record).to_vec());
        }
        event
    }

    /// For the log; no space in it can pass for anything else.
    fn shown(&self) -> String {
        let object = &self.object[..self.object.len().min(MAX_SHOWN)];
        format!("{}:{}", self.name, Shown(object).to_string().replace(' ', "\\x20"))
    }
}

/// The programs of the folder that are run.
struct Programs(BTreeMap<String, PathBuf>);

/// Why somebody else than root and we could put something there; `None` when nobody could.
fn distrust(root: &Root, inside: &[u8]) -> Result<Found, String> {
    let is_foreign = |uid: u32| uid != 0 && uid != geteuid().as_raw();
    let why = |perm: &Perm| match perm {
        perm if is_foreign(perm.uid) => Some(format!("it belongs to uid {}", perm.uid)),
        perm if perm.mode & 0o022 != 0 => Some(format!("others may write it (mode {:04o})", perm.mode)),
        _ => None,
    };
    let ends = inside.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at.max(1)).chain([inside.len()]);
    for end in ends {
        let part = &inside[..end];
        let found = match root.walk(part).end {
            End::Found(found) => found,
            End::Missing(cause) | End::Failed(cause) => {
                return Err(format!("{}: {}", show_path(&root.path(part)), cause.desc()));
            }
        };
        if let Some(why) = why(&found.perm) {
            return Err(format!("{}: {why}", show_path(&root.path(part))));
        }
    }
    let walk = root.walk(inside);
    let linked = walk.searched.iter().find_map(why);
    let linked =
        linked.or(walk.link_owners.iter().find(|uid| is_foreign(**uid)).map(|uid| format!("it is uid {uid}'s")));
    match (linked, walk.end) {
        (None, End::Found(found)) => Ok(found),
        (Some(why), _) => Err(format!("{}: a link or folder on the way: {why}", show_path(&root.path(inside)))),
        (None, _) => Err(format!("{}: gone", show_path(&root.path(inside)))),
    }
}

/// What keeps actions from being run, by what lies in their folder.
pub fn findings(settings: &Settings) -> Vec<Note> {
    let root = &settings.layout.root;
    if settings.actions_named && matches!(root.walk(&settings.actions).end, End::Missing(_)) {
        let shown = root.path(&settings.actions);
        return vec![Note::alert(format!("{}: no such folder; no action of --actions runs", show_path(&shown)))];
    }
    Programs::find(settings).map_or_else(|note| vec![note], |(_, notes)| notes)
}

impl Programs {
    /// Those of the folder, and what is wrong with others there; none when there is no folder.
    ///
    /// # Errors
    /// Somebody else could have put them there: an alert that says why.
    fn find(settings: &Settings) -> Result<(Programs, Vec<Note>), Note> {
        let root = &settings.layout.root;
        let (mut programs, mut notes) = (Programs(BTreeMap::new()), Vec::new());
        if matches!(root.walk(&settings.actions).end, End::Missing(_)) {
            return Ok((programs, notes));
        }
        let distrusted = |why: String| {
            Note::alert(format!("{why}; no action runs until the folder of actions, and all above it, is root's alone"))
        };
        let folder = distrust(root, &settings.actions).map_err(distrusted)?;
        let listed = folder.open_directory().and_then(|folder| folder.entries(|_| true));
        let shown = show_path(&root.path(&settings.actions)).to_string();
        let listed = listed.map_err(|cause| distrusted(format!("{shown}: {}", show_cause(&cause))))?;
        for (name, _) in listed {
            let inside = [&settings.actions[..], b"/", &name].concat();
            let shown = show_path(&root.path(&inside)).to_string();
            let is_program = match root.walk(&inside).end {
                End::Found(found) => found.kind == Kind::Regular && found.perm.mode & 0o111 != 0,
                End::Missing(_) | End::Failed(_) => false,
            };
            let name = String::from_utf8_lossy(&name).into_owned();
            let event = name.strip_suffix(AS_ROOT).unwrap_or(&name);
            match (event == ANY || SEEN.contains(&event), is_program) {
                (true, true) => match distrust(root, &inside) {
                    Ok(found) => drop(programs.0.insert(name, found.real)),
                    Err(why) => notes.push(Note::alert(format!("{why}; {shown} is not run"))),
                },
                (true, false) => notes.push(Note::alert(format!("{shown}: no executable file, so it is never run"))),
                (false, true) => {
                    let seen = SEEN.join(", ");
                    let text = format!(
                        "{shown}: nothing is told by that name, so it is never run; the names are {seen}, {ANY}"
                    );
                    notes.push(Note::alert(text));
                }
                // Somebody's notes.
                (false, false) => {}
            }
        }
        Ok((programs, notes))
    }

    /// Those that are run for an event, in order, and whether as root.
    fn of(&self, event: &str) -> Vec<(&PathBuf, bool)> {
        let names =
            [event, ANY].into_iter().flat_map(|name| [(name.to_owned(), false), (format!("{name}{AS_ROOT}"), true)]);
        names.filter_map(|(name, as_root)| Some((self.0.get(&name)?, as_root))).collect()
    }
}

/// What runs during one round.
struct Runner<'a> {
    settings: &'a Settings,
    programs: Programs,
    stop: &'a AtomicBool,
    /// Programs that ran out of their time for a domain, and get no second one there in this round: what stops them may
    /// be the domain's owner, who must not stop those of others.
    hung: BTreeSet<(PathBuf, Vec<u8>)>,
    /// Domains for which nothing more is run in this round.
    put_off: BTreeSet<Vec<u8>>,
    /// When what was done was written last.
    saved: Instant,
    failed: usize,
    last_failure: Option<String>,
}

impl Runner<'_> {
    /// Runs everything that this event asks for.
    fn run(&mut self, event: &Event<'_>) -> Result<(), Stopped> {
        if let Some(directory) = &event.directory {
            self.copy_skeleton(event, directory)?;
        }
        let programs: Vec<(PathBuf, bool)> =
            self.programs.of(event.name).into_iter().map(|(program, as_root)| (program.clone(), as_root)).collect();
        for (program, as_root) in programs {
            let who = if as_root { Who { uid: 0, gid: 0 } } else { event.of.who };
            let root = &self.settings.layout.root;
            let argument = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
            let real = event.of.real.as_deref().unwrap_or(event.domain);
            let environment = vec![
                ("QMAIL_UPDATER_DOMAIN", argument(event.domain)),
                ("QMAIL_UPDATER_REAL_DOMAIN", argument(real)),
                ("QMAIL_UPDATER_HOME", root.path(&event.of.home).into_os_string()),
                ("QMAIL_UPDATER_UID", event.of.who.uid.to_string().into()),
            ];
            let arguments = vec![event.name.into(), argument(&event.object), argument(&event.second), "after".into()];
            let task = Task { arguments, environment, ..Task::new(&program, Path::new("/"), self.stop) };
            self.run_as(event, who, as_root, task)?;
        }
        Ok(())
    }

    /// Copies the skeleton into the directory of a mailbox that appeared.
    fn copy_skeleton(&mut self, event: &Event<'_>, directory: &[u8]) -> Result<(), Stopped> {
        let layout = &self.settings.layout;
        if matches!(layout.root.walk(&skel::path(self.settings)).end, End::Missing(_)) {
            return Ok(());
        }
        let top = std::path::absolute(layout.root.top()).unwrap_or_else(|_| layout.root.top().to_owned());
        let argument = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let arguments = vec![
            "--root".into(),
            top.into_os_string(),
            "--vpopmail".into(),
            argument(&layout.vpopmail),
            "skel".into(),
            "--".into(),
            argument(&event.of.home),
            argument(directory),
        ];
        // Ourselves, whatever became of the file meanwhile.
        let program = Path::new("/proc/self/exe");
        let task = Task { arguments, label: Some("skel"), ..Task::new(program, Path::new("/"), self.stop) };
        self.run_as(event, event.of.who, false, task)
    }

    fn run_as(&mut self, event: &Event<'_>, who: Who, as_root: bool, task: Task<'_>) -> Result<(), Stopped> {
        let name = task.label.map_or_else(|| show_path(task.program).to_string(), str::to_owned);
        let alert = |text: String| report::say_all(&[Note::alert(text)]);
        let own = (geteuid().as_raw(), getegid().as_raw());
        let user = match (who.uid, who.gid) {
            (uid, gid) if !as_root && (uid == 0 || gid == 0) => {
                alert(format!("{name}: not run: {} is root's, as whom only {AS_ROOT} files run", Shown(event.domain)));
                return Ok(());
            }
            user if own.0 != 0 && user != own => {
                alert(format!("{name}: not run: only root can run it as uid {}", who.uid));
                return Ok(());
            }
            user => (own.0 == 0).then_some(user),
        };
        if self.stop.load(Ordering::Relaxed) {
            return Err(Stopped::Ends);
        }
        let (start, shown) = (Instant::now(), event.shown());
        let key = (task.program.to_owned(), event.domain.to_vec());
        if self.hung.contains(&key) {
            return Err(self.put_off(event, &format!("{name}: has hung in this round")));
        }
        let task = Task { user, limit: self.settings.action_limit, ..task };
        let outcome = commands::run(&task);
        match outcome {
            Outcome::Done => {
                let uid = who.uid;
                let text = format!("{name}: told of {shown} uid={uid} ms={}", start.elapsed().as_millis());
                report::say(Level::Status, &text);
            }
            // It is run again by the next service.
            Outcome::Failed { .. } if self.stop.load(Ordering::Relaxed) => return Err(Stopped::Ends),
            Outcome::Failed { how, .. } => {
                if start.elapsed() >= self.settings.action_limit {
                    self.hung.insert(key);
                }
                let text = format!("{name}: {how}; told of {shown}; not run again");
                report::say(Level::Alert, &text);
                self.failed += 1;
                self.last_failure = Some(text);
            }
            Outcome::Missing => report::say_all(&[Note::warning(format!("{name}: gone, so not run"))]),
            Outcome::Later(how) => return Err(self.put_off(event, &format!("{name}: {how}"))),
        }
        Ok(())
    }

    /// Leaves what becomes of a domain, from this on, to the next round.
    fn put_off(&mut self, event: &Event<'_>, why: &str) -> Stopped {
        let (shown, domain) = (event.shown(), Shown(event.domain));
        let text = format!("{why}; {shown}, and what else changed of {domain}, is put off and tried again");
        report::say(Level::Alert, &text);
        self.put_off.insert(event.domain.to_vec());
        Stopped::PutOff
    }
}

impl Actions {
    /// One round.
    pub fn round(&mut self, settings: &Settings, occasion: &Occasion, stop: &AtomicBool) -> Round {
        let mut round = Round::default();
        match is_on(settings) {
            Some(true) => self.off_since = None,
            // Another rebuild has to see it too.
            Some(false) if self.off_since.is_none_or(|since| since >= occasion.began) => {
                self.off_since.get_or_insert_with(Instant::now);
                round.again.add(Scope::All);
                return round;
            }
            Some(false) => {
                // What changes until they are wanted again, nobody saw.
                self.known = None;
                let forgotten = files(settings).forget().map_err(|error| Note::warning(error.to_string()));
                report::say_all(forgotten.err().as_slice());
                return round;
            }
            None => {
                self.off_since = None;
                return round;
            }
        }
        let programs = match Programs::find(settings) {
            Ok((programs, notes)) => {
                report::say_all(&notes);
                programs
            }
            Err(note) => {
                report::say_all(&[note]);
                return round;
            }
        };
        let mut runner = Runner {
            settings,
            programs,
            stop,
            hung: BTreeSet::new(),
            put_off: BTreeSet::new(),
            saved: Instant::now(),
            failed: 0,
            last_failure: None,
        };
        let stopped = match &mut self.known {
            Some(known) => known.round(&mut runner, occasion, false, &mut round),
            None => match files(settings).read_domains() {
                Ok(Some((key, domains))) => {
                    let known = self.known.insert(Known::new(key, domains));
                    known.round(&mut runner, occasion, true, &mut round)
                }
                Err(Unread::Later(why)) => {
                    report::say_all(&[Note::alert(format!("{why}; no action runs until it can be read"))]);
                    Err(Stopped::PutOff)
                }
                unknown => {
                    if let Err(Unread::Damaged(why)) = unknown {
                        let text = format!("{why}; what changed since it was written is not told, for no domain");
                        report::say_all(&[Note::alert(text)]);
                    }
                    tell(files(settings).remove_pictures());
                    let known = self.known.insert(Known::new(Key::new(), seen::domains(&occasion.host)));
                    known.begin(settings, occasion);
                    Ok(())
                }
            },
        };
        round.is_cut_off = stopped.is_err() || !runner.put_off.is_empty();
        (round.failed, round.last_failure) = (runner.failed, runner.last_failure);
        round
    }
}

/// Takes stock of a home, confined to it.
///
/// # Errors
/// Why that cannot be done now, in words; none for a home that is not there.
fn take_stock(
    settings: &Settings,
    occasion: &Occasion,
    home: &[u8],
    seed: &RandomState,
) -> Result<(Inventory, Option<Look>), Option<String>> {
    let (host, root) = (&occasion.host, &settings.layout.root);
    let folder = confine::folder(root, home).ok_or(None)?;
    let work = || {
        let folders = Folders::new(root);
        let look = host.look(&folders, home, seed, occasion.now);
        (host.inventory(&folders, home), look)
    };
    let ((inventory, look), _) = confine::within(&[folder], work).map_err(|error| Some(error.to_string()))?;
    Ok((inventory.map_err(Some)?, look))
}

/// Tells of an error that costs no more than a repetition.
fn tell(result: Result<(), Error>) -> bool {
    let note =
        result.map_err(|error| Note::alert(format!("{error}; after a restart some actions may run again, or never")));
    report::say_all(note.as_ref().err().map(std::slice::from_ref).unwrap_or_default());
    note.is_ok()
}

impl Known {
    fn new(key: Key, domains: Domains) -> Known {
        Known {
            key,
            domains,
            looks: HashMap::new(),
            seed: RandomState::new(),
            doubtful: HashMap::new(),
            missing: HashMap::new(),
            unwritten: HashMap::new(),
        }
    }

    /// Remembers what there is; nothing is run for it.
    fn begin(&mut self, settings: &Settings, occasion: &Occasion) {
        // What virtualdomains does not name may be an account's.
        let mut domains = std::mem::take(&mut self.domains);
        domains.retain(|name, domain| {
            occasion.host.is_vpopmail_like(name) || take_stock(settings, occasion, &domain.home, &self.seed).is_ok()
        });
        self.domains = domains;
        let reals = self.reals().filter(|name| !self.is_held(occasion, name));
        for name in reals.map(<[u8]>::to_vec).collect::<Vec<_>>() {
            let home = self.domains[&name].home.clone();
            if let Some((inventory, look)) = self.read(settings, occasion, &home) {
                self.remember(&files(settings), &name, self.key.picture(&name, &inventory), look);
            }
        }
        self.write_domains(&files(settings));
        let count = count(self.domains.len(), "domain");
        report::say(Level::Status, &format!("actions: {count} remembered; what changes from now on is acted on"));
    }

    fn reals(&self) -> impl Iterator<Item = &[u8]> {
        self.domains.iter().filter(|(_, domain)| domain.real.is_none()).map(|(name, _)| name.as_slice())
    }

    /// Whether the guard holds the domain, or an alias of it.
    fn is_held(&self, occasion: &Occasion, name: &[u8]) -> bool {
        let is_of = |held: &Vec<u8>| {
            held == name || self.domains.get(held).is_some_and(|domain| domain.real.as_deref() == Some(name))
        };
        occasion.held.iter().any(is_of)
    }

    fn write_domains(&self, files: &Files<'_>) {
        tell(files.write_domains(self.key, &self.domains));
    }

    /// Takes stock of a home, confined to it; `None` when that cannot be done now, which is no change.
    fn read(&self, settings: &Settings, occasion: &Occasion, home: &[u8]) -> Option<(Inventory, Option<Look>)> {
        match take_stock(settings, occasion, home, &self.seed) {
            Ok(read) => Some(read),
            Err(why) => {
                let why = why.map(|why| format!("{why}; no action runs for what is there until it can be read"));
                report::say_all(why.map(Note::warning).as_slice());
                None
            }
        }
    }

    /// Whether a home can be read; what virtualdomains does not name may be an account's, and nobody's trouble.
    fn is_home_there(&self, settings: &Settings, occasion: &Occasion, name: &[u8], domain: &Domain) -> bool {
        match occasion.host.is_vpopmail_like(name) {
            true => self.read(settings, occasion, &domain.home).is_some(),
            false => take_stock(settings, occasion, &domain.home, &self.seed).is_ok(),
        }
    }

    /// Remembers what a domain holds.
    fn remember(&mut self, files: &Files<'_>, name: &[u8], picture: Picture, look: Option<Look>) {
        match look {
            Some(look) => drop(self.looks.insert(name.to_vec(), look)),
            None => drop(self.looks.remove(name)),
        }
        if tell(files.write_picture(self.key, name, &picture)) {
            self.unwritten.remove(name);
        } else {
            self.unwritten.insert(name.to_vec(), picture);
        }
    }

    /// What a domain held; `None` when nobody knows.
    ///
    /// # Errors
    /// It cannot be read now, and that was said: the next round tries again.
    fn picture(&self, files: &Files<'_>, name: &[u8]) -> Result<Option<Picture>, ()> {
        if let Some(picture) = self.unwritten.get(name) {
            return Ok(Some(picture.clone()));
        }
        let (read, text) = match files.read_picture(self.key, name) {
            Ok(picture) => return Ok(picture),
            Err(Unread::Later(why)) => {
                (Err(()), format!("{why}; no action runs for {} until it can be read", Shown(name)))
            }
            Err(Unread::Damaged(why)) => {
                (Ok(None), format!("{why}; what changed in {} since it was written is not told", Shown(name)))
            }
        };
        report::say_all(&[Note::alert(text)]);
        read
    }

    /// Looks at what a rebuild looked at, or at everything.
    fn round(
        &mut self,
        runner: &mut Runner<'_>,
        occasion: &Occasion,
        is_first: bool,
        round: &mut Round,
    ) -> Result<(), Stopped> {
        let settings = runner.settings;
        let files = files(settings);
        let mut wanted: BTreeSet<Vec<u8>> = self.reals().map(<[u8]>::to_vec).collect();
        if let (false, Scope::Some { homes, domains }) = (is_first, &occasion.scope) {
            let real =
                |name: &Vec<u8>| self.domains.get(name).map(|domain| domain.real.as_ref().unwrap_or(name).clone());
            let named: BTreeSet<Vec<u8>> = domains.iter().filter_map(real).collect();
            wanted.retain(|name| named.contains(name) || homes.contains(&self.domains[name].home));
        } else {
            let now = seen::domains(&occasion.host);
            let before = self.domains.clone();
            let stopped = self.domains_round(runner, occasion, &now, round);
            if self.domains != before {
                self.write_domains(&files);
            }
            stopped?;
            wanted = self.reals().map(<[u8]>::to_vec).collect();
        }
        wanted.retain(|name| !self.is_held(occasion, name) && !runner.put_off.contains(name));
        for name in self.changed(settings, occasion, wanted) {
            is_put_off(self.domain_round(runner, occasion, &name, round))?;
        }
        Ok(())
    }

    /// Those of the domains that do not look as they did.
    fn changed(&self, settings: &Settings, occasion: &Occasion, wanted: BTreeSet<Vec<u8>>) -> BTreeSet<Vec<u8>> {
        let folders = match wanted.len() {
            0 => return wanted,
            1 => wanted
                .iter()
                .filter_map(|name| confine::folder(&settings.layout.root, &self.domains[name].home))
                .collect(),
            _ => confine::folders(&occasion.host),
        };
        let look = || {
            let folders = Folders::new(&settings.layout.root);
            let is_same = |name: &Vec<u8>| {
                let home = &self.domains[name].home;
                self.looks.get(name).is_some_and(|look| occasion.host.looks_like(&folders, home, look, &self.seed))
            };
            wanted.iter().filter(|name| !is_same(name)).cloned().collect()
        };
        confine::within(&folders, look).map(|(changed, _)| changed).unwrap_or_default()
    }

    /// What became of the domains themselves: first those that went, aliases before the real ones, then those that came,
    /// the real ones first. An alias domain that is its own now, or another one's, or the other way round, went and came.
    fn domains_round(
        &mut self,
        runner: &mut Runner<'_>,
        occasion: &Occasion,
        now: &Domains,
        round: &mut Round,
    ) -> Result<(), Stopped> {
        let files = files(runner.settings);
        let is_gone = |(name, domain): &(&Vec<u8>, &Domain)| now.get(*name).is_none_or(|new| new.real != domain.real);
        let gone = self.domains.iter().filter(is_gone);
        let mut gone: Vec<(Vec<u8>, Domain)> = gone.map(|(name, domain)| (name.clone(), domain.clone())).collect();
        gone.sort_by_key(|(_, domain)| domain.real.is_none());
        self.missing.retain(|name, _| gone.iter().any(|(gone, _)| gone == name));
        // A file that somebody writes still is no end of many domains.
        if gone.iter().filter(|(name, domain)| domain.real.is_none() || now.contains_key(name)).count() > 1 {
            let before = gone.len();
            gone.retain(|(name, _)| *self.missing.entry(name.clone()).or_insert_with(Instant::now) < occasion.began);
            if gone.len() < before {
                round.again.add(Scope::All);
            }
        }
        for (name, domain) in gone {
            let before = match domain.real {
                None => self.picture(&files, &name),
                Some(_) => Ok(None),
            };
            let Ok(before) = before else { continue };
            let run = self.run_all(runner, &name, &domain, before.unwrap_or_default(), &Picture::new(), None);
            if is_put_off(run.and_then(|()| runner.run(&Event::deleted(&name, &domain))))? {
                continue;
            }
            self.forget(&files, &name);
            self.domains.remove(&name);
            self.save_domains(runner);
        }
        let mut came: Vec<(&Vec<u8>, &Domain)> = now.iter().collect();
        came.sort_by_key(|(_, domain)| domain.real.is_some());
        for (name, domain) in came {
            match self.domains.get(name) {
                // What is told as gone later is no other domain before.
                Some(before) if before == domain || before.real != domain.real => continue,
                Some(_) => {}
                // Nothing is run until its home is there, and the domain that it is an alias of.
                None if domain.real.as_ref().is_some_and(|real| !self.domains.contains_key(real)) => continue,
                None if !self.is_home_there(runner.settings, occasion, name, domain) => continue,
                None => {
                    if domain.real.is_none() {
                        self.remember(&files, name, Picture::new(), None);
                    }
                    if is_put_off(runner.run(&Event::added(name, domain)))? {
                        continue;
                    }
                }
            }
            self.looks.remove(name);
            self.domains.insert(name.clone(), domain.clone());
            self.save_domains(runner);
        }
        Ok(())
    }

    fn forget(&mut self, files: &Files<'_>, name: &[u8]) {
        self.looks.remove(name);
        self.doubtful.remove(name);
        self.missing.remove(name);
        self.unwritten.remove(name);
        tell(files.remove_picture(self.key, name));
    }

    /// Writes the domains now and then, while many change.
    fn save_domains(&self, runner: &mut Runner<'_>) {
        if runner.saved.elapsed() > SAVE_EVERY {
            self.write_domains(&files(runner.settings));
            runner.saved = Instant::now();
        }
    }

    /// What became of what one domain holds.
    fn domain_round(
        &mut self,
        runner: &mut Runner<'_>,
        occasion: &Occasion,
        name: &[u8],
        round: &mut Round,
    ) -> Result<(), Stopped> {
        let files = files(runner.settings);
        let domain = self.domains[name].clone();
        let Some((inventory, look)) = self.read(runner.settings, occasion, &domain.home) else { return Ok(()) };
        let after = self.key.picture(name, &inventory);
        let Ok(before) = self.picture(&files, name) else { return Ok(()) };
        let Some(before) = before else {
            self.remember(&files, name, after, look);
            return Ok(());
        };
        if before == after {
            if let Some(look) = look {
                self.looks.insert(name.to_vec(), look);
            }
            return Ok(());
        }
        let lost = before.keys().filter(|key| !after.contains_key(key)).count();
        let print = self.key.print(&after);
        if lost >= MANY {
            let seen = self.doubtful.get(name).filter(|(before, _)| *before == print).map(|(_, at)| *at);
            if seen.is_none_or(|at| at >= occasion.began) {
                self.doubtful.insert(name.to_vec(), (print, seen.unwrap_or_else(Instant::now)));
                round.again.add(Scope::home(domain.home));
                return Ok(());
            }
        }
        self.doubtful.remove(name);
        self.looks.remove(name);
        self.run_all(runner, name, &domain, before, &after, Some(&inventory))?;
        self.remember(&files, name, after, look);
        Ok(())
    }

    /// Runs what leads from one picture of a domain to the other. How far it came is remembered when it is stopped.
    fn run_all(
        &mut self,
        runner: &mut Runner<'_>,
        name: &[u8],
        domain: &Domain,
        mut before: Picture,
        after: &Picture,
        inventory: Option<&Inventory>,
    ) -> Result<(), Stopped> {
        for (change, what, entry) in difference(&before, after) {
            let event = Event::of_name((change, what, &entry), name, domain, inventory);
            let run = runner.run(&event);
            let key = (what, entry);
            if run.is_ok() {
                match after.get(&key) {
                    Some(number) => drop(before.insert(key, *number)),
                    None => drop(before.remove(&key)),
                }
            }
            if run.is_err() || runner.saved.elapsed() > SAVE_EVERY {
                self.remember(&files(runner.settings), name, before.clone(), None);
                runner.saved = Instant::now();
            }
            run?;
        }
        Ok(())
    }
}
