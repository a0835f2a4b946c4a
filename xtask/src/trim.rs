//! Proves with `cargo tree` that a build holds what was chosen and nothing else.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::machine::{cargo, repository_root, say};
use crate::workspace::{HTTP, PROVIDERS, YAML};

/// How many crates embedding the core may cost.
const CORE_CRATES_MAX: usize = 35;
/// What an embedder of the core must never get with it, besides a reader of YAML.
const NOT_IN_CORE: &[&str] = &["clap", "reqwest", "ssh-key", "anyhow", "tracing-subscriber"];

/// The feature that a build has without being asked for.
const DEFAULT: &str = "local";

/// A build, and the crates that it must not hold.
#[derive(Debug)]
struct Claim {
    build: String,
    arguments: Vec<String>,
    forbidden: Vec<String>,
    crates_max: Option<usize>,
}

/// Checks every claim; prints the number of crates of each build.
pub(crate) fn run() -> Result<()> {
    let root = repository_root()?;
    let metadata =
        cargo().args(["metadata", "--no-deps", "--format-version", "1"]).within(&root).output()?;
    let features = provider_features(&serde_json::from_str(&metadata)?)?;
    let claims = claims(&features);
    let mut broken = 0;
    for claim in &claims {
        let held = crates(&root, &claim.arguments)?;
        let findings = judge(claim, &held);
        say(format_args!(
            "{}: {} crates, {} of the forbidden",
            claim.build,
            held.len(),
            findings.len()
        ));
        for finding in &findings {
            say(format_args!("  {finding}"));
        }
        broken += findings.len();
    }
    if broken > 0 {
        bail!("{broken} crates are where they must not be");
    }
    say(format_args!("trim: ok - {} builds hold what was chosen and nothing else", claims.len()));
    Ok(())
}

/// What is wrong with the crates that an embedder of the core gets: their number is bounded, and some must not come.
pub(crate) fn core(root: &Path) -> Result<Vec<String>> {
    let claim = core_claim();
    Ok(judge(&claim, &crates(root, &claim.arguments)?))
}

/// The crates, one version each, that a build with these arguments of `cargo tree` links.
pub(crate) fn crates(root: &Path, arguments: &[String]) -> Result<BTreeSet<String>> {
    let tree = cargo()
        .args(["tree", "--edges", "normal", "--prefix", "none", "--color", "never"])
        .args(arguments)
        .within(root)
        .output()?;
    Ok(crates_of(&tree))
}

/// The features of the command line that bring a provider: feature and crate.
fn provider_features(metadata: &Value) -> Result<Vec<(String, String)>> {
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let cli = packages
        .iter()
        .find(|package| package["name"] == "lease-cli")
        .context("there is no lease-cli")?;
    let features = cli["features"].as_object().context("lease-cli has no features")?;
    let mut found = Vec::new();
    for (feature, enables) in
        features.iter().filter(|(name, _)| !["default", "full"].contains(&name.as_str()))
    {
        let enabled = enables.as_array().into_iter().flatten().filter_map(Value::as_str);
        for provider in
            enabled.filter_map(|item| item.strip_prefix("dep:")).filter(|it| PROVIDERS.contains(it))
        {
            found.push((feature.clone(), provider.to_owned()));
        }
    }
    let missing =
        PROVIDERS.iter().find(|provider| !found.iter().any(|(_, held)| held == *provider));
    if let Some(provider) = missing {
        bail!("no feature of lease-cli enables `dep:{provider}`");
    }
    Ok(found)
}

fn core_claim() -> Claim {
    Claim {
        build: "lease-core alone".to_owned(),
        arguments: words("-p lease-core"),
        forbidden: [owned(NOT_IN_CORE), owned(YAML), owned(HTTP), owned(PROVIDERS)].concat(),
        crates_max: Some(CORE_CRATES_MAX),
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn claims(features: &[(String, String)]) -> Vec<Claim> {
    let mut claims = vec![
        core_claim(),
        Claim {
            build: "lease-cli by default".to_owned(),
            arguments: words("-p lease-cli"),
            forbidden: owned(HTTP),
            crates_max: None,
        },
        Claim {
            build: "lease-cli without a provider".to_owned(),
            arguments: words("-p lease-cli --no-default-features"),
            forbidden: [owned(HTTP), owned(PROVIDERS)].concat(),
            crates_max: None,
        },
    ];
    for (feature, provider) in features {
        let mut forbidden: Vec<String> = features.iter().map(|(_, other)| other.clone()).collect();
        forbidden.retain(|other| other != provider);
        if feature == DEFAULT {
            forbidden.extend(owned(HTTP));
        }
        claims.push(Claim {
            build: format!("lease-cli with {feature} only"),
            arguments: words(&format!("-p lease-cli --no-default-features --features {feature}")),
            forbidden: forbidden.clone(),
            crates_max: None,
        });
        if feature != DEFAULT {
            forbidden.retain(|other| other != "lease-local");
            claims.push(Claim {
                build: format!("lease-cli with {feature} beside the default"),
                arguments: words(&format!("-p lease-cli --features {feature}")),
                forbidden,
                crates_max: None,
            });
        }
    }
    claims
}

/// The crates in the text of a `cargo tree`, each version once, as `name version`.
fn crates_of(tree: &str) -> BTreeSet<String> {
    tree.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some(format!("{} {}", words.next()?, words.next()?))
        })
        .collect()
}

