//! Which logins auth.cdb holds, with which data (docs/rules.md, 4.6). Pure.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::error::{Trouble, show_path};
use crate::host::authvars::{AuthVars, Variables, expires, parse_groups};
use crate::host::crypt::{Fault, Scheme, judge};
use crate::host::vpopmail::{ABSENT, Mailbox, NO_SMTP, Shape, is_found};
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

/// The published logins: where the variables are kept from that control/authvars cannot tell now.
pub trait PublishedLogins: Sync + std::fmt::Debug {
    /// The data of this login.
    fn data(&self, login: &[u8]) -> Option<Vec<u8>>;
}

/// How many logins are concerned by lines of control/authvars that cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    /// Those that keep their published variables.
    pub kept: usize,
    /// Those that are not published, so that they have none to keep.
    pub left_out: usize,
}

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
    published: Option<&'a dyn PublishedLogins>,
    /// Those asked for so far whose variables are kept, and those that are left out.
    kept: AtomicUsize,
    left_out: AtomicUsize,
}

impl<'a> Policy<'a> {
    /// A host, its control/authvars, and the time in seconds since 1970-01-01 UTC.
    pub fn new(host: &'a Host, variables: &'a AuthVars, now: u64) -> Policy<'a> {
        let next_expiry = AtomicU64::new(u64::MAX);
        let (kept, left_out) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Policy { host, variables, now, next_expiry, published: None, kept, left_out }
    }

    /// The same, with the published logins, from which the variables are kept that control/authvars cannot tell.
    #[must_use]
    pub fn keeping(self, published: Option<&'a dyn PublishedLogins>) -> Policy<'a> {
        Policy { published, ..self }
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
        Policy::new(self.host, self.variables, self.now).keeping(self.published)
    }

    /// The logins asked for so far whose variables are not known.
    pub fn unknown(&self) -> Unknown {
        Unknown { kept: self.kept.load(Ordering::Relaxed), left_out: self.left_out.load(Ordering::Relaxed) }
    }

    /// Others that were asked for.
    pub fn add_unknown(&self, Unknown { kept, left_out }: Unknown) {
        self.kept.fetch_add(kept, Ordering::Relaxed);
        self.left_out.fetch_add(left_out, Ordering::Relaxed);
    }

    /// When the first of the logins asked for so far expires, in seconds since 1970-01-01 UTC.
    pub fn next_expiry(&self) -> Option<u64> {
        Some(self.next_expiry.load(Ordering::Relaxed)).filter(|time| *time < u64::MAX)
    }

    /// Whether the logins of this domain differ from those of another one with the same home in nothing but its name.
    pub fn is_plain(&self, domain: &[u8]) -> bool {
        !self.host.is_default_domain(domain) && !self.variables.may_name(domain)
    }

    /// Hands the logins of one vpopmail domain, whose `+domain-` line names this home, to `found`.
    ///
    /// # Errors
    /// Why they cannot be known: the home, its mailboxes or its limits could not be read.
    pub fn domain(&self, domain: &[u8], home: &Home, found: &mut Taker<'_>) -> Result<(), Trouble> {
        let of = self.host.login_domain(domain);
        let mailboxes = home.known_mailboxes(of)?;
        let users = home.users_of(of).ok_or_else(|| Trouble::from(ABSENT))?;
        users.logins.clone()?;
        let limits = users.limits.as_ref().map_err(Clone::clone)?;
        for (name, mailbox) in mailboxes.usable() {
            // A refused login has no record.
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
    ) -> Result<(), Refusal> {
        if !is_found(name) {
            return Err(Refusal::Name);
        }
        let crypt = usable_crypt(mailbox, limits, self.host.build.keeps_scheme.is_none())?;
        self.login(name, domain, crypt, found)
    }

    /// The records of one mailbox: `name@domain`, and the bare name in the default domain.
    fn login(&self, name: &[u8], domain: &[u8], crypt: &[u8], found: &mut Taker<'_>) -> Result<(), Refusal> {
        let groups = self.groups(&[name, b"@", domain])?;
        let bare = self.host.is_default_domain(domain) && !name.iter().any(|b| b"/%".contains(b));
        found(&[name, b"@", domain], &[crypt, &groups]);
        if bare {
            found(&[name], &[crypt, &groups]);
        }
        Ok(())
    }

    /// What follows the hash in the data of a login that counts as this address in authvars.
    ///
    /// # Errors
    /// It has expired; or its variables are not known.
    fn groups(&self, address: &[&[u8]]) -> Result<Vec<u8>, Refusal> {
        let mut groups = Vec::new();
        if self.variables.is_empty() {
            return Ok(groups);
        }
        let address = address.concat();
        if self.variables.is_concerned(&address) {
            return self.kept_groups(&address);
        }
        let variables: Variables = self.variables.of(&address);
        self.not_expired(expires(&variables))?;
        for (name, value) in variables {
            groups.extend([b",", &name[..], b"=\"", &value, b"\""].concat());
        }
        Ok(groups)
    }

    /// Why the variables of this login are unknown to this process, which is not root, when it may not read
    /// control/authvars.
    pub fn closed_variables(&self, address: &[u8]) -> Option<Trouble> {
        let file =
            self.variables.unusable().filter(|file| file.cause.denied && self.variables.is_concerned(address))?;
        let path = self.host.layout.root.path(&file.path);
        Some(file.cause.clone().of_file(show_path(&path)))
    }

    /// When a login of this address is refused, in seconds since 1970-01-01 UTC.
    pub fn expiry(&self, address: &[u8]) -> Option<u64> {
        if !self.variables.is_concerned(address) {
            return expires(&self.variables.of(address));
        }
        let published = || published_expiry(groups_of(&self.published?.data(address)?));
        self.variables.expires_in_any_case(address).or_else(published)
    }

    fn not_expired(&self, expires: Option<u64>) -> Result<(), Refusal> {
        let Some(time) = expires else { return Ok(()) };
        if self.is_over(time) {
            return Err(Refusal::Expired);
        }
        self.next_expiry.fetch_min(time, Ordering::Relaxed);
        Ok(())
    }

    /// What follows the hash in the published data of this login.
    fn kept_groups(&self, login: &[u8]) -> Result<Vec<u8>, Refusal> {
        self.not_expired(self.variables.expires_in_any_case(login))?;
        let Some(data) = self.published.and_then(|published| published.data(login)) else {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return Err(Refusal::Variables);
        };
        let groups = groups_of(&data);
        self.not_expired(published_expiry(groups)).map_err(|_| Refusal::PublishedExpired)?;
        self.kept.fetch_add(1, Ordering::Relaxed);
        Ok(groups.to_vec())
    }

    /// The published record of a mailbox as it would be published now, with today's variables and default domain: for a
    /// domain that cannot be read.
    pub fn kept(&self, name: &[u8], domain: &[u8], data: &[u8]) -> Vec<Login> {
        let mut kept = Vec::new();
        let hash = usable_hash(data.split(|b| *b == b',').next().unwrap_or_default());
        if let Some(hash) = hash.ok().filter(|_| is_found(name)) {
            // A refused login has no record.
            let _ = self.login(name, domain, hash, &mut |key, data| {
                kept.push(Login { key: key.concat(), data: data.concat() });
            });
        }
        kept
    }

    /// The published record of a system account as it would be published now.
    pub fn kept_system_user(&self, name: &[u8], data: &[u8]) -> Option<Login> {
        self.system_user(name, data.split(|b| *b == b',').next().unwrap_or_default())
    }

    /// The record of a system account.
    pub fn system_user(&self, name: &[u8], hash: &[u8]) -> Option<Login> {
        let (hash, groups) = (usable_hash(hash).ok()?, self.groups(&[name]).ok()?);
        Some(Login { key: name.to_vec(), data: [hash, &groups].concat() })
    }
}

/// What follows the hash in the data of a login, its comma included.
fn groups_of(data: &[u8]) -> &[u8] {
    memchr::memchr(b',', data).map_or(b"", |comma| &data[comma..])
}

/// When a login with these groups is refused. Another program may have written them: what cannot be taken apart has no time.
fn published_expiry(groups: &[u8]) -> Option<u64> {
    let parsed = groups.get(1..).map(parse_groups).and_then(Result::ok).unwrap_or_default();
    expires(&parsed.into_iter().collect())
}

/// Why a mailbox may not authenticate for SMTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// vpopmail never finds its name.
    Name,
    /// vpopmail crashes on its record.
    Record,
    /// Its own flag.
    Flag,
    /// The limit of its domain.
    Limit,
    /// vpopmail compares the `{SCHEME}` before its hash too.
    Scheme,
    /// There is nothing in its record to compare with.
    Empty,
    /// What there is begins with `*` or `!`.
    Locked,
    /// A comma is in it, which ends the hash in a table.
    Comma,
    /// No password has its hash.
    Hash(Fault),
    /// control/authvars says that it has expired.
    Expired,
    /// Its published variables say that it has expired, and control/authvars cannot tell others.
    PublishedExpired,
    /// control/authvars cannot tell its variables, and none are published: without them it could do more than it may.
    Variables,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Name => "vpopmail never finds that name",
            Refusal::Record => "its record has fewer than three fields",
            Refusal::Flag => "its flag no_smtp",
            Refusal::Limit => "the domain's limit disable_smtp",
            Refusal::Scheme => "its password begins with a {SCHEME}, and vpopmail before 5.6 compares that too",
            Refusal::Empty => "no password is set",
            Refusal::Locked => "its password is locked: it begins with * or !",
            Refusal::Comma => "its hash has a comma, which auth.cdb cannot hold; set a new password",
            Refusal::Hash(fault) => return write!(f, "no password has its hash ({fault})"),
            Refusal::Expired => "expired, by its PASSWORD_EXPIRES in control/authvars",
            Refusal::PublishedExpired => {
                "expired, says the published PASSWORD_EXPIRES; control/authvars cannot tell another"
            }
            Refusal::Variables => "control/authvars cannot be used, and this login was not published before",
        })
    }
}

