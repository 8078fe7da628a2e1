//! What can be typed. Each option is also an environment variable, so that an envdir holds the settings.

pub mod envdir;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use clap::builder::BoolishValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::args::envdir::PREFIX;
use crate::kernel::{ACCEPTED, ACTIONS, SETTINGS, STATE, VPOPMAIL};
use crate::text::Shown;

/// What the program is called.
const NAME: &str = "qmail-updater";

/// Rebuilds validrcptto.cdb and auth.cdb, the recipient and login tables of a qmail and vpopmail host.
#[derive(Debug, Parser)]
#[command(name = NAME, version, about, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = TOP_HELP)]
pub struct Cli {
    /// Settings of the host.
    #[command(flatten)]
    pub options: Options,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What stands below everything else.
const TOP_HELP: &str = "\
qmail-updater COMMAND --help says more of one command. Begin with check, which changes nothing.
Exit status: 0 done; 1 a negative answer; 100 usage or a malformed file; 111 try again later.";

/// What is printed when nothing is typed after the name of the program.
pub const SHORT_HELP: &str = "\
qmail-updater keeps the two tables of a qmail and vpopmail host up to date by which qmail-smtpd checks recipients and
logins: validrcptto.cdb and auth.cdb.

  qmail-updater check               what is wrong on this host; it changes nothing
  qmail-updater rebuild --dry-run   what a rebuild would change
  qmail-updater rebuild             make both tables now
  qmail-updater explain ADDRESS     why an address is accepted or refused
  qmail-updater status              what the service does

All commands: qmail-updater --help. More: man qmail-updater.
";

/// Values of options by the variable of each, for what neither the arguments nor the environment say.
pub type Defaults = BTreeMap<OsString, OsString>;

impl Cli {
    /// Reads the arguments, the environment, and then these.
    ///
    /// # Errors
    /// Help or version were asked for, or something cannot be used.
    pub fn read(typed: &[OsString], defaults: &Defaults) -> Result<Cli, clap::Error> {
        let mut cli = match Cli::parse_with_one_command(typed, defaults) {
            Some(cli) => cli,
            None => {
                let mut command = with_defaults(Cli::command(), defaults);
                command.build();
                let command = command.mut_subcommands(without_host_options);
                let command = command.mut_subcommands(|command| with_defaults(command, defaults));
                Cli::from_arg_matches_mut(&mut command.try_get_matches_from(typed)?)?
            }
        };
        if let Command::Hook(hook) = &cli.command {
            let options = &mut cli.options;
            if let Hook::OpensmtpdTable { file: Some(file) } = hook
                && !file.is_empty()
            {
                (options.validrcptto, options.auth) = (Some(file.clone()), Some(file.clone()));
            }
            for (option, (_, theirs)) in [&mut options.validrcptto, &mut options.auth].into_iter().zip(OF_SMTPD) {
                *option = option.take().or_else(|| of_smtpd(theirs));
            }
        }
        Ok(cli)
    }

    /// The variables of the settings that it needs, when it has to answer, or to end, whatever the others are like.
    pub fn needs_only(&self) -> Option<&'static [&'static str]> {
        match &self.command {
            Command::Trigger { .. } => Some(&["QMAIL_UPDATER_FIFO"]),
            Command::Hook(Hook::Checkpassword { .. } | Hook::DovecotAuth | Hook::Vpopmaild) => {
                Some(&["QMAIL_UPDATER_AUTH", "QMAIL_UPDATER_QMAIL"])
            }
            Command::Hook(Hook::OpensmtpdTable { .. }) => {
                Some(&["QMAIL_UPDATER_VALIDRCPTTO", "QMAIL_UPDATER_AUTH", "QMAIL_UPDATER_QMAIL", "QMAIL_UPDATER_BREAK"])
            }
            Command::Demo { .. } => Some(&[]),
            Command::Hook(_) => Some(&["QMAIL_UPDATER_VALIDRCPTTO", "QMAIL_UPDATER_QMAIL", "QMAIL_UPDATER_BREAK"]),
            _ => None,
        }
    }

    /// Reads the arguments as if there were no command but the one that they name: each command has a copy of every
    /// option, and to make them all takes as long as everything else that `trigger` does. `None` for whatever has to be
    /// answered by a parser that knows all of them.
    fn parse_with_one_command(typed: &[OsString], defaults: &Defaults) -> Option<Cli> {
        let options = Options::augment_args(clap::Command::new(NAME));
        let name = command_meant(&options, typed)?;
        let command = Command::augment_subcommands(clap::Command::new(NAME)).find_subcommand(name)?.clone();
        let options = with_defaults(options, defaults).disable_help_subcommand(true);
        let mut found = options.subcommand(with_defaults(command, defaults)).try_get_matches_from(typed).ok()?;
        Cli::from_arg_matches_mut(&mut found).ok()
    }
}

