//! What was typed, what the environment says and what the directory of settings says, in this order, made usable: paths
//! below the root, policies, owners.

use std::ffi::{OsStr, OsString};
use std::hash::RandomState;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::{Group, User, getegid, geteuid};
use serde_json::{Map, Value};

use crate::args::envdir::Envdir;
use crate::args::{self, Backend, CatchallDelete, Cli, Command, Defaults, YesNo};
use crate::error::{Error, Trouble, show_path};
use crate::fs::{Bounds, Root, Stamp};
use crate::host::accounts::id;
use crate::host::assign::COMPILED;
use crate::host::control::Accepted;
use crate::host::mailboxes::snapshot::Snapshot;
use crate::host::mailboxes::standing::Standing;
use crate::host::user_database::{Kind, Sign};
use crate::host::{Layout, VPOPMAIL, accounts, vpopmail_of, without_slash};
use crate::kernel;
use crate::os::spawn::{self, Companion};
use crate::publish::{Look, Owner, Target};
use crate::report::{Code, Note};
use crate::text::{Shown, lines};

mod effective;

/// The settings of one command.
#[derive(Debug)]
pub struct Settings {
    /// Where the host's files are, and how qmail and vpopmail were built.
    pub layout: Layout,
    /// validrcptto.cdb, as the host names it.
    pub validrcptto: Vec<u8>,
    /// auth.cdb, as the host names it.
    pub auth: Vec<u8>,
    /// The tables of other qmails that are published too.
    pub others: Vec<Other>,
    /// The folder of locks, as the host names it.
    pub state: Vec<u8>,
    /// Who owns auth.cdb, when the administrator says so.
    pub auth_owner: Option<Owner>,
    /// Who owned it when a rebuild looked last: one that somebody removed is made anew for the same group.
    last_owner: Mutex<Option<Owner>>,
    /// Where the last rebuild that could tell saw that vpopmail keeps its users, when that is not in vpasswd files.
    pub users_seen: Mutex<Option<Sign>>,
    /// How it stands with the user database: never locked while it is asked.
    pub standing: Mutex<Option<Standing>>,
    /// What is known of the user database from one question to the next.
    pub database: Mutex<Database>,
    /// Whether system accounts log in too.
    pub auth_system_users: bool,
    /// The named pipes where triggers arrive, on this machine.
    pub fifos: Vec<PathBuf>,
    /// The commands that follow a rebuild that changed a table, as the host names them.
    pub after: Vec<Vec<u8>>,
    /// The folder of actions, as the host names it.
    pub actions: Vec<u8>,
    /// Whether somebody said so: then it is missed when it is not there.
    pub actions_named: bool,
    /// How long an action may take.
    pub action_limit: Duration,
    /// Whether the service watches the host's files.
    pub watch: bool,
    /// Whether the service holds each rebuild that took something from the published tables against one of everything.
    pub verify: bool,
    /// How often the service makes a full look, whatever it heard.
    pub sweep: Duration,
    /// How often the service asks the user database.
    pub sql_sweep: Duration,
    /// How long the service holds a domain that loses nothing more.
    pub hold: Duration,
    /// How much of its entries, in per cent, a domain may lose at once while all domains together lose as much.
    pub max_loss: u32,
    /// Where the service keeps its metrics, as the host names it.
    pub metrics: Option<Vec<u8>>,
    /// The descriptor on which a supervisor waits to be told that the service hears triggers.
    pub ready_fd: Option<u8>,
    /// How many threads read homes, when the administrator says so.
    pub threads: Option<usize>,
    /// The directory of settings, when there is one.
    pub directory: Option<Envdir>,
    /// Those of a service that is started now, by the directory alone; for `check`.
    of_started: Option<Map<String, Value>>,
    /// What there is to say of it.
    pub notes: Vec<Note>,
}

/// A process that asks a user database, and what it was started for: which one; the identity and the size of the file that
/// it got; its uid and gid.
type Asking = ((Kind, (u64, u64), u64, (u32, u32)), Companion);

