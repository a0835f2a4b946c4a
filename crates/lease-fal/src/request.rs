//! What is journalled before a create: the exact request, what existed before it, and by whose key it is sent.

use std::collections::BTreeSet;

use lease_core::{Error, ErrorKind, Intent, ResourceId, Result, Secret};
use serde::{Deserialize, Serialize};

use crate::machines::Wish;
use crate::sighting::Login;

const READ: &str = "read the recorded request";

/// The most instances that may exist before a create; more could not be told apart afterwards with reason.
pub(crate) const BEFORE_MAX: usize = 10_000;

/// A request as the journal holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    pub(crate) instance_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sector: Option<String>,
    /// The ids of a complete listing from before the create. None of them can be the instance that it makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<BTreeSet<ResourceId>>,
    /// Which key sends it. Whether fal remembers a create by workspace or by key is unknown, so only the same key may
    /// repeat it.
    pub(crate) key: Fingerprint,
    /// How the machine will be logged in to, for whoever searches for it when the configuration is another one.
    pub(crate) login: Login,
}

/// What tells one API key from another without showing it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Fingerprint(String);

impl Fingerprint {
    /// 64 bits of a one-way function of the key, which is random enough for that not to be reversed.
    pub(crate) fn of(key: &Secret) -> Self {
        let digest =
            blake3::derive_key("lease-fal API key fingerprint v1", key.expose().as_bytes());
        Self(blake3::Hash::from(digest).to_hex().chars().take(16).collect())
    }
}

/// The body of `POST /compute/instances`. The order of its fields is part of it: a repetition has the same bytes.
#[derive(Serialize)]
struct Body<'a> {
    instance_type: &'a str,
    ssh_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sector: Option<&'a str>,
}

impl Request {
    pub(crate) fn new(
        wish: Wish,
        before: BTreeSet<ResourceId>,
        key: Fingerprint,
        login: Login,
    ) -> Self {
        let Wish { instance_type, sector } = wish;
        Self { instance_type, sector, before: Some(before), key, login }
    }

    /// Reads what an intent holds.
    pub(crate) fn read(intent: &Intent) -> Result<Self> {
        Self::deserialize(intent.request()).map_err(|error| {
            let message = format!("it is not one of this provider: {error}");
            Error::harmless(ErrorKind::Invalid, READ, message)
        })
    }

    /// The request as the journal holds it.
    pub(crate) fn to_value(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self).map_err(internal)
    }

    /// The exact bytes of the create.
    pub(crate) fn body(&self, public_key: &str) -> Result<Vec<u8>> {
        let body = Body {
            instance_type: &self.instance_type,
            ssh_key: public_key,
            sector: self.sector.as_deref(),
        };
        serde_json::to_vec(&body).map_err(internal)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn internal(error: serde_json::Error) -> Error {
    Error::harmless(ErrorKind::Internal, "write the request", error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(sector: Option<&str>) -> Request {
        let sector = sector.map(str::to_owned);
        let wish = Wish { instance_type: "gpu_8x_h100_sxm5".to_owned(), sector };
        let before = ["inst_b", "inst_a"].map(|it| it.parse().unwrap());
        let login = Login::documented("/home/ubuntu/lease");
        let key = Fingerprint::of(&Secret::new("id:secret"));
        Request::new(wish, BTreeSet::from(before), key, login)
    }

    #[test]
    fn the_bytes_of_a_create_are_these() {
        let body = |sector| String::from_utf8(request(sector).body("ssh-ed25519 AAAA x").unwrap());
        assert_eq!(
            body(Some("sector_1")).unwrap(),
            r#"{"instance_type":"gpu_8x_h100_sxm5","ssh_key":"ssh-ed25519 AAAA x","sector":"sector_1"}"#
        );
        assert_eq!(
            body(None).unwrap(),
            r#"{"instance_type":"gpu_8x_h100_sxm5","ssh_key":"ssh-ed25519 AAAA x"}"#
        );
    }

    #[test]
    fn the_bytes_are_the_same_after_a_journal_and_show_no_key() {
        let request = request(Some("sector_1"));
        let stored = request.to_value().unwrap().to_string();
        assert!(!stored.contains("secret"), "{stored}");
        let read: Request = serde_json::from_str(&stored).unwrap();
        assert_eq!(read, request);
        assert_eq!(read.body("k").unwrap(), request.body("k").unwrap());
    }

    #[test]
    fn two_keys_have_two_fingerprints() {
        let of = |key: &str| Fingerprint::of(&Secret::new(key));
        assert_eq!(of("a:b"), of("a:b"));
        assert_ne!(of("a:b"), of("a:c"));
    }
}
