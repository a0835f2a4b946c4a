//! Runs that nobody disturbs: how many requests and calls there are to be killed at.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use http::Method;
use lease_emulator::script::Stage;

use crate::CALLS;
use crate::attempt::{Attempt, Life, Point, Reaper, Records};
use crate::installation::tracer::{Side, calls, tracer};
use crate::place::Place;
use crate::trial::Trial;

/// The calls with which a process changes something or talks to somebody, or starts a process.
const TRACED: &[&str] = &[
    "write",
    "writev",
    "fsync",
    "fdatasync",
    "rename",
    "connect",
    "sendto",
    "sendmsg",
    "clone3",
    "vfork",
    "execve",
    "unlink",
];
/// The first of them is the one that starts the program.
const FIRST: &str = "execve";

/// What undisturbed lives at a cloud consist of.
#[derive(Debug)]
pub(crate) struct Honest<C> {
    /// The methods of the requests of each life, in order.
    requests: Vec<(Life, Vec<Method>)>,
    /// The calls of a run, in order.
    calls: Vec<String>,
    place: PhantomData<fn(C)>,
}

impl<C: Place> Honest<C> {
    /// Watches one life of each kind, and runs under a tracer.
    pub(crate) fn watch() -> Self {
        let requests = Life::ALL.map(|life| {
            let trial = Trial::<C>::begin();
            let before = trial.prepare(life);
            let ended = trial.site.lease(life.words());
            assert_eq!(ended.code, 0, "{}", ended.stderr);
            let trace = trial.site.cloud.trace();
            let methods = trace.iter().skip(before).map(|it| it.method.clone()).collect();
            (life, methods)
        });
        // How often it asks differs a little from run to run, and every call is to be there in the next one too.
        let traced = [(); 2].map(|()| Self::trace());
        let calls = traced.into_iter().min_by_key(Vec::len).unwrap_or_default();
        Self { requests: requests.to_vec(), calls, place: PhantomData }
    }

    /// The calls of a run, in order.
    fn trace() -> Vec<String> {
        let trial = Trial::<C>::begin();
        let mut tracer = tracer(&trial.site.installation);
        tracer.arg("-e").arg(format!("trace={}", TRACED.join(",")));
        let ended = trial.site.ended(trial.words(Life::Run, &mut tracer));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let calls = calls(&trial.site.installation).into_iter().map(|(_, name)| name);
        calls.skip_while(|it| it == FIRST).collect()
    }

    /// Every kill at this cloud.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        let provider = C::NAME;
        let mut all = Vec::new();
        for (life, methods) in &self.requests {
            for number in 0..methods.len() {
                for (at, stage) in [Stage::BeforeEffect, Stage::AfterEffect].into_iter().enumerate()
                {
                    let reaper = turn(number + at);
                    let point = Point::Request(number as u64, stage);
                    let (life, records) = (*life, Records::Stay);
                    all.push(Attempt { provider, life, point, reaper, records });
                }
            }
            // Before anything was created there is nothing that a lost record could have been about.
            let created = methods.iter().position(|it| *it == Method::POST);
            let numbers = created.map(|it| it..methods.len()).filter(|_| *life == Life::Run);
            for number in numbers.into_iter().flatten() {
                let point = Point::Request(number as u64, Stage::AfterEffect);
                let (reaper, records) = (Reaper::Dies, Records::AreLost);
                all.push(Attempt { provider, life: *life, point, reaper, records });
            }
        }
        all.extend(self.sampled().into_iter().enumerate().map(|(at, point)| {
            let (life, records) = (Life::Run, Records::Stay);
            Attempt { provider, life, point, reaper: turn(at / 2), records }
        }));
        all
    }

    /// Calls spread evenly over the run, by their names and numbers, on both sides of their effect in turn.
    fn sampled(&self) -> Vec<Point> {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let mut numbered = Vec::new();
        for name in &self.calls {
            let number = seen.entry(name).or_default();
            *number += 1;
            numbered.push((name.clone(), *number));
        }
        let of = |at: usize| {
            let (name, number) = numbered[at * numbered.len() / CALLS].clone();
            let side = if at.is_multiple_of(2) { Side::Before } else { Side::After };
            Point::Call { name, number, side }
        };
        (0..CALLS).map(of).collect()
    }
}

fn turn(number: usize) -> Reaper {
    if number.is_multiple_of(2) { Reaper::Lives } else { Reaper::Dies }
}
