//! The service: threads that listen, one loop that decides when to rebuild, one thread that does.

pub mod follow_ups;
pub mod metrics;
pub mod owed;
pub mod schedule;
mod second_look;
pub mod status;
mod tampering;
pub mod watch;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::actions::{self, Actions, Occasion, Round};
use crate::error::{Error, show_path};
use crate::fs::End;
use crate::fs::budget::Resting;
use crate::fs::silence::{Silence, Vigil};
use crate::host::vpopmail::Mailboxes;
use crate::host::{Home, HomeState, Host};
use crate::os::confine;
use crate::os::lock::{self, FifoLock};
use crate::pipe::fifo::{self, Fifo, Heard};
use crate::pipe::notice::{Expected, Notice};
use crate::protect::hold::Patience;
use crate::publish;
use crate::rebuild::homes::KeptHome;
use crate::rebuild::memory::{Because, Remembered, Scope};
use crate::rebuild::{self, Done, Order};
use crate::report::{self, Level, Note};
use crate::service::metrics::Metrics;
use crate::service::owed::{Failure, FollowUps, Outcome, Owed};
use crate::service::schedule::{Cause, Pause, Schedule};
use crate::service::status::{State, Status};
use crate::service::watch::{Changed, Names, Watch, file, published};
use crate::settings::Settings;
use second_look::{Look, SecondLook};
use tampering::{Change, Tables};

/// How long a running rebuild may go on when the service has to end.
const LAST_CHANCE: Duration = Duration::from_secs(4);
/// How often the locks are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(4);
/// How many events wait for the loop.
const QUEUE: usize = 1_000;
/// How long after a rebuild something is read again that could not be read; each further pause is twice as long.
const READ_AGAIN: Duration = Duration::from_secs(2);
/// How often in how long the tables are recreated because another program changed them.
const MAX_TAMPERED: usize = 5;
/// See [`MAX_TAMPERED`].
const TAMPERED_WITHIN: Duration = Duration::from_secs(60);
/// How many notices are logged before each rebuild; the rest is counted.
const MAX_LOGGED: usize = 5;

/// What the loop hears of.
enum Event {
    Heard(Heard),
    Signal(i32),
    /// A file that is watched changed.
    Changed,
    /// Another program changed a published table.
    Tampered(Change),
    /// A rebuild ended; which expected changes it found done; what it found wrong on the host; whether actions are wanted.
    Ended(Box<Result<Done, Error>>, Vec<Expected>, Vec<Note>, bool),
    /// A command that follows a rebuild ended.
    Followed(usize, Outcome),
    /// A round of actions ended.
    Acted(Round),
}

/// Runs until TERM or INT.
///
/// # Errors
/// What keeps it from starting: a pipe that cannot be made, or another service that reads it.
pub fn run(settings: &Arc<Settings>) -> Result<(), Error> {
    // Whatever we were started with is none of our commands' business.
    close_fds::set_fds_cloexec(3, &[]);
    report::write_in_background();
    let (events, hear) = sync_channel(QUEUE);
    // Before there is a pipe: whoever ends us, it goes with us.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])
        .map_err(|cause| Error::io("catch signals for", &PathBuf::from("the service"), cause))?;
    let mut locks = Vec::new();
    let mut fifos = Vec::new();
    let mut shown = Vec::new();
    for path in &settings.fifos {
        locks.push(lock::acquire_fifo(&settings.layout.root, &settings.state, path)?);
        let (fifo, note) = Fifo::make_or_wait(path)?;
        report::say_all(note.as_slice());
        shown.extend(fifo.is_made().then(|| show_path(path).to_string()));
        fifos.push(fifo);
    }
    let of_signals = events.clone();
    thread(move || {
        signals.forever().all(|signal| {
            if signal != SIGHUP {
                end_in_time();
            }
            of_signals.send(Event::Signal(signal)).is_ok()
        })
    })?;
    let listeners = fifos.into_iter().map(|fifo| listen(fifo, events.clone())).collect::<Result<Vec<_>, _>>()?;
    let watch = settings.watch.then(Watch::new).transpose().unwrap_or_else(|cause| {
        let why = match cause {
            Errno::EMFILE => fifo::why_no_instance(),
            cause => cause.desc(),
        };
        report::say(Level::Warning, &format!("unable to watch files: {why}; what they say, the next sweep sees"));
        None
    });
    let watch = watch.map(Arc::new);
    let touched = Touched::default();
    tell_when_back(settings, events.clone(), touched.clone());
    let tables = Arc::new(Tables::new(settings.clone()));
    let looker = start_looking(tables.clone(), watch.clone(), events.clone())?;
    let resting = settings.layout.root.resting.clone();
    let watcher = watch
        .clone()
        .map(|watch| start_watch(watch, events.clone(), touched.clone(), tables.clone(), resting.clone()))
        .transpose()?;
    if !shown.is_empty() {
        report::say(Level::Status, &format!("listening on {}", shown.join(", ")));
    }
    report::say_all(&settings.unknown_variables());
    report::say_all(&actions::findings(settings));
    let mut service = Service::new(settings.clone(), events, watch, touched, tables, locks);
    // Whoever took the pipe from us reads it, and keeps its status.
    let ended = service.run(&hear);
    // A listener that waits to be heard waits no more.
    drop(hear);
    ended?;
    // One that could not be given up in time is taken up at the next start.
    service.write_status(if service.schedule.is_running() { State::Rebuilding } else { State::Ended });
    service.write_metrics(false);
    drop((watcher, looker));
    for (stop, listener) in listeners {
        drop(stop);
        if let Ok(fifo) = listener.join() {
            fifo.remove();
        }
    }
    // A rebuild that could not be given up in time may still write some.
    publish::remove_all_temporary();
    report::say(Level::Status, "ended");
    Ok(())
}

