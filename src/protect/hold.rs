//! Which domains of a rebuild the guard holds, and what is published of them instead: domains that would lose much, and
//! domains that would leave the host with many others. What is held is remembered in STATE/holds.json: the published tables
//! cannot tell, because they get the new entries too.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use siphasher::sip::SipHasher24;

use crate::cdb::diff::Difference;
use crate::cdb::{self, FileReader, Record};
use crate::error::{Error, show_cause};
use crate::host::Host;
use crate::host::dot_qmail::unspelled;
use crate::protect::guard::{LEAST_DOMAINS, Left, Loss, Losses, Recipients, Standing, answer, are_many, keep_both};
use crate::publish::{self, Ready};
use crate::report::{Code, Note};
use crate::settings::Settings;
use crate::tables::logins::{Login, Policy};
use crate::tables::smtpd::{self, Says};
use crate::text::{Shown, count, join_address, split_address};

/// How many of the held domains an alert names: those that lose most.
const MAX_NAMED: usize = 5;
/// So many domains are typed after one command.
const MAX_TYPED: usize = 20;
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
    /// Since when, and what is kept.
    hold: Hold,
}

/// What is remembered of a held domain.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hold {
    /// When it began, in seconds since the machine started.
    began: u64,
    /// Since when it would lose no more entries, in the same seconds.
    since: u64,
    /// The most that it would have lost since then.
    lost: u64,
    /// Its recipients, when they are kept.
    recipients: Option<Entries>,
    /// Its logins, when they are kept.
    logins: Option<Entries>,
    /// Whether it is held because it would leave the host.
    leaves: bool,
}

/// The entries that were published of a domain when its hold began: what comes later is not kept. Each is a number that
/// only the holder of the key can make; `None` until they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entries(Option<Known>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    key: (u64, u64),
    /// Sorted.
    numbers: Arc<[u64]>,
}

/// Those of one domain, while they are collected.
struct Collected {
    key: (u64, u64),
    numbers: Vec<u64>,
}

impl Collected {
    fn new() -> Collected {
        // Keyed by getrandom(2).
        let number = || RandomState::new().hash_one(0);
        Collected { key: (number(), number()), numbers: Vec::new() }
    }

    fn add(&mut self, name: &[u8], accepts: bool) {
        self.numbers.push(Known::number(self.key, name, accepts));
    }

    fn known(mut self) -> Known {
        self.numbers.sort_unstable();
        Known { key: self.key, numbers: self.numbers.into() }
    }
}

impl Known {
    fn number(key: (u64, u64), name: &[u8], accepts: bool) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(key.0, key.1);
        hasher.write(&[u8::from(accepts)]);
        hasher.write(name);
        hasher.finish()
    }

    fn has(&self, name: &[u8], accepts: bool) -> bool {
        self.numbers.binary_search(&Known::number(self.key, name, accepts)).is_ok()
    }
}

impl Entries {
    /// What an entry of the published table said when the hold began: whether it accepted; `None` for one that came later.
    fn at_start(&self, name: &[u8], accepts: bool) -> Option<bool> {
        let Some(known) = &self.0 else { return Some(accepts) };
        [accepts, !accepts].into_iter().find(|accepts| known.has(name, *accepts))
    }

    /// The key, then each number, in hexadecimal digits.
    fn text(&self) -> Value {
        let Some(Known { key, numbers }) = &self.0 else { return json!("") };
        let all = [key.0, key.1].into_iter().chain(numbers.iter().copied());
        let mut text = String::with_capacity(16 * (2 + numbers.len()));
        all.for_each(|number| {
            let _ = write!(text, "{number:016x}");
        });
        text.into()
    }

    /// `None` when the domain's entries are not kept. A hold of version 0.1.0 begins again: it knew no entries.
    fn parse(value: &Value) -> Option<Option<Entries>> {
        match value {
            Value::Bool(is_kept) => Some(is_kept.then(Entries::default)),
            Value::Null => Some(None),
            Value::String(text) => {
                let digits = text.as_bytes().chunks(16);
                let number = |digits: &[u8]| u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
                let all: Vec<u64> = digits.map(number).collect::<Option<_>>()?;
                let known = all.split_first_chunk().map(|([a, b], rest)| Known { key: (*a, *b), numbers: rest.into() });
                Some(Some(Entries(known)))
            }
            _ => None,
        }
    }
}

/// A domain that loses more and more is held so many times as long as one that does not, at most: nobody who loses entries
/// again and again keeps those of others for ever.
const MOST_TIMES: u32 = 3;

