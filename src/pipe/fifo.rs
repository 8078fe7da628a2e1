//! The reader's side of the named pipe (docs/rules.md, 6.1 and 6.2): made so that nobody ever finds it without a
//! reader, drained at all times, made again when it vanishes.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};
use tempfile::Builder;

use super::notice::{MAX_LINE, Notice};
use crate::error::{Error, is_denied_to_us, show_cause, show_path};
use crate::kernel::{Touches, other_readers, protected_fifos};
use crate::report::{Code, Note};
use crate::text::Shown;

/// Everybody may write, only we read.
const MODE: u32 = 0o622;
/// How many notices are heard at once; what more of them announce, the sweep sees.
const MAX_NOTICES: usize = 1_000;
/// How many random letters and digits a name of ours holds.
const RANDOM: usize = 6;
/// A writer closes the pipe so soon after its last line.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How often the name is looked at, in milliseconds.
const LOOK_EVERY: u16 = 4_000;

/// What was heard on a pipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Notices, those that announce a change last; and how many more there were.
    Notices(Vec<Notice>, usize),
    /// A line that is no notice, bytes without a line, or a touch.
    Poke,
    /// Whoever wrote the last lines is gone.
    Closed,
    /// The pipe was lost, and made again.
    Remade(Note),
    /// The pipe was lost and cannot be made again for now, or some triggers on it cannot be heard.
    Trouble(Note),
}

/// A named pipe that we made or found, open for reading.
pub struct Fifo {
    path: PathBuf,
    reader: File,
    /// Its device and inode; `None`: it was never made.
    id: Option<(u64, u64)>,
    watch: Option<Touches>,
    /// Whether it was said that the pipe cannot be made again.
    lost_said: bool,
    /// Whether it was said that the pipe cannot be watched.
    unwatched_said: bool,
    line: Unended,
    /// How many lines were heard since the last writer closed it, and when the last one.
    lines: (usize, Option<Instant>),
}

/// The beginning of a line whose end has not come yet; `None` in a line that is too long to be one.
#[derive(Clone, Debug)]
pub struct Unended(Option<Vec<u8>>);

impl Default for Unended {
    fn default() -> Unended {
        Unended(Some(Vec::new()))
    }
}

impl Fifo {
    /// Makes the pipe, or takes one of our own that stands there. Says what had to be put out of the way.
    ///
    /// # Errors
    /// A folder that is not there, or something else that stands there in a folder where only the administrator can have
    /// put it.
    pub fn make(path: &Path) -> Result<(Fifo, Option<Note>), Error> {
        let failed = |cause: io::Error| Error::io("make the pipe", path, cause);
        remove_litter(path);
        let note = match fs::symlink_metadata(path) {
            Ok(meta) if meta.file_type().is_fifo() && meta.uid() == geteuid().as_raw() => {
                let reader = open_reader(path).map_err(failed)?;
                if meta.mode() & 0o7777 != MODE {
                    reader.set_permissions(fs::Permissions::from_mode(MODE)).map_err(failed)?;
                }
                return Fifo::of(path, reader).map_err(failed).map(|fifo| (fifo, None));
            }
            Ok(meta) => Some(put_aside(path, &meta)?),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
            Err(cause) => return Err(failed(cause)),
        };
        // A random name: nobody can have put anything there.
        let folder = path.parent().unwrap_or(Path::new("/"));
        let made = Builder::new().prefix(&temporary_prefix(path)).rand_bytes(RANDOM).make_in(folder, |temporary| {
            mkfifo(temporary, Mode::S_IRUSR | Mode::S_IWUSR)?;
            let reader = open_reader(temporary)?;
            reader.set_permissions(fs::Permissions::from_mode(MODE))?;
            Ok(reader)
        });
        let reader = made.and_then(|made| made.persist(path).map_err(|failed| failed.error)).map_err(failed)?;
        Fifo::of(path, reader).map_err(failed).map(|fifo| (fifo, note))
    }