/// What is known of a user database from one question to the next.
#[derive(Debug, Default)]
pub struct Database {
    /// The process that asks it, with its connection.
    pub companion: Option<Asking>,
    /// What it said in this rebuild.
    pub answer: Option<Result<Arc<Snapshot>, Trouble>>,
    /// What it said when it answered last.
    pub before: Option<Arc<Snapshot>>,
    /// The name of the user database whose users the published tables hold, when a rebuild of this process noted it.
    pub published: Option<String>,
    /// What makes the numbers of all its snapshots.
    pub seed: RandomState,
}

/// Which table of another qmail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherKind {
    /// recipients.cdb of s/qmail.
    Sqmail,
    /// morevalidrcptto.cdb of sagredo's qmail.
    Sagredo,
}

/// A table of another qmail.
#[derive(Debug)]
pub struct Other {
    /// Which.
    pub kind: OtherKind,
    /// Where it is published, as the host names it.
    pub path: Vec<u8>,
    /// How the last rebuild of this process left it, and with how many entries.
    pub left: Mutex<Option<(Left, u64)>>,
}

/// What a table of another qmail was made of and how it was left: as long as all is the same, it is right.
#[derive(Debug, PartialEq, Eq)]
pub struct Left {
    /// validrcptto.cdb.
    pub recipients: Stamp,
    /// What rcpthosts let through.
    pub domains: Accepted,
    /// The table itself.
    pub table: Stamp,
}

/// Why there is nothing to do.
#[derive(Debug)]
pub enum Refusal {
    /// Help or version, to be printed.
    Help(clap::Error),
    /// What cannot be used.
    Error(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Error(error)
    }
}

/// Reads what was typed, the environment, and the directory of settings. What has to answer takes what cannot be read or
/// used of the directory for absent, and says nothing of it.
///
/// # Errors
/// Help or version were asked for, or something cannot be used.
pub fn read() -> Result<(Cli, Settings), Refusal> {
    let typed = args::typed();
    let cli = Cli::read(&typed, &Defaults::new()).map_err(|error| {
        if error.use_stderr() { Refusal::Error(Error::Usage(args::misuse(&error))) } else { Refusal::Help(error) }
    })?;
    let Some(mut directory) = read_directory(&cli)? else {
        let settings = Settings::new(&cli)?;
        return Ok((cli, settings));
    };
    let must_answer = cli.needs_only().is_some();
    let mut notes = Vec::new();
    if !must_answer {
        notes.extend(unread(&mut directory, matches!(cli.command, Command::Run { .. }))?);
        notes.extend(misplaced(&directory));
    }
    let mut defaults = directory.variables.clone();
    defaults.retain(|name, _| !is_misplaced(name));
    if let Command::Hook(_) = cli.command {
        args::prefer_smtpd(&mut defaults);
    }
    let first = if defaults.is_empty() { Settings::new(&cli).map(|new| (cli, new)) } else { usable(&typed, &defaults) };
    let (cli, mut settings) = match (first, must_answer) {
        (Ok(usable), _) => usable,
        (Err(error), false) => {
            // What is typed or in the environment may be at fault.
            usable(&typed, &Defaults::new())?;
            return Err(faults(&typed, &directory, &defaults)
                .into_iter()
                .next()
                .map_or(error, |(_, error)| error)
                .into());
        }
        (Err(_), true) => {
            for (name, _) in faults(&typed, &directory, &defaults) {
                defaults.remove(&name);
            }
            usable(&typed, &defaults).or_else(|_| usable(&typed, &Defaults::new()))?
        }
    };
    if let Command::Check { .. } | Command::Rebuild { .. } = cli.command {
        // What only the service uses.
        let typed =
            ["", "--root"].map(OsString::from).into_iter().chain([cli.options.root.clone().into(), "run".into()]);
        let typed: Vec<OsString> = typed.collect();
        settings.of_started = usable(&typed, &defaults).ok().map(|(_, service)| service.effective());
        let faults = match cli.command {
            Command::Check { .. } => faults(&typed, &directory, &defaults),
            _ => Vec::new(),
        };
        let note = |error| Note::alert(format!("{error}; the service does not start")).of(Code::SettingInvalid);
        notes.extend(faults.into_iter().map(|(_, error)| note(error)));
    }
    settings.directory = Some(directory);
    settings.notes = notes;
    Ok((cli, settings))
}

