//! What every server is asked, and how its rows become a stream: the statements, how its columns compare, and what names
//! with other bytes than those of ASCII are found by (docs/rules.md, 10.3 to 10.5). The clients only send and receive.
//!
//! A statement holds the names of this program, and the names of tables, quoted. Everything else is a parameter of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;

use super::Failure;
use super::ask::Ask;
use crate::host::mailboxes::collation::Collation;
use crate::host::mailboxes::snapshot::table_of;
use crate::host::mailboxes::stream::{About, Row, Writer};
use crate::host::user_database::Kind;
use crate::text::atoi;

/// The longest line of an alias that is sent, in bytes; a longer one is cut.
const MAX_LINE: usize = 1 << 20;
/// The longest name, domain or password that is sent, in bytes: no address and no hash is longer.
const MAX_TEXT: usize = 1 << 11;
/// So much of an alias's line is kept in memory, in bytes, until it is known what its name is found by.
const MAX_HELD_LINE: usize = 1 << 10;
/// So many bytes of rows with such names are kept in memory.
const MAX_HELD: usize = 1 << 26;
/// A statement has no more parameters than this many times two.
const BATCH: usize = 64;

/// The columns by which rows are found.
const COMPARED: [&str; 4] = ["pw_name", "pw_domain", "alias", "domain"];

