//! Calls that fail for another reason than what is on the host: such a failure is no fact. What could not be read keeps its
//! entries, nothing is opened, and after the failure both tables are soon what a rebuild from nothing makes. FUSE file
//! systems of the tests answer single requests with errors; with `QMAIL_UPDATER_FAULTS=all` each request, with each error.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use support::fuse::{self, Mounted};
use support::service::Service;
use support::{MailHost, filled, is_root, script, skip};

/// How many domains there are.
const DOMAINS: usize = 12;
/// In which time after the last failure both tables are right.
const SOON: Duration = Duration::from_secs(10);
const DEFAULT: &str = "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n";
const FILES: [&str; 2] = ["validrcptto.cdb", "auth.cdb"];

fn home(domain: usize) -> String {
    format!("/home/vpopmail/domains/d{domain}.test")
}

fn vpasswd(names: &[&str]) -> Vec<u8> {
    names.iter().flat_map(|name| format!("{name}:{}:1:0:N:/d:Q\n", filled("$1$salt$hash")).into_bytes()).collect()
}

/// A host of domains with one mailbox, `ann`, each.
fn host() -> MailHost {
    let host = MailHost::empty();
    let lines = |line: &dyn Fn(usize) -> String| (0..DOMAINS).map(line).collect::<String>();
    host.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\n").write("/var/qmail/control/me", "mail.test\n");
    host.write("/var/qmail/control/rcpthosts", lines(&|number| format!("d{number}.test\n")));
    host.write("/var/qmail/control/virtualdomains", lines(&|number| format!("d{number}.test:d{number}.test\n")));
    let assign = lines(&|number| format!("+d{number}.test-:d{number}.test:89:89:{}:-::\n", home(number)));
    host.write("/var/qmail/users/assign", assign + ".\n").folder("/home/vpopmail/etc");
    for number in 0..DOMAINS {
        host.folder(&home(number)).own(&home(number), 89, 89);
        host.write(&format!("{}/vpasswd", home(number)), vpasswd(&["ann"]));
        host.write(&format!("{}/.qmail-default", home(number)), DEFAULT);
    }
    host
}

/// A mount anywhere is a trigger for each service: one test mounts at a time.
static MOUNTS: Mutex<()> = Mutex::new(());

/// The same with each home on a file system of its own.
fn mounted_host() -> (MailHost, Vec<Mounted>) {
    let host = host();
    let files = [("vpasswd", &vpasswd(&["ann"])[..]), (".qmail-default", DEFAULT.as_bytes())];
    let over = |number: usize| Mounted::over(&host.path(&home(number)), 0, &files);
    let mounted = (0..DOMAINS).map(over).collect();
    (host, mounted)
}

fn tables(host: &MailHost) -> [Vec<u8>; 2] {
    FILES.map(|name| fs::read(host.published(name)).unwrap())
}

/// What a rebuild makes of the host that knows no earlier one.
fn from_nothing(host: &MailHost) -> [Vec<u8>; 2] {
    let _ = fs::remove_dir_all(host.path("/srv"));
    host.folder("/srv/state");
    let places = ["--validrcptto", "/srv/validrcptto.cdb", "--auth", "/srv/auth.cdb", "--state", "/srv/state"];
    let answer = host.run(&[&["rebuild", "--no-commands", "--own-settings"][..], &places].concat());
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    FILES.map(|name| fs::read(host.path("/srv").join(name)).unwrap())
}

