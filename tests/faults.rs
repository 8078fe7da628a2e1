//! Faults, injected into the real binary: system calls that fail, full and read-only disks, limits, no memory. After each
//! of them both tables are whole, nobody is refused who was accepted before, nobody can log in who could not, and the
//! next rebuild makes what an undisturbed one makes and leaves nothing lying about. Kills are in `publish.rs`.
//!
//! strace makes the calls fail. It counts them for each thread, so the threads are told apart: for the first one it does
//! not follow the others; for the others the first one makes enough idle calls beforehand. A call that is made often
//! fails with one of its errors in turn, one that is made seldom with each, and of those that only look at files one in
//! eight; with `QMAIL_UPDATER_FAULTS=all` each call fails with each.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::{Answer, MailHost, has, is_root, output_of, script, skip};

const FILES: [&str; 2] = ["validrcptto.cdb", "auth.cdb"];
const COM: &str = "/home/vpopmail/domains/example.com";
const NET: &str = "/home/vpopmail/domains/example.net";
/// One thread for the homes: their calls come in one order.
const REBUILD: [&str; 3] = ["rebuild", "--threads", "1"];

/// A host that changed since its tables were published: both are due. Nothing went, so that nothing may go.
struct Scene {
    host: MailHost,
    old: [Vec<u8>; 2],
    new: [Vec<u8>; 2],
    /// What qmail-smtpd accepts by the old table.
    accepted: Vec<String>,
}

impl Scene {
    fn new() -> Scene {
        let host = MailHost::sample();
        // One domain with a compiled vpasswd, one with the text; one login that only the limits of its domain forbid.
        let text = fs::read_to_string(host.path(&format!("{COM}/vpasswd"))).unwrap();
        host.mailboxes(COM, &text.lines().collect::<Vec<_>>());
        host.write("/var/qmail/users/assign", {
            let text = fs::read_to_string(host.path("/var/qmail/users/assign")).unwrap();
            let quiet = "+quiet.test-:quiet.test:89:89:/home/vpopmail/domains/quiet.test:-::\n.\n";
            text.strip_suffix(".\n").unwrap().to_owned() + quiet
        });
        for file in ["/var/qmail/control/virtualdomains", "/var/qmail/control/rcpthosts"] {
            let line = if file.contains("virtual") { "quiet.test:quiet.test\n" } else { "quiet.test\n" };
            host.write(file, fs::read_to_string(host.path(file)).unwrap() + line);
        }
        let quiet = "/home/vpopmail/domains/quiet.test";
        host.mailboxes(quiet, &["mute:$1$a$b:1:0:N:/d:Q"])
            .write(&format!("{quiet}/.qmailadmin-limits"), "disable_smtp\n");
        host.write(&format!("{quiet}/.qmail-default"), "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n");
        host.write("/var/qmail/users/cdb", compiled(&fs::read(host.path("/var/qmail/users/assign")).unwrap()));
        let said = host.rebuild().stderr;
        assert!(!said.contains("warning") && !said.contains("alert"), "each warning is to be of a fault: {said}");
        if is_root() {
            // Then each new auth.cdb has to be given away, too.
            host.own("/var/qmail/control/auth.cdb", 4242, 4242);
        }
        let old = contents(&host);
        let keys: Vec<(String, String)> = records(&old[0]).into_iter().filter(|(_, data)| data != "-").collect();
        let accepted: Vec<String> = keys
            .into_iter()
            .map(|(key, _)| match key.strip_prefix('@') {
                Some(domain) => format!("anybody@{domain}"),
                None => key.replace("-default@", "-anything@"),
            })
            .collect();
        host.write(&format!("{COM}/.qmail-new"), "&x@y.test\n");
        let mailboxes = fs::read_to_string(host.path(&format!("{NET}/vpasswd"))).unwrap();
        host.write(&format!("{NET}/vpasswd"), mailboxes + "eve:$1$a$b:1:0:N:/d:Q\n");
        host.write("/var/qmail/control/authvars", "* DATABYTES=\"1\"\n");
        host.rebuild();
        let new = contents(&host);
        assert!(old[0] != new[0] && old[1] != new[1]);
        let addresses: Vec<&str> = accepted.iter().map(String::as_str).collect();
        assert!(host.answers(&addresses).iter().all(|answer| answer == "accept"), "nothing is to go");
        for (name, content) in FILES.iter().zip(&old) {
            fs::write(host.published(name), content).unwrap();
            is_whole(&host.published(name));
        }
        Scene { host, old, new, accepted }
    }

    /// Puts the old tables back, and takes the folder of locks away.
    fn reset(&self) {
        FILES.iter().zip(&self.old).for_each(|(name, old)| fs::write(self.host.published(name), old).unwrap());
        let _ = fs::remove_dir_all(self.host.path("/run"));
    }

