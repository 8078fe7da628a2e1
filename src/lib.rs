//! qmail-updater
#![deny(unsafe_code)]
pub mod cli;
pub mod settings;
pub mod text;
pub mod root;
pub mod error;
pub mod report;
pub mod cdb;
pub mod smtpd;
pub mod host;
pub mod delivery;
pub mod recipients;
pub mod logins;
pub mod publish;
pub mod commands;
pub mod rebuild;
pub mod answers;
