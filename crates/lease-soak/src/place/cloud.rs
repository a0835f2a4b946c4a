//! The emulated clouds, in this process, so that their books are at hand and the program cannot reach them otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{Method, StatusCode};
use lease_core::{InstallationId, LeaseId, Nonce, OsEntropy};
use lease_emulator::fal::{FalCloud, FalPolicy, Walk, Workspace};
use lease_emulator::hetzner::{Access, Hetzner, Policy};
use lease_emulator::machine::{SshdMachines, SshdSettings};
use lease_emulator::script::{Fault, Matching, Plan, Times, Told};
use lease_emulator::{Cloud, Machines, Scripted, Server};
use tokio::sync::Mutex;

use super::Place;
use crate::house::{House, PATH};
use crate::judge::Inventory;
use crate::plan::Harm;
use crate::trouble::Trouble;

/// The project, or workspace, that the installation is configured for.
const ACCOUNT: &str = "account-one";
const FAL_KEY: &str = "key-one:planted-secret-one";
/// A key of somebody else.
const THEIR_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ them";
/// How long after the client gave up what is late takes effect; half of the landing time that is configured.
const LATE_BY: Duration = Duration::from_millis(1500);
/// For how long a cloud cannot be reached at all.
const CUT_FOR: Duration = Duration::from_millis(1500);

/// An emulated cloud with its machines.
pub(super) struct CloudPlace {
    pub(super) cloud: Arc<Scripted<dyn Cloud>>,
    machines: Arc<SshdMachines>,
    server: Mutex<Option<Server>>,
}

/// A Hetzner Cloud where everything happens at once, with things of others that look like ours.
pub(super) async fn hetzner(mut house: House) -> Result<(House, Box<dyn Place>), Trouble> {
    let machines = machines(&house).await?;
    // Thousands of leases in minutes would exceed the documented hour's worth of requests.
    let policy = Policy { requests_per_second: 600.0, ..Policy::immediate() };
    let cloud = Hetzner::new(Arc::<SshdMachines>::clone(&machines) as Arc<dyn Machines>, policy);
    let token = cloud.grant(ACCOUNT, Access::ReadWrite);
    let like_ours = "lse-aaaaaaaaaaaaaaaaaaaa-0";
    let claims_to_be = labels(&[("managed-by", "lease"), ("lease-id", "lse-unreadable")]);
    cloud.plant_server(ACCOUNT, like_ours, BTreeMap::new());
    cloud.plant_server(ACCOUNT, "claims-to-be", claims_to_be.clone());
    cloud.plant_server(ACCOUNT, "lse-bbbbbbbbbbbbbbbbbbbb-0", colleague()?);
    cloud.plant_ssh_key(ACCOUNT, (like_ours, THEIR_KEY), claims_to_be);
    cloud.plant_primary_ip(ACCOUNT);
    house.variables.push(("HCLOUD_TOKEN".to_owned(), token));
    // Who is told once that nothing remains would wait for ten minutes, until the reserve is there again.
    serve(house, "hetzner", Arc::new(cloud), machines, &["request_reserve: 0"]).await
}

/// A fal where everything is ready at once, with instances of others.
pub(super) async fn fal(mut house: House) -> Result<(House, Box<dyn Place>), Trouble> {
    let machines = machines(&house).await?;
    let walk = Walk(vec![(Duration::ZERO, "ready".to_owned())]);
    let policy = FalPolicy { walk, ..FalPolicy::default() };
    let cloud = FalCloud::new(Arc::<SshdMachines>::clone(&machines) as Arc<dyn Machines>, policy);
    cloud.add_workspace(Workspace::new(ACCOUNT), FAL_KEY);
    for _ in 0..2 {
        cloud.plant(ACCOUNT, THEIR_KEY);
    }
    house.variables.push(("FAL_KEY".to_owned(), FAL_KEY.to_owned()));
    serve(house, "fal", Arc::new(cloud), machines, &[]).await
}

async fn machines(house: &House) -> Result<Arc<SshdMachines>, Trouble> {
    let settings = SshdSettings {
        directory: Some(house.root().to_path_buf()),
        ..SshdSettings::default()
            .with_environment("PATH", PATH)
            .with_environment("HOME", house.root().join("home").display().to_string())
            .with_writable(house.root().join("far"))
    };
    Ok(Arc::new(SshdMachines::start(settings).await?))
}

