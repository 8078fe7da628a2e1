//! What other mail servers ask, told in transcripts: the real binary on pipes and sockets, as their clients speak to it.

mod support;

#[path = "../fuzz/src/front_ends.rs"]
mod fuzzed;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use support::{Answer, MailHost};

const COM: &str = "/home/vpopmail/domains/example.com";
/// The hash of `secret`, by `openssl passwd -1 -salt abcdefgh secret`.
const SECRET: &str = "$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1";
/// A machine that has much to do may take so long for an answer.
const LONG: Duration = Duration::from_secs(30);

const OK: &str = "+OK \r\n";
const NO: &str = "-ERR 8.207 Invalid Login\r\n";
const UNABLE: &str = "-ERR 1.101 Can't open authentication database\r\n";

/// The sample host with two mailboxes, published.
fn published() -> MailHost {
    let host = MailHost::sample();
    host.mailboxes(COM, &[&format!("ann:{SECRET}:1:0:N:/d:Q"), &format!("bob:{SECRET}:1:0:N:/d:Q")]);
    host.rebuild();
    host
}

/// The front end by a link of its name, told where the tables are as a run script tells it.
fn front_end(host: &MailHost, name: &str) -> Command {
    let path: PathBuf = host.path(&format!("/{name}"));
    if !path.exists() {
        symlink(support::tested(), &path).unwrap();
    }
    let mut command = Command::new(path);
    command.env_clear().env("QMAIL_UPDATER_SETTINGS", "").env("QMAIL_UPDATER_QMAIL", host.path("/var/qmail"));
    command.env("VALIDRCPTTO_CDB", host.published("validrcptto.cdb")).env("AUTH_CDB", host.published("auth.cdb"));
    command
}

/// All that a front end answers to these bytes, when its client closes the connection then.
fn answer_to(host: &MailHost, name: &str, sent: impl AsRef<[u8]>) -> Answer {
    let mut talk = Talk::start(&mut front_end(host, name));
    talk.send(sent);
    talk.end()
}

/// A connection with a front end, on two pipes.
struct Talk {
    child: Child,
    input: Option<ChildStdin>,
    /// What each read(2) of the answers found.
    chunks: Receiver<Vec<u8>>,
}

impl Talk {
    fn start(command: &mut Command) -> Talk {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        let (say, chunks) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while let Ok(more @ 1..) = output.read(&mut buffer) {
                let _ = say.send(buffer[..more].to_vec());
            }
        });
        Talk { input: child.stdin.take(), child, chunks }
    }

    /// A front end that has ended takes no more, which is no failure.
    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.input.as_mut().unwrap().write_all(bytes.as_ref());
    }

    /// What one write gave.
    fn chunk(&mut self) -> String {
        String::from_utf8_lossy(&self.chunks.recv_timeout(LONG).unwrap_or_default()).into_owned()
    }

    fn ask(&mut self, bytes: impl AsRef<[u8]>) -> String {
        self.send(bytes);
        self.chunk()
    }

    /// What comes until it ends, its input still open.
    fn rest(mut self) -> Answer {
        let mut stdout = String::new();
        while let Ok(chunk) = self.chunks.recv_timeout(LONG) {
            stdout.push_str(&String::from_utf8_lossy(&chunk));
        }
        let (pid, child) = (nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap()), self.child);
        let (say, ended) = channel();
        std::thread::spawn(move || say.send(child.wait_with_output().unwrap()));
        let output = ended.recv_timeout(LONG).unwrap_or_else(|_| {
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
            ended.recv().unwrap()
        });
        drop(self.input.take());
        Answer { stdout, ..output.into() }
    }

    /// The same after the client closed its side.
    fn end(mut self) -> Answer {
        drop(self.input.take());
        self.rest()
    }
}

fn no_hash(answer: &Answer) {
    for said in [&answer.stdout, &answer.stderr] {
        assert!(!said.contains("$1$") && !said.contains("secret"), "{said}");
    }
}

// vpopmaild

#[test]
fn vpopmaild_speaks_as_haraka_and_qpsmtpd_expect_it() {
    let host = published();
    // Haraka: LF CR, a reply in one write each, and then the end.
    let mut talk = Talk::start(&mut front_end(&host, "vpopmaild"));
    assert_eq!(talk.chunk(), OK);
    assert_eq!(talk.ask("slogin ann@example.com secret\n\r"), OK);
    assert_eq!(talk.ask("quit\n\r"), OK);
    let answer = talk.rest();
    assert_eq!((answer.code, &answer.stdout[..], &answer.stderr[..]), (0, "", ""));
    // qpsmtpd: the login twice, and it closes.
    let answer = answer_to(&host, "vpopmaild", "login ann@example.com secret\n\rlogin ann@example.com secret\n\r");
    assert!(answer.stdout.starts_with("+OK \r\n+OK+\r\nname ann\r\n") && answer.code == 0, "{}", answer.stdout);
    assert!(answer.stdout.ends_with("system_admin_privileges 0\r\n.\r\n-ERR 4.107 Invalid Command\r\n"));
    no_hash(&answer);
}

#[test]
fn vpopmaild_takes_each_spelling_of_a_line_and_the_password_as_it_is() {
    let host = MailHost::sample();
    let blanks = qmail_updater::cdb::image([(&b"ann@a.test"[..], hash_of("two  words ").as_bytes())]).unwrap();
    host.write("/var/qmail/control/auth.cdb", blanks);
    for (line, right) in [
        ("slogin ann@a.test two  words \r\n", true),
        ("slogin ann@a.test two  words \n\r", true),
        ("  SLOGIN\tANN@A.test\ttwo  words \n", true),
        ("\r\r slogin ann@a.test two  words \r\n", true),
        ("slogin ann@a.test two words \n", false),
        ("slogin ann@a.test  two  words \n", false),
        ("slogin ann@a.test two  words\n", false),
        ("slogin ann%a.test two  words \n", false),
        ("slogin ann/a.test two  words \n", false),
        ("slogin ann@a.test two  words \0more\n", false),
        ("slogin ann@a.test\n", false),
        ("slogin ann@a.test \n", false),
        ("slogin\n", false),
        ("slogin \u{e9}@a.test x\n", false),
    ] {
        let answer = answer_to(&host, "vpopmaild", line);
        assert_eq!(answer.stdout, format!("{OK}{}", if right { OK } else { NO }), "{line:?}");
        assert_eq!((answer.code, &answer.stderr[..]), (0, ""), "{line:?}");
    }
}

/// A hash of this password, by the system's crypt(3).
fn hash_of(password: &str) -> String {
    support::system_crypt(&[(password.as_bytes().to_vec(), "$1$abcdefgh$".to_owned())]).remove(0)
}

#[test]
fn vpopmaild_ends_at_the_fourth_failed_login_and_counts_nothing_else() {
    let host = published();
    let mut talk = Talk::start(&mut front_end(&host, "vpopmaild"));
    assert_eq!(talk.chunk(), OK);
    for _ in 0..10 {
        assert_eq!(talk.ask("user_info ann@example.com\n"), "-ERR 4.104 Invalid Command\r\n");
        assert!(talk.ask("help\n").starts_with("+OK+\r\n\r\nLogin\r\n"));
        talk.send("\r\n \n");
    }
    for login in ["nobody@example.com x", "ann@example.com wrong", "ann@nowhere.test x"] {
        assert_eq!(talk.ask(format!("slogin {login}\n")), NO);
    }
    assert_eq!(
        talk.ask("clogin ann@example.com wrong\nslogin ann@example.com secret\n"),
        format!("{NO}-ERR 5.105 Too many invalid login attempts\r\n")
    );
    let answer = talk.rest();
    assert_eq!((answer.code, &answer.stdout[..], &answer.stderr[..]), (0, "", ""));
    // Three failures, and then the right one.
    let sent = "slogin ann@example.com a\n".repeat(3) + "slogin ann@example.com secret\nq\n";
    assert_eq!(answer_to(&host, "vpopmaild", sent).stdout, format!("{OK}{NO}{NO}{NO}{OK}{OK}"));
}

