//! A small provider for the examples: workbenches that exist only in this process, on which commands really run.
//!
//! The provider is whole: marks, idempotent creates, complete listings. A box of it is no machine, so the transport logs
//! in nowhere and runs commands here, with nothing around them. A real one is `lease-local` with `lease-ssh`.

use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use lease_core::descriptor::{EndsAbandoned, HostKeyTrust, Ownership, Replay};
use lease_core::host::{Command, Output};
use lease_core::journal::Disposition;
use lease_core::provider::{Check, Verdict, refuse_unknown_options};
use lease_core::{
    Candidate, Clock, Created, Descriptor, Effect, Error, ErrorKind, Found, Held, Host, HostKey,
    Intent, Inventory, LeaseId, Owned, Probe, Provider, Reach, Recognition, ResourceId, Result,
    Scope, Sighting, Size, Spec, Status, Steady, Template, Timestamp, Transport,
};
use tokio::io::AsyncWriteExt as _;

/// What the provider promises. A second one of its kind takes another name and keeps the rest.
pub(crate) const WORKSHOP: Descriptor = Descriptor {
    name: "workshop",
    aliases: &[],
    summary: "benches in a workshop that exists only in this process",
    ends_abandoned: EndsAbandoned::Box,
    ownership: Ownership::Marks,
    host_key: HostKeyTrust::Pinned,
    replay: Replay::UniqueName,
    settle: Duration::ZERO,
    landing: Duration::ZERO,
    shows_deadline: false,
    sandbox: false,
    resources: &["bench"],
    caveat: "it is an example",
};

/// The benches that can be asked for, best first.
const BENCHES: [&str; 3] = ["by the window", "by the door", "in the cellar"];

/// How many of the best benches somebody else has.
const TAKEN: &str = "taken";
/// How often one has to look until the bench is set up.
const LOOKS: &str = "looks";

/// A bench that is taken.
#[derive(Debug)]
struct Bench {
    found: Found,
    looks_left: u64,
}

/// The workshop: every bench that is taken.
#[derive(Debug)]
pub(crate) struct Workshop {
    descriptor: Descriptor,
    benches: Mutex<Vec<Bench>>,
}

impl Workshop {
    /// An empty workshop.
    pub(crate) fn new(descriptor: Descriptor) -> Self {
        Self { descriptor, benches: Mutex::default() }
    }

    fn benches(&self) -> MutexGuard<'_, Vec<Bench>> {
        self.benches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sighting(&self, wanted: impl Fn(&Found) -> bool) -> Sighting {
        let mut benches = self.benches();
        let Some(bench) = benches.iter_mut().find(|it| wanted(&it.found)) else {
            return Sighting::Absent;
        };
        let mut found = bench.found.clone();
        if bench.looks_left > 0 {
            bench.looks_left -= 1;
            let waiting_for = Some("the glue to dry".to_owned());
            (found.status, found.reach) = (Status::Starting { waiting_for }, None);
        }
        Sighting::Found(Box::new(found))
    }
}

#[async_trait]
impl Provider for Workshop {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn scope(&self) -> Result<Scope> {
        let (endpoint, account) = ("memory:".to_owned(), "visitor".to_owned());
        Ok(Scope { provider: self.descriptor.name.to_owned(), endpoint, account })
    }

    async fn plan(&self, spec: &Spec) -> Result<Vec<Candidate>> {
        refuse_unknown_options(spec, &[TAKEN, LOOKS])?;
        let number = |name: &str| spec.options.get(name).and_then(serde_json::Value::as_u64);
        let taken = number(TAKEN).unwrap_or(0);
        let candidates = BENCHES.iter().zip(0..).map(|(place, rank)| {
            // The engine records this request before it sends it, and shows it again to whoever settles it.
            let request = serde_json::json!({
                "place": place,
                "is_taken": rank < taken,
                "looks": number(LOOKS).unwrap_or(0),
            });
            let bench = Template {
                kind: "bench".to_owned(),
                disposition: Disposition::Own,
                id: None,
                request,
            };
            Candidate { label: format!("the bench {place}"), resources: vec![bench] }
        });
        Ok(candidates.collect())
    }

