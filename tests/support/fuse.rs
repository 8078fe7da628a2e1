//! A file system of this process (FUSE, by its wire protocol over /dev/fuse) that a test can silence: then each call that
//! needs an answer waits in the kernel, as on a network file system whose server is away. A test can also have it answer one
//! request, or each one, with an error.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;

/// Who owns everything in it.
pub const OWNER: u32 = 89;
/// The request for the content of a file.
const READ: u32 = 15;
/// The number of its directory.
const TOP: u64 = 1;
/// The requests that a read of a home makes: LOOKUP, GETATTR, OPEN, READ, OPENDIR, READDIR.
const READING: [u32; 6] = [1, 3, 14, READ, 27, 28];

/// What the server serves, and whether it answers.
#[derive(Default)]
struct State {
    /// The files of its one directory: number, mode and content.
    files: BTreeMap<Vec<u8>, (u64, u32, Vec<u8>)>,
    silent: bool,
    /// Whether it becomes silent when it is asked for the content of a file.
    is_silent_at_read: bool,
    ended: bool,
    /// For how many seconds the kernel may believe what it was told of a file.
    believed: u64,
    /// How many requests of [`READING`] there were since [`Mounted::fail_at`].
    requests: usize,
    /// Which of these are answered with which error.
    failing: Option<(RangeInclusive<usize>, Errno)>,
    /// How many were.
    failed: usize,
}

/// A mounted file system with one directory of files.
pub struct Mounted {
    /// Where.
    pub path: PathBuf,
    state: Arc<(Mutex<State>, Condvar)>,
    server: Option<JoinHandle<()>>,
}

/// Why no such file system can be mounted here.
pub fn missing() -> Option<&'static str> {
    if !super::is_root() {
        return Some("only root may mount");
    }
    let opened = OpenOptions::new().read(true).write(true).open("/dev/fuse");
    opened.is_err().then_some("there is no /dev/fuse")
}

impl Mounted {
    /// Mounts these files over a directory. The kernel asks for everything each time, unless it may believe what it was
    /// told for some seconds.
    pub fn over(path: &Path, believed: u64, files: &[(&str, &[u8])]) -> Mounted {
        let device = OpenOptions::new().read(true).write(true).custom_flags(nix::libc::O_CLOEXEC).open("/dev/fuse");
        let device = device.unwrap();
        let options =
            format!("fd={},rootmode=40755,user_id=0,group_id=0,allow_other,default_permissions", device.as_raw_fd());
        mount(Some("test-server"), path, Some("fuse.test"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(&options[..]))
            .unwrap();
        let state = Arc::new((Mutex::new(State { believed, ..State::default() }), Condvar::new()));
        let served = state.clone();
        let server = std::thread::spawn(move || serve(device, &served));
        let mounted = Mounted { path: path.to_owned(), state, server: Some(server) };
        files.iter().for_each(|(name, content)| mounted.write(name, content));
        mounted
    }

    /// Puts a file there, mode 0644.
    pub fn write(&self, name: &str, content: &[u8]) {
        let mut state = self.state.0.lock().unwrap();
        let number = state.files.values().map(|(number, ..)| *number).max().unwrap_or(TOP) + 1;
        state.files.insert(name.as_bytes().to_vec(), (number, 0o644, content.to_vec()));
    }

    /// From now on nothing is answered.
    pub fn silence(&self) {
        self.set_silent(true);
    }

    /// The first one that opens a file and reads from it is not answered, and nothing after it.
    pub fn silence_at_read(&self) {
        self.state.0.lock().unwrap().is_silent_at_read = true;
    }

    /// Of the requests that read, counted from 1 from now on, these are answered with this error.
    pub fn fail_at(&self, requests: RangeInclusive<usize>, error: Errno) {
        let mut state = self.state.0.lock().unwrap();
        (state.requests, state.failing, state.failed) = (0, Some((requests, error)), 0);
    }

    /// No request is answered with an error any more. How many requests there were, and how many failed.
    pub fn calm(&self) -> (usize, usize) {
        let mut state = self.state.0.lock().unwrap();
        state.failing = None;
        (state.requests, state.failed)
    }

    /// How many requests failed.
    pub fn failed(&self) -> usize {
        self.state.0.lock().unwrap().failed
    }

    /// Waits until nothing is answered any more.
    pub fn wait_until_silent(&self) {
        drop(self.state.1.wait_while(self.state.0.lock().unwrap(), |state| !state.silent).unwrap());
    }

    /// The server ends, and what it served stays mounted: the kernel fails whatever waits there, and whatever is asked.
    pub fn die(&mut self) {
        self.state.0.lock().unwrap().ended = true;
        self.state.1.notify_all();
        let _ = self.server.take().map(JoinHandle::join);
    }

    /// It is not mounted any more, as after `umount -l`; what waits there goes on waiting.
    pub fn detach(&self) {
        umount2(&self.path, MntFlags::MNT_DETACH).unwrap();
    }

    /// What was asked meanwhile is answered now.
    pub fn answer_again(&self) {
        self.set_silent(false);
    }

    fn set_silent(&self, silent: bool) {
        self.state.0.lock().unwrap().silent = silent;
        self.state.1.notify_all();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.die();
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
    }
}

/// Answers until the end.
fn serve(mut device: File, state: &(Mutex<State>, Condvar)) {
    let mut buffer = vec![0; 1 << 18];
    loop {
        if is_ended(state) {
            return;
        }
        // So that it looks at its orders now and then.
        let mut fds = [PollFd::new(device.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(10u8)).unwrap_or(0) == 0 || state.0.lock().unwrap().silent {
            continue;
        }
        let length = match device.read(&mut buffer) {
            Ok(length) => length,
            Err(cause) if cause.kind() == ErrorKind::Interrupted || cause.raw_os_error() == Some(nix::libc::ENOENT) => {
                continue;
            }
            Err(_) => return,
        };
        let request = Request(&buffer[..length]);
        if request.short(4) == READ && std::mem::take(&mut state.0.lock().unwrap().is_silent_at_read) {
            state.0.lock().unwrap().silent = true;
            state.1.notify_all();
        }
        if is_ended(state) {
            return;
        }
        let failure = state.0.lock().unwrap().failure(&request);
        let answer = match failure {
            Some(error) => Some(Err(error as i32)),
            None => answer(&request, &state.0.lock().unwrap()),
        };
        let Some(answer) = answer else { continue };
        let (error, body) = match answer {
            Ok(body) => (0, body),
            Err(error) => (-error, Vec::new()),
        };
        let mut reply = Vec::new();
        reply.extend((16 + body.len() as u32).to_ne_bytes());
        reply.extend(error.to_ne_bytes());
        reply.extend(request.number(8).to_ne_bytes());
        reply.extend(body);
        let _ = device.write(&reply);
    }
}

impl State {
    /// The error with which this request is answered.
    fn failure(&mut self, request: &Request<'_>) -> Option<Errno> {
        self.requests += usize::from(READING.contains(&request.short(4)));
        let is_failing = |(requests, _): &&(RangeInclusive<usize>, Errno)| {
            READING.contains(&request.short(4)) && requests.contains(&self.requests)
        };
        let error = self.failing.as_ref().filter(is_failing).map(|(_, error)| *error);
        self.failed += usize::from(error.is_some());
        error
    }
}

/// Waits until the server may answer, or has to end.
fn is_ended(state: &(Mutex<State>, Condvar)) -> bool {
    state.1.wait_while(state.0.lock().unwrap(), |state| state.silent && !state.ended).unwrap().ended
}

/// What the kernel asks (linux/fuse.h).
struct Request<'a>(&'a [u8]);

impl Request<'_> {
    fn number(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.0[at..at + 8].try_into().unwrap())
    }

    fn short(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    fn name(&self) -> &[u8] {
        CStr::from_bytes_until_nul(&self.0[40..]).unwrap().to_bytes()
    }
}

