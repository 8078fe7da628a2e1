//! What the owner of a domain directory can do with links, hard links, mounts and renames: each trick is done as its owner,
//! with and without Landlock, and with fs.protected_hardlinks 0 and 1. No hash of another domain is published, and no entry
//! of another domain appears. What administrators do with links works.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use support::{Answer, MailHost, give, has, skip, strace};

/// The owner of the domains that do tricks, and the owner of one other domain.
const EVIL: u32 = 6001;
const VICTIM: u32 = 5001;
const VPOPMAIL: u32 = 89;
/// Every hash that is not the attacker's holds this.
const SECRET: &str = "Secret";
const EVIL_HOME: &str = "/home/evil";
const DOMAINS: &str = "/home/vpopmail/domains";
const BACKUP: &str = "/var/backups/mail";
const HARDLINKS: &str = "/proc/sys/fs/protected_hardlinks";

/// What follows from a trick for mail.
#[derive(Clone, Copy, PartialEq)]
enum Mail {
    /// qmail reads the mailboxes of the other domain, as the uid of the attacker: mail to `ann` is delivered.
    Theirs,
    /// Nothing that can be read tells: the entries are kept, and `own` is among them.
    Kept,
    /// The trick changes nothing.
    Own,
    /// It depends on the kernel.
    Any,
}

/// A trick: what it does, in words of the shell that run in /home/evil as its owner. `$D` is the domain, which is also its
/// directory; the functions of [`PRELUDE`] help.
type Trick = (&'static str, &'static str, Mail);

const PRELUDE: &str = "V=../vpopmail/domains/victim.test; S=../vpopmail/domains/second.test; B=../../var/backups/mail\n\
    away() { mv \"$D\" \"$D.away\"; }\n\
    no_cdb() { rm -f \"$D/vpasswd.cdb\" \"$D/vpasswd\"; }\n";

