//! `explain`: whether an address is accepted, what decides, and by which other addresses it is reached.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::commands::answers::{say_seen, say_settings};
use crate::commands::forwards::Reaching;
use crate::commands::holds::Holds;
use crate::commands::lookup::{AS_IT_SHOULD_BE, Published};
use crate::commands::onward::{Onward, Target, Ways};
use crate::commands::overview::{self, State};
use crate::commands::screen::{Form, Screen, Tone, VERSION, wrapped};
use crate::commands::{faults, forwards, hints};
use crate::decide::{DROPPED, Delivery, NO_LOCAL_PART, Route, SWALLOWED, Step, Taker, Trail, Verdict, deliver, route};
use crate::error::{Denied, Error, show_path};
use crate::host::Host;
use crate::host::compilers::Compiler;
use crate::os::confine;
use crate::protect::guard::stands_for;
use crate::protect::hold;
use crate::rebuild::homes::HomeReader;
use crate::rebuild::{behind, read_host};
use crate::report::{self, Level};
use crate::settings::Settings;
use crate::tables::recipients::relay_step;
use crate::text::{DEFAULT, Shown, count, join_address, lower, show_domain, split_address};

/// So many addresses that reach one are told on a terminal.
const MAX_REACHING: usize = 10;
/// What programs are told of mail that is kept.
const UNTIL_READ: &str = "; delivery waits until what decides can be read";

/// Whether qmail-smtpd takes mail for an address from strangers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    Unknown,
}

/// What there is to say of one address.
struct Explained {
    address: Vec<u8>,
    accepted: Answer,
    /// Whether rcpthosts lists its domain.
    is_let_in: bool,
    reason: String,
    delivery: Delivery,
    /// Each with the addresses that it forwards to.
    steps: Vec<(Step, Vec<Target>)>,
    /// The mailboxes and maildirs that the last step delivers to.
    directories: Vec<String>,
    /// The lines that should forward, but hold no address.
    mistyped: Vec<String>,
    /// That nothing comes of what it forwards.
    lost: Option<&'static str>,
    state: State,
    /// What the state means, for people.
    state_reason: Option<String>,
    /// What the published table says, or why it says nothing.
    table: Option<String>,
    /// Addresses that lead here.
    reached_by: Reaching,
}

/// What explains addresses.
struct Explainer<'a> {
    settings: &'a Settings,
    host: &'a Host,
    homes: &'a HomeReader,
    published: &'a Result<Published, Error>,
    holds: &'a Holds,
    /// Whether forwards are looked for, which reads every home.
    reads_all: bool,
}

/// What an [`Explainer`] asks.
struct Sources {
    homes: HomeReader,
    published: Result<Published, Error>,
    holds: Holds,
}

impl Sources {
    fn read(settings: &Settings, host: &Arc<Host>) -> Result<Sources, Error> {
        let before = settings.logins_target()?.0.before();
        let holds = match Holds::read(settings) {
            // Said at the end, when it matters.
            Err(error) if error.is_denied() => Holds::default(),
            holds => holds?,
        };
        let homes = HomeReader::new(host, &before, settings.threads(), None);
        Ok(Sources { homes, published: Published::open(settings), holds })
    }

    fn explainer<'a>(&'a self, settings: &'a Settings, host: &'a Host, reads_all: bool) -> Explainer<'a> {
        let Sources { homes, published, holds } = self;
        Explainer { settings, host, homes, published, holds, reads_all }
    }
}

