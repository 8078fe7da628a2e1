//! The published tables as a rebuild finds them: what it keeps entries from, and compares the new tables with.

use std::sync::Arc;

use crate::cdb;
use crate::error::{Error, Nature, show_path};
use crate::host::Host;
use crate::protect::retain::{self, Retained};
use crate::publish::{Before, Look, Published, Target};
use crate::report::{Code, Note};
use crate::settings::Settings;
use crate::tables::logins::PublishedLogins;

use super::homes::KeptFrom;

/// The published files, open before anything is confined.
#[derive(Debug)]
pub(super) struct Old {
    pub(super) recipients: Before,
    pub(super) logins: Before,
}

impl Old {
    pub(super) fn open(settings: &Settings) -> Result<Old, Error> {
        let open = |(target, _): (Target, Look)| {
            let before = target.before();
            match &before.trouble {
                // What it holds may have to be kept.
                Some(cause) if before.nature != Nature::Host => Err(Error::Temporary(format!(
                    "unable to read {}: {cause}; if that stays so, move the file away",
                    show_path(&target.name)
                ))),
                _ => Ok(before),
            }
        };
        Ok(Old { recipients: open(settings.recipients_target()?)?, logins: open(settings.logins_target()?)? })
    }

    /// What an administrator has to know of those that cannot be used.
    pub(super) fn troubles(&self, settings: &Settings) -> Vec<Note> {
        let mut notes = Vec::new();
        for (before, inside) in [(&self.recipients, &settings.validrcptto), (&self.logins, &settings.auth)] {
            let path = settings.layout.root.path(inside);
            notes.extend(before.trouble.as_ref().filter(|cause| !cause.denied).map(|cause| {
                Note::alert(format!("{}: {cause}; nothing can be kept from it", show_path(&path)))
                    .of(Code::TableNotKept)
            }));
        }
        notes
    }

    /// Both, each where it is whole: of a damaged table nothing is kept.
    ///
    /// # Errors
    /// Those of [`read_whole`].
    pub(super) fn if_whole(&self, settings: &Settings) -> Result<KeptFrom, Error> {
        let if_whole = |inside, before: &Before| -> Result<_, Error> {
            Ok(read_whole(settings, inside, &before.file)?.and(before.file.clone()))
        };
        Ok((if_whole(&settings.validrcptto, &self.recipients)?, if_whole(&settings.auth, &self.logins)?))
    }

    /// Both, to keep entries from.
    pub(super) fn retained(&self, settings: &Settings, host: &Host) -> (Retained, Retained) {
        retained(settings, host, (&self.recipients, &self.logins))
    }
}

/// Both published tables, to keep entries from.
pub(super) fn retained(
    settings: &Settings,
    host: &Host,
    (recipients, logins): (&Before, &Before),
) -> (Retained, Retained) {
    let path = |inside: &[u8]| settings.layout.root.path(inside);
    let recipients = Retained::new(recipients, path(&settings.validrcptto), &host.control.envnoathost);
    // A bare login may be anybody's.
    (recipients, Retained::new(logins, path(&settings.auth), b""))
}

/// The published logins, for those whose variables control/authvars cannot tell.
pub(super) fn as_kept(published: Option<&Arc<Published>>) -> Option<&dyn PublishedLogins> {
    published.map(|published| &**published as &dyn PublishedLogins)
}

impl PublishedLogins for Published {
    fn data(&self, login: &[u8]) -> Option<Vec<u8>> {
        self.cdb().ok()?.find(login)
    }
}

/// The content of a published file to keep entries from. `inside` is its path on the host.
///
/// # Errors
/// Those of [`retain::read_whole`].
fn read_whole(
    settings: &Settings,
    inside: &[u8],
    published: &Option<Arc<Published>>,
) -> Result<Option<Vec<u8>>, Error> {
    retain::read_whole(published.as_deref(), &settings.layout.root.path(inside))
}

/// A published file to compare with, where it lies; none when it is missing or damaged, as [`read_whole`] says.
///
/// # Errors
/// Those of [`read_whole`].
pub(super) fn whole<'p>(
    settings: &Settings,
    inside: &[u8],
    published: &'p Option<Arc<Published>>,
) -> Result<Option<cdb::FileReader<'p>>, Error> {
    let is_whole = read_whole(settings, inside, published)?.is_some();
    Ok(published.as_ref().filter(|_| is_whole).and_then(|published| published.cdb().ok()))
}
