//! What can go wrong with one request, and with which requests it can.

use std::fmt;
use std::time::Duration;

use http::{Method, StatusCode};
use lease_emulator::script;

use crate::backend::Vendor;

/// How late a request lands that lands late. It is less than the span by which a provider's replay window is shorter
/// than what its cloud remembers, and less than the landing time.
pub(crate) const LATE: Duration = Duration::from_secs(6);
/// How late a request lands that lands when nobody waits for it any more: later than any settling and landing time here.
pub(crate) const OVERDUE: Duration = Duration::from_secs(90);
/// How long the other side is down: longer than any settling and landing time here.
pub(crate) const DOWN: Duration = Duration::from_secs(30);
/// How long a client that asks too often is told to wait.
pub(crate) const LIMITED: Duration = Duration::from_secs(10);
/// How long the credentials belong to another account.
pub(crate) const MOVED: Duration = Duration::from_secs(600);

/// One way for a request to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The vendor refuses it with this status, in its own words, without an effect.
    Refused(u16),
    /// The connection is closed, without an effect.
    LostBefore,
    /// It takes effect; the connection is closed.
    LostAfter,
    /// It takes effect; a gateway answers with this status and a page for people.
    BrokenAfter(u16),
    /// It takes effect; the answer breaks off.
    TruncatedAfter,
    /// It takes effect; the answer is no JSON.
    GarbledAfter,
    /// No answer comes, and there is no effect.
    HangBefore,
    /// It takes effect; no answer comes.
    HangAfter,
    /// It arrives twice.
    Twice,
    /// The connection is closed; it takes effect later.
    Late,
    /// A gateway says 504; it takes effect later.
    LateAfterTimeout,
    /// The connection is closed; it takes effect when nobody waits for it any more.
    Overdue,
    /// 429 with the wait that is asked for.
    RateLimited,
    /// From now on everything is 503 for a while.
    Down,
    /// From now on everything under the same path is 503 for a while.
    PartDown,
    /// The client dies and the request never arrives.
    DiesBefore,
    /// It takes effect, and the client dies.
    DiesAfter,
    /// The client dies, and the request takes effect later.
    DiesLandsLate,
    /// From now on the credentials belong to another account for a while.
    AccountMoved,
    /// A stranger takes the very name just before.
    NameTaken,
}

/// Every fault, in the order of the report.
pub(crate) const ALL: [Fault; 31] = [
    Fault::Refused(400),
    Fault::Refused(401),
    Fault::Refused(403),
    Fault::Refused(404),
    Fault::Refused(409),
    Fault::Refused(412),
    Fault::Refused(422),
    Fault::Refused(423),
    Fault::Refused(429),
    Fault::Refused(503),
    Fault::LostBefore,
    Fault::LostAfter,
    Fault::BrokenAfter(500),
    Fault::BrokenAfter(502),
    Fault::BrokenAfter(504),
    Fault::TruncatedAfter,
    Fault::GarbledAfter,
    Fault::HangBefore,
    Fault::HangAfter,
    Fault::Twice,
    Fault::Late,
    Fault::LateAfterTimeout,
    Fault::Overdue,
    Fault::RateLimited,
    Fault::Down,
    Fault::PartDown,
    Fault::DiesBefore,
    Fault::DiesAfter,
    Fault::DiesLandsLate,
    Fault::AccountMoved,
    Fault::NameTaken,
];

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Read,
    Change,
}

/// A request that was made, as far as a fault may depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// Whether an earlier fault, that lasts, met it already.
    pub(crate) barred: bool,
}

impl Passed {
    /// The method and the path without what differs from run to run.
    pub(crate) fn kind(&self) -> String {
        let holds_id = |it: &str| it.starts_with("inst_") || it.bytes().all(|b| b.is_ascii_digit());
        let parts = self.path.split('/').skip(1).map(|it| if holds_id(it) { "{id}" } else { it });
        format!("{} /{}", self.method, parts.collect::<Vec<_>>().join("/"))
    }
}

impl Fault {
    /// Whether it can happen to that request, and is not the same to the client as another one that can.
    pub(crate) fn applies(self, vendor: Vendor, to: &Passed) -> bool {
        if to.barred {
            return false;
        }
        let reads = to.method == Method::GET;
        let empty = vendor == Vendor::Fal && to.method == Method::DELETE;
        match self {
            // What only hetzner says.
            Self::Refused(412 | 423) => vendor == Vendor::Hetzner && !reads,
            // A read that was lost before, and one whose answer was lost, are the same to everybody.
            Self::LostAfter
            | Self::BrokenAfter(500 | 504)
            | Self::HangAfter
            | Self::Twice
            | Self::Late
            | Self::LateAfterTimeout
            | Self::DiesAfter
            | Self::DiesLandsLate => !reads,
            // What comes so late shows only where it carries marks.
            Self::Overdue => vendor == Vendor::Hetzner && to.method == Method::POST,
            // Without a body there is nothing to cut.
            Self::TruncatedAfter => !empty,
            // Between the look at the account and the request that follows at once, nobody can help it.
            Self::AccountMoved => reads,
            Self::NameTaken => {
                let named = to.path == "/v1/servers" || to.path == "/v1/ssh_keys";
                vendor == Vendor::Hetzner && to.method == Method::POST && named
            }
            Self::Refused(_)
            | Self::LostBefore
            | Self::BrokenAfter(_)
            | Self::GarbledAfter
            | Self::HangBefore
            | Self::RateLimited
            | Self::Down
            | Self::PartDown
            | Self::DiesBefore => true,
        }
    }

