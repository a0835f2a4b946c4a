//! What fal's documents leave open, as switches, each with what is known about it.
//!
//! Three words are used throughout. *Documented*: in fal's `OpenAPI` document of 2026-08 or its documentation pages.
//! *Inferred*: concluded from those. *Unknown*: nothing public says it, so a client has to live with every setting.

use std::time::Duration;

use http::StatusCode;

/// All switches. The default is what is documented, and where nothing is, the setting that is kindest to a client.
#[derive(Clone, Debug)]
pub struct FalPolicy {
    /// How the cache behind `Idempotency-Key` behaves.
    pub idempotency: Idempotency,
    /// How long a create takes from its arrival to its effect. Unknown.
    pub create_takes: Duration,
    /// The statuses that a new instance goes through.
    pub walk: Walk,
    /// How long after `ready` the address appears. Documented as "available when instance is ready", so zero.
    pub ip_lag: Duration,
    /// What an id looks like. The document's example is `inst_abc123xyz`; older documents show a UUID.
    pub ids: IdForm,
    /// Where instances are placed; one of the documented regions. A client cannot choose.
    pub region: String,
    /// Whether an `ssh_key` has to parse. Documented: at least one character, and "valid SSH public key required".
    pub key_check: KeyCheck,
    /// What a create is told when there is no machine left; `None` while there are. Status and words are unknown.
    pub no_capacity: Option<StatusCode>,
    /// Whether the balance is checked. The rule and its words are third party: seen in another client's tests. The
    /// status is unknown.
    pub money_gate: MoneyGate,
    /// How long GET and list still show a deleted instance. Unknown; "immediately terminated" is documented.
    pub delete_linger: Duration,
    /// What a second DELETE is told. 404 is documented for what is not there; that it holds for what was just deleted
    /// is inferred.
    pub delete_again: DeleteAgain,
    /// How long after its creation GET does not know an instance. Unknown.
    pub get_lag: Duration,
    /// How long after its creation the list does not show an instance. Unknown.
    pub list_lag: Duration,
    /// How a list is cut into pages.
    pub paging: Paging,
    /// What an hour costs.
    pub prices: Prices,
}

impl Default for FalPolicy {
    fn default() -> Self {
        Self {
            idempotency: Idempotency::default(),
            create_takes: Duration::ZERO,
            walk: Walk::default(),
            ip_lag: Duration::ZERO,
            ids: IdForm::Inst,
            region: "us-west".to_owned(),
            key_check: KeyCheck::Parse,
            no_capacity: None,
            money_gate: MoneyGate::Off,
            delete_linger: Duration::ZERO,
            delete_again: DeleteAgain::NotFound,
            get_lag: Duration::ZERO,
            list_lag: Duration::ZERO,
            paging: Paging::default(),
            prices: Prices::default(),
        }
    }
}

/// How the cache behind `Idempotency-Key` behaves. Documented is one sentence: it prevents duplicate creation on
/// retries, and responses are cached for ten minutes per unique key. Everything else about it is unknown.
#[derive(Clone, Debug)]
pub struct Idempotency {
    /// For how long. Ten minutes are documented.
    pub window: Duration,
    /// From when that counts.
    pub window_from: WindowFrom,
    /// Among whose requests a key is unique.
    pub scope: KeySpace,
    /// What the same key with another body is told.
    pub mismatch: Mismatch,
    /// Which answers are cached.
    pub cached: Cached,
    /// What a second request is told while the first is being served.
    pub concurrent: Concurrent,
    /// What a replay is told once the instance has been deleted.
    pub after_delete: AfterDelete,
}

impl Default for Idempotency {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(600),
            window_from: WindowFrom::FirstAnswer,
            scope: KeySpace::Workspace,
            mismatch: Mismatch::Replay,
            cached: Cached::Successes,
            concurrent: Concurrent::Block,
            after_delete: AfterDelete::OldAnswer,
        }
    }
}

/// From when the ten minutes count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowFrom {
    /// From the arrival of the first request.
    FirstRequest,
    /// From its answer.
    FirstAnswer,
}

/// Among whose requests an idempotency key is unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySpace {
    /// Those of one workspace.
    Workspace,
    /// Those with one API key: after a rotation, a replay creates a second instance.
    ApiKey,
}

/// What the same idempotency key with another body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The first answer.
    Replay,
    /// A refusal with this status.
    Refuse(StatusCode),
    /// It creates another instance, whose answer is cached from then on.
    New,
}

