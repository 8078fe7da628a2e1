//! A file system that does not answer, as a network file system whose server is away: what it holds is kept as it is
//! published, everything else goes on, and no call waits for it for ever.

mod support;

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::fuse::{self, Mounted};
use support::service::{PATIENCE, Service};
use support::{Answer, MailHost, filled, skip};

/// How many domains there are.
const DOMAINS: usize = 20;
/// The domain whose home may stop to answer.
const AWAY: &str = "d7.test";

/// Whether there is time (5 minutes) for the figures that the documents promise: the default wait, and many rebuilds.
fn is_thorough() -> bool {
    std::env::var_os("QMAIL_UPDATER_SILENCE").is_some_and(|value| value == "all")
}

/// How the service and the commands are told to wait less, and for how many seconds they wait.
fn wait() -> (&'static [&'static str], u64) {
    if is_thorough() { (&[], 20) } else { (&["--max-wait", "2"], 2) }
}

/// In which time a change elsewhere must be published, and in which time `status` must answer.
fn limits() -> (Duration, Duration) {
    let (change, status) = if is_thorough() { (25, 1) } else { (10, 2) };
    (Duration::from_secs(change), Duration::from_secs(status))
}

fn home(domain: &str) -> String {
    format!("/home/vpopmail/domains/{domain}")
}

fn vpasswd(names: &[&str]) -> Vec<u8> {
    names.iter().flat_map(|name| format!("{name}:{}:1:0:N:/d:Q\n", filled("$1$salt$hash")).into_bytes()).collect()
}

const DEFAULT: &[u8] = b"| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n";

/// A host of many domains with one mailbox, `ann`, each. The home of one is another file system, which answers, and must go
/// before the host does.
fn host(believed: u64) -> (MailHost, Mounted) {
    let (host, mut mounted) = host_with(&[AWAY], believed);
    (host, mounted.remove(0))
}

/// The same with the homes of these domains on other file systems, one each.
fn host_with(away: &[&str], believed: u64) -> (MailHost, Vec<Mounted>) {
    let host = MailHost::empty();
    let domains: Vec<String> = (0..DOMAINS).map(|number| format!("d{number}.test")).collect();
    let lines = |line: &dyn Fn(&String) -> String| domains.iter().map(line).collect::<String>();
    host.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\n").write("/var/qmail/control/me", "mail.test\n");
    host.write("/var/qmail/control/rcpthosts", lines(&|name| format!("{name}\n")));
    host.write("/var/qmail/control/virtualdomains", lines(&|name| format!("{name}:{name}\n")));
    let assign = lines(&|name| format!("+{name}-:{name}:89:89:{}:-::\n", home(name)));
    host.write("/var/qmail/users/assign", assign + ".\n").folder("/home/vpopmail/etc");
    for domain in &domains {
        host.folder(&home(domain)).own(&home(domain), 89, 89);
        if !away.contains(&&domain[..]) {
            let file = format!("{}/vpasswd", home(domain));
            host.write(&file, vpasswd(&["ann"])).own(&file, 89, 89);
            host.write(&format!("{}/.qmail-default", home(domain)), DEFAULT);
        }
    }
    let files = [("vpasswd", &vpasswd(&["ann"])[..]), (".qmail-default", DEFAULT)];
    let mounted = away.iter().map(|domain| Mounted::over(&host.path(&home(domain)), believed, &files)).collect();
    (host, mounted)
}

/// Runs a command with the short wait.
fn run(host: &MailHost, arguments: &[&str]) -> Answer {
    host.run(&[arguments, wait().0].concat())
}

/// A service that waits so long.
fn start(host: MailHost) -> Service {
    Service::start(host, wait().0)
}

/// How many rebuilds must not need more threads than the first five.
fn rebuilds() -> usize {
    if is_thorough() { 50 } else { 10 }
}

/// How many threads a process has.
fn threads(service: &Service) -> usize {
    fs::read_dir(format!("/proc/{}/task", service.child.id())).unwrap().count()
}

/// Triggers a full check, and waits until it is done.
fn rebuild(service: &Service) -> String {
    fs::OpenOptions::new().write(true).open(service.fifo()).unwrap();
    service.wait_for("cause=trigger")
}

