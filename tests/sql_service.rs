//! A service whose users are in a real MariaDB or PostgreSQL, while rows, aliases, limits, files and domains change, the server
//! is killed, and the service is killed: what is published has to become what a rebuild from nothing makes, and at every moment
//! it is whole, and knows those whom nobody touched.
//!
//! What `status` says of such a server is true.
//!
//! `QMAIL_UPDATER_SOAK` says for how many seconds each server (20), half of them with one table for all domains, half with one
//! for each; `QMAIL_UPDATER_SEED` repeats the changes, though not the moments.

#[path = "support/sql_server.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod sql_server;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use qmail_updater::host::user_database::Kind;
use sql_server::Server;
use support::service::{trigger, wait_for_database};
use support::soaking::{Compared, Random, Running, Story, know, length_and_seed};
use support::{MailHost, filled, give, is_root, me};

const PASSWORD: &str = "pass-never-shown";
/// The domain that stays; its mailbox postmaster is never touched.
const STAYS: &str = "stays.test";
const KNOWN: [&str; 1] = ["postmaster@stays.test"];
/// An alias domain of it.
const ALSO: &str = "also.test";
/// Those that come and go.
const DOMAINS: [&str; 4] = ["d1.test", "d2.test", "a-b.test", "d4.example.test"];
/// Nobody tells of half of the changes: the service asks each second.
const ASKING: &[&str] = &["run", "--max-loss", "100", "--sql-sweep", "1"];
/// Each change is told of: nothing else makes the service ask.
const TOLD: &[&str] = &["run", "--max-loss", "100", "--sql-sweep", "86400"];
/// Rows that make an answer long enough to be cut by a kill.
const MANY: usize = 3_000;

const LINES: [&str; 6] =
    ["&x@y.test", "|exit 100", "|bouncesaying gone", "/home/vpopmail/x/Maildir/", "x@y.test", "# none"];
const CATCH_ALLS: [&str; 3] = ["bounce-no-mailbox", "delete", "postmaster@stays.test"];

/// The host, its server, and what was done.
struct World<'a> {
    host: &'a MailHost,
    server: &'a mut Server,
    random: Random,
    story: Story,
    /// One table for each domain.
    each: bool,
    /// The domains that are there, but for the one that stays.
    here: BTreeSet<&'static str>,
    /// Each change is told of.
    told: bool,
    is_up: bool,
    changes: usize,
    announced: usize,
}

fn owner() -> (u32, u32) {
    if is_root() { (89, 89) } else { me() }
}

