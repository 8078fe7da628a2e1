//! The threads that read homes: as many as are useful while what they read is in memory, more when a disk has to be
//! waited for.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::resource::{UsageWho, getrusage};

use crate::error::Error;
use crate::fs::silence::{Silences, Vigil, is_given_up, is_spare};
use crate::settings::Settings;

/// So many threads keep a disk busy; each of them has its own arena of memory, and a home in it.
const THREADS_FOR_DISK: usize = 12;
/// So many homes at most are asked by one thread before it hands over what came of them: whoever takes it has to be woken.
const MOST_AT_ONCE: usize = 4;
/// So many are asked by all threads together.
const ALL_AT_ONCE: usize = 16;
/// Every so many homes it is asked whether they came from a disk.
const MEASURED: usize = 32;
/// Some of this is always read from disk, in blocks of 512 bytes a home; a home that is not in memory takes a few hundred.
const FEW_BLOCKS: i64 = 32;

/// How many threads there are.
#[derive(Clone)]
pub struct Workers {
    threads: usize,
    /// Whether nobody said how many.
    may_grow: bool,
    /// What other threads than the caller's had read from disks, in blocks of 512 bytes.
    blocks_read: fn() -> i64,
    /// What does not answer.
    silences: Arc<Silences>,
}

/// The ticket on which a thread ends.
const END: Range<usize> = 0..0;

/// What came of the numbers of one ticket; `None` when a thread had a fault.
type Done<R> = Option<(usize, Vec<R>)>;

impl Workers {
    /// As many as the administrator says, or as there are processors for.
    pub fn new(settings: &Settings) -> Workers {
        let silences = settings.layout.root.silences.clone();
        Workers { threads: settings.threads(), may_grow: settings.threads.is_none(), blocks_read, silences }
    }

    /// Does the work for each number, on several threads, and hands what comes of it to `take` on the caller's own
    /// thread, in the order of the numbers; what waits there for its turn is bounded. More threads are started as long as
    /// what they read has to come from a disk. A thread that waits for what does not answer is given up, and another one
    /// does its work again, which is then told so.
    ///
    /// # Errors
    /// Threads that cannot be started, a fault in the work, and those of `take`: what was begun is then finished for
    /// nothing.
    pub fn each<R: Send + 'static>(
        &self,
        numbers: Range<usize>,
        work: impl Fn(usize) -> R + Send + Sync + 'static,
        mut take: impl FnMut(R) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut threads = self.threads.min(numbers.len());
        if threads < 2 && !(self.may_grow && numbers.len() > MEASURED) && (is_spare() || numbers.is_empty()) {
            return numbers.into_iter().try_for_each(|number| take(work(number)));
        }
        let mut crew = Crew::new(self, work);
        let mut measured = (numbers.start, (self.blocks_read)());
        let mut waiting = BTreeMap::new();
        let mut issued = numbers.start;
        let mut next = numbers.start;
        for _ in 0..threads {
            crew.start()?;
        }
        while next < numbers.end {
            // Of few homes, which may be large, each thread gets some.
            let few = numbers.len() / (4 * threads);
            let at_once = (ALL_AT_ONCE / threads).min(few).clamp(1, MOST_AT_ONCE);
            while issued < numbers.end && issued < next + 2 * (threads + 1) * at_once {
                let ticket = issued..(issued + at_once).min(numbers.end);
                issued = ticket.end;
                // Somebody takes it: a thread that fails says so.
                let _ = crew.tickets.send(ticket);
            }
            let Some(found) = waiting.remove(&next) else {
                match crew.results.recv_timeout(self.silences.tick()) {
                    Ok(Some((first, found))) => drop(waiting.insert(first, found)),
                    Err(RecvTimeoutError::Timeout) => crew.replace_silent()?,
                    Ok(None) | Err(RecvTimeoutError::Disconnected) => {
                        return Err(Error::Temporary("a fault in this program".to_owned()));
                    }
                }
                continue;
            };
            next += found.len();
            if self.may_grow && next >= measured.0 + MEASURED {
                let (homes, before) = std::mem::replace(&mut measured, (next, (self.blocks_read)()));
                let waits = measured.1 - before > (next - homes) as i64 * FEW_BLOCKS;
                let wanted = if waits { THREADS_FOR_DISK.max(self.threads) } else { self.threads };
                // Those that there are will do.
                let more = (threads..wanted).map_while(|_| crew.start().ok()).count();
                for _ in wanted..threads {
                    let _ = crew.tickets.send(END);
                }
                threads = threads.min(wanted) + more;
            }
            found.into_iter().try_for_each(&mut take)?;
        }
        crew.end();
        Ok(())
    }

    /// What comes of each number, in their order.
    ///
    /// # Errors
    /// Threads that cannot be started, a fault in the work.
    pub fn map<R: Send + 'static>(
        &self,
        numbers: Range<usize>,
        work: impl Fn(usize) -> R + Send + Sync + 'static,
    ) -> Result<Vec<R>, Error> {
        let mut all = Vec::with_capacity(numbers.len());
        self.each(numbers, work, |found| {
            all.push(found);
            Ok(())
        })?;
        Ok(all)
    }
}

