//! The process that asks vpopmail's user database. It is a program of its own, qmail-updater-database, which runs under the
//! uid of vpopmail, with the file of the connection and a socket to the process that started it, and nothing else. The main
//! program uses [`ask`] only: so the linker leaves the clients out of it, and hooks are small. All of it is not trusted by that process,
//! which reads the rows as it reads a file of another user ([`crate::host::mailboxes::stream`]).
//!
//! [`serve`] reads the file of the connection once, connects, and answers one [`Ask`] after the other with a stream each. It
//! ends when the socket is closed. The clients have a file each. What they send to a server is SELECT, SET and the statements
//! of transactions; they never ask for a column with clear passwords.

pub mod ask;
#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(feature = "pgsql")]
pub mod pgsql;
#[cfg(any(feature = "mysql", feature = "pgsql", feature = "sqlite"))]
mod reading;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod words;

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use zeroize::Zeroizing;

use crate::host::mailboxes::connection::{self, Fault, Mysql, Pgsql};
use crate::host::mailboxes::stream;
use crate::host::user_database::Kind;
use crate::os::confine::{self, Reach};
use ask::Ask;

/// How many bytes of the rows wait before they are written.
const BUFFER: usize = 1 << 16;
/// How much of the file of a connection is read, in bytes: vpopmail reads no more than two lines that count.
const MAX_CONNECTION: u64 = 1 << 16;

/// Why a question has no answer.
#[derive(Debug)]
pub enum Failure {
    /// What the server, or its client library, says of it. It may hold the password: [`serve`] takes that out.
    Server(String),
    /// The process that asked does not take the answer.
    Output(io::Error),
}

/// What was being written could not be.
impl From<io::Error> for Failure {
    fn from(cause: io::Error) -> Failure {
        Failure::Output(cause)
    }
}

/// A connection to a user database. It is kept from one question to the next; after a [`Failure`] it is dropped, and the
/// next question gets a new one.
pub trait Client {
    /// Writes everything that [`Ask`] asks for as one stream, from [`stream::Writer::new`] to [`stream::Writer::end`]. All
    /// rows are those of one moment: one transaction. The rows are written as they come, in the order of the server.
    ///
    /// # Errors
    /// Why the stream is not whole. What is written of it is then ended by [`serve`], with [`stream::fail`].
    fn answer(&mut self, ask: &Ask, output: &mut dyn Write) -> Result<(), Failure>;
}

/// How to reach a user database.
#[derive(Debug)]
enum Connection {
    Mysql(Mysql),
    Pgsql(Pgsql),
    /// By the path that the question names.
    Sqlite,
}

impl Connection {
    /// Reads it from the file of the connection; SQLite has none.
    fn read(file: File, kind: Kind) -> Result<Connection, String> {
        let mut text = Zeroizing::new(Vec::new());
        if kind != Kind::Sqlite {
            file.take(MAX_CONNECTION).read_to_end(&mut text).map_err(|cause| cause.to_string())?;
        }
        let fault = |fault: Fault| fault.to_string();
        match kind {
            Kind::Mysql => connection::parse_mysql(&text).map(Connection::Mysql).map_err(fault),
            Kind::Pgsql => connection::parse_pgsql(&text).map(Connection::Pgsql).map_err(fault),
            Kind::Sqlite => Ok(Connection::Sqlite),
            Kind::Cdb | Kind::Ldap | Kind::ActiveDirectory | Kind::Oracle | Kind::Sybase => {
                Err(format!("no client of {}", kind.name()))
            }
        }
    }

    /// What this process has to reach, and nothing else.
    fn reach(&self, ask: &Ask) -> Reach {
        match self {
            // The client of SQLite takes locks, and may read a file of changes beside the database.
            Connection::Sqlite => Reach { directory: ask.file.parent().map(Into::into), ports: Vec::new() },
            Connection::Mysql(Mysql { server: connection::Server::Tcp(_, port), .. }) => {
                Reach { directory: None, ports: vec![*port] }
            }
            Connection::Mysql(_) => Reach::default(),
            Connection::Pgsql(Pgsql(conninfo)) => {
                let ports = values(conninfo, b"port").filter_map(|port| std::str::from_utf8(&port).ok()?.parse().ok());
                Reach { directory: None, ports: ports.collect() }
            }
        }
    }

