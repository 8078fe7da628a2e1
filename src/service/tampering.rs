//! Whether the published tables are still the files that the last rebuild left: by what stat(2) says of them, ctime
//! included, which no program can set back. Asked whenever a watch hears something in their folders; without watches every
//! second; and seldom with them, for what none of them sees: what is written through a name in another folder, or by
//! another host.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::cdb::HEADER;
use crate::error::show_path;
use crate::fs::{REPLACED, Stamp};
use crate::report::{self, Note};
use crate::service::watch::Watch;
use crate::settings::Settings;

/// How often the tables are looked at without watches.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The same with watches on all that the service wants to watch.
const LOOK_EVERY_WATCHED: Duration = Duration::from_secs(4);

/// How often in how long the tables are recreated because another program changed them.
const MAX_TAMPERED: usize = 5;
/// See [`MAX_TAMPERED`].
const TAMPERED_WITHIN: Duration = Duration::from_secs(60);
/// How often a look that something else overtakes is taken again.
const MAX_LOOKS: usize = 5;

/// What is found under the names of the tables; why, where it is no file or cannot be known.
type Found = Vec<Result<Stamp, Errno>>;

/// The published tables.
pub struct Tables {
    settings: Arc<Settings>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What the last rebuild left, or what a rebuild was asked for; `None` before the first rebuild.
    known: Option<Found>,
    /// How many of this service's own are at work on the tables: a rebuild, the commands that follow one.
    at_work: u32,
    /// Grows with every change of this state: what was looked at before it counts no longer.
    turn: u64,
}

/// The tables were changed by another program.
pub struct Change {
    turn: u64,
    found: Found,
    /// Each changed table, with what was seen.
    pub tables: Vec<(PathBuf, &'static str)>,
    /// Whether one of the names leads to nothing that can be a table: qmail-smtpd answers 421 to every client then.
    pub is_urgent: bool,
}

impl Tables {
    /// Those of these settings, of which nothing is known yet.
    pub fn new(settings: Arc<Settings>) -> Tables {
        Tables { settings, state: Mutex::default() }
    }

    fn change_state(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.turn += 1;
        change(&mut state);
    }

    /// Something of this service's own may change the tables from now on.
    pub fn begin(&self) {
        self.change_state(|state| state.at_work += 1);
    }

    /// It is done. A rebuild that succeeded says which files it left.
    pub fn end(&self, left: Option<Vec<Option<Stamp>>>) {
        self.change_state(|state| {
            state.at_work = state.at_work.saturating_sub(1);
            // One that changed while it was published is known to nobody, and not to be found.
            let known = |stamp: Option<Stamp>| stamp.ok_or(Errno::UnknownErrno);
            state.known = left.map(|left| left.into_iter().map(known).collect()).or(state.known.take());
        });
    }

    /// Takes the tables as they are now: a command of this service left them so.
    pub fn accept(&self) {
        // Other commands and rebuilds begin and end at the same time; none of them does so for ever.
        for _ in 0..MAX_LOOKS {
            let turn = self.state.lock().unwrap_or_else(PoisonError::into_inner).turn;
            let found = self.find();
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.turn == turn {
                state.turn += 1;
                state.known = state.known.take().map(|_| found);
                return;
            }
        }
    }

    /// A rebuild is asked for because of this change; false when it is no news any more.
    pub fn take(&self, change: &Change) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = state.turn == change.turn;
        if is_news {
            state.turn += 1;
            state.known = Some(change.found.clone());
        }
        is_news
    }

    /// What another program changed since the last rebuild ended, or since the last change that was taken.
    pub fn change(&self) -> Option<Change> {
        let (turn, known) = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            (state.turn, state.known.clone().filter(|_| state.at_work == 0)?)
        };
        // Not while the state is locked: a file system may not answer.
        if self.are_known(&known) {
            return None;
        }
        let found = self.find();
        // What does not answer was changed by nobody.
        if found.contains(&Err(Errno::ETIMEDOUT)) {
            return None;
        }
        let changed = self.settings.published().into_iter().zip(known.iter().zip(&found));
        let tables: Vec<(PathBuf, &'static str)> = changed
            .filter(|(_, (known, found))| known != found)
            .map(|(path, (known, found))| (path, what_changed(known, found)))
            .collect();
        let can_be_read = |found: &Result<Stamp, Errno>| found.as_ref().is_ok_and(|stamp| stamp.size >= HEADER as i64);
        let is_urgent = !found.iter().all(can_be_read);
        (!tables.is_empty()).then_some(Change { turn, found, tables, is_urgent })
    }

