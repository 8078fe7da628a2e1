//! Publishing: whole files or the old ones, at any moment, with the right owner and mode, readable by independent
//! readers of the format.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{MailHost, NOT_DUMPABLE, has, is_root, me, output_of, skip};

const FILES: [&str; 2] = ["validrcptto.cdb", "auth.cdb"];

fn contents(host: &MailHost) -> [Vec<u8>; 2] {
    FILES.map(|name| fs::read(host.published(name)).unwrap())
}

/// Inode, and mode with the kind bits cut off.
fn look(host: &MailHost, name: &str) -> (u64, u32, (u32, u32)) {
    let meta = fs::metadata(host.published(name)).unwrap();
    (meta.ino(), meta.mode() & 0o7777, (meta.uid(), meta.gid()))
}

/// What lies in the folder of the published files.
fn litter(host: &MailHost) -> Vec<String> {
    let names = fs::read_dir(host.path("/var/qmail/control")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}

/// The sample host with a domain large enough that a rebuild takes some time.
fn large(mailboxes: usize) -> MailHost {
    let host = MailHost::sample();
    let lines: Vec<String> = (0..mailboxes).map(|n| format!("user{n}:$1$salt$hash{n}:1:0:N:/d:Q")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    host.mailboxes("/home/vpopmail/domains/example.com", &lines);
    host
}

#[test]
fn modes_are_right_under_any_umask_and_unchanged_files_stay() {
    let host = MailHost::sample();
    let binary = support::tested();
    let script = format!("umask 077; exec {binary} --root {} rebuild", host.root().display());
    assert!(Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status().unwrap().success());
    assert_eq!(look(&host, "validrcptto.cdb").1, 0o644);
    assert_eq!(look(&host, "auth.cdb").1, 0o640);
    assert_eq!(look(&host, "auth.cdb").2, me());
    assert_eq!(fs::metadata(host.path("/run/qmail-updater")).unwrap().mode() & 0o777, 0o750);

    let before = FILES.map(|name| look(&host, name));
    let answer = host.rebuild();
    assert!(answer.stderr.contains("validrcptto.cdb unchanged recipients="), "{}", answer.stderr);
    assert_eq!(before, FILES.map(|name| look(&host, name)));

    // One table changes, the other stays.
    host.write("/home/vpopmail/domains/example.com/.qmail-new", "&x@y.test\n");
    host.rebuild();
    assert_ne!(before[0].0, look(&host, "validrcptto.cdb").0);
    assert_eq!(before[1], look(&host, "auth.cdb"));
    assert_eq!(host.answers(&["new@example.com"]), ["accept"]);
}

#[test]
fn a_table_that_others_may_read_is_made_right_again() {
    let host = MailHost::sample();
    host.rebuild();
    host.mode("/var/qmail/control/auth.cdb", 0o644);
    let answer = host.rebuild();
    assert_eq!(look(&host, "auth.cdb").1, 0o640);
    let alert = "auth.cdb: everybody on this host could read the hashes in it";
    assert!(answer.stderr.contains(&format!("alert: {}", host.published(alert).display())), "{}", answer.stderr);
    assert!(!host.rebuild().stderr.contains(alert), "said once");
}

#[test]
fn the_same_sources_give_the_same_bytes_for_any_number_of_threads() {
    let host = large(300);
    host.rebuild();
    let first = contents(&host);
    for threads in ["1", "2", "3", "8"] {
        FILES.iter().for_each(|name| fs::remove_file(host.published(name)).unwrap());
        assert_eq!(host.run(&["rebuild", "--threads", threads]).code, 0);
        assert!(first == contents(&host), "{threads} threads");
    }
}

#[test]
fn auth_cdb_gets_its_owner_or_keeps_the_old_one() {
    if !is_root() {
        return skip("owners of auth.cdb", "only root can give files away");
    }
    let host = MailHost::sample();
    host.write("/etc/group", "root:x:0:\nnofiles:x:4242:\n");
    assert_eq!(host.run(&["rebuild", "--auth-owner", "vpopmail:nofiles"]).code, 0);
    assert_eq!(look(&host, "auth.cdb").2, (89, 4242), "names of the host below the root");
    let inode = look(&host, "auth.cdb").0;
    host.rebuild();
    assert_eq!(look(&host, "auth.cdb").2, (89, 4242), "those of the file it replaces");
    assert_eq!(look(&host, "auth.cdb").0, inode);
    assert_eq!(host.run(&["rebuild", "--auth-owner", "0:7"]).code, 0);
    assert_eq!(look(&host, "auth.cdb").2, (0, 7), "numbers");
    for owner in ["nobody-here:nofiles", "root:nobody-here", "root"] {
        let answer = host.run(&["rebuild", "--auth-owner", owner]);
        assert_eq!(answer.code, 100, "{}", answer.stderr);
        assert!(answer.stderr.contains(&format!("--auth-owner \"{owner}\"")), "{}", answer.stderr);
    }
}

#[test]
fn a_symbolic_link_is_published_at_its_target_when_nobody_else_can_lead_it_away() {
    let host = MailHost::sample();
    host.folder("/srv/tables");
    // An absolute link is taken below the root, and need not lead to a file yet.
    host.link("/var/qmail/control/validrcptto.cdb", "/srv/tables/validrcptto.cdb");
    host.link("/var/qmail/control/auth.cdb", "../../../srv/tables/auth.cdb");
    host.rebuild();
    for name in FILES {
        assert!(host.published(name).is_symlink(), "{name}");
        assert!(host.path("/srv/tables").join(name).metadata().unwrap().is_file(), "{name}");
    }
    if !is_root() {
        return skip("a link in somebody else's folder", "only root can give folders away");
    }
    host.own("/srv/tables", 4242, 4242);
    let answer = host.run(&["rebuild"]);
    assert_eq!(answer.code, 111, "{}", answer.stderr);
    assert!(answer.stderr.contains("/srv/tables belongs to uid 4242"), "{}", answer.stderr);
}

#[test]
fn two_tables_are_never_published_onto_one_file() {
    let host = MailHost::sample();
    host.rebuild();
    let before = contents(&host);
    let answer = host.run(&["rebuild", "--auth", "/var/qmail/control/validrcptto.cdb"]);
    assert_eq!(answer.code, 100, "{}", answer.stderr);
    fs::remove_file(host.published("auth.cdb")).unwrap();
    host.link("/var/qmail/control/auth.cdb", "validrcptto.cdb");
    let answer = host.run(&["rebuild"]);
    assert_eq!(answer.code, 100, "{}", answer.stderr);
    assert!(answer.stderr.contains("are the same file"), "{}", answer.stderr);
    assert!(before[0] == fs::read(host.published("validrcptto.cdb")).unwrap());
}

#[test]
fn no_table_is_published_over_a_file_that_qmail_or_vpopmail_reads() {
    let host = MailHost::sample();
    let vpopmail = ["etc/defaultdomain", "etc/lib_deps", "etc/vpopmail.mysql", "bin/vchkpw", "bin/vdelivermail"];
    let vpopmail = vpopmail.map(|name| format!("/home/vpopmail/{name}"));
    for file in ["/var/qmail/users/assign", "/home/vpopmail/include/config.h"]
        .into_iter()
        .chain(vpopmail.each_ref().map(String::as_str))
    {
        if !host.path(file).exists() {
            host.write(file, "");
        }
        let before = fs::read(host.path(file)).unwrap();
        let answer = host.run(&["rebuild", "--validrcptto", &format!("/var/qmail/control/../../..{file}")]);
        assert_eq!(answer.code, 100, "{file}: {}", answer.stderr);
        assert!(answer.stderr.contains("is read by qmail or vpopmail"), "{file}: {}", answer.stderr);
        assert!(before == fs::read(host.path(file)).unwrap(), "{file}");
    }
}

#[test]
fn what_somebody_else_put_into_an_open_folder_is_not_followed_or_replaced() {
    if !is_root() {
        return skip("a folder that everybody may write", "only root can give files away");
    }
    let host = MailHost::sample();
    host.folder("/tmp").mode("/tmp", 0o1777).write("/etc/victim", "precious");
    host.link("/tmp/v.cdb", "/etc/victim").own("/tmp/v.cdb", 4242, 4242);
    host.write("/tmp/a.cdb", "").own("/tmp/a.cdb", 4242, 4242);
    for arguments in [["rebuild", "--validrcptto", "/tmp/v.cdb"], ["rebuild", "--auth", "/tmp/a.cdb"]] {
        let answer = host.run(&arguments);
        assert_eq!(answer.code, 111, "{}", answer.stderr);
        assert!(answer.stderr.contains("uid 4242 put it into a directory that others may write"), "{}", answer.stderr);
    }
    assert_eq!(fs::read_to_string(host.path("/etc/victim")).unwrap(), "precious");
    host.link("/tmp/sub", "/etc").own("/tmp/sub", 4242, 4242);
    let answer = host.run(&["rebuild", "--validrcptto", "/tmp/sub/v.cdb"]);
    assert_eq!(answer.code, 111, "{}", answer.stderr);
    assert!(answer.stderr.contains("a link on the way there belongs to uid 4242"), "{}", answer.stderr);
}

#[test]
fn the_folder_of_locks_lies_below_the_root_whatever_links_lead_there() {
    let host = MailHost::sample();
    host.folder("/srv/state").link("/run", "/srv/state");
    host.rebuild();
    assert!(host.path("/srv/state/qmail-updater/lock").exists());
}

#[test]
fn a_table_that_cannot_be_written_leaves_both_as_they_are() {
    let host = MailHost::sample();
    host.rebuild();
    let before = contents(&host);
    host.write("/home/vpopmail/domains/example.com/.qmail-new", "&x@y.test\n");
    let script = format!("ulimit -f 0; exec {} --root {} rebuild", support::tested(), host.root().display());
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(111), "{said}");
    assert!(said.contains("fatal: unable to write") && said.contains("File too large"), "{said}");
    assert!(said.contains("the old files stay"), "{said}");
    assert!(before == contents(&host));
    assert_eq!(litter(&host), [""; 0]);
}

#[test]
fn killed_at_any_moment_the_files_are_whole_and_old_or_new() {
    // Points spread over the running time and a tenth beyond it; so many as QMAIL_UPDATER_KILLS says.
    let tries: u32 = std::env::var("QMAIL_UPDATER_KILLS").map_or(100, |kills| kills.parse().unwrap());
    let host = large(3_000);
    host.rebuild();
    let old = contents(&host);
    host.write("/home/vpopmail/domains/example.com/.qmail-new", "&x@y.test\n");
    host.write("/var/qmail/control/authvars", "* DATABYTES=\"1\"\n");
    let start = Instant::now();
    host.rebuild();
    let (new, takes) = (contents(&host), start.elapsed());
    assert!(old[0] != new[0] && old[1] != new[1]);
    let mut killed = 0;
    for number in 0..tries {
        FILES.iter().zip(&old).for_each(|(name, old)| fs::write(host.published(name), old).unwrap());
        let mut child = host.command(&["rebuild"]).stderr(Stdio::null()).spawn().unwrap();
        // The moment is the test.
        let (start, moment) = (Instant::now(), takes * number * 11 / (tries * 10));
        while start.elapsed() < moment {
            std::hint::spin_loop();
        }
        let _ = child.kill();
        killed += u32::from(child.wait().unwrap().signal().is_some());
        for ((name, old), new) in FILES.iter().zip(&old).zip(&new) {
            let now = fs::read(host.published(name)).unwrap();
            assert!(now == *old || now == *new, "{name} is neither old nor new after {moment:?}");
        }
        host.rebuild();
        assert!(new == contents(&host), "the rebuild after one killed after {moment:?}");
        assert_eq!(litter(&host), [""; 0], "killed after {moment:?}");
    }
    println!("{killed} of {tries} killed in time");
    assert!(killed >= tries / 4, "only {killed} of {tries} were killed in time");
}

#[test]
fn what_a_killed_rebuild_left_behind_goes_and_what_another_still_writes_stays() {
    let host = MailHost::sample();
    host.write("/var/qmail/control/.validrcptto.cdb.aBc123.tmp", "torn");
    host.write("/var/qmail/control/.auth.cdb.aBc123.tmp", "torn");
    host.write("/var/qmail/control/.auth.cdb.locked.tmp", "being written");
    host.write("/var/qmail/control/.auth.cdb.my-own.tmp", "not a temporary file of ours");
    let writer = fs::File::open(host.path("/var/qmail/control/.auth.cdb.locked.tmp")).unwrap();
    writer.lock().unwrap();
    host.rebuild();
    let mut left = litter(&host);
    left.sort();
    assert_eq!(left, [".auth.cdb.locked.tmp", ".auth.cdb.my-own.tmp"]);
}

#[test]
fn a_temporary_file_that_another_user_locked_goes() {
    if !is_root() || !has("flock") {
        return skip("a lock of another user on a temporary file", "it needs root and flock");
    }
    let host = MailHost::sample();
    let name = "/var/qmail/control/.validrcptto.cdb.aBc123.tmp";
    host.write(name, "torn").mode(name, 0o644);
    let mut command = Command::new("flock");
    command.args(["--shared", "--no-fork"]).arg(host.path(name)).args(["sh", "-c", "echo locked; exec sleep 1000"]);
    let mut holder = command.uid(4242).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "locked\n");
    host.rebuild();
    assert_eq!(litter(&host), [""; 0]);
    holder.kill().unwrap();
    holder.wait().unwrap();
}

