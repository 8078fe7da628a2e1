//! What only the operating system does: locks, programs, confinement, and the calls that no safe library has.

pub mod confine;
pub mod lock;
pub mod raw;
pub mod spawn;
pub mod stop;
