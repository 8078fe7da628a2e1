//! The client of MySQL and MariaDB.

use std::error::Error as _;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use mysql::prelude::{Protocol, Queryable};
use mysql::{Conn, DriverError, Error, OptsBuilder, QueryResult, SslOpts, Value};

use super::ask::Ask;
use super::reading::{self, EachRow, Field, Known, Refusal, Session, seconds};
use super::words::without;
use super::{Client, Failure};
use crate::host::mailboxes::connection::{Mysql, Server};

/// Where client libraries look for the socket: of Debian, of Red Hat, of FreeBSD and of a server that was built by hand.
const SOCKETS: [&str; 4] =
    ["/run/mysqld/mysqld.sock", "/var/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock"];
/// No row is longer, in bytes: the line of an alias has at most four bytes for each of its characters.
const MAX_PACKET: usize = 1 << 23;
/// There is no such table.
const NO_SUCH_TABLE: u16 = 1146;
/// The statement is none that the server knows.
const UNKNOWN_STATEMENT: u16 = 1064;
/// The server does not know such a character set.
const UNKNOWN_CHARACTER_SET: u16 = 1115;
/// No statement has more columns.
const COLUMNS: usize = 4;

/// A connection.
pub struct MysqlClient {
    conn: Conn,
    to: Mysql,
    /// What is known of it since its first answer: it may be gone since then.
    known: Option<Known>,
}

impl MysqlClient {
    /// Connects.
    ///
    /// # Errors
    /// Why there is no connection.
    pub fn connect(to: &Mysql, ask: &Ask) -> Result<MysqlClient, Failure> {
        Ok(MysqlClient { conn: connect(to, ask)?, to: to.clone(), known: None })
    }
}

fn connect(to: &Mysql, ask: &Ask) -> Result<Conn, Failure> {
    let text = |what: &str, bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec());
        text.map_err(|_| Failure::Server(format!("{what} in the file of the connection is not UTF-8")))
    };
    let options = OptsBuilder::new()
        .user(Some(text("the user", &to.user)?))
        .pass(Some(text("the password", &to.password)?))
        .db_name(Some(text("the database", &to.database)?))
        .prefer_socket(false)
        .max_allowed_packet(Some(MAX_PACKET))
        .stmt_cache_size(0)
        .tcp_connect_timeout(Some(ask.connect))
        .read_timeout(Some(ask.read))
        .write_timeout(Some(ask.read));
    let conn = match &to.server {
        Server::Socket(socket) => {
            let socket = match socket {
                Some(socket) => text("the socket", socket)?,
                None => {
                    let there = SOCKETS.into_iter().find(|socket| Path::new(socket).exists());
                    let none = || format!("no socket of a server: {}", SOCKETS.join(", "));
                    there.ok_or_else(|| Failure::Server(none()))?.to_owned()
                }
            };
            open(options.socket(Some(socket)), ask)
        }
        Server::Tcp(host, port) => {
            let options = options.ip_or_hostname(Some(text("the host", host)?)).tcp_port(*port);
            // No file of vpopmail says how to know a server: TLS where it has it, as libpq does, and no proof of its name.
            let tls =
                SslOpts::default().with_danger_accept_invalid_certs(true).with_danger_skip_domain_validation(true);
            match open(options.clone().ssl_opts(Some(tls)), ask) {
                Err(Some(Error::DriverError(DriverError::TlsNotSupported))) => open(options, ask),
                other => other,
            }
        }
    };
    let mut conn = conn.map_err(|cause| match cause {
        Some(cause) => Failure::Server(words(&cause, ask.read)),
        None => Failure::Server(format!("no connection within {}", seconds(ask.connect))),
    })?;
    // What vpopmail's client library says too.
    match conn.query_drop("SET NAMES utf8mb4") {
        Err(Error::MySqlError(cause)) if cause.code == UNKNOWN_CHARACTER_SET => conn.query_drop("SET NAMES utf8"),
        other => other,
    }
    .map_err(|cause| Failure::Server(words(&cause, ask.read)))?;
    Ok(conn)
}

/// Connects within the time limit. The library has none for finding a host's address and for a socket whose server takes no
/// more connections; `None`: it was over.
fn open(options: OptsBuilder, ask: &Ask) -> Result<Conn, Option<Error>> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let open = move || {
        // The process may have given up.
        let _ = sender.send(Conn::new(options));
    };
    thread::Builder::new().spawn(open).map_err(|cause| Some(Error::IoError(cause)))?;
    receiver.recv_timeout(ask.connect).map_err(|_| None)?.map_err(Some)
}

/// The error of a socket.
fn of_socket(cause: &Error) -> Option<&io::Error> {
    match cause {
        Error::IoError(cause) => Some(cause),
        Error::CodecError(cause) => cause.source()?.downcast_ref(),
        _ => None,
    }
}

/// What there is to say of an error: the words of the server where it said any.
fn words(cause: &Error, read: Duration) -> String {
    if let Some(cause) = of_socket(cause) {
        return match cause.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("the server sent nothing for {}", seconds(read)),
            _ => format!("the connection to the server was lost: {cause}"),
        };
    }
    match cause {
        Error::MySqlError(cause) => format!("{}: {}", cause.code, cause.message),
        Error::DriverError(DriverError::CouldNotConnect(Some((address, cause, _)))) => {
            format!("unable to connect to {address}: {cause}")
        }
        // These would show what is in a row.
        Error::FromRowError(_) | Error::FromValueError(_) => {
            "the server sent another answer than was asked for".to_owned()
        }
        other => format!("the server does not answer as one of MySQL does: {other}"),
    }
}

struct Transaction<'c> {
    conn: &'c mut Conn,
    database: String,
    read: Duration,
}

