//! In which account a lease lives (invariant I9).

use std::fmt;

use serde::{Deserialize, Serialize};

/// The provider, its endpoint, and the fingerprint of the account there. It holds no credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The provider's registered name.
    pub provider: String,
    /// Where its interface is: an origin, a host, or a directory.
    pub endpoint: String,
    /// What tells this account from every other at that endpoint.
    pub account: String,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} account {} at {}", self.provider, self.account, self.endpoint)
    }
}
