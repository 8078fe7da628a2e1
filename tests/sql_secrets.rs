//! The password of the connection to a user database, and the hashes in its rows: they are in no message, answer, file,
//! argument or environment, whatever a server says of them.
#![cfg(all(feature = "mysql", feature = "pgsql", feature = "sqlite"))]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::Connection;
use support::service::{PATIENCE, Service, pause, status_of};
use support::{MailHost, filled, is_root, script, skip};

const BIN: &str = "/home/vpopmail/bin/vdelivermail";
const DATABASE: &str = "/home/vpopmail/domains/_vpopmail.sqlite";
const METRICS: &str = "/var/lib/node_exporter/qmail-updater.prom";
const AFTER: &str = "/etc/after";
/// What the command after a rebuild saw of itself.
const SEEN: &str = "/etc/seen";

/// What stands in the rows.
const IN_ROWS: [&str; 2] = ["HashInARow", "ClearInARow"];
/// The password of the connection, which has to be quoted wherever it is.
const PASSWORD: &str = "S3c'r\"e\\t";
/// Parts of it that no quoting changes.
const PARTS: [&str; 2] = ["S3c", "S3C"];

/// A host whose command after a rebuild looks at itself.
fn host(program: &[u8]) -> MailHost {
    let host = MailHost::sample();
    host.mode("", 0o755).write(BIN, program).folder("/var/lib/node_exporter");
    let seen = host.path(SEEN);
    let look = "cat /proc/self/cmdline /proc/self/environ; cat /proc/$PPID/cmdline /proc/$PPID/environ 2>&1";
    script(&host, AFTER, &format!("{{ {look}; }} >>'{}'", seen.display()));
    host
}

fn sql(host: &MailHost, statement: &str) {
    Connection::open(host.path(DATABASE)).unwrap().execute_batch(statement).unwrap();
}

fn add(host: &MailHost, name: &str) {
    let hash = filled("$6$saltsalt$HashInARow");
    sql(host, &format!("INSERT INTO vpopmail VALUES ('{name}', 'example.com', '{hash}', 0, 'ClearInARow')"));
}

fn assert_none(what: &str, text: &[u8], secrets: &[&str]) {
    for secret in secrets {
        let is_there = memchr::memmem::find(text, secret.as_bytes()).is_some();
        assert!(!is_there, "{what} tells {secret}: {}", String::from_utf8_lossy(text));
    }
}

/// All files of a host, links not followed.
fn files(below: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(below).unwrap().map(|entry| entry.unwrap());
    let found = entries.flat_map(|entry| match entry.file_type().unwrap() {
        kind if kind.is_dir() => files(&entry.path()),
        kind if kind.is_file() => vec![entry.path()],
        _ => Vec::new(),
    });
    found.collect()
}

/// No file of the host holds a secret, but for these.
fn assert_no_file(host: &MailHost, secrets: &[&str], but: &[&str]) {
    let but: Vec<PathBuf> = but.iter().map(|file| host.path(file)).collect();
    for file in files(host.root()).into_iter().filter(|file| !but.contains(file)) {
        assert_none(&file.display().to_string(), &fs::read(&file).unwrap(), secrets);
    }
}

/// No answer of a command holds a secret.
fn assert_no_answer(host: &MailHost, secrets: &[&str]) {
    let address = "new@example.com";
    let commands: [&[&str]; 12] = [
        &["rebuild", "--no-commands"],
        &["rebuild", "--dry-run"],
        &["status"],
        &["status", "--json"],
        &["check"],
        &["check", "--json"],
        &["explain", address, "gone@example.com"],
        &["explain", "--json", address, "gone@example.com"],
        &["user", address, "@example.com"],
        &["user", "--json", address],
        &["domains", "--json"],
        &["list", "logins"],
    ];
    for command in commands {
        let answer = host.run(command);
        assert_none(&format!("{command:?}"), answer.stdout.as_bytes(), secrets);
        assert_none(&format!("{command:?}"), answer.stderr.as_bytes(), secrets);
    }
}

