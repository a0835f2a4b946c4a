//! The oldest toolchain that the manifests promise: that no dependency needs a newer one, and that it compiles all.
//!
//! The first half needs no toolchain and is a step of the CI everywhere; clippy holds the other half of it there, since
//! it knows since when each function of the standard library exists. The proof is the compiler of that version itself.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::machine::{Call, cargo, repository_root, say};

/// What is built for elsewhere only is not looked at, and not fetched.
const PLATFORMS: &[&str] = &["x86_64-unknown-linux-gnu", "aarch64-apple-darwin"];

/// Checks the dependencies, then compiles everything with the oldest toolchain.
pub(crate) fn run() -> Result<()> {
    let root = repository_root()?;
    let version = dependencies(&root)?;
    let toolchain = format!("+{version}");
    if !Call::new("cargo").args([&toolchain, "--version"]).succeeds() {
        bail!(
            "Rust {version}, which the manifests promise, is not installed, so nothing was compiled with it; \
             run: rustup toolchain install {version} --profile minimal"
        );
    }
    let words = ["check", "--workspace", "--all-targets", "--all-features", "--locked"];
    Call::new("cargo").args([&toolchain]).args(words).within(&root).run()?;
    say(format_args!("msrv: ok - Rust {version} compiles everything"));
    Ok(())
}

/// Checks that no crate that is linked says it needs more than our own manifests promise; returns what they promise.
pub(crate) fn dependencies(root: &Path) -> Result<String> {
    let (version, findings) = judge(&linked(root)?)?;
    for finding in &findings {
        say(finding);
    }
    if !findings.is_empty() {
        bail!("{} crates need more than Rust {version}", findings.len());
    }
    say(format_args!("msrv: no dependency needs more than Rust {version}"));
    Ok(version)
}

/// What cargo knows of every crate that is linked on our platforms; nothing is fetched that is there.
pub(crate) fn linked(root: &Path) -> Result<Value> {
    let words = ["metadata", "--format-version", "1", "--all-features", "--locked"];
    let call = cargo().args(words).args(PLATFORMS.iter().flat_map(|it| ["--filter-platform", it]));
    serde_json::from_str(&call.within(root).output()?).context("cargo metadata printed no JSON")
}

/// What the members promise, and every crate that needs more.
fn judge(metadata: &Value) -> Result<(String, Vec<String>)> {
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let is_ours = |package: &&Value| package["source"].is_null();
    let mut promised: Vec<&str> = packages
        .iter()
        .filter(is_ours)
        .map(|it| it["rust_version"].as_str().context("a member has no rust-version"))
        .collect::<Result<_>>()?;
    promised.dedup();
    let [version] = promised[..] else { bail!("the members promise different versions") };
    let newest = number(version)?;
    let mut findings = Vec::new();
    for package in packages {
        let Some(needed) = package["rust_version"].as_str() else { continue };
        if number(needed)? > newest {
            let [name, own] = ["name", "version"].map(|it| package[it].as_str().unwrap_or("?"));
            findings.push(format!("{name} {own} needs Rust {needed}"));
        }
    }
    Ok((version.to_owned(), findings))
}

/// A version as numbers that can be compared; what is not said is 0.
fn number(version: &str) -> Result<[u32; 3]> {
    let mut number = [0; 3];
    for (place, part) in number.iter_mut().zip(version.split('.')) {
        *place = part.parse().with_context(|| format!("{version} is no version of Rust"))?;
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_dependency_that_needs_more_is_named() {
        let metadata = json!({ "packages": [
            { "name": "ours", "version": "0.1.0", "source": null, "rust_version": "1.89" },
            { "name": "old", "version": "1.0.0", "source": "registry", "rust_version": "1.9" },
            { "name": "silent", "version": "1.0.0", "source": "registry", "rust_version": null },
            { "name": "new", "version": "2.0.0", "source": "registry", "rust_version": "1.89.1" },
        ] });
        let (version, findings) = judge(&metadata).unwrap();
        assert_eq!(version, "1.89");
        assert_eq!(findings, ["new 2.0.0 needs Rust 1.89.1"]);
    }

    #[test]
    fn members_promise_the_same() {
        let member =
            |version: &str| json!({ "name": "a", "source": null, "rust_version": version });
        let metadata = json!({ "packages": [member("1.89"), member("1.90")] });
        assert!(judge(&metadata).unwrap_err().to_string().contains("different versions"));
    }
}
