//! Any bytes as a box's words.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lease_ssh::fuzzing::remote(input));
