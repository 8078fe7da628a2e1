//! How a rebuild learns what vpopmail's user database says. A [`Companion`], which is a program of its own under the uid of
//! vpopmail, asks the server ([`crate::sql`]); here its rows are read as those of any user, with bounds and time
//! limits. This process opens the file with the password and does not read it.

use std::cell::LazyCell;
use std::collections::{BTreeSet, HashSet};
use std::hash::RandomState;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::unistd::{getegid, geteuid};

use crate::error::{Trouble, show_path};
use crate::fs::{End, Opened, Who};
use crate::host::mailboxes::Source;
use crate::host::mailboxes::snapshot::{self, Snapshot};
use crate::host::mailboxes::standing::Standing;
use crate::host::mailboxes::stream;
use crate::host::user_database::{Kind, Sign, not_answered};
use crate::host::{Host, Layout, VPOPMAIL};
use crate::os::spawn::{self, Companion};
use crate::publish::Target;
use crate::report::Note;
use crate::settings::{Database, Settings};
use crate::sql::ask::Ask;

use super::users_seen;

/// A question may take so many times --max-wait, however many rows come.
const WHOLE: u32 = 15;
/// The uid and gid of the process that asks, where vpopmail has none that is not root's.
const NOBODY: Who = Who { uid: 65_534, gid: 65_534 };

/// What has to be asked, and by which file.
#[derive(Debug)]
pub struct Question {
    sign: Sign,
    /// The file, on this machine.
    path: PathBuf,
    /// It, open; or why it cannot be used.
    file: Result<Opened, Trouble>,
    /// Whose process asks.
    who: Who,
    ask: Ask,
}

fn lock(settings: &Settings) -> MutexGuard<'_, Database> {
    settings.database.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How it stands with the user database.
pub fn standing(settings: &Settings) -> MutexGuard<'_, Option<Standing>> {
    settings.standing.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A rebuild begins: it asks again. What it is told counts to its end.
pub fn begin(settings: &Settings) {
    lock(settings).answer = None;
}

/// The file by which the user database is reached, as the host names it.
pub fn file_of(layout: &Layout, kind: Kind) -> Vec<u8> {
    let own = || [&layout.vpopmail[..], b"/", kind.file().unwrap_or_default().as_bytes()].concat();
    match &layout.connection {
        // The database itself.
        Some(file) if kind != Kind::Sqlite => file.clone(),
        _ => own(),
    }
}

/// Whose process asks: the user vpopmail, or else the owner of VPOPMAIL.
fn who(host: &Host) -> Who {
    let accounts = &host.accounts;
    let account = accounts.accepted.get(VPOPMAIL).or_else(|| accounts.passed_over.get(VPOPMAIL));
    let owner = || match host.layout.root.walk(&host.layout.vpopmail).end {
        End::Found(found) => Some(Who { uid: found.perm.uid, gid: found.perm.gid }),
        End::Missing(_) | End::Failed(_) | End::Silent(_) => None,
    };
    let found = account.map(|account| account.who).or_else(owner);
    found.filter(|who| who.uid != 0 && who.gid != 0).unwrap_or(NOBODY)
}

/// Opens what the question needs; `None` when no user database has to be asked. It may wait for a file system.
pub fn question(host: &Host) -> Option<Question> {
    let sign = host.build.asked.clone()?;
    let (layout, kind) = (&host.layout, sign.kind);
    let inside = file_of(layout, kind);
    let (path, who) = (layout.root.path(&inside), who(host));
    let tables = &host.build.tables;
    let own = |domain| Some(domain).filter(|_| !kind.has_alias_logins());
    let lines = host.assignments.domains();
    let domains: BTreeSet<&[u8]> =
        lines.flat_map(|(domain, line)| own(domain).into_iter().chain([&line.user[..]])).collect();
    let file = match layout.root.open(&inside) {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(Trouble::from("it is not there")),
        Err(cause) => Err(Trouble::from(&cause)),
    };
    // Its owner could put the file of another user there, which root would open.
    let is_own = layout.connection.is_some() && kind != Kind::Sqlite;
    let file = file.and_then(|file| match is_own || !geteuid().is_root() || file.perm.readable(who) {
        true => Ok(file),
        false => Err(format!("uid {}, gid {} may not read it", who.uid, who.gid).into()),
    });
    let wait = layout.root.bounds.wait;
    let real = || match layout.root.walk(&inside).end {
        End::Found(found) => found.real,
        End::Missing(_) | End::Failed(_) | End::Silent(_) => path.clone(),
    };
    let ask = Ask {
        kind,
        file: if kind == Kind::Sqlite { std::path::absolute(real()).unwrap_or_default() } else { PathBuf::new() },
        aliases: tables.aliases.is,
        limits: tables.limits.is,
        table_each: tables.table_each.is,
        domains: domains.into_iter().map(<[u8]>::to_vec).collect(),
        connect: wait,
        read: wait,
    };
    Some(Question { sign, path, file, who, ask })
}