/// Starts a thread.
fn thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>, Error> {
    Builder::new().spawn(work).map_err(|cause| Error::thread(&cause))
}

/// Ends the service also when the loop itself waits for what does not answer: where its state is, for example.
fn end_in_time() {
    let end = || {
        std::thread::sleep(LAST_CHANCE + LAST_CHANCE / 2);
        report::say(
            Level::Alert,
            "ended without a last word in the status file: something that it needs does not answer",
        );
        publish::remove_all_temporary();
        report::flush(LAST_CHANCE / 4);
        std::process::exit(0)
    };
    // Without it the service ends as soon as it can.
    let _ = thread(end);
}

/// Looks at everything as soon as something may answer again.
fn tell_when_back(settings: &Settings, events: SyncSender<Event>, touched: Touched) {
    settings.layout.root.silences.when_back(move |silences| {
        for silence in silences {
            report::say(Level::Status, &format!("{}: may answer again; a full check follows", shown_place(silence)));
        }
        touched.lock().unwrap_or_else(PoisonError::into_inner).add(Scope::All);
        let _ = events.try_send(Event::Changed);
    });
}

fn shown_place(silence: &Silence) -> String {
    show_path(&silence.place).to_string()
}

/// A thread that listens on one pipe until the descriptor is closed.
type Listener = (OwnedFd, JoinHandle<Fifo>);

/// What the watches saw change since the last rebuild began.
type Touched = Arc<Mutex<Scope>>;

/// Listens to the watches until the descriptor is closed.
fn start_watch(
    watch: Arc<Watch>,
    events: SyncSender<Event>,
    touched: Touched,
    tables: Arc<Tables>,
    resting: Arc<Resting>,
) -> Result<OwnedFd, Error> {
    let (stopped, stop) =
        std::io::pipe().map_err(|cause| Error::io("make a pipe for", &PathBuf::from("a thread"), cause))?;
    let stopped = OwnedFd::from(stopped);
    thread(move || {
        watch.listen(&stopped, &mut |changed| {
            if changed.contains(&Changed::Published)
                && let Some(change) = tables.change()
            {
                let _ = events.try_send(Event::Tampered(change));
            }
            let of_host = |changed| match changed {
                // One that rests is read when it is due.
                Changed::Home(path) if resting.puts_off(&path) => None,
                Changed::Home(path) => Some(Scope::home(path)),
                Changed::Published => None,
                Changed::Anything => Some(Scope::All),
            };
            let scopes: Vec<Scope> = changed.into_iter().filter_map(of_host).collect();
            if !scopes.is_empty() {
                let mut touched = touched.lock().unwrap_or_else(PoisonError::into_inner);
                scopes.into_iter().for_each(|scope| touched.add(scope));
                let _ = events.try_send(Event::Changed);
            }
        });
    })?;
    Ok(stop.into())
}

/// Looks at the published tables until the descriptor is closed. In a thread of its own: the file system that they are on
/// may not answer.
fn start_looking(tables: Arc<Tables>, watch: Option<Arc<Watch>>, events: SyncSender<Event>) -> Result<OwnedFd, Error> {
    let (stopped, stop) =
        std::io::pipe().map_err(|cause| Error::io("make a pipe for", &PathBuf::from("a thread"), cause))?;
    let stopped = OwnedFd::from(stopped);
    thread(move || {
        tables.look(watch.as_deref(), &stopped, &mut |change| {
            // What does not fit is seen again at the next look.
            let _ = events.try_send(Event::Tampered(change));
        });
    })?;
    Ok(stop.into())
}

/// What the service has to watch; of a host that cannot be read, what has to be mended.
fn watched(settings: &Settings, host: Option<&Host>) -> Vec<(PathBuf, Names)> {
    let layout = host.map_or(&settings.layout, |host| &host.layout);
    let root = &layout.root;
    let mut sources = settings.sources();
    sources.extend([b"/etc/nsswitch.conf".to_vec()]);
    // The accounts may say that vpopmail is elsewhere now.
    sources.extend(layout.vpopmail_sources().filter(|source| !settings.sources().contains(source)));
    // What qmail-newu and qmail-newmrh make is no news, unless it stands in for the text.
    let users = [&settings.layout.qmail[..], b"/users/"].concat();
    let counts = |file: &[u8]| {
        file.ends_with(b"/assign")
            || host.is_none_or(|host| host.assignments.compiled_only && host.assignments.compiled_file == file)
    };
    let made =
        |source: &[u8]| source.ends_with(b"/morercpthosts.cdb") || (source.starts_with(&users) && !counts(source));
    let unused = |source: &[u8]| source == b"/etc/group" || (source == b"/etc/shadow" && !settings.auth_system_users);
    sources.retain(|source| !made(source) && !unused(source));
    let mut wanted: Vec<_> = sources.iter().filter_map(|source| file(&root.path(source))).collect();
    let lists = root.path(&[&settings.layout.qmail[..], b"/control/validrcptto.d"].concat());
    wanted.extend(file(&lists));
    wanted.push((lists, Names::All));
    let homes = host.iter().flat_map(|host| host.homes());
    wanted.extend(homes.map(|home| (root.path(home), Names::Home(home.to_vec()))));
    // An account counts as soon as its home is there and its own.
    let passed_over = host.iter().flat_map(|host| host.accounts.passed_over.values());
    let homes = passed_over.filter(|account| account.home.starts_with(b"/")).map(|account| root.path(&account.home));
    wanted.extend(homes.filter_map(|home| file(&home)));
    wanted.extend(settings.published().iter().filter_map(|table| published(table)));
    // Where a link leads.
    let targets = [settings.recipients_target(), settings.logins_target()];
    wanted.extend(targets.iter().flatten().filter_map(|(target, _)| published(target.real())));
    wanted
}

