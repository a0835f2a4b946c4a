//! The contract, method by method. What is sent and how it is read is in the other files.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use lease_core::error::Effect;
use lease_core::journal::Disposition;
use lease_core::provider::Check;
use lease_core::{
    Candidate, Clock, Created, Descriptor, Error, ErrorKind, Found, Held, Intent, Inventory, Owned,
    Provider, ResourceId, Result, Scope, Secret, Sighting, Size, Spec, Template, Timestamp,
};
use lease_http::{Answer, Client, Credential, Failure, Wire};
use serde_json::{Value, json};

use crate::api::{self, Api};
use crate::catalog::{self, Choice, Pick};
use crate::config::HetznerConfig;
use crate::descriptor;
use crate::error::HetznerError;
use crate::kind::{self, Kind, SERVER, SSH_KEY};
use crate::making::{self, AddressOrder, ServerOrder, Trace};
use crate::refusal::{self, Asked};
use crate::wire::{Action, ServerType, Thing};
use crate::wish::Wish;
use crate::{checks, labels, sighting};

const OPEN: &str = "open the hetzner provider";
const SCOPE: &str = "identify the project";
const PLAN: &str = "plan a server";
const FIND: &str = "find a resource";
const INSPECT: &str = "look at a resource";
const LIST: &str = "list the resources";
const DESTROY: &str = "delete a resource";
const RENEW: &str = "write the deadline on a resource";
const SIZES: &str = "list the server types";
const DOCTOR: &str = "check the project";

/// How many hexadecimal digits of a token's digest tell one token from another.
const TOKEN_DIGITS: usize = 16;

/// Servers of one Hetzner Cloud project.
#[derive(Debug)]
pub struct HetznerProvider {
    config: HetznerConfig,
    descriptor: Descriptor,
    api: Option<Api>,
    /// What stands for the project while it has no name: a digest of the token.
    token_account: String,
    clock: Option<Arc<dyn Clock>>,
}

impl HetznerProvider {
    /// Makes the provider; nothing is sent.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when a configured value cannot be used. A missing token is no error here: each call says
    /// so.
    pub fn open(config: HetznerConfig, wire: Arc<dyn Wire>) -> Result<Self> {
        let endpoint = config.check().map_err(|error| error.harmless(OPEN))?;
        let client = config
            .token
            .clone()
            .map(|token| Client::new(wire, endpoint, Some(&Credential::bearer(token))));
        let api = client.transpose()?.map(|client| Api::new(client, &config));
        let token = config.token.as_ref().map(Secret::expose).unwrap_or_default();
        let digest = blake3::hash(token.as_bytes()).to_hex();
        let token_account = digest.chars().take(TOKEN_DIGITS).collect();
        let descriptor = descriptor::descriptor(&config);
        Ok(Self { descriptor, api, token_account, config, clock: None })
    }

