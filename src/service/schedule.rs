//! When to rebuild: events and instants in, "now" or "not before" out. Pure: no clock, no thread, no file.
//!
//! - Idle and triggered: at once (when the writer has closed the pipe, at the latest after 5 ms). After a rebuild a pause of
//!   its duration, and a longer one when there were many lately: five may follow each other, then there are five in a second.
//!   What is triggered meanwhile is one more rebuild. So a change is published within three durations and half a second,
//!   however hard it storms.
//! - A notice that comes before its change brings follow-ups after 1, 5 and 30 seconds, then at doubling distances up to
//!   the sweep's, until the change is seen.
//! - A rebuild that failed is tried again after growing pauses, and at the next trigger.
//! - The user database is asked by each rebuild, and by one each time that its own, shorter interval is over.
//! - Whatever was heard, one rebuild each sweep; and one when a login expires, a held domain is let go, or what was found
//!   wrong has to be looked at again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::pipe::notice::Expected;

/// In the long run there is one rebuild in so much time.
const SPACING: Duration = Duration::from_millis(200);
/// As many as that makes in so much time may follow each other: a user who triggers one now and then makes others wait for
/// little more than the rebuild.
const AT_ONCE: Duration = Duration::from_secs(1);
/// From the first trigger to the rebuild at most: a writer's line and its closing of the pipe are one trigger, not two.
const SETTLE: Duration = Duration::from_millis(5);
/// The first pause after a failure; each further one is twice as long.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest pause after a failure.
pub const MAX_RETRY: Duration = Duration::from_secs(300);
/// How long after an early notice its follow-ups come.
const FOLLOW_UPS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30)];
/// Anybody can write notices: so many expected changes are remembered; for the oldest beyond, the sweep must do.
const MAX_EXPECTED: usize = 1_000;

/// Why a rebuild is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The service has started.
    Start,
    /// Somebody or something said so.
    Trigger,
    /// An early notice's change may have happened.
    FollowUp,
    /// The last one failed, or could not read something.
    Retry,
    /// It is time.
    Sweep,
    /// A login expires.
    Expiry,
    /// A held domain has been held long enough.
    Hold,
    /// What was found wrong may have passed.
    Recheck,
    /// A home directory that takes long to read, or is beyond its budget, may be read again.
    Rested,
    /// It is time to ask the user database, whose changes are in no file.
    Database,
}

