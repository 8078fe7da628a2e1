//! A domain's owner makes as many rows of a user database as he likes. They cost each rebuild so much once, however many
//! names lead to them; what is beyond the budget of the home is kept as published, and everything else is published.

mod support;

use std::hash::RandomState;
use std::sync::Arc;

use clap::Parser;
use qmail_updater::args::Cli;
use qmail_updater::host::mailboxes::collation::Collation;
use qmail_updater::host::mailboxes::snapshot::{self, Snapshot};
use qmail_updater::host::mailboxes::stream::{About, Row, Writer};
use qmail_updater::host::user_database::Kind;
use qmail_updater::settings::Settings;
use support::{MailHost, filled, give, is_root, me, rebuild_with_alerts};

/// The directory of the customer's domain.
const HIS: &str = "/home/vpopmail/domains/his.test";
/// The same of another one's.
const OTHER: &str = "/home/vpopmail/domains/other.test";

/// Two domains with a line in users/assign each, and one whose mail the second one's `.qmail` file takes without a line.
fn host() -> MailHost {
    let host = MailHost::empty();
    let (uid, gid) = if is_root() { (7989, 7989) } else { me() };
    let line = |domain: &str, home: &str| format!("+{domain}-:{domain}:{uid}:{gid}:{home}:-::\n");
    let assign = [line("his.test", HIS), line("other.test", OTHER), line("by", OTHER), ".\n".to_owned()].concat();
    host.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
        .write("/var/qmail/control/me", "host.test\n")
        .write("/var/qmail/control/locals", "")
        .write("/var/qmail/control/rcpthosts", "his.test\nother.test\nby.test\n")
        .write("/var/qmail/control/virtualdomains", "his.test:his.test\nother.test:other.test\nby.test:by\n")
        .write("/var/qmail/users/assign", assign)
        .folder("/home/vpopmail/etc");
    for home in [HIS, OTHER] {
        let file = format!("{home}/.qmail-default");
        host.write(&file, "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n");
        if is_root() {
            give(&host.path(&file), uid, gid);
            give(&host.path(home), uid, gid);
        }
    }
    host
}

