//! File systems that do not answer. A system call on a network file system may never return when the server is away, and
//! only a deadly signal ends it. So each piece of work that may meet such a file system runs on a spare thread. The spare
//! thread notes the path that it looks at. Another thread waits for it, and gives it up when none of its calls returned
//! for the time of --max-wait. As long as the lost thread has not returned, nothing else looks at what it waits for. So
//! the number of lost threads stays small, however many rebuilds there are.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, statfs};

use crate::error::unanswered;
use crate::kernel::{self, Mount};
use crate::text::Shown;

/// When so many threads were given up, no other network file system is looked at until one of them comes back.
const MANY_GIVEN_UP: usize = 8;
/// When so many threads were given up, no work is begun until one of them comes back.
const MAX_GIVEN_UP: usize = 16;
/// So often a piece of work is begun again without what did not answer.
const MAX_TRIES: usize = 6;
/// How long a file system is asked whether it answers at all, when something in it does not.
const PROBED_FOR: Duration = Duration::from_secs(1);
/// When so many places of one network file system do not answer, the file system does not.
const MANY_PLACES: usize = 3;
/// How often at least a thread that waits looks at those that it waits for.
const MAX_TICK: Duration = Duration::from_millis(250);
/// Somebody who typed a command is told what it waits for after so long.
const SAID_AFTER: Duration = Duration::from_secs(2);

/// What does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Where it is, on this machine: where the file system is mounted, or the one file or directory.
    pub place: PathBuf,
    /// What is mounted there, when nothing in it answers.
    pub mounted: Option<String>,
    /// For how long it was waited for; zero when it was not asked, because too much else does not answer.
    pub waited: Duration,
}

impl Silence {
    /// What a message says of it after this path.
    pub fn beside(&self, path: &Path) -> String {
        if self.mounted.is_none() && self.place == path {
            return format!("has not answered for {} s", self.seconds());
        }
        self.to_string()
    }

    /// For how many seconds it was waited for.
    fn seconds(&self) -> String {
        if self.waited < Duration::from_secs(1) {
            format!("{:.1}", self.waited.as_secs_f64())
        } else {
            self.waited.as_secs().to_string()
        }
    }
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, seconds) = (Shown(self.place.as_os_str().as_bytes()), self.seconds());
        match &self.mounted {
            Some(what) if self.waited.is_zero() => write!(
                f,
                "the file system at {place} ({what}) is not looked at, because {MANY_GIVEN_UP} calls elsewhere have not \
                 come back"
            ),
            Some(what) => write!(f, "the file system at {place} ({what}) has not answered for {seconds} s"),
            None => write!(f, "{place} has not answered for {seconds} s"),
        }
    }
}

impl From<Silence> for io::Error {
    fn from(silence: Silence) -> io::Error {
        unanswered(silence.to_string())
    }
}

/// Where a thread is, for the one that waits for it.
#[derive(Debug)]
struct Spot {
    /// How many calls came back.
    calls: AtomicU64,
    /// The path that it looks at.
    at: Mutex<Option<PathBuf>>,
    /// Whether it was given up and has not come back, which begins only while it looks at something.
    given_up: AtomicBool,
    /// Whether the work of the thread can be begun again by another one.
    spare: bool,
}

thread_local! {
    static SPOT: OnceCell<(Arc<Silences>, Arc<Spot>)> = const { OnceCell::new() };
    /// The last thing that did not answer of which this thread was told.
    static MET: RefCell<Option<Silence>> = const { RefCell::new(None) };
}

impl Spot {
    fn new(spare: bool) -> Arc<Spot> {
        Arc::new(Spot { calls: AtomicU64::new(0), at: Mutex::default(), given_up: AtomicBool::new(false), spare })
    }

    fn at(&self) -> MutexGuard<'_, Option<PathBuf>> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the thread up, if no call returned since this number of calls. Returns the path that it looks at.
    fn give_up(&self, calls: u64) -> Option<PathBuf> {
        let at = self.at();
        let path = at.clone().filter(|_| self.calls.load(Ordering::Relaxed) == calls)?;
        self.given_up.store(true, Ordering::Relaxed);
        Some(path)
    }

    fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }
}

/// Leaves what [`at`] entered, also when the work has a fault.
struct Entered<'s>(&'s Arc<Silences>, &'s Arc<Spot>, Option<PathBuf>);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let Entered(silences, spot, before) = self;
        spot.calls.fetch_add(1, Ordering::Relaxed);
        *spot.at() = before.take();
        go_on(silences, spot);
    }
}

/// A call came back: a thread that does what no other one can do goes on, and was not given up for ever.
fn go_on(silences: &Silences, spot: &Arc<Spot>) {
    if !spot.spare && spot.is_given_up() {
        silences.came_back(spot);
    }
}

/// Notes that the thread is at this path, on this machine, while it does the work.
pub fn at<T>(path: impl FnOnce() -> PathBuf, work: impl FnOnce() -> T) -> T {
    SPOT.with(|spot| {
        let entered = spot.get().map(|(silences, spot)| Entered(silences, spot, spot.at().replace(path())));
        let done = work();
        drop(entered);
        done
    })
}

/// Notes that a call came back.
pub(super) fn back() {
    SPOT.with(|spot| {
        if let Some((silences, spot)) = spot.get() {
            spot.calls.fetch_add(1, Ordering::Relaxed);
            go_on(silences, spot);
        }
    });
}

/// Notes where the path that the thread is at has led.
pub fn led_to(path: impl FnOnce() -> PathBuf) {
    SPOT.with(|spot| {
        if let Some((_, spot)) = spot.get() {
            *spot.at() = Some(path());
        }
    });
}

/// Whether this thread was given up.
pub fn is_given_up() -> bool {
    SPOT.with(|spot| spot.get().is_some_and(|(_, spot)| spot.is_given_up()))
}

/// Whether this thread can be given up, because another one can do its work again.
pub fn is_spare() -> bool {
    SPOT.with(|spot| spot.get().is_some_and(|(_, spot)| spot.spare))
}

/// Does the work, and tells whether it met something that does not answer.
pub fn met<T>(work: impl FnOnce() -> T) -> (T, Option<Silence>) {
    let before = MET.take();
    let done = work();
    (done, MET.replace(before))
}

/// What does not answer, for all that walk below the same root.
pub struct Silences {
    /// How long a call may take.
    wait: Duration,
    /// The root as it was given, and its real path.
    root: (PathBuf, PathBuf),
    /// Whether there is any.
    any: AtomicBool,
    inner: Mutex<Inner>,
}

impl fmt::Debug for Silences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all()).finish()
    }
}

/// Who is told what may answer again.
type Told = Arc<dyn Fn(&[Silence]) + Send + Sync>;
/// Who is told what is waited for.
type ToldOnce = Box<dyn FnOnce(&Path, Duration) + Send>;

#[derive(Default)]
struct Inner {
    mounts: Vec<Mount>,
    silent: Vec<Silent>,
    /// The threads that were given up and have not come back, and since when.
    away: Vec<(Arc<Spot>, Instant)>,
    /// How long was waited for nothing since [`Silences::begin`].
    lost: Duration,
    /// Told what may answer again.
    when_back: Option<Told>,
    /// Told once what is waited for, and how long at most.
    when_waiting: Option<ToldOnce>,
}

struct Silent {
    silence: Silence,
    /// The number of the mount.
    mount: Option<u64>,
    /// The threads that wait for it, and where they are.
    waiting: Vec<(Arc<Spot>, PathBuf)>,
}

