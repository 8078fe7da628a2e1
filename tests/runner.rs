//! The README's test command: what it does to the machine, which is nothing, and what it prints.
//!
//! tests/run and tests/tools are run in a directory of their own, with a PATH that holds a few real programs and stand-ins
//! for cargo, apt and everything that could change a machine; each call of a stand-in is a line in `calls`.

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Answer, MailHost, program, script};

/// Real programs that the scripts use.
const TOOLS: [&str; 20] = [
    "sh", "dirname", "mkdir", "sed", "sort", "cat", "find", "grep", "tail", "tar", "gzip", "ldd", "ln", "rm", "paste",
    "chmod", "touch", "id", "timeout", "xargs",
];
/// What would change the machine.
const FORBIDDEN: [&str; 9] =
    ["apt", "dpkg", "systemctl", "service", "invoke-rc.d", "svc", "kill", "pkill", "update-rc.d"];
/// Two binaries whose tests pass, as cargo tells it.
const GOOD: &str = "   Compiling qmail-updater v0.1.0 (/src)
     Running unittests src/lib.rs (target/debug/deps/qmail_updater-0123456789abcdef)

running 2 tests
test one ... ok
skipped: two: the kernel has no Landlock
test two ... ok

test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.06s

     Running tests/publish.rs (target/debug/deps/publish-0123456789abcdef)

running 1 test
test three ... skipped: three: only root can give files away
ok
skipped: two: the kernel has no Landlock

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 35.10s
";

/// A checkout with stand-ins.
struct Checkout {
    host: MailHost,
}

impl Checkout {
    /// One on a machine with or without apt, whose cargo prints this and exits so.
    fn new(has_apt: bool, cargo_says: &str, cargo_exits: i32) -> Checkout {
        let host = MailHost::empty();
        host.folder("/bin");
        for name in TOOLS {
            symlink(program(name).unwrap(), host.path(&format!("/bin/{name}"))).unwrap();
        }
        for name in ["run", "tools", "limited"] {
            let text = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)).unwrap();
            host.write(&format!("/src/tests/{name}"), text);
        }
        host.write("/says", cargo_says);
        let checkout = Checkout { host };
        let says = checkout.host.path("/says").display().to_string();
        checkout.stand_in("cargo", &format!("command -v runsvdir\ncat {says}\nexit {cargo_exits}"));
        FORBIDDEN.iter().for_each(|name| checkout.stand_in(name, "exit 0"));
        if has_apt {
            checkout.stand_in("apt-config", "echo 'Acquire::http::Proxy \"http://proxy.example:3128\";'");
            // The only way to install runit is to remove what supervises the mail server.
            checkout.stand_in(
                "apt-get",
                "case \"$*\" in
                    update*) : >\"${APT_CONFIG%/*}/state/lists/mirror_Packages\" ;;
                    *install*) for package; do :; done
                        echo 'Remv daemontools-run [1:0.76-8.1]'
                        echo \"Inst libc6 [2.36-9] (2.36-10 Debian:12 [amd64])\"
                        echo \"Inst $package (1:2.1-54 Debian:12 [amd64])\" ;;
                    download*) for package; do : >\"${package%%=*}.deb\"; done; rm ./-qq.deb download.deb ;;
                esac",
            );
            for name in ["runsvdir", "chpst"] {
                let path = format!("/data/usr/bin/{name}");
                checkout.host.write(&path, "#!/bin/sh\n").mode(&path, 0o4755);
            }
            let data = checkout.host.path("/data").display().to_string();
            checkout.stand_in("dpkg-deb", &format!("exec tar -c -C {data} ./usr"));
        }
        checkout
    }

    fn stand_in(&self, name: &str, text: &str) {
        let calls = self.host.path("/calls").display().to_string();
        script(&self.host, &format!("/bin/{name}"), &format!("echo \"{name} $*\" >>{calls}\n{text}"));
    }

    /// Runs the test command.
    fn run(&self, arguments: &[&str]) -> Answer {
        let mut command = Command::new("/bin/sh");
        command.arg(self.path("tests/run")).args(arguments).current_dir("/");
        command
            .env_clear()
            .env("PATH", self.host.path("/bin"))
            .env("CI", "true")
            .env("QMAIL_UPDATER_BESIDE", "2")
            .output()
            .unwrap()
            .into()
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.host.path("/src").join(inside)
    }

    fn calls(&self) -> Vec<String> {
        fs::read_to_string(self.host.path("/calls")).unwrap().lines().map(str::to_owned).collect()
    }
}

