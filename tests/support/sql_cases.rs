//! The cases of tests/conformance/sql: what real qmail-local, vdelivermail and vchkpw did with users in MariaDB, PostgreSQL
//! and SQLite, and how the answers of this program are held against them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use clap::Parser;
use qmail_updater::args::Cli;
use qmail_updater::cdb::Chunk;
use qmail_updater::decide::{Trail, Verdict, deliver};
use qmail_updater::error::{Error, Trouble};
use qmail_updater::host::mailboxes::snapshot::Snapshot;
use qmail_updater::host::user_database::Kind;
use qmail_updater::publish::Before;
use qmail_updater::rebuild::homes::HomeReader;
use qmail_updater::rebuild::{self, Sink, read_host};
use qmail_updater::settings::Settings;
use qmail_updater::tables::smtpd::lookup;
use serde_json::Value;

use super::support::{MailHost, give, is_root, me};

/// What all passwords of the cases are the hash of: `pw`.
pub const HASH: &str =
    "$6$saltsalt$pauPrmdmG4BTE9h2HPmywiw152IFch6BJCEsaY6D.PLTfpV8sqvXwWdyfsgVgozkYH9B80bAip/08R2BPH2xk/";
pub const DOMAINS: [&str; 3] = ["a.test", "b-c.test", "b.c.test"];

/// Verdicts that are another's affair, or that the rules say to decide otherwise: the case, what was asked, and why.
const OTHERS: [(&str, &str, &str); 10] = [
    ("B16", "@a.test", "qmail drops a message without a local part (3.2)"),
    (
        "F6",
        "c2@a.test",
        "a mailbox without a hash, which takes the first password that comes, is published by none (4.6)",
    ),
    ("F6", "c3@a.test", "the same"),
    ("F7", "do@a.test", "a mailbox's own directory is left to qmail (4.4)"),
    ("F8", "sq@a.test", "a quota is left to qmail (4.4)"),
    ("E14", "joe@a.test", "a mailbox's own .qmail is left to qmail (4.4)"),
    (
        "A1",
        "joe@zz.test",
        "a missing directory of a mailbox is left to qmail; a login needs a line in users/assign (10.6)",
    ),
    ("B10", "joe@zz.test", "a login needs a line in users/assign (10.6)"),
    ("D-ansi-quotes", "joe@a.test", "the server's mode breaks vpopmail 5.4: nobody wants that (10.7)"),
    ("D-clear-column-missing", "joe@a.test", "this program does not ask for that column (10.7)"),
];

/// Cases in which the user database cannot be read.
pub const UNREADABLE: [&str; 8] = [
    "D-stopped",
    "D-conf-crlf",
    "D-conf-empty-password",
    "D-conf-indented-comment",
    "D-conf-trailing-space-no-newline",
    "D-column-grants-only",
    "D-no-select-on-vpopmail",
    "D-valias-column-missing",
];

/// The records of both tables.
#[derive(Default)]
struct Records {
    recipients: BTreeMap<Vec<u8>, Vec<u8>>,
    logins: BTreeMap<Vec<u8>, Vec<u8>>,
}