const TRICKS: &[Trick] = &[
    ("directory: link to another domain", "away; ln -s /home/vpopmail/domains/victim.test $D", Mail::Theirs),
    ("directory: relative link to another domain", "away; ln -s $V $D", Mail::Theirs),
    ("directory: link to a domain of vpopmail's uid", "away; ln -s $S $D", Mail::Theirs),
    ("directory: link to root's backup", "away; ln -s /var/backups/mail/open $D", Mail::Theirs),
    ("directory: link to a closed backup of root", "away; ln -s /var/backups/mail/closed $D", Mail::Kept),
    ("directory: link to a closed domain", "away; ln -s ../vpopmail/domains/closed.test $D", Mail::Kept),
    ("directory: link to a link", "away; ln -s $V $D.one; ln -s $D.one $D.two; ln -s $D.two $D", Mail::Theirs),
    ("directory: link with dots and slashes", "away; ln -s ./../vpopmail//domains/./victim.test/. $D", Mail::Theirs),
    ("directory: link through root's link", "away; ln -s /var/backups/latest $D", Mail::Theirs),
    ("directory: link to the root", "away; ln -s / $D", Mail::Any),
    (
        "directory: link to a directory of its own whose files are links",
        "away; mkdir $D.own; ln -s ../$V/vpasswd.cdb $D.own/; cp $D.away/.qmail-default $D.own/; ln -s $D.own $D",
        Mail::Theirs,
    ),
    ("directory: link to the owner of the hash in a loop", "away; ln -s $D $D", Mail::Kept),
    ("above: the directory above becomes a link", "mv up up.away; ln -s ../vpopmail/domains up", Mail::Any),
    ("vpasswd.cdb: link", "no_cdb; ln -s /home/vpopmail/domains/victim.test/vpasswd.cdb $D/vpasswd.cdb", Mail::Theirs),
    ("vpasswd.cdb: relative link", "no_cdb; ln -s ../$V/vpasswd.cdb $D/vpasswd.cdb", Mail::Theirs),
    ("vpasswd.cdb: link to the file of vpopmail's uid", "no_cdb; ln -s ../$S/vpasswd.cdb $D/vpasswd.cdb", Mail::Theirs),
    ("vpasswd.cdb: link to root's backup", "no_cdb; ln -s ../$B/open/vpasswd.cdb $D/vpasswd.cdb", Mail::Any),
    (
        "vpasswd.cdb: link to a file that only root reads",
        "no_cdb; ln -s ../$B/closed/vpasswd.cdb $D/vpasswd.cdb",
        Mail::Kept,
    ),
    ("vpasswd.cdb: link to a link", "no_cdb; ln -s ../$V/vpasswd.cdb $D/one; ln -s one $D/vpasswd.cdb", Mail::Theirs),
    (
        "vpasswd.cdb: link through root's link",
        "no_cdb; ln -s /var/backups/latest/vpasswd.cdb $D/vpasswd.cdb",
        Mail::Theirs,
    ),
    ("vpasswd: link", "no_cdb; ln -s ../$V/vpasswd $D/vpasswd", Mail::Theirs),
    ("vpasswd: link to shadow", "no_cdb; ln -s /etc/shadow $D/vpasswd", Mail::Kept),
    (
        "vpasswd: link, and a FIFO in the place of the cdb",
        "no_cdb; mkfifo $D/vpasswd.cdb; ln -s ../$V/vpasswd $D/vpasswd",
        Mail::Kept,
    ),
    ("vpasswd.cdb: hard link", "no_cdb; ln $V/vpasswd.cdb $D/vpasswd.cdb", Mail::Any),
    ("vpasswd.cdb: hard link to the file of vpopmail's uid", "no_cdb; ln $S/vpasswd.cdb $D/vpasswd.cdb", Mail::Any),
    ("vpasswd.cdb: hard link to root's backup", "no_cdb; ln $B/open/vpasswd.cdb $D/vpasswd.cdb", Mail::Any),
    ("vpasswd: hard link", "no_cdb; ln $V/vpasswd $D/vpasswd", Mail::Any),
    ("vpasswd.cdb: hard link to a link", "no_cdb; ln -s ../$V/vpasswd.cdb one; ln -P one $D/vpasswd.cdb", Mail::Theirs),
    (
        "shared: hard link in a directory of vpopmail's uid that others can write",
        "rm -f shared/vpasswd.cdb; ln $S/vpasswd.cdb shared/vpasswd.cdb",
        Mail::Any,
    ),
    (
        "backup: hard link to an old file in a directory that others can write",
        "rm -f shared-too/vpasswd.cdb; ln $B/old/vpasswd.cdb shared-too/vpasswd.cdb",
        Mail::Any,
    ),
    (
        "linked: link in a directory of vpopmail's uid that others can write",
        "rm -f shared-link/vpasswd.cdb; ln -s ../$S/vpasswd.cdb shared-link/vpasswd.cdb",
        Mail::Any,
    ),
    ("renamed: root's directory below the attacker's", "away; mv of-root $D", Mail::Theirs),
    ("renamed: another owner's directory below the attacker's", "away; mv of-victim $D", Mail::Theirs),
    ("renamed: root's link below the attacker's", "away; mv link-of-root $D", Mail::Theirs),
    ("renamed: root's link to another domain", "away; mv link-to-victim $D", Mail::Theirs),
    ("renamed: a file of root below the attacker's", "no_cdb; mv file-of-root $D/vpasswd.cdb", Mail::Kept),
    ("mode: closed to its own uid", "chmod 0 $D", Mail::Kept),
    ("mode: its own uid may not enter", "chmod 600 $D", Mail::Kept),
    (".qmail-default: link to another domain's", "ln -sf ../$V/.qmail-default $D/.qmail-default", Mail::Own),
    (
        ".qmail-default: hard link",
        "rm $D/.qmail-default; ln $V/.qmail-default $D/ || cp $V/.qmail-default $D/",
        Mail::Own,
    ),
    (".qmailadmin-limits: link to a file that only root reads", "ln -s /etc/shadow $D/.qmailadmin-limits", Mail::Kept),
    (".qmail-list: link to another's list", "ln -s ../$V/.qmail-list $D/.qmail-list", Mail::Own),
    (".qmail-dir: link to another domain's directory", "ln -s ../$V $D/.qmail-dir", Mail::Own),
    (
        "mount: in a name space of the owner",
        "unshare -Urm sh -c 'mount --bind '$V' '$D' && exec sleep 60' >/dev/null & sleep 0.1",
        Mail::Own,
    ),
];

fn domain(number: usize) -> String {
    format!("evil{number:02}.test")
}

