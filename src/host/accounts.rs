//! System accounts as qmail-getpw(8) sees them (docs/rules.md, 3.4), and the hashes of etc/shadow or etc/master.passwd.

use std::collections::{BTreeMap, HashMap};

use crate::error::{Error, Trouble, show_path};
use crate::fs::failures::of_home;
use crate::fs::{End, Root, Who};
use crate::kernel::PASSWORDS;
use crate::report::{Code, Note};
use crate::text::{Shown, leading_number, lines, lower, signed};

/// qmail-getpw asks only for names shorter than this, in bytes (GETPW_USERLEN).
const NAME_LIMIT: usize = 32;

/// One account that mail may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its numeric user and group.
    pub who: Who,
    /// Its home, as passwd names it.
    pub home: Vec<u8>,
    /// The line of etc/passwd; `None` when it came from elsewhere.
    pub line: Option<usize>,
}

/// The accounts of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Those that qmail-getpw accepts, by name.
    pub accepted: BTreeMap<Vec<u8>, Account>,
    /// Those that qmail-getpw passes over; mail to their names goes to alias.
    pub passed_over: BTreeMap<Vec<u8>, Account>,
    /// `alias`, whatever its home is.
    pub alias: Option<Account>,
    /// The homes of those of which this process, which is not root, may not see whether qmail-getpw accepts them. They are
    /// taken as accepted.
    pub denied: Vec<Vec<u8>>,
    /// Whether there may be others, which nobody can list (nsswitch.conf names a source that getent does not list).
    pub more_unlisted: bool,
}

/// Where etc/nsswitch.conf says that accounts come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sources {
    /// etc/passwd is all there is.
    Files,
    /// LDAP, sssd, NIS or something else too.
    More,
}

impl Accounts {
    /// Where accounts come from, by the `passwd:` line of etc/nsswitch.conf; without one, from etc/passwd.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn sources(root: &Root) -> Result<Sources, Error> {
        let file = b"/etc/nsswitch.conf";
        let content = root.read(file).map_err(|cause| Error::io("read", &root.path(file), cause))?;
        Ok(parse_nsswitch(&content.unwrap_or_default()))
    }

    /// Reads etc/passwd and looks at every home. `enumerated` is what `getent passwd` prints, where accounts come from
    /// elsewhere too and it could be asked.
    ///
    /// # Errors
    /// A etc/passwd that is there and cannot be read.
    pub fn read(
        root: &Root,
        sources: Sources,
        enumerated: Option<&[u8]>,
        notes: &mut Vec<Note>,
    ) -> Result<Accounts, Error> {
        let file = b"/etc/passwd";
        let local = root.read(file).map_err(|cause| Error::io("read", &root.path(file), cause))?.unwrap_or_else(|| {
            let path = root.path(file);
            notes.push(
                Note::warning(format!("{}: no such file: the host has no accounts", show_path(&path)))
                    .of(Code::PasswdMissing),
            );
            Vec::new()
        });
        let mut known = HashMap::new();
        let mut order = Vec::new();
        for (from_file, text) in [(true, Some(&local[..])), (false, enumerated)] {
            for (number, name, mut account) in parse_passwd(text.unwrap_or_default()) {
                account.line = from_file.then_some(number);
                known.entry(name.clone()).or_insert_with(|| {
                    order.push((name, account.line.is_none()));
                    account
                });
            }
        }
        let more_unlisted = sources == Sources::More && !order.iter().any(|(_, elsewhere)| *elsewhere);
        if more_unlisted {
            notes.push(Note::warning(format!(
                "{}: passwd names more than files, and the accounts there cannot be listed; every local address that \
                 no line of users/assign decides is accepted",
                show_path(&root.path(b"/etc/nsswitch.conf"))
            )).of(Code::AccountsUnlisted));
        }
        let mut accounts = Accounts { alias: known.get(&b"alias"[..]).cloned(), more_unlisted, ..Accounts::default() };
        for (name, _) in order {
            let Some(account) = known.remove(&name) else { continue };
            let mut owns = || {
                owns_home(root, &account).unwrap_or_else(|cause| {
                    if cause.denied {
                        accounts.denied.push(account.home.clone());
                    }
                    let home = root.path(&account.home);
                    let (home, name) = (show_path(&home), Shown(&name));
                    let text = format!("unable to look at {home}, the home of {name}: {cause}; taken as its own");
                    notes.push(Note::alert(text).of(Code::AccountUnreadable).but_denied(cause.denied));
                    true
                })
            };
            if is_asked(&name) && account.who.uid != 0 && owns() {
                accounts.accepted.insert(name, account);
            } else {
                accounts.passed_over.insert(name, account);
            }
        }
        Ok(accounts)
    }

    /// The home of this user, when etc/passwd has one of the name.
    pub fn home_of(&self, name: &[u8]) -> Option<&[u8]> {
        let account = self.accepted.get(name).or_else(|| self.passed_over.get(name))?;
        account.line.map(|_| &account.home[..])
    }

    /// The account that qmail-getpw finds for the local part (lower case), with its name: the whole, then every prefix
    /// before the break character, longest first.
    pub fn find(&self, local: &[u8], break_byte: u8) -> Option<(&[u8], &Account)> {
        let whole = std::iter::once(local.len());
        let prefixes = (0..local.len()).rev().filter(|at| local[*at] == break_byte);
        whole
            .chain(prefixes)
            .find_map(|end| self.accepted.get_key_value(&local[..end]))
            .map(|(name, account)| (name.as_slice(), account))
    }
}

