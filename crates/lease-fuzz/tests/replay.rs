//! What the fuzzers kept, and variations of it, on any toolchain.

use lease_testkit::corpus::replay;

#[test]
fn no_bytes_break_the_reading_of_a_journal() {
    replay("journal", 2_000, lease_fuzz::journal);
}

#[test]
fn no_answer_breaks_the_judgement_of_http() {
    replay("http", 2_000, lease_fuzz::http);
}

#[test]
fn i2_no_unreadable_answer_of_hetzner_proves_anything() {
    replay("hetzner", 2_000, lease_fuzz::hetzner);
}

#[test]
fn i2_no_unreadable_answer_of_fal_proves_anything() {
    replay("fal", 2_000, lease_fuzz::fal);
}
