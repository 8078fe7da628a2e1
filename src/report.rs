//! Every log line: `qmail-updater: LEVEL: text`, one write each, to standard error, no time stamp (multilog adds it).
//! The only printer to standard error; rooms that decide hand their notes up instead of printing them.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::text::Shown;

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
}

impl Note {
    /// A warning.
    pub fn warning(text: impl Into<String>) -> Note {
        Note { level: Level::Warning, text: text.into() }
    }

    /// An alert.
    pub fn alert(text: impl Into<String>) -> Note {
        Note { level: Level::Alert, text: text.into() }
    }
}

/// Writes one line to the log. A log that is closed or full loses it; that never stops the work.
pub fn say(level: Level, text: &str) {
    // Names are escaped where they are put in; this is for what a library says.
    let line = format!("qmail-updater: {level}: {}\n", Shown(text.as_bytes()));
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// A warning that was said is not said again for this long: a service meets it at every rebuild.
const SAID_FOR: Duration = Duration::from_secs(3600);

/// When each warning was said last.
static SAID: Mutex<BTreeMap<String, Instant>> = Mutex::new(BTreeMap::new());

/// Writes the notes to the log; the same warning at most once an hour.
pub fn say_all(notes: &[Note]) {
    let now = Instant::now();
    for note in notes {
        if note.level == Level::Warning {
            let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
            if said.get(&note.text).is_some_and(|last| now.duration_since(*last) < SAID_FOR) {
                continue;
            }
            said.retain(|_, last| now.duration_since(*last) < SAID_FOR);
            said.insert(note.text.clone(), now);
        }
        say(note.level, &note.text);
    }
}

/// Writes the error that ended the command to the log.
pub fn fatal(error: &Error) {
    say(Level::Fatal, &error.to_string());
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
