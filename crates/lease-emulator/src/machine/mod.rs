//! The machines of an emulated cloud: what one is given when it is born, and who runs it.

mod ending;
mod settings;
mod shell;
mod sshd;
mod user_data;

use std::fmt;
use std::net::Ipv4Addr;

use async_trait::async_trait;

pub use settings::{Access, Condition, Containment, MachineError, SshdSettings};
pub use sshd::SshdMachines;
pub use user_data::USER_DATA_BYTES_MAX;

/// What a machine is given by its cloud.
#[derive(Clone, Debug)]
pub struct Birth {
    /// The machine's id in its cloud.
    pub id: String,
    /// The address that it will answer at.
    pub address: Ipv4Addr,
    /// The public keys that may log in, in the form of `authorized_keys` lines.
    pub authorized_keys: Vec<String>,
    /// What its creator gave it to run at the first boot, such as a cloud-init document.
    pub user_data: Option<String>,
}

/// Who runs machines.
#[async_trait]
pub trait Machines: fmt::Debug + Send + Sync {
    /// An address that no other machine has.
    fn address(&self) -> Ipv4Addr;

    /// Boots a machine. Returns when it has begun to boot; a login may work a moment later.
    async fn boot(&self, birth: Birth);

    /// Ends a machine and everything that runs on it. Ending one that is not there is success.
    async fn end(&self, id: &str);
}

/// Machines that are never logged in to: they have addresses and nothing else.
#[derive(Debug, Default)]
pub struct NoMachines(std::sync::atomic::AtomicU32);

#[async_trait]
impl Machines for NoMachines {
    fn address(&self) -> Ipv4Addr {
        let number = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // 198.18.0.0/15 is set aside for tests of network devices; nothing answers there.
        Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 1)).wrapping_add(number % 0x1_fffe))
    }

    async fn boot(&self, _birth: Birth) {}

    async fn end(&self, _id: &str) {}
}
