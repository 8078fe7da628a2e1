//! The running service: from something that happens to both tables published.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent};
use serde_json::Value;
use std::os::fd::AsFd;

use crate::contend::{TABLES, on};
use crate::make::MailHost;

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running service.
pub struct Service<'a> {
    host: &'a MailHost,
    program: &'a Path,
    child: Child,
    log: Receiver<(Instant, String)>,
    /// Sees what is published.
    seen: Inotify,
    /// How long its last rebuild took.
    last: Duration,
}

/// What a rebuild without news did.
pub struct Idle {
    /// How long it took, in ms.
    pub ms: f64,
    /// What the service wrote meanwhile, its log and status file included, in bytes.
    pub written: u64,
}

/// Sees each file that gets its name in this directory by rename(2).
fn renamed_in(directory: &Path) -> io::Result<Inotify> {
    let seen = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    seen.add_watch(directory, AddWatchFlags::IN_MOVED_TO)?;
    Ok(seen)
}

/// The next of these; `None` when none came since `start` for too long.
fn events(seen: &Inotify, start: Instant) -> io::Result<Option<Vec<InotifyEvent>>> {
    let left = PATIENCE.saturating_sub(start.elapsed()).as_millis();
    let mut fds = [PollFd::new(seen.as_fd(), PollFlags::POLLIN)];
    let is_there = poll(&mut fds, PollTimeout::try_from(left as i32).map_err(io::Error::other)?)? > 0;
    Ok(if is_there { Some(seen.read_events()?) } else { None })
}

impl<'a> Service<'a> {
    /// Starts it with these arguments, and waits for its first rebuild.
    pub fn start(host: &'a MailHost, program: &'a Path, arguments: &[&str]) -> io::Result<Service<'a>> {
        let control = host.path("var/qmail/control");
        let seen = renamed_in(&control)?;
        let words = on(host, program, arguments);
        let mut child = Command::new(&words[0]).args(&words[1..]).stderr(Stdio::piped()).spawn()?;
        let lines = child.stderr.take().map(|stderr| BufReader::new(stderr).lines());
        let (say, log) = channel();
        std::thread::spawn(move || {
            lines.into_iter().flatten().map_while(Result::ok).try_for_each(|line| say.send((Instant::now(), line)))
        });
        let mut service = Service { host, program, child, log, seen, last: Duration::ZERO };
        service.wait_for("rebuild 1 done")?;
        Ok(service)
    }

    /// The next line of its log that holds the words, and when it came.
    fn wait_for(&mut self, words: &str) -> io::Result<(Instant, String)> {
        let start = Instant::now();
        loop {
            let (at, line) = self
                .log
                .recv_timeout(PATIENCE.saturating_sub(start.elapsed()))
                .map_err(|_| io::Error::other(format!("the service never says {words:?}")))?;
            if let Some(took) = duration(&line) {
                self.last = took;
            }
            if line.contains(": alert: ") {
                return Err(io::Error::other(line));
            }
            if line.contains(words) {
                return Ok((at, line));
            }
        }
    }

    /// Waits until it has nothing to do, and no pause after a rebuild lasts on.
    pub fn rest(&mut self) -> io::Result<()> {
        loop {
            // A rebuild that is due comes after a pause of the last one's duration, at least half a second.
            let quiet = Duration::from_millis(700) + self.last * 5 / 2;
            match self.log.recv_timeout(quiet) {
                Ok((_, line)) if line.contains(": alert: ") => return Err(io::Error::other(line)),
                Ok((_, line)) => self.last = duration(&line).unwrap_or(self.last),
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => return Ok(()),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(io::Error::other("the service ended"));
                }
            }
        }
    }

    fn trigger(&self, notice: &[&str]) -> io::Result<()> {
        let words = on(self.host, self.program, &[&["trigger"], notice].concat());
        let status = Command::new(&words[0]).args(&words[1..]).status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("trigger: {status}"))) }
    }

    /// From a change of the mailboxes, and its notice, until these tables are published.
    pub fn change(
        &mut self,
        more: Option<&str>,
        password: Option<u64>,
        notice: &str,
        tables: &[&str],
    ) -> io::Result<Duration> {
        let address = format!("{}@{}", more.unwrap_or("alice0"), self.host.changing_domain());
        let host = self.host;
        self.publish(&|| host.set_mailboxes(more, password), &[notice, &address], tables)
    }

    /// From any change, and its notice, until these tables are published.
    pub fn publish(
        &mut self,
        change: &dyn Fn() -> io::Result<()>,
        notice: &[&str],
        tables: &[&str],
    ) -> io::Result<Duration> {
        while self.seen.read_events().is_ok() {}
        let start = Instant::now();
        change()?;
        self.trigger(notice)?;
        let mut waiting: Vec<&str> = tables.to_vec();
        while !waiting.is_empty() {
            let events = events(&self.seen, start)?
                .ok_or_else(|| io::Error::other(format!("the service never publishes {}", waiting.join(" and "))))?;
            for event in events {
                waiting.retain(|table| event.name.as_deref() != Some(table.as_ref()));
            }
        }
        let took = start.elapsed();
        self.rest()?;
        Ok(took)
    }

    /// From a notice of something that did not happen until the service has looked.
    pub fn notice(&mut self) -> io::Result<Idle> {
        let (before, written) = (self.identities(), self.written()?);
        let start = Instant::now();
        self.trigger(&["mod_user", &format!("alice0@{}", self.host.changing_domain())])?;
        let (at, _) = self.wait_for(" done: ")?;
        self.rest()?;
        self.unchanged(&before)?;
        Ok(Idle { ms: (at - start).as_secs_f64() * 1000.0, written: self.written()? - written })
    }

    /// How long its next sweep takes, as it says itself.
    pub fn sweep(&mut self) -> io::Result<Idle> {
        let (before, written) = (self.identities(), self.written()?);
        let (_, line) = self.wait_for("cause=sweep")?;
        self.unchanged(&before)?;
        let took = duration(&line).unwrap_or_default();
        Ok(Idle { ms: took.as_secs_f64() * 1000.0, written: self.written()? - written })
    }

    /// How long it takes next time to find that no row of the user database has changed, as it says itself. No line of the
    /// log tells of that.
    pub fn question(&mut self) -> io::Result<f64> {
        let before = self.identities();
        let directory = self.host.path("run/qmail-updater");
        let written = renamed_in(&directory)?;
        let last = || -> io::Result<Value> {
            let status = fs::read(directory.join("status.json"))?;
            Ok(serde_json::from_slice::<Value>(&status)?["last_rebuild"].take())
        };
        let (first, start) = (last()?["number"].as_u64(), Instant::now());
        let found = loop {
            let last = last()?;
            if last["number"].as_u64() > first && last["cause"] == "database" {
                break last;
            }
            if events(&written, start)?.is_none() {
                return Err(io::Error::other("the service never asks the user database"));
            }
        };
        self.unchanged(&before)?;
        found["ms"].as_f64().ok_or_else(|| io::Error::other(format!("no duration: {found}")))
    }

    fn identities(&self) -> [Option<(u64, i64, i64, u64)>; 2] {
        TABLES.map(|table| crate::contend::identity(&self.table(table)))
    }

    fn unchanged(&self, before: &[Option<(u64, i64, i64, u64)>; 2]) -> io::Result<()> {
        if *before == self.identities() {
            return Ok(());
        }
        Err(io::Error::other("nothing changed, and the service published something"))
    }

    /// A table that it publishes.
    pub fn table(&self, name: &str) -> PathBuf {
        self.host.path("var/qmail/control").join(name)
    }

    /// Its resident memory, in KiB.
    pub fn resident(&self) -> io::Result<u64> {
        self.proc_field("status", "VmRSS:")
    }

    fn written(&self) -> io::Result<u64> {
        self.proc_field("io", "wchar:")
    }

    fn proc_field(&self, file: &str, field: &str) -> io::Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.child.id()))?;
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse().ok());
        value.ok_or_else(|| io::Error::other(format!("/proc: no {field}")))
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        // It removes its pipe.
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
        }
        let _ = self.child.wait();
        let _ = self.host.set_mailboxes(None, None);
    }
}

