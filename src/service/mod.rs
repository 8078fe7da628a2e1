//! The service: threads that listen (`ears`), one loop that decides when to rebuild, threads that do (`worker`). The
//! loop's state is in small machines: what was heard (`inbox`), when it is answered ([`schedule`]), the rebuild that
//! runs (`rebuilds`), what follows it (`following`, `rounds`), and what others may see of it (`journal`).

mod database;
mod ears;
mod expected;
pub mod follow_ups;
mod following;
mod inbox;
mod journal;
pub mod metrics;
pub mod owed;
mod rebuilds;
mod rounds;
pub mod schedule;
mod second_look;
pub mod status;
mod tampering;
pub mod watch;
mod worker;

use std::io::{PipeWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{at, never, select, tick};
use nix::errno::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::actions::{self, Round};
use crate::error::{Error, show_path};
use crate::kernel;
use crate::os::lock::{self, FifoLock};
use crate::os::spawn;
use crate::os::stop::{Stop, Stopper};
use crate::pipe::fifo::{Fifo, Heard};
use crate::pipe::notice::{Expected, Notice};
use crate::publish;
use crate::rebuild::memory::Scope;
use crate::report::{self, Level, Note};
use crate::settings::Settings;
use ears::{Ears, QUEUE, Seen};
use following::Following;
use inbox::Inbox;
use journal::Journal;
use rebuilds::{Ended, Rebuilds};
use rounds::Rounds;
use schedule::{Cause, Schedule};
use second_look::Look;
use status::State;
use tampering::{Recreation, Tables};
use watch::Watch;
use worker::Fault;

/// How long a running rebuild may go on when the service has to end.
const LAST_CHANCE: Duration = Duration::from_secs(4);
/// How often the locks are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(4);

/// Runs until TERM or INT.
///
/// # Errors
/// What keeps it from starting: a pipe that cannot be made, or another service that reads it.
pub fn run(settings: &Arc<Settings>) -> Result<(), Error> {
    let ready = settings.ready_fd.map(supervisor).transpose()?;
    // Whatever we were started with is none of our commands' business.
    close_fds::set_fds_cloexec(3, &[]);
    report::write_in_background();
    // Before there is a pipe: whoever ends us, it goes with us.
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP])
        .map_err(|cause| Error::io("catch signals for", &PathBuf::from("the service"), cause))?;
    let (mut locks, mut fifos, mut shown) = (Vec::new(), Vec::new(), Vec::new());
    for path in &settings.fifos {
        locks.push(lock::acquire_fifo(&settings.layout.root, &settings.state, path)?);
        let (fifo, note) = Fifo::make_or_wait(path)?;
        report::say_all(note.as_slice());
        shown.extend(fifo.is_made().then(|| show_path(path).to_string()));
        fifos.push(fifo);
    }
    let watch = make_watch(settings);
    let tables = Arc::new(Tables::new(settings.clone()));
    let (stopper, stop) = Stop::new();
    let mut service = Service::start(settings.clone(), watch.clone(), tables.clone(), &stop)?;
    let (ears, listeners) = ears::listen(settings, signals, fifos, watch, tables, LAST_CHANCE)?;
    if !shown.is_empty() {
        report::say(Level::Status, &format!("listening on {}", shown.join(", ")));
    }
    if let Some(mut ready) = ready {
        // A supervisor that is gone needs no answer.
        let _ = ready.write_all(b"\n");
    }
    report::say_all(&settings.unknown_variables());
    report::say_all(&actions::findings(settings));
    // The process that took the pipe from this one reads it, and keeps its status.
    let ended = service.run(&ears, &mut locks, End { stopper: Some(stopper), at: None });
    // A listener that waits to be heard waits no more.
    drop(ears);
    ended?;
    // One that could not be given up in time is taken up at the next start.
    service.write_status_of(if service.schedule.is_running() { State::Rebuilding } else { State::Ended });
    service.journal.write_metrics(false);
    listeners.end();
    // A rebuild that could not be given up in time may still write some.
    publish::remove_all_temporary();
    report::say(Level::Status, "ended");
    Ok(())
}

