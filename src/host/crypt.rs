//! The crypt strings of crypt(5): by which scheme one was made, and whether crypt(3) can have made it at all. What crypt(3)
//! never makes, no password has, and qmail-smtpd compares the whole of it. Pure.
//!
//! Only what is certain counts as a fault: the length and the bytes of the hash, which is the last part of the string. Of
//! salts and costs nothing is said, because old systems took more than today's do; nor of schemes that are not known here.

use std::fmt;

use crate::text::bytes_among;

/// How a password was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// The traditional one, of which 8 characters count; or its extension for longer passwords (bigcrypt).
    Des,
    /// `_`: extended DES.
    BsdiDes,
    /// `$1$`.
    Md5,
    /// `$2a$` and its like.
    Bcrypt,
    /// `$5$`.
    Sha256,
    /// `$6$`.
    Sha512,
    /// `$7$`.
    Scrypt,
    /// `$y$`.
    Yescrypt,
    /// `$gy$`.
    GostYescrypt,
    /// `$sha1$`, of NetBSD.
    Sha1,
    /// `$md5$`, of Solaris.
    SunMd5,
    /// `$3$`, of Windows.
    Nt,
    /// Some other `$...$`, which crypt(5) does not know.
    Other,
}

impl Scheme {
    /// Its name in crypt(5).
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Des => "des-crypt",
            Scheme::BsdiDes => "bsdi-crypt",
            Scheme::Md5 => "md5-crypt",
            Scheme::Bcrypt => "bcrypt",
            Scheme::Sha256 => "sha256-crypt",
            Scheme::Sha512 => "sha512-crypt",
            Scheme::Scrypt => "scrypt",
            Scheme::Yescrypt => "yescrypt",
            Scheme::GostYescrypt => "gost-yescrypt",
            Scheme::Sha1 => "sha1-crypt",
            Scheme::SunMd5 => "sun-md5",
            Scheme::Nt => "nt-hash",
            Scheme::Other => "unknown",
        }
    }

    /// How long the hash is behind the last `$`, in bytes; of bcrypt with the salt, which no `$` parts from it.
    fn hash_length(self) -> Option<usize> {
        match self {
            Scheme::Md5 => Some(22),
            Scheme::Sha256 | Scheme::Scrypt | Scheme::Yescrypt | Scheme::GostYescrypt => Some(YESCRYPT_HASH),
            Scheme::Sha512 => Some(86),
            Scheme::Bcrypt => Some(53),
            Scheme::Des | Scheme::BsdiDes | Scheme::Sha1 | Scheme::SunMd5 | Scheme::Nt | Scheme::Other => None,
        }
    }
}

/// The bytes of a hash, each in the place of the digit that it stands for.
pub const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// How long a hash of 32 bytes is in base 64.
const YESCRYPT_HASH: usize = 43;
/// How long a traditional hash is, its salt of two characters included.
const DES_LENGTH: usize = 13;
/// By so much each further piece of a password makes one longer, and so long it gets at most (bigcrypt).
const DES_PIECE: usize = 11;
/// See [`DES_PIECE`].
const DES_MAX: usize = 178;
/// How long one of extended DES is.
const BSDI_LENGTH: usize = 20;

/// Why no password has a crypt string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// There is none.
    Empty,
    /// It begins with `*` or `!`: locked on purpose.
    Locked,
    /// It has another length than those that this scheme makes.
    Length {
        /// The scheme.
        scheme: Scheme,
        /// How long it is, in bytes.
        is: usize,
        /// How long it would be with a hash of the right length.
        should: usize,
    },
    /// A byte of the hash is none that this scheme makes.
    Byte(Scheme),
    /// It is shaped like none that crypt(3) makes: a password in clear, perhaps.
    Shape,
}

impl Fault {
    /// Whether it is a hash, but cut off or damaged.
    pub fn is_damage(self) -> bool {
        matches!(self, Fault::Length { .. } | Fault::Byte(_))
    }

