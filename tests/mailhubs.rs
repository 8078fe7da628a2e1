//! Tables at mailhubs: the real examples/push-mailhubs, run by a real service, through real ssh, sshd and rsync on
//! loopback, with the authorized_keys line that docs/guide/mailhubs.md shows.

mod support;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use support::service::{PATIENCE, Service, follow, status_of};
use support::{Answer, MailHost, has, is_root, output_of, program, script, skip};

const PUSH: &str = "/etc/qmail-updater/push-mailhubs";
const LIST: &str = "/etc/qmail-updater/mailhubs";
const KEY: &str = "/etc/qmail-updater/mailhubs.key";
const KNOWN: &str = "/etc/qmail-updater/mailhubs.known";
/// The folder that the line in docs/guide/mailhubs.md names.
const TABLES: &str = "/var/qmail/tables/";

/// What a command of the service has in PATH.
const SYSTEM: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Makes mounts of its own in which `$0/passwd` and `$0/shadow` hold the accounts, and runs a command there: sshd of root
/// wants an account "sshd" and a directory /run/sshd, and the machine may have neither.
const WITH_ACCOUNTS: &str = "set -e; mount -t tmpfs none /run; mkdir -m 755 /run/sshd; \
                             for name in passwd shadow; do mount --bind \"$0/$name\" /etc/$name; done; exec \"$@\"";

/// The account that everything here logs in to: our own.
fn account() -> Option<nix::unistd::User> {
    nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten()
}

/// A command as the accounts of a directory see it, where it runs as root.
fn with_accounts(directory: &Path, program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    fs::write(directory.join("passwd"), "root:x:0:0::/:/bin/sh\nsshd:x:65534:65534::/:/bin/false\n").unwrap();
    fs::write(directory.join("shadow"), "root:*:::::::\nsshd:*:::::::\n").unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", WITH_ACCOUNTS]).arg(directory).arg(program);
    command
}

/// Whether hubs can be had here; says why not.
fn can_run(test: &str) -> bool {
    let missing = ["ssh", "ssh-keygen", "sshd", "rsync", "flock"].into_iter().find(|program| !has(program));
    let account = account();
    let has_account = is_root() || account.is_some();
    let shell = account.map(|user| user.shell).unwrap_or_default();
    let has_shell = is_root() || !(shell.ends_with("nologin") || shell.ends_with("false"));
    let directory = tempfile::tempdir().unwrap();
    let why = match missing {
        Some(missing) => &format!("{missing} is not installed"),
        None if !has_account => "this user has no account, so ssh does not run",
        None if !has_shell => "this account has no shell to log in to",
        None => {
            let answer: Answer = with_accounts(directory.path(), Path::new("true")).output().unwrap().into();
            if answer.code == 0 {
                return true;
            }
            &format!("no mounts of its own for sshd: {}", answer.stderr.trim())
        }
    };
    skip(test, why);
    false
}

/// A mailhub: an sshd with a configuration, a host key and a port of its own.
struct Hub {
    folder: tempfile::TempDir,
    port: u16,
    sshd: Option<Child>,
}

impl Hub {
    /// One that takes the key of this host by that line, and that the host knows.
    fn start(host: &MailHost) -> Hub {
        let folder = tempfile::Builder::new().prefix("qmail-updater-hub.").tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::create_dir(path("tables")).unwrap();
        output_of("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &path("host_key")]);
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/mailhubs.md")).unwrap();
        let line = text.lines().find(|line| line.starts_with("restrict,command=")).unwrap();
        let (what, _) = line.split_once(" ssh-ed25519 ").unwrap();
        assert_eq!(what.matches(TABLES).count(), 1);
        let key = fs::read_to_string(host.path("/etc/qmail-updater/mailhubs.key.pub")).unwrap();
        fs::write(path("keys"), format!("{} {key}", what.replace(TABLES, &(path("tables") + "/")))).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // Our own account may be root's, and /tmp is open to everybody.
        let configuration = format!(
            "Port {port}\nListenAddress 127.0.0.1\nListenAddress ::1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             UsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\nSetEnv \"PATH={}\"\n",
            path("host_key"),
            path("keys"),
            std::env::var("PATH").unwrap()
        );
        fs::write(path("config"), configuration).unwrap();
        let public = fs::read_to_string(path("host_key.pub")).unwrap();
        append(host, KNOWN, &format!("[127.0.0.1]:{port},[::1]:{port} {public}"));
        let mut hub = Hub { folder, port, sshd: None };
        append(host, LIST, &format!("{}\n", hub.line()));
        hub.go_up();
        hub
    }

    fn go_up(&mut self) {
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let mut command = with_accounts(self.folder.path(), &program("sshd").unwrap());
        command.args(["-D", "-e", "-f"]).arg(self.folder.path().join("config")).stdin(Stdio::null()).stderr(log);
        self.sshd = Some(command.spawn().unwrap());
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = || fs::read_to_string(self.folder.path().join("log"));
            assert!(start.elapsed() < PATIENCE, "sshd does not listen: {:?}", log());
        }
    }

