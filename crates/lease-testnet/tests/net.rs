//! The network against the kernel's TCP: it delays, limits, counts, is cut, and leaves nothing behind.
//!
//! It needs the rights of root: `cargo test -p lease-testnet --test net`, or `cargo xtask bench --only network`.

#![cfg(target_os = "linux")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use lease_testnet::{Host, Link, Net};

const MS: Duration = Duration::from_millis(1);
/// Nothing here takes longer unless it is stuck.
const PATIENCE: Duration = Duration::from_secs(20);

fn net(links: &[Link]) -> Net {
    Net::new(links).unwrap()
}

/// The time that the monotonic clock of the machine shows.
fn now() -> Duration {
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(clock).unwrap()
}

/// Connects from the client to a host, whose side of the connection is the second.
fn connect(net: &Net, host: &Host) -> (TcpStream, TcpStream) {
    let any = SocketAddr::from((host.address(), 0));
    let listener = host.inside(|| TcpListener::bind(any)).unwrap().unwrap();
    let address = listener.local_addr().unwrap();
    let client =
        net.client().inside(|| TcpStream::connect_timeout(&address, PATIENCE)).unwrap().unwrap();
    let (served, _) = listener.accept().unwrap();
    for stream in [&client, &served] {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    (client, served)
}

/// Sends a byte and waits until it has come back; the shortest time of a few.
fn echo([client, served]: [&mut TcpStream; 2]) -> Duration {
    let once = |client: &mut TcpStream, served: &mut TcpStream| {
        let began = now();
        client.write_all(&[7]).unwrap();
        served.read_exact(&mut [0]).unwrap();
        served.write_all(&[7]).unwrap();
        client.read_exact(&mut [0]).unwrap();
        now() - began
    };
    (0..5).map(|_| once(client, served)).min().unwrap()
}

#[test]
fn a_round_trip_takes_its_time_and_is_counted_once() {
    let net = net(&[Link::default(), Link::new(20 * MS), Link::new(60 * MS)]);
    for (number, at_least) in [(1, 20 * MS), (2, 60 * MS)] {
        let host = net.host(number).unwrap();
        let (mut client, mut served) = connect(&net, host);
        let took = echo([&mut client, &mut served]);
        assert!(took >= at_least, "{took:?} is faster than the link");
        // The fastest of five; a machine that is busy for longer than that shows nothing about the link.
        assert!(took < at_least + 15 * MS, "{took:?} for {at_least:?}");
        net.take(number);
        echo([&mut client, &mut served]);
        let counted = net.counted(number);
        assert_eq!(counted.round_trips, 5, "{counted:?}");
        // A byte and the headers, five times each way, and an acknowledgement or two beside them.
        assert!((5..=10).contains(&counted.out.packets), "{counted:?}");
        assert!(counted.back.bytes >= 5 * 41, "{counted:?}");
    }
    let (mut client, mut served) = connect(&net, net.host(0).unwrap());
    assert!(echo([&mut client, &mut served]) < 15 * MS);
}

#[test]
fn a_rate_limits_what_a_link_carries() {
    let net = net(&[Link::new(10 * MS).rate(40_000_000)]);
    let (mut client, mut served) = connect(&net, net.host(0).unwrap());
    let began = now();
    let sender = std::thread::spawn(move || client.write_all(&vec![1; 2_000_000]).unwrap());
    let mut buffer = vec![0; 2_000_000];
    served.read_exact(&mut buffer).unwrap();
    sender.join().unwrap();
    let took = now() - began;
    // 16 Mbit at 40 Mbit/s.
    assert!(took >= 400 * MS, "{took:?} is faster than the link");
    assert!(net.counted(0).out.bytes >= 2_000_000);
}

#[test]
fn a_cut_link_carries_nothing_until_it_is_restored() {
    let net = net(&[Link::new(10 * MS)]);
    let (mut client, mut served) = connect(&net, net.host(0).unwrap());
    net.cut(0);
    client.write_all(b"later").unwrap();
    served.set_read_timeout(Some(300 * MS)).unwrap();
    assert!(served.read(&mut [0; 5]).is_err(), "something came through a cut link");
    net.restore(0);
    served.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut late = [0; 5];
    served.read_exact(&mut late).unwrap();
    assert_eq!(&late, b"later");
}

#[test]
fn connections_use_cubic_and_reach_nothing_else() {
    let net = net(&[Link::new(MS)]);
    let (client, _served) = connect(&net, net.host(0).unwrap());
    assert_eq!(rustix::net::sockopt::tcp_congestion(&client).unwrap(), "cubic");
    let outside = SocketAddr::from(([192, 0, 2, 1], 9));
    let refused = net.client().inside(|| TcpStream::connect_timeout(&outside, PATIENCE)).unwrap();
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::NetworkUnreachable);
}

#[test]
fn what_runs_on_a_host_ends_with_the_network() {
    let net = net(&[Link::default()]);
    let host = net.host(0).unwrap();
    let started = host
        .command(Path::new("/"), "sh")
        .args(["-c", "setsid sleep 1000 >/dev/null 2>&1 & pwd; ip -brief address show dev wire"])
        .output()
        .unwrap();
    let said = String::from_utf8(started.stdout).unwrap();
    assert!(said.starts_with("/\n") && said.contains("10.77.0.2/24"), "{said}");
    let processes = host.processes().unwrap();
    assert_eq!(processes.len(), 1, "the orphan and nothing else: {processes:?}");
    drop(net);
    let began = now();
    while Path::new(&format!("/proc/{}", processes[0])).exists() {
        assert!(now() - began < PATIENCE, "the orphan is still there");
        std::thread::yield_now();
    }
}
