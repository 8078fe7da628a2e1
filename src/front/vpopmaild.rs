//! vpopmaild's login protocol, which Haraka and qpsmtpd speak (docs/rules.md, 11.1): `login`, `clogin`, `slogin`, `help` and
//! `quit`, and nothing that tells or changes anything of a user. Each refusal has the same words and takes the same time. A
//! hash is never told, and no line of a client is logged: it may hold a password.

use std::time::Duration;

use crate::front::Judge;
use crate::front::wire::{Client, End, Patience, Wire};
use crate::text::{lower, split_address};

/// The longest line without its LF, in bytes.
const MAX_LINE: usize = 1023;
/// As vpopmaild, for a line.
const PATIENCE: Patience = Patience { idle: Some(MINUTE), line: MINUTE };
const MINUTE: Duration = Duration::from_secs(60);
/// For the session.
const SESSION: Duration = Duration::from_secs(300);
/// So many failed logins end the session.
const MAX_FAILURES: usize = 4;

const OK: &[u8] = b"+OK \r\n";
const UNABLE: &[u8] = b"-ERR 1.101 Can't open authentication database\r\n";
const LATE: &[u8] = b"-ERR 3.103 Read Timeout\r\n";
const LATE_AFTER_LOGIN: &[u8] = b"-ERR 3.106 Read Timeout\r\n";
const UNKNOWN: &[u8] = b"-ERR 4.104 Invalid Command\r\n";
const UNKNOWN_AFTER_LOGIN: &[u8] = b"-ERR 4.107 Invalid Command\r\n";
const REFUSED: &[u8] = b"-ERR 8.207 Invalid Login\r\n";
const REFUSED_FOR_THE_LAST_TIME: &[u8] = b"-ERR 8.207 Invalid Login\r\n-ERR 5.105 Too many invalid login attempts\r\n";

/// What `help` says before the login, as vpopmaild spells it.
const HELP_LOGIN: &str = "\r\nLogin\r\nlogin login user@domain password - expanded bitmaps\r\n\
    clogin login user@domain password - compact bitmapts\r\n\
    slogin login user@domain password - silent results\r\n";
const HELP_UTILITY: &str = "\r\nUtility\r\nhelp help\r\nexit quit\r\nquit quit\r\nq quit\r\n";

/// The flags of a mailbox in the order of vpopmaild; the table knows none of them.
const FLAGS: [&str; 18] = [
    "no_password_change",
    "no_pop",
    "no_webmail",
    "no_imap",
    "bounce_mail",
    "no_relay",
    "no_dialup",
    "user_flag_0",
    "user_flag_1",
    "user_flag_2",
    "user_flag_3",
    "no_smtp",
    "domain_admin_privileges",
    "override_domain_limits",
    "no_spamassassin",
    "delete_spam",
    "no_maildrop",
    "system_admin_privileges",
];

/// Serves one connection; the exit status.
pub fn serve(wire: &mut dyn Wire, judge: &dyn Judge) -> u8 {
    let mut client = Client::new(wire, MAX_LINE, PATIENCE, Some(SESSION));
    if judge.can_judge_logins().is_err() {
        client.last_answer(UNABLE);
        return 111;
    }
    let (mut is_in, mut failures) = (false, 0);
    let mut goes_on = client.answer(OK);
    loop {
        let line = match goes_on.and_then(|()| client.line()) {
            Ok(line) => line,
            Err(end) => {
                match end {
                    End::Closed => {}
                    End::Late => client.last_answer(if is_in { LATE_AFTER_LOGIN } else { LATE }),
                    End::TooLong => client.last_answer(if is_in { UNKNOWN_AFTER_LOGIN } else { UNKNOWN }),
                }
                return 0;
            }
        };
        let (command, rest) = split_word(&line);
        goes_on = match (&lower(command)[..], is_in) {
            (b"", _) => Ok(()),
            (b"quit" | b"exit" | b"q", _) => {
                client.last_answer(OK);
                return 0;
            }
            (b"help", false) => client.answer(format!("+OK+\r\n{HELP_LOGIN}{HELP_UTILITY}.\r\n").as_bytes()),
            (b"help", true) => client.answer(format!("+OK+\r\n{HELP_UTILITY}.\r\n").as_bytes()),
            (command @ (b"login" | b"clogin" | b"slogin"), false) => {
                let (login, password) = login_and_password(rest);
                let login = lower(login);
                match judge.login(&login, password) {
                    Ok(true) => {
                        is_in = true;
                        client.answer(&particulars(command, &login))
                    }
                    Ok(false) => {
                        failures += 1;
                        if failures == MAX_FAILURES {
                            client.last_answer(REFUSED_FOR_THE_LAST_TIME);
                            return 0;
                        }
                        client.answer(REFUSED)
                    }
                    Err(_) => {
                        client.last_answer(UNABLE);
                        return 111;
                    }
                }
            }
            (_, false) => client.answer(UNKNOWN),
            (_, true) => client.answer(UNKNOWN_AFTER_LOGIN),
        };
    }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

/// The first word of a line, and what follows it, the separator included.
fn split_word(line: &[u8]) -> (&[u8], &[u8]) {
    let start = line.iter().position(|byte| !is_blank(byte)).unwrap_or(line.len());
    let line = &line[start..];
    line.split_at(line.iter().position(is_blank).unwrap_or(line.len()))
}

/// The login; and the password, which is everything behind one separator up to the end of the line.
fn login_and_password(rest: &[u8]) -> (&[u8], &[u8]) {
    let (login, rest) = split_word(rest);
    let password = rest.get(1..).unwrap_or_default();
    let end = password.iter().position(|byte| *byte == b'\r').unwrap_or(password.len());
    (login, &password[..end])
}

/// The answer to a right password.
fn particulars(command: &[u8], login: &[u8]) -> Vec<u8> {
    let name = split_address(login).map_or(login, |(name, _)| name);
    let flags: String = match command {
        b"slogin" => return OK.to_vec(),
        b"clogin" => "gidflags 0\r\n".to_owned(),
        _ => FLAGS.map(|flag| format!("{flag} 0\r\n")).concat(),
    };
    [b"+OK+\r\nname ", name, b"\r\n", flags.as_bytes(), b".\r\n"].concat()
}