#[test]
fn vpopmaild_lists_what_the_client_may_use_and_tells_and_changes_nothing_else() {
    let host = published();
    let before = "+OK+\r\n\r\nLogin\r\nlogin login user@domain password - expanded bitmaps\r\n\
        clogin login user@domain password - compact bitmapts\r\nslogin login user@domain password - silent results\r\n\
        \r\nUtility\r\nhelp help\r\nexit quit\r\nquit quit\r\nq quit\r\n.\r\n";
    let mut talk = Talk::start(&mut front_end(&host, "vpopmaild"));
    assert_eq!(talk.chunk(), OK);
    assert_eq!(talk.ask("HELP\r\n"), before);
    assert_eq!(talk.ask("clogin Ann@Example.com secret\r\n"), "+OK+\r\nname ann\r\ngidflags 0\r\n.\r\n");
    assert_eq!(talk.ask("help\n"), "+OK+\r\n\r\nUtility\r\nhelp help\r\nexit quit\r\nquit quit\r\nq quit\r\n.\r\n");
    // Roundcube goes on with the new password.
    for line in
        ["user_info ann@example.com", "mod_user ann@example.com", "clear_text_password new-word", ".", "login x y"]
    {
        assert_eq!(talk.ask(format!("{line}\n")), "-ERR 4.107 Invalid Command\r\n", "{line}");
    }
    assert_eq!(talk.ask("exit\n"), OK);
    let answer = talk.end();
    assert_eq!((answer.code, &answer.stderr[..]), (0, ""));
}

#[test]
fn vpopmaild_bounds_lines_and_takes_no_half_one() {
    let host = published();
    let long = |length: usize| format!("{}\n", "x".repeat(length));
    assert_eq!(answer_to(&host, "vpopmaild", long(1023)).stdout, format!("{OK}-ERR 4.104 Invalid Command\r\n"));
    for sent in [long(1024), long(3000), "x".repeat(1 << 20)] {
        let sent = sent + "\nslogin ann@example.com secret\n";
        assert_eq!(answer_to(&host, "vpopmaild", sent).stdout, format!("{OK}-ERR 4.104 Invalid Command\r\n"));
    }
    for half in ["slogin ann@example.com secret", "quit", "\n\r"] {
        let answer = answer_to(&host, "vpopmaild", half);
        assert_eq!((answer.code, &answer.stdout[..]), (0, OK), "{half:?}");
    }
    // As many as there are: each has its answer.
    let answer = answer_to(&host, "vpopmaild", "help\nfoo\n".repeat(5_000));
    assert_eq!(answer.stdout.matches("-ERR 4.104").count(), 5_000);
}

#[test]
fn vpopmaild_without_a_table_says_that_it_has_none() {
    let host = published();
    fs::remove_file(host.published("auth.cdb")).unwrap();
    let answer = answer_to(&host, "vpopmaild", "slogin ann@example.com secret\nquit\n");
    assert_eq!((answer.code, &answer.stdout[..]), (111, UNABLE));
    assert!(answer.stderr.contains("alert: unable to read") && answer.stderr.contains("auth.cdb"), "{}", answer.stderr);
    no_hash(&answer);
    // Lost later: for this question.
    let host = published();
    let mut talk = Talk::start(&mut front_end(&host, "vpopmaild"));
    assert_eq!(talk.chunk(), OK);
    fs::write(host.published("auth.cdb"), "broken").unwrap();
    assert_eq!(talk.ask("slogin ann@example.com secret\n"), UNABLE);
    assert_eq!(talk.rest().code, 111);
}

#[test]
fn a_client_on_a_socket_gets_the_last_answer_whatever_it_still_sends() {
    let host = published();
    for (name, sent, last) in [
        ("vpopmaild", "quit\nand more\n".to_owned(), "+OK \r\n"),
        ("vpopmaild", "x".repeat(20_000), "-ERR 4.104 Invalid Command\r\n"),
        ("deliverabled", format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(50_000)), "cut off or too long"),
    ] {
        let (mut client, server) = UnixStream::pair().unwrap();
        let copy: OwnedFd = server.try_clone().unwrap().into();
        let mut command = front_end(&host, name);
        let mut child = command.stdin(OwnedFd::from(server)).stdout(copy).spawn().unwrap();
        drop(command);
        let _ = client.write_all(sent.as_bytes());
        let mut said = String::new();
        client.set_read_timeout(Some(LONG)).unwrap();
        client.read_to_string(&mut said).unwrap();
        assert!(said.ends_with(last), "{name}: {said}");
        drop(client);
        assert_eq!(child.wait().unwrap().code(), Some(0), "{name}");
    }
}

// qmail-deliverabled

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost:8998\r\nConnection: close\r\n\r\n")
}

fn http(host: &MailHost, request: &str) -> (String, String) {
    let answer = answer_to(host, "deliverabled", request);
    no_hash(&answer);
    let Some((head, body)) = answer.stdout.split_once("\r\n\r\n") else { return (answer.stdout, String::new()) };
    if let Some(length) = head.split("Content-Length: ").nth(1) {
        assert_eq!(length.lines().next().unwrap().parse(), Ok(body.len()), "{head}");
    }
    assert!(head.contains("\r\nConnection: close"), "{head}");
    (head.split(' ').nth(1).unwrap_or_default().to_owned(), body.to_owned())
}

#[test]
fn deliverabled_answers_in_decimal_what_the_key_says() {
    let host = MailHost::sample();
    let keys = [
        ("ann@a.test", ""),
        ("mailbox@a.test", "f2"),
        ("valias@a.test", "f3"),
        ("catch-default@a.test", "F4"),
        ("program@a.test", "12"),
        ("list@a.test", "14"),
        ("deferred@a.test", "2f"),
        ("zero@a.test", "00"),
        ("elsewhere@a.test", "ff"),
        ("odd@a.test", "xyz"),
        ("trap@a.test", "-"),
        ("office:desk@a.test", "f1"),
    ];
    let image = keys.map(|(key, data)| (key.as_bytes(), data.as_bytes()));
    host.write("/var/qmail/control/validrcptto.cdb", qmail_updater::cdb::image(image).unwrap());
    host.write("/var/qmail/control/rcpthosts", "a.test\n");
    for (address, code) in [
        ("ann@a.test", "241"),
        ("ANN%40A.Test", "241"),
        ("mailbox@a.test", "242"),
        ("valias%40a.test", "243"),
        ("catch-all@a.test", "244"),
        ("program@a.test", "18"),
        ("list@a.test", "241"),
        ("deferred@a.test", "241"),
        ("zero@a.test", "241"),
        ("elsewhere@a.test", "241"),
        ("odd@a.test", "241"),
        ("trap@a.test", "0"),
        ("nobody@a.test", "0"),
        ("a+b@a.test", "0"),
        ("%22office%3adesk%22%40a.test", "241"),
        ("x@other.test", "255"),
        ("bare", "0"),
    ] {
        assert_eq!(http(&host, &get(&format!("/qd1/deliverable?{address}"))), ("200".into(), code.into()), "{address}");
    }
    host.remove("/var/qmail/control/rcpthosts");
    assert_eq!(http(&host, &get("/qd1/deliverable?x@other.test")).1, "0");
}

