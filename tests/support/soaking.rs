//! What a soak needs: random changes that a seed repeats, a service that is killed, and the comparison of what is published
//! with what a rebuild from nothing makes.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::process::Child;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::MailHost;
use super::service::{follow, trigger};

const FILES: [&str; 2] = ["validrcptto.cdb", "auth.cdb"];
/// How long after the last change the files may differ: rebuilds, their pauses, and a sweep, on a slow machine.
const BOUND: Duration = Duration::from_secs(30);

/// For how many seconds to go on, and the seed: `QMAIL_UPDATER_SOAK` (20) and `QMAIL_UPDATER_SEED`.
pub fn length_and_seed() -> (Duration, u64) {
    let seconds = std::env::var("QMAIL_UPDATER_SOAK").map_or(20, |seconds| seconds.parse().unwrap());
    let seed = std::env::var("QMAIL_UPDATER_SEED").map_or_else(
        |_| u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap(),
        |seed| seed.parse().unwrap(),
    );
    println!("QMAIL_UPDATER_SEED={seed}");
    (Duration::from_secs(seconds), seed)
}

/// What was done last.
#[derive(Default)]
pub struct Story(Mutex<VecDeque<String>>);

impl Story {
    /// Adds to it.
    pub fn tell(&self, what: String) {
        let mut story = self.0.lock().unwrap();
        if story.len() >= 12 {
            story.pop_front();
        }
        story.push_back(what);
    }
}

impl std::fmt::Display for Story {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#?}", self.0.lock().unwrap())
    }
}

/// Random numbers that a seed repeats (xorshift64*).
pub struct Random(pub u64);

impl Random {
    /// A number below this one.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }

    /// Whether this one came of so many.
    pub fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    /// The moments between two steps of one change are random, too.
    pub fn pause(&mut self, most: u64) {
        std::thread::sleep(Duration::from_millis(self.below(most)));
    }
}

/// The service as it runs now.
pub struct Running<'a> {
    host: &'a MailHost,
    child: Child,
    log: Receiver<String>,
    seen: VecDeque<String>,
    /// How many rebuilds it told of.
    pub rebuilds: usize,
    arguments: &'static [&'static str],
}

