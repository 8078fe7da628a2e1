//! A mail host in a folder of its own, and the real binary run on it.
#![allow(dead_code, reason = "each test uses some of it")]

pub mod attacked;
pub mod fuse;
pub mod service;
pub mod soaking;
pub mod witness;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use base64::Engine;
use qmail_updater::os::stop::Stop;
use qmail_updater::protect::hold::Patience;
use qmail_updater::rebuild::{Order, rebuild};
use qmail_updater::report::{Level, Note};
use qmail_updater::settings::Settings;
use tempfile::TempDir;

/// The real binary; another build of it where the variable TESTED_PROGRAM has its path, with the program of user databases beside
/// it.
pub fn tested() -> &'static str {
    static PROGRAM: LazyLock<String> = LazyLock::new(|| {
        std::env::var("TESTED_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_qmail-updater").to_owned())
    });
    &PROGRAM
}

/// Whether the tests run as root; those that need it say so when they do not.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Why an ordinary user cannot see which files a running rebuild has open.
pub const NOT_DUMPABLE: &str = "only root may look into a process that holds hashes";

/// Says why a test is left out.
pub fn skip(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}

/// Runs the benchmark on its smallest host, once, with these options; it makes its hosts and figures in this directory.
pub fn benchmark(directory: &Path, options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "--example", "bench", "--", "S", "--runs", "1", "--program", tested()]);
    command.arg("--folder").arg(directory).arg("--svg").arg(directory).args(options);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap()
}