#[test]
fn term_leaves_no_temporary_file_of_a_rebuild() {
    let host = large(3_000);
    // A shell starts what runs in the background with INT ignored, and that is inherited: proc_pid_status(5).
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    let signals = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGTERM, Signal::SIGINT];
    for signal in signals.into_iter().filter(|signal| ignored >> (*signal as i32 - 1) & 1 == 0) {
        // On a busy machine some end before the signal comes.
        let ended = (0..20).map(|_| ended_by(&host, signal)).find(|ended| !ended.success());
        assert_eq!(ended.and_then(|ended| ended.signal()), Some(signal as i32), "{ended:?}");
    }
    host.rebuild();
}

/// How a rebuild ended that got a signal while it wrote a temporary file, of which nothing is left.
fn ended_by(host: &MailHost, signal: Signal) -> ExitStatus {
    FILES.iter().for_each(|name| drop(fs::remove_file(host.published(name))));
    let mut child = host.command(&["rebuild"]).stderr(Stdio::null()).spawn().unwrap();
    while litter(host).is_empty() && child.try_wait().unwrap().is_none() {}
    let _ = kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal);
    let ended = child.wait().unwrap();
    assert_eq!(litter(host), [""; 0], "{signal}");
    ended
}

#[test]
fn two_rebuilds_at_once_go_one_after_the_other() {
    let host = large(2_000);
    // The folder of locks is missing, too: each may be the one that makes it.
    let spawn = || host.command(&["rebuild"]).stderr(Stdio::piped()).spawn().unwrap();
    let children = [spawn(), spawn(), spawn()];
    let outputs = children.map(|child| child.wait_with_output().unwrap());
    let said = outputs.map(|output| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        said
    });
    let published = said.iter().filter(|said| said.contains("validrcptto.cdb published")).count();
    assert_eq!(published, 1, "the others find it unchanged: {said:?}");
}

