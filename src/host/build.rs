//! How vpopmail was built, as far as the host shows it: in the bytes of its programs, which count most, and in the
//! VPOPMAIL/include/config.h that `make install` leaves there.

use std::io::{self, Read};
use std::path::PathBuf;

use super::Layout;
use super::mailboxes::Source;
use super::user_database::{self, CONFIG, Kind, Seen, Sign};
use crate::error::show_path;
use crate::fs::failures::note_error;
use crate::fs::{End, Root};
use crate::report::Note;
use crate::text::lines;

/// How much of a file is looked at in one piece, in bytes.
const PIECE: usize = 1 << 16;
/// How much of a program is looked at, in bytes; vpopmail's have a few million.
const MAX_PROGRAM: u64 = 1 << 26;
/// How much of include/config.h is looked at, in bytes.
const MAX_CONFIG: usize = 1 << 20;

/// How vpopmail was built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Build {
    /// What shows that this vpopmail takes a `{SCHEME}` before a hash for a part of it, so that no password matches;
    /// `None` when it cuts that off, as vpopmail 5.6 does, or nothing tells.
    pub keeps_scheme: Option<String>,
    /// Where it keeps its users.
    pub users: Source,
    /// The file that shows it; `None` when none does, and when the administrator says it.
    pub sign: Option<Sign>,
    /// The user database that has to be asked, where that is one.
    pub asked: Option<Sign>,
    /// What of it vpopmail uses, where it has to be asked.
    pub tables: Tables,
    /// Whether it was asked, and gave no answer.
    pub is_unanswered: bool,
}

/// What a vpopmail uses of its user database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Whether it looks aliases up there.
    pub aliases: Fact,
    /// Whether it looks limits up there.
    pub limits: Fact,
    /// Whether each domain has a table of its own.
    pub table_each: Fact,
    /// Whether it was built with qmail-ext, where include/config.h tells.
    pub qmail_ext: Fact,
}

/// What is known of a program, and by what; nothing when nothing tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fact {
    /// Whether it is so.
    pub is: Option<bool>,
    /// What shows it, in words.
    pub seen: String,
}

impl Fact {
    fn new(is: bool, seen: String) -> Fact {
        Fact { is: Some(is), seen }
    }

    /// This one, or the other when nothing shows this one.
    fn or(self, other: impl FnOnce() -> Fact) -> Fact {
        if self.is.is_some() { self } else { other() }
    }
}

/// The program that compares passwords.
pub const LOGIN_PROGRAM: &str = "bin/vchkpw";

/// What bin/vchkpw holds when vpopmail is 5.6 or later: error messages that name the limits, the path of the source in its
/// debugging information, or the version.
const CUTS_SCHEME: [&[u8]; 4] = [b"user name too long (max", b"vpopmail-5.6", b"\x005.6.", b"version: 5.6."];
/// What it holds when vpopmail is older, in the same order.
const KEEPS_SCHEME: [&[u8]; 4] = [b"user name too long\0", b"vpopmail-5.4", b"\x005.4.", b"version: 5.4."];

impl Build {
    /// Looks at the host. What cannot be read tells nothing of the version.
    pub fn read(layout: &Layout, notes: &mut Vec<Note>) -> Build {
        let root = &layout.root;
        let at = |name: &str| [&layout.vpopmail[..], b"/", name.as_bytes()].concat();
        let shown = |file: &[u8]| show_path(&root.path(file)).to_string();
        let (program, config) = (at(LOGIN_PROGRAM), at(CONFIG));
        let signs = [CUTS_SCHEME, KEEPS_SCHEME].concat();
        let found = find_in(root, &program, &signs).ok().flatten().unwrap_or_default();
        let (cuts, keeps) = found.split_at(found.len() / 2);
        // The first sign that one has and not the other.
        let tells = cuts.iter().zip(keeps).position(|(cuts, keeps)| cuts != keeps);
        let keeps_scheme = match tells {
            Some(sign) if keeps[sign] => {
                let text = String::from_utf8_lossy(KEEPS_SCHEME[sign]).replace('\0', "");
                Some(format!("{} holds \"{text}\", as vpopmail before 5.6 does", shown(&program)))
            }
            Some(_) => None,
            None => {
                let config = read_config(root, &config).ok().flatten().unwrap_or_default();
                let version = config.iter().find(|(name, _)| matches!(name.as_str(), "PACKAGE_VERSION" | "VERSION"));
                version
                    .filter(|(_, version)| is_before_5_6(version))
                    .map(|(_, version)| format!("{} says that vpopmail is {version}", shown(&at(CONFIG))))
            }
        };
        let Seen { users, sign, asked, notes: of_users } = user_database::see(layout);
        notes.extend(of_users);
        let tables = asked.as_ref().map_or_else(Tables::default, |asked| Tables::read(layout, asked.kind));
        Build { keeps_scheme, users, sign, asked, tables, is_unanswered: false }
    }
}

