//! A host whose vpopmail keeps its users where this program does not read: it is recognised, its vpasswd files are stale
//! and decide nothing, no mail for its users is refused, and what is published stays.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;

use support::service::{COM, Service};
use support::{Answer, MailHost, filled, is_root, script, skip};

const BIN: &str = "/home/vpopmail/bin/vdelivermail";
const NET: &str = "/home/vpopmail/domains/example.net";
/// The strings of a program built with MySQL, as `strings` shows them, and a function that each build has.
const MYSQL_PROGRAM: &[u8] = b"\x7fELF\0bounce-no-mailbox\0/home/vpopmail/etc\0vpopmail.mysql\0vpasswd\0vauth_getpw\0";
/// The same with cdb, not stripped.
const CDB_PROGRAM: &[u8] = b"\x7fELF\0bounce-no-mailbox\0vpasswd.cdb\0vpasswd\0vmysql\0";
/// What the one alert begins with.
const ALERT: &str = "vpopmail keeps its users in ";

/// A host on which 0.1.0 published what stale vpasswd files say: `ann` and others, not `new`, who is in the database only.
fn upgraded() -> MailHost {
    let host = MailHost::sample();
    host.rebuild();
    assert_eq!(
        host.answers(&["ann@example.com", "new@example.com", "bob@example.com"]),
        ["accept", "refuse", "refuse"]
    );
    host.write(BIN, MYSQL_PROGRAM);
    host
}

fn tables(host: &MailHost) -> [Vec<u8>; 2] {
    ["validrcptto.cdb", "auth.cdb"].map(|name| fs::read(host.published(name)).unwrap())
}

/// The names that the published recipient table lists.
fn listed(host: &MailHost) -> BTreeSet<String> {
    let image = fs::read(host.published("validrcptto.cdb")).unwrap();
    let cdb = qmail_updater::cdb::Reader::new(&image).unwrap();
    cdb.records().map(|record| String::from_utf8(record.key.to_vec()).unwrap()).collect()
}

/// The alerts and warnings about the user database.
fn told(answer: &Answer) -> Vec<&str> {
    let said = answer.stderr.lines().filter(|line| line.contains("keeps its users") || line.contains("--backend"));
    said.collect()
}

#[test]
fn stale_vpasswd_files_beside_a_sql_build_refuse_nobody_and_change_nothing() {
    let host = upgraded();
    let (logins, before) = (host.logins(), listed(&host));
    let answer = host.rebuild();
    let [alert] = told(&answer)[..] else { panic!("{}", answer.stderr) };
    for words in
        ["alert: vpopmail keeps its users in MySQL", "bin/vdelivermail holds \"vpopmail.mysql\"", "--backend cdb"]
    {
        assert!(alert.contains(words), "{words}: {alert}");
    }
    // Those of the database, one whose mail the stale file switches off, and one whom the catch-all takes.
    let users = ["ann@example.com", "new@example.com", "new@example.edu", "bob@example.com", "new-x@example.net"];
    assert_eq!(host.answers(&users), ["accept"; 5]);
    assert_eq!(host.logins(), logins, "no login goes, and none comes");
    let lost: Vec<String> = before.difference(&listed(&host)).cloned().collect();
    let refusals = lost.iter().filter(|key| !host.answers(&[key.as_str()]).contains(&"accept".to_owned()));
    assert_eq!(refusals.count(), 0, "{lost:?}");
    assert!(listed(&host).contains("ann@example.com"), "who was listed is listed");

    // Whatever becomes of the files, a whole rebuild changes nothing.
    let published = tables(&host);
    host.write(&format!("{COM}/vpasswd"), format!("eve:{}:1:0:E:/d:Q\n", filled("$1$a$b")));
    host.mailboxes(NET, &["mallory:$6$a$b:1:0:M:/d:Q"]).write(&format!("{COM}/.qmailadmin-limits"), "disable_smtp\n");
    host.rebuild();
    assert!(tables(&host) == published, "nothing is read from vpasswd files or limits");
    fs::remove_file(host.path(&format!("{COM}/vpasswd"))).unwrap();
    host.rebuild();
    assert!(tables(&host) == published, "nor is a missing one missed");

    // The .qmail files decide as before.
    let forward = "/home/vpopmail/domains/example.com/.qmail-default";
    host.write(&format!("{COM}/.qmail-gone"), "|exit 100\n");
    host.rebuild();
    assert_eq!(host.answers(&["gone@example.com", "new@example.com"]), ["refuse", "accept"]);
    host.write(forward, "|exit 100\n");
    host.rebuild();
    assert_eq!(
        host.answers(&["new@example.com", "ann@example.com", "new@example.net"]),
        ["refuse", "refuse", "accept"]
    );
    host.write(forward, "&x@y.test\n");
    host.rebuild();
    assert_eq!(host.answers(&["new@example.com"]), ["accept"]);
    assert_eq!(host.logins(), logins, "logins ask no .qmail file");
}

