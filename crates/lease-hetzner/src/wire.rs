//! What answers hold, read leniently: only an id is needed, and whatever else is missing or odd is `None`.
//!
//! An answer that proves that something exists must not be lost because a field beside it is not as expected.

use lease_core::Timestamp;
use serde_json::Value;

use crate::config::Architecture;
use crate::labels::Labels;

/// A resource of any kind, as far as this provider looks at it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Thing {
    pub(crate) id: u64,
    pub(crate) name: Option<String>,
    pub(crate) labels: Labels,
    pub(crate) created: Option<Timestamp>,
    /// A server's status, in the word of the interface.
    pub(crate) status: Option<String>,
    /// A server's addresses.
    pub(crate) ipv4: Option<String>,
    pub(crate) ipv6: Option<String>,
    /// A primary IP's family, and whether something uses it.
    pub(crate) family: Option<String>,
    pub(crate) assigned: bool,
}

impl Thing {
    /// Reads a resource; `None` when it has no id.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let address = |family: &str| text(&value["public_net"][family]["ip"]);
        Some(Self {
            id: value["id"].as_u64().filter(|it| *it > 0)?,
            name: text(&value["name"]),
            labels: labels(&value["labels"]),
            created: value["created"].as_str().and_then(timestamp),
            status: text(&value["status"]),
            ipv4: address("ipv4"),
            ipv6: address("ipv6"),
            family: text(&value["type"]),
            assigned: value["assignee_id"].is_u64(),
        })
    }
}

fn labels(value: &Value) -> Labels {
    let pairs = value.as_object().into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn timestamp(text: &str) -> Option<Timestamp> {
    let at: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok().map(Timestamp::from_millis)
}

/// Something that was begun on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Action {
    pub(crate) command: String,
    pub(crate) status: String,
    /// What went wrong, in the words of the interface.
    pub(crate) error: Option<String>,
}

impl Action {
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let error = &value["error"];
        let said = || format!("{} ({})", text(&error["message"]), text(&error["code"]));
        Some(Self {
            command: value["command"].as_str()?.to_owned(),
            status: text(&value["status"]),
            error: error.is_object().then(said),
        })
    }
}

/// A server type with where it is offered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerType {
    pub(crate) name: String,
    pub(crate) cores: u32,
    pub(crate) memory_gib: f64,
    pub(crate) disk_gb: u64,
    pub(crate) architecture: Option<Architecture>,
    pub(crate) cpu_type: String,
    pub(crate) offers: Vec<Offer>,
}

/// A server type in one location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) location: String,
    /// Whether it can be had now; documented since April 2026, so it may be missing.
    pub(crate) available: Option<bool>,
    /// What an hour costs without tax, as it is printed.
    pub(crate) hourly_net: Option<String>,
}

impl ServerType {
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let prices = value["prices"].as_array().map(Vec::as_slice).unwrap_or_default();
        let price_in = |location: &str| {
            let price = prices.iter().find(|it| it["location"].as_str() == Some(location))?;
            Some(price["price_hourly"]["net"].as_str()?.to_owned())
        };
        let offer = |location: &str, available| Offer {
            location: location.to_owned(),
            available,
            hourly_net: price_in(location),
        };
        let offers = match value["locations"].as_array() {
            Some(locations) => locations
                .iter()
                .filter_map(|it| Some(offer(it["name"].as_str()?, it["available"].as_bool())))
                .collect(),
            // Before it said where it is offered, it said what it costs there.
            None => {
                prices.iter().filter_map(|it| Some(offer(it["location"].as_str()?, None))).collect()
            }
        };
        Some(Self {
            name: value["name"].as_str()?.to_owned(),
            cores: value["cores"].as_u64().and_then(|it| it.try_into().ok()).unwrap_or_default(),
            memory_gib: value["memory"].as_f64().unwrap_or_default(),
            disk_gb: value["disk"].as_u64().unwrap_or_default(),
            architecture: value["architecture"].as_str().and_then(Architecture::parse),
            cpu_type: value["cpu_type"].as_str().unwrap_or_default().to_owned(),
            offers,
        })
    }

    pub(crate) fn offer_in(&self, location: &str) -> Option<&Offer> {
        self.offers.iter().find(|it| it.location == location)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_is_all_that_a_resource_needs() {
        let thing = Thing::read(&json!({"id": 7})).unwrap();
        assert_eq!((thing.id, thing.name, thing.ipv4), (7, None, None));
        for odd in [
            json!({"id": 7, "public_net": {"ipv4": null}}),
            json!({"id": 7, "public_net": null, "labels": null, "created": "yesterday"}),
            json!({"id": 7, "labels": [], "status": 3, "assignee_id": null}),
        ] {
            assert_eq!(Thing::read(&odd).unwrap().id, 7, "{odd}");
        }
        for none in [json!({}), json!({"id": "7"}), json!({"id": 0}), json!(null)] {
            assert_eq!(Thing::read(&none), None, "{none}");
        }
    }

    #[test]
    fn a_time_is_read_with_its_offset() {
        let thing = |at: &str| Thing::read(&json!({"id": 1, "created": at})).unwrap();
        let expected = Some(Timestamp::from_millis(1_767_225_600_000));
        assert_eq!(thing("2026-01-01T00:00:00+00:00").created, expected);
        assert_eq!(thing("2026-01-01T02:00:00+02:00").created, expected);
    }

    #[test]
    fn a_type_that_says_only_what_it_costs_is_offered_where_it_costs_something() {
        let price = json!({"net": "0.0090000000", "gross": "0.01"});
        let old = json!({"name": "cx23", "cores": 2, "memory": 4.0, "disk": 40,
            "prices": [{"location": "fsn1", "price_hourly": price}]});
        let read = ServerType::read(&old).unwrap();
        assert_eq!(read.offers.len(), 1);
        assert_eq!(read.offer_in("fsn1").unwrap().hourly_net.as_deref(), Some("0.0090000000"));
        assert_eq!(read.offer_in("fsn1").unwrap().available, None);
        assert_eq!(read.offer_in("nbg1"), None);
    }
}
