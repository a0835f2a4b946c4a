//! Any bytes as a row of fal's answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lease_fuzz::fal(input));
