//! Where vpopmail keeps its users, by the signs of docs/rules.md, 10.1. This program reads the files vpasswd and
//! vpasswd.cdb of the domains; a vpopmail with another user database leaves such files behind and never looks at them
//! again, so nothing is read from them there.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

use super::Layout;
use super::build::{find_in, read_config};
use super::mailboxes::{Latest, Source};
use crate::error::{Nature, Trouble, show_path};
use crate::fs::{End, Kind as FileKind};
use crate::report::{Code, Note};

/// How much of etc/lib_deps is looked at, in bytes.
const MAX_LIBRARIES: usize = 1 << 16;

/// A user database that vpopmail can be built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// vpasswd.cdb and vpasswd in each domain directory.
    Cdb,
    /// MySQL or MariaDB.
    Mysql,
    /// PostgreSQL.
    Pgsql,
    /// SQLite.
    Sqlite,
    /// LDAP.
    Ldap,
    /// Active Directory.
    ActiveDirectory,
    /// Oracle.
    Oracle,
    /// Sybase.
    Sybase,
}

use Kind::{ActiveDirectory, Cdb, Ldap, Mysql, Oracle, Pgsql, Sqlite, Sybase};

impl Kind {
    /// The value of `--backend` that names it, where there is one.
    pub fn option(self) -> &'static str {
        match self {
            Cdb => "cdb",
            Mysql => "mysql",
            Pgsql => "pgsql",
            Sqlite => "sqlite",
            Ldap | ActiveDirectory | Oracle | Sybase => "auto",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Kind> {
        let all = [Cdb, Mysql, Pgsql, Sqlite, Ldap, ActiveDirectory, Oracle, Sybase];
        all.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether the users of a domain log in by each of its alias domains; else by the rows under the alias domain's own name.
    pub fn has_alias_logins(self) -> bool {
        self != Pgsql
    }

    /// Whether this program was built with a client of it.
    pub fn is_read(self) -> bool {
        match self {
            Sqlite => cfg!(feature = "sqlite"),
            Mysql => cfg!(feature = "mysql"),
            Pgsql => cfg!(feature = "pgsql"),
            Cdb | Ldap | ActiveDirectory | Oracle | Sybase => false,
        }
    }

    /// The file below VPOPMAIL by which vpopmail reaches it: how to connect, or the database itself.
    pub fn file(self) -> Option<&'static str> {
        FILES.iter().find(|(_, kind)| *kind == self).map(|(file, _)| *file)
    }

    /// What include/config.h defines for it.
    pub fn define(self) -> Option<&'static str> {
        IN_CONFIG.iter().find(|(_, kind)| *kind == self).map(|(name, _)| *name)
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Cdb => "vpasswd files",
            Mysql => "MySQL or MariaDB",
            Pgsql => "PostgreSQL",
            Sqlite => "SQLite",
            Ldap => "LDAP",
            ActiveDirectory => "Active Directory",
            Oracle => "Oracle",
            Sybase => "Sybase",
        }
    }
}

/// Which of these strings bin/vdelivermail holds tells the user database; the first one counts. A program that is not
/// stripped names a function `vpasswd` too, whatever its user database is.
const IN_PROGRAM: [(&str, Kind); 5] = [
    ("vpopmail.mysql", Mysql),
    ("vpopmail.pgsql", Pgsql),
    ("_vpopmail.sqlite", Sqlite),
    ("vpopmail.ldap", Ldap),
    ("vpasswd", Cdb),
];

/// The same of what include/config.h defines.
const IN_CONFIG: [(&str, Kind); 8] = [
    ("USE_MYSQL", Mysql),
    ("USE_POSTGRES", Pgsql),
    ("USE_SQLITE", Sqlite),
    ("USE_LDAP", Ldap),
    ("USE_ACTIVEDIR", ActiveDirectory),
    ("USE_ORACLE", Oracle),
    ("USE_SYBASE", Sybase),
    ("USE_CDB", Cdb),
];

