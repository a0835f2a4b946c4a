//! Any bytes as a lease's journal.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lease_fuzz::journal(input));