    async fn create(&self, intent: &Intent) -> Result<Created> {
        const DOING: &str = "take a bench";
        if intent.request()["is_taken"] == true {
            // Nothing was changed, which the engine has to know before it tries the next candidate.
            let place = intent.request()["place"].as_str().unwrap_or("there");
            let message = format!("somebody sits {place}");
            return Err(Error::harmless(ErrorKind::Capacity, DOING, message));
        }
        let id: ResourceId = intent.name().as_str().parse()?;
        let mut benches = self.benches();
        if let Some(there) = benches.iter().find(|it| it.found.id == id) {
            // The same intent makes nothing new; what only looks like ours is left alone.
            return if there.found.marks.as_ref() == Some(intent.marks()) {
                Ok(Created { id, shown: None })
            } else {
                Err(Error::harmless(ErrorKind::Conflict, DOING, "somebody else has that name"))
            };
        }
        let host_key = HostKey::Pinned("ssh-ed25519 AAAA".to_owned());
        let found = Found {
            id: id.clone(),
            kind: intent.kind().to_owned(),
            name: Some(intent.name().clone()),
            marks: Some(intent.marks().clone()),
            status: Status::Running,
            reach: Some(Reach::new(id.as_str(), "visitor", host_key, "/")),
            created_at: None,
        };
        let looks_left = intent.request()["looks"].as_u64().unwrap_or(0);
        benches.push(Bench { found, looks_left });
        Ok(Created { id, shown: None })
    }

    async fn find(&self, intent: &Intent) -> Result<Sighting> {
        Ok(self.sighting(|it| it.marks.as_ref() == Some(intent.marks())))
    }

    async fn inspect(&self, id: &ResourceId) -> Result<Sighting> {
        Ok(self.sighting(|it| it.id == *id))
    }

    async fn list(&self) -> Result<Inventory> {
        let items = self.benches().iter().map(|it| it.found.clone()).collect();
        Ok(Inventory { scope: self.scope().await?, items })
    }

    async fn destroy(&self, owned: &Owned) -> Result<()> {
        self.benches().retain(|it| it.found.id != *owned.id());
        Ok(())
    }

    async fn renew(&self, _held: &Held, _ends_at: Option<Timestamp>) -> Result<()> {
        Ok(())
    }

    async fn sizes(&self) -> Result<Vec<Size>> {
        Ok(Vec::new())
    }

    async fn doctor(&self) -> Result<Vec<Check>> {
        Ok(vec![Check::new("door", Verdict::Ok, "the workshop is open")])
    }
}

/// A transport for boxes that are here already: it needs no key and logs in nowhere.
#[derive(Debug)]
pub(crate) struct Here;

#[async_trait]
impl Transport for Here {
    async fn prepare(&self, lease: &LeaseId) -> Result<String> {
        Ok(format!("ssh-ed25519 AAAA {lease}"))
    }

    async fn probe(&self, _lease: &LeaseId, _reach: &Reach) -> Result<Probe> {
        Ok(Probe::Ready { host_key: "ssh-ed25519 AAAA".to_owned() })
    }

    async fn recognise(&self, _lease: &LeaseId, _reach: &Reach) -> Result<Recognition> {
        Ok(Recognition::Unclear { why: "a bench has no lock".to_owned() })
    }

    async fn connect(&self, _lease: &LeaseId, _reach: &Reach) -> Result<Box<dyn Host>> {
        Ok(Box::new(Self))
    }

    async fn forget(&self, _lease: &LeaseId) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Host for Here {
    async fn output(&self, command: &Command) -> Result<Output> {
        const DOING: &str = "run a command";
        let [program, arguments @ ..] = command.argv.as_slice() else {
            return Err(Error::harmless(ErrorKind::Invalid, DOING, "the command has no words"));
        };
        // Before it is started nothing happened; from then on nobody knows what it did.
        let failed = |effect| {
            move |error: std::io::Error| {
                Error::new(ErrorKind::Unavailable, effect, DOING, error.to_string())
            }
        };
        #[expect(clippy::disallowed_methods, reason = "a box of the example is this machine")]
        let mut child = tokio::process::Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed(Effect::None))?;
        let mut input = child.stdin.take();
        let feed = async {
            if let Some(pipe) = input.as_mut() {
                // A command need not read what it is given.
                drop(pipe.write_all(&command.stdin).await);
            }
            drop(input);
        };
        let ((), output) = tokio::join!(feed, child.wait_with_output());
        let output = output.map_err(failed(Effect::Unknown))?;
        Ok(Output::new(output.status.code().unwrap_or(-1), output.stdout, output.stderr))
    }
}

/// The clock of this machine.
#[derive(Debug)]
pub(crate) struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "an embedder is the one who reads the clock")]
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }

    fn steady(&self) -> Option<Steady> {
        None
    }
}