/// Asks the user database, when there is one: from now on the host has the users of its answer.
pub fn answer(settings: &Settings, host: &mut Host, question: Option<Question>, notes: &mut Vec<Note>) {
    let Some(question) = question else {
        *standing(settings) = None;
        lock(settings).before = None;
        return;
    };
    let (sign, path) = (question.sign.clone(), question.path.clone());
    match ask(settings, question) {
        Ok(snapshot) => {
            host.build.users = Source::Snapshot(crate::host::mailboxes::Latest::new(snapshot));
            host.build.is_unanswered = false;
        }
        Err(cause) if cause.denied => {
            host.build.users = Source::Unknown(path, cause);
            notes.extend(host.build.users.unknown().map(|(_, alert)| alert));
        }
        Err(cause) => {
            let (users, alert) = not_answered(&sign, &cause, users_seen::was_read(settings, sign.kind));
            host.build.users = users;
            host.build.is_unanswered = true;
            notes.extend(alert);
        }
    }
}

/// Asks the user database, or gives what it said since [`begin`].
pub fn ask(settings: &Settings, question: Question) -> Result<Arc<Snapshot>, Trouble> {
    let mut database = lock(settings);
    if let Some(answer) = &database.answer {
        return answer.clone();
    }
    let (kind, path) = (question.sign.kind, question.path.clone());
    let mut server = None;
    let answer = ask_now(settings, &mut database, question, &mut server).map(Arc::new);
    let shown = show_path(&path).to_string();
    let answered = answer.as_ref().map(|snapshot| (&**snapshot, snapshot.print_of_all(&database.seed)));
    // Locked as a whole: a status file that is written meanwhile must not lack it.
    let mut stands = standing(settings);
    let before = stands.take().filter(|before| (before.kind, &before.file) == (kind, &shown));
    stands.insert(before.unwrap_or_else(|| Standing::new(kind, shown))).asked(super::now(), server, answered);
    drop(stands);
    let answer = answer.map_err(|cause| {
        (database.companion, database.before) = (None, None);
        cause.of_file(format!("{} ({})", kind.name(), show_path(&path)))
    });
    if let Ok(snapshot) = &answer {
        database.before = Some(Arc::clone(snapshot));
    }
    database.answer = Some(answer.clone());
    answer
}

/// Asks it now; where its server is, is told when it is known.
fn ask_now(
    settings: &Settings,
    database: &mut Database,
    question: Question,
    server: &mut Option<String>,
) -> Result<Snapshot, Trouble> {
    let Question { file, who, ask, .. } = question;
    let file = file?;
    let owner = geteuid().is_root().then_some((who.uid, who.gid));
    let own = (geteuid().as_raw(), getegid().as_raw());
    let key = (ask.kind, file.id, file.size, owner.unwrap_or(own));
    // A connection file that is another one by now needs another connection.
    let is_kept = database.companion.as_ref().is_some_and(|(of, _)| *of == key);
    let mut file = Some(file);
    let (seed, before) = (database.seed.clone(), database.before.clone());
    for is_kept in [is_kept, false] {
        if !is_kept {
            let Some(file) = file.take() else { break };
            database.companion = None;
            let program = spawn::database_program(settings.layout.root.bounds)?;
            let started = Companion::start(&program, owner, OwnedFd::from(file.into_file()), ask.connect)?;
            database.companion = Some((key, started));
        }
        let Some((_, companion)) = &database.companion else { break };
        let beside = Target::find(&settings.layout.root, &settings.auth).ok();
        let mut copy = || beside.as_ref().map_or_else(crate::publish::unnamed, Target::unnamed);
        let mut read = |mut rows: &mut dyn Read| {
            *server = stream::server(&mut rows)?;
            snapshot::read(rows, &mut copy, &seed, before.as_deref())
        };
        let answer = exchange(companion.socket(), &ask, &mut read);
        match answer {
            // It may have ended since it was asked last.
            Err(Unanswered::Ended(_)) if is_kept => {}
            Err(Unanswered::Ended(cause) | Unanswered::Other(cause)) => return Err(cause),
            Ok(snapshot) => return Ok(snapshot),
        }
    }
    Err("the process that asks it has ended".into())
}

/// Why a companion gave no answer.
enum Unanswered {
    /// It was not there any more.
    Ended(Trouble),
    Other(Trouble),
}

/// Sends a question, and reads the answer in time.
fn exchange(
    socket: &UnixStream,
    ask: &Ask,
    read: &mut dyn FnMut(&mut dyn Read) -> Result<Snapshot, Trouble>,
) -> Result<Snapshot, Unanswered> {
    let mut rows = Rows::new(socket, ask);
    let answer = match rows.send(ask) {
        Ok(()) => read(&mut rows),
        Err(cause) => Err(Trouble::from(&cause)),
    };
    answer.map_err(|cause| match rows.silent_for {
        Some(limit) => Unanswered::Other(format!("no answer within {} s", limit.as_secs()).into()),
        None if rows.bytes == 0 => Unanswered::Ended(cause),
        None => Unanswered::Other(cause),
    })
}