impl Silences {
    /// None yet, below this root.
    pub fn new(root: &Path, wait: Duration) -> Silences {
        let real = if root == Path::new("/") { Ok(root.to_owned()) } else { fs::canonicalize(root) };
        let real = real.or_else(|_| std::path::absolute(root)).unwrap_or_else(|_| root.to_owned());
        Silences { wait, root: (root.to_owned(), real), any: AtomicBool::new(false), inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A path below the root as it was given, below its real path.
    fn real(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root.0).map_or_else(|_| path.to_owned(), |below| self.root.1.join(below))
    }

    /// Begins a rebuild. The first thing in it that does not answer is waited for the whole time, the next ones for less.
    pub fn begin(&self) {
        self.inner().lost = Duration::ZERO;
        if self.are_any() {
            self.read_mounts();
        }
    }

    /// Reads what is mounted, and forgets the silence of what is not mounted any more. When the list cannot be read, the
    /// last one counts.
    pub fn read_mounts(&self) {
        let Some(mounts) = kernel::mounts() else { return };
        let mut inner = self.inner();
        inner.mounts = mounts;
        let Inner { mounts, silent, .. } = &mut *inner;
        // The threads that wait there stay given up.
        silent.retain(|silent| {
            silent.mount.is_none() || Mount::of(mounts, &silent.silence.place).map(|mount| mount.id) == silent.mount
        });
        self.any.store(!silent.is_empty(), Ordering::Relaxed);
    }

    /// How long was waited for nothing since [`Silences::begin`].
    pub fn lost(&self) -> Duration {
        self.inner().lost
    }

    /// Whether anything is known not to answer.
    pub fn are_any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// All of it.
    pub fn all(&self) -> Vec<Silence> {
        self.inner().silent.iter().map(|silent| silent.silence.clone()).collect()
    }

    /// What does not answer at this path.
    pub fn of(&self, path: &Path) -> Option<Silence> {
        if is_given_up() {
            // The result of this thread is not used.
            return Some(Silence { place: path.to_owned(), mounted: None, waited: self.wait });
        }
        if !self.are_any() {
            return None;
        }
        let path = self.real(path);
        let inner = self.inner();
        let found = inner.silent.iter().find(|silent| path.starts_with(&silent.silence.place));
        let silence = found.map(|found| found.silence.clone()).or_else(|| self.unasked(&inner, &path));
        if silence.is_some() {
            MET.set(silence.clone());
        }
        silence
    }

    /// What is not asked, because so much else does not answer.
    fn unasked(&self, inner: &Inner, path: &Path) -> Option<Silence> {
        if inner.away.len() < MANY_GIVEN_UP {
            return None;
        }
        let mount = Mount::of(&inner.mounts, path).filter(|mount| self.is_of_network(inner, mount))?;
        Some(Silence { place: mount.point.clone(), mounted: Some(mount.words()), waited: Duration::ZERO })
    }

    /// Whether it is the file system of a network, and not the one that everything here is on.
    fn is_of_network(&self, inner: &Inner, mount: &Mount) -> bool {
        mount.has_no_device && Some(mount) != Mount::of(&inner.mounts, &self.root.1)
    }

    /// Believes another process, which has asked, that this does not answer.
    pub fn believe(&self, silence: Silence) {
        self.read_mounts();
        let mut inner = self.inner();
        let mount = Mount::of(&inner.mounts, &silence.place).map(|mount| mount.id);
        inner.silent.push(Silent { silence, mount, waiting: Vec::new() });
        self.any.store(true, Ordering::Relaxed);
    }

    /// From now on this is told what may answer again, at once.
    pub fn when_back(&self, tell: impl Fn(&[Silence]) + Send + Sync + 'static) {
        self.inner().when_back = Some(Arc::new(tell));
    }

    /// The first thing that is waited for longer than a moment is told to this, with the time of --max-wait.
    pub fn when_waiting(&self, tell: impl FnOnce(&Path, Duration) + Send + 'static) {
        self.inner().when_waiting = Some(Box::new(tell));
    }

    /// Tells what is waited for, if nothing was told yet.
    fn tell_waiting(&self, path: &Path) {
        let tell = self.inner().when_waiting.take();
        tell.into_iter().for_each(|tell| tell(path, self.wait));
    }

    /// Does the work on a spare thread, and waits for it; a caller that is a spare thread does it itself. When the work
    /// meets something that does not answer, it is begun again, and finds that in [`Silences::of`].
    ///
    /// # Errors
    /// A thread that cannot be started; a fault in the work, which was reported where it happened; too much that does not
    /// answer.
    pub fn attempt<T: Send + 'static>(self: &Arc<Self>, work: impl Fn() -> T + Send + Sync + 'static) -> io::Result<T> {
        if is_spare() { Ok(work()) } else { self.attempt_apart(work) }
    }

