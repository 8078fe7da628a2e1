//! What others may see of the service: its status file, its metrics, and what it tells of the host in the log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::metrics::Metrics;
use super::owed::FollowUps;
use super::rebuilds::Current;
use super::schedule::Schedule;
use super::second_look::{Look, SecondLook};
use super::status::{State, Status};
use crate::actions::Round;
use crate::error::{Error, show_path};
use crate::fs::End;
use crate::rebuild::Done;
use crate::rebuild::homes::KeptHome;
use crate::report::{self, Level, Note};
use crate::settings::Settings;

/// What is told.
pub struct Journal {
    settings: Arc<Settings>,
    status: Status,
    metrics: Metrics,
    /// What was said of the status file, when it could not be written.
    unwritten: Option<String>,
    /// The homes that could not be read by the last rebuild that succeeded.
    kept: Vec<KeptHome>,
    /// What rebuilds found wrong on the host.
    found: SecondLook,
}

impl Journal {
    /// Nothing was told yet.
    pub fn new(settings: Arc<Settings>) -> Journal {
        let metrics = Metrics::new(&settings);
        let (status, found) = (Status::default(), SecondLook::default());
        Journal { settings, status, metrics, unwritten: None, kept: Vec::new(), found }
    }

    /// So many triggers of this kind came.
    pub fn triggered(&mut self, kind: &str, count: usize) {
        self.metrics.triggered(kind, count);
    }

    /// A rebuild begins.
    pub fn rebuilding(&mut self) {
        self.status.rebuilding();
    }

    /// A rebuild ended now, of which it waited so long in vain.
    pub fn rebuilt(&mut self, now: Instant, current: &Current, waited: Duration, result: &Result<Done, Error>) {
        self.status.rebuilt(current.number, &current.cause, waited, self.settings.hold, result);
        self.metrics.rebuilt(result, now - current.began);
    }

    /// Keeps what others are told of the commands that fail.
    pub fn followed(&mut self, number: u64, is_one_more: bool, follow_ups: &FollowUps) {
        self.status.followed(number, is_one_more, follow_ups);
        self.metrics.followed(is_one_more, follow_ups.failures().count());
    }

    /// A round of actions ended.
    pub fn acted(&mut self, round: &Round) {
        self.status.acted(round.failed, round.last_failure.as_ref());
        self.metrics.acted(round.failed);
    }

    /// A rebuild that looked like this found this wrong on the host, and kept these homes.
    pub fn tell(&mut self, look: &Look, done: &Done, notes: Vec<Note>) {
        self.tell_of_kept(done);
        report::say_all(&self.found.tell(look, keyed(notes, &done.kept)));
    }

    /// Says which homes can be read again, of those that were told of.
    fn tell_of_kept(&mut self, done: &Done) {
        for before in std::mem::replace(&mut self.kept, done.kept.clone()) {
            if self.kept.iter().any(|now| now.home == before.home) {
                continue;
            }
            let root = &self.settings.layout.root;
            let is_file = before.unusable.is_some() && matches!(root.walk(&before.home).end, End::Found(_));
            if self.found.was_told(&before.home) && (is_file || done.host.homes().contains(&before.home[..])) {
                let path = root.path(&before.home);
                report::say(Level::Status, &format!("{}: can be read again", show_path(&path)));
            }
            // When it happens again, that is news.
            report::forget(&before.alert.text);
        }
    }

    /// When what was found has to be looked at again.
    pub fn second_look(&self) -> Option<Instant> {
        self.found.due()
    }

    /// Keeps the metrics file, between rebuilds only: so nothing waits for it, and it never lacks what the first one says.
    pub fn write_metrics(&self, is_up: bool) {
        if let Err(error) = self.metrics.write(&self.settings, is_up) {
            report::say_all(&[Note::warning(format!("{error}; the metrics are those of before"))]);
        }
    }

    /// Whether the status file could not be written.
    pub fn is_unwritten(&self) -> bool {
        self.unwritten.is_some()
    }

    /// Keeps the status file, which tells others what the service did.
    pub fn write_status(&mut self, state: State, schedule: &Schedule, follow_ups: &FollowUps) {
        let pending = schedule.is_triggered();
        let next_sweep = SystemTime::now() + schedule.next_sweep().saturating_duration_since(Instant::now());
        let next_sweep = next_sweep.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs());
        match self.status.write(&self.settings, state, pending, next_sweep, follow_ups) {
            Ok(()) => {
                // When it happens again, that is news.
                if let Some(before) = self.unwritten.take() {
                    report::forget(&before);
                }
            }
            Err(error) => {
                let text = format!("{error}; status tells of an earlier rebuild");
                report::say_all(&[Note::warning(text.clone())]);
                self.unwritten = Some(text);
            }
        }
    }
}

/// Notes, each with what it is known by at the next look: a home that could not be read by its path, because the number of
/// its entries in the text may change.
fn keyed(notes: Vec<Note>, kept: &[KeptHome]) -> Vec<(Vec<u8>, Note)> {
    let homes: HashMap<&str, &Vec<u8>> = kept.iter().map(|kept| (&kept.alert.text[..], &kept.home)).collect();
    let key =
        |note: &Note| homes.get(&note.text[..]).map_or_else(|| note.text.clone().into_bytes(), |home| (*home).clone());
    notes.into_iter().map(|note| (key(&note), note)).collect()
}