/// Files below VPOPMAIL.
type Files<'f> = &'f [(&'f str, &'f [u8])];

#[test]
fn each_sign_tells_the_user_database_and_those_of_the_program_count_most() {
    let config = "include/config.h";
    let refused = |files: Files<'_>, options: &[&str]| {
        let host = MailHost::sample();
        for (name, content) in files {
            host.write(&format!("/home/vpopmail/{name}"), content);
        }
        let answer = host.run(&[options, &["rebuild"]].concat());
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        let alerts = told(&answer).into_iter().filter(|line| line.contains(&format!("alert: {ALERT}"))).count();
        let warnings = told(&answer).into_iter().filter(|line| line.contains("warning: ")).count();
        let refused = host.answers(&["new@example.com"]) == ["refuse"];
        assert_eq!(alerts, usize::from(!refused), "{files:?} {options:?}: {}", answer.stderr);
        (refused, warnings, answer.stderr)
    };
    for (file, content, name) in [
        ("bin/vdelivermail", &b"\x7fELF vpopmail.mysql"[..], "MySQL or MariaDB"),
        ("bin/vdelivermail", b"vpasswd\0vpopmail.pgsql\0", "PostgreSQL"),
        ("bin/vdelivermail", b"/domains/_vpopmail.sqlite\0vpasswd", "SQLite"),
        ("bin/vdelivermail", b"vpopmail.ldap\0", "LDAP"),
        (config, b"/* #undef USE_CDB */\n#define USE_MYSQL 1\n", "MySQL or MariaDB"),
        (config, b"#define USE_POSTGRES\n", "PostgreSQL"),
        (config, b"#define USE_SQLITE /**/\n", "SQLite"),
        (config, b"# define\tUSE_LDAP 1\n", "LDAP"),
        (config, b"#define USE_ORACLE 1\n", "Oracle"),
        (config, b"#define USE_SYBASE 1\n", "Sybase"),
        ("etc/lib_deps", b"-L/usr/lib -lvpopmail -lmysqlclient -lz -lm -lcrypt\n", "MySQL or MariaDB"),
        ("etc/lib_deps", b"-lmariadb\n", "MySQL or MariaDB"),
        ("etc/lib_deps", b"-lcrypt -lpq", "PostgreSQL"),
        ("etc/lib_deps", b"-lsqlite3\n", "SQLite"),
        ("etc/vpopmail.mysql", b"", "MySQL or MariaDB"),
        ("etc/vpopmail.pgsql", b"", "PostgreSQL"),
        ("etc/vpopmail.ldap", b"", "LDAP"),
        ("domains/_vpopmail.sqlite", b"SQLite format 3\0", "SQLite"),
    ] {
        let (is_refused, warnings, said) = refused(&[(file, content)], &[]);
        assert_eq!((is_refused, warnings), (false, 0), "{file} {content:?}: {said}");
        assert!(said.contains(&format!("{ALERT}{name} (")) && said.contains(&format!("/{file}")), "{said}");
    }
    let mysql: &[u8] = b"#define USE_MYSQL 1\n";
    let cdb: &[u8] = b"#define USE_CDB 1\n";
    // Files that vpopmail believes, and whether it is told that a sign says otherwise.
    let believed: [(Files<'_>, &[&str], usize); 9] = [
        (&[], &[], 0),
        (&[("bin/vdelivermail", CDB_PROGRAM)], &[], 0),
        (&[("bin/vdelivermail", b"#!/bin/sh\nexec /opt/vdelivermail \"$@\"\n"), (config, cdb)], &[], 0),
        (&[("etc/lib_deps", b"-lcrypt\n")], &[], 0),
        (&[("bin/vdelivermail", CDB_PROGRAM), ("etc/vpopmail.mysql", b"")], &[], 1),
        (&[("bin/vdelivermail", CDB_PROGRAM), (config, mysql), ("etc/vpopmail.pgsql", b"")], &[], 1),
        (&[(config, cdb), ("etc/vpopmail.mysql", b"")], &[], 1),
        (&[("bin/vdelivermail", MYSQL_PROGRAM)], &["--backend", "cdb"], 0),
        (&[("bin/vdelivermail", CDB_PROGRAM), ("etc/vpopmail.mysql", b"")], &["--backend", "cdb"], 0),
    ];
    for (files, options, wanted) in believed {
        let (is_refused, warnings, said) = refused(files, options);
        assert_eq!((is_refused, warnings), (true, wanted), "{files:?} {options:?}: {said}");
    }
    let not_believed: [(Files<'_>, &[&str], usize); 4] = [
        (&[("bin/vdelivermail", MYSQL_PROGRAM), (config, cdb)], &[], 1),
        (&[("bin/vdelivermail", b"#!/bin/sh\n"), ("etc/vpopmail.mysql", b"")], &[], 0),
        (&[], &["--backend", "pgsql"], 0),
        (&[("bin/vdelivermail", CDB_PROGRAM)], &["--backend", "sqlite"], 0),
    ];
    for (files, options, wanted) in not_believed {
        let (is_refused, warnings, said) = refused(files, options);
        assert_eq!((is_refused, warnings), (false, wanted), "{files:?} {options:?}: {said}");
    }
}

#[test]
fn a_sign_far_inside_a_large_program_is_found() {
    let host = MailHost::sample();
    // Across the border of two pieces in which it may be read, wherever that is.
    for length in [65_530, 131_064, 1_048_570] {
        host.write(BIN, [&vec![b'x'; length][..], b"vpopmail.mysql", &vec![b'y'; 70_000]].concat());
        host.rebuild();
        assert_eq!(host.answers(&["new@example.com"]), ["accept"], "{length}");
        fs::remove_file(host.published("validrcptto.cdb")).unwrap();
    }
}

#[test]
fn what_cannot_be_read_as_a_program_is_told_and_the_other_signs_count() {
    let host = MailHost::sample();
    host.rebuild();
    let (published, logins) = (listed(&host), host.logins());
    host.folder(BIN);
    let said = |answer: &Answer, level: &str| {
        let is_said = |line: &str| line.contains(&format!("{level}: ")) && line.contains(BIN);
        assert!(told(answer).into_iter().any(is_said), "{}", answer.stderr);
    };
    // Nothing tells: what is published stays, the files aside.
    host.mailboxes(NET, &["mallory:$6$a$b:1:0:M:/d:Q"]);
    said(&host.rebuild(), "alert");
    assert_eq!((listed(&host), host.logins()), (published, logins));
    assert_eq!(host.answers(&["new@example.com", "mallory@example.net"]), ["refuse", "accept"]);
    assert_eq!(host.run(&["explain", "new@example.com"]).stdout.lines().last(), Some("defer"));
    host.write("/home/vpopmail/include/config.h", "#define USE_CDB 1\n");
    said(&host.rebuild(), "warning");
    assert_eq!(host.answers(&["new@example.com", "mallory@example.net"]), ["refuse", "accept"]);
    host.remove("/home/vpopmail/include/config.h");
    host.write("/home/vpopmail/etc/lib_deps", "-lmysqlclient");
    let answer = host.rebuild();
    assert_eq!(host.answers(&["new@example.com"]), ["accept"]);
    said(&answer, "warning");
    assert!(answer.stderr.contains("etc/lib_deps names -lmysqlclient"), "{}", answer.stderr);
}

#[test]
fn a_user_who_may_not_read_the_program_is_told_that_the_answer_is_unknown() {
    if !is_root() {
        return skip("a program that others may not read", "only root can make it");
    }
    let host = MailHost::sample();
    host.rebuild();
    host.write(BIN, MYSQL_PROGRAM).mode(BIN, 0o711).mode("/var/qmail/control/auth.cdb", 0o644);
    let as_nobody =
        |arguments: &[&str]| -> Answer { host.command(arguments).uid(65_534).gid(65_534).output().unwrap().into() };
    let explained = as_nobody(&["explain", "new@example.com"]);
    assert_eq!((explained.code, explained.stdout.lines().last()), (111, Some("unknown")), "{}", explained.stdout);
    assert!(explained.stderr.contains(BIN) && explained.stderr.contains("run as root"), "{}", explained.stderr);
    let user = as_nobody(&["user", "ann@example.com"]);
    assert_eq!(user.code, 111, "{}", user.stdout);
    assert!(user.stderr.contains("run as root"), "{}", user.stderr);
    for arguments in [&["rebuild", "--dry-run"][..], &["check"], &["status"], &["list", "recipients"], &["domains"]] {
        let answer = as_nobody(arguments);
        assert_eq!(answer.code, 111, "{arguments:?} {}{}", answer.stdout, answer.stderr);
        assert!(!answer.stdout.contains(ALERT), "{arguments:?}: {}", answer.stdout);
    }
}

#[test]
fn a_home_that_is_missing_too_refuses_nobody() {
    let host = upgraded();
    fs::rename(host.path(COM), host.path("/home/gone")).unwrap();
    let logins = host.logins();
    host.rebuild();
    assert_eq!(host.answers(&["ann@example.com", "new@example.com", "new@example.edu"]), ["accept"; 3]);
    assert_eq!(host.logins(), logins);
    // An empty mount point.
    host.folder(COM);
    host.rebuild();
    assert_eq!(host.answers(&["ann@example.com", "new@example.com"]), ["accept"; 2]);
    assert_eq!(host.logins(), logins);
}

#[test]
fn a_domain_that_leaves_takes_its_logins_along_and_a_new_one_is_accepted_without_any() {
    let host = upgraded();
    host.rebuild();
    let replace = |file: &str, before: &str, after: &str| {
        let text = fs::read_to_string(host.path(file)).unwrap();
        assert!(text.contains(before), "{file}: {text}");
        host.write(file, text.replace(before, after));
    };
    let line = |domain: &str, real: &str| format!("+{domain}-:{real}:89:89:/home/vpopmail/domains/{real}:-::\n");
    replace("/var/qmail/users/assign", &line("example.edu", "example.com"), &line("new.test", "new.test"));
    replace("/var/qmail/control/virtualdomains", "example.edu:example.edu\n", "new.test:new.test\n");
    replace("/var/qmail/control/rcpthosts", "example.edu\n", "new.test\n");
    host.write("/home/vpopmail/domains/new.test/.qmail-default", "| /home/vpopmail/bin/vdelivermail '' delete\n");
    host.rebuild();
    assert!(host.logins().keys().all(|login| !login.ends_with("@example.edu") && !login.ends_with("@new.test")));
    assert!(host.logins().contains_key("ann@example.com"));
    assert_eq!(host.answers(&["new@new.test", "ann@example.edu"]), ["accept", "refuse"]);
}

#[test]
fn names_without_a_domain_are_kept_and_of_a_damaged_table_nothing_is() {
    let host = MailHost::sample();
    host.write("/var/qmail/control/envnoathost", "example.com\n");
    host.rebuild();
    assert_eq!(host.answers(&["ann", "carla", "new"]), ["accept", "accept", "refuse"]);
    host.write(BIN, MYSQL_PROGRAM);
    host.rebuild();
    assert_eq!(host.answers(&["ann", "carla"]), ["accept"; 2], "no other key can accept them");
    fs::write(host.published("auth.cdb"), "damaged").unwrap();
    let answer = host.rebuild();
    assert!(answer.stderr.contains("auth.cdb: ") && answer.stderr.contains("nothing can be kept from it"));
    assert!(host.logins().is_empty());
    assert_eq!(host.answers(&["ann", "new@example.com"]), ["accept"; 2]);
}

#[test]
fn a_kept_login_goes_when_it_expires() {
    let host = upgraded();
    host.rebuild();
    let authvars = fs::read_to_string(host.path("/var/qmail/control/authvars")).unwrap();
    host.write("/var/qmail/control/authvars", authvars + "ann@example.com PASSWORD_EXPIRES=\"1\"\n");
    host.rebuild();
    let logins = host.logins();
    assert!(!logins.contains_key("ann@example.com") && logins.contains_key("ann@example.edu"), "{logins:?}");
    // For good: there is nothing that it could be made from.
    host.write("/var/qmail/control/authvars", "");
    host.rebuild();
    assert!(!host.logins().contains_key("ann@example.com"));
}

#[test]
fn every_command_says_where_the_users_are_and_that_they_are_not_read() {
    let host = upgraded();
    host.rebuild();
    let sign = "MySQL or MariaDB (";
    let explained = host.run(&["explain", "new@example.com"]);
    assert!(explained.stdout.contains(&format!("vdelivermail looks for new in example.com: {ALERT}{sign}")));
    assert!(explained.stdout.ends_with("as it should be\ndefer\n"), "{}", explained.stdout);
    let user = host.run(&["user", "ann@example.com"]);
    assert_eq!((user.code, &user.stdout[..]), (111, ""));
    assert!(user.stderr.contains(&format!("ann@example.com: {ALERT}{sign}")), "{}", user.stderr);
    let domains = host.run(&["domains"]);
    let line = domains.stdout.lines().find(|line| line.starts_with("example.com\t")).unwrap();
    assert!(line.contains("\tvpopmail\t") && line.contains("\t-\t6\taccept\t"), "{line}");
    assert!(line.contains("its mailboxes are unknown") && !line.contains("waits"), "{line}");
    assert_eq!(domains.stderr.matches(ALERT).count(), 1, "{}", domains.stderr);
    let carol = domains.stdout.lines().any(|line| line.starts_with("carol\t"));
    assert!(!carol, "the line of an account is no domain: {}", domains.stdout);
    let check = host.run(&["check"]);
    assert_eq!((check.code, check.stdout.matches(ALERT).count()), (1, 1), "{}", check.stdout);
    assert!(!check.stdout.contains("is accepted and deferred"), "{}", check.stdout);
    let status = host.run(&["status"]);
    assert_eq!(status.code, 1);
    assert!(status.stdout.contains(&format!("users: {ALERT}{sign}")), "{}", status.stdout);
    assert!(status.stdout.contains("tables: as the host says, where it can be read"), "{}", status.stdout);
    // What the administrator says counts, wherever it stands.
    host.write("/etc/qmail-updater/env/QMAIL_UPDATER_BACKEND", "cdb\n");
    let check = host.run(&["check"]).stdout;
    assert!(!check.contains(ALERT), "{check}");
    assert_eq!(host.run(&["user", "ann@example.com"]).code, 0);
    assert_eq!(host.run(&["--backend", "oracle", "check"]).code, 100);
}

#[test]
fn a_service_keeps_what_is_published_through_notices_and_tells_it_once() {
    let host = upgraded();
    let (logins, before) = (host.logins(), listed(&host));
    let service = Service::start(host, &["--verify"]);
    let host = &service.host;
    let published = tables(host);
    assert_eq!(host.answers(&["new@example.com"]), ["accept"]);
    // At a second look, as whatever is found on the host.
    service.wait_for(ALERT);
    let mut alerts = Vec::new();
    let mut rebuilt = |notice: &[&str]| {
        service.trigger(notice);
        loop {
            let line = service.log.recv_timeout(support::service::PATIENCE).unwrap();
            assert!(!line.contains("a fault in this program"), "{line}");
            if line.contains(ALERT) {
                alerts.push(line);
            } else if line.contains(" done: ") {
                break line;
            }
        }
    };
    for notice in [&[][..], &["del_user", "ann@example.com", "-", ""], &["add_user", "zoe@example.com", "-", ""], &[]] {
        fs::write(host.path(&format!("{COM}/vpasswd")), "").unwrap();
        rebuilt(notice);
        assert!(tables(host) == published, "{notice:?}");
    }
    // What one domain's .qmail files say is taken in, and nothing else of the domain is lost.
    host.write(&format!("{COM}/.qmail-shut"), "|exit 100\n");
    rebuilt(&["insert_alias", "shut@example.com", "|exit 100", ""]);
    service.wait_for_answer("shut@example.com", "refuse");
    assert_eq!(host.answers(&["ann@example.com", "new@example.com"]), ["accept"; 2]);
    assert_eq!(host.logins(), logins);
    assert!(before.iter().filter(|key| key.starts_with("ann@")).all(|key| listed(host).contains(key)));
    let status: serde_json::Value = serde_json::from_str(&host.run(&["status", "--json"]).stdout).unwrap();
    assert!(status["users_unread"].as_str().unwrap().starts_with(ALERT), "{status:#}");
    // A build with cdb is installed: the files count again.
    host.write(&format!("{COM}/vpasswd"), format!("ann:{}:1:0:A:/d:Q\n", filled("$1$a$b")));
    host.write(BIN, CDB_PROGRAM);
    service.wait_for_answer("new@example.com", "refuse");
    assert_eq!(alerts, [""; 0], "it was told");
}

/// The same host with its domain directories elsewhere, as where /home/vpopmail is a file system of its own.
fn with_domains_elsewhere(host: MailHost) -> MailHost {
    host.folder("/srv");
    fs::rename(host.path("/home/vpopmail/domains"), host.path("/srv/domains")).unwrap();
    let assign = "/var/qmail/users/assign";
    let text = fs::read_to_string(host.path(assign)).unwrap();
    host.write(assign, text.replace(":/home/vpopmail/domains/", ":/srv/domains/"));
    host
}

/// What a vpopmail with SQL leaves behind: mailboxes that are not in the database.
fn stale(host: &MailHost) {
    host.mailboxes("/srv/domains/example.net", &["mallory:$6$a$b:1:0:M:/d:Q"]);
}

const VPOPMAIL: &str = "/home/vpopmail";

fn unmount(host: &MailHost) {
    fs::rename(host.path(VPOPMAIL), host.path("/away")).unwrap();
}

fn mount_again(host: &MailHost) {
    let _ = fs::remove_dir(host.path(VPOPMAIL));
    fs::rename(host.path("/away"), host.path(VPOPMAIL)).unwrap();
}

#[test]
fn a_host_seen_with_users_in_sql_stays_so_until_a_file_tells_otherwise() {
    let host = with_domains_elsewhere(MailHost::sample());
    host.rebuild();
    host.write(BIN, MYSQL_PROGRAM);
    host.rebuild();
    let (logins, published) = (host.logins(), tables(&host));
    stale(&host);
    let stays = |why: &str| {
        let answer = host.rebuild();
        let [alert] = told(&answer)[..] else { panic!("{why}: {}", answer.stderr) };
        for words in [
            "alert: vpopmail keeps its users in MySQL",
            "no file tells it now; an earlier rebuild saw that ",
            "bin/vdelivermail holds \"vpopmail.mysql\"",
        ] {
            assert!(alert.contains(words), "{why}: {words}: {alert}");
        }
        assert!(tables(&host) == published, "{why}");
        assert_eq!(host.run(&["explain", "new@example.com"]).stdout.lines().last(), Some("defer"), "{why}");
    };
    // `make install` of vpopmail: for a moment the program is gone, or empty.
    host.write(BIN, "");
    stays("an empty program");
    host.remove(BIN);
    stays("no program");
    unmount(&host);
    stays("no VPOPMAIL");
    host.folder(VPOPMAIL);
    stays("an empty VPOPMAIL");
    stays("a second rebuild without signs");
    mount_again(&host);
    host.write(BIN, MYSQL_PROGRAM);
    assert!(!host.rebuild().stderr.contains("no file tells it now"));
    assert!(tables(&host) == published);
    // Another user database is seen, and remembered in its place.
    host.write(BIN, b"vpopmail.pgsql\0");
    host.rebuild();
    host.remove(BIN);
    let said = host.rebuild().stderr;
    assert!(said.contains("PostgreSQL (") && said.contains("; the sign: no file tells it now"), "{said}");
    // The administrator knows better, then a file does.
    assert_eq!(host.run(&["--backend", "cdb", "rebuild"]).code, 0);
    assert_eq!(host.answers(&["new@example.com"]), ["refuse"]);
    assert!(host.logins().contains_key("mallory@example.net"));
    host.rebuild();
    assert_eq!(host.answers(&["new@example.com"]), ["refuse"], "it is forgotten");
    host.write(BIN, MYSQL_PROGRAM);
    host.rebuild();
    assert_eq!(host.answers(&["new@example.com"]), ["accept"]);
    host.write(BIN, CDB_PROGRAM);
    host.rebuild();
    assert_eq!(host.answers(&["new@example.com"]), ["refuse"]);
    host.remove(BIN);
    host.rebuild();
    assert_eq!(host.answers(&["new@example.com"]), ["refuse"], "it is forgotten");
    assert!(logins.keys().all(|login| !login.starts_with("mallory")));
}

#[test]
fn where_users_are_is_unknown_while_vpopmails_directory_is_missing_or_empty() {
    let host = with_domains_elsewhere(MailHost::sample());
    host.write(BIN, MYSQL_PROGRAM);
    host.run(&["--backend", "cdb", "rebuild"]);
    host.rebuild();
    let published = (listed(&host), host.logins());
    assert_eq!(host.answers(&["new@example.com"]), ["accept"]);
    stale(&host);
    // A state directory in memory, after the machine was started again.
    let forget = || fs::remove_dir_all(host.path("/run/qmail-updater")).unwrap();
    unmount(&host);
    for (cause, make) in [("No such file or directory", false), ("the directory is empty", true)] {
        if make {
            host.folder(VPOPMAIL);
        }
        forget();
        let answer = host.rebuild();
        let alert = format!("/home/vpopmail: {cause}; where vpopmail keeps its users is unknown; what is published");
        assert_eq!(told(&answer).iter().filter(|line| line.contains(&alert)).count(), 1, "{}", answer.stderr);
        assert!(!answer.stderr.contains("are kept as published"), "one alert says it: {}", answer.stderr);
        assert!((listed(&host), host.logins()) == published, "{cause}: {}", answer.stderr);
        let status = host.run(&["status"]).stdout;
        assert!(!status.contains("tables: a rebuild"), "{status}");
        assert_eq!(host.answers(&["new@example.com", "ann@example.com"]), ["accept"; 2]);
    }
    // The administrator says it.
    assert_eq!(host.run(&["--backend", "cdb", "rebuild"]).code, 0);
    assert_eq!(host.answers(&["new@example.com", "mallory@example.net"]), ["refuse", "accept"]);
    // Mounted again: a host of vpasswd files, or a copy of one without its programs.
    mount_again(&host);
    host.remove(BIN);
    let answer = host.rebuild();
    assert!(told(&answer).is_empty(), "{}", answer.stderr);
    assert_eq!(host.answers(&["new@example.com", "mallory@example.net"]), ["refuse", "accept"]);
}

#[test]
fn a_host_without_vpopmail_domains_needs_no_vpopmail_directory() {
    let host = with_domains_elsewhere(MailHost::sample());
    fs::remove_dir_all(host.path(VPOPMAIL)).unwrap();
    // A domain of a user, and lines of accounts.
    host.write(
        "/var/qmail/users/assign",
        "+example.com-:carol:1001:1001:/home/carol:-::\n+carol-:carol:1001:1001:/home/carol:-::\n.\n",
    );
    host.write("/home/carol/.qmail-shop", "&x@y.test\n");
    let answer = host.rebuild();
    assert!(told(&answer).is_empty(), "{}", answer.stderr);
    assert_eq!(host.answers(&["shop@example.com", "other@example.com"]), ["accept", "refuse"]);
}

#[test]
fn a_service_reads_no_stale_files_while_vpopmail_is_not_mounted() {
    let host = with_domains_elsewhere(MailHost::sample());
    host.rebuild();
    host.write(BIN, MYSQL_PROGRAM);
    let service = Service::start(host, &[]);
    let host = &service.host;
    service.wait_for(ALERT);
    let published = tables(host);
    let rebuilt = |why: &str| {
        stale(host);
        service.trigger(&[]);
        service.wait_for(" done: ");
        assert!(tables(host) == published, "{why}");
    };
    unmount(host);
    rebuilt("no VPOPMAIL");
    // It remembers it by itself, too.
    fs::remove_file(host.path("/run/qmail-updater/users.json")).unwrap();
    host.folder(VPOPMAIL);
    rebuilt("an empty VPOPMAIL");
    mount_again(host);
    rebuilt("mounted again");
    host.remove(BIN);
    rebuilt("no program");
    // A change that is noticed starts a rebuild by itself, so the one that was waited for may be an earlier one.
    let start = std::time::Instant::now();
    while !host.run(&["status"]).stdout.contains("no file tells it now; an earlier rebuild saw") {
        assert!(start.elapsed() < support::service::PATIENCE, "status does not tell it");
        support::service::pause();
    }
    assert!(tables(host) == published);
    // The program of cdb is installed.
    host.write(BIN, CDB_PROGRAM);
    service.wait_for_answer("new@example.com", "refuse");
    // auth.cdb is published after the recipient table.
    let start = std::time::Instant::now();
    while !host.logins().contains_key("mallory@example.net") {
        assert!(start.elapsed() < support::service::PATIENCE, "its login is not published");
        support::service::pause();
    }
}

#[test]
fn no_action_is_told_of_a_mailbox_that_only_stale_files_lose() {
    let host = MailHost::sample();
    let (uid, gid) = if is_root() { (4242, 4243) } else { support::me() };
    let homes = [(COM, "example.com"), (NET, "example.net")];
    let line = |(home, domain): (&str, &str)| format!("+{domain}-:{domain}:{uid}:{gid}:{home}:-::\n");
    host.write("/var/qmail/users/assign", homes.map(line).concat() + ".\n");
    let give = |home: &str| {
        if is_root() {
            let mut all: Vec<_> = fs::read_dir(host.path(home)).unwrap().map(|entry| entry.unwrap().path()).collect();
            all.push(host.path(home));
            all.iter().for_each(|path| support::give(path, uid, gid));
        }
    };
    homes.iter().for_each(|(home, _)| give(home));
    host.folder("/log").mode("/log", 0o777);
    let note = format!("echo \"$1 $2\" >>{}/told", host.path("/log").display());
    script(&host, "/tmp/note", &note);
    host.folder("/etc/qmail-updater/actions.d");
    fs::rename(host.path("/tmp/note"), host.path("/etc/qmail-updater/actions.d/any")).unwrap();
    let mut service = Service::start(host, &["--no-watch"]);
    service.wait_for("domains remembered");
    service.end();
    // The upgrade of vpopmail, while the service does not run: the users are in the database, the files stay, and rot.
    let host = &service.host;
    host.write(BIN, MYSQL_PROGRAM).remove(&format!("{NET}/vpasswd"));
    host.write(&format!("{COM}/vpasswd"), format!("ann:{}:1:0:A:/d:Q\n", filled("$1$a$b")));
    homes.iter().for_each(|(home, _)| {
        if is_root() {
            let all = fs::read_dir(host.path(home)).unwrap().map(|entry| entry.unwrap().path());
            all.for_each(|path| support::give(&path, uid, gid));
        }
    });
    let (child, log) = support::service::follow(host.command(&["run", "--no-watch"]));
    (service.child, service.log) = (child, log);
    service.wait_for("rebuild 1 done");
    let host = &service.host;
    host.write(&format!("{COM}/.qmail-fresh"), "&x@y.test\n");
    if is_root() {
        support::give(&host.path(&format!("{COM}/.qmail-fresh")), uid, gid);
    }
    service.trigger(&[]);
    service.wait_for("told of insert_alias:fresh@example.com");
    assert_eq!(fs::read_to_string(host.path("/log/told")).unwrap(), "insert_alias fresh@example.com\n");
}
