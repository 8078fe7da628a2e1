//! The service, with real pipes and the real binary: every kind of trigger, early notices, storms, a pipe that vanishes.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use support::attacked::{Attacked, HIS_DOMAIN};
use support::service::{COM, PATIENCE, Service, pause, status_of, trigger};
use support::{Answer, MailHost, give, has, is_root, program, script, skip};

fn shell(command: &str) {
    assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
}

#[test]
fn every_kind_of_trigger_brings_a_rebuild_that_sees_the_change() {
    let service = Service::sample();
    let fifo = service.fifo().display().to_string();
    let meta = fs::symlink_metadata(&fifo).unwrap();
    assert!(meta.file_type().is_fifo() && meta.mode() & 0o7777 == 0o622);
    let mut kinds = vec![
        format!("echo hello >{fifo}"),
        format!("printf 'no line' >{fifo}"),
        format!("touch {fifo}"),
        format!("head -c 70000 /dev/zero >{fifo}"),
        format!("printf 'add_user\\tnew@example.com\\t-\\t\\n' >{fifo}"),
    ];
    if has("busybox") {
        kinds.push(format!("busybox touch {fifo}"));
    } else {
        skip("busybox touch", "busybox is not installed");
    }
    // The same while somebody keeps the pipe open for writing.
    let mut holder = None;
    for held in [false, true] {
        if held {
            holder = Some(fs::OpenOptions::new().write(true).open(&fifo).unwrap());
        }
        for (number, kind) in kinds.iter().enumerate() {
            let name = format!("alias{number}-{held}");
            service.add_alias(&name);
            shell(kind);
            service.wait_for_answer(&format!("{name}@example.com"), "accept");
        }
    }
    drop(holder);
}

#[test]
fn an_added_mailbox_is_accepted_a_moment_after_its_notice_and_the_log_says_why() {
    let service = Service::sample();
    service.host.mailboxes(COM, &["new:$1$a$b:1:0:N:/d:Q"]);
    service.trigger(&["add_user", "new@example.com", "-", ""]);
    service.wait_for_answer("new@example.com", "accept");
    let line = service.wait_for(" cause=add_user:new@example.com ");
    assert!(line.starts_with("qmail-updater: status: rebuild 2 done: validrcptto.cdb published recipients="), "{line}");
    assert!(line.contains(" auth.cdb published logins=") && line.contains(" (+"), "{line}");
}

#[test]
fn a_deletion_announced_before_it_happens_is_seen() {
    let service = Service::sample();
    service.trigger(&["del_user", "dora@example.net", "-", ""]);
    // The rebuild that comes at once still finds the mailbox.
    service.wait_for("cause=del_user:dora@example.net");
    service.host.write(
        "/home/vpopmail/domains/example.net/.qmail-default",
        "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n",
    );
    let gone = "postmaster:$1$a$b:1:0:N:/d:Q";
    service.host.mailboxes("/home/vpopmail/domains/example.net", &[gone]);
    assert!(service.wait_for_answer("dora@example.net", "refuse") < Duration::from_secs(10));
}

#[test]
fn a_storm_of_triggers_is_coalesced_and_none_is_lost() {
    let service = Service::sample();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let host = &service.host;
            scope.spawn(move || {
                for number in 0..250 {
                    trigger(host, &["mod_user", &format!("user{writer}x{number}@example.com"), "-", ""]);
                }
            });
        }
    });
    let storm = start.elapsed();
    service.add_alias("after-the-storm");
    service.trigger(&["insert_alias", "after-the-storm@example.com", "&x@y.test", ""]);
    service.wait_for_answer("after-the-storm@example.com", "accept");
    let rebuilds =
        std::iter::from_fn(|| service.log.try_recv().ok()).filter(|line| line.contains("status: rebuild ")).count();
    // Five at once, then five in a second; and the first one, the last one, and one that a watch asks for.
    let most = 5 + 3 + usize::try_from((storm + Duration::from_secs(1)).as_millis() / 200).unwrap();
    assert!(rebuilds <= most, "{rebuilds} rebuilds in {storm:?}");
}

#[test]
fn a_pipe_that_vanishes_or_is_replaced_is_made_again_and_that_is_a_trigger() {
    let service = Service::sample();
    let fifo = service.fifo();
    let remade = |name: &str, says: &str, damage: &dyn Fn()| {
        service.add_alias(name);
        let start = Instant::now();
        damage();
        service.wait_for(says);
        assert!(start.elapsed() < Duration::from_secs(10), "{name}: {:?}", start.elapsed());
        service.wait_for_answer(&format!("{name}@example.com"), "accept");
        let meta = fs::symlink_metadata(&fifo).unwrap();
        assert!(meta.file_type().is_fifo() && meta.mode() & 0o7777 == 0o622, "{name}");
    };
    let aside = service.host.path("/tmp/squatter");
    let squat = || fs::rename(&aside, &fifo).unwrap();
    remade("vanished", "had vanished; recreated", &|| fs::remove_file(&fifo).unwrap());
    remade("file", "a file of uid", &|| {
        fs::write(&aside, "squatted").unwrap();
        squat();
    });
    let victim = service.host.path("/etc/passwd");
    let before = fs::read(&victim).unwrap();
    remade("link", "a symbolic link of uid", &|| {
        std::os::unix::fs::symlink(&victim, &aside).unwrap();
        squat();
    });
    assert!(before == fs::read(&victim).unwrap());
    remade("fifo", "was replaced by another one; taken", &|| {
        // Of our own uid: it is taken as it is, its mode mended.
        nix::unistd::mkfifo(&aside, nix::sys::stat::Mode::S_IRUSR).unwrap();
        squat();
    });
    remade("folder", "a directory of uid", &|| {
        // A folder replaces nothing: the pipe has to go first, and may be back at once.
        while fs::create_dir(&fifo).is_err() {
            let _ = fs::remove_file(&fifo);
        }
    });
    let aside = fs::read_dir(fifo.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(
        aside.into_iter().any(|name| name.to_str().unwrap().starts_with("update-qmail.aside.")),
        "a folder is kept"
    );
}

#[test]
fn a_pipe_of_our_own_with_another_mode_is_mended_and_anything_else_outside_a_sticky_folder_is_fatal() {
    let host = MailHost::sample();
    host.folder("/run/pipes");
    let fifo = host.path("/run/pipes/p");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
    let mut service = Service::start(host, &["--no-watch", "--fifo", "/run/pipes/p"]);
    assert_eq!(fs::metadata(&fifo).unwrap().mode() & 0o7777, 0o622);
    assert_eq!(service.end(), 0);
    assert!(!fifo.exists(), "it goes with the service");
    fs::write(&fifo, "something else").unwrap();
    let answer = service.host.run(&["run", "--fifo", "/run/pipes/p"]);
    assert_eq!(answer.code, 111, "{}", answer.stderr);
    assert!(answer.stderr.contains("/run/pipes/p: something else is there"), "{}", answer.stderr);
    assert_eq!(fs::read_to_string(&fifo).unwrap(), "something else");
}

#[test]
fn a_service_starts_where_its_pipe_cannot_be_made_yet_and_makes_it_later() {
    let host = MailHost::sample();
    let command = host.command(&["run", "--no-watch", "--fifo", "/run/pipes/p"]);
    let service = Service::spawn(host, command);
    let alert = service.wait_for("alert: unable to make the pipe ");
    let told = "/run/pipes/p: No such file or directory; nobody can trigger a rebuild until it can be made";
    assert!(alert.ends_with(told), "{alert}");
    assert!(alert.contains("/run/pipes, which is missing: "), "{alert}");
    service.wait_for("rebuild 1 done");
    let status = || service.host.run(&["--fifo", "/run/pipes/p", "status"]);
    let told = "/run/pipes/p: No such file or directory; nobody can trigger; the service makes it again\n";
    assert!(status().stdout.starts_with("service: alive\n") && status().stdout.contains(told), "{:?}", status());
    assert_eq!(status().code, 1);
    service.host.folder("/run/pipes");
    service.wait_for("/run/pipes/p: can be made now; the service listens on it");
    assert!(!status().stdout.contains("pipe: "), "{:?}", status());
    assert_eq!(fs::metadata(service.host.path("/run/pipes/p")).unwrap().mode() & 0o7777, 0o622);
    service.add_alias("later");
    fs::write(service.host.path("/run/pipes/p"), "any\n").unwrap();
    service.wait_for_answer("later@example.com", "accept");
}

#[test]
fn one_service_reads_a_pipe_and_term_ends_it_cleanly() {
    let mut service = Service::sample();
    let answer = service.host.run(&["run"]);
    assert_eq!(answer.code, 111, "{}", answer.stderr);
    assert!(answer.stderr.contains("another service reads this pipe"), "{}", answer.stderr);
    assert_eq!(service.end(), 0);
    assert!(!service.fifo().exists());
    // Nobody listens, and the poke neither waits nor fails.
    let answer = service.host.run(&["trigger", "-v", "add_user", "x@example.com"]);
    assert_eq!(answer.code, 0);
    assert!(answer.stderr.contains("no pipe to write to"), "{}", answer.stderr);
    assert!(!service.fifo().exists());
}

#[test]
fn hup_rebuilds_now_and_a_rebuild_that_failed_is_tried_again() {
    let service = Service::sample();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(service.child.id()).unwrap());
    service.add_alias("after-hup");
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).unwrap();
    service.wait_for_answer("after-hup@example.com", "accept");
    let assign = fs::read_to_string(service.host.path("/var/qmail/users/assign")).unwrap();
    service.host.write("/var/qmail/users/assign", "not a line\n");
    service.trigger(&[]);
    let line = service.wait_for("fewer than seven colons; qmail-newu refuses the file; nothing is published");
    assert!(line.contains("alert: rebuild ") && line.contains("next try in "), "{line}");
    service.add_alias("after-failure");
    service.host.write("/var/qmail/users/assign", assign);
    // Nobody triggers: the service tries again by itself.
    service.wait_for_answer("after-failure@example.com", "accept");
}

