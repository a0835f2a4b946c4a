//! Copies and forwarded ports as JSON.

use lease_core::LeaseId;
use lease_ssh::{Copied, Forward, LeftOut};
use schemars::JsonSchema;
use serde::Serialize;

/// `lease cp`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct CopyDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// The lease.
    id: String,
    /// How many files and symbolic links were copied.
    files: u64,
    /// How many bytes of contents.
    bytes: u64,
    /// What was not copied, and why.
    left_out: Vec<LeftOutPath>,
}

/// A path that was not copied.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct LeftOutPath {
    /// The path; bytes that are not UTF-8 are shown as U+FFFD.
    path: String,
    /// Why not, for people.
    why: String,
}

impl CopyDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.copy/1";

    /// What was copied from or to the box of a lease.
    pub(crate) fn new(lease: &LeaseId, copied: &Copied) -> Self {
        let left_out = |it: &LeftOut| LeftOutPath {
            path: it.path.display().to_string(),
            why: it.why.to_owned(),
        };
        Self {
            schema: Self::SCHEMA,
            id: lease.to_string(),
            files: copied.files,
            bytes: copied.bytes,
            left_out: copied.left_out.iter().map(left_out).collect(),
        }
    }
}

/// `lease forward`, printed once the ports are open.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ForwardDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// The lease.
    id: String,
    /// The ports.
    ports: Vec<ForwardedPort>,
}

/// A port of a box on this machine.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ForwardedPort {
    /// The port of 127.0.0.1 on this machine.
    local: u16,
    /// The port on the box.
    remote: u16,
}

impl ForwardDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.forward/1";

    /// The open ports.
    pub(crate) fn new(lease: &LeaseId, forwards: &[Forward]) -> Self {
        let port = |it: &Forward| ForwardedPort { local: it.local(), remote: it.remote() };
        Self {
            schema: Self::SCHEMA,
            id: lease.to_string(),
            ports: forwards.iter().map(port).collect(),
        }
    }
}