/// The home that etc/passwd gives this user, of equal names the first line; `None` when it has no such user, or cannot be
/// read.
pub fn read_home_of(root: &Root, name: &[u8]) -> Option<Vec<u8>> {
    let text = root.read(b"/etc/passwd").ok()??;
    parse_passwd(&text).find(|(_, known, _)| known == name).map(|(_, _, account)| account.home)
}

/// Whether qmail-getpw can ever ask for this name and the C library find it.
fn is_asked(name: &[u8]) -> bool {
    name.len() < NAME_LIMIT && lower(name) == name && !matches!(name.first(), None | Some(b'+' | b'-' | b'#'))
}

/// Whether the home exists and belongs to the account, as an unprivileged program sees it; or why that cannot be seen.
fn owns_home(root: &Root, account: &Account) -> Result<bool, Trouble> {
    if account.home.first() != Some(&b'/') {
        return Ok(false);
    }
    let (walk, _) = of_home(&root.path(&account.home), || root.walk(&account.home));
    if walk.searched.iter().any(|directory| directory.mode & 0o001 == 0) {
        return Ok(false);
    }
    match walk.end {
        End::Found(found) => Ok(found.perm.uid == account.who.uid),
        End::Missing(_) => Ok(false),
        End::Failed(cause) => Err(cause.into()),
        End::Silent(silence) => Err(silence.beside(&root.path(&account.home)).into()),
    }
}

/// The lines of a passwd file that the C library takes: line number, name, account. Others it passes over, and so do we.
fn parse_passwd(text: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>, Account)> {
    lines(text).filter_map(|(number, line)| {
        let line = line.trim_ascii_start();
        if matches!(line.first(), None | Some(b'#')) {
            return None;
        }
        let mut fields = line.splitn(7, |b| *b == b':');
        let mut field = || fields.next();
        let (name, _, uid, gid, _, home) = (field()?, field()?, field()?, field()?, field(), field());
        let who = Who { uid: id(uid)?, gid: id(gid)? };
        Some((number, name.to_vec(), Account { who, home: home.unwrap_or_default().to_vec(), line: Some(number) }))
    })
}

/// A uid or gid of a passwd or group file, as the C library reads it with `strtoul`: blanks and a sign in front do not
/// matter. `None` for anything else, and for what has more than 32 bits: the C library passes that line over.
pub fn id(field: &[u8]) -> Option<u32> {
    let (negative, digits, rest) = signed(field);
    if !rest.is_empty() {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    u32::try_from(if negative { number.wrapping_neg() } else { number }).ok()
}

/// nsswitch.conf(5): anything on the `passwd:` line but files, compat, systemd and reactions in brackets is another source.
fn parse_nsswitch(text: &[u8]) -> Sources {
    let text = String::from_utf8_lossy(text);
    let services = text.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default().trim();
        line.strip_prefix("passwd")?.trim_start().strip_prefix(':')
    });
    let mut in_reaction = false;
    let other = services.unwrap_or_default().replace('[', " [").replace(']', "] ").split_whitespace().any(|word| {
        in_reaction |= word.starts_with('[');
        let service = !in_reaction && !matches!(word, "files" | "compat" | "systemd");
        in_reaction &= !word.ends_with(']');
        service
    });
    if other { Sources::More } else { Sources::Files }
}

