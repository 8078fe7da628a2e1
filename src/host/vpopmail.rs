//! One vpopmail domain directory: mailboxes, flags, limits (docs/rules.md, 4.2 and 4.3). Where a domain's mailboxes come
//! from besides: [`mailboxes`](super::mailboxes).

use std::collections::BTreeMap;
use std::io;

use super::mailboxes::rows::Rows;
use super::mailboxes::snapshot;
use crate::cdb;
use crate::error::Trouble;
use crate::fs::trust::{Link, Ownership};
use crate::fs::{Directory, End, Opened, PATH_MAX, Root};
use crate::text::{atoi, bytes_among};

/// A mailbox's mail bounces (vmoduser -b).
pub const BOUNCE_MAIL: u64 = 0x10;
/// No SMTP AUTH (vmoduser -s; `disable_smtp`).
pub const NO_SMTP: u64 = 0x800;
/// The domain's limits do not count for this mailbox (vmoduser -o).
pub const OVERRIDE: u64 = 0x2000;

/// Every flag by the name that vpopmaild gives it.
const FLAGS: [(u64, &str); 19] = [
    (0x01, "no_password_change"),
    (0x02, "no_pop"),
    (0x04, "no_webmail"),
    (0x08, "no_imap"),
    (BOUNCE_MAIL, "bounce_mail"),
    (0x20, "no_relay"),
    (0x40, "no_dialup"),
    (0x80, "user_flag_0"),
    (0x100, "user_flag_1"),
    (0x200, "user_flag_2"),
    (0x400, "user_flag_3"),
    (NO_SMTP, "no_smtp"),
    (0x1000, "domain_admin_privileges"),
    (OVERRIDE, "override_domain_limits"),
    (0x4000, "no_spamassassin"),
    (0x8000, "delete_spam"),
    (0x10000, "system_admin_privileges"),
    (0x20000, "system_expert_privileges"),
    (0x40000, "no_maildrop"),
];

/// The names of a domain's limits that switch flags on.
const LIMIT_FLAGS: [(&[u8], u64); 10] = [
    (b"disable_smtp", NO_SMTP),
    (b"disable_pop", 0x02),
    (b"disable_imap", 0x08),
    (b"disable_webmail", 0x04),
    (b"disable_external_relay", 0x20),
    (b"disable_dialup", 0x40),
    (b"disable_password_changing", 0x01),
    (b"disable_spamassassin", 0x4000),
    (b"delete_spam", 0x8000),
    (b"disable_maildrop", 0x40000),
];

/// The names of these flags, lowest bit first; bits that vpopmail has no name for as one number.
pub fn flag_names(flags: u64) -> Vec<String> {
    let named = FLAGS.iter().filter(|(bit, _)| flags & bit != 0);
    let unnamed = FLAGS.iter().fold(flags, |rest, (bit, _)| rest & !bit);
    let unnamed = (unnamed != 0).then(|| format!("{unnamed:#x}"));
    named.map(|(_, name)| (*name).to_owned()).chain(unnamed).collect()
}

/// An address longer than this never passes qmail-smtpd, in bytes; a longer name is none.
pub const ADDRESS_MAX: usize = 900;

/// What the programs read.
pub const COMPILED: &str = "vpasswd.cdb";
/// What it is made from.
pub const TEXT: &str = "vpasswd";
/// The limits of one domain.
pub const LIMITS: &str = ".qmailadmin-limits";

/// One mailbox: what vpasswd says behind its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mailbox<'a> {
    /// The crypt field, as it is written. Never shown.
    pub crypt: &'a [u8],
    /// The gid field: vpopmail's bit mask of flags.
    pub flags: u64,
    /// How many of its fields are there, as far as that matters.
    pub shape: Shape,
    /// The line of the text vpasswd; `None` when it came from vpasswd.cdb.
    pub line: Option<usize>,
    /// What follows the gid field: gecos, directory, quota, and sometimes the clear-text password. Never shown as it is.
    pub rest: &'a [u8],
}

