//! A host whose vpopmail keeps its users in a user database: its rows decide, the process that asks it has few rights, and
//! whatever becomes of it, what is published stays.
#![cfg(feature = "sqlite")]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use qmail_updater::os::spawn::EXCHANGE;
use rusqlite::Connection;
use support::service::{PATIENCE, Service, wait_for_database};
use support::{Answer, MailHost, filled, is_root, make_program, skip};

const BIN: &str = "/home/vpopmail/bin/vdelivermail";
const DATABASE: &str = "/home/vpopmail/domains/_vpopmail.sqlite";
/// The strings of a program built with SQLite and one table for all domains.
const PROGRAM: &[u8] = b"\x7fELF\0_vpopmail.sqlite\0select pw_name where and pw_domain = \0vpasswd\0";
const SCHEMA: &str = "CREATE TABLE vpopmail (pw_name char(32), pw_domain char(96), pw_passwd char(128), pw_uid int, pw_gid int, \
                      pw_gecos char(48), pw_dir char(160), pw_shell char(20), pw_clear_passwd char(16), \
                      PRIMARY KEY (pw_name, pw_domain))";

/// Its stale vpasswd files name `ann`; the database has `new`, and `off`, whose mail is switched off.
fn host() -> MailHost {
    let host = MailHost::sample();
    host.mode("", 0o755).write(BIN, PROGRAM);
    let _ = fs::remove_file(host.path(DATABASE));
    sql(&host, SCHEMA);
    add(&host, "new", 0);
    add(&host, "off", 16);
    if is_root() {
        host.own(DATABASE, 89, 89);
    }
    host.mode(DATABASE, 0o600);
    host
}

fn sql(host: &MailHost, statement: &str) {
    Connection::open(host.path(DATABASE)).unwrap().execute_batch(statement).unwrap();
}

fn add(host: &MailHost, name: &str, flags: u32) {
    let hash = filled("$6$saltsalt$");
    sql(
        host,
        &format!(
            "INSERT INTO vpopmail (pw_name, pw_domain, pw_passwd, pw_gid, pw_clear_passwd) \
             VALUES ('{name}', 'example.com', '{hash}', {flags}, 'clear-{name}')"
        ),
    );
}

fn tables(host: &MailHost) -> [Vec<u8>; 2] {
    ["validrcptto.cdb", "auth.cdb"].map(|name| fs::read(host.published(name)).unwrap())
}

/// Which files the tables are.
fn inodes(host: &MailHost) -> [u64; 2] {
    ["validrcptto.cdb", "auth.cdb"].map(|name| fs::metadata(host.published(name)).unwrap().ino())
}

#[test]
fn the_rows_of_the_user_database_decide_and_stale_vpasswd_files_do_not() {
    let host = host();
    let answer = host.rebuild();
    assert_eq!((answer.code, answer.stderr.contains("alert")), (0, false), "{}", answer.stderr);
    let users = ["new@example.com", "new@example.edu", "NEW@Example.Com", "ann@example.com", "off@example.com"];
    assert_eq!(host.answers(&users), ["accept", "accept", "accept", "refuse", "refuse"]);
    let logins = host.logins();
    assert!(logins.contains_key("new@example.com") && logins.contains_key("new@example.edu"), "{logins:?}");
    assert!(!logins.contains_key("ann@example.com"), "{logins:?}");
    let check = host.run(&["check"]).stdout;
    let database = host.path(DATABASE).display().to_string();
    for words in [
        "users: SQLite: ",
        "bin/vdelivermail holds \"_vpopmail.sqlite\"",
        &format!("; by {database}"),
        "one table for all domains (",
    ] {
        assert!(check.contains(words), "{words}: {check}");
    }
    assert!(!check.contains("every user of this host may read"), "{check}");
    host.mode(DATABASE, 0o644);
    assert!(host.run(&["check"]).stdout.contains("mode 0644: every user of this host may read or change the hashes"));
    let explained = host.run(&["explain", "new@example.com"]).stdout;
    assert!(explained.contains("_vpopmail.sqlite.vpopmail") || explained.contains("vpopmail"), "{explained}");
    assert_eq!(host.run(&["user", "new@example.com"]).code, 0);
    assert_eq!(host.run(&["user", "ann@example.com"]).code, 1);
    let all = [check, explained, host.run(&["user", "new@example.com"]).stdout].concat();
    assert!(!all.contains("$6$") && !all.contains("clear-"), "{all}");
}

#[test]
fn findings_about_the_rows_of_two_domains_are_two_and_each_can_be_accepted() {
    let host = host();
    for domain in ["example.com", "example.net"] {
        let row = format!("('weak', '{domain}', 'abJnggxhB/yWI', 0)");
        sql(&host, &format!("INSERT INTO vpopmail (pw_name, pw_domain, pw_passwd, pw_gid) VALUES {row}"));
    }
    host.rebuild();
    let found = || -> Vec<(String, String)> {
        let json: Vec<serde_json::Value> = serde_json::from_str(&host.run(&["check", "--json"]).stdout).unwrap();
        let of_code = json.iter().filter(|finding| finding["code"] == "password-des");
        let words = |finding: &serde_json::Value| {
            ["domain", "text"].map(|member| finding[member].as_str().unwrap_or("none").to_owned())
        };
        of_code.map(|finding| words(finding).into()).collect()
    };
    let both = found();
    assert_eq!(both.iter().map(|(domain, _)| &domain[..]).collect::<Vec<_>>(), ["example.com", "example.net"]);
    assert!(both.iter().all(|(domain, text)| text.contains(&format!(": {domain}: 1 mailbox with DES"))), "{both:?}");
    host.write("/etc/qmail-updater/accepted", "password-des example.com\n");
    assert_eq!(found().iter().map(|(domain, _)| &domain[..]).collect::<Vec<_>>(), ["example.net"]);
}

