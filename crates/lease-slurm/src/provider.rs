//! The contract, method by method. What is asked and what the answers prove is in the other files.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lease_core::journal::Disposition;
use lease_core::provider::Check;
use lease_core::retry::{Bounds, Pace};
use lease_core::{
    Candidate, Clock, Created, Descriptor, Error, ErrorKind, Found, Held, Intent, Inventory, Owned,
    Provider, Reach, ResourceId, Result, Scope, Sighting, Size, Spec, Status, Template, Timestamp,
};
use serde::Deserialize as _;

use crate::config::{Contain, SlurmConfig};
use crate::descriptor::{DESCRIPTOR, KIND};
use crate::desk::{self, Desk, part};
use crate::endpoint::Endpoint;
use crate::error::SlurmError;
use crate::identity::{Home, Identity};
use crate::pulse::{Pulse, pulse};
use crate::queue::{self, Standing};
use crate::sighting::{Judgement, Seen, listing};
use crate::submission::{self, Wall};
use crate::wish::Wish;
use crate::{checks, partition};

const PLAN: &str = "plan a job";
const CREATE: &str = "submit a job";
const FIND: &str = "find a job";
const INSPECT: &str = "look at a job";
const LIST: &str = "list jobs";
const DESTROY: &str = "cancel a job";
const RENEW: &str = "move a job's deadline";

/// The box itself.
const JOB: &str = include_str!("scripts/job.sh");

/// Allocations of a Slurm cluster.
#[derive(Debug)]
pub struct SlurmProvider {
    config: SlurmConfig,
    descriptor: Descriptor,
    desk: Desk,
    clock: Arc<dyn Clock>,
}

/// Whether a look first withdraws the intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Only,
    Withdraw,
}

impl SlurmProvider {
    /// Makes the provider. Nothing is asked yet.
    ///
    /// # Errors
    /// When a configured value cannot be used.
    pub fn new(config: SlurmConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        config.check().map_err(|error| error.harmless("open the slurm provider"))?;
        let descriptor =
            Descriptor { settle: config.settle, landing: config.landing, ..DESCRIPTOR };
        Ok(Self { desk: Desk::new(&config), descriptor, config, clock })
    }

    fn home(&self) -> Home {
        Home::of(&self.config.shared_dir)
    }

    async fn look(&self, identity: &Identity, look: Look) -> Result<Seen, SlurmError> {
        let mode = match look {
            Look::Only => "look",
            Look::Withdraw => "withdraw",
        };
        let words = [&identity.directory(), identity.name.as_str(), mode];
        let report = self.desk.run(desk::LOOK, &words).await?;
        let seen = Seen::read(&report, self.home(), identity)?;
        // Where the directory is listed, the intent must be gone by now.
        if look == Look::Withdraw && seen.paper.as_ref().is_some_and(|it| it.is_wanted) {
            let why = report.part("withdraw").map_or_else(|why| why, |it| it.said().clone());
            return Err(SlurmError::Shared {
                doing: "withdrawing",
                path: identity.directory(),
                why,
            });
        }
        Ok(seen)
    }

    async fn knock(&self, identity: &Identity, endpoint: &Endpoint) -> Result<Pulse, SlurmError> {
        let host = endpoint.known_as(&self.config);
        let words = [&identity.directory(), host, &endpoint.port.to_string(), &endpoint.user];
        let report = self.desk.run(desk::PULSE, &words).await?;
        Ok(pulse(part(&report, "ssh", "ssh")?))
    }

    async fn sight(&self, identity: &Identity) -> Result<Sighting, SlurmError> {
        let seen = self.look(identity, Look::Only).await?;
        let judgement = match seen.judge(&self.config, None) {
            Judgement::Knock(endpoint) => {
                let pulse = self.knock(identity, &endpoint).await?;
                seen.judge(&self.config, Some(&pulse))
            }
            judged @ (Judgement::Absent | Judgement::There(..) | Judgement::Unclear(_)) => judged,
        };
        Ok(match judgement {
            Judgement::Absent => Sighting::Absent,
            Judgement::There(status, reach) => {
                Sighting::Found(Box::new(found(identity, status, reach)?))
            }
            Judgement::Unclear(why) => {
                Sighting::Unclear(SlurmError::unclear("Slurm", why).harmless(INSPECT))
            }
            Judgement::Knock(_) => {
                let why = "a knock led to another one";
                Sighting::Unclear(SlurmError::unclear("Slurm", why).harmless(INSPECT))
            }
        })
    }