/// How many fields a record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Fewer than three: vpopmail's programs crash on it.
    Broken,
    /// Three or four: it ends before the directory.
    Short,
    /// Five or more.
    Whole,
}

/// What vdelivermail does with mail to a mailbox. Only this tells two mailboxes apart that are found in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mail {
    /// It is delivered.
    Delivered,
    /// It bounces, because of the mailbox's own flag.
    SwitchedOff,
    /// It bounces, because the record ends before the directory.
    NoDirectory,
    /// vdelivermail crashes, and qmail defers it.
    Crashes,
}

/// What a record says about a mailbox that decides nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Particulars<'a> {
    /// The comment.
    pub gecos: &'a [u8],
    /// Its folder.
    pub folder: &'a [u8],
    /// Its quota, as vpopmail writes it.
    pub quota: &'a [u8],
}

impl<'a> Mailbox<'a> {
    /// Parses `crypt:uid:gid:gecos:dir:quota[:clear password]`.
    pub fn parse(record: &'a [u8], line: Option<usize>) -> Mailbox<'a> {
        let mut colons = memchr::memchr_iter(b':', record);
        let crypt = &record[..colons.next().unwrap_or(record.len())];
        let gid = colons.next().map(|colon| &record[colon + 1..]);
        let rest = colons.next().map_or(&b""[..], |colon| &record[colon + 1..]);
        let shape = match (gid, colons.next()) {
            (None, _) => Shape::Broken,
            (Some(_), None) => Shape::Short,
            (Some(_), Some(_)) => Shape::Whole,
        };
        // vpopmail keeps what atoi(3) says in a gid_t.
        Mailbox { crypt, flags: gid.map_or(0, |gid| u64::from(atoi(gid).cast_unsigned())), shape, line, rest }
    }

    /// The row of a user database, which has no other shape.
    pub fn of_row(crypt: &'a [u8], flags: u32) -> Mailbox<'a> {
        Mailbox { crypt, flags: flags.into(), shape: Shape::Whole, line: None, rest: b"" }
    }

    /// What becomes of mail to it.
    pub fn mail(&self) -> Mail {
        match self.shape {
            Shape::Broken => Mail::Crashes,
            _ if self.flags & BOUNCE_MAIL != 0 => Mail::SwitchedOff,
            Shape::Short => Mail::NoDirectory,
            Shape::Whole => Mail::Delivered,
        }
    }

    /// What else may be shown; `None` when the record is not shaped as vpopmail writes it: then any field may be the
    /// password.
    pub fn particulars(&self) -> Option<Particulars<'a>> {
        let mut fields = self.rest.split(|b| *b == b':');
        let (gecos, folder, quota) = (fields.next()?, fields.next()?, fields.next()?);
        let is_quota = quota.is_empty()
            || matches!(quota, b"NOQUOTA" | b"BADQUOTA")
            || (quota[0].is_ascii_digit() && quota.iter().all(|b| b.is_ascii_digit() || b"SCKMGBsckmgb,.".contains(b)));
        (folder.first() == Some(&b'/') && is_quota && fields.count() <= 1).then_some(Particulars {
            gecos,
            folder,
            quota,
        })
    }

    /// The flags or-ed with the domain's limits, unless the mailbox overrides them.
    pub fn effective_flags(&self, limits: u64) -> u64 {
        if self.flags & OVERRIDE == 0 { self.flags | limits } else { self.flags }
    }
}

impl std::fmt::Debug for Mailbox<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox").field("flags", &self.flags).field("shape", &self.shape).finish_non_exhaustive()
    }
}

