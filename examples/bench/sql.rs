//! The host with its users in MariaDB or PostgreSQL: a real server, which the benchmark starts, has a row for each mailbox. A
//! rebuild from the rows is held against the sum of what it cannot do without: a client that streams the rows, and the
//! rebuild of the same mailboxes from their files.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use qmail_updater::host::user_database::Kind;

use crate::contend::{Contenders, FULL, ROWS, STREAMING, TABLES};
use crate::make::{MailHost, Row};
use crate::measure::{Job, ms};
use crate::service::Service;
use crate::stream::{self, DATABASE, PASSWORD, USER};
use crate::table::{self, Bounds, Times, mib, middle, peak};
use crate::{Runs, median, say};

#[path = "../../tests/support/sql_server.rs"]
#[allow(dead_code, reason = "tests use the rest")]
mod sql_server;

/// What sql_server.rs needs of the tests' support.
mod support {
    pub fn is_root() -> bool {
        nix::unistd::geteuid().is_root()
    }

    pub fn skip(what: &str, why: &str) {
        crate::say(&format!("left out: {what}: {why}"));
    }
}

/// Which server.
#[derive(Clone, Copy, ValueEnum)]
pub enum Server {
    /// MariaDB
    Mysql,
    /// PostgreSQL
    Pgsql,
}

/// Where the connection to the server is, on the host.
const CONNECTION: &str = "/bench/connection";
/// So many rows are inserted at once.
const AT_ONCE: usize = 500;
/// Who is added.
const NEWCOMER: &str = "newcomer";