    /// Where the server is: its socket, or its host and port. Nothing else of the connection is told.
    fn server(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match self {
            Connection::Mysql(Mysql { server, .. }) => match server {
                connection::Server::Socket(Some(socket)) => text(socket),
                connection::Server::Socket(None) => "localhost".to_owned(),
                connection::Server::Tcp(host, port) => format!("{}:{port}", text(host)),
            },
            Connection::Pgsql(Pgsql(conninfo)) => {
                let last = |key: &'static [u8]| values(conninfo, key).last().map(|value| text(&value));
                let host = last(b"host").or_else(|| last(b"hostaddr")).unwrap_or_default();
                last(b"port").map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
            }
            Connection::Sqlite => String::new(),
        }
    }

    /// Connects. `ask` has the time limits.
    fn connect(&self, ask: &Ask) -> Result<Box<dyn Client>, Failure> {
        match self {
            #[cfg(feature = "mysql")]
            Connection::Mysql(to) => Ok(Box::new(mysql::MysqlClient::connect(to, ask)?)),
            #[cfg(feature = "pgsql")]
            Connection::Pgsql(to) => Ok(Box::new(pgsql::PgsqlClient::connect(to, ask)?)),
            #[cfg(feature = "sqlite")]
            Connection::Sqlite => Ok(Box::new(sqlite::SqliteClient)),
            #[cfg(not(all(feature = "mysql", feature = "pgsql", feature = "sqlite")))]
            _ => Err(Failure::Server(format!("this program was built without a client of {}", ask.kind.name()))),
        }
    }

    /// What must be in no message, and what stands in its place.
    fn without_password(&self, words: String) -> String {
        let passwords: Vec<Zeroizing<Vec<u8>>> = match self {
            Connection::Mysql(Mysql { password, database, has_more, .. }) => {
                let piece = has_more.then(|| Zeroizing::new(database.clone()));
                std::iter::once(password.clone()).chain(piece).collect()
            }
            Connection::Pgsql(Pgsql(conninfo)) => values(conninfo, b"password").collect(),
            Connection::Sqlite => Vec::new(),
        };
        let passwords = passwords.iter().filter_map(|password| std::str::from_utf8(password).ok());
        passwords.fold(words, words::without)
    }
}

/// The values of a key of libpq's `conninfo`: `key = value`, up to a blank or between quotes, a backslash before a byte that
/// stands for itself. A value whose quote is not closed ends with the text.
fn values<'c>(conninfo: &'c [u8], key: &'c [u8]) -> impl Iterator<Item = Zeroizing<Vec<u8>>> {
    let mut rest = conninfo;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_ascii_start();
            let end = rest.iter().position(|byte| *byte == b'=' || byte.is_ascii_whitespace())?;
            let (name, after) = rest.split_at(end);
            // A word without a value is passed over.
            let Some(value) = after.trim_ascii_start().strip_prefix(b"=").map(<[u8]>::trim_ascii_start) else {
                rest = after;
                continue;
            };
            let (value, after) = value_of(value);
            rest = after;
            if name == key {
                return Some(value);
            }
        }
    })
}

/// The value that stands first, and what follows it.
fn value_of(text: &[u8]) -> (Zeroizing<Vec<u8>>, &[u8]) {
    let (is_quoted, mut rest) = match text.strip_prefix(b"'") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    // It never grows, so no copy of it is left behind.
    let mut value = Zeroizing::new(Vec::with_capacity(rest.len()));
    while let Some((byte, after)) = rest.split_first() {
        match byte {
            b'\'' if is_quoted => return (value, after),
            byte if !is_quoted && byte.is_ascii_whitespace() => return (value, rest),
            b'\\' => {
                value.extend(after.first());
                rest = after.get(1..).unwrap_or_default();
            }
            byte => {
                value.push(*byte);
                rest = after;
            }
        }
    }
    (value, rest)
}

