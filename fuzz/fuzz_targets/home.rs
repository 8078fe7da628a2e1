//! A user who owns a domain makes of his home whatever he can: no rebuild does more than the bounds allow, nothing of others
//! changes, and a home over a bound is kept.
//!
//! The input is a script, a line an action below his home `/home/eve`, whose directory `d` holds his domain. Words are
//! separated by blanks; `%20` and the like stand for a byte. The first line may name bounds that are smaller than usual:
//! `B STEPS NAMES BYTES ENTRIES ALIKE`.
//!
//! | line | makes |
//! |---|---|
//! | `f PATH CONTENT` | a file |
//! | `d PATH` | a directory |
//! | `l PATH TARGET`, `h PATH TARGET` | a link, a hard link |
//! | `p PATH` | a FIFO |
//! | `c PATH NAME:RECORD...` | a vpasswd.cdb |
//! | `a PATH COUNT` | a vpasswd.cdb whose keys have one hash |
//! | `n COUNT PATH` | so many files with a number behind the name |
//! | `s COUNT PATH TARGET` | a chain of so many links, of which the last one leads to the target |
//! | `D COUNT PATH` | a path of so many directories |
//! | `x PATH OFFSET BYTES` | other bytes in a file |
//! | `t PATH LENGTH` | a file of this length, with a hole at its end if it was shorter |
//! | `m MODE PATH` | another mode |
//! | `v PATH PATH` | another name |
//! | `r PATH` | nothing there |

#![no_main]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use libfuzzer_sys::fuzz_target;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};
use qmail_updater::args::Cli;
use qmail_updater::cdb::{Chunk, hash, image};
use qmail_updater::error::Error;
use qmail_updater::fs::budget::Budget;
use qmail_updater::fs::{Bounds, Folders, Root};
use qmail_updater::os::confine;
use qmail_updater::rebuild::{Built, Sink, build, read_host};
use qmail_updater::settings::Settings;
use qmail_updater_fuzz::{assert_printable, compile};
use tempfile::TempDir;

/// What is spent at once at most: a file that is opened, in steps, and bytes that one call reads. One list of names may have
/// as many as all may have.
const ONE_STEP: u64 = 20;
const ONE_READ: u64 = 1 << 16;
/// So much memory is there for all that a rebuild does, in bytes.
const MEMORY: u64 = 384 << 20;
/// No home of the host needs more.
const BOUNDS: Bounds = Bounds {
    file: 1 << 20,
    names: 40,
    steps: 800,
    bytes: 1 << 16,
    entries: 60,
    alike: 8,
    wait: Duration::from_secs(20),
    table: u32::MAX as u64,
};
/// Longer scripts only make more of the same.
const MAX_LINES: usize = 64;
/// So many entries the lines of users/assign make.
const OF_ASSIGN: usize = 8;
const EVE: u32 = 5001;
const HOMES: [&str; 2] = ["/home/eve", "/home/eve/d"];
/// In the hashes of all others.
const SECRET: &[u8] = b"SECRET";

/// What is published of a host, and what a rebuild makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Table(BTreeMap<Vec<u8>, Vec<u8>>);

#[derive(Default)]
struct Tables {
    recipients: Table,
    logins: Table,
}

impl Table {
    fn add(&mut self, records: &Chunk) {
        for record in records.records() {
            let before = self.0.insert(record.key.to_vec(), record.data.to_vec());
            assert_eq!(before, None, "written twice: {:?}", String::from_utf8_lossy(record.key));
        }
    }

    /// The entries that this home makes; none is everybody else.
    fn of(&self, home: Option<&str>) -> Table {
        let its = self.0.iter().filter(|(key, _)| home_of(key) == home);
        Table(its.map(|(key, data)| (key.clone(), data.clone())).collect())
    }
}

impl Sink for Tables {
    fn recipients(&mut self, records: &Chunk) -> Result<(), Error> {
        self.recipients.add(records);
        Ok(())
    }

