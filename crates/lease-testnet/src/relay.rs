//! Carries packets from one end of a link to the other: each is stored until it is due.

use std::collections::VecDeque;
use std::io::{self, PipeReader};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};
use tun_rs::SyncDevice;

use crate::ledger::{Ledger, Stamp, Way};
use crate::link::{Link, Queue};
use crate::packet::{HEADER_BYTES, Packet};

/// As much as the kernel hands over at once.
const READ_BYTES_MAX: usize = HEADER_BYTES + 65_536;
/// How many packets are read before those that are due are sent.
const BATCH: usize = 64;

/// What both directions of a link share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) cut: AtomicBool,
    ledger: Mutex<Ledger>,
}

impl Shared {
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A direction of a link.
#[derive(Clone, Copy)]
pub(crate) struct Course<'a> {
    pub(crate) from: &'a SyncDevice,
    pub(crate) to: &'a SyncDevice,
    pub(crate) way: Way,
    pub(crate) link: Link,
}

struct Stored {
    due: Duration,
    stamp: Stamp,
    bytes: Box<[u8]>,
}

/// Carries packets until the other end of `stop` is closed.
pub(crate) fn carry(course: Course<'_>, shared: &Shared, stop: &PipeReader) -> io::Result<()> {
    let mut queue = Queue::new(course.link);
    let mut stored: VecDeque<Stored> = VecDeque::new();
    let mut buffer = vec![0; READ_BYTES_MAX];
    loop {
        let wait = stored.front().map(|first| timespec(first.due.saturating_sub(now())));
        let mut ready = [PollFd::new(course.from, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
        match poll(&mut ready, wait.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !ready[1].revents().is_empty() {
            return Ok(());
        }
        for _ in 0..BATCH {
            let length = match course.from.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            let bytes = &buffer[..length];
            let packet = Packet::read(bytes);
            let stamp = shared.ledger().sent(course.way, packet);
            if shared.cut.load(Ordering::Relaxed) {
                continue;
            }
            if let Some(due) = queue.admit(now(), packet.bytes) {
                stored.push_back(Stored { due, stamp, bytes: bytes.into() });
            }
        }
        while stored.front().is_some_and(|first| first.due <= now()) {
            let Some(first) = stored.pop_front() else { break };
            if shared.cut.load(Ordering::Relaxed) {
                continue;
            }
            // Before it is sent: the answer may be here before this thread goes on.
            shared.ledger().arrived(first.stamp);
            // A packet that the other side cannot take is lost, as on any network.
            drop(course.to.send(&first.bytes));
        }
    }
}

/// The time since the machine was started.
fn now() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}

fn timespec(span: Duration) -> Timespec {
    Timespec::try_from(span).unwrap_or_default()
}
