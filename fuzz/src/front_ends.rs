//! What clients of the front ends send, in memory: the same bytes have the same answers however they are cut, no answer holds a
//! password, and a recipient or login counts only when it was asked for in full.

use std::cell::RefCell;
use std::io;
use std::time::Instant;

use qmail_updater::front::recipients::Answer;
use qmail_updater::front::wire::Wire;
use qmail_updater::front::{Judge, Unknown, server_of};

/// What can be fuzzed, by the first byte of an input.
pub const SERVERS: [&str; 5] = ["vpopmaild", "socketmap", "deliverabled", "dovecot-auth", "opensmtpd-table"];

/// The one login, and its password, which nothing else holds.
pub const LOGIN: &[u8] = b"ann@a.test";
/// See [`LOGIN`].
pub const PASSWORD: &[u8] = b"Pass-Word";

/// Knows one recipient and one login. What begins with `later` is known to nobody.
#[derive(Default)]
struct One {
    asked: RefCell<usize>,
}

impl Judge for One {
    fn recipient(&self, address: &[u8]) -> Result<Answer, Unknown> {
        *self.asked.borrow_mut() += 1;
        match address {
            address if address.starts_with(b"later") => Err(Unknown),
            address => Ok(Answer { accepted: address.eq_ignore_ascii_case(LOGIN), data: b"f2".to_vec() }),
        }
    }

    fn login(&self, login: &[u8], password: &[u8]) -> Result<bool, Unknown> {
        *self.asked.borrow_mut() += 1;
        assert!(!login.iter().any(u8::is_ascii_uppercase), "logins are asked in lower case");
        match login {
            login if login.starts_with(b"later") => Err(Unknown),
            login => Ok(login == LOGIN && password == PASSWORD),
        }
    }

    fn can_judge_logins(&self) -> Result<(), Unknown> {
        Ok(())
    }

    fn is_ours(&self, domain: &[u8]) -> bool {
        domain.ends_with(b"test")
    }
}

/// A client that sends these bytes, so many at once, and then closes.
struct Bytes<'b> {
    left: &'b [u8],
    at_once: usize,
    answers: Vec<u8>,
}

impl Wire for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8], _until: Option<Instant>) -> io::Result<usize> {
        assert!(!buffer.is_empty(), "nothing can be read");
        let length = self.at_once.min(buffer.len()).min(self.left.len());
        let (now, later) = self.left.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.left = later;
        Ok(length)
    }

    fn write(&mut self, answer: &[u8]) -> io::Result<()> {
        self.answers.extend(answer);
        Ok(())
    }
}

/// Serves one client; the exit status, the answers without what is random in them, and how many questions there were.
fn talk(server: &str, sent: &[u8], at_once: usize) -> (u8, Vec<u8>, usize) {
    let judge = One::default();
    let mut client = Bytes { left: sent, at_once, answers: Vec::new() };
    let code = server_of(server).map_or(0, |serve| serve(&mut client, &judge));
    let greeting = client.answers.windows(6).position(|window| window == b"\nDONE\n").map_or(0, |at| at + 6);
    (code, client.answers.split_off(greeting), judge.asked.into_inner())
}

/// Serves a client of the protocol that the first byte names.
pub fn judge(input: &[u8]) {
    let Some((first, sent)) = input.split_first() else { return };
    let server = SERVERS[usize::from(*first) % SERVERS.len()];
    let (code, answers, asked) = talk(server, sent, usize::MAX);
    assert!(code == 0 || code == 111, "{code}");
    assert!((code, answers.clone(), asked) == talk(server, sent, 1), "the reads decide what is answered");
    // OpenSMTPD gets its own words back, whatever they are.
    let is_told = answers.windows(PASSWORD.len()).any(|window| window == PASSWORD) && server != "opensmtpd-table";
    assert!(!is_told, "a password is told");
    // The longest answer to the shortest line is vpopmaild's help; a name is told once, its bytes escaped.
    assert!(answers.len() <= 600 + 400 * sent.iter().filter(|byte| **byte == b'\n').count() + 40 * sent.len());
    assert!(asked <= sent.len(), "more questions than bytes");
}