impl Explainer<'_> {
    fn explain(&self, address: &[u8]) -> Explained {
        let host = self.host;
        let mut trail = Trail::kept();
        let delivery = deliver(host, self.homes, address, &mut trail);
        let mut steps: Vec<Step> = trail.steps();
        let mut wanted = delivery.accepted();
        let listed = relay_step(host, address, &delivery);
        if let Some((accepted, step)) = &listed {
            steps.push(step.clone());
            wanted = *accepted;
        }
        let onward = Onward { host, homes: self.homes };
        let ways = onward.of(address, &steps, delivery.verdict);
        let lost = ways.fault();
        let Ways { targets, directories, mistyped, .. } = ways;
        let last = steps.len().saturating_sub(1);
        let with_targets = |(number, step)| (step, if number == last { targets.clone() } else { Vec::new() });
        let mut steps: Vec<(Step, Vec<Target>)> = steps.into_iter().enumerate().map(with_targets).collect();
        let decided = steps.last().map(|(step, _)| step.text.clone()).unwrap_or_default();
        let domain = split_address(address).map(|(_, domain)| lower(domain)).unwrap_or_default();
        let not_compiled = Compiler::Newmrh.not_yet_takes(host, &domain);
        let is_let_in = !address.contains(&b'@') || host.control.accepts(&domain) && not_compiled.is_none();
        let state = if self.holds.has(&domain) { State::Held } else { State::of(&delivery) };
        let state_reason = self.state_reason(&domain, &delivery);
        let mut table = None;
        let answer = self.published.as_ref().ok().map(|published| published.lookup(address).accepted());
        let cannot_say = answer.filter(|answer| *answer != wanted).and_then(|answer| self.cannot_say(address, answer));
        if !is_let_in {
            let (file, why) = match &not_compiled {
                Some(_) => ("morercpthosts", "is not compiled yet"),
                None => ("rcpthosts", "is not listed"),
            };
            let text = format!("{} {why}: qmail-smtpd refuses strangers' mail for it", show_domain(&domain));
            steps.push((Step { path: Some(host.control_path(file)), line: None, text }, Vec::new()));
        } else {
            table = Some(match self.published {
                Ok(published) => {
                    let compared = published.compared(address, wanted, &delivery);
                    match compared.split_once(": but should be").filter(|_| cannot_say.is_some()) {
                        Some((answer, _)) => format!("{answer}: the table cannot say it more exactly"),
                        None => compared,
                    }
                }
                Err(error) if error.is_missing() => "not published yet".to_owned(),
                Err(error) => error.to_string(),
            });
        }
        let accepted = match answer {
            _ if delivery.verdict == Verdict::Unknown => Answer::Unknown,
            _ if !is_let_in => Answer::No,
            None => Answer::Unknown,
            Some(true) => Answer::Yes,
            Some(false) => Answer::No,
        };
        let relayed = delivery.verdict == Verdict::Remote;
        let reason = match (accepted, answer) {
            (Answer::Unknown, _) if delivery.verdict == Verdict::Unknown => {
                format!("this process may not read what decides: {decided}")
            }
            (Answer::Unknown, _) => match self.published {
                Err(error) if !error.is_missing() => error.to_string(),
                _ => "the recipient table is not published yet".to_owned(),
            },
            (Answer::No, _) if not_compiled.is_some() => not_compiled.unwrap_or_default(),
            (Answer::No, _) if !is_let_in => {
                let ours = if relayed { "not our domain: " } else { "" };
                format!("{ours}{}", hints::not_listed(address, &domain))
            }
            (_, Some(answer)) if answer != wanted && address.starts_with(b"@") => {
                format!("no name before the @; qmail-updater domains {} tells of the domain", Shown(&domain))
            }
            (_, Some(answer)) if answer != wanted => match state {
                _ if !answer && self.published.as_ref().is_ok_and(|published| published.is_damaged) => {
                    "the published table is damaged, so it refuses this address; tell the administrator".to_owned()
                }
                // A new name has no entry to hold.
                State::Held if answer => "the published entry is held by the loss guard".to_owned(),
                State::Kept => "the published answer is kept, because its source cannot be read".to_owned(),
                _ if cannot_say.is_some() => cannot_say.unwrap_or_default(),
                _ => "the published table is out of date; rebuild --dry-run shows what changes".to_owned(),
            },
            (Answer::No, _) if relayed && host.control.is_unnamed(&domain) => format!("control/rcpthosts is {decided}"),
            (Answer::Yes, _) if relayed && listed.is_some() => format!("relayed: {decided}"),
            (Answer::Yes, _) if relayed => "relayed: any name is accepted for another host".to_owned(),
            (Answer::No, _) if relayed => "relayed, but control/validrcptto.d refuses it".to_owned(),
            (Answer::Yes, _) if delivery.verdict == Verdict::Defer => match state {
                State::Kept if delivery.is_undeclared(host) => {
                    "as published before, until the line of validrcptto.programs is corrected".to_owned()
                }
                State::Kept => format!("as published before{UNTIL_READ}"),
                _ => format!("qmail keeps the mail and tries again: {decided}"),
            },
            _ => match hints::meant(address).filter(|_| accepted == Answer::No) {
                Some(meant) => format!("{decided}; {}", hints::question(&meant)),
                None => decided,
            },
        };
        let reached_by =
            if self.reads_all { forwards::that_reach(self.host, self.homes, address) } else { Reaching::default() };
        Explained {
            address: address.to_vec(),
            accepted,
            is_let_in,
            reason,
            delivery,
            steps,
            directories,
            mistyped,
            lost,
            state,
            state_reason,
            table,
            reached_by,
        }
    }

    /// Why the published table is right, although its answer about an address is not that of the configuration: it has no entry
    /// that says it more exactly (docs/explanation/limits.md). In words.
    fn cannot_say(&self, address: &[u8], answer: bool) -> Option<String> {
        let (host, (local, domain)) = (self.host, split_address(address)?);
        let domain = lower(domain);
        if !answer {
            return (!host.control.is_named(&domain)).then(|| {
                let domain = show_domain(&domain);
                format!("rcpthosts lists {domain} only by a line that begins with a dot, and the table has no entries for such lines")
            });
        }
        let key = self.published.as_ref().ok()?.lookup(address).key?;
        let is_wider = local.is_empty() || key != lower(address);
        let stands = stands_for(&key, host.layout.break_byte);
        let is_right = is_wider && deliver(host, self.homes, &stands, &mut Trail::unkept()).accepted();
        is_right.then(|| "an entry for many names accepts it, too, but qmail does not deliver it".to_owned())
    }

    /// What holds or keeps published entries of a domain, or opens it, in words.
    fn state_reason(&self, domain: &[u8], delivery: &Delivery) -> Option<String> {
        match (self.holds.words(domain), State::of(delivery), &delivery.doubt, &delivery.open) {
            (Some(held), ..) => Some(held),
            (_, State::Kept, Some(doubt), _) => {
                let path = self.host.layout.root.path(&doubt.home);
                let why = match delivery.is_undeclared(self.host) {
                    true => "until its line is corrected",
                    false => "because its source cannot be read",
                };
                Some(format!("kept: what is published stays, {why} ({}: {})", show_path(&path), doubt.cause))
            }
            (_, State::Open, _, Some(open)) => Some(format!(
                "open: every name that {} gets is accepted, because its users are not known",
                Shown(&open.program)
            )),
            _ => None,
        }
    }
}

