//! A corpus of a fuzzer as an ordinary test: each input that was kept, and some that are made of them, always the same.
//!
//! The fuzzers themselves need a nightly toolchain and time; this is what runs wherever the tests run.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

/// Where the inputs are: a directory for each target.
const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/fuzz");

/// No input of a test is longer.
const INPUT_BYTES_MAX: usize = 64 * 1024;

/// What is put into inputs: what begins, ends, separates or overflows something in one of the formats.
const TOKENS: &[&[u8]] = &[
    b"\0",
    b"\n",
    b"\r\n",
    b" ",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b"/",
    b"../",
    b"-",
    b"\x1e",
    b"\xff",
    b"\xc3\xa9",
    b"null",
    b"0",
    b"-1",
    b"4294967296",
    b"18446744073709551615",
    b"99999999999999999999",
    b"1e999",
];

/// Gives `entry` each input that is kept for `target`, and then so many that are made of them.
///
/// # Panics
/// When nothing is kept for the target, and with the input when `entry` panics.
pub fn replay(target: &str, mutants: u64, entry: impl Fn(&[u8])) {
    let kept = kept(target);
    assert!(!kept.is_empty(), "{CORPUS}/{target} holds no input");
    for (name, input) in &kept {
        attempt(&format!("{target}/{name}"), input, &entry);
    }
    for number in 0..mutants {
        let mut dice = Dice(number ^ 0x6c65_6173_652d_667a);
        let input = mutant(&kept, &mut dice);
        attempt(&format!("{target}, mutant {number}"), &input, &entry);
    }
}

/// What is kept for a target, by name.
fn kept(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = PathBuf::from(CORPUS).join(target);
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut kept: Vec<_> = entries
        .filter_map(|it| {
            Some((it.file_name().to_string_lossy().into_owned(), fs::read(it.path()).ok()?))
        })
        .collect();
    kept.sort();
    kept
}

fn attempt(name: &str, input: &[u8], entry: &impl Fn(&[u8])) {
    let done = catch_unwind(AssertUnwindSafe(|| entry(input)));
    assert!(
        done.is_ok(),
        "the input that did this is {name}; as a literal: b\"{}\"",
        input.escape_ascii()
    );
}

/// An input made of one that is kept by a few changes, sometimes with a part of another.
fn mutant(kept: &[(String, Vec<u8>)], dice: &mut Dice) -> Vec<u8> {
    let one = |dice: &mut Dice| kept.get(dice.below(kept.len())).map(|(_, it)| it.as_slice());
    let mut input = one(dice).unwrap_or_default().to_vec();
    for _ in 0..=dice.below(6) {
        let (from, to) = range(&input, dice);
        match dice.below(7) {
            0 => input.truncate(from),
            1 => drop(input.drain(from..to)),
            2 => {
                let part = input[from..to].to_vec();
                drop(input.splice(to..to, part));
            }
            3 => {
                let token = TOKENS.get(dice.below(TOKENS.len())).copied().unwrap_or_default();
                let until = if dice.below(2) == 0 { from } else { to };
                drop(input.splice(from..until, token.iter().copied()));
            }
            4 => {
                let other = one(dice).unwrap_or_default();
                let (begin, end) = range(other, dice);
                drop(input.splice(from..from, other[begin..end].iter().copied()));
            }
            5 => input[from..to].reverse(),
            _ => {
                let bit = 1_u8 << dice.below(8);
                input.iter_mut().skip(from).take(1).for_each(|it| *it ^= bit);
            }
        }
        input.truncate(INPUT_BYTES_MAX);
    }
    input
}

/// Two places in a text, the first one first; they are mostly near each other.
fn range(of: &[u8], dice: &mut Dice) -> (usize, usize) {
    let from = dice.below(of.len() + 1);
    let longest = if dice.below(4) == 0 { of.len() + 1 } else { 16 };
    let length = dice.below(longest);
    (from, (from + length).min(of.len()))
}

/// The generator `SplitMix64`, which is the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let drawn = (mixed ^ (mixed >> 31)) % u64::try_from(count.max(1)).unwrap_or(1);
        usize::try_from(drawn).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutants_differ_from_each_other_and_are_the_same_each_time() {
        let kept = [("a".to_owned(), b"{\"v\":1,\"seq\":1}\n".to_vec())];
        let draw = || (0..64).map(|it| mutant(&kept, &mut Dice(it))).collect::<Vec<_>>();
        assert_eq!(draw(), draw());
        let mut distinct = draw();
        distinct.sort();
        distinct.dedup();
        assert!(distinct.len() > 40, "{} of 64", distinct.len());
    }

    #[test]
    fn a_panic_names_its_input() {
        let failed = catch_unwind(|| attempt("here", b"a\0", &|_| assert_eq!(1, 2))).unwrap_err();
        let said = failed.downcast_ref::<String>().unwrap();
        assert!(said.contains("here") && said.contains(r#"b"a\x00""#), "{said}");
    }

    #[test]
    fn a_target_without_a_corpus_is_a_failure() {
        assert!(catch_unwind(|| replay("no-such-target", 0, |_| {})).is_err());
    }
}
