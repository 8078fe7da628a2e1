//! Attacks of one user on all others, each at its worst: how long a change of another waits, and how much memory the service
//! takes. The sizes are small; with `QMAIL_UPDATER_LARGE=1` they are as large as a file system lets a user make them, and the
//! figures are held to what docs/development/threats.md promises:
//!
//!     QMAIL_UPDATER_LARGE=1 cargo test --release --test attacks -- --nocapture

mod support;

use std::fs::{self, File, OpenOptions};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, mkdirat};
use qmail_updater::cdb::{Chunk, Writer};
use support::MailHost;
use support::attacked::{Attacked, HIS_DOMAIN, HIS_HOME, alike};

/// How large the attacks are.
struct Sizes {
    domains: usize,
    mailboxes: usize,
    /// Links of the attacker, and steps in each of the 38 links that each leads through.
    links: usize,
    steps: usize,
    files: usize,
    alike: usize,
    mailboxes_of_attacker: usize,
    levels: usize,
    /// Files of a home that stays inside its budget.
    inside: usize,
    /// For so many seconds the attacker changes a file each second.
    seconds: u64,
    measured: usize,
    options: &'static [&'static str],
}

const LARGE: Sizes = Sizes {
    domains: 500,
    mailboxes: 50,
    links: 200_000,
    steps: 1_600,
    files: 1_000_000,
    alike: 1_000_000,
    mailboxes_of_attacker: 10_000_000,
    levels: 5_000,
    inside: 100_000,
    seconds: 60,
    measured: 9,
    options: &[],
};

const SMALL: Sizes = Sizes {
    domains: 5,
    mailboxes: 5,
    links: 300,
    steps: 40,
    files: 2_000,
    alike: 200,
    mailboxes_of_attacker: 2_000,
    levels: 500,
    inside: 40,
    seconds: 1,
    measured: 1,
    options: &[
        "--max-steps",
        "1500",
        "--max-names",
        "1000",
        "--max-entries",
        "1000",
        "--max-read",
        "1",
        "--max-alike",
        "20",
    ],
};

impl Attack {
    /// What the attacker writes into the pipe: his domain, or nothing that is known of the home of a user.
    fn notice(&self) -> &'static str {
        if self.place == HIS_HOME { "" } else { "d0.test" }
    }
}

/// An attack: what the attacker makes.
struct Attack {
    name: &'static str,
    make: fn(&MailHost, &Sizes),
    /// His directory, in which a file is changed each second.
    place: &'static str,
    /// Whether it is more than the budget of a home.
    is_beyond: bool,
    is_on_tmpfs: bool,
}

fn add_files(host: &MailHost, home: &str, names: impl IntoIterator<Item = String>) {
    let home = host.path(home);
    names.into_iter().for_each(|name| drop(File::create(home.join(format!(".qmail-{name}"))).unwrap()));
}

/// A vpasswd.cdb of these mailboxes, however many.
fn write_mailboxes(host: &MailHost, names: impl Iterator<Item = String>) {
    let file = File::create(host.path(&format!("{HIS_DOMAIN}/vpasswd.cdb"))).unwrap();
    let mut writer = Writer::new(file).unwrap();
    let (mut chunk, data) = (Chunk::default(), b"$1$a$abcdefghijklmnopqrstu/:1:0:S:/d:NOQUOTA");
    for name in names {
        chunk.add(&[name.as_bytes()], &[data]);
        if chunk.size() > 1 << 20 {
            writer.add(&chunk).unwrap();
            chunk.clear();
        }
    }
    writer.add(&chunk).unwrap();
    writer.finish().unwrap();
}

/// Files as long as the file system lets them be.
fn add_sparse_files(host: &MailHost, _: &Sizes) {
    fs::remove_file(host.path(&format!("{HIS_DOMAIN}/vpasswd.cdb"))).unwrap();
    for name in ["vpasswd", ".qmailadmin-limits", ".qmail-sparse"] {
        let file = File::create(host.path(&format!("{HIS_DOMAIN}/{name}"))).unwrap();
        let longest = (30..63).rev().find(|bits| file.set_len((1 << bits) - 4096).is_ok());
        assert!(longest.is_some(), "{name}");
    }
}

