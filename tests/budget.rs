//! One home makes a rebuild do more than any home may: it is kept as published, one alert names it, its budget and the
//! option of that, and everything else is published. The sizes are small; `QMAIL_UPDATER_LARGE=1` makes them as large as
//! a file system lets a user make them.

mod support;

use std::fs::{self, File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

use clap::Parser;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, mkdirat};
use qmail_updater::args::Cli;
use qmail_updater::cdb::{Chunk, HEADER, Writer, hash};
use qmail_updater::settings::Settings;
use support::attacked::alike;
use support::service::{COM as HIS, Service};
use support::{Answer, MailHost, rebuild_with_alerts};

/// The attacker's mailbox and his new file, a new file of another user, and another domain.
const ASKED: [&str; 4] = ["ann@example.com", "new@example.com", "carol-new@mail.example.org", "dora@example.net"];

/// A host that was published, whose attacker is the owner of example.com.
fn published() -> MailHost {
    let host = MailHost::sample();
    host.rebuild();
    assert_eq!(host.answers(&ASKED), ["accept", "refuse", "refuse", "accept"]);
    // What a rebuild has to publish beside what it keeps.
    host.write("/home/carol/.qmail-new", "&x@y.test\n");
    host.write(&format!("{HIS}/.qmail-new"), "&x@y.test\n");
    host
}

/// Runs the real binary with no more memory than this, in KiB of address space, and no more open files than that.
fn limited(host: &MailHost, memory: u64, files: u64, arguments: &[&str]) -> Answer {
    let run = host.command(arguments);
    let mut command = Command::new("sh");
    let limits = format!("ulimit -v {memory}; ulimit -n {files}; exec \"$0\" \"$@\"");
    command.args(["-c", &limits]).arg(run.get_program()).args(run.get_args());
    command.env_clear().stdin(Stdio::null()).output().unwrap().into()
}

/// The home of example.com was kept, for this reason, in one alert; the others are as they should be.
fn assert_kept(host: &MailHost, answer: &Answer, words: &str) {
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let alerts: Vec<&str> = answer.stderr.lines().filter(|line| line.contains("alert")).collect();
    let [alert] = alerts[..] else { panic!("not one alert: {}", answer.stderr) };
    for words in [HIS, words, "recipients are kept as published", "logins are kept as published"] {
        assert!(alert.contains(words), "{words:?} is missing: {alert}");
    }
    assert_eq!(host.answers(&ASKED), ["accept", "refuse", "accept", "accept"]);
    assert!(host.logins().contains_key("ann@example.com"));
}

#[test]
fn links_that_lead_through_links_are_followed_as_far_as_the_steps_go() {
    let host = published();
    // Each link of the chain walks up and down again before it comes to the next.
    host.folder(&format!("{HIS}/d"));
    let target = |next: &str| format!("{}{next}", "d/../".repeat(100));
    for number in 0..30 {
        host.link(&format!("{HIS}/c{number}"), &target(&format!("c{}", number + 1)));
    }
    host.write(&format!("{HIS}/c30"), "&x@y.test\n");
    for number in 0..10 {
        host.link(&format!("{HIS}/.qmail-l{number}"), "c0");
    }
    let answer = host.run(&["rebuild", "--max-steps", "50000"]);
    assert_kept(
        &host,
        &answer,
        "its directories, links, files, names and rows take more than the 50000 steps of --max-steps",
    );
    // Who allows more gets all of it.
    let answer = host.run(&["rebuild"]);
    assert_eq!((answer.code, answer.stderr.contains("alert")), (0, false), "{}", answer.stderr);
    assert_eq!(host.answers(&["l9@example.com", "new@example.com", "l10@example.com"]), ["accept", "accept", "refuse"]);
}

