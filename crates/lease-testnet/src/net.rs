//! A client and its hosts, with a link to each.

use std::io::{PipeWriter, pipe};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use tun_rs::{DeviceBuilder, SyncDevice};

use crate::error::NetError;
use crate::host::Host;
use crate::ledger::{Counted, Way};
use crate::link::Link;
use crate::relay::{Course, Shared, carry};

/// The third part of an address is the number of its link.
const NETWORK: [u8; 2] = [10, 77];
/// One link for each value of the third part of an address.
const LINKS_MAX: usize = 250;

/// The largest packets of an ordinary network.
const MTU_BYTES: u16 = 1500;
/// As many packets wait for this process while it has no processor; it is not the link's queue.
const WAITING_PACKETS_MAX: u32 = 100_000;

/// Loopback is up, nothing but our packets is on the wire, and a connection starts without what an earlier one learned.
const QUIET: &str = "ip link set lo up
for what in all default; do echo 1 >/proc/sys/net/ipv6/conf/$what/disable_ipv6; done
echo 1 >/proc/sys/net/ipv4/tcp_no_metrics_save";

/// A client, its hosts, and the links between them. All of it ends when this is dropped.
#[derive(Debug)]
pub struct Net {
    // The links go first: their devices are in the hosts.
    wires: Vec<Wire>,
    hosts: Vec<Host>,
    client: Host,
}

impl Net {
    /// A client with a link of its own to one host each.
    ///
    /// # Errors
    ///
    /// When the rights, the programs or `/dev/net/tun` are missing; nothing is left of what was made until then.
    pub fn new(links: &[Link]) -> Result<Self, NetError> {
        if links.len() > LINKS_MAX {
            return Err(NetError::other("too many links", format!("at most {LINKS_MAX}")));
        }
        let client = Host::start(Ipv4Addr::LOCALHOST)?;
        client.set_up(QUIET)?;
        let mut net = Self { wires: Vec::new(), hosts: Vec::new(), client };
        for (number, link) in (0_u8..).zip(links) {
            let host = Host::start(address(number, 2))?;
            host.set_up(QUIET)?;
            net.wires.push(Wire::between(&net.client, &host, number, *link)?);
            net.hosts.push(host);
        }
        Ok(net)
    }

    /// The side that all links start from.
    pub fn client(&self) -> &Host {
        &self.client
    }

    /// The host at the end of the link with that number, from 0; nothing when there is no such link.
    pub fn host(&self, number: usize) -> Option<&Host> {
        self.hosts.get(number)
    }

    /// Drops every packet of that link, those on their way included, until [`Net::restore`].
    pub fn cut(&self, number: usize) {
        self.set_cut(number, true);
    }

    /// Lets packets through again.
    pub fn restore(&self, number: usize) {
        self.set_cut(number, false);
    }

    /// What crossed that link since the last [`Net::take`].
    pub fn counted(&self, number: usize) -> Counted {
        self.wires.get(number).map_or_else(Counted::default, |it| it.shared.ledger().counted())
    }

    /// The same, and counting begins anew; what is on its way at that moment is counted in neither.
    pub fn take(&self, number: usize) -> Counted {
        self.wires.get(number).map_or_else(Counted::default, |it| it.shared.ledger().take())
    }

    fn set_cut(&self, number: usize, to: bool) {
        if let Some(wire) = self.wires.get(number) {
            wire.shared.cut.store(to, Ordering::Relaxed);
        }
    }
}

/// The two directions of a link at work.
#[derive(Debug)]
struct Wire {
    shared: Arc<Shared>,
    /// Closing it ends the thread.
    stops: Vec<PipeWriter>,
    threads: Vec<JoinHandle<std::io::Result<()>>>,
}

impl Wire {
    fn between(client: &Host, host: &Host, number: u8, link: Link) -> Result<Self, NetError> {
        let near = Arc::new(plug(client, &format!("wire{number}"), address(number, 1))?);
        let far = Arc::new(plug(host, "wire", address(number, 2))?);
        let mut wire = Self { shared: Arc::default(), stops: Vec::new(), threads: Vec::new() };
        wire.carry(Way::Out, link, [&near, &far])?;
        wire.carry(Way::Back, link, [&far, &near])?;
        Ok(wire)
    }

    fn carry(
        &mut self,
        way: Way,
        link: Link,
        [from, to]: [&Arc<SyncDevice>; 2],
    ) -> Result<(), NetError> {
        let (watched, stop) =
            pipe().map_err(|error| NetError::new("a pipe could not be made", error))?;
        let (from, to, shared) = (Arc::clone(from), Arc::clone(to), Arc::clone(&self.shared));
        self.stops.push(stop);
        self.threads.push(std::thread::spawn(move || {
            carry(Course { from: &from, to: &to, way, link }, &shared, &watched)
        }));
        Ok(())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.stops.clear();
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

fn address(link: u8, side: u8) -> Ipv4Addr {
    Ipv4Addr::new(NETWORK[0], NETWORK[1], link, side)
}

/// Gives the host an interface whose packets come to us.
fn plug(host: &Host, name: &str, address: Ipv4Addr) -> Result<SyncDevice, NetError> {
    let failed =
        |error: std::io::Error| NetError::new("the device of a link could not be made", error);
    let made = host.inside(|| {
        // With offload the kernel hands over up to 64 kB at once, which keeps a fast link from being our speed.
        let device = DeviceBuilder::new().name(name).mtu(MTU_BYTES).offload(true).build_sync()?;
        device.set_nonblocking(true)?;
        Ok(device)
    })?;
    let device = made.map_err(failed)?;
    let [a, b, c, _] = address.octets();
    // Cubic is what most clients have. As the choice of a route it needs no permission of the machine's own network.
    host.set_up(&format!(
        "ip address add {address}/24 dev {name} noprefixroute
ip link set {name} up txqueuelen {WAITING_PACKETS_MAX}
ip route replace {a}.{b}.{c}.0/24 dev {name} src {address} congctl cubic"
    ))?;
    Ok(device)
}
