//! Writes what an installed program needs beside itself. From what can be typed: the manual page qmail-updater(8), whose
//! frame is `packaging/man/qmail-updater.8.in`, docs/reference/commands.md, and completions for bash, zsh and fish. From
//! docs/reference/settings.md and files.md: the manual page qmail-updater.conf(5). `cargo run --example pages` does it
//! again after a change; a test holds what is committed against it.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueHint;
use clap::{Arg, Command, CommandFactory};
use clap_complete::aot::{Fish, Zsh, generate};
use pulldown_cmark::{Event, HeadingLevel, Parser, Tag, TagEnd};
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
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (packaging, reference) = (repository.join("packaging"), repository.join("docs/reference"));
    let frame = fs::read_to_string(packaging.join("man/qmail-updater.8.in")).unwrap();
    vec![
        (packaging.join("man/qmail-updater.8"), manual(&frame).into_bytes()),
        (packaging.join("man/qmail-updater.conf.5"), settings(&reference).into_bytes()),
        (reference.join("commands.md"), commands().into_bytes()),
        (packaging.join("completions/qmail-updater.bash"), bash().into_bytes()),
        (packaging.join("completions/_qmail-updater"), zsh().into_bytes()),
        (packaging.join("completions/qmail-updater.fish"), fish().into_bytes()),
    ]
}

/// What is completed: the program without what is hidden, and for each value what it is.
fn completed() -> Command {
    let hint = |arg: Arg| {
        let names = arg.get_value_names().map(|names| names.join(" ")).unwrap_or_default();
        let hint = match &names[..] {
            "DIR" => ValueHint::DirPath,
            "FILE" | "PROGRAM" => ValueHint::AnyPath,
            _ => ValueHint::Other,
        };
        if arg.get_action().takes_values() { arg.value_hint(hint) } else { arg }
    };
    // There is no way to take a command or an option away from a parser.
    let without_hidden = |command: &Command| {
        let new = Command::new(&*command.get_name().to_owned().leak())
            .about(command.get_about().cloned().unwrap_or_default());
        new.args(command.get_arguments().filter(|arg| !arg.is_hide_set()).cloned().map(hint))
    };
    let cli = Cli::command();
    let shown = cli.get_subcommands().filter(|command| !command.is_hide_set());
    let program = without_hidden(&cli).disable_help_subcommand(true).version(env!("CARGO_PKG_VERSION"));
    program.subcommands(shown.map(without_hidden))
}

/// What `qmail-updater complete` is asked for in the place of the arguments of a command.
const ASKED: [(&str, &str); 4] =
    [("explain", "addresses"), ("lookup", "addresses"), ("user", "users"), ("domains", "domains")];

/// The completion for bash: its frame, with the words of each command and option. clap's own stops behind the first
/// command, and bash cuts addresses at their `@`.
fn bash() -> String {
    let program = completed();
    let longs = |command: &Command| -> Vec<String> {
        let options = command.get_arguments().filter_map(|arg| arg.get_long()).map(|long| format!("--{long}"));
        options.collect()
    };
    let (mut commands, mut values) = (String::new(), Vec::new());
    for command in program.get_subcommands() {
        let mut options = longs(command);
        options.push("--help".to_owned());
        let words: Vec<String> = command
            .get_positionals()
            .flat_map(|arg| arg.get_possible_values())
            .map(|value| value.get_name().to_owned())
            .collect();
        let asked = ASKED.iter().find(|(name, _)| *name == command.get_name()).map_or("", |(_, asked)| asked);
        let files = command.get_positionals().any(|arg| arg.get_value_hint() == ValueHint::AnyPath);
        commands += &format!(
            "        {}) options='{}' words='{}' asked='{asked}' files={} ;;\n",
            command.get_name(),
            options.join(" "),
            words.join(" "),
            if files { "yes" } else { "''" }
        );
    }
    for command in std::iter::once(&program).chain(program.get_subcommands()) {
        for arg in command.get_opts().filter(|arg| arg.get_action().takes_values()) {
            let Some(long) = arg.get_long() else { continue };
            let possible: Vec<String> = arg.get_possible_values().iter().map(|v| v.get_name().to_owned()).collect();
            let what = match arg.get_value_hint() {
                _ if !possible.is_empty() => format!("words='{}'", possible.join(" ")),
                ValueHint::DirPath => "files=directories".to_owned(),
                ValueHint::AnyPath => "files=yes".to_owned(),
                _ if long == "force" => "asked=domains".to_owned(),
                _ => ":".to_owned(),
            };
            // The value of --force may be left out, so a word behind it may be an option too.
            values.push(format!("        --{long}) {what} ;;\n"));
        }
    }
    values.sort();
    values.dedup();
    let names: Vec<&str> = program.get_subcommands().map(Command::get_name).collect();
    let frame = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/completion.bash")).unwrap();
    frame
        .replace("@NAMES@", &names.join(" "))
        .replace("@GLOBAL@", &longs(&program).join(" "))
        .replace("        @COMMANDS@\n", &commands)
        .replace("        @VALUES@\n", &values.concat())
}

