//! Which logins auth.cdb holds, with which data (SPEC section 4, "Logins"). Pure.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Trouble;
use crate::host::authvars::{AuthVars, Variables, expires};
use crate::host::vpopmail::{Mailbox, NO_SMTP, Shape, is_found};
use crate::host::{Home, Host};

/// One record of auth.cdb.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Login {
    /// What the client sends as its user name.
    pub key: Vec<u8>,
    /// The crypt string, then `,NAME="value"` groups. Never shown.
    pub data: Vec<u8>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("key", &crate::text::Shown(&self.key)).finish_non_exhaustive()
    }
}

/// Takes a login: its key and its data, each in pieces.
pub type Taker<'t> = dyn FnMut(&[&[u8]], &[&[u8]]) + 't;

/// What decides about logins beside the homes.
#[derive(Debug)]
pub struct Policy<'a> {
    host: &'a Host,
    /// control/authvars.
    variables: &'a AuthVars,
    /// Seconds since 1970-01-01 UTC.
    now: u64,
    /// When the first of the logins asked for so far expires, or `u64::MAX`.
    next_expiry: AtomicU64,
}

impl<'a> Policy<'a> {
    /// A host, its control/authvars, and the time in seconds since 1970-01-01 UTC.
    pub fn new(host: &'a Host, variables: &'a AuthVars, now: u64) -> Policy<'a> {
        Policy { host, variables, now, next_expiry: AtomicU64::new(u64::MAX) }
    }

    /// Whether this time, in seconds since 1970-01-01 UTC, has come.
    pub fn is_over(&self, time: u64) -> bool {
        self.now >= time
    }

    /// Notes when others expire.
    pub fn expires(&self, time: Option<u64>) {
        self.next_expiry.fetch_min(time.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The same, asked for nothing so far.
    pub fn again(&self) -> Policy<'a> {
        Policy::new(self.host, self.variables, self.now)
    }

    /// When the first of the logins asked for so far expires, in seconds since 1970-01-01 UTC.
    pub fn next_expiry(&self) -> Option<u64> {
        Some(self.next_expiry.load(Ordering::Relaxed)).filter(|time| *time < u64::MAX)
    }

    /// Hands the logins of one vpopmail domain, whose `+domain-` line names this home, to `found`.
    ///
    /// # Errors
    /// Why they cannot be known: the home, its mailboxes or its limits could not be read.
    pub fn domain(&self, domain: &[u8], home: &Home, found: &mut Taker<'_>) -> Result<(), Trouble> {
        let mailboxes = home.known_mailboxes()?;
        let limits = home.limits.as_ref().map_err(Clone::clone)?;
        for (name, mailbox) in mailboxes.usable() {
            // Who may not log in has no record.
            let _ = self.mailbox(name, domain, mailbox, *limits, found);
        }
        Ok(())
    }

    /// Hands the logins of one mailbox to `found`.
    ///
    /// # Errors
    /// Why it may not authenticate for SMTP.
    pub fn mailbox(
        &self,
        name: &[u8],
        domain: &[u8],
        mailbox: Mailbox<'_>,
        limits: u64,
        found: &mut Taker<'_>,
    ) -> Result<(), &'static str> {
        if !is_found(name) {
            return Err("vpopmail never finds that name");
        }
        let crypt = usable_crypt(mailbox, limits, self.host.build.keeps_scheme.is_none())?;
        if self.login(name, domain, crypt, found) { Ok(()) } else { Err("expired, says control/authvars") }
    }

    /// The records of one mailbox: `name@domain`, and the bare name in the default domain; false when it has expired.
    fn login(&self, name: &[u8], domain: &[u8], crypt: &[u8], found: &mut Taker<'_>) -> bool {
        let Some(groups) = self.groups(&[name, b"@", domain]) else { return false };
        let bare = self.host.default_domain.as_ref().is_ok_and(|default| default.as_deref() == Some(domain))
            && !name.iter().any(|b| b"/%".contains(b));
        found(&[name, b"@", domain], &[crypt, &groups]);
        if bare {
            found(&[name], &[crypt, &groups]);
        }
        true
    }

    /// What follows the hash in the data of a login that counts as this address in authvars; `None` when it has expired.
    fn groups(&self, address: &[&[u8]]) -> Option<Vec<u8>> {
        let mut groups = Vec::new();
        if self.variables.is_empty() {
            return Some(groups);
        }
        let variables: Variables = self.variables.of(&address.concat());
        if let Some(time) = expires(&variables) {
            if self.is_over(time) {
                return None;
            }
            self.next_expiry.fetch_min(time, Ordering::Relaxed);
        }
        for (name, value) in variables {
            groups.extend([b",", &name[..], b"=\"", &value, b"\""].concat());
        }
        Some(groups)
    }

    /// The published record of a mailbox as it would be published now, with today's variables and default domain: for a
    /// domain that cannot be read.
    pub fn kept(&self, name: &[u8], domain: &[u8], data: &[u8]) -> Vec<Login> {
        let mut kept = Vec::new();
        if !is_found(name) {
            return kept;
        }
        self.login(name, domain, data.split(|b| *b == b',').next().unwrap_or_default(), &mut |key, data| {
            kept.push(Login { key: key.concat(), data: data.concat() });
        });
        kept
    }

    /// The published record of a system account as it would be published now.
    pub fn kept_system_user(&self, name: &[u8], data: &[u8]) -> Option<Login> {
        self.system_user(name, data.split(|b| *b == b',').next().unwrap_or_default())
    }

    /// The record of a system account.
    pub fn system_user(&self, name: &[u8], hash: &[u8]) -> Option<Login> {
        let (hash, groups) = (usable_hash(hash)?, self.groups(&[name])?);
        Some(Login { key: name.to_vec(), data: [hash, &groups].concat() })
    }
}

