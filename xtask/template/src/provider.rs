//! The contract, method by method, over the calls of `vendor`.

use async_trait::async_trait;
use lease_core::host::{HostKey, Reach};
use lease_core::journal::Disposition;
use lease_core::provider::{Check, Verdict, refuse_unknown_options};
use lease_core::{
    Candidate, Created, Descriptor, Error, Found, Held, Intent, Inventory, Owned, Provider,
    ResourceId, Result, Scope, Sighting, Size, Spec, Status, Template, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::config::SampleConfig;
use crate::descriptor::{DESCRIPTOR, KIND};
use crate::error::SampleError;
use crate::labels;
use crate::vendor::{MODELS, Machine, Model, Order, Vendor};

const SCOPE: &str = "identify the account";
const PLAN: &str = "plan a machine";
const CREATE: &str = "create a machine";
const FIND: &str = "find a machine";
const INSPECT: &str = "look at a machine";
const LIST: &str = "list machines";
const DESTROY: &str = "delete a machine";

/// Machines of Sample.
#[derive(Debug)]
pub struct SampleProvider {
    config: SampleConfig,
    vendor: Vendor,
}

/// The part of a create that does not depend on the lease.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    model: String,
}

impl SampleProvider {
    /// Takes the configuration; nothing is sent yet.
    ///
    /// # Errors
    /// When a configured value cannot be used.
    pub fn open(config: SampleConfig) -> Result<Self> {
        config.check().map_err(|error| error.of_look("open the provider sample"))?;
        let vendor = Vendor::new(config.endpoint.clone());
        Ok(Self { config, vendor })
    }

    /// A machine in the engine's words.
    fn shown(&self, machine: Machine) -> Result<Found, Error> {
        let marks = labels::read(&machine.labels);
        let root = |lease: &str| format!("{}/{lease}", self.config.work_root);
        let root = root(marks.as_ref().map_or("foreign", |it| it.lease.as_str()));
        // VENDOR: a host key that arrives over a trusted path is pinned, which the descriptor then says.
        let reach = machine
            .address
            .map(|host| Reach::new(host, &*self.config.user, HostKey::FirstUse, root));
        let waiting_for = || Some("an address".to_owned());
        Ok(Found {
            id: machine.id.parse()?,
            kind: KIND.to_owned(),
            name: machine.name.parse().ok(),
            marks,
            status: match reach {
                Some(_) => Status::Running,
                None => Status::Starting { waiting_for: waiting_for() },
            },
            reach,
            created_at: None,
        })
    }

    /// Everything that the vendor shows, of whomever.
    async fn everything(&self, operation: &'static str) -> Result<Vec<Found>> {
        let machines = self.vendor.list().await.map_err(|error| error.of_look(operation))?;
        machines.into_iter().map(|it| self.shown(it)).collect()
    }
}

#[async_trait]
impl Provider for SampleProvider {
    fn descriptor(&self) -> &Descriptor {
        const { &DESCRIPTOR }
    }

    async fn scope(&self) -> Result<Scope> {
        let account = self.vendor.account().await.map_err(|error| error.of_look(SCOPE))?;
        Ok(Scope {
            provider: DESCRIPTOR.name.to_owned(),
            endpoint: self.config.endpoint.to_string_lossy().into_owned(),
            account,
        })
    }

    async fn plan(&self, spec: &Spec) -> Result<Vec<Candidate>> {
        refuse_unknown_options(spec, &[])?;
        let fits = wanted(spec).map_err(|error| error.of_look(PLAN))?;
        let candidate = |it: &&Model| {
            let request = Request { model: it.name.to_owned() };
            let request = serde_json::to_value(request)
                .map_err(|error| SampleError::from(error).of_look(PLAN))?;
            let (kind, disposition) = (KIND.to_owned(), Disposition::Own);
            let machine = Template { kind, disposition, id: None, request };
            Ok(Candidate { label: it.name.to_owned(), resources: vec![machine] })
        };
        fits.iter().map(candidate).collect()
    }

