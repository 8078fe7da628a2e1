//! The tables behind real mail servers that are not qmail, with the configuration that docs/guide/front-ends.md shows. Each server runs in
//! namespaces of its own, on a layer over this machine, and hears on loopback only. `sh tests/run --test servers` brings the servers.

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::{MailHost, has, is_root, skip, system_crypt};

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
const COM: &str = "/home/vpopmail/domains/example.com";

/// Where tests/run unpacked a server.
fn unpacked(name: &str) -> PathBuf {
    let name = name.split('-').next().unwrap();
    Path::new(REPOSITORY).join("target/tools").join(name).join("root")
}

/// Whether a server can be run here; says why not.
fn can_run(server: &str, file: &str) -> bool {
    let file = unpacked(server).join(file);
    let why = match () {
        () if !is_root() => "only root can make a root for it".to_owned(),
        () if !file.is_file() => format!("{} is not there; sh tests/run --test servers brings it", file.display()),
        () if !has("perl") => "perl is not installed".to_owned(),
        () => return true,
    };
    skip(server, &why);
    false
}

/// Whether the tables are there in an SMTP session, and its commands.
type Session = (&'static str, Vec<String>);

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

/// The files that a section of docs/guide/front-ends.md shows: before the block with the content, the text ends with the path, as `/PATH`:
fn page(section: &str) -> Vec<(String, String)> {
    let page = fs::read_to_string(Path::new(REPOSITORY).join("docs/guide/front-ends.md")).unwrap();
    let (_, text) = page.split_once(&format!("\n## {section}\n")).unwrap();
    let parts: Vec<&str> = text.split("\n## ").next().unwrap().split("```").collect();
    let file = |pair: &[&str]| {
        let (_, path) = pair[0].strip_suffix("`:\n\n")?.rsplit_once("`/")?;
        Some((path.to_owned(), pair.get(1)?.split_once('\n')?.1.to_owned()))
    };
    parts.chunks(2).filter_map(file).collect()
}

/// The exit status of ask.pl after SIGALRM: the server answers no more.
const SILENT: i32 = 128 + 14;

/// The answers of a server with the configuration of its section to the commands of these sessions. No front end may have
/// written one of these secrets.
fn talk(host: &MailHost, server: &Server, sessions: &[Session], secrets: &[String]) -> Vec<Vec<String>> {
    let mut answers = talk_once(host, server, sessions, secrets);
    if server.hangs && answers.is_err() {
        answers = talk_once(host, server, sessions, secrets);
    }
    answers.unwrap_or_else(|log| panic!("{}: {log}", server.name))
}

/// The same; or the log of a server that answers no more.
fn talk_once(
    host: &MailHost,
    server: &Server,
    sessions: &[Session],
    secrets: &[String],
) -> Result<Vec<Vec<String>>, String> {
    let directory = tempfile::Builder::new().prefix("qmail-updater-server.").tempdir().unwrap();
    for (path, content) in page(server.section) {
        let path = directory.path().join("page").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &content).unwrap();
        let mode = if content.starts_with("#!") { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    for name in ["root", "trace"] {
        fs::create_dir(directory.path().join(name)).unwrap();
    }
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "sh"])
        .arg(Path::new(REPOSITORY).join("tests/servers/run.sh"));
    command.arg(server.name).arg(directory.path()).arg(unpacked(server.name)).arg(support::tested());
    command.arg(host.path("/var/qmail/control"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines: String =
        sessions.iter().map(|(state, commands)| format!("{state}\t{}\n", commands.join("\t"))).collect();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join();
    let log = String::from_utf8_lossy(&fs::read(directory.path().join("log")).unwrap_or_default()).into_owned();
    if output.status.code() == Some(SILENT) {
        return Err(log);
    }
    assert!(output.status.success(), "{}: {log}", server.name);
    if has("strace") {
        let traced = wrote_none(&directory.path().join("trace"), secrets);
        assert!(traced > 0 || !server.asks, "no front end was traced");
    }
    if std::env::var_os("QMAIL_UPDATER_SHOW").is_some() {
        eprintln!("{log}");
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines().map(str::to_owned);
    Ok(sessions.iter().map(|(_, commands)| lines.by_ref().take(commands.len()).collect()).collect())
}

/// No system call that strace wrote down has one of these in it; how many processes wrote anything.
fn wrote_none(traces: &Path, secrets: &[String]) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(traces).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        files += usize::from(text.contains("\nwrite(") || text.contains("\nsendto("));
        for secret in secrets {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
    files
}

/// A mail server, and what it answers.
struct Server {
    /// Its script; what stands before a dash is the directory where it is unpacked.
    name: &'static str,
    /// Its section of the page.
    section: &'static str,
    refused: &'static str,
    /// Without tables, to a recipient and to a login.
    unknown: [&'static str; 2],
    /// Whether it refuses an address by its syntax.
    refuses: fn(&str) -> bool,
    /// Whether it asks for recipients.
    recipients: bool,
    /// The domain of the logins: checkpassword takes a login as it stands.
    domain: &'static str,
    /// Whether it asks this program, and does not read the tables itself.
    asks: bool,
    /// Whether it is started once more when it answers no more. OpenSMTPD 7.6 hangs in one of a dozen runs, between processes
    /// of its own, when its tables have answered all that they were asked.
    hangs: bool,
}

/// What most of them have in common.
const SERVER: Server = Server {
    name: "",
    section: "",
    refused: "550 ",
    unknown: ["451 ", "454 "],
    refuses: |_| false,
    recipients: true,
    domain: "Example.com",
    asks: true,
    hangs: false,
};

/// Each answer of a server about 170 recipients and 20 logins, and without tables.
fn asks_the_tables(server: &Server) {
    let (host, users) = published();
    let addresses = addresses();
    let session = |addresses: &[String]| {
        let start = ["EHLO x".to_owned(), "MAIL FROM:<a@b.example>".to_owned()];
        ("with", start.into_iter().chain(addresses.iter().map(|address| format!("RCPT TO:<{address}>"))).collect())
    };
    // A server may bound the refusals of one session.
    let asked = if server.recipients { &addresses[..] } else { &[] };
    let mut sessions: Vec<Session> = asked.chunks(5).map(session).collect();
    let of_recipients = sessions.len();
    for (number, (name, word)) in users.iter().enumerate() {
        let wrong = &users[(number + 1) % users.len()].1;
        let how = if number % 2 == 0 { "PLAIN" } else { "LOGIN" };
        let login = |word: &str| vec!["EHLO x".to_owned(), format!("{how} {name}@{} {word}", server.domain)];
        sessions.extend([("with", login(word)), ("with", login(wrong))]);
    }
    let without = ["EHLO x", "MAIL FROM:<a@b.example>", "RCPT TO:<user1@example.com>"];
    sessions.push(("without", without.map(str::to_owned).to_vec()));
    sessions.push(("without", ["EHLO x", "PLAIN user1@example.com pass1"].map(str::to_owned).to_vec()));
    let secrets: Vec<String> = users
        .iter()
        .map(|(_, word)| word.trim_end_matches('\u{e9}').to_owned())
        .chain(host.logins().into_values().map(|data| data.split(',').next().unwrap().to_owned()))
        .collect();
    let mut answers = talk(&host, server, &sessions, &secrets);
    let recipients: Vec<String> =
        answers.drain(..of_recipients).flat_map(|session| session.into_iter().skip(2)).collect();

    let asked: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let (mut accepted, mut own) = (0, 0);
    for ((address, wanted), answer) in asked.iter().zip(host.answers(&asked)).zip(&recipients) {
        if (server.refuses)(address) {
            own += 1;
            assert!(answer.starts_with('5'), "{address}: {answer}");
            continue;
        }
        let code = if wanted == "accept" { "250 " } else { server.refused };
        accepted += usize::from(wanted == "accept");
        assert!(answer.starts_with(code), "{address}: {answer}");
    }
    let all = if server.recipients { (60..120, 170) } else { (0..1, 0) };
    assert!(all.0.contains(&accepted) && recipients.len() == all.1, "{accepted}");
    for (number, session) in answers[..20].iter().enumerate() {
        let code = if number % 2 == 0 { "235 " } else { "535 " };
        assert!(session[1].starts_with(code), "login {number}: {}", session[1]);
    }
    let last = (&answers[20][2], &answers[21][1]);
    assert!(last.0.starts_with(server.unknown[0]) && last.1.starts_with(server.unknown[1]), "without tables: {last:?}");
    println!("{}: {} recipients, {own} refused by their syntax, 20 logins", server.name, all.1 - own);
}

#[test]
fn postfix_asks_the_tables_as_its_page_says() {
    if can_run("postfix", "usr/lib/postfix/sbin/smtpd") {
        asks_the_tables(&Server { name: "postfix", section: "Postfix", refused: "550 5.1.1 ", ..SERVER });
    }
}

#[test]
fn exim_asks_the_tables_as_its_page_says() {
    if can_run("exim", "usr/sbin/exim4") {
        let exim = Server { section: "Exim", unknown: ["451 ", "435 "], ..SERVER };
        asks_the_tables(&Server { name: "exim", ..exim });
        asks_the_tables(&Server { name: "exim-light", asks: false, ..exim });
    }
}

#[test]
fn qpsmtpd_asks_the_tables_as_its_page_says() {
    if can_run("qpsmtpd", "usr/bin/qpsmtpd-forkserver") {
        let qpsmtpd = Server { section: "qpsmtpd", unknown: ["250 ", "535 "], ..SERVER };
        asks_the_tables(&Server { name: "qpsmtpd", domain: "example.com", ..qpsmtpd });
        asks_the_tables(&Server { name: "qpsmtpd-vpopmaild", ..qpsmtpd });
    }
}

#[test]
fn opensmtpd_asks_the_tables_as_its_page_says() {
    if can_run("opensmtpd", "usr/sbin/smtpd") {
        asks_the_tables(&Server {
            name: "opensmtpd",
            section: "OpenSMTPD",
            unknown: ["451 ", "421 "],
            hangs: true,
            ..SERVER
        });
    }
}

#[test]
fn dovecot_asks_the_logins_as_its_page_says() {
    let dovecot =
        Server { name: "dovecot", section: "Dovecot", refused: "", unknown: ["", "454 "], recipients: false, ..SERVER };
    if can_run("dovecot", "usr/lib/dovecot/submission") {
        asks_the_tables(&dovecot);
    }
    // It has the logins in a file of its own, and no table to miss: this password is none.
    if can_run("dovecot24", "usr/lib/dovecot/submission") {
        asks_the_tables(&Server { name: "dovecot24", unknown: ["", "535 "], asks: false, ..dovecot });
    }
}

#[test]
fn haraka_asks_the_tables_as_its_page_says() {
    if can_run("haraka", "usr/lib/haraka/node_modules/Haraka/bin/haraka") {
        asks_the_tables(&Server { name: "haraka", section: "Haraka", unknown: ["450 ", "535 "], ..SERVER });
    }
}
