//! What each command shows on a real terminal of 80 and of 120 columns, with colour and without, held against the texts in
//! tests/golden/terminal. Each of them begins with the reasons why it is right; what they have in common is asserted here:
//! the verdict comes first, columns are aligned, no line is wider than the terminal unless one word is, and colour changes
//! nothing but words of verdicts.
//!
//! `QMAIL_UPDATER_GOLDEN=write` writes the texts again, and docs/recording.svg. Read each difference before you commit it.

mod support;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::service::{COM, Service, pause, status_of};
use support::{MailHost, is_root, lose_much, skip};

const WIDTHS: [u16; 2] = [80, 120];
const NET: &str = "/home/vpopmail/domains/example.net";

/// What the program paints words with, and how the texts show it.
const COLORS: [(&str, &str); 4] =
    [("\x1b[1m\x1b[32m", "{green "), ("\x1b[1m\x1b[33m", "{yellow "), ("\x1b[1m\x1b[31m", "{red "), ("\x1b[0m", "}")];

/// Words that may have a colour: verdicts, levels, and what a fact of `status` is about.
const PAINTED: &[&str] = &[
    "OK",
    "WARNING",
    "ALERT",
    "UNKNOWN",
    "HELD",
    "KEPT",
    "OPEN",
    "ACCEPTED",
    "REFUSED",
    "MAILBOX",
    "NO MAILBOX",
    "accept",
    "refuse",
    "login",
    "deliver",
    "bounce",
    "yes",
    "no",
    // The facts of status.
    "service",
    "status file",
    "last error",
    "commands",
    "actions",
    "held",
    "kept",
    "users",
    "settings",
    "tables",
    "unknown",
];

/// The sample host with its compiled users/cdb, published, at a path whose length is always the same: lines are wrapped by
/// it.
fn host() -> MailHost {
    let host = MailHost::sample_below(Path::new("/tmp"));
    let compiled = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/host/var/qmail/users/cdb");
    host.write("/var/qmail/users/cdb", fs::read(compiled).unwrap());
    host.rebuild();
    host
}

/// Gives auth.cdb to a group, as an administrator does, so that not only root can read it.
fn give_logins(host: &MailHost) {
    if is_root() {
        support::give(&host.published("auth.cdb"), 0, 89);
    }
}

/// What a command shows on a terminal, and its exit status.
fn shown(host: &MailHost, arguments: &[&str], width: u16, variables: &[(&str, &str)]) -> (String, i32) {
    shown_by(host.command(arguments), width, variables)
}

fn shown_by(mut command: Command, width: u16, variables: &[(&str, &str)]) -> (String, i32) {
    let size = nix::pty::Winsize { ws_row: 50, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = nix::pty::openpty(Some(&size), None).unwrap();
    command.env("TERM", "xterm").envs(variables.iter().copied());
    command.stdout(terminal.slave.try_clone().unwrap()).stderr(terminal.slave);
    let mut child = command.spawn().unwrap();
    // Only the program has the terminal open then, and reading ends with it.
    drop(command);
    let (mut master, mut bytes, mut buffer) = (fs::File::from(terminal.master), Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = master.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..length]);
    }
    let code = child.wait().unwrap().code().unwrap();
    (String::from_utf8(bytes).unwrap().replace("\r\n", "\n"), code)
}

/// The text with what differs from run to run replaced: the directory of the host, process numbers and times.
fn settled(host: &MailHost, text: &str) -> String {
    let root = host.root().to_str().unwrap();
    let name = "/tmp/qmail-updater-test.SAMPLE";
    assert_eq!(root.len(), name.len(), "{root}: lines would be wrapped elsewhere");
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let word = |(at, word): (usize, &&str)| {
            let next = words.get(at + 1).map_or("", |next| next.trim_end_matches([',', ';']));
            let digits = word.trim_start_matches("ms=").trim_end_matches([',', ';']);
            let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            let is_time = ["ms", "s", "min"].contains(&next) || word.starts_with("ms=");
            let is_pid = at > 0 && words[at - 1] == "pid";
            if is_number && (is_time || is_pid) { word.replace(digits, "N") } else { (*word).to_owned() }
        };
        words.iter().enumerate().map(word).collect::<Vec<_>>().join(" ")
    };
    text.replace(root, name).split('\n').map(line).collect::<Vec<_>>().join("\n")
}

