//! What follows a rebuild, and what each command is owed: instants in, "run these now" or "not before" out. Pure: no
//! clock, no thread, no process, no file.
//!
//! - Each command is owed for itself. A command that failed runs again after its own pauses, which grow; it runs alone, so
//!   that no other command waits for it, and no other command runs again because of it. A new change is told to it at once:
//!   a command that serves several mailhubs fails when one of them is down, and the others have to hear of the change.
//! - A command of `--after` is owed the published files that changed since it ended well. Commands that are well run one
//!   after the other, in the order in which they were given.
//! - qmail-newu and qmail-newmrh are owed while the compiled file differs from its text. They run when neither changed for
//!   [`QUIET`]: whatever changed the text may be about to run them itself, and two runs at once break each other. They
//!   take away only what the last rebuild read, and nothing of a domain that the guard holds.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::host::compilers::{Compiler, Due, Stamps};
use crate::service::schedule::Pause;

/// How long a text and its compiled file stay as they are before a compiler runs.
pub const QUIET: Duration = Duration::from_secs(3);
/// For how long a compiler is put off because its files change again and again.
pub const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A command that follows a rebuild.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// One of qmail's compilers.
    Compiler(Compiler),
    /// A command of `--after`, as the host names it.
    After(Vec<u8>),
}

/// A command that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which, and how.
    pub what: String,
    /// The last lines that it printed, escaped.
    pub said: Vec<String>,
}

/// One run of a command.
#[derive(Clone, Debug)]
pub struct Order {
    /// Which of the commands it is.
    pub number: usize,
    /// What runs.
    pub command: Command,
    /// The changed files that it is told of.
    pub changed: BTreeSet<PathBuf>,
    /// What was seen when a compiler was put off before.
    pub seen: Option<Seen>,
    /// What a compiler may take away: what the last rebuild read, and does not hold.
    pub may_go: BTreeSet<Vec<u8>>,
    /// Why a compiler must not take anything away.
    pub forbidden: Option<String>,
}

impl Order {
    /// Whether it tells a command of `--after` what changed.
    pub fn is_telling(&self) -> bool {
        matches!(self.command, Command::After(_))
    }
}

/// What became of one run.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The command ended well, or nothing is left to do.
    Done,
    /// A compiler was not run, because its files changed so lately: what was seen, and how long to wait.
    NotYet(Seen, Duration),
    /// A compiler must not run, and why; that has been told.
    PutOff(String),
    /// It failed.
    Failed(Failure),
}

/// What was seen of the files of a compiler that is put off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    stamps: Stamps,
    /// Since when they are known to be as they are.
    at: Instant,
    /// Since when the compiler is put off.
    since: Instant,
    /// How often it has run in vain meanwhile.
    pub tries: usize,
}

impl Seen {
    /// Looks at the files: what is seen, and how long they have to stay so before the compiler may run. `now` is the time
    /// since 1970-01-01 UTC, by a clock that may jump: a time of a file that lies ahead of it says nothing, and then the
    /// files count as quiet when they are seen unchanged for as long by the clock that does not jump.
    pub fn look(before: Option<Seen>, stamps: Stamps, at: Instant, now: Duration) -> (Seen, Duration) {
        let seen = match before {
            Some(before) if before.stamps == stamps => before,
            Some(before) => Seen { stamps, at, ..before },
            None => Seen { stamps, at, since: at, tries: 0 },
        };
        let times = seen.stamps.iter().flatten().map(|stamp| stamp.changed.max(stamp.modified));
        let by_time = times
            .max()
            .map_or(Duration::ZERO, |last| now.checked_sub(last).map_or(QUIET, |age| QUIET.saturating_sub(age)));
        let by_sight = QUIET.saturating_sub(at.saturating_duration_since(seen.at));
        let wait = by_time.min(by_sight);
        (seen, wait)
    }

    /// Whether the compiler has been put off for too long.
    pub fn is_too_long(&self, at: Instant) -> bool {
        at.saturating_duration_since(self.since) >= LONGEST_WAIT
    }
}

/// The state machine.
#[derive(Debug)]
pub struct FollowUps {
    /// The compilers, then the commands of `--after` in their order.
    commands: Vec<Owed>,
}

