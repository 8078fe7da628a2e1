//! The rebuild that runs: in a thread of its own, which keeps what is remembered of the last one; and when the next one
//! comes by itself.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::Receiver;

use super::expected;
use super::schedule::{Cause, Pause};
use super::watch::{After, Watch, wanted};
use super::worker::{Fault, Worker};
use crate::actions;
use crate::error::Error;
use crate::fs::silence::{Back, Silence, Vigil};
use crate::host::Host;
use crate::os::raw;
use crate::os::stop::Stop;
use crate::pipe::notice::Expected;
use crate::protect::hold::Patience;
use crate::rebuild::memory::{Because, Remembered, Scope};
use crate::rebuild::{self, Done, Order};
use crate::report::{self, Note};
use crate::settings::Settings;

/// How long after a rebuild something is read again that could not be read; each further pause is twice as long.
const READ_AGAIN: Duration = Duration::from_secs(2);

/// What a rebuild is asked for.
struct Job {
    number: u64,
    cause: Cause,
    /// The same as the log has it.
    story: String,
    scope: Scope,
    /// Changes that notices announced.
    expected: Vec<Expected>,
    /// Why it must not use what is remembered.
    forget: Option<Because>,
}

/// What came of a rebuild.
pub struct Ended {
    /// Whether both tables are right.
    pub result: Result<Done, Error>,
    /// The expected changes that the host showed before it was read.
    pub seen: Vec<Expected>,
    /// What was found wrong on the host.
    pub notes: Vec<Note>,
    /// Whether actions are wanted.
    pub are_actions_wanted: bool,
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Ended {
        Ended { result: Err(fault.into()), seen: Vec::new(), notes: Vec::new(), are_actions_wanted: false }
    }
}

/// The rebuild that runs, or ran last.
#[derive(Debug)]
pub struct Current {
    /// How many there were before it, and one.
    pub number: u64,
    /// When it began.
    pub began: Instant,
    /// Why, as the log has it.
    pub cause: String,
    /// What it looks at.
    pub scope: Scope,
}

/// The thread, and what the loop knows of it.
pub struct Rebuilds {
    /// The rebuild that runs, or ran last.
    pub current: Current,
    /// When the next one comes by itself.
    pub waits: Waits,
    worker: Worker<Job, Ended>,
    watch: Option<Arc<Watch>>,
    vigil: Vigil<()>,
    forget: Option<Because>,
}

impl Rebuilds {
    /// Starts the thread; how often it is looked at for waiting for what does not answer.
    ///
    /// # Errors
    /// There is none.
    pub fn start(
        settings: Arc<Settings>,
        watch: Option<Arc<Watch>>,
        stop: Stop,
        every: Duration,
    ) -> Result<Rebuilds, Error> {
        let silences = &settings.layout.root.silences;
        let spot = silences.spot();
        let mut vigil = silences.vigil(every);
        vigil.add((), &spot);
        let current = Current { number: 0, began: Instant::now(), cause: String::new(), scope: Scope::default() };
        let worker = Worker::start(work(settings, watch.clone(), stop, spot))?;
        Ok(Rebuilds { current, waits: Waits::default(), worker, watch, vigil, forget: None })
    }

    /// Begins the next one, which looks at this at least. A change that has not been seen yet is one of `expected`.
    pub fn begin(&mut self, now: Instant, cause: Cause, story: String, scope: Scope, expected: Vec<Expected>) {
        // It is looked at from now on.
        self.vigil.look();
        let number = self.current.number + 1;
        self.current = Current { number, began: now, cause: story.clone(), scope: scope.clone() };
        self.waits.begin(now);
        self.worker.order(Job { number, cause, story, scope, expected, forget: self.forget.take() });
    }

    /// Where it tells that it ended; [`Rebuilds::end`] takes it.
    pub fn outcomes(&self) -> &Receiver<Result<Ended, Fault>> {
        self.worker.outcomes()
    }

    /// It ended.
    pub fn end(&mut self) {
        self.worker.is_done();
    }

    /// The next one reads everything again.
    pub fn forget(&mut self) {
        self.forget = Some(Because::Hup);
    }

    /// Whether the watches see every change that no notice announces.
    pub fn is_watched(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.is_complete())
    }

    /// What the thread itself has begun to wait for in vain, which no other thread can do for it.
    pub fn silences(&mut self) -> Vec<Silence> {
        self.vigil.look().into_iter().map(|((), silence)| silence).collect()
    }
}

/// When the next rebuild comes by itself, after the last one.
#[derive(Debug, Default)]
pub struct Waits {
    /// When the next login expires, in seconds since 1970-01-01 UTC.
    expiry: Option<u64>,
    /// When the first of the held domains is let go.
    let_go: Option<Instant>,
    /// When what could not be read is read again, and the pause after that.
    read_again: Option<(Instant, Pause)>,
}

impl Waits {
    fn begin(&mut self, now: Instant) {
        self.expiry = self.expiry.filter(|time| instant_of(*time).is_some_and(|at| at > now));
    }