    fn go_down(&mut self) {
        let mut sshd = self.sshd.take().unwrap();
        sshd.kill().unwrap();
        sshd.wait().unwrap();
    }

    /// Its line in the list.
    fn line(&self) -> String {
        format!("{}@127.0.0.1:{}", account().unwrap().name, self.port)
    }

    fn table(&self, name: &str) -> PathBuf {
        self.folder.path().join("tables").join(name)
    }

    /// Waits until its tables are the published ones.
    fn wait_for_tables(&self, host: &MailHost) {
        let start = Instant::now();
        for name in ["validrcptto.cdb", "auth.cdb"] {
            while fs::read(self.table(name)).ok() != fs::read(host.published(name)).ok() {
                assert!(start.elapsed() < PATIENCE, "{} never gets {name}", self.line());
                support::service::pause();
            }
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if self.sshd.is_some() {
            self.go_down();
        }
    }
}

fn append(host: &MailHost, path: &str, text: &str) {
    let before = fs::read_to_string(host.path(path)).unwrap_or_default();
    host.write(path, before + text);
}

/// The sample host, with what docs/guide/mailhubs.md installs there.
fn mailbox_host() -> MailHost {
    let host = MailHost::sample();
    // Where rsync or ssh is elsewhere than on a host, the script is told.
    let mut path = String::from("PATH=$PATH");
    for name in ["rsync", "ssh", "flock"] {
        let directory = program(name).unwrap().parent().unwrap().display().to_string();
        if !SYSTEM.contains(&&directory[..]) {
            path += &format!(":'{directory}'");
        }
    }
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/push-mailhubs")).unwrap();
    script(&host, PUSH, &format!("{path}\n{text}"));
    let key = host.path(KEY).display().to_string();
    output_of("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &key]);
    host
}

/// The script by hand, told of a file.
fn push(host: &MailHost, changed: &Path) -> Command {
    let mut command = Command::new(host.path(PUSH));
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("QMAIL_UPDATER_CHANGED", changed);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn output(mut command: Command) -> Answer {
    command.output().unwrap().into()
}

#[test]
fn a_hub_that_was_down_is_named_by_status_and_gets_what_it_missed() {
    if !can_run("a_hub_that_was_down_is_named_by_status_and_gets_what_it_missed") {
        return;
    }
    let host = mailbox_host();
    let (hub1, mut hub2) = (Hub::start(&host), Hub::start(&host));
    let run = ["--no-watch", "--after", PUSH];
    let mut service = Service::start(host, &run);
    hub1.wait_for_tables(&service.host);
    hub2.wait_for_tables(&service.host);
    for (name, mode) in [("validrcptto.cdb", 0o644), ("auth.cdb", 0o640)] {
        assert_eq!(fs::metadata(hub1.table(name)).unwrap().permissions().mode() & 0o7777, mode, "{name}");
    }

    hub2.go_down();
    service.add_alias("new");
    service.trigger(&[]);
    service.wait_for_answer("new@example.com", "accept");
    hub1.wait_for_tables(&service.host);
    let alert = service.wait_for("1 command failed after rebuild");
    assert!(alert.contains("next try in"), "{alert}");
    let names_hub2 = |host: &MailHost| {
        // The file follows the line in the log.
        let start = Instant::now();
        while status_of(host)["commands_error"].is_null() {
            assert!(start.elapsed() < PATIENCE, "{}", status_of(host));
            support::service::pause();
        }
        let status = host.run(&["status"]);
        assert_eq!(status.code, 1, "{status:?}");
        let status = status.stdout;
        let line = status.lines().find(|line| line.contains(&hub2.line())).unwrap_or_default().to_owned();
        // What ssh says of it, or rsync, which then has nobody to write to.
        let is_why = ["Connection refused", "Broken pipe"].iter().any(|words| line.contains(words));
        assert!(is_why && !status.contains(&hub1.line()), "{status}");
        assert!(status.contains(&format!("{}: exited 111\n", host.path(PUSH).display())), "{status}");
        let json = host.run(&["status", "--json"]).stdout;
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["commands_error"]["commands"][0]["said"][0], line.trim_start());
    };
    names_hub2(&service.host);

    // Nor does a service that is started anew forget it.
    assert_eq!(service.end(), 0);
    let again: Vec<&str> = ["run"].into_iter().chain(run).collect();
    (service.child, service.log) = follow(service.host.command(&again));
    service.wait_for("1 command failed after rebuild 1;");
    names_hub2(&service.host);

    hub2.go_up();
    hub2.wait_for_tables(&service.host);
    let start = Instant::now();
    while !status_of(&service.host)["commands_error"].is_null() {
        assert!(start.elapsed() < PATIENCE, "{}", status_of(&service.host));
        support::service::pause();
    }
    let status = service.host.run(&["status"]);
    assert_eq!(status.code, 0, "{status:?}");
    assert!(!status.stdout.contains(&hub2.line()) && !status.stdout.contains("not been told"), "{}", status.stdout);
}

/// A table of one version, large enough to take a moment on its way.
fn table(version: u8) -> Vec<u8> {
    let keys: Vec<String> =
        (0..20_000).map(|number| format!("someone-with-a-long-name-{number}@example.com")).collect();
    let data = [version; 100];
    qmail_updater::cdb::image(keys.iter().map(|key| (key.as_bytes(), &data[..]))).unwrap()
}

/// The version of a table of which every record is read.
fn version_of(image: &[u8]) -> u8 {
    let cdb = qmail_updater::cdb::Reader::new(image).unwrap();
    let versions: Vec<u8> = cdb.records().map(|record| record.data[0]).collect();
    assert!(versions.len() == 20_000 && versions.iter().all(|version| *version == versions[0]), "torn");
    assert!(cdb.find(b"someone-with-a-long-name-19999@example.com").is_some());
    versions[0]
}

#[test]
fn a_reader_at_the_hub_sees_whole_tables_only_also_when_a_push_is_killed() {
    if !can_run("a_reader_at_the_hub_sees_whole_tables_only_also_when_a_push_is_killed") {
        return;
    }
    let host = mailbox_host();
    let hub = Hub::start(&host);
    let (from, to) = (host.published("validrcptto.cdb"), hub.table("validrcptto.cdb"));
    let put = |version: u8| {
        let draft = host.published("draft");
        fs::write(&draft, table(version)).unwrap();
        fs::rename(&draft, &from).unwrap();
    };
    put(0);
    let first = output(push(&host, &from));
    assert_eq!((first.code, &first.stderr[..]), (0, ""));
    let domains = host.published("rcpthosts");
    assert_eq!(
        fs::read(hub.table("rcpthosts")).unwrap(),
        fs::read(domains).unwrap(),
        "what is no qmail reads it there"
    );
    let done = AtomicBool::new(false);
    let mut killed = 0;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = std::collections::BTreeSet::new();
            while !done.load(Ordering::Relaxed) {
                seen.insert(version_of(&fs::read(&to).unwrap()));
            }
            seen
        });
        for version in 1..=9 {
            put(version);
            if version % 3 > 0 {
                let answer = output(push(&host, &from));
                assert_eq!((answer.code, &answer.stderr[..]), (0, ""));
                assert_eq!(version_of(&fs::read(&to).unwrap()), version);
                continue;
            }
            // Killed as soon as the hub begins to write.
            let mut child = push(&host, &from).process_group(0).spawn().unwrap();
            let names = || fs::read_dir(to.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
            while child.try_wait().unwrap().is_none() {
                let names: Vec<_> = names().map(|name| name.into_string().unwrap()).collect();
                let is_table = |name: &str| name == "validrcptto.cdb" || name == "rcpthosts";
                if let Some(draft) = names.iter().find(|name| !is_table(name)) {
                    assert!(draft.starts_with('.') && !draft.ends_with(".cdb"), "{draft}");
                    killpg(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGKILL).unwrap();
                    killed += 1;
                    break;
                }
            }
            child.wait().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        let seen = reader.join().unwrap();
        assert!(seen.len() > 2, "{seen:?}");
    });
    assert!(killed > 0, "no push was seen at its work");
    let start = Instant::now();
    // The table, and rcpthosts.
    while fs::read_dir(to.parent().unwrap()).unwrap().count() > 2 {
        assert!(start.elapsed() < PATIENCE, "what a killed push began lies about");
        support::service::pause();
    }
}

