//! Using what was leased: a connection to the machine of a claim.

use crate::claim::Claim;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::host::Host;

const CONNECT: &str = "connect to the machine";

impl Engine {
    /// Opens a connection to the machine of `claim`, to run commands on.
    ///
    /// It moves no deadline and takes no lock. Whoever uses a lease that may end while it is idle holds its lock
    /// [`LockKind::Use`](crate::store::LockKind::Use) meanwhile, which keeps every reaper away, and calls
    /// [`Engine::touch`] afterwards.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the claim has no machine that can be used; else what the login met.
    ///
    /// # Cancel safety
    /// A cancelled call leaves no process behind.
    pub async fn connect(&self, claim: &Claim) -> Result<Box<dyn Host>> {
        let reach = claim.usable().ok_or_else(|| {
            let message =
                format!("{} is {} and has no machine to use", claim.slug(), claim.phase());
            Error::harmless(ErrorKind::Invalid, CONNECT, message)
        })?;
        self.call(CONNECT, self.transport.connect(claim.lease(), reach)).await
    }
}