    /// What must hold after a rebuild that met a fault; and then the next one is right. Whether it was overcome.
    fn check(&self, answer: &Answer, fault: &str) -> bool {
        let Answer { code, stderr, .. } = answer;
        self.check_tables(answer, fault, &contents(&self.host));
        let next = self.host.run(&REBUILD);
        assert_eq!(next.code, 0, "the rebuild after {fault}: {}", next.stderr);
        assert!(contents(&self.host) == self.new, "the rebuild after {fault}: {}", next.stderr);
        assert_eq!(litter(&self.host), [""; 0], "after {fault} ({code}: {stderr})");
        *code == 0
    }

    fn check_tables(&self, answer: &Answer, fault: &str, now: &[Vec<u8>; 2]) {
        let Answer { code, stderr, .. } = answer;
        let not_begun = *code == 127 && stderr.contains("error while loading shared libraries");
        assert!(matches!(code, 0 | 111) || not_begun, "{fault}: {answer:?}");
        assert!(!stderr.contains("a fault in this program") && !stderr.contains("panicked"), "{fault}: {stderr}");
        if *code != 0 {
            assert!(not_begun || stderr.contains(": fatal: "), "{fault}: not a word: {stderr}");
            for (name, now) in FILES.iter().zip(now) {
                assert!(self.old.contains(now) || self.new.contains(now), "{fault}: {name} is neither old nor new");
            }
        } else if *now != self.new {
            // Contained: a table of its own.
            let file = tempfile::NamedTempFile::new().unwrap();
            now.iter().for_each(|content| {
                fs::write(file.path(), content).unwrap();
                is_whole(file.path());
            });
            // What a .qmail file says that cannot be read is taken as delivered, without a word.
            let opened = now[1] == self.new[1];
            assert!(opened || stderr.contains(": alert: "), "{fault}: not a word: {stderr}");
        }
        self.nobody_lost(fault, stderr, now);
    }

    /// Everybody who was accepted is, everybody who could log in can, and nobody else.
    fn nobody_lost(&self, fault: &str, stderr: &str, now: &[Vec<u8>; 2]) {
        if now[0] != self.old[0] && now[0] != self.new[0] {
            fs::write(self.host.path("/tables"), &now[0]).unwrap();
            let arguments = ["lookup", "--validrcptto", "/tables", "--"].into_iter();
            let answer = self.host.run(&arguments.chain(self.accepted.iter().map(String::as_str)).collect::<Vec<_>>());
            assert_eq!(answer.code, 0, "{fault}: {}{stderr}", answer.stdout);
        }
        let [old, new, now] = [&self.old[1], &self.new[1], &now[1]].map(|image| records(image));
        let lost: Vec<&String> = old.keys().filter(|login| !now.contains_key(*login)).collect();
        assert!(lost.is_empty(), "{fault}: {lost:?} cannot log in any more: {stderr}");
        let gained: Vec<&String> = now
            .iter()
            .filter(|(login, data)| old.get(*login) != Some(data) && new.get(*login) != Some(data))
            .map(|(login, _)| login)
            .collect();
        assert!(gained.is_empty(), "{fault}: {gained:?} log in as neither before nor after: {stderr}");
    }
}

/// What qmail-newu makes of users/assign.
fn compiled(assign: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(assign).unwrap();
    let mut records: Vec<(Vec<u8>, Vec<u8>)> = vec![(Vec::new(), b"-".to_vec())];
    for line in text.lines().take_while(|line| !line.starts_with('.')) {
        let (key, data) = line.split_once(':').unwrap();
        let end = if key.starts_with('=') { "\0" } else { "" };
        let data = data.strip_suffix(':').unwrap().replace(':', "\0");
        records.push((format!("!{}{end}", &key[1..]).into_bytes(), data.into_bytes()));
    }
    qmail_updater::cdb::image(records.iter().map(|(key, data)| (&key[..], &data[..]))).unwrap()
}

fn contents(host: &MailHost) -> [Vec<u8>; 2] {
    FILES.map(|name| fs::read(host.published(name)).unwrap())
}

fn records(image: &[u8]) -> BTreeMap<String, String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let cdb = qmail_updater::cdb::Reader::new(image).unwrap();
    cdb.records().map(|record| (text(record.key), text(record.data))).collect()
}

/// Whether our reader, and an independent one where there is one, can read it to its end.
fn is_whole(path: &Path) {
    let image = fs::read(path).unwrap();
    qmail_updater::cdb::Reader::new(&image).unwrap().check().unwrap();
    if has("cdb") {
        output_of("cdb", &["-d", path.to_str().unwrap()]);
        output_of("cdb", &["-s", path.to_str().unwrap()]);
    }
}

