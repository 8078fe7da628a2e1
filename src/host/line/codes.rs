//! Sets of exit codes, and the states that a line of the shell can be in: what was met on the way, and with which codes.

use std::collections::BTreeMap;
use std::fmt;

/// A set of exit codes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Codes([u64; 4]);

impl Codes {
    /// Every code.
    pub const ALL: Codes = Codes([u64::MAX; 4]);

    /// This one alone.
    pub fn of(code: u8) -> Codes {
        let mut codes = Codes::default();
        codes.0[usize::from(code >> 6)] |= 1 << (code & 63);
        codes
    }

    /// Whether it is in the set.
    pub fn has(self, code: u8) -> bool {
        !self.and(Codes::of(code)).is_empty()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self == Codes::default()
    }

    /// Those of both.
    pub fn or(self, other: Codes) -> Codes {
        Codes(std::array::from_fn(|at| self.0[at] | other.0[at]))
    }

    /// Those that are in both.
    pub fn and(self, other: Codes) -> Codes {
        Codes(std::array::from_fn(|at| self.0[at] & other.0[at]))
    }

    /// Those that are not in the other.
    pub fn without(self, other: Codes) -> Codes {
        Codes(std::array::from_fn(|at| self.0[at] & !other.0[at]))
    }

    /// Each of them, the smallest first.
    pub fn each(self) -> impl Iterator<Item = u8> {
        let of_word = |(at, mut word): (u8, u64)| {
            std::iter::from_fn(move || {
                let code = (word != 0).then(|| at | word.trailing_zeros() as u8)?;
                word &= word - 1;
                Some(code)
            })
        };
        [0, 64, 128, 192].into_iter().zip(self.0).flat_map(of_word)
    }
}

impl fmt::Debug for Codes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.each()).finish()
    }
}

/// Whether qmail-local bounces a message after this exit code of a program line (docs/rules.md, 3.8).
pub fn bounces(code: u8) -> bool {
    matches!(code, 100 | 64 | 65 | 70 | 76 | 77 | 78 | 112)
}

/// A part that cannot be known has failed.
pub const FAILED: u8 = 1;
/// A part that cannot be known has run, and no program that knows users after it.
pub const PENDING: u8 = 1 << 1;
/// The catch-all `delete` has swallowed the message.
pub const DELETED: u8 = 1 << 2;
/// A program that knows its users has delivered.
pub const DELIVERED: u8 = 1 << 3;
/// A program may have users that cannot be known, or its users could not be read.
pub const DOUBTED: u8 = 1 << 4;
/// The code refuses the message, whatever it is.
pub const REFUSED: u8 = 1 << 5;
/// The code is that of a program that knows users.
pub const AGENT: u8 = 1 << 6;
/// The code is that of a filter that failed, which says nothing about the address.
pub const FILTER: u8 = 1 << 7;
/// What goes with a code, and is over with the next one.
const OF_CODE: u8 = REFUSED | AGENT | FILTER;

/// What can have come of a line so far: for each set of marks the codes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct States(BTreeMap<u8, Codes>);

/// What a program may come to.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// With one of these codes.
    pub codes: Codes,
    /// These marks are set then.
    pub set: u8,
    /// These marks are over then.
    pub clear: u8,
}

impl States {
    /// The state before anything has run.
    pub fn start() -> States {
        States(BTreeMap::from([(0, Codes::of(0))]))
    }

    /// Adds codes with these marks.
    pub fn add(&mut self, marks: u8, codes: Codes) {
        if !codes.is_empty() {
            let known = self.0.entry(marks).or_default();
            *known = known.or(codes);
        }
    }

    /// Adds those of another.
    pub fn extend(&mut self, other: States) {
        other.0.into_iter().for_each(|(marks, codes)| self.add(marks, codes));
    }

    /// Each set of marks with its codes.
    pub fn each(&self) -> impl Iterator<Item = (u8, Codes)> {
        self.0.iter().map(|(marks, codes)| (*marks, *codes))
    }

    /// Whether nothing comes here.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every code.
    pub fn codes(&self) -> Codes {
        self.each().fold(Codes::default(), |all, (_, codes)| all.or(codes))
    }

    /// Those that succeeded, and those that did not.
    pub fn split(self) -> (States, States) {
        let (mut zero, mut others) = (States::default(), States::default());
        for (marks, codes) in self.0 {
            zero.add(marks, codes.and(Codes::of(0)));
            others.add(marks, codes.without(Codes::of(0)));
        }
        (zero, others)
    }

    /// What comes of a program that ends in one of these ways.
    pub fn after(&self, endings: &[Ending]) -> States {
        let mut after = States::default();
        for (marks, _) in self.each() {
            for Ending { codes, set, clear } in endings {
                after.add((marks & !OF_CODE & !clear) | set, *codes);
            }
        }
        after
    }

    /// What comes of a command with this code.
    pub fn with_code(&self, code: u8) -> States {
        self.after(&[Ending { codes: Codes::of(code), set: 0, clear: 0 }])
    }

    /// What `!` makes of it.
    pub fn negated(self) -> States {
        let (zero, others) = self.split();
        let mut negated = zero.with_code(1);
        negated.extend(others.with_code(0));
        negated
    }

    /// The same codes as these, after what was met in the `met` ones.
    pub fn as_before(&self, met: &States) -> States {
        let codes = self.codes();
        let mut states = States::default();
        met.each().for_each(|(marks, _)| states.add(marks & !OF_CODE, codes));
        states
    }
}
