//! The published tables behind the hooks of any qmail-smtpd: rcptcheck, qmail-spp-rcpt and checkpassword, by the real
//! binary, called as qmail-smtpd does.

mod support;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use support::{Answer, MailHost, has, is_root, output_of, skip, system_crypt};

const COM: &str = "/home/vpopmail/domains/example.com";
/// The hash of `secret`, by `openssl passwd -1 -salt abcdefgh secret`.
const SECRET: &str = "$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1";
/// A hash that takes 64 MiB to compute.
const YESCRYPT: &str = "$y$jBT$abcdefghijkl$tIEIK0tRpVYnb5EbxZDlFLI0ryBZQGiiMcG7Xj5gBz0";
const REPLY: &str = "553 sorry, this recipient is not in my validrcptto list (#5.7.1)";
const LATER: &str = "451 unable to check this recipient, try again later (#4.3.0)";

/// A hook's own name for the real binary.
fn link(host: &MailHost, name: &str) -> PathBuf {
    let path = host.path(&format!("/{name}"));
    if !path.exists() {
        symlink(support::tested(), &path).unwrap();
    }
    path
}

/// A hook, told of the host as the patched qmail-smtpd would be.
fn hook(host: &MailHost, name: &str) -> Command {
    let mut command = Command::new(link(host, name));
    command.env_clear().stdin(Stdio::null());
    command.env("VALIDRCPTTO_CDB", host.published("validrcptto.cdb")).env("AUTH_CDB", host.published("auth.cdb"));
    command
}

/// rcptcheck's exit status, and what it wrote to descriptor 4.
fn rcptcheck(host: &MailHost, set: &[(&str, &str)]) -> (i32, String) {
    let reply = host.path("/reply");
    fs::write(&reply, "").unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" 4>>\"$1\""]).arg(link(host, "rcptcheck")).arg(&reply);
    command.env_clear().env("VALIDRCPTTO_CDB", host.published("validrcptto.cdb"));
    let answer: Answer = command.envs(set.iter().copied()).output().unwrap().into();
    assert_eq!(answer.stdout, "");
    (answer.code, fs::read_to_string(reply).unwrap())
}

/// What qmail-spp-rcpt prints.
fn spp(host: &MailHost, set: &[(&str, &str)]) -> String {
    let answer: Answer = hook(host, "qmail-spp-rcpt").envs(set.iter().copied()).output().unwrap().into();
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    answer.stdout
}

/// checkpassword with this on descriptor 3, which then runs a shell that prints its environment.
fn checkpassword(host: &MailHost, input: &[u8]) -> Answer {
    checkpassword_in(&mut hook(host, "checkpassword"), host, input)
}

fn checkpassword_in(hook: &mut Command, host: &MailHost, input: &[u8]) -> Answer {
    let file = host.path("/input");
    fs::write(&file, input).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "exec 3<\"$0\"; exec \"$@\""]).arg(&file).arg(hook.get_program()).args(hook.get_args());
    command.args(["sh", "-c", "env; test ! -e /proc/self/fd/3 && echo \"$0 $1\"", "--root", "-x"]);
    command.env_clear().stdin(Stdio::null());
    command.envs(hook.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.output().unwrap().into()
}

/// Whether the crypt(3) of the program that is tested knows yescrypt, which that of musl does not. Then the answer is "later".
fn knows_yescrypt() -> bool {
    let host = published(&[&format!("ann:{YESCRYPT}:1:0:N:/d:Q")], "");
    let answer = checkpassword(&host, b"ann@example.com\0wrong\0\0");
    let knows = !answer.stderr.contains("a hash that crypt(3) of this system does not compute");
    assert_eq!(answer.code, if knows { 1 } else { 111 }, "{}", answer.stderr);
    knows
}

/// The sample host with some mailboxes, published.
fn published(mailboxes: &[&str], authvars: &str) -> MailHost {
    let host = MailHost::sample();
    host.mailboxes(COM, mailboxes).write("/var/qmail/control/authvars", authvars);
    host.rebuild();
    host
}

#[test]
fn a_recipient_is_accepted_or_refused_in_each_hooks_own_words() {
    let host = published(&["ann:x:1:0:N:/d:Q"], "");
    for (address, accepted) in [
        ("ANN@Example.com", true),
        ("nobody@example.com", false),
        ("anybody@example.net", true),
        ("spamtrap@example.net", false),
        ("anybody@backup.example", true),
        ("postmaster", true),
        ("nobody", false),
        ("", false),
        ("x@elsewhere.example", false),
    ] {
        let asked = [("RECIPIENT", address), ("SENDER", "x@y"), ("HELO", "z"), ("USE_FD4", "1")];
        let (code, words) = if accepted { (0, String::new()) } else { (100, format!("{REPLY}\n")) };
        assert_eq!(rcptcheck(&host, &asked), (code, words.clone()), "{address}");
        assert_eq!(rcptcheck(&host, &asked[..1]), (code, String::new()), "{address}: nobody asked for a reply line");
        let words = if accepted { String::new() } else { format!("E{words}") };
        assert_eq!(spp(&host, &[("SMTPRCPTTO", address)]), words, "{address}");
        // Clients that may relay, and what qmail-smtpd itself refuses, are none of its business.
        for (name, value) in [("RELAYCLIENT", ""), ("SMTP_AUTH_USER", "ann"), ("SMTPAUTHUSER", "ann")] {
            assert_eq!(rcptcheck(&host, &[("RECIPIENT", address), (name, value)]).0, 0, "{address} {name}");
            assert_eq!(spp(&host, &[("SMTPRCPTTO", address), (name, value)]), "", "{address} {name}");
        }
        assert_eq!(spp(&host, &[("SMTPRCPTTO", address), ("SMTPRCPTHOSTSOK", "0")]), "", "{address}");
    }
}

