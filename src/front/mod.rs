//! What other mail servers ask: each protocol one file over one judge of recipients ([`recipients`]) and one of logins
//! ([`logins`]). The lookups are those of [`crate::tables::smtpd`] and [`crate::cdb`]. A table that is missing or damaged, settings that
//! cannot be used, even a fault in this program are a temporary failure, never "accept", unless the protocol has no word for
//! it. A table is opened again for each question, so that a new one is seen at once.
//!
//! Some are commands, which a server runs for each question:
//!
//! - `rcptcheck`: RCPTCHECK of qmail-smtpd(8) with the RCPTCHECK patch. qmail-smtpd takes every exit status but 100, 111
//!   and 120 for "accept".
//! - `qmail-spp-rcpt`: a `[rcpt]` plugin of qmail-spp (<http://qmail-spp.sourceforge.net/doc/>). What it prints counts,
//!   one command a line: `E` refuses this recipient, `R` ends the session, nothing goes on with qmail's own checks. Its
//!   exit status does not count, save 120: it could not be run.
//! - [`checkpassword`], [`spamdyke`], [`sqmail`].
//!
//! Others serve one connection on standard input and standard output, which tcpserver, spawn(8) or a socket unit has accepted
//! ([`wire`]): [`socketmap`], [`deliverabled`], [`dovecot_auth`], [`vpopmaild`]; OpenSMTPD starts [`opensmtpd_table`] itself.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::fstat;

use crate::args::{
    CHECKPASSWORD, DELIVERABLED, DOVECOT_AUTH, Hook, OPENSMTPD_TABLE, QMAIL_SPP_RCPT, RCPTCHECK, RCPTCHECK_NEXT,
    SOCKETMAP, SPAMDYKE_RCPT, SQMAIL_RCPT, VPOPMAILD, hook_meant, variable,
};
use crate::cdb::{Corrupt, FileReader};
use crate::error::{Error, show_cause};
use crate::fs::Root;
use crate::host::control;
use crate::kernel::null_device;
use crate::os::raw::inherited;
use crate::os::spawn::become_program;
use crate::report::{self, Level};
use crate::settings::Settings;
use wire::{Stdio, Wire};

pub mod checkpassword;
pub mod crypt;
pub mod deliverabled;
pub mod dovecot_auth;
pub mod logins;
pub mod opensmtpd_table;
pub mod recipients;
pub mod socketmap;
pub mod spamdyke;
pub mod sqmail;
pub mod vpopmaild;
pub mod wire;

/// The words of the patched qmail-smtpd.
const REFUSED: &str = "553 sorry, this recipient is not in my validrcptto list (#5.7.1)";
/// What a client is told while a table cannot be used.
const TRY_LATER: &str = "451 unable to check this recipient, try again later (#4.3.0)";

const ACCEPT: u8 = 0;
const REFUSE: u8 = 100;
const TEMPORARY: u8 = 111;
/// What qmail-spp takes for a plugin that could not be run: it answers 451 itself.
const SPP_UNABLE: u8 = 120;

/// The way back to the server that asks.
#[derive(Debug)]
pub struct Caller {
    hook: &'static str,
    /// What the hook's interface says is open: where RCPTCHECK's reply line is expected, if it is, and what
    /// checkpassword reads.
    given: Option<io::Result<File>>,
}

impl Caller {
    /// Who waits for an answer, when this is run as a hook. To be called before any file is opened: what is closed now
    /// may have the number of one of ours then.
    pub fn find() -> Option<Caller> {
        let hook = hook_meant()?;
        let number = match hook {
            RCPTCHECK => variable("USE_FD4").map(|_| 4),
            CHECKPASSWORD | SQMAIL_RCPT => Some(3),
            _ => None,
        };
        Some(Caller { hook, given: number.map(|number| inherited(number).map(File::from)) })
    }

    /// Whether it goes by what is printed, not by the exit status.
    fn reads_output(&self) -> bool {
        self.hook == QMAIL_SPP_RCPT
    }

    /// The exit status when there is not even the memory to say anything.
    pub fn out_of_memory(&self) -> i32 {
        i32::from(match self.hook {
            QMAIL_SPP_RCPT => SPP_UNABLE,
            SPAMDYKE_RCPT => spamdyke::UNDECIDED,
            _ => TEMPORARY,
        })
    }

