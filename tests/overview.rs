//! `domains` and `user`: what vdominfo and vuserinfo should have said.

mod support;

use support::service::COM;
use support::{MailHost, is_root, skip};

const HASH: &str = "$6$salt$hash";
const LIMITS: &str = ".qmailadmin-limits";

fn domains(host: &MailHost, names: &[&str]) -> Vec<Vec<String>> {
    let answer = host.run(&[&["domains"], names].concat());
    let fields = |line: &str| line.split('\t').map(str::to_owned).collect();
    answer.stdout.lines().map(fields).collect()
}

/// The line of one domain, without its notes, and these.
fn domain(host: &MailHost, name: &str) -> (String, String) {
    let found = domains(host, &[name]);
    let [line] = &found[..] else { panic!("{name}: {found:?}") };
    let (_state, line) = line.split_last().unwrap();
    let (notes, fields) = line.split_last().unwrap();
    assert_eq!(fields.len(), 8, "{line:?}");
    (fields.join(" | "), notes.clone())
}

/// What `user` says, a block a mailbox, by its first line.
fn users(host: &MailHost, addresses: &[&str]) -> Vec<(String, String)> {
    let answer = host.run(&[&["user"], addresses].concat());
    assert_eq!(answer.code, 0, "{addresses:?}: {}", answer.stderr);
    let block = |block: &str| block.split_once('\n').map(|(first, rest)| (first.to_owned(), rest.to_owned())).unwrap();
    answer.stdout.trim_end().split("\n\n").map(block).collect()
}

/// One line of the block of one mailbox.
fn line(host: &MailHost, address: &str, name: &str) -> String {
    let (_, block) = users(host, &[address]).remove(0);
    let found = block.lines().find_map(|line| line.trim_start().strip_prefix(&format!("{name}: ")));
    found.unwrap_or_else(|| panic!("{address} has no {name}: {block}")).to_owned()
}

#[test]
fn every_domain_is_listed_and_says_whose_it_is() {
    let host = MailHost::sample();
    let com = format!("{COM} | 89:89 | 4 | 6 | refuse | bounce-no-mailbox");
    let found = domains(&host, &[]);
    let names: Vec<&str> = found.iter().map(|line| &line[0][..]).collect();
    assert_eq!(
        names,
        [
            "backup.example",
            "example.com",
            "example.edu (alias of example.com)",
            "example.net",
            "mail.example.org",
            "relay.example"
        ],
        "sorted by name, and carol of users/assign is no domain"
    );
    assert_eq!(domain(&host, "example.com").0, format!("example.com | vpopmail | {com}"));
    assert_eq!(domain(&host, "Example.EDU").0, format!("example.edu (alias of example.com) | vpopmail | {com}"));
    assert_eq!(domain(&host, "mail.example.org").0, "mail.example.org | local | - | - | - | - | refuse | -");
    let (backup, notes) = domain(&host, "backup.example");
    assert_eq!(backup, "backup.example | relay | - | - | - | - | accept | -");
    assert!(notes.contains("no list in control/validrcptto.d"), "{notes}");
    let (relay, notes) = domain(&host, "relay.example");
    assert_eq!(
        (&relay[..], &notes[..]),
        ("relay.example | relay | - | - | - | - | refuse | -", "control/validrcptto.d lists 3 names")
    );

    // Domains of a user, of nobody, of a domain that has left users/assign, and what rcpthosts does not know.
    host.write(
        "/var/qmail/control/virtualdomains",
        "example.com:example.com\nexample.net:example.net\nexample.edu:example.edu\nshop.test:carol-shop\n\
         lost.test:lost.test\nhalf.test:half\n.sub.test:carol\none@example.com:carol\nout.test:\n",
    );
    host.write("/var/qmail/control/rcpthosts", "example.com\nshop.test\nlost.test\nhalf.test\n.sub.test\ngone.test\n");
    host.write("/var/qmail/alias/.qmail-half-a", "&x@y.test\n").write("/home/carol/.qmail-shop-sales", "&x@y.test\n");
    host.write("/home/carol/.qmail-shop-default", "|/bin/secret-program its argument\n");
    let shop = "shop.test | virtual | /home/carol | 1001:1001 | - | 1 | accept | a program";
    assert_eq!(
        domain(&host, "shop.test"),
        (shop.to_owned(), "open: the users of /bin/secret-program are not known; leads to carol-shop-".to_owned())
    );
    let (lost, notes) = domain(&host, "lost.test");
    assert_eq!(lost, "lost.test | nobody | - | - | - | - | refuse | -");
    assert_eq!(notes, "leads to lost.test-, which nobody owns: its mail does not arrive");
    assert_eq!(domain(&host, "half.test").0, "half.test | virtual | /var/qmail/alias | 7790:2108 | - | 1 | refuse | -");
    assert!(domain(&host, ".sub.test").1.contains("any subdomain"));
    assert!(domain(&host, "a.sub.test").0.starts_with("a.sub.test | virtual | /home/carol"), "accepted by a suffix");
    assert!(domain(&host, "example.com").1.contains("virtualdomains says otherwise of 1 single name"));
    let (net, notes) = domain(&host, "example.net");
    assert!(net.ends_with(" | refuse | ann@example.com") && notes.contains("not in rcpthosts"), "{net} {notes}");
    assert!(domain(&host, "out.test").0.starts_with("out.test | remote |"));

    // A user's line makes no domain, even when virtualdomains covers every name.
    host.write("/var/qmail/control/virtualdomains", "example.com:example.com\n:carol\n");
    let names: Vec<String> = domains(&host, &[]).into_iter().map(|line| line[0].clone()).collect();
    assert!(names.contains(&"*".to_owned()) && !names.contains(&"carol".to_owned()), "{names:?}");
    assert!(domain(&host, "*").0.starts_with("* | virtual | /home/carol"));
    assert!(domain(&host, "any.test").0.starts_with("any.test | virtual | /home/carol"));
    host.write("/var/qmail/control/virtualdomains", "example.com:example.com\n");

    let answer = host.run(&["domains", "example.com", "nowhere.test"]);
    assert_eq!((answer.code, answer.stdout.lines().count()), (1, 1));
    assert!(answer.stderr.contains("warning: nowhere.test: no domain of this host"), "{}", answer.stderr);
}

