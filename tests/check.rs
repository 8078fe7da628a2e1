//! `check`: a sound host has no finding; each fault is told of in a line that names the file.

mod support;

use qmail_updater::report::Code;
use support::service::{COM, Service};
use support::{Answer, MailHost, give, is_root, script, skip};

const BOUNCE: &str = "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n";
/// A hash of each sound kind; none is anybody's.
const SOUND: [&str; 4] = ["$6$salt$hash", "$5$salt$hash", "$2b$10$hash", "$y$j9T$salt$hash"];

/// A host on which nothing is wrong, as a service published it.
fn sound() -> Service {
    let host = MailHost::sample();
    host.write("/var/qmail/control/rcpthosts", "mail.example.org\nexample.com\n");
    host.write("/var/qmail/control/virtualdomains", "example.com:example.com\n");
    host.write("/var/qmail/users/assign", format!("+example.com-:example.com:89:89:{COM}:-::\n.\n"));
    let record = format!("example.com\0{}\0{}\0{COM}\0-\0\0", 89, 89);
    let image = qmail_updater::cdb::image([(&b"!example.com-"[..], record.as_bytes()), (&b""[..], b"-")]).unwrap();
    host.write("/var/qmail/users/cdb", image);
    for entry in ["validrcptto.d/relay.example", "authvars"] {
        host.remove(&format!("/var/qmail/control/{entry}"));
    }
    std::fs::remove_dir_all(host.path(COM)).unwrap();
    host.write(&format!("{COM}/.qmail-default"), BOUNCE);
    // vpopmail's limits of the domain are no file of qmail, whatever their name begins with.
    host.write(&format!("{COM}/.qmailadmin-limits"), "maxpopaccounts: 5\nmaxaliases: 10\n");
    // The account that the sample forwards this to is not in this users/assign.
    host.write("/var/qmail/alias/.qmail-postmaster", "&u0@example.com\n");
    let lines: Vec<String> =
        SOUND.iter().enumerate().map(|(number, crypt)| format!("u{number}:{crypt}:1:0:N:/d:Q")).collect();
    host.mailboxes(COM, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    let service = Service::start(host, &["--no-watch"]);
    if is_root() {
        give(&service.host.published("auth.cdb"), 0, 2108);
    }
    service
}

/// A copy of the host of a service.
fn copy(service: &Service) -> MailHost {
    let start = std::time::Instant::now();
    loop {
        let host = MailHost::empty();
        let files = service.host.root().join(".");
        if std::process::Command::new("cp").arg("-Rp").args([&files, host.root()]).status().unwrap().success() {
            return host;
        }
        // The service replaced a file of its own meanwhile.
        assert!(start.elapsed() < support::service::PATIENCE);
    }
}

fn check(host: &MailHost) -> Answer {
    host.run(&["check"])
}

#[test]
fn a_sound_host_has_no_finding() {
    let service = sound();
    let answer = check(&service.host);
    assert_eq!((answer.code, &answer.stdout[..], &answer.stderr[..]), (0, "", ""));
    let answer = service.host.run(&["check", "--json"]);
    assert_eq!((answer.code, answer.stdout.trim()), (0, "[]"));
}

#[test]
fn each_fault_is_told_of_in_a_line() {
    // What breaks the host, and words of the line that follows from it.
    type Fault<'a> = (&'a str, &'a dyn for<'h> Fn(&'h MailHost) -> &'h MailHost, &'a [&'a str]);
    let record = |name: &str, crypt: &str| format!("{name}:{crypt}:1:0:N:/d:Q");
    fn mailboxes<'h>(host: &'h MailHost, records: &[String]) -> &'h MailHost {
        host.mailboxes(COM, &records.iter().map(String::as_str).collect::<Vec<_>>())
    }
    let control = |name: &str| format!("/var/qmail/control/{name}");
    let faults: &[Fault<'_>] = &[
        (
            "missing table",
            &|host| host.remove(&control("validrcptto.cdb")),
            &["alert: ", "validrcptto.cdb: not there; a qmail-smtpd that asks it answers 421", "\ttable-missing"],
        ),
        (
            "damaged table",
            &|host| host.write(&control("validrcptto.cdb"), "damaged"),
            &["alert: ", "validrcptto.cdb: ", "; qmail-smtpd refuses what it does not find in it", "\ttable-damaged"],
        ),
        (
            "open table",
            &|host| host.mode(&control("auth.cdb"), 0o644),
            &["alert: ", "auth.cdb: mode 0644, owner ", "it should be 0640", "\ttable-mode"],
        ),
        (
            "closed table",
            &|host| host.mode(&control("validrcptto.cdb"), 0o600),
            &["warning: ", "validrcptto.cdb: mode 0600", "\ttable-mode"],
        ),
        (
            "stale table",
            &|host| host.write(&format!("{COM}/.qmail-new"), "&x@y.test\n"),
            &["warning: the published tables are out of date: 3 changes", "\ttables-stale"],
        ),
        (
            "refused users/assign",
            &|host| host.write("/var/qmail/users/assign", "nonsense\n"),
            &[
                "alert: ",
                "users/assign: line 1: ",
                "nothing can be rebuilt until that is fixed",
                "\trebuild-impossible",
            ],
        ),
        (
            "lines after the end of users/assign",
            &|host| {
                let line = |name: &str| format!("+{name}-:{name}:89:89:{COM}:-::\n");
                let text = line("example.com") + ".\n\n# a remark\n" + &line("new.test") + "=x:y\n.\n";
                host.write("/var/qmail/users/assign", text)
            },
            &[
                "warning: ",
                "users/assign: line 5: line 2 begins with a dot and ends the file",
                "does not read the 2 lines after it",
                "\tassign-unread",
            ],
        ),
        (
            "a comment in users/assign",
            &|host| {
                let line = format!("+example.com-:example.com:89:89:{COM}:-::\n");
                host.write("/var/qmail/users/assign", format!("{line}#bob:bob:1001:1001:/home/bob:::\n.\n"))
            },
            &[
                "warning: ",
                "users/assign: line 2: # begins no comment here",
                "reads the line as =bob:...",
                "\tassign-comment",
            ],
        ),
        (
            "a home in users/assign without its slash",
            &|host| {
                let line = format!("+example.com-:example.com:89:89:{}:-::\n", &COM[1..]);
                host.write("/var/qmail/users/assign", format!("{line}.\n"))
            },
            &[
                "warning: ",
                "users/assign: line 1: the home directory does not begin with a slash, so mail bounces",
                "\tassign-undelivered",
            ],
        ),
        (
            "a line of users/assign with uid 0",
            &|host| {
                let line = format!("+example.com-:example.com:89:89:{COM}:-::\n");
                host.write("/var/qmail/users/assign", format!("{line}=ops:root:0:0:/root:::\n.\n"))
            },
            &["warning: ", "users/assign: line 2: qmail delivers nothing as root", "\tassign-undelivered"],
        ),
        (
            "old users/cdb",
            &|host| host.write("/var/qmail/users/assign", format!("+example.com-:x:89:89:{COM}:-::\n.\n")),
            &["warning: ", "users/cdb: not what ", "run qmail-newu", "\tcompiled-stale"],
        ),
        (
            "a domain of vpopmail that virtualdomains lost",
            &|host| host.write(&control("virtualdomains"), ""),
            &["warning: ", "users/assign: line 1: example.com is a domain of vpopmail, but ", "\tdomain-not-virtual"],
        ),
        (
            "a program line that ends in CR",
            &|host| host.write(&format!("{COM}/.qmail-list"), "|/usr/local/bin/ezmlm-send /lists/a\r\n"),
            &["warning: ", "/.qmail-list: line 1: ends in CR", "\tqmail-line-cr"],
        ),
        (
            "a CR in rcpthosts",
            &|host| host.write(&control("rcpthosts"), "mail.example.org\nexample.com\nother.example\r\n"),
            &["warning: ", "rcpthosts: line 3: \"other.example\\x0d\": a blank, a CR", "\trcpthosts-name"],
        ),
        (
            "more than one wrong line about programs",
            &|host| host.write(&control("validrcptto.programs"), "filter passes twice\nother\nmore acepts\n"),
            &["alert: ", "validrcptto.programs: line 1: ", "; lines 2, 3 are wrong too", "\tfile-unusable"],
        ),
        (
            "old morercpthosts.cdb",
            &|host| host.write(&control("morercpthosts"), "example.com\n"),
            &["warning: ", "morercpthosts.cdb: missing", "run qmail-newmrh", "\tcompiled-stale"],
        ),
        (
            "key twice",
            &|host| host.write(&control("virtualdomains"), "example.com:other\nexample.com:example.com\n"),
            &[
                "warning: ",
                "virtualdomains: line 2: \"example.com\" stands on line 1 already; the last one counts",
                "\tvirtualdomains-twice",
            ],
        ),
        (
            "nobody's domain",
            &|host| host.write(&control("rcpthosts"), "mail.example.org\nexample.com\ngone.test\n"),
            &[
                "warning: ",
                "rcpthosts: line 3: gone.test: neither control/locals nor control/virtualdomains",
                "validrcptto.d/gone.test",
                "\trelay-unlisted",
            ],
        ),
        (
            "a line for nobody",
            &|host| host.write(&control("virtualdomains"), "example.com:example.com\nlost.test:lost.test\n"),
            &[
                "warning: ",
                "virtualdomains: line 2: \"lost.test\" leads to lost.test-..., which nobody owns",
                "\tdomain-nobody",
            ],
        ),
        (
            "a suffix for nobody",
            &|host| {
                host.write(&control("virtualdomains"), "example.com:example.com\n.lost.test:lost\n");
                host.write(&control("rcpthosts"), "mail.example.org\nexample.com\na.lost.test\nb.lost.test\n")
            },
            &[
                "warning: ",
                "virtualdomains: line 2: \".lost.test\" leads to lost-..., which nobody owns",
                "\tdomain-nobody",
            ],
        ),
        (
            "a typing error",
            &|host| {
                script(host, "/etc/qmail-updater/actions.d/ad_user", "exit 0");
                host
            },
            &[
                "alert: ",
                "actions.d/ad_user: nothing is told by that name, so it is never run; the names are add_domain, ",
                "\taction-name",
            ],
        ),
        (
            "an action that is no program",
            &|host| host.write("/etc/qmail-updater/actions.d/add_user.root", "#!/bin/sh\n"),
            &["alert: ", "actions.d/add_user.root: no executable file, so it is never run", "\taction-mode"],
        ),
        (
            "suffix",
            &|host| host.write(&control("rcpthosts"), "mail.example.org\nexample.com\n.example.com\n"),
            &[
                "status: ",
                "rcpthosts: line 3: .example.com lets subdomains through that the table cannot say",
                "\trelay-suffix",
            ],
        ),
        (
            "percenthack",
            &|host| host.write(&control("percenthack"), "example.com\n"),
            &["warning: ", "percenthack: not supported", "\tpercenthack"],
        ),
        (
            "unlisted accounts",
            &|host| host.write("/etc/nsswitch.conf", "passwd: files ldap\n"),
            &["warning: ", "nsswitch.conf: passwd names more than files", "\taccounts-unlisted"],
        ),
        (
            "upper case",
            &|host| host.write(&format!("{COM}/.qmail-Sales"), "&x@y.test\n"),
            &[
                "warning: ",
                ".qmail-Sales: no mail comes to it: qmail looks for .qmail-sales, in lower case",
                "\tqmail-name",
            ],
        ),
        (
            "a dot",
            &|host| host.write(&format!("{COM}/.qmail-a.b"), "&x@y.test\n"),
            &["warning: ", ".qmail-a.b: no mail comes to it: qmail looks for .qmail-a:b, ", "\tqmail-name"],
        ),
        (
            "many colons",
            &|host| host.write(&format!("{COM}/.qmail-a:b:c:d:e:f:g:h"), "&x@y.test\n"),
            &["status: ", "-a:b:c:d:e:f:g:h: so many colons", "\tqmail-colons"],
        ),
        (
            "blank first line",
            &|host| host.write(&format!("{COM}/.qmail-x"), "\n&x@y.test\n"),
            &[
                "warning: ",
                ".qmail-x: line 1: ",
                "mail to x@example.com and 2 other keys is accepted and deferred",
                "\tmail-deferred",
            ],
        ),
        (
            "writable by all",
            &|host| host.mode(&format!("{COM}/.qmail-default"), 0o666),
            &["warning: ", ".qmail-default: ", "is accepted and deferred", "\tmail-deferred"],
        ),
        (
            "a mailbox of many",
            &|host| mailboxes(host, &[record("u-default", SOUND[0])]),
            &["warning: ", "the table cannot say u-default@example.com alone", "\taddress-widened"],
        ),
        (
            "names",
            &|host| mailboxes(host, &[record("Joe", SOUND[0]), record("joe", SOUND[0])]),
            &["warning: ", "1 mailbox that vpopmail never finds, because of a byte in the name: Joe", "\tmailbox-name"],
        ),
        (
            "case",
            &|host| mailboxes(host, &[record("Joe", SOUND[0]), record("joe", SOUND[0])]),
            &["warning: ", "1 mailbox whose names differ from another's only in case: joe", "\tmailbox-case"],
        ),
        (
            "DES",
            &|host| mailboxes(host, &["a", "b", "c", "d", "e"].map(|name| record(name, "abJnggxhB/yWI"))),
            &[
                "warning: ",
                "5 mailboxes with DES hashes, of which only 8 characters of a password count: a, b, c, and 2 others",
                "\tpassword-des",
            ],
        ),
        (
            "MD5",
            &|host| mailboxes(host, &[record("a", "{MD5-CRYPT}$1$salt$hash")]),
            &["warning: ", "1 mailbox with MD5 hashes, which are guessed quickly: a", "\tpassword-md5"],
        ),
        (
            "no hash",
            &|host| mailboxes(host, &[record("a", "")]),
            &["warning: ", "without a password: nobody logs in: a", "\tpassword-missing"],
        ),
        (
            "strange hash",
            &|host| mailboxes(host, &[record("a", "{PLAIN}secret")]),
            &["warning: ", "with something that is no hash of crypt(3): nobody logs in: a", "\tpassword-unknown"],
        ),
        (
            "locked",
            &|host| mailboxes(host, &[record("a", "!$6$salt$hash")]),
            &["status: ", "locked by a * or !", "\tpassword-locked"],
        ),
        (
            "broken record",
            &|host| host.mailboxes(COM, &["a:x"]),
            &["warning: ", "with fewer than three fields", "\tmailbox-broken"],
        ),
        (
            "private /tmp",
            &|host| {
                host.write("/lib/systemd/system/apache2.service", "[Service]\nPrivateTmp=true\n");
                host.write("/lib/systemd/system/cron.service", "[Service]\nPrivateTmp=true\n")
            },
            &[
                "warning: ",
                "lib/systemd/system/apache2.service: PrivateTmp gives apache2.service a /tmp of its own",
                "\tpipe-private-tmp",
            ],
        ),
        (
            "private /tmp by a drop-in",
            &|host| {
                host.write("/lib/systemd/system/nginx.service", "[Service]\nPrivateTmp=no\n");
                host.write("/etc/systemd/system/nginx.service.d/tmp.conf", "[Service]\nPrivateTmp = yes\n")
            },
            &["warning: ", "nginx.service.d/tmp.conf: PrivateTmp gives nginx.service", "\tpipe-private-tmp"],
        ),
        (
            "local and virtual",
            &|host| host.write(&control("locals"), "mail.example.org\nexample.com\n"),
            &[
                "warning: ",
                "virtualdomains: line 1: \"example.com\" has no effect: ",
                "locals, line 2, names example.com too",
                "\tdomain-local-and-virtual",
            ],
        ),
        (
            "a domain that is not let in",
            &|host| host.write(&control("rcpthosts"), "mail.example.org\n"),
            &[
                "warning: ",
                "virtualdomains: line 1: example.com is a domain of vpopmail, and control/rcpthosts does not name it",
                "\tdomain-not-in-rcpthosts",
            ],
        ),
        (
            "a vdelivermail that is not understood",
            &|host| host.write(&format!("{COM}/.qmail-default"), "| eval /home/vpopmail/bin/vdelivermail '' $(x)\n"),
            &["warning: ", ".qmail-default: line 1: it names vdelivermail", "\tvdelivermail-misread"],
        ),
        (
            "vdelivermail with one argument",
            &|host| {
                host.write(&format!("{COM}/.qmail-default"), "| /home/vpopmail/bin/vdelivermail bounce-no-mailbox\n")
            },
            &["warning: ", ".qmail-default: line 1: ", "without exactly two arguments", "\tvdelivermail-misread"],
        ),
        (
            "a forward to nobody",
            &|host| host.write(&format!("{COM}/.qmail-sales"), "&u0@example.com\n&gone@example.com\n"),
            &["warning: ", ".qmail-sales: line 2: forwards to gone@example.com, to which this", "\tforward-refused"],
        ),
        (
            "two addresses on a line",
            &|host| host.write(&format!("{COM}/.qmail-sales"), "&u0@example.com\nu0@example.com, u1@example.com\n"),
            &["warning: ", ".qmail-sales: line 2: qmail takes the whole line for one address", "\tforward-mistyped"],
        ),
        (
            "a name before an address",
            &|host| host.write(&format!("{COM}/.qmail-sales"), "Ann Miller <u0@example.com>\n"),
            &["warning: ", ".qmail-sales: line 1: qmail takes the whole line for one address", "\tforward-mistyped"],
        ),
        (
            "a forward to itself",
            &|host| host.write(&format!("{COM}/.qmail-sales"), "&sales@example.com\n"),
            &["warning: ", ".qmail-sales: line 1: forwards to sales@example.com, which leads back", "\tforward-loop"],
        ),
        (
            "a loop of two",
            &|host| {
                host.write(&format!("{COM}/.qmail-a"), "# to b\n&u0@example.com\n&B@Example.com\n");
                host.write(&format!("{COM}/.qmail-b"), "a@example.com\n")
            },
            &["warning: ", ".qmail-a: line 3: forwards to B@Example.com, which leads", "/.qmail-b: ", "\tforward-loop"],
        ),
        (
            "a catch-all of nobody",
            &|host| {
                let line = "| /home/vpopmail/bin/vdelivermail '' gone@example.com\n";
                host.write(&format!("{COM}/.qmail-default"), line)
            },
            &["warning: ", ".qmail-default: line 1: the catch-all delivers to gone@ex", "\tcatch-all-nobody"],
        ),
        (
            "a catch-all with a typing error",
            &|host| {
                let line = "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbx\n";
                host.write(&format!("{COM}/.qmail-default"), line)
            },
            &["warning: ", ".qmail-default: line 1: the catch-all is no address and no path", "\tcatch-all-nobody"],
        ),
        (
            "an empty file for all names",
            &|host| host.write(&format!("{COM}/.qmail-default"), ""),
            &["warning: ", ".qmail-default: takes the mail of ", "default delivery", "\tmailbox-shadowed"],
        ),
        (
            "one maildir for all names",
            &|host| host.write(&format!("{COM}/.qmail-default"), "./Maildir/\n"),
            &["warning: ", ".qmail-default: takes the mail of ", "same place for every name", "\tmailbox-shadowed"],
        ),
        (
            "a forward to nothing",
            &|host| host.write(&format!("{COM}/.qmail-sales"), "&\n"),
            &[
                "warning: ",
                ".qmail-sales: line 1: qmail takes the whole line for one",
                "is empty",
                "\tforward-mistyped",
            ],
        ),
        (
            "a link that leads nowhere",
            &|host| {
                std::os::unix::fs::symlink("/nowhere", host.path(COM).join(".qmail-sales")).unwrap();
                host
            },
            &["warning: ", "/.qmail-sales: a link that leads nowhere, so no mail is", "\tqmail-no-file"],
        ),
        (
            "a domain of vpopmail that only locals names",
            &|host| {
                host.write(&control("virtualdomains"), "");
                host.write(&control("locals"), "mail.example.org\nexample.com\n")
            },
            &["warning: ", "only control/locals names it, not control/virtualdomains", "\tdomain-not-virtual"],
        ),
        (
            "no name of the host",
            &|host| host.write(&control("locals"), "mail.example.org\n").remove(&control("me")),
            &["warning: ", "control/me: not there, nor is smtpgreeting: ", "\tme-missing"],
        ),
        (
            "an address in rcpthosts",
            &|host| host.write(&control("rcpthosts"), "mail.example.org\nexample.com\n@other.example\n"),
            &[
                "warning: ",
                "rcpthosts: line 3: \"@other.example\": a domain is named without the @",
                "\trcpthosts-name",
            ],
        ),
        (
            "a local domain that ends in CR",
            &|host| host.write(&control("locals"), "mail.example.org\nother.example\r\n"),
            &["warning: ", "locals: line 2: \"other.example\\x0d\": a blank, a CR", "\tlocals-name"],
        ),
        (
            "a line of users/assign without its dash",
            &|host| host.write("/var/qmail/users/assign", format!("+example.com-:example.com:89:89:{COM}:::\n.\n")),
            &["warning: ", "users/assign: line 1: the field before the last : is no -", "\tassign-undelivered"],
        ),
        (
            "a catch-all of an account that is not there",
            &|host| {
                let line = "| /home/vpopmail/bin/vdelivermail '' gone@mail.example.org\n";
                host.write(&format!("{COM}/.qmail-default"), line)
            },
            &[
                "warning: ",
                "line 1: the catch-all delivers to gone@mail.example.org, to which this",
                "\tcatch-all-nobody",
            ],
        ),
        (
            "a line after the end",
            &|host| host.write(&format!("{COM}/.qmail-x"), "&u0@example.com\n|exit 99\n\n# x\n&u1@example.com\n"),
            &["warning: ", ".qmail-x: line 5: never reached: exit 99 on line 2", "\tqmail-line-unreached"],
        ),
        (
            "a mailbox without its mail",
            &|host| host.write(&format!("{COM}/.qmail-u1"), "&u0@example.com\n"),
            &["warning: ", ".qmail-u1: takes the mail of u1@example.com, which is a mailbox", "\tmailbox-shadowed"],
        ),
        (
            "a mailbox below a pattern",
            &|host| {
                host.write(&format!("{COM}/.qmail-u-default"), "&x@elsewhere.test\n");
                mailboxes(host, &[record("u-1", SOUND[0])])
            },
            &["warning: ", ".qmail-u-default: takes the mail of u-1@example.com", "\tmailbox-shadowed"],
        ),
        (
            "a file of comments over a mailbox",
            &|host| host.write(&format!("{COM}/.qmail-u1"), "# nothing yet\n"),
            &[
                "warning: ",
                ".qmail-u1: takes the mail of u1@example.com, which is a mailbox, and does nothing with it",
                "\tmailbox-shadowed",
            ],
        ),
        (
            "a default that forwards",
            &|host| host.write(&format!("{COM}/.qmail-default"), "&u0@elsewhere.test\n"),
            &[
                "warning: ",
                ".qmail-default: takes the mail of 4 mailboxes of example.com (u0, u1, u2, and 1 other) and forwards it",
                "\tmailbox-shadowed",
            ],
        ),
        (
            "a default that forwards to a mailbox of its own",
            &|host| host.write(&format!("{COM}/.qmail-default"), "&u0@example.com\n"),
            &["warning: ", ".qmail-default: takes the mail of 4 mailboxes of example.com", "\tmailbox-shadowed"],
        ),
        (
            "no default",
            &|host| host.remove(&format!("{COM}/.qmail-default")),
            &[
                "warning: ",
                "no .qmail file answers: no mailbox here by that name; so mail to 4 mailboxes of example.com (u0, u1, u2, and 1 \
                 other) bounces",
                "\tmailbox-unreached",
            ],
        ),
        (
            "a default that refuses",
            &|host| host.write(&format!("{COM}/.qmail-default"), "|exit 100\n"),
            &["warning: ", "line 1: exit 100: bounced; so mail to 4 mailboxes of example.com", "\tmailbox-unreached"],
        ),
        (
            "an onchange that is never called",
            &|host| {
                host.write("/home/vpopmail/etc/onchange", "#!/bin/sh\n");
                host.write("/home/vpopmail/bin/vadduser", b"\x7fELF\0vadduser: usage\0".as_slice())
            },
            &["status: ", "etc/onchange: installed, but ", "bin/vadduser never calls it", "\tonchange-uncalled"],
        ),
        (
            "an unreadable domain",
            &|host| host.write(&format!("{COM}/vpasswd.cdb"), "broken"),
            &["alert: ", "vpasswd.cdb: corrupt", "\thome-unreadable"],
        ),
    ];
    let service = sound();
    for (name, break_it, words) in faults {
        let host = copy(&service);
        break_it(&host);
        let answer = check(&host);
        let line = |line: &&str| {
            line.starts_with(words[0])
                && line.ends_with(words[words.len() - 1])
                && words.iter().all(|words| line.contains(words))
        };
        assert!(answer.stdout.lines().any(|text| line(&text)), "{name}: {words:?} are in no line: {}", answer.stdout);
        assert_eq!(answer.code, 1, "{name}: no service reads the copy's pipe");
        assert!(!answer.stdout.contains("\tother\n"), "{name}: a finding without a code: {}", answer.stdout);
        let json = host.run(&["check", "--json"]);
        let json: Vec<serde_json::Value> = serde_json::from_str(&json.stdout).unwrap();
        let told: Vec<String> = json
            .iter()
            .map(|note| {
                let of = |member: &str| note[member].as_str().unwrap().to_owned();
                format!("{}: {}\t{}\n", of("level"), of("text"), of("code"))
            })
            .collect();
        assert_eq!(told.concat(), answer.stdout, "{name}");
        let levels: Vec<_> = answer.stdout.lines().map(|line| line.split(':').next().unwrap()).collect();
        let weight = |level: &&str| ["alert", "warning", "status"].iter().position(|known| known == level).unwrap();
        assert!(levels.is_sorted_by_key(weight), "{name}: worst first: {levels:?}");
    }
}

