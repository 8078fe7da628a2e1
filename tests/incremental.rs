//! A service takes from the published files what nobody touched. What it publishes must be what a rebuild of everything
//! would publish, byte for byte, after every change; and where nothing changed, nothing may be written.

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use support::MailHost;
use support::service::{COM, Service};

const FILES: [&str; 2] = ["validrcptto.cdb", "auth.cdb"];
const NET: &str = "/home/vpopmail/domains/example.net";

/// A service on the sample host, whose own domain is local and leads into every home. With `--verify` it holds each of its
/// rebuilds against one of everything.
fn start(arguments: &[&str]) -> Service {
    Service::start(MailHost::sample(), arguments)
}

fn published(host: &MailHost) -> [Vec<u8>; 2] {
    FILES.map(|name| fs::read(host.published(name)).unwrap())
}

/// What a rebuild makes that knows of no published file.
fn of_everything(host: &MailHost) -> [Vec<u8>; 2] {
    host.folder("/srv");
    let arguments = ["--validrcptto", "/srv/validrcptto.cdb", "--auth", "/srv/auth.cdb", "--state", "/srv/state"];
    let answer = host.run(&[&["rebuild", "--no-commands"], &arguments[..]].concat());
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    FILES.map(|name| fs::read(host.path("/srv").join(name)).unwrap())
}

/// How many homes a rebuild says that it read, and how many there are.
fn read(line: &str) -> (usize, usize) {
    let (_, read) = line.split_once(" read=").unwrap_or_else(|| panic!("{line}"));
    let (read, all) = read.split(' ').next().unwrap().split_once('/').unwrap();
    (read.parse().unwrap(), all.parse().unwrap())
}

/// Pokes it until it has nothing to read: what was made a moment ago may still change unseen, and is read again.
fn settle(service: &Service) -> String {
    settle_but(service, 0)
}

/// The same on a host on which so many homes are always read.
fn settle_but(service: &Service, always: usize) -> String {
    for _ in 0..100 {
        service.trigger(&[]);
        let line = service.wait_for(" done: ");
        if read(&line).0 == always {
            return line;
        }
    }
    panic!("it reads more than {always} homes each time");
}

/// Waits until the published files are what a rebuild of everything makes.
fn wait_until_right(service: &Service, what: &str) {
    let should = of_everything(&service.host);
    while published(&service.host) != should {
        let line = service.wait_for(" rebuild ");
        assert!(!line.contains("a fault in this program"), "{what}: {line}");
    }
    // What --verify reads must be what was read: the next change waits until it has ended.
    service.wait_until_idle();
}

#[test]
fn after_every_change_the_files_are_those_of_a_rebuild_of_everything() {
    let service = start(&["--verify"]);
    let host = &service.host;
    settle(&service);
    let mailbox = |name: &str, hash: &str| format!("{name}:{hash}:1:0:{name}:{NET}/{name}:NOQUOTA");
    let (zoe, dora) = (mailbox("zoe", "$6$s$zoe"), mailbox("dora", "$6$s$dora"));
    let (longer, adam) = (mailbox("dora", "$6$rounds=5000$s$longer"), mailbox("adam", "$6$s$adam"));
    let catchall = "|/home/vpopmail/bin/vdelivermail '' dora@example.com\n";
    let (news, list, default) =
        (format!("{COM}/.qmail-news"), format!("{NET}/.qmail-news-default"), format!("{NET}/.qmail-default"));
    let limits = format!("{NET}/.qmailadmin-limits");
    let changes: [(&str, &dyn Fn()); 15] = [
        ("one mailbox", &|| {
            host.mailboxes(NET, &[&dora]);
        }),
        ("more mailboxes", &|| {
            host.mailboxes(NET, &[&dora, &zoe, &adam]);
        }),
        ("another password", &|| {
            host.mailboxes(NET, &[&longer, &zoe, &adam]);
        }),
        ("a mailbox gone", &|| {
            host.mailboxes(NET, &[&longer, &adam]);
        }),
        ("an alias", &|| {
            host.write(&news, "&dora@example.net\n");
        }),
        ("a list", &|| {
            host.write(&list, "&dora@example.net\n");
        }),
        ("the alias bounces, rewritten in place", &|| {
            host.write(&news, "|exit 100\n");
        }),
        ("the list is gone", &|| {
            host.remove(&list);
        }),
        ("another catch-all", &|| {
            host.write(&default, catchall);
        }),
        ("everybody may write the catch-all", &|| {
            host.mode(&default, 0o666);
        }),
        ("no logins", &|| {
            host.write(&limits, "disable_smtp\n");
        }),
        ("logins again", &|| {
            host.remove(&limits);
        }),
        ("a link into another home", &|| {
            host.write("/var/qmail/alias/.qmail-gone", "|/var/qmail/bin/bouncesaying gone\n");
            host.link(&format!("{NET}/.qmail-moved"), "/var/qmail/alias/.qmail-gone");
        }),
        ("a mailbox beside it", &|| {
            host.mailboxes(NET, &[&longer, &adam, &zoe]);
        }),
        ("an alias of everybody", &|| {
            host.write("/var/qmail/alias/.qmail-everybody", "&dora@example.com\n");
        }),
    ];
    for (what, change) in changes {
        change();
        wait_until_right(&service, what);
    }
    // The same once more, one notice each, while no watch helps.
    let service = start(&["--verify", "--no-watch"]);
    let host = &service.host;
    for (number, line) in [&dora, &longer, &zoe].into_iter().enumerate() {
        host.mailboxes(NET, &[line]);
        service.trigger(&["mod_user", "dora@example.net"]);
        wait_until_right(&service, &format!("mailbox {number}"));
    }
}