    fn logins(&mut self, records: &Chunk) -> Result<(), Error> {
        self.logins.add(records);
        Ok(())
    }
}

/// Which of his homes decides about this key.
fn home_of(key: &[u8]) -> Option<&'static str> {
    let at = key.iter().rposition(|b| *b == b'@');
    let (local, domain) = at.map_or((key, &b""[..]), |at| (&key[..at], &key[at + 1..]));
    if [&b"att.test"[..], b"al.test"].contains(&domain) {
        return Some(HOMES[1]);
    }
    if ![&b"loc.test"[..], b""].contains(&domain) {
        return None;
    }
    let below = |name: &[u8]| local.strip_prefix(name).is_some_and(|rest| rest.first().is_none_or(|b| *b == b'-'));
    if below(b"att.test") || below(b"al.test") {
        return Some(HOMES[1]);
    }
    below(b"eve").then_some(HOMES[0])
}

/// A small mail host, of which only his home is made again for each input.
struct MailHost {
    top: TempDir,
    settings: Settings,
    published: Tables,
    /// What a rebuild of it reads, in bytes.
    read: u64,
}

impl MailHost {
    fn new() -> MailHost {
        let top = tempfile::Builder::new().prefix("qmail-updater-fuzz.").tempdir().expect("a temporary directory");
        let root = top.path().to_str().expect("a plain path");
        let typed = ["qmail-updater", "--root", root, "--vpopmail", "/home/vpopmail", "--backend", "cdb"];
        for directory in ["home/vpopmail/etc", "var/qmail/users", "var/qmail/alias"] {
            fs::create_dir_all(top.path().join(directory)).expect("an empty directory");
        }
        let typed = typed.into_iter().chain(["--threads", "1", "rebuild"]);
        let settings = Settings::new(&Cli::parse_from(typed)).expect("they can be used");
        let mut host = MailHost { top, settings, published: Tables::default(), read: 0 };
        let file = |path: &str, content: &[u8]| {
            let path = host.path(path);
            fs::create_dir_all(path.parent().expect("it is below the root")).expect("a directory");
            fs::write(path, content).expect("a file");
        };
        let passwd = "root:x:0:0::/root:/bin/sh\nalias:x:5000:5000::/var/qmail/alias:/bin/false\n\
                      eve:x:5001:5001::/home/eve:/bin/sh\njoe:x:5003:5003::/home/joe:/bin/sh\n";
        let assign = "+att.test-:att.test:5001:5001:/home/eve/d:-::\n+al.test-:att.test:5001:5001:/home/eve/d:-::\n\
                      +inn.test-:inn.test:5002:5002:/home/vpopmail/domains/inn.test:-::\n.\n";
        let all = "loc.test\natt.test\nal.test\ninn.test\n";
        let virtual_domains = "att.test:att.test\nal.test:al.test\ninn.test:inn.test\n";
        let catchall = b"| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n";
        let inn = "home/vpopmail/domains/inn.test";
        for (path, content) in [
            ("etc/passwd", passwd.as_bytes()),
            ("var/qmail/control/me", b"loc.test\n"),
            ("var/qmail/control/locals", b"loc.test\n"),
            ("var/qmail/control/rcpthosts", all.as_bytes()),
            ("var/qmail/control/virtualdomains", virtual_domains.as_bytes()),
            ("var/qmail/users/assign", assign.as_bytes()),
            ("var/qmail/alias/.qmail-postmaster", b"&joe\n"),
            ("home/joe/.qmail-list", b"&x@y.test\n"),
            (&format!("{inn}/.qmail-default"), catchall),
            (&format!("{inn}/.qmail-info"), b"&x@y.test\n"),
            (&format!("{inn}/vpasswd.cdb"), &cdb(&[b"ann", b"bob"], SECRET)),
            // What root kept, where all may look.
            ("var/backups/vpasswd.cdb", &cdb(&[b"ann", b"old"], SECRET)),
        ] {
            file(path, content);
        }
        host.give(inn, 5002);
        host.give("home/joe", 5003);
        host.begin();
        host.settings.layout.root = Root::new(host.top.path(), BOUNDS);
        let (published, built) = host.build();
        assert!(built.kept.is_empty(), "{:?}", built.kept);
        assert_eq!((published.recipients.of(Some(HOMES[0])).0.len(), published.logins.0.len()), (4, 4));
        for (path, table) in [("validrcptto.cdb", &published.recipients), ("auth.cdb", &published.logins)] {
            let records = table.0.iter().map(|(key, data)| (&key[..], &data[..]));
            let image = image(records).expect("a small table");
            fs::write(host.path("var/qmail/control").join(path), image).expect("a table");
        }
        host.published = published;
        let before = bytes_read();
        host.build();
        host.read = bytes_read() - before;
        host
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.top.path().join(inside.trim_start_matches('/'))
    }

