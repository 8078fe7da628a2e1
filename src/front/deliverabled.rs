//! The HTTP of qmail-deliverabled (Qmail::Deliverable), which Haraka and qpsmtpd ask for recipients (docs/rules.md, 11.2): one
//! request a connection, `GET /qd1/deliverable?ADDRESS`, answered with the code of what takes the mail, as the data of the key
//! has it.

use std::time::Duration;

use crate::front::Judge;
use crate::front::recipients::{Answer, unquoted};
use crate::front::wire::{Client, End, Patience, Wire};
use crate::text::{lower, split_address};

/// The longest line of a request, and all its lines, in bytes.
const MAX_LINE: usize = 8192;
const MAX_HEAD: usize = 65_536;
/// Clients wait for 27 s.
const PATIENCE: Patience = Patience { idle: Some(HALF_A_MINUTE), line: HALF_A_MINUTE };
const HALF_A_MINUTE: Duration = Duration::from_secs(30);

const PATH: &[u8] = b"/qd1/deliverable";

/// Mail is delivered, and the key says no more.
const NORMAL: u8 = 0xf1;
const REFUSED: u8 = 0;
/// control/rcpthosts names no domain of this address.
const NOT_LOCAL: u8 = 0xff;
/// Codes of Qmail::Deliverable after which a client refuses mail that the table accepts: permissions, a list (which has no
/// mail from nobody), failures that may pass, no such domain, not local.
const REFUSING: [u8; 8] = [REFUSED, 0x11, 0x14, 0x21, 0x22, 0x2f, 0xfe, NOT_LOCAL];

/// Serves one connection; the exit status.
pub fn serve(wire: &mut dyn Wire, judge: &dyn Judge) -> u8 {
    let mut client = Client::new(wire, MAX_LINE, PATIENCE, Some(HALF_A_MINUTE));
    let request = match read(&mut client) {
        Ok(request) => request,
        // Nothing was asked: somebody looked whether the port is open.
        Err((End::Closed, true)) => return 0,
        Err((End::Closed | End::TooLong, _)) => {
            client.last_answer(&response("400 Bad Request", "the request is cut off or too long"));
            return 0;
        }
        Err((End::Late, _)) => {
            client.last_answer(&response("408 Request Timeout", "the request took too long"));
            return 0;
        }
    };
    let recipient = match address(&request) {
        Ok(recipient) => recipient,
        Err((status, why)) => {
            client.last_answer(&response(status, why));
            return 0;
        }
    };
    let Ok(answer) = judge.recipient(&recipient) else {
        client.last_answer(&response("503 Service Unavailable", "the recipient table cannot be read"));
        return 111;
    };
    let is_ours = || split_address(&recipient).is_none_or(|(_, domain)| judge.is_ours(&lower(domain)));
    let code = if answer.accepted || is_ours() { code(&answer) } else { NOT_LOCAL };
    client.last_answer(&response("200 OK", &code.to_string()));
    0
}

/// The first line, when all lines up to the empty one have come; whether nothing has come, if not.
fn read(client: &mut Client<'_>) -> Result<Vec<u8>, (End, bool)> {
    let request = client.line().map_err(|end| (end, true))?;
    let mut left = MAX_HEAD;
    loop {
        let line = client.line().map_err(|end| (end, false))?;
        if matches!(&line[..], b"" | b"\r") {
            return Ok(request.strip_suffix(b"\r").unwrap_or(&request).to_vec());
        }
        left = left.checked_sub(line.len() + 1).ok_or((End::TooLong, false))?;
    }
}

type Refusal = (&'static str, &'static str);

/// The address that a request asks for.
fn address(request: &[u8]) -> Result<Vec<u8>, Refusal> {
    const MALFORMED: Refusal = ("400 Bad Request", "this is no HTTP/1 request");
    const FORBIDDEN: Refusal = ("403 Forbidden", "only GET /qd1/deliverable?ADDRESS is answered");
    let mut words = request.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(MALFORMED);
    };
    match version.strip_prefix(b"HTTP/1.") {
        Some([digit]) if digit.is_ascii_digit() => {}
        _ => return Err(MALFORMED),
    }
    if method != b"GET" {
        return Err(FORBIDDEN);
    }
    // What a proxy is asked names the server, too.
    let path = match target.strip_prefix(b"http://") {
        Some(rest) => &rest[rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len())..],
        None => target,
    };
    let encoded = match path.strip_prefix(PATH) {
        Some([b'?', encoded @ ..]) => encoded,
        Some([]) => b"",
        _ => return Err(FORBIDDEN),
    };
    let decoded =
        decoded(encoded).filter(|address| !address.is_empty() && address.iter().all(|b| (0x20..0x7f).contains(b)));
    decoded.map(|address| unquoted(&address)).ok_or(("400 Bad Request", "no address of printable ASCII is given"))
}

/// Percent-encoded bytes; a plus sign is one.
fn decoded(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((byte, tail)) = rest.split_first() {
        rest = match byte {
            b'%' => {
                let (digits, tail) = tail.split_at_checked(2)?;
                plain.push(hexadecimal(digits)?);
                tail
            }
            byte => {
                plain.push(*byte);
                tail
            }
        };
    }
    Some(plain)
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let is_number = digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit);
    std::str::from_utf8(digits).ok().filter(|_| is_number).and_then(|digits| u8::from_str_radix(digits, 16).ok())
}

/// The code of an answer of the table.
fn code(answer: &Answer) -> u8 {
    if !answer.accepted {
        return REFUSED;
    }
    hexadecimal(&answer.data).filter(|code| !REFUSING.contains(code)).unwrap_or(NORMAL)
}

fn response(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
