//! What is wrong or risky on a host: the findings of `check`. What other rooms note about the host is told as they note
//! it; here is only what nobody else looks at.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::actions;
use crate::cdb;
use crate::commands::compare::{Compared, compare, made};
use crate::commands::database;
use crate::commands::few::{Few, first_few};
use crate::commands::findings::Finding;
use crate::commands::forwards;
use crate::commands::mail::{self, Ways};
use crate::os::confine;
use nix::unistd::geteuid;

use crate::commands::overview::{self, Answer, Kind};
use crate::decide::{Open, OpenKind, Step, Trail, Verdict, deliver};
use crate::error::{Denied, Error, is_denied_to_us, show_cause, show_path};
use crate::fs::End;
use crate::host::assign::Assignment;
use crate::host::crypt::Fault;
use crate::host::dot_qmail::{is_never_asked, spelled};
use crate::host::line::declared::Declared;
use crate::host::units::with_private_tmp;
use crate::host::vpopmail::{Mailbox, Mailboxes, Shape, TEXT, TextBeside, Vpasswd, is_legal_name};
use crate::host::{Home, HomeState, Host};
use crate::os::lock;
use crate::pipe::fifo;
use crate::protect::guard::{NOBODY, stands_for};
use crate::publish::{Before, Look, Target};
use crate::rebuild;
use crate::rebuild::homes::HomeReader;
use crate::rebuild::users_seen;
use crate::report::{Code, Level, Note};
use crate::service::status;
use crate::settings::Settings;
use crate::tables::logins::{Weakness, has_scheme, hash_damage, weakness};
use crate::text::{Shown, count, join_address, lower, split_address, without_word};

/// Looks at everything. The worst findings come first; what is of level status needs no attention.
/// Beside them is the error that ends the command when this process, which is not root, may not look at everything.
pub fn check(settings: &Settings) -> (Vec<Finding>, Result<(), Error>) {
    let mut denied = Denied::default();
    let mut findings = Vec::new();
    let mut add = |notes: Vec<Note>| findings.extend(notes.into_iter().map(Finding::new));
    add(published(settings, &mut denied));
    add(rebuild::others::look(settings, &mut denied));
    add(settings.notes.clone());
    add(settings.unknown_variables());
    add(status::differing(settings).into_iter().chain(status::unheeded(settings)).collect());
    add(pipes(settings, &mut denied));
    add(after(settings, &mut denied));
    let (closed, of_actions): (Vec<Note>, Vec<Note>) =
        actions::findings(settings).into_iter().partition(|note| note.denied);
    if !closed.is_empty() {
        denied.add(settings.layout.root.path(&settings.actions));
    }
    add(of_actions);
    let mut unknown = Ok(());
    match compare(settings) {
        Err(error) if error.is_denied() => unknown = Err(error),
        Err(error) => {
            let text = format!("{error}; nothing can be rebuilt until that is fixed");
            add(vec![Note::alert(text).of(Code::RebuildImpossible)]);
        }
        Ok(compared) => {
            // Though nothing is wrong by what is seen here, as on a disk that is full.
            add(status::failure(settings).into_iter().collect());
            denied.extend(compared.denied.clone());
            of_host(settings, compared, &mut findings);
        }
    }
    findings.sort_by(|a, b| b.note.level.cmp(&a.note.level).then_with(|| a.note.text.cmp(&b.note.text)));
    findings.dedup_by(|a, b| a.note == b.note);
    (findings, unknown.and_then(|()| denied.nothing_closed("further findings are unknown")))
}

fn note(text: String) -> Note {
    Note::new(Level::Status, text)
}

fn corruption(image: &[u8]) -> Option<cdb::Corrupt> {
    cdb::Reader::new(image).and_then(|cdb| cdb.check()).err()
}

/// What is wrong with a published table, called `name`, that is not whole; `None` for a whole one.
pub fn damage(name: &Path, image: &[u8]) -> Option<Note> {
    let corrupt = corruption(image)?;
    let text = format!("{}: {corrupt}; qmail-smtpd refuses what it does not find in it", show_path(name));
    Some(Note::alert(text).of(Code::TableDamaged))
}

fn unreadable(target: &Target, cause: std::io::Error) -> Note {
    Note::alert(Error::io("read", &target.name, cause).to_string()).of(Code::TableUnreadable)
}