fn with_marks(text: &str) -> String {
    COLORS.iter().fold(text.to_owned(), |text, (color, mark)| text.replace(color, mark))
}

fn without_color(text: &str) -> String {
    COLORS.iter().fold(text.to_owned(), |text, (color, _)| text.replace(color, ""))
}

/// What is painted in a text.
fn painted(text: &str) -> Vec<String> {
    let starts = text.split("\x1b[1m").skip(1);
    starts.map(|part| part.split_once('m').unwrap().1.split("\x1b[0m").next().unwrap().to_owned()).collect()
}

/// No line is wider, but where its last word leaves no choice: an address or a path stays whole, so that it can be copied.
/// What can be typed, and lines of the log, are not wrapped at all.
fn fits(name: &str, text: &str, width: usize) {
    let is_wrapped = |line: &&str| !line.starts_with("$ ") && !line.trim_start().starts_with("qmail-updater");
    for line in text.lines().filter(is_wrapped) {
        let last = line.rsplit(' ').next().unwrap().len();
        assert!(line.len() <= width || last > width / 2, "{name} at {width}: a wide line: {line}");
    }
}

/// The places of the headings of a line, from and to.
fn headings(line: &str) -> Vec<(usize, usize)> {
    let (mut found, mut at) = (Vec::new(), 0);
    for part in line.split("  ") {
        let start = at + part.len() - part.trim_start().len();
        if !part.trim().is_empty() {
            found.push((start, start + part.trim().len()));
        }
        at += part.len() + 2;
    }
    found
}

/// Each row begins or ends a field where each heading begins or ends.
fn is_aligned(name: &str, text: &str, first: &str) {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(first));
    let heading = lines.next().unwrap_or_else(|| panic!("{name}: no heading {first}:\n{text}"));
    let rows: Vec<&str> = lines.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("    ")).collect();
    assert!(!rows.is_empty(), "{name}: no rows below {heading}");
    for row in rows {
        let byte = |at: usize| row.as_bytes().get(at).copied().unwrap_or(b' ');
        for (from, to) in headings(heading) {
            let begins = byte(from) != b' ' && (from == 0 || byte(from - 1) == b' ');
            let ends = byte(to - 1) != b' ' && byte(to) == b' ';
            assert!(begins || ends, "{name}: {:?} is not aligned in\n{heading}\n{row}", &heading[from..to]);
        }
    }
}

/// How two texts differ: what they have in common at their beginning and end is left out.
fn difference(wanted: &str, found: &str) -> String {
    let (wanted, found): (Vec<&str>, Vec<&str>) = (wanted.lines().collect(), found.lines().collect());
    let same = wanted.iter().zip(&found).take_while(|(a, b)| a == b).count();
    let (wanted, found) = (&wanted[same..], &found[same..]);
    let end = wanted.iter().rev().zip(found.iter().rev()).take_while(|(a, b)| a == b).count();
    let lines = |sign: &str, lines: &[&str]| {
        lines[..lines.len() - end].iter().map(|line| format!("{sign} {line}\n")).collect::<String>()
    };
    format!("from line {}:\n{}{}", same + 1, lines("-", wanted), lines("+", found))
}

/// One command, and what is right about its answer.
struct Case<'a> {
    /// The name of its text.
    name: &'a str,
    arguments: &'a [&'a str],
    code: i32,
    /// How the first line begins, those of the log left out: they go to standard error.
    verdict: &'a str,
    /// The first heading, where there are columns.
    columns: Option<&'a str>,
    /// Why the text is right; its lines stand at its beginning.
    why: &'a str,
}