#[test]
fn logins_that_only_root_can_read_are_told_of_unless_somebody_said_so() {
    if !is_root() {
        return skip(
            "logins_that_only_root_can_read_are_told_of_unless_somebody_said_so",
            "root's files are made by root",
        );
    }
    let service = sound();
    give(&service.host.published("auth.cdb"), 0, 0);
    let answer = check(&service.host);
    assert!(answer.code == 1 && answer.stdout.contains("auth.cdb: only root can read it"), "{}", answer.stdout);
    let answer = service.host.run(&["--auth-owner", "0:0", "check"]);
    assert_eq!((answer.code, &answer.stdout[..]), (0, ""));
    // Somebody has set the group since: a rebuild is all that it takes.
    let answer = service.host.run(&["--auth-owner", "0:1", "check"]);
    let told: Vec<&str> = answer.stdout.lines().filter(|line| line.contains("auth.cdb: ")).collect();
    assert!(matches!(told[..], [one] if one.contains("; the next rebuild fixes it")), "{}", answer.stdout);
    // The service was started without it, and its rebuilds leave the group as it is.
    assert!(told[0].contains("but not one of the running service"), "{}", answer.stdout);
    service.host.run(&["--auth-owner", "0:1", "rebuild"]);
    let answer = service.host.run(&["--auth-owner", "0:1", "check"]);
    assert!(!answer.stdout.contains("auth.cdb: "), "{}", answer.stdout);
}