/// That a published table is missing, of recipients or of logins, and what follows.
fn missing(target: &Target, is_of_logins: bool) -> Note {
    let name = show_path(&target.name);
    let follows =
        if is_of_logins { "nobody can log in" } else { "a qmail-smtpd that asks it answers 421 to every client" };
    Note::alert(format!("{name}: not there; {follows}; qmail-updater rebuild makes it")).of(Code::TableMissing)
}

/// That only root can read auth.cdb, when no setting says that this is meant.
fn only_root_reads(settings: &Settings, target: &Target) -> Option<Note> {
    let (mode, (uid, gid)) = target.look()?;
    let is_closed = uid == 0 && mode & 0o004 == 0 && (gid == 0 || mode & 0o040 == 0);
    (is_closed && settings.auth_owner != Some((0, 0))).then(|| {
        Note::warning(format!(
            "{}: only root can read it: nobody logs in where qmail-smtpd runs under another group; rebuild with --auth-owner \
             root:GROUP",
            show_path(&target.name)
        ))
        .of(Code::LoginTableGroup)
    })
}

/// That nobody can log in, because auth.cdb is damaged.
pub fn damaged_logins(target: &Target) -> Option<Note> {
    let image = target.open().and_then(|published| published.read()).ok()?;
    let corrupt = corruption(&image)?;
    let text =
        format!("{}: {corrupt}; nobody can log in; qmail-updater rebuild makes it again", show_path(&target.name));
    Some(Note::alert(text).of(Code::TableDamaged))
}

/// Why nobody can log in now, whatever auth.cdb says: it is missing, or only root can read it.
pub fn no_logins(settings: &Settings, target: &Target) -> Option<Note> {
    match target.seen() {
        Ok(None) => Some(missing(target, true)),
        Ok(Some(_)) => only_root_reads(settings, target),
        Err(_) => None,
    }
}

/// The published files: there, whole, and with the mode and owner that they must have.
pub fn published(settings: &Settings, denied: &mut Denied) -> Vec<Note> {
    let files = [(settings.recipients_target(), false), (settings.logins_target(), true)];
    let damaged = files.iter().filter_map(|(target, _)| {
        let target = &target.as_ref().ok()?.0;
        match target.open().and_then(|published| published.read()) {
            Ok(image) => damage(&target.name, &image),
            // Told of below.
            Err(cause) if cause.kind() == ErrorKind::NotFound => None,
            Err(cause) if is_denied_to_us(&cause) => {
                denied.add(target.name.clone());
                None
            }
            Err(cause) => Some(unreadable(target, cause)),
        }
    });
    let mut findings: Vec<Note> = damaged.collect();
    findings.extend(files[1].0.as_ref().ok().and_then(|(target, _)| match settings.auth_owner {
        // Its owner is told of below.
        Some(_) => None,
        None => only_root_reads(settings, target),
    }));
    let finding = |(target, is_of_logins): (Result<(Target, Look), Error>, bool)| -> Option<Note> {
        let (target, wanted) = match target {
            Ok(target) => target,
            // The comparison ends with the same.
            Err(error) if error.is_denied() => return None,
            Err(error) => {
                return Some(Note::alert(format!("{error}; nothing can be published there")).of(Code::TablePlace));
            }
        };
        let name = show_path(&target.name).to_string();
        let (mode, owner) = match target.seen() {
            Ok(Some(seen)) => seen,
            // A new host: no mail server asks this table yet.
            Ok(None) if users_seen::is_missing(settings) => {
                return Some(
                    Note::warning(format!("{name}: not made yet; qmail-updater rebuild makes it")).of(Code::TableNew),
                );
            }
            Ok(None) => return Some(missing(&target, is_of_logins)),
            Err(cause) if is_denied_to_us(&cause) => {
                denied.add(target.name.clone());
                return None;
            }
            Err(cause) => return Some(unreadable(&target, cause)),
        };
        // Whoever owns a table can change its mode and what it says.
        let own = (if owner.0 == geteuid().as_raw() { owner.0 } else { 0 }, owner.1);
        let wanted_owner = match wanted.owner {
            Some(wanted) if settings.auth_owner.is_some() => wanted,
            _ if owner.0 == 0 => owner,
            _ => own,
        };
        if (mode, owner) == (wanted.mode, wanted_owner) {
            return None;
        }
        let is_set = settings.auth_owner.is_some() && wanted.owner == Some(wanted_owner);
        let fix = if is_set && owner != wanted_owner && status::has_other_owner(settings) {
            "the next rebuild fixes it, but not one of the running service, which has another --auth-owner: restart it"
                .to_owned()
        } else if owner == wanted_owner || is_set {
            "the next rebuild fixes it".to_owned()
        } else {
            format!("chown {}:{} fixes it, or rebuild with --auth-owner", wanted_owner.0, wanted_owner.1)
        };
        let text = format!(
            "{name}: mode {mode:04o}, owner {}:{}; it should be {:04o}, {}:{}; {fix}",
            owner.0, owner.1, wanted.mode, wanted_owner.0, wanted_owner.1
        );
        Some(if mode & !wanted.mode != 0 { Note::alert(text) } else { Note::warning(text) }.of(Code::TableMode))
    };
    findings.extend(files.into_iter().filter_map(finding));
    findings
}

