//! Turns an intent into the one request that creates it, and a conflict into what it is about.

use lease_core::error::Effect;
use lease_core::{Error, ErrorKind, Intent, Result};
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::Api;
use crate::config::{Family, HetznerConfig};
use crate::error::HetznerError;
use crate::kind::{self, Kind, PRIMARY_IPV4, PRIMARY_IPV6, SSH_KEY};
use crate::labels;
use crate::user_data;
use crate::wire::Thing;

/// The part of the create of a primary IP that a plan decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddressOrder {
    pub(crate) location: String,
}

/// The part of the create of a server that a plan decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerOrder {
    pub(crate) server_type: String,
    pub(crate) location: String,
    pub(crate) image: Value,
    /// The user's own keys.
    #[serde(default)]
    pub(crate) ssh_keys: Vec<u64>,
    #[serde(default)]
    pub(crate) networks: Vec<u64>,
    pub(crate) enable_ipv4: bool,
    pub(crate) enable_ipv6: bool,
}

/// The kind of the intent and the body of its one request. The same intent gives the same bytes.
pub(crate) fn body(
    config: &HetznerConfig,
    intent: &Intent,
    operation: &'static str,
) -> Result<(Kind, Value)> {
    let harmless = |error: HetznerError| error.harmless(operation);
    let Some(kind) = Kind::of(intent.kind()) else {
        let why = format!("there are no resources of the kind {:?}", intent.kind());
        return Err(harmless(HetznerError::Request(why)));
    };
    let (name, labels) = (intent.name(), labels::of(intent));
    let body = match kind {
        Kind::SshKey => {
            json!({"name": name, "public_key": intent.public_key(), "labels": labels})
        }
        Kind::PrimaryIp => {
            let order: AddressOrder = order(intent, operation)?;
            let family = if intent.kind() == PRIMARY_IPV4 { "ipv4" } else { "ipv6" };
            json!({
                "name": name,
                "type": family,
                "assignee_type": "server",
                // Each resource of a lease is deleted by itself, with its own proof.
                "auto_delete": false,
                "location": order.location,
                "labels": labels,
            })
        }
        Kind::Server => server(config, intent, operation)?,
    };
    Ok((kind, body))
}

fn server(config: &HetznerConfig, intent: &Intent, operation: &'static str) -> Result<Value> {
    let order: ServerOrder = order(intent, operation)?;
    let marks = intent.marks();
    let born_with = (&marks.lease, &marks.nonce);
    let user_data = user_data::render(config, born_with, intent.public_key())
        .map_err(|error| error.harmless(operation))?;
    let mut keys = vec![sibling(intent, (SSH_KEY, Kind::SshKey), operation)?];
    keys.extend(order.ssh_keys);
    let mut net = json!({"enable_ipv4": order.enable_ipv4, "enable_ipv6": order.enable_ipv6});
    // Each address is one that we made and marked: an address that Hetzner makes by itself has no labels.
    for (enabled, family, word) in
        [(order.enable_ipv4, "ipv4", PRIMARY_IPV4), (order.enable_ipv6, "ipv6", PRIMARY_IPV6)]
    {
        if enabled {
            net[family] = sibling(intent, (word, Kind::PrimaryIp), operation)?.into();
        }
    }
    Ok(json!({
        "name": intent.name(),
        "server_type": order.server_type,
        "location": order.location,
        "image": order.image,
        "ssh_keys": keys,
        "networks": order.networks,
        "labels": labels::of(intent),
        "public_net": net,
        "start_after_create": true,
        "user_data": user_data,
    }))
}

fn order<T: for<'a> Deserialize<'a>>(intent: &Intent, operation: &'static str) -> Result<T> {
    T::deserialize(intent.request()).map_err(|error| {
        let why = format!("the request is not one of ours: {error}");
        HetznerError::Request(why).harmless(operation)
    })
}

/// The number of what was created before this for the same machine.
fn sibling(intent: &Intent, (word, kind): (&str, Kind), operation: &'static str) -> Result<u64> {
    let Some(id) = intent.sibling(word) else {
        let why = format!("the {} of the lease was not created", kind.noun());
        return Err(HetznerError::Record(why).harmless(operation));
    };
    kind::number_of(id, kind, operation)
}

/// The families that a server has, each with its word in the contract.
pub(crate) fn families(ipv4: Family, ipv6: Family) -> impl Iterator<Item = &'static str> {
    let all = [(ipv4, PRIMARY_IPV4), (ipv6, PRIMARY_IPV6)];
    all.into_iter().filter(|(family, _)| family.is_on()).map(|(_, word)| word)
}

