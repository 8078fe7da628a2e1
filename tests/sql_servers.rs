//! Real servers: MariaDB and PostgreSQL of Debian's packages, and files of SQLite. The process that the program starts for it
//! asks them. What comes of it is held against the verdicts of real vpopmail (tests/conformance/sql), against what each
//! server itself calls equal, and against what it wrote down of the statements it got.

#[path = "support/sql_asker.rs"]
mod sql_asker;
#[path = "support/sql_cases.rs"]
mod sql_cases;
#[path = "support/sql_server.rs"]
mod sql_server;
mod support;

use std::fs;
use std::hash::RandomState;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use qmail_updater::host::mailboxes::snapshot::{self, Snapshot};
use qmail_updater::host::mailboxes::stream::{self, Reader, Row};
use qmail_updater::host::user_database::Kind;
use qmail_updater::sql::ask::Ask;
use serde_json::Value;
use sql_asker::Asker;
use sql_cases::DOMAINS;
use sql_server::Server;
use support::{NOT_DUMPABLE, benchmark, is_root, skip};

const PASSWORD: &str = "pass-never-shown";

/// A question about the domains of the cases.
fn ask(kind: Kind) -> Ask {
    Ask {
        kind,
        file: PathBuf::new(),
        aliases: Some(true),
        limits: Some(kind == Kind::Mysql),
        table_each: Some(false),
        domains: DOMAINS.iter().map(|domain| domain.as_bytes().to_vec()).collect(),
        connect: Duration::from_secs(10),
        read: Duration::from_secs(30),
    }
}

fn snapshot_of(asker: &mut Asker, ask: &Ask) -> Result<Snapshot, String> {
    let mut stream = asker.ask(ask);
    stream::server(&mut stream).map_err(|cause| cause.text)?;
    snapshot::read(stream, &mut tempfile::tempfile, &RandomState::new(), None).map_err(|cause| cause.text)
}

/// The rows of an answer as text, or why it has none.
fn rows(asker: &mut Asker, ask: &Ask) -> Result<Vec<String>, String> {
    let mut stream = asker.ask(ask);
    stream::server(&mut stream).map_err(|cause| cause.text)?;
    let (mut reader, _) = Reader::new(stream).map_err(|cause| cause.text)?;
    let mut rows = Vec::new();
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    while let Some(row) = reader.next_row().map_err(|cause| cause.text)? {
        rows.push(match row {
            Row::Mailbox(domain, name, crypt, flags) => {
                format!("M {} {} {} {}", text(domain), text(name), text(crypt), flags.cast_signed())
            }
            Row::Alias(domain, name, line) => {
                let line = line.map_or("NULL".to_owned(), |line| format!("'{}'", text(&line[..line.len().min(40)])));
                format!("A {} {} {line}", text(domain), text(name))
            }
            Row::Limits(domain, no_smtp) => format!("L {} {no_smtp}", text(domain)),
            Row::Table(table, why) => format!("T {} {}", text(table), why.map(text).unwrap_or_default()),
        });
    }
    Ok(rows)
}

/// A statement of schemas.sql that makes this table.
fn schema(backend: &str, table: &str, each: bool, version: &str) -> String {
    let mailboxes = "pw_uid int, pw_gid int, pw_gecos varchar(64), pw_dir varchar(160), pw_shell varchar(20)";
    let old = backend == "mysql" && version.starts_with("5.4");
    let (name, domain, alias) =
        if old { ("char(64)", "char(96)", "char(32)") } else { ("varchar(64)", "varchar(96)", "varchar(32)") };
    let crypt = if old { "char(128)" } else { "varchar(128)" };
    let id = if backend == "mysql" && !old { "id int primary key auto_increment, " } else { "" };
    match table {
        "valias" => {
            format!("create table valias ({id}alias {alias} not null, domain {domain} not null, valias_line text);")
        }
        "limits" => {
            "create table limits (domain varchar(96) primary key, disable_smtp tinyint(1) not null default 0);".into()
        }
        _ if each => format!(
            "create table {table} (pw_name {name} not null, pw_passwd {crypt}, {mailboxes}, pw_clear_passwd {crypt}, primary key (pw_name));"
        ),
        _ => format!(
            "create table vpopmail (pw_name {name} not null, pw_domain {domain} not null, pw_passwd {crypt}, {mailboxes}, \
             pw_clear_passwd {crypt}, primary key (pw_name, pw_domain));"
        ),
    }
}

