//! Which domains of a rebuild the guard holds, and what is published of them instead. What is held is remembered in
//! STATE/holds.json: the published tables cannot tell, because they get the new entries too.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::cdb;
use crate::error::Error;
use crate::guard::{Loss, Losses, Recipients, answer, keep_both};
use crate::host::Host;
use crate::logins::{Login, Policy};
use crate::publish;
use crate::recipients::Recipient;
use crate::report::Note;
use crate::settings::Settings;
use crate::smtpd;
use crate::text::{Shown, join_address, split_address};

/// How many of the held domains an alert names: those that lose most.
const MAX_NAMED: usize = 5;
/// What stands for the logins of system accounts, which have no domain.
const SYSTEM_ACCOUNTS: &[u8] = b"";

/// A domain that keeps its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its name; empty for the logins of system accounts.
    pub domain: Vec<u8>,
    /// What it would lose of its recipients.
    pub recipients: Loss,
    /// What it would lose of its logins.
    pub logins: Loss,
    /// Since when it would lose just these.
    hold: Hold,
}

/// What is remembered of a held domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hold {
    /// Since when it would lose the same entries, in seconds since the machine started.
    since: u64,
    /// Which entries these are.
    picture: u64,
    /// Whether its recipients are kept.
    recipients: bool,
    /// Whether its logins are kept.
    logins: bool,
}

/// How long domains are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Nothing is held.
    Force,
    /// Until they have lost the same entries, and nothing more, for so long.
    Until(Duration),
    /// For ever.
    Ever,
}

/// Seconds since the machine started, a suspended one included: no clock that anybody sets.
fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |time| time.tv_sec());
    u64::try_from(time).unwrap_or(0)
}

fn file(settings: &Settings) -> Vec<u8> {
    [&settings.state[..], b"/holds.json"].concat()
}

/// The domains that are held, as the last rebuild left them; none when nobody knows.
fn remembered(settings: &Settings) -> BTreeMap<Vec<u8>, Hold> {
    let read = || -> Option<BTreeMap<Vec<u8>, Hold>> {
        let holds: Vec<Value> = serde_json::from_slice(&settings.layout.root.read(&file(settings)).ok()??).ok()?;
        let hold = |value: &Value| {
            let domain: Vec<u8> = serde_json::from_value(value["domain"].clone()).ok()?;
            // After a new start of the machine, its time begins again.
            let since = value["since"].as_u64()?.min(now());
            let picture = value["picture"].as_u64()?;
            let (recipients, logins) = (value["recipients"].as_bool()?, value["logins"].as_bool()?);
            Some((domain, Hold { since, picture, recipients, logins }))
        };
        holds.iter().map(hold).collect()
    };
    read().unwrap_or_default()
}

/// Whether any domain is held.
pub fn is_anything_held(settings: &Settings) -> bool {
    !remembered(settings).is_empty()
}

/// Remembers what is held.
///
/// # Errors
/// Those of the file system.
pub fn remember(settings: &Settings, held: &[Held]) -> Result<(), Error> {
    if held.is_empty() && !is_anything_held(settings) {
        return Ok(());
    }
    let hold = |held: &Held| {
        let Hold { since, picture, recipients, logins } = held.hold;
        json!({ "domain": held.domain, "since": since, "picture": picture, "recipients": recipients, "logins": logins })
    };
    let holds = Value::from(held.iter().map(hold).collect::<Vec<_>>());
    publish::replace(&settings.layout.root, &file(settings), 0o640, format!("{holds:#}\n").as_bytes())
}

/// The domain whose users log in by their bare names, by what is published: the one of which most bare names have the
/// data.
pub fn published_default(cdb: cdb::Reader<'_>) -> Option<Vec<u8>> {
    let bare: HashMap<&[u8], &[u8]> =
        cdb.records().filter(|login| !login.key.contains(&b'@')).map(|login| (login.key, login.data)).collect();
    let mut domains: BTreeMap<&[u8], usize> = BTreeMap::new();
    for login in cdb.records() {
        if let Some((name, domain)) = split_address(login.key)
            && bare.get(name) == Some(&login.data)
        {
            *domains.entry(domain).or_default() += 1;
        }
    }
    domains.into_iter().max_by_key(|(_, count)| *count).map(|(domain, _)| domain.to_vec())
}

impl Held {
    /// How many entries it would lose.
    pub fn lost(&self) -> u64 {
        self.recipients.lost + self.logins.lost
    }

    /// In how long it is let go, when that comes after so much patience.
    pub fn let_go_in(&self, patience: Duration) -> Duration {
        patience.saturating_sub(Duration::from_secs(now().saturating_sub(self.hold.since)))
    }

    /// The domain, as people read it.
    pub fn name(&self) -> String {
        match &self.domain[..] {
            SYSTEM_ACCOUNTS => "system accounts".to_owned(),
            domain => Shown(domain).to_string(),
        }
    }
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name(), losses(self.recipients, self.logins))
    }
}

