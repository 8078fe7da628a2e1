//! Why an entry stays although the host does not say it any more.

pub mod guard;
pub mod hold;
pub mod retain;