/// The statements that make the database of a case.
fn filled(case: &Value, build: &Value, options: &[&str]) -> String {
    let backend = case["backend"].as_str().unwrap();
    let (each, version) = (options.contains(&"disable-many-domains"), build["vpopmail"].as_str().unwrap());
    let mut tables = if each { vec!["a_test", "b_c_test"] } else { vec!["vpopmail"] };
    tables.push("valias");
    if backend == "mysql" {
        tables.push("limits");
    }
    let is_missing = case["id"].as_str().unwrap().starts_with("D-valias-missing");
    tables.retain(|table| !(is_missing && *table == "valias"));
    let made = tables.iter().map(|table| schema(backend, table, each, version) + "\n").collect::<String>();
    made + &sql_cases::statements(case, options).iter().map(|statement| format!("{statement};\n")).collect::<String>()
}

fn question(case: &Value, options: &[&str]) -> Ask {
    let has = |option: &str| options.contains(&option);
    Ask {
        aliases: Some(has("valias")),
        limits: Some(has("mysql-limits")),
        table_each: Some(has("disable-many-domains")),
        ..ask(sql_cases::kind_of(case))
    }
}

#[test]
fn mariadb_gives_the_verdicts_of_the_real_programs() {
    let Some(server) = Server::start(Kind::Mysql, &[]) else { return };
    server.sql(
        "",
        &format!("create user vp@localhost identified by '{PASSWORD}'; grant select on vpopmail.* to vp@localhost;"),
    );
    let mut asker = Asker::start(&format!("{}|vp|{PASSWORD}|vpopmail\n", server.place()));
    sql_cases::check(&[Kind::Mysql], &mut |case, build, options| {
        let fresh = "drop database if exists vpopmail; create database vpopmail; use vpopmail;\n";
        server.sql("", &format!("{fresh}{}", filled(case, build, options)));
        // The database of the connection is gone with the old one.
        asker = Asker::start(&format!("{}|vp|{PASSWORD}|vpopmail\n", server.place()));
        Arc::new(
            snapshot_of(&mut asker, &question(case, options)).unwrap_or_else(|why| panic!("{}: {why}", case["id"])),
        )
    });
}

#[test]
fn postgresql_gives_the_verdicts_of_the_real_programs() {
    let Some(server) = Server::start(Kind::Pgsql, &[]) else { return };
    server.sql("", &format!("create role vp login password '{PASSWORD}'; create database vpopmail;"));
    let mut asker = Asker::start(&format!("{}|vp|{PASSWORD}|vpopmail\n", server.place()));
    sql_cases::check(&[Kind::Pgsql], &mut |case, build, options| {
        let fresh = "drop schema public cascade; create schema public; grant usage on schema public to vp;\n\
                     set client_min_messages = error;\n";
        let grant = "grant select on all tables in schema public to vp;";
        server.sql("vpopmail", &format!("{fresh}{}{grant}", filled(case, build, options)));
        Arc::new(
            snapshot_of(&mut asker, &question(case, options)).unwrap_or_else(|why| panic!("{}: {why}", case["id"])),
        )
    });
}

#[test]
fn sqlite_gives_the_verdicts_of_the_real_programs() {
    let folder = tempfile::tempdir().unwrap();
    let mut number = 0;
    sql_cases::check(&[Kind::Sqlite], &mut |case, build, options| {
        number += 1;
        let file = folder.path().join(format!("{number}.sqlite"));
        let database = rusqlite::Connection::open(&file).unwrap();
        database.execute_batch(&format!("begin;\n{}commit;", filled(case, build, options))).unwrap();
        let ask = Ask { file, aliases: Some(false), ..question(case, options) };
        Arc::new(snapshot_of(&mut Asker::start(""), &ask).unwrap_or_else(|why| panic!("{}: {why}", case["id"])))
    });
}

#[test]
fn the_benchmark_measures_a_host_on_each_server_and_its_rows_make_the_tables_of_the_files() {
    if !is_root() {
        return skip("the benchmark", NOT_DUMPABLE);
    }
    for kind in [Kind::Mysql, Kind::Pgsql] {
        // It says what the machine lacks.
        if Server::start(kind, &[]).is_none() {
            continue;
        }
        let directory = tempfile::tempdir().unwrap();
        let output = benchmark(directory.path(), &["--sql", kind.option()]);
        let (said, printed) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        assert!(output.status.success(), "{said}");
        // As many as tests/bench.rs counts of the same host.
        assert!(said.contains("both made the same 1093 recipients and 980 logins"), "{said}");
        assert!(printed.contains("| a mailbox added, until both are published / that |"), "{printed}");
    }
}

