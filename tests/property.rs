//! The heart of it: on generated hosts, for every address made of their names, extensions, spellings and mutations,
//! qmail-smtpd's lookup in the built table gives delivery's answer, with exactly the exceptions of docs/rules.md, 8.6 and
//! 8.7: the table may be wider than qmail where it cannot say it, with a warning, and is never narrower.

mod support;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clap::Parser;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use qmail_updater::args::Cli;
use qmail_updater::cdb::{Chunk, image};
use qmail_updater::decide::{Delivery, Trail, Verdict, deliver};
use qmail_updater::error::Error;
use qmail_updater::host::Host;
use qmail_updater::publish::Before;
use qmail_updater::rebuild::homes::HomeReader;
use qmail_updater::rebuild::{Sink, build, read_host};
use qmail_updater::settings::Settings;
use qmail_updater::tables::recipients::relay_step;
use qmail_updater::tables::smtpd::{self, OTHER, Says};
use qmail_updater::text::Shown;
use support::{MailHost, is_root, me, witness};

const DOMAINS: &[&str] =
    &["loc.test", "v0.test", "v1.test", "al.test", "pre.test", "sub.wild.test", "relay.test", "u_s.test"];
/// Alias domains of the first one.
const ALIASES: &[&str] = &["m0.test", "m1.test", "m2.test"];
const WORDS: &[&str] = &[
    "a",
    "joe",
    "joe-x",
    "joe-list",
    "list",
    "list-owner",
    "x-default",
    "default",
    "a:b",
    "a-b",
    "x",
    "-",
    "-x",
    "x-",
    "b-default-c",
    "sub/x",
    "sub/x-default",
    "ann",
    "postmaster",
    "x+y",
    "joe+x",
    "x-a:b",
    "list-a:b:a",
    "v0.test-list",
    "m1.test-joe",
    "Up",
    "d.ot",
    "al",
    "a@b",
    "x+default",
    "jo",
    "li",
];
const LOCS: &[&str] = &[
    "v0.test-",
    "v1.test-",
    "al.test-",
    "joe",
    "joe-",
    "li",
    "list-",
    "pre-x",
    "pre-",
    "v0.test-list-",
    "v0.test-li",
    "",
    "a",
    "x-default",
    "joe-Li",
    "joe-x-default",
    "sub.wild.test-",
    "+",
    "joe+",
    "v0.test-x-default",
    "u_s.test-",
    "m1.test-list-",
    "m1.test-x",
];
const PRES: &[&str] = &["", "", "", "list-", "x", "A.b-", "li", "x-", "default"];
const DASHES: &[&str] = &["-", "-", "-", "", "-x-"];
const HOMES: &[&str] = &[
    "/home/vpopmail/domains/v0.test",
    "/home/vpopmail/domains/v1.test",
    "/home/joe",
    "/home/ann",
    "/var/qmail/alias",
    "/home/gone",
    "relative",
    "",
];
const PREPENDS: &[&str] =
    &["v0.test", "v1.test", "al.test", "joe", "joe-list", "pre", "alias", "nobody", "", "a", "list", "Joe"];
const KEYS: &[&str] = &[
    "v0.test",
    "v1.test",
    "al.test",
    "pre.test",
    ".wild.test",
    "",
    "joe@loc.test",
    "list@v0.test",
    "x-default@relay.test",
    "sub.wild.test",
    "u_s.test",
    "postmaster@pre.test",
    "a@b@v1.test",
    "list@m1.test",
];
const ACCOUNTS: &[&str] =
    &["joe", "ann", "joe-list", "x-default", "v0.test-joe", "al", "a", "alias", "Up", "-x", "joe+x"];