#[test]
fn a_catch_all_is_told_as_its_file_says_it() {
    let host = MailHost::sample();
    for (content, told) in [
        ("| /home/vpopmail/bin/vdelivermail '' delete\n", "refuse | delete"),
        ("| /home/vpopmail/bin/vdelivermail '' delete\n&x@y.test\n", "accept | delete, a forward"),
        ("| /home/vpopmail/bin/vdelivermail '' /home/some/where\n", "accept | /home/some/where"),
        ("| /home/vpopmail/bin/vdelivermail ''\n", "accept | vdelivermail, misused"),
        ("./Maildir/\n", "accept | a mailbox or maildir"),
        ("", "accept | default delivery"),
        ("|bouncesaying 'not here'\n", "refuse | bouncesaying"),
    ] {
        host.write(&format!("{COM}/.qmail-default"), content);
        let (line, _) = domain(&host, "example.com");
        assert!(line.ends_with(&format!(" | {told}")), "{content:?}: {line}");
    }
    host.write(&format!("{COM}/.qmail-default"), "\n");
    let (line, notes) = domain(&host, "example.com");
    assert!(line.ends_with(" | accept | a blank first line"), "{line}");
    assert!(
        notes.contains("waits: ") && notes.contains(".qmail-default: line 1: blank first line: deferred"),
        "{notes}"
    );
    host.mode(COM, 0o777);
    let (line, notes) = domain(&host, "example.edu");
    assert!(
        line.ends_with(" | 4 | 6 | accept | -") && notes.contains("example.com: world-writable: deferred"),
        "{notes}"
    );
    host.mode(COM, 0o755);
    host.remove(&format!("{COM}/.qmail-default"));
    let (line, notes) = domain(&host, "example.com");
    assert!(line.ends_with("| 4 | 6 | refuse | -"), "{line}");
    assert!(notes.starts_with("no .qmail-default: its mailboxes get no mail"), "{notes}");
}

