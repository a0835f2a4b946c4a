//! What a claim says after which events, and which events it does not take.

use super::*;
use crate::entropy::OsEntropy;
use crate::host::HostKey;
use crate::id::{Nonce, ResourceId};
use crate::journal::{Absence, Disposition, FORMAT, Intended};
use crate::store::tests::opened;

/// A claim and the time of its next event, in seconds; each event is one second after the one before.
pub(crate) struct Story {
    pub(crate) claim: Claim,
    next: u64,
}

pub(crate) fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(second * 1000)
}

fn record(second: u64, event: Event) -> Record {
    let seq = Sequence::FIRST.plus(usize::try_from(second - 1).unwrap());
    Record { v: FORMAT, seq, at: at(second), event }
}

fn owner(pid: u32) -> Owner {
    let (host, boot) = ("here".to_owned(), "b".to_owned());
    Owner { host, boot, pid, start: 7, pid_namespace: String::new() }
}

fn reach() -> Reach {
    Reach::new("203.0.113.7", "root", HostKey::FirstUse, "/box")
}

pub(crate) fn change(change: Change) -> Event {
    Event::Resource { index: 0, change }
}

pub(crate) fn id(text: &str) -> ResourceId {
    text.parse().unwrap()
}

fn releasing() -> Event {
    Event::Releasing { why: "a test".to_owned(), ends_keep: false }
}

fn touched() -> Event {
    Event::Touched(Deadlines { idle_ms: Some(9_000), expires_at: None })
}

impl Story {
    pub(crate) fn opened(retention: Retention) -> Self {
        let deadlines = Deadlines { idle_ms: Some(5_000), expires_at: Some(at(90)) };
        let opened = Opened {
            owner: Some(owner(42)),
            retention,
            deadlines,
            purpose: "/home/me/tree".to_owned(),
            ..opened("calm-otter")
        };
        let claim = Claim::fold([record(1, Event::Opened(Box::new(opened)))]).unwrap();
        Self { claim, next: 2 }
    }

    /// The same, with one resource that is about to be created.
    pub(crate) fn intended(retention: Retention) -> Self {
        let mut story = Self::opened(retention);
        let intended = story.intention();
        story.tell(intended);
        story
    }

    fn intention(&self) -> Event {
        Event::Intended(vec![Intended {
            candidate: 0,
            kind: "machine".to_owned(),
            disposition: Disposition::Own,
            name: self.claim.lease().resource_name(0),
            nonce: Nonce::draw(&OsEntropy).unwrap(),
            request: serde_json::Value::Null,
            public_key: String::new(),
            id: None,
        }])
    }

    #[track_caller]
    pub(crate) fn tell(&mut self, event: Event) {
        self.claim.apply(record(self.next, event)).unwrap();
        self.next += 1;
    }

    /// Why the claim does not take the event; it is as before then.
    #[track_caller]
    fn refuses(&mut self, event: Event) -> ErrorKind {
        self.claim.apply(record(self.next, event)).unwrap_err().kind()
    }
}

#[test]
fn a_claim_says_what_it_was_opened_with() {
    let claim = Story::opened(Retention::WithOwner).claim;
    assert_eq!((claim.provider(), claim.purpose()), ("p", "/home/me/tree"));
    assert_eq!((claim.spec(), claim.owner()), (&Spec::new("p"), Some(&owner(42))));
    assert_eq!(claim.deadlines().expires_at, Some(at(90)));
    assert_eq!((claim.created_at(), claim.updated_at(), claim.last_used()), (at(1), at(1), at(1)));
    assert_eq!((claim.retention(), claim.keep_reason()), (Retention::WithOwner, None));
    assert_eq!(claim.phase(), Phase::Acquiring);
    let kept = Story::opened(Retention::Keep).claim;
    assert_eq!(
        (kept.phase(), kept.keep_reason()),
        (Phase::Kept, Some("asked for when it was opened"))
    );
}