/// The pipes, who reads them, and who does not see them.
fn pipes(settings: &Settings, denied: &mut Denied) -> Vec<Note> {
    let root = &settings.layout.root;
    let mut findings = Vec::new();
    for path in &settings.fifos {
        let is_read = lock::is_fifo_read(root, &settings.state, path);
        if is_read.is_none() {
            denied.add(root.path(&settings.state));
        }
        match fifo::look(path, is_read) {
            Ok(notes) => findings.extend(notes),
            Err(closed) => denied.add(closed),
        }
    }
    let inside = |path: &std::path::Path| {
        path.strip_prefix(root.top()).is_ok_and(|inside| inside.starts_with("tmp") || inside.starts_with("var/tmp"))
    };
    if let Some(path) = settings.fifos.iter().find(|path| inside(path)) {
        findings.extend(with_private_tmp(root).into_iter().map(|(unit, by)| {
            Note::warning(format!(
                "{}: PrivateTmp gives {} a /tmp of its own; what it runs cannot trigger through {}, and its changes wait for \
                 the watches or the sweep; a drop-in with PrivateTmp=no, or --fifo elsewhere, fixes it",
                show_path(&root.path(&by)),
                Shown(&unit),
                show_path(path)
            ))
            .of(Code::PipePrivateTmp)
        }));
    }
    findings
}

/// The commands of --after that nobody can run.
fn after(settings: &Settings, denied: &mut Denied) -> Vec<Note> {
    let finding = |command: &Vec<u8>| {
        let path = settings.layout.root.path(command);
        let what = match path.metadata() {
            Ok(meta) if meta.is_file() && meta.mode() & 0o111 != 0 => return None,
            Ok(_) => "no executable file".to_owned(),
            Err(cause) if cause.kind() == ErrorKind::NotFound => "not there".to_owned(),
            Err(cause) if is_denied_to_us(&cause) => {
                denied.add(path);
                return None;
            }
            Err(cause) => show_cause(&cause),
        };
        Some(
            Note::alert(format!(
                "{}: {what}; no change of the tables is told by this command of --after",
                show_path(&path)
            ))
            .of(Code::AfterCommand),
        )
    };
    settings.after.iter().filter_map(finding).collect()
}

