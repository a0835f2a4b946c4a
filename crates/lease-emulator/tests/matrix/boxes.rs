//! The machines of a run and the logins to them: what boots where, with whose key, and what a login meets there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64ct::{Base64, Encoding as _};
use lease_core::error::ErrorKind;
use lease_core::{Error, Host, HostKey, LeaseId, Probe, Reach, Recognition, Result, Transport};
use lease_emulator::{Birth, Machines};
use tokio::time::Instant;

/// How long a machine takes from its boot until it answers.
const BOOTS_IN: Duration = Duration::from_millis(300);

/// Machines that are entries in a table. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Boxes {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    given: u32,
    machines: BTreeMap<Ipv4Addr, Machine>,
    keys: BTreeSet<LeaseId>,
    deaf: Option<Whose>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Ours,
    Strangers,
}

#[derive(Debug)]
struct Machine {
    id: String,
    whose: Whose,
    authorized: Vec<String>,
    booted: Instant,
}

impl Boxes {
    /// The address that was given last.
    pub(crate) fn last_address(&self) -> Ipv4Addr {
        address(self.lock().given)
    }

    /// From now on no machine of ours answers a login.
    pub(crate) fn deafen(&self) {
        self.lock().deaf = Some(Whose::Ours);
    }

    /// Whether a key of any lease is left.
    pub(crate) fn has_any_key(&self) -> bool {
        !self.lock().keys.is_empty()
    }

    /// Has a machine of a stranger answer at this address.
    pub(crate) fn move_in(&self, id: &str, address: Ipv4Addr, key: &str) {
        let (id, authorized) = (id.to_owned(), vec![key.to_owned()]);
        let whose = Whose::Strangers;
        let machine = Machine { id, whose, authorized, booted: Instant::now() };
        self.lock().machines.insert(address, machine);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Machine {
    fn answers(&self, deaf: Option<Whose>) -> bool {
        deaf != Some(self.whose) && self.booted.elapsed() >= BOOTS_IN
    }
}

fn address(number: u32) -> Ipv4Addr {
    // 198.18.0.0/15 is set aside for tests of network devices; nothing answers there.
    Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + number)
}

#[async_trait]
impl Machines for Boxes {
    fn address(&self) -> Ipv4Addr {
        let mut state = self.lock();
        state.given += 1;
        address(state.given)
    }

    async fn boot(&self, birth: Birth) {
        let Birth { id, address, authorized_keys, .. } = birth;
        let (whose, authorized) = (Whose::Ours, authorized_keys);
        let machine = Machine { id, whose, authorized, booted: Instant::now() };
        self.lock().machines.insert(address, machine);
    }

    async fn end(&self, id: &str) {
        self.lock().machines.retain(|_, it| it.id != id);
    }
}

/// The public key of a lease. It is one by its form; nobody has its private half.
pub(crate) fn public_key(lease: &LeaseId) -> String {
    const KIND: &[u8] = b"ssh-ed25519";
    let mut point = [0_u8; 32];
    // The random part of an id is at its end.
    for (to, from) in point.iter_mut().rev().zip(lease.as_str().bytes().rev()) {
        *to = from;
    }
    let mut blob = Vec::new();
    for part in [KIND, &point] {
        blob.extend(u32::try_from(part.len()).unwrap_or_default().to_be_bytes());
        blob.extend(part);
    }
    format!("ssh-ed25519 {} lease", Base64::encode_string(&blob))
}

/// Logins to [`Boxes`]. `watch` is asked whether a key may be forgotten.
#[derive(Debug)]
pub(crate) struct Logins {
    pub(crate) boxes: Boxes,
    pub(crate) watch: crate::notes::Notes,
}

/// What a login met.
enum Met {
    In,
    Nobody,
    Refused,
}

impl Logins {
    fn meet(&self, lease: &LeaseId, reach: &Reach) -> Option<Met> {
        let state = self.boxes.lock();
        if !state.keys.contains(lease) {
            return None;
        }
        let machine = reach.host.parse().ok().and_then(|it: Ipv4Addr| state.machines.get(&it));
        Some(match machine {
            Some(machine) if machine.answers(state.deaf) => {
                if machine.authorized.contains(&public_key(lease)) { Met::In } else { Met::Refused }
            }
            _ => Met::Nobody,
        })
    }
}

#[async_trait]
impl Transport for Logins {
    async fn prepare(&self, lease: &LeaseId) -> Result<String> {
        self.boxes.lock().keys.insert(lease.clone());
        Ok(public_key(lease))
    }

    async fn probe(&self, lease: &LeaseId, reach: &Reach) -> Result<Probe> {
        let never = |why: &str| Probe::Never { why: why.to_owned() };
        Ok(match self.meet(lease, reach) {
            None => never("there is no key for this lease"),
            Some(Met::Nobody) => Probe::NotYet { why: "connection refused".to_owned() },
            Some(Met::Refused) => never("permission denied (publickey)"),
            Some(Met::In) => Probe::Ready {
                host_key: match &reach.host_key {
                    HostKey::Pinned(pinned) => pinned.clone(),
                    HostKey::FirstUse => format!("ssh-ed25519 host{}", reach.host),
                },
            },
        })
    }

    async fn recognise(&self, lease: &LeaseId, reach: &Reach) -> Result<Recognition> {
        Ok(match self.meet(lease, reach) {
            None => {
                let why = "there is no key for this lease";
                return Err(Error::harmless(ErrorKind::Storage, "log in", why));
            }
            Some(Met::Nobody) => Recognition::Unclear { why: "connection refused".to_owned() },
            Some(Met::Refused) => Recognition::NotOurs { why: "permission denied".to_owned() },
            Some(Met::In) => Recognition::Ours,
        })
    }

    async fn connect(&self, _lease: &LeaseId, _reach: &Reach) -> Result<Box<dyn Host>> {
        let why = "a machine of the matrix runs no commands";
        Err(Error::harmless(ErrorKind::Unsupported, "connect", why))
    }

    async fn forget(&self, lease: &LeaseId) -> Result<()> {
        self.watch.key_goes(lease);
        self.boxes.lock().keys.remove(lease);
        Ok(())
    }
}
