//! The threads that listen: to the pipes, to the watches, to signals, to what answers again. Each sends what it hears to the
//! loop, and ends when the loop does.

use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use signal_hook::consts::SIGHUP;
use signal_hook::iterator::Signals;

use super::tampering::{Change, Tables};
use super::watch::{Changed, Watch};
use super::worker::thread;
use crate::error::{Error, show_path};
use crate::fs::silence::Silence;
use crate::pipe::fifo::{Fifo, Heard};
use crate::publish;
use crate::rebuild::memory::Scope;
use crate::report::{self, Level};
use crate::settings::Settings;

/// How many events of a kind wait for the loop.
pub const QUEUE: usize = 1_000;

/// What was seen on the host.
pub enum Seen {
    /// This changed.
    Changed(Scope),
    /// Another program changed a published table.
    Tampered(Change),
}

/// What the loop hears.
pub struct Ears {
    /// The pipes.
    pub pipe: Receiver<Heard>,
    /// The host.
    pub host: Receiver<Seen>,
    /// Signals, by their numbers.
    pub signals: Receiver<i32>,
    /// So that no channel ends while the loop listens, whatever becomes of the threads.
    _open: (Sender<Heard>, Sender<Seen>),
}

/// The threads that end when this does.
pub struct Listeners {
    stops: Vec<OwnedFd>,
    ends: Vec<Sender<Infallible>>,
    pipes: Vec<JoinHandle<Fifo>>,
}

impl Listeners {
    /// Ends them, and removes the pipes that this service made.
    pub fn end(self) {
        drop((self.stops, self.ends));
        for pipe in self.pipes {
            if let Ok(fifo) = pipe.join() {
                fifo.remove();
            }
        }
    }
}

/// Starts to listen. `last` is how long the service may take to end once it has to.
///
/// # Errors
/// There is no thread, or no descriptor, for it.
pub fn listen(
    settings: &Settings,
    signals: Signals,
    fifos: Vec<Fifo>,
    watch: Option<Arc<Watch>>,
    tables: Arc<Tables>,
    last: Duration,
) -> Result<(Ears, Listeners), Error> {
    let (to_pipe, pipe) = bounded(QUEUE);
    let (to_host, host) = bounded(QUEUE);
    let mut listeners = Listeners { stops: Vec::new(), ends: Vec::new(), pipes: Vec::new() };
    let signals = listen_to_signals(signals, last)?;
    for fifo in fifos {
        let (stop, tell) = (listeners.stop()?, to_pipe.clone());
        listeners.pipes.push(thread(move || listen_to_pipe(fifo, &stop, &tell))?);
    }
    tell_when_back(settings, to_host.clone());
    let (stop, tell, looked, watched) = (listeners.stop()?, to_host.clone(), tables.clone(), watch.clone());
    // In a thread of its own: the file system that they are on may not answer.
    thread(move || {
        looked.look(watched.as_deref(), &stop, &mut |change| {
            // What does not fit is seen again at the next look.
            let _ = tell.try_send(Seen::Tampered(change));
        });
    })?;
    if let Some(watch) = watch {
        let (stop, mounts) = (listeners.stop()?, watch.clone());
        thread(move || mounts.listen_to_mounts(&stop))?;
        let (stopped, stop) = bounded(1);
        listeners.ends.push(stopped);
        let (tell, resting) = (to_host.clone(), settings.layout.root.resting.clone());
        thread(move || {
            watch.listen(&stop, &mut |changed| {
                let tampered = changed.contains(&Changed::Published).then(|| tables.change()).flatten();
                if let Some(change) = tampered {
                    let _ = tell.send(Seen::Tampered(change));
                }
                // Each rebuild asks the user database.
                let is_database = changed.contains(&Changed::Database);
                let mut scope = Scope::default();
                for changed in changed {
                    match changed {
                        // One that rests is read when it is due.
                        Changed::Home(path) if resting.puts_off(&path) => {}
                        Changed::Home(path) => scope.add(Scope::home(path)),
                        Changed::Published | Changed::Database => {}
                        Changed::Anything => scope.add(Scope::All),
                    }
                }
                if is_database || scope != Scope::default() {
                    // When the loop does not listen for long, what changes is kept, each change once.
                    let _ = tell.send(Seen::Changed(scope));
                }
            });
        })?;
    }
    Ok((Ears { pipe, host, signals, _open: (to_pipe, to_host) }, listeners))
}

impl Listeners {
    /// What tells one more thread to end.
    fn stop(&mut self) -> Result<OwnedFd, Error> {
        let (stopped, stop) =
            std::io::pipe().map_err(|cause| Error::io("make a pipe for", &PathBuf::from("a thread"), cause))?;
        self.stops.push(stop.into());
        Ok(stopped.into())
    }
}

fn listen_to_pipe(fifo: Fifo, stop: &OwnedFd, tell: &Sender<Heard>) -> Fifo {
    fifo.listen(stop, &mut |heard| {
        let _ = match heard {
            // What it announces must not be lost.
            Heard::Notices(..) => tell.send(heard).is_ok(),
            // What does not fit is covered by what is queued: each of it brings a rebuild that starts later.
            _ => tell.try_send(heard).is_ok(),
        };
    })
}

fn listen_to_signals(mut signals: Signals, last: Duration) -> Result<Receiver<i32>, Error> {
    let (tell, heard) = bounded(QUEUE);
    thread(move || {
        signals.forever().all(|signal| {
            if signal != SIGHUP {
                end_in_time(last);
            }
            tell.send(signal).is_ok()
        })
    })?;
    Ok(heard)
}

/// Ends the service also when the loop itself waits for what does not answer: where its state is, for example.
fn end_in_time(last: Duration) {
    let end = move || {
        std::thread::sleep(last + last / 2);
        report::say(
            Level::Alert,
            "ended without a last word in the status file: something that it needs does not answer",
        );
        publish::remove_all_temporary();
        report::flush(last / 4);
        std::process::exit(0)
    };
    // Without it the service ends as soon as it can.
    let _ = thread(end);
}

/// Looks at everything as soon as something may answer again.
fn tell_when_back(settings: &Settings, tell: Sender<Seen>) {
    settings.layout.root.silences.when_back(move |silences| {
        let shown = |silence: &Silence| show_path(&silence.place).to_string();
        for silence in silences {
            report::say(Level::Status, &format!("{}: may answer again; a full check follows", shown(silence)));
        }
        let _ = tell.send(Seen::Changed(Scope::All));
    });
}