/// What the host says.
fn of_host(settings: &Settings, compared: Compared, all: &mut Vec<Finding>) {
    let Compared { new, changes, built, held, .. } = compared;
    let host = &built.host;
    let mut found: Vec<Note> = Vec::new();
    found.extend(rebuild::behind(host, &held));
    found.extend(database::findings(settings, host));
    // The held ones have an alert.
    if let changes @ 1.. = made(&changes) {
        let changes = count(changes, "change");
        let text =
            format!("the published tables are out of date: {changes}, which qmail-updater rebuild --dry-run shows");
        found.push(Note::warning(text).of(Code::TablesStale));
    }
    found.extend(relayed(host));
    found.extend(misread_assignments(host));
    found.extend(own_names(host));
    found.extend(mail::twice_named(host));
    found.extend(mail::not_let_in(host));
    found.extend(mail::not_led_here(host));
    found.extend(mail::onchange_uncalled(host));
    let mut seen: BTreeMap<Vec<u8>, &[u8]> = BTreeMap::new();
    for login in new.logins.keys() {
        if let Some(other) = seen.insert(lower(login), login) {
            let text = format!("logins {} and {} differ only in case", Shown(other), Shown(login));
            found.push(Note::warning(text).of(Code::LoginCase));
        }
    }
    let accepted = new.recipients.iter().filter(|(_, data)| crate::tables::smtpd::accepts(data));
    let accepted: Vec<Vec<u8>> = accepted.map(|(key, _)| key.clone()).collect();
    let (own, reader) = (host.clone(), HomeReader::new(host, &Before::default(), settings.threads(), None));
    let look = move || {
        let host = &own;
        let mut found: Vec<Note> = deferred(host, &reader, accepted.iter().map(Vec::as_slice).collect());
        found.extend(nobodys(host, &reader));
        let mut named = BTreeSet::new();
        let (mut ways, mut few) = (Ways::new(host, &reader), Few::default());
        for path in host.homes() {
            let home = host.read_home(path);
            if let HomeState::Listed(_, dot_qmails) = &home.state
                && !host.control.programs.is_empty()
            {
                named.extend(dot_qmails.programs());
            }
            of_home(host, &home, &mut found, &mut few);
            ways.of_home(&home, &mut few);
            for domain in host.domains_of(path) {
                if let Mailboxes::Known(vpasswd) = home.mailboxes_of(host.user_domain(domain)) {
                    ways.of_mailboxes(&home, domain, vpasswd, &mut few);
                }
            }
        }
        ways.loops(&mut few);
        found.extend(few.notes());
        found.extend(unused_declarations(host, &named));
        found
    };
    match confine::directories(host).and_then(|directories| confine::attempt(&host.layout.root, directories, look)) {
        Ok((of_homes, unconfined)) => {
            found.extend(unconfined);
            found.extend(of_homes);
        }
        Err(error) => found.push(Note::alert(error.to_string()).of(Code::RebuildImpossible)),
    }
    found.extend(built.notes);
    all.extend(found.into_iter().map(|note| Finding::new(note).of_host(host)));
}

/// Lines of users/assign that qmail-newu reads in another way than they look.
fn misread_assignments(host: &Host) -> Vec<Note> {
    let path = host.layout.root.path(&[&host.layout.qmail[..], b"/users/assign"].concat());
    let path = show_path(&path);
    let unread = host.assignments.unread.iter().map(|unread| {
        Note::warning(format!(
            "{path}: line {}: line {} begins with a dot and ends the file; qmail-newu does not read the {} after it",
            unread.first,
            unread.end,
            count(unread.count, "line")
        ))
        .of(Code::AssignUnread)
    });
    let no_comments = host.assignments.no_comments.iter().map(|(line, local)| {
        Note::warning(format!(
            "{path}: line {line}: # begins no comment here; qmail-newu reads the line as ={}:..., which assigns that one \
             address",
            Shown(local)
        ))
        .of(Code::AssignComment)
    });
    // vpopmail writes the - for each domain.
    let domains = || host.assignments.domains().filter(|(domain, _)| host.is_vpopmail_like(domain));
    let is_dashless = |line: &Assignment| line.dash != b"-" && domains().any(|(_, its)| its == line);
    let undelivered = host.assignments.all().filter_map(|assignment| {
        let Assignment { home, who, line, .. } = assignment;
        let line = (*line)?;
        let why = match home.first() {
            _ if who.uid == 0 => "qmail delivers nothing as root, so mail waits and bounces after a week",
            Some(b'/') if is_dashless(assignment) => "the field before the last : is no -, so no mailbox gets mail",
            Some(b'/') => return None,
            _ => "the home directory does not begin with a slash, so mail bounces",
        };
        Some(Note::warning(format!("{path}: line {line}: {why}")).of(Code::AssignUndelivered))
    });
    unread.chain(no_comments).chain(undelivered).collect()
}

