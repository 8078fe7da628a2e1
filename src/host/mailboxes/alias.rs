//! What vdelivermail does with the lines of an alias in a user database (docs/rules.md, 10.5). They are no lines of a
//! `.qmail` file: a forward happens at once, and each line is one row.

use std::collections::BTreeMap;
use std::io;

use super::super::Layout;
use super::super::dot_qmail::{Program, program_of};
use super::super::line::codes::bounces;
use super::collation::Collation;
use super::rows::Rows;
use super::snapshot::line;
use crate::fs::budget::Budget;

/// What the name of an alias ends in that answers for every name that begins as it does.
pub const DEFAULT: &[u8] = b"default";

/// What becomes of a message by one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The next line is read.
    Passes,
    /// It is delivered, or nobody can know.
    Delivers,
    /// It is deferred.
    Defers,
    /// It bounces.
    Bounces,
}

/// What a line does, and in words.
pub fn effect(line: Option<&[u8]>, layout: &Layout) -> (Effect, &'static str) {
    use Effect::{Bounces, Defers, Delivers, Passes};
    let Some(line) = line else { return (Defers, "NULL, on which vdelivermail crashes: deferred") };
    match line.first() {
        Some(b'#') => (Passes, "a comment: it takes the mail and drops it"),
        Some(b'/' | b'.') if line.ends_with(b"/") => (Delivers, "a maildir: delivered"),
        Some(b'/' | b'.') => (Defers, "a mailbox file, which vdelivermail does not write: deferred"),
        Some(b'|') => {
            let start = line.iter().take_while(|b| matches!(b, b'|' | b' ')).count();
            match program_of(&line[start..], &layout.qmail, &layout.vpopmail) {
                Program::Exit(0) => (Passes, "exit 0: the next line is read"),
                Program::Exit(99) => (Delivers, "exit 99: done, delivered"),
                Program::Exit(code) if bounces(code) => (Bounces, "a program that bounces"),
                Program::Exit(_) => (Defers, "a program that defers"),
                Program::Bouncesaying => (Bounces, "bouncesaying: bounced"),
                // It would ask for aliases itself.
                Program::Vdelivermail(_) | Program::VdelivermailMisused | Program::Line(_) | Program::Unknown(_) => {
                    (Delivers, "a program that may deliver: taken as delivered")
                }
            }
        }
        _ => (Delivers, "a forward: delivered"),
    }
}

/// What becomes of a message by an alias, the number of the row that decides, and its words.
type Decided = (Effect, usize, &'static str);

/// The aliases of a domain. What each makes of a message is decided once, and not for each name that leads to it.
#[derive(Clone, Debug, Default)]
pub struct Aliases {
    /// By each spelling of their names.
    decided: BTreeMap<Vec<u8>, Decided>,
    /// A row for each line, under the first spelling of the name.
    rows: Rows,
    collation: Collation,
}

impl Aliases {
    /// Those that have these rows, which are found as this column compares. Each row is a step, and so is each other spelling
    /// of a name.
    ///
    /// # Errors
    /// There are more than the budget allows.
    pub fn decide(rows: Rows, collation: &Collation, layout: &Layout, budget: &Budget) -> io::Result<Aliases> {
        budget.steps(rows.len())?;
        let mut decided = BTreeMap::new();
        for key in rows.names() {
            let of_key = decide(rows.of(key), layout);
            let spellings = collation.spellings(key);
            budget.steps(spellings.len().saturating_sub(1))?;
            decided.extend(spellings.into_iter().map(|name| (name, of_key)));
        }
        Ok(Aliases { decided, rows, collation: collation.clone() })
    }

    /// The alias that answers for a name: its own name, and what it makes of a message.
    pub fn find(&self, name: &[u8], qmail_ext: bool) -> Option<(&[u8], Decided)> {
        let find = |alias: &[u8]| self.decided.get_key_value(alias).map(|(alias, decided)| (&alias[..], *decided));
        let dashes = || memchr::memchr_iter(b'-', name);
        let wildcards = || dashes().rev().find_map(|at| find(&[&name[..=at], DEFAULT].concat()));
        let base = || dashes().next().filter(|_| qmail_ext).and_then(|at| find(&name[..at]));
        find(name).or_else(wildcards).or_else(base)
    }

    /// For how many aliases [`Aliases::find`] looks at most.
    pub fn tries(&self, name: &[u8]) -> usize {
        if self.is_empty() { 0 } else { 2 + memchr::memchr_iter(b'-', name).count() }
    }

    /// Whether one has exactly this name.
    pub fn has(&self, name: &[u8]) -> bool {
        self.decided.contains_key(name)
    }

    /// The names in each spelling, sorted.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.decided.keys().map(Vec::as_slice)
    }

    /// The lines of this alias, without those that are NULL.
    pub fn lines_of(&self, name: &[u8]) -> impl Iterator<Item = &[u8]> + use<'_> {
        self.rows.of(&self.collation.key(name)).filter_map(line)
    }

    /// Each line with the name of its alias.
    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.rows.iter().filter_map(|(name, row)| Some((name, line(row)?)))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.decided.is_empty()
    }
}