#[test]
fn a_database_that_cannot_be_read_keeps_what_is_published_and_the_rest_is_rebuilt() {
    let host = host();
    host.rebuild();
    let published = tables(&host);
    let image = fs::read(host.path(DATABASE)).unwrap();
    let faults: [(&str, &dyn Fn()); 4] = [
        ("garbage", &|| fs::write(host.path(DATABASE), vec![b'x'; 9_000]).unwrap()),
        ("cut", &|| fs::write(host.path(DATABASE), &image[..image.len() / 2]).unwrap()),
        ("no table", &|| sql(&host, "DROP TABLE vpopmail")),
        ("gone", &|| fs::remove_file(host.path(DATABASE)).unwrap()),
    ];
    for (what, fault) in faults {
        fs::write(host.path(DATABASE), &image).unwrap();
        fault();
        let answer = host.rebuild();
        assert_eq!(answer.code, 0, "{what}: {}", answer.stderr);
        assert!(answer.stderr.contains("alert: vpopmail keeps its users in SQLite ("), "{what}: {}", answer.stderr);
        assert!(answer.stderr.contains("could not be read; what is published of its users is kept"), "{what}");
        let alert = answer.stderr.lines().find(|line| line.contains("alert: ")).unwrap();
        let alert = alert.replace(&host.root().display().to_string(), "");
        assert!(alert.matches("SQLite").count() == 1 && alert.matches("/_vpopmail.sqlite").count() == 1, "{alert}");
        assert!(alert.len() < 400, "{alert}");
        // That is said once for all domains.
        let domains = host.run(&["domains"]);
        let said = [domains.stdout, domains.stderr].concat();
        assert_eq!((said.matches("could not be read").count(), said.matches("alert: ").count()), (1, 1), "{said}");
        assert_eq!(said.matches("its mailboxes are unknown").count(), 3, "{said}");
        assert!(tables(&host) == published, "{what}");
    }
    // What no user of it decides is published.
    host.write("/home/vpopmail/domains/example.com/.qmail-shut", "|exit 100\n");
    host.write("/home/vpopmail/domains/example.com/.qmail-more", "&x@y.test\n");
    host.rebuild();
    assert_eq!(host.answers(&["more@example.com", "new@example.com"]), ["accept", "accept"]);
    fs::write(host.path(DATABASE), &image).unwrap();
    let answer = host.rebuild();
    assert!(!answer.stderr.contains("alert"), "{}", answer.stderr);
    assert_eq!(
        host.answers(&["more@example.com", "new@example.com", "ann@example.com"]),
        ["accept", "accept", "refuse"]
    );
}

#[test]
fn a_database_of_which_nothing_was_published_refuses_nobody_until_it_is_read() {
    let host = host();
    let image = fs::read(host.path(DATABASE)).unwrap();
    // 0.1.0 published what the stale files say.
    host.run(&["--backend", "cdb", "rebuild"]);
    assert_eq!(host.answers(&["ann@example.com", "new@example.com"]), ["accept", "refuse"]);
    fs::write(host.path(DATABASE), "garbage").unwrap();
    let answer = host.rebuild();
    let alert = answer.stderr.lines().find(|line| line.contains("nothing of it is published yet")).unwrap();
    assert_eq!(
        (alert.matches(" SQLite (").count(), alert.matches("/domains/_vpopmail.sqlite").count()),
        (1, 1),
        "{alert}"
    );
    // Its exit status is 0, and its last line does not read as if all were well.
    let last = answer.stderr.lines().last().unwrap();
    assert!(last.starts_with("qmail-updater: warning: done without the user database"), "{last}");
    let quiet = host.run(&["rebuild", "-q"]);
    assert!(quiet.code == 0 && quiet.stderr.ends_with(&format!("{last}\n")), "{quiet:?}");
    assert_eq!(host.answers(&["ann@example.com", "new@example.com"]), ["accept"; 2]);
    fs::write(host.path(DATABASE), image).unwrap();
    assert!(!host.rebuild().stderr.contains("without the user database"));
    assert_eq!(host.answers(&["ann@example.com", "new@example.com"]), ["refuse", "accept"]);
}

/// Puts the database into WAL mode, as its user has it.
fn in_wal_mode(host: &MailHost) {
    sql(host, "PRAGMA journal_mode = WAL");
    assert!(!host.path(&format!("{DATABASE}-wal")).exists());
}