fn listen(fifo: Fifo, events: SyncSender<Event>) -> Result<Listener, Error> {
    let (stopped, stop) =
        std::io::pipe().map_err(|cause| Error::io("make a pipe for", &PathBuf::from("a thread"), cause))?;
    let stopped = OwnedFd::from(stopped);
    let listener = thread(move || {
        fifo.listen(&stopped, &mut |heard| {
            let _ = match heard {
                // What it announces must not be lost.
                Heard::Notices(..) => events.send(Event::Heard(heard)).is_ok(),
                // What does not fit is covered by what is queued: each of it brings a rebuild that starts later.
                _ => events.try_send(Event::Heard(heard)).is_ok(),
            };
        })
    })?;
    Ok((stop.into(), listener))
}

/// The loop's state.
struct Service {
    settings: Arc<Settings>,
    schedule: Schedule,
    events: SyncSender<Event>,
    watch: Option<Arc<Watch>>,
    touched: Touched,
    /// What the next rebuild has to look at beside that.
    scope: Scope,
    /// What the last rebuild left for the next one.
    memory: Arc<Mutex<Remembered>>,
    /// What the running rebuild looks at.
    looking: Scope,
    /// What the actions have not looked at yet.
    occasion: Option<Occasion>,
    actions: Arc<Mutex<Actions>>,
    /// Whether a round of them runs.
    is_acting: bool,
    /// Those of the pipes.
    locks: Vec<FifoLock>,
    /// Tells a running rebuild to give up.
    stop: Arc<AtomicBool>,
    /// Waits for the thread of the running rebuild.
    vigil: Option<Vigil<()>>,
    number: u64,
    started: Instant,
    /// The last notice since the last rebuild began.
    notice: Option<Notice>,
    /// How many notices were heard since then.
    heard: usize,
    /// What the commands that follow a rebuild are owed.
    follow_ups: FollowUps,
    /// When the next login expires, in seconds since 1970-01-01 UTC.
    expiry: Option<u64>,
    /// When the first of the held domains is let go.
    let_go: Option<Instant>,
    /// When what could not be read is read again, and the pause after that.
    read_again: Option<(Instant, Pause)>,
    /// Why the running rebuild was started.
    cause: String,
    /// The homes that could not be read by the last rebuild that succeeded.
    kept: Vec<KeptHome>,
    /// What rebuilds found wrong on the host.
    found: SecondLook,
    /// The same of rounds of actions.
    found_by_actions: SecondLook,
    tables: Arc<Tables>,
    /// When the tables were recreated lately because another program changed them.
    tampered: Vec<Instant>,
    /// What it did to them, until a rebuild has recreated them.
    tampering: BTreeMap<PathBuf, &'static str>,
    status: Status,
    /// What was said of the status file, when it could not be written.
    unwritten: Option<String>,
    metrics: Metrics,
}

impl Service {
    fn new(
        settings: Arc<Settings>,
        events: SyncSender<Event>,
        watch: Option<Arc<Watch>>,
        touched: Touched,
        tables: Arc<Tables>,
        locks: Vec<FifoLock>,
    ) -> Service {
        let (now, metrics) = (Instant::now(), Metrics::new(&settings));
        Service {
            schedule: Schedule::new(now, settings.sweep),
            follow_ups: FollowUps::new(settings.after.iter().cloned().zip(status::owed(&settings))),
            expiry: None,
            settings,
            events,
            watch,
            touched,
            scope: Scope::default(),
            memory: forgotten(Because::Start),
            looking: Scope::default(),
            occasion: None,
            actions: Arc::default(),
            is_acting: false,
            locks,
            stop: Arc::default(),
            vigil: None,
            number: 0,
            started: now,
            notice: None,
            heard: 0,
            let_go: None,
            read_again: None,
            cause: String::new(),
            kept: Vec::new(),
            found: SecondLook::default(),
            found_by_actions: SecondLook::default(),
            tables,
            tampered: Vec::new(),
            tampering: BTreeMap::new(),
            status: Status::default(),
            unwritten: None,
            metrics,
        }
    }