impl<'a> World<'a> {
    /// Makes the database and the host, and publishes it.
    fn new(host: &'a MailHost, server: &'a mut Server, each: bool, seed: u64) -> World<'a> {
        let mut world = World {
            host,
            server,
            random: Random((seed ^ (u64::from(each) << 40)) | 1),
            story: Story::default(),
            each,
            here: BTreeSet::new(),
            told: false,
            is_up: true,
            changes: 0,
            announced: 0,
        };
        world.make();
        let answer = host.rebuild();
        assert!(!answer.stderr.contains("alert"), "{}", answer.stderr);
        know(host, &KNOWN).unwrap();
        world
    }

    fn make(&mut self) {
        let fresh = "drop database if exists vpopmail;\ncreate database vpopmail;\n";
        self.server.sql("", fresh);
        let (program, grant) = match self.server.kind {
            Kind::Mysql => ("vpopmail.mysql\0FROM limits\0", "select 1;"),
            _ => ("vpopmail.pgsql\0", "alter default privileges in schema public grant select on tables to vp;"),
        };
        let tables = "create table valias (alias varchar(32) not null, domain varchar(96) not null, valias_line text);
            create table limits (domain varchar(96) primary key, disable_smtp int not null default 0);";
        let all = "create table vpopmail (pw_name varchar(64) not null, pw_domain varchar(96) not null, pw_passwd varchar(128), \
                   pw_gid int, primary key (pw_name, pw_domain));";
        self.server.sql("vpopmail", &format!("{grant}{tables}{}", if self.each { "" } else { all }));
        let one_table = if self.each { "" } else { "and pw_domain\0" };
        let connection = format!("/home/vpopmail/etc/{}", program.split('\0').next().unwrap());
        let program = format!("\x7fELF\0{program}select valias_line from valias\0{one_table}");
        let (uid, gid) = owner();
        self.host
            .write(
                "/etc/passwd",
                format!("root:x:0:0::/root:/bin/sh\nvpopmail:x:{uid}:{gid}::/home/vpopmail:/bin/false\n"),
            )
            .write("/var/qmail/control/me", "host.test\n")
            .write("/var/qmail/control/locals", "")
            .write("/home/vpopmail/bin/vdelivermail", program)
            .write(&connection, format!("{}|vp|{PASSWORD}|vpopmail\n", self.server.place()))
            .folder("/tmp")
            .mode("/tmp", 0o1777);
        self.host.mode(&connection, 0o640);
        give(&self.host.path(&connection), uid, gid);
        self.add_domain(STAYS);
        let rows: String = (0..MANY).map(|n| self.mailbox(STAYS, &format!("n{n}"), 0)).collect();
        self.sql(&rows);
    }

    /// Changes rows in one transaction; not while the server is down.
    fn sql(&self, statements: &str) {
        if self.is_up {
            self.server.sql("vpopmail", &format!("begin;\n{statements}commit;\n"));
        }
    }

    fn table(&self, domain: &str) -> String {
        if self.each { domain.replace(['.', '-'], "_") } else { "vpopmail".to_owned() }
    }

    /// What deletes a mailbox, if it is there.
    fn no_mailbox(&self, domain: &str, name: &str) -> String {
        let of_domain = if self.each { String::new() } else { format!(" and pw_domain = '{domain}'") };
        format!("delete from {} where pw_name = '{name}'{of_domain};\n", self.table(domain))
    }

    /// What inserts one.
    fn mailbox(&self, domain: &str, name: &str, flags: u32) -> String {
        let hash = filled(&format!("$1$salt${flags}"));
        let (column, value) =
            if self.each { (String::new(), String::new()) } else { (", pw_domain".into(), format!(", '{domain}'")) };
        let table = self.table(domain);
        format!(
            "insert into {table} (pw_name, pw_passwd, pw_gid{column}) values ('{name}', '{hash}', {flags}{value});\n"
        )
    }

    /// The three files that say which domains are there.
    fn assign(&self) {
        let (uid, gid) = owner();
        let all = || self.here.iter().copied().chain([STAYS]);
        let line =
            |domain: &str, real: &str| format!("+{domain}-:{real}:{uid}:{gid}:/home/vpopmail/domains/{real}:-::\n");
        let assign: String = all().map(|domain| line(domain, domain)).collect();
        let all_names = || all().chain([ALSO]);
        let also = line(ALSO, STAYS);
        for (file, text) in [
            ("users/assign", format!("{assign}{also}.\n")),
            ("control/virtualdomains", all_names().map(|domain| format!("{domain}:{domain}\n")).collect()),
            ("control/rcpthosts", all_names().map(|domain| format!("{domain}\n")).collect()),
        ] {
            let new = format!("/var/qmail/{file}.new");
            self.host.write(&new, text);
            fs::rename(self.host.path(&new), self.host.path(&format!("/var/qmail/{file}"))).unwrap();
        }
    }

    /// Makes the table of a domain, where each has one.
    fn make_table(&self, domain: &str) {
        if self.each {
            let columns = "pw_name varchar(64) not null primary key, pw_passwd varchar(128), pw_gid int";
            self.sql(&format!("create table {} ({columns});\n", self.table(domain)));
        }
    }

    fn add_domain(&mut self, domain: &'static str) {
        self.make_table(domain);
        self.sql(&self.mailbox(domain, "postmaster", 0));
        self.write(domain, "default", "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n");
        if domain != STAYS {
            self.here.insert(domain);
        }
        self.assign();
    }

    fn delete_domain(&mut self, domain: &'static str) {
        self.here.remove(domain);
        self.assign();
        fs::remove_dir_all(self.host.path(&format!("/home/vpopmail/domains/{domain}"))).unwrap();
        let rows = match self.each {
            true => format!("drop table {};\n", self.table(domain)),
            false => format!("delete from vpopmail where pw_domain = '{domain}';\n"),
        };
        self.sql(&format!("{rows}delete from valias where domain = '{domain}';\n"));
    }

    fn write(&self, domain: &str, name: &str, text: &str) {
        let directory = format!("/home/vpopmail/domains/{domain}");
        let file = format!("{directory}/.qmail-{name}");
        self.host.write(&file, text);
        for path in [&directory, &file] {
            give(&self.host.path(path), owner().0, owner().1);
        }
    }

    /// One change.
    fn change(&mut self) {
        let here: Vec<&'static str> = self.here.iter().copied().chain([STAYS]).collect();
        let domain = *self.random.pick(&here);
        let number = self.random.below(12);
        let name = *self.random.pick(&["box", "Box", "us-er", "list", "o.brien"]);
        let name = format!("{name}{number}");
        let is_new = self.no_mailbox(domain, &name);
        let of_alias = format!("where alias = '{name}' and domain = '{domain}'");
        let flags = *self.random.pick(&[0, 0, 0x10, 0x800, 0x2000]);
        let line = *self.random.pick(&LINES);
        // Without a server only files can change.
        let what = if self.is_up { self.random.below(16) } else { 10 + self.random.below(3) };
        match what {
            0..=2 => self.sql(&(is_new + &self.mailbox(domain, &name, flags))),
            3 => {
                let table = self.table(domain);
                self.sql(&format!("update {table} set pw_gid = {flags} where pw_name = '{name}';\n"));
            }
            4 => {
                let table = self.table(domain);
                self.sql(&format!("update {table} set pw_passwd = '{}' where pw_name = '{name}';\n", filled("$1$b$c")));
            }
            5 => self.sql(&is_new),
            6 => self.sql(&format!("insert into valias values ('{name}', '{domain}', '{line}');\n")),
            7 => self.sql(&format!("insert into valias values ('list{number}-default', '{domain}', '{line}');\n")),
            8 => self.sql(&format!("update valias set valias_line = '{line}' {of_alias};\n")),
            9 => self.sql(&format!("delete from valias {of_alias} or alias = 'list{number}-default';\n")),
            10 => self.write(domain, &name.to_lowercase().replace('.', ":"), &format!("{line}\n")),
            11 => {
                let name = name.to_lowercase().replace('.', ":");
                let _ = fs::remove_file(self.host.path(&format!("/home/vpopmail/domains/{domain}/.qmail-{name}")));
            }
            12 => {
                let catch_all = *self.random.pick(&CATCH_ALLS);
                self.write(domain, "default", &format!("| /home/vpopmail/bin/vdelivermail '' {catch_all}\n"));
            }
            // Where nobody may log in, the one that stays would be no login.
            13 if domain != STAYS => {
                let limits =
                    if flags == 0 { format!("insert into limits values ('{domain}', 1);\n") } else { String::new() };
                self.sql(&format!("delete from limits where domain = '{domain}';\n{limits}"));
            }
            _ => {
                let domain = *self.random.pick(&DOMAINS);
                if self.here.contains(domain) { self.delete_domain(domain) } else { self.add_domain(domain) }
            }
        }
        self.changes += 1;
        self.story.tell(format!("change {what} {name}@{domain}, flags {flags}, line {line}"));
        if self.told || self.random.one_in(2) {
            self.announced += 1;
            trigger(self.host, &["mod_user", &format!("{name}@{domain}"), "-", "after"]);
        }
    }

    fn kill_server(&mut self) {
        self.story.tell("the server killed".to_owned());
        self.server.kill();
        self.is_up = false;
    }

    /// Starts it when it is down.
    fn run_server(&mut self) {
        if !self.is_up {
            self.server.run();
            self.is_up = true;
            self.story.tell("the server started".to_owned());
        }
    }

    fn kill_service(&mut self, service: &mut Running<'_>) {
        self.told = self.random.one_in(4);
        self.story.tell("the service killed".to_owned());
        let kills_both = self.is_up && self.random.one_in(4);
        let arguments = if self.told { TOLD } else { ASKING };
        service.restart(arguments, || {
            if kills_both {
                self.kill_server();
            }
            self.change();
        });
    }
}