impl Cause {
    /// As the log and the metrics have it.
    pub fn word(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// The state machine.
#[derive(Debug)]
pub struct Schedule {
    sweep: Duration,
    /// When the rebuild is due for the first unanswered trigger.
    triggered: Option<Instant>,
    started: bool,
    running: Option<Instant>,
    /// No rebuild starts before.
    rest_until: Instant,
    /// Until when all rebuilds so far would last with their [`SPACING`].
    spaced_until: Instant,
    last_full: Instant,
    /// How often the user database is asked, where there is one.
    ask_every: Option<Duration>,
    last_start: Instant,
    /// When what is announced just before its change has happened.
    again_at: Option<Instant>,
    retry_at: Option<Instant>,
    retry_pause: Pause,
    /// The same for the actions, which others can make fail.
    actions_pause: Pause,
    /// The next time that something changes by itself, and what.
    wake: Option<(Instant, Cause)>,
    expected: BTreeMap<Expected, FollowUp>,
}

/// When an expected change was announced, and which follow-up is next.
#[derive(Clone, Copy, Debug)]
struct FollowUp {
    announced: Instant,
    number: u32,
}

impl FollowUp {
    /// When the next follow-up is due; `None` when they have reached the distance of the sweep.
    fn due(&self, sweep: Duration) -> Option<Instant> {
        let number = self.number as usize;
        let last = FOLLOW_UPS[FOLLOW_UPS.len() - 1];
        let after = match FOLLOW_UPS.get(number) {
            Some(after) => *after,
            None => last.saturating_mul(1 << (number + 1 - FOLLOW_UPS.len()).min(20)),
        };
        (number < FOLLOW_UPS.len() || after < sweep).then(|| self.announced + after)
    }
}

impl Schedule {
    /// A service that starts now, and makes a full look every `sweep`.
    pub fn new(now: Instant, sweep: Duration) -> Schedule {
        Schedule {
            sweep,
            triggered: None,
            started: false,
            running: None,
            rest_until: now,
            spaced_until: now,
            last_full: now,
            ask_every: None,
            last_start: now,
            again_at: None,
            retry_at: None,
            retry_pause: Pause::default(),
            actions_pause: Pause::default(),
            wake: None,
            expected: BTreeMap::new(),
        }
    }

    /// There is a user database, which is asked each time that this is over; or there is none.
    pub fn asks_every(&mut self, interval: Option<Duration>) {
        self.ask_every = interval;
    }

    /// What was seen now may come a moment before its change: it is looked at again after that.
    pub fn look_again(&mut self, now: Instant) {
        self.again_at = Some(now + FOLLOW_UPS[0]);
    }

    /// Something asks for a rebuild.
    pub fn trigger(&mut self, now: Instant) {
        self.triggered.get_or_insert(now + SETTLE);
    }

    /// The writer of a trigger has closed the pipe: nothing more of it has to be waited for, but a change that was announced
    /// just before it happens.
    pub fn closed(&mut self, now: Instant) {
        if self.expected.is_empty() {
            self.triggered = self.triggered.map(|due| due.min(now));
        }
    }

    /// A notice announces a change that has not happened yet.
    pub fn expect(&mut self, now: Instant, change: Expected) {
        if self.expected.len() >= MAX_EXPECTED
            && !self.expected.contains_key(&change)
            && let Some(oldest) = self.expected.iter().min_by_key(|(_, follow_up)| follow_up.announced)
        {
            let oldest = oldest.0.clone();
            self.expected.remove(&oldest);
        }
        self.expected.insert(change, FollowUp { announced: now, number: 0 });
    }

    /// The changes that are waited for.
    pub fn expected(&self) -> impl Iterator<Item = &Expected> {
        self.expected.keys()
    }

    /// The change has happened, before a rebuild that started at `read` read the host.
    pub fn seen(&mut self, change: &Expected, read: Instant) {
        if self.expected.get(change).is_some_and(|follow_up| follow_up.announced <= read) {
            self.expected.remove(change);
        }
    }

    /// A rebuild starts now.
    pub fn start(&mut self, now: Instant) {
        self.triggered = None;
        self.last_start = now;
        self.again_at = self.again_at.filter(|at| *at > now);
        self.retry_at = None;
        self.started = true;
        self.running = Some(now);
        self.wake = self.wake.filter(|(at, _)| *at > now);
        for follow_up in self.expected.values_mut() {
            while follow_up.due(self.sweep).is_some_and(|due| due <= now) {
                follow_up.number += 1;
            }
        }
        // What has not come by now, the sweep will see.
        let sweep = self.sweep;
        self.expected.retain(|_, follow_up| follow_up.due(sweep).is_some());
    }

    /// The rebuild that starts now looks at everything.
    pub fn looks_at_all(&mut self, now: Instant) {
        self.last_full = now;
    }

    /// The rebuild ended now, of which it waited so long for nothing; `wake` is when the next change comes by itself: a login expires, a held domain is let go.
    pub fn end(&mut self, now: Instant, waited: Duration, succeeded: bool, wake: Option<(Instant, Cause)>) {
        let duration = self.running.take().map_or(Duration::ZERO, |start| (now - start).saturating_sub(waited));
        self.spaced_until = self.spaced_until.max(now) + SPACING;
        let many = self.spaced_until.saturating_duration_since(now).saturating_sub(AT_ONCE);
        self.rest_until = now + duration.max(many);
        self.wake = wake;
        if succeeded {
            self.retry_pause = Pause::default();
        } else {
            self.retry_at = Some(now + self.retry_pause.take());
        }
    }

    /// A round of actions ended now; when some were put off, a rebuild tries them again.
    pub fn acted(&mut self, now: Instant, succeeded: bool) {
        if succeeded {
            self.actions_pause = Pause::default();
        } else {
            let at = now + self.actions_pause.take();
            self.retry_at = Some(self.retry_at.map_or(at, |before| before.min(at)));
        }
    }

    /// Says when the next change comes by itself, by a clock that may jump.
    pub fn wake_at(&mut self, wake: Option<(Instant, Cause)>) {
        self.wake = wake;
    }

    /// Whether a trigger has to wait: a rebuild is running, or resting.
    pub fn is_busy(&self, now: Instant) -> bool {
        self.running.is_some() || self.rest_until > now
    }

    /// When the next full look is due, whatever is heard.
    pub fn next_sweep(&self) -> Instant {
        self.last_full + self.sweep
    }

    /// Whether a trigger waits for its rebuild.
    pub fn is_triggered(&self) -> bool {
        self.triggered.is_some()
    }

    /// Whether a rebuild is running.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// When the next rebuild is due and why; `None` while one is running. In the past means now.
    pub fn next(&self) -> Option<(Instant, Cause)> {
        if self.running.is_some() {
            return None;
        }
        if !self.started {
            return Some((self.rest_until, Cause::Start));
        }
        let follow_up = self.expected.values().filter_map(|follow_up| follow_up.due(self.sweep)).min();
        [
            (self.triggered, Cause::Trigger),
            (follow_up.into_iter().chain(self.again_at).min(), Cause::FollowUp),
            (self.ask_every.map(|every| self.last_start + every), Cause::Database),
            (self.retry_at, Cause::Retry),
            (self.wake.map(|(at, _)| at), self.wake.map_or(Cause::Expiry, |(_, cause)| cause)),
            (Some(self.next_sweep()), Cause::Sweep),
        ]
        .into_iter()
        .filter_map(|(due, cause)| Some((due?.max(self.rest_until), cause)))
        .min_by_key(|(due, _)| *due)
    }
}

/// The pause before something that failed is tried again: each is twice as long as the one before.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    next: Duration,
    longest: Duration,
}

impl Default for Pause {
    fn default() -> Pause {
        Pause::new(FIRST_RETRY, MAX_RETRY)
    }
}

impl Pause {
    /// The first pause, and the longest.
    pub fn new(first: Duration, longest: Duration) -> Pause {
        Pause { next: first.min(longest), longest }
    }