/// A database beside which a process that ended without closing it left its files: they have the mailbox `late`.
fn left_open(host: &MailHost) {
    let connection = Connection::open(host.path(DATABASE)).unwrap();
    connection.execute_batch("INSERT INTO vpopmail (pw_name, pw_domain) VALUES ('late', 'example.com')").unwrap();
    let files = ["", "-wal", "-shm"].map(|end| host.path(&format!("{DATABASE}{end}")));
    let held = files.clone().map(|file| fs::read(file).unwrap());
    drop(connection);
    for (file, bytes) in files.iter().zip(held) {
        fs::write(file, bytes).unwrap();
        if is_root() {
            std::os::unix::fs::chown(file, Some(89), Some(89)).unwrap();
        }
    }
}

#[test]
fn a_database_in_wal_mode_is_read_whether_or_not_another_process_has_it_open() {
    let host = host();
    in_wal_mode(&host);
    let quiet = |what: &str| {
        let answer = host.rebuild();
        assert!(answer.code == 0 && !answer.stderr.contains("alert"), "{what}: {}", answer.stderr);
    };
    quiet("closed");
    assert_eq!(
        host.answers(&["new@example.com", "ann@example.com", "open@example.com"]),
        ["accept", "refuse", "refuse"]
    );
    let open = Connection::open(host.path(DATABASE)).unwrap();
    open.execute_batch("INSERT INTO vpopmail (pw_name, pw_domain) VALUES ('open', 'example.com')").unwrap();
    quiet("open");
    assert_eq!(host.answers(&["open@example.com", "late@example.com"]), ["accept", "refuse"]);
    drop(open);
    left_open(&host);
    quiet("left");
    assert_eq!(host.answers(&["open@example.com", "late@example.com"]), ["accept"; 2]);
    // Its changes cannot be read, so nobody knows what it holds.
    let published = tables(&host);
    host.remove(&format!("{DATABASE}-shm"));
    if is_root() {
        host.own(&format!("{DATABASE}-wal"), 0, 0);
    }
    host.mode(&format!("{DATABASE}-wal"), 0);
    let answer = host.rebuild();
    assert!(answer.stderr.contains("it is in WAL mode: _vpopmail.sqlite-wal: Permission denied"), "{}", answer.stderr);
    assert!(tables(&host) == published);
}

#[test]
fn a_database_in_wal_mode_that_changes_all_the_time_loses_no_mailbox() {
    let host = host();
    in_wal_mode(&host);
    let hash = filled("$6$saltsalt$");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        // As vchkpw does it: each login opens, writes and closes it. What comes for one that goes is one transaction.
        scope.spawn(|| {
            for n in (0..).take_while(|_| !stop.load(std::sync::atomic::Ordering::Relaxed)) {
                let (old, new) = (["a", "b"][n % 2], ["b", "a"][n % 2]);
                let text = format!(
                    "BEGIN; DELETE FROM vpopmail WHERE pw_name = '{old}'; INSERT OR REPLACE INTO vpopmail (pw_name, \
                     pw_domain, pw_passwd, pw_gid) VALUES ('{new}', 'example.com', '{hash}', 0); COMMIT"
                );
                let connection = Connection::open(host.path(DATABASE)).unwrap();
                connection.busy_timeout(PATIENCE).unwrap();
                connection.execute_batch(&text).unwrap();
            }
        });
        let mut read = 0;
        for _ in 0..10 {
            let answer = host.rebuild();
            if answer.stderr.contains("alert") {
                continue;
            }
            read += 1;
            let answers = host.answers(&["a@example.com", "b@example.com", "new@example.com"]);
            assert!(answers[0] != answers[1] && answers[2] == "accept", "{answers:?}");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(read > 0);
    });
}

#[test]
fn a_locked_database_is_waited_for_once() {
    const WAIT: u64 = 5;
    let service = Service::start(host(), &["--sql-sweep", "86400", "--max-wait", &WAIT.to_string()]);
    let host = &service.host;
    let lock = Connection::open(host.path(DATABASE)).unwrap();
    lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
    service.trigger(&["mod_user", "new@example.com", "-", "after"]);
    let done = service.wait_for("rebuild 2 done");
    let took: u64 = done.trim_end().rsplit_once("ms=").unwrap().1.parse().unwrap();
    assert!((WAIT * 1_000..WAIT * 2_000).contains(&took), "{done}");
    lock.execute_batch("INSERT INTO vpopmail (pw_name, pw_domain) VALUES ('late', 'example.com'); COMMIT").unwrap();
    service.wait_for_answer("late@example.com", "accept");
}

#[test]
fn what_another_program_writes_into_the_file_is_seen_at_once() {
    for is_wal in [false, true] {
        let host = host();
        if is_wal {
            in_wal_mode(&host);
        }
        let service = Service::start(host, &["--sql-sweep", "86400"]);
        let host = &service.host;
        // One that stays open writes into the file beside it.
        let open = Connection::open(host.path(DATABASE)).unwrap();
        for name in ["one", "two"] {
            let row = format!("INSERT INTO vpopmail (pw_name, pw_domain) VALUES ('{name}', 'example.com')");
            open.execute_batch(&row).unwrap();
            service.wait_for_answer(&format!("{name}@example.com"), "accept");
        }
        assert_eq!(host.path(&format!("{DATABASE}-wal")).exists(), is_wal);
        drop(open);
        add(host, "three", 0);
        service.wait_for_answer("three@example.com", "accept");
    }
}

