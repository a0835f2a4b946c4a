//! What a spec asks for, with the configuration for what it leaves open.

use lease_core::provider::refuse_unknown_options;
use lease_core::{Result, Spec};
use serde_json::Value;

use crate::config::{Architecture, Family, HetznerConfig};
use crate::error::HetznerError;

const OPERATION: &str = "read the options";

/// The options of a spec.
const OPTIONS: &[&str] =
    &["location", "image", "architecture", "network", "ipv4", "ipv6", "ssh_key"];

/// A wish, well-formed but not yet held against what there is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wish {
    pub(crate) class: Option<String>,
    pub(crate) machine_type: Option<String>,
    pub(crate) locations: Vec<String>,
    pub(crate) image: String,
    pub(crate) architecture: Option<Architecture>,
    pub(crate) networks: Vec<String>,
    pub(crate) ipv4: Family,
    pub(crate) ipv6: Family,
    pub(crate) ssh_key: Option<String>,
}

impl Wish {
    pub(crate) fn read(spec: &Spec, config: &HetznerConfig) -> Result<Self> {
        refuse_unknown_options(spec, OPTIONS)?;
        let read = Reader { spec };
        let architecture = match read.text("architecture")? {
            None => None,
            Some(word) => Some(Architecture::parse(&word).ok_or_else(|| {
                refused(format!("`architecture` is {word:?}; it can be \"x86\" or \"arm\""))
            })?),
        };
        let wish = Self {
            class: spec.class.clone(),
            machine_type: spec.machine_type.clone(),
            locations: read.texts("location")?.unwrap_or_else(|| config.locations.clone()),
            image: read.text("image")?.unwrap_or_else(|| config.image.clone()),
            architecture,
            networks: read.texts("network")?.unwrap_or_else(|| config.networks.clone()),
            ipv4: read.family("ipv4")?.unwrap_or(config.ipv4),
            ipv6: read.family("ipv6")?.unwrap_or(config.ipv6),
            ssh_key: read.text("ssh_key")?.or_else(|| config.ssh_key.clone()),
        };
        if wish.locations.is_empty() {
            return Err(refused("`location` names none; leave it out or name one".to_owned()));
        }
        if !wish.ipv4.is_on() && !wish.ipv6.is_on() {
            let why = "a server without `ipv4` and `ipv6` cannot be reached; turn one of them on";
            return Err(refused(why.to_owned()));
        }
        Ok(wish)
    }
}

struct Reader<'s> {
    spec: &'s Spec,
}

impl Reader<'_> {
    /// A text; a number is an id and as good as its digits.
    fn text(&self, name: &str) -> Result<Option<String>> {
        let Some(value) = self.spec.options.get(name) else { return Ok(None) };
        word(value)
            .map(Some)
            .ok_or_else(|| refused(format!("`{name}` is {value}; it must be a name")))
    }

    /// One or several texts.
    fn texts(&self, name: &str) -> Result<Option<Vec<String>>> {
        let Some(value) = self.spec.options.get(name) else { return Ok(None) };
        let words = match value.as_array() {
            Some(values) => values.iter().map(word).collect::<Option<Vec<_>>>(),
            None => word(value).map(|it| vec![it]),
        };
        let why = || refused(format!("`{name}` is {value}; it must be a name or a list of names"));
        words.map(Some).ok_or_else(why)
    }

    fn family(&self, name: &str) -> Result<Option<Family>> {
        match self.spec.options.get(name) {
            None => Ok(None),
            Some(Value::Bool(true)) => Ok(Some(Family::On)),
            Some(Value::Bool(false)) => Ok(Some(Family::Off)),
            Some(other) => Err(refused(format!("`{name}` is {other}; it must be true or false"))),
        }
    }
}

fn word(value: &Value) -> Option<String> {
    let number = || value.as_u64().map(|it| it.to_string());
    let text = value.as_str().map(str::to_owned).or_else(number)?;
    let plain = |it: char| !it.is_control() && !it.is_whitespace();
    (!text.is_empty() && text.chars().all(plain)).then_some(text)
}

fn refused(why: String) -> lease_core::Error {
    HetznerError::Request(why).harmless(OPERATION)
}

#[cfg(test)]
mod tests {
    use lease_core::{ErrorKind, Secret};
    use serde_json::json;

    use super::*;

    fn read(options: Value) -> Result<Wish> {
        let secret = Secret::new("0123456789abcdef0123456789abcdef");
        let mut spec = Spec::new("hetzner");
        let Value::Object(options) = options else { panic!("options are an object") };
        spec.options = options;
        Wish::read(&spec, &HetznerConfig::new(None, secret))
    }

    #[test]
    fn a_spec_goes_before_the_configuration() {
        let usual = read(json!({})).unwrap();
        assert_eq!(usual.locations, ["fsn1", "nbg1", "hel1"]);
        assert_eq!((usual.ipv4, usual.ipv6), (Family::On, Family::Off));
        let wish = read(json!({
            "location": "ash", "image": 114_690_387, "architecture": "arm",
            "network": ["a", 7], "ipv4": false, "ipv6": true, "ssh_key": "ann@laptop",
        }))
        .unwrap();
        assert_eq!(wish.locations, ["ash"]);
        assert_eq!(wish.image, "114690387");
        assert_eq!(wish.architecture, Some(Architecture::Arm));
        assert_eq!(wish.networks, ["a", "7"]);
        assert_eq!((wish.ipv4, wish.ipv6), (Family::Off, Family::On));
        assert_eq!(wish.ssh_key.as_deref(), Some("ann@laptop"));
    }

    #[test]
    fn what_is_not_an_option_or_not_of_its_type_is_refused_with_its_name() {
        for (options, named) in [
            (json!({"colour": "red"}), "colour"),
            (json!({"location": true}), "location"),
            (json!({"location": []}), "location"),
            (json!({"location": ["fsn1", null]}), "location"),
            (json!({"image": ""}), "image"),
            (json!({"image": "debian 12"}), "image"),
            (json!({"architecture": "sparc"}), "architecture"),
            (json!({"ipv4": "yes"}), "ipv4"),
            (json!({"ipv4": false}), "ipv6"),
            (json!({"ssh_key": {"id": 1}}), "ssh_key"),
            (json!({"network": 1.5}), "network"),
        ] {
            let error = read(options.clone()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{options}");
            assert!(error.to_string().contains(named), "{options}: {error}");
        }
    }
}
