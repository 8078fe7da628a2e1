//! No hash and no password leaves but in auth.cdb, and that is nobody else's from its first byte on.

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

use support::service::{COM, PATIENCE, Service, status_of};
use support::{MailHost, NOT_DUMPABLE, filled, has, is_root, skip, strace};

/// What stands in the host's secret fields.
const SECRETS: [&str; 4] = ["HashOfAMailbox", "ClearPassword", "HashOfAnAccount", "SecretInAFile"];

fn host() -> MailHost {
    let host = MailHost::sample();
    let record = |name: &str| format!("{name}:$6$salt$HashOfAMailbox:1:0:N:/d:Q:ClearPassword");
    let mut lines = ["ann", "bob", "Upper", "a b", "x-default", "postmaster"].map(record).to_vec();
    // A field is missing, or too much, so that secrets stand where others should.
    for record in
        ["1:0:N:/d:ClearPassword", "1:0:/d:ClearPassword", "1:0:N:/d:Q:x:ClearPassword", "1:0:$6$HashOfAMailbox"]
    {
        lines.push(format!("odd{}:$6$salt$HashOfAMailbox:{record}", lines.len()));
    }
    lines.push("plain:{PLAIN}ClearPassword:1:0:N:/d:NOQUOTA:ClearPassword".to_owned());
    // A record that was broken in two makes its hash a name; or it was put into the comment.
    lines.push("$6$salt$HashOfAMailbox:1:0:N:/d:NOQUOTA".to_owned());
    lines.push("two$6$rounds=5000$salt$HashOfAMailbox:1:0:N:/d:NOQUOTA".to_owned());
    lines.push("three:x:1:0:$6$salt$HashOfAMailbox:/d:NOQUOTA".to_owned());
    host.mailboxes(COM, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    let account = format!("alice:{}:1::::::\n", filled("$6$salt$HashOfAnAccount"));
    host.write("/etc/shadow", account).mode("/etc/shadow", 0o600);
    // Somebody links his file to others' secrets.
    host.write("/etc/secret", "|SecretInAFile\n&SecretInAFile@x.test\n").mode("/etc/secret", 0o600);
    host.link(&format!("{COM}/.qmail-leak"), "/etc/secret").link(&format!("{COM}/.qmail-shadow"), "/etc/shadow");
    host.link(&format!("{COM}/.qmail-leak2"), "vpasswd.cdb");
    host
}

fn assert_nothing_leaked(what: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{what} tells {secret}: {text}");
    }
}

#[test]
fn no_command_prints_a_hash_a_password_or_the_content_of_a_file() {
    let host = host();
    let addresses = ["ann@example.com", "leak@example.com", "shadow@example.com", "leak2@example.com"];
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["rebuild", "--auth-system-users"],
        vec!["rebuild", "--dry-run"],
        vec!["list", "recipients"],
        vec!["list", "logins"],
        vec!["status"],
        vec!["check"],
        vec!["check", "--json"],
        vec!["domains"],
        vec!["domains", "--json"],
        vec!["user", "@example.com", "@example.net", "nobody@example.com"],
        vec!["user", "--json", "@example.com", "Upper@example.com"],
    ];
    commands.push([&["explain"], &addresses[..]].concat());
    commands.push([&["lookup"], &addresses[..]].concat());
    // Sources that are broken in each way are told of, not shown.
    let damages: [(&str, &str); 6] = [
        ("", ""),
        (COM, "$6$salt$HashOfAMailbox"),
        ("/var/qmail/users/assign", "HashOfAMailbox\n"),
        ("/var/qmail/control/authvars", "SecretInAFile\n"),
        ("/etc/shadow", "HashOfAnAccount"),
        ("/var/qmail/control/auth.cdb", "HashOfAMailbox"),
    ];
    for (file, content) in damages {
        let file = if file == COM { format!("{COM}/vpasswd.cdb") } else { file.to_owned() };
        let before = (!file.is_empty()).then(|| fs::read(host.path(&file)).unwrap());
        if before.is_some() {
            host.write(&file, content);
        }
        for command in &commands {
            let answer = host.run(command);
            let what = format!("{command:?} with {file:?} damaged");
            // Names of a malformed line are shown, so that somebody finds it; a line of users/assign holds no secret.
            if file != "/var/qmail/users/assign" && file != "/var/qmail/control/authvars" {
                assert_nothing_leaked(&what, &answer.stderr);
            }
            assert_nothing_leaked(&what, &answer.stdout);
        }
        if let Some(before) = before {
            host.write(&file, before);
        }
    }
}

#[test]
fn neither_the_log_nor_the_status_file_nor_a_core_dump_tells_a_hash() {
    let mut service = Service::start(host(), &["--auth-system-users", "--after", "/bin/false"]);
    service.trigger(&["mod_user", "ann@example.com"]);
    service.wait_for("cause=mod_user:ann@example.com");
    let start = Instant::now();
    while status_of(&service.host)["last_rebuild"]["number"] == 1 {
        assert!(start.elapsed() < PATIENCE);
        support::service::pause();
    }
    assert!(service.host.logins()["ann@example.com"].contains("HashOfAMailbox"));
    assert_nothing_leaked("status.json", &status_of(&service.host).to_string());
    let process = format!("/proc/{}", service.child.id());
    let limits = fs::read_to_string(format!("{process}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    // What cannot be dumped is root's (proc(5)).
    assert_eq!(fs::metadata(format!("{process}/environ")).unwrap().uid(), 0);
    service.end();
    while let Ok(line) = service.log.recv() {
        assert_nothing_leaked("the log", &line);
    }
}

#[test]
fn auth_cdb_has_its_owner_and_mode_before_its_first_byte() {
    if !has("strace") {
        return skip("what a new auth.cdb looks like from its first byte on", "strace is not installed");
    }
    if !is_root() {
        return skip("what a new auth.cdb looks like from its first byte on", NOT_DUMPABLE);
    }
    let host = host();
    host.write("/etc/group", "root:x:0:\nnofiles:x:4242:\n");
    let trace = host.path("/trace");
    let run = host.command(&["rebuild", "--no-commands", "--auth-owner", "root:nofiles"]);
    let mut command = strace();
    command
        .args(["-f", "-y", "-o"])
        .arg(&trace)
        .args(["-e", "trace=?open,openat,fchown,fchmod,?chmod,write,pwrite64,writev"]);
    let output = command.arg(run.get_program()).args(run.get_args()).env_clear().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let trace = fs::read_to_string(&trace).unwrap();
    let calls: Vec<&str> = trace.lines().filter(|line| line.contains("/.auth.cdb.")).collect();
    let at =
        |call: &str| calls.iter().position(|line| line.contains(call)).unwrap_or_else(|| panic!("{call}: {trace}"));
    // open(2) or openat(2), as the C library likes.
    let made = calls[at(" open")];
    assert!(made.contains("O_CREAT") && made.contains("0600"), "{made}");
    let written = at("write");
    assert!(at("fchmod(") < written && calls[at("fchmod(")].contains("0640"), "{calls:#?}");
    assert!(at("fchown(") < written && calls[at("fchown(")].contains(", 4242)"), "{calls:#?}");
    assert!(!Path::new(&host.path("/var/qmail/control/auth.cdb.tmp")).exists());
}
