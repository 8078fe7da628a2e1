//! The only spawner: qmail-newu, qmail-newmrh, what the administrator adds, actions, and getent. No shell, a clean
//! environment, a time limit for the whole process group, and what they print goes to the log line by line.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use crossbeam_channel::{after, bounded, select_biased};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::stat::{SFlag, fstat};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, setgid, setgroups, setsid, setuid};

use super::stop::Stop;
use crate::error::{Nature, Trouble, show_cause, show_path};
use crate::fs::trust::{Distrust, Trust};
use crate::fs::{Bounds, End, Perm, Root};
use crate::kernel::{own_file, own_program};
use crate::os::raw;
use crate::report::{self, Level, Note};
use crate::text::{Shown, count};

/// How long a command may take, its children included.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// How long getent may take: a rebuild waits for it.
const GETENT_LIMIT: Duration = Duration::from_secs(20);
/// How many lines of what a command prints are logged, the rest being counted; and how many of the last are kept, to tell
/// why it failed.
const MAX_LINES: usize = 20;
/// How much of one line is logged, in bytes.
const MAX_LINE: usize = 500;
/// How much of what an action prints is read: its owner can make it print without an end, and reading it is our time.
const MAX_OUTPUT: u64 = 64 << 20;
/// How long a command's output is waited for once it has ended: a child of its own may hold it open, and nobody waits
/// for that one.
const OUTPUT_GRACE: Duration = Duration::from_secs(1);
/// What commands find on their way.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What this program is called when it begins a session and becomes another program.
const SESSION: &str = "qmail-updater-session";

/// The program that asks a user database for us. It is installed beside this one.
pub const DATABASE_PROGRAM: &str = "qmail-updater-database";
/// The form of all that these two programs tell each other: how that one is started, [`crate::sql::ask::Ask`], and
/// [`crate::host::mailboxes::stream`]. A running service may find that program replaced by another version.
pub const EXCHANGE: &str = "2";
/// How long the first line of that program is, in bytes.
const GREETING: usize = 256;
/// How long it may take to end when the socket is closed.
const COMPANION_GRACE: Duration = Duration::from_millis(500);

/// The variable that tells a command of `--after` which files changed.
pub const CHANGED: &str = "QMAIL_UPDATER_CHANGED";
/// The variables that tell an action of which domain it is told, which one that is an alias of, its folder and its owner.
pub const OF_DOMAIN: [&str; 4] =
    ["QMAIL_UPDATER_DOMAIN", "QMAIL_UPDATER_REAL_DOMAIN", "QMAIL_UPDATER_HOME", "QMAIL_UPDATER_UID"];

/// One command to run.
#[derive(Debug)]
pub struct Task<'a> {
    /// The program, on this machine.
    pub program: &'a Path,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Where it runs.
    pub folder: &'a Path,
    /// What it is told, beside PATH.
    pub environment: Vec<(&'static str, OsString)>,
    /// Uid and gid that it runs as, in a session of its own and, when we are root, without any other group. `None`: as we do,
    /// in a process group of its own.
    pub owner: Option<(u32, u32)>,
    /// How long it may take, its children included.
    pub limit: Duration,
    /// What its lines in the log begin with, when it is this program; `None`: another program's name.
    pub label: Option<&'a str>,
    /// Comes when everything has to end, the command too.
    pub stop: &'a Stop,
}

impl<'a> Task<'a> {
    /// Without arguments, as we are, for a minute.
    pub fn new(program: &'a Path, folder: &'a Path, stop: &'a Stop) -> Task<'a> {
        let (arguments, environment) = (Vec::new(), Vec::new());
        Task { program, arguments, folder, environment, owner: None, limit: TIME_LIMIT, label: None, stop }
    }
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It exited 0.
    Done,
    /// It is not there.
    Missing,
    /// It failed, or took too long.
    Failed {
        /// How, in words.
        how: String,
        /// The last lines that it printed, escaped.
        said: Vec<String>,
    },
    /// It could not be started now, and may be later: why.
    Later(String),
}

/// The soft limit of descriptors that this process was started with, once it was raised.
static DESCRIPTORS: Mutex<Option<rlim_t>> = Mutex::new(None);

/// Raises the limit of descriptors of this process to the hard limit. The programs that it starts get the old one: some
/// close every descriptor that they could have.
pub fn raise_descriptors() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        DESCRIPTORS.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(soft);
    }
}

