//! Every kill that is tried.

use lease_emulator::script::Stage;

use crate::installation::tracer::Side;

/// One kill.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// The provider's registered name.
    pub(crate) provider: &'static str,
    pub(crate) life: Life,
    pub(crate) point: Point,
    pub(crate) reaper: Reaper,
    pub(crate) records: Records,
}

/// What the client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Run,
    Acquire,
    /// A lease that was acquired before is given back.
    Release,
}

/// Where it is killed.
#[derive(Clone, Debug)]
pub(crate) enum Point {
    /// When a request arrives, or has had its effect; counted from 0 since the client was started, whoever sends it.
    Request(u64, Stage),
    /// At that call of that name.
    Call { name: String, number: usize, side: Side },
}

/// What becomes of the reaper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaper {
    Lives,
    /// It is killed with the client; then `lease cleanup` has to end what is left.
    Dies,
}

/// What becomes of the state directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Records {
    Stay,
    AreLost,
}

impl Life {
    pub(crate) const ALL: [Self; 3] = [Self::Run, Self::Acquire, Self::Release];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Acquire => "acquire",
            Self::Release => "release",
        }
    }

    /// The arguments of the client.
    pub(crate) fn words(self) -> &'static [&'static str] {
        match self {
            Self::Run => &["run", "--", "true"],
            Self::Acquire => &["-q", "acquire", "--slug", "one-oak"],
            Self::Release => &["-q", "release", "one-oak"],
        }
    }
}

impl Attempt {
    /// What the kill is tied to, without its number.
    pub(crate) fn group(&self) -> String {
        let point = match &self.point {
            Point::Request(_, Stage::BeforeEffect) => "before a request's effect",
            Point::Request(_, Stage::AfterEffect) => "after a request's effect",
            Point::Call { .. } => "at a system call",
        };
        let more = match (self.records, self.reaper) {
            (Records::AreLost, _) => ", records lost",
            (Records::Stay, Reaper::Lives) => "",
            (Records::Stay, Reaper::Dies) => ", with the reaper",
        };
        format!("{} {}, {point}{more}", self.provider, self.life.name())
    }

    /// The kill exactly.
    pub(crate) fn label(&self) -> String {
        match &self.point {
            Point::Request(number, _) => format!("{} #{number}", self.group()),
            Point::Call { name, number, side } => {
                format!("{} {side:?} {name} #{number}", self.group())
            }
        }
    }
}