#[test]
fn the_hooks_are_sub_commands_too_and_go_by_our_own_settings_first() {
    let host = published(&[&format!("ann:{SECRET}:1:0:N:/d:Q")], "");
    let run = |name: &str, variable: &str| -> Answer {
        let mut command = host.command(&[name]);
        // The root is taken for the default file only.
        command.env(variable, "nobody@example.com").output().unwrap().into()
    };
    assert_eq!(run("rcptcheck", "RECIPIENT").code, 100);
    assert_eq!(run("qmail-spp-rcpt", "SMTPRCPTTO").stdout, format!("E{REPLY}\n"));
    let answer = checkpassword_in(&mut host.command(&["checkpassword"]), &host, b"ann@example.com\0secret\0\0");
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let ours = [("QMAIL_UPDATER_VALIDRCPTTO", host.published("auth.cdb"))];
    let asked = hook(&host, "rcptcheck").envs(ours).env("RECIPIENT", "ann@example.edu").status().unwrap();
    assert_eq!(asked.code(), Some(0), "a login is a key of that file");
}

#[test]
fn the_next_checker_runs_when_rcptcheck_accepts_and_its_answer_counts() {
    let host = published(&["ann:x:1:0:N:/d:Q"], "");
    let next = |code: u8| {
        let text = format!("echo \"452 $RECIPIENT has too much\" >&4\nexit {code}");
        support::script(&host, "/next", &text);
        host.path("/next").display().to_string()
    };
    let (ann, nobody) = (("RECIPIENT", "ann@example.com"), ("RECIPIENT", "nobody@example.com"));
    for code in [0, 100, 111, 113] {
        let next = next(code);
        let asked = |recipient, more: &[(&str, &str)]| {
            rcptcheck(&host, &[&[recipient, ("USE_FD4", "1"), ("RCPTCHECK_NEXT", &next)], more].concat())
        };
        let said = "452 ann@example.com has too much\n".to_owned();
        assert_eq!(asked(ann, &[]), (code.into(), said.clone()));
        assert_eq!(asked(ann, &[("RELAYCLIENT", "")]), (code.into(), said), "it is for relay clients too");
        assert_eq!(asked(nobody, &[]), (100, format!("{REPLY}\n")));
        // As an option, by the link and by the program.
        let reply = fs::File::create(host.path("/reply")).unwrap();
        for (program, arguments) in
            [("rcptcheck", &["--then", &next][..]), ("qmail-updater", &["rcptcheck", "--then", &next])]
        {
            let mut command = Command::new("sh");
            command.args(["-c", "exec \"$@\" 4>&1 >/dev/null", "sh"]).arg(link(&host, program)).args(arguments);
            command.env_clear().env("VALIDRCPTTO_CDB", host.published("validrcptto.cdb")).env(ann.0, ann.1);
            let answer: Answer = command.stdout(reply.try_clone().unwrap()).output().unwrap().into();
            assert_eq!(answer.code, i32::from(code), "{program}: {}", answer.stderr);
        }
    }
    assert_eq!(
        rcptcheck(&host, &[ann, ("RCPTCHECK_NEXT", "/not/there"), ("USE_FD4", "")]),
        (111, format!("{LATER}\n"))
    );
    assert_eq!(rcptcheck(&host, &[ann, ("RCPTCHECK_NEXT", "")]).0, 0);
    let itself = link(&host, "rcptcheck").display().to_string();
    assert_eq!(rcptcheck(&host, &[ann, ("RCPTCHECK_NEXT", &itself)]).0, 0, "it runs itself once");
    fs::write(host.published("validrcptto.cdb"), "broken").unwrap();
    assert_eq!(rcptcheck(&host, &[ann, ("RCPTCHECK_NEXT", &next(0))]).0, 111, "nobody knows, so none is asked");
}

/// Ways in which a table cannot be used.
fn breakages(host: &MailHost, name: &str) -> Vec<(&'static str, Vec<u8>)> {
    let whole = fs::read(host.published(name)).unwrap();
    let mut grown = whole.clone();
    grown.extend(b"more");
    let mut header = whole.clone();
    header[..2048].fill(0);
    // Every record is where the tables do not say.
    let mut slots = whole.clone();
    let zeroed = |range: Range<usize>| {
        let mut torn = whole.clone();
        torn[range].fill(0);
        torn
    };
    let tables = u32::from_le_bytes(whole[..4].try_into().unwrap()) as usize;
    for slot in slots[tables..].chunks_exact_mut(8).filter(|slot| slot[4..] != [0; 4]) {
        slot[4..].copy_from_slice(&u32::MAX.to_le_bytes());
    }
    // Every record is longer than the file.
    let mut records = whole.clone();
    let cdb = qmail_updater::cdb::Reader::new(&whole).unwrap();
    let mut at = 2048;
    for record in cdb.records() {
        records[at + 4..at + 8].copy_from_slice(&u32::MAX.to_le_bytes());
        at += 8 + record.key.len() + record.data.len();
    }
    vec![
        ("empty", Vec::new()),
        ("only its pointers", whole[..2048].to_vec()),
        ("half of it", whole[..whole.len() / 2].to_vec()),
        ("its last byte missing", whole[..whole.len() - 1].to_vec()),
        ("grown", grown),
        ("zeros behind its pointers", zeroed(2048..whole.len())),
        ("zeros in the place of its tables", zeroed(tables..whole.len())),
        ("zeros in the place of its records", zeroed(2048..tables)),
        ("pointers lost", header),
        ("slots lost", slots),
        ("records too long", records),
        ("text", vec![b'x'; 10_000]),
    ]
}