#[test]
fn a_variable_that_is_no_setting_is_told_of_and_what_commands_are_told_is_none() {
    let service = sound();
    let mut command = service.host.command(&["check"]);
    command.env("QMAIL_UPDATER_CATCHAL_DELETE", "accept").env("QMAIL_UPDATER_CATCHALL_DELETE", "refuse");
    command.env("QMAIL_UPDATER_CHANGED", "/x").env("QMAIL_UPDATER_SWEEP", "60").env("QMAIL_UPDATER_UID", "89");
    let answer: Answer = command.output().unwrap().into();
    let finding = "warning: QMAIL_UPDATER_CATCHAL_DELETE: no setting has that name; it does nothing\tsetting-unknown\n";
    assert_eq!((answer.code, &answer.stdout[..]), (1, finding));
}

#[test]
fn a_folder_of_actions_is_missed_where_one_was_asked_for_and_a_readme_in_it_is_no_action() {
    let service = sound();
    let answer = service.host.run(&["--actions", "/etc/actions", "check"]);
    let finding = "alert: .../etc/actions: no such directory; no action of --actions runs\taction-directory\n";
    let said = answer.stdout.replace(&service.host.root().display().to_string(), "...");
    assert_eq!((answer.code, &said[..]), (1, finding));
    service.host.write("/etc/actions/README", "what these do\n").write("/etc/actions/.placeholder", "");
    let answer = service.host.run(&["--actions", "/etc/actions", "check"]);
    assert_eq!((answer.code, &answer.stdout[..]), (0, ""));
}

