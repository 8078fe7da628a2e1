//! What the guard makes of the new tables before they are published: the domains that would lose too much keep what is
//! published of them ([`crate::protect::hold`]).

use std::sync::Arc;

use crate::error::Error;
use crate::host::Host;
use crate::protect::hold::{self, Change, Held, Moves, Patience, Scales};
use crate::publish::{Published, Ready, Staged};
use crate::report::{self, Level, Note};
use crate::settings::Settings;
use crate::text::{Shown, domain_question};

use super::old::whole;
use super::{Built, Order};

/// New tables that may be published.
pub(super) struct Guarded {
    pub(super) recipients: Ready,
    pub(super) logins: Ready,
    pub(super) held: Vec<Held>,
    /// Where the recipients of held domains make the table longer or shorter than the configuration of the host does.
    pub(super) moves: Moves,
    /// What an administrator has to know about the held domains.
    pub(super) alerts: Vec<Note>,
    /// When the first login expires that a hold keeps, in seconds since 1970-01-01 UTC.
    pub(super) held_expiry: Option<u64>,
    /// When the next login expires, in seconds since 1970-01-01 UTC.
    pub(super) next_expiry: Option<u64>,
}

impl Guarded {
    /// Nothing is held.
    fn whole((recipients, logins): (Ready, Ready), next_expiry: Option<u64>) -> Guarded {
        Guarded {
            recipients,
            logins,
            held: Vec::new(),
            moves: Moves::default(),
            alerts: Vec::new(),
            held_expiry: None,
            next_expiry,
        }
    }
}

/// The new tables; those of the domains that the guard holds hold what was published too.
pub(super) fn guard(
    settings: &Settings,
    order: &Order<'_>,
    built: &Built,
    new: (Ready, Ready),
    stage: &mut dyn FnMut() -> Result<(Staged, Staged), Error>,
) -> Result<Guarded, Error> {
    let (mut recipients, mut logins) = new;
    if order.patience == Patience::Force {
        hold::remember(settings, &[])?;
    }
    let weighs = !order.let_go.is_empty() || hold::may_hold(settings, &recipients, &logins)?;
    if order.patience == Patience::Force || !weighs {
        return Ok(Guarded::whole((recipients, logins), built.next_expiry));
    }
    let old = &built.published;
    let of_recipients = change(settings, &settings.validrcptto, &old.recipients.file, &recipients)?;
    let of_logins = change(settings, &settings.auth, &old.logins.file, &logins)?;
    let policy = built.policy();
    let mut scales = Scales::new(settings, &built.host, &policy)?;
    scales.weigh(of_recipients.as_ref(), of_logins.as_ref())?;
    let (held, over) = scales.held(order.patience);
    let (let_go, mut held): (Vec<Held>, Vec<Held>) =
        held.into_iter().partition(|held| order.let_go.contains(&held.domain));
    let notes = not_held(order.let_go, &let_go, &built.host, &|domain| scales.knows(domain))?;
    scales.begin(
        &mut held,
        of_recipients.as_ref().map(|change| &change.published),
        of_logins.as_ref().map(|change| &change.published),
    )?;
    // Before anything is published: the tables do not tell what is new in them.
    if let Err(error) = hold::remember(settings, &held) {
        report::say_all(&[Note::warning(format!("{error}; the next rebuild does not know what is held"))]);
    }
    notes.iter().for_each(|text| report::say(Level::Status, text));
    let mut alerts = scales.alerts(&held, order.then);
    alerts.extend(Scales::published(&over, order.patience));
    report::say_all(&alerts);
    if held.is_empty() {
        return Ok(Guarded { alerts, ..Guarded::whole((recipients, logins), built.next_expiry) });
    }
    let mut moves = Moves::default();
    let (mut kept_recipients, mut kept_logins) = stage()?;
    if let Some(change) = of_recipients {
        moves = scales.keep_recipients(&held, &change, &mut |records| kept_recipients.add(records))?;
        recipients = kept_recipients.finish()?;
    }
    if let Some(change) = of_logins {
        scales.keep_logins(&held, &change, &mut |records| kept_logins.add(records))?;
        logins = kept_logins.finish()?;
    }
    let held_expiry = policy.next_expiry();
    let next_expiry = [built.next_expiry, held_expiry].into_iter().flatten().min();
    Ok(Guarded { recipients, logins, held, moves, alerts, held_expiry, next_expiry })
}

/// What is said of the domains that are to be let go, and that are not held.
///
/// # Errors
/// A name that is none of a domain: somebody mistyped it, and nothing must be done.
fn not_held(
    names: &[Vec<u8>],
    let_go: &[Held],
    host: &Host,
    is_published: &dyn Fn(&[u8]) -> bool,
) -> Result<Vec<String>, Error> {
    let others = names.iter().filter(|name| !let_go.iter().any(|held| held.domain == **name));
    let (known, unknown): (Vec<&Vec<u8>>, Vec<&Vec<u8>>) =
        others.partition(|name| is_published(name) || host.knows(name));
    if !unknown.is_empty() {
        let names: Vec<String> = unknown.iter().map(|name| Shown(name).to_string()).collect();
        let question = unknown.iter().map(|name| domain_question(name, host.control.listed())).collect::<String>();
        let text = format!("--force {}: neither held nor a domain of this host{question}", names.join(" "));
        return Err(Error::Usage(text));
    }
    Ok(known.iter().map(|name| format!("{}: not held; it is published as it is in any case", Shown(name))).collect())
}

/// A new table with the published one, which lies at `inside`; none of one that does not change, and so loses nothing.
fn change<'a>(
    settings: &Settings,
    inside: &[u8],
    published: &'a Option<Arc<Published>>,
    new: &'a Ready,
) -> Result<Option<Change<'a>>, Error> {
    let Some(cdb) = new.cdb()? else { return Ok(None) };
    let change = |published| Change { published, new: cdb, difference: new.difference.as_ref() };
    Ok(whole(settings, inside, published)?.map(change))
}