    /// Whether vpopmaild of a vpopmail before 5.6.7 makes such: it has room for 63 bytes and a NUL, or lets 64 stand.
    pub fn is_of_old_vpopmaild(self) -> bool {
        matches!(self, Fault::Length { scheme: Scheme::Sha512, is: 63 | 64, .. })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Empty => f.write_str("none"),
            Fault::Locked => f.write_str("locked"),
            Fault::Length { scheme, is, should } => write!(f, "{}, but {is} bytes instead of {should}", scheme.name()),
            Fault::Byte(scheme) => write!(f, "{}, but with a byte that no hash holds", scheme.name()),
            Fault::Shape => f.write_str("unknown"),
        }
    }
}

/// The scheme of a crypt string that crypt(3) may have made.
///
/// # Errors
/// Why no password has it.
pub fn judge(crypt: &[u8]) -> Result<Scheme, Fault> {
    match crypt {
        [] => Err(Fault::Empty),
        [b'*' | b'!', ..] => Err(Fault::Locked),
        [b'$', rest @ ..] => judge_named(crypt.len(), rest),
        [b'_', rest @ ..] if crypt.len() == BSDI_LENGTH => if_of_hash(Scheme::BsdiDes, rest),
        [b'_', ..] => Err(Fault::Shape),
        _ if crypt.len() == DES_LENGTH || is_bigcrypt(crypt.len()) => if_of_hash(Scheme::Des, &crypt[2..]),
        _ => Err(Fault::Shape),
    }
}

/// Whether bigcrypt makes a string of this length.
fn is_bigcrypt(length: usize) -> bool {
    (DES_LENGTH..=DES_MAX).contains(&length) && (length - DES_LENGTH).is_multiple_of(DES_PIECE)
}

/// Judges `scheme$...`, of which with the `$` in front there are so many bytes.
fn judge_named(is: usize, rest: &[u8]) -> Result<Scheme, Fault> {
    let end = rest.iter().position(|b| *b == b'$').unwrap_or(rest.len());
    let scheme = match &rest[..end] {
        b"1" => Scheme::Md5,
        b"2a" | b"2b" | b"2x" | b"2y" => Scheme::Bcrypt,
        b"5" => Scheme::Sha256,
        b"6" => Scheme::Sha512,
        b"7" => Scheme::Scrypt,
        b"y" => Scheme::Yescrypt,
        b"gy" => Scheme::GostYescrypt,
        b"sha1" => Scheme::Sha1,
        b"md5" => Scheme::SunMd5,
        name if name.starts_with(b"md5,") => Scheme::SunMd5,
        b"3" => Scheme::Nt,
        _ => Scheme::Other,
    };
    let Some(length) = scheme.hash_length() else { return Ok(scheme) };
    // Without a $ behind the salt there is no hash, and nobody knows how long the salt was to be.
    let behind = rest.get(end + 1..).unwrap_or_default();
    let hash = behind.iter().rposition(|b| *b == b'$').map(|last| &behind[last + 1..]);
    let Some(hash) = hash else { return Err(Fault::Length { scheme, is, should: is + 1 + length }) };
    if hash.len() != length {
        return Err(Fault::Length { scheme, is, should: is - hash.len() + length });
    }
    if_of_hash(scheme, hash)
}

fn if_of_hash(scheme: Scheme, hash: &[u8]) -> Result<Scheme, Fault> {
    if hash.iter().all(|b| OF_HASH[usize::from(*b)]) { Ok(scheme) } else { Err(Fault::Byte(scheme)) }
}

/// Whether crypt(3) writes a byte in a hash.
const OF_HASH: [bool; 256] = bytes_among(ALPHABET);

#[cfg(test)]
mod tests {
    use super::*;

    const SHA512: &str = "svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1";