/// Prints whether each address is accepted, and why, step by step. Whether all are accepted is the answer.
///
/// # Errors
/// What stops a rebuild; a table that is not there; what this process may not read; a standard output that is full.
pub fn explain(settings: &Settings, screen: &Screen, addresses: &[std::ffi::OsString]) -> Result<bool, Error> {
    let mut notes = Vec::new();
    let host = Arc::new(read_host(settings, &mut notes)?);
    say_seen(notes);
    if let Form::Terminal(_) = screen.form {
        report::say_all(&behind(&host, &hold::held_before(settings).unwrap_or_default()));
    }
    say_settings(settings, screen);
    let sources = Sources::read(settings, &host)?;
    let explainer = sources.explainer(settings, &host, screen.form != Form::Pipe);
    let Sources { homes, published, .. } = &sources;
    let explain_all = || {
        let mut found: Vec<(Answer, bool)> = Vec::new();
        let mut as_json = Vec::new();
        for (number, address) in addresses.iter().enumerate() {
            let explained = explainer.explain(address.as_bytes());
            found.push((explained.accepted, explained.delivery.verdict == Verdict::Unknown));
            if !matches!(screen.form, Form::Terminal(_)) {
                explained.say_meant(&explainer);
            }
            match screen.form {
                Form::Json => as_json.push(explained.as_json(&explainer)),
                form => {
                    let gap = if number > 0 { "\n" } else { "" };
                    let text = match form {
                        Form::Terminal(width) => explained.for_terminal(&explainer, width),
                        _ => explained.for_pipe(&explainer),
                    };
                    screen.print(&format!("{gap}{text}"))?;
                }
            }
        }
        if screen.form == Form::Json {
            let all = json!({ "version": VERSION, "addresses": as_json });
            screen.print(&format!("{all:#}\n"))?;
        }
        Ok::<_, Error>(found)
    };
    let (result, unconfined) = confine::within(&host.layout.root, &confine::directories(&host)?, explain_all)?;
    report::say_all(unconfined.as_slice());
    let found: Vec<(Answer, bool)> = result?;
    let is_unknown = found.iter().any(|(_, is_unknown)| *is_unknown) || published.as_ref().is_err_and(Error::is_denied);
    let mut denied = if is_unknown { homes.denied() } else { Denied::default() };
    let lists = host.control.unusable().filter(|list| is_unknown && list.cause.denied);
    denied.extend(lists.map(|list| host.layout.root.path(&list.path)));
    let is_closed = published.as_ref().is_err_and(Error::is_denied);
    denied.extend(is_closed.then(|| settings.layout.root.path(&settings.validrcptto)));
    denied.nothing_closed("what depends on it is unknown")?;
    match sources.published {
        Err(error) if found.iter().any(|(accepted, _)| *accepted == Answer::Unknown) => Err(error),
        _ => Ok(found.iter().all(|(accepted, _)| *accepted == Answer::Yes)),
    }
}