const CONTENTS: &[&str] = &[
    "",
    "\n",
    "&else@example.net\n",
    "./Maildir/\n",
    "|exit 100\n",
    "|bouncesaying 'gone'\n",
    "|exit 99\n|exit 100\n",
    "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n",
    "| /home/vpopmail/bin/vdelivermail '' delete\n",
    "| /home/vpopmail/bin/vdelivermail '' ann@example.net\n",
    "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n",
    "| /home/vpopmail/bin/vdelivermail '' delete\n&x@y.test\n",
    "|exit 0\n|exit 100\n",
    "# only\n",
    "+list\n|exit 100\n",
    "|preline procmail\n",
];
/// Commands of program lines: known, declared, unknown, and some that are not there.
const PROGRAMS: &[&str] = &[
    "/home/vpopmail/bin/vdelivermail '' bounce-no-mailbox",
    "/home/vpopmail/bin/vdelivermail '' delete",
    "/home/vpopmail/bin/vdelivermail '' ann@example.net",
    "~vpopmail/bin/vdelivermail \"\" bounce-no-mailbox",
    "/usr/libexec/dovecot/dovecot-lda -d \"$EXT@$HOST\"",
    "dovecot-lda -d $EXT@$USER",
    "/usr/libexec/dovecot/dovecot-lda",
    "fastforward -d /etc/aliases.cdb",
    "fastforward -dp /etc/aliases.cdb",
    "bouncesaying 'gone'",
    "bouncesaying 'gone' mailer",
    "mailer",
    "filter -x",
    "taker",
    "refuser",
    "mailboxes",
    "unknown",
    "/nowhere/unknown",
    "exit 0",
    "exit 99",
    "exit 100",
    "exit 111",
    "exit",
    "true",
];
/// How one or two of them make another one.
const JOINS: &[&str] = &[
    "A || B",
    "A && B",
    "A; B",
    "A | B",
    "! A",
    "(A)",
    "{ A; }",
    "if A; then B; fi",
    "if ! A; then exit 100; else B; fi",
    "preline -f A",
    "env X=1 A",
    "nice A",
    "exec A",
    "A >/dev/null 2>&1",
    "A >>log",
    "A # B",
];
/// What the administrator says of some of them.
const DECLARED: &str = "filter passes\ntaker accepts\nrefuser refuses\nmailboxes mailboxes\n";

/// A program line.
fn program_line() -> impl Strategy<Value = String> {
    let command = (0..PROGRAMS.len()).prop_map(|number| PROGRAMS[number].to_owned());
    let line = command.prop_recursive(3, 6, 2, |part| {
        (0..JOINS.len(), part.clone(), part).prop_map(|(join, a, b)| {
            JOINS[join]
                .chars()
                .map(|c| match c {
                    'A' => a.clone(),
                    'B' => b.clone(),
                    c => c.to_string(),
                })
                .collect()
        })
    });
    line.prop_map(|line| format!("|{line}\n"))
}

/// Of mailboxes: sound, with flags, and cut off.
const RECORDS: &[&str] = &[
    "x:1:0:N:/d:Q",
    "x:1:0:N:/d:Q",
    "x:1:0:N:/d:Q",
    "x:1:2048:N:/d:Q",
    "x:1:16:N:/d:Q",
    "x:1: -1:N:/d:Q",
    "x:1:0:N",
    "x:1",
];
const MODES: &[u32] = &[0o644, 0o644, 0o644, 0o600, 0o646, 0o744, 0o000];

#[derive(Clone, Debug)]
struct Spec {
    locals: Vec<usize>,
    keys: Vec<(usize, usize)>,
    assign: Vec<(bool, usize, usize, usize, usize, bool)>,
    accounts: Vec<(usize, usize)>,
    files: Vec<(usize, usize, usize, usize, usize)>,
    mailboxes: Vec<(usize, usize, usize)>,
    home_modes: Vec<usize>,
    relay: Option<Vec<(bool, usize)>>,
    break_plus: bool,
    qmail_ext: bool,
    delete_accepts: bool,
    wildcard_rcpthosts: bool,
    /// Files of one or two program lines, and which of them are the .qmail-default of the domains. Whether some of the
    /// programs are declared, and whether those of Dovecot are.
    lines: (Vec<String>, [Option<usize>; 2], bool, bool),
    /// How many alias domains there are, of which kind each is, and whether validrcptto.d has a list for the second one.
    aliases: (Vec<usize>, bool),
}