    /// Gives all below a path to somebody, where only root can.
    fn give(&self, inside: &str, owner: u32) {
        fn give(path: &Path, owner: u32) {
            own(path, owner);
            let below = fs::read_dir(path).into_iter().flatten();
            below.for_each(|entry| give(&entry.expect("an entry").path(), owner));
        }
        give(&self.path(inside), owner);
    }

    /// Makes his home as it is before he does anything.
    fn begin(&self) {
        let home = self.path(HOMES[0]);
        let _ = fs::set_permissions(&home, fs::Permissions::from_mode(0o755));
        if fs::remove_dir_all(&home).is_err() && home.symlink_metadata().is_ok() {
            fs::remove_file(&home).expect("it goes");
        }
        fs::create_dir_all(home.join("d")).expect("a directory");
        let catchall = "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n";
        fs::write(home.join(".qmail-eve"), "&x@y.test\n").expect("a file");
        fs::write(home.join("d/.qmail-default"), catchall).expect("a file");
        fs::write(home.join("d/.qmail-sales"), "&x@y.test\n").expect("a file");
        fs::write(home.join("d/vpasswd.cdb"), cdb(&[b"ann"], b"own")).expect("a file");
        self.give(HOMES[0], EVE);
    }

    fn build(&self) -> (Tables, Built) {
        let mut tables = Tables::default();
        let built = build(&self.settings, &mut tables).expect("what a user does stops no rebuild");
        (tables, built)
    }
}

/// A vpasswd.cdb of these mailboxes, with this word in their hashes.
fn cdb(names: &[&[u8]], word: &[u8]) -> Vec<u8> {
    let record = || [b"$1$salt$", word, &vec![b'.'; 22 - word.len()][..], b":1:0:N:/d:NOQUOTA"].concat();
    compile(&names.iter().map(|name| (name.to_vec(), record())).collect::<Vec<_>>())
}

fn own(path: &Path, owner: u32) {
    if geteuid().is_root() {
        lchown(path, Some(owner), Some(owner)).expect("it is there");
    }
}

/// How many bytes this process has read by now.
fn bytes_read() -> u64 {
    let counts = fs::read_to_string("/proc/self/io").expect("Linux counts them");
    let count = counts.lines().find_map(|line| line.strip_prefix("rchar: "));
    count.and_then(|count| count.parse().ok()).expect("a number")
}

/// A word of the script as it is meant.
fn decoded(word: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(word.len());
    let mut at = 0;
    while at < word.len() {
        let digits = word.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.filter(|_| word[at] == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(word[at]);
                at += 1;
            }
        }
    }
    decoded
}