/// What the patched qmail-smtpd goes by, beside the variable of ours that a hook prefers: one environment serves both.
const OF_SMTPD: [(&str, &str); 2] =
    [("QMAIL_UPDATER_VALIDRCPTTO", "VALIDRCPTTO_CDB"), ("QMAIL_UPDATER_AUTH", "AUTH_CDB")];

fn of_smtpd(name: &str) -> Option<OsString> {
    variable(name).filter(|value| !value.is_empty())
}

/// Takes out the defaults that a hook does not need because qmail-smtpd's own variable says it.
pub fn prefer_smtpd(defaults: &mut Defaults) {
    OF_SMTPD.iter().filter(|(_, theirs)| of_smtpd(theirs).is_some()).for_each(|(ours, _)| {
        defaults.remove(OsStr::new(ours));
    });
}

/// The command with a help that leaves the options of every command to the help of the program.
fn without_host_options(command: clap::Command) -> clap::Command {
    let more = command.get_after_help().map(ToString::to_string);
    let help = more.map_or_else(|| HOST_OPTIONS.to_owned(), |more| format!("{more}\n\n{HOST_OPTIONS}"));
    command.mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg }).after_help(help)
}

/// Where they are.
const HOST_OPTIONS: &str = "Options of the host, such as --qmail DIR: qmail-updater --help";

/// The command with these values as the defaults of its options.
fn with_defaults(command: clap::Command, defaults: &Defaults) -> clap::Command {
    command.mut_args(|option| match option.get_env().and_then(|name| defaults.get(name)) {
        // It lives as long as the process, as the program's own defaults do.
        Some(value) => option.default_value(&*Box::leak(value.clone().into_boxed_os_str())),
        None => option,
    })
}

/// The arguments; a hook's name in the place of the program's is the sub-command of that name.
pub fn typed() -> Vec<OsString> {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(name) = arguments.first().and_then(|program| Path::new(program).file_name()?.to_str()).and_then(hook) {
        // Behind `--` nothing is taken for an option of ours, not even --help, which exits 0.
        let has_next = name == RCPTCHECK && arguments.get(1).is_some_and(|first| first == "--then");
        let options = if has_next { 2.min(arguments.len() - 1) } else { 0 };
        arguments.insert(1 + options, "--".into());
        arguments.splice(..1, [NAME, name].map(OsString::from));
    } else if let Some(at) = arguments.iter().position(|argument| argument == "help")
        && command_meant(&Options::augment_args(clap::Command::new(NAME)), &arguments) == Some("help")
    {
        arguments.remove(at);
        arguments.truncate(at + 1);
        arguments.push("--help".into());
    }
    arguments
}

/// See [`Hook::Rcptcheck`].
pub const RCPTCHECK: &str = "rcptcheck";
/// RCPTCHECK itself holds one path and no arguments.
pub const RCPTCHECK_NEXT: &str = "RCPTCHECK_NEXT";
/// See [`Hook::QmailSppRcpt`].
pub const QMAIL_SPP_RCPT: &str = "qmail-spp-rcpt";
/// See [`Hook::Checkpassword`].
pub const CHECKPASSWORD: &str = "checkpassword";
/// See [`Hook::SpamdykeRcpt`].
pub const SPAMDYKE_RCPT: &str = "spamdyke-rcpt";
/// See [`Hook::SqmailRcpt`].
pub const SQMAIL_RCPT: &str = "sqmail-rcpt";
/// See [`Hook::Socketmap`].
pub const SOCKETMAP: &str = "socketmap";
/// See [`Hook::Deliverabled`].
pub const DELIVERABLED: &str = "deliverabled";
/// See [`Hook::DovecotAuth`].
pub const DOVECOT_AUTH: &str = "dovecot-auth";
/// See [`Hook::Vpopmaild`].
pub const VPOPMAILD: &str = "vpopmaild";
/// See [`Hook::OpensmtpdTable`].
pub const OPENSMTPD_TABLE: &str = "opensmtpd-table";

