//! How work is told to give up.

use std::convert::Infallible;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded, never};

/// Tells work that it has to give up: the end of a channel on which nothing is ever sent, so that all who wait for it see it
/// at once, and none has to look again and again.
#[derive(Clone, Debug)]
pub struct Stop(Receiver<Infallible>);

/// When this is dropped, the work has to give up.
#[derive(Debug)]
pub struct Stopper {
    _end: Sender<Infallible>,
}

impl Stop {
    /// One that comes when the other is dropped.
    pub fn new() -> (Stopper, Stop) {
        let (end, told) = bounded(0);
        (Stopper { _end: end }, Stop(told))
    }

    /// One that never comes.
    pub fn never() -> Stop {
        Stop(never())
    }

    /// Whether the work has to give up.
    pub fn is_told(&self) -> bool {
        matches!(self.0.try_recv(), Err(TryRecvError::Disconnected))
    }

    /// Waits so long, or until the work has to give up, which is the answer.
    pub fn wait(&self, time: Duration) -> bool {
        matches!(self.0.recv_timeout(time), Err(RecvTimeoutError::Disconnected))
    }

    /// The channel whose end tells it, to wait for beside others.
    pub fn channel(&self) -> &Receiver<Infallible> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_wait_are_told_at_once() {
        let (stopper, stop) = Stop::new();
        assert!(!stop.is_told() && !Stop::never().is_told());
        let waits =
            [stop.clone(), stop.clone()].map(|stop| std::thread::spawn(move || stop.wait(Duration::from_secs(60))));
        drop(stopper);
        waits.into_iter().for_each(|wait| assert!(wait.join().unwrap()));
        assert!(stop.is_told());
    }
}