#[test]
fn changes_that_nobody_announced_are_seen_and_our_own_reading_and_writing_are_not() {
    let service = Service::start(MailHost::sample(), &[]);
    let host = &service.host;
    let net = "/home/vpopmail/domains/example.net";
    let bounce = "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n";
    let within = |took: Duration, what: &str| assert!(took < Duration::from_secs(10), "{what}: {took:?}");
    // Rewritten in place.
    host.write(&format!("{net}/.qmail-default"), bounce);
    within(service.wait_for_answer("anybody@example.net", "refuse"), ".qmail-default");
    // Renamed into place.
    host.mailboxes("/tmp", &["new:$1$a$b:1:0:N:/d:Q"]);
    fs::rename(host.path("/tmp/vpasswd.cdb"), host.path(&format!("{net}/vpasswd.cdb"))).unwrap();
    within(service.wait_for_answer("new@example.net", "accept"), "vpasswd.cdb");
    // Control files, and a folder that was not there.
    host.write("/var/qmail/control/validrcptto.d/backup.example", "only\n");
    within(service.wait_for_answer("x@backup.example", "refuse"), "validrcptto.d");
    let assign = fs::read_to_string(host.path("/var/qmail/users/assign")).unwrap();
    host.write("/var/qmail/users/assign", format!("=dave:dave:1001:1001:/home/dave:-:x:\n{assign}"));
    within(service.wait_for_answer("dave@mail.example.org", "accept"), "users/assign: its home is missing, deferred");
    // The home comes: first it is empty, then it has the file.
    host.folder("/home/dave");
    within(service.wait_for_answer("dave@mail.example.org", "refuse"), "a home that was missing");
    host.write("/home/dave/.qmail-x", "./Maildir/\n");
    within(service.wait_for_answer("dave@mail.example.org", "accept"), "a new home is watched");
    // A domain that goes keeps its entries, with an alert.
    fs::rename(host.path(net), host.path("/away")).unwrap();
    service.wait_for("alert: ");
    // Whatever it read and wrote itself: one trigger, one rebuild.
    let number = |line: &str| -> u32 { line.split(' ').nth(3).unwrap().parse().unwrap() };
    trigger(host, &["setdefault", "one"]);
    let first = number(&service.wait_for("cause=setdefault:one"));
    trigger(host, &["setdefault", "two"]);
    let second = number(&service.wait_for("cause=setdefault:two"));
    assert_eq!(second, first + 1);
}

#[test]
fn status_says_what_the_service_did_and_whether_the_tables_are_current() {
    let mut service = Service::sample();
    service.trigger(&["add_user", "new@example.com"]);
    service.wait_for("cause=add_user:new@example.com");
    let start = Instant::now();
    let status = |arguments: &[&str]| service.host.run(&[&["status"], arguments].concat());
    // The file follows the line in the log.
    while !status(&[]).stdout.contains("cause add_user:new@example.com") {
        assert!(start.elapsed() < PATIENCE, "{}", status(&[]).stdout);
        support::service::pause();
    }
    let answer = status(&[]);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    for line in ["service: alive", "last rebuild: number 2, ", "next sweep: in ", "tables: as the host says"] {
        assert!(answer.stdout.contains(line), "{line:?} is missing: {}", answer.stdout);
    }
    let json: serde_json::Value = serde_json::from_str(&status(&["--json"]).stdout).unwrap();
    assert_eq!((&json["last_rebuild"]["number"], &json["last_error"]), (&2.into(), &serde_json::Value::Null));
    let file = fs::metadata(service.host.path("/run/qmail-updater/status.json")).unwrap();
    assert_eq!(file.mode() & 0o7777, 0o640);
    service.add_alias("unseen");
    let answer = status(&[]);
    assert_eq!(answer.code, 1, "{}", answer.stdout);
    assert!(answer.stdout.contains("tables: not what the host says: "), "{}", answer.stdout);
    service.host.remove(&format!("{COM}/.qmail-unseen"));
    assert_eq!(service.end(), 0);
    let answer = service.host.run(&["status"]);
    assert_eq!(answer.code, 1, "{}", answer.stdout);
    assert!(
        answer.stdout.contains("service: not running") && answer.stdout.contains("as the host says"),
        "{}",
        answer.stdout
    );
}

#[test]
fn ten_thousand_watched_domains_cause_no_second_rebuild() {
    const DOMAINS: usize = 10_000;
    let host = MailHost::sample();
    let folder = |number: usize| format!("/home/vpopmail/domains/{}/d{number}.test", number / 100);
    let line = |number: usize| format!("+d{number}.test-:d{number}.test:89:89:{}:-::\n", folder(number));
    host.write("/var/qmail/users/assign", (0..DOMAINS).map(line).collect::<String>() + ".\n");
    let lines = |text: &dyn Fn(usize) -> String| (0..DOMAINS).map(text).collect::<String>();
    host.write("/var/qmail/control/virtualdomains", lines(&|number| format!("d{number}.test:d{number}.test\n")));
    host.write("/var/qmail/control/rcpthosts", lines(&|number| format!("d{number}.test\n")));
    let image = qmail_updater::cdb::image([(&b"joe"[..], &b"$1$a$b:1:0:N:/d:Q"[..])]).unwrap();
    for number in 0..DOMAINS {
        host.write(
            &format!("{}/.qmail-default", folder(number)),
            "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n",
        );
        host.write(&format!("{}/vpasswd.cdb", folder(number)), &image);
    }
    let service = Service::start(host, &[]);
    // Announced, it is the second rebuild: nothing else asked for one meanwhile.
    service.trigger(&["setdefault", "x"]);
    let line = service.wait_for("status: rebuild ");
    assert!(line.contains("status: rebuild 2 done: ") && line.contains("cause=setdefault:x"), "{line}");
    // And the watches are healthy.
    service.host.write(&format!("{}/.qmail-new", folder(DOMAINS - 1)), "&x@y.test\n");
    service.wait_for_answer(&format!("new@d{}.test", DOMAINS - 1), "accept");
}