#[test]
fn times_and_deadlines_move_with_what_uses_the_lease() {
    let mut story = Story::intended(Retention::UntilDeadline);
    assert_eq!((story.claim.updated_at(), story.claim.last_used()), (at(2), at(1)));
    assert_eq!(story.claim.ends_at(), Some(at(6)));
    story.tell(Event::Ready(reach()));
    assert_eq!((story.claim.updated_at(), story.claim.last_used()), (at(3), at(3)));
    story.tell(touched());
    assert_eq!((story.claim.last_used(), story.claim.ends_at()), (at(4), Some(at(13))));
    story.tell(Event::OwnerChanged { owner: None, retention: Retention::WithOwner });
    assert_eq!((story.claim.owner(), story.claim.retention()), (None, Retention::WithOwner));
    assert_eq!((story.claim.created_at(), story.claim.updated_at()), (at(1), at(5)));
    assert_eq!(story.claim.last_used(), at(4), "who watches over it is no use of it");
}

#[test]
fn i6_a_release_is_never_undone_and_nothing_new_is_made_for_it() {
    let mut story = Story::intended(Retention::UntilDeadline);
    story.tell(Event::Ready(reach()));
    assert!(story.claim.usable().is_some());
    story.tell(releasing());
    assert!(story.claim.usable().is_none());
    assert_eq!(story.claim.phase(), Phase::Releasing);
    let intention = story.intention();
    let handed_over = Event::OwnerChanged { owner: None, retention: Retention::UntilDeadline };
    let sent = change(Change::Sent { steady: None });
    for event in [intention, Event::Ready(reach()), touched(), handed_over, sent] {
        assert_eq!(story.refuses(event.clone()), ErrorKind::Conflict, "{event:?}");
    }
    let message = String::new();
    story.tell(Event::Delayed { kind: ErrorKind::Timeout, message, retry_at: at(60) });
    assert_eq!(story.claim.phase(), Phase::Releasing);
    let message = "no right to".to_owned();
    story.tell(Event::Delayed { kind: ErrorKind::Denied, message, retry_at: at(70) });
    assert_eq!(story.claim.phase(), Phase::NeedsAttention);
    let obstacle = story.claim.obstacle().unwrap();
    assert_eq!((obstacle.kind, obstacle.retry_at), (ErrorKind::Denied, at(70)));
    assert_eq!(story.claim.releasing().unwrap().attempts, 2);
    story.tell(change(Change::NeverSent));
    assert_eq!(story.claim.phase(), Phase::Released);
    assert_eq!(story.refuses(Event::Kept { why: String::new() }), ErrorKind::Conflict);
}

#[test]
fn i7_nothing_of_a_kept_lease_is_destroyed_and_nobody_else_is_given_it() {
    let told = |retention| {
        let mut story = Story::intended(retention);
        story.tell(change(Change::Sent { steady: None }));
        story.tell(change(Change::Created { id: id("m-1") }));
        story
    };
    let handed_over = || Event::OwnerChanged { owner: None, retention: Retention::WithOwner };
    let mut kept = told(Retention::Keep);
    assert_eq!(kept.refuses(change(Change::DestroySent)), ErrorKind::Refused);
    assert_eq!(kept.refuses(handed_over()), ErrorKind::Refused);
    kept.tell(touched());
    let mut other = told(Retention::UntilDeadline);
    other.tell(handed_over());
    other.tell(change(Change::DestroySent));
    let absence = Absence { listed: 0, absent_for_ms: 0 };
    other.tell(change(Change::ProvenAbsent(absence)));
    assert!(other.claim.all_gone());
}

#[test]
fn an_id_stays_proven_only_while_it_is_the_same() {
    let told = |found: &str| {
        let mut story = Story::intended(Retention::UntilDeadline);
        story.tell(change(Change::Sent { steady: None }));
        story.tell(change(Change::Lost { message: "reset".to_owned() }));
        story.tell(change(Change::Recognised { id: id("m-1") }));
        let resource = &story.claim.resources()[0];
        assert!(resource.is_identified());
        assert_eq!(resource.note(), Some("reset"));
        story.tell(change(Change::Found { id: id(found) }));
        let resource = &story.claim.resources()[0];
        assert_eq!(resource.id(), Some(&id(found)));
        resource.is_identified()
    };
    assert!(told("m-1"));
    assert!(!told("m-2"), "nothing but the search says so");

    let mut story = Story::intended(Retention::UntilDeadline);
    story.tell(change(Change::Sent { steady: None }));
    story.tell(change(Change::Lost { message: String::new() }));
    story.tell(change(Change::Found { id: id("m-1") }));
    assert!(!story.claim.resources()[0].is_identified());
}
