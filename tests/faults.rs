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
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::service::{PATIENCE, Service};
use support::{Answer, MailHost, NOT_DUMPABLE, filled, has, is_root, output_of, script, skip, strace};

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
        Scene::of(0)
    }

    /// With so many more mailboxes.
    fn of(mailboxes: usize) -> Scene {
        let host = MailHost::sample();
        script(&host, "/etc/after", "exit 0");
        // One domain with a compiled vpasswd, one with the text; one login that only the limits of its domain forbid.
        let text = fs::read_to_string(host.path(&format!("{COM}/vpasswd"))).unwrap();
        let more: Vec<String> = (0..mailboxes).map(|n| format!("user{n}:$1$salt$hash{n}:1:0:N:/d:Q")).collect();
        host.mailboxes(COM, &text.lines().chain(more.iter().map(String::as_str)).collect::<Vec<_>>());
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
        host.write(&format!("{NET}/vpasswd"), mailboxes + &format!("eve:{}:1:0:N:/d:Q\n", filled("$1$a$b")));
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

    /// A rebuild and a command that follows it.
    fn with_command(&self) -> Command {
        let mut command = self.host.command(&REBUILD);
        command.args(["--after", "/etc/after"]);
        command
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
        let locks = fs::metadata(self.host.path("/run/qmail-updater")).unwrap().permissions().mode();
        assert_eq!(locks & 0o027, 0, "after {fault}: others may enter the folder of locks: {locks:o}");
        *code == 0
    }

    fn check_tables(&self, answer: &Answer, fault: &str, now: &[Vec<u8>; 2]) {
        let Answer { code, stderr, .. } = answer;
        let not_begun = *code == 127 && stderr.contains("error while loading shared libraries");
        // EACCES on a file of our own says that it lies elsewhere, which does not pass by itself.
        let own_file = *code == 100 && stderr.contains("; what depends on that stays as published");
        assert!(matches!(code, 0 | 111) || not_begun || own_file, "{fault}: {answer:?}");
        assert!(!stderr.contains("a fault in this program") && !stderr.contains("panicked"), "{fault}: {stderr}");
        if *code != 0 {
            // The C library says itself when it gets no memory of its own, before or after main.
            let said = [": fatal: ", "memory allocation of ", "Fatal glibc error: "]
                .iter()
                .any(|words| stderr.contains(words));
            assert!(not_begun || said, "{fault}: not a word: {stderr}");
        }
        if stderr.contains("the old files stay") {
            assert!(*now == self.old, "{fault}: a file is new: {stderr}");
        }
        // A file of our own that cannot be read keeps what it governs, and so does what a user without root may not read.
        let contained = [
            "; what depends on that stays as published, and everything else is published",
            "kept as published, or accepted",
        ];
        if *code != 0 && !contained.iter().any(|words| stderr.contains(words)) {
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
    // Which users the tables hold is noted there.
    let stays = |name: &String| matches!(&name[..], "lock" | "users.json");
    beside.chain(names("/run/qmail-updater").into_iter().filter(|name| !stays(name))).collect()
}

/// The calls that publish, and what can be wrong with them.
const PUBLISHING: [(&str, &[&str]); 14] = [
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
    ("clone", &["EAGAIN", "ENOMEM"]),
    ("clone3", &["EAGAIN", "ENOMEM"]),
];
/// Those that read.
const READING: [(&str, &[&str]); 4] = [
    ("open", &["EIO", "ENFILE", "EACCES", "ENOMEM", "EROFS", "ENOSPC"]),
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
    let run = scene.with_command();
    let mut strace = strace();
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
    let mut strace = strace();
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
    let run = scene.with_command();
    let mut strace = strace();
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
    let works = |arguments: &[&str]| strace().args(arguments).output().is_ok_and(|out| out.status.success());
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

/// What follows one call is seen in strace's log, a line each.
fn traced(scene: &Scene, calls: &str) -> Vec<String> {
    scene.reset();
    let log = tempfile::NamedTempFile::new().unwrap();
    let run = scene.host.command(&REBUILD);
    let mut strace = strace();
    strace.args(["-f", "-y", "-qq", "-e", calls, "-o"]).arg(log.path());
    let answer: Answer = strace.arg(run.get_program()).args(run.get_args()).env_clear().output().unwrap().into();
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    fs::read_to_string(log.path()).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_new_file_is_its_owners_before_its_first_byte_and_on_the_disk_before_it_is_published() {
    if !strace_works() {
        return skip("what reaches the disk when", "strace is not installed, or may not trace");
    }
    if !is_root() {
        return skip("what reaches the disk when", NOT_DUMPABLE);
    }
    let scene = Scene::new();
    let folder = fs::canonicalize(scene.host.path("/var/qmail/control")).unwrap().display().to_string();
    let calls =
        "trace=?open,openat,?write,?pwrite64,?writev,fsync,?fdatasync,?rename,?renameat,?renameat2,fchown,fchmod";
    let mut lines = traced(&scene, calls);
    lines.retain(|line| line.contains(".tmp") || line.contains(" fsync("));
    for name in FILES {
        let at = |what: &str, of: &str| {
            let of = |line: &String| line.contains(&format!(" {what}")) && line.contains(of) && !line.contains(" = -1");
            lines.iter().enumerate().filter(move |(_, line)| of(line)).map(|(at, _)| at).collect::<Vec<_>>()
        };
        let [renamed] = at("rename", &format!("/{name}\")"))[..] else { panic!("{name}: not one rename: {lines:#?}") };
        let draft = lines[renamed].split('"').find(|word| word.ends_with(".tmp")).unwrap().rsplit('/').next().unwrap();
        let made: Vec<&String> =
            lines.iter().filter(|line| line.contains(draft) && line.contains("|O_CREAT")).collect();
        let private = |line: &&String| line.contains("O_EXCL") && line.contains(", 0600)");
        assert!(made.len() == 1 && made.iter().all(private), "{name}: {made:#?}");
        let of_draft = |what: &str| at(what, &format!("{draft}>"));
        let written = [of_draft("write("), of_draft("pwrite64("), of_draft("writev(")].concat();
        let (first, last) = (written.iter().min().unwrap(), written.iter().max().unwrap());
        let looks = [of_draft("fchmod("), if is_root() && name == "auth.cdb" { of_draft("fchown(") } else { vec![0] }];
        assert!(looks.iter().all(|at| !at.is_empty() && at.iter().all(|at| at < first)), "{name}: {lines:#?}");
        let synced = of_draft("fsync(");
        assert!(synced.iter().any(|at| at > last && *at < renamed), "{name}: not synced before its rename: {lines:#?}");
        let folder_synced = at("fsync(", &format!("<{folder}>)"));
        assert!(folder_synced.iter().any(|at| *at > renamed), "{name}: its folder is not synced: {lines:#?}");
    }
}

#[test]
fn a_fault_in_one_domains_folder_leaves_the_others_up_to_date() {
    if !strace_works() {
        return skip("faults in one folder", "strace is not installed, or may not trace");
    }
    if !is_root() {
        return skip("faults in one folder", NOT_DUMPABLE);
    }
    let scene = Scene::new();
    let folder = fs::canonicalize(scene.host.path(COM)).unwrap();
    let mut faults = 0;
    for call in ["openat", "getdents64"] {
        for number in 1.. {
            scene.reset();
            let log = tempfile::NamedTempFile::new().unwrap();
            let run = scene.host.command(&REBUILD);
            let mut strace = strace();
            strace
                .args(["-f", "-qq", "-o"])
                .arg(log.path())
                .arg("-P")
                .arg(&folder)
                .args(["-e", &format!("trace={call}")]);
            strace.args(["-e", &format!("inject={call}:error=EIO:when={number}")]);
            let answer: Answer =
                strace.arg(run.get_program()).args(run.get_args()).env_clear().output().unwrap().into();
            if !fs::read_to_string(log.path()).unwrap().contains("(INJECTED)") {
                break;
            }
            faults += 1;
            let fault = format!("{call} number {number} in {COM}");
            assert_eq!(answer.code, 0, "{fault}: {}", answer.stderr);
            assert_eq!(scene.host.answers(&["eve@example.net"]), ["accept"], "{fault}: {}", answer.stderr);
            assert!(scene.host.logins().contains_key("eve@example.net"), "{fault}");
            scene.check(&answer, &fault);
        }
    }
    println!("{faults} faults in one folder");
    // The folder itself, vpasswd.cdb, the limits, and each .qmail file.
    assert!(faults > 8, "{faults}");
}

#[test]
fn a_limit_on_the_size_of_files_leaves_whole_tables_whatever_it_is() {
    let scene = Scene::new();
    let largest = scene.new.iter().map(Vec::len).max().unwrap();
    let limits = (0..largest).step_by(512).chain([largest - 1, largest]);
    for limit in limits {
        scene.reset();
        let run = scene.host.command(&REBUILD);
        let mut prlimit = Command::new("prlimit");
        prlimit.arg(format!("--fsize={limit}")).arg(run.get_program()).args(run.get_args()).env_clear();
        let answer = prlimit.output().unwrap().into();
        assert_eq!(scene.check(&answer, &format!("a limit of {limit} bytes")), limit >= largest);
    }
}

#[test]
fn too_little_memory_leaves_whole_tables() {
    let scene = Scene::of(2_000);
    let run = |limit: usize, command: Command| -> Answer {
        let mut prlimit = Command::new("prlimit");
        prlimit.arg(format!("--as={limit}")).arg(command.get_program()).args(command.get_args()).env_clear();
        prlimit.output().unwrap().into()
    };
    // From what it takes to start at all, to what is enough.
    let least = (1..).map(|steps| steps << 18).find(|limit| run(*limit, scene.host.command(&["--version"])).code == 0);
    let (mut limit, mut failed, mut enough) = (least.unwrap(), 0, 0);
    while enough < 2 {
        scene.reset();
        let answer = run(limit, scene.host.command(&REBUILD));
        let right =
            scene.check(&answer, &format!("a limit of {limit} bytes of memory")) && !answer.stderr.contains("alert");
        (failed, enough) = if right { (failed, enough + 1) } else { (failed + 1, 0) };
        limit += limit / 10;
    }
    println!("too little memory {failed} times");
    assert!(failed > 0);
}

/// Runs a script as root of a mount namespace of its own: `$0` is the first argument.
fn in_own_mounts(script: &str, arguments: &[&str], run: &Command) -> Answer {
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "sh", "-c", script]).args(arguments).arg(run.get_program()).args(run.get_args());
    unshare.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap().into()
}

/// Whether this test may mount; says so when it may not.
fn may_mount(test: &str) -> bool {
    let may =
        is_root() && in_own_mounts("mount -t tmpfs none /mnt && \"$@\"", &["sh"], &Command::new("true")).code == 0;
    if !may {
        skip(test, "only root may mount, and not everywhere");
    }
    may
}

#[test]
fn a_disk_that_is_full_leaves_whole_tables() {
    if !may_mount("full disks") {
        return;
    }
    let scene = Scene::new();
    let [tables, kept] = ["/srv/tables", "/srv/kept"].map(|folder| scene.host.folder(folder).path(folder));
    // Fills a disk of that many KiB with the old tables and rebuilds; then again with room enough.
    let script = "size=$0 tables=$1 kept=$2; shift 2; set -e
        mount -t tmpfs -o \"size=${size}k\" none \"$tables\"
        cp -p \"$kept\"/*.cdb \"$tables\"
        code=0; \"$@\" || code=$?
        cp -p \"$tables\"/*.cdb \"$kept\"
        mount -o remount,size=1m \"$tables\"
        \"$@\"
        mkdir \"$kept/then\"; cp -p \"$tables\"/*.cdb \"$kept/then\"; ls -A \"$tables\" >\"$kept/names\"
        exit $code";
    let rebuild = [&REBUILD[..], &["--validrcptto", "/srv/tables/validrcptto.cdb", "--auth", "/srv/tables/auth.cdb"]];
    let run = scene.host.command(&rebuild.concat());
    let mut codes = BTreeSet::new();
    for size in (12..=48).step_by(4) {
        scene.reset();
        let _ = fs::remove_dir_all(kept.join("then"));
        FILES.iter().zip(&scene.old).for_each(|(name, old)| fs::write(kept.join(name), old).unwrap());
        let arguments = [&size.to_string(), tables.to_str().unwrap(), kept.to_str().unwrap()];
        let answer = in_own_mounts(script, &arguments, &run);
        let of = |folder: &Path| FILES.map(|name| fs::read(folder.join(name)).unwrap());
        let fault = format!("a disk of {size} KiB");
        assert!(kept.join("names").exists(), "{fault}: {}", answer.stderr);
        scene.check_tables(&answer, &fault, &of(&kept));
        assert!(scene.new == of(&kept.join("then")), "{fault}: {}", answer.stderr);
        assert_eq!(fs::read_to_string(kept.join("names")).unwrap(), "auth.cdb\nvalidrcptto.cdb\n", "{fault}");
        assert!(answer.code == 0 || answer.stderr.contains("No space left on device"), "{fault}: {}", answer.stderr);
        codes.insert(answer.code);
    }
    assert_eq!(codes, BTreeSet::from([0, 111]), "some are large enough, some are not");
}

#[test]
fn folders_that_are_read_only_leave_the_old_tables() {
    if !may_mount("read-only folders") {
        return;
    }
    let scene = Scene::new();
    let script = "set -e; mount --bind \"$0\" \"$0\"; mount -o remount,bind,ro \"$0\"; exec \"$@\"";
    for folder in ["/var/qmail/control", "/run", "/"] {
        scene.reset();
        scene.host.folder("/run/qmail-updater").mode("/run/qmail-updater", 0o750);
        let path = scene.host.path(folder);
        let answer = in_own_mounts(script, &[path.to_str().unwrap()], &scene.host.command(&REBUILD));
        assert_eq!(answer.code, 111, "{folder}: {}", answer.stderr);
        assert!(answer.stderr.to_lowercase().contains("read-only file"), "{folder}: {}", answer.stderr);
        assert!(scene.old == contents(&scene.host), "{folder}");
        scene.check(&answer, &format!("{folder} read-only"));
    }
}

/// A file that cannot be changed, as long as this lives.
struct Unchangeable(std::path::PathBuf);

impl Unchangeable {
    /// `None` where the file system has no such thing.
    fn make(path: &Path) -> Option<Unchangeable> {
        let made = Command::new("chattr").arg("+i").arg(path).output().is_ok_and(|output| output.status.success());
        made.then(|| Unchangeable(path.to_owned()))
    }
}

impl Drop for Unchangeable {
    fn drop(&mut self) {
        let _ = Command::new("chattr").arg("-i").arg(&self.0).status();
    }
}

#[test]
fn files_that_cannot_be_changed_stay_and_the_next_rebuild_replaces_them() {
    let scene = Scene::new();
    for (path, replaced) in
        [("/var/qmail/control", 0), ("/var/qmail/control/validrcptto.cdb", 0), ("/var/qmail/control/auth.cdb", 1)]
    {
        scene.reset();
        let Some(unchangeable) = Unchangeable::make(&scene.host.path(path)) else {
            return skip("files that cannot be changed", "chattr +i needs root, and a file system that knows it");
        };
        let answer = scene.host.run(&REBUILD);
        let now = contents(&scene.host);
        drop(unchangeable);
        assert_eq!(answer.code, 111, "{path}: {}", answer.stderr);
        let is_new = now.iter().zip(&scene.new).filter(|(now, new)| now == new).count();
        assert_eq!(is_new, replaced, "{path}: {}", answer.stderr);
        assert_eq!(answer.stderr.contains("the new validrcptto.cdb is published already"), replaced == 1, "{path}");
        scene.check(&answer, &format!("{path} unchangeable"));
    }
}

#[test]
fn a_service_that_cannot_write_goes_on_and_publishes_as_soon_as_it_can() {
    let mut service = Service::start(MailHost::sample(), &["--no-watch"]);
    let pid = service.child.id().to_string();
    let limit = |limit: &str| output_of("prlimit", &["--pid", &pid, &format!("--fsize={limit}:unlimited")]);
    limit("0");
    let before = contents(&service.host);
    service.add_alias("late");
    service.trigger(&["insert_alias", "late@example.com", "&x@y.test", ""]);
    service.wait_for("rebuild 2 failed: unable to write");
    assert!(before == contents(&service.host));
    limit("unlimited");
    // Nobody pokes it.
    service.wait_for("cause=retry");
    assert_eq!(service.host.answers(&["late@example.com"]), ["accept"]);
    // Until then it may write the status file.
    assert_eq!(service.end(), 0);
    assert_eq!(litter(&service.host).iter().filter(|name| name.starts_with('.')).count(), 0);
}

#[test]
fn a_service_that_gets_no_thread_of_its_own_says_so_and_ends() {
    if !strace_works() {
        return skip("a service without threads", "strace is not installed, or may not trace");
    }
    let mut ended = 0;
    for number in 1.. {
        let host = MailHost::sample();
        let run = host.command(&["run", "--no-watch"]);
        let mut strace = strace();
        let inject = format!("inject=?clone,?clone3:error=EAGAIN:when={number}");
        let log = host.path("/traced");
        strace.args(["-qq", "-e", "trace=?clone,?clone3", "-e", &inject, "-o"]).arg(&log);
        strace.arg(run.get_program()).args(run.get_args()).env_clear();
        let mut service = Service::spawn(host, strace);
        let mut said = String::new();
        while !service.host.published("auth.cdb").exists()
            && let Ok(line) = service.log.recv()
        {
            said += &line;
        }
        assert!(!said.contains("a fault in this program"), "thread {number}: {said}");
        let missing = fs::read_to_string(&log).unwrap().contains("(INJECTED)");
        if service.host.published("auth.cdb").exists() {
            let status = fs::read(service.host.path("/run/qmail-updater/status.json")).unwrap();
            let status: serde_json::Value = serde_json::from_slice(&status).unwrap();
            let pid = i32::try_from(status["pid"].as_i64().unwrap()).unwrap();
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).unwrap();
            assert_eq!(service.child.wait().unwrap().code(), Some(0), "{said}");
        } else {
            assert_eq!(service.child.wait().unwrap().code(), Some(111), "{said}");
            assert!(said.contains("fatal: unable to start a thread"), "{said}");
            ended += 1;
        }
        if !missing {
            break;
        }
    }
    assert!(ended > 0);
}

#[test]
fn a_rebuild_that_gets_no_thread_is_tried_again() {
    if !strace_works() {
        return skip("a rebuild without threads", "strace is not installed, or may not trace");
    }
    let mut service = Service::sample();
    let mut failed = 0;
    for number in 1.. {
        let log = service.host.path("/traced");
        let mut strace = strace();
        let inject = format!("inject=?clone,?clone3:error=EAGAIN:when={number}");
        strace.args(["-f", "-e", "trace=?clone,?clone3", "-e", &inject, "-o"]).arg(&log);
        let mut strace = strace.args(["-p", &service.child.id().to_string()]).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(strace.stderr.take().unwrap()).lines().map_while(Result::ok);
        assert!(said.any(|line| line.contains(" attached")), "strace may trace");
        service.add_alias(&format!("new{number}"));
        service.trigger(&["insert_alias", &format!("new{number}@example.com"), "&x@y.test", ""]);
        let mut told = String::new();
        let mut hear_until = |words: &[&str]| {
            while !words.iter().any(|words| told.contains(words)) {
                let line = service.log.recv_timeout(PATIENCE);
                told += &line.unwrap_or_else(|_| panic!("thread {number}: {told}"));
            }
        };
        // A thread that gets others counts for itself: only the first failure is made.
        hear_until(&[" failed: ", "validrcptto.cdb published"]);
        let pid = nix::unistd::Pid::from_raw(i32::try_from(strace.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
        strace.wait().unwrap();
        hear_until(&["validrcptto.cdb published"]);
        assert!(!told.contains("a fault in this program"), "thread {number}: {told}");
        assert_eq!(service.host.answers(&[&format!("new{number}@example.com")]), ["accept"]);
        failed += usize::from(told.contains("failed: unable to start a thread"));
        if !fs::read_to_string(&log).unwrap().contains("(INJECTED)") {
            break;
        }
    }
    assert!(failed > 0);
    assert_eq!(service.end(), 0);
}
