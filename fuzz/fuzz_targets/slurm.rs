//! Any bytes as a cluster's words.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lease_slurm::fuzzing::slurm(input));