/// Waits for what must come soon.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what}: never");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_home_that_does_not_answer_holds_up_no_other_domain() {
    if let Some(why) = fuse::missing() {
        return skip("a file system that does not answer", why);
    }
    // What was asked a moment ago may be remembered by the kernel: it answers for the directory then, not for its files.
    for believed in [0, 3600] {
        let (host, mounted) = host(believed);
        let service = start(host);
        let (mounted, host) = (mounted, &service.host);
        assert_eq!(host.answers(&["ann@d7.test", "bob@d7.test", "bob@d3.test"]), ["accept", "refuse", "refuse"]);
        mounted.silence();
        mounted.write(".qmail-new", b"&x@y.test\n");
        host.write(&format!("{}/vpasswd", home("d3.test")), vpasswd(&["ann", "bob"]));
        let start = Instant::now();
        let line = rebuild(&service);
        assert!(start.elapsed() < limits().0, "{:?}: {line}", start.elapsed());
        println!("a change in another domain: {:?}", start.elapsed());
        assert_eq!(host.answers(&["ann@d7.test", "bob@d7.test", "bob@d3.test"]), ["accept", "refuse", "accept"]);
        let start = Instant::now();
        let status = host.run(&["status"]);
        assert!(start.elapsed() < limits().1, "{:?}: {status:?}", start.elapsed());
        println!("status: {:?}", start.elapsed());
        let (mount, seconds) = (mounted.path.display().to_string(), wait().1);
        let alert = format!(
            "{mount}: the file system at {mount} (fuse.test from test-server) has not answered for {seconds} s; "
        );
        assert_eq!(status.code, 1, "{status:?}");
        // The log says that the rebuild is done before the status file does.
        wait_until(&alert, || host.run(&["status"]).stdout.contains(&alert));
        // The log tells of it when a second look finds it again, and then also of its end.
        service.wait_for(&alert);
        // Once it is known, nothing waits for it, and no more threads do.
        let mut most = 0;
        for number in 1..=rebuilds() {
            let start = Instant::now();
            rebuild(&service);
            assert!(start.elapsed() < Duration::from_secs(2), "rebuild {number}: {:?}", start.elapsed());
            if number == 5 {
                most = threads(&service);
            }
        }
        wait_until("no more threads than before", || threads(&service) <= most);
        println!("threads after 5 rebuilds: {most}, after {}: {}", rebuilds(), threads(&service));
        let start = Instant::now();
        mounted.answer_again();
        service.wait_for_answer("new@d7.test", "accept");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        println!("right after it answers: {:?}", start.elapsed());
        service.wait_for(&format!("{mount}: can be read again"));
        wait_until("the thread that waited is gone", || threads(&service) < most);
    }
}

#[test]
fn status_answers_at_once_whether_the_service_knows_what_does_not_answer_or_not() {
    if let Some(why) = fuse::missing() {
        return skip("status beside a file system that does not answer", why);
    }
    let (host, mounted) = host(0);
    let mut service = start(host);
    let mounted = mounted;
    mounted.silence();
    let status = || {
        let start = Instant::now();
        let status = service.host.run(&["status"]);
        assert!(start.elapsed() < limits().1, "{:?}", start.elapsed());
        println!("status: {:?}", start.elapsed());
        assert!(status.stdout.starts_with("service: alive\n"), "{status:?}");
        assert!(status.stdout.contains(" has not answered for ") && status.code == 1, "{status:?}");
    };
    status();
    rebuild(&service);
    status();
    // A thread that waits for it does not keep the service from its end.
    let start = Instant::now();
    assert_eq!(service.end(), 0);
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    println!("the end of the service: {:?}", start.elapsed());
}

