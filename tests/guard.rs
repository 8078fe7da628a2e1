//! The guard against a sudden loss, with the real binary: what is held, what passes, and what lets it go.

mod support;

use std::time::{Duration, Instant};

use support::MailHost;
use support::service::{PATIENCE, Service, status_of, trigger};

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
    host.write("/var/qmail/users/assign", lines(&line) + ".\n");
    host.write("/var/qmail/control/virtualdomains", lines(&|domain| format!("{domain}:{domain}\n")));
    host.write("/var/qmail/control/rcpthosts", lines(&|domain| format!("{domain}\n")));
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
        "rebuild --force publishes",
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
        std::fs::remove_dir(host.path(&format!("/home/user{number}"))).unwrap();
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
    let hold = Duration::from_secs(10);
    let arguments = ["--no-watch", "--hold", "10"];
    let service = Service::start(host_of(&[("a.test", 100), ("b.test", 60)]), &arguments);
    mailboxes(&service.host, "a.test", (60..100).map(user));
    let start = Instant::now();
    service.trigger(&["del_user", "user0@a.test"]);
    service.wait_for("alert: held, ");
    for _ in 0..3 {
        trigger(&service.host, &["del_domain", "a.test"]);
    }
    service.wait_for("cause=del_domain:a.test");
    assert_eq!(service.host.answers(&["user0@a.test"]), ["accept"]);
    while status_of(&service.host)["state"] != "held" {
        assert!(start.elapsed() < PATIENCE, "{}", status_of(&service.host));
    }
    assert_eq!(status_of(&service.host)["held"][0]["recipients_lost"], 60);
    let status = service.host.run(&["status"]);
    assert!(status.code == 1 && status.stdout.contains("held: 1 domain: a.test 60 of 100 recipients"), "{status:?}");
    // It loses more: that is looked at for as long again.
    // Each rebuild is followed by a pause of half a second.
    for number in 0..6 {
        service.trigger(&["setdefault", &number.to_string()]);
        service.wait_for(&format!("cause=setdefault:{number}"));
    }
    mailboxes(&service.host, "a.test", (61..100).map(user));
    let more = Instant::now();
    service.trigger(&[]);
    service.wait_for("a.test 61 of 100 recipients");
    service.wait_for("cause=hold");
    assert!(more.elapsed() >= hold, "{:?}", more.elapsed());
    service.wait_for_answer("user0@a.test", "refuse");
    while status_of(&service.host)["state"] != "idle" {
        assert!(start.elapsed() < PATIENCE, "{}", status_of(&service.host));
    }
}

#[test]
fn additions_do_not_lift_a_hold_and_what_is_let_go_is_what_was_held() {
    let host = host_of(&[("a.test", 100), ("b.test", 60)]);
    host.rebuild();
    // The wrong file: none of the old ones, and many new ones.
    mailboxes(&host, "a.test", (0..500).map(|number| format!("other{number}")));
    for _ in 0..3 {
        let answer = host.run(&["rebuild"]);
        assert!(answer.code == 111 && answer.stderr.contains("a.test 100 of "), "{answer:?}");
    }
    assert_eq!(host.answers(&["user1@a.test", "other1@a.test"]), ["accept", "accept"]);
    // The service waits; what is lost meanwhile is waited for anew, and not let go with the rest.
    let mut service = Service::start(host, &["--no-watch", "--hold", "12", "--sweep", "1"]);
    // A sweep a second.
    service.wait_for("status: rebuild 5 done");
    mailboxes(&service.host, "a.test", (0..400).map(|number| format!("other{number}")));
    service.wait_for("a.test 200 of 600 recipients");
    let more = Instant::now();
    service.wait_for_answer("user1@a.test", "refuse");
    assert!(more.elapsed() > Duration::from_secs(10), "{:?}", more.elapsed());
    assert_eq!(service.host.answers(&["other1@a.test", "other450@a.test"]), ["accept", "refuse"]);
    assert_eq!(service.end(), 0);
    assert_eq!(service.host.run(&["rebuild"]).code, 0);
}

#[test]
fn one_domain_that_is_let_go_does_not_let_another_go() {
    let service =
        Service::start(host_of(&[("a.test", 100), ("b.test", 100)]), &["--no-watch", "--hold", "10", "--sweep", "1"]);
    mailboxes(&service.host, "a.test", (60..100).map(user));
    service.wait_for("alert: held, ");
    // A sweep a second.
    (0..4).for_each(|_| drop(service.wait_for("status: rebuild ")));
    // Together they lose a hundred; without a.test it is forty.
    mailboxes(&service.host, "b.test", (40..100).map(user));
    let b = Instant::now();
    service.wait_for("b.test 40 of 100 recipients");
    service.wait_for_answer("user1@a.test", "refuse");
    assert_eq!(service.host.answers(&["user1@b.test"]), ["accept"]);
    service.wait_for_answer("user1@b.test", "refuse");
    assert!(b.elapsed() >= Duration::from_secs(10), "{:?}", b.elapsed());
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
        let text = std::fs::read_to_string(host.path(file)).unwrap();
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
