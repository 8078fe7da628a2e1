//! Rebuilds `validrcptto.cdb` and `auth.cdb`, the two constant databases by which a patched qmail-smtpd checks
//! recipients and logins, from what a qmail and vpopmail host says. When they are wrong, real mail is refused or real
//! strangers get in; so nothing here is guessed, and what cannot be read keeps what was published of it.
//!
//! # The story
//!
//! **Somebody pokes.** vpopmail runs `onchange`, an administrator touches the pipe, a watched file changes, or a quarter
//! of an hour is over: the [`service`] hears it, and its [`schedule`](service::schedule) says when it is answered; many
//! triggers are one rebuild. A line in the pipe is a hint, never an instruction: anybody can write one.
//!
//! **The host is read.** [`rebuild::rebuild`] tells the rest on one page. It takes the [`lock`](os::lock), and [`host`] reads the
//! control files, users/assign and the accounts whole, for they are small. Then one home after the other, by threads that
//! [`confine`](os::confine) lets read homes and do nothing else: a million mailboxes are never in memory at once.
//!
//! **Each name is decided.** [`decide::deliver`] takes an address the way that qmail takes it, through virtualdomains,
//! users/assign, the `.qmail` files and vdelivermail, to deliver, defer, bounce or remote. These rules stand there once.
//! [`recipients`](tables::recipients) collects the points at which the answer can change, asks for each, and lays the answers out as the
//! fewest keys by which qmail-smtpd's own lookup ([`smtpd`](tables::smtpd)) answers the same for every address, the ones nobody listed
//! included. [`logins`](tables::logins) says who may log in, with which hash.
//!
//! **The files are replaced.** [`protect`] keeps a domain that would lose much at once. [`publish`] writes each table beside
//! the old one and renames it: whoever opens it sees the old one or the new one, whole, even when the power fails. A
//! table that says what it said is left alone.
//!
//! **Others are told.** [`follow_ups`](service::follow_ups) runs qmail-newu, qmail-newmrh and the administrator's commands, each when it is owed
//! something ([`owed`](service::owed)), [`actions`] what is hung on a change, [`status`](service::status) and [`metrics`](service::metrics) say how it went. No rebuild waits for any of them.
//!
//! What `qmail-updater explain` does is short, because nothing is decided a second time:
//!
//! ```
//! use std::sync::Arc;
//!
//! use clap::Parser;
//! use qmail_updater::args::Cli;
//! use qmail_updater::decide::{Trail, deliver};
//! use qmail_updater::publish::Before;
//! use qmail_updater::rebuild::{homes::HomeReader, read_host};
//! use qmail_updater::settings::Settings;
//!
//! let cli = Cli::parse_from(["qmail-updater", "--root", "examples/host", "check"]);
//! let settings = Settings::new(&cli)?;
//! let host = Arc::new(read_host(&settings, &mut Vec::new())?);
//! let homes = HomeReader::new(&host, &Before::default(), 1, None);
//! let mut trail = Trail::kept();
//! let delivery = deliver(&host, &homes, b"list-subscribe@example.edu", &mut trail);
//! for step in trail.steps() {
//!     println!("{step}");
//! }
//! assert!(delivery.accepted());
//! # Ok::<(), qmail_updater::error::Error>(())
//! ```
//!
//! # The house
//!
//! Data flows one way; ARCHITECTURE.md has the pictures.
//!
//! ```text
//! settings -> host -> decide -> tables -> protect -> publish
//! ```
//!
//! Who may use whom: each only those below it (a test holds the code against this table).
//!
//! | directory | what it owns | uses |
//! |---|---|---|
//! | [`front`] | what other mail servers ask: one file a protocol, one judge of recipients and one of logins | args cdb error fs host kernel os report settings tables text |
//! | [`commands`] | what people type: list, lookup, explain, status, check, domains, user: the only printers to standard output | actions args cdb decide error fs host os pipe protect publish rebuild report service settings tables text |
//! | [`service`] | the threads and the loop, what they wait for, and what others may see of them | actions cdb error fs host kernel os pipe protect publish rebuild report settings text |
//! | [`actions`] | what runs for what the service saw change, and the skeleton of a new mailbox | error fs host kernel os publish rebuild report settings text |
//! | [`rebuild`] | the story of one rebuild | cdb error fs host os protect publish report settings sql tables text |
//! | [`protect`] | why an entry stays: which domains a sudden loss holds, and what is published of them | cdb error host publish report settings tables text |
//! | [`sql`] | the process that asks a user database: the question, and a client of each database | host os text |
//! | [`tables`] | pure: which keys and logins, each decided by `decide`, and how qmail-smtpd looks a recipient up | cdb decide error fs host report text |
//! | [`decide`] | pure: what qmail would do with one address, and why | error fs host text |
//! | [`settings`] | what was typed, made usable: paths below the root, policies | args error fs host kernel os publish report text |
//! | [`os`] | what only the system does: the only spawner, locks, confinement, and the only unsafe code | error fs host kernel report text |
//! | [`args`] | what can be typed, and a directory of settings with one file a variable | error fs kernel text |
//! | [`publish`] | atomic replacement: the only writer of published files | cdb error fs kernel |
//! | [`pipe`] | the named pipe, both ends | error kernel report text |
//! | [`host`] | what the mail host says: the only readers of its files | cdb error fs kernel report text |
//! | [`cdb`] | the file format, both ways, and what came and went between two files |  |
//! | [`report`] | every log line: the only printer to standard error | error text |
//! | [`fs`] | walking and opening paths below the root | error kernel text |
//! | [`error`] | what failed, doing what, to which file | text |
//! | [`kernel`] | what one system has and another one has not, one file a system: Landlock, inotify, /proc, paths | text |
//! | [`text`] | bytes as people read them |  |
//!
//! Names and addresses are bytes, not text; they are compared in ASCII lower case where qmail does, and only there.

#![deny(unsafe_code)]
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod actions;
pub mod args;
pub mod cdb;
pub mod commands;
pub mod decide;
pub mod error;
pub mod front;
pub mod fs;
pub mod host;
pub mod kernel;
pub mod os;
pub mod pipe;
pub mod protect;
pub mod publish;
pub mod rebuild;
pub mod report;
pub mod service;
pub mod settings;
pub mod sql;
pub mod tables;
pub mod text;
