//! What a user database said when it was asked, as a whole. The rows come in the order of the server; they are grouped by
//! domain in files without a name. Memory holds where each domain's rows are, and four bytes for each row. So what reads homes
//! needs nothing but the open file.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use foldhash::quality::SeedableRandomState;
use nix::errno::Errno;

use self::grouping::{Grouping, Written};
use super::rows::{self, Entry, Rows};
use super::stream::{About, Reader, Row, shown};
use crate::error::Trouble;
use crate::host::user_database::Kind;
use crate::host::vpopmail::{ADDRESS_MAX, Mailbox};

mod grouping;
mod runs;

/// More domains than this no host has: a server that names more is not believed.
const MAX_DOMAINS: usize = 1 << 22;

/// Which rows of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Mailboxes = b'M' as isize,
    Aliases = b'A' as isize,
}

/// Rows of a domain, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Extent {
    rows: usize,
    /// How long they are together, in bytes.
    length: u64,
    /// What they are, as a number.
    print: u64,
}

/// Where the rows of one domain stand.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    start: u64,
    /// Where in [`Snapshot::marks`] theirs are.
    marks: usize,
    all: Extent,
}

/// Numbers, by what rows are and the key of their domain.
type Numbers = HashMap<Arc<[u8]>, u32, SeedableRandomState>;

/// What a user database said at one moment.
#[derive(Debug)]
pub struct Snapshot {
    about: About,
    /// The numbers of places, by what the rows are and the key of the domain.
    numbers: Numbers,
    places: Vec<Place>,
    /// For each row of a domain the low half of the print of all up to it: so the next snapshot sees which are the same.
    marks: Vec<u32>,
    /// It may hold rows of earlier snapshots, too.
    file: Arc<File>,
    /// Where the file's next rows go.
    end: u64,
    /// Whether rows could not be read back: then the next snapshot takes none of them.
    is_damaged: AtomicBool,
    /// The domains that have limits, by key: whether their users may not log in for SMTP.
    limits: HashMap<Box<[u8]>, bool>,
    /// Where each domain has a table: those that were read, and why the others could not be.
    tables: HashMap<Box<[u8]>, Option<Trouble>>,
}

/// The rows of two may differ: which domains' do is told by [`Snapshot::print`].
impl PartialEq for Snapshot {
    fn eq(&self, other: &Snapshot) -> bool {
        self.about == other.about
    }
}

impl Eq for Snapshot {}

/// The table that vpopmail has for the mailboxes of a domain, where each has one.
pub fn table_of(domain: &[u8], kind: Kind) -> Vec<u8> {
    let munged = domain.iter().map(|b| if matches!(b, b'.' | b'-') { b'_' } else { *b });
    munged.map(|b| if kind == Kind::Pgsql { b.to_ascii_lowercase() } else { b }).collect()
}

fn place_of(what: What, key: &[u8]) -> Vec<u8> {
    std::iter::once(what as u8).chain(key.iter().copied()).collect()
}

impl Snapshot {
    /// What is known of the user database beside its rows.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The mailboxes that it has under this domain.
    ///
    /// # Errors
    /// The rows cannot be read back, or the table of the domain could not be read.
    pub fn mailboxes(&self, domain: &[u8]) -> Result<Rows, Trouble> {
        let key = self.mailbox_key(domain);
        // Each domain of vpopmail has a dot; lines of other users have tables by chance only.
        if self.about.has_table_each && domain.contains(&b'.') {
            match self.tables.get(&*key) {
                Some(None) => {}
                Some(Some(why)) => return Err(why.clone()),
                None => return Err(no_table()),
            }
        }
        self.rows(What::Mailboxes, &key)
    }

    /// Whether this domain has no table, where each has one. If no table at all was seen, that says nothing of this one.
    pub fn lacks_table(&self, domain: &[u8]) -> bool {
        self.about.has_table_each && !self.tables.is_empty() && !self.tables.contains_key(&*self.mailbox_key(domain))
    }

    /// The aliases that it has under this domain: a row for each line, under the first of the spellings of a name.
    ///
    /// # Errors
    /// The rows cannot be read back.
    pub fn aliases(&self, domain: &[u8]) -> Result<Rows, Trouble> {
        self.rows(What::Aliases, &self.about.of_alias_domain.key(domain))
    }

