//! Whether a password has a hash, by the crypt(3) of the system: so `checkpassword` and qmail-smtpd give the same answer.
//! A hash is computed in each case, whatever the login table holds, and compared in a time that does not depend on the
//! place of a difference.

use std::ffi::CStr;

use zeroize::Zeroizing;

use crate::host::crypt::{ALPHABET, Scheme, judge};
use crate::os::raw;

/// What is computed when there is nothing to compare with: what vpopmail makes today.
const STAND_IN: &CStr = c"$6$................$";

/// The most rounds of SHA-1, SHA-256 and SHA-512, the highest cost of bcrypt, and the most memory of scrypt and yescrypt
/// (in blocks of 128 bytes, of 256 MiB) that are computed: each takes some seconds. crypt(3) would go on for hours.
const MAX_ROUNDS: u64 = 5_000_000;
const MAX_COST: u64 = 16;
const MAX_BLOCKS: u64 = 1 << 21;
/// What bcrypt costs, and what yescrypt is told, where nobody chose it.
const USUAL_COST: u64 = 12;
const USUAL_YESCRYPT: &[u8] = b"$y$j9T$";
/// From so many bytes on, crypt(3) refuses a password (CRYPT_MAX_PASSPHRASE_SIZE, its NUL included).
const TOO_LONG: usize = 512;

/// The result of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password has this hash.
    Same,
    /// It does not. No password has a hash that is malformed.
    Different,
    /// The hash is not computed, for this reason.
    Unable(&'static str),
}

/// Compares the hash of a password with a stored one. Both are bytes without NUL.
pub fn compare(password: &[u8], stored: &[u8]) -> Verdict {
    let verdict = match judge(stored) {
        Err(_) | Ok(Scheme::Other) => Err(Verdict::Different),
        Ok(scheme) if !is_affordable(scheme, stored) => Err(Verdict::Unable("a hash that takes too long")),
        Ok(_) => match hash(password, &with_nul(stored)) {
            Some(hash) => Ok(are_equal(&hash, stored)),
            None if password.len() >= TOO_LONG => Err(Verdict::Different),
            None => Err(Verdict::Unable("a hash that crypt(3) of this system does not compute")),
        },
    };
    match verdict {
        Ok(true) => Verdict::Same,
        Ok(false) => Verdict::Different,
        Err(verdict) => {
            waste_time(password);
            verdict
        }
    }
}

/// Takes as long as a comparison.
pub fn waste_time(password: &[u8]) {
    std::hint::black_box(hash(password, STAND_IN.to_bytes_with_nul()));
}

/// The hash of a password. The setting ends with its only NUL. `None` where crypt(3) refuses either.
fn hash(password: &[u8], setting: &[u8]) -> Option<Vec<u8>> {
    let password = with_nul(password);
    let (password, setting) = (CStr::from_bytes_with_nul(&password).ok()?, CStr::from_bytes_with_nul(setting).ok()?);
    // On failure some systems give no string, and others one that begins with "*". musl takes a scheme that it does not know
    // for the salt of DES.
    raw::crypt(password, setting)
        .filter(|hash| !hash.starts_with(b"*") && hash.starts_with(scheme_in(setting.to_bytes())))
}

/// What a crypt string begins with that names its scheme, such as `$6$`; nothing of DES.
fn scheme_in(setting: &[u8]) -> &[u8] {
    let end = setting.strip_prefix(b"$").and_then(|rest| rest.iter().position(|b| *b == b'$'));
    end.map_or(&[], |end| &setting[..end + 2])
}

/// A copy with a NUL at its end, which does not stay in memory.
fn with_nul(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut copy = Zeroizing::new(Vec::with_capacity(bytes.len() + 1));
    copy.extend_from_slice(bytes);
    copy.push(0);
    copy
}

/// Whether crypt(3) computes this hash within some seconds. See crypt(5) for the fields.
fn is_affordable(scheme: Scheme, stored: &[u8]) -> bool {
    let field = stored.splitn(4, |b| *b == b'$').nth(2).unwrap_or_default();
    match scheme {
        Scheme::Sha256 | Scheme::Sha512 => field.strip_prefix(b"rounds=").is_none_or(|n| number(n) <= MAX_ROUNDS),
        Scheme::Sha1 => number(field) <= MAX_ROUNDS,
        Scheme::SunMd5 => {
            let rounds = stored.strip_prefix(b"$md5,rounds=").and_then(|rest| rest.split(|b| *b == b'$').next());
            rounds.is_none_or(|rounds| number(rounds) <= MAX_ROUNDS)
        }
        Scheme::Bcrypt => number(field) <= MAX_COST,
        // What crypt_gensalt(3) makes: a flavor, N and r, a digit each. More fields make it take longer.
        Scheme::Yescrypt | Scheme::GostYescrypt => match *field {
            [_, n, r] => blocks(digits(&[n]) + 1, digits(&[r]) + 1, 1) <= MAX_BLOCKS,
            _ => false,
        },
        Scheme::Scrypt => match field.split_at_checked(11) {
            Some((costs, _)) => blocks(digits(&costs[..1]), digits(&costs[1..6]), digits(&costs[6..])) <= MAX_BLOCKS,
            None => true,
        },
        Scheme::BsdiDes => stored.get(1..5).is_none_or(|count| digits(count) <= MAX_ROUNDS),
        Scheme::Des | Scheme::Md5 | Scheme::Nt => true,
        Scheme::Other => false,
    }
}

/// Whether the hash takes no longer than those that programs make unasked. A customer writes the hashes of his users.
pub fn is_usual(stored: &[u8]) -> bool {
    match judge(stored) {
        Ok(Scheme::Des | Scheme::Md5 | Scheme::Nt) => true,
        Ok(Scheme::Sha256 | Scheme::Sha512) => !stored[3..].starts_with(b"rounds="),
        Ok(Scheme::Bcrypt) => stored.splitn(4, |b| *b == b'$').nth(2).is_some_and(|cost| number(cost) <= USUAL_COST),
        Ok(Scheme::Yescrypt) => stored.starts_with(USUAL_YESCRYPT),
        _ => false,
    }
}

/// A decimal number. What is none counts as more than all of them: strtoul(3) makes one of it that is as high.
fn number(text: &[u8]) -> u64 {
    let is_decimal = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(text).ok().filter(|_| is_decimal).and_then(|text| text.parse().ok());
    number.unwrap_or(u64::MAX)
}

/// A number in the digits of crypt(5), the lowest first. A byte that is no digit counts as more than all of them.
fn digits(text: &[u8]) -> u64 {
    let value = |b: &u8| ALPHABET.iter().position(|digit| digit == b).unwrap_or(ALPHABET.len()) as u64;
    text.iter().rev().fold(0, |sum, b| sum * 64 + value(b))
}

/// How many blocks of 128 bytes scrypt computes.
fn blocks(log_n: u64, r: u64, p: u64) -> u64 {
    let n = u32::try_from(log_n).ok().and_then(|log_n| 1_u64.checked_shl(log_n)).unwrap_or(u64::MAX);
    n.saturating_mul(r).saturating_mul(p)
}

/// Their lengths are not secret: the scheme determines them.
fn are_equal(hash: &[u8], stored: &[u8]) -> bool {
    let difference = hash.iter().zip(stored).fold(0, |difference, (a, b)| std::hint::black_box(difference | a ^ b));
    hash.len() == stored.len() && difference == 0
}