/// Starts a program with the limit of descriptors that this process was started with.
fn spawn(command: &mut Command) -> std::io::Result<Child> {
    // One at a time: meanwhile this process has the old limit too, of which it needs a small part.
    let soft = DESCRIPTORS.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some(soft), Ok((_, hard))) = (*soft, getrlimit(Resource::RLIMIT_NOFILE)) else { return command.spawn() };
    let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
    let spawned = command.spawn();
    let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    spawned
}

/// Runs this program with these arguments and only these variables of the environment, on our standard input and output;
/// its exit status, `None` when a signal ended it.
///
/// # Errors
/// It cannot be started.
pub fn ourselves(
    arguments: &[OsString],
    environment: impl Iterator<Item = (&'static str, OsString)>,
) -> std::io::Result<Option<i32>> {
    let mut command = Command::new(own_program());
    command.args(arguments).env_clear().envs(environment);
    Ok(spawn(&mut command)?.wait()?.code())
}

/// Whether it may go better next time.
fn is_temporary(cause: &std::io::Error) -> bool {
    Nature::of_error(cause) == Nature::System || cause.raw_os_error() == Some(Errno::ETXTBSY as i32)
}

/// A relative --root names a program from where we are, and it runs elsewhere.
fn absolute(program: &Path) -> PathBuf {
    std::path::absolute(program).unwrap_or_else(|_| program.to_owned())
}

/// Starts a command. With an owner, what could not be done before it began comes through the pipe.
fn start(task: &Task<'_>, output: PipeWriter, errors: PipeWriter) -> std::io::Result<(Child, Option<PipeReader>)> {
    let program = absolute(task.program);
    let (mut command, failure) = match task.owner {
        None => {
            let mut command = Command::new(program);
            command.stdin(Stdio::null()).process_group(0);
            (command, None)
        }
        // A child is its owner's from setuid(2) on. If it did that here, its owner could stop it before execve(2), and we
        // would wait for him without an end. Therefore a copy of this program is started as we are, and does the rest.
        Some((uid, gid)) => {
            let (failure, report) = std::io::pipe()?;
            let mut command = Command::new(own_program());
            command.arg0(SESSION).args([uid.to_string(), gid.to_string()]).arg(program).stdin(report);
            (command, Some(failure))
        }
    };
    command.env_clear().env("PATH", PATH).envs(task.environment.iter().map(|(name, value)| (*name, value)));
    command.args(&task.arguments).current_dir(task.folder).stdout(output).stderr(errors);
    // Dropped at the end: it holds the write ends of the pipes, which must close when the command's own copies do.
    Ok((spawn(&mut command)?, failure))
}

/// When this program was started to begin a session: does that and becomes the program that `typed` names, as the owner that
/// it names. Comes back only when it was not, or with the exit status when that failed.
pub fn begin_session(typed: &[OsString]) -> Option<u8> {
    let [own, uid, gid, program, arguments @ ..] = typed else { return None };
    let id = |typed: &OsString| typed.to_str()?.parse::<u32>().ok();
    let (uid, gid) = (id(uid)?, id(gid)?);
    if own != SESSION {
        return None;
    }
    // The program does not get it.
    let report = std::io::stdin().as_fd().try_clone_to_owned();
    let cause = match setsid() {
        // As root this also leaves every supplementary group.
        Ok(_) => Command::new(program).args(arguments).uid(uid).gid(gid).stdin(Stdio::null()).exec(),
        Err(cause) => cause.into(),
    };
    let code = cause.raw_os_error().unwrap_or(Errno::EIO as i32);
    if let Ok(report) = report {
        let _ = PipeWriter::from(report).write_all(&code.to_ne_bytes());
    }
    Some(111)
}

/// The program that asks a user database: beside the file of this one, and put there by nobody but root or those who can
/// change this one.
///
/// # Errors
/// It is not there, or another user could have put it there.
pub fn database_program(bounds: Bounds) -> Result<PathBuf, Trouble> {
    if !cfg!(feature = "database") {
        return Err("this program was built without a client of user databases".into());
    }
    let (own, file, is_replaced) =
        own_file().map_err(|cause| Trouble::from(&cause).of_file(show_path(&own_program())))?;
    let perm = Perm { mode: file.mode() & 0o7777, uid: file.uid(), gid: file.gid() };
    let program = own.with_file_name(DATABASE_PROGRAM);
    let root = Root::new(Path::new("/"), bounds);
    let inside = program.as_os_str().as_bytes();
    match root.walk(inside).end {
        End::Missing(_) if is_replaced => Err(Trouble::from(format!(
            "the program that asks it, {}, is not there, and qmail-updater was replaced or removed: install both programs, and \
             restart the service",
            show_path(&program)
        ))),
        End::Missing(_) => Err(Trouble::from(format!(
            "the program that asks it, {}, is not there: install qmail-updater again, with both programs",
            show_path(&program)
        ))),
        End::Found(_) | End::Failed(_) | End::Silent(_) => {
            let trust = Trust { program: Some(perm) };
            trust.find(&root, inside).map(|found| found.real).map_err(|why| match why {
                Distrust::Open(why) => Trouble::from(format!(
                    "{why}; so {DATABASE_PROGRAM} is not started: it has to be where root alone can write"
                )),
                Distrust::Unseen(why) => why,
            })
        }
    }
}

/// The process that asks a user database for us, in a session of its own. It has the uid and gid that it was started for, an
/// empty environment, and three descriptors: a file that we opened, a socket to us, and /dev/null.
#[derive(Debug)]
pub struct Companion {
    child: Option<Child>,
    socket: UnixStream,
}

impl Companion {
    /// Starts one. `owner`: uid and gid that it has before it does anything else; `None`: ours. It has so long to begin.
    ///
    /// # Errors
    /// Those of socketpair(2), fork(2) and execve(2); it is of another version, or does not begin.
    pub fn start(
        program: &Path,
        owner: Option<(u32, u32)>,
        input: OwnedFd,
        limit: Duration,
    ) -> Result<Companion, Trouble> {
        let unable = |cause: &std::io::Error| {
            let trouble = Trouble::from(cause).of_file(show_path(program));
            trouble.of_file("the process that asks it cannot be started")
        };
        // What this process was started with is not for it either.
        close_fds::set_fds_cloexec_threadsafe(3, &[]);
        let (socket, its) = UnixStream::pair().map_err(|cause| unable(&cause))?;
        let mut command = Command::new(program);
        let (uid, gid) = owner.map_or((String::new(), String::new()), |(uid, gid)| (uid.to_string(), gid.to_string()));
        command.arg0(DATABASE_PROGRAM).args([EXCHANGE, &uid, &gid]).env_clear().current_dir("/");
        command.stdin(input).stdout(OwnedFd::from(its)).stderr(Stdio::null());
        let child = spawn(&mut command).map_err(|cause| unable(&cause))?;
        // It has the end of the socket, and we would wait for our own copy of it.
        drop(command);
        let started = Companion { child: Some(child), socket };
        started.socket.set_read_timeout(Some(limit)).map_err(|cause| unable(&cause))?;
        let mut greeting = [0; GREETING];
        let greeted = (&started.socket).read_exact(&mut greeting).map_err(|cause| cause.kind());
        greeted_with(greeted.map(|()| &greeting[..])).map_err(|why| Trouble::from(why).of_file(show_path(program)))?;
        Ok(started)
    }

    /// The socket to it.
    pub fn socket(&self) -> &UnixStream {
        &self.socket
    }
}

/// It ends by itself when the socket is closed; when it does not, it is killed with its group.
impl Drop for Companion {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let has_ended = self.socket.shutdown(Shutdown::Write).is_ok() && {
            let _ = self.socket.set_read_timeout(Some(COMPANION_GRACE));
            let (start, mut rest) = (Instant::now(), [0; 4096]);
            loop {
                match (&self.socket).read(&mut rest) {
                    Ok(0) => break true,
                    Ok(_) if start.elapsed() < COMPANION_GRACE => {}
                    _ => break false,
                }
            }
        };
        // Until it was waited for, no other process can have its number.
        if let (false, Ok(pid)) = (has_ended, i32::try_from(child.id()).map(Pid::from_raw)) {
            let _ = killpg(pid, Signal::SIGKILL);
            let _ = kill(pid, Signal::SIGKILL);
        }
        // One that waits for a disk cannot even be killed.
        let _ = Builder::new().spawn(move || child.wait());
    }
}