#[test]
fn one_change_reads_one_home_and_none_writes_nothing() {
    let service = start(&[]);
    let host = &service.host;
    let line = settle(&service);
    let identities = || {
        let control = host.path("/var/qmail/control");
        let of = |path: &std::path::Path| {
            fs::metadata(path).map(|found| (found.ino(), found.ctime(), found.ctime_nsec())).unwrap()
        };
        // The folder's own time tells of temporary files.
        (FILES.map(|name| of(&control.join(name))), of(&control))
    };
    let before = identities();
    settle(&service);
    service.trigger(&["mod_user", "dora@example.net"]);
    assert_eq!(read(&service.wait_for(" done: ")).0, 0);
    assert_eq!(identities(), before, "nothing changed");
    assert!(read(&line).1 > 3, "{line}");
    // The host's own local domain leads into the home too.
    service.add_alias("new");
    let line = service.wait_for("validrcptto.cdb published");
    assert_eq!(read(&line).0, 1, "{line}");
    host.mailboxes(NET, &["dora:$6$s$another:1:0:dora:/d:Q"]);
    let line = service.wait_for("auth.cdb published");
    assert_eq!(read(&line).0, 1, "{line}");
    wait_until_right(&service, "a password");
}

#[test]
fn a_change_of_a_domain_with_many_alias_domains_reads_its_home_alone() {
    let host = MailHost::sample();
    let names: Vec<String> = (0..60).map(|number| format!("alias{number}.test")).collect();
    let add = |file: &str, line: &dyn Fn(&str) -> String| {
        let path = format!("/var/qmail/{file}");
        let before = fs::read_to_string(host.path(&path)).unwrap();
        let lines: String = names.iter().map(|name| line(name)).collect();
        host.write(&path, lines + &before);
    };
    add("control/rcpthosts", &|name| format!("{name}\n"));
    add("control/virtualdomains", &|name| format!("{name}:{name}\n"));
    add("users/assign", &|name| format!("+{name}-:example.net:89:89:{NET}:-::\n"));
    host.mailboxes(NET, &["dora:$6$s$dora:1:0:dora:/d:Q"]);
    let service = Service::start(host, &["--verify"]);
    let host = &service.host;
    let line = settle(&service);
    assert!(read(&line).1 > 3, "{line}");
    // More logins change than may go before the guard weighs them; none goes.
    for (what, mailboxes) in [
        ("a password", vec!["dora:$6$s$another:1:0:dora:/d:Q"]),
        ("a mailbox", { vec!["dora:$6$s$another:1:0:dora:/d:Q", "adam:$6$s$adam:1:0:adam:/d:Q"] }),
    ] {
        host.mailboxes(NET, &mailboxes);
        let line = service.wait_for("auth.cdb published");
        assert_eq!(read(&line).0, 1, "{what}: {line}");
        wait_until_right(&service, what);
    }
    let news = format!("{NET}/.qmail-news");
    for (what, content) in [("an alias", "&dora@example.net\n"), ("an alias that bounces", "|exit 100\n")] {
        host.write(&news, content);
        service.wait_for("validrcptto.cdb published");
        wait_until_right(&service, what);
    }
}