impl Case<'_> {
    fn hold(&self, host: &MailHost) {
        let mut text: String = self.why.lines().map(|line| format!("# {}\n", line.trim())).collect();
        for width in WIDTHS {
            let (plain, code) = shown(host, self.arguments, width, &[("NO_COLOR", "1")]);
            assert_eq!(code, self.code, "{}: {plain}", self.name);
            let mut answer = plain.split_inclusive('\n').filter(|line| !line.starts_with("qmail-updater: "));
            let first = answer.next().unwrap_or_default();
            assert!(first.starts_with(self.verdict), "{}: the verdict comes first: {plain}", self.name);
            assert!(!plain.contains('\x1b'), "{}: NO_COLOR: {plain:?}", self.name);
            let (colored, code) = shown(host, self.arguments, width, &[]);
            assert_eq!(code, self.code, "{}: {colored}", self.name);
            let (plain, settled_color) = (settled(host, &plain), settled(host, &colored));
            assert_eq!(without_color(&settled_color), plain, "{}: colour changes no text", self.name);
            for word in painted(&colored) {
                assert!(PAINTED.contains(&&word[..]), "{}: {word:?} has a colour", self.name);
            }
            fits(self.name, &plain, usize::from(width));
            if let Some(first) = self.columns {
                is_aligned(self.name, &plain, first);
            }
            let command = self.arguments.join(" ");
            text += &format!("\n$ qmail-updater {command}  # {width} columns\n{plain}=> {}\n", self.code);
            text += &format!(
                "\n$ qmail-updater {command}  # {width} columns, colour\n{}=> {}\n",
                with_marks(&settled_color),
                self.code
            );
        }
        let text = settled(host, &text);
        hold(&golden(self.name), &text);
    }
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/terminal/{name}.txt"))
}

#[test]
fn addresses_and_domains() {
    let host = host();
    let cases = [
        Case {
            name: "explain",
            arguments: &[
                "explain",
                "ann@example.com",
                "bob@example.com",
                "office.desk@example.com",
                "list@example.com",
                "x@example.net",
                "erik@relay.example",
                "zz@elsewhere.example",
            ],
            code: 1,
            verdict: "ann@example.com  ACCEPTED  mailbox ann",
            columns: None,
            why: "Each address begins with its verdict and the reason; then what it leads to and what leads to it, then the steps.
                  bob has the flag bounce_mail. office.desk is an alias of two. A program takes list: whether it does is not known,
                  so it must be accepted. example.net has a catch-all, relay.example a list of names. elsewhere.example is not ours.",
        },
        Case {
            name: "lookup",
            arguments: &[
                "lookup",
                "ANN@example.com",
                "nobody@example.com",
                "bob@example.com",
                "anybody@example.net",
                "zz@elsewhere.example",
                "<ann@example.com>",
            ],
            code: 1,
            verdict: "ANSWER",
            columns: Some("ANSWER"),
            why: "The verdict is the first column. The key is what answered: of example.net the whole domain. Nothing answers for
                  nobody, nor for bob, whose mail is switched off. elsewhere.example is not ours, and the brackets are no part
                  of an address: the line below says so.",
        },
        Case {
            name: "domains",
            arguments: &["domains"],
            code: 0,
            verdict: "6 domains: 6 ok",
            columns: Some("DOMAIN"),
            why: "How the domains are comes first. Names that are not listed are accepted where rcpthosts lets a domain be relayed
                  without a list, and by the catch-all of example.net. Notes stand below their domain.",
        },
        Case {
            name: "list-recipients",
            arguments: &["list", "recipients"],
            code: 0,
            verdict: "A rebuild would write 64 entries (62 accept, 2 refuse) into",
            columns: Some("ANSWER"),
            why: "How many entries, where, then each by its key. The two that refuse are the spamtrap, which the catch-all of
                  example.net would take else.",
        },
        Case {
            name: "list-logins",
            arguments: &["list", "logins"],
            code: 0,
            verdict: "A rebuild would write 11 logins into",
            columns: Some("LOGIN"),
            why: "Never a hash. Users of the default domain, example.com, log in by bare names too; carla has the flag no_smtp.",
        },
    ];
    cases.iter().for_each(|case| case.hold(&host));
}