/// Measures everything, and prints it.
pub fn run(
    server: Server,
    folder: &Path,
    size: (usize, usize),
    program: &Path,
    runs: u32,
) -> Result<(), Box<dyn Error>> {
    let kind = match server {
        Server::Mysql => Kind::Mysql,
        Server::Pgsql => Kind::Pgsql,
    };
    say(&format!("making or finding {} domains", size.0));
    let host = MailHost::make(folder, size)?;
    let database = Database::fill(&host, kind)?;
    let options = ["--backend", kind.option(), "--sql", CONNECTION, "--valias", "yes"];
    let contenders = Contenders::of_rows(&host, program, &options, database.streaming()?)?;
    let mut seen: Runs = Runs::new();
    let (mut added, mut questions, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    // Longer than any pause below, so that no question comes while a change is measured.
    let asking = [&options[..], &["run", "--sweep", "86400", "--sql-sweep", "8"]].concat();
    let rest = Duration::from_secs(2);
    for round in 0..=runs {
        say(&format!("{} domains, round {round} of {runs}", host.domains));
        for contender in &contenders.list {
            let taken = contenders.run(contender)?;
            if round > 0 {
                seen.entry(contender.name).or_default().push(taken);
            }
        }
    }
    let counts = contenders.compare()?;
    say(&format!("both made the same {} recipients and {} logins", counts[0], counts[1]));
    let mut service = Service::start(&host, program, &asking)?;
    service.rest()?;
    let address = format!("{NEWCOMER}@{}", host.changing_domain());
    // All three take turns: how long a question takes changes from minute to minute, by where the kernel puts those that
    // talk to each other.
    for round in 0..=runs {
        say(&format!("a question and a mailbox, round {round} of {runs}"));
        let asked = service.question()?;
        // The client begins after a rest, too, which changes what is measured.
        thread::sleep(rest);
        let streaming = contenders.list.iter().find(|contender| contender.name == STREAMING);
        let streamed = streaming.map(|streaming| contenders.run(streaming)).transpose()?;
        thread::sleep(rest);
        database.set_newcomer(&host, true);
        let took = service.publish(&|| Ok(()), &["add_user", &address], &TABLES)?;
        // It asks again a second after a notice, and what comes meanwhile waits for that.
        service.rest()?;
        database.set_newcomer(&host, false);
        service.publish(&|| Ok(()), &["del_user", &address], &TABLES)?;
        service.rest()?;
        if round > 0 {
            questions.push(asked);
            beside.extend(streamed.map(|streamed| ms(streamed.wall)));
            added.push(ms(took));
        }
    }
    drop(service);
    let mut times = Times::new(&host);
    for name in [FULL, STREAMING, ROWS] {
        times.runs(&seen, name, "");
    }
    times.values(QUESTION, &questions);
    times.values(ADDED, &added);
    println!("\n{}\n{}", times.text(), must_show(&host, &seen, (&questions, &beside), &added));
    Ok(())
}

const QUESTION: &str = "service: all rows read again, nothing changed";
const ADDED: &str = "service: a mailbox added and told of, until both are published";

/// The ratios, beside what they must be. The questions took turns with a client and with changes.
fn must_show(host: &MailHost, seen: &Runs, (questions, beside): (&[f64], &[f64]), added: &[f64]) -> String {
    let (full, streaming, rows) = (median(seen, FULL), median(seen, STREAMING), median(seen, ROWS));
    let ratio = |above: Option<f64>, below: Option<f64>| above.zip(below).map(|(above, below)| above / below);
    let sum = full.zip(streaming).map(|(full, streaming)| full + streaming);
    let mut bounds = Bounds::default();
    bounds.row(
        "full rebuild from rows / streaming them + full rebuild from files",
        ratio(rows, sum),
        1.15,
        Some(1.0),
        "",
    );
    bounds.row(
        "all rows read again, nothing changed / streaming them",
        ratio(middle(questions), middle(beside)),
        1.5,
        None,
        "",
    );
    bounds.row(
        "a mailbox added, until both are published / that",
        ratio(middle(added), middle(questions)),
        1.6,
        None,
        "",
    );
    let most = |name| seen.get(name).map(|runs| mib(peak(runs)));
    bounds.row("peak memory of a full rebuild from rows", most(ROWS), table::memory(host, 12.0, 60.0), None, " MiB");
    bounds.row("peak memory of a full rebuild from files", most(FULL), table::memory(host, 8.0, 40.0), None, " MiB");
    bounds.text()
}

/// The server, with the users of the host.
struct Database(sql_server::Server);

impl Database {
    /// Starts a server with a row for each mailbox, and tells the host how to reach it.
    fn fill(host: &MailHost, kind: Kind) -> io::Result<Database> {
        say("starting the server");
        let options: &[&str] = match kind {
            Kind::Mysql => &["--innodb-buffer-pool-size=512M", "--innodb-log-file-size=128M"],
            _ => &["-c", "log_statement=none", "-c", "max_wal_size=4GB"],
        };
        let server = sql_server::Server::start(kind, options).ok_or_else(|| io::Error::other("no server"))?;
        server.sql("", &format!("create database {DATABASE};"));
        let user = match kind {
            Kind::Mysql => format!(
                "create user {USER}@localhost identified by '{PASSWORD}'; grant select on {DATABASE}.* to {USER}@localhost;"
            ),
            _ => format!(
                "create role {USER} login password '{PASSWORD}'; \
                 alter default privileges in schema public grant select on tables to {USER};"
            ),
        };
        server.sql(DATABASE, &format!("{user}{TABLES_OF_VPOPMAIL}"));
        let database = Database(server);
        for number in 0..host.domains {
            if number % 1_000 == 0 {
                say(&format!("inserting the rows of domain {number} and the next ones"));
            }
            let rows: Vec<Row> = host.rows(number).collect();
            let inserts: String = rows.chunks(AT_ONCE).map(insert).collect();
            database.0.sql(DATABASE, &format!("begin; {inserts} commit;"));
        }
        database.0.sql(DATABASE, if kind == Kind::Mysql { "analyze table vpopmail;" } else { "vacuum analyze;" });
        let file = host.path(CONNECTION);
        fs::write(&file, format!("{}|{USER}|{PASSWORD}|{DATABASE}\n", database.0.place()))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        Ok(database)
    }

    /// The client that only streams.
    fn streaming(&self) -> io::Result<Job> {
        let place = self.0.path(if self.0.kind == Kind::Mysql { "socket" } else { "" });
        let this = std::env::current_exe()?;
        Ok(Job::new([this.as_ref(), Path::new(stream::WORD), Path::new(self.0.kind.option()), &place]))
    }

    /// Adds one more mailbox to the changing domain, or removes it.
    fn set_newcomer(&self, host: &MailHost, is_there: bool) {
        let domain = host.changing_domain();
        let mut statements = format!("delete from vpopmail where pw_name = '{NEWCOMER}' and pw_domain = '{domain}';");
        if is_there {
            let like = host.rows(host.changing()).nth(1).map(|row| Row { name: NEWCOMER.to_owned(), ..row });
            statements += &insert(like.as_slice());
        }
        self.0.sql(DATABASE, &statements);
    }
}

/// As vpopmail makes them.
const TABLES_OF_VPOPMAIL: &str = "
    create table vpopmail (pw_name varchar(64) not null, pw_domain varchar(96) not null, pw_passwd varchar(128), pw_uid int,
        pw_gid int, pw_gecos varchar(64), pw_dir varchar(160), pw_shell varchar(20), primary key (pw_name, pw_domain));
    create table valias (alias varchar(32) not null, domain varchar(96) not null, valias_line text not null);
    create table limits (domain varchar(96) primary key, disable_smtp int not null default 0);";

fn insert(rows: &[Row]) -> String {
    let mut text = "insert into vpopmail values ".to_owned();
    for (at, Row { name, domain, crypt, flags, directory }) in rows.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        let _ = write!(text, "{comma}('{name}','{domain}','{crypt}',1,{flags},'{name}','{directory}','1073741824S')");
    }
    text + ";\n"
}
