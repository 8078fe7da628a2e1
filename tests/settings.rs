//! The directory of settings: what an option says counts before the environment, and that before the directory; a file in
//! it is read as envdir reads it; what cannot be used is named, and never keeps a hook or a trigger from its work.

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use support::service::{Service, status_of};
use support::{Answer, MailHost, filled, is_root, me, program, skip};

/// Where the settings are.
const DIRECTORY: &str = "/etc/qmail-updater/env";
/// An ordinary user.
const NOBODY: u32 = 65_534;

/// The sample host with these settings.
fn host_with(settings: &[(&str, &str)]) -> MailHost {
    let host = MailHost::sample();
    set(&host, settings);
    host
}

fn set(host: &MailHost, settings: &[(&str, &str)]) {
    for (name, value) in settings {
        host.write(&format!("{DIRECTORY}/QMAIL_UPDATER_{name}"), value);
    }
}

/// The pipes that a trigger writes to, as the host names them.
fn pipes(host: &MailHost, command: &mut Command) -> Vec<String> {
    let answer: Answer = command.args(["trigger", "-v"]).output().unwrap().into();
    assert_eq!((answer.code, &answer.stdout[..]), (0, ""), "{}", answer.stderr);
    let of_line = |line: &str| {
        let path = line.strip_prefix("qmail-updater: status: ").unwrap_or_else(|| panic!("{line}"));
        let path = path.strip_prefix(host.root().to_str().unwrap()).unwrap();
        path.split_once(": no pipe to write to").unwrap().0.to_owned()
    };
    answer.stderr.lines().map(of_line).collect()
}

#[test]
fn an_option_wins_over_the_environment_and_that_over_the_directory() {
    let host = host_with(&[("FIFO", "/of/the:/directory\nnot this\n")]);
    assert_eq!(pipes(&host, &mut host.command(&[])), ["/directory", "/of/the"]);
    let environment = |command: &mut Command| pipes(&host, command.env("QMAIL_UPDATER_FIFO", "/of/the/environment"));
    assert_eq!(environment(&mut host.command(&[])), ["/of/the/environment"]);
    let options = ["--fifo", "/of/an", "--fifo=/option"];
    assert_eq!(environment(&mut host.command(&options)), ["/of/an", "/option"]);
    assert_eq!(pipes(&host, &mut host.command(&options)), ["/of/an", "/option"]);
    // A switch is on when the directory says so, and the environment can say otherwise. On this host it needs a file that
    // is not there.
    set(&host, &[("AUTH_SYSTEM_USERS", "1")]);
    let code = |value: Option<&str>| {
        let mut command = host.command(&["list", "logins"]);
        command.envs(value.map(|value| ("QMAIL_UPDATER_AUTH_SYSTEM_USERS", value)));
        Answer::from(command.output().unwrap()).code
    };
    assert_eq!((code(None), code(Some("no"))), (111, 0));
}

#[test]
fn another_directory_may_be_named_and_an_empty_name_is_none() {
    let host = host_with(&[("FIFO", "/usual")]);
    host.write("/srv/settings/QMAIL_UPDATER_FIFO", "/other");
    assert_eq!(pipes(&host, &mut host.command(&[])), ["/usual"]);
    assert_eq!(pipes(&host, &mut host.command(&["--settings", "/srv/settings"])), ["/other"]);
    assert_eq!(pipes(&host, &mut host.command(&["--settings", ""])), ["/tmp/update-qmail"]);
    let in_environment = |value: &str| pipes(&host, host.command(&[]).env("QMAIL_UPDATER_SETTINGS", value));
    assert_eq!(in_environment("/srv/settings/"), ["/other"]);
    assert_eq!(in_environment(""), ["/tmp/update-qmail"]);
    // One that is named and is not there is a mistake; none at the usual place is not.
    let answer = host.run(&["--settings", "/srv/setings", "list", "recipients"]);
    assert_eq!((answer.code, &answer.stdout[..]), (100, ""), "{}", answer.stderr);
    assert!(answer.stderr.contains("/srv/setings: no such directory"), "{}", answer.stderr);
    let answer = host.run(&["--settings", "settings", "list", "recipients"]);
    assert!(answer.stderr.contains("--settings \"settings\": an absolute path is needed"), "{}", answer.stderr);
    for none in ["/srv/setings", "settings"] {
        assert_eq!(pipes(&host, &mut host.command(&["--settings", none])), ["/tmp/update-qmail"]);
    }
    fs::remove_dir_all(host.path("/etc/qmail-updater")).unwrap();
    let answer = host.run(&["list", "recipients"]);
    assert!(answer.code == 0 && !answer.stderr.contains(DIRECTORY), "{}", answer.stderr);
}

#[test]
fn a_link_in_the_directory_leads_below_the_root() {
    let host = host_with(&[]);
    host.write("/srv/settings/pipe", "/linked\n").link("/etc/qmail-updater/env", "/srv/settings");
    host.link("/srv/settings/QMAIL_UPDATER_FIFO", "/srv/settings/pipe")
        .link("/srv/settings/QMAIL_UPDATER_QMAIL", "gone");
    assert_eq!(pipes(&host, &mut host.command(&[])), ["/linked"]);
}