#[test]
fn a_trigger_in_the_middle_of_a_rebuild_is_one_more_rebuild() {
    let service = Service::sample();
    let host = &service.host;
    nix::unistd::mkfifo(&host.path("/tmp/gate"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    // What follows the rebuild waits at the gate, and says so.
    let gate = host.path("/tmp/gate").display().to_string();
    script(host, "/var/qmail/bin/qmail-newu", &format!("echo waiting; read line <{gate}; rm -f \"$0\""));
    service.trigger(&["setdefault", "first"]);
    service.wait_for("qmail-newu: waiting");
    service.add_alias("meanwhile");
    service.trigger(&["insert_alias", "meanwhile@example.com"]);
    shell(&format!("echo go >{gate}"));
    service.wait_for("cause=insert_alias:meanwhile@example.com");
    assert_eq!(host.answers(&["meanwhile@example.com"]), ["accept"]);
}

#[test]
fn bytes_that_are_no_line_do_not_swallow_the_next_notice_and_a_flood_costs_little() {
    let service = Service::sample();
    let fifo = service.fifo().display().to_string();
    shell(&format!("printf garbage >{fifo}"));
    service.wait_for("cause=trigger");
    service.trigger(&["setdefault", "after-garbage"]);
    service.wait_for("cause=setdefault:after-garbage");
    shell(&format!("yes '' | head -c 60000000 >{fifo}"));
    service.trigger(&["setdefault", "after-the-flood"]);
    service.wait_for("after-the-flood");
    let peak = memory(&service, "VmHWM");
    assert!(peak < 64 * 1024, "{peak} KiB");
}

#[test]
fn a_command_that_failed_is_run_again_and_told_the_same() {
    let host = MailHost::sample();
    script(&host, "/etc/push", "echo \"$QMAIL_UPDATER_CHANGED\" >>told; test $(wc -l <told) -ge 3");
    let service = Service::start(host, &["--no-watch", "--after", "/etc/push"]);
    // It is run again for itself: no rebuild has to come before.
    for _ in 0..2 {
        service.wait_for("1 command failed after rebuild 1;");
    }
    let told = service.host.path("/var/qmail/told");
    let start = Instant::now();
    while fs::read_to_string(&told).unwrap_or_default().lines().count() < 3 {
        assert!(start.elapsed() < PATIENCE);
        support::service::pause();
    }
    let told = fs::read_to_string(&told).unwrap();
    let first = told.lines().next().unwrap();
    assert!(
        first.contains("validrcptto.cdb:") && first.ends_with("auth.cdb") && told.lines().all(|line| line == first),
        "{told}"
    );
}

#[test]
fn term_ends_a_hanging_command_too() {
    let host = MailHost::sample();
    script(&host, "/etc/hang", "echo $$ >hanging; exec sleep 1000");
    let mut service = Service::start(host, &["--no-watch", "--after", "/etc/hang"]);
    let hanging = service.host.path("/var/qmail/hanging");
    let start = Instant::now();
    while !fs::read_to_string(&hanging).is_ok_and(|pid| pid.ends_with('\n')) {
        assert!(start.elapsed() < PATIENCE);
        support::service::pause();
    }
    let pid = fs::read_to_string(&hanging).unwrap();
    let start = Instant::now();
    assert_eq!(service.end(), 0);
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    let state = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "it still runs: {state}");
}

#[test]
fn a_login_goes_when_its_time_has_come() {
    let host = MailHost::sample();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    host.write("/var/qmail/control/authvars", format!("ann@example.com PASSWORD_EXPIRES=\"{}\"\n", now + 3));
    let service = Service::start(host, &["--no-watch"]);
    assert!(service.host.logins().contains_key("ann@example.com"));
    service.wait_for("cause=expiry");
    assert!(!service.host.logins().contains_key("ann@example.com"));
    assert!(service.host.logins().contains_key("bob@example.com"));
}

#[test]
fn a_sweep_finds_what_nobody_announced() {
    let service = Service::start(MailHost::sample(), &["--no-watch", "--sweep", "1"]);
    service.add_alias("quiet");
    service.wait_for_answer("quiet@example.com", "accept");
    service.wait_for("cause=sweep");
}

#[test]
fn the_poke_writes_into_nothing_but_a_fifo_and_never_waits() {
    let host = MailHost::sample();
    host.write("/tmp/update-qmail", "a file");
    let poke = |host: &MailHost| {
        let start = Instant::now();
        let answer = host.run(&["trigger", "-v", "add_user", "-x@example.com", "-", ""]);
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        (answer, start.elapsed())
    };
    assert!(poke(&host).0.stderr.contains("no pipe to write to"));
    assert_eq!(fs::read_to_string(host.path("/tmp/update-qmail")).unwrap(), "a file");
    host.remove("/tmp/update-qmail").link("/tmp/update-qmail", "../etc/passwd");
    let before = fs::read(host.path("/etc/passwd")).unwrap();
    poke(&host);
    assert!(before == fs::read(host.path("/etc/passwd")).unwrap());
    host.remove("/tmp/update-qmail");
    let fifo = host.path("/tmp/update-qmail");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(poke(&host).0.stderr.contains("nobody reads it"));
    // A service that is stopped reads nothing: the pipe fills up.
    let mut reader = fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::custom_flags(reader.read(true), nix::fcntl::OFlag::O_NONBLOCK.bits());
    let reader = reader.open(&fifo).unwrap();
    let mut writer = fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::custom_flags(writer.write(true), nix::fcntl::OFlag::O_NONBLOCK.bits());
    let mut writer = writer.open(&fifo).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    let (answer, took) = poke(&host);
    assert!(answer.stderr.contains("full of triggers already"), "{}", answer.stderr);
    assert!(took < Duration::from_secs(5), "{took:?}");
    drop(reader);
}

#[test]
fn a_trigger_is_written_only_to_a_pipe_that_the_service_can_have_made() {
    const TEST: &str = "a_trigger_is_written_only_to_a_pipe_that_the_service_can_have_made";
    if !is_root() {
        return skip(TEST, "only root can give a pipe away");
    }
    let host = MailHost::sample();
    host.folder("/tmp").folder("/run/qmail-updater");
    let fifo = host.path("/tmp/update-qmail");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    let mut options = fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::custom_flags(options.read(true), nix::fcntl::OFlag::O_NONBLOCK.bits());
    let mut reader = options.open(&fifo).unwrap();
    const STRANGER: u32 = 4_000_001;
    const SERVICE: u32 = 4_000_002;
    // The pipe's owner, the owner of the directory of the state, and whether the line arrives.
    for (owner, state, arrives) in
        [(0, 0, true), (STRANGER, 0, false), (STRANGER, SERVICE, false), (SERVICE, SERVICE, true)]
    {
        host.own("/tmp/update-qmail", owner, owner).own("/run/qmail-updater", state, state);
        let answer = host.run(&["trigger", "-v", "add_user", "ann@example.com"]);
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        let mut line = [0; 4096];
        let heard = std::io::Read::read(&mut reader, &mut line).unwrap_or(0);
        assert_eq!(heard > 0, arrives, "{owner} {state}: {}", answer.stderr);
        assert_eq!(answer.stderr.contains(&format!("a pipe of uid {STRANGER}")), !arrives, "{}", answer.stderr);
    }
}

#[test]
fn the_onchange_script_is_safe_in_every_shell_whatever_it_is_told() {
    let host = MailHost::sample();
    host.folder("/tmp").folder("/bin");
    // As it is shipped, but for where it looks for programs.
    let shipped = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/onchange")).unwrap();
    let path = |text: &str, before: &str| -> String {
        let its = text.lines().find(|line| line.starts_with("PATH=")).expect("the script sets its PATH");
        text.replace(its, &format!("PATH={before}/usr/bin:/bin"))
    };
    let with_program = format!("{}:", host.path("/bin").display());
    for (name, before) in [("/with", &with_program[..]), ("/without", "")] {
        host.write(name, path(&shipped, before));
    }
    let fifo = host.path("/tmp/update-qmail");
    // A program of that name that says how it was called, one argument a line.
    script(&host, "/bin/qmail-updater", "printf '[%s]' \"$@\" >>\"$TOLD\"");
    let told = host.path("/tmp/told");
    let hostile = ["del_user", "a b\t\"'$(touch /tmp/owned);`id`\n-x@x.test", "--root=/", ""];
    let shells = [("dash", vec![]), ("bash", vec![]), ("busybox", vec!["sh"])];
    for (shell, first) in shells {
        let Some(found) = program(shell) else {
            skip("onchange", &format!("{shell} is not installed"));
            continue;
        };
        // The caller's own directory of programs, where the same name would be run by whatever user vpopmail runs as.
        let evil = host.path("/evil");
        script(&host, "/evil/qmail-updater", "echo owned >>\"$TOLD\"");
        let run = |script: &str| -> Answer {
            let mut command = Command::new(&found);
            let path = format!("{}:/usr/bin:/bin", evil.display());
            command.args(&first).arg(host.path(script)).args(hostile).env_clear().env("PATH", path);
            command.env("TOLD", &told).env("QMAIL_UPDATER_FIFO", &fifo).output().unwrap().into()
        };
        let _ = fs::remove_file(&told);
        let answer = run("/with");
        assert_eq!((answer.code, &answer.stdout[..], &answer.stderr[..]), (0, "", ""), "{shell}");
        let expected: String =
            ["trigger", "--"].iter().chain(&hostile).map(|argument| format!("[{argument}]")).collect();
        assert_eq!(fs::read_to_string(&told).unwrap(), expected, "{shell}");
        // Not installed, and no pipe; then a pipe that nobody reads.
        assert_eq!(run("/without").code, 0, "{shell}");
        assert!(!fifo.exists(), "{shell}: it makes nothing");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let start = Instant::now();
        assert_eq!(run("/without").code, 0, "{shell}");
        assert_eq!(fs::read_to_string(&told).unwrap(), expected, "{shell}: nothing else is run");
        assert!(start.elapsed() < Duration::from_secs(5), "{shell}: it waited");
        fs::remove_file(&fifo).unwrap();
    }
}

#[test]
fn a_log_that_nobody_reads_stops_neither_the_rebuilds_nor_the_end() {
    let host = MailHost::sample();
    host.folder("/tmp").mode("/tmp", 0o1777);
    let (reader, mut writer) = std::io::pipe().unwrap();
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty())).unwrap();
    let child = host.command(&["run", "--no-watch"]).stderr(writer).spawn().unwrap();
    let mut service = Service { host, child, log: channel().1 };
    service.wait_for_answer("ann@example.com", "accept");
    service.add_alias("unlogged");
    service.trigger(&[]);
    service.wait_for_answer("unlogged@example.com", "accept");
    let start = Instant::now();
    assert_eq!(service.end(), 0);
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    drop(reader);
}

