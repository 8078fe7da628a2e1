//! What a qmail-smtpd without the cdb patches runs: the published files behind the standard hooks. The lookups are those
//! of [`crate::tables::smtpd`] and [`crate::cdb`]; here is only how each hook is asked and answers. A table that is missing or
//! damaged, settings that cannot be used, even a fault in this program are a temporary failure, never "accept".
//!
//! - `rcptcheck`: RCPTCHECK of qmail-smtpd(8) with the RCPTCHECK patch. qmail-smtpd takes every exit status but 100, 111
//!   and 120 for "accept".
//! - `qmail-spp-rcpt`: a `[rcpt]` plugin of qmail-spp (<http://qmail-spp.sourceforge.net/doc/>). What it prints counts,
//!   one command a line: `E` refuses this recipient, `R` ends the session, nothing goes on with qmail's own checks. Its
//!   exit status does not count, save 120: it could not be run.
//! - `checkpassword`: <https://cr.yp.to/checkpwd/interface.html>.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;

use nix::errno::Errno;
use nix::sys::stat::{fstat, makedev};

use crate::args::{CHECKPASSWORD, Hook, QMAIL_SPP_RCPT, RCPTCHECK, hook_meant, variable};
use crate::cdb::{Corrupt, FileReader};
use crate::error::{Error, show_cause};
use crate::fs::Root;
use crate::os::raw::inherited;
use crate::report::{self, Level};
use crate::settings::Settings;
use crate::tables::smtpd;

pub mod checkpassword;
pub mod crypt;

/// The words of the patched qmail-smtpd.
const REFUSED: &str = "553 sorry, this recipient is not in my validrcptto list (#5.7.1)";
/// What a client is told while a table cannot be used.
const TRY_LATER: &str = "451 unable to check this recipient, try again later (#4.3.0)";

const ACCEPT: u8 = 0;
const REFUSE: u8 = 100;
const TEMPORARY: u8 = 111;
/// What qmail-spp takes for a plugin that could not be run: it answers 451 itself.
const SPP_UNABLE: u8 = 120;

/// The way back to qmail-smtpd.
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
            CHECKPASSWORD => Some(3),
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
        i32::from(if self.reads_output() { SPP_UNABLE } else { TEMPORARY })
    }

    /// Says that nobody knows now; the exit status.
    pub fn failed(&self) -> u8 {
        self.answer(TEMPORARY)
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
            Hook::Rcptcheck => "RECIPIENT",
            Hook::QmailSppRcpt => "SMTPRCPTTO",
        };
        let recipient = variable(recipient).ok_or_else(|| Error::Temporary(format!("{recipient} is not set")))?;
        let accepted = is_not_for_us() || accepts(settings, &recipient.into_vec())?;
        Ok(self.answer(if accepted { ACCEPT } else { REFUSE }))
    }
}

/// Whether what is written is lost: a closed descriptor 0 to 2 has become /dev/null before `main`.
fn is_null(out: &impl AsFd) -> bool {
    fstat(out).is_ok_and(|found| found.st_rdev == makedev(1, 3))
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

/// The answer of the published recipients' table.
fn accepts(settings: &Settings, recipient: &[u8]) -> Result<bool, Error> {
    with_table(&settings.layout.root, &settings.validrcptto, |table| {
        let failure = RefCell::new(None);
        let find = |key: &[u8]| match table.search(key) {
            // What is lost to zeros; anything else accepts or refuses, as in qmail-smtpd.
            Ok(Some(data)) if data.first() == Some(&0) => failure.replace(Some(damaged())).and(None),
            Ok(data) => data,
            Err(cause) => failure.replace(Some(cause)).and(None),
        };
        let answer = smtpd::lookup(recipient, settings.layout.break_byte, find);
        failure.into_inner().map_or(Ok(answer.accepted), Err)
    })
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
