//! Compressing a stream where the link is what it waits for, and not where the compressor would be.
//!
//! The stream is a row of zstd frames, each of one chunk. A frame may hold its chunk as it is, so each chunk is
//! compressed, more or less or not at all, as the last ones went: that is measured, because neither a round-trip time nor
//! a bandwidth says how fast the other side unpacks.

use std::io::{self, Write};

use tokio::time::{Duration, Instant};
use zstd::bulk::Compressor;

/// How much is sent in one way before the ways are compared.
const ROUND_BYTES: usize = 8 * 1024 * 1024;
/// A round on a slow link ends sooner.
const ROUND_TIME_MAX: Duration = Duration::from_millis(300);
/// How many rounds go by before the slower way is tried again.
const ROUNDS_BETWEEN: u32 = 24;
/// The most that one block of a frame holds.
const BLOCK_BYTES_MAX: usize = 128 * 1024;

/// How a chunk travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A little, at the speed of a fast network.
    Lightly,
    /// More, for a link that this pays on.
    Densely,
    AsItIs,
}

impl Way {
    /// zstd's level; `None` for no compression.
    fn level(self) -> Option<i32> {
        match self {
            Self::Lightly => Some(1),
            Self::Densely => Some(3),
            Self::AsItIs => None,
        }
    }
}

/// How far the other side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Distance {
    /// So near that the link may be faster than the compressor.
    Near,
    /// So far that it is not.
    Far,
}

/// Writes chunks as frames.
pub(super) struct Packer<W> {
    to: W,
    compressor: Compressor<'static>,
    choice: Choice,
}

impl<W: Write> Packer<W> {
    pub(super) fn new(to: W, distance: Distance) -> Self {
        Self { to, compressor: Compressor::default(), choice: Choice::new(distance) }
    }

    /// Writes one chunk.
    pub(super) fn put(&mut self, chunk: &[u8]) -> io::Result<()> {
        let began = Instant::now();
        match self.choice.way().level() {
            Some(level) => {
                self.compressor.set_compression_level(level)?;
                self.to.write_all(&self.compressor.compress(chunk)?)?;
            }
            None => as_it_is(chunk, &mut self.to)?,
        }
        self.choice.went(chunk.len(), began.elapsed());
        Ok(())
    }
}

/// Writes a frame whose blocks hold the bytes as they are (RFC 8878, sections 3.1.1.1 and 3.1.1.2).
fn as_it_is(chunk: &[u8], to: &mut impl Write) -> io::Result<()> {
    // The magic number; no checksum, no size, no dictionary; a window of 2^(10 + 7) bytes.
    to.write_all(&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 7 << 3])?;
    let mut blocks = chunk.chunks(BLOCK_BYTES_MAX).peekable();
    while let Some(block) = blocks.next() {
        let is_last = u32::from(blocks.peek().is_none());
        let bytes = u32::try_from(block.len()).unwrap_or_default();
        // Three bytes: the last one or not, the kind, which is 0 for bytes as they are, and the size.
        to.write_all(&((bytes << 3) | is_last).to_le_bytes()[..3])?;
        to.write_all(block)?;
    }
    Ok(())
}

/// Which of two ways is the faster one, as far as they were tried.
#[derive(Debug)]
struct Choice {
    ways: [Way; 2],
    /// Which of them is being taken.
    at: usize,
    /// Kibibytes in a second of each.
    rates: [f64; 2],
    bytes: usize,
    time: Duration,
    rounds: u32,
}

impl Choice {
    fn new(distance: Distance) -> Self {
        let ways = match distance {
            Distance::Near => [Way::Lightly, Way::AsItIs],
            Distance::Far => [Way::Lightly, Way::Densely],
        };
        Self { ways, at: 0, rates: [0.0; 2], bytes: 0, time: Duration::ZERO, rounds: 0 }
    }

    fn way(&self) -> Way {
        self.ways[self.at]
    }

    /// Takes note of how long a chunk took.
    fn went(&mut self, bytes: usize, time: Duration) {
        self.bytes += bytes;
        self.time += time;
        if self.bytes < ROUND_BYTES && self.time < ROUND_TIME_MAX {
            return;
        }
        let kibibytes = u32::try_from(self.bytes / 1024).unwrap_or(u32::MAX);
        self.rates[self.at] = f64::from(kibibytes) / self.time.as_secs_f64().max(1e-6);
        (self.bytes, self.time) = (0, Duration::ZERO);
        self.rounds += 1;
        let better = usize::from(self.rates[1] > self.rates[0]);
        let is_trial = self.rounds % ROUNDS_BETWEEN == 1;
        self.at = if is_trial { 1 - better } else { better };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn through(chunks: &[Vec<u8>], ways: &[Way]) -> Vec<u8> {
        let mut packer = Packer::new(Vec::new(), Distance::Far);
        for (chunk, way) in chunks.iter().zip(ways.iter().cycle()) {
            packer.choice.ways = [*way; 2];
            packer.put(chunk).unwrap();
        }
        zstd::stream::decode_all(packer.to.as_slice()).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_frames_of_either_way_make_one_stream(
            sizes in prop::collection::vec(1_usize..400_000, 1..4),
            first in 0_usize..3,
        ) {
            let chunks: Vec<Vec<u8>> = sizes
                .iter()
                .map(|it| (0..*it).map(|at| u8::try_from(at * at % 251).unwrap()).collect())
                .collect();
            let mut ways = [Way::Lightly, Way::AsItIs, Way::Densely];
            ways.rotate_left(first);
            prop_assert!(through(&chunks, &ways) == chunks.concat());
        }
    }

    #[test]
    fn a_block_may_end_where_the_chunk_ends() {
        for bytes in [BLOCK_BYTES_MAX, 2 * BLOCK_BYTES_MAX, BLOCK_BYTES_MAX + 1] {
            let chunk = vec![b'x'; bytes];
            assert!(through(std::slice::from_ref(&chunk), &[Way::AsItIs]) == chunk, "{bytes}");
        }
    }

    /// The ways that rounds take, where each way has a rate in mebibytes in a second.
    fn ways(distance: Distance, rates: [u32; 2], rounds: usize) -> Vec<Way> {
        let mut choice = Choice::new(distance);
        (0..rounds)
            .map(|_| {
                let (way, rate) = (choice.way(), rates[choice.at]);
                choice.went(ROUND_BYTES, Duration::from_secs(8) / rate);
                way
            })
            .collect()
    }

    #[test]
    fn the_faster_way_is_taken_once_both_were_tried() {
        use Way::{AsItIs, Densely, Lightly};
        let fast_link = ways(Distance::Near, [150, 400], 40);
        assert_eq!(fast_link[..4], [Lightly, AsItIs, AsItIs, AsItIs]);
        assert_eq!(fast_link.iter().filter(|it| **it == Lightly).count(), 2);
        let slow_link = ways(Distance::Near, [40, 12], 40);
        assert_eq!(slow_link[..4], [Lightly, AsItIs, Lightly, Lightly]);
        assert_eq!(slow_link.iter().filter(|it| **it == AsItIs).count(), 2);
        let far_and_slow = ways(Distance::Far, [30, 40], 40);
        assert_eq!(far_and_slow[..4], [Lightly, Densely, Densely, Densely]);
    }
}
