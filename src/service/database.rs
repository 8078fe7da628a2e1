//! What the status file says of the user database, and how people read it.

use serde_json::{Value, json};

use crate::host::mailboxes::standing::Standing;

/// For the status file; nothing where the users are in no user database.
pub fn to_json(standing: Option<&Standing>) -> Value {
    standing.map_or(Value::Null, |its| {
        json!({
            "backend": its.kind.option(),
            "file": its.file,
            "server": its.server,
            "name": its.name,
            "answers": its.failing.is_none(),
            "asked": its.asked,
            "answered": its.answered,
            "failing_since": its.failing.as_ref().map(|(since, _)| since),
            "error": its.failing.as_ref().map(|(_, cause)| cause),
            "changed": its.changed,
        })
    })
}

/// In words; nothing where the status file says nothing of it. `since` tells in words how long ago a time is, in seconds since
/// 1970-01-01 UTC.
pub fn describe(database: &Value, since: impl Fn(u64) -> String) -> Option<String> {
    let ago = |name: &str| Some(since(database[name].as_u64()?));
    let mut text = database["backend"].as_str()?.to_owned();
    text.extend(database["name"].as_str().map(|name| format!(" {name}")));
    text.extend(database["server"].as_str().map(|server| format!(" at {server}")));
    text += &format!(", by {}", database["file"].as_str()?);
    match (ago("failing_since"), ago("answered")) {
        (Some(since), answered) => {
            text += &format!("; no answer for {since}: {}", database["error"].as_str()?);
            text.extend(answered.map(|answered| format!("; the last answer was {answered} ago")));
        }
        (None, answered) => text += &format!("; it answered {} ago", answered?),
    }
    text += &match ago("changed") {
        Some(changed) => format!("; its rows changed {changed} ago"),
        None => "; no row has changed since the service started".to_owned(),
    };
    Some(text)
}
