//! `user`: mailboxes with what takes their mail and how they may log in; and what takes the mail of an address that is none.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use crate::cdb::FileReader;
use crate::commands::answers::{read_host_only, say_settings, written};
use crate::commands::holds::Holds;
use crate::commands::lookup::Published;
use crate::commands::onward::Onward;
use crate::commands::overview::{Absence, Agreement, State, User, Users};
use crate::commands::screen::{Field, Form, Row, Screen, Tone, table, wrapped};
use crate::commands::{check, explain, faults, forwards, hints};
use crate::decide::{Taker, Verdict};
use crate::error::{Denied, Error, show_path};
use crate::host::Host;
use crate::os::confine;
use crate::rebuild::homes::HomeReader;
use crate::rebuild::{now, users_seen};
use crate::report::{self, Code, Level, Note};
use crate::settings::Settings;
use crate::tables::logins::{Policy, PublishedLogins};
use crate::text::{Shown, count, date, join_address, lower, split_address};

/// Why a table refuses what the configuration takes.
const OLDER: &str = "the published table is older";

/// An address without a mailbox: the whole address, whose mail something may take all the same; why there is none; and what
/// may be meant, to stand behind that.
type Absent = (Option<Vec<u8>>, Absence, String);

/// Prints mailboxes: one, or all of a domain. Whether each address is one is the answer.
///
/// # Errors
/// What stops a rebuild; a mailbox file that cannot be read; a standard output that is full.
pub fn user(settings: &Settings, screen: &Screen, addresses: &[std::ffi::OsString]) -> Result<bool, Error> {
    let host = read_host_only(settings)?;
    say_settings(settings, screen);
    let variables = host.read_authvars();
    let (target, _) = settings.logins_target()?;
    let before = target.before();
    let kept = before.file.as_ref().map(|logins| &**logins as &dyn PublishedLogins);
    let policy = Policy::new(&host, &variables, now()).keeping(kept);
    // None of them can be looked at within the confinement.
    let closed = check::damaged_logins(&target).or_else(|| check::no_logins(settings, &target));
    let recipients = matches!(screen.form, Form::Terminal(_)).then(|| Published::open(settings));
    let is_new = users_seen::is_missing(settings);
    // What cannot be read is told by check and status.
    let holds = Holds::read(settings).unwrap_or_default();
    let mut is_concerned = false;
    let mut number = 0;
    let find = || -> io::Result<(Vec<Absent>, Denied)> {
        let homes = HomeReader::new(&host, &before, settings.threads(), None);
        let (published, published_at) = (before.cdb(), before.changed());
        let refuses = |address: &[u8]| refused_now(recipients.as_ref()?, is_new, address);
        let refuses: &dyn Fn(&[u8]) -> Option<&'static str> = &refuses;
        let closed = closed.clone();
        let users = Users { host: &host, homes: &homes, policy: &policy, published, published_at, closed, refuses };
        let beyond = |user: &User<'_>| {
            let Some((delivery, last)) = &user.mail else { return Beyond::default() };
            let address = join_address(user.name, user.domain);
            let ways = Onward { host: &host, homes: &homes }.of(&address, last.as_slice(), delivery.verdict);
            let fault = faults::of_domain(&host, &homes, &address, (delivery, last.as_ref()));
            Beyond {
                fault: fault.or_else(|| ways.fault().map(str::to_owned)),
                forwards: ways.forwards(),
                is_own: forwards::is_own_mailbox(&host, &homes, &address, &ways.directories),
            }
        };
        let (form, out, several, holds) = (screen.form, screen.out(), Vec::new(), &holds);
        let mut printer = Printer { form, out, number: 0, several, closed: None, beyond: &beyond, holds };
        let mut absent = Vec::new();
        for address in addresses {
            let address = address.as_bytes();
            let is_domain = address.first() == Some(&b'@');
            let mut print = |user: &User<'_>| -> io::Result<()> {
                is_concerned |= variables.is_concerned(&join_address(user.name, user.domain));
                printer.take(user, is_domain)
            };
            match users.find(address, &mut print)? {
                Ok(()) if is_domain => {
                    let fault = || faults::with_reason(&host, &homes, &lower(&address[1..]));
                    printer.end_domain(&address[1..], &fault)?;
                }
                Ok(()) => {}
                Err(absence) => absent.push((users.whole(address), absence, hints::domain_meant(&host, address))),
            }
        }
        number = printer.end()?;
        Ok((absent, homes.denied()))
    };
    let (result, unconfined) = confine::within(&host.layout.root, &confine::directories(&host)?, find)?;
    report::say_all(unconfined.as_slice());
    if let Some(file) = variables.unusable().filter(|file| is_concerned && !file.cause.denied) {
        let path = host.layout.root.path(&file.path);
        let text =
            format!("{}: {}; logins that depend on it keep their published variables", show_path(&path), file.cause);
        report::say(Level::Alert, &text);
    }
    let (absent, mut denied) = match result {
        Ok(found) => found,
        Err(cause) => return written(Err(cause)).map(|()| true),
    };
    let instead: Vec<&[u8]> = absent.iter().filter_map(|absent| takes_instead(absent)).collect();
    let mut sentences = explain::in_a_sentence(settings, &host, &instead)?.into_iter();
    let published = before.cdb();
    let still = |address: &[u8]| published.as_ref().ok().and_then(|table| published_login(&host, table, address));
    let mut unread = None;
    for absent in &absent {
        let sentence = takes_instead(absent).and_then(|address| Some((address, sentences.next()?)));
        let sentence =
            sentence.map(|(address, sentence)| (address, sentence + &still(address).unwrap_or_default() + &absent.2));
        match (&absent.1, &sentence, screen.form) {
            // The answer below says it.
            (Absence::None(_), Some(_), Form::Terminal(_)) => {}
            (Absence::None(why), None, _) => report::say(Level::Warning, &format!("{why}{}", absent.2)),
            (Absence::None(why), ..) => report::say(Level::Warning, why),
            // Told of at the end.
            (Absence::Unread(why), ..) if why.denied => {}
            (Absence::Unread(why), ..) if unread.is_none() => unread = Some(Error::Temporary(why.text.clone())),
            (Absence::Unread(why), ..) => report::say(Level::Alert, &why.text),
        }
        match (sentence, screen.form) {
            (None, _) => {}
            (Some((address, sentence)), Form::Terminal(width)) => {
                let gap = if number > 0 { "\n" } else { "" };
                number += 1;
                screen.print(&(gap.to_owned() + &absent_for_terminal(address, &absent.1, &sentence, width)))?;
            }
            (Some((address, sentence)), Form::Pipe | Form::Json) => {
                report::say(Level::Status, &format!("{}: {sentence}", Shown(address)));
            }
        }
    }
    denied.extend(before.closed);
    denied.extend(host.denied());
    let closed = variables.unusable().filter(|file| is_concerned && file.cause.denied);
    denied.extend(closed.map(|file| host.layout.root.path(&file.path)));
    match (unread, denied.nothing_closed("what depends on it is unknown")) {
        (Some(error), Ok(())) => Err(error),
        (unread, denied) => {
            report::say_all(&unread.map(|error| Note::alert(error.to_string())).into_iter().collect::<Vec<_>>());
            denied.map(|()| absent.is_empty())
        }
    }
}

