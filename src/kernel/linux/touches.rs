//! Who opens and touches a file, by inotify(7).

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent};

/// Sees each writer that closes a file, and each change of its times.
pub struct Touches(Inotify);

impl Touches {
    /// Whether each writer that closes the file is counted.
    pub const COUNT_CLOSES: bool = true;

    /// Those of what is at this path now, which is not followed when it is a link.
    ///
    /// # Errors
    /// The name of the limit that is met, or the cause.
    pub fn of(path: &Path) -> Result<Touches, &'static str> {
        let cause = |cause: Errno| match cause {
            Errno::EMFILE => why_no_watcher(1),
            Errno::ENOSPC => "sysctl fs.inotify.max_user_watches is too small",
            cause => cause.desc(),
        };
        let events = AddWatchFlags::IN_ATTRIB | AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_DONT_FOLLOW;
        let watch = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).map_err(cause)?;
        watch.add_watch(path, events).map_err(cause)?;
        Ok(Touches(watch))
    }

    /// What can be read when there is one; `None` where they have to be asked for.
    pub fn ready(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }

    /// How many writers closed it since the last call, and how often it was touched otherwise.
    pub fn take(&mut self) -> (usize, usize) {
        let events = self.0.read_events().unwrap_or_default();
        let is_close = |event: &&InotifyEvent| event.mask.contains(AddWatchFlags::IN_CLOSE_WRITE);
        let closes = events.iter().filter(is_close).count();
        (closes, events.len() - closes)
    }
}

/// Why inotify_init(2) says EMFILE, which it does at two limits, to who needs so many descriptors.
pub fn why_no_watcher(descriptors: usize) -> &'static str {
    let opened: std::io::Result<Vec<File>> = (0..descriptors).map(|_| File::open("/")).collect();
    match opened {
        Err(cause) if cause.raw_os_error() == Some(Errno::EMFILE as i32) => Errno::EMFILE.desc(),
        _ => "sysctl fs.inotify.max_user_instances is too small",
    }
}