    /// The same, always on another thread.
    ///
    /// # Errors
    /// Those of [`Silences::attempt`].
    pub fn attempt_apart<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl Fn() -> T + Send + Sync + 'static,
    ) -> io::Result<T> {
        let work = Arc::new(work);
        for _ in 0..MAX_TRIES {
            let (say, hear) = channel();
            let own = work.clone();
            let mut vigil = self.vigil(self.tick());
            vigil.start((), move || {
                let done = own();
                // When the work is done, only the caller holds it.
                drop(own);
                let _ = say.send(done);
            })?;
            loop {
                match hear.recv_timeout(self.tick()) {
                    Ok(done) => return Ok(done),
                    Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("a fault in this program")),
                    Err(RecvTimeoutError::Timeout) if vigil.look().is_empty() => {}
                    Err(RecvTimeoutError::Timeout) => break,
                }
            }
        }
        Err(self.too_many())
    }

    /// Waits for threads, and looks at them so often.
    pub fn vigil<N>(self: &Arc<Self>, every: Duration) -> Vigil<N> {
        Vigil { silences: self.clone(), threads: Vec::new(), every, last: Instant::now() }
    }

    /// The spot of a thread whose work cannot be begun again. It tells where the thread waits.
    pub fn spot(self: &Arc<Self>) -> Back {
        Back(self.clone(), Spot::new(false))
    }

    /// How often one looks at the threads that one waits for.
    pub fn tick(&self) -> Duration {
        (self.wait / 8).min(MAX_TICK)
    }

    /// How long a call may take now.
    fn patience(&self) -> Duration {
        let in_haste = self.inner().lost > Duration::ZERO;
        if in_haste { self.wait.min((self.wait / 10).max(Duration::from_secs(1))) } else { self.wait }
    }

    fn too_many(&self) -> io::Error {
        let some: String = self.all().iter().take(3).map(|silence| format!("; {silence}")).collect();
        let away = self.inner().away.len();
        io::Error::other(format!("too much does not answer: {away} calls have not come back{some}"))
    }

    /// Starts a thread that can be spared.
    fn start(self: &Arc<Self>, work: impl FnOnce() + Send + 'static) -> io::Result<(Arc<Spot>, JoinHandle<()>)> {
        let spot = Spot::new(true);
        let back = Back(self.clone(), spot.clone());
        let thread = Builder::new().spawn(move || {
            back.take();
            work();
        })?;
        Ok((spot, thread))
    }

    /// Notes that the thread at this spot was given up after so long, where it is.
    fn gave_up(self: &Arc<Self>, spot: Arc<Spot>, path: &Path, waited: Duration) -> Silence {
        self.read_mounts();
        let path = self.real(path);
        let (mount, is_network, may_probe) = {
            let mut inner = self.inner();
            inner.lost += waited;
            if !spot.is_given_up() {
                // It has come back just now.
                return Silence { place: path, mounted: None, waited };
            }
            inner.away.push((spot.clone(), Instant::now()));
            if let Some(known) = inner.silent.iter_mut().find(|silent| path.starts_with(&silent.silence.place)) {
                known.waiting.push((spot, path));
                return known.silence.clone();
            }
            let mount = Mount::of(&inner.mounts, &path).cloned();
            let is_network = mount.as_ref().is_some_and(|mount| self.is_of_network(&inner, mount));
            (mount, is_network, inner.away.len() < MANY_GIVEN_UP)
        };
        // A thread that goes on when its call comes back counts this time, too.
        let is_spare = spot.spare;
        let mut waiting = vec![(spot, path.clone())];
        let start = Instant::now();
        let probed = mount.as_ref().filter(|_| may_probe);
        let is_silent = probed.is_some_and(|mount| match self.probe(&mount.point, self.wait.min(PROBED_FOR)) {
            Some(probe) => {
                waiting.push((probe, mount.point.clone()));
                true
            }
            None => false,
        });
        let mut inner = self.inner();
        if is_spare {
            inner.lost += start.elapsed();
        }
        let of_mount = |silent: &Silent| silent.mount.is_some() && silent.mount == mount.as_ref().map(|mount| mount.id);
        let places = inner.silent.iter().filter(|silent| of_mount(silent)).count();
        let whole = mount.as_ref().filter(|_| is_silent || (is_network && places + 1 >= MANY_PLACES));
        let silence = match whole {
            Some(mount) => Silence { place: mount.point.clone(), mounted: Some(mount.words()), waited },
            None => Silence { place: path, mounted: None, waited },
        };
        if whole.is_some() {
            for silent in inner.silent.extract_if(.., |silent| of_mount(silent)) {
                waiting.extend(silent.waiting);
            }
        }
        // While the file system was asked, the call may have come back.
        waiting.retain(|(spot, _)| spot.is_given_up());
        if !waiting.is_empty() {
            inner.silent.push(Silent { silence: silence.clone(), mount: mount.map(|mount| mount.id), waiting });
            self.any.store(true, Ordering::Relaxed);
        }
        silence
    }

    /// Asks the file system that is mounted there whether it answers. When it does not, returns the thread that waits.
    fn probe(self: &Arc<Self>, point: &Path, wait: Duration) -> Option<Arc<Spot>> {
        let own = point.to_owned();
        let (say, hear) = channel();
        let spot = self.start(move || {
            at(|| own.clone(), || ask(&own));
            let _ = say.send(());
        });
        let (spot, _) = spot.ok()?;
        match hear.recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) => self.given_up_probe(spot),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn given_up_probe(&self, spot: Arc<Spot>) -> Option<Arc<Spot>> {
        // It may have answered just now.
        spot.give_up(spot.calls.load(Ordering::Relaxed))?;
        let mut inner = self.inner();
        if !spot.is_given_up() {
            return None;
        }
        inner.away.push((spot.clone(), Instant::now()));
        Some(spot)
    }

    /// Asks all network file systems that hold one of these homes, as the host names them, whether they answer, at the same
    /// time.
    pub fn probe_homes(self: &Arc<Self>, homes: &BTreeSet<&[u8]>) {
        let holds_one = |mount: &Mount| {
            let Ok(below) = mount.point.strip_prefix(&self.root.1) else { return false };
            let inside = [b"/", below.as_os_str().as_bytes()].concat();
            let first = homes.range(&inside[..]..).next();
            first.is_some_and(|home| Path::new(OsStr::from_bytes(home)).starts_with(OsStr::from_bytes(&inside)))
        };
        self.probe_all(holds_one, self.wait);
    }

    /// Asks all network file systems below the root whether they answer, and waits no longer than this for any of them.
    pub fn probe_every(self: &Arc<Self>, wait: Duration) {
        self.read_mounts();
        self.probe_all(|mount| mount.point.starts_with(&self.root.1), wait);
    }

    /// Asks those network file systems of which nothing is known yet, few at the same time.
    fn probe_all(self: &Arc<Self>, is_wanted: impl Fn(&Mount) -> bool, wait: Duration) {
        let mut mounts: Vec<Mount> = {
            let inner = self.inner();
            let wanted = |mount: &&Mount| self.is_of_network(&inner, mount) && is_wanted(mount);
            inner.mounts.iter().filter(wanted).cloned().collect()
        };
        mounts.retain(|mount| self.of(&mount.point).is_none());
        let mut wait = wait;
        while !mounts.is_empty() {
            let room = MANY_GIVEN_UP.saturating_sub(self.inner().away.len());
            let some: Vec<Mount> = mounts.drain(..room.min(mounts.len())).collect();
            if some.is_empty() {
                return;
            }
            self.probe_some(some, wait);
            wait = wait.min(self.patience());
        }
    }

    fn probe_some(self: &Arc<Self>, mounts: Vec<Mount>, wait: Duration) {
        let (say, hear) = channel();
        let mut asked = Vec::new();
        for (number, mount) in mounts.into_iter().enumerate() {
            let (point, say) = (mount.point.clone(), say.clone());
            let started = self.start(move || {
                at(|| point.clone(), || ask(&point));
                let _ = say.send(number);
            });
            asked.extend(started.map(|(spot, _)| (number, mount, spot)));
        }
        drop(say);
        let (start, end) = (Instant::now(), Instant::now() + wait);
        let mut missing = asked.len();
        while missing > 0 {
            let (now, said_at) = (Instant::now(), start + SAID_AFTER);
            let until = if now < said_at { said_at.min(end) } else { end };
            match hear.recv_timeout(until.saturating_duration_since(now)) {
                Ok(number) => {
                    asked.retain(|(asked, ..)| *asked != number);
                    missing -= 1;
                }
                Err(RecvTimeoutError::Timeout) if until < end => {
                    asked.first().iter().for_each(|(_, mount, _)| self.tell_waiting(&mount.point));
                }
                Err(_) => break,
            }
        }
        if missing > 0 {
            self.inner().lost += start.elapsed();
        }
        for (_, mount, spot) in asked {
            let Some(spot) = self.given_up_probe(spot) else { continue };
            let silence = Silence { place: mount.point.clone(), mounted: Some(mount.words()), waited: wait };
            let mut inner = self.inner();
            if spot.is_given_up() {
                inner.silent.push(Silent { silence, mount: Some(mount.id), waiting: vec![(spot, mount.point)] });
                self.any.store(true, Ordering::Relaxed);
            }
        }
    }

    /// A thread that was given up has come back.
    fn came_back(&self, spot: &Arc<Spot>) {
        let mut inner = self.inner();
        spot.given_up.store(false, Ordering::Relaxed);
        let ended: Vec<_> = inner.away.extract_if(.., |(away, _)| Arc::ptr_eq(away, spot)).collect();
        // For a spare one another thread went on meanwhile.
        let waited = ended.iter().filter(|(away, _)| !away.spare).map(|(_, since)| since.elapsed());
        inner.lost += waited.sum::<Duration>();
        let is_its = |silent: &mut Silent| silent.waiting.iter().any(|(waiting, _)| Arc::ptr_eq(waiting, spot));
        let over: Vec<Silent> = inner.silent.extract_if(.., is_its).collect();
        let told: Vec<Silence> = over.iter().map(|silent| silent.silence.clone()).collect();
        for Silent { silence, mount, waiting } in over {
            // What the others wait for may be another thing.
            for (spot, path) in waiting.into_iter().filter(|(waiting, _)| !Arc::ptr_eq(waiting, spot)) {
                let silence = Silence { place: path.clone(), mounted: None, ..silence.clone() };
                inner.silent.push(Silent { silence, mount, waiting: vec![(spot, path)] });
            }
        }
        self.any.store(!inner.silent.is_empty(), Ordering::Relaxed);
        let tell = inner.when_back.clone();
        // What is told of it may wait for a thread that asks what is silent.
        drop(inner);
        if let Some(tell) = tell {
            tell(&told);
        }
    }
}