/// Why the published recipient table does not accept an address now, as far as it can be read.
fn refused_now(table: &Result<Published, Error>, is_new: bool, address: &[u8]) -> Option<&'static str> {
    match table {
        Ok(table) if table.lookup(address).accepted() => None,
        Ok(table) if table.is_damaged => Some("the published table is damaged"),
        Ok(_) => Some(OLDER),
        // On a new host no mail server asks it yet.
        Err(error) if error.is_missing() && !is_new => {
            Some("the recipient table is missing, and a qmail-smtpd that asks it answers 421 to every client")
        }
        Err(_) => None,
    }
}

/// Which login the published table has of an address without a mailbox, in words: the table is older, or its domain is held or
/// kept; or the login is that of a system account.
fn published_login(host: &Host, table: &FileReader<'_>, address: &[u8]) -> Option<String> {
    let (local, domain) = split_address(address)?;
    let is_local = host.control.prefix(domain).is_some_and(|prefix| prefix.is_empty());
    let has_bare = host.is_default_domain(domain) || is_local && host.accounts.accepted.contains_key(local);
    let names = std::iter::once(address).chain(has_bare.then_some(local));
    let found: Vec<String> =
        names.filter(|name| table.find(name).is_some()).map(|name| Shown(name).to_string()).collect();
    (!found.is_empty()).then(|| format!("; auth.cdb lets it log in all the same, as {}", found.join(" and ")))
}