/// A row of a domain: a mailbox, or a line of an alias.
enum Made {
    Mailbox(&'static str, String),
    Alias(&'static str, String, String),
}
use Made::{Alias, Mailbox};

/// What a server says that has these rows; in the column of the names of aliases, these letters are equal.
fn snapshot(rows: &[Made], alike: &[(u8, u8)]) -> Arc<Snapshot> {
    let collation = || Collation { folds: true, pads: true, ..Collation::default() };
    let about = About {
        kind: Kind::Mysql,
        name: b"mysql vpopmail".to_vec(),
        has_aliases: true,
        has_limits: false,
        has_table_each: false,
        of_mailbox: collation(),
        of_domain: collation(),
        of_alias: Collation { alike: alike.to_vec(), ..collation() },
        of_alias_domain: collation(),
        of_limits: collation(),
    };
    let mut stream = Writer::new(Vec::new(), &about).unwrap();
    let hash = filled("$6$saltsalt$");
    for row in rows {
        let row = match row {
            Mailbox(domain, name) => Row::Mailbox(domain.as_bytes(), name.as_bytes(), hash.as_bytes(), 0),
            Alias(domain, name, line) => Row::Alias(domain.as_bytes(), name.as_bytes(), Some(line.as_bytes())),
        };
        stream.row(row).unwrap();
    }
    let stream = stream.end().unwrap();
    Arc::new(snapshot::read(&stream[..], &mut tempfile::tempfile, &RandomState::new(), None).unwrap())
}

/// Rebuilds with what the server says, and gives the alerts.
fn rebuild_with(host: &MailHost, options: &[&str], snapshot: Arc<Snapshot>) -> Vec<String> {
    let root = host.root().to_str().unwrap();
    let arguments = [&["qmail-updater", "--root", root, "rebuild"], options].concat();
    let mut settings = Settings::new(&Cli::parse_from(arguments)).unwrap();
    settings.layout.snapshot = Some(Ok(snapshot));
    let (done, alerts) = rebuild_with_alerts(&settings);
    done.unwrap();
    alerts
}

fn mailbox(domain: &'static str, name: &str) -> Made {
    Mailbox(domain, name.to_owned())
}

/// So many rows of one alias that take the mail of no one, and so many names that it answers for.
fn reached(rows: usize, names: usize) -> Vec<Made> {
    let row = |number| Alias("his.test", "x-default".to_owned(), format!("# {number}"));
    let name = |number| Mailbox("his.test", format!("x-{number}"));
    let more = [mailbox("his.test", "ann"), mailbox("other.test", "dora"), mailbox("other.test", "new")];
    (0..rows).map(row).chain((0..names).map(name)).chain(more).collect()
}

fn published() -> MailHost {
    let host = host();
    let rows = ["his.test", "other.test", "by.test"].map(|domain| mailbox(domain, "ann"));
    assert_eq!(rebuild_with(&host, &[], snapshot(&rows, &[])), [""; 0]);
    assert_eq!(host.answers(&["ann@his.test", "new@his.test"]), ["accept", "refuse"]);
    host
}

/// What this customer's rows made of it: all of his is as it was published, and one alert says why.
fn assert_kept(host: &MailHost, alerts: &[String], words: &str) {
    let [alert] = alerts else { panic!("not one alert: {alerts:?}") };
    for words in [HIS, words, "recipients are kept as published", "logins are kept as published"] {
        assert!(alert.contains(words), "{words:?} is missing: {alert}");
    }
    let asked = ["ann@his.test", "x-7@his.test", "dora@other.test", "new@other.test", "gone@other.test"];
    assert_eq!(host.answers(&asked), ["accept", "refuse", "accept", "accept", "refuse"]);
    assert!(host.logins().contains_key("ann@his.test") && !host.logins().contains_key("x-7@his.test"));
}

#[test]
fn an_alias_with_many_rows_costs_them_once_however_many_names_lead_to_it() {
    let host = published();
    // Each row is a step, and each name some: their product would be 40 millions.
    let alerts = rebuild_with(&host, &["--threads", "1"], snapshot(&reached(20_000, 2_000), &[]));
    assert_eq!(alerts, [""; 0]);
    assert_eq!(host.answers(&["x-7@his.test", "x-y@his.test", "y@his.test"]), ["accept", "accept", "refuse"]);
    // Rows are in the budget: where they are more than it allows, they are not even decided.
    let alerts = rebuild_with(&published(), &["--max-steps", "90000"], snapshot(&reached(20_000, 2_000), &[]));
    assert_eq!(alerts, [""; 0]);
}

#[test]
fn rows_of_aliases_are_steps_of_the_home() {
    let host = published();
    let alerts = rebuild_with(&host, &["--max-steps", "10000"], snapshot(&reached(20_000, 20), &[]));
    assert_kept(&host, &alerts, "than the 10000 steps of --max-steps");
}

#[test]
fn all_rows_of_a_home_are_bytes_that_are_read() {
    let host = published();
    let long = |number: usize| Alias("his.test", format!("a{number}"), "#".repeat(1 << 19));
    let rows = reached(0, 9).into_iter().chain((0..3).map(long)).collect::<Vec<_>>();
    let alerts = rebuild_with(&host, &["--max-read", "1"], snapshot(&rows, &[]));
    assert_kept(&host, &alerts, "more than the 1 MiB of --max-read");
    assert_eq!(rebuild_with(&host, &["--max-read", "2"], snapshot(&rows, &[])), [""; 0]);
    assert_eq!(host.answers(&["x-7@his.test", "a2@his.test"]), ["accept"; 2]);
}

#[test]
fn mailboxes_in_rows_are_entries_of_the_home() {
    let host = published();
    let alerts = rebuild_with(&host, &["--max-entries", "500"], snapshot(&reached(0, 501), &[]));
    assert_kept(&host, &alerts, "more than the 500 entries of --max-entries");
}

#[test]
fn names_that_a_server_calls_equal_share_the_rows_of_their_alias() {
    let host = published();
    // 4,096 spellings of each: their rows would be 2 GiB, and are 4 MiB.
    let row = |number: usize| Alias("his.test", "i".repeat(12), format!("# {number} {}", "#".repeat(1 << 17)));
    let rows = reached(0, 9).into_iter().chain((0..32).map(row)).collect::<Vec<_>>();
    let alerts = rebuild_with(&host, &["--max-read", "5"], snapshot(&rows, &[(b'i', b'y')]));
    assert_eq!(alerts, [""; 0]);
    assert_eq!(host.answers(&["iiiiiiiiiiii@his.test", "IyiiiiiiiiiY@his.test"]), ["accept"; 2]);
    assert_eq!(host.answers(&["iiiiiiiiiii@his.test", "x-7@his.test"]), ["refuse", "accept"]);
    // Each of them is a step, too.
    let kept = published();
    let alerts = rebuild_with(&kept, &["--max-steps", "4000"], snapshot(&rows, &[(b'i', b'y')]));
    assert_kept(&kept, &alerts, "than the 4000 steps of --max-steps");
}

#[test]
fn a_domain_without_a_line_that_has_too_many_rows_refuses_no_name_that_it_accepted() {
    let host = host();
    let forward = |name: &str| Alias("by.test", name.to_owned(), "&x@y.test".to_owned());
    let few = [forward("sales"), mailbox("other.test", "ann")];
    assert_eq!(rebuild_with(&host, &[], snapshot(&few, &[])), [""; 0]);
    let asked = ["sales@by.test", "nobody@by.test", "new@other.test"];
    assert_eq!(host.answers(&asked), ["accept", "refuse", "refuse"]);
    let row = |number| Alias("by.test", "x".to_owned(), format!("# {number}"));
    let many: Vec<Made> = (0..20_000).map(row).chain([forward("sales"), mailbox("other.test", "new")]).collect();
    let alerts = rebuild_with(&host, &["--max-steps", "10000"], snapshot(&many, &[]));
    assert!(alerts.iter().any(|alert| alert.contains("--max-steps")), "{alerts:?}");
    assert_eq!(host.answers(&asked), ["accept", "refuse", "accept"]);
}