fn soak(server: &mut Server, each: bool, length: Duration, seed: u64) {
    let host = &MailHost::empty();
    let mut world = World::new(host, server, each, seed);
    let mut service = Running::start(host, ASKING);
    let (start, mut of_server, mut of_service, mut results) = (Instant::now(), 0, 0, Vec::<Compared>::new());
    while start.elapsed() < length && results.iter().all(|result| result.mended.is_none()) {
        for _ in 0..=world.random.below(10) {
            match world.random.below(12) {
                0 if world.is_up => {
                    world.kill_server();
                    of_server += 1;
                }
                1 => world.run_server(),
                2 => {
                    let was_up = world.is_up;
                    world.kill_service(&mut service);
                    of_service += 1;
                    of_server += usize::from(was_up && !world.is_up);
                }
                _ => world.change(),
            }
            know(host, &KNOWN).unwrap_or_else(|why| panic!("{why}, seed {seed}: {}", world.story));
        }
        world.run_server();
        results.push(service.compare(&world.story, Duration::ZERO));
        know(host, &KNOWN).unwrap_or_else(|why| panic!("{why}, seed {seed}: {}", world.story));
    }
    let differences = results.iter().filter(|compared| compared.mended.is_some()).count();
    println!(
        "soak on {}, {}: {} s, {} changes ({} told of), {} rebuilds, {of_server} kills of the server, {of_service} of the \
         service, {} comparisons, {differences} differences, the same after at most {:?}, seed {seed}",
        world.server.kind.name(),
        if each { "a table for each domain" } else { "one table" },
        start.elapsed().as_secs(),
        world.changes,
        world.announced,
        service.rebuilds,
        results.len(),
        results.iter().map(|compared| compared.waited).max().unwrap_or_default(),
    );
    assert_eq!(differences, 0, "seed {seed}");
    assert!(of_server > 0 && of_service > 0 && !results.is_empty());
}