/// The address whose mail something may take, though it has no mailbox.
fn takes_instead((address, absence, _): &Absent) -> Option<&[u8]> {
    let is_denied = matches!(absence, Absence::Unread(why) if why.denied);
    address.as_deref().filter(|_| !is_denied)
}

fn absent_for_terminal(address: &[u8], absence: &Absence, sentence: &str, width: usize) -> String {
    let (word, tone) = if absence.is_certain() { ("NO MAILBOX", Tone::Bad) } else { ("UNKNOWN", Tone::Caution) };
    format!("{}  {}\n{}{}", Shown(address), tone.paint(word), wrapped(sentence, width, 2, 4), each_step(address, width))
}

/// The command that explains an address, in a form that a shell can be given. What is quoted stays in one line.
fn each_step(address: &[u8], width: usize) -> String {
    let shown = Shown(address).to_string();
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b".-_@+".contains(b);
    if address.iter().all(is_plain) && address.first() != Some(&b'-') {
        return wrapped(&format!("each step: qmail-updater explain {shown}"), width, 2, 4);
    }
    format!("  each step: qmail-updater explain -- '{}'\n", shown.replace('\'', "'\\''"))
}

/// The way of the mail of a mailbox beyond what decides about its address.
#[derive(Default)]
struct Beyond {
    /// What is wrong with its whole domain, or with all that it is forwarded to.
    fault: Option<String>,
    /// What it is forwarded to, in words.
    forwards: Vec<String>,
    /// Whether the file that takes it delivers into the mailbox.
    is_own: bool,
}

/// Prints one mailbox after the other. On a terminal those of a domain are rows of one table.
struct Printer<'a, W: Write> {
    form: Form,
    out: W,
    /// How many answers there are.
    number: usize,
    /// The rows of the mailboxes of a domain, and which of them get mail and may log in, where that is known.
    several: Vec<(Row, bool, Option<bool>)>,
    /// Why none of them can log in now.
    closed: Option<String>,
    /// What people are told of the way of its mail.
    beyond: &'a dyn Fn(&User<'_>) -> Beyond,
    /// The held domains, which people are told of.
    holds: &'a Holds,
}

