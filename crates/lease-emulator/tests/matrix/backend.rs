//! What the matrix has to know of a vendor, and nothing more.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, StatusCode};
use lease_core::{Provider, Spec};
use lease_emulator::script::json;
use lease_emulator::{Cloud, LedgerEntry, Request, Response};
use lease_http::Wire;

use crate::boxes::Boxes;
use crate::fault::status_of;

/// Whose interface it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Vendor {
    Fal,
    Hetzner,
}

impl Vendor {
    /// An empty cloud of this vendor with its strangers, whose machines are those.
    pub(crate) fn cloud(self, boxes: &Boxes) -> Arc<dyn Backend> {
        match self {
            Self::Fal => Arc::new(crate::fal::Fal::new(boxes.clone())),
            Self::Hetzner => Arc::new(crate::hetzner::OfHetzner::new(boxes.clone())),
        }
    }

    /// The bytes with which this vendor refuses.
    pub(crate) fn refusal(self, status: u16, method: &Method) -> Response {
        let code = status_of(status);
        match self {
            Self::Fal => json(code, &crate::fal::refusal(code)),
            Self::Hetzner => json(code, &crate::hetzner::refusal(code, method)),
        }
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fal => "fal",
            Self::Hetzner => "hetzner",
        })
    }
}

/// One emulated cloud with strangers in it.
#[async_trait]
pub(crate) trait Backend: fmt::Debug + Send + Sync {
    /// The cloud itself.
    fn cloud(&self) -> Arc<dyn Cloud>;

    /// The provider as a new process would open it.
    fn provider(&self, wire: Arc<dyn Wire>) -> Arc<dyn Provider>;

    /// A wish with more than one answer, where the vendor has more than one.
    fn spec(&self) -> Spec;

    /// What is wished for first cannot be had from now on.
    fn sell_out(&self);

    /// Gives the credentials to another account, or back.
    fn move_account(&self, to: Account);

    /// A stranger makes something as like to this as the vendor allows, just before.
    fn plant_beside(&self, request: &Request);

    /// A stranger takes the very name; says whether there is one to take.
    fn take_name(&self, request: &Request) -> bool;

    /// Ends something as a person would on the vendor's own page.
    async fn remove_by_hand(&self, entry: &LedgerEntry);

    /// Whether the entry is a machine, and not what belongs to one.
    fn is_machine(&self, entry: &LedgerEntry) -> bool;
}

/// Whose the credentials are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Account {
    Ours,
    Strangers,
}

/// A body that is JSON, or null.
pub(crate) fn body_of(request: &Request) -> serde_json::Value {
    serde_json::from_slice(request.body()).unwrap_or_default()
}

/// The reason phrase of a status, for a refusal whose words mean nothing.
pub(crate) fn words(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("refused")
}
