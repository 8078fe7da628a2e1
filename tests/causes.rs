//! A message names no cause that was not seen: each cause is made to happen, and beside it another one that looks alike.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use support::service::Service;
use support::{Answer, MailHost, give, is_root, program, skip};

/// A Perl program that runs a command for which one system call, by its number, fails with this errno (seccomp(2)).
const WITHOUT: &str = r#"
    my ($call, $errno, @command) = @ARGV;
    my $filter = pack("SCCL" x 4, 0x20, 0, 0, 0, 0x15, 0, 1, $call, 0x06, 0, 0, 0x50000 | $errno, 0x06, 0, 0, 0x7fff0000);
    my $program = pack("Sx6P", 4, $filter);
    exit 99 if syscall(157, 38, 1, 0, 0, 0) != 0 || syscall(157, 22, 2, $program) != 0;
    exec @command;
"#;

/// Numbers of Landlock's calls, the same for every processor.
const CREATE_RULESET: u32 = 444;
const RESTRICT_SELF: u32 = 446;

/// A rebuild for which this call fails; `None` where that cannot be made so.
fn rebuild_without(host: &MailHost, call: u32, errno: nix::errno::Errno) -> Option<Answer> {
    let perl = program("perl").filter(|_| cfg!(all(target_arch = "x86_64", target_pointer_width = "64")))?;
    let rebuild = host.command(&["rebuild"]);
    let mut command = Command::new(perl);
    command.args(["-e", WITHOUT, &call.to_string(), &(errno as i32).to_string()]).arg(rebuild.get_program());
    let answer: Answer = command.args(rebuild.get_args()).env_clear().stdin(Stdio::null()).output().unwrap().into();
    (answer.code != 99).then_some(answer)
}

#[test]
fn landlock_is_missing_where_the_kernel_says_so_and_a_call_that_fails_is_told_with_its_cause() {
    let host = MailHost::sample();
    let missing = "warning: Landlock is not available; what reads the homes is not confined to them\n";
    if host.rebuild().stderr.contains("not confined") {
        return skip("confinement", "the kernel has no Landlock");
    }
    for errno in [nix::errno::Errno::ENOSYS, nix::errno::Errno::EOPNOTSUPP] {
        let Some(answer) = rebuild_without(&host, CREATE_RULESET, errno) else {
            return skip("a kernel without Landlock", "no perl, or no seccomp");
        };
        assert!(answer.code == 0 && answer.stderr.contains(missing), "{answer:?}");
    }
    let answer = rebuild_without(&host, RESTRICT_SELF, nix::errno::Errno::E2BIG).unwrap();
    assert!(answer.code == 0 && answer.stderr.contains("warning: Landlock: "), "{answer:?}");
    assert!(answer.stderr.contains("Argument list too long"), "{answer:?}");
    assert!(!answer.stderr.contains("not available"), "{answer:?}");
}

#[test]
fn a_published_table_that_cannot_be_read_is_told_with_the_cause_and_not_as_missing_or_damaged() {
    let host = MailHost::sample();
    host.rebuild();
    for name in ["validrcptto.cdb", "auth.cdb"] {
        let (table, aside) = (host.published(name), host.path("/aside"));
        fs::rename(&table, &aside).unwrap();
        fs::create_dir(&table).unwrap();
        let is_recipients = name == "validrcptto.cdb";
        let command = if is_recipients { ["lookup", "ann@example.com"] } else { ["user", "ann@example.com"] };
        for arguments in [&command[..], &["check"]] {
            let answer = host.run(arguments);
            let said = answer.stdout + &answer.stderr;
            assert!(said.contains("no regular file"), "{name}: {arguments:?}: {said}");
            for guess in ["421", "nobody can log in", "corrupt", "not published", "run as root"] {
                let of_table = said.lines().filter(|line| line.contains(name));
                assert!(!of_table.clone().any(|line| line.contains(guess)), "{name}: {arguments:?}: {said}");
            }
        }
        fs::remove_dir(&table).unwrap();
        // A missing one is told so.
        let answer = host.run(&["check"]);
        let follows =
            if is_recipients { "a qmail-smtpd that asks it answers 421 to every client" } else { "nobody can log in" };
        assert!(answer.stdout.contains(&format!("{name}: not there; {follows}")), "{}", answer.stdout);
        assert!(!answer.stdout.contains("no regular file"), "{}", answer.stdout);
        fs::rename(&aside, &table).unwrap();
    }
}

#[test]
fn a_damaged_table_is_told_with_what_was_found_in_it() {
    let host = MailHost::sample();
    host.rebuild();
    let table = host.published("validrcptto.cdb");
    let whole = fs::read(&table).unwrap();
    let mut altered = whole.clone();
    altered[0] ^= 1;
    let elsewhere = "corrupt: its tables are not where its pointers say";
    for (image, says) in [
        (&whole[..whole.len() - 8], elsewhere),
        // It has its whole length: nothing was cut off.
        (&altered, elsewhere),
        (&whole[..100], "corrupt: shorter than a cdb's 2048 bytes of pointers"),
    ] {
        fs::write(&table, image).unwrap();
        for arguments in [&["check"][..], &["list", "recipients"], &["lookup", "ann@example.com"]] {
            let answer = host.run(arguments);
            let said = answer.stdout + &answer.stderr;
            assert!(!said.contains("truncated"), "{arguments:?}: {said}");
            assert!(arguments != ["check"] || said.contains(says), "{arguments:?}: {said}");
        }
    }
}