#[test]
fn a_directory_with_very_many_other_names_is_not_listed_to_its_end() {
    let host = published();
    for number in 0..2_000 {
        host.write(&format!("{HIS}/f{number}"), "");
    }
    let answer = host.run(&["rebuild", "--max-steps", "1000"]);
    assert_kept(
        &host,
        &answer,
        "its directories, links, files, names and rows take more than the 1000 steps of --max-steps",
    );
}

#[test]
fn files_that_are_read_and_addresses_that_are_asked_count_as_steps() {
    let host = published();
    host.write("/var/qmail/control/locals", "mail.example.org\nsecond.test\nthird.test\n");
    for number in 0..60 {
        host.write(&format!("/home/carol/.qmail-n{number}"), "");
    }
    // To read them takes 21 steps each; to ask for them in each domain, 42 more.
    for (steps, is_enough) in [("1000", false), ("3000", false), ("6000", true)] {
        let answer = host.run(&["rebuild", "--max-steps", steps]);
        let words = format!("rows take more than the {steps} steps of --max-steps");
        assert_eq!(answer.stderr.contains(&words), !is_enough, "{}", answer.stderr);
        let expected = if is_enough { "accept" } else { "refuse" };
        assert_eq!(host.answers(&["carol-n7@mail.example.org", "dora@example.net"]), [expected, "accept"], "{steps}");
    }
}

#[test]
fn a_home_beyond_its_budget_makes_no_rebuild_read_more_and_is_read_again_by_itself() {
    let service = Service::start(published(), &["--max-names", "50"]);
    for number in 0..60 {
        service.add_alias(&format!("many{number}"));
    }
    service.wait_for("more names than the 50 of --max-names");
    // The homes that nobody touched are not read, and what is kept stays.
    service.host.write("/home/carol/.qmail-later", "&x@y.test\n");
    let line = std::iter::repeat_with(|| service.wait_for(" done: "))
        .find(|line| line.contains("validrcptto.cdb published"))
        .unwrap();
    assert_eq!(service.host.answers(&["carol-later@mail.example.org"]), ["accept"]);
    let (read, all) = line.split(" read=").nth(1).and_then(|rest| rest.split(' ').next()?.split_once('/')).unwrap();
    assert!(read.parse::<usize>().unwrap() < all.parse::<usize>().unwrap(), "{line}");
    // A rebuild that came early may have published the first ones.
    let asked = ["ann@example.com", "new@example.com", "many59@example.com", "carol-gone@mail.example.org"];
    assert_eq!(service.host.answers(&asked), ["accept", "accept", "refuse", "refuse"]);
    assert!(service.host.logins().contains_key("ann@example.com"));
    for number in 0..60 {
        fs::remove_file(service.host.path(&format!("{HIS}/.qmail-many{number}"))).unwrap();
    }
    service.wait_for("can be read again");
}

#[test]
fn a_path_of_thousands_of_directories_takes_few_descriptors() {
    let host = published();
    // Longer than any path that the kernel takes: made step by step, and links lead on where a path ends.
    const LEVELS: usize = 2_400;
    const EACH: usize = 800;
    let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY;
    let mut here: OwnedFd = open(&host.path(HIS), flags, Mode::empty()).unwrap();
    for level in 0..LEVELS {
        if level % EACH == 0 {
            let target = if level + EACH < LEVELS {
                format!("{}next", "d/".repeat(EACH))
            } else {
                format!("{}end", "d/".repeat(EACH))
            };
            nix::unistd::symlinkat(&*target, &here, "next").unwrap();
        }
        mkdirat(&here, "d", Mode::S_IRWXU).unwrap();
        here = openat(&here, "d", flags, Mode::empty()).unwrap();
    }
    // The file is at the bottom, and the way back up leads out of it as far.
    drop(openat(&here, "end", OFlag::O_CREAT | OFlag::O_WRONLY, Mode::S_IRUSR).unwrap());
    host.link(&format!("{HIS}/.qmail-deep"), "next");
    host.link(&format!("{HIS}/.qmail-back"), &format!("{}{}.qmail-new", "d/".repeat(EACH), "../".repeat(EACH)));
    let answer = limited(&host, 2_000_000, 80, &["rebuild", "--threads", "2"]);
    assert_eq!((answer.code, answer.stderr.contains("alert")), (0, false), "{}", answer.stderr);
    let asked = ["deep@example.com", "back@example.com", "new@example.com", "gone@example.com"];
    assert_eq!(host.answers(&asked), ["accept", "accept", "accept", "refuse"]);
    // So deep a tree is removed from below.
    assert!(Command::new("rm").arg("-r").arg(host.path(&format!("{HIS}/d"))).status().unwrap().success());
}