/// What becomes of a message by the rows of an alias. Their order is the server's: what some order does counts, delivered
/// before deferred.
fn decide<'r>(rows: impl Iterator<Item = &'r [u8]>, layout: &Layout) -> Decided {
    let rank = |effect: Effect| match effect {
        Effect::Delivers => 3,
        Effect::Defers => 2,
        Effect::Bounces => 1,
        Effect::Passes => 0,
    };
    let mut found = (Effect::Passes, 1, "no row");
    for (number, row) in (1..).zip(rows) {
        let (effect, words) = effect(line(row), layout);
        if number == 1 || rank(effect) > rank(found.0) {
            found = (effect, number, words);
        }
        if effect == Effect::Delivers {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::rows;
    use super::*;
    use crate::fs::{Bounds, Root};

    fn layout() -> Layout {
        Layout {
            root: Root::new(std::path::Path::new("/"), Bounds::default()),
            qmail: b"/var/qmail".to_vec(),
            vpopmail: b"/home/vpopmail".to_vec(),
            is_vpopmail_given: true,
            users_cdb: None,
            user_database: None,
            connection: None,
            valias: None,
            snapshot: None,
            break_byte: b'-',
            qmail_ext: false,
            refuse_delete: true,
        }
    }

    #[test]
    fn what_a_line_does_is_in_its_first_byte_and_its_program() {
        use Effect::{Bounces, Defers, Delivers, Passes};
        for (line, does) in [
            ("#", Passes),
            ("# |exit 100", Passes),
            (" # x", Delivers),
            ("\t#", Delivers),
            ("", Delivers),
            ("   ", Delivers),
            ("joe", Delivers),
            ("&&joe@x.test", Delivers),
            (":include:/x", Delivers),
            ("\"open", Delivers),
            ("a@x.test\n|exit 100", Delivers),
            ("/d/Maildir/", Delivers),
            ("./Maildir/", Delivers),
            ("/d/mbox", Defers),
            ("./Maildir/ ", Defers),
            (".", Defers),
            ("/", Delivers),
            ("|", Passes),
            ("||| |", Passes),
            ("| exit 0", Passes),
            ("||  | exit 100", Bounces),
            ("|exit 356", Bounces),
            ("|exit 64", Bounces),
            ("|exit 99", Delivers),
            ("|exit 1", Defers),
            ("|exit 111", Defers),
            ("|exit 100 # not so", Delivers),
            ("|exit 0\nexit 100", Delivers),
            ("|/bin/true", Delivers),
            ("|bouncesaying no", Bounces),
            ("|/var/qmail/bin/bouncesaying no", Bounces),
            ("|bouncesaying no test", Delivers),
            ("|/home/vpopmail/bin/vdelivermail '' bounce-no-mailbox", Delivers),
            (" |exit 100", Delivers),
        ] {
            assert_eq!(effect(Some(line.as_bytes()), &layout()).0, does, "{line:?}");
        }
        assert_eq!(effect(None, &layout()).0, Defers);
    }

    fn rows(rows: &[(&str, &str)]) -> Rows {
        let mut bytes = Vec::new();
        for (name, line) in rows {
            rows::Entry { number: 1, name: name.as_bytes(), text: line.as_bytes() }.add_to(&mut bytes);
        }
        Rows::parse(bytes).unwrap()
    }

    fn aliases(its: &[(&str, &str)]) -> Aliases {
        let (layout, collation) = (layout(), Collation::default());
        Aliases::decide(rows(its), &collation, &layout, &Budget::new(layout.root.bounds)).unwrap()
    }

    #[test]
    fn an_alias_is_found_whole_then_by_default_from_the_right_then_by_what_stands_before_its_first_dash() {
        let rows = ["a", "a-b", "a-default", "a-b-default", "c", "default", "-default", "e-"];
        let aliases = aliases(&rows.map(|name| (name, "x")));
        for (name, found, with_ext) in [
            ("a-b", "a-b", "a-b"),
            ("a-c", "a-default", "a-default"),
            ("a-", "a-default", "a-default"),
            ("a-b-c-d", "a-b-default", "a-b-default"),
            ("a-default-x", "a-default", "a-default"),
            ("c-x-y", "", "c"),
            ("default-x", "", "default"),
            ("zz", "", ""),
            ("zz-x", "", ""),
            ("-x", "-default", "-default"),
            ("-", "-default", "-default"),
            ("e-x", "", ""),
            ("", "", ""),
        ] {
            let find = |ext: bool| {
                let found = aliases.find(name.as_bytes(), ext);
                String::from_utf8(found.map_or(&b""[..], |(alias, _)| alias).to_vec()).unwrap()
            };
            assert_eq!((find(false), find(true)), (found.to_owned(), with_ext.to_owned()), "{name}");
        }
    }

    #[test]
    fn what_some_order_of_the_rows_does_counts() {
        use Effect::{Bounces, Defers, Delivers, Passes};
        for (lines, does, decides) in [
            (vec!["# off", "#"], Passes, 1),
            (vec!["#", "|exit 100"], Bounces, 2),
            (vec!["|exit 100", "x@y.test"], Delivers, 2),
            (vec!["|exit 100", "|exit 111", "|exit 100"], Defers, 2),
            (vec!["|exit 99", "|exit 100"], Delivers, 1),
        ] {
            let rows: Vec<(&str, &str)> = lines.iter().map(|line| ("a", *line)).collect();
            let aliases = aliases(&rows);
            let (_, (effect, number, _)) = aliases.find(b"a", false).unwrap();
            assert_eq!((effect, number), (does, decides), "{lines:?}");
        }
    }

    #[test]
    fn a_row_is_a_step_and_so_is_each_other_spelling_of_a_name() {
        let lithuanian = Collation { alike: vec![(b'i', b'y')], ..Collation::default() };
        let its = rows(&[("ii", "#"), ("ii", "|exit 100"), ("o", "#")]);
        let layout = layout();
        let budget = |steps| Budget::new(Bounds { steps, ..Bounds::default() });
        let enough = budget(6);
        let aliases = Aliases::decide(its.clone(), &lithuanian, &layout, &enough).unwrap();
        assert_eq!(aliases.lines_of(b"yi").collect::<Vec<_>>(), [&b"#"[..], b"|exit 100"]);
        assert_eq!(enough.steps_taken(), 6);
        assert_eq!(aliases.names().collect::<Vec<_>>(), [&b"ii"[..], b"iy", b"o", b"yi", b"yy"]);
        assert!(
            aliases.names().all(|name| (aliases.find(name, false).unwrap().1.0 == Effect::Bounces) == (name != b"o"))
        );
        for steps in [2, 5] {
            assert!(Aliases::decide(its.clone(), &lithuanian, &layout, &budget(steps)).is_err(), "{steps}");
        }
    }
}
