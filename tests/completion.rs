//! Completion in real shells: lines are typed into bash, zsh and fish on a terminal, a tab after each, and the shell is asked
//! what its line is then.

mod support;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use support::{MailHost, has, skip};

/// What is typed after `qmail-updater `, and what the line is after a tab. Where several words are possible, what they have in
/// common is added.
const LINES: [(&str, &str); 25] = [
    ("reb", "rebuild"),
    ("expl", "explain"),
    ("dom", "domains"),
    ("rebuild --dr", "rebuild --dry-run"),
    ("rebuild --dry-run --su", "rebuild --dry-run --summary"),
    ("rebuild --own", "rebuild --own-settings"),
    ("list lo", "list logins"),
    ("list rec", "list recipients"),
    ("list logins --form", "list logins --format"),
    ("list logins --format passw", "list logins --format passwd-file"),
    ("status --js", "status --json"),
    ("domains --js", "domains --json"),
    ("domains --op", "domains --open"),
    ("run --swee", "run --sweep"),
    ("run --no-w", "run --no-watch"),
    ("explain --color al", "explain --color always"),
    ("check --backend pg", "check --backend pgsql"),
    ("domains relay", "domains relay.example"),
    ("domains example.n", "domains example.net"),
    ("explain ann@example.c", "explain ann@example.com"),
    ("explain spam", "explain spam"),
    ("lookup erik@", "lookup erik@relay.example"),
    ("lookup ann@example.com office.desk@example.c", "lookup ann@example.com office.desk@example.com"),
    // Nothing hidden is offered.
    ("ske", "ske"),
    ("compl", "compl"),
];

const PATIENCE: Duration = Duration::from_secs(20);

fn tool(name: &str) -> Option<PathBuf> {
    let brought = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/shells/bin").join(name);
    if brought.exists() { Some(brought) } else { has(name).then(|| name.into()) }
}

/// A shell on a terminal.
struct Shell {
    child: std::process::Child,
    keys: std::process::ChildStdin,
    shown: Receiver<Vec<u8>>,
    text: String,
}

impl Shell {
    fn start(command: &str, host: &MailHost, home: &Path) -> Shell {
        let program = Path::new(support::tested()).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        let mut child = Command::new("script")
            .args(["-qec", command, "/dev/null"])
            .env_clear()
            .envs([("PATH", &path[..]), ("TERM", "xterm"), ("LC_ALL", "C.UTF-8"), ("COLUMNS", "200"), ("LINES", "50")])
            .env("HOME", home)
            .env("QMAIL_UPDATER_ROOT", host.root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (keys, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, shown) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Shell { child, keys, shown, text: String::new() }
    }

    fn type_keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits until the shell has shown `sign`; what came before it is returned.
    fn wait_for(&mut self, sign: &str) -> Option<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.text.find(sign) {
                let before = self.text[..at].to_owned();
                self.text.drain(..at + sign.len());
                return Some(before);
            }
            let more = self.shown.recv_timeout(end.saturating_duration_since(Instant::now())).ok()?;
            self.text.push_str(&String::from_utf8_lossy(&more));
        }
    }

    /// The line after these keys, a tab, and the key that makes the shell say what its line is.
    fn line_after(&mut self, typed: &str) -> String {
        self.type_keys(&format!("{typed}\t\x07"));
        let begun = self.wait_for("LINE<");
        let line = begun.and_then(|_| self.wait_for(">ENIL"));
        line.unwrap_or_else(|| panic!("{typed}: the shell says nothing: {}", self.text))
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn try_lines(name: &str, command: &dyn Fn(&Path, &Path, &Path) -> String) {
    let Some(shell) = tool(name).filter(|_| has("script")) else {
        return skip(&format!("completion in {name}"), &format!("{name} or script is not installed"));
    };
    let host = MailHost::sample();
    host.rebuild();
    let home = tempfile::tempdir().unwrap();
    let completions = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/completions");
    let mut shell = Shell::start(&command(&shell, &completions, home.path()), &host, home.path());
    assert!(shell.wait_for("READY>").is_some(), "{name} does not start: {}", shell.text);
    let mut wrong = Vec::new();
    for (typed, wanted) in LINES {
        let line = shell.line_after(&format!("qmail-updater {typed}"));
        let wanted = format!("qmail-updater {wanted}");
        if line.trim_end_matches([' ', '=']) != wanted {
            wrong.push(format!("{typed}: {line:?}, not {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
}

#[test]
fn bash_completes_what_a_command_takes() {
    try_lines("bash", &|shell, completions, home| {
        let rc = format!(
            "PS1='READY>'\nsource {}/qmail-updater.bash\nbind 'set bell-style none'\nbind 'set enable-bracketed-paste off'\n\
             say() {{ printf 'LINE<%s>ENIL\\n' \"$READLINE_LINE\"; READLINE_LINE=; READLINE_POINT=0; }}\n\
             bind -x '\"\\C-g\": say'\n",
            completions.display()
        );
        std::fs::write(home.join("rc"), rc).unwrap();
        format!("{} --noprofile --rcfile {} -i", shell.display(), home.join("rc").display())
    });
}

#[test]
fn zsh_completes_what_a_command_takes() {
    try_lines("zsh", &|shell, completions, home| {
        let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/shells/root/usr");
        let functions = if unpacked.join("share/zsh/functions").exists() {
            format!(
                "fpath=({0}/share/zsh/functions/**/*(/) {0}/share/zsh/functions)\nmodule_path=({0}/lib/*/zsh/*(/))\n",
                unpacked.display()
            )
        } else {
            String::new()
        };
        let rc = format!(
            "{functions}fpath=({} $fpath)\nautoload -Uz compinit && compinit -u -D\nunsetopt beep\nPS1='READY>'\n\
             zstyle ':completion:*' list-prompt ''\nLISTMAX=10000\nsetopt no_list_beep\n\
             say() {{ print -r -- \"LINE<$BUFFER>ENIL\"; BUFFER= }}\nzle -N say\nbindkey '^G' say\nunset zle_bracketed_paste\n",
            completions.display()
        );
        std::fs::write(home.join(".zshrc"), rc).unwrap();
        format!("ZDOTDIR={} {} -d -i", home.display(), shell.display())
    });
}

#[test]
fn fish_completes_what_a_command_takes() {
    try_lines("fish", &|shell, completions, home| {
        let rc = format!(
            "set -g fish_autosuggestion_enabled 0\nset -g fish_greeting\nfunction fish_prompt; printf 'READY>'; end\n\
             source {}/qmail-updater.fish\n\
             function say; printf 'LINE<%s>ENIL\\n' (commandline -b); commandline -r ''; commandline -f cancel; end\n\
             bind \\cg say\n",
            completions.display()
        );
        let file = home.join("rc.fish");
        std::fs::write(&file, rc).unwrap();
        format!("{} --no-config -i -C 'source {}'", shell.display(), file.display())
    });
}
