//! The contract, method by method. How fal is asked, and what its answers mean, is in the other files.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use lease_core::journal::Disposition;
use lease_core::provider::Check;
use lease_core::{
    Candidate, Clock, Created, Descriptor, Error, ErrorKind, Held, Intent, Inventory, Owned,
    Provider, ResourceId, Result, Scope, Sighting, Size, Spec, Template, Timestamp,
};
use lease_http::{Client, Credential, Wire};

use crate::api::{Api, CREATE, Credit};
use crate::config::FalConfig;
use crate::descriptor::{DESCRIPTOR, KIND, descriptor};
use crate::error::FalError;
use crate::machines::{self, Wish};
use crate::request::{BEFORE_MAX, Fingerprint, Request};
use crate::sighting::{self, Login};
use crate::{checks, inventory};

const OPEN: &str = "open the fal provider";
const PLAN: &str = "plan an instance";
const FIND: &str = "search for an instance";

/// Machines of fal Compute.
pub struct FalProvider {
    config: FalConfig,
    descriptor: Descriptor,
    login: Login,
    access: Option<Access>,
    clock: Option<Arc<dyn Clock>>,
}

/// The interface, and what tells its key from another.
struct Access {
    api: Api,
    fingerprint: Fingerprint,
}

/// Shows nothing of the key.
impl fmt::Debug for FalProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FalProvider")
            .field("endpoint", &self.config.endpoint)
            .field("has_key", &self.access.is_some())
            .finish_non_exhaustive()
    }
}

impl FalProvider {
    /// Makes the provider from its configuration. Nothing is sent.
    ///
    /// # Errors
    /// When a configured value, or the key, cannot be used.
    pub fn open(config: FalConfig, wire: Arc<dyn Wire>) -> Result<Self> {
        let endpoint = config.check().map_err(|error| error.harmless(OPEN))?;
        let access = match config.key.clone() {
            None => None,
            Some(key) => {
                let fingerprint = Fingerprint::of(&key);
                let client = Client::new(wire, endpoint, Some(&Credential::key(key)))?;
                let api = Api {
                    client,
                    page_items: config.page_items,
                    read_deadline: config.read_deadline,
                    write_deadline: config.write_deadline,
                };
                Some(Access { api, fingerprint })
            }
        };
        let (descriptor, login) = (descriptor(&config), Login::new(&config));
        Ok(Self { config, descriptor, login, access, clock: None })
    }