/// Domains that are let through and are nobody's here.
fn relayed(host: &Host) -> Vec<Note> {
    let at = |file: &str, line: Option<usize>| {
        let line = line.map_or(String::new(), |line| format!("line {line}: "));
        format!("{}: {line}", show_path(&host.control_path(file)))
    };
    // Of a stray domain of vpopmail another finding tells.
    let is_others =
        |name: &[u8]| !host.assignments.vpopmail_domain(name).is_some_and(|line| mail::is_stray(host, name, line));
    let relayed = host.control.relayed_to_all().into_iter().filter(|(name, ..)| is_others(name));
    let relayed = relayed.filter(|(name, ..)| names_no_host(name).is_none());
    let wrong = host.control.let_in().filter_map(|(name, file, line)| Some((name, file, line, names_no_host(name)?)));
    let mut wrong: Vec<_> = wrong.collect();
    wrong.sort_unstable();
    let wrong = wrong.into_iter().map(|(name, file, line, why)| {
        Note::warning(format!("{}\"{}\": {why}, so no mail is for it", at(file, line), Shown(name)))
            .of(Code::RcpthostsName)
    });
    let relayed = relayed.into_iter().map(|(name, file, line)| {
        Note::warning(format!(
            "{}{}: neither control/locals nor control/virtualdomains names it, so mail to any name there is accepted, to be \
             sent on to another host; a file control/validrcptto.d/{} can list the names that it has",
            at(file, line),
            Shown(name),
            Shown(name)
        ))
        .of(Code::RelayUnlisted)
        .about(name)
    });
    let suffixes = host.control.suffixes().into_iter().map(|(name, file, line)| {
        note(format!(
            "{}{} lets subdomains through that the table cannot say; those that are not listed by name are refused",
            at(file, line),
            Shown(name)
        ))
        .of(Code::RelaySuffix)
    });
    wrong.chain(relayed).chain(suffixes).collect()
}

/// Why no domain of an address has this name, as far as its bytes show it.
fn names_no_host(name: &[u8]) -> Option<&'static str> {
    match name.iter().find(|b| b.is_ascii_control() || b" @*/:,;".contains(b))? {
        b'@' => Some("a domain is named without the @ and what is before it"),
        b'*' => Some("a * matches nothing here"),
        b'/' | b':' | b',' | b';' => Some("a sign that no domain has is part of the name"),
        _ => Some("a blank, a CR or another such byte is part of the name"),
    }
}

/// Names of this host's own, in control/me and control/locals, that no address has.
fn own_names(host: &Host) -> Vec<Note> {
    let control = &host.control;
    let file = if control.locals_from_me { "me" } else { "locals" };
    let path = show_path(&host.control_path(file)).to_string();
    let is_missing = |name: &str| {
        let file = [&host.layout.qmail[..], b"/control/", name.as_bytes()].concat();
        matches!(host.layout.root.walk(&file).end, End::Missing(_))
    };
    let me = (is_missing("me") && is_missing("smtpgreeting")).then(|| {
        let me = show_path(&host.control_path("me")).to_string();
        Note::warning(format!("{me}: not there, nor is smtpgreeting: qmail-smtpd answers 421 to every client"))
            .of(Code::MeMissing)
    });
    let wrong = control.locals.iter().filter_map(|(name, line)| Some((*line, name, names_no_host(name)?)));
    let mut wrong: Vec<_> = wrong.collect();
    wrong.sort_unstable();
    let wrong = wrong.into_iter().map(|(line, name, why)| {
        let line = line.map_or(String::new(), |line| format!("line {line}: "));
        Note::warning(format!("{path}: {line}\"{}\": {why}, so no mail is for it", Shown(name))).of(Code::LocalsName)
    });
    wrong.chain(me).collect()
}

/// Lines of virtualdomains that lead domains to nobody.
fn nobodys(host: &Host, homes: &HomeReader) -> Vec<Note> {
    let mut by_line: BTreeMap<usize, String> = BTreeMap::new();
    let domains = overview::domains(host, homes, &BTreeSet::new(), &|_| Answer::NoTable);
    // Of one that qmail still takes the finding about users/cdb tells.
    for domain in domains.into_iter().filter(|domain| domain.kind == Kind::Nobody && domain.still_taken.is_none()) {
        let address = stands_for(&join_address(b"", &domain.name), host.layout.break_byte);
        let Some((key, found)) = host.control.virtual_domain(&address) else { continue };
        by_line.entry(found.line).or_insert_with(|| {
            format!(
                "{}: line {}: \"{}\" leads to {}-..., which nobody owns: no line of users/assign, no account, no .qmail file \
                 of alias; no mail arrives there",
                show_path(&host.control_path("virtualdomains")),
                found.line,
                Shown(key),
                Shown(&found.prepend)
            )
        });
    }
    by_line.into_values().map(|text| Note::warning(text).of(Code::DomainNobody)).collect()
}