impl<W: Write> Printer<'_, W> {
    fn take(&mut self, user: &User<'_>, is_of_domain: bool) -> io::Result<()> {
        if is_of_domain && let Form::Terminal(_) = self.form {
            let login = user.login.is_ok().then(|| may_log_in(user));
            // Where its mail goes on to is asked of few: of those whose mail another file takes.
            let is_taken = in_words(user)[0].0 == "deliver" && !gets_mail(user);
            let beyond = if is_taken { (self.beyond)(user) } else { Beyond::default() };
            self.several.push((row(user, &beyond), gets_mail(user) || beyond.is_own, login));
            self.closed = user.closed.map(|why| why.text.clone());
            return Ok(());
        }
        self.number += 1;
        let begin = match (self.form, self.number) {
            (Form::Json, 1) => "[\n",
            (Form::Json, _) => ",\n",
            (_, 1) => "",
            (_, _) => "\n",
        };
        self.out.write_all(begin.as_bytes())?;
        match self.form {
            Form::Json => write!(self.out, "{}", user_as_json(user)),
            Form::Pipe => self.out.write_all(for_pipe(user).as_bytes()),
            Form::Terminal(width) => {
                let state = self.holds.for_people(user.domain);
                self.out.write_all(for_terminal(user, (self.beyond)(user), state, width).as_bytes())
            }
        }
    }

    /// All mailboxes of a domain were taken; people are told what is wrong with all of them.
    fn end_domain(&mut self, domain: &[u8], fault: &dyn Fn() -> Option<String>) -> io::Result<()> {
        let Form::Terminal(width) = self.form else { return Ok(()) };
        let several = std::mem::take(&mut self.several);
        let receiving = several.iter().filter(|(_, gets_mail, _)| *gets_mail).count();
        let sending = several.iter().filter(|(_, _, login)| *login == Some(true)).count();
        let unknown = several.iter().filter(|(_, _, login)| login.is_none()).count();
        let mailboxes = count(several.len(), "mailbox");
        let rows: Vec<Row> = several.into_iter().map(|(row, ..)| row).collect();
        let headings = ["ADDRESS", "MAIL", "SMTP LOGIN", "FLAGS", "COMMENT"];
        let table = if rows.is_empty() { String::new() } else { format!("\n{}", table(width, &headings, &rows)) };
        let unknown = if unknown > 0 { format!("; for {unknown} the login is unknown") } else { String::new() };
        let head =
            format!("{}  {mailboxes}: mail arrives in {receiving}, {sending} may log in{unknown}", Shown(domain));
        let gap = if self.number > 0 { "\n" } else { "" };
        self.number += 1;
        let beside = fault().into_iter().chain(self.holds.for_people(&lower(domain))).chain(self.closed.take());
        let beside: String = beside.map(|why| wrapped(&why, width, 0, 2)).collect();
        write!(self.out, "{gap}{}{beside}{table}", wrapped(&head, width, 0, 2))
    }

    /// Ends the answers; their number.
    fn end(mut self) -> io::Result<usize> {
        if self.form == Form::Json {
            self.out.write_all(if self.number == 0 { b"[]\n" } else { b"\n]\n" })?;
        }
        self.out.flush().map(|()| self.number)
    }
}

/// The address of a mailbox, of an alias domain with the real one.
fn user_address(user: &User<'_>) -> String {
    format!("{}@{}", Shown(user.name), Shown(user.domain))
}

/// Whether mail to a mailbox arrives in it.
fn gets_mail(user: &User<'_>) -> bool {
    let arrives =
        |delivery: &crate::decide::Delivery| delivery.verdict == Verdict::Deliver && delivery.taker == Taker::Mailbox;
    user.accepted
        && user.refused.is_none()
        && !user.is_not_taken
        && user.mail.as_ref().is_some_and(|(delivery, _)| arrives(delivery))
}

/// Whether a program that is not known takes its mail.
fn is_open(user: &User<'_>) -> bool {
    user.mail.as_ref().is_some_and(|(delivery, _)| delivery.open.is_some())
}

/// Whether what is published of its mail stays, because the source cannot be read.
fn is_kept(user: &User<'_>) -> bool {
    user.mail.as_ref().is_some_and(|(delivery, _)| State::of(delivery) == State::Kept)
}

/// Why its mail is refused now, although the configuration does not refuse it.
fn refused<'u>(user: &User<'u>) -> Option<&'u str> {
    let kept = "what is published of its domain is kept, because its source cannot be read";
    user.refused.map(|why| if why == OLDER && is_kept(user) { kept } else { why })
}

