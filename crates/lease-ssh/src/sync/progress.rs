//! How far a large change has been sent, for somebody who watches.

use lease_tree::Delta;
use tokio::sync::watch;

/// The size of a member's header in the stream, and what its content is filled up to.
const BLOCK_BYTES: u64 = 512;

/// How much of a change has been handed to the connection. What it holds back, a few megabytes at most, counts as sent.
///
/// A change that travels inside the request that starts the command is never counted: it is over at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files and links that were sent to their end.
    pub files: u64,
    /// How many there are to send; 0 until that is known.
    pub files_total: u64,
    /// Bytes of file contents that were sent.
    pub bytes: u64,
    /// How many there are to send; 0 until that is known.
    pub bytes_total: u64,
}

/// Counts what passes of a stream of files.
#[derive(Debug)]
pub(super) struct Meter {
    watched: Option<watch::Sender<Progress>>,
    /// Of each file, where it ends in the stream and how many bytes of contents end there.
    ends: Vec<(u64, u64)>,
    passed: u64,
}

impl Meter {
    /// A meter for the stream of a delta, which so many bytes precede.
    pub(super) fn of(
        delta: &Delta,
        lead_bytes: u64,
        watched: Option<watch::Sender<Progress>>,
    ) -> Self {
        let mut ends = Vec::new();
        if watched.is_some() {
            let (mut stream, mut contents) = (lead_bytes, 0);
            for write in delta.writes() {
                let bytes = write.entry.bytes;
                stream += BLOCK_BYTES + bytes.next_multiple_of(BLOCK_BYTES);
                contents += bytes;
                ends.push((stream, contents));
            }
        }
        let it = Self { watched, ends, passed: 0 };
        it.tell();
        it
    }

    /// Takes note that so many bytes of the stream have passed.
    pub(super) fn pass(&mut self, bytes: u64) {
        self.passed += bytes;
        self.tell();
    }

    /// Takes note that all of it has passed.
    pub(super) fn end(&mut self) {
        self.passed = u64::MAX;
        self.tell();
    }

    fn tell(&self) {
        let Some(watched) = &self.watched else { return };
        let files = self.ends.partition_point(|(end, _)| *end <= self.passed);
        let before = files.checked_sub(1).and_then(|it| self.ends.get(it));
        let (start, contents) = before.copied().unwrap_or_default();
        let in_part = self.ends.get(files).map_or(0, |(_, until)| {
            (self.passed - start).saturating_sub(BLOCK_BYTES).min(until - contents)
        });
        watched.send_replace(Progress {
            files: files as u64,
            files_total: self.ends.len() as u64,
            bytes: contents + in_part,
            bytes_total: self.ends.last().map_or(0, |(_, contents)| *contents),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_passed_is_told_in_files_and_bytes() {
        let (sender, seen) = watch::channel(Progress::default());
        // An empty file, one of 700 bytes, and one of 10.
        let ends = vec![(512, 0), (512 + 1_536, 700), (2_048 + 1_024, 710)];
        let mut meter = Meter { watched: Some(sender), ends, passed: 0 };
        let mut check = |pass, expected| {
            meter.pass(pass);
            let Progress { files, bytes, .. } = *seen.borrow();
            assert_eq!((files, bytes), expected, "after {}", meter.passed);
        };
        check(0, (0, 0));
        check(511, (0, 0));
        check(1, (1, 0));
        check(600, (1, 88));
        check(936, (2, 700));
        check(512, (2, 700));
        check(9_999, (3, 710));
        meter.end();
        let all = Progress { files: 3, files_total: 3, bytes: 710, bytes_total: 710 };
        assert_eq!(*seen.borrow(), all);
    }
}
