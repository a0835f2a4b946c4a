//! Holds the crates that a build takes in against `deny.toml`: licences, versions, and how many lease-core
//! has. Where crates come from is a rule of `tidy`, which reads the lock file.
//!
//! It asks nobody: what cargo knows of the lock file is enough. `cargo deny` reads the same file, and also asks for
//! advisories. Here an entry that nothing needs any more is a finding, so that the lists only become longer on purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use spdx::{Expression, Licensee, ParseMode};

use crate::machine::say;
use crate::{msrv, trim};

/// Where the lists are.
const LISTS: &str = "deny.toml";

/// What `deny.toml` says of what is checked here.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lists {
    licences: Vec<String>,
    /// Crates that must not come in, with the reason.
    banned: Vec<(String, String)>,
    /// Second versions that are known, as `name@version`, with the reason.
    second: Vec<(String, String)>,
}

/// A crate of the build.
#[derive(Debug)]
struct Package<'m> {
    name: &'m str,
    version: &'m str,
    licence: Option<&'m str>,
    /// None for our own.
    source: Option<&'m str>,
}

/// Checks everything that is linked anywhere in the workspace, its tests included.
pub(crate) fn run(root: &Path) -> Result<()> {
    let text = fs::read_to_string(root.join(LISTS)).context(LISTS)?;
    let lists = Lists::read(&text)?;
    let metadata = msrv::linked(root)?;
    let packages = packages(&metadata)?;
    let mut findings = licences(&packages, &lists.licences)?;
    findings.extend(versions(&packages, &lists.second));
    findings.extend(bans(&packages, &lists.banned));
    findings.extend(trim::core(root)?);
    for finding in &findings {
        say(finding);
    }
    if !findings.is_empty() {
        bail!("{} findings in {} crates; the lists are in {LISTS}", findings.len(), packages.len());
    }
    say(format_args!(
        "deny: ok - {} crates, {} licences, {} second versions",
        packages.len(),
        lists.licences.len(),
        lists.second.len()
    ));
    Ok(())
}

impl Lists {
    /// Reads the lists, each of which has an entry a line; what else the file says is for cargo-deny.
    fn read(text: &str) -> Result<Self> {
        let mut lists = Self::default();
        let (mut section, mut list) = ("", "");
        for (at, line) in text.lines().map(str::trim).enumerate() {
            let wrong = || format!("{LISTS}:{}: {line:?} is no entry of a list", at + 1);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if list.is_empty() {
                if let Some(header) = line.strip_prefix('[') {
                    section = header.trim_end_matches(']');
                } else if let Some(key) = line.strip_suffix("= [") {
                    list = key.trim();
                }
                continue;
            }
            match (section, list) {
                _ if line == "]" => list = "",
                ("licenses", "allow") => lists.licences.push(quoted(line).with_context(wrong)?),
                ("bans", "deny") => lists.banned.push(with_reason(line).with_context(wrong)?),
                ("bans", "skip") => lists.second.push(with_reason(line).with_context(wrong)?),
                _ => bail!("{LISTS}:{}: {section}.{list} is not read here", at + 1),
            }
        }
        if lists.licences.is_empty() {
            bail!("{LISTS} allows no licence: the check would be void");
        }
        Ok(lists)
    }
}

/// What a line holds that is one quoted word with a comma.
fn quoted(line: &str) -> Option<String> {
    let word = line.trim_end_matches(',').strip_prefix('"')?.strip_suffix('"')?;
    (!word.is_empty() && !word.contains('"')).then(|| word.to_owned())
}

/// Crate and reason of a line `{ crate = "…", reason = "…" },`.
fn with_reason(line: &str) -> Option<(String, String)> {
    let inside = line.trim_end_matches(',').strip_prefix("{ crate = ")?.strip_suffix(" }")?;
    let (name, reason) = inside.split_once(", reason = ")?;
    Some((quoted(name)?, quoted(reason)?))
}

fn packages(metadata: &Value) -> Result<Vec<Package<'_>>> {
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let found: Vec<Package<'_>> = packages.iter().map(Package::read).collect::<Result<_>>()?;
    if found.iter().all(|it| it.source.is_none()) {
        bail!("no crate of somebody else is listed: the check would be void");
    }
    Ok(found)
}

