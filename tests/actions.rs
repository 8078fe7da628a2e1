//! Actions and the skeleton, with the real service, its real pipe, and real programs: what is run for which change, as
//! whom, and what no notice, no skeleton and no mailbox directory makes run or touched.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::service::{COM, PATIENCE, Service, follow};
use support::{Answer, MailHost, NOT_DUMPABLE, give, is_root, script, skip};

const ACTIONS: &str = "/etc/qmail-updater/actions.d";
const SKEL: &str = "/home/vpopmail/skel";
const NET: &str = "/home/vpopmail/domains/example.net";
/// The shell's words that write down what a program was told, a line each.
const NOTE: &str = "printf '%s|%s|%s|%s\\n' \"$1\" \"$2\" \"$(printf %s \"$3\" | tr '\\n' ' ')\" \"$4\" >>";

/// Who owns the domains: nobody's account, or we.
fn owner() -> (u32, u32) {
    if support::is_root() { (4242, 4243) } else { support::me() }
}

/// Gives a folder, and all that is in it, to the owner of the domains.
fn give_all(path: &Path) {
    if !support::is_root() {
        return;
    }
    give(path, owner().0, owner().1);
    if path.is_dir() && !path.is_symlink() {
        fs::read_dir(path).unwrap().for_each(|entry| give_all(&entry.unwrap().path()));
    }
}

fn record(name: &str, folder: &str) -> String {
    format!("{name}:$6$salt$hash:1:0:N:{folder}/{name}:NOQUOTA")
}

/// Writes the mailboxes of a domain, each in a directory of its name.
fn mailboxes(host: &MailHost, home: &str, names: &[&str]) {
    let lines: Vec<String> = names.iter().map(|name| record(name, home)).collect();
    write_mailboxes(host, home, &lines.iter().map(String::as_str).collect::<Vec<_>>());
}

fn write_mailboxes(host: &MailHost, home: &str, lines: &[&str]) {
    // Renamed into place, as vpopmail does it.
    host.mailboxes(&format!("{home}/draft"), lines);
    fs::rename(host.path(&format!("{home}/draft/vpasswd.cdb")), host.path(&format!("{home}/vpasswd.cdb"))).unwrap();
    fs::remove_dir(host.path(&format!("{home}/draft"))).unwrap();
    give_all(&host.path(home));
}

/// The domains of a host: real ones with their homes, and aliases.
fn assign(host: &MailHost, reals: &[&str], aliases: &[(&str, &str)]) {
    let (uid, gid) = owner();
    let home = |domain: &str| format!("/home/vpopmail/domains/{domain}");
    let line = |domain: &str, real: &str| format!("+{domain}-:{real}:{uid}:{gid}:{}:-::\n", home(real));
    let all = || reals.iter().map(|real| (*real, *real)).chain(aliases.iter().copied());
    host.write("/var/qmail/users/assign", all().map(|(domain, real)| line(domain, real)).collect::<String>() + ".\n");
    let names = |line: &dyn Fn(&str) -> String| all().map(|(domain, _)| line(domain)).collect::<String>();
    host.write("/var/qmail/control/virtualdomains", names(&|domain| format!("{domain}:{domain}\n")));
    host.write("/var/qmail/control/rcpthosts", names(&|domain| format!("{domain}\n")));
}

/// A host with two domains, one of which has an alias, and a place where everybody may write down what he was told.
fn host() -> MailHost {
    let host = MailHost::sample();
    fs::remove_file(host.path(&format!("{COM}/vpasswd"))).unwrap();
    fs::remove_file(host.path(&format!("{NET}/vpasswd"))).unwrap();
    assign(&host, &["example.com", "example.net"], &[("example.edu", "example.com")]);
    mailboxes(&host, COM, &["ann", "postmaster"]);
    mailboxes(&host, NET, &["dora"]);
    host.folder("/log").mode("/log", 0o777).folder(ACTIONS);
    host
}

/// The program that writes down what it was told, under this name.
fn noting(host: &MailHost, name: &str) {
    script(host, &format!("/tmp/{name}"), &format!("{NOTE} {}/{name}", host.path("/log").display()));
    let draft = host.path(&format!("/tmp/{name}"));
    assert!(std::process::Command::new("mv").args([&draft, &host.path(ACTIONS)]).status().unwrap().success());
}

fn noted(host: &MailHost, name: &str) -> Vec<String> {
    let text = fs::read_to_string(host.path(&format!("/log/{name}"))).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Starts a service that does not watch, and waits until it remembers what there is.
fn start(host: MailHost, more: &[&str]) -> Service {
    let service = Service::start(host, &[&["--no-watch"], more].concat());
    service.wait_for("domains remembered");
    service
}

/// Starts it again.
fn restart(service: &mut Service, more: &[&str]) {
    let command = service.host.command(&[&["run", "--no-watch"], more].concat());
    (service.child, service.log) = follow(command);
    service.wait_for("rebuild 1 done");
}

/// A change that is told after everything that came before it.
fn last_of_all(service: &Service, name: &str) {
    mailboxes(&service.host, NET, &["dora", name]);
    service.trigger(&[]);
    service.wait_for(&format!("any: told of add_user:{name}@example.net"));
}

#[test]
fn what_changed_is_told_as_vpopmail_tells_it_whether_it_announced_it_or_not() {
    let host = host();
    noting(&host, "any");
    noting(&host, "add_user");
    let service = start(host, &[]);
    let told = |what: &str| drop(service.wait_for(&format!("any: told of {what} ")));
    // Not announced, but for a touch of the pipe.
    mailboxes(&service.host, COM, &["ann", "new", "postmaster"]);
    service.trigger(&[]);
    told("add_user:new@example.com");
    // Announced, under the alias domain's name, and two at once.
    mailboxes(&service.host, COM, &["it's|`rm`&$x", "new", "postmaster", "two"]);
    service.trigger(&["add_user", "two@example.edu", "-", ""]);
    told("del_user:ann@example.com");
    told("add_user:two@example.com");
    write_mailboxes(
        &service.host,
        COM,
        &[
            &record("it's|`rm`&$x", COM),
            "new:$6$other$hash:1:0:N:/d:Q",
            &record("postmaster", COM),
            &record("two", COM),
        ],
    );
    service.trigger(&["mod_user", "new@example.com", "-", ""]);
    told("mod_user:new@example.com");
    let alias = |text: &str| {
        service.host.write(&format!("{COM}/.qmail-a:b"), text);
        give_all(&service.host.path(COM));
    };
    alias("&x@y.test\n|cat $HOME\n");
    service.trigger(&["valias_insert", "a.b@example.com", "&x@y.test", ""]);
    told("insert_alias:a.b@example.com");
    alias("&z@y.test\n");
    service.trigger(&[]);
    told("insert_alias:a.b@example.com");
    service.host.remove(&format!("{COM}/.qmail-a:b"));
    service.trigger(&[]);
    told("del_alias:a.b@example.com");
    // A domain with an alias, whose home comes a moment after its lines; then both go.
    let new = "/home/vpopmail/domains/new.test";
    assign(
        &service.host,
        &["example.com", "example.net", "new.test"],
        &[("also.test", "new.test"), ("example.edu", "example.com")],
    );
    service.trigger(&["add_domain", "new.test", "-", ""]);
    service.wait_for("rebuild ");
    service.host.write(&format!("{new}/.qmail-default"), "|/home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n");
    mailboxes(&service.host, new, &["postmaster"]);
    service.trigger(&[]);
    told("add_user:postmaster@new.test");
    assign(&service.host, &["example.com", "example.net"], &[("example.edu", "example.com")]);
    fs::remove_dir_all(service.host.path(new)).unwrap();
    service.trigger(&["del_domain", "new.test", "-", ""]);
    told("del_domain:new.test");
    let all = [
        "add_user|new@example.com|-|after",
        "del_user|ann@example.com|-|after",
        "add_user|it's|`rm`&$x@example.com|-|after",
        "add_user|two@example.com|-|after",
        "mod_user|new@example.com|-|after",
        "insert_alias|a.b@example.com|&x@y.test |cat $HOME|after",
        "insert_alias|a.b@example.com|&z@y.test|after",
        "del_alias|a.b@example.com|-|after",
        "add_domain|new.test|-|after",
        "add_alias_domain|also.test|new.test|after",
        "add_user|postmaster@new.test|-|after",
        "del_domain|also.test alias of new.test|-|after",
        "del_user|postmaster@new.test|-|after",
        "del_domain|new.test|-|after",
    ];
    assert_eq!(noted(&service.host, "any"), all);
    let added: Vec<&str> = all.into_iter().filter(|line| line.starts_with("add_user|")).collect();
    assert_eq!(noted(&service.host, "add_user"), added);
}

#[test]
fn what_changed_while_no_service_ran_is_told_when_the_state_is_known_and_only_then() {
    let host = host();
    noting(&host, "any");
    let mut service = start(host, &[]);
    assert_eq!(service.end(), 0);
    mailboxes(&service.host, COM, &["ann", "meanwhile", "postmaster"]);
    restart(&mut service, &[]);
    service.wait_for("any: told of add_user:meanwhile@example.com");
    assert_eq!(service.end(), 0);
    mailboxes(&service.host, COM, &["ann", "postmaster"]);
    fs::remove_dir_all(service.host.path("/run/qmail-updater/actions")).unwrap();
    restart(&mut service, &[]);
    service.wait_for("domains remembered");
    last_of_all(&service, "last");
    assert_eq!(
        noted(&service.host, "any"),
        ["add_user|meanwhile@example.com|-|after", "add_user|last@example.net|-|after"]
    );
    // What is remembered, once all of it is, is its owner's only, and holds no hash.
    assert_eq!(service.end(), 0);
    let mut folders = vec![service.host.path("/run/qmail-updater/actions")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600);
            assert!(!String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).contains("salt"));
            files += 1;
        }
    }
    assert_eq!(files, 3, "the domains, and a picture of each real one");
}