fn spec() -> impl Strategy<Value = Spec> {
    let locals = vec(prop_oneof![4 => Just(0), 1 => 0..DOMAINS.len()], 1..3);
    let keys = vec((0..KEYS.len(), 0..PREPENDS.len()), 0..7);
    let line =
        (any::<bool>(), 0..LOCS.len(), 0..HOMES.len(), 0..DASHES.len(), 0..PRES.len(), proptest::bool::weighted(0.95));
    let assign = vec(line, 0..7);
    let accounts = vec((0..ACCOUNTS.len(), 2..5usize), 0..5);
    let content = prop_oneof![3 => 0..CONTENTS.len(), 2 => CONTENTS.len()..CONTENTS.len() + 4];
    let file = (0..5usize, 0..WORDS.len() + 2, content, 0..MODES.len(), 0..12usize);
    let files = vec(file, 0..14);
    let mailboxes = vec((0..2usize, 0..WORDS.len() + 1, 0..RECORDS.len()), 0..8);
    let home_modes = vec(prop_oneof![12 => Just(0usize), 1 => 1..5usize], 5);
    let relay = proptest::option::of(vec((any::<bool>(), 0..WORDS.len() + 1), 0..4));
    let switches = (proptest::bool::weighted(0.15), proptest::bool::weighted(0.25), any::<bool>(), any::<bool>());
    let aliases =
        (vec(prop_oneof![4 => Just(0usize), 1 => 1..6usize], 0..=ALIASES.len()), proptest::bool::weighted(0.1));
    let lines = vec(program_line(), 1..3).prop_map(|lines| lines.concat());
    let default = || proptest::option::weighted(0.4, 0..4usize);
    let lines = (vec(lines, 4), [default(), default()], any::<bool>(), any::<bool>());
    let first = (locals, keys, assign, accounts, files);
    (first, mailboxes, home_modes, relay, switches, aliases, lines).prop_map(
        |((locals, keys, assign, accounts, files), mailboxes, home_modes, relay, switches, aliases, lines)| Spec {
            locals,
            keys,
            assign,
            accounts,
            files,
            mailboxes,
            home_modes,
            relay,
            break_plus: switches.0,
            qmail_ext: switches.1,
            delete_accepts: switches.2,
            wildcard_rcpthosts: switches.3,
            aliases,
            lines,
        },
    )
}

/// The domains of this host.
fn domains(spec: &Spec) -> Vec<&'static str> {
    DOMAINS.iter().chain(&ALIASES[..spec.aliases.0.len()]).copied().collect()
}

/// Who owns the homes: as root somebody else, so that permissions count; else whoever runs the tests.
fn owner() -> (u32, u32) {
    if is_root() { (1001, 1001) } else { me() }
}