/// Threads at work.
struct Crew<R, W> {
    work: Arc<W>,
    tickets: Sender<Range<usize>>,
    taken: Arc<Mutex<Receiver<Range<usize>>>>,
    done: Sender<Done<R>>,
    results: Receiver<Done<R>>,
    /// Each thread with its last ticket.
    vigil: Vigil<Arc<Mutex<Range<usize>>>>,
}

impl<R: Send + 'static, W: Fn(usize) -> R + Send + Sync + 'static> Crew<R, W> {
    fn new(workers: &Workers, work: W) -> Crew<R, W> {
        let ((tickets, taken), (done, results)) = (channel(), channel());
        let vigil = workers.silences.vigil(workers.silences.tick());
        Crew { work: Arc::new(work), tickets, taken: Arc::new(Mutex::new(taken)), done, results, vigil }
    }

    /// Starts a thread that works as long as there are tickets.
    fn start(&mut self) -> Result<(), Error> {
        let last = Arc::new(Mutex::new(END));
        let (own, taken, work, fault) = (last.clone(), self.taken.clone(), self.work.clone(), Fault(self.done.clone()));
        let serve = move || {
            let next = || taken.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
            while let Some(ticket) = next().filter(|ticket| *ticket != END) {
                own.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&ticket);
                let found = (ticket.start, ticket.map(&*work).collect());
                // Somebody else has done it then.
                if is_given_up() || fault.0.send(Some(found)).is_err() {
                    break;
                }
            }
        };
        self.vigil.start(last, serve).map_err(|cause| Error::thread(&cause))
    }

    /// Puts others in the place of those that wait for what does not answer.
    fn replace_silent(&mut self) -> Result<(), Error> {
        for (last, _) in self.vigil.look() {
            let ticket = last.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let _ = self.tickets.send(ticket);
            self.start()?;
        }
        Ok(())
    }

    /// All is done: waits for the threads to end.
    fn end(self) {
        drop(self.tickets);
        self.vigil.join();
    }
}

/// Says that a thread had a fault, so that nobody waits for what it was at.
struct Fault<R>(Sender<Done<R>>);

impl<R> Drop for Fault<R> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.send(None);
        }
    }
}

