//! Which domains of a rebuild the guard holds, and what is published of them instead: domains that would lose much, and
//! domains that would leave the host with many others. What is held is remembered in STATE/holds.json: the published tables
//! cannot tell, because they get the new entries too.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::cdb::{self, FileReader, Record};
use crate::difference::Difference;
use crate::error::{Error, show_cause};
use crate::guard::{LEAST_DOMAINS, Left, Loss, Losses, Recipients, Standing, answer, are_many, keep_both};
use crate::host::Host;
use crate::host::dot_qmail::unspelled;
use crate::logins::{Login, Policy};
use crate::publish::{self, Ready};
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
    /// Whether it is held because it would leave the host.
    leaves: bool,
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
///
/// # Errors
/// The file cannot be read now.
fn remembered(settings: &Settings) -> Result<BTreeMap<Vec<u8>, Hold>, Error> {
    let parse = |text: Vec<u8>| -> Option<BTreeMap<Vec<u8>, Hold>> {
        let holds: Vec<Value> = serde_json::from_slice(&text).ok()?;
        let hold = |value: &Value| {
            let domain: Vec<u8> = serde_json::from_value(value["domain"].clone()).ok()?;
            // After a new start of the machine, its time begins again.
            let since = value["since"].as_u64()?.min(now());
            let picture = value["picture"].as_u64()?;
            let (recipients, logins) = (value["recipients"].as_bool()?, value["logins"].as_bool()?);
            // Version 0.1.0 held none of these.
            let leaves = value["leaves"].as_bool().unwrap_or(false);
            Some((domain, Hold { since, picture, recipients, logins, leaves }))
        };
        holds.iter().map(hold).collect()
    };
    Ok(publish::read_own(&settings.layout.root, &file(settings))?.and_then(parse).unwrap_or_default())
}

/// Whether any domain is held.
///
/// # Errors
/// Nobody knows now.
pub fn is_anything_held(settings: &Settings) -> Result<bool, Error> {
    Ok(!remembered(settings)?.is_empty())
}

/// The names of the domains that the last rebuild held.
///
/// # Errors
/// Nobody knows now.
pub fn held_before(settings: &Settings) -> Result<BTreeSet<Vec<u8>>, Error> {
    Ok(remembered(settings)?.into_keys().collect())
}

/// The names of these.
pub fn names(held: &[Held]) -> BTreeSet<Vec<u8>> {
    held.iter().map(|held| held.domain.clone()).collect()
}

/// Whether anything may have to be held: something is, or so much goes that domains could leave or lose too much. An entry
/// can be lost only when its record goes, a login only when its key does; a domain leaves with at least one.
///
/// # Errors
/// Nobody knows now what is held.
pub fn may_hold(settings: &Settings, recipients: &Ready, logins: &Ready) -> Result<bool, Error> {
    let is_much = |new: &Ready, lost: fn(&Difference) -> u64| {
        new.is_new()
            && new.difference.as_ref().is_none_or(|change| !change.whole || lost(change) >= LEAST_DOMAINS as u64)
    };
    Ok(is_much(recipients, |change| change.went) || is_much(logins, Difference::gone) || is_anything_held(settings)?)
}

/// Remembers what is held.
///
/// # Errors
/// Those of the file system.
pub fn remember(settings: &Settings, held: &[Held]) -> Result<(), Error> {
    if held.is_empty() && is_anything_held(settings).is_ok_and(|held| !held) {
        return Ok(());
    }
    let hold = |held: &Held| {
        let Hold { since, picture, recipients, logins, leaves } = held.hold;
        json!({
            "domain": held.domain,
            "since": since,
            "picture": picture,
            "recipients": recipients,
            "logins": logins,
            "leaves": leaves,
        })
    };
    let holds = Value::from(held.iter().map(hold).collect::<Vec<_>>());
    publish::replace(&settings.layout.root, &file(settings), 0o640, format!("{holds:#}\n").as_bytes())
}

