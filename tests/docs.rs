//! Every command that README.md and docs/ show is run, as it stands there, and what stands under it is what it answers.
//!
//! Each document is followed from its first line to its last in a root of its own (tests/docs/room.sh): this machine
//! with a layer over it, a small qmail and vpopmail host on it, no network but loopback. Each line of an `sh` block is
//! a command. A `text` block behind it is its output; there `...` stands for anything within a line, a line of `...` for
//! any lines. What asks only is asked again until it answers so: an administrator is slower than a test. After "From the
//! Debian package:" and "From source:" stands one of two ways, and a document that has both is followed twice.
//!
//! Stand-ins, below tests/docs: qmail's and vpopmail's programs; `cargo install`, which would compile everything again;
//! systemctl, which enables and records; tail, which would not end. daemontools, runit, ssh, rsync, dpkg are real.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use support::service::PATIENCE;
use support::{documents, has, is_root, skip};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One of the two ways that some documents know.
const PACKAGE: &str = "From the Debian package";
const SOURCE: &str = "From source";

/// The heading of the document that ends the first hour.
const UNINSTALL: &str = "# Uninstall";

/// What a document shows in one block.
#[derive(Debug, Clone)]
struct Step {
    /// The document and line, for whom it concerns.
    place: String,
    heading: String,
    /// One of the two ways only.
    way: Option<&'static str>,
    /// The lines of an `sh` block; none of a `text` block that follows none.
    commands: Vec<String>,
    /// The `text` block.
    text: Option<String>,
}

/// The blocks of a document, in its order.
fn steps(document: &str) -> Vec<Step> {
    let text = fs::read_to_string(repository().join(document)).unwrap();
    let (mut steps, mut heading, mut prose) = (Vec::<Step>::new(), String::new(), String::new());
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line.starts_with('#') {
            line.clone_into(&mut heading);
        }
        let Some(language) = line.strip_prefix("```") else {
            if !line.is_empty() {
                line.clone_into(&mut prose);
            }
            continue;
        };
        let block: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        let place = format!("{document}: line {}", number + 1);
        let says = |way: &str| prose.starts_with(way) || heading.ends_with(&way.replace("From", "from"));
        let way = [PACKAGE, SOURCE].into_iter().find(|way| says(way));
        let is_answer = prose == "```" && steps.last().is_some_and(|step| step.text.is_none());
        match language {
            "sh" => {
                let commands = block.into_iter().map(str::to_owned).collect();
                steps.push(Step { place, heading: heading.clone(), way, commands, text: None });
            }
            "text" if is_answer => steps.last_mut().unwrap().text = Some(block.join("\n")),
            "text" => {
                let text = Some(block.join("\n"));
                steps.push(Step { place, heading: heading.clone(), way, commands: Vec::new(), text });
            }
            // tests/sql_servers.rs runs them on real servers.
            "sql" => {}
            other => panic!("{place}: a block of {other:?}"),
        }
        "```".clone_into(&mut prose);
    }
    steps
}

/// Whether a command only asks; then it may answer "no", and may be asked again.
fn only_asks(command: &str) -> bool {
    let questions = ["lookup", "status", "check", "explain", "domains", "user", "list", "rebuild --dry-run"];
    let programs = ["diff ", "svstat ", "sv status ", "tail ", "ls ", "cdb -d ", "cut "];
    let (first, _) = command.split_once('|').unwrap_or((command, ""));
    programs.iter().any(|program| first.starts_with(program))
        || first.contains("qmail-updater ") && !first.contains('>') && questions.iter().any(|q| first.contains(q))
}

/// Whether the lines are those of the text, with its `...`.
fn is_like(lines: &[&str], text: &[&str]) -> bool {
    match text.split_first() {
        None => lines.is_empty(),
        Some((&"...", rest)) => (0..=lines.len()).any(|skipped| is_like(&lines[skipped..], rest)),
        Some((first, rest)) => lines.first().is_some_and(|line| is_line(line, first)) && is_like(&lines[1..], rest),
    }
}

fn is_line(line: &str, text: &str) -> bool {
    // ls and others pad their columns.
    let plain = |text: &str| text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let (line, text) = (plain(line), plain(text));
    let mut parts = text.split("...");
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let at = if parts.peek().is_none() {
            if rest.ends_with(part) { Some(rest.len() - part.len()) } else { None }
        } else {
            rest.find(part)
        };
        let Some(at) = at else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty()
}