/// The answers for this name in each domain.
fn answers(host: &MailHost, name: &str) -> Vec<String> {
    let addresses: Vec<String> = (0..DOMAINS).map(|number| format!("{name}@d{number}.test")).collect();
    host.answers(&addresses.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Triggers a full check.
fn trigger(service: &Service) {
    drop(fs::OpenOptions::new().write(true).open(service.fifo()).unwrap());
}

/// Waits until both tables are what a rebuild from nothing makes, and says how long that took.
fn wait_until_right(service: &Service, what: &str) -> Duration {
    let (start, wanted) = (Instant::now(), from_nothing(&service.host));
    let mut said = Vec::new();
    while tables(&service.host) != wanted {
        let left = SOON.saturating_sub(start.elapsed());
        match service.log.recv_timeout(left) {
            Ok(line) => said.push(line),
            Err(_) => panic!("{what}: the tables are not right after {SOON:?}: {said:#?}"),
        }
    }
    start.elapsed()
}

#[test]
fn a_call_that_fails_once_leaves_both_tables_right_within_seconds() {
    if let Some(why) = fuse::missing() {
        return skip("calls in a home that fail once", why);
    }
    let _alone = MOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let (host, mounted) = mounted_host();
    let service = Service::start(host, &[]);
    let is_all = std::env::var("QMAIL_UPDATER_FAULTS").is_ok_and(|faults| faults == "all");
    // Everything is read again, or what changed.
    let hup = || {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(service.child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).unwrap();
    };
    let change = |text: &str| {
        mounted.iter().for_each(|mounted| mounted.write(".qmail-default", format!("{DEFAULT}# {text}\n").as_bytes()));
        trigger(&service);
    };
    let (mut failed, mut longest) = (0, Duration::ZERO);
    let errors = [Errno::EIO, Errno::ESTALE, Errno::EMFILE, Errno::ENOMEM, Errno::EACCES];
    for (begin, is_hup) in [(&hup as &dyn Fn(), true), (&|| change("changed"), false)] {
        mounted[0].fail_at(0..=0, Errno::EIO);
        begin();
        service.wait_for(" done: ");
        let (most, _) = mounted[0].calm();
        for (kind, error) in errors.into_iter().enumerate().filter(|(kind, _)| is_all || is_hup == (kind % 2 == 0)) {
            let each = if is_all { 1 } else { most.div_ceil(DOMAINS) };
            let numbers: Vec<usize> = (1 + kind % each..=most).step_by(each).collect();
            for numbers in numbers.chunks(DOMAINS) {
                let what = format!("{error}, requests {numbers:?} of {most}");
                mounted.iter().zip(numbers).for_each(|(mounted, number)| mounted.fail_at(*number..=*number, error));
                if is_hup {
                    hup()
                } else {
                    change(&what)
                }
                loop {
                    let line = service.wait_for(": rebuild ");
                    if line.contains(" done: ") {
                        break;
                    }
                    assert!(line.contains(" failed: ") && line.contains(error.desc()), "{what}: {line}");
                }
                // Whatever was met meanwhile, nobody was refused, and no domain was opened.
                assert_eq!(answers(&service.host, "ann"), ["accept"; DOMAINS], "{what}");
                let is_opened = answers(&service.host, "nobody") != ["refuse"; DOMAINS];
                assert!(!is_opened || error == Errno::EACCES, "{what}");
                failed += mounted.iter().map(|mounted| mounted.calm().1).sum::<usize>();
                longest = longest.max(wait_until_right(&service, &what));
            }
        }
    }
    println!("{failed} requests failed; the tables were right after {longest:?} at most");
    assert!(failed > 2 * DOMAINS, "{failed}");
}

#[test]
fn a_home_that_fails_is_kept_alone_told_once_and_read_again_soon_without_a_trigger() {
    if let Some(why) = fuse::missing() {
        return skip("a home that fails for a while", why);
    }
    let _alone = MOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let (host, mounted) = mounted_host();
    let service = Service::start(host, &[]);
    let failing = [(3, Errno::EIO), (5, Errno::ESTALE)];
    let paths = failing.map(|(number, _)| mounted[number].path.display().to_string());
    for (number, error) in failing {
        mounted[number].write("vpasswd", &vpasswd(&["ann", "new"]));
        mounted[number].fail_at(1..=usize::MAX, error);
    }
    mounted[0].write("vpasswd", &vpasswd(&["ann", "new"]));
    trigger(&service);
    service.wait_for(" done: ");
    let asked = ["new@d0.test", "new@d3.test", "new@d5.test", "nobody@d3.test", "nobody@d5.test"];
    assert_eq!(service.host.answers(&asked), ["accept", "refuse", "refuse", "refuse", "refuse"]);
    let mut said = Vec::new();
    let mut hear = |words: &str| {
        while !said.last().is_some_and(|line: &String| line.contains(words)) {
            said.push(service.log.recv_timeout(SOON).unwrap_or_else(|_| panic!("no {words:?}: {said:#?}")));
        }
    };
    hear(" cause=retry ");
    for ((_, error), path) in failing.iter().zip(&paths) {
        hear(&format!("{path}: {}; 1 recipients are kept as published; 1 logins are kept as published", error.desc()));
    }
    for (number, _) in failing {
        mounted[number].calm();
    }
    paths.iter().for_each(|path| hear(&format!("{path}: can be read again")));
    wait_until_right(&service, "homes that failed");
    assert_eq!(said.iter().filter(|line| line.contains(": alert: ")).count(), 2, "told once: {said:#?}");
    assert!(!said.iter().any(|line| line.contains("cause=trigger")), "{said:#?}");
}

#[test]
fn a_system_without_descriptors_fails_a_rebuild_and_no_home() {
    if !is_root() {
        return skip("a system without descriptors fails a rebuild and no home", "only root gives files away");
    }
    let service = Service::start(host(), &["--no-watch"]);
    let pid = service.child.id().to_string();
    let limit = |limit: usize| {
        let mut prlimit = Command::new("prlimit");
        assert!(prlimit.args(["--pid", &pid, &format!("--nofile={limit}:")]).status().unwrap().success());
    };
    let mut failed = 0;
    // From what is too few even for the lock of a rebuild.
    for descriptors in (8..).step_by(2) {
        let (old, new) = (tables(&service.host), format!("new{descriptors}"));
        service.host.write(&format!("{}/vpasswd", home(4)), vpasswd(&["ann", &new]));
        limit(descriptors);
        trigger(&service);
        let line = service.wait_for(": rebuild ");
        let is_failed = line.contains(" failed: ");
        if is_failed {
            failed += 1;
            assert!(line.contains("Too many open files") && line.contains("; next try in "), "{line}");
            assert!(tables(&service.host) == old, "nothing is published: {line}");
        }
        assert_eq!(answers(&service.host, "nobody"), ["refuse"; DOMAINS], "{line}");
        limit(1_000);
        wait_until_right(&service, &line);
        assert_eq!(service.host.answers(&[&format!("{new}@d4.test")]), ["accept"]);
        if !is_failed {
            break;
        }
    }
    assert!(failed > 1, "{failed}");
}

/// Somebody who holds a lease on a file until the standard input is closed.
fn lease(file: &std::path::Path) -> Child {
    // F_SETLEASE and F_WRLCK of fcntl(2).
    let script =
        r#"$SIG{IO} = "IGNORE"; open(F, "<", $ARGV[0]) && fcntl(F, 1024, 1) or die; $| = 1; print "held\n"; <STDIN>"#;
    let mut perl = Command::new("perl");
    perl.args(["-e", script]).arg(file).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut perl = perl.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(perl.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");
    perl
}

#[test]
fn a_lease_on_a_file_keeps_its_home_and_stops_no_rebuild() {
    if !is_root() {
        return skip("a lease on a file keeps its home and stops no rebuild", "only root gives files away");
    }
    let service = Service::start(host(), &["--no-watch"]);
    let mut holder = lease(&service.host.path(&format!("{}/.qmail-default", home(4))));
    for number in [4, 7] {
        service.host.write(&format!("{}/vpasswd", home(number)), vpasswd(&["ann", "new"]));
    }
    trigger(&service);
    let line = service.wait_for("rebuild 2 ");
    assert!(line.contains(" done: "), "{line}");
    let asked = ["new@d4.test", "nobody@d4.test", "new@d7.test", "nobody@d7.test"];
    assert_eq!(service.host.answers(&asked), ["refuse", "refuse", "accept", "refuse"]);
    drop(holder.stdin.take());
    holder.wait().unwrap();
    wait_until_right(&service, "a lease");
    assert_eq!(service.host.answers(&asked), ["accept", "refuse", "accept", "refuse"]);
}

#[test]
fn the_limit_of_descriptors_is_raised_for_the_service_and_not_for_what_it_runs() {
    if !is_root() {
        return skip(
            "the limit of descriptors is raised for the service and not for what it runs",
            "only root gives files away",
        );
    }
    let host = host();
    host.folder("/tmp").mode("/tmp", 0o1777);
    script(&host, "/etc/after", "ulimit -Sn");
    let run = host.command(&["run", "--no-watch", "--after", "/etc/after"]);
    let mut limited = Command::new("prlimit");
    limited.arg("--nofile=200:900").arg(run.get_program()).args(run.get_args()).env_clear();
    let service = Service::spawn(host, limited);
    service.wait_for("after: 200");
    let limits = || fs::read_to_string(format!("/proc/{}/limits", service.child.id())).unwrap();
    let is_raised = |line: &str| line.split_whitespace().eq(["Max", "open", "files", "900", "900", "files"]);
    // For a moment, while it starts a program, it has the old one itself.
    let start = Instant::now();
    while !limits().lines().any(is_raised) {
        assert!(start.elapsed() < SOON, "{}", limits());
        support::service::pause();
    }
}
