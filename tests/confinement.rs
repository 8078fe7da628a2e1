//! A rebuild as it is, with a sink that tries to do what the part that reads the homes must not be able to do.

mod support;

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;

use clap::Parser;
use qmail_updater::args::Cli;
use qmail_updater::cdb::Chunk;
use qmail_updater::error::Error;
use qmail_updater::rebuild::{Sink, build};
use qmail_updater::settings::Settings;
use support::service::COM;
use support::{MailHost, skip};

/// Where the part that reads the homes hands its records: what is tried here, it could do.
struct Spy {
    outside: PathBuf,
    inside: PathBuf,
    server: SocketAddr,
    tried: Vec<(&'static str, Option<i32>)>,
}

impl Spy {
    fn spy(&mut self) {
        if self.tried.is_empty() {
            let code = |result: io::Result<()>| result.err().and_then(|cause| cause.raw_os_error());
            self.tried = vec![
                ("read a home", code(File::open(&self.inside).map(drop))),
                ("read elsewhere", code(File::open(&self.outside).map(drop))),
                ("write elsewhere", code(File::create(&self.outside).map(drop))),
                ("write into a home", code(File::create(&self.inside).map(drop))),
                ("make a file in a home", code(File::create(self.inside.with_extension("new")).map(drop))),
                ("remove a file of a home", code(std::fs::remove_file(&self.inside))),
                ("connect", code(TcpStream::connect(self.server).map(drop))),
            ];
        }
    }
}

impl Sink for Spy {
    fn recipients(&mut self, _: &Chunk) -> Result<(), Error> {
        self.spy();
        Ok(())
    }

