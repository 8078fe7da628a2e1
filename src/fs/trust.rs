//! Who can have put there what a path leads to. The owner of a directory can put into it his own files, links to anything,
//! hard links to files that are not his (where fs.protected_hardlinks is 0), and what he moves within his directories. So
//! what is in a home directory counts as its owner's only when it belongs to him, and a link counts when what it leads to
//! belongs to the owner of the link.

use nix::unistd::{getegid, geteuid};

use super::{End, Found, Opened, Perm, Root, Who};
use crate::error::{Trouble, show_path};

/// Whether the uid is neither root's nor that of this process.
pub fn is_foreign(uid: u32) -> bool {
    uid != 0 && uid != geteuid().as_raw()
}

/// Why a program that we would start is not trusted.
#[derive(Debug)]
pub enum Distrust {
    /// Another user could have put it there: how.
    Open(String),
    /// It cannot be seen who could: why.
    Unseen(Trouble),
}

/// Who may have put there a program that we start: root and we.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trust {
    /// And those who can change the file of the program that runs, which has these permissions: they could have changed what
    /// we do in any case. It is used in many places, so a group of our own and directories such as /tmp are no doubt either.
    pub program: Option<Perm>,
}

impl Trust {
    fn is_foreign(&self, uid: u32) -> bool {
        is_foreign(uid) && self.program.is_none_or(|program| program.uid != uid)
    }

    /// Why others can change what is there, in words. `is_sticky`: it is a directory, and what is in it is another one, so its
    /// sticky bit keeps others from replacing that.
    fn doubt(&self, perm: &Perm, is_sticky: bool) -> Option<String> {
        let is_own_group = self.program.is_some_and(|program| {
            let is_of_program = program.mode & 0o020 != 0 && program.gid == perm.gid;
            perm.gid == 0 || perm.gid == getegid().as_raw() || is_of_program
        });
        let others = match self.program {
            Some(_) if is_sticky && perm.mode & 0o1000 != 0 => 0,
            Some(_) if is_own_group => 0o002,
            Some(_) | None => 0o022,
        };
        match perm {
            perm if self.is_foreign(perm.uid) => Some(format!("it belongs to uid {}", perm.uid)),
            perm if perm.mode & others != 0 => Some(format!("others may write it (mode {:04o})", perm.mode)),
            _ => None,
        }
    }

    /// What is at `inside`, when nobody else could have put something there.
    ///
    /// # Errors
    /// Another user could, or it cannot be seen.
    pub fn find(&self, root: &Root, inside: &[u8]) -> Result<Found, Distrust> {
        let ends = inside.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at.max(1));
        let parent = inside.iter().rposition(|b| *b == b'/').map_or(0, |at| at.max(1));
        for end in ends.chain([inside.len()]) {
            let part = &inside[..end];
            let unseen = |trouble: Trouble| Err(Distrust::Unseen(trouble.of_file(show_path(&root.path(part)))));
            let found = match root.walk(part).end {
                End::Found(found) => found,
                End::Missing(cause) | End::Failed(cause) => return unseen(Trouble::from(cause)),
                End::Silent(silence) => return unseen(Trouble::from(silence.to_string())),
            };
            if let Some(why) = self.doubt(&found.perm, end < parent) {
                return Err(Distrust::Open(format!("{}: {why}", show_path(&root.path(part)))));
            }
        }
        let walk = root.walk(inside);
        let last = walk.searched.len().saturating_sub(1);
        let linked = walk.searched.iter().enumerate().find_map(|(at, perm)| self.doubt(perm, at < last));
        let foreign = walk.link_owners.iter().find(|uid| self.is_foreign(**uid));
        let linked = linked.or(foreign.map(|uid| format!("it is uid {uid}'s")));
        let shown = root.path(inside);
        let unseen = |trouble: Trouble| Err(Distrust::Unseen(trouble.of_file(show_path(&shown))));
        match (linked, walk.end) {
            (None, End::Found(found)) => Ok(found),
            (Some(why), _) => {
                Err(Distrust::Open(format!("{}: a link or directory on the way: {why}", show_path(&shown))))
            }
            (None, End::Missing(cause) | End::Failed(cause)) => unseen(Trouble::from(cause)),
            (None, End::Silent(silence)) => unseen(Trouble::from(silence.to_string())),
        }
    }
}

/// A link that was followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    /// Its owner.
    pub owner: u32,
    /// The owner of the directory that it is in, who can rename it.
    pub above: u32,
    /// The owner of what it leads to.
    pub to: u32,
}

impl Link {
    /// Whether it leads to what is neither its own owner's nor of this uid; root and we may lead anywhere.
    fn leads_away(&self, uid: u32) -> bool {
        is_foreign(self.owner) && self.owner != self.to && self.owner != uid
    }
}