/// What was typed, with these defaults, made usable.
fn usable(typed: &[OsString], defaults: &Defaults) -> Result<(Cli, Settings), Error> {
    let cli = Cli::read(typed, defaults).map_err(|error| Error::Usage(args::one_line(&error)))?;
    let settings = Settings::new(&cli)?;
    Ok((cli, settings))
}

/// Which of the settings of a directory cannot be used, and why.
fn faults(typed: &[OsString], directory: &Envdir, defaults: &Defaults) -> Vec<(OsString, Error)> {
    let fault = |(name, value): (&OsString, &OsString)| {
        let error = match usable(typed, &Defaults::from([(name.clone(), value.clone())])).err()? {
            Error::Usage(what) => Error::malformed(&directory.file(name), None, what),
            other => other.then(&format!("so says {}", show_path(&directory.file(name)))),
        };
        Some((name.clone(), error))
    };
    defaults.iter().filter_map(fault).collect()
}

/// Reads the directory of settings, or what the command needs of it.
fn read_directory(cli: &Cli) -> Result<Option<Envdir>, Error> {
    let named = &cli.options.settings;
    if named.is_empty() {
        return Ok(None);
    }
    let needed = cli.needs_only();
    let inside = match folder("--settings", named) {
        Err(_) if needed.is_some() => return Ok(None),
        inside => inside?,
    };
    let wait = Duration::from_secs(u64::from(cli.options.max_wait));
    let root = Root::new(&cli.options.root, Bounds { wait, ..Bounds::default() });
    match needed.map_or_else(|| read_in_time(&root, &inside), |needed| read_needed(&root, &inside, needed)) {
        None if needed.is_none() && named != kernel::SETTINGS => {
            let path = root.path(&inside);
            Err(Error::Usage(format!("--settings {}: no such directory; --settings '' is none", show_path(&path))))
        }
        read => Ok(read),
    }
}

/// How long a hook, a front end and `trigger` wait for the directory.
const FRONT_END_WAITS: Duration = Duration::from_secs(1);
/// The stack of the thread that reads it for them, in bytes: their memory may be limited.
const FRONT_END_STACK: usize = 1 << 17;

/// Reads the directory on a thread that can be given up: the file system may not answer.
fn read_in_time(root: &Root, inside: &[u8]) -> Option<Envdir> {
    let (own, directory) = (root.clone(), inside.to_vec());
    match root.silences.attempt(move || Envdir::read(&own, &directory, |_| true)) {
        Ok(read) => read,
        // The system starts no thread, so it is read without one.
        Err(cause) if cause.raw_os_error().is_some() => Envdir::read(root, inside, |_| true),
        Err(cause) => {
            let path = root.path(inside);
            let unread = vec![Error::io("read", &path, cause)];
            Some(Envdir { path, unread, ..Envdir::default() })
        }
    }
}

/// The same of the files that a command needs that has to answer. A directory that does not answer is none.
fn read_needed(root: &Root, inside: &[u8], needed: &'static [&'static str]) -> Option<Envdir> {
    let is_needed = move |name: &[u8]| needed.iter().any(|needed| name == needed.as_bytes());
    let (say, hear) = std::sync::mpsc::channel();
    let (own, directory) = (root.clone(), inside.to_vec());
    let read = move || say.send(Envdir::read(&own, &directory, is_needed));
    match std::thread::Builder::new().stack_size(FRONT_END_STACK).spawn(read) {
        Ok(_) => hear.recv_timeout(FRONT_END_WAITS).ok().flatten(),
        // Without memory for a thread it is read without one.
        Err(_) => Envdir::read(root, inside, is_needed),
    }
}

/// What could not be read of a directory. A command that is typed without root goes on without it, and says so.
fn unread(directory: &mut Envdir, is_service: bool) -> Result<Vec<Note>, Error> {
    let note = |error: Error| {
        if error.is_denied() && !is_service && !geteuid().is_root() {
            let text = format!("{error}; this command goes on without that setting of the service; root can read it");
            return Ok(Note::warning(text).of(Code::SettingUnreadable));
        }
        Err(error.then("nothing is done under other settings; --settings '' goes on without any"))
    };
    std::mem::take(&mut directory.unread).into_iter().map(note).collect()
}