/// The pipe of a supervisor that waits until this service hears triggers, as s6 does.
///
/// # Errors
/// No pipe is open there.
fn supervisor(number: u8) -> Result<PipeWriter, Error> {
    spawn::inherited_pipe(number).map_err(|_| Error::Usage(format!("--ready-fd {number}: no pipe is open there")))
}

fn make_watch(settings: &Settings) -> Option<Arc<Watch>> {
    let watch = settings.watch.then(Watch::new).transpose().unwrap_or_else(|cause| {
        let why = match cause {
            Errno::EMFILE => kernel::why_no_watcher(watch::DESCRIPTORS),
            cause => cause.desc(),
        };
        report::say(Level::Warning, &format!("unable to watch files: {why}; what they say, the next sweep sees"));
        None
    });
    watch.map(Arc::new)
}

/// How the service ends: what runs may end by itself for the half of [`LAST_CHANCE`], then it is given up and waited for in
/// the other half.
struct End {
    stopper: Option<Stopper>,
    /// When the present half is over; `None` until the service has to end.
    at: Option<Instant>,
}

impl End {
    fn begin(&mut self) {
        self.at.get_or_insert(Instant::now() + LAST_CHANCE / 2);
    }

    fn is_begun(&self) -> bool {
        self.at.is_some()
    }

    /// Whether nothing is waited for any more.
    fn is_over(&mut self, now: Instant) -> bool {
        if self.at.is_none_or(|at| at > now) {
            return false;
        }
        self.at = Some(now + LAST_CHANCE / 2);
        self.stopper.take().is_none()
    }
}

/// The loop's state.
struct Service {
    settings: Arc<Settings>,
    inbox: Inbox,
    schedule: Schedule,
    rebuilds: Rebuilds,
    following: Following,
    rounds: Rounds,
    recreation: Recreation,
    journal: Journal,
    /// What became of asking the user database, where there is one.
    database: Option<Asked>,
}

/// What became of asking the user database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Answered,
    Unanswered,
}

impl Service {
    fn start(
        settings: Arc<Settings>,
        watch: Option<Arc<Watch>>,
        tables: Arc<Tables>,
        stop: &Stop,
    ) -> Result<Service, Error> {
        Ok(Service {
            inbox: Inbox::default(),
            schedule: Schedule::new(Instant::now(), settings.sweep),
            rebuilds: Rebuilds::start(settings.clone(), watch, stop.clone(), LOOK_EVERY)?,
            following: Following::new(settings.clone(), tables.clone(), stop.clone()),
            rounds: Rounds::start(settings.clone(), stop.clone())?,
            recreation: Recreation::new(tables),
            journal: Journal::new(settings.clone()),
            database: None,
            settings,
        })
    }

    /// Goes on until a signal ends it.
    ///
    /// # Errors
    /// Another service took the pipe.
    fn run(&mut self, ears: &Ears, locks: &mut [FifoLock], mut end: End) -> Result<(), Error> {
        let rebuilt = self.rebuilds.outcomes().clone();
        let followed = self.following.outcomes().clone();
        let acted = self.rounds.outcomes().clone();
        let look = tick(LOOK_EVERY);
        loop {
            // A rebuild that begins now looks at all that was seen.
            ears.host.try_iter().take(QUEUE).for_each(|seen| self.seen(seen));
            let now = Instant::now();
            if end.is_over(now) || (end.is_begun() && !self.is_anything_running()) {
                return Ok(());
            }
            if !end.is_begun() && self.begin_what_is_due(now) {
                continue;
            }
            let due = end.at.or_else(|| self.next()).map_or_else(never, at);
            select! {
                recv(ears.pipe) -> heard => heard.into_iter().for_each(|heard| self.heard(heard)),
                recv(ears.host) -> seen => seen.into_iter().for_each(|seen| self.seen(seen)),
                recv(ears.signals) -> signal => match signal {
                    Ok(SIGHUP) => self.forget(),
                    _ => end.begin(),
                },
                recv(rebuilt) -> ended => {
                    let is_published = self.rebuilt(ended.unwrap_or(Err(Fault)).unwrap_or_else(Ended::from));
                    if is_published && !end.is_begun() {
                        self.following.go_on();
                        self.rounds.go_on();
                    }
                    self.write();
                }
                recv(followed) -> ended => {
                    ended.into_iter().for_each(|ended| self.followed(ended));
                    self.write();
                }
                recv(acted) -> round => {
                    let round = self.rounds.end(round.unwrap_or(Err(Fault)));
                    self.acted(round);
                    if !end.is_begun() {
                        self.rounds.go_on();
                    }
                    self.write();
                }
                recv(look) -> _ => self.look_around(locks)?,
                recv(due) -> _ => {}
            }
        }
    }