fn materialise(spec: &Spec) -> MailHost {
    let host = MailHost::empty();
    let (uid, gid) = owner();
    let give = |path: &str| {
        if is_root() {
            host.own(path, uid, gid);
        }
    };
    let lines = |lines: Vec<String>| lines.concat();
    host.write("/var/qmail/control/me", "loc.test\n");
    host.write("/var/qmail/control/locals", lines(spec.locals.iter().map(|d| format!("{}\n", DOMAINS[*d])).collect()));
    // The ordinary lines first; what follows may repeat their keys, and wins.
    let usual =
        ["v0.test:v0.test", "v1.test:v1.test", "al.test:al.test", "pre.test:joe", ".wild.test:pre", "u_s.test:v0.test"];
    let usual = usual.map(|line| format!("{line}\n")).concat();
    let keys = lines(spec.keys.iter().map(|(k, p)| format!("{}:{}\n", KEYS[*k], PREPENDS[*p])).collect());
    let aliases: Vec<(&str, usize)> = ALIASES.iter().copied().zip(spec.aliases.0.iter().copied()).collect();
    let of_aliases: String = aliases.iter().map(|(alias, _)| format!("{alias}:{alias}\n")).collect();
    host.write("/var/qmail/control/virtualdomains", usual + &of_aliases + &keys);
    let wild = if spec.wildcard_rcpthosts { ".wild.test\n" } else { "" };
    host.write("/var/qmail/control/rcpthosts", format!("{}\n{wild}", domains(spec).join("\n")));
    if let Some(relay) = &spec.relay {
        let mut seen = BTreeSet::new();
        let entry = |(accepted, word): &(bool, usize)| match WORDS.get(*word) {
            Some(word) if word.contains('@') || !seen.insert(word.to_lowercase()) => String::new(),
            Some(word) => format!("{}{word}\n", if *accepted { "" } else { "!" }),
            None => "@\n".to_owned(),
        };
        host.write("/var/qmail/control/validrcptto.d/relay.test", lines(relay.iter().map(entry).collect()));
    }
    if spec.aliases.1 {
        host.write("/var/qmail/control/validrcptto.d/m1.test", "joe\n!list\n");
    }
    let usual = format!(
        "+v0.test-:v0.test:{uid}:{gid}:{}:-::\n+v1.test-:v1.test:{uid}:{gid}:{}:-::\n+al.test-:v0.test:{uid}:{gid}:{}:-::\n",
        HOMES[0], HOMES[1], HOMES[0]
    );
    // Most are as vpopmail makes them; of each other kind one thing is another.
    let of_aliases = aliases.iter().map(|(alias, kind)| {
        let home = if *kind == 1 { HOMES[1] } else { HOMES[0] };
        let uid = if *kind == 2 { 0 } else { uid };
        let dash = if *kind == 3 { "" } else { "-" };
        let pre = ["", "", "", "", "list-", "m0.test-"][*kind];
        format!("+{alias}-:v0.test:{uid}:{gid}:{home}:{dash}:{pre}:\n")
    });
    let usual = usual + &of_aliases.collect::<String>();
    let line = |(wild, loc, home, dash, pre, usable): &(bool, usize, usize, usize, usize, bool)| {
        let sign = if *wild { '+' } else { '=' };
        let uid = if *usable { uid } else { 0 };
        format!("{sign}{}:u:{uid}:{gid}:{}:{}:{}:\n", LOCS[*loc], HOMES[*home], DASHES[*dash], PRES[*pre])
    };
    host.write("/var/qmail/users/assign", lines(spec.assign.iter().map(line).collect()) + &usual + ".\n");
    let account =
        |(name, home): &(usize, usize)| format!("{}:x:{uid}:{gid}::{}:/bin/sh\n", ACCOUNTS[*name], HOMES[*home]);
    let accounts = lines(spec.accounts.iter().map(account).collect());
    host.write("/etc/passwd", format!("{accounts}alias:x:{uid}:{gid}::/var/qmail/alias:/bin/true\n"));
    for home in &HOMES[..5] {
        host.folder(home);
        give(home);
    }
    let (generated, defaults, are_declared, is_dovecot_declared) = &spec.lines;
    let dovecot = if *is_dovecot_declared { "dovecot-lda mailboxes\n" } else { "" };
    if *are_declared {
        host.write("/var/qmail/control/validrcptto.programs", format!("{DECLARED}{dovecot}"));
    }
    let programs =
        ["preline", "dovecot-lda", "fastforward", "mailer", "filter", "taker", "refuser", "mailboxes", "unknown"];
    for program in programs.map(|name| format!("/var/qmail/bin/{name}")) {
        host.write(&program, "");
        host.mode(&program, 0o755);
    }
    host.write("/usr/libexec/dovecot/dovecot-lda", "");
    let names = ["list@v0.test", "@al.test", "zz@", "joe@loc.test"].map(|key| format!(":{key}"));
    host.write("/etc/aliases.cdb", image(names.iter().map(|key| (key.as_bytes(), &b"./Maildir/"[..]))).unwrap());
    let default = |number: usize, usual| defaults[number].map_or(usual, |line| &generated[line][..]);
    for (domain, line) in [(HOMES[0], default(0, CONTENTS[7])), (HOMES[1], default(1, CONTENTS[8]))] {
        host.write(&format!("{domain}/.qmail-default"), line);
        give(&format!("{domain}/.qmail-default"));
    }
    for (home, word, content, mode, kind) in &spec.files {
        let stem = WORDS.get(*word).map_or(String::new(), |word| format!("-{word}"));
        let path = format!("{}/.qmail{stem}", HOMES[*home]);
        if host.path(&path).symlink_metadata().is_ok() || host.path(&path).ancestors().any(|path| path.is_file()) {
            continue;
        }
        match kind {
            0 => {
                host.folder(&path);
            }
            1 => {
                host.link(&path, "/nowhere");
            }
            2 => {
                host.link(&path, ".qmail-default");
            }
            _ => {
                host.write(
                    &path,
                    CONTENTS.get(*content).copied().unwrap_or_else(|| &generated[content - CONTENTS.len()]),
                );
                give(&path);
                host.mode(&path, MODES[*mode]);
            }
        }
    }
    for (domain, home) in HOMES[..2].iter().enumerate() {
        let mut lines: BTreeMap<&str, String> = BTreeMap::from([("postmaster", "postmaster:x:1:0:N:/d:Q".to_owned())]);
        for (_, word, record) in spec.mailboxes.iter().filter(|(d, ..)| *d == domain) {
            // Behind the last word, a record that has no name.
            let word = WORDS.get(*word).copied().unwrap_or_default();
            lines.insert(word, format!("{}:{}", word.replace(':', "."), RECORDS[*record]));
        }
        let lines: Vec<&str> = lines.values().map(String::as_str).collect();
        host.mailboxes(home, &lines);
    }
    for (home, mode) in HOMES.iter().zip(&spec.home_modes) {
        host.mode(home, [0o755, 0o700, 0o1755, 0o757, 0o711][*mode]);
    }
    host
}