const HOOKS: [&str; 10] = [
    RCPTCHECK,
    QMAIL_SPP_RCPT,
    CHECKPASSWORD,
    SPAMDYKE_RCPT,
    SQMAIL_RCPT,
    SOCKETMAP,
    DELIVERABLED,
    DOVECOT_AUTH,
    VPOPMAILD,
    OPENSMTPD_TABLE,
];

fn hook(name: &str) -> Option<&'static str> {
    HOOKS.into_iter().find(|hook| *hook == name)
}

/// The hook that is meant, found out before anything can go wrong: even a misuse must be answered in its own way.
pub fn hook_meant() -> Option<&'static str> {
    let typed = typed();
    // Whoever names none is not kept waiting for the options.
    typed.iter().find_map(|argument| hook(argument.to_str()?))?;
    hook(command_meant(&Options::augment_args(clap::Command::new(NAME)), &typed)?)
}

/// The first argument that is neither one of these options nor the value of one.
fn command_meant<'t>(options: &clap::Command, typed: &'t [OsString]) -> Option<&'t str> {
    let takes_value = |name: &str| {
        options.get_arguments().any(|known| known.get_long() == Some(name) && known.get_action().takes_values())
    };
    let mut arguments = typed.iter().skip(1);
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        match text.strip_prefix("--") {
            Some(name) if takes_value(name) => drop(arguments.next()),
            None if !text.starts_with('-') => return argument.to_str(),
            _ => {}
        }
    }
    None
}

/// Variables of the environment that are called as if they were options, and are none.
pub fn unknown_variables() -> Vec<OsString> {
    let all = std::env::vars_os().map(|(name, _)| name).filter(|name| name.as_bytes().starts_with(PREFIX.as_bytes()));
    all.filter(|name| !is_variable(name)).collect()
}

/// Whether a variable of this name is an option.
pub fn is_variable(name: &OsStr) -> bool {
    let cli = Cli::command();
    let mut commands = std::iter::once(&cli).chain(cli.get_subcommands());
    commands.any(|command| command.get_arguments().any(|known| known.get_env() == Some(name)))
}

/// What qmail-smtpd tells its hooks.
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// What clap says about a misuse, in one line, with the environment variable that may be meant.
pub fn misuse(error: &clap::Error) -> String {
    if matches!(error.kind(), ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand) {
        return "no command; --help lists them".to_owned();
    }
    let mut said = one_line(error);
    if error.kind() != ErrorKind::UnknownArgument
        && let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg)
        && let Some(option) = argument.strip_prefix("--")
    {
        let option = option.split(' ').next().unwrap_or_default();
        let variable = format!("{PREFIX}{}", option.to_uppercase().replace('-', "_"));
        let is_typed =
            typed().iter().any(|typed| typed.to_str().is_some_and(|typed| typed.starts_with(&format!("--{option}"))));
        if !is_typed && is_variable(OsStr::new(&variable)) {
            said.push_str(&format!("; {variable} may hold it"));
        }
    }
    said + "; --help says more"
}

/// What clap says, in one line; a value is escaped as all names are.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let said: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:")).collect();
    let said = said.into_iter().filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    let said = said.collect::<Vec<_>>().join("; ").replace(":; ", ": ").replace("; [", " [");
    Shown(in_words(said.strip_prefix("error: ").unwrap_or(&said)).as_bytes()).to_string()
}

/// What Rust and clap say about a value, in words: `0 is not in 1..=86400`.
fn in_words(said: &str) -> String {
    let said = said.replace("invalid digit found in string", "a whole number is needed");
    let said = said.replace("cannot parse integer from empty string", "a whole number is needed");
    let said = said.replace("value was not a boolean", "it must be 1 or 0, yes or no, true or false");
    let Some((before, range)) = said.split_once(" is not in ") else { return said };
    let (range, rest) =
        range.split_once(';').map_or((range, String::new()), |(range, rest)| (range, format!(";{rest}")));
    let value = before.rsplit(": ").next().unwrap_or_default();
    let before = before.strip_suffix(value).unwrap_or(before);
    match range.split_once("..") {
        Some((least, "")) => format!("{before}it must be at least {least}{rest}"),
        Some((least, most)) => format!("{before}it must be between {least} and {}{rest}", most.trim_start_matches('=')),
        None => said.clone(),
    }
}

/// What says where everything is cannot stand in the directory of settings.
pub const ROOT_VARIABLE: &str = "QMAIL_UPDATER_ROOT";
/// See [`ROOT_VARIABLE`].
pub const SETTINGS_VARIABLE: &str = "QMAIL_UPDATER_SETTINGS";

