//! The status file, STATE/status.json: what the service did last. It never holds a hash, only counts and names.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::error::Error;
use crate::publish;
use crate::rebuild::{Done, TableDone};
use crate::settings::Settings;

/// What the service knows of itself.
#[derive(Debug, Default)]
pub struct Status {
    last_rebuild: Value,
    last_error: Value,
}

impl Status {
    /// A rebuild ended.
    pub fn rebuilt(&mut self, number: u64, cause: &str, result: &Result<Done, Error>) {
        match result {
            Ok(done) => {
                let table = |table: &TableDone| {
                    json!({
                        "published": table.published,
                        "records": table.records,
                        "came": table.difference.map(|(came, _)| came),
                        "went": table.difference.map(|(_, went)| went),
                    })
                };
                let milliseconds = u64::try_from(done.duration.as_millis()).unwrap_or(u64::MAX);
                self.last_rebuild = json!({
                    "number": number,
                    "at": now(),
                    "ms": milliseconds,
                    "cause": cause,
                    "recipients": table(&done.recipients),
                    "logins": table(&done.logins),
                });
                self.last_error = Value::Null;
            }
            Err(error) => self.last_error = json!({ "number": number, "at": now(), "error": error.to_string() }),
        }
    }

    /// Writes the file, mode 0640, in the place of the old one.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, settings: &Settings, state: &str, pending: bool, next_sweep: Option<u64>) -> Result<(), Error> {
        let status = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "state": state,
            "at": now(),
            "last_rebuild": self.last_rebuild,
            "last_error": self.last_error,
            "pending_triggers": pending,
            "next_sweep": next_sweep,
        });
        publish::replace(&settings.layout.root, &file(settings), 0o640, format!("{status:#}\n").as_bytes())
    }
}

fn file(settings: &Settings) -> Vec<u8> {
    [&settings.state[..], b"/status.json"].concat()
}

/// Seconds since 1970-01-01 UTC.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The status file as it is; `None` when there is none.
///
/// # Errors
/// It cannot be read.
pub fn read(settings: &Settings) -> Result<Option<Vec<u8>>, Error> {
    let root = &settings.layout.root;
    root.read(&file(settings)).map_err(|cause| Error::io("read", &root.path(&file(settings)), cause))
}

/// The status file in words; `None` when it is no status file.
pub fn describe(file: &[u8]) -> Option<String> {
    let status: Value = serde_json::from_slice(file).ok()?;
    let ago = |value: &Value| Some(now().saturating_sub(value.get("at")?.as_u64()?));
    let mut text = String::new();
    let rebuild = &status["last_rebuild"];
    if let Some(ago) = ago(rebuild) {
        let table = |name: &str| {
            let table = &rebuild[name];
            let word = if table["published"] == true { "published" } else { "unchanged" };
            format!("{name} {} ({word})", table["records"])
        };
        text += &format!(
            "last rebuild: number {}, {ago} s ago, {} ms, cause {}, {}, {}\n",
            rebuild["number"],
            rebuild["ms"],
            rebuild["cause"].as_str()?,
            table("recipients"),
            table("logins")
        );
    }
    let error = &status["last_error"];
    if let Some(ago) = ago(error) {
        text += &format!("last error: rebuild {}, {ago} s ago: {}\n", error["number"], error["error"].as_str()?);
    }
    if let Some(sweep) = status["next_sweep"].as_u64() {
        text += &format!("next sweep: in {} s\n", sweep.saturating_sub(now()));
    }
    Some(text)
}
