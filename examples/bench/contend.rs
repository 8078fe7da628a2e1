//! Who is measured against whom on one host, and whether they all made the same tables.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use qmail_updater::cdb::{Reader, image};

use crate::make::MailHost;
use crate::measure::{Job, Taken};
use crate::read;

/// Both tables, in the order in which they are made.
pub const TABLES: [&str; 2] = ["validrcptto.cdb", "auth.cdb"];
/// This program with nothing published.
pub const FULL: &str = "full rebuild";
/// This program with something older published.
pub const OVER: &str = "full rebuild over older tables";
/// This program with the same published.
pub const SAME: &str = "rebuild, nothing changed";
/// tinycdb's.
pub const CDB: &str = "cdb -c of both lists, no fsync";
/// freecdb's.
pub const CDBMAKE: &str = "cdbmake of both lists";
/// The script's.
pub const PERL: &str = "Perl rebuild";

/// This program with nothing published, and the users in a user database.
pub const ROWS: &str = "full rebuild, users in the database";
/// A client of the database.
pub const STREAMING: &str = "streaming the same rows, no more";

/// No program at all: what reading alone takes.
pub const READING: &str = "reading the same files";

/// One that is measured.
pub struct Contender {
    /// One of the names above.
    pub name: &'static str,
    /// What is measured.
    pub job: Job,
    /// Where it writes.
    folder: PathBuf,
    before: Before,
}

/// What lies where the tables go.
enum Before {
    Nothing,
    Older,
    TheSame,
    /// It makes none.
    Unmade,
}

/// Those of one host.
pub struct Contenders {
    /// In the order of their turns.
    pub list: Vec<Contender>,
    /// Holds a folder of each.
    out: PathBuf,
}

/// Which tools are not here, and which contenders that leaves out.
pub fn missing_tools() -> Vec<(&'static str, String)> {
    let perl = Command::new("perl").args(["-MCDB_File", "-e1"]).stderr(Stdio::null()).status();
    let tools = [
        (CDB, "cdb (Debian: tinycdb)", has("cdb")),
        (CDBMAKE, "cdbmake (Debian: freecdb)", has("cdbmake")),
        (PERL, "Perl's CDB_File (Debian: libcdb-file-perl)", perl.is_ok_and(|status| status.success())),
    ];
    tools.into_iter().filter(|(.., here)| !here).map(|(name, tool, _)| (name, tool.to_owned())).collect()
}

/// Whether a program is installed.
pub fn has(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join(program).is_file())
}

/// The program's arguments for this host.
pub fn on(host: &MailHost, program: &Path, arguments: &[&str]) -> Vec<OsString> {
    let fixed = [program.into(), OsString::from("--root"), host.root.clone().into()];
    fixed.into_iter().chain(arguments.iter().map(OsString::from)).collect()
}

