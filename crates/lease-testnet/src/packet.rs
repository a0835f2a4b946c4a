//! What the kernel hands over for a link: packets, or one large segment that stands for many.

/// What a packet carries, for whoever counts round trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// Bytes of an application, or the opening of a connection, which an application waits for as well.
    Data,
    /// Only an acknowledgement, the end of a connection, or something that is not TCP over IPv4.
    Nothing,
}

/// What was handed over, as it would be on a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) carries: Carries,
    /// More than one when the kernel left the cutting into packets to the network card, which does not exist here.
    pub(crate) packets: usize,
    /// Headers of IP and TCP included.
    pub(crate) bytes: usize,
}

/// The kernel's header in front of each: `struct virtio_net_hdr` of `linux/virtio_net.h`.
pub(crate) const HEADER_BYTES: usize = 10;
const GSO_TYPE: usize = 1;
const GSO_SIZE: usize = 4;
const GSO_NONE: u8 = 0;
const PROTOCOL_TCP: u8 = 6;
const SYN: u8 = 0x02;

impl Packet {
    /// Reads what came from a device, the kernel's header first.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let ip = bytes.get(HEADER_BYTES..).unwrap_or_default();
        let Some((headers, flags)) = tcp(ip) else {
            return Self { carries: Carries::Nothing, packets: 1, bytes: ip.len() };
        };
        let payload = ip.len().saturating_sub(headers);
        let packets = match segment_bytes(bytes) {
            Some(segment) => payload.div_ceil(segment).max(1),
            None => 1,
        };
        let opens = flags & SYN != 0;
        let carries = if payload > 0 || opens { Carries::Data } else { Carries::Nothing };
        Self { carries, packets, bytes: payload + packets * headers }
    }
}

/// How much of the payload goes into each packet, if it is to be cut.
fn segment_bytes(bytes: &[u8]) -> Option<usize> {
    let size = [*bytes.get(GSO_SIZE)?, *bytes.get(GSO_SIZE + 1)?];
    let size = usize::from(u16::from_ne_bytes(size));
    (*bytes.get(GSO_TYPE)? != GSO_NONE && size > 0).then_some(size)
}

/// The length of the headers and the flags; nothing when it is not a whole TCP header over IPv4.
fn tcp(ip: &[u8]) -> Option<(usize, u8)> {
    let first = *ip.first()?;
    if first >> 4 != 4 || *ip.get(9)? != PROTOCOL_TCP {
        return None;
    }
    let ip_header = usize::from(first & 0x0f) * 4;
    let tcp = ip.get(ip_header..)?;
    let tcp_header = usize::from(*tcp.get(12)? >> 4) * 4;
    Some((ip_header + tcp_header, *tcp.get(13)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A TCP segment over IPv4 with those flags and that many bytes of payload, to be cut into pieces of `cut` bytes.
    fn segment(flags: u8, payload: usize, cut: u16) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES + 40 + payload];
        bytes[GSO_TYPE] = u8::from(cut > 0);
        bytes[GSO_SIZE..GSO_SIZE + 2].copy_from_slice(&cut.to_ne_bytes());
        let ip = &mut bytes[HEADER_BYTES..];
        ip[0] = 0x45;
        ip[9] = PROTOCOL_TCP;
        ip[32] = 0x50;
        ip[33] = flags;
        bytes
    }

    fn carries(bytes: &[u8]) -> Carries {
        Packet::read(bytes).carries
    }

    #[test]
    fn an_acknowledgement_carries_nothing_and_an_opening_does() {
        assert_eq!(carries(&segment(0x10, 0, 0)), Carries::Nothing);
        assert_eq!(carries(&segment(0x11, 0, 0)), Carries::Nothing, "the end of a connection");
        assert_eq!(carries(&segment(0x18, 1, 0)), Carries::Data);
        assert_eq!(carries(&segment(SYN, 0, 0)), Carries::Data);
    }

    #[test]
    fn what_is_not_tcp_carries_nothing() {
        let mut udp = segment(0x18, 9, 0);
        udp[HEADER_BYTES + 9] = 17;
        let expected = Packet { carries: Carries::Nothing, packets: 1, bytes: 49 };
        assert_eq!(Packet::read(&udp), expected);
        assert_eq!(carries(&[0x60; 80]), Carries::Nothing);
        for length in 0..HEADER_BYTES + 33 {
            assert_eq!(carries(&segment(0x18, 9, 0)[..length]), Carries::Nothing);
        }
    }

    #[test]
    fn a_large_segment_counts_as_the_packets_that_it_stands_for() {
        let of = |payload, cut| {
            let packet = Packet::read(&segment(0x18, payload, cut));
            (packet.packets, packet.bytes)
        };
        assert_eq!(of(1000, 0), (1, 1040));
        assert_eq!(of(3000, 1000), (3, 3000 + 3 * 40));
        assert_eq!(of(3001, 1000), (4, 3001 + 4 * 40));
    }
}
