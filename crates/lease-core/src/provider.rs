//! The provider contract. Its documentation is the specification: each numbered sentence has a behaviour test of that
//! name in `lease-testkit`, and every provider runs them all.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::descriptor::Descriptor;
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::{Found, Inventory, Sighting};
use crate::id::ResourceId;
use crate::journal::Disposition;
use crate::proof::{Held, Intent, Owned};
use crate::scope::Scope;
use crate::spec::Spec;
use crate::time::Timestamp;

/// A supplier of machines.
///
/// # Contract
///
/// A provider maps calls to a wire and answers what it saw. It never retries, waits for a state, rolls back, falls back
/// or decides: order, repetition and proof belong to the engine. It holds no state about leases; two values made from
/// the same configuration are interchangeable.
///
/// **Effects.** Every error says whether the call may have changed something. [`Effect::None`](crate::Effect::None) is
/// claimed only for what was provably refused before it took effect. A timeout, a lost connection, a server error, an
/// answer that does not parse and a killed helper process are all [`Effect::Unknown`](crate::Effect::Unknown)
/// (invariant I2).
///
/// **Dropping.** Every future may be dropped at any await point. A dropped `create` or `destroy` is one whose outcome is
/// unknown; nothing else changes the world.
///
/// # Minimal implementations
///
/// There are no default bodies, so that a wrapper cannot forget one and a new method is a compile error where it needs
/// thought. A capability that a provider lacks is said in its [`Descriptor`].
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync {
    /// The provider's capabilities and promises. They are constant, and they are true: the behaviour suite holds them
    /// against what the provider does.
    fn descriptor(&self) -> &Descriptor;

    /// Asks the provider which account this is, now.
    ///
    /// 1. `scope_is_stable`: two calls with the same credentials give equal scopes.
    /// 2. `scope_mutates_nothing`: the inventory is the same before and after.
    ///
    /// # Errors
    /// Only with [`Effect::None`](crate::Effect::None).
    async fn scope(&self) -> Result<Scope>;

    /// Turns a wish into candidates, best first; each is an ordered list of resources.
    ///
    /// 1. `plan_mutates_nothing`.
    /// 2. `plan_refuses_unknown_options`: an option, class or type that the provider does not know is
    ///    [`ErrorKind::Invalid`] before anything exists.
    /// 3. `plan_is_not_empty`: success means at least one candidate with at least one resource of its own.
    ///
    /// # Errors
    /// Only with [`Effect::None`](crate::Effect::None).
    async fn plan(&self, spec: &Spec) -> Result<Vec<Candidate>>;

    /// Creates exactly what the intent says, with exactly one request that has an effect.
    ///
    /// 1. `create_then_inspect_finds_it`: after `Ok`, [`Provider::inspect`] of the id shows it or says it is unclear
    ///    until the descriptor's settling time is over.
    /// 2. `create_writes_the_marks`: where the descriptor says so, the marks of the intent can be read back from the
    ///    first sight on; there is no moment in which the resource exists without them.
    /// 3. `create_twice_makes_one`: where the descriptor allows a replay, a second call with the same intent answers
    ///    with the same id and makes nothing new.
    /// 4. `create_never_takes_a_look_alike`: something foreign that has the intent's name is left alone and answered
    ///    with [`ErrorKind::Conflict`].
    ///
    /// # Errors
    /// [`ErrorKind::Capacity`] means that another candidate may work. The effect decides what the engine does.
    async fn create(&self, intent: &Intent) -> Result<Created>;

    /// Searches for whatever the intent may have left behind, by name and marks. A provider without marks answers with
    /// the [`Sighting::Suspects`] that were not there before the intent, from a complete listing.
    ///
    /// 1. `find_before_create_is_absent`.
    /// 2. `find_after_create_is_found`, with the id that `create` answered.
    /// 3. `find_ignores_look_alikes`: a foreign resource of the same name is never `Found`.
    ///
    /// # Errors
    /// An error is an unclear sighting.
    async fn find(&self, intent: &Intent) -> Result<Sighting>;

    /// Looks at one resource: its status, its marks, and how to log in once that is known.
    ///
    /// 1. `inspect_of_a_stranger_is_absent`: an id that was never given out is `Absent`, not an error.
    /// 2. `inspect_of_foreign_shows_foreign_marks`: a resource of somebody else never shows our marks.
    ///
    /// # Errors
    /// An error is an unclear sighting.
    async fn inspect(&self, id: &ResourceId) -> Result<Sighting>;

    /// Lists every resource that carries marks of this tool, of any installation, in this account; where there are no
    /// marks, every resource of the kinds that this provider makes.
    ///
    /// 1. `list_is_complete_or_an_error`: a listing that may lack something is an error.
    /// 2. `list_shows_what_create_made`, and `list_hides_foreign`: what is not this tool's is not listed or, where there
    ///    are no marks, is listed without any.
    ///
    /// # Errors
    /// When the listing is not complete.
    async fn list(&self) -> Result<Inventory>;

    /// Destroys one resource that passed the gate.
    ///
    /// 1. `destroy_then_absent`: after `Ok` it is gone or going; it disappears without another call.
    /// 2. `destroy_twice_is_success`: what is gone, and what is already going away, is success.
    /// 3. `destroy_takes_only_its_own`: foreign look-alikes and the other resources of the lease stay.
    ///
    /// # Errors
    /// After an error the resource is treated as still there.
    async fn destroy(&self, owned: &Owned) -> Result<()>;

    /// Writes the lease's deadline on a resource that shows it, and changes nothing else of it.
    ///
    /// 1. `renew_keeps_the_marks`: the marks are the same before and after.
    ///
    /// What others wrote on the resource stays as it is. A resource whose marks are no longer those of the token is left
    /// alone and answered with [`ErrorKind::Conflict`]. Where the descriptor says that no deadline is shown, this does
    /// nothing.
    ///
    /// # Errors
    /// Whatever the provider met. The record keeps the deadline that counts.
    async fn renew(&self, held: &Held, ends_at: Option<Timestamp>) -> Result<()>;

    /// The machines that can be had, with what they cost now. It is empty where there is only one kind.
    ///
    /// 1. `sizes_mutates_nothing`.
    /// 2. `sizes_can_be_planned`: each machine type that is said to be available is accepted by [`Provider::plan`].
    ///
    /// # Errors
    /// Only with [`Effect::None`](crate::Effect::None).
    async fn sizes(&self) -> Result<Vec<Size>>;

    /// Checks everything that would fail later, before anything is paid for.
    ///
    /// 1. `doctor_mutates_nothing`.
    /// 2. `doctor_reports`: at least one check, each with a name and a sentence.
    ///
    /// # Errors
    /// Only when the checks themselves could not be run; a problem that was found is a [`Check`].
    async fn doctor(&self) -> Result<Vec<Check>>;
}