#[test]
fn what_the_service_reads_of_the_file_itself_is_no_trigger() {
    for is_wal in [false, true] {
        let host = host();
        if is_wal {
            in_wal_mode(&host);
        }
        let open = Connection::open(host.path(DATABASE)).unwrap();
        let service = Service::start(host, &["--sql-sweep", "1"]);
        open.execute_batch("INSERT INTO vpopmail (pw_name, pw_domain) VALUES ('one', 'example.com')").unwrap();
        service.wait_for_answer("one@example.com", "accept");
        // The rebuilds that only the time brings: no other one comes between.
        let (mut number, mut in_a_row, start) = (0, 0, std::time::Instant::now());
        while in_a_row < 3 && start.elapsed() < PATIENCE / 4 {
            let last = support::service::status_of(&service.host)["last_rebuild"].clone();
            let next = last["number"].as_u64().unwrap_or_default();
            if next > number {
                in_a_row = if next == number + 1 && last["cause"] == "database" { in_a_row + 1 } else { 0 };
                number = next;
            }
            support::service::pause();
        }
        assert_eq!(in_a_row, 3, "WAL: {is_wal}");
    }
}

#[test]
fn a_name_or_domain_that_is_no_text_is_no_mailbox_and_a_hash_that_is_none_is_read_as_one() {
    let host = host();
    let hash = filled("$6$saltsalt$");
    sql(
        &host,
        &format!(
            "INSERT INTO vpopmail (pw_name, pw_domain, pw_passwd, pw_gid) VALUES (CAST('blob' AS BLOB), 'example.com', \
             '{hash}', 0), ('of', CAST('example.com' AS BLOB), '{hash}', 0), ('hash', 'example.com', CAST('{hash}' AS BLOB), 0), \
             ('shut', 'example.com', '{hash}', CAST('16' AS BLOB)), (5, 'example.com', '{hash}', 0)"
        ),
    );
    // vpopmail looks it up so.
    let connection = Connection::open(host.path(DATABASE)).unwrap();
    let finds = |name: &str| {
        let statement = format!("SELECT * FROM vpopmail WHERE pw_name = '{name}' AND pw_domain = 'example.com'");
        connection.prepare(&statement).unwrap().exists([]).unwrap()
    };
    let answer = host.rebuild();
    assert!(!answer.stderr.contains("alert"), "{}", answer.stderr);
    for name in ["blob", "of", "hash", "5", "new"] {
        let expected = if finds(name) { "accept" } else { "refuse" };
        assert_eq!(host.answers(&[&format!("{name}@example.com")]), [expected], "{name}");
        assert_eq!(host.logins().contains_key(&format!("{name}@example.com")), finds(name), "{name}");
    }
    assert!(finds("hash") && !finds("blob") && !finds("of"));
    // Flags are numbers, whatever they are stored as.
    assert_eq!(host.answers(&["shut@example.com"]), ["refuse"]);
}

#[test]
fn a_table_of_a_domain_is_found_whatever_the_case_of_its_name_is() {
    let host = host();
    host.write(BIN, b"\x7fELF\0_vpopmail.sqlite\0select pw_name where\0vpasswd\0");
    for table in ["Example_Com", "Example_Net"] {
        sql(&host, &SCHEMA.replace("TABLE vpopmail", &format!("TABLE {table}")));
    }
    sql(&host, "INSERT INTO example_com (pw_name, pw_gid) VALUES ('each', 0)");
    let answer = host.rebuild();
    assert!(!answer.stderr.contains("alert"), "{}", answer.stderr);
    assert_eq!(host.answers(&["each@example.com", "new@example.com"]), ["accept", "refuse"]);
}

#[test]
fn the_line_of_an_account_is_no_domain_where_users_are_in_a_user_database() {
    let host = host();
    let assign = fs::read_to_string(host.path("/var/qmail/users/assign")).unwrap();
    host.write("/var/qmail/users/assign", format!("+carol-:carol:1001:1001:/home/carol:-::\n{assign}"));
    let all = host.run(&["domains"]);
    assert!(all.stdout.contains("example.com") && !all.stdout.contains("carol"), "{}", all.stdout);
    let one = host.run(&["domains", "carol"]);
    assert!(one.code == 1 && one.stderr.contains("no domain of this host"), "{}{}", one.stdout, one.stderr);
}

#[test]
fn where_nothing_was_ever_published_the_alert_says_that_every_name_is_accepted() {
    let host = host();
    fs::write(host.path(DATABASE), "garbage").unwrap();
    let answer = host.rebuild();
    assert!(answer.stderr.contains("accepts every name"), "{}", answer.stderr);
    assert_eq!(host.answers(&["new@example.com", "nobody@example.com"]), ["accept"; 2]);
}

/// The process of a service that asks its user database.
fn companion(service: &Service) -> Option<PathBuf> {
    let parent = format!("PPid:\t{}", service.child.id());
    let is_it = |process: &PathBuf| {
        let read = |name: &str| fs::read(process.join(name)).unwrap_or_default();
        read("cmdline").starts_with(b"qmail-updater-database\0")
            && String::from_utf8_lossy(&read("status")).lines().any(|line| line == parent)
    };
    fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path()).find(is_it)
}

