//! How long programs take, and how much memory. They are children of a small process of ours (this program again), not
//! of the benchmark itself: Linux counts what the parent had at the time of exec as the child's peak.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// The first argument that makes this program measure others.
pub const WORD: &str = "--measure";
/// Ends one command and begins the next.
const THEN: &str = ";";
/// Stands before a command's standard input.
const FROM: &str = "<";

/// What one or more commands, one after the other, took.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// From the first start to the last end.
    pub wall: Duration,
    /// Processor time outside the kernel.
    pub user: Duration,
    /// Processor time inside it.
    pub system: Duration,
    /// The largest peak of resident memory, in KiB.
    pub peak: u64,
}

/// Commands that are measured together.
#[derive(Clone, Default)]
pub struct Job {
    words: Vec<OsString>,
}

impl Job {
    /// One command.
    pub fn new(words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Job {
        Job { words: words.into_iter().map(|word| word.as_ref().to_owned()).collect() }
    }

    /// One command that reads a file.
    pub fn reading(file: &Path, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Job {
        Job { words: [OsString::from(FROM), file.into()].into_iter().chain(Job::new(words).words).collect() }
    }

    /// This, then that.
    pub fn then(mut self, job: Job) -> Job {
        self.words.push(THEN.into());
        self.words.extend(job.words);
        self
    }

    /// The same, each command behind these words.
    pub fn under(&self, before: &[OsString]) -> Job {
        let commands = self.words.split(|word| word == THEN).map(|words| {
            let (input, words) = split_input(words);
            let words = before.iter().chain(words);
            input.map_or_else(|| Job::new(words.clone()), |file| Job::reading(Path::new(file), words.clone()))
        });
        commands.reduce(Job::then).unwrap_or_default()
    }

    /// Runs it. What it says on standard error is kept in `said`, and shown when it fails.
    pub fn measure(&self, said: &Path) -> io::Result<Taken> {
        let output = Command::new(std::env::current_exe()?)
            .arg(WORD)
            .args(&self.words)
            .stdin(Stdio::null())
            .stderr(File::create(said)?)
            .output()?;
        let fields: Vec<u64> =
            String::from_utf8_lossy(&output.stdout).split_whitespace().map_while(|word| word.parse().ok()).collect();
        let [wall, user, system, peak] = fields[..] else {
            let words: Vec<_> = self.words.iter().map(|word| word.to_string_lossy()).collect();
            let said = fs::read_to_string(said)?;
            return Err(io::Error::other(format!("{}: {}", words.join(" "), said.trim_end())));
        };
        let [wall, user, system] = [wall, user, system].map(Duration::from_micros);
        Ok(Taken { wall, user, system, peak })
    }
}

fn split_input(words: &[OsString]) -> (Option<&OsString>, &[OsString]) {
    match words {
        [from, file, words @ ..] if from == FROM => (Some(file), words),
        words => (None, words),
    }
}

/// What the small process does: runs the commands, and prints what they took in microseconds and KiB.
pub fn serve(words: Vec<OsString>) -> io::Result<ExitCode> {
    let start = Instant::now();
    for words in words.split(|word| word == THEN) {
        let (input, words) = split_input(words);
        let input = input.map_or_else(|| PathBuf::from("/dev/null"), PathBuf::from);
        let status = Command::new(&words[0])
            .args(&words[1..])
            .stdin(File::open(input)?)
            .stdout(Stdio::null())
            .status()
            .map_err(|cause| io::Error::new(cause.kind(), format!("{}: {cause}", words[0].to_string_lossy())))?;
        if !status.success() {
            return Ok(ExitCode::FAILURE);
        }
    }
    let wall = start.elapsed();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    println!("{} {} {} {}", wall.as_micros(), micros(usage.user_time()), micros(usage.system_time()), usage.max_rss());
    Ok(ExitCode::SUCCESS)
}

/// The middle of some values, and the smallest and the largest.
#[derive(Clone, Copy, Debug)]
pub struct Middle {
    /// The median.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Middle {
    /// Of at least one value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Middle {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let half = values.len() / 2;
        let median =
            if values.len().is_multiple_of(2) { f64::midpoint(values[half - 1], values[half]) } else { values[half] };
        Middle { median, least: values[0], most: values[values.len() - 1] }
    }
}

/// Milliseconds.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