#[test]
fn a_pipe_that_others_cannot_use_is_told_of() {
    let service = sound();
    let fifo = service.fifo();
    nix::sys::stat::fchmodat(
        nix::fcntl::AT_FDCWD,
        &fifo,
        nix::sys::stat::Mode::S_IRUSR,
        nix::sys::stat::FchmodatFlags::FollowSymlink,
    )
    .unwrap();
    // The service mends it within seconds; whoever looks first sees one or the other.
    let answer = check(&service.host);
    assert!(answer.stdout.is_empty() || answer.stdout.contains("mode 0400; it should be 0622"), "{}", answer.stdout);
    let mut service = service;
    assert_eq!(service.end(), 0);
    let answer = check(&service.host);
    assert!(
        answer.code == 1 && answer.stdout.contains("update-qmail: no pipe is there: the service does not run"),
        "{}",
        answer.stdout
    );
    // As one that was killed leaves it.
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o622)).unwrap();
    let stdout = check(&service.host).stdout;
    assert!(stdout.contains("update-qmail: nobody reads this pipe: the service does not run"), "{stdout}");
}

#[test]
fn what_keeps_actions_and_triggers_away_is_told_as_it_was_seen() {
    let host = MailHost::sample();
    host.rebuild();
    host.folder("/etc/actions").link("/etc/actions/add_user", "gone").write("/etc/actions/del_user", "no x bit");
    host.write("/run/pipes/p", "a file").folder("/tmp").mode("/tmp", 0o1777).write("/tmp/p", "a file");
    let told = |fifo: &str| {
        let answer = host.run(&["check", "--actions", "/etc/actions", "--fifo", fifo]);
        assert_eq!(answer.code, 1, "{}", answer.stderr);
        answer.stdout.replace(host.root().to_str().unwrap(), "")
    };
    let (closed, open) = (told("/run/pipes/p"), told("/tmp/p"));
    for line in [
        "alert: /etc/actions/add_user: No such file or directory; it is not run\taction-unreadable",
        "alert: /etc/actions/del_user: no executable file, so it is never run\taction-mode",
        // Not in a folder like /tmp: a service that starts ends there.
        "alert: /run/pipes/p: something else stands there; no service starts until it is moved away\tpipe-taken",
    ] {
        assert!(closed.lines().any(|told| told == line), "{line}: {closed}");
    }
    let line = "alert: /tmp/p: something else stands there; the service replaces it\tpipe-taken";
    assert!(open.lines().any(|told| told == line), "{open}");
}