/// The same of how the words of etc/lib_deps begin; with none of them it is cdb.
const IN_LIBRARIES: [(&str, Kind); 8] = [
    ("-lmysql", Mysql),
    ("-lmariadb", Mysql),
    ("-lpq", Pgsql),
    ("-lsqlite", Sqlite),
    ("-lldap", Ldap),
    ("-lclntsh", Oracle),
    ("-lsybdb", Sybase),
    ("-lct", Sybase),
];

/// The same of the files below VPOPMAIL.
const FILES: [(&str, Kind); 4] = [
    ("etc/vpopmail.mysql", Mysql),
    ("etc/vpopmail.pgsql", Pgsql),
    ("domains/_vpopmail.sqlite", Sqlite),
    ("etc/vpopmail.ldap", Ldap),
];

/// The program that looks mailboxes up.
pub const PROGRAM: &str = "bin/vdelivermail";
/// What is in it is also read for other things.
pub const CONFIG: &str = "include/config.h";
/// With what vpopmail was linked.
pub const LIBRARIES: &str = "etc/lib_deps";

/// The files below VPOPMAIL that tell the user database. What SQLite writes at every login is none of them.
pub fn files() -> impl Iterator<Item = &'static str> {
    let settings = FILES.iter().map(|(file, _)| *file).filter(|file| file.starts_with("etc/"));
    [PROGRAM, CONFIG, LIBRARIES].into_iter().chain(settings)
}

/// What one place says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sign {
    /// The user database.
    pub kind: Kind,
    /// Where that was seen, and what.
    pub seen: String,
}

/// What was seen of a host.
#[derive(Debug, Default)]
pub struct Seen {
    /// Where vpopmail keeps its users.
    pub users: Source,
    /// The sign on the host that counts; `None` when there is none, and when the administrator says it.
    pub sign: Option<Sign>,
    /// The user database that has to be asked, where that is one.
    pub asked: Option<Sign>,
    /// What there is to say of it.
    pub notes: Vec<Note>,
}

/// Looks at the host, unless the administrator says which user database it is.
pub fn see(layout: &Layout) -> Seen {
    if let Some(snapshot) = &layout.snapshot {
        let users = match snapshot {
            Ok(snapshot) => Source::Snapshot(Latest::new(snapshot.clone())),
            Err(cause) => Source::Failed(cause.clone()),
        };
        let notes = users.unknown().map(|(_, alert)| alert).into_iter().collect();
        return Seen { users, notes, ..Seen::default() };
    }
    if let Some(kind) = layout.user_database {
        return Seen { sign: None, ..told(Some(given(kind)), None, Vec::new()) };
    }
    let mut signs: Vec<Sign> = Vec::new();
    let mut unread: Option<(PathBuf, Trouble)> = None;
    for (file, look) in LOOKS {
        let path = layout.root.path(&below(layout, file));
        match look(layout, file) {
            Ok(sign) => signs.extend(sign),
            // What was seen before it counts more.
            Err(cause) if signs.is_empty() && unread.is_none() => {
                let cause = Trouble::from(&cause).of_file(show_path(&path));
                // A VPOPMAIL/etc that is closed to this process, which is not root, is told where its settings count. Its
                // files tell the user database only on a host without the program.
                let is_unknown = !cause.denied || matches!(file, PROGRAM | CONFIG);
                unread = is_unknown.then_some((path, cause));
            }
            Err(_) => {}
        }
    }
    let mut notes = Vec::new();
    match unread {
        // Root may see something else than what follows.
        Some((path, cause)) if cause.denied || signs.is_empty() => return unknown(path, cause),
        Some((_, cause)) => notes.push(
            Note::warning(format!(
                "{cause}; the other files below {} tell where vpopmail keeps its users; --backend can say it",
                show_path(&layout.root.path(&layout.vpopmail))
            ))
            .of(Code::UserDatabaseSign),
        ),
        None => {}
    }
    let mut signs = signs.into_iter();
    let first = signs.next();
    let other = first.as_ref().and_then(|first| signs.find(|sign| sign.kind != first.kind));
    told(first, other, notes)
}

