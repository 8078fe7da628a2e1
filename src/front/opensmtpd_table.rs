//! A table of OpenSMTPD 7.6 (smtpd-tables(7), protocol 0.1; docs/rules.md, 11.5): the services mailaddr (recipients) and auth
//! (logins), by `check` only, so that no hash is told. It must not end while smtpd runs.

use std::time::Duration;

use crate::front::Judge;
use crate::front::recipients::unquoted;
use crate::front::wire::{Client, End, Patience, Wire};
use crate::text::lower;

/// The longest line, in bytes.
const MAX_LINE: usize = 16_384;
const PATIENCE: Patience = Patience { idle: None, line: Duration::from_secs(60) };

const READY: &[u8] = b"register|mailaddr\nregister|auth\nregister|ready\n";

/// Serves smtpd; the exit status.
pub fn serve(wire: &mut dyn Wire, judge: &dyn Judge) -> u8 {
    let mut client = Client::new(wire, MAX_LINE, PATIENCE, None);
    loop {
        let answer = match client.line() {
            Ok(line) => answer(&line, judge),
            Err(End::TooLong) => match client.skip_line() {
                Ok(()) => None,
                Err(_) => return 0,
            },
            Err(End::Closed | End::Late) => return 0,
        };
        if answer.is_some_and(|answer| client.answer(&answer).is_err()) {
            return 0;
        }
    }
}

/// The answer to a line; `None` for one that has none.
fn answer(line: &[u8], judge: &dyn Judge) -> Option<Vec<u8>> {
    let mut fields = line.splitn(8, |byte| *byte == b'|');
    match fields.next()? {
        b"config" if fields.next()? == b"ready" => return Some(READY.to_vec()),
        b"table" => {}
        _ => return None,
    }
    let (_version, _time, _name) = (fields.next()?, fields.next()?, fields.next()?);
    let operation = fields.next()?;
    if operation == b"update" {
        return Some(result(operation, fields.next()?, "ok"));
    }
    let service = fields.next()?;
    let (id, key) = (fields.next()?, fields.next().unwrap_or_default());
    let found = |found| Ok(if found { "found" } else { "not-found" });
    let answer = match (operation, service) {
        (b"check", b"mailaddr") => judge.recipient(&unquoted(key)).and_then(|answer| found(answer.accepted)),
        (b"check", b"auth") => match key.iter().position(|byte| *byte == b':') {
            Some(colon) => judge.login(&lower(&key[..colon]), &key[colon + 1..]).and_then(found),
            None => Ok("not-found"),
        },
        _ => Ok("error|only check of mailaddr and auth is known"),
    };
    Some(result(operation, id, answer.unwrap_or("error|the published table cannot be read")))
}

fn result(operation: &[u8], id: &[u8], answer: &str) -> Vec<u8> {
    [operation, b"-result|", id, b"|", answer.as_bytes(), b"\n"].concat()
}
