//! Who a job belongs to: its name, its marks, and the texts that carry them.
//!
//! A job number is not an identity. A controller that crashes within seconds of a submission gives the same number to
//! the next job, and a state directory that is lost makes it begin again at 1.

use lease_core::{Error, LeaseId, Marks, ResourceId, ResourceName, Result};

/// What every comment of ours begins with.
const COMMENT_PREFIX: &str = "lease1";

/// Which shared directory a job belongs to, as its comment says it: two of them are two scopes of one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home(u64);

impl Home {
    /// FNV-1a of the path: two directories have to differ, no more.
    pub(crate) fn of(shared_dir: &str) -> Self {
        let path = shared_dir.trim_end_matches('/').bytes();
        Self(path.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }))
    }
}

/// The identity of one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) name: ResourceName,
    pub(crate) marks: Marks,
}

impl Identity {
    pub(crate) fn new(name: &ResourceName, marks: &Marks) -> Self {
        Self { name: name.clone(), marks: marks.clone() }
    }

    /// The identity that an id, which is also the name of the job's directory, speaks of; `None` when it is not ours.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split('.');
        let name: ResourceName = fields.next()?.parse().ok()?;
        let installation = fields.next()?.parse().ok()?;
        let nonce = fields.next()?.parse().ok()?;
        let lease = lease_of(&name)?;
        let marks = Marks { lease, installation, nonce };
        fields.next().is_none().then_some(Self { name, marks })
    }

    /// The identity that a job's name and comment speak of; `None` when it is not ours, or of another directory.
    pub(crate) fn of_job(home: Home, name: &str, comment: &str) -> Option<Self> {
        let mut fields = comment.split(':');
        if fields.next()? != COMMENT_PREFIX {
            return None;
        }
        let name: ResourceName = name.parse().ok()?;
        let lease: LeaseId = fields.next()?.parse().ok()?;
        let installation = fields.next()?.parse().ok()?;
        let nonce = fields.next()?.parse().ok()?;
        let is_here = fields.next() == Some(format!("{:016x}", home.0).as_str());
        let is_whole =
            is_here && fields.next().is_none() && lease_of(&name).as_ref() == Some(&lease);
        is_whole.then_some(Self { name, marks: Marks { lease, installation, nonce } })
    }

    /// The resource's id.
    pub(crate) fn id(&self) -> Result<ResourceId, Error> {
        self.directory().parse()
    }

    /// The name of the job's directory.
    pub(crate) fn directory(&self) -> String {
        format!("{}.{}.{}", self.name, self.marks.installation, self.marks.nonce)
    }

    /// The job's comment.
    pub(crate) fn comment(&self, home: Home) -> String {
        let Marks { lease, installation, nonce } = &self.marks;
        format!("{COMMENT_PREFIX}:{lease}:{installation}:{nonce}:{:016x}", home.0)
    }
}

fn lease_of(name: &ResourceName) -> Option<LeaseId> {
    let (lease, index) = name.as_str().rsplit_once('-')?;
    let lease: LeaseId = lease.parse().ok()?;
    let is_number = !index.is_empty() && index.bytes().all(|it| it.is_ascii_digit());
    is_number.then_some(lease)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Home = Home(7);

    #[test]
    fn a_job_of_another_directory_is_not_ours() {
        let it = identity();
        let (one, two) = (Home::of("/scratch/ann/"), Home::of("/scratch/bob"));
        assert_eq!(one, Home::of("/scratch/ann"));
        assert!(Identity::of_job(one, it.name.as_str(), &it.comment(one)).is_some());
        assert_eq!(Identity::of_job(two, it.name.as_str(), &it.comment(one)), None);
    }

    fn identity() -> Identity {
        let lease: LeaseId = format!("lse-{}", "a".repeat(20)).parse().unwrap();
        let marks = Marks {
            lease: lease.clone(),
            installation: "b".repeat(26).parse().unwrap(),
            nonce: "c".repeat(26).parse().unwrap(),
        };
        Identity { name: lease.resource_name(3), marks }
    }

    #[test]
    fn both_texts_lead_back_to_the_same_job() {
        let it = identity();
        assert_eq!(Identity::parse(it.id().unwrap().as_str()), Some(it.clone()));
        assert_eq!(Identity::of_job(HOME, it.name.as_str(), &it.comment(HOME)), Some(it));
    }

    #[test]
    fn what_is_not_whole_is_not_ours() {
        let it = identity();
        let (id, comment) = (it.directory(), it.comment(HOME));
        for bad in
            ["", "17", "..", "a.b.c", &id[..id.len() - 1], &format!("{id}.x"), &format!("x{id}")]
        {
            assert_eq!(Identity::parse(bad), None, "{bad}");
        }
        let other = format!("lse-{}-3", "d".repeat(20));
        for (name, comment) in [
            (it.name.as_str(), ""),
            (it.name.as_str(), "(null)"),
            (it.name.as_str(), &comment[..comment.len() - 1]),
            (it.name.as_str(), &format!("{comment}\nx")),
            (it.name.as_str(), &format!("{comment}:")),
            (&other, &comment),
            ("precious", &comment),
        ] {
            assert_eq!(Identity::of_job(HOME, name, comment), None, "{name} {comment}");
        }
    }
}