#[test]
fn nothing_is_installed_removed_started_or_stopped_and_what_is_missing_is_unpacked_below_target() {
    let checkout = Checkout::new(true, GOOD, 0);
    let answer = checkout.run(&["--test", "publish"]);
    assert_eq!((answer.code, &answer.stderr[..]), (0, ""), "{answer:?}");
    let mut simulated = 0;
    for call in checkout.calls() {
        let words: Vec<&str> = call.split(' ').collect();
        match words[..] {
            ["apt-get", "-s", "install", ..] => simulated += 1,
            ["apt-get", "update" | "download", ..] | ["apt-config", "dump"] | ["dpkg-deb", "--fsys-tarfile", _] => {}
            ["cargo", "test", "--no-fail-fast", "--config", .., "--test", "publish"] => {}
            _ => panic!("{call}"),
        }
        assert!(!call.contains("libc6"), "{call}");
    }
    assert!(simulated > 3, "{:?}", checkout.calls());
    // apt keeps its lists there too, runs no hooks of the machine, and uses the same proxy.
    let configuration = fs::read_to_string(checkout.path("target/tools/apt/apt.conf")).unwrap();
    let tools = fs::canonicalize(checkout.path("target/tools")).unwrap();
    for line in [
        &format!("Dir::State \"{}/apt/state\";", tools.display()),
        &format!("Dir::Log \"{}/apt/log\";", tools.display()),
        &format!("Dir::Cache \"{}/apt/cache\";", tools.display()),
        "Dir::Etc::parts \"/dev/null\";",
        "Acquire::http::Proxy \"http://proxy.example:3128\";",
    ] {
        assert!(configuration.lines().any(|found| found == line), "{line}: {configuration}");
    }
    // The tests find the program, which gives nobody any rights.
    let log = fs::read_to_string(checkout.path("target/tests.log")).unwrap();
    let found = tools.join("tests/bin/runsvdir");
    assert!(log.starts_with(&format!("{}\n", found.display())), "{log}");
    assert_eq!(fs::metadata(&found).unwrap().permissions().mode() & 0o7777, 0o755);
    // What is there is not downloaded again.
    fs::remove_file(checkout.host.path("/calls")).unwrap();
    checkout.run(&[]);
    assert!(!checkout.calls().iter().any(|call| call.contains("runit")), "{:?}", checkout.calls());
}

#[test]
fn each_binary_is_a_line_and_what_is_left_out_is_named_once_before_the_counts() {
    let checkout = Checkout::new(false, GOOD, 0);
    let answer = checkout.run(&[]);
    assert_eq!((answer.code, &answer.stderr[..]), (0, ""), "{answer:?}");
    let lines: Vec<&str> = answer.stdout.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "running the tests; all of them take about an hour the first time",
            "src/lib.rs                 2 passed, 0 failed,   0.1 s",
            "tests/publish.rs           1 passed, 0 failed,  35.1 s",
        ]
    );
    let (last, skipped) = lines[3..].split_last().unwrap();
    assert_eq!(*last, "3 passed, 0 failed");
    assert!(skipped.iter().all(|line| line.starts_with("skipped: ")), "{skipped:?}");
    for named in ["skipped: two: the kernel has no Landlock", "skipped: three: only root can give files away"] {
        assert_eq!(skipped.iter().filter(|line| **line == named).count(), 1, "{named}: {skipped:?}");
    }
    let no_apt = "this machine has no apt-get and dpkg-deb to download and unpack them";
    assert!(skipped.iter().any(|line| line.contains(" runit ") && line.ends_with(no_apt)), "{skipped:?}");
}