/// Whether no mail server has a whole table to ask.
fn lacks_table(user: &User<'_>) -> bool {
    user.closed.is_some_and(|why| matches!(why.code, Some(Code::TableMissing | Code::TableDamaged)))
}

/// Whether the published table has its login as the configuration says it; what is not known is no difference.
fn is_current(user: &User<'_>) -> bool {
    matches!(user.published, Ok(None | Some(Agreement::Same)))
}

fn may_log_in(user: &User<'_>) -> bool {
    user.never.is_none() && !lacks_table(user) && is_current(user) && matches!(user.login, Ok(Ok(_)))
}

fn for_pipe(user: &User<'_>) -> String {
    let alias = user.alias_of.map(|real| format!(" (alias of {})", Shown(real)));
    let lines: String = facts(user, false).iter().map(|(name, value)| format!("  {name}: {value}\n")).collect();
    format!("{}{}\n{lines}", user_address(user), alias.unwrap_or_default())
}

/// What comes of the mail of a mailbox, and of its logins, in a word each.
fn in_words(user: &User<'_>) -> [(&'static str, Tone); 2] {
    let mail = match user.mail.as_ref().map(|(delivery, _)| delivery.verdict) {
        None => ("none", Tone::Bad),
        Some(Verdict::Unknown) => ("unknown", Tone::Caution),
        Some(_) if !user.accepted => ("refuse", Tone::Bad),
        Some(Verdict::Defer) if is_kept(user) && user.refused.is_some() => ("refuse", Tone::Bad),
        Some(Verdict::Deliver | Verdict::Defer) if user.refused.is_some() => ("not yet", Tone::Bad),
        Some(Verdict::Deliver) if gets_mail(user) => ("deliver", Tone::Good),
        Some(Verdict::Deliver) => ("deliver", Tone::Caution),
        Some(Verdict::Defer) => ("defer", Tone::Caution),
        Some(Verdict::Remote) => ("remote", Tone::Caution),
        Some(Verdict::Bounce) => ("bounce", Tone::Bad),
    };
    let login = match &user.login {
        Err(_) => ("unknown", Tone::Caution),
        Ok(Ok(_)) if user.never.is_some() => ("never", Tone::Bad),
        Ok(Ok(_)) if !lacks_table(user) && !is_current(user) => ("not yet", Tone::Bad),
        Ok(Ok(_)) if !lacks_table(user) => ("yes", if user.closed.is_none() { Tone::Good } else { Tone::Caution }),
        // The table has another login of it.
        Ok(Err(_)) if user.published.is_ok() && !lacks_table(user) && !is_current(user) => ("not yet", Tone::Bad),
        Ok(_) => ("no", Tone::Bad),
    };
    [mail, login]
}

fn row(user: &User<'_>, beyond: &Beyond) -> Row {
    let [(mail, of_mail), (login, of_login)] = in_words(user);
    let (mail, of_mail) = match beyond {
        Beyond { fault: Some(_), .. } => ("bounce", Tone::Bad),
        Beyond { is_own: true, .. } => (mail, Tone::Good),
        Beyond { .. } if mail == "deliver" && is_open(user) => ("unknown", of_mail),
        Beyond { .. } if mail == "deliver" && !gets_mail(user) => ("elsewhere", of_mail),
        Beyond { .. } => (mail, of_mail),
    };
    let flags = user.effective.as_ref().map_or_else(|_| "unknown".to_owned(), |flags| flags.join(", "));
    let comment = user.particulars.as_ref().map(|particulars| Shown(particulars.gecos).to_string());
    let cells = vec![
        Field::text(user_address(user)),
        Field::word(mail, of_mail),
        Field::word(login, of_login),
        Field::text(if flags.is_empty() { "-".to_owned() } else { flags }),
        Field::text(comment.unwrap_or_else(|| "-".to_owned())),
    ];
    Row { cells, below: Vec::new() }
}

