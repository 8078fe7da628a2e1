//! Generated hosts with users in a user database: what is decided of each address, against a small model of the rules
//! (docs/rules.md, 10.5) that shares no code with the program; and the table, which refuses nothing that the model accepts.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::RandomState;
use std::sync::Arc;

use clap::Parser;
use qmail_updater::args::Cli;
use qmail_updater::cdb::Chunk;
use qmail_updater::decide::{Taker, Trail, Verdict, deliver};
use qmail_updater::error::Error;
use qmail_updater::host::mailboxes::collation::Collation;
use qmail_updater::host::mailboxes::snapshot;
use qmail_updater::host::mailboxes::stream::{About, Row, Writer};
use qmail_updater::host::user_database::Kind;
use qmail_updater::publish::Before;
use qmail_updater::rebuild::homes::HomeReader;
use qmail_updater::rebuild::{self, Sink, read_host};
use qmail_updater::settings::Settings;
use qmail_updater::tables::smtpd::{Says, lookup};
use support::{MailHost, give, is_root, me};

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // Of Knuth's MMIX; the upper bits are the better ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn is(&mut self, one_in: u64) -> bool {
        self.roll(one_in) == 0
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        if self.is(12) {
            name.push('-');
        }
        for part in 0..=self.roll(3) {
            if part > 0 {
                name.push(if self.is(5) { '.' } else { '-' });
            }
            name.push_str(["a", "b", "c", "default", "A"][self.roll(5) as usize]);
        }
        if self.is(12) {
            name.push('-');
        }
        name
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Fate {
    /// This takes it.
    Deliver(Taker),
    Defer,
    Bounce,
}

/// What is on a host.
struct Model {
    kind: Kind,
    has_aliases: bool,
    qmail_ext: bool,
    folds: bool,
    /// Whether the catch-all bounces; else it delivers.
    bounces: bool,
    /// The .qmail files of the first domain's directory and of joe's home, by what follows `.qmail-`, but `default`.
    files: BTreeMap<String, Fate>,
    /// Domain, name, line.
    aliases: Vec<(String, String, &'static str)>,
    /// Domain, name, flags.
    mailboxes: Vec<(String, String, u32)>,
}

/// The domains of mail, where their users are, and whether the uid of their lines is the one that delivers; `None`: there is
/// no line. Mail for each is delivered in one and the same directory.
const DOMAINS: [(&str, &str, Option<bool>); 6] = [
    ("one.test", "one.test", Some(true)),
    ("alias.test", "one.test", Some(true)),
    ("other.test", "two.test", Some(true)),
    ("uid.test", "one.test", Some(false)),
    ("none.test", "none.test", None),
    ("local.test", "local.test", None),
];

impl Model {
    fn is_equal(&self, row: &str, name: &str) -> bool {
        if self.folds { row.to_lowercase() == name } else { row == name }
    }

    fn fate(&self, name: &str, domain: (&str, &str, Option<bool>)) -> Fate {
        let name = name.to_lowercase();
        let stem = name.replace('.', ":");
        let mut stems = vec![stem.clone()];
        stems.extend(stem.rmatch_indices('-').map(|(at, _)| format!("{}default", &stem[..=at])));
        if let Some(fate) = stems.iter().find_map(|stem| self.files.get(stem)) {
            return *fate;
        }
        let (_, users, line) = domain;
        let mut wanted = vec![name.clone()];
        wanted.extend(name.rmatch_indices('-').map(|(at, _)| format!("{}default", &name[..=at])));
        let base = name.split_once('-').map(|(base, _)| base.to_owned()).filter(|_| self.qmail_ext);
        wanted.extend(base.clone());
        for alias in wanted.iter().filter(|_| self.has_aliases) {
            let of = |(of, row, _): &&(String, String, &str)| of == users && self.is_equal(row, alias);
            let lines: Vec<&str> = self.aliases.iter().filter(of).map(|(_, _, line)| *line).collect();
            let has = |start: &str| lines.iter().any(|line| line.starts_with(start));
            if has("forward") || has("|exit 99") {
                return Fate::Deliver(Taker::Alias);
            }
            if has("/mbox") {
                return Fate::Defer;
            }
            if has("|exit 100") {
                return Fate::Bounce;
            }
            if !lines.is_empty() {
                return Fate::Deliver(Taker::Alias);
            }
        }
        let is_asked = self.kind == Kind::Pgsql || line == Some(true);
        let wanted = [Some((name, Taker::Mailbox)), base.map(|base| (base, Taker::Extension))];
        for (name, taker) in wanted.into_iter().flatten().filter(|_| is_asked) {
            let of = |(of, row, _): &&(String, String, u32)| of == users && self.is_equal(row, &name);
            if let Some((_, _, flags)) = self.mailboxes.iter().find(of) {
                return if flags & 0x10 == 0 { Fate::Deliver(taker) } else { Fate::Bounce };
            }
        }
        if self.bounces { Fate::Bounce } else { Fate::Deliver(Taker::CatchAll) }
    }
}

#[derive(Default)]
struct Records(BTreeMap<Vec<u8>, Vec<u8>>);

impl Sink for Records {
    fn recipients(&mut self, records: &Chunk) -> Result<(), Error> {
        self.0.extend(records.records().map(|record| (record.key.to_vec(), record.data.to_vec())));
        Ok(())
    }

