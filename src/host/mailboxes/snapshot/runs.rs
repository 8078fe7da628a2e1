//! The first rows of each domain, if they come one after the other: they are written to their final place at once.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use nix::errno::Errno;

use super::grouping::GROUP;
use super::{Extent, File, Place};
use crate::host::mailboxes::rows::Entry;

/// Fewer rows than this are no run: if the rows come in another order, nearly every domain would have to be moved.
const RUN: usize = 8;

/// The runs of all domains: of each one its first rows, up to the next row of another domain.
pub(super) struct Runs {
    file: Arc<File>,
    /// The rows that are not in the file yet.
    waiting: Vec<u8>,
    /// Where in the file they go.
    written: u64,
    /// The marks of all rows.
    marks: Vec<u32>,
    /// The run whose rows come: its domain's number, and where it begins.
    current: Option<(u32, Place)>,
}

/// What becomes of a run that has come to its end.
pub(super) enum Ended {
    /// It keeps its place.
    Placed(u32, Place),
    /// It is none: its domain's number, its rows, and their marks.
    Short(u32, Vec<u8>, Vec<u32>),
}

impl Runs {
    pub(super) fn new(file: File) -> Runs {
        Runs { file: Arc::new(file), waiting: Vec::new(), written: 0, marks: Vec::new(), current: None }
    }

    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    pub(super) fn marks(&self) -> &[u32] {
        &self.marks
    }

    /// Where the next row goes.
    pub(super) fn end(&self) -> u64 {
        self.written + self.waiting.len() as u64
    }

    /// Whether the run of this domain goes on.
    pub(super) fn is_of(&self, number: u32) -> bool {
        self.current.is_some_and(|(current, _)| current == number)
    }

    /// Begins the run of a domain, after the end of the last one.
    pub(super) fn begin(&mut self, number: u32) {
        self.current = Some((number, Place { start: self.end(), marks: self.marks.len(), all: Extent::default() }));
    }

    /// Adds the next row of the run, with its mark; `all` is the extent of the run with this row.
    pub(super) fn add(&mut self, row: Entry<'_>, mark: u32, all: Extent) -> io::Result<()> {
        if self.waiting.len() + row.len() > GROUP {
            self.write()?;
        }
        row.add_to(&mut self.waiting);
        self.marks.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        self.marks.push(mark);
        if let Some((_, place)) = &mut self.current {
            place.all = all;
        }
        Ok(())
    }

    /// Ends the run, if there is one.
    pub(super) fn finish(&mut self) -> Option<Ended> {
        let (number, place) = self.current.take()?;
        // What is in the file already keeps its place.
        let short = place.start.checked_sub(self.written).filter(|_| place.all.rows < RUN);
        Some(match short.and_then(|at| usize::try_from(at).ok()) {
            Some(at) => Ended::Short(number, self.waiting.split_off(at), self.marks.split_off(place.marks)),
            None => Ended::Placed(number, place),
        })
    }

    /// Writes the rows that wait.
    pub(super) fn write(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.waiting, self.written)?;
        self.written = self.end();
        self.waiting.clear();
        Ok(())
    }

    /// Forgets the marks: they are kept elsewhere.
    pub(super) fn forget_marks(&mut self) {
        self.marks = Vec::new();
    }
}
