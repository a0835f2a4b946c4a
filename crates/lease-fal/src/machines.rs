//! The machines that fal documents, and how a wish names one of them.

use lease_core::provider::refuse_unknown_options;
use lease_core::{Result, Size, Spec};

use crate::config::FalConfig;
use crate::error::FalError;

/// The type with one GPU.
pub(crate) const ONE: &str = "gpu_1x_h100_sxm5";
/// The type with eight GPUs, the only one that has sectors.
pub(crate) const EIGHT: &str = "gpu_8x_h100_sxm5";

/// The documented sectors. They only mean something with eight GPUs.
const SECTORS: [&str; 3] = ["sector_1", "sector_2", "sector_3"];

/// The option by which a spec names one.
const SECTOR: &str = "sector";

const PLAN: &str = "plan an instance";

/// A machine as fal's documentation describes it.
struct Machine {
    name: &'static str,
    class: &'static str,
    cores: u32,
    memory_gib: f64,
    notes: &'static str,
}

/// Documented, apart from the classes: those are ours. fal prints the memory in GB.
const MACHINES: [Machine; 2] = [
    Machine {
        name: ONE,
        class: "gpu",
        cores: 16,
        memory_gib: 200.0,
        notes: "1 NVIDIA H100 SXM5 with 80 GB, 1 TB disk; billed by the hour at a fixed rate",
    },
    Machine {
        name: EIGHT,
        class: "gpu8",
        cores: 128,
        memory_gib: 1600.0,
        notes: "8 NVIDIA H100 SXM5 with 640 GB together, 8 TB disk, InfiniBand by sector; billed by the hour at a fixed rate",
    },
];

/// What a spec comes down to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) instance_type: String,
    pub(crate) sector: Option<String>,
}

impl Wish {
    /// Reads a spec; what fal does not offer is refused here, before anything exists.
    pub(crate) fn read(spec: &Spec, config: &FalConfig) -> Result<Self> {
        refuse_unknown_options(spec, &[SECTOR])?;
        Self::of(spec, config).map_err(|error| error.harmless(PLAN))
    }

    fn of(spec: &Spec, config: &FalConfig) -> Result<Self, FalError> {
        let by_class = spec.class.as_deref().map(of_class).transpose()?;
        let instance_type = match &spec.machine_type {
            Some(wanted) => known_type(wanted, config)?,
            None => by_class.unwrap_or(&config.instance_type),
        };
        let sector = match spec.options.get(SECTOR) {
            Some(value) => Some(known_sector(value, instance_type)?),
            None => config.sector.clone().filter(|_| instance_type == EIGHT),
        };
        Ok(Self { instance_type: instance_type.to_owned(), sector })
    }

    /// The wish in words.
    pub(crate) fn label(&self) -> String {
        match &self.sector {
            Some(sector) => format!("{} in {sector}", self.instance_type),
            None => self.instance_type.clone(),
        }
    }
}

/// Whether an instance that shows this type may be one that was asked for as `wanted`. Only another type that is known
/// excludes it: fal may one day print the same machine under another name.
pub(crate) fn may_be(shown: &str, wanted: &str) -> bool {
    shown == wanted || !MACHINES.iter().any(|it| it.name == shown)
}

/// The machines as sizes. fal has no interface for prices and none for what is free.
pub(crate) fn sizes() -> Vec<Size> {
    let size = |it: &Machine| {
        let mut size = Size::new(it.name, it.cores, it.memory_gib);
        size.classes.push(it.class.to_owned());
        it.notes.clone_into(&mut size.notes);
        size
    };
    MACHINES.iter().map(size).collect()
}

fn of_class(class: &str) -> Result<&'static str, FalError> {
    let found = MACHINES.iter().find(|it| it.class == class).map(|it| it.name);
    found.ok_or_else(|| {
        let offered = MACHINES.map(|it| it.class).join(", ");
        FalError::Request(format!("fal has no class {class:?}; it has: {offered}"))
    })
}

