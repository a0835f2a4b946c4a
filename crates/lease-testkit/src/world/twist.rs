//! What can go wrong inside the cloud with one request, as opposed to on the way to it.

use std::time::Duration;

/// One misbehaviour, met by the next request that it fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twist {
    /// The next accepted create becomes visible only after so long.
    LandsLate(Duration),
    /// The next create is delivered twice.
    DeliveredTwice,
    /// The next create meets an empty shelf.
    NoCapacity,
    /// The next listing shows how things were so long ago.
    StaleListing(Duration),
    /// The next listing breaks off after its first page.
    LostPage,
}

impl Twist {
    pub(super) fn is_for_create(&self) -> bool {
        matches!(self, Self::LandsLate(_) | Self::DeliveredTwice | Self::NoCapacity)
    }
}