#[test]
fn the_directory_says_what_envdir_makes_of_it() {
    let Some(envdir) = program("envdir") else {
        return skip("the directory against envdir", "envdir is not installed (daemontools)");
    };
    let contents: [&[u8]; 8] = [
        b"/a",
        b"/a \t \nsecond\n",
        b"/two words:/b\n",
        b"/nul\0and:/more\0 \n",
        b"",
        b"/cr\r\n",
        b"/$(date)/x:/\"quoted\":/\xfc",
        b"/d\n/a\n",
    ];
    for content in contents {
        let host = MailHost::sample();
        host.write(&format!("{DIRECTORY}/QMAIL_UPDATER_FIFO"), content);
        // What an editor and dpkg leave, and what is no setting of ours.
        for name in ["QMAIL_UPDATER_FIFO~", ".QMAIL_UPDATER_FIFO.swp", "QMAIL_UPDATER_FIFO.dpkg-new", "PATH", "README"]
        {
            host.write(&format!("{DIRECTORY}/{name}"), "/copy\n");
        }
        let ours: Answer = host.command(&["trigger", "-v"]).output().unwrap().into();
        let mut command = Command::new(&envdir);
        command.arg(host.path(DIRECTORY)).arg(support::tested()).args(["--settings", ""]);
        let theirs: Answer = command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .arg("--root")
            .arg(host.root())
            .args(["trigger", "-v"])
            .output()
            .unwrap()
            .into();
        assert_eq!((ours.code, &ours.stderr), (theirs.code, &theirs.stderr), "{}", String::from_utf8_lossy(content));
    }
}

#[test]
fn a_value_that_cannot_be_used_names_the_file_and_nothing_is_published() {
    let commands: [&[&str]; 4] = [&["rebuild"], &["list", "recipients"], &["check"], &["run"]];
    for (name, value, words) in [
        ("MAX_LOSS", "x\n", "invalid value 'x' for '--max-loss <PERCENT>'"),
        ("MAX_LOSS", "", "invalid value '' for '--max-loss <PERCENT>'"),
        ("VPOPMAIL_EXT", "perhaps", "invalid value 'perhaps' for '--vpopmail-ext'"),
        ("CATCHALL_DELETE", "swallow", "invalid value 'swallow' for '--catchall-delete <ANSWER>'"),
        ("VALIDRCPTTO", "relative", "--validrcptto \"relative\": an absolute path is needed"),
        ("AFTER", "/bin/true:relative", "--after \"relative\": an absolute path is needed"),
        ("BREAK", "--", "--break \"--\": one character is needed"),
        ("AUTH_OWNER", "not:there", "--auth-owner \"not:there\": no such user"),
    ] {
        // Another one that is as it should be.
        let host = host_with(&[("THREADS", "2\n"), (name, if value.is_empty() { " \n" } else { value })]);
        let file = format!("{}: ", host.path(&format!("{DIRECTORY}/QMAIL_UPDATER_{name}")).display());
        for command in commands {
            let answer = host.run(command);
            assert_eq!((answer.code, &answer.stdout[..]), (100, ""), "{name} {command:?}: {}", answer.stderr);
            assert!(answer.stderr.starts_with(&format!("qmail-updater: fatal: {file}{words}")), "{}", answer.stderr);
            assert_eq!(answer.stderr.lines().count(), 1, "{}", answer.stderr);
        }
        assert!(!host.published("validrcptto.cdb").exists() && !host.path("/run").exists(), "{name}");
    }
}

#[test]
fn what_is_typed_and_cannot_be_used_is_not_blamed_on_the_directory() {
    let host = host_with(&[("MAX_LOSS", "30\n"), ("BREAK", "-\n")]);
    let answer = host.run(&["--break", "--", "check"]);
    assert_eq!(answer.code, 100, "{}", answer.stderr);
    assert!(answer.stderr.starts_with("qmail-updater: fatal: --break \"--\": one character"), "{}", answer.stderr);
    let answer: Answer = host.command(&["check"]).env("QMAIL_UPDATER_MAX_LOSS", "x").output().unwrap().into();
    assert!(answer.stderr.contains("QMAIL_UPDATER_MAX_LOSS may hold it; --help says more"), "{}", answer.stderr);
    assert!(!answer.stderr.contains(DIRECTORY), "{}", answer.stderr);
    // What is typed stands in for what the directory says wrongly.
    set(&host, &[("BREAK", "--\n")]);
    assert_eq!(host.run(&["--break", "-", "rebuild"]).code, 0);
}

#[test]
fn what_only_the_service_uses_stops_the_service_and_check_says_so() {
    let host = host_with(&[("SWEEP", "0\n"), ("METRICS", "/var/lib/file\n")]);
    assert_eq!(host.run(&["rebuild"]).code, 0, "rebuild has no use for them");
    assert_eq!(host.run(&["run"]).code, 100);
    let answer = host.run(&["check"]);
    assert_eq!(answer.code, 1, "{}", answer.stderr);
    for words in [
        "QMAIL_UPDATER_SWEEP: invalid value '0' for '--sweep <SECONDS>': it must be between 1 and 86400; the service does not start",
        "QMAIL_UPDATER_METRICS: --metrics \"/var/lib/file\": its name must end in .prom; the service does not start",
    ] {
        let found = answer
            .stdout
            .lines()
            .any(|line| line.starts_with("alert: ") && line.ends_with(&format!("{words}\tsetting-invalid")));
        assert!(found, "{words}: {}", answer.stdout);
    }
}

