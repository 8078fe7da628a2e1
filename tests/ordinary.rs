//! Ordinary commands make no alert: what passes while vpopmail works is not told, and what stays broken is told once, at a
//! second look.

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use support::service::{PATIENCE, Service, status_of, trigger};
use support::{MailHost, give, is_root, script, skip};

const NET: &str = "/home/vpopmail/domains/example.net";
/// What the program promises: no second look comes sooner.
const SECOND_LOOK: Duration = Duration::from_secs(5);

/// What vadddomain and vdeldomain do, step by step, as it was watched on a live host.
struct Vpopmail<'h> {
    host: &'h MailHost,
    /// Those that come and go.
    domains: Vec<String>,
}

/// So many alias domains stay, so that those that go together are few of all, which the guard lets go.
const STAY: usize = 200;

impl Vpopmail<'_> {
    fn home(domain: &str) -> String {
        format!("/home/vpopmail/domains/{domain}")
    }

    /// Between two steps; a program takes some time for each.
    fn pause(&self) {
        std::thread::sleep(Duration::from_micros(700));
    }

    fn replace(&self, inside: &str, content: &[u8]) {
        self.host.write(&format!("{inside}.1"), content);
        fs::rename(self.host.path(&format!("{inside}.1")), self.host.path(inside)).unwrap();
        self.pause();
    }

    /// The lines of a control file or of users/assign: one for each name, with its real domain.
    fn lines(&self, line: &dyn Fn(&str, &str) -> String) -> Vec<u8> {
        let come_and_go = self.domains.iter().map(|domain| line(domain, domain));
        let stay = (0..STAY).map(|number| line(&format!("alias{number}.test"), "example.net"));
        come_and_go.chain(stay).collect::<String>().into_bytes()
    }

    fn control(&self) {
        self.replace("/var/qmail/control/rcpthosts", &self.lines(&|name, _| format!("{name}\n")));
        self.replace("/var/qmail/control/virtualdomains", &self.lines(&|name, _| format!("{name}:{name}\n")));
    }

    /// users/assign, and what vpopmail's qmail-newu makes of it.
    fn assign(&self) {
        let line = |name: &str, real: &str| format!("+{name}-:{real}:89:89:{}:-::\n", Vpopmail::home(real));
        let lines = self.lines(&line);
        self.replace("/var/qmail/users/assign", &[&lines[..], b".\n"].concat());
        let text = String::from_utf8(lines).unwrap();
        let record = |line: &str| -> (String, String) {
            let (key, data) = line[1..].split_once(':').unwrap();
            (format!("!{key}"), data.strip_suffix(':').unwrap().replace(':', "\0"))
        };
        let records: Vec<_> = [(String::new(), "-".to_owned())].into_iter().chain(text.lines().map(record)).collect();
        let records = records.iter().map(|(key, data)| (key.as_bytes(), data.as_bytes()));
        self.replace("/var/qmail/users/cdb", &qmail_updater::cdb::image(records).unwrap());
    }

    fn own(&self, path: &Path, uid: u32) {
        if is_root() {
            give(path, uid, uid);
        }
    }

    fn vadddomain(&mut self, domain: &str) {
        let home = Vpopmail::home(domain);
        // It is root's, and nobody else may enter it, until all control files name it.
        self.host.folder(&home).mode(&home, 0o700);
        self.pause();
        self.host.write(&format!("{home}/.qmail-default"), "| /home/vpopmail/bin/vdelivermail '' delete\n");
        self.pause();
        self.domains.push(domain.to_owned());
        self.assign();
        self.control();
        for file in [&home, &format!("{home}/.qmail-default")] {
            self.own(&self.host.path(file), 89);
        }
        trigger(self.host, &["add_domain", domain, "-", ""]);
        // The mailbox postmaster: nothing follows it. First an empty file, then one with the mailbox.
        self.host.folder(&format!("{home}/postmaster/Maildir"));
        let record = "postmaster:$6$salt$hash:1:0:N:/d:Q";
        self.host.write(&format!("{home}/vpasswd"), "").mode(&format!("{home}/vpasswd"), 0o600);
        self.pause();
        for _ in 0..2 {
            self.replace(&format!("{home}/vpasswd"), format!("{record}\n").as_bytes());
            self.host.mailboxes(&format!("{home}/tmp"), &[record]).mode(&format!("{home}/tmp/vpasswd.cdb"), 0o600);
            let cdb = self.host.path(&format!("{home}/vpasswd.cdb"));
            fs::rename(self.host.path(&format!("{home}/tmp/vpasswd.cdb")), &cdb).unwrap();
            fs::remove_dir(self.host.path(&format!("{home}/tmp"))).unwrap();
            self.pause();
            self.own(&cdb, 89);
        }
    }

    fn vdeldomain(&mut self, domain: &str) {
        trigger(self.host, &["del_domain", domain, "-", ""]);
        // The directory first, then its lines.
        let home = self.host.path(&Vpopmail::home(domain));
        for file in ["vpasswd", "vpasswd.cdb", ".qmail-default", "postmaster"] {
            let path = home.join(file);
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap()
            } else {
                fs::remove_file(path).unwrap()
            }
            self.pause();
        }
        fs::remove_dir(home).unwrap();
        self.pause();
        self.domains.retain(|one| one != domain);
        self.assign();
        self.control();
    }
}

