//! The named pipe, both ends: what the service hears there, and what `trigger` writes.

pub mod fifo;
pub mod notice;
pub mod write;
