//! What the data of an accepting entry says (docs/rules.md, 13): what takes the mail. And the first rebuild after a version that
//! did not say it.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use qmail_updater::cdb::{Reader, image};
use support::service::Service;
use support::{Answer, MailHost, script};

const COM: &str = "/home/vpopmail/domains/example.com";
const NET: &str = "/home/vpopmail/domains/example.net";

/// What `lookup` says of each address.
fn takers(host: &MailHost, addresses: &[&str]) -> BTreeMap<String, String> {
    let answer = host.run(&[&["lookup"], addresses].concat());
    let row = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        assert_eq!(fields.len(), 4, "{line}");
        (fields[1].to_owned(), fields[3].to_owned())
    };
    answer.stdout.lines().map(row).collect()
}

fn assert_takers(host: &MailHost, wanted: &[(&str, &str)]) {
    let addresses: Vec<&str> = wanted.iter().map(|(address, _)| *address).collect();
    let found = takers(host, &addresses);
    for (address, taker) in wanted {
        assert_eq!(found[*address], *taker, "{address}");
    }
}

fn data(host: &MailHost) -> BTreeMap<String, String> {
    let image = fs::read(host.published("validrcptto.cdb")).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Reader::new(&image).unwrap().records().map(|record| (text(record.key), text(record.data))).collect()
}

/// Puts the published table as version 0.1.0 wrote it in its place: with the data of refusing entries alone.
fn write_old_table(host: &MailHost) {
    let table = data(host);
    let old = table.iter().map(|(key, data)| (key.as_bytes(), if data == "-" { &b"-"[..] } else { b"" }));
    fs::write(host.published("validrcptto.cdb"), image(old).unwrap()).unwrap();
}

