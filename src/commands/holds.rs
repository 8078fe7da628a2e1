//! Which domains the loss guard holds, for the commands that tell of one of them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::Error;
use crate::protect::hold;
use crate::service::status;
use crate::settings::Settings;
use crate::text::Shown;

/// The domains that the last rebuild held.
#[derive(Debug, Default)]
pub struct Holds {
    /// Each with how long it has been held.
    domains: BTreeMap<Vec<u8>, Duration>,
    /// When the service lets go of the first of them, in words.
    ends: Option<String>,
}

impl Holds {
    /// What the last rebuild left.
    ///
    /// # Errors
    /// Nobody knows now.
    pub fn read(settings: &Settings) -> Result<Holds, Error> {
        let domains = hold::held_for(settings)?;
        let ends = if domains.is_empty() { None } else { status::first_loss(settings) };
        Ok(Holds { domains, ends })
    }

    /// Whether this domain is held.
    pub fn has(&self, domain: &[u8]) -> bool {
        self.domains.contains_key(domain)
    }

    /// That this domain is held, and what to do; `None` when it is not.
    pub fn words(&self, domain: &[u8]) -> Option<String> {
        let minutes = self.domains.get(domain)?.as_secs() / 60;
        Some(format!(
            "{0} has been held by the loss guard for {minutes} min, which keeps entries that would go: restore what is missing; \
             if the loss is right, rebuild --force {0} publishes it as it is",
            Shown(domain)
        ))
    }

    /// The same for people, who are told how much time they have.
    pub fn for_people(&self, domain: &[u8]) -> Option<String> {
        self.words(domain).map(|words| words + self.ends.as_deref().unwrap_or_default())
    }
}