#[test]
fn what_no_watch_sees_a_plain_trigger_finds_and_a_notice_of_another_domain_does_not_look_for() {
    let service = start(&[]);
    let host = &service.host;
    let list = format!("{COM}/list/editor");
    host.write(&list, "&dora@example.com\n").link(&format!("{COM}/.qmail-linked"), "list/editor");
    service.wait_for_answer("linked@example.com", "accept");
    let before = published(host);
    host.write(&list, "|exit 100\n");
    service.trigger(&["mod_user", "dora@example.net"]);
    service.wait_for("cause=mod_user:dora@example.net");
    assert_eq!(published(host), before);
    service.trigger(&[]);
    service.wait_for_answer("linked@example.com", "refuse");
    host.write(&list, "&dora@example.com\n");
    // A touch says no more than that something happened.
    drop(fs::File::options().write(true).open(service.fifo()).unwrap());
    service.wait_for_answer("linked@example.com", "accept");
}

#[test]
fn a_published_file_that_somebody_changed_is_made_anew() {
    let service = start(&[]);
    let host = &service.host;
    settle(&service);
    let should = published(host);
    let validrcptto = host.published("validrcptto.cdb");
    let old = host.path("/srv-old");
    let changes: [(&str, &dyn Fn()); 4] = [
        ("written into", &|| fs::write(&validrcptto, &should[1]).unwrap()),
        ("removed", &|| fs::remove_file(&validrcptto).unwrap()),
        ("another mode", &|| fs::set_permissions(&validrcptto, fs::Permissions::from_mode(0o600)).unwrap()),
        ("a copy put in its place", &|| {
            fs::copy(&validrcptto, &old).and_then(|_| fs::rename(&old, &validrcptto)).unwrap()
        }),
    ];
    for (what, change) in changes {
        change();
        service.trigger(&[]);
        let line = service.wait_for(" done: ");
        assert!(read(&line).0 > 0, "{what}: {line}");
        assert_eq!(published(host), should, "{what}");
        settle(&service);
    }
}

#[test]
fn hup_reads_everything_anew() {
    let service = start(&[]);
    settle(&service);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(service.child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).unwrap();
    let line = service.wait_for(" done: ");
    let (read, all) = read(&line);
    assert_eq!(read, all);
    assert!(line.contains(" because=hup "), "{line}");
}

/// A host of domains with two mailboxes each, whose own domain is local and leads into every home; one has an alias domain.
fn of_many_domains(domains: usize) -> MailHost {
    let host = MailHost::empty();
    let lines = |line: &dyn Fn(usize) -> String| (0..domains).map(line).collect::<String>();
    host.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\n").folder("/home/vpopmail/etc");
    host.write("/var/qmail/control/me", "mail.test\n").write("/var/qmail/control/locals", "mail.test\n");
    host.write("/var/qmail/control/rcpthosts", lines(&|d| format!("d{d}.test\n")) + "mail.test\nalias.test\n");
    let virtualdomains = lines(&|d| format!("d{d}.test:d{d}.test\n")) + "alias.test:alias.test\n";
    host.write("/var/qmail/control/virtualdomains", virtualdomains);
    let assigned = |name: &str, d: usize| format!("+{name}-:d{d}.test:89:89:{}:-::\n", home(d));
    let assign = lines(&|d| assigned(&format!("d{d}.test"), d)) + &assigned("alias.test", 3) + ".\n";
    host.write("/var/qmail/users/assign", assign);
    for d in 0..domains {
        host.folder(&home(d)).own(&home(d), 89, 89).mailboxes(&home(d), &[&mailbox("ann"), &mailbox("bob")]);
        host.write(&format!("{}/.qmail-default", home(d)), "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n");
        host.write(&format!("{}/.qmail-sales", home(d)), "&ann@d0.test\n");
    }
    host
}

fn home(domain: usize) -> String {
    format!("/home/vpopmail/domains/d{domain}.test")
}

fn mailbox(name: &str) -> String {
    format!("{name}:$6$s$of{name}:1:0:{name}:/d/{name}:NOQUOTA")
}

/// What a rebuild says that reads everything and knows the published files.
fn rebuild_says(host: &MailHost) -> String {
    let answer = host.run(&["rebuild", "--no-commands"]);
    answer
        .stderr
        .lines()
        .find(|line| line.contains("rebuild done: "))
        .unwrap_or_else(|| panic!("{answer:?}"))
        .to_owned()
}

