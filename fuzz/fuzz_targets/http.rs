//! Any bytes as an answer over HTTP.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lease_fuzz::http(input));
