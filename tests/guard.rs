//! The guard against a sudden loss, with the real binary: what is held, what passes, and what lets it go.

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use support::service::{PATIENCE, Service, status_of, trigger};
use support::{MailHost, executable, script};

const BOUNCE: &str = "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n";

fn home(domain: &str) -> String {
    format!("/home/vpopmail/domains/{domain}")
}

fn mailboxes(host: &MailHost, domain: &str, names: impl Iterator<Item = String>) {
    let lines: Vec<String> = names.map(|name| format!("{name}:$6$a$b:1:0:N:/d:Q")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    host.mailboxes(&home(domain), &lines);
}

fn user(number: usize) -> String {
    format!("user{number}")
}

/// A host of vpopmail domains, each with so many mailboxes called user0 and so on.
fn host_of(domains: &[(&str, usize)]) -> MailHost {
    let host = MailHost::sample();
    for (domain, count) in domains {
        host.write(&format!("{}/.qmail-default", home(domain)), BOUNCE);
        mailboxes(&host, domain, (0..*count).map(user));
    }
    assign(&host, &domains.iter().map(|(domain, _)| *domain).collect::<Vec<_>>());
    host
}

fn assign(host: &MailHost, domains: &[&str]) {
    let lines = |line: &dyn Fn(&str) -> String| domains.iter().map(|domain| line(domain)).collect::<String>();
    let line = |domain: &str| format!("+{domain}-:{domain}:89:89:{}:-::\n", home(domain));
    replace(host, "/var/qmail/users/assign", lines(&line) + ".\n");
    replace(host, "/var/qmail/control/virtualdomains", lines(&|domain| format!("{domain}:{domain}\n")));
    replace(host, "/var/qmail/control/rcpthosts", lines(&|domain| format!("{domain}\n")));
}

/// Writes a file and renames it, as vpopmail does: a service that reads it at any moment finds the old one or the new one.
fn replace(host: &MailHost, path: &str, text: String) {
    let draft = format!("{path}.draft");
    host.write(&draft, text);
    fs::rename(host.path(&draft), host.path(path)).unwrap();
}

/// Waits until the status file is as wanted.
fn wait_for_status(host: &MailHost, is_wanted: impl Fn(&serde_json::Value) -> bool) {
    let start = Instant::now();
    while !is_wanted(&status_of(host)) {
        assert!(start.elapsed() < PATIENCE, "{}", status_of(host));
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A domain that a service holds since it lost much.
struct Holding<'a> {
    service: &'a Service,
    /// One of the addresses that it lost.
    address: &'a str,
    /// A moment before the loss.
    since: Instant,
    hold: Duration,
}

impl Holding<'_> {
    /// Whether it is still held; before the end of the time it must be.
    fn is_held(&self) -> bool {
        let is_held = self.service.host.answers(&[self.address]) == ["accept"];
        assert!(
            is_held || self.since.elapsed() >= self.hold,
            "{} is gone after {:?}",
            self.address,
            self.since.elapsed()
        );
        is_held
    }

    /// Waits until the service says this; false when it lets the domain go before.
    fn waits_for(&self, words: &str) -> bool {
        let start = Instant::now();
        loop {
            if let Ok(line) = self.service.log.recv_timeout(Duration::from_secs(1))
                && line.contains(words)
            {
                return true;
            }
            if !self.is_held() {
                return false;
            }
            assert!(start.elapsed() < PATIENCE, "the log never says {words:?}");
        }
    }
}

/// Runs a test that has to do something while a domain is held. On a machine that is too busy for that, the test says so
/// with false, and the next time the domain is held for longer.
fn with_a_longer_hold_on_a_busy_machine(test: impl Fn(u64) -> bool) {
    assert!([10, 30, 90].into_iter().any(test), "the machine is too busy");
}

#[test]
fn a_domain_that_loses_much_keeps_its_entries_and_everything_else_is_published() {
    let host = host_of(&[("a.test", 100), ("b.test", 60)]);
    host.rebuild();
    // Sixty of a hundred vanish at once, one comes; the other domain changes as domains do.
    mailboxes(&host, "a.test", (60..101).map(user));
    mailboxes(&host, "b.test", (1..61).map(user));
    let answer = host.run(&["rebuild"]);
    assert_eq!(answer.code, 111, "{}", answer.stderr);
    for words in [
        "alert: held, because they would lose much at once: a.test 60 of 100 recipients and 60 of 100 logins;",
        " held=1 ",
        "restore what is missing; if the loss is right, rebuild --force publishes it, and rebuild --force a.test only that",
        "fatal: held, as the alert says: 1 domain; everything else is published",
    ] {
        assert!(answer.stderr.contains(words), "{words:?} is missing: {}", answer.stderr);
    }
    let addresses = ["user0@a.test", "user99@a.test", "user100@a.test", "user0@b.test", "user60@b.test", "x@a.test"];
    assert_eq!(host.answers(&addresses), ["accept", "accept", "accept", "refuse", "accept", "refuse"]);
    let logins = host.logins();
    for (login, there) in [("user0@a.test", true), ("user100@a.test", true), ("user0@b.test", false)] {
        assert_eq!(logins.contains_key(login), there, "{login}");
    }
    assert!(logins["user0@a.test"].starts_with("$6$a$b,"), "its hash, and what authvars says now");
    // However often it is tried; and what would change is shown.
    assert_eq!(host.run(&["rebuild"]).code, 111);
    let answer = host.run(&["rebuild", "--dry-run"]);
    let changes = answer.stdout.lines().filter(|line| line.starts_with("-\taccept\t")).count();
    assert_eq!(changes, 60, "{}", answer.stdout);
    assert!(answer.stderr.contains("only with --force does a rebuild make all of these"), "{}", answer.stderr);
    // What is held stays held whatever share is allowed now, but for all; and somebody may confirm it.
    assert_eq!(host.run(&["rebuild", "--max-loss", "60"]).code, 111);
    assert_eq!(host.run(&["rebuild", "--max-loss", "100"]).code, 0);
    assert_eq!(host.answers(&addresses), ["refuse", "accept", "accept", "refuse", "accept", "refuse"]);
    mailboxes(&host, "a.test", (90..101).map(user));
    assert_eq!(host.run(&["rebuild"]).code, 0, "fewer than fifty on the whole host are nothing strange");
    mailboxes(&host, "b.test", (60..61).map(user));
    assert_eq!(host.run(&["rebuild"]).code, 111);
    assert_eq!(host.run(&["rebuild", "--force"]).code, 0);
    assert_eq!(host.answers(&["user1@b.test", "user60@b.test"]), ["refuse", "accept"]);
    assert!(!host.logins().contains_key("user1@b.test"));
}

#[test]
fn what_is_held_is_no_change_of_a_rebuild_for_any_command() {
    let host = host_of(&[("a.test", 100), ("b.test", 100)]);
    host.write("/home/vpopmail/etc/defaultdomain", "a.test\n");
    host.rebuild();
    assert!(host.logins().contains_key("user0"), "by its bare name");
    let terminal = |args: &[&str]| host.run(&[args, &["--color", "always"]].concat()).stdout;
    let held = "the loss guard holds 1 domain: a.test 60 of 100 recipients and 60 of 100 logins";
    mailboxes(&host, "a.test", (60..100).map(user));
    for rebuilds in 0..3 {
        if rebuilds > 0 {
            assert_eq!(host.run(&["rebuild"]).code, 111);
        }
        let check = host.run(&["check", "--all"]);
        assert!(!check.stdout.contains("tables-stale") && check.stdout.contains("domain-held"), "{}", check.stdout);
        let summary = host.run(&["rebuild", "--dry-run", "--summary"]).stdout;
        let states: Vec<&str> = summary.lines().filter_map(|line| line.rsplit('\t').next()).collect();
        assert_eq!(states, ["held", "held"], "those of no domain, too: {summary}");
        let dry_run = host.run(&["rebuild", "--dry-run", "--color", "always"]).stdout;
        assert!(dry_run.starts_with("A rebuild would change nothing. The loss guard holds 180 changes: "), "{dry_run}");
        let status = terminal(&["status"]);
        let (head, facts) = status.split_at(status.find("service does not run").unwrap());
        let words: Vec<&str> = head.split_whitespace().collect();
        assert!(head.contains("ALERT") && words.join(" ").contains(held), "{status}");
        assert!(!status.contains("would make") && facts.contains("held"), "{status}");
        let status = host.run(&["status"]);
        assert!(status.code == 1 && status.stdout.contains("\nheld: 1 domain: a.test 60 of"), "{}", status.stdout);
    }
    // What comes to a held domain, and what goes elsewhere, a rebuild does publish.
    mailboxes(&host, "a.test", (60..101).map(user));
    mailboxes(&host, "b.test", (1..100).map(user));
    let dry_run = host.run(&["rebuild", "--dry-run", "--color", "always"]).stdout;
    let head: Vec<&str> = dry_run.split("\n\n").next().unwrap().split_whitespace().collect();
    let wanted = "A rebuild would make 5 changes: recipients 1 added, 1 removed; logins 2 added, 1 removed. The loss guard \
                  holds 180 changes: ";
    assert!(head.join(" ").starts_with(wanted), "{}", head.join(" "));
    assert!(host.run(&["check"]).stdout.contains("out of date: 5 changes"));
    assert!(terminal(&["status"]).contains("5 changes"));
    assert_eq!(host.run(&["rebuild"]).code, 111);
    assert!(!host.run(&["check"]).stdout.contains("tables-stale"));
}

#[test]
fn a_catch_all_that_goes_is_one_entry_and_a_domain_that_left_is_gone_on_purpose() {
    let host = host_of(&[("a.test", 100), ("b.test", 60)]);
    host.write(&format!("{}/.qmail-default", home("a.test")), "&all@elsewhere.example\n");
    host.rebuild();
    assert_eq!(host.answers(&["anybody@a.test"]), ["accept"]);
    host.write(&format!("{}/.qmail-default", home("a.test")), BOUNCE);
    assert_eq!(host.run(&["rebuild"]).code, 0);
    assert_eq!(host.answers(&["anybody@a.test", "user1@a.test"]), ["refuse", "accept"]);
    assign(&host, &["b.test"]);
    assert_eq!(host.run(&["rebuild"]).code, 0);
    assert_eq!(host.answers(&["user1@a.test", "user1@b.test"]), ["refuse", "accept"]);
    assert!(!host.logins().contains_key("user1@a.test"));
}

#[test]
fn a_held_domain_keeps_its_catch_all_too() {
    let host = host_of(&[("a.test", 100)]);
    host.write(&format!("{}/.qmail-default", home("a.test")), "&all@elsewhere.example\n");
    host.write(&format!("{}/.qmail-no", home("a.test")), "|bouncesaying no\n");
    host.rebuild();
    host.write(&format!("{}/.qmail-default", home("a.test")), BOUNCE);
    mailboxes(&host, "a.test", std::iter::once("new".to_owned()));
    assert_eq!(host.run(&["rebuild"]).code, 111);
    let addresses = ["user1@a.test", "anybody@a.test", "new@a.test", "no@a.test"];
    assert_eq!(host.answers(&addresses), ["accept", "accept", "accept", "refuse"]);
}

#[test]
fn accounts_that_vanish_are_a_loss_too() {
    let (uid, gid) = support::me();
    if uid == 0 {
        // qmail-getpw passes root over: the homes must be somebody's.
        accounts_vanish(4242, 4242);
    } else {
        accounts_vanish(uid, gid);
    }
}

fn accounts_vanish(uid: u32, gid: u32) {
    let host = MailHost::sample();
    let passwd = |count: usize| -> String {
        let line = |number: usize| format!("user{number}:x:{uid}:{gid}::/home/user{number}:/bin/sh\n");
        let alias = format!("alias:x:{uid}:{gid}::/var/qmail/alias:/bin/false\n");
        alias + &(0..count).map(line).collect::<String>()
    };
    for number in 0..80 {
        host.folder(&format!("/home/user{number}"));
        if support::is_root() {
            host.own(&format!("/home/user{number}"), uid, gid);
        }
    }
    host.write("/etc/passwd", passwd(80));
    host.rebuild();
    assert_eq!(host.answers(&["user79@mail.example.org"]), ["accept"]);
    host.write("/etc/passwd", passwd(10));
    let answer = host.run(&["rebuild"]);
    assert_eq!(answer.code, 111, "{}", answer.stderr);
    assert!(answer.stderr.contains("mail.example.org 70 of "), "{}", answer.stderr);
    assert_eq!(host.answers(&["user79@mail.example.org"]), ["accept"]);
    // So are homes.
    host.write("/etc/passwd", passwd(80));
    assert_eq!(host.run(&["rebuild"]).code, 0);
    for number in 0..70 {
        fs::remove_dir(host.path(&format!("/home/user{number}"))).unwrap();
    }
    assert_eq!(host.run(&["rebuild"]).code, 111);
    assert_eq!(host.answers(&["user1@mail.example.org"]), ["accept"]);
}

#[test]
fn logins_that_expire_are_not_held() {
    let host = host_of(&[("a.test", 100)]);
    host.rebuild();
    host.write("/var/qmail/control/authvars", "@a.test PASSWORD_EXPIRES=\"1\"\n");
    assert_eq!(host.run(&["rebuild"]).code, 0);
    assert!(!host.logins().contains_key("user1@a.test"));
}

#[test]
fn the_service_lets_a_held_domain_go_when_nothing_more_was_lost_for_a_while_and_no_notice_hurries_it() {
    with_a_longer_hold_on_a_busy_machine(|seconds| {
        let hold = Duration::from_secs(seconds);
        let arguments = ["--no-watch", "--hold", &seconds.to_string()];
        let service = Service::start(host_of(&[("a.test", 100), ("b.test", 60)]), &arguments);
        let held = Holding { service: &service, address: "user0@a.test", since: Instant::now(), hold };
        mailboxes(&service.host, "a.test", (60..100).map(user));
        service.trigger(&["del_user", "user0@a.test"]);
        service.wait_for("alert: held, ");
        for _ in 0..3 {
            trigger(&service.host, &["del_domain", "a.test"]);
        }
        service.wait_for("cause=del_domain:a.test");
        let status = service.host.run(&["status"]);
        if !held.is_held() {
            return false;
        }
        wait_for_status(&service.host, |status| status["state"] == "held" || held.since.elapsed() >= hold);
        assert!(
            status.code == 1 && status.stdout.contains("held: 1 domain: a.test 60 of 100 recipients"),
            "{status:?}"
        );
        let status = status_of(&service.host);
        let Some(until) = status["held_until"].as_u64() else { return false };
        // Nobody is told another time than the one at which it is let go.
        let told = Duration::from_secs(until).saturating_sub(SystemTime::UNIX_EPOCH.elapsed().unwrap());
        // All times are whole seconds.
        let least = hold.saturating_sub(held.since.elapsed() + Duration::from_secs(2));
        assert!((least..=hold).contains(&told), "in {told:?}, not {least:?}");
        let lost = status["held"][0]["recipients_lost"].clone();
        // Each rebuild is followed by a pause of half a second.
        for number in 0..6 {
            service.trigger(&["setdefault", &number.to_string()]);
            service.wait_for(&format!("cause=setdefault:{number}"));
        }
        // It loses more: that is looked at for as long again.
        let more = Holding { since: Instant::now(), ..held };
        mailboxes(&service.host, "a.test", (61..100).map(user));
        service.trigger(&[]);
        if !held.waits_for("a.test 61 of 100 recipients") {
            return false;
        }
        assert_eq!(lost, 60);
        // The log tells of it: nobody may have looked meanwhile.
        service.wait_for("alert: a.test 61 of 100 recipients and 61 of 100 logins: held for ");
        service.wait_for("cause=hold");
        assert!(more.since.elapsed() >= hold, "{:?}", more.since.elapsed());
        service.wait_for_answer("user0@a.test", "refuse");
        wait_for_status(&service.host, |status| status["state"] == "idle" && status["held_until"].is_null());
        true
    });
}

#[test]
fn additions_do_not_lift_a_hold_and_what_is_let_go_is_what_was_held() {
    with_a_longer_hold_on_a_busy_machine(|seconds| {
        let hold = Duration::from_secs(seconds);
        let host = host_of(&[("a.test", 100), ("b.test", 60)]);
        host.rebuild();
        let since = Instant::now();
        // The wrong file: none of the old ones, and many new ones.
        mailboxes(&host, "a.test", (0..500).map(|number| format!("other{number}")));
        for _ in 0..3 {
            let answer = host.run(&["rebuild"]);
            assert!(answer.code == 111 && answer.stderr.contains("a.test 100 of "), "{answer:?}");
        }
        assert_eq!(host.answers(&["user1@a.test", "other1@a.test"]), ["accept", "accept"]);
        // The service waits. What came since the hold began and goes again is not kept.
        let mut service = Service::start(host, &["--no-watch", "--hold", &seconds.to_string(), "--sweep", "1"]);
        let held = Holding { service: &service, address: "user1@a.test", since, hold };
        mailboxes(&service.host, "a.test", (0..400).map(|number| format!("other{number}")));
        service.wait_for_answer("other450@a.test", "refuse");
        if !held.is_held() {
            return false;
        }
        service.wait_for_answer("user1@a.test", "refuse");
        // It is counted in whole seconds.
        assert!(since.elapsed() + Duration::from_secs(1) >= hold, "{:?}", since.elapsed());
        assert_eq!(service.host.answers(&["other1@a.test", "other450@a.test"]), ["accept", "refuse"]);
        assert_eq!(service.end(), 0);
        assert_eq!(service.host.run(&["rebuild"]).code, 0);
        true
    });
}

/// How many names a wrong file has: what the documents promise, or fewer.
fn many_names() -> usize {
    if std::env::var_os("QMAIL_UPDATER_LARGE").is_some() { 20_000 } else { 500 }
}

#[test]
fn a_hold_keeps_what_was_published_when_it_began_and_nothing_that_came_and_went_since() {
    let host = host_of(&[("a.test", 100), ("b.test", 60)]);
    host.write(&format!("{}/.qmail-list", home("a.test")), "&x@y.test\n");
    host.rebuild();
    let names = |round: usize| (0..many_names()).map(move |number| format!("other{round}x{number}"));
    let records = |name: &str| {
        let image = fs::read(host.published(name)).unwrap();
        qmail_updater::cdb::Reader::new(&image).unwrap().records().count()
    };
    let before = (records("validrcptto.cdb"), records("auth.cdb"));
    for round in 0..12 {
        mailboxes(&host, "a.test", names(round));
        let answer = host.run(&["rebuild"]);
        assert!(answer.code == 111 && answer.stderr.contains("a.test 100 of 101 recipients"), "{round}: {answer:?}");
        let more = (records("validrcptto.cdb") - before.0, records("auth.cdb") - before.1);
        assert_eq!(more, (many_names(), many_names()), "{round}");
        let asked = [format!("other{round}x1@a.test"), "user7@a.test".to_owned(), "list@a.test".to_owned()];
        let asked = asked.each_ref().map(String::as_str);
        assert_eq!(host.answers(&asked), ["accept"; 3], "{round}");
        assert!(host.logins().contains_key("user7@a.test") && host.logins().contains_key(asked[0]), "{round}");
        if let Some(last) = round.checked_sub(1) {
            assert_eq!(host.answers(&[&format!("other{last}x1@a.test")]), ["refuse"], "{round}");
        }
    }
    // The right file is back.
    mailboxes(&host, "a.test", (0..100).map(user));
    host.rebuild();
    assert_eq!((records("validrcptto.cdb"), records("auth.cdb")), before);
    assert_eq!(host.run(&["status"]).stdout.lines().find(|line| line.contains("held")), None);
}

#[test]
fn what_comes_back_and_goes_again_prolongs_no_hold_and_more_losses_do() {
    let host = host_of(&[("a.test", 100), ("b.test", 60)]);
    host.rebuild();
    let file = "/run/qmail-updater/holds.json";
    let hold = || -> serde_json::Value {
        let holds: serde_json::Value = serde_json::from_slice(&fs::read(host.path(file)).unwrap()).unwrap();
        holds[0].clone()
    };
    let lose = |lost: usize| {
        mailboxes(&host, "a.test", (lost..100).map(user));
        assert_eq!(host.run(&["rebuild"]).code, 111);
        (hold()["began"].as_u64().unwrap(), hold()["since"].as_u64().unwrap())
    };
    let (began, since) = lose(60);
    assert_eq!(began, since);
    // Some time later.
    let earlier = since - 20;
    let text = fs::read_to_string(host.path(file)).unwrap().replace(&since.to_string(), &earlier.to_string());
    host.write(file, text);
    for lost in [60, 40, 60, 1, 60] {
        assert_eq!(lose(lost), (earlier, earlier), "{lost}");
    }
    let (began, since) = lose(61);
    assert_eq!(began, earlier);
    assert!(since > earlier);
    // Another domain's loss is another hold.
    mailboxes(&host, "b.test", (50..60).map(user));
    assert_eq!(lose(61), (began, since));
}

#[test]
fn one_domain_that_is_let_go_does_not_let_another_go() {
    with_a_longer_hold_on_a_busy_machine(|seconds| {
        let hold = Duration::from_secs(seconds);
        let arguments = ["--no-watch", "--hold", &seconds.to_string(), "--sweep", "1"];
        let service = Service::start(host_of(&[("a.test", 100), ("b.test", 100)]), &arguments);
        let a = Holding { service: &service, address: "user1@a.test", since: Instant::now(), hold };
        mailboxes(&service.host, "a.test", (60..100).map(user));
        service.wait_for("alert: held, ");
        // A sweep a second.
        (0..4).for_each(|_| drop(service.wait_for("status: rebuild ")));
        // Together they lose a hundred; without a.test it is forty.
        let b = Holding { address: "user1@b.test", since: Instant::now(), ..a };
        mailboxes(&service.host, "b.test", (40..100).map(user));
        if !a.waits_for("b.test 40 of 100 recipients") {
            return false;
        }
        service.wait_for_answer("user1@a.test", "refuse");
        if !b.is_held() {
            return false;
        }
        service.wait_for_answer("user1@b.test", "refuse");
        assert!(b.since.elapsed() >= hold, "{:?}", b.since.elapsed());
        true
    });
}

#[test]
fn what_goes_on_purpose_goes_although_something_is_held() {
    let host = host_of(&[("a.test", 100), ("b.test", 60)]);
    host.write("/home/vpopmail/etc/defaultdomain", "a.test\n").write("/etc/shadow", "");
    host.rebuild();
    assert!(host.logins().contains_key("user7"));
    host.write("/var/qmail/control/authvars", "@a.test PASSWORD_EXPIRES=\"1\"\n");
    let system = |command: &str| host.run(&[command, "--auth-system-users"]);
    assert_eq!(system("rebuild").code, 0, "{}", system("rebuild").stderr);
    assert!(!host.logins().contains_key("user7") && !host.logins().contains_key("user7@a.test"));
    host.remove("/var/qmail/control/authvars");
    host.rebuild();
    // The default domain leaves.
    assign(&host, &["b.test"]);
    assert_eq!(system("rebuild").code, 0);
    assert!(!host.logins().contains_key("user7") && host.logins().contains_key("user7@b.test"));
}

#[test]
fn a_domain_of_a_suffix_that_left_is_gone_on_purpose() {
    let host = host_of(&[("sub.a.test", 100), ("b.test", 60)]);
    let add = |file: &str, line: &str| {
        let text = fs::read_to_string(host.path(file)).unwrap();
        host.write(file, text + line);
    };
    add("/var/qmail/control/virtualdomains", ".a.test:alias-web\n");
    add("/var/qmail/control/rcpthosts", ".a.test\n");
    host.rebuild();
    assert_eq!(host.answers(&["user1@sub.a.test"]), ["accept"]);
    assign(&host, &["b.test"]);
    add("/var/qmail/control/virtualdomains", ".a.test:alias-web\n");
    add("/var/qmail/control/rcpthosts", ".a.test\n");
    let answer = host.run(&["rebuild"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert_eq!(host.answers(&["user1@sub.a.test"]), ["refuse"]);
}

/// The names of so many domains.
fn many(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("d{number}.test")).collect()
}

/// A host of so many vpopmail domains of five mailboxes each, published.
fn small_domains(count: usize) -> (MailHost, Vec<String>) {
    let names = many(count);
    let host = host_of(&names.iter().map(|name| (&name[..], 5)).collect::<Vec<_>>());
    host.rebuild();
    (host, names)
}

/// Takes the first lines of a file away, so many.
fn cut(host: &MailHost, file: &str, lines: usize) {
    let text = fs::read_to_string(host.path(file)).unwrap();
    host.write(file, text.lines().skip(lines).map(|line| format!("{line}\n")).collect::<String>());
}

fn strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

#[test]
fn a_users_assign_that_is_cut_to_its_dot_empties_no_table() {
    let (host, names) = small_domains(20);
    let (recipients, logins) = (host.answers(&["user0@d0.test", "user4@d19.test"]), host.logins());
    assert_eq!(recipients, ["accept", "accept"]);
    for assign in [Some("."), Some(".\n"), None] {
        match assign {
            Some(text) => drop(host.write("/var/qmail/users/assign", text)),
            None => drop(host.remove("/var/qmail/users/assign")),
        }
        let answer = host.run(&["rebuild"]);
        assert_eq!(answer.code, 111, "{}", answer.stderr);
        let alerts: Vec<&str> = answer.stderr.lines().filter(|line| line.contains(": alert: ")).collect();
        assert_eq!(alerts.len(), 1, "{alerts:?}");
        for words in [
            "held, because 20 of 20 domains would leave at once, more than --max-loss 20 allows: ",
            "d0.test with 5 of 5 recipients and 5 of 5 logins, d1.test with ",
            ", and 15 more; the held keep their published entries",
            "rebuild --force d0.test only that of this domain",
        ] {
            assert!(alerts[0].contains(words), "{words:?} is missing: {}", alerts[0]);
        }
        assert_eq!(host.answers(&["user0@d0.test", "user4@d19.test", "x@d0.test"]), ["accept", "accept", "refuse"]);
        assert_eq!(host.logins(), logins);
    }
    // Two are still missing when the others are back.
    assign(&host, &strs(&names[2..]));
    let answer = host.run(&["rebuild"]);
    assert!(
        answer.stderr.contains("alert: held since they left together with others, 2 of 20 domains now: d0"),
        "{answer:?}"
    );
    assign_again(&host, &names);
}

/// Gives the host its domains back: nothing is held any more.
fn assign_again(host: &MailHost, names: &[String]) {
    assign(host, &strs(names));
    host.rebuild();
    assert!(!host.run(&["rebuild"]).stderr.contains("held"));
}

const CDB: &str = "/var/qmail/users/cdb";
const NEWU: &str = "/var/qmail/bin/qmail-newu";

/// Gives the host a qmail-newu, and what it makes of users/assign.
fn compiled(host: &MailHost) -> Vec<u8> {
    let newu = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/qmail-newu.pl")).unwrap();
    executable(host, NEWU, newu);
    host.rebuild();
    fs::read(host.path(CDB)).unwrap()
}

#[test]
fn qmail_newu_takes_nothing_away_from_a_held_domain() {
    let (host, names) = small_domains(7);
    let before = compiled(&host);
    let now = || fs::read(host.path(CDB)).unwrap();
    let assign_all = fs::read(host.path("/var/qmail/users/assign")).unwrap();
    host.write("/var/qmail/users/assign", ".\n");
    let newu = host.path(NEWU).display().to_string();
    let why = format!(
        "because {cdb} has 7 entries that {} lacks or changes, and the guard holds domains of these: d0.test, d1.test, d2.test, \
         d3.test, d4.test, and 2 more; qmail goes by {cdb}",
        host.path("/var/qmail/users/assign").display(),
        cdb = host.path(CDB).display()
    );
    let says = |arguments: &[&str], text: &str| {
        let answer = host.run(arguments);
        assert_eq!(answer.stderr.matches(text).count(), 1, "{text}: {}", answer.stderr);
        assert_eq!(answer.stderr.matches("qmail-newu").count(), 1, "{}", answer.stderr);
    };
    says(&["rebuild", "--dry-run"], &format!("warning: {newu}: would not run, {why}\n"));
    says(&["rebuild", "--no-commands"], &format!("warning: do not run qmail-newu now: {}", &why["because ".len()..]));
    says(&["rebuild"], &format!("warning: {newu}: not run, {why}\n"));
    says(&["rebuild", "--force", "d0.test"], "6 more; qmail".replace("6 more", "and 1 more").as_str());
    assert!(host.run(&["check"]).stdout.contains("do not run qmail-newu now: "));
    assert_eq!(now(), before);
    // Lines that come back, and new ones, reach qmail at once as far as nothing goes.
    host.write("/var/qmail/users/assign", &assign_all);
    let answer = host.rebuild();
    assert!(!answer.stderr.contains("qmail-newu"), "{}", answer.stderr);
    assert_eq!(now(), before);
    // With --force it runs as usual.
    assign(&host, &strs(&names[5..]));
    says(&["rebuild"], "qmail-newu: not run, because ");
    assert_eq!(host.run(&["rebuild", "--force"]).code, 0);
    assert_ne!(now(), before);
}

#[test]
fn qmail_newu_runs_for_what_no_held_domain_has() {
    let host = host_of(&[("a.test", 100), ("b.test", 60), ("c.test", 1)]);
    host.rebuild();
    let before = compiled(&host);
    mailboxes(&host, "a.test", (60..100).map(user));
    assign(&host, &["a.test", "b.test"]);
    let answer = host.run(&["rebuild"]);
    assert!(answer.code == 111 && answer.stderr.contains("qmail-newu: runs, because "), "{answer:?}");
    assert_ne!(fs::read(host.path(CDB)).unwrap(), before);
}

#[test]
fn qmail_newmrh_takes_no_held_domain_away() {
    let (host, names) = small_domains(5);
    let names = names.iter().map(|name| format!("{name}\n")).collect::<String>();
    let cdb = "/var/qmail/control/morercpthosts.cdb";
    let made = qmail_updater::cdb::image(names.lines().map(|name| (name.as_bytes(), &b""[..]))).unwrap();
    host.write("/var/qmail/control/rcpthosts", "mail.example.org\n");
    host.write("/var/qmail/control/morercpthosts", &names).write(cdb, &made);
    script(&host, "/var/qmail/bin/qmail-newmrh", "echo x >>ran");
    host.rebuild();
    host.write("/var/qmail/control/morercpthosts", "d0.test\n");
    let answer = host.run(&["rebuild"]);
    assert!(answer.stderr.contains("held, because 4 of "), "{}", answer.stderr);
    assert!(answer.stderr.contains("qmail-newmrh: not run, because "), "{}", answer.stderr);
    assert!(!host.path("/var/qmail/ran").exists());
}

#[test]
fn the_service_does_not_run_qmail_newu_while_it_holds_domains_and_runs_it_when_it_lets_them_go() {
    let (host, _) = small_domains(4);
    let before = compiled(&host);
    let mut service = Service::start(host, &["--hold", "3600"]);
    replace(&service.host, "/var/qmail/users/assign", ".\n".to_owned());
    service.wait_for("qmail-newu: not run, because ");
    wait_for_status(&service.host, |status| status["commands"][0]["put_off"].is_string());
    let status = service.host.run(&["status"]).stdout;
    assert!(status.contains("qmail-newu is not run, because "), "{status}");
    // It is told once.
    for number in 0..2 {
        service.trigger(&["setdefault", &number.to_string()]);
        service.wait_for(&format!("cause=setdefault:{number}"));
    }
    wait_for_status(&service.host, |status| status["state"] == "held");
    assert_eq!(service.end(), 0);
    assert!(!service.log.iter().any(|line| line.contains("qmail-newu")));
    assert_eq!(fs::read(service.host.path(CDB)).unwrap(), before);
    (service.child, service.log) = support::service::follow(service.host.command(&["run", "--hold", "1"]));
    service.wait_for("qmail-newu: runs, because ");
    service.wait_for_answer("user0@d0.test", "refuse");
}

#[test]
fn a_cut_users_assign_that_no_rebuild_has_read_yet_is_not_compiled() {
    let (host, names) = small_domains(4);
    let before = compiled(&host);
    let service = Service::start(host, &["--no-watch", "--sweep", "3600"]);
    assign(&service.host, &[&strs(&names)[..], &["new.test"]].concat());
    service.trigger(&["add_domain", "new.test"]);
    service.wait_for("cause=add_domain:new.test");
    replace(&service.host, "/var/qmail/users/assign", ".\n".to_owned());
    service.wait_for("qmail-newu: not run, because ");
    assert_eq!(fs::read(service.host.path(CDB)).unwrap(), before);
    service.trigger(&[]);
    service.wait_for(" held=5 ");
    assert_eq!(fs::read(service.host.path(CDB)).unwrap(), before);
}

/// A host of four small vpopmail domains, and so many users of the local domain that lines of users/assign assign.
fn host_of_local_users(count: usize) -> MailHost {
    let host = host_of(&many(4).iter().map(|name| (&name[..], 5)).collect::<Vec<_>>());
    let (uid, gid) = if support::is_root() { (4242, 4242) } else { support::me() };
    host.folder("/home/joe");
    if support::is_root() {
        host.own("/home/joe", uid, gid);
    }
    let lines: String = (0..count).map(|number| format!("=l{number}:joe:{uid}:{gid}:/home/joe:::\n")).collect();
    let text = fs::read_to_string(host.path("/var/qmail/users/assign")).unwrap();
    host.write("/var/qmail/users/assign", lines + &text);
    host.write("/var/qmail/control/locals", "mail.example.org\n");
    let listed = fs::read_to_string(host.path("/var/qmail/control/rcpthosts")).unwrap();
    host.write("/var/qmail/control/rcpthosts", listed + "mail.example.org\n");
    host.rebuild();
    host
}

#[test]
fn a_users_assign_that_is_cut_to_its_dot_refuses_no_local_user_either() {
    for count in [45, 8] {
        let host = host_of_local_users(count);
        let compiled_before = compiled(&host);
        let addresses = ["l0@mail.example.org", "user0@d0.test", "x@mail.example.org"];
        assert_eq!(host.answers(&addresses), ["accept", "accept", "refuse"]);
        host.write("/var/qmail/users/assign", ".\n");
        let answer = host.run(&["rebuild"]);
        assert_eq!(answer.code, 111, "{}", answer.stderr);
        assert!(answer.stderr.contains("held, because 4 of 5 domains would leave at once"), "{}", answer.stderr);
        let local = |line: &str| line.contains("would lose much at once: mail.example.org ");
        assert!(answer.stderr.lines().any(local), "{}", answer.stderr);
        assert_eq!(host.answers(&addresses), ["accept", "accept", "refuse"]);
        assert_eq!(fs::read(host.path(CDB)).unwrap(), compiled_before);
    }
}

#[test]
fn what_leaves_counts_when_all_domains_together_lose_too_much() {
    // Two domains are few; with what the third one loses it is much.
    let host = host_of(&[("a.test", 40), ("b.test", 100)]);
    host.rebuild();
    assign(&host, &["b.test"]);
    mailboxes(&host, "b.test", (30..100).map(user));
    let answer = host.run(&["rebuild"]);
    assert_eq!(answer.code, 111, "{}", answer.stderr);
    assert!(answer.stderr.contains("b.test 30 of 100 recipients"), "{}", answer.stderr);
    assert!(
        answer.stderr.contains("; 70 of 140 recipients and 70 of 140 logins of the host would go"),
        "{}",
        answer.stderr
    );
    assert_eq!(host.answers(&["user0@a.test", "user0@b.test"]), ["refuse", "accept"]);
}

#[test]
fn virtualdomains_that_lost_forty_of_a_hundred_lines_is_held_and_one_domain_that_was_deleted_is_gone() {
    let (host, names) = small_domains(100);
    let logins = host.logins();
    cut(&host, "/var/qmail/control/virtualdomains", 40);
    let answer = host.run(&["rebuild"]);
    assert_eq!(answer.code, 111, "{}", answer.stderr);
    assert!(answer.stderr.contains("held, because 40 of 100 domains would leave at once"), "{}", answer.stderr);
    assert!(answer.stderr.contains(" held=40 "), "{}", answer.stderr);
    assert_eq!(host.answers(&["user0@d0.test", "user0@d39.test", "x@d40.test"]), ["accept", "accept", "refuse"]);
    let list = host.run(&["rebuild", "--dry-run"]).stdout;
    assert!(list.contains("-\taccept\tuser0@d0.test\n"), "its own entries are still there: {list}");
    assert_eq!(host.logins(), logins);
    // What comes meanwhile is published, for the held ones too.
    mailboxes(&host, "d0.test", (0..6).map(user));
    mailboxes(&host, "d99.test", (0..6).map(user));
    assert_eq!(host.run(&["rebuild"]).code, 111);
    assert_eq!(host.answers(&["user5@d0.test", "user5@d99.test", "x@d99.test"]), ["accept", "accept", "refuse"]);
    assert!(host.logins().contains_key("user5@d0.test"));
    // One that is deleted while others are held leaves alone.
    let left = names.iter().filter(|name| name != &"d50.test").cloned().collect::<Vec<_>>();
    assign(&host, &strs(&left));
    cut(&host, "/var/qmail/control/virtualdomains", 40);
    let answer = host.run(&["rebuild"]);
    assert!(answer.code == 111 && answer.stderr.contains(" held=40 "), "{answer:?}");
    assert_eq!(host.answers(&["user0@d50.test", "user0@d0.test"]), ["refuse", "accept"]);
    assert!(!host.logins().contains_key("user0@d50.test"));
    assign_again(&host, &left);
    assert_eq!(host.answers(&["user0@d0.test", "x@d0.test"]), ["accept", "refuse"]);
}

#[test]
fn domains_that_are_deleted_one_after_the_other_go_at_once() {
    let (host, mut names) = small_domains(6);
    while names.len() > 1 {
        let gone = names.remove(0);
        assign(&host, &strs(&names));
        host.rebuild();
        assert_eq!(host.answers(&[&format!("user0@{gone}")]), ["refuse"]);
        assert!(!host.logins().contains_key(&format!("user0@{gone}")));
    }
    // Two together are few.
    let (host, names) = small_domains(4);
    assign(&host, &strs(&names[2..]));
    host.rebuild();
    assert_eq!(host.answers(&["user0@d0.test", "user0@d1.test", "user0@d2.test"]), ["refuse", "refuse", "accept"]);
}

#[test]
fn a_held_domain_that_is_deleted_is_gone() {
    let host = host_of(&[("a.test", 100), ("b.test", 100)]);
    host.rebuild();
    mailboxes(&host, "a.test", (60..100).map(user));
    assert_eq!(host.run(&["rebuild"]).code, 111);
    assign(&host, &["b.test"]);
    host.rebuild();
    assert_eq!(host.answers(&["user0@a.test", "user99@a.test"]), ["refuse", "refuse"]);
}

#[test]
fn three_of_four_small_domains_are_held_and_the_allowed_share_counts() {
    for (max_loss, is_held) in [("20", true), ("0", true), ("74", true), ("75", false), ("100", false)] {
        let (host, names) = small_domains(4);
        assign(&host, &strs(&names[3..]));
        let answer = host.run(&["rebuild", "--max-loss", max_loss]);
        assert_eq!(answer.code == 111, is_held, "{max_loss}: {}", answer.stderr);
        let answers = host.answers(&["user0@d0.test", "user4@d2.test"]);
        assert_eq!(answers, if is_held { ["accept"; 2] } else { ["refuse"; 2] }, "{max_loss}");
        assert_eq!(host.logins().contains_key("user0@d0.test"), is_held, "{max_loss}");
    }
    let (host, names) = small_domains(30);
    assign(&host, &strs(&names[3..]));
    host.rebuild();
    assert_eq!(host.answers(&["user0@d0.test"]), ["refuse"], "3 of 30 are not more than 20 %");
    assert_eq!(host.run(&["rebuild", "--max-loss", "0"]).code, 0, "they are gone");
    assign(&host, &strs(&names[6..]));
    assert_eq!(host.run(&["rebuild", "--max-loss", "0"]).code, 111, "0 holds any three that leave together");
}

#[test]
fn lines_of_rcpthosts_and_locals_and_relayed_and_alias_domains_count_too() {
    // Relayed domains, two of which list their names.
    let host = MailHost::sample();
    let relayed = ["r0.test", "r1.test", "r2.test", "r3.test"];
    let rcpthosts = |names: &[&str]| {
        host.write("/var/qmail/control/rcpthosts", names.iter().map(|name| format!("{name}\n")).collect::<String>());
    };
    host.write("/var/qmail/users/assign", ".\n").write("/var/qmail/control/virtualdomains", "");
    host.write("/var/qmail/control/locals", "");
    rcpthosts(&relayed);
    for name in &relayed[..2] {
        host.write(&format!("/var/qmail/control/validrcptto.d/{name}"), "joe\n");
    }
    host.rebuild();
    rcpthosts(&relayed[3..]);
    let answer = host.run(&["rebuild"]);
    assert!(answer.code == 111 && answer.stderr.contains("held, because 3 of 4 domains would leave"), "{answer:?}");
    assert_eq!(host.answers(&["joe@r0.test", "x@r0.test", "x@r2.test"]), ["accept", "refuse", "accept"]);
    assert_eq!(host.run(&["rebuild", "--force"]).code, 0);
    assert_eq!(host.answers(&["joe@r0.test", "x@r2.test", "x@r3.test"]), ["refuse", "refuse", "accept"]);

    // vpopmail domains that rcpthosts does not list any more.
    let (host, names) = small_domains(5);
    cut(&host, "/var/qmail/control/rcpthosts", 4);
    assert_eq!(host.run(&["rebuild"]).code, 111);
    assert_eq!(host.answers(&["user0@d0.test", "x@d0.test"]), ["accept", "refuse"]);
    assign_again(&host, &names);
    // A rcpthosts that is cut to nothing.
    host.write("/var/qmail/control/rcpthosts", "");
    assert_eq!(host.run(&["rebuild"]).code, 111);
    assert_eq!(host.answers(&["user0@d4.test"]), ["accept"]);
    assign_again(&host, &names);

    // Local domains; the others are relayed then.
    let (uid, gid) = support::me();
    let (uid, gid) = if uid == 0 { (4242, 4242) } else { (uid, gid) };
    let host = MailHost::sample();
    let alias = format!("alias:x:{uid}:{gid}::/var/qmail/alias:/bin/false\n");
    host.write("/etc/passwd", alias + &format!("joe:x:{uid}:{gid}::/home/joe:/bin/sh\n")).folder("/home/joe");
    if support::is_root() {
        host.own("/home/joe", uid, gid);
    }
    let locals = ["l0.test", "l1.test", "l2.test", "l3.test"].map(|name| format!("{name}\n")).concat();
    host.write("/var/qmail/users/assign", ".\n").write("/var/qmail/control/virtualdomains", "");
    host.write("/var/qmail/control/locals", &locals).write("/var/qmail/control/rcpthosts", &locals);
    host.rebuild();
    assert_eq!(host.answers(&["joe@l0.test", "x@l0.test"]), ["accept", "refuse"]);
    host.write("/var/qmail/control/locals", "l3.test\n");
    let answer = host.run(&["rebuild"]);
    assert!(answer.code == 111 && answer.stderr.contains("held, because 3 of 4 domains would leave"), "{answer:?}");

    // Alias domains, whose lines alone are lost.
    let (host, _) = small_domains(1);
    let lines = |line: &dyn Fn(&str) -> String| many(5)[1..].iter().map(|name| line(name)).collect::<String>();
    let alias = |name: &str| format!("+{name}-:d0.test:89:89:{}:-::\n", home("d0.test"));
    let real = format!("+d0.test-:d0.test:89:89:{}:-::\n", home("d0.test"));
    host.write("/var/qmail/control/virtualdomains", lines(&|name| format!("{name}:{name}\n")) + "d0.test:d0.test\n");
    host.write("/var/qmail/control/rcpthosts", lines(&|name| format!("{name}\n")) + "d0.test\n");
    host.write("/var/qmail/users/assign", real.clone() + &lines(&alias) + ".\n");
    host.rebuild();
    assert!(host.logins().contains_key("user0@d4.test"));
    host.write("/var/qmail/users/assign", real + ".\n");
    assert_eq!(host.run(&["rebuild"]).code, 111);
    assert_eq!(host.answers(&["user0@d4.test", "x@d4.test"]), ["accept", "refuse"]);
    assert!(host.logins().contains_key("user0@d4.test"));
}

#[test]
fn domains_that_leave_only_by_their_logins_are_held_on_a_host_that_relays_for_many() {
    let (host, names) = small_domains(4);
    let relayed = (0..50).map(|number| format!("r{number}.test\n")).collect::<String>();
    let rcpthosts = names.iter().map(|name| format!("{name}\n")).collect::<String>() + &relayed;
    host.write("/var/qmail/control/rcpthosts", rcpthosts);
    // Whatever no line names goes to alias, which takes everything.
    host.write("/var/qmail/alias/.qmail-default", "&all@elsewhere.example\n");
    host.rebuild();
    let logins = host.logins();
    host.write("/var/qmail/users/assign", ".\n");
    let answer = host.run(&["rebuild"]);
    assert_eq!(answer.code, 111, "{}", answer.stderr);
    assert!(answer.stderr.contains("held, because 4 of 4 domains with logins would leave"), "{}", answer.stderr);
    assert_eq!(host.logins(), logins);
}

#[test]
fn force_lets_go_of_the_domains_that_it_names_and_of_no_other() {
    let (host, names) = small_domains(5);
    assign(&host, &strs(&names[4..]));
    assert_eq!(host.run(&["rebuild"]).code, 111);
    // A name that is no domain's changes nothing, not even for the others.
    for force in [&["d0.test", "do.test"][..], &[""]] {
        let answer = host.run(&[&["rebuild", "--force"], force].concat());
        assert_eq!(answer.code, 100, "{}", answer.stderr);
        assert!(answer.stderr.contains("fatal: --force "), "{}", answer.stderr);
        assert_eq!(host.answers(&["user0@d0.test"]), ["accept"]);
    }
    let answer = host.run(&["rebuild", "--force", "D0.test", "d4.test", "--no-commands"]);
    assert_eq!(answer.code, 111, "{}", answer.stderr);
    assert!(answer.stderr.contains("status: d4.test: not held"), "{}", answer.stderr);
    assert!(answer.stderr.contains("held, as the alert says: 3 domains;"), "{}", answer.stderr);
    assert_eq!(host.answers(&["user0@d0.test", "user0@d1.test", "user0@d4.test"]), ["refuse", "accept", "accept"]);
    assert!(!host.logins().contains_key("user0@d0.test") && host.logins().contains_key("user0@d1.test"));
    // It is gone, and no domain of this host any more.
    let answer = host.run(&["rebuild", "--force", "d0.test"]);
    assert!(answer.code == 100 && answer.stderr.contains("--force d0.test: neither held nor a domain"), "{answer:?}");
    assert_eq!(host.run(&["rebuild"]).code, 111);
    assert_eq!(host.run(&["--max-loss", "20", "rebuild", "--force", "d1.test", "d2.test", "d3.test"]).code, 0);
    assert_eq!(host.answers(&["user0@d1.test", "user0@d4.test"]), ["refuse", "accept"]);
    assert_eq!(host.run(&["rebuild"]).code, 0);

    // One that would only now be held, and one that loses much.
    let host = host_of(&[("a.test", 100), ("b.test", 100), ("c.test", 100)]);
    host.rebuild();
    for domain in ["a.test", "b.test"] {
        mailboxes(&host, domain, (60..100).map(user));
    }
    assert_eq!(host.run(&["rebuild", "--force", "a.test"]).code, 111);
    assert_eq!(host.answers(&["user0@a.test", "user0@b.test"]), ["refuse", "accept"]);
    assert_eq!(host.run(&["rebuild", "--force", "b.test"]).code, 0);
    assert_eq!(host.answers(&["user0@b.test"]), ["refuse"]);
}

#[test]
fn the_service_holds_domains_that_leave_and_neither_a_forced_one_nor_those_it_let_go_come_back() {
    let (host, names) = small_domains(6);
    let mut service = Service::start(host, &["--hold", "3600"]);
    assign(&service.host, &strs(&names[5..]));
    service.wait_for("held, because ");
    let holds = |count: usize| {
        wait_for_status(&service.host, |status| {
            status["state"] == "held" && status["held"].as_array().map(Vec::len) == Some(count)
        });
    };
    holds(5);
    let held = &status_of(&service.host)["held"];
    assert_eq!((&held[0]["leaves"], &held[0]["logins_lost"]), (&true.into(), &5.into()), "{held}");
    let status = service.host.run(&["status"]);
    assert!(
        status.stdout.contains("held: 5 domains: d0.test leaves with 5 of 5 recipients and 5 of 5 logins, "),
        "{status:?}"
    );
    assert_eq!(service.host.run(&["rebuild", "--force", "d0.test"]).code, 111);
    // The service goes on holding the others.
    service.trigger(&[]);
    holds(4);
    assert_eq!(service.host.answers(&["user0@d0.test"]), ["refuse"]);
    assert!(!service.host.logins().contains_key("user0@d0.test"));
    assert_eq!(service.end(), 0);
    // What is held long enough goes, with the service that is started next.
    let (mut child, log) = support::service::follow(service.host.command(&["run", "--hold", "1"]));
    while !log.recv_timeout(PATIENCE).unwrap().contains("rebuild 1 done") {}
    service.wait_for_answer("user0@d4.test", "refuse");
    assert_eq!(service.host.answers(&["user0@d5.test"]), ["accept"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(service.host.run(&["rebuild"]).code, 0);
}
