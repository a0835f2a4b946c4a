//! The script of one run: which fault happens at which point, and the record of every point that was passed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lease_core::error::{Effect, ErrorKind};
use lease_core::retry::pause;
use lease_core::{Error, LeaseId, Marks, Nonce, ResourceName, Result};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::point::{Fault, Passed, Point};
use crate::sim::{SeededEntropy, SimClock};
use crate::world::{HOME, Kind, Origin, Twist, World};

/// How far the wall clock jumps.
const JUMP_MS: i64 = 2 * 60 * 60 * 1000;
/// How long the credentials belong to another account.
const SWAPPED_FOR: Duration = Duration::from_secs(600);
/// How long the disk is full.
const FULL_FOR: Duration = Duration::from_secs(300);
/// How long somebody else has what was given the id of a machine of ours.
const STRANGER_STAYS: Duration = Duration::from_secs(1_800);
/// How long the other side is down: longer than any settling time here.
const DOWN_FOR: Duration = Duration::from_secs(90);
/// More points than this in one run mean a loop without an end.
const POINTS_MAX: usize = 20_000;

/// A fault at the point number `at`, counted from 0 over a whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The number of the point.
    pub at: usize,
    /// What happens there.
    pub fault: Fault,
}

/// The script. Clones are the same script.
#[derive(Clone, Debug)]
pub struct Script {
    state: Arc<Mutex<State>>,
    death: Arc<Notify>,
    world: World,
    clock: SimClock,
}

#[derive(Debug, Default)]
struct State {
    planned: Vec<Planned>,
    fired: usize,
    trace: Vec<Passed>,
    full_until: Option<Instant>,
    blind_until: Option<Instant>,
    jitter: Option<SeededEntropy>,
}

