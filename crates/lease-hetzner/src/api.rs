//! The interface, call by call: each is sent once, noted in the budget, and read.

use std::fmt;
use std::time::Duration;

use http::{Method, StatusCode};
use lease_core::provider::Check;
use lease_core::{Error, Result, Timestamp};
use lease_http::{Answer, Call, Client, Failure, RateLimit};
use serde_json::{Value, json};

use crate::budget::Budget;
use crate::config::HetznerConfig;
use crate::kind::Kind;
use crate::labels::Labels;
use crate::refusal::{self, Asked};
use crate::wire::Thing;

/// What one page or one search is narrowed down by.
pub(crate) type Query<'q> = &'q [(&'q str, &'q str)];

/// A caller with a token.
pub(crate) struct Api {
    client: Client,
    pub(crate) budget: Budget,
    capacity_phrases: Vec<String>,
    read_deadline: Duration,
    write_deadline: Duration,
}

impl Api {
    pub(crate) fn new(client: Client, config: &HetznerConfig) -> Self {
        Self {
            client,
            budget: Budget::new(config.request_reserve),
            capacity_phrases: config.capacity_phrases.clone(),
            read_deadline: config.read_deadline,
            write_deadline: config.write_deadline,
        }
    }

    /// The origin that calls go to.
    pub(crate) fn origin(&self) -> &str {
        self.client.endpoint().origin()
    }

    /// Where calls go, for people.
    pub(crate) fn host(&self) -> &str {
        self.client.endpoint().host()
    }

    /// Whether the interface's clock agrees with ours, once it answered.
    pub(crate) fn clock_check(&self, now: Timestamp) -> Option<Check> {
        self.client.clock_check(now)
    }

    async fn send(&self, call: Call) -> std::result::Result<Answer, Failure> {
        let sent = self.client.send(call).await;
        let rate: RateLimit = match &sent {
            Ok(answer) => answer.rate_limit(),
            Err(failure) => failure.rate_limit(),
        };
        self.budget.note(rate);
        sent
    }

    pub(crate) fn error(&self, failure: &Failure, asked: Asked) -> Error {
        refusal::error(failure, asked, &self.capacity_phrases)
    }

    /// Reads whatever is at the path.
    ///
    /// # Cancel safety
    /// It only reads, as every call here that is not said to change something.
    pub(crate) async fn read(
        &self,
        operation: &'static str,
        path: &[&str],
        query: Query<'_>,
    ) -> Result<(Answer, Value)> {
        let mut call =
            Call::new(Method::GET, operation, self.read_deadline).path(path.iter().copied());
        for (name, value) in query {
            call = call.query(*name, value);
        }
        let answer = self.send(call).await.map_err(|it| self.error(&it, Asked::Read))?;
        let body = answer.json()?;
        Ok((answer, body))
    }

    /// Reads one resource; `None` when the interface says that there is none.
    pub(crate) async fn get(
        &self,
        operation: &'static str,
        kind: Kind,
        number: u64,
    ) -> Result<Option<Thing>> {
        let call = Call::new(Method::GET, operation, self.read_deadline)
            .path([kind.many().to_owned(), number.to_string()]);
        let answer = match self.send(call).await {
            Ok(answer) => answer,
            Err(failure) if refusal::is_absence(&failure) => return Ok(None),
            Err(failure) => return Err(self.error(&failure, Asked::Read)),
        };
        thing(&answer, kind).filter(|it| it.id == number).map(Some).ok_or_else(|| {
            answer.unusable(&format!("the answer does not show {} {number}", kind.noun()))
        })
    }

    /// Creates a resource with one request.
    ///
    /// # Cancel safety
    /// The outcome of a dropped call is unknown.
    pub(crate) async fn post(
        &self,
        operation: &'static str,
        kind: Kind,
        body: &Value,
    ) -> std::result::Result<Answer, Failure> {
        let call = Call::new(Method::POST, operation, self.write_deadline);
        self.send(call.path([kind.many()]).json(body)).await
    }

    /// Replaces all labels of a resource.
    ///
    /// # Cancel safety
    /// The outcome of a dropped call is unknown.
    pub(crate) async fn relabel(
        &self,
        operation: &'static str,
        (kind, number): (Kind, u64),
        labels: &Labels,
    ) -> Result<()> {
        let call = Call::new(Method::PUT, operation, self.write_deadline)
            .path([kind.many().to_owned(), number.to_string()])
            .json(&json!({ "labels": labels }));
        self.send(call).await.map(drop).map_err(|it| self.error(&it, Asked::Change))
    }

    /// Asks for a change of nothing on a key that cannot exist: what comes back says whether the token may write.
    ///
    /// The number is the largest that is documented for an id, and an update without fields changes no field, so
    /// nothing can be changed even if a key had that number.
    pub(crate) async fn probe_write(
        &self,
        operation: &'static str,
    ) -> std::result::Result<Answer, Failure> {
        const ID_MAX: &str = "9007199254740991";
        let call = Call::new(Method::PUT, operation, self.read_deadline)
            .path([Kind::SshKey.many(), ID_MAX])
            .json(&json!({}));
        self.send(call).await
    }

    /// Deletes a resource; what the interface does not have is deleted.
    ///
    /// # Cancel safety
    /// The outcome of a dropped call is unknown.
    pub(crate) async fn delete(
        &self,
        operation: &'static str,
        kind: Kind,
        number: u64,
    ) -> Result<()> {
        let call = Call::new(Method::DELETE, operation, self.write_deadline)
            .path([kind.many().to_owned(), number.to_string()]);
        let Err(failure) = self.send(call).await else { return Ok(()) };
        if refusal::is_absence(&failure) {
            return Ok(());
        }
        let error = self.error(&failure, Asked::Change);
        let locked = failure.status() == Some(StatusCode::LOCKED)
            && refusal::code(&failure).as_deref() != Some("protected");
        if locked && self.is_going(operation, kind, number).await {
            return Ok(());
        }
        Err(error)
    }

    /// Whether what is locked is locked because it is being deleted.
    async fn is_going(&self, operation: &'static str, kind: Kind, number: u64) -> bool {
        match self.get(operation, kind, number).await {
            Ok(Some(thing)) => thing.status.as_deref() == Some("deleting"),
            Ok(None) => true,
            Err(_) => false,
        }
    }
}

/// The resource in an answer.
pub(crate) fn thing(answer: &Answer, kind: Kind) -> Option<Thing> {
    let body: Value = answer.json().ok()?;
    Thing::read(&body[kind.one()])
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("client", &self.client).finish_non_exhaustive()
    }
}