/// Adds a mailbox to a domain, tells the service so, and gives its line about that.
fn add_mailbox(service: &Service, domain: usize, name: &str) -> String {
    let names = ["ann", "bob", name].map(mailbox);
    service.host.mailboxes(&home(domain), &names.iter().map(String::as_str).collect::<Vec<_>>());
    service.trigger(&["add_user", &format!("{name}@d{domain}.test")]);
    let line = service.wait_for("validrcptto.cdb published");
    assert_eq!(service.host.answers(&[&format!("{name}@d{domain}.test")]), ["accept"], "{line}");
    line
}

#[test]
fn a_home_that_cannot_be_read_makes_no_notice_read_more_and_publishes_nothing_when_it_breaks_and_when_it_is_fixed() {
    let host = of_many_domains(30);
    let (whole, cut) = (fs::read, &b"no cdb"[..]);
    let service = Service::start(host, &[]);
    settle(&service);
    // One with an alias domain, one without, one whose directory is away.
    for number in [3, 4, 5] {
        let (cdb, directory) = (format!("{}/vpasswd.cdb", home(number)), home(number));
        let content = whole(service.host.path(&cdb)).unwrap();
        let away = service.host.path("/away");
        if number == 5 {
            fs::rename(service.host.path(&directory), &away).unwrap();
        } else {
            service.host.write(&cdb, cut);
        }
        service.trigger(&[]);
        let alert = service.wait_for(" kept as published");
        assert!(alert.contains(&directory), "{alert}");
        let before = published(&service.host);
        let line = add_mailbox(&service, 7 + number, &format!("new{number}"));
        assert!(read(&line).0 <= 1 && line.contains(" (+1 -0) ") && !line.contains(" because="), "{number}: {line}");
        let asked = [format!("bob@d{number}.test"), format!("sales@d{number}.test"), format!("nobody@d{number}.test")];
        let asked = asked.each_ref().map(String::as_str);
        assert_eq!(service.host.answers(&asked), ["accept", "accept", "refuse"], "{number}");
        assert!(published(&service.host) != before);
        let line = rebuild_says(&service.host);
        assert!(line.matches(" unchanged ").count() == 2, "{number}: a rebuild that reads everything: {line}");
        let before = published(&service.host);
        if number == 5 {
            fs::rename(&away, service.host.path(&directory)).unwrap();
        } else {
            service.host.write(&cdb, &content);
        }
        service.trigger(&[]);
        service.wait_for("can be read again");
        wait_until_right(&service, "it can be read again");
        assert!(published(&service.host) == before, "{number}: nothing came and nothing went");
        // The next notice reads little whatever was read for this one.
        service.trigger(&["mod_user", "ann@d9.test"]);
        service.wait_for(" done: ");
    }
}

#[test]
fn what_is_new_in_a_home_that_cannot_be_read_is_published() {
    let service = Service::start(of_many_domains(10), &[]);
    settle(&service);
    service.host.write(&format!("{}/vpasswd.cdb", home(4)), "no cdb");
    service.trigger(&[]);
    service.wait_for(" kept as published");
    service.host.write(&format!("{}/.qmail-news", home(4)), "&ann@d0.test\n");
    service.trigger(&[]);
    service.wait_for_answer("news@d4.test", "accept");
    assert_eq!(service.host.answers(&["ann@d4.test", "nobody@d4.test"]), ["accept", "refuse"]);
}

