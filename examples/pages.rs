//! Writes what an installed program needs beside itself, from what can be typed: the manual page qmail-updater(8), whose
//! frame is `packaging/man/qmail-updater.8.in`, and completions for bash and zsh. `cargo run --example pages` does it
//! again after a change; a test holds what is committed against it.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, Command, CommandFactory};
use clap_complete::aot::{Bash, Zsh, generate};
use qmail_updater::args::Cli;
use roff::{Inline, Roff, bold, italic, roman};

const NAME: &str = "qmail-updater";

#[allow(dead_code, reason = "a test includes this file")]
fn main() {
    for (path, content) in pages() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
    }
}

/// Every file, and what belongs into it.
pub fn pages() -> Vec<(PathBuf, Vec<u8>)> {
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    let frame = fs::read_to_string(packaging.join("man/qmail-updater.8.in")).unwrap();
    let (mut bash, mut zsh) = (Vec::new(), Vec::new());
    generate(Bash, &mut Cli::command(), NAME, &mut bash);
    generate(Zsh, &mut Cli::command(), NAME, &mut zsh);
    vec![
        (packaging.join("man/qmail-updater.8"), manual(&frame).into_bytes()),
        (packaging.join("completions/qmail-updater.bash"), bash),
        (packaging.join("completions/_qmail-updater"), zsh),
    ]
}

/// The page: in its frame, a line `@COMMANDS@` stands for the commands, `@OPTIONS@` for the options of all of them.
fn manual(frame: &str) -> String {
    let cli = Cli::command();
    let mut options = Roff::new();
    describe(&mut options, &cli);
    let mut commands = Roff::new();
    for command in cli.get_subcommands().filter(|command| !command.is_hide_set()) {
        // Built without its parent, it has its own options only.
        let mut command = command.clone().disable_help_flag(true);
        command.build();
        commands.control("SS", []).text(synopsis(&command)).text([roman(sentence(command.get_about()))]);
        describe(&mut commands, &command);
        if let Some(more) = command.get_after_help() {
            commands.control("PP", []).control("nf", []);
            for line in more.to_string().lines() {
                commands.text([roman(line)]);
            }
            commands.control("fi", []);
        }
    }
    let page = frame.replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    page.replace("@COMMANDS@\n", &commands.to_roff()).replace("@OPTIONS@\n", &options.to_roff())
}

/// How a command is typed.
fn synopsis(command: &Command) -> Vec<Inline> {
    let mut line = vec![bold(command.get_name())];
    for arg in shown(command) {
        let many = arg.is_positional() && arg.get_num_args().is_some_and(|count| count.max_values() > 1);
        let (open, close) = if arg.is_required_set() { (" ", "") } else { (" [", "]") };
        line.push(roman(open));
        line.extend(typed(arg));
        line.push(roman(close));
        line.extend(many.then(|| roman("...")));
    }
    line
}

fn shown(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !arg.is_hide_set() && arg.get_id() != "version")
}

/// An option or argument as it is typed.
fn typed(arg: &Arg) -> Vec<Inline> {
    let mut typed: Vec<Inline> = arg.get_short().map(|short| bold(format!("-{short}, "))).into_iter().collect();
    typed.extend(arg.get_long().map(|long| bold(format!("--{long}"))));
    if arg.is_positional() || arg.get_action().takes_values() {
        let name = arg.get_value_names().map(|names| names.join(" "));
        let may_lack = arg.get_num_args().is_some_and(|count| count.min_values() == 0) && !arg.is_positional();
        typed.extend(arg.get_long().map(|_| roman(if may_lack { " [" } else { " " })));
        typed.push(italic(name.unwrap_or_else(|| arg.get_id().as_str().to_uppercase())));
        typed.extend(may_lack.then(|| roman("]...")));
    }
    typed
}

/// What each option and argument of a command means.
fn describe(page: &mut Roff, command: &Command) {
    for arg in shown(command) {
        page.control("TP", []).text(typed(arg)).text([roman(sentence(arg.get_help()))]);
        if arg.get_action().takes_values() {
            for value in arg.get_possible_values() {
                page.control("br", [])
                    .text([bold(value.get_name()), roman(format!(": {}", sentence(value.get_help())))]);
            }
            for value in arg.get_default_values() {
                page.control("br", []).text([roman("Default: "), bold(value.to_string_lossy()), roman(".")]);
            }
        }
        if let Some(variable) = arg.get_env() {
            page.control("br", []).text([roman("Environment: "), bold(variable.to_string_lossy()), roman(".")]);
        }
    }
}

/// A help text as a sentence; a default that stands in it ends it.
fn sentence(help: Option<&clap::builder::StyledStr>) -> String {
    let text = help.map(ToString::to_string).unwrap_or_default();
    let text = text.replace(" [default: ", ". Default: ").replace(']', "");
    if text.ends_with('.') { text } else { text + "." }
}
