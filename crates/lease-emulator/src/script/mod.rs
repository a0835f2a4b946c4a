//! A cloud in front of which planned things go wrong, each with a named request.
//!
//! Every cloud, and every test of one, uses the same faults: what is lost, late, doubled or cut off is decided here and
//! not in the clouds. What a cloud itself does differently (a locked account, a full data centre) is a policy of it.
//!
//! ```
//! # use std::sync::Arc;
//! # use lease_emulator::script::{Fault, Matching, Plan, Scripted};
//! # use lease_emulator::Cloud;
//! # fn script(cloud: Arc<dyn Cloud>) -> Scripted<dyn Cloud> {
//! let scripted = Scripted::new(cloud);
//! // The first create takes effect, and nobody hears of it.
//! scripted.plan(Plan::at(0, Fault::LostAfter).on(Matching::method(http::Method::POST)));
//! # scripted
//! # }
//! ```

mod fault;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use http::Method;
use lease_core::retry::pause;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::exchange::{Cloud, LedgerEntry, Request, Served};

pub use fault::{Fault, Matching, Plan, Times, Told, json, page};

/// A moment in the life of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The request's number, counted from 0 over all requests.
    pub number: u64,
    /// Its method.
    pub method: Method,
    /// Its path, without the query.
    pub path: String,
    /// Which moment it is.
    pub stage: Stage,
}

/// The two moments at which a hook is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The request has arrived; nothing has happened. Every request has this moment.
    BeforeEffect,
    /// What the request does is done; its answer has not been sent. A request that a fault kept from the cloud does
    /// not have this moment; one that lands late has it when it lands; one that arrives twice has it once.
    AfterEffect,
}

/// Called at each [`Moment`], on the task that serves the request, which waits for it. It must not block for long.
pub type Hook = Arc<dyn Fn(&Moment) + Send + Sync>;

/// One request as it was served.
#[derive(Clone, Debug)]
pub struct Traced {
    /// Its number, counted from 0 over all requests.
    pub number: u64,
    /// Its method.
    pub method: Method,
    /// Its path, without the query.
    pub path: String,
    /// The plan whose fault fired, and the fault.
    pub fault: Option<(PlanId, Fault)>,
}

/// Which plan, in the order in which plans were made known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanId(usize);

/// A cloud in front of which planned things go wrong.
///
/// Of several plans whose turn it is, the one that was made known first fires; the others count the request all the
/// same. Dropping the value drops what was to land late.
pub struct Scripted<C: Cloud + ?Sized> {
    inner: Arc<C>,
    state: Mutex<State>,
    late: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct State {
    requests: u64,
    plans: Vec<Planned>,
    hook: Option<Hook>,
    trace: Vec<Traced>,
}

struct Planned {
    plan: Plan,
    /// How many requests it has counted.
    seen: u64,
    fired: u64,
    first_fired: Option<Instant>,
    cancelled: bool,
}

impl Planned {
    /// Counts a request and says whether it is the turn of this plan.
    fn is_due(&mut self, request: &Request) -> bool {
        if !self.plan.matching.matches(request) {
            return false;
        }
        let number = self.seen;
        self.seen += 1;
        if self.cancelled || number < self.plan.from {
            return false;
        }
        match self.plan.times {
            Times::Always => true,
            // By number and not by how often it fired: a plan that stood back for another one is not made up for.
            Times::Count(count) => number - self.plan.from < count,
            Times::For(span) => self.first_fired.is_none_or(|it| it.elapsed() < span),
        }
    }
}

impl<C: Cloud + ?Sized> Scripted<C> {
    /// Puts an empty script in front of `inner`.
    pub fn new(inner: Arc<C>) -> Self {
        Self { inner, state: Mutex::default(), late: Mutex::default() }
    }

    /// The cloud behind the script.
    pub fn inner(&self) -> &Arc<C> {
        &self.inner
    }

    /// Makes a plan known. It counts the requests from now on.
    pub fn plan(&self, plan: Plan) -> PlanId {
        let mut state = self.state();
        state.plans.push(Planned { plan, seen: 0, fired: 0, first_fired: None, cancelled: false });
        PlanId(state.plans.len() - 1)
    }

    /// Ends a plan: its fault does not fire any more.
    pub fn cancel(&self, id: PlanId) {
        if let Some(planned) = self.state().plans.get_mut(id.0) {
            planned.cancelled = true;
        }
    }

    /// How often the fault of a plan has fired.
    pub fn fired(&self, id: PlanId) -> u64 {
        self.state().plans.get(id.0).map_or(0, |it| it.fired)
    }

