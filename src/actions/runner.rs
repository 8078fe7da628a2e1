//! Runs what one round has to run: each program as the domain's owner, or as root, and the skeleton's copy.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::unistd::{getegid, geteuid};

use crate::error::show_path;
use crate::fs::{End, Who};
use crate::host::Layout;
use crate::kernel::own_program;
use crate::os::spawn::{self, Outcome, Task};
use crate::os::stop::Stop;
use crate::report::{self, Level, Note};
use crate::settings::Settings;
use crate::text::Shown;

use super::event::Event;
use super::programs::{AS_ROOT, Programs};
use super::shares::Shares;
use super::skel;

/// Why something was not run, which is owed now.
pub(super) enum Stopped {
    /// The service ends.
    Ends,
    /// This domain is put off to the next round, and only this one.
    PutOff,
}

/// Whether the domain was put off.
pub(super) fn is_put_off(run: Result<(), Stopped>) -> Result<bool, Stopped> {
    match run {
        Err(Stopped::Ends) => Err(Stopped::Ends),
        run => Ok(run.is_err()),
    }
}

/// What runs during one round.
pub(super) struct Runner<'a> {
    pub(super) settings: &'a Settings,
    /// Of the host as it was read.
    layout: &'a Layout,
    programs: Programs,
    stop: &'a Stop,
    /// Programs that ran out of their time for a domain, and get no second one there in this round: what stops them may
    /// be the domain's owner, who must not stop those of others.
    hung: BTreeSet<(PathBuf, Vec<u8>)>,
    /// Domains for which nothing more is run in this round.
    pub(super) put_off: BTreeSet<Vec<u8>>,
    /// Domains whose time in this round is used up, with their homes: the next round goes on with them.
    pub(super) waiting: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Who took how much time.
    pub(super) shares: &'a mut Shares,
    /// When what was done was written last.
    pub(super) saved: Instant,
    pub(super) failed: usize,
    pub(super) last_failure: Option<String>,
}

