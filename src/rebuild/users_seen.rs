//! Where a rebuild saw that vpopmail keeps its users, when that is not in vpasswd files: STATE/users.json. The files that
//! tell it may be gone for a moment (a file system that is not mounted, `make install` of vpopmail), and stale vpasswd files
//! must not count then.

use std::sync::PoisonError;

use serde_json::{Value, json};

use crate::error::Error;
use crate::host::Host;
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
    let parse = |text: Vec<u8>| {
        let value: Value = serde_json::from_slice(&text).ok()?;
        Some(Sign { kind: Kind::named(value["kind"].as_str()?)?, seen: value["seen"].as_str()?.to_owned() })
    };
    Ok(text.and_then(parse))
}

/// Remembers what was seen of this host. Where nothing tells it now, what was remembered stays; `--backend cdb` forgets it.
///
/// # Errors
/// Those of the file system.
pub fn remember(settings: &Settings, host: &Host) -> Result<(), Error> {
    let seen = match (host.layout.user_database, &host.build.sign) {
        (Some(Kind::Cdb), _) => None,
        (None, Some(sign)) => Some(sign.clone()).filter(|sign| sign.kind != Kind::Cdb),
        (Some(_), _) | (None, None) => return Ok(()),
    };
    settings.users_seen.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&seen);
    if seen == read(settings)? {
        return Ok(());
    }
    let seen = seen.map(|sign| json!({ "kind": sign.kind.name(), "seen": sign.seen }));
    let text = format!("{:#}\n", Value::from(seen));
    publish::replace(&settings.layout.root, &file(settings), 0o640, text.as_bytes())
}
