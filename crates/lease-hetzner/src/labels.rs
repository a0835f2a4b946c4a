//! Our marks as labels of a resource, and back. They are written in the call that creates it.

use std::collections::BTreeMap;

use lease_core::{Intent, Marks, Timestamp};

/// Labels, as a resource has them.
pub(crate) type Labels = BTreeMap<String, String>;

/// Says that a resource was made by this tool.
pub(crate) const MANAGED_BY: &str = "managed-by";
/// The value of [`MANAGED_BY`].
pub(crate) const TOOL: &str = "lease";
/// The lease.
const LEASE: &str = "lease-id";
/// The installation.
const INSTALLATION: &str = "lease-installation";
/// The nonce of the one resource.
pub(crate) const NONCE: &str = "lease-nonce";
/// When the lease ends, in seconds since the Unix epoch; for people and for other tools.
pub(crate) const ENDS: &str = "lease-ends";
/// On an SSH key of the user: the name of the project, by which its tokens are recognised.
pub(crate) const PROJECT: &str = "lease-project";

/// Selects everything that any installation of this tool made.
pub(crate) fn all_of_ours() -> String {
    format!("{MANAGED_BY}=={TOOL}")
}

/// Selects what carries a nonce.
pub(crate) fn with_nonce(nonce: &lease_core::Nonce) -> String {
    format!("{NONCE}=={nonce}")
}

/// The labels that a new resource gets.
pub(crate) fn of(intent: &Intent) -> Labels {
    let mut labels = write(intent.marks());
    set_end(&mut labels, intent.expires_at());
    labels
}

fn write(marks: &Marks) -> Labels {
    let pairs = [
        (MANAGED_BY, TOOL),
        (LEASE, marks.lease.as_str()),
        (INSTALLATION, marks.installation.as_str()),
        (NONCE, marks.nonce.as_str()),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Writes when the lease ends; without a deadline the label is taken away.
pub(crate) fn set_end(labels: &mut Labels, ends_at: Option<Timestamp>) {
    match ends_at {
        Some(at) => labels.insert(ENDS.to_owned(), (at.as_millis() / 1000).to_string()),
        None => labels.remove(ENDS),
    };
}

/// The marks in the labels; `None` unless all of them are there and each can be read.
pub(crate) fn marks(labels: &Labels) -> Option<Marks> {
    if labels.get(MANAGED_BY).map(String::as_str) != Some(TOOL) {
        return None;
    }
    Some(Marks {
        lease: labels.get(LEASE)?.parse().ok()?,
        installation: labels.get(INSTALLATION)?.parse().ok()?,
        nonce: labels.get(NONCE)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use lease_core::{InstallationId, LeaseId, Nonce, OsEntropy};

    use super::*;

    fn drawn() -> Marks {
        Marks {
            lease: LeaseId::draw(&OsEntropy).unwrap(),
            installation: InstallationId::draw(&OsEntropy).unwrap(),
            nonce: Nonce::draw(&OsEntropy).unwrap(),
        }
    }

    #[test]
    fn marks_come_back_as_they_were_written() {
        let drawn = drawn();
        let mut labels = write(&drawn);
        assert_eq!(marks(&labels).as_ref(), Some(&drawn));
        labels.insert("env".to_owned(), "prod".to_owned());
        set_end(&mut labels, Some(Timestamp::from_millis(1_767_225_600_999)));
        assert_eq!(labels.get(ENDS).unwrap(), "1767225600");
        assert_eq!(marks(&labels), Some(drawn), "what others add changes nothing");
        set_end(&mut labels, None);
        assert!(!labels.contains_key(ENDS));
    }

    #[test]
    fn a_mark_that_is_missing_or_spoiled_is_no_mark() {
        for key in [MANAGED_BY, LEASE, INSTALLATION, NONCE] {
            let mut missing = write(&drawn());
            missing.remove(key);
            assert_eq!(marks(&missing), None, "without {key}");
            let mut spoiled = write(&drawn());
            spoiled.insert(key.to_owned(), "x".to_owned());
            assert_eq!(marks(&spoiled), None, "with a spoiled {key}");
        }
        assert_eq!(marks(&Labels::new()), None);
    }

    #[test]
    fn every_label_is_one_that_the_documents_allow() {
        let mut labels = write(&drawn());
        set_end(&mut labels, Some(Timestamp::from_millis(u64::MAX)));
        let is_word = |text: &str| {
            let ends = |it: Option<char>| it.is_some_and(|it| it.is_ascii_alphanumeric());
            text.len() <= 63
                && ends(text.chars().next())
                && ends(text.chars().last())
                && text.chars().all(|it| it.is_ascii_alphanumeric() || "-_.".contains(it))
        };
        for (key, value) in &labels {
            assert!(is_word(key) && is_word(value), "{key}={value}");
        }
    }
}