/// Where users/assign says that the directory of this trick's domain is.
fn home(number: usize, (what, ..): &Trick) -> String {
    match what.split(':').next().unwrap() {
        "above" => format!("{EVIL_HOME}/up/victim.test"),
        "shared" => format!("{EVIL_HOME}/shared"),
        "backup" => format!("{EVIL_HOME}/shared-too"),
        "linked" => format!("{EVIL_HOME}/shared-link"),
        _ => format!("{EVIL_HOME}/{}", domain(number)),
    }
}

/// Directories of domains that belong to vpopmail's uid, and that the attacker can write.
fn is_shared(home: &str) -> bool {
    home.starts_with(&format!("{EVIL_HOME}/shared"))
}

/// Gives a directory, and all that is in it, to a uid and the group of that number.
fn give_all(path: &Path, uid: u32) {
    give(path, uid, uid);
    if path.is_dir() && !path.is_symlink() {
        fs::read_dir(path).unwrap().for_each(|entry| give_all(&entry.unwrap().path(), uid));
    }
}

const DEFAULT: &str = "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n";

/// A directory of a domain with these mailboxes, each with this in its hash.
fn fill(host: &MailHost, home: &str, names: &[&str], salt: &str, uid: u32) {
    // Of the characters that a hash is made of.
    let salt = salt.replace(['-', '.'], "");
    let lines: Vec<String> = names.iter().map(|name| format!("{name}:$1$a${salt}{name}:1:0:N:/d:NOQUOTA")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    host.write(&format!("{home}/.qmail-default"), DEFAULT).mailboxes(home, &lines);
    host.write(&format!("{home}/vpasswd"), lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    give_all(&host.path(home), uid);
}

/// Lines of users/assign, and what else makes these domains: name, uid and gid, directory.
fn assign(host: &MailHost, domains: &[(String, u32, String)]) {
    let lines = domains.iter().map(|(name, uid, home)| format!("+{name}-:{name}:{uid}:{uid}:{home}:-::\n"));
    host.write("/var/qmail/users/assign", lines.collect::<String>() + ".\n");
    let all = |line: &dyn Fn(&str) -> String| domains.iter().map(|(name, ..)| line(name)).collect::<String>();
    host.write("/var/qmail/control/virtualdomains", all(&|name| format!("{name}:{name}\n")));
    host.write("/var/qmail/control/rcpthosts", all(&|name| format!("{name}\n")));
    host.write("/var/qmail/control/me", "mail.test\n").write("/var/qmail/control/locals", "");
    host.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\nalias:x:7790:7790::/var/qmail/alias:/bin/sh\n");
    host.folder("/var/qmail/alias");
}

/// A host on which each trick has a domain of its own.
fn host() -> MailHost {
    let host = MailHost::empty();
    let mut domains: Vec<(String, u32, String)> = Vec::new();
    for (name, uid) in [("victim.test", VICTIM), ("closed.test", VICTIM), ("second.test", VPOPMAIL)] {
        let home = format!("{DOMAINS}/{name}");
        fill(&host, &home, &["ann", "dora"], SECRET, uid);
        host.write(&format!("{home}/.qmail-list"), "&x@y.test\n").own(&format!("{home}/.qmail-list"), uid, uid);
        domains.push((name.to_owned(), uid, home));
    }
    host.mode(&format!("{DOMAINS}/closed.test"), 0o700).mode(&format!("{DOMAINS}/closed.test/vpasswd.cdb"), 0o600);
    host.own("/home/vpopmail", VPOPMAIL, VPOPMAIL).own(DOMAINS, VPOPMAIL, VPOPMAIL);
    host.write("/etc/shadow", "root:$6$a$SecretOfRoot:1::::::\n").mode("/etc/shadow", 0o600);
    for (name, uid) in [("open", 0), ("closed", 0), ("old", VPOPMAIL)] {
        fill(&host, &format!("{BACKUP}/{name}"), &["ann", "dora"], SECRET, uid);
    }
    let closed = format!("{BACKUP}/closed");
    host.mode(&closed, 0o700).mode(&format!("{closed}/vpasswd.cdb"), 0o600);
    host.link("/var/backups/latest", "/home/vpopmail/domains/victim.test");
    for (number, trick) in TRICKS.iter().enumerate() {
        let home = home(number, trick);
        let uid = if is_shared(&home) { VPOPMAIL } else { EVIL };
        fill(&host, &home, &["own"], "own", uid);
        domains.push((domain(number), uid, home));
    }
    // What root and another owner put into a directory of the attacker.
    fill(&host, &format!("{EVIL_HOME}/of-root"), &["ann", "dora"], SECRET, 0);
    fill(&host, &format!("{EVIL_HOME}/of-victim"), &["ann", "dora"], SECRET, VICTIM);
    fs::copy(host.path(&format!("{BACKUP}/open/vpasswd.cdb")), host.path(&format!("{EVIL_HOME}/file-of-root")))
        .unwrap();
    // What he can read he could copy.
    host.mode(&format!("{EVIL_HOME}/file-of-root"), 0o600);
    for (name, target) in
        [("link-of-root", format!("{BACKUP}/open")), ("link-to-victim", format!("{DOMAINS}/victim.test"))]
    {
        host.link(&format!("{EVIL_HOME}/{name}"), &target);
    }
    host.own(EVIL_HOME, EVIL, EVIL).own(&format!("{EVIL_HOME}/up"), EVIL, EVIL);
    for name in ["shared", "shared-too", "shared-link"] {
        let shared = format!("{EVIL_HOME}/{name}");
        host.own(&shared, VPOPMAIL, EVIL).mode(&shared, 0o775);
    }
    assign(&host, &domains);
    host
}

/// Does a trick as the owner of the domains that do tricks. What it starts is in its group.
fn play(host: &MailHost, number: usize, (what, commands, _): &Trick) -> Played {
    let script = format!("D={}\n{PRELUDE}{commands}\nexit 0", domain(number));
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(host.path(EVIL_HOME)).uid(EVIL).gid(EVIL).process_group(0);
    let mut child = shell.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert!(child.wait().unwrap().success(), "{what}");
    Played(child)
}

/// The group of a trick, which ends with it.
struct Played(Child);

impl Drop for Played {
    fn drop(&mut self) {
        let group = nix::unistd::Pid::from_raw(self.0.id().cast_signed());
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::SIGKILL);
    }
}

fn rebuild(host: &MailHost, is_confined: bool) -> Answer {
    let answer: Answer = if is_confined {
        host.run(&["rebuild"])
    } else {
        let mut command = strace();
        command.args(["-f", "-qq", "--seccomp-bpf", "-o", "/dev/null"]);
        command.args(["-e", "trace=landlock_create_ruleset"]);
        command.args(["-e", "inject=landlock_create_ruleset:error=EOPNOTSUPP"]);
        command.arg(support::tested()).arg("--root").arg(host.root()).arg("rebuild");
        command.output().unwrap().into()
    };
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    if !is_confined {
        assert!(answer.stderr.contains("is not confined"), "{}", answer.stderr);
    }
    answer
}

/// The recipient keys of other domains than those that do tricks.
fn keys_of_others(host: &MailHost) -> BTreeSet<Vec<u8>> {
    let image = fs::read(host.published("validrcptto.cdb")).unwrap();
    let cdb = qmail_updater::cdb::Reader::new(&image).unwrap();
    let is_evil = |key: &[u8]| String::from_utf8_lossy(key).contains("@evil");
    cdb.records().map(|record| record.key.to_vec()).filter(|key| !is_evil(key)).collect()
}

/// That nothing of another is published for those that do tricks, and that mail goes where qmail takes it.
fn hold(host: &MailHost, before: &BTreeSet<Vec<u8>>, is_new: bool, answer: &Answer) {
    assert!(!answer.stderr.contains(SECRET), "{}", answer.stderr);
    for (login, data) in host.logins() {
        let is_evil = login.contains("@evil");
        assert_eq!(data.contains(SECRET), !is_evil, "{login}\n{}", answer.stderr);
    }
    assert_eq!(host.logins().keys().filter(|login| !login.contains("@evil")).count(), 6, "logins of others");
    assert_eq!(keys_of_others(host), *before);
    let questions: Vec<String> = (0..TRICKS.len())
        .flat_map(|number| [format!("own@{}", domain(number)), format!("ann@{}", domain(number))])
        .collect();
    let answers = host.answers(&questions.iter().map(String::as_str).collect::<Vec<_>>());
    for (number, ((what, _, mail), answers)) in TRICKS.iter().zip(answers.chunks(2)).enumerate() {
        let logs_in = host.logins().contains_key(&format!("own@{}", domain(number)));
        match mail {
            Mail::Theirs => assert_eq!(answers[1], "accept", "{what}"),
            Mail::Kept => assert_eq!(answers[0], "accept", "{what}"),
            Mail::Own => assert!(answers[0] == "accept" && answers[1] == "refuse" && logs_in, "{what}: {answers:?}"),
            Mail::Any => {}
        }
        // Without a published one to keep, nothing is published.
        let may_log_in = *mail == Mail::Own || *mail == Mail::Any;
        assert!(logs_in != is_new || may_log_in, "{what}: {logs_in}");
    }
}

/// The setting of fs.protected_hardlinks, which is put back at the end.
struct Hardlinks(String);

impl Hardlinks {
    fn set(value: &str) -> Option<Hardlinks> {
        let before = fs::read_to_string(HARDLINKS).ok()?;
        fs::write(HARDLINKS, value).ok()?;
        Some(Hardlinks(before))
    }
}

impl Drop for Hardlinks {
    fn drop(&mut self) {
        fs::write(HARDLINKS, &self.0).unwrap();
    }
}

/// The tests set what is one for the whole machine.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn no_trick_with_links_mounts_or_names_publishes_the_hash_or_an_entry_of_another() {
    if !support::is_root() {
        return skip("tricks of owners", "only root can act as several owners");
    }
    let _turn = ONE_AT_A_TIME.lock();
    for value in ["1", "0"] {
        let Some(_setting) = Hardlinks::set(value) else {
            skip("tricks of owners", &format!("{HARDLINKS} cannot be set to {value}"));
            continue;
        };
        for is_confined in [true, false] {
            if !is_confined && !has("strace") {
                skip("tricks of owners without Landlock", "no strace");
                continue;
            }
            let host = host();
            rebuild(&host, is_confined);
            let before = keys_of_others(&host);
            assert_eq!(host.logins().len(), 6 + TRICKS.len(), "each domain's own");
            let _played: Vec<Played> =
                TRICKS.iter().enumerate().map(|(number, trick)| play(&host, number, trick)).collect();
            let answer = rebuild(&host, is_confined);
            hold(&host, &before, false, &answer);
            for table in ["auth.cdb", "validrcptto.cdb"] {
                fs::remove_file(host.published(table)).unwrap();
            }
            let answer = rebuild(&host, is_confined);
            hold(&host, &before, true, &answer);
        }
    }
}

