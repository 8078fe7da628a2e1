//! The seam: where a domain's mailboxes, aliases, limits and logins come from. [`Source`] tells it for the whole host, and
//! [`Users`] is what it says of one domain. Only the reading of a home directory asks which source it is.

pub mod collation;
pub mod rows;
pub mod snapshot;
pub mod stream;

use std::path::PathBuf;
use std::sync::Arc;

use super::vpopmail::Mailboxes;
use crate::error::Trouble;
use crate::report::Note;
use rows::Rows;
use snapshot::Snapshot;

/// Where vpopmail keeps its users, and how they are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// In the files of each domain directory.
    #[default]
    Files,
    /// In a user database, of which this snapshot was taken.
    Snapshot(Arc<Snapshot>),
    /// Elsewhere, where this program does not read: what showed that.
    Elsewhere(Trouble),
    /// The file that would tell cannot be read, or VPOPMAIL is missing or empty, and nothing else tells: which, and why.
    Unknown(PathBuf, Trouble),
}

impl Source {
    /// Where the users are that are not read.
    pub fn elsewhere(&self) -> Option<&Trouble> {
        match self {
            Source::Elsewhere(cause) => Some(cause),
            Source::Files | Source::Snapshot(_) | Source::Unknown(..) => None,
        }
    }

    /// Why it is unknown, and the alert that says so, when it is.
    pub fn unknown(&self) -> Option<(&Trouble, Note)> {
        let Source::Unknown(_, cause) = self else { return None };
        let follows = "what is published of them is kept; --backend can say it";
        let text = format!("{cause}; where vpopmail keeps its users is unknown; {follows}");
        Some((cause, Note::alert(text).but_denied(cause.denied)))
    }

    /// The file that would tell, and may not be read by this process, which is not root.
    pub fn closed(&self) -> Option<&PathBuf> {
        match self {
            Source::Unknown(file, cause) if cause.denied => Some(file),
            Source::Files | Source::Snapshot(_) | Source::Elsewhere(_) | Source::Unknown(..) => None,
        }
    }

    /// The snapshot, where the users are in a user database that is read.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        match self {
            Source::Snapshot(snapshot) => Some(snapshot),
            Source::Files | Source::Elsewhere(_) | Source::Unknown(..) => None,
        }
    }
}

/// What the source says of one domain.
#[derive(Clone, Debug)]
pub struct Users {
    /// The domain under which the user database has them; `None` when the files of a home directory hold them, which are
    /// those of each of its domains.
    pub of: Option<Vec<u8>>,
    /// Its mailboxes.
    pub mailboxes: Mailboxes,
    /// Its aliases that the user database holds.
    pub aliases: Rows,
    /// The domain's limits as flags, or why they could not be read.
    pub limits: Result<u64, Trouble>,
    /// Why no login is taken from its mailboxes, though they decide about mail: they may be another's.
    pub logins: Result<(), Trouble>,
}

impl Users {
    /// Those of the files of a home directory.
    pub fn of_files(mailboxes: Mailboxes) -> Users {
        Users { of: None, mailboxes, aliases: Rows::default(), limits: Ok(0), logins: Ok(()) }
    }
}
