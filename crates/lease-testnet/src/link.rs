//! What a link does to packets: when a packet that comes now arrives, and whether it is lost.

use std::time::Duration;

/// What waits longer than this for a link with a rate is dropped, as a router with a queue of that length would.
const QUEUE_MAX: Duration = Duration::from_millis(200);

/// A way between the client and one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    rtt: Duration,
    bits_per_second: Option<u64>,
}

impl Link {
    /// A link with that round-trip time, half of it each way, and no limit of its rate.
    pub const fn new(rtt: Duration) -> Self {
        Self { rtt, bits_per_second: None }
    }

    /// The same with a rate in bits per second, each way.
    #[must_use]
    pub const fn rate(self, bits_per_second: u64) -> Self {
        Self { bits_per_second: Some(bits_per_second), ..self }
    }

    /// The round-trip time.
    pub const fn rtt(self) -> Duration {
        self.rtt
    }
}

/// One direction of a link. Times are spans since one moment that all calls share.
#[derive(Debug)]
pub(crate) struct Queue {
    link: Link,
    /// When the last accepted packet has left the sender.
    free_at: Duration,
}

impl Queue {
    pub(crate) fn new(link: Link) -> Self {
        Self { link, free_at: Duration::ZERO }
    }

    /// When a packet of that many bytes that comes at `now` arrives; nothing when it is dropped.
    pub(crate) fn admit(&mut self, now: Duration, bytes: usize) -> Option<Duration> {
        let delay = self.link.rtt / 2;
        let Some(rate) = self.link.bits_per_second else { return Some(now + delay) };
        let starts = self.free_at.max(now);
        if starts.saturating_sub(now) > QUEUE_MAX {
            return None;
        }
        let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(8);
        let nanos = bits.saturating_mul(1_000_000_000) / rate.max(1);
        self.free_at = starts + Duration::from_nanos(nanos);
        Some(self.free_at + delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_packet_arrives_half_a_round_trip_later() {
        let mut queue = Queue::new(Link::new(50 * MS));
        assert_eq!(queue.admit(3 * MS, 1500), Some(28 * MS));
        assert_eq!(queue.admit(3 * MS, 1500), Some(28 * MS), "without a rate nothing waits");
    }

    #[test]
    fn a_rate_makes_packets_wait_for_each_other_and_a_full_queue_drops_them() {
        // 12000 bits at 12 Mbit/s are one millisecond.
        let mut queue = Queue::new(Link::new(10 * MS).rate(12_000_000));
        assert_eq!(queue.admit(Duration::ZERO, 1500), Some(6 * MS));
        assert_eq!(queue.admit(Duration::ZERO, 1500), Some(7 * MS));
        let taken = (0..1000).filter(|_| queue.admit(Duration::ZERO, 1500).is_some()).count();
        assert_eq!(taken, 199, "the queue holds 200 ms beside the one that is on its way");
        assert_eq!(queue.admit(100 * MS, 1500), Some(207 * MS), "what has drained makes room");
    }
}