/// The domain whose users log in by their bare names, by what is published: the one of which most bare names have the
/// data.
///
/// # Errors
/// Those of read(2); a damaged record.
pub fn published_default(cdb: &FileReader<'_>) -> io::Result<Option<Vec<u8>>> {
    let seed = RandomState::new();
    let mut bare: HashMap<Vec<u8>, u64> = HashMap::new();
    let mut logins = cdb.records()?;
    while let Some(login) = logins.current() {
        if !login.key.contains(&b'@') {
            bare.insert(login.key.to_vec(), seed.hash_one(login.data));
        }
        logins.advance()?;
    }
    if let Some(damage) = logins.damage() {
        return Err(io::Error::other(damage));
    }
    let mut domains: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    let mut logins = cdb.records()?;
    while let Some(login) = logins.current().filter(|_| !bare.is_empty()) {
        if let Some((name, domain)) = split_address(login.key)
            && bare.get(name) == Some(&seed.hash_one(login.data))
        {
            *domains.entry(domain.to_vec()).or_default() += 1;
        }
        logins.advance()?;
    }
    Ok(domains.into_iter().max_by_key(|(_, count)| *count).map(|(domain, _)| domain))
}

impl Held {
    /// Whether it would leave the host.
    pub fn leaves(&self) -> bool {
        self.hold.leaves
    }

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
        let leaves = if self.leaves() { "leaves with " } else { "" };
        write!(f, "{} {leaves}{}", self.name(), losses(self.recipients, self.logins))
    }
}

/// What the configuration still says about a domain of the recipient table.
fn standing_of_recipients(host: &Host, domain: &[u8]) -> Standing {
    let (control, assignments) = (&host.control, &host.assignments);
    // A line of users/assign or an account takes what virtualdomains leads there.
    let is_taken = |prefix: &[u8]| {
        host.accounts.more_unlisted
            || assignments.find(prefix).is_some()
            || host.accounts.find(prefix, host.layout.break_byte).is_some()
    };
    let left = match control.prefix(domain) {
        _ if !control.accepts(domain) => Some(Left::Gone),
        None => Some(Left::Relayed).filter(|_| !control.has_list(domain)),
        Some(_) if control.locals.contains_key(domain) => None,
        Some(_) if host.is_vpopmail_like(domain) => {
            Some(Left::Gone).filter(|_| assignments.vpopmail_domain(domain).is_none())
        }
        // What only a suffix of virtualdomains leads somewhere may have had its own line.
        Some(prefix) => {
            Some(Left::Perhaps).filter(|_| !control.virtual_domains.contains_key(domain) || !is_taken(&prefix))
        }
    };
    Standing { assigned: host.is_assigned(domain), left }
}

/// Whether an address of a local domain is a virtual domain's, with what qmail-send puts before it, that is published as
/// itself.
fn is_virtual_too(host: &Host, published: &FileReader<'_>, local: &[u8], domain: &[u8]) -> bool {
    if !host.control.locals.contains_key(domain) {
        return false;
    }
    let dashes = (0..local.len()).filter(|at| local[*at] == b'-');
    dashes.into_iter().any(|at| {
        let (prepend, rest) = (&local[..at], &local[at + 1..]);
        published.find(&join_address(rest, prepend)).is_some()
    })
}

fn chunk(key: &[u8], data: &[u8]) -> cdb::Chunk {
    let mut chunk = cdb::Chunk::default();
    chunk.add(&[key], &[data]);
    chunk
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

/// A published table and what is to replace it.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// The published one, which is whole.
    pub published: FileReader<'a>,
    /// The new one.
    pub new: FileReader<'a>,
    /// How it differs, where that is known.
    pub difference: Option<&'a Difference>,
}

fn unreadable(cause: io::Error) -> Error {
    Error::Temporary(format!("unable to compare the new tables with the published ones: {}", show_cause(&cause)))
}

/// Shows all records to `visitor`.
///
/// # Errors
/// Those of read(2) and of `visitor`.
fn visit(cdb: &FileReader<'_>, visitor: &mut dyn FnMut(Record<'_>) -> Result<(), Error>) -> Result<(), Error> {
    let mut records = cdb.records().map_err(unreadable)?;
    while let Some(record) = records.current() {
        visitor(record)?;
        records.advance().map_err(unreadable)?;
    }
    Ok(())
}