    /// A rebuild ended well now.
    pub fn rebuilt(&mut self, now: Instant, done: &Done, settings: &Settings) {
        let waits = done.held.iter().map(|held| held.let_go_in(settings.hold));
        // A second more: they are counted whole.
        self.let_go = waits.min().map(|wait| now + wait + Duration::from_secs(1));
        self.expiry = done.next_expiry;
        self.read_again = done.is_again_soon.then(|| match self.read_again {
            // Triggers bring it no nearer.
            Some((at, pause)) if at > now => (at, pause),
            before => {
                let mut pause = before.map_or(Pause::new(READ_AGAIN, settings.sweep), |(_, pause)| pause);
                (now + pause.take(), pause)
            }
        });
    }

    /// Whether a domain is held.
    pub fn is_held(&self) -> bool {
        self.let_go.is_some()
    }

    /// When the next change comes by itself, of which the rebuild that began then knows nothing.
    pub fn next(&self, began: Instant) -> Option<(Instant, Cause)> {
        // What was over when the last rebuild began, that one let go, or a retry will.
        let later = |at: Option<Instant>| at.filter(|at| *at > began);
        let again = later(self.read_again.map(|(at, _)| at));
        let wakes = [
            again.map(|at| (at, Cause::Retry)),
            self.expiry.and_then(instant_of).map(|at| (at, Cause::Expiry)),
            later(self.let_go).map(|at| (at, Cause::Hold)),
        ];
        wakes.into_iter().flatten().min()
    }
}

/// A time in seconds since 1970-01-01 UTC as an instant of the monotonic clock; the one use of wall-clock time.
fn instant_of(time: u64) -> Option<Instant> {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time))?;
    let wait = time.duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now().checked_add(wait)
}

/// What the thread does for each order. It notes where it is at this spot.
fn work(
    settings: Arc<Settings>,
    watch: Option<Arc<Watch>>,
    stop: Stop,
    spot: Back,
) -> impl FnMut(Job) -> Ended + Send + 'static {
    let mut memory: Remembered = Err(Because::Start);
    move |job| {
        spot.take();
        // Lost when the rebuild fails.
        let remembered = std::mem::replace(&mut memory, Err(Because::Failed));
        let remembered = job.forget.map_or(remembered, Err);
        let (ended, remembered) = carry_out(&settings, watch.as_ref(), &stop, &job, remembered);
        memory = remembered;
        raw::give_memory_back();
        ended
    }
}

/// One rebuild; what is remembered of it.
fn carry_out(
    settings: &Settings,
    watch: Option<&Arc<Watch>>,
    stop: &Stop,
    job: &Job,
    remembered: Remembered,
) -> (Ended, Remembered) {
    let notes = RefCell::new(Vec::new());
    let set = |host: Option<&Host>, after: After| {
        let set = |watch: &Arc<Watch>| watch.set(&settings.layout.root, wanted(settings, host), after);
        report::say_all(watch.and_then(set).as_slice());
    };
    // What says where the homes are, before it is read; the homes, before they are.
    if watch.is_some_and(|watch| watch.is_new()) {
        set(None, After::Nothing);
    }
    // What is seen now, the rebuild sees too.
    let known = remembered.as_ref().ok().map(|memory| memory.host.clone()).filter(|_| job.scope != Scope::All);
    let seen = if job.expected.is_empty() { Vec::new() } else { expected::seen(settings, known, job.expected.clone()) };
    // A sweep of a host that says what it said leaves the watches as they are.
    let was_found = Cell::new(false);
    let set_homes = |host: &Host, is_new: bool| {
        was_found.set(true);
        if is_new || job.cause != Cause::Sweep || watch.is_some_and(|watch| watch.is_stale()) {
            set(Some(host), After::Host);
        }
    };
    let seconds = settings.hold.as_secs();
    let then = format!(
        "restore what is missing: after {seconds} s in which they lose nothing more, the service publishes the loss; if the \
         loss is right, rebuild --force publishes it"
    );
    let order = Order {
        head: &format!("rebuild {} done", job.number),
        middle: &format!(" cause={}", job.story),
        patience: Patience::Until(settings.hold),
        let_go: &[],
        then: &then,
        note: &|found: &[Note]| notes.borrow_mut().extend_from_slice(found),
        stop,
        // It comes every minute.
        is_quiet: job.cause == Cause::Database,
    };
    let elsewhere = &settings.layout.root.elsewhere;
    let known = elsewhere.all();
    let rebuilt = rebuild::rebuild_again(settings, &order, &job.scope, remembered, &set_homes);
    // A line that was read names another file that decides.
    if let Ok((done, _)) = &rebuilt
        && elsewhere.all() != known
    {
        set(Some(&done.host), After::Homes);
    }
    let (result, remembered) = match rebuilt {
        Ok((done, remembered)) => (Ok(done), remembered),
        Err(error) => (Err(error), Err(Because::Failed)),
    };
    // What has to be fixed may be in a directory that took the place of another one.
    if result.is_err() && !was_found.get() {
        set(None, After::Failure);
    }
    let are_wanted = |done: &Done| actions::are_wanted(settings, &done.host.layout);
    let are_actions_wanted = result.as_ref().is_ok_and(are_wanted);
    (Ended { result, seen, notes: notes.take(), are_actions_wanted }, remembered)
}
