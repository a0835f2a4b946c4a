//! Each test of the behaviour suite is able to fail: for every sentence there is a provider that breaks it.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use lease_core::error::ErrorKind;
use lease_core::provider::Check;
use lease_core::{
    Candidate, Clock, Created, Descriptor, Error, Found, Held, InstallationId, Intent, Inventory,
    LeaseId, Marks, Nonce, Owned, Provider, ResourceId, ResourceName, Result, Scope, Sighting,
    Size, Spec, Status, Timestamp,
};
use lease_testkit::behavior::{DESCRIPTOR_TESTS, Harness, SENTENCES, SimHarness, run_all};
use lease_testkit::faults::Mutant;
use lease_testkit::sim::{Flavor, SeededEntropy};
use lease_testkit::world::{HOME, Kind, Origin, World};

/// A provider that breaks one sentence.
#[derive(Debug)]
struct Spoiled {
    inner: Arc<dyn Provider>,
    world: World,
    sentence: &'static str,
    calls: AtomicU32,
    heard_of: std::sync::Mutex<Option<Marks>>,
}

impl Spoiled {
    fn breaks(&self, sentence: &str) -> bool {
        self.sentence == sentence
    }

    /// Leaves something marked behind, which a call that changes nothing must not.
    fn litter(&self) {
        let entropy = SeededEntropy::new(u64::from(self.calls.fetch_add(1, Ordering::SeqCst)));
        let marks = Marks {
            lease: LeaseId::draw(&entropy).unwrap(),
            installation: InstallationId::draw(&entropy).unwrap(),
            nonce: Nonce::draw(&entropy).unwrap(),
        };
        let name = marks.lease.to_string();
        self.world.plant(HOME, Kind::Machine, &name, Some(marks));
    }

    fn with_marks(sighting: Sighting, marks: Option<Marks>) -> Sighting {
        let Sighting::Found(found) = sighting else { return sighting };
        Sighting::Found(Box::new(Found { marks, ..*found }))
    }
}

#[async_trait]
impl Provider for Spoiled {
    fn descriptor(&self) -> &Descriptor {
        const MISNAMED: Descriptor = Descriptor { name: "misnamed", ..BASE };
        const BASE: Descriptor = Descriptor {
            name: "sim",
            aliases: &[],
            summary: "spoiled",
            ends_abandoned: lease_core::descriptor::EndsAbandoned::Reaper,
            ownership: lease_core::descriptor::Ownership::Marks,
            host_key: lease_core::descriptor::HostKeyTrust::Pinned,
            replay: lease_core::descriptor::Replay::UniqueName,
            settle: std::time::Duration::from_secs(4),
            landing: std::time::Duration::from_secs(4),
            shows_deadline: true,
            sandbox: true,
            resources: &["key", "machine"],
            caveat: "it is spoiled",
        };
        if self.breaks("descriptor_is_sound") { &MISNAMED } else { self.inner.descriptor() }
    }

    async fn scope(&self) -> Result<Scope> {
        let scope = self.inner.scope().await?;
        if self.breaks("scope_mutates_nothing") {
            self.litter();
        }
        if self.breaks("scope_is_stable") {
            let call = self.calls.fetch_add(1, Ordering::SeqCst);
            return Ok(Scope { account: format!("account-{call}"), ..scope });
        }
        Ok(scope)
    }

    async fn plan(&self, spec: &Spec) -> Result<Vec<Candidate>> {
        if self.breaks("plan_is_not_empty") {
            return Ok(Vec::new());
        }
        if self.breaks("plan_mutates_nothing") {
            self.litter();
        }
        let mut spec = spec.clone();
        if self.breaks("plan_refuses_unknown_options") {
            spec.options.clear();
        }
        self.inner.plan(&spec).await
    }

    async fn create(&self, intent: &Intent) -> Result<Created> {
        let ledger = self.world.ledger();
        let namesake = ledger
            .iter()
            .find(|it| it.name == intent.name().as_str() && it.origin == Origin::Foreign);
        if let Some(namesake) = namesake.filter(|_| self.breaks("create_never_takes_a_look_alike"))
        {
            return Ok(Created { id: namesake.id.clone(), shown: None });
        }
        self.inner.create(intent).await
    }

    async fn find(&self, intent: &Intent) -> Result<Sighting> {
        *self.heard_of.lock().unwrap() = Some(intent.marks().clone());
        if self.breaks("find_before_create_is_absent") {
            let error = Error::harmless(ErrorKind::Unavailable, "search", "who knows");
            return Ok(Sighting::Unclear(error));
        }
        if self.breaks("find_after_create_is_found") {
            return Ok(Sighting::Absent);
        }
        self.inner.find(intent).await
    }