fn number(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

fn bounds(line: &[u8]) -> Option<Bounds> {
    let numbers: Vec<u64> = line.strip_prefix(b"B ")?.split(|b| *b == b' ').filter_map(number).collect();
    let &[steps, names, bytes, entries, alike] = &numbers[..] else { return None };
    let least = |number: u64, bound: usize| usize::try_from(number.max(1)).map_or(bound, |number| number.min(bound));
    Some(Bounds {
        // Everybody else's home has to be below them.
        steps: least(steps.max(220), BOUNDS.steps),
        names: least(names.max(3), BOUNDS.names),
        bytes: bytes.clamp(5_000, BOUNDS.bytes),
        entries: least(entries.max(6), BOUNDS.entries),
        alike: least(alike.max(2), BOUNDS.alike),
        ..BOUNDS
    })
}

/// Somebody who does what a script says.
struct Attacker<'a>(&'a MailHost);

impl Attacker<'_> {
    fn act(&self, line: &[u8]) -> Option<()> {
        let mut words = line.split(|b| *b == b' ').map(decoded);
        let action = words.next()?;
        let mut word = || words.next().filter(|word| !word.contains(&0));
        match &action[..] {
            b"f" => {
                let path = self.fresh(&word()?)?;
                let content = words.collect::<Vec<_>>().join(&b' ');
                self.made(&path, fs::write(&path, content))
            }
            b"d" => {
                let path = self.fresh(&word()?)?;
                self.made(&path, fs::create_dir(&path))
            }
            b"l" => {
                let path = self.fresh(&word()?)?;
                self.link(&path, &word()?)
            }
            b"h" => {
                let path = self.fresh(&word()?)?;
                let target = word()?;
                // What root alone may do is no trick of a user: a name of a file of another one is.
                let target = match target.strip_prefix(b"/") {
                    Some(inside) => self.0.top.path().join(plain(inside)?),
                    None => self.inside(&target)?,
                };
                target.symlink_metadata().ok().filter(|meta| !meta.is_dir())?;
                fs::hard_link(target, path).ok()
            }
            b"p" => {
                let path = self.fresh(&word()?)?;
                self.made(&path, mkfifo(&path, Mode::from_bits_truncate(0o644)).map_err(Into::into))
            }
            b"c" => {
                let path = self.fresh(&word()?)?;
                let records: Vec<_> = words
                    .filter_map(|word| {
                        let colon = word.iter().position(|b| *b == b':')?;
                        Some((word[..colon].to_vec(), word[colon + 1..].to_vec()))
                    })
                    .collect();
                self.made(&path, fs::write(&path, compile(&records)))
            }
            b"a" => {
                let path = self.fresh(&word()?)?;
                let names = alike(usize::try_from(number(&word()?)?).ok()?.min(40));
                let names: Vec<&[u8]> = names.iter().map(|name| &name[..]).collect();
                self.made(&path, fs::write(&path, cdb(&names, b"own")))
            }
            b"n" => {
                let (count, name) = (number(&word()?)?.min(300), word()?);
                for number in 0..count {
                    let path = self.fresh(&[&name[..], number.to_string().as_bytes()].concat())?;
                    self.made(&path, fs::write(&path, ""))?;
                }
                Some(())
            }
            b"s" => {
                let (count, name, target) = (number(&word()?)?.min(60), word()?, word()?);
                let link = |number: u64| [&name[..], number.to_string().as_bytes()].concat();
                let base = name.iter().rposition(|b| *b == b'/').map_or(0, |slash| slash + 1);
                for number in 0..count {
                    let next = if number + 1 < count { link(number + 1)[base..].to_vec() } else { target.clone() };
                    self.link(&self.fresh(&link(number))?, &next)?;
                }
                Some(())
            }
            b"D" => {
                let (count, name) = (number(&word()?)?.min(60), word()?);
                let mut path = Vec::new();
                for _ in 0..count {
                    path.extend_from_slice(&name);
                    let made = self.fresh(&path)?;
                    self.made(&made, fs::create_dir(&made))?;
                    path.push(b'/');
                }
                Some(())
            }
            b"x" => {
                let path = self.file(&word()?)?;
                let offset = number(&word()?)?.min(1 << 33);
                OpenOptions::new().write(true).open(path).ok()?.write_all_at(&word()?, offset).ok()
            }
            b"t" => {
                let path = self.file(&word()?)?;
                let length = number(&word()?)?.min(1 << 33);
                OpenOptions::new().write(true).open(path).ok()?.set_len(length).ok()
            }
            b"m" => {
                let mode = u32::from_str_radix(std::str::from_utf8(&word()?).ok()?, 8).ok()? & 0o7777;
                let path = self.inside(&word()?)?;
                // No link, and nothing of another's.
                path.symlink_metadata().ok().filter(|meta| !meta.is_symlink() && is_own(meta))?;
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).ok()
            }
            b"v" => {
                let (old, new) = (self.inside(&word()?)?, self.inside(&word()?)?);
                fs::rename(old, new).ok()
            }
            b"r" => {
                let path = self.inside(&word()?)?;
                fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path)).ok()
            }
            _ => None,
        }
    }

    /// A path below his home that goes through no link.
    fn inside(&self, name: &[u8]) -> Option<PathBuf> {
        let mut path = self.0.path(HOMES[0]);
        let name = plain(name)?;
        for part in name.parent()? {
            path.push(part);
            path.symlink_metadata().ok().filter(fs::Metadata::is_dir)?;
        }
        Some(path.join(name.file_name()?))
    }

    /// The same with nothing there.
    fn fresh(&self, name: &[u8]) -> Option<PathBuf> {
        let path = self.inside(name)?;
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        Some(path)
    }

    /// The same with a file of his own there.
    fn file(&self, name: &[u8]) -> Option<PathBuf> {
        let path = self.inside(name)?;
        let meta = path.symlink_metadata().ok()?;
        (meta.is_file() && is_own(&meta)).then_some(path)
    }

    fn link(&self, path: &Path, target: &[u8]) -> Option<()> {
        // Absolute ones are so below the root.
        self.made(path, symlink(OsStr::from_bytes(target), path))
    }

    fn made(&self, path: &Path, made: std::io::Result<()>) -> Option<()> {
        made.ok()?;
        own(path, EVE);
        Some(())
    }
}

