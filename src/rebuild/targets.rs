//! Where both tables go: found, locked and held against what must not be overwritten before anything is read; the new files
//! are begun there, and put in the place of the old ones at the end.

use std::thread::Builder;

use crate::cdb::Chunk;
use crate::error::{Error, show_path};
use crate::fs::Stamp;
use crate::os::lock;
use crate::os::stop::Stop;
use crate::publish::{Look, Ready, Staged, Target};
use crate::report::{self, Level};
use crate::settings::Settings;

use super::{Sink, TableDone, others, stays};

/// By what the published files are known again, where that is possible: validrcptto.cdb, auth.cdb.
pub type Stamps = (Option<Stamp>, Option<Stamp>);

/// Where both tables go, while no other rebuild runs.
pub(super) struct Targets {
    pub(super) recipients: (Target, Look),
    pub(super) logins: (Target, Look),
    _lock: lock::Lock,
}

impl Targets {
    /// Finds both and takes the lock.
    ///
    /// # Errors
    /// Another rebuild holds the lock too long, or something else is read or published where a table would go.
    pub(super) fn take(settings: &Settings) -> Result<Targets, Error> {
        let find = || -> Result<_, Error> { Ok((settings.recipients_target()?, settings.logins_target()?)) };
        // Another rebuild may hold the lock because they do not answer: they are not waited for twice.
        find().map_err(stays)?;
        let lock = lock::acquire(&settings.layout.root, &settings.state).map_err(stays)?;
        let (recipients, logins) = find().map_err(stays)?;
        if recipients.0.is_the_same(&logins.0) {
            return Err(stays(Error::Usage(format!(
                "{} and {} are the same file",
                show_path(&recipients.0.name),
                show_path(&logins.0.name)
            ))));
        }
        let sources = find_sources(settings).map_err(stays)?;
        let others = others::targets(settings).map_err(stays)?;
        let tables: Vec<&Target> = [&recipients.0, &logins.0].into_iter().chain(&others).collect();
        for (number, other) in tables.iter().enumerate().skip(2) {
            if let Some(same) = tables[..number].iter().find(|table| table.is_the_same(other)) {
                let (same, other) = (show_path(&same.name), show_path(&other.name));
                return Err(stays(Error::Usage(format!("{same} and {other} are the same file"))));
            }
        }
        for target in tables {
            if sources.iter().any(|source| source.is_the_same(target)) {
                let name = show_path(&target.name);
                let text = format!("{name} is read by qmail or vpopmail; no table is published in its place");
                return Err(stays(Error::Usage(text)));
            }
        }
        Ok(Targets { recipients, logins, _lock: lock })
    }

    /// Puts the new files in the place of the old ones. What became of both, and their stamps, are the answer.
    pub(super) fn publish(&self, recipients: Ready, logins: Ready) -> Result<((TableDone, TableDone), Stamps), Error> {
        let done = (TableDone::of(&self.recipients.0, &recipients), TableDone::of(&self.logins.0, &logins));
        let was_open = self.logins.0.is_open_to_all();
        let of_recipients = recipients.publish().map_err(stays)?;
        let of_logins = logins.publish().map_err(|error| match done.0.published {
            true => error.then(&format!("the new {} is published already", done.0.name)),
            false => stays(error),
        })?;
        if was_open {
            let name = show_path(&done.1.path);
            let text = format!("{name}: everybody on this host could read the hashes in it; its mode is fixed now");
            report::say(Level::Alert, &text);
        }
        for error in [of_recipients.unsynced, of_logins.unsynced].into_iter().flatten() {
            let error =
                error.then("the new file is published, but after a crash of the machine the old one may be there");
            report::say(Level::Alert, &error.to_string());
        }
        Ok((done, (of_recipients.stamp, of_logins.stamp)))
    }
}

/// Where the files are that no table may be published over. What is missing is no table, and neither is what does not
/// answer: where the tables are answers.
fn find_sources(settings: &Settings) -> Result<Vec<Target>, Error> {
    let (root, sources) = (settings.layout.root.clone(), settings.sources());
    let find = move || sources.iter().filter_map(|source| Target::find(&root, source).ok()).collect();
    settings.layout.root.silences.attempt(find).map_err(|cause| Error::undone(&cause))
}

/// The two new files.
pub(super) struct New<'a> {
    pub(super) recipients: Staged,
    pub(super) logins: Staged,
    /// Comes when the service has to end.
    stop: &'a Stop,
}

impl<'a> New<'a> {
    /// Begins both, and removes what an interrupted rebuild left beside them.
    pub(super) fn stage(targets: &Targets, stop: &'a Stop) -> Result<New<'a>, Error> {
        let stage = |(target, look): &(Target, Look)| {
            target.remove_litter()?;
            Staged::create(target, *look)
        };
        Ok(New { recipients: stage(&targets.recipients)?, logins: stage(&targets.logins)?, stop })
    }

    pub(super) fn finish(self) -> Result<(Ready, Ready), Error> {
        let (recipients, logins) = (self.recipients, self.logins);
        both(|| recipients.finish(), || logins.finish())
    }

    fn go_on(&self) -> Result<(), Error> {
        if self.stop.is_told() {
            return Err(Error::Temporary("the rebuild was given up, because the service ends".to_owned()));
        }
        Ok(())
    }
}

impl Sink for New<'_> {
    fn recipients(&mut self, records: &Chunk) -> Result<(), Error> {
        self.go_on()?;
        self.recipients.add(records)
    }

    fn logins(&mut self, records: &Chunk) -> Result<(), Error> {
        self.go_on()?;
        self.logins.add(records)
    }
}

/// Finishes both files side by side: most of it is waiting for the disk.
pub(super) fn both<R, L: Send>(
    recipients: impl FnOnce() -> Result<R, Error>,
    logins: impl FnOnce() -> Result<L, Error> + Send,
) -> Result<(R, L), Error> {
    std::thread::scope(|scope| {
        let logins = Builder::new().spawn_scoped(scope, logins).map_err(|cause| Error::thread(&cause))?;
        let recipients = recipients();
        let logins = logins.join().map_err(|_| Error::Temporary("a fault in this program".to_owned()))?;
        Ok((recipients?, logins?))
    })
}