    /// How long the rows of this domain are together, in bytes.
    pub fn size(&self, domain: &[u8]) -> u64 {
        self.places_of(domain).iter().filter_map(|place| self.place(place)).map(|place| place.all.length).sum()
    }

    /// Whether the users of this domain may not log in for SMTP; `None` when the user database holds no limits of it.
    pub fn limits(&self, domain: &[u8]) -> Option<bool> {
        self.limits.get(&*self.about.of_limits.key(domain)).copied()
    }

    /// The table that has the mailboxes of this domain, as people call it.
    pub fn mailbox_table(&self, domain: &[u8]) -> PathBuf {
        match self.about.has_table_each {
            true => self.table(&table_of(domain, self.about.kind)),
            false => self.table(b"vpopmail"),
        }
    }

    /// The table that has the aliases, as people call it.
    pub fn alias_table(&self) -> PathBuf {
        self.table(b"valias")
    }

    fn table(&self, name: &[u8]) -> PathBuf {
        PathBuf::from(OsStr::from_bytes(&[&self.about.name[..], b".", name].concat()))
    }

    /// Whether it has any rows under this domain.
    pub fn knows(&self, domain: &[u8]) -> bool {
        self.places_of(domain).iter().any(|place| self.numbers.contains_key(&place[..]))
    }

    fn place(&self, place: &[u8]) -> Option<&Place> {
        self.places.get(*self.numbers.get(place)? as usize)
    }

    fn places_of(&self, domain: &[u8]) -> [Vec<u8>; 2] {
        [
            place_of(What::Mailboxes, &self.mailbox_key(domain)),
            place_of(What::Aliases, &self.about.of_alias_domain.key(domain)),
        ]
    }

    /// What it has under this domain, as a number: as long as that stays, so do the rows. Numbers of two snapshots compare
    /// when both were made with the same [`RandomState`].
    pub fn print(&self, domain: &[u8]) -> (u64, u64, Option<bool>) {
        let print = |what, key: &[u8]| self.place(&place_of(what, key)).map_or(0, |place| place.all.print);
        let of_aliases = print(What::Aliases, &self.about.of_alias_domain.key(domain));
        (print(What::Mailboxes, &self.mailbox_key(domain)), of_aliases, self.limits(domain))
    }

    /// What it has under all domains that are wanted, as a number; see [`Snapshot::print`].
    pub fn print_of(&self, is_wanted: &dyn Fn(&[u8]) -> bool, seed: &RandomState) -> u64 {
        let wanted =
            self.numbers.iter().filter(|(place, _)| place.split_first().is_some_and(|(_, key)| is_wanted(key)));
        let print = |number: &u32| self.places.get(*number as usize).map_or(0, |place| place.all.print);
        // In no order.
        wanted.fold(0, |all, (key, number)| all ^ seed.hash_one((key, print(number))))
    }

    /// All that it has, as a number; see [`Snapshot::print`].
    pub fn print_of_all(&self, seed: &RandomState) -> u64 {
        let limits = self.limits.iter().fold(0, |all, limits| all ^ seed.hash_one(limits));
        self.print_of(&|_| true, seed) ^ limits
    }

    fn mailbox_key(&self, domain: &[u8]) -> Vec<u8> {
        match self.about.has_table_each {
            true => table_of(domain, self.about.kind),
            false => self.about.of_domain.key(domain).into_owned(),
        }
    }

    fn rows(&self, what: What, key: &[u8]) -> Result<Rows, Trouble> {
        let Some(place) = self.place(&place_of(what, key)) else { return Ok(Rows::default()) };
        let rows = self.read(place.start, place.all.length).and_then(|bytes| Rows::parse(bytes).ok_or_else(damaged));
        rows.map_err(|cause| {
            self.is_damaged.store(true, Ordering::Relaxed);
            of_copy(cause)
        })
    }

    fn read(&self, start: u64, length: u64) -> Result<Vec<u8>, Trouble> {
        let mut bytes = Vec::new();
        let length = usize::try_from(length).map_err(|_| Errno::ENOMEM)?;
        bytes.try_reserve_exact(length).map_err(|_| Errno::ENOMEM)?;
        bytes.resize(length, 0);
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes)
    }
}