#[test]
fn deliverabled_refuses_what_is_no_such_request() {
    let host = published();
    let body = "no address of printable ASCII is given";
    for (target, status) in [
        ("/qd1/deliverable", "400"),
        ("/qd1/deliverable?", "400"),
        ("/qd1/deliverable?a%zz@b", "400"),
        ("/qd1/deliverable?a%4", "400"),
        ("/qd1/deliverable?a%00@b", "400"),
        ("/qd1/deliverable?a%c3%a9@b", "400"),
        ("/qd1/qmail_local?ann@example.com", "403"),
        ("/qd1/deliverable/?ann@example.com", "403"),
        ("/", "403"),
        ("http://127.0.0.1:8998/qd1/deliverable?ann@example.com", "200"),
        ("http://127.0.0.1:8998", "403"),
    ] {
        let (code, said) = http(&host, &get(target));
        assert_eq!(code, status, "{target}");
        assert!(status != "400" || said == body, "{said}");
    }
    for (request, status) in [
        ("POST /qd1/deliverable?ann@example.com HTTP/1.1\r\n\r\n", "403"),
        ("HEAD /qd1/deliverable?ann@example.com HTTP/1.0\r\n\r\n", "403"),
        ("GET /qd1/deliverable?ann@example.com HTTP/1.0\r\n\r\n", "200"),
        ("GET /qd1/deliverable?ann@example.com HTTP/1.1\n\n", "200"),
        ("GET /qd1/deliverable?ann@example.com\r\n\r\n", "400"),
        ("GET /qd1/deliverable?a b@example.com HTTP/1.1\r\n\r\n", "400"),
        ("GET /qd1/deliverable?ann@example.com HTTP/2.0\r\n\r\n", "400"),
        ("\r\n\r\n", "400"),
        ("GET /qd1/deliverable?ann@example.com HTTP/1.1\r\nHost: x\r\n", "400"),
        ("GET /qd1/deliverable?ann", "400"),
    ] {
        let status = if request == "GET /qd1/deliverable?ann" { "" } else { status };
        assert_eq!(http(&host, request).0, status, "{request}");
    }
    let headers = format!("GET /qd1/deliverable?a@b HTTP/1.1\r\n{}\r\n", "X: yyyyyyy\r\n".repeat(100_000));
    assert_eq!(http(&host, &headers).0, "400");
    let answer = answer_to(&host, "deliverabled", "");
    assert_eq!((answer.code, &answer.stdout[..]), (0, ""), "a look at the port");
}

#[test]
fn deliverabled_without_a_table_says_try_later() {
    let host = published();
    fs::write(host.published("validrcptto.cdb"), "broken").unwrap();
    for address in ["ann@example.com", "nobody@example.com", "x@elsewhere.example"] {
        assert_eq!(http(&host, &get(&format!("/qd1/deliverable?{address}"))).0, "503", "{address}");
    }
}

// socketmap

fn netstring(text: &str) -> String {
    format!("{}:{text},", text.len())
}

#[test]
fn socketmap_answers_any_number_of_requests_until_the_client_closes() {
    let host = published();
    let mut talk = Talk::start(&mut front_end(&host, "socketmap"));
    for (key, answer) in [
        ("rcpt ann@example.com", "OK OK"),
        ("rcpt nobody@example.com", "NOTFOUND "),
        ("rcpt ANN@EXAMPLE.COM", "OK OK"),
        ("rcpt list-subscribe@example.edu", "OK OK"),
        ("rcpt anybody@example.net", "OK OK"),
        ("rcpt \"anybody\"@example.net", "OK OK"),
        ("rcpt \"a\\\"b c\"@example.net", "OK OK"),
        ("rcpt spamtrap@example.net", "NOTFOUND "),
        // What Postfix asks next.
        ("rcpt @example.net", "NOTFOUND "),
        ("rcpt \"\"@example.net", "NOTFOUND "),
        ("rcpt ", "NOTFOUND "),
        ("rcpt x@elsewhere.example", "NOTFOUND "),
        ("other ann@example.com", "PERM the only table is called rcpt"),
        ("rcpt", "PERM no key is given"),
        ("", "PERM no key is given"),
    ] {
        assert_eq!(talk.ask(netstring(key)), netstring(answer), "{key}");
    }
    // In pieces, and two at once.
    for piece in ["2", "0:rcpt ann@exa", "mple.com"] {
        talk.send(piece);
    }
    assert_eq!(talk.ask(",20:rcpt bob@example.com,") + &talk.chunk(), "5:OK OK,".repeat(2));
    // A table that is replaced or lost is seen by the next question.
    fs::remove_file(host.published("validrcptto.cdb")).unwrap();
    assert_eq!(talk.ask(netstring("rcpt ann@example.com")), netstring("TEMP the recipient table cannot be read"));
    assert_eq!(talk.ask(netstring("rcpt ann@example.com")), netstring("TEMP the recipient table cannot be read"));
    host.rebuild();
    assert_eq!(talk.ask(netstring("rcpt ann@example.com")), netstring("OK OK"));
    let answer = talk.end();
    assert_eq!((answer.code, &answer.stdout[..]), (0, ""));
    assert_eq!(answer.stderr.lines().count(), 1, "said once: {}", answer.stderr);
}

#[test]
fn socketmap_ends_at_what_is_no_netstring() {
    let host = published();
    let perm = netstring("PERM this is no netstring of at most 100000 bytes");
    for sent in
        ["x", ":", "05:rcpt ,", "3:rcpt ann@example.com,", "100001:", "9999999999999999999:", "-1:", "1 :", "\n"]
    {
        let answer = answer_to(&host, "socketmap", sent);
        assert_eq!((answer.code, &answer.stdout[..]), (0, &perm[..]), "{sent}");
    }
    for half in ["", "2", "20:", "20:rcpt ann@example.com"] {
        let answer = answer_to(&host, "socketmap", half);
        assert_eq!((answer.code, &answer.stdout[..], &answer.stderr[..]), (0, "", ""), "{half}");
    }
    // The longest: a key of dashes would be as many look-ups.
    let longest = format!("rcpt {}@example.com", "-".repeat(100_000 - 17));
    let start = Instant::now();
    assert_eq!(answer_to(&host, "socketmap", netstring(&longest)).stdout, netstring("NOTFOUND "));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

// Dovecot's auth protocol

/// The greeting, up to DONE.
fn greeting(talk: &mut Talk) {
    let said = talk.chunk();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..3], ["VERSION\t1\t1", "MECH\tPLAIN\tplaintext", "MECH\tLOGIN\tplaintext"], "{said}");
    assert!(lines[3].starts_with("SPID\t") && lines[4].starts_with("CUID\t") && lines[6] == "DONE", "{said}");
    let cookie = lines[5].strip_prefix("COOKIE\t").unwrap();
    assert!(cookie.len() == 32 && cookie.bytes().all(|byte| byte.is_ascii_hexdigit()), "{said}");
}

