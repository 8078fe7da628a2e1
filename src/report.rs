//! Every log line: `qmail-updater: LEVEL: text`, one write each, to standard error, no time stamp (multilog adds it).
//! The only printer to standard error; rooms that decide hand their notes up instead of printing them.

mod code;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::error::{Error, show_path};
use crate::text::{Shown, count, shorten_words};

pub use code::Code;

/// How serious a note is, in qmail's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What was done.
    Status,
    /// Something that somebody should mend; what was done is right all the same.
    Warning,
    /// Something that makes the result less than the truth until it is mended.
    Alert,
    /// What ended the command.
    Fatal,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Status => "status",
            Level::Warning => "warning",
            Level::Alert => "alert",
            Level::Fatal => "fatal",
        })
    }
}

/// One line for the log. The text holds no byte outside printable ASCII and no password or hash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// How serious it is.
    pub level: Level,
    /// What happened, to which file and line, and what follows.
    pub text: String,
    /// Whether it depends on what the system does not let this process read, which is not root: then it tells what was
    /// done, and nothing about the host.
    pub denied: bool,
    /// What kind of finding it is, when `check` can find it.
    pub code: Option<Code>,
    /// The domain that it concerns, where the place in the text does not show it.
    pub domain: Option<String>,
    /// The file that it is about, and the line in it, where the text does not show them surely: its owner chose its name.
    pub place: Option<(String, Option<usize>)>,
}

impl Note {
    /// A note of this level; a name of hundreds of bytes in it is shortened.
    pub fn new(level: Level, text: impl Into<String>) -> Note {
        Note { level, text: shorten_words(text.into()), denied: false, code: None, domain: None, place: None }
    }

    /// The same, as a finding of this kind.
    #[must_use]
    pub fn of(self, code: Code) -> Note {
        Note { code: Some(code), ..self }
    }

    /// The same, about this domain.
    #[must_use]
    pub fn about(self, domain: &[u8]) -> Note {
        Note { domain: Some(Shown(domain).to_string()), ..self }
    }

    /// The same, about this file, and this line in it.
    #[must_use]
    pub fn at(self, file: &Path, line: Option<usize>) -> Note {
        Note { place: Some((show_path(file).to_string(), line)), ..self }
    }

    /// The same, which may depend on what this process may not read.
    #[must_use]
    pub fn but_denied(self, denied: bool) -> Note {
        Note { denied, ..self }
    }

    /// A warning.
    pub fn warning(text: impl Into<String>) -> Note {
        Note::new(Level::Warning, text)
    }

    /// An alert.
    pub fn alert(text: impl Into<String>) -> Note {
        Note::new(Level::Alert, text)
    }
}

/// The least serious level that is written.
static LEAST: AtomicUsize = AtomicUsize::new(0);

/// From now on only lines of this level, and more serious ones, are written.
pub fn only_from(level: Level) {
    LEAST.store(level as usize, Ordering::Relaxed);
}

/// Whether a person reads these lines.
pub fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Writes one line to the log. A log that is closed or full loses it; that never stops the work.
pub fn say(level: Level, text: &str) {
    if (level as usize) < LEAST.load(Ordering::Relaxed) {
        return;
    }
    // Names are escaped where they are put in; this is for what a library says.
    let line = format!("qmail-updater: {level}: {}\n", Shown(text.as_bytes()));
    match background() {
        None => write(&line),
        Some(background) => background.say(line),
    }
}