fn judge(claim: &Claim, held: &BTreeSet<String>) -> Vec<String> {
    let mut findings: Vec<String> = held
        .iter()
        .filter(|held| claim.forbidden.iter().any(|name| held.split(' ').next() == Some(name)))
        .map(|held| format!("it holds {held}"))
        .collect();
    if let Some(max) = claim.crates_max.filter(|max| held.len() > *max) {
        findings.push(format!("it holds {} crates, the limit is {max}", held.len()));
    }
    if held.is_empty() {
        findings.push("cargo tree printed nothing: the proof is void".to_owned());
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: &str = "\
lease-cli v0.1.0 (/somewhere/crates/lease-cli)
lease-core v0.1.0 (/somewhere/crates/lease-core)
async-trait v0.1.89 (proc-macro)
serde v1.0.228
serde_core v1.0.228
serde v1.0.228 (*)
lease-local v0.1.0 (/somewhere/crates/lease-local)
";

    fn claim(forbidden: &[&str], crates_max: Option<usize>) -> Claim {
        let forbidden = forbidden.iter().map(|name| (*name).to_owned()).collect();
        Claim { build: "x".to_owned(), arguments: Vec::new(), forbidden, crates_max }
    }

    #[test]
    fn a_crate_counts_once_however_often_it_is_printed() {
        assert_eq!(crates_of(LOCAL).len(), 6);
    }

    #[test]
    fn a_forbidden_crate_is_found_by_its_whole_name() {
        let held = crates_of(LOCAL);
        assert_eq!(judge(&claim(&["lease-local"], None), &held), ["it holds lease-local v0.1.0"]);
        assert!(judge(&claim(&["lease", "core", "serde_yaml"], Some(6)), &held).is_empty());
        assert_eq!(judge(&claim(&[], Some(5)), &held), ["it holds 6 crates, the limit is 5"]);
    }

    #[test]
    fn an_empty_tree_proves_nothing() {
        assert_eq!(judge(&claim(&[], None), &crates_of("")).len(), 1);
    }

    #[test]
    fn providers_are_read_from_the_features() {
        let mut features = serde_json::json!({
            "default": ["local"], "full": ["local", "fal"], "color": ["dep:anstyle"]
        });
        for provider in PROVIDERS {
            let feature = provider.trim_start_matches("lease-");
            features[feature] = serde_json::json!([format!("dep:{provider}")]);
        }
        let metadata =
            serde_json::json!({"packages": [{"name": "lease-cli", "features": features}]});
        let found = provider_features(&metadata).unwrap();
        assert_eq!(found.len(), PROVIDERS.len());
        assert!(found.contains(&("local".to_owned(), "lease-local".to_owned())));
        let none =
            serde_json::json!({"packages": [{"name": "lease-cli", "features": {"default": []}}]});
        assert!(provider_features(&none).unwrap_err().to_string().contains("lease-local"));
    }

    #[test]
    fn a_build_with_one_provider_forbids_the_others() {
        let features = [("local", "lease-local"), ("slow", "lease-slow")]
            .map(|(a, b)| (a.to_owned(), b.to_owned()));
        let claims = claims(&features);
        let of = |build: &str| claims.iter().find(|claim| claim.build.contains(build)).unwrap();
        assert_eq!(of("slow only").forbidden, ["lease-local"]);
        assert!(of("slow beside the default").forbidden.is_empty());
        let local = claims.iter().find(|claim| claim.build.contains("local")).unwrap();
        assert!(
            local.forbidden.contains(&"lease-slow".to_owned())
                && local.forbidden.contains(&"rustls".to_owned())
        );
    }
}
