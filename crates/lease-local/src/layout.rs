//! Where boxes are, whole, half made and half removed, and how each is recognised.
//!
//! A box is made in a hidden directory and renamed when it is complete, and renamed again before anything of it is
//! removed. Those two names say whose the directory is, since what is in it may not say so yet, or any more.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lease_core::{Marks, ResourceName};

use crate::error::LocalError;

const PART: &str = "part";
const GONE: &str = "gone";

/// How often a look is repeated until two agree.
const LOOKS_MAX: usize = 64;

/// How far a box is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It is being made, or somebody died making it.
    Part,
    /// It can be used.
    Whole,
    /// It is being removed, or somebody died removing it.
    Gone,
}

/// A directory that is a box, or looks like one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) name: ResourceName,
    pub(crate) stage: Stage,
    /// What the directory's own name says.
    pub(crate) marks: Option<Marks>,
}

/// The directory that boxes live in.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the box is when it is complete.
    pub(crate) fn whole(&self, name: &ResourceName) -> PathBuf {
        self.root.join(name.as_str())
    }

    /// Where it is made.
    pub(crate) fn part(&self, name: &ResourceName, marks: &Marks) -> PathBuf {
        self.hidden(name, marks, PART)
    }

    /// Where it is removed.
    pub(crate) fn gone(&self, name: &ResourceName, marks: &Marks) -> PathBuf {
        self.hidden(name, marks, GONE)
    }

    /// Looks at every directory that is, or could be, a box and is `wanted`; the complete ones come first.
    ///
    /// A box that is renamed while the directory is read may be missed by one look, so it is looked at until the
    /// names before and after are the same.
    ///
    /// # Errors
    /// When an entry cannot be looked at, or when boxes come and go all the time: a shorter answer is none.
    pub(crate) fn look<T>(
        &self,
        wanted: impl Fn(&Place) -> bool,
        see: impl Fn(&Place) -> Result<T, LocalError>,
    ) -> Result<Vec<T>, LocalError> {
        let mut before = self.places(&wanted)?;
        for _ in 0..LOOKS_MAX {
            let seen = before.iter().map(&see).collect::<Result<Vec<T>, LocalError>>();
            let after = self.places(&wanted)?;
            if after == before {
                return seen;
            }
            before = after;
        }
        Err(LocalError::Busy(self.root.clone()))
    }

    fn places(&self, wanted: impl Fn(&Place) -> bool) -> Result<Vec<Place>, LocalError> {
        let mut places = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(LocalError::file("listing", &self.root))? {
            let entry = entry.map_err(LocalError::file("listing", &self.root))?;
            let place = entry.file_name().to_str().and_then(|it| self.parse(it)).filter(&wanted);
            if let Some(place) = place
                && is_directory(&place.path)?
            {
                places.push(place);
            }
        }
        places.sort_by(|a, b| {
            (a.stage != Stage::Whole, &a.path).cmp(&(b.stage != Stage::Whole, &b.path))
        });
        Ok(places)
    }

    fn hidden(&self, name: &ResourceName, marks: &Marks, suffix: &str) -> PathBuf {
        let Marks { lease, installation, nonce } = marks;
        self.root.join(format!(".{name}.{lease}.{installation}.{nonce}.{suffix}"))
    }

    fn parse(&self, file_name: &str) -> Option<Place> {
        let path = self.root.join(file_name);
        let Some(hidden) = file_name.strip_prefix('.') else {
            let name = file_name.parse().ok()?;
            return Some(Place { path, name, stage: Stage::Whole, marks: None });
        };
        let fields: Vec<&str> = hidden.split('.').collect();
        let [name, lease, installation, nonce, suffix] = fields[..] else { return None };
        let stage = match suffix {
            PART => Stage::Part,
            GONE => Stage::Gone,
            _ => return None,
        };
        let marks = Marks {
            lease: lease.parse().ok()?,
            installation: installation.parse().ok()?,
            nonce: nonce.parse().ok()?,
        };
        Some(Place { path, name: name.parse().ok()?, stage, marks: Some(marks) })
    }
}

/// Whether it is a directory itself and not a link to one; `false` also when it is not there.
fn is_directory(path: &Path) -> Result<bool, LocalError> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(meta.is_dir()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(LocalError::file("looking at", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_whose_and_how_far() {
        let layout = Layout::new("/srv".into());
        let name: ResourceName = "lse-aaaaaaaaaaaaaaaaaaaa-3".parse().unwrap();
        let marks = Marks {
            lease: "lse-aaaaaaaaaaaaaaaaaaaa".parse().unwrap(),
            installation: "b".repeat(26).parse().unwrap(),
            nonce: "c".repeat(26).parse().unwrap(),
        };
        let (part, gone) = (layout.part(&name, &marks), layout.gone(&name, &marks));
        for (path, stage) in [(part, Stage::Part), (gone, Stage::Gone)] {
            let file_name = path.file_name().unwrap().to_str().unwrap();
            assert!(file_name.len() <= 255);
            let expect =
                Place { path: path.clone(), name: name.clone(), stage, marks: Some(marks.clone()) };
            assert_eq!(layout.parse(file_name), Some(expect));
        }
    }

    #[track_caller]
    fn check_foreign(file_name: &str) {
        assert!(Layout::new("/srv".into()).parse(file_name).is_none(), "{file_name}");
    }

    #[test]
    fn other_names_are_foreign() {
        check_foreign(".root-id");
        check_foreign(".lse-aaaaaaaaaaaaaaaaaaaa-3.part");
        check_foreign(".a.b.c.d.part");
        check_foreign("Has Spaces");
    }
}
