//! The process that keeps one session waiting on the box of a lease, and hands it to whoever runs the next command.
//!
//! It opens no connection and holds no right to the lease: what it has is one session on a connection that others opened.
//! It ends with that connection, with the lease's directory, when it was idle for long enough, or when it is told to.

use std::io;
use std::time::Duration;

use lease_core::retry::pause;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::post::Held;
use super::waiting::{HEAD, Waiting};
use crate::client::Client;
use crate::error::{Result, SshError};
use crate::run::{kind, program};
use crate::session::Link;

/// How long a session may take until it waits.
const OPEN_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a visitor may take to say what it wants. Others wait meanwhile.
const QUESTION_TIME_MAX: Duration = Duration::from_millis(250);
const QUESTION_BYTES_MAX: u64 = 128;
/// How long a run has the connection to itself before the next session is opened; one that ends before is not waited for.
const NEXT_AFTER: Duration = Duration::from_millis(500);
/// How often it is looked whether the lease is still there.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What a visitor wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// A session that waits with the same program.
    Session,
    /// One that waits with another; the client or its settings have changed.
    Other,
    /// To know whether a session waits.
    Look,
    /// That this ends.
    End,
    /// Nothing that is understood.
    Nothing,
}

impl Client {
    /// Keeps one session waiting on the box of a lease, over the connection that is open, until there is a reason to end:
    /// the connection has ended, nobody wanted it for [`Settings::spare`](crate::Settings::spare), the lease was
    /// forgotten, it was told to, or there is another keeper.
    ///
    /// # Errors
    /// When its files cannot be made.
    ///
    /// # Cancel safety
    /// A cancelled call leaves nothing behind.
    pub async fn keep_spare(&self, lease: &str) -> Result<()> {
        let link = self.link(lease)?;
        let post = link.post();
        let failed = SshError::storage("keeping a session for", link.control());
        let Some(held) = post.take().map_err(failed)? else {
            tracing::debug!(lease, "another keeper is there");
            return Ok(());
        };
        let why = Keeper::new(&link).keep(&held).await;
        tracing::debug!(lease, why, "no session waits any more");
        Ok(())
    }

    /// Whether a process keeps a session waiting for this lease.
    ///
    /// # Errors
    /// When the runtime directory cannot be used.
    pub fn is_kept(&self, lease: &str) -> Result<bool> {
        Ok(self.link(lease)?.post().is_kept())
    }

    /// Whether a session waits on the box of this lease now.
    ///
    /// # Errors
    /// When the runtime directory cannot be used.
    ///
    /// # Cancel safety
    /// It only looks.
    pub async fn spare_waits(&self, lease: &str) -> Result<bool> {
        let post = self.link(lease)?.post();
        let look = async {
            let mut keeper = post.visit().await?;
            keeper.write_all(format!("{HEAD} look\n").as_bytes()).await?;
            let mut said = String::new();
            keeper.take(QUESTION_BYTES_MAX).read_to_string(&mut said).await?;
            Ok::<_, io::Error>(said)
        };
        let said = tokio::time::timeout(QUESTION_TIME_MAX, look).await;
        let waits = format!("{HEAD} waits ");
        Ok(matches!(said, Ok(Ok(said)) if said.starts_with(&waits)))
    }

    /// Ends the process that keeps a session waiting for this lease, if there is one. It takes two seconds at the most.
    ///
    /// # Errors
    /// When the runtime directory cannot be used.
    ///
    /// # Cancel safety
    /// Calling it again completes the work.
    pub async fn end_spare(&self, lease: &str) -> Result<()> {
        self.link(lease)?.post().clear().await;
        Ok(())
    }
}

struct Keeper<'a> {
    link: &'a Link,
    program: Vec<u8>,
    kind: String,
    until: Instant,
}

impl<'a> Keeper<'a> {
    fn new(link: &'a Link) -> Self {
        let program = program(link.settings.log_bytes_max);
        let kind = kind(&program);
        Self { link, program, kind, until: Instant::now() + link.settings.spare }
    }