#[test]
fn a_lock_that_somebody_removed_is_taken_again_and_of_two_services_one_ends() {
    let mut service = Service::sample();
    let state = service.host.path("/run/qmail-updater");
    let idle = || {
        service.wait_until_idle();
    };
    idle();
    fs::remove_dir_all(&state).unwrap();
    service.wait_for("run/qmail-updater: was removed; recreated");
    let answer = service.host.run(&["run"]);
    assert!(answer.code == 111 && answer.stderr.contains("another service reads this pipe"), "{}", answer.stderr);
    // Removed, and taken by another before the first one looked.
    service.add_alias("taken");
    idle();
    fs::remove_dir_all(&state).unwrap();
    let other = service.host.command(&["run", "--no-watch"]).stderr(Stdio::null()).spawn().unwrap();
    service.wait_for("fatal: ");
    assert_eq!(service.child.wait().unwrap().code(), Some(111));
    service.child = other;
    service.wait_for_answer("taken@example.com", "accept");
    assert!(service.fifo().exists(), "the pipe is the other's now");
    assert_eq!(service.end(), 0);
}

#[test]
fn status_tells_of_a_running_rebuild_and_a_garbled_file_is_not_printed() {
    let service = Service::sample();
    let host = &service.host;
    // A rebuild by hand that takes its time: the service's has to wait for it.
    let lock = fs::OpenOptions::new().write(true).open(host.path("/run/qmail-updater/lock")).unwrap();
    lock.lock().unwrap();
    service.trigger(&["setdefault", "x"]);
    service.wait_for("heard setdefault:x");
    let start = Instant::now();
    let wait_for_status = |what: &dyn Fn(&serde_json::Value) -> bool| {
        while !what(&status_of(host)) {
            assert!(start.elapsed() < PATIENCE, "{}", status_of(host));
            support::service::pause();
        }
    };
    wait_for_status(&|status| status["state"] == "rebuilding");
    service.trigger(&["setdefault", "meanwhile"]);
    wait_for_status(&|status| status["pending_triggers"] == true);
    let text = host.run(&["status"]).stdout;
    assert!(text.contains("a rebuild has been running for ") && text.contains("triggers wait"), "{text}");
    drop(lock);
    service.wait_for("cause=setdefault:meanwhile");
    wait_for_status(&|status| status["state"] == "idle" && status["pending_triggers"] == false);
    host.write("/run/qmail-updater/status.json", "\x1b[2J{");
    for (arguments, code) in [(&["status"][..], 0), (&["status", "--json"], 100)] {
        let answer = host.run(arguments);
        assert!(answer.code == code && !answer.stdout.contains('\x1b'), "{answer:?}");
        assert!(answer.stderr.contains("status.json: not what the service writes"), "{}", answer.stderr);
    }
}

#[test]
fn what_a_command_was_not_told_survives_the_service() {
    let host = MailHost::sample();
    script(&host, "/etc/push", "echo \"$QMAIL_UPDATER_CHANGED\" >>told; test -e well");
    let arguments = ["--no-watch", "--after", "/etc/push"];
    let mut service = Service::start(host, &arguments);
    service.wait_for("1 command failed after rebuild 1;");
    assert_eq!(service.end(), 0);
    let told = || fs::read_to_string(service.host.path("/var/qmail/told")).unwrap();
    let both = told().lines().next().unwrap().to_owned();
    assert_eq!(both.matches("cdb").count(), 2, "{both}");
    let owed: Vec<String> = serde_json::from_value(status_of(&service.host)["owed"].clone()).unwrap();
    assert_eq!(owed.join(":"), both);
    service.host.write("/var/qmail/well", "").remove("/var/qmail/told");
    // The tables do not change any more; it is told all the same, once.
    let again = |host: &MailHost, kill: bool| {
        let arguments: Vec<&str> = ["run"].into_iter().chain(arguments).collect();
        let mut child = host.command(&arguments).stderr(Stdio::null()).spawn().unwrap();
        let start = Instant::now();
        while status_of(host)["state"] != "idle" || status_of(host)["pid"] != child.id() {
            assert!(start.elapsed() < PATIENCE, "{}", status_of(host));
            support::service::pause();
        }
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        let signal = if kill { nix::sys::signal::Signal::SIGKILL } else { nix::sys::signal::Signal::SIGTERM };
        nix::sys::signal::kill(pid, signal).unwrap();
        child.wait().unwrap();
    };
    again(&service.host, false);
    assert_eq!(told(), format!("{both}\n"));
    again(&service.host, true);
    assert_eq!(told(), format!("{both}\n"), "what was done is not done again");
    // Killed in the middle of a rebuild, or the file gone with a boot: nobody knows, so all is told.
    let file = service.host.path("/run/qmail-updater/status.json");
    let text = fs::read_to_string(&file).unwrap().replace("\"idle\"", "\"rebuilding\"");
    fs::write(&file, text).unwrap();
    again(&service.host, false);
    fs::remove_file(&file).unwrap();
    again(&service.host, false);
    assert_eq!(told(), format!("{both}\n{both}\n{both}\n"));
}

