//! Program lines of .qmail files: each line of a table by real shells, with programs that end in every way, against the
//! codes that the reader predicts.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use qmail_updater::host::dot_qmail::Programs;
use qmail_updater::host::line::Line;
use qmail_updater::host::line::codes::Codes;
use qmail_updater::host::line::declared::Declarations;
use support::{MailHost, give, is_root, make_program, program, skip};

/// How the programs end, each in each way.
const ENDINGS: [u8; 3] = [0, 1, 100];
/// Lines: `Q` stands for qmail's directory, `V` for vpopmail's, `T` for a directory that may be missing.
const LINES: &[&str] = &[
    // DELIVERY.md's.
    " V/bin/vdelivermail '' bounce-no-mailbox",
    " V/bin/vdelivermail \"\" delete",
    " vdelivermail '' bounce-no-mailbox",
    " ~vpopmail/bin/vdelivermail '' bounce-no-mailbox",
    "Q/bin/preline -f Q/bin/dovecot-lda -d $EXT@$USER",
    "Q/bin/preline -f Q/bin/dovecot-lda -d $EXT@$USER -o mail_plugins/sieve=no",
    "preline -f Q/bin/dovecot-lda -d \"$EXT@$HOST\" -f \"$SENDER\"",
    "Q/bin/lmtp-deliver",
    " preline -f V/bin/vdelivermail '' bounce-no-mailbox",
    " env X=1 V/bin/vdelivermail '' bounce-no-mailbox",
    " spamc -f | V/bin/vdelivermail '' bounce-no-mailbox",
    " dspam --user \"$EXT@$HOST\" --deliver=stdout | V/bin/vdelivermail '' bounce-no-mailbox",
    "bogofilter -u -3 || exit 111",
    "condredirect spam@example.com spamc -c",
    "ifspamh spam@example.com",
    " preline maildrop -A 'Content-Filter: x' ./mailfilter",
    " preline procmail -t -m /etc/procmailrc",
    " deliverquota ./Maildir",
    "fastforward -d /etc/aliases.cdb",
    "vdeliver",
    "vfilter '' bounce-no-mailbox",
    "dbmail-smtp -d $RECIPIENT",
    "bouncesaying 'This address does not exist (see http://example.com/)'",
    "exit 100",
    " autorespond 10000 5 ./message ./DIR",
    // Brackets that are no pattern.
    " V/bin/vdelivermail '' bounce-no-mailbox # [old]",
    "bouncesaying 'no [such] name' # it's [closed",
    "bouncesaying \"no [such] name\"",
    "bouncesaying no\\ #[such] name",
    "bouncesaying x#[y]",
    // Exits.
    "exit",
    "exit 0",
    "exit 256",
    "exit 356",
    "exit '67'",
    "exit \"1\"00",
    "exit \\99",
    "exit 2147483647",
    "exit 2147483648",
    "exit -1",
    "exit 1 2",
    "exit $EXT",
    "exit 100; exit 0",
    "true",
    "false",
    ":",
    ": ; exit",
    "false; exit",
    "exit 100 # why",
    "# nothing",
    "exit 1>/dev/null",
    "exit 10>/dev/null",
    "exit 100 >/dev/null",
    "exit 100 >T/log",
    ": >T/log; exit 100",
    "{ : >T/log; f; } && g || exit 3",
    "true >T/log; exit 100",
    "false >T/log || exit 100",
    // Lists.
    "f && g",
    "f || g",
    "f; g",
    "f ; g ;",
    "f && exit 99",
    "f || exit 100",
    "f && exit 99 || exit 100",
    "f || g && exit 3",
    "f && g || exit 3",
    "f; exit",
    "f && exit; exit 4",
    "f || exit",
    "! f",
    "! f && exit 99",
    "! ! f",
    "!f",
    "! exit 100",
    "! (exit 100)",
    "! { f; }",
    "! f | g",
    "f | ! g",
    // Pipelines.
    "f | g",
    "f | exit 100",
    "f | exit 100; g",
    "exit 100 | f",
    "f | exit",
    "f | (g; exit)",
    "f | { g; exit 5; }",
    "f | { exit 5; }; exit 6",
    "f | g || exit 7",
    "f | exec g; exit 8",
    "f|g",
    "f |g|| exit 9",
    // Groups.
    "(f)",
    "(f; exit 3)",
    "(exit 3); f",
    "(exit 3) || f",
    "{ f; }",
    "{ exit 3; }; f",
    "{ f; exit; }",
    "{ f }",
    "(f) && (exit 4)",
    "((f))",
    "( (f) )",
    "( ( (exit 100) ) ; exit )",
    "{ { f; } ; }",
    "{ f; } || { exit 100; }",
    "(exec f); exit 2",
    "()",
    "{ }",
    // If.
    "if f; then g; fi",
    "if f; then g; else exit 111; fi",
    "if f; then exit 99; else g; fi",
    "if f; then exit; fi",
    "if f; then g; else exit; fi",
    "if f; then exit 1; elif g; then exit 2; else exit 3; fi",
    "if f; then exit 1; elif g; then exit 2; fi",
    "if ! f; then exit 100; fi",
    "if f && g; then exit 99; fi; exit 100",
    "if f | g; then exit 99; fi",
    "if (exit 1); then exit 2; fi",
    "if exit 1; then exit 2; fi; f",
    "if f; then :; else exit 100; fi; g",
    "if f then g; fi",
    "if f; then g; fi >/dev/null",
    "if f; then exec g; fi; exit 9",
    "if { f; exit 4; }; then g; fi",
    // Wrappers.
    "exec f",
    "exec f; exit 100",
    "exec f || exit 100",
    "exec exit 100",
    "exec",
    "exec >/dev/null",
    "exec -a x f",
    "f && exec g",
    "env f",
    "env A=1 B='2 3' f",
    "env EXT=x f",
    "env -i f",
    "env -u EXT f",
    "env PATH=/nowhere f",
    "env A=$EXT f",
    "env A=\"$EXT\" f",
    "env exit 100",
    "env",
    "nice f",
    "nice -n 5 f",
    "nice -n5 f",
    "nice -n -5 f",
    "nice -5 f",
    "nice -n x f",
    "nice exit 100",
    "preline f",
    "preline -dfr f",
    "preline -d -f -r f",
    "preline -x f",
    "preline exit 100",
    "preline nice env A=1 f",
    "exec preline -f nice -n 1 f",
    "A=1 f",
    "A=1 B=2 exit 100",
    "A=1; f",
    "A=1",
    "EXT=x f",
    "HOME=/ f",
    "IFS=x; f",
    "PATH=/nowhere; f",
    "A=1 exec f",
    // Redirections.
    "f >/dev/null",
    "f >/dev/null 2>&1",
    "f 2>/dev/null </dev/null",
    "f >&2",
    "f 2>&1 | g >&2",
    ">/dev/null f",
    "f >T/log",
    "f >>T/log 2>&1; exit 100",
    "f >T/log || exit 100",
    "f <T/log",
    "{ f; } >T/log",
    "{ exit 100; } >T/log",
    "(exit 100) >T/log",
    "exec f >T/log",
    "if f; then g; fi 2>>T/log",
    "f >\"T/log\"",
    "f >/dev/null/x",
    "f >$EXT",
    "f >'/dev/null'",
    "f >&7",
    "f 2>&-",
    "f &> /dev/null",
    "f <<X",
    "f <<<x",
    "f >| T/log",
    "f <> T/log",
    "f 3>/dev/null",
    "f 12>/dev/null",
    "f a1>/dev/null",
    // Words.
    "'f'",
    "\"f\"",
    "\\f",
    "f''",
    "f \"a b\" 'c d' e\\ f",
    "f $EXT ${EXT} \"$EXT\" '$EXT' \\$EXT",
    "f $OTHER",
    "f ${EXT:-x}",
    "f ${EXT%x}",
    "f `g`",
    "f $(g)",
    "f $((1))",
    "f *",
    "f '*'",
    "f \\*",
    "f a?",
    "f [a]",
    "f {a,b}",
    "f ~",
    "f ~/x",
    "f a~",
    "f $",
    "f $1",
    "f $?",
    "f $'a'",
    "f 'unclosed",
    "f \"unclosed",
    "f unclosed\\",
    "f #no arguments",
    "f a#b; exit 3",
    "f '#'; exit 3",
    "$EXT",
    "\\exit 100",
    "'exit' 100",
    "ex''it 100",
    "\\if f",
    "if",
    "then f",
    "f;; g",
    ";f",
    "f &",
    "f & g",
    "f && ",
    "| f",
    "f ||| g",
    "while f; do exit 3; done",
    "for a in b; do exit 3; done",
    "case x in x) exit 100;; esac",
    "case $EXT in a) f;; *) exit 100;; esac",
    "x() { exit 100; }; x",
    "function x { exit 100; }; x",
    "exit() { :; }; exit 100",
    "[[ a = a ]] && exit 100",
    "[ a = a ] && exit 100",
    "[ \"$EXT\" = ann ] && exit 99; exit 100",
    "[ -n \"$EXT\" ] || exit 100",
    "f; [ a = b ]",
    "[ a = b ] || f ]",
    "[a = a ]",
    "if [ a = b ]; then f; else exit 100; fi",
    "![ a = b ]",
    "! [ a = b ]",
    "f [ ]",
    "echo [x]; exit 100",
    "echo \"no [such] $EXT\"; exit 100",
    "printf 'no\\n' && exit 100",
    "echo no >T/log; exit 100",
    "echo no | f",
    "test a = b || exit 100",
    "time f",
    "command f",
    "eval exit 100",
    "cd /; exit 100",
    "set -e; f; exit 100",
    "trap 'exit 5' 0; exit 100",
    "return 100",
    "unset EXT; f",
    "export EXT=x; f",
    "alias f=g; f",
    "/nowhere/f || exit 100",
    "echo no; exit 100",
    "a=(1 2); exit 100",
    "a+=1 exit 100",
    "f\t&&\texit\t100",
    "  f  ;  exit   100  ",
    "coproc f; exit 100",
    "{f,}; exit 100",
    "f |& g",
    "! { f && ! g; } || exit 100",
    "f && { g || exit 100; } || exit 99",
    "(f || exit 3; g) && exit 4",
    "f; if g; then exit 99; else exit 100; fi",
    "if f; then (exit 3); fi; exit",
    "f || { g; }; exit",
];

