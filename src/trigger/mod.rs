//! What makes the service rebuild: lines and touches on a named pipe, changes that nobody announced, and the clock.

pub mod fifo;
pub mod notice;
pub mod poke;
pub mod schedule;
pub mod watch;