#[test]
fn a_state_that_is_a_link_survives_a_reboot() {
    let host = host();
    noting(&host, "any");
    let (link, state) = (host.path("/run/qmail-updater"), host.path("/var/lib/qmail-updater"));
    host.folder("/var/lib/qmail-updater").mode("/var/lib/qmail-updater", 0o750).folder("/run");
    std::os::unix::fs::symlink("/var/lib/qmail-updater", &link).unwrap();
    let mut service = start(host, &[]);
    assert_eq!(service.host.run(&["status"]).code, 0, "a command finds the service's lock");
    assert_eq!(service.end(), 0);
    fs::remove_file(&link).unwrap();
    mailboxes(&service.host, COM, &["ann", "meanwhile", "postmaster"]);
    std::os::unix::fs::symlink("/var/lib/qmail-updater", &link).unwrap();
    restart(&mut service, &[]);
    service.wait_for("any: told of add_user:meanwhile@example.com");
    assert!(link.is_symlink() && state.join("status.json").exists());
}

#[test]
fn an_action_that_was_cut_off_runs_again() {
    let host = host();
    let log = host.path("/log").display().to_string();
    let wait = format!("test -e {log}/go || {{ echo $$ >>{log}/pids; exec sleep 1000; }}");
    script(&host, &format!("{ACTIONS}/any"), &format!("{NOTE} {log}/any; {wait}"));
    let mut service = start(host, &[]);
    let wait_for = |service: &Service, count: usize| {
        while noted(&service.host, "any").len() < count {
            support::service::pause();
        }
    };
    mailboxes(&service.host, COM, &["ann", "one", "postmaster", "two"]);
    service.trigger(&[]);
    wait_for(&service, 1);
    assert_eq!(service.end(), 0);
    restart(&mut service, &[]);
    wait_for(&service, 2);
    service.child.kill().unwrap();
    service.child.wait().unwrap();
    service.host.write("/log/go", "");
    restart(&mut service, &[]);
    service.wait_for("any: told of add_user:two@example.com");
    let one = "add_user|one@example.com|-|after";
    assert_eq!(noted(&service.host, "any"), [one, one, one, "add_user|two@example.com|-|after"]);
    // A killed service leaves it running.
    end_all(&fs::read_to_string(service.host.path("/log/pids")).unwrap());
}

/// Session, process group and terminal of a process, as proc_pid_stat(5) numbers them.
fn session_of(stat: &str) -> [i32; 3] {
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    [3, 2, 4].map(|at| fields[at].trim().parse().unwrap())
}

#[test]
fn an_action_has_a_session_of_its_own_and_no_terminal_where_the_service_has_one() {
    let host = host();
    let log = host.path("/log").display().to_string();
    let tell =
        "echo $$; cat /proc/$$/stat; ls -m /proc/$$/fd; readlink /proc/$$/fd/0; (: </dev/tty) && echo a terminal || :";
    script(&host, &format!("{ACTIONS}/any"), &format!("exec >{log}/any 2>/dev/null; {tell}"));
    let terminal = nix::pty::openpty(None, None).unwrap();
    let run = host.command(&["run", "--no-watch"]);
    let mut command = std::process::Command::new("setsid");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.arg("--ctty").arg(run.get_program()).args(run.get_args()).stdin(terminal.slave);
    let service = Service::spawn(host, command);
    service.wait_for("domains remembered");
    let pid = i32::try_from(service.child.id()).unwrap();
    let [session, _, has_terminal] = session_of(&fs::read_to_string(format!("/proc/{pid}/stat")).unwrap());
    assert!(session == pid && has_terminal != 0, "the service has a terminal");
    mailboxes(&service.host, COM, &["ann", "new", "postmaster"]);
    service.trigger(&[]);
    service.wait_for("any: told of add_user:new@example.com");
    let told = fs::read_to_string(service.host.path("/log/any")).unwrap();
    let [own, stat, descriptors, input] = told.lines().collect::<Vec<_>>()[..] else { panic!("{told}") };
    let own: i32 = own.parse().unwrap();
    assert_eq!(session_of(stat), [own, own, 0], "it leads its session and its group, and has no terminal");
    // The shell itself has the script open.
    let descriptors: BTreeSet<&str> = descriptors.split(", ").filter(|fd| !["10", "255"].contains(fd)).collect();
    assert_eq!(descriptors, BTreeSet::from(["0", "1", "2"]));
    assert_eq!(input, "/dev/null");
    // It is open until here: a service whose terminal goes gets HUP.
    drop(service);
    drop(terminal.master);
}

#[test]
fn an_owner_who_stops_all_that_begins_as_him_stops_no_action_of_others() {
    if !support::is_root() {
        return skip("an owner who stops what begins as him", "only root runs actions of several owners");
    }
    let host = host();
    let owners = [("evil.test", 4304), ("third.test", 4305)];
    assign_owned(&host, &owners);
    let first = || vec!["postmaster".to_owned()];
    owners.iter().for_each(|(name, uid)| mailboxes_of(&host, name, *uid, &first()));
    let log = host.path("/log").display().to_string();
    host.write("/log/any", "").mode("/log/any", 0o666);
    script(&host, &format!("{ACTIONS}/any"), &format!("{NOTE} {log}/any"));
    let service = start(host, &["--action-limit", "1"]);
    // Again and again, from before a program is his to run.
    let mut stopper = std::process::Command::new("sh");
    stopper.args(["-c", "while :; do kill -STOP -1; done"]).stderr(std::process::Stdio::null()).uid(4304).gid(4304);
    let stopper = Sleepers(vec![stopper.spawn().unwrap()]);
    let many: Vec<String> = (0..20).map(|number| format!("user{number:02}")).chain(first()).collect();
    mailboxes_of(&service.host, "evil.test", 4304, &many);
    service.trigger(&[]);
    service.wait_for("did not end within 1 s");
    for number in 0..10 {
        mailboxes_of(&service.host, "third.test", 4305, &[format!("new{number}"), "postmaster".to_owned()]);
        service.trigger(&[]);
        service.wait_for(&format!("any: told of add_user:new{number}@third.test"));
    }
    drop(stopper);
}

#[test]
fn an_action_that_cannot_be_started_now_is_tried_again() {
    let host = host();
    noting(&host, "any");
    let service = start(host, &[]);
    // Somebody still writes it.
    let writer = fs::OpenOptions::new().append(true).open(service.host.path(&format!("{ACTIONS}/any"))).unwrap();
    mailboxes(&service.host, COM, &["ann", "new", "postmaster"]);
    service.trigger(&[]);
    let line = service.wait_for("tried again");
    assert!(line.contains(" alert: ") && line.contains("any: unable to run it: Text file busy; "), "{line}");
    drop(writer);
    service.wait_for("any: told of add_user:new@example.com");
    assert_eq!(noted(&service.host, "any"), ["add_user|new@example.com|-|after"]);
}

#[test]
fn a_domain_that_moves_is_no_new_one() {
    let host = host();
    noting(&host, "any");
    let service = start(host, &[]);
    let moved = "/home/vpopmail/domains/0/example.com";
    service.host.folder("/home/vpopmail/domains/0");
    fs::rename(service.host.path(COM), service.host.path(moved)).unwrap();
    let lines = fs::read_to_string(service.host.path("/var/qmail/users/assign")).unwrap();
    service.host.write("/var/qmail/users/assign", lines.replace(COM, moved));
    last_of_all(&service, "last");
    // The records name the old directory still.
    write_mailboxes(&service.host, moved, &[&record("ann", COM), &record("new", moved), &record("postmaster", COM)]);
    service.trigger(&[]);
    service.wait_for("any: told of add_user:new@example.com");
    assert_eq!(noted(&service.host, "any"), ["add_user|last@example.net|-|after", "add_user|new@example.com|-|after"]);
}

#[test]
fn a_change_that_a_watch_sees_is_told() {
    let host = host();
    noting(&host, "any");
    let service = Service::start(host, &[]);
    service.wait_for("domains remembered");
    mailboxes(&service.host, COM, &["ann", "new", "postmaster"]);
    service.wait_for("any: told of add_user:new@example.com");
}