/// Makes the host that one of tests/conformance describes.
pub fn conformance_host(description: &serde_json::Value) -> MailHost {
    let host = MailHost::empty();
    let number = |file: &serde_json::Value, name: &str| u32::try_from(file[name].as_u64().unwrap()).unwrap();
    let (folders, others): (Vec<_>, Vec<_>) =
        description["files"].as_array().unwrap().iter().partition(|file| file["dir"] == true);
    for file in folders.iter().chain(&others) {
        let inside = file["path"].as_str().unwrap();
        let path = host.path(inside);
        if file["dir"] == true {
            fs::create_dir_all(&path).unwrap();
        } else if file["fifo"] == true {
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
        } else if let Some(target) = file["symlink"].as_str() {
            host.link(inside, target);
            continue;
        } else if let Some(text) = file["text"].as_str() {
            fs::write(&path, text).unwrap();
        } else {
            let content = base64::prelude::BASE64_STANDARD.decode(file["base64"].as_str().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
        }
        give(&path, number(file, "uid"), number(file, "gid"));
        let mode = u32::from_str_radix(file["mode"].as_str().unwrap(), 8).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    host
}

/// The current uid and gid, as passwd and users/assign write them.
pub fn me() -> (u32, u32) {
    (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
}

/// A mail host below a temporary folder.
pub struct MailHost {
    folder: TempDir,
}

/// What a command answered.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Answer {
        Answer {
            // 128 + signal, as a shell says it.
            code: output.status.code().unwrap_or_else(|| {
                128 + std::os::unix::process::ExitStatusExt::signal(&output.status).unwrap_or_default()
            }),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl MailHost {
    /// An empty host.
    pub fn empty() -> MailHost {
        MailHost::below(&std::env::temp_dir())
    }

    /// An empty host below this directory.
    pub fn below(place: &Path) -> MailHost {
        let folder = tempfile::Builder::new().prefix("qmail-updater-test.").tempdir_in(place).unwrap();
        // Others must be able to search it, as they can search /.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        MailHost { folder }
    }

    /// A copy of the sample host, with the modes that demo gives it. It has no compiled users/cdb: tests change
    /// users/assign.
    pub fn sample() -> MailHost {
        MailHost::sample_below(&std::env::temp_dir())
    }

    /// The same below this directory.
    pub fn sample_below(place: &Path) -> MailHost {
        let host = MailHost::below(place);
        host.copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/host"), "");
        host.remove("/var/qmail/users/cdb");
        host
    }

    fn copy(&self, from: &Path, inside: &str) {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let inside = format!("{inside}/{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                self.folder(&inside).copy(&entry.path(), &inside);
            } else {
                self.write(&inside, fs::read(entry.path()).unwrap());
            }
        }
    }

    /// The folder that stands for `/`.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The path on this machine of a path on the host.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.root().join(inside.trim_start_matches('/'))
    }

    /// Writes a file, mode 0644, and the folders above it, mode 0755.
    pub fn write(&self, inside: &str, content: impl AsRef<[u8]>) -> &MailHost {
        let path = self.path(inside);
        self.make_folders(path.parent().unwrap());
        fs::write(&path, content).unwrap();
        self.mode(inside, 0o644)
    }

    /// Makes a folder, mode 0755, and those above it.
    pub fn folder(&self, inside: &str) -> &MailHost {
        self.make_folders(&self.path(inside));
        self
    }

    fn make_folders(&self, path: &Path) {
        if !path.is_dir() {
            self.make_folders(path.parent().unwrap());
            fs::create_dir(path).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    /// Sets the mode of a file or folder.
    pub fn mode(&self, inside: &str, mode: u32) -> &MailHost {
        fs::set_permissions(self.path(inside), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    /// Makes a symbolic link.
    pub fn link(&self, inside: &str, target: &str) -> &MailHost {
        self.make_folders(self.path(inside).parent().unwrap());
        symlink(target, self.path(inside)).unwrap();
        self
    }

    /// Removes a file.
    pub fn remove(&self, inside: &str) -> &MailHost {
        fs::remove_file(self.path(inside)).unwrap();
        self
    }

    /// Gives a file away; needs root.
    pub fn own(&self, inside: &str, uid: u32, gid: u32) -> &MailHost {
        std::os::unix::fs::lchown(self.path(inside), Some(uid), Some(gid)).unwrap();
        self
    }

    /// Writes a vpasswd.cdb with these mailboxes, `name:record` each, their hashes [`filled`].
    pub fn mailboxes(&self, domain_folder: &str, lines: &[&str]) -> &MailHost {
        let filled = |line: &&str| {
            let (name, record) = line.split_once(':').unwrap();
            let (crypt, rest) = record.split_once(':').unwrap_or((record, ""));
            let colon = if crypt.len() < record.len() { ":" } else { "" };
            format!("{name}:{}{colon}{rest}", filled(crypt))
        };
        let lines: Vec<String> = lines.iter().map(filled).collect();
        self.mailboxes_as_written(domain_folder, &lines.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The same with their hashes as they are.
    pub fn mailboxes_as_written(&self, domain_folder: &str, lines: &[&str]) -> &MailHost {
        let records = lines.iter().map(|line| line.split_once(':').unwrap());
        let image =
            qmail_updater::cdb::image(records.map(|(name, record)| (name.as_bytes(), record.as_bytes()))).unwrap();
        self.write(&format!("{domain_folder}/vpasswd.cdb"), image)
    }

    /// The real binary, told of this host.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(tested());
        command.env_clear().arg("--root").arg(self.root()).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs the real binary to its end.
    pub fn run(&self, arguments: &[&str]) -> Answer {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs it with this on standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Answer {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let _ = stdin.write_all(input);
            });
            child.wait_with_output().unwrap().into()
        })
    }

    /// Rebuilds, and insists that it succeeds, and that other readers of the format find in both tables what ours finds.
    pub fn rebuild(&self) -> Answer {
        let answer = self.run(&["rebuild"]);
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        for table in
            ["validrcptto.cdb", "auth.cdb"].map(|name| self.published(name)).iter().filter(|table| table.is_file())
        {
            witness::agrees(table);
        }
        answer
    }

    /// qmail-smtpd's answers in the published file: `accept` or `refuse` for each address.
    pub fn answers(&self, addresses: &[&str]) -> Vec<String> {
        let arguments: Vec<&str> = ["lookup", "--"].into_iter().chain(addresses.iter().copied()).collect();
        let answer = self.run(&arguments);
        answer.stdout.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
    }

    /// The published logins with their data, without what [`filled`] added.
    pub fn logins(&self) -> BTreeMap<String, String> {
        let image = fs::read(self.published("auth.cdb")).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let short = |data: String| {
            let (hash, rest) = data.split_at(data.find(',').unwrap_or(data.len()));
            let hash = if hash.ends_with("........") { hash.trim_end_matches('.') } else { hash };
            format!("{hash}{rest}")
        };
        let cdb = qmail_updater::cdb::Reader::new(&image).unwrap();
        cdb.records().map(|record| (text(record.key), short(text(record.data)))).collect()
    }

    /// A published file.
    pub fn published(&self, name: &str) -> PathBuf {
        self.path(&format!("/var/qmail/control/{name}"))
    }
}

/// Runs a program of the machine and gives its standard output.
pub fn output_of(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A crypt string that a test writes short, as `$1$a$b`, with dots behind it up to the length that its scheme makes; any
/// other as it is. A shorter hash is none, and nobody logs in with it.
pub fn filled(crypt: &str) -> String {
    let lengths = [("$1$", 22), ("$5$", 43), ("$6$", 86), ("$2b$", 53), ("$y$", 43)];
    let length = lengths.iter().find(|(scheme, _)| crypt.contains(scheme)).map_or(0, |(_, length)| *length);
    match crypt.rsplit_once('$') {
        Some((start, hash)) => format!("{start}${hash:.<length$}"),
        None => crypt.to_owned(),
    }
}

/// Where PATH finds a program.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// Whether PATH finds a program.
pub fn has(name: &str) -> bool {
    program(name).is_some()
}

/// Rebuilds under these settings in this process: how that ended, and the alerts.
pub fn rebuild_with_alerts(settings: &Settings) -> (Result<(), String>, Vec<String>) {
    let alerts = RefCell::new(Vec::new());
    let note = |notes: &[Note]| {
        let new = notes.iter().filter(|note| note.level == Level::Alert).map(|note| note.text.clone());
        alerts.borrow_mut().extend(new);
    };
    let stop = Stop::never();
    let order = Order {
        head: "rebuild done",
        middle: "",
        patience: Patience::Ever,
        let_go: &[],
        then: "",
        note: &note,
        stop: &stop,
        is_quiet: true,
    };
    let done = rebuild(settings, &order).map(drop).map_err(|error| error.to_string());
    (done, alerts.into_inner())
}

/// Publishes 150 aliases of the domain at `home`, and takes them away: the next rebuild holds what it loses.
pub fn lose_much(host: &MailHost, home: &str) {
    host.write(&format!("{home}/.qmail-default"), "|/home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n");
    let files: Vec<String> = (0..150).map(|number| format!("{home}/.qmail-u{number}")).collect();
    for file in &files {
        host.write(file, "&x@far.example\n");
    }
    host.rebuild();
    for file in &files {
        host.remove(file);
    }
}

/// strace, also for a command without PATH. The traced program does not get the library path of an unpacked strace.
pub fn strace() -> Command {
    let mut command = Command::new(program("strace").unwrap_or_else(|| "strace".into()));
    command.args(["-E", "LD_LIBRARY_PATH"]);
    command
}

/// Bytes as pairs of hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The system's crypt(3) of passwords and settings, as perl hands them on.
pub fn system_crypt(asked: &[(Vec<u8>, String)]) -> Vec<String> {
    let script =
        r#"while (<>) { /^(.*) (.*)$/; my $hash = crypt(pack("H*", $1), pack("H*", $2)); print $hash // "*", "\n" }"#;
    let mut child =
        Command::new("perl").args(["-e", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines: String =
        asked.iter().map(|(word, setting)| format!("{} {}\n", hex(word), hex(setting.as_bytes()))).collect();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let hashes: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(hashes.len(), asked.len());
    hashes
}

/// Gives a path to another user, links not followed.
pub fn give(path: &Path, uid: u32, gid: u32) {
    if path.is_symlink() {
        std::os::unix::fs::lchown(path, Some(uid), Some(gid)).unwrap();
    } else {
        chown(path, Some(uid), Some(gid)).unwrap();
    }
}

/// Makes a shell script of the host.
pub fn script(host: &MailHost, path: &str, text: &str) {
    executable(host, path, format!("#!/bin/sh\n{text}\n"));
}

/// Makes a program of the host.
pub fn executable(host: &MailHost, path: &str, content: impl AsRef<[u8]>) {
    make_program(&host.path(path), content);
}

/// Makes a program; what runs it at any moment runs the old one or the new one.
pub fn make_program(path: &Path, content: impl AsRef<[u8]>) {
    let (draft, copy) = (path.with_extension("draft"), path.with_extension("copy"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&draft, content).unwrap();
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
    // Copied by another process: had we held it open for writing, a child of another test might still do, and nothing
    // could run it ("Text file busy").
    assert!(Command::new("cp").arg(&draft).arg(&copy).status().unwrap().success());
    fs::rename(&copy, path).unwrap();
    fs::remove_file(&draft).unwrap();
}

/// README.md and every document below docs/, by its path in the repository.
pub fn documents() -> Vec<String> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path, found),
                false => found.extend(Some(path).filter(|path| path.extension().is_some_and(|ending| ending == "md"))),
            }
        }
    }
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![repository.join("README.md")];
    walk(&repository.join("docs"), &mut found);
    found.sort();
    found.iter().map(|path| path.strip_prefix(repository).unwrap().display().to_string()).collect()
}