#[test]
fn what_is_not_mounted_any_more_is_not_waited_for() {
    if let Some(why) = fuse::missing() {
        return skip("a file system that was detached while it did not answer", why);
    }
    let (host, mounted) = host(0);
    let mut service = start(host);
    let mounted = mounted;
    mounted.silence();
    rebuild(&service);
    assert!(run(&service.host, &["status"]).stdout.contains(" has not answered for "));
    let threads_before = threads(&service);
    mounted.detach();
    // What lies below it was always there.
    let host = &service.host;
    host.write(&format!("{}/.qmail-default", home(AWAY)), DEFAULT);
    host.write(&format!("{}/vpasswd", home(AWAY)), vpasswd(&["ann", "bob"]));
    service.wait_for_answer("bob@d7.test", "accept");
    wait_until("all is well", || run(host, &["status"]).code == 0);
    for _ in 0..rebuilds() {
        rebuild(&service);
    }
    wait_until("no more threads than before", || threads(&service) <= threads_before);
    let start = Instant::now();
    assert_eq!(service.end(), 0);
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
}

#[test]
fn many_file_systems_that_do_not_answer_take_few_threads() {
    if let Some(why) = fuse::missing() {
        return skip("many file systems that do not answer", why);
    }
    let away: Vec<String> = (0..12).map(|number| format!("d{number}.test")).collect();
    let away: Vec<&str> = away.iter().map(String::as_str).collect();
    let (host, mounted) = host_with(&away, 0);
    let service = start(host);
    let (mounted, host) = (mounted, &service.host);
    let before = threads(&service);
    for mounted in &mounted {
        mounted.silence();
        mounted.write(".qmail-new", b"&x@y.test\n");
    }
    host.write(&format!("{}/vpasswd", home("d15.test")), vpasswd(&["ann", "bob"]));
    let start = Instant::now();
    rebuild(&service);
    assert!(start.elapsed() < limits().0, "{:?}", start.elapsed());
    assert_eq!(host.answers(&["bob@d15.test", "ann@d0.test", "ann@d11.test"]), ["accept"; 3]);
    let stuck = || threads(&service).saturating_sub(before);
    wait_until("no more than a few threads wait", || stuck() <= 8);
    println!("threads that wait for 12 file systems: {}", stuck());
    let named = || host.run(&["status"]).stdout.matches("; what it holds is kept as published\n").count();
    wait_until("status names eight of them", || named() == 8);
    service.wait_for("is not looked at, because 8 calls elsewhere have not come back");
    mounted.iter().for_each(Mounted::answer_again);
    for domain in away {
        service.wait_for_answer(&format!("new@{domain}"), "accept");
    }
}

#[test]
fn a_server_that_dies_while_a_file_is_read_leaves_the_entries_and_the_cause() {
    if let Some(why) = fuse::missing() {
        return skip("a server that dies", why);
    }
    let (host, mounted) = host(0);
    let service = start(host);
    let mut mounted = mounted;
    mounted.silence_at_read();
    mounted.write("vpasswd", &vpasswd(&["ann", "carl"]));
    let host = &service.host;
    host.write(&format!("{}/vpasswd", home("d3.test")), vpasswd(&["ann", "bob"]));
    drop(fs::OpenOptions::new().write(true).open(service.fifo()).unwrap());
    mounted.wait_until_silent();
    let start = Instant::now();
    mounted.die();
    service.wait_for_answer("bob@d3.test", "accept");
    assert!(start.elapsed() < limits().0, "{:?}", start.elapsed());
    assert_eq!(host.answers(&["ann@d7.test", "carl@d7.test"]), ["accept", "refuse"]);
    let alert = service.wait_for(&format!("{}: ", mounted.path.display()));
    assert!(alert.contains("alert: ") && alert.contains("Transport endpoint is not connected"), "{alert}");
    // Another server takes its place.
    let files = [("vpasswd", &vpasswd(&["ann", "carl"])[..]), (".qmail-default", DEFAULT)];
    let again = Mounted::over(&mounted.path, 0, &files);
    service.wait_for_answer("carl@d7.test", "accept");
    drop(again);
}

#[test]
fn a_service_starts_while_a_file_system_does_not_answer() {
    if let Some(why) = fuse::missing() {
        return skip("a start beside a file system that does not answer", why);
    }
    let (host, mounted) = host(0);
    run(&host, &["rebuild"]);
    mounted.silence();
    host.write(&format!("{}/vpasswd", home("d3.test")), vpasswd(&["ann", "bob"]));
    let service = start(host);
    let mounted = mounted;
    let answers = service.host.answers(&["ann@d7.test", "bob@d7.test", "bob@d3.test"]);
    assert_eq!(answers, ["accept", "refuse", "accept"]);
    mounted.write(".qmail-new", b"&x@y.test\n");
    mounted.answer_again();
    service.wait_for_answer("new@d7.test", "accept");
}

