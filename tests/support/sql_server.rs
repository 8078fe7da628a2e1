//! A real MariaDB or PostgreSQL in a directory of its own, reached by its socket only, as an ordinary user.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qmail_updater::host::user_database::Kind;
use tempfile::TempDir;

/// How long a server may take to start and to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where what `sh tests/run` unpacked lies.
fn unpacked() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/sql/root")
}

/// The directory of this program, of the machine or unpacked.
fn directory_of(name: &str) -> Option<PathBuf> {
    let roots = [PathBuf::from("/"), unpacked()];
    let of_versions = |root: &Path| {
        let versions = fs::read_dir(root.join("usr/lib/postgresql")).into_iter().flatten().flatten();
        versions.map(|version| version.path().join("bin")).collect::<Vec<_>>()
    };
    let usual = |root: &Path| ["usr/sbin", "usr/bin"].map(|directory| root.join(directory)).to_vec();
    let all = roots.iter().flat_map(|root| [usual(root), of_versions(root)].concat());
    all.into_iter().find(|directory| directory.join(name).is_file())
}

/// Starts a program of a server's package, as the user of the servers.
fn program(name: &str) -> Option<Command> {
    let mut command = Command::new(directory_of(name)?.join(name));
    let libraries = unpacked().join("usr/lib");
    let found = fs::read_dir(&libraries).into_iter().flatten().flatten().map(|entry| entry.path());
    let found: Vec<String> = found.filter(|path| path.is_dir()).map(|path| path.display().to_string()).collect();
    command.env("LD_LIBRARY_PATH", found.join(":")).env_remove("LANG").env("LC_ALL", "C").current_dir("/");
    if super::support::is_root() {
        command.uid(USER).gid(USER);
    }
    Some(command)
}

/// The servers refuse to run as root.
const USER: u32 = 65_534;