/// The settings of a directory that say where it is.
fn misplaced(directory: &Envdir) -> impl Iterator<Item = Note> {
    let found = directory.variables.keys().filter(|name| is_misplaced(name));
    found.map(|name| {
        let file = directory.file(name);
        Note::warning(format!(
            "{}: ignored: it decides where the settings are; give it as an option, or in the environment",
            show_path(&file)
        ))
        .of(Code::SettingMisplaced)
    })
}

/// Whether a variable says where the directory is, and so cannot stand in it.
fn is_misplaced(name: &OsStr) -> bool {
    name == args::ROOT_VARIABLE || name == args::SETTINGS_VARIABLE
}

impl Settings {
    /// Names in the environment and in the directory of settings that look like settings, and are none: somebody mistyped one.
    pub fn unknown_variables(&self) -> Vec<Note> {
        let note = |name: &[u8]| {
            Note::warning(format!("{}: no setting has that name; it does nothing", Shown(name)))
                .of(Code::SettingUnknown)
        };
        let is_told = |name: &OsString| *name == spawn::CHANGED || spawn::OF_DOMAIN.iter().any(|told| name == told);
        let of_environment = args::unknown_variables().into_iter().filter(|name| !is_told(name));
        let of_directory = self.directory.iter().flat_map(|directory| {
            let unknown = directory.variables.keys().filter(|name| !args::is_variable(name));
            unknown.chain(&directory.misnamed).map(|name| directory.file(name).into_os_string())
        });
        of_environment.chain(of_directory).map(|name| note(name.as_bytes())).collect()
    }