/// What an error in front of the first row means.
fn refusal(cause: &Error, read: Duration) -> Refusal {
    match cause {
        Error::MySqlError(_) => Refusal::Statement(words(cause, read)),
        _ => Refusal::Connection(Failure::Server(words(cause, read))),
    }
}

/// The rows of a statement. After the first one each error is one of the whole answer.
fn rows<P: Protocol>(
    result: &mut QueryResult<'_, '_, '_, P>,
    each: EachRow<'_>,
    lost: &dyn Fn(&Error) -> Refusal,
) -> Result<(), Refusal> {
    for row in result.by_ref() {
        let row = row.map_err(|cause| lost(&cause))?;
        // Prepared statements alone give numbers as such.
        let number = |at| match row.as_ref(at)? {
            Value::Int(number) => Some((at, number.to_string())),
            Value::UInt(number) => Some((at, number.to_string())),
            _ => None,
        };
        let numbers: Vec<(usize, String)> = (0..COLUMNS).filter_map(number).collect();
        let mut fields: [Field<'_>; COLUMNS] = [None; COLUMNS];
        for (at, field) in fields.iter_mut().enumerate() {
            if let Some(Value::Bytes(bytes)) = row.as_ref(at) {
                *field = Some(bytes);
            }
        }
        numbers.iter().for_each(|(at, number)| fields[*at] = Some(number.as_bytes()));
        each(&fields[..row.len().min(COLUMNS)]).map_err(Refusal::Connection)?;
    }
    Ok(())
}

impl Transaction<'_> {
    /// One snapshot of all tables for all that is asked from now on.
    fn begin(&mut self) -> Result<(), Refusal> {
        let statements = [
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
        ];
        for statement in statements {
            match self.conn.query_drop(statement) {
                // Before MySQL 5.6.
                Err(Error::MySqlError(cause)) if cause.code == UNKNOWN_STATEMENT => {
                    self.conn.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT")
                }
                other => other,
            }
            .map_err(|cause| refusal(&cause, self.read))?;
        }
        Ok(())
    }
}

impl Session for Transaction<'_> {
    fn database(&self) -> String {
        self.database.clone()
    }

    fn lacks(&mut self, table: &str) -> Result<bool, Refusal> {
        let statement = format!("SELECT 1 FROM {} WHERE 1 = 0", self.quoted(table));
        match self.conn.query_drop(statement) {
            Ok(()) => Ok(false),
            // To users without any privilege for it the server says that they have none, whether it is there or not.
            Err(Error::MySqlError(cause)) if cause.code == NO_SUCH_TABLE => Ok(true),
            Err(cause) => Err(refusal(&cause, self.read)),
        }
    }

    fn columns(&self) -> &'static str {
        "SELECT table_name, column_name, CONCAT(data_type, ' ', IFNULL(collation_name, '')) \
         FROM information_schema.columns \
         WHERE table_schema = DATABASE() AND column_name IN ('pw_name', 'pw_domain', 'alias', 'domain')"
    }

    fn collation(&self, text: &str) -> Option<String> {
        // Bytes have no other collation, whatever their type: such a column is asked about by itself.
        Some(format!("NULLIF(COLLATION({text}), 'binary')"))
    }

    fn quoted(&self, table: &str) -> String {
        format!("`{}`", table.replace('`', "``"))
    }

    fn joined(&self, texts: &[&str]) -> String {
        format!("CONCAT({})", texts.join(", "))
    }

    fn first(&self, column: &str, length: usize) -> String {
        format!("LEFT({column}, {length})")
    }

    fn number(&self, column: &str) -> String {
        column.to_owned()
    }

    fn parameter(&self, _: usize) -> String {
        "?".to_owned()
    }

    fn select(&mut self, statement: &str, parameters: &[&[u8]], each: EachRow<'_>) -> Result<(), Refusal> {
        let lost = |cause: &Error| Refusal::Connection(Failure::Server(words(cause, self.read)));
        if parameters.is_empty() {
            let result = self.conn.query_iter(statement);
            // The result borrows the connection.
            return match result {
                Err(cause) => Err(refusal(&cause, self.read)),
                Ok(mut result) => rows(&mut result, each, &lost),
            };
        }
        let prepared = self.conn.prep(statement).map_err(|cause| refusal(&cause, self.read))?;
        let parameters: Vec<Value> = parameters.iter().map(|parameter| Value::Bytes(parameter.to_vec())).collect();
        let read = match self.conn.exec_iter(&prepared, parameters) {
            Err(cause) => Err(refusal(&cause, self.read)),
            Ok(mut result) => rows(&mut result, each, &lost),
        };
        read?;
        self.conn.close(prepared).map_err(|cause| lost(&cause))
    }
}

impl Client for MysqlClient {
    fn answer(&mut self, ask: &Ask, output: &mut dyn Write) -> Result<(), Failure> {
        let database = String::from_utf8_lossy(&self.to.database).into_owned();
        let begin = |conn: &mut Conn| Transaction { conn, database: database.clone(), read: ask.read }.begin();
        if let Err(refusal) = begin(&mut self.conn) {
            // The server may have been started again since the last question, or let an idle connection go.
            if self.known.take().is_none() {
                return Err(refusal.into());
            }
            self.conn = connect(&self.to, ask)?;
            begin(&mut self.conn)?;
        }
        let known = self.known.get_or_insert_default();
        let password = String::from_utf8_lossy(&self.to.password);
        let told = |words: String| without(words, &password);
        let mut transaction = Transaction { conn: &mut self.conn, database, read: ask.read };
        reading::answer(&mut transaction, ask, known, output, &told)?;
        // The answer is whole; a connection that is gone is found by the next question.
        let _ = self.conn.query_drop("COMMIT");
        Ok(())
    }
}
