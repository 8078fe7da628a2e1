//! The seam: where a domain's mailboxes, aliases, limits and logins come from. [`Source`] tells it for the whole host, and
//! [`Users`] is what it says of one domain. Only the reading of a home directory asks which source it is.

pub mod alias;
pub mod collation;
pub mod connection;
pub mod rows;
pub mod snapshot;
pub mod standing;
pub mod stream;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use super::Layout;
use super::vpopmail::{Mailboxes, NO_SMTP, Vpasswd};
use crate::error::Trouble;
use crate::fs::budget::Budget;
use crate::report::{Code, Note};
use alias::Aliases;
use rows::Rows;
use snapshot::Snapshot;

/// The snapshot that counts: a newer one can take its place while the host stays as it was read.
#[derive(Clone, Debug)]
pub struct Latest(Arc<RwLock<Arc<Snapshot>>>);

impl Latest {
    /// This one, for now.
    pub fn new(snapshot: Arc<Snapshot>) -> Latest {
        Latest(Arc::new(RwLock::new(snapshot)))
    }

    /// It.
    pub fn get(&self) -> Arc<Snapshot> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets another one count.
    pub fn replace(&self, snapshot: Arc<Snapshot>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }
}

/// See [`Snapshot`].
impl PartialEq for Latest {
    fn eq(&self, other: &Latest) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Latest {}

/// Where vpopmail keeps its users, and how they are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// In the files of each domain directory.
    #[default]
    Files,
    /// In a user database, of which this snapshot was taken.
    Snapshot(Latest),
    /// In a user database that could not be read: which, and why.
    Failed(Trouble),
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
            Source::Files | Source::Snapshot(_) | Source::Failed(_) | Source::Unknown(..) => None,
        }
    }

    /// Why nothing is known of the users for now, and the alert that says so, when it is so.
    pub fn unknown(&self) -> Option<(&Trouble, Note)> {
        match self {
            Source::Unknown(_, cause) => {
                let follows = "what is published of them is kept; --backend can say it";
                let text = format!("{cause}; where vpopmail keeps its users is unknown; {follows}");
                Some((cause, Note::alert(text).of(Code::UserDatabaseUnknown).but_denied(cause.denied)))
            }
            Source::Failed(cause) => {
                let text = format!(
                    "{cause}; the user database could not be read; what is published of its users is kept; a domain of which \
                     nothing is published accepts every name"
                );
                Some((cause, Note::alert(text).of(Code::UserDatabaseFailed).but_denied(cause.denied)))
            }
            Source::Files | Source::Snapshot(_) | Source::Elsewhere(_) => None,
        }
    }

    /// Why no users are read, on the whole host.
    pub fn unread(&self) -> Option<&Trouble> {
        self.elsewhere().or_else(|| self.unknown().map(|(cause, _)| cause))
    }

    /// The file that would tell, and may not be read by this process, which is not root.
    pub fn closed(&self) -> Option<&PathBuf> {
        match self {
            Source::Unknown(file, cause) if cause.denied => Some(file),
            _ => None,
        }
    }

    /// The snapshot, where the users are in a user database that is read.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        match self {
            Source::Snapshot(latest) => Some(latest.get()),
            Source::Files | Source::Failed(_) | Source::Elsewhere(_) | Source::Unknown(..) => None,
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
    /// Its aliases that the user database holds, or why they could not be read.
    pub aliases: Result<Aliases, Trouble>,
    /// The domain's limits as flags, or why they could not be read.
    pub limits: Result<u64, Trouble>,
    /// Why no login is taken from its mailboxes, though they decide about mail: they may be another's.
    pub logins: Result<(), Trouble>,
    /// Whether its mailboxes are found whatever uid asks; else only by the uid of the domain's line in users/assign.
    pub for_any_uid: bool,
    /// The tables of its mailboxes and of its aliases, as people call them; empty when files hold them.
    pub tables: (PathBuf, PathBuf),
}

impl Users {
    /// Those of the files of a home directory.
    pub fn of_files(mailboxes: Mailboxes) -> Users {
        let (of, aliases, tables) = (None, Ok(Aliases::default()), Default::default());
        Users { of, mailboxes, aliases, limits: Ok(0), logins: Ok(()), for_any_uid: false, tables }
    }

    /// Those that a user database has under this domain, which may have no table if it is only an alias domain; `others` are the
    /// limits where it holds none of the domain. What its rows take is counted in this budget.
    pub fn of_database(
        snapshot: &Snapshot,
        (domain, is_only_alias): (&[u8], bool),
        others: Result<u64, Trouble>,
        (layout, budget): (&Layout, &Budget),
    ) -> Users {
        let counted = |counted: std::io::Result<()>| counted.map_err(|cause| Trouble::from(&cause));
        let read = || -> Result<(Rows, Aliases), Trouble> {
            counted(budget.bytes(snapshot.size(domain)))?;
            let mailboxes = match is_only_alias && snapshot.lacks_table(domain) {
                true => Rows::default(),
                false => snapshot.mailboxes(domain)?,
            };
            counted(budget.entries(mailboxes.len()))?;
            let aliases = Aliases::decide(snapshot.aliases(domain)?, &snapshot.about().of_alias, layout, budget);
            Ok((mailboxes, aliases.map_err(|cause| Trouble::from(&cause))?))
        };
        let (mailboxes, aliases) = match read() {
            Ok((mailboxes, aliases)) => (Mailboxes::Known(Vpasswd::Rows(mailboxes)), Ok(aliases)),
            Err(cause) => (Mailboxes::Unknown(cause.clone()), Err(cause)),
        };
        Users {
            of: Some(domain.to_vec()),
            mailboxes,
            aliases,
            limits: snapshot.limits(domain).map_or(others, |no_smtp| Ok(if no_smtp { NO_SMTP } else { 0 })),
            logins: Ok(()),
            for_any_uid: !snapshot.about().asks_uid(),
            tables: (snapshot.mailbox_table(domain), snapshot.alias_table()),
        }
    }

    /// Its aliases, where there are any and they are known.
    pub fn known_aliases(&self) -> Option<&Aliases> {
        self.aliases.as_ref().ok().filter(|aliases| !aliases.is_empty())
    }
}
