//! How much memory a reaper has over the time, and whether that is flat.

use serde::{Deserialize, Serialize};

/// How much more than at its beginning a reaper may have at its end, in KiB: a heap that was once fragmented stays so,
/// and one that grows with each of thousands of leases gets past this.
pub(crate) const GROWTH_KIB_MAX: u64 = 6 * 1024;
/// Fewer looks than these say nothing about a reaper's memory over the time.
const SAMPLES_MIN: usize = 9;

/// What was seen of the reapers of one installation, in order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    samples_kib: Vec<u64>,
    pids: Vec<u32>,
}

/// The memory at three moments, in KiB: each the median of a tenth of the looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Course {
    pub(crate) start: u64,
    pub(crate) middle: u64,
    pub(crate) end: u64,
}

impl Memory {
    /// Adds a look at the reaper with this number.
    pub(crate) fn add(&mut self, pid: u32, resident_kib: u64) {
        if self.pids.last() != Some(&pid) {
            self.pids.push(pid);
        }
        self.samples_kib.push(resident_kib);
    }

    /// How many reapers there were, one after the other.
    pub(crate) fn reapers(&self) -> usize {
        self.pids.len()
    }

    /// The course over the time; none when there was hardly a look.
    pub(crate) fn course(&self) -> Option<Course> {
        let count = self.samples_kib.len();
        let tenth = (count / 10).max(1);
        // The first look may find a reaper that has only just begun.
        let samples = self.samples_kib.get(1..).filter(|_| count >= SAMPLES_MIN)?;
        let middle = (samples.len() - tenth) / 2;
        Some(Course {
            start: median(samples.get(..tenth)?),
            middle: median(samples.get(middle..middle + tenth)?),
            end: median(samples.get(samples.len() - tenth..)?),
        })
    }

    /// What is wrong with it, if anything is. Nobody kills a reaper in a long run, and there is always a lease to watch, so
    /// one that was replaced has ended by mistake.
    pub(crate) fn problem(&self) -> Option<String> {
        if self.pids.len() > 1 {
            return Some(format!("{} reapers took turns: {:?}", self.pids.len(), self.pids));
        }
        let course = self.course()?;
        (course.end > course.start + GROWTH_KIB_MAX)
            .then(|| format!("the reaper grew from {} KiB to {} KiB", course.start, course.end))
    }
}

fn median(samples: &[u64]) -> u64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(samples: impl IntoIterator<Item = u64>) -> Memory {
        let mut memory = Memory::default();
        samples.into_iter().for_each(|it| memory.add(1, it));
        memory
    }

    #[test]
    fn a_reaper_that_grows_is_found_and_one_with_a_peak_is_not() {
        let grows = of((0..100).map(|it| 20_000 + it * 100));
        assert!(grows.problem().unwrap().contains("grew"), "{grows:?}");
        let peak = of((0..100).map(|it| if it == 50 { 90_000 } else { 20_000 + it % 7 }));
        assert_eq!(peak.problem(), None);
    }

    #[test]
    fn a_reaper_that_ended_and_was_replaced_is_found() {
        let mut memory = of([20_000; 5]);
        assert_eq!(memory.problem(), None);
        memory.add(2, 20_000);
        assert!(memory.problem().unwrap().contains("2 reapers"));
    }

    #[test]
    fn a_few_looks_say_nothing() {
        assert_eq!(of([1, 2, 3]).course(), None);
        let course = of([1, 20, 20, 20, 25, 25, 25, 30, 30, 30]).course().unwrap();
        assert_eq!(course, Course { start: 20, middle: 25, end: 30 });
    }
}