    /// What the job's script reads about this lease.
    fn settings(&self, directory: &str, wall: Wall) -> String {
        let config = &self.config;
        let root = match &config.work_root {
            Some(root) => format!(
                "{}/{}",
                root.trim_end_matches('/'),
                directory.rsplit('/').next().unwrap_or_default()
            ),
            None => format!("{directory}/work"),
        };
        let contain = match config.contain {
            Contain::Auto => "auto",
            Contain::Namespace => "namespace",
            Contain::Scan => "scan",
        };
        let mut lines = vec![
            format!("root={root}"),
            format!("contain={contain}"),
            format!("watch_seconds={}", config.watch.as_secs()),
            format!("life_seconds={}", wall.minutes * 60),
            format!("port_low={}", config.port_low),
            format!("port_high={}", config.port_high),
        ];
        for (name, value) in
            [("sshd", &config.sshd), ("listen", &config.listen), ("path", &config.session_path)]
        {
            lines.extend(value.as_ref().map(|it| format!("{name}={it}")));
        }
        lines.extend(config.wrapper.iter().map(|it| format!("wrapper={it}")));
        lines.join("\n")
    }

    /// When a job ends by itself, in seconds since the Unix epoch, as the file `deadline` says it.
    fn deadline_text(&self, ends_at: Option<Timestamp>) -> String {
        let end = ends_at.map(|it| it.after(self.config.margin).as_millis() / 1000);
        end.map_or_else(|| "none".to_owned(), |it| it.to_string())
    }

    async fn submit(&self, intent: &Intent, wish: &Wish) -> Result<(), SlurmError> {
        let identity = Identity::new(intent.name(), intent.marks());
        let directory =
            format!("{}/{}", self.config.shared_dir.trim_end_matches('/'), identity.directory());
        let left = intent.expires_at().map(|it| it.since(self.clock.now()));
        let wall = Wall::of(&self.config, wish, left);
        let mut options = submission::options(&self.config, wish, wall);
        options.extend(submission::identification(&identity, self.home(), &directory));
        let (id, settings) = (identity.directory(), self.settings(&directory, wall));
        let deadline = self.deadline_text(intent.expires_at());
        let mut words =
            vec![&id, intent.key().as_str(), intent.public_key().trim(), &settings, &deadline, JOB];
        words.extend(options.iter().map(String::as_str));
        let report = self.desk.run(desk::SUBMIT, &words).await?;
        if report.says("taken") {
            return Err(SlurmError::Taken(directory));
        }
        if !report.says("prepared") {
            let said = ["log", "directory", "make"].iter().filter_map(|it| report.part(it).ok());
            let why = said.map(crate::report::Part::said).next().unwrap_or_default();
            return Err(SlurmError::Shared { doing: "making", path: directory, why });
        }
        submission::outcome(part(&report, "sbatch", "sbatch")?).map(drop)
    }

    /// Removes the directory of a job that is not there any more.
    async fn remove(&self, identity: &Identity) -> Result<(), SlurmError> {
        let report = self.desk.run(desk::REMOVE, &[&identity.directory()]).await?;
        let removed = part(&report, "remove", "rm")?;
        if removed.code == 0 {
            return Ok(());
        }
        Err(SlurmError::Shared {
            doing: "removing",
            path: identity.directory(),
            why: removed.said(),
        })
    }

    /// Cancels by number what still has the job's name and user; the numbers are those that carry our marks now.
    async fn cancel(&self, identity: &Identity, seen: &Seen) -> Result<(), SlurmError> {
        let live = seen.live.iter().filter(|it| it.standing() != Standing::Ending);
        let numbers: Vec<String> = live.map(|it| it.number.to_string()).collect();
        if numbers.is_empty() {
            return Ok(());
        }
        let mut words = vec![identity.name.as_str()];
        words.extend(numbers.iter().map(String::as_str));
        let report = self.desk.run(desk::CANCEL, &words).await?;
        let cancelled = part(&report, "scancel", "scancel")?;
        // One that ended in the meantime is no failure; whether all are gone, the next look says.
        if cancelled.code == 0 || cancelled.stderr.contains("Invalid job id specified") {
            return Ok(());
        }
        Err(SlurmError::unclear("scancel", cancelled.said()))
    }

