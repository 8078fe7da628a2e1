//! What the two tables hold, and how qmail-smtpd reads them.

pub mod logins;
pub mod others;
pub mod recipients;
pub mod smtpd;