/// Ways in which the directory, or a file in it, cannot be used, with the exit status of a command.
fn broken() -> Vec<(&'static str, MailHost, i32)> {
    let broken = |what, breaks: &dyn Fn(&MailHost), code| {
        let host = host_with(&[]);
        breaks(&host);
        (what, host, code)
    };
    let file = format!("{DIRECTORY}/QMAIL_UPDATER_BREAK");
    vec![
        broken(
            "no directory",
            &|host| {
                host.write(DIRECTORY, "QMAIL_UPDATER_BREAK=-\n");
            },
            100,
        ),
        broken(
            "a directory in the place of a file",
            &|host| {
                host.folder(&file);
            },
            100,
        ),
        broken(
            "a pipe in the place of a file",
            &|host| {
                host.folder(DIRECTORY);
                nix::unistd::mkfifo(&host.path(&file), nix::sys::stat::Mode::S_IRWXU).unwrap();
            },
            100,
        ),
        broken(
            "a line without end",
            &|host| {
                host.write(&file, vec![b'-'; 1 << 17]);
            },
            100,
        ),
        broken(
            "a value that cannot be used",
            &|host| {
                host.write(&file, "--\n");
            },
            100,
        ),
    ]
}

#[test]
fn what_cannot_be_read_stops_a_command_that_is_typed() {
    for (what, host, code) in broken() {
        let answer = host.run(&["rebuild"]);
        assert_eq!(answer.code, code, "{what}: {}", answer.stderr);
        let named = format!("qmail-updater: fatal: {}", host.path(DIRECTORY).display());
        assert!(answer.stderr.starts_with(&named), "{what}: {}", answer.stderr);
        assert_eq!(host.run(&["--settings", "", "rebuild"]).code, 0, "{what}");
    }
}

#[test]
fn a_hook_and_a_trigger_do_their_work_whatever_the_directory_is_like() {
    for (what, host, _) in broken() {
        assert_eq!(host.run(&["--settings=", "rebuild"]).code, 0, "{what}");
        for (recipient, code) in [("ann@example.com", 0), ("nobody@example.com", 100)] {
            let answer: Answer = host.command(&["rcptcheck"]).env("RECIPIENT", recipient).output().unwrap().into();
            assert_eq!((answer.code, &answer.stderr[..]), (code, ""), "{what}: {recipient}");
        }
        assert_eq!(pipes(&host, &mut host.command(&[])), ["/tmp/update-qmail"], "{what}");
        // What is bad is absent, and what is beside it counts.
        if host.path(DIRECTORY).is_dir() {
            set(&host, &[("FIFO", "/beside"), ("SWEEP", "x"), ("AUTH_OWNER", "not:there")]);
            assert_eq!(pipes(&host, &mut host.command(&[])), ["/beside"], "{what}");
        }
    }
}

#[test]
fn the_variables_of_qmail_smtpd_win_over_the_directory_in_a_hook_and_over_nothing_else() {
    let host = MailHost::sample();
    host.rebuild();
    // Tables that accept what the real one refuses.
    let accepts = |path: &str, key: &str| {
        let image = qmail_updater::cdb::image([(key.as_bytes(), &b""[..])]).unwrap();
        host.write(path, image);
    };
    accepts("/srv/directory.cdb", "directory@example.com");
    accepts("/srv/smtpd.cdb", "smtpd@example.com");
    accepts("/srv/ours.cdb", "ours@example.com");
    set(&host, &[("VALIDRCPTTO", "/srv/directory.cdb\n")]);
    let accepted = |arguments: &[&str], environment: &[(&str, &str)]| -> String {
        let asked = ["directory", "smtpd", "ours"].into_iter().filter(|name| {
            let mut command = host.command(&[arguments, &["rcptcheck"]].concat());
            command.envs(environment.iter().copied()).env("RECIPIENT", format!("{name}@example.com"));
            match command.output().unwrap().status.code() {
                Some(0) => true,
                Some(100) => false,
                code => panic!("{name}: {code:?}"),
            }
        });
        asked.collect::<Vec<_>>().join(" ")
    };
    let (smtpd, ours) = (("VALIDRCPTTO_CDB", "/srv/smtpd.cdb"), ("QMAIL_UPDATER_VALIDRCPTTO", "/srv/ours.cdb"));
    assert_eq!(accepted(&[], &[]), "directory");
    assert_eq!(accepted(&[], &[("VALIDRCPTTO_CDB", "")]), "directory", "an empty variable says nothing");
    assert_eq!(accepted(&[], &[smtpd]), "smtpd");
    assert_eq!(accepted(&[], &[smtpd, ours]), "ours");
    assert_eq!(accepted(&["--validrcptto", "/srv/ours.cdb"], &[smtpd]), "ours");
    // A command that is no hook does not know them.
    let answer: Answer =
        host.command(&["lookup", "directory@example.com"]).env(smtpd.0, smtpd.1).output().unwrap().into();
    assert_eq!(answer.code, 0, "{}", answer.stdout);
    // Nor does one bad file make a hook forget the other.
    set(&host, &[("BREAK", "--")]);
    assert_eq!(accepted(&[], &[]), "directory");
    assert_eq!(accepted(&[], &[smtpd]), "smtpd");
}

