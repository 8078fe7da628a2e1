//! A domain with many alias domains: what it answers is asked once and laid out for each name of it, and where the name of
//! an alias domain decides, that one is asked for itself.

mod support;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use clap::Parser;
use qmail_updater::args::Cli;
use qmail_updater::cdb::Reader;
use qmail_updater::host::{Home, Homes};
use qmail_updater::publish::Before;
use qmail_updater::rebuild::homes::HomeReader;
use qmail_updater::rebuild::read_host;
use qmail_updater::settings::Settings;
use qmail_updater::tables::recipients::{Common, Plan};
use support::service::Service;
use support::{MailHost, filled, give, is_root, me};

const HOME: &str = "/home/vpopmail/domains/real.test";
const BOUNCES: &str = "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n";

/// Whom vpopmail's files belong to: as root somebody else, so that permissions count.
fn owner() -> (u32, u32) {
    if is_root() { (89, 89) } else { me() }
}

/// The line of users/assign that vpopmail makes for a domain.
fn line(domain: &str) -> String {
    let (uid, gid) = owner();
    format!("+{domain}-:real.test:{uid}:{gid}:{HOME}:-::\n")
}

/// The domain real.test, and these alias domains beside it, each with its line of users/assign. The host's own name is a
/// local domain, which takes what leads into the home of real.test too.
fn host(aliases: &[(String, String)], mailboxes: usize) -> MailHost {
    let host = MailHost::empty();
    let of_all = |what: &dyn Fn(&str) -> String| -> String {
        ["real.test"].into_iter().chain(aliases.iter().map(|(name, _)| &name[..])).map(what).collect()
    };
    let names = of_all(&|name| format!("{name}\n"));
    host.write("/var/qmail/control/me", "mail.test\n");
    host.write("/var/qmail/control/locals", "mail.test\n");
    host.write("/var/qmail/control/rcpthosts", format!("mail.test\n{names}"));
    host.write("/var/qmail/control/virtualdomains", of_all(&|name| format!("{name}:{name}\n")));
    let lines: String = aliases.iter().map(|(_, line)| &line[..]).collect();
    host.write("/var/qmail/users/assign", format!("{}{lines}.\n", line("real.test")));
    let (uid, gid) = me();
    host.write("/etc/passwd", format!("alias:x:{}:{gid}::/var/qmail/alias:/bin/true\n", uid.max(7790)));
    host.folder("/var/qmail/alias").folder("/home/vpopmail/etc").folder("/tmp");
    host.write(&format!("{HOME}/.qmail-default"), BOUNCES);
    host.write(&format!("{HOME}/.qmail-info"), "&user0@real.test\n");
    host.write(&format!("{HOME}/.qmail-list-default"), "&user0@real.test\n");
    let lines: Vec<String> = (0..mailboxes).map(|n| format!("user{n}:$1$a$b:1:0:N:{HOME}/user{n}:NOQUOTA")).collect();
    host.mailboxes(HOME, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    if is_root() {
        let (uid, gid) = owner();
        give(&host.path("/home/vpopmail"), uid, gid);
    }
    host
}

/// So many alias domains as vpopmail makes them.
fn plain(count: usize) -> Vec<(String, String)> {
    (0..count).map(|number| format!("alias{number}.test")).map(|name| (name.clone(), line(&name))).collect()
}

/// How often a home is asked for.
struct Counted(HomeReader, Cell<usize>);

impl Homes for Counted {
    fn home(&self, path: &[u8]) -> Arc<Home> {
        self.1.set(self.1.get() + 1);
        self.0.home(path)
    }
}

#[test]
fn what_a_domain_answers_is_asked_once_for_all_its_alias_domains() {
    // Delivery asks for the home once for each address.
    let asked = |aliases: usize| {
        let mail_host = host(&plain(aliases), 20);
        let root = mail_host.root().to_str().unwrap();
        let settings = Settings::new(&Cli::parse_from(["qmail-updater", "--root", root, "rebuild"])).unwrap();
        let host = Arc::new(read_host(&settings, &mut Vec::new()).unwrap());
        let plan = Plan::new(host.clone());
        let homes = Counted(HomeReader::new(&host, &Before::default(), 1, None), Cell::new(0));
        let unit = plan.units.iter().find(|unit| unit.home.as_deref() == Some(HOME.as_bytes())).unwrap();
        let answers = plan.ask(unit, &homes, &Common::default());
        let mut records = 0;
        let taken: Result<(), ()> = answers.records.lay_out(&mut |some| {
            records += some.len();
            Ok(())
        });
        taken.unwrap();
        (homes.1.get(), records)
    };
    let (few, of_few) = asked(2);
    let (many, of_many) = asked(100);
    assert_eq!(few, many, "addresses that were asked");
    // 20 mailboxes, info, list-default, for each name; info@ and list-default@ the host's own name, with each name before.
    assert!(of_few >= 3 * 24 && (of_many - of_few) % 98 == 0 && of_many - of_few >= 98 * 24, "{of_few} {of_many}");
}

#[test]
fn each_alias_domain_has_the_entries_of_its_domain() {
    let of_one = |names: &[&str]| {
        let aliases: Vec<_> = names.iter().map(|name| ((*name).to_owned(), line(name))).collect();
        let host = host(&aliases, 5);
        host.rebuild();
        let read = |name: &str| fs::read(host.published(name)).unwrap();
        ["validrcptto.cdb", "auth.cdb"].map(|name| {
            let image = read(name);
            let cdb = Reader::new(&image).unwrap();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            cdb.records().map(|record| (text(record.key), text(record.data))).collect::<Vec<_>>()
        })
    };
    // One alone is asked for itself, because real.test is of another kind than a name with an _.
    let [recipients, logins] = of_one(&["u_s.test"]);
    let (many, many_logins) = {
        let [recipients, logins] = of_one(&["u_s.test", "a.test", "longer-name.test", "zz.test"]);
        (recipients, logins)
    };
    let moved = |from: &str, to: &str, all: &[(String, String)]| -> BTreeMap<String, String> {
        let of = all.iter().filter(|(key, _)| key.ends_with(&format!("@{from}")) || key.starts_with(from));
        of.map(|(key, data)| (key.replace(from, to), data.clone())).collect()
    };
    for name in ["real.test", "a.test", "longer-name.test", "zz.test"] {
        assert_eq!(moved(name, name, &many), moved("real.test", name, &recipients), "{name}");
        assert_eq!(moved(name, name, &many_logins), moved("real.test", name, &logins), "{name}");
        assert!(moved(name, name, &many).len() > 7, "{name}");
    }
    assert_eq!(moved("u_s.test", "u_s.test", &many), moved("u_s.test", "u_s.test", &recipients));
}

#[test]
fn an_alias_domain_whose_name_decides_is_asked_for_itself() {
    let (uid, gid) = owner();
    let with = |name: &str, uid: u32, dash: &str, pre: &str| {
        (name.to_owned(), format!("+{name}-:real.test:{uid}:{gid}:{HOME}:{dash}:{pre}:\n"))
    };
    let mut aliases = plain(3);
    aliases.extend([
        with("u_s.test", uid, "-", ""),
        with("listed.test", uid, "-", "list-"),
        with("nodash.test", uid, "", ""),
        with("root.test", 0, "-", ""),
        with("own.test", uid, "-", ""),
        with("exact.test", uid, "-", ""),
        with("longer.test", uid, "-", ""),
    ]);
    let host = host(&aliases, 2);
    let append = |path: &str, text: &str| {
        let before = fs::read_to_string(host.path(path)).unwrap();
        host.write(path, before.replace("\n.\n", "\n") + text);
    };
    append("/var/qmail/control/virtualdomains", "user0@own.test:nobody\n");
    append(
        "/var/qmail/users/assign",
        &format!(
            "=exact.test-user0:u:{uid}:{gid}:{HOME}:-:nobody:\n+longer.test-user:u:{uid}:{gid}:{HOME}:-:nobody:\n.\n"
        ),
    );
    host.rebuild();
    for (domain, answers) in [
        ("real.test", "accept accept accept accept refuse"),
        ("alias0.test", "accept accept accept accept refuse"),
        ("alias2.test", "accept accept accept accept refuse"),
        // vdelivermail takes no _ in a domain.
        ("u_s.test", "refuse refuse accept accept refuse"),
        // All names are those of the list.
        ("listed.test", "accept accept accept accept accept"),
        // The files would have to be called .qmailuser0 and so on; with an empty dash there is always a mailbox.
        ("nodash.test", "accept accept accept accept accept"),
        // qmail delivers nothing as root, and tries again.
        ("root.test", "accept accept accept accept accept"),
        ("own.test", "refuse accept accept accept refuse"),
        ("exact.test", "refuse accept accept accept refuse"),
        ("longer.test", "refuse refuse accept accept refuse"),
    ] {
        let addresses = ["user0", "user1", "info", "list-x", "none"].map(|local| format!("{local}@{domain}"));
        assert_eq!(host.answers(&addresses.each_ref().map(String::as_str)).join(" "), answers, "{domain}");
    }
}

#[test]
fn a_name_that_is_the_whole_local_part_is_refused_in_that_alias_domain_alone() {
    let (uid, gid) = owner();
    let with = |name: &str| (name.to_owned(), format!("+{name}-:real.test:{uid}:{gid}:{HOME}:-:loop.test-:\n"));
    let host = host(&["first.test", "loop.test", "other.test"].map(with), 2);
    host.write(&format!("{HOME}/.qmail-default"), "| /home/vpopmail/bin/vdelivermail '' joe@else.test\n");
    host.rebuild();
    for (domain, answer) in [("first.test", "accept"), ("loop.test", "refuse"), ("other.test", "accept")] {
        assert_eq!(host.answers(&[&format!("user0@{domain}")]), [answer], "{domain}");
    }
}

#[test]
fn an_alias_domain_that_authvars_or_vpopmail_names_has_logins_of_its_own() {
    let host = host(&plain(5), 2);
    host.write(
        "/var/qmail/control/authvars",
        "* A=\"1\"\n@alias1.test A=\"2\"\nuser1@alias2.test A=\"3\",PASSWORD_EXPIRES=\"1\"\n",
    );
    host.write("/home/vpopmail/etc/defaultdomain", "alias3.test\n");
    host.rebuild();
    let mut wanted: Vec<(String, String)> = Vec::new();
    for user in ["user0", "user1"] {
        for domain in ["real.test", "alias0.test", "alias1.test", "alias2.test", "alias3.test", "alias4.test"] {
            let value = if domain == "alias1.test" { "2" } else { "1" };
            if (user, domain) != ("user1", "alias2.test") {
                wanted.push((format!("{user}@{domain}"), format!("$1$a$b,A=\"{value}\"")));
            }
        }
        wanted.push((user.to_owned(), "$1$a$b,A=\"1\"".to_owned()));
    }
    assert_eq!(filled("$1$a$b").len(), "$1$a$".len() + 22, "a hash as crypt(3) makes it");
    assert_eq!(host.logins(), wanted.into_iter().collect());
}

#[test]
fn an_entry_of_an_alias_domain_takes_few_bytes_of_memory() {
    // What the process had at most, in bytes, and how many entries there are.
    let measured = |aliases: usize| {
        let service = Service::start(host(&plain(aliases), 200), &["--no-watch", "--threads", "1"]);
        let entries = |name: &str| {
            let image = fs::read(service.host.published(name)).unwrap();
            Reader::new(&image).unwrap().records().count()
        };
        service.host.write(&format!("{HOME}/.qmail-added"), "&user0@real.test\n");
        service.trigger(&[]);
        // In each name, and as a name of the host's own with and without its domain.
        service.wait_for(&format!("(+{} -0)", 3 * (aliases + 1)));
        let status = fs::read_to_string(format!("/proc/{}/status", service.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: usize = peak.trim().trim_end_matches(" kB").parse().unwrap();
        (peak * 1024, entries("validrcptto.cdb") + entries("auth.cdb"))
    };
    let (few, of_few) = measured(1);
    let (many, of_many) = measured(500);
    assert!(of_few > 2 * 400 && of_many > 501 * 400, "{of_few} {of_many}");
    let each = (many.saturating_sub(few)) / (of_many - of_few);
    assert!(each <= 60, "{each} bytes an entry: {few} bytes with {of_few} entries, {many} with {of_many}");
}

/// Everything that "rebuild --force" is followed by in a line, up to "only".
fn forced(said: &str) -> Vec<String> {
    let one = said.rsplit_once("and rebuild --force ").unwrap_or_else(|| panic!("{said}")).1;
    one.split_once(" only ").unwrap().0.split(' ').map(str::to_owned).collect()
}

#[test]
fn the_command_that_a_hold_names_publishes_a_domain_with_its_alias_domains() {
    // The first name of all is an alias domain's.
    let host = host(&plain(2), 100);
    host.rebuild();
    let few: Vec<String> = (0..20).map(|n| format!("user{n}:$1$a$b:1:0:N:{HOME}/user{n}:NOQUOTA")).collect();
    host.mailboxes(HOME, &few.iter().map(String::as_str).collect::<Vec<_>>());
    let answer = host.run(&["rebuild"]);
    assert_eq!(answer.code, 111, "{answer:?}");
    let named = forced(&answer.stderr);
    assert_eq!(named, ["real.test", "alias0.test", "alias1.test"]);
    // One alone leaves the others held, and what is typed next is said.
    let answer = host.run(&["rebuild", "--force", "real.test"]);
    assert_eq!(answer.code, 111, "{answer:?}");
    assert!(answer.stderr.contains("; what --force names is not held; "), "{answer:?}");
    let rest = forced(&answer.stderr);
    assert_eq!(rest, ["alias0.test", "alias1.test"]);
    assert_eq!(host.answers(&["user99@real.test", "user99@alias1.test"]), ["refuse", "accept"]);
    let force: Vec<&str> = ["rebuild", "--force"].into_iter().chain(rest.iter().map(String::as_str)).collect();
    let answer = host.run(&force);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(host.answers(&["user99@alias0.test", "user19@alias1.test"]), ["refuse", "accept"]);
}

#[test]
fn a_hold_of_very_many_alias_domains_names_no_command_that_nobody_can_type() {
    let host = host(&plain(300), 30);
    host.rebuild();
    host.mailboxes(HOME, &["user0:$1$a$b:1:0:N:/d:NOQUOTA"]);
    let answer = host.run(&["rebuild"]);
    assert_eq!(answer.code, 111, "{answer:?}");
    let alert = answer.stderr.lines().find(|line| line.contains("held, because")).unwrap();
    assert!(alert.contains("if the loss is right, rebuild --force publishes it"), "{alert}");
    assert!(alert.len() < 1_000 && !alert.contains(" only "), "{alert}");
}