/// A command, and what it is owed.
#[derive(Debug)]
pub struct Owed {
    /// The command.
    pub command: Command,
    /// The changed files that a command of `--after` was not told of, but for those that it is being told of.
    changed: BTreeSet<PathBuf>,
    /// Whether a compiler has to look at its files.
    is_behind: bool,
    /// What a compiler may take away.
    may_go: BTreeSet<Vec<u8>>,
    /// Why a compiler must not take anything away.
    forbidden: Option<String>,
    /// Why a compiler was not run when that was due.
    put_off: Option<String>,
    /// What it is being told of, while it runs.
    running: Option<BTreeSet<PathBuf>>,
    /// Whether the others wait for it while it runs.
    is_in_turn: bool,
    due: Option<Instant>,
    pause: Pause,
    failure: Option<Failure>,
    seen: Option<Seen>,
}

impl Owed {
    fn new(command: Command, changed: BTreeSet<PathBuf>) -> Owed {
        Owed {
            command,
            changed,
            is_behind: false,
            may_go: BTreeSet::new(),
            forbidden: None,
            put_off: None,
            running: None,
            is_in_turn: false,
            due: None,
            pause: Pause::default(),
            failure: None,
            seen: None,
        }
    }

    fn is_compiler(&self) -> bool {
        matches!(self.command, Command::Compiler(_))
    }

    fn is_owed(&self) -> bool {
        self.is_behind || !self.changed.is_empty()
    }

    /// Something is owed from now on, if it was not before.
    fn owe(&mut self, now: Instant) {
        if self.is_owed() && self.running.is_none() {
            self.due.get_or_insert(now);
        }
    }

    fn is_well(&mut self) {
        (self.due, self.seen, self.failure, self.pause) = (None, None, None, Pause::default());
    }

    /// The changed files that it has not been told of, or not yet to the end.
    pub fn untold(&self) -> BTreeSet<&PathBuf> {
        self.changed.iter().chain(self.running.iter().flatten()).collect()
    }

    /// Whether it is a command of `--after` that runs.
    pub fn is_telling(&self) -> bool {
        self.is_running() && !self.is_compiler()
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// How it failed last; `None` when it ended well since.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Why a compiler is not run although its file is behind, in words.
    pub fn put_off(&self) -> Option<&String> {
        self.put_off.as_ref()
    }

    /// When it runs next; `None` while it runs, and when nothing is owed.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }
}

impl FollowUps {
    /// The commands of `--after`, in their order, each with the changed files that it has not been told of.
    pub fn new(after: impl IntoIterator<Item = (Vec<u8>, BTreeSet<PathBuf>)>) -> FollowUps {
        let compilers = Compiler::ALL.map(|compiler| Owed::new(Command::Compiler(compiler), BTreeSet::new()));
        let after = after.into_iter().map(|(command, changed)| Owed::new(Command::After(command), changed));
        FollowUps { commands: compilers.into_iter().chain(after).collect() }
    }

    /// A rebuild ended well, and changed these files.
    pub fn rebuilt(&mut self, now: Instant, changed: &[PathBuf]) {
        for owed in self.commands.iter_mut().filter(|owed| !owed.is_compiler()) {
            owed.changed.extend(changed.iter().cloned());
            if !changed.is_empty() && owed.running.is_none() {
                owed.due = Some(now);
            }
            owed.owe(now);
        }
    }

    /// A rebuild read the files of the compilers; these are behind.
    pub fn read(&mut self, now: Instant, behind: &[Due]) {
        for owed in &mut self.commands {
            let Command::Compiler(compiler) = owed.command else { continue };
            let due = behind.iter().find(|due| due.compiler == compiler);
            owed.may_go = due.map(|due| due.may_go.clone()).unwrap_or_default();
            owed.forbidden = due.and_then(|due| due.put_off.clone());
            if owed.forbidden.is_none() {
                owed.put_off = None;
            }
            owed.is_behind = due.is_some();
            if owed.is_behind {
                owed.owe(now);
            } else if owed.running.is_none() {
                owed.is_well();
            }
        }
    }

    /// What is owed is tried now, and as if nothing had failed.
    pub fn hurry(&mut self, now: Instant) {
        for owed in self.commands.iter_mut().filter(|owed| owed.due.is_some()) {
            (owed.due, owed.pause) = (Some(now), Pause::default());
        }
    }