    /// When something begins by itself.
    fn next(&self) -> Option<Instant> {
        self.schedule.next().map(|(due, _)| due).into_iter().chain(self.following.owed.next()).min()
    }

    /// Begins what is due; whether anything was.
    fn begin_what_is_due(&mut self, now: Instant) -> bool {
        if let Some((_, cause)) = self.schedule.next().filter(|(due, _)| *due <= now) {
            self.begin(now, cause);
            return true;
        }
        let is_due = self.following.owed.next().is_some_and(|due| due <= now);
        if is_due {
            self.following.go_on();
            self.write_status();
        }
        is_due
    }

    fn is_anything_running(&self) -> bool {
        self.schedule.is_running() || self.following.owed.is_running() || self.rounds.are_running()
    }

    /// Begins a rebuild.
    fn begin(&mut self, now: Instant, cause: Cause) {
        self.journal.triggered(&cause.word(), 1);
        self.schedule.start(now);
        self.scope_of(now, cause);
        let (scope, story) = self.inbox.take(cause);
        if scope == Scope::All {
            self.schedule.looks_at_all(now);
        }
        self.journal.rebuilding();
        self.recreation.begin();
        let expected = self.schedule.expected().cloned().collect();
        self.rebuilds.begin(now, cause, story, scope, expected);
        // After that, because the rebuild need not wait for it.
        self.write_status();
    }

    /// What a rebuild for this reason has to look at, beside what was heard.
    fn scope_of(&mut self, now: Instant, cause: Cause) {
        let inbox = &mut self.inbox;
        // Whatever the reason, they are looked at once.
        self.settings.layout.root.resting.take_due().into_iter().for_each(|home| inbox.add(Scope::home(home)));
        match cause {
            Cause::Trigger | Cause::Expiry | Cause::Rested => {}
            // One that gave no answer is asked by a full check only.
            Cause::Database if self.database == Some(Asked::Unanswered) => inbox.add(Scope::All),
            Cause::Database => {}
            Cause::FollowUp => {
                for expected in self.schedule.expected() {
                    inbox.add(match expected {
                        Expected::MailboxGone(_, domain) | Expected::AliasChange(domain) => {
                            Scope::domain(domain.clone())
                        }
                        Expected::DomainGone(_) | Expected::DomainFilled(_) => Scope::All,
                    });
                }
            }
            Cause::Start | Cause::Retry | Cause::Sweep | Cause::Hold | Cause::Recheck => inbox.add(Scope::All),
        }
        // Without watches nothing tells what else changed; the user database itself was asked.
        let is_blind = !self.rebuilds.is_watched() && cause != Cause::Database;
        if is_blind || self.second_look().is_some_and(|due| due <= now) {
            self.inbox.add(Scope::All);
        }
    }

