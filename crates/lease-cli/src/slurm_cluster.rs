//! The provider `slurm`: how it is made from its settings.

use std::sync::Arc;

use lease_slurm::{DESCRIPTOR, SlurmConfig, SlurmProvider};
use serde_json::{Map, Value as Json};

use super::Member;
use crate::config::Settings;
use crate::config::keys::Value;
use crate::context::Base;
use crate::env::{Environment, SystemClock};
use crate::reaper::Post;

const PREFIX: &str = "providers.slurm.";

/// What ssh to a login node and the program before Slurm's shell find of our environment.
const PASSED_ON: &[&str] = &["HOME", "USER", "LOGNAME", "PATH", "SSH_AUTH_SOCK"];

/// The provider, or one that says why it cannot be used.
pub(super) fn member(base: &Base<'_>, settings: &Settings) -> Member {
    let made = config(base.environment, settings).and_then(|config| {
        let post = post(&config);
        let provider = SlurmProvider::new(config, Arc::new(SystemClock));
        provider.map(|it| (it, post)).map_err(|error| error.to_string())
    });
    match made {
        Ok((provider, post)) => Member::new(provider, Some(post)),
        Err(why) => Member::not_set_up(&DESCRIPTOR, why),
    }
}

/// Whoever runs Slurm's commands at the same place with the same directory serves the same jobs.
fn post(config: &SlurmConfig) -> Post {
    let uid = rustix::process::getuid().as_raw().to_string();
    let enter = config.enter.join("\0");
    let text = |it: &Option<String>| it.clone().unwrap_or_default();
    let parts =
        [uid, enter, text(&config.login_host), text(&config.slurm_conf), config.shared_dir.clone()];
    Post::new(DESCRIPTOR.name, &parts.each_ref().map(String::as_bytes))
}

fn config(environment: &Environment, settings: &Settings) -> Result<SlurmConfig, String> {
    if settings.text("providers.slurm.shared_dir").is_none() {
        return Err("it is not set up: set providers.slurm.shared_dir in config.yaml to a \
                    directory that all nodes share"
            .to_owned());
    }
    let mut fields = Map::new();
    for (key, sourced) in settings.iter() {
        let Some(field) = key.strip_prefix(PREFIX) else { continue };
        // That one is for the engine.
        if field != "ready_timeout" && sourced.value != Value::Unset {
            fields.insert(field.to_owned(), json(&sourced.value));
        }
    }
    let mut config: SlurmConfig =
        serde_json::from_value(Json::Object(fields)).map_err(|error| error.to_string())?;
    let passed_on = PASSED_ON.iter().filter_map(|name| {
        Some(((*name).to_owned(), environment.variable(name)?.to_str()?.to_owned()))
    });
    config.environment = passed_on.collect();
    Ok(config)
}

/// The configuration of the library counts spans in whole seconds.
fn json(value: &Value) -> Json {
    let Value::Span(span) = value else { return value.to_json() };
    span.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).into()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::trust::TrustStore;
    use crate::offers::SLURM_KEYS;

    #[test]
    fn every_setting_of_the_library_has_a_key_and_every_key_is_one() {
        let known = serde_json::to_value(SlurmConfig::default()).unwrap();
        let mut known: Vec<_> = known.as_object().unwrap().keys().cloned().collect();
        known.retain(|it| it != "environment");
        known.push("ready_timeout".to_owned());
        known.sort();
        let mut keys: Vec<_> =
            SLURM_KEYS.iter().map(|it| it.path.strip_prefix(PREFIX).unwrap()).collect();
        keys.sort_unstable();
        assert_eq!(keys, known);
    }

    fn read(text: &str) -> Result<SlurmConfig, String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.yaml"), text).unwrap();
        let home = dir.path().to_str().unwrap();
        let variables = [("LEASE_CONFIG_DIR", home), ("HOME", home), ("SLURM_CONF", "/evil")];
        let environment = Environment::of(&variables, Path::new("/"));
        let trust = TrustStore::new(dir.path());
        config(&environment, &Settings::load(&environment, &[], &trust).unwrap())
    }

    #[test]
    fn what_is_configured_arrives() {
        let text = "providers:\n  slurm:\n    shared_dir: /scratch/ann\n    time: 90m\n    cpus: 4\n    \
                    contain: scan\n    wrapper: [apptainer, exec, x.sif]\n    host_map: {n1: n1.example}\n    \
                    settle: 1500ms\n";
        let config = read(text).unwrap();
        assert_eq!((config.shared_dir.as_str(), config.time.as_secs()), ("/scratch/ann", 5400));
        assert_eq!((config.cpus, config.settle.as_secs()), (Some(4), 2));
        assert_eq!(config.wrapper, ["apptainer", "exec", "x.sif"]);
        assert_eq!(config.host_map["n1"], "n1.example");
        assert_eq!(config.environment.iter().filter(|(name, _)| name == "HOME").count(), 1);
        assert!(!config.environment.iter().any(|(name, _)| name == "SLURM_CONF"));
    }

    #[test]
    fn without_a_shared_directory_the_setting_is_named() {
        assert!(read("").unwrap_err().contains("providers.slurm.shared_dir"));
    }
}