/// The addresses that are asked below one domain.
fn addresses(spec: &Spec) -> Vec<String> {
    let mut locals: BTreeSet<String> = BTreeSet::new();
    let mut words: Vec<String> = WORDS.iter().map(|word| (*word).to_owned()).collect();
    words.extend(spec.assign.iter().map(|line| LOCS[line.1].to_owned()));
    words.extend(spec.accounts.iter().map(|account| ACCOUNTS[account.0].to_owned()));
    words.push("zz".to_owned());
    for word in &words {
        for end in [
            "",
            "-",
            "-x",
            "-default",
            "z",
            "-zz-zz",
            "+x",
            "+",
            "-a.b",
            "-owner",
            "-list",
            "list",
            ".",
            "/x",
            "-x-default",
        ] {
            locals.insert(format!("{word}{end}"));
        }
        locals.extend([
            word.replace(':', "."),
            word.replace('.', ":"),
            word.to_uppercase(),
            format!("v0.test-{word}"),
            format!("al.test-{word}"),
        ]);
        locals.extend(["joe-", "list-", "pre-", "a-b-"].map(|start| format!("{start}{word}")));
        locals.extend((1..word.len()).filter(|end| word.is_char_boundary(*end)).map(|end| word[..end].to_owned()));
    }
    locals.remove("");
    locals.into_iter().collect()
}