#[test]
fn a_program_that_hangs_or_fails_is_told_of_and_the_rest_goes_on() {
    let host = host();
    noting(&host, "any");
    script(&host, &format!("{ACTIONS}/add_user"), "sleep 1000");
    script(&host, &format!("{ACTIONS}/del_user"), "echo 'it failed'; exit 3");
    let service = start(host, &["--action-limit", "1", "--metrics", "/metrics.prom"]);
    mailboxes(&service.host, COM, &["new", "newer", "postmaster"]);
    service.trigger(&[]);
    let line = service.wait_for("exited 3");
    assert!(
        line.contains(" alert: ") && line.contains("del_user: exited 3; told of del_user:ann@example.com"),
        "{line}"
    );
    let line = service.wait_for("did not end within 1 s");
    assert!(line.contains(" alert: ") && line.contains("told of add_user:new@example.com"), "{line}");
    service.wait_for("any: told of add_user:newer@example.com");
    assert_eq!(noted(&service.host, "any").len(), 3);
    // Whoever did not read the log then learns it all the same.
    let (start, failed) = (Instant::now(), "\nqmail_updater_actions_failed_total ");
    let metrics = || fs::read_to_string(service.host.path("/metrics.prom")).unwrap_or_default();
    // What did not end is put off for the others of its domain.
    while !metrics().split_once(failed).is_some_and(|(_, rest)| rest.starts_with(['2', '3'])) {
        assert!(start.elapsed() < PATIENCE, "{}", metrics());
        support::service::pause();
    }
    let said = service.host.run(&["status"]).stdout;
    let line = said.lines().find(|line| line.starts_with("actions that failed since the service started: "));
    assert!(line.is_some_and(|line| line.contains("/add_user: did not end within 1 s, ")), "{said}");
}

#[test]
fn an_action_is_the_domains_owner_with_nothing_but_the_facts() {
    if !support::is_root() {
        return skip("whose uid an action has", "only root runs anything as somebody else");
    }
    let host = host();
    let (log, root) = (host.path("/log").display().to_string(), host.root().display().to_string());
    let tell = |name: &str| {
        format!(
            "exec >{log}/{name}; id -u; id -g; id -G; pwd; env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= | sort; \
             ls /proc/$$/fd; readlink /proc/$$/fd/0"
        )
    };
    for name in ["add_user", "add_user.root"] {
        script(&host, &format!("{ACTIONS}/{name}"), &tell(name));
        let _ = fs::remove_file(host.path(&format!("{ACTIONS}/{name}.draft")));
    }
    // The service has more groups, an open file, and an environment: none of it goes on.
    let mut command = std::process::Command::new("sh");
    let run = host.command(&["run", "--no-watch"]);
    command.env_clear().env("SECRET", "of the service").env("PATH", std::env::var_os("PATH").unwrap());
    command.args(["-c", "exec 9</dev/null; exec setpriv --groups 7,8 \"$0\" \"$@\""]);
    command.arg(run.get_program()).args(run.get_args());
    let service = Service::spawn(host, command);
    service.wait_for("domains remembered");
    mailboxes(&service.host, COM, &["ann", "new", "postmaster"]);
    service.trigger(&[]);
    service.wait_for("add_user.root: told of");
    let facts = format!(
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nQMAIL_UPDATER_DOMAIN=example.com\n\
         QMAIL_UPDATER_HOME={root}{COM}\nQMAIL_UPDATER_REAL_DOMAIN=example.com\nQMAIL_UPDATER_UID=4242\n"
    );
    for (name, ids) in [("add_user", "4242\n4243\n4243\n"), ("add_user.root", "0\n0\n0\n")] {
        let text = fs::read_to_string(service.host.path(&format!("/log/{name}"))).unwrap();
        // Where the shell itself has the script open.
        let text = text.replace("\n10\n", "\n").replace("\n255\n", "\n");
        assert_eq!(text, format!("{ids}/\n{facts}0\n1\n2\n/dev/null\n"), "{name}");
    }
}

#[test]
fn for_a_domain_of_roots_only_roots_files_run() {
    if !support::is_root() {
        return skip("a domain of root's", "only root can run its actions");
    }
    let host = host();
    host.folder(SKEL).write(&format!("{SKEL}/welcome"), "hello\n");
    noting(&host, "any");
    noting(&host, "any.root");
    let assigned = fs::read_to_string(host.path("/var/qmail/users/assign")).unwrap();
    host.write(
        "/var/qmail/users/assign",
        assigned.replace("+example.com-:example.com:4242:4243:", "+example.com-:example.com:0:0:"),
    );
    let service = start(host, &[]);
    service.host.folder(&format!("{COM}/new"));
    mailboxes(&service.host, COM, &["ann", "new", "postmaster"]);
    service.trigger(&[]);
    let line = service.wait_for("any: not run: example.com belongs to root");
    assert!(line.contains(" alert: "), "{line}");
    service.wait_for("any.root: told of add_user:new@example.com");
    assert_eq!((noted(&service.host, "any").len(), noted(&service.host, "any.root").len()), (0, 1));
    assert!(!service.host.path(&format!("{COM}/new/welcome")).exists());
}

/// Ends processes whose pids these lines are.
fn end_all(pids: &str) {
    for pid in pids.lines().filter_map(|line| line.trim().parse().ok()) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
}

#[test]
fn what_an_action_leaves_running_takes_nothing_from_the_service() {
    if !is_root() {
        return skip("what an action leaves running", NOT_DUMPABLE);
    }
    let host = host();
    let log = host.path("/log").display().to_string();
    // It has a session of its own before the script ends.
    let left = format!("setsid sh -c 'echo $$ >>{log}/pids; exec sleep 1000' &");
    let wait = format!("while [ \"$(wc -l <{log}/pids)\" -eq \"$n\" ]; do sleep 0.01; done");
    script(&host, &format!("{ACTIONS}/any"), &format!("touch {log}/pids; n=$(wc -l <{log}/pids); {left} {wait}"));
    let service = start(host, &[]);
    let uses = || {
        let count = |what: &str| fs::read_dir(format!("/proc/{}/{what}", service.child.id())).unwrap().count();
        (count("fd"), count("task"))
    };
    mailboxes(&service.host, COM, &["ann", "first", "postmaster"]);
    service.trigger(&[]);
    service.wait_for("something of it still runs");
    service.wait_for("any: told of add_user:first@example.com");
    let before = uses();
    let names: Vec<String> = (10..22).map(|number| format!("user{number}")).collect();
    let names: Vec<&str> = ["ann", "first", "postmaster"].into_iter().chain(names.iter().map(String::as_str)).collect();
    mailboxes(&service.host, COM, &names);
    service.trigger(&[]);
    service.wait_for("any: told of add_user:user21@example.com");
    // What runs just now, at either time, ends by itself.
    let limit = Instant::now() + Duration::from_secs(10);
    let is_the_same = |after: (usize, usize)| after.0 < before.0 + 6 && after.1 < before.1 + 6;
    let mut after = uses();
    while !is_the_same(after) && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(5));
        after = uses();
    }
    let pids = fs::read_to_string(service.host.path("/log/pids")).unwrap();
    end_all(&pids);
    assert_eq!(pids.lines().count(), 13);
    assert!(is_the_same(after), "{before:?} {after:?}");
}

#[test]
fn an_action_that_prints_without_an_end_is_ended() {
    let host = host();
    script(&host, &format!("{ACTIONS}/any"), "case $2 in *@example.com) exec yes;; esac");
    let service = start(host, &[]);
    mailboxes(&service.host, COM, &["ann", "new", "postmaster"]);
    service.trigger(&[]);
    service.wait_for("warning: any: prints more than 64 MiB, which is read no more");
    let line = service.wait_for("told of add_user:new@example.com");
    assert!(line.contains(" alert: ") && line.contains("any: was killed by signal 13; "), "{line}");
    last_of_all(&service, "last");
}

#[test]
fn what_hangs_for_one_domain_runs_for_the_others_and_what_was_skipped_is_owed() {
    let host = host();
    let log = host.path("/log").display().to_string();
    // As if its owner stopped it.
    let hang = "case $2 in *@example.com) test -e $0.go || kill -STOP $$;; esac";
    script(&host, &format!("{ACTIONS}/any"), &format!("{NOTE} {log}/any; {}", hang.replace("$0", &format!("{log}/"))));
    let service = start(host, &["--action-limit", "3"]);
    mailboxes(&service.host, COM, &["ann", "one", "postmaster", "two"]);
    mailboxes(&service.host, NET, &["dora", "three"]);
    service.trigger(&[]);
    let line = service.wait_for("did not end within 3 s");
    assert!(line.contains("told of add_user:one@example.com"), "{line}");
    let line = service.wait_for("is put off");
    assert!(line.contains(" alert: ") && line.contains("add_user:two@example.com"), "{line}");
    service.wait_for("any: told of add_user:three@example.net");
    service.host.write("/log/.go", "");
    service.wait_for("any: told of add_user:two@example.com");
}

