//! What a resource looks like to the engine: its marks, its status, and how to log in.

use lease_core::{Found, HostKey, Reach, Result, Status};

use crate::config::HetznerConfig;
use crate::kind::{self, Kind, PRIMARY_IPV4, PRIMARY_IPV6, SERVER, SSH_KEY};
use crate::wire::{Action, Thing};
use crate::{host_key, labels, user_data};

/// What is shown of a resource. For a server that is off, its actions say why; without them it waits.
pub(crate) fn found(
    config: &HetznerConfig,
    (kind, thing): (Kind, &Thing),
    actions: Option<&[Action]>,
) -> Result<Found> {
    let marks = labels::marks(&thing.labels);
    let status = match kind {
        Kind::Server => status(thing.status.as_deref().unwrap_or("unknown"), actions),
        Kind::SshKey | Kind::PrimaryIp => Status::Running,
    };
    let word = match (kind, thing.family.as_deref()) {
        (Kind::SshKey, _) => SSH_KEY,
        (Kind::PrimaryIp, Some("ipv6")) => PRIMARY_IPV6,
        (Kind::PrimaryIp, _) => PRIMARY_IPV4,
        (Kind::Server, _) => SERVER,
    };
    let reach = match (&marks, &status, kind) {
        (Some(marks), Status::Running, Kind::Server) => address(thing).and_then(|host| {
            let key = host_key::HostKey::derive(&config.host_key_secret, &marks.nonce).ok()?;
            let host_key = HostKey::Pinned(key.public().ok()?);
            let root = user_data::root(config, &marks.lease);
            let mut reach = Reach::new(host, config.user.as_str(), host_key, root);
            reach.port = config.port;
            reach.ready_file = Some(user_data::ready_file(config, &marks.lease));
            Some(reach)
        }),
        _ => None,
    };
    Ok(Found {
        id: kind::resource_id(kind, thing.id)?,
        kind: word.to_owned(),
        name: thing.name.as_deref().and_then(|it| it.parse().ok()),
        marks,
        status,
        reach,
        created_at: thing.created,
    })
}

/// Whether the actions of a server have to be read before its status can be told.
pub(crate) fn needs_actions(thing: &Thing) -> bool {
    matches!(thing.status.as_deref(), Some("off" | "stopping"))
}

/// The address to log in at. Of an IPv6 network the server has the first one, which is general knowledge.
fn address(thing: &Thing) -> Option<String> {
    thing.ipv4.clone().or_else(|| {
        let (network, _) = thing.ipv6.as_deref()?.split_once('/')?;
        let network: std::net::Ipv6Addr = network.parse().ok()?;
        Some(std::net::Ipv6Addr::from(u128::from(network) | 1).to_string())
    })
}

fn status(word: &str, actions: Option<&[Action]>) -> Status {
    let waiting = |why: String| Status::Starting { waiting_for: Some(why) };
    match word {
        "running" => Status::Running,
        "deleting" => Status::Stopping,
        "off" | "stopping" => match actions {
            None => waiting(format!("the server is {word}")),
            Some(actions) => off(word, actions),
        },
        other => waiting(format!("the server is {other}")),
    }
}

/// A server is off before it is started for the first time, when its start failed, and when somebody switched it off.
/// The last two never run again by themselves, and cost money all the same.
fn off(word: &str, actions: &[Action]) -> Status {
    if let Some(failed) = actions.iter().find(|it| it.status == "error" && comes_up(it)) {
        let why = failed.error.as_deref().unwrap_or("no reason was given");
        return Status::Failed { why: format!("{} failed: {why}", failed.command) };
    }
    let was_started = |it: &Action| it.command == "start_server" && it.status == "success";
    if actions.iter().any(was_started) || actions.iter().all(|it| it.status != "running") {
        return Status::Failed {
            why: format!("it is {word}; a server that is off costs money too"),
        };
    }
    Status::Starting { waiting_for: Some("the server is to be started".to_owned()) }
}