fn plain(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

#[test]
fn dovecot_auth_checks_plain_and_login_for_one_client_after_the_other() {
    let host = published();
    let mut talk = Talk::start(&mut front_end(&host, "dovecot-auth"));
    greeting(&mut talk);
    talk.send("VERSION\t1\t0\nCPID\t77\n");
    let auth =
        |id: u32, text: &str| format!("AUTH\t{id}\tPLAIN\tservice=smtp\tnologin\tlip=::1\tresp={}\n", plain(text));
    for (id, text, answer) in [
        (1, "\0ann@example.com\0secret", "OK\t1\tuser=ann@example.com\n"),
        (2, "\0ANN@Example.com\0secret", "OK\t2\tuser=ann@example.com\n"),
        (3, "\0ann@example.com\0wrong", "FAIL\t3\tuser=ann@example.com\n"),
        (4, "\0nobody@example.com\0secret", "FAIL\t4\tuser=nobody@example.com\n"),
        (5, "Ann@example.com\0ann@example.com\0secret", "OK\t5\tuser=ann@example.com\n"),
        (6, "bob@example.com\0ann@example.com\0secret", "FAIL\t6\treason=a login acts for itself only\n"),
        (7, "\0ann@example.com", "FAIL\t7\treason=PLAIN has a name and a password\n"),
        (8, "\0ann@example.com\0secret\0", "FAIL\t8\treason=PLAIN has a name and a password\n"),
        (9, "\0a\tb\nc\x01\0x", "FAIL\t9\tuser=a\x01tb\x01nc\x011\n"),
        (10, "\0\0", "FAIL\t10\tuser=\n"),
    ] {
        assert_eq!(talk.ask(auth(id, text)), answer, "{id}");
    }
    // Exim sends an empty response when it has none.
    for (id, response) in [(20, ""), (21, "\tresp=")] {
        assert_eq!(talk.ask(format!("AUTH\t{id}\tPLAIN\tservice=smtp{response}\n")), format!("CONT\t{id}\t\n"));
        let answer = talk.ask(format!("CONT\t{id}\t{}\n", plain("\0ann@example.com\0secret")));
        assert_eq!(answer, format!("OK\t{id}\tuser=ann@example.com\n"));
        assert_eq!(
            talk.ask(format!("AUTH\t{id}\tLOGIN\tservice=smtp{response}\n")),
            format!("CONT\t{id}\tVXNlcm5hbWU6\n")
        );
        assert_eq!(
            talk.ask(format!("CONT\t{id}\t{}\n", plain("Ann@example.com"))),
            format!("CONT\t{id}\tUGFzc3dvcmQ6\n")
        );
        let answer = talk.ask(format!("CONT\t{id}\t{}\n", plain("secret")));
        assert_eq!(answer, format!("OK\t{id}\tuser=ann@example.com\n"));
    }
    for (line, answer) in [
        ("AUTH\t30\tCRAM-MD5\tservice=smtp\n", "FAIL\t30\treason=only PLAIN and LOGIN are known\n"),
        ("CONT\t31\tYQ==\n", "FAIL\t31\treason=no such conversation is open\n"),
        ("AUTH\t32\tPLAIN\tservice=smtp\tresp=!\n", "FAIL\t32\treason=this is no base64\n"),
        ("AUTH\t33\tLOGIN\tservice=smtp\nCANCEL\t33\n", "CONT\t33\tVXNlcm5hbWU6\n"),
        ("CONT\t33\tYQ==\n", "FAIL\t33\treason=no such conversation is open\n"),
        ("NEWS\t1\n\nAUTH\tx\tPLAIN\nAUTH\t34\tfoo\n", "FAIL\t34\treason=only PLAIN and LOGIN are known\n"),
    ] {
        assert_eq!(talk.ask(line), answer, "{line}");
    }
    let answer = talk.end();
    assert_eq!((answer.code, &answer.stderr[..]), (0, ""));
    no_hash(&answer);
}

#[test]
fn dovecot_auth_greets_without_a_table_and_hangs_up_on_a_login() {
    let host = published();
    fs::remove_file(host.published("auth.cdb")).unwrap();
    let login = format!("AUTH\t1\tPLAIN\tservice=smtp\tresp={}\n", plain("\0ann@example.com\0secret"));
    for settings in [None, Some(("QMAIL_UPDATER_QMAIL", "relative")), Some(("QMAIL_UPDATER_THREADS", "x"))] {
        let mut command = front_end(&host, "dovecot-auth");
        let mut talk = Talk::start(command.envs(settings));
        greeting(&mut talk);
        talk.send("VERSION\t1\t0\nCPID\t77\n");
        talk.send(&login);
        let answer = talk.rest();
        assert_eq!((answer.code, &answer.stdout[..]), (111, ""), "{settings:?}");
        assert!(!answer.stderr.is_empty(), "{settings:?}");
        no_hash(&answer);
    }
}

#[test]
fn dovecot_auth_bounds_lines_and_open_conversations() {
    let host = published();
    let mut talk = Talk::start(&mut front_end(&host, "dovecot-auth"));
    greeting(&mut talk);
    for id in 0..32 {
        assert_eq!(talk.ask(format!("AUTH\t{id}\tLOGIN\tservice=smtp\n")), format!("CONT\t{id}\tVXNlcm5hbWU6\n"));
    }
    // Postfix never says that a client has gone away: the oldest one is forgotten, and the others go on.
    assert_eq!(talk.ask("AUTH\t99\tLOGIN\tservice=smtp\n"), "CONT\t99\tVXNlcm5hbWU6\n");
    let ann = plain("ann@example.com");
    assert_eq!(talk.ask(format!("CONT\t0\t{ann}\n")), "FAIL\t0\treason=no such conversation is open\n");
    for id in [2, 99] {
        assert_eq!(talk.ask(format!("CONT\t{id}\t{ann}\n")), format!("CONT\t{id}\tUGFzc3dvcmQ6\n"));
        let answer = talk.ask(format!("CONT\t{id}\t{}\n", plain("secret")));
        assert_eq!(answer, format!("OK\t{id}\tuser=ann@example.com\n"));
    }
    let name = BASE64_STANDARD.encode("x".repeat(513));
    assert_eq!(talk.ask(format!("CONT\t1\t{name}\n")), "FAIL\t1\treason=the name is too long\n");
    talk.send("x".repeat(100_000));
    let answer = talk.rest();
    assert_eq!((answer.code, &answer.stdout[..]), (0, ""));
    let mut talk = Talk::start(&mut front_end(&host, "dovecot-auth"));
    greeting(&mut talk);
    talk.send("VERSION\t2\t0\n");
    assert_eq!(talk.rest().code, 111, "another version");
}

// Commands

#[test]
fn spamdyke_is_told_valid_invalid_or_nothing() {
    let host = published();
    let code = |arguments: &[&str], set: &[(&str, &str)]| {
        let mut command = front_end(&host, "spamdyke-rcpt");
        let answer: Answer = command.args(arguments).envs(set.iter().copied()).output().unwrap().into();
        assert_eq!(answer.stdout, "");
        answer.code
    };
    for (arguments, wanted) in [
        (&["example.com", "ann"][..], 1),
        (&["EXAMPLE.com", "Ann"], 1),
        (&["example.com", "nobody"], 2),
        (&["example.net", "any", "body"], 1),
        (&["example.net", "spamtrap"], 2),
        (&["example.com", "--help"], 2),
        (&["example.com", "-"], 2),
        (&["example.com"], 0),
        (&[], 0),
    ] {
        assert_eq!(code(arguments, &[]), wanted, "{arguments:?}");
        assert_eq!(code(arguments, &[("RELAYCLIENT", "")]), 0, "{arguments:?}");
    }
    assert_eq!(code(&["example.com", "nobody"], &[("QMAIL_UPDATER_BREAK", "--")]), 0);
    fs::write(host.published("validrcptto.cdb"), "broken").unwrap();
    assert_eq!(code(&["example.com", "nobody"], &[]), 0);
}

#[test]
fn sqmail_is_told_known_unknown_or_later() {
    let host = published();
    let code = |input: &[u8], set: &[(&str, &str)]| {
        host.write("/input", input);
        let mut command = Command::new("sh");
        let hook = front_end(&host, "sqmail-rcpt");
        command.args(["-c", "exec \"$0\" 3<\"$1\""]).arg(hook.get_program()).arg(host.path("/input"));
        command.env_clear().envs(hook.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let answer: Answer = command.envs(set.iter().copied()).output().unwrap().into();
        assert_eq!(answer.stdout, "");
        answer.code
    };
    for (input, wanted) in [
        (&b"ann@example.com\0\0\0"[..], 0),
        (b"ANN@example.com\0", 0),
        (b"ann@example.com", 0),
        (b"nobody@example.com\0\0\0", 1),
        (b"spamtrap@example.net\0\0\0", 1),
        (b"postmaster@localhost\0\0\0", 0),
        (b"nobody@localhost\0\0\0", 1),
        (b"\0\0\0", 111),
        (b"", 111),
    ] {
        assert_eq!(code(input, &[]), wanted, "{}", String::from_utf8_lossy(input));
    }
    assert_eq!(code(&[b'x'; 5_000], &[]), 1);
    assert_eq!(code(b"nobody@example.com\0\0\0", &[("RELAYCLIENT", "")]), 0);
    let status = front_end(&host, "sqmail-rcpt").stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(111), "descriptor 3 is closed");
    fs::remove_file(host.published("validrcptto.cdb")).unwrap();
    assert_eq!(code(b"ann@example.com\0\0\0", &[]), 111);
}

// OpenSMTPD

#[test]
fn opensmtpd_asks_its_table_and_never_loses_it() {
    let host = published();
    let mut talk = Talk::start(&mut front_end(&host, "opensmtpd-table"));
    talk.send("config|smtpd-version|7.6.0\nconfig|protocol|0.1\n");
    assert_eq!(talk.ask("config|ready\n"), "register|mailaddr\nregister|auth\nregister|ready\n");
    let check = |service: &str, key: &str| format!("table|0.1|1713795097.394049|rcpts|check|{service}|0a|{key}\n");
    for (service, key, answer) in [
        ("mailaddr", "ann@example.com", "found"),
        ("mailaddr", "nobody@example.com", "not-found"),
        ("mailaddr", "any|body@example.net", "found"),
        ("mailaddr", "spamtrap@example.net", "not-found"),
        ("mailaddr", "", "not-found"),
        ("auth", "Ann@example.com:secret", "found"),
        ("auth", "ann@example.com:sec:ret", "not-found"),
        ("auth", "ann@example.com", "not-found"),
        ("auth", "nobody@example.com:secret", "not-found"),
        ("credentials", "ann@example.com", "error|only check of mailaddr and auth is known"),
    ] {
        assert_eq!(talk.ask(check(service, key)), format!("check-result|0a|{answer}\n"), "{service} {key}");
    }
    for (line, answer) in [
        ("table|0.1|1.0|rcpts|update|7\n", "update-result|7|ok\n"),
        (
            "table|0.1|1.0|rcpts|lookup|mailaddr|8|x@y\n",
            "lookup-result|8|error|only check of mailaddr and auth is known\n",
        ),
        ("table|0.1|1.0|rcpts|fetch|mailaddr|9\n", "fetch-result|9|error|only check of mailaddr and auth is known\n"),
    ] {
        assert_eq!(talk.ask(line), answer, "{line}");
    }
    // None of these has an answer, and none ends it.
    for line in ["\n", "foo\n", "table\n", "table|0.1|1.0|rcpts\n", "config\n", &format!("{}\n", "x".repeat(100_000))] {
        talk.send(line);
    }
    assert_eq!(talk.ask(check("mailaddr", "ann@example.com")), "check-result|0a|found\n");
    fs::remove_file(host.published("validrcptto.cdb")).unwrap();
    fs::remove_file(host.published("auth.cdb")).unwrap();
    for (service, key) in [("mailaddr", "nobody@example.com"), ("auth", "ann@example.com:secret")] {
        assert_eq!(talk.ask(check(service, key)), "check-result|0a|error|the published table cannot be read\n");
    }
    host.rebuild();
    assert_eq!(talk.ask(check("mailaddr", "ann@example.com")), "check-result|0a|found\n");
    let answer = talk.end();
    assert_eq!(answer.code, 0);
    no_hash(&answer);
}

#[test]
fn opensmtpd_names_the_published_file_or_nothing() {
    let host = published();
    let check = "table|0.1|1.0|t|check|mailaddr|1|ann@example.com\n";
    let asked = |name: &str, argument: Option<&str>| {
        let mut command = front_end(&host, name);
        command.env_remove("VALIDRCPTTO_CDB").args(argument);
        let mut talk = Talk::start(&mut command);
        talk.send(check);
        talk.end().stdout
    };
    let table = host.published("validrcptto.cdb");
    let found = "check-result|1|found\n";
    assert_eq!(asked("opensmtpd-table", table.to_str()), found);
    assert_eq!(asked("opensmtpd-table", None), found, "its default below --qmail");
    assert_eq!(asked("opensmtpd-table", Some("relative")), "check-result|1|error|the published table cannot be read\n");
}

// All connections

#[test]
fn settings_that_cannot_be_used_are_answered_in_the_words_of_each_protocol() {
    let host = published();
    for (name, sent, answer) in [
        ("vpopmaild", "slogin ann@example.com secret\n".to_owned(), UNABLE.to_owned()),
        ("socketmap", netstring("rcpt ann@example.com"), netstring("TEMP the recipient table cannot be read")),
        ("deliverabled", get("/qd1/deliverable?ann@example.com"), "503".to_owned()),
        (
            "opensmtpd-table",
            "table|0.1|1.0|t|check|auth|1|a:b\n".to_owned(),
            "check-result|1|error|the published table cannot be read\n".to_owned(),
        ),
    ] {
        let mut command = front_end(&host, name);
        let mut talk = Talk::start(command.env("QMAIL_UPDATER_QMAIL", "relative"));
        talk.send(sent);
        let said = talk.end();
        assert!(
            said.stdout == answer || answer == "503" && said.stdout.starts_with("HTTP/1.1 503 "),
            "{name}: {}",
            said.stdout
        );
        assert!(
            said.stderr.contains("fatal: --qmail \"relative\": an absolute path is needed"),
            "{name}: {}",
            said.stderr
        );
    }
}

#[test]
fn a_client_that_reads_no_answer_is_left_and_floods_take_no_memory() {
    let host = published();
    for (name, request) in [
        ("vpopmaild", "help\n".to_owned()),
        ("socketmap", netstring("rcpt nobody@example.com")),
        ("dovecot-auth", "AUTH\t1\tFOO\n".to_owned()),
        ("opensmtpd-table", "table|0.1|1.0|t|update|1\n".to_owned()),
    ] {
        let mut command = front_end(&host, name);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Nobody reads: what is answered fills the pipe, and what is asked fills the other one.
        let mut input = child.stdin.take().unwrap();
        let flood = std::thread::spawn(move || input.write_all(request.repeat(200_000).as_bytes()));
        let start = Instant::now();
        let resident = || {
            let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).map(str::trim);
            line.and_then(|line| line.split(' ').next()?.parse::<u64>().ok())
        };
        while start.elapsed() < Duration::from_millis(300) {
            assert!(resident().is_none_or(|kib| kib < 32_768), "{name}: {:?} KiB", resident());
            std::thread::sleep(Duration::from_millis(20));
        }
        // It goes away.
        drop(child.stdout.take());
        child.wait().unwrap();
        assert!(flood.join().unwrap().is_err() || name == "opensmtpd-table", "{name}");
    }
}

