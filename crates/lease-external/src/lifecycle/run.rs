//! Running the commands of a lifecycle, and reading what they print.

use std::time::Duration;

use crate::answer::{document, succeeded};
use crate::call::{Caller, Job, Stdout};
use crate::config::ExternalConfig;
use crate::error::ExternalError;
use crate::identity::Desired;
use crate::lifecycle::template::{Context, Environment};
use crate::lifecycle::{Connection, Lifecycle, Operation, OutputForm, Ssh};
use crate::wire::{WireLease, WireSsh, operation};

/// The declared form of one provider.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Declared<'a> {
    pub(crate) config: &'a ExternalConfig,
    pub(crate) lifecycle: &'a Lifecycle,
    pub(crate) connection: &'a Connection,
    pub(crate) caller: &'a Caller,
}

/// What one operation is about.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct About<'a> {
    pub(crate) desired: Option<&'a Desired>,
    pub(crate) lease: Option<&'a WireLease>,
    pub(crate) state: &'a str,
    /// The flags that are on.
    pub(crate) flags: &'a [&'static str],
    /// Variables beside those of the operation.
    pub(crate) mark: Option<(&'static str, &'a str)>,
}

const FLAGS: [&str; 7] = ["keep", "reclaim", "releaseOnly", "force", "all", "refresh", "dryRun"];

impl<'a> Declared<'a> {
    pub(crate) async fn doctor(&self) -> Result<String, ExternalError> {
        let Some(operation) = &self.lifecycle.doctor else { return Ok(String::new()) };
        let deadline = self.config.call_deadline;
        self.run((operation::DOCTOR, operation), About::default(), deadline).await?;
        Ok(String::new())
    }