#[test]
fn too_few_watches_are_told_and_cost_only_time() {
    // In a user namespace of its own the limits are our own too.
    let limited = |limit: &str, value: u32| {
        let host = MailHost::sample();
        host.folder("/tmp").mode("/tmp", 0o1777);
        let mut command = Command::new("unshare");
        let run = host.command(&["run", "--sweep", "1"]);
        command.args(["--user", "--map-root-user", "sh", "-c"]);
        command.arg(format!("echo {value} >/proc/sys/user/{limit} && exec \"$0\" \"$@\""));
        command.arg(run.get_program()).args(run.get_args());
        command.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Service::spawn(host, command)
    };
    if !Command::new("unshare")
        .args(["--user", "--map-root-user", "true"])
        .status()
        .is_ok_and(|status| status.success())
    {
        return skip("too few watches", "user namespaces are not allowed");
    }
    let service = limited("max_inotify_instances", 0);
    service.wait_for("warning: unable to watch files: sysctl fs.inotify.max_user_instances is too small");
    service.wait_for("update-qmail: unable to watch it: sysctl fs.inotify.max_user_instances is too small");
    service.add_alias("swept");
    service.wait_for_answer("swept@example.com", "accept");
    service.add_alias("poked");
    shell(&format!("touch {}", service.fifo().display()));
    service.wait_for_answer("poked@example.com", "accept");
    drop(service);
    let service = limited("max_inotify_watches", 3);
    service.wait_for("warning: the system allows too few watches (sysctl fs.inotify.max_user_watches)");
    service.add_alias("swept");
    service.wait_for_answer("swept@example.com", "accept");
}