/// Whether the program that asks begins as it has to; or why not.
fn greeted_with(greeting: Result<&[u8], ErrorKind>) -> Result<(), String> {
    let greeting = match greeting {
        Ok(greeting) => String::from_utf8_lossy(greeting),
        Err(ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Err("it does not begin in time".to_owned()),
        Err(_) => return Err("it ended at its start: install qmail-updater again, with both programs".to_owned()),
    };
    let mut words = greeting.trim().splitn(4, ' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(DATABASE_PROGRAM), Some(EXCHANGE), Some(_), None) => Ok(()),
        (Some(DATABASE_PROGRAM), Some(EXCHANGE), Some(_), Some(why)) => Err(Shown(why.as_bytes()).to_string()),
        (Some(DATABASE_PROGRAM), Some(_), Some(version), _) => Err(format!(
            "it is of version {}, and the qmail-updater that runs is of version {}: restart the service; if that does not help, \
             install both programs again",
            Shown(version.as_bytes()),
            env!("CARGO_PKG_VERSION")
        )),
        _ => Err(format!("it is no {DATABASE_PROGRAM}: install qmail-updater again, with both programs")),
    }
}

/// The first line of the program that asks: its name, the form of the exchange, its version, and why it does not begin.
fn greeting(why: Option<&str>) -> Vec<u8> {
    let mut line = format!("{DATABASE_PROGRAM} {EXCHANGE} {}", env!("CARGO_PKG_VERSION")).into_bytes();
    if let Some(why) = why {
        line.extend([b" ", why.as_bytes()].concat());
    }
    line.resize(GREETING - 1, b' ');
    line.push(b'\n');
    line
}

/// When this program was started by [`Companion::start`]: gives the file and the socket that it got, as the uid and gid that
/// it is for. `None` when it was not.
pub fn begin_companion(typed: &[OsString]) -> Option<std::io::Result<(OwnedFd, UnixStream)>> {
    let [_, exchange, uid, gid] = typed else { return None };
    let begin = || {
        let (input, mut socket) = (raw::inherited(0)?, UnixStream::from(raw::inherited(1)?));
        // The other program is of another version, and says so when it has read this.
        let begun = if exchange == EXCHANGE { drop_rights(uid, gid) } else { Err(ErrorKind::Unsupported.into()) };
        let why = begun.as_ref().err().map(show_cause);
        socket.write_all(&greeting(why.as_deref()))?;
        begun.map(|()| (input, socket))
    };
    Some(begin())
}

/// Leaves this process the rights of a uid and gid, in a session of its own. Empty ones are those that it has.
fn drop_rights(uid: &OsStr, gid: &OsStr) -> std::io::Result<()> {
    setsid()?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    if !uid.is_empty() {
        let number = |typed: &OsStr| typed.to_str().and_then(|typed| typed.parse::<u32>().ok()).ok_or(Errno::EINVAL);
        let (uid, gid) = (number(uid)?, number(gid)?);
        setgroups(&[])?;
        setgid(gid.into())?;
        setuid(uid.into())?;
    }
    // Another process of that uid must not look into it. setuid(2) has set that back.
    raw::keep_memory_private()
}

/// A pipe by which the program that started this one wants to be told something.
///
/// # Errors
/// No pipe is open there. Another file would be one of our own, which got that number.
pub fn inherited_pipe(number: u8) -> std::io::Result<PipeWriter> {
    let given = raw::inherited(number)?;
    match SFlag::from_bits_truncate(fstat(&given)?.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFIFO => Ok(PipeWriter::from(given)),
        _ => Err(Errno::EBADF.into()),
    }
}

/// Why a session did not become its program, once it has ended; `None` when it did, or was killed before.
fn failure_to_begin(mut failure: PipeReader) -> Option<std::io::Error> {
    // What it wrote is there by now.
    let is_there = poll(&mut [PollFd::new(failure.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(1);
    let mut code = [0; 4];
    let read = is_there && failure.read_exact(&mut code).is_ok();
    read.then(|| std::io::Error::from_raw_os_error(i32::from_ne_bytes(code)))
}

/// Runs a command to its end and logs what it prints.
pub fn run(task: &Task<'_>) -> Outcome {
    let limit = task.limit;
    let unable = |cause: &std::io::Error| format!("unable to run it: {}", show_cause(cause));
    let failed = |cause: &std::io::Error| match unable(cause) {
        how if is_temporary(cause) => Outcome::Later(how),
        how => Outcome::Failed { how, said: Vec::new() },
    };
    let ((output, writer), (end, stop_reading)) = match std::io::pipe().and_then(|pipe| Ok((pipe, std::io::pipe()?))) {
        Ok(pipes) => pipes,
        Err(cause) => return failed(&cause),
    };
    let reader = UntilEnd { output, end };
    let name = task.label.map(OsStr::new).or(task.program.file_name()).unwrap_or(OsStr::new("command")).to_owned();
    let is_ours = task.label.is_some();
    let (said_all, wait_said_all) = mpsc::channel();
    let (started, wait_started) = mpsc::channel::<Child>();
    let (ended, wait_ended) = bounded(1);
    let (killed, wait_killed) = mpsc::channel::<()>();
    let (reaped, wait_reaped) = mpsc::channel();
    let most = if task.owner.is_some() { MAX_OUTPUT } else { u64::MAX };
    // Before the command, which nobody would wait for when there is no thread for it.
    let threads = Builder::new().spawn(move || {
        let _ = said_all.send(log_output(&name, is_ours, reader, most));
    });
    let threads = threads.and_then(|_| {
        Builder::new().spawn(move || {
            for mut child in wait_started {
                while wait_unreaped(&child) == Err(Errno::EINTR) {}
                let _ = ended.send(());
                // Until its group was killed, no other process can have its number.
                let _ = wait_killed.recv();
                let _ = reaped.send(child.wait());
            }
        })
    });
    if let Err(cause) = threads {
        return failed(&cause);
    }
    let not_begun = |cause: &std::io::Error| match cause.kind() {
        std::io::ErrorKind::NotFound if !task.program.exists() => Outcome::Missing,
        _ => failed(cause),
    };
    let (child, failure) = match writer.try_clone().and_then(|second| start(task, writer, second)) {
        Ok(begun) => begun,
        // Without /proc, which may come.
        Err(cause) if task.owner.is_some() && cause.kind() == std::io::ErrorKind::NotFound => {
            return Outcome::Later(format!("unable to run {}: {}", show_path(&own_program()), show_cause(&cause)));
        }
        Err(cause) => return not_begun(&cause),
    };
    let group = i32::try_from(child.id()).map(Pid::from_raw);
    let _ = started.send(child);
    drop(started);
    // One that has ended has ended, whatever else came meanwhile.
    let in_time = select_biased! {
        recv(wait_ended) -> ended => ended.map_err(|_| Late::Time),
        recv(task.stop.channel()) -> _ => Err(Late::Stopped),
        recv(after(limit)) -> _ => Err(Late::Time),
    };
    // Whatever it left running goes with it.
    if let Ok(group) = group {
        let _ = killpg(group, Signal::SIGKILL);
        // It may have joined another group.
        if in_time.is_err() {
            let _ = kill(group, Signal::SIGKILL);
        }
    }
    drop(killed);
    let status = in_time.and_then(|()| wait_reaped.recv().map_err(|_| Late::Time));
    if let Some(cause) = failure.filter(|_| status.is_ok()).and_then(failure_to_begin) {
        return not_begun(&cause);
    }
    let how = match status {
        Ok(Ok(status)) => failure_of(status),
        Ok(Err(cause)) => Some(unable(&cause)),
        Err(Late::Stopped) => Some("was killed, because the service ends".to_owned()),
        Err(Late::Time) => Some(format!("did not end within {} s, and was killed", limit.as_secs_f64())),
    };
    let mut said = wait_said_all.recv_timeout(OUTPUT_GRACE);
    if said == Err(RecvTimeoutError::Timeout) {
        drop(stop_reading);
        let name = show_path(task.label.map_or(task.program, Path::new));
        let text = format!("{name}: something of it still runs and holds its output, which is read no more");
        report::say_all(&[Note::warning(text)]);
        said = wait_said_all.recv_timeout(OUTPUT_GRACE);
    }
    let said = said.unwrap_or_default().into();
    how.map_or(Outcome::Done, |how| Outcome::Failed { how, said })
}

/// Why a command was not waited for any longer.
enum Late {
    /// Everything has to end.
    Stopped,
    /// Its time is over.
    Time,
}

/// What a command prints, until nobody holds it open, or the other end of `end` is closed.
struct UntilEnd {
    output: PipeReader,
    end: PipeReader,
}

impl Read for UntilEnd {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut both = [&self.output, &self.end].map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN));
        while let Err(cause) = poll(&mut both, PollTimeout::NONE) {
            if cause != Errno::EINTR {
                return Err(cause.into());
            }
        }
        if both[1].any() == Some(true) { Ok(0) } else { self.output.read(buffer) }
    }
}

/// Waits until a child has ended, and leaves it to be waited for again.
fn wait_unreaped(child: &Child) -> nix::Result<()> {
    let pid = Pid::from_raw(i32::try_from(child.id()).map_err(|_| Errno::ECHILD)?);
    waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).map(drop)
}