/// Directories in each other, and a link that leads through them all.
fn add_levels(host: &MailHost, home: &str, levels: usize) {
    const EACH: usize = 800;
    let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY;
    let mut here: OwnedFd = open(&host.path(home), flags, Mode::empty()).unwrap();
    for level in 0..levels {
        if level % EACH == 0 {
            let target = format!(
                "{}{}",
                "d/".repeat(EACH.min(levels - level)),
                if level + EACH < levels { "next" } else { "end" }
            );
            nix::unistd::symlinkat(&*target, &here, "next").unwrap();
        }
        mkdirat(&here, "d", Mode::S_IRWXU).unwrap();
        here = openat(&here, "d", flags, Mode::empty()).unwrap();
    }
    drop(openat(&here, "end", OFlag::O_CREAT | OFlag::O_WRONLY, Mode::S_IRUSR).unwrap());
}

const ATTACKS: [Attack; 9] = [
    Attack {
        name: "links through links",
        make: |host, sizes| {
            host.folder(&format!("{HIS_HOME}/d"));
            // A path takes 4,096 bytes.
            let up_and_down = "d/../".repeat((sizes.steps / 2).min(800));
            (0..38).for_each(|number| {
                host.link(&format!("{HIS_HOME}/c{number}"), &format!("{up_and_down}c{}", number + 1));
            });
            host.write(&format!("{HIS_HOME}/c38"), "");
            (0..sizes.links).for_each(|number| {
                std::os::unix::fs::symlink("c0", host.path(&format!("{HIS_HOME}/.qmail-l{number}"))).unwrap();
            });
        },
        place: HIS_HOME,
        is_beyond: true,
        is_on_tmpfs: false,
    },
    Attack {
        name: "files",
        make: |host, sizes| add_files(host, HIS_HOME, (0..sizes.files).map(|number| format!("f{number}"))),
        place: HIS_HOME,
        is_beyond: true,
        is_on_tmpfs: true,
    },
    Attack {
        name: "files whose names have one hash",
        make: |host, sizes| {
            let names = alike("mallory-", sizes.alike);
            add_files(host, HIS_HOME, names.iter().map(|name| name["mallory-".len()..].to_owned()));
        },
        place: HIS_HOME,
        is_beyond: true,
        is_on_tmpfs: true,
    },
    Attack {
        name: "mailboxes whose names have one hash",
        make: |host, sizes| write_mailboxes(host, alike("", sizes.alike).into_iter()),
        place: HIS_DOMAIN,
        is_beyond: true,
        is_on_tmpfs: false,
    },
    Attack {
        name: "mailboxes",
        make: |host, sizes| write_mailboxes(host, (0..sizes.mailboxes_of_attacker).map(|number| format!("x{number}"))),
        place: HIS_DOMAIN,
        is_beyond: true,
        is_on_tmpfs: false,
    },
    Attack { name: "sparse files", make: add_sparse_files, place: HIS_DOMAIN, is_beyond: true, is_on_tmpfs: false },
    Attack {
        name: "sparse files on tmpfs",
        make: add_sparse_files,
        place: HIS_DOMAIN,
        is_beyond: true,
        is_on_tmpfs: true,
    },
    Attack {
        name: "levels of directories",
        make: |host, sizes| {
            add_levels(host, HIS_DOMAIN, sizes.levels);
            (0..sizes.links.min(20_000)).for_each(|number| {
                host.link(&format!("{HIS_DOMAIN}/.qmail-deep{number}"), "next");
            });
        },
        place: HIS_DOMAIN,
        is_beyond: true,
        is_on_tmpfs: false,
    },
    Attack {
        name: "files inside the budget",
        make: |host, sizes| add_files(host, HIS_HOME, (0..sizes.inside).map(|number| format!("i{number}"))),
        place: HIS_HOME,
        is_beyond: false,
        is_on_tmpfs: false,
    },
];

/// What came of an attack.
struct Figures {
    before: Duration,
    quiet: Duration,
    noticed: Duration,
    /// In MiB.
    memory_before: u64,
    memory: u64,
    memory_noticed: u64,
}

