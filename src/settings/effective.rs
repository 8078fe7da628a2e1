//! The settings as they take effect, by the names of their options: what the service writes into the status file, and by
//! which of them another command would publish other tables.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde_json::{Map, Value};

use super::{OtherKind, Settings};
use crate::args::envdir::PREFIX;
use crate::host::user_database::Kind;
use crate::text::Shown;

/// One setting.
struct Setting {
    option: &'static str,
    /// Whether it decides what the tables hold, or where they are.
    decides: bool,
    value: fn(&Settings) -> Value,
}

/// A setting that decides what the tables hold, or where they are.
const fn decides(option: &'static str, value: fn(&Settings) -> Value) -> Setting {
    Setting { option, decides: true, value }
}

/// Another setting.
const fn other(option: &'static str, value: fn(&Settings) -> Value) -> Setting {
    Setting { option, decides: false, value }
}

/// All of them. Nothing secret may stand here: the status file shows it.
const ALL: &[Setting] = &[
    decides("qmail", |its| text(&its.layout.qmail)),
    decides("vpopmail", |its| text(&its.layout.vpopmail)),
    decides("validrcptto", |its| text(&its.validrcptto)),
    decides("auth", |its| text(&its.auth)),
    decides("sqmail-recipients", |its| its.other(OtherKind::Sqmail).map_or(Value::Null, text)),
    decides("sagredo-recipients", |its| its.other(OtherKind::Sagredo).map_or(Value::Null, text)),
    // Where users/assign is missing, it says who owns an address.
    decides("users-cdb", |its| its.layout.users_cdb.as_deref().map_or(Value::Null, text)),
    decides("break", |its| text(&[its.layout.break_byte])),
    decides("backend", |its| its.layout.user_database.map_or("auto", Kind::option).into()),
    // Another user of the same database may see less.
    decides("sql", |its| its.layout.connection.as_deref().map_or(Value::Null, text)),
    decides("valias", |its| its.layout.valias.map_or(Value::Null, |valias| if valias { "yes" } else { "no" }.into())),
    decides("vpopmail-ext", |its| its.layout.qmail_ext.into()),
    decides("catchall-delete", |its| if its.layout.refuse_delete { "refuse" } else { "accept" }.into()),
    decides("auth-system-users", |its| its.auth_system_users.into()),
    decides("max-loss", |its| its.max_loss.into()),
    decides("max-file", |its| (its.layout.root.bounds.file >> 20).into()),
    decides("max-names", |its| its.layout.root.bounds.names.into()),
    decides("max-read", |its| (its.layout.root.bounds.bytes >> 20).into()),
    decides("max-steps", |its| its.layout.root.bounds.steps.into()),
    decides("max-entries", |its| its.layout.root.bounds.entries.into()),
    decides("max-alike", |its| its.layout.root.bounds.alike.into()),
    other("max-wait", |its| its.layout.root.bounds.wait.as_secs().into()),
    // A command that finds the state of the service has its root, by this name or another.
    other("root", |its| path(its.layout.root.top())),
    other("auth-owner", |its| its.auth_owner.map_or(Value::Null, |(uid, gid)| format!("{uid}:{gid}").into())),
    other("settings", |its| its.directory.as_ref().map_or(Value::Null, |directory| path(&directory.path))),
    other("state", |its| text(&its.state)),
    other("fifo", |its| its.fifos.iter().map(|fifo| path(fifo)).collect()),
    other("after", |its| its.after.iter().map(|command| text(command)).collect()),
    other("actions", |its| text(&its.actions)),
    other("threads", |its| its.threads.map_or(Value::Null, Value::from)),
    other("sweep", |its| its.sweep.as_secs().into()),
    other("sql-sweep", |its| its.sql_sweep.as_secs().into()),
    other("hold", |its| its.hold.as_secs().into()),
    other("metrics", |its| its.metrics.as_deref().map_or(Value::Null, text)),
    other("no-watch", |its| (!its.watch).into()),
];

impl Settings {
    /// All settings as they take effect.
    pub fn effective(&self) -> Map<String, Value> {
        ALL.iter().map(|setting| (setting.option.to_owned(), (setting.value)(self))).collect()
    }

    /// In which settings that decide about the tables a command with these and a service that said this of its own
    /// differ, in words; `None` when they do not. What the service did not say is no difference.
    pub fn differences(&self, of_service: &Map<String, Value>) -> Option<String> {
        differing(&self.effective(), of_service, |setting| setting.decides)
    }

    /// Whether a service that said this of its settings gives the login table to another owner.
    pub fn has_other_owner(&self, of_service: &Map<String, Value>) -> bool {
        differing(&self.effective(), of_service, |setting| setting.option == "auth-owner").is_some()
    }

    /// The same as [`Self::differences`] for the settings that decide about the service alone, and are in the directory of settings: it has not
    /// been started since they were written.
    pub fn unheeded(&self, of_service: &Map<String, Value>) -> Option<String> {
        let (started, variables) = (self.of_started.as_ref()?, &self.directory.as_ref()?.variables);
        let is_written = |setting: &Setting| {
            let name = format!("{PREFIX}{}", setting.option.replace('-', "_").to_uppercase());
            variables.contains_key(OsStr::new(&name))
        };
        differing(started, of_service, |setting| !setting.decides && is_written(setting))
    }
}

/// In which of the settings that count two differ, in words.
fn differing(
    here: &Map<String, Value>,
    there: &Map<String, Value>,
    counts: impl Fn(&Setting) -> bool,
) -> Option<String> {
    let of_setting = |setting: &Setting| {
        let (here, there) = (here.get(setting.option)?, there.get(setting.option)?);
        (here != there).then(|| format!("--{} is {} here and {} there", setting.option, word(here), word(there)))
    };
    let all: Vec<String> = ALL.iter().filter(|setting| counts(setting)).filter_map(of_setting).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

fn text(bytes: &[u8]) -> Value {
    Shown(bytes).to_string().into()
}

fn path(path: &Path) -> Value {
    text(path.as_os_str().as_bytes())
}

/// A value as a sentence needs it.
fn word(value: &Value) -> String {
    match value {
        Value::Bool(true) => "on".to_owned(),
        Value::Bool(false) => "off".to_owned(),
        Value::Null => "not set".to_owned(),
        Value::String(text) => Shown(text.as_bytes()).to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn every_option_that_can_be_set_has_its_line() {
        let cli = Cli::command();
        let commands = std::iter::once(&cli).chain(cli.get_subcommands());
        let options = commands.flat_map(|command| command.get_arguments());
        let options = options.filter(|option| option.get_env().is_some() && !option.is_hide_set());
        let options: BTreeSet<&str> = options.filter_map(|option| option.get_long()).collect();
        let lines: BTreeSet<&str> = ALL.iter().map(|setting| setting.option).collect();
        assert_eq!(lines, options, "settings/effective.rs: each option needs a line that says whether it decides");
        assert_eq!(lines.len(), ALL.len(), "two lines of one option");
    }
}