#[test]
fn a_table_that_is_missing_or_broken_is_a_temporary_failure() {
    let host = published(&[&format!("ann:{SECRET}:1:0:N:/d:Q")], "");
    let assert_temporary = |what: &str| {
        // Listed or not: nobody knows.
        for address in ["ann@example.com", "anybody@example.net", "ann@example.edu"] {
            let asked = rcptcheck(&host, &[("RECIPIENT", address), ("USE_FD4", "")]);
            assert_eq!(asked, (111, format!("{LATER}\n")), "{what}: {address}");
            assert_eq!(spp(&host, &[("SMTPRCPTTO", address)]), format!("R{LATER}\n"), "{what}: {address}");
        }
        let answer = checkpassword(&host, b"ann@example.com\0secret\0\0");
        assert_eq!((answer.code, &answer.stdout[..]), (111, ""), "{what}");
        assert!(
            answer.stderr.contains("fatal: unable to read") && answer.stderr.contains("auth.cdb"),
            "{}",
            answer.stderr
        );
        assert_eq!(checkpassword(&host, b"ann@example.com\0wrong\0\0").code, 111, "{what}");
    };
    let tables = [host.published("validrcptto.cdb"), host.published("auth.cdb")];
    let broken = breakages(&host, "validrcptto.cdb").into_iter().zip(breakages(&host, "auth.cdb"));
    for ((what, recipients), (_, logins)) in broken {
        fs::write(&tables[0], recipients).unwrap();
        fs::write(&tables[1], logins).unwrap();
        assert_temporary(what);
    }
    tables.iter().for_each(|table| fs::remove_file(table).unwrap());
    assert_temporary("missing");
    tables.iter().for_each(|table| fs::create_dir(table).unwrap());
    assert_temporary("a folder");
    tables.iter().for_each(|table| fs::remove_dir(table).unwrap());
    // Nobody writes into it: who opened it without care would wait for ever.
    tables.iter().for_each(|table| drop(output_of("mkfifo", &[table.to_str().unwrap()])));
    assert_temporary("a pipe");
}

/// As a power cut leaves it: some blocks never reached the disk.
#[test]
fn a_table_torn_anywhere_gives_no_other_answer() {
    let mailboxes: Vec<String> = (0..60).map(|number| format!("user{number}:{SECRET}:1:0:N:/d:Q")).collect();
    let host = published(&mailboxes.iter().map(String::as_str).collect::<Vec<_>>(), "");
    let tables = ["validrcptto.cdb", "auth.cdb"].map(|name| host.published(name));
    let whole = tables.each_ref().map(|table| fs::read(table).unwrap());
    let mut temporary = [0, 0];
    for block in 0..whole.iter().map(Vec::len).max().unwrap().div_ceil(512) {
        for (table, whole) in tables.iter().zip(&whole) {
            let mut torn = whole.clone();
            let end = torn.len();
            torn[(block * 512).min(end)..(block * 512 + 512).min(end)].fill(0);
            fs::write(table, torn).unwrap();
        }
        for (address, listed) in [("user7@example.com", 0), ("nobody@example.com", 100), ("spamtrap@example.net", 100)]
        {
            let code = rcptcheck(&host, &[("RECIPIENT", address)]).0;
            assert!(code == listed || code == 111, "block {block}: {address}: {code}");
            temporary[0] += usize::from(code == 111);
        }
        for (input, right) in [(&b"user7@example.com\0secret\0\0"[..], 0), (b"nobody@example.com\0secret\0\0", 1)] {
            let code = checkpassword(&host, input).code;
            assert!(code == right || code == 111, "block {block}: {code}");
            temporary[1] += usize::from(code == 111);
        }
    }
    assert!(temporary.iter().all(|times| *times > 8), "the pointers alone are four blocks: {temporary:?}");
}

#[test]
fn data_that_holds_nul_is_damage_and_other_peoples_data_accepts() {
    let host = MailHost::sample();
    for (data, code) in [("", 0), ("-", 100), ("-x", 100), ("x", 0), ("\0", 111), ("x\0", 0)] {
        let image = qmail_updater::cdb::image([(&b"ann@a.test"[..], data.as_bytes())]).unwrap();
        host.write("/var/qmail/control/validrcptto.cdb", image);
        assert_eq!(rcptcheck(&host, &[("RECIPIENT", "ann@a.test")]).0, code, "{data:?}");
    }
    for (rest, code) in [("", 0), ("\0", 111), (",A=\"\0\"", 111)] {
        let data = format!("{SECRET}{rest}");
        let image = qmail_updater::cdb::image([(&b"ann"[..], data.as_bytes())]).unwrap();
        host.write("/var/qmail/control/auth.cdb", image);
        assert_eq!(checkpassword(&host, b"ann\0secret\0\0").code, code, "{rest:?}");
    }
}