#[test]
fn a_domain_that_cannot_be_read_is_told_of_and_not_counted() {
    let host = MailHost::sample();
    host.write(&format!("{COM}/vpasswd.cdb"), "no cdb");
    let answer = host.run(&["domains"]);
    assert_eq!((answer.code, answer.stdout.lines().count()), (0, 6));
    assert!(answer.stderr.contains("domains/example.com: vpasswd.cdb: "), "{}", answer.stderr);
    let (line, notes) = domain(&host, "example.com");
    assert_eq!(line, format!("example.com | vpopmail | {COM} | 89:89 | - | 6 | accept | bounce-no-mailbox"));
    assert!(notes.starts_with("vpasswd.cdb: "), "{notes}");
    let answer = host.run(&["user", "dora@example.net", "ann@example.com"]);
    assert_eq!(answer.code, 111, "{}", answer.stderr);
    assert!(answer.stdout.starts_with("dora@example.net\n"), "what can be read is shown");
    assert!(answer.stderr.contains("fatal: unable to read ") && answer.stderr.contains("/vpasswd.cdb: "));
    std::fs::remove_dir_all(host.path(COM)).unwrap();
    assert!(domain(&host, "example.com").1.starts_with("No such file or directory"));
    assert_eq!(host.run(&["user", "ann@example.com"]).code, 111);
}

#[test]
fn effective_flags_are_the_same_for_one_and_for_all_and_by_an_alias_domain() {
    let host = MailHost::sample();
    host.mailboxes(
        COM,
        &[
            &format!("free:{HASH}:1:0:N:{COM}/free:NOQUOTA"),
            &format!("over:{HASH}:1:8194:N:{COM}/over:1048576S,10C:ClearPassword"),
            &format!("own:{HASH}:1:18:N:{COM}/own:NOQUOTA"),
            &format!("odd:{HASH}:1:524288:N:{COM}/odd:NOQUOTA"),
        ],
    );
    let flags = |address: &str| (line(&host, address, "flags"), line(&host, address, "effective flags"));
    let pair = |own: &str, effective: &str| (own.to_owned(), effective.to_owned());
    // Without limits of its own the defaults count, and with them those do not.
    host.write("/home/vpopmail/etc/vlimits.default", "disable_imap\n");
    assert_eq!(flags("free@example.com"), pair("none", "no_imap"));
    host.write(
        &format!("{COM}/{LIMITS}"),
        "maxpopaccounts 5\ndisable_smtp 0\ndisable_pop\n#disable_webmail\ndelete_spam 1\n",
    );
    for domain in ["example.com", "example.edu"] {
        let of = |name: &str| flags(&format!("{name}@{domain}"));
        assert_eq!(of("free"), pair("none", "no_pop, no_smtp, delete_spam"));
        assert_eq!(of("over"), pair("no_pop, override_domain_limits", "no_pop, override_domain_limits"));
        assert_eq!(of("own"), pair("no_pop, bounce_mail", "no_pop, bounce_mail, no_smtp, delete_spam"));
        assert_eq!(of("odd"), pair("0x80000", "no_pop, no_smtp, delete_spam, 0x80000"));
        let all = users(&host, &[&format!("@{domain}")]);
        assert_eq!(all.len(), 4);
        let each = ["free", "odd", "over", "own"].map(|name| users(&host, &[&format!("{name}@{domain}")]).remove(0));
        assert_eq!(all, each, "one and all are told alike");
        assert_eq!(all[0].0.contains(" (alias of example.com)"), domain == "example.edu", "{}", all[0].0);
    }
    let json = |address: &str| -> serde_json::Value {
        serde_json::from_str(&host.run(&["user", "--json", address]).stdout).unwrap()
    };
    assert_eq!(json("@example.edu").as_array().unwrap().len(), 4);
    assert_eq!(json("@example.edu")[0], json("free@example.edu")[0]);
    assert_eq!(json("free@example.edu")[0]["effective_flags"], serde_json::json!(["no_pop", "no_smtp", "delete_spam"]));
    // Whoever is told to log in, and nobody else, is in the table that a rebuild publishes.
    host.rebuild();
    let told: Vec<String> = json("@example.com")
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|user| user["logins"].as_array().unwrap().iter().map(|login| login.as_str().unwrap().to_owned()))
        .collect();
    let published = host.logins();
    let published =
        published.keys().filter(|login| !login.contains('@') && *login != "dora" || login.ends_with("@example.com"));
    let mut told_sorted = told.clone();
    told_sorted.sort();
    assert_eq!(told_sorted, published.cloned().collect::<Vec<_>>());
    assert_eq!(told, ["over@example.com", "over"]);
    host.write(&format!("{COM}/{LIMITS}"), "");
    assert!(line(&host, "free@example.com", "smtp login").contains("auth.cdb says otherwise"));
}