#[test]
fn what_says_where_the_settings_are_is_ignored_among_them_with_a_warning() {
    let elsewhere = MailHost::sample();
    let host =
        host_with(&[("ROOT", elsewhere.root().to_str().unwrap()), ("SETTINGS", "/srv/other"), ("FIFO", "/here")]);
    host.write("/srv/other/QMAIL_UPDATER_FIFO", "/there");
    assert_eq!(pipes(&host, &mut host.command(&[])), ["/here"]);
    let warnings: Vec<String> = ["ROOT", "SETTINGS"]
        .map(|name| {
            let file = host.path(&format!("{DIRECTORY}/QMAIL_UPDATER_{name}"));
            let says = "ignored: it decides where the settings are; give it as an option, or in the environment";
            format!("warning: {}: {says}", file.display())
        })
        .into();
    let answer = host.run(&["rebuild"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    for warning in &warnings {
        assert!(answer.stderr.contains(&format!("qmail-updater: {warning}\n")), "{}", answer.stderr);
    }
    assert!(host.published("validrcptto.cdb").exists() && !elsewhere.published("validrcptto.cdb").exists());
    let answer = host.run(&["check"]);
    assert_eq!((answer.code, &answer.stderr[..]), (1, ""));
    assert!(
        warnings.iter().all(|warning| answer.stdout.contains(&format!("{warning}\tsetting-misplaced\n"))),
        "{}",
        answer.stdout
    );
}

#[test]
fn a_value_is_shown_without_the_bytes_that_a_terminal_obeys() {
    let host = host_with(&[("SWEEP", "60\r\n")]);
    let told = host.run(&["check"]).stdout;
    assert!(told.contains("invalid value '60\\x0d'") && !told.contains('\r'), "{told:?}");
}

#[test]
fn a_name_that_is_no_setting_is_told_by_check_and_at_the_start_of_the_service() {
    let host = host_with(&[("CATCHAL_DELETE", "accept\n"), ("OLD", "")]);
    let file = host.path(&format!("{DIRECTORY}/QMAIL_UPDATER_CATCHAL_DELETE")).display().to_string();
    let warning = format!("warning: {file}: no setting has that name; it does nothing");
    let answer = host.run(&["check"]);
    assert!(
        answer.code == 1 && answer.stdout.lines().any(|line| line == format!("{warning}\tsetting-unknown")),
        "{}",
        answer.stdout
    );
    assert!(!answer.stdout.contains("QMAIL_UPDATER_OLD"), "an empty file sets nothing: {}", answer.stdout);
    for (name, is_told) in
        [("AUTH_OWNER", true), ("qmail_updater_hold", true), ("auth-owner", true), ("HOLD~", false), ("PATH", false)]
    {
        host.write(&format!("{DIRECTORY}/{name}"), "1:1\n");
        let told = host.run(&["check"]).stdout.contains(&format!("env/{name}: no setting has that name"));
        assert_eq!(told, is_told, "{name}");
    }
    let command = host.command(&["run", "--no-watch"]);
    Service::spawn(host, command).wait_for(&warning);
}

#[test]
fn a_user_who_may_not_read_the_directory_is_told_and_goes_on() {
    if !is_root() {
        return skip("settings that only root may read", "it needs root to make them");
    }
    let as_nobody = |host: &MailHost, arguments: &[&str]| -> Answer {
        host.command(arguments).uid(NOBODY).gid(NOBODY).output().unwrap().into()
    };
    for closed in [DIRECTORY, &format!("{DIRECTORY}/QMAIL_UPDATER_FIFO"), "/etc/qmail-updater"] {
        let host = host_with(&[("FIFO", "/here\n")]);
        let mode = fs::metadata(host.path(closed)).unwrap().permissions().mode();
        host.mode(closed, mode & 0o700);
        let answer = as_nobody(&host, &["list", "recipients"]);
        assert_eq!(answer.code, 0, "{closed}: {}", answer.stderr);
        let unread = if closed == "/etc/qmail-updater" { DIRECTORY } else { closed };
        let warning = format!(
            "qmail-updater: warning: unable to read {}: Permission denied; this command goes on without that setting of the \
             service; root can read it\n",
            host.path(unread).display()
        );
        assert!(answer.stderr.starts_with(&warning), "{closed}: {}", answer.stderr);
        let answer = as_nobody(&host, &["trigger", "-v"]);
        assert!(answer.code == 0 && answer.stderr.contains("/tmp/update-qmail"), "{closed}: {}", answer.stderr);
        // The service would publish under other settings than those that it was given.
        host.folder("/run").mode("/run", 0o777).folder("/tmp").mode("/tmp", 0o777);
        let answer = as_nobody(&host, &["run"]);
        assert_eq!(answer.code, 111, "{closed}: {}", answer.stderr);
    }
}

#[test]
fn the_service_reads_the_directory_by_itself() {
    let host = host_with(&[("FIFO", "/tmp/here\n"), ("NO_WATCH", "1\n"), ("CATCHALL_DELETE", "accept\n")]);
    let command = host.command(&["run"]);
    let service = Service::spawn(host, command);
    service.wait_for("listening on");
    service.wait_for("rebuild 1 done");
    service.host.write("/home/vpopmail/domains/example.com/.qmail-new", "&x@y.test\n");
    assert_eq!(service.host.run(&["trigger"]).code, 0);
    service.wait_for("rebuild 2 done");
    assert_eq!(service.host.answers(&["new@example.com"]), ["accept"]);
}

/// A hook by its own name, as a qmail-smtpd without settings of its own runs it.
#[test]
fn a_hook_by_its_own_name_reads_the_directory_below_the_root_of_its_environment() {
    let host = MailHost::sample();
    host.write("/srv/settings/QMAIL_UPDATER_VALIDRCPTTO", "/srv/v.cdb\n");
    assert_eq!(host.run(&["--settings", "/srv/settings", "rebuild"]).code, 0);
    symlink(support::tested(), host.path("/rcptcheck")).unwrap();
    for (recipient, code) in [("ann@example.com", 0), ("nobody@example.com", 100)] {
        let mut command = Command::new(host.path("/rcptcheck"));
        command.env_clear().env("QMAIL_UPDATER_ROOT", host.root()).env("QMAIL_UPDATER_SETTINGS", "/srv/settings");
        let status = command.env("RECIPIENT", recipient).stdin(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{recipient}");
    }
}

/// What differs, as it is told.
fn told(differences: &str) -> String {
    format!("this command has other settings than the running service: {differences}")
}

/// A service of the sample host with an account that logs in where system accounts do.
fn service_with(settings: &[(&str, &str)], arguments: &[&str]) -> Service {
    let host = MailHost::sample();
    let (uid, gid) = if is_root() { (1001, 1001) } else { me() };
    host.write("/etc/passwd", format!("carol:x:{uid}:{gid}::/home/carol:/bin/sh\n"));
    host.write("/etc/shadow", format!("carol:{}:20000:0:99999:7:::\n", filled("$6$salt$hash")));
    if is_root() {
        host.own("/home/carol", uid, gid);
    }
    set(&host, settings);
    Service::start(host, &[&["--no-watch"], arguments].concat())
}

#[test]
fn what_is_typed_says_what_the_service_says() {
    let service = service_with(&[("AUTH_SYSTEM_USERS", "1\n")], &[]);
    let host = &service.host;
    assert!(host.logins().contains_key("carol"));
    let answer = host.run(&["rebuild"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert!(answer.stderr.contains("auth.cdb unchanged"), "{}", answer.stderr);
    assert!(host.logins().contains_key("carol"));
    let answer = host.run(&["list", "logins"]);
    assert!(answer.stdout.lines().any(|login| login == "carol"), "{}", answer.stdout);
    let answer = host.run(&["status"]);
    assert!(answer.code == 0 && answer.stdout.contains("tables: as the host says"), "{}", answer.stdout);
    let dry_run = host.run(&["rebuild", "--dry-run"]);
    assert_eq!((dry_run.code, &dry_run.stdout[..]), (0, ""));
    for answer in [answer, dry_run, host.run(&["check"])] {
        let said = answer.stdout + &answer.stderr;
        assert!(!said.contains("other settings") && !said.contains("tables are not"), "{said}");
    }
    // One that knows other settings says so, and changes nothing.
    let published = fs::read(host.published("auth.cdb")).unwrap();
    let differences = told("--auth-system-users is off here and on there");
    let without = |arguments: &[&str]| host.run(&[&["--settings", ""], arguments].concat());
    let answer = without(&["status"]);
    let line = format!("\nsettings: {differences}; what follows is said by those of this command\n");
    assert!(answer.code == 1 && answer.stdout.contains(&line), "{}", answer.stdout);
    let answer = without(&["status", "--json"]);
    assert_eq!((answer.code, answer.stderr), (1, format!("qmail-updater: warning: {differences}\n")));
    let told: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    for (name, member) in status_of(host).as_object().unwrap() {
        assert_eq!(&told[name], member, "{name} of the status file");
    }
    let answer = without(&["check"]);
    let line = format!("warning: {differences}; all that is found goes by those of this command\tsettings-differ\n");
    assert!(answer.code == 1 && answer.stdout.contains(&line), "{}", answer.stdout);
    let answer = without(&["rebuild", "--dry-run"]);
    assert!(answer.stderr.contains(&format!("warning: {differences}\n")), "{}", answer.stderr);
    assert_eq!((answer.code, &answer.stdout[..]), (0, "-\tlogin\tcarol\n"));
    for arguments in [&["rebuild"][..], &["rebuild", "--force"], &["rebuild", "--no-commands"]] {
        let answer = without(arguments);
        assert_eq!((answer.code, &answer.stdout[..]), (100, ""), "{}", answer.stderr);
        assert!(answer.stderr.starts_with(&format!("qmail-updater: fatal: {differences}; nothing is published; ")));
        assert_eq!(fs::read(host.published("auth.cdb")).unwrap(), published);
    }
    let answer = without(&["rebuild", "--own-settings"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert!(answer.stderr.contains(&format!("warning: {differences}\n")), "{}", answer.stderr);
    assert!(!host.logins().contains_key("carol"));
}

#[test]
fn a_setting_of_the_service_alone_that_it_has_not_read_is_found() {
    let service = service_with(&[("SWEEP", "600\n")], &["--hold", "100"]);
    let host = &service.host;
    let said = host.run(&["check"]).stdout;
    assert!(!said.contains("has not read all its settings"), "what its run script gives it is no fault: {said}");
    set(host, &[("SWEEP", "700\n"), ("METRICS", "/srv/m.prom\n")]);
    let expected = "warning: the running service has not read all its settings; restart it: --sweep is 700 here and 600 there, \
                    --metrics is /srv/m.prom here and not set there\tsettings-differ\n";
    let said = host.run(&["check"]).stdout;
    assert!(said.contains(expected), "{said}");
    let answer = host.run(&["rebuild"]);
    assert_eq!(answer.code, 0, "it publishes the same tables: {}", answer.stderr);
    // Who changed the owner of the login table by a file has to know that the service still goes by the old one.
    assert!(answer.stderr.contains("warning: the running service has not read all its settings"), "{}", answer.stderr);
    drop(service);
}

#[test]
fn each_setting_that_decides_about_the_tables_is_compared_and_no_other() {
    let service = service_with(&[("MAX_LOSS", "30\n")], &["--catchall-delete", "accept"]);
    let host = &service.host;
    host.folder("/srv").folder("/opt/qmail/control").folder("/opt/vpopmail").folder("/srv/settings");
    let same = ["--max-loss", "30", "--catchall-delete", "accept"];
    // What is typed beside the settings of the service, and how it is told.
    for (option, value, differences) in [
        ("--qmail", "/opt/qmail", "--qmail is /opt/qmail here and /var/qmail there"),
        ("--vpopmail", "/opt/vpopmail", "--vpopmail is /opt/vpopmail here and /home/vpopmail there"),
        ("--validrcptto", "/srv/v", "--validrcptto is /srv/v here and /var/qmail/control/validrcptto.cdb there"),
        ("--auth", "/srv/a", "--auth is /srv/a here and /var/qmail/control/auth.cdb there"),
        ("--users-cdb", "assign.cdb", "--users-cdb is assign.cdb here and not set there"),
        ("--break", "+", "--break is + here and - there"),
        ("--max-file", "7", "--max-file is 7 here and 1024 there"),
        ("--max-names", "7", "--max-names is 7 here and 200000 there"),
        ("--max-read", "7", "--max-read is 7 here and 64 there"),
        ("--max-steps", "7", "--max-steps is 7 here and 2000000 there"),
        ("--max-entries", "7", "--max-entries is 7 here and 1000000 there"),
        ("--max-alike", "7", "--max-alike is 7 here and 100 there"),
    ] {
        let answer = host.run(&[&same, &[option, value, "rebuild"][..]].concat());
        assert_eq!(answer.code, 100, "{option}: {}", answer.stderr);
        assert!(answer.stderr.contains(&told(differences)), "{option}: {}", answer.stderr);
    }
    let answer = host.run(&["--catchall-delete", "refuse", "--max-loss=7", "--vpopmail-ext", "rebuild"]);
    let differences = "--vpopmail-ext is on here and off there, --catchall-delete is refuse here and accept there, \
                       --max-loss is 7 here and 30 there";
    assert!(answer.code == 100 && answer.stderr.contains(&told(differences)), "{}", answer.stderr);
    // The same, typed in another way; and what decides about something else.
    let others = ["--auth-owner", "0:0", "--threads", "1", "--actions", "/srv", "--settings", "/srv/settings"];
    let spelled = ["--qmail", "/var/qmail/", "--vpopmail", "/home/vpopmail/", "--break=-", "--fifo", "/srv/other"];
    for arguments in [&others[..], &spelled[..]] {
        let answer = host.run(&[&same, arguments, &["rebuild", "--dry-run"]].concat());
        assert!(answer.code == 0 && !answer.stderr.contains("other settings"), "{}", answer.stderr);
    }
    // The same root by another name.
    let link = host.path("/link");
    symlink(host.root(), &link).unwrap();
    let mut command = Command::new(support::tested());
    let answer: Answer =
        command.env_clear().arg("--root").arg(&link).args(same).arg("rebuild").output().unwrap().into();
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    // A service that listens elsewhere is compared with, too.
    let answer = host.run(&["--fifo", "/srv/other", "rebuild"]);
    assert_eq!(answer.code, 100, "{}", answer.stderr);
    let settings = &status_of(host)["settings"];
    assert_eq!((&settings["max-loss"], &settings["catchall-delete"]), (&30.into(), &"accept".into()));
}

#[test]
fn the_name_of_the_compiled_file_is_compared_for_without_users_assign_it_decides() {
    let host = MailHost::sample();
    let compiled = |domain: &str| {
        let key = format!("!{domain}-");
        let data = format!("{domain}\0{}\0{}\0/home/vpopmail/domains/{domain}\0-\0\0", 89, 89);
        qmail_updater::cdb::image([(key.as_bytes(), data.as_bytes()), (b"", b"-")]).unwrap()
    };
    host.remove("/var/qmail/users/assign").write("/var/qmail/users/cdb", compiled("example.com"));
    host.write("/var/qmail/users/assign.cdb", compiled("example.net"));
    let service = Service::start(host, &["--no-watch", "--users-cdb", "cdb"]);
    let logins = service.host.logins();
    assert!(logins.contains_key("ann@example.com") && !logins.contains_key("dora@example.net"), "{logins:?}");
    let answer = service.host.run(&["--users-cdb", "assign.cdb", "rebuild"]);
    let differences = told("--users-cdb is assign.cdb here and cdb there");
    assert!(answer.code == 100 && answer.stderr.contains(&differences), "{}", answer.stderr);
    assert_eq!(service.host.logins(), logins);
    let answer = service.host.run(&["--users-cdb", "assign.cdb", "list", "logins"]);
    assert!(answer.stdout.contains("dora@example.net"), "it would publish others: {}", answer.stdout);
}

#[test]
fn without_a_service_that_says_its_settings_nothing_is_compared() {
    let mut service = service_with(&[], &["--catchall-delete", "accept"]);
    let rebuild = |host: &MailHost, is_compared: bool| {
        let answer = host.run(&["rebuild"]);
        assert_eq!(answer.code, if is_compared { 100 } else { 0 }, "{}", answer.stderr);
        assert_eq!(host.run(&["status"]).stdout.contains("other settings"), is_compared);
    };
    rebuild(&service.host, true);
    assert_eq!(service.end(), 0);
    let (host, fifo) = (&service.host, service.fifo());
    let mut status = status_of(host);
    assert_eq!(status["settings"]["catchall-delete"], "accept");
    rebuild(host, false);
    // One runs that holds the lock of its pipe, and writes what is written here.
    let mut files = fs::read_dir(host.path("/run/qmail-updater")).unwrap().map(|entry| entry.unwrap().path());
    let lock = files.find(|path| path.to_str().unwrap().ends_with("update-qmail.lock")).unwrap();
    let lock = fs::File::open(lock).unwrap();
    lock.try_lock().unwrap();
    rebuild(host, true);
    let file = "/run/qmail-updater/status.json";
    // A setting that it does not know is no difference.
    status["settings"] = serde_json::json!({ "fifo": [fifo], "catchall-delete": "refuse", "of-later": 1 });
    rebuild(host.write(file, status.to_string()), false);
    // An older version says none, and a file that it did not write says nothing.
    status.as_object_mut().unwrap().remove("settings");
    rebuild(host.write(file, status.to_string()), false);
    rebuild(host.write(file, "no status"), false);
}

/// The sample host with a second directory of vpopmail in /var/vp, whose default domain is example.net.
fn two_vpopmails() -> MailHost {
    let host = MailHost::sample();
    host.write("/var/vp/etc/defaultdomain", "example.net\n").write("/var/vp/bin/vdelivermail", "");
    host
}

/// The default domain of a host, by the bare login that a domain of it brings.
fn default_domain(host: &MailHost, arguments: &[&str]) -> String {
    let answer = host.run(&[arguments, &["list", "logins"]].concat());
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let bare = ["ann", "dora"].into_iter().filter(|name| answer.stdout.lines().any(|login| login == *name));
    match &bare.collect::<Vec<_>>()[..] {
        ["ann"] => "example.com".to_owned(),
        ["dora"] => "example.net".to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn vpopmail_is_where_etc_passwd_says_that_its_user_has_its_home() {
    let (com, net) = ("example.com", "example.net");
    for (passwd, domain) in [
        ("root:x:0:0::/root:/bin/sh\n", com),
        ("vpopmail:x:89:89::/var/vp:/bin/sh\n", net),
        ("vpopmail:x:89:89::/var/vp", net),
        ("vpopmail:x:0:0::/var/vp//:/bin/sh\n", net),
        ("vpopmail:x:89:89::/var/vp:/bin/sh\nvpopmail:x:89:89::/home/vpopmail:/bin/sh\n", net),
        ("vpopmail:x:89:89::/home/vpopmail:/bin/sh\nvpopmail:x:89:89::/var/vp:/bin/sh\n", com),
        // What the C library passes over.
        ("#vpopmail:x:89:89::/var/vp:/bin/sh\nvpopmail:x:y:89::/var/vp:/bin/sh\n", com),
        // No directory that could be one.
        ("vpopmail:x:89:89:::/bin/sh\n", com),
        ("vpopmail:x:89:89::/:/bin/sh\n", com),
        ("vpopmail:x:89:89::var/vp:/bin/sh\n", com),
    ] {
        let host = two_vpopmails();
        host.write("/etc/passwd", passwd);
        assert_eq!(default_domain(&host, &[]), domain, "{passwd}");
        assert_eq!(default_domain(&host, &["--vpopmail", "/var/vp"]), net, "{passwd}");
        assert_eq!(default_domain(&host, &["--vpopmail", "/home/vpopmail"]), com, "{passwd}");
    }
}

#[test]
fn limits_and_programs_are_those_of_where_vpopmail_is() {
    let host = two_vpopmails();
    host.write("/etc/passwd", "vpopmail:x:89:89::/var/vp:/bin/sh\n");
    host.write("/var/vp/etc/vlimits.default", "disable_smtp\n");
    assert_eq!(host.run(&["list", "logins"]).stdout, "", "vpopmail denies all of them");
    host.write("/home/vpopmail/domains/example.com/.qmail-default", "|/var/vp/bin/vdelivermail '' bounce-no-mailbox\n");
    host.rebuild();
    assert_eq!(host.answers(&["ann@example.com", "nobody@example.com"]), ["accept", "refuse"]);
}

#[test]
fn a_host_without_vpopmail_is_as_any_other() {
    let host = MailHost::empty();
    host.write("/var/qmail/control/me", "mail.example.org\n")
        .write("/var/qmail/control/rcpthosts", "mail.example.org\n");
    host.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\n").write("/var/qmail/users/assign", ".\n");
    let answer = host.rebuild();
    assert!(!answer.stderr.contains("vpopmail"), "{}", answer.stderr);
}

#[test]
fn a_directory_that_was_named_and_is_none_stops_a_command_and_the_start_of_the_service() {
    for (option, variable, is) in [
        ("--qmail", "QMAIL_UPDATER_QMAIL", "without either it is /var/qmail"),
        ("--vpopmail", "QMAIL_UPDATER_VPOPMAIL", "without either it is the home of the user vpopmail"),
    ] {
        for (named, cause) in [("/srv/gone", "No such file or directory"), ("/srv/file", "Not a directory")] {
            let host = MailHost::sample();
            host.rebuild();
            host.write("/srv/file", "").folder("/tmp");
            let shown = host.path(named).display().to_string();
            let says = format!(
                "{option} {shown}: {cause}; name the right directory by {option} DIR, or in the settings; {is}\n"
            );
            for command in
                [&["rebuild"][..], &["list", "logins"], &["check"], &["status"], &["explain", "x@y"], &["run"]]
            {
                let stops = |answer: Answer, before: &str| {
                    assert_eq!((answer.code, &answer.stdout[..]), (100, ""), "{command:?}: {}", answer.stderr);
                    assert_eq!(answer.stderr, format!("qmail-updater: fatal: {before}{says}"), "{command:?}");
                };
                stops(host.run(&[&[option, named], command].concat()), "");
                stops(host.command(command).env(variable, named).output().unwrap().into(), "");
                let file = format!("{DIRECTORY}/{variable}");
                host.write(&file, named);
                stops(host.run(command), &format!("{}: ", host.path(&file).display()));
                host.remove(&file);
            }
            assert!(!host.path("/tmp/update-qmail").exists());
            // What has to answer does not look.
            let typed = |command: &str| {
                host.command(&[option, named, "--validrcptto", "/var/qmail/control/validrcptto.cdb", command])
            };
            let status = typed("rcptcheck").env("RECIPIENT", "ann@example.com").status().unwrap();
            assert_eq!(status.code(), Some(0), "{option} {named}");
            assert_eq!(typed("trigger").status().unwrap().code(), Some(0), "{option} {named}");
        }
    }
}

#[test]
fn a_service_whose_vpopmail_vanishes_keeps_what_it_decides_and_rebuilds_the_rest() {
    let host = MailHost::sample();
    // A domain that stays where it is, and a limit that decides about its logins.
    let (com, net) = ("/home/vpopmail/domains/example.com", "/srv/example.net");
    host.folder("/srv");
    fs::rename(host.path("/home/vpopmail/domains/example.net"), host.path(net)).unwrap();
    let assign = fs::read_to_string(host.path("/var/qmail/users/assign")).unwrap();
    host.write("/var/qmail/users/assign", assign.replace("/home/vpopmail/domains/example.net", net));
    host.write("/home/vpopmail/etc/vlimits.default", "disable_smtp\n").write(&format!("{com}/.qmailadmin-limits"), "");
    let service = Service::start(host, &["--vpopmail", "/home/vpopmail"]);
    let host = &service.host;
    let logins = |host: &MailHost| host.logins().into_keys().collect::<Vec<_>>();
    let before = logins(host);
    assert!(before.contains(&"ann".to_owned()) && !before.contains(&"dora@example.net".to_owned()), "{before:?}");
    fs::rename(host.path("/home/vpopmail"), host.path("/home/away")).unwrap();
    host.write("/home/carol/.qmail-new", "");
    let path = host.path("/home/vpopmail").display().to_string();
    service.wait_for(&format!(
        "alert: {path}: No such file or directory; --vpopmail names it; the default domain and the default limits are \
         unknown, and what they decide is kept as published"
    ));
    service.wait_for_answer("carol-new@mail.example.org", "accept");
    assert_eq!(logins(host), before);
    assert_eq!(host.answers(&["ann@example.com", "nobody@example.com"]), ["accept", "refuse"]);
    // When it is there again, what it says counts again.
    fs::rename(host.path("/home/away"), host.path("/home/vpopmail")).unwrap();
    host.write("/home/vpopmail/etc/vlimits.default", "");
    assert_eq!(host.run(&["trigger"]).code, 0);
    let start = std::time::Instant::now();
    while !logins(host).contains(&"dora@example.net".to_owned()) {
        assert!(start.elapsed() < support::service::PATIENCE, "{:?}", logins(host));
        support::service::pause();
    }
}

#[test]
fn a_service_follows_the_user_vpopmail_to_another_home() {
    let host = two_vpopmails();
    let service = Service::start(host, &[]);
    let host = &service.host;
    assert!(host.logins().contains_key("ann"));
    let passwd = fs::read_to_string(host.path("/etc/passwd")).unwrap();
    host.write("/etc/passwd", passwd.replace(":/home/vpopmail:", ":/var/vp:"));
    assert_eq!(host.run(&["trigger"]).code, 0);
    let start = std::time::Instant::now();
    while !host.logins().contains_key("dora") {
        assert!(start.elapsed() < support::service::PATIENCE, "{:?}", host.logins());
        support::service::pause();
    }
    let vpopmail = || status_of(host)["settings"]["vpopmail"].clone();
    while vpopmail() != "/var/vp" {
        assert!(start.elapsed() < support::service::PATIENCE, "{}", vpopmail());
        support::service::pause();
    }
    let answer = host.run(&["rebuild"]);
    assert!(answer.code == 0 && !answer.stderr.contains("other settings"), "{}", answer.stderr);
    // What changes there is seen.
    host.write("/var/vp/etc/defaultdomain", "example.com\n");
    while !host.logins().contains_key("ann") {
        assert!(start.elapsed() < support::service::PATIENCE, "{:?}", host.logins());
        support::service::pause();
    }
}

/// The defaults of a system, as its file below src/kernel has them.
fn defaults_of(system: &str) -> Vec<String> {
    let text = read(&format!("src/kernel/{system}"));
    let constants = text.lines().filter_map(|line| line.strip_prefix("pub const ")?.split('"').nth(1));
    constants.filter(|value| value.starts_with('/')).map(str::to_owned).collect()
}

fn read(file: &str) -> String {
    fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

#[test]
fn the_defaults_of_each_system_are_in_the_reference() {
    let reference = read("docs/reference/settings.md");
    let (_, of_freebsd) = reference.split_once("\n## Defaults on FreeBSD\n").unwrap();
    let [linux, freebsd] = ["linux/mod.rs", "freebsd.rs"].map(defaults_of);
    assert_eq!((linux.len(), freebsd.len()), (6, 6), "{linux:?} {freebsd:?}");
    let missing: Vec<_> = freebsd.iter().filter(|value| !of_freebsd.contains(&format!("`{value}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