/// Whether the action is one that a new server needs to come up.
fn comes_up(action: &Action) -> bool {
    matches!(action.command.as_str(), "create_server" | "start_server")
}

#[cfg(test)]
mod tests {
    use lease_core::Secret;
    use serde_json::json;

    use super::*;

    fn action(command: &str, status: &str) -> Action {
        let error = (status == "error").then(|| "Action failed (action_failed)".to_owned());
        Action { command: command.to_owned(), status: status.to_owned(), error }
    }

    #[track_caller]
    fn check(word: &str, actions: &[(&str, &str)], expected: &str) {
        let actions: Vec<_> = actions.iter().map(|it| action(it.0, it.1)).collect();
        let found = match status(word, Some(&actions)) {
            Status::Running => "running",
            Status::Starting { .. } => "starting",
            Status::Stopping => "stopping",
            Status::Failed { .. } => "failed",
        };
        assert_eq!(found, expected, "{word} {actions:?}");
    }

    #[test]
    fn each_status_of_a_server_means_one_thing() {
        check("running", &[], "running");
        check("deleting", &[], "stopping");
        for word in ["initializing", "starting", "migrating", "rebuilding", "unknown", "a new word"]
        {
            check(word, &[], "starting");
        }
    }

    #[test]
    fn a_server_that_is_off_has_failed_unless_it_is_still_to_be_started() {
        let created = ("create_server", "success");
        check("off", &[("create_server", "running"), ("start_server", "running")], "starting");
        check("off", &[created, ("start_server", "running")], "starting");
        check("off", &[created, ("start_server", "error")], "failed");
        check("off", &[("create_server", "error"), ("start_server", "error")], "failed");
        check("off", &[created, ("start_server", "success")], "failed");
        check("off", &[], "failed");
        check(
            "stopping",
            &[created, ("start_server", "success"), ("stop_server", "running")],
            "failed",
        );
        assert!(matches!(status("off", None), Status::Starting { .. }), "the actions are unknown");
    }

    fn shown(server: &serde_json::Value) -> Found {
        let config = HetznerConfig::new(None, Secret::new("0123456789abcdef0123456789abcdef"));
        found(&config, (Kind::Server, &Thing::read(server).unwrap()), None).unwrap()
    }

    fn marked(status: &str, net: &serde_json::Value) -> Found {
        shown(&json!({"id": 7, "name": "lse-a", "status": status, "public_net": net, "labels": {
            "managed-by": "lease", "lease-id": "lse-abcdefghij2345672345",
            "lease-installation": "abcdefghijklmnopqrstuvwxyz",
            "lease-nonce": "bcdefghijklmnopqrstuvwxyza",
        }}))
    }

    #[test]
    fn a_running_server_of_ours_is_reached_with_its_own_key() {
        let v4 = json!({"ipv4": {"ip": "203.0.113.7"}, "ipv6": null});
        let reach = marked("running", &v4).reach.unwrap();
        assert_eq!((reach.host.as_str(), reach.port), ("203.0.113.7", 22));
        assert!(matches!(&reach.host_key, HostKey::Pinned(key) if key.starts_with("ssh-ed25519 ")));
        assert_eq!(reach.root, "/srv/lease/lse-abcdefghij2345672345");
        assert_eq!(reach.ready_file.unwrap(), format!("{}.ready", reach.root));
        let v6 = json!({"ipv4": null, "ipv6": {"ip": "2001:db8:12::/64"}});
        assert_eq!(marked("running", &v6).reach.unwrap().host, "2001:db8:12::1");
        assert_eq!(marked("running", &json!({"ipv4": null, "ipv6": null})).reach, None);
        assert_eq!(marked("starting", &v4).reach, None);
    }

    #[test]
    fn a_server_without_our_marks_is_never_logged_in_to() {
        let net = json!({"ipv4": {"ip": "203.0.113.7"}});
        let foreign =
            shown(&json!({"id": 7, "status": "running", "public_net": net, "labels": {}}));
        assert_eq!((foreign.marks, foreign.reach), (None, None));
    }
}
