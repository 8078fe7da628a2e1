//! Actions: what an administrator hangs on what the service saw change, and the skeleton of a new mailbox. The story of
//! one round, which follows a rebuild: look at the domains that it looked at, compare with what was seen before, run
//! what has to be run for each difference, remember. A notice runs nothing: only what the host says counts.
//!
//! At least once: what was seen is remembered after its actions ran.

mod event;
mod programs;
mod runner;
pub mod seen;
mod shares;
pub mod skel;

use std::collections::{BTreeSet, HashMap};
use std::hash::RandomState;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, show_path};
use crate::fs::failures::{Mark, of_home};
use crate::fs::silence::met;
use crate::fs::{End, Folders};
use crate::host::inventory::Inventory;
use crate::host::look::Look;
use crate::host::{Host, Layout};
use crate::os::confine;
use crate::os::stop::Stop;
use crate::rebuild::memory::Scope;
use crate::report::{self, Level, Note};
use crate::settings::Settings;
use crate::text::{Shown, count};
use event::Event;
use programs::Programs;
pub use programs::findings;
use runner::{Runner, Stopped, is_put_off};
use seen::{Domain, Domains, FOR_AN_ENTRY, Files, Key, Picture, Unread, difference};
use shares::{Shares, Turns};

/// A domain that would lose so many names at once is looked at again after another rebuild: the guard goes first.
const MANY: usize = 10;
/// While a domain's actions run, what was done is written down so often.
const SAVE_EVERY: Duration = Duration::from_secs(1);

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
    /// What could not be read.
    pub notes: Vec<Note>,
    /// When the rebuild began that it looked after; `None` when it did not look at homes.
    pub began: Option<Instant>,
    /// Whether it looked at every domain.
    pub is_whole: bool,
}

/// What a service remembers between rounds.
#[derive(Default)]
pub struct Actions {
    known: Option<Known>,
    /// Who took how much time.
    shares: Shares,
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
    /// What could not be read in this round.
    unread: Mutex<Vec<Note>>,
    /// Whether a call failed in this round that may succeed in the next one.
    is_failed: AtomicBool,
}

/// What a look at one domain found.
struct Seen {
    inventory: Inventory,
    look: Option<Look>,
    /// `None` when it was not remembered.
    before: Option<Picture>,
    after: Picture,
}

/// Whether there is anything to do: a folder of actions, a skeleton, or something remembered that is to be forgotten.
pub fn are_wanted(settings: &Settings, layout: &Layout) -> bool {
    is_on(settings, layout) == Some(true) || files(settings).are_there()
}

/// Whether there is a folder of actions, or a skeleton; `None` when nobody knows. A VPOPMAIL without anything in it may be
/// mounted again.
fn is_on(settings: &Settings, layout: &Layout) -> Option<bool> {
    let root = layout.root.clone();
    let [actions, skel, vpopmail] = [settings.actions.clone(), skel::path(layout), layout.vpopmail.clone()];
    let look = move || {
        let is_there = |inside: &[u8]| match root.walk(inside).end {
            End::Found(_) => Some(true),
            End::Missing(_) => Some(false),
            End::Failed(_) | End::Silent(_) => None,
        };
        let is_mounted = || match root.walk(&vpopmail).end {
            End::Found(found) => {
                let list = || found.open_directory().and_then(|open| open.entries(|_| true));
                root.at(&vpopmail, list).is_ok_and(|all| !all.is_empty())
            }
            End::Missing(_) | End::Failed(_) | End::Silent(_) => false,
        };
        match (is_there(&actions), is_there(&skel)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) if is_mounted() => Some(false),
            _ => None,
        }
    };
    layout.root.silences.attempt(look).ok().flatten()
}

fn files(settings: &Settings) -> Files<'_> {
    Files { root: &settings.layout.root, state: &settings.state }
}