#[test]
fn what_administrators_and_vpopmail_do_with_links_and_mounts_works() {
    if !support::is_root() {
        return skip("links of administrators", "only root can act as several owners");
    }
    let host = MailHost::empty();
    let mut domains: Vec<(String, u32, String)> = Vec::new();
    let mut add = |name: &str, uid: u32, home: String| domains.push((format!("{name}.test"), uid, home));
    let at = |name: &str| format!("{DOMAINS}/{name}.test");
    // The directory of vpopmail is a link of root.
    host.folder("/var/vpopmail/domains").link("/home/vpopmail", "../var/vpopmail");
    give_all(&host.path("/var/vpopmail"), VPOPMAIL);
    for (name, real, uid, owner_of_link) in [
        ("plain", None, VPOPMAIL, 0),
        ("own-uid", None, VICTIM, 0),
        ("by-root", Some("/srv/disk/by-root"), VPOPMAIL, 0),
        ("by-vpopmail", Some("/srv/disk/by-vpopmail"), VPOPMAIL, VPOPMAIL),
        ("own-uid-by-root", Some("/srv/disk/own-uid"), VICTIM, 0),
        ("of-root", None, 0, 0),
    ] {
        fill(&host, &real.map_or_else(|| at(name), str::to_owned), &["ann"], name, uid);
        if let Some(real) = real {
            host.link(&at(name), real).own(&at(name), owner_of_link, owner_of_link);
        }
        add(name, uid, at(name));
    }
    // Hashed directories, which vpopmail makes after the first hundred domains.
    let hashed = format!("{DOMAINS}/0/hashed.test");
    fill(&host, &hashed, &["ann"], "hashed", VPOPMAIL);
    host.own(&format!("{DOMAINS}/0"), VPOPMAIL, VPOPMAIL);
    add("hashed", VPOPMAIL, hashed);
    // All hashed directories on another disk, by a link of vpopmail, and a domain there with its own uid.
    fill(&host, "/srv/hashed/far.test", &["ann"], "far", VPOPMAIL);
    fill(&host, "/srv/hashed/far-own.test", &["ann"], "far-own", VICTIM);
    let far = format!("{DOMAINS}/1");
    host.own("/srv/hashed", VPOPMAIL, VPOPMAIL).link(&far, "/srv/hashed").own(&far, VPOPMAIL, VPOPMAIL);
    add("far", VPOPMAIL, format!("{far}/far.test"));
    // Links of root to directories that root alone writes.
    host.folder("/srv/roots").own("/srv/roots", 0, 0);
    fill(&host, "/srv/roots/volume", &["ann"], "volume", VPOPMAIL);
    host.own("/srv/roots/volume", 0, 0).link(&at("volume"), "/srv/roots/volume");
    add("volume", VPOPMAIL, at("volume"));
    // Two names of one directory, and a copy of all by hard links.
    add("twice", VPOPMAIL, "/var/vpopmail/domains/plain.test".to_owned());
    // Files that are links within the directory.
    fill(&host, &at("inner"), &["ann"], "inner", VPOPMAIL);
    let cdb = format!("{}/vpasswd.cdb", at("inner"));
    fs::rename(host.path(&cdb), host.path(&format!("{}/real.cdb", at("inner")))).unwrap();
    host.link(&cdb, "real.cdb").own(&cdb, VPOPMAIL, VPOPMAIL);
    add("inner", VPOPMAIL, at("inner"));
    // A domain in the home directory of its owner, who can write there with his group.
    fill(&host, "/home/joe/joe.test", &["ann"], "joe", VICTIM);
    host.own("/home/joe", VICTIM, VICTIM).mode("/home/joe/joe.test", 0o770);
    add("joe", VICTIM, "/home/joe/joe.test".to_owned());
    let real = host.path("/var/vpopmail/domains");
    let snapshot = Command::new("cp").arg("-al").args([&real, &host.path("/var/snapshot")]).status().unwrap();
    assert!(snapshot.success());
    assign(&host, &domains);
    let logins: BTreeSet<String> = domains.iter().map(|(name, ..)| format!("ann@{name}")).collect();
    for is_confined in [true, false] {
        if !is_confined && !has("strace") {
            skip("links of administrators without Landlock", "no strace");
            continue;
        }
        let answer = rebuild(&host, is_confined);
        assert_eq!(host.logins().into_keys().collect::<BTreeSet<_>>(), logins, "{}", answer.stderr);
        // qmail defers all mail of a domain whose uid is 0.
        for (name, ..) in domains.iter().filter(|(_, uid, _)| *uid != 0) {
            let asked = [format!("ann@{name}"), format!("gone@{name}")];
            assert_eq!(host.answers(&[&asked[0], &asked[1]]), ["accept", "refuse"], "{name}");
        }
        ["auth.cdb", "validrcptto.cdb"].iter().for_each(|table| fs::remove_file(host.published(table)).unwrap());
    }
}