impl<'a> Running<'a> {
    /// Starts it with these arguments.
    pub fn start(host: &'a MailHost, arguments: &'static [&'static str]) -> Running<'a> {
        let (child, log) = follow(host.command(arguments));
        Running { host, child, log, seen: VecDeque::new(), rebuilds: 0, arguments }
    }

    fn start_again(&mut self) {
        self.child.wait().unwrap();
        (self.child, self.log) = follow(self.host.command(self.arguments));
        self.seen = VecDeque::from([self.arguments.join(" ")]);
    }

    /// Kills it, and starts it again with these arguments when something was done.
    pub fn restart(&mut self, arguments: &'static [&'static str], done_meanwhile: impl FnOnce()) {
        self.child.kill().unwrap();
        self.arguments = arguments;
        self.child.wait().unwrap();
        while let Ok(line) = self.log.recv() {
            self.hear(line);
        }
        done_meanwhile();
        self.start_again();
    }

    fn hear(&mut self, line: String) {
        assert!(!line.contains("a fault in this program"), "{line}");
        self.rebuilds += usize::from(line.contains(": status: rebuild "));
        if self.seen.len() >= 30 {
            self.seen.pop_front();
        }
        self.seen.push_back(line);
    }

    /// Reads what it logged, and waits for something when there is nothing. One that ended is started again, as supervise
    /// does it.
    fn read(&mut self, patience: Duration) {
        match self.log.recv_timeout(patience) {
            Ok(line) => self.hear(line),
            Err(RecvTimeoutError::Timeout) => return,
            Err(RecvTimeoutError::Disconnected) => {
                // A child of the one that was killed may have held its lock for a moment.
                let last = self.seen.back();
                let in_use = last.is_some_and(|last| last.contains("another service reads this pipe"));
                assert!(in_use, "it ended: {:?}", self.seen);
                std::thread::sleep(Duration::from_secs(1));
                self.start_again();
            }
        }
        while let Ok(line) = self.log.try_recv() {
            self.hear(line);
        }
    }

    /// Compares what is published with what a rebuild from nothing makes, now that nothing changes: it has to become the
    /// same, and to be the same when this much time has passed.
    pub fn compare(&mut self, story: &Story, quiet: Duration) -> Compared {
        let (host, since) = (self.host, Instant::now());
        let should = from_nothing(host);
        while published(host) != should && since.elapsed() < BOUND {
            self.read(BOUND.saturating_sub(since.elapsed()));
        }
        let waited = since.elapsed();
        std::thread::sleep(quiet.saturating_sub(waited));
        self.read(Duration::ZERO);
        let is = published(host);
        if is == should {
            return Compared { waited, mended: None };
        }
        let records: Vec<String> = is.iter().zip(&should).flat_map(|(is, should)| difference(is, should)).collect();
        println!("difference: {records:#?}\ndone last: {story}\nlogged last: {:#?}", self.seen);
        trigger(host, &[]);
        let poked = Instant::now();
        while published(host) != should && poked.elapsed() < BOUND {
            self.read(Duration::from_secs(1));
        }
        Compared { waited, mended: Some(published(host) == should) }
    }
}

/// What came of one comparison.
#[derive(Debug)]
pub struct Compared {
    pub waited: Duration,
    /// For a difference: whether a trigger mended it.
    pub mended: Option<bool>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Both published files.
pub fn published(host: &MailHost) -> [Vec<u8>; 2] {
    FILES.map(|name| fs::read(host.published(name)).unwrap())
}

/// What a rebuild makes that knows of no published file.
fn from_nothing(host: &MailHost) -> [Vec<u8>; 2] {
    let _ = fs::remove_dir_all(host.path("/srv"));
    host.folder("/srv");
    let arguments = ["--validrcptto", "/srv/validrcptto.cdb", "--auth", "/srv/auth.cdb", "--state", "/srv/state"];
    let answer = host.run(&[&["rebuild", "--no-commands"], &arguments[..]].concat());
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert!(!answer.stderr.contains(": alert: "), "everything is whole: {}", answer.stderr);
    FILES.map(|name| fs::read(host.path("/srv").join(name)).unwrap())
}

/// The records that differ, by their keys.
fn difference(is: &[u8], should: &[u8]) -> Vec<String> {
    let records = |image| -> BTreeSet<(Vec<u8>, Vec<u8>)> {
        let cdb = qmail_updater::cdb::Reader::new(image).unwrap();
        cdb.records().map(|record| (record.key.to_vec(), record.data.to_vec())).collect()
    };
    let (is, should) = (records(is), records(should));
    let show = |sign: &str, (key, _): &(Vec<u8>, Vec<u8>)| format!("{sign}{}", String::from_utf8_lossy(key));
    let missing = should.difference(&is).map(|record| show("missing ", record));
    missing.chain(is.difference(&should).map(|record| show("too much ", record))).collect()
}

/// The published files are whole, and know those whom nobody touched. While a `.qmail-default` is written it is empty for a
/// moment, and then takes every name: one without a key of its own is accepted by that of its domain.
pub fn know(host: &MailHost, known: &[&str]) -> Result<(), String> {
    for (name, image) in FILES.iter().zip(published(host)) {
        let cdb = qmail_updater::cdb::Reader::new(&image).and_then(|cdb| cdb.check().map(|()| cdb));
        let cdb = cdb.map_err(|cause| format!("{name}: {cause}"))?;
        let accepts = |key: &str| cdb.find(key.as_bytes()).map(|data| data != b"-");
        let domain = |key: &str| key.find('@').and_then(|at| accepts(&key[at..]));
        if let Some(lost) = known.iter().find(|key| accepts(key).or_else(|| domain(key)) != Some(true)) {
            return Err(format!("{name} lost {lost}"));
        }
    }
    Ok(())
}