/// Accepted addresses whose mail qmail would keep and try again, by the file and line that make it so.
fn deferred(host: &Host, homes: &HomeReader, mut accepted: Vec<&[u8]>) -> Vec<Note> {
    // Domain by domain, so that each home is read once.
    accepted.sort_by_key(|key| split_address(key).map_or((true, *key, *key), |(local, domain)| (false, domain, local)));
    let mut by_cause: BTreeMap<String, (usize, Vec<u8>, Step)> = BTreeMap::new();
    let mut open: BTreeMap<Open, (usize, Vec<u8>)> = BTreeMap::new();
    for key in accepted {
        let address = stands_for(key, host.layout.break_byte);
        let delivery = deliver(host, homes, &address, &mut Trail::unkept());
        if let Some(by) = delivery.open {
            // A name alone opens nothing.
            if address != key {
                open.entry(*by).or_insert_with(|| (0, key.to_vec())).0 += 1;
            }
            continue;
        }
        // What cannot be known is told of by the rebuild.
        if delivery.verdict != Verdict::Defer || !delivery.known {
            continue;
        }
        let mut trail = Trail::kept();
        deliver(host, homes, &address, &mut trail);
        let Some(last) = trail.steps().pop() else { continue };
        let cause = without_word(&last.to_string(), &NOBODY);
        by_cause.entry(cause).or_insert_with(|| (0, key.to_vec(), last)).0 += 1;
    }
    let mut few = Few::default();
    for (cause, (number, first, last)) in by_cause {
        let more = if number > 1 { format!(" and {}", count(number - 1, "other key")) } else { String::new() };
        let text = format!("{cause}: mail to {}{more} is accepted and deferred", Shown(&first));
        let is_misused =
            memchr::memmem::find(text.as_bytes(), b": vdelivermail without exactly two arguments").is_some();
        let note = Note::warning(text).of(if is_misused { Code::VdelivermailMisread } else { Code::MailDeferred });
        let note = if let Some(path) = &last.path { note.at(path, last.line) } else { note };
        few.add(&domain_of(&first), note);
    }
    for (by, (number, first)) in open {
        few.add(&domain_of(&first), open_finding(host, &by, number, &first).at(&by.path, Some(by.line)));
    }
    few.notes()
}

/// The domain of an address, as a finding names it.
fn domain_of(address: &[u8]) -> String {
    Shown(split_address(address).map_or(address, |(_, domain)| domain)).to_string()
}

/// A program line that takes every name, and what closes it.
fn open_finding(host: &Host, by: &Open, number: usize, first: &[u8]) -> Note {
    let more = if number > 1 { format!(" and {}", count(number - 1, "other key")) } else { String::new() };
    let file = show_path(&host.control_path("validrcptto.programs")).to_string();
    let program = Shown(&by.program);
    let why = match by.kind {
        OpenKind::Program => format!(
            "the users of {program} are not known, so every name is accepted by {}{more}; a line \"{program} WORD\" in {file} \
             says what it does: mailboxes, passes, accepts or refuses",
            Shown(first)
        ),
        OpenKind::Dovecot => format!(
            "{program} may have users that vpopmail does not have, so every name is accepted by {}{more}; if it has none, a \
             line \"{program} mailboxes\" in {file} says so",
            Shown(first)
        ),
        OpenKind::Condition => format!(
            "the line depends on what {program} finds, which is not known, so every name is accepted by {}{more}; a line \
             that accepts no name on a condition closes it",
            Shown(first)
        ),
        OpenKind::Line => format!(
            "the line that begins with {program} is not read, so every name is accepted by {}{more}; a line of known programs \
             without loops, functions and substitutions is read",
            Shown(first)
        ),
    };
    let place = format!("{}: line {}", show_path(&by.path), by.line);
    let inside = by.path.strip_prefix(host.layout.root.top()).unwrap_or(&by.path);
    let inside = [b"/", inside.as_os_str().as_bytes()].concat();
    if by.kind == OpenKind::Line && forwards::line_has(host, &inside, by.line, b"vdelivermail") {
        let text = format!(
            "{place}: it names vdelivermail, and is no line that vpopmail writes, so every name is accepted by {}{more}",
            Shown(first)
        );
        return Note::warning(text).of(Code::VdelivermailMisread);
    }
    Note::warning(format!("{place}: {why}")).of(Code::DomainOpen)
}

