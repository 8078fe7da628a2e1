//! The only spawner of other programs.

use std::process::{Command, Stdio};

/// What `getent passwd` prints; `None` when it cannot be run or fails.
pub fn getent_passwd() -> Option<Vec<u8>> {
    let output = Command::new("getent")
        .arg("passwd")
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then_some(output.stdout)
}