/// What a search for an intent came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Trace {
    /// It exists.
    Ours(Box<Thing>),
    /// Its name, or its key, belongs to something else.
    Foreign(Box<Thing>),
    /// More than one has its marks.
    Several(Vec<u64>),
    /// There is nothing.
    Nothing,
}

impl Trace {
    /// Whether what was met carries marks of this tool at all.
    pub(crate) fn is_marked(&self) -> bool {
        match self {
            Self::Ours(thing) | Self::Foreign(thing) => labels::marks(&thing.labels).is_some(),
            Self::Several(_) => true,
            Self::Nothing => false,
        }
    }
}

impl Api {
    /// Searches for what an intent may have made, by name and by nonce: a name can be changed, and a label can be lost.
    pub(crate) async fn trace(
        &self,
        operation: &'static str,
        kind: Kind,
        intent: &Intent,
    ) -> Result<Trace> {
        let by_name = [("name", intent.name().as_str())];
        let nonce = labels::with_nonce(intent.key());
        let by_nonce = [("label_selector", nonce.as_str())];
        let mut found = self.things(operation, kind, &by_name).await?;
        for thing in self.things(operation, kind, &by_nonce).await? {
            if !found.iter().any(|it| it.id == thing.id) {
                found.push(thing);
            }
        }
        let (ours, mut others): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|it| labels::marks(&it.labels).as_ref() == Some(intent.marks()));
        Ok(match (ours.len(), others.pop()) {
            (0, None) => Trace::Nothing,
            (0, Some(other)) => Trace::Foreign(Box::new(other)),
            (1, _) => {
                ours.into_iter().next().map_or(Trace::Nothing, |it| Trace::Ours(Box::new(it)))
            }
            _ => Trace::Several(ours.into_iter().map(|it| it.id).collect()),
        })
    }

    /// What a conflict about an intent is about. Two keys cannot have the same material either, whatever their names.
    pub(crate) async fn trace_conflict(
        &self,
        operation: &'static str,
        kind: Kind,
        intent: &Intent,
    ) -> Result<Trace> {
        let trace = self.trace(operation, kind, intent).await?;
        let Some(fingerprint) = fingerprint(intent.public_key()) else { return Ok(trace) };
        if trace != Trace::Nothing || kind != Kind::SshKey {
            return Ok(trace);
        }
        let same = self.things(operation, kind, &[("fingerprint", &fingerprint)]).await?;
        Ok(same.into_iter().next().map_or(Trace::Nothing, |it| Trace::Foreign(Box::new(it))))
    }
}

/// The error for a create that met something else of its name, or nothing that could be seen.
pub(crate) fn conflict(operation: &'static str, kind: Kind, trace: &Trace) -> Error {
    let noun = kind.noun();
    let (effect, message) = match trace {
        Trace::Foreign(other) => {
            let name = other.name.as_deref().unwrap_or("without a name");
            let message = format!(
                "{noun} {} ({name}) has the name or the key of the lease and is not the lease's; it was left alone",
                other.id
            );
            (Effect::None, message)
        }
        Trace::Several(ids) => {
            (Effect::Unknown, format!("{noun} {ids:?} all carry the marks of the lease"))
        }
        Trace::Nothing | Trace::Ours(_) => {
            let message = format!(
                "the name or the key of the {noun} is taken, and nothing of it is shown yet"
            );
            (Effect::Unknown, message)
        }
    };
    Error::new(ErrorKind::Conflict, effect, operation, message)
}

/// The fingerprint of a public key as the interface has it: MD5, as pairs of digits with colons between.
fn fingerprint(public_key: &str) -> Option<String> {
    let blob = ssh_key::PublicKey::from_openssh(public_key).ok()?.to_bytes().ok()?;
    let pairs: Vec<_> = Md5::digest(blob).iter().map(|it| format!("{it:02x}")).collect();
    Some(pairs.join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_one_that_hetzner_shows() {
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBsfG4jKwmtPX6mlAyTR7jQAy0By2vJ2rn+IUDjMDEBc a@b";
        let printed = "67:17:d1:8f:5a:99:f1:14:9b:85:de:82:48:3c:b3:4c";
        assert_eq!(fingerprint(key).as_deref(), Some(printed));
        assert_eq!(fingerprint("nonsense"), None);
    }

    #[test]
    fn only_what_is_seen_to_be_foreign_proves_that_nothing_was_made() {
        let thing = || Box::new(Thing::read(&json!({"id": 7, "name": "x"})).unwrap());
        for (trace, effect) in [
            (Trace::Foreign(thing()), Effect::None),
            (Trace::Several(vec![1, 2]), Effect::Unknown),
            (Trace::Nothing, Effect::Unknown),
        ] {
            let error = conflict("create", Kind::Server, &trace);
            assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, effect), "{trace:?}");
        }
    }
}