/// The mailboxes of one domain directory.
#[derive(Clone, Debug)]
pub enum Mailboxes {
    /// All of them.
    Known(Vpasswd),
    /// The directory holds neither vpasswd.cdb nor vpasswd.
    Absent,
    /// They could not be read: the file of the directory, and what is wrong with it.
    Unreadable(&'static str, Trouble),
    /// vpopmail keeps its users elsewhere, whatever files the directory holds: what showed that.
    Elsewhere(Trouble),
    /// Nobody knows where vpopmail keeps its users: why.
    Unknown(Trouble),
}

/// What is known when a domain directory holds neither vpasswd.cdb nor vpasswd.
pub const ABSENT: &str = "neither vpasswd.cdb nor vpasswd is there";

/// The content of a vpasswd.cdb, or of a text vpasswd; of equal names the first counts.
#[derive(Clone)]
pub enum Vpasswd {
    /// The cdb as it is, whole and checked; it takes little more memory than the file.
    Compiled(cdb::Indexed),
    /// The text.
    Text(Lines),
    /// The rows of a user database.
    Rows(Rows),
}

/// What a text vpasswd says.
#[derive(Clone, Default)]
pub struct Lines {
    /// Line number and record, by name.
    records: BTreeMap<Vec<u8>, (usize, Vec<u8>)>,
    /// The last line when no newline ends it: vpopmail does not read it.
    unended: Option<usize>,
    /// The first line that is not empty and has no colon: no mailbox.
    colonless: Option<usize>,
}

impl std::fmt::Debug for Vpasswd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Vpasswd::Compiled(_) => "Compiled",
            Vpasswd::Text(_) => "Text",
            Vpasswd::Rows(_) => "Rows",
        })
    }
}

impl Vpasswd {
    /// The mailbox of this name.
    pub fn find(&self, name: &[u8]) -> Option<Mailbox<'_>> {
        match self {
            Vpasswd::Compiled(cdb) => Some(Mailbox::parse(cdb.find(name)?, None)),
            Vpasswd::Text(lines) => lines.records.get(name).map(|(line, record)| Mailbox::parse(record, Some(*line))),
            Vpasswd::Rows(rows) => rows.of(name).next().map(snapshot::mailbox),
        }
    }

    /// The file that it was read from.
    pub fn file(&self) -> &'static str {
        match self {
            Vpasswd::Compiled(_) => COMPILED,
            Vpasswd::Text(_) => TEXT,
            Vpasswd::Rows(_) => "the user database",
        }
    }

    /// The last line of the text when no newline ends it: vpopmail does not read it.
    pub fn unended(&self) -> Option<usize> {
        match self {
            Vpasswd::Compiled(_) | Vpasswd::Rows(_) => None,
            Vpasswd::Text(lines) => lines.unended,
        }
    }

    /// The first line of the text that is not empty and has no colon: it is no mailbox.
    pub fn colonless(&self) -> Option<usize> {
        match self {
            Vpasswd::Compiled(_) | Vpasswd::Rows(_) => None,
            Vpasswd::Text(lines) => lines.colonless,
        }
    }

    /// How many records there are, and about how long they are together, in bytes.
    pub fn size(&self) -> (usize, usize) {
        match self {
            Vpasswd::Compiled(cdb) => (cdb.sorted().len(), cdb.size()),
            Vpasswd::Text(Lines { records, .. }) => {
                (records.len(), records.iter().map(|(name, (_, record))| name.len() + record.len()).sum())
            }
            Vpasswd::Rows(rows) => (rows.len(), rows.size()),
        }
    }

    /// The record of this name in a file, as it is written.
    pub fn record(&self, name: &[u8]) -> Option<&[u8]> {
        match self {
            Vpasswd::Compiled(cdb) => cdb.find(name),
            Vpasswd::Text(lines) => lines.records.get(name).map(|(_, record)| &record[..]),
            Vpasswd::Rows(_) => None,
        }
    }

    /// Every record with its name, as they are written, in the order of the names; the line of the text where there is one.
    fn records(&self) -> impl Iterator<Item = (&[u8], &[u8], Option<usize>)> {
        let (mut compiled, mut text, mut rows) = match self {
            Vpasswd::Compiled(cdb) => (Some(cdb.sorted()), None, None),
            Vpasswd::Text(lines) => (None, Some(lines.records.iter()), None),
            Vpasswd::Rows(rows) => (None, None, Some(rows.iter())),
        };
        std::iter::from_fn(move || match (&mut compiled, &mut text, &mut rows) {
            (Some(records), ..) => records.next().map(|record| (record.key, record.data, None)),
            (_, Some(lines), _) => {
                let (name, (line, record)) = lines.next()?;
                Some((&name[..], &record[..], Some(*line)))
            }
            (.., rows) => rows.as_mut()?.next().map(|(name, value)| (name, value, None)),
        })
    }

    /// The mailbox that a record is.
    fn mailbox<'r>(&self, record: &'r [u8], line: Option<usize>) -> Mailbox<'r> {
        match self {
            Vpasswd::Rows(_) => snapshot::mailbox(record),
            Vpasswd::Compiled(_) | Vpasswd::Text(_) => Mailbox::parse(record, line),
        }
    }

    /// The records whose names vpopmail or an address may use, each once.
    fn usable_ones(&self) -> impl Iterator<Item = (&[u8], &[u8], Option<usize>)> {
        let mut last = None;
        self.records().filter(move |(name, ..)| is_usable(name) && last.replace(*name) != Some(name))
    }

    /// Every mailbox with its name, in the order of the names.
    pub fn all(&self) -> Vec<(&[u8], Mailbox<'_>)> {
        self.records().map(|(name, record, line)| (name, self.mailbox(record, line))).collect()
    }

    /// The records of the mailboxes that vpopmail can find, as they are written.
    pub fn usable_records(&self) -> Vec<(&[u8], &[u8])> {
        let found = self.usable_ones().filter(|(name, ..)| is_found(name));
        found.map(|(name, record, _)| (name, record)).collect()
    }

    /// The mailboxes whose names vpopmail or an address may use, sorted by name, each once: no upper-case letter, no longer
    /// than an address.
    pub fn usable(&self) -> impl Iterator<Item = (&[u8], Mailbox<'_>)> {
        self.usable_ones().map(|(name, record, line)| (name, self.mailbox(record, line)))
    }
}

