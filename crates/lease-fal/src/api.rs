//! The five operations of fal's interface that are used, one call each, without any judgement about leases.

use std::time::Duration;

use http::{Method, StatusCode};
use lease_core::{Error, Nonce, ResourceId, Result};
use lease_http::{Answer, Call, Client};

use crate::refusal::{Asked, is_of_fal, judge};
use crate::wire::{Billing, Instance, Made, Page};

pub(crate) const CREATE: &str = "create an instance";
const DELETE: &str = "delete an instance";
const INSPECT: &str = "look at an instance";
const LIST: &str = "list instances";
const SCOPE: &str = "identify the account";

const INSTANCES: [&str; 2] = ["compute", "instances"];
const BILLING: [&str; 2] = ["account", "billing"];

/// fal's interface with one key.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) client: Client,
    pub(crate) page_items: Option<u32>,
    pub(crate) read_deadline: Duration,
    pub(crate) write_deadline: Duration,
}

/// Whether the balance is asked for along with the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credit {
    Shown,
    Hidden,
}

impl Api {
    /// Who pays.
    pub(crate) async fn billing(&self, credit: Credit) -> Result<Billing> {
        let mut call = self.read(SCOPE).path(BILLING);
        if credit == Credit::Shown {
            call = call.query("expand", "credits");
        }
        let answer = self.reading(call).await?;
        let billing: Billing = answer.json()?;
        if billing.username.trim().is_empty() {
            return Err(answer.unusable("the account has no name"));
        }
        Ok(billing)
    }

    /// One page of the listing.
    pub(crate) async fn page(&self, cursor: Option<&str>) -> Result<Page> {
        let mut call = self.read(LIST).path(INSTANCES);
        if let Some(items) = self.page_items {
            call = call.query("limit", items);
        }
        if let Some(cursor) = cursor {
            call = call.query("cursor", cursor);
        }
        self.reading(call).await?.json()
    }

    /// One instance; `None` when fal says that this workspace has none of that id.
    pub(crate) async fn instance(&self, id: &ResourceId) -> Result<Option<Instance>> {
        let call = self.read(INSPECT).path(INSTANCES).path([id.as_str()]);
        let answer = match self.client.send(call).await {
            Ok(answer) => answer,
            Err(failure)
                if failure.status() == Some(StatusCode::NOT_FOUND) && is_of_fal(&failure) =>
            {
                return Ok(None);
            }
            Err(failure) => return Err(judge(&failure, Asked::Read)),
        };
        let instance: Instance = answer.json()?;
        if instance.id != *id {
            let why = format!("fal was asked for {id} and answered with {}", instance.id);
            return Err(answer.unusable(&why));
        }
        Ok(Some(instance))
    }

    /// Creates an instance and answers with its id.
    pub(crate) async fn create(&self, key: &Nonce, body: Vec<u8>) -> Result<(ResourceId, Answer)> {
        let call = Call::new(Method::POST, CREATE, self.write_deadline)
            .path(INSTANCES)
            .header("Idempotency-Key", key.as_str())
            .body(body);
        let sent = self.client.send(call).await;
        let answer = sent.map_err(|failure| judge(&failure, Asked::Create))?;
        // Only 201 is documented. Its id must not be lost, since a repetition would be answered with the same bytes; any
        // other success has to be a whole instance, and is believed no further than that.
        let id = if answer.status() == StatusCode::CREATED {
            answer.json::<Made>()?.id
        } else {
            answer.json::<Instance>()?.id
        };
        Ok((id, answer))
    }

    /// Deletes an instance. That there is none is success: whether it is true is proven elsewhere.
    pub(crate) async fn delete(&self, id: &ResourceId) -> Result<()> {
        let call = Call::new(Method::DELETE, DELETE, self.write_deadline)
            .path(INSTANCES)
            .path([id.as_str()]);
        match self.client.send(call).await {
            Ok(_answer) => Ok(()),
            Err(failure) if failure.status() == Some(StatusCode::NOT_FOUND) => Ok(()),
            Err(failure) => Err(judge(&failure, Asked::Delete)),
        }
    }

    fn read(&self, operation: &'static str) -> Call {
        Call::new(Method::GET, operation, self.read_deadline)
    }

    async fn reading(&self, call: Call) -> Result<Answer, Error> {
        self.client.send(call).await.map_err(|failure| judge(&failure, Asked::Read))
    }
}