fn signal(process: &Path, signal: nix::sys::signal::Signal) {
    let pid = process.file_name().unwrap().to_str().unwrap().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
}

#[test]
fn a_service_publishes_what_changes_in_the_database_and_writes_no_table_that_does_not_change() {
    let service = Service::start(host(), &["--sql-sweep", "1", "--verify"]);
    let host = &service.host;
    assert_eq!(host.answers(&["new@example.com", "late@example.com"]), ["accept", "refuse"]);
    // Nobody tells of it.
    add(host, "late", 0);
    service.wait_for_answer("late@example.com", "accept");
    sql(host, "DELETE FROM vpopmail WHERE pw_name = 'late'");
    service.wait_for_answer("late@example.com", "refuse");
    // It is asked again and again, by one process, and nothing is written.
    let number = || support::service::status_of(host)["last_rebuild"]["number"].as_u64().unwrap();
    let wait_for_rebuild = |last: u64| {
        let start = std::time::Instant::now();
        while number() < last && start.elapsed() < PATIENCE {
            support::service::pause();
        }
        assert!(number() >= last);
    };
    // The one that refuses it ends with the other table.
    wait_for_rebuild(number() + 1);
    let (before, process) = (inodes(host), companion(&service).unwrap());
    wait_for_rebuild(number() + 2);
    assert_eq!((inodes(host), companion(&service)), (before, Some(process)));
}

#[test]
fn the_process_that_asks_is_vpopmails_and_has_nothing_but_its_connection() {
    if !is_root() {
        return skip("the process that asks a user database", "only root may look into it");
    }
    let service = Service::start(host(), &["--sql-sweep", "86400"]);
    let process = companion(&service).unwrap();
    let read = |name: &str| fs::read_to_string(process.join(name)).unwrap();
    assert_eq!(read("environ"), "");
    assert_eq!(read("cmdline"), format!("qmail-updater-database\0{EXCHANGE}\x0089\x0089\0"));
    let status = read("status");
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(
        (line("Uid:"), line("Gid:"), line("Groups:")),
        ("89\t89\t89\t89".into(), "89\t89\t89\t89".into(), String::new())
    );
    assert!(read("limits").lines().any(|line| line.starts_with("Max core file size        0 ")), "{}", read("limits"));
    let session = read("stat").rsplit(')').next().unwrap().split_whitespace().nth(3).unwrap().to_owned();
    assert_eq!(Some(&session[..]), process.file_name().unwrap().to_str(), "a session of its own");
    // Not of vpopmail, although it runs as vpopmail: another process of that uid must not look into it.
    assert_eq!(fs::metadata(process.join("fd")).unwrap().uid(), 0);
    let open: Vec<PathBuf> =
        fs::read_dir(process.join("fd")).unwrap().map(|fd| fs::read_link(fd.unwrap().path()).unwrap()).collect();
    let is_its = |to: &PathBuf| {
        let to = to.to_str().unwrap();
        to.starts_with("socket:") || to == "/dev/null" || to.contains("_vpopmail.sqlite")
    };
    assert!(open.iter().all(is_its), "{open:?}");
}

#[test]
fn a_process_that_is_killed_or_hangs_is_another_one_and_no_entry_is_lost() {
    if !is_root() {
        return skip("a process that asks a user database and hangs", "only root may find it");
    }
    let service = Service::start(host(), &["--sql-sweep", "86400", "--max-wait", "1"]);
    let host = &service.host;
    signal(&companion(&service).unwrap(), nix::sys::signal::SIGKILL);
    add(host, "one", 0);
    service.trigger(&["add_user", "one@example.com", "-", "after"]);
    service.wait_for_answer("one@example.com", "accept");
    let hanging = companion(&service).unwrap();
    signal(&hanging, nix::sys::signal::SIGSTOP);
    add(host, "two", 0);
    service.trigger(&["add_user", "two@example.com", "-", "after"]);
    // It is killed with that, and asked again by another one.
    service.wait_for_answer("two@example.com", "accept");
    assert_eq!(host.answers(&["new@example.com", "one@example.com"]), ["accept"; 2]);
    assert_ne!(companion(&service), Some(hanging));
}