#[test]
fn a_mailbox_is_told_with_what_takes_its_mail_and_why_it_may_not_log_in() {
    let host = MailHost::sample();
    let record = |name: &str, crypt: &str| format!("{name}:{crypt}:1:0:Ann \x1b[2J:{COM}/x:NOQUOTA:ClearPassword");
    let schemes = [
        ("a", "$6$salt$hash", "sha512-crypt"),
        ("b", "{SHA256-CRYPT}$5$salt$hash", "sha256-crypt"),
        ("c", "$2b$10$hash", "bcrypt"),
        ("d", "$y$j9T$salt$hash", "yescrypt"),
        ("e", "$1$salt$hash", "md5-crypt"),
        ("f", "abJnggxhB/yWI", "des-crypt"),
        ("g", "", "none"),
        ("h", "!$6$salt$hash", "locked"),
        ("i", "{PLAIN}Clear-Password", "unknown"),
        ("sales", "$6$salt$hash", "sha512-crypt"),
        ("Upper", "$6$salt$hash", "sha512-crypt"),
    ];
    let mut lines: Vec<String> = schemes.iter().map(|(name, crypt, _)| record(name, crypt)).collect();
    lines.push("short:ClearPassword".to_owned());
    lines.push("shape:x:1:0:/d:ClearPassword".to_owned());
    host.mailboxes(COM, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    host.rebuild();
    for (name, _, scheme) in schemes {
        assert_eq!(line(&host, &format!("{name}@example.com"), "password"), scheme, "{name}");
    }
    let of = |name: &str, what: &str| line(&host, &format!("{name}@example.com"), what);
    assert_eq!(of("a", "comment"), "Ann \\x1b[2J");
    assert_eq!(of("a", "quota"), "NOQUOTA");
    assert_eq!(of("a", "smtp login"), "yes, as a@example.com and a");
    assert_eq!(line(&host, "a", "smtp login"), "yes, as a@example.com and a", "the default domain");
    assert_eq!(of("h", "smtp login"), "no: its password is locked: it begins with * or !");
    assert_eq!(of("i", "smtp login"), "never: its password field holds nothing that crypt(3) makes");
    assert!(host.logins().contains_key("i@example.com"), "the table is as vpopmail would have it");
    assert!(of("sales", "mail").contains(".qmail-sales: "), "its .qmail file wins: {}", of("sales", "mail"));
    assert_eq!(of("Upper", "mail"), "none: vpopmail never finds that name");
    assert_eq!(of("Upper", "smtp login"), "no: vpopmail never finds that name");
    assert_eq!(of("short", "smtp login"), "no: its record has fewer than three fields");
    assert!(of("short", "mail").starts_with("defer: "), "{}", of("short", "mail"));
    assert!(of("shape", "record").starts_with("not as vpopmail writes it"), "{}", of("shape", "record"));
    host.write("/var/qmail/control/authvars", "a@example.com PASSWORD_EXPIRES=\"1\"\n");
    assert_eq!(
        of("a", "smtp login"),
        "no: expired, by its PASSWORD_EXPIRES in control/authvars; auth.cdb says otherwise: the host has changed since"
    );
    host.write("/var/qmail/control/rcpthosts", "example.net\n");
    assert!(of("a", "mail").ends_with("rcpthosts does not list the domain: strangers' mail is refused"));
    let all = host.run(&["user", "@example.com"]);
    assert_eq!(all.stdout.split("\n\n").count(), 13);
    assert!(!all.stdout.contains("ClearPassword") && !all.stdout.contains("salt"), "{}", all.stdout);
}

#[test]
fn what_is_no_mailbox_is_told_with_what_answers_for_it() {
    let host = MailHost::sample();
    for (address, words) in [
        ("nobody@example.com", "no such mailbox; mail to it: bounce: "),
        ("list@example.com", "no such mailbox; mail to it: deliver: "),
        ("carol@mail.example.org", "no vpopmail domain: no line +mail.example.org- in "),
        ("x@carol", "no vpopmail domain: "),
        ("", "no @ in it"),
        ("\x1b@example.com", "\\x1b@example.com: no such mailbox"),
    ] {
        let answer = host.run(&["user", "ann@example.com", address]);
        assert_eq!(answer.code, 1, "{address:?}: {}", answer.stderr);
        assert!(answer.stderr.contains(words), "{address:?}: {}", answer.stderr);
        assert!(answer.stdout.starts_with("ann@example.com\n"), "the others are shown");
    }
    assert_eq!(host.run(&["user", "--json", "x@carol"]).stdout, "[]\n");
    host.remove("/home/vpopmail/etc/defaultdomain");
    let answer = host.run(&["user", "ann"]);
    assert_eq!(answer.code, 1);
    assert!(answer.stderr.contains("ann: no @ in it, and no name of the default domain"), "{}", answer.stderr);
}

#[test]
fn what_takes_the_mail_of_an_address_without_a_mailbox_is_told() {
    let host = MailHost::sample();
    let net = "/home/vpopmail/domains/example.net";
    let ext = "|/usr/local/bin/unknown-filter\n";
    host.write("/home/carol/.qmail-x-default", ext)
        .write(&format!("{COM}/.qmail-both"), "&ann@example.com\n&x@y.test\n");
    host.rebuild();
    for (address, words) in [
        ("both@example.com", "accepted: an alias takes it (".to_owned()),
        (
            "both@example.com",
            ".qmail-both: line 1: forwards: delivered), and it goes to ann@example.com, x@y.test".to_owned(),
        ),
        ("BOTH@Example.EDU", "accepted: an alias takes it (".to_owned()),
        ("list@example.com", "line 1: the program /usr/local/bin/ezmlm/ezmlm-send takes it".to_owned()),
        (
            "any@example.net",
            format!("the catch-all of its domain takes it ({}/.qmail-default: line 1: ", host.path(net).display()),
        ),
        ("any@example.net", ", and it goes to ann@example.com".to_owned()),
        ("carol@mail.example.org", "the user carol takes it (".to_owned()),
        ("carol-x-y@mail.example.org", "the program /usr/local/bin/unknown-filter takes it".to_owned()),
        ("x@backup.example", "accepted: relayed: any name is accepted for another host".to_owned()),
        ("spamtrap@example.net", "refused: exit 100: bounced".to_owned()),
        ("nobody@example.com", "refused: ".to_owned()),
        ("x@elsewhere.example", "refused: not our domain: rcpthosts does not list elsewhere.example".to_owned()),
    ] {
        let answer = host.run(&["user", address]);
        assert_eq!((answer.code, &answer.stdout[..]), (1, ""), "{address}: no mailbox: {}", answer.stderr);
        let lines: Vec<&str> = answer.stderr.lines().collect();
        let said =
            lines.iter().find(|line| line.starts_with("qmail-updater: status: ") && line.contains("its mail is "));
        assert!(said.is_some_and(|line| line.contains(&words)), "{address}: {words}: {lines:#?}");
        // The line of before stays.
        assert!(lines.iter().any(|line| line.contains("warning") && line.contains(": no ")), "{lines:#?}");
        // It is what explain says.
        let accepted = host.run(&["explain", address]).code == 0;
        assert_eq!(said.unwrap().contains("its mail is accepted"), accepted, "{address}");
    }
    // All of a domain, or nothing at all, is no address.
    for address in ["@mail.example.org", ""] {
        assert!(!host.run(&["user", address]).stderr.contains("its mail"), "{address:?}");
    }
    // Where the users of vpopmail are not known, neither is whether there is a mailbox.
    let answer = host.run(&["--backend", "mysql", "user", "ann@example.com"]);
    assert_eq!((answer.code, &answer.stdout[..]), (111, ""), "{}", answer.stderr);
    assert!(answer.stderr.contains("status: ann@example.com: its mail is accepted: "), "{}", answer.stderr);
    // Published, and gone since: nothing takes its mail.
    let both = format!("{COM}/.qmail-both");
    host.remove(&both);
    let answer = host.run(&["user", "both@example.com"]);
    assert!(answer.stderr.contains("its mail is accepted, but bounces now: "), "{}", answer.stderr);
    host.write(&both, "&ann@example.com\n&x@y.test\n");
    // Before anything is published.
    host.remove("/var/qmail/control/validrcptto.cdb");
    let answer = host.run(&["user", "both@example.com"]);
    assert!(
        answer.stderr.contains("unknown: the recipient table is not published yet; by the configuration, an alias")
    );
    assert_eq!(answer.code, 1);
}

#[test]
fn who_may_not_read_the_mailboxes_is_told_so() {
    if !is_root() {
        return skip("a mailbox file of somebody else", "only root can make one");
    }
    let host = MailHost::sample();
    host.mode(&format!("{COM}/vpasswd"), 0o600);
    let as_nobody = |arguments: &[&str]| {
        use std::os::unix::process::CommandExt;
        let answer: support::Answer = host.command(arguments).uid(65_534).gid(65_534).output().unwrap().into();
        answer
    };
    let answer = as_nobody(&["user", "ann@example.com"]);
    assert_eq!(answer.code, 111, "{}", answer.stderr);
    assert!(
        answer.stderr.ends_with("/domains/example.com/vpasswd; what depends on it is unknown; run as root\n"),
        "{}",
        answer.stderr
    );
    let answer = as_nobody(&["domains", "example.com", "example.net"]);
    assert_eq!((answer.code, answer.stdout.lines().count()), (111, 2), "{}", answer.stderr);
    assert!(answer.stdout.contains("\t-\t6\tunknown\t"), "{}", answer.stdout);
    assert!(answer.stderr.contains("vpasswd: Permission denied; the mailboxes of"), "{}", answer.stderr);
    assert!(answer.stdout.contains("\t2\t1\taccept\tann@example.com\t"), "the other is told of: {}", answer.stdout);
}

#[test]
fn only_mailboxes_that_vpopmail_finds_are_counted_and_a_note_tells_of_others() {
    let host = MailHost::sample();
    let (hash, long) = ("$6$salt$hash:1:0:N:/d:NOQUOTA", "x".repeat(901));
    let lines = ["ann", "bob", "Upper", "a b", &long].map(|name| format!("{name}:{hash}"));
    host.mailboxes(COM, &lines.each_ref().map(String::as_str));
    let answer = host.run(&["domains", "--json", "example.com"]);
    let all: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(all[0]["mailboxes"], 2, "{}", answer.stdout);
    assert!(all[0]["notes"].to_string().contains("3 mailboxes that vpopmail never finds"), "{}", answer.stdout);
    host.mailboxes(COM, &[&lines[0]]);
    assert!(!host.run(&["domains", "example.com"]).stdout.contains("never finds"));
}

#[test]
fn both_are_told_as_json_too() {
    let host = MailHost::sample();
    let answer = host.run(&["domains", "--json"]);
    let all: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 6);
    assert_eq!(all[0]["domain"], "backup.example");
    assert_eq!(all[0]["mailboxes"], serde_json::Value::Null);
    assert_eq!((&all[2]["alias_of"], &all[2]["mailboxes"]), (&"example.com".into(), &4.into()));
    // Every key is in the help, and no more.
    for (arguments, object) in [
        (["domains", "--help"], all[0].clone()),
        (["user", "--help"], {
            let answer = host.run(&["user", "--json", "ann@example.com"]);
            serde_json::from_str::<serde_json::Value>(&answer.stdout).unwrap()[0].clone()
        }),
    ] {
        let help = host.run(&arguments).stdout;
        let (_, keys) = help.split_once("JSON: ").unwrap();
        for key in object.as_object().unwrap().keys() {
            assert!(keys.split(|c: char| !c.is_ascii_lowercase() && c != '_').any(|word| word == key), "{key}: {keys}");
        }
    }
}

