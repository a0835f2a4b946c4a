//! Any bytes as a configuration file.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lease_cli::fuzzing::config(input));