#[test]
fn a_file_that_two_domains_of_one_uid_share_gives_no_new_logins_and_keeps_mail() {
    if !support::is_root() {
        return skip("a shared vpasswd.cdb", "only root can act as several owners");
    }
    let host = MailHost::empty();
    let home = |name: &str| format!("{DOMAINS}/{name}");
    for name in ["one.test", "two.test"] {
        fill(&host, &home(name), &["ann"], name, VPOPMAIL);
    }
    let domains = ["one.test", "two.test"].map(|name| (name.to_owned(), VPOPMAIL, home(name)));
    assign(&host, &domains);
    host.rebuild();
    let before = host.logins();
    fill(&host, &home("one.test"), &["ann", "new"], SECRET, VPOPMAIL);
    let file = |name: &str| host.path(&format!("{}/vpasswd.cdb", home(name)));
    fs::remove_file(file("two.test")).unwrap();
    fs::hard_link(file("one.test"), file("two.test")).unwrap();
    let answer = host.rebuild();
    assert!(host.logins() == before, "{:?}", host.logins().keys());
    for name in ["one.test", "two.test"] {
        let (own, other) = (home(name), home(if name == "one.test" { "two.test" } else { "one.test" }));
        let path = |inside: &str| host.path(inside).display().to_string();
        let told = format!("{}: vpasswd.cdb: {} has the same file; 1 logins are kept", path(&own), path(&other));
        assert!(answer.stderr.contains(&told), "{told}\n{}", answer.stderr);
        let asked = [format!("new@{name}"), format!("gone@{name}")];
        assert_eq!(host.answers(&[&asked[0], &asked[1]]), ["accept", "refuse"]);
    }
    // vpopmail writes a new file at the next change.
    fs::remove_file(file("two.test")).unwrap();
    fill(&host, &home("two.test"), &["ann", "bob"], "two", VPOPMAIL);
    host.rebuild();
    assert_eq!(
        host.logins().into_keys().collect::<Vec<_>>(),
        ["ann@one.test", "ann@two.test", "bob@two.test", "new@one.test"]
    );
}