/// A field of a row; `None` is NULL.
pub type Field<'r> = Option<&'r [u8]>;
/// What takes the rows of a statement.
pub type EachRow<'e> = &'e mut dyn FnMut(&[Field<'_>]) -> Result<(), Failure>;

/// Why a statement has no rows.
#[derive(Debug)]
pub enum Refusal {
    /// The server refused the statement, and takes another one: its words.
    Statement(String),
    /// The connection, or the transaction, is of no use any more.
    Connection(Failure),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        match refusal {
            Refusal::Statement(words) => Failure::Server(words),
            Refusal::Connection(failure) => failure,
        }
    }
}

/// A time limit as people read it.
#[cfg(any(feature = "mysql", feature = "pgsql"))]
pub fn seconds(time: std::time::Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

/// A transaction in which a server is asked.
pub trait Session {
    /// What people call the database.
    fn database(&self) -> String;

    /// Whether there is no such table. What the user may not read is there.
    ///
    /// # Errors
    /// The server does not say.
    fn lacks(&mut self, table: &str) -> Result<bool, Refusal>;

    /// The statement that lists columns by which rows are found, of each table that the user may see: the table, the
    /// column, and a text that is the same for those that compare in the same way. Each column pw_name is there.
    fn columns(&self) -> &'static str;

    /// Whether columns for which [`Session::columns`] or [`Session::collation`] gives this text compare byte for byte: they need
    /// not be asked about.
    fn compares_bytes(&self, _compares: &[u8]) -> bool {
        false
    }

    /// An expression for what a column's texts compare by: columns for which it is the same compare in the same way. NULL says
    /// nothing; `None`: there is no such expression.
    fn collation(&self, _text: &str) -> Option<String> {
        None
    }

    /// The name of a table, quoted.
    fn quoted(&self, table: &str) -> String;

    /// An expression for these texts in one.
    fn joined(&self, texts: &[&str]) -> String {
        texts.join(" || ")
    }

    /// An expression for the first so many characters of a column.
    fn first(&self, column: &str, length: usize) -> String;

    /// An expression for a column of numbers, as text.
    fn number(&self, column: &str) -> String;

    /// What stands for the parameter of this number, from 1.
    fn parameter(&self, number: usize) -> String;

    /// Whether a SELECT gives no row.
    ///
    /// # Errors
    /// Those of [`Session::select`].
    #[cfg(any(feature = "pgsql", feature = "sqlite"))]
    fn has_none(&mut self, statement: &str, parameters: &[&[u8]]) -> Result<bool, Refusal> {
        let mut has_none = true;
        self.select(statement, parameters, &mut |_| {
            has_none = false;
            Ok(())
        })?;
        Ok(has_none)
    }

    /// Sends a SELECT with its parameters.
    ///
    /// # Errors
    /// The server refuses it, the connection breaks, or `each` fails.
    fn select(&mut self, statement: &str, parameters: &[&[u8]], each: EachRow<'_>) -> Result<(), Refusal>;
}

/// The number that a field holds.
fn number(field: Option<&Field<'_>>) -> Option<usize> {
    usize::try_from(atoi(field.copied().flatten()?)).ok()
}

/// A column: its table, quoted, and its name.
type Column = (String, &'static str);

/// What a name is made of (docs/rules.md, 10.4), in lower case.
const LEGAL: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789.!#$%&'*+-/=?^_`{|}~@";
/// What one character can be equal to beside these.
const PAIRS: [&str; 14] = ["ss", "ae", "oe", "th", "dh", "dz", "ij", "lj", "nj", "ng", "hv", "kp", "tc", "ts"];

/// A constant of this program as SQL.
fn constant(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Texts that compare as the column does: the first SELECT has no row, and gives type and collation.
fn like_column((table, column): &Column, columns: &[&str], rows: &[String]) -> String {
    let first: Vec<String> = columns.iter().map(|name| format!("{column} AS {name}")).collect();
    let rows: String = rows.iter().map(|row| format!(" UNION ALL SELECT {row}")).collect();
    format!("(SELECT 0 AS n, {} FROM {table} WHERE 1 = 0{rows})", first.join(", "))
}

/// How a column compares: the server is asked which of some texts are equal.
fn collation(session: &mut dyn Session, column: &Column) -> Result<Collation, Refusal> {
    let legal: Vec<String> = LEGAL.iter().map(|b| char::from(*b).to_string()).collect();
    let texts: Vec<&str> = legal.iter().map(String::as_str).chain(["A", "I", "a "]).collect();
    let rows: Vec<String> = texts.iter().enumerate().map(|(n, text)| format!("{n}, {}", constant(text))).collect();
    let all = like_column(column, &["s"], &rows);
    let mut equal = BTreeSet::new();
    let (n, m) = (session.number("x.n"), session.number("y.n"));
    let statement = format!("SELECT {n}, {m} FROM {all} x JOIN {all} y ON x.s = y.s");
    session.select(&statement, &[], &mut |fields| {
        let text = |at: usize| texts.get(number(fields.get(at))?);
        if let (Some(one), Some(other)) = (text(0), text(1)) {
            equal.insert((*one, *other));
        }
        Ok(())
    })?;
    let folds = equal.contains(&("A", "a"));
    let mut alike: Vec<(u8, u8)> = Vec::new();
    for (one, other) in &equal {
        if let ([one], [other]) = (one.as_bytes(), other.as_bytes())
            && one < other
            && LEGAL.contains(one)
            && LEGAL.contains(other)
            && !alike.iter().any(|(_, second)| second == one || second == other)
        {
            alike.push((*one, *other));
        }
    }
    Ok(Collation {
        folds,
        pads: equal.contains(&("a ", "a")),
        has_dotless_i: folds && !equal.contains(&("I", "i")),
        alike,
    })
}

/// Whether a text may be equal to another one than itself in ways that [`Collation`] does not tell.
fn is_odd(text: &[u8]) -> bool {
    // Nearly none: all bytes are looked at, which is faster than to stop at one.
    text.iter().fold(false, |is_odd, b| is_odd | !matches!(b, b' '..=b'~'))
}

/// What texts with other bytes than the printable ones of ASCII are found by, column by column, where any text of
/// ASCII is equal to them.
#[derive(Default)]
struct Found(HashMap<(usize, Vec<u8>), Vec<u8>>);

/// The ASCII form that Unicode gives a character.
#[cfg(any(feature = "mysql", feature = "pgsql"))]
fn decomposed(character: char) -> String {
    use unicode_normalization::UnicodeNormalization;
    let ascii = character.nfkd().filter(char::is_ascii);
    ascii.map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(not(any(feature = "mysql", feature = "pgsql")))]
fn decomposed(_: char) -> String {
    String::new()
}

impl Found {
    /// Asks what texts of a column are found by: first what each of their characters is equal to, then whether the whole
    /// text is equal to what comes of it.
    fn ask(
        &mut self,
        session: &mut dyn Session,
        number: usize,
        column: &Column,
        texts: &BTreeSet<&[u8]>,
    ) -> Result<(), Refusal> {
        let texts: Vec<&str> = texts.iter().filter_map(|text| std::str::from_utf8(text).ok()).collect();
        let characters: BTreeSet<char> =
            texts.iter().flat_map(|text| text.chars()).filter(|c| !matches!(c, ' '..='~')).collect();
        let characters: Vec<char> = characters.into_iter().collect();
        let mut equal: BTreeMap<char, String> = BTreeMap::new();
        for batch in characters.chunks(BATCH) {
            equal.extend(equal_to(session, column, batch)?);
        }
        let mut whole = Vec::new();
        for text in texts {
            let parts = text.chars().map(|c| equal.get(&c).cloned().or_else(|| c.is_ascii().then(|| c.to_string())));
            if let Some(ascii) = parts.collect::<Option<String>>() {
                whole.push((text, ascii));
            }
        }
        for batch in whole.chunks(BATCH) {
            for n in are_equal(session, column, batch)? {
                if let Some((text, ascii)) = batch.get(n) {
                    self.0.insert((number, text.as_bytes().to_vec()), ascii.as_bytes().to_vec());
                }
            }
        }
        Ok(())
    }

    /// What the text is found by: itself, when nothing else is known.
    fn of<'t>(&'t self, number: Option<usize>, text: &'t [u8]) -> &'t [u8] {
        number.and_then(|number| self.0.get(&(number, text.to_vec()))).map_or(text, Vec::as_slice)
    }
}

/// What ASCII text each of these characters is equal to, of those that are equal to one. The digits around it keep blanks
/// at its end from being dropped; some languages have pairs of letters that are one letter.
fn equal_to(session: &mut dyn Session, column: &Column, characters: &[char]) -> Result<Vec<(char, String)>, Refusal> {
    let legal: Vec<String> = LEGAL.iter().map(|b| char::from(*b).to_string()).collect();
    let mut texts: Vec<String> = legal;
    texts.extend(["", " "].into_iter().chain(PAIRS).map(str::to_owned));
    for character in characters {
        let text = decomposed(*character);
        if !text.is_empty() && !texts.contains(&text) {
            texts.push(text);
        }
    }
    let given: Vec<String> = characters.iter().map(char::to_string).collect();
    let all: Vec<&[u8]> = given.iter().chain(&texts).map(String::as_bytes).collect();
    let row = |(n, _): (usize, _)| format!("{n}, {}", session.parameter(n + 1));
    let of_given: Vec<String> = given.iter().enumerate().map(row).collect();
    let of_texts: Vec<String> =
        texts.iter().enumerate().map(|(n, _)| format!("{n}, {}", session.parameter(given.len() + n + 1))).collect();
    let (odd, ascii) = (like_column(column, &["s"], &of_given), like_column(column, &["s"], &of_texts));
    let (one, other) = (session.joined(&["'0'", "odd.s", "'0'"]), session.joined(&["'0'", "x.s", "'0'"]));
    let (n, m) = (session.number("odd.n"), session.number("x.n"));
    let statement = format!("SELECT {n}, {m} FROM {odd} odd JOIN {ascii} x ON {one} = {other}");
    let mut found: BTreeMap<usize, usize> = BTreeMap::new();
    session.select(&statement, &all, &mut |fields| {
        if let (Some(n), Some(m)) = (number(fields.first()), number(fields.get(1))) {
            // Of several equal ones the first: the others are found by the same.
            let first = found.entry(n).or_insert(m);
            *first = m.min(*first);
        }
        Ok(())
    })?;
    let pair = |(n, m): (usize, usize)| Some((*characters.get(n)?, texts.get(m)?.clone()));
    Ok(found.into_iter().filter_map(pair).collect())
}

/// The numbers of the pairs that are equal.
fn are_equal(session: &mut dyn Session, column: &Column, pairs: &[(&str, String)]) -> Result<Vec<usize>, Refusal> {
    let row = |n: usize| format!("{n}, {}, {}", session.parameter(2 * n + 1), session.parameter(2 * n + 2));
    let rows: Vec<String> = (0..pairs.len()).map(row).collect();
    let all: Vec<&[u8]> = pairs.iter().flat_map(|(text, ascii)| [text.as_bytes(), ascii.as_bytes()]).collect();
    let statement =
        format!("SELECT {} FROM {} p WHERE p.s = p.t", session.number("p.n"), like_column(column, &["s", "t"], &rows));
    let mut equal = Vec::new();
    session.select(&statement, &all, &mut |fields| {
        equal.extend(number(fields.first()));
        Ok(())
    })?;
    Ok(equal)
}

/// Which rows of a user database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Mailboxes,
    Aliases,
    Limits,
}

/// What the rows of one table are: which ones, and the numbers of the columns that are compared.
#[derive(Clone, Copy, Debug)]
struct Of {
    what: What,
    /// Where each domain has a table of its own there is none.
    domain: Option<usize>,
    name: Option<usize>,
}

/// A column that is compared, and how it compares.
struct Compared {
    column: Column,
    collation: Collation,
    /// Whether other names than those of ASCII may be equal to such ones.
    has_odd: bool,
}

/// How columns compare that the server was asked about, by what [`Session::columns`] or [`Session::collation`] gives for them.
/// It holds as long as the connection does, if the client keeps it.
pub type Known = HashMap<Vec<u8>, Collation>;

/// The columns that are compared.
struct Columns<'k> {
    kind: Kind,
    known: &'k mut Known,
    /// What [`Session::columns`] or [`Session::collation`] tells of the tables that matter: by table and column, how it compares.
    listed: BTreeMap<(String, String), Vec<u8>>,
    all: Vec<Compared>,
    /// The number of the first one that compares in this way: the others need not be asked about.
    numbers: HashMap<Vec<u8>, usize>,
}

impl Columns<'_> {
    /// Lists the columns of the tables that every host has, and of those that are wanted.
    fn list(&mut self, session: &mut dyn Session, is_wanted: &dyn Fn(&str) -> bool) -> Result<(), Refusal> {
        let is_wanted = |table: &str| ["vpopmail", "valias", "limits"].contains(&table) || is_wanted(table);
        let statement = session.columns();
        session.select(statement, &[], &mut |fields| {
            let text = |at: usize| std::str::from_utf8(fields.get(at).copied().flatten()?).ok();
            let column = text(1).map(str::to_ascii_lowercase).filter(|name| COMPARED.contains(&&name[..]));
            if let (Some(table), Some(column), Some(compares)) =
                (text(0).filter(|table| is_wanted(table)), column, text(2))
                && compares.len() <= MAX_TEXT
            {
                self.listed.insert((table.to_owned(), column), compares.as_bytes().to_vec());
            }
            Ok(())
        })
    }

    /// Finds out which of these columns of tables compare in the same way, where one statement can tell that.
    fn tell_apart(&mut self, session: &mut dyn Session, columns: &[(&str, &'static str)]) -> Result<(), Refusal> {
        let Some(collation) = session.collation("c.s") else { return Ok(()) };
        let select = |(n, (table, column)): (usize, &(&str, &'static str))| {
            let texts = like_column(&(session.quoted(table), *column), &["s"], &["0, 'a'".to_owned()]);
            format!("SELECT {n}, {collation} FROM {texts} c")
        };
        let statement = columns.iter().enumerate().map(select).collect::<Vec<_>>().join(" UNION ALL ");
        let told = session.select(&statement, &[], &mut |fields| {
            let column = number(fields.first()).and_then(|n| columns.get(n));
            if let (Some((table, column)), Some(Some(collation))) = (column, fields.get(1)) {
                self.listed.insert(((*table).to_owned(), (*column).to_owned()), collation.to_vec());
            }
            Ok(())
        });
        match told {
            // What is wrong with a column is told when it is asked about by itself.
            Err(Refusal::Statement(_)) => Ok(()),
            told => told,
        }
    }

    /// Finds out how a column compares, and asks the server if needed; its number is the answer.
    fn add(&mut self, session: &mut dyn Session, table: &str, column: &'static str) -> Result<Option<usize>, Refusal> {
        let compares = self.listed.get(&(table.to_owned(), column.to_owned()));
        if let Some(number) = compares.and_then(|compares| self.numbers.get(compares)) {
            return Ok(Some(*number));
        }
        let number = self.all.len();
        let column = (session.quoted(table), column);
        let collation = match compares {
            Some(compares) if session.compares_bytes(compares) => Collation::default(),
            Some(compares) => match self.known.get(compares) {
                Some(known) => known.clone(),
                None => self.known.entry(compares.clone()).or_insert(collation(session, &column)?).clone(),
            },
            None => collation(session, &column)?,
        };
        // PostgreSQL compares bytes unless the column is of another type or collation; SQLite folds ASCII at most.
        let has_odd = self.kind == Kind::Mysql || (self.kind == Kind::Pgsql && collation.folds);
        self.all.push(Compared { column, collation, has_odd });
        if let Some(compares) = compares {
            self.numbers.insert(compares.clone(), number);
        }
        Ok(Some(number))
    }

    fn at(&self, number: Option<usize>) -> Option<&Compared> {
        self.all.get(number?)
    }

    fn collation(&self, number: Option<usize>) -> Collation {
        self.at(number).map(|compared| compared.collation.clone()).unwrap_or_default()
    }

    /// Whether it has to be asked what this text is found by.
    fn is_odd(&self, number: Option<usize>, text: &[u8]) -> bool {
        is_odd(text) && self.at(number).is_some_and(|compared| compared.has_odd)
    }
}

/// A row whose names wait until it is known what they are found by.
struct Held {
    of: Of,
    domain: Vec<u8>,
    name: Vec<u8>,
    value: Option<Vec<u8>>,
    flags: u32,
}

/// Writes rows, and keeps those that wait.
struct Rows<'w> {
    writer: Writer<&'w mut dyn Write>,
    columns: Columns<'w>,
    held: Vec<Held>,
    held_bytes: usize,
}

/// A text that may be a name or a domain. Blanks at its end may not count.
fn sendable(text: &[u8]) -> Option<&[u8]> {
    if text.len() <= MAX_TEXT {
        return Some(text);
    }
    let end = text.iter().rposition(|b| *b != b' ').map_or(0, |last| last + 1);
    // One of the blanks stays, for where they count.
    text.get(..end + 1).filter(|text| text.len() <= MAX_TEXT)
}

impl Rows<'_> {
    fn add(&mut self, of: Of, domain: &[u8], name: &[u8], value: Field<'_>, flags: u32) -> Result<(), Failure> {
        let (Some(domain), Some(name)) = (sendable(domain), sendable(name)) else { return Ok(()) };
        let value = match of.what {
            What::Aliases => value.map(|line| &line[..line.len().min(MAX_LINE)]),
            // No hash is longer.
            What::Mailboxes | What::Limits => value.filter(|hash| hash.len() <= MAX_TEXT),
        };
        if !self.columns.is_odd(of.domain, domain) && !self.columns.is_odd(of.name, name) {
            return self.write(of, domain, name, value, flags);
        }
        let value = value.map(|value| value[..value.len().min(MAX_HELD_LINE)].to_vec());
        self.held_bytes += size_of::<Held>() + domain.len() + name.len() + value.as_ref().map_or(0, Vec::len);
        if self.held_bytes > MAX_HELD {
            let why = format!("more than {MAX_HELD} bytes of its rows have names with other bytes than those of ASCII");
            return Err(Failure::Server(why));
        }
        self.held.push(Held { of, domain: domain.to_vec(), name: name.to_vec(), value, flags });
        Ok(())
    }

    fn write(&mut self, of: Of, domain: &[u8], name: &[u8], value: Field<'_>, flags: u32) -> Result<(), Failure> {
        match of.what {
            What::Mailboxes if of.domain.is_none() => {
                // The columns of the tables may compare in different ways: what a name is found by is sent.
                let crypt = value.unwrap_or_default();
                let (key, spellings) = match self.columns.at(of.name) {
                    Some(Compared { collation, .. }) if collation.alike.is_empty() => (collation.key(name), Vec::new()),
                    Some(Compared { collation, .. }) => {
                        let key = collation.key(name);
                        let spellings = collation.spellings(&key);
                        (key, spellings)
                    }
                    None => (name.into(), Vec::new()),
                };
                if spellings.is_empty() {
                    self.writer.row(Row::Mailbox(domain, &key, crypt, flags))?;
                }
                for name in spellings {
                    self.writer.row(Row::Mailbox(domain, &name, crypt, flags))?;
                }
            }
            What::Mailboxes => self.writer.row(Row::Mailbox(domain, name, value.unwrap_or_default(), flags))?,
            What::Aliases => self.writer.row(Row::Alias(domain, name, value))?,
            What::Limits => self.writer.row(Row::Limits(domain, flags != 0))?,
        }
        Ok(())
    }

    /// Reads the rows of a table. The columns of the statement are the domain, the name, the value and the number.
    fn read(
        &mut self,
        session: &mut dyn Session,
        of: Of,
        statement: &str,
        table: Option<&[u8]>,
    ) -> Result<(), Refusal> {
        session.select(statement, &[], &mut |fields| {
            let [domain, name, value, number] = fields else {
                return Err(Failure::Server("the server sent rows of other columns".to_owned()));
            };
            let domain = match (table, domain) {
                (Some(table), _) => table,
                (None, domain) => domain.unwrap_or_default(),
            };
            // MySQL's column is signed: vpopmail keeps it in a gid_t.
            let flags = atoi(number.unwrap_or_default()).cast_unsigned();
            self.add(of, domain, name.unwrap_or_default(), *value, flags)
        })
    }

    /// Writes the rows that wait.
    fn settle(&mut self, session: &mut dyn Session) -> Result<(), Failure> {
        let mut texts: BTreeMap<usize, BTreeSet<&[u8]>> = BTreeMap::new();
        for held in &self.held {
            for (number, text) in [(held.of.domain, &held.domain), (held.of.name, &held.name)] {
                if self.columns.is_odd(number, text) {
                    number.map(|number| texts.entry(number).or_default().insert(text));
                }
            }
        }
        let mut found = Found::default();
        for (number, texts) in texts {
            if let Some(compared) = self.columns.at(Some(number)) {
                found.ask(session, number, &compared.column, &texts)?;
            }
        }
        for held in std::mem::take(&mut self.held) {
            let (domain, name) = (found.of(held.of.domain, &held.domain), found.of(held.of.name, &held.name));
            self.write(held.of, domain, name, held.value.as_deref(), held.flags)?;
        }
        Ok(())
    }
}

/// A table with the mailboxes of a domain.
struct Each {
    /// What [`table_of`] calls it.
    table: Vec<u8>,
    /// Its name as the server has it.
    name: String,
}

/// The tables with the mailboxes of the domains that are asked for.
fn tables_of(session: &mut dyn Session, columns: &mut Columns<'_>, ask: &Ask) -> Result<Vec<Each>, Refusal> {
    // PostgreSQL cuts longer names.
    let longest = if ask.kind == Kind::Pgsql { 63 } else { usize::MAX };
    // SQLite finds a table whatever its case is; so the names of domains, which are in lower case, are found by that.
    let key = |name: &str| match ask.kind {
        Kind::Sqlite => name.to_ascii_lowercase().into_bytes(),
        _ => name.as_bytes().to_vec(),
    };
    let wanted: BTreeSet<Vec<u8>> = ask.domains.iter().map(|domain| table_of(domain, ask.kind)).collect();
    let mut by_name: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for table in wanted {
        by_name.entry(table[..table.len().min(longest)].to_vec()).or_default().push(table);
    }
    columns.list(session, &|name| by_name.contains_key(&key(name)))?;
    let mut found = Vec::new();
    for (name, _) in columns.listed.keys().filter(|(_, column)| column == "pw_name") {
        let tables = by_name.remove(&key(name)).unwrap_or_default();
        found.extend(tables.into_iter().map(|table| Each { table, name: name.clone() }));
    }
    Ok(found)
}

/// Asks a server for everything, in a transaction that has begun, and writes its answer as one stream. `known` is what earlier
/// answers over this connection found out; `told` takes the password out of the words of the server that are written as such.
///
/// # Errors
/// Why it is not whole.
pub fn answer<'a>(
    session: &mut dyn Session,
    ask: &Ask,
    known: &'a mut Known,
    output: &'a mut dyn Write,
    told: &dyn Fn(String) -> String,
) -> Result<(), Failure> {
    let mut has = |said: Option<bool>, table: &str| match said {
        Some(false) => Ok((false, false)),
        Some(true) => session.lacks(table).map(|lacks| (true, !lacks)),
        None => session.lacks(table).map(|lacks| (!lacks, !lacks)),
    };
    // vdelivermail of SQLite finds no alias, and only MySQL has limits (docs/rules.md, 10.5 and 10.6).
    let (has_aliases, reads_aliases) = has(ask.aliases.or((ask.kind == Kind::Sqlite).then_some(false)), "valias")?;
    let (has_limits, reads_limits) = has(ask.limits.or((ask.kind != Kind::Mysql).then_some(false)), "limits")?;
    let has_table_each = match ask.table_each {
        Some(has_table_each) => has_table_each,
        None => session.lacks("vpopmail")?,
    };
    let mut columns =
        Columns { kind: ask.kind, known, listed: BTreeMap::new(), all: Vec::new(), numbers: HashMap::new() };
    let (mut tables, mut of_mailboxes) = (Vec::new(), Vec::new());
    let mut mailboxes = Of { what: What::Mailboxes, domain: None, name: None };
    if has_table_each {
        tables = tables_of(session, &mut columns, ask)?;
        for Each { name, .. } in &tables {
            of_mailboxes.push(match columns.add(session, name, "pw_name") {
                Ok(number) => Ok(number),
                // What refuses one table may know another one.
                Err(Refusal::Statement(words)) => Err(words),
                Err(Refusal::Connection(failure)) => return Err(failure),
            });
        }
    } else {
        if ask.kind == Kind::Pgsql {
            // It needs longer to compare than to list. MySQL would open each table of the database for that.
            columns.list(session, &|_| false)?;
        }
        let of_aliases = [("valias", "domain"), ("valias", "alias")].into_iter().filter(|_| reads_aliases);
        let of_limits = [("limits", "domain")].into_iter().filter(|_| reads_limits);
        let all = [("vpopmail", "pw_domain"), ("vpopmail", "pw_name")].into_iter().chain(of_aliases).chain(of_limits);
        columns.tell_apart(session, &all.collect::<Vec<_>>())?;
        mailboxes.domain = columns.add(session, "vpopmail", "pw_domain")?;
        mailboxes.name = columns.add(session, "vpopmail", "pw_name")?;
    }
    let mut aliases = Of { what: What::Aliases, domain: None, name: None };
    if reads_aliases {
        aliases.domain = columns.add(session, "valias", "domain")?;
        aliases.name = columns.add(session, "valias", "alias")?;
    }
    let mut limits = Of { what: What::Limits, domain: None, name: None };
    if reads_limits {
        limits.domain = columns.add(session, "limits", "domain")?;
    }
    let about = About {
        kind: ask.kind,
        name: format!("{} {}", ask.kind.option(), session.database()).into_bytes(),
        has_aliases,
        has_limits,
        has_table_each,
        of_mailbox: columns.collation(mailboxes.name),
        of_domain: columns.collation(mailboxes.domain),
        of_alias: columns.collation(aliases.name),
        of_alias_domain: columns.collation(aliases.domain),
        of_limits: columns.collation(limits.domain),
    };
    let writer = Writer::new(output, &about)?;
    let mut rows = Rows { writer, columns, held: Vec::new(), held_bytes: 0 };
    let crypt = session.first("pw_passwd", MAX_TEXT + 1);
    let flags = session.number("pw_gid");
    for (Each { table, name }, number) in tables.iter().zip(&of_mailboxes) {
        let read = match number {
            Ok(number) => {
                let statement = format!("SELECT NULL, pw_name, {crypt}, {flags} FROM {}", session.quoted(name));
                rows.read(session, Of { name: *number, ..mailboxes }, &statement, Some(table))
            }
            Err(words) => Err(Refusal::Statement(words.clone())),
        };
        match read {
            Ok(()) => rows.writer.row(Row::Table(table, None))?,
            Err(Refusal::Statement(words)) => rows.writer.row(Row::Table(table, Some(told(words).as_bytes())))?,
            Err(Refusal::Connection(failure)) => return Err(failure),
        }
    }
    if !has_table_each {
        let statement = format!("SELECT pw_domain, pw_name, {crypt}, {flags} FROM {}", session.quoted("vpopmail"));
        rows.read(session, mailboxes, &statement, None)?;
    }
    if reads_aliases {
        let line = session.first("valias_line", MAX_LINE);
        let statement = format!("SELECT domain, alias, {line}, NULL FROM {}", session.quoted("valias"));
        rows.read(session, aliases, &statement, None)?;
    }
    if reads_limits {
        let no_smtp = session.number("disable_smtp");
        let statement = format!("SELECT domain, NULL, NULL, {no_smtp} FROM {}", session.quoted("limits"));
        rows.read(session, limits, &statement, None)?;
    }
    rows.settle(session)?;
    rows.writer.end()?;
    Ok(())
}