#[test]
fn each_entry_says_what_takes_the_mail() {
    let host = MailHost::sample();
    host.write(&format!("{COM}/.qmail-carla"), "&else@where.test\n");
    let answer = host.run(&["rebuild", "--vpopmail-ext"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_takers(
        &host,
        &[
            ("ann@example.com", "mailbox"),
            ("ANN@example.edu", "mailbox"),
            ("ann-news@example.com", "qmail-ext"),
            // The file comes before the mailbox.
            ("carla@example.com", "other"),
            ("carla-x@example.com", "qmail-ext"),
            ("sales@example.com", "other"),
            ("list-x@example.com", "other"),
            ("dora@example.net", "mailbox"),
            ("dora-x@example.net", "qmail-ext"),
            ("anybody@example.net", "catch-all"),
            ("carol@mail.example.org", "other"),
            ("anybody@backup.example", "other"),
            ("nobody@example.com", "-"),
            ("spamtrap@example.net", "-"),
        ],
    );
    let data = data(&host);
    for (key, wanted) in [
        ("ann@example.com", "f2"),
        ("ann-default@example.com", "f6"),
        ("dora-default@example.net", "f6"),
        ("@example.net", "f4"),
        ("carol@mail.example.org", "f1"),
        ("spamtrap@example.net", "-"),
    ] {
        assert_eq!(data.get(key).map(String::as_str), Some(wanted), "{key}");
    }
    let listed = host.run(&["list", "recipients", "--vpopmail-ext"]).stdout;
    for line in
        ["accept\tann@example.com\tmailbox\n", "accept\t@example.net\tcatch-all\n", "refuse\tspamtrap@example.net\t-\n"]
    {
        assert!(listed.contains(line), "{line}: {listed}");
    }
}

#[test]
fn a_program_line_says_what_the_program_that_delivers_says() {
    let host = MailHost::sample();
    for program in ["/var/qmail/bin/preline", "/usr/lib/dovecot/dovecot-lda", "/usr/bin/procmail", "/usr/bin/spamc"] {
        host.folder(program.rsplit_once('/').unwrap().0);
        script(&host, program, "exit 0\n");
    }
    let vdelivermail = "/home/vpopmail/bin/vdelivermail '' /home/vpopmail/domains/example.com/carla";
    for (line, mailbox, nobody) in [
        (format!("| spamc -f | {vdelivermail}\n"), "mailbox", "catch-all"),
        (format!("|preline {vdelivermail}\n"), "mailbox", "catch-all"),
        ("|/usr/lib/dovecot/dovecot-lda -d $EXT@$USER\n".into(), "mailbox", "other"),
        ("|/usr/bin/procmail -t\n".into(), "other", "other"),
        (
            format!("|{}\n/dev/null/\n", vdelivermail.replace("/home/vpopmail/domains/example.com/carla", "delete")),
            "mailbox",
            "other",
        ),
        ("/home/all/Maildir/\n".into(), "other", "other"),
    ] {
        host.write(&format!("{COM}/.qmail-default"), &line);
        let answer = host.run(&["rebuild", "--force"]);
        assert_eq!(answer.code, 0, "{answer:?}");
        let found = takers(&host, &["ann@example.com", "nobody@example.com"]);
        assert_eq!((&found["ann@example.com"][..], &found["nobody@example.com"][..]), (mailbox, nobody), "{line}");
    }
}

#[test]
fn a_catch_all_that_swallows_is_one_too() {
    let host = MailHost::sample();
    host.write(&format!("{NET}/.qmail-default"), "| /home/vpopmail/bin/vdelivermail '' delete\n");
    assert_eq!(host.run(&["rebuild", "--catchall-delete", "accept"]).code, 0);
    assert_takers(&host, &[("anybody@example.net", "catch-all"), ("dora@example.net", "mailbox")]);
}

/// Many mailboxes, so that the guard would hold their domains if it took changed data for a loss.
fn large() -> MailHost {
    let host = MailHost::sample();
    let lines: Vec<String> = (0..200).map(|number| format!("user{number}:$6$a$b:1:0:N:/d:Q")).collect();
    host.mailboxes(COM, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(host.rebuild().code, 0);
    host
}

#[test]
fn the_first_rebuild_after_version_0_1_0_is_told_of_once_and_is_no_loss() {
    let host = large();
    let wanted = data(&host);
    let accepted = wanted.values().filter(|data| *data != "-").count();
    write_old_table(&host);
    assert_takers(&host, &[("user7@example.com", "unknown"), ("anybody@example.net", "unknown")]);
    let dry_run = host.run(&["rebuild", "--dry-run"]);
    let line = format!(": of {accepted} accepted names it does not say what takes the mail; a rebuild adds that\n");
    assert_eq!((&dry_run.stdout[..], dry_run.stderr.matches(&line).count()), ("", 1), "{}", dry_run.stderr);
    assert!(!dry_run.stderr.contains("held"), "{}", dry_run.stderr);
    let check = host.run(&["check"]).stdout;
    assert!(!check.contains("the published tables are out of date"), "{check}");
    assert!(host.run(&["status"]).stdout.contains("tables: as the host says\n"));
    let answer = host.rebuild();
    assert!(answer.code == 0 && !answer.stderr.contains("held"), "{answer:?}");
    assert_eq!(data(&host), wanted);
    let again = host.run(&["rebuild", "--dry-run"]);
    assert!(again.stdout.is_empty() && !again.stderr.contains("what takes the mail"), "{again:?}");
    // Later, another taker is a change as any other.
    host.write(&format!("{COM}/.qmail-user7"), "&else@where.test\n");
    let dry_run = host.run(&["rebuild", "--dry-run"]).stdout;
    assert!(dry_run.contains("~\taccept\tuser7@example.com\n"), "{dry_run}");
}

#[test]
fn a_home_that_cannot_be_read_keeps_the_data_of_its_entries() {
    let host = large();
    let before = data(&host);
    let move_away = |from: &str, to: &str| fs::rename(host.path(from), host.path(to)).unwrap();
    move_away(COM, "/away");
    assert_eq!(host.rebuild().code, 0);
    assert_eq!(data(&host), before);
    // Those of version 0.1.0 too.
    write_old_table(&host);
    assert_eq!(host.rebuild().code, 0);
    assert_takers(&host, &[("user7@example.com", "unknown"), ("anybody@example.net", "catch-all")]);
    move_away("/away", COM);
    assert_eq!(host.rebuild().code, 0);
    assert_eq!(data(&host), before);
}

#[test]
fn a_held_domain_keeps_the_data_of_its_entries() {
    let host = large();
    let before = data(&host);
    host.mailboxes(COM, &["new:$6$a$b:1:0:N:/d:Q"]);
    assert_eq!(host.run(&["rebuild"]).code, 111, "held");
    let held = data(&host);
    assert_eq!(held["user7@example.com"], "f2");
    assert_eq!(held["new@example.com"], "f2");
    assert!(before.iter().all(|(key, data)| held.get(key) == Some(data)));
}

#[test]
fn a_service_writes_what_a_rebuild_from_nothing_writes() {
    let service = Service::start(large(), &["--verify"]);
    let host = &service.host;
    assert_takers(host, &[("user7@example.com", "mailbox")]);
    let wait = |address: &str, taker: &str| {
        let start = std::time::Instant::now();
        while takers(host, &[address])[address] != taker {
            assert!(start.elapsed() < support::service::PATIENCE, "{address}: {taker}");
            support::service::pause();
        }
    };
    host.write(&format!("{COM}/.qmail-user7"), "&else@where.test\n");
    wait("user7@example.com", "other");
    host.remove(&format!("{COM}/.qmail-user7"));
    wait("user7@example.com", "mailbox");
    // Another program puts an old table in its place.
    write_old_table(host);
    wait("anybody@example.net", "catch-all");
}

/// What a front end answers.
fn deliverable(host: &MailHost, address: &str) -> String {
    use std::io::Write;
    let link = host.path("/deliverabled");
    if !link.exists() {
        symlink(support::tested(), &link).unwrap();
    }
    let mut command = Command::new(link);
    command.env("QMAIL_UPDATER_SETTINGS", "").env("QMAIL_UPDATER_QMAIL", host.path("/var/qmail"));
    command.env("VALIDRCPTTO_CDB", host.published("validrcptto.cdb"));
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let request = format!("GET /qd1/deliverable?{address} HTTP/1.1\r\n\r\n");
    child.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
    let answer: Answer = child.wait_with_output().unwrap().into();
    answer.stdout.rsplit("\r\n").next().unwrap().to_owned()
}

#[test]
fn haraka_is_told_of_mailboxes_and_catch_alls_by_a_published_table() {
    let host = large();
    let ask = |wanted: [&str; 4]| {
        let addresses = ["user7@example.com", "anybody@example.net", "carol@mail.example.org", "nobody@example.com"];
        assert_eq!(addresses.map(|address| deliverable(&host, address)), wanted);
    };
    ask(["242", "244", "241", "0"]);
    write_old_table(&host);
    ask(["241", "241", "241", "0"]);
}
