//! Which server types a class means, as data, and which of what is offered a wish leads to.
//!
//! The names are those of September 2026. Prices are read from the interface and never written here.

use lease_core::provider::Price;
use lease_core::{Result, Size};

use crate::config::Architecture;
use crate::error::HetznerError;
use crate::wire::{Offer, ServerType};

/// The class when a spec names neither a class nor a type.
pub(crate) const DEFAULT_CLASS: &str = "standard";

const PLAN: &str = "plan a server";

/// A class: its name and its types for each architecture, best first. The first are the cheapest; the later ones cost
/// more and are taken when there is nothing else.
struct Class {
    name: &'static str,
    x86: &'static [&'static str],
    arm: &'static [&'static str],
}

/// The classes, from the smallest to the largest: cores and memory in GB are, in order, at least 2 and 4, 4 and 8, 8 and
/// 16, 12 and 24, 32 and 128, 48 and 192.
const CLASSES: &[Class] = &[
    Class { name: "tiny", x86: &["cx23", "cpx22", "ccx13"], arm: &["cax11", "cax21"] },
    Class { name: "small", x86: &["cx33", "cpx32", "ccx23"], arm: &["cax21", "cax31"] },
    Class { name: "standard", x86: &["cx43", "cpx42", "ccx33"], arm: &["cax31", "cax41"] },
    Class { name: "large", x86: &["cx53", "cpx62", "cpx52", "ccx43"], arm: &["cax41"] },
    Class { name: "xlarge", x86: &["ccx53", "ccx63"], arm: &[] },
    Class { name: "beast", x86: &["ccx63"], arm: &[] },
];

impl Class {
    fn types(&self, architecture: Architecture) -> &'static [&'static str] {
        match architecture {
            Architecture::X86 => self.x86,
            Architecture::Arm => self.arm,
        }
    }
}

/// What a wish asks of the catalogue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice<'a> {
    pub(crate) class: Option<&'a str>,
    pub(crate) machine_type: Option<&'a str>,
    /// The architecture, where the wish names one.
    pub(crate) architecture: Option<Architecture>,
    /// The architecture otherwise.
    pub(crate) usual: Architecture,
    pub(crate) locations: &'a [String],
}

/// A server type in a location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pick {
    pub(crate) machine_type: String,
    pub(crate) location: String,
    pub(crate) architecture: Architecture,
}

/// The candidates of a wish, best first: by type, and within a type by location. What the catalogue says is not to be
/// had now is left out unless there is nothing else; whether that is true is decided by the create.
pub(crate) fn picks(types: &[ServerType], choice: Choice<'_>) -> Result<Vec<Pick>> {
    let refuse = |why: String| Err(HetznerError::Request(why).harmless(PLAN));
    for location in choice.locations {
        if !types.iter().any(|it| it.offer_in(location).is_some()) {
            let there = listed(locations(types).iter().map(String::as_str));
            return refuse(format!("there is no location {location:?}; there is: {there}"));
        }
    }
    let wanted = match choice.machine_type {
        Some(name) => vec![explicit(types, name, choice)?],
        None => of_class(types, choice)?,
    };
    let mut all = Vec::new();
    for kind in &wanted {
        let architecture = kind.architecture.unwrap_or(choice.usual);
        for location in choice.locations {
            if let Some(offer) = kind.offer_in(location) {
                let pick = Pick {
                    machine_type: kind.name.clone(),
                    location: location.clone(),
                    architecture,
                };
                all.push((offer.available != Some(false), pick));
            }
        }
    }
    if all.is_empty() {
        let names = listed(wanted.iter().map(|it| it.name.as_str()));
        let tried = listed(choice.locations.iter().map(String::as_str));
        return refuse(format!("{names} is not offered in {tried}; choose another location"));
    }
    if all.iter().any(|(available, _)| *available) {
        all.retain(|(available, _)| *available);
    }
    Ok(all.into_iter().map(|(_, pick)| pick).collect())
}

