//! Bad input is normal input: a clear error or a clear warning, nothing lost, no panic.

mod support;

use std::fs;

use support::service::{Service, status_of};
use support::{Answer, MailHost, filled, is_root, skip};

const DOMAIN: &str = "/home/vpopmail/domains/example.com";

/// What a rebuild says when it must not publish anything.
fn refused(host: &MailHost) -> Answer {
    let before = ["validrcptto.cdb", "auth.cdb"].map(|name| fs::read(host.published(name)).ok());
    let answer = host.run(&["rebuild"]);
    let after = ["validrcptto.cdb", "auth.cdb"].map(|name| fs::read(host.published(name)).ok());
    assert!(before == after, "something was published: {}", answer.stderr);
    answer
}

#[track_caller]
fn assert_fatal(answer: &Answer, code: i32, says: &[&str]) {
    let fatal: Vec<&str> = answer.stderr.lines().filter(|line| line.starts_with("qmail-updater: fatal: ")).collect();
    assert_eq!((answer.code, fatal.len()), (code, 1), "{}", answer.stderr);
    for words in says {
        assert!(fatal[0].contains(words), "{words:?} is missing: {}", fatal[0]);
    }
}

#[test]
fn users_assign_that_qmail_newu_refuses_stops_the_rebuild() {
    let good = "+example.com-:example.com:89:89:/home/vpopmail/domains/example.com:-::\n";
    for (text, line, what) in [
        (format!("{good}=x:y:1:1:/h:-:\n.\n"), "line 2:", "fewer than seven colons"),
        (format!("{good}# a remark\n.\n"), "line 2:", "fewer than seven colons, and # begins no comment here"),
        (format!("{good}:x:y:1:1:/h:-::\n.\n"), "line 2:", "begins with a colon"),
        (format!("{good}=x\0:y:1:1:/h:-::\n.\n"), "line 2:", "NUL"),
        (format!("{good}\n.\n"), "line 2:", "empty line"),
        (good.to_owned(), "line 2:", "\".\""),
        (good.trim_end().to_owned(), "line 1:", "\".\""),
        (String::new(), "line 1:", "\".\""),
    ] {
        let host = MailHost::sample();
        host.rebuild();
        host.write("/var/qmail/users/assign", &text);
        assert_fatal(
            &refused(&host),
            100,
            &["/var/qmail/users/assign: ", line, what, "qmail-newu refuses", "nothing is published"],
        );
    }
}

#[test]
fn what_follows_the_dot_line_and_the_seventh_colon_is_ignored() {
    let host = MailHost::sample();
    host.write("/var/qmail/users/assign", "=carol:carol:1:1:/home/carol:::not read\n.\nnor this\n");
    host.rebuild();
    assert_eq!(host.answers(&["carol@mail.example.org", "nor this@mail.example.org"]), ["accept", "refuse"]);
}

/// The files of the host that are ours, and lines of them that cannot be used.
const BAD_LINES: &[(&str, &str, [&str; 2])] = &[
    ("authvars", "* A=\"1\"\njoe B=\"2\"\n", ["authvars: line 2:", "no pattern"]),
    ("authvars", "@x.test A=\"1\",B=\"2\",A=\"3\"\n", ["authvars: line 1:", "gets A twice"]),
    ("authvars", "\0\n", ["authvars: line 1:", "no pattern"]),
    ("authvars", "@example.com A=\"1\0\"\n", ["authvars: line 1:", "holds a NUL"]),
    ("validrcptto.d/relay.example", "erik\nfrida@other.example\n", ["relay.example: line 2:", "other.example"]),
    ("validrcptto.d/relay.example", "erik\n# no\n!ERIK\n", ["relay.example: line 3:", "accepted on line 1"]),
    ("validrcptto.d/relay.example", "two names\n", ["relay.example: line 1:", "a blank"]),
    ("validrcptto.d/relay.example", "nu\0l\n", ["relay.example: line 1:", "\\x00"]),
];

/// The one alert of a rebuild.
#[track_caller]
fn the_alert(answer: &Answer) -> &str {
    let alerts: Vec<&str> = answer.stderr.lines().filter(|line| line.contains(": alert: ")).collect();
    assert_eq!(alerts.len(), 1, "{}", answer.stderr);
    alerts[0]
}

/// A new mailbox and a new alias in example.net: what a bad source elsewhere must not keep from being published.
fn add_to_net(host: &MailHost, name: &str) {
    let line = format!("{name}:$1$a$e:1:0:N:/d:Q");
    host.mailboxes("/home/vpopmail/domains/example.net", &["dora:$1$a$d:1:0:N:/d:Q", &line]);
}

#[test]
fn a_file_of_our_own_that_cannot_be_used_keeps_what_it_governs_and_the_rest_is_published() {
    for (file, text, says) in BAD_LINES {
        let host = MailHost::sample();
        host.rebuild();
        host.write(&format!("/var/qmail/control/{file}"), text);
        add_to_net(&host, "new");
        let answer = host.run(&["rebuild"]);
        assert_fatal(&answer, 100, &[says[0], says[1], "everything else is published"]);
        let alert = the_alert(&answer);
        assert!(says.iter().all(|words| alert.contains(words)), "{alert}");
        let asked = ["erik@relay.example", "nobody@relay.example", "new@example.net", "ann@example.com"];
        assert_eq!(host.answers(&asked), ["accept", "refuse", "accept", "accept"], "{file}: {text:?}");
        // Nothing changes when nothing changes.
        let answer = host.run(&["rebuild"]);
        assert_eq!(answer.code, 100, "{}", answer.stderr);
        assert!(answer.stderr.contains("validrcptto.cdb unchanged"), "{}", answer.stderr);
        assert!(answer.stderr.contains("auth.cdb unchanged"), "{}", answer.stderr);
        host.remove(&format!("/var/qmail/control/{file}"));
        assert!(!host.rebuild().stderr.contains(": alert: "));
    }
}

#[test]
fn a_list_that_cannot_be_used_keeps_the_entries_of_its_domain_and_of_no_other() {
    let list = "/var/qmail/control/validrcptto.d/relay.example";
    type Damage<'a> = (&'a str, &'a dyn Fn(&MailHost));
    let damages: &[Damage<'_>] = &[
        ("two names", &|host| {
            host.write(list, "erik\ntwo names\n");
        }),
        ("no regular file", &|host| {
            host.remove(list).folder(list);
        }),
        ("longer than the 1 MiB", &|host| {
            fs::File::create(host.path(list)).unwrap().set_len(2 << 20).unwrap();
        }),
    ];
    for (says, damage) in damages {
        let host = MailHost::sample();
        host.write(list, "erik\nfrida\n!list-no\n@\n");
        let rcpthosts = fs::read_to_string(host.path("/var/qmail/control/rcpthosts")).unwrap();
        host.rebuild();
        let answers = ["accept", "refuse", "accept", "accept"];
        let asked = ["erik@relay.example", "list-no@relay.example", "other@relay.example", "x@backup.example"];
        assert_eq!(host.answers(&asked), answers);
        damage(&host);
        let rebuild = || host.run(&["rebuild", "--max-file", "1"]);
        let answer = rebuild();
        assert_eq!(answer.code, 100, "{}", answer.stderr);
        assert!(
            the_alert(&answer).contains(says) && the_alert(&answer).contains("recipients are kept as published"),
            "{answer:?}"
        );
        assert_eq!(host.answers(&asked), answers, "{says}");
        // What never was published is accepted: a table that is made again.
        fs::remove_file(host.published("validrcptto.cdb")).unwrap();
        let answer = rebuild();
        assert!(
            the_alert(&answer)
                .contains("nothing is published to keep for relay.example, so what leads there is accepted"),
            "{answer:?}"
        );
        let asked = ["x@relay.example", "x@backup.example", "x@example.com", "x@mail.example.org"];
        assert_eq!(host.answers(&asked), ["accept", "accept", "refuse", "refuse"], "{says}");
        // A domain that is not relayed any more needs no list.
        host.write("/var/qmail/control/rcpthosts", rcpthosts.replace("relay.example\n", ""));
        host.rebuild();
        assert_eq!(host.answers(&["x@relay.example"]), ["refuse"]);
    }
    // A list of a domain that is not relayed is not even read.
    let host = MailHost::sample();
    host.write("/var/qmail/control/validrcptto.d/example.com", "two names\n");
    assert!(host.rebuild().stderr.contains("validrcptto.d/example.com: ignored: no relayed domain is called so"));
}