#[test]
fn of_a_domain_that_keeps_its_entries_the_published_answer_is_shown() {
    let host = MailHost::sample();
    host.rebuild();
    let answer_of = |domain: &str| {
        let domains = host.run(&["domains", domain]).stdout;
        domains.split('\t').nth(6).map(str::to_owned).unwrap_or_else(|| panic!("{domain}: {domains}"))
    };
    // Lists another name than those that are published, and is not well formed.
    host.write("/var/qmail/control/validrcptto.d/relay.example", "erik\ntwo names\n");
    let gone = "/home/vpopmail/domains/example.com";
    std::fs::rename(host.path(gone), host.path("/home/gone")).unwrap();
    let kept = ["relay.example", "example.com", "example.edu"];
    for after_a_rebuild in [false, true] {
        if after_a_rebuild {
            assert_eq!(host.run(&["rebuild"]).code, 100);
        }
        for domain in kept {
            let published = host.answers(&[&format!("zz@{domain}")]);
            assert_eq!(published, ["refuse"], "{domain}");
            assert_eq!(answer_of(domain), published[0], "{domain}, after a rebuild: {after_a_rebuild}");
        }
    }
    // Without a table there is nothing to keep, and a rebuild accepts.
    std::fs::write(host.published("validrcptto.cdb"), "damaged").unwrap();
    assert!(kept.iter().all(|domain| answer_of(domain) == "accept"));
    std::fs::remove_file(host.published("validrcptto.cdb")).unwrap();
    assert!(kept.iter().all(|domain| answer_of(domain) == "accept"));
}