/// What becomes of mail to addresses that are no mailboxes, each in a sentence. Of what this process may not read, that
/// is said.
///
/// # Errors
/// What stops a rebuild.
pub(crate) fn in_a_sentence(settings: &Settings, host: &Arc<Host>, addresses: &[&[u8]]) -> Result<Vec<String>, Error> {
    if addresses.is_empty() {
        return Ok(Vec::new());
    }
    let sources = Sources::read(settings, host)?;
    let explainer = sources.explainer(settings, host, false);
    let explain = || addresses.iter().map(|address| explainer.explain(address).sentence(&explainer)).collect();
    // The note was said when the mailboxes were looked for.
    confine::within(&host.layout.root, &confine::directories(host)?, explain).map(|(found, _)| found)
}

impl Explained {
    /// The reason for people, who may have misspelled the address; or the configuration of its domain is the fault. What
    /// becomes of the mail stands below it.
    fn reason(&self, explainer: &Explainer<'_>) -> String {
        let reason = self.reason.strip_suffix(UNTIL_READ).unwrap_or(&self.reason);
        match self.beside(explainer) {
            Some(beside) => format!("{reason}; {beside}"),
            None => reason.to_owned(),
        }
    }

    /// What to say beside the reason.
    fn beside(&self, explainer: &Explainer<'_>) -> Option<String> {
        let lost = || self.lost.map(str::to_owned);
        let never_found = || {
            let found = hints::never_found_by(explainer.host, explainer.homes, &self.address);
            found.filter(|_| self.delivery.taker != Taker::Mailbox).map(|found| found + ": tell the administrator")
        };
        self.fault(explainer)
            .or_else(lost)
            .or_else(never_found)
            .or_else(|| self.near(explainer).map(|near| hints::question(&near)))
    }