#[test]
fn a_directory_of_lists_that_cannot_be_listed_keeps_the_entries_of_all_relayed_domains() {
    let host = MailHost::sample();
    host.rebuild();
    let directory = host.path("/var/qmail/control/validrcptto.d");
    fs::rename(&directory, host.path("/away")).unwrap();
    host.write("/var/qmail/control/validrcptto.d", "no directory\n");
    let rcpthosts = fs::read_to_string(host.path("/var/qmail/control/rcpthosts")).unwrap();
    host.write("/var/qmail/control/rcpthosts", rcpthosts + "new.example\n");
    add_to_net(&host, "new");
    let answer = host.run(&["rebuild"]);
    assert_fatal(&answer, 111, &["control/validrcptto.d: Not a directory"]);
    let asked = ["erik@relay.example", "x@relay.example", "x@backup.example", "x@new.example", "new@example.net"];
    assert_eq!(host.answers(&asked), ["accept", "refuse", "accept", "accept", "accept"]);
    host.remove("/var/qmail/control/validrcptto.d");
    fs::rename(host.path("/away"), &directory).unwrap();
    host.rebuild();
}

#[test]
fn a_line_of_authvars_that_cannot_be_used_keeps_the_variables_of_the_logins_that_it_concerns() {
    let host = MailHost::sample();
    let net = "/home/vpopmail/domains/example.net";
    let authvars = |text: &str| {
        host.write("/var/qmail/control/authvars", text);
    };
    let mailboxes = |hash: &str, more: &[&str]| {
        let lines: Vec<String> =
            ["ann", "late"].iter().chain(more).map(|name| format!("{name}:$1$a${hash}:1:0:N:/d:Q")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        host.mailboxes(DOMAIN, &lines).mailboxes(net, &lines);
    };
    mailboxes("old", &[]);
    authvars("@example.com DATABYTES=\"1\"\n@example.net DATABYTES=\"2\"\nlate@example.com PASSWORD_EXPIRES=\"1\"\n");
    host.rebuild();
    assert_eq!(host.logins()["ann@example.com"], "$1$a$old,DATABYTES=\"1\"");
    assert!(!host.logins().contains_key("late@example.com"), "it has expired");
    // The hashes are those of the mailboxes in any case; what a new login may do is not known.
    authvars("@example.com DATABYTES=5\n@example.net DATABYTES=\"3\"\n");
    mailboxes("new", &["new"]);
    let answer = host.run(&["rebuild"]);
    assert_fatal(
        &answer,
        100,
        &["control/authvars: line 1: the value of DATABYTES does not begin with a double quote"],
    );
    let alert = the_alert(&answer);
    for words in [
        // ann of example.com has an entry; late and new have none.
        "the published variables of 1 login stay",
        "left out, because none are published that could stay: 2 logins",
    ] {
        assert!(alert.contains(words), "{words:?} is missing: {alert}");
    }
    let logins = host.logins();
    assert_eq!(logins["ann@example.com"], "$1$a$new,DATABYTES=\"1\"");
    assert_eq!(logins["ann"], "$1$a$new,DATABYTES=\"1\"", "the default domain's bare name");
    assert_eq!(logins["new@example.net"], "$1$a$new,DATABYTES=\"3\"");
    assert_eq!(logins["new@example.edu"], "$1$a$new", "the line does not concern the alias domain");
    assert!(!logins.contains_key("new@example.com") && !logins.contains_key("late@example.com"));
    assert_eq!(host.answers(&["new@example.com"]), ["accept"], "mail needs no variables");
    // What it is told of.
    let user = |address: &str| host.run(&["user", address]);
    let new = user("new@example.com");
    assert!(
        new.stdout.contains("smtp login: no: control/authvars cannot be used, and this login was not published before"),
        "{new:?}"
    );
    assert!(new.stderr.contains("alert: ") && new.stderr.contains("control/authvars: line 1:"), "{new:?}");
    let net = user("new@example.net");
    assert!(net.code == 0 && net.stdout.contains("smtp login: yes") && !net.stderr.contains("authvars"), "{net:?}");
    // It expires by what is published, too, and the answer says whose word that is.
    let expired =
        qmail_updater::cdb::image([(&b"new@example.com"[..], &b"$1$a$new,PASSWORD_EXPIRES=\"1\""[..])]).unwrap();
    fs::write(host.published("auth.cdb"), expired).unwrap();
    let new = user("new@example.com").stdout;
    let told = "no: expired, says the published PASSWORD_EXPIRES; control/authvars cannot tell another";
    assert!(new.contains(told), "{new}");
    // A time that is kept comes all the same.
    authvars("@example.com PASSWORD_EXPIRES=\"4102444800\"\n");
    host.rebuild();
    authvars("@example.com PASSWORD_EXPIRES=\"soon\"\n");
    assert_eq!(host.run(&["rebuild"]).code, 100);
    assert_eq!(host.logins()["new@example.com"], "$1$a$new,PASSWORD_EXPIRES=\"4102444800\"");
    authvars("@example.com DATABYTES=\"1\"\n");
    host.rebuild();
    assert_eq!(host.logins()["new@example.com"], "$1$a$new,DATABYTES=\"1\"");
    // A login that a good line lets expire is not kept by a bad line that is less specific.
    authvars("* DATABYTES=9\nnew@example.com PASSWORD_EXPIRES=\"1\"\n");
    assert_eq!(host.run(&["rebuild"]).code, 100);
    assert!(host.logins().contains_key("ann@example.com") && !host.logins().contains_key("new@example.com"));
    authvars("@example.com DATABYTES=\"1\"\n");
    host.rebuild();
    // A file that cannot be read concerns all.
    host.remove("/var/qmail/control/authvars").folder("/var/qmail/control/authvars");
    mailboxes("last", &["new", "newer"]);
    let answer = host.run(&["rebuild"]);
    assert_fatal(&answer, 100, &["control/authvars: no regular file"]);
    assert_eq!(host.logins()["new@example.com"], "$1$a$last,DATABYTES=\"1\"");
    assert!(!host.logins().contains_key("newer@example.net"));
}

#[test]
fn a_byte_order_mark_that_an_editor_left_is_no_part_of_the_first_name() {
    let host = MailHost::sample();
    host.mailboxes(DOMAIN, &["joe:$1$a$hash:1:0:N:/d:Q"]);
    host.write("/var/qmail/control/validrcptto.d/relay.example", "\u{feff}erik\nfrida\n");
    host.write("/var/qmail/control/authvars", "\u{feff}@example.com DATABYTES=\"1\"\r\n");
    assert_eq!(host.rebuild().stderr.matches("alert: ").count(), 0);
    let asked = ["erik@relay.example", "frida@relay.example", "\u{feff}erik@relay.example"];
    assert_eq!(host.answers(&asked), ["accept", "accept", "refuse"]);
    assert!(host.logins()["joe@example.com"].ends_with(",DATABYTES=\"1\""), "{:?}", host.logins());
}

#[test]
fn commands_that_look_answer_for_other_domains_and_say_what_is_wrong_with_one() {
    let host = MailHost::sample();
    host.rebuild();
    host.write("/var/qmail/control/validrcptto.d/relay.example", "erik\ntwo names\n");
    let wrong = "validrcptto.d/relay.example: line 2: \"two names\" holds a blank";
    for (arguments, code) in [
        (&["explain", "ann@example.com", "x@backup.example"][..], 0),
        (&["domains", "example.com", "backup.example"], 0),
        (&["user", "ann@example.com"], 0),
        (&["lookup", "ann@example.com"], 0),
    ] {
        let answer = host.run(arguments);
        assert_eq!(answer.code, code, "{answer:?}");
        assert!(!answer.stderr.contains("two names") && !answer.stdout.contains("two names"), "{answer:?}");
    }
    let answer = host.run(&["explain", "erik@relay.example", "x@relay.example"]);
    assert_eq!(answer.stdout.matches(wrong).count(), 2, "{answer:?}");
    assert_eq!(answer.stdout.matches("the published answer is kept").count(), 2, "{answer:?}");
    let virtual_domains = fs::read_to_string(host.path("/var/qmail/control/virtualdomains")).unwrap();
    host.write("/var/qmail/control/virtualdomains", virtual_domains + "here@relay.example:carol\n");
    let answer = host.run(&["explain", "here@relay.example"]);
    assert!(!answer.stdout.contains("two names"), "it is a user's here: {answer:?}");
    let answer = host.run(&["domains", "relay.example"]);
    assert!(answer.code == 0 && answer.stdout.contains("line 2: \"two names\" holds a blank"), "{answer:?}");
    let answer = host.run(&["list", "recipients"]);
    assert!(answer.code == 0 && answer.stdout.contains("accept\terik@relay.example\tother\n"), "{answer:?}");
    assert!(!answer.stdout.contains("@relay.example\taccept") && answer.stderr.contains(wrong), "{answer:?}");
    let answer = host.run(&["rebuild", "--dry-run"]);
    assert!(answer.code == 0 && answer.stdout.is_empty() && answer.stderr.contains(wrong), "{answer:?}");
    let answer = host.run(&["check"]);
    assert!(
        answer.code == 1
            && answer.stdout.contains(&format!("alert: {}/var/qmail/control/{wrong}", host.root().display())),
        "{answer:?}"
    );
    assert!(!answer.stdout.contains("nothing can be rebuilt"), "{answer:?}");
}

#[test]
fn the_service_tells_of_a_file_of_our_own_that_cannot_be_used_and_goes_on() {
    let list = "/var/qmail/control/validrcptto.d/relay.example";
    let mut service = Service::start(MailHost::sample(), &[]);
    let good = fs::read(service.host.path(list)).unwrap();
    service.host.write(list, "two names\n");
    service.wait_for("validrcptto.cdb unchanged");
    assert_eq!(service.host.answers(&["erik@relay.example", "x@relay.example"]), ["accept", "refuse"]);
    let status = service.host.run(&["status"]);
    assert!(status.code == 1 && status.stdout.contains("relay.example: line 1: \"two names\""), "{status:?}");
    // Another domain changes.
    service.add_alias("new");
    service.wait_for_answer("new@example.com", "accept");
    assert!(status_of(&service.host)["last_error"].is_null());
    service.wait_for("validrcptto.d/relay.example: line 1: \"two names\"");
    service.host.write(list, [&good[..], b"greta\n"].concat());
    service.wait_for("validrcptto.d/relay.example: can be read again");
    assert_eq!(service.host.answers(&["erik@relay.example", "greta@relay.example"]), ["accept", "accept"]);
    assert_eq!(service.end(), 0);
    // Three changes, the start, and the second look at what is told; a file that is written in two steps is seen twice.
    // Nothing was tried again by itself.
    let number = &status_of(&service.host)["last_rebuild"]["number"];
    assert!(number.as_u64().is_some_and(|number| number <= 9), "{number}");
}

#[test]
fn a_compiled_file_that_cannot_be_read_does_not_stop_a_rebuild() {
    for (file, text) in [("users/cdb", "users/assign"), ("control/morercpthosts.cdb", "control/morercpthosts")] {
        let host = MailHost::sample();
        host.write("/var/qmail/control/morercpthosts", "more.example\n").folder(&format!("/var/qmail/{file}"));
        let answer = host.rebuild();
        let says = format!("{file}: no regular file; it cannot be compared with ");
        assert!(answer.stderr.contains(&says) && answer.stderr.contains(text), "{}", answer.stderr);
        assert_eq!(host.answers(&["ann@example.com", "x@more.example"]), ["accept", "accept"]);
    }
    let host = MailHost::sample();
    host.folder("/var/qmail/control/percenthack");
    assert!(host.rebuild().stderr.contains("percenthack: not supported"));
}

#[test]
fn a_virtualdomains_line_without_a_colon_is_passed_over_with_a_warning() {
    let host = MailHost::sample();
    host.write("/var/qmail/control/virtualdomains", "example.com\nexample.net:example.net\nexample.com:example.com\n");
    let answer = host.rebuild();
    assert!(answer.stderr.contains("virtualdomains: line 1: no colon in \"example.com\""), "{}", answer.stderr);
    assert_eq!(host.answers(&["ann@example.com", "nobody@example.com"]), ["accept", "refuse"]);
}

#[test]
fn without_locals_and_me_nothing_is_published() {
    let host = MailHost::sample();
    host.rebuild();
    host.remove("/var/qmail/control/locals").remove("/var/qmail/control/me");
    assert_fatal(&refused(&host), 111, &["control/locals", "control/me", "nothing is published"]);
}

/// A host that was rebuilt while all was well; then its folder of example.com is damaged.
fn damaged(damage: impl Fn(&MailHost)) -> (MailHost, Answer) {
    let host = MailHost::sample();
    host.mailboxes(DOMAIN, &["ann:$1$a$b:1:0:N:/d:Q", "bob:$1$a$c:1:16:N:/d:Q", "postmaster:$1$a$d:1:0:N:/d:Q"]);
    host.rebuild();
    host.mailboxes("/home/vpopmail/domains/example.net", &["eva:$1$a$e:1:0:N:/d:Q"]);
    damage(&host);
    let answer = host.rebuild();
    (host, answer)
}

#[test]
fn what_cannot_be_read_is_kept_as_published_and_the_rest_is_rebuilt() {
    let truncated = |host: &MailHost| {
        let image = fs::read(host.path(DOMAIN).join("vpasswd.cdb")).unwrap();
        host.write(&format!("{DOMAIN}/vpasswd.cdb"), &image[..image.len() - 1]);
    };
    let moved_away = |host: &MailHost| fs::rename(host.path(DOMAIN), host.path("/away")).unwrap();
    let emptied = |host: &MailHost| {
        host.remove(&format!("{DOMAIN}/vpasswd.cdb")).write(&format!("{DOMAIN}/vpasswd"), "");
    };
    let half_deleted = |host: &MailHost| {
        host.remove(&format!("{DOMAIN}/vpasswd.cdb")).remove(&format!("{DOMAIN}/vpasswd"));
    };
    let half_deleted_behind_a_filter = |host: &MailHost| {
        // What it cannot read it may hand to vdelivermail.
        host.write(&format!("{DOMAIN}/.qmail-default"), "|maildrop /etc/mailfilter\n");
        half_deleted(host);
    };
    let deleted = |host: &MailHost| {
        fs::remove_dir_all(host.path(DOMAIN)).unwrap();
        host.folder(DOMAIN);
    };
    let a_folder = |host: &MailHost| {
        host.remove(&format!("{DOMAIN}/vpasswd.cdb")).folder(&format!("{DOMAIN}/vpasswd.cdb"));
    };
    let a_fifo = |host: &MailHost| {
        host.remove(&format!("{DOMAIN}/vpasswd.cdb"));
        let path = host.path(&format!("{DOMAIN}/vpasswd.cdb"));
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
    };
    type Damage<'a> = (&'a str, &'a dyn Fn(&MailHost), &'a str);
    let damages: [Damage<'_>; 8] = [
        ("truncated", &truncated, "vpasswd.cdb: corrupt"),
        ("moved away", &moved_away, "No such file or directory"),
        ("emptied", &emptied, "vpasswd: no mailbox in it"),
        ("an empty mount point", &deleted, "neither mailboxes nor .qmail files"),
        ("half deleted", &half_deleted, "neither vpasswd.cdb nor vpasswd"),
        ("half deleted, behind a filter", &half_deleted_behind_a_filter, "neither vpasswd.cdb nor vpasswd"),
        ("a folder", &a_folder, "vpasswd.cdb: "),
        ("a FIFO", &a_fifo, "vpasswd.cdb: "),
    ];
    for (name, damage, cause) in damages {
        let (host, answer) = damaged(damage);
        let alerts: Vec<&str> = answer.stderr.lines().filter(|line| line.contains(": alert: ")).collect();
        assert_eq!(alerts.len(), 1, "{name}: {}", answer.stderr);
        assert!(alerts[0].contains(cause) && alerts[0].contains("kept"), "{name}: {}", alerts[0]);
        let asked =
            ["ann@example.com", "ann@example.edu", "bob@example.com", "nobody@example.com", "list-x@example.com"];
        assert_eq!(host.answers(&asked), ["accept", "accept", "refuse", "refuse", "accept"], "{name}");
        assert_eq!(host.answers(&["eva@example.net", "dora@example.net"]), ["accept", "accept"], "{name}");
        let logins = host.logins();
        for login in ["ann@example.com", "ann@example.edu", "ann", "eva@example.net"] {
            assert!(logins.contains_key(login), "{name}: {login} cannot log in");
        }
        assert!(!logins.contains_key("dora@example.net"), "{name}: dora's mailbox is gone");

        // Nothing changes when nothing changes.
        let answer = host.rebuild();
        assert!(answer.stderr.contains("validrcptto.cdb unchanged"), "{name}: {}", answer.stderr);
        assert!(answer.stderr.contains("auth.cdb unchanged"), "{name}: {}", answer.stderr);
    }
}