/// The completion for zsh: clap's, which asks the program for addresses and domains.
fn zsh() -> String {
    let mut text = Vec::new();
    generate(Zsh, &mut completed(), NAME, &mut text);
    let text = String::from_utf8(text).unwrap();
    let mut lines: Vec<String> = Vec::new();
    let mut command = String::new();
    for line in text.lines() {
        if let Some(name) = line.trim().strip_prefix('(').and_then(|line| line.strip_suffix(')')) {
            command = name.to_owned();
        }
        let asked = ASKED.iter().find(|(name, _)| *name == command).map(|(_, asked)| asked);
        lines.push(match (asked, line.strip_prefix("'*::")) {
            (Some(asked), Some(rest)) => {
                let what = rest.split(' ').next().unwrap_or_default();
                format!("'*::{what}:_qmail-updater_asked {asked}' \\")
            }
            _ if line.contains("--force=[") => {
                "'*--force=[Publish what is lost, past the guard]:DOMAIN:_qmail-updater_asked domains' \\".to_owned()
            }
            _ => line.to_owned(),
        });
    }
    let asks = "# Asks the program for addresses or domains that the published table has.\n\
                _qmail-updater_asked() {\n    \
                    local -a found\n    \
                    found=(${(f)\"$(_call_program found qmail-updater complete ${@[-1]} ${(q)PREFIX} 2>/dev/null)\"})\n    \
                    compadd -a found\n}\n\n";
    let text = lines.join("\n") + "\n";
    text.replacen("_qmail-updater() {\n", &format!("{asks}_qmail-updater() {{\n"), 1)
}

/// The completion for fish: clap's, and what asks the program.
fn fish() -> String {
    let mut text = Vec::new();
    generate(Fish, &mut completed(), NAME, &mut text);
    let mut text = String::from_utf8(text).unwrap();
    let asks = |asked: &str| format!("(qmail-updater complete {asked} (commandline -ct) 2>/dev/null)");
    for (command, asked) in ASKED {
        let condition = format!("__fish_qmail_updater_using_subcommand {command}");
        text += &format!("complete -c {NAME} -n \"{condition}\" -f -a \"{}\"\n", asks(asked));
    }
    text += &format!(
        "complete -c {NAME} -n \"__fish_qmail_updater_using_subcommand rebuild; and __fish_contains_opt force\" -f -a \"{}\"\n",
        asks("domains")
    );
    text +=
        &format!("complete -c {NAME} -n \"__fish_qmail_updater_using_subcommand list\" -f -a \"recipients logins\"\n");
    text
}