#[test]
fn the_bytes_of_all_files_of_a_home_count_together() {
    let host = published();
    for number in 0..6 {
        host.write(&format!("{HIS}/.qmail-f{number}"), "#".repeat(1 << 19));
    }
    let answer = host.run(&["rebuild", "--max-read", "2"]);
    assert_kept(&host, &answer, "its files and rows hold more than the 2 MiB of --max-read");
}

#[test]
fn a_file_that_only_seems_long_is_not_read() {
    for name in ["vpasswd", ".qmailadmin-limits"] {
        let host = published();
        // The text counts only without what is compiled of it.
        if name == "vpasswd" {
            fs::rename(host.path(&format!("{HIS}/vpasswd")), host.path(&format!("{HIS}/old"))).unwrap();
        }
        File::create(host.path(&format!("{HIS}/{name}"))).unwrap().set_len(200 << 20).unwrap();
        let answer = limited(&host, 400_000, 1024, &["rebuild"]);
        assert_kept(&host, &answer, "its files and rows hold more than the 64 MiB of --max-read");
    }
}

/// A vpasswd.cdb with this one mailbox in tables of so many slots each, of which the file system stores nothing.
fn sparse_cdb(host: &MailHost, slots: u32) {
    let (key, data) = (b"sparse", b"$1$a$abcdefghijklmnopqrstu/:1:0:S:/d:NOQUOTA");
    let path = host.path(&format!("{HIS}/vpasswd.cdb"));
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(path).unwrap();
    let number = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let record = [&number(key.len())[..], &number(data.len()), key, data].concat();
    file.write_all_at(&record, HEADER as u64).unwrap();
    let mut position = HEADER + record.len();
    for table in 0..256 {
        file.write_all_at(&[number(position), slots.to_le_bytes()].concat(), table * 8).unwrap();
        let hash = hash(key);
        if u64::from(hash & 0xff) == table {
            let slot = position as u64 + u64::from((hash >> 8) % slots) * 8;
            file.write_all_at(&[hash.to_le_bytes(), number(HEADER)].concat(), slot).unwrap();
        }
        position += slots as usize * 8;
    }
    file.set_len(position as u64).unwrap();
}

#[test]
fn a_vpasswd_cdb_of_empty_tables_takes_no_more_memory_than_its_blocks() {
    let host = published();
    // 768 MiB.
    sparse_cdb(&host, 393_216);
    let answer = limited(&host, 400_000, 1024, &["rebuild"]);
    assert_eq!((answer.code, answer.stderr.contains("alert")), (0, false), "{}", answer.stderr);
    assert!(host.logins().contains_key("sparse@example.com"));
    assert_eq!(host.answers(&["sparse@example.com", "ann@example.com"]), ["accept", "refuse"]);
}