    /// How many threads read homes while these are in memory.
    pub fn threads(&self) -> usize {
        // To ask the system takes longer than all that `trigger` does.
        self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from).min(4))
    }

    /// Makes the options usable.
    ///
    /// # Errors
    /// An option that cannot be used: a relative path, a break character that is not one byte, an unknown owner.
    pub fn new(cli: &Cli) -> Result<Settings, Error> {
        let options = &cli.options;
        let root = std::path::absolute(&options.root).map_err(|cause| Error::io("find", &options.root, cause))?;
        match root.metadata().map(|meta| meta.is_dir()) {
            Ok(true) => {}
            Err(cause) if !matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Err(Error::io("use", &root, cause));
            }
            _ => return Err(Error::Usage(format!("--root {}: no such directory", show_path(&root)))),
        }
        // Kept as it was typed: messages name files as the administrator does.
        let bounds = Bounds {
            file: u64::from(options.max_file) << 20,
            names: options.max_names as usize,
            steps: options.max_steps as usize,
            bytes: u64::from(options.max_read) << 20,
            entries: options.max_entries as usize,
            alike: options.max_alike as usize,
            table: Bounds::default().table,
            wait: Duration::from_secs(u64::from(options.max_wait)),
        };
        let root = Root::new(&options.root, bounds);
        let qmail = match &options.qmail {
            Some(named) => named_directory(cli, &root, "--qmail", named, "without either it is /var/qmail")?,
            None => b"/var/qmail".to_vec(),
        };
        let vpopmail = match &options.vpopmail {
            Some(named) => {
                named_directory(cli, &root, "--vpopmail", named, "without either it is the home of the user vpopmail")?
            }
            None if cli.needs_only().is_some() => vpopmail_of(None),
            None => vpopmail_of(accounts::read_home_of(&root, VPOPMAIL).as_deref()),
        };
        let users_cdb = options.users_cdb.as_deref().map(users_cdb).transpose()?;
        let in_control = |name: &str| [&qmail[..], b"/control/", name.as_bytes()].concat();
        let file = |option: &str, value: &Option<OsString>, name: &str| match value {
            Some(value) => absolute(option, value),
            None => Ok(in_control(name)),
        };
        let validrcptto = file("--validrcptto", &options.validrcptto, "validrcptto.cdb")?;
        let auth = file("--auth", &options.auth, "auth.cdb")?;
        let named = [
            (OtherKind::Sqmail, "--sqmail-recipients", &options.sqmail_recipients),
            (OtherKind::Sagredo, "--sagredo-recipients", &options.sagredo_recipients),
        ];
        let other = |(kind, option, value): (OtherKind, &str, &Option<OsString>)| {
            let path = value.as_ref().filter(|value| !value.is_empty()).map(|value| absolute(option, value));
            path.map(|path| Ok(Other { kind, path: path?, left: Mutex::default() }))
        };
        let made = named.into_iter().filter_map(other).collect::<Result<Vec<Other>, Error>>()?;
        let state = folder("--state", &options.state)?;
        let &[break_byte] = options.break_char.as_bytes() else {
            return Err(Error::Usage(format!(
                "--break \"{}\": one character is needed, the one in qmail's conf-break",
                Shown(options.break_char.as_bytes())
            )));
        };
        if matches!(break_byte, b'@' | 0) {
            return Err(Error::Usage("--break: qmail cannot cut a local part at an @".to_owned()));
        }
        let auth_owner = options.auth_owner.as_ref().map(|owner| find_owner(&root, owner.as_bytes())).transpose()?;
        let actions = folder("--actions", &options.actions)?;
        let after = repeated("--after", &options.after)?;
        let mut fifos = repeated("--fifo", &options.fifo)?;
        if fifos.is_empty() {
            fifos.push(b"/tmp/update-qmail".to_vec());
        }
        fifos.sort();
        fifos.dedup();
        let fifos = fifos.iter().map(|fifo| root.path(fifo)).collect();
        let layout = Layout {
            root,
            qmail,
            vpopmail,
            is_vpopmail_given: options.vpopmail.is_some(),
            users_cdb,
            user_database: user_database(options.backend),
            connection: options.sql.as_deref().map(|file| absolute("--sql", file)).transpose()?,
            valias: options.valias.map(|valias| valias == YesNo::Yes),
            snapshot: None,
            break_byte,
            qmail_ext: options.vpopmail_ext,
            refuse_delete: options.catchall_delete == CatchallDelete::Refuse,
        };
        let auth_system_users = options.auth_system_users;
        let mut settings = Settings {
            layout,
            validrcptto,
            auth,
            others: made,
            state,
            auth_owner,
            last_owner: Mutex::default(),
            users_seen: Mutex::default(),
            standing: Mutex::default(),
            database: Mutex::default(),
            auth_system_users,
            fifos,
            after,
            actions_named: actions != kernel::ACTIONS.as_bytes(),
            actions,
            action_limit: Duration::from_secs(60),
            watch: true,
            verify: false,
            sweep: Duration::from_secs(900),
            sql_sweep: Duration::from_secs(60),
            hold: Duration::from_secs(1800),
            max_loss: options.max_loss,
            metrics: None,
            ready_fd: None,
            threads: options.threads.map(usize::from),
            directory: None,
            notes: Vec::new(),
            of_started: None,
        };
        if let Command::Run { sweep, sql_sweep, hold, metrics, ready_fd, no_watch, verify, action_limit } = &cli.command
        {
            let seconds = |seconds: &u32| Duration::from_secs(u64::from(*seconds));
            settings.action_limit = seconds(action_limit);
            metrics.iter().try_for_each(|file| settings.keep_metrics(file))?;
            settings.ready_fd = *ready_fd;
            settings.watch = !no_watch;
            settings.verify = *verify;
            settings.sweep = seconds(sweep);
            settings.sql_sweep = seconds(sql_sweep);
            settings.hold = seconds(hold);
        }
        Ok(settings)
    }

    /// Keeps the service's metrics in this file.
    ///
    /// # Errors
    /// A relative path, or a name that no collector reads: so it is none of the files that qmail reads either.
    fn keep_metrics(&mut self, file: &OsStr) -> Result<(), Error> {
        let path = absolute("--metrics", file)?;
        if !path.ends_with(b".prom") {
            return Err(Error::Usage(format!("--metrics \"{}\": its name must end in .prom", Shown(&path))));
        }
        self.metrics = Some(path);
        Ok(())
    }

    /// The files of the host that must never be published over, as the host names them.
    pub fn sources(&self) -> Vec<Vec<u8>> {
        let of_qmail = [
            "control/me",
            "control/locals",
            "control/virtualdomains",
            "control/rcpthosts",
            "control/morercpthosts",
            "control/morercpthosts.cdb",
            "control/envnoathost",
            "control/authvars",
            "control/validrcptto.programs",
            "users/assign",
        ];
        let of_qmail = of_qmail.iter().chain(&COMPILED).map(|name| name.as_bytes().to_vec());
        let named = self.layout.users_cdb.iter().map(|name| [b"users/", &name[..]].concat());
        let of_qmail = of_qmail.chain(named).map(|name| [&self.layout.qmail[..], b"/", &name].concat());
        let of_system = [b"/etc/passwd".to_vec(), kernel::PASSWORDS.0.as_bytes().to_vec(), b"/etc/group".to_vec()];
        of_qmail.chain(self.layout.vpopmail_sources()).chain(of_system).collect()
    }

    /// Where a table of another qmail is published, as the host names it; `None` when it is not.
    pub fn other(&self, kind: OtherKind) -> Option<&[u8]> {
        self.others.iter().find(|other| other.kind == kind).map(|other| &other.path[..])
    }

    /// All published files, as the host names them: validrcptto.cdb, auth.cdb, and then those of other qmails.
    pub fn published_inside(&self) -> Vec<&[u8]> {
        let others = self.others.iter().map(|other| &other.path[..]);
        [&self.validrcptto[..], &self.auth].into_iter().chain(others).collect()
    }

    /// The same, on this machine.
    pub fn published(&self) -> Vec<PathBuf> {
        self.published_inside().into_iter().map(|path| self.layout.root.path(path)).collect()
    }

    /// Where validrcptto.cdb is published, and how it must look there.
    ///
    /// # Errors
    /// Those of [`Target::find`].
    pub fn recipients_target(&self) -> Result<(Target, Look), Error> {
        Ok((Target::find(&self.layout.root, &self.validrcptto)?, Look { mode: 0o644, owner: None }))
    }

    /// That there is no qmail where it is when no option names its directory.
    pub fn without_qmail(&self) -> Option<Note> {
        let Layout { root, qmail, .. } = &self.layout;
        let cause = why_no_directory(root, qmail)?;
        let text =
            format!("{}: {}; --qmail DIR names the directory of qmail", show_path(&root.path(qmail)), cause.desc());
        Some(Note::warning(text))
    }

    /// Where auth.cdb is published, and how it must look there.
    ///
    /// # Errors
    /// Those of [`Target::find`]; a published file whose owner cannot be seen now.
    pub fn logins_target(&self) -> Result<(Target, Look), Error> {
        let target = Target::find(&self.layout.root, &self.auth)?;
        let own = (geteuid().as_raw(), getegid().as_raw());
        let mut last = self.last_owner.lock().unwrap_or_else(PoisonError::into_inner);
        // An owner that cannot be seen now is not lost.
        let seen = target.seen_now().map_err(|cause| Error::io("look at", &target.name, cause))?;
        *last = seen.map(|(_, owner)| owner).or(*last);
        let owner = self.auth_owner.or(*last).unwrap_or(own);
        Ok((target, Look { mode: 0o640, owner: Some(owner) }))
    }
}

