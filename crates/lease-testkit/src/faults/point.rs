//! Where something can go wrong, and what can go wrong there.

use std::fmt;

/// A place where the engine touches the world outside itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// `Store::open`.
    Open,
    /// `Store::append`.
    Append,
    /// `Store::load`.
    Load,
    /// `Store::scan`.
    Scan,
    /// `Store::archive`.
    Archive,
    /// `Store::lock`.
    Lock,
    /// `Provider::scope`.
    Scope,
    /// `Provider::plan`.
    Plan,
    /// `Provider::create`.
    Create,
    /// `Provider::find`.
    Find,
    /// `Provider::inspect`.
    Inspect,
    /// `Provider::list`.
    List,
    /// `Provider::destroy`.
    Destroy,
    /// `Transport::prepare`.
    Prepare,
    /// `Transport::probe`.
    Probe,
    /// `Transport::forget`.
    Forget,
    /// `Guardian::ensure`.
    Guard,
}

/// A point as it was passed in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The point.
    pub point: Point,
    /// Whether an earlier fault, such as an outage, kept the call from having any effect.
    pub barred: bool,
}

/// What goes wrong at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// It is refused, and the answer says so.
    RefusedBefore,
    /// The request is lost; nobody answers.
    LostBefore,
    /// It takes effect; the answer is lost.
    DoneThenLost,
    /// It takes effect; the answer is an error that does not say so.
    DoneThenError,
    /// It takes effect; the call never returns.
    DoneThenHang,
    /// The process dies just before.
    CrashBefore,
    /// The process dies just after.
    CrashAfter,
    /// The create is accepted and shows up late.
    LandsLate,
    /// The create is accepted, shows up late, and its answer is lost.
    LandsLateUnanswered,
    /// The create arrives twice.
    DeliveredTwice,
    /// The shelf is empty.
    NoCapacity,
    /// The listing is as old as it may be.
    StaleList,
    /// The listing breaks off.
    LostPage,
    /// The other side is down for longer than the settling time.
    Outage,
    /// Every look fails for longer than the settling time, while everything else works.
    Blind,
    /// The provider takes a machine of ours away.
    Preempted,
    /// The provider takes a machine of ours away and gives its id to somebody else.
    IdReused,
    /// Foreign look-alikes appear.
    LookAlike,
    /// The credentials belong to another account for a while.
    AccountSwapped,
    /// The wall clock jumps forward.
    ClockForward,
    /// The wall clock jumps back.
    ClockBack,
    /// The disk is full for a while.
    DiskFull,
    /// The record is written in part, and the machine loses power.
    TornWrite,
}

impl Point {
    /// Every point.
    pub const ALL: [Self; 17] = [
        Self::Open,
        Self::Append,
        Self::Load,
        Self::Scan,
        Self::Archive,
        Self::Lock,
        Self::Scope,
        Self::Plan,
        Self::Create,
        Self::Find,
        Self::Inspect,
        Self::List,
        Self::Destroy,
        Self::Prepare,
        Self::Probe,
        Self::Forget,
        Self::Guard,
    ];

    /// Whether it is a call of the provider.
    pub fn is_provider(self) -> bool {
        use Point as P;
        matches!(self, P::Scope | P::Plan | P::Create | P::Find | P::Inspect | P::List | P::Destroy)
    }

    /// Whether it only looks at resources.
    pub fn is_look(self) -> bool {
        matches!(self, Self::Find | Self::Inspect | Self::List)
    }

    fn is_store(self) -> bool {
        matches!(
            self,
            Self::Open | Self::Append | Self::Load | Self::Scan | Self::Archive | Self::Lock
        )
    }

