//! What every emulated cloud is to the rest: something that answers requests and keeps a ledger.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// A request as it arrived, body and all.
pub type Request = http::Request<Bytes>;
/// An answer, body and all.
pub type Response = http::Response<Bytes>;

/// What becomes of a request.
#[derive(Debug)]
pub enum Served {
    /// It is answered.
    Answer(Response),
    /// The answer breaks off after so many bytes of its body, and the connection with it.
    Truncated(Response, usize),
    /// The connection is closed without an answer.
    Dropped,
    /// No answer ever comes.
    Hung,
}

/// An emulated cloud. Time in it is tokio's, so that a paused clock governs it.
#[async_trait]
pub trait Cloud: fmt::Debug + Send + Sync {
    /// Takes a request, lets it have its effect, and answers.
    async fn serve(&self, request: Request) -> Served;

    /// Everything that ever existed in any account, in order of creation.
    fn ledger(&self) -> Vec<LedgerEntry>;
}

/// One resource that exists or existed. Times are counted from the start of the cloud.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerEntry {
    /// The account (project, workspace) that it is in.
    pub account: String,
    /// Its kind in the provider's terms.
    pub kind: String,
    /// Its id, as the provider prints it.
    pub id: String,
    /// Its name; empty where the provider has no names.
    pub name: String,
    /// Its labels; empty where the provider has none.
    pub labels: BTreeMap<String, String>,
    /// The public keys that may log in to it, or that it is.
    pub public_keys: Vec<String>,
    /// When it began to exist, which is when it began to cost money if it costs any.
    pub born: Duration,
    /// When it ceased to exist.
    pub gone: Option<Duration>,
    /// Whether it was planted by a test and belongs to somebody else.
    pub foreign: bool,
    /// What it costs while it exists, in whole cents per hour; zero for what is free.
    pub cents_per_hour: u64,
}