    async fn create(&self, intent: &Intent) -> Result<Created> {
        let refuse = |why: String| SampleError::Request(why).of_change(CREATE);
        if intent.kind() != KIND {
            return Err(refuse(format!("there are no resources of the kind {:?}", intent.kind())));
        }
        let request = Request::deserialize(intent.request())
            .map_err(|error| refuse(format!("the request is not one of ours: {error}")))?;
        let order = Order {
            name: intent.name().as_str(),
            model: &request.model,
            public_key: intent.public_key(),
            labels: labels::write(intent.marks()),
            key: intent.key().as_str(),
        };
        let made = self.vendor.create(order).await.map_err(|error| error.of_change(CREATE))?;
        let shown = self.shown(made)?;
        Ok(Created { id: shown.id.clone(), shown: Some(Box::new(shown)) })
    }

    async fn find(&self, intent: &Intent) -> Result<Sighting> {
        let found = match self.everything(FIND).await {
            Ok(found) => found,
            Err(error) => return Ok(Sighting::Unclear(error)),
        };
        let ours = found.into_iter().find(|it| it.marks.as_ref() == Some(intent.marks()));
        Ok(ours.map_or(Sighting::Absent, |it| Sighting::Found(Box::new(it))))
    }

    async fn inspect(&self, id: &ResourceId) -> Result<Sighting> {
        Ok(match self.vendor.machine(id.as_str()).await {
            Ok(Some(machine)) => Sighting::Found(Box::new(self.shown(machine)?)),
            Ok(None) => Sighting::Absent,
            Err(error) => Sighting::Unclear(error.of_look(INSPECT)),
        })
    }

    async fn list(&self) -> Result<Inventory> {
        let mut items = self.everything(LIST).await?;
        items.retain(|it| it.marks.is_some());
        Ok(Inventory { scope: self.scope().await?, items })
    }

    async fn destroy(&self, owned: &Owned) -> Result<()> {
        let id = owned.id().as_str();
        let seen = self.vendor.machine(id).await.map_err(|error| error.of_change(DESTROY))?;
        let Some(machine) = seen else { return Ok(()) };
        if labels::read(&machine.labels).as_ref() != Some(owned.marks()) {
            return Err(SampleError::Foreign(id.to_owned()).of_change(DESTROY));
        }
        self.vendor.delete(id).await.map_err(|error| error.of_change(DESTROY))
    }

    async fn renew(&self, _held: &Held, _ends_at: Option<Timestamp>) -> Result<()> {
        Ok(())
    }

    async fn sizes(&self) -> Result<Vec<Size>> {
        let size = |it: &Model| {
            let mut size = Size::new(it.name, it.cores, it.memory_gib);
            size.classes = vec![it.class.to_owned()];
            size
        };
        Ok(MODELS.iter().map(size).collect())
    }

    async fn doctor(&self) -> Result<Vec<Check>> {
        let check = match self.vendor.account().await {
            Ok(account) => Check::new("account", Verdict::Ok, format!("it is {account}")),
            Err(error) => Check::new("account", Verdict::Problem, error.to_string()),
        };
        Ok(vec![check])
    }
}

/// The models that fulfil a wish, best first.
fn wanted(spec: &Spec) -> Result<Vec<&'static Model>, SampleError> {
    let fits = |it: &&Model| {
        spec.machine_type.as_ref().is_none_or(|wish| wish == it.name)
            && spec.class.as_ref().is_none_or(|wish| wish == it.class)
    };
    let found: Vec<&Model> = MODELS.iter().filter(fits).collect();
    if found.is_empty() {
        let there: Vec<_> = MODELS.iter().map(|it| format!("{} ({})", it.name, it.class)).collect();
        let there = there.join(", ");
        return Err(SampleError::Request(format!(
            "there is no such machine; there are, each with its class: {there}"
        )));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_can_be_reached_once_it_has_an_address() {
        let provider = SampleProvider::open(SampleConfig::new("/srv/sample")).unwrap();
        let machine = Machine {
            id: "m-1".to_owned(),
            name: "somebody's".to_owned(),
            model: "one".to_owned(),
            public_key: String::new(),
            labels: labels::Labels::new(),
            address: None,
        };
        let found = provider.shown(machine.clone()).unwrap();
        assert!(found.reach.is_none() && matches!(found.status, Status::Starting { .. }));
        let found = provider.shown(Machine { address: Some("192.0.2.7".to_owned()), ..machine });
        let found = found.unwrap();
        assert_eq!(found.reach.unwrap().host, "192.0.2.7");
        assert_eq!((found.status, found.marks), (Status::Running, None));
    }
}
