//! Where the time goes: processor time by rusage, the kernel's divided as strace counts its calls, and the waits for the
//! disk.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use crate::Runs;
use crate::contend::{Contender, Contenders, OVER, SAME, has};
use crate::measure::{Middle, Taken, ms};

/// What time is spent on.
pub const PARTS: [&str; 7] = [
    "the program's own work",
    "kernel: finding, opening, closing",
    "kernel: reading",
    "kernel: writing",
    "kernel: memory and the rest",
    "kernel, not told apart",
    "waiting for the disk (fsync)",
];

/// How one contender spends its time, in ms; threads add up.
pub struct Share {
    /// Who.
    pub name: &'static str,
    /// By [`PARTS`].
    pub parts: [f64; PARTS.len()],
    /// From start to end.
    pub wall: f64,
}

/// That of each contender that builds both tables from nothing.
pub fn shares(contenders: &Contenders, runs: &Runs) -> io::Result<Vec<Share>> {
    let wanted = |contender: &&Contender| ![OVER, SAME].contains(&contender.name);
    let share = |contender: &Contender| {
        let middle = |of: &dyn Fn(&Taken) -> f64| Middle::of(runs[contender.name].iter().map(of)).median;
        let (user, kernel) = (middle(&|taken| ms(taken.user)), middle(&|taken| ms(taken.system)));
        let mut parts = [user, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        if has("strace") {
            let calls = trace(contenders, contender, &["-f", "-c"])?;
            let counted: Vec<(usize, f64)> = calls.lines().filter_map(counted).collect();
            let all: f64 = counted.iter().map(|(_, seconds)| seconds).sum();
            // Too little to be counted.
            parts[5] = if all > 0.0 { 0.0 } else { kernel };
            for (part, seconds) in counted.iter().filter(|_| all > 0.0) {
                parts[*part] += kernel * seconds / all;
            }
            let waits = trace(contenders, contender, &["-f", "--seccomp-bpf", "-T", "-e", "trace=fsync,fdatasync"])?;
            parts[6] = waits.lines().filter_map(waited).fold(0.0, |all, one| all + one);
        } else {
            parts[5] = kernel;
        }
        Ok(Share { name: contender.name, parts, wall: middle(&|taken| ms(taken.wall)) })
    };
    contenders.list.iter().filter(wanted).map(share).collect()
}

/// What strace writes about one run.
fn trace(contenders: &Contenders, contender: &Contender, options: &[&str]) -> io::Result<String> {
    let file = contenders.scratch("strace");
    let _ = fs::remove_file(&file);
    let said = contenders.scratch("stderr");
    let output: [OsString; 3] = ["-A".into(), "-o".into(), file.clone().into()];
    let words: Vec<OsString> =
        [OsString::from("strace")].into_iter().chain(options.iter().map(OsString::from)).chain(output).collect();
    contenders.prepare(contender)?;
    contender.job.under(&words).measure(Path::new(&said))?;
    fs::read_to_string(file)
}

/// A line of `strace -c`: the part it belongs to, and its seconds.
fn counted(line: &str) -> Option<(usize, f64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (name, seconds) = (*words.last()?, words.get(1)?.parse().ok()?);
    words.first()?.parse::<f64>().ok()?;
    let part = match name {
        "total" => return None,
        // Waiting is no work, though strace counts it.
        "futex" | "sched_yield" | "wait4" | "waitid" | "poll" | "ppoll" | "nanosleep" | "clock_nanosleep" => {
            return None;
        }
        "open" | "openat" | "openat2" | "close" | "stat" | "fstat" | "lstat" | "newfstatat" | "statx" | "access"
        | "faccessat" | "faccessat2" | "getdents64" | "readlink" | "readlinkat" | "fcntl" | "ioctl" | "chdir" => 1,
        "read" | "pread64" | "readv" | "preadv" | "lseek" => 2,
        "write" | "pwrite64" | "writev" | "pwritev" | "fsync" | "fdatasync" | "sync_file_range" | "rename"
        | "renameat" | "renameat2" | "fallocate" | "ftruncate" | "copy_file_range" | "unlink" | "unlinkat"
        | "fchmod" | "fchown" => 3,
        _ => 4,
    };
    Some((part, seconds))
}

/// A line of `strace -T`: its milliseconds.
fn waited(line: &str) -> Option<f64> {
    let (_, seconds) = line.trim_end().strip_suffix('>')?.rsplit_once('<')?;
    seconds.parse::<f64>().ok().map(|seconds| seconds * 1000.0)
}