    /// The same for a service, whose watches and full checks work without a pipe, too: where the file system does not let
    /// it be made, it is lost from the beginning, and [`Fifo::listen`] makes it later.
    ///
    /// # Errors
    /// Something else that stands there, as above.
    pub fn make_or_wait(path: &Path) -> Result<(Fifo, Option<Note>), Error> {
        match Fifo::make(path) {
            Err(error @ Error::Io { .. }) => {
                let nothing =
                    File::open("/dev/null").map_err(|cause| Error::io("open", Path::new("/dev/null"), cause))?;
                let fifo = Fifo { lost_said: true, ..Fifo::new(path, nothing, None) };
                Ok((fifo, Some(cannot_be_made(path, error))))
            }
            made => made,
        }
    }

    fn new(path: &Path, reader: File, id: Option<(u64, u64)>) -> Fifo {
        Fifo {
            path: path.to_owned(),
            reader,
            id,
            watch: None,
            lost_said: false,
            unwatched_said: false,
            line: Unended::default(),
            lines: (0, None),
        }
    }

    fn of(path: &Path, reader: File) -> io::Result<Fifo> {
        let meta = reader.metadata()?;
        if !meta.file_type().is_fifo() {
            return Err(io::Error::other("no pipe"));
        }
        let mut fifo = Fifo::new(path, reader, Some((meta.dev(), meta.ino())));
        // Where the system allows no more watches, the pipe itself still works.
        let _ = fifo.watch();
        Ok(fifo)
    }

