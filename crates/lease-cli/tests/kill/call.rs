//! System calls of the client, counted in a run that nobody disturbs, and the numbers at which others are killed.
//!
//! The client's runtime has one thread, and nearly everything happens there; only boxes are made and removed in
//! another, whose calls are told apart by their numbers being out of everybody else's reach.

use std::collections::BTreeMap;
use std::process::Command;

use crate::attempt::Containment;
use crate::installation::Installation;
pub(crate) use crate::installation::tracer::Side;
use crate::installation::tracer::{calls, inject, tracer};
use crate::trial;

/// Of these every call of the main thread is a point.
const EVERY: &[&str] = &[
    "fsync",
    "fdatasync",
    "rename",
    "connect",
    "clone3",
    "mkdir",
    "flock",
    "ftruncate",
    "unlink",
    "unlinkat",
    "kill",
    "pidfd_send_signal",
];
/// Of these a few, spread over the run, denser at its beginning: the end is full of looks at other processes.
const SPREAD: &[(&str, usize)] = &[("write", 12), ("writev", 6), ("sendmsg", 8), ("openat", 16)];
/// How many of the removals in the thread that removes boxes are points.
const REMOVALS: usize = 6;
/// Calls that are not repeated after their effect: to a killed process the two are the same.
const BEFORE_ONLY: &[&str] = &["fsync", "write", "writev", "openat"];

/// Which call of which kind is the last.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    /// Counted from 1, per thread.
    pub(crate) number: usize,
    pub(crate) side: Side,
    pub(crate) thread: Thread,
    pub(crate) containment: Containment,
}

/// In which thread of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thread {
    Main,
    /// The one that makes and removes boxes.
    Disk,
}

/// How many signals every run sends at least.
const SIGNALS_MAX: usize = 8;

/// How often each call is made in a run.
#[derive(Debug)]
pub(crate) struct Profile {
    containment: Containment,
    main: BTreeMap<String, usize>,
    /// The removals in the thread that makes and removes boxes: more than anybody else makes, and all.
    removals: (usize, usize),
}

impl Profile {
    /// Watches two runs, and takes of each call the lower number.
    pub(crate) fn measure(containment: Containment) -> Self {
        let mut counts = [(); 2].map(|()| watch(containment, &[]));
        let [one, two] = &mut counts;
        let mut main = one.remove(&0).unwrap();
        let second = two.remove(&0).unwrap();
        for (name, count) in &mut main {
            *count = (*count).min(second.get(name).copied().unwrap_or(0));
        }
        // How often processes are signalled until none is left depends on what else the machine does.
        for name in ["kill", "pidfd_send_signal"] {
            if let Some(count) = main.get_mut(name) {
                *count = (*count).min(SIGNALS_MAX);
            }
        }
        let threads = watch(containment, &["-f", "-e", "trace=renameat2,unlinkat"]);
        let of = |it: &BTreeMap<String, usize>| it.get("unlinkat").copied().unwrap_or(0);
        let mut removals: Vec<usize> = threads.values().map(of).collect();
        removals.sort_unstable();
        let all = removals.pop().unwrap();
        Self { containment, main, removals: (removals.pop().unwrap() + 1, all) }
    }
}

impl Call {
    /// All points, with the ways of containment in turns.
    pub(crate) fn all(profiles: &[Profile; 2]) -> Vec<Self> {
        let mut all = Vec::new();
        for profile in profiles {
            let turn = usize::from(profile.containment == Containment::Auto);
            let mut add = |name, number, side, thread| {
                let containment = profile.containment;
                all.push(Self { name, number, side, thread, containment });
            };
            for (name, numbers) in main_points(profile) {
                for number in numbers {
                    if number % 2 == turn {
                        add(name, number, Side::Before, Thread::Main);
                    } else if !BEFORE_ONLY.contains(&name) {
                        add(name, number, Side::After, Thread::Main);
                    }
                }
            }
            for side in [Side::Before, Side::After] {
                add("renameat2", 1, side, Thread::Disk);
            }
            let (first, last) = profile.removals;
            for part in 0..REMOVALS {
                let number = first + (last - first) * part / REMOVALS;
                add("unlinkat", number, Side::Before, Thread::Disk);
            }
        }
        all
    }

    pub(crate) fn group(&self) -> String {
        let thread = if self.thread == Thread::Disk { " of the box" } else { "" };
        match self.side {
            Side::Before => format!("before {}{thread}", self.name),
            Side::After => format!("after {}{thread}", self.name),
        }
    }

    /// The tracer that kills the client there, to be completed with the client's own words.
    pub(crate) fn tracer(&self, installation: &Installation) -> Command {
        let mut tracer = tracer(installation);
        if self.thread == Thread::Disk {
            tracer.arg("-f");
        }
        inject(&mut tracer, self.name, self.number, self.side);
        tracer
    }
}

fn main_points(profile: &Profile) -> Vec<(&'static str, Vec<usize>)> {
    let count = |name: &str| profile.main.get(name).copied().unwrap_or(0);
    let mut points: Vec<_> =
        EVERY.iter().map(|name| (*name, (1..=count(name)).collect::<Vec<_>>())).collect();
    for (name, wanted) in SPREAD {
        let last = count(name).saturating_sub(1);
        let number = |at: usize| 1 + last * at * at / ((wanted - 1) * (wanted - 1));
        // Odd or even, so that each way of containment has half of them.
        let alike =
            |number: usize, at: usize| if number % 2 == at % 2 { number } else { number + 1 };
        let mut numbers: Vec<_> = (0..*wanted).map(|at| alike(number(at), at)).collect();
        numbers.retain(|it| (1..=count(name)).contains(it));
        numbers.dedup();
        points.push((name, numbers));
    }
    points
}

/// Runs undisturbed; returns how often each call was made, by thread, or under 0 if only one was watched.
fn watch(containment: Containment, flags: &[&str]) -> BTreeMap<u32, BTreeMap<String, usize>> {
    let installation = Installation::new();
    let mut tracer = tracer(&installation);
    tracer.args(flags);
    trial::add_client(&mut tracer, &installation, containment, trial::Length::Short);
    let watched = tracer.output().expect("`strace` is needed to kill a process at a system call");
    assert!(watched.status.success(), "{}", String::from_utf8_lossy(&watched.stderr));
    let mut counts: BTreeMap<u32, BTreeMap<String, usize>> = BTreeMap::new();
    for (thread, name) in calls(&installation) {
        *counts.entry(thread).or_default().entry(name).or_default() += 1;
    }
    counts
}
