//! The files in which vpopmail has how to reach its user database: VPOPMAIL/etc/vpopmail.mysql and vpopmail.pgsql, read as
//! vpopmail reads them, with all that it makes of odd lines (docs/rules.md, 10.8). Pure. No text of such a file is in any
//! message: each line may hold a password.

use std::fmt;

use zeroize::Zeroizing;

use crate::text::atoi;

/// vpopmail reads a line into so many bytes, its newline with it: a longer one goes on as the next line.
const MAX_LINE: usize = 255;
/// The port of MySQL where the file says none.
const MYSQL_PORT: u16 = 3306;

/// What is wrong with such a file: the line, as vpopmail counts them and from 1, and what follows for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line; `None` when it is the whole file.
    pub line: Option<usize>,
    /// What is wrong, without a byte of the line.
    pub what: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.what),
            None => f.write_str(self.what),
        }
    }
}

/// Where a server of MySQL listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// On a socket; `None`: where the client library was built to look for it.
    Socket(Option<Vec<u8>>),
    /// On this host and port.
    Tcp(Vec<u8>, u16),
}

/// How to reach MySQL or MariaDB.
#[derive(Clone, PartialEq, Eq)]
pub struct Mysql {
    /// Where the server is.
    pub server: Server,
    /// The user.
    pub user: Vec<u8>,
    /// Never shown.
    pub password: Zeroizing<Vec<u8>>,
    /// The database, blanks and a CR at the end of the line with it.
    pub database: Vec<u8>,
    /// Whether fields follow, which vpopmail passes over: then the database may be a piece of a password with a bar.
    pub has_more: bool,
}

impl fmt::Debug for Mysql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mysql").field("server", &self.server).finish_non_exhaustive()
    }
}

/// How to reach PostgreSQL, as one text in the form of libpq's `conninfo`. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Pgsql(pub Zeroizing<Vec<u8>>);

impl fmt::Debug for Pgsql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pgsql").finish_non_exhaustive()
    }
}

/// A line as fgets(3) gives it and C's functions see it: up to a NUL; with its number, and whether a newline ends it.
struct Line<'t> {
    number: usize,
    text: &'t [u8],
    is_ended: bool,
}

/// The lines that count: a `#` as the very first byte makes a comment, and nothing else does.
fn lines(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let (mut rest, mut number) = (text, 0);
    let line = move || {
        if rest.is_empty() {
            return None;
        }
        let longest = &rest[..rest.len().min(MAX_LINE)];
        let end = memchr::memchr(b'\n', longest).map_or(longest.len(), |at| at + 1);
        let (read, after) = rest.split_at(end);
        (rest, number) = (after, number + 1);
        let text = read.strip_suffix(b"\n").unwrap_or(read);
        let (text, nul) = match memchr::memchr(0, text) {
            Some(at) => (&text[..at], true),
            None => (text, false),
        };
        // An empty line is one whose first byte is the newline.
        let is_passed = text.first() == Some(&b'#') || (text.is_empty() && !nul);
        Some((Line { number, text, is_ended: read.ends_with(b"\n") && !nul }, is_passed))
    };
    std::iter::from_fn(line).filter(|(_, is_passed)| !is_passed).map(|(line, _)| line)
}

/// Reads a vpopmail.mysql. Of its two lines the second one counts: over that connection vpopmail looks users up, and it is
/// the one of the server that is written to.
///
/// # Errors
/// vpopmail cannot use the file, and defers all mail.
pub fn parse_mysql(text: &[u8]) -> Result<Mysql, Fault> {
    let of_line = |line: Line<'_>| {
        let number = line.number;
        let fault = |what| Fault { line: Some(number), what };
        // strtok(3): what is empty is no field.
        let fields: Vec<&[u8]> = line.text.split(|b| *b == b'|').filter(|field| !field.is_empty()).collect();
        let [host, port, user, password, database, rest @ ..] = &fields[..] else {
            return Err(fault("fewer than five fields between bars; an empty one is none"));
        };
        let (socket, port) = match port.first() {
            Some(b'/') => (Some(port.to_vec()), 0),
            _ => (None, u16::try_from(atoi(port)).map_err(|_| fault("no port"))?),
        };
        let server = match (*host, port) {
            // The client library takes the socket for this name, whatever port there is.
            (b"localhost", _) => Server::Socket(socket),
            (host, 0) => Server::Tcp(host.to_vec(), MYSQL_PORT),
            (host, port) => Server::Tcp(host.to_vec(), port),
        };
        let password = Zeroizing::new(password.to_vec());
        let has_more = !rest.is_empty();
        Ok(Mysql { server, user: user.to_vec(), password, database: database.to_vec(), has_more })
    };
    // One that cannot be used is one too many, whichever of both it is.
    let both: Vec<Mysql> = lines(text).take(2).map(of_line).collect::<Result<_, _>>()?;
    both.into_iter().next_back().ok_or(Fault { line: None, what: "no line in it but comments" })
}

