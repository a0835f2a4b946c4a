//! What crossed a link, and how many round trips it took.
//!
//! Round trips are counted as the longest chain of packets in which each was sent after the one before it had arrived
//! at its sender, there and back again:
//!
//! * a packet of the client carries as many round trips as the highest number that any packet of the host has brought
//!   to it, acknowledgements included, because an acknowledgement is what a full window waits for;
//! * a packet of the host carries one more than the highest number that a packet with data has brought to it;
//! * the count is the highest number that a packet of the host with data has brought to the client.
//!
//! So an acknowledgement that nobody waits for, such as the last one of a connection, counts for nothing, and a stream
//! counts once for each round-trip time that it lasts. The count needs a link with a delay: without one, packets that do
//! not depend on each other happen one after the other as well.

use crate::packet::{Carries, Packet};

/// From whom to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the client to the host.
    Out,
    /// From the host to the client.
    Back,
}

/// What was sent in one direction, whether it arrived or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// IP packets.
    pub packets: u64,
    /// Bytes of these packets, headers of IP and TCP included.
    pub bytes: u64,
}

/// What crossed a link since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// From the client to the host.
    pub out: Traffic,
    /// From the host to the client.
    pub back: Traffic,
    /// The longest chain there and back; meaningful on a link with a delay.
    pub round_trips: u32,
}

/// What a packet on its way remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    way: Way,
    carries: Carries,
    /// The counting that it was sent in; it counts in no other.
    epoch: u64,
    depth: u32,
}

/// The account of one link.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    epoch: u64,
    counted: Counted,
    at_client: u32,
    /// Nothing as long as the host has got no data.
    at_host: Option<u32>,
}

impl Ledger {
    /// A packet sets out.
    pub(crate) fn sent(&mut self, way: Way, packet: Packet) -> Stamp {
        let (traffic, depth) = match way {
            Way::Out => (&mut self.counted.out, self.at_client),
            Way::Back => (&mut self.counted.back, self.at_host.map_or(0, |depth| depth + 1)),
        };
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        traffic.packets = traffic.packets.saturating_add(count(packet.packets));
        traffic.bytes = traffic.bytes.saturating_add(count(packet.bytes));
        Stamp { way, carries: packet.carries, epoch: self.epoch, depth }
    }

    /// That packet arrives.
    pub(crate) fn arrived(&mut self, stamp: Stamp) {
        if stamp.epoch != self.epoch {
            return;
        }
        match (stamp.way, stamp.carries) {
            (Way::Out, Carries::Data) => self.at_host = self.at_host.max(Some(stamp.depth)),
            (Way::Out, Carries::Nothing) => {}
            (Way::Back, carries) => {
                self.at_client = self.at_client.max(stamp.depth);
                if carries == Carries::Data {
                    self.counted.round_trips = self.counted.round_trips.max(stamp.depth);
                }
            }
        }
    }

    /// What was counted so far.
    pub(crate) fn counted(&self) -> Counted {
        self.counted
    }

    /// What was counted, and a new beginning.
    pub(crate) fn take(&mut self) -> Counted {
        let counted = self.counted;
        *self = Self { epoch: self.epoch + 1, ..Self::default() };
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Carries::{Data, Nothing};
    use Way::{Back, Out};

    fn packet(carries: Carries, bytes: usize) -> Packet {
        Packet { carries, packets: 1, bytes }
    }

    /// Sends the packets of each step at once, lets them arrive, then goes on with the next.
    fn check(steps: &[&[(Way, Carries)]], round_trips: u32) {
        let mut ledger = Ledger::default();
        for step in steps {
            let stamps: Vec<_> =
                step.iter().map(|&(way, carries)| ledger.sent(way, packet(carries, 100))).collect();
            for stamp in stamps {
                ledger.arrived(stamp);
            }
        }
        assert_eq!(ledger.counted().round_trips, round_trips, "{steps:?}");
    }

    #[test]
    fn a_question_and_its_answer_are_one_round_trip() {
        check(&[], 0);
        check(&[&[(Out, Data)]], 0);
        check(&[&[(Out, Data)], &[(Back, Data), (Back, Data)]], 1);
        check(&[&[(Out, Data), (Out, Data)], &[(Back, Data)], &[(Out, Data)], &[(Back, Data)]], 2);
    }

    #[test]
    fn both_sides_speaking_at_once_is_no_answer() {
        check(&[&[(Out, Data), (Back, Data)]], 0);
        check(&[&[(Out, Data), (Back, Data)], &[(Out, Data), (Back, Data)]], 1);
    }

    #[test]
    fn the_last_acknowledgement_counts_for_nothing() {
        let ends = [(Out, Nothing)];
        check(&[&[(Out, Data)], &[(Back, Data)], &ends, &[(Back, Nothing)]], 1);
        check(&[&[(Out, Data)], &[(Back, Data)], &[(Out, Data)], &[(Back, Nothing)]], 1);
    }

    #[test]
    fn a_window_that_waits_for_an_acknowledgement_costs_a_round_trip() {
        check(&[&[(Out, Data)], &[(Back, Nothing)], &[(Out, Data)], &[(Back, Data)]], 2);
    }

    #[test]
    fn what_was_sent_before_the_count_began_is_not_counted_after() {
        let mut ledger = Ledger::default();
        let late = ledger.sent(Out, packet(Data, 100));
        assert_eq!(ledger.take().out, Traffic { packets: 1, bytes: 100 });
        ledger.arrived(late);
        let answer = ledger.sent(Back, packet(Data, 40));
        ledger.arrived(answer);
        assert_eq!(ledger.counted().round_trips, 0);
        assert_eq!(ledger.counted().back, Traffic { packets: 1, bytes: 40 });
    }
}