/// Writes the mailboxes of a domain whose directory belongs to this uid.
fn mailboxes_of(host: &MailHost, domain: &str, uid: u32, names: &[String]) {
    let home = format!("/home/vpopmail/domains/{domain}");
    mailboxes(host, &home, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let give_one = |path: &Path| give(path, uid, uid);
    fs::read_dir(host.path(&home)).unwrap().for_each(|entry| give_one(&entry.unwrap().path()));
    give_one(&host.path(&home));
}

/// Domains with the uids that own them, in the place of all others.
fn assign_owned(host: &MailHost, owners: &[(&str, u32)]) {
    let each =
        |line: &dyn Fn(&str, u32) -> String| owners.iter().map(|(name, uid)| line(name, *uid)).collect::<String>();
    let home = |name: &str| format!("/home/vpopmail/domains/{name}");
    let lines = each(&|name, uid| format!("+{name}-:{name}:{uid}:{uid}:{}:-::\n", home(name)));
    host.write("/var/qmail/users/assign", lines + ".\n");
    host.write("/var/qmail/control/virtualdomains", each(&|name, _| format!("{name}:{name}\n")));
    host.write("/var/qmail/control/rcpthosts", each(&|name, _| format!("{name}\n")));
    for (name, _) in owners {
        let default = format!("{}/.qmail-default", home(name));
        host.write(&default, "|/home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n");
    }
}

#[test]
fn an_owner_who_stops_his_actions_or_imports_thousands_of_mailboxes_keeps_no_other_waiting() {
    if !support::is_root() {
        return skip("shares of actions", "only root runs actions of several owners");
    }
    // The sizes of the promise take minutes.
    let is_long = std::env::var_os("QMAIL_UPDATER_LARGE").is_some();
    let (limit, pause, stopped, imported) = if is_long { ("60", "40", 200, 20_000) } else { ("6", "0.8", 40, 300) };
    let host = host();
    let owners = [("evil.test", 4301), ("import.test", 4302), ("third.test", 4303)];
    assign_owned(&host, &owners);
    let first = || vec!["postmaster".to_owned()];
    owners.iter().for_each(|(name, uid)| mailboxes_of(&host, name, *uid, &first()));
    let log = host.path("/log").display().to_string();
    host.write("/log/any", "").mode("/log/any", 0o666);
    // As if its owner stopped it and continued it.
    let stop =
        format!("case $2 in *@evil.test) echo \"began $2\"; (sleep {pause}; kill -CONT $$) & kill -STOP $$;; esac");
    script(&host, &format!("{ACTIONS}/any"), &format!("{NOTE} {log}/any; {stop}"));
    let mut service = start(host, &["--action-limit", limit]);
    let many = |count: usize| -> Vec<String> { (0..count).map(|n| format!("user{n:05}")).chain(first()).collect() };
    mailboxes_of(&service.host, "evil.test", 4301, &many(stopped));
    mailboxes_of(&service.host, "import.test", 4302, &many(imported));
    service.trigger(&[]);
    service.wait_for("any: began user");
    let before = noted(&service.host, "any");
    let start = Instant::now();
    mailboxes_of(&service.host, "third.test", 4303, &["new".to_owned(), "postmaster".to_owned()]);
    service.trigger(&[]);
    service.wait_for("any: told of add_user:new@third.test");
    assert!(start.elapsed().as_secs() < 90, "{} lines", noted(&service.host, "any").len());
    let _ = writeln!(std::io::stderr(), "a third action ran after {:.1} s", start.elapsed().as_secs_f64());
    let count = |lines: &[String], domain: &str| lines.iter().filter(|line| line.contains(domain)).count();
    let since = count(&noted(&service.host, "any"), "@evil.test") - count(&before, "@evil.test");
    assert!(since <= 4, "{since} actions of the attacker ran first");
    // What waited is told after that, without another change.
    if !is_long {
        service.wait_for(&format!("any: told of add_user:user{:05}@import.test", imported - 1));
        let told = noted(&service.host, "any");
        let names: BTreeSet<&String> = told.iter().filter(|line| line.contains("@import.test")).collect();
        assert_eq!((names.len(), count(&told, "@import.test")), (imported, imported), "each once");
    }
    // A program that still runs ends with it.
    assert_eq!(service.end(), 0);
}

/// Processes that end with the test, however it ends.
struct Sleepers(Vec<std::process::Child>);

impl Drop for Sleepers {
    fn drop(&mut self) {
        for sleeper in &mut self.0 {
            let _ = sleeper.kill();
            let _ = sleeper.wait();
        }
    }
}

#[test]
fn a_domain_whose_program_cannot_be_started_is_put_off_alone() {
    if !support::is_root() {
        return skip("an owner at his limit of processes", "only root can be one");
    }
    let host = host();
    noting(&host, "any");
    host.write("/log/any", "");
    fs::set_permissions(host.path("/log/any"), fs::Permissions::from_mode(0o666)).unwrap();
    for (domain, uid) in [("example.com", 5_871), ("example.net", 5_872)] {
        let assign = host.path("/var/qmail/users/assign");
        let text = fs::read_to_string(&assign).unwrap();
        let home = format!("/home/vpopmail/domains/{domain}");
        let lines: Vec<String> = text
            .lines()
            .map(|line| {
                if line.contains(&home) { line.replace(":4242:4243:", &format!(":{uid}:{uid}:")) } else { line.into() }
            })
            .collect();
        host.write("/var/qmail/users/assign", lines.join("\n") + "\n");
    }
    let own = |host: &MailHost| {
        for (home, uid) in [(COM, 5_871), (NET, 5_872)] {
            give(&host.path(home), uid, uid);
            fs::read_dir(host.path(home)).unwrap().for_each(|entry| give(&entry.unwrap().path(), uid, uid));
        }
    };
    own(&host);
    let sleepers = Sleepers(
        (0..20)
            .map(|_| std::process::Command::new("sleep").arg("1000").uid(5_871).gid(5_871).spawn().unwrap())
            .collect(),
    );
    let mut command = std::process::Command::new("prlimit");
    let run = host.command(&["run", "--no-watch"]);
    command.arg("--nproc=15").arg(run.get_program()).args(run.get_args());
    command.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let service = Service::spawn(host, command);
    service.wait_for("domains remembered");
    mailboxes(&service.host, COM, &["ann", "new", "postmaster"]);
    mailboxes(&service.host, NET, &["dora", "other"]);
    own(&service.host);
    service.trigger(&[]);
    let line = service.wait_for("is put off");
    assert!(
        line.contains(" alert: ") && line.contains("any: unable to run it: ") && line.contains("example.com"),
        "{line}"
    );
    service.wait_for("any: told of add_user:other@example.net");
    drop(sleepers);
    service.wait_for("any: told of add_user:new@example.com");
}

#[test]
fn no_command_waits_for_an_action() {
    let host = host();
    let log = host.path("/log").display().to_string();
    script(
        &host,
        &format!("{ACTIONS}/any"),
        &format!("{NOTE} {log}/any; while ! test -e {log}/go; do sleep 0.1; done"),
    );
    script(&host, "/var/qmail/bin/qmail-newu", &format!("echo x >>{log}/newu"));
    script(&host, "/etc/after", &format!("echo x >>{log}/after"));
    let mut service = start(host, &["--after", "/etc/after"]);
    mailboxes(&service.host, COM, &["ann", "new", "postmaster"]);
    service.trigger(&[]);
    while noted(&service.host, "any").is_empty() {
        support::service::pause();
    }
    let before = (noted(&service.host, "newu").len(), noted(&service.host, "after").len());
    assign(
        &service.host,
        &["example.com", "example.net"],
        &[("also.test", "example.com"), ("example.edu", "example.com")],
    );
    service.trigger(&[]);
    while noted(&service.host, "newu").len() == before.0 || noted(&service.host, "after").len() == before.1 {
        support::service::pause();
    }
    assert_eq!(noted(&service.host, "any").len(), 1, "the first action runs still");
    service.host.write("/log/go", "");
    service.wait_for("any: told of add_alias_domain:also.test");
    // An action that begins meanwhile would wait for a file that goes with the host.
    assert_eq!(service.end(), 0);
}

#[test]
fn nothing_runs_from_a_folder_that_somebody_else_could_write() {
    let host = host();
    noting(&host, "any");
    let service = start(host, &[]);
    let mut names = vec!["ann".to_owned(), "postmaster".to_owned()];
    let mut change = |service: &Service, number: usize| {
        names.push(format!("user{number}"));
        mailboxes(&service.host, COM, &names.iter().map(String::as_str).collect::<Vec<_>>());
        service.trigger(&[]);
    };
    let mut number = 0;
    for (path, mode, right) in [(ACTIONS, 0o775, 0o755), ("/etc", 0o757, 0o755), ("/", 0o1777, 0o755)] {
        service.host.mode(path, mode);
        change(&service, number);
        let line = service.wait_for("no action runs until");
        assert!(line.contains(" alert: ") && line.contains("others may write it"), "{line}");
        assert!(noted(&service.host, "any").is_empty());
        service.host.mode(path, right);
        number += 1;
    }
    // A file of which that is true does not run, and is told of; nor does what nobody would run.
    noting(&service.host, "add_user");
    noting(&service.host, "add_usr");
    service.host.mode(&format!("{ACTIONS}/add_user"), 0o775);
    change(&service, number);
    let mut lines = vec![service.wait_for("is not run"), service.wait_for("any: told of add_user:user3@example.com")];
    lines.sort();
    assert!(lines[0].contains("add_user: others may write it (mode 0775)"), "{lines:?}");
    assert!(noted(&service.host, "add_user").is_empty() && noted(&service.host, "add_usr").is_empty());
    assert_eq!(noted(&service.host, "any").len(), 4, "what changed meanwhile is made up for");
    if !support::is_root() {
        return skip("a folder, link or file of somebody else's", "only root can make one");
    }
    // Somebody else's folder, somebody else's link to root's.
    service.host.own(ACTIONS, 4242, 4242);
    change(&service, 4);
    service.wait_for("it belongs to uid 4242");
    service.host.own(ACTIONS, 0, 0);
    fs::rename(service.host.path(ACTIONS), service.host.path("/etc/real.d")).unwrap();
    service.host.link(ACTIONS, "/etc/real.d").own(ACTIONS, 4242, 4242);
    change(&service, 5);
    service.wait_for("a link or directory on the way: it is uid 4242's");
    assert_eq!(noted(&service.host, "any").len(), 4);
    service.host.own(ACTIONS, 0, 0);
    service.trigger(&[]);
    service.wait_for("any: told of add_user:user5@example.com");
}

#[test]
fn a_hundred_hostile_notices_run_nothing() {
    let host = host();
    noting(&host, "any");
    let service = start(host, &[]);
    let canary = service.host.path("/log/canary").display().to_string();
    let commands = [
        "add_user",
        "del_user",
        "mod_user",
        "add_domain",
        "del_domain",
        "add_alias_domain",
        "valias_insert",
        "del_alias",
    ];
    let names = [
        format!("$(touch {canary})@example.com"),
        format!("`touch {canary}`@example.com"),
        format!("x;touch {canary};@example.com"),
        format!("x\ntouch {canary}\n@example.com"),
        format!("|touch {canary}"),
        "../../../../../../etc/passwd@example.com".to_owned(),
        "../any@../../etc/qmail-updater/actions.d".to_owned(),
        "x@../example.com".to_owned(),
        format!("{}@example.com", "a".repeat(4096)),
        format!("ann@{}", "b".repeat(4096)),
        "ann@example.com".to_owned(),
        "example.com".to_owned(),
        "-rf\t--\tann@example.com".to_owned(),
    ];
    let mut count = 0;
    for (number, name) in names.iter().enumerate() {
        for command in commands {
            if number % 2 == 0 {
                service.trigger(&[command, name, name, "after"]);
            } else {
                // As anybody may write it.
                let line = format!("{command}\t{name}\t{name}\n");
                fs::OpenOptions::new().write(true).open(service.fifo()).unwrap().write_all(line.as_bytes()).unwrap();
            }
            count += 1;
        }
    }
    assert!(count >= 100);
    last_of_all(&service, "last");
    assert_eq!(noted(&service.host, "any"), ["add_user|last@example.net|-|after"]);
    assert!(!service.host.path("/log/canary").exists());
}

#[test]
fn what_cannot_be_read_or_is_held_is_no_change() {
    let host = host();
    noting(&host, "any");
    let users: Vec<String> = (0..100).map(|number| format!("user{number}")).collect();
    let some = |range: std::ops::Range<usize>| users[range].iter().map(String::as_str).collect::<Vec<_>>();
    mailboxes(&host, COM, &some(0..100));
    host.write(&format!("{COM}/.qmail-default"), "|/home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n");
    give_all(&host.path(COM));
    let service = start(host, &[]);
    // Not mounted, then torn.
    let away = service.host.path("/away");
    fs::rename(service.host.path(COM), &away).unwrap();
    last_of_all(&service, "one");
    fs::rename(&away, service.host.path(COM)).unwrap();
    let whole = fs::read(service.host.path(&format!("{COM}/vpasswd.cdb"))).unwrap();
    service.host.write(&format!("{COM}/vpasswd.cdb"), &whole[..3000]);
    last_of_all(&service, "two");
    service.host.write(&format!("{COM}/vpasswd.cdb"), &whole);
    last_of_all(&service, "three");
    // Held; and let go.
    mailboxes(&service.host, COM, &some(60..100));
    service.trigger(&[]);
    service.wait_for("alert: held, ");
    last_of_all(&service, "four");
    let lost =
        |service: &Service| noted(&service.host, "any").iter().filter(|line| line.contains("@example.com")).count();
    assert_eq!(lost(&service), 0);
    mailboxes(&service.host, COM, &some(0..100));
    last_of_all(&service, "five");
    assert_eq!(lost(&service), 0);
    // What is still held is told of nothing; the last of all may have been told of before this domain was read.
    service.wait_until_idle();
    // Many, but no more than the guard lets pass.
    mailboxes(&service.host, COM, &some(15..100));
    service.trigger(&[]);
    service.wait_for("any: told of del_user:user9@example.com");
    assert_eq!(lost(&service), 15);
}

#[test]
fn a_domain_is_gone_when_users_assign_says_so_and_of_many_when_it_says_so_twice() {
    let host = host();
    noting(&host, "any");
    // The guard would hold three domains that leave together, and no action is told of a domain that is held.
    let service = start(host, &["--max-loss", "100"]);
    let virtualdomains = "/var/qmail/control/virtualdomains";
    for half in ["exam", "example.com:example.com\n"] {
        service.host.write(virtualdomains, half);
        service.trigger(&[]);
        last_of_all(&service, if half == "exam" { "one" } else { "two" });
    }
    let all =
        ["add_user|one@example.net|-|after", "del_user|one@example.net|-|after", "add_user|two@example.net|-|after"];
    assert_eq!(noted(&service.host, "any"), all);
    // All of them are gone, and stay gone.
    assign(&service.host, &[], &[]);
    service.trigger(&[]);
    service.wait_for("any: told of del_domain:example.net");
    let gone = [
        "del_domain|example.edu alias of example.com|-|after",
        "del_user|ann@example.com|-|after",
        "del_user|postmaster@example.com|-|after",
        "del_domain|example.com|-|after",
        "del_user|dora@example.net|-|after",
        "del_user|two@example.net|-|after",
        "del_domain|example.net|-|after",
    ];
    let mut told = noted(&service.host, "any").split_off(all.len());
    told.retain(|line| !line.starts_with("del_alias|"));
    assert_eq!(told, gone);
}

#[test]
fn no_deletion_of_a_domain_is_told_while_the_guard_holds_it() {
    let host = host();
    noting(&host, "any");
    let service = start(host, &[]);
    // users/assign is cut to its dot: all three domains leave together.
    assign(&service.host, &[], &[]);
    // Of many domains the second rebuild that misses them would tell.
    for _ in 0..4 {
        service.trigger(&[]);
        service.wait_for("held=3");
    }
    assert_eq!(noted(&service.host, "any"), [""; 0]);
    // Published as the configuration is, they are gone, and told.
    let answer = service.host.run(&["rebuild", "--no-commands", "--force"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    service.trigger(&[]);
    service.wait_for("any: told of del_domain:example.net");
}

/// Waits for some rebuilds, of which the second would tell of many deletions.
fn rebuild_some(service: &Service, words: &str) {
    for _ in 0..4 {
        service.trigger(&[]);
        service.wait_for(words);
    }
}

#[test]
fn no_deletion_of_a_mailbox_an_alias_or_an_alias_domain_is_told_while_the_guard_holds_it() {
    let host = host();
    noting(&host, "any");
    let many = |from: usize| (from..60).map(|number| format!("user{number}")).collect::<Vec<_>>();
    let write = |host: &MailHost, from: usize| {
        let names = many(from);
        mailboxes(host, COM, &names.iter().map(String::as_str).collect::<Vec<_>>());
    };
    write(&host, 0);
    host.write(&format!("{COM}/.qmail-list"), "&x@y.test\n");
    let aliases = [("a1.test", "example.com"), ("a2.test", "example.com"), ("a3.test", "example.com")];
    assign(&host, &["example.com", "example.net"], &aliases);
    give_all(&host.path(COM));
    let service = start(host, &[]);
    // Mailboxes and an alias.
    write(&service.host, 50);
    service.host.remove(&format!("{COM}/.qmail-list"));
    rebuild_some(&service, " held=");
    assert_eq!(noted(&service.host, "any"), [""; 0]);
    write(&service.host, 0);
    service.host.write(&format!("{COM}/.qmail-list"), "&x@y.test\n");
    give_all(&service.host.path(COM));
    last_of_all(&service, "one");
    // Alias domains.
    assign(&service.host, &["example.com", "example.net"], &[]);
    rebuild_some(&service, " held=3");
    let told = noted(&service.host, "any");
    assert_eq!(told, ["add_user|one@example.net|-|after"], "{told:?}");
    let answer = service.host.run(&["rebuild", "--no-commands", "--force"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    service.trigger(&[]);
    service.wait_for("any: told of del_domain:a3.test");
}

#[test]
fn no_deletion_is_told_while_users_assign_and_users_cdb_are_both_missing() {
    let host = host();
    noting(&host, "any");
    // The guard holds nothing.
    let mut service = start(host, &["--max-loss", "100"]);
    let file = service.host.path("/var/qmail/users/assign");
    let away = service.host.path("/var/qmail/users/away");
    fs::rename(&file, &away).unwrap();
    let _ = fs::remove_file(service.host.path("/var/qmail/users/cdb"));
    mailboxes(&service.host, COM, &["postmaster"]);
    rebuild_some(&service, " done: ");
    assert_eq!(noted(&service.host, "any"), [""; 0]);
    // Nor after a new start.
    assert_eq!(service.end(), 0);
    restart(&mut service, &["--max-loss", "100"]);
    rebuild_some(&service, " done: ");
    assert_eq!(noted(&service.host, "any"), [""; 0]);
    // What went meanwhile is told when it is back, and nothing else.
    fs::rename(&away, &file).unwrap();
    last_of_all(&service, "one");
    let mut told = noted(&service.host, "any");
    told.sort();
    assert_eq!(told, ["add_user|one@example.net|-|after", "del_user|ann@example.com|-|after"]);
}

/// A domain that is an alias becomes its own, then an alias again, then one of another domain; these are told in order.
fn change_kinds(host: MailHost, more: &[&str]) {
    host.write(&format!("{SKEL}/welcome"), "hello\n");
    let edu = "/home/vpopmail/domains/example.edu";
    host.write(&format!("{edu}/.qmail-default"), "|/home/vpopmail/bin/vdelivermail '' bounce-no-mailbox\n");
    mailboxes(&host, edu, &["eve"]);
    host.folder(&format!("{edu}/eve"));
    give_all(&host.path(edu));
    let service = start(host, more);
    let told = |what: &str| drop(service.wait_for(&format!("any: told of {what} ")));
    assign(&service.host, &["example.com", "example.net", "example.edu"], &[]);
    service.trigger(&[]);
    told("add_user:eve@example.edu");
    assert!(service.host.path(&format!("{edu}/eve/welcome")).exists());
    assign(&service.host, &["example.com", "example.net"], &[("example.edu", "example.com")]);
    service.trigger(&[]);
    told("add_alias_domain:example.edu");
    assign(&service.host, &["example.com", "example.net"], &[("example.edu", "example.net")]);
    service.trigger(&[]);
    told("del_domain:example.edu\\x20alias\\x20of\\x20example.com");
    // It is an alias of example.net, and comes only while that can be read.
    told("add_alias_domain:example.edu");
    last_of_all(&service, "last");
    let all = [
        "del_domain|example.edu alias of example.com|-|after",
        "add_domain|example.edu|-|after",
        "add_user|eve@example.edu|-|after",
        "del_user|eve@example.edu|-|after",
        "del_domain|example.edu|-|after",
        "add_alias_domain|example.edu|example.com|after",
        "del_domain|example.edu alias of example.com|-|after",
        "add_alias_domain|example.edu|example.net|after",
        "add_user|last@example.net|-|after",
    ];
    assert_eq!(noted(&service.host, "any"), all);
}

#[test]
fn a_domain_that_becomes_an_alias_or_its_own_went_and_came() {
    let host = host();
    noting(&host, "any");
    change_kinds(host, &[]);
}

#[test]
fn a_domain_that_becomes_an_alias_or_its_own_goes_on_in_the_next_round_when_its_time_is_used_up() {
    let host = host();
    let log = host.path("/log").display().to_string();
    // One program takes more than the 0.2 s that a domain has in a round.
    script(&host, &format!("{ACTIONS}/any"), &format!("{NOTE} {log}/any; sleep 0.3"));
    change_kinds(host, &["--action-limit", "3"]);
}

#[test]
fn one_domain_makes_the_state_grow_by_a_bounded_number_of_bytes_and_no_deletion_is_told_wrongly() {
    let host = host();
    noting(&host, "any");
    // 32 bytes for each entry: names of 100 bytes pass that long before the domain has as many entries.
    let arguments = ["--max-entries", "100"];
    let mut service = start(host, &arguments);
    let bytes = |service: &Service| -> u64 {
        let files = below(&service.host.path("/run/qmail-updater/actions"));
        files.values().filter(|(mode, _)| mode & 0o170_000 == 0o100_000).map(|(_, content)| content.len() as u64).sum()
    };
    let before = bytes(&service);
    let alias = |number: usize| format!("{COM}/.qmail-{}{number:02}", "x".repeat(98));
    for number in 0..60 {
        service.host.write(&alias(number), "&x@y.test\n");
    }
    mailboxes(&service.host, COM, &["postmaster"]);
    service.trigger(&[]);
    let line = service.wait_for("bytes of STATE");
    for words in [" alert: ", "take more than the 3200 bytes", "--max-entries", "no action runs for example.com until"]
    {
        assert!(line.contains(words), "{words}: {line}");
    }
    // The others go on, after a new start too, and it is told once.
    let untold = |service: &Service, name: &str| {
        mailboxes(&service.host, NET, &["dora", name]);
        service.trigger(&[]);
        let told = format!("any: told of add_user:{name}@example.net");
        let lines = std::iter::from_fn(|| service.log.recv_timeout(PATIENCE).ok().filter(|line| !line.contains(&told)));
        assert_eq!(lines.filter(|line| line.contains("bytes of STATE")).count(), 0, "told once");
    };
    untold(&service, "one");
    assert_eq!(service.end(), 0);
    restart(&mut service, &arguments);
    untold(&service, "two");
    assert!(bytes(&service) < before + 3200, "{before} {}", bytes(&service));
    assert!(!noted(&service.host, "any").iter().any(|line| line.contains("@example.com")));
    // With fewer names, what changed since it was remembered is told: what went and came meanwhile is not. They go at once.
    assert_eq!(service.end(), 0);
    for number in 10..60 {
        service.host.remove(&alias(number));
    }
    restart(&mut service, &arguments);
    last_of_all(&service, "three");
    let told = noted(&service.host, "any");
    let told: Vec<String> = told
        .iter()
        .filter(|line| line.contains("@example.com"))
        .map(|line| line.replace(&"x".repeat(98), "x"))
        .collect();
    let added = (0..10).map(|number| format!("insert_alias|x{number:02}@example.com|&x@y.test|after"));
    let all: Vec<String> = std::iter::once("del_user|ann@example.com|-|after".to_owned()).chain(added).collect();
    assert_eq!(told, all);
    assert!(bytes(&service) < before + 3200, "{before} {}", bytes(&service));
}

#[test]
fn what_was_seen_and_cannot_be_read_is_told_of() {
    let host = host();
    noting(&host, "any");
    let mut service = start(host, &[]);
    assert_eq!(service.end(), 0);
    // Spoils what is remembered of each domain.
    let spoil = |host: &MailHost, how: &dyn Fn(&std::path::Path)| {
        let mut folders = vec![host.path("/run/qmail-updater/actions")];
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                match path.file_name().unwrap().to_str().unwrap() {
                    _ if path.is_dir() => folders.push(path),
                    "domains" => {}
                    _ => how(&path),
                }
            }
        }
    };
    spoil(&service.host, &|path| fs::write(path, "another format\n").unwrap());
    mailboxes(&service.host, COM, &["ann", "new", "postmaster"]);
    restart(&mut service, &[]);
    let line = service.wait_for("what changed in example.com since it was written is not told");
    assert!(line.contains(" alert: ") && line.contains(": not as this version writes it; "), "{line}");
    service.wait_for("what changed in example.net since it was written is not told");
    last_of_all(&service, "last");
    assert_eq!(noted(&service.host, "any"), ["add_user|last@example.net|-|after"]);
    // What cannot be read at all is told with its own cause.
    assert_eq!(service.end(), 0);
    spoil(&service.host, &|path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    });
    mailboxes(&service.host, COM, &["ann", "postmaster"]);
    restart(&mut service, &[]);
    let line = service.wait_for("what changed in example.com since it was written is not told");
    assert!(line.contains("no regular file") && !line.contains("not as this version"), "{line}");
}

#[test]
fn names_that_no_mail_finds_are_not_told_nor_lines_that_the_owner_may_not_read() {
    let host = host();
    noting(&host, "any");
    let long = |end: &str| format!("{}&{end}@y.test\n", "&somebody@example.org\n".repeat(4000));
    host.write(&format!("{COM}/.qmail-long"), long("a"));
    give_all(&host.path(COM));
    let service = start(host, &[]);
    let mut lines = vec![record("ann", COM), record("postmaster", COM), record("ok/../ok", COM)];
    lines.extend(["x@zz.test@a.test", "%s", "a b", "$(rm)", "", "Upper", "\u{e9}"].map(|name| record(name, COM)));
    for alias in ["a@b", "UP", "a.b", "", "new\nline", "other", "closed"] {
        service.host.write(&format!("{COM}/.qmail-{alias}"), "&secret@y.test\n");
    }
    service.host.write(&format!("{COM}/.qmail-long"), long("b"));
    write_mailboxes(&service.host, COM, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    service.host.mode(&format!("{COM}/.qmail-closed"), 0o060);
    if support::is_root() {
        give(&service.host.path(&format!("{COM}/.qmail-other")), 1, owner().1);
    } else {
        service.host.mode(&format!("{COM}/.qmail-other"), 0o040);
        service.host.remove(&format!("{COM}/.qmail-closed")).remove(&format!("{COM}/.qmail-other"));
    }
    service.trigger(&[]);
    service.wait_for("any: told of insert_alias:long@example.com");
    last_of_all(&service, "last");
    let told = noted(&service.host, "any");
    let told: Vec<&str> = told.iter().map(|line| if line.len() > 1000 { &line[..30] } else { line }).collect();
    let mut all = vec!["add_user|ok/../ok@example.com|-|after"];
    if support::is_root() {
        all.extend(["insert_alias|closed@example.com|-|after", "insert_alias|other@example.com|-|after"]);
    }
    let at = if support::is_root() { 2 } else { 1 };
    all.insert(at, "insert_alias|long@example.com|");
    all.push("add_user|last@example.net|-|after");
    assert_eq!(told, all);
}

/// What is below a folder: kind, mode, and content or target of each.
fn below(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let meta = entry.metadata().unwrap();
            let content = match meta {
                ref meta if meta.is_symlink() => {
                    fs::read_link(entry.path()).unwrap().into_os_string().into_encoded_bytes()
                }
                ref meta if meta.is_dir() => {
                    folders.push(entry.path());
                    Vec::new()
                }
                ref meta if meta.is_file() && meta.len() < 1 << 20 => fs::read(entry.path()).unwrap(),
                _ => Vec::new(),
            };
            found.insert(entry.path(), (meta.mode(), content));
        }
    }
    found
}

#[test]
fn a_new_mailbox_gets_the_skeleton_and_keeps_what_it_has() {
    let host = host();
    host.write(&format!("{SKEL}/.qmail"), "./Maildir/\n").mode(&format!("{SKEL}/.qmail"), 0o600);
    host.write(&format!("{SKEL}/Maildir/.Junk/cur/welcome"), "hello\n").mode(&format!("{SKEL}/Maildir"), 0o700);
    host.folder(&format!("{SKEL}/Maildir/.Junk/new")).write(&format!("{SKEL}/run"), "#!/bin/sh\n");
    host.mode(&format!("{SKEL}/run"), 0o4755).mode(&format!("{SKEL}/Maildir/.Junk/new"), 0o2711);
    host.link(&format!("{SKEL}/list"), "Maildir/.Junk").link(&format!("{SKEL}/passwd"), "/etc/passwd");
    host.write(&format!("{SKEL}/kept"), "the skeleton's\n");
    nix::unistd::mkfifo(&host.path(&format!("{SKEL}/fifo")), nix::sys::stat::Mode::S_IRWXU).unwrap();
    host.write(&format!("{SKEL}/twice"), "x");
    fs::hard_link(host.path(&format!("{SKEL}/twice")), host.path(&format!("{SKEL}/twice.too"))).unwrap();
    give_all(&host.path(SKEL));
    let service = start(host, &[]);
    let host = &service.host;
    // In a hashed folder; one that vanished meanwhile; and one that a link leads to.
    let new = format!("{COM}/0/new");
    host.write(&format!("{new}/kept"), "his own\n")
        .folder(&format!("{new}/Maildir"))
        .mode(&format!("{new}/Maildir"), 0o750);
    host.folder("/elsewhere/joe").link(&format!("{COM}/linked"), "/elsewhere");
    give_all(&host.path("/elsewhere"));
    let lines = [
        record("ann", COM),
        record("gone", COM),
        record("joe", &format!("{COM}/linked")),
        record("new", &format!("{COM}/0")),
        record("out", "/elsewhere"),
        record("postmaster", COM),
    ];
    write_mailboxes(host, COM, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    service.trigger(&[]);
    service.wait_for("skel: told of add_user:gone@example.com");
    let line = service.wait_for("symbolic link is on the way there");
    assert!(line.contains(" warning: skel: ") && line.contains("/linked/joe: "), "{line}");
    service.wait_for("warning: skel: skel/fifo: no file, directory or link");
    service.wait_for("warning: skel: skel/twice: a file with more than one name");
    service.wait_for("skel: told of add_user:new@example.com");
    service.wait_for("not below the domain's home");
    service.wait_for("alert: skel: exited 100; told of add_user:out@example.com");
    let expected = [
        ("", 0o40755, ""),
        (".qmail", 0o100600, "./Maildir/\n"),
        ("Maildir", 0o40750, ""),
        ("Maildir/.Junk", 0o40755, ""),
        ("Maildir/.Junk/cur", 0o40755, ""),
        ("Maildir/.Junk/cur/welcome", 0o100644, "hello\n"),
        ("Maildir/.Junk/new", 0o40711, ""),
        ("kept", 0o100644, "his own\n"),
        ("list", 0o120777, "Maildir/.Junk"),
        ("passwd", 0o120777, "/etc/passwd"),
        ("run", 0o100755, "#!/bin/sh\n"),
    ];
    let found = below(&host.path(&format!("{COM}/0")));
    let found: Vec<(String, u32, String)> = found
        .into_iter()
        .map(|(path, (mode, content))| {
            let path = path.strip_prefix(host.path(&new)).unwrap().to_str().unwrap().to_owned();
            (path, mode, String::from_utf8(content).unwrap())
        })
        .collect();
    let expected: Vec<_> =
        expected.iter().map(|(path, mode, content)| ((*path).to_owned(), *mode, (*content).to_owned())).collect();
    assert_eq!(found, expected);
    assert!(below(&host.path("/elsewhere/joe")).is_empty() && !host.path(&format!("{COM}/gone")).exists());
    for path in below(&host.path(&new)).into_keys() {
        let meta = fs::symlink_metadata(&path).unwrap();
        assert_eq!((meta.uid(), meta.gid()), owner(), "{}", path.display());
    }
    // Once more changes nothing.
    let before = below(&host.path(&new));
    let again = copy(host, &new);
    assert_eq!((again.code, before), (0, below(&host.path(&new))), "{}", again.stderr);
}

#[test]
fn a_skeleton_that_a_kill_cut_off_is_whole_after_the_next_try() {
    let host = host();
    host.write(&format!("{SKEL}/long"), "x".repeat(100_000)).write(&format!("{SKEL}/Maildir/cur/x"), "x");
    host.mode(&format!("{SKEL}/Maildir/cur"), 0o555).mode(&format!("{SKEL}/Maildir"), 0o755);
    let ann = format!("{COM}/ann");
    host.folder(&ann);
    give_all(&host.path(COM));
    give_all(&host.path(SKEL));
    let answer = copy(&host, &ann);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let whole = below(&host.path(&ann));
    // While it is copied, at any time: killed, and tried again.
    for _ in 0..20 {
        let _ = fs::set_permissions(host.path(&format!("{ann}/Maildir/cur")), fs::Permissions::from_mode(0o755));
        fs::remove_dir_all(host.path(&ann)).unwrap();
        host.folder(&ann);
        give_all(&host.path(&ann));
        let mut command = host.command(&["skel", "--", COM, &ann]);
        if support::is_root() {
            command.uid(owner().0).gid(owner().1);
        }
        let mut child = command.current_dir("/").spawn().unwrap();
        // What lies there may go while one looks at it.
        while fs::read_dir(host.path(&ann)).unwrap().next().is_none() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(fs::read(host.path(&format!("{ann}/long"))).map_or(true, |content| content.len() == 100_000));
        let again = copy(&host, &ann);
        assert_eq!((again.code, &below(&host.path(&ann))), (0, &whole), "{}", again.stderr);
    }
}

/// Copies the skeleton into the directory of a mailbox, as the service has it done.
fn copy(host: &MailHost, directory: &str) -> Answer {
    let mut command = host.command(&["skel", "--", COM, directory]);
    if support::is_root() {
        command.uid(owner().0).gid(owner().1);
    }
    command.current_dir("/").output().unwrap().into()
}

#[test]
fn root_copies_no_skeleton() {
    if !support::is_root() {
        return skip("root copies no skeleton", "it takes root to try");
    }
    let host = host();
    host.write(&format!("{SKEL}/x"), "").folder(&format!("{COM}/ann"));
    let answer = host.run(&["skel", "--", COM, &format!("{COM}/ann")]);
    assert!(answer.code == 100 && below(&host.path(&format!("{COM}/ann"))).is_empty(), "{answer:?}");
}

#[test]
fn of_a_hundred_hostile_skeletons_and_mailbox_directories_none_reaches_anything_else() {
    let host = host();
    let (joe, other) = (format!("{COM}/joe"), format!("{COM}/other"));
    // Where everybody may write, and another mailbox of the same owner's.
    host.write("/outside/file", "outside\n").folder("/outside/sub").write(&format!("{other}/file"), "other's\n");
    host.write("/outside/secret", "a secret\n").mode("/outside/secret", 0o600);
    for path in ["/outside", "/outside/sub"] {
        host.mode(path, 0o777);
    }
    host.mode("/outside/file", 0o666);
    // All of it the same owner's, but for the secret: nothing but the way there keeps it.
    give_all(&host.path(COM));
    give_all(&host.path("/outside"));
    if support::is_root() {
        host.own("/outside/secret", 0, 0);
    }
    let outside = || (below(&host.path("/outside")), below(&host.path(&other)), below(&host.path("/etc")));
    let before = outside();
    let skel = |name: &str| format!("{SKEL}/{name}");
    let skeletons: [(&str, &dyn Fn()); 10] = [
        ("links out", &|| {
            host.link(&skel("a"), "/outside").link(&skel("b"), "../../../../../outside/file").link(&skel("c"), ".");
        }),
        ("a pipe and a socket", &|| {
            nix::unistd::mkfifo(&host.path(&skel("sub")), nix::sys::stat::Mode::S_IRWXU).unwrap();
            drop(std::os::unix::net::UnixListener::bind(host.path(&skel("socket"))).unwrap());
        }),
        ("another's file by another name", &|| {
            fs::hard_link(host.path("/outside/secret"), host.path(&skel("secret"))).unwrap();
        }),
        ("programs of others", &|| {
            host.write(&skel("su"), "x").mode(&skel("su"), 0o6777).folder(&skel("sub")).mode(&skel("sub"), 0o7777);
        }),
        ("a file without an end", &|| {
            host.write(&skel("sparse"), "");
            fs::OpenOptions::new().write(true).open(host.path(&skel("sparse"))).unwrap().set_len(1 << 40).unwrap();
        }),
        ("a deep one", &|| {
            host.write(&skel(&("d/".repeat(60) + "file")), "deep\n");
        }),
        ("odd names", &|| {
            for name in ["-rf", "a\nb", "\u{1b}[2J", &"x".repeat(255), " ", "...", "*"] {
                host.write(&skel(name), "odd\n");
            }
        }),
        ("many files", &|| {
            for number in 0..300 {
                host.write(&skel(&format!("sub/{number}")), "x");
            }
        }),
        ("what it may not read", &|| {
            host.write(&skel("closed/file"), "x")
                .mode(&skel("closed"), 0o000)
                .write(&skel("file"), "x")
                .mode(&skel("file"), 0);
        }),
        ("a link to the outside in its place", &|| {
            fs::remove_dir_all(host.path(SKEL)).unwrap();
            host.link(SKEL, "/outside");
            give_all(&host.path(SKEL));
        }),
    ];
    let swap = |a: &Path, b: &Path| {
        let flags = nix::fcntl::RenameFlags::RENAME_EXCHANGE;
        nix::fcntl::renameat2(nix::fcntl::AT_FDCWD, a, nix::fcntl::AT_FDCWD, b, flags)
    };
    let directories: [(&str, &dyn Fn() -> String); 10] = [
        ("plain", &|| joe.clone()),
        ("a link", &|| {
            fs::remove_dir_all(host.path(&joe)).unwrap();
            host.link(&joe, "/outside");
            joe.clone()
        }),
        ("below a link", &|| {
            host.link(&format!("{joe}/up"), "/outside");
            format!("{joe}/up/sub")
        }),
        ("outside", &|| "/outside".to_owned()),
        ("up and out", &|| format!("{joe}/../../../../../outside")),
        ("the home itself", &|| COM.to_owned()),
        ("full of links out", &|| {
            for name in ["a", "b", "file", "sub", "su", "sparse", "d", "-rf", "kept"] {
                host.link(
                    &format!("{joe}/{name}"),
                    if name == "sub" || name == "d" { "/outside" } else { "/outside/file" },
                );
            }
            joe.clone()
        }),
        ("files for folders", &|| {
            host.write(&format!("{joe}/sub"), "mine").write(&format!("{joe}/d"), "mine").folder(&format!("{joe}/file"));
            joe.clone()
        }),
        ("swapped with a link all the time", &|| {
            host.link(&format!("{COM}/swap"), "/outside");
            joe.clone()
        }),
        ("its folder swapped with a link all the time", &|| {
            host.folder(&format!("{joe}/sub")).link(&format!("{COM}/swap"), "/outside");
            joe.clone()
        }),
    ];
    let mut count = 0;
    for (skeleton, make_skeleton) in skeletons {
        for (number, (directory, make_directory)) in directories.iter().enumerate() {
            host.folder(SKEL).write(&skel("kept"), "x").folder(&joe);
            make_skeleton();
            let directory_path = make_directory();
            give_all(&host.path(COM));
            let swapped = host.path(&if number == 8 { joe.clone() } else { format!("{joe}/sub") });
            let (link, over) = (host.path(&format!("{COM}/swap")), AtomicBool::new(false));
            std::thread::scope(|scope| {
                if number >= 8 {
                    scope.spawn(|| {
                        while !over.load(Ordering::Relaxed) {
                            let _ = swap(&swapped, &link);
                        }
                    });
                }
                let rounds = if number >= 8 { 5 } else { 1 };
                for _ in 0..rounds {
                    let answer = copy(&host, &directory_path);
                    assert!([0, 100, 111].contains(&answer.code), "{skeleton}, {directory}: {answer:?}");
                    assert!(!answer.stderr.contains("a fault") && !answer.stderr.contains('\u{1b}'), "{answer:?}");
                }
                over.store(true, Ordering::Relaxed);
            });
            assert!(before == outside(), "{skeleton}, {directory}: {:#?}", outside());
            for (path, (mode, content)) in below(&host.path(COM)) {
                let is_others = [&b"a secret\n"[..], b"outside\n"].contains(&&content[..]);
                assert!(mode & 0o6000 == 0 && !is_others, "{skeleton}, {directory}: {}: {mode:o}", path.display());
            }
            for path in [SKEL, &joe, &format!("{COM}/swap")] {
                let path = host.path(path);
                let _ = fs::set_permissions(path.join("closed"), fs::Permissions::from_mode(0o755));
                let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
            }
            count += 1;
        }
    }
    assert_eq!(count, 100);
}

#[test]
fn without_a_folder_of_actions_and_a_skeleton_nothing_is_remembered() {
    let host = host();
    noting(&host, "any");
    let service = start(host, &[]);
    let remembered = service.host.path("/run/qmail-updater/actions/domains");
    assert!(remembered.exists());
    let away = service.host.path("/etc/away.d");
    fs::rename(service.host.path(ACTIONS), &away).unwrap();
    mailboxes(&service.host, COM, &["ann", "new", "postmaster"]);
    service.trigger(&[]);
    service.wait_for("rebuild ");
    while remembered.exists() {
        support::service::pause();
    }
    // What changed meanwhile is not told.
    fs::rename(&away, service.host.path(ACTIONS)).unwrap();
    service.trigger(&[]);
    service.wait_for("domains remembered");
    last_of_all(&service, "last");
    assert_eq!(noted(&service.host, "any"), ["add_user|last@example.net|-|after"]);
}

#[test]
fn with_a_skeleton_only_a_vpopmail_that_is_away_forgets_nothing() {
    let host = host();
    fs::remove_dir_all(host.path("/etc/qmail-updater")).unwrap();
    host.write(&format!("{SKEL}/welcome"), "hello\n").folder(&format!("{COM}/new"));
    give_all(&host.path(COM));
    let service = start(host, &[]);
    let (vpopmail, away) = (service.host.path("/home/vpopmail"), service.host.path("/home/away"));
    for is_mount_point in [false, true] {
        fs::rename(&vpopmail, &away).unwrap();
        if is_mount_point {
            fs::create_dir(&vpopmail).unwrap();
        }
        for _ in 0..3 {
            service.trigger(&[]);
            service.wait_for(": rebuild ");
        }
        let _ = fs::remove_dir(&vpopmail);
        fs::rename(&away, &vpopmail).unwrap();
        assert!(service.host.path("/run/qmail-updater/actions/domains").exists());
    }
    mailboxes(&service.host, COM, &["ann", "new", "postmaster"]);
    service.trigger(&[]);
    service.wait_for("skel: told of add_user:new@example.com");
    assert!(service.host.path(&format!("{COM}/new/welcome")).exists());
}

#[test]
fn what_can_never_run_is_said_at_the_start() {
    let host = host();
    noting(&host, "ad_user");
    host.write(&format!("{ACTIONS}/any"), "#!/bin/sh\n");
    let command = host.command(&["run", "--no-watch"]);
    let mut service = Service::spawn(host, command);
    let lines = [service.wait_for("ctions.d/a"), service.wait_for("ctions.d/a")].concat();
    for words in [" alert: ", "/ad_user: nothing is told by that name", "/any: no executable file"] {
        assert!(lines.contains(words), "{lines}");
    }
    // The names that it tells are those of docs/guide/actions.md.
    let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/actions.md")).unwrap();
    let columns =
        document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |")).map(|(names, _)| names);
    let names: BTreeSet<&str> = columns.flat_map(|names| names.split("`, `")).collect();
    let (_, told) = lines.split_once("the names are ").unwrap();
    let (told, _) = told.split_once("any").unwrap();
    assert_eq!(told.split(", ").filter(|name| !name.is_empty()).chain(["any"]).collect::<BTreeSet<_>>(), names);
    assert_eq!(service.end(), 0);
    let command = service.host.command(&["--actions", "/etc/elsewhere", "run", "--no-watch"]);
    (service.child, service.log) = follow(command);
    assert!(service.wait_for("/etc/elsewhere: no such directory").contains(" alert: "));
}