#[test]
fn a_login_that_is_published_without_a_mailbox_is_told() {
    let host = MailHost::sample();
    host.rebuild();
    assert!(host.logins().contains_key("ann@example.com") && host.logins().contains_key("ann"));
    host.mailboxes(COM, &["postmaster:x:1:0:P:/d:NOQUOTA"]);
    // No rebuild yet: who left can still send mail.
    let said = host.run(&["user", "ann@example.com"]);
    assert!(said.stderr.contains("; auth.cdb lets it log in all the same, as ann@example.com and ann\n"), "{said:?}");
    assert_eq!(said.code, 1);
    host.rebuild();
    let said = host.run(&["user", "ann@example.com", "sales@example.com"]);
    assert!(!said.stderr.contains("log in"), "{said:?}");
}

#[test]
fn the_login_of_a_system_account_is_told() {
    let host = MailHost::sample();
    let (uid, gid) = if support::is_root() { (1001, 1001) } else { support::me() };
    host.write("/etc/passwd", format!("carol:x:{uid}:{gid}::/home/carol:/bin/sh\n"));
    host.write("/etc/shadow", format!("carol:{}:20000:0:99999:7:::\n", support::filled("$6$salt$hash")));
    if support::is_root() {
        host.own("/home/carol", uid, gid);
    }
    assert_eq!(host.run(&["rebuild", "--auth-system-users"]).code, 0);
    let said = host.run(&["user", "--auth-system-users", "carol@mail.example.org"]);
    assert!(said.stderr.contains("; auth.cdb lets it log in all the same, as carol\n"), "{said:?}");
}