async fn serve(
    house: House,
    provider: &str,
    cloud: Arc<dyn Cloud>,
    machines: Arc<SshdMachines>,
    more: &[&str],
) -> Result<(House, Box<dyn Place>), Trouble> {
    let cloud = Arc::new(Scripted::new(cloud));
    let front: Arc<dyn Cloud> = Arc::<Scripted<dyn Cloud>>::clone(&cloud);
    let server = Server::start(front).await?;
    // The emulator shows at once what was done, and what is late is late by a second and a half, so nobody has to wait
    // as long as for a real cloud.
    let mut lines = vec![
        format!("endpoint: {}/v1", server.origin()),
        format!("user: {}", machines.user()),
        format!("port: {}", machines.port()),
        format!("work_root: {}", house.root().join("far").display()),
        "settle: 200ms".to_owned(),
        "landing: 3s".to_owned(),
    ];
    lines.extend(more.iter().map(|it| (*it).to_owned()));
    house.configure(provider, &lines)?;
    let place = CloudPlace { cloud, machines, server: Mutex::new(Some(server)) };
    Ok((house, Box::new(place)))
}

#[async_trait]
impl Place for CloudPlace {
    async fn harm(&self, harm: Harm, number: u64) -> Result<(), Trouble> {
        let is_even = number.is_multiple_of(2);
        let create_or_delete =
            Matching::method(if number.is_multiple_of(3) { Method::DELETE } else { Method::POST });
        let told = if is_even { Told::Nothing } else { Told::Status(StatusCode::GATEWAY_TIMEOUT) };
        let (fault, matching) = match harm {
            Harm::Late => (Fault::Late { by: LATE_BY, told }, create_or_delete),
            Harm::Twice => (Fault::Twice, create_or_delete),
            Harm::Wrong if is_even => (Fault::GarbledAfter, create_or_delete),
            Harm::Wrong => (Fault::TruncatedAfter, Matching::all()),
            Harm::Lost if is_even => (Fault::LostAfter, create_or_delete),
            Harm::Lost => (Fault::ErrorAfter(StatusCode::BAD_GATEWAY), create_or_delete),
            // A client waits long for the answer to a create, so that does not happen often.
            Harm::Never if number.is_multiple_of(8) => (Fault::HangAfter, create_or_delete),
            Harm::Never => (Fault::HangBefore, Matching::method(Method::GET)),
            Harm::Refused if is_even => {
                (Fault::RateLimited(Duration::from_secs(1)), Matching::all())
            }
            Harm::Refused => (Fault::Unavailable, Matching::all()),
            Harm::Cut => (Fault::LostBefore, Matching::all()),
        };
        let plan = Plan::at(number % 4, fault).on(matching);
        let plan = if harm == Harm::Cut { plan.times(Times::For(CUT_FOR)) } else { plan };
        self.cloud.plan(plan);
        Ok(())
    }

    fn harmed(&self) -> usize {
        self.cloud.trace().iter().filter(|it| it.fault.is_some()).count()
    }

    async fn cure(&self) -> Result<(), Trouble> {
        for plan in self.cloud.unfired() {
            self.cloud.cancel(plan);
        }
        self.cloud.settle().await;
        Ok(())
    }

    async fn inventory(&self) -> Result<Inventory, Trouble> {
        let mut found = Inventory::default();
        for entry in self.cloud.ledger() {
            let name = format!("{} {}", entry.kind, entry.id);
            if entry.foreign {
                found.foreign.insert(name, format!("{entry:?}"));
            } else if entry.gone.is_none() {
                found.ours.push(format!("{name} {:?}", entry.name));
            }
        }
        found.ours.extend(self.machines.ids().into_iter().map(|it| format!("machine {it}")));
        Ok(found)
    }

    async fn close(&self) -> Result<(), Trouble> {
        drop(self.server.lock().await.take());
        self.machines.end_all().await;
        Ok(())
    }
}

/// Marks as another installation writes them.
fn colleague() -> Result<BTreeMap<String, String>, Trouble> {
    let failed = |error: lease_core::Error| Trouble::other(error.to_string());
    let lease = LeaseId::draw(&OsEntropy).map_err(failed)?;
    let installation = InstallationId::draw(&OsEntropy).map_err(failed)?;
    let nonce = Nonce::draw(&OsEntropy).map_err(failed)?;
    Ok(labels(&[
        ("managed-by", "lease"),
        ("lease-id", lease.as_str()),
        ("lease-installation", installation.as_str()),
        ("lease-nonce", nonce.as_str()),
    ]))
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