/// What the log says that somebody should act on. The sample host has no qmail-newu.
fn told(lines: &[String]) -> Vec<&String> {
    let is_told = |line: &&String| {
        ["alert: ", "warning: ", "fatal: "].iter().any(|level| line.contains(level))
            && !line.contains("not there, so not run")
    };
    lines.iter().filter(is_told).collect()
}

#[test]
fn domains_that_come_and_go_make_no_alert() {
    const DOMAINS: usize = 31;
    if !is_root() {
        return skip("domains that come and go make no alert", "only root makes directories of vpopmail's");
    }
    let host = MailHost::sample();
    script(&host, "/var/qmail/bin/qmail-newu", "exit 0");
    script(&host, "/etc/noted", "exit 0");
    host.folder("/etc/qmail-updater/actions.d");
    fs::rename(host.path("/etc/noted"), host.path("/etc/qmail-updater/actions.d/any")).unwrap();
    let names: Vec<String> = (0..DOMAINS).map(|number| format!("d{number}.test")).collect();
    let mut vpopmail = Vpopmail { host: &host, domains: Vec::new() };
    vpopmail.assign();
    vpopmail.control();
    host.remove("/home/vpopmail/etc/defaultdomain").remove("/var/qmail/control/validrcptto.d/relay.example");
    host.folder("/tmp").mode("/tmp", 0o1777);
    let (mut child, log) = support::service::follow(host.command(&["run"]));
    while !log.recv_timeout(PATIENCE).unwrap().contains("rebuild 1 done") {}
    // Some numbers without an order.
    let mut number: usize = 1;
    for _ in 0..400 {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let name = &names[(number >> 33) % DOMAINS];
        if vpopmail.domains.contains(name) { vpopmail.vdeldomain(name) } else { vpopmail.vadddomain(name) }
    }
    let left = vpopmail.domains.clone();
    trigger(&host, &["setdefault", "end"]);
    let mut lines: Vec<String> = Vec::new();
    while lines.last().is_none_or(|line| !line.contains("cause=setdefault:end")) {
        lines.push(log.recv_timeout(PATIENCE).unwrap());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(told(&lines), [""; 0]);
    assert!(!lines.concat().contains("can be read again"), "{lines:#?}");
    let accepted = |name: &String| host.answers(&[&format!("postmaster@{name}")]) == ["accept"];
    assert!(left.iter().all(accepted) && !left.is_empty(), "{left:?}");
}

#[test]
fn a_home_that_stays_broken_is_counted_at_once_and_told_once_at_the_second_look() {
    let service = Service::start(MailHost::sample(), &[]);
    let net = service.host.path(NET);
    let broken = Instant::now();
    fs::rename(&net, service.host.path("/away")).unwrap();
    while status_of(&service.host)["kept"] != 1 {
        assert!(broken.elapsed() < PATIENCE);
        support::service::pause();
    }
    // Other rebuilds meanwhile tell nothing either.
    service.add_alias("meanwhile");
    service.wait_for_answer("meanwhile@example.com", "accept");
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line: &String| !line.contains("recipients are kept as published")) {
        lines.push(service.log.recv_timeout(PATIENCE).unwrap());
    }
    assert!(broken.elapsed() >= SECOND_LOOK, "{:?}", broken.elapsed());
    assert_eq!(told(&lines).len(), 1, "{lines:#?}");
    service.add_alias("later");
    service.trigger(&["setdefault", "later"]);
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line: &String| !line.contains("cause=setdefault:later")) {
        lines.push(service.log.recv_timeout(PATIENCE).unwrap());
    }
    assert_eq!(told(&lines), [""; 0]);
    fs::rename(service.host.path("/away"), &net).unwrap();
    service.wait_for("status: ");
    service.wait_for("/home/vpopmail/domains/example.net: can be read again");
    // Gone for a moment: nothing was told, so nothing is taken back.
    fs::rename(&net, service.host.path("/away")).unwrap();
    while status_of(&service.host)["kept"] != 1 {
        assert!(broken.elapsed() < PATIENCE);
        support::service::pause();
    }
    fs::rename(service.host.path("/away"), &net).unwrap();
    while status_of(&service.host)["kept"] != 0 {
        assert!(broken.elapsed() < PATIENCE);
        support::service::pause();
    }
    service.trigger(&["setdefault", "end"]);
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line: &String| !line.contains("cause=setdefault:end")) {
        lines.push(service.log.recv_timeout(PATIENCE).unwrap());
    }
    assert_eq!(told(&lines), [""; 0]);
    assert!(!lines.concat().contains("can be read again"), "{lines:#?}");
}

#[test]
fn what_is_broken_when_the_service_starts_is_told_at_the_second_look_and_at_once_by_a_rebuild_by_hand() {
    let host = MailHost::sample();
    assert_eq!(host.rebuild().stderr.matches("alert: ").count(), 0);
    fs::rename(host.path(NET), host.path("/away")).unwrap();
    let answer = host.run(&["rebuild"]);
    assert!(answer.stderr.contains("recipients are kept as published"), "{}", answer.stderr);
    let start = Instant::now();
    let command = host.command(&["run", "--no-watch"]);
    let service = Service::spawn(host, command);
    service.wait_for("cause=recheck");
    service.wait_for("recipients are kept as published");
    assert!(start.elapsed() >= SECOND_LOOK, "{:?}", start.elapsed());
}