#[test]
fn a_domain_that_is_no_longer_assigned_goes_on_purpose() {
    let (host, _) = damaged(|host| fs::rename(host.path(DOMAIN), host.path("/away")).unwrap());
    for file in ["users/assign", "control/virtualdomains", "control/rcpthosts"] {
        let file = format!("/var/qmail/{file}");
        let text = fs::read_to_string(host.path(&file)).unwrap();
        let left = text.lines().filter(|line| !line.contains("example.com") && !line.contains("example.edu"));
        host.write(&file, left.map(|line| format!("{line}\n")).collect::<String>());
    }
    host.rebuild();
    assert_eq!(host.answers(&["ann@example.com"]), ["refuse"]);
    assert!(!host.logins().contains_key("ann@example.com"));
}

#[test]
fn with_nothing_published_what_leads_to_a_missing_home_is_accepted_and_nothing_wider() {
    let host = MailHost::sample();
    fs::remove_dir_all(host.path(DOMAIN)).unwrap();
    let answer = host.rebuild();
    assert!(answer.stderr.contains("alert: "), "{}", answer.stderr);
    let asked = ["anybody@example.com", "anybody@example.edu", "nobody@mail.example.org", "spamtrap@example.net"];
    assert_eq!(host.answers(&asked), ["accept", "accept", "refuse", "refuse"]);
}