/// A notice of a deletion that is written before it happens, in some way that hides it, is followed up all the same.
fn a_hidden_deletion_is_followed_up(announce: &dyn Fn(&Service)) {
    let service = Service::sample();
    let net = "/home/vpopmail/domains/example.net";
    service.host.write(&format!("{net}/.qmail-default"), "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n");
    service.trigger(&["setdefault", "example.net"]);
    service.wait_for("cause=setdefault:example.net");
    announce(&service);
    service.wait_for("cause=del_user:dora@example.net");
    service.host.mailboxes(net, &["postmaster:$1$a$b:1:0:N:/d:Q"]);
    let took = service.wait_for_answer("dora@example.net", "refuse");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_deletion_among_many_notices_is_followed_up() {
    a_hidden_deletion_is_followed_up(&|service| {
        let flood = "mod_user\tx@example.com\n".repeat(300) + "del_user\tdora@example.net\n";
        fs::OpenOptions::new().write(true).open(service.fifo()).unwrap().write_all(flood.as_bytes()).unwrap();
    });
}

#[test]
fn a_deletion_after_bytes_without_an_end_is_followed_up() {
    let fifo = std::cell::RefCell::new(None);
    a_hidden_deletion_is_followed_up(&|service| {
        // It keeps the pipe open, so that the end of what it wrote is never seen.
        let mut half = fs::OpenOptions::new().write(true).open(service.fifo()).unwrap();
        half.write_all(b"x").unwrap();
        service.wait_for("cause=trigger");
        *fifo.borrow_mut() = Some(half);
        service.trigger(&["del_user", "dora@example.net"]);
    });
}

#[test]
fn no_rebuild_waits_for_a_slow_command() {
    let host = MailHost::sample();
    host.folder("/tmp");
    nix::unistd::mkfifo(&host.path("/tmp/gate"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let gate = host.path("/tmp/gate").display().to_string();
    script(&host, "/etc/slow", &format!("echo told; read line <{gate}"));
    let service = Service::start(host, &["--no-watch", "--after", "/etc/slow"]);
    service.wait_for("slow: told");
    service.add_alias("meanwhile");
    service.trigger(&[]);
    service.wait_for_answer("meanwhile@example.com", "accept");
    // It is told of that change too, when it comes to its end.
    shell(&format!("echo go >{gate}"));
    service.wait_for("slow: told");
    // Nothing is left behind.
    shell(&format!("echo go >{gate}"));
}

#[test]
fn a_notice_cannot_pass_for_another_line_of_the_log() {
    let service = Service::sample();
    service.trigger(&["add_user", "x status: rebuild 99 done: ms=1"]);
    let line = service.wait_for("heard add_user:");
    assert!(!line.contains("status: rebuild "), "{line}");
    let line = service.wait_for("status: rebuild 2 done: ");
    assert_eq!((line.matches("status: rebuild ").count(), line.matches(" ms=").count()), (1, 1), "{line}");
}

#[test]
fn a_log_that_is_read_loses_no_line_however_much_there_is_to_say() {
    let host = MailHost::sample();
    let folder = |number: usize| format!("/home/vpopmail/domains/d{number}.test");
    let lines = |text: &dyn Fn(usize) -> String| (0..3_000).map(text).collect::<String>();
    host.write(
        "/var/qmail/users/assign",
        lines(&|number| format!("+d{number}.test-:d{number}.test:89:89:{}:-::\n", folder(number))) + ".\n",
    );
    host.write("/var/qmail/control/virtualdomains", lines(&|number| format!("d{number}.test:d{number}.test\n")));
    host.write("/var/qmail/control/rcpthosts", lines(&|number| format!("d{number}.test\n")));
    // Not one of the homes is there: each is an alert.
    let service = Service::start(host, &["--no-watch"]);
    for number in 2..5 {
        service.trigger(&["setdefault", "x"]);
        service.wait_for(&format!("status: rebuild {number} done: "));
    }
    let rest: Vec<String> = std::iter::from_fn(|| service.log.try_recv().ok()).collect();
    assert!(!rest.iter().any(|line| line.contains("lost")), "{rest:#?}");
}

#[test]
fn a_host_that_cannot_be_read_is_watched_for_being_mended_and_status_says_what_is_known() {
    let host = MailHost::sample();
    let assign = fs::read_to_string(host.path("/var/qmail/users/assign")).unwrap();
    host.write("/var/qmail/users/assign", "not a line\n").folder("/tmp").mode("/tmp", 0o1777);
    let command = host.command(&["run"]);
    let service = Service::spawn(host, command);
    // Until the next try is far away.
    for _ in 0..4 {
        service.wait_for("qmail-newu refuses the file; nothing is published");
    }
    let status = service.host.run(&["status"]);
    assert_eq!(status.code, 1, "{status:?}");
    for words in ["service: alive", "last error: rebuild ", "tables: they cannot be compared with the host: "] {
        assert!(status.stdout.contains(words), "{words:?} is missing: {}", status.stdout);
    }
    service.host.write("/var/qmail/users/assign", assign);
    assert!(service.wait_for_answer("ann@example.com", "accept") < Duration::from_secs(4));
}

#[test]
fn a_control_directory_that_is_exchanged_for_one_that_cannot_be_used_is_watched_for_being_fixed() {
    let service = Service::start(MailHost::sample(), &[]);
    let host = &service.host;
    let control = host.path("/var/qmail/control");
    shell(&format!("cp -Rp {0} {0}.new && rm {0}.new/me {0}.new/locals", control.display()));
    shell(&format!("cd {} && mkdir locals", host.path("/var/qmail/control.new").display()));
    let locals = fs::read(control.join("locals")).unwrap();
    let me = fs::read(control.join("me")).unwrap();
    fs::rename(&control, host.path("/var/qmail/control.old")).unwrap();
    fs::rename(host.path("/var/qmail/control.new"), &control).unwrap();
    // Until the next try is far away.
    for _ in 0..4 {
        service.wait_for("control/locals");
    }
    fs::remove_dir(control.join("locals")).unwrap();
    fs::write(control.join("me"), me).unwrap();
    fs::write(control.join("locals"), locals).unwrap();
    service.add_alias("fixed");
    assert!(service.wait_for_answer("fixed@example.com", "accept") < Duration::from_secs(4));
}

#[test]
fn a_folder_above_the_homes_that_is_renamed_and_a_file_that_is_cut_off_are_seen() {
    let service = Service::start(MailHost::sample(), &[]);
    let host = &service.host;
    let domains = host.path("/home/vpopmail/domains");
    shell(&format!("cp -Rp {0} {0}.new && rm {0}.new/example.com/.qmail-list-default", domains.display()));
    assert_eq!(host.answers(&["list-x@example.com"]), ["accept"]);
    fs::rename(&domains, host.path("/home/vpopmail/domains.old")).unwrap();
    fs::rename(host.path("/home/vpopmail/domains.new"), &domains).unwrap();
    assert!(service.wait_for_answer("list-x@example.com", "refuse") < Duration::from_secs(10));
    // And what is there now is watched.
    service.add_alias("renamed");
    assert!(service.wait_for_answer("renamed@example.com", "accept") < Duration::from_secs(10));
    host.write(&format!("{COM}/.qmail-cut"), "|exit 100\n");
    host.write(&format!("{COM}/.qmail-cut-default"), "|exit 100\n");
    service.wait_for_answer("cut@example.com", "refuse");
    nix::unistd::truncate(&host.path(&format!("{COM}/.qmail-cut")), 0).unwrap();
    assert!(service.wait_for_answer("cut@example.com", "accept") < Duration::from_secs(10));
}

#[test]
fn whenever_term_comes_no_pipe_is_left() {
    let host = MailHost::sample();
    host.folder("/tmp").mode("/tmp", 0o1777);
    let fifo = host.path("/tmp/update-qmail");
    for _ in 0..50 {
        let mut child = host.command(&["run", "--no-watch"]).stderr(Stdio::null()).spawn().unwrap();
        let start = Instant::now();
        while !fifo.exists() {
            assert!(start.elapsed() < PATIENCE);
            support::service::pause();
        }
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(!fifo.exists());
    }
}

#[test]
fn an_idle_service_costs_next_to_nothing() {
    const IDLE: Duration = Duration::from_secs(20);
    let service = Service::start(MailHost::sample(), &[]);
    let pid = service.child.id();
    // Nanoseconds on a processor, and how often it waited for something, by thread: proc(5).
    let cost = || -> BTreeMap<PathBuf, (u64, u64)> {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|task| task.unwrap().path());
        let of = |task: &PathBuf| {
            let time = fs::read_to_string(task.join("schedstat")).ok()?.split(' ').next()?.parse().ok()?;
            let status = fs::read_to_string(task.join("status")).ok()?;
            let waits = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            Some((time, waits.trim().parse().ok()?))
        };
        tasks.filter_map(|task| Some((task.clone(), of(&task)?))).collect()
    };
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().trim_end_matches(" kB");
        value.parse::<u64>().unwrap()
    };
    service.wait_until_idle();
    // Only root may read how much another one's service writes, because its memory is not to be read either.
    let written = || if support::is_root() { field("io", "wchar:") } else { 0 };
    let (before, wrote) = (cost(), written());
    // Nothing can be awaited: that nothing happens is what is tested.
    std::thread::sleep(IDLE);
    let (mut spent, mut waits) = (0, 0);
    for (task, (time, waited)) in cost() {
        let before = before.get(&task).unwrap_or(&(0, 0));
        (spent, waits) = (spent + time - before.0, waits + waited - before.1);
    }
    let spent = Duration::from_nanos(spent);
    // Beside the program itself, whose pages are read from its file, and which a build without optimization makes large.
    let memory = field("status", "RssAnon:");
    println!(
        "idle for {IDLE:?}: {spent:?}, {waits} waits, {memory} KiB of its own, {} in all",
        field("status", "VmHWM:")
    );
    // Three threads look every four seconds. What a thread that wakes costs differs from machine to machine: 0.1 to 1 ms.
    assert!(waits <= 30, "{waits} waits in {IDLE:?}");
    assert!(spent < Duration::from_millis(40), "{spent:?} in {IDLE:?}");
    assert_eq!(written(), wrote);
    assert!(memory < 6 * 1024, "{memory} KiB");
}

#[test]
fn what_cannot_be_read_is_named_by_status_and_no_success() {
    let host = MailHost::sample();
    // More than anybody wants to read at once.
    let lost: Vec<String> = (0..6).map(|number| format!("lost{number}.test")).collect();
    let lines = |line: &dyn Fn(&String) -> String| lost.iter().map(line).collect::<String>();
    let add = |name: &str, lines: String| {
        let text = fs::read_to_string(host.path(name)).unwrap();
        host.write(name, lines + &text);
    };
    add("/var/qmail/control/rcpthosts", lines(&|name| format!("{name}\n")));
    add("/var/qmail/control/virtualdomains", lines(&|name| format!("{name}:{name}\n")));
    add("/var/qmail/users/assign", lines(&|name| format!("+{name}-:{name}:89:89:/gone/{name}:-::\n")));
    let service = Service::start(host, &["--no-watch"]);
    let net = service.host.path("/home/vpopmail/domains/example.net");
    fs::rename(&net, service.host.path("/away")).unwrap();
    service.trigger(&[]);
    service.wait_for("recipients are kept as published");
    let start = Instant::now();
    while status_of(&service.host)["kept"] != 7 {
        assert!(start.elapsed() < PATIENCE, "{:#}", status_of(&service.host));
        support::service::pause();
    }
    let status = status_of(&service.host);
    assert_eq!(status["kept_in_words"].as_array().unwrap().len(), 5, "{status:#}");
    let answer = service.host.run(&["status"]);
    assert_eq!(answer.code, 1, "{}", answer.stdout);
    let said: Vec<&str> = answer.stdout.lines().skip_while(|line| !line.contains(" cannot be used; ")).collect();
    assert!(said[0].starts_with("7 sources ("), "{}", answer.stdout);
    assert!(said[1].contains("/gone/lost0.test: ") && said[1].contains(" are kept as published"), "{}", answer.stdout);
    assert!(said[6].contains("and 2 more; qmail-updater check names all"), "{}", answer.stdout);
    assert!(service.host.run(&["check"]).stdout.contains("/domains/example.net: "));
    assert_eq!(said[7..], ["tables: as the host says, where it can be read"]);

    // Mended, it is well again, whether or not the service has seen it.
    fs::rename(service.host.path("/away"), &net).unwrap();
    for name in &lost {
        service.host.write(&format!("/gone/{name}/.qmail-default"), "&x@y.test\n");
    }
    service.trigger(&[]);
    let start = Instant::now();
    while service.host.run(&["status"]).code != 0 {
        assert!(start.elapsed() < PATIENCE, "{}", service.host.run(&["status"]).stdout);
        support::service::pause();
    }
    assert_eq!(status_of(&service.host)["kept"], 0);
}

#[test]
fn a_published_table_that_somebody_removes_or_cuts_off_is_made_again_at_once_and_for_the_same_group() {
    let host = MailHost::sample();
    assert_eq!(host.rebuild().code, 0);
    if is_root() {
        give(&host.published("auth.cdb"), 0, 2108);
    }
    let service = Service::start(host, &[]);
    let host = &service.host;
    let (validrcptto, auth) = (host.published("validrcptto.cdb"), host.published("auth.cdb"));
    let owner = |path: &PathBuf| fs::metadata(path).map(|meta| (meta.uid(), meta.gid())).ok();
    let (before, owner_before) = (fs::read(&auth).unwrap(), owner(&auth));
    let start = Instant::now();
    let within = |what: &str| assert!(start.elapsed() < PATIENCE, "{what}");
    fs::remove_file(&auth).unwrap();
    while owner(&auth) != owner_before {
        within("removed");
    }
    assert_eq!(fs::read(&auth).unwrap(), before);
    let before = fs::read(&validrcptto).unwrap();
    nix::unistd::truncate(&validrcptto, 100).unwrap();
    while fs::read(&validrcptto).unwrap() != before {
        within("cut off");
    }
}

#[test]
fn a_rebuild_that_failed_is_no_success_for_status_though_the_tables_are_right() {
    let host = MailHost::sample();
    assert_eq!(host.rebuild().code, 0);
    host.folder("/var/elsewhere");
    let command = host.command(&["--qmail", "/var/elsewhere", "run", "--no-watch"]);
    let service = Service::spawn(host, command);
    service.wait_for("rebuild 1 failed: ");
    let start = Instant::now();
    while status_of(&service.host)["last_error"].is_null() {
        assert!(start.elapsed() < PATIENCE);
        support::service::pause();
    }
    let answer = service.host.run(&["status"]);
    for words in ["service: alive", "last error: rebuild ", "tables: as the host says"] {
        assert!(answer.stdout.contains(words), "{words:?} is missing: {}", answer.stdout);
    }
    assert_eq!(answer.code, 1);
    // A monitor that runs nothing but `check` is told, too.
    let found = service.host.run(&["check", "-q"]);
    assert!(found.stdout.contains("alert: the last rebuild of the service failed: "), "{found:?}");
    assert!(found.stdout.contains("\trebuild-failed\n"), "{found:?}");
    let for_nagios = service.host.run(&["check", "--nagios"]);
    assert!(for_nagios.stdout.starts_with("CRITICAL - "), "{for_nagios:?}");
    assert_eq!((found.code, for_nagios.code), (1, 2));
}

#[test]
fn a_missing_rcpthosts_which_makes_an_open_relay_is_an_alert_at_once() {
    let service = Service::sample();
    service.host.remove("/var/qmail/control/rcpthosts");
    service.trigger(&[]);
    let line = service.wait_for("control/rcpthosts: no such file: qmail-smtpd lets every domain through");
    assert!(line.contains(": alert: "), "{line}");
    assert_eq!(service.host.run(&["check", "--nagios"]).code, 2);
}

#[test]
fn what_can_be_read_again_is_said_and_what_then_cannot_is_news() {
    let service = Service::sample();
    let net = service.host.path("/home/vpopmail/domains/example.net");
    for _ in 0..2 {
        fs::rename(&net, service.host.path("/away")).unwrap();
        service.trigger(&[]);
        service.wait_for("recipients are kept as published");
        fs::rename(service.host.path("/away"), &net).unwrap();
        service.trigger(&[]);
        service.wait_for("status: ");
        service.wait_for("/home/vpopmail/domains/example.net: can be read again");
    }
}

#[test]
fn who_may_not_read_the_state_is_not_told_that_all_is_lost() {
    if is_root() {
        return skip("who_may_not_read_the_state_is_not_told_that_all_is_lost", "nothing is hidden from root");
    }
    let service = Service::sample();
    service.wait_until_idle();
    service.host.mode("/run/qmail-updater/status.json", 0o000);
    let answer = service.host.run(&["status"]);
    assert_eq!((answer.code, &answer.stdout[..]), (111, ""));
    assert!(
        answer.stderr.contains("only a user who may read it can see whether the service runs"),
        "{}",
        answer.stderr
    );
}

#[test]
fn a_mistyped_setting_is_told_at_the_start() {
    let host = MailHost::sample();
    let mut command = host.command(&["run", "--no-watch"]);
    command.env("QMAIL_UPDATER_CATCHAL_DELETE", "accept");
    let service = Service::spawn(host, command);
    service.wait_for("warning: QMAIL_UPDATER_CATCHAL_DELETE: no setting has that name; it does nothing");
}

#[test]
fn what_a_command_does_to_a_table_brings_no_rebuild_without_end() {
    let host = MailHost::sample();
    let auth = host.published("auth.cdb");
    script(
        &host,
        "/bin/ours",
        &format!("echo told >>'{0}'; chmod 440 '{1}'", host.path("/told").display(), auth.display()),
    );
    let service = Service::start(host, &["--after", "/bin/ours"]);
    let told = || fs::read_to_string(service.host.path("/told")).unwrap_or_default().lines().count();
    let start = Instant::now();
    while told() < 1 || status_of(&service.host)["state"] != "idle" {
        assert!(start.elapsed() < PATIENCE);
        support::service::pause();
    }
    // Nothing can be awaited: that nothing happens is what is tested.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(told(), 1, "once for the rebuild at the start");
    // The mode is wrong: the next rebuild fixes it, and tells of that.
    service.trigger(&[]);
    while told() < 2 {
        assert!(start.elapsed() < PATIENCE);
        support::service::pause();
    }
}

#[test]
fn what_left_the_host_is_not_called_readable_and_a_link_is_watched_where_it_leads() {
    let host = MailHost::sample();
    host.folder("/real").link("/var/qmail/control/validrcptto.cdb", "/real/table.cdb");
    let service = Service::start(host, &[]);
    let host = &service.host;
    let table = host.path("/real/table.cdb");
    fs::remove_file(&table).unwrap();
    let start = Instant::now();
    while !table.exists() {
        assert!(start.elapsed() < PATIENCE);
        support::service::pause();
    }
    fs::rename(host.path("/home/vpopmail/domains/example.net"), host.path("/away")).unwrap();
    service.wait_for("recipients are kept as published");
    for name in ["/var/qmail/users/assign", "/var/qmail/control/virtualdomains"] {
        let text = fs::read_to_string(host.path(name)).unwrap();
        host.write(
            name,
            text.lines()
                .filter(|line| !line.contains("example.net"))
                .map(|line| format!("{line}\n"))
                .collect::<String>(),
        );
    }
    service.trigger(&["setdefault", "end"]);
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line: &String| !line.contains("cause=setdefault:end")) {
        lines.push(service.log.recv_timeout(PATIENCE).unwrap());
    }
    assert!(!lines.concat().contains("can be read again"), "{lines:#?}");
}