/// Counts what is written.
struct Counted<W> {
    output: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.output.write(buffer)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Ends this process when the other end of the socket is closed, also while a server does not answer.
fn end_with(socket: UnixStream) {
    let watch = move || {
        let mut hangup = [PollFd::new(socket.as_fd(), PollFlags::empty())];
        while poll(&mut hangup, PollTimeout::NONE).is_err_and(|cause| cause == Errno::EINTR) {}
        std::process::exit(0)
    };
    // Without it the time limits of the client end it.
    let _ = std::thread::Builder::new().spawn(watch);
}

/// Answers until the socket is closed. `file` holds how to reach the server.
///
/// # Errors
/// The socket cannot be read or written.
pub fn serve(file: File, socket: UnixStream) -> io::Result<()> {
    let (mut asks, watched) = (BufReader::new(socket.try_clone()?), socket.try_clone()?);
    let mut output = Counted { output: BufWriter::with_capacity(BUFFER, socket), bytes: 0 };
    let Some(mut ask) = Ask::read(&mut asks)? else { return Ok(()) };
    let connection = Connection::read(file, ask.kind);
    if let Ok(connection) = &connection {
        // What cannot be confined works all the same: the process has no right that another one of vpopmail has not.
        let _ = confine::client(&connection.reach(&ask));
    }
    end_with(watched);
    let mut client: Option<Box<dyn Client>> = None;
    loop {
        stream::name_server(&mut output, &connection.as_ref().map(Connection::server).unwrap_or_default())?;
        let answered = match &connection {
            Err(fault) => Err(Failure::Server(fault.clone())),
            Ok(connection) => {
                let (kept, before) = (client.take(), output.bytes);
                let with_kept = kept.map(|mut connected| connected.answer(&ask, &mut output).map(|()| connected));
                // The server may have closed a connection that waited for long.
                let answered = match with_kept {
                    Some(Err(Failure::Server(_))) if output.bytes == before => None,
                    with_kept => with_kept,
                };
                let answered = match answered {
                    Some(answered) => answered,
                    None => connection
                        .connect(&ask)
                        .and_then(|mut connected| connected.answer(&ask, &mut output).map(|()| connected)),
                };
                answered.map_err(|failure| match failure {
                    Failure::Server(words) => Failure::Server(connection.without_password(words)),
                    Failure::Output(cause) => Failure::Output(cause),
                })
            }
        };
        match answered {
            // Nothing of SQLite is kept: what failed would be tried once more, and wait for a lock as long again.
            Ok(connected) => client = Some(connected).filter(|_| !matches!(connection, Ok(Connection::Sqlite))),
            Err(Failure::Server(words)) => stream::fail(&mut output, &words)?,
            Err(Failure::Output(cause)) => return Err(cause),
        }
        output.flush()?;
        ask = match Ask::read(&mut asks)? {
            Some(ask) => ask,
            None => return Ok(()),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::host::mailboxes::collation::Collation;
    use crate::host::mailboxes::stream::{About, Row, Writer};
    use crate::os::spawn::EXCHANGE;

    /// Fields as both forms have them, each with its length.
    fn fields(fields: &[&[u8]]) -> Vec<u8> {
        let field = |field: &&[u8]| [&(field.len() as u32).to_le_bytes()[..], field].concat();
        fields.iter().flat_map(field).collect()
    }

    #[test]
    fn what_both_programs_say_has_the_form_of_this_number_and_another_form_needs_another_number() {
        assert_eq!(EXCHANGE, "2", "then say here what its form is");
        let ask = Ask {
            kind: Kind::Pgsql,
            file: "/f".into(),
            aliases: Some(true),
            limits: None,
            table_each: Some(false),
            domains: vec![b"a.test".to_vec(), b"b.test".to_vec()],
            connect: Duration::from_millis(258),
            read: Duration::from_secs(1),
        };
        let mut asked = Vec::new();
        ask.write(&mut asked).unwrap();
        let (connect, read) = ([2, 1, 0, 0, 0, 0, 0, 0], [0xe8, 3, 0, 0, 0, 0, 0, 0]);
        let question = fields(&[b"pgsql", b"/f", &[1, 2, 0], &connect, &read, b"a.test", b"b.test"]);
        assert_eq!(asked, [&(question.len() as u32).to_le_bytes()[..], &question].concat());

        let exact = || Collation { folds: false, pads: false, has_dotless_i: false, alike: Vec::new() };
        let about = About {
            kind: Kind::Mysql,
            name: b"mysql v".to_vec(),
            has_aliases: true,
            has_limits: true,
            has_table_each: true,
            of_mailbox: Collation { folds: true, pads: true, has_dotless_i: true, alike: vec![(b'i', b'y')] },
            of_domain: exact(),
            of_alias: exact(),
            of_alias_domain: exact(),
            of_limits: exact(),
        };
        let mut writer = Writer::new(Vec::new(), &about).unwrap();
        for row in [
            Row::Mailbox(b"a.test", b"ann", b"hash", 16),
            Row::Alias(b"a.test", b"x", Some(b"&y")),
            Row::Alias(b"a.test", b"x", None),
            Row::Limits(b"a.test", true),
            Row::Table(b"a_test", Some(b"why")),
        ] {
            writer.row(row).unwrap();
        }
        let frame = |tag: u8, rest: Vec<u8>| [&[tag][..], &(rest.len() as u32).to_le_bytes(), &rest].concat();
        let without_line = [fields(&[b"a.test", b"x"]), u32::MAX.to_le_bytes().to_vec()].concat();
        let counts = [[1, 0, 0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]].concat();
        let all = [
            frame(b'Q', fields(&[b"2", b"mysql", b"mysql v", b"alt", b"\x07iy", b"\0", b"\0", b"\0", b"\0"])),
            frame(b'M', fields(&[b"a.test", b"ann", b"hash", b"\x10\0\0\0"])),
            frame(b'A', fields(&[b"a.test", b"x", b"&y"])),
            frame(b'A', without_line),
            frame(b'L', fields(&[b"a.test", b"1"])),
            frame(b'T', fields(&[b"a_test", b"why"])),
            frame(b'E', fields(&[&counts])),
        ];
        assert_eq!(writer.end().unwrap(), all.concat());
        let mut named = Vec::new();
        stream::name_server(&mut named, "h:1").unwrap();
        assert_eq!(named, frame(b'S', fields(&[b"h:1"])));
    }

    #[test]
    fn of_a_connection_nothing_is_told_but_where_the_server_is() {
        let of_mysql = |text: &[u8]| connection::parse_mysql(text).map(Connection::Mysql).unwrap().server();
        assert_eq!(of_mysql(b"localhost|/run/s|u|secret|d\n"), "/run/s");
        assert_eq!(of_mysql(b"localhost|0|u|secret|d\n"), "localhost");
        assert_eq!(of_mysql(b"db.test|0|u|secret|d\n"), "db.test:3306");
        let of_pgsql = |text: &[u8]| connection::parse_pgsql(text).map(Connection::Pgsql).unwrap().server();
        assert_eq!(of_pgsql(b"/run/pg|5432|u|secret|d\n"), "/run/pg:5432");
        assert_eq!(of_pgsql(b"|5433|u|'it host=''s'|d sslmode=require\n"), "localhost:5433");
    }

    #[test]
    fn no_password_of_a_connection_text_is_told_however_it_is_quoted() {
        for (conninfo, password) in [
            ("host=h user=u password=secret dbname=d", "secret"),
            ("password='two words' port=5432", "two words"),
            ("user = u  password = 'it\\'s a \\\\ one' host=h", r"it's a \ one"),
            (r"password=one\ word", "one word"),
            ("password='never closed", "never closed"),
        ] {
            let connection = Connection::Pgsql(Pgsql(Zeroizing::new(conninfo.into())));
            let words = connection.without_password(format!("user u, password {password}, is refused"));
            assert_eq!(words, "user u, password ..., is refused", "{conninfo}");
        }
        let of_mysql = connection::parse_mysql(b"h|1|u|secret|with a bar|d\n").map(Connection::Mysql).unwrap();
        assert_eq!(of_mysql.without_password("Unknown database 'with a bar'".to_owned()), "Unknown database '...'");
        let all = values(b"port=1 host='a port=2' word port = 3", b"port");
        assert_eq!(all.map(|port| port.to_vec()).collect::<Vec<_>>(), [b"1", b"3"]);
    }
}