#[test]
fn a_rebuild_waits_for_the_lock() {
    if !is_root() {
        return skip("a rebuild waits for the lock", NOT_DUMPABLE);
    }
    let host = MailHost::sample();
    host.folder("/run/qmail-updater");
    let lock = fs::File::create(host.path("/run/qmail-updater/lock")).unwrap();
    lock.lock().unwrap();
    let mut child = host.command(&["rebuild"]).stderr(Stdio::null()).spawn().unwrap();
    // It holds the lock file open as soon as it waits for it.
    let files = format!("/proc/{}/fd", child.id());
    let path = host.path("/run/qmail-updater/lock");
    while !fs::read_dir(&files).unwrap().any(|fd| fs::read_link(fd.unwrap().path()).is_ok_and(|to| to == path)) {
        assert!(child.try_wait().unwrap().is_none(), "it did not wait");
        support::service::pause();
    }
    assert!(child.try_wait().unwrap().is_none() && !host.published("validrcptto.cdb").exists());
    drop(lock);
    assert!(child.wait().unwrap().success());
    assert!(host.published("validrcptto.cdb").exists());
}

#[test]
fn independent_readers_find_what_lookup_finds() {
    let programs = ["cdb", "cdbget", "cdbdump"];
    if let Some(missing) = programs.iter().find(|program| !has(program)) {
        return skip("independent readers of cdb", &format!("{missing} is not installed (tinycdb, freecdb)"));
    }
    let host = large(50);
    host.rebuild();
    for (name, what) in [("validrcptto.cdb", "recipients"), ("auth.cdb", "logins")] {
        let file = host.published(name);
        let sorted = |text: Vec<u8>| {
            let text = String::from_utf8(text).unwrap();
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        let listed = sorted(host.run(&["list", what, "--format", "cdbmake"]).stdout.into_bytes());
        assert_eq!(sorted(output_of("cdb", &["-d", file.to_str().unwrap()])), listed, "cdb -d {name}");
        let dumped = Command::new("cdbdump").stdin(fs::File::open(&file).unwrap()).output().unwrap();
        assert_eq!(sorted(dumped.stdout), listed, "cdbdump {name}");
    }
    let file = host.published("validrcptto.cdb");
    let addresses =
        ["user7@example.com", "list-default@example.edu", "@example.net", "spamtrap@example.net", "postmaster"];
    for address in addresses {
        let ours = host.run(&["lookup", address]);
        let tinycdb = output_of("cdb", &["-q", file.to_str().unwrap(), address]);
        let freecdb = Command::new("cdbget").arg(address).stdin(fs::File::open(&file).unwrap()).output().unwrap();
        assert!(freecdb.status.success(), "{address}");
        assert_eq!(tinycdb, freecdb.stdout, "{address}");
        let answer = if tinycdb.starts_with(b"-") { "refuse" } else { "accept" };
        assert!(ours.stdout.starts_with(&format!("{answer}\t{address}\t{address}\t")), "{ours:?}");
    }
    let nobody =
        Command::new("cdbget").arg("user50@example.com").stdin(fs::File::open(&file).unwrap()).output().unwrap();
    assert!(!nobody.status.success());
    assert_eq!(host.run(&["lookup", "user50@example.com"]).code, 1);
}

#[test]
fn a_dry_run_names_what_a_rebuild_does_to_its_files_beside_their_entries() {
    const OTHER: &str = "/var/qmail/control/morevalidrcptto.cdb";
    let host = MailHost::sample();
    let with_other = |arguments: &[&str]| host.run(&[&["--sagredo-recipients", OTHER], arguments].concat());
    let named = |answer: &support::Answer| -> Vec<String> {
        let lines = answer.stderr.lines().filter_map(|line| line.strip_prefix("qmail-updater: status: "));
        lines.filter(|line| line.contains("a rebuild ")).map(str::to_owned).collect()
    };
    assert_eq!(with_other(&["rebuild"]).code, 0);
    let dry_run = with_other(&["rebuild", "--dry-run", "--color", "always"]);
    assert_eq!((named(&dry_run), &dry_run.stdout[..]), (vec![], "nothing would change\n"), "{dry_run:?}");

    let [recipients, logins] = FILES.map(|name| host.published(name));
    fs::set_permissions(&recipients, fs::Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(&logins, fs::Permissions::from_mode(0o600)).unwrap();
    host.write("/home/vpopmail/domains/example.com/.qmail-new", "&ann@example.com\n");
    let owner = format!("{}:{}", me().0, me().1);
    let of_files = [
        format!("{}: mode 0666, owner {owner}; a rebuild makes it 0644", recipients.display()),
        format!("{}: mode 0600, owner {owner}; a rebuild makes it 0640, {owner}", logins.display()),
    ];
    let of_other = format!("{}: a rebuild recreates it from the new validrcptto.cdb", host.path(OTHER).display());
    let answer = with_other(&["rebuild", "--dry-run"]);
    assert_eq!(named(&answer), [&of_files[..], &[of_other]].concat(), "{answer:?}");
    host.remove("/home/vpopmail/domains/example.com/.qmail-new");
    let answer = with_other(&["rebuild", "--dry-run", "--color", "always"]);
    assert_eq!((named(&answer), &answer.stdout[..]), (of_files.to_vec(), "no entry would change\n"), "{answer:?}");
    if is_root() {
        // Of this host alone, whatever groups the machine has.
        host.write("/etc/group", "nofiles:x:7791:\n");
        let answer = host.run(&["--auth-owner", "root:nofiles", "rebuild", "--dry-run"]);
        let wanted = format!("{}: mode 0600, owner {owner}; a rebuild makes it 0640, 0:7791", logins.display());
        assert_eq!(named(&answer)[1], wanted, "{answer:?}");
    }
    assert_eq!(with_other(&["rebuild"]).code, 0);
    assert_eq!((look(&host, FILES[0]).1, look(&host, FILES[1]).1), (0o644, 0o640));
}