/// One way to fulfil a wish.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// What it is, for people.
    pub label: String,
    /// Its resources in the order of creation; the last one is the machine.
    pub resources: Vec<Template>,
}

/// A resource that a candidate needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// Its kind in the provider's terms.
    pub kind: String,
    /// Whose it will be.
    pub disposition: Disposition,
    /// The id of a referenced resource.
    pub id: Option<ResourceId>,
    /// The exact request, as far as it does not depend on the lease; name, key, marks and public key come with the
    /// [`Intent`].
    pub request: serde_json::Value,
}

/// The answer to a create.
#[derive(Clone, Debug, PartialEq)]
pub struct Created {
    /// The new resource's id.
    pub id: ResourceId,
    /// What the answer already showed of it.
    pub shown: Option<Box<Found>>,
}

/// A machine that can be had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Size {
    /// The classes that lead to it, `tiny` … `beast`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Its type in the provider's terms.
    pub machine_type: String,
    /// Its processor cores.
    pub cores: u32,
    /// Its memory in gibibytes.
    pub memory_gib: f64,
    /// What else distinguishes it: an architecture, a graphics processor.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// What an hour costs, as the provider prints it, and in what; `None` where the provider does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_per_hour: Option<Price>,
    /// Whether the provider says that it can be had now; `None` where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available: Option<bool>,
}

impl Size {
    /// A machine of which nothing else is known.
    pub fn new(machine_type: impl Into<String>, cores: u32, memory_gib: f64) -> Self {
        Self {
            classes: Vec::new(),
            machine_type: machine_type.into(),
            cores,
            memory_gib,
            notes: String::new(),
            price_per_hour: None,
            available: None,
        }
    }
}

/// An amount of money as a provider states it: it is shown and never calculated with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// The amount in decimal.
    pub amount: String,
    /// The currency's code.
    pub currency: String,
}

/// One thing that `doctor` looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub verdict: Verdict,
    /// One sentence: what was seen, and for a problem what to do.
    pub detail: String,
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is fine.
    Ok,
    /// It works, but something about it should be known.
    Warning,
    /// A lease would fail.
    Problem,
}

impl Check {
    /// Makes a check result.
    pub fn new(name: impl Into<String>, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self { name: name.into(), verdict, detail: detail.into() }
    }
}

/// Refuses options that are not in `known`, with the nearest known one as a hint.
///
/// # Errors
/// [`ErrorKind::Invalid`] for the first unknown option.
pub fn refuse_unknown_options(spec: &Spec, known: &[&str]) -> Result<()> {
    let Some(unknown) = spec.options.keys().find(|it| !known.contains(&it.as_str())) else {
        return Ok(());
    };
    let offered = if known.is_empty() {
        "it has none".to_owned()
    } else {
        format!("it has: {}", known.join(", "))
    };
    let message = format!("provider {} has no option {unknown:?}; {offered}", spec.provider);
    Err(Error::harmless(ErrorKind::Invalid, "read the options", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_a_provider_does_not_have_is_named_with_those_that_it_has() {
        let mut spec = Spec::new("p");
        refuse_unknown_options(&spec, &[]).unwrap();
        spec.options.insert("disk".to_owned(), serde_json::json!("big"));
        refuse_unknown_options(&spec, &["cpu", "disk"]).unwrap();
        let refused = |known: &[&str]| refuse_unknown_options(&spec, known).unwrap_err();
        assert_eq!(refused(&[]).kind(), ErrorKind::Invalid);
        assert_eq!(refused(&[]).message(), "provider p has no option \"disk\"; it has none");
        let said = refused(&["cpu", "image"]).message().to_owned();
        assert_eq!(said, "provider p has no option \"disk\"; it has: cpu, image");
    }
}
