//! The authentication protocol of Dovecot, version 1.1, as a server (docs/rules.md, 11.4): PLAIN and LOGIN for Postfix, Exim and
//! others. A client that waits for an answer that nobody knows is hung up on: Postfix then answers 454, and 535 to anything else.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use crate::front::Judge;
use crate::front::wire::{Client, Patience, Wire};
use crate::text::lower;

/// The longest line, as in Dovecot, in bytes.
const MAX_LINE: usize = 8192;
const PATIENCE: Patience = Patience { idle: Some(Duration::from_secs(3600)), line: Duration::from_secs(60) };
/// So many conversations may be open at once, then the oldest is forgotten: Postfix never cancels one. What is longer than a
/// login is no name of one.
const MAX_OPEN: usize = 32;
const MAX_LOGIN: usize = 512;

/// The prompts of LOGIN, `Username:` and `Password:`.
const USERNAME: &str = "VXNlcm5hbWU6";
const PASSWORD: &str = "UGFzc3dvcmQ6";

/// What an open conversation waits for.
enum Wanted {
    /// PLAIN: everything.
    All,
    /// LOGIN: the name.
    Name,
    /// LOGIN: the password of this login.
    Password(Vec<u8>),
}

/// What is said to a client.
enum Said {
    Nothing,
    Line(Vec<u8>),
    /// Nobody knows.
    HangUp,
}

/// Serves one client; the exit status.
pub fn serve(wire: &mut dyn Wire, judge: &dyn Judge) -> u8 {
    let mut client = Client::new(wire, MAX_LINE, PATIENCE, None);
    // The table is not asked yet: a server that ends before it has said this stops Postfix.
    let mut goes_on = client.answer(greeting().as_bytes());
    let mut open = Open::new();
    loop {
        let Ok(line) = goes_on.and_then(|()| client.line()) else { return 0 };
        goes_on = match answer(&line, &mut open, judge) {
            Said::Nothing => Ok(()),
            Said::Line(answer) => client.answer(&answer),
            Said::HangUp => return 111,
        };
    }
}

fn greeting() -> String {
    let random = || RandomState::new().hash_one(std::process::id());
    format!(
        "VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nSPID\t{}\nCUID\t1\nCOOKIE\t{:016x}{:016x}\nDONE\n",
        std::process::id(),
        random(),
        random()
    )
}

/// Open conversations with their numbers, the oldest first.
type Open = VecDeque<(Vec<u8>, Wanted)>;

/// Takes out the conversation with this number.
fn close(id: &[u8], open: &mut Open) -> Option<Wanted> {
    let at = open.iter().position(|(of, _)| of == id)?;
    open.remove(at).map(|(_, wanted)| wanted)
}

fn answer(line: &[u8], open: &mut Open, judge: &dyn Judge) -> Said {
    let mut fields = line.split(|byte| *byte == b'\t');
    match (fields.next().unwrap_or_default(), fields.next()) {
        (b"VERSION", Some(b"1")) => Said::Nothing,
        (b"VERSION", _) => Said::HangUp,
        (b"AUTH", Some(id)) if is_number(id) => {
            let mechanism = fields.next().unwrap_or_default();
            // An empty one is none, as Exim sends it.
            let response =
                fields.find_map(|field| field.strip_prefix(b"resp=")).filter(|response| !response.is_empty());
            begin(id, mechanism, response, open, judge)
        }
        (b"CONT", Some(id)) if is_number(id) => match close(id, open) {
            Some(wanted) => go_on(id, wanted, fields.next().unwrap_or_default(), open, judge),
            None => fail(id, "reason=no such conversation is open"),
        },
        (b"CANCEL", Some(id)) => {
            close(id, open);
            Said::Nothing
        }
        _ => Said::Nothing,
    }
}

fn is_number(id: &[u8]) -> bool {
    !id.is_empty() && id.len() <= 10 && id.iter().all(u8::is_ascii_digit)
}

fn begin(id: &[u8], mechanism: &[u8], response: Option<&[u8]>, open: &mut Open, judge: &dyn Judge) -> Said {
    let wanted = match &mechanism.to_ascii_uppercase()[..] {
        b"PLAIN" => Wanted::All,
        b"LOGIN" => Wanted::Name,
        _ => return fail(id, "reason=only PLAIN and LOGIN are known"),
    };
    match response {
        Some(response) => go_on(id, wanted, response, open, judge),
        None => ask(id, wanted, open),
    }
}

/// Asks the client for what is wanted.
fn ask(id: &[u8], wanted: Wanted, open: &mut Open) -> Said {
    close(id, open);
    if open.len() == MAX_OPEN {
        open.pop_front();
    }
    let prompt = match wanted {
        Wanted::All => "",
        Wanted::Name => USERNAME,
        Wanted::Password(_) => PASSWORD,
    };
    open.push_back((id.to_vec(), wanted));
    Said::Line([b"CONT\t", id, b"\t", prompt.as_bytes(), b"\n"].concat())
}

/// Takes what a client answers.
fn go_on(id: &[u8], wanted: Wanted, response: &[u8], open: &mut Open, judge: &dyn Judge) -> Said {
    let Ok(response) = BASE64_STANDARD.decode(response).map(Zeroizing::new) else {
        return fail(id, "reason=this is no base64");
    };
    match wanted {
        Wanted::Name if response.len() > MAX_LOGIN => fail(id, "reason=the name is too long"),
        Wanted::Name => ask(id, Wanted::Password(lower(&response)), open),
        Wanted::Password(login) => decide(id, &login, &response, judge),
        Wanted::All => {
            let mut fields = response.split(|byte| *byte == 0);
            let (Some(actor), Some(login), Some(password), None) =
                (fields.next(), fields.next(), fields.next(), fields.next())
            else {
                return fail(id, "reason=PLAIN has a name and a password");
            };
            let (actor, login) = (lower(actor), lower(login));
            if login.len() > MAX_LOGIN || !(actor.is_empty() || actor == login) {
                return fail(id, "reason=a login acts for itself only");
            }
            decide(id, &login, password, judge)
        }
    }
}

fn decide(id: &[u8], login: &[u8], password: &[u8], judge: &dyn Judge) -> Said {
    let word: &[u8] = match judge.login(login, password) {
        Ok(true) => b"OK",
        Ok(false) => b"FAIL",
        Err(_) => return Said::HangUp,
    };
    Said::Line([word, b"\t", id, b"\tuser=", &escaped(login), b"\n"].concat())
}

fn fail(id: &[u8], why: &str) -> Said {
    Said::Line([b"FAIL\t", id, b"\t", why.as_bytes(), b"\n"].concat())
}

/// A value in which no byte ends a field or a line.
fn escaped(value: &[u8]) -> Vec<u8> {
    let escape = |byte: &u8| match byte {
        0 => b"\x010".to_vec(),
        1 => b"\x011".to_vec(),
        b'\t' => b"\x01t".to_vec(),
        b'\r' => b"\x01r".to_vec(),
        b'\n' => b"\x01n".to_vec(),
        byte => vec![*byte],
    };
    value.iter().flat_map(escape).collect()
}