// Other tables

/// Looks a recipient up as vrtcheck of sagredo's qmail-smtpd does; `None` leaves it to chkuser.
fn by_sagredo(keys: &[String], address: &str) -> Option<bool> {
    let (_, domain) = address.split_once('@').unwrap();
    let forms = [
        (address.to_owned(), true),
        (format!("-{address}"), false),
        (format!("@{domain}"), true),
        (format!("-@{domain}"), false),
    ];
    forms.into_iter().find(|(key, _)| keys.contains(key)).map(|(_, accepted)| accepted)
}

/// Looks a recipient up as s/qmail does: the whole, and then cut behind the first dash.
fn by_sqmail(keys: &[String], address: &str) -> bool {
    let (local, domain) = address.split_once('@').unwrap();
    let cut = local.split_once('-').map(|(first, _)| format!(":{first}-@{domain}"));
    keys.contains(&format!(":{address}")) || cut.is_some_and(|key| keys.contains(&key))
}

/// The keys of a table, whose data is empty.
fn keys(path: &std::path::Path) -> Vec<String> {
    let image = fs::read(path).unwrap();
    let cdb = qmail_updater::cdb::Reader::new(&image).unwrap();
    assert_eq!(cdb.check(), Ok(()));
    let key = |record: qmail_updater::cdb::Record<'_>| {
        assert_eq!(record.data, b"");
        String::from_utf8(record.key.to_vec()).unwrap()
    };
    cdb.records().map(key).collect()
}

