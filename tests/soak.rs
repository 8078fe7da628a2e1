//! A service under everything at once: several writers change mailboxes, aliases and domains as vpopmail does, files are
//! caught half written, the pipe vanishes, the service is killed, and notices come early, late or never. Whenever nothing
//! has changed for a second, the published files must be what a rebuild from nothing makes; and at every moment they are
//! whole, and know those whom nobody touched.
//!
//! `QMAIL_UPDATER_SOAK` says for how many seconds (20); `QMAIL_UPDATER_SEED` repeats the changes, though not the moments.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use support::service::trigger;
use support::soaking::{Compared, Random, Running, Story, know, length_and_seed};
use support::{MailHost, filled};

const WRITERS: usize = 3;
/// The service without the guard: on so small a host some domains that leave are many, and would be held.
const UNGUARDED: &[&str] = &["run", "--max-loss", "100"];
/// The same without watches, and a sweep that has to find everything.
const UNGUARDED_SWEEP: &[&str] = &["run", "--max-loss", "100", "--no-watch", "--sweep", "2"];

#[derive(Default)]
struct Counts {
    changes: AtomicUsize,
    announced: AtomicUsize,
    late: AtomicUsize,
    unannounced: AtomicUsize,
    looks: AtomicUsize,
}

fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The host and what all writers share.
struct World<'a> {
    host: &'a MailHost,
    /// Domain, then the real one and its folder, as users/assign lists them; held while the control files are rewritten.
    assigned: Mutex<BTreeMap<String, (String, String)>>,
    end: AtomicBool,
    counts: Counts,
    story: Story,
    sample: [String; 3],
}

const ASSIGN: &str = "/var/qmail/users/assign";
const VIRTUALDOMAINS: &str = "/var/qmail/control/virtualdomains";
const RCPTHOSTS: &str = "/var/qmail/control/rcpthosts";

impl<'a> World<'a> {
    fn new(host: &'a MailHost) -> World<'a> {
        let sample = [ASSIGN, VIRTUALDOMAINS, RCPTHOSTS].map(|file| fs::read_to_string(host.path(file)).unwrap());
        World {
            host,
            assigned: Mutex::default(),
            end: AtomicBool::new(false),
            counts: Counts::default(),
            story: Story::default(),
            sample,
        }
    }

    fn tell(&self, what: String) {
        count(&self.counts.changes);
        self.story.tell(what);
    }

    /// A new file in the place of the old one.
    fn replace(&self, file: &str, content: impl AsRef<[u8]>, random: &mut Random) {
        let new = format!("{file}.{}", random.below(1 << 30));
        self.host.write(&new, content);
        fs::rename(self.host.path(&new), self.host.path(file)).unwrap();
    }

    /// The file itself, emptied and written again in two pieces.
    fn write_in_place(&self, file: &str, content: impl AsRef<[u8]>, random: &mut Random) {
        let content = content.as_ref();
        let mut open = fs::File::create(self.host.path(file)).unwrap();
        random.pause(3);
        let half = content.len() / 2;
        open.write_all(&content[..half]).unwrap();
        random.pause(10);
        open.write_all(&content[half..]).unwrap();
    }

    /// Assigns the domain, or takes its assignment away, in the three files one after the other.
    fn assign(&self, domain: &str, to: Option<(String, String)>, random: &mut Random) {
        let mut assigned = self.assigned.lock().unwrap();
        match to {
            Some(to) => assigned.insert(domain.to_owned(), to),
            None => assigned.remove(domain),
        };
        let lines = assigned.iter().map(|(domain, (real, folder))| format!("+{domain}-:{real}:89:89:{folder}:-::\n"));
        let of_sample = self.sample[0].lines().filter(|line| *line != ".").map(|line| format!("{line}\n"));
        let lines: BTreeSet<String> = lines.chain(of_sample).collect();
        self.replace(ASSIGN, lines.into_iter().collect::<String>() + ".\n", random);
        random.pause(3);
        let lines: String = assigned.keys().map(|domain| format!("{domain}:{domain}\n")).collect();
        self.replace(VIRTUALDOMAINS, self.sample[1].clone() + &lines, random);
        random.pause(3);
        let lines: String = assigned.keys().map(|domain| format!("{domain}\n")).collect();
        self.replace(RCPTHOSTS, self.sample[2].clone() + &lines, random);
    }
}

/// With watches, and no sweep to help them; or without, and a sweep that has to find everything.
fn arguments(random: &mut Random) -> &'static [&'static str] {
    if random.one_in(4) { UNGUARDED_SWEEP } else { UNGUARDED }
}