/// What help says of --vpopmail.
static VPOPMAIL_HELP: LazyLock<String> = LazyLock::new(|| {
    format!("vpopmail's directory [default: the home directory of the user vpopmail, else {VPOPMAIL}]")
});

/// What it says of --accepted.
static ACCEPTED_HELP: LazyLock<String> = LazyLock::new(|| {
    format!("The findings that do not count, one per line: a code, and a domain or a file [default: {ACCEPTED}]")
});

/// Settings of the host, as they are typed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options for every command")]
pub struct Options {
    /// Take every absolute path below DIR, as after chroot
    #[arg(long, global = true, value_name = "DIR", env = ROOT_VARIABLE, default_value = "/")]
    pub root: PathBuf,
    /// The directory of settings, one file per variable; '' means none
    #[arg(long, global = true, value_name = "DIR", env = SETTINGS_VARIABLE, default_value = SETTINGS)]
    pub settings: OsString,
    /// qmail's directory [default: /var/qmail]
    #[arg(long, global = true, value_name = "DIR", env = "QMAIL_UPDATER_QMAIL")]
    pub qmail: Option<OsString>,
    /// vpopmail's directory
    #[arg(long, global = true, value_name = "DIR", env = "QMAIL_UPDATER_VPOPMAIL", help = VPOPMAIL_HELP.as_str())]
    pub vpopmail: Option<OsString>,
    /// The file in QMAIL/users that qmail-newu writes [default: cdb, or assign.cdb of s/qmail]
    #[arg(long, global = true, value_name = "NAME", env = "QMAIL_UPDATER_USERS_CDB")]
    pub users_cdb: Option<OsString>,
    /// The recipient table [default: QMAIL/control/validrcptto.cdb]
    #[arg(long, global = true, value_name = "FILE", env = "QMAIL_UPDATER_VALIDRCPTTO")]
    pub validrcptto: Option<OsString>,
    /// The login table [default: QMAIL/control/auth.cdb]
    #[arg(long, global = true, value_name = "FILE", env = "QMAIL_UPDATER_AUTH")]
    pub auth: Option<OsString>,
    /// Publish the recipient table also as recipients.cdb of s/qmail
    #[arg(long, global = true, value_name = "FILE", env = "QMAIL_UPDATER_SQMAIL_RECIPIENTS")]
    pub sqmail_recipients: Option<OsString>,
    /// Publish the recipient table also as morevalidrcptto.cdb of sagredo's qmail
    #[arg(long, global = true, value_name = "FILE", env = "QMAIL_UPDATER_SAGREDO_RECIPIENTS")]
    pub sagredo_recipients: Option<OsString>,
    /// A named pipe where triggers arrive; may be given again [default: /tmp/update-qmail]
    #[arg(long, global = true, value_name = "FILE", env = "QMAIL_UPDATER_FIFO")]
    pub fifo: Vec<OsString>,
    /// The directory of locks and of the status file
    #[arg(long, global = true, value_name = "DIR", env = "QMAIL_UPDATER_STATE", default_value = STATE)]
    pub state: OsString,
    /// Where vpopmail keeps its users; auto: as its programs and files show
    #[arg(long, global = true, value_name = "DATABASE", env = "QMAIL_UPDATER_BACKEND", default_value = "auto")]
    pub backend: Backend,
    /// How to reach the user database, in the form of vpopmail.mysql or vpopmail.pgsql [default: that file in VPOPMAIL/etc]
    #[arg(long, global = true, value_name = "FILE", env = "QMAIL_UPDATER_SQL")]
    pub sql: Option<OsString>,
    /// Whether vpopmail looks aliases up in the user database [default: as its programs and files show]
    #[arg(long, global = true, value_name = "ANSWER", env = "QMAIL_UPDATER_VALIAS")]
    pub valias: Option<YesNo>,
    /// qmail's conf-break
    #[arg(long = "break", global = true, value_name = "CHAR", env = "QMAIL_UPDATER_BREAK", default_value = "-")]
    #[arg(allow_hyphen_values = true)]
    pub break_char: OsString,
    /// vpopmail was built with --enable-qmail-ext
    #[arg(long, global = true, env = "QMAIL_UPDATER_VPOPMAIL_EXT")]
    #[arg(action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub vpopmail_ext: bool,
    /// What a catch-all of `delete` means
    #[arg(long, global = true, value_name = "ANSWER", env = "QMAIL_UPDATER_CATCHALL_DELETE", default_value = "refuse")]
    pub catchall_delete: CatchallDelete,
    /// Who owns the login table [default: the present owner, else root:root]
    #[arg(long, global = true, value_name = "USER:GROUP", env = "QMAIL_UPDATER_AUTH_OWNER")]
    pub auth_owner: Option<OsString>,
    /// System accounts may log in, too
    #[arg(long, global = true, env = "QMAIL_UPDATER_AUTH_SYSTEM_USERS")]
    #[arg(action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub auth_system_users: bool,
    /// Run FILE after a rebuild that changed a table; may be given again
    #[arg(long, global = true, value_name = "FILE", env = "QMAIL_UPDATER_AFTER")]
    pub after: Vec<OsString>,
    /// The directory of the programs that the service runs after each change
    #[arg(long, global = true, value_name = "DIR", env = "QMAIL_UPDATER_ACTIONS")]
    #[arg(default_value = ACTIONS)]
    pub actions: OsString,
    /// The loss guard: hold domains that lose more than PERCENT of their entries while all domains together do, too
    #[arg(long, global = true, value_name = "PERCENT", env = "QMAIL_UPDATER_MAX_LOSS", default_value = "20")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=100))]
    pub max_loss: u32,
    /// Read no file longer than MIB mebibytes: keep what depends on it; accept the addresses of a .qmail file
    #[arg(long, global = true, value_name = "MIB", env = "QMAIL_UPDATER_MAX_FILE", default_value = "1024")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub max_file: u32,
    /// If a home directory has more than N .qmail files, keep its published entries
    #[arg(long, global = true, value_name = "N", env = "QMAIL_UPDATER_MAX_NAMES", default_value = "200000")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub max_names: u32,
    /// If a rebuild would read more than MIB mebibytes of a home directory, keep its published entries
    #[arg(long, global = true, value_name = "MIB", env = "QMAIL_UPDATER_MAX_READ", default_value = "64")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub max_read: u32,
    /// If a home directory takes more than N steps of work, keep its published entries
    #[arg(long, global = true, value_name = "N", env = "QMAIL_UPDATER_MAX_STEPS", default_value = "2000000")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub max_steps: u32,
    /// If a home directory makes more than N entries in a table, keep its published entries
    #[arg(long, global = true, value_name = "N", env = "QMAIL_UPDATER_MAX_ENTRIES", default_value = "1000000")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub max_entries: u32,
    /// If a home directory makes more than N entries whose keys have the same hash, keep its published entries
    #[arg(long, global = true, value_name = "N", env = "QMAIL_UPDATER_MAX_ALIKE", default_value = "100")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub max_alike: u32,
    /// Wait SECONDS for a file system or user database that does not answer, then keep its domains
    #[arg(long, global = true, value_name = "SECONDS", env = "QMAIL_UPDATER_MAX_WAIT", default_value = "20")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub max_wait: u32,
    /// How many threads read home directories [default: as many as are useful]
    #[arg(long, global = true, value_name = "N", env = "QMAIL_UPDATER_THREADS")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    /// Colour in answers on a terminal; NO_COLOR in the environment turns it off too
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

/// Whether answers have colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal
    Auto,
    /// In a pipe, too: it then gets what a terminal gets
    Always,
    /// Nowhere
    Never,
}