/// What the other threads of this process had read from disks, in blocks of 512 bytes; 0 where nobody counts. Who writes
/// reads where the file system has room.
fn blocks_read() -> i64 {
    let of = |who| getrusage(who).map_or(0, |usage| usage.block_reads());
    of(UsageWho::RUSAGE_SELF) - of(UsageWho::RUSAGE_THREAD)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Condvar;
    use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    use crate::fs::silence::at;
    use std::path::Path;

    /// So many, which wait so long for what does not answer.
    fn workers(threads: usize, wait: Duration) -> Workers {
        let silences = Arc::new(Silences::new(Path::new("/"), wait));
        Workers { threads, may_grow: false, blocks_read, silences }
    }

    fn three() -> Workers {
        workers(3, Duration::from_secs(60))
    }

    /// How many homes were begun, for those that wait for others.
    #[derive(Default)]
    struct Begun(Mutex<usize>, Condvar);

    impl Begun {
        /// One more; whether there are `enough` in the end.
        fn begin(&self, enough: usize) -> bool {
            let mut begun = self.0.lock().unwrap();
            *begun += 1;
            self.1.notify_all();
            let wait = Duration::from_secs(60);
            !self.1.wait_timeout_while(begun, wait, |begun| *begun < enough).unwrap().1.timed_out()
        }
    }

    #[test]
    fn what_comes_of_each_is_taken_in_order_and_no_more_than_a_few_wait_for_the_slowest() {
        let begun = Arc::new(Begun::default());
        let most = 2 * (three().threads + 1) * MOST_AT_ONCE;
        // The first is the slowest: all others that may be begun are, those of its own ticket aside.
        let own = begun.clone();
        let work = move |number| (number, own.begin(if number == 0 { most - MOST_AT_ONCE + 1 } else { 0 }));
        let mut taken = Vec::new();
        let mut begun_before = None;
        three()
            .each(0..1000, work, |(number, met)| {
                assert!(met, "{number}");
                begun_before.get_or_insert(*begun.0.lock().unwrap());
                taken.push(number);
                Ok(())
            })
            .unwrap();
        assert!(taken.into_iter().eq(0..1000));
        assert!(begun_before.unwrap() <= most, "{begun_before:?}");
        assert_eq!(three().map(5..9, |number| number * 2).unwrap(), [10, 12, 14, 16]);
    }

    #[test]
    fn of_few_homes_each_thread_gets_one() {
        let begun = Begun::default();
        assert_eq!(three().map(0..3, move |_| begun.begin(3)).unwrap(), [true; 3]);
    }

    #[test]
    fn threads_come_while_a_disk_is_waited_for_and_go_again() {
        static READ: AtomicI64 = AtomicI64::new(0);
        let blocks_read = || READ.load(Ordering::Relaxed);
        let workers = Workers { threads: 2, may_grow: true, blocks_read, ..three() };
        let begun = Begun::default();
        let by_whom = move |number| {
            // The homes from 1000 to 2000 are not in memory.
            READ.fetch_add(if (1000..2000).contains(&number) { 300 } else { 1 }, Ordering::Relaxed);
            let met = !(1500..1500 + THREADS_FOR_DISK).contains(&number) || begun.begin(THREADS_FOR_DISK);
            (number, std::thread::current().id(), met)
        };
        let all = workers.map(0..4000, by_whom).unwrap();
        assert!(all.iter().map(|(number, ..)| *number).eq(0..4000));
        assert!(all.iter().all(|(.., met)| *met), "all of them were at work at once");
        let threads = |range: Range<usize>| all[range].iter().map(|(_, id, _)| *id).collect::<HashSet<_>>().len();
        assert!(threads(0..900) <= 2);
        assert!(threads(2200..4000) <= 2);
    }

    #[test]
    fn a_fault_in_one_thread_is_not_waited_for() {
        let work = |number: usize| assert_ne!(number, 500);
        assert!(three().each(0..1000, work, |()| Ok(())).is_err());
    }

    #[test]
    fn after_what_stops_a_rebuild_no_more_homes_are_read() {
        let asked = Arc::new(AtomicUsize::new(0));
        let own = asked.clone();
        let stopped = three().each(
            0..100_000,
            move |number| {
                own.fetch_add(1, Ordering::Relaxed);
                number
            },
            |number| if number < 10 { Ok(()) } else { Err(Error::Temporary("full".to_owned())) },
        );
        assert!(stopped.is_err());
        assert!(asked.load(Ordering::Relaxed) < 100);
    }

    #[test]
    fn the_work_of_a_thread_that_does_not_come_back_is_done_by_another_one() {
        let workers = workers(2, Duration::from_millis(400));
        let silences = workers.silences.clone();
        // Of what is left undone at the end, this one is told.
        let (ended, end) = channel::<()>();
        let (ended, end) = (Mutex::new(Some(ended)), Arc::new(Mutex::new(end)));
        let (own, waits) = (silences.clone(), end.clone());
        let work = move |number: usize| {
            let path = Path::new("/away").join(number.to_string());
            let is_away = number % 50 == 7;
            if is_away && own.of(&path).is_none() {
                at(|| path.clone(), || waits.lock().unwrap().recv().unwrap_err());
            }
            (number, own.of(&path).is_some())
        };
        let mut taken = Vec::new();
        workers
            .each(0..150, work, |found| {
                taken.push(found);
                Ok(())
            })
            .unwrap();
        assert!(taken.into_iter().eq((0..150).map(|number| (number, number % 50 == 7))));
        let away = |number: usize| silences.of(&Path::new("/away").join(number.to_string()));
        assert!(away(7).unwrap().to_string().starts_with("/away/7 has not answered for "), "{:?}", away(7));
        let (told, tell) = channel();
        let asks = silences.clone();
        silences.when_back(move |_| {
            // It may wait for one that asks this: neither waits for ever.
            let _ = asks.all();
            told.send(()).unwrap();
        });
        drop(ended.lock().unwrap().take());
        while silences.are_any() {
            tell.recv_timeout(Duration::from_secs(60)).unwrap();
        }
        assert_eq!([away(7), away(57), away(107)], [None, None, None]);
    }
}