    /// Gives it the clock that `doctor` compares with the dates of Hetzner's answers.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// What our clock shows, if there is one to compare.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        self.clock.as_ref().map(|it| it.now())
    }

    fn api(&self, operation: &'static str) -> Result<&Api> {
        self.api.as_ref().ok_or_else(|| HetznerError::NoToken.harmless(operation))
    }

    /// The project, as far as it can be told: by the label that its owner put on a key, or else by the token.
    pub(crate) async fn account(&self, api: &Api) -> Result<String> {
        let selected = [("label_selector", labels::PROJECT)];
        let keys = api.things(SCOPE, Kind::SshKey, &selected).await?;
        let names: BTreeSet<_> =
            keys.iter().filter_map(|it| it.labels.get(labels::PROJECT)).collect();
        let refuse = |message: String| Err(Error::harmless(ErrorKind::Refused, SCOPE, message));
        match names.iter().next() {
            None => Ok(format!("token:{}", self.token_account)),
            Some(_) if names.len() > 1 => refuse(format!(
                "the SSH keys of the project say {names:?} in their label {}; leave one name",
                labels::PROJECT
            )),
            Some(name) if name.is_empty() => refuse(format!(
                "an SSH key of the project has an empty label {}; give it the name of the project",
                labels::PROJECT
            )),
            Some(name) => Ok(format!("project:{name}")),
        }
    }

    async fn scope_of(&self, api: &Api) -> Result<Scope> {
        Ok(Scope {
            provider: self.descriptor.name.to_owned(),
            endpoint: api.origin().to_owned(),
            account: self.account(api).await?,
        })
    }

    fn found(&self, kind: Kind, thing: &Thing) -> Result<Found> {
        sighting::found(&self.config, (kind, thing), None)
    }

    async fn look(&self, api: &Api, id: &ResourceId) -> Result<Option<Found>> {
        let Some((kind, number)) = kind::parse_id(id) else { return Ok(None) };
        let Some(thing) = api.get(INSPECT, kind, number).await? else { return Ok(None) };
        let mut actions = None;
        if kind == Kind::Server && sighting::needs_actions(&thing) {
            // What cannot be read now is read with the next look; the server itself is shown in any case.
            actions = self.actions(api, number).await.ok();
        }
        sighting::found(&self.config, (kind, &thing), actions.as_deref()).map(Some)
    }

    async fn actions(&self, api: &Api, server: u64) -> Result<Vec<Action>> {
        let path = format!("{server}");
        let (answer, body) = api
            .read(INSPECT, &[Kind::Server.many(), &path, "actions"], &[("per_page", "50")])
            .await?;
        let actions = body["actions"].as_array();
        let actions = actions.ok_or_else(|| answer.unusable("the answer has no actions"))?;
        Ok(actions.iter().filter_map(Action::read).collect())
    }

    /// The create's answer as an id. Whatever else it says: what has an id exists.
    fn created(&self, answer: &Answer, kind: Kind) -> Result<Created> {
        let thing = api::thing(answer, kind).ok_or_else(|| {
            answer.unusable("the answer does not have the id of what was created")
        })?;
        self.shown(kind, &thing)
    }

    fn shown(&self, kind: Kind, thing: &Thing) -> Result<Created> {
        let found = self.found(kind, thing)?;
        Ok(Created { id: found.id.clone(), shown: Some(Box::new(found)) })
    }

    /// A create that was turned down: the reason may be that it succeeded before, or that it was delivered twice.
    async fn refused(
        &self,
        api: &Api,
        (kind, operation): (Kind, &'static str),
        intent: &Intent,
        failure: &Failure,
    ) -> Result<Created> {
        let asked = if kind == Kind::Server { Asked::CreateServer } else { Asked::Change };
        let error = api.error(failure, asked);
        let code = refusal::code(failure);
        let taken = code.as_deref() == Some("uniqueness_error");
        let has_twin = code.as_deref().is_some_and(refusal::may_be_caused_by_a_twin);
        if !has_twin && (intent.sends() == 1 || error.effect() != Effect::None) {
            return Err(error);
        }
        match api.trace_conflict(operation, kind, intent).await {
            Ok(Trace::Ours(thing)) => self.shown(kind, &thing),
            Ok(trace) if taken => Err(making::conflict(operation, kind, &trace)),
            Ok(_) => Err(error),
            Err(unread) => {
                let message =
                    format!("{}; what it is about cannot be read: {unread}", error.message());
                Err(Error::unsettled(error.kind(), operation, message))
            }
        }
    }

    /// The number of a thing of the user by its name or number. It is only referred to.
    async fn reference(&self, api: &Api, many: &str, name: &str) -> Result<u64> {
        let by_name = api.list(PLAN, many, &[("name", name)]).await?;
        if let Some(id) = by_name.first().and_then(|it| it["id"].as_u64()) {
            return Ok(id);
        }
        let missing = || {
            let why = format!("the project has no entry {name:?} under {many}");
            HetznerError::Request(why).harmless(PLAN)
        };
        let number: u64 = name.parse().map_err(|_| missing())?;
        match api.read(PLAN, &[many, name], &[]).await {
            Ok(_) => Ok(number),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(missing()),
            Err(error) => Err(error),
        }
    }

    /// Refuses an image that is not there; a number is believed.
    async fn image(&self, api: &Api, image: &str, pick: &Pick) -> Result<Value> {
        if let Ok(number) = image.parse::<u64>() {
            return Ok(number.into());
        }
        let architecture = ("architecture", pick.architecture.name());
        if api.list(PLAN, "images", &[("name", image), architecture]).await?.is_empty() {
            let system = api.list(PLAN, "images", &[("type", "system"), architecture]).await?;
            let there: Vec<_> = system.iter().filter_map(|it| it["name"].as_str()).collect();
            let why = format!("there is no image {image:?}; there is: {}", there.join(", "));
            return Err(HetznerError::Request(why).harmless(PLAN));
        }
        Ok(image.into())
    }

    pub(crate) async fn server_types(
        &self,
        api: &Api,
        operation: &'static str,
    ) -> Result<Vec<ServerType>> {
        let listed = api.list(operation, "server_types", &[]).await?;
        Ok(listed.iter().filter_map(ServerType::read).collect())
    }
}