fn write(line: &str) {
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// How many lines wait for a log that takes none; more are lost, and counted.
const QUEUE: usize = 1_000;

/// Lines that nobody waits for: a thread of their own writes them.
struct Background {
    lines: Sender<Line>,
    lost: AtomicUsize,
    /// Whether the log took nothing for [`STUCK_AFTER`]; until it takes a line again, nobody waits for it.
    stuck: AtomicBool,
}

/// A log that takes no line for this long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(1);

impl Background {
    fn say(&self, line: String) {
        let patience = if self.stuck.load(Ordering::Relaxed) { Duration::ZERO } else { STUCK_AFTER };
        if self.lines.send_timeout(Line::Text(line), patience).is_err() {
            self.stuck.store(true, Ordering::Relaxed);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

enum Line {
    Text(String),
    /// Everything before it was written.
    Flushed(Sender<()>),
}

static IN_BACKGROUND: AtomicBool = AtomicBool::new(false);
/// Made for the first line; `None` when there is no thread for it: lines are waited for as before.
static BACKGROUND: OnceLock<Option<Background>> = OnceLock::new();
/// What the thread needs is little; a hook may run below a small limit.
const STACK: usize = 1 << 17;

/// From now on nobody waits for the log: a logger that has stopped (a full disk stops multilog) must not stop a service,
/// nor a hook whose answer somebody waits for.
pub fn write_in_background() {
    IN_BACKGROUND.store(true, Ordering::Relaxed);
}

fn background() -> Option<&'static Background> {
    let start = || {
        let (lines, wait) = bounded(QUEUE);
        std::thread::Builder::new().stack_size(STACK).spawn(move || write_all(&wait)).ok()?;
        Some(Background { lines, lost: AtomicUsize::new(0), stuck: AtomicBool::new(false) })
    };
    IN_BACKGROUND.load(Ordering::Relaxed).then(|| BACKGROUND.get_or_init(start).as_ref()).flatten()
}

fn write_all(lines: &Receiver<Line>) {
    for line in lines {
        match line {
            Line::Text(line) => write(&line),
            Line::Flushed(done) => drop(done.send(())),
        }
        let Some(Some(background)) = BACKGROUND.get() else { continue };
        background.stuck.store(false, Ordering::Relaxed);
        let lost = background.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let lost = count(lost, "line");
            write(&format!("qmail-updater: warning: {lost} of this log are lost: it took none for a while\n"));
        }
    }
}

/// Waits until the log has taken what was said, but not for long.
pub fn flush(patience: Duration) {
    let Some(Some(background)) = BACKGROUND.get() else { return };
    let (done, wait) = bounded(1);
    let end = Instant::now() + patience;
    if background.lines.send_deadline(Line::Flushed(done), end).is_ok() {
        let _ = wait.recv_deadline(end);
    }
}

/// What was said is not said again for this long: a service meets it at every rebuild.
const SAID_FOR: Duration = Duration::from_secs(3600);
/// How many notes are said at once; when a disk fails, every domain has one.
const MAX_AT_ONCE: usize = 100;

/// How many notes are remembered: a customer can make new ones as fast as he changes his files, and then the oldest ones
/// are said again before the hour is over.
const MAX_REMEMBERED: usize = 50_000;

/// When each note was said last.
static SAID: LazyLock<Mutex<Remembered>> = LazyLock::new(Mutex::default);

/// The notes that were said, each as a number: a few bytes a note, however long it is.
#[derive(Default)]
struct Remembered {
    seed: RandomState,
    last: HashMap<u64, Instant>,
    /// The same in the order of time. One that was forgotten or said again is no longer the last of its note.
    order: VecDeque<(Instant, u64)>,
}

impl Remembered {
    /// Whether the note is said for the first time in a while; from now on it is remembered.
    fn is_new(&mut self, text: &str, now: Instant) -> bool {
        let is_old = |at: Instant| now.duration_since(at) >= SAID_FOR;
        while self.order.front().is_some_and(|(at, _)| is_old(*at)) {
            self.drop_oldest();
        }
        let number = self.seed.hash_one(text);
        if self.last.contains_key(&number) {
            return false;
        }
        self.last.insert(number, now);
        self.order.push_back((now, number));
        if self.order.len() > MAX_REMEMBERED {
            self.drop_oldest();
        }
        true
    }

    fn drop_oldest(&mut self) {
        if let Some((at, number)) = self.order.pop_front()
            && self.last.get(&number) == Some(&at)
        {
            self.last.remove(&number);
        }
    }

    fn forget(&mut self, text: &str) {
        self.last.remove(&self.seed.hash_one(text));
    }
}

/// Writes the notes to the log, the most serious first; the same one at most once an hour, and not too many at once.
pub fn say_all(notes: &[Note]) {
    let now = Instant::now();
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    let mut new: Vec<&Note> = notes.iter().filter(|note| said.is_new(&note.text, now)).collect();
    new.sort_by_key(|note| std::cmp::Reverse(note.level));
    let (first, rest) = new.split_at(new.len().min(MAX_AT_ONCE));
    first.iter().for_each(|note| say(note.level, &note.text));
    if let Some(note) = rest.first() {
        let more = count(rest.len(), "more note");
        say(note.level, &format!("{more} like these; qmail-updater check shows them all"));
    }
}

/// Lets this be said again before the hour is over.
pub fn forget(text: &str) {
    SAID.lock().unwrap_or_else(PoisonError::into_inner).forget(text);
}

/// Writes the error that ended the command to the log.
pub fn fatal(error: &Error) {
    say(Level::Fatal, &error.to_string());
}

/// Says that this program has a fault, and where; never what was being read, which may be a secret.
pub fn fault(location: Option<&std::panic::Location<'_>>) {
    let place = location.map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    say(Level::Alert, &format!("a fault in this program, at {place}; please report it"));
}

/// Shows how far the reading of a large host has come; silent unless standard error is a terminal and there is enough
/// to read that somebody would wonder.
pub struct Progress(Option<indicatif::ProgressBar>);

impl Progress {
    /// A bar of `homes` steps.
    pub fn new(homes: usize) -> Progress {
        let worth_it = homes >= 200 && std::io::stderr().is_terminal();
        Progress(worth_it.then(|| {
            let bar = indicatif::ProgressBar::new(homes as u64);
            if let Ok(style) = indicatif::ProgressStyle::with_template("reading {pos}/{len} homes [{wide_bar}] {eta}") {
                bar.set_style(style.progress_chars("=> "));
            }
            bar
        }))
    }

    /// `homes` more were read.
    pub fn advance(&self, homes: usize) {
        if let Some(bar) = &self.0 {
            bar.inc(homes as u64);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_said_once_an_hour_unless_it_is_forgotten() {
        let (mut said, start) = (Remembered::default(), Instant::now());
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let asked = [("a", 0, true), ("a", 3_599, false), ("b", 3_599, true), ("a", 3_600, true), ("b", 3_601, false)];
        for (text, at, is_new) in asked {
            assert_eq!(said.is_new(text, after(at)), is_new, "{text} {at}");
        }
        said.forget("a");
        assert!(said.is_new("a", after(3_700)));
        // The time of the one that was forgotten is over first.
        assert!(!said.is_new("a", after(7_299)));
        assert!(said.is_new("a", after(7_300)));
    }

    #[test]
    fn notes_without_end_take_no_memory_without_end() {
        let (mut said, now) = (Remembered::default(), Instant::now());
        let texts = |range: std::ops::Range<usize>| range.map(|number| format!("{number}"));
        assert!(texts(0..3 * MAX_REMEMBERED).all(|text| said.is_new(&text, now)));
        assert_eq!((said.last.len(), said.order.len()), (MAX_REMEMBERED, MAX_REMEMBERED));
        // The oldest are said again, the others are not.
        assert!(said.is_new("0", now));
        assert!(texts(2 * MAX_REMEMBERED + 1..3 * MAX_REMEMBERED).all(|text| !said.is_new(&text, now)));
    }
}
