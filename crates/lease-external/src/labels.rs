//! The labels that an adapter is given with a lease: its own first, then ours, in the alphabet of labels.

use std::collections::BTreeMap;

use lease_core::{Marks, Timestamp};

use crate::identity::{Desired, LABELS};
use crate::wire::WireLease;

const VALUE_CHARS_MAX: usize = 63;

/// The moments that labels tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments {
    pub(crate) now: Timestamp,
    pub(crate) ends_at: Option<Timestamp>,
}

/// The labels that carry the marks; an adapter may echo them.
pub(crate) fn of_marks(marks: &Marks) -> BTreeMap<String, String> {
    let values = [marks.lease.as_str(), marks.installation.as_str(), marks.nonce.as_str()];
    LABELS
        .into_iter()
        .zip(values)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The labels of a lease that goes back to its adapter with `touch`.
///
/// The adapter's own labels stay. What is counted in time is replaced, and a deadline that is no more is removed.
pub(crate) fn for_touch(
    lease: &WireLease,
    marks: &Marks,
    desired: &Desired,
    state: &str,
    moments: Moments,
) -> BTreeMap<String, String> {
    let mut labels = lease.labels.clone().unwrap_or_default();
    labels.extend(of_marks(marks));
    let defaults = [
        ("crabbox", "true"),
        ("created_by", "lease"),
        ("keep", "false"),
        ("lease", &desired.lease_id),
        ("slug", &desired.slug),
        ("provider", "external"),
        ("server_type", lease.server_type.as_deref().unwrap_or("external")),
    ];
    for (name, value) in defaults {
        labels.entry(name.to_owned()).or_insert_with(|| plain(value));
    }
    let name = lease.name.as_deref().unwrap_or(&desired.name);
    labels.insert("name".to_owned(), plain(name));
    labels.insert("state".to_owned(), plain(state));
    labels.insert("target".to_owned(), "linux".to_owned());
    labels.insert("last_touched_at".to_owned(), seconds(moments.now));
    match moments.ends_at {
        Some(ends_at) => labels.insert("expires_at".to_owned(), seconds(ends_at)),
        None => labels.remove("expires_at"),
    };
    labels
}

/// A moment as labels tell it: whole seconds since 1970.
pub(crate) fn seconds(at: Timestamp) -> String {
    (at.as_millis() / 1000).to_string()
}

/// A value in the alphabet of labels.
fn plain(value: &str) -> String {
    let kept = |it: &char| it.is_ascii_alphanumeric() || "_.-".contains(*it);
    let value: String = value.chars().filter(kept).take(VALUE_CHARS_MAX).collect();
    if value.is_empty() { "unknown".to_owned() } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_in_the_alphabet_of_labels() {
        assert_eq!(plain("a b/c_d.e-f"), "abc_d.e-f");
        assert_eq!(plain("é\n"), "unknown");
        assert_eq!(plain(&"x".repeat(70)).len(), 63);
    }
}