/// Reads a vpopmail.pgsql.
///
/// # Errors
/// vpopmail cannot use the file.
pub fn parse_pgsql(text: &[u8]) -> Result<Pgsql, Fault> {
    let line = lines(text).next().ok_or(Fault { line: None, what: "no line in it but comments" })?;
    let fault = |what| Fault { line: Some(line.number), what };
    if !line.is_ended {
        return Err(fault("no newline ends it, within 255 bytes"));
    }
    let fields: Vec<&[u8]> = line.text.splitn(5, |b| *b == b'|').collect();
    let [host, port, user, password, database] = fields[..] else { return Err(fault("fewer than four bars")) };
    let port = u16::try_from(atoi(port)).ok().filter(|port| *port > 0).ok_or_else(|| fault("no port"))?;
    let or = |field: &[u8], other: &'static [u8]| if field.is_empty() { other.to_vec() } else { field.to_vec() };
    let port = port.to_string();
    let mut conninfo = Zeroizing::new(Vec::with_capacity(line.text.len() + 100));
    let mut add = |key: &str, value: &[u8]| {
        if !conninfo.is_empty() {
            conninfo.push(b' ');
        }
        conninfo.extend_from_slice(key.as_bytes());
        conninfo.push(b'=');
        conninfo.extend_from_slice(value);
    };
    add("host", &or(host, b"localhost"));
    add("port", port.as_bytes());
    add("user", &or(user, b"postgres"));
    if !password.is_empty() {
        add("password", password);
    }
    // It may hold more settings behind the name.
    add("dbname", &or(database, b"vpopmail"));
    Ok(Pgsql(conninfo))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the server is, and the other fields; or what is wrong.
    type Found = Result<(Server, String), String>;

    fn mysql(text: &str) -> Found {
        let text_of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let shown = |its: Mysql| {
            let rest = [&its.user[..], b" ", &its.password, b" ", &its.database].concat();
            (its.server, text_of(&rest))
        };
        parse_mysql(text.as_bytes()).map(shown).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_file_of_mysql_is_read_as_vpopmail_reads_it() {
        let socket = || Server::Socket(None);
        let tcp = |port| Server::Tcp(b"db.test".to_vec(), port);
        let few = |line: usize| Err(format!("line {line}: fewer than five fields between bars; an empty one is none"));
        let found = |server, rest: &str| Ok((server, rest.to_owned()));
        let long_comment = format!("#{}|\nlocalhost|0|u|p|d\n", "x".repeat(300));
        let long_line = format!("localhost|0|u|{}|d\n", "p".repeat(300));
        let cases: Vec<(&str, Found)> = vec![
            ("localhost|0|u|p|d\n", found(socket(), "u p d")),
            ("localhost|0|u|p|d", found(socket(), "u p d")),
            ("localhost|33061|u|p|d\n", found(socket(), "u p d")),
            ("localhost|/s.sock|u|p|d|more|fields\n", found(Server::Socket(Some(b"/s.sock".to_vec())), "u p d")),
            ("db.test|3307|u|p|d\n", found(tcp(3307), "u p d")),
            ("db.test|0|u|p|d\n", found(tcp(3306), "u p d")),
            ("db.test|word|u|p|d\n", found(tcp(3306), "u p d")),
            ("db.test|/s.sock|u|p|d\n", found(tcp(3306), "u p d")),
            ("Localhost|0|u|p|d\n", found(Server::Tcp(b"Localhost".to_vec(), 3306), "u p d")),
            // Empty fields vanish.
            ("|localhost|0|u|p|d\n", found(socket(), "u p d")),
            ("localhost||0|u|p|d||\n", found(socket(), "u p d")),
            ("localhost|0|u||d\n", few(1)),
            // Nothing is trimmed.
            (" localhost|0|u|p|d\n", found(Server::Tcp(b" localhost".to_vec(), 3306), "u p d")),
            ("localhost|0|u|p|d\r\n", found(socket(), "u p d\r")),
            ("localhost|0|u|p|d \n", found(socket(), "u p d ")),
            // The second line counts; a third one does not.
            ("# c\n\nread|0|u|p|d\n\n#\ndb.test|1|u2|p2|d2\nx\n", found(tcp(1), "u2 p2 d2")),
            ("read|0|u|wrong|d\nlocalhost|0|u|p|d\n", found(socket(), "u p d")),
            ("  # no comment\nlocalhost|0|u|p|d\n", few(1)),
            ("localhost|0|u|p|d\n # no comment\n", few(2)),
            (&long_comment, few(2)),
            (&long_line, few(1)),
            ("localhost|0|u|p|d\0x\n", found(socket(), "u p d")),
            ("\0localhost|0|u|p|d\n", few(1)),
            ("\r\nlocalhost|0|u|p|d\n", few(1)),
            ("localhost|-1|u|p|d\n", Err("line 1: no port".to_owned())),
            ("localhost|99999|u|p|d\n", Err("line 1: no port".to_owned())),
            ("", Err("no line in it but comments".to_owned())),
            ("# c\n\n\n", Err("no line in it but comments".to_owned())),
        ];
        for (text, expected) in cases {
            assert_eq!(mysql(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_file_of_postgresql_is_read_as_vpopmail_reads_it() {
        let read = |text: &str| {
            let found = parse_pgsql(text.as_bytes()).map(|its| String::from_utf8_lossy(&its.0).into_owned());
            found.unwrap_or_else(|fault| fault.to_string())
        };
        let long = format!("h|1|u|p|{}\n", "d".repeat(300));
        for (text, expected) in [
            ("h|5432|u|p|d\n", "host=h port=5432 user=u password=p dbname=d"),
            ("|5432||||x=y\n", "host=localhost port=5432 user=postgres dbname=|x=y"),
            ("|5432|||\n", "host=localhost port=5432 user=postgres dbname=vpopmail"),
            ("/run/postgresql|5432|u||d\n", "host=/run/postgresql port=5432 user=u dbname=d"),
            (
                "h|5432|u|'a b'|d sslmode=require\r\n",
                "host=h port=5432 user=u password='a b' dbname=d sslmode=require\r",
            ),
            (" h | 5432 | u | p | d \n", "host= h  port=5432 user= u  password= p  dbname= d "),
            ("# c\n\nh|1|u|p|d\nother|2|u|p|d\n", "host=h port=1 user=u password=p dbname=d"),
            ("h|5432|u|p|d", "line 1: no newline ends it, within 255 bytes"),
            (&long, "line 1: no newline ends it, within 255 bytes"),
            ("h|5432|u|p\n", "line 1: fewer than four bars"),
            (" # c\nh|5432|u|p|d\n", "line 1: fewer than four bars"),
            ("h||u|p|d\n", "line 1: no port"),
            ("h|word|u|p|d\n", "line 1: no port"),
            ("h|70000|u|p|d\n", "line 1: no port"),
            ("#\n", "no line in it but comments"),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn no_form_of_it_shows_a_password() {
        let mysql = parse_mysql(b"localhost|0|user|secret|d\n").unwrap();
        let pgsql = parse_pgsql(b"h|1|user|secret|d\n").unwrap();
        let faults = [parse_mysql(b"secret\n").unwrap_err(), parse_pgsql(b"secret\n").unwrap_err()];
        let shown = format!("{mysql:?} {pgsql:?} {faults:?} {} {}", faults[0], faults[1]);
        assert!(!shown.contains("secret"), "{shown}");
    }
}