/// Where a table with kept entries is longer or shorter than the new one, by how much, in the order of the places in that:
/// all in bytes.
#[derive(Debug, Default)]
pub struct Moves(Vec<(u64, i64)>);

impl Moves {
    fn add(&mut self, start: u64, longer: i64) {
        self.0.push((start, longer));
    }

    /// Each place, and by how much the table is longer there.
    pub fn iter(&self) -> impl Iterator<Item = (u64, i64)> + '_ {
        self.0.iter().copied()
    }
}

/// How long domains are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Nothing is held.
    Force,
    /// Until they have lost no more entries for so long, and at most 3 times as long.
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
            // Version 0.1.0 knew neither of these, and held none that leave.
            let (began, lost) = (value["began"].as_u64().unwrap_or(since).min(since), value["lost"].as_u64());
            let (recipients, logins) = (Entries::parse(&value["recipients"])?, Entries::parse(&value["logins"])?);
            let leaves = value["leaves"].as_bool().unwrap_or(false);
            Some((domain, Hold { began, since, lost: lost.unwrap_or(u64::MAX), recipients, logins, leaves }))
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

/// The domains that the last rebuild held, each with how long it has been held.
///
/// # Errors
/// Nobody knows now.
pub fn held_for(settings: &Settings) -> Result<BTreeMap<Vec<u8>, Duration>, Error> {
    let held_for = |hold: &Hold| Duration::from_secs(now().saturating_sub(hold.began));
    Ok(remembered(settings)?.into_iter().map(|(domain, hold)| (domain, held_for(&hold))).collect())
}

