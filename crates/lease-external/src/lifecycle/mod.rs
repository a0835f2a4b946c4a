//! The form without an adapter program: each operation is a command, or a few, made from templates.

mod run;
mod template;

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::check_argv;
use crate::error::ExternalError;

pub(crate) use run::Declared;

/// The operations that there are commands for. `acquire`, `list` and `release` have to be there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lifecycle {
    /// Checks that leases can be had.
    #[serde(default)]
    pub doctor: Option<Operation>,
    /// Makes a lease.
    pub acquire: Operation,
    /// Looks at one lease.
    #[serde(default)]
    pub resolve: Option<Operation>,
    /// Lists every lease.
    pub list: Operation,
    /// Gives a lease back; that there is none is success.
    pub release: Operation,
    /// Is told what state and deadline a lease has.
    #[serde(default)]
    pub touch: Option<Operation>,
    /// Removes what nobody needs.
    #[serde(default)]
    pub cleanup: Option<Operation>,
}

/// The commands of one operation: either `argv`, or `steps`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Operation {
    /// The only command.
    #[serde(default)]
    pub argv: Vec<String>,
    /// Commands that run one after the other; the last one gives the answer.
    #[serde(default)]
    pub steps: Vec<Vec<String>>,
    /// Variables beside the common ones; values are templates.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Whether arguments may hold what comes from the environment. Every user of the machine can read arguments.
    #[serde(default)]
    pub allow_env_argv: bool,
    /// Read and not needed: arguments may always hold what comes from `config`.
    #[serde(default)]
    pub allow_config_argv: bool,
    /// What the last command prints.
    #[serde(default)]
    pub output: OutputForm,
    /// Of a list of names, only those that begin so are leases.
    #[serde(default)]
    pub name_prefix: String,
    /// Whether a failure after the first step of an acquire releases at once. A failed acquire is always given back.
    #[serde(default)]
    pub rollback_on_failure: bool,
}

/// What a command prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputForm {
    /// Something for people.
    #[default]
    None,
    /// A bare lease.
    JsonLease,
    /// An array of names.
    JsonNameArray,
    /// An array of leases.
    JsonLeaseArray,
}

/// How what the commands make is named and reached; every value is a template.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Connection {
    /// What the resource is called, and what a list of names shows.
    pub resource_name: String,
    /// The id that the commands know the resource by.
    pub cloud_id: String,
    /// The type of the machine.
    pub server_type: String,
    /// Labels of the lease.
    pub labels: BTreeMap<String, String>,
    /// How to log in.
    pub ssh: Ssh,
    /// Whether the name may hold what comes from the environment.
    pub allow_env_resource_name: bool,
}

/// How to log in; every value is a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Ssh {
    /// The login name; has to be there.
    pub user: String,
    /// The host; the resource's name without it.
    pub host: Option<String>,
    /// A private key file. The lease logs in with its own key.
    pub key: Option<String>,
    /// The port.
    pub port: Option<String>,
    /// Further ports.
    pub fallback_ports: Vec<String>,
    /// A shell check that is read and not needed: a login that runs a command is the check.
    pub ready_check: Option<String>,
    /// Read and not needed: who logs in is never printed.
    pub auth_secret: Option<bool>,
    /// Read and not needed.
    pub no_control_master: Option<bool>,
    /// Whether the way leads over the user's ssh configuration, which is never read.
    pub ssh_config_proxy: Option<bool>,
    /// A command whose standard streams are the connection.
    pub proxy_command: Option<String>,
    /// The host's public key.
    pub host_key: Option<String>,
    /// Whether these values may hold what comes from the environment.
    pub allow_env: Option<bool>,
    /// Whether what commands print may say how to log in.
    pub trust_provider_output: Option<bool>,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            resource_name: "{{name}}".to_owned(),
            cloud_id: "{{name}}".to_owned(),
            server_type: String::new(),
            labels: BTreeMap::new(),
            ssh: Ssh::default(),
            allow_env_resource_name: false,
        }
    }
}