#[test]
fn users() {
    let host = host();
    // One whose mail another file takes away, one of an alias domain in virtualdomains only.
    host.write(
        "/var/qmail/control/virtualdomains",
        "example.com:example.com\nexample.net:example.net\nexample.edu:example.edu\nalso.example:example.com\n",
    );
    host.write(
        "/var/qmail/control/rcpthosts",
        "mail.example.org\nexample.com\nexample.net\nexample.edu\nalso.example\nbackup.example\nrelay.example\n",
    );
    host.rebuild();
    give_logins(&host);
    let cases = [
        Case {
            name: "user",
            arguments: &["user", "ann@example.com", "bob@example.com", "carla@example.edu"],
            code: 0,
            verdict: "ann@example.com  MAILBOX  its mail arrives; it may log in",
            columns: None,
            why: "Each mailbox begins with what a helpdesk is asked: whether mail arrives, and whether it may log in. bob has the
                  flag bounce_mail, carla no_smtp. example.edu is an alias domain.",
        },
        Case {
            name: "user-none",
            arguments: &[
                "user",
                "office.desk@example.com",
                "list@example.com",
                "anybody@example.net",
                "ann@also.example",
                "carol@mail.example.org",
                "nobody@example.com",
                "zz@elsewhere.example",
            ],
            code: 1,
            verdict: "office.desk@example.com  NO MAILBOX\n",
            columns: None,
            why: "None of them is a mailbox, which is said first, and what takes its mail second: an alias, the program of a list,
                  a catch-all, an account; or why it is refused. also.example leads to example.com in virtualdomains, but
                  vpopmail does not know it.",
        },
        Case {
            name: "user-domain",
            arguments: &["user", "@example.com", "@example.net"],
            code: 0,
            verdict: "example.com  4 mailboxes: mail arrives in 3, 3 may log in",
            columns: Some("ADDRESS"),
            why: "All mailboxes of a domain are a table: bob gets no mail, carla may not log in.",
        },
    ];
    cases.iter().for_each(|case| case.hold(&host));
}

/// A domain that the loss guard holds, one whose directory is missing, and one that a program opens.
fn in_trouble() -> MailHost {
    let host = host();
    lose_much(&host, NET);
    fs::rename(host.path(COM), host.path("/home/vpopmail/domains/away")).unwrap();
    host.write("/home/carol/.qmail-default", "|/usr/local/bin/unknown-filter\n");
    // What is held is not published, which the exit status says.
    assert_eq!(host.run(&["rebuild"]).code, 111);
    host
}

#[test]
fn a_host_in_trouble() {
    let host = in_trouble();
    let cases = [
        Case {
            name: "trouble-domains",
            arguments: &["domains"],
            code: 0,
            verdict: "6 domains: 3 ok, 1 held, 2 kept\n",
            columns: Some("DOMAIN"),
            why: "How many domains are held or kept comes first, the log aside. Below each is why, and what to do. The alias domain is
                  kept with its real one.",
        },
        Case {
            name: "trouble-explain",
            arguments: &["explain", "u7@example.net", "ann@example.com", "carol-any@mail.example.org"],
            code: 0,
            verdict: "u7@example.net  ACCEPTED  the published entry is held by the loss guard\n",
            columns: None,
            why: "Each is accepted by the published table, and says why: held, kept, open.",
        },
    ];
    cases.iter().for_each(|case| case.hold(&host));
}

#[test]
fn what_a_rebuild_would_change() {
    let host = host();
    let nothing = Case {
        name: "dry-run-nothing",
        arguments: &["rebuild", "--dry-run"],
        code: 0,
        verdict: "nothing would change\n",
        columns: None,
        why: "The tables were just published.",
    };
    nothing.hold(&host);
    host.write(&format!("{COM}/.qmail-new"), "&ann@example.com\n").remove(&format!("{NET}/.qmail-spamtrap"));
    let verdict = "A rebuild would make 8 changes: recipients 6 added, 2 removed.\n";
    let cases = [
        Case {
            name: "dry-run",
            arguments: &["rebuild", "--dry-run"],
            code: 0,
            verdict,
            columns: Some("CHANGE"),
            why: "How much would change comes first. new is an alias in example.com, and so in its alias domain; the spamtrap that
                  is gone need not be refused any more. The names with a - are those of local domains: mail.example.org, or none.",
        },
        Case {
            name: "dry-run-summary",
            arguments: &["rebuild", "--dry-run", "--summary"],
            code: 0,
            verdict,
            columns: Some("DOMAIN"),
            why: "The same, counted; a dot is none.",
        },
    ];
    cases.iter().for_each(|case| case.hold(&host));
}