fn is_own(meta: &fs::Metadata) -> bool {
    !geteuid().is_root() || std::os::unix::fs::MetadataExt::uid(meta) == EVE
}

/// A path without empty parts and `..`, not too long.
fn plain(name: &[u8]) -> Option<PathBuf> {
    let parts: Vec<&[u8]> = name.split(|b| *b == b'/').collect();
    let is_plain = |part: &&[u8]| !part.is_empty() && !matches!(**part, [b'.'] | [b'.', b'.']) && !part.contains(&0);
    (parts.len() <= 64 && name.len() < 3_000 && parts.iter().all(is_plain))
        .then(|| PathBuf::from(OsString::from_vec(name.to_vec())))
}

/// So many names of one hash: from two words that lead to one hash, each name goes on with either.
fn alike(count: usize) -> Vec<Vec<u8>> {
    let mut names = vec![Vec::new()];
    'longer: while names.len() < count {
        let letters = || (b'a'..=b'z').chain(b'0'..=b'9');
        let start = names[0].clone();
        let mut known: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        for word in letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| vec![a, b, c]))) {
            let number = hash(&[&start[..], &word].concat());
            if let Some(other) = known.insert(number, word.clone()) {
                names = names.iter().flat_map(|name| [&other, &word].map(|word| [&name[..], word].concat())).collect();
                continue 'longer;
            }
        }
        break;
    }
    names.truncate(count);
    names
}

/// The home was left unread because of its budget.
fn is_over(built: &Built, home: &str) -> bool {
    let options = ["--max-steps", "--max-names", "--max-read", "--max-entries", "--max-alike"];
    let its = built.kept.iter().filter(|kept| kept.home == home.as_bytes());
    its.into_iter().any(|kept| options.iter().any(|option| kept.alert.text.contains(option)))
}

