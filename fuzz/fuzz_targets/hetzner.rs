//! Any bytes as a row of Hetzner's answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lease_fuzz::hetzner(input));