const OTHERS: [&str; 4] =
    ["--sqmail-recipients", "/var/qmail/users/recipients.cdb", "--sagredo-recipients", "/var/qmail/control/more.cdb"];

fn rebuild_with_others(host: &MailHost) -> Answer {
    let answer = host.run(&[&OTHERS[..], &["rebuild"]].concat());
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    answer
}

#[test]
fn tables_of_other_qmails_refuse_nothing_that_the_table_accepts() {
    let host = published();
    host.write(&format!("{COM}/.qmail-team-a-default"), "|/bin/true\n")
        .write(&format!("{COM}/.qmail--odd"), "|/bin/true\n");
    let answer = rebuild_with_others(&host);
    for told in [
        "it cannot say that example.net accepts every name",
        "it accepts all of team-...@example.com, because it cannot say team-a-...",
    ] {
        assert!(answer.stderr.contains(told), "{told}: {}", answer.stderr);
    }
    let (sqmail, sagredo) = (keys(&host.path(OTHERS[1])), keys(&host.path(OTHERS[3])));
    let names = [
        "ann",
        "bob",
        "nobody",
        "postmaster",
        "team-a-x",
        "team-b",
        "list-subscribe",
        "spamtrap",
        "any-body",
        "-odd",
        "odd",
    ];
    let domains = [
        "example.com",
        "example.edu",
        "example.net",
        "relay.example",
        "backup.example",
        "mail.example.org",
        "elsewhere.example",
    ];
    let addresses: Vec<String> =
        domains.iter().flat_map(|domain| names.map(|name| format!("{name}@{domain}"))).collect();
    let asked: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let (mut accepted, mut refused) = (0, [0, 0]);
    for (address, answer) in asked.iter().zip(host.answers(&asked)) {
        let domain = address.split_once('@').unwrap().1;
        let is_open = by_sagredo(&sagredo, &format!("anything-{address}")) == Some(true);
        if answer == "accept" {
            accepted += 1;
            assert_ne!(by_sagredo(&sagredo, address), Some(false), "{address}");
            assert!(by_sqmail(&sqmail, address) || is_open, "{address}");
        } else {
            refused[0] += usize::from(by_sagredo(&sagredo, address) == Some(false));
            refused[1] += usize::from(!by_sqmail(&sqmail, address));
            assert!(by_sagredo(&sagredo, address) != Some(true) || is_open, "{address} {domain}");
        }
    }
    assert!(accepted > 20 && refused[0] > 5 && refused[1] > 15, "{accepted} {refused:?}");
    assert_eq!(by_sagredo(&sagredo, "spamtrap@example.net"), Some(false));
    assert!(sqmail.contains(&":postmaster@localhost".to_owned()), "a bare name");
}

#[test]
fn sagredos_table_has_no_key_for_a_domain_that_rcpthosts_does_not_name() {
    let host = published();
    rebuild_with_others(&host);
    let of =
        |domain: &str| keys(&host.path(OTHERS[3])).iter().filter(|key| key.ends_with(&format!("@{domain}"))).count();
    assert!(of("example.com") > 0 && of("elsewhere.example") == 0);
    // The guard keeps the entries of a domain that leaves with others; this table must not.
    let text = fs::read_to_string(host.published("rcpthosts")).unwrap();
    host.write("/var/qmail/control/rcpthosts", text.replace("example.com\n", "").replace("example.net\n", ""));
    let _ = host.run(&[&OTHERS[..], &["rebuild"]].concat());
    assert_eq!((of("example.com"), of("example.net")), (0, 0));
    host.remove("/var/qmail/control/rcpthosts");
    let answer = host.run(&[&OTHERS[..], &["rebuild"]].concat());
    assert_eq!(keys(&host.path(OTHERS[3])), Vec::<String>::new());
    assert!(answer.stderr.contains("empty, because there is no control/rcpthosts"), "{}", answer.stderr);
}

#[test]
fn no_table_of_another_qmail_is_published_over_another_file() {
    let host = published();
    for (path, told) in [
        ("/var/qmail/control/validrcptto.cdb", "are the same file"),
        ("/var/qmail/control/rcpthosts", "is read by qmail"),
    ] {
        let before = fs::read(host.path(path)).unwrap();
        let answer = host.run(&["--sagredo-recipients", path, "rebuild"]);
        assert!(answer.code == 100 && answer.stderr.contains(told), "{}", answer.stderr);
        assert!(fs::read(host.path(path)).unwrap() == before);
    }
    let answer = host.run(&["--sqmail-recipients", "/x.cdb", "--sagredo-recipients", "/x.cdb", "rebuild"]);
    assert!(answer.code == 100 && answer.stderr.contains("are the same file"), "{}", answer.stderr);
}

#[test]
fn the_service_keeps_the_tables_of_other_qmails_as_they_should_be() {
    let service = support::service::Service::start(published(), &OTHERS);
    let host = &service.host;
    let table = host.path(OTHERS[3]);
    let until = |what: &str, is_so: &dyn Fn(&[String]) -> bool| {
        let start = Instant::now();
        while !(table.is_file() && is_so(&keys(&table))) {
            assert!(start.elapsed() < LONG, "{what}");
            support::service::pause();
        }
    };
    until("it is published", &|keys| keys.contains(&"ann@example.com".to_owned()));
    fs::remove_file(&table).unwrap();
    until("it is recreated", &|keys| keys.contains(&"ann@example.com".to_owned()));
    host.mailboxes(COM, &[&format!("ann:{SECRET}:1:0:N:/d:Q"), &format!("eve:{SECRET}:1:0:N:/d:Q")]);
    until("a new mailbox is in it", &|keys| keys.contains(&"eve@example.com".to_owned()));
}

#[test]
fn check_status_and_dry_run_look_at_the_tables_of_other_qmails() {
    let host = published();
    let asked = |command: &[&str]| {
        let answer = host.run(&[&OTHERS[..], command].concat());
        format!("{}{}", answer.stdout, answer.stderr)
    };
    let all_of = |commands: &[&[&str]], what: &str, told: [&str; 2]| {
        for command in commands {
            let said = asked(command);
            for (path, told) in [OTHERS[1], OTHERS[3]].into_iter().zip(told) {
                let line = said.lines().find(|line| line.contains(&format!("{path}: ")));
                assert_eq!(line.is_some(), !told.is_empty(), "{what}: {command:?}: {said}");
                assert!(line.is_none_or(|line| line.contains(told)), "{what}: {command:?}: {said}");
            }
        }
    };
    let all = |what: &str, told: [&str; 2]| all_of(&[&["check"], &["status"], &["rebuild", "--dry-run"]], what, told);
    all(
        "missing",
        ["not there; s/qmail may accept every", "not there; qmail-smtpd leaves every recipient to its next"],
    );
    rebuild_with_others(&host);
    all("as they should be", ["", ""]);
    fs::write(host.path(OTHERS[1]), "broken").unwrap();
    let more = keys(&host.path(OTHERS[3])).into_iter().skip(2).chain(["@relay.test".to_owned()]).collect::<Vec<_>>();
    let image = qmail_updater::cdb::image(more.iter().map(|key| (key.as_bytes(), &b""[..]))).unwrap();
    fs::write(host.path(OTHERS[3]), image).unwrap();
    all(
        "damaged, and changed",
        ["qmail-updater rebuild makes it again", "not what validrcptto.cdb gives: 3 changes; "],
    );
    assert_eq!(host.run(&[&OTHERS[..], &["check"]].concat()).code, 1);
    rebuild_with_others(&host);
    all("published again", ["", ""]);
    // A name that is in none of the tables yet is told of once, as what validrcptto.cdb lacks; a dry run names all files that
    // a rebuild writes.
    host.mailboxes(COM, &[&format!("ann:{SECRET}:1:0:N:/d:Q"), &format!("eve:{SECRET}:1:0:N:/d:Q")]);
    all_of(&[&["check"], &["status"]], "a new mailbox", ["", ""]);
    all_of(&[&["rebuild", "--dry-run"]], "a new mailbox", ["a rebuild recreates it from the new validrcptto.cdb"; 2]);
    assert!(asked(&["rebuild", "--dry-run"]).contains("eve@example.com"));
}