#[test]
fn an_empty_mount_point_with_nothing_published_is_no_empty_domain() {
    let host = MailHost::sample();
    fs::remove_dir_all(host.path(DOMAIN)).unwrap();
    host.folder(DOMAIN);
    let answer = host.rebuild();
    assert!(answer.stderr.contains("neither mailboxes nor .qmail files are there"), "{}", answer.stderr);
    assert_eq!(host.answers(&["anybody@example.com", "nobody@mail.example.org"]), ["accept", "refuse"]);
}

#[test]
fn a_local_part_may_begin_with_an_at_and_a_link_may_lead_to_the_home_itself() {
    let host = MailHost::sample();
    host.write("/home/carol/.qmail-@b", "&x@y.test\n")
        .link("/home/carol/.qmail-h", ".")
        .write("/home/carol/f", "&x@y.test\n");
    host.rebuild();
    let asked = ["carol-@b@mail.example.org", "carol-h/f@mail.example.org", "carol-h/g@mail.example.org"];
    assert_eq!(host.answers(&asked), ["accept", "accept", "refuse"]);
}

#[test]
fn with_qmail_ext_a_mailbox_behind_a_pre_answers_for_what_follows_its_dash() {
    let host = MailHost::sample();
    let home = "/home/vpopmail/domains/example.com";
    host.write("/var/qmail/users/assign", format!("+example.com-:x:89:89:{home}:-:ann:\n.\n"));
    assert_eq!(host.run(&["rebuild", "--vpopmail-ext"]).code, 0);
    assert_eq!(host.answers(&["-@example.com", "-x@example.com", "x@example.com"]), ["accept", "accept", "refuse"]);
}

#[test]
fn a_corrupt_vpasswd_cdb_never_panics_and_never_empties_the_domain() {
    let host = MailHost::sample();
    let mailboxes = ["ann:$1$a$b:1:0:N:/d:Q", "bob:$1$a$c:1:16:N:/d:Q"];
    host.mailboxes(DOMAIN, &mailboxes);
    host.rebuild();
    let file = host.path(&format!("{DOMAIN}/vpasswd.cdb"));
    let whole = fs::read(&file).unwrap();
    let absurd = |at: usize, bytes: [u8; 4]| {
        let mut image = whole.clone();
        image[at..at + 4].copy_from_slice(&bytes);
        image
    };
    let mut images: Vec<Vec<u8>> = (0..whole.len()).step_by(37).map(|length| whole[..length].to_vec()).collect();
    for at in [0, 4, 8, 1024, 2044, 2048, 2052] {
        images.extend([absurd(at, [0xff; 4]), absurd(at, [0xff, 0xff, 0xff, 0x7f]), absurd(at, [3, 0, 0, 0])]);
    }
    // An empty table whose pointer cuts the records short, and tables that lead nowhere.
    images.push(absurd(0, [0, 8, 0, 0]));
    // Records zeroed by a crash, and a flipped byte in a key.
    let records = usize::from(whole[0]) | usize::from(whole[1]) << 8;
    let mut zeroed = whole.clone();
    zeroed[2048..records].fill(0);
    images.extend([zeroed, absurd(2056, *b"anm$")]);
    let tables = whole.len() - 8 * 4;
    images.extend((tables..whole.len()).step_by(4).map(|at| absurd(at, [1, 1, 1, 1])));
    for image in images {
        fs::write(&file, &image).unwrap();
        let answer = host.run(&["rebuild"]);
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        assert!(!answer.stderr.contains("panicked"), "{}", answer.stderr);
        assert_eq!(host.answers(&["ann@example.com"]), ["accept"], "{} of {} bytes", image.len(), whole.len());
    }
}

#[test]
fn a_sparse_giant_is_corrupt_and_not_read_into_memory() {
    let (host, answer) = damaged(|host| {
        let path = host.path(&format!("{DOMAIN}/vpasswd.cdb"));
        fs::File::create(path).unwrap().set_len(1 << 40).unwrap();
    });
    assert!(answer.stderr.contains("longer than the 4 GiB"), "{}", answer.stderr);
    assert_eq!(host.answers(&["ann@example.com"]), ["accept"]);
}

