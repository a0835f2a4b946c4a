//! Any bytes as a configuration file.
//!
//! A fuzzer reaches this with `cfg(fuzzing)`; it is part of no other build.

use std::path::Path;

use crate::config::layer;
use crate::config::sourced::OriginKind;
use crate::config::yaml::{self, Node, Yaml};

/// Reads the bytes as the user's own file, which may set everything.
///
/// # Panics
/// When a file grows into more values than it has bytes, or deeper than it may, or when settings are made of a file that
/// is no YAML.
pub fn config(bytes: &[u8]) {
    let tree = yaml::parse(bytes);
    if let Ok(root) = &tree {
        let (values, depth) = extent(root);
        assert!(values <= bytes.len() + 1, "{values} values in {} bytes", bytes.len());
        assert!(depth <= 32, "values are nested {depth} deep");
    }
    let path = Path::new("/nonexistent/config.yaml");
    let layer = layer::settings_of(bytes, (path, OriginKind::UserConfig));
    assert!(layer.is_err() || tree.is_ok(), "settings of what is no YAML");
    for sourced in layer.into_iter().flat_map(layer::Layer::into_values) {
        drop(sourced.value.to_json());
    }
}

/// How many values there are, and how deep the deepest is.
fn extent(node: &Node) -> (usize, usize) {
    let below: Vec<(usize, usize)> = match &node.value {
        Yaml::Null | Yaml::Scalar { .. } => Vec::new(),
        Yaml::List(items) => items.iter().map(extent).collect(),
        Yaml::Map(entries) => entries.iter().map(|(_, value)| extent(value)).collect(),
    };
    let deepest = below.iter().map(|(_, depth)| *depth).max().unwrap_or_default();
    (1 + below.iter().map(|(values, _)| values).sum::<usize>(), 1 + deepest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_of_configuration_files_breaks_nothing() {
        lease_testkit::corpus::replay("config", 3_000, config);
    }
}
