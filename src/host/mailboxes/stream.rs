//! How the rows of a user database come from the process that asks it: as frames, each with a tag, its length and its
//! fields. What comes is another's: each length has a bound, and a stream that does not end as it should is none.
//!
//! ```text
//! frame  = tag (1 byte), length of the rest (4), fields
//! field  = length (4; 2^32-1: NULL), bytes
//! S = server                                          in front of a stream: where the server is
//! Q = version, kind, name, options, five collations   the first frame: the user database
//! M = domain or table, name, password, flags          a mailbox; flags as a number (4)
//! A = domain, name, line                              one line of an alias
//! L = domain, disable_smtp                            the limits of a domain, in decimal digits
//! T = table, why                                      that table was read; with a why it could not be
//! E = how many M, A and L there were                  the last frame
//! X = why                                             the last frame of a stream that failed
//! ```
//! Numbers are little-endian.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::time::Duration;

use super::collation::Collation;
use crate::error::Trouble;
use crate::host::user_database::Kind;
use crate::kernel::rough_time;
use crate::text::{Shown, atoi};

/// No frame is longer, in bytes: a line of an alias that is longer is not sent.
pub const MAX_FRAME: usize = (1 << 20) + (1 << 13);
/// No more words than these of a server's are shown, in bytes.
const MAX_WORDS: usize = 1000;
/// The form of the frames.
const VERSION: &[u8] = b"2";
/// A field that is NULL.
const NULL: u32 = u32::MAX;

/// What is known of a user database beside its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Which one it is.
    pub kind: Kind,
    /// What people call it: `mysql vpopmail`.
    pub name: Vec<u8>,
    /// Whether aliases are looked up in it.
    pub has_aliases: bool,
    /// Whether limits are looked up in it.
    pub has_limits: bool,
    /// Whether each domain has a table of its own for its mailboxes.
    pub has_table_each: bool,
    /// How the names of mailboxes compare.
    pub of_mailbox: Collation,
    /// How the domains of mailboxes compare.
    pub of_domain: Collation,
    /// How the names of aliases compare.
    pub of_alias: Collation,
    /// How the domains of aliases compare.
    pub of_alias_domain: Collation,
    /// How the domains of limits compare.
    pub of_limits: Collation,
}

impl About {
    /// Whether mailboxes are found only by the uid of the domain's line in users/assign.
    pub fn asks_uid(&self) -> bool {
        self.kind != Kind::Pgsql
    }
}

