//! The service folder as it is, under real daemontools.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{MailHost, has, is_root, skip};

const PATIENCE: Duration = Duration::from_secs(40);

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
    if let Some(missing) = ["supervise", "svc", "multilog", "envdir"].iter().find(|program| !has(program)) {
        return skip("the service under supervise", &format!("{missing} is not installed (daemontools)"));
    }
    let host = MailHost::sample();
    host.folder("/tmp").mode("/tmp", 0o1777).folder("/service");
    let folder = host.path("/service/qmail-updater");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("service"), &folder);
    fs::write(folder.join("env/QMAIL_UPDATER_ROOT"), host.root().to_str().unwrap()).unwrap();
    host.folder("/bin");
    symlink(env!("CARGO_BIN_EXE_qmail-updater"), host.path("/bin/qmail-updater")).unwrap();
    let path = format!("{}:{}", host.path("/bin").display(), std::env::var("PATH").unwrap());
    let user = if is_root() { "nobody" } else { "" }.to_owned();
    let service = Supervised::start(&folder, &[("PATH", path), ("LOG_USER", user)]);

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