/// What follows when the host has no sign, and an earlier rebuild saw this one: it counts until another sign is there.
pub fn seen_before(sign: &Sign) -> Seen {
    let seen = format!("no file tells it now; an earlier rebuild saw that {}", sign.seen);
    Seen { sign: None, ..told(Some(Sign { seen, ..sign.clone() }), None, Vec::new()) }
}

/// What follows when the host has vpopmail domains and no sign, and no earlier rebuild saw one. A VPOPMAIL that is missing
/// or empty may be a file system that is not mounted; `None` when it is neither.
pub fn without_signs(layout: &Layout) -> Option<Seen> {
    let cause = match layout.root.walk(&layout.vpopmail).end {
        End::Missing(cause) => cause.into(),
        End::Found(found) if found.kind != FileKind::Directory => Errno::ENOTDIR.into(),
        End::Found(found) => match found.open_directory().and_then(|directory| directory.entries(|_| true)) {
            Ok(entries) => entries.is_empty().then(|| Trouble::from("the directory is empty"))?,
            Err(cause) if Nature::of_error(&cause) == Nature::Host => return None,
            Err(cause) => Trouble::from(&cause),
        },
        End::Failed(cause) if Nature::of(cause) != Nature::Host => cause.into(),
        // The files below it are not read either.
        End::Failed(_) | End::Silent(_) => return None,
    };
    let path = layout.root.path(&layout.vpopmail);
    let cause = cause.of_file(show_path(&path));
    Some(unknown(path, cause))
}

/// What follows when this file, or directory, does not tell it, and nothing else does.
fn unknown(path: PathBuf, cause: Trouble) -> Seen {
    let users = Source::Unknown(path, cause);
    let notes = users.unknown().map(|(_, alert)| alert).into_iter().collect();
    Seen { users, notes, ..Seen::default() }
}

/// What follows from the sign that counts, and from one that contradicts it.
fn told(first: Option<Sign>, other: Option<Sign>, mut notes: Vec<Note>) -> Seen {
    let Some(first) = first else { return Seen { notes, ..Seen::default() } };
    if let Some(other) = other {
        notes.push(Note::warning(format!(
            "two signs differ: {}, which means that vpopmail keeps its users in {}; {}, which means {}; the first counts; \
             --backend can say which is right",
            first.seen,
            first.kind.name(),
            other.seen,
            other.kind.name()
        )).of(Code::UserDatabaseSigns));
    }
    if first.kind == Cdb {
        return Seen { sign: Some(first), notes, ..Seen::default() };
    }
    if first.kind.is_read() {
        let users = Source::Failed("nothing has asked it yet".into());
        return Seen { users, sign: Some(first.clone()), asked: Some(first), notes };
    }
    let cause = format!("vpopmail keeps its users in {} ({}), which is not read", first.kind.name(), first.seen);
    notes.push(Note::alert(format!("{cause}; no vpasswd file is read either; every address that vdelivermail would look up is accepted, the published \
         logins are kept, and no login is added; --backend cdb, if the users are in vpasswd files"
    )).of(Code::UserDatabaseUnsupported));
    Seen { users: Source::Elsewhere(cause.into()), sign: Some(first), asked: None, notes }
}

/// What follows from a user database that could not be asked; the cause names it. What is published of its users is kept; when
/// nothing of them ever was, or only what vpasswd files said, every address is accepted.
pub fn not_answered(sign: &Sign, cause: &Trouble, was_read: bool) -> (Source, Option<Note>) {
    // The file in the cause may be the sign.
    let is_named = sign.seen.strip_suffix(IS_THERE).is_some_and(|file| cause.text.contains(file));
    let seen = if is_named { String::new() } else { format!("; the sign: {}", sign.seen) };
    let cause = Trouble::from(format!("vpopmail keeps its users in {cause}{seen}"));
    if was_read {
        let users = Source::Failed(cause);
        let alert = users.unknown().map(|(_, alert)| alert);
        return (users, alert);
    }
    let alert = Note::alert(format!(
        "{cause}; nothing of it is published yet; every address that vdelivermail would look up is accepted, the published \
         logins are kept, and no login is added; --backend cdb, if the users are in vpasswd files"
    )).of(Code::UserDatabaseFailed);
    (Source::Elsewhere(cause), Some(alert))
}