#[test]
fn a_record_without_a_name_speaks_for_no_other() {
    let host = MailHost::sample();
    let joe = "joe:$1$abcdefgh$1XTB0/kFEyR8j6jlTzTQd/:1:0:N:/d:Q";
    let (bounced, crashed) = ("bob:x:1:16:N:/d:Q", "cut:x:1");
    for nameless in [":x:1:0:::", ":x:1:16:N:/d:Q", ":x", ":"] {
        // Of the alias domain and of the real one, and with what another kind of mailbox comes to.
        host.mailboxes(DOMAIN, &[nameless, bounced, crashed, joe]);
        host.rebuild();
        let asked = ["joe@example.com", "joe@example.edu", "cut@example.com", "bob@example.com", "zoe@example.edu"];
        assert_eq!(host.answers(&asked), ["accept", "accept", "accept", "refuse", "refuse"], "{nameless}");
        let logins = host.logins();
        let of_joe = ["joe", "joe@example.com", "joe@example.edu"];
        assert!(of_joe.iter().all(|login| logins.contains_key(*login)), "{nameless}: {logins:?}");
        assert!(logins.keys().all(|login| !login.is_empty() && !login.starts_with('@')), "{nameless}: {logins:?}");
        let list = host.run(&["list", "recipients"]).stdout;
        assert!(!list.contains("\t@example.com"), "{nameless}: {list}");
        // It is not taken for the catch-all either, whose key looks the same.
        host.mailboxes("/home/vpopmail/domains/example.net", &[nameless, joe]);
        host.rebuild();
        assert_eq!(host.answers(&["joe@example.net", "zoe@example.net"]), ["accept", "accept"], "{nameless}");
    }
    let domains = host.run(&["domains", "example.com"]).stdout;
    assert!(domains.contains("1 mailbox that vpopmail never finds beside these"), "{domains}");
    let found = host.run(&["check"]).stdout;
    assert!(found.contains("a record without a name, which is no mailbox"), "{found}");
    assert!(host.run(&["user", "@example.com"]).stdout.contains("mail: none: vpopmail never finds that name"));
    // A login that was published of such a record is not kept either.
    let image = [(&b"@example.com"[..], &b"x"[..]), (b"joe@example.com", b"x")];
    fs::write(host.published("auth.cdb"), qmail_updater::cdb::image(image).unwrap()).unwrap();
    host.write(&format!("{DOMAIN}/vpasswd.cdb"), "cut");
    host.rebuild();
    assert!(!host.logins().contains_key("@example.com"), "{:?}", host.logins());
}

#[test]
fn a_name_with_an_at_in_rcpthosts_is_no_domain() {
    // qmail-smtpd and qmail-send take what follows the last @ of an address for its domain.
    let host = MailHost::sample();
    let add = |name: &str, line: &str| {
        let path = format!("/var/qmail/control/{name}");
        let text = fs::read_to_string(host.path(&path)).unwrap();
        host.write(&path, format!("{line}\n{text}"));
    };
    add("rcpthosts", "b@example.com");
    add("virtualdomains", "b@example.com:example.net");
    host.mailboxes("/home/vpopmail/domains/example.net", &["amy:x:1:0:A:/d:Q", "zoe:x:1:0:Z:/d:Q"]);
    host.write(&format!("{DOMAIN}/.qmail-zoe@b"), "&zoe@elsewhere.test\n");
    host.rebuild();
    assert_eq!(host.answers(&["zoe@b@example.com", "amy@b@example.com"]), ["accept", "refuse"]);
    let domains = host.run(&["domains"]).stdout;
    assert!(!domains.contains("b@example.com"), "{domains}");
}

#[test]
fn a_record_that_ends_before_the_directory_bounces_and_one_before_its_flags_defers() {
    let host = MailHost::sample();
    let records = ["two:x:1", "three:x:1:0", "four:x:1:0:N", "five:x:1:0:N:", "six:x:1:0:N:/d:Q", "zero:"];
    host.mailboxes(DOMAIN, &records);
    host.rebuild();
    let asked = ["two", "three", "four", "five", "six", "zero"].map(|name| format!("{name}@example.com"));
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    assert_eq!(host.answers(&asked), ["accept", "refuse", "refuse", "accept", "accept", "accept"]);
    let logins = host.logins();
    assert!(!logins.contains_key("two@example.com") && !logins.contains_key("zero@example.com"), "{logins:?}");
    let why = host.run(&["explain", "four@example.com"]).stdout;
    assert!(why.contains("mailbox four: its record has no field for a directory: bounced"), "{why}");
    let found = host.run(&["check"]).stdout;
    assert!(
        found.contains("2 mailboxes with three or four fields, whose mail vdelivermail bounces: four, three"),
        "{found}"
    );
}

#[test]
fn a_uid_or_gid_that_no_process_can_have_defers() {
    let host = MailHost::sample();
    let assign = fs::read_to_string(host.path("/var/qmail/users/assign")).unwrap();
    // What is cut to 32 bits, and digits with something behind them, count as the number that is left.
    let ids = [
        ("u", "4294967295:1001"),
        ("g", "1001:4294967295"),
        ("cut", "8589934591:1001"),
        ("gcut", "1001:8589934591x"),
        ("wrapped", "18446744073709551615:1001"),
        ("less", "4294967294:1001"),
        ("root", "4294967296:1001"),
    ];
    let line = |(name, id): &(&str, &str)| format!("={name}:x:{id}:/home/carol:-:nobody:\n");
    host.write(
        "/var/qmail/users/assign",
        ids.iter().map(line).collect::<String>() + "+w-:x:4294967295:1:/x:-::\n" + &assign,
    );
    host.rebuild();
    for (name, verdict) in [
        ("u", "defer"),
        ("g", "defer"),
        ("cut", "defer"),
        ("gcut", "defer"),
        ("wrapped", "defer"),
        ("w-any", "defer"),
        ("root", "defer"),
        // Some user's: the extension has no .qmail file, or the home may not be entered.
        ("less", "bounce"),
    ] {
        let address = format!("{name}@mail.example.org");
        let told = host.run(&["explain", &address]).stdout;
        assert_eq!(told.lines().last(), Some(verdict), "{told}");
        assert_eq!(host.answers(&[&address]), [if verdict == "defer" { "accept" } else { "refuse" }], "{name}");
    }
    assert!(host.run(&["explain", "gcut@mail.example.org"]).stdout.contains("gid 4294967295: no process can have it"));
    // Logins are asked of nobody who delivers.
    let assign = assign.replace(":89:89:", ":4294967295:4294967295:");
    host.write("/var/qmail/users/assign", assign);
    host.rebuild();
    assert_eq!(host.answers(&["ann@example.com", "nobody@example.com"]), ["accept", "accept"]);
    assert!(host.logins().contains_key("ann@example.com"));
}

