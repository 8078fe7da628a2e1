//! A directory of settings: one file a variable, read as envdir(8) of daemontools reads it. The first line of a file is
//! the value, without the blanks at its end, and a NUL in it becomes a newline; an empty file sets nothing. A name that no
//! shell takes for a variable, as that of the copy that an editor or dpkg leaves, is passed over.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::error::Error;
use crate::fs::{End, Kind, Root};
use crate::text::{lines, trim_end};

/// What the names of our settings begin with.
pub const PREFIX: &str = "QMAIL_UPDATER_";

/// No value is longer, in bytes.
const MAX_LENGTH: usize = 1 << 16;

/// The settings of a directory.
#[derive(Debug, Default)]
pub struct Envdir {
    /// The directory, for messages.
    pub path: PathBuf,
    /// The variables that it sets whose names begin with [`PREFIX`].
    pub variables: BTreeMap<OsString, OsString>,
    /// What is there and could not be read.
    pub unread: Vec<Error>,
    /// Files that would be settings if they had the whole name, as `AUTH_OWNER`, in capitals.
    pub misnamed: Vec<OsString>,
}

impl Envdir {
    /// Reads the directory at `inside`, as the host names it, without the files that are not `wanted`; `None` when
    /// nothing is there.
    pub fn read(root: &Root, inside: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Option<Envdir> {
        let mut directory = Envdir { path: root.path(inside), ..Envdir::default() };
        let listed = match root.walk(inside).end {
            End::Missing(_) => return None,
            End::Found(found) if found.kind != Kind::Directory => {
                let what = "not a directory; settings are files in one";
                directory.unread.push(Error::malformed(&directory.path, None, what));
                return Some(directory);
            }
            End::Found(found) => {
                let is_asked = |name: &[u8]| wanted(name) && (is_ours(name) || is_misnamed(name));
                found.open_directory().and_then(|open| open.entries(is_asked))
            }
            End::Failed(cause) => Err(cause.into()),
            End::Silent(silence) => Err(silence.into()),
        };
        let names = listed.unwrap_or_else(|cause| {
            directory.unread.push(Error::io("read", &directory.path, cause));
            Vec::new()
        });
        for (name, _) in names {
            if !is_ours(&name) {
                directory.misnamed.push(OsString::from_vec(name));
                continue;
            }
            match read_value(root, &[inside, b"/", &name].concat()) {
                Ok(value) => directory.variables.extend(value.map(|value| (OsString::from_vec(name), value))),
                Err(error) => directory.unread.push(error),
            }
        }
        Some(directory)
    }

    /// The file of a variable, for messages.
    pub fn file(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }
}

/// Whether a file of this name may set a variable of ours.
fn is_ours(name: &[u8]) -> bool {
    name.starts_with(PREFIX.as_bytes()) && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

/// Whether a file of this name sets nothing, and a setting has this name but for its beginning, its capitals or its hyphens.
fn is_misnamed(name: &[u8]) -> bool {
    let upper = String::from_utf8_lossy(name).to_ascii_uppercase().replace('-', "_").into_bytes();
    let whole = if upper.starts_with(PREFIX.as_bytes()) { upper } else { [PREFIX.as_bytes(), &upper].concat() };
    is_ours(&whole) && !is_ours(name) && super::is_variable(OsStr::from_bytes(&whole))
}

/// The value that a file sets; `None` when it is empty, or has just gone.
fn read_value(root: &Root, file: &[u8]) -> Result<Option<OsString>, Error> {
    let path = root.path(file);
    let found = match root.walk(file).end {
        End::Missing(_) => return Ok(None),
        End::Found(found) if found.kind != Kind::Regular => {
            return Err(Error::malformed(&path, None, "not a regular file; no setting can be read from it"));
        }
        End::Found(found) => Ok(found),
        End::Failed(cause) => Err(cause.into()),
        End::Silent(silence) => Err(silence.into()),
    };
    let mut content = Vec::new();
    let read = found.and_then(|found| found.open_file()?.read_start(&mut content, MAX_LENGTH));
    read.map_err(|cause| Error::io("read", &path, cause))?;
    if content.len() >= MAX_LENGTH && !content.contains(&b'\n') {
        return Err(Error::malformed(&path, 1, "too long; no setting can be read from it"));
    }
    Ok(value(&content))
}

/// The value that a file of this content sets; `None` for an empty file.
fn value(content: &[u8]) -> Option<OsString> {
    let (_, first) = lines(content).next()?;
    let value = trim_end(first).iter().map(|b| if *b == 0 { b'\n' } else { *b });
    Some(OsStr::from_bytes(&value.collect::<Vec<u8>>()).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_first_line_as_envdir_reads_it() {
        for (content, expected) in [
            (&b""[..], None),
            (b"\n", Some(&b""[..])),
            (b"\nsecond\n", Some(b"")),
            (b" \t \nsecond", Some(b"")),
            (b"20", Some(b"20")),
            (b"  two words \t \nsecond\n", Some(b"  two words")),
            (b"a\0b\n", Some(b"a\nb")),
            // A NUL is no blank, but what becomes of it is none either.
            (b"a \0\n", Some(b"a \n")),
            (b"cr\r\n", Some(b"cr\r")),
        ] {
            assert_eq!(value(content).as_deref().map(OsStr::as_bytes), expected, "{content:?}");
        }
    }

    #[test]
    fn names_that_are_no_variable_are_passed_over() {
        for name in ["QMAIL_UPDATER_SWEEP", "QMAIL_UPDATER_NEW_2", "QMAIL_UPDATER_"] {
            assert!(is_ours(name.as_bytes()), "{name}");
        }
        for name in ["QMAIL_UPDATER_SWEEP~", "QMAIL_UPDATER_SWEEP.dpkg-new", ".QMAIL_UPDATER_SWEEP.swp", "PATH", ""] {
            assert!(!is_ours(name.as_bytes()), "{name}");
        }
    }
}