/// A MariaDB on which what is committed stays, as on a real host.
fn mariadb() -> Option<Server> {
    let server = Server::start(Kind::Mysql, &["--innodb-flush-log-at-trx-commit=1"])?;
    let user =
        format!("create user vp@localhost identified by '{PASSWORD}'; grant select on vpopmail.* to vp@localhost;");
    server.sql("", &user);
    Some(server)
}

fn postgresql() -> Option<Server> {
    let server = Server::start(Kind::Pgsql, &[])?;
    server.sql("", &format!("create role vp login password '{PASSWORD}';"));
    Some(server)
}

#[test]
fn whatever_happens_to_mariadb_the_files_become_what_its_rows_say() {
    let Some(mut server) = mariadb() else { return };
    let (length, seed) = length_and_seed();
    for each in [false, true] {
        soak(&mut server, each, length / 2, seed);
    }
}

#[test]
fn whatever_happens_to_postgresql_the_files_become_what_its_rows_say() {
    let Some(mut server) = postgresql() else { return };
    let (length, seed) = length_and_seed();
    for each in [true, false] {
        soak(&mut server, each, length / 2, seed);
    }
}

#[test]
fn a_login_by_an_alias_domain_of_postgresql_asks_the_rows_of_its_own_name() {
    let Some(mut server) = postgresql() else { return };
    for each in [true, false] {
        let host = &MailHost::empty();
        // Nobody made rows or a table of the alias domain: no alert tells of that.
        let world = World::new(host, &mut server, each, 1);
        let logins = || ["postmaster", "own"].map(|name| host.logins().contains_key(&format!("{name}@{ALSO}")));
        assert_eq!(logins(), [false, false]);
        assert_eq!(host.answers(&["postmaster@also.test", "own@also.test"]), ["accept", "refuse"]);
        world.make_table(ALSO);
        world.sql(&world.mailbox(ALSO, "own", 0));
        let answer = host.rebuild();
        assert!(!answer.stderr.contains("alert"), "{}", answer.stderr);
        assert_eq!(logins(), [false, true], "a table each: {each}");
        assert_eq!(host.answers(&["postmaster@also.test", "own@also.test"]), ["accept", "refuse"]);
        // A table that is there and may not be read keeps its logins.
        let table = world.table(ALSO);
        if each {
            world.sql(&format!("revoke select on {table} from vp;\n"));
            let answer = host.rebuild();
            assert!(answer.stderr.contains("permission denied for table also_test"), "{}", answer.stderr);
            assert_eq!(logins(), [false, true]);
        }
    }
}

