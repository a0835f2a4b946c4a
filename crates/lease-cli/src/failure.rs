//! What a person or a program is told when something fails: what happened, what that means for the machine, and the
//! next command to type. One line on standard error, or the same as JSON.

use std::error::Error as _;
use std::{fmt, io};

use lease_core::engine::{AcquireFailure, Left};
use lease_core::{Effect, Error, ErrorKind};
use lease_ssh::SshError;

use crate::document::ErrorDocument;
use crate::exit::Exit;
use crate::sealed::Untrusted;

/// What helps where nothing is known of the command that was typed.
pub(crate) const PROGRAM_HELP: &str = "lease --help";

/// A failure that ends the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    what: String,
    meaning: Meaning,
    next: String,
    exit: Exit,
    kind: &'static str,
    lease: Option<String>,
}

/// What a failure means for machines and records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Nothing exists that did not exist before.
    NothingCreated,
    /// Neither a machine nor a record was touched.
    NothingChanged,
    /// The machine was given back, and that is proven.
    Released,
    /// The machine is still leased, as asked.
    StillLeased,
    /// The machine is being given back; that is not proven yet.
    Releasing,
    /// A machine may exist and cost money.
    MayExist,
}

impl Meaning {
    /// The name in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NothingCreated => "nothing_created",
            Self::NothingChanged => "nothing_changed",
            Self::Released => "released",
            Self::StillLeased => "still_leased",
            Self::Releasing => "releasing",
            Self::MayExist => "may_exist",
        }
    }
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingCreated => "nothing was created",
            Self::NothingChanged => "nothing was changed",
            Self::Released => "the machine was released",
            Self::StillLeased => "the machine is still leased",
            Self::Releasing => "the machine is being released",
            Self::MayExist => "the machine may still exist",
        })
    }
}

impl Failure {
    /// A failure of the tool before it touched anything.
    pub(crate) fn tool(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            meaning: Meaning::NothingChanged,
            next: "lease doctor".to_owned(),
            exit: Exit::ToolFailure,
            kind: ErrorKind::Internal.name(),
            lease: None,
        }
    }

    /// A failure of what was typed or configured.
    pub(crate) fn invalid(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { next: next.into(), kind: ErrorKind::Invalid.name(), ..Self::tool(what) }
    }

    /// Replaces what it means for the machine.
    #[must_use]
    pub(crate) fn meaning(mut self, meaning: Meaning) -> Self {
        self.meaning = meaning;
        self
    }

    /// Replaces the next command.
    #[must_use]
    pub(crate) fn next(mut self, command: impl Into<String>) -> Self {
        self.next = command.into();
        self
    }

    /// Points to the help of the command that was typed, where it pointed to that of the whole program.
    #[must_use]
    pub(crate) fn helped_by(self, help: &str) -> Self {
        if self.next == PROGRAM_HELP { self.next(help) } else { self }
    }

    /// Adds to what happened.
    #[must_use]
    pub(crate) fn adding(mut self, words: &str) -> Self {
        self.what.push_str(words);
        self
    }

    /// What is wrong on this machine between here and a box, with the command that mends it, where there is one.
    pub(crate) fn mended(error: &SshError) -> Option<(String, String)> {
        if let SshError::NotPrivate { path, mode, wanted } = error {
            let path = path.display();
            let what = format!("{path} has mode {mode:03o}, and others may not read or write it");
            return Some((what, format!("chmod {wanted:o} {path}")));
        }
        if let SshError::Storage { path, source, .. } = error {
            let (name, what) = (path.display(), error.to_string());
            return match (source.kind(), path.parent()) {
                (io::ErrorKind::NotFound, Some(parent)) if !parent.exists() => {
                    Some((what, format!("mkdir -m 700 -p {}", parent.display())))
                }
                (io::ErrorKind::PermissionDenied, _) => Some((what, format!("ls -ld {name}"))),
                _ => None,
            };
        }
        let is_too_long = matches!(error, SshError::SocketPathTooLong { .. });
        is_too_long.then(|| (error.to_string(), "unset XDG_RUNTIME_DIR".to_owned()))
    }

    /// Replaces the exit code.
    #[must_use]
    pub(crate) fn exit_with(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// Replaces the class, a stable name in JSON.
    #[must_use]
    pub(crate) fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// Says which lease it is about.
    #[must_use]
    pub(crate) fn lease(mut self, lease: impl fmt::Display) -> Self {
        self.lease = Some(lease.to_string());
        self
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// What happened, without its consequences.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// The failure as versioned data.
    pub(crate) fn document(&self) -> ErrorDocument {
        ErrorDocument {
            schema: ErrorDocument::SCHEMA,
            kind: self.kind.to_owned(),
            what: one_line(&self.what),
            meaning: self.meaning.name().to_owned(),
            meaning_text: self.meaning.to_string(),
            next: self.next.clone(),
            exit: self.exit.code(),
            lease: self.lease.clone(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, next) = (one_line(&self.what), one_line(&self.next));
        write!(f, "lease: {what}; {}; run: {next}", self.meaning)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let meaning = match error.effect() {
            Effect::None => Meaning::NothingChanged,
            Effect::Unknown => Meaning::MayExist,
        };
        let exit = if error.kind() == ErrorKind::Interrupted {
            Exit::Interrupted
        } else {
            Exit::ToolFailure
        };
        let untrusted = error.source().and_then(|it| it.downcast_ref::<Untrusted>());
        let (next, kind) = match untrusted {
            Some(it) => (format!("lease trust {}", it.file.display()), "untrusted"),
            None => (next_for(error.kind()).to_owned(), error.kind().name()),
        };
        let here =
            error.source().and_then(|it| it.downcast_ref::<SshError>()).and_then(Self::mended);
        let (what, next) = match here {
            Some((what, next)) => (format!("{}: {what}", error.operation()), next),
            None => (with_causes(&error), next),
        };
        Self { what, meaning, next, exit, kind, lease: None }
    }
}

impl From<AcquireFailure> for Failure {
    fn from(failure: AcquireFailure) -> Self {
        let cause = Self::from(failure.error);
        let meaning = match failure.left {
            Left::Nothing => Meaning::NothingCreated,
            Left::Released => Meaning::Released,
            Left::Kept => Meaning::StillLeased,
            Left::MayExist => Meaning::MayExist,
        };
        let Some(lease) = failure.lease else { return cause.meaning(meaning) };
        let next = match meaning {
            Meaning::StillLeased | Meaning::MayExist | Meaning::Releasing => {
                format!("lease release {lease}")
            }
            Meaning::NothingCreated | Meaning::NothingChanged | Meaning::Released => {
                cause.next.clone()
            }
        };
        cause.meaning(meaning).next(next).lease(lease)
    }
}

/// The command that helps with a class of errors.
fn next_for(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unsupported => "lease providers",
        ErrorKind::Denied
        | ErrorKind::Unavailable
        | ErrorKind::Timeout
        | ErrorKind::Protocol
        | ErrorKind::ScopeChanged
        | ErrorKind::Storage
        | ErrorKind::Corrupt
        | ErrorKind::NewerFormat
        | ErrorKind::Internal => "lease doctor",
        ErrorKind::Capacity => "lease providers",
        ErrorKind::Invalid
        | ErrorKind::NotFound
        | ErrorKind::Conflict
        | ErrorKind::Busy
        | ErrorKind::Refused
        | ErrorKind::Interrupted
        | _ => "lease list",
    }
}

/// The error with those of its causes that say something new.
fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}

