//! A running service of a host, and what it logs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::MailHost;

/// Longer than anything here takes, on a slow machine too.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// The home of example.com in the sample host.
pub const COM: &str = "/home/vpopmail/domains/example.com";

/// Lets others work before something is looked at again that no event tells of.
pub fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

/// A running service, and what it logs.
pub struct Service {
    /// Its host.
    pub host: MailHost,
    /// The process.
    pub child: Child,
    /// Its lines.
    pub log: Receiver<String>,
}

impl Service {
    /// Starts it, and waits for its first rebuild.
    pub fn start(host: MailHost, arguments: &[&str]) -> Service {
        let arguments: Vec<&str> = ["run"].into_iter().chain(arguments.iter().copied()).collect();
        let command = host.command(&arguments);
        let service = Service::spawn(host, command);
        service.wait_for("rebuild 1 done");
        service
    }

    /// Starts it by this command.
    pub fn spawn(host: MailHost, command: Command) -> Service {
        host.folder("/tmp").mode("/tmp", 0o1777);
        let (child, log) = follow(command);
        Service { host, child, log }
    }

    /// On the sample host, which is not watched.
    pub fn sample() -> Service {
        Service::start(MailHost::sample(), &["--no-watch"])
    }

    /// Its pipe.
    pub fn fifo(&self) -> PathBuf {
        self.host.path("/tmp/update-qmail")
    }

    /// The next line of the log that holds the words.
    pub fn wait_for(&self, words: &str) -> String {
        let start = Instant::now();
        let mut seen = Vec::new();
        while let Ok(line) = self.log.recv_timeout(PATIENCE.saturating_sub(start.elapsed())) {
            if line.contains(words) {
                return line;
            }
            seen.push(line);
        }
        panic!("the log never says {words:?}: {seen:#?}");
    }

    /// Waits until qmail-smtpd's answer for the address is this one, and says how long it took.
    pub fn wait_for_answer(&self, address: &str, answer: &str) -> Duration {
        let start = Instant::now();
        let table = self.host.published("validrcptto.cdb");
        let published =
            || fs::metadata(&table).ok().map(|meta| (meta.dev(), meta.ino(), meta.ctime(), meta.ctime_nsec()));
        loop {
            let before = published();
            if self.host.answers(&[address]) == [answer] {
                return start.elapsed();
            }
            // No other answer comes of the same file; now and then it is asked all the same.
            for _ in 0..100 {
                pause();
                if published() != before {
                    break;
                }
            }
            assert!(start.elapsed() < PATIENCE, "{address} never gets {answer}");
        }
    }

    /// Waits until it has nothing to do.
    pub fn wait_until_idle(&self) {
        let start = Instant::now();
        while status_of(&self.host)["state"] != "idle" {
            assert!(start.elapsed() < PATIENCE, "{}", status_of(&self.host));
            pause();
        }
    }

    /// Triggers it.
    pub fn trigger(&self, notice: &[&str]) {
        trigger(&self.host, notice);
    }

    /// A new alias, not announced.
    pub fn add_alias(&self, name: &str) {
        self.host.write(&format!("{COM}/.qmail-{name}"), "&x@y.test\n");
    }

    /// Ends it with TERM, and gives its exit code.
    pub fn end(&mut self) -> i32 {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.child.wait().unwrap().code().unwrap()
    }
}

/// Starts a service, and gives what it logs.
pub fn follow(mut command: Command) -> (Child, Receiver<String>) {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let (say, log) = channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| say.send(line)));
    (child, log)
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Triggers the service of a host.
pub fn trigger(host: &MailHost, notice: &[&str]) {
    let arguments: Vec<&str> = ["trigger", "--"].into_iter().chain(notice.iter().copied()).collect();
    let answer = host.run(&arguments);
    assert_eq!((answer.code, &answer.stderr[..]), (0, ""));
}

/// The status file.
pub fn status_of(host: &MailHost) -> serde_json::Value {
    serde_json::from_slice(&fs::read(host.path("/run/qmail-updater/status.json")).unwrap_or_default())
        .unwrap_or_default()
}

/// Waits until what the status file says of the user database is so.
pub fn wait_for_database(host: &MailHost, is_so: &dyn Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    let start = Instant::now();
    loop {
        let database = status_of(host)["database"].clone();
        if is_so(&database) {
            return database;
        }
        assert!(start.elapsed() < PATIENCE, "{database:#}");
        pause();
    }
}