    async fn end(&self, identity: &Identity) -> Result<(), SlurmError> {
        let mut seen = self.look(identity, Look::Withdraw).await?;
        self.cancel(identity, &seen).await?;
        // The directory outlives its job by moments, and nobody else would remove it.
        let mut pace = Pace::start(
            Bounds::within(self.config.removal_wait)
                .paused(Duration::from_millis(50), Duration::from_secs(1)),
        );
        while !seen.live.is_empty() {
            if !pace.wait(None).await {
                return Ok(());
            }
            seen = self.look(identity, Look::Only).await?;
        }
        if seen.paper.is_none() {
            return Ok(());
        }
        loop {
            let pulse = match seen.judge(&self.config, None) {
                Judgement::Knock(endpoint) => self.knock(identity, &endpoint).await?,
                // Where nothing was published, nobody can answer.
                Judgement::Absent | Judgement::There(..) | Judgement::Unclear(_) => Pulse::Dead,
            };
            match seen.judge(&self.config, Some(&pulse)) {
                Judgement::Unclear(why) => return Err(SlurmError::unclear("Slurm", why)),
                Judgement::There(Status::Failed { why }, _) if pulse == Pulse::Alive => {
                    // Its guard ends it, since the intent is gone; that takes as long as it sleeps between two looks.
                    if !pace.wait(None).await {
                        return Err(SlurmError::Survivor(why));
                    }
                }
                Judgement::Absent | Judgement::There(..) | Judgement::Knock(_) => {
                    return self.remove(identity).await;
                }
            }
        }
    }
}

#[async_trait]
impl Provider for SlurmProvider {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn scope(&self) -> Result<Scope> {
        let ask = async {
            let report = self.desk.run(desk::SCOPE, &[]).await?;
            let config = part(&report, "config", "scontrol")?;
            let get = |name: &str| checks::setting(config, name).map(str::to_owned);
            let (cluster, host) = match (get("ClusterName"), get("SlurmctldHost[0]")) {
                (Some(cluster), Some(host)) if config.code == 0 => (cluster, host),
                _ => return Err(SlurmError::unclear("scontrol", config.said())),
            };
            let missing = || SlurmError::unclear("id", "it does not say who we are");
            let uid = report.fact("uid").filter(|it| !it.is_empty()).ok_or_else(missing)?;
            let user = report.fact("user").filter(|it| !it.is_empty()).ok_or_else(missing)?;
            Ok(Scope {
                provider: DESCRIPTOR.name.to_owned(),
                // The directory is a part of it: whoever looks in another one does not see what is in this one.
                endpoint: format!(
                    "{cluster}@{host}:{}",
                    self.config.shared_dir.trim_end_matches('/')
                ),
                account: format!("{user} (uid {uid})"),
            })
        };
        ask.await.map_err(|error: SlurmError| error.harmless("identify the cluster"))
    }

    async fn plan(&self, spec: &Spec) -> Result<Vec<Candidate>> {
        let wish = Wish::read(spec, &self.config)?;
        let harmless = |error: SlurmError| error.harmless(PLAN);
        let report = self.desk.run(desk::PARTITIONS, &[]).await.map_err(harmless)?;
        let answer = part(&report, "sinfo", "sinfo").map_err(harmless)?;
        let partitions = partition::partitions(answer).map_err(harmless)?;
        for name in wish.partition.iter().flat_map(|it| it.split(',')) {
            if !partitions.iter().any(|it| it.name == name) {
                let names: Vec<_> = partitions.iter().map(|it| it.name.as_str()).collect();
                let why = format!("there is no partition {name:?}; there is {}", names.join(", "));
                return Err(harmless(SlurmError::Request(why)));
            }
        }
        let label = wish
            .partition
            .as_ref()
            .map_or("the default partition".to_owned(), |it| format!("partition {it}"));
        let request = serde_json::to_value(&wish)
            .map_err(|error| Error::harmless(ErrorKind::Internal, PLAN, error.to_string()))?;
        let job =
            Template { kind: KIND.to_owned(), disposition: Disposition::Own, id: None, request };
        Ok(vec![Candidate { label, resources: vec![job] }])
    }

    async fn create(&self, intent: &Intent) -> Result<Created> {
        let harmless = |error: SlurmError| error.harmless(CREATE);
        if intent.kind() != KIND {
            let why = format!("there are no resources of the kind {:?}", intent.kind());
            return Err(harmless(SlurmError::Request(why)));
        }
        let wish = Wish::deserialize(intent.request()).map_err(|error| {
            harmless(SlurmError::Request(format!("the request is not one of ours: {error}")))
        })?;
        if intent.public_key().contains('\n')
            || ssh_key::PublicKey::from_openssh(intent.public_key().trim()).is_err()
        {
            return Err(harmless(SlurmError::Request(
                "the public key of the lease does not parse".to_owned(),
            )));
        }
        let identity = Identity::new(intent.name(), intent.marks());
        let id = identity.id()?;
        match self.submit(intent, &wish).await {
            Ok(()) => Ok(Created { id, shown: None }),
            // No job was made; without its directory, nothing is left of the attempt.
            Err(error @ (SlurmError::Refused { .. } | SlurmError::Shared { .. })) => {
                let removed = self.remove(&identity).await.is_ok();
                Err(if removed { error.harmless(CREATE) } else { error.unsettled(CREATE) })
            }
            Err(SlurmError::Program(error)) if !error.may_have_run() => {
                Err(harmless(SlurmError::Program(error)))
            }
            Err(error) => Err(error.unsettled(CREATE)),
        }
    }

