//! The wire between provider and cloud: a function call, on which the planned fault happens to the planned request.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use lease_core::retry::pause;
use lease_core::{ErrorKind, Store};
use lease_emulator::{Cloud, Served};
use lease_http::{Wire, WireError};
use tokio::time::timeout;

use crate::backend::{Account, Backend, Vendor};
use crate::fault::{Fault, MOVED};
use crate::mutant::Mutant;
use crate::notes::{Notes, Rule};

/// The wire of one run.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) vendor: Vendor,
    pub(crate) notes: Notes,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) mutant: Option<Mutant>,
}

#[async_trait]
impl Wire for Broken {
    async fn exchange(
        &self,
        mut request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, WireError> {
        let fault = self.notes.arrive();
        if self.notes.runs_wild() {
            self.notes.die();
            return std::future::pending().await;
        }
        if request.method() == Method::POST {
            self.witness(&request).await;
            if let Some(mutant) = self.mutant {
                mutant.infect_request(&mut request, &self.notes);
            }
        }
        if let Some(fault) = fault {
            self.disturb(fault, &request);
        }
        // As over a network, a request goes on when whoever sent it has left.
        let cloud = Arc::clone(&self.notes.cloud);
        let serving = tokio::spawn(async move { cloud.serve(request).await });
        let late = || WireError::lost("no answer in time").with_kind(ErrorKind::Timeout);
        let served = timeout(deadline, serving).await.map_err(|_| late())?;
        let served = served.map_err(|error| WireError::lost(error.to_string()))?;
        if fault.is_some_and(Fault::kills) {
            self.notes.die();
            return std::future::pending().await;
        }
        match served {
            Served::Answer(response) => Ok(response),
            Served::Truncated(_, bytes) => {
                Err(WireError::lost(format!("the answer broke off after {bytes} bytes")))
            }
            Served::Dropped => Err(WireError::lost("the connection was closed")),
            Served::Hung => {
                pause(deadline).await;
                Err(late())
            }
        }
    }
}

impl Broken {
    fn disturb(&self, fault: Fault, request: &Request<Bytes>) {
        if let Some(plan) = fault.plan(self.vendor, request.method(), request.uri().path()) {
            self.notes.arm(plan);
            return;
        }
        if fault == Fault::AccountMoved {
            self.backend.move_account(Account::Strangers);
            let backend = Arc::clone(&self.backend);
            tokio::spawn(async move {
                pause(MOVED).await;
                backend.move_account(Account::Ours);
            });
            self.notes.happened();
        } else if self.backend.take_name(request) {
            self.notes.happened();
        }
    }

    /// Holds a create against the store: a record must stand for it. The first one of each kind has a neighbour.
    async fn witness(&self, request: &Request<Bytes>) {
        let body = String::from_utf8_lossy(request.body());
        let claims = self.store.scan().await.unwrap_or_default();
        let stands = claims.iter().filter_map(|it| it.claim.as_ref().ok()).any(|claim| {
            let sent = claim.resources().iter().filter(|it| it.sends() > 0 && it.id().is_none());
            let named = |it: &lease_core::journal::Intended| {
                body.contains(it.name.as_str()) || body.contains(it.public_key.as_str())
            };
            sent.map(lease_core::claim::ClaimedResource::intended).any(named)
        });
        if !stands {
            self.notes.blame(Rule::NoIntent, request.uri().path());
        }
        if self.notes.is_first_post(request.uri().path()) {
            self.backend.plant_beside(request);
        }
    }
}