#[test]
fn binaries_run_beside_each_other_and_each_has_its_own_lines() {
    let checkout = Checkout::new(false, "", 0);
    let path = |name: &str| checkout.host.path(name).display().to_string();
    let meet = path("/meet");
    nix::unistd::mkfifo(Path::new(&meet), nix::sys::stat::Mode::S_IRWXU).unwrap();
    // The first two begin only when both have begun. One ends without its result.
    let result =
        |how: &str| format!("echo 'test result: {how}; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s'");
    let binaries = [
        ("here-1", format!(": >{meet}; {}", result("ok. 2 passed; 0 failed"))),
        ("there-1", format!(": <{meet}; {}; exit 101", result("FAILED. 1 passed; 1 failed"))),
        ("killed-1", "echo 'test one has been running for over 60 seconds'; exit 9".to_owned()),
        ("late-1", format!("{}; exit 7", result("ok. 3 passed; 0 failed"))),
    ];
    let runner = format!("/bin/sh {}", path("/src/tests/limited"));
    let mut cargo = String::new();
    for (name, text) in binaries {
        let arguments = "[ \"$1 $2 $#\" = '--exact one two 2' ] || exit 3";
        let file = format!("/src/target/debug/deps/{name}");
        script(&checkout.host, &file, &format!("{arguments}\n{text}"));
        let shown = name.trim_end_matches("-1");
        cargo += &format!("echo '     Running tests/{shown}.rs (target/debug/deps/{name})'\n");
        cargo += &format!("{runner} {} --exact 'one two'\n", path(&file));
    }
    // What cargo removes before it ends runs at once.
    script(&checkout.host, "/documentation", &result("ok. 4 passed; 0 failed"));
    cargo += &format!("echo '   Doc-tests qmail_updater'\n{runner} {}\n", path("/documentation"));
    checkout.stand_in("cargo", &cargo);

    let answer = checkout.run(&[]);
    assert_eq!((answer.code, &answer.stderr[..]), (1, ""), "{answer:?}");
    for line in [
        "tests/here.rs              2 passed, 0 failed,   1.0 s",
        "tests/there.rs             1 passed, 1 failed,   1.0 s",
        "tests/late.rs              3 passed, 0 failed,   1.0 s",
        "qmail_updater              4 passed, 0 failed,   1.0 s",
        "tests/killed.rs: ended before its last test; running for over 60 seconds: one",
        "tests/late.rs: exit status 7",
    ] {
        assert!(answer.stdout.lines().any(|found| found == line), "{line}: {}", answer.stdout);
    }
    assert!(answer.stdout.ends_with("\n10 passed, 3 failed\n"), "{}", answer.stdout);
}

#[test]
fn a_program_that_a_test_left_behind_does_not_hold_the_test_command() {
    let checkout = Checkout::new(false, GOOD, 0);
    let path = |name: &str| checkout.host.path(name).display().to_string();
    // It holds the output open until it is let go, or its directory is gone.
    let (says, is_over, ended) = (path("/says"), path("/is_over"), path("/ended"));
    let left_behind = format!("while [ -e {says} ] && [ ! -e {is_over} ]; do sleep 0.1; done; : >{ended}");
    checkout.stand_in("cargo", &format!("({left_behind}) &\ncat {says}"));
    symlink(program("sleep").unwrap(), path("/bin/sleep")).unwrap();
    let answer = checkout.run(&[]);
    assert!(!Path::new(&ended).exists(), "the command waited for a program that it does not need");
    fs::write(is_over, "").unwrap();
    assert!(answer.code == 0 && answer.stdout.ends_with("\n3 passed, 0 failed\n"), "{answer:?}");
}