/// A process and all that it started.
fn processes(first: u32) -> Vec<PathBuf> {
    let mut found = vec![first];
    let mut at = 0;
    while let Some(pid) = found.get(at).copied() {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let children: Vec<u32> =
            children.flat_map(|of| of.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect();
        found.extend(children);
        at += 1;
    }
    found.iter().map(|pid| PathBuf::from(format!("/proc/{pid}"))).collect()
}

/// Neither the service nor what it started has a secret where others may look; only root may look into them at all.
fn assert_no_process(service: &Service, secrets: &[&str]) {
    let processes = processes(service.child.id());
    for process in &processes {
        for name in ["cmdline", "environ"] {
            let Ok(text) = fs::read(process.join(name)) else { continue };
            assert_none(&format!("{}/{name}", process.display()), &text, secrets);
        }
        let Ok(of_process) = fs::metadata(process.join("environ")) else { continue };
        if is_root() {
            assert_eq!(of_process.uid(), 0, "{}: another process of its uid may look into it", process.display());
        }
        if let Ok(limits) = fs::read_to_string(process.join("limits")) {
            let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
            assert_eq!(core.split_whitespace().nth(4), Some("0"), "{}: {core}", process.display());
        }
    }
}

/// How many files without a name a process has open, none of which others may open again. A table that was published
/// and then replaced, while a rebuild still reads it, has the mode of a table.
fn nameless(process: u32) -> usize {
    let open = fs::read_dir(format!("/proc/{process}/fd")).unwrap().map(|fd| fd.unwrap().path());
    let is_nameless = |fd: &PathBuf| {
        let to = fs::read_link(fd).unwrap_or_default();
        let to = to.to_string_lossy();
        let was_table = to.ends_with(".cdb (deleted)");
        to.ends_with(" (deleted)") && !was_table && fs::metadata(fd).is_ok_and(|file| file.is_file())
    };
    let files: Vec<PathBuf> = open.filter(is_nameless).collect();
    for file in &files {
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", fs::read_link(file).unwrap().display());
    }
    files.len()
}

/// Ends the service, and holds its log.
fn assert_no_message(service: &mut Service, secrets: &[&str]) {
    service.end();
    while let Ok(line) = service.log.recv() {
        assert_none("the log", line.as_bytes(), secrets);
    }
}

#[test]
fn what_stands_in_rows_is_in_auth_cdb_and_nowhere_else() {
    let host = host(b"\x7fELF\0_vpopmail.sqlite\0select pw_name where and pw_domain = \0");
    let _ = fs::remove_file(host.path(DATABASE));
    sql(
        &host,
        "CREATE TABLE vpopmail (pw_name text, pw_domain text, pw_passwd text, pw_gid int, pw_clear_passwd text)",
    );
    add(&host, "new");
    if is_root() {
        host.own(DATABASE, 89, 89);
    }
    host.mode(DATABASE, 0o600);
    let mut service = Service::start(host, &["--sql-sweep", "1", "--metrics", METRICS, "--after", AFTER]);
    let host = &service.host;
    let holders = [DATABASE, "/var/qmail/control/auth.cdb"];
    add(host, "late");
    service.wait_for_answer("late@example.com", "accept");
    assert!(host.logins()["late@example.com"].contains("HashInARow"));
    assert_no_process(&service, &IN_ROWS);
    if is_root() {
        assert!(nameless(service.child.id()) > 0, "the copy of the rows");
    }
    assert_no_answer(host, &IN_ROWS);
    let start = Instant::now();
    while !(host.path(SEEN).exists() && host.path(METRICS).exists()) {
        assert!(start.elapsed() < PATIENCE);
        pause();
    }
    assert_no_file(host, &IN_ROWS, &holders);
    // What is wrong with it is told without them: a hash in the place of a name, a table that is another one, no database.
    let image = fs::read(host.path(DATABASE)).unwrap();
    let faults: [&dyn Fn(); 4] = [
        &|| sql(host, "UPDATE vpopmail SET pw_passwd = pw_name, pw_gid = 'HashInARow' WHERE pw_name = 'late'"),
        &|| sql(host, "ALTER TABLE vpopmail RENAME COLUMN pw_passwd TO HashInARow"),
        &|| fs::write(host.path(DATABASE), &image[..image.len() / 2]).unwrap(),
        &|| fs::write(host.path(DATABASE), "HashInARow".repeat(1000)).unwrap(),
    ];
    for fault in faults {
        fs::write(host.path(DATABASE), &image).unwrap();
        fault();
        service.trigger(&["mod_user", "late@example.com"]);
        let number = || status_of(host)["last_rebuild"]["number"].as_u64();
        let (before, start) = (number(), Instant::now());
        while number() == before && start.elapsed() < PATIENCE {
            pause();
        }
        assert_no_answer(host, &IN_ROWS);
        assert_no_file(host, &IN_ROWS, &holders);
    }
    assert_no_message(&mut service, &IN_ROWS);
}

/// A server that refuses each connection with these words, as one of MySQL or of PostgreSQL does.
fn refuse(socket: &Path, words: Vec<u8>, is_mysql: bool) {
    let listener = UnixListener::bind(socket).unwrap();
    fs::set_permissions(socket, fs::Permissions::from_mode(0o777)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let packet = if is_mysql {
                let payload = [&b"\xff\x15\x04#28000"[..], &words].concat();
                [&(payload.len() as u32).to_le_bytes()[..3], &[0], &payload].concat()
            } else {
                // It may be asked for TLS first, which it has not.
                let mut asked = [0; 1000];
                if stream.read(&mut asked).is_ok_and(|length| length == 8) {
                    let _ = stream.write_all(b"N");
                    let _ = stream.read(&mut asked);
                }
                let fields = [&b"SFATAL\0VFATAL\0C28P01\0M"[..], &words, b"\0\0"].concat();
                [&b"E"[..], &(fields.len() as u32 + 4).to_be_bytes(), &fields].concat()
            };
            let _ = stream.write_all(&packet);
        }
    });
}

