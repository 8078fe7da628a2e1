//! Clients of the front ends: the first byte names the protocol, the others are what a client sends.

#![no_main]

use libfuzzer_sys::fuzz_target;
use qmail_updater_fuzz::front_ends::judge;

fuzz_target!(|input: &[u8]| judge(input));