/// Of these the reader predicts more than happens: a program that is not there, one of the shell's own that is not read, a
/// redirection that always fails.
const MORE_PREDICTED: [&str; 11] = [
    "f >/dev/null/x",
    "test a = b || exit 100",
    "/nowhere/f || exit 100",
    "[ a = a ] && exit 100",
    "[ \"$EXT\" = ann ] && exit 99; exit 100",
    "[ -n \"$EXT\" ] || exit 100",
    "f; [ a = b ]",
    "[ a = b ] || f ]",
    "if [ a = b ]; then f; else exit 100; fi",
    "! [ a = b ]",
    "printf 'no\\n' && exit 100",
];

struct Room {
    directory: tempfile::TempDir,
}

impl Room {
    fn new() -> Room {
        // A name at random may end in one of the letters that stand for places in LINES.
        let directory = tempfile::Builder::new().suffix("-room").tempdir().unwrap();
        let room = Room { directory };
        for place in ["qmail/bin", "vpopmail/bin"] {
            fs::create_dir_all(room.path(place)).unwrap();
        }
        let names = [
            "f",
            "g",
            "spamc",
            "dspam",
            "bogofilter",
            "condredirect",
            "ifspamh",
            "maildrop",
            "procmail",
            "deliverquota",
            "vdeliver",
            "vfilter",
            "dbmail-smtp",
            "autorespond",
            "fastforward",
            "dovecot-lda",
            "lmtp-deliver",
            "bouncesaying",
            "vdelivermail",
        ];
        for name in names {
            let variable = name.replace('-', "_");
            room.script(
                &format!("qmail/bin/{name}"),
                &format!("echo \"$0 $*\" >>\"$RECORD\"\nexit ${{END_{variable}:-0}}"),
            );
        }
        room.script("vpopmail/bin/vdelivermail", "echo \"$0 $*\" >>\"$RECORD\"\nexit ${END_vdelivermail:-0}");
        room.script(
            "qmail/bin/preline",
            "while :; do case $1 in -x*) exit 111;; -*) shift;; *) break;; esac; done\nexec \"$@\"",
        );
        room
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    fn script(&self, name: &str, text: &str) {
        make_program(Path::new(&self.path(name)), format!("#!/bin/sh\n{text}\n"));
    }

    /// The line with the paths of this place.
    fn line(&self, line: &str) -> String {
        let line = line.replace("Q/", &self.path("qmail/")).replace("V/", &self.path("vpopmail/"));
        line.replace("T/", &self.path("may be missing/").replace(' ', "-"))
    }

    /// What the reader says; nothing when it does not know.
    fn read(&self, line: &str) -> Option<Arc<Line>> {
        let (qmail, vpopmail) = (self.path("qmail"), self.path("vpopmail"));
        let declared = Declarations::default();
        let there = |path: &[u8]| Path::new(std::str::from_utf8(path).unwrap()).exists();
        let home_of = |name: &[u8]| (name == b"vpopmail").then(|| vpopmail.clone().into_bytes());
        let programs = Programs {
            qmail: qmail.as_bytes(),
            vpopmail: vpopmail.as_bytes(),
            home: b"/",
            declared: &declared,
            usual: &|_| None,
            exists: &there,
            home_of: &home_of,
            aliases: &|_| Err("not read".into()),
            lines: None,
        };
        Line::read(line.as_bytes(), &programs, &mut 1000)
    }

    /// How a shell ends when its programs end so, and when `T` is there.
    fn run(&self, shell: &[&str], line: &str, endings: &[(String, u8)], is_there: bool) -> u8 {
        let place = self.path("may-be-missing");
        match is_there {
            true => {
                fs::create_dir_all(&place).unwrap();
                fs::write(format!("{place}/log"), "").unwrap();
            }
            false => drop(fs::remove_dir_all(&place)),
        }
        // ~vpopmail is an account of the host.
        let line = line.replace("~vpopmail", &self.path("vpopmail"));
        // Its own PATH has not all that the tests brought.
        let mut command = Command::new(program(shell[0]).unwrap());
        command.args(&shell[1..]).args(["-c", &line]).env_clear().current_dir(self.path("qmail"));
        command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", self.path("qmail/bin")));
        command.env("RECORD", self.path("record")).env("HOME", "/");
        for (name, value) in
            [("EXT", "ann"), ("HOST", "example.com"), ("USER", "example.com"), ("SENDER", "me@example.org")]
        {
            command.env(name, value);
        }
        command.env("RECIPIENT", "example.com-ann@example.com");
        command.envs(endings.iter().map(|(name, code)| (format!("END_{}", name.replace('-', "_")), code.to_string())));
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        u8::try_from(quiet.status().unwrap().code().unwrap()).unwrap()
    }
}

/// Each way in which so many programs can end.
fn ways(programs: usize, endings: &[u8]) -> Vec<Vec<u8>> {
    (0..programs).fold(vec![Vec::new()], |ways, _| {
        ways.iter().flat_map(|way| endings.iter().map(move |code| [&way[..], &[*code]].concat())).collect()
    })
}

fn shells() -> Vec<Vec<&'static str>> {
    let shells = [vec!["dash"], vec!["busybox", "sh"]];
    let is_there = |shell: &Vec<&str>| {
        let there = Command::new(shell[0]).arg(if shell.len() > 1 { "true" } else { "-c" }).arg(":").output().is_ok();
        if !there {
            eprintln!("skipped: lines: {} is not there", shell[0]);
        }
        there
    };
    shells.into_iter().filter(is_there).collect()
}