/// What bin/vdelivermail holds when it looks aliases up in SQL; when it looks limits up there; when it has one table for all
/// domains. (docs/rules.md, 10.1)
const IN_DELIVERY: [&[u8]; 3] = [b"select valias_line from valias", b"FROM limits", b"and pw_domain"];

impl Tables {
    /// Looks at the host. The administrator counts most, then bin/vdelivermail, then include/config.h.
    pub fn read(layout: &Layout, kind: Kind) -> Tables {
        let root = &layout.root;
        let at = |name: &str| [&layout.vpopmail[..], b"/", name.as_bytes()].concat();
        let shown = |name: &str| show_path(&root.path(&at(name))).to_string();
        let of_kind = kind.file().unwrap_or_default().rsplit('/').next().unwrap_or_default().as_bytes();
        let signs = [&[of_kind][..], &IN_DELIVERY].concat();
        // Another program in its place says nothing.
        let found = find_in(root, &at(user_database::PROGRAM), &signs).ok().flatten().filter(|found| found[0]);
        let config = read_config(root, &at(CONFIG)).ok().flatten();
        let is_defined = |name: &str| config.iter().flatten().any(|(defined, _)| defined == name);
        let config = kind.define().filter(|define| is_defined(define));
        let fact = |number: usize, define: &str, negated: bool| {
            let of_program = || match &found {
                Some(found) => {
                    let (holds, string) = (found[number + 1], String::from_utf8_lossy(IN_DELIVERY[number]));
                    let word = if holds { "holds" } else { "does not hold" };
                    Fact::new(holds != negated, format!("{} {word} \"{string}\"", shown(user_database::PROGRAM)))
                }
                None => Fact::default(),
            };
            let of_config = || match config {
                Some(_) => {
                    let word = if is_defined(define) { "defines" } else { "does not define" };
                    Fact::new(is_defined(define) != negated, format!("{} {word} {define}", shown(CONFIG)))
                }
                None => Fact::default(),
            };
            of_program().or(of_config)
        };
        let has = |is: bool| if is { "yes" } else { "no" };
        let given = layout.valias.map(|is| Fact::new(is, format!("--valias is {}", has(is)))).unwrap_or_default();
        let never = |is: bool, why: &str| if is { Fact::new(false, why.to_owned()) } else { Fact::default() };
        Tables {
            aliases: never(kind == Kind::Sqlite, "vdelivermail takes every alias in SQLite for an error")
                .or(|| given)
                .or(|| fact(0, "VALIAS", false)),
            limits: never(kind != Kind::Mysql, "only MySQL has limits").or(|| fact(1, "ENABLE_MYSQL_LIMITS", false)),
            table_each: fact(2, "MANY_DOMAINS", true),
            qmail_ext: config.map_or_else(Fact::default, |_| {
                let is = is_defined("QMAIL_EXT");
                Fact::new(is, format!("{} {} QMAIL_EXT", shown(CONFIG), if is { "defines" } else { "does not define" }))
            }),
        }
    }
}

impl Layout {
    /// The onchange that is installed, and the program of this vpopmail that shows that it is never called; `None` when it is
    /// called, or nothing tells.
    pub fn uncalled_onchange(&self) -> Option<(PathBuf, PathBuf)> {
        let at = |name: &str| [&self.vpopmail[..], b"/", name.as_bytes()].concat();
        let (script, program) = (at("etc/onchange"), at("bin/vadduser"));
        if !matches!(self.root.walk(&script).end, End::Found(_)) {
            return None;
        }
        // A script in its place says nothing, and a library may hold what calls it.
        let signs: [&[u8]; 4] = [b"\x7fELF", b"vadduser", b"onchange", b"libvpopmail"];
        let found = find_in(&self.root, &program, &signs).ok().flatten()?;
        (found == [true, true, false, false]).then(|| (self.root.path(&script), self.root.path(&program)))
    }
}

/// Whether a version is one before 5.6; what is no version is none.
fn is_before_5_6(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    matches!((numbers.next(), numbers.next()), (Some(Some(major)), Some(Some(minor))) if (major, minor) < (5, 6))
}