#[test]
fn status_and_metrics_tell_which_database_is_read_whether_it_answers_and_when_it_changed() {
    const METRICS: &str = "/var/lib/node_exporter/qmail-updater.prom";
    let host = host();
    host.folder("/var/lib/node_exporter");
    let image = fs::read(host.path(DATABASE)).unwrap();
    let service = Service::start(host, &["--sql-sweep", "1", "--metrics", METRICS]);
    let host = &service.host;
    let metric = |line: &str| fs::read_to_string(host.path(METRICS)).unwrap_or_default().lines().any(|its| its == line);
    let wait_for_metric = |line: &str| {
        let start = std::time::Instant::now();
        while !metric(line) {
            assert!(start.elapsed() < PATIENCE, "{line}");
            support::service::pause();
        }
    };
    let first = wait_for_database(host, &|database| database["answered"].is_u64());
    assert_eq!(
        (&first["backend"], &first["name"], &first["answers"]),
        (&"sqlite".into(), &"_vpopmail.sqlite".into(), &true.into())
    );
    assert_eq!(first["file"], host.path(DATABASE).display().to_string());
    for nothing in ["server", "failing_since", "error", "changed"] {
        assert!(first[nothing].is_null(), "{first:#}");
    }
    wait_for_metric("qmail_updater_database_up 1");
    let said = || host.run(&["status"]).stdout;
    assert!(said().contains("; no row has changed since the service started\n"), "{}", said());
    // A row comes, and is told of.
    add(host, "late", 0);
    let changed = wait_for_database(host, &|database| database["changed"].is_u64());
    assert!(changed["asked"].as_u64() >= changed["changed"].as_u64() && changed["answers"] == true, "{changed:#}");
    assert!(said().contains("; its rows changed "), "{}", said());
    // It is gone: since when is told, and stays.
    fs::write(host.path(DATABASE), "garbage").unwrap();
    let failing = wait_for_database(host, &|database| database["failing_since"].is_u64());
    assert!(!failing["answers"].as_bool().unwrap() && failing["error"].is_string(), "{failing:#}");
    assert!(failing["answered"].as_u64() >= first["answered"].as_u64(), "{failing:#}");
    let again = wait_for_database(host, &|database| database["asked"].as_u64() > failing["asked"].as_u64());
    assert_eq!(again["failing_since"], failing["failing_since"]);
    wait_for_metric("qmail_updater_database_up 0");
    let text = said();
    assert!(
        text.contains("user database: sqlite _vpopmail.sqlite, by ") && text.contains("; no answer for "),
        "{text}"
    );
    fs::write(host.path(DATABASE), image).unwrap();
    wait_for_database(host, &|database| database["answers"] == true && database["failing_since"].is_null());
    wait_for_metric("qmail_updater_database_up 1");
}

#[test]
fn a_host_without_a_user_database_says_nothing_of_one() {
    let service = Service::sample();
    assert!(support::service::status_of(&service.host)["database"].is_null());
    assert!(!service.host.run(&["status"]).stdout.contains("user database"));
}

#[test]
fn no_message_argument_or_file_of_ours_holds_the_password() {
    let host = MailHost::sample();
    host.mode("", 0o755).write(BIN, b"\x7fELF\0vpopmail.mysql\0and pw_domain\0");
    let connection = "/home/vpopmail/etc/vpopmail.mysql";
    for (text, words) in [
        ("127.0.0.1|1|vp|s3cr3t-pw|vpopmail\n", "MySQL or MariaDB ("),
        ("localhost|/nowhere.sock|vp|s3cr3t-pw|vpopmail\n", "MySQL or MariaDB ("),
        ("localhost|s3cr3t-pw\n", "line 1: fewer than five fields"),
        ("# s3cr3t-pw\n", "no line in it but comments"),
    ] {
        host.write(connection, text).mode(connection, 0o640);
        if is_root() {
            host.own(connection, 89, 89);
        }
        let answer = host.rebuild();
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        assert!(answer.stderr.contains(words), "{text}: {}", answer.stderr);
        let check = host.run(&["check"]);
        let users = fs::read_to_string(host.path("/run/qmail-updater/users.json")).unwrap();
        for said in [&answer.stdout, &answer.stderr, &check.stdout, &check.stderr, &users] {
            assert!(!said.contains("s3cr3t"), "{said}");
        }
        assert_eq!(host.answers(&["new@example.com"]), ["accept"], "nothing of it is published yet");
    }
    if !is_root() {
        return;
    }
    // Who may write there could name any file of root's.
    host.write("/etc/secret", "localhost|s3cr3t-pw\n").mode("/etc/secret", 0o600);
    host.remove(connection).link(connection, "/etc/secret");
    let answer = host.rebuild();
    assert!(answer.stderr.contains("uid 89, gid 89 may not read it"), "{}", answer.stderr);
    // A connection that the administrator names is root's.
    let check = host.run(&["--sql", "/etc/secret", "check"]);
    assert!(check.stdout.contains("line 1: fewer than five fields") && !check.stdout.contains("others than root"));
    host.mode("/etc/secret", 0o640);
    assert!(
        host.run(&["--sql", "/etc/secret", "check"])
            .stdout
            .contains("others than root may read or change the password")
    );
}

/// Where [`install`] puts both programs.
const INSTALLED: &str = "/usr/local/sbin";

/// The two programs as they were built: the main one, and the one with the clients.
fn built() -> [PathBuf; 2] {
    let main = PathBuf::from(support::tested());
    let database = main.with_file_name("qmail-updater-database");
    [main, database]
}

/// Installs one of them, as a package does it: another file gets the name.
fn install(host: &MailHost, program: &Path) -> PathBuf {
    let installed = host.folder(INSTALLED).path(INSTALLED).join(program.file_name().unwrap());
    let draft = installed.with_extension("new");
    assert!(Command::new("cp").args([program, &draft]).status().unwrap().success());
    fs::rename(draft, &installed).unwrap();
    installed
}