/// What lies beside the tables, and in the folder of locks, and should not.
fn litter(host: &MailHost) -> Vec<String> {
    let names = |folder: &str| {
        let names = fs::read_dir(host.path(folder)).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let beside = names("/var/qmail/control").into_iter().filter(|name| name.starts_with('.'));
    beside.chain(names("/run/qmail-updater").into_iter().filter(|name| name != "lock")).collect()
}

/// The calls that publish, and what can be wrong with them.
const PUBLISHING: [(&str, &[&str]); 13] = [
    ("write", &["ENOSPC", "EIO", "EDQUOT", "EFBIG"]),
    ("pwrite64", &["ENOSPC", "EIO", "EDQUOT", "EFBIG"]),
    ("fsync", &["EIO", "ENOSPC", "EDQUOT", "EROFS"]),
    ("rename", &["EIO", "ENOSPC", "EDQUOT", "EROFS", "EACCES"]),
    ("renameat", &["EIO", "ENOSPC", "EDQUOT", "EROFS", "EACCES"]),
    ("renameat2", &["EIO", "ENOSPC", "EDQUOT", "EROFS", "EACCES"]),
    ("fchown", &["EIO", "EROFS", "EPERM", "EDQUOT"]),
    ("fchmod", &["EIO", "EROFS", "EPERM"]),
    ("chmod", &["EIO", "EROFS", "EPERM"]),
    ("mkdir", &["EIO", "ENOSPC", "EDQUOT", "EROFS", "EACCES"]),
    ("flock", &["EIO", "ENOLCK", "EINTR"]),
    ("unlink", &["EIO", "EROFS", "EACCES"]),
    ("clone3", &["EAGAIN", "ENOMEM"]),
];
/// Those that read.
const READING: [(&str, &[&str]); 3] = [
    ("openat", &["EIO", "ENFILE", "EACCES", "ENOMEM", "EROFS", "ENOSPC"]),
    ("getdents64", &["EIO", "ENOMEM"]),
    ("read", &["EIO", "EINTR", "ENOMEM"]),
];
/// Those that look at what was opened; as many as all others, so that they take turns.
const LOOKING: [(&str, &[&str]); 2] =
    [("newfstatat", &["EIO", "ESTALE", "ENOMEM"]), ("statx", &["EIO", "ESTALE", "ENOMEM"])];

/// The calls of which the first thread can make idle ones, so that they fail in another thread alone.
const IDLE: [&str; 4] = ["openat", "getdents64", "read", "newfstatat"];

/// A call seldom made fails in every way.
const SELDOM: usize = 12;

/// strace's words for this set of calls, also those that the machine does not have.
fn trace(calls: &[(&str, &[&str])]) -> String {
    let names: Vec<String> = calls.iter().map(|(name, _)| format!("?{name}")).collect();
    format!("trace={}", names.join(","))
}

/// One line of strace's output: the number of the thread, in order of appearance, and the name of the call.
fn seen(traced: &str) -> Vec<(usize, String)> {
    let mut threads = Vec::new();
    let lines = traced.lines().filter(|line| !line.contains(" resumed>"));
    let calls = lines.filter_map(|line| {
        let (thread, rest) = line.split_once(' ')?;
        let name = rest.trim_start().split_once('(')?.0.to_owned();
        let number = threads.iter().position(|known| *known == thread).unwrap_or_else(|| {
            threads.push(thread);
            threads.len() - 1
        });
        Some((number, name))
    });
    calls.collect()
}

/// Makes one call of the first thread fail: strace does not follow the others.
fn fault_in_first(scene: &Scene, call: &str, error: &str, number: usize) -> (Answer, usize) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let run = scene.host.command(&REBUILD);
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-o"]).arg(log.path()).args(["-e", &format!("trace={call}")]);
    strace.args(["-e", &format!("inject={call}:error={error}:when={number}")]);
    let answer = strace.arg(run.get_program()).args(run.get_args()).env_clear().output().unwrap().into();
    (answer, fs::read_to_string(log.path()).unwrap().matches("(INJECTED)").count())
}

/// Makes one call of every other thread fail: the first one makes so many idle calls beforehand that its own are over.
fn fault_in_others(scene: &Scene, call: &str, error: &str, number: usize) -> Option<(Answer, usize)> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let run = scene.host.command(&REBUILD);
    // Each turn lists a folder, reads a file and asks for its status.
    let idle = "read go; i=0; while [ $i -le $0 ]; do i=$((i+1)); for f in /proc/self/fd/*; do :; done; \
                read x </dev/null; [ -e / ]; done; exec \"$@\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", idle, &number.to_string()]).arg(run.get_program()).args(run.get_args()).env_clear();
    let mut shell = shell.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o"]).arg(log.path()).args(["-e", &format!("trace={call}"), "-p", &shell.id().to_string()]);
    strace.args(["-e", &format!("inject={call}:error={error}:when={number}")]);
    let mut strace = strace.stderr(Stdio::piped()).spawn().unwrap();
    let mut attached = String::new();
    let mut said = BufReader::new(strace.stderr.take().unwrap());
    said.read_line(&mut attached).unwrap();
    // What it says besides must not stop it.
    std::thread::spawn(move || said.read_to_end(&mut Vec::new()));
    let _ = shell.stdin.take().unwrap().write_all(b"\n");
    let answer = shell.wait_with_output().unwrap().into();
    strace.wait().unwrap();
    let log = fs::read_to_string(log.path()).unwrap();
    attached.ends_with(" attached\n").then(|| (answer, log.matches("(INJECTED)").count()))
}