#[test]
fn an_accepted_finding_is_counted_and_not_shown_and_does_not_set_the_exit_status() {
    let service = sound();
    let host = &service.host;
    host.write(
        "/var/qmail/control/rcpthosts",
        std::fs::read_to_string(host.path("/var/qmail/control/rcpthosts")).unwrap() + "open.example\n",
    );
    host.rebuild();
    let json = |arguments: &[&str]| -> Vec<serde_json::Value> {
        serde_json::from_str(&host.run(&[&["check", "--json"], arguments].concat()).stdout).unwrap()
    };
    let found = json(&[]);
    let [finding] = &found[..] else { panic!("{found:?}") };
    assert_eq!((finding["code"].as_str(), finding["domain"].as_str()), (Some("relay-unlisted"), Some("open.example")));
    assert!(finding["file"].as_str().unwrap().ends_with("/control/rcpthosts") && finding["line"].is_u64(), "{finding}");
    assert!(finding["fix"].as_str().unwrap().contains("validrcptto.d/open.example,"), "{finding}");
    let nagios = host.run(&["check", "--nagios"]);
    assert!(nagios.code == 1 && nagios.stdout.starts_with("WARNING - 0 alerts, 1 warning; "), "{nagios:?}");
    assert!(nagios.stdout.ends_with(" | alerts=0 warnings=1 accepted=0\n"), "{nagios:?}");
    let quiet = host.run(&["check", "-q"]);
    let said = "qmail-updater: warning: 1 warning, which check shows without -q\n";
    assert_eq!((quiet.code, &quiet.stdout[..], &quiet.stderr[..]), (1, "", said), "no alert");
    // The other domain, another code, and a line that is none.
    host.write("/etc/qmail-updater/accepted", "# known\nrelay-unlisted other.example\ndomain-open open.example\n");
    assert_eq!(check(host).code, 1);
    host.write("/etc/qmail-updater/accepted", "# known\n\n relay-unlisted\tOpen.Example \n");
    let answer = check(host);
    assert_eq!((answer.code, &answer.stdout[..]), (0, ""), "{}", answer.stderr);
    let all = json(&["--all"]);
    assert_eq!((all.len(), all[0]["accepted"].as_bool()), (1, Some(true)), "{all:?}");
    assert!(json(&[]).is_empty());
    let nagios = host.run(&["check", "--nagios"]);
    assert_eq!((nagios.code, &nagios.stdout[..]), (0, "OK - 0 alerts, 0 warnings | alerts=0 warnings=0 accepted=1\n"));
    host.write("/etc/list", "relay-unlisted a.example b.example\nno-such-code open.example\n");
    // A code alone accepts what has no domain and no file, and nothing else.
    host.write("/etc/qmail-updater/accepted", "relay-unlisted\n");
    assert!(host.run(&["check", "--nagios"]).stdout.ends_with(" | alerts=0 warnings=1 accepted=0\n"));
    host.write("/etc/qmail-updater/accepted", "relay-unlisted open.example\nsetting-unknown\n");
    let mistyped = host.command(&["check", "--nagios"]).env("QMAIL_UPDATER_SWEP", "9").output().unwrap();
    assert_eq!(mistyped.stdout, b"OK - 0 alerts, 0 warnings | alerts=0 warnings=0 accepted=2\n");
    let answer = host.run(&["check", "--accepted", "/etc/list"]);
    assert_eq!((answer.code, answer.stdout.matches("\taccepted-file\n").count()), (1, 2), "{answer:?}");
    assert_eq!(host.run(&["check", "--accepted", "/etc/none"]).code, 100);
    // Nagios reads standard output, and 100 says nothing to it.
    for wrong in [
        ["--accepted", "/etc/no|ne"],
        ["--root", "/none"],
        ["--qmail", "/none"],
        ["--max-wait", "0"],
        ["--nothing", ""],
    ] {
        let nagios = host.run(&[&["check", "--nagios"], &wrong[..]].concat());
        assert_eq!((nagios.code, nagios.stdout.lines().count()), (3, 1), "{wrong:?}: {nagios:?}");
        let is_unknown = nagios.stdout.starts_with("UNKNOWN - ") && nagios.stdout.contains("no");
        assert!(is_unknown || nagios.stdout.contains("between"), "{wrong:?}: {nagios:?}");
    }
    let mut command = host.command(&["check", "--nagios"]);
    let wrong: Answer = command.env("QMAIL_UPDATER_MAX_WAIT", "x").output().unwrap().into();
    assert!(wrong.code == 3 && wrong.stdout.starts_with("UNKNOWN - invalid value 'x'"), "{wrong:?}");
    // A damaged table is critical.
    std::fs::write(host.published("auth.cdb"), "no cdb").unwrap();
    let nagios = host.run(&["check", "--nagios"]);
    assert!(nagios.code == 2 && nagios.stdout.starts_with("CRITICAL - "), "{nagios:?}");
}

