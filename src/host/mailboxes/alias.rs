//! What vdelivermail does with the lines of an alias in a user database (docs/rules.md, 10.5). They are no lines of a
//! `.qmail` file: a forward happens at once, and each line is one row.

use super::super::Layout;
use super::super::dot_qmail::{Program, program_of};
use super::super::line::codes::bounces;
use super::Users;
use super::rows::Rows;
use super::snapshot::line;

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

/// The alias that answers for a name: its own name, and its rows.
pub fn find<'u>(users: &'u Users, name: &[u8], qmail_ext: bool) -> Option<(Vec<u8>, Vec<&'u [u8]>)> {
    let Users { aliases, .. } = users;
    if aliases.is_empty() {
        return None;
    }
    let dashes = || (0..name.len()).filter(|at| name[*at] == b'-');
    let wildcards = dashes().rev().map(|at| [&name[..=at], DEFAULT].concat());
    let base = dashes().next().filter(|_| qmail_ext).map(|at| name[..at].to_vec());
    let rows = |alias: Vec<u8>| {
        let rows: Vec<&[u8]> = aliases.of(&alias).collect();
        (!rows.is_empty()).then_some((alias, rows))
    };
    std::iter::once(name.to_vec()).chain(wildcards).chain(base).find_map(rows)
}

/// What becomes of a message by the rows of an alias, with the number of the row that decides and its words. Their order is
/// the server's: what some order does counts, delivered before deferred.
pub fn decide(rows: &[&[u8]], layout: &Layout) -> (Effect, usize, &'static str) {
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

/// Whether an alias has exactly this name.
pub fn has(aliases: &Rows, name: &[u8]) -> bool {
    !aliases.is_empty() && aliases.of(name).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::super::super::vpopmail::Mailboxes;
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

    fn users(rows: &[(&str, &str)]) -> Users {
        let mut bytes = Vec::new();
        for (name, line) in rows {
            rows::add(&mut bytes, name.as_bytes(), &[b"\x01", line.as_bytes()].concat());
        }
        Users { aliases: Rows::parse(bytes).unwrap(), ..Users::of_files(Mailboxes::Absent) }
    }

    #[test]
    fn an_alias_is_found_whole_then_by_default_from_the_right_then_by_what_stands_before_its_first_dash() {
        let rows = ["a", "a-b", "a-default", "a-b-default", "c", "default", "-default", "e-"];
        let users = users(&rows.map(|name| (name, "x")));
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
                let (alias, _) = find(&users, name.as_bytes(), ext).unwrap_or_default();
                String::from_utf8(alias).unwrap()
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
            let users = users(&rows);
            let (_, rows) = find(&users, b"a", false).unwrap();
            let (effect, number, _) = decide(&rows, &layout());
            assert_eq!((effect, number), (does, decides), "{lines:?}");
        }
    }
}