/// How often each thread makes each call: by the number of the thread and the name of the call.
fn count(scene: &Scene, calls: &[(&str, &[&str])]) -> BTreeMap<(usize, String), usize> {
    scene.reset();
    let log = tempfile::NamedTempFile::new().unwrap();
    let run = scene.host.command(&REBUILD);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", &trace(calls), "-o"]).arg(log.path());
    let answer: Answer = strace.arg(run.get_program()).args(run.get_args()).env_clear().output().unwrap().into();
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert!(scene.new == contents(&scene.host));
    let mut counts = BTreeMap::new();
    seen(&fs::read_to_string(log.path()).unwrap()).into_iter().for_each(|seen| *counts.entry(seen).or_default() += 1);
    counts
}

/// Whether strace can make calls fail here.
fn strace_works() -> bool {
    let works =
        |arguments: &[&str]| Command::new("strace").args(arguments).output().is_ok_and(|out| out.status.success());
    has("strace") && works(&["-f", "-qq", "-e", "inject=fsync:error=EIO:when=1", "true"])
}

/// Lets each of these calls fail in turn, or one in so many.
fn calls_fail(test: &str, calls: &[(&str, &[&str])], one_in: usize) {
    if !strace_works() {
        return skip(test, "strace is not installed, or may not trace");
    }
    let all = std::env::var("QMAIL_UPDATER_FAULTS").is_ok_and(|faults| faults == "all");
    let counts = count(&Scene::new(), calls);
    let mut jobs: Vec<(bool, &str, &str, usize)> = Vec::new();
    for (call, errors) in calls {
        let of = |first: bool| {
            let of = counts.iter().filter(|((thread, name), _)| (*thread == 0) == first && name == call);
            of.map(|(_, count)| *count).max().unwrap_or(0)
        };
        for (first, most) in
            [(true, of(true)), (false, of(false))].into_iter().filter(|(first, _)| *first || IDLE.contains(call))
        {
            let each = all || most <= SELDOM;
            let chosen = |number: usize| if each { errors.to_vec() } else { vec![errors[number % errors.len()]] };
            let taken = (1..=most).filter(|number| all || number % one_in == 0);
            jobs.extend(
                taken.flat_map(|number| chosen(number).into_iter().map(move |error| (first, *call, error, number))),
            );
        }
    }
    let [next, injected, overcome, failed] = [const { AtomicUsize::new(0) }; 4];
    let missed = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from).min(8) {
            scope.spawn(|| {
                let scene = Scene::new();
                while let Some((first, call, error, number)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    scene.reset();
                    let met = if *first {
                        Some(fault_in_first(&scene, call, error, *number))
                    } else {
                        fault_in_others(&scene, call, error, *number)
                    };
                    let Some((answer, met)) = met else {
                        missed.lock().unwrap().insert("strace may not attach to a process".to_owned());
                        continue;
                    };
                    let thread = if *first { "the first thread" } else { "another thread" };
                    let fault = format!("{call} number {number} of {thread} failing with {error}");
                    injected.fetch_add(met.min(1), Ordering::Relaxed);
                    match catch_unwind(AssertUnwindSafe(|| scene.check(&answer, &fault))) {
                        Ok(went_on) => drop(overcome.fetch_add(usize::from(went_on), Ordering::Relaxed)),
                        Err(_) => drop(failed.fetch_add(1, Ordering::Relaxed)),
                    }
                }
            });
        }
    });
    missed.into_inner().unwrap().iter().for_each(|why| skip(test, why));
    let [injected, overcome, failed] = [injected, overcome, failed].map(AtomicUsize::into_inner);
    println!("{test}: {injected} faults, {overcome} of them overcome, {failed} of them not as it should be");
    assert_eq!(failed, 0, "what failed stands above");
    assert!(injected * 10 >= jobs.len() * 9, "only {injected} of {} calls failed", jobs.len());
}

#[test]
fn every_call_that_publishes_fails() {
    calls_fail("calls that publish", &PUBLISHING, 1);
}

#[test]
fn every_call_that_reads_fails() {
    calls_fail("calls that read", &READING, 1);
}

#[test]
fn calls_that_look_at_files_fail() {
    calls_fail("calls that look at files", &LOOKING, 8);
}