    /// The pause after one more failure.
    pub fn take(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SWEEP: Duration = Duration::from_secs(900);

    /// Runs the schedule against a clock of its own: every trigger at its instant, every rebuild with its duration and
    /// outcome. Gives when each rebuild started and ended, and why.
    fn run(triggers: &[u64], durations: &[(u64, bool)], until: u64) -> Vec<(u64, u64, Cause)> {
        let zero = Instant::now();
        let at = |ms: u64| zero + Duration::from_millis(ms);
        let ms = |instant: Instant| u64::try_from(instant.saturating_duration_since(zero).as_millis()).unwrap();
        let mut schedule = Schedule::new(zero, SWEEP);
        let mut triggers: Vec<u64> = triggers.to_vec();
        triggers.sort_unstable();
        let mut triggers = triggers.into_iter().peekable();
        let mut durations = durations.iter().copied().cycle();
        let (mut now, mut ends, mut rebuilds) = (0, None, Vec::new());
        loop {
            let due = schedule.next().map(|(due, _)| ms(due).max(now));
            let next = [triggers.peek().copied(), due, ends.map(|(end, _)| end)].into_iter().flatten().min().unwrap();
            if next > until {
                return rebuilds;
            }
            now = next;
            if triggers.next_if_eq(&now).is_some() {
                schedule.trigger(at(now));
            } else if let Some((_, succeeded)) = ends.take_if(|(end, _)| *end == now) {
                schedule.end(at(now), Duration::ZERO, succeeded, None);
                rebuilds.last_mut().unwrap().1 = now;
            } else {
                let cause = schedule.next().unwrap().1;
                schedule.start(at(now));
                if matches!(cause, Cause::Start | Cause::Sweep | Cause::Retry) {
                    schedule.looks_at_all(at(now));
                }
                let (duration, succeeded) = durations.next().unwrap();
                ends = Some((now + duration, succeeded));
                rebuilds.push((now, now + duration, cause));
            }
        }
    }

    proptest! {
        #[test]
        fn no_trigger_is_lost_and_each_is_answered_in_time(
            triggers in proptest::collection::vec(0..600_000u64, 0..200),
            durations in proptest::collection::vec(1..20_000u64, 1..6),
        ) {
            let good: Vec<_> = durations.iter().map(|duration| (*duration, true)).collect();
            let longest = *durations.iter().max().unwrap();
            let rebuilds = run(&triggers, &good, 2_000_000);
            for trigger in triggers {
                let answer = rebuilds.iter().find(|(start, ..)| *start >= trigger).expect("a rebuild begins after it");
                prop_assert!(answer.1 - trigger <= 3 * longest + 500, "{trigger} is answered {answer:?}");
            }
            for pair in rebuilds.windows(2) {
                let (start, end, _) = pair[0];
                prop_assert!(pair[1].0 >= end + (end - start), "no pause: {pair:?}");
            }
            for many in rebuilds.windows(12) {
                prop_assert!(many[11].0 - many[0].1 >= 1_000, "too many in a second: {many:?}");
            }
            // Whatever else it heard.
            let full: Vec<_> = rebuilds.iter().filter(|(.., cause)| *cause != Cause::Trigger).collect();
            for pair in full.windows(2) {
                prop_assert!(pair[1].0 - pair[0].0 <= 900_000 + 60_000, "no sweep: {pair:?}");
            }
            prop_assert!(2_000_000 - full.last().unwrap().0 <= 900_000 + 60_000, "no sweep: {full:?}");
        }

        #[test]
        fn a_failed_rebuild_is_tried_again_with_growing_pauses(durations in proptest::collection::vec(1..5_000u64, 1..4)) {
            let bad: Vec<_> = durations.iter().map(|duration| (*duration, false)).collect();
            let rebuilds = run(&[], &bad, 3_000_000);
            let pauses: Vec<u64> = rebuilds.windows(2).map(|pair| pair[1].0 - pair[0].1).collect();
            prop_assert!(pauses.iter().all(|pause| *pause <= 300_000));
            prop_assert!(pauses.len() > 8 && pauses.windows(2).all(|pair| pair[0] <= pair[1].max(5_000)), "{pauses:?}");
            prop_assert_eq!(pauses.last(), Some(&300_000));
        }
    }

    #[test]
    fn a_storm_makes_few_rebuilds_and_idleness_only_sweeps() {
        let storm: Vec<u64> = (0..10_000).collect();
        assert!(run(&storm, &[(10, true)], 20_000).len() <= 60);
        let idle = run(&[], &[(50, true)], 3_600_000);
        assert_eq!(
            idle.iter().map(|rebuild| rebuild.0).collect::<Vec<_>>(),
            [0, 900_000, 1_800_000, 2_700_000, 3_600_000]
        );
        let once = run(&[100_000], &[(50, true)], 200_000);
        assert_eq!(once[1], (100_005, 100_055, Cause::Trigger));
    }

    #[test]
    fn a_short_rebuild_makes_the_next_trigger_wait_little() {
        let twice = run(&[100_000, 100_020], &[(10, true)], 200_000);
        assert_eq!(twice[2], (100_025, 100_035, Cause::Trigger), "after its 10 ms");
    }

    #[test]
    fn a_trigger_waits_for_its_writer_and_for_a_change_that_comes_after_it() {
        let zero = Instant::now();
        let closed_at = zero + Duration::from_millis(1);
        let due = |expected: Option<Expected>| {
            let mut schedule = Schedule::new(zero, SWEEP);
            schedule.start(zero);
            schedule.end(zero, Duration::ZERO, true, None);
            schedule.closed(zero);
            assert_eq!(schedule.next().map(|(_, cause)| cause), Some(Cause::Sweep), "nothing was triggered");
            expected.into_iter().for_each(|change| schedule.expect(zero, change));
            schedule.trigger(zero);
            schedule.closed(closed_at);
            schedule.closed(closed_at + SETTLE);
            schedule.next()
        };
        assert_eq!(due(None), Some((closed_at, Cause::Trigger)));
        let gone = Expected::MailboxGone(b"joe".to_vec(), b"x.test".to_vec());
        assert_eq!(due(Some(gone)), Some((zero + SETTLE, Cause::Trigger)));
    }

    #[test]
    fn an_early_notice_is_followed_up_until_its_change_is_seen() {
        let zero = Instant::now();
        let gone = Expected::DomainGone(b"x.test".to_vec());
        let follow_ups = |seen_after: usize| {
            let mut schedule = Schedule::new(zero, SWEEP);
            schedule.start(zero);
            schedule.end(zero, Duration::ZERO, true, None);
            let (mut now, mut starts) = (zero + Duration::from_secs(10), Vec::new());
            schedule.trigger(now);
            schedule.expect(now, gone.clone());
            loop {
                let (due, cause) = schedule.next().unwrap();
                if cause == Cause::Sweep {
                    return starts;
                }
                now = due.max(now);
                schedule.start(now);
                starts.push((now - zero).as_millis() - 10_000);
                if starts.len() == seen_after {
                    schedule.seen(&gone, now);
                }
                schedule.end(now, Duration::ZERO, true, None);
            }
        };
        assert_eq!(follow_ups(99), [5, 1_000, 5_000, 30_000, 60_000, 120_000, 240_000, 480_000]);
        assert_eq!(follow_ups(2), [5, 1_000]);
    }

    #[test]
    fn a_change_announced_while_a_rebuild_reads_is_not_taken_as_seen() {
        let zero = Instant::now();
        let gone = Expected::DomainGone(b"x.test".to_vec());
        let mut schedule = Schedule::new(zero, SWEEP);
        schedule.start(zero);
        schedule.expect(zero + Duration::from_millis(5), gone.clone());
        schedule.seen(&gone, zero);
        assert_eq!(schedule.expected().count(), 1);
    }

    #[test]
    fn the_time_in_which_a_rebuild_waited_for_nothing_makes_no_pause() {
        let zero = Instant::now();
        let at = |seconds| zero + Duration::from_secs(seconds);
        for (waited, pause) in [(0, 22), (20, 2), (30, 0)] {
            let mut schedule = Schedule::new(zero, SWEEP);
            schedule.start(zero);
            schedule.trigger(at(10));
            schedule.end(at(22), Duration::from_secs(waited), true, None);
            assert_eq!(schedule.next().unwrap().0, at(22 + pause), "{waited}");
        }
    }

    #[test]
    fn a_login_that_expires_brings_a_rebuild() {
        let zero = Instant::now();
        let mut schedule = Schedule::new(zero, SWEEP);
        schedule.start(zero);
        schedule.end(zero, Duration::ZERO, true, Some((zero + Duration::from_secs(60), Cause::Expiry)));
        assert_eq!(schedule.next(), Some((zero + Duration::from_secs(60), Cause::Expiry)));
    }
}