/// Runs a script of perl, which is told the hook's name.
fn by_perl(hook: &Command, script: &str) -> Answer {
    let mut command = Command::new("perl");
    command.args(["-MSocket", "-MPOSIX=dup2,_exit", "-e", script]).arg(hook.get_program()).stdin(Stdio::null());
    command.env_clear().envs(hook.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.output().unwrap().into()
}

#[test]
fn a_descriptor_is_taken_as_it_was_given() {
    if !has("perl") {
        return skip("a_descriptor_is_taken_as_it_was_given", "perl is not installed");
    }
    let host = published(&[&format!("ann:{SECRET}:1:0:N:/d:Q")], "");
    // A socket on 3.
    let script = r#"$^F = 255; socketpair(A, B, AF_UNIX, SOCK_STREAM, 0) or die; syswrite A, "ann\@example.com\0secret\0\0";
                    close A; dup2(fileno B, 3); exec @ARGV, qw(true)"#;
    let answer = by_perl(&hook(&host, "checkpassword"), script);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    // A file that was read to where the login begins.
    host.write("/offset", "read before\nann@example.com\0secret\0\0");
    let mut command = hook(&host, "checkpassword");
    command.env("FILE", host.path("/offset"));
    let script = r#"$^F = 255; open F, "<", $ENV{FILE}; sysread F, $_, 12; dup2(fileno F, 3); exec @ARGV, qw(true)"#;
    let answer = by_perl(&command, script);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    // A socket on 4.
    let mut command = hook(&host, "rcptcheck");
    command.env("USE_FD4", "1").env("RECIPIENT", "nobody@example.com");
    let script = r#"$^F = 255; socketpair(A, B, AF_UNIX, SOCK_STREAM, 0) or die; if (!fork) { dup2(fileno B, 4); exec @ARGV or POSIX::_exit(127) }
                    wait; close B; print scalar <A>; exit $? >> 8"#;
    let answer = by_perl(&command, script);
    assert_eq!((answer.code, answer.stdout), (100, format!("{REPLY}\n")), "{}", answer.stderr);
    // Nobody reads it any more, or it is closed: said in the log.
    for script in [
        r#"$^F = 255; socketpair(A, B, AF_UNIX, SOCK_STREAM, 0) or die; dup2(fileno B, 4); close A; close B; exec @ARGV"#,
        "POSIX::close(4); exec @ARGV",
    ] {
        let answer = by_perl(&command, script);
        assert_eq!(answer.code, 100);
        assert!(answer.stderr.contains("warning: the reply line is lost"), "{}", answer.stderr);
    }
    // Root's pipes, and somebody else's hook: as behind setuidgid.
    if !is_root() {
        return skip("a_descriptor_is_taken_as_it_was_given", "another uid's pipe needs root");
    }
    let copy = host.path("/rcptcheck-copy");
    output_of("cp", &[support::tested(), copy.to_str().unwrap()]);
    let mut command = hook(&host, "rcptcheck");
    command.env("USE_FD4", "1").env("RECIPIENT", "nobody@example.com").env("COPY", copy);
    let script = r#"$^F = 255; pipe(R, W); if (!fork) { dup2(fileno W, 4); $( = $) = "65534 65534"; $< = $> = 65534;
                    exec { $ENV{COPY} } "rcptcheck" or POSIX::_exit(127) } wait; close W; print scalar <R>; exit $? >> 8"#;
    let answer = by_perl(&command, script);
    assert_eq!((answer.code, answer.stdout), (100, format!("{REPLY}\n")), "{}", answer.stderr);
}

#[test]
fn a_log_that_takes_nothing_keeps_nobody_waiting() {
    let host = MailHost::sample();
    // As checkpassword finds it, and nobody reads: a pipe that is full.
    let (reader, mut log) = std::io::pipe().unwrap();
    let mut filler = log.try_clone().unwrap();
    let full = std::thread::spawn(move || filler.write_all(&vec![b'x'; 1 << 20]));
    let start = Instant::now();
    let temporary = |name: &str, variable: &str, code| {
        let mut command = hook(&host, name);
        command.env(variable, "ann@example.com").arg("true").stderr(log.try_clone().unwrap());
        let answer = command.output().unwrap();
        assert_eq!(answer.status.code(), Some(code), "{name}");
        answer.stdout
    };
    temporary("rcptcheck", "RECIPIENT", 111);
    assert_eq!(temporary("qmail-spp-rcpt", "SMTPRCPTTO", 0), format!("R{LATER}\n").into_bytes());
    temporary("checkpassword", "RECIPIENT", 2);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    drop(reader);
    assert!(full.join().unwrap().is_err() && log.write_all(b"x").is_err());
}

/// The least that README says a hook needs, in bytes: `softlimit -m`.
#[test]
fn the_hooks_work_under_the_limit_that_readme_names() {
    let page = |name| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap_or_default();
    let readme = ["README.md", "docs/guide/hooks.md"].map(page).concat();
    let limits: Vec<u64> =
        readme.split("`softlimit -m ").skip(1).map(|rest| rest.split('`').next().unwrap().parse().unwrap()).collect();
    let [limit] = limits[..] else { panic!("{limits:?}") };
    let mut hashes = vec!["$2b$04$abcdefghijklmnopqrstuu", "$6$rounds=1000$saltsalt$", "$1$abcdefgh$"];
    hashes.extend(knows_yescrypt().then_some("$y$j9T$saltsaltsalt$"));
    let logins: Vec<String> = (0..hashes.len()).map(|number| format!("user{number}")).collect();
    let mailboxes: Vec<String> = if has("perl") {
        let asked: Vec<_> = hashes.iter().map(|setting| (b"secret".to_vec(), (*setting).to_owned())).collect();
        let made = system_crypt(&asked);
        logins.iter().zip(made).map(|(login, hash)| format!("{login}:{hash}:1:0:N:/d:Q")).collect()
    } else {
        skip("the_hooks_work_under_the_limit_that_readme_names", "perl is not installed: MD5 only");
        logins.iter().map(|login| format!("{login}:{SECRET}:1:0:N:/d:Q")).collect()
    };
    let host = published(&mailboxes.iter().map(String::as_str).collect::<Vec<_>>(), "");
    let limited = |name: &str, recipient: &str, input: &str| -> Answer {
        host.write("/input", input);
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -v \"$1\"; ulimit -d \"$1\"; exec \"$0\" 3<\"$2\" $3"]).arg(link(&host, name));
        command.arg((limit / 1024).to_string()).arg(host.path("/input"));
        command.arg(if name == "checkpassword" { "true" } else { "" });
        command.env("VALIDRCPTTO_CDB", host.published("validrcptto.cdb")).env("AUTH_CDB", host.published("auth.cdb"));
        command.env("RECIPIENT", recipient).env("SMTPRCPTTO", recipient).output().unwrap().into()
    };
    for (address, code, words) in
        [("user0@example.com", 0, String::new()), ("nobody@example.com", 100, format!("E{REPLY}\n"))]
    {
        assert_eq!(limited("rcptcheck", address, "").code, code, "{address}");
        assert_eq!(limited("qmail-spp-rcpt", address, "").stdout, words, "{address}");
    }
    for login in logins {
        for (word, code) in [("secret", 0), ("wrong", 1)] {
            let answer = limited("checkpassword", "", &format!("{login}@example.com\0{word}\0\0"));
            assert_eq!(answer.code, code, "{login} {word}: {}", answer.stderr);
        }
    }
}