/// What comes from a companion, in time.
struct Rows<'s> {
    socket: &'s UnixStream,
    /// How long it may send nothing; the first time a connection is made, too.
    read: Duration,
    first: Duration,
    /// When the whole has to be there.
    whole: Duration,
    start: Instant,
    bytes: u64,
    /// The time limit that was over.
    silent_for: Option<Duration>,
}

impl<'s> Rows<'s> {
    fn new(socket: &'s UnixStream, ask: &Ask) -> Rows<'s> {
        // The client has the same limits, and tells more: it ends first.
        let (first, read) = (ask.connect + ask.read + Duration::from_secs(2), ask.read + stream::AT_LEAST_EACH);
        let whole = ask.read.saturating_mul(WHOLE);
        Rows { socket, read, first, whole, start: Instant::now(), bytes: 0, silent_for: None }
    }

    /// Sends the question.
    fn send(&mut self, ask: &Ask) -> io::Result<()> {
        self.socket.set_write_timeout(Some(self.read))?;
        let mut socket = self.socket;
        ask.write(&mut socket).inspect_err(|cause| {
            if is_timeout(cause) {
                self.silent_for = Some(self.read);
            }
        })
    }
}

fn is_timeout(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

impl Read for Rows<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = if self.bytes == 0 { self.first } else { self.read };
        let left = self.whole.saturating_sub(self.start.elapsed());
        let limit = limit.min(left.max(Duration::from_millis(1)));
        self.socket.set_read_timeout(Some(limit))?;
        let mut socket = self.socket;
        let read = socket.read(buffer).inspect_err(|cause| {
            if is_timeout(cause) {
                self.silent_for = Some(if left <= limit { self.whole } else { limit });
            }
        })?;
        if self.start.elapsed() > self.whole {
            self.silent_for = Some(self.whole);
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.bytes += read as u64;
        Ok(read)
    }
}

/// What the user database has under domains that have no line in users/assign, and whose mail may be asked for all the
/// same, as a number.
pub fn unassigned(host: &Host, snapshot: &Snapshot, seed: &RandomState) -> u64 {
    let assignments = &host.assignments;
    // For domains that only the line of an alias domain names; there are hardly any.
    let named = LazyCell::new(|| assignments.domains().map(|(_, line)| &line.user[..]).collect::<HashSet<_>>());
    let is_assigned = |key: &[u8]| match snapshot.about().has_table_each {
        // Only tables of domains with a line are read.
        true => true,
        false => assignments.vpopmail_domain(key).is_some() || named.contains(key),
    };
    snapshot.print_of(&|key| !is_assigned(key) && host.control.prefix(key).is_some(), seed)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn asked() -> Ask {
        Ask {
            kind: Kind::Sqlite,
            file: PathBuf::from("/x"),
            aliases: None,
            limits: None,
            table_each: None,
            domains: Vec::new(),
            connect: Duration::from_millis(10),
            read: Duration::from_millis(200),
        }
    }

    /// What comes of an answer that this thread gives, when it was asked.
    fn told(answer: impl FnOnce(&mut UnixStream) + Send) -> String {
        let (socket, mut its) = UnixStream::pair().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                assert_eq!(Ask::read(&mut its).unwrap(), Some(asked()));
                answer(&mut its);
            });
            let seed = RandomState::new();
            let mut read = |mut rows: &mut dyn Read| {
                stream::server(&mut rows)?;
                snapshot::read(rows, &mut tempfile::tempfile, &seed, None)
            };
            let told = match exchange(&socket, &asked(), &mut read) {
                Ok(_) => "an answer".to_owned(),
                Err(Unanswered::Ended(cause)) => format!("ended: {cause}"),
                Err(Unanswered::Other(cause)) => cause.to_string(),
            };
            drop(socket);
            told
        })
    }

    #[test]
    fn what_a_process_that_was_taken_over_sends_is_no_answer_and_takes_no_longer_than_the_limits() {
        assert_eq!(told(|_| ()), "ended: the rows of the user database broke off");
        assert_eq!(told(|its| its.write_all(b"Sgarbage").unwrap()), "what came from the user database is malformed");
        let longer = |its: &mut UnixStream| its.write_all(&[b'S', 255, 255, 255, 255]).unwrap();
        assert_eq!(told(longer), "what came from the user database is malformed");
        // It begins, and sends nothing more: the end of its socket comes when this one is closed.
        let silent = |its: &mut UnixStream| {
            its.write_all(b"S").unwrap();
            let _ = its.read(&mut [0]);
        };
        let start = Instant::now();
        assert_eq!(told(silent), "no answer within 1 s");
        // It goes on for ever, a byte at a time.
        let slow = |its: &mut UnixStream| {
            its.write_all(&[b'S', 0, 0, 16, 0]).unwrap();
            its.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            while its.write_all(b"x").is_ok() && its.read(&mut [0]).is_err() {}
        };
        assert_eq!(told(slow), "no answer within 3 s");
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    }
}