    /// Goes on until a signal ends it.
    ///
    /// # Errors
    /// Another service took the pipe.
    fn run(&mut self, hear: &Receiver<Event>) -> Result<(), Error> {
        let mut ends = None;
        let mut look_at = Instant::now() + LOOK_EVERY;
        loop {
            let now = Instant::now();
            if look_at <= now {
                self.keep_locks()?;
                self.look_after_rebuild();
                if self.unwritten.is_some() {
                    self.write_status(self.state());
                }
                // The clock may have jumped.
                self.schedule.wake_at(self.wake());
                look_at = now + LOOK_EVERY;
            }
            let next = if ends.is_some() { None } else { self.schedule.next() };
            if let Some((due, cause)) = next
                && due <= now
            {
                self.start(now, cause);
                continue;
            }
            let follow_up = self.follow_ups.next().filter(|_| ends.is_none());
            if follow_up.is_some_and(|due| due <= now) {
                self.follow();
                self.write_status(self.state());
                continue;
            }
            if ends.is_some() && !self.schedule.is_running() && !self.follow_ups.is_running() && !self.is_acting {
                return Ok(());
            }
            let due = ends.or(next.map(|(due, _)| due).into_iter().chain(follow_up).min());
            let until = due.map_or(look_at, |due| due.min(look_at));
            match hear.recv_timeout(until.saturating_duration_since(now)) {
                Ok(Event::Heard(heard)) => self.heard(heard),
                Ok(Event::Changed) => {
                    self.metrics.triggered("watch", 1);
                    self.trigger();
                }
                Ok(Event::Tampered(change)) => self.tampered(change),
                Ok(Event::Signal(SIGHUP)) => {
                    self.metrics.triggered("signal", 1);
                    // Everything is read again.
                    self.scope = Scope::All;
                    self.memory = forgotten(Because::Hup);
                    self.actions = Arc::default();
                    self.settings.layout.root.resting.forget();
                    self.follow_ups.hurry(Instant::now());
                    self.trigger();
                }
                Ok(Event::Signal(_)) => {
                    // The half of the time for the end of a rebuild, the other half for giving it up.
                    ends.get_or_insert(Instant::now() + LAST_CHANCE / 2);
                }
                Ok(Event::Ended(result, seen, notes, are_actions_wanted)) => {
                    let published = result.is_ok();
                    self.end(*result, seen, notes, are_actions_wanted);
                    if published && ends.is_none() {
                        self.follow();
                        self.act();
                    }
                    self.write_status(self.state());
                    self.write_metrics(true);
                }
                Ok(Event::Acted(round)) => {
                    self.acted(round);
                    if ends.is_none() {
                        self.act();
                    }
                    self.write_status(self.state());
                    self.write_metrics(true);
                }
                Ok(Event::Followed(number, outcome)) => {
                    self.followed(number, outcome);
                    self.write_status(self.state());
                    self.write_metrics(true);
                }
                Err(RecvTimeoutError::Timeout) if ends.is_some_and(|ends| ends <= Instant::now()) => {
                    if self.stop.swap(true, Ordering::Relaxed) {
                        return Ok(());
                    }
                    ends = Some(Instant::now() + LAST_CHANCE / 2);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    /// Tells when the running rebuild itself waits for what does not answer, which no other thread can do for it.
    fn look_after_rebuild(&mut self) {
        let silences: Vec<((), Silence)> = self.vigil.iter_mut().flat_map(Vigil::look).collect();
        for ((), silence) in silences {
            let number = self.number;
            let text = format!("rebuild {number} waits: {silence}; nothing is published until it answers");
            report::say(Level::Alert, &text);
            self.write_status(self.state());
        }
    }

    /// Another program changed a table: the rebuild sees that it is not the one that it remembers, and recreates it. When
    /// that happens again and again, the change is left alone for a while; each look tells of it until then.
    fn tampered(&mut self, change: Change) {
        let now = Instant::now();
        self.tampered.retain(|at| now.duration_since(*at) < TAMPERED_WITHIN);
        if self.tampered.len() >= MAX_TAMPERED && !change.is_urgent {
            for (path, _) in &change.tables {
                let text = format!(
                    "{}: another program changes it again and again; it is recreated {MAX_TAMPERED} times a minute at most",
                    show_path(path)
                );
                report::say_all(&[Note::warning(text)]);
            }
            return;
        }
        if self.tables.take(&change) {
            self.tampered.push(now);
            self.tampering.extend(change.tables);
            self.metrics.triggered("watch", 1);
            self.trigger();
        }
    }

    /// Says which of the tables that a rebuild recreated another program had changed.
    fn tell_of_tampering(&mut self, recreated: &[PathBuf]) {
        for (path, what) in std::mem::take(&mut self.tampering).into_iter().filter(|(path, _)| recreated.contains(path))
        {
            let text = format!("{}: another program {what}; recreated", show_path(&path));
            report::say_all(&[Note::warning(text)]);
        }
    }

    /// Takes the locks again when somebody removed their files.
    fn keep_locks(&mut self) -> Result<(), Error> {
        let (root, folder) = (&self.settings.layout.root, &self.settings.state);
        let mut removed = Vec::new();
        for lock in &mut self.locks {
            match lock.keep(root, folder) {
                Ok(again) => removed.extend(again),
                Err(error @ Error::Io { .. }) => {
                    report::say_all(&[Note::warning(format!("{error}; a second service may start meanwhile"))])
                }
                Err(error) => return Err(error.then("somebody removed the lock that this one held; it ends")),
            }
        }
        for path in &removed {
            report::say_all(&[Note::warning(format!("{}: was removed; made again", show_path(path)))]);
        }
        if !removed.is_empty() {
            self.write_status(self.state());
        }
        Ok(())
    }

    fn trigger(&mut self) {
        let (now, was_pending) = (Instant::now(), self.schedule.is_triggered());
        self.schedule.trigger(now);
        if self.schedule.is_busy(now) && !was_pending {
            self.write_status(self.state());
        }
    }

    fn heard(&mut self, heard: Heard) {
        let now = Instant::now();
        match heard {
            Heard::Poke => {
                self.metrics.triggered("touch", 1);
                self.scope.add(Scope::All);
            }
            // It has said what it knew.
            Heard::Closed => {}
            Heard::Remade(note) => {
                self.metrics.triggered("pipe", 1);
                self.scope.add(Scope::All);
                report::say_all(&[note]);
            }
            Heard::Trouble(note) => return report::say(note.level, &note.text),
            Heard::Notices(notices, more) => {
                let is_put_off = |notice: &Notice| {
                    let resting = &self.settings.layout.root.resting;
                    notice.expected().is_none() && notice.domain().is_some_and(|domain| resting.puts_off_domain(domain))
                };
                // What else they could announce, the watches see.
                let are_watched = self.watch.as_ref().is_some_and(|watch| watch.is_complete());
                let are_put_off = are_watched && more == 0 && notices.iter().all(is_put_off);
                let room = MAX_LOGGED.saturating_sub(self.heard);
                notices.iter().take(room).for_each(|notice| report::say(Level::Status, &format!("heard {notice}")));
                self.heard += notices.len() + more;
                self.metrics.triggered("notice", notices.len() + more);
                if are_put_off {
                    return self.schedule.wake_at(self.wake());
                }
                if more > 0 {
                    self.scope.add(Scope::All);
                }
                for notice in &notices {
                    self.scope.add(notice.domain().map_or(Scope::All, |domain| Scope::domain(domain.to_vec())));
                }
                for expected in notices.iter().filter_map(Notice::expected) {
                    self.schedule.expect(now, expected);
                }
                self.notice = notices.into_iter().last();
            }
        }
        self.trigger();
    }

    fn start(&mut self, now: Instant, cause: Cause) {
        self.number += 1;
        let word = format!("{cause:?}").to_lowercase();
        self.metrics.triggered(&word, 1);
        let mut story = match (cause, self.notice.take()) {
            (Cause::Trigger, Some(notice)) => notice.to_string(),
            _ => word,
        };
        if self.heard > MAX_LOGGED {
            let _ = write!(story, " and {} more notices", self.heard - 1);
        }
        self.heard = 0;
        self.cause.clone_from(&story);
        self.schedule.start(now);
        self.expiry = self.expiry.filter(|time| instant_of(*time).is_some_and(|at| at > now));
        self.status.rebuilding();
        self.tables.begin();
        self.started = now;
        let expected: Vec<Expected> = self.schedule.expected().cloned().collect();
        let (settings, events, stop, number) =
            (self.settings.clone(), self.events.clone(), self.stop.clone(), self.number);
        let (scope, memory) = (self.scope_of(cause), self.memory.clone());
        if scope == Scope::All {
            self.schedule.looks_at_all(now);
        }
        self.looking = scope.clone();
        self.write_status(State::Rebuilding);
        let watch = self.watch.clone();
        let hold = settings.hold;
        let spot = settings.layout.root.silences.spot();
        let mut vigil = settings.layout.root.silences.vigil(LOOK_EVERY);
        vigil.add((), &spot);
        self.vigil = Some(vigil);
        let started = thread(move || {
            spot.take();
            let (head, middle) = (format!("rebuild {number} done"), format!(" cause={story}"));
            let notes = RefCell::new(Vec::new());
            let note = |found: &[Note]| notes.borrow_mut().extend_from_slice(found);
            let rebuild = || {
                // Lost when the rebuild fails.
                let mut slot = memory.lock().unwrap_or_else(PoisonError::into_inner);
                let remembered = std::mem::replace(&mut *slot, Err(Because::Failed));
                drop(slot);
                let set = |host: Option<&Host>| {
                    let set = |watch: &Arc<Watch>| watch.set(&settings.layout.root, watched(&settings, host));
                    report::say_all(watch.as_ref().and_then(set).as_slice());
                };
                // What says where the homes are, before it is read; the homes, before they are.
                if watch.as_ref().is_some_and(|watch| watch.is_new()) {
                    set(None);
                }
                // What is seen now, the rebuild sees too.
                let known = remembered.as_ref().ok().map(|memory| memory.host.clone()).filter(|_| scope != Scope::All);
                let seen = if expected.is_empty() { Vec::new() } else { seen(&settings, known, expected) };
                let then = format!(
                    "rebuild --force publishes them as the host is, the service does after {} s in which they lose nothing \
                     more",
                    hold.as_secs()
                );
                let patience = Patience::Until(hold);
                let (head, middle) = (&head, &middle);
                let order = Order { head, middle, patience, let_go: &[], then: &then, note: &note, stop: &stop };
                // A sweep of a host that says what it said leaves the watches as they are.
                let set_homes = |host: &Host, is_new: bool| {
                    if is_new || cause != Cause::Sweep {
                        set(Some(host));
                    }
                };
                let done = rebuild::rebuild_again(&settings, &order, &scope, remembered, &set_homes);
                let done = done.map(|(done, remembered)| {
                    *memory.lock().unwrap_or_else(PoisonError::into_inner) = remembered;
                    done
                });
                (done, seen)
            };
            // A fault of ours must not be the end of all rebuilds.
            let (result, seen) = catch_unwind(AssertUnwindSafe(rebuild))
                .unwrap_or_else(|_| (Err(Error::Temporary("a fault in this program".to_owned())), Vec::new()));
            let are_wanted = |done: &Done| actions::are_wanted(&settings, &done.host.layout);
            let are_actions_wanted = result.as_ref().is_ok_and(are_wanted);
            let _ = events.send(Event::Ended(Box::new(result), seen, notes.take(), are_actions_wanted));
        });
        if let Err(error) = started {
            self.end(Err(error), Vec::new(), Vec::new(), false);
        }
    }

    /// What a rebuild for this reason has to look at.
    fn scope_of(&mut self, cause: Cause) -> Scope {
        let mut scope = std::mem::take(&mut self.scope);
        // Whatever the reason, they are looked at once.
        self.settings.layout.root.resting.take_due().into_iter().for_each(|home| scope.add(Scope::home(home)));
        scope.add(std::mem::take(&mut *self.touched.lock().unwrap_or_else(PoisonError::into_inner)));
        match cause {
            Cause::Trigger | Cause::Expiry | Cause::Rested => {}
            Cause::FollowUp => {
                for expected in self.schedule.expected() {
                    scope.add(match expected {
                        Expected::MailboxGone(_, domain) | Expected::AliasChange(domain) => {
                            Scope::domain(domain.clone())
                        }
                        Expected::DomainGone(_) | Expected::DomainFilled(_) => Scope::All,
                    });
                }
            }
            Cause::Start | Cause::Retry | Cause::Sweep | Cause::Hold | Cause::Recheck => return Scope::All,
        }
        if self.second_look().is_some_and(|due| due <= self.started) {
            return Scope::All;
        }
        // Without watches nobody knows what else changed.
        if self.watch.as_ref().is_some_and(|watch| watch.is_complete()) { scope } else { Scope::All }
    }

    fn state(&self) -> State {
        match (self.schedule.is_running(), self.follow_ups.is_running() || self.is_acting, self.let_go.is_none()) {
            (true, ..) => State::Rebuilding,
            (_, true, _) => State::Following,
            (_, _, true) => State::Idle,
            (_, _, false) => State::Held,
        }
    }

    fn end(&mut self, result: Result<Done, Error>, seen: Vec<Expected>, notes: Vec<Note>, are_actions_wanted: bool) {
        let now = Instant::now();
        self.vigil = None;
        if let Ok(done) = &result {
            self.tell_of_kept(done);
            let look = Look { began: self.started, ended: now, is_whole: done.host_read };
            report::say_all(&self.found.tell(&look, keyed(notes, &done.kept)));
        }
        self.tables.end(result.as_ref().ok().map(|done| &done.stamps));
        for change in seen.into_iter().filter(|_| result.is_ok()) {
            self.schedule.seen(&change, self.started);
        }
        if let Ok(done) = &result {
            let waits = done.held.iter().map(|held| held.let_go_in(self.settings.hold));
            // A second more: they are counted whole.
            self.let_go = waits.min().map(|wait| now + wait + Duration::from_secs(1));
            self.expiry = done.next_expiry;
            self.read_again = done.is_again_soon.then(|| match self.read_again {
                // Triggers bring it no nearer.
                Some((at, pause)) if at > now => (at, pause),
                before => {
                    let mut pause = before.map_or(Pause::new(READ_AGAIN, self.settings.sweep), |(_, pause)| pause);
                    (now + pause.take(), pause)
                }
            });
            let changed = done.changed();
            self.tell_of_tampering(&changed);
            self.follow_ups.rebuilt(now, &changed);
            if done.host_read {
                let before = follow_ups::all_not_run(&self.settings, &self.follow_ups);
                self.follow_ups.read(now, &done.behind);
                let not_run = follow_ups::all_not_run(&self.settings, &self.follow_ups);
                // When it happens again, that is news.
                before.iter().filter(|note| !not_run.contains(note)).for_each(|note| report::forget(&note.text));
                self.count_failures(false);
            }
            let mut scope = if done.host_read { Scope::All } else { std::mem::take(&mut self.looking) };
            if let Some(before) = self.occasion.take() {
                scope.add(before.scope);
            }
            let held = done.held.iter().map(|held| held.domain.clone()).collect();
            let (host, began) = (done.host.clone(), self.started);
            let occasion = Occasion { host, scope, held, began, now: Duration::ZERO };
            self.occasion = are_actions_wanted.then_some(occasion);
        }
        if result.is_err() {
            // What it should have looked at, nobody has.
            self.scope = Scope::All;
        }
        let waited = self.settings.layout.root.silences.lost();
        self.schedule.end(now, waited, result.is_ok(), self.wake());
        self.status.rebuilt(self.number, &self.cause, waited, &result);
        self.metrics.rebuilt(&result, now - self.started);
        if let Err(error) = result {
            let wait = self.schedule.next().map_or(Duration::ZERO, |(due, _)| due.saturating_duration_since(now));
            let text = format!("rebuild {} failed: {error}; next try in {:.1} s", self.number, wait.as_secs_f64());
            report::say(Level::Alert, &text);
        }
    }

    /// Says which homes can be read again, of those that were told of.
    fn tell_of_kept(&mut self, done: &Done) {
        for before in std::mem::replace(&mut self.kept, done.kept.clone()) {
            if self.kept.iter().any(|now| now.home == before.home) {
                continue;
            }
            let root = &self.settings.layout.root;
            let is_file = before.unusable.is_some() && matches!(root.walk(&before.home).end, End::Found(_));
            if self.found.was_told(&before.home) && (is_file || done.host.homes().contains(&before.home[..])) {
                let path = root.path(&before.home);
                report::say(Level::Status, &format!("{}: can be read again", show_path(&path)));
            }
            // When it happens again, that is news.
            report::forget(&before.alert.text);
        }
    }

    /// When what was found has to be looked at again.
    fn second_look(&self) -> Option<Instant> {
        self.found.due().into_iter().chain(self.found_by_actions.due()).min()
    }

    /// When the next change comes by itself.
    fn wake(&self) -> Option<(Instant, Cause)> {
        // What was over when the last rebuild began, that one let go, or a retry will.
        let lifted = self.let_go.filter(|at| *at > self.started);
        let expiry = self.expiry.and_then(instant_of);
        let recheck = self.second_look().filter(|at| *at > self.started);
        let again = self.read_again.map(|(at, _)| at).filter(|at| *at > self.started);
        let wake = [
            again.map(|at| (at, Cause::Retry)),
            expiry.map(|at| (at, Cause::Expiry)),
            lifted.map(|at| (at, Cause::Hold)),
            recheck.map(|at| (at, Cause::Recheck)),
            self.settings.layout.root.resting.due().map(|at| (at, Cause::Rested)),
        ];
        wake.into_iter().flatten().min()
    }

    /// Runs what is due of what follows a rebuild, in threads of its own: no rebuild waits for it.
    fn follow(&mut self) {
        for orders in self.follow_ups.start(Instant::now()) {
            let numbers: Vec<usize> = orders.iter().map(|order| order.number).collect();
            // What a command of --after does to the tables is left alone: a rebuild would run it again.
            orders.iter().filter(|order| order.is_telling()).for_each(|_| self.tables.begin());
            let (settings, events, stop) = (self.settings.clone(), self.events.clone(), self.stop.clone());
            let tables = self.tables.clone();
            let started = thread(move || {
                for order in orders {
                    let run = || {
                        let outcome = follow_ups::run(&settings, &order, &stop);
                        if order.is_telling() {
                            tables.accept();
                        }
                        outcome
                    };
                    let fault =
                        |_| Outcome::Failed(Failure { what: "a fault in this program".to_owned(), said: Vec::new() });
                    let outcome = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(fault);
                    let _ = events.send(Event::Followed(order.number, outcome));
                }
            });
            if let Err(error) = started {
                report::say(Level::Alert, &error.to_string());
                let failure = Failure { what: error.to_string(), said: Vec::new() };
                numbers.into_iter().for_each(|number| self.followed(number, Outcome::Failed(failure.clone())));
            }
        }
    }

    /// A command that follows a rebuild ended.
    fn followed(&mut self, number: usize, outcome: Outcome) {
        let now = Instant::now();
        if self.follow_ups.commands().get(number).is_some_and(Owed::is_telling) {
            self.tables.end(None);
        }
        let is_failed = matches!(outcome, Outcome::Failed(_));
        self.follow_ups.ended(now, number, outcome);
        self.count_failures(is_failed);
        if is_failed {
            let due = self.follow_ups.commands().get(number).and_then(Owed::due).unwrap_or(now);
            report::say(
                Level::Alert,
                &format!(
                    "1 command failed after rebuild {}; both files are right; next try in {:.1} s",
                    self.number,
                    due.saturating_duration_since(now).as_secs_f64()
                ),
            );
        }
    }

    /// Keeps what others are told of the commands that fail.
    fn count_failures(&mut self, is_one_more: bool) {
        self.status.followed(self.number, is_one_more, &self.follow_ups);
        self.metrics.followed(is_one_more, self.follow_ups.failures().count());
    }

    /// Runs a round of actions, in a thread of its own: nothing else waits for it. What a rebuild sees meanwhile is the
    /// next round's.
    fn act(&mut self) {
        if self.is_acting {
            return;
        }
        let Some(mut occasion) = self.occasion.take() else { return };
        self.is_acting = true;
        let (settings, events, stop) = (self.settings.clone(), self.events.clone(), self.stop.clone());
        let actions = self.actions.clone();
        let started = thread(move || {
            let run = || {
                occasion.now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                actions.lock().unwrap_or_else(PoisonError::into_inner).round(&settings, &occasion, &stop)
            };
            let round = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
                report::say(Level::Alert, "a fault in this program, in a round of actions; tried again");
                Round { is_cut_off: true, ..Round::default() }
            });
            let _ = events.send(Event::Acted(round));
        });
        if let Err(error) = started {
            report::say(Level::Alert, &error.to_string());
            self.acted(Round { is_cut_off: true, ..Round::default() });
        }
    }

    /// A round of actions ended. What it put off is no failure of a command: others can bring that about.
    fn acted(&mut self, round: Round) {
        self.is_acting = false;
        if let Some(began) = round.began {
            let look = Look { began, ended: Instant::now(), is_whole: round.is_whole };
            let notes = round.notes.into_iter().map(|note| (note.text.clone().into_bytes(), note)).collect();
            report::say_all(&self.found_by_actions.tell(&look, notes));
            self.schedule.wake_at(self.wake());
        }
        self.schedule.acted(Instant::now(), !round.is_cut_off);
        self.status.acted(round.failed, round.last_failure.as_ref());
        self.metrics.acted(round.failed);
        if round.again != Scope::default() {
            self.scope.add(round.again);
            self.trigger();
        }
    }

    /// Keeps the metrics file, between rebuilds only: so nothing waits for it, and it never lacks what the first one says.
    fn write_metrics(&self, is_up: bool) {
        if let Err(error) = self.metrics.write(&self.settings, is_up) {
            report::say_all(&[Note::warning(format!("{error}; the metrics are those of before"))]);
        }
    }

    /// Keeps the status file, which tells others what the service did.
    fn write_status(&mut self, state: State) {
        let pending = self.schedule.is_triggered();
        let next_sweep = SystemTime::now() + self.schedule.next_sweep().saturating_duration_since(Instant::now());
        let next_sweep = next_sweep.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs());
        match self.status.write(&self.settings, state, pending, next_sweep, &self.follow_ups) {
            Ok(()) => {
                // When it happens again, that is news.
                if let Some(before) = self.unwritten.take() {
                    report::forget(&before);
                }
            }
            Err(error) => {
                let text = format!("{error}; status tells of an earlier rebuild");
                report::say_all(&[Note::warning(text.clone())]);
                self.unwritten = Some(text);
            }
        }
    }
}

/// A time in seconds since 1970-01-01 UTC as an instant of the monotonic clock; the one use of wall-clock time.
fn instant_of(time: u64) -> Option<Instant> {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time))?;
    let wait = time.duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now().checked_add(wait)
}

