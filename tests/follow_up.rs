//! What follows a rebuild, with stubs in the place of qmail's programs: run when needed, and only then.

mod support;

use std::fs;
use std::process::Command;
use std::time::Instant;

use support::service::{PATIENCE, Service, status_of};
use support::{MailHost, script};

const NEWU: &str = "/var/qmail/bin/qmail-newu";
const NEWMRH: &str = "/var/qmail/bin/qmail-newmrh";

/// A host whose users/assign has one line, and the users/cdb that qmail-newu makes of it, not yet in its place.
fn host() -> MailHost {
    let host = MailHost::sample();
    let home = "/home/vpopmail/domains/example.com";
    host.write("/var/qmail/users/assign", format!("+example.com-:example.com:89:89:{home}:-::\n.\n"));
    let record = format!("example.com\0{}\0{}\0{home}\0-\0\0", 89, 89);
    let image = qmail_updater::cdb::image([(&b"!example.com-"[..], record.as_bytes()), (&b""[..], b"-")]).unwrap();
    host.write("/var/qmail/users/made", image);
    host
}

/// A compiled users/assign that assigns nothing.
fn empty() -> Vec<u8> {
    qmail_updater::cdb::image([(&b""[..], &b"-"[..])]).unwrap()
}

fn runs(host: &MailHost) -> usize {
    fs::read_to_string(host.path("/var/qmail/ran")).unwrap_or_default().lines().count()
}

#[test]
fn qmail_newu_is_run_when_users_cdb_is_behind_and_not_otherwise() {
    let host = host();
    script(&host, NEWU, "echo x >>ran; cp users/made users/cdb");
    let answer = host.rebuild();
    assert!(!answer.stderr.contains("warning") && !answer.stderr.contains("alert"), "{}", answer.stderr);
    assert_eq!(runs(&host), 1, "in QMAIL, once");
    host.rebuild();
    assert_eq!(runs(&host), 1, "nothing is behind");
    host.remove("/var/qmail/users/cdb");
    let answer = host.run(&["rebuild", "--no-commands"]);
    assert_eq!((answer.code, runs(&host)), (0, 1), "{}", answer.stderr);
    assert!(
        answer.stderr.contains("users/cdb: missing") && answer.stderr.contains("run qmail-newu"),
        "{}",
        answer.stderr
    );
    host.run(&["rebuild", "--dry-run"]);
    host.run(&["list", "logins"]);
    assert_eq!(runs(&host), 1, "looking runs nothing");
}

#[test]
fn qmail_newu_is_run_again_when_somebody_elses_run_came_between() {
    let host = host();
    script(&host, NEWU, "echo x >>ran; test $(wc -l <ran) -lt 2 || cp users/made users/cdb");
    host.rebuild();
    assert_eq!(runs(&host), 2);
    host.remove("/var/qmail/users/cdb");
    script(&host, NEWU, "echo x >>ran");
    let answer = host.run(&["rebuild"]);
    assert_eq!(answer.code, 111, "{}", answer.stderr);
    assert!(answer.stderr.contains("alert: ") && answer.stderr.contains("was run 3 times"), "{}", answer.stderr);
    assert_eq!(runs(&host), 5);
}

#[test]
fn qmail_newmrh_is_run_when_morercpthosts_cdb_is_behind() {
    let host = host();
    host.write("/var/qmail/control/morercpthosts", "More.example\n# no\n");
    host.write("/var/qmail/made", qmail_updater::cdb::image([(&b"more.example"[..], &b""[..])]).unwrap());
    script(&host, NEWU, "cp users/made users/cdb");
    script(&host, NEWMRH, "echo x >>ran; cp made control/morercpthosts.cdb");
    host.rebuild();
    host.rebuild();
    assert_eq!(runs(&host), 1);
}

#[test]
fn a_command_that_fails_is_an_alert_and_the_tables_stay_published() {
    let host = host();
    script(&host, NEWU, "echo 'unable to open users/cdb.tmp' >&2; printf '\\033[31m'; exit 111");
    let answer = host.run(&["rebuild"]);
    assert_eq!(answer.code, 111);
    assert!(answer.stderr.contains("status: qmail-newu: unable to open users/cdb.tmp"), "{}", answer.stderr);
    assert!(answer.stderr.contains("status: qmail-newu: \\x1b[31m"), "{}", answer.stderr);
    assert!(answer.stderr.contains("alert: ") && answer.stderr.contains("qmail-newu: exited 111"), "{}", answer.stderr);
    assert_eq!(host.answers(&["ann@example.com"]), ["accept"]);
}

