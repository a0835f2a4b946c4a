//! What the engine does right now, on standard error: one moving line on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use lease_core::watch::{Notice, Observer};
use lease_core::{LeaseId, Phase};

use crate::config::span;
use crate::failure::one_line;

/// The progress display; it also remembers which lease was opened, for whoever interrupts the work.
#[derive(Debug)]
pub(crate) struct Progress {
    display: Display,
    opened: Mutex<Option<LeaseId>>,
    names: Mutex<BTreeMap<LeaseId, String>>,
    waited_for: Mutex<String>,
}

/// A transfer that is smaller is over before a bar says anything.
const WORTH_A_BAR_BYTES: u64 = 4 * 1024 * 1024;
const WORTH_A_BAR_FILES: u64 = 2_000;

const LINE: &str = "{spinner} {wide_msg} {elapsed}";
const BAR: &str = "{spinner} {msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";

/// A wait that is shorter is not worth a line of its own.
const WORTH_A_LINE: Duration = Duration::from_secs(5);

#[derive(Debug)]
enum Display {
    Silent,
    Plain,
    Animated(ProgressBar),
}

impl Progress {
    /// Shows nothing.
    pub(crate) fn silent() -> Self {
        Self::with(Display::Silent)
    }

    /// Prints a line for everything that is new.
    pub(crate) fn plain() -> Self {
        Self::with(Display::Plain)
    }

    /// Draws one line and redraws it.
    pub(crate) fn animated() -> Self {
        let bar = ProgressBar::new_spinner();
        look_like(&bar, LINE);
        Self::with(Display::Animated(bar))
    }

    fn with(display: Display) -> Self {
        Self {
            display,
            opened: Mutex::default(),
            names: Mutex::default(),
            waited_for: Mutex::default(),
        }
    }

    /// The lease that was opened last by this process.
    pub(crate) fn opened(&self) -> Option<LeaseId> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has each line about this lease begin with its name, because there are several.
    pub(crate) fn call(&self, lease: &LeaseId, name: &str) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(lease.clone(), name.to_owned());
    }

    fn named(&self, lease: &LeaseId, text: &str) -> String {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(lease).map_or_else(|| text.to_owned(), |name| format!("{name}: {text}"))
    }

    /// Says what is being done.
    pub(crate) fn step(&self, text: &str) {
        let text = one_line(text);
        match &self.display {
            Display::Silent => {}
            Display::Plain => self.note(&text),
            Display::Animated(bar) => {
                if bar.length().is_some() {
                    bar.unset_length();
                    look_like(bar, LINE);
                }
                bar.set_message(text);
                // Beginning anew draws, so it is done when there is something to draw.
                if bar.is_finished() {
                    bar.reset();
                }
                bar.enable_steady_tick(Duration::from_millis(120));
            }
        }
    }

    /// Shows how much of a large transfer is done, where something is drawn at all.
    pub(crate) fn transfer(&self, bytes: u64, bytes_total: u64, files_total: u64) {
        let is_large = bytes_total >= WORTH_A_BAR_BYTES || files_total >= WORTH_A_BAR_FILES;
        if let (Display::Animated(bar), true) = (&self.display, is_large) {
            if bar.length() != Some(bytes_total) {
                look_like(bar, BAR);
                bar.set_length(bytes_total);
            }
            bar.set_position(bytes);
        }
    }

    /// Says what is waited for, once it takes long. A queue may take hours; without a terminal, each thing that is waited
    /// for is said once.
    fn wait_for(&self, what: &str, so_far: Duration) {
        if matches!(self.display, Display::Animated(_)) {
            self.step(&format!("waiting for {what} ({})", span::rough(so_far)));
        } else if so_far >= WORTH_A_LINE {
            let mut waited = self.waited_for.lock().unwrap_or_else(PoisonError::into_inner);
            if *waited != what {
                what.clone_into(&mut waited);
                self.step(&format!("waiting for {what}"));
            }
        }
    }

    /// Says something that stays.
    pub(crate) fn note(&self, text: &str) {
        self.pass_on(format!("lease: {}\n", one_line(text)).as_bytes());
    }

    /// Passes on what somebody else says for people, byte for byte.
    pub(crate) fn pass_on(&self, bytes: &[u8]) {
        let write = || drop(io::stderr().lock().write_all(bytes));
        match &self.display {
            Display::Silent => {}
            Display::Plain => write(),
            Display::Animated(bar) => bar.suspend(write),
        }
    }

    /// Takes the moving line away; it comes back with the next step.
    pub(crate) fn clear(&self) {
        if let Display::Animated(bar) = &self.display {
            bar.disable_steady_tick();
            bar.finish_and_clear();
        }
    }
}

fn look_like(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

impl Observer for Progress {
    fn notice(&self, lease: &LeaseId, notice: &Notice<'_>) {
        tracing::info!(%lease, ?notice, "notice");
        match notice {
            Notice::Opened { slug } => {
                *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(lease.clone());
                self.step(&format!("{slug}: acquiring ({lease})"));
            }
            Notice::Trying { label } => self.step(&format!("trying {label}")),
            Notice::GivenUp { label, why } => self.note(&format!("gave up {label}: {why}")),
            Notice::Phase(phase @ (Phase::Ready | Phase::Releasing | Phase::Released)) => {
                self.step(&self.named(lease, &phase.to_string()));
            }
            Notice::Waiting { what, so_far } => self.wait_for(what, *so_far),
            Notice::Resource { .. } | Notice::Phase(_) | _ => {}
        }
    }

    fn waiting(&self, what: &str, so_far: Duration) {
        tracing::info!(what, ?so_far, "waiting");
        self.wait_for(what, so_far);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_transfer_has_a_bar_until_the_next_step() {
        let progress = Progress::animated();
        let Display::Animated(bar) = &progress.display else { panic!("it is animated") };
        progress.step("syncing");
        progress.transfer(1, 10, 10);
        assert_eq!(bar.length(), None, "it is over before a bar says anything");
        progress.transfer(7, 10, WORTH_A_BAR_FILES);
        assert_eq!((bar.length(), bar.position()), (Some(10), 7));
        progress.transfer(WORTH_A_BAR_BYTES, WORTH_A_BAR_BYTES, 1);
        assert_eq!((bar.length(), bar.position()), (Some(WORTH_A_BAR_BYTES), WORTH_A_BAR_BYTES));
        progress.step("releasing");
        assert_eq!(bar.length(), None);
        progress.clear();
    }

    #[test]
    fn the_templates_are_understood() {
        for template in [LINE, BAR] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