    /// What is wrong with its whole domain.
    fn fault(&self, explainer: &Explainer<'_>) -> Option<String> {
        let way = (&self.delivery, self.steps.last().map(|(step, _)| step));
        faults::of_domain(explainer.host, explainer.homes, &self.address, way)
    }

    /// The address that is nearest in spelling, where no such domain or name is known.
    fn near(&self, explainer: &Explainer<'_>) -> Option<Vec<u8>> {
        if self.is_let_in {
            self.near_mailbox(explainer)
        } else {
            hints::of_nearest(&self.address, explainer.host.control.listed())
        }
    }

    /// Tells on standard error who reads no reason which address may be meant.
    fn say_meant(&self, explainer: &Explainer<'_>) {
        let pasted = hints::meant(&self.address).filter(|_| self.accepted == Answer::No);
        let near = || if self.fault(explainer).is_none() { self.near(explainer) } else { None };
        if let Some(meant) = pasted.or_else(near) {
            report::say(Level::Status, &format!("{}: {}", Shown(&self.address), hints::question(&meant)));
        }
    }

    /// The mailbox whose name may be meant by one that no file answers for by itself.
    fn near_mailbox(&self, explainer: &Explainer<'_>) -> Option<Vec<u8>> {
        let is_refused = self.accepted == Answer::No && self.delivery.verdict == Verdict::Bounce;
        let last = self.steps.last()?.0.path.as_deref()?;
        let is_unknown =
            is_refused && last.as_os_str().as_bytes().ends_with(DEFAULT) && hints::meant(&self.address).is_none();
        is_unknown.then(|| hints::nearest_mailbox(explainer.host, explainer.homes, &self.address))?
    }

    /// Whether its mail is accepted, and what takes it.
    fn sentence(&self, explainer: &Explainer<'_>) -> String {
        let (reason, delivery) = (self.reason(explainer), &self.delivery);
        let taker =
            if delivery.verdict == Verdict::Deliver && !self.is_dropped() { self.taker(explainer.host) } else { None };
        match (self.accepted, taker) {
            (Answer::Yes, Some(taker)) => {
                let beside = self.beside(explainer).map(|beside| format!("; {beside}")).unwrap_or_default();
                format!("its mail is accepted: {taker}{beside}")
            }
            (Answer::Yes, None) => {
                let now = self.now(explainer).map(|(now, _)| format!(", but {now}")).unwrap_or_default();
                format!("its mail is accepted{now}: {reason}")
            }
            (Answer::No, Some(taker)) => format!("its mail is refused: {reason}; by the configuration, {taker}"),
            (Answer::No, None) => format!("its mail is refused: {reason}"),
            (Answer::Unknown, Some(taker)) => {
                format!("whether its mail is accepted is unknown: {reason}; by the configuration, {taker}")
            }
            (Answer::Unknown, None) => format!("whether its mail is accepted is unknown: {reason}"),
        }
    }

    /// What becomes of mail that is accepted, but that the configuration gives to nobody: for a sentence, and with what follows.
    fn now(&self, explainer: &Explainer<'_>) -> Option<(&'static str, &'static str)> {
        if self.is_dropped() {
            return Some(("is thrown away", "thrown away: the file takes it, and no line of it delivers"));
        }
        let domain = lower(split_address(&self.address).map(|(_, domain)| domain).unwrap_or_default());
        let is_lost = self.delivery.verdict == Verdict::Bounce && self.accepted == Answer::Yes;
        match self.steps.last() {
            _ if !is_lost || faults::still_taken(explainer.host, &domain, &self.delivery).is_some() => None,
            Some((last, _)) if last.text == NO_LOCAL_PART => {
                Some(("is thrown away", "thrown away: qmail drops mail for an address with nothing before its @"))
            }
            Some((last, _)) if last.text == SWALLOWED => {
                Some(("is thrown away now", "thrown away now: the catch-all delete tells nobody"))
            }
            _ => Some(("bounces now", "bounces now: qmail returns the message to its sender")),
        }
    }