#[test]
fn a_held_domain_makes_no_notice_of_another_one_read_more() {
    let service = Service::start(of_many_domains(30), &["--hold", "3600"]);
    settle(&service);
    let names: Vec<String> = (0..200).map(|number| mailbox(&format!("m{number}"))).collect();
    service.host.mailboxes(&home(4), &names.iter().map(String::as_str).collect::<Vec<_>>());
    service.trigger(&[]);
    service.wait_for_answer("m199@d4.test", "accept");
    service.host.mailboxes(&home(4), &[&mailbox("m0")]);
    service.trigger(&[]);
    service.wait_for("held, because");
    for (number, domain) in [7, 2, 9].into_iter().enumerate() {
        let line = add_mailbox(&service, domain, &format!("new{number}"));
        // The first one may be the rebuild that began the hold.
        let is_small = read(&line).0 <= 2 && !line.contains(" because=");
        assert!(is_small && line.contains(" held=1 ") && line.contains(" (+1 -0) "), "{line}");
        assert_eq!(
            service.host.answers(&["m39@d4.test", "m0@d4.test", "nobody@d4.test"]),
            ["accept", "accept", "refuse"]
        );
        assert!(service.host.logins().contains_key("m39@d4.test"));
        let line = rebuild_says(&service.host);
        assert!(line.matches(" unchanged ").count() == 2, "a rebuild that reads everything: {line}");
    }
    // What comes to the held domain is published, and when it is whole again it is held no longer.
    service.host.mailboxes(&home(4), &[&mailbox("m0"), &mailbox("late")]);
    service.trigger(&["add_user", "late@d4.test"]);
    service.wait_for_answer("late@d4.test", "accept");
    assert_eq!(service.host.answers(&["m39@d4.test"]), ["accept"]);
    service.host.mailboxes(&home(4), &names.iter().map(String::as_str).collect::<Vec<_>>());
    service.trigger(&[]);
    wait_until_right(&service, "it is whole again");
    service.trigger(&["mod_user", "ann@d9.test"]);
    let line = service.wait_for("mod_user:ann@d9.test");
    assert!(!line.contains(" held=") && !line.contains(" because="), "{line}");
}

/// The keys of a published table that stand there more than once.
fn twice(host: &MailHost, name: &str) -> Vec<String> {
    let image = fs::read(host.published(name)).unwrap();
    let mut seen = std::collections::HashSet::new();
    let keys = qmail_updater::cdb::Reader::new(&image).unwrap().records();
    keys.filter(|record| !seen.insert(record.key))
        .map(|record| String::from_utf8_lossy(record.key).into_owned())
        .collect()
}

#[test]
fn the_entries_of_a_held_domain_that_come_from_another_home_are_published() {
    let host = of_many_domains(8);
    let account = "joe:x:1001:1001::/home/joe:/bin/sh\n";
    host.write("/etc/passwd", format!("root:x:0:0::/root:/bin/sh\n{account}")).folder("/home/joe");
    host.write("/var/qmail/alias/.qmail-postmaster", "&ann@d0.test\n").own("/home/joe", 1001, 1001);
    let more = |name: &str, more: &str| {
        let path = format!("/var/qmail/control/{name}");
        host.write(&path, fs::read_to_string(host.path(&path)).unwrap() + more);
    };
    more("virtualdomains", "v.test:joe\n");
    more("rcpthosts", "v.test\n");
    let lists: Vec<String> = (0..200).map(|number| format!("/home/joe/.qmail-l{number}")).collect();
    let back = |host: &MailHost| lists.iter().for_each(|list| _ = host.write(list, "&ann@d0.test\n"));
    back(&host);
    let service = Service::start(host, &["--hold", "3600"]);
    settle(&service);
    lists.iter().for_each(|list| _ = service.host.remove(list));
    service.trigger(&[]);
    service.wait_for("held, because");
    assert_eq!(service.host.answers(&["l7@v.test"]), ["accept"]);
    // An address of the held domain that none of its entries says, and then all of them again.
    service.host.write("/home/joe/.qmail-late", "&ann@d0.test\n");
    service.trigger(&[]);
    service.wait_for_answer("late@v.test", "accept");
    assert_eq!(twice(&service.host, FILES[0]), Vec::<String>::new());
    service.host.remove("/home/joe/.qmail-late");
    back(&service.host);
    service.trigger(&[]);
    wait_until_right(&service, "it is whole again");
    assert_eq!(twice(&service.host, FILES[0]), Vec::<String>::new());
}

#[test]
fn what_is_missing_on_the_host_for_a_while_makes_no_notice_read_everything() {
    let service = Service::start(of_many_domains(20), &[]);
    settle(&service);
    let away = service.host.path("/etc-away");
    let bad = "dora@d1.test RELAYCLIENT\n";
    for (what, breaks, mends) in [
        (
            "VPOPMAIL/etc",
            &(|| fs::rename(service.host.path("/home/vpopmail/etc"), &away).unwrap()) as &dyn Fn(),
            &(|| {
                fs::rename(&away, service.host.path("/home/vpopmail/etc")).unwrap();
            }) as &dyn Fn(),
        ),
        ("authvars", &|| _ = service.host.write("/var/qmail/control/authvars", bad), &|| {
            _ = service.host.remove("/var/qmail/control/authvars")
        }),
        ("validrcptto.d", &|| _ = service.host.write("/var/qmail/control/validrcptto.d/d2.test", "a b c\n"), &|| {
            _ = service.host.remove("/var/qmail/control/validrcptto.d/d2.test")
        }),
    ] {
        breaks();
        // Whatever has to be read because of that is read now.
        service.trigger(&[]);
        service.wait_for(" done: ");
        add_mailbox(&service, 8, &format!("after{}", what.len()));
        let line = add_mailbox(&service, 5, &format!("by{}", what.len()));
        assert!(read(&line).0 <= 2 && !line.contains(" because="), "{what}: {line}");
        mends();
        service.trigger(&[]);
        service.wait_for(" done: ");
    }
    wait_until_right(&service, "all is there again");
}