fn is_usable(name: &[u8]) -> bool {
    name.len() <= ADDRESS_MAX && !name.iter().any(u8::is_ascii_uppercase)
}

/// The directory of a mailbox, by its record; empty when it says none that can be one.
pub fn directory_of(record: &[u8]) -> &[u8] {
    let directory = record.split(|b| *b == b':').nth(4).unwrap_or_default();
    if directory.len() < PATH_MAX && !directory.contains(&0) { directory } else { b"" }
}

/// Tells whose a file of a home directory is, to which these links led from its name (see [`trust`](crate::fs::trust)).
pub type Judge<'a> = &'a dyn Fn(&Opened, &[Link]) -> Ownership;

impl Mailboxes {
    /// All of them, when they are known.
    pub fn known(&self) -> Option<&Vpasswd> {
        match self {
            Mailboxes::Known(mailboxes) => Some(mailboxes),
            Mailboxes::Absent | Mailboxes::Unreadable(..) | Mailboxes::Elsewhere(_) | Mailboxes::Unknown(_) => None,
        }
    }

    /// Reads vpasswd.cdb, or, when there is none, the text vpasswd that vpopmail would make it from. `home` is the path
    /// of the open `directory`. What is not its owner's decides about mail, as far as the domain's uid can read it; the
    /// second value then says why no login is taken from it. So many domains have their mailboxes there.
    pub fn read(
        root: &Root,
        home: &[u8],
        directory: &Directory,
        judge: Judge<'_>,
        domains: usize,
    ) -> (Mailboxes, Option<Trouble>) {
        let mut doubt = None;
        // Each mailbox is an entry of each domain.
        let most = root.bounds.entries / domains.max(1);
        let is_few = |records: usize| match root.budget() {
            Some(budget) if records > most => budget.entries(records.saturating_mul(domains.max(1))),
            _ => Ok(()),
        };
        let compiled =
            read_judged(root, home, directory, COMPILED, judge, &mut doubt, |file| read_compiled(file, &is_few));
        match compiled {
            Ok(Some(cdb)) => return (Mailboxes::Known(Vpasswd::Compiled(cdb)), doubt),
            Ok(None) => {}
            Err(cause) => return (Mailboxes::Unreadable(COMPILED, cause), None),
        }
        let lines = match read_judged(root, home, directory, TEXT, judge, &mut doubt, |file| read_text(file, &is_few)) {
            Ok(Some(lines)) => lines,
            Ok(None) => return (Mailboxes::Absent, None),
            Err(cause) => return (Mailboxes::Unreadable(TEXT, cause), None),
        };
        // vpopmail makes an empty file first, and fills it a moment later.
        let unread = match (lines.records.is_empty(), lines.unended) {
            (false, _) => return (Mailboxes::Known(Vpasswd::Text(lines)), doubt),
            (true, None) => "no mailbox in it, and there is no vpasswd.cdb".into(),
            (true, Some(line)) => {
                format!("no mailbox in it but on line {line}, which no newline ends, and there is no vpasswd.cdb")
                    .into()
            }
        };
        (Mailboxes::Unreadable(TEXT, unread), None)
    }
}