    async fn inspect(&self, id: &ResourceId) -> Result<Sighting> {
        let sighting = self.inner.inspect(id).await?;
        if self.breaks("create_then_inspect_finds_it") {
            return Ok(Sighting::Absent);
        }
        if self.breaks("create_writes_the_marks") {
            return Ok(Self::with_marks(sighting, None));
        }
        if self.breaks("inspect_of_foreign_shows_foreign_marks") {
            let marks = self.heard_of.lock().unwrap().clone();
            return Ok(Self::with_marks(sighting, marks));
        }
        match sighting {
            Sighting::Absent if self.breaks("inspect_of_a_stranger_is_absent") => {
                Err(Error::harmless(ErrorKind::NotFound, "inspect", "404"))
            }
            sighting @ (Sighting::Found(_)
            | Sighting::Suspects(_)
            | Sighting::Absent
            | Sighting::Unclear(_)) => Ok(sighting),
        }
    }

    async fn list(&self) -> Result<Inventory> {
        let mut inventory = self.inner.list().await?;
        if self.breaks("list_shows_what_create_made") {
            inventory.items.clear();
        }
        if self.breaks("list_hides_foreign") {
            let foreign = self.world.ledger().into_iter().filter(|it| it.origin == Origin::Foreign);
            inventory.items.extend(foreign.map(|it| Found {
                id: it.id,
                kind: it.kind.name().to_owned(),
                name: None,
                marks: None,
                status: Status::Running,
                reach: None,
                created_at: None,
            }));
        }
        Ok(inventory)
    }

    async fn destroy(&self, owned: &Owned) -> Result<()> {
        let exists = self.world.ours_alive().iter().any(|it| it.id == *owned.id());
        if self.breaks("destroy_twice_is_success") && !exists {
            return Err(Error::harmless(ErrorKind::NotFound, "destroy", "404"));
        }
        if self.breaks("destroy_then_absent") {
            return Ok(());
        }
        self.inner.destroy(owned).await
    }

    async fn renew(&self, held: &Held, ends_at: Option<Timestamp>) -> Result<()> {
        self.inner.renew(held, ends_at).await?;
        if self.breaks("renew_keeps_the_marks") {
            self.world.forget_marks(held.id());
        }
        Ok(())
    }

    async fn sizes(&self) -> Result<Vec<Size>> {
        if self.breaks("sizes_mutates_nothing") {
            self.litter();
        }
        let mut sizes = self.inner.sizes().await?;
        if self.breaks("sizes_can_be_planned")
            && let Some(size) = sizes.first_mut()
        {
            "unheard-of".clone_into(&mut size.machine_type);
        }
        Ok(sizes)
    }

    async fn doctor(&self) -> Result<Vec<Check>> {
        if self.breaks("doctor_mutates_nothing") {
            self.litter();
        }
        if self.breaks("doctor_reports") { Ok(Vec::new()) } else { self.inner.doctor().await }
    }
}

struct SpoiledHarness {
    healthy: SimHarness,
    sentence: &'static str,
}

impl SpoiledHarness {
    fn new(sentence: &'static str) -> Self {
        let mutant = mutant_of(sentence);
        let flavor = mutant.map_or(Flavor::UniqueNames, |it| it.scenario().flavor());
        Self { healthy: SimHarness::new(flavor), sentence }
    }
}

/// The seeded bug that breaks the sentence, where there is one.
fn mutant_of(sentence: &str) -> Option<Mutant> {
    Mutant::ALL.into_iter().find(|it| it.breaks() == Some(sentence))
}

#[async_trait]
impl Harness for SpoiledHarness {
    async fn provider(&self) -> Result<Arc<dyn Provider>> {
        let (inner, world) = (self.healthy.provider().await?, self.healthy.world().clone());
        if let Some(mutant) = mutant_of(self.sentence) {
            return Ok(mutant.infect_provider(inner, &world));
        }
        let (calls, heard_of) = (AtomicU32::new(0), std::sync::Mutex::default());
        Ok(Arc::new(Spoiled { inner, world, sentence: self.sentence, calls, heard_of }))
    }

    fn spec(&self) -> Spec {
        self.healthy.spec()
    }

    fn public_key(&self) -> String {
        self.healthy.public_key()
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.healthy.clock()
    }

    async fn plant_look_alike(&self, kind: &str, name: &ResourceName) -> Result<ResourceId> {
        self.healthy.plant_look_alike(kind, name).await
    }

    async fn look_alike_is_untouched(&self, id: &ResourceId) -> Result<bool> {
        self.healthy.look_alike_is_untouched(id).await
    }

    async fn uproot(&self, id: &ResourceId) -> Result<()> {
        self.healthy.uproot(id).await
    }

    async fn break_next_listing(&self) -> Result<()> {
        self.healthy.break_next_listing().await
    }
}

#[tokio::test(start_paused = true)]
async fn every_sentence_is_broken_by_a_provider_and_its_test_says_so() {
    for sentence in SENTENCES.iter().chain(DESCRIPTOR_TESTS) {
        let verdicts = run_all(&SpoiledHarness::new(sentence)).await;
        let verdict = verdicts.iter().find(|it| it.sentence == *sentence).unwrap();
        let Err(broken) = &verdict.result else { panic!("{sentence} does not notice: {verdict}") };
        assert!(!broken.0.starts_with("cleaning up"), "only the cleaning noticed: {verdict}");
        println!("{verdict}");
    }
}