#[test]
fn mailboxes_count_once_for_each_name_of_their_domain() {
    // example.com has another name, example.edu.
    let host = published();
    let mailboxes = |count: usize| {
        let lines: Vec<String> = (0..count).map(|number| format!("m{number}:x:1:0:M:/d:NOQUOTA")).collect();
        host.mailboxes(HIS, &lines.iter().map(String::as_str).collect::<Vec<_>>());
        host.run(&["rebuild", "--max-entries", "500"])
    };
    // Its files make some entries, too.
    let answer = mailboxes(220);
    assert_eq!((answer.code, answer.stderr.contains("alert")), (0, false), "{}", answer.stderr);
    let asked = ["m219@example.com", "m219@example.edu", "m250@example.com", "dora@example.net"];
    assert_eq!(host.answers(&asked), ["accept", "accept", "refuse", "accept"]);
    let answer = mailboxes(251);
    let words = "it makes more than the 500 entries of --max-entries in a table";
    assert!(answer.code == 0 && answer.stderr.matches(words).count() == 1, "{}", answer.stderr);
    assert_eq!(host.answers(&asked), ["accept", "accept", "refuse", "accept"]);
}

#[test]
fn files_of_a_domain_count_once_for_each_of_its_names() {
    // example.com has another name, example.edu, and its names are names of mail.example.org too.
    let host = published();
    for number in 0..200 {
        host.write(&format!("{HIS}/.qmail-f{number}"), "&x@y.test\n");
    }
    let answer = host.run(&["rebuild", "--max-entries", "500"]);
    assert_kept(&host, &answer, "it makes more than the 500 entries of --max-entries in a table");
    let answer = host.run(&["rebuild", "--max-entries", "1500"]);
    assert!(!answer.stderr.contains("alert"), "{}", answer.stderr);
    assert_eq!(host.answers(&["f199@example.com", "f199@example.edu"]), ["accept", "accept"]);
}

#[test]
fn names_count_once_for_each_domain_that_has_them() {
    let host = published();
    host.write("/var/qmail/control/locals", "mail.example.org\nsecond.test\nthird.test\n");
    for number in 0..300 {
        host.write(&format!("/home/carol/.qmail-n{number}"), "");
    }
    let answer = host.run(&["rebuild", "--max-entries", "1000"]);
    assert!(!answer.stderr.contains("alert"), "{}", answer.stderr);
    // Spelled in several ways, each domain is asked for itself.
    for number in 0..40 {
        host.write(&format!("/home/carol/.qmail-a:b:c:d:{number}"), "");
    }
    let answer = host.run(&["rebuild", "--max-entries", "1000", "--max-names", "700"]);
    assert!(answer.stderr.contains("the 1000 entries of --max-entries"), "{}", answer.stderr);
    assert_eq!(host.answers(&["carol-n7@mail.example.org", "dora@example.net"]), ["accept", "accept"]);
}

