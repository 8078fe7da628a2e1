//! One vpopmail domain directory: mailboxes, flags, limits (SPEC section 4). The seam where a domain's mailboxes come
//! from: a SQL backend fills the same [`Mailboxes`].

use std::collections::HashMap;
use std::io;
use std::num::NonZeroU32;

use crate::cdb;
use crate::error::show_cause;
use crate::root::{Directory, Root};
use crate::text::leading_number;

/// A mailbox's mail bounces (vmoduser -b).
pub const BOUNCE_MAIL: u64 = 0x10;
/// No SMTP AUTH (vmoduser -s; `disable_smtp`).
pub const NO_SMTP: u64 = 0x800;
/// The domain's limits do not count for this mailbox (vmoduser -o).
pub const OVERRIDE: u64 = 0x2000;

/// An address longer than this never passes qmail-smtpd, in bytes; a longer name is none.
pub const ADDRESS_MAX: usize = 900;

/// What the programs read.
pub const COMPILED: &str = "vpasswd.cdb";
/// What it is made from.
pub const TEXT: &str = "vpasswd";

/// One mailbox: what vpasswd says behind its name.
#[derive(Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The crypt field, as it is written. Never shown.
    pub crypt: Vec<u8>,
    /// The gid field: vpopmail's bit mask of flags.
    pub flags: u64,
    /// A record with fewer than three fields, on which vdelivermail crashes.
    pub broken: bool,
    /// The line of the text vpasswd; `None` when it came from vpasswd.cdb.
    pub line: Option<NonZeroU32>,
}

impl Mailbox {
    /// Parses `crypt:uid:gid:gecos:dir:quota[:clear password]`.
    pub fn parse(record: &[u8]) -> Mailbox {
        let mut fields = record.split(|b| *b == b':');
        let crypt = fields.next().unwrap_or_default().to_vec();
        let gid = fields.nth(1);
        Mailbox { crypt, flags: gid.map_or(0, leading_number), broken: gid.is_none(), line: None }
    }

    /// The flags or-ed with the domain's limits, unless the mailbox overrides them.
    pub fn effective_flags(&self, limits: u64) -> u64 {
        if self.flags & OVERRIDE == 0 { self.flags | limits } else { self.flags }
    }
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox").field("flags", &self.flags).field("broken", &self.broken).finish_non_exhaustive()
    }
}

/// The mailboxes of one domain directory.
#[derive(Clone, Debug)]
pub enum Mailboxes {
    /// All of them, by name; of equal names the first.
    Known(HashMap<Vec<u8>, Mailbox>),
    /// The directory holds neither vpasswd.cdb nor vpasswd.
    Absent,
    /// They could not be read: the file of the directory, and what is wrong with it.
    Unreadable(&'static str, String),
}

impl Default for Mailboxes {
    fn default() -> Self {
        Mailboxes::Known(HashMap::new())
    }
}

impl Mailboxes {
    /// Reads vpasswd.cdb, or, when there is none, the text vpasswd that vpopmail would make it from. `home` is the path
    /// of the open `directory`.
    pub fn read(root: &Root, home: &[u8], directory: &Directory) -> Mailboxes {
        let read = |name| read_file(root, home, directory, name);
        match read(COMPILED) {
            Ok(Some(image)) => match parse_compiled(&image) {
                Ok(mailboxes) => return Mailboxes::Known(mailboxes),
                Err(corrupt) => return Mailboxes::Unreadable(COMPILED, corrupt.to_string()),
            },
            Ok(None) => {}
            Err(cause) => return Mailboxes::Unreadable(COMPILED, show_cause(&cause)),
        }
        match read(TEXT) {
            Ok(Some(text)) if text.is_empty() => {
                Mailboxes::Unreadable(TEXT, "empty, and there is no vpasswd.cdb".to_owned())
            }
            Ok(Some(text)) => Mailboxes::Known(parse_text(&text)),
            Ok(None) => Mailboxes::Absent,
            Err(cause) => Mailboxes::Unreadable(TEXT, show_cause(&cause)),
        }
    }
}

/// A file of the directory; `None` when it is not there.
fn read_file(root: &Root, home: &[u8], directory: &Directory, name: &str) -> io::Result<Option<Vec<u8>>> {
    match directory.open_file(name.as_bytes()) {
        // A link, which is followed from the root.
        Err(cause) if cause.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32) => {
            root.read(&[home, b"/", name.as_bytes()].concat())
        }
        Ok(file) if u32::try_from(file.size).is_err() => Err(io::Error::other(cdb::Corrupt::TooLong)),
        Ok(file) => file.read_all(u32::MAX as usize).map(Some),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cause),
    }
}