#[test]
fn what_is_wrong_and_how_the_service_is() {
    if !is_root() {
        return skip("check and status on a terminal", "the owners of the tables are those of root");
    }
    let host = host();
    let cases = [
        Case {
            name: "check",
            arguments: &["check"],
            code: 1,
            verdict: "WARNING  0 alerts, 5 warnings\n",
            columns: None,
            why: "How many findings comes first. Each has its level, its place, what is wrong, what follows, its code with what the
                  list of accepted findings calls it by, and what to do.",
        },
        Case {
            name: "status-stopped",
            arguments: &["status"],
            code: 1,
            verdict: "WARNING  the service does not run\n",
            columns: None,
            why: "No service runs, which alone makes it a warning: the tables were published by hand.",
        },
    ];
    cases.iter().for_each(|case| case.hold(&host));
    let service = Service::start(host, &["--no-watch"]);
    while status_of(&service.host)["state"] != "idle" {
        pause();
    }
    let running = Case {
        name: "status-running",
        arguments: &["status"],
        code: 0,
        verdict: "OK  the service is alive, and both tables are up to date\n",
        columns: None,
        why: "All is well, in one line. The open domain is one of ezmlm, see check.",
    };
    running.hold(&service.host);
    let host = &service.host;
    fs::rename(host.path(COM), host.path("/home/vpopmail/domains/away")).unwrap();
    host.write("/var/qmail/control/validrcptto.d/relay.example", "erik\nfrida\nerik-old\ngustav\n");
    let kept = Case {
        name: "status-kept",
        arguments: &["status"],
        code: 1,
        verdict: "ALERT  1 source cannot be used; a rebuild would make ",
        columns: None,
        why: "The directory of example.com is missing: an alert. A change of relay.example is not published yet, because the
              service does not watch: a warning.",
    };
    kept.hold(host);
}

#[test]
fn the_demo() {
    let host = host();
    let directory = host.path("/demo");
    for width in WIDTHS {
        for (end, variables) in [("", &[("NO_COLOR", "1")][..]), ("-color", &[])] {
            let (text, code) = shown(&host, &["demo", directory.to_str().unwrap()], width, variables);
            assert_eq!(code, 0, "{text}");
            assert!(text.starts_with("The sample host is copied to "), "{text}");
            fits("demo", &without_color(&text), usize::from(width));
            let text = with_marks(&settled(&host, &text));
            hold(&golden(&format!("demo-{width}{end}")), &text);
            fs::remove_dir_all(&directory).unwrap();
        }
    }
}