#[async_trait]
impl Provider for HetznerProvider {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn scope(&self) -> Result<Scope> {
        self.scope_of(self.api(SCOPE)?).await
    }

    async fn plan(&self, spec: &Spec) -> Result<Vec<Candidate>> {
        let api = self.api(PLAN)?;
        let wish = Wish::read(spec, &self.config)?;
        api.budget.spend(PLAN)?;
        let types = self.server_types(api, PLAN).await?;
        let picks = catalog::picks(
            &types,
            Choice {
                class: wish.class.as_deref(),
                machine_type: wish.machine_type.as_deref(),
                architecture: wish.architecture,
                usual: self.config.architecture,
                locations: &wish.locations,
            },
        )?;
        let mut networks = Vec::new();
        for name in &wish.networks {
            networks.push(self.reference(api, "networks", name).await?);
        }
        let mut ssh_keys = Vec::new();
        if let Some(name) = &wish.ssh_key {
            ssh_keys.push(self.reference(api, Kind::SshKey.many(), name).await?);
        }
        let Some(first) = picks.first() else { return Ok(Vec::new()) };
        // All candidates of a wish have the architecture of the first.
        let image = self.image(api, &wish.image, first).await?;
        let order = |pick: &Pick| ServerOrder {
            server_type: pick.machine_type.clone(),
            location: pick.location.clone(),
            image: image.clone(),
            ssh_keys: ssh_keys.clone(),
            networks: networks.clone(),
            enable_ipv4: wish.ipv4.is_on(),
            enable_ipv6: wish.ipv6.is_on(),
        };
        picks.iter().map(|pick| candidate(&wish, pick, &order(pick))).collect()
    }

    async fn create(&self, intent: &Intent) -> Result<Created> {
        let operation = match Kind::of(intent.kind()) {
            Some(Kind::SshKey) => "create the SSH key",
            Some(Kind::PrimaryIp) => "create the primary IP",
            Some(Kind::Server) | None => "create the server",
        };
        let api = self.api(operation)?;
        let (kind, body) = making::body(&self.config, intent, operation)?;
        api.budget.spend(operation)?;
        match api.post(operation, kind, &body).await {
            Ok(answer) => self.created(&answer, kind),
            Err(failure) => self.refused(api, (kind, operation), intent, &failure).await,
        }
    }

    async fn find(&self, intent: &Intent) -> Result<Sighting> {
        let api = self.api(FIND)?;
        // Absence of what cannot even be asked for would be a proof of nothing.
        let Some(kind) = Kind::of(intent.kind()) else {
            let why = format!("there are no resources of the kind {:?}", intent.kind());
            return Err(HetznerError::Request(why).harmless(FIND));
        };
        Ok(match api.trace(FIND, kind, intent).await {
            Ok(Trace::Ours(thing)) => Sighting::Found(Box::new(self.found(kind, &thing)?)),
            // Nobody else draws our names, but anybody may overwrite our labels: only other marks prove another owner.
            Ok(trace @ Trace::Foreign(_)) if !trace.is_marked() => {
                Sighting::Unclear(making::conflict(FIND, kind, &trace))
            }
            Ok(Trace::Foreign(_) | Trace::Nothing) => Sighting::Absent,
            Ok(trace @ Trace::Several(_)) => {
                Sighting::Unclear(making::conflict(FIND, kind, &trace))
            }
            Err(error) => Sighting::Unclear(error),
        })
    }

