//! Program lines of .qmail files: each line of a table by real shells, with programs that end in every way, against the
//! codes that the reader predicts.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use qmail_updater::host::dot_qmail::Programs;
use qmail_updater::host::line::Line;
use qmail_updater::host::line::codes::Codes;
use qmail_updater::host::line::declared::Declarations;

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
const MORE_PREDICTED: [&str; 3] = ["f >/dev/null/x", "test a = b || exit 100", "/nowhere/f || exit 100"];

struct Room {
    directory: tempfile::TempDir,
}

impl Room {
    fn new() -> Room {
        let directory = tempfile::tempdir().unwrap();
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
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The line with the paths of this place.
    fn line(&self, line: &str) -> String {
        let line = line.replace("Q/", &self.path("qmail/")).replace("V/", &self.path("vpopmail/"));
        line.replace("T/", &self.path("may be missing/").replace(' ', "-"))
    }

    /// What the reader says; nothing when it does not know.
    fn read(&self, line: &str) -> Option<Line> {
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
        let mut command = Command::new(shell[0]);
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