    /// Keeps a session until there is a reason not to, which is returned.
    async fn keep(&mut self, post: &Held) -> &'static str {
        let (link, program) = (self.link, self.program.clone());
        let open = async |client: Option<UnixStream>| {
            if let Some(client) = client {
                let left = tokio::time::timeout(NEXT_AFTER, hung_up(client)).await;
                tracing::trace!(?left, "the next session is opened");
            }
            tokio::time::timeout(OPEN_TIME_MAX, Waiting::open(link.control(), &program)).await
        };
        let mut opening = Box::pin(open(None));
        let mut waiting: Option<Waiting> = None;
        loop {
            tokio::select! {
                biased;
                () = ended(waiting.as_ref()) => return "the session ended",
                opened = &mut opening, if waiting.is_none() => match opened {
                    Ok(Ok(it)) => waiting = Some(it),
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "no session could be opened");
                        return "no session could be opened";
                    }
                    Err(_elapsed) => return "no session was opened in time",
                },
                visitor = post.listener.accept() => {
                    let Ok((visitor, _)) = visitor else { return "nobody can ask any more" };
                    let mut visitor = BufReader::new(visitor);
                    let wish = self.hear(&mut visitor).await;
                    let visitor = visitor.into_inner();
                    match (wish, waiting.take()) {
                        (Wish::End, _) => return "it was told to end",
                        (Wish::Other, _) => {
                            decline(visitor).await;
                            return "the next run needs another one";
                        }
                        (Wish::Session, Some(it)) if !it.is_current(link.control()) => {
                            decline(visitor).await;
                            return "it is on another connection";
                        }
                        (Wish::Session, Some(it)) => {
                            let handed = it.hand_over(&visitor).await;
                            tracing::debug!(?handed, "the session was handed over");
                            self.until = Instant::now() + link.settings.spare;
                            opening = Box::pin(open(Some(visitor)));
                        }
                        (Wish::Look, Some(it)) => {
                            waiting = Some(it);
                            answer(visitor, &format!("waits {}", self.kind)).await;
                        }
                        (Wish::Session | Wish::Look | Wish::Nothing, kept) => {
                            waiting = kept;
                            decline(visitor).await;
                        }
                    }
                }
                () = pause(LOOK_EVERY.min(self.until - Instant::now())) => {
                    if Instant::now() >= self.until {
                        return "nobody wanted it";
                    }
                    if !link.files().directory().exists() {
                        return "the lease is gone";
                    }
                }
            }
        }
    }

    async fn hear(&self, visitor: &mut BufReader<UnixStream>) -> Wish {
        let mut line = String::new();
        let read = async { visitor.take(QUESTION_BYTES_MAX).read_line(&mut line).await };
        let read = tokio::time::timeout(QUESTION_TIME_MAX, read).await;
        tracing::trace!(?read, "somebody asked");
        let words =
            line.strip_suffix('\n').and_then(|it| it.strip_prefix(HEAD)).unwrap_or_default();
        match words.split_whitespace().collect::<Vec<_>>()[..] {
            ["want", kind] if kind == self.kind => Wish::Session,
            ["want", _] => Wish::Other,
            ["look"] => Wish::Look,
            ["end"] => Wish::End,
            _ => Wish::Nothing,
        }
    }
}

async fn ended(waiting: Option<&Waiting>) {
    match waiting {
        Some(waiting) => waiting.ended().await,
        None => std::future::pending().await,
    }
}

/// Waits until a client has hung up. It says nothing any more.
async fn hung_up(mut client: UnixStream) {
    let read = client.read(&mut [0]).await;
    tracing::trace!(?read, "a client hung up");
}

/// Says that there is nothing.
async fn decline(visitor: UnixStream) {
    answer(visitor, "none").await;
}

/// Says something to a visitor. One that has gone needs no answer.
async fn answer(mut visitor: UnixStream, words: &str) {
    let said = visitor.write_all(format!("{HEAD} {words}\n").as_bytes()).await;
    tracing::trace!(?said, words, "answered");
}