impl Actions {
    /// One round.
    pub fn round(&mut self, settings: &Settings, occasion: &Occasion, stop: &Stop) -> Round {
        let mut round = Round::default();
        match is_on(settings, &occasion.host.layout) {
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
        // No deletion is told of what nobody knows, and nothing is remembered of it.
        if occasion.host.assignments.are_missing {
            return round;
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
        let mut runner = Runner::new(settings, &occasion.host.layout, programs, stop, &mut self.shares);
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
        let is_failed = self.known.as_mut().is_some_and(|known| std::mem::take(known.is_failed.get_mut()));
        round.is_cut_off = stopped.is_err() || !runner.put_off.is_empty() || is_failed;
        let is_waiting = !runner.waiting.is_empty();
        let now = if is_waiting { seen::domains(&occasion.host) } else { Domains::new() };
        for (name, home) in &runner.waiting {
            // What is waiting may be the domain itself, which only a look at all of them finds.
            let known = self.known.as_ref().and_then(|known| known.domains.get(name));
            let is_same = known.is_some() && known == now.get(name);
            round.again.add(if is_same { Scope::home(home.clone()) } else { Scope::All });
        }
        let unread = self.known.as_mut().map(|known| known.unread.get_mut().unwrap_or_else(PoisonError::into_inner));
        round.notes = unread.map(std::mem::take).unwrap_or_default();
        round.began = Some(occasion.began);
        round.is_whole = occasion.scope == Scope::All && !round.is_cut_off && !is_waiting;
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
    let (host, root, home) = (occasion.host.clone(), settings.layout.root.clone(), home.to_vec());
    let (seed, now) = (seed.clone(), occasion.now);
    let place = root.path(&home);
    let inventory = move || -> Result<_, Option<String>> {
        let (folder, silence) = met(|| confine::folder(&root, &home));
        let folder = folder.ok_or_else(|| silence.map(|silence| silence.to_string()))?;
        confine::this_thread(&root, &[folder]);
        let folders = Folders::new(&root);
        let look = host.look(&folders, &home, &seed, now);
        Ok((host.inventory(&folders, &home).map_err(Some)?, look))
    };
    let work = move || of_home(&place, &inventory).0;
    let silences = &settings.layout.root.silences;
    silences.attempt_apart(work).map_err(|cause| Some(Error::undone(&cause).to_string()))?
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
            unread: Mutex::default(),
            is_failed: AtomicBool::default(),
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
            let Some((inventory, look)) = self.read(settings, occasion, &home) else { continue };
            if let Some(picture) = self.picture_of(settings, &name, &inventory, &Picture::new()) {
                self.remember(&files(settings), &name, picture, look);
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
        let mark = Mark::now();
        match take_stock(settings, occasion, home, &self.seed) {
            Ok(read) => Some(read),
            Err(why) => {
                self.is_failed.fetch_or(mark.storage_failed() || mark.system().is_err(), Ordering::Relaxed);
                let why = why.map(|why| format!("{why}; no action runs for what is there until it can be read"));
                self.unread.lock().unwrap_or_else(PoisonError::into_inner).extend(why.map(Note::warning));
                None
            }
        }
    }

    /// What a domain holds; `None` when that is more than it may make us remember, which is no change.
    fn picture_of(&self, settings: &Settings, name: &[u8], inventory: &Inventory, before: &Picture) -> Option<Picture> {
        let bound = settings.layout.root.bounds.entries.saturating_mul(FOR_AN_ENTRY);
        let picture = self.key.picture(name, inventory, before, bound);
        if picture.is_none() {
            let home = show_path(&settings.layout.root.path(&self.domains[name].home)).to_string();
            let text = format!(
                "{home}: the names of its mailboxes and aliases take more than the {bound} bytes of STATE that \
                 --max-entries allows, {FOR_AN_ENTRY} an entry; no action runs for {} until they take fewer, and what was \
                 remembered of it stays",
                Shown(name)
            );
            self.unread.lock().unwrap_or_else(PoisonError::into_inner).push(Note::alert(text));
        }
        picture
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
        wanted.retain(|name| !self.is_held(occasion, name) && !runner.has_stopped(name));
        let changed = self.changed(settings, occasion, wanted).into_iter();
        let mut turns = Turns::new(runner.shares, changed.map(|name| (self.domains[&name].who.uid, name)));
        while let Some(name) = turns.next(runner.shares) {
            is_put_off(self.domain_round(runner, occasion, &name, round))?;
        }
        Ok(())
    }

    /// Those of the domains that do not look as they did.
    fn changed(&self, settings: &Settings, occasion: &Occasion, wanted: BTreeSet<Vec<u8>>) -> BTreeSet<Vec<u8>> {
        if wanted.is_empty() {
            return wanted;
        }
        let root = settings.layout.root.clone();
        let looks: Vec<(Vec<u8>, Vec<u8>, Option<Look>)> = wanted
            .iter()
            .map(|name| (name.clone(), self.domains[name].home.clone(), self.looks.get(name).cloned()))
            .collect();
        let (host, seed) = (occasion.host.clone(), self.seed.clone());
        let look = move || {
            let folders = match &looks[..] {
                [(_, home, _)] => confine::folder(&root, home).into_iter().collect(),
                _ => confine::directories(&host)?,
            };
            confine::this_thread(&root, &folders);
            let folders = Folders::new(&root);
            let is_same = |home: &[u8], look: &Look| host.looks_like(&folders, home, look, &seed);
            let changed = looks.iter().filter(|(_, home, look)| !look.as_ref().is_some_and(|look| is_same(home, look)));
            Ok(changed.map(|(name, ..)| name.clone()).collect())
        };
        let changed: Result<Result<_, Error>, _> = settings.layout.root.silences.attempt_apart(look);
        changed.map(Result::unwrap_or_default).unwrap_or_default()
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
        // A domain that the guard holds is still published.
        let gone = self.domains.iter().filter(|(name, _)| !self.is_held(occasion, name)).filter(is_gone);
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
            let nothing = Picture::new();
            if is_put_off(self.run_all(runner, &name, &domain, before.unwrap_or_default(), &nothing, None))? {
                continue;
            }
            let run = runner.run(&Event::deleted(&name, &domain));
            if run.is_err() && domain.real.is_none() {
                // What it held is told as gone, and is not told again.
                self.remember(&files, &name, nothing, None);
            }
            if is_put_off(run)? {
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

    /// What one domain holds, and what it held; `None` when that is not known now.
    fn look_at(&self, settings: &Settings, occasion: &Occasion, name: &[u8], domain: &Domain) -> Option<Seen> {
        let (inventory, look) = self.read(settings, occasion, &domain.home)?;
        let before = self.picture(&files(settings), name).ok()?;
        let nothing = Picture::new();
        let after = self.picture_of(settings, name, &inventory, before.as_ref().unwrap_or(&nothing))?;
        Some(Seen { inventory, look, before, after })
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
        let (domain, began) = (self.domains[name].clone(), Instant::now());
        let seen = self.look_at(runner.settings, occasion, name, &domain);
        runner.shares.looked(domain.who.uid, name, began.elapsed());
        let Some(Seen { inventory, look, before, after }) = seen else { return Ok(()) };
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