/// Which answers are cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cached {
    /// Those that created something. A replay of a 5xx runs again, and may create a second instance.
    Successes,
    /// Those, and 5xx: after an error, no replay ever learns the id.
    SuccessesAndServerErrors,
    /// All of them, refusals too.
    Everything,
}

/// What a second request is told while the first is being served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concurrent {
    /// It waits for the first one's answer.
    Block,
    /// 409.
    Conflict,
    /// It creates a second instance.
    Duplicate,
}

/// What a replay is told once the instance has been deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterDelete {
    /// The old 201, as if it were still there.
    OldAnswer,
    /// 404.
    NotFound,
    /// It creates another instance.
    New,
}

/// The statuses of an instance with the time since its creation at which each begins. An instance has an address while
/// it is `ready`. The documented statuses are `ready init pending provisioning stopped unknown`; others are what a
/// client will meet when fal adds one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk(pub Vec<(Duration, String)>);

impl Walk {
    /// Through `pending`, `init` and `provisioning` to `last`, which is reached after `time`. The order is inferred.
    pub fn to(last: impl Into<String>, time: Duration) -> Self {
        Self(vec![
            (Duration::ZERO, "pending".to_owned()),
            (time / 8, "init".to_owned()),
            (time / 4, "provisioning".to_owned()),
            (time, last.into()),
        ])
    }

    /// The status at that time after the creation.
    pub(super) fn status(&self, age: Duration) -> &str {
        self.0.iter().rev().find(|(from, _)| *from <= age).map_or("pending", |(_, status)| status)
    }

    /// When it first is `ready`, if it ever is.
    pub(super) fn ready_after(&self) -> Option<Duration> {
        self.0.iter().find(|(_, status)| status == "ready").map(|(from, _)| *from)
    }
}

impl Default for Walk {
    /// Ready after 150 seconds: documented is "typically 2-3 minutes".
    fn default() -> Self {
        Self::to("ready", Duration::from_secs(150))
    }
}

/// What an id looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdForm {
    /// `inst_` and nine characters.
    Inst,
    /// A UUID.
    Uuid,
}

/// Whether an `ssh_key` has to be a public key in OpenSSH's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyCheck {
    /// It has to parse, or the create is a 400.
    Parse,
    /// Any text will do, and what is not a key lets nobody in.
    Length,
}

/// Whether a create needs 500 dollars of credit per instance and a top-up that is triggered at 500 dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoneyGate {
    /// It does not.
    Off,
    /// It does, or is refused with this status.
    Refuse(StatusCode),
}

/// What a second DELETE is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteAgain {
    /// 404.
    NotFound,
    /// 204, as is documented for keys but not for instances.
    NoContent,
}

/// How a list is cut into pages. That a cursor "encodes the page number" is documented; so pages shift while a client
/// walks through them is inferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    /// The page size without `limit`. Unknown.
    pub size: usize,
    /// The largest page. That there is a maximum is documented, its value is not.
    pub size_max: usize,
    /// Which end comes first. Unknown.
    pub order: Order,
    /// What becomes of cursors.
    pub cursors: Cursors,
}

impl Default for Paging {
    fn default() -> Self {
        Self { size: 50, size_max: 100, order: Order::NewestFirst, cursors: Cursors::Honest }
    }
}

/// Which instances come first in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The oldest: a delete makes a walking client miss one.
    OldestFirst,
    /// The newest: a create makes a walking client see one twice.
    NewestFirst,
}

/// What becomes of cursors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursors {
    /// They lead through all pages.
    Honest,
    /// The cursor of each page leads to the same page again.
    Loop,
    /// Each page says that there are more, and none has a cursor.
    MoreWithoutCursor,
}

/// What an hour costs, in whole cents. Documented is only "billed per-hour at fixed rates".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices {
    /// `gpu_1x_h100_sxm5`. 189: fal.ai/pricing named 1.89 dollars as the lowest price of an H100 in September 2026.
    pub one_cents_per_hour: u64,
    /// `gpu_8x_h100_sxm5`. Made up for the emulator: eight times that.
    pub eight_cents_per_hour: u64,
}

impl Default for Prices {
    fn default() -> Self {
        Self { one_cents_per_hour: 189, eight_cents_per_hour: 8 * 189 }
    }
}
