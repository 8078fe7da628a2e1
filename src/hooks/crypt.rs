//! crypt(3) without the C library: whether a password has a hash. Pure; the hashes are computed by `pwhash` and
//! `yescrypt`. Whatever stands in a record, a hash is computed, and compared in a time that does not depend on where they
//! differ.
//!
//! Like crypt(3) but for one corner, where the login is refused: `$2a$` for passwords with two bytes 0xff in a row, for
//! which crypt(3) has a countermeasure against a fault of old.

use std::num::{IntErrorKind, ParseIntError};

use pwhash::unix;
use yescrypt::{Params, PasswordVerifier, Yescrypt, password_hash};

use crate::host::crypt::YESCRYPT_HASH;

/// What is computed when there is nothing to compare with: what vpopmail makes today.
const STAND_IN: &str = "$6$................$";

/// The most rounds of SHA-256 and SHA-512, the highest cost of bcrypt, and the most memory of yescrypt (in blocks of
/// 128 bytes, of 256 MiB) that are computed: each takes some seconds. crypt(3) would go on for hours.
const MAX_ROUNDS: u64 = 5_000_000;
const MAX_COST: u32 = 16;
const MAX_BLOCKS: u64 = 1 << 21;

/// What became of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password has this hash.
    Same,
    /// It has not, and no password has a hash that is malformed.
    Different,
    /// crypt(3) could tell.
    Unable(&'static str),
}

/// Compares the hash of a password with a stored one. Both are without NUL.
pub fn compare(password: &[u8], stored: &[u8]) -> Verdict {
    let stored = std::str::from_utf8(stored).ok().filter(|stored| stored.bytes().all(|b| b.is_ascii_graphic()));
    let kind = stored.map_or(Kind::Malformed, kind_of);
    let same = match (kind, stored) {
        (Kind::Unable(why), _) => {
            waste_time(password);
            return Verdict::Unable(why);
        }
        (Kind::Yescrypt, Some(stored)) => yescrypt(password, stored),
        (Kind::Other, Some(stored)) => unix::crypt(password, stored).ok().map(|hash| are_equal(&hash, stored)),
        (Kind::Malformed, _) | (_, None) => None,
    };
    match same {
        Some(true) => Verdict::Same,
        Some(false) => Verdict::Different,
        None => {
            waste_time(password);
            Verdict::Different
        }
    }
}

/// Takes as long as a comparison.
pub fn waste_time(password: &[u8]) {
    std::hint::black_box(unix::crypt(password, STAND_IN).is_ok());
}

#[derive(Clone, Copy)]
enum Kind {
    Yescrypt,
    /// DES, MD5, SHA-256, SHA-512, bcrypt.
    Other,
    Malformed,
    Unable(&'static str),
}

fn kind_of(stored: &str) -> Kind {
    const SCHEME: &str = "a hash of a scheme that is not known here";
    const COST: &str = "a hash that takes too long";
    const SALT: &str = "a hash with an odd salt";
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"./".contains(&b);
    let Some((scheme, rest)) = stored.strip_prefix('$').and_then(|rest| rest.split_once('$')) else {
        return match stored.as_bytes() {
            [b'_', ..] if stored.len() == 20 => Kind::Unable(SCHEME),
            bytes if bytes.len() == 13 && bytes.iter().all(|b| is_plain(*b)) => Kind::Other,
            _ => Kind::Malformed,
        };
    };
    let mut fields = rest.split('$');
    let field = fields.next().unwrap_or_default();
    let salt = if field.starts_with("rounds=") { fields.next().unwrap_or_default() } else { field };
    // What is no number is malformed, which is found when the hash is computed.
    let number = |digits: &str| {
        digits.parse().unwrap_or_else(|error: ParseIntError| match error.kind() {
            IntErrorKind::PosOverflow => u64::MAX,
            _ => 0,
        })
    };
    match scheme {
        // crypt(3) takes more, the library does not.
        "1" | "5" | "6" if !salt.bytes().all(is_plain) => Kind::Unable(SALT),
        "1" => Kind::Other,
        "5" | "6" if field.strip_prefix("rounds=").is_some_and(|rounds| number(rounds) > MAX_ROUNDS) => {
            Kind::Unable(COST)
        }
        "2a" | "2b" | "2y" if number(field) > u64::from(MAX_COST) => Kind::Unable(COST),
        "5" | "6" | "2a" | "2b" | "2y" => Kind::Other,
        "y" => match field.parse::<Params>() {
            // What crypt_gensalt(3) makes; more fields say that it takes longer.
            Ok(params) if field.len() == 3 && params.n().saturating_mul(params.r().into()) <= MAX_BLOCKS => {
                Kind::Yescrypt
            }
            Ok(_) => Kind::Unable(COST),
            Err(_) => Kind::Malformed,
        },
        "2x" | "3" | "7" | "gy" | "md5" | "sha1" => Kind::Unable(SCHEME),
        _ if scheme.starts_with("md5,") => Kind::Unable(SCHEME),
        _ => Kind::Malformed,
    }
}

/// `None` for a malformed one.
fn yescrypt(password: &[u8], stored: &str) -> Option<bool> {
    // The library would take a shorter one for a match of what is there.
    stored.rsplit('$').next().filter(|hash| hash.len() == YESCRYPT_HASH)?;
    match Yescrypt::default().verify_password(password, stored) {
        Ok(()) => Some(true),
        Err(password_hash::Error::PasswordInvalid) => Some(false),
        Err(_) => None,
    }
}

/// Their lengths are no secret: the scheme says them.
fn are_equal(hash: &str, stored: &str) -> bool {
    let difference =
        hash.bytes().zip(stored.bytes()).fold(0, |difference, (a, b)| std::hint::black_box(difference | a ^ b));
    hash.len() == stored.len() && difference == 0
}
