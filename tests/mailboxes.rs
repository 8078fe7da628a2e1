//! The seam where mailboxes come from (docs/rules.md, 10): the tables are the same, whichever source says the same.

mod support;

use std::fs;
use std::hash::RandomState;
use std::path::Path;
use std::sync::Arc;

use clap::Parser;
use qmail_updater::args::Cli;
use qmail_updater::cdb::Chunk;
use qmail_updater::error::Error;
use qmail_updater::host::mailboxes::collation::Collation;
use qmail_updater::host::mailboxes::snapshot::{self, Snapshot};
use qmail_updater::host::mailboxes::stream::{About, Row, Writer};
use qmail_updater::host::user_database::Kind;
use qmail_updater::host::vpopmail::{BOUNCE_MAIL, NO_SMTP, Shape};
use qmail_updater::rebuild::{self, Sink, read_host};
use qmail_updater::settings::Settings;
use serde_json::Value;
use support::service::Service;
use support::{MailHost, conformance_host, filled, give, is_root, skip};

/// The records of both tables, in their order.
#[derive(Default, PartialEq)]
struct Records {
    recipients: Vec<(Vec<u8>, Vec<u8>)>,
    logins: Vec<(Vec<u8>, Vec<u8>)>,
}

fn add(records: &mut Vec<(Vec<u8>, Vec<u8>)>, chunk: &Chunk) {
    records.extend(chunk.records().map(|record| (record.key.to_vec(), record.data.to_vec())));
}

impl Sink for Records {
    fn recipients(&mut self, records: &Chunk) -> Result<(), Error> {
        add(&mut self.recipients, records);
        Ok(())
    }

    fn logins(&mut self, records: &Chunk) -> Result<(), Error> {
        add(&mut self.logins, records);
        Ok(())
    }
}

fn built(settings: &Settings) -> Records {
    let mut records = Records::default();
    rebuild::build(settings, &mut records).unwrap();
    records
}

/// MySQL as most hosts have it.
fn mysql() -> About {
    let ci = || Collation { folds: true, pads: true, ..Collation::default() };
    About {
        kind: Kind::Mysql,
        name: b"mysql vpopmail".to_vec(),
        has_aliases: true,
        has_limits: true,
        has_table_each: false,
        of_mailbox: Collation::default(),
        of_domain: ci(),
        of_alias: ci(),
        of_alias_domain: ci(),
        of_limits: ci(),
    }
}

fn snapshot(stream: &[u8]) -> Arc<Snapshot> {
    Arc::new(snapshot::read(stream, &mut tempfile::tempfile, &RandomState::new(), None).unwrap())
}

/// What a user database would say of the mailboxes that the files of a host hold, in an order of its own.
fn stream_of_files(settings: &Settings) -> Vec<u8> {
    let host = read_host(settings, &mut Vec::new()).unwrap();
    let mut stream = Writer::new(Vec::new(), &mysql()).unwrap();
    let mut lines: Vec<_> = host.assignments.domains().map(|(_, line)| line).collect();
    lines.sort_by_key(|line| &line.user);
    lines.dedup_by_key(|line| &line.user);
    let mut rows = Vec::new();
    for line in lines {
        let home = host.read_home(&line.home);
        let Some(users) = home.users_of(&line.user) else { continue };
        for (name, mailbox) in users.mailboxes.known().into_iter().flat_map(|mailboxes| mailboxes.all()) {
            // A row has no fields that are missing: what has none bounces, or is left out.
            let flags = match mailbox.shape {
                Shape::Whole => mailbox.flags,
                Shape::Short => mailbox.flags | BOUNCE_MAIL,
                Shape::Broken => continue,
            };
            rows.push((name.to_vec(), line.user.clone(), mailbox.crypt.to_vec(), u32::try_from(flags).unwrap()));
        }
        let no_smtp = users.limits.as_ref().is_ok_and(|limits| limits & NO_SMTP != 0);
        stream.row(Row::Limits(&line.user, no_smtp)).unwrap();
    }
    // By name, and not by domain; of equal names in the order of the file.
    rows.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    for (name, domain, crypt, flags) in &rows {
        stream.row(Row::Mailbox(domain, name, crypt, *flags)).unwrap();
    }
    stream.end().unwrap()
}