/// A line of these commands, so deep.
fn generated(depth: usize, next: &mut dyn FnMut(usize) -> usize) -> String {
    const COMMANDS: [&str; 32] = [
        "f",
        "g",
        "exit",
        "exit 0",
        "exit 3",
        "exit 99",
        "exit 100 # why",
        "exec f",
        "exec g",
        "true",
        "false",
        ":",
        "A=1",
        "A=$EXT f",
        "echo x",
        "[ -n \"$EXT\" ]",
        "test a = a",
        "f >/dev/null",
        "f >T/log",
        "exit 5 >T/log",
        ": >T/log",
        "true >T/log",
        "echo >T/log",
        "exec f >T/log",
        "preline f",
        "env A=1 g",
        "nice f",
        "bouncesaying no",
        "f '#' \"$EXT\"",
        "f 2>&1",
        "{ f; }",
        "(g)",
    ];
    if depth == 0 || next(4) == 0 {
        return COMMANDS[next(COMMANDS.len())].to_owned();
    }
    let (a, b) = (generated(depth - 1, next), generated(depth - 1, next));
    match next(13) {
        0 | 1 => format!("{a} && {b}"),
        2 | 3 => format!("{a} || {b}"),
        4 | 5 => format!("{a}; {b}"),
        6 | 7 => format!("{a} | {b}"),
        8 => format!("! {a}"),
        9 => format!("({a}; {b}) >T/log"),
        10 => format!("{{ {a}; }}"),
        11 => format!("if {a}; then {b}; fi"),
        _ => format!("if {a}; then {b}; else {}; fi", generated(depth - 1, next)),
    }
}

