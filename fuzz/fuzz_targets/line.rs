//! A program line, which a customer writes: reading it and running it in all ways takes little time, and no line ends in
//! another way when its programs end in fewer ways.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use nix::time::{ClockId, clock_gettime};
use qmail_updater::host::dot_qmail::Programs;
use qmail_updater::host::line::Line;
use qmail_updater::host::line::codes::Codes;
use qmail_updater::host::line::declared::Declarations;

/// A line may take so long of the processor: a millisecond, and what counting the code that runs costs.
const MOST: Duration = Duration::from_millis(5);

/// What this thread has taken of the processor.
fn taken() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has this clock").into()
}

fn read(line: &[u8], all: Codes) -> (Option<Codes>, Duration) {
    let declared = Declarations::default();
    let exists = |path: &[u8]| path.len().is_multiple_of(2);
    let programs = Programs::of_directories(b"/var/qmail", b"/home/vpopmail", &declared, &exists);
    let start = taken();
    let codes = Line::read(line, &programs, &mut 16).map(|line| line.codes(all));
    (codes, taken() - start)
}

fuzz_target!(|line: &[u8]| {
    let (all, mut took) = read(line, Codes::ALL);
    // The clock counts what the machine did meanwhile, too.
    for _ in 0..5 {
        if took <= MOST {
            break;
        }
        took = read(line, Codes::ALL).1;
    }
    assert!(took <= MOST, "{took:?}");
    let (some, _) = read(line, Codes::of(0));
    assert_eq!(all.is_some(), some.is_some());
    if let (Some(all), Some(some)) = (all, some) {
        assert!(!some.is_empty() && some.without(all).is_empty(), "{all:?}, {some:?}");
    }
});