/// The answer, or an error number; `None` where none is wanted.
fn answer(request: &Request<'_>, state: &State) -> Option<Result<Vec<u8>, i32>> {
    let node = request.number(16);
    let file = || state.files.values().find(|(number, ..)| *number == node).ok_or(nix::libc::ENOENT);
    Some(match request.short(4) {
        // LOOKUP
        1 => match state.files.get(request.name()) {
            Some(file) => {
                Ok([&numbers(&[file.0, 0, state.believed, state.believed, 0]), &attributes(Some(file))[..]].concat())
            }
            None => Err(nix::libc::ENOENT),
        },
        // FORGET, INTERRUPT, BATCH_FORGET
        2 | 36 | 42 => return None,
        // GETATTR
        3 if node == TOP => Ok([&numbers(&[state.believed, 0]), &attributes(None)[..]].concat()),
        3 => file().map(|file| [&numbers(&[state.believed, 0]), &attributes(Some(file))[..]].concat()),
        // OPEN, OPENDIR
        14 | 27 => Ok(numbers(&[node, 0])),
        READ => file().map(|(_, _, content)| part(content, request)),
        // STATFS
        17 => Ok([numbers(&[1_000, 500, 500, 100, 50]), shorts(&[4096, 255, 4096, 0]), shorts(&[0; 6])].concat()),
        // RELEASE, RELEASEDIR
        18 | 29 => Ok(Vec::new()),
        // INIT
        26 => Ok([shorts(&[7, 31, 1 << 16, 0, 0, 1 << 16, 1, 0]), shorts(&[0; 8])].concat()),
        // READDIR
        28 => {
            let mut entries = Vec::new();
            let own = [(&b"."[..], TOP, 4), (b"..", TOP, 4)];
            let files = state.files.iter().map(|(name, (number, ..))| (&name[..], *number, 8));
            for (at, (name, number, kind)) in own.into_iter().chain(files).enumerate() {
                if at as u64 >= request.number(48) {
                    entries.extend(numbers(&[number, at as u64 + 1]));
                    entries.extend(shorts(&[name.len() as u32, kind]));
                    entries.extend(name);
                    entries.resize(entries.len().next_multiple_of(8), 0);
                }
            }
            // Few enough for one answer.
            Ok(entries)
        }
        _ => Err(nix::libc::ENOSYS),
    })
}

fn part(content: &[u8], request: &Request<'_>) -> Vec<u8> {
    let from = (request.number(48) as usize).min(content.len());
    content[from..].iter().copied().take(request.short(56) as usize).collect()
}

/// Those of a file, or of the directory.
fn attributes(file: Option<&(u64, u32, Vec<u8>)>) -> Vec<u8> {
    let (number, mode, size) =
        file.map_or((TOP, 0o40755, 0), |(number, mode, content)| (*number, 0o100_000 | mode, content.len() as u64));
    let long_ago = 1_000_000_000;
    let times = numbers(&[number, size, 1, long_ago, long_ago, long_ago]);
    [times, shorts(&[0, 0, 0, mode, 1, OWNER, OWNER, 0, 4096, 0])].concat()
}

fn numbers(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
}

fn shorts(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
}
