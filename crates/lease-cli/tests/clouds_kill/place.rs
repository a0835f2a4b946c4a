//! The clouds at which clients are killed: how each is set up, and what of others is there.

use std::collections::BTreeMap;

use lease_core::{InstallationId, LeaseId, Nonce, OsEntropy};
use lease_emulator::Cloud;
use lease_emulator::fal::FalCloud;
use lease_emulator::hetzner::Hetzner;

use crate::site::{PROJECT, Site, WORKSPACE};

/// Further settings: these clouds show at once what was done, so nobody has to wait for them as long as for real ones.
const SETTINGS: &str = "    settle: 200ms\n    landing: 1s\n";
/// A key of somebody else.
const THEIR_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ them";

/// A cloud at which clients are killed.
pub(crate) trait Place: Cloud + Sized + 'static {
    /// The provider's registered name.
    const NAME: &'static str;
    /// The kind of resource that is a machine.
    const MACHINE: &'static str;
    /// Whether resources carry our marks, which outlive the records.
    const MARKS: Marks;

    fn open() -> Site<Self>;

    /// Plants what others have there, some of which looks like ours.
    fn plant(site: &Site<Self>);
}

/// Whether what is leased says whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marks {
    Stored,
    None,
}

impl Place for Hetzner {
    const NAME: &'static str = "hetzner";
    const MACHINE: &'static str = "server";
    const MARKS: Marks = Marks::Stored;

    fn open() -> Site<Self> {
        let site = Site::hetzner();
        site.configure("/v1", SETTINGS);
        site
    }

    fn plant(site: &Site<Self>) {
        let cloud = site.cloud.inner();
        let like_ours = "lse-aaaaaaaaaaaaaaaaaaaa-0";
        let claims_to_be = labels(&[("managed-by", "lease"), ("lease-id", "lse-unreadable")]);
        cloud.plant_server(PROJECT, like_ours, BTreeMap::new());
        cloud.plant_server(PROJECT, "claims-to-be", claims_to_be.clone());
        // A colleague's machine, with marks as good as ours.
        cloud.plant_server(PROJECT, "lse-bbbbbbbbbbbbbbbbbbbb-0", colleague());
        cloud.plant_ssh_key(PROJECT, (like_ours, THEIR_KEY), claims_to_be);
        cloud.plant_primary_ip(PROJECT);
    }
}

impl Place for FalCloud {
    const NAME: &'static str = "fal";
    const MACHINE: &'static str = "instance";
    const MARKS: Marks = Marks::None;

    fn open() -> Site<Self> {
        let site = Site::fal();
        site.configure("/v1", SETTINGS);
        site
    }

    fn plant(site: &Site<Self>) {
        for _ in 0..2 {
            site.cloud.inner().plant(WORKSPACE, THEIR_KEY);
        }
    }
}

/// Marks as another installation writes them.
fn colleague() -> BTreeMap<String, String> {
    let lease = LeaseId::draw(&OsEntropy).unwrap();
    let installation = InstallationId::draw(&OsEntropy).unwrap();
    let nonce = Nonce::draw(&OsEntropy).unwrap();
    labels(&[
        ("managed-by", "lease"),
        ("lease-id", lease.as_str()),
        ("lease-installation", installation.as_str()),
        ("lease-nonce", nonce.as_str()),
    ])
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