/// The text vpasswd from which a vpasswd.cdb was made; it is read when the first line is asked for.
pub struct TextBeside<'a> {
    root: &'a Root,
    home: &'a [u8],
    lines: Option<Lines>,
}

impl<'a> TextBeside<'a> {
    /// The text in the domain directory `home`.
    pub fn new(root: &'a Root, home: &'a [u8]) -> TextBeside<'a> {
        TextBeside { root, home, lines: None }
    }

    /// The line with the record that `vpasswd` has of this mailbox; `None` when no line has exactly that record, or the text
    /// cannot be read.
    pub fn line_of(&mut self, name: &[u8], vpasswd: &Vpasswd) -> Option<usize> {
        let lines = self.lines.get_or_insert_with(|| {
            let text = self.root.read(&[self.home, b"/", TEXT.as_bytes()].concat());
            text.ok().flatten().map_or_else(Lines::default, |text| parse_text(&text))
        });
        let (line, record) = lines.records.get(name)?;
        (Some(&record[..]) == vpasswd.record(name)).then_some(*line)
    }
}

/// Reads a file of mailboxes when it is the owner's of the directory, or the domain's uid can read it; `doubt` then says why
/// no login is taken from it. `None` when it is not there.
fn read_judged<T>(
    root: &Root,
    home: &[u8],
    directory: &Directory,
    name: &str,
    judge: Judge<'_>,
    doubt: &mut Option<Trouble>,
    read: impl FnOnce(Opened) -> io::Result<T>,
) -> Result<Option<T>, Trouble> {
    let Some((file, links)) = open_file(root, home, directory, name)? else { return Ok(None) };
    match judge(&file, &links) {
        Ownership::Own => {}
        Ownership::Readable(why) => *doubt = Some(Trouble::from(why).of_file(name)),
        Ownership::Closed(why) => return Err(why.into()),
    }
    read(file).map(Some).map_err(|cause| (&cause).into())
}

/// Reads a vpasswd.cdb, and makes sure that it is whole before much of it is in memory. `is_few` is asked how many records
/// there may be.
fn read_compiled(file: Opened, is_few: &dyn Fn(usize) -> io::Result<()>) -> io::Result<cdb::Indexed> {
    cdb::Indexed::read(&Compiled { file, is_few })
}

/// An open vpasswd.cdb.
struct Compiled<'a> {
    file: Opened,
    is_few: &'a dyn Fn(usize) -> io::Result<()>,
}

impl cdb::Source for Compiled<'_> {
    fn length(&self) -> u64 {
        self.file.size
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        self.file.read_at(buffer, position)
    }

    fn data_from(&self, position: u64) -> io::Result<Option<u64>> {
        self.file.data_from(position)
    }

    fn may_hold(&self, bytes: u64) -> io::Result<()> {
        self.file.may_hold(bytes)
    }

    fn may_have(&self, records: usize) -> io::Result<()> {
        (self.is_few)(records)
    }
}