    /// Gives it the clock that `doctor` compares with the dates of fal's answers.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    fn access(&self, operation: &'static str) -> Result<&Access> {
        self.access.as_ref().ok_or_else(|| FalError::NoKey.harmless(operation))
    }

    /// The account of the key, which fal calls a username.
    async fn account(api: &Api) -> Result<Scope> {
        let billing = api.billing(Credit::Hidden).await?;
        Ok(Scope {
            provider: DESCRIPTOR.name.to_owned(),
            endpoint: api.client.endpoint().to_string(),
            account: billing.username,
        })
    }

    /// Every way in which a machine that was made with `recorded` may be logged in to. A machine of ours that is asked
    /// with the wrong name would be taken for a stranger's, so none is left out.
    fn logins(&self, recorded: Login) -> Vec<Login> {
        let mut logins = vec![recorded];
        for other in [self.login.clone(), Login::documented(&self.config.work_root)] {
            if !logins.iter().any(|it| it.is_same_door(&other)) {
                logins.push(other);
            }
        }
        logins
    }

    /// Refuses a repetition that would not be one: fal may remember a create by its key, or by the workspace of it.
    async fn check_repetition(access: &Access, intent: &Intent, request: &Request) -> Result<()> {
        let refused = |why: String| Error::harmless(ErrorKind::ScopeChanged, CREATE, why);
        if request.key != access.fingerprint {
            let why = "the create was sent with another API key, and with this one it might make a second instance";
            return Err(refused(why.to_owned()));
        }
        if intent.sends() > 1 {
            let scope = Self::account(&access.api).await?;
            if scope != *intent.scope() {
                return Err(refused(format!(
                    "the create was sent for {}, and the key now belongs to {scope}",
                    intent.scope()
                )));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Provider for FalProvider {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn scope(&self) -> Result<Scope> {
        Self::account(&self.access("identify the account")?.api).await
    }

    async fn plan(&self, spec: &Spec) -> Result<Vec<Candidate>> {
        let wish = Wish::read(spec, &self.config)?;
        let access = self.access(PLAN)?;
        let before: BTreeSet<ResourceId> =
            inventory::complete(&access.api).await?.into_keys().collect();
        if before.len() > BEFORE_MAX {
            let message = format!("the workspace has more than {BEFORE_MAX} instances");
            return Err(Error::harmless(ErrorKind::Unsupported, PLAN, message));
        }
        let label = wish.label();
        let request = Request::new(wish, before, access.fingerprint.clone(), self.login.clone())
            .to_value()?;
        let machine =
            Template { kind: KIND.to_owned(), disposition: Disposition::Own, id: None, request };
        Ok(vec![Candidate { label, resources: vec![machine] }])
    }

    async fn create(&self, intent: &Intent) -> Result<Created> {
        let access = self.access(CREATE)?;
        if intent.kind() != KIND {
            let why = format!("there are no resources of the kind {:?}", intent.kind());
            return Err(FalError::Request(why).harmless(CREATE));
        }
        let request = Request::read(intent)?;
        Self::check_repetition(access, intent, &request).await?;
        let body = request.body(intent.public_key())?;
        let (id, answer) = access.api.create(intent.key(), body).await?;
        // What was there before the create cannot be what it made, whatever the answer says.
        if request.before.is_some_and(|it| it.contains(&id)) {
            return Err(answer.unusable(&format!("{id} existed before it was created")));
        }
        Ok(Created { id, shown: None })
    }

    async fn find(&self, intent: &Intent) -> Result<Sighting> {
        let access = self.access(FIND)?;
        let unclear =
            |why: String| Sighting::Unclear(Error::harmless(ErrorKind::Refused, FIND, why));
        let Request { instance_type, before, login, .. } = match Request::read(intent) {
            Ok(request) => request,
            Err(error) => return Ok(unclear(error.to_string())),
        };
        let Some(before) = before else {
            let why =
                "the record does not say which instances existed before; look at fal's dashboard";
            return Ok(unclear(why.to_owned()));
        };
        let is_new = |id: &ResourceId| !before.contains(id);
        let instances = inventory::complete(&access.api).await?;
        let new = instances
            .values()
            .filter(|it| is_new(&it.id) && machines::may_be(&it.machine, &instance_type));
        let sharing = sighting::sharing(&instances);
        let logins = self.logins(login);
        let mut suspects = Vec::new();
        for instance in new {
            let found = logins.iter().map(|it| it.found(instance));
            if sharing.contains(&instance.id) {
                suspects.extend(found.take(1).map(sighting::indistinct));
            } else {
                suspects.extend(found);
            }
        }
        Ok(if suspects.is_empty() { Sighting::Absent } else { Sighting::Suspects(suspects) })
    }

    async fn inspect(&self, id: &ResourceId) -> Result<Sighting> {
        let instance = self.access("look at an instance")?.api.instance(id).await?;
        Ok(instance.map_or(Sighting::Absent, |it| Sighting::Found(Box::new(self.login.found(&it)))))
    }

    async fn list(&self) -> Result<Inventory> {
        let access = self.access("list instances")?;
        let instances = inventory::complete(&access.api).await?;
        let items = instances.values().map(|it| self.login.found(it)).collect();
        Ok(Inventory { scope: Self::account(&access.api).await?, items })
    }

    async fn destroy(&self, owned: &Owned) -> Result<()> {
        self.access("delete an instance")?.api.delete(owned.id()).await
    }

    async fn renew(&self, _held: &Held, _ends_at: Option<Timestamp>) -> Result<()> {
        Ok(())
    }

    async fn sizes(&self) -> Result<Vec<Size>> {
        Ok(machines::sizes())
    }

    async fn doctor(&self) -> Result<Vec<Check>> {
        Ok(match &self.access {
            Some(access) => checks::all(&access.api, self.clock.as_ref().map(|it| it.now())).await,
            None => vec![checks::no_key()],
        })
    }
}