#[test]
fn keys_of_one_hash_are_bounded_for_mailboxes_and_for_files() {
    let names = alike("", 64);
    let words =
        |bound: usize| format!("more of its keys in a table have the same hash than the {bound} of --max-alike");
    let host = published();
    let lines: Vec<String> = names.iter().map(|name| format!("{name}:x:1:0:M:/d:NOQUOTA")).collect();
    host.mailboxes(HIS, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    let answer = host.run(&["rebuild", "--max-alike", "63"]);
    assert_kept(&host, &answer, &words(63));
    let answer = host.run(&["rebuild", "--max-alike", "64"]);
    assert!(!answer.stderr.contains("alert"), "{}", answer.stderr);
    assert_eq!(host.answers(&[&format!("{}@example.com", names[63])]), ["accept"]);
    // Of a domain, and of a user of the host.
    let host = published();
    for (name, of_user) in names.iter().zip(alike("carol-", 64)) {
        let of_user = of_user.strip_prefix("carol").unwrap();
        host.write(&format!("{HIS}/.qmail-{name}"), "").write(&format!("/home/carol/.qmail{of_user}"), "");
    }
    let answer = host.run(&["rebuild", "--max-alike", "63"]);
    assert_eq!(answer.stderr.matches(&words(63)).count(), 2, "{}", answer.stderr);
    assert_eq!(host.answers(&["ann@example.com", "dora@example.net"]), ["accept", "accept"]);
}

#[test]
fn a_table_of_keys_of_one_hash_takes_no_longer_to_write_than_another() {
    let count = if std::env::var_os("QMAIL_UPDATER_LARGE").is_some() { 1 << 20 } else { 1 << 16 };
    let took = |names: &[String]| {
        let mut writer = Writer::new(tempfile::tempfile().unwrap()).unwrap();
        let mut chunk = Chunk::default();
        names.iter().for_each(|name| chunk.add(&[name.as_bytes()], &[b"x"]));
        let start = std::time::Instant::now();
        writer.add(&chunk).unwrap();
        writer.finish().unwrap();
        start.elapsed()
    };
    let others: Vec<String> = (0..count).map(|number| format!("name{number}abcdefghijklmno")).collect();
    let (alike, others) = (took(&alike("", count)), took(&others));
    // The square would be thousands of times as long.
    assert!(alike < others * 20 + std::time::Duration::from_millis(200), "{alike:?} {others:?}");
}

#[test]
fn a_service_keeps_few_messages_of_one_home() {
    let service = Service::sample();
    let lines: Vec<String> = (0..300).map(|number| format!("m{number}-default:x:1:0:M:/d:NOQUOTA")).collect();
    service.host.mailboxes(HIS, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    service.trigger(&["example.com"]);
    let said = service.wait_for(" more notes like these");
    assert!(said.contains(&format!("{HIS}: ")), "{said}");
}

/// Rebuilds with tables that may be so many bytes long, and gives the alerts.
fn rebuild_within(host: &MailHost, length: u64) -> (Result<(), String>, Vec<String>) {
    let root = host.root().to_str().unwrap();
    let cli = Cli::parse_from(["qmail-updater", "--root", root, "rebuild"]);
    let mut settings = Settings::new(&cli).unwrap();
    settings.layout.root.bounds.table = length;
    rebuild_with_alerts(&settings)
}

#[test]
fn a_table_that_would_be_too_long_keeps_the_largest_home_as_published_and_is_published() {
    let host = published();
    let longest = |name: &str| fs::metadata(host.published(name)).unwrap().len();
    let most = longest("validrcptto.cdb").max(longest("auth.cdb"));
    let lines: Vec<String> = (0..300).map(|number| format!("m{number}:$1$a$b:1:0:M:/d:NOQUOTA")).collect();
    let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    lines.push("ann:$1$a$b:1:0:M:/d:NOQUOTA");
    host.mailboxes(HIS, &lines);
    // The second largest has room.
    for number in 0..5 {
        host.write(&format!("/home/carol/.qmail-{number}"), "");
    }
    let asked = ["ann@example.com", "m7@example.com", "carol-new@mail.example.org", "carol-3@mail.example.org"];
    for _ in 0..2 {
        let (done, alerts) = rebuild_within(&host, most + 4_000);
        assert_eq!(done, Ok(()), "{alerts:?}");
        let [alert] = &alerts[..] else { panic!("not one alert: {alerts:?}") };
        for words in [HIS, "would be longer than the 4 GiB of a cdb", "recipients are kept as published"] {
            assert!(alert.contains(words), "{words:?} is missing: {alert}");
        }
        assert_eq!(host.answers(&asked), ["accept", "refuse", "accept", "accept"]);
        assert!(host.logins().contains_key("ann@example.com"));
    }
    // Where nothing can be left out, the old tables stay.
    let (done, _) = rebuild_within(&host, 2_500);
    let error = done.unwrap_err();
    assert!(error.contains("file too large; nothing is published"), "{error}");
    assert_eq!(host.answers(&asked), ["accept", "refuse", "accept", "accept"]);
    let (done, alerts) = rebuild_within(&host, u32::MAX.into());
    assert_eq!((done, alerts.len()), (Ok(()), 0), "{alerts:?}");
    assert_eq!(host.answers(&asked), ["accept"; 4]);
    assert!(host.logins().contains_key("m7@example.com"));
}
