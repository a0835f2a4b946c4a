//! Every kill that is tried.

use crate::call::{Call, Profile};
use crate::moment::{MOMENTS, Moment};

/// One kill.
#[derive(Clone, Debug)]
pub(crate) enum Attempt {
    /// At a system call.
    Call(Call),
    /// When something can be seen from the outside.
    Moment(Moment, Containment),
    /// The same, and the reaper with it; then `lease cleanup` has to end what is left.
    WithReaper(Moment, Containment),
}

/// How the box tells its processes from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Containment {
    /// A PID namespace where there can be one.
    Auto,
    /// The process table is searched.
    Scan,
}

impl Containment {
    pub(crate) const BOTH: [Self; 2] = [Self::Scan, Self::Auto];

    /// As an argument of `--option`.
    pub(crate) fn option(self) -> &'static str {
        match self {
            Self::Auto => "contain=auto",
            Self::Scan => "contain=scan",
        }
    }
}

impl Attempt {
    /// All of them.
    pub(crate) fn all() -> Vec<Self> {
        let profiles = Containment::BOTH.map(Profile::measure);
        let mut all: Vec<_> = Call::all(&profiles).into_iter().map(Self::Call).collect();
        for moment in MOMENTS {
            all.extend(Containment::BOTH.map(|it| Self::Moment(*moment, it)));
        }
        let watched = MOMENTS.iter().filter(|it| it.is_watched).enumerate().step_by(2);
        all.extend(watched.map(|(at, it)| Self::WithReaper(*it, Containment::BOTH[at / 2 % 2])));
        all
    }

    pub(crate) fn containment(&self) -> Containment {
        match self {
            Self::Call(call) => call.containment,
            Self::Moment(_, it) | Self::WithReaper(_, it) => *it,
        }
    }

    /// What the kill is tied to, without its number.
    pub(crate) fn group(&self) -> String {
        match self {
            Self::Call(call) => call.group(),
            Self::Moment(..) => "moment".to_owned(),
            Self::WithReaper(..) => "moment, with the reaper".to_owned(),
        }
    }

    /// The kill exactly.
    pub(crate) fn label(&self) -> String {
        let option = self.containment().option();
        match self {
            Self::Call(call) => format!("{} #{} ({option})", call.group(), call.number),
            Self::Moment(it, _) | Self::WithReaper(it, _) => {
                format!("{}: {} ({option})", self.group(), it.name)
            }
        }
    }
}