    /// Watches the inode: a writer that keeps the pipe open hides the others' closing, and busybox touch only sets its
    /// times. The error is the name of the limit that is met, or the cause.
    fn watch(&mut self) -> Result<(), &'static str> {
        let watch = Touches::of(&self.path)?;
        // What is watched is what stands there now; another pipe is made again anyway.
        if !self.is_lost() {
            self.watch = Some(watch);
        }
        Ok(())
    }

    /// Whether it was ever made.
    pub fn is_made(&self) -> bool {
        self.id.is_some()
    }

    /// Whether another thing, or nothing, stands at the path.
    fn is_lost(&self) -> bool {
        !fs::symlink_metadata(&self.path).is_ok_and(|meta| Some((meta.dev(), meta.ino())) == self.id)
    }

    /// Removes the pipe, if it still is ours.
    pub fn remove(self) {
        if !self.is_lost() {
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Hands everything heard to `hear` until `stop` is closed at its other end, and gives the pipe back.
    pub fn listen(mut self, stop: &OwnedFd, hear: &mut dyn FnMut(Heard)) -> Fifo {
        let mut blind = false;
        loop {
            if self.is_lost() {
                self = self.make_again(hear);
            } else if self.reader.metadata().is_ok_and(|meta| meta.mode() & 0o7777 != MODE) {
                let _ = self.reader.set_permissions(fs::Permissions::from_mode(MODE));
            }
            if self.watch.is_none()
                && !self.is_lost()
                && let Err(cause) = self.watch()
                && !std::mem::replace(&mut self.unwatched_said, true)
            {
                let text = format!(
                    "{}: unable to watch it: {cause}; while a writer keeps it open, a touch is seen at the next sweep",
                    show_path(&self.path)
                );
                hear(Heard::Trouble(Note::warning(text)));
            }
            // A hung-up end that cannot be opened again would be ready for ever.
            if std::mem::take(&mut blind) || self.is_lost() {
                let mut fds = [PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
                let _ = poll(&mut fds, PollTimeout::from(LOOK_EVERY));
                if fds[0].revents().is_some_and(|events| !events.is_empty()) {
                    return self;
                }
                if self.is_lost() {
                    continue;
                }
            }
            let reader = self.reader.as_fd();
            let mut fds = vec![PollFd::new(stop.as_fd(), PollFlags::POLLIN), PollFd::new(reader, PollFlags::POLLIN)];
            if let Some(watch) = self.watch.as_ref().and_then(Touches::ready) {
                fds.push(PollFd::new(watch, PollFlags::POLLIN));
            }
            if poll(&mut fds, PollTimeout::from(LOOK_EVERY)).is_err() {
                continue;
            }
            let ready = |number: usize| fds.get(number).and_then(PollFd::revents).unwrap_or(PollFlags::empty());
            let (stopped, data, touched) = (ready(0), ready(1), ready(2));
            if !stopped.is_empty() {
                return self;
            }
            if data.contains(PollFlags::POLLHUP) {
                // The new end is opened before the old one is closed, so that no touch falls between them.
                self.drain(hear);
                match open_reader(&self.path).and_then(|reader| self.same(reader)) {
                    Ok(reader) => {
                        self.drain(hear);
                        self.reader = reader;
                    }
                    Err(_) => blind = true,
                }
                // Whoever began a line is gone.
                self.line = Unended::default();
            } else if !data.is_empty() || !touched.is_empty() {
                self.drain(hear);
            }
            let (closes, touches) = self.watch.as_mut().map(Touches::take).unwrap_or_default();
            let hung_up = data.contains(PollFlags::POLLHUP);
            let (lines, last) = self.lines;
            let lines = if last.is_some_and(|last| last.elapsed() < AT_ONCE) { lines } else { 0 };
            // Whoever wrote a line has said what he knows. Where nobody counts, any end may be a touch.
            let is_counted = Touches::COUNT_CLOSES && self.watch.is_some();
            if closes > lines || touches > 0 || (hung_up && !is_counted) {
                hear(Heard::Poke);
            } else if closes > 0 || hung_up {
                hear(Heard::Closed);
            }
            if closes > 0 {
                self.lines = (0, None);
            }
        }
    }

    fn make_again(mut self, hear: &mut dyn FnMut(Heard)) -> Fifo {
        let is_missing = |cause: io::Error| cause.kind() == io::ErrorKind::NotFound;
        let had_vanished = fs::symlink_metadata(&self.path).is_err_and(is_missing);
        match Fifo::make(&self.path) {
            Ok((fifo, note)) => {
                let how = match (self.is_made(), had_vanished) {
                    (false, _) => "can be made now; the service listens on it",
                    (true, true) => "had vanished; recreated",
                    (true, false) => "was replaced by another one; taken",
                };
                let note = note.unwrap_or_else(|| Note::warning(format!("{}: {how}", show_path(&self.path))));
                hear(Heard::Remade(note));
                fifo
            }
            Err(error) => {
                if !self.lost_said {
                    hear(Heard::Trouble(cannot_be_made(&self.path, error)));
                }
                self.lost_said = true;
                self
            }
        }
    }

    fn same(&self, reader: File) -> io::Result<File> {
        let meta = reader.metadata()?;
        if Some((meta.dev(), meta.ino())) == self.id { Ok(reader) } else { Err(io::Error::other("another pipe")) }
    }

    /// Reads what there is; however much it is, one or two things are heard of it.
    fn drain(&mut self, hear: &mut dyn FnMut(Heard)) {
        let mut chunk = [0; 16 * MAX_LINE];
        let mut said = Said::default();
        let mut lines = 0;
        // Bounded, so that a flood cannot keep us from anything else.
        for _ in 0..64 {
            match self.reader.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => self.line.take(&chunk[..length], &mut |notice| {
                    lines += 1;
                    said.add(notice);
                }),
                Err(_) => {
                    // A line is written in one piece: what has no end now never was one, and must not spoil the next.
                    said.poked |= self.line.forget();
                    break;
                }
            }
        }
        if !said.announced.is_empty() || !said.others.is_empty() {
            let room = MAX_NOTICES.saturating_sub(said.announced.len());
            let others = said.others.into_iter().take(room);
            let notices: Vec<Notice> = others.chain(said.announced).collect();
            let more = said.count - notices.len();
            hear(Heard::Notices(notices, more));
        }
        if said.poked {
            hear(Heard::Poke);
        }
        if lines > 0 {
            self.lines = (self.lines.0 + lines, Some(Instant::now()));
        }
    }
}

impl Unended {
    /// Takes bytes apart into lines, and hands on what each says; `None` for one that is no notice. What stands behind
    /// the last newline waits for more.
    pub fn take(&mut self, bytes: &[u8], hear: &mut dyn FnMut(Option<Notice>)) {
        let mut pieces = bytes.split(|b| *b == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            if let Some(line) = &mut self.0 {
                line.extend_from_slice(piece);
                if line.len() >= MAX_LINE {
                    self.0 = None;
                }
            }
            if pieces.peek().is_some() {
                hear(self.0.replace(Vec::new()).and_then(|line| Notice::parse(&line)));
            }
        }
    }

    /// Forgets what has no end. Whether there was anything is the answer.
    pub fn forget(&mut self) -> bool {
        self.0.replace(Vec::new()).is_none_or(|line| !line.is_empty())
    }
}

/// What was read at once.
#[derive(Default)]
struct Said {
    /// Notices of changes that have not happened yet.
    announced: Vec<Notice>,
    others: Vec<Notice>,
    count: usize,
    poked: bool,
}

impl Said {
    fn add(&mut self, notice: Option<Notice>) {
        let Some(notice) = notice else {
            self.poked = true;
            return;
        };
        self.count += 1;
        let list = if notice.expected().is_some() { &mut self.announced } else { &mut self.others };
        if list.len() < MAX_NOTICES {
            list.push(notice);
        }
    }
}

fn open_reader(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(File::from(open(path, flags, Mode::empty())?))
}

fn cannot_be_made(path: &Path, error: Error) -> Note {
    let error = match path.parent().filter(|directory| error.is_missing() && !directory.exists()) {
        Some(directory) => Error::Temporary(format!(
            "unable to make the pipe in {}, which is missing: {}: {}",
            show_path(directory),
            show_path(path),
            error.cause()
        )),
        None => error,
    };
    Note::alert(error.then("nobody can trigger a rebuild until it can be made").to_string())
}

/// What a name beside the pipe's own begins with.
fn temporary_prefix(path: &Path) -> OsString {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".");
    name
}