    pub(crate) async fn acquire(
        &self,
        desired: &Desired,
        mark: (&'static str, &str),
    ) -> Result<WireLease, ExternalError> {
        let operation = &self.lifecycle.acquire;
        // A template that cannot be filled must be told before anything is made.
        let templated = self.templated(desired)?;
        let about = About { desired: Some(desired), mark: Some(mark), ..About::default() };
        let deadline = self.config.acquire_deadline;
        let stdout = self.run((operation::ACQUIRE, operation), about, deadline).await?;
        self.lease_of((operation::ACQUIRE, operation), templated, &stdout)
    }

    pub(crate) async fn resolve(
        &self,
        desired: &Desired,
        shown: &WireLease,
        flags: &[&'static str],
    ) -> Result<WireLease, ExternalError> {
        let templated = self.templated(desired)?;
        let Some(operation) = &self.lifecycle.resolve else {
            // Nobody was asked, so nothing is said about the identity.
            return Ok(WireLease { lease_id: None, slug: None, name: None, ..templated });
        };
        let about = About { desired: Some(desired), lease: Some(shown), flags, ..About::default() };
        let deadline = self.config.call_deadline;
        let stdout = self.run((operation::RESOLVE, operation), about, deadline).await?;
        self.lease_of((operation::RESOLVE, operation), templated, &stdout)
    }

    pub(crate) async fn list(&self) -> Result<Vec<WireLease>, ExternalError> {
        let operation = &self.lifecycle.list;
        let about = About { flags: &["all", "refresh"], ..About::default() };
        let deadline = self.config.call_deadline;
        let stdout = self.run((operation::LIST, operation), about, deadline).await?;
        if operation.output == OutputForm::JsonLeaseArray {
            let leases: Vec<WireLease> = document(operation::LIST, &stdout)?;
            let says_login = leases.iter().any(|it| it.login().is_some());
            if says_login && !self.config.trust_provider_output {
                return Err(ExternalError::Untrusted);
            }
            return Ok(leases);
        }
        let names: Vec<String> = document(operation::LIST, &stdout)?;
        let ours = names.into_iter().filter(|it| it.starts_with(&operation.name_prefix));
        Ok(ours.map(|name| WireLease { name: Some(name), ..WireLease::default() }).collect())
    }

    pub(crate) async fn release(
        &self,
        desired: &Desired,
        lease: &WireLease,
        deadline: Duration,
    ) -> Result<(), ExternalError> {
        let operation = &self.lifecycle.release;
        let about = About {
            desired: Some(desired),
            lease: Some(lease),
            flags: &["force"],
            ..About::default()
        };
        self.run((operation::RELEASE, operation), about, deadline).await.map(drop)
    }

    pub(crate) async fn touch(
        &self,
        desired: &Desired,
        lease: &WireLease,
        state: &str,
    ) -> Result<(), ExternalError> {
        let Some(operation) = &self.lifecycle.touch else { return Ok(()) };
        let about = About { desired: Some(desired), lease: Some(lease), state, ..About::default() };
        let deadline = self.config.call_deadline;
        self.run((operation::TOUCH, operation), about, deadline).await.map(drop)
    }

    /// A dry run is never run: a template may not know the word.
    pub(crate) async fn cleanup(&self) -> Result<(), ExternalError> {
        let Some(operation) = &self.lifecycle.cleanup else { return Ok(()) };
        let deadline = self.config.call_deadline;
        self.run((operation::CLEANUP, operation), About::default(), deadline).await.map(drop)
    }

    /// What the resource is called, as a list shows it.
    pub(crate) fn resource_name(&self, desired: &Desired) -> Result<String, ExternalError> {
        let context = self.named(Some(desired), None)?;
        Ok(context.values.get("resourceName").cloned().unwrap_or_default())
    }

    /// The lease that the templates describe.
    pub(crate) fn templated(&self, desired: &Desired) -> Result<WireLease, ExternalError> {
        let context = self.named(Some(desired), None)?;
        let open = |what, template: &str| context.fill_openly(what, template, Environment::Refused);
        let mut labels = std::collections::BTreeMap::new();
        for (name, template) in &self.connection.labels {
            labels.insert(name.clone(), open("connection.labels", template)?);
        }
        let server_type = open("connection.serverType", &self.connection.server_type)?;
        Ok(WireLease {
            lease_id: Some(desired.lease_id.clone()),
            slug: Some(desired.slug.clone()),
            name: Some(context.values.get("resourceName").cloned().unwrap_or_default()),
            cloud_id: Some(open("connection.cloudId", &self.connection.cloud_id)?),
            server_type: (!server_type.is_empty()).then_some(server_type),
            labels: (!labels.is_empty()).then_some(labels),
            ssh: Some(self.login(&context)?),
            ..WireLease::default()
        })
    }

    fn login(&self, context: &Context<'_>) -> Result<WireSsh, ExternalError> {
        const WHAT: &str = "connection.ssh";
        let ssh: &Ssh = &self.connection.ssh;
        let environment = Environment::from(ssh.allow_env == Some(true));
        let fill = |template: &str| context.fill_openly(WHAT, template, environment);
        let maybe = |template: &Option<String>| template.as_deref().map(fill).transpose();
        let host = ssh.host.as_deref().unwrap_or("{{resourceName}}");
        let ports: Result<Vec<_>, _> = ssh.fallback_ports.iter().map(|it| fill(it)).collect();
        Ok(WireSsh {
            user: Some(fill(&ssh.user)?),
            host: Some(fill(host)?),
            key: maybe(&ssh.key)?,
            port: maybe(&ssh.port)?,
            fallback_ports: Some(ports?),
            ssh_config_proxy: ssh.ssh_config_proxy,
            proxy_command: maybe(&ssh.proxy_command)?,
            host_key: maybe(&ssh.host_key)?,
            ..WireSsh::default()
        })
    }

    /// The lease that a command printed; what it left out is as the templates say.
    fn lease_of(
        &self,
        (name, operation): (&'static str, &Operation),
        templated: WireLease,
        stdout: &[u8],
    ) -> Result<WireLease, ExternalError> {
        if operation.output != OutputForm::JsonLease {
            return Ok(templated);
        }
        let mut lease: WireLease = document(name, stdout)?;
        if lease.login().is_some() && !self.config.trust_provider_output {
            return Err(ExternalError::Untrusted);
        }
        if lease.login().is_none() {
            lease.ssh = templated.ssh;
        }
        lease.cloud_id = lease.cloud_id.or(templated.cloud_id);
        lease.server_type = lease.server_type.or(templated.server_type);
        lease.labels = lease.labels.or(templated.labels);
        if !self.config.idempotent_lease_id {
            lease.lease_id = lease.lease_id.or(templated.lease_id);
            lease.slug = lease.slug.or(templated.slug);
            lease.name = lease.name.or(templated.name);
        }
        Ok(lease)
    }

    fn named(
        &self,
        desired: Option<&Desired>,
        lease: Option<&WireLease>,
    ) -> Result<Context<'a>, ExternalError> {
        let mut context = Context {
            config: Some(&self.config.config),
            environment: &self.config.environment,
            ..Context::default()
        };
        if let Some(repo) = &self.config.repo {
            context.set("repo.root", &repo.root);
            context.set("repo.name", &repo.name);
            context.set("repo.remoteUrl", &repo.remote_url);
            context.set("repo.head", &repo.head);
            context.set("repo.baseRef", &repo.base_ref);
        }
        let Some(desired) = desired else { return Ok(context) };
        context.set("leaseId", &desired.lease_id);
        context.set("leaseIdSlug", desired.lease_id.replace('_', "-"));
        context.set("slug", &desired.slug);
        context.set("name", &desired.name);
        let filled = context.fill("connection.resourceName", &self.connection.resource_name)?;
        if filled.from_environment {
            if !self.connection.allow_env_resource_name {
                let why = "it would show what came from the environment; `allowEnvResourceName` allows that";
                return Err(ExternalError::config("connection.resourceName", why));
            }
            context.tainted.push("resourceName");
        }
        context.set("resourceName", filled.text);
        if let Some(lease) = lease {
            let known = lease.cloud_id.clone();
            let cloud_id = match known {
                Some(it) => it,
                None => context.fill("connection.cloudId", &self.connection.cloud_id)?.text,
            };
            context.set("cloudId", cloud_id);
        }
        Ok(context)
    }

    /// Runs the commands of an operation and returns what the last one printed.
    async fn run(
        &self,
        (name, operation): (&'static str, &Operation),
        about: About<'_>,
        deadline: Duration,
    ) -> Result<Vec<u8>, ExternalError> {
        let mut context = self.named(about.desired, about.lease)?;
        context.set("state", about.state);
        if let Some(desired) = about.desired {
            let shown = about.lease.and_then(|it| it.name.clone());
            context.set("id", shown.unwrap_or_else(|| desired.name.clone()));
        }
        for flag in FLAGS {
            context.set(flag, about.flags.contains(&flag).to_string());
        }
        let in_arguments = Environment::from(operation.allow_env_argv);
        let mut env = Vec::new();
        for (variable, template) in &operation.env {
            env.push((variable.clone(), context.fill("lifecycle env", template)?.text));
        }
        env.extend(about.mark.map(|(name, value)| (name.to_owned(), value.to_owned())));
        // Everything is filled before anything runs, so that a bad template in the last step changes nothing.
        let mut commands = Vec::new();
        for argv in operation.commands() {
            let words = argv.iter().map(|it| context.fill_openly(name, it, in_arguments));
            commands.push(words.collect::<Result<Vec<String>, _>>()?);
        }
        let ends = tokio::time::Instant::now() + deadline;
        let (mut last, count) = (Vec::new(), commands.len());
        for (number, argv) in commands.iter().enumerate() {
            let is_answer = number + 1 == count && operation.output != OutputForm::None;
            let job = Job {
                operation: name,
                argv,
                env: env.clone(),
                stdin: Vec::new(),
                deadline: ends.saturating_duration_since(tokio::time::Instant::now()),
                stdout: if is_answer { Stdout::Answer } else { Stdout::People },
            };
            let said = self.caller.run(job).await?;
            succeeded(&said)?;
            last = said.stdout;
        }
        Ok(last)
    }
}