/// Which of these strings a program holds; `None` when it is not there. Before its first byte stands a NUL.
///
/// # Errors
/// Those of open(2) and read(2); no regular file.
pub(super) fn find_in(root: &Root, file: &[u8], strings: &[&[u8]]) -> io::Result<Option<Vec<bool>>> {
    let Some(opened) = root.open(file)? else { return Ok(None) };
    let mut program = opened.into_file().take(MAX_PROGRAM);
    let finders: Vec<_> = strings.iter().map(memchr::memmem::Finder::new).collect();
    let longest = strings.iter().map(|string| string.len()).max().unwrap_or_default();
    let mut found = vec![false; strings.len()];
    let mut piece = vec![0; 1];
    loop {
        // What the last piece ends in may be the beginning of one.
        let kept = piece.len().min(longest);
        piece.drain(..piece.len() - kept);
        let read = program.by_ref().take(PIECE as u64).read_to_end(&mut piece);
        if read.inspect_err(|cause| note_error(cause, || root.path(file)))? == 0 {
            return Ok(Some(found));
        }
        for (found, finder) in found.iter_mut().zip(&finders) {
            *found = *found || finder.find(&piece).is_some();
        }
    }
}

/// What include/config.h defines, names and values without quotes; `None` when it is not there.
///
/// # Errors
/// Those of open(2) and read(2); no regular file.
pub(super) fn read_config(root: &Root, file: &[u8]) -> io::Result<Option<Vec<(String, String)>>> {
    let mut text = Vec::new();
    let Some(mut opened) = root.open(file)? else { return Ok(None) };
    opened.read_start(&mut text, MAX_CONFIG)?;
    let define = |(_, line): (usize, &[u8])| {
        let line = String::from_utf8_lossy(line).into_owned();
        let rest = line.trim().strip_prefix('#')?.trim_start().strip_prefix("define")?.to_owned();
        let (name, value) = rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
        rest.starts_with(char::is_whitespace).then(|| (name.to_owned(), value.trim().trim_matches('"').to_owned()))
    };
    Ok(Some(lines(&text).filter_map(define).collect()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::fs::Bounds;

    fn host(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Layout) {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join("v").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let layout = Layout {
            root: Root::new(folder.path(), Bounds::default()),
            qmail: b"/q".to_vec(),
            vpopmail: b"/v".to_vec(),
            is_vpopmail_given: true,
            users_cdb: None,
            user_database: None,
            connection: None,
            valias: None,
            snapshot: None,
            break_byte: b'-',
            qmail_ext: false,
            refuse_delete: true,
        };
        (folder, layout)
    }

    #[test]
    fn a_scheme_is_kept_where_the_program_or_else_the_configuration_is_that_of_an_old_vpopmail() {
        let long = [&vec![b'x'; PIECE - 9][..], b"user name too long\0 and more"].concat();
        let old_config: &[u8] = b"/* x */\n#define PACKAGE_VERSION \"5.4.33\"\n#undef USE_CDB\n";
        let new_config: &[u8] = b"# define\tPACKAGE_VERSION \"5.6.13\"\n";
        for (program, config, keeps) in [
            (None, None, false),
            (Some(&b"user name too long (max=64)\0"[..]), None, false),
            (Some(b"\x7fELF user name too long\0x"), None, true),
            (Some(&long), None, true),
            (Some(&long), Some(new_config), true),
            (Some(b"user name too long (max=64)\0"), Some(old_config), false),
            (Some(b"/usr/src/vpopmail-5.4.34/vchkpw.c\0"), None, true),
            (Some(b"5.4.33\0"), None, true),
            (Some(b"GCC: (Ubuntu) 5.4.0\0"), None, false),
            (Some(b"#!/bin/sh\n"), Some(old_config), true),
            (None, Some(old_config), true),
            (None, Some(new_config), false),
            (None, Some(b"#define VERSION \"5.5.0\"\n"), true),
            (None, Some(b"#define VERSION \"unknown\"\n"), false),
        ] {
            let mut files = Vec::new();
            files.extend(program.map(|program| ("bin/vchkpw", program)));
            files.extend(config.map(|config| ("include/config.h", config)));
            let (_folder, layout) = host(&files);
            let found = Build::read(&layout, &mut Vec::new());
            let shown = program.map(|program| String::from_utf8_lossy(&program[program.len().saturating_sub(40)..]));
            assert_eq!(found.keeps_scheme.is_some(), keeps, "{shown:?} {config:?}: {found:?}");
        }
    }
}
