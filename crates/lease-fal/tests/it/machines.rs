//! The machines behind the emulated cloud, and a transport whose logins ask them: nobody else says what a key opens.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lease_core::{
    Error, ErrorKind, Host, HostKey, LeaseId, Probe, Reach, Recognition, Result, Transport,
};
use lease_emulator::{Birth, Machines};
use ssh_key::PublicKey;
use ssh_key::public::{Ed25519PublicKey, KeyData};
use tokio::time::Instant;

/// Machines by their addresses, each with the keys that it lets in. Clones are the same network.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lan(Arc<Mutex<Network>>);

#[derive(Debug, Default)]
struct Network {
    /// Whom sshd lets in, and where it listens.
    door: Option<(String, u16)>,
    /// How long after its boot a machine refuses everybody, because it does not have its keys yet.
    keys_late_by: Duration,
    addresses: u32,
    up: BTreeMap<Ipv4Addr, Machine>,
    logins: Vec<Login>,
}

#[derive(Debug)]
struct Machine {
    id: String,
    keys: Vec<String>,
    booted: Instant,
}

impl Machine {
    fn new(id: &str, keys: Vec<String>) -> Self {
        Self { id: id.to_owned(), keys, booted: Instant::now() }
    }
}

/// One attempt of a lease to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) lease: LeaseId,
    pub(crate) host: String,
}

impl Lan {
    /// Puts a machine at the address that was given out last.
    pub(crate) fn boot_last(&self, id: &str, key: &str) {
        let mut network = self.network();
        let address = nth(network.addresses - 1);
        network.up.insert(address, Machine::new(id, vec![key.to_owned()]));
    }

    /// Lets every machine answer that long before it has its keys.
    pub(crate) fn delay_keys(&self, by: Duration) {
        self.network().keys_late_by = by;
    }

    /// Gives the next machine the address that was given out last.
    pub(crate) fn reuse_last_address(&self) {
        self.network().addresses -= 1;
    }

    /// Makes every machine let in another user at another port than fal documents.
    pub(crate) fn move_door(&self, user: &str, port: u16) {
        self.network().door = Some((user.to_owned(), port));
    }

    /// Every attempt to log in so far.
    pub(crate) fn logins(&self) -> Vec<Login> {
        self.network().logins.clone()
    }

    /// Where the machine of an instance is.
    pub(crate) fn host_of(&self, id: &str) -> String {
        let network = self.network();
        let found = network.up.iter().find(|(_, machine)| machine.id == id);
        found.map(|(address, _)| address.to_string()).unwrap()
    }

    fn network(&self) -> MutexGuard<'_, Network> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lets_in(&self, lease: &LeaseId, reach: &Reach) -> Option<bool> {
        let mut network = self.network();
        network.logins.push(Login { lease: lease.clone(), host: reach.host.clone() });
        let machine = network.up.get(&reach.host.parse().ok()?)?;
        // Whoever else asks is refused, whatever the key.
        let (user, port) = network.door.as_ref().map_or(("ubuntu", 22), |it| (it.0.as_str(), it.1));
        let is_door = (reach.user.as_str(), reach.port) == (user, port);
        let has_keys = machine.booted.elapsed() >= network.keys_late_by;
        Some(is_door && has_keys && machine.keys.contains(&public_key(lease)))
    }
}

#[async_trait]
impl Machines for Lan {
    fn address(&self) -> Ipv4Addr {
        let mut network = self.network();
        network.addresses += 1;
        nth(network.addresses - 1)
    }

    async fn boot(&self, birth: Birth) {
        let machine = Machine::new(&birth.id, birth.authorized_keys);
        self.network().up.insert(birth.address, machine);
    }

    async fn end(&self, id: &str) {
        self.network().up.retain(|_, machine| machine.id != id);
    }
}

/// Addresses that are set aside for tests of network devices.
fn nth(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 1)) + number)
}

/// The public key of a lease, which is its id in the form of a key.
pub(crate) fn public_key(lease: &LeaseId) -> String {
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(lease.as_str().bytes()).for_each(|(to, from)| *to = from);
    PublicKey::new(KeyData::Ed25519(Ed25519PublicKey(bytes)), "lease").to_openssh().unwrap()
}

/// Logins by the keys of leases.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    lan: Lan,
    made: Arc<Mutex<BTreeSet<LeaseId>>>,
}

impl Keys {
    pub(crate) fn new(lan: Lan) -> Self {
        Self { lan, made: Arc::default() }
    }

    /// Whether the key of any lease is left.
    pub(crate) fn are_left(&self) -> bool {
        !self.made().is_empty()
    }

    fn made(&self) -> MutexGuard<'_, BTreeSet<LeaseId>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Transport for Keys {
    async fn prepare(&self, lease: &LeaseId) -> Result<String> {
        self.made().insert(lease.clone());
        Ok(public_key(lease))
    }

    async fn probe(&self, lease: &LeaseId, reach: &Reach) -> Result<Probe> {
        let host_key = format!("ssh-ed25519 host-{}", reach.host);
        Ok(match (self.lan.lets_in(lease, reach), &reach.host_key) {
            (Some(true), HostKey::Pinned(key)) if *key != host_key => {
                Probe::Never { why: "another host key".to_owned() }
            }
            (Some(true), _) => Probe::Ready { host_key },
            (Some(false), _) => Probe::Never { why: "permission denied".to_owned() },
            (None, _) => Probe::NotYet { why: "no answer".to_owned() },
        })
    }

    async fn recognise(&self, lease: &LeaseId, reach: &Reach) -> Result<Recognition> {
        if !self.made().contains(lease) {
            return Err(Error::harmless(ErrorKind::NotFound, "log in", "the key is gone"));
        }
        Ok(match self.lan.lets_in(lease, reach) {
            Some(true) => Recognition::Ours,
            Some(false) => Recognition::NotOurs { why: "permission denied".to_owned() },
            None => Recognition::Unclear { why: "no answer".to_owned() },
        })
    }

    async fn connect(&self, _lease: &LeaseId, _reach: &Reach) -> Result<Box<dyn Host>> {
        Err(Error::harmless(ErrorKind::Unsupported, "connect", "nothing runs there"))
    }

    async fn forget(&self, lease: &LeaseId) -> Result<()> {
        self.made().remove(lease);
        Ok(())
    }
}