    #[test]
    fn a_hash_has_one_length_whatever_its_salt() {
        for salt in ["", "s", "saltstring", "rounds=77777$short", "16 characters ;:"] {
            let whole = format!("$6${salt}${SHA512}");
            assert_eq!(judge(whole.as_bytes()), Ok(Scheme::Sha512), "{whole}");
            for cut in 0..86 {
                let cut = &whole[..whole.len() - 86 + cut];
                let fault = Fault::Length { scheme: Scheme::Sha512, is: cut.len(), should: whole.len() };
                assert_eq!(judge(cut.as_bytes()), Err(fault), "{cut}");
            }
            let longer = judge(format!("{whole}x").as_bytes());
            let (is, should) = (whole.len() + 1, whole.len());
            assert_eq!(longer, Err(Fault::Length { scheme: Scheme::Sha512, is, should }), "{whole}x");
            let other = judge(whole.replace("svn8", "svn:").as_bytes());
            assert_eq!(other, Err(Fault::Byte(Scheme::Sha512)), "{whole}");
        }
        let cut = judge(format!("$6$zZUftIk3${}", &SHA512[..52]).as_bytes()).unwrap_err();
        assert_eq!(
            (cut.to_string().as_str(), cut.is_of_old_vpopmaild()),
            ("sha512-crypt, but 64 bytes instead of 98", true)
        );
    }

    #[test]
    fn what_is_no_hash_is_told_from_what_may_be_one() {
        let of = |crypt: &str| judge(crypt.as_bytes());
        let hash = |length: usize| "x".repeat(length);
        for (sound, scheme) in [
            ("abJnggxhB/yWI".to_owned(), Scheme::Des),
            (";:Jnggxhabcde".to_owned(), Scheme::Des),
            (hash(24), Scheme::Des),
            (hash(178), Scheme::Des),
            ("_J9..rasmBYk8r9AiWNc".to_owned(), Scheme::BsdiDes),
            (format!("$1$${}", hash(22)), Scheme::Md5),
            (format!("$5$rounds=1000$a${}", hash(43)), Scheme::Sha256),
            (format!("$2y$10${}", hash(53)), Scheme::Bcrypt),
            (format!("$y$j9T$salt${}", hash(43)), Scheme::Yescrypt),
            (format!("$gy$j9T$salt${}", hash(43)), Scheme::GostYescrypt),
            (format!("$7$CU..../....salt${}", hash(43)), Scheme::Scrypt),
            ("$3$$8846f7eaee8fb117ad06bdd830b7586c".to_owned(), Scheme::Nt),
            ("$argon2id$v=19$m=65536".to_owned(), Scheme::Other),
            ("$boss".to_owned(), Scheme::Other),
        ] {
            assert_eq!(of(&sound), Ok(scheme), "{sound}");
        }
        for (shape, fault) in [
            ("".to_owned(), Fault::Empty),
            ("*".to_owned(), Fault::Locked),
            (format!("!$6$s${SHA512}"), Fault::Locked),
            ("x".to_owned(), Fault::Shape),
            ("secret-secret".to_owned(), Fault::Byte(Scheme::Des)),
            ("a password".to_owned(), Fault::Shape),
            (hash(14), Fault::Shape),
            (hash(189), Fault::Shape),
            ("_J9..".to_owned(), Fault::Shape),
            ("$1$a$b".to_owned(), Fault::Length { scheme: Scheme::Md5, is: 6, should: 27 }),
            ("$1$".to_owned(), Fault::Length { scheme: Scheme::Md5, is: 3, should: 26 }),
            ("$6".to_owned(), Fault::Length { scheme: Scheme::Sha512, is: 2, should: 89 }),
            (format!("$2b$10${}", hash(52)), Fault::Length { scheme: Scheme::Bcrypt, is: 59, should: 60 }),
            (format!("$1$a${}-", hash(21)), Fault::Byte(Scheme::Md5)),
        ] {
            assert_eq!(of(&shape), Err(fault), "{shape}");
        }
    }
}