    /// Whether it has to wait for those that are well and run one after the other.
    fn waits(&self, owed: &Owed) -> bool {
        !owed.is_compiler() && owed.failure.is_none() && self.commands.iter().any(|other| other.is_in_turn)
    }

    /// When the next run is due. In the past means now.
    pub fn next(&self) -> Option<Instant> {
        self.commands.iter().filter(|owed| !self.waits(owed)).filter_map(|owed| owed.due).min()
    }

    /// What runs now: each list in its order, all lists at the same time.
    pub fn start(&mut self, now: Instant) -> Vec<Vec<Order>> {
        let is_due = |owed: &Owed| owed.due.is_some_and(|due| due <= now) && !self.waits(owed);
        let due: Vec<usize> = (0..self.commands.len()).filter(|number| is_due(&self.commands[*number])).collect();
        let (mut in_turn, mut alone) = (Vec::new(), Vec::new());
        for number in due {
            let owed = &mut self.commands[number];
            let (changed, seen) = (std::mem::take(&mut owed.changed), owed.seen.take());
            owed.is_behind = false;
            owed.due = None;
            owed.running = Some(changed.clone());
            owed.is_in_turn = !owed.is_compiler() && owed.failure.is_none();
            let (command, may_go, forbidden) = (owed.command.clone(), owed.may_go.clone(), owed.forbidden.clone());
            let order = Order { number, command, changed, seen, may_go, forbidden };
            if owed.is_in_turn {
                in_turn.push(order);
            } else {
                alone.push(vec![order]);
            }
        }
        if !in_turn.is_empty() {
            alone.push(in_turn);
        }
        alone
    }

    /// A run ended.
    pub fn ended(&mut self, now: Instant, number: usize, outcome: Outcome) {
        let Some(owed) = self.commands.get_mut(number) else { return };
        let told = owed.running.take().unwrap_or_default();
        owed.is_in_turn = false;
        match outcome {
            Outcome::PutOff(why) => {
                owed.is_well();
                // The last rebuild may allow it.
                owed.put_off = owed.forbidden.as_ref().map(|_| why);
                owed.owe(now);
            }
            Outcome::Done => {
                owed.is_well();
                owed.owe(now);
            }
            Outcome::NotYet(seen, wait) => {
                owed.is_behind = true;
                (owed.seen, owed.due) = (Some(seen), Some(now + wait));
            }
            Outcome::Failed(failure) => {
                owed.is_behind = owed.is_compiler();
                let pause = owed.pause.take();
                // What changed while it ran, it was not told.
                let due = if owed.changed.is_empty() { now + pause } else { now };
                owed.changed.extend(told);
                (owed.failure, owed.due) = (Some(failure), Some(due));
            }
        }
    }

    /// Whether any command runs.
    pub fn is_running(&self) -> bool {
        self.commands.iter().any(Owed::is_running)
    }

    /// Every command with what it is owed.
    pub fn commands(&self) -> &[Owed] {
        &self.commands
    }

    /// How the commands failed that did not end well since.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.commands.iter().filter_map(Owed::failure)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::fs::Stamp;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn files(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    fn of(after: &[&str]) -> FollowUps {
        FollowUps::new(after.iter().map(|name| (name.as_bytes().to_vec(), BTreeSet::new())))
    }

    fn failed() -> Outcome {
        Outcome::Failed(Failure { what: "exited 1".to_owned(), said: Vec::new() })
    }

    /// What runs now: the numbers of the commands, and the files that each is told of.
    fn started(follow_ups: &mut FollowUps, now: Instant) -> Vec<Vec<(usize, Vec<PathBuf>)>> {
        let order = |order: Order| (order.number, order.changed.into_iter().collect());
        follow_ups.start(now).into_iter().map(|orders| orders.into_iter().map(order).collect()).collect()
    }

    // The compilers are 0 and 1.
    const FIRST: usize = 2;
    const SECOND: usize = 3;