#[test]
fn no_command_waits_for_ever_and_each_says_what_does_not_answer() {
    if let Some(why) = fuse::missing() {
        return skip("commands beside a file system that does not answer", why);
    }
    let (host, mounted) = host(0);
    assert_eq!(run(&host, &["rebuild"]).code, 0);
    mounted.silence();
    let commands: [&[&str]; 8] = [
        &["check"],
        &["explain", "ann@d7.test"],
        &["domains"],
        &["user", "ann@d7.test"],
        &["list", "recipients"],
        &["rebuild", "--dry-run"],
        &["rebuild"],
        &["status"],
    ];
    for command in commands {
        let start = Instant::now();
        let answer = run(&host, command);
        assert!(start.elapsed() < limits().0, "{command:?}: {:?}", start.elapsed());
        let mount = format!("the file system at {} (fuse.test from test-server)", mounted.path.display());
        assert!([&answer.stdout, &answer.stderr].iter().any(|said| said.contains(&mount)), "{command:?}: {answer:?}");
    }
    assert_eq!(host.answers(&["ann@d7.test", "bob@d7.test"]), ["accept", "refuse"]);
    // What it waits for is said meanwhile.
    let slow = host.run(&["domains", "--max-wait", "4"]);
    let waits = format!("waits for {}", mounted.path.display());
    assert!(slow.stderr.contains(&waits), "{slow:?}");
    assert_eq!(slow.stderr.matches("which does not answer; gives it up after 4 s").count(), 1, "{slow:?}");
    // Of what lies elsewhere everything is said.
    assert!(run(&host, &["user", "ann@d3.test"]).stdout.contains("smtp login: yes"));
}