#[test]
fn a_service_that_does_not_run_is_named_before_a_warning_about_one_file() {
    let host = MailHost::sample();
    host.rebuild();
    // By its text this one would come first.
    host.write("/home/carol/.qmail-default", "|/usr/local/bin/unknown-filter\n");
    host.rebuild();
    // That only root reads the login table is meant.
    let nagios = host.run(&["check", "--nagios", "--auth-owner", "0:0"]).stdout;
    assert!(nagios.contains("warnings; ") && nagios.contains("the service does not run"), "{nagios}");
    let told = host.run(&["--color", "always", "check"]).stdout;
    let at = |code: &str| told.find(code).unwrap_or_else(|| panic!("{code} is missing: {told}"));
    assert!(at("[pipe-unread") < at("[domain-open"), "{told}");
}

#[test]
fn a_quiet_rebuild_says_only_what_went_wrong() {
    let host = MailHost::sample();
    let loud = host.run(&["rebuild", "--no-commands"]);
    assert!(loud.stderr.contains("status: rebuild done"), "{loud:?}");
    let quiet = host.run(&["rebuild", "-q", "--no-commands"]);
    assert!(quiet.code == 0 && !quiet.stderr.contains("status: "), "{quiet:?}");
    assert!(quiet.stderr.contains("warning: "), "users/cdb is missing: {quiet:?}");
}

#[test]
fn the_reference_has_each_code_with_its_fix_and_no_other() {
    let text = include_str!("../docs/reference/findings.md");
    let rows: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | "))
        .map(|(code, rest)| (code, rest.rsplit_once(" | ").unwrap().1))
        .collect();
    let codes: Vec<(&str, &str)> = Code::ALL.iter().map(|code| (code.word(), code.fix())).collect();
    assert_eq!(rows, codes);
}