/// The width of the names before the facts.
const NAMES: usize = 19;

fn for_terminal(user: &User<'_>, beyond: Beyond, state: Option<String>, width: usize) -> String {
    let Beyond { fault, forwards, is_own } = beyond;
    let (mail, login) = (gets_mail(user) || is_own && user.refused.is_none(), may_log_in(user));
    let tone = if mail && login { Tone::Good } else { Tone::Caution };
    let refused = refused(user).filter(|_| user.accepted).map(|why| format!("its mail is refused now: {why}"));
    let summary = match in_words(user) {
        [("not yet" | "refuse", _), _] if refused.is_some() => refused.as_deref().unwrap_or_default(),
        [("deliver", _), _] if user.is_not_taken => "no mail arrives",
        [("deliver", _), _] if is_own => "its mail arrives, by a .qmail file",
        [("deliver", _), _] if mail => "its mail arrives",
        [("deliver", _), _] if fault.is_some() => "no mail arrives",
        [("deliver", _), _] if is_open(user) => "a program decides whether mail arrives",
        [("deliver", _), _] => "something else takes its mail",
        [("defer", _), _] => "its mail waits",
        [("unknown", _), _] => "whether mail arrives is unknown",
        [("refuse", _), _] if !user.accepted => "mail from other hosts is refused",
        _ => "no mail arrives",
    };
    let of_login = match in_words(user)[1].0 {
        "yes" if user.closed.is_some() => "it may log in once the mail server can read auth.cdb",
        "yes" => "it may log in",
        "not yet" if user.published.is_err() => "auth.cdb cannot be read, so whether it may log in now is unknown",
        "not yet" => "its login is not yet as it should be in auth.cdb",
        "unknown" => "whether it may log in is unknown",
        _ => "it may not log in",
    };
    let head = wrapped(&format!("{}  MAILBOX  {summary}; {of_login}", user_address(user)), width, 0, 2);
    let mut text = head.replacen("MAILBOX", &tone.paint("MAILBOX"), 1);
    let alias =
        user.alias_of.map(|real| ("alias domain", format!("{} is an alias of {}", Shown(user.domain), Shown(real))));
    let [(mail, of_mail), (login, of_login)] = in_words(user);
    let words = [("mail", mail, of_mail), ("smtp login", login, of_login)];
    let mut all = facts(user, true);
    if let (Some(fault), Some((_, mail))) = (fault, all.iter_mut().find(|(name, _)| *name == "mail")) {
        mail.push_str(&format!("; {fault}"));
    }
    if let (false, Some(at)) = (forwards.is_empty(), all.iter().position(|(name, _)| *name == "mail")) {
        all.insert(at + 1, ("forwards to", forwards.join(", ")));
    }
    let (first, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|(name, _)| ["mail", "forwards to", "smtp login", "login expires"].contains(name));
    let state = state.map(|state| ("state", state));
    for (name, value) in first.into_iter().chain(state).chain(alias).chain(others) {
        let name = if name == "folder" { "directory" } else { name };
        let lines = wrapped(&format!("{name:<width$}{value}", width = NAMES - 2), width, 2, NAMES);
        let of_word = words.iter().find(|(about, word, _)| *about == name && value.starts_with(word));
        text.push_str(&match of_word {
            Some((_, word, tone)) => lines.replacen(word, &tone.paint(word), 1),
            None => lines,
        });
    }
    text
}