impl<'a> Scales<'a> {
    /// Nothing is lost yet.
    pub fn new(settings: &'a Settings, host: &'a Host, policy: &'a Policy<'a>) -> Scales<'a> {
        Scales { settings, host, policy, recipients: Losses::default(), logins: Losses::default() }
    }

    /// Weighs new tables against the published ones; `None` for one that was not published yet, is damaged, or does not
    /// change.
    ///
    /// # Errors
    /// A table cannot be read.
    pub fn weigh(&mut self, recipients: Option<&Change<'_>>, logins: Option<&Change<'_>>) -> Result<(), Error> {
        let may_go = |change: &Change<'_>, key: &[u8]| change.difference.is_none_or(|change| change.may_have_gone(key));
        if let Some(change) = recipients {
            self.weigh_recipients(&change.published, &change.new, &|key| may_go(change, key))?;
        }
        if let Some(change) = logins {
            let lost = |key: &[u8]| may_go(change, key) && change.new.find(key).is_none();
            self.weigh_logins(&change.published, &lost)?;
        }
        Ok(())
    }

    /// Weighs the published recipients against a new table. Only what `may_go` says of a key is asked there. What belongs
    /// to no domain that is still assigned is gone on purpose, unless many domains leave together; names without a domain
    /// go with those of envnoathost.
    ///
    /// # Errors
    /// The published table cannot be read.
    pub fn weigh_recipients(
        &mut self,
        published: &FileReader<'_>,
        new: &dyn Recipients,
        may_go: &dyn Fn(&[u8]) -> bool,
    ) -> Result<(), Error> {
        let (host, break_byte) = (self.host, self.settings.layout.break_byte);
        let recipients = &mut self.recipients;
        visit(published, &mut |record| {
            let Some((local, domain)) = split_address(record.key).filter(|_| smtpd::accepts(record.data)) else {
                return Ok(());
            };
            // What is published in several ways counts once.
            let again = local.contains(&b':') && published.find(&join_address(&unspelled(local), domain)).is_some();
            if !again && !is_virtual_too(host, published, local, domain) {
                recipients.count(
                    domain,
                    record.key,
                    || standing_of_recipients(host, domain),
                    |standing| {
                        may_go(record.key)
                            && match standing.left {
                                // Its own entries go, although it takes every name.
                                Some(Left::Relayed) => new.data(record.key).is_none(),
                                _ => !answer(new, record.key, break_byte),
                            }
                    },
                );
            }
            Ok(())
        })
    }

    /// Weighs the published logins, of which those are lost that a new table lacks.
    ///
    /// # Errors
    /// The published table cannot be read.
    pub fn weigh_logins(&mut self, published: &FileReader<'_>, is_lost: &dyn Fn(&[u8]) -> bool) -> Result<(), Error> {
        let default = published_default(published).map_err(unreadable)?;
        let mut logins = std::mem::take(&mut self.logins);
        let standing = |domain: &[u8]| {
            let assigned = domain == SYSTEM_ACCOUNTS || self.host.assignments.vpopmail_domain(domain).is_some();
            Standing { assigned, left: Some(Left::Gone).filter(|_| !assigned) }
        };
        let weighed = visit(published, &mut |record| {
            if let Some(domain) = self.domain_of_login(published, default.as_deref(), record) {
                let lost = |_| is_lost(record.key) && !self.kept(record).is_empty();
                logins.count(domain, record.key, || standing(domain), lost);
            }
            Ok(())
        });
        self.logins = logins;
        weighed
    }

    /// The domain under which a published login is counted, or the system accounts. The bare names of the default domain,
    /// the published one, go with its addresses.
    fn domain_of_login<'k>(
        &self,
        published: &FileReader<'_>,
        default: Option<&[u8]>,
        record: Record<'k>,
    ) -> Option<&'k [u8]> {
        if let Some((_, domain)) = split_address(record.key) {
            return Some(domain);
        }
        if !self.settings.auth_system_users {
            return None;
        }
        let mailbox = default.and_then(|default| published.find(&join_address(record.key, default)));
        Some(SYSTEM_ACCOUNTS).filter(|_| mailbox.as_deref() != Some(record.data))
    }

    /// The published login as it would be published now; none when it is gone on purpose: it has expired, or its account
    /// is still there and has no login any more.
    fn kept(&self, record: Record<'_>) -> Vec<Login> {
        match split_address(record.key) {
            Some((name, domain)) => self.policy.kept(name, domain, record.data),
            None if self.host.accounts.accepted.contains_key(record.key) => Vec::new(),
            None => self.policy.kept_system_user(record.key, record.data).into_iter().collect(),
        }
    }

    /// Whether anything is published for this domain.
    pub fn knows(&self, domain: &[u8]) -> bool {
        self.recipients.has(domain) || self.logins.has(domain)
    }

    /// The domains that lose too much or leave with too many others, those that lose most first, and those that are held
    /// already and would still lose what they are held for; without those that were held long enough.
    ///
    /// # Errors
    /// Nobody knows now which are held.
    pub fn held(&self, patience: Patience) -> Result<Vec<Held>, Error> {
        if patience == Patience::Force || self.settings.max_loss >= 100 {
            return Ok(Vec::new());
        }
        let (share, now, before) = (self.settings.max_loss, now(), remembered(self.settings)?);
        let leaves = |domain: &[u8]| self.recipients.leaves(domain, share) || self.logins.leaves(domain, share);
        // What they are held for: a domain that is back loses what came meanwhile, and one that is deleted is gone.
        let still = |(domain, before): &(&Vec<u8>, &Hold)| match before.leaves {
            true => leaves(domain),
            false => [&self.recipients, &self.logins].iter().any(|losses| losses.loses_while_assigned(domain)),
        };
        let left = |domain: &[u8]| before.get(domain).is_some_and(|before| before.leaves);
        let mut leaving = self.recipients.too_many(share, left);
        leaving.append(&mut self.logins.too_many(share, left));
        // What makes many leave takes names out of others too.
        let beside = [&self.recipients, &self.logins].map(|losses| losses.large(share));
        let beside: Vec<Vec<u8>> = beside.into_iter().flatten().filter(|_| !leaving.is_empty()).collect();
        let still = before.iter().filter(still).map(|(domain, _)| domain.clone()).collect::<Vec<_>>();
        leaving.extend(still.iter().filter(|domain| left(domain)).cloned());
        let losing = self.recipients.too_much(share).into_iter().chain(self.logins.too_much(share));
        let domains: BTreeSet<Vec<u8>> = losing.chain(beside).chain(still).chain(leaving.iter().cloned()).collect();
        let held = |domain: Vec<u8>| {
            let (recipients, logins) = (self.recipients.of(&domain), self.logins.of(&domain));
            let picture = recipients.picture.wrapping_add(logins.picture.rotate_left(1));
            let before = before.get(&domain);
            // A domain that leaves does so with all that it has.
            let leaves = leaving.contains(&domain);
            let same = before.filter(|before| before.picture == picture);
            let hold = Hold {
                since: same.map_or(now, |same| same.since),
                picture,
                recipients: leaves || recipients.is_large(share) || before.is_some_and(|before| before.recipients),
                logins: leaves || logins.is_large(share) || before.is_some_and(|before| before.logins),
                leaves,
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
        Ok(held)
    }

    /// What an administrator has to know about the held domains: one alert about those that would lose much, one about
    /// those that would leave. `then` says how they are published all the same.
    pub fn alerts(&self, held: &[Held], then: &str) -> Vec<Note> {
        let (leaving, losing): (Vec<&Held>, Vec<&Held>) = held.iter().partition(|held| held.leaves());
        let named = |held: &[&Held], show: &dyn Fn(&Held) -> String| {
            let named: Vec<String> = held.iter().take(MAX_NAMED).map(|held| show(held)).collect();
            match held.len().saturating_sub(MAX_NAMED) {
                0 => named.join(", "),
                more => format!("{}, and {more} more", named.join(", ")),
            }
        };
        let follows = |held: &[&Held]| {
            let named = held.iter().find(|held| held.domain != SYSTEM_ACCOUNTS).map(|held| held.name());
            let one = named.map(|name| format!("; rebuild --force {name} publishes only that domain as it is"));
            format!("{then}{}", one.unwrap_or_default())
        };
        let max_loss = self.settings.max_loss;
        let mut alerts = Vec::new();
        if !losing.is_empty() {
            alerts.push(Note::alert(format!(
                "held, because they would lose much at once: {}; {} of the host would go, more than --max-loss {max_loss} \
                 allows; the held keep their published entries and get their new ones; {}",
                named(&losing, &ToString::to_string),
                losses(self.recipients.together(), self.logins.together()),
                follows(&losing)
            )));
        }
        if !leaving.is_empty() {
            let (number, domains, is_much) = self.numbers(&leaving);
            let show = |held: &Held| format!("{} with {}", held.name(), losses(held.recipients, held.logins));
            let (named, follows) = (named(&leaving, &show), follows(&leaving));
            alerts.push(Note::alert(match is_much {
                true => format!(
                    "held, because {number} of {domains} would leave at once, more than --max-loss {max_loss} allows: {named}; \
                     the held keep their published entries and get their new ones; {follows}"
                ),
                // Some that left with these are back, or let go.
                false => format!(
                    "held since they left together with others, {number} of {domains} now: {named}; the held keep their \
                     published entries and get their new ones; {follows}"
                ),
            }));
        }
        alerts
    }

    /// How many of which domains these are that leave, and whether that is too much. A host that relays for many domains may
    /// lose all of those that have logins.
    fn numbers(&self, leaving: &[&Held]) -> (usize, String, bool) {
        let all = self.recipients.domains().chain(self.logins.domains()).collect::<BTreeSet<_>>().len();
        let in_table = |losses: &Losses| {
            let leave = leaving.iter().filter(|held| losses.leaves(&held.domain, self.settings.max_loss));
            (leave.count(), losses.domains().count())
        };
        let (of_recipients, of_logins) = (in_table(&self.recipients), in_table(&self.logins));
        let numbers = [
            (leaving.len(), all, "domains"),
            (of_recipients.0, of_recipients.1, "domains with recipients"),
            (of_logins.0, of_logins.1, "domains with logins"),
        ];
        let is_much = |(leave, all, _): &&(usize, usize, &str)| are_many(*leave, *all, self.settings.max_loss);
        let much = numbers.iter().find(is_much);
        let (number, all, what) = much.unwrap_or(&numbers[0]);
        (*number, format!("{all} {what}"), much.is_some())
    }

    /// Hands the new table to `add`, in which the held domains keep what was published of them.
    ///
    /// # Errors
    /// Those of `add`; a table cannot be read.
    pub fn keep_recipients(
        &self,
        held: &[Held],
        change: &Change<'_>,
        add: &mut dyn FnMut(&cdb::Chunk) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let held = held.iter().filter(|held| held.hold.recipients);
        let held: BTreeSet<&[u8]> = held.map(|held| &held.domain[..]).collect();
        let envnoathost = &self.host.control.envnoathost[..];
        let is_held = |key: &[u8]| held.contains(split_address(key).map_or(envnoathost, |(_, domain)| domain));
        // What decides an address of a domain has a key of that domain.
        let (mut published, mut new) = (BTreeMap::new(), BTreeMap::new());
        let note = |table: &mut BTreeMap<Vec<u8>, &'static [u8]>, record: Record<'_>| {
            let data = smtpd::data_of(smtpd::accepts(record.data));
            table.entry(record.key.to_vec()).or_insert(data);
        };
        visit(&change.new, &mut |record| {
            if !is_held(record.key) {
                return add(&chunk(record.key, record.data));
            }
            note(&mut new, record);
            Ok(())
        })?;
        visit(&change.published, &mut |record| {
            if is_held(record.key) {
                note(&mut published, record);
            }
            Ok(())
        })?;
        let keys = published.keys().chain(new.keys()).map(Vec::as_slice);
        let both = keep_both(&published, &new, keys, self.settings.layout.break_byte);
        both.into_iter().try_for_each(|(key, data)| add(&chunk(&key, data)))
    }

    /// Hands the new table of logins to `add`, and the published logins of the held domains that it lacks.
    ///
    /// # Errors
    /// Those of `add`; a table cannot be read.
    pub fn keep_logins(
        &self,
        held: &[Held],
        change: &Change<'_>,
        add: &mut dyn FnMut(&cdb::Chunk) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let held = held.iter().filter(|held| held.hold.logins);
        let held: BTreeSet<&[u8]> = held.map(|held| &held.domain[..]).collect();
        let Change { published, new, .. } = change;
        let default = published_default(published).map_err(unreadable)?;
        visit(new, &mut |record| add(&chunk(record.key, record.data)))?;
        let mut kept = BTreeSet::new();
        visit(published, &mut |record| {
            let domain = self.domain_of_login(published, default.as_deref(), record);
            let is_held = domain.is_some_and(|domain| held.contains(domain));
            for login in if is_held { self.kept(record) } else { Vec::new() } {
                if new.find(&login.key).is_none() && kept.insert(login.key.clone()) {
                    add(&chunk(&login.key, &login.data))?;
                }
            }
            Ok(())
        })
    }
}
