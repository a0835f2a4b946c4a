//! The behaviour suite of the provider contract against the emulated fal, as function calls and over real HTTP.
#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]

mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use lease_core::{
    Clock, Effect, ErrorKind, Provider, ResourceId, ResourceName, Result, Secret, Spec,
};
use lease_emulator::fal::{FalCloud, FalPolicy, Paging, Walk, Workspace};
use lease_emulator::script::{Fault, Matching, Plan, Scripted};
use lease_emulator::{Cloud, NoMachines, Server};
use lease_fal::{FalConfig, FalProvider};
use lease_http::{HttpWire, Limits, Wire};
use lease_testkit::behavior::Harness;
use lease_testkit::sim::{SimClock, WallClock};

use crate::wire::InProcess;

const KEY: &str = "0d2c-admin:planted-secret-of-the-suite";
const HOME: &str = "acme";
const ELSEWHERE: &str = "somebody-else";
const STRANGERS_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPQW7zCPYq6lqGHvWvBbk5GLDCCmXhq1x7oR2sxN3C6 stranger";

mod in_process {
    //! Every sentence, with the clock paused, and with a neighbour in the very workspace.
    use super::{Fal, Neighbour};
    lease_testkit::behavior_tests!(Fal::in_process(Neighbour::SameWorkspace));
}

mod in_process_apart {
    //! Every sentence, with the clock paused, and with a neighbour in another workspace.
    use super::{Fal, Neighbour};
    lease_testkit::behavior_tests!(Fal::in_process(Neighbour::OtherWorkspace));
}

mod over_http {
    //! Every sentence, through sockets.
    use super::{Fal, Neighbour};
    lease_testkit::behavior_tests!(Fal::over_http(Neighbour::SameWorkspace).await);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_instance_is_listed_without_marks_so_that_no_plan_takes_it_for_ours() {
    let fal = Fal::in_process(Neighbour::SameWorkspace);
    let name = "box".parse().unwrap();
    let foreign = fal.plant_look_alike("instance", &name).await.unwrap();
    let inventory = fal.provider().await.unwrap().list().await.unwrap();
    let shown = inventory.items.iter().find(|it| it.id == foreign).unwrap();
    assert!(shown.marks.is_none(), "{shown:?}");
}

#[tokio::test]
async fn without_a_key_each_call_is_refused_and_nothing_is_sent() {
    let fal = Fal::in_process(Neighbour::SameWorkspace);
    let provider = fal.open(FalConfig::new(None));
    let errors = [
        provider.scope().await.unwrap_err(),
        provider.plan(&fal.spec()).await.unwrap_err(),
        provider.inspect(&"inst_a".parse().unwrap()).await.unwrap_err(),
        provider.list().await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(
            (error.kind(), error.effect()),
            (ErrorKind::Unsupported, Effect::None),
            "{error}"
        );
        assert!(error.message().contains("FAL_KEY"), "{error}");
    }
    assert!(fal.cloud.trace().is_empty());
    let checks = provider.doctor().await.unwrap();
    assert!(checks.iter().any(|it| it.detail.contains("FAL_KEY")), "{checks:?}");
}

/// Whose instance a look-alike is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Neighbour {
    SameWorkspace,
    OtherWorkspace,
}

/// An emulated fal and the way to it.
struct Fal {
    cloud: Arc<Scripted<FalCloud>>,
    way: Way,
    neighbour: Neighbour,
}

enum Way {
    Direct { clock: SimClock },
    Socket { server: Server },
}

impl Fal {
    fn in_process(neighbour: Neighbour) -> Self {
        Self { cloud: cloud(), way: Way::Direct { clock: SimClock::new() }, neighbour }
    }

    async fn over_http(neighbour: Neighbour) -> Self {
        let cloud = cloud();
        let behind: Arc<dyn Cloud> = Arc::<Scripted<FalCloud>>::clone(&cloud);
        let server = Server::start(behind).await.unwrap();
        Self { cloud, way: Way::Socket { server }, neighbour }
    }

    fn open(&self, mut config: FalConfig) -> FalProvider {
        let wire: Arc<dyn Wire> = match &self.way {
            Way::Direct { .. } => Arc::new(InProcess(Arc::clone(&self.cloud))),
            Way::Socket { server } => {
                config.endpoint = format!("{}/v1", server.origin());
                Arc::new(HttpWire::new(Limits::default()))
            }
        };
        FalProvider::open(config, wire).unwrap()
    }
}

/// Pages of two, so that a listing has several, and instances that are ready at once.
fn cloud() -> Arc<Scripted<FalCloud>> {
    let policy = FalPolicy {
        walk: Walk(vec![(Duration::ZERO, "ready".to_owned())]),
        paging: Paging { size_max: 2, ..Paging::default() },
        ..FalPolicy::default()
    };
    let cloud = FalCloud::new(Arc::new(NoMachines::default()), policy);
    cloud.add_workspace(Workspace::new(HOME), KEY);
    cloud.add_workspace(Workspace::new(ELSEWHERE), "other:key");
    Arc::new(Scripted::new(Arc::new(cloud)))
}

#[async_trait]
impl Harness for Fal {
    async fn provider(&self) -> Result<Arc<dyn Provider>> {
        let mut config = FalConfig::new(Some(Secret::new(KEY)));
        config.settle = Duration::ZERO;
        Ok(Arc::new(self.open(config)))
    }

    fn spec(&self) -> Spec {
        Spec::new("fal")
    }

    fn public_key(&self) -> String {
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti behaviour"
            .to_owned()
    }

    fn clock(&self) -> Arc<dyn Clock> {
        match &self.way {
            Way::Direct { clock } => Arc::new(clock.clone()),
            Way::Socket { .. } => Arc::new(WallClock),
        }
    }

    fn simulated_time(&self) -> bool {
        matches!(self.way, Way::Direct { .. })
    }

    async fn plant_look_alike(&self, _kind: &str, _name: &ResourceName) -> Result<ResourceId> {
        let workspace = match self.neighbour {
            Neighbour::SameWorkspace => HOME,
            Neighbour::OtherWorkspace => ELSEWHERE,
        };
        self.cloud.inner().plant(workspace, STRANGERS_KEY).parse()
    }

    async fn look_alike_is_untouched(&self, id: &ResourceId) -> Result<bool> {
        Ok(self.cloud.ledger().iter().any(|it| it.id == id.as_str() && it.gone.is_none()))
    }

    async fn uproot(&self, id: &ResourceId) -> Result<()> {
        self.cloud.inner().end(id.as_str()).await;
        Ok(())
    }

    async fn break_next_listing(&self) -> Result<()> {
        let listing = Matching::request(http::Method::GET, "/v1/compute/instances");
        // The second page, so that a provider that is content with the first one is found out.
        self.cloud.plan(Plan::at(1, Fault::ErrorAfter(StatusCode::BAD_GATEWAY)).on(listing));
        Ok(())
    }
}

impl Drop for Fal {
    /// What costs money must not outlast a test.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let alive = self.cloud.ledger().into_iter().filter(|it| it.gone.is_none() && !it.foreign);
        let alive: Vec<_> = alive.map(|it| it.id).collect();
        assert!(alive.is_empty(), "still costing money: {alive:?}");
    }
}
