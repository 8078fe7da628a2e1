//! What is owed to the commands that follow a rebuild, and the threads that run them: no rebuild waits for them, and none
//! of them for one that fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::follow_ups;
use super::owed::{Failure, FollowUps, Order, Outcome};
use super::status;
use super::tampering::Tables;
use super::worker::thread;
use crate::os::stop::Stop;
use crate::rebuild::Done;
use crate::report::{self, Level};
use crate::settings::Settings;

/// The commands.
pub struct Following {
    /// What each is owed.
    pub owed: FollowUps,
    settings: Arc<Settings>,
    tables: Arc<Tables>,
    stop: Stop,
    done: Sender<(usize, Outcome)>,
    outcomes: Receiver<(usize, Outcome)>,
}

impl Following {
    /// Owes them what an earlier service did.
    pub fn new(settings: Arc<Settings>, tables: Arc<Tables>, stop: Stop) -> Following {
        let (done, outcomes) = unbounded();
        let owed = FollowUps::new(settings.after.iter().cloned().zip(status::owed(&settings)));
        Following { owed, settings, tables, stop, done, outcomes }
    }

    /// A rebuild ended well now.
    pub fn rebuilt(&mut self, now: Instant, done: &Done) {
        self.owed.rebuilt(now, &done.changed());
        if done.host_read {
            let before = follow_ups::all_not_run(&self.settings, &self.owed);
            self.owed.read(now, &done.behind);
            let not_run = follow_ups::all_not_run(&self.settings, &self.owed);
            // When it happens again, that is news.
            before.iter().filter(|note| !not_run.contains(note)).for_each(|note| report::forget(&note.text));
        }
    }

    /// Runs what is due.
    pub fn go_on(&mut self) {
        for orders in self.owed.start(Instant::now()) {
            // What a command of --after does to the tables is left alone: a rebuild would run it again.
            orders.iter().filter(|order| order.is_telling()).for_each(|_| self.tables.begin());
            let numbers: Vec<usize> = orders.iter().map(|order| order.number).collect();
            let (settings, tables, stop) = (self.settings.clone(), self.tables.clone(), self.stop.clone());
            let done = self.done.clone();
            let started = thread(move || {
                for order in orders {
                    let run = || run(&settings, &tables, &order, &stop);
                    let outcome = catch_unwind(AssertUnwindSafe(run));
                    let _ = done.send((order.number, outcome.unwrap_or_else(|_| failed("a fault in this program"))));
                }
            });
            if let Err(error) = started {
                report::say(Level::Alert, &error.to_string());
                numbers.into_iter().for_each(|number| drop(self.done.send((number, failed(&error.to_string())))));
            }
        }
    }

    /// Where each tells what became of it; [`Following::end`] takes it.
    pub fn outcomes(&self) -> &Receiver<(usize, Outcome)> {
        &self.outcomes
    }

    /// One ended after this rebuild; whether it failed.
    pub fn end(&mut self, rebuild: u64, (number, outcome): (usize, Outcome)) -> bool {
        let now = Instant::now();
        if self.owed.commands().get(number).is_some_and(|owed| owed.is_telling()) {
            self.tables.end(None);
        }
        let is_failed = matches!(outcome, Outcome::Failed(_));
        self.owed.ended(now, number, outcome);
        if is_failed {
            let due = self.owed.commands().get(number).and_then(|owed| owed.due()).unwrap_or(now);
            let wait = due.saturating_duration_since(now).as_secs_f64();
            let text =
                format!("1 command failed after rebuild {rebuild}; both files are right; next try in {wait:.1} s");
            report::say(Level::Alert, &text);
        }
        is_failed
    }
}

fn run(settings: &Settings, tables: &Tables, order: &Order, stop: &Stop) -> Outcome {
    let outcome = follow_ups::run(settings, order, stop);
    if order.is_telling() {
        tables.accept();
    }
    outcome
}

fn failed(what: &str) -> Outcome {
    Outcome::Failed(Failure { what: what.to_owned(), said: Vec::new() })
}
