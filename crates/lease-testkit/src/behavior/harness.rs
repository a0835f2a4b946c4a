//! What the suite has to know of a provider to test it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lease_core::error::ErrorKind;
use lease_core::{Clock, Error, Provider, ResourceId, ResourceName, Result, Spec};

use crate::sim::{Flavor, SimClock, SimProvider, WallClock};
use crate::world::{HOME, Kind, Twist, World};

/// A provider under test, with its surroundings. Each test makes its own.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The provider under test.
    ///
    /// # Errors
    /// When it cannot be made; the test fails then.
    async fn provider(&self) -> Result<Arc<dyn Provider>>;

    /// A wish that the provider can fulfil, as cheaply as possible.
    fn spec(&self) -> Spec;

    /// A public key that may be put on the machine (`TYPE BASE64 COMMENT`).
    fn public_key(&self) -> String;

    /// Where record times come from.
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(WallClock)
    }

    /// How long, beyond the descriptor's settling time, the suite waits for something that must come to pass.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// Whether the provider lives in simulated time, so that waiting costs nothing.
    fn simulated_time(&self) -> bool {
        false
    }

    /// Puts something foreign of this kind and name beside ours: the same name, none of our marks.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when nothing foreign can be put there, for instance because the provider gives no two
    /// things the same name or has nobody else; the sentences about look-alikes do not apply then.
    async fn plant_look_alike(&self, kind: &str, name: &ResourceName) -> Result<ResourceId>;

    /// Whether what was planted is still there, untouched.
    ///
    /// # Errors
    /// When that cannot be told; the test fails then.
    async fn look_alike_is_untouched(&self, id: &ResourceId) -> Result<bool>;

    /// Takes away what was planted.
    ///
    /// # Errors
    /// When it cannot; the test fails then.
    async fn uproot(&self, id: &ResourceId) -> Result<()>;

    /// Makes the next listing incomplete, as a lost page would.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the harness cannot reach between the provider and its other side.
    async fn break_next_listing(&self) -> Result<()> {
        Err(Error::harmless(
            ErrorKind::Unsupported,
            "break a listing",
            "this harness cannot reach into it",
        ))
    }
}

/// The harness of the simulated provider: the suite's own proof, and a model for others.
#[derive(Debug)]
pub struct SimHarness {
    world: World,
    flavor: Flavor,
    clock: SimClock,
}

impl SimHarness {
    /// A new cloud with a provider of that flavour. Must be called inside a tokio runtime.
    pub fn new(flavor: Flavor) -> Self {
        Self { world: World::new(flavor.policy()), flavor, clock: SimClock::new() }
    }

    /// The same in a cloud where everything shows as late as its settling time allows.
    pub fn lagging(flavor: Flavor) -> Self {
        let harness = Self::new(flavor);
        harness.world.slow_down();
        harness
    }

    /// The cloud.
    pub fn world(&self) -> &World {
        &self.world
    }
}

#[async_trait]
impl Harness for SimHarness {
    async fn provider(&self) -> Result<Arc<dyn Provider>> {
        Ok(Arc::new(SimProvider::new(self.world.clone(), self.flavor)))
    }

    fn spec(&self) -> Spec {
        Spec::new("sim")
    }

    fn public_key(&self) -> String {
        "ssh-ed25519 AAAA behaviour".to_owned()
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    fn simulated_time(&self) -> bool {
        true
    }

    async fn plant_look_alike(&self, kind: &str, name: &ResourceName) -> Result<ResourceId> {
        let kind = Kind::parse(kind).ok_or_else(|| {
            Error::harmless(ErrorKind::Invalid, "plant a look-alike", "no such kind")
        })?;
        Ok(self.world.plant(HOME, kind, name.as_str(), None))
    }

    async fn look_alike_is_untouched(&self, id: &ResourceId) -> Result<bool> {
        Ok(self.world.ledger().iter().any(|it| it.id == *id && it.stopping_at.is_none()))
    }

    async fn uproot(&self, id: &ResourceId) -> Result<()> {
        self.world.uproot(id);
        Ok(())
    }

    async fn break_next_listing(&self) -> Result<()> {
        self.world.arrange(Twist::LostPage);
        Ok(())
    }
}