    fn logins(&mut self, _: &Chunk) -> Result<(), Error> {
        Ok(())
    }
}

const HOME: &str = "/home/vpopmail/domains/one.test";

fn generated(dice: &mut Dice) -> Model {
    let kind = [Kind::Mysql, Kind::Mysql, Kind::Pgsql, Kind::Sqlite][dice.roll(4) as usize];
    let domains = ["one.test", "two.test", "none.test", "local.test", "alias.test"];
    let mut model = Model {
        kind,
        has_aliases: kind != Kind::Sqlite && !dice.is(6),
        qmail_ext: dice.is(3),
        folds: kind == Kind::Mysql && !dice.is(4),
        bounces: !dice.is(5),
        files: BTreeMap::new(),
        aliases: Vec::new(),
        mailboxes: Vec::new(),
    };
    for _ in 0..dice.roll(4) {
        let stem = dice.name().to_lowercase().replace('.', ":");
        if stem != "default" {
            model.files.insert(stem, if dice.is(2) { Fate::Deliver(Taker::Other) } else { Fate::Bounce });
        }
    }
    for _ in 0..dice.roll(14) {
        let line =
            ["forward@x.test", "|exit 100", "# off", "/mbox", "|exit 99", "forward@y.test"][dice.roll(6) as usize];
        model.aliases.push((domains[dice.roll(5) as usize].to_owned(), dice.name(), line));
    }
    for _ in 0..dice.roll(14) {
        let flags = if dice.is(4) { 0x10 } else { 0 };
        model.mailboxes.push((domains[dice.roll(5) as usize].to_owned(), dice.name(), flags));
    }
    model
}

fn host(model: &Model) -> MailHost {
    let host = MailHost::empty();
    let (uid, gid) = if is_root() { (7989, 7989) } else { me() };
    let catch_all = if model.bounces { "bounce-no-mailbox" } else { "sink@x.test" };
    let assign = format!(
        "+one.test-:one.test:{uid}:{gid}:{HOME}:-::\n+alias.test-:one.test:{uid}:{gid}:{HOME}:-::\n\
         +other.test-:two.test:{uid}:{gid}:{HOME}:-::\n+uid.test-:one.test:7990:{gid}:{HOME}:-::\n\
         +by-:one.test:{uid}:{gid}:{HOME}:-::\n+none-:one.test:{uid}:{gid}:{HOME}:-::\n\
         +joe-:joe:{uid}:{gid}:{HOME}:-::\n.\n"
    );
    let virtual_domains =
        "one.test:one.test\nalias.test:alias.test\nother.test:other.test\nuid.test:by\nnone.test:none\n";
    host.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
        .write("/var/qmail/control/me", "host.test\n")
        .write("/var/qmail/control/locals", "local.test\n")
        .write("/var/qmail/control/rcpthosts", DOMAINS.map(|(domain, ..)| format!("{domain}\n")).concat())
        .write("/var/qmail/control/virtualdomains", virtual_domains)
        .write("/var/qmail/users/assign", assign)
        .folder("/home/vpopmail/etc")
        .write(&format!("{HOME}/.qmail-default"), format!("| /home/vpopmail/bin/vdelivermail '' {catch_all}\n"));
    for (stem, fate) in &model.files {
        let line = if *fate != Fate::Bounce { "&x@x.test\n" } else { "|exit 100\n" };
        host.write(&format!("{HOME}/.qmail-{stem}"), line);
    }
    if is_root() {
        std::fs::read_dir(host.path(HOME)).unwrap().for_each(|entry| give(&entry.unwrap().path(), uid, gid));
        give(&host.path(HOME), uid, gid);
    }
    host
}

fn stream(model: &Model) -> Vec<u8> {
    let collation = || Collation { folds: model.folds, pads: model.folds, ..Collation::default() };
    let about = About {
        kind: model.kind,
        name: b"a database".to_vec(),
        has_aliases: model.has_aliases,
        has_limits: false,
        has_table_each: false,
        of_mailbox: collation(),
        of_domain: collation(),
        of_alias: collation(),
        of_alias_domain: collation(),
        of_limits: collation(),
    };
    let mut stream = Writer::new(Vec::new(), &about).unwrap();
    for (domain, name, line) in &model.aliases {
        stream.row(Row::Alias(domain.as_bytes(), name.as_bytes(), Some(line.as_bytes()))).unwrap();
    }
    for (domain, name, flags) in &model.mailboxes {
        stream.row(Row::Mailbox(domain.as_bytes(), name.as_bytes(), b"", *flags)).unwrap();
    }
    stream.end().unwrap()
}

#[test]
fn each_address_of_a_generated_host_with_a_user_database_is_decided_as_the_model_says() {
    let (mut asked, mut widened, mut fates) = (0, 0, BTreeMap::new());
    let hosts = if std::env::var_os("QMAIL_UPDATER_LARGE").is_some() { 1_000 } else { 50 };
    for seed in 0..hosts {
        let mut dice = Dice(seed * 7_919 + 1);
        let model = generated(&mut dice);
        let mail_host = host(&model);
        let root = mail_host.root().to_str().unwrap();
        let mut arguments = vec!["qmail-updater", "--root", root];
        if model.qmail_ext {
            arguments.push("--vpopmail-ext");
        }
        let mut settings = Settings::new(&Cli::parse_from([&arguments[..], &["rebuild"]].concat())).unwrap();
        let snapshot = snapshot::read(&stream(&model)[..], &mut tempfile::tempfile, &RandomState::new(), None).unwrap();
        settings.layout.snapshot = Some(Ok(Arc::new(snapshot)));
        let mut records = Records::default();
        let built = rebuild::build(&settings, &mut records).unwrap();
        let is_widened = |domain: &str| {
            built
                .notes
                .iter()
                .any(|note| note.text.contains("the table cannot say") && note.text.contains(&format!("@{domain}")))
        };
        let host = Arc::new(read_host(&settings, &mut Vec::new()).unwrap());
        let homes = HomeReader::new(&host, &Before::default(), 1, None);
        let rows = model.aliases.iter().map(|(_, name, _)| name).chain(model.mailboxes.iter().map(|(_, name, _)| name));
        let mut names: BTreeSet<String> = rows.chain(model.files.keys()).map(|name| name.replace(':', ".")).collect();
        names.extend((0..20).map(|_| dice.name()));
        let longer: Vec<String> =
            names.iter().flat_map(|name| [format!("{name}-x"), format!("{name}-"), format!("{name}.x")]).collect();
        let shorter: Vec<String> = names.iter().filter_map(|name| Some(name.rsplit_once('-')?.0.to_owned())).collect();
        names.extend(longer.into_iter().chain(shorter).filter(|name| !name.is_empty()));
        for domain in DOMAINS {
            for name in &names {
                let local = if domain.0 == "local.test" { format!("joe-{name}") } else { name.clone() };
                let address = format!("{local}@{}", domain.0);
                let fate = model.fate(name, domain);
                let delivery = deliver(&host, &homes, address.as_bytes(), &mut Trail::unkept());
                let verdict = match fate {
                    Fate::Deliver(_) => Verdict::Deliver,
                    Fate::Defer => Verdict::Defer,
                    Fate::Bounce => Verdict::Bounce,
                };
                let shown = || {
                    let mut trail = Trail::kept();
                    deliver(&host, &homes, address.as_bytes(), &mut trail);
                    let steps: Vec<String> = trail.steps().iter().map(ToString::to_string).collect();
                    format!(
                        "seed {seed}: {address}: {fate:?}; {:?} {:?} {:?} {steps:#?}",
                        model.aliases, model.mailboxes, model.files
                    )
                };
                assert_eq!(delivery.verdict, verdict, "{}", shown());
                let answer = lookup(address.as_bytes(), b'-', |key| records.0.get(key));
                // A refusal of X-default has the key of all names that begin with X- (8.5), and is not written.
                let has_its_key = local.to_lowercase().ends_with("-default");
                if answer.accepted() != delivery.accepted() {
                    assert!(
                        answer.accepted() && (has_its_key || is_widened(domain.0)),
                        "the table says {answer:?}: {}",
                        shown()
                    );
                    widened += 1;
                }
                // Names without a key of their own have what is accepted for all of them.
                if let (Fate::Deliver(taker), false) = (fate, has_its_key || is_widened(domain.0)) {
                    assert_eq!(answer.says, Says::Accepts(Some(taker)), "{}", shown());
                }
                asked += 1;
                *fates.entry(format!("{verdict:?}")).or_insert(0) += 1;
            }
        }
    }
    println!("{asked} addresses, {widened} of them widened: {fates:?}");
    assert!(asked > 10_000 && fates.len() == 3 && fates.values().all(|count| *count > 100), "{asked} {fates:?}");
    assert!(widened * 5 < asked, "{widened} of {asked} are accepted because the table cannot say more");
}