fn failure_of(status: ExitStatus) -> Option<String> {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("exited {code}")),
        (None, signal) => Some(format!("was killed by signal {}", signal.unwrap_or_default())),
    }
}

/// Logs what a command prints, as warnings what this program warns of; reads on to its end so that it never waits for
/// us, and gives its last lines. Of more bytes than `most` the rest is not read, and the command can print no more.
fn log_output(name: &OsStr, is_ours: bool, output: UntilEnd, most: u64) -> VecDeque<String> {
    let name = show_path(Path::new(name)).to_string();
    let mut left_out = 0usize;
    let mut last = VecDeque::new();
    let mut output = BufReader::new(output.take(most));
    let mut line = Vec::new();
    for number in 0.. {
        line.clear();
        match read_line(&mut output, &mut line) {
            Ok(true) if number < MAX_LINES => {
                let warnings = [&b"qmail-updater: warning: "[..], b"qmail-updater: fatal: "];
                let warning = warnings.iter().find_map(|words| line.strip_prefix(*words)).filter(|_| is_ours);
                let level = if warning.is_some() { Level::Warning } else { Level::Status };
                report::say(level, &format!("{name}: {}", Shown(warning.unwrap_or(&line))));
            }
            Ok(true) => left_out += 1,
            Ok(false) | Err(_) => break,
        }
        last.push_back(Shown(&line).to_string());
        if last.len() > MAX_LINES {
            last.pop_front();
        }
    }
    if output.get_ref().limit() == 0 {
        report::say(Level::Warning, &format!("{name}: prints more than {} MiB, which is read no more", most >> 20));
    }
    if left_out > 0 {
        report::say(Level::Status, &format!("{name}: {} left out", count(left_out, "more line")));
    }
    last
}