/// The command of the installed main program.
fn installed(host: &MailHost, arguments: &[&str]) -> Command {
    let mut command = Command::new(host.path(INSTALLED).join("qmail-updater"));
    command.env_clear().arg("--root").arg(host.root()).args(arguments);
    command
}

fn rebuild_with_installed(host: &MailHost) -> String {
    let answer: Answer = installed(host, &["rebuild"]).output().unwrap().into();
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    answer.stderr
}

#[test]
fn only_the_second_program_holds_the_clients_of_user_databases() {
    let [main, database] = built().map(|program| fs::read(program).unwrap());
    let holds = |program: &[u8], words: &str| memchr::memmem::find(program, words.as_bytes()).is_some();
    for (words, is_built) in [
        ("sqlite_master", true),
        ("SCRAM-SHA-256", cfg!(feature = "pgsql")),
        ("mysql_clear_password", cfg!(feature = "mysql")),
    ] {
        assert!(!holds(&main, words), "the main program holds {words}");
        assert_eq!(holds(&database, words), is_built, "{words} in the other one");
    }
}

#[test]
fn without_the_second_program_an_alert_names_it_and_the_entries_of_its_users_stay() {
    let host = host();
    let [main, database] = built();
    install(&host, &main);
    let second = install(&host, &database);
    let said = rebuild_with_installed(&host);
    assert!(!said.contains("alert"), "{said}");
    let published = tables(&host);
    fs::remove_file(&second).unwrap();
    add(&host, "late", 0);
    host.write("/home/vpopmail/domains/example.com/.qmail-more", "&x@y.test\n");
    let said = rebuild_with_installed(&host);
    let missing = format!(
        "the program that asks it, {}, is not there: install qmail-updater again, with both programs",
        second.display()
    );
    let kept = "the user database could not be read; what is published of its users is kept";
    assert!(said.contains("alert: vpopmail keeps its users in SQLite ("), "{said}");
    assert!(said.contains(&missing) && said.contains(kept), "{said}");
    let checked: Answer = installed(&host, &["check"]).output().unwrap().into();
    assert!(checked.stdout.contains("install qmail-updater again, with both programs"), "{}", checked.stdout);
    let asked = ["new@example.com", "late@example.com", "more@example.com"];
    assert_eq!(host.answers(&asked), ["accept", "refuse", "accept"], "what needs no user of it is rebuilt");
    assert!(tables(&host)[1] == published[1]);
    install(&host, &database);
    let said = rebuild_with_installed(&host);
    assert!(!said.contains("alert"), "{said}");
    assert_eq!(host.answers(&asked), ["accept"; 3]);
}

#[test]
fn a_host_without_a_user_database_never_needs_the_second_program() {
    let host = MailHost::sample();
    host.mode("", 0o755);
    install(&host, &built()[0]);
    let said = rebuild_with_installed(&host);
    assert!(!said.contains("qmail-updater-database") && !said.contains("alert"), "{said}");
    assert_eq!(host.answers(&["ann@example.com"]), ["accept"]);
}

#[test]
fn a_second_program_that_is_of_another_version_or_none_at_all_is_refused_in_plain_words() {
    let host = host();
    host.rebuild();
    let published = tables(&host);
    install(&host, &built()[0]);
    let second = host.path(INSTALLED).join("qmail-updater-database");
    // It says no more than its first line, and nothing is asked of it.
    let says = |words: &str| format!("#!/bin/sh\nprintf '%-255s\\n' '{words}'\nread -r line && echo asked\n");
    let of_another = format!(
        "it is of version 9.8.7, and the qmail-updater that runs is of version {}: restart the service; if that does not help, \
         install both programs again",
        env!("CARGO_PKG_VERSION")
    );
    for (program, words) in [
        (says("qmail-updater-database 99 9.8.7"), &of_another[..]),
        (says(&format!("qmail-updater-database {EXCHANGE} 9.8.7 Operation not permitted")), "Operation not permitted"),
        (says("something else"), "it is no qmail-updater-database: install qmail-updater again, with both programs"),
        ("#!/bin/sh\n".to_owned(), "it ended at its start: install qmail-updater again, with both programs"),
        ("#!/nowhere/at/all\n".to_owned(), "No such file or directory"),
    ] {
        make_program(&second, program);
        let said = rebuild_with_installed(&host);
        let alert = said.lines().find(|line| line.contains("alert")).unwrap_or_default();
        assert!(alert.contains(words) && alert.contains(second.to_str().unwrap()), "{words}: {said}");
        assert!(tables(&host) == published, "{words}");
    }
    // The other way round: an older main program starts it, and it does nothing.
    let mut command = Command::new(&built()[1]);
    let answer: Answer = command.args(["0", "", ""]).output().unwrap().into();
    assert_ne!(answer.code, 0);
}

#[test]
fn what_is_typed_at_the_second_program_is_answered_with_what_it_is_for() {
    for typed in [&[][..], &["--version"], &["--help"], &["1", "89"]] {
        let answer: Answer = Command::new(&built()[1]).args(typed).output().unwrap().into();
        assert_eq!(answer.code, 100, "{typed:?}");
        assert!(
            answer.stderr.contains("qmail-updater starts this program to read a user database"),
            "{}",
            answer.stderr
        );
    }
}