/// What reading a home costs, in steps, names and bytes, and whether that was too much.
fn costs(host: &MailHost) -> Vec<(Budget, bool)> {
    let settings = &host.settings;
    let read = Arc::new(read_host(settings, &mut Vec::new()).expect("it can be read"));
    let folders = confine::directories(&read).expect("they answer");
    let cost = |home: &&str| {
        let budget = Budget::new(settings.layout.root.bounds);
        let folders = Folders::new(&settings.layout.root);
        read.read_home_within(&folders, home.as_bytes(), &budget);
        let is_passed = budget.is_passed();
        (budget, is_passed)
    };
    let costs = || HOMES.iter().map(cost).collect();
    confine::within(&settings.layout.root, &folders, costs).expect("a thread").0
}

thread_local! {
    // Dropped when the fuzzer ends.
    static HOST: std::cell::RefCell<MailHost> = std::cell::RefCell::new(MailHost::new());
}

fuzz_target!(|script: &[u8]| HOST.with_borrow_mut(|host| judge(host, script)));

fn judge(host: &mut MailHost, script: &[u8]) {
    let (soft, hard) = getrlimit(Resource::RLIMIT_DATA).expect("it has a limit");
    if soft > MEMORY {
        setrlimit(Resource::RLIMIT_DATA, MEMORY, hard).expect("a lower one");
    }
    host.begin();
    let mut lines = script.split(|b| *b == b'\n').take(MAX_LINES).peekable();
    let bounds = lines.peek().and_then(|line| bounds(line)).unwrap_or(BOUNDS);
    for line in lines {
        let _ = Attacker(host).act(line);
    }
    // What an earlier rebuild knows of his homes is forgotten.
    host.settings.layout.root = Root::new(host.top.path(), bounds);
    let costs = costs(host);
    host.settings.layout.root = Root::new(host.top.path(), bounds);
    let before = bytes_read();
    let (tables, built) = host.build();
    let read = bytes_read() - before;
    // Each of his homes may cost a whole budget, and a look at what is over it.
    let most = host.read + HOMES.len() as u64 * (bounds.bytes + ONE_READ);
    assert!(read <= most, "{read} bytes were read, more than {most}");
    for note in built.notes.iter().chain(built.kept.iter().map(|kept| &kept.alert)) {
        assert_printable(&note.text);
    }
    for (made, published) in
        [(&tables.recipients, &host.published.recipients), (&tables.logins, &host.published.logins)]
    {
        assert_eq!(made.of(None), published.of(None), "what belongs to others changed");
        for home in HOMES {
            let its = made.of(Some(home));
            if is_over(&built, home) {
                assert_eq!(its, published.of(Some(home)), "{home} is over its budget and not as published");
            } else {
                let hashes = its.0.keys().map(|key| hash(key)).collect();
                let most = bounds.entries + OF_ASSIGN;
                assert!(its.0.len() <= most, "{} entries of {home}", its.0.len());
                assert!(qmail_updater::cdb::most_alike(hashes) <= bounds.alike, "keys of {home} have one hash");
            }
        }
    }
    let is_secret = |data: &[u8]| data.windows(SECRET.len()).any(|window| window == SECRET);
    if geteuid().is_root() {
        let all = HOMES.iter().flat_map(|home| tables.logins.of(Some(home)).0);
        all.for_each(|(key, data)| assert!(!is_secret(&data), "{key:?} logs in by the hash of another"));
    }
    for (home, (budget, is_passed)) in HOMES.iter().zip(&costs) {
        let spent = budget.spent();
        assert!(spent.steps <= bounds.steps as u64 + ONE_STEP, "{spent:?} of {bounds:?}");
        assert!(spent.names <= 2 * bounds.names as u64, "{spent:?} of {bounds:?}");
        assert!(spent.bytes <= bounds.bytes + ONE_READ, "{spent:?} of {bounds:?}");
        assert!(!is_passed || is_over(&built, home), "{home} is over its budget and not kept: {:?}", built.kept);
    }
}