/// The page: in its frame, a line `@COMMANDS@` stands for the commands, `@OPTIONS@` for the options of all of them.
fn manual(frame: &str) -> String {
    let cli = Cli::command();
    let mut options = Roff::new();
    describe(&mut options, &cli);
    let mut commands = Roff::new();
    for command in own_commands(&cli) {
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

/// The commands that people type, each with its own options only, because it is built without its parent.
fn own_commands(cli: &Command) -> Vec<Command> {
    let shown = cli.get_subcommands().filter(|command| !command.is_hide_set());
    let own = shown.map(|command| {
        let mut command = command.clone().disable_help_flag(true);
        command.build();
        command
    });
    own.collect()
}

/// docs/reference/commands.md.
fn commands() -> String {
    let text = |inlines: Vec<Inline>| -> String {
        let plain = |inline: Inline| match inline {
            Inline::Roman(text) | Inline::Italic(text) | Inline::Bold(text) => text,
            Inline::LineBreak => " ".into(),
        };
        inlines.into_iter().map(plain).collect()
    };
    let mut page = "# Commands\n\nThe manual page qmail-updater(8) says the same. The [settings](settings.md) of the host are options of every command.\n\
                    [Exit statuses](exit-statuses.md) are those of all commands.\n"
        .to_owned();
    for command in own_commands(&Cli::command()) {
        let about = sentence(command.get_about());
        page += &format!("\n## {}\n\n`{}`\n\n{about}\n", command.get_name(), text(synopsis(&command)));
        for (number, arg) in shown(&command).enumerate() {
            let mut told = sentence(arg.get_help());
            if arg.get_action().takes_values() {
                for value in arg.get_possible_values() {
                    told += &format!(" `{}`: {}", value.get_name(), sentence(value.get_help()));
                }
                for value in arg.get_default_values() {
                    told += &format!(" Default: `{}`.", value.to_string_lossy());
                }
            }
            page += &format!("{}* `{}`: {told}\n", if number == 0 { "\n" } else { "" }, text(typed(arg)));
        }
        if let Some(more) = command.get_after_help() {
            page += &format!("\n```text\n{}\n```\n", more.to_string().trim_end());
        }
    }
    page
}

/// qmail-updater.conf(5), from two documents: a heading of the second level is a section, one of the third an entry.
fn settings(reference: &Path) -> String {
    let mut page = Roff::new();
    let version = concat!("qmail-updater ", env!("CARGO_PKG_VERSION"));
    page.control("TH", ["QMAIL-UPDATER.CONF", "5", "", version, "File Formats"]);
    page.control("SH", ["NAME"]).text([roman("qmail-updater.conf - settings and files of qmail-updater")]);
    for (file, section) in [("settings.md", "SETTINGS"), ("files.md", "FILES")] {
        page.control("SH", [section]);
        add_markdown(&mut page, &fs::read_to_string(reference.join(file)).unwrap());
    }
    page.control("SH", ["SEE ALSO"]).text([
        bold("qmail-updater"),
        roman("(8), "),
        bold("qmail-updater-onchange"),
        roman("(5)"),
    ]);
    format!(
        ".\\\" docs/reference/settings.md and files.md, as `cargo run --example pages` writes them: edit those.\n{}",
        page.to_roff()
    )
}

fn add_markdown(page: &mut Roff, text: &str) {
    let (mut line, mut title, mut is_code, mut is_entry) = (Vec::new(), false, false, false);
    for event in Parser::new(text) {
        match event {
            Event::Start(Tag::Heading { level, .. }) => title = level == HeadingLevel::H1,
            Event::Start(Tag::Paragraph) if !is_entry => {
                page.control("PP", []);
            }
            Event::Start(Tag::CodeBlock(_)) => {
                page.control("EX", []);
                is_code = true;
            }
            Event::End(TagEnd::CodeBlock) => {
                page.control("EE", []);
                is_code = false;
            }
            Event::End(TagEnd::Heading(level)) => {
                let line = std::mem::take(&mut line);
                is_entry = level == HeadingLevel::H3;
                match level {
                    // The section of the page has a name.
                    HeadingLevel::H1 => title = false,
                    HeadingLevel::H2 => {
                        page.control("SS", []).text(line);
                    }
                    _ => {
                        page.control("TP", []).text(line);
                    }
                }
            }
            Event::End(TagEnd::Paragraph | TagEnd::Item) => {
                page.text(std::mem::take(&mut line));
                is_entry = false;
            }
            Event::Start(Tag::Item) => {
                page.control("IP", ["\\(bu", "2"]);
            }
            Event::Text(text) if is_code => {
                for line in text.lines() {
                    page.text([roman(line)]);
                }
            }
            Event::Text(text) if !title => line.push(roman(text.as_ref())),
            Event::Code(code) => line.push(bold(code.as_ref())),
            Event::SoftBreak => line.push(roman(" ")),
            _ => {}
        }
    }
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