fn add(records: &mut BTreeMap<Vec<u8>, Vec<u8>>, chunk: &Chunk) {
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

/// The user database of a case.
pub fn kind_of(case: &Value) -> Kind {
    match case["backend"].as_str().unwrap() {
        "mysql" => Kind::Mysql,
        "pgsql" => Kind::Pgsql,
        _ => Kind::Sqlite,
    }
}

/// The statements that fill the tables of a case in a build with these options.
pub fn statements(case: &Value, options: &[&str]) -> Vec<String> {
    let mut statements: Vec<String> = Vec::new();
    let each = options.contains(&"disable-many-domains");
    let mut insert = |name: &str, domain: &str| {
        statements.push(match each {
            true => format!(
                "insert into {} (pw_name, pw_passwd, pw_gid) values ('{name}', '{HASH}', 0)",
                domain.replace(['.', '-'], "_")
            ),
            false => format!(
                "insert into vpopmail (pw_name, pw_domain, pw_passwd, pw_gid) values ('{name}', '{domain}', '{HASH}', 0)"
            ),
        });
    };
    DOMAINS[..if each { 2 } else { 3 }].iter().for_each(|domain| insert("postmaster", domain));
    if case["setup"]["words"].is_string() {
        insert("joe", "a.test");
        if !case["id"].as_str().unwrap().starts_with("D-valias-missing") {
            statements
                .push("insert into valias (alias, domain, valias_line) values ('al', 'a.test', 'f@x.test')".into());
        }
    }
    let given = case["setup"]["sql"].as_array().into_iter().flatten();
    statements.extend(given.map(|statement| statement.as_str().unwrap().to_owned()));
    statements
}

/// The host of the cases, with this catch-all, and what the case adds.
fn host(case: &Value, catch_all: &str) -> MailHost {
    let host = MailHost::empty();
    let (uid, gid) = if is_root() { (7989, 7989) } else { me() };
    let mut assign: String = DOMAINS.iter().map(|domain| line(domain, domain)).collect();
    assign.push_str(&line("alias.test", "a.test"));
    let more = case["setup"]["assign_extra"].as_str().unwrap_or_default();
    assign.push_str(more);
    if case["id"] == "A3" {
        // What delivers is another line than that of the domain.
        assign.push_str(&line("zw", "a.test"));
    }
    let assign =
        assign.replace(":7989:7989:", &format!(":{uid}:{gid}:")).replace(":7990:7989:", &format!(":7990:{gid}:"));
    let mut virtual_domains: Vec<(&str, &str)> =
        DOMAINS.iter().chain(&["alias.test"]).map(|name| (*name, *name)).collect();
    if let Some(loc) = more.strip_prefix('+').and_then(|rest| rest.split('-').next()) {
        virtual_domains.push(match loc {
            "zz" => ("zz.test", "zz"),
            "w.test" => (loc, "zw"),
            _ => (loc, loc),
        });
    }
    let names: String = virtual_domains.iter().map(|(name, _)| format!("{name}\n")).collect();
    let virtual_domains: String = virtual_domains.iter().map(|(name, prepend)| format!("{name}:{prepend}\n")).collect();
    host.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
        .write("/var/qmail/control/me", "host.test\n")
        .write("/var/qmail/control/locals", "")
        .write("/var/qmail/control/rcpthosts", names)
        .write("/var/qmail/control/virtualdomains", virtual_domains)
        .write("/var/qmail/users/assign", format!("{assign}.\n"))
        .folder("/home/vpopmail/etc");
    for domain in DOMAINS {
        let file = format!("/home/vpopmail/domains/{domain}/.qmail-default");
        host.write(&file, format!("| /home/vpopmail/bin/vdelivermail '' {catch_all}\n"));
    }
    for (file, content) in case["setup"]["files"].as_object().into_iter().flatten() {
        host.write(file, content.as_str().unwrap());
    }
    if case["id"] == "L4" {
        host.write("/home/vpopmail/etc/vlimits.default", "disable_smtp\n");
    }
    if is_root() {
        for domain in DOMAINS {
            let folder = host.path(&format!("/home/vpopmail/domains/{domain}"));
            fs::read_dir(&folder).unwrap().for_each(|entry| give(&entry.unwrap().path(), uid, gid));
            give(&folder, uid, gid);
        }
    }
    host
}

fn line(domain: &str, real: &str) -> String {
    format!("+{domain}-:{real}:7989:7989:/home/vpopmail/domains/{real}:-::\n")
}

/// The hosts that were made, by what is on them.
type Hosts = BTreeMap<String, MailHost>;

/// What is wrong with a case in one build, under one catch-all, with this snapshot.
fn wrong(
    case: &Value,
    options: &[&str],
    snapshot: Arc<Snapshot>,
    catch_all: &str,
    (hosts, asked): (&mut Hosts, &mut usize),
) -> Vec<String> {
    let id = case["id"].as_str().unwrap();
    let is_asked = |check: &&Value| check["catchall"].as_str().is_none_or(|of| of == catch_all);
    let checks: Vec<&Value> = case["checks"].as_array().unwrap().iter().filter(is_asked).collect();
    let key = format!("{catch_all} {} {} {}", case["setup"]["files"], case["setup"]["assign_extra"], id == "L4");
    let mail_host = hosts.entry(key).or_insert_with(|| host(case, catch_all));
    let root = mail_host.root().to_str().unwrap();
    let mut arguments = vec!["qmail-updater", "--root", root, "--catchall-delete", "accept"];
    if options.contains(&"qmail-ext") {
        arguments.push("--vpopmail-ext");
    }
    let mut settings = Settings::new(&Cli::parse_from([&arguments[..], &["rebuild"]].concat())).unwrap();
    let is_unreadable = UNREADABLE.contains(&id);
    settings.layout.snapshot = Some(match is_unreadable {
        true => Err(Trouble::from("mysql vpopmail: server has gone away")),
        false => Ok(snapshot),
    });
    let mut records = Records::default();
    rebuild::build(&settings, &mut records).unwrap();
    let host = Arc::new(read_host(&settings, &mut Vec::new()).unwrap());
    let homes = HomeReader::new(&host, &Before::default(), 1, None);
    let mut wrong = Vec::new();
    let at = format!("{id} {} {options:?} {catch_all}", case["backend"]);
    for check in checks {
        *asked += 1;
        let real = check["verdict"].as_str().unwrap();
        let is_other = |what: &str| OTHERS.iter().any(|(of, name, _)| (*of, *name) == (id, what));
        if let Some(address) = check["address"].as_str() {
            let mut trail = Trail::kept();
            let delivery = deliver(&host, &homes, address.as_bytes(), &mut trail);
            let is_accepted = lookup(address.as_bytes(), b'-', |key| records.recipients.get(key)).accepted();
            let expected = match real {
                _ if is_unreadable => Verdict::Defer,
                "deliver" => Verdict::Deliver,
                "defer" => Verdict::Defer,
                _ => Verdict::Bounce,
            };
            let is_right = delivery.verdict == expected && is_accepted == delivery.accepted();
            if !is_right && !is_other(address) {
                let steps: Vec<String> = trail.steps().iter().map(ToString::to_string).collect();
                wrong.push(format!(
                    "{at}: {address} is {real}: {}, accepted {is_accepted}: {steps:#?}",
                    delivery.verdict
                ));
            }
            // What is decided otherwise is accepted all the same.
            if !is_accepted && real != "bounce" && address != "@a.test" {
                wrong.push(format!("{at}: {address} is {real}, and refused"));
            }
        } else {
            let login = check["login"].as_str().unwrap();
            let published = records.logins.get(login.as_bytes()).map(|data| String::from_utf8_lossy(data));
            let is_ok = check["password"] == "pw" && published.as_deref() == Some(HASH);
            let expected = real == "ok" && !is_unreadable;
            if is_ok != expected && !is_other(login) {
                wrong.push(format!("{at}: the login {login} is {real}: {published:?}"));
            }
        }
    }
    wrong
}

/// Makes the snapshot of a case, in a build, which has these options.
pub type Make<'m> = &'m mut dyn FnMut(&Value, &Value, &[&str]) -> Arc<Snapshot>;

/// What snapshots of all cases of some user databases give is held against the verdicts; they are made by `snapshot`.
pub fn check(kinds: &[Kind], snapshot: Make<'_>) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/sql/cases.json");
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let verdicts: usize = cases.iter().map(|case| case["checks"].as_array().unwrap().len()).sum();
    assert_eq!((cases.len(), verdicts), (307, 1_225), "the cases are not all there");
    let (mut hosts, mut asked, mut found) = (Hosts::new(), 0, Vec::new());
    for case in cases.iter().filter(|case| kinds.contains(&kind_of(case))) {
        let checks = case["checks"].as_array().unwrap();
        for build in case["builds"].as_array().unwrap() {
            let options: Vec<&str> =
                build["options"].as_array().unwrap().iter().map(|option| option.as_str().unwrap()).collect();
            let made = snapshot(case, build, &options);
            for catch_all in ["bounce-no-mailbox", "delete"] {
                if catch_all == "bounce-no-mailbox" || checks.iter().any(|check| check["catchall"] == catch_all) {
                    found.extend(wrong(case, &options, Arc::clone(&made), catch_all, (&mut hosts, &mut asked)));
                }
            }
        }
    }
    assert!(found.is_empty(), "{} of {asked} wrong:\n{}", found.len(), found[..found.len().min(30)].join("\n"));
    println!("{asked} verdicts right");
}