    /// Whether a file takes its mail, and delivers it to nobody: it has only comments, or ends before each other line.
    fn is_dropped(&self) -> bool {
        let is_of = |step: &Step, last: &Step| step.path == last.path && step.line.is_some();
        let Some(((last, targets), before)) = self.steps.split_last() else { return false };
        let is_alone = !before.iter().any(|(step, _)| is_of(step, last)) && self.directories.is_empty();
        let is_idle = self.delivery.open.is_none() && DROPPED.contains(&&last.text[..]);
        self.accepted == Answer::Yes && is_idle && is_alone && targets.is_empty() && self.mistyped.is_empty()
    }

    /// What takes its mail, when it is delivered.
    fn taker(&self, host: &Host) -> Option<String> {
        let (step, targets) =
            self.steps.iter().rev().find(|(step, _)| step.path.as_ref() != Some(&host.control_path("rcpthosts")))?;
        let Route::Local(assigned) = route(host, &self.address, &mut Trail::unkept()) else { return None };
        let is_dot_qmail =
            step.path.as_deref().and_then(Path::file_name).is_some_and(|name| name.as_bytes().starts_with(b".qmail"));
        let taker = match (&self.delivery.open, self.delivery.taker) {
            (Some(open), _) => format!(
                "{}: line {}: the program {} takes it; whether it has no such user is not known",
                show_path(&open.path),
                open.line,
                Shown(&open.program)
            ),
            (None, Taker::Mailbox) => {
                format!("the mailbox {} takes it", Shown(&join_address(&assigned.ext, assigned.user)))
            }
            (None, Taker::Extension) => "the mailbox before the first - of its name takes it".to_owned(),
            (None, Taker::Alias) => format!("an alias of the user database takes it ({step})"),
            (None, Taker::CatchAll) if is_dot_qmail && !ends_with_default(step) => {
                format!("its .qmail file sends it on ({step})")
            }
            (None, Taker::CatchAll) => format!("the catch-all of its domain takes it ({step})"),
            (None, Taker::Other) if is_dot_qmail && !targets.is_empty() => format!("an alias takes it ({step})"),
            (None, Taker::Other) if is_dot_qmail => format!("a .qmail file takes it ({step})"),
            (None, Taker::Other) => format!("the user {} takes it ({step})", Shown(assigned.user)),
        };
        let targets = targets.iter().map(Target::words).chain(self.mistyped.iter().cloned());
        let targets: Vec<String> = self.directories.iter().cloned().chain(targets).collect();
        let forwards =
            if targets.is_empty() { String::new() } else { format!(", and it goes to {}", targets.join(", ")) };
        Some(taker + &forwards)
    }

    fn table_path(explainer: &Explainer<'_>) -> std::path::PathBuf {
        explainer.settings.layout.root.path(&explainer.settings.validrcptto)
    }

    /// The lines of version 0.1.0, with new fields at their ends.
    fn for_pipe(&self, explainer: &Explainer<'_>) -> String {
        let mut text = format!("{}\n", Shown(&self.address));
        for (step, targets) in &self.steps {
            let deciding = targets.iter().filter(|target| !target.is_beside);
            let targets: String = deciding.map(|target| format!("\t{}", target.address)).collect();
            text.push_str(&format!("  {step}{targets}\n"));
        }
        if let Some(table) = &self.table {
            // The table's words name what is kept.
            let words = self.state_reason.as_ref().filter(|_| self.state != State::Kept);
            let state = words.map(|words| format!("\t{words}")).unwrap_or_default();
            // An error names the file itself.
            match explainer.published {
                Err(error) if !error.is_missing() => text.push_str(&format!("  {table}{state}\n")),
                _ => text.push_str(&format!("  {}: {table}{state}\n", show_path(&Self::table_path(explainer)))),
            }
        }
        text.push_str(&format!("{}\n", self.delivery.verdict));
        text
    }