#[test]
fn logins_are_printed_as_a_passwd_file() {
    let host = MailHost::sample();
    host.mailboxes(COM, &[&format!("ann:{SECRET}:1:0:N:/d:Q"), &format!("#bob:{SECRET}:1:0:N:/d:Q")]);
    host.write("/var/qmail/control/authvars", "ann@example.com A=\"1\"\n");
    let answer = host.run(&["list", "logins", "--format", "passwd-file"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert!(
        answer.stdout.lines().any(|line| line == format!("ann@example.com:{{CRYPT}}{SECRET}")),
        "{}",
        answer.stdout
    );
    assert!(!answer.stdout.contains('#') && !answer.stdout.contains("A="), "{}", answer.stdout);
    assert!(!answer.stderr.contains("$1$"), "{}", answer.stderr);
    let refused = host.run(&["list", "recipients", "--format", "passwd-file"]);
    assert_eq!((refused.code, &refused.stdout[..]), (100, ""));
}

/// What the fuzzer holds against each protocol, for its seeds and each of their beginnings, and for bytes of each kind.
#[test]
fn clients_of_the_fuzzer_have_the_same_answers_however_their_bytes_are_cut() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/front_end");
    let seeds: Vec<Vec<u8>> =
        fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(seeds.len() >= fuzzed::SERVERS.len());
    for (server, byte) in (0..5).flat_map(|server| (0..=255).map(move |byte| (server, byte))) {
        fuzzed::judge(&[&[server], &[byte; 40][..]].concat());
    }
    for seed in &seeds {
        (0..=seed.len().min(300)).for_each(|end| fuzzed::judge(&seed[..end]));
        fuzzed::judge(seed);
        for at in 1..seed.len().min(300) {
            let mut changed = seed.clone();
            changed[at] ^= 0x10;
            fuzzed::judge(&changed);
        }
    }
}

#[test]
fn a_subdomain_that_only_a_suffix_lets_in_is_accepted_unless_something_names_it() {
    let host = published();
    let add = |name: &str, line: &str| {
        let text = fs::read_to_string(host.published(name)).unwrap_or_default();
        host.write(&format!("/var/qmail/control/{name}"), format!("{text}{line}\n"));
    };
    add("rcpthosts", ".example.org");
    add("virtualdomains", "virtual.example.org:nobody\nann@half.example.org:ann");
    add("locals", "local.example.org");
    host.rebuild();
    for (address, accepted) in [
        ("any@sub.example.org", true),
        ("any@a.b.example.org", true),
        ("any@SUB.Example.org", true),
        ("any@local.example.org", false),
        ("any@virtual.example.org", false),
        // The other names of it are another host's, so the table itself accepts them.
        ("any@half.example.org", true),
        ("nobody@mail.example.org", false),
        ("any@example.org", false),
        ("any@sub.example.com", false),
        ("@sub.example.org", false),
    ] {
        let mut command = front_end(&host, "spamdyke-rcpt");
        let (local, domain) = address.split_once('@').unwrap();
        let code = command.args([domain, local]).status().unwrap().code();
        assert_eq!(code, Some(if accepted { 1 } else { 2 }), "{address}");
    }
    // A hub that has no lists of its own goes by the table.
    host.remove("/var/qmail/control/locals").remove("/var/qmail/control/me");
    assert_eq!(front_end(&host, "spamdyke-rcpt").args(["sub.example.org", "any"]).status().unwrap().code(), Some(2));
}

// What is written, and how fast

/// The system calls by which a process writes anything, and that it becomes another program.
const WRITES: &str = "trace=execve,write,writev,pwrite64,pwritev,sendto,sendmsg,sendmmsg,sendfile,splice";

#[test]
fn no_front_end_writes_a_hash_or_a_password() {
    if !support::has("strace") {
        return support::skip("no_front_end_writes_a_hash_or_a_password", "strace is not installed");
    }
    let host = published();
    let plain = BASE64_STANDARD.encode("\0ann@example.com\0secret");
    let wrong = BASE64_STANDARD.encode("\0ann@example.com\0not-secret");
    let word = BASE64_STANDARD.encode("secret");
    let login = BASE64_STANDARD.encode("ann@example.com");
    let secrets =
        [SECRET, &SECRET[12..], "secret", plain.trim_end_matches('='), wrong.trim_end_matches('='), &word[..]];
    let logins = [
        (
            "vpopmaild",
            "help\nsecret\nclogin ann@example.com not-secret\nlogin nobody@example.com secret\nclogin ann@example.com secret\n\
             user_info secret\nhelp\nquit\n"
                .to_owned(),
            9,
        ),
        ("vpopmaild", format!("slogin ann@example.com {}\n", "secret".repeat(300)), 2),
        (
            "dovecot-auth",
            format!(
                "VERSION\t1\t0\nCPID\t7\nAUTH\t1\tPLAIN\tservice=smtp\tresp={plain}\n\
                 AUTH\t2\tPLAIN\tservice=smtp\tresp={wrong}\nAUTH\t3\tLOGIN\tservice=smtp\nCONT\t3\t{login}\nCONT\t3\t{word}\n\
                 AUTH\t4\tsecret\tresp=secret\n"
            ),
            7,
        ),
        (
            "opensmtpd-table",
            "config|ready\ntable|0.1|1.0|t|check|auth|1|ann@example.com:secret\n\
             table|0.1|1.0|t|check|auth|2|ann@example.com:not-secret\ntable|0.1|1.0|t|lookup|auth|3|ann@example.com:secret\n"
                .to_owned(),
            4,
        ),
        ("socketmap", netstring("rcpt secret@example.com") + &netstring("secret ann@example.com"), 2),
        ("deliverabled", get("/qd1/deliverable?secret@example.com"), 1),
        ("checkpassword", "ann@example.com\0secret\0\0".to_owned(), 0),
        ("checkpassword", "ann@example.com\0not-secret\0\0".to_owned(), 0),
    ];
    for damaged in [false, true] {
        if damaged {
            // A hash where a record is expected, and nothing else.
            fs::write(host.published("auth.cdb"), SECRET.repeat(200)).unwrap();
        }
        for (name, sent, answers) in &logins {
            let (front, trace) = (front_end(&host, name), host.path("/trace"));
            let mut command = support::strace();
            command.args(["-f", "-qq", "-s", "1000000", "-e", WRITES, "-o"]).arg(&trace);
            if *name == "checkpassword" {
                command.args(["sh", "-c", "exec 3<&0; exec \"$0\" true"]);
            }
            command.arg(front.get_program());
            for (key, value) in front.get_envs() {
                command.env(key, value.unwrap_or_default());
            }
            let mut talk = Talk::start(&mut command);
            talk.send(sent);
            let answer = talk.end();
            let text = fs::read_to_string(&trace).unwrap();
            for secret in secrets {
                assert!(!text.contains(secret), "{name}: {secret}: {text}");
                assert!(!answer.stdout.contains(secret) && !answer.stderr.contains(secret), "{name}: {secret}");
            }
            // Each answer is one write.
            let written = text.lines().filter(|line| line.contains(" write(1, ")).count();
            assert!(written == *answers || damaged, "{name}: {written} writes: {text}");
        }
    }
}

#[test]
fn a_client_that_went_away_is_no_failure() {
    let host = published();
    for (name, sent) in [
        ("vpopmaild", "login ann@example.com secret\nlogin ann@example.com secret\n".to_owned()),
        ("dovecot-auth", "VERSION\t1\t0\nAUTH\t1\tFOO\n".to_owned()),
        ("socketmap", netstring("rcpt ann@example.com")),
        ("deliverabled", get("/qd1/deliverable?ann@example.com")),
        ("opensmtpd-table", "table|0.1|1.0|t|update|1\n".to_owned()),
    ] {
        let (mut client, server) = UnixStream::pair().unwrap();
        let copy: OwnedFd = server.try_clone().unwrap().into();
        client.write_all(sent.as_bytes()).unwrap();
        drop(client);
        let mut command = front_end(&host, name);
        let output = command.stdin(OwnedFd::from(server)).stdout(copy).stderr(Stdio::piped()).output().unwrap();
        assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]), "{name}");
    }
}