    /// Whether it stands for those that a client takes for the same. To who reads, a server in trouble and an answer that
    /// hangs, cannot be read or asks to wait are a connection that was lost, at another time.
    pub(crate) fn stands_for_class(self, at: Doing) -> bool {
        let doubled = matches!(
            self,
            Self::Refused(400 | 403)
                | Self::BrokenAfter(500 | 504)
                | Self::TruncatedAfter
                | Self::LateAfterTimeout
                | Self::Overdue
                | Self::Down
        );
        let lost = matches!(
            self,
            Self::Refused(409 | 422 | 429 | 503)
                | Self::BrokenAfter(502)
                | Self::GarbledAfter
                | Self::HangBefore
                | Self::RateLimited
        );
        !doubled && (at == Doing::Change || !lost)
    }

    /// Whether the acting process ends with it.
    pub(crate) fn kills(self) -> bool {
        matches!(self, Self::DiesBefore | Self::DiesAfter | Self::DiesLandsLate)
    }

    /// The script that makes it happen to the next request; `None` where it happens beside the request.
    pub(crate) fn plan(self, vendor: Vendor, method: &Method, path: &str) -> Option<script::Plan> {
        use script::{Fault as F, Matching, Plan, Times, Told};
        let at_once = |fault| Some(Plan::at(0, fault));
        match self {
            Self::Refused(status) => at_once(F::RefusedBefore(vendor.refusal(status, method))),
            Self::LostBefore => at_once(F::LostBefore),
            Self::LostAfter => at_once(F::LostAfter),
            Self::BrokenAfter(status) => at_once(F::ErrorAfter(status_of(status))),
            Self::TruncatedAfter => at_once(F::TruncatedAfter),
            Self::GarbledAfter => at_once(F::GarbledAfter),
            Self::HangBefore | Self::DiesBefore => at_once(F::HangBefore),
            Self::HangAfter | Self::DiesAfter => at_once(F::HangAfter),
            Self::Twice => at_once(F::Twice),
            Self::Late | Self::DiesLandsLate => at_once(F::Late { by: LATE, told: Told::Nothing }),
            Self::Overdue => at_once(F::Late { by: OVERDUE, told: Told::Nothing }),
            Self::LateAfterTimeout => {
                let told = Told::Status(StatusCode::GATEWAY_TIMEOUT);
                at_once(F::Late { by: LATE, told })
            }
            Self::RateLimited => at_once(F::RateLimited(LIMITED)),
            Self::Down => Some(Plan::at(0, F::Unavailable).times(Times::For(DOWN))),
            Self::PartDown => {
                let part = path.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
                let plan = Plan::at(0, F::Unavailable).on(Matching::path(part));
                Some(plan.times(Times::For(DOWN)))
            }
            Self::AccountMoved | Self::NameTaken => None,
        }
    }
}

pub(crate) fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status) => write!(f, "{status} before the effect"),
            Self::LostBefore => f.write_str("lost before"),
            Self::LostAfter => f.write_str("lost after"),
            Self::BrokenAfter(status) => write!(f, "{status} after the effect"),
            Self::TruncatedAfter => f.write_str("answer cut off"),
            Self::GarbledAfter => f.write_str("answer garbled"),
            Self::HangBefore => f.write_str("hangs before"),
            Self::HangAfter => f.write_str("hangs after"),
            Self::Twice => f.write_str("delivered twice"),
            Self::Late => f.write_str("lost, lands late"),
            Self::LateAfterTimeout => f.write_str("504, lands late"),
            Self::Overdue => f.write_str("lost, lands when nobody waits for it"),
            Self::RateLimited => f.write_str("rate limited"),
            Self::Down => f.write_str("all down for a while"),
            Self::PartDown => f.write_str("this part down for a while"),
            Self::DiesBefore => f.write_str("client dies before"),
            Self::DiesAfter => f.write_str("client dies after"),
            Self::DiesLandsLate => f.write_str("client dies, lands late"),
            Self::AccountMoved => f.write_str("key moves to another account for a while"),
            Self::NameTaken => f.write_str("name taken by a stranger"),
        }
    }
}