#[test]
fn an_absolute_link_below_the_root_is_watched_where_it_leads_there() {
    let host = MailHost::sample();
    host.folder("/srv");
    fs::rename(host.path(COM), host.path("/srv/example.com")).unwrap();
    host.link(COM, "/srv/example.com");
    let service = Service::start(host, &[]);
    assert_eq!(service.host.answers(&["ann@example.com", "new@example.com"]), ["accept", "refuse"]);
    service.host.write("/srv/example.com/.qmail-new", "&x@y.test\n");
    service.wait_for_answer("new@example.com", "accept");
}

#[test]
fn a_control_file_that_is_a_link_is_watched_where_it_leads() {
    let host = MailHost::sample();
    let lists = |host: &MailHost, name: &str| {
        host.write("/srv/lists/rcpthosts.new", format!("example.com\n{name}\n")).path("/srv/lists")
    };
    let directory = lists(&host, "example.net");
    fs::rename(directory.join("rcpthosts.new"), directory.join("rcpthosts")).unwrap();
    host.remove("/var/qmail/control/rcpthosts").link("/var/qmail/control/rcpthosts", "../../../srv/lists/rcpthosts");
    let service = Service::start(host, &[]);
    let host = &service.host;
    assert_eq!(host.answers(&["x@backup.example"]), ["refuse"]);
    let directory = lists(host, "backup.example");
    fs::rename(directory.join("rcpthosts.new"), directory.join("rcpthosts")).unwrap();
    service.wait_for_answer("x@backup.example", "accept");
}