#[test]
fn a_control_directory_that_does_not_answer_keeps_neither_the_service_from_its_end_nor_a_command() {
    if let Some(why) = fuse::missing() {
        return skip("a control directory that does not answer", why);
    }
    let host = MailHost::sample();
    host.rebuild();
    let mut service = Service::start(host, &[&["--no-watch"], wait().0].concat());
    let mounted = Mounted::over(&service.host.path("/var/qmail/control"), 0, &[("me", b"mail.test\n")]);
    mounted.silence();
    drop(fs::OpenOptions::new().write(true).open(service.fifo()).unwrap());
    let alert = service.wait_for("nothing is published until it answers");
    assert!(
        alert.contains(" waits: the file system at ") && alert.contains("/var/qmail/control (fuse.test"),
        "{alert}"
    );
    let start = Instant::now();
    let status = run(&service.host, &["status"]);
    assert!(status.stdout.starts_with("service: alive\na rebuild has been running for "), "{status:?}");
    assert!(status.stdout.contains("tables: they cannot be compared with the host: "), "{status:?}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let lookup = run(&service.host, &["lookup", "ann@example.com"]);
    assert!(lookup.code == 111 && lookup.stderr.contains(" has not answered for "), "{lookup:?}");
    let start = Instant::now();
    assert_eq!(service.end(), 0);
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[test]
fn a_directory_of_vpopmail_that_does_not_answer_holds_up_nothing_else() {
    if let Some(why) = fuse::missing() {
        return skip("a directory of vpopmail that does not answer", why);
    }
    let away = "/home/vpopmail";
    let (host, _) = host_with(&[], 0);
    host.write("/var/qmail/control/morercpthosts", "relay.test\n");
    host.write("/var/qmail/control/validrcptto.d/relay.test", "erik\n");
    let service = start(host);
    let mounted = Mounted::over(&service.host.path(away), 0, &[]);
    mounted.silence();
    let host = &service.host;
    host.write("/var/qmail/control/validrcptto.d/relay.test", "erik\nnew\n");
    drop(fs::OpenOptions::new().write(true).open(service.fifo()).unwrap());
    let start = Instant::now();
    // A command that is typed meanwhile ends, too, and says what it waits for.
    let typed = run(host, &["rebuild"]);
    println!("a rebuild by hand: {:?}", start.elapsed());
    assert!(start.elapsed() < 2 * limits().0, "{:?}: {typed:?}", start.elapsed());
    assert!(typed.stderr.contains(" has not answered for "), "{away}: {typed:?}");
    service.wait_for_answer("new@relay.test", "accept");
    assert!(start.elapsed() < 2 * limits().0, "{away}: {:?}", start.elapsed());
    let answers = host.answers(&["erik@relay.test", "bob@relay.test", "ann@d3.test", "bob@d3.test"]);
    assert_eq!(answers, ["accept", "refuse", "accept", "refuse"], "{away}");
    let alert = service.wait_for(" has not answered for ");
    assert!(alert.contains("alert: ") && alert.contains(&mounted.path.display().to_string()), "{away}: {alert}");
    // As soon as it answers, or fails, everything is read again.
    let start = Instant::now();
    drop(mounted);
    host.write(&format!("{}/vpasswd", home("d4.test")), vpasswd(&["ann", "new"]));
    service.wait_for_answer("new@d4.test", "accept");
    assert!(start.elapsed() < limits().0, "{away}: {:?}", start.elapsed());
}

#[test]
fn a_rebuild_that_waited_names_no_cause_that_is_gone_and_the_next_one_follows_soon() {
    if let Some(why) = fuse::missing() {
        return skip("a control directory that answers again", why);
    }
    let host = MailHost::sample();
    host.rebuild();
    let service = Service::start(host, &[&["--no-watch"], wait().0].concat());
    let mounted = Mounted::over(&service.host.path("/var/qmail/control"), 0, &[("me", b"mail.test\n")]);
    mounted.silence();
    drop(fs::OpenOptions::new().write(true).open(service.fifo()).unwrap());
    service.wait_for("nothing is published until it answers");
    drop(mounted);
    let ended = service.wait_for("rebuild 2 ");
    assert!(!ended.contains(" has not answered for "), "{ended}");
    // It had waited for 9 seconds or more. What it waited before the first look, after 4 seconds at most, counts as its own time.
    let pause = ended.split("next try in ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
    assert!(pause.is_some_and(|seconds| seconds < 8.0), "{ended}");
    service.wait_for("rebuild 3 done");
}

#[test]
fn a_settings_directory_that_does_not_answer_holds_up_no_front_end_and_ends_each_command() {
    if let Some(why) = fuse::missing() {
        return skip("a settings directory that does not answer", why);
    }
    let host = MailHost::sample();
    host.rebuild();
    let directory = "/etc/qmail-updater/env";
    host.folder(directory);
    let mounted = Mounted::over(&host.path(directory), 0, &[("QMAIL_UPDATER_SWEEP", b"60\n")]);
    mounted.silence();
    let soon = Duration::from_secs(2);
    let start = Instant::now();
    let trigger = host.run(&["trigger", "-v"]);
    assert!(start.elapsed() < soon, "{:?}", start.elapsed());
    let pipe = host.path("/tmp/update-qmail").display().to_string();
    assert!(trigger.code == 0 && trigger.stderr.contains(&format!(" {pipe}: no pipe to write to")), "{trigger:?}");
    for (name, code) in [("ann", 0), ("nobody-at-all", 100)] {
        let start = Instant::now();
        let mut hook = Command::new(support::tested());
        hook.arg("rcptcheck").env_clear().env("QMAIL_UPDATER_ROOT", host.root()).stdin(Stdio::null());
        let answer: Answer = hook.env("RECIPIENT", format!("{name}@example.com")).output().unwrap().into();
        assert!(start.elapsed() < soon, "{:?}", start.elapsed());
        assert_eq!(answer.code, code, "{name}: {answer:?}");
    }
    let named = format!("unable to read {}: ", host.path(directory).display());
    for command in ["status", "rebuild", "run"] {
        let start = Instant::now();
        let answer = host.run(&[command, "--max-wait", "1"]);
        assert!(start.elapsed() < limits().0, "{command:?}: {:?}", start.elapsed());
        assert!(answer.code == 111 && answer.stderr.contains(&named), "{command:?}: {answer:?}");
        assert!(answer.stderr.contains(" has not answered for "), "{command:?}: {answer:?}");
    }
}
