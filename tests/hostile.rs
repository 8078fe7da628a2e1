//! A host on which a customer did everything that he can to his own folder: rebuilt in bounded time and memory, nothing
//! of anybody else's told, and nobody else's mail refused.

mod support;

use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::MailHost;
use support::service::COM;

/// The domain folder of the customer.
const HIS: &str = "/home/vpopmail/domains/example.net";
const SECRET: &str = "SecretOfSomebodyElse";
/// More than a rebuild of this host ever needs, in KiB of address space.
const MEMORY: &str = "1500000";

/// Runs the real binary with so much memory, and says how long it took.
fn run(host: &MailHost, arguments: &[&str]) -> (support::Answer, Duration) {
    let run = host.command(arguments);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -v {MEMORY}; exec \"$0\" \"$@\"")]).arg(run.get_program());
    let start = Instant::now();
    let output = command.args(run.get_args()).env_clear().stdin(Stdio::null()).output().unwrap();
    (output.into(), start.elapsed())
}

fn sparse(host: &MailHost, path: &str) {
    host.write(path, "");
    File::options().write(true).open(host.path(path)).unwrap().set_len(1 << 40).unwrap();
}

fn hostile() -> MailHost {
    let host = MailHost::sample();
    host.rebuild();
    host.write("/etc/shadow", format!("root:$6$a${SECRET}:1::::::\n")).mode("/etc/shadow", 0o600);
    host.write("/etc/program", format!("|{SECRET}\n")).mode("/etc/program", 0o600);
    // Where others' things are.
    for (name, target) in [
        ("shadow", "/etc/shadow"),
        ("program", "/etc/program"),
        ("up", "../../../../../../../../etc/shadow"),
        ("others", "../example.com/vpasswd.cdb"),
        ("root", "/"),
        ("self", ".qmail-self"),
        ("gone", "/nowhere/at/all"),
        ("proc", "/proc/self/environ"),
    ] {
        host.link(&format!("{HIS}/.qmail-{name}"), target);
    }
    // What never ends, or never answers.
    nix::unistd::mkfifo(&host.path(&format!("{HIS}/.qmail-fifo")), nix::sys::stat::Mode::S_IRWXU).unwrap();
    sparse(&host, &format!("{HIS}/.qmail-sparse"));
    sparse(&host, &format!("{HIS}/.qmailadmin-limits"));
    host.write(&format!("{HIS}/.qmail-lines"), "|true\n".repeat(1 << 17));
    if support::is_root() {
        let zero = host.path(&format!("{HIS}/.qmail-zero"));
        nix::sys::stat::mknod(
            &zero,
            nix::sys::stat::SFlag::S_IFCHR,
            nix::sys::stat::Mode::S_IRWXU,
            nix::sys::stat::makedev(1, 5),
        )
        .unwrap();
    }
    // Folders that go round.
    host.folder(&format!("{HIS}/.qmail-d")).link(&format!("{HIS}/.qmail-d/again"), "..");
    host.link(&format!("{HIS}/.qmail-d/.qmail-d"), "../.qmail-d");
    // Names: of odd bytes, as long as they may be, and spelled in sixty-four ways each.
    for odd in [&b"\xff\x01\n\r\t"[..], &[b'x'; 240], b"\x1b[2J", b"@", b"a@b", b"-", b"a b"] {
        let name = [b".qmail-", odd].concat();
        fs::write(host.path(HIS).join(PathBuf::from(std::ffi::OsString::from_vec(name))), "&x@y.test\n").unwrap();
    }
    for number in 0..100_000 {
        let name = if number < 5_000 { format!("a:b:c:d:e:f:{number}") } else { format!("n{number}") };
        fs::write(host.path(&format!("{HIS}/.qmail-{name}")), "").unwrap();
    }
    host
}

