//! Rebuilds `validrcptto.cdb` and `auth.cdb`, the two constant databases by which a patched qmail-smtpd checks
//! recipients and logins, from what a qmail and vpopmail host says. When they are wrong, real mail is refused or real
//! strangers get in; so nothing here is guessed, and what cannot be read keeps what was published of it.
//!
//! # The story
//!
//! **Somebody pokes.** vpopmail runs `onchange`, an administrator touches the pipe, a watched file changes, or a quarter
//! of an hour is over: [`trigger`] hears it, and its [`schedule`](trigger::schedule) says when it is answered; many
//! triggers are one rebuild. A line in the pipe is a hint, never an instruction: anybody can write one.
//!
//! **The host is read.** [`rebuild::rebuild`] tells the rest on one page. It takes the [`lock`], and [`host`] reads the
//! control files, users/assign and the accounts whole, for they are small. Then one home after the other, by threads that
//! [`confine`] lets read homes and do nothing else: a million mailboxes are never in memory at once.
//!
//! **Each name is decided.** [`delivery::deliver`] takes an address the way that qmail takes it, through virtualdomains,
//! users/assign, the `.qmail` files and vdelivermail, to deliver, defer, bounce or remote. These rules stand there once.
//! [`recipients`] collects the points at which the answer can change, asks for each, and lays the answers out as the
//! fewest keys by which qmail-smtpd's own lookup ([`smtpd`]) answers the same for every address, the ones nobody listed
//! included. [`logins`] says who may log in, with which hash.
//!
//! **The files are replaced.** [`hold`] keeps a domain that would lose much at once. [`publish`] writes each table beside
//! the old one and renames it: whoever opens it sees the old one or the new one, whole, even when the power fails. A
//! table that says what it said is left alone.
//!
//! **Others are told.** [`follow_up`] runs qmail-newu, qmail-newmrh and the administrator's commands, each when it is owed
//! something ([`follow_ups`]), [`actions`] what is hung on a change, [`status`] and [`metrics`] say how it went. No rebuild waits for any of them.
//!
//! What `qmail-updater explain` does is short, because nothing is decided a second time:
//!
//! ```
//! use std::sync::Arc;
//!
//! use clap::Parser;
//! use qmail_updater::cli::Cli;
//! use qmail_updater::delivery::{Trail, deliver};
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
//! Data flows one way, and the rooms stand in its order; docs/inside.md has the pictures.
//!
//! ```text
//! settings -> host -> delivery -> recipients, logins -> publish
//! ```
//!
//! Who may use whom (a test holds the code against this table):
//!
//! | room | what it owns | uses |
//! |---|---|---|
//! | [`cli`] | what can be typed | envdir |
//! | [`envdir`] | a directory of settings, one file a variable | error root text |
//! | [`settings`] | what was typed, made usable: paths below the root, policies | cli envdir error host publish report root text |
//! | [`root`] | walking and opening paths below the root | error text |
//! | [`host`] | what the mail host says: the only readers of its files | cdb error report root text |
//! | [`delivery`] | pure: what qmail would do with one address, and why | error host root smtpd text |
//! | [`recipients`] | pure: which keys, each decided by delivery | cdb delivery error host report root smtpd text |
//! | [`logins`] | pure: which logins, with which data | error host text |
//! | [`smtpd`] | pure: how qmail-smtpd looks a recipient up | text |
//! | [`cdb`] | the file format, both ways | |
//! | [`difference`] | what came and went between two cdb files | cdb |
//! | [`publish`] | atomic replacement: the only writer of published files | cdb difference error root |
//! | [`guard`] | pure: what is too much of a loss, and a table that keeps what two tables accept | cdb smtpd text |
//! | [`hold`] | which domains the guard holds, and what is published of them | cdb difference error guard host logins publish report settings smtpd text |
//! | [`lock`] | one rebuild at a time, and one run of a compiler | error report root |
//! | [`confine`] | Landlock: what reads the homes can do nothing else | error host report root |
//! | [`commands`] | the only spawner | error report text |
//! | [`follow_ups`] | pure: what each command that follows a rebuild is owed, and when it runs | host trigger |
//! | [`follow_up`] | runs what follows a rebuild: qmail-newu, qmail-newmrh, the administrator's commands | commands error follow_ups host lock report settings |
//! | [`rebuild`] | the story of one rebuild | cdb commands confine difference error guard hold host lock logins publish recipients report root settings smtpd text |
//! | [`actions`] | what runs for what the service saw change, and the skeleton of a new mailbox | commands confine error host publish rebuild report root settings text |
//! | [`status`] | the status file | error follow_ups hold lock publish rebuild root settings text |
//! | [`metrics`] | the metrics file | error publish rebuild settings text |
//! | [`compare`] | both tables in memory, against the published ones | cdb error hold publish rebuild settings smtpd text |
//! | [`check`] | what is wrong or risky on a host | actions cdb cli commands compare confine delivery error guard host lock logins overview publish rebuild recipients report settings smtpd status text trigger |
//! | [`overview`] | pure: what the domains and mailboxes of a host are | cdb delivery error guard host logins recipients root smtpd text |
//! | [`answers`] | list, lookup, explain, status, check, domains, user: the only printers to standard output | cdb check cli compare confine delivery error follow_up hold host lock logins overview rebuild recipients report settings smtpd status text |
//! | [`hooks`] | what a qmail-smtpd runs: rcptcheck, qmail-spp-rcpt, checkpassword | cdb cli commands error host report root settings smtpd sys text |
//! | [`trigger`] | what makes the service rebuild: pipe, notices, schedule | error report root text |
//! | [`service`] | the threads and the loop | actions cdb check confine error follow_up follow_ups hold host lock metrics publish rebuild report root settings status trigger |
//! | [`report`] | every log line: the only printer to standard error | error text |
//! | [`error`] | what failed, doing what, to which file | text |
//! | [`text`] | bytes as people read them | |
//! | [`sys`] | the only unsafe code: descriptors that the parent gave, crypt(3) | |
//!
//! Names and addresses are bytes, not text; they are compared in ASCII lower case where qmail does, and only there.

#![deny(unsafe_code)]
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod actions;
pub mod answers;
pub mod cdb;
pub mod check;
pub mod cli;
pub mod commands;
pub mod compare;
pub mod confine;
pub mod delivery;
pub mod difference;
pub mod envdir;
pub mod error;
pub mod follow_up;
pub mod follow_ups;
pub mod guard;
pub mod hold;
pub mod hooks;
pub mod host;
pub mod lock;
pub mod logins;
pub mod metrics;
pub mod overview;
pub mod publish;
pub mod rebuild;
pub mod recipients;
pub mod report;
pub mod root;
pub mod service;
pub mod settings;
pub mod smtpd;
pub mod status;
pub mod sys;
pub mod text;
pub mod trigger;