    /// The plans whose fault has not fired: a test that planned them has tested nothing.
    pub fn unfired(&self) -> Vec<PlanId> {
        let state = self.state();
        let unfired = state.plans.iter().enumerate().filter(|(_, it)| it.fired == 0);
        unfired.map(|(at, _)| PlanId(at)).collect()
    }

    /// Sets what is called at each moment, in the place of what was set before.
    pub fn hook(&self, hook: Hook) {
        self.state().hook = Some(hook);
    }

    /// The requests so far.
    pub fn trace(&self) -> Vec<Traced> {
        self.state().trace.clone()
    }

    /// Waits until everything that is to land late has landed.
    ///
    /// # Cancel safety
    /// What has not landed when it is cancelled never lands.
    pub async fn settle(&self) {
        let late = std::mem::take(&mut *self.late());
        late.join_all().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn late(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the request its number and its fate.
    fn admit(&self, request: &Request) -> (Moment, Option<Hook>, Option<Fault>) {
        let mut state = self.state();
        let number = state.requests;
        state.requests += 1;
        let mut fate = None;
        for (at, planned) in state.plans.iter_mut().enumerate() {
            if planned.is_due(request) && fate.is_none() {
                planned.fired += 1;
                planned.first_fired.get_or_insert_with(Instant::now);
                fate = Some((PlanId(at), planned.plan.fault.clone()));
            }
        }
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let fault = fate.as_ref().map(|(_, fault)| fault.clone());
        state.trace.push(Traced {
            number,
            method: method.clone(),
            path: path.clone(),
            fault: fate,
        });
        let moment = Moment { number, method, path, stage: Stage::BeforeEffect };
        (moment, state.hook.clone(), fault)
    }
}

impl<C: Cloud + ?Sized + 'static> Scripted<C> {
    fn land(
        &self,
        request: Request,
        mut after: impl FnMut() + Send + 'static,
        by: std::time::Duration,
    ) {
        let inner = Arc::clone(&self.inner);
        let mut late = self.late();
        late.spawn(async move {
            pause(by).await;
            drop(inner.serve(request).await);
            after();
        });
        // Those that have landed are taken out, so that the set does not grow for ever.
        while late.try_join_next().is_some() {}
    }
}

#[async_trait]
impl<C: Cloud + ?Sized + 'static> Cloud for Scripted<C> {
    async fn serve(&self, request: Request) -> Served {
        let (moment, hook, fault) = self.admit(&request);
        if let Some(hook) = &hook {
            hook(&moment);
        }
        let after = move || {
            if let Some(hook) = &hook {
                hook(&Moment { stage: Stage::AfterEffect, ..moment.clone() });
            }
        };
        match fault {
            Some(Fault::RefusedBefore(response)) => return Served::Answer(response),
            Some(Fault::LostBefore) => return Served::Dropped,
            Some(Fault::HangBefore) => return Served::Hung,
            Some(Fault::RateLimited(wait)) => return Served::Answer(fault::rate_limited(wait)),
            Some(Fault::Unavailable) => {
                return Served::Answer(page(http::StatusCode::SERVICE_UNAVAILABLE));
            }
            Some(Fault::Late { by, told }) => {
                self.land(request, after, by);
                return told.served();
            }
            Some(Fault::Twice) => drop(self.inner.serve(request.clone()).await),
            _ => {}
        }
        let served = self.inner.serve(request).await;
        after();
        match fault {
            Some(Fault::LostAfter) => Served::Dropped,
            Some(Fault::HangAfter) => Served::Hung,
            Some(Fault::ErrorAfter(status)) => Served::Answer(page(status)),
            Some(Fault::GarbledAfter) => Served::Answer(fault::garbled()),
            Some(Fault::TruncatedAfter) => truncated(served),
            _ => served,
        }
    }

    fn ledger(&self) -> Vec<LedgerEntry> {
        self.inner.ledger()
    }
}

impl<C: Cloud + ?Sized> fmt::Debug for Scripted<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plans: Vec<Plan> = self.state().plans.iter().map(|it| it.plan.clone()).collect();
        f.debug_struct("Scripted").field("plans", &plans).finish_non_exhaustive()
    }
}

fn truncated(served: Served) -> Served {
    match served {
        Served::Answer(response) if response.body().len() > 1 => {
            let half = response.body().len() / 2;
            Served::Truncated(response, half)
        }
        Served::Answer(_) => Served::Dropped,
        Served::Truncated(..) | Served::Dropped | Served::Hung => served,
    }
}