/// Where a table is not, or where the user that asks may not see it.
fn no_table() -> Trouble {
    "there is no such table with mailboxes, or the user that asks has no privilege for it".into()
}

fn damaged() -> Trouble {
    "they are not those that were written".into()
}

/// The mailbox that a row is.
pub fn mailbox(value: &[u8]) -> Mailbox<'_> {
    let (flags, crypt) = rows::parts(value);
    Mailbox::of_row(crypt, flags)
}

/// The line of an alias that a row is; `None` when the row has none, on which vdelivermail crashes.
pub fn line(value: &[u8]) -> Option<&[u8]> {
    let (has_line, line) = rows::parts(value);
    (has_line != 0).then_some(line)
}

fn of_copy(cause: impl Into<Trouble>) -> Trouble {
    cause.into().of_file("the copy of its rows")
}

/// Reads what a user database says. `file` makes a file without a name; the numbers of [`Snapshot::print`] are made with
/// `seed`. Of domains whose rows are those of `before`, which was made with it, nothing is written again.
///
/// # Errors
/// Why it is not whole: in the words of the server, when these tell.
pub fn read(
    stream: impl Read,
    file: &mut dyn FnMut() -> io::Result<File>,
    seed: &RandomState,
    before: Option<&Snapshot>,
) -> Result<Snapshot, Trouble> {
    let mut new_file = || file().map_err(of_copy);
    let (mut reader, about) = Reader::new(stream)?;
    let (mut limits, mut tables) = (HashMap::new(), HashMap::new());
    let mut grouping = Grouping::new(&mut new_file, seed, before)?;
    // The statements of vpopmail for the others hold such a name so that no row is found.
    let is_found = |name: &[u8]| name.len() <= ADDRESS_MAX && (about.kind == Kind::Mysql || !name.contains(&b'\''));
    while let Some(row) = reader.next_row()? {
        match row {
            Row::Mailbox(domain, name, crypt, flags) => {
                let name = about.of_mailbox.key(name);
                let key = if about.has_table_each { domain.into() } else { about.of_domain.key(domain) };
                if is_found(&name) && is_domain(&key) {
                    let mut add =
                        |name: &[u8]| grouping.add((What::Mailboxes, &key), Entry { number: flags, name, text: crypt });
                    match about.of_mailbox.alike.is_empty() {
                        true => add(&name)?,
                        false => about.of_mailbox.spellings(&name).iter().try_for_each(|name| add(name))?,
                    }
                }
            }
            Row::Alias(domain, name, line) => {
                let (name, key) = (about.of_alias.key(name), about.of_alias_domain.key(domain));
                if about.has_aliases && is_found(&name) && is_domain(&key) {
                    let (number, text) = (u32::from(line.is_some()), line.unwrap_or_default());
                    // The other spellings of its name are made where its rows are decided: each would hold all of them.
                    grouping.add((What::Aliases, &key), Entry { number, name: &name, text })?;
                }
            }
            Row::Table(table, why) => {
                if about.has_table_each && is_domain(table) {
                    tables.insert(table.into(), why.map(shown));
                    if tables.len() > MAX_DOMAINS {
                        return Err(format!("it has tables of more than {MAX_DOMAINS} domains").into());
                    }
                }
            }
            Row::Limits(domain, no_smtp) => {
                let key = about.of_limits.key(domain);
                if about.has_limits && is_domain(&key) {
                    // Of equal domains the first row counts.
                    limits.entry(key.as_ref().into()).or_insert(no_smtp);
                    if limits.len() > MAX_DOMAINS {
                        return Err(format!("it has limits of more than {MAX_DOMAINS} domains").into());
                    }
                }
            }
        }
    }
    let Written { numbers, places, marks, file, end } = grouping.write(&mut new_file)?;
    Ok(Snapshot { about, numbers, places, marks, file, end, is_damaged: AtomicBool::new(false), limits, tables })
}

/// Whether a text may be a domain, or the name of a table.
fn is_domain(text: &[u8]) -> bool {
    text.len() <= ADDRESS_MAX
}

#[cfg(test)]
mod tests {
    use super::super::stream::{Writer, fail, tests::mysql};
    use super::grouping::GROUP;
    use super::*;