fn absolute(option: &str, value: &OsStr) -> Result<Vec<u8>, Error> {
    let path = value.as_bytes();
    if path.first() != Some(&b'/') {
        return Err(Error::Usage(format!("{option} \"{}\": an absolute path is needed", Shown(path))));
    }
    Ok(path.to_vec())
}

/// The name of a file in QMAIL/users.
fn users_cdb(name: &OsStr) -> Result<Vec<u8>, Error> {
    match name.as_bytes() {
        b"" | b"." | b".." | b"assign" => {}
        name if name.contains(&b'/') => {}
        name => return Ok(name.to_vec()),
    }
    let shown = Shown(name.as_bytes());
    Err(Error::Usage(format!(
        "--users-cdb \"{shown}\": the name of the file in QMAIL/users that qmail-newu writes is needed"
    )))
}

/// What the administrator says of the user database.
fn user_database(backend: Backend) -> Option<Kind> {
    match backend {
        Backend::Auto => None,
        Backend::Cdb => Some(Kind::Cdb),
        Backend::Mysql => Some(Kind::Mysql),
        Backend::Pgsql => Some(Kind::Pgsql),
        Backend::Sqlite => Some(Kind::Sqlite),
    }
}

/// The absolute paths of an option that may be given again; in the environment they are separated by colons, so a colon
/// is never part of one.
fn repeated(option: &str, values: &[OsString]) -> Result<Vec<Vec<u8>>, Error> {
    let paths = values.iter().flat_map(|value| value.as_bytes().split(|b| *b == b':')).filter(|path| !path.is_empty());
    paths.map(|path| absolute(option, OsStr::from_bytes(path))).collect()
}

