//! How a lease of ours is called on the wire, and how it is known again in what an adapter shows.
//!
//! The wire has a lease id of 48 bits, a slug and a name, and gives all three back. The id is derived from the marks,
//! so nothing has to be remembered to find a lease again, and it commits the adapter to them: what is read back out of
//! slug, name or labels counts only if the id is derived from exactly that. With a thousand leases alive behind one
//! adapter, the odds that any two share an id are about two in a thousand million; an id is drawn anew for each lease.

use lease_core::{InstallationId, LeaseId, Marks, Nonce, ResourceId, ResourceName};
use serde::Serialize;

use crate::wire::WireLease;

const WIRE_ID_PREFIX: &str = "cbx_";
const WIRE_ID_HEX_CHARS: usize = 12;
const LEASE_RANDOM_CHARS: usize = 20;
const NONCE_CHARS: usize = 26;
const CHECK_CHARS: usize = 5;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The labels that an adapter may echo; an extension of the protocol.
pub(crate) const LABELS: [&str; 3] = ["lease_id", "lease_installation", "lease_nonce"];

/// What an adapter is asked to call a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Desired {
    pub(crate) lease_id: String,
    pub(crate) slug: String,
    pub(crate) name: String,
}

/// What carries the marks in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// Leases with their ids, slugs, names and labels.
    Leases,
    /// Names only, which are believed to be those of this installation when they check.
    Names(InstallationId),
}

/// The lease id on the wire.
pub(crate) fn wire_id(marks: &Marks) -> String {
    let hex = digest(marks).to_hex();
    format!("{WIRE_ID_PREFIX}{}", hex.get(..WIRE_ID_HEX_CHARS).unwrap_or_default())
}

/// Whether this is a lease id of the wire.
pub(crate) fn is_wire_id(text: &str) -> bool {
    let hex = |it: u8| it.is_ascii_digit() || (b'a'..=b'f').contains(&it);
    text.strip_prefix(WIRE_ID_PREFIX)
        .is_some_and(|it| it.len() == WIRE_ID_HEX_CHARS && it.bytes().all(hex))
}

/// Whether this is a slug as the protocol wants them.
pub(crate) fn is_slug(text: &str) -> bool {
    let inner = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
    !text.is_empty()
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
}

impl Carrier {
    /// What the lease with these marks is called.
    pub(crate) fn desired(&self, marks: &Marks, name: &ResourceName) -> Desired {
        let name = match self {
            Self::Leases => name.to_string(),
            Self::Names(_) => listed_name(marks),
        };
        let slug = format!("i{}-n{}", marks.installation, marks.nonce);
        Desired { lease_id: wire_id(marks), slug, name }
    }

    /// The marks that something listed carries, if it carries any.
    pub(crate) fn marks(&self, shown: &WireLease) -> Option<Marks> {
        match self {
            Self::Leases => {
                let id = shown.lease_id.as_deref().filter(|it| is_wire_id(it))?;
                let candidates = [from_labels(shown), from_slug_and_name(shown)];
                candidates.into_iter().flatten().find(|it| wire_id(it) == id)
            }
            Self::Names(installation) => from_name(shown.name.as_deref()?, installation),
        }
    }
}

/// The id of a lease whose marks come back with it.
pub(crate) fn short_id(key: &str) -> Option<ResourceId> {
    key.parse().ok()
}

/// The id of a lease that can only be given back, because the adapter does not show whose it is. It carries the marks
/// itself, so that releasing it needs no other record.
pub(crate) fn long_id(key: &str, marks: &Marks) -> Option<ResourceId> {
    format!("{key}/{}/{}/{}", marks.lease, marks.installation, marks.nonce).parse().ok()
}

/// The key in the adapter's list, and the marks if the id carries them.
pub(crate) fn read_id(id: &ResourceId) -> Option<(&str, Option<Marks>)> {
    let Some((rest, nonce)) = id.as_str().rsplit_once('/') else {
        return Some((id.as_str(), None));
    };
    let (rest, installation) = rest.rsplit_once('/')?;
    let (key, lease) = rest.rsplit_once('/')?;
    let marks = marks_of(lease, installation, nonce)?;
    (!is_wire_id(key) || key == wire_id(&marks)).then_some((key, Some(marks)))
}

fn digest(marks: &Marks) -> blake3::Hash {
    let text = format!("{}\n{}\n{}", marks.lease, marks.installation, marks.nonce);
    blake3::Hash::from(blake3::derive_key("lease-external wire lease id v1", text.as_bytes()))
}

/// A name that carries lease and nonce, and a few characters by which the installation is checked.
fn listed_name(marks: &Marks) -> String {
    let random = marks.lease.as_str().trim_start_matches("lse-");
    format!("l{random}-{}-{}", marks.nonce, check_of(marks))
}

fn check_of(marks: &Marks) -> String {
    let digest = digest(marks);
    let chars = digest.as_bytes().iter().rev().take(CHECK_CHARS);
    chars.map(|it| char::from(ALPHABET[usize::from(it % 32)])).collect()
}

fn from_labels(shown: &WireLease) -> Option<Marks> {
    let [lease, installation, nonce] = LABELS;
    marks_of(shown.label(lease)?, shown.label(installation)?, shown.label(nonce)?)
}

