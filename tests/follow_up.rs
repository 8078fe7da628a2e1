//! What follows a rebuild, with stubs in the place of qmail's programs: run when needed, and only then.

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use support::service::{PATIENCE, Service, follow, status_of};
use support::{MailHost, executable, script};

const NEWU: &str = "/var/qmail/bin/qmail-newu";
const CDB: &str = "/var/qmail/users/cdb";
const NEWMRH: &str = "/var/qmail/bin/qmail-newmrh";

/// A host whose users/assign has one line, and the users/cdb that qmail-newu makes of it, there and in users/made.
fn host() -> MailHost {
    let host = MailHost::sample();
    let home = "/home/vpopmail/domains/example.com";
    host.write("/var/qmail/users/assign", format!("+example.com-:example.com:89:89:{home}:-::\n.\n"));
    let record = format!("example.com\0{}\0{}\0{home}\0-\0\0", 89, 89);
    let image = qmail_updater::cdb::image([(&b"!example.com-"[..], record.as_bytes()), (&b""[..], b"-")]).unwrap();
    host.write("/var/qmail/users/made", &image).write("/var/qmail/users/cdb", image);
    host
}

/// The same, before qmail-newu ran.
fn host_behind() -> MailHost {
    let host = host();
    host.remove("/var/qmail/users/cdb");
    host
}

/// A compiled users/assign that assigns nothing.
fn empty() -> Vec<u8> {
    qmail_updater::cdb::image([(&b""[..], &b"-"[..])]).unwrap()
}

fn runs(host: &MailHost) -> usize {
    lines(host, "ran")
}

/// How many lines a file in QMAIL has.
fn lines(host: &MailHost, name: &str) -> usize {
    fs::read_to_string(host.path("/var/qmail").join(name)).unwrap_or_default().lines().count()
}

#[test]
fn qmail_newu_is_run_when_users_cdb_is_behind_and_not_otherwise() {
    let host = host_behind();
    script(&host, NEWU, "echo x >>ran; cp users/made users/cdb");
    let answer = host.rebuild();
    assert!(!answer.stderr.contains("warning") && !answer.stderr.contains("alert"), "{}", answer.stderr);
    assert_eq!(runs(&host), 1, "in QMAIL, once");
    let why = format!("status: {}: runs, because {}: missing; ", host.path(NEWU).display(), host.path(CDB).display());
    assert_eq!(answer.stderr.matches(&why).count(), 1, "{}", answer.stderr);
    let answer = host.rebuild();
    assert_eq!(runs(&host), 1, "nothing is behind");
    assert!(!answer.stderr.contains("qmail-newu"), "{}", answer.stderr);
    host.remove("/var/qmail/users/cdb");
    let answer = host.run(&["rebuild", "--no-commands"]);
    assert_eq!((answer.code, runs(&host)), (0, 1), "{}", answer.stderr);
    assert!(
        answer.stderr.contains("users/cdb: missing") && answer.stderr.contains("run qmail-newu"),
        "{}",
        answer.stderr
    );
    let answer = host.run(&["rebuild", "--dry-run"]);
    let would = why.replace(": runs, ", ": would run, ");
    assert!(answer.code == 0 && answer.stderr.contains(&would) && !answer.stdout.contains("newu"), "{answer:?}");
    host.run(&["list", "logins"]);
    assert_eq!(runs(&host), 1, "looking runs nothing");
    let answer = host.run(&["rebuild", "--dry-run", "--no-commands"]);
    assert!(!answer.stderr.contains("would run") && answer.stderr.contains("run qmail-newu"), "{answer:?}");
    host.remove(NEWU);
    let answer = host.run(&["rebuild", "--dry-run"]);
    assert!(answer.stderr.contains("qmail-newu: not there, so it would not run; "), "{answer:?}");
}

#[test]
fn qmail_newu_is_run_again_when_somebody_elses_run_came_between() {
    let host = host_behind();
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
    script(&host, NEWMRH, "echo x >>ran; cp made control/morercpthosts.cdb");
    host.rebuild();
    host.rebuild();
    assert_eq!(runs(&host), 1);
}