/// What there is to say of a mailbox, each with its name. A script reads what the configuration says of a login; people are
/// told, too, that no mail server can ask the table.
fn facts(user: &User<'_>, for_people: bool) -> Vec<(&'static str, String)> {
    let words = |words: &[String]| if words.is_empty() { "none".to_owned() } else { words.join(", ") };
    let mut facts = Vec::new();
    let mut line = |name: &'static str, value: String| facts.push((name, value));
    line("owner", format!("{}:{}", user.who.uid, user.who.gid));
    match &user.particulars {
        Some(particulars) => {
            line("comment", Shown(particulars.gecos).to_string());
            line("folder", Shown(particulars.folder).to_string());
            line("quota", Shown(particulars.quota).to_string());
        }
        None => line("record", "not as vpopmail writes it: neither comment nor folder nor quota are shown".to_owned()),
    }
    line("password", user.scheme.clone());
    line("flags", words(&user.flags));
    line("effective flags", user.effective.as_ref().map_or_else(|why| format!("unknown: {why}"), |flags| words(flags)));
    let refused = match refused(user).filter(|_| for_people) {
        _ if !user.accepted => "; but rcpthosts does not list the domain: strangers' mail is refused".to_owned(),
        Some(why) => format!("; but {why}: it is refused now"),
        None => String::new(),
    };
    line(
        "mail",
        match &user.mail {
            None => "none: vpopmail never finds that name".to_owned(),
            Some((delivery, None)) => format!("{}{refused}", delivery.verdict),
            Some((delivery, Some(step))) => format!("{}: {step}{refused}", delivery.verdict),
        },
    );
    let published = match &user.published {
        Ok(None | Some(Agreement::Same)) => String::new(),
        Ok(Some(Agreement::Changed)) => "; auth.cdb says otherwise: the host has changed since".to_owned(),
        Ok(Some(Agreement::Other)) => "; auth.cdb says otherwise".to_owned(),
        Err(cause) => format!("; auth.cdb: {cause}"),
    };
    line(
        "smtp login",
        match &user.login {
            Err(why) => format!("unknown: {why}"),
            Ok(Ok(_)) if user.never.is_some() => format!("never: {}{published}", user.never.unwrap_or_default()),
            Ok(Ok(logins)) => {
                let logins: Vec<String> = logins.iter().map(|login| Shown(login).to_string()).collect();
                let logins = logins.join(" and ");
                match user.closed.filter(|_| for_people) {
                    Some(why) if lacks_table(user) => {
                        format!("no: {}; after that it may log in, as {logins}", why.text)
                    }
                    Some(why) => format!("yes, as {logins}; but {}{published}", why.text),
                    None => format!("yes, as {logins}{published}"),
                }
            }
            Ok(Err(why)) => format!("no: {why}{published}"),
        },
    );
    if let Some(time) = user.expires.filter(|_| for_people) {
        line("login expires", date(time));
    }
    facts
}

fn user_as_json(user: &User<'_>) -> serde_json::Value {
    let shown = |bytes: &[u8]| Shown(bytes).to_string();
    let particulars = user.particulars.as_ref();
    serde_json::json!({
        "address": user_address(user),
        "alias_of": user.alias_of.map(shown),
        "uid": user.who.uid,
        "gid": user.who.gid,
        "comment": particulars.map(|particulars| shown(particulars.gecos)),
        "folder": particulars.map(|particulars| shown(particulars.folder)),
        "quota": particulars.map(|particulars| shown(particulars.quota)),
        "password": user.scheme,
        "flags": user.flags,
        "effective_flags": user.effective.as_ref().ok(),
        "mail": user.mail.as_ref().map(|(delivery, _)| delivery.verdict.to_string()),
        "mail_by": user.mail.as_ref().and_then(|(_, step)| step.as_ref()).map(ToString::to_string),
        "accepted": user.accepted,
        "logins": user.login.as_ref().ok().map(|may| {
            let logins = may.iter().flatten().map(|login| shown(login));
            logins.collect::<Vec<_>>()
        }),
        "login_refused": user.login.as_ref().ok().and_then(|may| may.as_ref().err().map(String::as_str)).or(user.never),
        "login_unknown": user.login.as_ref().err().map(ToString::to_string),
        "published": user.published.as_ref().ok().and_then(Option::as_ref).map(|is| *is == Agreement::Same),
    })
}
