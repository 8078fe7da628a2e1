//! What only the operating system does: locks, programs, confinement, and the calls that no safe library has.

pub mod confine;
pub mod lock;
pub mod raw;
pub mod spawn;
pub mod stop;

/// The memory of every program of ours, whatever the C library: musl's own takes three times as long where threads share it.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;