/// What is lost, in words.
fn losses(recipients: Loss, logins: Loss) -> String {
    let losses = [("recipients", recipients), ("logins", logins)].into_iter().filter(|(_, loss)| loss.lost > 0);
    let losses: Vec<String> =
        losses.map(|(what, loss)| format!("{} of {} {what}", loss.lost, loss.published)).collect();
    losses.join(" and ")
}

/// What a rebuild would take away, and by what that is judged.
pub struct Scales<'a> {
    settings: &'a Settings,
    host: &'a Host,
    policy: &'a Policy<'a>,
    recipients: Losses,
    logins: Losses,
}

/// Both tables in memory; `None` for one that does not exist, is damaged, or does not change.
#[derive(Debug, Default)]
pub struct Images {
    /// validrcptto.cdb.
    pub recipients: Option<Vec<u8>>,
    /// auth.cdb.
    pub logins: Option<Vec<u8>>,
}

impl Images {
    fn recipients(&self) -> Option<cdb::Reader<'_>> {
        cdb::Reader::new(self.recipients.as_deref()?).ok()
    }

    fn logins(&self) -> Option<cdb::Reader<'_>> {
        cdb::Reader::new(self.logins.as_deref()?).ok()
    }
}

impl<'a> Scales<'a> {
    /// Nothing is lost yet.
    pub fn new(settings: &'a Settings, host: &'a Host, policy: &'a Policy<'a>) -> Scales<'a> {
        Scales { settings, host, policy, recipients: Losses::default(), logins: Losses::default() }
    }

    /// Weighs new tables against the published ones.
    pub fn weigh(&mut self, published: &Images, new: &Images) {
        if let (Some(published), Some(new)) = (published.recipients(), new.recipients()) {
            self.weigh_recipients(published, &new);
        }
        if let (Some(published), Some(new)) = (published.logins(), new.logins()) {
            self.weigh_logins(published, &|key| new.find(key).is_some());
        }
    }

    /// Weighs a new table of recipients against the published one. What belongs to no domain that is still assigned is
    /// gone on purpose; names without a domain go with those of envnoathost.
    pub fn weigh_recipients(&mut self, published: cdb::Reader<'_>, new: &dyn Recipients) {
        let accepted = published.records().filter(|record| smtpd::accepts(record.data));
        for record in accepted {
            let Some((local, domain)) = split_address(record.key).filter(|(_, domain)| self.host.is_assigned(domain))
            else {
                continue;
            };
            // What is published in several ways counts once.
            let dotted: Vec<u8> = local.iter().map(|b| if *b == b':' { b'.' } else { *b }).collect();
            let again = local.contains(&b':') && published.find(&join_address(&dotted, domain)).is_some();
            if again || self.is_virtual_too(published, local, domain) {
                continue;
            }
            let lost = !answer(new, record.key, self.settings.layout.break_byte);
            self.recipients.count(domain, record.key, lost);
        }
    }

    /// Whether an address of a local domain is a virtual domain's, with what qmail-send puts before it, that is published
    /// as itself.
    fn is_virtual_too(&self, published: cdb::Reader<'_>, local: &[u8], domain: &[u8]) -> bool {
        let control = &self.host.control;
        if !control.locals.contains_key(domain) {
            return false;
        }
        let dashes = (0..local.len()).filter(|at| local[*at] == b'-');
        dashes.into_iter().any(|at| {
            let (prepend, rest) = (&local[..at], &local[at + 1..]);
            published.find(&join_address(rest, prepend)).is_some()
        })
    }

    /// Weighs a new table of logins, which holds these, against the published one.
    pub fn weigh_logins(&mut self, published: cdb::Reader<'_>, is_new: &dyn Fn(&[u8]) -> bool) {
        let default = published_default(published);
        for record in published.records() {
            if let Some(domain) = self.domain_of_login(published, default.as_deref(), record) {
                let lost = !is_new(record.key) && !self.kept(record).is_empty();
                self.logins.count(domain, record.key, lost);
            }
        }
    }

    /// The domain under which a published login is counted: one with an assignment; or the system accounts. The bare names
    /// of the default domain, the published one, go with its addresses.
    fn domain_of_login<'k>(
        &self,
        published: cdb::Reader<'_>,
        default: Option<&[u8]>,
        record: cdb::Record<'k>,
    ) -> Option<&'k [u8]> {
        if let Some((_, domain)) = split_address(record.key) {
            return Some(domain).filter(|domain| self.host.assignments.vpopmail_domain(domain).is_some());
        }
        let mailbox = default.and_then(|default| published.find(&join_address(record.key, default)));
        Some(SYSTEM_ACCOUNTS).filter(|_| self.settings.auth_system_users && mailbox != Some(record.data))
    }

    /// The published login as it would be published now; none when it is gone on purpose: it has expired, or its account
    /// is still there and has no login any more.
    fn kept(&self, record: cdb::Record<'_>) -> Vec<Login> {
        match split_address(record.key) {
            Some((name, domain)) => self.policy.kept(name, domain, record.data),
            None if self.host.accounts.accepted.contains_key(record.key) => Vec::new(),
            None => self.policy.kept_system_user(record.key, record.data).into_iter().collect(),
        }
    }

    /// The domains that lose too much, those that lose most first, and those that are held already and would still lose
    /// what they are held for; without those that were held long enough.
    pub fn held(&self, patience: Patience) -> Vec<Held> {
        if patience == Patience::Force || self.settings.max_loss >= 100 {
            return Vec::new();
        }
        let (share, now, before) = (self.settings.max_loss, now(), remembered(self.settings));
        let loses = |domain: &Vec<u8>| self.recipients.of(domain).lost + self.logins.of(domain).lost > 0;
        let domains: BTreeSet<Vec<u8>> = self
            .recipients
            .too_much(share)
            .into_iter()
            .chain(self.logins.too_much(share))
            .chain(before.keys().filter(|domain| loses(domain)).cloned())
            .collect();
        let held = |domain: Vec<u8>| {
            let (recipients, logins) = (self.recipients.of(&domain), self.logins.of(&domain));
            let picture = recipients.picture.wrapping_add(logins.picture.rotate_left(1));
            let before = before.get(&domain);
            let same = before.filter(|before| before.picture == picture);
            let hold = Hold {
                since: same.map_or(now, |same| same.since),
                picture,
                recipients: recipients.is_large(share) || before.is_some_and(|before| before.recipients),
                logins: logins.is_large(share) || before.is_some_and(|before| before.logins),
            };
            Held { domain, recipients, logins, hold }
        };
        let is_over = |held: &Held| match patience {
            Patience::Until(patience) => {
                before.contains_key(&held.domain) && now.saturating_sub(held.hold.since) >= patience.as_secs()
            }
            Patience::Force | Patience::Ever => false,
        };
        let mut held: Vec<Held> = domains.into_iter().map(held).filter(|held| !is_over(held)).collect();
        held.sort_by_key(|held| std::cmp::Reverse(held.lost()));
        held
    }

    /// What somebody has to know about the held domains; `then` says how they are published all the same.
    pub fn alert(&self, held: &[Held], then: &str) -> Option<Note> {
        if held.is_empty() {
            return None;
        }
        let named: Vec<String> = held.iter().take(MAX_NAMED).map(ToString::to_string).collect();
        let more = match held.len().saturating_sub(MAX_NAMED) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        Some(Note::alert(format!(
            "held, because they would lose much at once: {}{more}; {} of the host would go, more than --max-loss {} allows; \
             the held keep their published entries and get their new ones; {then}",
            named.join(", "),
            losses(self.recipients.together(), self.logins.together()),
            self.settings.max_loss
        )))
    }

    /// Hands the new table to `add`, in which the held domains keep what was published of them.
    ///
    /// # Errors
    /// Those of `add`.
    pub fn keep_recipients(
        &self,
        held: &[Held],
        published: &Images,
        new: &Images,
        add: &mut dyn FnMut(Recipient) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (Some(published), Some(new)) = (published.recipients(), new.recipients()) else { return Ok(()) };
        let held = held.iter().filter(|held| held.hold.recipients);
        let held: BTreeSet<&[u8]> = held.map(|held| &held.domain[..]).collect();
        let envnoathost = &self.host.control.envnoathost[..];
        let is_held = |key: &[u8]| held.contains(split_address(key).map_or(envnoathost, |(_, domain)| domain));
        for record in new.records().filter(|record| !is_held(record.key)) {
            add(Recipient { key: record.key.to_vec(), accepted: smtpd::accepts(record.data) })?;
        }
        let keys = published.records().chain(new.records()).map(|record| record.key).filter(|key| is_held(key));
        let both = keep_both(&published, &new, keys, self.settings.layout.break_byte);
        both.into_iter().try_for_each(|(key, data)| add(Recipient { key, accepted: smtpd::accepts(data) }))
    }

    /// Hands the new table of logins to `add`, and the published logins of the held domains that it lacks.
    ///
    /// # Errors
    /// Those of `add`.
    pub fn keep_logins(
        &self,
        held: &[Held],
        published: &Images,
        new: &Images,
        add: &mut dyn FnMut(Login) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (Some(published), Some(new)) = (published.logins(), new.logins()) else { return Ok(()) };
        let held = held.iter().filter(|held| held.hold.logins);
        let held: BTreeSet<&[u8]> = held.map(|held| &held.domain[..]).collect();
        let default = published_default(published);
        for record in new.records() {
            add(Login { key: record.key.to_vec(), data: record.data.to_vec() })?;
        }
        let mut kept = BTreeSet::new();
        for record in published.records() {
            let domain = self.domain_of_login(published, default.as_deref(), record);
            let is_held = domain.is_some_and(|domain| held.contains(domain));
            for login in if is_held { self.kept(record) } else { Vec::new() } {
                if new.find(&login.key).is_none() && kept.insert(login.key.clone()) {
                    add(login)?;
                }
            }
        }
        Ok(())
    }
}