    fn find(&self) -> Found {
        let inside = self.settings.published_inside().into_iter();
        inside.map(|inside| self.settings.layout.root.stamp_of(inside)).collect()
    }

    /// Whether all are what is known, as far as one call a table can tell: no when a link leads to one.
    fn are_known(&self, known: &Found) -> bool {
        let root = &self.settings.layout.root;
        self.settings.published_inside().into_iter().zip(known).all(|(inside, known)| {
            known.as_ref().is_ok_and(|known| root.stamp_without_links(inside).as_ref() == Ok(known))
        })
    }

    /// Looks again and again, and tells of each change, until `stop` is closed at its other end.
    pub fn look(&self, watch: Option<&Watch>, stop: &OwnedFd, tell: &mut dyn FnMut(Change)) {
        loop {
            let is_watched = watch.is_some_and(Watch::is_complete);
            let pause = if is_watched { LOOK_EVERY_WATCHED } else { LOOK_EVERY };
            let mut fds = [PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::try_from(pause).unwrap_or(PollTimeout::MAX)) {
                Ok(0) => self.change().into_iter().for_each(&mut *tell),
                Ok(_) => return,
                Err(_) => {}
            }
        }
    }
}

/// The tables that are recreated because another program changed them.
pub struct Recreation {
    tables: Arc<Tables>,
    /// When that was asked for lately.
    lately: Vec<Instant>,
    /// What the other program did to them, until a rebuild has recreated them.
    changes: BTreeMap<PathBuf, &'static str>,
}

impl Recreation {
    /// None yet.
    pub fn new(tables: Arc<Tables>) -> Recreation {
        Recreation { tables, lately: Vec::new(), changes: BTreeMap::new() }
    }

    /// Another program changed a table; whether a rebuild has to recreate it, which sees that it is not the one that it
    /// remembers. When that happens again and again, the change is left alone for a while; each look tells of it until
    /// then.
    pub fn hear(&mut self, now: Instant, change: Change) -> bool {
        self.lately.retain(|at| now.duration_since(*at) < TAMPERED_WITHIN);
        if self.lately.len() >= MAX_TAMPERED && !change.is_urgent {
            for (path, _) in &change.tables {
                let text = format!(
                    "{}: another program changes it again and again; it is recreated {MAX_TAMPERED} times a minute at most",
                    show_path(path)
                );
                report::say_all(&[Note::warning(text)]);
            }
            return false;
        }
        let is_news = self.tables.take(&change);
        if is_news {
            self.lately.push(now);
            self.changes.extend(change.tables);
        }
        is_news
    }

    /// A rebuild begins, which may change the tables.
    pub fn begin(&self) {
        self.tables.begin();
    }

    /// It ended. One that succeeded says which files it left, and which of them it changed.
    pub fn end(&mut self, left: Option<(Vec<Option<Stamp>>, &[PathBuf])>) {
        let (stamps, recreated) = left.unzip();
        self.tables.end(stamps);
        let Some(recreated) = recreated else { return };
        for (path, what) in std::mem::take(&mut self.changes).into_iter().filter(|(path, _)| recreated.contains(path)) {
            let path = show_path(&path);
            let text = match what {
                // Under other settings it publishes another table.
                REPLACED => format!("{path}: another program or a rebuild by hand {what}; recreated"),
                _ => format!("{path}: another program {what}; recreated"),
            };
            report::say_all(&[Note::warning(text)]);
        }
    }
}

/// What another program did to a table, in words.
fn what_changed(before: &Result<Stamp, Errno>, now: &Result<Stamp, Errno>) -> &'static str {
    match (before, now) {
        (_, Err(Errno::ENOENT)) => "removed it",
        (_, Err(_)) => "keeps it from being looked at",
        (Ok(before), Ok(now)) => now.difference(before),
        (Err(_), Ok(_)) => REPLACED,
    }
}