/// One row of a user database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row<'r> {
    /// A mailbox: the domain (the table, where each domain has one), its name, its password or an empty one, its flags.
    Mailbox(&'r [u8], &'r [u8], &'r [u8], u32),
    /// An alias: its domain, its name, its line.
    Alias(&'r [u8], &'r [u8], Option<&'r [u8]>),
    /// The limits of a domain: whether its users may not log in for SMTP.
    Limits(&'r [u8], bool),
    /// A table of one domain was read; or why it could not be. What is told of no table is none.
    Table(&'r [u8], Option<&'r [u8]>),
}

/// How many rows of each kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts([u64; 3]);

impl Counts {
    fn add(&mut self, row: &Row<'_>) {
        match row {
            Row::Mailbox(..) => self.0[0] += 1,
            Row::Alias(..) => self.0[1] += 1,
            Row::Limits(..) => self.0[2] += 1,
            Row::Table(..) => {}
        }
    }

    fn bytes(self) -> Vec<u8> {
        self.0.iter().flat_map(|count| count.to_le_bytes()).collect()
    }
}

/// Writes a stream.
pub struct Writer<W> {
    output: W,
    /// What is not written yet.
    frames: Vec<u8>,
    /// When something was last written.
    written: Duration,
    counts: Counts,
}

/// So many bytes of frames are written at once, because the reader wakes up each time.
const AT_ONCE: usize = 1 << 18;
/// What comes after this time without a write is written with all that waits: a server may be slow and not silent. The
/// reader waits for the time limit of the server and this.
pub const AT_LEAST_EACH: Duration = Duration::from_secs(1);

impl<W: Write> Writer<W> {
    /// Begins one.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn new(output: W, about: &About) -> io::Result<Writer<W>> {
        let mut writer = Writer::of(output);
        let options = [(about.has_aliases, b'a'), (about.has_limits, b'l'), (about.has_table_each, b't')];
        let options: Vec<u8> = options.iter().filter(|(has, _)| *has).map(|(_, letter)| *letter).collect();
        let collations =
            [&about.of_mailbox, &about.of_domain, &about.of_alias, &about.of_alias_domain, &about.of_limits];
        let collations = collations.map(Collation::to_field);
        let mut fields = vec![Some(VERSION), Some(about.kind.option().as_bytes()), Some(&about.name), Some(&options)];
        fields.extend(collations.iter().map(|collation| Some(&collation[..])));
        writer.frame(b'Q', &fields)?;
        // From here on, the answer has begun.
        writer.send()?;
        Ok(writer)
    }

    fn of(output: W) -> Writer<W> {
        Writer { output, frames: Vec::new(), written: rough_time(), counts: Counts::default() }
    }

    fn frame(&mut self, tag: u8, fields: &[Option<&[u8]>]) -> io::Result<()> {
        let length = |field: &Option<&[u8]>| field.map_or(Ok(NULL), |field| u32::try_from(field.len()));
        let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let all: usize = fields.iter().map(|field| 4 + field.map_or(0, <[u8]>::len)).sum();
        let all = u32::try_from(all).map_err(too_long)?;
        self.frames.push(tag);
        self.frames.extend_from_slice(&all.to_le_bytes());
        for field in fields {
            self.frames.extend_from_slice(&length(field).map_err(too_long)?.to_le_bytes());
            self.frames.extend_from_slice(field.unwrap_or_default());
        }
        let is_due = || rough_time().saturating_sub(self.written) >= AT_LEAST_EACH;
        if self.frames.len() >= AT_ONCE || is_due() { self.send() } else { Ok(()) }
    }

    /// One frame of a text.
    fn only(mut self, tag: u8, text: &str) -> io::Result<()> {
        self.frame(tag, &[Some(text.as_bytes())])?;
        self.write()
    }

    /// Writes what waits, and what the output keeps of what was written.
    fn send(&mut self) -> io::Result<()> {
        self.write()?;
        self.output.flush()
    }

    fn write(&mut self) -> io::Result<()> {
        self.output.write_all(&self.frames)?;
        self.frames.clear();
        self.written = rough_time();
        Ok(())
    }

    /// Adds a row.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        self.counts.add(&row);
        match row {
            Row::Mailbox(domain, name, crypt, flags) => {
                self.frame(b'M', &[Some(domain), Some(name), Some(crypt), Some(&flags.to_le_bytes())])
            }
            Row::Alias(domain, name, line) => self.frame(b'A', &[Some(domain), Some(name), line]),
            Row::Limits(domain, no_smtp) => self.frame(b'L', &[Some(domain), Some(if no_smtp { b"1" } else { b"0" })]),
            Row::Table(table, why) => self.frame(b'T', &[Some(table), why]),
        }
    }

    /// Ends it: all rows are there.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn end(mut self) -> io::Result<W> {
        let counts = self.counts.bytes();
        self.frame(b'E', &[Some(&counts)])?;
        self.send()?;
        Ok(self.output)
    }
}

/// Ends a stream that failed, or is one by itself: why, in the words of the server, without a password.
///
/// # Errors
/// Those of write(2).
pub fn fail(output: impl Write, why: &str) -> io::Result<()> {
    Writer::of(output).only(b'X', why)
}

/// Says where the server is that is asked, in front of a stream.
///
/// # Errors
/// Those of write(2).
pub fn name_server(output: impl Write, server: &str) -> io::Result<()> {
    Writer::of(output).only(b'S', server)
}

/// Reads where the server is that is asked; `None` when none is.
///
/// # Errors
/// Something else comes, or nothing.
pub fn server(mut input: impl Read) -> Result<Option<String>, Trouble> {
    let mut frame = Vec::new();
    let b'S' = read_frame(&mut input, &mut frame)? else { return Err(malformed()) };
    let [server] = fields(&frame).ok_or_else(malformed)?;
    Ok(server.filter(|server| !server.is_empty()).map(|server| shown(server).text))
}

/// Reads a stream.
pub struct Reader<R> {
    frames: Frames<BufReader<R>>,
    counts: Counts,
}

/// So much of a stream is read at once, in bytes.
const BUFFER: usize = 1 << 17;

/// Reads frames. One that stands in the input's buffer as a whole is read there.
struct Frames<R> {
    input: R,
    /// How many bytes of the buffer are those of the last frame.
    used: usize,
    /// One that stands in two of its buffers.
    frame: Vec<u8>,
}

/// The length of what stands in front of the fields of a frame, in bytes.
const HEAD: usize = 1 + 4;

/// The tag of a frame and the length of its fields.
fn head([tag, length @ ..]: [u8; HEAD]) -> Result<(u8, usize), Trouble> {
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_FRAME { Err(malformed()) } else { Ok((tag, length)) }
}

/// Reads the tag and the fields of one.
fn read_frame(input: &mut impl Read, frame: &mut Vec<u8>) -> Result<u8, Trouble> {
    let mut first = [0; HEAD];
    input.read_exact(&mut first).map_err(|cause| cut_off(&cause))?;
    let (tag, length) = head(first)?;
    frame.resize(length, 0);
    input.read_exact(frame).map_err(|cause| cut_off(&cause))?;
    said(tag, frame)
}