/// One domain as its writer knows it.
struct Domain {
    name: String,
    folder: String,
    mailboxes: BTreeMap<String, String>,
    aliases: BTreeSet<String>,
    alias_domain: Option<String>,
    /// Nobody logs in there.
    limited: bool,
    /// It and its postmaster stay, and must always be accepted.
    stays: bool,
}

/// One writer: what it owns nobody else changes, as vpopmail's locks have it. Locked during each change, so that whoever
/// holds all of them finds everything whole.
struct Writer<'a> {
    world: &'a World<'a>,
    number: usize,
    made: usize,
    domains: Vec<Domain>,
    random: Random,
    /// Notices that come late, and when.
    late: Vec<(Instant, Vec<String>)>,
    /// Nothing is announced now.
    silent: bool,
}

const CATCH_ALLS: [&str; 4] = ["bounce-no-mailbox", "delete", "ann@example.com", "/home/vpopmail/domains/x/all"];
const INSTRUCTIONS: [&str; 5] =
    ["&x@y.test\n", "|bouncesaying 'gone'\n", "|exit 100\n", "/home/vpopmail/domains/x/Maildir/\n", "|exit 99\n"];

impl<'a> Writer<'a> {
    fn new(world: &'a World<'a>, number: usize, seed: u64) -> Writer<'a> {
        let random = Random(seed.wrapping_add(number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut writer =
            Writer { world, number, made: 0, domains: Vec::new(), random, late: Vec::new(), silent: false };
        writer.add_domain(true);
        writer.add_domain(false);
        writer
    }

    fn run(writer: &Mutex<Writer<'_>>, world: &World<'_>) {
        while !world.end.load(Ordering::Relaxed) {
            let mut locked = writer.lock().unwrap();
            locked.send_late();
            locked.change();
            let pause = locked.random.below(40);
            drop(locked);
            std::thread::sleep(Duration::from_millis(pause));
        }
    }

    fn send_late(&mut self) {
        let now = Instant::now();
        let (due, late): (Vec<_>, _) = std::mem::take(&mut self.late).into_iter().partition(|(at, _)| *at <= now);
        self.late = late;
        due.iter().for_each(|(_, notice)| self.send(notice));
    }

    /// One change, of which nobody tells the service; each kind of file as often as another.
    fn change_silently(&mut self) {
        self.silent = true;
        let before = self.world.counts.changes.load(Ordering::Relaxed);
        while self.world.counts.changes.load(Ordering::Relaxed) == before {
            let at = usize::try_from(self.random.below(self.domains.len() as u64)).unwrap();
            match self.random.below(10) {
                0 => self.add_mailbox(at),
                1 => self.delete_mailbox(at),
                2 => self.write_alias(at),
                3 => self.delete_alias(at),
                4 => self.change_catch_all(at),
                5 => self.change_limits(at),
                6 if self.domains.len() < 5 => self.add_domain(false),
                6 => self.delete_domain(at),
                7 => self.change_alias_domain(at),
                _ => self.change_own_files(),
            }
        }
        self.silent = false;
    }

    fn send(&self, notice: &[String]) {
        trigger(self.world.host, &notice.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Announces a change that has happened or will; or later, or not at all.
    fn announce(&mut self, command: &str, argument: &str) {
        let notice: Vec<String> = [command, argument, "-", ""].map(str::to_owned).to_vec();
        match if self.silent { 0 } else { self.random.below(4) } {
            0 => count(&self.world.counts.unannounced),
            1 => {
                count(&self.world.counts.late);
                self.late.push((Instant::now() + Duration::from_millis(self.random.below(2_000)), notice));
            }
            _ => {
                count(&self.world.counts.announced);
                self.send(&notice);
            }
        }
    }

    fn change(&mut self) {
        let at = usize::try_from(self.random.below(self.domains.len() as u64)).unwrap();
        match self.random.below(22) {
            0..=4 => self.add_mailbox(at),
            5..=6 => self.change_mailbox(at),
            7..=8 => self.delete_mailbox(at),
            9..=11 => self.write_alias(at),
            12..=13 => self.delete_alias(at),
            14 => self.change_catch_all(at),
            15 => self.change_limits(at),
            16..=17 if self.domains.len() < 5 => self.add_domain(false),
            16..=18 => self.delete_domain(at),
            19 => self.change_alias_domain(at),
            20 => self.change_own_files(),
            _ => self.remove_pipe(),
        }
    }

    fn write_mailboxes(&mut self, at: usize) {
        let domain = &self.domains[at];
        let text: String = domain.mailboxes.iter().map(|(name, record)| format!("{name}:{record}\n")).collect();
        let records = domain.mailboxes.iter().map(|(name, record)| (name.as_bytes(), record.as_bytes()));
        let image = qmail_updater::cdb::image(records).unwrap();
        let [plain, compiled] = ["vpasswd", "vpasswd.cdb"].map(|file| format!("{}/{file}", domain.folder));
        self.world.replace(&plain, text, &mut self.random);
        self.random.pause(5);
        if self.random.one_in(3) {
            self.world.write_in_place(&compiled, image, &mut self.random);
        } else {
            self.world.replace(&compiled, image, &mut self.random);
        }
    }

    fn record(&mut self, domain: &str) -> String {
        let flags = *self.random.pick(&[0, 0, 0, 0x10, 0x800, 0x2000]);
        format!("$1$salt${:.>22}:1:{flags}:N:/home/vpopmail/domains/{domain}/m:NOQUOTA", self.random.below(1 << 30))
    }

    fn add_mailbox(&mut self, at: usize) {
        if self.domains[at].mailboxes.len() >= 8 {
            return;
        }
        let name = self.domains[at].name.clone();
        let (mailbox, record) = (format!("box{}", self.random.below(20)), self.record(&name));
        self.domains[at].mailboxes.insert(mailbox.clone(), record);
        self.write_mailboxes(at);
        self.world.tell(format!("add_user {mailbox}@{name}"));
        self.announce("add_user", &format!("{mailbox}@{name}"));
    }

    /// A mailbox that may change.
    fn some_mailbox(&mut self, at: usize) -> Option<String> {
        let domain = &self.domains[at];
        let names: Vec<String> =
            domain.mailboxes.keys().filter(|name| !domain.stays || *name != "postmaster").cloned().collect();
        (!names.is_empty()).then(|| self.random.pick(&names).clone())
    }

    fn change_mailbox(&mut self, at: usize) {
        let Some(mailbox) = self.some_mailbox(at) else { return };
        let name = self.domains[at].name.clone();
        let record = self.record(&name);
        self.domains[at].mailboxes.insert(mailbox.clone(), record);
        self.write_mailboxes(at);
        self.world.tell(format!("mod_user {mailbox}@{name}"));
        self.announce("mod_user", &format!("{mailbox}@{name}"));
    }

    fn delete_mailbox(&mut self, at: usize) {
        // A vpasswd.cdb without a mailbox is one that vpopmail never leaves.
        if self.domains[at].mailboxes.len() < 2 {
            return;
        }
        let Some(mailbox) = self.some_mailbox(at) else { return };
        let name = self.domains[at].name.clone();
        self.announce("del_user", &format!("{mailbox}@{name}"));
        self.random.pause(300);
        self.domains[at].mailboxes.remove(&mailbox);
        self.write_mailboxes(at);
        self.world.tell(format!("del_user {mailbox}@{name}"));
    }

    fn write_alias(&mut self, at: usize) {
        let alias = match self.random.below(3) {
            0 => format!("list{}-default", self.random.below(4)),
            1 => format!("a:b{}", self.random.below(4)),
            _ => format!("alias{}", self.random.below(8)),
        };
        let (name, folder) = (self.domains[at].name.clone(), self.domains[at].folder.clone());
        let instruction = *self.random.pick(&INSTRUCTIONS);
        let file = format!("{folder}/.qmail-{alias}");
        self.world.write_in_place(&file, instruction, &mut self.random);
        self.domains[at].aliases.insert(alias.clone());
        self.world.tell(format!("insert_alias {alias}@{name}"));
        self.announce("insert_alias", &format!("{alias}@{name}"));
    }

    fn delete_alias(&mut self, at: usize) {
        let aliases: Vec<String> = self.domains[at].aliases.iter().cloned().collect();
        if aliases.is_empty() {
            return;
        }
        let alias = self.random.pick(&aliases).clone();
        let name = self.domains[at].name.clone();
        self.announce("del_alias", &format!("{alias}@{name}"));
        self.random.pause(100);
        self.world.host.remove(&format!("{}/.qmail-{alias}", self.domains[at].folder));
        self.domains[at].aliases.remove(&alias);
        self.world.tell(format!("del_alias {alias}@{name}"));
    }

    /// vpopmail says nothing of this.
    fn change_catch_all(&mut self, at: usize) {
        let file = format!("{}/.qmail-default", self.domains[at].folder);
        let catch_all = *self.random.pick(&CATCH_ALLS);
        let text = format!("| /home/vpopmail/bin/vdelivermail '' {catch_all}\n");
        self.world.write_in_place(&file, text, &mut self.random);
        self.world.tell(format!("catch-all of {}: {catch_all}", self.domains[at].name));
    }

    /// Nor of this.
    fn change_limits(&mut self, at: usize) {
        if self.domains[at].stays {
            return;
        }
        let domain = &mut self.domains[at];
        domain.limited = !domain.limited;
        let file = format!("{}/.qmailadmin-limits", domain.folder);
        if domain.limited {
            self.world.write_in_place(&file, "maxpopaccounts 10\ndisable_smtp\n", &mut self.random);
        } else if self.random.one_in(2) {
            self.world.write_in_place(&file, "disable_pop\nmaxpopaccounts 10\n", &mut self.random);
        } else {
            self.world.host.remove(&file);
        }
        self.world.tell(format!("limits of {}", self.domains[at].name));
    }

    fn add_domain(&mut self, stays: bool) {
        self.made += 1;
        // A name comes back now and then.
        let number = if stays { 0 } else { 1 + self.made % 7 };
        let name = format!("w{}d{number}.test", self.number);
        if self.domains.iter().any(|domain| domain.name == name) {
            return;
        }
        let hashed = if self.random.one_in(3) { "0/" } else { "" };
        let folder = format!("/home/vpopmail/domains/{hashed}{name}");
        let host = self.world.host;
        host.folder(&folder);
        host.write(&format!("{folder}/.qmail-default"), "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n");
        self.random.pause(5);
        self.world.assign(&name, Some((name.clone(), folder.clone())), &mut self.random);
        self.announce("add_domain", &name);
        self.random.pause(8);
        let mailboxes = BTreeMap::from([("postmaster".to_owned(), filled("$1$a$b") + ":1:0:N:/d:Q")]);
        let (aliases, alias_domain) = (BTreeSet::new(), None);
        self.domains.push(Domain {
            name: name.clone(),
            folder,
            mailboxes,
            aliases,
            alias_domain,
            limited: false,
            stays,
        });
        self.write_mailboxes(self.domains.len() - 1);
        self.world.tell(format!("add_domain {name}"));
    }

    fn delete_domain(&mut self, at: usize) {
        if self.domains[at].stays {
            return;
        }
        self.drop_alias_domain(at);
        let Domain { name, folder, .. } = self.domains.swap_remove(at);
        self.announce("del_domain", &name);
        self.random.pause(200);
        let remove = || fs::remove_dir_all(self.world.host.path(&folder)).unwrap();
        // Either may come first; a folder that is gone while it is assigned keeps its entries for that long.
        if self.random.one_in(2) {
            remove();
            self.random.pause(100);
            self.world.assign(&name, None, &mut self.random);
        } else {
            self.world.assign(&name, None, &mut self.random);
            self.random.pause(20);
            remove();
        }
        self.world.tell(format!("del_domain {name}"));
    }

    fn change_alias_domain(&mut self, at: usize) {
        if self.domains[at].alias_domain.is_some() {
            return self.drop_alias_domain(at);
        }
        let domain = &mut self.domains[at];
        let alias = format!("also-{}", domain.name);
        let real = domain.name.clone();
        domain.alias_domain = Some(alias.clone());
        self.world.assign(&alias, Some((real, domain.folder.clone())), &mut self.random);
        self.world.tell(format!("add_alias_domain {alias}"));
        self.announce("add_alias_domain", &alias);
    }

    fn drop_alias_domain(&mut self, at: usize) {
        let Some(alias) = self.domains[at].alias_domain.take() else { return };
        self.announce("del_domain", &format!("{alias} alias of {}", self.domains[at].name));
        self.random.pause(100);
        self.world.assign(&alias, None, &mut self.random);
        self.world.tell(format!("del_domain {alias}"));
    }

    /// Files that an administrator or a user edits, and nobody announces.
    fn change_own_files(&mut self) {
        let (number, n) = (self.number, self.random.below(5));
        let what = self.random.below(4);
        match what {
            0 => {
                let list: String = (0..=n).map(|n| format!("user{n}\n")).collect();
                self.world.write_in_place("/var/qmail/control/validrcptto.d/relay.example", list, &mut self.random);
            }
            1 => {
                let text = format!("* DATABYTES=\"{n}\"\n");
                self.world.replace("/var/qmail/control/authvars", text, &mut self.random);
            }
            2 => {
                let file = format!("/home/carol/.qmail-w{number}");
                self.world.write_in_place(&file, "&x@y.test\n", &mut self.random);
            }
            _ => {
                let file = format!("/home/carol/.qmail-w{number}");
                let _ = fs::remove_file(self.world.host.path(&file));
            }
        }
        self.world.tell(format!("own file {what}"));
    }

    fn remove_pipe(&mut self) {
        if self.random.one_in(3) {
            let _ = fs::remove_file(self.world.host.path("/tmp/update-qmail"));
            self.world.tell("the pipe removed".to_owned());
        }
    }
}

/// Reads the published files over and over: they are whole, and know those whom nobody touched.
fn look(world: &World<'_>) -> Result<(), String> {
    let accepted: Vec<String> = (0..WRITERS).map(|number| format!("postmaster@w{number}d0.test")).collect();
    let known: Vec<&str> = accepted.iter().map(String::as_str).chain(["ann@example.com", "dora@example.net"]).collect();
    while !world.end.load(Ordering::Relaxed) {
        know(world.host, &known).map_err(|why| format!("{why}: {}", world.story))?;
        count(&world.counts.looks);
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

#[test]
fn whatever_happens_the_files_become_what_the_host_says() {
    let (length, seed) = length_and_seed();
    let host = &MailHost::sample();
    host.folder("/tmp").mode("/tmp", 0o1777);
    let world = &World::new(host);
    let mut random = Random(seed | 1);
    let writers: Vec<Mutex<Writer<'_>>> =
        (0..WRITERS).map(|number| Mutex::new(Writer::new(world, number, seed))).collect();
    host.rebuild();
    let mut service = Running::start(host, UNGUARDED);
    let start = Instant::now();
    let (mut kills, mut results) = (0, Vec::new());
    std::thread::scope(|scope| {
        let looker = scope.spawn(|| look(world));
        let threads: Vec<_> = writers.iter().map(|writer| scope.spawn(move || Writer::run(writer, world))).collect();
        while start.elapsed() < length
            && results.iter().filter(|result: &&Compared| result.mended.is_some()).count() < 3
        {
            random.pause(2_500);
            if random.one_in(3) {
                let pause = Duration::from_millis(random.below(300));
                service.restart(arguments(&mut random), || std::thread::sleep(pause));
                kills += 1;
                random.pause(500);
            }
            let mut quiet: Vec<MutexGuard<'_, Writer<'_>>> =
                writers.iter().map(|writer| writer.lock().unwrap()).collect();
            results.push(service.compare(&world.story, Duration::from_secs(1)));
            // What is missed now, nothing else brings to light: a new service has heard no early notice to follow up.
            service.restart(arguments(&mut random), || ());
            kills += 1;
            results.push(service.compare(&world.story, Duration::ZERO));
            for _ in 0..4 {
                let writer = usize::try_from(random.below(WRITERS as u64)).unwrap();
                let writer = &mut quiet[writer];
                if random.one_in(6) {
                    service.restart(arguments(&mut random), || writer.change_silently());
                    kills += 1;
                } else {
                    writer.change_silently();
                }
                results.push(service.compare(&world.story, Duration::ZERO));
            }
        }
        world.end.store(true, Ordering::Relaxed);
        threads.into_iter().for_each(|writer| writer.join().unwrap());
        looker.join().unwrap().unwrap();
    });
    let Counts { changes, announced, late, unannounced, looks } = &world.counts;
    let [changes, announced, late, unannounced, looks] =
        [changes, announced, late, unannounced, looks].map(|counter| counter.load(Ordering::Relaxed));
    let differences: Vec<&Compared> = results.iter().filter(|compared| compared.mended.is_some()).collect();
    println!(
        "soak: {} s, {changes} changes (announced {announced}, late {late}, never {unannounced}), {} rebuilds, {kills} \
         kills, {looks} looks, {} comparisons when quiet, {} differences, the same after at most {:?}",
        start.elapsed().as_secs(),
        service.rebuilds,
        results.len(),
        differences.len(),
        results.iter().map(|compared| compared.waited).max().unwrap_or_default()
    );
    assert!(differences.is_empty(), "{differences:?}, seed {seed}");
    assert!(changes > 0 && !results.is_empty() && looks > 0);
}