/// The statements in the page for SQL hosts that make the smallest user, below this heading.
fn grants(heading: &str) -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/sql.md")).unwrap();
    let (_, rest) = page.split_once(heading).unwrap();
    let (_, rest) = rest.split_once("```sql\n").unwrap();
    rest.split_once("```").unwrap().0.replace("CHANGE-THIS", PASSWORD)
}

/// The words with which the statements begin that may be sent.
fn assert_harmless(statements: &[String]) {
    assert!(statements.len() > 5, "{statements:?}");
    for statement in statements {
        let first = ["SELECT ", "SET ", "START TRANSACTION ", "COMMIT"];
        assert!(first.iter().any(|word| statement.starts_with(word)), "{statement}");
        assert!(!statement.contains("pw_clear_passwd") && !statement.contains("SELECT *"), "{statement}");
    }
}

#[test]
fn the_documented_user_of_mariadb_suffices_and_sends_selects_only() {
    let Some(server) = Server::start(Kind::Mysql, &[]) else { return };
    let log = server.path("general.log");
    let tables = ["vpopmail", "valias", "limits"].map(|table| schema("mysql", table, false, "5.6")).concat();
    server.sql("", &format!("create database vpopmail; use vpopmail; {tables}
        insert into vpopmail (pw_name, pw_domain, pw_passwd, pw_gid, pw_clear_passwd) values ('joe', 'a.test', '$6$a$b', 16, 'CLEAR'), ('josé', 'a.test', NULL, NULL, 'CLEAR');
        insert into valias (alias, domain, valias_line) values ('al', 'a.test', 'x@y.test'), ('al', 'a.test', NULL);
        insert into limits values ('a.test', 1);"));
    server.sql("", &grants("## MariaDB and MySQL"));
    server.sql("", &format!("set global general_log_file = '{}'; set global general_log = on;", log.display()));
    let mut asker = Asker::start(&format!("{}|qmail-updater|{PASSWORD}|vpopmail\n", server.place()));
    let expected =
        ["M a.test joe $6$a$b 16", "A a.test al 'x@y.test'", "A a.test al NULL", "L a.test true", "M a.test jose  0"];
    for _ in 0..2 {
        assert_eq!(rows(&mut asker, &ask(Kind::Mysql)).unwrap(), expected);
    }
    drop(asker);
    server.sql("", "set global general_log = off;");
    let log = fs::read_to_string(log).unwrap();
    let of_client = log.lines().filter_map(|line| line.split_once('\t')?.1.split_once('\t').map(|_| line));
    let statements: Vec<String> = of_client
        .filter_map(|line| {
            let text = ["Query\t", "Prepare\t", "Execute\t"].iter().find_map(|kind| line.split_once(kind))?.1;
            (!text.contains("general_log")).then(|| text.to_owned())
        })
        .filter(|text| !text.starts_with("select @@version_comment"))
        .collect();
    assert_harmless(&statements);
    assert!(!log.contains(PASSWORD) && !log.contains("josé' FROM"), "a name is in a statement:\n{log}");
}

#[test]
fn the_documented_user_of_postgresql_suffices_and_sends_selects_only() {
    let Some(server) = Server::start(Kind::Pgsql, &["-c", "log_line_prefix=%u|"]) else { return };
    server.sql("", "create database vpopmail;");
    let tables = ["vpopmail", "valias"].map(|table| schema("pgsql", table, false, "5.6")).concat();
    server.sql("vpopmail", &format!("{tables}
        insert into vpopmail (pw_name, pw_domain, pw_passwd, pw_gid, pw_clear_passwd) values ('joe', 'a.test', '$6$a$b', -1, 'CLEAR');
        insert into valias (alias, domain, valias_line) values ('al', 'a.test', 'x@y.test');"));
    server.sql("vpopmail", &grants("## PostgreSQL"));
    let mut asker =
        Asker::start(&format!("{}|\"qmail-updater\"|{PASSWORD}|vpopmail\n", server.place()).replace('"', ""));
    for _ in 0..2 {
        let expected = ["M a.test joe $6$a$b -1", "A a.test al 'x@y.test'"];
        assert_eq!(rows(&mut asker, &ask(Kind::Pgsql)).unwrap(), expected);
    }
    drop(asker);
    let log = fs::read_to_string(server.path("log")).unwrap();
    let of_user = log.lines().filter_map(|line| line.strip_prefix("qmail-updater|LOG:  "));
    let statements: Vec<String> = of_user
        .filter_map(|line| {
            line.split_once(": ").filter(|(what, _)| *what == "statement" || what.starts_with("execute "))
        })
        .map(|(_, text)| text.to_owned())
        .collect();
    assert_harmless(&statements);
    assert!(!statements.iter().any(|statement| statement.contains(PASSWORD)), "{statements:?}");
}

/// A text that no name of ASCII can be made of, and others; in lower case each is asked for.
const NAMES: [&str; 26] = [
    "Joe",
    "joe2 ",
    " joe3",
    "josé",
    "straße",
    "jo\u{1}x",
    "İvan",
    "ivan",
    "ywan",
    "iwan",
    "juv",
    "ⅷ",
    "ﬁn",
    "ｆｕｌｌ",
    "ø",
    "æon",
    "m²",
    "日本",
    "a\u{301}b",
    "o'brien",
    "q?r",
    "b`k",
    "ba\\ck",
    "p%q",
    "łódź",
    "ŉn",
];
/// What is asked for.
const PROBES: [&str; 30] = [
    "joe", "joe2", "joe3", " joe3", "jose", "strasse", "strase", "jox", "ivan", "yvan", "ywan", "iwan", "jvv", "iuv",
    "juv", "viii", "fin", "full", "o", "aeon", "m2", "ab", "o'brien", "q?r", "b`k", "ba\\ck", "p%q", "lodz", "nn", "8",
];

#[test]
fn what_mariadb_calls_equal_is_what_is_found() {
    let Some(server) = Server::start(Kind::Mysql, &[]) else { return };
    server.sql("", &format!("create database vpopmail; create user vp@localhost identified by '{PASSWORD}'; grant select on vpopmail.* to vp@localhost;"));
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    let mut found = 0;
    for (set, collation) in [
        ("utf8mb4", "utf8mb4_general_ci"),
        ("utf8mb4", "utf8mb4_unicode_ci"),
        ("utf8mb4", "utf8mb4_unicode_520_ci"),
        ("utf8mb4", "utf8mb4_bin"),
        ("utf8mb4", "utf8mb4_nopad_bin"),
        ("utf8mb4", "utf8mb4_unicode_nopad_ci"),
        ("utf8mb4", "utf8mb4_lithuanian_ci"),
        ("utf8mb4", "utf8mb4_turkish_ci"),
        ("utf8mb4", "utf8mb4_roman_ci"),
        ("latin1", "latin1_swedish_ci"),
        ("latin1", "latin1_general_cs"),
        ("ascii", "ascii_general_ci"),
        ("utf8mb4", "utf8mb4_german2_ci"),
        ("utf8mb4", "utf8mb4_danish_ci"),
    ] {
        // What the character set does not have is left out.
        let rows: String = NAMES
            .iter()
            .filter(|name| set == "utf8mb4" || name.chars().all(|c| c.is_ascii() || (set == "latin1" && c == 'é')))
            .map(|name| {
                format!("insert into vpopmail (pw_name, pw_domain, pw_gid) values ({}, 'a.test', 0);\n", quoted(name))
            })
            .collect();
        let column = format!("pw_name varchar(64) character set {set} collate {collation} not null");
        // Of another type, which must not make the names compare in another way.
        let of_domain = format!("pw_domain char(96) character set {set} collate {collation} not null");
        server.sql("vpopmail", &format!("drop table if exists vpopmail; create table vpopmail ({column}, {of_domain}, pw_passwd text, pw_gid int); {rows}"));
        let mut asker = Asker::start(&format!("{}|vp|{PASSWORD}|vpopmail\n", server.place()));
        let all = snapshot_of(&mut asker, &ask(Kind::Mysql)).unwrap_or_else(|why| panic!("{collation}: {why}"));
        let mailboxes = all.mailboxes(b"a.test").unwrap();
        let asked: String = PROBES
            .iter()
            .map(|probe| format!("select count(*) from vpopmail where pw_name = {};\n", quoted(probe)))
            .collect();
        let said = server.sql("vpopmail", &asked);
        let key = |probe: &str| all.about().of_mailbox.key(probe.as_bytes()).into_owned();
        for (probe, count) in PROBES.iter().zip(said.lines()) {
            let its = mailboxes.of(probe.as_bytes()).count();
            // A name that stands beside itself in another form is no second mailbox.
            assert_eq!(
                its > 0,
                count != "0",
                "{collation}: {probe} ({:?}), {count} rows: {mailboxes:?}",
                key(probe).escape_ascii().to_string()
            );
            found += its;
        }
        assert_eq!(said.lines().count(), PROBES.len());
    }
    assert!(found > 100, "{found}");
}

#[test]
fn rows_of_any_kind_and_tables_that_lack_something_are_read_or_told() {
    let Some(server) = Server::start(Kind::Mysql, &["--max-allowed-packet=16M", "--sql-mode="]) else { return };
    server.sql("", &format!("create database vpopmail; create user vp@localhost identified by '{PASSWORD}'; grant select on vpopmail.* to vp@localhost;"));
    let connection = format!("{}|vp|{PASSWORD}|vpopmail\n", server.place());
    let mut asker = Asker::start(&connection);
    let mysql = ask(Kind::Mysql);
    // Nothing is there: an error of the server, and no empty answer.
    let why = rows(&mut asker, &mysql).unwrap_err();
    assert_eq!(why, "1146: Table 'vpopmail.vpopmail' doesn't exist");
    server.sql("vpopmail", "create table vpopmail (pw_name varbinary(300), pw_domain varchar(96), pw_passwd mediumtext, pw_gid varchar(20));");
    assert_eq!(
        rows(&mut asker, &mysql).unwrap(),
        [""; 0],
        "valias and limits are made when vpopmail first misses them"
    );
    server.sql("vpopmail", "create table valias (alias varchar(300), domain varchar(96), valias_line mediumtext);
        insert into vpopmail values (NULL, NULL, NULL, NULL), (x'00ff0a27', 'a.test', repeat('h', 3000), '9999999999'), ('joe', 'a.test', 'h', 'word'), (concat('long', repeat(' ', 280)), 'a.test', '', '-1');
        insert into valias values ('big', 'a.test', repeat('x', 2000000)), (NULL, 'a.test', NULL), ('nl', 'a.test', 'a\\nb\\0c'), ('é', 'a.test', repeat('y', 5000));
        insert into valias select 'many', 'a.test', concat('x', seq) from seq_1_to_20000;");
    let all = rows(&mut asker, &mysql).unwrap();
    for expected in [
        "M    0",
        r"M a.test \x00\xff\n\'  1410065407",
        "M a.test joe h 0",
        r"A a.test nl 'a\nb\x00c'",
        "A a.test  NULL",
    ] {
        assert!(all.contains(&expected.to_owned()), "{expected}: {:?}", &all[..10]);
    }
    assert_eq!(all.iter().filter(|row| row.starts_with("A a.test many")).count(), 20_000);
    assert_eq!(all.last().map(|row| row.starts_with("A a.test e 'yyy")), Some(true), "the last one: {:?}", all.last());
    // A table for each domain: two domains of one table, one without a column, one of another kind, one that is not there.
    let domains = ["b-c.test", "b.c.test", "x`y;drop.test", "dir.control", "gone.test"];
    server.sql("vpopmail", "create table b_c_test (pw_name varchar(64), pw_passwd text, pw_gid int);
        create table `x``y;drop_test` (pw_name varchar(64) character set latin1 collate latin1_bin, pw_passwd text, pw_gid int);
        create table dir_control (pw_name int);
        insert into b_c_test values ('Joe', 'h', 0); insert into `x``y;drop_test` values ('Joe', 'h', 0);");
    let each = Ask {
        table_each: Some(true),
        domains: domains.map(|domain| domain.as_bytes().to_vec()).to_vec(),
        ..mysql.clone()
    };
    let all = snapshot_of(&mut asker, &each).unwrap();
    let names = |domain: &str| {
        let rows = all.mailboxes(domain.as_bytes()).map_err(|why| why.text)?;
        Ok::<String, String>(
            rows.names().map(|name| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>().join(" "),
        )
    };
    assert_eq!(
        [names("b-c.test"), names("b.c.test"), names("x`y;drop.test")],
        ["joe", "joe", "Joe"].map(|name| Ok(name.to_owned()))
    );
    assert!(
        names("dir.control").unwrap_err().starts_with("1054: Unknown column 'pw_passwd' in "),
        "{:?}",
        names("dir.control")
    );
    assert!(names("gone.test").unwrap_err().contains("no such table"), "{:?}", names("gone.test"));
    // Without a word of the build the tables tell.
    server.sql("vpopmail", "drop table vpopmail; drop table valias;");
    let unknown = Ask { aliases: None, limits: None, table_each: None, ..each };
    let all = snapshot_of(&mut asker, &unknown).unwrap();
    assert!(all.about().has_table_each && !all.about().has_aliases && !all.about().has_limits, "{:?}", all.about());

    // What a server refuses, in its own words and without the password.
    let told = |connection: &str, words: &str| {
        let why = rows(&mut Asker::start(connection), &mysql).unwrap_err();
        assert!(why.contains(words) && !why.contains(PASSWORD) && !why.contains("wrong-one"), "{why}");
    };
    told(&connection.replace(PASSWORD, "wrong-one"), "1045: Access denied for user 'vp'@'localhost'");
    told(
        &connection.replace("|vpopmail", "|nothing"),
        "1044: Access denied for user 'vp'@'localhost' to database 'nothing'",
    );
    told(&connection.replace("vpopmail\n", "vpopmail\r\n"), "Incorrect database name 'vpopmail\\x0d'");
    told(&format!("# no line\n{}", connection.replace(PASSWORD, "")), "line 2: fewer than five fields");
    told(
        "localhost|/nowhere/socket|vp|p|vpopmail\n",
        "unable to connect to /nowhere/socket: No such file or directory",
    );
    server.sql("", "create user few@localhost identified by 'few-words'; grant select (pw_name) on vpopmail.b_c_test to few@localhost; set global max_connections = 10;");
    told(&connection.replace("|vp|", "|few|").replace(PASSWORD, "few-words"), "denied");
    let mut open: Vec<Asker> = Vec::new();
    for _ in 0..12 {
        let mut other = Asker::start(&connection);
        let _ = rows(&mut other, &unknown);
        open.push(other);
    }
    told(&connection, "1040: Too many connections");
    drop(open);
    // A line of its own for what is read before: vpopmail looks mailboxes up over the second one.
    let both = format!("{}{connection}", connection.replace(PASSWORD, "wrong-one"));
    assert!(rows(&mut Asker::start(&both), &unknown).is_ok());
}

#[test]
fn a_server_that_repeats_the_password_for_one_table_tells_it_to_nobody() {
    let Some(server) = Server::start(Kind::Mysql, &[]) else { return };
    // Its user has the same name, which the server tells of each privilege that lacks.
    server.sql("", "create database vpopmail;");
    server.sql("vpopmail", &format!("create table b_c_test (pw_name varchar(64), pw_passwd text, pw_gid int);
        insert into b_c_test values ('joe', 'h', 0);
        create table a_test like b_c_test;
        create user '{PASSWORD}'@localhost identified by '{PASSWORD}'; grant select on vpopmail.b_c_test to '{PASSWORD}'@localhost;
        grant select (pw_name) on vpopmail.a_test to '{PASSWORD}'@localhost;"));
    let mut asker = Asker::start(&format!("{}|{PASSWORD}|{PASSWORD}|vpopmail\n", server.place()));
    let each = Ask { aliases: Some(false), table_each: Some(true), limits: Some(false), ..ask(Kind::Mysql) };
    let found = rows(&mut asker, &each).unwrap();
    assert!(found.iter().any(|row| row.starts_with("T a_test 1143: ")), "{found:?}");
    assert!(found.contains(&"M b_c_test joe h 0".to_owned()), "{found:?}");
    assert!(!found.iter().any(|row| row.contains(PASSWORD)), "{found:?}");
}

/// What becomes of an answer while the server is stopped, killed and started again.
fn survives(kind: Kind, fill: &str, grant: &str) {
    let Some(mut server) = Server::start(kind, &[]) else { return };
    server.sql("", "create database vpopmail;");
    server.sql("vpopmail", fill);
    server.sql("vpopmail", &grant.replace("PASSWORD", PASSWORD));
    let connection = format!("{}|vp|{PASSWORD}|vpopmail\n", server.place());
    let mut asker = Asker::start(&connection);
    let ask = Ask {
        aliases: None,
        limits: Some(false),
        connect: Duration::from_secs(5),
        read: Duration::from_secs(2),
        ..ask(kind)
    };
    let count = rows(&mut asker, &ask).unwrap().len();
    assert_eq!(count, 20_000);
    // It hangs in the middle of the rows.
    let start = Instant::now();
    let stream = asker.ask(&ask);
    stream.read_exact(&mut [0; 1 << 16]).unwrap();
    server.signal_all(Signal::SIGSTOP);
    let mut rest = Vec::new();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    while start.elapsed() < Duration::from_secs(20) && !rest.ends_with(b"nothing for 2 s") {
        let mut piece = [0; 1 << 16];
        if let Ok(length) = stream.read(&mut piece) {
            rest.extend_from_slice(&piece[..length]);
        }
    }
    assert!(
        rest.ends_with(b"the server sent nothing for 2 s"),
        "{:?}",
        rest[rest.len().saturating_sub(60)..].escape_ascii().to_string()
    );
    stream.set_read_timeout(None).unwrap();
    // It hangs when it is asked anew: its socket takes a connection, or does not.
    let start = Instant::now();
    let why = rows(&mut asker, &ask).unwrap_err();
    assert!(why.contains("nothing for 2 s") || why.contains("no connection within 5 s"), "{why}");
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    server.signal_all(Signal::SIGCONT);
    assert_eq!(rows(&mut asker, &ask).map(|rows| rows.len()), Ok(count), "after it hung");
    // It dies in the middle of the rows.
    let stream = asker.ask(&ask);
    stream.read_exact(&mut [0; 1 << 16]).unwrap();
    server.kill();
    let mut rest = Vec::new();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    while let Ok(length) = stream.read(&mut [0; 1 << 16]) {
        rest.push(length);
        if length < 1 << 10 {
            break;
        }
    }
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    while stream.read(&mut [0; 1 << 16]).is_ok_and(|length| length > 0) {}
    stream.set_read_timeout(None).unwrap();
    let why = rows(&mut asker, &ask).unwrap_err();
    assert!(why.contains("connect") && !why.contains(PASSWORD), "{why}");
    server.run();
    assert_eq!(rows(&mut asker, &ask).map(|rows| rows.len()), Ok(count), "after it died");
    // It was started anew while nothing was asked: no answer is lost.
    server.kill();
    server.run();
    assert_eq!(rows(&mut asker, &ask).map(|rows| rows.len()), Ok(count), "after it was started anew");
}

#[test]
fn the_client_of_mariadb_lives_through_a_server_that_hangs_and_dies() {
    survives(
        Kind::Mysql,
        "create table vpopmail (pw_name varchar(64), pw_domain varchar(96), pw_passwd varchar(2000), pw_gid int);
         insert into vpopmail select concat('n', seq), 'a.test', repeat('h', 1000), 0 from seq_1_to_20000;",
        "create user vp@localhost identified by 'PASSWORD'; grant select on vpopmail.* to vp@localhost;",
    );
}

#[test]
fn the_client_of_postgresql_lives_through_a_server_that_hangs_and_dies() {
    survives(
        Kind::Pgsql,
        "create table vpopmail (pw_name varchar(64), pw_domain varchar(96), pw_passwd varchar(2000), pw_gid int);
         insert into vpopmail select 'n' || n, 'a.test', repeat('h', 1000), 0 from generate_series(1, 20000) n;",
        "create role vp login password 'PASSWORD'; grant select on vpopmail to vp;",
    );
}

#[test]
fn what_is_special_in_postgresql_is_read_as_its_own_lookups_see_it() {
    let Some(server) = Server::start(Kind::Pgsql, &[]) else { return };
    server.sql(
        "",
        &format!(
            "create role vp login password '{PASSWORD}';
        create database vpopmail; create database raw encoding 'SQL_ASCII' template template0;"
        ),
    );
    let grant = "grant select on all tables in schema public to vp;";
    let mut pgsql = ask(Kind::Pgsql);
    let connection = format!("{}|vp|{PASSWORD}|vpopmail\n", server.place());
    let told = |connection: &str, ask: &Ask, words: &str| {
        let why = rows(&mut Asker::start(connection), ask).unwrap_err();
        assert!(why.contains(words) && !why.contains(PASSWORD), "{why}");
    };
    told(&connection, &pgsql, "42P01: relation \"vpopmail\" does not exist");
    // Blanks count where the column is of a type that drops them.
    server.sql("vpopmail", &format!("create table vpopmail (pw_name char(20), pw_domain varchar(96), pw_passwd varchar(128), pw_gid int);
        insert into vpopmail values ('Joe', 'a.test', NULL, NULL), ('O''Brien', 'a.test', 'h', 1);
        create table \"a_test\" (pw_name varchar(64), pw_passwd text, pw_gid int); insert into a_test values ('joe ', 'h', 0); {grant}"));
    let all = snapshot_of(&mut Asker::start(&connection), &pgsql).unwrap();
    assert_eq!(all.mailboxes(b"a.test").unwrap().names().collect::<Vec<_>>(), [b"Joe"]);
    assert!(
        all.about().has_aliases && all.about().of_mailbox.pads && !all.about().of_mailbox.folds,
        "{:?}",
        all.about()
    );
    pgsql.table_each = Some(true);
    let all = snapshot_of(&mut Asker::start(&connection), &pgsql).unwrap();
    assert_eq!(all.mailboxes(b"a.test").unwrap().names().collect::<Vec<_>>(), [b"joe "]);
    // A collation may say that other bytes are the same text; those of C and of the database do not.
    server.sql("vpopmail", "create collation same_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        alter table a_test alter pw_name type varchar(64) collate same_case; insert into a_test values ('Ann', 'h', 0);");
    for (collation, names) in
        [("same_case", ["ann", "joe "]), ("\"C\"", ["Ann", "joe "]), ("\"default\"", ["Ann", "joe "])]
    {
        server.sql("vpopmail", &format!("alter table a_test alter pw_name type text collate {collation};"));
        let all = snapshot_of(&mut Asker::start(&connection), &pgsql).unwrap();
        let found = all.mailboxes(b"a.test").unwrap();
        assert_eq!(found.names().collect::<Vec<_>>(), names.map(str::as_bytes), "{collation}");
    }
    assert!(all.mailboxes(b"b.c.test").is_err(), "it has no table");
    pgsql.table_each = Some(false);
    // Rows that a policy hides are no rows that are not there.
    server.sql("vpopmail", "alter table vpopmail enable row level security;");
    told(&connection, &pgsql, "42501: query would be affected by row-level security policy");
    server.sql("vpopmail", "alter table vpopmail disable row level security; revoke select on vpopmail from vp;");
    told(&connection, &pgsql, "42501: permission denied for table vpopmail");
    told(&connection.replace(PASSWORD, "wrong-one"), &pgsql, "28P01: password authentication failed for user \"vp\"");
    told(&connection.replace("|vpopmail", "|nothing"), &pgsql, "3D000: database \"nothing\" does not exist");
    told(
        &connection.replace("|vpopmail", "|vpopmail secret-setting"),
        &pgsql,
        "a setting that this program does not know",
    );
    // Bytes that are no text are bytes.
    server.sql(
        "raw",
        &format!(
            "create table vpopmail (pw_name varchar(64), pw_domain varchar(96), pw_passwd varchar(128), pw_gid int);
        insert into vpopmail values (convert_from('\\xff6a', 'SQL_ASCII'), 'a.test', 'h', 0); {grant}"
        ),
    );
    let raw = rows(&mut Asker::start(&connection.replace("|vpopmail", "|raw")), &pgsql).unwrap();
    assert_eq!(raw, [r"M a.test \xffj h 0"]);
}

#[test]
fn a_server_that_answers_garbage_or_nothing_is_told_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut seed = 1u64;
    let mut noise = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as u8
    };
    let greeting = b"\x4a\0\0\0\x0a10.11.19-MariaDB\0\x01\0\0\0abcdefgh\0\xfe\xf7\x2d\x02\0\xff\x81\x15\0\0\0\0\0\0\x1d\0\0\0abcdefghijkl\0mysql_native_password\0".to_vec();
    let mut said: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I".to_vec(),
        greeting.clone(),
        [&greeting[..], b"\x07\0\0\x02\0\0\0\x02\0\0\0"].concat(),
    ];
    said.extend((0..30).map(|length| (0..length * 17).map(|_| noise()).collect()));
    said.extend((0..10).map(|_| [&greeting[..], &(0..200).map(|_| noise()).collect::<Vec<_>>()].concat()));
    for (number, said) in said.iter().enumerate() {
        for kind in [Kind::Mysql, Kind::Pgsql] {
            let place = folder.path().join(number.to_string());
            let _ = fs::create_dir(&place);
            let socket = place.join(".s.PGSQL.5432");
            let _ = fs::remove_file(&socket);
            let listener = UnixListener::bind(&socket).unwrap();
            let said = said.clone();
            // It takes one connection, says that, and is silent or closes.
            std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.write_all(&said);
                if said.len() % 2 == 0 {
                    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                    while stream.read(&mut [0; 100]).is_ok_and(|length| length > 0) {}
                }
            });
            let place = match kind {
                Kind::Mysql => format!("localhost|{}", socket.display()),
                _ => format!("{}|5432", place.display()),
            };
            let ask = Ask { connect: Duration::from_secs(1), read: Duration::from_secs(1), ..ask(kind) };
            let start = Instant::now();
            let why = rows(&mut Asker::start(&format!("{place}|vp|{PASSWORD}|vpopmail\n")), &ask).unwrap_err();
            assert!(!why.is_empty() && !why.contains(PASSWORD), "{why}");
            assert!(start.elapsed() < Duration::from_secs(5), "{number} {kind:?}: {why}");
        }
    }
}
