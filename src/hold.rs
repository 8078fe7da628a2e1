//! Which domains of a rebuild the guard holds, and what is published of them instead.

use std::collections::BTreeSet;

use crate::cdb;
use crate::error::Error;
use crate::guard::{Loss, Losses, Recipients, answer, keep_both};
use crate::host::Host;
use crate::logins::{Login, Policy};
use crate::recipients::Recipient;
use crate::report::Note;
use crate::settings::Settings;
use crate::smtpd;
use crate::text::{Shown, count, split_address};

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
}

impl Held {
    /// How many entries it would lose.
    pub fn lost(&self) -> u64 {
        self.recipients.lost + self.logins.lost
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
        let losses = [("recipients", self.recipients), ("logins", self.logins)];
        let losses: Vec<String> = losses
            .into_iter()
            .filter(|(_, loss)| loss.lost > 0)
            .map(|(what, loss)| format!("{} of {} {what}", loss.lost, loss.published))
            .collect();
        write!(f, "{} {}", self.name(), losses.join(" and "))
    }
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
            let Some((_, domain)) = split_address(record.key).filter(|(_, domain)| self.host.is_assigned(domain))
            else {
                continue;
            };
            self.recipients.count(domain, !answer(new, record.key, self.settings.layout.break_byte));
        }
    }

    /// Weighs a new table of logins, which holds these, against the published one.
    pub fn weigh_logins(&mut self, published: cdb::Reader<'_>, is_new: &dyn Fn(&[u8]) -> bool) {
        for record in published.records() {
            if let Some(domain) = self.domain_of_login(record.key) {
                // One that has expired is gone on purpose.
                let lost = !is_new(record.key) && !self.kept(record, domain).is_empty();
                self.logins.count(domain, lost);
            }
        }
    }

    /// The domain under which a login is counted: one with an assignment; or the system accounts. The bare names of the
    /// default domain go with its addresses.
    fn domain_of_login<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        match split_address(key) {
            Some((_, domain)) => Some(domain).filter(|domain| self.host.assignments.vpopmail_domain(domain).is_some()),
            None => Some(SYSTEM_ACCOUNTS).filter(|_| self.settings.auth_system_users),
        }
    }

    /// The published login as it would be published now.
    fn kept(&self, record: cdb::Record<'_>, domain: &[u8]) -> Vec<Login> {
        match split_address(record.key) {
            Some((name, _)) => self.policy.kept(name, domain, record.data),
            None => self.policy.kept_system_user(record.key, record.data).into_iter().collect(),
        }
    }

    /// The domains that lose too much, those that lose most first.
    pub fn held(&self) -> Vec<Held> {
        let share = self.settings.max_loss;
        let domains: BTreeSet<Vec<u8>> =
            self.recipients.too_much(share).into_iter().chain(self.logins.too_much(share)).collect();
        let held =
            |domain: Vec<u8>| Held { recipients: self.recipients.of(&domain), logins: self.logins.of(&domain), domain };
        let mut held: Vec<Held> = domains.into_iter().map(held).collect();
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
        let (recipients, logins) = (self.recipients.together(), self.logins.together());
        Some(Note::alert(format!(
            "held, because they would lose much at once: {}: {}{more}; {} of {} recipients and {} of {} logins \
             of the host would go, more than --max-loss {} allows; the held keep their published entries and get their new \
             ones; {then}",
            count(held.len(), "domain"),
            named.join(", "),
            recipients.lost,
            recipients.published,
            logins.lost,
            logins.published,
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
        let held: BTreeSet<&[u8]> = held.iter().map(|held| &held.domain[..]).collect();
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
        let held: BTreeSet<&[u8]> = held.iter().map(|held| &held.domain[..]).collect();
        for record in new.records() {
            add(Login { key: record.key.to_vec(), data: record.data.to_vec() })?;
        }
        let mut kept = BTreeSet::new();
        for record in published.records() {
            let domain = self.domain_of_login(record.key).filter(|domain| held.contains(domain));
            for login in domain.map_or_else(Vec::new, |domain| self.kept(record, domain)) {
                if new.find(&login.key).is_none() && kept.insert(login.key.clone()) {
                    add(login)?;
                }
            }
        }
        Ok(())
    }
}