fn known_type<'a>(wanted: &'a str, config: &FalConfig) -> Result<&'a str, FalError> {
    let is_known = wanted == config.instance_type || MACHINES.iter().any(|it| it.name == wanted);
    if is_known {
        return Ok(wanted);
    }
    let offered = MACHINES.map(|it| it.name).join(", ");
    Err(FalError::Request(format!("fal has no instance type {wanted:?}; it has: {offered}")))
}

fn known_sector(value: &serde_json::Value, instance_type: &str) -> Result<String, FalError> {
    if instance_type == ONE {
        let why = format!("a sector can only be chosen with {EIGHT}; leave it out for {ONE}");
        return Err(FalError::Request(why));
    }
    let known = value.as_str().filter(|it| SECTORS.contains(it));
    known.map(str::to_owned).ok_or_else(|| {
        FalError::Request(format!("there is no sector {value}; fal has: {}", SECTORS.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use lease_core::{Effect, ErrorKind};
    use serde_json::json;

    use super::*;

    fn spec(change: impl FnOnce(&mut Spec)) -> Spec {
        let mut spec = Spec::new("fal");
        change(&mut spec);
        spec
    }

    #[track_caller]
    fn check(spec: &Spec, expected: Result<(&str, Option<&str>), ErrorKind>) {
        let mut config = FalConfig::new(None);
        config.sector = Some("sector_2".to_owned());
        let found = Wish::read(spec, &config);
        let found = found.map_err(|error| {
            assert_eq!(error.effect(), Effect::None);
            error.kind()
        });
        let expected = expected.map(|(instance_type, sector)| Wish {
            instance_type: instance_type.to_owned(),
            sector: sector.map(str::to_owned),
        });
        assert_eq!(found, expected, "{spec:?}");
    }

    #[test]
    fn a_wish_names_a_type_a_class_or_nothing() {
        check(&spec(|_| {}), Ok((ONE, None)));
        check(&spec(|it| it.class = Some("gpu".into())), Ok((ONE, None)));
        check(&spec(|it| it.class = Some("gpu8".into())), Ok((EIGHT, Some("sector_2"))));
        check(&spec(|it| it.machine_type = Some(EIGHT.into())), Ok((EIGHT, Some("sector_2"))));
        check(&spec(|it| it.class = Some("beast".into())), Err(ErrorKind::Invalid));
        check(&spec(|it| it.machine_type = Some("h200".into())), Err(ErrorKind::Invalid));
    }

    #[test]
    fn a_sector_needs_eight_gpus_and_has_a_documented_name() {
        let with = |machine: &str, sector: serde_json::Value| {
            spec(|it| {
                it.machine_type = Some(machine.to_owned());
                it.options.insert("sector".to_owned(), sector);
            })
        };
        check(&with(EIGHT, json!("sector_3")), Ok((EIGHT, Some("sector_3"))));
        check(&with(EIGHT, json!("sector_9")), Err(ErrorKind::Invalid));
        check(&with(EIGHT, json!(3)), Err(ErrorKind::Invalid));
        check(&with(ONE, json!("sector_1")), Err(ErrorKind::Invalid));
    }

    #[test]
    fn a_refused_wish_says_what_is_offered() {
        let wish = spec(|it| it.machine_type = Some("h200".into()));
        let error = Wish::read(&wish, &FalConfig::new(None)).unwrap_err();
        assert!(error.message().contains(ONE) && error.message().contains(EIGHT), "{error}");
    }

    #[test]
    fn a_type_that_fal_adds_later_can_be_the_configured_one() {
        let mut config = FalConfig::new(None);
        config.instance_type = "gpu_1x_b200".to_owned();
        let by_default = Wish::read(&spec(|_| {}), &config).unwrap();
        let named = spec(|it| it.machine_type = Some("gpu_1x_b200".into()));
        assert_eq!(by_default, Wish::read(&named, &config).unwrap());
    }

    #[test]
    fn only_another_known_type_excludes_an_instance() {
        assert!(may_be(ONE, ONE) && may_be("gpu_1x_h100", ONE) && !may_be(EIGHT, ONE));
    }
}
