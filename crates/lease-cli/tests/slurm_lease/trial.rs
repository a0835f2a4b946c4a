//! One thing that goes wrong, in an installation of its own, and what is left after it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, Weak};

use crate::cluster::Cluster;
use crate::installation::{Deadline, eventually};
use crate::report::{Report, Verdict};
use crate::site::{GONE_WITHIN, Site};

/// How many trials go on at once. Most of a trial is waiting.
const WORKERS: usize = 4;

/// What a trial does with its site; an error is what was not as it should be.
type Play = Box<dyn Fn(&mut Site) -> Result<(), String> + Send + Sync>;

/// Something that goes wrong.
pub(crate) struct Case {
    pub(crate) group: &'static str,
    pub(crate) label: String,
    pub(crate) place: Place,
    pub(crate) play: Play,
}

/// Where a trial is made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// On a cluster with room for all, beside others.
    Shared,
    /// On a cluster of its own, with these settings.
    Own(&'static [&'static str]),
}

impl Case {
    pub(crate) fn new(
        group: &'static str,
        label: impl Into<String>,
        place: Place,
        play: impl Fn(&mut Site) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self { group, label: format!("{group}: {}", label.into()), place, play: Box::new(play) }
    }

    fn conduct(&self) -> Verdict {
        let played = catch_unwind(AssertUnwindSafe(|| self.play_and_look()));
        played.unwrap_or_else(|_| Verdict {
            problem: Some("it panicked; see above".to_owned()),
            ..Verdict::new(self.group, self.label.clone())
        })
    }

    fn play_and_look(&self) -> Verdict {
        let mut site = Site::on(match self.place {
            Place::Shared => roomy(),
            Place::Own(settings) => Arc::new(Cluster::start(settings)),
        });
        site.plant();
        let played = (self.play)(&mut site);
        let clean = played.is_ok().then(|| site.await_clean());
        let foreign = site.foreign_gone();
        let problem = played.and(clean.unwrap_or(Ok(()))).and_then(|()| {
            if foreign > 0 { Err("a job of others is gone".to_owned()) } else { Ok(()) }
        });
        site.end_reapers();
        Verdict {
            allocations: site.jobs().len(),
            processes: site.processes().len(),
            files: site.files().len(),
            foreign,
            problem: problem.err(),
            ..Verdict::new(self.group, self.label.clone())
        }
    }
}

/// Makes all trials, a few at a time.
pub(crate) fn run_all(cases: Vec<Case>) -> Report {
    let _kept = roomy();
    let cases = Mutex::new(cases.into_iter());
    let report = Mutex::new(Report::default());
    let work = || loop {
        let next = cases.lock().unwrap().next();
        let Some(case) = next else { return };
        let verdict = case.conduct();
        report.lock().unwrap().add(verdict);
    };
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(work);
        }
    });
    report.into_inner().unwrap()
}

/// Does what a person would do, until nothing is left.
///
/// # Errors
/// What the last cleanup said.
pub(crate) fn clean_up(site: &Site) -> Result<(), String> {
    let mut said = String::new();
    let done = eventually(Deadline::after(GONE_WITHIN), || {
        let ended = site.lease(&["cleanup"]);
        said = format!("cleanup ended with {}: {}", ended.code, ended.stderr);
        ended.code == 0 && site.files().is_empty()
    });
    done.map_err(|()| said)
}

/// A cluster with room for every trial at once.
fn roomy() -> Arc<Cluster> {
    static ROOMY: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut shared = ROOMY.lock().unwrap();
    if let Some(running) = shared.upgrade() {
        return running;
    }
    let started = Arc::new(Cluster::start(&["CPUS=64", "MEM=64000"]));
    *shared = Arc::downgrade(&started);
    started
}
