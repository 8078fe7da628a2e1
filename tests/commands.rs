//! Every command, option and exit status of the contract, through the real binary.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use support::{Answer, MailHost, is_root, me, skip};

const COM: &str = "/home/vpopmail/domains/example.com";

#[test]
fn list_is_sorted_and_shows_what_a_rebuild_publishes() {
    let host = MailHost::sample();
    let before = host.run(&["list", "recipients"]);
    assert_eq!(before.code, 0);
    assert!(!host.published("validrcptto.cdb").exists(), "list publishes nothing");
    assert!(before.stdout.contains("accept\tlist-default@example.com\tother\n"), "{}", before.stdout);
    assert!(before.stdout.contains("refuse\tspamtrap@example.net\t-\n"), "{}", before.stdout);
    let lines: Vec<&str> = before.stdout.lines().collect();
    let keys: Vec<&str> = lines.iter().map(|line| line.split('\t').nth(1).unwrap()).collect();
    assert!(keys.is_sorted(), "sorted by key");
    host.rebuild();
    assert_eq!(host.run(&["list", "recipients"]).stdout, before.stdout);
}

#[test]
fn dry_run_prints_one_line_a_change_and_publishes_nothing() {
    let host = MailHost::sample();
    host.mailboxes(COM, &["ann:$1$a$b:1:0:N:/d:Q", "bob:$1$a$c:1:0:N:/d:Q"]);
    host.rebuild();
    assert_eq!(host.run(&["rebuild", "--dry-run"]).stdout, "", "nothing has changed");
    host.remove("/var/qmail/control/authvars");
    host.mailboxes(COM, &["ann:$1$a$b:1:0:N:/d:Q", "eve:$1$a$d:1:0:N:/d:Q"]);
    host.write("/home/vpopmail/domains/example.net/.qmail-spamtrap", "./Maildir/\n");
    let before = fs::read(host.published("validrcptto.cdb")).unwrap();
    let answer = host.run(&["rebuild", "--dry-run"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert_eq!(
        answer.stdout,
        "-\taccept\tbob@example.com\n\
         -\taccept\tbob@example.edu\n\
         +\taccept\teve@example.com\n\
         +\taccept\teve@example.edu\n\
         +\taccept\texample.net-spamtrap\n\
         -\trefuse\texample.net-spamtrap@mail.example.org\n\
         +\taccept\texample.net-spamtrap@mail.example.org\n\
         -\trefuse\tspamtrap@example.net\n\
         +\taccept\tspamtrap@example.net\n\
         ~\tlogin\tann\n\
         ~\tlogin\tann@example.com\n\
         ~\tlogin\tann@example.edu\n\
         -\tlogin\tbob\n\
         -\tlogin\tbob@example.com\n\
         -\tlogin\tbob@example.edu\n\
         ~\tlogin\tdora@example.net\n\
         +\tlogin\teve\n\
         +\tlogin\teve@example.com\n\
         +\tlogin\teve@example.edu\n\
         ~\tlogin\tpostmaster@example.net\n"
    );
    assert!(before == fs::read(host.published("validrcptto.cdb")).unwrap());
    host.rebuild();
    assert_eq!(host.run(&["rebuild", "--dry-run"]).stdout, "", "and now it is published");
}

#[test]
fn lookup_answers_as_qmail_smtpd_does() {
    let host = MailHost::sample();
    let missing = host.run(&["lookup", "ann@example.com"]);
    assert_eq!(missing.code, 111, "{}", missing.stderr);
    assert!(
        missing.stderr.contains("unable to read") && missing.stderr.contains("validrcptto.cdb"),
        "{}",
        missing.stderr
    );
    host.rebuild();
    let accepted = host.run(&["lookup", "ANN@Example.COM", "list-a-b@example.com", "x@example.net"]);
    assert_eq!(accepted.code, 0);
    assert_eq!(
        accepted.stdout,
        "accept\tANN@Example.COM\tann@example.com\tmailbox\n\
         accept\tlist-a-b@example.com\tlist-default@example.com\tother\n\
         accept\tx@example.net\t@example.net\tcatch-all\n"
    );
    // One a line, the last without a newline too; the domain's dot and an empty line count as written.
    let answer =
        host.run_with_input(&["lookup"], b"nobody@example.com\n\nann@example.com.\nspamtrap@example.net\npostmaster");
    assert_eq!(answer.code, 1);
    assert_eq!(
        answer.stdout,
        "refuse\tnobody@example.com\t-\t-\n\
         refuse\tann@example.com.\t-\t-\n\
         refuse\tspamtrap@example.net\tspamtrap@example.net\t-\n\
         accept\tpostmaster\tpostmaster\tother\n"
    );
    fs::write(host.published("validrcptto.cdb"), "").unwrap();
    let answer = host.run(&["lookup", "ann@example.com"]);
    assert_eq!((answer.code, &answer.stdout[..]), (1, "refuse\tann@example.com\t-\t-\n"));
    assert!(answer.stderr.contains("alert: "), "{}", answer.stderr);
}

#[test]
fn explain_names_file_and_line_of_every_step() {
    let host = MailHost::sample();
    host.rebuild();
    let addresses = [
        "carol@mail.example.org",
        "carol-news@mail.example.org",
        "carol-sports@mail.example.org",
        "postmaster",
        "nobody@mail.example.org",
        "Ann@Example.com",
        "ann@example.edu",
        "bob@example.com",
        "nobody@example.com",
        "Office.Desk@example.com",
        "list-subscribe@example.com",
        "oldlist@example.com",
        "anybody@example.net",
        "spamtrap@example.net",
        "anybody@backup.example",
        "erik@relay.example",
        "erik-old@relay.example",
        "nobody@relay.example",
        "someone@elsewhere.example",
    ];
    let arguments: Vec<&str> = ["explain"].into_iter().chain(addresses).collect();
    let answer = host.run(&arguments);
    assert_eq!(answer.code, 1, "some are refused: {}", answer.stderr);
    // Fields that version 0.1.0 had not follow after a tab.
    let lines = answer.stdout.lines().map(|line| format!("{}\n", line.split('\t').next().unwrap()));
    let told = lines.collect::<String>().replace(host.root().to_str().unwrap(), "");
    // Read against the files of examples/host, line by line, before it was put here.
    assert_eq!(told, include_str!("golden/explain.txt"));
}

#[test]
fn explain_says_when_the_published_file_is_behind() {
    let host = MailHost::sample();
    let answer = host.run(&["explain", "ann@example.com"]);
    assert!(answer.stdout.contains("not published yet"), "{}", answer.stdout);
    host.rebuild();
    host.write(&format!("{COM}/.qmail-new"), "&x@y.test\n");
    let answer = host.run(&["explain", "new@example.com"]);
    assert!(answer.stdout.contains("no key matches: but should be accepted"), "{}", answer.stdout);
    assert!(answer.stdout.ends_with("\ndeliver\n"), "{}", answer.stdout);
}

#[test]
fn a_missing_home_defers_and_a_root_owned_assignment_too() {
    let host = MailHost::sample();
    host.write("/var/qmail/users/assign", "=gone:x:7:7:/home/gone:::\n=rooted:x:0:0:/root:::\n=odd:x:7:7:home:::\n.\n");
    let verdicts = ["gone", "rooted", "odd"].map(|name| {
        let answer = host.run(&["explain", &format!("{name}@mail.example.org")]).stdout;
        answer.lines().last().unwrap().to_owned()
    });
    assert_eq!(verdicts, ["defer", "defer", "bounce"]);
}

#[test]
fn every_setting_is_an_option_an_environment_variable_and_a_file() {
    let host = MailHost::sample();
    host.write("/etc/group", "root:x:0:\n");
    let outside = MailHost::empty();
    fs::rename(host.path("/var/qmail"), host.path("/var/mailer")).unwrap();
    fs::rename(host.path("/home/vpopmail"), host.path("/home/vp")).unwrap();
    let text = fs::read_to_string(host.path("/var/mailer/users/assign")).unwrap().replace("/home/vpopmail", "/home/vp");
    host.write("/var/mailer/users/assign", text.replace("=carol", "=carol+x"));
    for file in ["example.com", "example.net"] {
        let path = format!("/home/vp/domains/{file}/.qmail-default");
        let text = fs::read_to_string(host.path(&path)).unwrap().replace("/home/vpopmail", "/home/vp");
        host.write(&path, text);
    }
    host.write("/home/vp/domains/example.net/.qmail-default", "|/home/vp/bin/vdelivermail '' delete\n");
    host.folder("/srv");
    let (uid, gid) = me();
    let owner = format!("{uid}:{gid}");
    let settings = [
        ("QMAIL", "/var/mailer/"),
        ("VPOPMAIL", "/home/vp"),
        ("VALIDRCPTTO", "/srv/v.cdb"),
        ("AUTH", "/srv/a.cdb"),
        ("STATE", "/srv/state"),
        ("BREAK", "+"),
        ("VPOPMAIL_EXT", "yes"),
        ("CATCHALL_DELETE", "accept"),
        ("AUTH_OWNER", &owner),
        ("AUTH_SYSTEM_USERS", "0"),
        ("THREADS", "2"),
    ];
    let check = |answer: Answer| {
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        assert!(host.path("/srv/state/lock").exists() && host.path("/srv/a.cdb").exists());
        let image = fs::read(host.path("/srv/v.cdb")).unwrap();
        let table = qmail_updater::cdb::Reader::new(&image).unwrap();
        for key in ["@example.net", "ann+default@example.com"] {
            assert!(table.find(key.as_bytes()).is_none_or(|data| data == b"f4"), "{key}");
        }
        assert!(table.find(b"@example.net").is_some(), "delete accepts");
        fs::remove_dir_all(host.path("/srv")).unwrap();
        host.folder("/srv");
    };
    let mut by_environment = host.command(&["rebuild"]);
    for (name, value) in settings {
        by_environment.env(format!("QMAIL_UPDATER_{name}"), value);
    }
    check(by_environment.output().unwrap().into());
    for (name, value) in settings {
        host.write(&format!("/etc/qmail-updater/env/QMAIL_UPDATER_{name}"), format!("{value}\n"));
    }
    check(host.run(&["rebuild"]));
    fs::remove_dir_all(host.path("/etc/qmail-updater")).unwrap();
    let mut options: Vec<String> = Vec::new();
    for (name, value) in settings {
        let name = format!("--{}", name.to_lowercase().replace('_', "-"));
        match value {
            "yes" => options.push(name),
            "0" => {}
            _ => options.extend([name, value.to_owned()]),
        }
    }
    options.push("rebuild".to_owned());
    check(host.run(&options.iter().map(String::as_str).collect::<Vec<_>>()));
    // An option beats the environment, and the root is a setting too.
    let mut command = Command::new(support::tested());
    command.env_clear().env("QMAIL_UPDATER_ROOT", outside.root()).arg("--root").arg(host.root());
    command.args(["--qmail", "/var/mailer", "list", "recipients"]);
    assert!(command.output().unwrap().status.success());
}

#[test]
fn the_program_without_arguments_says_what_it_is_and_names_five_commands() {
    let answer: Answer = Command::new(support::tested()).output().unwrap().into();
    assert_eq!((answer.code, &answer.stderr[..]), (100, "qmail-updater: fatal: no command; --help lists them\n"));
    let commands = answer.stdout.lines().filter_map(|line| line.strip_prefix("  qmail-updater ")?.split_once("  "));
    let commands: Vec<&str> = commands.map(|(command, _)| command).collect();
    assert_eq!(commands, ["check", "rebuild --dry-run", "rebuild", "explain ADDRESS", "status"]);
    assert!(answer.stdout.contains("man qmail-updater") && answer.stdout.lines().all(|line| line.len() <= 120));
    // Each of them is a command.
    for command in commands {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = Command::new(support::tested()).args(words).output().unwrap();
        assert!(help.status.success(), "{command}");
    }
}

#[test]
fn misuse_exits_100_and_says_how_it_is_used() {
    let host = MailHost::sample();
    for (arguments, says) in [
        (&[][..], "no command; --help lists them"),
        (&["frobnicate"], "frobnicate"),
        (&["rebuild", "--colour"], "--colour"),
        (&["list"], "<recipients|logins>"),
        (&["explain"], "<ADDRESSES>"),
        (&["rebuild", "--qmail", "qmail"], "--qmail \"qmail\": an absolute path is needed"),
        (&["rebuild", "--break", "--"], "--break \"--\": one character is needed"),
        (&["rebuild", "--threads", "0"], "--threads"),
        (&["rebuild", "--catchall-delete", "maybe"], "--catchall-delete"),
        (&["rebuild", "--root", "/nonexistent/root"], "--root /nonexistent/root: no such directory"),
    ] {
        let answer: Answer = if arguments.contains(&"--root") {
            Command::new(support::tested()).args(arguments).output().unwrap().into()
        } else {
            host.run(arguments)
        };
        assert_eq!(answer.code, 100, "{arguments:?}: {}", answer.stderr);
        assert!(answer.stderr.contains(says), "{arguments:?}: {}", answer.stderr);
        assert_eq!((&answer.stdout[..], answer.stderr.lines().count()), ("", 1), "{}", answer.stderr);
        assert!(answer.stderr.starts_with("qmail-updater: fatal: "), "{}", answer.stderr);
    }
    let mut command = host.command(&["rebuild"]);
    let answer: Answer = command.env("QMAIL_UPDATER_VPOPMAIL_EXT", "perhaps").output().unwrap().into();
    assert_eq!(answer.code, 100, "{}", answer.stderr);
    assert!(answer.stderr.contains("QMAIL_UPDATER_VPOPMAIL_EXT"), "{}", answer.stderr);
    assert!(!host.run(&["\u{1b}]0;x\u{7}"]).stderr.contains('\u{1b}'));
    let help = host.run(&["--help"]);
    assert!(help.code == 0 && help.stdout.contains("qmail-updater COMMAND --help says more"), "{}", help.stdout);
    assert_eq!(host.run(&["--version"]).stdout, concat!("qmail-updater ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn a_closed_or_full_standard_output_or_error_never_panics() {
    let host = MailHost::sample();
    host.rebuild();
    let shell = |command: &str| -> Answer {
        let script = format!("{} --root {} {command}", support::tested(), host.root().display());
        Command::new("bash").args(["-c", &format!("set -o pipefail; {script}")]).output().unwrap().into()
    };
    for command in
        ["list recipients", "lookup ann@example.com", "explain ann@example.com", "rebuild --dry-run", "rebuild"]
    {
        for (redirection, code) in
            [(">&-", Some(0)), ("2>&-", Some(0)), (">&- 2>&-", Some(0)), ("2>/dev/full", Some(0)), ("| true", None)]
        {
            let answer = shell(&format!("{command} {redirection}"));
            assert!(!answer.stderr.contains("panicked"), "{command} {redirection}: {}", answer.stderr);
            assert!(code.is_none_or(|code| code == answer.code), "{command} {redirection}: {}", answer.code);
        }
    }
    for command in ["list recipients", "lookup ann@example.com", "explain ann@example.com", "--help"] {
        let answer = shell(&format!("{command} >/dev/full"));
        assert!(!answer.stderr.contains("panicked"), "{command}: {}", answer.stderr);
        if command != "--help" {
            assert_eq!(answer.code, 111, "{command}: {}", answer.stderr);
            assert!(answer.stderr.contains("unable to write to standard output: No space left"), "{}", answer.stderr);
        }
    }
}

#[test]
fn progress_is_never_shown_where_standard_error_is_no_terminal() {
    let host = MailHost::sample();
    for n in 0..300 {
        host.folder(&format!("/home/user{n}"));
    }
    let lines: String = (0..300).map(|n| format!("=user{n}:u:7:7:/home/user{n}:::\n")).collect();
    host.write("/var/qmail/users/assign", lines + ".\n");
    let answer = host.rebuild();
    assert!(!answer.stderr.contains("reading") && !answer.stderr.contains('\r'), "{}", answer.stderr);
    if !support::has("script") {
        return skip("progress on a terminal", "script(1) is not installed");
    }
    let command = format!("{} --root {} rebuild", support::tested(), host.root().display());
    let terminal = Command::new("script").args(["-qec", &command, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    let shown = String::from_utf8_lossy(&terminal.stdout).into_owned();
    assert!(shown.contains("rebuild done"), "{shown}");
    assert!(shown.contains(" homes ["), "{shown}");
}

#[test]
fn accounts_from_elsewhere_make_local_domains_accept_what_users_assign_does_not_decide() {
    let host = MailHost::sample();
    host.write("/etc/nsswitch.conf", "passwd: files ldap\n");
    let answer = host.rebuild();
    assert!(answer.stderr.contains("nsswitch.conf: passwd names more than files"), "{}", answer.stderr);
    let asked = ["anybody@mail.example.org", "carol-sports@mail.example.org", "nobody@example.com"];
    assert_eq!(host.answers(&asked), ["accept", "refuse", "refuse"]);
    host.write("/etc/nsswitch.conf", "passwd: files systemd\n");
    host.rebuild();
    assert_eq!(host.answers(&asked), ["refuse", "refuse", "refuse"]);
}

#[test]
fn an_account_counts_when_it_owns_its_home_where_anybody_can_see_it() {
    let host = MailHost::sample();
    let (uid, gid) = if is_root() { (1001, 1001) } else { me() };
    host.folder("/home/closed/dan").folder("/home/erin").folder("/home/frank");
    for home in ["/home/closed/dan", "/home/erin"] {
        if is_root() {
            host.own(home, uid, gid);
        }
    }
    let frank = uid + 1;
    let account = |name: &str, uid: u32, home: &str| format!("{name}:x:{uid}:{gid}::{home}:/bin/sh\n");
    let passwd = account("dan", uid, "/home/closed/dan")
        + &account("erin", uid, "/home/erin")
        + &account("frank", frank, "/home/frank");
    host.write("/etc/passwd", passwd + "alias:x:7790:2108::/var/qmail/alias:/bin/true\n");
    host.mode("/home/closed", 0o750);
    host.rebuild();
    let asked = ["erin", "erin-x", "frank", "dan"].map(|name| format!("{name}@mail.example.org"));
    let answers = host.answers(&asked.each_ref().map(String::as_str));
    assert_eq!(answers, ["accept", "refuse", "refuse", "refuse"], "no stranger sees /home/closed/dan");
    host.mode("/home/closed", 0o755);
    host.rebuild();
    assert_eq!(host.answers(&["dan@mail.example.org"]), ["accept"]);
}

#[test]
fn users_cdb_counts_without_users_assign_and_is_compared_with_it() {
    let host = MailHost::sample();
    let home = "/home/vpopmail/domains/example.com";
    let record = format!("example.com\0{}\0{}\0{home}\0-\0\0", 89, 89);
    let image = qmail_updater::cdb::image([(&b"!example.com-"[..], record.as_bytes()), (&b""[..], b"-")]).unwrap();
    host.write("/var/qmail/users/cdb", &image);
    let answer = host.rebuild();
    assert!(answer.stderr.contains("bin/qmail-newu: not there, so not run"), "{}", answer.stderr);
    assert!(answer.stderr.contains("users/cdb: not what"), "{}", answer.stderr);
    host.write("/var/qmail/users/assign", format!("+example.com-:example.com:89:89:{home}:-::\n.\n"));
    assert!(!host.rebuild().stderr.contains("users/cdb"));
    host.remove("/var/qmail/users/assign");
    let answer = host.rebuild();
    assert!(answer.stderr.contains("users/assign: no such file; what"), "{}", answer.stderr);
    assert_eq!(host.answers(&["ann@example.com", "nobody@example.com"]), ["accept", "refuse"]);
    host.write("/var/qmail/users/cdb", &image[..image.len() - 3]);
    let answer = host.run(&["rebuild"]);
    assert_eq!(answer.code, 100, "{}", answer.stderr);
    assert!(answer.stderr.contains("users/cdb: corrupt"), "{}", answer.stderr);
}

/// The sample host as many are: each home is open to its owner only, mailboxes and logins to those who need them. A few
/// homes say by their mode alone what becomes of mail, or keep a file of theirs closed.
fn closed_host() -> MailHost {
    let host = MailHost::sample();
    let domains = "/home/vpopmail/domains";
    let accounts = "alias:x:7790:2108::/var/qmail/alias:/bin/true\nvpopmail:x:89:89::/home/vpopmail:/bin/sh\n";
    host.write("/etc/passwd", accounts);
    let lines = fs::read_to_string(host.path("/var/qmail/users/assign")).unwrap();
    let line = |name: &str, uid: u32| format!("={name}:{name}:{uid}:{uid}:/home/{name}:::\n");
    host.write("/var/qmail/users/assign", format!("{}{}{lines}", line("dave", 1002), line("erin", 1003)));
    host.folder("/home/dave").folder("/home/erin");
    host.write("/var/qmail/alias/.qmail-closed", "|exit 100\n").write("/var/qmail/alias/.qmail-roots", "|exit 100\n");
    host.mailboxes(&format!("{domains}/example.net"), &["eva:$1$a$b:1:0:N:/d:NOQUOTA"]);
    host.rebuild();
    for (path, mode, owner) in [
        ("/home/carol", 0o700, 1001),
        // Not dave's: its mode keeps him out.
        ("/home/dave", 0o700, 0),
        // World-writable, which qmail-local does not deliver into.
        ("/home/erin", 0o702, 1003),
        (&format!("{domains}/example.com"), 0o700, 89),
        (&format!("{domains}/example.net/vpasswd.cdb"), 0o600, 89),
        // qmail-local, as alias, may read the first one only.
        ("/var/qmail/alias/.qmail-closed", 0o600, 7790),
        ("/var/qmail/alias/.qmail-roots", 0o600, 0),
        ("/var/qmail/control/auth.cdb", 0o640, 0),
        ("/run/qmail-updater", 0o700, 0),
    ] {
        host.mode(path, mode).own(path, owner, owner);
    }
    host
}

/// What a user of the host, who is not root, is answered.
fn as_nobody(host: &MailHost, arguments: &[&str]) -> Answer {
    host.command(arguments).uid(65_534).gid(65_534).output().unwrap().into()
}

#[test]
fn an_ordinary_user_is_told_what_cannot_be_known_and_nothing_that_is_not_so() {
    if !is_root() {
        return skip("homes of others", "only root can make them");
    }
    let host = closed_host();
    let golden = include_str!("golden/ordinary-user.txt");
    let mut told = String::new();
    for line in golden.lines() {
        // The reasons stand beside what they explain.
        if line.starts_with('#') {
            told += &format!("{line}\n");
        } else if let Some(command) = line.strip_prefix("$ qmail-updater ") {
            let answer = as_nobody(&host, &command.split(' ').collect::<Vec<_>>());
            let Answer { code, stdout, stderr } = answer;
            let stderr = stderr.replace("qmail-updater: ", "");
            told += &format!("{line}\n{stdout}{stderr}=> {code}\n").replace(host.root().to_str().unwrap(), "");
        }
    }
    assert_eq!(told, golden);
}

#[test]
fn an_ordinary_user_is_told_no_finding_and_no_change_that_root_is_not_told() {
    if !is_root() {
        return skip("homes of others", "only root can make them");
    }
    let host = closed_host();
    // Some changes that only root sees, and one that everybody does.
    host.write(&format!("{COM}/.qmail-new"), "&x@y.test\n").write("/home/carol/.qmail-Upper", "&x@y.test\n");
    host.write("/var/qmail/alias/.qmail-open", "&x@y.test\n");
    for arguments in [&["check"][..], &["rebuild", "--dry-run"], &["list", "recipients"], &["list", "logins"]] {
        let (ours, roots) = (as_nobody(&host, arguments), host.run(arguments));
        assert_eq!(ours.code, 111, "{arguments:?}: {}", ours.stderr);
        assert!(ours.stderr.ends_with("; run as root\n"), "{arguments:?}: {}", ours.stderr);
        assert!(roots.stdout.lines().count() > ours.stdout.lines().count(), "{arguments:?}");
        for line in ours.stdout.lines() {
            assert!(roots.stdout.lines().any(|of_root| of_root == line), "{arguments:?}: root is not told: {line}");
        }
    }
    // Where nothing is closed to him, he is told what root is told.
    for path in ["/home/carol", COM, "/home/dave", "/home/erin"] {
        host.mode(path, 0o755);
    }
    for path in ["/home/vpopmail/domains/example.net/vpasswd.cdb", "/var/qmail/alias/.qmail-closed"] {
        host.mode(path, 0o644);
    }
    host.mode("/var/qmail/alias/.qmail-roots", 0o644);
    for arguments in [&["list", "recipients"][..], &["list", "logins"]] {
        let (ours, roots) = (as_nobody(&host, arguments), host.run(arguments));
        assert_eq!((ours.code, ours.stdout), (0, roots.stdout), "{arguments:?}: {}", ours.stderr);
    }
    // Of the two tables one is closed: the changes of the other are known.
    let (ours, roots) = (as_nobody(&host, &["rebuild", "--dry-run"]), host.run(&["rebuild", "--dry-run"]));
    assert!(ours.stdout.contains("+\taccept\topen@mail.example.org\n"), "{}", ours.stdout);
    assert_eq!((ours.code, ours.stdout), (111, roots.stdout), "{}", ours.stderr);
    assert!(ours.stderr.contains("control/auth.cdb; further changes are unknown; run as root"));
}

#[test]
fn the_first_word_of_what_an_ordinary_user_is_told_on_a_terminal_is_unknown() {
    if !is_root() {
        return skip("homes of others", "only root can make them");
    }
    let host = closed_host();
    for arguments in [&["check"][..], &["rebuild", "--dry-run"], &["rebuild", "--dry-run", "--summary"]] {
        let answer = as_nobody(&host, &[arguments, &["--color", "always"]].concat());
        let first = answer.stdout.split(['m', ' ', '\x1b']).find(|word| word.starts_with(char::is_alphabetic));
        assert_eq!((first, answer.code), (Some("UNKNOWN"), 111), "{arguments:?}: {answer:?}");
        assert!(!answer.stdout.contains("nothing would change"), "{arguments:?}: {}", answer.stdout);
    }
    // What is wrong for certain is told as that.
    fs::write(host.path("/var/qmail/control/validrcptto.cdb"), "no table").unwrap();
    let answer = as_nobody(&host, &["check", "--color", "always"]);
    assert!(answer.stdout.lines().next().unwrap().contains("ALERT"), "{}", answer.stdout);
}

#[test]
fn a_table_that_is_missing_or_damaged_is_an_alert_of_status_and_explain_blames_it() {
    let host = MailHost::sample();
    host.rebuild();
    let tables = ["/var/qmail/control/validrcptto.cdb", "/var/qmail/control/auth.cdb"];
    let damage = |how: &str, table: &str| match how {
        "damaged" => fs::write(host.path(table), "no table").unwrap(),
        "cut off" => {
            let image = fs::read(host.path(table)).unwrap();
            fs::write(host.path(table), &image[..image.len() / 2]).unwrap();
        }
        _ => drop(host.remove(table)),
    };
    for how in ["damaged", "cut off", "missing"] {
        host.rebuild();
        tables.iter().for_each(|table| damage(how, table));
        let (check, status) = (host.run(&["check"]), host.run(&["status"]));
        let on_terminal = host.run(&["status", "--color", "always"]).stdout;
        let (head, _) = on_terminal.split_at(on_terminal.find("the service does not run").unwrap());
        assert!(head.contains("ALERT"), "{how}: {on_terminal}");
        for table in tables {
            let path = host.path(table).display().to_string();
            let alert = format!("alert: {path}: ");
            let text = check
                .stdout
                .lines()
                .find_map(|line| line.strip_prefix(&alert))
                .unwrap_or_else(|| panic!("{how}: {alert:?}: {}", check.stdout));
            let text = text.split('\t').next().unwrap();
            assert!(status.stdout.contains(&format!("tables: {path}: {text}")), "{how}: {}", status.stdout);
            assert!(head.contains(&path), "{how}: {on_terminal}");
        }
        assert_eq!(status.code, 1, "{how}");
        let explained = host.run(&["explain", "--json", "ann@example.com"]).stdout;
        let explained: serde_json::Value = serde_json::from_str(&explained).unwrap();
        let explained = &explained["addresses"][0];
        let reason = explained["reason"].as_str().unwrap();
        if how == "missing" {
            assert_eq!(explained["verdict"], "unknown");
        } else {
            assert_eq!(explained["verdict"], "refused", "{how}");
            assert!(reason.contains("damaged") && !reason.contains("out of date"), "{how}: {reason}");
            assert!(!explained["table"]["text"].as_str().unwrap().contains("dry-run"), "{explained}");
        }
    }
}

#[test]
fn a_rebuild_that_is_no_longer_by_root_keeps_what_it_may_not_read() {
    if !is_root() {
        return skip("homes of others", "only root can make them");
    }
    let host = closed_host();
    // The tables and the state are his, the homes are not.
    for path in ["/var/qmail/control", "/var/qmail/control/auth.cdb", "/var/qmail/control/validrcptto.cdb"] {
        host.own(path, 65_534, 65_534);
    }
    host.own("/run/qmail-updater", 65_534, 65_534).own("/run/qmail-updater/lock", 65_534, 65_534);
    host.write("/var/qmail/alias/.qmail-open", "&x@y.test\n");
    let logins = host.logins();
    let answer = as_nobody(&host, &["rebuild", "--auth-owner", "65534:65534"]);
    assert_eq!(answer.code, 111, "{}", answer.stderr);
    assert!(
        answer.stderr.contains("example.com: Permission denied; "),
        "the alert tells what was seen: {}",
        answer.stderr
    );
    assert!(
        answer.stderr.ends_with("; what depends on it is kept as published, or accepted; run as root\n"),
        "{}",
        answer.stderr
    );
    let asked = ["ann@example.com", "bob@example.com", "eva@example.net", "open@mail.example.org"];
    let asked: Vec<&str> = ["lookup"].into_iter().chain(asked).collect();
    let answers = as_nobody(&host, &asked).stdout;
    let answers: Vec<&str> = answers.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(answers, ["accept", "refuse", "accept", "accept"]);
    assert!(logins == host.logins(), "no login is lost");
    // A table that he may not read holds what he could not keep.
    host.own("/var/qmail/control/auth.cdb", 0, 0);
    let before = ["validrcptto.cdb", "auth.cdb"].map(|name| fs::read(host.published(name)).unwrap());
    host.write("/var/qmail/alias/.qmail-again", "&x@y.test\n");
    let answer = as_nobody(&host, &["rebuild", "--auth-owner", "65534:65534"]);
    assert_eq!(answer.code, 111, "{}", answer.stderr);
    assert!(answer.stderr.contains("unable to read"), "{}", answer.stderr);
    assert!(answer.stderr.ends_with("nothing is published, the old files stay; run as root\n"), "{}", answer.stderr);
    assert!(before == ["validrcptto.cdb", "auth.cdb"].map(|name| fs::read(host.published(name)).unwrap()));
}

#[test]
fn what_an_ordinary_user_may_not_read_is_unknown_and_nothing_is_kept_for_him() {
    if !is_root() {
        return skip("files of others", "only root can make them");
    }
    let authvars = "/var/qmail/control/authvars";
    let lists = "/var/qmail/control/validrcptto.d";
    let program = "/home/vpopmail/bin/vdelivermail";
    let host = MailHost::sample();
    host.write(authvars, "* DATABYTES=\"1\"\nann@example.com PASSWORD_EXPIRES=\"1\"\n");
    host.rebuild();
    host.mode(authvars, 0o600);
    let user = as_nobody(&host, &["user", "ann@example.com"]);
    let unknown = format!("  smtp login: unknown: {}: Permission denied\n", host.path(authvars).display());
    assert!(user.stdout.contains(&unknown), "{}", user.stdout);
    assert_eq!(user.code, 111, "{}", user.stderr);
    assert!(user.stderr.contains("control/authvars") && user.stderr.ends_with("; run as root\n"), "{}", user.stderr);
    let json = as_nobody(&host, &["user", "--json", "ann@example.com"]).stdout;
    assert!(json.contains("\"login_refused\":null") && json.contains("\"login_unknown\":\"/"), "{json}");
    host.mode(authvars, 0o644).mode(lists, 0o700);

    let domains = as_nobody(&host, &["domains", "relay.example"]);
    assert_eq!(domains.code, 111, "{}", domains.stdout);
    let wanted = "relay.example\trelay\t-\t-\t-\t-\tunknown\t-\tits list in control/validrcptto.d: ";
    assert!(
        domains.stdout.starts_with(wanted) && domains.stdout.ends_with("Permission denied\tunknown\n"),
        "{}",
        domains.stdout
    );
    let explained = as_nobody(&host, &["explain", "erik@relay.example"]);
    assert_eq!((explained.code, explained.stdout.lines().last()), (111, Some("unknown")), "{}", explained.stdout);
    assert!(explained.stdout.contains("Permission denied: unknown\n"), "{}", explained.stdout);
    for answer in [domains, explained] {
        let said = answer.stdout + &answer.stderr;
        assert!(!said.contains("keeps what is published") && !said.contains("stays"), "{said}");
    }

    host.mode(lists, 0o755).write(program, "vpopmail.mysql\0").mode(program, 0o711);
    for arguments in [&["explain", "ann@example.com"][..], &["domains"], &["user", "ann@example.com"]] {
        let answer = as_nobody(&host, arguments);
        assert_eq!(answer.code, 111, "{arguments:?}: {}", answer.stderr);
        assert!(answer.stderr.contains("bin/vdelivermail") && answer.stderr.ends_with("; run as root\n"));
        assert!(!answer.stderr.contains("is kept"), "nothing is kept: {}", answer.stderr);
    }
}

#[test]
fn help_names_a_command_and_each_help_leaves_the_options_of_the_host_to_the_program() {
    let host = MailHost::sample();
    let help = host.run(&["rebuild", "--help"]);
    let mut by_word = Command::new(support::tested());
    let by_word: Answer = by_word.env_clear().args(["help", "rebuild"]).output().unwrap().into();
    assert_eq!((by_word.code, &by_word.stdout), (0, &help.stdout));
    // The root of the test stands before it.
    assert_eq!(host.run(&["help", "rebuild"]).stdout, help.stdout);
    assert!(host.run(&["help"]).stdout.contains("--max-loss"));
    for command in ["rebuild", "list", "lookup", "run", "check", "status", "trigger", "explain", "domains", "user"] {
        let help = host.run(&[command, "--help"]).stdout;
        assert!(help.ends_with("qmail-updater --help\n") && !help.contains("--max-wait"), "{command}: {help}");
    }
    assert!(host.run(&["--help"]).stdout.contains("--max-loss"));
    // The options still work after a command.
    assert_eq!(host.run(&["list", "recipients", "--max-loss", "30"]).code, 0);
}

#[test]
fn a_value_that_is_refused_is_refused_in_words() {
    let host = MailHost::sample();
    for (arguments, says) in [
        (["--max-loss", "20%"], "a whole number is needed"),
        (["--max-loss", "101"], "it must be between 0 and 100"),
        (["--max-wait", "0"], "it must be between 1 and 4294967295"),
        (["--max-wait", "99999999999"], "it must be between 1 and 4294967295"),
        (["--threads", "0"], "it must be between 1 and 256"),
    ] {
        let answer = host.run(&[&["rebuild"], &arguments[..]].concat());
        assert!(answer.code == 100 && answer.stderr.contains(says), "{arguments:?}: {}", answer.stderr);
        assert!(!answer.stderr.contains("may hold it"), "it was typed: {}", answer.stderr);
    }
    let mut command = host.command(&["rebuild"]);
    let answer: Answer = command.env("QMAIL_UPDATER_VPOPMAIL_EXT", "perhaps").output().unwrap().into();
    assert!(answer.stderr.contains("it must be 1 or 0, yes or no, true or false"), "{}", answer.stderr);
}

#[test]
fn lookup_reads_standard_input_for_a_dash_and_answers_as_json() {
    let host = MailHost::sample();
    host.rebuild();
    let answer = host.run_with_input(&["lookup", "-"], b"ann@example.com\nnobody@example.com\n");
    assert_eq!((answer.code, answer.stdout.lines().count()), (1, 2), "{answer:?}");
    let answer = host.run(&["lookup", "--json", "ann@example.com", "nobody@example.com"]);
    let all: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    let found = |number: usize| (&all["addresses"][number]["accepted"], &all["addresses"][number]["key"]);
    assert_eq!(found(0), (&true.into(), &"ann@example.com".into()), "{all}");
    assert_eq!(found(1), (&false.into(), &serde_json::Value::Null), "{all}");
    assert_eq!((all["version"].as_u64(), answer.code), (Some(1), 1));
    for (table, lines) in [("recipients", host.run(&["list", "recipients"])), ("logins", host.run(&["list", "logins"]))]
    {
        let answer = host.run(&["list", table, "--json"]);
        let all: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
        assert_eq!(all["entries"].as_array().unwrap().len(), lines.stdout.lines().count(), "{table}");
        assert!(all["table"] == table && !answer.stdout.contains("$6$"), "{answer:?}");
    }
}

#[test]
fn demo_shows_the_program_on_a_copy_of_the_sample_host_whatever_the_settings_are() {
    let dir = tempfile::tempdir().unwrap();
    let demo = |arguments: &[&str]| -> Answer {
        // Settings of a host that must stay as it is.
        Command::new("sh")
            .args(["-c", "umask 077; exec \"$0\" demo \"$@\"", support::tested()])
            .args(arguments)
            .env("TMPDIR", dir.path())
            .env("QMAIL_UPDATER_VALIDRCPTTO", dir.path().join("elsewhere"))
            .env("QMAIL_UPDATER_STATE", dir.path().join("state"))
            .output()
            .unwrap()
            .into()
    };
    let names = || -> Vec<String> {
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let answer = demo(&[]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert!(answer.stdout.contains("accept\tANN@example.com\tann@example.com\tmailbox\n"), "{}", answer.stdout);
    assert!(answer.stdout.contains("\nbounce\n"), "{}", answer.stdout);
    let names_of_first = names();
    assert_eq!(names_of_first.len(), 1, "{names_of_first:?}");
    assert!(names_of_first[0].starts_with("qmail-updater-demo."), "{names_of_first:?}");

    let own = dir.path().join("own");
    let own = own.to_str().unwrap();
    assert_eq!(demo(&[own]).code, 0);
    // What users of other accounts may read counts: a copy that only its owner reads would be another host.
    let differ = Command::new("diff")
        .args(["-r", "--exclude=*.cdb", own, concat!(env!("CARGO_MANIFEST_DIR"), "/examples/host")])
        .output()
        .unwrap();
    let only = String::from_utf8(differ.stdout).unwrap();
    assert!(only.lines().all(|line| line.starts_with(&format!("Only in {own}"))), "{only}");
    let lists = format!("{own}/home/vpopmail/domains/example.com/.qmail-list");
    assert_eq!(fs::metadata(&lists).unwrap().permissions().mode() & 0o777, 0o644);
    let again = demo(&[own]);
    assert_eq!((again.code, &again.stdout[..]), (100, ""));
    assert!(again.stderr.contains("exists; name a new directory"), "{}", again.stderr);
    let nowhere = demo(&[&format!("{own}/a/b")]);
    assert_eq!((nowhere.code, &nowhere.stdout[..]), (111, ""));
}
