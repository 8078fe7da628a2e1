//! What is known of asking a user database, for those who look after it: which one it is, and whether it answers. Never who
//! asks it, and never a password.

use super::snapshot::Snapshot;
use crate::error::Trouble;
use crate::host::user_database::Kind;
use crate::text::Shown;

/// How it stands with the user database that is asked. Times are in seconds since 1970-01-01 UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which one it is.
    pub kind: Kind,
    /// The file by which it is reached.
    pub file: String,
    /// Where its server is, when the process that asks it has said it.
    pub server: Option<String>,
    /// What its server calls it; known from its first answer on.
    pub name: Option<String>,
    /// When it was asked last.
    pub asked: u64,
    /// When it answered last.
    pub answered: Option<u64>,
    /// Since when it has not answered, and why not, as of the last time.
    pub failing: Option<(u64, String)>,
    /// When rows were seen that were not there before.
    pub changed: Option<u64>,
    /// The rows of the last answer, as a number.
    print: Option<u64>,
}

impl Standing {
    /// Of one that was never asked.
    pub fn new(kind: Kind, file: String) -> Standing {
        let (server, name, answered, failing, changed, print) = Default::default();
        Standing { kind, file, server, name, asked: 0, answered, failing, changed, print }
    }

    /// It was asked; the rows of the answer are this number.
    pub fn asked(&mut self, now: u64, server: Option<String>, answer: Result<(&Snapshot, u64), &Trouble>) {
        self.asked = now;
        // One that did not come so far does not say it.
        self.server = server.or(self.server.take());
        match answer {
            Ok((snapshot, print)) => {
                let name = &snapshot.about().name;
                let kind = [self.kind.option().as_bytes(), b" "].concat();
                self.name = Some(Shown(name.strip_prefix(&kind[..]).unwrap_or(name)).to_string());
                (self.answered, self.failing) = (Some(now), None);
                if self.print.replace(print).is_some_and(|before| before != print) {
                    self.changed = Some(now);
                }
            }
            Err(cause) => {
                let since = self.failing.take().map_or(now, |(since, _)| since);
                self.failing = Some((since, cause.to_string()));
            }
        }
    }
}