/// RCPTCHECK that names the program itself, or a link with a typing error, and a line of a `.qmail` file.
#[test]
fn a_call_by_a_wrong_name_refuses_no_mail() {
    let host = published(&[], "");
    for (name, arguments) in [("qmail-updater", &[][..]), ("rcptchek", &[]), ("qmail-updater", &["triger", "x"])] {
        let mut command = hook(&host, name);
        command.args(arguments);
        let typed: Answer = command.output().unwrap().into();
        assert_eq!(typed.code, 100, "{name} {arguments:?}: {typed:?}");
        let asked: Answer = command.env("RECIPIENT", "ann@example.com").output().unwrap().into();
        assert_eq!((asked.code, asked.stderr), (111, typed.stderr), "{name} {arguments:?}");
    }
}

#[test]
fn settings_and_calls_that_cannot_be_used_never_accept() {
    let host = published(&[&format!("ann:{SECRET}:1:0:N:/d:Q")], "");
    let input = b"ann@example.com\0secret\0\0";
    for (name, value) in [
        ("QMAIL_UPDATER_VALIDRCPTTO", "relative"),
        ("VALIDRCPTTO_CDB", "relative"),
        ("QMAIL_UPDATER_BREAK", "--"),
        ("QMAIL_UPDATER_MAX_LOSS", "x"),
        ("QMAIL_UPDATER_ROOT", "/not/there"),
    ] {
        assert_eq!(rcptcheck(&host, &[("RECIPIENT", "ann@example.com"), (name, value)]).0, 111, "{name}");
        assert_eq!(spp(&host, &[("SMTPRCPTTO", "ann@example.com"), (name, value)]), format!("R{LATER}\n"), "{name}");
        if name != "QMAIL_UPDATER_VALIDRCPTTO" && name != "VALIDRCPTTO_CDB" {
            let answer = checkpassword_in(hook(&host, "checkpassword").env(name, value), &host, input);
            assert_eq!((answer.code, &answer.stdout[..]), (111, ""), "{name}");
        }
    }
    assert_eq!(rcptcheck(&host, &[("SMTPRCPTTO", "ann@example.com")]).0, 111, "RECIPIENT is not set");
    assert_eq!(spp(&host, &[("RECIPIENT", "ann@example.com")]), format!("R{LATER}\n"), "SMTPRCPTTO is not set");
    for argument in ["--unknown", "--help", "--version", "-h", "more"] {
        let mut command = hook(&host, "rcptcheck");
        let answer: Answer = command.arg(argument).env("RECIPIENT", "ann@example.com").output().unwrap().into();
        assert_eq!((answer.code, &answer.stdout[..]), (111, ""), "{argument}");
        let mut command = hook(&host, "qmail-spp-rcpt");
        let answer: Answer = command.arg(argument).env("SMTPRCPTTO", "ann@example.com").output().unwrap().into();
        assert_eq!((answer.code, answer.stdout), (0, format!("R{LATER}\n")), "{argument}");
    }
    // Only where a sub-command stands is a hook's name one.
    let missing = ["--validrcptto", "/not/there"];
    for (arguments, code, is_hook) in [
        (&["lookup", "qmail-spp-rcpt"][..], 111, false),
        (&["--auth", "qmail-spp-rcpt", "lookup", "x"], 100, false),
        (&["--auth-system-users", "qmail-spp-rcpt"], 0, true),
        (&["--auth=/x", "qmail-spp-rcpt", "--unknown"], 0, true),
        (&["--unknown", "qmail-spp-rcpt"], 0, true),
    ] {
        let answer: Answer = host.command(&[&missing, arguments].concat()).output().unwrap().into();
        assert_eq!((answer.code, answer.stdout == format!("R{LATER}\n")), (code, is_hook), "{arguments:?}");
    }
    // What reads the plugin's commands is gone: it must not take silence for "accept".
    let closed = |name: &str, variable: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" >&-"]).arg(link(&host, name)).env(variable, "nobody@example.com");
        command.env("VALIDRCPTTO_CDB", host.published("validrcptto.cdb")).status().unwrap().code()
    };
    assert_eq!(closed("rcptcheck", "RECIPIENT"), Some(100));
    assert_eq!(closed("qmail-spp-rcpt", "SMTPRCPTTO"), Some(120));
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = hook(&host, "qmail-spp-rcpt");
    let full = command.env("SMTPRCPTTO", "nobody@example.com").stdout(full).status().unwrap();
    assert_eq!(full.code(), Some(120), "qmail-spp answers 451 for a plugin that could not be run");
    // Descriptor 4 closed: the table that is opened then must not be taken for it.
    let before = fs::read(host.published("validrcptto.cdb")).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" 3>&- 4>&-"]).arg(link(&host, "rcptcheck")).env("USE_FD4", "1");
    command.env("VALIDRCPTTO_CDB", host.published("validrcptto.cdb")).env("RECIPIENT", "nobody@example.com");
    assert_eq!(command.status().unwrap().code(), Some(100));
    assert_eq!(fs::read(host.published("validrcptto.cdb")).unwrap(), before);
}