/// Asks a file system for something that its server has to answer.
fn ask(point: &Path) {
    let _ = statfs(point);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    if let Ok(directory) = rustix::fs::open(point, flags, Mode::empty()) {
        let _ = kernel::list(&directory, 1 << 12, |_| Ok(false));
    }
}

/// The spot of a thread; dropped at its end, it tells that it has come back when it was given up.
pub struct Back(Arc<Silences>, Arc<Spot>);

impl Back {
    /// From now on this thread notes there where it is.
    pub fn take(&self) {
        SPOT.with(|own| drop(own.set((self.0.clone(), self.1.clone()))));
    }
}

impl Drop for Back {
    fn drop(&mut self) {
        if self.1.is_given_up() {
            self.0.came_back(&self.1);
        }
    }
}

/// Threads that can be spared, with what the one that waits for them has to know of each.
pub struct Vigil<N> {
    silences: Arc<Silences>,
    threads: Vec<Watched<N>>,
    every: Duration,
    last: Instant,
}

struct Watched<N> {
    spot: Arc<Spot>,
    thread: Option<JoinHandle<()>>,
    calls: u64,
    /// How long it has been in the same call.
    waited: Duration,
    note: N,
}

impl<N: Clone> Vigil<N> {
    /// Starts a thread.
    ///
    /// # Errors
    /// It cannot be started, or too many were given up.
    pub fn start(&mut self, note: N, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        if self.silences.inner().away.len() >= MAX_GIVEN_UP {
            return Err(self.silences.too_many());
        }
        let (spot, thread) = self.silences.start(work)?;
        self.threads.push(Watched { spot, thread: Some(thread), calls: 0, waited: Duration::ZERO, note });
        Ok(())
    }