/// Slug and name may have got something around them.
fn from_slug_and_name(shown: &WireLease) -> Option<Marks> {
    let (name, slug) = (shown.name.as_deref()?, shown.slug.as_deref()?);
    let lease = name.get(name.find("lse-")?..)?.get(..4 + LEASE_RANDOM_CHARS)?;
    slug.match_indices("-n").find_map(|(at, _)| {
        let installation = slug.get(at.checked_sub(NONCE_CHARS)?..at)?;
        let nonce = slug.get(at + 2..at + 2 + NONCE_CHARS)?;
        marks_of(lease, installation, nonce)
    })
}

fn from_name(name: &str, installation: &InstallationId) -> Option<Marks> {
    let length = 1 + LEASE_RANDOM_CHARS + 1 + NONCE_CHARS + 1 + CHECK_CHARS;
    // Whatever a template put around it, the name itself is somewhere inside.
    let starts = name.char_indices().filter(|(_, it)| *it == 'l').map(|(at, _)| at);
    starts.filter_map(|at| name.get(at..at + length)).find_map(|own| {
        let mut parts = own.get(1..)?.split('-');
        let (lease, nonce, check) = (parts.next()?, parts.next()?, parts.next()?);
        let marks = marks_of(&format!("lse-{lease}"), installation.as_str(), nonce)?;
        (check_of(&marks) == check).then_some(marks)
    })
}

fn marks_of(lease: &str, installation: &str, nonce: &str) -> Option<Marks> {
    Some(Marks {
        lease: lease.parse::<LeaseId>().ok()?,
        installation: installation.parse().ok()?,
        nonce: nonce.parse::<Nonce>().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use lease_core::OsEntropy;

    use super::*;

    fn marks() -> Marks {
        Marks {
            lease: LeaseId::draw(&OsEntropy).unwrap(),
            installation: InstallationId::draw(&OsEntropy).unwrap(),
            nonce: Nonce::draw(&OsEntropy).unwrap(),
        }
    }

    fn shown(desired: &Desired) -> WireLease {
        WireLease {
            lease_id: Some(desired.lease_id.clone()),
            slug: Some(desired.slug.clone()),
            name: Some(desired.name.clone()),
            ..WireLease::default()
        }
    }

    #[test]
    fn a_wire_id_is_derived_and_needs_no_record() {
        let one = marks();
        assert_eq!(wire_id(&one), wire_id(&one.clone()));
        assert!(is_wire_id(&wire_id(&one)), "{}", wire_id(&one));
        assert_ne!(wire_id(&one), wire_id(&marks()));
        for bad in ["", "cbx_", "cbx_0123456789aB", "cbx_0123456789abc", "abc_0123456789ab"] {
            assert!(!is_wire_id(bad), "{bad}");
        }
    }

    #[test]
    fn the_marks_come_back_out_of_slug_and_name_or_labels() {
        let marks = marks();
        let desired = Carrier::Leases.desired(&marks, &marks.lease.resource_name(0));
        assert!(is_slug(&desired.slug) && desired.slug.len() <= 63 && desired.name.len() <= 63);
        let mut it = shown(&desired);
        assert_eq!(Carrier::Leases.marks(&it).as_ref(), Some(&marks));
        it.name = Some(format!("vm-{}.example", desired.name));
        it.slug = Some(format!("team-{}-x", desired.slug));
        assert_eq!(Carrier::Leases.marks(&it).as_ref(), Some(&marks));
        it.slug = Some("shortened".into());
        assert_eq!(Carrier::Leases.marks(&it), None);
        let values = [marks.lease.as_str(), marks.installation.as_str(), marks.nonce.as_str()];
        let labels = LABELS.into_iter().zip(values);
        it.labels = Some(labels.map(|(name, value)| (name.into(), value.into())).collect());
        assert_eq!(Carrier::Leases.marks(&it).as_ref(), Some(&marks));
    }

    #[test]
    fn copied_marks_under_another_id_count_for_nothing() {
        let marks = marks();
        let mut it = shown(&Carrier::Leases.desired(&marks, &marks.lease.resource_name(0)));
        it.lease_id = Some("cbx_0123456789ab".into());
        assert_eq!(Carrier::Leases.marks(&it), None);
        it.lease_id = None;
        assert_eq!(Carrier::Leases.marks(&it), None);
    }

    #[test]
    fn a_name_alone_is_enough_for_its_own_installation() {
        let marks = marks();
        let ours = Carrier::Names(marks.installation.clone());
        let name = ours.desired(&marks, &marks.lease.resource_name(0)).name;
        assert!(name.parse::<ResourceName>().is_ok(), "{name}");
        for listed in [name.clone(), format!("all-{name}"), format!("{name}-x")] {
            let it = WireLease { name: Some(listed), ..WireLease::default() };
            assert_eq!(ours.marks(&it).as_ref(), Some(&marks));
            let others = Carrier::Names(InstallationId::draw(&OsEntropy).unwrap());
            assert_eq!(others.marks(&it), None);
        }
    }

    #[test]
    fn a_long_id_carries_its_marks() {
        let marks = marks();
        let long = long_id(&wire_id(&marks), &marks).unwrap();
        assert_eq!(read_id(&long), Some((wire_id(&marks).as_str(), Some(marks.clone()))));
        let forged = long_id("cbx_0123456789ab", &marks).unwrap();
        assert_eq!(read_id(&forged), None);
        assert_eq!(read_id(&"cbx_1/x".parse().unwrap()), None);
    }
}