impl<'a> Runner<'a> {
    /// Nothing has been run yet.
    pub(super) fn new(
        settings: &'a Settings,
        layout: &'a Layout,
        programs: Programs,
        stop: &'a Stop,
        shares: &'a mut Shares,
    ) -> Runner<'a> {
        let (hung, put_off, waiting, saved) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new(), Instant::now());
        shares.begin(saved);
        let (failed, last_failure) = (0, None);
        Runner { settings, layout, programs, stop, hung, put_off, waiting, shares, saved, failed, last_failure }
    }

    /// Whether nothing more is run for the domain in this round.
    pub(super) fn has_stopped(&self, domain: &[u8]) -> bool {
        self.put_off.contains(domain) || self.waiting.contains_key(domain)
    }

    /// Runs everything that this event asks for.
    pub(super) fn run(&mut self, event: &Event<'_>) -> Result<(), Stopped> {
        let owner = event.of.who.uid;
        if !self.shares.may_begin(owner, event.domain, self.settings.action_limit, Instant::now()) {
            // What hung is told of as put off, and tried again less and less often.
            if let Some((program, _)) = self.hung.iter().find(|(_, domain)| domain == event.domain) {
                let name = show_path(program).to_string();
                return Err(self.put_off(event, &format!("{name}: has hung in this round")));
            }
            return Err(self.wait(event));
        }
        let began = Instant::now();
        let run = self.run_programs(event);
        self.shares.took(owner, event.domain, began.elapsed());
        run
    }

    /// Leaves what becomes of a domain, from this on, to the next round, which follows at once.
    fn wait(&mut self, event: &Event<'_>) -> Stopped {
        if self.waiting.insert(event.domain.to_vec(), event.of.home.clone()).is_none() {
            let text = format!(
                "the time of {} in this round of actions is used up; the next one goes on",
                Shown(event.domain)
            );
            report::say(Level::Status, &text);
        }
        Stopped::PutOff
    }

    fn run_programs(&mut self, event: &Event<'_>) -> Result<(), Stopped> {
        if let Some(directory) = &event.directory {
            self.copy_skeleton(event, directory)?;
        }
        let programs: Vec<(PathBuf, bool)> =
            self.programs.of(event.name).into_iter().map(|(program, as_root)| (program.clone(), as_root)).collect();
        for (program, as_root) in programs {
            let who = if as_root { Who { uid: 0, gid: 0 } } else { event.of.who };
            let root = &self.settings.layout.root;
            let argument = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
            let real = event.of.real.as_deref().unwrap_or(event.domain);
            let values = [
                argument(event.domain),
                argument(real),
                root.path(&event.of.home).into_os_string(),
                event.of.who.uid.to_string().into(),
            ];
            let environment = spawn::OF_DOMAIN.into_iter().zip(values).collect();
            let arguments = vec![event.name.into(), argument(&event.object), argument(&event.second), "after".into()];
            let task = Task { arguments, environment, ..Task::new(&program, Path::new("/"), self.stop) };
            self.run_as(event, who, as_root, task)?;
        }
        Ok(())
    }

    /// Copies the skeleton into the directory of a mailbox that appeared.
    fn copy_skeleton(&mut self, event: &Event<'_>, directory: &[u8]) -> Result<(), Stopped> {
        let layout = self.layout;
        if matches!(layout.root.walk(&skel::path(layout)).end, End::Missing(_)) {
            return Ok(());
        }
        let top = std::path::absolute(layout.root.top()).unwrap_or_else(|_| layout.root.top().to_owned());
        let argument = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let arguments = vec![
            "--root".into(),
            top.into_os_string(),
            // What it needs is said here.
            "--settings".into(),
            OsString::new(),
            "--vpopmail".into(),
            argument(&layout.vpopmail),
            "skel".into(),
            "--".into(),
            argument(&event.of.home),
            argument(directory),
        ];
        // Ourselves, whatever became of the file meanwhile.
        let program = own_program();
        let task = Task { arguments, label: Some("skel"), ..Task::new(&program, Path::new("/"), self.stop) };
        self.run_as(event, event.of.who, false, task)
    }

    fn run_as(&mut self, event: &Event<'_>, who: Who, as_root: bool, task: Task<'_>) -> Result<(), Stopped> {
        let name = task.label.map_or_else(|| show_path(task.program).to_string(), str::to_owned);
        let alert = |text: String| report::say_all(&[Note::alert(text)]);
        let own = (geteuid().as_raw(), getegid().as_raw());
        let owner = match (who.uid, who.gid) {
            (uid, gid) if !as_root && (uid == 0 || gid == 0) => {
                alert(format!(
                    "{name}: not run: {} belongs to root, so only files whose names end in {AS_ROOT} run for it",
                    Shown(event.domain)
                ));
                return Ok(());
            }
            owner if own.0 != 0 && owner != own => {
                alert(format!("{name}: not run: only root can run it as uid {}", who.uid));
                return Ok(());
            }
            owner => Some(owner),
        };
        if self.stop.is_told() {
            return Err(Stopped::Ends);
        }
        let (start, shown) = (Instant::now(), event.shown());
        let key = (task.program.to_owned(), event.domain.to_vec());
        if self.hung.contains(&key) {
            return Err(self.put_off(event, &format!("{name}: has hung in this round")));
        }
        let task = Task { owner, limit: self.settings.action_limit, ..task };
        let outcome = spawn::run(&task);
        match outcome {
            Outcome::Done => {
                let uid = who.uid;
                let text = format!("{name}: told of {shown} uid={uid} ms={}", start.elapsed().as_millis());
                report::say(Level::Status, &text);
            }
            // It is run again by the next service.
            Outcome::Failed { .. } if self.stop.is_told() => return Err(Stopped::Ends),
            Outcome::Failed { how, .. } => {
                if start.elapsed() >= self.settings.action_limit {
                    self.hung.insert(key);
                }
                let text = format!("{name}: {how}; told of {shown}; not run again");
                report::say(Level::Alert, &text);
                self.failed += 1;
                self.last_failure = Some(text);
            }
            Outcome::Missing => report::say_all(&[Note::warning(format!("{name}: gone, so not run"))]),
            Outcome::Later(how) => return Err(self.put_off(event, &format!("{name}: {how}"))),
        }
        Ok(())
    }

    /// Leaves what becomes of a domain, from this on, to the next round.
    fn put_off(&mut self, event: &Event<'_>, why: &str) -> Stopped {
        let (shown, domain) = (event.shown(), Shown(event.domain));
        let text = format!("{why}; {shown}, and what else changed of {domain}, is put off and tried again");
        report::say(Level::Alert, &text);
        self.put_off.insert(event.domain.to_vec());
        Stopped::PutOff
    }
}
