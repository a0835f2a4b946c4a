//! What an instance that fal shows is to the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lease_core::{Found, HostKey, Reach, ResourceId, Status};
use serde::{Deserialize, Serialize};

use crate::config::{FalConfig, PORT, USER};
use crate::descriptor::KIND;
use crate::inventory::Instances;
use crate::wire::Instance;

/// How machines are logged in to: the interface says the address and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    user: String,
    port: u16,
    root: String,
}

impl Login {
    /// As configured.
    pub(crate) fn new(config: &FalConfig) -> Self {
        Self { user: config.user.clone(), port: config.port, root: config.work_root.clone() }
    }

    /// As fal documents it; the port is inferred.
    pub(crate) fn documented(root: &str) -> Self {
        Self { user: USER.to_owned(), port: PORT, root: root.to_owned() }
    }

    /// Whether both lead to the same server and the same user of it.
    pub(crate) fn is_same_door(&self, other: &Self) -> bool {
        (&self.user, self.port) == (&other.user, other.port)
    }

    /// An instance in the engine's terms. It never has marks: fal has nowhere to put them.
    pub(crate) fn found(&self, instance: &Instance) -> Found {
        let address = address(instance);
        let status = status(&instance.status.to_lowercase(), address);
        let is_up = status == Status::Running;
        Found {
            id: instance.id.clone(),
            kind: KIND.to_owned(),
            name: None,
            marks: None,
            reach: address.filter(|_| is_up).map(|it| self.reach(it)),
            status,
            created_at: None,
        }
    }

    fn reach(&self, address: IpAddr) -> Reach {
        let (host, user, root) = (address.to_string(), self.user.as_str(), self.root.as_str());
        let mut reach = Reach::new(host, user, HostKey::FirstUse, root);
        reach.port = self.port;
        reach
    }
}

/// What an instance is to the engine whose address another one shows too: a login there says something about the one that
/// has it now, and nothing says which that is.
pub(crate) fn indistinct(found: Found) -> Found {
    let waiting_for = Some("an address that no other instance shows".to_owned());
    Found { status: Status::Starting { waiting_for }, reach: None, ..found }
}

/// The instances that show an address which another one shows as well, be it that an old one is still listed with it.
pub(crate) fn sharing(instances: &Instances) -> BTreeSet<&ResourceId> {
    let mut by_address: BTreeMap<IpAddr, Vec<&ResourceId>> = BTreeMap::new();
    for (id, instance) in instances {
        if let Some(address) = address(instance) {
            by_address.entry(address).or_default().push(id);
        }
    }
    by_address.into_values().filter(|it| it.len() > 1).flatten().collect()
}

/// The documented words are `ready init pending provisioning stopped unknown`. A word that is not known is one that fal
/// added: whatever it means, the instance exists and may cost money.
fn status(word: &str, address: Option<IpAddr>) -> Status {
    let starting = |what: &str| Status::Starting { waiting_for: Some(what.to_owned()) };
    match (word, address) {
        ("ready", Some(_)) => Status::Running,
        ("ready", None) => starting("its address"),
        ("stopped", _) => Status::Failed { why: "fal says that it is stopped".to_owned() },
        ("", _) => starting("a status"),
        (word, _) => starting(word),
    }
}

/// Where the instance is, if ssh can be given it: what fal calls an address must not be read as an option or a list of
/// words.
fn address(instance: &Instance) -> Option<IpAddr> {
    instance.ip.as_deref()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, ip: Option<&str>, expected: &Status) {
        let instance = Instance {
            id: "inst_a".parse().unwrap(),
            machine: "gpu_1x_h100_sxm5".to_owned(),
            status: word.to_owned(),
            ip: ip.map(str::to_owned),
        };
        let found = Login::new(&FalConfig::new(None)).found(&instance);
        assert_eq!(found.status, *expected, "{word} {ip:?}");
        assert_eq!(found.reach.is_some(), found.status == Status::Running, "{word} {ip:?}");
        assert!(found.marks.is_none() && found.kind == "instance");
    }

    #[test]
    fn each_status_word_known_or_not_means_something() {
        let starting = |what: &str| Status::Starting { waiting_for: Some(what.to_owned()) };
        check("ready", Some("203.0.113.42"), &Status::Running);
        check("READY", Some("2001:db8::1"), &Status::Running);
        check("ready", None, &starting("its address"));
        check("ready", Some(""), &starting("its address"));
        check("ready", Some("-oProxyCommand=x"), &starting("its address"));
        for word in ["init", "pending", "provisioning", "unknown", "hibernating"] {
            check(word, None, &starting(word));
            check(word, Some("203.0.113.42"), &starting(word));
        }
        check("", None, &starting("a status"));
        let failed = Status::Failed { why: "fal says that it is stopped".to_owned() };
        check("stopped", None, &failed);
        check("stopped", Some("203.0.113.42"), &failed);
    }

    #[test]
    fn the_login_is_the_documented_one() {
        let instance = Instance {
            id: "inst_a".parse().unwrap(),
            machine: "gpu_1x_h100_sxm5".to_owned(),
            status: "ready".to_owned(),
            ip: Some("203.0.113.42".to_owned()),
        };
        let reach = Login::new(&FalConfig::new(None)).found(&instance).reach.unwrap();
        assert_eq!(
            (reach.host.as_str(), reach.port, reach.user.as_str()),
            ("203.0.113.42", 22, "ubuntu")
        );
        assert_eq!(
            (reach.root.as_str(), reach.host_key),
            ("/home/ubuntu/lease", HostKey::FirstUse)
        );
    }
}
