//! Adopting: taking over, with a record of its own, what exists without one.

use std::sync::Arc;

use crate::claim::Claim;
use crate::descriptor::Ownership;
use crate::engine::{Asked, Engine};
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::{Found, Inventory, Marks, Sighting};
use crate::id::{InstallationId, LeaseId, Nonce, ResourceId, Slug};
use crate::journal::{Change, Disposition, Event, Intended, Opened};
use crate::provider::Provider;
use crate::scope::Scope;
use crate::spec::{Deadlines, Retention, Spec};
use crate::state::ResourceState;
use crate::store::LeaseWriter;
use crate::watch::Notice;

const DOING: &str = "adopt a resource";

/// How often a random slug is drawn before one with a number is.
const SLUG_DRAWS_MAX: usize = 16;

/// On what terms something is taken over.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) slug: Option<Slug>,
    pub(super) retention: Retention,
    pub(super) why: String,
}

impl Engine {
    /// Records a lease for a resource that has none, together with everything else that carries the marks of the same
    /// lease. It is kept: nothing but a release that a person asks for deletes anything of it.
    ///
    /// Where a provider stores marks, they must name a lease; where it has nowhere to put any, naming the exact id is
    /// the person's word that it is theirs.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the provider does not show it, [`ErrorKind::Conflict`] when a live lease has it
    /// already, [`ErrorKind::Refused`] when it carries no marks of this tool. [`ErrorKind::Corrupt`] or
    /// [`ErrorKind::NewerFormat`] when a record that cannot be read may have it: the one of the lease that its marks
    /// name, and any where it has no marks.
    ///
    /// # Cancel safety
    /// After a cancelled call the lease may be recorded; `lease list` shows it then.
    pub async fn adopt(
        &self,
        provider: &str,
        id: &ResourceId,
        slug: Option<Slug>,
    ) -> Result<Claim> {
        let provider = Arc::clone(self.provider(provider)?);
        let asked = Asked::new(&provider, None);
        let inventory = self.read("list the resources", asked, || provider.list()).await?;
        let found = match inventory.items.iter().find(|it| it.id == *id) {
            Some(found) => found.clone(),
            None => {
                match self.read("look at the resource", asked, || provider.inspect(id)).await? {
                    Sighting::Found(found) => *found,
                    Sighting::Suspects(_) | Sighting::Absent => {
                        let message = format!("{} shows no {id}", inventory.scope);
                        return Err(Error::harmless(ErrorKind::NotFound, DOING, message));
                    }
                    Sighting::Unclear(error) => return Err(error),
                }
            }
        };
        let (retention, why) = (Retention::Keep, "adopted by a person".to_owned());
        let terms = Terms { slug, retention, why };
        self.adopt_found(&provider, &inventory, &found, terms).await
    }

    /// Takes over `found` and what belongs to the same lease.
    pub(super) async fn adopt_found(
        &self,
        provider: &Arc<dyn Provider>,
        inventory: &Inventory,
        found: &Found,
        terms: Terms,
    ) -> Result<Claim> {
        let group = self.group_of(provider, inventory, found).await?;
        // A machine without marks gets an id that is drawn, over which nobody else stumbles: one at a time looks whether
        // a lease has it, and opens one.
        let Some(_alone) = self.wait_for_lock(&LeaseId::of_adoptions()).await? else {
            let message = "another process is adopting something and does not get done";
            return Err(Error::harmless(ErrorKind::Conflict, DOING, message));
        };
        self.refuse_claimed(&inventory.scope, &group).await?;
        let lease = group.lease.clone();
        let writer = self.open_adopted(&group, inventory, &terms).await?;
        self.observer.notice(&lease, &Notice::Opened { slug: writer.claim().slug().as_str() });
        Ok(writer.claim().clone())
    }

