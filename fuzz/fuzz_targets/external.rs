//! Any bytes as an adapter's answer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lease_external::fuzzing::external(input));