/// What the administrator says.
fn given(kind: Kind) -> Sign {
    Sign { kind, seen: format!("--backend is {}", kind.option()) }
}

fn below(layout: &Layout, name: &str) -> Vec<u8> {
    [&layout.vpopmail[..], b"/", name.as_bytes()].concat()
}

fn sign(layout: &Layout, file: &str, kind: Kind, what: &str) -> Sign {
    Sign { kind, seen: format!("{} {what}", show_path(&layout.root.path(&below(layout, file)))) }
}

/// What a file below VPOPMAIL says; an error when it is there and cannot be read.
type Looker = fn(&Layout, &str) -> io::Result<Option<Sign>>;

/// What is seen of a file that is the sign itself.
const IS_THERE: &str = " is there";

/// Where to look, in the order in which it counts.
const LOOKS: [(&str, Looker); 7] = [
    (PROGRAM, of_program),
    (CONFIG, of_config),
    (LIBRARIES, of_libraries),
    (FILES[0].0, of_file),
    (FILES[1].0, of_file),
    (FILES[2].0, of_file),
    (FILES[3].0, of_file),
];

/// The bytes of the program, stripped or not.
fn of_program(layout: &Layout, file: &str) -> io::Result<Option<Sign>> {
    let strings = IN_PROGRAM.map(|(string, _)| string.as_bytes());
    let Some(found) = find_in(&layout.root, &below(layout, file), &strings)? else { return Ok(None) };
    let first = IN_PROGRAM.iter().zip(found).find(|(_, found)| *found);
    Ok(first.map(|((string, kind), _)| sign(layout, file, *kind, &format!("holds \"{string}\""))))
}

fn of_config(layout: &Layout, file: &str) -> io::Result<Option<Sign>> {
    let defined = read_config(&layout.root, &below(layout, file))?.unwrap_or_default();
    let is_defined = |(name, _): &&(&str, Kind)| defined.iter().any(|(defined, _)| defined == name);
    let found = IN_CONFIG.iter().find(is_defined);
    Ok(found.map(|(name, kind)| sign(layout, file, *kind, &format!("defines {name}"))))
}

fn of_libraries(layout: &Layout, file: &str) -> io::Result<Option<Sign>> {
    let mut text = Vec::new();
    let Some(mut opened) = layout.root.open(&below(layout, file))? else { return Ok(None) };
    opened.read_start(&mut text, MAX_LIBRARIES)?;
    let text = String::from_utf8_lossy(&text);
    let mut words = text.split_whitespace();
    let of_word = |word: &str| IN_LIBRARIES.iter().find(|(begin, _)| word.starts_with(begin)).map(|(_, kind)| *kind);
    Ok(match words.clone().find_map(|word| Some((word, of_word(word)?))) {
        Some((word, kind)) => Some(sign(layout, file, kind, &format!("names {word}"))),
        // An empty one says nothing.
        None => words.next().map(|_| sign(layout, file, Cdb, "names no library of another user database")),
    })
}

fn of_file(layout: &Layout, file: &str) -> io::Result<Option<Sign>> {
    let of_kind = FILES.iter().find(|(name, _)| *name == file);
    match layout.root.walk(&below(layout, file)).end {
        End::Found(_) => Ok(of_kind.map(|(_, kind)| sign(layout, file, *kind, IS_THERE.trim_start()))),
        End::Missing(_) => Ok(None),
        End::Failed(cause) => Err(cause.into()),
        End::Silent(silence) => Err(silence.into()),
    }
}