/// The crypt string that qmail-smtpd can compare with, or why the mailbox may not log in; `cuts_scheme`: vpopmail compares
/// what follows a `{SCHEME}`.
fn usable_crypt(mailbox: Mailbox<'_>, limits: u64, cuts_scheme: bool) -> Result<&[u8], &'static str> {
    if mailbox.shape == Shape::Broken {
        return Err("its record has fewer than three fields");
    }
    if mailbox.effective_flags(limits) & NO_SMTP != 0 {
        return Err(if mailbox.flags & NO_SMTP != 0 { "its flag no_smtp" } else { "the domain's limit disable_smtp" });
    }
    let mut crypt = usable_hash(mailbox.crypt);
    if has_scheme(mailbox.crypt) && !cuts_scheme {
        return Err("its password begins with a {SCHEME}, and vpopmail before 5.6 compares that too");
    }
    if mailbox.crypt.starts_with(b"{") {
        crypt = crypt.and_then(|crypt| usable_hash(without_scheme(crypt)));
    }
    crypt.ok_or("its password field holds nothing that authenticates")
}

/// Whether a `{SCHEME}` stands before a crypt string.
pub fn has_scheme(crypt: &[u8]) -> bool {
    crypt.starts_with(b"{") && crypt.contains(&b'}')
}

/// The crypt string without the `{SCHEME}` that vpopmail strips before it compares.
fn without_scheme(crypt: &[u8]) -> &[u8] {
    match crypt.first() {
        Some(b'{') => memchr::memchr(b'}', crypt).map_or(crypt, |end| &crypt[end + 1..]),
        _ => crypt,
    }
}

/// What is wrong with a crypt string, for `check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weakness {
    /// There is none.
    Empty,
    /// It begins with `*` or `!`: locked on purpose.
    Locked,
    /// It can never match, or cannot be written into auth.cdb.
    Unusable,
    /// The traditional one, of 13 characters.
    Des,
    /// `$1$`.
    Md5,
}

