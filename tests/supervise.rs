//! The service folder as it is, under real daemontools.

mod support;

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use support::{MailHost, has, is_root, skip};

const PATIENCE: Duration = Duration::from_secs(120);

/// supervise for the service and for its log, and what ends them.
struct Supervised {
    folder: PathBuf,
    children: Vec<Child>,
}

impl Supervised {
    fn start(folder: &Path, environment: &[(&str, String)]) -> Supervised {
        let (reader, writer) = std::io::pipe().unwrap();
        let supervise = |folder: &Path| {
            let mut command = Command::new("supervise");
            command.arg(folder).envs(environment.iter().map(|(name, value)| (*name, value))).stdin(Stdio::null());
            command
        };
        let log = supervise(&folder.join("log")).stdin(reader).spawn().unwrap();
        let service = supervise(folder).stdout(writer).spawn().unwrap();
        Supervised { folder: folder.to_owned(), children: vec![service, log] }
    }

    fn svc(&self, what: &str) {
        let status = Command::new("svc").arg(what).arg(&self.folder).status().unwrap();
        assert!(status.success(), "svc {what}");
    }

    fn wait_for_log(&self, words: &str, times: usize) -> String {
        let start = Instant::now();
        loop {
            let log = fs::read_to_string(self.folder.join("log/main/current")).unwrap_or_default();
            if log.matches(words).count() >= times {
                return log;
            }
            assert!(start.elapsed() < PATIENCE, "{words:?} is not {times} times in the log: {log}");
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        for folder in [self.folder.clone(), self.folder.join("log")] {
            let _ = Command::new("svc").arg("-dxk").arg(folder).stderr(Stdio::null()).status();
        }
        let start = Instant::now();
        for child in &mut self.children {
            while child.try_wait().is_ok_and(|status| status.is_none()) {
                if start.elapsed() > PATIENCE {
                    let _ = child.kill();
                }
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-R").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

#[test]
fn the_service_folder_works_as_it_is_under_supervise_and_multilog() {
    if let Some(missing) = ["supervise", "svc", "multilog"].iter().find(|program| !has(program)) {
        return skip("the service under supervise", &format!("{missing} is not installed (daemontools)"));
    }
    let host = MailHost::sample();
    host.folder("/tmp").mode("/tmp", 0o1777).folder("/service");
    let folder = host.path("/service/qmail-updater");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("service"), &folder);
    host.folder("/bin");
    symlink(support::tested(), host.path("/bin/qmail-updater")).unwrap();
    let path = format!("{}:{}", host.path("/bin").display(), std::env::var("PATH").unwrap());
    let user = if is_root() { "nobody" } else { "" }.to_owned();
    let root = host.root().to_str().unwrap().to_owned();
    let service = Supervised::start(&folder, &[("PATH", path), ("LOG_USER", user), ("QMAIL_UPDATER_ROOT", root)]);

    let log = service.wait_for_log("rebuild 1 done", 1);
    assert!(log.lines().all(|line| line.starts_with('@')), "multilog adds the time: {log}");
    host.write("/home/vpopmail/domains/example.com/.qmail-new", "&x@y.test\n");
    assert_eq!(host.run(&["trigger", "insert_alias", "new@example.com", "&x@y.test"]).code, 0);
    service.wait_for_log("cause=insert_alias:new@example.com", 1);
    assert_eq!(host.answers(&["new@example.com"]), ["accept"]);

    // Killed, it is started again, and takes the pipe that it finds.
    service.svc("-k");
    service.wait_for_log("rebuild 1 done", 2);
    host.write("/home/vpopmail/domains/example.com/.qmail-newer", "&x@y.test\n");
    assert_eq!(host.run(&["trigger", "insert_alias", "newer@example.com", "&x@y.test"]).code, 0);
    service.wait_for_log("cause=insert_alias:newer@example.com", 1);
    assert_eq!(host.answers(&["newer@example.com"]), ["accept"]);

    // TERM ends it for good.
    service.svc("-d");
    service.wait_for_log("status: ended", 1);
    assert!(!host.path("/tmp/update-qmail").exists());
}

#[test]
fn the_commands_of_the_page_install_it_under_svscan() {
    if let Some(missing) = ["svscan", "svstat", "multilog"].iter().find(|program| !has(program)) {
        return skip("the daemontools commands of the page", &format!("{missing} is not installed (daemontools)"));
    }
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(repository.join("docs/guide/install.md")).unwrap();
    let (_, rest) = page.split_once("\n## The service\n").unwrap();
    let (_, rest) = rest.split_once("```sh\n").unwrap();
    let commands = rest.split_once("```").unwrap().0;
    let (commands, follow) = commands.trim_end().rsplit_once('\n').unwrap();
    let (commands, stat) = commands.rsplit_once('\n').unwrap();
    assert!(follow.starts_with("tail -F ") && stat.starts_with("svstat "), "{commands}\n{stat}\n{follow}");

    // The same below a root of its own.
    let host = MailHost::sample();
    host.folder("/tmp").mode("/tmp", 0o1777).folder("/service").folder("/etc").folder("/bin");
    symlink(support::tested(), host.path("/bin/qmail-updater")).unwrap();
    let root = host.root().to_str().unwrap();
    let here = |commands: &str| {
        let commands = commands.replace("/etc/qmail-updater", &format!("{root}/etc/qmail-updater"));
        commands
            .replace(" /service/", &format!(" {root}/service/"))
            .replace("~vpopmail", &format!("{root}/home/vpopmail"))
    };
    let run =
        |commands: &str| Command::new("sh").args(["-ec", &here(commands)]).current_dir(repository).output().unwrap();
    host.folder("/etc/qmail-updater");
    let output = run(commands);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    host.write("/etc/qmail-updater/env/QMAIL_UPDATER_SWEPE", "60\n");
    let path = format!("{}:{}", host.path("/bin").display(), std::env::var("PATH").unwrap());
    let user = if is_root() { "nobody" } else { "" };
    let mut svscan = Command::new("svscan");
    svscan
        .arg(host.path("/service"))
        .env("PATH", path)
        .env("LOG_USER", user)
        .env("QMAIL_UPDATER_ROOT", root)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let mut svscan = svscan.stderr(Stdio::null()).spawn().unwrap();
    let service = Supervised { folder: host.path("/service/qmail-updater"), children: Vec::new() };
    // Its settings are read from there.
    service.wait_for_log("/etc/qmail-updater/env/QMAIL_UPDATER_SWEPE: no setting has that name", 1);
    service.wait_for_log("rebuild 1 done", 1);
    let stat = run(stat);
    assert!(String::from_utf8_lossy(&stat.stdout).contains(": up (pid "), "{}", String::from_utf8_lossy(&stat.stdout));
    let log = here(&follow.replace("tail -F", "tail -n 1"));
    assert!(run(&log).status.success(), "{log}");
    assert!(host.path("/home/vpopmail/etc/onchange").exists());
    // svscan first, or it would start the service again.
    let _ = svscan.kill();
    let _ = svscan.wait();
    drop(service);
}

#[test]
fn s6_learns_when_the_service_hears_triggers() {
    let needed = ["s6-supervise", "s6-svstat", "s6-svc"];
    if let Some(missing) = needed.iter().find(|program| !has(program)) {
        return skip("the service under s6", &format!("{missing} is not installed (s6)"));
    }
    let host = MailHost::sample();
    host.folder("/tmp").mode("/tmp", 0o1777).folder("/service").folder("/bin");
    let folder = host.path("/service/qmail-updater");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/s6"), &folder);
    symlink(support::tested(), host.path("/bin/qmail-updater")).unwrap();
    let path = format!("{}:{}", host.path("/bin").display(), std::env::var("PATH").unwrap());
    // s6-supervise renames its status there; each of them is awaited.
    let status = folder.join("supervise");
    fs::DirBuilder::new().mode(0o700).create(&status).unwrap();
    let changes = Inotify::init(InitFlags::IN_CLOEXEC).unwrap();
    changes.add_watch(&status, AddWatchFlags::IN_MOVED_TO).unwrap();
    let mut supervise = Command::new("s6-supervise");
    supervise.arg(&folder).env("PATH", path).env("QMAIL_UPDATER_ROOT", host.root());
    let mut supervise = supervise.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let until = |option: &str, value: &str| {
        loop {
            let output = Command::new("s6-svstat").args(["-o", option]).arg(&folder).output().unwrap();
            if output.stdout.strip_suffix(b"\n").is_some_and(|said| said == value.as_bytes()) {
                return;
            }
            let mut awaited = [PollFd::new(changes.as_fd(), PollFlags::POLLIN)];
            let limit = u16::try_from(PATIENCE.as_millis()).unwrap_or(u16::MAX);
            assert_eq!(poll(&mut awaited, limit), Ok(1), "{option} is not {value}: {output:?}");
            changes.read_events().unwrap();
        }
    };
    until("ready", "true");
    // The service hears a trigger from the moment on at which it is ready.
    assert!(host.path("/tmp/update-qmail").exists());
    assert_eq!(host.run(&["trigger", "-v"]).code, 0);
    let svc = |option: &str| assert!(Command::new("s6-svc").arg(option).arg(&folder).status().unwrap().success());
    svc("-d");
    until("up", "false");
    svc("-x");
    supervise.wait().unwrap();
}

#[test]
fn a_descriptor_that_is_no_pipe_is_not_written_to() {
    let host = MailHost::sample();
    let file = host.path("/tmp-file");
    fs::write(&file, "").unwrap();
    let script =
        format!("exec {} --root {} run --ready-fd 7 7>>{}", support::tested(), host.root().display(), file.display());
    for script in [script.clone(), script.replace(" 7>>", " 8>>")] {
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(output.status.code(), Some(100));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, "qmail-updater: fatal: --ready-fd 7: no pipe is open there\n");
    }
    assert_eq!(fs::read(&file).unwrap(), b"");
}