impl<'m> Package<'m> {
    fn read(package: &'m Value) -> Result<Self> {
        let text = |field: &str| package[field].as_str();
        Ok(Self {
            name: text("name").context("a package has no name")?,
            version: text("version").context("a package has no version")?,
            licence: text("license"),
            source: text("source"),
        })
    }
}

/// Crates whose licence lets nobody use them by the list, and entries of the list that no crate needs.
fn licences(packages: &[Package<'_>], allowed: &[String]) -> Result<Vec<String>> {
    let read = |it: &String| Licensee::parse(it).with_context(|| format!("{it} is no licence"));
    let allowed: Vec<Licensee> = allowed.iter().map(read).collect::<Result<_>>()?;
    let mut findings = Vec::new();
    let mut expressions = Vec::new();
    for Package { name, version, licence, .. } in packages {
        let Some(text) = licence else {
            findings.push(format!("{name} {version} states no licence"));
            continue;
        };
        // Older manifests write a slash for OR.
        match Expression::parse_mode(text, ParseMode::LAX) {
            Ok(expression) if may_use(&expression, &allowed) => expressions.push(expression),
            Ok(_) => findings.push(format!("{name} {version} may only be used by {text}")),
            Err(error) => {
                findings.push(format!("{name} {version}: {text:?} is no licence: {error}"));
            }
        }
    }
    for at in 0..allowed.len() {
        let mut others = allowed.clone();
        let licence = others.remove(at);
        if expressions.iter().all(|it| may_use(it, &others)) {
            findings.push(format!("no crate needs the licence {licence} any more"));
        }
    }
    Ok(findings)
}

fn may_use(expression: &Expression, allowed: &[Licensee]) -> bool {
    expression.evaluate(|required| allowed.iter().any(|it| it.satisfies(required)))
}

/// Crates that are there in a version that is neither the only one nor known, and entries that no crate needs.
fn versions(packages: &[Package<'_>], known: &[(String, String)]) -> Vec<String> {
    let mut all: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for it in packages {
        all.entry(it.name).or_default().insert(it.version);
    }
    let mut findings = Vec::new();
    let mut used = BTreeSet::new();
    for (name, versions) in all.iter().filter(|(_, versions)| versions.len() > 1) {
        let entry = |version: &str| known.iter().find(|(it, _)| is_meant(it, name, version));
        let (second, first): (Vec<&str>, Vec<&str>) =
            versions.iter().copied().partition(|it| entry(it).is_some());
        used.extend(second.iter().filter_map(|it| Some(entry(it)?.0.as_str())));
        if first.len() > 1 {
            findings.push(format!("{name} is there {} times: {}", first.len(), first.join(", ")));
        } else if first.is_empty() {
            findings.push(format!("no version of {name} is the first: {}", second.join(", ")));
        }
    }
    let stale = known.iter().filter(|(entry, _)| !used.contains(entry.as_str()));
    findings.extend(stale.map(|(entry, _)| format!("{entry} is no second version any more")));
    findings
}

/// Whether the entry `name@0.2` means this version: the parts that it states are the version's first ones.
fn is_meant(entry: &str, name: &str, version: &str) -> bool {
    entry.split_once('@').is_some_and(|(of, part)| {
        let rest = version.strip_prefix(part);
        of == name && rest.is_some_and(|it| it.is_empty() || it.starts_with('.'))
    })
}

fn bans(packages: &[Package<'_>], banned: &[(String, String)]) -> Vec<String> {
    let reason = |name: &str| banned.iter().find(|(it, _)| it == name).map(|(_, why)| why);
    let found = packages.iter().filter_map(|it| Some((it.name, reason(it.name)?)));
    found.map(|(name, why)| format!("{name} must not come in: {why}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::repository_root;

    fn package<'m>(name: &'m str, version: &'m str, licence: &'m str) -> Package<'m> {
        Package { name, version, licence: Some(licence), source: Some("elsewhere") }
    }

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|it| (*it).to_owned()).collect()
    }

    /// What is found in one crate with that licence; each licence of the list is needed by another crate.
    #[track_caller]
    fn check_licence(licence: &str, allowed: &[&str], good: bool) {
        let mut packages = vec![package("it", "1.0.0", licence)];
        packages.extend(allowed.iter().map(|it| package("other", "1.0.0", it)));
        let found = licences(&packages, &words(allowed)).unwrap();
        assert_eq!(found.is_empty(), good, "{licence}: {found:?}");
        assert!(found.iter().all(|it| it.starts_with("it 1.0.0")), "{found:?}");
    }

    #[test]
    fn a_licence_is_an_expression() {
        check_licence("MIT", &["MIT"], true);
        check_licence("MIT/Apache-2.0", &["MIT"], true);
        check_licence("GPL-3.0-only OR MIT", &["MIT"], true);
        check_licence("GPL-3.0-only AND MIT", &["MIT"], false);
        check_licence("(MIT OR Apache-2.0) AND Unicode-3.0", &["MIT", "Unicode-3.0"], true);
        check_licence("(MIT OR Apache-2.0) AND Unicode-3.0", &["MIT"], false);
        check_licence("Apache-2.0 WITH LLVM-exception", &["Apache-2.0"], false);
        check_licence("Mine", &["MIT"], false);
    }

    #[test]
    fn a_crate_without_a_licence_and_a_licence_without_a_crate_are_findings() {
        let silent = Package { licence: None, ..package("silent", "1.0.0", "") };
        let packages = [silent, package("a", "1.0.0", "MIT OR ISC")];
        let found = licences(&packages, &words(&["MIT", "Zlib"])).unwrap();
        assert_eq!(
            found,
            ["silent 1.0.0 states no licence", "no crate needs the licence Zlib any more"]
        );
        licences(&packages, &words(&["Mine"])).unwrap_err();
    }

    fn check_versions(held: &[(&str, &str)], known: &[&str], expected: &[&str]) {
        let packages: Vec<_> = held.iter().map(|(name, it)| package(name, it, "MIT")).collect();
        let known: Vec<_> = known.iter().map(|it| ((*it).to_owned(), "why".to_owned())).collect();
        assert_eq!(versions(&packages, &known), expected);
    }

    #[test]
    fn a_second_version_is_known_or_a_finding() {
        let two = [("rand", "0.8.8"), ("rand", "0.10.3"), ("syn", "2.0.1")];
        check_versions(&two, &[], &["rand is there 2 times: 0.10.3, 0.8.8"]);
        check_versions(&two, &["rand@0.8"], &[]);
        check_versions(
            &two,
            &["rand@0.1"],
            &["rand is there 2 times: 0.10.3, 0.8.8", "rand@0.1 is no second version any more"],
        );
        check_versions(&two, &["rand@0.8", "syn@2"], &["syn@2 is no second version any more"]);
        let all = ["rand@0.8", "rand@0.10"];
        check_versions(&two, &all, &["no version of rand is the first: 0.10.3, 0.8.8"]);
    }

    #[test]
    fn what_is_banned_is_found() {
        let packages = [package("ctor", "1.0.0", "MIT"), package("other", "0.1.0", "MIT")];
        let banned = [("ctor".to_owned(), "it runs before main".to_owned())];
        assert_eq!(bans(&packages, &banned), ["ctor must not come in: it runs before main"]);
    }

    #[test]
    fn the_lists_are_read_and_what_is_not_understood_is_an_error() {
        let text = "[licenses]\nversion = 2\nallow = [\n  # Why.\n  \"MIT\",\n]\n[bans]\nskip = [\n  \
                    { crate = \"a@1\", reason = \"b\" },\n]\n";
        let lists = Lists::read(text).unwrap();
        assert_eq!(lists.licences, ["MIT"]);
        assert_eq!(lists.second, [("a@1".to_owned(), "b".to_owned())]);
        for broken in ["\"a@1\"", "{ crate = \"a@1\" }", "{ crate = \"a@1\", reason = \"\" }"] {
            let text = text.replace("{ crate = \"a@1\", reason = \"b\" }", broken);
            assert!(
                Lists::read(&text).unwrap_err().to_string().contains("deny.toml:9"),
                "{broken}"
            );
        }
        Lists::read("[bans]\ndeny = [\n]\n").unwrap_err();
        Lists::read("[licenses]\nexceptions = [\n  \"x\",\n]\n").unwrap_err();
    }

    #[test]
    fn the_lists_of_this_tree_can_be_read() {
        let text = fs::read_to_string(repository_root().unwrap().join(LISTS)).unwrap();
        let lists = Lists::read(&text).unwrap();
        assert!(lists.licences.contains(&"MIT".to_owned()) && !lists.banned.is_empty());
    }

    #[test]
    fn an_empty_list_of_crates_proves_nothing() {
        packages(&serde_json::json!({ "packages": [] })).unwrap_err();
    }
}
