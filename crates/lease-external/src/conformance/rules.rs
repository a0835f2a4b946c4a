//! The rules in the order of a lease's life.

use std::sync::Arc;

use lease_core::{Entropy, Error, ErrorKind, InstallationId, LeaseId, Marks, Nonce, Result};

use super::{Finding, Outcome, Report};
use crate::adapter::{Adapter, Cleanup, Purpose, Wanted};
use crate::call::{Caller, Listener};
use crate::config::{ExternalConfig, Form};
use crate::error::ExternalError;
use crate::identity::{Carrier, Desired};
use crate::wire::{Request, WireLease, operation};
use crate::{checks, labels, login};

const DOING: &str = "check an adapter";

pub(super) async fn check(
    config: ExternalConfig,
    listener: Arc<dyn Listener>,
    entropy: &dyn Entropy,
    public_key: &str,
) -> Result<Report> {
    config.check().map_err(|error| error.harmless(DOING))?;
    let Form::Command { argv } = &config.form else {
        let message =
            "the commands of a lifecycle speak no protocol; run a lease with them instead";
        return Err(Error::harmless(ErrorKind::Unsupported, DOING, message));
    };
    let program = argv.first().map_or("", |it| it.trim());
    if checks::resolve(program, &config).is_none() {
        let message = format!("there is no program {program:?}");
        return Err(Error::harmless(ErrorKind::NotFound, DOING, message));
    }
    let caller = Caller::of(&config, listener);
    let adapter = Adapter { config, caller, carrier: Carrier::Leases };
    let (one, two) = (Trial::draw(entropy, public_key)?, Trial::draw(entropy, public_key)?);
    let mut checks = Checks { adapter: &adapter, findings: Vec::new() };
    checks.before().await;
    if let Some(lease) = checks.acquire(&one).await {
        checks.listed(&one).await;
        checks.resolve(&one, &lease).await;
        checks.touch(&one, &lease).await;
        checks.repeat(&one).await;
        checks.second(&one, &two).await;
    }
    // Whatever became of the checks, nothing of theirs stays.
    checks.release(&one).await;
    checks.clear(&two).await;
    Ok(Report { findings: checks.findings })
}

/// A lease of the checks.
struct Trial {
    marks: Marks,
    wanted: Wanted,
}

impl Trial {
    fn draw(entropy: &dyn Entropy, public_key: &str) -> Result<Self> {
        let marks = Marks {
            lease: LeaseId::draw(entropy)?,
            installation: InstallationId::draw(entropy)?,
            nonce: Nonce::draw(entropy)?,
        };
        let desired = Carrier::Leases.desired(&marks, &marks.lease.resource_name(0));
        let wanted = Wanted {
            desired,
            labels: labels::of_marks(&marks),
            public_key: public_key.to_owned(),
            expires_at: None,
        };
        Ok(Self { marks, wanted })
    }

    fn desired(&self) -> &Desired {
        &self.wanted.desired
    }

    /// What is known of it without the adapter.
    fn bare(&self) -> WireLease {
        let desired = self.desired().clone();
        WireLease {
            lease_id: Some(desired.lease_id),
            slug: Some(desired.slug),
            name: Some(desired.name),
            ..WireLease::default()
        }
    }
}

struct Checks<'a> {
    adapter: &'a Adapter,
    findings: Vec<Finding>,
}