    async fn find(&self, intent: &Intent) -> Result<Sighting> {
        let identity = Identity::new(intent.name(), intent.marks());
        let seen = self.sight(&identity).await;
        Ok(seen.unwrap_or_else(|error| Sighting::Unclear(error.harmless(FIND))))
    }

    async fn inspect(&self, id: &ResourceId) -> Result<Sighting> {
        let Some(identity) = Identity::parse(id.as_str()) else { return Ok(Sighting::Absent) };
        let seen = self.sight(&identity).await;
        Ok(seen.unwrap_or_else(|error| Sighting::Unclear(error.harmless(INSPECT))))
    }

    async fn list(&self) -> Result<Inventory> {
        let scope = self.scope().await?;
        let look = async {
            let report = self.desk.run(desk::LIST, &[]).await?;
            let rows = queue::rows(part(&report, "squeue", "squeue")?)?;
            let mut items: Vec<Found> = Vec::new();
            for row in rows.iter().filter(|it| it.standing() != Standing::Final) {
                let Some(identity) = row.identity(self.home()) else { continue };
                let status = match row.standing() {
                    Standing::Running => Status::Running,
                    Standing::Ending => Status::Stopping,
                    Standing::Waiting | Standing::Halted | Standing::Final => Status::Starting {
                        waiting_for: Some(format!("{} ({})", row.state, row.reason)),
                    },
                };
                let item = found(&identity, status, None)?;
                if !items.iter().any(|it| it.id == item.id) {
                    items.push(item);
                }
            }
            for identity in listing(&report)?.into_iter().filter_map(Identity::parse) {
                let why = "Slurm shows no job of this directory".to_owned();
                let item = found(&identity, Status::Failed { why }, None)?;
                if !items.iter().any(|it| it.id == item.id) {
                    items.push(item);
                }
            }
            Ok(items)
        };
        let items = look.await.map_err(|error: SlurmError| error.harmless(LIST))?;
        Ok(Inventory { scope, items })
    }

    async fn destroy(&self, owned: &Owned) -> Result<()> {
        let identity = Identity::new(owned.name(), owned.marks());
        self.end(&identity).await.map_err(|error| error.unsettled(DESTROY))
    }

    async fn renew(&self, held: &Held, ends_at: Option<Timestamp>) -> Result<()> {
        let id = held.id().as_str();
        let is_it = Identity::parse(id).is_some_and(|it| it.marks == *held.marks());
        let foreign = || {
            Error::harmless(
                ErrorKind::Conflict,
                RENEW,
                "the job is not wanted any more, or not ours",
            )
        };
        if !is_it {
            return Err(foreign());
        }
        let words = [id, held.marks().nonce.as_str(), &self.deadline_text(ends_at)];
        let unsettled = |error: SlurmError| error.unsettled(RENEW);
        let report = self.desk.run(desk::RENEW, &words).await.map_err(unsettled)?;
        if !report.says("wanted") {
            return Err(foreign());
        }
        let renewed = part(&report, "renew", "mv").map_err(unsettled)?;
        if renewed.code == 0 {
            return Ok(());
        }
        let path = id.to_owned();
        Err(unsettled(SlurmError::Shared { doing: "writing", path, why: renewed.said() }))
    }

    async fn sizes(&self) -> Result<Vec<Size>> {
        let ask = async {
            let report = self.desk.run(desk::PARTITIONS, &[]).await?;
            let partitions = partition::partitions(part(&report, "sinfo", "sinfo")?)?;
            Ok(partitions.iter().map(partition::Partition::size).collect())
        };
        ask.await.map_err(|error: SlurmError| error.harmless("list partitions"))
    }

    async fn doctor(&self) -> Result<Vec<Check>> {
        Ok(checks::all(&self.config, &self.desk, self.clock.as_ref()).await)
    }
}

fn found(identity: &Identity, status: Status, reach: Option<Reach>) -> Result<Found, SlurmError> {
    let id = identity.id().map_err(|error| SlurmError::Request(error.to_string()))?;
    Ok(Found {
        id,
        kind: KIND.to_owned(),
        name: Some(identity.name.clone()),
        marks: Some(identity.marks.clone()),
        status,
        reach,
        created_at: None,
    })
}