/// Notes, each with what it is known by at the next look: a home that could not be read by its path, because the number of
/// its entries in the text may change.
fn keyed(notes: Vec<Note>, kept: &[KeptHome]) -> Vec<(Vec<u8>, Note)> {
    let homes: HashMap<&str, &Vec<u8>> = kept.iter().map(|kept| (&kept.alert.text[..], &kept.home)).collect();
    let key =
        |note: &Note| homes.get(&note.text[..]).map_or_else(|| note.text.clone().into_bytes(), |home| (*home).clone());
    notes.into_iter().map(|note| (key(&note), note)).collect()
}

/// Which of the expected changes the host shows.
fn seen(settings: &Settings, known: Option<Arc<Host>>, expected: Vec<Expected>) -> Vec<Expected> {
    let read = || rebuild::read_host(settings, &mut Vec::new()).map(Arc::new);
    let Ok(host) = known.map_or_else(read, Ok) else { return Vec::new() };
    let own = host.clone();
    let look = move || {
        let mut homes = BTreeMap::new();
        expected.iter().filter(|change| is_seen(&own, change, &mut homes)).cloned().collect()
    };
    let looked = confine::folders(&host).and_then(|folders| confine::attempt(&host.layout.root, folders, look));
    looked.map_or_else(|_| Vec::new(), |(seen, _)| seen)
}

