//! Which of the changes that notices announced the host shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::host::vpopmail::Mailboxes;
use crate::host::{Home, HomeState, Host};
use crate::os::confine;
use crate::pipe::notice::Expected;
use crate::rebuild;
use crate::settings::Settings;

/// Which of the expected changes the host shows.
pub fn seen(settings: &Settings, known: Option<Arc<Host>>, expected: Vec<Expected>) -> Vec<Expected> {
    let read = || rebuild::read_host(settings, &mut Vec::new()).map(Arc::new);
    let Ok(host) = known.map_or_else(read, Ok) else { return Vec::new() };
    let own = host.clone();
    let look = move || {
        let mut homes = BTreeMap::new();
        expected.iter().filter(|change| is_seen(&own, change, &mut homes)).cloned().collect()
    };
    let looked =
        confine::directories(&host).and_then(|directories| confine::attempt(&host.layout.root, directories, look));
    looked.map_or_else(|_| Vec::new(), |(seen, _)| seen)
}

fn is_seen(host: &Host, change: &Expected, homes: &mut BTreeMap<Vec<u8>, Arc<Home>>) -> bool {
    let mut home = |domain: &[u8]| {
        let line = host.assignments.vpopmail_domain(domain)?;
        Some(homes.entry(line.home.clone()).or_insert_with(|| Arc::new(host.read_home(&line.home))).clone())
    };
    match change {
        Expected::MailboxGone(name, domain) => {
            home(domain).is_none_or(|home| match (&home.state, home.mailboxes_of(host.user_domain(domain))) {
                (HomeState::Listed(..), Mailboxes::Known(mailboxes)) => mailboxes.find(name).is_none(),
                // It shows nothing, however long it is looked at.
                (HomeState::Listed(..), Mailboxes::Elsewhere(_)) => true,
                _ => false,
            })
        }
        Expected::DomainGone(domain) => host.assignments.vpopmail_domain(domain).is_none(),
        Expected::DomainFilled(domain) => {
            // In a user database the row of postmaster comes last.
            let is_of_files = host.build.users.snapshot().is_none();
            let is_filled = |mailboxes: &Mailboxes| match mailboxes {
                Mailboxes::Known(mailboxes) => is_of_files || mailboxes.size().0 > 0,
                Mailboxes::Elsewhere(_) => true,
                Mailboxes::Absent | Mailboxes::Unreadable(..) | Mailboxes::Unknown(_) => false,
            };
            home(domain).is_some_and(|home| is_filled(home.mailboxes_of(host.user_domain(domain))))
        }
        Expected::AliasChange(_) => false,
    }
}