    /// Whether it changes anything outside the engine.
    fn mutates(self) -> bool {
        use Point as P;
        let record = matches!(self, P::Open | P::Append | P::Archive);
        record || matches!(self, P::Create | P::Destroy | P::Prepare | P::Forget | P::Guard)
    }
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 23] = [
        Self::RefusedBefore,
        Self::LostBefore,
        Self::DoneThenLost,
        Self::DoneThenError,
        Self::DoneThenHang,
        Self::CrashBefore,
        Self::CrashAfter,
        Self::LandsLate,
        Self::LandsLateUnanswered,
        Self::DeliveredTwice,
        Self::NoCapacity,
        Self::StaleList,
        Self::LostPage,
        Self::Outage,
        Self::Blind,
        Self::Preempted,
        Self::IdReused,
        Self::LookAlike,
        Self::AccountSwapped,
        Self::ClockForward,
        Self::ClockBack,
        Self::DiskFull,
        Self::TornWrite,
    ];

    /// Whether this can happen at `point`.
    ///
    /// A read that is lost and a read whose answer is lost are the same; a store answers every failure alike; a crash
    /// after a read is the crash before whatever comes next.
    pub fn applies_to(self, point: Point) -> bool {
        use Point as P;
        match self {
            Self::RefusedBefore | Self::CrashBefore | Self::ClockForward | Self::ClockBack => true,
            Self::DoneThenHang => point != P::Lock && point != P::Load && point != P::Scan,
            Self::LostBefore => {
                matches!(point, P::Create | P::Destroy | P::Find | P::Inspect | P::List)
            }
            Self::DoneThenError => matches!(point, P::Create | P::Destroy),
            Self::DoneThenLost | Self::CrashAfter => point.mutates(),
            Self::LandsLate
            | Self::LandsLateUnanswered
            | Self::DeliveredTwice
            | Self::NoCapacity => point == P::Create,
            Self::StaleList | Self::LostPage => point == P::List,
            Self::Outage
            | Self::Blind
            | Self::Preempted
            | Self::LookAlike
            | Self::AccountSwapped => point.is_provider(),
            // Between the last look and the destroy itself no client can notice it.
            Self::IdReused => point.is_provider() && point != P::Destroy,
            Self::DiskFull => matches!(point, P::Open | P::Append | P::Archive),
            Self::TornWrite => point == P::Append,
        }
    }

    /// Whether this can happen at a point as it was passed: what has no effect cannot have half of one.
    pub fn applies_at(self, passed: Passed) -> bool {
        let around = matches!(
            self,
            Self::CrashBefore
                | Self::ClockForward
                | Self::ClockBack
                | Self::LookAlike
                | Self::AccountSwapped
                | Self::Outage
                | Self::Blind
                | Self::Preempted
                | Self::IdReused
                | Self::DiskFull
        );
        self.applies_to(passed.point) && (around || !passed.barred)
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.is_store() {
            "store"
        } else if self.is_provider() {
            "provider"
        } else if *self == Self::Guard {
            "guardian"
        } else {
            "transport"
        };
        write!(f, "{side} {}", format!("{self:?}").to_lowercase())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::RefusedBefore => "refused before",
            Self::LostBefore => "lost before",
            Self::DoneThenLost => "done, answer lost",
            Self::DoneThenError => "done, answered with an error",
            Self::DoneThenHang => "done, never returns",
            Self::CrashBefore => "crash before",
            Self::CrashAfter => "crash after",
            Self::LandsLate => "lands late",
            Self::LandsLateUnanswered => "lands late, answer lost",
            Self::DeliveredTwice => "delivered twice",
            Self::NoCapacity => "no capacity",
            Self::StaleList => "stale listing",
            Self::LostPage => "lost page",
            Self::Outage => "outage",
            Self::Blind => "every look fails for a while",
            Self::Preempted => "the provider takes the machine away",
            Self::IdReused => "its id is given to somebody else",
            Self::LookAlike => "foreign look-alikes appear",
            Self::AccountSwapped => "account swapped",
            Self::ClockForward => "clock jumps forward",
            Self::ClockBack => "clock jumps back",
            Self::DiskFull => "disk full",
            Self::TornWrite => "torn write",
        })
    }
}
