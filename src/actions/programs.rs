//! The programs in the directory of actions: which are run for what, and who may have put them there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::{Trouble, show_path};
use crate::fs::trust::{Distrust, Trust};
use crate::fs::{End, Kind};
use crate::report::{Code, Note};
use crate::settings::Settings;

/// What is seen, as files of the folder are named.
const SEEN: [&str; 8] =
    ["add_domain", "del_domain", "add_alias_domain", "add_user", "del_user", "mod_user", "insert_alias", "del_alias"];
/// The file that is run for each of them.
const ANY: &str = "any";
/// How a name ends that runs as root.
pub(super) const AS_ROOT: &str = ".root";

/// The programs of the folder that are run.
pub(super) struct Programs(BTreeMap<String, PathBuf>);

/// The note of why nothing there is run, with what follows from each.
fn note(why: Distrust, open: &str, unseen: &str) -> Note {
    match why {
        Distrust::Open(why) => Note::alert(format!("{why}; {open}")).of(Code::ActionUntrusted),
        Distrust::Unseen(why) => {
            Note::alert(format!("{why}; {unseen}")).of(Code::ActionUnreadable).but_denied(why.denied)
        }
    }
}

/// What keeps actions from being run, by what lies in their folder.
pub fn findings(settings: &Settings) -> Vec<Note> {
    let root = &settings.layout.root;
    if settings.actions_named && matches!(root.walk(&settings.actions).end, End::Missing(_)) {
        let shown = root.path(&settings.actions);
        return vec![
            Note::alert(format!("{}: no such directory; no action of --actions runs", show_path(&shown)))
                .of(Code::ActionDirectory),
        ];
    }
    Programs::find(settings).map_or_else(|note| vec![note], |(_, notes)| notes)
}

impl Programs {
    /// Those of the folder, and what is wrong with others there; none when there is no folder.
    ///
    /// # Errors
    /// Somebody else could have put them there: an alert that says why.
    pub(super) fn find(settings: &Settings) -> Result<(Programs, Vec<Note>), Note> {
        let root = &settings.layout.root;
        let (mut programs, mut notes) = (Programs(BTreeMap::new()), Vec::new());
        if matches!(root.walk(&settings.actions).end, End::Missing(_)) {
            return Ok((programs, notes));
        }
        let distrusted = |why: Distrust| {
            let open = "no action runs until the directory of actions, and all above it, belongs to root alone";
            note(why, open, "no action runs until the directory of actions can be read")
        };
        let directory = Trust::default().find(root, &settings.actions).map_err(distrusted)?;
        let listed = directory.open_directory().and_then(|opened| opened.entries(|_| true));
        let shown = show_path(&root.path(&settings.actions)).to_string();
        let listed = listed.map_err(|cause| distrusted(Distrust::Unseen(Trouble::from(&cause).of_file(shown))))?;
        for (name, _) in listed {
            let inside = [&settings.actions[..], b"/", &name].concat();
            let shown = show_path(&root.path(&inside)).to_string();
            let is_program = match root.walk(&inside).end {
                End::Found(found) => Ok(found.kind == Kind::Regular && found.perm.mode & 0o111 != 0),
                End::Missing(cause) | End::Failed(cause) => Err(Trouble::from(cause)),
                End::Silent(silence) => Err(silence.to_string().into()),
            };
            let name = String::from_utf8_lossy(&name).into_owned();
            let event = name.strip_suffix(AS_ROOT).unwrap_or(&name);
            match (event == ANY || SEEN.contains(&event), is_program) {
                (true, Ok(true)) => match Trust::default().find(root, &inside) {
                    Ok(found) => drop(programs.0.insert(name, found.real)),
                    Err(why) => {
                        let follows = format!("{shown} is not run");
                        notes.push(note(why, &follows, &follows));
                    }
                },
                (true, Err(cause)) => {
                    notes.push(
                        Note::alert(format!("{shown}: {cause}; it is not run"))
                            .of(Code::ActionUnreadable)
                            .but_denied(cause.denied),
                    );
                }
                (true, Ok(false)) => notes
                    .push(Note::alert(format!("{shown}: no executable file, so it is never run")).of(Code::ActionMode)),
                (false, Ok(true)) => {
                    let seen = SEEN.join(", ");
                    let text = format!(
                        "{shown}: nothing is told by that name, so it is never run; the names are {seen}, {ANY}"
                    );
                    notes.push(Note::alert(text).of(Code::ActionName));
                }
                // Somebody's notes.
                (false, Ok(false) | Err(_)) => {}
            }
        }
        Ok((programs, notes))
    }

    /// Those that are run for an event, in order, and whether as root.
    pub(super) fn of(&self, event: &str) -> Vec<(&PathBuf, bool)> {
        let names =
            [event, ANY].into_iter().flat_map(|name| [(name.to_owned(), false), (format!("{name}{AS_ROOT}"), true)]);
        names.filter_map(|(name, as_root)| Some((self.0.get(&name)?, as_root))).collect()
    }
}