#[test]
fn the_key_opens_nothing_but_the_folder_of_the_tables() {
    if !can_run("the_key_opens_nothing_but_the_folder_of_the_tables") {
        return;
    }
    let host = mailbox_host();
    let hub = Hub::start(&host);
    host.rebuild();
    let auth = host.published("auth.cdb");
    assert_eq!(output(push(&host, &auth)).code, 0);
    let secret = fs::read(&auth).unwrap();
    let options = format!(
        "-T -i {} -p {} -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none -o UserKnownHostsFile={}",
        host.path(KEY).display(),
        hub.port,
        host.path(KNOWN).display()
    );
    let target = format!("{}@127.0.0.1", account().unwrap().name);
    let away = hub.folder.path().join("away");
    fs::create_dir(&away).unwrap();
    let run = |program: &str, arguments: &str| -> Answer {
        let mut command = Command::new("timeout");
        // Whatever hangs got nowhere.
        command.args(["10", program]).args(arguments.split_whitespace()).current_dir(&away).stdin(Stdio::null());
        command.output().unwrap().into()
    };
    let nothing_came = |what: &str| {
        let files: Vec<_> = fs::read_dir(&away).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(files.is_empty(), "{what}: {files:?}");
        let tables: Vec<_> = fs::read_dir(hub.table("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let tables: Vec<_> = tables.into_iter().filter(|name| name != "rcpthosts").collect();
        assert_eq!(tables, ["auth.cdb"], "{what}");
        assert!(fs::read(hub.table("auth.cdb")).unwrap() == secret, "{what}");
    };
    let table = hub.table("auth.cdb").display().to_string();
    let stolen = away.join("stolen").display().to_string();
    let remote_shell = |options: &str| format!("ssh {options}");
    let rsync = |arguments: &str| -> Answer {
        let mut command = Command::new("timeout");
        command.args(["10", "rsync", "--rsh", &remote_shell(&options)]).args(arguments.split_whitespace());
        command.current_dir(&away).stdin(Stdio::null()).output().unwrap().into()
    };

    // A shell, a command, sftp.
    for what in ["", &format!("cat {table}"), &format!("touch {stolen}"), "-tt sh", "-s sftp"] {
        let answer = run("ssh", &format!("{options} {target} {what}"));
        assert!(
            answer.code != 0 && !answer.stdout.contains("$1$") && !answer.stdout.contains("ann"),
            "{what}: {answer:?}"
        );
        nothing_came(what);
    }
    // To other ports, by the hub.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let answer = run("ssh", &format!("{options} -W {} {target}", listener.local_addr().unwrap()));
    assert!(answer.code != 0 && listener.accept().is_err(), "{answer:?}");
    // Reading, by rsync.
    let answer = rsync(&format!("-c {target}:{table} {stolen}"));
    assert_ne!(answer.code, 0, "{answer:?}");
    nothing_came("rsync from the hub");
    // Elsewhere: it arrives in the folder of the tables all the same.
    let other = hub.folder.path().join("other");
    fs::write(&other, "x").unwrap();
    rsync(&format!("-cW {} {target}:{}/", other.display(), away.display()));
    assert!(!away.join("other").exists() && hub.table("other").exists());
    fs::remove_file(hub.table("other")).unwrap();
    // Deleting, links, and names that lead out of the folder.
    let evil = hub.folder.path().join("evil");
    fs::create_dir(&evil).unwrap();
    std::os::unix::fs::symlink("/etc", evil.join("link")).unwrap();
    for arguments in [
        format!("-cr --delete {}/ {target}:", evil.display()),
        format!("-cl {}/link {target}:", evil.display()),
        format!("-cR --no-implied-dirs {}/./../other {target}:", evil.display()),
    ] {
        rsync(&arguments);
        assert!(!hub.table("link").is_symlink(), "{arguments}");
        let _ = fs::remove_file(hub.table("other"));
        nothing_came(&arguments);
    }
    // Sums of its blocks would tell what the file holds.
    let mut guess = secret.clone();
    guess.truncate(secret.len() - 1);
    fs::write(evil.join("auth.cdb"), guess).unwrap();
    let answer = rsync(&format!("-c --no-whole-file --block-size=1 --stats {}/auth.cdb {target}:", evil.display()));
    assert!(answer.stdout.contains("Matched data: 0 bytes"), "{answer:?}");
}

#[test]
fn a_silent_hub_keeps_no_other_waiting_and_is_named_in_time() {
    if !can_run("a_silent_hub_keeps_no_other_waiting_and_is_named_in_time") {
        return;
    }
    let host = mailbox_host();
    host.rebuild();
    // Takes connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_hub = format!("127.0.0.1:{}", silent.local_addr().unwrap().port());
    append(&host, LIST, &format!("{silent_hub}\n"));
    let hub = Hub::start(&host);
    let changed = host.published("auth.cdb");
    let mut child = push(&host, &changed).spawn().unwrap();
    let start = Instant::now();
    while fs::read(hub.table("auth.cdb")).ok() != fs::read(&changed).ok() {
        assert!(start.elapsed() < PATIENCE);
        support::service::pause();
    }
    assert!(child.try_wait().unwrap().is_none(), "the silent one is still waited for");
    let early: Answer = child.wait_with_output().unwrap().into();
    assert_eq!((early.code, early.stderr.lines().count()), (111, 1), "{early:?}");
    assert!(early.stderr.starts_with(&format!("{silent_hub}: ")) && early.stderr.contains("timed out"), "{early:?}");

    // And one that is only slow, with less patience than the script has.
    let script = fs::read_to_string(host.path(PUSH)).unwrap();
    assert!(script.contains("\nlimit=50\n"));
    support::script(&host, PUSH, &script.replace("\nlimit=50\n", "\nlimit=1\n"));
    host.write(LIST, &silent_hub);
    let answer = output(push(&host, &changed));
    assert_eq!((answer.code, &answer.stderr[..]), (111, &format!("{silent_hub}: did not end within 1 s\n")[..]));
}

#[test]
fn what_an_administrator_gets_wrong_is_told_in_a_line_and_the_other_hubs_get_theirs() {
    if !can_run("what_an_administrator_gets_wrong_is_told_in_a_line_and_the_other_hubs_get_theirs") {
        return;
    }
    let host = mailbox_host();
    host.rebuild();
    let changed = host.published("auth.cdb");
    let list = host.path(LIST).display().to_string();
    let fails = |told: &str| {
        let answer = output(push(&host, &changed));
        assert_eq!((answer.code, answer.stderr.lines().count()), (111, 1), "{answer:?}");
        assert!(answer.stderr.contains(told), "{told}: {}", answer.stderr);
    };
    fails(&format!("{list}: unable to read it"));
    host.write(LIST, "# none yet\n\n");
    fails(&format!("{list}: names no mailhub"));
    let hub = Hub::start(&host);
    let line = hub.line();
    for wrong in ["hub one", "hub;reboot", "-oProxyCommand=reboot", "root@-x", "::1", "hub:", "hub:ssh", "*"] {
        let _ = fs::remove_file(hub.table("auth.cdb"));
        host.write(LIST, format!("{wrong}\n{line}\n"));
        fails(&format!("\"{wrong}\" is not [user@]host[:port]"));
        assert!(hub.table("auth.cdb").exists(), "{wrong}");
    }
    // As an editor elsewhere writes it, without an end of the last line.
    fs::remove_file(hub.table("auth.cdb")).unwrap();
    host.write(LIST, format!("# hubs\r\n\r\n  {line}  # the first"));
    let answer = output(push(&host, &changed));
    assert_eq!((answer.code, &answer.stderr[..]), (0, ""));
    assert!(hub.table("auth.cdb").exists());
    // In every shell, and by IPv6 where there is any.
    let mut lines = vec![line.clone()];
    if TcpStream::connect(("::1", hub.port)).is_ok() {
        lines.push(line.replace("127.0.0.1", "[::1]"));
    } else {
        skip("a mailhub by IPv6", "there is no ::1");
    }
    for (shell, line) in
        ["dash", "busybox sh", "bash --posix"].into_iter().flat_map(|shell| lines.iter().map(move |line| (shell, line)))
    {
        let words: Vec<&str> = shell.split(' ').collect();
        let Some(shell_program) = program(words[0]) else {
            skip(&format!("push-mailhubs in {shell}"), "it is not installed");
            continue;
        };
        fs::remove_file(hub.table("auth.cdb")).unwrap();
        host.write(LIST, format!("{line}\n"));
        let push = push(&host, &changed);
        let mut command = Command::new(shell_program);
        command.args(&words[1..]).arg(push.get_program()).env_clear().stdin(Stdio::null());
        command.envs(push.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let answer = output(command);
        assert_eq!((answer.code, &answer.stderr[..]), (0, ""), "{shell}");
        assert!(hub.table("auth.cdb").exists(), "{shell}");
    }
    host.write(LIST, format!("{line}\n"));
    // A key that nobody compared.
    let known = fs::read_to_string(host.path(KNOWN)).unwrap();
    host.remove(KNOWN);
    fails(&format!("{line}: Host key verification failed."));
    host.write(KNOWN, known);
    // At the hub: a folder that cannot be written, another command, no key.
    let keys = hub.folder.path().join("keys");
    let right = fs::read_to_string(&keys).unwrap();
    let tables = hub.table("").display().to_string();
    fs::write(&keys, right.replace(&tables, "/proc/")).unwrap();
    fails(&format!("{line}: rsync: [receiver] mkstemp \"/proc/."));
    let (_, rest) = right.split_once(" --server").unwrap();
    fs::write(&keys, format!("restrict,command=\"no-rsync --server{rest}")).unwrap();
    fails("no-rsync: ");
    fs::write(&keys, format!("restrict,command=\"false --server{rest}")).unwrap();
    fails(&format!("{line}: rsync exited 12"));
    fs::write(&keys, "").unwrap();
    fails("Permission denied");
    host.remove(KEY);
    fails(&format!("{}: unable to read it", host.path(KEY).display()));
}

#[test]
fn a_line_that_is_no_hub_is_refused_and_what_a_hub_says_stays_one_plain_line() {
    let host = MailHost::sample();
    host.write(KEY, "").folder("/bin");
    let script_of_ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/push-mailhubs");
    assert!(Command::new("cp").arg(script_of_ours).arg(host.path(PUSH)).status().unwrap().success());
    // A hub may have it say anything.
    script(&host, "/bin/rsync", r#"printf 'a\033[2J\\033[1m\\nhub2: b\n' >&2; echo "$@" >>"$0.ran"; exit 12"#);
    let lines =
        ["[", "[]", "::1]", "[::1", "[::1]]", "[]:22", "u[@hub1", "me@", ":22", "[::1]:2:3", "badger", "me@[::1]:22"];
    host.write(LIST, lines.join("\n") + "\n");
    let mut command = push(&host, &host.path("/table"));
    command.env("PATH", format!("{}:/usr/bin:/bin", host.path("/bin").display()));
    let answer = output(command);
    assert_eq!(answer.code, 111, "{answer:?}");
    for line in &lines[..10] {
        let refused = format!("\"{line}\" is not [user@]host[:port]");
        assert!(answer.stderr.lines().any(|said| said.starts_with(&refused)), "{line}: {answer:?}");
    }
    assert_eq!(answer.stderr.lines().count(), lines.len(), "{answer:?}");
    assert!(!answer.stderr.contains('\x1b') && answer.stderr.contains("\\nhub2: b"), "{answer:?}");
    assert_eq!(fs::read_to_string(host.path("/bin/rsync.ran")).unwrap().lines().count(), 2, "{answer:?}");
}