    fn for_terminal(&self, explainer: &Explainer<'_>, width: usize) -> String {
        let (word, tone) = match self.accepted {
            Answer::Yes => ("ACCEPTED", Tone::Good),
            Answer::No => ("REFUSED", Tone::Bad),
            Answer::Unknown => ("UNKNOWN", Tone::Caution),
        };
        let address = Shown(&self.address).to_string();
        let head = format!("{address}  {}", tone.paint(word));
        let length = address.len() + 2 + word.len();
        let reason = self.reason(explainer);
        let mut text = if length + 2 + reason.len() <= width {
            format!("{head}  {reason}\n")
        } else {
            format!("{head}\n{}", wrapped(&reason, width, 2, 2))
        };
        let last = self.steps.last().map(|(step, _)| step);
        let may_bounce = overview::may_bounce(explainer.host, explainer.homes, &self.delivery, last);
        let mut fact = |name: &str, value: String| {
            text.push_str(&wrapped(&format!("{name:<16}{value}"), width, 2, 18));
        };
        // What is refused never comes to a delivery.
        let is_deferred = self.delivery.verdict == Verdict::Defer && self.accepted != Answer::No;
        if is_deferred && self.delivery.is_undeclared(explainer.host) {
            fact(
                "delivery",
                "not known: the program decides, and its line in validrcptto.programs is wrong".to_owned(),
            );
        } else if is_deferred && may_bounce {
            fact("delivery", "not known: qmail keeps the message, or vpopmail returns it to its sender".to_owned());
        } else if is_deferred {
            fact("delivery", "deferred: qmail keeps the message and tries again".to_owned());
        } else if let Some((_, now)) = self.now(explainer) {
            fact("delivery", now.to_owned());
        }
        let (directories, addresses): (Vec<&Target>, Vec<&Target>) =
            self.steps.iter().flat_map(|(_, targets)| targets).partition(|target| target.is_directory);
        for directory in directories.into_iter().map(Target::words).chain(self.directories.iter().cloned()) {
            fact("delivered to", directory);
        }
        let targets: Vec<String> =
            addresses.into_iter().map(Target::words).chain(self.mistyped.iter().cloned()).collect();
        if !targets.is_empty() {
            fact("forwards to", targets.join(", "));
        }
        let Reaching { by, by_maildir } = &self.reached_by;
        let by: Vec<&(String, &str)> = by.iter().filter(|(from, _)| !by_maildir.contains(from)).collect();
        let reached_by = by.iter().map(|(from, how)| format!("{from} ({how})"));
        let reached_by = by_maildir.iter().map(|from| format!("{from} (maildir)")).chain(reached_by);
        let mut first: Vec<String> = reached_by.take(MAX_REACHING).collect();
        if !first.is_empty() {
            if let more @ 1.. = (by.len() + by_maildir.len()).saturating_sub(MAX_REACHING) {
                first.push(format!("and {}", count(more, "other")));
            }
            fact("also reached by", first.join(", "));
        }
        let domain = split_address(&self.address).map(|(_, domain)| lower(domain)).unwrap_or_default();
        if let Some(words) = explainer.holds.for_people(&domain).or_else(|| self.state_reason.clone()) {
            fact("state", words);
        }
        text.push('\n');
        let mut steps: Vec<(String, String)> =
            self.steps.iter().map(|(step, _)| (step.text.clone(), explainer.place(&self.address, step))).collect();
        let is_faulty = self.fault(explainer).is_some();
        steps.extend(self.table.as_ref().map(|table| {
            // What the configuration says is what should be, unless it is at fault.
            let agrees = table.strip_suffix(AS_IT_SHOULD_BE).filter(|_| is_faulty);
            let table = agrees.map_or_else(|| table.clone(), |answer| format!("{answer}as the configuration says"));
            (format!("the published table: {table}"), explainer.short(&self.address, &Self::table_path(explainer)))
        }));
        for (number, (step, place)) in (1..).zip(&steps) {
            let whole = format!("{number:>2}  {step}");
            let fits = whole.len() + 4 + place.len() <= width;
            if fits {
                let gap = " ".repeat(width - 2 - whole.len() - place.len());
                text.push_str(&format!("  {whole}{gap}{place}\n"));
            } else {
                text.push_str(&wrapped(&whole, width, 2, 6));
                text.push_str(&format!("      {place}\n"));
            }
        }
        text
    }

