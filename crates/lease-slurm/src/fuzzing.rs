//! Any bytes as what Slurm, ssh, a job and the scripts of the desk say.
//!
//! The first byte chooses the reader. A fuzzer reaches this with `cfg(fuzzing)`; it is part of no other build.

use lease_core::{Marks, Status};

use crate::config::SlurmConfig;
use crate::endpoint::Endpoint;
use crate::error::SlurmError;
use crate::identity::{Home, Identity};
use crate::partition::{Partition, partitions};
use crate::pulse::{Pulse, pulse};
use crate::queue::{never_resolves, rows};
use crate::report::{Part, Report};
use crate::sighting::{Judgement, Seen};
use crate::submission::outcome;

const SHARED: &str = "/shared/lease";

/// Reads the bytes.
///
/// # Panics
/// When words that are no refusal of Slurm's prove that there is no job, when an answer that is not whole proves that
/// there is none, or when a published endpoint would be read as an option.
pub fn slurm(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    match choice {
        b'r' => whole_look(&text),
        b'e' => endpoint(&text),
        choice => command(*choice, &part_of(&text)),
    }
}

/// What one command left: its code in the first line, its output, and its errors behind a byte 0x1e.
fn part_of(text: &str) -> Part {
    let (code, said) = text.split_once('\n').unwrap_or((text, ""));
    let (stdout, stderr) = said.split_once('\u{1e}').unwrap_or((said, ""));
    Part {
        code: code.parse().unwrap_or(0),
        stdout: stdout.trim_end_matches('\n').to_owned(),
        stderr: stderr.to_owned(),
    }
}

fn command(choice: u8, part: &Part) {
    let is_clean = part.code == 0 && part.stderr.trim().is_empty();
    match choice {
        b's' => match outcome(part) {
            Ok(_) => assert_eq!(part.code, 0),
            Err(SlurmError::Refused { .. }) => {
                let said_so =
                    ["failed: ", "sbatch: error: ", "sbatch: unrecognized", "sbatch: option"];
                assert_ne!(part.code, 0);
                assert!(said_so.iter().any(|it| part.stderr.contains(it)), "nobody refused it");
            }
            Err(_) => {}
        },
        b'i' => {
            let read = partitions(part);
            assert!(read.is_err() || is_clean);
            drop(read.iter().flatten().map(Partition::size).collect::<Vec<_>>());
        }
        b'k' => {
            let is_dead = pulse(part) == Pulse::Dead;
            assert!(!is_dead || part.code == 255);
        }
        _ => {
            let Ok(rows) = rows(part) else { return };
            assert!(is_clean, "a queue that could not be read has rows");
            assert_eq!(rows.is_empty(), part.stdout.lines().next().is_none());
            for row in &rows {
                never_resolves(&row.reason);
                row.standing();
                row.identity(Home::of(SHARED));
            }
        }
    }
}

/// Reads the text as the answer to a look at one job, and concludes.
fn whole_look(text: &str) {
    let Some(identity) = identity() else { return };
    let config = SlurmConfig::new(SHARED);
    let Ok(report) = Report::parse(text) else { return };
    assert!(text.lines().any(|it| it == "lease1 end"), "an answer that broke off was read");
    let Ok(seen) = Seen::read(&report, Home::of(SHARED), &identity) else { return };
    for pulse in [None, Some(Pulse::Alive), Some(Pulse::Dead), Some(Pulse::Unknown(String::new()))]
    {
        match seen.judge(&config, pulse.as_ref()) {
            Judgement::Absent => {
                let squeue = report.part("squeue").map(|it| it.code);
                assert_eq!(squeue, Ok(0), "it is called absent without a queue");
                let shared = report.part("shared").or_else(|_| report.part("parent"));
                assert!(shared.is_ok(), "it is called absent without a listing");
                assert!(seen.live.is_empty() && seen.paper.is_none());
            }
            Judgement::There(Status::Running, reach) => {
                let reach = reach.as_ref();
                assert!(reach.is_some_and(|it| !it.host.starts_with('-')));
                assert!(reach.is_some_and(|it| !it.user.starts_with('-') && it.port != 0));
            }
            Judgement::There(..) | Judgement::Unclear(_) | Judgement::Knock(_) => {}
        }
    }
}

fn endpoint(text: &str) {
    let Some(identity) = identity() else { return };
    let Ok(endpoint) = Endpoint::parse(text, &identity.marks.nonce) else { return };
    for word in [&endpoint.node, &endpoint.host, &endpoint.user] {
        assert!(!word.is_empty() && !word.starts_with('-'), "{word:?} would be an option");
        assert!(!word.contains(|it: char| it.is_whitespace() || it.is_control()), "{word:?}");
    }
    assert!(endpoint.root.starts_with('/') && !endpoint.root.contains('\n'));
    assert!(!endpoint.host_key.contains('\n'));
}

/// The job that is looked for.
fn identity() -> Option<Identity> {
    let lease: lease_core::LeaseId = "lse-aaaaaaaaaaaaaaaaaaaa".parse().ok()?;
    let installation = "bbbbbbbbbbbbbbbbbbbbbbbbbb".parse().ok()?;
    let nonce = "cccccccccccccccccccccccccc".parse().ok()?;
    let name = lease.resource_name(0);
    Some(Identity::new(&name, &Marks { lease, installation, nonce }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_of_slurms_words_breaks_nothing() {
        assert!(identity().is_some());
        lease_testkit::corpus::replay("slurm", 3_000, slurm);
    }
}
