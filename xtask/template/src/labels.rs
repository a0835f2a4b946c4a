//! The labels that say whose a machine is. VENDOR: fit names and values to the alphabet that the vendor documents.

use std::collections::BTreeMap;

use lease_core::Marks;

const LEASE: &str = "lease";
const INSTALLATION: &str = "lease-installation";
const NONCE: &str = "lease-nonce";

/// What a machine carries, by name.
pub(crate) type Labels = BTreeMap<String, String>;

/// The labels of a new machine.
pub(crate) fn write(marks: &Marks) -> Labels {
    let Marks { lease, installation, nonce } = marks;
    let pairs =
        [(LEASE, lease.as_str()), (INSTALLATION, installation.as_str()), (NONCE, nonce.as_str())];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// The marks in the labels; `None` unless all of them are there and each can be read.
pub(crate) fn read(labels: &Labels) -> Option<Marks> {
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

    #[test]
    fn marks_come_back_and_half_of_them_are_none() {
        let marks = Marks {
            lease: LeaseId::draw(&OsEntropy).unwrap(),
            installation: InstallationId::draw(&OsEntropy).unwrap(),
            nonce: Nonce::draw(&OsEntropy).unwrap(),
        };
        assert_eq!(read(&write(&marks)), Some(marks.clone()));
        for name in [LEASE, INSTALLATION, NONCE] {
            let mut half = write(&marks);
            half.remove(name);
            assert_eq!(read(&half), None, "without {name}");
        }
    }
}