#[test]
fn a_command_that_fails_is_an_alert_and_the_tables_stay_published() {
    let host = host_behind();
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
    script(&host, "/etc/push", "IFS=:; cat $QMAIL_UPDATER_CHANGED >told");
    let top = host.path("/");
    let mut command = Command::new(support::tested());
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
        support::service::pause();
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
        support::service::pause();
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
    executable(host, NEWU, program);
}

#[test]
fn where_qmail_newu_writes_users_assign_cdb_that_is_the_compiled_file() {
    let host = host_behind();
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
    let host = host_behind();
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
    let host = host_behind();
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
    let host = host_behind();
    host.write("/var/qmail/users/assign.cdb", fs::read(host.path("/var/qmail/users/made")).unwrap());
    host.remove("/var/qmail/users/assign");
    let service = Service::start(host, &[]);
    assert_eq!(service.host.answers(&["ann@example.com"]), ["accept"]);
    service.host.write("/var/qmail/users/draft", empty());
    fs::rename(service.host.path("/var/qmail/users/draft"), service.host.path("/var/qmail/users/assign.cdb")).unwrap();
    service.wait_for("rebuild 2 done");
}

/// How long users/assign and users/cdb have to stay as they are before qmail-newu runs, less what the file system's clock
/// may be behind.
const QUIET: Duration = Duration::from_millis(2_950);

/// Puts another file in the place of this one, as vpopmail does.
fn replace(host: &MailHost, path: &str, content: impl AsRef<[u8]>) {
    let draft = format!("{path}.draft");
    host.write(&draft, content);
    fs::rename(host.path(&draft), host.path(path)).unwrap();
}

#[test]
fn qmail_newu_runs_when_neither_file_changed_for_some_seconds_and_a_typed_rebuild_says_that_it_waits() {
    let host = host();
    script(&host, NEWU, "echo x >>ran; cp users/made users/cdb");
    let start = Instant::now();
    replace(&host, CDB, empty());
    let answer = host.rebuild();
    assert!(start.elapsed() >= QUIET, "{:?}: {answer:?}", start.elapsed());
    let waits = answer.stderr.lines().find(|line| line.contains(" waits for ")).unwrap_or_default();
    let named = [NEWU, CDB, "/var/qmail/users/assign"].map(|path| host.path(path).display().to_string());
    assert!(waits.contains("status: ") && named.iter().all(|path| waits.contains(path)), "{answer:?}");
    assert_eq!(runs(&host), 1);
    // Without a fresh change it does not wait: what is gone has not changed, and users/assign is old.
    host.remove(CDB);
    let answer = host.rebuild();
    assert!(!answer.stderr.contains(" waits for "), "{answer:?}");
    assert_eq!(runs(&host), 2);
}

#[test]
fn the_service_runs_qmail_newu_when_neither_file_changed_for_some_seconds_and_publishes_meanwhile() {
    let host = host();
    let service = Service::start(host, &["--after", "/etc/after"]);
    script(&service.host, NEWU, "cp users/made users/cdb");
    script(&service.host, "/etc/after", "echo told");
    let home = "/home/vpopmail/domains/example.com";
    let lines = ["com", "net"].map(|end| format!("+example.{end}-:example.{end}:89:89:{home}:-::\n")).concat();
    let start = Instant::now();
    replace(&service.host, "/var/qmail/users/assign", format!("{lines}.\n"));
    service.wait_for("rebuild 2 done");
    service.wait_for("after: told");
    let line = service.wait_for("qmail-newu");
    assert!(start.elapsed() >= QUIET, "{:?}", start.elapsed());
    let why = format!("qmail-newu: runs, because {}: not what ", service.host.path(CDB).display());
    assert!(line.contains("status: ") && line.contains(&why), "{line}");
}