/// Where vpopmail keeps its users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// As bin/vdelivermail, include/config.h and the files in etc show
    Auto,
    /// In vpasswd.cdb and vpasswd
    Cdb,
    /// In MySQL or MariaDB
    Mysql,
    /// In PostgreSQL
    Pgsql,
    /// In SQLite
    Sqlite,
}

/// An answer to a question about vpopmail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum YesNo {
    /// It does
    Yes,
    /// It does not
    No,
}

/// What a catch-all of `delete` means for a recipient that nothing else takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CatchallDelete {
    /// The recipient is refused at RCPT time
    Refuse,
    /// The message is accepted, and qmail swallows it
    Accept,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read the configuration and publish both tables
    #[command(after_help = REBUILD_HELP)]
    Rebuild {
        /// Publish nothing; print what would change, one line per change
        #[arg(long)]
        dry_run: bool,
        /// With --dry-run: count the changes by domain
        #[arg(long, requires = "dry_run")]
        summary: bool,
        /// With --dry-run: print the changes as JSON
        #[arg(long, requires = "dry_run")]
        json: bool,
        /// Run none of the commands that follow a rebuild
        #[arg(long)]
        no_commands: bool,
        /// Publish the losses that the loss guard holds back: of all held domains, or of the DOMAINs
        #[arg(long, value_name = "DOMAIN", num_args = 0.., conflicts_with = "dry_run")]
        force: Option<Vec<OsString>>,
        /// Say nothing about what went well
        #[arg(short, long, conflicts_with = "dry_run")]
        quiet: bool,
        /// Publish although the settings differ from those of the running service
        #[arg(long)]
        own_settings: bool,
    },
    /// Print what a rebuild would write, sorted
    List {
        /// Which table
        #[arg(value_name = "recipients|logins")]
        what: Table,
        /// The form of the output
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: Format,
        /// Print the entries as JSON; never a hash
        #[arg(long, conflicts_with = "format")]
        json: bool,
    },
    /// Ask the published recipient table as qmail-smtpd does; exit 1 if an address is refused
    #[command(after_help = LOOKUP_HELP)]
    Lookup {
        /// The addresses; without any, or with -, one per line from standard input
        addresses: Vec<OsString>,
        /// Print the answers as JSON
        #[arg(long)]
        json: bool,
    },
    /// Run the service: rebuild at every trigger, and make a full check regularly
    Run {
        /// Make a full check every SECONDS
        #[arg(long, value_name = "SECONDS", env = "QMAIL_UPDATER_SWEEP", default_value = "900")]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=86_400))]
        sweep: u32,
        /// Look for changes in the user database every SECONDS
        #[arg(long, value_name = "SECONDS", env = "QMAIL_UPDATER_SQL_SWEEP", default_value = "60")]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=86_400))]
        sql_sweep: u32,
        /// Publish the loss of a held domain when it has not grown for SECONDS, and after 3 times SECONDS in any case
        #[arg(long, value_name = "SECONDS", env = "QMAIL_UPDATER_HOLD", default_value = "1800")]
        hold: u32,
        /// Write metrics for Prometheus to FILE, whose name ends in .prom
        #[arg(long, value_name = "FILE", env = "QMAIL_UPDATER_METRICS")]
        metrics: Option<OsString>,
        /// Write a newline to the pipe FD of the supervisor when the service hears triggers
        #[arg(long, value_name = "FD", value_parser = clap::value_parser!(u8).range(3..))]
        ready_fd: Option<u8>,
        /// Do not watch files for changes that are not announced
        #[arg(long, env = "QMAIL_UPDATER_NO_WATCH")]
        #[arg(action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
        no_watch: bool,
        /// Hold each rebuild that took something from the published tables against one that reads everything
        #[arg(long, env = "QMAIL_UPDATER_VERIFY", hide = true)]
        #[arg(action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
        verify: bool,
        /// How long an action may take
        #[arg(long, value_name = "SECONDS", env = "QMAIL_UPDATER_ACTION_LIMIT", default_value = "60", hide = true)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=86_400))]
        action_limit: u32,
    },
    /// Show what is wrong or risky on this host, worst first; exit 1 if something needs attention
    Check {
        /// Print the findings as JSON
        #[arg(long)]
        json: bool,
        /// The findings that do not count
        #[arg(help = ACCEPTED_HELP.as_str())]
        #[arg(long, value_name = "FILE")]
        accepted: Option<OsString>,
        /// Show accepted findings too
        #[arg(long)]
        all: bool,
        /// Print alerts only
        #[arg(short, long)]
        quiet: bool,
        /// Print one line with performance data, and exit as Nagios wants: 0 OK, 1 warning, 2 critical, 3 unknown
        #[arg(long, conflicts_with_all = ["json", "all", "quiet"])]
        nagios: bool,
    },
    /// Show the last rebuild, unreadable domains and whether the tables are current; exit 1 if something is wrong
    Status {
        /// Print the status file as JSON, and what this command sees itself
        #[arg(long)]
        json: bool,
    },
    /// Trigger a rebuild by the service, and never wait; exit 0 whether or not it listens
    Trigger {
        /// Say on standard error whether the service got it
        #[arg(short, long)]
        verbose: bool,
        /// What vpopmail tells its onchange script: the command, its two arguments, and when
        #[arg(value_name = "NOTICE", num_args = 0.., allow_hyphen_values = true)]
        notice: Vec<OsString>,
    },
    /// Try the program without qmail: rebuild and ask a copy of a sample host
    Demo {
        /// A new directory for the copy; without it one below TMPDIR
        #[arg(value_name = "DIRECTORY")]
        directory: Option<OsString>,
    },
    /// Print words that a shell can complete, from the published recipient table
    #[command(hide = true)]
    Complete {
        /// Which words
        what: Completed,
        /// How they begin
        #[arg(default_value = "", allow_hyphen_values = true)]
        begin: OsString,
    },
    /// Copy VPOPMAIL/skel into the DIRECTORY of a mailbox, which lies in HOME; what the service starts as the domain's owner
    #[command(hide = true)]
    Skel {
        /// The domain's home
        home: OsString,
        /// The mailbox's directory
        directory: OsString,
    },
    /// Show whether an address is accepted, and why; exit 0 accepted, 1 refused, 111 not known
    #[command(after_help = EXPLAIN_HELP)]
    Explain {
        /// The addresses
        #[arg(required = true)]
        addresses: Vec<OsString>,
        /// Print the answers as JSON
        #[arg(long)]
        json: bool,
    },
    /// List the domains of this host; exit 1 if a domain that you name is not one of them
    #[command(after_help = DOMAINS_HELP)]
    Domains {
        /// Only these
        domains: Vec<OsString>,
        /// Only those that the loss guard holds
        #[arg(long)]
        held: bool,
        /// Only those where a program decides about all names that are not listed, and it is not known which it takes
        #[arg(long)]
        open: bool,
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show mailboxes with their flags and logins; exit 1 if there is no such mailbox
    #[command(after_help = USER_HELP)]
    User {
        /// USER@DOMAIN, or @DOMAIN for all mailboxes of the domain
        #[arg(required = true)]
        addresses: Vec<OsString>,
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// What another mail server runs.
    #[command(flatten)]
    Hook(Hook),
}

/// What another mail server runs or connects to; each also by a link of its name.
#[derive(Debug, Subcommand)]
pub enum Hook {
    /// RCPTCHECK of qmail-smtpd: exit 0 accepts RECIPIENT, 100 refuses it, 111 defers it
    Rcptcheck {
        /// Run PROGRAM, the next checker, when this one accepts: then its answer decides [default: RCPTCHECK_NEXT]
        #[arg(long, value_name = "PROGRAM")]
        then: Option<OsString>,
    },
    /// Plugin of qmail-spp for RCPT: print the reply that refuses SMTPRCPTTO, or nothing
    QmailSppRcpt,
    /// Check the login and password on descriptor 3, and run a program; exit 1 refused, 2 misuse, 111 temporary failure
    Checkpassword {
        /// The program and its arguments
        #[arg(value_name = "PROGRAM", trailing_var_arg = true, allow_hyphen_values = true)]
        program: Vec<OsString>,
    },
    /// recipient-validation-command of spamdyke: exit 1 valid, 2 invalid, 0 not decided
    SpamdykeRcpt {
        /// The domain
        #[arg(value_name = "DOMAIN", allow_hyphen_values = true)]
        domain: Option<OsString>,
        /// The local part; a blank in it makes two words
        #[arg(value_name = "USER", trailing_var_arg = true, allow_hyphen_values = true)]
        user: Vec<OsString>,
    },
    /// Check the address on descriptor 3 for control/recipients of s/qmail: exit 0 known, 1 unknown, 111 temporary failure
    SqmailRcpt,
    /// Answer Postfix about recipients: the socketmap named rcpt, on standard input and output
    Socketmap,
    /// Answer Haraka and qpsmtpd about a recipient: the HTTP of qmail-deliverabled on standard input and output
    Deliverabled,
    /// Answer Postfix, Exim and others about logins: the auth protocol of Dovecot on standard input and output
    DovecotAuth,
    /// Answer Haraka about a login: the protocol of vpopmaild on standard input and output
    Vpopmaild,
    /// Table of OpenSMTPD 7.6 or newer, for mailaddr and auth
    OpensmtpdTable {
        /// The published table [default: as the settings say]
        #[arg(value_name = "FILE")]
        file: Option<OsString>,
    },
}

/// The columns of `rebuild --dry-run`.
const REBUILD_HELP: &str = "\
Columns of --dry-run, separated by tabs:
  change      + is new, - would go, ~ would change
  entry       accept or refuse: validrcptto.cdb; login: auth.cdb
  key         an address, @DOMAIN, NAME-default@DOMAIN, or a login
A terminal marks what the loss guard holds. Lines on standard error name a table
that gets another mode or owner, and tables of other qmails that are recreated.

Columns of --summary, separated by tabs:
  domain      - for the entries without one
  recipients  two numbers: added, removed
  logins      three numbers: added, removed, changed
  state       held, or ok";

/// The columns of `lookup`.
const LOOKUP_HELP: &str = "\
Columns, separated by tabs, - where there is nothing to say:
  answer      accept or refuse
  address     as it was given
  key         the entry that decides
  by          what takes the mail: mailbox, alias (of a user database),
              catch-all, qmail-ext or other (also a .qmail file)

The answer and the exit status are those of the table alone. A terminal also
says when rcpthosts does not list the domain, and which address may be meant.";

/// The columns of `domains`.
const DOMAINS_HELP: &str = "\
Columns, separated by tabs, - where there is nothing to say:
  domain      an alias domain as \"alias (alias of real)\"; .name for its
              subdomains, * for all others
  kind        vpopmail; local; virtual: to a user; nobody: virtual, but it
              leads to no user; relay: rcpthosts accepts it for another host;
              remote: the domain of another host, not accepted
  directory   where its mail goes
  owner       uid:gid of users/assign or passwd
  mailboxes   how many that vpopmail finds
  aliases     how many names have a .qmail file
  others      accept or refuse: whether a name that is not listed is accepted;
              unknown: run it as root
  catch-all   what answers for such a name: bounce-no-mailbox, delete,
              an address, a directory, ...
  notes       what else there is to know, or to fix
  state       held: the loss guard keeps entries that would go; kept: its
              source cannot be read, so its published entries stay; open: a
              program decides about all names that are not listed, and it is not
              known which it takes; unknown: run it as root to see; otherwise ok

A terminal gets headings, and the notes below each domain; owner and directory
are left out.
JSON: an array of objects with domain, alias_of, kind, folder, uid, gid,
mailboxes, aliases, others_accepted, catch_all, notes, state; null where the
list has a -.";

/// What `explain` says.
const EXPLAIN_HELP: &str = "\
The exit status is what qmail-smtpd answers a stranger, by the published table
and rcpthosts: 0 accepted, 1 refused, 111 if the table is missing or the rules
cannot be known. For several addresses it is the worst of them.

A terminal gets the verdict with its reason first, then the steps with
file:line. In a pipe each step is a line, the targets of a forward follow after
a tab, and the last line is deliver, defer, bounce, remote or unknown.
JSON: an object with version and addresses.";

/// What `user` says.
const USER_HELP: &str = "\
Flags have the names that vpopmaild gives them. Effective flags are those of the
mailbox and of the limits of its domain. With override_domain_limits the limits
do not matter. No password or hash is shown. For an address without a mailbox
it shows whether its mail is accepted, and what takes it.

JSON: an array of objects, one per line, with address, alias_of, uid, gid,
comment, folder, quota, password (how it is hashed), flags, effective_flags,
mail (deliver, defer, bounce or unknown), mail_by, accepted (by rcpthosts),
logins (null if they cannot be known), login_refused, login_unknown, published
(whether auth.cdb agrees).";

/// One of the two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Table {
    /// validrcptto.cdb
    Recipients,
    /// auth.cdb
    Logins,
}

