//! What one lease asks of Slurm: the options of the wish over those of the configuration.

use std::time::Duration;

use lease_core::Spec;
use lease_core::provider::refuse_unknown_options;
use lease_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::SlurmConfig;

const PLAN: &str = "plan a job";

/// What a lease may ask for itself.
const OPTIONS: &[&str] = &[
    "account",
    "constraint",
    "cpus",
    "gres",
    "memory_mib",
    "partition",
    "qos",
    "reservation",
    "time",
];

/// A wish, complete: it is what the journal keeps of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) partition: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) qos: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cpus: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memory_mib: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gres: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) constraint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reservation: Option<String>,
    /// The wall time, when the lease asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<Duration>,
}

impl Wish {
    /// What is asked for when a lease asks for nothing.
    pub(crate) fn of_config(config: &SlurmConfig) -> Self {
        Self {
            account: config.account.clone(),
            partition: config.partition.clone(),
            qos: config.qos.clone(),
            cpus: config.cpus,
            memory_mib: config.memory_mib,
            gres: config.gres.clone(),
            constraint: config.constraint.clone(),
            reservation: config.reservation.clone(),
            time: None,
        }
    }

    /// What a lease asks for. A machine type is a partition; there are no classes.
    pub(crate) fn read(spec: &Spec, config: &SlurmConfig) -> Result<Self> {
        refuse_unknown_options(spec, OPTIONS)?;
        if let Some(class) = spec.class.as_deref().filter(|it| *it != "any") {
            let why = format!(
                "there is no class {class:?}; ask for `cpus` and `memory_mib`, or name a partition"
            );
            return Err(Error::harmless(ErrorKind::Invalid, PLAN, why));
        }
        let mut wish = Self::of_config(config);
        let text = |name: &str, place: &mut Option<String>| match spec.options.get(name) {
            None => Ok(()),
            Some(value) => read_word(name, value).map(|it| *place = Some(it)),
        };
        text("account", &mut wish.account)?;
        text("partition", &mut wish.partition)?;
        text("qos", &mut wish.qos)?;
        text("gres", &mut wish.gres)?;
        text("constraint", &mut wish.constraint)?;
        text("reservation", &mut wish.reservation)?;
        if let Some(value) = spec.options.get("cpus") {
            let number = read_number("cpus", value)?;
            wish.cpus = Some(u32::try_from(number).map_err(|_| wrong("cpus", value))?);
        }
        if let Some(value) = spec.options.get("memory_mib") {
            wish.memory_mib = Some(read_number("memory_mib", value)?);
        }
        if let Some(value) = spec.options.get("time") {
            wish.time = Some(Duration::from_secs(read_number("time", value)?));
        }
        if let Some(partition) = &spec.machine_type {
            wish.partition = Some(read_word("machine type", &Value::from(partition.as_str()))?);
        }
        Ok(wish)
    }
}

/// A word for sbatch. What has white space or begins an option is nobody's partition, account or feature.
fn read_word(name: &str, value: &Value) -> Result<String> {
    let text = value.as_str().ok_or_else(|| wrong(name, value))?;
    let is_plain = |it: char| it.is_ascii_graphic() && !"'\"\\`$;<>".contains(it);
    let good = !text.is_empty()
        && text.len() <= 256
        && !text.starts_with('-')
        && text.chars().all(is_plain);
    if good { Ok(text.to_owned()) } else { Err(wrong(name, value)) }
}

fn read_number(name: &str, value: &Value) -> Result<u64> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    number.filter(|it| *it > 0).ok_or_else(|| wrong(name, value))
}

fn wrong(name: &str, value: &Value) -> Error {
    let unit = match name {
        "time" => "a number of seconds",
        "memory_mib" => "a number of mebibytes",
        "cpus" => "a number of cores",
        _ => "one plain word",
    };
    Error::harmless(ErrorKind::Invalid, PLAN, format!("`{name}` is {value}; it must be {unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, value: Value, good: bool) {
        let mut spec = Spec::new("slurm");
        spec.options.insert(name.to_owned(), value);
        let read = Wish::read(&spec, &SlurmConfig::new("/s"));
        assert_eq!(read.is_ok(), good, "{read:?}");
        if let Err(error) = read {
            assert_eq!(error.kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn an_option_is_a_word_or_a_number_and_nothing_more() {
        check("partition", "gpu,long".into(), true);
        check("constraint", "a&b|[c*2]".into(), true);
        check("gres", "gpu:a100:2".into(), true);
        for bad in ["", "-x", "a b", "a\nb", "$(id)", "a;b", "it's"] {
            check("account", bad.into(), false);
        }
        check("cpus", 4.into(), true);
        check("cpus", "4".into(), true);
        for bad in [
            Value::from(0),
            Value::from(-1),
            Value::from("many"),
            Value::from(1.5),
            Value::from(1_u64 << 40),
        ] {
            check("cpus", bad, false);
        }
        check("time", 600.into(), true);
        check("sbatch_args", "--wrap=x".into(), false);
    }

    #[test]
    fn the_lease_overrules_the_configuration() {
        let mut config = SlurmConfig::new("/s");
        (config.partition, config.cpus) = (Some("normal".to_owned()), Some(2));
        let mut spec = Spec::new("slurm");
        spec.machine_type = Some("gpu".to_owned());
        let wish = Wish::read(&spec, &config).unwrap();
        assert_eq!((wish.partition.as_deref(), wish.cpus), (Some("gpu"), Some(2)));
        spec.class = Some("beast".to_owned());
        Wish::read(&spec, &config).unwrap_err();
    }
}