#[test]
fn a_snapshot_of_the_mailboxes_of_files_gives_the_tables_of_the_files() {
    if !is_root() {
        return skip("a snapshot of the mailboxes of files", "their files belong to several users, which needs root");
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (mut names, mut logins, mut empty) = (0, 0, 0);
    for path in paths.filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        let description: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let name = description["name"].as_str().unwrap();
        let host = conformance_host(&description);
        let root = host.root().to_str().unwrap();
        let mut settings = Settings::new(&Cli::parse_from(["qmail-updater", "--root", root, "rebuild"])).unwrap();
        let of_files = built(&settings);
        settings.layout.snapshot = Some(Ok(snapshot(&stream_of_files(&settings))));
        let of_snapshot = built(&settings);
        for (files, snapshot) in
            [(&of_files.recipients, &of_snapshot.recipients), (&of_files.logins, &of_snapshot.logins)]
        {
            let shown = |(key, data): &(Vec<u8>, Vec<u8>)| {
                format!("{} {}", String::from_utf8_lossy(key), String::from_utf8_lossy(data))
            };
            let only = |these: &[(Vec<u8>, Vec<u8>)], others: &[(Vec<u8>, Vec<u8>)]| {
                these.iter().filter(|record| !others.contains(record)).map(shown).collect::<Vec<_>>()
            };
            assert!(
                files == snapshot,
                "{name}: only by the files: {:#?}; only by the snapshot: {:#?}",
                only(files, snapshot),
                only(snapshot, files)
            );
        }
        settings.layout.snapshot = Some(Ok(snapshot(&Writer::new(Vec::new(), &mysql()).unwrap().end().unwrap())));
        empty += built(&settings).logins.len();
        names += of_files.recipients.len();
        logins += of_files.logins.len();
    }
    assert!(names > 1_000 && logins == 90, "{names} {logins}: the hosts are not all there");
    assert_eq!(empty, 0, "no file of mailboxes is read beside a snapshot");
}

/// The most memory that a service takes with so many domains of so many mailboxes, in bytes.
fn peak_of_domains(domains: usize, mailboxes: usize) -> usize {
    let host = MailHost::empty();
    let owner = if is_root() { (89, 89) } else { support::me() };
    let home = |domain: usize| format!("/home/vpopmail/domains/d{domain}.test");
    let of_all = |line: &dyn Fn(usize) -> String| (0..domains).map(line).collect::<String>();
    let line = |domain| format!("+d{domain}.test-:d{domain}.test:{}:{}:{}:-::\n", owner.0, owner.1, home(domain));
    host.write("/var/qmail/control/me", "mail.test\n").write("/var/qmail/control/locals", "");
    host.write("/var/qmail/control/rcpthosts", of_all(&|domain| format!("d{domain}.test\n")));
    host.write("/var/qmail/control/virtualdomains", of_all(&|domain| format!("d{domain}.test:d{domain}.test\n")));
    host.write("/var/qmail/users/assign", of_all(&line) + ".\n");
    host.folder("/home/vpopmail/etc").folder("/tmp");
    let (hash, gecos) = (filled("$1$a$b"), "x".repeat(100));
    let records: Vec<String> =
        (0..mailboxes).map(|n| format!("user{n}:{hash}:1:0:{gecos}:/x/user{n}:NOQUOTA")).collect();
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    for home in (0..domains).map(home) {
        host.mailboxes_as_written(&home, &records);
        host.write(&format!("{home}/.qmail-default"), "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n");
        for file in ["", "/vpasswd.cdb", "/.qmail-default"] {
            give(&host.path(&format!("{home}{file}")), owner.0, owner.1);
        }
    }
    let service = Service::start(host, &["--no-watch", "--threads", "1"]);
    assert_eq!(service.host.answers(&["user7@d0.test", "nobody@d0.test"]), ["accept", "refuse"]);
    let status = fs::read_to_string(format!("/proc/{}/status", service.child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[test]
fn large_domains_are_in_memory_one_after_the_other() {
    const MAILBOXES: usize = 10_000;
    let (few, many) = (peak_of_domains(2, MAILBOXES), peak_of_domains(8, MAILBOXES));
    // Without the records themselves, which take more than three times as much.
    let each = many.saturating_sub(few) / (6 * MAILBOXES);
    assert!(each <= 60, "{each} bytes a mailbox: {few} bytes with 2 domains, {many} with 8");
}