#[test]
fn checkpassword_takes_what_its_interface_says_and_nothing_else() {
    let host = published(&[&format!("ann:{SECRET}:1:0:N:/d:Q"), "none::1:0:N:/d:Q"], "");
    let long = |length: usize| [b"ann@example.com\0secret\0", &vec![b'x'; length - 24][..], b"\0"].concat();
    assert_eq!(long(512).len(), 512);
    for (input, code) in [
        (b"ann@example.com\0secret\0\0".to_vec(), 0),
        (b"ann@example.com\0secret\x001234567\0".to_vec(), 0),
        (b"ann@example.com\0secret\0\0more\0and more".to_vec(), 0),
        (long(512), 0),
        (long(513), 2),
        (long(100_000), 2),
        (b"ann@example.com\0secret\0".to_vec(), 2),
        (b"ann@example.com\0secret\0stamp".to_vec(), 2),
        (b"ann@example.com\0secret".to_vec(), 2),
        (b"".to_vec(), 2),
        (b"ann@example.com\0Secret\0\0".to_vec(), 1),
        (b"ann@example.com\0\0\0".to_vec(), 1),
        (b"ann@example.com\0secret \0\0".to_vec(), 1),
        // As it stands: not lower-cased, not completed.
        (b"Ann@example.com\0secret\0\0".to_vec(), 1),
        (b"ann@example.com \0secret\0\0".to_vec(), 1),
        (b"nobody@example.com\0secret\0\0".to_vec(), 1),
        (b"none@example.com\0\0\0".to_vec(), 1),
        (b"\0\0\0".to_vec(), 1),
        (b"\xff\xfe\0\xff\0\0".to_vec(), 1),
    ] {
        let answer = checkpassword(&host, &input);
        assert_eq!(answer.code, code, "{} {}", String::from_utf8_lossy(&input), answer.stderr);
        assert_eq!(answer.stdout.contains("USER=ann@example.com\n"), code == 0);
        // Its own arguments, and descriptor 3 closed.
        assert_eq!(answer.stdout.ends_with("--root -x\n"), code == 0, "{}", answer.stdout);
    }
    let run = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(link(&host, "checkpassword")).env("AUTH_CDB", host.published("auth.cdb"));
        Answer::from(command.output().unwrap())
    };
    assert_eq!(run("exec \"$0\" true 3<&-").code, 2, "descriptor 3 is closed");
    assert_eq!(run("printf 'ann@example.com\\0secret\\0\\0' | \"$0\" true 3<&0").code, 0, "a pipe");
    assert_eq!(run("printf 'ann@example.com\\0secret\\0\\0' | \"$0\" 3<&0").code, 2, "no program");
    assert_eq!(run("printf 'ann@example.com\\0secret\\0\\0' | \"$0\" /not/there 3<&0").code, 111);
    assert_eq!(run("printf 'ann@example.com\\0wrong\\0\\0' | \"$0\" /not/there 3<&0").code, 1);
}

#[test]
fn a_login_brings_its_variables_and_is_refused_when_it_has_expired() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let host = MailHost::sample();
    // As a rebuild would have left it a while ago, and somebody else's records.
    let record = |rest: String| format!("{SECRET}{rest}");
    let records = [
        (
            "ann",
            record(",DATABYTES=\"2, or 3\",EMPTY=\"\",USER=\"root\",PATH=\"/evil\",LD_PRELOAD=\"/evil.so\"".to_owned()),
        ),
        ("new", record(format!(",PASSWORD_EXPIRES=\"{}\",A=\"1\"", now + 1_000))),
        ("old", record(format!(",PASSWORD_EXPIRES=\"{}\"", now - 1))),
        ("now", record(format!(",A=\"1\",PASSWORD_EXPIRES=\"{now}\""))),
        ("odd", record(",PASSWORD_EXPIRES=\"soon\"".to_owned())),
        ("cut", record(",A=\"1".to_owned())),
        ("end", record(",".to_owned())),
        ("slow", "$2b$31$abcdefghijklmnopqrstuu5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe".to_owned()),
    ];
    let image = records.iter().map(|(login, data)| (login.as_bytes(), data.as_bytes()));
    host.write("/var/qmail/control/auth.cdb", qmail_updater::cdb::image(image).unwrap());
    let asked = |login: &str, password: &str| checkpassword(&host, format!("{login}\0{password}\0\0").as_bytes());
    let answer = asked("ann", "secret");
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    for line in ["USER=ann\n", "DATABYTES=2, or 3\n", "EMPTY=\n"] {
        assert!(answer.stdout.contains(line), "{}", answer.stdout);
    }
    assert!(!answer.stdout.contains("evil"), "{}", answer.stdout);
    for (login, code) in [("new", 0), ("old", 1), ("now", 1), ("odd", 1), ("cut", 111), ("end", 111), ("slow", 111)] {
        let answer = asked(login, "secret");
        assert_eq!(answer.code, code, "{login}: {}", answer.stderr);
        assert_eq!(answer.stderr.contains("fatal"), code == 111, "{login}: {}", answer.stderr);
        assert!(!answer.stderr.contains('$') && !answer.stderr.contains("secret"), "{}", answer.stderr);
        assert_eq!(asked(login, "wrong").code, if login == "slow" { 111 } else { 1 }, "{login}");
    }
}