/// Each of these is right, or cannot be known to be wrong.
#[test]
fn what_is_right_or_unknown_is_no_finding_about_the_ways_of_mail() {
    type Change<'a> = (&'a str, &'a dyn for<'h> Fn(&'h MailHost) -> &'h MailHost);
    let control = |name: &str| format!("/var/qmail/control/{name}");
    let file = |name: &str| format!("{COM}/.qmail-{name}");
    let vdelivermail = |catch_all: &str| format!("| /home/vpopmail/bin/vdelivermail '' {catch_all}\n");
    let program = b"\x7fELF\0vadduser: usage\0%s/etc/onchange\0".as_slice();
    let changes: &[Change<'_>] = &[
        ("a local name below a virtual suffix", &|host| {
            host.write(&control("locals"), "mail.example.org\nsub.example.com\n");
            host.write(&control("virtualdomains"), "example.com:example.com\n.example.com:example.com\n")
        }),
        ("an exception for a local name", &|host| {
            host.write(&control("virtualdomains"), "example.com:example.com\nmail.example.org:\n")
        }),
        ("let in by a suffix", &|host| host.write(&control("rcpthosts"), "mail.example.org\n.com\n")),
        ("let in by morercpthosts", &|host| {
            host.write(&control("morercpthosts"), "example.com\n");
            host.write(&control("rcpthosts"), "mail.example.org\n")
        }),
        ("no rcpthosts", &|host| host.remove(&control("rcpthosts"))),
        ("a forward to a mailbox", &|host| host.write(&file("sales"), "&u0@example.com\nU1@EXAMPLE.COM\n")),
        ("a forward to another host", &|host| host.write(&file("sales"), "&gone@elsewhere.test\n")),
        ("a forward to a name below a pattern", &|host| {
            host.write(&file("list-default"), "&u0@example.com\n");
            host.write(&file("sales"), "&list-anything@example.com\n")
        }),
        ("a forward to a name of the catch-all", &|host| {
            host.write(&file("default"), vdelivermail("u0@example.com"));
            host.write(&file("sales"), "&anything@example.com\n")
        }),
        ("a forward to what the catch-all deletes", &|host| {
            host.write(&file("default"), vdelivermail("delete"));
            host.write(&file("sales"), "&anything@example.com\n")
        }),
        ("a forward after a program", &|host| {
            host.write(&file("sales"), "|/usr/local/bin/sort || exit 99\n&gone@example.com\n&sales@example.com\n")
        }),
        ("a forward to a domain that cannot be read", &|host| {
            host.write(&file("sales"), "&gone@example.com\n").write(&format!("{COM}/vpasswd.cdb"), "broken")
        }),
        ("two forwards to the same", &|host| {
            host.write(&file("a"), "&b@example.com\n&c@example.com\n&u0@example.com\n");
            host.write(&file("b"), "&c@example.com\n").write(&file("c"), "&u0@example.com\n")
        }),
        ("a catch-all with a mailbox", &|host| host.write(&file("default"), vdelivermail("u0@example.com"))),
        ("a catch-all with an alias", &|host| {
            host.write(&file("default"), vdelivermail("office@example.com"));
            host.write(&file("office"), "&u0@example.com\n")
        }),
        ("a catch-all elsewhere", &|host| host.write(&file("default"), vdelivermail("gone@elsewhere.test"))),
        ("an end without lines after it", &|host| host.write(&file("x"), "&u0@example.com\n|exit 99\n\n# the end\n")),
        ("an end that depends", &|host| host.write(&file("x"), "|test -f x && exit 99\n&u0@example.com\n")),
        ("a file with a copy for the mailbox", &|host| {
            host.write(&file("u1"), "&u0@example.com\n/home/vpopmail/domains/example.com/u1/Maildir/\n")
        }),
        ("a file with vdelivermail for the mailbox", &|host| {
            host.write(&file("u1"), format!("&u0@example.com\n{}", vdelivermail("bounce-no-mailbox")))
        }),
        ("a file with a program for the mailbox", &|host| {
            host.write(&file("u1"), "|/usr/bin/sorter\n&u0@example.com\n")
        }),
        ("a file that refuses for a mailbox", &|host| host.write(&file("u1"), "|bouncesaying 'moved'\n")),
        ("a default with an unknown program", &|host| host.write(&file("default"), "|/usr/bin/maildrop\n")),
        ("a default with a filter", &|host| {
            host.write(&file("default"), format!("|/usr/bin/spamc | {}", BOUNCE.trim_start_matches('|')))
        }),
        ("a mailbox that is switched off", &|host| {
            host.mailboxes(COM, &["u0:$6$salt$hash:1:0:N:/d:Q", "u1:$6$salt$hash:1:16:N:/d:Q"])
        }),
        ("a domain of another host", &|host| host.write(&control("virtualdomains"), "example.com:\n")),
        ("a file for another name", &|host| host.write(&file("u"), "&u0@example.com\n")),
        ("an onchange that is called", &|host| {
            host.write("/home/vpopmail/etc/onchange", "#!/bin/sh\n").write("/home/vpopmail/bin/vadduser", program)
        }),
        ("a wrapper of vadduser", &|host| {
            host.write("/home/vpopmail/etc/onchange", "#!/bin/sh\n");
            host.write("/home/vpopmail/bin/vadduser", "#!/bin/sh\nexec /opt/vadduser \"$@\"\n")
        }),
        ("no onchange", &|host| host.write("/home/vpopmail/bin/vadduser", b"\x7fELF\0vadduser: usage\0".as_slice())),
    ];
    let codes = [
        Code::DomainLocalAndVirtual,
        Code::DomainNotInRcpthosts,
        Code::VdelivermailMisread,
        Code::ForwardRefused,
        Code::ForwardLoop,
        Code::CatchAllNobody,
        Code::QmailLineUnreached,
        Code::MailboxShadowed,
        Code::MailboxUnreached,
        Code::OnchangeUncalled,
        Code::PipeShared,
    ];
    let service = sound();
    for (name, change) in changes {
        let host = MailHost::sample();
        std::fs::remove_dir_all(host.root()).unwrap();
        let copied = std::process::Command::new("cp").arg("-Rp").args([service.host.root(), host.root()]).status();
        assert!(copied.unwrap().success());
        change(&host);
        let answer = check(&host);
        assert!(!answer.stdout.is_empty(), "no service reads the copy's pipe: {answer:?}");
        for code in codes {
            assert!(!answer.stdout.contains(&format!("\t{}\n", code.word())), "{name}: {}", answer.stdout);
        }
    }
}

#[test]
fn another_program_that_reads_the_pipe_is_told_of_and_one_that_writes_is_not() {
    let service = sound();
    let fifo = service.fifo();
    let writer = std::fs::OpenOptions::new().write(true).open(&fifo).unwrap();
    let own = check(&service.host);
    assert_eq!((own.code, &own.stdout[..]), (0, ""), "the service and a writer");
    // Neither reads a byte: the service hears all triggers.
    let mut reader =
        std::process::Command::new("sleep").arg("100").stdin(std::fs::File::open(&fifo).unwrap()).spawn().unwrap();
    let answer = check(&service.host);
    reader.kill().unwrap();
    reader.wait().unwrap();
    drop(writer);
    let words = format!("reads this pipe too: sleep (process {})", reader.id());
    assert!(answer.code == 1 && answer.stdout.contains(&words), "{answer:?}");
    assert!(answer.stdout.ends_with("\tpipe-shared\n") && answer.stdout.lines().count() == 1, "{}", answer.stdout);
}

/// The findings of this kind, as they are printed.
fn told(answer: &Answer, code: Code) -> Vec<&str> {
    let end = format!("\t{}", code.word());
    answer.stdout.lines().filter_map(|line| line.strip_suffix(&end[..])).collect()
}

#[test]
fn what_one_customer_does_wrong_without_end_is_counted_and_hides_nothing_of_others() {
    let service = sound();
    let host = &service.host;
    let gone: String = (0..100).map(|number| format!("&gone{number}@example.com\n")).collect();
    for number in 0..200 {
        let file = |name: &str| format!("{COM}/.qmail-{name}{number:03}");
        host.write(&file("gone"), &gone).write(&file("loop"), format!("&loop{number:03}@example.com\n"));
        host.write(&file("end"), "|exit 100\n&u0@example.com\n").write(&file("Upper"), "&u0@example.com\n");
        host.write(&file("blank"), "\n");
        host.write(&file("chain"), format!("&chain{:03}@example.com\n", number + 1));
    }
    host.write("/var/qmail/alias/.qmail-a", "&b@mail.example.org\n&gone@example.com\n");
    host.write("/var/qmail/alias/.qmail-b", "&a@mail.example.org\n");
    let answer = check(host);
    for (code, more) in [
        // The last of the chain forwards to nobody, too.
        (Code::ForwardRefused, 20_001 - 10),
        (Code::ForwardLoop, 190),
        (Code::QmailLineUnreached, 190),
        (Code::QmailName, 190),
        (Code::MailDeferred, 190),
    ] {
        let found = told(&answer, code);
        let of_others = found.iter().filter(|line| line.contains("/var/qmail/alias/.qmail-")).count();
        let is_about_others = matches!(code, Code::ForwardRefused | Code::ForwardLoop);
        assert_eq!((found.len(), of_others), (11 + of_others, is_about_others.into()), "{found:#?}");
        let words = format!(": and {more} more findings of the kind {}", code.word());
        assert!(found.iter().any(|line| line.ends_with(&words)), "{words}: {found:#?}");
    }
    let json: Vec<serde_json::Value> = serde_json::from_str(&host.run(&["check", "--json"]).stdout).unwrap();
    let is_more = |finding: &&serde_json::Value| finding["text"].as_str().unwrap().contains(": and ");
    for finding in json.iter().filter(is_more) {
        assert_eq!(finding["domain"].as_str(), Some("example.com"), "{finding}");
    }
}