/// An absolute path without a slash at its end.
fn folder(option: &str, value: &OsStr) -> Result<Vec<u8>, Error> {
    Ok(without_slash(&absolute(option, value)?).to_vec())
}

/// A directory of the host that the administrator named. It must be there, but what has to answer, and the command that
/// the service starts, take it as it is.
fn named_directory(cli: &Cli, root: &Root, option: &str, value: &OsStr, otherwise: &str) -> Result<Vec<u8>, Error> {
    let directory = folder(option, value)?;
    if cli.needs_only().is_some() || matches!(cli.command, Command::Skel { .. }) {
        return Ok(directory);
    }
    match why_no_directory(root, &directory) {
        Some(cause) => Err(Error::Usage(format!(
            "{option} {}: {}; name the right directory by {option} DIR, or in the settings; {otherwise}",
            show_path(&root.path(&directory)),
            cause.desc()
        ))),
        None => Ok(directory),
    }
}

/// How long a file system may take to say whether a directory is there.
const MAX_LOOK: Duration = Duration::from_millis(300);

/// [`Root::no_directory`], of a file system that answers in time; one that does not has taken nothing away.
fn why_no_directory(root: &Root, directory: &[u8]) -> Option<Errno> {
    let (say, hear) = std::sync::mpsc::channel();
    let (root, directory) = (root.clone(), directory.to_vec());
    std::thread::Builder::new().spawn(move || say.send(root.no_directory(&directory))).ok()?;
    hear.recv_timeout(MAX_LOOK).ok().flatten()
}

/// Where users are looked up.
const PASSWD: &[u8] = b"/etc/passwd";

/// Finds `USER:GROUP`, names or numbers, among the accounts of the host below the root.
fn find_owner(root: &Root, owner: &[u8]) -> Result<Owner, Error> {
    let refused = |what: &str| Error::Usage(format!("--auth-owner \"{}\": {what}", Shown(owner)));
    let colon = owner.iter().position(|b| *b == b':').ok_or_else(|| refused("USER:GROUP is needed"))?;
    let (user, group) = (&owner[..colon], &owner[colon + 1..]);
    let unread = |file: &[u8], cause| {
        let needs = format!("--auth-owner \"{}\" is looked up there", Shown(owner));
        Error::io("read", &root.path(file), cause).then(&needs)
    };
    let known = |name: &[u8], file: &[u8]| -> Result<Option<u32>, Error> {
        let name_text = std::str::from_utf8(name).unwrap_or_default();
        if name.first().is_some_and(u8::is_ascii_digit) {
            // The largest number means "leave it" to chown(2).
            return Ok(name_text.parse().ok().filter(|number| *number != u32::MAX));
        }
        if root.is_machine() {
            let found = match file {
                PASSWD => User::from_name(name_text).map(|user| user.map(|user| user.uid.as_raw())),
                _ => Group::from_name(name_text).map(|group| group.map(|group| group.gid.as_raw())),
            };
            return match found {
                // getpwnam(3) says "not found" with each of these, too.
                Err(Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM) => Ok(None),
                found => found.map_err(|cause| unread(file, cause.into())),
            };
        }
        let text = root.read(file).map_err(|cause| unread(file, cause))?;
        let text = text.ok_or_else(|| unread(file, ErrorKind::NotFound.into()))?;
        Ok(lines(&text).find_map(|(_, line)| {
            let mut fields = line.split(|b| *b == b':');
            let found = fields.next()? == name;
            let number = id(fields.nth(1)?)?;
            found.then_some(number)
        }))
    };
    let uid = known(user, PASSWD)?.ok_or_else(|| refused("no such user"))?;
    let gid = known(group, b"/etc/group")?.ok_or_else(|| refused("no such group"))?;
    Ok((uid, gid))
}