/// A person who tries the program types this: two addresses of the sample host, and what is wrong there.
#[test]
fn the_recording_in_the_documents_is_what_the_commands_say() {
    if !is_root() {
        return skip("the recording", "the owners of the tables are those of root");
    }
    let below = tempfile::Builder::new().prefix("").rand_bytes(4).tempdir_in("/tmp").unwrap();
    let (own, shown_as) = (below.path().to_str().unwrap().to_owned(), "/tmp/host");
    assert_eq!(own.len(), shown_as.len(), "lines would be wrapped elsewhere");
    fs::remove_dir(&own).unwrap();
    let typed = |words: &str| {
        let mut command = Command::new(support::tested());
        command.env_clear().args(words.split(' ').map(|word| word.replace(shown_as, &own)));
        command
    };
    assert!(typed("demo /tmp/host").output().unwrap().status.success());
    support::give(&below.path().join("var/qmail/control/auth.cdb"), 0, 89);
    let mut session = String::new();
    for (words, code) in [("explain sales@example.com", 0), ("explain bob@example.com", 1), ("check", 1)] {
        let words = format!("--root /tmp/host {words}");
        let (text, status) = shown_by(typed(&words), 80, &[]);
        assert_eq!(status, code, "{text}");
        session += &format!("\x1b[1m# qmail-updater {words}\x1b[0m\n{}\n", text.replace(&own, shown_as));
    }
    let drawn = anstyle_svg::Term::new().render_svg(session.trim_end());
    hold(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recording.svg"), &drawn);
}

/// Holds a text against the file that has it, or writes it there.
fn hold(file: &Path, text: &str) {
    if std::env::var_os("QMAIL_UPDATER_GOLDEN").is_some_and(|value| value == "write") {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let wanted = fs::read_to_string(file).unwrap_or_default();
    let file = file.display();
    let differs = || difference(&wanted, text);
    assert!(wanted == text, "{file}: not as it was; if it is better now, QMAIL_UPDATER_GOLDEN=write: {}", differs());
}

#[test]
fn colour_is_as_it_was_asked_for() {
    let host = host();
    let arguments = ["lookup", "ann@example.com", "nobody@example.com"];
    let (colored, _) = shown(&host, &arguments, 80, &[]);
    let (plain, _) = shown(&host, &arguments, 80, &[("NO_COLOR", "1")]);
    assert!(
        colored.contains("\x1b[1m\x1b[32maccept\x1b[0m") && colored.contains("\x1b[1m\x1b[31mrefuse\x1b[0m"),
        "{colored:?}"
    );
    let never = [&["--color", "never"], &arguments[..]].concat();
    assert_eq!(shown(&host, &never, 80, &[]).0, plain);
    let always = [&["--color", "always"], &arguments[..]].concat();
    assert_eq!(host.run(&always).stdout, colored, "in a pipe too, 80 columns wide");
    assert_eq!(shown(&host, &arguments, 80, &[("TERM", "dumb")]).0, plain);
}

#[test]
fn no_name_of_the_host_sends_an_escape_sequence_to_a_terminal() {
    let host = host();
    host.write(&format!("{COM}/.qmail-a\x1b[2J"), "&b\x1b[2J@example.com\n");
    host.write("/var/qmail/control/rcpthosts", "example.com\nexample.net\nodd\x1b[2J.example\n");
    host.mailboxes(
        NET,
        &["eva\x1b[2J:$6$a$b:1:0:Eva \x1b[31m:/d\x1b[2J:NOQUOTA", "eve:$6$a$b:1:0:Eve \x1b[31m:/d\x1b[2J:NOQUOTA"],
    );
    assert_eq!(host.run(&["rebuild", "--force"]).code, 0);
    host.write("/home/vpopmail/domains/example.com/vpasswd.cdb", "no cdb");
    for arguments in [
        &["list", "recipients"][..],
        &["list", "logins"],
        &["user", "@example.net"],
        &["user", "eve@example.net", "a\x1b[2J@example.net", "x\x1b[2J@odd\x1b[2J.example"],
        &["explain", "a\x1b[2J@example.com"],
        &["lookup", "a\x1b[2J@example.com"],
        &["domains"],
        &["check"],
        &["status"],
        &["rebuild", "--dry-run"],
    ] {
        for width in WIDTHS {
            let (text, _) = shown(&host, arguments, width, &[("NO_COLOR", "1")]);
            let is_plain = text.bytes().all(|byte| byte == b'\n' || (b' '..0x7f).contains(&byte));
            assert!(is_plain, "{arguments:?}: {text:?}");
        }
    }
    let (text, _) = shown(&host, &["user", "eve@example.net"], 80, &[]);
    assert!(text.contains("Eve \\x1b[31m"), "{text}");
}

#[test]
fn a_forward_that_bounces_or_loops_is_named_on_a_terminal() {
    let host = MailHost::sample();
    for (name, content) in [
        ("dead", "&nobody@example.com\n&ann@example.com\n"),
        ("self", "&self@example.com\n"),
        ("one", "&two@example.com\n"),
        ("two", "&three@example.com\n"),
        ("three", "&one@example.com\n"),
        ("away", "&somebody@elsewhere.example\n"),
        ("long", "&one@example.com\n"),
        ("twice", "&ann@example.com\n&ann@example.com\n&ann@example.edu\n"),
        ("chain", "&dead@example.com\n"),
        ("longer", "./bob/Maildir/\n&chain@example.com\n"),
    ] {
        host.write(&format!("{COM}/.qmail-{name}"), content);
    }
    host.rebuild();
    let forwards = |address: &str| {
        let text = shown(&host, &["explain", address], 120, &[]).0;
        let (_, rest) = text.split_once("  forwards to ").unwrap();
        let further = rest.lines().skip(1).take_while(|line| line.starts_with("     "));
        let lines: Vec<&str> = rest.lines().take(1).chain(further).flat_map(str::split_whitespace).collect();
        lines.join(" ")
    };
    let dead = forwards("dead@example.com");
    assert!(dead.starts_with("nobody@example.com (bounces: "), "{dead}");
    assert!(dead.contains("), ann@example.com"), "{dead}");
    let is_lost = "(leads in a circle: qmail bounces what loops)";
    assert!(forwards("self@example.com").starts_with(&format!("self@example.com {is_lost}")));
    assert!(forwards("one@example.com").starts_with(&format!("two@example.com {is_lost}")));
    assert!(forwards("three@example.com").starts_with(&format!("one@example.com {is_lost}")));
    assert!(forwards("long@example.com").starts_with(&format!("one@example.com {is_lost}")));
    let chained = "(forwards to nobody@example.com, which bounces)";
    assert!(forwards("chain@example.com").starts_with(&format!("dead@example.com {chained}")));
    assert!(forwards("longer@example.com").starts_with(&format!("chain@example.com {chained}")));
    for (address, to) in [("away@example.com", "somebody@elsewhere.example"), ("twice@example.com", "ann@example.com")]
    {
        let shown = forwards(address);
        assert!(shown.starts_with(to) && !shown.contains('('), "{shown}");
    }
    // A script reads the addresses alone.
    let json = host.run(&["explain", "--json", "dead@example.com"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let both = serde_json::json!(["nobody@example.com", "ann@example.com"]);
    assert_eq!(json["addresses"][0]["forwards_to"], both);
    let lost = &json["addresses"][0]["lost_forwards"];
    assert_eq!(
        (lost[0]["address"].as_str(), lost.as_array().unwrap().len()),
        (Some("nobody@example.com"), 1),
        "{lost}"
    );
    assert!(lost[0]["text"].as_str().unwrap().starts_with("bounces: "), "{lost}");
    let user = host.run(&["user", "dead@example.com"]);
    assert!(user.stderr.contains("nobody@example.com (bounces: "), "{user:?}");
}

#[test]
fn the_command_that_user_names_does_nothing_else_in_a_shell() {
    let host = host();
    for address in [
        "<nobody@example.com>",
        "No Body <nobody@example.com>",
        "$(touch gone)@example.com",
        "`touch gone`;touch gone@example.com",
        "o'neill;touch gone@example.com",
        "-x@example.com",
        "*@example.com",
        "nobody@example.com",
    ] {
        let text = shown(&host, &["user", "--color", "never", "--", address], 60, &[]).0;
        let (_, command) = text.split_once("each step: qmail-updater ").unwrap();
        let at = host.path("/");
        let line = format!("set -- {command}\nprintf '%s' \"$*\"");
        let told = std::process::Command::new("sh").current_dir(&at).arg("-c").arg(&line).output().unwrap();
        let plain = address == "nobody@example.com";
        let wanted = format!("explain {}{address}", if plain { "" } else { "-- " });
        assert_eq!(String::from_utf8_lossy(&told.stdout), wanted, "{command}: {told:?}");
        assert!(!at.join("gone").exists(), "{command}");
    }
}

#[test]
fn a_person_who_makes_the_table_of_logins_is_told_that_only_root_can_read_it() {
    let host = MailHost::sample();
    host.mode("", 0o755);
    let told = |arguments: &[&str]| {
        let (text, code) = shown(&host, &[&["rebuild"], arguments].concat(), 120, &[]);
        assert_eq!(code, 0, "{text}");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        text.contains("auth.cdb: only root can read it: nobody logs in where qmail-smtpd runs under another group; ")
    };
    assert_eq!(told(&[]), is_root());
    // Once is enough: `check` says it each time.
    assert!(!told(&[]));
    fs::remove_file(host.published("auth.cdb")).unwrap();
    assert!(!told(&["--no-commands"]));
    if is_root() {
        fs::remove_file(host.published("auth.cdb")).unwrap();
        assert!(!told(&["--auth-owner", "root:vchkpw"]), "others than root can read it");
    }
}

#[test]
fn a_person_is_told_that_no_mail_server_can_ask_the_table_of_logins() {
    let host = host();
    let told = || {
        let text = shown(&host, &["user", "--color", "never", "ann@example.com"], 120, &[]).0;
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    if is_root() {
        let text = told();
        assert!(text.starts_with("ann@example.com MAILBOX its mail arrives; it may log in "), "{text}");
        assert!(text.contains("smtp login yes, as ann@example.com and ann; but "), "{text}");
        assert!(text.contains("auth.cdb: only root can read it: nobody logs in where qmail-smtpd runs under another"));
        give_logins(&host);
    }
    let text = told();
    assert!(text.contains("smtp login yes, as ann@example.com and ann owner "), "{text}");
    fs::remove_file(host.published("auth.cdb")).unwrap();
    let text = told();
    assert!(text.starts_with("ann@example.com MAILBOX its mail arrives; it may not log in "), "{text}");
    assert!(text.contains("auth.cdb: not there; nobody can log in; "), "{text}");
    assert!(text.contains("after that it may log in, as ann@example.com and ann owner "), "{text}");
    assert!(shown(&host, &["user", "@example.com"], 120, &[]).0.contains("0 may log in"));
    // A script is told what the configuration says.
    let line = host.run(&["user", "ann@example.com"]).stdout;
    assert!(line.contains("  smtp login: yes, as ann@example.com and ann; auth.cdb: not there\n"), "{line}");
}