/// How many these are, and what those would lose that lose most; `None` when there are none.
pub fn in_words(held: &[Held]) -> Option<String> {
    let words = held.iter().take(MAX_NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let more = if held.len() > MAX_NAMED { ", ..." } else { "" };
    (!held.is_empty()).then(|| format!("{}: {words}{more}", count(held.len(), "domain")))
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
        let Hold { began, since, lost, recipients, logins, leaves } = &held.hold;
        json!({
            "domain": held.domain,
            "began": began,
            "since": since,
            "lost": lost,
            "recipients": recipients.as_ref().map(Entries::text),
            "logins": logins.as_ref().map(Entries::text),
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
        let passed = |start: u64| Duration::from_secs(now().saturating_sub(start));
        let left = patience.saturating_sub(passed(self.hold.since));
        left.min(patience.saturating_mul(MOST_TIMES).saturating_sub(passed(self.hold.began)))
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

/// The held domains that keep recipients.
fn with_recipients(held: &[Held]) -> BTreeMap<&[u8], &Entries> {
    held.iter().filter_map(|held| Some((&held.domain[..], held.hold.recipients.as_ref()?))).collect()
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
    /// What is held already.
    before: BTreeMap<Vec<u8>, Hold>,
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
    ///
    /// # Errors
    /// Nobody knows now what is held.
    pub fn new(settings: &'a Settings, host: &'a Host, policy: &'a Policy<'a>) -> Result<Scales<'a>, Error> {
        let (before, recipients, logins) = (remembered(settings)?, Losses::default(), Losses::default());
        Ok(Scales { settings, host, policy, before, recipients, logins })
    }

    /// Whether an entry came after the hold of its domain began: it is not kept, and no loss.
    fn came_later(&self, domain: &[u8], entries: fn(&Hold) -> &Option<Entries>, key: &[u8], accepts: bool) -> bool {
        let held = self.before.get(domain).and_then(|hold| entries(hold).as_ref());
        held.is_some_and(|held| held.at_start(key, accepts).is_none())
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
        let mut recipients = std::mem::take(&mut self.recipients);
        let weighed = visit(published, &mut |record| {
            let Some((local, domain)) = split_address(record.key).filter(|_| smtpd::accepts(record.data)) else {
                return Ok(());
            };
            // What is published in several ways counts once.
            let again = local.contains(&b':') && published.find(&join_address(&unspelled(local), domain)).is_some();
            let later = self.came_later(domain, |hold| &hold.recipients, record.key, true);
            if !again && !later && !is_virtual_too(host, published, local, domain) {
                recipients.count(
                    domain,
                    || standing_of_recipients(host, domain),
                    |standing| {
                        may_go(record.key)
                            && match standing.left {
                                // Its own entries go, although it takes every name.
                                Some(Left::Relayed) => new.data(record.key).is_none(),
                                _ => !answer(new, record.key, break_byte).accepts(),
                            }
                    },
                );
            }
            Ok(())
        });
        self.recipients = recipients;
        weighed
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
            if let Some(domain) = self.domain_of_login(published, default.as_deref(), record)
                && !self.came_later(domain, |hold| &hold.logins, record.key, true)
            {
                let lost = |_| is_lost(record.key) && !self.kept(record).is_empty();
                logins.count(domain, || standing(domain), lost);
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
    /// already and would still lose what they are held for; apart from them those that were held long enough.
    pub fn held(&self, patience: Patience) -> (Vec<Held>, Vec<Held>) {
        if patience == Patience::Force || self.settings.max_loss >= 100 {
            return (Vec::new(), Vec::new());
        }
        let (share, now, before) = (self.settings.max_loss, now(), &self.before);
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
            let lost = recipients.lost + logins.lost;
            let before = before.get(&domain);
            // A domain that leaves does so with all that it has.
            let leaves = leaving.contains(&domain);
            // What comes back and goes again is no further loss.
            let same = before.filter(|before| lost <= before.lost);
            let entries =
                |is_kept: bool, before: Option<&Entries>| before.cloned().or_else(|| is_kept.then(Entries::default));
            let hold = Hold {
                began: before.map_or(now, |before| before.began),
                since: same.map_or(now, |same| same.since),
                lost: same.map_or(lost, |same| if same.lost == u64::MAX { lost } else { same.lost }),
                recipients: entries(
                    leaves || recipients.is_large(share),
                    before.and_then(|before| before.recipients.as_ref()),
                ),
                logins: entries(leaves || logins.is_large(share), before.and_then(|before| before.logins.as_ref())),
                leaves,
            };
            Held { domain, recipients, logins, hold }
        };
        let is_over = |held: &Held| match patience {
            Patience::Until(patience) => before.contains_key(&held.domain) && held.let_go_in(patience).is_zero(),
            Patience::Force | Patience::Ever => false,
        };
        let mut held: Vec<Held> = domains.into_iter().map(held).collect();
        held.sort_by_key(|held| std::cmp::Reverse(held.lost()));
        held.into_iter().partition(|held| !is_over(held))
    }

    /// Notes what is published now of those whose hold begins: that, and no more, is kept.
    ///
    /// # Errors
    /// A published table cannot be read.
    pub fn begin(
        &self,
        held: &mut [Held],
        recipients: Option<&FileReader<'_>>,
        logins: Option<&FileReader<'_>>,
    ) -> Result<(), Error> {
        let is_new = |entries: &Option<Entries>| entries.as_ref().is_some_and(|entries| entries.0.is_none());
        let begin = |entries: fn(&Hold) -> &Option<Entries>| -> BTreeMap<Vec<u8>, Collected> {
            let begun = held.iter().filter(|held| is_new(entries(&held.hold)));
            begun.map(|held| (held.domain.clone(), Collected::new())).collect()
        };
        let (mut of_recipients, mut of_logins) = (begin(|hold| &hold.recipients), begin(|hold| &hold.logins));
        // Of a table that does not change, nothing is known, and everything is kept until it does.
        if let Some(published) = recipients.filter(|_| !of_recipients.is_empty()) {
            visit(published, &mut |record| {
                if let Some(entries) = of_recipients.get_mut(self.domain_of_recipient(record.key)) {
                    entries.add(record.key, smtpd::accepts(record.data));
                }
                Ok(())
            })?;
        } else {
            of_recipients.clear();
        }
        if let Some(published) = logins.filter(|_| !of_logins.is_empty()) {
            let default = published_default(published).map_err(unreadable)?;
            visit(published, &mut |record| {
                let domain = self.domain_of_login(published, default.as_deref(), record);
                if let Some(entries) = domain.and_then(|domain| of_logins.get_mut(domain)) {
                    entries.add(record.key, true);
                }
                Ok(())
            })?;
        } else {
            of_logins.clear();
        }
        let know = |entries: &mut Option<Entries>, found: Option<Collected>| {
            if let (Some(entries), Some(found)) = (entries, found) {
                entries.0 = Some(found.known());
            }
        };
        for held in held {
            know(&mut held.hold.recipients, of_recipients.remove(&held.domain));
            know(&mut held.hold.logins, of_logins.remove(&held.domain));
        }
        Ok(())
    }

    /// The domain that the published key of a recipient belongs to.
    fn domain_of_recipient<'k>(&'k self, key: &'k [u8]) -> &'k [u8] {
        split_address(key).map_or(&self.host.control.envnoathost[..], |(_, domain)| domain)
    }

    /// That the domains which were held for so long lose their entries now.
    pub fn published(over: &[Held], patience: Patience) -> Option<Note> {
        let Patience::Until(patience) = patience else { return None };
        let (first, seconds) = (over.first()?, patience.as_secs());
        let more = if over.len() > 1 { format!(", and {} more", over.len() - 1) } else { String::new() };
        Some(Note::alert(format!(
            "{first}{more}: held for {seconds} s; the loss is published now, and what was lost is refused; if it is wrong, \
             restore what is missing, and the next rebuild publishes it"
        )).of(Code::DomainHeld))
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
        let follows = |held: &[&Held]| format!("{then}{}", self.one_alone(held).unwrap_or_default());
        let max_loss = self.settings.max_loss;
        let mut alerts = Vec::new();
        if !losing.is_empty() {
            alerts.push(Note::alert(format!(
                "held, because they would lose much at once: {}; {} of the host would go, more than --max-loss {max_loss} \
                 allows; the held keep their published entries and get their new ones; {}",
                named(&losing, &ToString::to_string),
                losses(self.recipients.together(), self.logins.together()),
                follows(&losing)
            )).of(Code::DomainHeld));
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
            }).of(Code::DomainHeld));
        }
        alerts
    }

    /// How the loss of one of these domains is published alone: with its alias domains, which lose the same. `None` when they
    /// are too many for a command that somebody types.
    fn one_alone(&self, held: &[&Held]) -> Option<String> {
        let real = |domain| self.host.assignments.alias_of(domain).unwrap_or(domain);
        let domains = held.iter().map(|held| &held.domain[..]).filter(|domain| *domain != SYSTEM_ACCOUNTS);
        let one = real(domains.clone().next()?);
        let mut same: Vec<&[u8]> = domains.filter(|domain| real(domain) == one).collect();
        same.sort_unstable_by_key(|domain| (*domain != one, *domain));
        let names: Vec<String> = same.iter().map(|domain| Shown(domain).to_string()).collect();
        let whose = match names.len() {
            1 => "this domain",
            2..=MAX_TYPED => "these domains, which share a directory",
            _ => return None,
        };
        Some(format!(", and rebuild --force {} only that of {whose}", names.join(" ")))
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

    /// The recipients of the held domains in a rebuild: what they keep, and what is new.
    fn both_recipients(
        &self,
        of: &BTreeMap<&[u8], &Entries>,
        published: &FileReader<'_>,
        new: &BTreeMap<Vec<u8>, &'static [u8]>,
    ) -> Result<BTreeMap<Vec<u8>, &'static [u8]>, Error> {
        // What decides an address of a domain has a key of that domain.
        let mut before = BTreeMap::new();
        let mut note = |key: &[u8], says: Says| {
            before.entry(key.to_vec()).or_insert(says.data());
        };
        visit(published, &mut |record| {
            let (held, says) = (of.get(self.domain_of_recipient(record.key)), Says::of(record.data));
            match held.and_then(|held| held.at_start(record.key, says.accepts())) {
                Some(true) if says.accepts() => note(record.key, says),
                Some(true) => note(record.key, Says::Accepts(None)),
                Some(false) => note(record.key, Says::Refuses),
                None => {}
            }
            Ok(())
        })?;
        let keys = before.keys().chain(new.keys()).map(Vec::as_slice);
        Ok(keep_both(&before, new, keys, self.settings.layout.break_byte))
    }

    /// Hands the new table to `add`, in which the held domains keep what was published of them, each at the place of its new
    /// entries. Gives where that makes the table longer or shorter.
    ///
    /// # Errors
    /// Those of `add`; a table cannot be read.
    pub fn keep_recipients(
        &self,
        held: &[Held],
        change: &Change<'_>,
        add: &mut dyn FnMut(&cdb::Chunk) -> Result<(), Error>,
    ) -> Result<Moves, Error> {
        let of = with_recipients(held);
        let is_held = |key: &[u8]| of.contains_key(self.domain_of_recipient(key));
        let mut new = BTreeMap::new();
        visit(&change.new, &mut |record| {
            if is_held(record.key) {
                new.entry(record.key.to_vec()).or_insert(Says::of(record.data).data());
            }
            Ok(())
        })?;
        let mut both: BTreeMap<Vec<u8>, cdb::Chunk> = BTreeMap::new();
        for (key, data) in self.both_recipients(&of, &change.published, &new)? {
            both.entry(self.domain_of_recipient(&key).to_vec()).or_default().add(&[&key], &[data]);
        }
        let (mut moves, mut position) = (Moves::default(), cdb::HEADER as u64);
        visit(&change.new, &mut |record| {
            let record_is = chunk(record.key, record.data);
            let start = position;
            position += record_is.size() as u64;
            if !is_held(record.key) {
                return add(&record_is);
            }
            let kept = both.remove(self.domain_of_recipient(record.key)).unwrap_or_default();
            moves.add(start, kept.size() as i64 - record_is.size() as i64);
            if kept.is_empty() { Ok(()) } else { add(&kept) }
        })?;
        both.into_values().try_for_each(|kept| add(&kept))?;
        Ok(moves)
    }

    /// The same of a table in memory: what a rebuild would publish.
    ///
    /// # Errors
    /// The published table cannot be read.
    pub fn kept_recipients(
        &self,
        held: &[Held],
        published: &FileReader<'_>,
        new: &BTreeMap<Vec<u8>, &'static [u8]>,
    ) -> Result<BTreeMap<Vec<u8>, &'static [u8]>, Error> {
        let of = with_recipients(held);
        let records = new.iter().map(|(key, data)| (key.clone(), *data));
        let (theirs, mut all): (BTreeMap<_, _>, BTreeMap<_, _>) =
            records.partition(|(key, _)| of.contains_key(self.domain_of_recipient(key)));
        all.extend(self.both_recipients(&of, published, &theirs)?);
        Ok(all)
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
        let Change { published, new, .. } = change;
        visit(new, &mut |record| add(&chunk(record.key, record.data)))?;
        let mut kept = BTreeSet::new();
        self.kept_logins(held, published, &mut |login| {
            if new.find(&login.key).is_none() && kept.insert(login.key.clone()) {
                add(&chunk(&login.key, &login.data))?;
            }
            Ok(())
        })
    }

    /// Shows to `visitor` the published logins that the held domains keep where a new table lacks them: of a mailbox by its
    /// bare name, too.
    ///
    /// # Errors
    /// Those of `visitor`; the published table cannot be read.
    pub fn kept_logins(
        &self,
        held: &[Held],
        published: &FileReader<'_>,
        visitor: &mut dyn FnMut(Login) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let held = held.iter().filter_map(|held| Some((&held.domain[..], held.hold.logins.as_ref()?)));
        let held: BTreeMap<&[u8], &Entries> = held.collect();
        let default = published_default(published).map_err(unreadable)?;
        visit(published, &mut |record| {
            let domain = self.domain_of_login(published, default.as_deref(), record);
            let held = domain.and_then(|domain| held.get(domain));
            let is_held = held.is_some_and(|held| held.at_start(record.key, true).is_some());
            let kept = if is_held { self.kept(record) } else { Vec::new() };
            kept.into_iter().try_for_each(&mut *visitor)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_that_loses_more_and_more_is_held_three_times_as_long_and_no_longer() {
        let held = |began: u64, since: u64| {
            let now = now();
            let (recipients, logins) = (None, None);
            let hold = Hold { began: now - began, since: now - since, lost: 1, recipients, logins, leaves: false };
            Held { domain: Vec::new(), recipients: Loss::default(), logins: Loss::default(), hold }
        };
        let left = |began: u64, since: u64| held(began, since).let_go_in(Duration::from_secs(5)).as_secs();
        assert!((4..=5).contains(&left(0, 0)));
        assert!((2..=3).contains(&left(7, 2)), "it lost more 2 s ago");
        assert!((1..=2).contains(&left(13, 0)), "it lost more just now, and is held for 13 s");
        assert_eq!((left(5, 5), left(15, 0)), (0, 0));
        assert_eq!(held(1, 1).let_go_in(Duration::MAX), Duration::MAX - Duration::from_secs(1));
    }

    #[test]
    fn what_a_hold_began_with_is_known_again_from_its_file() {
        let mut collected = Collected::new();
        collected.add(b"a@x.test", true);
        collected.add(b"@x.test", false);
        let entries = Entries::parse(&Entries(Some(collected.known())).text()).unwrap().unwrap();
        assert_eq!(entries.at_start(b"a@x.test", true), Some(true));
        assert_eq!(entries.at_start(b"@x.test", true), Some(false), "it refused then");
        assert_eq!(entries.at_start(b"b@x.test", true), None);
        // Version 0.1.0 knew no entries.
        for (value, wanted) in [(json!(true), Some(Entries(None))), (json!(false), None), (json!(null), None)] {
            assert_eq!(Entries::parse(&value), Some(wanted));
        }
        assert_eq!(Entries::parse(&json!("0")), Some(Some(Entries(None))));
        assert_eq!(Entries::parse(&json!("no digits")), None);
    }
}