#[test]
fn root_starts_no_second_program_that_another_user_could_have_put_there() {
    if !is_root() {
        return skip("a second program that another user could have put there", "only root can make one");
    }
    let host = host();
    host.rebuild();
    let published = tables(&host);
    let [main, database] = built();
    install(&host, &main);
    let second = install(&host, &database);
    // Were it started, this file would be there.
    let ran = host.path("/ran");
    make_program(&second, format!("#!/bin/sh\n: >{}\n", ran.display()));
    let name = format!("{INSTALLED}/qmail-updater-database");
    let refuses = |words: &str| {
        let said = rebuild_with_installed(&host);
        assert!(said.contains(words), "{words}: {said}");
        assert!(
            said.contains("qmail-updater-database is not started: it has to be where root alone can write"),
            "{said}"
        );
        assert!(tables(&host) == published && !ran.exists(), "{words}");
    };
    host.own(&name, 89, 0);
    refuses("/qmail-updater-database: it belongs to uid 89");
    host.own(&name, 0, 0).mode(&name, 0o777);
    refuses("/qmail-updater-database: others may write it (mode 0777)");
    host.mode(&name, 0o755).own("/usr/local", 89, 89);
    refuses("/usr/local: it belongs to uid 89");
    host.own("/usr/local", 0, 89).mode("/usr/local", 0o775);
    refuses("/usr/local: others may write it (mode 0775)");
    // A sticky bit keeps what is there, and lets others add what is not.
    host.own("/usr/local", 0, 0).mode("/usr/local", 0o755).mode(INSTALLED, 0o1777);
    refuses("/usr/local/sbin: others may write it (mode 1777)");
    host.mode(INSTALLED, 0o755);
    // A link of another user's, to a program of root's.
    fs::rename(&second, host.path("/usr/local/linked")).unwrap();
    host.link(&name, "../linked").own(&name, 89, 89);
    refuses("a link or directory on the way: it is uid 89's");
    // Others could have changed the main program as well: they gain nothing.
    fs::remove_file(host.path(&name)).unwrap();
    install(&host, &database);
    for installed in ["", "/qmail-updater", "/qmail-updater-database"] {
        host.own(&format!("{INSTALLED}{installed}"), 89, 89);
    }
    let said = rebuild_with_installed(&host);
    assert!(!said.contains("alert"), "{said}");
}

#[test]
fn a_running_service_finds_the_programs_of_an_upgrade_and_says_when_it_has_to_be_restarted() {
    if !is_root() {
        return skip(
            "an upgrade under a service that asks a user database",
            "only root may find the process that asks",
        );
    }
    let host = host();
    let [main, database] = built();
    let [first, second] = [&main, &database].map(|program| install(&host, program));
    // As hooks are started: by a link of another name.
    let link = host.path("/usr/local/elsewhere");
    std::os::unix::fs::symlink("sbin/qmail-updater", &link).unwrap();
    let mut command = Command::new(&link);
    command.env_clear().arg("--root").arg(host.root()).args(["run", "--sql-sweep", "86400"]);
    let service = Service::spawn(host, command);
    let host = &service.host;
    service.wait_for("rebuild 1 done");
    let image = |process: &Path| fs::read_link(process.join("exe")).unwrap();
    assert_eq!(image(&companion(&service).unwrap()), fs::canonicalize(&second).unwrap());
    // Both are replaced, and the process that asks ends.
    for program in [&main, &database] {
        install(host, program);
    }
    let own = fs::read_link(format!("/proc/{}/exe", service.child.id())).unwrap();
    assert_eq!(own.to_str().unwrap(), format!("{} (deleted)", fs::canonicalize(&first).unwrap().display()));
    let asks_again = |name: &str| {
        if let Some(process) = companion(&service) {
            signal(&process, nix::sys::signal::SIGKILL);
        }
        add(host, name, 0);
        service.trigger(&["add_user", &format!("{name}@example.com"), "-", "after"]);
    };
    asks_again("one");
    service.wait_for_answer("one@example.com", "accept");
    assert_eq!(image(&companion(&service).unwrap()), fs::canonicalize(&second).unwrap());
    // One of another version has its name.
    make_program(&second, "#!/bin/sh\nprintf '%-255s\\n' 'qmail-updater-database 99 9.8.7'\n");
    asks_again("two");
    let alert = service.wait_for("restart the service");
    assert!(alert.contains("alert: ") && alert.contains("of version 9.8.7"), "{alert}");
    assert_eq!(host.answers(&["one@example.com", "two@example.com"]), ["accept", "refuse"]);
    // Both are removed.
    fs::remove_file(&first).unwrap();
    fs::remove_file(&second).unwrap();
    asks_again("three");
    let alert =
        service.wait_for("qmail-updater was replaced or removed: install both programs, and restart the service");
    assert!(alert.contains(&second.display().to_string()), "{alert}");
    assert_eq!(host.answers(&["one@example.com", "three@example.com"]), ["accept", "refuse"]);
    install(host, &database);
    asks_again("four");
    service.wait_for_answer("three@example.com", "accept");
}