#[test]
fn a_table_that_only_root_can_read_is_told_so_and_one_with_another_mode_or_group_is_not() {
    if !is_root() {
        return skip("a table of root's", "only root can make one");
    }
    let host = MailHost::sample();
    host.rebuild();
    let table = host.published("auth.cdb");
    let told = || host.run(&["check"]).stdout.contains("auth.cdb: only root can read it");
    for (mode, gid, is_told) in
        [(0o640, 0, true), (0o600, 0, true), (0o644, 0, false), (0o640, 4242, false), (0o600, 4242, true)]
    {
        host.mode("/var/qmail/control/auth.cdb", mode);
        give(&table, 0, gid);
        assert_eq!(told(), is_told, "mode {mode:o}, group {gid}");
    }
}

#[test]
fn that_everybody_could_read_the_hashes_is_told_of_a_mode_that_let_them_only() {
    let host = MailHost::sample();
    host.rebuild();
    for (mode, is_told) in [(0o644, true), (0o604, true), (0o660, false), (0o600, false), (0o650, false)] {
        host.mode("/var/qmail/control/auth.cdb", mode);
        let said = host.rebuild().stderr;
        assert_eq!(said.contains("everybody on this host could read the hashes in it"), is_told, "{mode:o}: {said}");
    }
}

#[test]
fn an_owner_of_the_login_table_is_unknown_only_where_the_files_that_say_so_could_be_read() {
    let host = MailHost::sample();
    host.write("/etc/group", "nofiles:x:4242:\n");
    let said = |owner: &str| {
        let answer = host.run(&["rebuild", "--auth-owner", owner]);
        (answer.code, answer.stderr)
    };
    let (code, message) = said("stranger:nofiles");
    assert!(code == 100 && message.ends_with("--auth-owner \"stranger:nofiles\": no such user\n"), "{message}");
    let (code, message) = said("vpopmail:strangers");
    assert!(code == 100 && message.ends_with("--auth-owner \"vpopmail:strangers\": no such group\n"), "{message}");
    for (file, what) in [("/etc/group", "group"), ("/etc/passwd", "user")] {
        host.remove(file);
        for cause in ["no regular file", "entity not found"] {
            if cause == "no regular file" {
                host.folder(file);
            } else {
                fs::remove_dir(host.path(file)).unwrap();
            }
            let (code, message) = said("vpopmail:nofiles");
            let path = host.path(file).display().to_string();
            let words =
                format!("fatal: unable to read {path}: {cause}; --auth-owner \"vpopmail:nofiles\" is looked up");
            assert!(code == 111 && message.to_lowercase().contains(&words.to_lowercase()), "{code} {message}");
            assert!(!message.contains(&format!("no such {what}")), "{message}");
        }
    }
    // Numbers need no file.
    host.write("/etc/passwd", "vpopmail:x:89:89::/home/vpopmail:/bin/sh\n");
    let (uid, gid) = support::me();
    assert_eq!(said(&format!("{uid}:{gid}")).0, 0);
}

/// What a service says of its watches, started by this shell command, whose `"$@"` is the service.
fn said_of_watches(shell: &str) -> Vec<String> {
    let host = MailHost::sample();
    let mut service = Service::spawn(host, Command::new("true"));
    let run = service.host.command(&["run"]);
    let mut command = Command::new("sh");
    command.args(["-c", shell, "sh"]).arg(run.get_program()).args(run.get_args());
    service.child = command.stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(service.child.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    for line in lines.map_while(Result::ok) {
        let is_last = line.contains("rebuild 1 done") || line.contains("rebuild 1 failed") || line.contains("fatal");
        said.push(line);
        if is_last {
            break;
        }
    }
    said
}

#[test]
fn the_limit_of_watches_is_named_where_it_was_met_and_not_where_the_process_has_too_many_files() {
    let limit = "max_user_instances";
    let has_limit = "echo 0 >/proc/sys/user/max_inotify_instances && exec \"$@\"";
    let unshared = format!("exec unshare --user --map-root-user sh -c '{has_limit}' sh \"$@\"");
    let said = said_of_watches(&unshared);
    if said.iter().any(|line| line.contains("listening on")) {
        let watches = said.iter().find(|line| line.contains("unable to watch files: ")).unwrap();
        assert!(watches.contains(limit), "{said:?}");
    } else {
        skip("a limit of watches", "no user namespaces here");
    }
    let mut met = 0;
    for files in 6..30 {
        let said = said_of_watches(&format!("ulimit -n {files}; exec \"$@\""));
        assert!(!said.iter().any(|line| line.contains(limit)), "{files} files: {said:?}");
        met += said.iter().filter(|line| line.contains("unable to watch")).count();
    }
    assert!(met > 0, "no number of files lets the service start without watches");
}