impl Figures {
    fn are_as_promised(&self) -> bool {
        let most = self.before + Duration::from_secs(1);
        // What is as fast as that, nobody waits for.
        let is_steady = self.noticed <= self.quiet.mul_f64(1.5).max(Duration::from_millis(100));
        self.quiet <= most
            && self.noticed <= most
            && is_steady
            && self.memory <= self.memory_before + 256
            && self.memory_noticed <= (self.memory_before + 256).min(self.memory * 3 / 2)
    }
}

/// Changes a file of the attacker and announces that, each second, while `meanwhile` runs.
fn with_notices<R>(attacked: &mut Attacked, attack: &Attack, meanwhile: impl FnOnce(&mut Attacked) -> R) -> R {
    let (file, fifo) = (attacked.service.host.path(&format!("{}/.qmail-known", attack.place)), attacked.service.fifo());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                fs::write(&file, format!("# {number}\n")).unwrap();
                // The directory changes, too.
                let draft = file.with_extension("draft");
                fs::write(&draft, "").and_then(|()| fs::remove_file(&draft)).unwrap();
                let mut pipe = OpenOptions::new().write(true).open(&fifo).unwrap();
                std::io::Write::write_all(&mut pipe, format!("{}\n", attack.notice()).as_bytes()).unwrap();
                drop(pipe);
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        let result = meanwhile(attacked);
        is_over.store(true, Ordering::Relaxed);
        result
    })
}

fn measure(attack: &Attack, sizes: &Sizes) -> Figures {
    let memory = Path::new("/dev/shm");
    let place = if attack.is_on_tmpfs && memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let mut attacked = Attacked::start(&place, sizes.domains, sizes.mailboxes, sizes.options);
    let before = attacked.median_of_others(sizes.measured);
    let memory_before = attacked.peak();
    (attack.make)(&attacked.service.host, sizes);
    attacked.service.trigger(&[attack.notice()]);
    if attack.is_beyond {
        // A file that is too long has an alert of its own.
        let alert = attacked.service.wait_for(" of --max-");
        assert!(alert.contains(" alert: ") && alert.contains(attack.place), "{}: {alert}", attack.name);
    }
    let quiet = attacked.median_of_others(sizes.measured);
    let memory = attacked.peak();
    let noticed = with_notices(&mut attacked, attack, |attacked| {
        let (start, mut times) = (Instant::now(), Vec::new());
        while times.len() < sizes.measured || start.elapsed().as_secs() < sizes.seconds {
            times.push(attacked.median_of_others(1));
        }
        times.sort_unstable();
        times[times.len() / 2]
    });
    let memory_noticed = attacked.peak();
    attacked.assert_others_are_right();
    Figures { before, quiet, noticed, memory_before, memory, memory_noticed }
}

fn run(attack: &Attack, sizes: &Sizes) -> bool {
    let start = Instant::now();
    let figures = measure(attack, sizes);
    let ms = |time: Duration| time.as_millis();
    println!(
        "{}: others wait {} ms before, {} ms, {} ms with notices; memory {} MiB before, {} MiB, {} MiB with notices; \
         took {} s",
        attack.name,
        ms(figures.before),
        ms(figures.quiet),
        ms(figures.noticed),
        figures.memory_before,
        figures.memory,
        figures.memory_noticed,
        start.elapsed().as_secs(),
    );
    figures.are_as_promised()
}

#[test]
fn attacks_of_one_user_make_others_wait_little_and_take_little_memory() {
    let only = std::env::var("QMAIL_UPDATER_ATTACK").unwrap_or_default();
    let attacks = || ATTACKS.iter().filter(|attack| attack.name.contains(&only));
    if std::env::var_os("QMAIL_UPDATER_LARGE").is_some() {
        let failed: Vec<&str> = attacks().filter(|attack| !run(attack, &LARGE)).map(|attack| attack.name).collect();
        assert!(failed.is_empty(), "others wait too long, or too much memory is taken: {failed:?}");
        return;
    }
    // All at once, because most of it is waiting: so these times say nothing.
    std::thread::scope(|scope| attacks().for_each(|attack| drop(scope.spawn(move || run(attack, &SMALL)))));
}