/// Removes what a service that was killed left beside the pipe. Only pipes of our own: nobody else can make one.
fn remove_litter(path: &Path) {
    let Some(entries) = path.parent().and_then(|folder| fs::read_dir(folder).ok()) else { return };
    let prefix = temporary_prefix(path);
    for entry in entries.flatten() {
        let name = entry.file_name();
        let random = name.as_bytes().strip_prefix(prefix.as_bytes());
        let is_ours = |meta: fs::Metadata| meta.file_type().is_fifo() && meta.uid() == geteuid().as_raw();
        if random.is_some_and(|random| random.len() == RANDOM && random.iter().all(u8::is_ascii_alphanumeric))
            && entry.metadata().is_ok_and(is_ours)
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Why nobody can trigger through a pipe that a service reads; `None` when it is there, or may not be looked at.
pub fn missing(path: &Path) -> Option<String> {
    let cause = fs::symlink_metadata(path).err().filter(|cause| !is_denied_to_us(cause))?;
    Some(not_there(path, &cause))
}

fn not_there(path: &Path, cause: &io::Error) -> String {
    format!("{}: {}; nobody can trigger; the service makes it again", show_path(path), show_cause(cause))
}

/// What keeps others from triggering through a pipe that a service reads, or none; `None` when that cannot be known.
///
/// # Errors
/// The path, when this process may not look at it, which is not root.
pub fn look(path: &Path, is_read: Option<bool>) -> Result<Vec<Note>, PathBuf> {
    let shown = show_path(path).to_string();
    let mut notes = Vec::new();
    let seen = fs::symlink_metadata(path);
    if is_read == Some(false) {
        let is_missing = match &seen {
            Ok(meta) => !meta.file_type().is_fifo(),
            Err(cause) => !is_denied_to_us(cause),
        };
        notes.push(
            Note::warning(format!(
                "{shown}: {}: the service does not run; until it does, only rebuild by hand renews the tables",
                if is_missing { "no pipe is there" } else { "nobody reads this pipe" }
            ))
            .of(Code::PipeUnread),
        );
    }
    let meta = match seen {
        Ok(meta) if meta.file_type().is_fifo() => meta,
        Ok(_) => {
            notes.push(
                Note::alert(match is_sticky(path).unwrap_or(false) {
                    true => format!("{shown}: something else stands there; the service replaces it"),
                    false => format!("{shown}: something else stands there; no service starts until it is moved away"),
                })
                .of(Code::PipeTaken),
            );
            return Ok(notes);
        }
        Err(cause) if is_denied_to_us(&cause) => return Err(path.to_owned()),
        Err(_) if is_read != Some(true) => return Ok(notes),
        Err(cause) => {
            notes.push(Note::alert(not_there(path, &cause)).of(Code::PipeMissing));
            return Ok(notes);
        }
    };
    if meta.mode() & 0o7777 != MODE {
        let mode = meta.mode() & 0o7777;
        notes.push(
            Note::warning(format!("{shown}: mode {mode:04o}; it should be {MODE:04o}, the service fixes it"))
                .of(Code::PipeMode),
        );
    }
    for (process, name) in other_readers(&meta) {
        notes.push(
            Note::warning(format!(
                "{shown}: another program reads this pipe too: {} (process {process}); each of the two misses the triggers that \
                 the other one reads",
                Shown(name.as_bytes())
            ))
            .of(Code::PipeShared),
        );
    }
    let folder = fs::metadata(path.parent().unwrap_or(Path::new("/")));
    let protected = protected_fifos();
    if let Ok(folder) = folder
        && folder.mode() & 0o1002 == 0o1002
        && meta.uid() != folder.uid()
        && matches!(&protected[..], "1" | "2")
    {
        notes.push(Note::warning(format!(
            "{shown}: it belongs to uid {}, its sticky directory to uid {}: with sysctl fs.protected_fifos={} a touch or a > of \
             another user fails there; qmail-updater trigger works",
            meta.uid(),
            folder.uid(),
            protected
        )).of(Code::PipeProtected));
    }
    Ok(notes)
}

/// Whether everybody may put something there, and nobody may remove what others put there.
fn is_sticky(path: &Path) -> io::Result<bool> {
    let folder = fs::metadata(path.parent().unwrap_or(Path::new("/")))?;
    Ok(folder.mode() & 0o1002 == 0o1002)
}

/// Makes room for the pipe in a sticky folder that everybody may write, where anybody can have put anything. What stands
/// there is never followed or read; a folder is renamed, the rest is replaced by the pipe.
fn put_aside(path: &Path, meta: &fs::Metadata) -> Result<Note, Error> {
    let failed = |cause: io::Error| Error::io("make the pipe", path, cause);
    if !is_sticky(path).map_err(failed)? {
        return Err(Error::Temporary(format!(
            "{}: something else is there, in a directory where only its owner can have put it; move it away",
            show_path(path)
        )));
    }
    let kind = meta.file_type();
    let kinds = [
        (kind.is_dir(), "a directory"),
        (kind.is_file(), "a file"),
        (kind.is_symlink(), "a symbolic link"),
        (kind.is_fifo(), "a pipe"),
        (kind.is_socket(), "a socket"),
    ];
    let what = kinds.into_iter().find_map(|(is, what)| is.then_some(what)).unwrap_or("a device");
    let uid = meta.uid();
    if meta.is_dir() {
        let mut prefix = path.file_name().unwrap_or_default().to_owned();
        prefix.push(".aside.");
        let folder = path.parent().unwrap_or(Path::new("/"));
        let aside = Builder::new().prefix(&prefix).rand_bytes(RANDOM).make_in(folder, |aside| fs::rename(path, aside));
        aside.and_then(|aside| aside.keep().map_err(|failed| failed.error)).map_err(failed)?;
    }
    Ok(Note::warning(format!("{}: {what} of uid {uid} stood there and was replaced by the pipe", show_path(path))))
}
