//! What a thread may still do, by landlock(7).

use std::os::fd::AsFd;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, NetPort, PathBeneath, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

/// What is asked of the kernel; an older one gives what it has.
const KNOWN: ABI = ABI::V6;

/// What confines a thread, and those that it starts: it leaves them nothing that the kernel can take from them but what it
/// was told. Files that are open already stay usable.
pub struct Fence(Result<RulesetCreated, RulesetError>);

impl Fence {
    /// One that leaves nothing.
    pub fn of_nothing() -> Fence {
        let all = || {
            let rules = Ruleset::default().handle_access(AccessFs::from_all(KNOWN))?;
            rules.handle_access(AccessNet::from_all(KNOWN))?.scope(Scope::from_all(KNOWN))?.create()
        };
        Fence(all())
    }

    fn and(self, add: impl FnOnce(RulesetCreated) -> Result<RulesetCreated, RulesetError>) -> Fence {
        Fence(self.0.and_then(add))
    }

    /// Leaves what reads this file, or lists and reads what is below this directory.
    #[must_use]
    pub fn read(self, path: &Path) -> Fence {
        self.and(|rules| rules.add_rules(path_beneath_rules([path], reading())))
    }

    /// The same of a directory that is open.
    #[must_use]
    pub fn read_below(self, directory: impl AsFd) -> Fence {
        self.and(|rules| rules.add_rule(PathBeneath::new(directory, reading())))
    }

    /// Leaves what makes and writes files, directories and links below a directory that is open.
    #[must_use]
    pub fn make_below(self, directory: impl AsFd) -> Fence {
        let make = AccessFs::MakeDir | AccessFs::MakeReg | AccessFs::MakeSym | AccessFs::WriteFile;
        // To list it is to look at what is there; a file that cannot be finished goes again.
        let make = make | AccessFs::ReadDir | AccessFs::RemoveFile;
        self.and(|rules| rules.add_rule(PathBeneath::new(directory, make)))
    }

    /// Leaves connections to this TCP port.
    #[must_use]
    pub fn connect(self, port: u16) -> Fence {
        self.and(|rules| rules.add_rule(NetPort::new(port, AccessNet::ConnectTcp)))
    }

    /// From now on this thread, and those that it starts, can do nothing else. Why they still can is the answer.
    pub fn close(self) -> Option<String> {
        match self.0.and_then(|rules| Ok(rules.restrict_self()?.ruleset)) {
            Ok(RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced) => None,
            Ok(RulesetStatus::NotEnforced) => Some("Landlock is not available".to_owned()),
            Err(cause) => Some(format!("Landlock: {cause}")),
        }
    }
}

fn reading() -> BitFlags<AccessFs> {
    AccessFs::ReadFile | AccessFs::ReadDir
}
