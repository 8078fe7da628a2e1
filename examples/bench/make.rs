//! The hosts that are measured: vpopmail domains of 100 mailboxes (or more), 10 aliases and a default file each. Made once,
//! and the same every time.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use qmail_updater::cdb;
use rayon::prelude::*;

/// Mailboxes of a domain that is no large one. Those of a large one have no more directories than these: vpopmail spreads
/// the others over directories below.
pub const MAILBOXES: usize = 100;
/// Changes when the hosts do.
const VERSION: &str = "1";
const UID: u32 = 89;
const CRYPT: &[u8] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const NAMES: [&str; 20] = [
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "karl", "laura", "mike",
    "nina", "oscar", "peggy", "quinn", "rita", "sybil", "trent",
];

/// A host below a folder.
pub struct MailHost {
    /// The folder that stands for `/`.
    pub root: PathBuf,
    /// How many domains it has.
    pub domains: usize,
    /// How many mailboxes each of them has.
    pub each: usize,
}

/// A mailbox, as a user database has it in a row.
pub struct Row {
    /// Its name.
    pub name: String,
    /// The domain.
    pub domain: String,
    /// The hash of its password.
    pub crypt: String,
    /// Its flags.
    pub flags: String,
    /// Its directory.
    pub directory: String,
}

/// Numbers that look random and are the same every time (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn crypt(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(CRYPT[(self.next() >> 58) as usize])).collect()
    }
}

/// The name of a domain.
pub fn domain(number: usize) -> String {
    format!("{}{number}.example", ["mail", "office", "shop", "club", "school"][number % 5])
}

/// Its folder on the host: the first hundred lie together, then each hundred in a folder of its own.
fn home(number: usize) -> String {
    let name = domain(number);
    match (number / 100).checked_sub(1) {
        None => format!("/home/vpopmail/domains/{name}"),
        Some(group) => format!("/home/vpopmail/domains/{group}/{name}"),
    }
}

fn mailbox_name(number: usize) -> String {
    format!("{}{number}", NAMES[number % NAMES.len()])
}

/// So many mailboxes of a domain: name, and what vpasswd holds behind it.
fn mailboxes(number: usize, each: usize) -> Vec<(String, String)> {
    let mut numbers = Numbers(number as u64 + 1);
    // The first numbers of neighbours are alike.
    for _ in 0..20 {
        numbers.next();
    }
    let home = home(number);
    let record = |of: usize| {
        let name = mailbox_name(of);
        // One in fifty may not log in for SMTP.
        let flags = if of % 50 == 49 { 0x800 } else { 0 };
        let hash = format!("$6${}${}", numbers.crypt(16), numbers.crypt(86));
        (name.clone(), format!("{hash}:1:{flags}:{name}:{home}/{name}:1073741824S"))
    };
    (0..each).map(record).collect()
}

/// The line of the `.qmail-default` of a domain.
fn default_line(number: usize) -> String {
    let catchall = match number % 20 {
        7 => format!("{}/{}", home(number), mailbox_name(0)),
        13 => "delete".to_owned(),
        _ => "bounce-no-mailbox".to_owned(),
    };
    format!("| /home/vpopmail/bin/vdelivermail '' {catchall}\n")
}

/// The dot-qmail files of a domain: name and content.
fn dot_qmails(number: usize) -> Vec<(String, String)> {
    let (home, first) = (home(number), mailbox_name(0));
    let at = |of: usize| format!("{}@{}", mailbox_name(of), domain(number));
    let files = [
        ("default", default_line(number)),
        ("postmaster", format!("&{}\n", at(0))),
        ("info", format!("&{}\n&{}\n", at(1), at(2))),
        ("sales", format!("# the sales team\n{}\n{}\n{}\n", at(3), at(4), at(5))),
        ("support", format!("{home}/{first}/Maildir/\n")),
        ("news", format!("|/usr/local/bin/ezmlm/ezmlm-send '{home}/news'\n")),
        ("news-owner", format!("&{}\n", at(6))),
        ("news-default", format!("|/usr/local/bin/ezmlm/ezmlm-manage '{home}/news'\n")),
        (&first, format!("|/usr/local/bin/autorespond 86400 3 {home}/{first}/message\n{home}/{first}/Maildir/\n")),
        ("formerly", "|/var/qmail/bin/bouncesaying 'This person has left.'\n".to_owned()),
        ("front:desk", format!("&{}\n", at(7))),
    ];
    files.into_iter().map(|(name, content)| (format!(".qmail-{name}"), content)).collect()
}