impl Weakness {
    /// What follows for the mailboxes that have it.
    pub fn words(self) -> &'static str {
        match self {
            Weakness::Empty => "without a password: nobody logs in",
            Weakness::Locked => "locked by a * or ! before the hash",
            Weakness::Unusable => "with something that is no hash of crypt(3): nobody logs in",
            Weakness::Des => "with DES hashes, of which only 8 characters of a password count",
            Weakness::Md5 => "with MD5 hashes, which are guessed quickly",
        }
    }
}

/// What is wrong with a crypt string of vpasswd; `None` for a sound one.
pub fn weakness(crypt: &[u8]) -> Option<Weakness> {
    let crypt = without_scheme(crypt);
    match crypt {
        [] => Some(Weakness::Empty),
        [b'*' | b'!', ..] => Some(Weakness::Locked),
        _ if usable_hash(crypt).is_none() => Some(Weakness::Unusable),
        _ if crypt.starts_with(b"$1$") => Some(Weakness::Md5),
        // bcrypt, SHA-256, SHA-512, scrypt, yescrypt, gost-yescrypt: crypt(5).
        [b'$', b'2', b'a' | b'b' | b'x' | b'y', b'$', ..] | [b'$', b'5' | b'6' | b'7' | b'y', b'$', ..] => None,
        _ if crypt.starts_with(b"$gy$") => None,
        _ if crypt.len() == 13 && crypt.iter().all(|b| b.is_ascii_alphanumeric() || b"./".contains(b)) => {
            Some(Weakness::Des)
        }
        _ => Some(Weakness::Unusable),
    }
}

/// How a password is hashed, in the words of crypt(5), and never a byte of it.
pub fn scheme(crypt: &[u8]) -> &'static str {
    let sound = |crypt: &[u8]| match crypt.get(1..3) {
        Some(b"6$") => "sha512-crypt",
        Some(b"5$") => "sha256-crypt",
        Some(b"7$") => "scrypt",
        Some(b"y$") => "yescrypt",
        Some(b"gy") => "gost-yescrypt",
        _ => "bcrypt",
    };
    match weakness(crypt) {
        None => sound(without_scheme(crypt)),
        Some(Weakness::Md5) => "md5-crypt",
        Some(Weakness::Des) => "des-crypt",
        Some(Weakness::Empty) => "none",
        Some(Weakness::Locked) => "locked",
        Some(Weakness::Unusable) => "unknown",
    }
}

/// What is empty, begins with `*` or `!`, or holds a comma never authenticates.
fn usable_hash(crypt: &[u8]) -> Option<&[u8]> {
    (!matches!(crypt.first(), None | Some(b'*' | b'!')) && memchr::memchr(b',', crypt).is_none()).then_some(crypt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_is_stripped_and_what_never_authenticates_is_left_out() {
        let usable = |record: &str| {
            let mailbox = Mailbox::parse(record.as_bytes(), None);
            usable_crypt(mailbox, 0, true).ok().map(|crypt| String::from_utf8_lossy(crypt).into_owned())
        };
        assert_eq!(usable("{SHA512-CRYPT}$6$a$b:1:0:N").as_deref(), Some("$6$a$b"));
        assert_eq!(usable("$6$a$b:1:0:N").as_deref(), Some("$6$a$b"));
        let mailbox = Mailbox::parse(b"{SHA512-CRYPT}$6$a$b:1:0:N", None);
        assert!(usable_crypt(mailbox, 0, false).is_err(), "vpopmail 5.4 compares the scheme too");
        for record in [
            ":1:0:N",
            "*:1:0:N",
            "!$6$a$b:1:0:N",
            "a,b:1:0:N",
            "{X}:1:0:N",
            "{X}*:1:0:N",
            "$6$a$b:1:2048:N",
            "$6$a$b:1",
        ] {
            assert_eq!(usable(record), None, "{record}");
        }
    }
}
