//! Where a rebuild saw that vpopmail keeps its users, when that is not in vpasswd files: STATE/users.json. The files that
//! tell it may be gone for a moment (a file system that is not mounted, `make install` of vpopmail), and stale vpasswd files
//! must not count then.

use std::sync::PoisonError;

use serde_json::{Value, json};

use crate::error::Error;
use crate::host::Host;
use crate::host::mailboxes::Source;
use crate::host::user_database::{Kind, Sign};
use crate::publish;
use crate::settings::Settings;

fn file(settings: &Settings) -> Vec<u8> {
    [&settings.state[..], b"/users.json"].concat()
}

/// What the last rebuild saw that could tell; `None` when it saw vpasswd files, or that is unknown.
///
/// # Errors
/// A file that cannot be read now.
pub fn remembered(settings: &Settings) -> Result<Option<Sign>, Error> {
    // A service remembers it by itself, too: its file may be lost.
    let known = settings.users_seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    known.map_or_else(|| read(settings), |known| Ok(Some(known)))
}

fn read(settings: &Settings) -> Result<Option<Sign>, Error> {
    let text = publish::read_own(&settings.layout.root, &file(settings))?;
    let parse = |text: Vec<u8>| sign_of(&serde_json::from_slice(&text).ok()?);
    Ok(text.and_then(parse))
}

fn sign_of(value: &Value) -> Option<Sign> {
    Some(Sign { kind: Kind::named(value["kind"].as_str()?)?, seen: value["seen"].as_str()?.to_owned() })
}

/// Whether the published tables hold what this user database said, as far as that is known: they do not when an earlier
/// rebuild noted that they hold what vpasswd files or another one said.
pub fn was_read(settings: &Settings, kind: Kind) -> bool {
    let known = settings.database.lock().unwrap_or_else(PoisonError::into_inner).published.clone();
    let of_file = || {
        let text = publish::read_own(&settings.layout.root, &file(settings)).ok().flatten()?;
        let value: Value = serde_json::from_slice(&text).ok()?;
        value["read"].as_str().map(str::to_owned)
    };
    known.or_else(of_file).is_none_or(|read| read == kind.name())
}

/// Whether no rebuild remembered anything here: the host is a new one, or its STATE was lost at a reboot. A file that cannot
/// be read is one.
pub fn is_missing(settings: &Settings) -> bool {
    matches!(publish::read_own(&settings.layout.root, &file(settings)), Ok(None))
}

/// Remembers what was seen of this host, and which users the tables hold. Where nothing tells it now, what was remembered
/// stays; `--backend cdb` forgets it.
///
/// # Errors
/// Those of the file system.
pub fn remember(settings: &Settings, host: &Host) -> Result<(), Error> {
    let text = publish::read_own(&settings.layout.root, &file(settings))?;
    let before: Value = text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let read = match &host.build.users {
        Source::Files => Kind::Cdb.name().into(),
        Source::Snapshot(latest) => latest.get().about().kind.name().into(),
        Source::Failed(_) | Source::Elsewhere(_) | Source::Unknown(..) => before["read"].clone(),
    };
    if let Some(read) = read.as_str() {
        let mut database = settings.database.lock().unwrap_or_else(PoisonError::into_inner);
        database.published = Some(read.to_owned());
    }
    let mut known = settings.users_seen.lock().unwrap_or_else(PoisonError::into_inner);
    match (host.layout.user_database, &host.build.sign) {
        (Some(Kind::Cdb), _) => *known = None,
        (None, Some(sign)) => *known = Some(sign.clone()).filter(|sign| sign.kind != Kind::Cdb),
        (Some(_), _) | (None, None) if known.is_none() => *known = sign_of(&before),
        (Some(_), _) | (None, None) => {}
    }
    let now = match &*known {
        Some(sign) => json!({ "kind": sign.kind.name(), "seen": sign.seen, "read": read }),
        None => json!({ "read": read }),
    };
    drop(known);
    if now == before {
        return Ok(());
    }
    publish::replace(&settings.layout.root, &file(settings), 0o640, format!("{now:#}\n").as_bytes())
}
