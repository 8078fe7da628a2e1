//! One thread that does one order at a time, and keeps what it remembers between them to itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::error::Error;

/// The thread, as the loop sees it.
pub struct Worker<Order, Outcome> {
    orders: Sender<Order>,
    outcomes: Receiver<Result<Outcome, Fault>>,
    is_busy: bool,
}

/// A fault in this program, while an order was carried out. It is no end of all orders.
#[derive(Clone, Copy, Debug)]
pub struct Fault;

impl From<Fault> for Error {
    fn from(_: Fault) -> Error {
        Error::Temporary("a fault in this program".to_owned())
    }
}

impl<Order: Send + 'static, Outcome: Send + 'static> Worker<Order, Outcome> {
    /// Starts the thread. What `work` remembers, it must leave right for the next order also when it has a fault.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn start(mut work: impl FnMut(Order) -> Outcome + Send + 'static) -> Result<Worker<Order, Outcome>, Error> {
        let (orders, ordered) = bounded(1);
        let (done, outcomes) = bounded(1);
        thread(move || {
            for order in ordered {
                let outcome = catch_unwind(AssertUnwindSafe(|| work(order))).map_err(|_| Fault);
                if done.send(outcome).is_err() {
                    return;
                }
            }
        })?;
        Ok(Worker { orders, outcomes, is_busy: false })
    }

    /// Gives it an order, when it has none.
    pub fn order(&mut self, order: Order) {
        // The thread lives as long as this does.
        self.is_busy = self.orders.try_send(order).is_ok();
    }

    /// Where the outcome of its order comes; after that, it [is done](Worker::is_done).
    pub fn outcomes(&self) -> &Receiver<Result<Outcome, Fault>> {
        &self.outcomes
    }

    /// Its order is done.
    pub fn is_done(&mut self) {
        self.is_busy = false;
    }

    /// Whether it works.
    pub fn is_busy(&self) -> bool {
        self.is_busy
    }
}

/// Starts a thread.
///
/// # Errors
/// There is none for it.
pub fn thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>, Error> {
    Builder::new().spawn(work).map_err(|cause| Error::thread(&cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_an_outcome_and_the_next_order_is_carried_out() {
        let mut sum = 0;
        let mut worker = Worker::start(move |order: u32| {
            // Left right for the next order.
            let before = std::mem::take(&mut sum);
            assert!(order != 13, "a fault, made on purpose");
            sum = before + order;
            sum
        })
        .unwrap();
        let mut answers = [1, 2, 13, 4].into_iter().map(|order| {
            worker.order(order);
            assert!(worker.is_busy());
            let outcome = worker.outcomes().recv().unwrap();
            worker.is_done();
            outcome.ok()
        });
        assert_eq!(answers.by_ref().collect::<Vec<_>>(), [Some(1), Some(3), None, Some(4)]);
    }
}