fn explicit<'t>(types: &'t [ServerType], name: &str, choice: Choice<'_>) -> Result<&'t ServerType> {
    let refuse = |why: String| Err(HetznerError::Request(why).harmless(PLAN));
    let Some(kind) = types.iter().find(|it| it.name == name) else {
        let there = listed(types.iter().map(|it| it.name.as_str()));
        return refuse(format!("there is no server type {name:?}; there is: {there}"));
    };
    match (choice.architecture, kind.architecture) {
        (Some(wanted), Some(has)) if wanted != has => refuse(format!(
            "the server type {name} is {} and the architecture {} was asked for",
            has.name(),
            wanted.name()
        )),
        _ => Ok(kind),
    }
}

fn of_class<'t>(types: &'t [ServerType], choice: Choice<'_>) -> Result<Vec<&'t ServerType>> {
    let refuse = |why: String| Err(HetznerError::Request(why).harmless(PLAN));
    let name = choice.class.unwrap_or(DEFAULT_CLASS);
    let Some(class) = CLASSES.iter().find(|it| it.name == name) else {
        let there = listed(CLASSES.iter().map(|it| it.name));
        return refuse(format!("there is no class {name:?}; there is: {there}"));
    };
    let architecture = choice.architecture.unwrap_or(choice.usual);
    let names = class.types(architecture);
    if names.is_empty() {
        return refuse(format!("the class {name} has no {} server", architecture.name()));
    }
    let known = names.iter().filter_map(|name| types.iter().find(|it| it.name == *name));
    let known: Vec<_> = known.collect();
    if known.is_empty() {
        return refuse(format!(
            "the server types of the class {name} ({}) are not offered any more; name a machine type, or use a newer version of lease",
            names.join(", ")
        ));
    }
    Ok(known)
}

/// What can be had in these locations, with what it costs in the first of them that has it.
pub(crate) fn sizes(
    types: &[ServerType],
    currency: Option<&str>,
    locations: &[String],
) -> Vec<Size> {
    let mut sizes = Vec::new();
    for kind in types {
        let offers: Vec<&Offer> = locations.iter().filter_map(|it| kind.offer_in(it)).collect();
        if offers.is_empty() {
            continue;
        }
        let said: Vec<bool> = offers.iter().filter_map(|it| it.available).collect();
        let price = offers.iter().find_map(|it| it.hourly_net.clone()).zip(currency);
        let architecture = kind.architecture.map_or("unknown processors", Architecture::name);
        let places = listed(offers.iter().map(|it| it.location.as_str()));
        let has = |it: &&Class| it.x86.contains(&&*kind.name) || it.arm.contains(&&*kind.name);
        let mut size = Size::new(kind.name.as_str(), kind.cores, kind.memory_gib);
        size.classes = CLASSES.iter().filter(has).map(|it| it.name.to_owned()).collect();
        size.notes = format!(
            "{architecture}, {} cores, {} GB disk, {places}; price without tax and address",
            kind.cpu_type, kind.disk_gb
        );
        size.price_per_hour =
            price.map(|(amount, currency)| Price { amount, currency: currency.to_owned() });
        size.available = (!said.is_empty()).then(|| said.contains(&true));
        sizes.push(size);
    }
    sizes
}

/// Every location that anything is offered in.
pub(crate) fn locations(types: &[ServerType]) -> Vec<String> {
    let mut all: Vec<_> =
        types.iter().flat_map(|it| &it.offers).map(|it| it.location.clone()).collect();
    all.sort();
    all.dedup();
    all
}

fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(
        name: &str,
        architecture: Architecture,
        offers: &[(&str, Option<bool>)],
    ) -> ServerType {
        ServerType {
            name: name.to_owned(),
            cores: 2,
            memory_gib: 4.0,
            disk_gb: 40,
            architecture: Some(architecture),
            cpu_type: "shared".to_owned(),
            offers: offers
                .iter()
                .map(|&(location, available)| Offer {
                    location: location.to_owned(),
                    available,
                    hourly_net: Some("0.0140000000".to_owned()),
                })
                .collect(),
        }
    }

    fn shelf() -> Vec<ServerType> {
        let (x86, arm) = (Architecture::X86, Architecture::Arm);
        vec![
            offered("cx33", x86, &[("fsn1", Some(true)), ("nbg1", Some(false))]),
            offered("cpx32", x86, &[("fsn1", Some(false)), ("ash", None)]),
            offered("cax21", arm, &[("nbg1", Some(true))]),
            offered("cx53", x86, &[("fsn1", Some(false)), ("nbg1", Some(false))]),
        ]
    }

    #[track_caller]
    fn check(choice: Choice<'_>, expected: Result<&[&str], &str>) {
        let found = picks(&shelf(), choice).map_err(|error| {
            assert_eq!(error.kind(), lease_core::ErrorKind::Invalid, "{error}");
            error.to_string()
        });
        match (found, expected) {
            (Ok(found), Ok(expected)) => {
                let found: Vec<_> =
                    found.iter().map(|it| format!("{}@{}", it.machine_type, it.location)).collect();
                assert_eq!(found, expected, "{choice:?}");
            }
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            (found, expected) => panic!("{choice:?}: {found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn candidates_are_ordered_by_type_and_then_by_location() {
        let everywhere = ["fsn1", "nbg1", "ash"].map(str::to_owned);
        let choice = Choice {
            class: Some("small"),
            machine_type: None,
            architecture: None,
            usual: Architecture::X86,
            locations: &everywhere,
        };
        check(choice, Ok(&["cx33@fsn1", "cpx32@ash"]));
        check(Choice { architecture: Some(Architecture::Arm), ..choice }, Ok(&["cax21@nbg1"]));
        check(Choice { usual: Architecture::Arm, ..choice }, Ok(&["cax21@nbg1"]));
        check(Choice { class: None, machine_type: Some("cpx32"), ..choice }, Ok(&["cpx32@ash"]));
        // What the catalogue calls sold out is tried when there is nothing else.
        check(Choice { class: Some("large"), ..choice }, Ok(&["cx53@fsn1", "cx53@nbg1"]));
        // A type decides the architecture where nobody else does.
        check(Choice { machine_type: Some("cax21"), ..choice }, Ok(&["cax21@nbg1"]));
    }

    #[test]
    fn what_there_is_not_is_refused_with_what_there_is() {
        let here = ["fsn1".to_owned()];
        let choice = Choice {
            class: None,
            machine_type: None,
            architecture: None,
            usual: Architecture::X86,
            locations: &here,
        };
        check(choice, Err("not offered any more"));
        check(Choice { class: Some("huge"), ..choice }, Err("tiny, small, standard"));
        check(Choice { machine_type: Some("cx99"), ..choice }, Err("cx33, cpx32"));
        check(Choice { machine_type: Some("cax21"), ..choice }, Err("not offered in fsn1"));
        let arm = Some(Architecture::Arm);
        check(Choice { machine_type: Some("cx33"), architecture: arm, ..choice }, Err("is x86"));
        check(Choice { class: Some("beast"), architecture: arm, ..choice }, Err("no arm server"));
        let nowhere = ["mars1".to_owned()];
        check(Choice { locations: &nowhere, ..choice }, Err("ash, fsn1, nbg1"));
    }

    #[test]
    fn a_size_says_its_price_as_hetzner_prints_it() {
        let sizes = sizes(&shelf(), Some("EUR"), &["fsn1".to_owned()]);
        let named: Vec<_> = sizes.iter().map(|it| (&*it.machine_type, it.available)).collect();
        assert_eq!(named, [("cx33", Some(true)), ("cpx32", Some(false)), ("cx53", Some(false))]);
        let price = sizes[0].price_per_hour.as_ref().unwrap();
        assert_eq!((&*price.amount, &*price.currency), ("0.0140000000", "EUR"));
        assert_eq!(sizes[0].classes, ["small"]);
    }

    #[test]
    fn every_class_has_a_type_and_the_default_is_one_of_them() {
        assert!(CLASSES.iter().all(|it| !it.x86.is_empty()));
        assert!(CLASSES.iter().any(|it| it.name == DEFAULT_CLASS));
    }
}