#[test]
fn a_chain_of_forwards_hides_no_loop_of_others() {
    let service = sound();
    let host = &service.host;
    for number in 0..1_600 {
        host.write(&format!("{COM}/.qmail-{number}"), format!("&{}@example.com\n&u0@example.com\n", number + 1));
    }
    host.write(&format!("{COM}/.qmail-1600"), "&u0@example.com\n");
    host.write("/var/qmail/alias/.qmail-a", "&b@mail.example.org\n").write("/var/qmail/alias/.qmail-b", "a\n");
    let answer = check(host);
    let found = told(&answer, Code::ForwardLoop);
    let [other] = &found[..] else { panic!("{found:#?}") };
    assert!(other.contains("/alias/.qmail-a: line 1: forwards to b@mail.example.org, which leads back"), "{other}");
    // Closed, it is one finding of readable length.
    host.write(&format!("{COM}/.qmail-1600"), "&0@example.com\n");
    let answer = check(host);
    let found = told(&answer, Code::ForwardLoop);
    assert!(found.len() == 2 && found[0].contains(".qmail-0: line 1: "), "{found:#?}");
    assert!(found[0].contains(", and 1597 others: qmail bounces"), "{found:#?}");
}

#[test]
fn a_forward_that_never_happens_is_no_finding() {
    let service = sound();
    let host = &service.host;
    let file = |name: &str, lines: &str| host.write(&format!("{COM}/.qmail-{name}"), lines);
    for (name, after) in [
        ("refusing", "|exit 100"),
        ("deferring", "| exit 111"),
        ("unknown", "|/usr/local/bin/sorter"),
        ("bounced", "|bouncesaying 'gone'"),
        ("without-mailbox", BOUNCE),
        ("misused", "|/home/vpopmail/bin/vdelivermail ''"),
        ("list", "+list\n/home/vpopmail/Maildir/"),
        ("far", &("#\n".repeat(40_000) + "|exit 100")),
        ("Upper", ""),
        ("executable", "./Maildir/"),
    ] {
        file(name, &format!("&gone@example.com\n&{name}@example.com\n{after}\n"));
    }
    host.mode(&format!("{COM}/.qmail-executable"), 0o744);
    let answer = check(host);
    assert_eq!(told(&answer, Code::ForwardRefused), [""; 0], "{}", answer.stdout);
    assert_eq!(told(&answer, Code::ForwardLoop), [""; 0], "{}", answer.stdout);
    let found = told(&answer, Code::QmailName);
    assert!(found.len() == 1 && found[0].contains(".qmail-Upper: no mail comes to it"), "{found:?}");
    // These do not stop it.
    for (name, after) in [("u1", BOUNCE), ("done", "|exit 0\n|exit 99\n|exit 100"), ("kept", "./Maildir/")] {
        file(name, &format!("&gone@example.com\n{after}\n"));
    }
    let answer = check(host);
    let found = told(&answer, Code::ForwardRefused);
    assert_eq!(found.len(), 3, "{found:#?}");
}

#[test]
fn the_place_of_a_finding_is_that_of_the_file_whatever_its_name_is() {
    let service = sound();
    let host = &service.host;
    let write = |name: &str, lines: &str| host.write(&format!("{COM}/.qmail-{name}: line 7: b"), lines);
    write("a", "&u0@example.com\n&gone@example.com\n&a: line 7: b@example.com\n");
    write("Upper", "&u0@example.com\n");
    write("end", "|exit 100\n&u0@example.com\n");
    write("blank", "\n");
    host.write(&format!("{COM}/.qmail-long: line 7: b"), vec![b'#'; (1 << 20) + 1]);
    host.folder(&format!("{COM}/.qmail-default: line 7: b"));
    let answer = host.run(&["check", "--json"]);
    let json: Vec<serde_json::Value> = serde_json::from_str(&answer.stdout).unwrap();
    let place = |code: Code| {
        let mut of_code = json.iter().filter(|finding| finding["code"] == code.word());
        let finding = of_code.next().unwrap_or_else(|| panic!("{}: {}", code.word(), answer.stdout));
        assert!(of_code.next().is_none(), "{}: {}", code.word(), answer.stdout);
        (finding["file"].as_str().unwrap().rsplit_once("/.qmail-").unwrap().1.to_owned(), finding["line"].as_u64())
    };
    for (code, name, line) in [
        (Code::ForwardRefused, "a", Some(2)),
        (Code::QmailName, "Upper", None),
        (Code::QmailLineUnreached, "end", Some(2)),
        (Code::MailDeferred, "blank", Some(1)),
        (Code::QmailFileUnreadable, "long", None),
    ] {
        assert_eq!(place(code), (format!("{name}: line 7: b"), line), "{}", code.word());
    }
}

#[test]
fn a_host_without_qmail_is_told_the_option_that_names_its_directory() {
    let host = MailHost::empty();
    for arguments in [&["check"][..], &["explain", "ann@example.com"], &["rebuild"]] {
        let answer = host.run(arguments);
        assert!(answer.stderr.contains("/var/qmail: No such file or directory; --qmail DIR names "), "{answer:?}");
        assert!(!answer.stdout.contains("--qmail"), "{answer:?}");
    }
    host.write("/srv/qmail/control/me", "a.example\n");
    assert!(!host.run(&["--qmail", "/srv/qmail", "check"]).stderr.contains("--qmail DIR"));
}

#[test]
fn a_mailbox_whose_mail_is_switched_off_is_no_finding_behind_a_filter_either() {
    let service = sound();
    let host = &service.host;
    host.mailboxes(COM, &[&format!("u0:{}:1:16:N:/d:Q", SOUND[0])]);
    host.write(
        &format!("{COM}/.qmail-default"),
        "|/usr/bin/spamc | /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n",
    );
    let answer = host.run(&["check"]);
    assert!(!answer.stdout.contains("mailbox-unreached"), "{}", answer.stdout);
}