#[test]
fn after_a_change_each_command_is_told_what_changed_in_a_clean_environment() {
    let host = host();
    script(&host, NEWU, "cp users/made users/cdb");
    script(&host, "/etc/push", "echo \"$QMAIL_UPDATER_CHANGED\" >>ran; env | grep -c SECRET >>ran; exit 0");
    script(&host, "/etc/second", "echo second >>ran");
    let rebuild = || {
        let mut command =
            host.command(&["rebuild", "--after", "/etc/push", "--after", "/etc/second", "--after", "/etc/gone"]);
        support::Answer::from(command.env("SECRET", "1").output().unwrap())
    };
    let answer = rebuild();
    assert_eq!(answer.code, 111, "{}", answer.stderr);
    let gone = |line: &str| line.contains("alert: ") && line.contains("etc/gone: not there, so not run");
    assert!(answer.stderr.lines().any(gone), "{}", answer.stderr);
    let told = fs::read_to_string(host.path("/var/qmail/ran")).unwrap();
    let both = ["validrcptto.cdb", "auth.cdb"].map(|name| host.published(name).display().to_string()).join(":");
    assert_eq!(told, format!("{both}\n0\nsecond\n"));
    rebuild();
    assert_eq!(runs(&host), 3, "nothing changed, nothing is run");
    host.write("/home/vpopmail/domains/example.com/.qmail-new", "&x@y.test\n");
    rebuild();
    let told = fs::read_to_string(host.path("/var/qmail/ran")).unwrap();
    assert!(told.ends_with(&format!("second\n{}\n0\nsecond\n", host.published("validrcptto.cdb").display())), "{told}");
    script(&host, "/etc/push", "exit 1");
    host.write("/home/vpopmail/domains/example.com/.qmail-newer", "&x@y.test\n");
    let answer = rebuild();
    assert_eq!(answer.code, 111, "{}", answer.stderr);
    assert!(answer.stderr.contains("etc/push: exited 1"), "{}", answer.stderr);
    assert_eq!(host.answers(&["newer@example.com"]), ["accept"]);
}

#[test]
fn the_environment_names_several_commands_between_colons() {
    let host = host();
    script(&host, NEWU, "cp users/made users/cdb");
    script(&host, "/etc/one", "echo one >>ran");
    script(&host, "/etc/two", "echo two >>ran");
    let mut command = host.command(&["rebuild"]);
    assert!(command.env("QMAIL_UPDATER_AFTER", "/etc/one:/etc/two").output().unwrap().status.success());
    assert_eq!(fs::read_to_string(host.path("/var/qmail/ran")).unwrap(), "one\ntwo\n");
    let answer = host.run(&["rebuild", "--after", "one"]);
    assert_eq!(answer.code, 100, "{}", answer.stderr);
}

#[test]
fn below_a_relative_root_commands_run_and_are_told_paths_that_they_find() {
    let host = host();
    script(&host, NEWU, "cp users/made users/cdb");
    script(&host, "/etc/push", "IFS=:; cat $QMAIL_UPDATER_CHANGED >told");
    let top = host.path("/");
    let mut command = Command::new(env!("CARGO_BIN_EXE_qmail-updater"));
    command.current_dir(top.parent().unwrap()).env_clear().arg("--root").arg(top.file_name().unwrap());
    let answer = support::Answer::from(command.args(["rebuild", "--after", "/etc/push"]).output().unwrap());
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let both = ["validrcptto.cdb", "auth.cdb"].map(|name| fs::read(host.published(name)).unwrap()).concat();
    assert_eq!(fs::read(host.path("/var/qmail/told")).unwrap(), both);
}

#[test]
fn a_command_of_after_that_cannot_be_run_is_owed_and_named_by_status_and_check() {
    let mut service = Service::start(host(), &["--no-watch", "--after", "/etc/psuh"]);
    service.wait_for("1 command failed after rebuild");
    let start = Instant::now();
    while status_of(&service.host)["commands_error"].is_null() {
        assert!(start.elapsed() < PATIENCE, "{}", status_of(&service.host));
    }
    let answer = service.host.run(&["status"]);
    assert!(answer.stdout.contains("etc/psuh: not there") && answer.stdout.contains("not been told"), "{answer:?}");
    assert!(answer.stdout.contains("tables: as the host says"), "{answer:?}");
    assert_eq!(answer.code, 1, "{answer:?}");
    let findings = |host: &MailHost| host.run(&["check", "--after", "/etc/psuh"]).stdout;
    assert!(findings(&service.host).contains("etc/psuh: not there"), "{}", findings(&service.host));
    service.host.write("/etc/psuh", "").mode("/etc/psuh", 0o644);
    assert!(findings(&service.host).contains("etc/psuh: no executable file"), "{}", findings(&service.host));
    // It is tried again, and hears of both files.
    script(&service.host, "/etc/psuh", "echo \"$QMAIL_UPDATER_CHANGED\" >told");
    let start = Instant::now();
    while !status_of(&service.host)["commands_error"].is_null() {
        assert!(start.elapsed() < PATIENCE, "{}", status_of(&service.host));
    }
    let told = fs::read_to_string(service.host.path("/var/qmail/told")).unwrap();
    assert!(told.contains("validrcptto.cdb") && told.contains("auth.cdb"), "{told}");
    assert!(!findings(&service.host).contains("etc/psuh"));
    assert_eq!(service.end(), 0);
}

/// A program that does nothing, and holds these bytes as a compiled qmail-newu would.
fn binary_that_names(host: &MailHost, names: &str) {
    let mut program = fs::read("/bin/true").unwrap();
    program.extend_from_slice(names.as_bytes());
    host.write(NEWU, program).mode(NEWU, 0o755);
}