    /// Waits for another thread, too.
    pub fn add(&mut self, note: N, back: &Back) {
        self.threads.push(Watched { spot: back.1.clone(), thread: None, calls: 0, waited: Duration::ZERO, note });
    }

    /// Waits until those that were not given up have ended, which they must be about to.
    pub fn join(self) {
        self.threads.into_iter().filter_map(|watched| watched.thread).for_each(|thread| drop(thread.join()));
    }

    /// Gives up the threads in which no call returned for too long. Returns them, each with what it waits for.
    pub fn look(&mut self) -> Vec<(N, Silence)> {
        let now = Instant::now();
        // While this thread did not run, the others may not have run either.
        let passed = now.duration_since(std::mem::replace(&mut self.last, now)).min(2 * self.every);
        let (silences, patience) = (&self.silences, self.silences.patience());
        let is_over = |watched: &mut Watched<N>| {
            let calls = watched.spot.calls.load(Ordering::Relaxed);
            if watched.spot.at().is_none() || calls != watched.calls {
                (watched.calls, watched.waited) = (calls, Duration::ZERO);
                return false;
            }
            if watched.spot.is_given_up() {
                // It was told of already.
                return false;
            }
            watched.waited += passed;
            if watched.waited >= SAID_AFTER && watched.waited < patience {
                watched.spot.at().iter().for_each(|path| silences.tell_waiting(path));
            }
            watched.waited >= patience
        };
        let mut given_up = Vec::new();
        let mut over: Vec<Watched<N>> = self.threads.extract_if(.., is_over).collect();
        while let Some(watched) = over.pop() {
            match watched.spot.give_up(watched.calls) {
                Some(path) => {
                    let silence = silences.gave_up(watched.spot.clone(), &path, watched.waited);
                    given_up.push((watched.note.clone(), silence));
                    // One that nobody can replace goes on when its call comes back.
                    if !watched.spot.spare {
                        self.threads.push(watched);
                    }
                }
                None => self.threads.push(watched),
            }
        }
        given_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_the_time_for_which_a_thread_waits_that_cannot_be_given_up_is_lost() {
        let every = Duration::from_millis(5);
        let silences = Arc::new(Silences::new(Path::new("/"), 2 * every));
        let (spot, mut vigil) = (silences.spot(), silences.vigil(every));
        vigil.add((), &spot);
        let (answer, waits) = channel::<()>();
        let (tell, ticks) = channel::<()>();
        let thread = std::thread::spawn(move || {
            spot.take();
            at(|| PathBuf::from("/silent"), || _ = waits.recv());
            drop(tell);
        });
        while vigil.look().is_empty() {
            assert_eq!(ticks.recv_timeout(every), Err(RecvTimeoutError::Timeout), "it came back");
        }
        let (before, since) = (silences.lost(), Instant::now());
        assert!(before >= 2 * every, "{before:?}");
        let waited = since.elapsed();
        drop(answer);
        thread.join().unwrap();
        assert!(silences.lost() > before + waited, "{:?}, {before:?}, {waited:?}", silences.lost());
        assert!(!silences.are_any());
    }
}