fn parse_compiled(image: &[u8]) -> Result<HashMap<Vec<u8>, Mailbox>, cdb::Corrupt> {
    let mut found = HashMap::new();
    for record in cdb::Reader::new(image)?.records() {
        let record = record?;
        found.entry(record.key.to_vec()).or_insert_with(|| Mailbox::parse(record.data));
    }
    Ok(found)
}

/// The text vpasswd, `name:record` a line; a line without a colon is no mailbox.
fn parse_text(text: &[u8]) -> HashMap<Vec<u8>, Mailbox> {
    let mut found = HashMap::new();
    for (number, line) in crate::text::lines(text) {
        if let Some(colon) = line.iter().position(|b| *b == b':') {
            let line_number = u32::try_from(number).ok().and_then(NonZeroU32::new);
            let mailbox = || Mailbox { line: line_number, ..Mailbox::parse(&line[colon + 1..]) };
            found.entry(line[..colon].to_vec()).or_insert_with(mailbox);
        }
    }
    found
}

/// The flags that a file of limits (.qmailadmin-limits, vlimits.default) switches on: of its names we know the one that
/// decides about SMTP.
pub fn parse_limits(text: &[u8]) -> u64 {
    let on = text.split(|b| matches!(b, b'\n' | b'\r')).filter(|line| line.first() != Some(&b'#')).any(|line| {
        let name = line.split(|b| matches!(b, b' ' | b'\t' | b':')).next();
        name == Some(b"disable_smtp")
    });
    if on { NO_SMTP } else { 0 }
}

/// The limits in a domain directory; `None` when it has none of its own.
///
/// # Errors
/// A file that is there and cannot be read.
pub fn read_limits(root: &Root, home: &[u8], directory: &Directory) -> io::Result<Option<u64>> {
    Ok(read_file(root, home, directory, ".qmailadmin-limits")?.map(|text| parse_limits(&text)))
}

/// Whether vpopmail looks the name up at all: lower case, and only bytes that a mailbox may be called by.
pub fn is_legal_name(name: &[u8]) -> bool {
    name.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$&'*+-./=?^_`{|}~".contains(b))
}

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
            assert_eq!(parse_limits(text.as_bytes()) == NO_SMTP, on, "{text:?}");
        }
    }

    #[test]
    fn a_mailbox_overrides_the_limits_of_its_domain_but_not_its_own_flags() {
        let flags = |record: &str| Mailbox::parse(record.as_bytes()).effective_flags(NO_SMTP) & NO_SMTP;
        assert_eq!(flags("x:1:0:N:/d:NOQUOTA"), NO_SMTP);
        assert_eq!(flags("x:1:8192:N:/d:NOQUOTA"), 0);
        assert_eq!(flags("x:1:10240:N:/d:NOQUOTA"), NO_SMTP);
    }

    #[test]
    fn fewer_than_three_fields_break_vdelivermail() {
        assert!(Mailbox::parse(b"x:1").broken);
        assert!(!Mailbox::parse(b"x:1:").broken);
        assert_eq!(Mailbox::parse(b"x:1:16abc:N").flags, BOUNCE_MAIL);
    }
}