    fn as_json(&self, explainer: &Explainer<'_>) -> Value {
        let addresses = |targets: &[Target]| targets.iter().map(|to| to.address.clone()).collect::<Vec<_>>();
        let lost = |targets: &[Target]| {
            let why = |to: &Target| Some(json!({ "address": to.address, "text": to.lost.as_ref()? }));
            targets.iter().filter_map(why).collect::<Vec<_>>()
        };
        let steps = self.steps.iter().map(|(step, targets)| {
            json!({
                "file": step.path.as_ref().map(|path| show_path(path).to_string()),
                "line": step.line,
                "text": step.text,
                "forwards_to": addresses(targets),
            })
        });
        let answer = explainer.published.as_ref().ok().map(|published| published.lookup(&self.address));
        json!({
            "address": Shown(&self.address).to_string(),
            "verdict": match self.accepted {
                Answer::Yes => "accepted",
                Answer::No => "refused",
                Answer::Unknown => "unknown",
            },
            "reason": self.reason,
            "delivery": self.delivery.verdict.to_string(),
            "state": self.state.word(),
            "state_reason": self.state_reason,
            "table": {
                "file": show_path(&Self::table_path(explainer)).to_string(),
                "accepted": answer.as_ref().map(|answer| answer.accepted()),
                "key": answer.and_then(|answer| answer.key).map(|key| Shown(&key).to_string()),
                "text": self.table,
            },
            "steps": steps.collect::<Vec<_>>(),
            "forwards_to": self.steps.iter().flat_map(|(_, targets)| addresses(targets)).collect::<Vec<_>>(),
            "lost_forwards": self.steps.iter().flat_map(|(_, targets)| lost(targets)).collect::<Vec<_>>(),
            "delivered_to": self.directories,
            "also_reached_by": self.reached_by.by.iter().map(|(from, how)| json!({ "address": from, "by": how }))
                .collect::<Vec<_>>(),
            "also_reached_by_maildir": self.reached_by.by_maildir,
        })
    }
}

/// Whether a step stands in a file for many names.
fn ends_with_default(step: &Step) -> bool {
    step.path.as_deref().is_some_and(|path| path.as_os_str().as_bytes().ends_with(DEFAULT))
}

impl Explainer<'_> {
    /// Where a step comes from, as file:line.
    fn place(&self, address: &[u8], step: &Step) -> String {
        let path = step.path.as_deref().map(|path| self.short(address, path)).unwrap_or_default();
        step.line.map_or_else(|| path.clone(), |line| format!("{path}:{line}"))
    }

    /// A path without the directory of qmail, or without the home directory, which a step names before.
    fn short(&self, address: &[u8], path: &Path) -> String {
        let layout = &self.host.layout;
        let home = match route(self.host, address, &mut Trail::unkept()) {
            Route::Local(assigned) => Some(layout.root.path(assigned.home)),
            Route::Decided(_) | Route::Unlisted => None,
        };
        let within = |top: &Path| path.strip_prefix(top).ok().filter(|rest| !rest.as_os_str().is_empty());
        let short = home.as_deref().and_then(within).or_else(|| within(&layout.root.path(&layout.qmail)));
        show_path(short.unwrap_or(path)).to_string()
    }
}