    async fn group_of(
        &self,
        provider: &Arc<dyn Provider>,
        inventory: &Inventory,
        found: &Found,
    ) -> Result<Group> {
        let descriptor = provider.descriptor();
        let marks = match (&found.marks, descriptor.ownership) {
            (Some(marks), _) => marks.clone(),
            (None, Ownership::CreateAnswer) => Marks {
                lease: LeaseId::draw(self.entropy.as_ref())?,
                installation: self.store.installation().await?,
                nonce: Nonce::draw(self.entropy.as_ref())?,
            },
            (None, Ownership::Marks) => {
                let message =
                    format!("{} carries no marks of this tool, so it is somebody else's", found.id);
                return Err(Error::harmless(ErrorKind::Refused, DOING, message));
            }
        };
        let twin = inventory.items.iter().find(|it| {
            it.id != found.id && it.marks.as_ref().is_some_and(|it| it.nonce == marks.nonce)
        });
        if let Some(twin) = twin {
            let message = format!(
                "{} and {} carry the same marks, so they do not say which of the two is the lease's",
                found.id, twin.id
            );
            return Err(Error::harmless(ErrorKind::Refused, DOING, message));
        }
        let same = |it: &&Found| {
            let theirs = it.marks.as_ref();
            it.id != found.id
                && theirs.is_some_and(|theirs| {
                    theirs.lease == marks.lease && theirs.installation == marks.installation
                })
        };
        let mut all: Vec<_> = inventory.items.iter().filter(same).cloned().collect();
        all.push(Found { marks: Some(marks.clone()), ..found.clone() });
        let place = |it: &Found| descriptor.resources.iter().position(|kind| *kind == it.kind);
        all.sort_by_key(|it| (place(it), it.id.clone()));
        let members = all.into_iter().enumerate().filter_map(|(index, found)| {
            let nonce = found.marks?.nonce;
            let name = found.name.unwrap_or_else(|| marks.lease.resource_name(index));
            let intended = Intended {
                candidate: 0,
                kind: found.kind,
                disposition: Disposition::Own,
                name,
                nonce,
                request: serde_json::Value::Null,
                public_key: String::new(),
                id: None,
            };
            Some(Member { id: found.id, intended })
        });
        let members = members.collect();
        let is_marked = found.marks.is_some();
        Ok(Group { lease: marks.lease, installation: marks.installation, is_marked, members })
    }

    /// What a live lease claims already has its record. One that cannot be read may be that record.
    async fn refuse_claimed(&self, scope: &Scope, group: &Group) -> Result<()> {
        let mut unreadable = None;
        for entry in self.store.scan().await? {
            let may_hold = !group.is_marked || entry.lease.as_ref() == Some(&group.lease);
            let claim = match entry.claim {
                Ok(claim) => claim,
                Err(error) => {
                    unreadable = unreadable.or(may_hold.then_some((entry.name, error)));
                    continue;
                }
            };
            let holds = |member: &Member| {
                claim.resources().iter().filter(|it| it.state() != ResourceState::Gone).any(|it| {
                    it.intended().nonce == member.intended.nonce || it.id() == Some(&member.id)
                })
            };
            // There is one record for a lease, whatever else it has.
            let is_its_lease = claim.lease() == &group.lease;
            if is_its_lease || claim.scope() == scope && group.members.iter().any(holds) {
                let message = format!("it belongs to {} ({})", claim.slug(), claim.lease());
                return Err(Error::harmless(ErrorKind::Conflict, DOING, message));
            }
        }
        let Some((name, error)) = unreadable else { return Ok(()) };
        let message =
            format!("it may belong to {name}, whose record cannot be read: {}", error.message());
        Err(Error::harmless(error.kind(), DOING, message))
    }

    async fn open_adopted(
        &self,
        group: &Group,
        inventory: &Inventory,
        terms: &Terms,
    ) -> Result<LeaseWriter> {
        // A record without what it takes over would be given back without giving anything back.
        let then = group.events();
        for draw in 0.. {
            let slug = match &terms.slug {
                Some(slug) => slug.clone(),
                None if draw < SLUG_DRAWS_MAX => Slug::draw(self.entropy.as_ref())?,
                None => Slug::draw_numbered(self.entropy.as_ref())?,
            };
            let opened = Opened {
                lease: group.lease.clone(),
                slug,
                installation: group.installation.clone(),
                scope: inventory.scope.clone(),
                spec: Spec::new(inventory.scope.provider.clone()),
                owner: None,
                retention: terms.retention,
                deadlines: Deadlines::default(),
                purpose: terms.why.clone(),
            };
            let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
            match LeaseWriter::open_with(store, clock, opened, &then).await {
                Err(error)
                    if error.kind() == ErrorKind::Conflict
                        && terms.slug.is_none()
                        && draw < 2 * SLUG_DRAWS_MAX => {}
                result => return result,
            }
        }
        Err(Error::harmless(ErrorKind::Internal, DOING, "no slug is free"))
    }
}

/// What is taken over together.
struct Group {
    lease: LeaseId,
    installation: InstallationId,
    /// Whether the provider shows whose it is, or only the person who asks says so.
    is_marked: bool,
    members: Vec<Member>,
}

impl Group {
    /// What its record says after the opening.
    fn events(&self) -> Vec<Event> {
        let intended = self.members.iter().map(|it| it.intended.clone()).collect();
        let adopted = self.members.iter().enumerate().map(|(index, it)| Event::Resource {
            index,
            change: Change::Adopted { id: it.id.clone() },
        });
        std::iter::once(Event::Intended(intended)).chain(adopted).collect()
    }
}

struct Member {
    id: ResourceId,
    intended: Intended,
}