#[derive(Default)]
struct Table(BTreeMap<Vec<u8>, &'static [u8]>);

impl Sink for Table {
    fn recipients(&mut self, records: &Chunk) -> Result<(), Error> {
        for record in records.records() {
            let data = Says::of(record.data).data();
            assert_eq!(record.data, data);
            assert_ne!(data, b"", "{}: an entry says what takes the mail", Shown(record.key));
            let before = self.0.insert(record.key.to_vec(), data);
            assert_eq!(before, None, "{} is written twice", Shown(record.key));
        }
        Ok(())
    }

    fn logins(&mut self, _: &Chunk) -> Result<(), Error> {
        Ok(())
    }
}

/// Holds the table of one host against delivery, and says how many addresses were asked.
fn check(spec: &Spec) -> Result<usize, TestCaseError> {
    let mail_host = materialise(spec);
    let root = mail_host.root().to_str().unwrap();
    let mut arguments = vec!["qmail-updater", "--root", root, "--threads", "1"];
    arguments.extend(if spec.break_plus { &["--break", "+"][..] } else { &[] });
    arguments.extend(if spec.qmail_ext { &["--vpopmail-ext"][..] } else { &[] });
    arguments.extend(if spec.delete_accepts { &["--catchall-delete", "accept"][..] } else { &[] });
    arguments.push("rebuild");
    let settings = Settings::new(&Cli::parse_from(arguments)).unwrap();
    let mut table = Table::default();
    let notes = build(&settings, &mut table).map_err(|error| TestCaseError::fail(error.to_string()))?.notes;
    mail_host.write("/table.cdb", image(table.0.iter().map(|(key, data)| (&key[..], *data))).unwrap());
    assert_eq!(witness::agrees(&mail_host.path("/table.cdb")), table.0.len());
    let host = Arc::new(read_host(&settings, &mut Vec::new()).unwrap());
    let homes = HomeReader::new(&host, &Before::default(), 1, None);
    let break_byte = settings.layout.break_byte;
    let lookup = |address: &[u8]| smtpd::lookup(address, break_byte, |key| table.0.get(key));
    let judge = |address: &[u8]| {
        let mut trail = Trail::kept();
        let delivery = deliver(&host, &homes, address, &mut trail);
        let accepted = relay_step(&host, address, &delivery).map_or(delivery.accepted(), |(accepted, _)| accepted);
        (accepted, delivery, trail.steps())
    };
    let mut asked = 0;
    for local in addresses(spec) {
        for domain in domains(spec) {
            let address = format!("{local}@{domain}");
            let (accepted, delivery, steps) = judge(address.as_bytes());
            let answer = lookup(address.as_bytes());
            asked += 1;
            if accepted == answer.accepted() {
                // What takes it is said wherever a key can say it (docs/rules.md, 13.2).
                let says = |accepted: bool, delivery: &Delivery| match delivery.verdict {
                    _ if !accepted => Says::Refuses,
                    Verdict::Deliver => Says::Accepts(Some(delivery.taker)),
                    _ => OTHER,
                };
                let wanted = says(accepted, &delivery);
                if accepted && answer.says != wanted {
                    let its_key = format!("{}default", char::from(break_byte));
                    let has_its_key = local.to_lowercase().ends_with(&its_key);
                    // All names that begin like this have the same, and no key says these alone.
                    let begins = |end: usize| {
                        local.is_char_boundary(end)
                            && wanted == {
                                let (accepted, delivery, _) =
                                    judge(format!("{}zzqq@{domain}", &local[..end]).as_bytes());
                                says(accepted, &delivery)
                            }
                    };
                    let from = (0..=local.len()).rev().take_while(|end| begins(*end)).last();
                    let is_sayable = |end: usize| end == 0 || local[..end].ends_with(char::from(break_byte));
                    let is_excused = has_its_key || from.is_some_and(|end| !is_sayable(end));
                    prop_assert!(is_excused, "{wanted:?}: {address}, yet {answer:?}: {steps:#?}");
                }
                continue;
            }
            let story = || {
                let steps: String = steps.iter().map(|step| format!("  {step}\n")).collect();
                let keys: String = table
                    .0
                    .iter()
                    .map(|(key, data)| format!("  {:?} {data:?}\n", String::from_utf8_lossy(key)))
                    .collect();
                format!("{address}: {}, yet {answer:?}\n{steps}{keys}", delivery.verdict)
            };
            prop_assert!(!accepted, "refused what qmail keeps: {}", story());
            let wider = is_wider(&host, spec, &local, domain, &notes, &steps, &|address| judge(address).0);
            prop_assert!(wider, "accepted what qmail bounces: {}", story());
        }
        // Without an @ only names can be listed, but what is listed must be right.
        if !local.contains('@') && lookup(local.as_bytes()).accepted() {
            prop_assert!(judge(local.as_bytes()).0, "bare {local} accepted");
        }
    }
    let postmaster: Delivery = judge(b"postmaster").1;
    prop_assert_eq!(lookup(b"postmaster").accepted(), postmaster.verdict != Verdict::Bounce, "bare postmaster");
    Ok(asked)
}

/// Whether the table may be wider than qmail for this address (docs/rules.md, 8.6 and 8.7).
#[allow(clippy::too_many_arguments, reason = "one page that holds all exceptions")]
fn is_wider(
    host: &Host,
    spec: &Spec,
    local: &str,
    domain: &str,
    notes: &[qmail_updater::report::Note],
    steps: &[qmail_updater::decide::Step],
    accepts: &dyn Fn(&[u8]) -> bool,
) -> bool {
    let local = local.to_lowercase();
    let sign = host.layout.break_byte as char;
    // Widened, with a warning that names what the name begins with.
    let widened = notes.iter().any(|note| {
        let prefix =
            note.text.split_once("alone: every ").and_then(|(_, rest)| rest.split_once(&format!("...@{domain} ")));
        prefix.is_some_and(|(prefix, _)| local.starts_with(prefix))
    });
    // A pattern that has no key bounces below an accepting one: a loc that does not end in the break character (under
    // this domain's prefix), or with another break character any at all.
    let narrower = |end: usize| {
        let (start, rest) = local.split_at(end);
        !start.is_empty()
            && !start.ends_with(sign)
            && !rest.is_empty()
            && !accepts(format!("{start}qqzzqqzz@{domain}").as_bytes())
    };
    let below_loc = (1..local.len()).filter(|end| local.is_char_boundary(*end)).any(narrower)
        && (spec.break_plus || spec.assign.iter().any(|line| line.0 && !LOCS[line.1].ends_with('-')));
    // X-default bounces while X- delivers: it has the same key.
    let shares_key = local.strip_suffix("default").is_some_and(|prefix| prefix.ends_with(sign));
    // vdelivermail refuses the name for its bytes.
    let bytes = steps.iter().any(|step| step.text.contains("a byte in the name that vpopmail does not take"));
    widened || below_loc || shares_key || bytes
}

/// So many hosts are generated, half of them by each of two tests that run beside each other.
const HOSTS: u32 = 2_000;

/// Checks half of the hosts.
fn check_half(half: u8) {
    // The same hosts each time, so that a change is judged by what it changed; others for whoever asks for a number.
    let asked_for: Option<u32> = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = asked_for.unwrap_or(HOSTS).div_ceil(2);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 4_000, ..Config::default() };
    let mut runner = match asked_for {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[half; 32])),
    };
    let asked = RefCell::new(0);
    let result = runner.run(&spec(), |spec| {
        *asked.borrow_mut() += check(&spec)?;
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    println!("{cases} hosts, {} addresses", asked.borrow());
}

#[test]
fn the_table_gives_deliverys_answer_for_every_address() {
    check_half(1);
}

#[test]
fn the_table_gives_deliverys_answer_for_every_address_of_other_hosts() {
    check_half(2);
}