impl MailHost {
    /// A host of so many domains with so many mailboxes each; made below `folder` unless it is there already.
    pub fn make(folder: &Path, (domains, each): (usize, usize)) -> io::Result<MailHost> {
        let large = if each == MAILBOXES { String::new() } else { format!("-of-{each}") };
        let name = format!("host-{domains}{large}");
        let host = MailHost { root: folder.join(&name), domains, each };
        // Where vpopmail keeps its settings, of which there are none.
        fs::create_dir_all(host.path("home/vpopmail/etc"))?;
        let (complete, version) = (host.complete(), format!("{VERSION}\n"));
        if fs::read_to_string(&complete).is_ok_and(|found| found == version) {
            // An interrupted run may have left it changed.
            host.set_mailboxes(None, None)?;
            return Ok(host);
        }
        fs::remove_dir_all(&host.root)?;
        host.write_all()?;
        nix::unistd::sync();
        fs::write(complete, version)?;
        Ok(host)
    }

    /// The path on this machine of a path on the host.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside.trim_start_matches('/'))
    }

    /// How many mailboxes it has.
    pub fn mailboxes(&self) -> usize {
        self.domains * self.each
    }

    /// The file beside it that says that it is complete.
    fn complete(&self) -> PathBuf {
        self.root.with_extension("complete")
    }

    /// Does something with other lines in its `.qmail-default` files, and gives them back theirs. What is interrupted
    /// leaves a host that is made again.
    pub fn with_other_lines<T>(&self, mut measure: impl FnMut() -> T) -> io::Result<T> {
        let kept = self.root.with_extension("kept");
        fs::rename(self.complete(), &kept)?;
        let measured = measure();
        self.set_default_lines(&default_line)?;
        fs::rename(kept, self.complete())?;
        Ok(measured)
    }

    /// Writes the line of each `.qmail-default`.
    pub fn set_default_lines(&self, line: &(dyn Fn(usize) -> String + Sync)) -> io::Result<()> {
        let write = |number: usize| fs::write(self.path(&home(number)).join(".qmail-default"), line(number));
        (0..self.domains).into_par_iter().try_for_each(write)
    }

    fn owner() -> (u32, u32) {
        if nix::unistd::geteuid().is_root() {
            (UID, UID)
        } else {
            (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
        }
    }

    fn write_all(&self) -> io::Result<()> {
        let folders = [
            "etc",
            "run",
            "tmp",
            "var/qmail/alias",
            "var/qmail/control",
            "var/qmail/users",
            "home/vpopmail/etc",
            "bench/out",
        ];
        for folder in folders {
            fs::create_dir_all(self.path(folder))?;
        }
        fs::set_permissions(self.path("tmp"), fs::Permissions::from_mode(0o1777))?;
        let (uid, gid) = MailHost::owner();
        let of_domains = |line: &dyn Fn(usize) -> String| (0..self.domains).map(line).collect::<String>();
        let control = |name: &str, text: &str| fs::write(self.path("var/qmail/control").join(name), text);
        control("me", "mx.example\n")?;
        control("locals", "")?;
        control("rcpthosts", &of_domains(&|number| format!("{}\n", domain(number))))?;
        control("virtualdomains", &of_domains(&|number| format!("{0}:{0}\n", domain(number))))?;
        let line = |number: usize| format!("+{0}-:{0}:{uid}:{gid}:{1}:-::\n", domain(number), home(number));
        fs::write(self.path("var/qmail/users/assign"), of_domains(&line) + ".\n")?;
        // What qmail-newu makes of it.
        let record = |number: usize| {
            let data = format!("{}\0{uid}\0{gid}\0{}\0-\0\0", domain(number), home(number));
            (format!("!{}-", domain(number)), data)
        };
        let mut compiled: Vec<_> = (0..self.domains).map(record).collect();
        compiled.push((String::new(), "-".to_owned()));
        fs::write(self.path("var/qmail/users/cdb"), image(&compiled)?)?;
        fs::write(
            self.path("etc/passwd"),
            format!(
                "root:x:0:0::/root:/bin/sh\nalias:x:7790:2108::/var/qmail/alias:/bin/false\nvpopmail:x:{uid}:{gid}::/home/vpopmail:/bin/sh\n"
            ),
        )?;
        (0..self.domains).into_par_iter().try_for_each(|number| self.write_domain(number))
    }

    fn write_domain(&self, number: usize) -> io::Result<()> {
        let home = self.path(&home(number));
        fs::create_dir_all(&home)?;
        fs::set_permissions(&home, fs::Permissions::from_mode(0o755))?;
        give(&home)?;
        for (name, content) in dot_qmails(number) {
            let path = home.join(name);
            fs::write(&path, content)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            give(&path)?;
        }
        let mailboxes = mailboxes(number, self.each);
        for (name, _) in mailboxes.iter().take(MAILBOXES) {
            fs::create_dir(home.join(name))?;
        }
        self.write_mailboxes(number, &mailboxes)
    }

    /// As vpopmail does: the text, then the cdb, both by renaming.
    fn write_mailboxes(&self, number: usize, mailboxes: &[(String, String)]) -> io::Result<()> {
        let home = self.path(&home(number));
        let text: String = mailboxes.iter().map(|(name, record)| format!("{name}:{record}\n")).collect();
        for (name, content) in [("vpasswd", text.into_bytes()), ("vpasswd.cdb", image(mailboxes)?)] {
            let draft = home.join(format!("new.{name}"));
            fs::write(&draft, content)?;
            fs::set_permissions(&draft, fs::Permissions::from_mode(0o600))?;
            give(&draft)?;
            fs::rename(draft, home.join(name))?;
        }
        Ok(())
    }

    /// The mailboxes of a domain, as rows.
    pub fn rows(&self, number: usize) -> impl Iterator<Item = Row> {
        mailboxes(number, self.each).into_iter().map(move |(name, record)| {
            let mut fields = record.split(':').map(str::to_owned);
            let mut field = |at: usize| fields.nth(at).unwrap_or_default();
            let (crypt, flags, directory) = (field(0), field(1), field(1));
            Row { name, domain: domain(number), crypt, flags, directory }
        })
    }

    /// The domain whose mailboxes change: one in the middle.
    pub fn changing(&self) -> usize {
        self.domains / 2
    }

    /// The name of the domain whose mailboxes change.
    pub fn changing_domain(&self) -> String {
        domain(self.changing())
    }

    /// Gives the changing domain one more mailbox, its first one another password, or neither; whether its files had to
    /// be written for that.
    pub fn set_mailboxes(&self, more: Option<&str>, password: Option<u64>) -> io::Result<()> {
        let number = self.changing();
        let mut mailboxes = mailboxes(number, self.each);
        if let Some(seed) = password {
            let mut numbers = Numbers(seed + 1_000_000);
            mailboxes[0].1.replace_range(3..19, &numbers.crypt(16));
        }
        if let Some(name) = more {
            let record = mailboxes[1].1.clone();
            mailboxes.push((name.to_owned(), record));
        }
        let published = fs::read(self.path(&home(number)).join("vpasswd.cdb"));
        if published.is_ok_and(|found| image(&mailboxes).is_ok_and(|wanted| found == wanted)) {
            return Ok(());
        }
        self.write_mailboxes(number, &mailboxes)
    }
}

/// Gives a path to vpopmail, when we may.
fn give(path: &Path) -> io::Result<()> {
    let (uid, gid) = MailHost::owner();
    chown(path, Some(uid), Some(gid))
}

fn image(records: &[(String, String)]) -> io::Result<Vec<u8>> {
    cdb::image(records.iter().map(|(key, data)| (key.as_bytes(), data.as_bytes())))
}