    #[test]
    fn a_command_that_fails_runs_again_alone_after_growing_pauses() {
        let mut now = Instant::now();
        let mut follow_ups = of(&["/first", "/second"]);
        assert_eq!(follow_ups.next(), None);
        follow_ups.rebuilt(now, &files(&["a"]));
        assert_eq!(
            started(&mut follow_ups, now),
            [[(FIRST, files(&["a"])), (SECOND, files(&["a"]))]],
            "in their order"
        );
        follow_ups.ended(now, FIRST, failed());
        follow_ups.ended(now, SECOND, Outcome::Done);
        let mut pauses = Vec::new();
        for _ in 0..11 {
            let due = follow_ups.next().unwrap();
            pauses.push((due - now).as_secs());
            now = due;
            assert_eq!(started(&mut follow_ups, now), [[(FIRST, files(&["a"]))]], "the second one ended well");
            follow_ups.ended(now, FIRST, failed());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        // A change is told at once, to each what it was not told of; a rebuild that changed nothing is no reason to run.
        follow_ups.rebuilt(now, &[]);
        assert_eq!(follow_ups.next(), Some(now + seconds(300)));
        follow_ups.rebuilt(now, &files(&["b"]));
        assert_eq!(
            started(&mut follow_ups, now),
            [[(FIRST, files(&["a", "b"]))], [(SECOND, files(&["b"]))]],
            "at the same time"
        );
        follow_ups.ended(now, SECOND, Outcome::Done);
        follow_ups.ended(now, FIRST, Outcome::Done);
        assert_eq!((follow_ups.next(), follow_ups.failures().count()), (None, 0));
        // Its next failure begins with the first pause.
        follow_ups.rebuilt(now, &files(&["c"]));
        follow_ups.start(now);
        follow_ups.ended(now, SECOND, Outcome::Done);
        follow_ups.ended(now, FIRST, failed());
        assert_eq!(follow_ups.next(), Some(now + seconds(1)));
    }

    #[test]
    fn nothing_waits_for_a_command_that_failed_and_hangs() {
        let now = Instant::now();
        let mut follow_ups = of(&["/first", "/second"]);
        follow_ups.rebuilt(now, &files(&["a"]));
        follow_ups.start(now);
        follow_ups.ended(now, FIRST, failed());
        assert_eq!(follow_ups.next(), Some(now + seconds(1)), "the second one runs still");
        let later = now + seconds(1);
        assert_eq!(started(&mut follow_ups, later), [[(FIRST, files(&["a"]))]]);
        follow_ups.rebuilt(later, &files(&["b"]));
        assert_eq!(follow_ups.next(), None, "both run");
        follow_ups.ended(later, SECOND, Outcome::Done);
        assert_eq!(started(&mut follow_ups, later), [[(SECOND, files(&["b"]))]], "what came while it ran");
        follow_ups.ended(later, SECOND, Outcome::Done);
        // It hangs, and fails in the end.
        follow_ups.rebuilt(later, &files(&["c"]));
        assert_eq!(started(&mut follow_ups, later), [[(SECOND, files(&["c"]))]]);
        follow_ups.ended(later, SECOND, Outcome::Done);
        assert_eq!((follow_ups.next(), follow_ups.is_running()), (None, true));
        follow_ups.ended(later, FIRST, failed());
        assert_eq!(started(&mut follow_ups, later), [[(FIRST, files(&["a", "b", "c"]))]], "what changed meanwhile");
        follow_ups.ended(later, FIRST, failed());
        assert_eq!(follow_ups.next(), Some(later + seconds(4)));
    }

    #[test]
    fn what_a_service_before_did_not_tell_is_told_after_the_first_rebuild_to_that_command_alone() {
        let now = Instant::now();
        let owed = [(b"/first".to_vec(), files(&["a"]).into_iter().collect()), (b"/second".to_vec(), BTreeSet::new())];
        let mut follow_ups = FollowUps::new(owed);
        assert_eq!(follow_ups.next(), None, "a rebuild comes first");
        assert_eq!(follow_ups.commands()[FIRST].untold().len(), 1);
        follow_ups.rebuilt(now, &[]);
        assert_eq!(started(&mut follow_ups, now), [[(FIRST, files(&["a"]))]]);
        assert_eq!(follow_ups.commands()[FIRST].untold().len(), 1, "it is not told before it ended well");
    }

    #[test]
    fn a_compiler_is_owed_while_its_file_is_behind() {
        let now = Instant::now();
        let mut follow_ups = of(&[]);
        follow_ups.read(now, &[]);
        assert_eq!(follow_ups.next(), None);
        follow_ups.read(now, &[Due::new(Compiler::Newmrh)]);
        assert_eq!(started(&mut follow_ups, now), [[(1, Vec::new())]]);
        follow_ups.ended(now, 1, failed());
        // Another rebuild finds it behind still: that is no reason to run before its time.
        follow_ups.read(now, &[Due::new(Compiler::Newmrh)]);
        assert_eq!(follow_ups.next(), Some(now + seconds(1)));
        // The administrator ran it.
        follow_ups.read(now, &[]);
        assert_eq!((follow_ups.next(), follow_ups.failures().count()), (None, 0));
        // Behind again while it runs, it is looked at once more.
        follow_ups.read(now, &[Due::new(Compiler::Newu)]);
        follow_ups.start(now);
        follow_ups.read(now, &[Due::new(Compiler::Newu)]);
        follow_ups.ended(now, 0, Outcome::Done);
        assert_eq!(follow_ups.next(), Some(now));
    }

    #[test]
    fn a_compiler_that_is_put_off_gets_what_was_seen_and_does_not_count_as_failed() {
        let now = Instant::now();
        let mut follow_ups = of(&[]);
        follow_ups.read(now, &[Due::new(Compiler::Newu)]);
        follow_ups.start(now);
        let (seen, _) = Seen::look(None, [None, None], now, seconds(0));
        follow_ups.ended(now, 0, Outcome::NotYet(seen.clone(), seconds(2)));
        follow_ups.read(now, &[Due::new(Compiler::Newu)]);
        assert_eq!((follow_ups.next(), follow_ups.failures().count()), (Some(now + seconds(2)), 0));
        let orders = follow_ups.start(now + seconds(2));
        assert_eq!(orders[0][0].seen, Some(seen));
    }

    #[test]
    fn what_was_told_to_hurry_runs_now() {
        let now = Instant::now();
        let mut follow_ups = of(&["/first", "/second"]);
        follow_ups.rebuilt(now, &files(&["a"]));
        follow_ups.start(now);
        follow_ups.ended(now, FIRST, failed());
        follow_ups.ended(now, SECOND, Outcome::Done);
        follow_ups.hurry(now);
        assert_eq!(started(&mut follow_ups, now), [[(FIRST, files(&["a"]))]]);
    }

    /// Files that changed at this time.
    fn changed_at(time: Duration) -> Stamps {
        let file = tempfile::tempfile().unwrap();
        let mut stamp = Stamp::of_file(&file).unwrap();
        (stamp.modified, stamp.changed) = (Duration::ZERO, time);
        [Some(stamp), None]
    }

    #[test]
    fn a_compiler_waits_until_both_files_are_quiet() {
        let at = Instant::now();
        let changed = changed_at(seconds(1_000));
        let wait = |now: u64| Seen::look(None, changed.clone(), at, seconds(now)).1;
        assert_eq!([1_000, 1_001, 1_003, 2_000].map(wait), [seconds(3), seconds(2), seconds(0), seconds(0)]);
        assert_eq!(Seen::look(None, [None, None], at, seconds(1)).1, seconds(0), "what is not there, nobody writes");
        let (mut newest, older) = (changed_at(seconds(1_000)), changed_at(seconds(900)));
        newest[1] = older[0].clone();
        assert_eq!(Seen::look(None, newest, at, seconds(1_001)).1, seconds(2), "the last change of either counts");
        let mut written = changed_at(seconds(900));
        written[0].as_mut().unwrap().modified = seconds(1_000);
        assert_eq!(Seen::look(None, written, at, seconds(1_001)).1, seconds(2), "however it changed");
    }

    #[test]
    fn a_clock_that_jumps_does_not_put_a_compiler_off_for_ever() {
        let at = Instant::now();
        // The files are of a time that is yet to come.
        let ahead = changed_at(seconds(1_000_000));
        let (seen, wait) = Seen::look(None, ahead.clone(), at, seconds(1_000));
        assert_eq!(wait, QUIET);
        let (seen, wait) = Seen::look(Some(seen), ahead.clone(), at + seconds(1), seconds(1_001));
        assert_eq!(wait, seconds(2));
        let (_, wait) = Seen::look(Some(seen.clone()), ahead, at + QUIET, seconds(500));
        assert_eq!(wait, Duration::ZERO, "seen unchanged for so long");
        let (_, wait) = Seen::look(Some(seen), changed_at(seconds(1_000_001)), at + QUIET, seconds(500));
        assert_eq!(wait, QUIET, "they changed again");
    }

    #[test]
    fn files_that_never_rest_are_told_of_in_the_end() {
        let at = Instant::now();
        let (mut seen, mut wait) = Seen::look(None, changed_at(seconds(1)), at, seconds(1));
        for second in 2..=LONGEST_WAIT.as_secs() {
            assert!(!seen.is_too_long(at + seconds(second - 1)) && wait > Duration::ZERO);
            (seen, wait) = Seen::look(Some(seen), changed_at(seconds(second)), at + seconds(second), seconds(second));
        }
        assert!(seen.is_too_long(at + LONGEST_WAIT));
    }

    proptest! {
        /// Whatever fails, each command is told of every change, and what it was told of is not told again.
        #[test]
        fn each_change_is_told_to_each_command_once(
            changes in proptest::collection::vec((0..60_000u64, 0..3usize), 1..40),
            runs in proptest::collection::vec((1..5_000u64, proptest::bool::weighted(0.6)), 4..20),
        ) {
            let zero = Instant::now();
            let at = |ms: u64| zero + Duration::from_millis(ms);
            let names = ["a", "b", "c"];
            let mut follow_ups = of(&["/first", "/second", "/third"]);
            let mut changes = changes;
            changes.sort_unstable();
            let mut waiting = changes.clone().into_iter().peekable();
            // After enough failures all goes well.
            let mut runs = runs.into_iter().chain(std::iter::repeat((1, true)));
            let mut running: Vec<(u64, Order, bool)> = Vec::new();
            let mut queued: BTreeMap<usize, Vec<Order>> = BTreeMap::new();
            let mut told: Vec<(usize, PathBuf, u64)> = Vec::new();
            let mut began: BTreeMap<usize, u64> = BTreeMap::new();
            let mut now = 0;
            loop {
                let due = follow_ups.next().map(|due| u64::try_from((due - zero).as_millis()).unwrap().max(now));
                let end = running.iter().map(|(end, ..)| *end).min();
                let Some(next) = [waiting.peek().map(|(at, _)| *at), due, end].into_iter().flatten().min() else { break };
                now = next;
                if let Some((_, file)) = waiting.next_if(|(at, _)| *at == now) {
                    follow_ups.rebuilt(at(now), &files(&[names[file]]));
                } else if let Some(index) = running.iter().position(|(end, ..)| *end == now) {
                    let (_, order, is_well) = running.swap_remove(index);
                    if is_well {
                        let start = began[&order.number];
                        told.extend(order.changed.iter().map(|file| (order.number, file.clone(), start)));
                    }
                    follow_ups.ended(at(now), order.number, if is_well { Outcome::Done } else { failed() });
                    for orders in queued.remove(&order.number).into_iter().filter(|orders| !orders.is_empty()) {
                        start_first(orders, now, &mut runs, &mut running, &mut queued);
                    }
                } else {
                    for orders in follow_ups.start(at(now)) {
                        began.extend(orders.iter().map(|order| (order.number, now)));
                        start_first(orders, now, &mut runs, &mut running, &mut queued);
                    }
                }
            }
            for command in FIRST..FIRST + 3 {
                for (number, name) in names.iter().enumerate() {
                    let changed: Vec<u64> = changes.iter().filter(|(_, file)| *file == number).map(|(at, _)| *at).collect();
                    let told: Vec<u64> =
                        told.iter().filter(|(to, file, _)| *to == command && file == &PathBuf::from(name)).map(|(.., at)| *at).collect();
                    prop_assert!(told.len() <= changed.len(), "{command} {name}: {changed:?} {told:?}");
                    prop_assert!(changed.last().is_none_or(|last| told.last() >= Some(last)), "{command} {name}: {changed:?} {told:?}");
                }
            }
        }
    }

    /// Starts the first of a list of orders; the others wait for it.
    fn start_first(
        mut orders: Vec<Order>,
        now: u64,
        runs: &mut impl Iterator<Item = (u64, bool)>,
        running: &mut Vec<(u64, Order, bool)>,
        queued: &mut BTreeMap<usize, Vec<Order>>,
    ) {
        let rest = orders.split_off(1);
        let order = orders.remove(0);
        let (takes, is_well) = runs.next().unwrap();
        queued.insert(order.number, rest);
        running.push((now + takes, order, is_well));
    }
}