/// Reads a text vpasswd. A line without a colon takes no memory.
fn read_text(file: Opened, is_few: &dyn Fn(usize) -> io::Result<()>) -> io::Result<Lines> {
    let text = file.read_all()?;
    is_few(crate::text::lines(&text).filter(|(_, line)| line.contains(&b':')).count())?;
    Ok(parse_text(&text))
}

/// Opens a file of the directory, and tells of the links that led to it; `None` when it is not there.
fn open_file(
    root: &Root,
    home: &[u8],
    directory: &Directory,
    name: &str,
) -> Result<Option<(Opened, Vec<Link>)>, Trouble> {
    match directory.open_file(name.as_bytes()) {
        Ok(file) => Ok(Some((file, Vec::new()))),
        // A link, which is followed from the root.
        Err(cause) if cause.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32) => {
            let elsewhere = |cause: Trouble| cause.of_file("a link that leads elsewhere");
            let walk = root.walk(&[home, b"/", name.as_bytes()].concat());
            match walk.end {
                End::Found(found) => match found.open_file() {
                    Ok(file) => Ok(Some((file, walk.links))),
                    Err(cause) => Err(elsewhere((&cause).into())),
                },
                End::Missing(_) => Ok(None),
                End::Failed(cause) => Err(elsewhere(cause.into())),
                End::Silent(silence) => Err(elsewhere((&io::Error::from(silence)).into())),
            }
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err((&cause).into()),
    }
}

/// The text vpasswd, `name:record` a line; a line without a colon is no mailbox, nor is one at the end without a newline.
pub fn parse_text(text: &[u8]) -> Lines {
    let ended = memchr::memrchr(b'\n', text).map_or(0, |last| last + 1);
    let mut found = Lines::default();
    let mut number = 0;
    for (at, line) in crate::text::lines(&text[..ended]) {
        number = at;
        if let Some(colon) = line.iter().position(|b| *b == b':') {
            let record = || (number, line[colon + 1..].to_vec());
            found.records.entry(line[..colon].to_vec()).or_insert_with(record);
        } else if found.colonless.is_none() && !line.is_empty() {
            found.colonless = Some(number);
        }
    }
    found.unended = (ended < text.len()).then_some(number + 1);
    found
}

/// The flags that a file of limits (.qmailadmin-limits, vlimits.default) switches on.
pub fn parse_limits(text: &[u8]) -> u64 {
    let lines = text.split(|b| matches!(b, b'\n' | b'\r')).filter(|line| line.first() != Some(&b'#'));
    let flag = |line: &[u8]| {
        let name = line.split(|b| matches!(b, b' ' | b'\t' | b':')).next();
        LIMIT_FLAGS.iter().find(|(limit, _)| name == Some(limit)).map_or(0, |(_, flag)| *flag)
    };
    lines.map(flag).fold(0, |all, flag| all | flag)
}

/// The limits in a domain directory; `None` when it has none of its own.
///
/// # Errors
/// A file that is there and cannot be read.
pub fn read_limits(root: &Root, home: &[u8], directory: &Directory) -> Result<Option<u64>, Trouble> {
    let Some((file, links)) = open_file(root, home, directory, LIMITS)? else { return Ok(None) };
    let (its, own) = (file.perm.uid, directory.perm.uid);
    if !links.is_empty() && its != own {
        let words = format!("a link that leads elsewhere: to a file of uid {its}, in a directory of uid {own}");
        return Err(words.into());
    }
    let text = file.read_all().map_err(|cause| Trouble::from(&cause))?;
    Ok(Some(parse_limits(&text)))
}

/// Whether vpopmail ever finds the mailbox of this name, and an address can name it: a record without a name is no
/// one's.
pub fn is_found(name: &[u8]) -> bool {
    !name.is_empty() && is_legal_name(name) && name.len() <= ADDRESS_MAX
}

/// Whether vpopmail looks the name up at all: lower case, and only bytes that a mailbox may be called by.
pub fn is_legal_name(name: &[u8]) -> bool {
    name.iter().all(|b| LEGAL[usize::from(*b)])
}

