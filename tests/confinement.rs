//! A rebuild as it is, with a sink that tries to do what the part that reads the homes must not be able to do.

mod support;

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;

use clap::Parser;
use qmail_updater::cli::Cli;
use qmail_updater::error::Error;
use qmail_updater::logins::Login;
use qmail_updater::rebuild::{Sink, build};
use qmail_updater::recipients::Recipient;
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
    fn recipient(&mut self, _: Recipient) -> Result<(), Error> {
        self.spy();
        Ok(())
    }

    fn login(&mut self, _: Login) -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn what_reads_the_homes_can_open_nothing_else_and_write_nothing() {
    let host = MailHost::sample();
    let root = host.root().to_str().unwrap();
    let settings = Settings::new(&Cli::parse_from(["qmail-updater", "--root", root, "rebuild"]).options).unwrap();
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