/// The tag of a frame. One that says why there are no more is an error.
fn said(tag: u8, frame: &[u8]) -> Result<u8, Trouble> {
    if tag != b'X' {
        return Ok(tag);
    }
    let [words] = fields(frame).ok_or_else(malformed)?;
    Err(shown(words.unwrap_or_default()))
}

impl<R: BufRead> Frames<R> {
    fn of(input: R) -> Frames<R> {
        Frames { input, used: 0, frame: Vec::new() }
    }

    /// The tag and the fields of the next one.
    fn next(&mut self) -> Result<(u8, &[u8]), Trouble> {
        self.input.consume(std::mem::take(&mut self.used));
        let buffer = self.input.fill_buf().map_err(|cause| cut_off(&cause))?;
        let tag = match buffer.first_chunk() {
            Some(first) => {
                let (tag, length) = head(*first)?;
                if buffer.len() >= HEAD + length {
                    self.used = HEAD + length;
                }
                tag
            }
            None => 0,
        };
        match self.used {
            0 => Ok((read_frame(&mut self.input, &mut self.frame)?, &self.frame)),
            // The buffer is as it was.
            used => {
                let buffer = self.input.fill_buf().map_err(|cause| cut_off(&cause))?;
                let frame = buffer.get(HEAD..used).unwrap_or_default();
                Ok((said(tag, frame)?, frame))
            }
        }
    }
}

/// What is wrong with a stream.
fn malformed() -> Trouble {
    "what came from the user database is malformed".into()
}

/// The words of a server, as many of them as are shown.
pub(super) fn shown(words: &[u8]) -> Trouble {
    Shown(&words[..words.len().min(MAX_WORDS)]).to_string().into()
}

/// The stream ended before its last frame.
fn cut_off(cause: &io::Error) -> Trouble {
    match cause.kind() {
        io::ErrorKind::UnexpectedEof => "the rows of the user database broke off".into(),
        _ => cause.into(),
    }
}

/// The fields of a frame; `None` when it does not hold just so many.
fn fields<const N: usize>(mut frame: &[u8]) -> Option<[Option<&[u8]>; N]> {
    let mut fields = [None; N];
    for field in &mut fields {
        let (length, rest) = frame.split_first_chunk()?;
        frame = match u32::from_le_bytes(*length) {
            NULL => rest,
            length => {
                let (found, rest) = rest.split_at_checked(length as usize)?;
                *field = Some(found);
                rest
            }
        };
    }
    frame.is_empty().then_some(fields)
}

impl<R: Read> Reader<R> {
    /// Begins to read one.
    ///
    /// # Errors
    /// Why there is none: in the words of the server, when it tells.
    pub fn new(input: R) -> Result<(Reader<R>, About), Trouble> {
        let mut frames = Frames::of(BufReader::with_capacity(BUFFER, input));
        let (b'Q', frame) = frames.next()? else { return Err(malformed()) };
        let about = about(frame).ok_or_else(malformed)?;
        Ok((Reader { frames, counts: Counts::default() }, about))
    }

    /// The next row; `None` behind the last one.
    ///
    /// # Errors
    /// The stream breaks off, is malformed, or says that it failed.
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, Trouble> {
        let (tag, frame) = self.frames.next()?;
        let row = match tag {
            b'M' => {
                let [domain, name, crypt, flags] = fields(frame).ok_or_else(malformed)?;
                let flags =
                    flags.and_then(|flags| flags.try_into().ok()).map(u32::from_le_bytes).ok_or_else(malformed)?;
                Row::Mailbox(domain.unwrap_or_default(), name.unwrap_or_default(), crypt.unwrap_or_default(), flags)
            }
            b'A' => {
                let [domain, name, line] = fields(frame).ok_or_else(malformed)?;
                Row::Alias(domain.unwrap_or_default(), name.unwrap_or_default(), line)
            }
            b'L' => {
                let [domain, no_smtp] = fields(frame).ok_or_else(malformed)?;
                Row::Limits(domain.unwrap_or_default(), atoi(no_smtp.unwrap_or_default()) != 0)
            }
            b'T' => {
                let [table, why] = fields(frame).ok_or_else(malformed)?;
                Row::Table(table.unwrap_or_default(), why)
            }
            b'E' => {
                let [said] = fields(frame).ok_or_else(malformed)?;
                return if said == Some(&self.counts.bytes()) { Ok(None) } else { Err(malformed()) };
            }
            _ => return Err(malformed()),
        };
        self.counts.add(&row);
        Ok(Some(row))
    }
}

