//! What one system has and another one has not, as the rest of the program sees it: one file a system, with the same names in
//! each. Nothing else asks which system this is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::time::clock_gettime;

use crate::text::Shown;

#[cfg(target_os = "freebsd")]
mod freebsd;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "freebsd")]
pub use freebsd::*;
#[cfg(target_os = "linux")]
pub use linux::*;

/// A time that only goes on, in steps of some milliseconds: it is asked once a row, where the exact one costs ten times as much.
pub fn rough_time() -> Duration {
    clock_gettime(ROUGH_CLOCK).map_or(Duration::ZERO, Duration::from)
}

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its number, which no other one gets as long as anything still uses it.
    pub id: u64,
    /// Where it is mounted.
    pub point: PathBuf,
    /// Whether it lies on no device of this machine: a network's, or the kernel's own.
    pub has_no_device: bool,
    kind: Vec<u8>,
    source: Vec<u8>,
}

impl Mount {
    /// What is mounted, in words.
    pub fn words(&self) -> String {
        format!("{} from {}", Shown(&self.kind), Shown(&self.source))
    }

    /// The last one that is mounted at this path or nearest above it.
    pub fn of<'m>(mounts: &'m [Mount], path: &Path) -> Option<&'m Mount> {
        let above = mounts.iter().filter(|mount| path.starts_with(&mount.point));
        above.max_by_key(|mount| mount.point.as_os_str().len())
    }
}
