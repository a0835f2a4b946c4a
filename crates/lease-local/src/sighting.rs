//! What a directory shows of the box that it is, or was, or only looks like.

use std::fs;

use lease_core::{Error, Found, Marks, Status};

use crate::descriptor::KIND;
use crate::error::LocalError;
use crate::layout::{Place, Stage};
use crate::record::{Reading, Record};
use crate::{latch, sshd};

/// What was seen in one place.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) place: Place,
    pub(crate) found: Found,
    pub(crate) claim: Claimed,
}

/// Whether a directory says whose box it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// By its marks.
    Marked,
    /// It has a record, which does not say whose.
    Unclear,
    /// It has no record: it is foreign, or what ran in the box took the record away.
    Silent,
}

impl Seen {
    /// Looks at one place.
    pub(crate) fn look(place: &Place) -> Result<Self, LocalError> {
        let mut found = by_name(place)?;
        let mut claim = Claimed::Marked;
        match place.stage {
            Stage::Part | Stage::Gone => found.status = unfinished(place),
            Stage::Whole => match Record::read(&place.path, &place.name)? {
                Reading::Missing => {
                    claim = Claimed::Silent;
                    found.status = failed("the directory has no record of a box");
                }
                Reading::Unreadable(why) => {
                    claim = Claimed::Unclear;
                    found.status = failed(&why);
                }
                Reading::Box(record) => complete(place, record, &mut found),
            },
        }
        Ok(Self { place: place.clone(), found, claim })
    }

    /// Whether it is the box with these marks.
    pub(crate) fn is(&self, marks: &Marks) -> bool {
        self.found.marks.as_ref() == Some(marks)
    }
}

/// What can be said of a directory by its name alone.
fn by_name(place: &Place) -> Result<Found, LocalError> {
    let id = place.name.as_str().parse();
    Ok(Found {
        id: id.map_err(|error: Error| LocalError::Request(error.to_string()))?,
        kind: KIND.to_owned(),
        name: Some(place.name.clone()),
        marks: place.marks.clone(),
        status: Status::Running,
        reach: None,
        created_at: None,
    })
}

/// A box on its way up or down; when nobody is at work on it any more, it will not get further by itself.
fn unfinished(place: &Place) -> Status {
    match (place.stage, latch::is_held(&place.path)) {
        (Stage::Gone, true) => Status::Stopping,
        (Stage::Gone, false) => failed("its removal stopped half-way; removing it again goes on"),
        (_, true) => Status::Starting { waiting_for: None },
        (_, false) => failed("whoever made it stopped half-way"),
    }
}

fn complete(place: &Place, record: Record, found: &mut Found) {
    match fs::read_to_string(place.path.join(sshd::HOST_PUBLIC_KEY_FILE)) {
        Ok(key) => {
            let (host, user) = (place.name.as_str(), &record.user);
            found.reach = Some(sshd::reach(&place.path, host, user, key.trim()));
        }
        Err(error) => found.status = failed(&format!("its host key cannot be read: {error}")),
    }
    found.marks = Some(record.marks);
    found.created_at = Some(record.created_at);
}

fn failed(why: &str) -> Status {
    Status::Failed { why: why.to_owned() }
}