/// Declarations that no program line names.
fn unused_declarations(host: &Host, named: &BTreeSet<Vec<u8>>) -> Vec<Note> {
    let path = show_path(&host.control_path("validrcptto.programs")).to_string();
    let is_named = |name: &[u8]| named.iter().any(|of| of == name || of.rsplit(|b| *b == b'/').next() == Some(name));
    // Another finding tells of wrong lines.
    let is_wrong = |name: &[u8]| host.control.programs.of(name) == Some(Declared::Unusable);
    let unused = host.control.programs.names().filter(|(name, _)| !is_named(name) && !is_wrong(name));
    let finding = |(name, line): (&[u8], usize)| {
        let text = format!("{path}: line {line}: no program line of a .qmail file names {}", Shown(name));
        Note::warning(text).of(Code::ProgramUnused)
    };
    unused.map(finding).collect()
}

/// One home: its .qmail files, and its mailboxes.
fn of_home(host: &Host, home: &Home, findings: &mut Vec<Note>, few: &mut Few) {
    let path = host.layout.root.path(&home.path);
    let file = |name: &[u8]| host.layout.root.path(&[&home.path[..], b"/.qmail", name].concat());
    let shown = show_path(&path).to_string();
    if let HomeState::Listed(_, dot_qmails) = &home.state {
        let mut many_ways = Vec::new();
        for name in dot_qmails.extensions() {
            if is_never_asked(name) {
                let asked = spelled(&lower(name));
                let text = format!(
                    "{shown}/.qmail{}: no mail comes to it: qmail looks for .qmail{}, in lower case and with a : for each dot \
                     of an address",
                    Shown(name),
                    Shown(&asked)
                );
                few.add(&shown, Note::warning(text).of(Code::QmailName).at(&file(name), None));
            } else if name.iter().filter(|b| **b == b':').count() > crate::tables::recipients::MAX_SPELLED_COLONS {
                many_ways.push(name);
            }
        }
        for (name, what) in dot_qmails.no_files().filter(|(name, _)| name.first() == Some(&b'-')) {
            let text = format!("{shown}/.qmail{}: {what}, so no mail is delivered by it", Shown(name));
            few.add(&shown, Note::warning(text).of(Code::QmailNoFile).at(&file(name), None));
        }
        for (name, cause) in dot_qmails.closed_folders().filter(|(_, cause)| !cause.denied) {
            let text = format!(
                "{shown}/.qmail{}: a directory that is not read: {cause}; names with a / below it are not listed",
                Shown(name)
            );
            few.add(&shown, note(text).of(Code::QmailDirectory).at(&file(name), None));
        }
        if !many_ways.is_empty() {
            findings.push(
                note(format!(
                    "{shown}: {}: so many colons that only the spelling with dots and the one with colons are accepted",
                    first_few(&many_ways, many_ways.len())
                ))
                .of(Code::QmailColons),
            );
        }
    }
    for users in &home.users {
        let Mailboxes::Known(vpasswd) = &users.mailboxes else { continue };
        let mut found = Vec::new();
        match &users.of {
            Some(domain) => {
                let table = format!("{}: {}", show_path(&users.tables.0), Shown(domain));
                of_mailboxes(host, &home.path, &table, vpasswd, &mut found);
                findings.extend(found.into_iter().map(|note| note.about(domain)));
            }
            None => {
                let file = host.layout.root.path(&[&home.path[..], b"/", vpasswd.file().as_bytes()].concat());
                of_mailboxes(host, &home.path, &show_path(&file).to_string(), vpasswd, &mut found);
                findings.extend(found);
            }
        }
    }
}