    async fn inspect(&self, id: &ResourceId) -> Result<Sighting> {
        let api = self.api(INSPECT)?;
        Ok(match self.look(api, id).await {
            Ok(Some(found)) => Sighting::Found(Box::new(found)),
            Ok(None) => Sighting::Absent,
            Err(error) => Sighting::Unclear(error),
        })
    }

    async fn list(&self) -> Result<Inventory> {
        let api = self.api(LIST)?;
        let scope = self.scope_of(api).await?;
        let selector = labels::all_of_ours();
        let mut items = Vec::new();
        for kind in Kind::ALL {
            for thing in api.things(LIST, kind, &[("label_selector", &selector)]).await? {
                items.push(self.found(kind, &thing)?);
            }
        }
        Ok(Inventory { scope, items })
    }

    async fn destroy(&self, owned: &Owned) -> Result<()> {
        let api = self.api(DESTROY)?;
        let Some((kind, number)) = kind::parse_id(owned.id()) else {
            let why = format!("{} is not an id of ours", owned.id());
            return Err(HetznerError::Record(why).harmless(DESTROY));
        };
        api.delete(DESTROY, kind, number).await
    }

    async fn renew(&self, held: &Held, ends_at: Option<Timestamp>) -> Result<()> {
        let api = self.api(RENEW)?;
        let Some((kind, number)) = kind::parse_id(held.id()) else {
            let why = format!("{} is not an id of ours", held.id());
            return Err(HetznerError::Record(why).harmless(RENEW));
        };
        api.budget.spend(RENEW)?;
        let conflict = |effect, what: &str| {
            let message = format!("{}: {what}", held.id());
            Err(Error::new(ErrorKind::Conflict, effect, RENEW, message))
        };
        let Some(before) = api.get(RENEW, kind, number).await? else {
            return conflict(Effect::None, "it does not exist any more");
        };
        if labels::marks(&before.labels).as_ref() != Some(held.marks()) {
            return conflict(
                Effect::None,
                "its marks are not those of the lease; it was left alone",
            );
        }
        let mut wanted = before.labels;
        labels::set_end(&mut wanted, ends_at);
        api.relabel(RENEW, (kind, number), &wanted).await?;
        // The interface replaces all labels at once, so a label that somebody sets in between would be lost.
        match api.get(RENEW, kind, number).await? {
            Some(after) if after.labels == wanted => Ok(()),
            _ => conflict(Effect::Unknown, "somebody else changed its labels at the same time"),
        }
    }

    async fn sizes(&self) -> Result<Vec<Size>> {
        let api = self.api(SIZES)?;
        api.budget.spend(SIZES)?;
        let types = self.server_types(api, SIZES).await?;
        let (_, pricing) = api.read(SIZES, &["pricing"], &[]).await?;
        let currency = pricing["pricing"]["currency"].as_str();
        Ok(catalog::sizes(&types, currency, &self.config.locations))
    }

    async fn doctor(&self) -> Result<Vec<Check>> {
        let api = self.api(DOCTOR)?;
        Ok(checks::all(self, api, &self.config).await)
    }
}

/// The resources of one candidate in the order of creation: the key first, because it is deleted last.
fn candidate(wish: &Wish, pick: &Pick, order: &ServerOrder) -> Result<Candidate> {
    let own = |kind: &str, request: Value| Template {
        kind: kind.to_owned(),
        disposition: Disposition::Own,
        id: None,
        request,
    };
    let internal =
        |error: serde_json::Error| Error::harmless(ErrorKind::Internal, PLAN, error.to_string());
    let mut resources = vec![own(SSH_KEY, json!({}))];
    for number in &order.ssh_keys {
        let id = Some(kind::resource_id(Kind::SshKey, *number)?);
        let disposition = Disposition::Referenced;
        resources.push(Template { disposition, id, ..own(SSH_KEY, Value::Null) });
    }
    let address = AddressOrder { location: pick.location.clone() };
    for word in making::families(wish.ipv4, wish.ipv6) {
        resources.push(own(word, serde_json::to_value(&address).map_err(internal)?));
    }
    resources.push(own(SERVER, serde_json::to_value(order).map_err(internal)?));
    Ok(Candidate { label: format!("{} in {}", pick.machine_type, pick.location), resources })
}