/// Whether a mailbox's name may hold a byte.
const LEGAL: [bool; 256] = bytes_among(b"abcdefghijklmnopqrstuvwxyz0123456789!#$&'*+-./=?^_`{|}~");

/// Whether vdelivermail takes the domain: letters, digits, `-` and `.`.
pub fn is_legal_host(host: &[u8]) -> bool {
    host.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_on_whatever_its_value_says() {
        for (text, on) in [
            ("disable_smtp\n", true),
            ("maxpopaccounts -1\ndisable_smtp 0\n", true),
            ("disable_smtp: 1\r\nx", true),
            ("# disable_smtp\ndisable_pop\n", false),
            ("Disable_smtp\n disable_smtp\ndisable_smtpx\n", false),
        ] {
            assert_eq!(parse_limits(text.as_bytes()) & NO_SMTP != 0, on, "{text:?}");
        }
        let names =
            flag_names(parse_limits(b"disable_pop 0\n#disable_imap\ndelete_spam\rdisable_maildrop:1\nquota 5\n"));
        assert_eq!(names, ["no_pop", "delete_spam", "no_maildrop"]);
        assert_eq!(flag_names(0x8_0010), ["bounce_mail", "0x80000"]);
    }

    #[test]
    fn what_may_be_the_password_is_no_particular() {
        let of = |record: &'static str| Mailbox::parse(record.as_bytes(), None).particulars();
        let shown = |folder: &'static str, quota: &'static str| {
            Some(Particulars { gecos: b"Ann", folder: folder.as_bytes(), quota: quota.as_bytes() })
        };
        assert_eq!(of("x:1:0:Ann:/d:NOQUOTA"), shown("/d", "NOQUOTA"));
        assert_eq!(of("x:1:0:Ann:/d:1048576S,100C:secret"), shown("/d", "1048576S,100C"));
        for record in ["x:1", "x:1:0", "x:1:0:/d:NOQUOTA:secret", "x:1:0:Ann:/d:secret", "x:1:0:A:nn:/d:NOQUOTA:secret"]
        {
            assert_eq!(of(record), None, "{record}");
        }
        assert_eq!(of("x:1:0:Ann:/d:NOQUOTA:with:colons"), None);
    }

    #[test]
    fn a_mailbox_overrides_the_limits_of_its_domain_but_not_its_own_flags() {
        let flags = |record: &str| Mailbox::parse(record.as_bytes(), None).effective_flags(NO_SMTP) & NO_SMTP;
        assert_eq!(flags("x:1:0:N:/d:NOQUOTA"), NO_SMTP);
        assert_eq!(flags("x:1:8192:N:/d:NOQUOTA"), 0);
        assert_eq!(flags("x:1:10240:N:/d:NOQUOTA"), NO_SMTP);
    }

    #[test]
    fn what_becomes_of_mail_is_in_the_number_of_fields_and_one_flag() {
        for (record, mail) in [
            ("x:1", Mail::Crashes),
            ("", Mail::Crashes),
            ("x:1:", Mail::NoDirectory),
            ("x:1:0:N", Mail::NoDirectory),
            ("x:1:16:N", Mail::SwitchedOff),
            ("x:1:0:N:", Mail::Delivered),
            ("x:1:0:N:/d:Q", Mail::Delivered),
        ] {
            assert_eq!(Mailbox::parse(record.as_bytes(), None).mail(), mail, "{record}");
        }
    }

    #[test]
    fn flags_are_read_as_atoi_reads_them() {
        let all = u64::from(u32::MAX);
        for (field, flags) in [
            ("16abc", 16),
            ("abc", 0),
            (" \t+2048", 2048),
            ("-1", all),
            ("-2048", all - 2047),
            ("4294967296", 0),
            ("4294967312", 16),
            ("9223372036854775807", all),
            ("9223372036854775808", all),
            ("99999999999999999999999", all),
            ("-9223372036854775808", 0),
            ("-99999999999999999999999", 0),
        ] {
            assert_eq!(Mailbox::parse(format!("x:1:{field}:N:/d:Q").as_bytes(), None).flags, flags, "{field:?}");
        }
    }
}