impl Operation {
    /// One command.
    pub fn argv(words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { argv: words.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// The same with an answer.
    #[must_use]
    pub fn printing(mut self, output: OutputForm) -> Self {
        self.output = output;
        self
    }

    fn commands(&self) -> Vec<&[String]> {
        if self.steps.is_empty() {
            vec![self.argv.as_slice()]
        } else {
            self.steps.iter().map(Vec::as_slice).collect()
        }
    }

    fn check(&self, what: &'static str) -> Result<(), ExternalError> {
        if !self.argv.is_empty() && !self.steps.is_empty() {
            return Err(ExternalError::config(what, "it has both `argv` and `steps`"));
        }
        self.commands().into_iter().try_for_each(|argv| check_argv(what, argv))
    }
}

impl Lifecycle {
    fn named(&self) -> [(&'static str, Option<&Operation>); 7] {
        [
            ("lifecycle.doctor", self.doctor.as_ref()),
            ("lifecycle.acquire", Some(&self.acquire)),
            ("lifecycle.resolve", self.resolve.as_ref()),
            ("lifecycle.list", Some(&self.list)),
            ("lifecycle.release", Some(&self.release)),
            ("lifecycle.touch", self.touch.as_ref()),
            ("lifecycle.cleanup", self.cleanup.as_ref()),
        ]
    }

    /// The program of every command, as it is written.
    pub fn programs(&self) -> Vec<&str> {
        let operations = self.named().into_iter().filter_map(|(_, operation)| operation);
        let commands = operations.flat_map(Operation::commands);
        commands.filter_map(|argv| argv.first()).map(String::as_str).collect()
    }

    /// Refuses what could not work.
    pub(crate) fn check(
        &self,
        connection: &Connection,
        idempotent_lease_id: bool,
    ) -> Result<(), ExternalError> {
        let refuse = |what, why: &str| Err(ExternalError::config(what, why));
        for (what, operation) in self.named() {
            let Some(operation) = operation else { continue };
            operation.check(what)?;
            let fits = match what {
                "lifecycle.acquire" | "lifecycle.resolve" => {
                    matches!(operation.output, OutputForm::None | OutputForm::JsonLease)
                }
                "lifecycle.list" => matches!(
                    operation.output,
                    OutputForm::JsonNameArray | OutputForm::JsonLeaseArray
                ),
                _ => operation.output == OutputForm::None,
            };
            if !fits {
                return refuse(what, "its `output` does not fit the operation");
            }
            if !operation.name_prefix.is_empty() && operation.output != OutputForm::JsonNameArray {
                return refuse(what, "`namePrefix` needs `output: json-name-array`");
            }
            if operation.rollback_on_failure
                && (what != "lifecycle.acquire" || operation.steps.len() < 2)
            {
                return refuse(what, "`rollbackOnFailure` is for an acquire of several steps");
            }
        }
        if connection.ssh.user.trim().is_empty() {
            return refuse("connection.ssh.user", "it is missing");
        }
        if self.list.output == OutputForm::JsonNameArray
            && !connection.resource_name.contains("{{name}}")
        {
            let why = "a list of names shows whose they are only if they contain `{{name}}`";
            return refuse("connection.resourceName", why);
        }
        if idempotent_lease_id { self.check_fixed_ids() } else { Ok(()) }
    }

    fn check_fixed_ids(&self) -> Result<(), ExternalError> {
        let refuse = |what, why: &str| Err(ExternalError::config(what, why));
        if self.acquire.output != OutputForm::JsonLease {
            return refuse("lifecycle.acquire", "fixed lease ids need `output: json-lease`");
        }
        if self.resolve.as_ref().is_none_or(|it| it.output != OutputForm::JsonLease) {
            return refuse("lifecycle.resolve", "fixed lease ids need `output: json-lease`");
        }
        if self.list.output != OutputForm::JsonLeaseArray {
            return refuse("lifecycle.list", "fixed lease ids need `output: json-lease-array`");
        }
        let names_it = |argv: &&[String]| argv.iter().any(|it| it == "{{cloudId}}");
        if !self.release.commands().iter().all(names_it) {
            return refuse("lifecycle.release", "fixed lease ids need the argument `{{cloudId}}`");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifecycle() -> (Lifecycle, Connection) {
        let lifecycle = Lifecycle {
            acquire: Operation::argv(["make", "{{name}}"]),
            list: Operation::argv(["list"]).printing(OutputForm::JsonNameArray),
            release: Operation::argv(["end", "{{name}}"]),
            ..Lifecycle::default()
        };
        let ssh = Ssh { user: "ann".to_owned(), ..Ssh::default() };
        (lifecycle, Connection { ssh, ..Connection::default() })
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Lifecycle, &mut Connection), expect: &str) {
        let (mut lifecycle, mut connection) = lifecycle();
        change(&mut lifecycle, &mut connection);
        let said = lifecycle.check(&connection, false).err().map(|it| it.to_string());
        let said = said.unwrap_or_else(|| "fine".to_owned());
        assert!(said.contains(expect), "{said}");
    }

    #[test]
    fn what_could_not_work_is_refused() {
        check(|_, _| {}, "fine");
        check(|it, _| it.acquire.argv.clear(), "lifecycle.acquire");
        check(|it, _| it.acquire.steps = vec![vec!["x".into()]], "both `argv` and `steps`");
        check(|it, _| it.list.output = OutputForm::None, "lifecycle.list");
        check(|it, _| it.release.output = OutputForm::JsonLease, "lifecycle.release");
        check(|it, _| it.acquire.rollback_on_failure = true, "several steps");
        check(|_, it| it.ssh.user = " ".into(), "ssh.user");
        check(|_, it| it.resource_name = "{{slug}}".into(), "resourceName");
        check(|it, _| it.release.name_prefix = "x".into(), "namePrefix");
    }

    #[test]
    fn fixed_ids_need_everything_that_names_them() {
        let (mut it, connection) = lifecycle();
        assert!(it.check(&connection, true).is_err());
        it.acquire.output = OutputForm::JsonLease;
        it.resolve = Some(Operation::argv(["look"]).printing(OutputForm::JsonLease));
        it.list.output = OutputForm::JsonLeaseArray;
        assert!(it.check(&connection, true).is_err());
        it.release.argv.push("{{cloudId}}".into());
        assert!(it.check(&connection, true).is_ok());
    }
}
