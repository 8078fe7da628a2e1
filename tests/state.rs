//! A state directory that cannot be written: `status` says so, and claims nothing that it cannot know.

mod support;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::time::Instant;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use support::service::{PATIENCE, Service};
use support::{MailHost, is_root, skip};

const STATE: &str = "/run/qmail-updater";

/// A file system over the state directory, which must go before the host does.
struct Over(std::path::PathBuf);

impl Drop for Over {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

fn wait_for_status(service: &Service, what: &str, is_so: impl Fn(&str) -> bool) -> String {
    let start = Instant::now();
    loop {
        let status = service.host.run(&["status"]).stdout;
        if is_so(&status) {
            return status;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: never: {status}");
    }
}

#[test]
fn a_full_state_directory_makes_status_claim_no_rebuild() {
    if !is_root() {
        return skip("a full state directory", "only root may mount");
    }
    let host = MailHost::sample();
    let state = host.folder(STATE).path(STATE);
    mount(Some("tmpfs"), &state, Some("tmpfs"), MsFlags::empty(), Some("size=64k,mode=0750")).unwrap();
    let service = Service::start(host, &["--no-watch"]);
    let over = Over(state.clone());
    wait_for_status(&service, "the first rebuild is over", |status| status.contains("tables: as the host says"));
    // A rebuild that has begun waits for the lock, until there is no more room.
    let lock = File::open(state.join("lock")).unwrap();
    lock.lock().unwrap();
    service.add_alias("new");
    drop(OpenOptions::new().write(true).open(service.fifo()).unwrap());
    wait_for_status(&service, "the second one runs", |status| status.contains("a rebuild has been running for "));
    let mut filling = File::create(state.join("filling")).unwrap();
    while filling.write_all(&[1; 4096]).is_ok() {}
    let why = format!("unable to write {}/status.json: No space left on device", state.display());
    let status = service.host.run(&["status"]);
    assert!(status.stdout.starts_with(&format!("service: alive\n{why}; ")), "{status:?}");
    assert!(status.stdout.contains("\na rebuild is running\n") && status.code == 1, "{status:?}");
    // Nor does a monitor that runs nothing but `check` take it for well.
    let found = service.host.run(&["check", "-q"]);
    assert!(
        found.code == 1 && found.stdout.contains(&format!("alert: {why}; the log of the service says")),
        "{found:?}"
    );
    lock.unlock().unwrap();
    service.wait_for("rebuild 2 done");
    service.wait_for("unable to write");
    for line in ["next sweep", "triggers wait", "a rebuild"] {
        let status = service.host.run(&["status"]);
        assert!(status.stdout.starts_with(&format!("service: alive\n{why}; ")) && status.code == 1, "{status:?}");
        assert!(!status.stdout.contains(&format!("\n{line}")), "{status:?}");
        assert!(status.stdout.contains("\nlast rebuild: number 1, "), "{status:?}");
    }
    drop(filling);
    fs::remove_file(state.join("filling")).unwrap();
    // It is written as soon as there is room.
    let status = wait_for_status(&service, "the file is right", |status| status.contains("last rebuild: number 2, "));
    assert!(!status.contains("unable to write") && status.contains("\nnext sweep: in "), "{status}");
    drop(over);
}

#[test]
fn a_read_only_state_directory_keeps_no_change_from_being_published() {
    if !is_root() {
        return skip("a read-only state directory", "only root may mount");
    }
    let service = Service::start(MailHost::sample(), &["--no-watch"]);
    let state = service.host.path(STATE);
    wait_for_status(&service, "the first rebuild is over", |status| status.contains("tables: as the host says"));
    let bind = |flags| mount(Some(&state), &state, None::<&str>, MsFlags::MS_BIND | flags, None::<&str>).unwrap();
    bind(MsFlags::empty());
    bind(MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY);
    let over = Over(state.clone());
    service.add_alias("new");
    drop(OpenOptions::new().write(true).open(service.fifo()).unwrap());
    service.wait_for_answer("new@example.com", "accept");
    let status = service.host.run(&["status"]);
    let why = format!("unable to write {}/status.json: Read-only file system; what follows is", state.display());
    assert!(status.stdout.starts_with(&format!("service: alive\n{why} ")) && status.code == 1, "{status:?}");
    drop(over);
    wait_for_status(&service, "the file is right", |status| status.contains("last rebuild: number 2, "));
}
