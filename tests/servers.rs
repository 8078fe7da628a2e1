//! The tables behind real mail servers that are not qmail, with the configuration that docs/guide/front-ends.md shows. Each server runs in
//! namespaces of its own, on a layer over this machine, and hears on loopback only. `sh tests/run --test servers` brings the servers.

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::{MailHost, has, is_root, skip, system_crypt};

const COM: &str = "/home/vpopmail/domains/example.com";

/// Where tests/run unpacked a server.
fn unpacked(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools").join(name).join("root")
}

/// Whether a server can be run here; says why not.
fn can_run(test: &str, file: &Path) -> bool {
    let why = match () {
        () if !is_root() => "only root can make a root for it".to_owned(),
        () if !file.is_file() => format!("{} is not there; sh tests/run --test servers brings it", file.display()),
        () if !has("perl") => "perl is not installed".to_owned(),
        () => return true,
    };
    skip(test, &why);
    false
}

/// The sample host with logins whose passwords are known.
fn published() -> (MailHost, Vec<(String, String)>) {
    let host = MailHost::sample();
    let settings = ["$1$saltsalt$", "$5$rounds=1000$saltsalt$", "$6$rounds=1000$saltsalt$", "$y$j75$saltsaltsalt$"];
    let users: Vec<(String, String)> =
        (0..10).map(|number| (format!("user{number}"), format!("pass{number}\u{e9}"))).collect();
    let asked: Vec<_> = users
        .iter()
        .zip(settings.iter().cycle())
        .map(|((_, word), setting)| (word.clone().into_bytes(), (*setting).to_owned()))
        .collect();
    let hashes = system_crypt(&asked);
    let mailboxes: Vec<String> =
        users.iter().zip(hashes).map(|((name, _), hash)| format!("{name}:{hash}:1:0:N:/d:Q")).collect();
    host.mailboxes(COM, &mailboxes.iter().map(String::as_str).collect::<Vec<_>>());
    host.write(&format!("{COM}/.qmail-team-default"), "|/bin/true\n");
    host.rebuild();
    (host, users)
}

/// 170 addresses of all kinds that a mail server hands on.
fn addresses() -> Vec<String> {
    let domains = ["example.com", "EXAMPLE.edu", "example.net"];
    let names = |number: usize| {
        [
            format!("user{number}"),
            format!("User{number}-x"),
            format!("team-{number}"),
            format!("list-{number}"),
            format!("nobody{number}"),
            "spamtrap".to_owned(),
            "postmaster".to_owned(),
            "list-subscribe".to_owned(),
        ]
    };
    let all =
        (0..).flat_map(|number| domains.map(|domain| names(number).map(|name| format!("{name}@{domain}"))).concat());
    all.take(170).collect()
}

/// The answers of a server, which a script starts, to the commands of these sessions.
fn talk(host: &MailHost, script: &str, unpacked: &Path, sessions: &[(&str, Vec<String>)]) -> Vec<Vec<String>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::Builder::new().prefix("qmail-updater-server.").tempdir().unwrap();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "sh"])
        .arg(here.join("tests/servers").join(script));
    command
        .arg(folder.path())
        .arg(unpacked)
        .arg(env!("CARGO_BIN_EXE_qmail-updater"))
        .arg(host.path("/var/qmail/control"))
        .arg(here);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines: String =
        sessions.iter().map(|(state, commands)| format!("{state}\t{}\n", commands.join("\t"))).collect();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join();
    assert!(output.status.success(), "{script}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines().map(str::to_owned);
    sessions.iter().map(|(_, commands)| lines.by_ref().take(commands.len()).collect()).collect()
}

#[test]
fn postfix_asks_the_tables_as_its_page_says() {
    let postfix = unpacked("postfix");
    if !can_run("postfix_asks_the_tables_as_its_page_says", &postfix.join("usr/lib/postfix/sbin/smtpd")) {
        return;
    }
    let (host, users) = published();
    let addresses = addresses();
    let mut recipients = vec!["EHLO x".to_owned(), "MAIL FROM:<>".to_owned()];
    recipients.extend(addresses.iter().map(|address| format!("RCPT TO:<{address}>")));
    let mut sessions = vec![("with", recipients)];
    for (number, (name, word)) in users.iter().enumerate() {
        let wrong = &users[(number + 1) % users.len()].1;
        let login = |word: &str| vec!["EHLO x".to_owned(), format!("AUTH {name}@Example.com {word}")];
        sessions.extend([("with", login(word)), ("with", login(wrong))]);
    }
    let without = ["EHLO x", "AUTH user1@example.com x", "MAIL FROM:<>", "RCPT TO:<user1@example.com>"];
    sessions.push(("without", without.map(str::to_owned).to_vec()));
    let answers = talk(&host, "postfix.sh", &postfix, &sessions);

    let asked: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let mut accepted = 0;
    for ((address, wanted), answer) in asked.iter().zip(host.answers(&asked)).zip(&answers[0][2..]) {
        let code = if wanted == "accept" { "250 " } else { "550 5.1.1 " };
        accepted += usize::from(wanted == "accept");
        assert!(answer.starts_with(code), "{address}: {answer}");
    }
    assert!((60..120).contains(&accepted) && answers[0].len() == 172, "{accepted}");
    for (number, session) in answers[1..=20].iter().enumerate() {
        let code = if number % 2 == 0 { "235 " } else { "535 " };
        assert!(session[1].starts_with(code), "login {number}: {}", session[1]);
    }
    let last = &answers[21];
    assert!(last[1].starts_with("454 ") && last[3].starts_with("451 "), "nobody knows: {last:?}");
}