/// The mailboxes of a domain directory, which this file has, or this table with this domain.
fn of_mailboxes(host: &Host, home: &[u8], file: &str, vpasswd: &Vpasswd, findings: &mut Vec<Note>) {
    let mut beside = TextBeside::new(&host.layout.root, home);
    let mut line_of = |name: &[u8], mailbox: &Mailbox<'_>| match mailbox.line {
        Some(line) => format!("line {line}: "),
        None if matches!(vpasswd, Vpasswd::Rows(_)) => String::new(),
        None => beside.line_of(name, vpasswd).map_or(String::new(), |line| format!("line {line} of {TEXT}: ")),
    };
    let mut weak: BTreeMap<Weakness, Vec<&[u8]>> = BTreeMap::new();
    let (mut lost, mut broken, mut short, mut with_scheme) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut damaged: BTreeMap<Fault, Vec<String>> = BTreeMap::new();
    let mut names = BTreeSet::new();
    let mut same = Vec::new();
    let mut all = vpasswd.all();
    all.dedup_by_key(|(name, _)| *name);
    for (name, mailbox) in all {
        if !names.insert(lower(name)) {
            same.push(name);
        }
        if mailbox.shape == Shape::Short {
            short.push(name);
        }
        if name.is_empty() {
            let line = line_of(name, &mailbox);
            let text = format!("{file}: {line}a record without a name, which is no mailbox");
            findings.push(Note::warning(text).of(Code::MailboxUnnamed));
        } else if !is_legal_name(name) {
            lost.push(name);
        } else if mailbox.shape == Shape::Broken {
            broken.push(name);
        } else if host.build.keeps_scheme.is_some() && has_scheme(mailbox.crypt) {
            with_scheme.push(name);
        } else if let Some(fault) = hash_damage(mailbox.crypt) {
            damaged.entry(fault).or_default().push(format!("{}{}", line_of(name, &mailbox), Shown(name)));
        } else if let Some(weakness) = weakness(mailbox.crypt) {
            weak.entry(weakness).or_default().push(name);
        }
    }
    if let Some(line) = vpasswd.colonless() {
        let text = format!("{file}: line {line}: no colon in it, so it is no mailbox");
        findings.push(Note::warning(text).of(Code::MailboxLine));
    }
    if let Some(line) = vpasswd.unended() {
        let text = format!("{file}: line {line}: no newline ends it, so vpopmail does not read it");
        findings.push(Note::warning(text).of(Code::MailboxUnended));
    }
    for (fault, places) in damaged {
        let (many, places) = (count(places.len(), "mailbox"), first_few(&places, places.len()));
        let mut text =
            format!("{file}: {many} with a hash that no password has, so nobody logs in: {places} ({fault})");
        if fault.is_of_old_vpopmaild() {
            text.push_str("; vpopmaild of a vpopmail before 5.6.7 cuts hashes so");
        }
        findings.push(Note::warning(text).of(Code::PasswordDamaged));
    }
    let mut say = |code: Code, names: &[&[u8]], level: Level, what: &str| {
        if !names.is_empty() {
            let many = count(names.len(), "mailbox");
            findings
                .push(Note::new(level, format!("{file}: {many} {what}: {}", first_few(names, names.len()))).of(code));
        }
    };
    let unfound = "that vpopmail never finds, because of a byte in the name";
    say(Code::MailboxName, &lost, Level::Warning, unfound);
    say(Code::MailboxCase, &same, Level::Warning, "whose names differ from another's only in case");
    let crashes = "with fewer than three fields, on which vdelivermail crashes";
    say(Code::MailboxBroken, &broken, Level::Warning, crashes);
    let bounces = "with three or four fields, whose mail vdelivermail bounces";
    say(Code::MailboxShort, &short, Level::Warning, bounces);
    if let Some(why) = &host.build.keeps_scheme {
        let what = format!("with a {{SCHEME}} before the hash, which vpopmail compares too: nobody logs in ({why})");
        say(Code::PasswordScheme, &with_scheme, Level::Warning, &what);
    }
    for (weakness, names) in weak {
        let (code, level) = match weakness {
            Weakness::Empty => (Code::PasswordMissing, Level::Warning),
            Weakness::Locked => (Code::PasswordLocked, Level::Status),
            Weakness::Unusable => (Code::PasswordUnknown, Level::Warning),
            Weakness::Des => (Code::PasswordDes, Level::Warning),
            Weakness::Md5 => (Code::PasswordMd5, Level::Warning),
        };
        say(code, &names, level, weakness.words());
    }
}