    /// Says that nobody knows now; the exit status.
    pub fn failed(&self) -> u8 {
        match self.hook {
            SPAMDYKE_RCPT => spamdyke::UNDECIDED,
            _ => self.answer(TEMPORARY),
        }
    }

    /// Whether a client waits on a connection, not a server for a command.
    pub fn serves_connection(&self) -> bool {
        server_of(self.hook).is_some()
    }

    /// Answers on a connection that nobody knows, because there are no settings; the exit status.
    pub fn serve_without_settings(&self) -> u8 {
        serve_connection(self.hook, &Tables::new(None))
    }

    /// Says what became of a recipient; the exit status.
    fn answer(&self, status: u8) -> u8 {
        let (command, words) = match status {
            ACCEPT => return ACCEPT,
            REFUSE => ("E", REFUSED),
            _ => ("R", TRY_LATER),
        };
        if self.reads_output() {
            let mut out = io::stdout().lock();
            let printed = out.write_all(format!("{command}{words}\n").as_bytes()).and_then(|()| out.flush());
            return if printed.is_ok() && !is_null(&out) { 0 } else { SPP_UNABLE };
        }
        let written = match &self.given {
            Some(Ok(reply)) if self.hook == RCPTCHECK => {
                Write::write_all(&mut &*reply, format!("{words}\n").as_bytes())
            }
            Some(Err(cause)) if self.hook == RCPTCHECK => {
                Err(io::Error::from_raw_os_error(cause.raw_os_error().unwrap_or_default()))
            }
            _ => Ok(()),
        };
        // The exit status says it too.
        if let Err(cause) = written {
            let cause = show_cause(&cause);
            report::say(Level::Warning, &format!("the reply line is lost: unable to write to descriptor 4: {cause}"));
        }
        status
    }

    /// Does what qmail-smtpd asks for; the exit status.
    ///
    /// # Errors
    /// Why nobody knows: [`Caller::failed`] is the answer then.
    pub fn serve(&self, settings: &Settings, hook: &Hook) -> Result<u8, Error> {
        let recipient = match hook {
            Hook::Checkpassword { program } => {
                return checkpassword::serve(
                    settings,
                    program,
                    self.given.as_ref().and_then(|given| given.as_ref().ok()),
                );
            }
            Hook::SpamdykeRcpt { domain, user } => return spamdyke::serve(settings, domain.as_ref(), user),
            Hook::SqmailRcpt => {
                return sqmail::serve(settings, self.given.as_ref().and_then(|given| given.as_ref().ok()));
            }
            Hook::Socketmap
            | Hook::Deliverabled
            | Hook::DovecotAuth
            | Hook::Vpopmaild
            | Hook::OpensmtpdTable { .. } => {
                return Ok(serve_connection(self.hook, &Tables::new(Some(settings))));
            }
            Hook::Rcptcheck { .. } => "RECIPIENT",
            Hook::QmailSppRcpt => "SMTPRCPTTO",
        };
        let recipient = variable(recipient).ok_or_else(|| Error::Temporary(format!("{recipient} is not set")))?;
        let accepted = is_not_for_us() || recipients::ask(settings, &recipient.into_vec())?.accepted;
        let status = self.answer(if accepted { ACCEPT } else { REFUSE });
        let next = match hook {
            Hook::Rcptcheck { then } => then.clone().or_else(|| variable(RCPTCHECK_NEXT)),
            _ => None,
        };
        match next.filter(|program| accepted && !program.is_empty()) {
            Some(program) => {
                // It takes over RECIPIENT and descriptor 4. The variable is gone, because it may be this program again.
                let cause = become_program(&program, &[], &[(OsStr::new(RCPTCHECK_NEXT), OsStr::new(""))]);
                Err(Error::io("run", Path::new(&program), cause))
            }
            None => Ok(status),
        }
    }
}

/// Whether what is written is lost: a closed descriptor 0 to 2 has become /dev/null before `main`.
fn is_null(out: &impl AsFd) -> bool {
    fstat(out).is_ok_and(|found| Some(found.st_rdev) == null_device())
}

