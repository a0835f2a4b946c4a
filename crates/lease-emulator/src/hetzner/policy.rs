//! What nobody outside the vendor knows, and what a test wants to go badly: each as a value that can be switched.

use std::collections::BTreeSet;
use std::time::Duration;

/// How the cloud behaves where the documents leave it open, and how long things take.
///
/// The default is what the documents suggest, with short times. Everything may be changed while the cloud runs; a change
/// governs what happens after it.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The wall-clock time at which the cloud starts, counted from the Unix epoch.
    pub epoch: Duration,
    /// How long `create_server` runs.
    pub create_time: Duration,
    /// How long `start_server` runs.
    pub start_time: Duration,
    /// How long `stop_server` runs.
    pub stop_time: Duration,
    /// How long `delete_server` runs.
    pub delete_time: Duration,
    /// How late servers are seen to come and go.
    pub servers: Sight,
    /// How late SSH keys are seen to come and go.
    pub ssh_keys: Sight,
    /// How late primary IPs are seen to come and go.
    pub primary_ips: Sight,
    /// The running commands during which a server cannot be deleted or switched. That a poweroff locks was observed; what
    /// else does is unknown.
    pub locking: BTreeSet<Command>,
    /// What a page larger than the documented maximum does; unknown.
    pub oversized_page: OversizedPage,
    /// Whether names that differ in case only are different names; unknown.
    pub name_case: NameCase,
    /// When the name of a deleted server can be given again; unknown.
    pub name_freed: NameFreed,
    /// What deleting a server that is being deleted answers; unknown.
    pub repeated_delete: RepeatedDelete,
    /// What naming a server type, an image, a location or a key that does not exist answers; unknown.
    pub unknown_reference: UnknownReference,
    /// What the create of a server is told whose name is taken and which could not be had either; unknown.
    pub told_first: ToldFirst,
    /// What becomes of a server's own primary IPs when it is deleted.
    pub ips_of_deleted: IpsOfDeleted,
    /// The `assignee_type` of a primary IP that nothing uses.
    pub unassigned: UnassignedType,
    /// How many requests may be made at once, and per hour.
    pub requests_max: u32,
    /// How many requests are given back each second.
    pub requests_per_second: f64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            epoch: Duration::from_secs(1_788_220_800),
            create_time: Duration::from_secs(4),
            start_time: Duration::from_secs(2),
            stop_time: Duration::from_secs(2),
            delete_time: Duration::from_secs(2),
            servers: Sight::default(),
            ssh_keys: Sight::default(),
            primary_ips: Sight::default(),
            locking: BTreeSet::from([Command::StopServer]),
            oversized_page: OversizedPage::Clamped,
            name_case: NameCase::Distinct,
            name_freed: NameFreed::AtOnce,
            repeated_delete: RepeatedDelete::Locked,
            unknown_reference: UnknownReference::InvalidInput,
            told_first: ToldFirst::Name,
            ips_of_deleted: IpsOfDeleted::Deleted,
            unassigned: UnassignedType::Unassigned,
            requests_max: 3600,
            requests_per_second: 1.0,
        }
    }
}

impl Policy {
    /// Everything happens at once; for tests that are about something else, and for a real clock.
    pub fn immediate() -> Self {
        Self {
            create_time: Duration::ZERO,
            start_time: Duration::ZERO,
            stop_time: Duration::ZERO,
            delete_time: Duration::ZERO,
            ..Self::default()
        }
    }
}

/// How late a kind of resource is seen to come and go. All zero is a consistent cloud.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// For how long lists, filtered by name or not, lack a new resource.
    pub listed_after: Duration,
    /// For how long a look-up by id lacks a new resource.
    pub found_after: Duration,
    /// For how long lists still have a deleted resource.
    pub listed_for: Duration,
    /// For how long a look-up by id still has a deleted resource; a server is `deleting` then.
    pub found_for: Duration,
}

/// What an action does, in the vendor's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Command {
    /// Makes a server.
    CreateServer,
    /// Switches a server on.
    StartServer,
    /// Switches a server off.
    StopServer,
    /// Deletes a server.
    DeleteServer,
}

impl Command {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateServer => "create_server",
            Self::StartServer => "start_server",
            Self::StopServer => "stop_server",
            Self::DeleteServer => "delete_server",
        }
    }
}

/// What `per_page` above 50 does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OversizedPage {
    /// The page has 50 entries, and says so.
    Clamped,
    /// The request is refused as invalid input.
    Refused,
}

/// Whether case distinguishes names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameCase {
    /// `a` and `A` are two names.
    Distinct,
    /// `a` and `A` cannot both be given.
    Folded,
}

/// When a deleted server's name is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFreed {
    /// As soon as the deletion was accepted.
    AtOnce,
    /// When the server is no longer found by id and its `delete_server` action has ended.
    WhenGone,
}

/// What a second deletion answers while the server is still found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepeatedDelete {
    /// 423 `locked`.
    Locked,
    /// 404 `not_found`, although a look-up still finds it.
    NotFound,
    /// 200 with the action of the first deletion.
    Accepted,
}

/// What a reference to something that does not exist answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownReference {
    /// 422 `invalid_input` that names the field.
    InvalidInput,
    /// 404 `not_found`, on a POST.
    NotFound,
}

/// Which of two reasons for a refusal is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldFirst {
    /// That the name is taken.
    Name,
    /// That a limit is reached, that nothing is left, or that an address is in use.
    Means,
}

/// What becomes of the primary IPs that a server was created with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpsOfDeleted {
    /// Those with `auto_delete` are deleted with the server.
    Deleted,
    /// They stay, without an assignee, and go on costing money. Others have seen this happen.
    LeftOver,
}

/// The `assignee_type` of a primary IP without an assignee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnassignedType {
    /// `server`, as it was until August 2026.
    Server,
    /// `unassigned`, as it has been since.
    Unassigned,
}

/// How much of a server type a location has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stock {
    /// As many as anybody asks for.
    Plenty,
    /// So many; one less with each creation, one more with each deletion.
    Left(u32),
    /// None: 412 `resource_unavailable`, and the catalogue says so.
    SoldOut,
    /// None: 412 `resource_unavailable`, although the catalogue says that it is available.
    SecretlySoldOut,
    /// None that fits: 422 `placement_error`, although the catalogue says that it is available.
    Unplaceable,
}

/// How a server that was accepted turns out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It comes to run.
    Runs,
    /// `create_server` ends in an error; the server exists, is off, and is billed.
    CreateFails,
    /// `start_server` ends in an error; the server exists, is off, and is billed.
    StartFails,
    /// It stays `initializing`, and its actions stay running.
    Stuck,
}

/// How a deletion that was accepted turns out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// The server is gone from the moment of the answer.
    Happens,
    /// `delete_server` ends in an error, and the server is what it was before, and is billed.
    Fails,
}

/// What an account may have at most; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Servers.
    pub servers: Option<usize>,
    /// Primary IPs.
    pub primary_ips: Option<usize>,
    /// Dedicated cores over all servers.
    pub dedicated_cores: Option<u32>,
}