/// Namespaces of their own, with one root or two in them, and a shell there.
struct House {
    folder: tempfile::TempDir,
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl House {
    /// Nothing, said why, where it cannot be had.
    fn open(test: &str) -> Option<House> {
        let programs = [
            "unshare",
            "cdb",
            "svscan",
            "envdir",
            "runsvdir",
            "sv",
            "chpst",
            "tcprules",
            "perl",
            "openssl",
            "busybox",
            "rsync",
            "ssh",
            "sshd",
            "ssh-keygen",
            "ssh-keyscan",
            "systemctl",
            "dpkg-deb",
            "less",
        ];
        let missing = programs.into_iter().find(|program| !has(program));
        if !is_root() {
            skip(test, "only root can make a root of its own");
            return None;
        }
        if let Some(missing) = missing {
            skip(test, &format!("{missing} is not installed"));
            return None;
        }
        let folder = tempfile::Builder::new().prefix("qmail-updater-docs.").tempdir().unwrap();
        let mut shell = Command::new("unshare")
            .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "sh"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (shell.stdin.take().unwrap(), BufReader::new(shell.stdout.take().unwrap()));
        let mut house = House { folder, shell, input, output };
        let try_overlay = "mkdir t && mount -t tmpfs tmpfs t && mkdir t/u t/w t/r && \
                           mount -t overlay -o lowerdir=/,upperdir=t/u,workdir=t/w overlay t/r && umount t/r t";
        let folder = house.folder.path().display().to_string();
        let (code, said) = house.here(&format!("cd {folder} && {try_overlay}")).unwrap_or((1, "no namespaces".into()));
        if code != 0 {
            skip(test, &format!("no overlay of / in a mount namespace: {}", said.trim()));
            return None;
        }
        Some(house)
    }

    /// Runs a script in the shell itself.
    fn here(&mut self, script: &str) -> Option<(i32, String)> {
        let out = self.folder.path().join("out");
        let file = self.folder.path().join("script");
        fs::write(&file, script).unwrap();
        writeln!(self.input, "timeout 120 sh {} >{} 2>&1 </dev/null; echo $?", file.display(), out.display()).ok()?;
        let mut code = String::new();
        self.output.read_line(&mut code).ok()?;
        Some((code.trim().parse().ok()?, String::from_utf8_lossy(&fs::read(out).unwrap()).into_owned()))
    }

    /// Makes a root.
    fn furnish(&mut self, name: &str) {
        let path = |path: &Path| path.display().to_string();
        let (folder, here) = (path(self.folder.path()), path(repository()));
        let built = path(Path::new(support::tested()).parent().unwrap());
        let script = format!(
            "sh {here}/tests/docs/room.sh {folder} {here} {name} && \
             for program in qmail-updater qmail-updater-database; do \
             install -m 755 {built}/$program {folder}/{name}/root/run/$program.built || exit; done"
        );
        let (code, said) = self.here(&script).unwrap();
        assert_eq!(code, 0, "{said}");
    }

    /// Runs a command in a root: exit status and everything printed. What it exports, the next one finds: an
    /// administrator has one shell.
    fn run(&mut self, name: &str, command: &str) -> (i32, String) {
        let root = self.folder.path().join(name).join("root");
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let script = format!(
            "cat >{root}/run/command <<'END OF COMMAND'\ncd /src\n[ ! -f /run/exported ] || . /run/exported\n{command}\n\
             code=$?\nexport -p >/run/exported\nexit $code\nEND OF COMMAND\n\
             exec env -i {path} HOME=/root LC_ALL=C chroot {root} sh /run/command",
            root = root.display()
        );
        self.here(&script).unwrap()
    }

    /// Runs what must succeed.
    fn must(&mut self, name: &str, command: &str) -> String {
        let (code, said) = self.run(name, command);
        assert_eq!(code, 0, "{command}: {said}");
        said
    }

    /// Runs it again until it is as wanted.
    fn wait_for(&mut self, name: &str, command: &str, is_right: impl Fn(i32, &str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let (code, said) = self.run(name, command);
            if is_right(code, &said) {
                return said;
            }
            assert!(start.elapsed() < PATIENCE, "{command}: {code}: {said}");
        }
    }

    /// The commands of one block, and what they answer.
    fn follow(&mut self, name: &str, step: &Step) {
        let Step { place, commands, text, .. } = step;
        let may_ask_again = text.is_some() && commands.iter().all(|command| only_asks(command));
        let start = Instant::now();
        loop {
            let mut all = String::new();
            for command in commands {
                let (code, said) = self.run(name, command);
                assert!(code == 0 || code == 1 && only_asks(command), "{place}: {command}: exited {code}: {said}");
                all.push_str(&said);
            }
            let Some(text) = text else { return };
            let said: Vec<&str> = all.lines().map(str::trim_end).collect();
            let wanted: Vec<&str> = text.lines().map(str::trim_end).collect();
            if is_like(&said, &wanted) {
                return;
            }
            assert!(may_ask_again && start.elapsed() < PATIENCE, "{place}: not what it shows:\n{all}");
        }
    }

    /// Gives ann a password that the documents know.
    fn set_password(&mut self, name: &str) {
        let hash = "sed -i \"s|^ann:[^:]*|ann:$(openssl passwd -6 PASSWORD)|\" vpasswd";
        let compile = "~vpopmail/bin/vadduser --compile . && chown vpopmail:vchkpw vpasswd*";
        self.must(name, &format!("cd ~vpopmail/domains/example.com && {hash} && {compile}"));
    }

    /// What runs all the time on such a host.
    fn start_supervisors(&mut self, name: &str) {
        self.must(name, "setsid svscan /service >/dev/null 2>&1 &\nsetsid runsvdir /etc/service >/dev/null 2>&1 &");
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // The shell is process 1 there: with it, everything ends.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

#[test]
fn every_document_with_commands_is_followed_by_a_test() {
    let followed = [
        "README.md",
        "docs/guide/install.md",
        "docs/guide/requirements.md",
        "docs/guide/uninstall.md",
        "docs/reference/settings.md",
        "docs/guide/actions.md",
        "docs/guide/hooks.md",
        "docs/guide/front-ends.md",
        "docs/guide/first-hour.md",
        "docs/guide/mailhubs.md",
        "docs/guide/moving-over.md",
        "docs/troubleshooting/messages.md",
    ];
    for name in documents() {
        let has_commands = steps(&name).iter().any(|step| !step.commands.is_empty());
        assert_eq!(has_commands, followed.contains(&name.as_str()), "{name}");
    }
}

fn first_hour(house: &mut House, way: &str) {
    house.furnish("mail");
    house.set_password("mail");
    house.start_supervisors("mail");
    house.must("mail", "printf '127.:allow,RELAYCLIENT=\"\"\\n:allow\\n# end\\n' >/etc/tcp.smtp");
    if way == PACKAGE {
        house.must("mail", "tests/docs/package");
    }
    let mut before = String::new();
    let steps = [steps("docs/guide/first-hour.md"), steps("docs/guide/uninstall.md")].concat();
    for step in steps.iter().filter(|step| step.way.is_none_or(|its| its == way)) {
        // One service at a time, and the first of the three stays.
        let (from, to) = (before.as_str(), step.heading.as_str());
        if from.starts_with("### daemontools") && to.starts_with("### runit") {
            house.wait_for("mail", "qmail-updater status", |code, _| code == 0);
            house.must("mail", "svc -d /service/qmail-updater");
            house.wait_for("mail", "qmail-updater status", |_, said| said.starts_with("service: not running"));
        }
        if from.starts_with("### runit") && from != to {
            house.wait_for("mail", "qmail-updater status", |code, _| code == 0);
            house.must("mail", "sv down /etc/service/qmail-updater");
            // Two services must not meet: the second one would start again and again, and hear nothing meanwhile.
            house.wait_for("mail", "qmail-updater status", |_, said| said.starts_with("service: not running"));
            house.must("mail", "svc -u /service/qmail-updater");
        }
        if step.heading.starts_with("## 7.") {
            house.wait_for("mail", "qmail-updater status", |code, _| code == 0);
        }
        if step.heading == UNINSTALL && before != UNINSTALL {
            house.wait_for("mail", "qmail-updater status", |_, said| said.starts_with("service: not running"));
        }
        before.clone_from(&step.heading);
        if let Some(who_reads) = step.commands.iter().find(|command| command.ends_with("|| echo nobody")) {
            // Rules elsewhere, with a hook in them.
            let rules = "~vpopmail/etc/tcp.smtp";
            house.must("mail", &format!("echo ':allow,RCPTCHECK=\"/usr/lib/qmail-updater/rcptcheck\"' >{rules}"));
            assert_eq!(house.must("mail", who_reads), "/home/vpopmail/etc/tcp.smtp\n", "{}", step.place);
            house.must("mail", &format!("rm {rules}"));
            // The table that sagredo's qmail reads without a variable.
            let table = "/var/qmail/control/morevalidrcptto.cdb";
            house.must("mail", &format!("touch {table}"));
            assert_eq!(house.must("mail", who_reads), format!("{table}\n"), "{}", step.place);
            house.must("mail", &format!("rm {table}"));
        }
        if step.commands.is_empty() {
            // What the administrator writes into the rules.
            let rule = step.text.as_ref().unwrap();
            assert!(rule.starts_with(",VALIDRCPTTO_CDB="), "{}", step.place);
            house.must("mail", &format!("sed -i '/^:allow/s|$|{}|' /etc/tcp.smtp", rule.trim_end()));
        } else {
            house.follow("mail", step);
        }
        // Through tcpserver's rules, as a client in the network sees it.
        let client = "HELO me\\r\\nMAIL FROM:<>\\r\\nRCPT TO:<eve@example.com>\\r\\nRCPT TO:<nobody@example.com>\\r\\nQUIT\\r\\n";
        let serve = format!(
            "variables=$(TCPREMOTEIP=192.0.2.1 tcprulescheck /etc/tcp.smtp.cdb | sed -n 's/^set environment variable //p')\n\
             printf '{client}' | env -i PATH=\"$PATH\" $variables setuidgid qmaild /var/qmail/bin/qmail-smtpd"
        );
        if step.heading.starts_with("## 8.") {
            house.wait_for("mail", &serve, |_, said| {
                said.matches("250 ok").count() == 3 && said.matches("553 ").count() == 1
            });
        }
        if step.heading.starts_with("## Undo it") || step.heading == UNINSTALL {
            let said = house.must("mail", &serve);
            assert_eq!(said.matches("250 ok").count(), 4, "{}: mail is refused: {said}", step.place);
        }
    }
    let gone = "for file in /etc/service /service /usr/bin /usr/local/bin /etc /run; do \
                [ ! -e $file/qmail-updater ] || exit 1; done; [ ! -e ~vpopmail/etc/onchange ]";
    house.must("mail", gone);
    house.must("mail", "[ ! -e /tmp/update-qmail ] && ! ls /var/qmail/control/*.cdb 2>/dev/null");
    assert_eq!(house.must("mail", "cat /etc/tcp.smtp"), "127.:allow,RELAYCLIENT=\"\"\n:allow\n# end\n");
    if way == PACKAGE {
        let called = house.must("mail", "cat /run/systemctl.called");
        assert_eq!(called, "enable --now qmail-updater\ndisable --now qmail-updater\n");
    }
}

#[test]
fn the_first_hour_from_the_package() {
    if let Some(mut house) = House::open("the_first_hour_from_the_package") {
        first_hour(&mut house, PACKAGE);
    }
}

#[test]
fn the_first_hour_from_source() {
    if let Some(mut house) = House::open("the_first_hour_from_source") {
        first_hour(&mut house, SOURCE);
    }
}

#[test]
fn moving_over_from_a_script_and_a_cron_job() {
    let Some(mut house) = House::open("moving_over_from_a_script_and_a_cron_job") else { return };
    house.furnish("mail");
    house.must("mail", "install -m 755 /run/qmail-updater.built /usr/local/bin/qmail-updater");
    house.must("mail", "mkdir -p /etc/qmail-updater/env");
    house.must("mail", "install -m 755 tests/docs/mkvalidrcptto /usr/local/sbin/; mkvalidrcptto");
    let cron = "*/5 * * * * root /usr/local/sbin/mkvalidrcptto";
    house.must("mail", &format!("mkdir -p /etc/cron.d; echo '{cron}' >/etc/cron.d/validrcptto"));
    let clients = "for name in bob office.desk ann; do echo \"@4000 192.0.2.7 > RCPT TO:<$name@example.com>\"; done";
    house.must("mail", &format!("mkdir -p /var/log/qmail/smtpd; ({clients}) >/var/log/qmail/smtpd/current"));
    let old = house.must("mail", "cdb -d /var/qmail/control/validrcptto.cdb");
    for step in steps("docs/guide/moving-over.md") {
        if step.heading.starts_with("## Undo it") {
            let answers = house.run("mail", "qmail-updater lookup bob@example.com office.desk@example.com").1;
            assert!(answers.starts_with("refuse\tbob") && answers.contains("\naccept\toffice"), "switched: {answers}");
            house.must("mail", "[ ! -e /etc/cron.d/validrcptto ]");
        }
        house.follow("mail", &step);
    }
    assert_eq!(house.must("mail", "cdb -d /var/qmail/control/validrcptto.cdb"), old, "undone");
    assert_eq!(house.must("mail", "cat /etc/cron.d/validrcptto"), format!("{cron}\n"));
}

#[test]
fn the_readme_mailhubs_any_qmail_smtpd_and_troubleshooting() {
    let test = "the_readme_mailhubs_any_qmail_smtpd_and_troubleshooting";
    let Some(mut house) = House::open(test) else { return };
    house.furnish("mail");
    house.start_supervisors("mail");
    // The first two commands have tests of their own: tests/readme.rs, and whoever reads this ran the second.
    let readme = steps("README.md");
    let (first, readme): (Vec<Step>, Vec<Step>) =
        readme.into_iter().partition(|step| step.heading == "## Try it without qmail" || step.commands.is_empty());
    let first: Vec<&String> = first.iter().flat_map(|step| &step.commands).collect();
    assert_eq!(first, ["sh examples/try", "sh tests/run"]);
    for step in readme.into_iter().chain(steps("docs/guide/requirements.md")) {
        house.follow("mail", &step);
    }
    for step in steps("docs/guide/install.md").iter().filter(|step| step.way.is_none_or(|its| its == SOURCE)) {
        house.follow("mail", step);
    }
    for step in steps("docs/reference/settings.md") {
        house.follow("mail", &step);
    }
    house.wait_for("mail", "qmail-updater status", |code, _| code == 0);
    house.must("mail", "[ -x ~vpopmail/etc/onchange ]");
    // Step 4 of the first hour.
    house.set_password("mail");
    house.must("mail", "qmail-updater --auth-owner root:nofiles rebuild");
    // What is no setting, and lies among them.
    house.must("mail", "cd /etc/qmail-updater/env && touch README.txt QMAIL_UPDATER_SWEEP~ QMAIL_UPDATER_EMPTY");
    let documents = [
        "docs/guide/actions.md",
        "docs/guide/hooks.md",
        "docs/guide/front-ends.md",
        "docs/troubleshooting/messages.md",
    ];
    for document in documents {
        // The configurations of other mail servers are tests/servers.rs's.
        for step in steps(document).into_iter().filter(|step| !step.commands.is_empty()) {
            house.follow("mail", &step);
        }
    }

    // The hub: a root of its own, with the sshd of its machine.
    house.furnish("hub");
    house.must("hub", "ssh-keygen -A >/dev/null; setsid /usr/sbin/sshd -D >/dev/null 2>&1 &");
    let mut hub_line = None;
    for step in steps("docs/guide/mailhubs.md") {
        let is_at_hub =
            step.heading == "## At each hub" || step.commands.iter().any(|line| line.ends_with("# at the hub"));
        if step.commands.is_empty() {
            let key = house.must("mail", "cat /etc/qmail-updater/mailhubs.key.pub");
            let line = step.text.as_ref().unwrap().replace("ssh-ed25519 AAAA...", key.trim());
            house.must("hub", &format!("echo '{line}' >~mailhub/.ssh/authorized_keys"));
            house.wait_for("mail", "ssh-keyscan hub1.example.com 2>/dev/null", |_, said| !said.is_empty());
            hub_line = Some(line);
        } else {
            house.follow(if is_at_hub { "hub" } else { "mail" }, &step);
        }
    }
    assert!(hub_line.is_some());
    // By itself, from now on.
    house.must("mail", "~vpopmail/bin/vadduser frank@example.com a-long-password");
    house.wait_for("mail", "qmail-updater lookup frank@example.com", |code, _| code == 0);
    for table in ["validrcptto.cdb", "auth.cdb"] {
        let sum = format!("sha256sum </var/qmail/control/{table}");
        let here = house.must("mail", &sum);
        house.wait_for("hub", &sum.replace("control", "tables"), |_, there| there == here);
    }
}