#[test]
fn what_a_customer_does_to_his_folder_costs_little_and_concerns_him_only() {
    let host = hostile();
    host.write(&format!("{COM}/.qmail-new"), "&x@y.test\n");
    // Two hundred times of what it takes; a name spelled in every way would be millions of keys.
    let patience = Duration::from_secs(120);
    let budget = ["--max-names", "150000", "--max-steps", "20000000", "--max-entries", "1000000"];
    let (answer, took) = run(&host, &[&["rebuild"][..], &budget].concat());
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert!(took < patience, "{took:?}");
    assert!(!answer.stderr.contains(SECRET), "{}", answer.stderr);
    for words in [
        ".qmail-sparse: it is longer than 1 MiB; what leads there counts as delivered",
        "its .qmail names with colons can be spelled in more ways than the 150000 of --max-names",
    ] {
        assert!(answer.stderr.contains(words), "{words:?} is missing: {}", answer.stderr);
    }
    assert!(answer.stderr.lines().count() < 50 && answer.stderr.len() < 50_000, "{}", answer.stderr);
    assert!(!answer.stderr.contains('\x1b'));
    // The others' mail goes on, and is up to date; his is accepted where nobody knows.
    let addresses =
        ["ann@example.com", "new@example.com", "nobody@example.com", "sparse@example.net", "n5000@example.net"];
    assert_eq!(host.answers(&addresses), ["accept", "accept", "refuse", "accept", "accept"]);
    // Nobody's secret is in a table.
    for name in ["validrcptto.cdb", "auth.cdb"] {
        let image = fs::read(host.published(name)).unwrap();
        assert!(!image.windows(SECRET.len()).any(|bytes| bytes == SECRET.as_bytes()), "{name}");
    }
    // With fewer names allowed, what he governs is kept as it was; what a mailbox of his says is no longer read.
    let (answer, took) = run(&host, &["rebuild", "--max-names", "1000"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert!(took < patience && answer.stderr.contains("more names than the 1000 of --max-names"), "{}", answer.stderr);
    assert_eq!(host.answers(&["dora@example.net", "n5000@example.net", "ann@example.com"]), ["accept"; 3]);
    let (answer, took) = run(&host, &["check"]);
    assert!(answer.code == 1 && took < patience && !answer.stdout.contains(SECRET), "{took:?}");
    let (answer, _) = run(&host, &["explain", "program@example.net", "shadow@example.net", "sparse@example.net"]);
    assert!(answer.code == 0 && !answer.stdout.contains(SECRET), "{}", answer.stdout);
    assert!(answer.stdout.lines().filter(|line| *line == "bounce").count() == 0, "{}", answer.stdout);
}

#[test]
fn mailboxes_without_an_end_are_kept_as_they_were() {
    let host = MailHost::sample();
    host.rebuild();
    let before = host.logins();
    sparse(&host, &format!("{COM}/vpasswd.cdb"));
    let (answer, took) = run(&host, &["rebuild"]);
    assert!(answer.code == 0 && answer.stderr.contains("vpasswd.cdb: corrupt: "), "{}", answer.stderr);
    host.remove(&format!("{COM}/vpasswd.cdb"));
    sparse(&host, &format!("{COM}/vpasswd"));
    let (answer, again) = run(&host, &["rebuild"]);
    assert!(answer.code == 0 && answer.stderr.contains("longer than the 1024 MiB of --max-file"), "{}", answer.stderr);
    assert!(took.max(again) < Duration::from_secs(20), "{took:?} {again:?}");
    assert_eq!(host.answers(&["ann@example.com"]), ["accept"]);
    assert!(before == host.logins());
    // Not even the host's own files make it read for ever.
    sparse(&host, "/var/qmail/control/virtualdomains");
    let (answer, _) = run(&host, &["rebuild"]);
    assert!(
        answer.code == 111 && answer.stderr.contains("virtualdomains: longer than the 1024 MiB"),
        "{}",
        answer.stderr
    );
}