/// A service that remembers nothing, for this reason.
fn forgotten(because: Because) -> Arc<Mutex<Remembered>> {
    Arc::new(Mutex::new(Err(because)))
}

fn is_seen(host: &Host, change: &Expected, homes: &mut BTreeMap<Vec<u8>, Arc<Home>>) -> bool {
    let mut home = |domain: &[u8]| {
        let line = host.assignments.vpopmail_domain(domain)?;
        Some(homes.entry(line.home.clone()).or_insert_with(|| Arc::new(host.read_home(&line.home))).clone())
    };
    match change {
        Expected::MailboxGone(name, domain) => {
            home(domain).is_none_or(|home| match (&home.state, home.mailboxes_of(host.user_domain(domain))) {
                (HomeState::Listed(..), Mailboxes::Known(mailboxes)) => mailboxes.find(name).is_none(),
                // It shows nothing, however long it is looked at.
                (HomeState::Listed(..), Mailboxes::Elsewhere(_)) => true,
                _ => false,
            })
        }
        Expected::DomainGone(domain) => host.assignments.vpopmail_domain(domain).is_none(),
        Expected::DomainFilled(domain) => {
            let is_filled = |mailboxes: &Mailboxes| matches!(mailboxes, Mailboxes::Known(_) | Mailboxes::Elsewhere(_));
            home(domain).is_some_and(|home| is_filled(home.mailboxes_of(host.user_domain(domain))))
        }
        Expected::AliasChange(_) => false,
    }
}