    /// A rebuild ended; whether it published what the host says.
    fn rebuilt(&mut self, ended: Ended) -> bool {
        let now = Instant::now();
        self.rebuilds.end();
        let Ended { result, seen, notes, are_actions_wanted } = ended;
        let current = &mut self.rebuilds.current;
        if let Ok(done) = &result {
            let look = Look { began: current.began, ended: now, is_whole: done.host_read };
            self.journal.tell(&look, done, notes);
            seen.iter().for_each(|change| self.schedule.seen(change, current.began));
            self.recreation.end(Some((done.left(), &done.changed())));
            self.rebuilds.waits.rebuilt(now, done, &self.settings);
            self.following.rebuilt(now, done);
            let build = &done.host.build;
            let asked = if build.is_unanswered { Asked::Unanswered } else { Asked::Answered };
            self.database = build.asked.as_ref().map(|_| asked);
            self.schedule.asks_every(self.database.map(|_| self.settings.sql_sweep));
            if done.host_read {
                self.journal.followed(current.number, false, &self.following.owed);
            }
            // In which domains the user database changed is not told.
            let is_all = done.host_read || (self.database.is_some() && !done.changed().is_empty());
            let scope = if is_all { Scope::All } else { std::mem::take(&mut current.scope) };
            self.rounds.rebuilt(done, current.began, scope, are_actions_wanted);
        } else {
            self.recreation.end(None);
            // What it should have looked at was not looked at.
            self.inbox.add(Scope::All);
        }
        let waited = self.settings.layout.root.silences.lost();
        self.schedule.end(now, waited, result.is_ok(), self.wake());
        self.journal.rebuilt(now, &self.rebuilds.current, waited, &result);
        if let Err(error) = &result {
            let wait = self.schedule.next().map_or(Duration::ZERO, |(due, _)| due.saturating_duration_since(now));
            let number = self.rebuilds.current.number;
            let text = format!("rebuild {number} failed: {error}; next try in {:.1} s", wait.as_secs_f64());
            report::say(Level::Alert, &text);
        }
        result.is_ok()
    }

    /// A command that follows a rebuild ended.
    fn followed(&mut self, ended: (usize, owed::Outcome)) {
        let number = self.rebuilds.current.number;
        let is_failed = self.following.end(number, ended);
        self.journal.followed(number, is_failed, &self.following.owed);
    }

    /// A round of actions ended. What it put off is no failure of a command: others can bring that about.
    fn acted(&mut self, round: Round) {
        self.schedule.wake_at(self.wake());
        self.schedule.acted(Instant::now(), !round.is_cut_off);
        self.journal.acted(&round);
        if round.again != Scope::default() {
            self.inbox.add(round.again);
            self.trigger();
        }
    }

    /// HUP: everything is read again, and what failed is tried again.
    fn forget(&mut self) {
        self.journal.triggered("signal", 1);
        self.inbox.add(Scope::All);
        self.rebuilds.forget();
        self.rounds.forget();
        self.settings.layout.root.resting.forget();
        self.following.owed.hurry(Instant::now());
        self.trigger();
    }

    fn trigger(&mut self) {
        let (now, was_pending) = (Instant::now(), self.schedule.is_triggered());
        self.schedule.trigger(now);
        if self.schedule.is_busy(now) && !was_pending {
            self.write_status();
        }
    }

    /// A thread saw a change on the host.
    fn seen(&mut self, seen: Seen) {
        match seen {
            Seen::Changed(scope) => {
                self.inbox.see(scope);
                // The directory of a mailbox is made a moment before its row.
                if self.database.is_some() {
                    self.schedule.look_again(Instant::now());
                }
            }
            Seen::Tampered(change) => {
                if !self.recreation.hear(Instant::now(), change) {
                    return;
                }
                self.inbox.see(Scope::default());
            }
        }
        self.journal.triggered("watch", 1);
        self.trigger();
    }

    /// Something came through a pipe.
    fn heard(&mut self, heard: Heard) {
        match heard {
            Heard::Poke => {
                self.journal.triggered("touch", 1);
                self.inbox.touch();
            }
            // It has said what it knew.
            Heard::Closed => {
                self.trigger();
                return self.schedule.closed(Instant::now());
            }
            Heard::Remade(note) => {
                self.journal.triggered("pipe", 1);
                self.inbox.touch();
                report::say_all(&[note]);
            }
            Heard::Trouble(note) => return report::say(note.level, &note.text),
            Heard::Notices(notices, more) => {
                if !self.heed(notices, more) {
                    return self.schedule.wake_at(self.wake());
                }
            }
        }
        self.trigger();
    }