#[test]
fn people_are_told_what_the_tables_do_not_do_yet_for_a_mailbox() {
    let host = MailHost::sample();
    host.rebuild();
    let told = |address: &str| {
        let answer = host.run(&["--color", "always", "user", address]).stdout;
        answer.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let before = told("@example.com");
    assert!(before.contains("mail arrives in 3, 3 may log in"), "{before}");
    // Who asks why nobody can log in reads it above the list, too.
    assert_eq!(before.contains("auth.cdb: only root can read it"), is_root(), "{before}");
    let vpasswd = std::fs::read_to_string(host.path(&format!("{COM}/vpasswd"))).unwrap();
    host.write(
        &format!("{COM}/vpasswd"),
        vpasswd.clone() + &vpasswd.lines().next().unwrap().replacen("ann", "new", 1) + "\n",
    );
    let new = told("new@example.com");
    assert!(new.contains("its mail is refused now: the published table is older"), "{new}");
    assert!(new.contains("its login is not yet as it should be in auth.cdb"), "{new}");
    assert!(told("@example.com").contains("5 mailboxes: mail arrives in 3, 3 may log in"), "{}", told("@example.com"));
    // A script reads what the configuration says.
    assert_eq!(line(&host, "new@example.com", "mail").split(':').next(), Some("deliver"));
    host.rebuild();
    assert!(told("@example.com").contains("mail arrives in 4, 4 may log in"));
    host.remove("/var/qmail/control/validrcptto.cdb");
    let missing = told("ann@example.com");
    assert!(missing.contains("its mail is refused now: the recipient table is missing"), "{missing}");
    // What lookup, explain and check say of it, too.
    let follows = "a qmail-smtpd that asks it answers 421 to every client";
    for words in [missing, host.run(&["lookup", "ann@example.com"]).stderr, host.run(&["check"]).stdout] {
        assert!(words.contains(follows), "{words}");
    }
    assert!(host.run(&["explain", "ann@example.com"]).stderr.contains(follows));
}

#[test]
fn a_person_is_told_that_the_mail_of_a_mailbox_goes_in_a_circle() {
    let host = MailHost::sample();
    host.write(&format!("{COM}/.qmail-default"), "&ann@example.com\n");
    host.rebuild();
    let answer = host.run(&["--color", "always", "user", "bob@example.com"]).stdout;
    let told = answer.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("no mail arrives; it may"), "{told}");
    assert!(told.contains("forwards: delivered; but no address that it forwards to takes the mail"), "{told}");
}
