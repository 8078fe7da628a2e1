//! Postfix's socketmap protocol (socketmap_table(5); docs/rules.md, 11.3): any number of requests, each a netstring `rcpt KEY`.
//! Postfix asks for the quoted form of an odd local part first, and after a refusal for `@domain`, which is no recipient.

use std::time::Duration;

use crate::front::Judge;
use crate::front::recipients::unquoted;
use crate::front::wire::{Client, End, Patience, Wire};

/// The longest request, in bytes, and how many digits its length has at most.
const MAX_REQUEST: usize = 100_000;
const MAX_DIGITS: usize = 6;
const PATIENCE: Patience = Patience { idle: Some(Duration::from_secs(3600)), line: Duration::from_secs(60) };
/// The name that a configuration gives the table.
const NAME: &[u8] = b"rcpt";

/// Serves one connection; the exit status.
pub fn serve(wire: &mut dyn Wire, judge: &dyn Judge) -> u8 {
    let mut client = Client::new(wire, MAX_REQUEST, PATIENCE, None);
    loop {
        let answer = match request(&mut client) {
            Ok(Some(request)) => answer(&request, judge),
            Ok(None) | Err(End::TooLong) => {
                client.last_answer(&netstring("PERM this is no netstring of at most 100000 bytes"));
                return 0;
            }
            Err(End::Closed | End::Late) => return 0,
        };
        if client.answer(&netstring(answer)).is_err() {
            return 0;
        }
    }
}

/// The next request; `None` for what is no netstring.
fn request(client: &mut Client<'_>) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, End> {
    let (digits, colon) = client.up_to(|byte| !byte.is_ascii_digit(), MAX_DIGITS)?;
    let is_number = colon == b':' && !digits.is_empty() && (digits[0] != b'0' || digits.len() == 1);
    let length = std::str::from_utf8(&digits).ok().and_then(|digits| digits.parse().ok());
    let Some(length) = length.filter(|length| is_number && *length <= MAX_REQUEST) else { return Ok(None) };
    let request = client.piece(length)?;
    let comma = client.piece(1)?;
    Ok((comma[0] == b',').then_some(request))
}

fn answer(request: &[u8], judge: &dyn Judge) -> &'static str {
    let Some(space) = request.iter().position(|byte| *byte == b' ') else { return "PERM no key is given" };
    let (name, key) = (&request[..space], &request[space + 1..]);
    if name != NAME {
        return "PERM the only table is called rcpt";
    }
    let recipient = unquoted(key);
    if matches!(recipient.first(), None | Some(b'@')) {
        return "NOTFOUND ";
    }
    match judge.recipient(&recipient) {
        Ok(answer) if answer.accepted => "OK OK",
        Ok(_) => "NOTFOUND ",
        Err(_) => "TEMP the recipient table cannot be read",
    }
}

fn netstring(text: &str) -> Vec<u8> {
    format!("{}:{text},", text.len()).into_bytes()
}