    fn logins(&mut self, _: &Chunk) -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn what_reads_the_homes_can_open_nothing_else_and_write_nothing() {
    let host = MailHost::sample();
    let root = host.root().to_str().unwrap();
    let settings = Settings::new(&Cli::parse_from(["qmail-updater", "--root", root, "rebuild"])).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut spy = Spy {
        outside: host.path("/etc/passwd"),
        inside: host.path(&format!("{COM}/.qmail-default")),
        server: listener.local_addr().unwrap(),
        tried: Vec::new(),
    };
    let built = build(&settings, &mut spy).unwrap();
    if built.notes.iter().any(|note| note.text.contains("is not confined")) {
        return skip("confinement", "the kernel has no Landlock");
    }
    let denied = Some(nix::errno::Errno::EACCES as i32);
    for (what, code) in &spy.tried {
        let expected = if *what == "read a home" { None } else { denied };
        assert_eq!(*code, expected, "{what}");
    }
    assert_eq!(spy.tried.len(), 7);
    // Whoever ordered the rebuild is free to publish it.
    assert!(File::options().write(true).open(&spy.inside).is_ok() && File::open(&spy.outside).is_ok());
}

#[test]
fn nobodys_link_opens_what_its_maker_may_not_read() {
    if !support::is_root() {
        return skip("links of vpopmail's", "only root can make a file another's");
    }
    let host = MailHost::sample();
    let domains = "/home/vpopmail/domains";
    host.write("/etc/shadow", "root:$6$a$SecretOfRoot:1::::::\n").mode("/etc/shadow", 0o600);
    host.rebuild();
    let before = host.logins();
    // As vpopmail: another domain becomes a link to a folder beside root's file, so that this one is open too.
    std::fs::remove_dir_all(host.path(&format!("{domains}/example.net"))).unwrap();
    host.folder("/etc/ssl").link(&format!("{domains}/example.net"), "/etc/ssl").own(
        &format!("{domains}/example.net"),
        89,
        89,
    );
    host.own(COM, 89, 89).remove(&format!("{COM}/vpasswd"));
    host.link(&format!("{COM}/vpasswd"), "/etc/shadow").own(&format!("{COM}/vpasswd"), 89, 89);
    let answer = host.rebuild();
    assert!(before == host.logins(), "kept: {:?}", host.logins().keys());
    assert!(answer.stderr.contains("vpasswd: a link that leads elsewhere: "), "{}", answer.stderr);
    assert!(!answer.stderr.contains("SecretOfRoot"), "{}", answer.stderr);
    // A folder that root leads elsewhere is read there.
    host.remove(&format!("{domains}/example.net")).folder("/srv/mail");
    host.write("/srv/mail/.qmail-moved", "&x@y.test\n");
    host.mailboxes("/srv/mail", &["dora:$1$a$b:1:0:N:/d:Q"]);
    host.write("/srv/mail/.qmail-default", "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n");
    host.link(&format!("{domains}/example.net"), "/srv/mail");
    let answer = host.rebuild();
    assert!(!answer.stderr.contains("example.net"), "{}", answer.stderr);
    assert_eq!(host.answers(&["moved@example.net", "gone@example.net"]), ["accept", "refuse"]);
}

#[test]
fn what_vpopmail_does_to_its_own_files_neither_stops_a_rebuild_nor_is_told() {
    let host = MailHost::sample();
    let default = "/home/vpopmail/etc/defaultdomain";
    host.rebuild();
    let before = host.logins();
    assert!(before.contains_key("ann"), "the sample has bare logins");
    host.write("/etc/secret", "root:$6$a$SecretOfRoot:1::::::\n");
    host.remove(default).link(default, "/etc/secret");
    let answer = host.rebuild();
    assert!(!answer.stderr.to_lowercase().contains("secretofroot"), "{}", answer.stderr);
    host.remove(default).write(default, "example.com\n");
    host.rebuild();
    assert!(before == host.logins());
    host.remove(default);
    nix::unistd::mkfifo(&host.path(default), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let answer = host.rebuild();
    assert!(
        answer.stderr.contains("bare names log in for example.com, of which they are published"),
        "{}",
        answer.stderr
    );
    assert!(before == host.logins());
    // Its folder is away, as when a file system is not mounted.
    std::fs::rename(host.path("/home/vpopmail"), host.path("/away")).unwrap();
    let answer = host.rebuild();
    assert!(answer.stderr.contains("bare names log in for example.com"), "{}", answer.stderr);
    assert!(before == host.logins());
    std::fs::rename(host.path("/away"), host.path("/home/vpopmail")).unwrap();
    host.remove(default);
    host.rebuild();
    assert!(!host.logins().contains_key("ann"), "without the file nobody logs in by a bare name");
    let limits = "/home/vpopmail/etc/vlimits.default";
    let before = host.logins();
    nix::unistd::mkfifo(&host.path(limits), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let answer = host.rebuild();
    assert!(answer.stderr.contains("vlimits.default: no regular file") && before == host.logins(), "{}", answer.stderr);
}

#[test]
fn a_link_out_of_the_homes_is_told_with_the_rule_that_keeps_it_closed() {
    let host = MailHost::sample();
    let domains = "/home/vpopmail/domains";
    // Whoever made the link, and whoever may read what it leads to.
    host.write("/etc/mail/list", "|exit 100\n").link("/home/carol/.qmail-list", "/etc/mail/list");
    host.mailboxes("/srv/mail", &["eva:$1$a$b:1:0:N:/d:NOQUOTA"]);
    host.remove(&format!("{domains}/example.net/vpasswd"));
    host.link(&format!("{domains}/example.net/vpasswd.cdb"), "/srv/mail/vpasswd.cdb");
    let answer = host.rebuild();
    if answer.stderr.contains("is not confined") {
        return skip("confinement", "the kernel has no Landlock");
    }
    let told = answer.stderr.replace(host.root().to_str().unwrap(), "");
    let rule = "it is outside the home directories, where nothing is opened";
    let of_list =
        format!("/home/carol/.qmail-list: a link that leads to /etc/mail/list: {rule}; what leads there counts");
    assert!(told.contains(&of_list), "{told}");
    let of_net =
        format!("{domains}/example.net: vpasswd.cdb: a link that leads elsewhere: {rule}; nothing is published");
    assert!(told.contains(&of_net), "{told}");
    assert!(!told.contains("Permission denied"), "{told}");
    assert_eq!(host.answers(&["carol-list@mail.example.org", "x@example.net"]), ["accept", "accept"]);
    // Inside the homes it is followed.
    host.remove("/home/carol/.qmail-list").write("/home/carol/list", "|exit 100\n");
    host.link("/home/carol/.qmail-list", "/home/carol/list");
    assert!(!host.rebuild().stderr.contains(".qmail-list"));
    assert_eq!(host.answers(&["carol-list@mail.example.org"]), ["refuse"]);
}
