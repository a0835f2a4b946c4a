//! The contracts of `lease-core` on top of this crate: [`Client`] is a [`Transport`], a session is a [`Host`].

use std::path::PathBuf;

use async_trait::async_trait;
use lease_core::host::{Command as HostCommand, Output};
use lease_core::{Effect, Error, ErrorKind, Host, LeaseId, Probe, Reach, Recognition, Transport};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::box_root::BoxRoot;
use crate::client::Client;
use crate::endpoint::{Endpoint, HostKey};
use crate::error::{LoginFailure, SshError};
use crate::files::random_text;
use crate::run::{Command, Outcome};
use crate::session::{End, Reply, Session};

/// How many bytes of each stream [`Host::output`] collects when the caller sets no bound.
const OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;

#[async_trait]
impl Transport for Client {
    async fn prepare(&self, lease: &LeaseId) -> lease_core::Result<String> {
        Self::prepare(self, lease.as_str())
            .map_err(|error| core_error("make the key pair", Effect::None, error))
    }

    async fn probe(&self, lease: &LeaseId, reach: &Reach) -> lease_core::Result<Probe> {
        match Self::probe(self, lease.as_str(), &Endpoint::from(reach)).await {
            Ok(session) => {
                if let Some(file) = &reach.ready_file
                    && let Some(why) = not_set_up(&session, file).await
                {
                    return Ok(Probe::NotYet { why });
                }
            }
            Err(error) if error.may_pass() => return Ok(Probe::NotYet { why: error.to_string() }),
            Err(error) => {
                return Ok(Probe::Never { why: format!("{error}; {}", error.next_step()) });
            }
        }
        let known = self
            .host_key(lease.as_str())
            .map_err(|error| core_error("read the host key", Effect::None, error))?;
        Ok(match known {
            Some(host_key) => Probe::Ready { host_key },
            None => Probe::NotYet { why: "the host's key was not recorded".to_owned() },
        })
    }

    async fn recognise(&self, lease: &LeaseId, reach: &Reach) -> lease_core::Result<Recognition> {
        match self.try_stranger(lease.as_str(), &Endpoint::from(reach)).await {
            Ok(()) => Ok(Recognition::Ours),
            Err(
                error @ (SshError::Invalid { .. }
                | SshError::NotPrivate { .. }
                | SshError::Storage { .. }
                | SshError::SshMissing),
            ) => Err(core_error("try the lease's key", Effect::None, error)),
            Err(error @ SshError::Login { failure: LoginFailure::AuthRefused, .. }) => {
                Ok(Recognition::NotOurs { why: error.to_string() })
            }
            Err(error) => Ok(Recognition::Unclear { why: error.to_string() }),
        }
    }

    async fn connect(&self, lease: &LeaseId, reach: &Reach) -> lease_core::Result<Box<dyn Host>> {
        let connect = async {
            let root = BoxRoot::new(reach.root.as_str())?;
            let session = Self::connect(self, lease.as_str(), &Endpoint::from(reach)).await?;
            Ok(SshHost { session, root })
        };
        match connect.await {
            Ok(host) => Ok(Box::new(host)),
            Err(error) => Err(core_error("log in to the box", Effect::None, error)),
        }
    }

    async fn forget(&self, lease: &LeaseId) -> lease_core::Result<()> {
        let forgotten = Self::forget(self, lease.as_str()).await;
        forgotten.map_err(|error| core_error("forget the lease's keys", Effect::Unknown, error))
    }
}

/// Why the box is not set up yet, if it is not.
async fn not_set_up(session: &Session, file: &str) -> Option<String> {
    let script = b"test -e \"$1\"";
    match session.script("looking whether the box is set up", script, &[file.as_bytes()], &[]).await
    {
        Ok(Reply { end: End::Code(0), .. }) => None,
        Ok(_) => Some(format!("it is being set up: there is no {file} yet")),
        Err(error) => Some(error.to_string()),
    }
}

impl From<&Reach> for Endpoint {
    fn from(reach: &Reach) -> Self {
        Self {
            host: reach.host.clone(),
            port: reach.port,
            user: reach.user.clone(),
            proxy_command: (!reach.proxy.is_empty()).then(|| reach.proxy.clone()),
            host_key: match &reach.host_key {
                lease_core::HostKey::Pinned(line) => HostKey::Pinned(line.clone()),
                lease_core::HostKey::FirstUse => HostKey::FirstUse,
            },
            identity_file: reach.identity_file.as_ref().map(PathBuf::from),
        }
    }
}