/// The crypt string that qmail-smtpd can compare with, or why the mailbox may not log in; `cuts_scheme`: vpopmail compares
/// what follows a `{SCHEME}`.
fn usable_crypt(mailbox: Mailbox<'_>, limits: u64, cuts_scheme: bool) -> Result<&[u8], Refusal> {
    if mailbox.shape == Shape::Broken {
        return Err(Refusal::Record);
    }
    if mailbox.effective_flags(limits) & NO_SMTP != 0 {
        return Err(if mailbox.flags & NO_SMTP != 0 { Refusal::Flag } else { Refusal::Limit });
    }
    if has_scheme(mailbox.crypt) && !cuts_scheme {
        return Err(Refusal::Scheme);
    }
    if memchr::memchr(b',', mailbox.crypt).is_some() {
        return Err(Refusal::Comma);
    }
    usable_hash(without_scheme(mailbox.crypt))
}

/// Whether a `{SCHEME}` stands before a crypt string.
pub fn has_scheme(crypt: &[u8]) -> bool {
    without_scheme(crypt).len() < crypt.len()
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

/// What is wrong with a hash that was cut off or damaged; `None` for any other crypt string.
pub fn hash_damage(crypt: &[u8]) -> Option<Fault> {
    let damage = judge(without_scheme(crypt)).err().filter(|fault| fault.is_damage());
    damage.filter(|_| memchr::memchr(b',', crypt).is_none())
}

/// What is wrong with a crypt string of vpasswd; `None` for a sound one, and for a damaged hash.
pub fn weakness(crypt: &[u8]) -> Option<Weakness> {
    let crypt = without_scheme(crypt);
    match judge(crypt) {
        Err(Fault::Empty) => Some(Weakness::Empty),
        Err(Fault::Locked) => Some(Weakness::Locked),
        _ if memchr::memchr(b',', crypt).is_some() => Some(Weakness::Unusable),
        Err(fault) if fault.is_damage() => None,
        Err(_) | Ok(Scheme::Other) => Some(Weakness::Unusable),
        Ok(Scheme::Des) => Some(Weakness::Des),
        Ok(Scheme::Md5) => Some(Weakness::Md5),
        Ok(_) => None,
    }
}

/// How a password is hashed, in the words of crypt(5), and never a byte of it.
pub fn scheme(crypt: &[u8]) -> String {
    match judge(without_scheme(crypt)) {
        Ok(scheme) => scheme.name().to_owned(),
        Err(fault) if fault.is_damage() => format!("{fault}: no password has it"),
        Err(fault) => fault.to_string(),
    }
}

/// The hash, when qmail-smtpd can compare with it: what is empty, begins with `*` or `!`, or holds a comma never
/// authenticates, and no password has a hash that was cut off.
fn usable_hash(crypt: &[u8]) -> Result<&[u8], Refusal> {
    match judge(crypt) {
        _ if memchr::memchr(b',', crypt).is_some() => Err(Refusal::Comma),
        Err(Fault::Empty) => Err(Refusal::Empty),
        Err(Fault::Locked) => Err(Refusal::Locked),
        Err(fault) if fault.is_damage() => Err(Refusal::Hash(fault)),
        Ok(_) | Err(_) => Ok(crypt),
    }
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
        // As long as crypt(3) makes it.
        let hash = format!("$6$a${}", "b".repeat(86));
        let with_scheme = format!("{{SHA512-CRYPT}}{hash}:1:0:N");
        assert_eq!(usable(&with_scheme), Some(hash.clone()));
        assert_eq!(usable(&format!("{hash}:1:0:N")), Some(hash.clone()));
        let mailbox = Mailbox::parse(with_scheme.as_bytes(), None);
        assert!(usable_crypt(mailbox, 0, false).is_err(), "vpopmail 5.4 compares the scheme too");
        for record in [
            ":1:0:N",
            "*:1:0:N",
            &format!("!{hash}:1:0:N"),
            "a,b:1:0:N",
            "{X}:1:0:N",
            "{X}*:1:0:N",
            &format!("{hash}:1:2048:N"),
            &format!("{hash}:1"),
        ] {
            assert_eq!(usable(record), None, "{record}");
        }
    }
}
