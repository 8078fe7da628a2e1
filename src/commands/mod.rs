//! The commands that an administrator types: each asks, and prints its answer.

pub mod answers;
pub mod check;
pub mod circles;
pub mod compare;
pub mod database;
pub mod demo;
pub mod explain;
pub mod faults;
pub mod few;
pub mod findings;
pub mod forwards;
pub mod hints;
pub mod holds;
pub mod list;
pub mod lookup;
pub mod mail;
pub mod onward;
pub mod overview;
pub mod screen;
pub mod status;
pub mod user;