#[test]
fn blanks_before_the_numbers_of_an_account_do_not_matter() {
    let host = MailHost::sample();
    let (uid, gid) = if is_root() { (1001, 1001) } else { support::me() };
    let lines =
        format!("carol:x: \t{uid}: {gid}:Carol:/home/carol:/bin/sh\nspace:x:{uid} :{gid}::/home/carol:/bin/sh\n");
    host.write("/etc/passwd", lines).write("/var/qmail/users/assign", ".\n");
    if is_root() {
        host.own("/home/carol", uid, gid);
    }
    host.rebuild();
    let delivers = |name: &str| host.run(&["explain", &format!("{name}@mail.example.org")]).stdout;
    assert!(delivers("carol").ends_with("deliver\n"), "{}", delivers("carol"));
    assert!(delivers("space").contains("no account for it"), "{}", delivers("space"));
    // The owner of the logins' table is looked up in the same files.
    host.write("/etc/group", format!("qmail:x: {gid}:\n"));
    let answer = host.run(&["--auth-owner", "carol:qmail", "rebuild"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
}

#[test]
fn a_last_line_of_vpasswd_that_no_newline_ends_is_not_read() {
    let host = MailHost::sample();
    let text = "ann:x:1:0:A:/d:Q\nbob:x:1:0:B:/d:Q";
    host.write(&format!("{DOMAIN}/vpasswd"), text);
    host.rebuild();
    assert_eq!(host.answers(&["ann@example.com", "bob@example.com"]), ["accept", "refuse"]);
    assert!(!host.logins().contains_key("bob@example.com"));
    let found = host.run(&["check"]).stdout;
    assert!(found.contains("/vpasswd: line 2: no newline ends it, so vpopmail does not read it"), "{found}");
    // Without any other line nobody knows what vpopmail is about to write.
    host.write(&format!("{DOMAIN}/vpasswd"), "bob:x:1:0:B:/d:Q");
    let answer = host.rebuild();
    assert!(answer.stderr.contains("no mailbox in it but on line 1, which no newline ends"), "{}", answer.stderr);
    assert_eq!(host.answers(&["ann@example.com", "bob@example.com"]), ["accept", "refuse"], "kept as published");
}

#[test]
fn a_line_of_vpasswd_that_lost_its_colons_is_named() {
    let host = MailHost::sample();
    host.write(&format!("{DOMAIN}/vpasswd"), "ann:x:1:0:A:/d:Q\n\nbob\n");
    host.rebuild();
    assert_eq!(host.answers(&["ann@example.com", "bob@example.com"]), ["accept", "refuse"]);
    let found = host.run(&["check"]).stdout;
    assert!(found.contains("/vpasswd: line 3: no colon in it, so it is no mailbox"), "{found}");
    host.write(&format!("{DOMAIN}/vpasswd"), "ann:x:1:0:A:/d:Q\n\n");
    assert!(!host.run(&["check"]).stdout.contains("no colon"), "an empty line is no mistake");
}

#[test]
fn bytes_behind_the_end_of_a_cdb_that_others_make_are_nothing_to_its_readers() {
    let host = MailHost::sample();
    host.mailboxes(DOMAIN, &["joe:x:1:0:N:/d:Q"]);
    let with_more = |file: &str, image: Vec<u8>| host.write(file, [&image[..], b"more than one reads"].concat());
    let image = fs::read(host.path(DOMAIN).join("vpasswd.cdb")).unwrap();
    with_more(&format!("{DOMAIN}/vpasswd.cdb"), image);
    host.write("/var/qmail/control/morercpthosts", "more.example\n");
    with_more(
        "/var/qmail/control/morercpthosts.cdb",
        qmail_updater::cdb::image([(&b"more.example"[..], &b""[..])]).unwrap(),
    );
    let line = format!("example.com\x0089\x0089\x00{DOMAIN}\x00-\x00\x00");
    let records = [(&b"!example.com-"[..], line.as_bytes()), (b"", b"-")];
    with_more("/var/qmail/users/cdb", qmail_updater::cdb::image(records).unwrap());
    host.write("/var/qmail/users/assign", format!("+example.com-:example.com:89:89:{DOMAIN}:-::\n.\n"));
    let answer = host.rebuild();
    assert!(!answer.stderr.contains("corrupt"), "{}", answer.stderr);
    assert!(!answer.stderr.contains(".cdb:") && !answer.stderr.contains("users/cdb"), "{}", answer.stderr);
    assert_eq!(host.answers(&["joe@example.com", "zoe@example.com"]), ["accept", "refuse"]);
    // Where there is no text, what was compiled counts.
    host.remove("/var/qmail/users/assign").remove("/var/qmail/control/morercpthosts");
    host.rebuild();
    assert_eq!(host.answers(&["joe@example.com", "zoe@example.com", "x@more.example"]), ["accept", "refuse", "accept"]);
}

#[test]
fn odd_bytes_are_kept_as_bytes_and_escaped_in_messages() {
    let host = MailHost::sample();
    host.write(&format!("{DOMAIN}/.qmail-\u{1b}[2j"), "&x@y.test\n");
    host.write("/var/qmail/control/virtualdomains", "a\u{1b}[31m\nexample.com:example.com\n");
    let answer = host.rebuild();
    assert!(answer.stderr.contains("\"a\\x1b[31m\""), "{}", answer.stderr);
    assert!(!answer.stderr.contains('\u{1b}'));
    let list = host.run(&["list", "recipients"]).stdout;
    assert!(list.contains("accept\t\\x1b[2j@example.com\tother\n"), "{list}");
    assert_eq!(host.answers(&["\u{1b}[2J@example.com"]), ["accept"]);
    assert!(!host.run(&["lookup", "\u{1b}[2J@example.com"]).stdout.contains('\u{1b}'));
    assert!(!host.run(&["explain", "\u{1b}[2J@example.com"]).stdout.contains('\u{1b}'));
}

#[test]
fn a_broken_virtualdomains_list_or_rcpthosts_says_what_cannot_be_said() {
    let host = MailHost::sample();
    host.remove("/var/qmail/control/rcpthosts");
    assert!(host.rebuild().stderr.contains("control/rcpthosts: no such file"));
    host.write("/var/qmail/control/rcpthosts", "example.com\nexample.net\nexample.edu\n");
    host.write("/var/qmail/control/validrcptto.d/relay.example", "");
    let answer = host.rebuild();
    assert!(answer.stderr.contains("relay.example: ignored: no relayed domain is called so"), "{}", answer.stderr);
    host.write("/var/qmail/control/morercpthosts", "Relay.example\nold.example\n");
    let answer = host.rebuild();
    assert!(answer.stderr.contains("relay.example: empty: every recipient is refused"), "{}", answer.stderr);
    assert!(answer.stderr.contains("morercpthosts.cdb: missing"), "{}", answer.stderr);
    assert_eq!(host.answers(&["erik@relay.example", "x@old.example"]), ["refuse", "accept"]);
}

#[test]
fn limits_that_cannot_be_read_keep_the_logins_and_let_nobody_else_in() {
    let (host, answer) = damaged(|host| {
        host.folder(&format!("{DOMAIN}/.qmailadmin-limits"));
        host.mailboxes(DOMAIN, &["ann:$1$a$b:1:0:N:/d:Q", "new:$1$a$c:1:0:N:/d:Q"]);
    });
    assert!(answer.stderr.contains(".qmailadmin-limits: "), "{}", answer.stderr);
    assert_eq!(host.answers(&["new@example.com", "bob@example.com"]), ["accept", "refuse"], "mail needs no limits");
    assert!(host.logins().contains_key("ann@example.com") && !host.logins().contains_key("new@example.com"));
    fs::remove_file(host.published("auth.cdb")).unwrap();
    let answer = host.rebuild();
    assert!(answer.stderr.contains("nobody logs in there"), "{}", answer.stderr);
    assert!(!host.logins().contains_key("ann@example.com"));
}

#[test]
fn a_kept_domain_does_not_keep_a_system_accounts_login() {
    let host = MailHost::sample();
    let (uid, gid) = support::me();
    let (uid, gid) = if is_root() { (1001, 1001) } else { (uid, gid) };
    host.write("/etc/passwd", format!("carol:x:{uid}:{gid}::/home/carol:/bin/sh\n"));
    if is_root() {
        host.own("/home/carol", uid, gid);
    }
    host.write("/etc/shadow", format!("carol:{}:1::::::\n", filled("$6$s$old")));
    assert_eq!(host.run(&["rebuild", "--auth-system-users"]).code, 0);
    assert!(host.logins()["carol"].starts_with("$6$s$old"));
    fs::rename(host.path(DOMAIN), host.path("/away")).unwrap();
    host.write("/etc/shadow", format!("carol:{}:1::::::\n", filled("$6$s$new")));
    assert_eq!(host.run(&["rebuild", "--auth-system-users"]).code, 0);
    assert!(host.logins()["carol"].starts_with("$6$s$new"));
    host.rebuild();
    assert!(!host.logins().contains_key("carol") && host.logins().contains_key("ann"));
}

#[test]
fn a_new_alias_of_a_domain_that_cannot_be_read_accepts_and_the_old_ones_keep() {
    let (host, _) = damaged(|host| fs::rename(host.path(DOMAIN), host.path("/away")).unwrap());
    let assign = fs::read_to_string(host.path("/var/qmail/users/assign")).unwrap();
    let line = "+new.example-:example.com:89:89:/home/vpopmail/domains/example.com:-::\n";
    host.write("/var/qmail/users/assign", format!("{line}{assign}"));
    let add = |file: &str, text: &str| {
        let file = format!("/var/qmail/control/{file}");
        let before = fs::read_to_string(host.path(&file)).unwrap();
        host.write(&file, before + text);
    };
    add("virtualdomains", "new.example:new.example\n");
    add("rcpthosts", "new.example\n");
    let answer = host.rebuild();
    assert!(
        answer.stderr.contains("nothing is published to keep for mail.example.org, new.example, so"),
        "{}",
        answer.stderr
    );
    let asked = ["x@new.example", "ann@example.com", "x@example.com", "example.com-x@mail.example.org"];
    assert_eq!(host.answers(&asked), ["accept", "accept", "refuse", "refuse"]);
    let told = host.run(&["explain", "x@example.com"]).stdout;
    assert!(told.contains("the published answer is kept while the source above cannot be read"), "{told}");
}

#[test]
fn a_new_line_into_a_home_that_cannot_be_read_is_accepted() {
    let (host, _) = damaged(|host| fs::rename(host.path(DOMAIN), host.path("/away")).unwrap());
    let assign = fs::read_to_string(host.path("/var/qmail/users/assign")).unwrap();
    let lines = format!("=shop:x:89:89:{DOMAIN}:-:shop:\n+sales-:x:89:89:{DOMAIN}:-:sales-:\n");
    host.write("/var/qmail/users/assign", lines + &assign);
    host.rebuild();
    let asked =
        ["shop@mail.example.org", "sales-x@mail.example.org", "example.com-x@mail.example.org", "x@example.com"];
    assert_eq!(host.answers(&asked), ["accept", "accept", "refuse", "refuse"]);
}

#[test]
fn a_kept_bare_login_is_the_default_domains_own() {
    let host = MailHost::sample();
    let net = "/home/vpopmail/domains/example.net";
    host.remove("/var/qmail/control/authvars").write("/home/vpopmail/etc/defaultdomain", "example.net\n");
    host.mailboxes(DOMAIN, &["ann:$1$a$com:1:0:N:/d:Q"]).mailboxes(net, &["ann:$1$a$net:1:0:N:/d:Q"]);
    host.rebuild();
    assert_eq!(host.logins()["ann"], "$1$a$net");
    host.write("/home/vpopmail/etc/defaultdomain", "example.com\n").write(&format!("{DOMAIN}/vpasswd.cdb"), "");
    host.rebuild();
    assert_eq!(host.logins()["ann"], "$1$a$com");
}

#[test]
fn nothing_is_kept_from_a_damaged_table() {
    let host = MailHost::sample();
    host.rebuild();
    for name in ["validrcptto.cdb", "auth.cdb"] {
        let mut image = fs::read(host.published(name)).unwrap();
        image[2048..2056].fill(0xff);
        fs::write(host.published(name), image).unwrap();
    }
    fs::rename(host.path(DOMAIN), host.path("/away")).unwrap();
    let answer = host.rebuild();
    assert_eq!(answer.stderr.matches("nothing can be kept from it").count(), 2, "{}", answer.stderr);
    assert_eq!(
        host.answers(&["ann@example.com", "anybody@example.com", "x@mail.example.org"]),
        ["accept", "accept", "refuse"]
    );
}

#[test]
fn a_domain_that_is_no_vpopmail_domain_any_more_is_not_kept_for_ever() {
    let (host, _) = damaged(|host| {
        host.remove(&format!("{DOMAIN}/vpasswd.cdb")).remove(&format!("{DOMAIN}/vpasswd"));
    });
    host.write(&format!("{DOMAIN}/.qmail-default"), "&all@example.net\n");
    let answer = host.rebuild();
    assert!(!answer.stderr.contains("alert"), "{}", answer.stderr);
    assert_eq!(host.answers(&["anybody@example.com"]), ["accept"]);
    assert!(!host.logins().contains_key("ann@example.com"));
}

#[test]
fn a_home_of_many_large_files_costs_little() {
    let host = MailHost::sample();
    let line = |text: &str, count: usize| text.repeat(count);
    host.write("/home/carol/.qmail-big", line("&\n", 500_000));
    host.write("/home/carol/.qmail-probe", line("|/home/carol/l/l/l/vdelivermail\n", 30_000))
        .link("/home/carol/l", ".");
    // Each is read by its own name, as qmail does.
    for number in 0..40 {
        host.link(&format!("/home/carol/.qmail-l{number}"), ".qmail-big");
    }
    let limited = format!("ulimit -v 600000; exec {} --root {} rebuild", support::tested(), host.root().display());
    let output = std::process::Command::new("bash").args(["-c", &limited]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let asked = ["carol-big@mail.example.org", "carol-l39@mail.example.org", "carol-x@mail.example.org"];
    assert_eq!(host.answers(&asked), ["accept", "accept", "refuse"]);
}

/// A limit a little above what the allocator reserves must leave enough for the threads.
#[test]
fn a_limit_of_memory_that_is_enough_for_a_rebuild_is_enough_whatever_it_is() {
    let host = MailHost::sample();
    for kind in ["-v", "-d"] {
        for limit in [140_000, 200_000, 600_000, 1_048_576, 1_060_000, 1_070_000, 1_100_000, 1_200_000, 4_300_000] {
            let script =
                format!("ulimit {kind} {limit}; exec {} --root {} rebuild", support::tested(), host.root().display());
            let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
            assert!(output.status.success(), "{kind} {limit}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn what_lies_about_in_validrcptto_d_does_not_stop_a_rebuild() {
    let host = MailHost::sample();
    for name in [".relay.example.swp", "relay.example~", "old.example"] {
        host.write(&format!("/var/qmail/control/validrcptto.d/{name}"), "not a list\n");
    }
    host.folder("/var/qmail/control/validrcptto.d/.git");
    let answer = host.rebuild();
    assert_eq!(answer.stderr.matches("ignored: no relayed domain is called so").count(), 4, "{}", answer.stderr);
    assert_eq!(host.answers(&["erik@relay.example", "nobody@relay.example"]), ["accept", "refuse"]);
}

#[test]
fn an_ordinary_user_who_may_not_read_a_domain_keeps_it() {
    if is_root() {
        return skip("a domain that may not be read", "root reads everything");
    }
    let host = MailHost::sample();
    host.rebuild();
    host.mode(DOMAIN, 0o000);
    let answer = host.run(&["rebuild"]);
    host.mode(DOMAIN, 0o755);
    assert_eq!(answer.code, 111, "{}", answer.stderr);
    assert!(answer.stderr.contains("example.com: Permission denied; "), "{}", answer.stderr);
    assert!(answer.stderr.ends_with("; run as root\n"), "{}", answer.stderr);
    assert_eq!(host.answers(&["ann@example.com", "nobody@example.com"]), ["accept", "refuse"]);
}

/// The alerts of a rebuild, without the paths of this host.
fn alerts(host: &MailHost, answer: &Answer) -> Vec<String> {
    let lines = answer.stderr.lines().filter_map(|line| line.strip_prefix("qmail-updater: alert: "));
    lines.map(|line| line.replace(host.root().to_str().unwrap(), "")).collect()
}

#[test]
fn a_domain_whose_directory_has_no_vpasswd_is_told_so() {
    let host = MailHost::sample();
    host.remove(&format!("{DOMAIN}/vpasswd"));
    let follows = "nothing is published to keep for example.com, example.edu, so what leads there is accepted";
    assert_eq!(
        alerts(&host, &host.rebuild()),
        [format!("{DOMAIN}: neither vpasswd.cdb nor vpasswd is there; {follows}")],
        "everybody may enter the directory"
    );
}

#[test]
fn a_directory_that_its_user_may_not_enter_is_told_with_the_mode_that_says_so() {
    if !is_root() {
        return skip("directories of others", "only root can make them");
    }
    let host = MailHost::sample();
    host.rebuild();
    let kept = "recipients are kept as published";
    let told = |host: &MailHost| {
        let told = alerts(host, &host.rebuild());
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(kept), "{told:?}");
        told[0].split_once(kept).unwrap().0.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ').to_owned()
    };
    // carol has uid and gid 1001.
    host.mode("/home/carol", 0o700);
    let of_carol = "/home/carol: uid 1001, gid 1001 may not";
    assert_eq!(told(&host), format!("{of_carol} enter it: mode 0700, owner 0:0;"));
    host.mode("/home/carol", 0o750).own("/home/carol", 5, 1001).mode("/home/carol", 0o740);
    assert_eq!(told(&host), format!("{of_carol} enter it: mode 0740, owner 5:1001;"), "her group may not search it");
    host.mode("/home/carol", 0o755).mode("/home", 0o711).own("/home", 1001, 0).mode("/home", 0o611);
    assert_eq!(told(&host), format!("{of_carol} search a directory above it: mode 0611, owner 1001:0;"));
    // What cannot be read for one reason cannot be entered for another: both were seen.
    host.mode("/home", 0o755);
    host.write(&format!("{DOMAIN}/vpasswd.cdb"), "torn").mode(DOMAIN, 0o700);
    let both = "uid 89, gid 89 may not enter it: mode 0700, owner 0:0; vpasswd.cdb: corrupt: shorter than a cdb's 2048 bytes of pointers;";
    assert_eq!(told(&host), format!("{DOMAIN}: {both}"));
}

#[test]
fn a_file_that_is_not_read_is_told_with_its_own_cause() {
    let host = MailHost::sample();
    let long = "# \n".repeat(400_000);
    host.write("/home/carol/.qmail-long", long).folder("/home/carol/.qmail-out-target");
    fs::remove_dir(host.path("/home/carol/.qmail-out-target")).unwrap();
    host.folder("/srv/lists").write("/srv/lists/x", "&x@y.test\n").link("/home/carol/.qmail-out", "/srv/lists");
    let deep = (0..20).fold("/home/carol/.qmail-deep".to_owned(), |path, _| path + "/d");
    host.folder(&deep);
    host.run(&["rebuild"]);
    let explained = |address: &str| {
        let told = host.run(&["explain", address]);
        assert_eq!(told.code, host.run(&["lookup", address]).code, "{}", told.stderr);
        assert!(told.stdout.ends_with("\ndefer\n"), "{}", told.stdout);
        told.stdout.replace(host.root().to_str().unwrap(), "")
    };
    let told = explained("carol-long@mail.example.org");
    assert!(told.contains("  /home/carol/.qmail-long: not read: it is longer than 1 MiB: deferred\n"), "{told}");
    let told = explained("carol-out/x@mail.example.org");
    assert!(
        told.contains("  /home/carol/.qmail-out/x: not read: it is outside the home directory: deferred\n"),
        "{told}"
    );
    let told = explained(&format!("carol-deep{}/x@mail.example.org", "/d".repeat(20)));
    assert!(told.contains("/x: not read: more than 16 directories deep: deferred\n"), "{told}");
    let found = host.run(&["check"]).stdout.replace(host.root().to_str().unwrap(), "");
    let follows = "names with a / below it are not listed";
    let told = format!(
        "status: /home/carol/.qmail-out: a directory that is not read: it is outside the home directory; {follows}\tqmail-directory\n"
    );
    assert!(found.contains(&told), "{found}");
}

#[test]
fn a_table_that_says_otherwise_is_told_with_no_cause_that_was_not_seen() {
    let host = MailHost::sample();
    let line = |what: &str| {
        let told = host.run(&["user", "ann@example.com"]);
        let start = format!("  {what}: ");
        told.stdout.lines().find_map(|line| line.strip_prefix(&start)).unwrap().to_owned()
    };
    assert!(line("smtp login").ends_with("; auth.cdb: not there"), "{}", line("smtp login"));
    host.rebuild();
    assert_eq!(line("smtp login"), "yes, as ann@example.com and ann");
    // Another program wrote it, and nothing of the host has changed since.
    let other = qmail_updater::cdb::image([(&b"ann@example.com"[..], &b"other"[..])]).unwrap();
    fs::write(host.published("auth.cdb"), other).unwrap();
    assert!(line("smtp login").ends_with(" and ann; auth.cdb says otherwise"), "{}", line("smtp login"));
    host.rebuild();
    let vpasswd = fs::read_to_string(host.path(&format!("{DOMAIN}/vpasswd"))).unwrap();
    host.write(&format!("{DOMAIN}/vpasswd"), vpasswd.replace("ann:$", "ann:$6$other$"));
    let told = line("smtp login");
    assert!(told.ends_with("; auth.cdb says otherwise: the host has changed since"), "{told}");
    fs::write(host.published("auth.cdb"), "torn").unwrap();
    assert!(line("smtp login").contains("; auth.cdb: corrupt: "), "{}", line("smtp login"));
    // What a table answers is compared with qmail, and the cause of a difference is not guessed.
    host.write(&format!("{DOMAIN}/.qmail-new"), "&x@y.test\n").remove(&format!("{DOMAIN}/.qmail-sales"));
    let told = host.run(&["explain", "new@example.com", "sales@example.com"]).stdout;
    let hint = "rebuild --dry-run shows whether a rebuild changes it\n";
    assert!(told.contains(&format!("no key matches: but should be accepted; {hint}")), "{told}");
    assert!(told.contains(&format!("by its key sales@example.com: but should be refused; {hint}")), "{told}");
}

#[test]
fn that_qmail_smtpd_answers_421_is_told_of_a_table_that_is_not_there_only() {
    let host = MailHost::sample();
    let answer = host.run(&["lookup", "ann@example.com"]);
    assert_eq!(answer.code, 111, "{}", answer.stderr);
    assert!(
        answer.stderr.ends_with("No such file or directory; a qmail-smtpd that asks it answers 421 to every client\n"),
        "{}",
        answer.stderr
    );
    host.rebuild();
    if !is_root() {
        host.mode("/var/qmail/control/validrcptto.cdb", 0o200);
    }
    let mut command = host.command(&["lookup", "ann@example.com"]);
    if is_root() {
        use std::os::unix::process::CommandExt;
        host.mode("/var/qmail/control/validrcptto.cdb", 0o600);
        command.uid(65_534).gid(65_534);
    }
    let answer: Answer = command.output().unwrap().into();
    assert_eq!((answer.code, &answer.stdout[..]), (111, ""), "{}", answer.stderr);
    assert!(answer.stderr.ends_with("validrcptto.cdb: Permission denied; run as root\n"), "{}", answer.stderr);
    let mut command = host.command(&["explain", "ann@example.com"]);
    if is_root() {
        use std::os::unix::process::CommandExt;
        command.uid(65_534).gid(65_534);
    }
    let answer: Answer = command.output().unwrap().into();
    assert_eq!(answer.code, 111, "{}", answer.stderr);
    assert!(answer.stdout.contains("validrcptto.cdb: Permission denied\ndeliver\n"), "{}", answer.stdout);
    assert!(answer.stderr.ends_with("control/validrcptto.cdb; what depends on it is unknown; run as root\n"));
}

#[test]
fn limits_that_an_ordinary_user_may_not_read_are_not_taken_as_none() {
    let host = MailHost::sample();
    host.write("/home/vpopmail/etc/vlimits.default", "disable_smtp\n");
    host.rebuild();
    let told = host.run(&["user", "ann@example.com"]).stdout;
    assert!(told.contains("  smtp login: no: the domain's limit disable_smtp\n"), "{told}");
    let mut command = host.command(&["user", "ann@example.com"]);
    if is_root() {
        use std::os::unix::process::CommandExt;
        host.mode("/home/vpopmail/etc", 0o700);
        command.uid(65_534).gid(65_534);
    } else {
        host.mode("/home/vpopmail/etc", 0o000);
    }
    let answer: Answer = command.output().unwrap().into();
    host.mode("/home/vpopmail/etc", 0o755);
    assert_eq!(answer.code, 111, "{}", answer.stderr);
    let told = answer.stdout.replace(host.root().to_str().unwrap(), "");
    let unknown = "unknown: /home/vpopmail/etc/vlimits.default: Permission denied\n";
    for what in ["effective flags", "smtp login"] {
        assert!(told.contains(&format!("  {what}: {unknown}")), "{told}");
    }
    assert!(answer.stderr.ends_with("; what depends on it is unknown; run as root\n"), "{}", answer.stderr);
}