    fn snapshot(about: &About, rows: &[Row<'_>], seed: &RandomState) -> Snapshot {
        snapshot_after(None, about, rows, seed)
    }

    fn snapshot_after(before: Option<&Snapshot>, about: &About, rows: &[Row<'_>], seed: &RandomState) -> Snapshot {
        read(&stream(about, rows)[..], &mut tempfile::tempfile, seed, before).unwrap()
    }

    /// What a client sends of these rows.
    fn stream(about: &About, rows: &[Row<'_>]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), about).unwrap();
        rows.iter().for_each(|row| writer.row(*row).unwrap());
        writer.end().unwrap()
    }

    fn shown(rows: &Rows) -> Vec<String> {
        rows.iter().map(|(name, value)| format!("{} {}", String::from_utf8_lossy(name), value.len())).collect()
    }

    #[test]
    fn rows_in_any_order_are_grouped_by_domain_however_many_there_are() {
        let seed = RandomState::new();
        // More than stands in memory.
        let value = vec![b'x'; 1 << 12];
        let domains: Vec<String> = (0..70).map(|number| format!("d{number}.test")).collect();
        let names: Vec<String> = (0..40).map(|number| format!("n{number:02}")).collect();
        let mut rows = Vec::new();
        for name in &names {
            for domain in &domains {
                rows.push(Row::Mailbox(domain.as_bytes(), name.as_bytes(), &value, 16));
                rows.push(Row::Alias(domain.as_bytes(), name.as_bytes(), None));
            }
        }
        rows.push(Row::Limits(b"D3.Test ", true));
        let all = snapshot(&mysql(), &rows, &seed);
        for domain in &domains {
            let rows = all.mailboxes(domain.as_bytes()).unwrap();
            let expected: Vec<String> = names.iter().map(|name| format!("{name} {}", 4 + value.len())).collect();
            assert_eq!(shown(&rows), expected, "{domain}");
            assert_eq!(mailbox(rows.of(b"n07").next().unwrap()).flags, 16);
            assert_eq!(line(all.aliases(domain.as_bytes()).unwrap().of(b"n07").next().unwrap()), None);
            assert!(all.knows(domain.as_bytes()));
        }
        assert_eq!((all.limits(b"d3.test"), all.limits(b"d4.test"), all.knows(b"e.test")), (Some(true), None, false));
        assert!(all.mailboxes(b"e.test").unwrap().is_empty());
        // One row that is another one changes what its domain is, and no other.
        rows[0] = Row::Mailbox(domains[0].as_bytes(), names[0].as_bytes(), &value, 0);
        let other = snapshot(&mysql(), &rows, &seed);
        let changed = domains.iter().filter(|domain| all.print(domain.as_bytes()) != other.print(domain.as_bytes()));
        assert_eq!(changed.collect::<Vec<_>>(), [&domains[0]]);
    }

    #[test]
    fn of_domains_that_are_as_they_were_nothing_is_written_again() {
        let seed = RandomState::new();
        let domains: Vec<String> = (0..100).map(|number| format!("d{number}.test")).collect();
        let take = |before: Option<&Snapshot>, crypt: &[u8], letter: u8| {
            // One of them has far more than stands in memory.
            let line = vec![letter; GROUP * 12];
            let mut rows = vec![Row::Mailbox(b"d3.test", b"joe", crypt, 0); 1];
            rows.extend(domains.iter().map(|domain| Row::Mailbox(domain.as_bytes(), b"ann", b"same", 0)));
            rows.extend([Row::Alias(b"d7.test", b"long", Some(&line)); 8]);
            snapshot_after(before, &mysql(), &rows, &seed)
        };
        let assert_holds = |snapshot: &Snapshot, crypt: &[u8], letter: u8| {
            for domain in &domains {
                let rows = snapshot.mailboxes(domain.as_bytes()).unwrap();
                assert_eq!(mailbox(rows.of(b"ann").next().unwrap()).crypt, &b"same"[..], "{domain}");
            }
            let rows = snapshot.mailboxes(b"d3.test").unwrap();
            assert_eq!(mailbox(rows.of(b"joe").next().unwrap()).crypt, crypt);
            let rows = snapshot.aliases(b"d7.test").unwrap();
            let lines: Vec<&[u8]> = rows.of(b"long").map(|value| line(value).unwrap()).collect();
            assert_eq!((lines.len(), lines.concat().len()), (8, GROUP * 12 * 8));
            assert!(lines.iter().all(|line| line.iter().all(|b| *b == letter)));
        };
        let bytes = |snapshot: &Snapshot| snapshot.file.metadata().unwrap().len();
        let first = take(None, b"one", b'a');
        let at_first = bytes(&first);
        let same = take(Some(&first), b"one", b'a');
        assert_eq!(bytes(&same), at_first, "nothing changed");
        let other = take(Some(&same), b"other", b'a');
        assert!((1..100).contains(&(bytes(&other) - at_first)), "two rows of one domain changed");
        assert_holds(&first, b"one", b'a');
        assert_holds(&same, b"one", b'a');
        assert_holds(&other, b"other", b'a');
        // What is of no use any more is not kept for ever.
        let mut last = other;
        for letter in b'b'..=b'g' {
            last = take(Some(&last), b"more", letter);
            assert_holds(&last, b"more", letter);
            assert!(bytes(&last) < 3 * at_first, "{} of {at_first}", bytes(&last));
        }
        // Nor is what cannot be read back.
        last.file.set_len(0).unwrap();
        assert!(last.mailboxes(b"d3.test").is_err());
        assert_holds(&take(Some(&last), b"more", b'g'), b"more", b'g');
    }

    #[test]
    fn a_snapshot_is_the_same_whichever_one_was_before_it() {
        let seed = RandomState::new();
        let one = ["a 1", "b 1", "b 2", "c 1", "d 1"];
        let others: [&[&str]; 12] = [
            &one,
            &[],
            &["a 1"],
            &["a 1", "b 1", "b 2", "c 1"],
            &["b 1", "b 2", "c 1", "d 1"],
            &["a 1", "b 1", "b 2", "c 1", "d 1", "e 1"],
            &["a 0", "a 1", "b 1", "b 2", "c 1", "d 1"],
            &["a 1", "b 1", "b 2", "b 3", "c 1", "d 1"],
            &["a 1", "b 1", "b 2", "c 1", "d 2"],
            &["a 1", "b 2", "b 1", "c 1", "d 1"],
            &["a 1", "a 1", "b 1", "b 2", "c 1", "d 1"],
            &["d 1", "c 1", "b 2", "b 1", "a 1"],
        ];
        let take = |before: Option<&Snapshot>, texts: &[&str]| {
            let texts = texts.iter().map(|text| text.split_once(' ').unwrap());
            let mut rows: Vec<Row> =
                texts.map(|(name, value)| Row::Alias(b"a.test", name.as_bytes(), Some(value.as_bytes()))).collect();
            rows.insert(0, Row::Mailbox(b"b.test", b"joe", b"1", 0));
            snapshot_after(before, &mysql(), &rows, &seed)
        };
        let all = |snapshot: &Snapshot| {
            let (aliases, mailboxes) = (snapshot.aliases(b"a.test").unwrap(), snapshot.mailboxes(b"b.test").unwrap());
            let rows =
                aliases.iter().map(|(name, value)| [name, b" ", line(value).unwrap()].concat()).collect::<Vec<_>>();
            let rows = rows.into_iter().map(|row| String::from_utf8(row).unwrap()).collect::<Vec<_>>();
            (rows, mailboxes.len(), snapshot.print_of_all(&seed))
        };
        let first = take(None, &one);
        for rows in others {
            let alone = all(&take(None, rows));
            let mut expected = rows.to_vec();
            expected.sort_by_key(|row| &row[..1]);
            assert_eq!((&alone.0[..], alone.1), (&expected.iter().map(ToString::to_string).collect::<Vec<_>>()[..], 1));
            let after = take(Some(&first), rows);
            assert_eq!(all(&after), alone, "{rows:?}");
            // And back.
            assert_eq!(all(&take(Some(&after), &one)), all(&first), "{rows:?}");
        }
        assert_eq!(all(&first).0, one, "what comes later changes nothing of it");
    }

    /// How long the files of a snapshot of these rows are together, in bytes, and the snapshot.
    fn written(rows: &[Row<'_>], seed: &RandomState) -> (u64, Snapshot) {
        let mut files = Vec::new();
        let mut file = || {
            let file = tempfile::tempfile()?;
            files.push(file.try_clone()?);
            Ok(file)
        };
        let snapshot = read(&stream(&mysql(), rows)[..], &mut file, seed, None).unwrap();
        (files.iter().map(|file| file.metadata().unwrap().len()).sum(), snapshot)
    }

    #[test]
    fn rows_that_come_domain_after_domain_are_written_once() {
        let seed = RandomState::new();
        let line = [b'x'; 1000];
        let domains: Vec<String> = (0..200).map(|number| format!("d{number}.test")).collect();
        let of = |number: usize| [Row::Alias(domains[number].as_bytes(), b"al", Some(&line)); 20];
        let rows: Vec<Row> = (0..domains.len()).flat_map(of).collect();
        let (bytes, snapshot) = written(&rows, &seed);
        // A row has 12 bytes beside its texts (6 in front of them, 4 for the number, and the name's 2).
        assert_eq!(bytes, 200 * 20 * (1000 + 12));
        // One more row of one domain moves the rows of that domain only.
        let (more, _) = written(&[&rows[..], &of(7)[..1]].concat(), &seed);
        assert_eq!(more - bytes, 21 * (1000 + 12));
        assert_eq!(snapshot.aliases(b"d7.test").unwrap().len(), 20);
    }

    #[test]
    fn rows_are_grouped_however_long_the_runs_are_in_which_they_come() {
        let seed = RandomState::new();
        let values = ["", "short", &"long".repeat(100), &"longer than what waits in memory".repeat(GROUP / 20)];
        let mut random = 1u64;
        let mut below = |limit: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % limit
        };
        for round in 0..60 {
            let mut expected: std::collections::BTreeMap<String, Vec<(String, &str)>> = Default::default();
            let mut came = Vec::new();
            let (domains, longest) = (1 + below(90), 1 + below(30));
            for _ in 0..below(120) {
                let domain = format!("d{}.test", below(domains));
                for _ in 0..1 + below(longest) {
                    let value = values[usize::try_from(below(40)).unwrap().saturating_sub(36)];
                    let row = (format!("n{}", below(9)), value);
                    expected.entry(domain.clone()).or_default().push(row.clone());
                    came.push((domain.clone(), row));
                }
            }
            let rows: Vec<Row> = came
                .iter()
                .map(|(domain, (name, value))| Row::Alias(domain.as_bytes(), name.as_bytes(), Some(value.as_bytes())))
                .collect();
            let all = snapshot(&mysql(), &rows, &seed);
            for (domain, rows) in &mut expected {
                rows.sort_by(|one, other| one.0.cmp(&other.0));
                let its = all.aliases(domain.as_bytes()).unwrap();
                let its = its.iter().map(|(name, value)| (name, line(value).unwrap()));
                let rows = rows.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
                assert!(its.eq(rows), "{domain} in round {round}");
            }
            // The same rows after it are the same ones, and nothing of them is written again.
            let again = snapshot_after(Some(&all), &mysql(), &rows, &seed);
            assert_eq!((again.print_of_all(&seed), again.end), (all.print_of_all(&seed), all.end), "round {round}");
            // After it, rows of which one went are what they are alone.
            if !rows.is_empty() {
                let mut fewer = rows.clone();
                fewer.remove(usize::try_from(below(rows.len() as u64)).unwrap());
                let (after, alone) =
                    (snapshot_after(Some(&all), &mysql(), &fewer, &seed), snapshot(&mysql(), &fewer, &seed));
                assert_eq!(after.print_of_all(&seed), alone.print_of_all(&seed), "round {round}");
                for domain in expected.keys().map(String::as_bytes) {
                    assert_eq!(after.aliases(domain).unwrap(), alone.aliases(domain).unwrap(), "round {round}");
                }
            }
        }
    }

    #[test]
    fn a_copy_that_is_damaged_is_told_from_the_rows_that_were_written() {
        let seed = RandomState::new();
        let rows = |last| [Row::Alias(b"a.test", b"joe", Some(b"first")), Row::Alias(b"a.test", b"joe", Some(last))];
        let take = |before: &Snapshot| {
            read(&stream(&mysql(), &rows(b"changed"))[..], &mut tempfile::tempfile, &seed, Some(before))
        };
        let first = snapshot(&mysql(), &rows(b"last"), &seed);
        assert!(take(&first).is_ok());
        first.file.write_all_at(b"F", 6 + 3 + 1).unwrap();
        assert_eq!(take(&first).unwrap_err().text, "the copy of its rows: they are not those that were written");
        let lines = take(&first).unwrap().aliases(b"a.test").unwrap();
        assert_eq!(lines.of(b"joe").map(|value| line(value).unwrap()).collect::<Vec<_>>(), [&b"first"[..], b"changed"]);
        // What a disk may give back instead: bytes that are no row, and a row that would be longer than any.
        for bytes in [&[0; 18][..], &[1, 0, 255, 255, 255, 127]] {
            let first = snapshot(&mysql(), &rows(b"last"), &seed);
            first.file.write_all_at(bytes, 0).unwrap();
            assert_eq!(take(&first).unwrap_err().text, "the copy of its rows: they are not those that were written");
            assert_eq!(take(&first).unwrap().aliases(b"a.test").unwrap().len(), 2);
        }
    }

    #[test]
    fn rows_are_found_as_the_columns_compare() {
        let seed = RandomState::new();
        let rows = [
            Row::Mailbox(b"A.Test ", b"Joe", b"1", 0),
            Row::Mailbox(b"a.test", b"o'brien", b"2", 0),
            Row::Alias(b"a.test", b"Sales ", Some(b"x")),
        ];
        let names = |about: &About| {
            let snapshot = snapshot(about, &rows, &seed);
            let (mailboxes, aliases) = (snapshot.mailboxes(b"a.test").unwrap(), snapshot.aliases(b"a.test").unwrap());
            let names = mailboxes.names().chain(aliases.names()).map(String::from_utf8_lossy);
            names.map(|name| name.into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&mysql()), "joe o'brien sales");
        let plain = || super::super::collation::Collation::default();
        let pgsql = About {
            kind: Kind::Pgsql,
            of_mailbox: plain(),
            of_domain: plain(),
            of_alias: plain(),
            of_alias_domain: plain(),
            ..mysql()
        };
        assert_eq!(names(&pgsql), "Sales ");
        let without_aliases = About { has_aliases: false, ..mysql() };
        assert_eq!(names(&without_aliases), "joe o'brien");
    }

    #[test]
    fn domains_share_the_table_that_both_are_munged_to() {
        let about = About { has_table_each: true, ..mysql() };
        let rows = [
            Row::Mailbox(b"b_c_test", b"joe", b"", 0),
            Row::Table(b"b_c_test", None),
            Row::Table(b"bc_test", None),
            Row::Table(b"denied_test", Some(b"1142: SELECT command denied\n")),
        ];
        let snapshot = snapshot(&about, &rows, &RandomState::new());
        for (domain, found) in [("b-c.test", 1), ("b.c.test", 1), ("b_c_test", 1), ("bc.test", 0)] {
            assert_eq!(snapshot.mailboxes(domain.as_bytes()).unwrap().len(), found, "{domain}");
        }
        // A table that is not read is not an empty one.
        let why = |domain: &[u8]| snapshot.mailboxes(domain).unwrap_err().text;
        assert_eq!(why(b"denied.test"), "1142: SELECT command denied\\x0a");
        assert_eq!(why(b"gone.test"), no_table().text);
        assert!(snapshot.mailboxes(b"user").unwrap().is_empty(), "the line of a user, and no domain");
    }

    #[test]
    fn a_stream_that_fails_in_the_middle_is_no_snapshot() {
        let mut writer = Writer::new(Vec::new(), &mysql()).unwrap();
        writer.row(Row::Limits(b"a.test", true)).unwrap();
        let mut bytes = writer.end().unwrap();
        bytes.truncate(bytes.len() - 5 - 4 - 24);
        let seed = RandomState::new();
        let why = |bytes: &[u8]| read(bytes, &mut tempfile::tempfile, &seed, None).unwrap_err().text;
        assert_eq!(why(&bytes), "the rows of the user database broke off");
        fail(&mut bytes, "server has gone away").unwrap();
        assert_eq!(why(&bytes), "server has gone away");
    }
}