/// What a line of the log says a rebuild took.
fn duration(line: &str) -> Option<Duration> {
    let (_, ms) = line.rsplit_once(" ms=")?;
    ms.parse().ok().map(Duration::from_millis)
}

/// How long a trigger takes, and how long a shell's echo; one turn each, in ms.
pub struct Pokes<'a> {
    host: &'a MailHost,
    program: &'a Path,
    pipe: fs::File,
    path: PathBuf,
}

impl<'a> Pokes<'a> {
    /// Makes a pipe, and reads it.
    pub fn new(host: &'a MailHost, program: &'a Path) -> io::Result<Pokes<'a>> {
        use std::os::unix::fs::OpenOptionsExt;
        let path = host.path("bench/pipe");
        let _ = fs::remove_file(&path);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o622))?;
        let pipe = fs::File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&path)?;
        Ok(Pokes { host, program, pipe, path })
    }

    /// One turn of each: the trigger, the echo.
    pub fn turn(&mut self) -> io::Result<(f64, f64)> {
        let words = on(self.host, self.program, &["--fifo", "/bench/pipe", "trigger"]);
        let mut trigger = Command::new(&words[0]);
        trigger.args(&words[1..]);
        let mut echo = Command::new("/bin/sh");
        echo.args(["-c", "echo > \"$0\""]).arg(&self.path);
        Ok((self.time(&mut trigger)?, self.time(&mut echo)?))
    }

    fn time(&mut self, command: &mut Command) -> io::Result<f64> {
        let start = Instant::now();
        let status = command.status()?;
        let took = start.elapsed();
        let mut heard = [0; 64];
        let heard = io::Read::read(&mut self.pipe, &mut heard)?;
        if !status.success() || heard == 0 {
            return Err(io::Error::other("a trigger that nobody heard"));
        }
        Ok(took.as_secs_f64() * 1000.0)
    }
}