/// What `status` says of a real server while it is up, down, and up again.
fn status_is_true(mut server: Server) {
    let host = &MailHost::empty();
    let place = match server.kind {
        Kind::Mysql => server.path("socket").display().to_string(),
        _ => format!("{}:5432", server.path("").display().to_string().trim_end_matches('/')),
    };
    let mut world = World::new(host, &mut server, false, 1);
    let _service = Running::start(host, ASKING);
    let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let said = || host.run(&["status"]).stdout;
    let seconds = |database: &serde_json::Value, member: &str| database[member].as_u64().unwrap();
    let up = wait_for_database(host, &|database| database["answers"] == true);
    assert_eq!(up["server"], place, "{up:#}");
    for nothing in ["failing_since", "error", "changed"] {
        assert!(up[nothing].is_null(), "{up:#}");
    }
    assert!(said().contains(&place) && !said().contains("no answer"), "{}", said());
    let before = now();
    world.kill_server();
    let killed = now();
    let down = wait_for_database(host, &|database| database["answers"] == false);
    assert!((before..=now()).contains(&seconds(&down, "failing_since")), "{before}: {down:#}");
    assert!(seconds(&down, "answered") <= killed && seconds(&down, "asked") >= before, "{killed}: {down:#}");
    assert!(down["error"].as_str().unwrap().contains("connect"), "{down:#}");
    assert!(said().contains("; no answer for "), "{}", said());
    // It stays so, and says since when, as often as it is asked.
    let again = wait_for_database(host, &|database| database["asked"].as_u64() > down["asked"].as_u64());
    assert_eq!((&again["failing_since"], &again["answers"]), (&down["failing_since"], &false.into()), "{again:#}");
    let before = now();
    world.run_server();
    let up = wait_for_database(host, &|database| database["answers"] == true);
    assert!((before..=now()).contains(&seconds(&up, "answered")), "{before}: {up:#}");
    for nothing in ["failing_since", "error", "changed"] {
        assert!(up[nothing].is_null(), "no row has changed: {up:#}");
    }
    assert!(!said().contains("no answer") && said().contains("no row has changed"), "{}", said());
    let before = now();
    world.sql(&world.mailbox(STAYS, "new", 0));
    let changed = wait_for_database(host, &|database| database["changed"].is_u64());
    assert!((before..=now()).contains(&seconds(&changed, "changed")), "{before}: {changed:#}");
}

#[test]
fn status_says_what_is_true_of_mariadb() {
    let Some(server) = mariadb() else { return };
    status_is_true(server);
}

#[test]
fn status_says_what_is_true_of_postgresql() {
    let Some(server) = postgresql() else { return };
    status_is_true(server);
}

/// How many transactions the server has begun. PostgreSQL logs its statements; what the tests do begins in other words.
fn begun(server: &Server) -> usize {
    match server.kind {
        Kind::Mysql => {
            let said = server.sql("", "show global status like 'Com_begin';");
            said.split_whitespace().nth(1).unwrap().parse().unwrap()
        }
        _ => fs::read_to_string(server.path("log")).unwrap().matches("statement: START TRANSACTION").count(),
    }
}

/// Whoever runs the server sees no more load of an idle service than `--sql-sweep` says.
fn idle_asks_once_each_sweep(mut server: Server) {
    let host = &MailHost::empty();
    let world = World::new(host, &mut server, false, 1);
    let _service = Running::start(host, ASKING);
    let asked = |database: &serde_json::Value| database["asked"].as_u64().unwrap_or_default();
    let first = asked(&wait_for_database(host, &|database| database["answers"] == true));
    // The start is over.
    wait_for_database(host, &|database| asked(database) > first + 1);
    let (before, start) = (begun(world.server), Instant::now());
    wait_for_database(host, &|database| asked(database) > first + 6);
    let (questions, seconds) = (begun(world.server) - before, start.elapsed().as_secs() as usize);
    assert!((4..=seconds + 1).contains(&questions), "{questions} questions in {seconds} s");
}

#[test]
fn an_idle_service_asks_mariadb_once_each_sweep() {
    let Some(server) = mariadb() else { return };
    idle_asks_once_each_sweep(server);
}

#[test]
fn an_idle_service_asks_postgresql_once_each_sweep() {
    let Some(server) = postgresql() else { return };
    idle_asks_once_each_sweep(server);
}
