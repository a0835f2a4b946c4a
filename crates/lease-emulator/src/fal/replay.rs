//! The cache behind `Idempotency-Key`: what a repeated create is told.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use super::policy::{Cached, Concurrent, Idempotency, Mismatch, WindowFrom};
use super::refusal::Refusal;
use crate::exchange::Response;

/// Whose key it is, and the key.
pub(super) type CacheKey = (String, String);

#[derive(Debug, Default)]
pub(super) struct Replays {
    entries: BTreeMap<CacheKey, Entry>,
    tickets: u64,
}

#[derive(Debug)]
struct Entry {
    /// By which the request that made the entry finds it again, and no other one's.
    ticket: u64,
    body: Bytes,
    since: Duration,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    /// The sender goes when the request has been served, or was given up by the one who served it.
    InFlight(watch::Receiver<()>),
    Answered(Box<Response>, Option<String>),
}

/// What a create with a key has to do.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Go on, and report with this.
    Run(Ticket),
    /// Go on as if there were no key.
    RunUnkeyed,
    /// Wait until the other request has ended, and ask again.
    Wait(watch::Receiver<()>),
    /// Answer with what was answered before, about that instance.
    Replay(Box<Response>, Option<String>),
    Refuse(Refusal),
}

/// The right to answer for an entry. Dropping it without an answer lets those who wait go on.
#[derive(Debug)]
pub(super) struct Ticket {
    key: CacheKey,
    number: u64,
    done: watch::Sender<()>,
}

impl Replays {
    pub(super) fn judge(
        &mut self,
        key: &CacheKey,
        body: &Bytes,
        now: Duration,
        policy: &Idempotency,
    ) -> Verdict {
        let Some(entry) = self.entries.get(key) else { return self.open(key, body, now) };
        let is_given_up = match &entry.outcome {
            // Whoever served it was dropped without an answer.
            Outcome::InFlight(done) => done.has_changed().is_err(),
            Outcome::Answered(..) => entry.since + policy.window <= now,
        };
        if is_given_up {
            return self.open(key, body, now);
        }
        if entry.body != *body {
            match policy.mismatch {
                Mismatch::Replay => {}
                Mismatch::Refuse(status) => return Verdict::Refuse(Refusal::KeyReused(status)),
                Mismatch::New => return self.open(key, body, now),
            }
        }
        match (&entry.outcome, policy.concurrent) {
            (Outcome::Answered(response, id), _) => Verdict::Replay(response.clone(), id.clone()),
            (Outcome::InFlight(done), Concurrent::Block) => Verdict::Wait(done.clone()),
            (Outcome::InFlight(_), Concurrent::Conflict) => Verdict::Refuse(Refusal::InFlight),
            (Outcome::InFlight(_), Concurrent::Duplicate) => Verdict::RunUnkeyed,
        }
    }

    /// Begins anew with this key.
    pub(super) fn open(&mut self, key: &CacheKey, body: &Bytes, now: Duration) -> Verdict {
        let (done, waiting) = watch::channel(());
        self.tickets += 1;
        let ticket = self.tickets;
        let outcome = Outcome::InFlight(waiting);
        let entry = Entry { ticket, body: body.clone(), since: now, outcome };
        self.entries.insert(key.clone(), entry);
        Verdict::Run(Ticket { key: key.clone(), number: ticket, done })
    }

    /// Keeps an answer, if answers like it are kept.
    pub(super) fn close(
        &mut self,
        ticket: Ticket,
        answer: (&Response, Option<&str>),
        now: Duration,
        policy: &Idempotency,
    ) {
        let Ticket { key, number, done } = ticket;
        let Some(entry) = self.entries.get_mut(&key).filter(|it| it.ticket == number) else {
            return;
        };
        let (response, id) = answer;
        let status = response.status();
        let is_kept = match policy.cached {
            Cached::Successes => status.is_success(),
            Cached::SuccessesAndServerErrors => status.is_success() || status.is_server_error(),
            Cached::Everything => true,
        };
        if is_kept {
            if policy.window_from == WindowFrom::FirstAnswer {
                entry.since = now;
            }
            let id = id.map(str::to_owned);
            entry.outcome = Outcome::Answered(Box::new(response.clone()), id);
        } else {
            self.entries.remove(&key);
        }
        // Only now may those who wait ask again.
        drop(done);
    }
}