/// What a shell can complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Completed {
    /// Domains
    Domains,
    /// Addresses
    Addresses,
    /// Addresses, and each domain with its @
    Users,
}

/// How a table is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One entry per line, unprintable bytes as \xHH: of recipients accept or refuse, the key, and what takes the mail; of logins
    /// the login, never a hash
    Text,
    /// As cdbmake reads it, raw; of logins this shows the hashes
    Cdbmake,
    /// Of logins only, as a passwd-file of Dovecot 2.4 has them; this shows the hashes
    PasswdFile,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parser_of_one_command_says_what_that_of_all_says_or_nothing() {
        let typed =
            |line: &str| -> Vec<OsString> { [NAME].into_iter().chain(line.split(' ')).map(Into::into).collect() };
        for line in [
            "trigger",
            "trigger -v add_user joe@a.test -- --root",
            "--root /a --fifo /b --fifo=/c trigger --state /d",
            "rebuild --dry-run --threads 3 --vpopmail-ext",
            "--break - list recipients --format cdbmake",
            "run --sweep 7 --no-watch",
            "rcptcheck --",
            "rcptcheck --then /a --",
            "checkpassword -- /bin/true --help",
            "--root trigger check",
        ] {
            let one = Cli::parse_with_one_command(&typed(line), &Defaults::new()).unwrap();
            assert_eq!(format!("{one:?}"), format!("{:?}", Cli::try_parse_from(typed(line)).unwrap()), "{line}");
        }
        for line in ["", "--help", "--version", "help", "trigger --help", "--root", "trigge", "list", "run --sweep x"] {
            assert!(Cli::parse_with_one_command(&typed(line), &Defaults::new()).is_none(), "{line}");
        }
    }
}