#[test]
fn without_memory_nobody_is_let_in() {
    if !knows_yescrypt() {
        return skip("without_memory_nobody_is_let_in", "crypt(3) of the program does not know yescrypt");
    }
    let host = MailHost::sample();
    let image = qmail_updater::cdb::image([(&b"ann"[..], YESCRYPT.as_bytes())]).unwrap();
    host.write("/var/qmail/control/auth.cdb", image).write("/input", "ann\0secret\0\0");
    for (limit, code) in [("unlimited", 1), ("60000", 111)] {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -v \"$2\"; exec \"$0\" true 3<\"$1\""]).arg(link(&host, "checkpassword"));
        command.arg(host.path("/input")).arg(limit).env("AUTH_CDB", host.published("auth.cdb"));
        assert_eq!(command.output().unwrap().status.code(), Some(code), "{limit}");
    }
}

#[test]
fn known_and_unknown_logins_cost_the_same() {
    if !has("perl") {
        return skip("known_and_unknown_logins_cost_the_same", "perl is not installed");
    }
    // Long enough to stand out beside the start of a process.
    let hash = system_crypt(&[(b"secret".to_vec(), "$2b$09$abcdefghijklmnopqrstuu".to_owned())]).remove(0);
    let host = MailHost::sample();
    let expired = format!("{hash},PASSWORD_EXPIRES=\"1\"");
    let image = [("known", &hash), ("expired", &expired)]
        .map(|(login, data)| (login.as_bytes().to_vec(), data.clone().into_bytes()));
    host.write(
        "/var/qmail/control/auth.cdb",
        qmail_updater::cdb::image(image.iter().map(|(k, d)| (&k[..], &d[..]))).unwrap(),
    );
    // The processor time of its children, in clock ticks, as times(2) has it: what else the machine does does not count.
    let cost = |login: &str, password: &str| -> f64 {
        let script = r#"$^F = 255; for (1..5) { pipe(R, W); if (!fork) { close W; dup2(fileno R, 3); exec @ARGV, "true" or POSIX::_exit(127) } close R;
                        print W "$ENV{LOGIN}\0$ENV{WORD}\0\0"; close W; wait } my (undef, undef, $user, $system) = times; print $user + $system"#;
        let mut command = Command::new("perl");
        command
            .args(["-MPOSIX=dup2", "-e", script])
            .arg(link(&host, "checkpassword"))
            .env("LOGIN", login)
            .env("WORD", password);
        command.env("AUTH_CDB", host.published("auth.cdb"));
        let output = command.output().unwrap();
        String::from_utf8(output.stdout).unwrap().parse().unwrap()
    };
    let costs = [("known", "secret"), ("known", "wrong"), ("unknown", "secret"), ("other", "x"), ("expired", "secret")]
        .map(|(login, password)| cost(login, password));
    let (least, most) = costs.iter().fold((f64::MAX, 0f64), |(least, most), cost| (least.min(*cost), most.max(*cost)));
    assert!(least > 0.1 && most < 2.0 * least, "{costs:?}");
}

/// An account that nothing belongs to, and its group.
const NOBODY: u32 = 65_534;

/// A qmail-smtpd behind a real tcpserver, and a client of it.
struct Session {
    server: Child,
    client: BufReader<TcpStream>,
}