/// The usable, unexpired hashes of accounts, of equal names the first line (shadow(5), or master.passwd(5) of the BSDs). `now`
/// counts seconds since 1970-01-01 UTC.
///
/// # Errors
/// A file that is missing or cannot be read.
pub fn read_shadow(root: &Root, now: u64) -> Result<HashMap<Vec<u8>, Vec<u8>>, Error> {
    let (file, is_master) = PASSWORDS;
    let path = root.path(file.as_bytes());
    let text = root
        .read(file.as_bytes())
        .and_then(|content| content.ok_or_else(|| nix::errno::Errno::ENOENT.into()))
        .map_err(|cause| Error::io("read", &path, cause))?;
    let mut seen = HashMap::new();
    for (_, line) in lines(&text) {
        let fields: Vec<&[u8]> = line.split(|b| *b == b':').collect();
        if let [name, hash, rest @ ..] = &fields[..] {
            let is_current = if is_master { is_current_of_master(rest, now) } else { is_current(rest, now / 86_400) };
            let hash = is_current.then(|| hash.to_vec());
            seen.entry(name.to_vec()).or_insert(hash);
        }
    }
    Ok(seen.into_iter().filter_map(|(name, hash)| Some((name, hash?))).collect())
}

/// Whether neither the account nor its password has expired; `fields` begins with the day of the last change.
fn is_current(fields: &[&[u8]], today: u64) -> bool {
    let day = |index: usize| fields.get(index).filter(|field| field.first().is_some_and(u8::is_ascii_digit));
    let day = |index: usize| day(index).map(|field| leading_number(field));
    let (changed, max, expires) = (day(0), day(2), day(5));
    let password_expired = match (changed, max) {
        // 0: must be changed at the next login, which a mail client cannot do.
        (Some(0), _) => true,
        (Some(changed), Some(max)) => today > changed.saturating_add(max),
        _ => false,
    };
    !password_expired && expires.is_none_or(|expires| today < expires)
}

/// The same of master.passwd(5); `fields` begins with the uid. Both times are in seconds, and 0 is never.
fn is_current_of_master(fields: &[&[u8]], now: u64) -> bool {
    let (change, expire) = (fields.get(3), fields.get(4));
    let times = change.into_iter().chain(expire).map(|field| leading_number(field));
    times.into_iter().all(|time| time == 0 || now < time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_compat_and_systemd_need_no_enumeration() {
        for (line, sources) in [
            ("passwd: files systemd\n", Sources::Files),
            ("group: ldap\npasswd:\tcompat # sss\n", Sources::Files),
            ("passwd: files [NOTFOUND=return] systemd\n", Sources::Files),
            ("passwd:files [ SUCCESS=continue UNAVAIL=return ] sss\n", Sources::More),
            ("passwd: sss files\n", Sources::More),
            ("", Sources::Files),
        ] {
            assert_eq!(parse_nsswitch(line.as_bytes()), sources, "{line:?}");
        }
    }

    #[test]
    fn uid_and_gid_of_passwd_are_read_as_the_c_library_reads_them() {
        // What fgetpwent(3) of glibc 2.36 takes and passes over.
        for (field, number) in [
            ("1001", Some(1001)),
            (" 1001", Some(1001)),
            ("\t\x0b\r 7", Some(7)),
            ("+5", Some(5)),
            ("-0", Some(0)),
            ("4294967295", Some(4_294_967_295)),
            ("-18446744073709551615", Some(1)),
            ("1001 ", None),
            ("- 5", None),
            ("0x10", None),
            ("-1", None),
            ("4294967296", None),
            ("18446744073709551616", None),
            ("", None),
            (" ", None),
        ] {
            assert_eq!(id(field.as_bytes()), number, "{field:?}");
        }
    }

    #[test]
    fn expired_passwords_and_accounts_of_shadow_5() {
        let current = |fields: &str| {
            let fields: Vec<&[u8]> = fields.split(':').map(str::as_bytes).collect();
            is_current(&fields, 20_000)
        };
        assert!(current("19000:0:99999:7:::"));
        assert!(current("19000::::::"));
        assert!(!current("0:0:99999:7:::"), "must be changed at the next login");
        assert!(!current("19000:0:999:7:::"), "older than its maximum age");
        assert!(current("19000:0:1000:7:::"), "on its last day");
        assert!(!current("19000:0:99999:7::20000:"), "the account expires today");
        assert!(current("19000:0:99999:7::20001:"));
    }

    #[test]
    fn expired_passwords_and_accounts_of_master_passwd_5() {
        let current = |times: &str| {
            let line = format!("1001:1001:default:{times}:Carol:/home/carol:/bin/sh");
            let fields: Vec<&[u8]> = line.split(':').map(str::as_bytes).collect();
            is_current_of_master(&fields, 1_728_000_000)
        };
        assert!(current("0:0") && current(":"));
        assert!(!current("1728000000:0"), "the password has to be changed now");
        assert!(current("1728000001:0"));
        assert!(!current("0:1728000000"), "the account expires now");
        assert!(current("0:1728000001"));
    }
}
