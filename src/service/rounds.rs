//! The rounds of actions, in a thread of its own that remembers them: nothing else waits for it. What a rebuild sees while
//! one runs is the next round's.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::Receiver;

use super::second_look::{Look, SecondLook};
use super::worker::{Fault, Worker};
use crate::actions::{Actions, Occasion, Round};
use crate::error::Error;
use crate::os::stop::Stop;
use crate::rebuild::Done;
use crate::rebuild::memory::Scope;
use crate::report::{self, Level, Note};
use crate::settings::Settings;

/// What a round is asked for.
struct Job {
    occasion: Occasion,
    /// Whether everything is read again.
    is_forgotten: bool,
}

/// The thread, and what the loop knows of it.
pub struct Rounds {
    worker: Worker<Job, Round>,
    /// What no round has looked at yet.
    occasion: Option<Occasion>,
    is_forgotten: bool,
    /// What rounds found wrong on the host.
    found: SecondLook,
}

impl Rounds {
    /// Starts the thread.
    ///
    /// # Errors
    /// There is none.
    pub fn start(settings: Arc<Settings>, stop: Stop) -> Result<Rounds, Error> {
        let mut remembered = Actions::default();
        let worker = Worker::start(move |mut job: Job| {
            // After a fault, nothing is.
            let mut actions = std::mem::take(&mut remembered);
            if job.is_forgotten {
                actions = Actions::default();
            }
            job.occasion.now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let round = actions.round(&settings, &job.occasion, &stop);
            remembered = actions;
            round
        })?;
        Ok(Rounds { worker, occasion: None, is_forgotten: false, found: SecondLook::default() })
    }

    /// A rebuild that began then ended well, and looked at this.
    pub fn rebuilt(&mut self, done: &Done, began: Instant, mut scope: Scope, are_wanted: bool) {
        if let Some(before) = self.occasion.take() {
            scope.add(before.scope);
        }
        let held = done.held.iter().map(|held| held.domain.clone()).collect();
        let occasion = Occasion { host: done.host.clone(), scope, held, began, now: Duration::ZERO };
        self.occasion = are_wanted.then_some(occasion);
    }

    /// Begins a round, when there is something to look at and none runs.
    pub fn go_on(&mut self) {
        if !self.worker.is_busy()
            && let Some(occasion) = self.occasion.take()
        {
            self.worker.order(Job { occasion, is_forgotten: std::mem::take(&mut self.is_forgotten) });
        }
    }

    /// Where one tells that it ended; [`Rounds::end`] takes it.
    pub fn outcomes(&self) -> &Receiver<Result<Round, Fault>> {
        self.worker.outcomes()
    }

    /// Whether one runs.
    pub fn are_running(&self) -> bool {
        self.worker.is_busy()
    }

    /// A round ended.
    pub fn end(&mut self, outcome: Result<Round, Fault>) -> Round {
        self.worker.is_done();
        let mut round = outcome.unwrap_or_else(|Fault| {
            report::say(Level::Alert, "a fault in this program, in a round of actions; tried again");
            Round { is_cut_off: true, ..Round::default() }
        });
        if let Some(began) = round.began {
            let look = Look { began, ended: Instant::now(), is_whole: round.is_whole };
            let notes = std::mem::take(&mut round.notes);
            let notes = notes.into_iter().map(|note: Note| (note.text.clone().into_bytes(), note)).collect();
            report::say_all(&self.found.tell(&look, notes));
        }
        round
    }

    /// The next round reads everything again.
    pub fn forget(&mut self) {
        self.is_forgotten = true;
    }

    /// When what was found has to be looked at again.
    pub fn second_look(&self) -> Option<Instant> {
        self.found.due()
    }
}