#[test]
fn what_lies_outside_a_home_and_decides_about_it_is_looked_at() {
    let host = MailHost::sample();
    host.write("/opt/v/vdelivermail", "#!/bin/sh\n");
    host.write(&format!("{NET}/.qmail-default"), "|/opt/v/vdelivermail '' bounce-no-mailbox\n");
    let service = Service::start(host, &["--verify"]);
    assert_eq!(service.host.answers(&["nobody@example.net"]), ["refuse"]);
    settle_but(&service, 1);
    service.host.remove("/opt/v/vdelivermail");
    service.trigger(&[]);
    // sh finds nothing: the message is deferred.
    service.wait_for_answer("nobody@example.net", "accept");
}

#[test]
fn while_nothing_can_be_remembered_a_sweep_leaves_the_homes_watched() {
    let host = MailHost::sample();
    let assign = fs::read_to_string(host.path("/var/qmail/users/assign")).unwrap();
    let gone = "+gone.test-:gone.test:89:89:/home/vpopmail/domains/gone.test:-::\n.\n";
    host.write("/var/qmail/users/assign", assign.trim_end_matches(".\n").to_owned() + gone);
    let line = |name: &str, more: &str| {
        let text = fs::read_to_string(host.path(&format!("/var/qmail/control/{name}"))).unwrap();
        host.write(&format!("/var/qmail/control/{name}"), text + more);
    };
    line("virtualdomains", "gone.test:gone.test\n");
    line("rcpthosts", "gone.test\n");
    let service = Service::start(host, &["--sweep", "5"]);
    service.wait_for("cause=sweep");
    // On a machine that stands still for a moment, the next sweep may come before a watch is heard.
    let seen = (0..5).any(|number| {
        let name = format!("seen{number}");
        service.add_alias(&name);
        let line = service.wait_for(" done: ");
        assert_eq!(service.host.answers(&[&format!("{name}@example.com")]), ["accept"], "{line}");
        line.contains(&format!("cause=watch:{COM} "))
    });
    assert!(seen, "only sweeps see it");
}

#[test]
fn an_account_whose_home_comes_later_counts_from_then_on() {
    let host = MailHost::sample();
    let (uid, gid) = support::me();
    let passwd = fs::read_to_string(host.path("/etc/passwd")).unwrap();
    let (uid, gid) = if support::is_root() { (1007, 1007) } else { (uid, gid) };
    host.write("/etc/passwd", format!("{passwd}dave:x:{uid}:{gid}::/home/dave:/bin/sh\n"));
    let service = Service::start(host, &["--verify"]);
    let host = &service.host;
    assert_eq!(host.answers(&["dave-z@mail.example.org"]), ["refuse"]);
    host.write("/home/dave/.qmail-z", "&dora@example.com\n");
    if support::is_root() {
        host.own("/home/dave", uid, gid).own("/home/dave/.qmail-z", uid, gid);
    }
    service.wait_for_answer("dave-z@mail.example.org", "accept");
}

#[test]
fn what_one_home_gives_cause_to_say_is_said_at_once() {
    let service = start(&[]);
    service.host.mailboxes(COM, &["zod-default:$6$s$zod:1:0:zod:/d:Q"]);
    service.wait_for("the table cannot say zod-default@example.com alone");
}

#[test]
fn a_writer_who_keeps_the_pipe_open_hides_no_touch() {
    use std::io::Write;
    let service = start(&["--no-watch"]);
    let mut writer = fs::File::options().write(true).open(service.fifo()).unwrap();
    writer.write_all(b"mod_user\tdora@example.net\nmod_user\tdora@example.net\n").unwrap();
    service.wait_for("cause=mod_user");
    for _ in 0..3 {
        drop(fs::File::options().write(true).open(service.fifo()).unwrap());
        service.wait_for("cause=trigger");
    }
}