/// Runs a command to its end; what it says is only told when it fails.
fn run(mut command: Command, input: &str) -> String {
    let name = command.get_program().display().to_string();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|cause| panic!("{name}: {cause}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name}: {said}{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A server.
pub struct Server {
    pub kind: Kind,
    directory: TempDir,
    child: Option<Child>,
    options: Vec<String>,
}

impl Server {
    /// Starts one; `None` when the machine has none.
    pub fn start(kind: Kind, options: &[&str]) -> Option<Server> {
        let needed: &[&str] = match kind {
            Kind::Mysql => &["mariadbd", "mariadb-install-db", "mariadb"],
            _ => &["postgres", "initdb", "psql"],
        };
        let missing: Vec<_> = needed.iter().filter(|name| directory_of(name).is_none()).collect();
        if !missing.is_empty() {
            super::support::skip(
                &format!("a real server of {}", kind.name()),
                &format!("this machine lacks {missing:?}"),
            );
            return None;
        }
        // The way of a socket has little room.
        let directory = tempfile::Builder::new().prefix("qmail-updater-sql.").tempdir_in("/tmp").unwrap();
        if super::support::is_root() {
            chown(directory.path(), Some(USER), Some(USER)).unwrap();
        }
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let mut server = Server { kind, directory, child: None, options };
        let data = server.path("data");
        match kind {
            Kind::Mysql => {
                let mut command = program("mariadb-install-db").unwrap();
                command.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
                command.args([
                    "--skip-name-resolve",
                    "--innodb-log-file-size=4M",
                    "--innodb-flush-log-at-trx-commit=0",
                ]);
                command.arg(format!("--basedir={}", base().display())).arg(format!("--datadir={}", data.display()));
                command.arg(server.own_tmpdir());
                run(command, "");
            }
            _ => {
                let mut command = program("initdb").unwrap();
                command.args(["--no-sync", "--no-locale", "-E", "UTF8", "-U", "postgres", "-A", "scram-sha-256"]);
                let password = server.path("password");
                fs::write(&password, "root-secret\n").unwrap();
                command.arg(format!("--pwfile={}", password.display())).arg("-D").arg(&data);
                run(command, "");
            }
        }
        server.run();
        Some(server)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// MariaDB deletes files of other servers in a tmpdir that it shares with them.
    fn own_tmpdir(&self) -> String {
        format!("--tmpdir={}", self.directory.path().display())
    }

    /// Where a client finds it, in the first two fields of a connection.
    pub fn place(&self) -> String {
        match self.kind {
            Kind::Mysql => format!("localhost|{}", self.path("socket").display()),
            _ => format!("{}|5432", self.directory.path().display()),
        }
    }

    /// Starts it again, or for the first time.
    pub fn run(&mut self) {
        let mut command = match self.kind {
            Kind::Mysql => {
                let mut command = program("mariadbd").unwrap();
                command.arg("--no-defaults").arg(format!("--basedir={}", base().display()));
                command.arg(format!("--datadir={}", self.path("data").display())).arg(self.own_tmpdir());
                command.arg(format!("--socket={}", self.path("socket").display()));
                command.arg(format!("--pid-file={}", self.path("pid").display()));
                command.args(["--skip-networking", "--innodb-log-file-size=4M", "--innodb-flush-log-at-trx-commit=0"]);
                command.args(["--innodb-buffer-pool-size=16M", "--key-buffer-size=1M", "--skip-innodb-doublewrite"]);
                command.args(["--performance-schema=OFF", "--character-set-server=utf8mb4"]);
                command.args(["--collation-server=utf8mb4_general_ci", "--lc-messages=en_US"]);
                command
            }
            _ => {
                let mut command = program("postgres").unwrap();
                command.arg("-D").arg(self.path("data")).arg("-k").arg(self.directory.path());
                command.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "log_statement=all"]);
                command
            }
        };
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        command.args(&self.options).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.process_group(0).spawn().unwrap());
        let start = Instant::now();
        while !self.answers() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            let log = || {
                let log = fs::read_to_string(self.path("log")).unwrap_or_default();
                log.lines().rev().take(20).map(str::to_owned).collect::<Vec<_>>()
            };
            assert!(
                ended.is_none() && start.elapsed() < PATIENCE,
                "it does not start: {ended:?}, logged last {:#?}",
                log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether it takes connections: PostgreSQL refuses them for a moment when its socket is there.
    fn answers(&self) -> bool {
        match self.kind {
            Kind::Mysql => UnixStream::connect(self.path("socket")).is_ok(),
            _ => self.client("postgres").arg("-c").arg("select 1").output().is_ok_and(|output| output.status.success()),
        }
    }

    fn client(&self, database: &str) -> Command {
        match self.kind {
            Kind::Mysql => {
                let mut command = program("mariadb").unwrap();
                command.args(["--no-defaults", "--default-character-set=utf8mb4", "-u", "root", "-N"]);
                command.arg(format!("--socket={}", self.path("socket").display()));
                if !database.is_empty() {
                    command.arg(database);
                }
                command
            }
            _ => {
                let mut command = program("psql").unwrap();
                command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database]);
                command.arg("-h").arg(self.directory.path()).env("PGPASSWORD", "root-secret");
                command
            }
        }
    }

    /// Runs statements as the administrator; what they select is the answer.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        let database = if self.kind == Kind::Pgsql && database.is_empty() { "postgres" } else { database };
        run(self.client(database), statements)
    }

    /// All its processes, the first one last.
    fn processes(&self) -> Vec<Pid> {
        let Some(child) = &self.child else { return Vec::new() };
        let first = child.id();
        // PostgreSQL has one for each connection, in a session of its own.
        let children = fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap_or_default();
        let all = children.split_whitespace().map(|pid| pid.parse().unwrap());
        all.chain([i32::try_from(first).unwrap()]).map(Pid::from_raw).collect()
    }

    /// Sends a signal to all processes of the server.
    pub fn signal_all(&self, signal: Signal) {
        for pid in self.processes() {
            let _ = kill(pid, signal);
        }
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) {
        // It starts no other one meanwhile.
        if let Some(first) = self.processes().last() {
            let _ = kill(*first, Signal::SIGSTOP);
        }
        let all = self.processes();
        self.signal_all(Signal::SIGKILL);
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
        // PostgreSQL does not start again while one of them is left.
        let is_there = |pid: &Pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
        };
        while all.iter().any(is_there) {
            std::thread::sleep(Duration::from_millis(1));
        }
        for left in ["socket", "data/postmaster.pid", ".s.PGSQL.5432.lock", ".s.PGSQL.5432"] {
            let _ = fs::remove_file(self.path(left));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where the programs of MariaDB look for their files.
fn base() -> PathBuf {
    directory_of("mariadbd").unwrap().parent().unwrap().to_owned()
}