/// Reads a line, of which at most `MAX_LINE` bytes are kept; false at the end.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    let mut any = false;
    loop {
        let chunk = input.fill_buf()?;
        if chunk.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = chunk.iter().position(|b| *b == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        line.extend_from_slice(&part[..part.len().min(MAX_LINE - line.len())]);
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// What `getent passwd` prints; `None` when it cannot be run, fails, or hangs.
///
/// # Errors
/// The system lacks something: it may run next time.
pub fn getent_passwd() -> std::io::Result<Option<Vec<u8>>> {
    let mut command = Command::new("getent");
    command.arg("passwd").env_clear().env("PATH", PATH);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let mut child = match spawn(&mut command) {
        Ok(child) => child,
        Err(cause) if is_temporary(&cause) => return Err(cause),
        Err(_) => return Ok(None),
    };
    let (Ok(group), Some(mut output)) = (i32::try_from(child.id()).map(Pid::from_raw), child.stdout.take()) else {
        return Ok(None);
    };
    let (done, wait_done) = mpsc::channel();
    let read = Builder::new().spawn(move || {
        let mut text = Vec::new();
        let read = output.read_to_end(&mut text).is_ok() && child.wait().is_ok_and(|status| status.success());
        let _ = done.send(read.then_some(text));
    });
    if let Err(cause) = read {
        let _ = killpg(group, Signal::SIGKILL);
        return Err(cause);
    }
    let text = wait_done.recv_timeout(GETENT_LIMIT);
    if text.is_err() {
        let _ = killpg(group, Signal::SIGKILL);
    }
    Ok(text.ok().flatten())
}

/// Becomes another program, with these variables beside our own environment; comes back only when that fails.
pub fn become_program(program: &OsStr, arguments: &[OsString], variables: &[(&OsStr, &OsStr)]) -> std::io::Error {
    Command::new(program).args(arguments).envs(variables.iter().copied()).exec()
}

/// The value of [`CHANGED`]: the paths, absolute, for the command runs elsewhere, separated by colons.
pub fn join_paths(paths: &[PathBuf]) -> OsString {
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone()).into_os_string();
    let paths: Vec<OsString> = paths.iter().map(absolute).collect();
    paths.join(OsStr::new(":"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::LazyLock;
    use std::time::Instant;

    use super::*;

    static GO_ON: LazyLock<Stop> = LazyLock::new(Stop::never);

    fn script(folder: &Path, text: &str) -> PathBuf {
        let (draft, path) = (folder.join("draft"), folder.join("stub"));
        std::fs::write(&draft, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o755)).unwrap();
        // Copied by another process: had we held it open for writing, a child of another test might still do.
        assert!(Command::new("cp").args([&draft, &path]).status().unwrap().success());
        path
    }

    #[test]
    fn a_command_that_hangs_is_killed_with_all_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let program = script(folder.path(), "sleep 1000 & echo $! > child; wait");
        let limit = Duration::from_millis(300);
        let task = Task { limit, ..Task::new(&program, folder.path(), &GO_ON) };
        let start = Instant::now();
        let Outcome::Failed { how, .. } = run(&task) else { panic!("it did not fail") };
        assert!(how.contains("did not end within 0.3 s"), "{how}");
        assert!(start.elapsed() < Duration::from_secs(20));
        let child = std::fs::read_to_string(folder.path().join("child")).unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        let runs = || !state().is_empty() && !state().contains(") Z ");
        while runs() {
            assert!(start.elapsed() < Duration::from_secs(20), "its child still runs: {}", state());
        }
    }

    #[test]
    fn how_a_command_ends_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let outcome = |text: &str| {
            let program = script(folder.path(), text);
            let environment = vec![("FACT", "x".into())];
            run(&Task { environment, ..Task::new(&program, folder.path(), &GO_ON) })
        };
        assert_eq!(outcome("test \"$FACT\" = x && test \"$PWD\" = \"$(dirname \"$0\")\""), Outcome::Done);
        let failed = |how: &str, said: &[&str]| Outcome::Failed {
            how: how.to_owned(),
            said: said.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(outcome("exit 3"), failed("exited 3", &[]));
        assert_eq!(outcome("kill -9 $$"), failed("was killed by signal 9", &[]));
        let last: Vec<String> = (1_000 - MAX_LINES + 1..=1_000).map(|line| line.to_string()).collect();
        let last: Vec<&str> = last.iter().map(String::as_str).collect();
        assert_eq!(outcome("seq 1000; exit 1"), failed("exited 1", &last), "its last lines");
        assert_eq!(outcome("printf '\\033[31m'; exit 1"), failed("exited 1", &["\\x1b[31m"]), "escaped");
        assert_eq!(outcome("yes | head -c 10000000; exit 0"), Outcome::Done, "a flood does not hold it up");
        let program = folder.path().join("not-there");
        let missing = run(&Task::new(&program, folder.path(), &GO_ON));
        assert_eq!(missing, Outcome::Missing);
    }
}