#[test]
fn a_package_that_cannot_be_downloaded_is_named_with_the_cause() {
    let checkout = Checkout::new(true, GOOD, 0);
    checkout.stand_in("apt-get", "echo 'E: Failed to fetch http://mirror.example/x  404  Not Found' >&2; exit 100");
    let answer = checkout.run(&[]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let cause = ": unable to download the lists of packages: Failed to fetch http://mirror.example/x  404  Not Found";
    assert!(answer.stdout.lines().any(|line| line.contains(" runit ") && line.ends_with(cause)), "{answer:?}");

    let checkout = Checkout::new(true, GOOD, 0);
    checkout.stand_in(
        "dpkg-deb",
        "case $2 in *runit*) echo 'dpkg-deb: error: no space' >&2; exit 2 ;; esac; exec tar -c -T /dev/null",
    );
    let answer = checkout.run(&[]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.stdout.contains("\nskipped: the Debian package runit: dpkg-deb: error: no space\n"), "{answer:?}");
    assert!(answer.stdout.ends_with("\n3 passed, 0 failed\n"), "{answer:?}");
}

#[test]
fn failed_tests_and_the_log_are_named_and_the_counts_come_last() {
    // The report of an assertion may look like a list of failed tests.
    let failing = "     Running tests/guard.rs (target/debug/deps/guard-0123456789abcdef)

running 3 tests
test one ... ok
test two ... FAILED
test three ... FAILED

failures:

---- two stdout ----
    left: 1
failures:
   right: 2

---- three stdout ----

failures:
    two
    three

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s

error: test failed, to rerun pass `--test guard`
     Running tests/hooks.rs (target/debug/deps/hooks-0123456789abcdef)

running 2 tests
test four ... ok
error: test failed, to rerun pass `--test hooks`

Caused by:
  process didn't exit successfully: `target/debug/deps/hooks-0123456789abcdef` (signal: 6, SIGABRT: process abort signal)
   Doc-tests qmail_updater

running 1 test
test src/cdb.rs - cdb::image (line 3) ... FAILED

failures:

failures:
    src/cdb.rs - cdb::image (line 3)

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 2.00s
";
    let checkout = Checkout::new(false, failing, 101);
    let answer = checkout.run(&[]);
    assert_eq!((answer.code, &answer.stderr[..]), (1, ""), "{answer:?}");
    let log = fs::canonicalize(checkout.path("target/tests.log")).unwrap();
    let end = format!(
        "failed:
  tests/guard.rs: two
  tests/guard.rs: three
  tests/hooks.rs: ended before its last test
  qmail_updater: src/cdb.rs - cdb::image (line 3)
the log: {}
1 passed, 4 failed
",
        log.display()
    );
    assert!(answer.stdout.ends_with(&end), "{}", answer.stdout);
    assert!(answer.stdout.contains("\ntests/hooks.rs: ended before its last test\n"), "{}", answer.stdout);
    assert!(fs::read_to_string(log).unwrap().contains("signal: 6"));
}

#[test]
fn a_test_that_hangs_is_killed_and_named() {
    let hanging = "     Running tests/guard.rs (target/debug/deps/guard-0123456789abcdef)

running 3 tests
test one has been running for over 60 seconds
test two ... ok
test three has been running for over 60 seconds
test one ... ok
killed after 600 seconds
error: test failed, to rerun pass `--test guard`
     Running tests/hooks.rs (target/debug/deps/hooks-0123456789abcdef)

running 1 test
test four ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
";
    let checkout = Checkout::new(false, hanging, 101);
    let answer = checkout.run(&[]);
    let named = "tests/guard.rs: ended before its last test; running for over 60 seconds: three\n";
    assert!(answer.code == 1 && answer.stdout.contains(&format!("failed:\n  {named}")), "{answer:?}");
    // What cargo runs each binary by, with all that the binary started.
    let run = |limit: &str, script: &str| -> Answer {
        let mut command = Command::new("sh");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/limited")).args(["sh", "-c", script]);
        // The user of this test cannot become another one.
        command.env_remove("QMAIL_UPDATER_AS").env("QMAIL_UPDATER_LIMIT", limit).output().unwrap().into()
    };
    let answer = run("1", "sleep 100 & echo $!; wait");
    assert_eq!(answer.code, 124, "{answer:?}");
    let (sleeping, rest) = answer.stdout.split_once('\n').unwrap();
    assert_eq!(rest, "killed after 1 seconds\n");
    // Soon it is gone, or a zombie that nothing waits for.
    let state = || fs::read_to_string(format!("/proc/{sleeping}/stat")).unwrap_or_default();
    let start = std::time::Instant::now();
    while !state().is_empty() && !state().contains(") Z ") {
        assert!(start.elapsed() < support::service::PATIENCE, "{}", state());
        support::service::pause();
    }
    assert_eq!((run("100", "echo done; exit 3").code, run("100", "echo done").code), (3, 0));
}

#[test]
fn tests_that_do_not_compile_fail_with_the_words_of_the_compiler() {
    let checkout = Checkout::new(false, "error[E0432]: unresolved import `x`\n", 101);
    let answer = checkout.run(&[]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stdout.contains("\nerror[E0432]: unresolved import `x`\n"), "{answer:?}");
    assert!(answer.stdout.ends_with("/src/target/tests.log\n0 passed, 0 failed\n"), "{answer:?}");
}