/// What the first frame says.
fn about(frame: &[u8]) -> Option<About> {
    let all: [Option<&[u8]>; 9] = fields(frame)?;
    let [version, kind, name, options, collations @ ..] = all;
    let kinds = [Kind::Mysql, Kind::Pgsql, Kind::Sqlite];
    let kind = kinds.into_iter().find(|known| Some(known.option().as_bytes()) == kind)?;
    let has = |letter: u8| options.is_some_and(|options| options.contains(&letter));
    let [of_mailbox, of_domain, of_alias, of_alias_domain, of_limits] =
        collations.map(|collation| Collation::of_field(collation?));
    (version == Some(VERSION)).then_some(About {
        kind,
        name: name?.to_vec(),
        has_aliases: has(b'a'),
        has_limits: has(b'l'),
        has_table_each: has(b't'),
        of_mailbox: of_mailbox?,
        of_domain: of_domain?,
        of_alias: of_alias?,
        of_alias_domain: of_alias_domain?,
        of_limits: of_limits?,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::BufWriter;

    use super::*;

    /// MySQL as most hosts have it.
    pub fn mysql() -> About {
        let ci = || Collation { folds: true, pads: true, ..Collation::default() };
        About {
            kind: Kind::Mysql,
            name: b"mysql vpopmail".to_vec(),
            has_aliases: true,
            has_limits: true,
            has_table_each: false,
            of_mailbox: ci(),
            of_domain: ci(),
            of_alias: ci(),
            of_alias_domain: ci(),
            of_limits: ci(),
        }
    }

    fn all(mut bytes: &[u8]) -> Result<(About, Vec<String>), Trouble> {
        let (mut reader, about) = Reader::new(&mut bytes)?;
        let mut rows = Vec::new();
        while let Some(row) = reader.next_row()? {
            rows.push(format!("{row:?}"));
        }
        Ok((about, rows))
    }

    #[test]
    fn rows_that_come_slowly_are_not_kept_back() {
        // As in the process that asks, where the name of the server waits in a buffer.
        let mut writer = Writer::new(BufWriter::new(Vec::new()), &mysql()).unwrap();
        let add = |writer: &mut Writer<BufWriter<Vec<u8>>>, name: &[u8]| {
            writer.row(Row::Mailbox(b"a.test", name, b"", 0)).unwrap();
        };
        let first = writer.output.get_ref().len();
        // As if something had been written just now, however slow this machine is.
        writer.written = Duration::MAX;
        add(&mut writer, b"joe");
        assert_eq!(writer.output.get_ref().len(), first, "one row by itself is not worth a write");
        // As if that had been when the machine started.
        writer.written = Duration::ZERO;
        add(&mut writer, b"jim");
        let written = writer.output.get_ref().clone();
        let whole = writer.end().unwrap().into_inner().unwrap();
        assert_eq!(
            whole.strip_prefix(&written[..]).map(|rest| rest[0]),
            Some(b'E'),
            "only the end was not written yet"
        );
    }

    #[test]
    fn what_is_written_is_read_and_nothing_less_is_a_stream() {
        let long = vec![b'x'; 1 << 10];
        let rows = [
            Row::Mailbox(b"a.test", b"joe", b"$6$a$b", u32::MAX),
            Row::Mailbox(b"", b"\0\n'\xff", b"", 0x10),
            Row::Alias(b"a.test", b"sales", Some(&long)),
            Row::Alias(b"a.test", b"null", None),
            Row::Limits(b"a.test", true),
            Row::Table(b"a_test", None),
            Row::Table(b"b_test", Some(b"1142: denied")),
        ];
        let mut writer = Writer::new(Vec::new(), &mysql()).unwrap();
        rows.iter().for_each(|row| writer.row(*row).unwrap());
        let bytes = writer.end().unwrap();
        let shown = rows.iter().map(|row| format!("{row:?}")).collect::<Vec<_>>();
        assert_eq!(all(&bytes), Ok((mysql(), shown)));
        for end in 0..bytes.len() {
            assert!(all(&bytes[..end]).is_err(), "{end}");
        }
        let mut failed = bytes[..bytes.len() - 5 - 4 - 24].to_vec();
        fail(&mut failed, "2013: Lost connection\u{7}").unwrap();
        assert_eq!(all(&failed), Err("2013: Lost connection\\x07".into()));
        // A byte that is another one is an error, another row, or another name of the database; never a panic.
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0xff;
            let _ = all(&changed);
        }
        // One row is left out.
        let frame = 5 + 4 * 4 + "a.test".len() + "joe".len() + "$6$a$b".len() + size_of_val(&u32::MAX);
        let first = bytes
            .windows(frame)
            .position(|window| window[0] == b'M' && window.ends_with(&u32::MAX.to_le_bytes()))
            .unwrap();
        let less = [&bytes[..first], &bytes[first + frame..]].concat();
        assert_eq!(all(&less), Err(malformed()));
        assert_eq!(all(&[b"M\xff\xff\xff\xff".as_slice(), &bytes].concat()), Err(malformed()));
    }
}