/// What a walk to a directory met.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Way {
    /// Permissions of each directory that a name was looked up in, the root aside.
    pub searched: Vec<Perm>,
    /// Each link that was followed.
    pub links: Vec<Link>,
}

/// Whether the file of a home directory is its owner's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// It is.
    Own,
    /// It is not, in these words; the uids of the domain can read it.
    Readable(String),
    /// It is not, in these words, and a uid of the domain cannot read it.
    Closed(String),
}

/// A home directory, the way to it, and the uids that users/assign gives it.
#[derive(Debug)]
pub struct Place<'a> {
    /// The way to it.
    pub way: &'a Way,
    /// Its own permissions.
    pub perm: Perm,
    /// Those that users/assign names for it; of most one.
    pub assigned: &'a [Who],
}

impl Place<'_> {
    fn is_assigned(&self, uid: u32) -> bool {
        self.assigned.iter().any(|who| who.uid == uid)
    }

    /// Who can have renamed something of another owner to it: the owner of the directory that it is in, or that a link on
    /// the way is in.
    fn mover(&self) -> Option<u32> {
        let parent = self.way.searched.last().map(|perm| perm.uid);
        parent.into_iter().chain(self.way.links.iter().map(|link| link.above)).find(|uid| is_foreign(*uid))
    }

    /// Whether others than the owner and the group of the domain can put something into the directory.
    fn is_open(&self) -> bool {
        let Perm { mode, gid, .. } = self.perm;
        let is_own_group = gid == 0 || self.assigned.iter().any(|who| who.gid == gid);
        mode & 0o002 != 0 || (mode & 0o020 != 0 && !is_own_group)
    }

    /// Why the directory itself may be another's, in words.
    pub fn doubt(&self) -> Option<String> {
        let own = self.perm.uid;
        if let Some(Link { owner, to, .. }) = self.way.links.iter().find(|link| link.leads_away(own)) {
            return Some(format!("a link on the way belongs to uid {owner}, and what it leads to, to uid {to}"));
        }
        match self.mover().filter(|uid| *uid != own) {
            Some(uid) if is_foreign(own) && !self.is_assigned(own) => Some(format!(
                "it belongs to uid {own}, users/assign names another uid, and uid {uid} can have moved it"
            )),
            _ => None,
        }
    }

    /// Whether a file in it belongs to its owner, and the owner alone can have put it there.
    pub fn owns(&self, file: &Perm) -> bool {
        file.uid == self.perm.uid && !self.is_open() && self.doubt().is_none()
    }

    /// Whether a uid of the domain may not list it, by the modes.
    pub fn is_closed(&self) -> bool {
        let may = |who: &Who| {
            let may_reach = self.way.searched.iter().all(|above| above.searchable(*who));
            who.uid == 0 || (may_reach && self.perm.searchable(*who) && self.perm.readable(*who))
        };
        !self.assigned.iter().all(may)
    }

    /// Whose a file in it is, to which these links led from its name.
    pub fn ownership(&self, file: &Opened, links: &[Link]) -> Ownership {
        let Some(why) = self.doubt().or_else(|| self.doubt_of_file(file, links)) else { return Ownership::Own };
        if self.can_read(file) { Ownership::Readable(why) } else { Ownership::Closed(why) }
    }

    /// Whether the uids of the domain can read a file: root may in any case, qmail's programs may not.
    fn can_read(&self, file: &Opened) -> bool {
        self.assigned.iter().all(|who| who.uid == 0 || file.perm.readable(*who))
    }

    fn doubt_of_file(&self, file: &Opened, links: &[Link]) -> Option<String> {
        let (own, its) = (self.perm.uid, file.perm.uid);
        if let Some(Link { owner, .. }) = links.iter().find(|link| link.leads_away(its)) {
            return Some(format!("a link of uid {owner} leads to a file of uid {its}"));
        }
        // In a directory that only root writes, below such ones, root put every file.
        let is_roots = !is_foreign(own) && !self.is_open() && self.mover().is_none() && links.is_empty();
        let is_the_domains = !is_foreign(own) && self.is_assigned(its);
        // Root edits the files of vpopmail's directories. One with a second name may be a hard link to another file of root.
        // One that the domain's uid cannot read may have been moved here; what it can read, it could copy as well.
        let is_roots_alone = !is_foreign(its) && file.links == 1 && links.is_empty() && self.can_read(file);
        if its != own && !is_roots && !is_the_domains && !is_roots_alone {
            return Some(format!("a file of uid {its} in a directory of uid {own}"));
        }
        if let Some(uid) = self.mover().filter(|_| !is_foreign(own) && !self.is_assigned(its)) {
            return Some(format!("it belongs to uid {its}, and uid {uid} can have moved its directory"));
        }
        (file.links > 1 && self.is_open())
            .then(|| format!("it has {} names, and others can write in its directory", file.links))
    }
}