#[test]
fn a_run_that_failed_because_somebody_elses_came_between_is_looked_at_again_before_it_is_told() {
    let host = host_behind();
    // The other one took the temporary file away, and compiled what users/assign was before.
    let collides = "cp users/empty users/cdb; echo 'unable to move users/cdb.tmp' >&2; exit 111";
    host.write("/var/qmail/users/empty", empty());
    script(
        &host,
        NEWU,
        &format!("echo x >>ran; if test $(wc -l <ran) -lt 2; then {collides}; fi; cp users/made users/cdb"),
    );
    let answer = host.rebuild();
    assert!(!answer.stderr.contains("alert: ") && runs(&host) == 2, "{answer:?}");
    // Or what it is now: then nothing is left to do.
    host.remove(CDB);
    script(&host, NEWU, "echo x >>ran; cp users/made users/cdb; exit 111");
    let answer = host.rebuild();
    assert!(!answer.stderr.contains("alert: ") && runs(&host) == 3, "{answer:?}");
}

#[test]
fn two_rebuilds_never_run_qmail_newu_at_once_and_the_second_finds_it_done() {
    let host = host_behind();
    host.folder("/tmp");
    let gate = host.path("/tmp/gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    script(&host, NEWU, &format!("echo x >>ran; read line <{}; cp users/made users/cdb", gate.display()));
    let wait_for = |log: &std::sync::mpsc::Receiver<String>, words: &str| {
        while !log.recv_timeout(PATIENCE).unwrap().contains(words) {}
    };
    let (mut first, log) = follow(host.command(&["rebuild"]));
    wait_for(&log, "qmail-newu: runs, because ");
    let (mut second, log) = follow(host.command(&["rebuild"]));
    wait_for(&log, "qmail-newu: waits, because another process of qmail-updater runs it");
    fs::OpenOptions::new().write(true).open(&gate).unwrap().write_all(b"go\n").unwrap();
    assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
    assert_eq!(runs(&host), 1);
}

/// Waits until the status file tells what is wanted.
fn wait_for_status(host: &MailHost, is_wanted: impl Fn(&serde_json::Value) -> bool) {
    let start = Instant::now();
    while !is_wanted(&status_of(host)) {
        assert!(start.elapsed() < PATIENCE, "{}", status_of(host));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What the status file says that a command is owed.
fn owed_to(status: &serde_json::Value, name: &str) -> Vec<String> {
    let commands = status["commands"].as_array().cloned().unwrap_or_default();
    let is_named = |command: &&serde_json::Value| command["command"].as_str().is_some_and(|path| path.ends_with(name));
    let owed = commands.iter().find(is_named).map(|command| command["owed"].clone()).unwrap_or_default();
    serde_json::from_value(owed).unwrap_or_default()
}

#[test]
fn a_command_that_ended_well_does_not_run_again_because_others_fail_and_status_tells_them_apart() {
    let host = host_behind();
    script(&host, NEWU, "echo x >>ran; exit 111");
    script(&host, "/etc/good", "echo x >>good");
    script(&host, "/etc/bad", "echo x >>bad; exit 1");
    let mut service = Service::start(host, &["--no-watch", "--after", "/etc/bad", "--after", "/etc/good"]);
    // It fails for the third time, after pauses of a second and of two. At that time qmail-newu may have failed for the first.
    let mut pauses: Vec<String> = Vec::new();
    while pauses.last().is_none_or(|pause| pause != "4.0 s") {
        let line = service.wait_for("1 command failed after rebuild 1; both files are right; ");
        let pause = line.split_once("next try in ").unwrap().1.to_owned();
        if !pauses.contains(&pause) {
            pauses.push(pause);
        }
    }
    assert_eq!(pauses, ["1.0 s", "2.0 s", "4.0 s"]);
    assert_eq!((lines(&service.host, "bad"), lines(&service.host, "good")), (3, 1));
    service.wait_for("qmail-newu: exited 111");
    wait_for_status(&service.host, |status| {
        status["commands_error"]["commands"].as_array().is_some_and(|all| all.len() == 2)
    });
    let (status, text) = (status_of(&service.host), service.host.run(&["status"]).stdout);
    assert_eq!((owed_to(&status, "etc/bad").len(), owed_to(&status, "etc/good").len()), (2, 0), "{status}");
    let told = |name: &str, words: &str| text.lines().any(|line| line.contains(name) && line.contains(words));
    assert!(told("etc/bad", " has not been told of ") && told("etc/bad", "; next try in "), "{text}");
    assert!(told("qmail-newu", " failed; ") && !text.contains("etc/good"), "{text}");
    // A change is told at once to the one that is well; what was not told before, to the other one alone.
    service.add_alias("later");
    service.trigger(&[]);
    wait_for_status(&service.host, |status| status["last_rebuild"]["number"] == 2 && status["state"] == "idle");
    assert_eq!(lines(&service.host, "good"), 2);
    assert_eq!(service.end(), 0);
    service.host.remove("/etc/bad");
    script(&service.host, "/etc/bad", "echo \"$QMAIL_UPDATER_CHANGED\" >told");
    let run = ["run", "--no-watch", "--after", "/etc/bad", "--after", "/etc/good", "--after", "/etc/new"];
    script(&service.host, "/etc/new", "echo \"$QMAIL_UPDATER_CHANGED\" >new");
    (service.child, service.log) = follow(service.host.command(&run));
    service.wait_for("rebuild 1 done");
    let pid = service.child.id();
    let is_told = |status: &serde_json::Value| status["pid"] == pid && status["owed"] == serde_json::json!([]);
    wait_for_status(&service.host, is_told);
    let both = ["validrcptto.cdb", "auth.cdb"].map(|name| service.host.published(name).display().to_string()).join(":");
    for name in ["told", "new"] {
        let told = fs::read_to_string(service.host.path("/var/qmail").join(name)).unwrap();
        assert_eq!(told.trim(), both, "{name}");
    }
    assert_eq!(lines(&service.host, "good"), 2, "it was told of everything");
}

#[test]
fn what_version_0_1_0_owed_is_owed_to_every_command() {
    let host = host();
    for name in ["one", "two"] {
        script(&host, &format!("/etc/{name}"), &format!("echo \"$QMAIL_UPDATER_CHANGED\" >>{name}"));
    }
    let run = ["--no-watch", "--after", "/etc/one", "--after", "/etc/two"];
    let mut service = Service::start(host, &run);
    wait_for_status(&service.host, |status| status["owed"] == serde_json::json!([]) && status["state"] == "idle");
    assert_eq!(service.end(), 0);
    let mut status = status_of(&service.host);
    let recipients = service.host.published("validrcptto.cdb").display().to_string();
    status.as_object_mut().unwrap().remove("commands");
    status["owed"] = serde_json::json!([recipients]);
    service.host.write("/run/qmail-updater/status.json", status.to_string());
    let text = service.host.run(&["status"]).stdout;
    assert!(text.contains(&format!("the commands of --after have not been told of {recipients}\n")), "{text}");
    let arguments: Vec<&str> = ["run"].into_iter().chain(run).collect();
    (service.child, service.log) = follow(service.host.command(&arguments));
    let pid = service.child.id();
    wait_for_status(&service.host, |status| {
        status["pid"] == pid && status["owed"] == serde_json::json!([]) && status["state"] == "idle"
    });
    for name in ["one", "two"] {
        let told = fs::read_to_string(service.host.path("/var/qmail").join(name)).unwrap();
        assert_eq!(told.lines().nth(1), Some(recipients.as_str()), "{name}: {told}");
    }
}

#[test]
fn nothing_waits_for_a_command_that_hangs() {
    let host = host_behind();
    host.folder("/tmp");
    let gate = host.path("/tmp/gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // It fails once, and hangs from then on.
    script(
        &host,
        "/etc/bad",
        &format!("test -e bad || {{ touch bad; exit 1; }}; echo hangs; read line <{}", gate.display()),
    );
    script(&host, "/etc/good", "echo x >>good; echo good");
    let service = Service::start(host, &["--no-watch", "--after", "/etc/bad", "--after", "/etc/good"]);
    service.wait_for("bad: hangs");
    service.add_alias("later");
    service.trigger(&[]);
    service.wait_for("good: good");
    fs::OpenOptions::new().write(true).open(&gate).unwrap().write_all(b"go\n").unwrap();
}

/// A vpopmail that adds and deletes domains. Its onchange writes into the pipe.
struct Vpopmail<'a> {
    host: &'a MailHost,
    domains: Vec<usize>,
}

impl Vpopmail<'_> {
    fn tell(&self, notice: &str) {
        let mut fifo = fs::OpenOptions::new();
        let fifo = fifo.write(true).custom_flags(nix::libc::O_NONBLOCK).open(self.host.path("/tmp/update-qmail"));
        fifo.unwrap().write_all(notice.as_bytes()).unwrap();
    }

    /// users/assign by rename, then qmail-newu.
    fn assign(&self) -> Output {
        let line = |number: &usize| format!("+d{number}.test-:d{number}.test:89:89:{}:-::\n", home(*number));
        let lines: String = self.domains.iter().map(line).collect();
        replace(self.host, "/var/qmail/users/assign", format!("{lines}.\n"));
        let mut newu = Command::new(self.host.path(NEWU));
        newu.current_dir(self.host.path("/var/qmail")).output().unwrap()
    }

    fn control(&self) {
        let lines = |line: &dyn Fn(&usize) -> String| self.domains.iter().map(line).collect::<String>();
        let control = |name: &str, content: String| replace(self.host, &format!("/var/qmail/control/{name}"), content);
        control("virtualdomains", lines(&|number| format!("d{number}.test:d{number}.test\n")));
        control("rcpthosts", lines(&|number| format!("d{number}.test\n")));
    }

    /// vadddomain and vdeldomain, by turns: what their qmail-newu did.
    fn turn(&mut self, number: usize) -> Output {
        if let Some(at) = self.domains.iter().position(|domain| *domain == number) {
            self.domains.remove(at);
            self.tell(&format!("del_domain\td{number}.test\t-\t\n"));
            fs::remove_dir_all(self.host.path(&home(number))).unwrap();
            self.control();
            return self.assign();
        }
        self.domains.push(number);
        self.host.write(
            &format!("{}/.qmail-default", home(number)),
            "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n",
        );
        let ended = self.assign();
        self.control();
        self.tell(&format!("add_domain\td{number}.test\t-\t\n"));
        self.host.mailboxes(&home(number), &["postmaster:x:0:0::/x:NOQUOTA"]);
        ended
    }
}

fn home(number: usize) -> String {
    format!("/home/vpopmail/domains/d{number}.test")
}

#[test]
fn beside_vpopmails_qmail_newu_ours_breaks_nothing_and_nothing_is_told() {
    let host = host();
    let newu = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/qmail-newu.pl")).unwrap();
    executable(&host, NEWU, newu);
    host.remove("/home/vpopmail/etc/defaultdomain");
    let mut service = Service::start(host, &[]);
    let mut vpopmail = Vpopmail { host: &service.host, domains: Vec::new() };
    for command in 0..400 {
        let ended = vpopmail.turn(command % 31);
        assert!(ended.status.success(), "command {command}: {}", String::from_utf8_lossy(&ended.stderr));
    }
    // The last look comes when both files were quiet for some seconds.
    wait_for_status(&service.host, |status| {
        let commands = status["commands"].as_array().cloned().unwrap_or_default();
        (status["state"] == "idle" || status["state"] == "held")
            && status["pending_triggers"] == false
            && commands.iter().all(|command| command["next_try"].is_null())
    });
    assert_eq!(service.end(), 0);
    let log: Vec<String> = service.log.iter().collect();
    assert!(log.iter().filter(|line| line.contains(" done: ")).count() > 1, "{log:#?}");
    let told: Vec<&String> = log.iter().filter(|line| line.contains("newu") || line.contains("users/cdb")).collect();
    assert!(told.is_empty(), "{told:#?}");
}