/// A directory of one of them.
fn folder_in(out: &Path, name: &str) -> io::Result<PathBuf> {
    let folder = out.join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// A rebuild by this program, which publishes in a directory of its own.
fn rebuild(host: &MailHost, program: &Path, name: &str, options: &[&str]) -> Job {
    let [recipients, logins] = ["validrcptto", "auth"].map(|table| format!("--{table}=/bench/out/{name}/{table}.cdb"));
    let fixed = [&recipients[..], &logins, "--state=/bench/state", "rebuild", "--no-commands"];
    Job::new(on(host, program, &[options, &fixed].concat()))
}

impl Contenders {
    /// All that can be had here. Makes the lists that some of them read.
    pub fn of(host: &MailHost, program: &Path) -> io::Result<Contenders> {
        let out = host.path("bench/out");
        let folder = |name| folder_in(&out, name);
        let (ours, older, of_cdb, of_cdbmake, of_perl) =
            (folder("ours")?, folder("older")?, folder("cdb")?, folder("cdbmake")?, folder("perl")?);
        let lists = [("recipients", out.join("recipients.list")), ("logins", out.join("logins.list"))];
        for (what, list) in &lists {
            let words = on(host, program, &["list", what, "--format", "cdbmake"]);
            let status = Command::new(&words[0]).args(&words[1..]).stdout(File::create(list)?).status()?;
            if !status.success() {
                return Err(io::Error::other(format!("list {what}: {status}")));
            }
        }
        let rebuild = rebuild(host, program, "ours", &[]);
        let twice = |job: &dyn Fn(&Path, &Path) -> Job, folder: &Path| {
            let [recipients, logins] = [0, 1].map(|of| job(&lists[of].1, &folder.join(TABLES[of])));
            recipients.then(logins)
        };
        let cdb = |list: &Path, table: &Path| Job::new(["cdb".as_ref(), "-c".as_ref(), table, list]);
        let cdbmake =
            |list: &Path, table: &Path| Job::reading(list, ["cdbmake".as_ref(), table, &table.with_extension("tmp")]);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/bench/rebuild.pl");
        let tables = TABLES.map(|table| of_perl.join(table));
        let perl = Job::new(["perl".as_ref(), script.as_path(), &host.root, &tables[0], &tables[1]]);
        let threads = std::thread::available_parallelism()?.get().min(4).to_string();
        let this = std::env::current_exe()?;
        let reading = Job::new([this.as_ref(), Path::new(read::WORD), &host.root, Path::new(&threads)]);
        let missing = missing_tools();
        let list = [
            (FULL, rebuild.clone(), ours.clone(), Before::Nothing),
            (CDB, twice(&cdb, &of_cdb), of_cdb, Before::Nothing),
            (CDBMAKE, twice(&cdbmake, &of_cdbmake), of_cdbmake, Before::Nothing),
            (PERL, perl, of_perl, Before::Nothing),
            (READING, reading, out.clone(), Before::Unmade),
            (OVER, rebuild.clone(), ours.clone(), Before::Older),
            (SAME, rebuild, ours.clone(), Before::TheSame),
        ];
        let list = list.into_iter().filter(|(name, ..)| !missing.iter().any(|(of, _)| of == name));
        let list: Vec<Contender> =
            list.map(|(name, job, folder, before)| Contender { name, job, folder, before }).collect();
        let contenders = Contenders { list, out };
        contenders.run(&contenders.list[0])?;
        for table in TABLES {
            make_older(&ours.join(table), &older.join(table))?;
        }
        Ok(contenders)
    }

    /// Those of a host that has its users in a user database too: this program with the files, the same with these options,
    /// which make it read the rows, and a client that only streams them.
    pub fn of_rows(host: &MailHost, program: &Path, options: &[&str], streaming: Job) -> io::Result<Contenders> {
        let out = host.path("bench/out");
        let (files, rows) = (folder_in(&out, "ours")?, folder_in(&out, "rows")?);
        let list = [
            (FULL, rebuild(host, program, "ours", &[]), files, Before::Nothing),
            (STREAMING, streaming, out.clone(), Before::Unmade),
            (ROWS, rebuild(host, program, "rows", options), rows, Before::Nothing),
        ];
        let list = list.map(|(name, job, folder, before)| Contender { name, job, folder, before }).into();
        Ok(Contenders { list, out })
    }

    /// Runs one once. What others wrote is on the disk before, so that nobody waits for it.
    pub fn run(&self, contender: &Contender) -> io::Result<Taken> {
        self.prepare(contender)?;
        self.measure(contender)
    }

    /// The same without anything in the caches.
    pub fn run_cold(&self, contender: &Contender) -> io::Result<Taken> {
        self.prepare(contender)?;
        fs::write(crate::DROP_CACHES, "3\n")?;
        self.measure(contender)
    }

    /// Lays out what it finds.
    pub fn prepare(&self, contender: &Contender) -> io::Result<()> {
        for table in TABLES {
            let path = contender.folder.join(table);
            match contender.before {
                Before::Nothing if path.exists() => fs::remove_file(path)?,
                Before::Older => drop(fs::copy(self.out.join("older").join(table), path)?),
                Before::Nothing | Before::TheSame | Before::Unmade => {}
            }
        }
        nix::unistd::sync();
        Ok(())
    }

    fn measure(&self, contender: &Contender) -> io::Result<Taken> {
        let files = || TABLES.map(|table| identity(&contender.folder.join(table)));
        let before = files();
        let taken = contender.job.measure(&self.out.join("stderr"))?;
        let wanted = |(before, after): (&Option<_>, &Option<_>)| match contender.before {
            Before::TheSame | Before::Unmade => before == after,
            Before::Nothing | Before::Older => before != after && after.is_some(),
        };
        if !before.iter().zip(&files()).all(wanted) {
            return Err(io::Error::other(format!("{}: did not publish what it should", contender.name)));
        }
        Ok(taken)
    }

    /// Whether each made the same records as the first; how many those are, of both tables.
    pub fn compare(&self) -> io::Result<[usize; 2]> {
        let mut counts = [0; 2];
        for (table, count) in TABLES.iter().zip(&mut counts) {
            let ours = fs::read(self.list[0].folder.join(table))?;
            let wanted = records(&ours);
            *count = wanted.len();
            for contender in self.list[1..].iter().filter(|of| !matches!(of.before, Before::Unmade)) {
                let theirs = fs::read(contender.folder.join(table))?;
                let found = records(&theirs);
                if let Some(at) = (0..wanted.len().max(found.len())).find(|at| wanted.get(*at) != found.get(*at)) {
                    let text = |record: Option<&(&[u8], &[u8])>| {
                        record.map_or("nothing".into(), |record| String::from_utf8_lossy(record.0).into_owned())
                    };
                    let (ours, theirs) = (text(wanted.get(at)), text(found.get(at)));
                    return Err(io::Error::other(format!(
                        "{}: {table} differs: {theirs} where {ours} is wanted",
                        contender.name
                    )));
                }
            }
        }
        Ok(counts)
    }

    /// A file for what is of no use later.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    /// What this program made.
    pub fn ours(&self, table: &str) -> PathBuf {
        self.list[0].folder.join(table)
    }
}

/// Which file it is, and when it was written.
pub fn identity(path: &Path) -> Option<(u64, i64, i64, u64)> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|found| (found.ino(), found.mtime(), found.mtime_nsec(), found.len()))
}

fn records(image: &[u8]) -> Vec<(&[u8], &[u8])> {
    let Ok(cdb) = Reader::new(image) else { return Vec::new() };
    let mut records: Vec<_> = cdb.records().map(|record| (record.key, record.data)).collect();
    records.sort_unstable();
    records
}

/// The same table without one of its records.
fn make_older(table: &Path, older: &Path) -> io::Result<()> {
    let newer = fs::read(table)?;
    let cdb = Reader::new(&newer).map_err(io::Error::other)?;
    fs::write(older, image(cdb.records().skip(1).map(|record| (record.key, record.data)))?)?;
    fs::set_permissions(older, fs::metadata(table)?.permissions())
}
