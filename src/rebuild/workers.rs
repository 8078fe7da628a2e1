//! The threads that read homes: as many as are useful while what they read is in memory, more when a disk has to be
//! waited for.

use nix::sys::resource::{UsageWho, getrusage};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::Error;
use crate::settings::Settings;

/// So many threads keep a disk busy; each of them has its own arena of memory, and homes in it.
const THREADS_FOR_DISK: usize = 8;
/// So many homes are asked before what came of them, which waits in memory, is added: threads that have nothing to do
/// between two batches have to be woken.
const HOMES_AT_ONCE: usize = 16;
/// Some of this is always read from disk, in blocks of 512 bytes a home; a home that is not in memory takes a few hundred.
const FEW_BLOCKS: i64 = 32;

/// Threads, or none but the caller's own.
pub struct Workers {
    pool: Option<ThreadPool>,
    threads: usize,
    /// Whether nobody said how many there are.
    may_grow: bool,
    /// What this process had read from disks when the last batch was begun, in blocks of 512 bytes.
    blocks: i64,
}

impl Workers {
    /// Starts as many as so many homes are worth.
    ///
    /// # Errors
    /// Threads that cannot be started.
    pub fn start(settings: &Settings, homes: usize) -> Result<Workers, Error> {
        let threads = settings.threads().min(homes.max(1));
        let pool = (threads > 1).then(|| start(threads)).transpose()?;
        Ok(Workers { pool, threads, may_grow: settings.threads.is_none(), blocks: blocks_read() })
    }

    /// How many homes are asked at once. More threads are started when the last batch had to wait for a disk: its homes
    /// were not in memory, and those that follow will not be either.
    ///
    /// # Errors
    /// Threads that cannot be started.
    pub fn next_batch(&mut self) -> Result<usize, Error> {
        let read = blocks_read() - std::mem::replace(&mut self.blocks, blocks_read());
        let few = i64::try_from(self.batch()).unwrap_or(i64::MAX).saturating_mul(FEW_BLOCKS);
        if self.may_grow && read > few && self.threads < THREADS_FOR_DISK {
            self.threads = THREADS_FOR_DISK;
            self.pool = Some(start(self.threads)?);
        }
        Ok(self.batch())
    }

    fn batch(&self) -> usize {
        HOMES_AT_ONCE.max(self.threads)
    }

    /// What comes of each, in their order.
    pub fn map<T: Send, R: Send>(&self, of: Vec<T>, work: impl Fn(T) -> R + Sync + Send) -> Vec<R> {
        match &self.pool {
            Some(pool) => pool.install(|| of.into_par_iter().map(work).collect()),
            None => of.into_iter().map(work).collect(),
        }
    }

    /// The same, while the caller's own thread does something else: what that keeps lies together, in the arena of one
    /// thread.
    pub fn map_beside<A, R: Send>(
        &self,
        beside: impl FnOnce() -> A,
        of: Vec<usize>,
        work: impl Fn(usize) -> R + Sync + Send,
    ) -> (A, Vec<R>) {
        match &self.pool {
            Some(pool) => {
                let mut found = Vec::new();
                let done = pool.in_place_scope(|scope| {
                    scope.spawn(|_| found = of.into_par_iter().map(work).collect());
                    beside()
                });
                (done, found)
            }
            None => (beside(), of.into_iter().map(work).collect()),
        }
    }
}

fn start(threads: usize) -> Result<ThreadPool, Error> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|cause| Error::Temporary(format!("unable to start {threads} threads: {cause}")))
}

/// What this process has read from disks, in blocks of 512 bytes; 0 where nobody counts.
fn blocks_read() -> i64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.block_reads())
}