/// `text` on one line and without control characters: what a box or a file says must not drive the terminal.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            '\n' | '\t' => line.push(' '),
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_with_three_parts() {
        let failure = Failure::invalid("no such\nthing \u{1b}[31m", "lease list");
        assert_eq!(
            failure.to_string(),
            "lease: no such thing \\u{1b}[31m; nothing was changed; run: lease list"
        );
    }

    #[test]
    fn an_acquire_that_may_have_left_something_names_the_release() {
        let lease: lease_core::LeaseId = "lse-aaaaaaaaaaaaaaaaaaaa".parse().unwrap();
        let error = Error::unsettled(ErrorKind::Timeout, "create a resource", "no answer");
        let failure = Failure::from(AcquireFailure::new(error, Some(lease), Left::MayExist));
        assert_eq!(
            failure.to_string(),
            "lease: create a resource: no answer; the machine may still exist; run: lease release lse-aaaaaaaaaaaaaaaaaaaa"
        );
    }

    #[test]
    fn a_wrong_mode_is_mended_by_the_next_command() {
        let path = "/s/keys".into();
        let source = SshError::NotPrivate { path, mode: 0o755, wanted: 0o700 };
        let error = Error::harmless(ErrorKind::Storage, "make the key pair", source.to_string());
        assert_eq!(
            Failure::from(error.with_source(source)).to_string(),
            "lease: make the key pair: /s/keys has mode 755, and others may not read or write it; nothing was changed; run: chmod 700 /s/keys"
        );
    }

    #[test]
    fn causes_are_told_once() {
        let inner = Error::harmless(ErrorKind::Corrupt, "read the journal", "line 3 is torn");
        let outer = Error::harmless(
            ErrorKind::Corrupt,
            "read the lease",
            "read the journal: line 3 is torn",
        )
        .with_source(inner.with_source(io::Error::other("new words")));
        assert_eq!(
            with_causes(&outer),
            "read the lease: read the journal: line 3 is torn: new words"
        );
    }
}