#[test]
fn where_qmail_newu_writes_users_assign_cdb_that_is_the_compiled_file() {
    let host = host();
    script(&host, NEWU, "echo x >>ran; cp users/made users/assign.cdb");
    for _ in 0..2 {
        let answer = host.rebuild();
        assert!(!answer.stderr.contains("warning") && !answer.stderr.contains("alert"), "{}", answer.stderr);
        assert_eq!(runs(&host), 1);
    }
    // What an earlier qmail left there says something else.
    host.write("/var/qmail/users/cdb", empty());
    let says = |host: &MailHost| host.run(&["rebuild", "--no-commands"]).stderr;
    assert!(!says(&host).contains("warning"), "{}", says(&host));
    assert!(!host.run(&["check"]).stdout.contains("run qmail-newu"), "{:?}", host.run(&["check"]));
    binary_that_names(&host, "\0users/cdb.tmp\0users/cdb\0");
    assert!(says(&host).contains("users/cdb: not what"), "{}", says(&host));
    binary_that_names(&host, "\0unable to move users/cdb.tmp\0users/assign.cdb\0");
    assert!(!says(&host).contains("warning"), "{}", says(&host));
    // A binary counts although its file is not there yet; a script may run anything.
    host.remove("/var/qmail/users/assign.cdb");
    assert!(says(&host).contains("users/assign.cdb: missing"), "{}", says(&host));
    script(&host, NEWU, "exec /usr/lib/sqmail/qmail-newu");
    assert!(says(&host).contains("users/cdb: not what"), "{}", says(&host));
}

#[test]
fn without_a_qmail_newu_that_tells_the_newer_compiled_file_counts_and_a_warning_says_so() {
    let host = host();
    let (cdb, assign_cdb) = ("/var/qmail/users/cdb", "/var/qmail/users/assign.cdb");
    let right = fs::read(host.path("/var/qmail/users/made")).unwrap();
    host.write(cdb, empty()).write(assign_cdb, right);
    let set_time = |path: &str, seconds: u64| {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        fs::File::open(host.path(path)).unwrap().set_modified(time).unwrap();
    };
    set_time(cdb, 1_000_000);
    let answer = host.rebuild();
    assert!(answer.stderr.contains("users/cdb: there beside "), "{}", answer.stderr);
    assert!(!answer.stderr.contains("not what") && answer.stderr.contains("--users-cdb"), "{}", answer.stderr);
    set_time(assign_cdb, 500_000);
    assert!(host.rebuild().stderr.contains("users/cdb: not what"));
    host.remove(cdb);
    assert!(!host.rebuild().stderr.contains("users/"));
}

#[test]
fn users_cdb_names_the_compiled_file() {
    let host = host();
    let right = fs::read(host.path("/var/qmail/users/made")).unwrap();
    binary_that_names(&host, "\0users/cdb\0");
    host.write("/var/qmail/users/other.cdb", right);
    assert!(!host.run(&["rebuild", "--no-commands", "--users-cdb", "other.cdb"]).stderr.contains("users/"));
    let mut command = host.command(&["rebuild", "--no-commands"]);
    let answer = support::Answer::from(command.env("QMAIL_UPDATER_USERS_CDB", "gone").output().unwrap());
    assert!(answer.stderr.contains("users/gone: missing"), "{}", answer.stderr);
    // Without the text, it is the source.
    host.remove("/var/qmail/users/assign");
    let answer = host.run(&["explain", "--users-cdb", "other.cdb", "ann@example.com"]);
    assert!(answer.stdout.contains("users/other.cdb: \"+example.com-\""), "{answer:?}");
    for table in ["other.cdb", "assign.cdb", "cdb"] {
        let table = format!("/var/qmail/users/{table}");
        let answer = host.run(&["rebuild", "--users-cdb", "other.cdb", "--auth", &table]);
        assert_eq!(answer.code, 100, "{answer:?}");
    }
    for name in ["", ".", "..", "assign", "/var/qmail/users/cdb", "sub/cdb"] {
        let answer = host.run(&["rebuild", "--users-cdb", name]);
        assert_eq!(answer.code, 100, "{name}: {answer:?}");
        assert!(answer.stderr.contains("--users-cdb \""), "{name}: {answer:?}");
    }
}

#[test]
fn a_compiled_file_that_stands_in_for_users_assign_is_watched_whatever_its_name() {
    let host = host();
    host.write("/var/qmail/users/assign.cdb", fs::read(host.path("/var/qmail/users/made")).unwrap());
    host.remove("/var/qmail/users/assign");
    let service = Service::start(host, &[]);
    assert_eq!(service.host.answers(&["ann@example.com"]), ["accept"]);
    service.host.write("/var/qmail/users/draft", empty());
    fs::rename(service.host.path("/var/qmail/users/draft"), service.host.path("/var/qmail/users/assign.cdb")).unwrap();
    service.wait_for("rebuild 2 done");
}