#[test]
fn the_password_of_the_connection_is_told_by_nobody_however_the_server_quotes_it() {
    let forms = [
        PASSWORD.to_owned(),
        PASSWORD.replace('\'', "''"),
        PASSWORD.replace('"', "\"\""),
        PASSWORD.replace('\'', "\\'"),
        PASSWORD.replace('"', "\\\""),
        PASSWORD.replace('\\', "\\\\"),
        format!("{PASSWORD:?}"),
        PASSWORD.escape_default().to_string(),
        "S3c%27r%22e%5Ct".to_owned(),
        "53336327722265".to_owned() + "5c74",
    ];
    let words = format!("the words of the server: {}", forms.join(" and "));
    for (kind, program) in [
        ("mysql", &b"\x7fELF\0vpopmail.mysql\0and pw_domain\0"[..]),
        ("pgsql", b"\x7fELF\0vpopmail.pgsql\0and pw_domain\0"),
    ] {
        let host = host(program);
        host.folder("/s").mode("/s", 0o755);
        let socket = host.path("/s/.s.PGSQL.5432");
        refuse(&socket, words.clone().into_bytes(), kind == "mysql");
        let file = format!("/home/vpopmail/etc/vpopmail.{kind}");
        host.write(
            &file,
            match kind {
                "mysql" => format!("localhost|{}|vp|{PASSWORD}|vpopmail\n", socket.display()),
                _ => format!("{}|5432|vp|'S3c\\'r\"e\\\\t'|vpopmail\n", host.path("/s").display()),
            },
        );
        host.mode(&file, 0o640);
        if is_root() {
            host.own(&file, 89, 89);
        }
        let secrets = [&PARTS[..], &["53336327", "vp|"]].concat();
        let said = host.rebuild().stderr;
        assert!(said.contains("the words of the server: ... and ..."), "{kind}: {said}");
        let mut service = Service::start(host, &["--sql-sweep", "1", "--metrics", METRICS, "--after", AFTER]);
        let host = &service.host;
        let start = Instant::now();
        while !(status_of(host)["database"]["error"].is_string() && host.path(METRICS).exists()) {
            assert!(start.elapsed() < PATIENCE, "{:#}", status_of(host)["database"]);
            pause();
        }
        let database = status_of(host)["database"].clone();
        let server =
            if kind == "mysql" { socket.display().to_string() } else { format!("{}:5432", host.path("/s").display()) };
        assert_eq!((&database["server"], &database["answers"]), (&server.into(), &false.into()), "{database:#}");
        assert_no_process(&service, &secrets);
        assert_no_answer(host, &secrets);
        assert_no_file(host, &secrets, &[&file]);
        assert_no_message(&mut service, &secrets);
    }
}

#[test]
fn of_a_connection_file_that_is_wrong_no_byte_is_told() {
    for (kind, program, lines) in [
        (
            "mysql",
            &b"\x7fELF\0vpopmail.mysql\0and pw_domain\0"[..],
            &["localhost|S3cret", "S3cret", "S3c|S3c|S3c|S3c|S3c", "a|99999|S3c|S3c|S3c"][..],
        ),
        (
            "pgsql",
            b"\x7fELF\0vpopmail.pgsql\0and pw_domain\0",
            &[
                "localhost|S3cret",
                "a|x|S3c|S3c|S3c",
                "/nowhere|1|vp|'S3cret|d",
                "/nowhere|1|vp|S3 S3cret=S3c|d",
                "/nowhere|1|vp|x|d S3cret=S3c",
            ],
        ),
    ] {
        let host = host(program);
        let file = format!("/home/vpopmail/etc/vpopmail.{kind}");
        for line in lines {
            // As the name of a host it is told where the server is.
            let secrets = if line.starts_with("S3c|") { &["vp|"][..] } else { &PARTS };
            host.write(&file, format!("{line}\n")).mode(&file, 0o640);
            if is_root() {
                host.own(&file, 89, 89);
            }
            let said = host.run(&["--max-wait", "1", "rebuild"]).stderr;
            assert!(said.contains("alert: vpopmail keeps its users in "), "{line}: {said}");
            assert_none(line, said.as_bytes(), secrets);
            assert_no_answer(&host, secrets);
            assert_no_file(&host, secrets, &[&file]);
        }
    }
    if !is_root() {
        skip("of_a_connection_file_that_is_wrong_no_byte_is_told", "the file of another uid needs root");
    }
}