impl Session {
    /// As root, qmail-smtpd runs as somebody else, as it should.
    fn start(host: &MailHost, set: &[(&str, &OsStr)]) -> Session {
        let mut command = Command::new("tcpserver");
        command.args(["-1", "-HR", "-l", "localhost"]);
        if is_root() {
            command.args(["-u", &NOBODY.to_string(), "-g", &NOBODY.to_string()]);
        }
        command.args(["127.0.0.1", "0", "perl"]).arg(host.path("/qmail-smtpd.pl"));
        command.arg(link(host, "checkpassword")).arg("true").stdout(Stdio::piped());
        command.env("VALIDRCPTTO_CDB", host.published("validrcptto.cdb")).env("AUTH_CDB", host.published("auth.cdb"));
        let mut server = command.envs(set.iter().copied()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let client = BufReader::new(TcpStream::connect(("127.0.0.1", port.trim().parse().unwrap())).unwrap());
        let mut session = Session { server, client };
        assert!(session.read().starts_with("220 "));
        assert!(session.say("EHLO client.example").starts_with("250-") && session.read().starts_with("250 "));
        assert_eq!(session.say("MAIL FROM:<sender@elsewhere.example>"), "250 ok");
        session
    }

    fn read(&mut self) -> String {
        let mut line = String::new();
        self.client.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn say(&mut self, line: &str) -> String {
        self.client.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        self.read()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The data of a key, by tinycdb.
fn cdb_query(table: &Path, key: &str) -> Option<String> {
    let output = Command::new("cdb").arg("-q").arg(table).arg(key).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// qmail-smtpd's own lookup of a recipient, told from the patch: the address, `...-default`, the domain.
fn is_listed(table: &Path, address: &str) -> bool {
    let address = address.to_ascii_lowercase();
    let mut keys = vec![address.clone()];
    if let Some((local, domain)) = address.rsplit_once('@') {
        let cuts = local.match_indices('-').collect::<Vec<_>>().into_iter().rev();
        keys.extend(cuts.map(|(at, _)| format!("{}-default@{domain}", &local[..at])));
        keys.push(format!("@{domain}"));
    }
    keys.iter().find_map(|key| cdb_query(table, key)).is_some_and(|data| !data.starts_with('-'))
}

#[test]
fn a_thousand_recipients_and_200_logins_behind_tcpserver_are_answered_as_by_qmail_smtpds_own_lookups() {
    let name = "a_thousand_recipients_and_200_logins_behind_tcpserver_are_answered_as_by_qmail_smtpds_own_lookups";
    if let Some(program) = ["tcpserver", "cdb", "perl"].into_iter().find(|program| !has(program)) {
        return skip(name, &format!("{program} is not installed"));
    }
    let settings = [
        "ab",
        "$1$saltsalt$",
        "$5$rounds=1000$saltsalt$",
        "$6$rounds=1000$saltsalt$",
        "$2b$04$abcdefghijklmnopqrstuu",
        if knows_yescrypt() { "$y$j75$saltsaltsalt$" } else { "$1$othersal$" },
    ];
    let passwords: Vec<String> = (0..50).map(|number| format!("pass word{number}\u{e9}")).collect();
    let asked: Vec<_> = passwords
        .iter()
        .zip(settings.iter().cycle())
        .map(|(word, setting)| (word.clone().into_bytes(), (*setting).to_owned()))
        .collect();
    let mailboxes: Vec<String> = system_crypt(&asked)
        .iter()
        .enumerate()
        .map(|(number, hash)| format!("user{number}:{hash}:1:0:N:/d:Q"))
        .collect();
    let host = MailHost::sample();
    host.mailboxes(COM, &mailboxes.iter().map(String::as_str).collect::<Vec<_>>());
    host.write(&format!("{COM}/.qmail-team-default"), "|/bin/true\n")
        .write(&format!("{COM}/.qmail-team-old-default"), "|bouncesaying no\n");
    host.rebuild();
    let (recipients, logins) = (host.published("validrcptto.cdb"), host.published("auth.cdb"));

    let domains = [
        "example.com",
        "EXAMPLE.edu",
        "example.net",
        "relay.example",
        "backup.example",
        "mail.example.org",
        "elsewhere.example",
    ];
    let locals = |number: usize| {
        [
            format!("user{number}"),
            format!("User{number}"),
            format!("user{number}-x"),
            format!("team-{number}"),
            format!("team-old-{number}"),
            format!("list-{number}"),
            format!("nobody{number}"),
        ]
    };
    let mut addresses: Vec<String> = [
        "postmaster",
        "nobody",
        "bob@example.com",
        "carol-x@mail.example.org",
        "spamtrap@example.net",
        "erik@relay.example",
    ]
    .map(str::to_owned)
    .to_vec();
    addresses.extend(
        (0..)
            .flat_map(|number| domains.map(|domain| locals(number).map(|local| format!("{local}@{domain}"))).concat())
            .take(1_000 - addresses.len()),
    );
    // A copy, for whoever may not look into this folder; made by another process, so that none of ours holds it open.
    let copies = ["rcptcheck", "qmail-spp-rcpt", "checkpassword"].map(|name| host.path(&format!("/{name}")));
    let harness = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/qmail-smtpd.pl");
    let [original, link, another] = copies.each_ref().map(|copy| copy.to_str().unwrap());
    output_of("cp", &[support::tested(), original]);
    output_of("cp", &[harness, host.path("/qmail-smtpd.pl").to_str().unwrap()]);
    [link, another].iter().for_each(|name| symlink(original, name).unwrap());
    if is_root() {
        host.own("/var/qmail/control/auth.cdb", 0, NOBODY);
    }
    let mut rcptcheck = Session::start(&host, &[("RCPTCHECK", copies[0].as_os_str()), ("USE_FD4", OsStr::new("1"))]);
    let mut spp = Session::start(&host, &[("SPP_RCPT", copies[1].as_os_str())]);
    let mut accepted = 0;
    for address in &addresses {
        let wanted = if is_listed(&recipients, address) { "250 ok" } else { REPLY };
        accepted += usize::from(wanted == "250 ok");
        let command = format!("RCPT TO:<{address}>");
        assert_eq!((&rcptcheck.say(&command)[..], &spp.say(&command)[..]), (wanted, wanted), "{address}");
    }
    assert!((300..700).contains(&accepted), "{accepted}");

    let tries = passwords.iter().enumerate().flat_map(|(number, word)| {
        let next = &passwords[(number + 1) % passwords.len()];
        [
            (format!("user{number}@example.com"), word),
            (format!("user{number}@example.edu"), next),
            (format!("User{number}@example.com"), word),
            (format!("user{number}"), word),
        ]
    });
    let mut let_in = 0;
    for (number, (login, word)) in tries.enumerate() {
        let stored = cdb_query(&logins, &login).map(|data| data.split(',').next().unwrap().to_owned());
        let is_right =
            stored.is_some_and(|stored| system_crypt(&[(word.clone().into_bytes(), stored.clone())])[0] == stored);
        let_in += usize::from(is_right);
        let answer = if number % 2 == 0 {
            spp.say(&format!("AUTH PLAIN {}", BASE64_STANDARD.encode(format!("\0{login}\0{word}"))))
        } else {
            assert_eq!(spp.say("AUTH LOGIN"), "334 VXNlcm5hbWU6");
            assert_eq!(spp.say(&BASE64_STANDARD.encode(&login)), "334 UGFzc3dvcmQ6");
            spp.say(&BASE64_STANDARD.encode(word))
        };
        let wanted = if is_right { "235 ok, go ahead (#2.0.0)" } else { "535 authorization failed (#5.7.0)" };
        assert_eq!(answer, wanted, "{login} {word}");
    }
    // A password that begins like another one has its DES hash.
    assert!((100..=110).contains(&let_in), "{let_in}");

    // Without the tables: later, for everybody.
    fs::write(&recipients, "broken").unwrap();
    fs::remove_file(&logins).unwrap();
    let login = BASE64_STANDARD.encode("\0user0@example.com\0pass word0\u{e9}");
    assert!(spp.say(&format!("AUTH PLAIN {login}")).starts_with("454 "));
    assert_eq!(rcptcheck.say("RCPT TO:<user0@example.com>"), LATER);
    assert_eq!(spp.say("RCPT TO:<user0@example.com>"), LATER);
}