#[test]
fn each_link_on_the_way_to_a_file_that_decides_is_watched() {
    let host = MailHost::sample();
    let rcpthosts = fs::read_to_string(host.path("/var/qmail/control/rcpthosts")).unwrap();
    // A link to a link, whose second one leads through a directory that is a link itself, as a release that is switched.
    host.write("/srv/one/rcpthosts", &rcpthosts).write("/srv/two/rcpthosts", format!("{rcpthosts}other.example\n"));
    host.link("/srv/current", "one").link("/srv/rcpthosts", "/srv/current/rcpthosts");
    host.remove("/var/qmail/control/rcpthosts").link("/var/qmail/control/rcpthosts", "/srv/rcpthosts");
    // A list of names, and one that is not there yet.
    host.write("/srv/list", "erik\n");
    host.remove("/var/qmail/control/validrcptto.d/relay.example");
    host.link("/var/qmail/control/validrcptto.d/relay.example", "../../../../srv/list");
    host.link("/var/qmail/control/validrcptto.d/backup.example", "/srv/later");
    let service = Service::start(host, &[]);
    let host = &service.host;
    let asked = ["x@other.example", "new@relay.example", "any@backup.example"];
    assert_eq!(host.answers(&asked), ["refuse", "refuse", "accept"]);
    host.write("/srv/later", "one\n");
    service.wait_for_answer("any@backup.example", "refuse");
    host.write("/srv/list.new", "erik\nnew\n");
    fs::rename(host.path("/srv/list.new"), host.path("/srv/list")).unwrap();
    service.wait_for_answer("new@relay.example", "accept");
    host.link("/srv/next", "two");
    fs::rename(host.path("/srv/next"), host.path("/srv/current")).unwrap();
    service.wait_for_answer("x@other.example", "accept");
}

#[test]
fn the_file_of_fastforward_is_watched() {
    let host = MailHost::sample();
    let line = "|/usr/local/bin/fastforward -d /etc/aliases.cdb\n";
    let aliases = |names: &[&str]| {
        let keys: Vec<String> = names.iter().map(|name| format!(":{name}@")).collect();
        qmail_updater::cdb::image(keys.iter().map(|key| (key.as_bytes(), &b"x@y.test"[..]))).unwrap()
    };
    host.write(&format!("{COM}/.qmail-default"), line).write("/etc/aliases.cdb", aliases(&["old"]));
    host.write("/usr/local/bin/fastforward", "").mode("/usr/local/bin/fastforward", 0o755);
    let service = Service::start(host, &[]);
    let host = &service.host;
    let (old, new) = ("old@example.com", "new@example.com");
    assert_eq!(host.answers(&[old, new]), ["accept", "refuse"]);
    // As newaliases does, which tells nobody.
    host.write("/etc/aliases.tmp", aliases(&["new"]));
    fs::rename(host.path("/etc/aliases.tmp"), host.path("/etc/aliases.cdb")).unwrap();
    service.wait_for_answer(new, "accept");
    service.wait_for_answer(old, "refuse");
}

#[test]
fn a_trigger_that_reaches_nobody_tells_what_it_found() {
    let host = MailHost::sample();
    host.folder("/tmp").mode("/tmp", 0o1777);
    let told = |command: &mut Command| {
        let answer: Answer = command.output().unwrap().into();
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        let (_, told) = answer.stderr.trim_end().split_once("/tmp/update-qmail: ").unwrap();
        told.to_owned()
    };
    let poke = || told(&mut host.command(&["trigger", "-v"]));
    assert_eq!(poke(), "no pipe to write to (No such file or directory); is the service running?");
    let other = "no pipe to write to: something else is there; nothing is written to it";
    host.link("/tmp/update-qmail", "../etc/passwd");
    assert_eq!(poke(), other);
    host.remove("/tmp/update-qmail").folder("/tmp/update-qmail");
    assert_eq!(poke(), other);
    fs::remove_dir(host.path("/tmp/update-qmail")).unwrap();
    nix::unistd::mkfifo(&host.path("/tmp/update-qmail"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(poke(), "nobody reads it; a service that starts rebuilds anyway");
    let mut command = host.command(&["trigger", "-v"]);
    if support::is_root() {
        command.uid(65_534).gid(65_534);
    } else {
        host.mode("/tmp/update-qmail", 0o000);
    }
    assert_eq!(told(&mut command), "nothing is written to it: Permission denied");
}

/// The memory of a service in KiB, by the name that proc_pid_status(5) has for it.
fn memory(service: &Service, what: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", service.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn messages_about_names_that_change_again_and_again_take_no_memory_without_end() {
    // The sizes of the promise take minutes.
    let is_long = std::env::var_os("QMAIL_UPDATER_LARGE").is_some();
    // How many names; how many entries these make, because the sample host has an alias domain; and how many MiB the service
    // may have more at the end of each change, and how many at any time from the third change on, because one rebuild takes
    // some for the names that it reads. Kept messages would take 1.4 KiB a name, each time.
    let (count, entries, most_after, most_later) =
        if is_long { (20_000, 20_000, 32, 32) } else { (1_000, 2_000, 12, 6) };
    // Without logins.
    let mailbox = |name: &str| format!("{name}:$1$a$b:1:2048:N:/d:Q");
    // What the guard holds takes longer to publish.
    let options = ["--no-watch", "--max-loss", "100"];
    let place = tempfile::tempdir().unwrap();
    let (service, home) = if is_long {
        (Attacked::start(place.path(), 500, 50, &options).service, HIS_DOMAIN)
    } else {
        let host = MailHost::sample();
        fs::remove_file(host.path(&format!("{COM}/vpasswd"))).unwrap();
        host.mailboxes(COM, &[&mailbox("ann")]);
        (Service::start(host, &options), COM)
    };
    let before = memory(&service, "VmRSS");
    let mut peaks = Vec::new();
    for change in 0..12 {
        // Each makes a warning, because the table cannot say it.
        let lines: Vec<String> = (0..count).map(|n| mailbox(&format!("change{change}-{n:05}-default"))).collect();
        service.host.mailboxes(home, &lines.iter().map(String::as_str).collect::<Vec<_>>());
        let name = format!("change{change}@{}", home.rsplit('/').next().unwrap());
        service.trigger(&["add_user", &name]);
        // A home that took long to read rests first.
        let line = service.wait_for(&format!("(+{entries} "));
        // What a rebuild used goes back right after its line.
        let start = Instant::now();
        let mut after = memory(&service, "VmRSS");
        while after > before + (most_after << 10) {
            assert!(start.elapsed() < PATIENCE, "{before} KiB before, {after} KiB after");
            pause();
            after = memory(&service, "VmRSS");
        }
        peaks.push(memory(&service, "VmHWM"));
        let _ = writeln!(std::io::stderr(), "{before} KiB before, {after} after, {} at most: {line}", peaks[change]);
    }
    assert!(peaks[11] < peaks[2] + (most_later << 10), "{peaks:?} KiB");
}