    /// Takes notices, of which `more` were not kept; whether a rebuild has to look at what they announce.
    fn heed(&mut self, notices: Vec<Notice>, more: usize) -> bool {
        let resting = &self.settings.layout.root.resting;
        let is_put_off = |notice: &Notice| {
            notice.expected().is_none() && notice.domain().is_some_and(|domain| resting.puts_off_domain(domain))
        };
        // What else they could announce, the watches see.
        let are_put_off = self.rebuilds.is_watched() && more == 0 && notices.iter().all(is_put_off);
        let told = self.inbox.count(&notices, more);
        told.iter().for_each(|notice| report::say(Level::Status, &format!("heard {notice}")));
        self.journal.triggered("notice", notices.len() + more);
        if are_put_off {
            return false;
        }
        let now = Instant::now();
        notices.iter().filter_map(Notice::expected).for_each(|expected| self.schedule.expect(now, expected));
        self.inbox.heed(notices, more);
        true
    }

    /// When what was found wrong has to be looked at again.
    fn second_look(&self) -> Option<Instant> {
        self.journal.second_look().into_iter().chain(self.rounds.second_look()).min()
    }

    /// When the next change comes by itself.
    fn wake(&self) -> Option<(Instant, Cause)> {
        let began = self.rebuilds.current.began;
        let recheck = self.second_look().filter(|at| *at > began).map(|at| (at, Cause::Recheck));
        let rested = self.settings.layout.root.resting.due().map(|at| (at, Cause::Rested));
        [self.rebuilds.waits.next(began), recheck, rested].into_iter().flatten().min()
    }

    /// What is looked at every few seconds.
    ///
    /// # Errors
    /// Another service took the pipe.
    fn look_around(&mut self, locks: &mut [FifoLock]) -> Result<(), Error> {
        let is_any_made_again = keep_locks(&self.settings, locks)?;
        let silences = self.rebuilds.silences();
        for silence in &silences {
            let number = self.rebuilds.current.number;
            let text = format!("rebuild {number} waits: {silence}; nothing is published until it answers");
            report::say(Level::Alert, &text);
        }
        if is_any_made_again || !silences.is_empty() || self.journal.is_unwritten() {
            self.write_status();
        }
        // The clock may have jumped.
        self.schedule.wake_at(self.wake());
        Ok(())
    }

    fn state(&self) -> State {
        let is_following = self.following.owed.is_running() || self.rounds.are_running();
        match (self.schedule.is_running(), is_following, self.rebuilds.waits.is_held()) {
            (true, ..) => State::Rebuilding,
            (_, true, _) => State::Following,
            (_, _, false) => State::Idle,
            (_, _, true) => State::Held,
        }
    }

    /// Writes what others may see of the service.
    fn write(&mut self) {
        self.write_status();
        self.journal.write_metrics(true);
    }

    fn write_status(&mut self) {
        self.write_status_of(self.state());
    }

    fn write_status_of(&mut self, state: State) {
        self.journal.write_status(state, &self.schedule, &self.following.owed);
    }
}

/// Takes the locks again when their files were removed; whether any were.
///
/// # Errors
/// Another service has one.
fn keep_locks(settings: &Settings, locks: &mut [FifoLock]) -> Result<bool, Error> {
    let mut removed = Vec::new();
    for lock in locks {
        match lock.keep(&settings.layout.root, &settings.state) {
            Ok(again) => removed.extend(again),
            Err(error @ Error::Io { .. }) => {
                report::say_all(&[Note::warning(format!("{error}; a second service may start meanwhile"))])
            }
            Err(error) => return Err(error.then("somebody removed the lock that this one held; it ends")),
        }
    }
    for path in &removed {
        report::say_all(&[Note::warning(format!("{}: was removed; recreated", show_path(path)))]);
    }
    Ok(!removed.is_empty())
}