/// A box with an open connection, as an embedder sees it.
#[derive(Debug)]
struct SshHost {
    session: Session,
    root: BoxRoot,
}

#[async_trait]
impl Host for SshHost {
    async fn output(&self, command: &HostCommand) -> lease_core::Result<Output> {
        const DOING: &str = "run a command on the box";
        let collect = self.collect(command);
        let Some(deadline) = command.deadline else { return collect.await };
        match tokio::time::timeout(deadline, collect).await {
            Ok(result) => result,
            Err(_elapsed) => {
                let message = format!("it did not end within {} s", deadline.as_secs());
                Err(Error::unsettled(ErrorKind::Timeout, DOING, message))
            }
        }
    }
}

impl SshHost {
    async fn collect(&self, command: &HostCommand) -> lease_core::Result<Output> {
        const DOING: &str = "run a command on the box";
        let run = random_text(16).map_err(|error| core_error(DOING, Effect::None, error))?;
        let bound =
            if command.output_bytes_max == 0 { OUTPUT_BYTES_MAX } else { command.output_bytes_max };
        let words = Command::new(command.argv.iter().map(String::as_bytes));
        // Small pipes between the copier and the collectors keep what is in flight bounded.
        let (out_writer, out_reader) = tokio::io::duplex(PIPE_BYTES);
        let (err_writer, err_reader) = tokio::io::duplex(PIPE_BYTES);
        let outcome = async {
            let input = command.stdin.as_slice();
            let result =
                self.session.run((&self.root, &run), &words, input, (out_writer, err_writer)).await;
            result.map_err(|error| core_error(DOING, effect_of_run(&error), error))
        };
        let (outcome, stdout, stderr) =
            tokio::try_join!(outcome, bounded(out_reader, bound), bounded(err_reader, bound))?;
        match outcome {
            Outcome::Finished(code) => Ok(Output::new(code, stdout, stderr)),
            Outcome::TransportLost { detail, .. } => {
                Err(Error::unsettled(ErrorKind::Unavailable, DOING, detail))
            }
        }
    }
}

const PIPE_BYTES: usize = 64 * 1024;

async fn bounded(reader: impl AsyncRead + Unpin, bytes_max: usize) -> lease_core::Result<Vec<u8>> {
    const DOING: &str = "collect a command's output";
    let mut collected = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let read = reader.take(limit).read_to_end(&mut collected).await;
    read.map_err(|error| Error::unsettled(ErrorKind::Unavailable, DOING, error.to_string()))?;
    if collected.len() > bytes_max {
        return Err(Error::unsettled(
            ErrorKind::Invalid,
            DOING,
            format!("it is longer than {bytes_max} bytes"),
        ));
    }
    Ok(collected)
}

/// Whether a command may have run although this was answered.
fn effect_of_run(error: &SshError) -> Effect {
    let never_started = matches!(
        error,
        SshError::Invalid { .. } | SshError::NotStarted { .. } | SshError::AlreadyStarted { .. }
    );
    if never_started { Effect::None } else { Effect::Unknown }
}

/// What an error of this crate means to the engine: its class, with the next step in its words.
fn core_error(doing: &'static str, effect: Effect, error: SshError) -> Error {
    let kind = match &error {
        SshError::Invalid { .. } | SshError::SocketPathTooLong { .. } => ErrorKind::Invalid,
        SshError::NotPrivate { .. } | SshError::Storage { .. } | SshError::BoxFull { .. } => {
            ErrorKind::Storage
        }
        SshError::SshMissing | SshError::BoxLacks { .. } => ErrorKind::Unsupported,
        SshError::NotReady { .. } => ErrorKind::Timeout,
        SshError::Login { failure: LoginFailure::HostKeyMismatch, .. }
        | SshError::Blocked { .. } => ErrorKind::Refused,
        SshError::Login { failure: LoginFailure::AuthRefused, .. } => ErrorKind::Denied,
        SshError::AlreadyStarted { .. } | SshError::Superseded | SshError::Drifted { .. } => {
            ErrorKind::Conflict
        }
        SshError::Tree(_) => ErrorKind::Invalid,
        SshError::Login { .. }
        | SshError::Lost { .. }
        | SshError::Process(_)
        | SshError::StillConnected { .. }
        | SshError::NotStarted { .. }
        | SshError::Box { .. } => ErrorKind::Unavailable,
    };
    let message = format!("{error}; {}", error.next_step());
    Error::new(kind, effect, doing, message).with_source(error)
}
