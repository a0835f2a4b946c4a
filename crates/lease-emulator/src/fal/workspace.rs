//! Accounts: who pays, who may, and whose key is whose.

/// A workspace, which is what instances belong to.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Its name, which `GET /v1/account/billing` returns.
    pub username: String,
    /// What instances show as their creator.
    pub nickname: String,
    /// Whether it has `extra_permissions.compute`.
    pub compute: Permission,
    /// Its balance in cents.
    pub credit_cents: u64,
    /// The balance in cents at which it is topped up automatically, if it is.
    pub top_up_at_cents: Option<u64>,
    /// Why it is locked, if it is: then every request is a 403, also a DELETE. Seen at other hosts of fal (third
    /// party); whether this one does it is unknown.
    pub locked: Option<String>,
}

impl Workspace {
    /// A workspace that may do everything and has 10000 dollars.
    pub fn new(username: impl Into<String>) -> Self {
        Self {
            username: username.into(),
            nickname: "developer".to_owned(),
            compute: Permission::Granted,
            credit_cents: 1_000_000,
            top_up_at_cents: Some(50_000),
            locked: None,
        }
    }
}

/// Whether something is permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// It is.
    Granted,
    /// It is not.
    Denied,
}

/// What a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyScope {
    /// Everything: what the compute operations need.
    Admin,
    /// Calling models only; 403 here (that it is 403 is inferred).
    Api,
}

/// Whose key it is.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) username: String,
    pub(super) scope: KeyScope,
}