/// Words of perl that exchange two names until they are stopped (renameat2(2), RENAME_EXCHANGE).
const EXCHANGE: &str = "$| = 1; my ($a, $b) = @ARGV; print \"begun\\n\";\
    while (1) { syscall($ENV{NUMBER}, -100, $a, -100, $b, 2) == 0 or exit 3 }";

#[test]
fn a_directory_that_is_exchanged_for_a_link_while_it_is_read_publishes_its_own_hashes_only() {
    if !support::is_root() || !has("perl") {
        return skip("exchanged directories", "only root can act as several owners, and it takes perl");
    }
    let host = MailHost::empty();
    let number = match std::env::consts::ARCH {
        "x86_64" => "316",
        "aarch64" => "276",
        other => {
            return skip("exchanged directories", &format!("the number of renameat2 on {other} is not known here"));
        }
    };
    fill(&host, &format!("{DOMAINS}/victim.test"), &["ann"], SECRET, VPOPMAIL);
    for name in ["one", "two", "three"] {
        fill(&host, &format!("{EVIL_HOME}/{name}"), &["own"], "own", EVIL);
    }
    host.own(EVIL_HOME, EVIL, EVIL);
    let homes = [("victim.test", VPOPMAIL, format!("{DOMAINS}/victim.test"))]
        .into_iter()
        .chain(["one", "two", "three"].map(|name| (name, EVIL, format!("{EVIL_HOME}/{name}"))));
    assign(
        &host,
        &homes
            .map(|(name, uid, home)| (if uid == EVIL { format!("{name}.evil") } else { name.to_owned() }, uid, home))
            .collect::<Vec<_>>(),
    );
    let links = "ln -s ../vpopmail/domains/victim.test to-victim; ln -s one/../three to-own; mkdir mixed; \
                 ln -s ../../vpopmail/domains/victim.test/vpasswd.cdb mixed/vpasswd.cdb; cp one/.qmail-default mixed/";
    let mut shell = Command::new("sh");
    let made = shell.args(["-c", links]).current_dir(host.path(EVIL_HOME)).uid(EVIL).gid(EVIL).status().unwrap();
    assert!(made.success());
    let exchanges = [("one", "to-victim"), ("two", "mixed"), ("three/vpasswd.cdb", "mixed/vpasswd.cdb")];
    let mut running: Vec<Child> = Vec::new();
    for (one, other) in exchanges {
        let mut perl = Command::new("perl");
        perl.args(["-e", EXCHANGE, one, other]).env("NUMBER", number).current_dir(host.path(EVIL_HOME));
        let mut child = perl.uid(EVIL).gid(EVIL).stdout(Stdio::piped()).spawn().unwrap();
        let mut begun = [0; 6];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut begun).unwrap();
        running.push(child);
    }
    let mut seen = BTreeSet::new();
    for _ in 0..12 {
        host.rebuild();
        for (login, data) in host.logins() {
            assert_eq!(data.contains(SECRET), login == "ann@victim.test", "{login}");
            seen.insert(login);
        }
    }
    for mut child in running {
        assert!(child.try_wait().unwrap().is_none(), "it exchanged them all the time");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(seen.contains("ann@victim.test"));
}
