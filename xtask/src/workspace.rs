//! What is known of this workspace beforehand: its provider crates, and how to read a manifest.

/// The providers that exist, by crate; each has the same files.
pub(crate) const PROVIDERS: &[&str] =
    &["lease-local", "lease-hetzner", "lease-fal", "lease-slurm", "lease-external"];

/// What each provider crate consists of: who knows one, knows all.
pub(crate) const PROVIDER_FILES: &[&str] = &[
    "README.md",
    "src/lib.rs",
    "src/config.rs",
    "src/descriptor.rs",
    "src/error.rs",
    "src/provider.rs",
    "tests/behavior.rs",
];

/// The crates that are no providers. A crate in neither list is a finding, so that no provider escapes the rules.
pub(crate) const OTHERS: &[&str] = &[
    "lease-core",
    "lease-http",
    "lease-process",
    "lease-ssh",
    "lease-tree",
    "lease-testkit",
    "lease-testnet",
    "lease-soak",
    "lease-emulator",
    "lease-fuzz",
    "lease-docs",
    "lease-cli",
];

/// Crates that read YAML; one manifest at most may name one of them.
pub(crate) const YAML: &[&str] = &[
    "serde_yaml",
    "serde_yaml_ng",
    "serde_yaml_bw",
    "serde_yml",
    "serde_norway",
    "serde-saphyr",
    "saphyr",
    "yaml-rust2",
    "noyalib",
];

/// Crates that speak HTTP; a build without a cloud provider holds none of them.
pub(crate) const HTTP: &[&str] = &[
    "lease-http",
    "reqwest",
    "hyper",
    "hyper-util",
    "http",
    "h2",
    "rustls",
    "native-tls",
    "openssl",
    "ureq",
    "curl",
    "isahc",
    "axum",
    "tower-http",
];

/// A dependency as a manifest states it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dependency<'t> {
    pub(crate) name: &'t str,
    pub(crate) kind: Kind,
    /// From 1.
    pub(crate) line: usize,
}

/// For whom a dependency is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Dev,
    Build,
}

/// The dependencies that a crate's manifest names, for whatever target. Renamed packages are given by their key.
pub(crate) fn dependencies(manifest: &str) -> Vec<Dependency<'_>> {
    let mut found = Vec::new();
    let mut section = None;
    for (at, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            let (kind, inline) = dependency_section(header.split(']').next().unwrap_or_default());
            if let (Some(kind), Some(name)) = (kind, inline) {
                found.push(Dependency { name, kind, line: at + 1 });
                section = None;
            } else {
                section = kind;
            }
        } else if let Some(kind) = section
            && let Some((key, _)) = line.split_once(['=', '.'])
            && !line.starts_with('#')
        {
            found.push(Dependency { name: key.trim().trim_matches('"'), kind, line: at + 1 });
        }
    }
    found
}

/// Whether the section `header` of a manifest states `line`.
pub(crate) fn states(manifest: &str, header: &str, line: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim).skip_while(|found| *found != header).skip(1);
    lines.by_ref().take_while(|found| !found.starts_with('[')).any(|found| found == line)
}

/// The text that the section `header` of a manifest gives to `key`.
pub(crate) fn value<'t>(manifest: &'t str, header: &str, key: &str) -> Option<&'t str> {
    let lines = manifest.lines().skip_while(|found| *found != header).skip(1);
    let mut lines = lines.take_while(|found| !found.starts_with('['));
    lines.find_map(|line| {
        let (found, value) = line.split_once('=')?;
        (found.trim() == key).then(|| value.trim().trim_matches('"'))
    })
}

/// The kind of dependency that a header opens, and the dependency it names when it is a table of one.
fn dependency_section(header: &str) -> (Option<Kind>, Option<&str>) {
    for (word, kind) in [
        ("dev-dependencies", Kind::Dev),
        ("build-dependencies", Kind::Build),
        ("dependencies", Kind::Normal),
    ] {
        if header == word || header.starts_with("target.") && header.ends_with(&format!(".{word}"))
        {
            return (Some(kind), None);
        }
        if let Some(name) = header.strip_prefix(word).and_then(|tail| tail.strip_prefix('.')) {
            return (Some(kind), Some(name));
        }
    }
    (None, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_in_every_spelling() {
        let manifest = "\
[package]
name = \"x\"
[dependencies]
# a = 1
serde.workspace = true
tokio = { workspace = true }
[target.'cfg(unix)'.dependencies]
rustix = \"1\"
[dependencies.openssh]
version = \"0.11\"
[dev-dependencies]
insta.workspace = true
[lints]
workspace = true
";
        let found = dependencies(manifest);
        let names: Vec<_> =
            found.iter().map(|found| (found.name, found.kind, found.line)).collect();
        assert_eq!(
            names,
            [
                ("serde", Kind::Normal, 5),
                ("tokio", Kind::Normal, 6),
                ("rustix", Kind::Normal, 8),
                ("openssh", Kind::Normal, 9),
                ("insta", Kind::Dev, 12),
            ]
        );
        assert_eq!(value(manifest, "[package]", "name"), Some("x"));
        assert_eq!(value(manifest, "[lints]", "name"), None);
        assert!(states(manifest, "[lints]", "workspace = true"));
        assert!(!states(manifest, "[package]", "workspace = true"));
    }
}