impl Script {
    /// A script for one run in `world`.
    pub fn new(planned: &[Planned], world: World, clock: SimClock) -> Self {
        let state = State { planned: planned.to_vec(), ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), death: Arc::default(), world, clock }
    }

    /// Every point that was passed, in order.
    pub fn trace(&self) -> Vec<Passed> {
        self.lock().trace.clone()
    }

    /// Whether every planned fault happened.
    pub fn all_fired(&self) -> bool {
        let state = self.lock();
        state.fired == state.planned.len() && self.world.twists_met()
    }

    /// From now on every call takes up to a tenth of a second, so that processes that act at once meet everywhere.
    pub fn jitter(&self, seed: u64) {
        self.lock().jitter = Some(SeededEntropy::new(seed));
    }

    /// Returns when the acting process dies.
    pub(super) async fn death(&self) {
        self.death.notified().await;
    }

    /// Whether so many points were passed that a loop must be without an end.
    pub(super) fn runs_wild(&self) -> bool {
        self.lock().trace.len() > POINTS_MAX
    }

    /// Notes a point. `name` is what the call is about, if it names something.
    pub(super) fn arrive(&self, point: Point, name: Option<&ResourceName>) -> Option<Fault> {
        let barred = self.is_barred(point);
        let passed = Passed { point, barred };
        let fault = {
            let mut state = self.lock();
            let at = state.trace.len();
            state.trace.push(passed);
            let found =
                state.planned.iter().find(|it| it.at == at && it.fault.applies_at(passed)).copied();
            state.fired += usize::from(found.is_some());
            found.map(|it| it.fault)
        };
        if let Some(fault) = fault {
            self.disturb(fault, name);
        }
        fault
    }

    /// Whether an earlier fault still keeps calls at this point from having an effect.
    fn is_barred(&self, point: Point) -> bool {
        let down = self.is_down(point);
        let swapped = point == Point::Create && self.world.is_swapped();
        let full =
            matches!(point, Point::Open | Point::Append | Point::Archive) && self.disk_is_full();
        down || swapped || full
    }

    /// Lets a call pass, or fail as the fault says.
    pub(super) async fn meet<T>(
        &self,
        point: Point,
        fault: Option<Fault>,
        action: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        if self.runs_wild() {
            return self.die().await;
        }
        let jitter_ms = self.lock().jitter.as_ref().map(|it| it.next() % 100);
        if let Some(jitter_ms) = jitter_ms {
            pause(Duration::from_millis(jitter_ms)).await;
        }
        if self.is_down(point) {
            return Err(error(point, Effect::None, "the other side is down"));
        }
        match fault {
            Some(Fault::RefusedBefore) => Err(error(point, Effect::None, "it was refused")),
            Some(Fault::LostBefore) => Err(error(point, Effect::Unknown, "nobody answered")),
            Some(Fault::DoneThenLost | Fault::LandsLateUnanswered) => {
                drop(action.await);
                Err(error(point, Effect::Unknown, "the answer was lost"))
            }
            Some(Fault::DoneThenError) => {
                drop(action.await);
                Err(error(point, Effect::Unknown, "the answer is not understood"))
            }
            Some(Fault::DoneThenHang) => {
                drop(action.await);
                std::future::pending().await
            }
            Some(Fault::CrashBefore) => self.die().await,
            Some(Fault::CrashAfter | Fault::TornWrite) => {
                drop(action.await);
                self.die().await
            }
            Some(_) | None => action.await,
        }
    }

    fn is_down(&self, point: Point) -> bool {
        let blind = self.lock().blind_until.is_some_and(|until| Instant::now() < until);
        (point.is_provider() && self.world.is_down()) || (point.is_look() && blind)
    }

    /// Whether the disk is full now.
    pub(super) fn disk_is_full(&self) -> bool {
        self.lock().full_until.is_some_and(|until| Instant::now() < until)
    }

    /// Ends the process that acts: it is told, and this call never returns.
    async fn die<T>(&self) -> T {
        self.death.notify_one();
        std::future::pending().await
    }

    fn disturb(&self, fault: Fault, name: Option<&ResourceName>) {
        let settle = self.world.policy().settle;
        match fault {
            Fault::LandsLate | Fault::LandsLateUnanswered => {
                self.world.arrange(Twist::LandsLate(settle));
            }
            Fault::DeliveredTwice => self.world.arrange(Twist::DeliveredTwice),
            Fault::NoCapacity => self.world.arrange(Twist::NoCapacity),
            Fault::StaleList => self.world.arrange(Twist::StaleListing(settle)),
            Fault::LostPage => self.world.arrange(Twist::LostPage),
            Fault::Outage => self.world.go_down(DOWN_FOR),
            Fault::Blind => self.lock().blind_until = Some(Instant::now() + DOWN_FOR),
            Fault::Preempted => self.world.preempt(),
            Fault::IdReused => self.world.reuse_ids(STRANGER_STAYS),
            Fault::LookAlike => self.plant_look_alikes(name),
            Fault::AccountSwapped => {
                self.world.plant_twins();
                self.world.swap_account(SWAPPED_FOR);
            }
            Fault::ClockForward => self.clock.jump_ms(JUMP_MS),
            Fault::ClockBack => self.clock.jump_ms(-JUMP_MS),
            Fault::DiskFull => self.lock().full_until = Some(Instant::now() + FULL_FOR),
            Fault::RefusedBefore
            | Fault::LostBefore
            | Fault::DoneThenLost
            | Fault::DoneThenError
            | Fault::DoneThenHang
            | Fault::CrashBefore
            | Fault::CrashAfter
            | Fault::TornWrite => {}
        }
    }

    /// Plants what could be mistaken for ours: the same names, our prefix, our lease's marks with another nonce, of
    /// another installation, of another lease.
    fn plant_look_alikes(&self, name: Option<&ResourceName>) {
        let ledger = self.world.ledger();
        let unique = self.world.policy().unique_names;
        let mut names: Vec<String> = name.map(ToString::to_string).into_iter().collect();
        names
            .extend(ledger.iter().filter(|it| it.origin == Origin::Ours).map(|it| it.name.clone()));
        names.push("lse-aaaaaaaaaaaaaaaaaaaa-0".to_owned());
        for name in names {
            let taken = ledger.iter().any(|it| it.name == name && it.gone_at.is_none());
            if !(unique && taken) {
                self.world.plant(HOME, Kind::Machine, &name, None);
            }
        }
        let ours = ledger.iter().rev().find(|it| it.origin == Origin::Ours);
        let Some(ours) = ours.and_then(|it| it.marks.clone()) else { return };
        let entropy = SeededEntropy::new(0x10_0ca1);
        let (Ok(nonce), Ok(lease)) = (Nonce::draw(&entropy), LeaseId::draw(&entropy)) else {
            return;
        };
        let Ok(installation) = lease_core::InstallationId::draw(&entropy) else { return };
        let others = [
            Marks { nonce: nonce.clone(), ..ours.clone() },
            Marks { installation, nonce: nonce.clone(), ..ours.clone() },
            Marks { lease, nonce, ..ours },
        ];
        for (number, marks) in others.into_iter().enumerate() {
            let name = format!("{}-look-alike-{number}", marks.lease);
            self.world.plant(HOME, Kind::Machine, &name, Some(marks));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error that a failed call at `point` is answered with.
pub(super) fn error(point: Point, effect: Effect, message: &str) -> Error {
    use Point as P;
    let doing = "pass a point of the fault matrix";
    let (kind, effect) = match (point, effect) {
        // A store and a key directory fail as disks do.
        (
            P::Open | P::Append | P::Load | P::Scan | P::Archive | P::Lock | P::Prepare | P::Forget,
            _,
        ) => (ErrorKind::Storage, Effect::None),
        (P::Scope | P::Plan, _) | (_, Effect::None) => (ErrorKind::Unavailable, Effect::None),
        (_, Effect::Unknown) => (ErrorKind::Timeout, Effect::Unknown),
    };
    Error::new(kind, effect, doing, format!("{point}: {message}"))
}
