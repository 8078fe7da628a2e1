//! A host of many domains, one of whose users attacks it: how long the others wait for their changes meanwhile, and how much
//! memory the service takes.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use qmail_updater::cdb::{FileReader, hash};

use super::MailHost;
use super::service::{PATIENCE, Service};

/// The home directory of the attacker as a user of the host.
pub const HIS_HOME: &str = "/home/mallory";
/// The directory of the domain that the attacker owns.
pub const HIS_DOMAIN: &str = "/home/vpopmail/domains/d0.test";
/// The local domains: each has the names of the attacker.
const LOCAL: [&str; 8] =
    ["mail.test", "mail2.test", "mail3.test", "mail4.test", "mail5.test", "mail6.test", "mail7.test", "mail8.test"];
/// How long after a rebuild the service is idle.
const IDLE: Duration = Duration::from_millis(700);

/// A service whose host is attacked.
pub struct Attacked {
    pub service: Service,
    /// How many domains there are, and how many mailboxes in each.
    domains: usize,
    mailboxes: usize,
    /// How many mailboxes were added to the domain of another.
    added: usize,
}

fn lines(mailboxes: usize, added: usize) -> Vec<String> {
    let names =
        (0..mailboxes).map(|number| format!("m{number}")).chain((0..added).map(|number| format!("new{number}")));
    names.map(|name| format!("{name}:$1$a$b:1:0:M:/d/{name}:NOQUOTA")).collect()
}

impl Attacked {
    /// A host below `place` with so many domains, and so many mailboxes in each; its service has these options.
    pub fn start(place: &Path, domains: usize, mailboxes: usize, options: &[&str]) -> Attacked {
        let host = MailHost::below(place);
        let of_domains = |line: &dyn Fn(usize) -> String| (0..domains).map(line).collect::<String>();
        let accounts = "root:x:0:0::/root:/bin/sh\nalias:x:7790:2108::/var/qmail/alias:/bin/true\n\
                        vpopmail:x:89:89::/home/vpopmail:/bin/sh\nmallory:x:1001:1001::/home/mallory:/bin/sh\n";
        let his = "=mallory:mallory:1001:1001:/home/mallory:::\n+mallory-:mallory:1001:1001:/home/mallory:-::\n";
        let line = |number: usize| {
            format!("+d{number}.test-:d{number}.test:89:89:/home/vpopmail/domains/d{number}.test:-::\n")
        };
        host.write("/etc/passwd", accounts)
            .write("/var/qmail/control/me", "mail.test\n")
            .write("/var/qmail/control/locals", format!("{}\n", LOCAL.join("\n")))
            .write(
                "/var/qmail/control/rcpthosts",
                format!("{}\n{}", LOCAL.join("\n"), of_domains(&|number| format!("d{number}.test\n"))),
            )
            .write(
                "/var/qmail/control/virtualdomains",
                of_domains(&|number| format!("d{number}.test:d{number}.test\n")),
            )
            .write("/var/qmail/users/assign", format!("{his}{}.\n", of_domains(&line)))
            .folder("/home/vpopmail/etc")
            .folder("/var/qmail/alias")
            .folder(HIS_HOME)
            .write(&format!("{HIS_HOME}/.qmail-known"), "");
        let lines = lines(mailboxes, 0);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        for number in 0..domains {
            let home = format!("/home/vpopmail/domains/d{number}.test");
            host.mailboxes(&home, &lines);
            host.write(&format!("{home}/.qmail-default"), "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n");
        }
        let service = Service::start(host, options);
        Attacked { service, domains, mailboxes, added: 0 }
    }

    /// Adds a mailbox to the domain of another, announces it, and says how long it takes until both tables have it.
    pub fn others(&mut self) -> Duration {
        let domain = format!("d{}.test", self.domains / 2);
        let home = format!("/home/vpopmail/domains/{domain}");
        let key = format!("new{}@{domain}", self.added);
        self.added += 1;
        let host = &self.service.host;
        let lines = lines(self.mailboxes, self.added);
        host.mailboxes(&format!("{home}/draft"), &lines.iter().map(String::as_str).collect::<Vec<_>>());
        fs::rename(host.path(&format!("{home}/draft/vpasswd.cdb")), host.path(&format!("{home}/vpasswd.cdb"))).unwrap();
        let start = Instant::now();
        self.service.trigger(&[&domain]);
        for table in ["validrcptto.cdb", "auth.cdb"] {
            while !has(&host.published(table), key.as_bytes()) {
                assert!(start.elapsed() < PATIENCE, "{key} never comes into {table}");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        start.elapsed()
    }

    /// The median of so many, each of which finds an idle service.
    pub fn median_of_others(&mut self, count: usize) -> Duration {
        let mut times: Vec<Duration> = Vec::new();
        for _ in 0..count {
            std::thread::sleep(IDLE);
            times.push(self.others());
        }
        times.sort_unstable();
        times[count / 2]
    }

    /// The most memory that the service took since the last call, in MiB.
    pub fn peak(&self) -> u64 {
        let process = format!("/proc/{}", self.service.child.id());
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        fs::write(format!("{process}/clear_refs"), "5").unwrap();
        peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
    }

    /// Insists that nothing of others is kept or open.
    pub fn assert_others_are_right(&self) {
        let last = self.domains - 1;
        let asked = [
            format!("m0@d{last}.test"),
            format!("gone@d{last}.test"),
            format!("m1@d{}.test", self.domains / 2),
            format!("gone@d{}.test", self.domains / 2),
            "gone@mail.test".to_owned(),
        ];
        let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
        assert_eq!(self.service.host.answers(&asked), ["accept", "refuse", "accept", "refuse", "refuse"]);
    }
}

fn has(table: &Path, key: &[u8]) -> bool {
    let Ok(file) = File::open(table) else { return false };
    FileReader::new(&file).is_ok_and(|table| table.find(key).is_some())
}

/// So many names that begin like this and go on with letters and digits, each with the same hash.
pub fn alike(begin: &str, count: usize) -> Vec<String> {
    let mut names = vec![begin.to_owned()];
    while names.len() < count {
        // Two or more words that lead from one hash to another one.
        let start = names[0].clone();
        let letters = || (b'a'..=b'z').chain(b'0'..=b'9').map(char::from);
        let mut ways: std::collections::HashMap<u32, Vec<String>> = std::collections::HashMap::new();
        for word in
            letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| String::from_iter([a, b, c]))))
        {
            ways.entry(hash(format!("{start}{word}").as_bytes())).or_default().push(word);
        }
        let words = ways.into_values().max_by_key(|words| (words.len(), words[0].clone())).unwrap();
        assert!(words.len() > 1, "no two ways lead on");
        names = names.iter().flat_map(|name| words.iter().map(move |word| format!("{name}{word}"))).collect();
    }
    names.truncate(count);
    assert!(names.iter().all(|name| hash(name.as_bytes()) == hash(names[0].as_bytes())));
    names
}
