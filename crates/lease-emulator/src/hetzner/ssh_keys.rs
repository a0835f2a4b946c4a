//! SSH keys: unique by name and by material.

use std::fmt::Write as _;

use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::ask::{Ask, Fields, Reply};
use super::page;
use super::problem::{self, Problem};
use super::views::time;
use super::world::{SshKey, World};

/// The MD5 fingerprint of a key in OpenSSH's form, as pairs of hexadecimal digits with colons between.
pub(super) fn fingerprint(public_key: &str) -> Option<String> {
    let blob = ssh_key::PublicKey::from_openssh(public_key).ok()?.to_bytes().ok()?;
    let mut text = String::new();
    for byte in Md5::digest(blob) {
        let colon = if text.is_empty() { "" } else { ":" };
        // Writing to a string cannot fail.
        write!(text, "{colon}{byte:02x}").ok()?;
    }
    Some(text)
}

fn view(world: &World, key: &SshKey) -> Value {
    json!({
        "id": key.record.id,
        "name": key.record.name,
        "fingerprint": key.fingerprint,
        "public_key": key.public_key,
        "labels": key.record.labels,
        "created": time(world, key.record.born),
    })
}

pub(super) fn list(world: &World, ask: &Ask) -> Result<Reply, Problem> {
    let selector = ask.query.selector()?;
    let asked = |key: &&SshKey| {
        key.record.project == ask.project
            && key.record.is_listed(world.now, world.policy.ssh_keys)
            && ask.query.admits("name", &key.record.name)
            && ask.query.admits("fingerprint", &key.fingerprint)
            && selector.selects(&key.record.labels)
    };
    let views = world.ssh_keys.values().filter(asked).map(|key| view(world, key)).collect();
    page::reply(ask, &world.policy, ("ssh_keys", &["id", "name"]), views)
}

fn found(world: &World, ask: &Ask, id: u64) -> Result<SshKey, Problem> {
    let seen = |key: &&SshKey| {
        key.record.project == ask.project && key.record.is_found(world.now, world.policy.ssh_keys)
    };
    world.ssh_keys.get(&id).filter(seen).cloned().ok_or_else(|| problem::not_found("SSH key"))
}

pub(super) fn get(world: &World, ask: &Ask, id: u64) -> Result<Reply, Problem> {
    Ok(Reply::ok(json!({"ssh_key": view(world, &found(world, ask, id)?)})))
}

/// The keys of the project that exist, whether or not a list shows them.
pub(super) fn existing<'w>(
    world: &'w World,
    project: &'w str,
) -> impl Iterator<Item = &'w SshKey> + 'w {
    world
        .ssh_keys
        .values()
        .filter(move |key| key.record.project == project && key.record.gone.is_none())
}

fn is_name_used(world: &World, ask: &Ask, name: &str, but: Option<u64>) -> bool {
    existing(world, &ask.project)
        .any(|key| Some(key.record.id) != but && world.is_same_name(&key.record.name, name))
}

pub(super) fn create(world: &mut World, ask: &Ask) -> Result<Reply, Problem> {
    let mut fields = Fields::parse(&ask.body)?;
    let name = fields.required("name");
    let public_key = fields.required("public_key").trim().to_owned();
    let labels = fields.labels().unwrap_or_default();
    let fingerprint = fingerprint(&public_key);
    if fingerprint.is_none() && !public_key.is_empty() {
        fields.fault("public_key", "is not a valid public key");
    }
    fields.finish()?;
    let fingerprint = fingerprint.unwrap_or_default();
    if is_name_used(world, ask, &name, None) {
        return Err(problem::key_name_used());
    }
    if existing(world, &ask.project).any(|key| key.fingerprint == fingerprint) {
        return Err(problem::key_material_used());
    }
    let record = world.record(&ask.project, &name, labels);
    let key = SshKey { record, public_key, fingerprint };
    let view = view(world, &key);
    world.ssh_keys.insert(key.record.id, key);
    Ok(Reply::created(json!({ "ssh_key": view })))
}

pub(super) fn update(world: &mut World, ask: &Ask, id: u64) -> Result<Reply, Problem> {
    let mut key = found(world, ask, id)?;
    let mut fields = Fields::parse(&ask.body)?;
    let (name, labels) = (fields.text("name"), fields.labels());
    fields.finish()?;
    if let Some(name) = name {
        if is_name_used(world, ask, &name, Some(id)) {
            return Err(problem::key_name_used());
        }
        key.record.name = name;
    }
    if let Some(labels) = labels {
        key.record.labels = labels;
    }
    let view = view(world, &key);
    world.ssh_keys.insert(id, key);
    Ok(Reply::ok(json!({ "ssh_key": view })))
}

pub(super) fn delete(world: &mut World, ask: &Ask, id: u64) -> Result<Reply, Problem> {
    let mut key = found(world, ask, id)?;
    // A key that only lingers in look-ups is gone for a deletion.
    if key.record.gone.is_some() {
        return Err(problem::not_found("SSH key"));
    }
    key.record.gone = Some(world.now);
    world.ssh_keys.insert(id, key);
    Ok(Reply::nothing())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_md5_that_ssh_keygen_prints() {
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBsfG4jKwmtPX6mlAyTR7jQAy0By2vJ2rn+IUDjMDEBc a@b";
        let printed = "67:17:d1:8f:5a:99:f1:14:9b:85:de:82:48:3c:b3:4c";
        assert_eq!(fingerprint(key).unwrap(), printed);
        assert_eq!(fingerprint(&key.replace("a@b", "other comment")).unwrap(), printed);
        assert_eq!(fingerprint("ssh-ed25519 AAAA"), None);
        assert_eq!(fingerprint("nonsense"), None);
    }
}