#[test]
fn no_generated_line_ends_in_a_way_that_the_reader_does_not_predict() {
    let room = Room::new();
    let codes = ENDINGS.iter().fold(Codes::default(), |all, code| all.or(Codes::of(*code)));
    let shells = shells();
    let mut state: u64 = 19;
    let mut next = |sides: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % sides
    };
    let (mut read, mut wrong) = (0, Vec::new());
    while read < 150 {
        let template = generated(3, &mut next);
        let text = room.line(&template);
        let Some(line) = room.read(&text) else { continue };
        let predicted: BTreeSet<u8> = line.codes(codes).each().collect();
        read += 1;
        for shell in &shells {
            for way in ways(3, &[0, 100]) {
                let endings: Vec<(String, u8)> =
                    ["f", "g", "bouncesaying"].iter().map(|name| (*name).to_owned()).zip(way).collect();
                for is_there in [true, false] {
                    if !is_there && !template.contains("T/") {
                        continue;
                    }
                    let code = room.run(shell, &text, &endings, is_there);
                    // A redirection that fails has another code there, which defers too.
                    let is_of_busybox = shell[0] == "busybox" && !is_there && code == 1 && predicted.contains(&2);
                    if !predicted.contains(&code) && !is_of_busybox {
                        wrong.push(format!("{shell:?} {template:?} {endings:?}: predicted {predicted:?}, seen {code}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_line_ends_in_another_way_in_a_real_shell_than_the_reader_predicts() {
    let room = Room::new();
    let codes = ENDINGS.iter().fold(Codes::default(), |all, code| all.or(Codes::of(*code)));
    let shells = shells();
    let (mut unknown, mut wrong) = (Vec::new(), Vec::new());
    for template in LINES {
        let text = room.line(template);
        let Some(line) = room.read(&text) else {
            unknown.push(*template);
            continue;
        };
        let predicted: BTreeSet<u8> = line.codes(codes).each().collect();
        let names: BTreeSet<String> = line
            .programs()
            .iter()
            .map(|command| String::from_utf8_lossy(command.name.rsplit(|b| *b == b'/').next().unwrap()).into_owned())
            .collect();
        for shell in &shells {
            let mut seen = BTreeSet::new();
            for way in ways(names.len(), &ENDINGS) {
                let endings: Vec<(String, u8)> = names.iter().cloned().zip(way).collect();
                for is_there in [true, false] {
                    if is_there || template.contains("T/") {
                        seen.insert(room.run(shell, &text, &endings, is_there));
                    }
                }
            }
            // A redirection that fails has another code there, which defers too.
            let seen = match shell[0] {
                "busybox" if template.contains("T/") && !predicted.contains(&1) => {
                    seen.iter().map(|code| if *code == 1 { 2 } else { *code }).collect()
                }
                "busybox" if template.contains(['<', '>']) && seen.contains(&1) && predicted.contains(&2) => {
                    seen.into_iter().chain([2]).collect()
                }
                _ => seen,
            };
            let is_right = match MORE_PREDICTED.contains(template) {
                true => seen.is_subset(&predicted),
                false => seen == predicted,
            };
            if !is_right {
                wrong.push(format!("{shell:?} {template:?}: predicted {predicted:?}, seen {seen:?}"));
            }
        }
    }
    eprintln!("{} lines, of which {} are unknown: {unknown:#?}", LINES.len(), unknown.len());
    assert!(LINES.len() >= 120);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const BOUNCE: &str = "| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n";

/// What a domain does with a name that nobody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nobody {
    /// It is refused.
    Refused,
    /// It is accepted until these lines are declared.
    Until(&'static str),
    /// It is accepted, and `check` names the line.
    Open,
    /// It is accepted, as it should be.
    CatchAll,
}

/// The lines of DELIVERY: one domain each, with the mailbox ann.
fn delivery() -> Vec<(String, Nobody)> {
    use Nobody::{CatchAll, Open, Refused, Until};
    let lines: &[(&str, Nobody)] = &[
        ("| /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox", Refused),
        ("| /home/vpopmail/bin/vdelivermail \"\" delete", Refused),
        ("| /elsewhere/vpopmail/bin/vdelivermail '' bounce-no-mailbox", Refused),
        ("| /sbin/vdelivermail '' bounce-no-mailbox", Refused),
        ("| vdelivermail '' bounce-no-mailbox", Refused),
        ("| ~vpopmail/bin/vdelivermail '' bounce-no-mailbox", Refused),
        ("| /var/qmail/bin/preline -f /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox", Refused),
        ("| env X=1 /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox", Refused),
        ("| exec nice -n 5 /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox", Refused),
        ("| spamc -f | /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox", Refused),
        (
            "| /usr/bin/dspam --user \"$EXT@$HOST\" --deliver=stdout | /home/vpopmail/bin/vdelivermail '' bounce-no-mailbox",
            Refused,
        ),
        ("|/usr/local/bin/bogofilter -u || exit 111\nV", Refused),
        ("|bouncesaying 'no (such) user'", Refused),
        ("|exit 100", Refused),
        ("|echo \"$EXT is gone [for good]\"; exit 100", Refused),
        ("|[ \"$EXT\" = abuse ] && exit 100; V", Refused),
        ("|if test -f x; then exit 100; fi; V", Refused),
        ("|if spamc -c; then V; else exit 111; fi", Refused),
        (
            "|/var/qmail/bin/preline -f /usr/local/libexec/dovecot/dovecot-lda -d $EXT@$USER",
            Until("dovecot-lda mailboxes"),
        ),
        ("|/usr/libexec/dovecot/deliver -d $EXT@$USER -o mail_plugins/sieve=no", Until("deliver mailboxes")),
        (
            "|preline -f /usr/local/libexec/dovecot/dovecot-lda -d \"$EXT@$HOST\" -f \"$SENDER\"",
            Until("/usr/local/libexec/dovecot/dovecot-lda mailboxes"),
        ),
        ("|condredirect spam@example.org spamc -c\nV", Until("condredirect passes")),
        ("|ifspamh spam@example.org\nV", Until("ifspamh passes")),
        ("| /sbin/vfilter '' bounce-no-mailbox", Until("vfilter mailboxes")),
        ("|vdeliver", Until("vdeliver mailboxes")),
        ("|/usr/local/bin/closed", Until("/usr/local/bin/closed refuses")),
        ("| preline maildrop -A 'Content-Filter: x' ./mailfilter\nV", Open),
        ("| /usr/bin/maildrop mailfilter", Open),
        ("| preline procmail -t -m FILE", Open),
        ("| deliverquota ./Maildir", Open),
        ("|/var/qmail/bin/lmtp-deliver", Open),
        ("|dbmail-smtp -d $RECIPIENT", Open),
        ("|/usr/local/mailman/qmail-to-mailman.py", Open),
        ("|spamc && V", Open),
        ("|if spamc; then exit 99; else V; fi", Open),
        ("|[ \"$EXT\" = abuse ] && exit 99; exit 100", Open),
        ("|[ -f x ] || exit 100", Open),
        ("|test -f x\nV", Open),
        ("|printf no && exit 100", Open),
        ("|spamc || exit 111", Open),
        ("|case $EXT in a) exit 100;; esac", Open),
        ("./Maildir/", CatchAll),
        ("&boss@example.org", CatchAll),
    ];
    let vdelivermail = BOUNCE.trim_start_matches("| ").trim_end();
    let text = |line: &str| line.replace("\nV", &format!("\n| {vdelivermail}")).replace('V', vdelivermail) + "\n";
    let plain = |line: &str| if line.contains("FILE") { format!("{line}\n") } else { text(line) };
    lines.iter().map(|(line, nobody)| (plain(line), *nobody)).collect()
}

fn home(number: usize) -> String {
    format!("/home/vpopmail/domains/d{number}.example")
}

fn host_of_delivery() -> MailHost {
    let host = MailHost::empty();
    let lines = delivery();
    let all = |line: &dyn Fn(usize) -> String| (0..lines.len()).map(line).collect::<String>();
    host.write("/var/qmail/control/me", "mail.example.org\n");
    host.write(
        "/var/qmail/control/rcpthosts",
        all(&|n| format!("d{n}.example\n")) + "alias.example\nmail.example.org\n",
    );
    let virtual_domains = all(&|n| format!("d{n}.example:d{n}.example\n")) + "alias.example:alias.example\n";
    host.write("/var/qmail/control/virtualdomains", virtual_domains);
    let assign = all(&|n| format!("+d{n}.example-:d{n}.example:89:89:{}:-::\n", home(n)));
    // An alias domain of the one with dovecot-lda and $USER.
    let alias = lines.iter().position(|(line, _)| line.contains("$EXT@$USER")).unwrap();
    let assign = format!("{assign}+alias.example-:d{alias}.example:89:89:{}:-::\n.\n", home(alias));
    host.write("/var/qmail/users/assign", assign);
    host.write(
        "/etc/passwd",
        "root:x:0:0::/root:/bin/sh\nalias:x:7790:2108::/var/qmail/alias:/bin/true\nvpopmail:x:89:89::/home/vpopmail:/bin/sh\n",
    );
    for program in [
        "/var/qmail/bin/preline",
        "/usr/bin/env",
        "/usr/bin/nice",
        "/usr/local/bin/vdelivermail",
        "/sbin/vdelivermail",
        "/usr/local/libexec/dovecot/dovecot-lda",
        "/usr/libexec/dovecot/deliver",
    ] {
        host.write(program, "").mode(program, 0o755);
    }
    for (number, (line, _)) in lines.iter().enumerate() {
        host.write(&format!("{}/.qmail-default", home(number)), line);
        host.mailboxes(&home(number), &["ann:$6$salt$hash:1:0:N:/d:Q"]);
    }
    host.write("/etc/aliases.cdb", cdb(&[":root@", ":info@mail.example.org"]));
    host.write("/var/qmail/alias/.qmail-default", "|fastforward -d /etc/aliases.cdb\n");
    host.write("/usr/bin/fastforward", "");
    give(&host.path("/var/qmail/alias"), 7790, 2108);
    host
}

fn cdb(keys: &[&str]) -> Vec<u8> {
    qmail_updater::cdb::image(keys.iter().map(|key| (key.as_bytes(), &b"&a@b.example\0"[..]))).unwrap()
}

#[test]
fn only_lines_whose_users_cannot_be_known_open_a_domain_and_check_names_each() {
    if !is_root() {
        return skip("the host of delivery lines", "its files belong to several users, which needs root");
    }
    let host = host_of_delivery();
    let lines = delivery();
    let is_accepted = |address: String| host.answers(&[&address]) == ["accept"];
    for declares in [false, true] {
        if declares {
            let declared = lines.iter().filter_map(|(_, nobody)| match nobody {
                Nobody::Until(declared) => Some(format!("{declared}\n")),
                _ => None,
            });
            host.write("/var/qmail/control/validrcptto.programs", format!("# ours\n{}", declared.collect::<String>()));
        }
        host.rebuild();
        let checked = host.run(&["check"]);
        for (number, (line, nobody)) in lines.iter().enumerate() {
            let is_open = match nobody {
                Nobody::Refused => false,
                Nobody::Until(_) => !declares,
                Nobody::Open | Nobody::CatchAll => true,
            };
            assert_eq!(is_accepted(format!("nobody@d{number}.example")), is_open, "{line}, declared: {declares}");
            let has_ann = !matches!(&line[..], "|exit 100\n" | "|/usr/local/bin/closed\n")
                && !line.contains("bouncesaying")
                && !line.contains("is gone");
            assert_eq!(
                is_accepted(format!("ann@d{number}.example")),
                has_ann || is_open,
                "{line}, declared: {declares}"
            );
            let place = format!("{}/.qmail-default: line 1: ", home(number));
            let finding = checked
                .stdout
                .lines()
                .find(|finding| finding.contains(&place) && finding.contains("every name is accepted"));
            let is_named = is_open && *nobody != Nobody::CatchAll;
            assert_eq!(finding.is_some(), is_named, "{line}, declared: {declares}: {}", checked.stdout);
        }
        // The alias domain has the users of the real one.
        assert!(is_accepted("ann@alias.example".to_owned()));
        assert_eq!(is_accepted("nobody@alias.example".to_owned()), !declares);
        // fastforward.
        for (name, accepted) in [("root", true), ("info", true), ("nobody", false)] {
            assert_eq!(is_accepted(format!("{name}@mail.example.org")), accepted, "{name}");
        }
        let open = lines.iter().filter(|(_, nobody)| match nobody {
            Nobody::Until(_) => !declares,
            Nobody::Open => true,
            _ => false,
        });
        let aliases = usize::from(!declares);
        let domains = host.run(&["domains"]).stdout;
        let told = domains.lines().filter(|line| line.contains("open: ")).count();
        assert_eq!(told, open.count() + aliases, "{domains}");
    }
}

#[test]
fn a_bad_declaration_keeps_the_entries_that_it_concerns_and_is_told() {
    let host = host_of_delivery();
    host.write("/var/qmail/control/validrcptto.programs", "vdeliver mailboxes\nnowhere passes\n");
    host.rebuild();
    let number = delivery().iter().position(|(line, _)| line == "|vdeliver\n").unwrap();
    let answers = |names: &[&str]| {
        let addresses: Vec<String> = names.iter().map(|name| format!("{name}@d{number}.example")).collect();
        host.answers(&addresses.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert_eq!(answers(&["ann", "nobody"]), ["accept", "refuse"]);
    let unused = host.run(&["check"]).stdout;
    assert!(
        unused.contains("validrcptto.programs: line 2: no program line of a .qmail file names nowhere"),
        "{unused}"
    );
    host.write("/var/qmail/control/validrcptto.programs", "vdeliver mailbox\n");
    let answer = host.run(&["rebuild"]);
    assert_eq!(answer.code, 100, "{}", answer.stderr);
    assert!(
        answer.stderr.contains("validrcptto.programs: line 1: \"vdeliver mailbox\" is no program"),
        "{}",
        answer.stderr
    );
    assert_eq!(answers(&["ann", "nobody"]), ["accept", "refuse"]);
}

#[test]
fn a_line_tells_nothing_of_a_cdb_that_its_user_may_not_read() {
    if !is_root() {
        return skip("the cdb of another one", "it needs root");
    }
    let host = host_of_delivery();
    // Root's alone: fastforward defers.
    host.mode("/etc/aliases.cdb", 0o600);
    host.rebuild();
    assert_eq!(host.answers(&["root@mail.example.org", "nobody@mail.example.org"]), ["accept", "accept"]);
    let told = host.run(&["explain", "nobody@mail.example.org"]).stdout;
    assert!(told.contains("/etc/aliases.cdb: uid 7790 may not read it: deferred"), "{told}");
    // Everybody may read the table.
    let published = host.run(&["list", "recipients"]).stdout;
    assert!(!published.contains("info@mail.example.org"), "{published}");
    host.mode("/etc/aliases.cdb", 0o644);
    host.rebuild();
    assert_eq!(host.answers(&["root@mail.example.org", "nobody@mail.example.org"]), ["accept", "refuse"]);
}

#[test]
fn no_line_takes_long_to_read() {
    const WORDS: [&str; 37] = [
        "f",
        "f()",
        "function f",
        "while f; do",
        "until",
        "for i in x",
        "case x in x)",
        "esac",
        "if f;",
        "&&",
        "||",
        "|",
        ";",
        "if",
        "then",
        "elif",
        "else",
        "fi",
        "{",
        "}",
        "(",
        ")",
        "!",
        "exit 1",
        "exec",
        "env A=1",
        "preline -f",
        "$EXT@$USER",
        "\"$EXT\"",
        "'",
        "\"",
        "\\",
        ">/dev/null",
        "2>>log",
        "a[''",
        "a[b]=",
        "[",
    ];
    let room = Room::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |most: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % most as u64).unwrap()
    };
    let repeated = [
        "( ".repeat(500),
        "{ ".repeat(500),
        "if f; then ".repeat(90),
        "f | ".repeat(250),
        "f && ".repeat(200),
        "! ".repeat(500),
        "\"".repeat(999),
        "a[''".repeat(200),
        "a[\"\"".repeat(200),
        "a[b]+=[''".repeat(100),
        "a=1 ".repeat(250),
        "f ".repeat(499),
        ">/dev/null ".repeat(90),
        format!("{}f{}", "( ".repeat(6), " )".repeat(6)),
        format!("{}f{}", "{ ".repeat(6), "; }".repeat(6)),
        format!("{}f; {}", "if f; then ".repeat(6), "fi; ".repeat(6)),
        "f | ".repeat(31) + "f",
        "f && ".repeat(15) + "f",
        "exit || f && ".repeat(8) + "f",
        "(f || exit) | ".repeat(5) + "f",
    ];
    // What doubles with each level shows in few of them.
    let phrases = WORDS.iter().flat_map(|one| WORDS.iter().map(move |other| (*one, *other)));
    let phrases = phrases.flat_map(|(one, other)| ["", " ", "\t"].map(|gap| [one, gap, other, gap].concat()));
    let phrases = phrases.flat_map(|phrase| [8, 16, 24].map(|times| phrase.repeat(times)));
    let generated = (0..3000).map(|_| {
        let words = 1 + next(40);
        (0..words).map(|_| WORDS[next(WORDS.len())]).collect::<Vec<_>>().join(" ")
    });
    let mut slowest = (Duration::ZERO, String::new());
    for line in repeated.into_iter().chain(phrases).chain(generated.collect::<Vec<_>>()) {
        let read = || {
            let start = Instant::now();
            let line = room.read(&line);
            let codes = line.as_ref().map(|line| line.codes(Codes::ALL));
            assert!(codes.is_none_or(|codes| !codes.is_empty()));
            start.elapsed()
        };
        // The machine may do something else meanwhile.
        let took = (0..3).map(|_| read()).min().unwrap();
        if took > slowest.0 {
            slowest = (took, line);
        }
    }
    eprintln!("slowest: {:?}: {}", slowest.0, slowest.1);
    // A test is compiled to be made quickly, not to run quickly.
    assert!(slowest.0 < Duration::from_millis(10), "{slowest:?}");
}

/// fastforward.c's own rules, told again: keys in lower case; `:user@host`, else `:@host`, else `:user@`. The exit code.
fn fastforward_ends(keys: &BTreeSet<String>, address: &str, passes: bool) -> u8 {
    let address = address.to_ascii_lowercase();
    let (user, host) = address.rsplit_once('@').unwrap();
    let has = |key: String| keys.contains(&key);
    match (has(format!(":{user}@{host}")) || has(format!(":@{host}")) || has(format!(":{user}@")), passes) {
        (true, true) => 99,
        (false, false) => 100,
        (true, false) | (false, true) => 0,
    }
}

/// A line that depends on the home directory it stands in is another one in each, however often it was read before.
#[test]
fn one_line_in_two_home_directories_is_read_in_each() {
    let host = MailHost::sample();
    host.folder("/usr/local/bin");
    make_program(&host.path("/usr/local/bin/fastforward"), "#!/bin/sh\n");
    const DOMAINS: [(&str, &str); 2] = [("example.com", "first"), ("example.net", "second")];
    let of = |domain: &str, name: &str| format!("/home/vpopmail/domains/{domain}/{name}");
    for (domain, user) in DOMAINS {
        host.write(&of(domain, "aliases.cdb"), cdb(&[&format!(":{user}@")]));
        host.write(&of(domain, ".qmail-default"), "|fastforward -d aliases.cdb\n");
        host.write(&of(domain, ".qmail-own"), "|~/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n");
    }
    let answer = host.run(&["rebuild", "--force"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    for (domain, user) in DOMAINS {
        for (other, name) in DOMAINS {
            let expected = if domain == other { "accept" } else { "refuse" };
            assert_eq!(host.answers(&[&format!("{name}@{domain}")]), [expected], "{user}: {name}@{domain}");
        }
        // Whose program that is, its home directory says: nobody else's vdelivermail has its users.
        let explained = host.run(&["explain", &format!("own@{domain}")]).stdout;
        assert!(explained.contains(&of(domain, "vpopmail/bin/vdelivermail")), "{explained}");
    }
}

#[test]
fn fastforward_takes_the_names_of_its_cdb_and_bounces_or_leaves_all_others() {
    let mut asked = [0; 2];
    let mut number: u64 = 19;
    let mut roll = |sides: usize| {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(number >> 33).unwrap() % sides
    };
    const WORDS: [&str; 9] = ["a", "b", "joe", "joe-x", "list-owner", "a.b", "MiXed", "?", "x'y"];
    const HOSTS: [&str; 3] = ["loc.test", "LOC.test", "other.test"];
    while asked.iter().sum::<usize>() < 10_000 {
        let host = MailHost::empty();
        let mut keys = BTreeSet::new();
        for _ in 0..roll(9) {
            let (user, of) = (WORDS[roll(9)], HOSTS[roll(3)]);
            keys.insert(match roll(6) {
                0 => format!(":@{of}"),
                1 | 2 => format!(":{user}@"),
                // The address of the sender, which decides about no recipient.
                3 => format!("?{user}@{of}"),
                _ => format!(":{user}@{of}"),
            });
        }
        let (passes, by_default, is_after) = (roll(2) == 0, roll(2) == 0, roll(2) == 0);
        let option = ["", "p", "d", "pd"][usize::from(passes) + 2 * usize::from(by_default)];
        let option = if option.is_empty() { String::new() } else { format!("-{option} ") };
        let after = if is_after { "&next@x.test\n" } else { "|exit 100\n" };
        host.write("/var/qmail/control/me", "loc.test\n");
        host.write("/var/qmail/control/rcpthosts", "loc.test\n");
        host.write("/etc/passwd", "alias:x:7790:7790::/var/qmail/alias:/bin/true\n");
        host.folder("/usr/local/bin");
        make_program(&host.path("/usr/local/bin/fastforward"), "#!/bin/sh\n");
        host.write("/etc/aliases.cdb", cdb(&keys.iter().map(String::as_str).collect::<Vec<_>>()));
        let line = format!("|/usr/local/bin/fastforward {option}/etc/aliases.cdb\n{after}");
        host.write("/var/qmail/alias/.qmail-default", &line);
        if is_root() {
            give(&host.path("/var/qmail/alias"), 7790, 7790);
            give(&host.path("/var/qmail/alias/.qmail-default"), 7790, 7790);
        } else {
            let (uid, gid) = support::me();
            host.write("/etc/passwd", format!("alias:x:{uid}:{gid}::/var/qmail/alias:/bin/true\n"));
        }
        let answer = host.run(&["rebuild", "--no-commands"]);
        assert_eq!(answer.code, 0, "{answer:?}");
        let users: Vec<String> =
            WORDS.iter().flat_map(|a| WORDS.map(|b| [format!("{a}-{b}"), format!("{a}{b}")])).flatten().collect();
        let users = users.into_iter().chain(WORDS.map(str::to_owned)).filter(|user| !user.ends_with("-default"));
        let addresses: Vec<String> = users.map(|user| format!("{user}@{}", HOSTS[roll(2)])).collect();
        let input = addresses.join("\n");
        let answers = host.run_with_input(&["lookup"], input.as_bytes());
        for (address, answer) in addresses.iter().zip(answers.stdout.lines()) {
            let is_accepted = match fastforward_ends(&keys, address, passes) {
                100 => false,
                // The next line is read.
                0 => is_after || !passes && fastforward_ends(&keys, address, true) == 99,
                _ => true,
            };
            assert_eq!(answer.starts_with("accept\t"), is_accepted, "{address}: {line} {keys:?}");
            asked[usize::from(is_accepted)] += 1;
        }
    }
    println!("fastforward: {asked:?} refused and accepted");
    assert!(asked.iter().all(|count| *count > 1_000), "{asked:?}");
}

#[test]
fn a_program_of_the_home_is_not_taken_for_one_in_path() {
    let host = host_of_delivery();
    for program in ["bouncesaying", "vdelivermail"] {
        host.write(&format!("/var/qmail/bin/{program}"), "").mode(&format!("/var/qmail/bin/{program}"), 0o755);
    }
    // The shell looks for a name with a slash in no other directory than it says: these are programs that nobody knows.
    let lines = [
        "./bouncesaying x",
        "bin/bouncesaying x",
        "../bin/vdelivermail '' bounce-no-mailbox",
        "./preline bouncesaying x",
        "./env bouncesaying x",
        "nice ./vdelivermail '' bounce-no-mailbox",
        "exec ./bouncesaying",
    ];
    for (number, line) in lines.iter().enumerate() {
        host.write(&format!("{}/.qmail-own{number}", home(0)), format!("|{line}\n"));
    }
    host.rebuild();
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(host.answers(&[&format!("own{number}@d0.example")]), ["accept"], "{line}");
    }
}

#[test]
fn a_line_that_stands_twice_counts_twice() {
    let host = host_of_delivery();
    // The program may have delivered before the line that bounces; what stands between forgets that of the first time only.
    let twice = "|/usr/bin/filter || exit 111\n";
    host.write(
        &format!("{}/.qmail-two", home(0)),
        format!("{twice}{}{twice}|exit 100\n", "| /home/vpopmail/bin/vdelivermail '' delete\n"),
    );
    host.rebuild();
    assert_eq!(host.answers(&["two@d0.example"]), ["accept"]);
}

/// A host on which vmailmgr serves v.example, as the account joe.
fn host_of_vmailmgr(users: &[&str], line: &str) -> MailHost {
    let host = MailHost::empty();
    host.write("/var/qmail/control/me", "mail.example.org\n");
    host.write("/var/qmail/control/rcpthosts", "v.example\n");
    host.write("/var/qmail/control/virtualdomains", "v.example:joe\n");
    let (uid, gid) = support::me();
    let (uid, gid) = if is_root() { (7_791, 7_791) } else { (uid, gid) };
    host.write(
        "/etc/passwd",
        format!("joe:x:{uid}:{gid}::/home/joe:/bin/sh\nalias:x:{uid}:{gid}::/var/qmail/alias:/bin/sh\n"),
    );
    host.write("/usr/local/bin/vdeliver", "").mode("/usr/local/bin/vdeliver", 0o755);
    host.write("/home/joe/.qmail-default", format!("|{line}\n"));
    host.write("/home/joe/passwd.cdb", cdb(users)).mode("/home/joe/passwd.cdb", 0o600);
    if is_root() {
        ["", "/.qmail-default", "/passwd.cdb"]
            .iter()
            .for_each(|name| give(&host.path(&format!("/home/joe{name}")), uid, gid));
    }
    host
}

#[test]
fn vdeliver_takes_the_users_of_vmailmgr_and_bounces_all_others() {
    let asked = ["ann@v.example", "Bob-X@v.example", "nobody@v.example", "bob@v.example", "ann-x@v.example"];
    let answers = |host: &MailHost| {
        let answer = host.run(&["rebuild", "--no-commands"]);
        assert_eq!(answer.code, 0, "{answer:?}");
        host.answers(&asked)
    };
    let users = ["accept", "accept", "refuse", "refuse", "refuse"];
    for line in ["vdeliver", "vdeliver -dF --quiet", "/usr/local/bin/vdeliver --no-postdeliver", "exec vdeliver"] {
        assert_eq!(answers(&host_of_vmailmgr(&["ann", "bob-x"], line)), users, "{line}");
    }
    let host = host_of_vmailmgr(&["ann", "bob-x"], "vdeliver");
    assert_eq!(answers(&host), users);
    assert!(host.run(&["explain", "nobody@v.example"]).stdout.contains("/home/joe/passwd.cdb has no user for nobody"));
    // One user takes what is for nobody; other options, or settings that may name other files, are not known.
    assert_eq!(answers(&host_of_vmailmgr(&["ann", "+"], "vdeliver")), ["accept"; 5]);
    assert_eq!(answers(&host_of_vmailmgr(&["ann"], "vdeliver -x")), ["accept"; 5]);
    assert_eq!(answers(&host_of_vmailmgr(&["ann"], "vdeliver ann")), ["accept"; 5]);
    let elsewhere = [
        "/etc/vmailmgr/default-username",
        "/home/joe/.vmailmgr/password-file",
        "/usr/local/etc/vmailmgr/password-file",
    ];
    for file in elsewhere.into_iter().chain(["/home/joe/passwd.gdbm"]) {
        host.write(file, "x\n");
        assert_eq!(answers(&host), ["accept"; 5], "{file}");
        host.remove(file);
        assert_eq!(answers(&host), users, "{file}");
    }
    // Real vdeliver bounces everything without its file, which nobody wants.
    host.remove("/home/joe/passwd.cdb");
    assert_eq!(answers(&host), ["accept"; 5]);
    let checked = host.run(&["check"]).stdout;
    assert!(checked.contains("/home/joe/.qmail-default: line 1: "), "{checked}");
    host.write("/home/joe/passwd.cdb", "no cdb");
    assert_eq!(answers(&host), ["accept"; 5]);
}

#[test]
fn many_files_that_ask_for_the_same_names_are_no_keys_of_the_same_hash() {
    let host = host_of_delivery();
    for number in 0..150 {
        host.write(&format!("{}/.qmail-r{number}-default", home(0)), "|fastforward /etc/aliases.cdb\n");
    }
    host.write(&format!("{}/.qmail-default", home(0)), BOUNCE);
    let answer = host.run(&["rebuild", "--no-commands"]);
    assert!(!answer.stderr.contains("the same hash"), "{}", answer.stderr);
    assert_eq!(host.answers(&["ann@d0.example", "nobody@d0.example"]), ["accept", "refuse"]);
}

#[test]
fn each_name_that_runs_many_programs_counts_them_as_steps() {
    let host = host_of_delivery();
    let programs = vec!["fastforward -p /etc/aliases.cdb"; 30].join("; ");
    let names: Vec<String> = (0..500).map(|number| format!("name{number}:$6$salt$hash:1:0:N:/d:Q")).collect();
    host.mailboxes(&home(0), &names.iter().map(String::as_str).collect::<Vec<_>>());
    let told = |line: &str| {
        host.write(&format!("{}/.qmail-default", home(0)), format!("|{line}\n{BOUNCE}"));
        host.run(&["rebuild", "--no-commands", "--max-steps", "15000"]).stderr
    };
    let few = told("fastforward -p /etc/aliases.cdb");
    assert!(!few.contains("--max-steps"), "{few}");
    let many = told(&programs);
    assert!(many.contains(&home(0)) && many.contains("--max-steps"), "{many}");
}