/// The median of durations.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn is_large(test: &str) -> bool {
    let is_large = std::env::var_os("QMAIL_UPDATER_LARGE").is_some();
    if !is_large {
        support::skip(test, "it takes minutes, or a quiet machine; QMAIL_UPDATER_LARGE=1 runs it");
    }
    is_large
}

#[test]
fn an_unknown_login_takes_the_time_of_a_known_one() {
    if !is_large("an_unknown_login_takes_the_time_of_a_known_one") {
        return;
    }
    let host = MailHost::sample();
    let settings: Vec<_> = (0..50).map(|number| (b"secret".to_vec(), format!("$6$saltsalt{number}$"))).collect();
    let hashes = support::system_crypt(&settings);
    let names: Vec<String> = (0..50).map(|number| format!("user{number}@a.test")).collect();
    let records = names.iter().zip(&hashes).map(|(name, hash)| (name.as_bytes(), hash.as_bytes()));
    host.write("/var/qmail/control/auth.cdb", qmail_updater::cdb::image(records).unwrap());
    let mut times = [Vec::new(), Vec::new()];
    for number in 0..200 {
        let mut talk = Talk::start(&mut front_end(&host, "vpopmaild"));
        assert_eq!(talk.chunk(), OK);
        for (known, times) in times.iter_mut().enumerate() {
            let name = if known == 0 { format!("nobody{number}") } else { format!("user{}", number % 50) };
            let start = Instant::now();
            assert_eq!(talk.ask(format!("slogin {name}@a.test wrong\n")), NO);
            times.push(start.elapsed());
        }
        talk.end();
    }
    let [unknown, known] = times.map(median);
    println!("unknown {unknown:?}, known {known:?}");
    assert!(unknown.abs_diff(known) * 20 < known, "unknown {unknown:?}, known {known:?}");
}

#[test]
fn vpopmaild_ends_after_a_minute_without_a_line() {
    if !is_large("vpopmaild_ends_after_a_minute_without_a_line") {
        return;
    }
    let host = published();
    for (sent, last) in
        [("", "-ERR 3.103 Read Timeout\r\n"), ("slogin ann@example.com secret\nhel", "-ERR 3.106 Read Timeout\r\n")]
    {
        let mut talk = Talk::start(&mut front_end(&host, "vpopmaild"));
        assert_eq!(talk.chunk(), OK);
        let start = Instant::now();
        if !sent.is_empty() {
            assert_eq!(talk.ask(sent), OK);
        }
        let said = String::from_utf8(talk.chunks.recv_timeout(Duration::from_secs(90)).unwrap()).unwrap();
        assert_eq!(said, last);
        assert!((59..65).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
        assert_eq!(talk.rest().code, 0);
    }
}

/// How long each of 40 connections at a time to this program under tcpserver takes, as many as there are in a minute.
fn under_tcpserver(
    program: &mut Command,
    request: &(dyn Fn(usize) -> Option<(String, &'static str)> + Sync),
) -> Vec<Duration> {
    let mut command = Command::new("tcpserver");
    command.args(["-1", "-HRD", "-l0", "-c", "40", "127.0.0.1", "0"]).arg(program.get_program());
    for (key, value) in program.get_envs() {
        command.env(key, value.unwrap_or_default());
    }
    let mut server = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut port = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stdout.take().unwrap()), &mut port).unwrap();
    let (port, until): (u16, _) = (port.trim().parse().unwrap(), Instant::now() + Duration::from_secs(60));
    let client = |number: usize| {
        let mut times = Vec::new();
        for turn in (number..).step_by(40).take_while(|_| Instant::now() < until) {
            let start = Instant::now();
            let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
            let asked = request(turn);
            if let Some((request, _)) = &asked {
                stream.write_all(request.as_bytes()).unwrap();
            }
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            times.push(start.elapsed());
            assert!(asked.is_none_or(|(_, wanted)| answer.ends_with(wanted)), "{answer}");
        }
        times
    };
    let times = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..40).map(|number| scope.spawn(move || client(number))).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    server.kill().unwrap();
    server.wait().unwrap();
    times
}

/// How long it takes is printed only: the time goes into starting a process, and a build for tests is five times as slow.
#[test]
fn deliverabled_is_right_for_forty_clients_at_a_time() {
    if !is_large("deliverabled_is_right_for_forty_clients_at_a_time") {
        return;
    }
    if !support::has("tcpserver") {
        return support::skip("deliverabled under tcpserver", "tcpserver is not installed");
    }
    let host = MailHost::sample();
    let names: Vec<String> = (0..1_000_000).map(|number| format!("user{number}@a.test")).collect();
    let image = qmail_updater::cdb::image(names.iter().map(|name| (name.as_bytes(), &b""[..]))).unwrap();
    host.write("/var/qmail/control/validrcptto.cdb", image).write("/var/qmail/control/rcpthosts", "a.test\n");
    let request = |turn: usize| {
        let (name, wanted) = if turn.is_multiple_of(2) { ("user", "\r\n241") } else { ("nobody", "\r\n0") };
        let number = turn * 7919 % names.len();
        Some((get(&format!("/qd1/deliverable?{name}{number}@a.test")), wanted))
    };
    let idle = under_tcpserver(&mut Command::new("/bin/true"), &|_| None);
    let asked = under_tcpserver(&mut front_end(&host, "deliverabled"), &request);
    let (number, idle, asked) = ((asked.len(), idle.len()), median(idle), median(asked));
    println!("deliverabled: {} connections, median {asked:?}; /bin/true: {}, median {idle:?}", number.0, number.1);
}

#[test]
fn a_slow_hash_that_a_customer_wrote_costs_no_other_login_its_time() {
    let host = MailHost::sample();
    let setting = (b"secret".to_vec(), "$6$rounds=1500000$saltsalt$".to_owned());
    let hash = support::system_crypt(&[setting]).remove(0);
    host.write(
        "/var/qmail/control/auth.cdb",
        qmail_updater::cdb::image([(&b"eve@b.test"[..], hash.as_bytes())]).unwrap(),
    );
    let mut talk = Talk::start(&mut front_end(&host, "vpopmaild"));
    assert_eq!(talk.chunk(), OK);
    let mut took = |login: &str| {
        let start = Instant::now();
        assert_eq!(talk.ask(format!("slogin {login} wrong\n")), NO);
        start.elapsed()
    };
    let (other, slow) = (took("ann@a.test"), took("eve@b.test"));
    talk.end();
    assert!(other * 4 < slow, "another login: {other:?}, the slow one: {slow:?}");
}