impl Checks<'_> {
    fn note(
        &mut self,
        section: &'static str,
        rule: &'static str,
        (outcome, evidence): (Outcome, String),
    ) {
        self.findings.push(Finding { section, rule, outcome, evidence });
    }

    /// Notes a rule that is upheld when there is no error.
    fn note_result<T>(
        &mut self,
        section: &'static str,
        rule: &'static str,
        result: Result<T, ExternalError>,
    ) -> Option<T> {
        match result {
            Ok(value) => {
                self.note(section, rule, (Outcome::Upheld, String::new()));
                Some(value)
            }
            Err(error) => {
                self.note(section, rule, (Outcome::Broken, error.to_string()));
                None
            }
        }
    }

    async fn before(&mut self) {
        let deadline = self.adapter.config.call_deadline;
        let said = self.adapter.doctor().await;
        self.note_result(operation::DOCTOR, "it answers with version 1", said);
        let future = Request::new(operation::DOCTOR).with("aFieldOfTheFuture", "x");
        let said = match future {
            Ok(request) => self.adapter.ask(request, deadline).await,
            Err(error) => Err(error),
        };
        self.note_result("requests", "a field that it does not know does not disturb it", said);
        let said = self.adapter.ask(Request::new("no-such-operation"), deadline).await;
        let refused = match said {
            Ok(_) => (Outcome::Broken, "it answered without an error".to_owned()),
            Err(error) => (Outcome::Upheld, error.to_string()),
        };
        self.note("requests", "an operation that it does not know is an error", refused);
        let listed = self.adapter.list().await;
        self.note_result(operation::LIST, "it lists before there is anything", listed);
    }

    async fn acquire(&mut self, trial: &Trial) -> Option<WireLease> {
        const SECTION: &str = operation::ACQUIRE;
        let acquired = self.adapter.acquire(&trial.wanted).await;
        let lease =
            self.note_result(SECTION, "it answers with the lease that was asked for", acquired)?;
        let root = self.adapter.config.work_root.as_deref();
        match login::reach(&lease, None, root) {
            Ok(Some(reach)) => {
                self.note(
                    SECTION,
                    "its login can be handed to ssh",
                    (Outcome::Upheld, String::new()),
                );
                let host_key = match reach.host_key {
                    lease_core::HostKey::Pinned(_) => (Outcome::Upheld, String::new()),
                    lease_core::HostKey::FirstUse => {
                        let why =
                            "without `ssh.hostKey` the host's key is taken at the first contact";
                        (Outcome::Advice, why.to_owned())
                    }
                };
                self.note(SECTION, "it says the host's key", host_key);
            }
            Ok(None) => {
                let why = "the lease is not ready yet, and says no login".to_owned();
                self.note(SECTION, "its login can be handed to ssh", (Outcome::NotApplicable, why));
            }
            Err(error) => {
                let seen = (Outcome::Broken, error.to_string());
                self.note(SECTION, "its login can be handed to ssh", seen);
            }
        }
        Some(lease)
    }

    async fn listed(&mut self, trial: &Trial) {
        const SECTION: &str = operation::LIST;
        let listed = self.adapter.list().await;
        let Some(listed) = self.note_result(SECTION, "it lists what there is", listed) else {
            return;
        };
        let id = trial.desired().lease_id.as_str();
        let same: Vec<_> = listed.iter().filter(|it| it.lease_id.as_deref() == Some(id)).collect();
        let [lease] = same.as_slice() else {
            let why = format!("{id} is listed {} times", same.len());
            self.note(SECTION, "what was acquired is listed once", (Outcome::Broken, why));
            return;
        };
        self.note(SECTION, "what was acquired is listed once", (Outcome::Upheld, String::new()));
        let kept = Carrier::Leases.marks(lease).as_ref() == Some(&trial.marks);
        let outcome = if kept {
            (Outcome::Upheld, String::new())
        } else {
            let why = "neither slug and name nor our labels come back: set `identity` to `answered`, and know that a \
                       lease whose answer is lost may need a person";
            (Outcome::Advice, why.to_owned())
        };
        self.note(SECTION, "a listed lease says whose it is", outcome);
    }

    async fn resolve(&mut self, trial: &Trial, lease: &WireLease) {
        const SECTION: &str = operation::RESOLVE;
        for (rule, purpose) in [
            ("it finds a lease by its name", Purpose::Login),
            ("it finds a lease that is only to be released", Purpose::Release),
        ] {
            let resolved = self.adapter.resolve(trial.desired(), lease, purpose).await;
            self.note_result(SECTION, rule, resolved);
        }
        let request = Request::new(operation::RESOLVE).with("id", "no-such-lease-exists");
        let said = match request {
            Ok(request) => self.adapter.ask(request, self.adapter.config.call_deadline).await,
            Err(error) => Err(error),
        };
        let refused = match said {
            Ok(answer) if answer.lease.is_some() => {
                (Outcome::Broken, "it answered with a lease".to_owned())
            }
            Ok(_) => (Outcome::Upheld, "it answered without a lease".to_owned()),
            Err(error) => (Outcome::Upheld, error.to_string()),
        };
        self.note(SECTION, "it invents no lease", refused);
    }

    async fn touch(&mut self, trial: &Trial, lease: &WireLease) {
        let mut touched = lease.clone();
        let labels = touched.labels.get_or_insert_default();
        labels.insert("expires_at".to_owned(), "4102444800".to_owned());
        let said = self.adapter.touch(trial.desired(), &touched, "ready").await;
        self.note_result(operation::TOUCH, "it takes a state and labels", said);
        let same = self.adapter.list().await.map(|listed| {
            listed.iter().any(|it| it.lease_id.as_deref() == Some(&trial.desired().lease_id))
        });
        let outcome = match same {
            Ok(true) => (Outcome::Upheld, String::new()),
            Ok(false) => (Outcome::Broken, "it is listed no more".to_owned()),
            Err(error) => (Outcome::Broken, error.to_string()),
        };
        self.note(operation::TOUCH, "a touched lease is still there", outcome);
        let said = self.adapter.cleanup(Cleanup::DryRun).await;
        self.note_result(operation::CLEANUP, "a dry run is answered", said);
    }

    async fn repeat(&mut self, trial: &Trial) {
        const RULE: &str = "an acquire that is repeated makes nothing new";
        if !self.adapter.config.idempotent_lease_id {
            let why = "it does not declare fixed lease ids".to_owned();
            self.note(operation::ACQUIRE, RULE, (Outcome::NotApplicable, why));
            return;
        }
        let before = self.adapter.list().await.map(|it| it.len());
        let again = self.adapter.acquire(&trial.wanted).await;
        let after = self.adapter.list().await.map(|it| it.len());
        let outcome = match (before, again, after) {
            (Ok(before), Ok(_), Ok(after)) if before == after => (Outcome::Upheld, String::new()),
            (Ok(before), Ok(_), Ok(after)) => {
                (Outcome::Broken, format!("{before} leases before, {after} after"))
            }
            (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => {
                (Outcome::Broken, error.to_string())
            }
        };
        self.note(operation::ACQUIRE, RULE, outcome);
    }

    /// A second lease is there while the first one goes.
    async fn second(&mut self, one: &Trial, two: &Trial) {
        const RULE: &str = "releasing a lease leaves the others";
        if let Err(error) = self.adapter.acquire(&two.wanted).await {
            let why = format!("a second lease could not be had: {error}");
            self.note(operation::RELEASE, RULE, (Outcome::NotApplicable, why));
            return;
        }
        let deadline = self.adapter.config.release_deadline;
        let released = self.adapter.release(one.desired(), &one.bare(), deadline).await;
        let left = self.adapter.list().await;
        let outcome = match (released, left) {
            (Ok(()), Ok(left)) if shows(&left, two) => (Outcome::Upheld, String::new()),
            (Ok(()), Ok(_)) => (Outcome::Broken, "the other one is gone as well".to_owned()),
            (Err(error), _) | (_, Err(error)) => (Outcome::Broken, error.to_string()),
        };
        self.note(operation::RELEASE, RULE, outcome);
    }

    async fn release(&mut self, trial: &Trial) {
        const SECTION: &str = operation::RELEASE;
        let deadline = self.adapter.config.release_deadline;
        let bare = trial.bare();
        let released = self.adapter.release(trial.desired(), &bare, deadline).await;
        let rule = "it releases by lease id, slug and name alone";
        self.note_result(SECTION, rule, released);
        let gone = match self.adapter.list().await {
            Ok(listed) if shows(&listed, trial) => {
                (Outcome::Broken, "it is listed still".to_owned())
            }
            Ok(_) => (Outcome::Upheld, String::new()),
            Err(error) => (Outcome::Broken, error.to_string()),
        };
        self.note(SECTION, "what was released is listed no more", gone);
        let again = self.adapter.release(trial.desired(), &bare, deadline).await;
        self.note_result(SECTION, "releasing what is gone is success", again);
    }

    /// Gives back what a check made, and says so only if it cannot.
    async fn clear(&mut self, trial: &Trial) {
        let deadline = self.adapter.config.release_deadline;
        let released = self.adapter.release(trial.desired(), &trial.bare(), deadline).await;
        let left = self.adapter.list().await.is_ok_and(|it| shows(&it, trial));
        if released.is_err() || left {
            let why = format!("{} may still exist: release it by hand", trial.desired().lease_id);
            self.note(operation::RELEASE, "nothing of the checks stays", (Outcome::Broken, why));
        }
    }
}

fn shows(listed: &[WireLease], trial: &Trial) -> bool {
    listed.iter().any(|it| it.lease_id.as_deref() == Some(&trial.desired().lease_id))
}