/// Whether the table says nothing about this recipient: as in the patched qmail-smtpd it is asked only for clients that
/// may not relay, and about domains that rcpthosts accepts. qmail-smtpd's own checks come all the same.
fn is_not_for_us() -> bool {
    let is_user = |name: &str| variable(name).is_some_and(|user| !user.is_empty());
    variable("RELAYCLIENT").is_some()
        || is_user("SMTP_AUTH_USER")
        || is_user("SMTPAUTHUSER")
        || variable("SMTPRCPTHOSTSOK").is_some_and(|ok| ok == "0")
}

/// Nobody knows; the log says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown;

/// What the servers of a connection ask.
pub trait Judge {
    /// Whether a recipient is accepted.
    ///
    /// # Errors
    /// Nobody knows.
    fn recipient(&self, address: &[u8]) -> Result<recipients::Answer, Unknown>;

    /// Whether a password is the one of a login, which is in lower case.
    ///
    /// # Errors
    /// Nobody knows.
    fn login(&self, login: &[u8], password: &[u8]) -> Result<bool, Unknown>;

    /// Whether logins can be judged.
    ///
    /// # Errors
    /// They cannot.
    fn can_judge_logins(&self) -> Result<(), Unknown>;

    /// Whether control/rcpthosts may let this domain (lower case) through.
    fn is_ours(&self, domain: &[u8]) -> bool;
}

/// The published tables as the judge; without settings there are none.
struct Tables<'s> {
    settings: Option<&'s Settings>,
    /// What was said last of a table: it is said again when it is something else.
    said: RefCell<String>,
}

impl<'s> Tables<'s> {
    fn new(settings: Option<&'s Settings>) -> Tables<'s> {
        Tables { settings, said: RefCell::default() }
    }

    fn ask<A>(&self, ask: impl FnOnce(&Settings) -> Result<A, Error>) -> Result<A, Unknown> {
        // Why there are none was said.
        ask(self.settings.ok_or(Unknown)?).map_err(|error| {
            let said = error.to_string();
            if *self.said.borrow() != said {
                report::say(Level::Alert, &said);
                self.said.replace(said);
            }
            Unknown
        })
    }
}

impl Judge for Tables<'_> {
    fn recipient(&self, address: &[u8]) -> Result<recipients::Answer, Unknown> {
        self.ask(|settings| recipients::ask(settings, address))
    }

    fn login(&self, login: &[u8], password: &[u8]) -> Result<bool, Unknown> {
        self.ask(|settings| logins::ask(settings, login, password)).map(|variables| variables.is_some())
    }

    fn can_judge_logins(&self) -> Result<(), Unknown> {
        self.ask(logins::can_ask)
    }

    fn is_ours(&self, domain: &[u8]) -> bool {
        let Some(Settings { layout, .. }) = self.settings else { return true };
        control::read_accepted(&layout.root, &layout.qmail)
            .map_or(true, |accepted| !accepted.is_a_list() || accepted.names(domain))
    }
}

/// Serves the connection on standard input and output by the protocol of this name; the exit status.
fn serve_connection(hook: &str, judge: &dyn Judge) -> u8 {
    server_of(hook).map_or(TEMPORARY, |serve| serve(&mut Stdio, judge))
}

/// Serves one connection; the exit status.
type Server = fn(&mut dyn Wire, &dyn Judge) -> u8;

/// What serves a connection by the protocol of this name.
pub fn server_of(hook: &str) -> Option<Server> {
    match hook {
        SOCKETMAP => Some(socketmap::serve),
        DELIVERABLED => Some(deliverabled::serve),
        DOVECOT_AUTH => Some(dovecot_auth::serve),
        VPOPMAILD => Some(vpopmaild::serve),
        OPENSMTPD_TABLE => Some(opensmtpd_table::serve),
        _ => None,
    }
}

/// Why a record is not believed.
fn damaged() -> io::Error {
    io::Error::other(Corrupt::Data)
}

/// Opens a published table where it lies, and asks it.
fn with_table<A>(root: &Root, inside: &[u8], ask: impl FnOnce(&FileReader<'_>) -> io::Result<A>) -> Result<A, Error> {
    let ask = || {
        let file = root.open(inside)?.ok_or(Errno::ENOENT)?.into_file();
        let table = FileReader::new(&file)?;
        table.check_tables().map_err(io::Error::other)?;
        ask(&table)
    };
    ask().map_err(|cause| Error::io("read", &root.path(inside), cause))
}
