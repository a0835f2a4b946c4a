//! `box.json`: whose a box is. It is written first, so a box is never without it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use lease_core::{Marks, ResourceName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::containment::Containment;
use crate::error::LocalError;

/// The file's name.
pub(crate) const RECORD_FILE: &str = "box.json";

/// The format that is written. A newer one is not read.
const FORMAT: u32 = 1;

/// More than this is not a record.
const RECORD_BYTES_MAX: u64 = 64 * 1024;

/// What is written about a box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    format: u32,
    /// The name of the box; a copy under another name is not that box.
    pub(crate) name: ResourceName,
    pub(crate) marks: Marks,
    pub(crate) created_at: Timestamp,
    pub(crate) user: String,
    pub(crate) sshd: PathBuf,
    pub(crate) containment: Containment,
}

/// What a directory says about whose it is.
#[derive(Debug)]
pub(crate) enum Reading {
    /// It is a box.
    Box(Record),
    /// It says nothing: it is foreign, or what ran in the box took its record away.
    Missing,
    /// It has a record that says nothing we understand.
    Unreadable(String),
}

impl Record {
    /// Begins a record.
    pub(crate) fn draft(name: &ResourceName, marks: &Marks, created_at: Timestamp) -> RecordDraft {
        RecordDraft { name: name.clone(), marks: marks.clone(), created_at }
    }

    /// Reads the record of the box `name` in `directory`.
    pub(crate) fn read(directory: &Path, name: &ResourceName) -> Result<Reading, LocalError> {
        let path = directory.join(RECORD_FILE);
        let file = match open(&path) {
            Ok(file) => file,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(Reading::Missing);
            }
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                return Ok(Reading::Unreadable("its record is a symbolic link".to_owned()));
            }
            Err(error) => return Err(LocalError::file("reading", &path)(error)),
        };
        if !file.metadata().map_err(LocalError::file("reading", &path))?.is_file() {
            return Ok(Reading::Unreadable("its record is not a file".to_owned()));
        }
        let mut text = Vec::new();
        file.take(RECORD_BYTES_MAX + 1)
            .read_to_end(&mut text)
            .map_err(LocalError::file("reading", &path))?;
        Ok(understand(&text, name))
    }

    /// The text of the file.
    pub(crate) fn text(&self) -> Result<Vec<u8>, LocalError> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| LocalError::Request(error.to_string()))?;
        text.push(b'\n');
        Ok(text)
    }
}

/// The part of a record that is known before the machine was looked at.
#[derive(Debug)]
pub(crate) struct RecordDraft {
    name: ResourceName,
    marks: Marks,
    created_at: Timestamp,
}

impl RecordDraft {
    pub(crate) fn served_by(self, sshd: &Path, user: &str, containment: Containment) -> Record {
        let Self { name, marks, created_at } = self;
        Record {
            format: FORMAT,
            name,
            marks,
            created_at,
            user: user.to_owned(),
            sshd: sshd.to_owned(),
            containment,
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let no_follow = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(no_follow.bits()).unwrap_or(0);
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn understand(text: &[u8], name: &ResourceName) -> Reading {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    if text.len() as u64 > RECORD_BYTES_MAX {
        return Reading::Unreadable("its record is too large to be one".to_owned());
    }
    match serde_json::from_slice::<Head>(text) {
        Ok(head) if head.format > FORMAT => {
            return Reading::Unreadable(format!(
                "its record has format {}, and this version reads {FORMAT}",
                head.format
            ));
        }
        Ok(_) => {}
        Err(error) => return Reading::Unreadable(format!("its record does not parse: {error}")),
    }
    match serde_json::from_slice::<Record>(text) {
        Ok(record) if record.name == *name => Reading::Box(record),
        Ok(record) => Reading::Unreadable(format!("its record is that of {}", record.name)),
        Err(error) => Reading::Unreadable(format!("its record does not parse: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "lse-aaaaaaaaaaaaaaaaaaaa-0";

    fn record() -> Record {
        let marks = Marks {
            lease: "lse-aaaaaaaaaaaaaaaaaaaa".parse().unwrap(),
            installation: "b".repeat(26).parse().unwrap(),
            nonce: "c".repeat(26).parse().unwrap(),
        };
        Record::draft(&NAME.parse().unwrap(), &marks, Timestamp::from_millis(7)).served_by(
            Path::new("/usr/sbin/sshd"),
            "ann",
            Containment::Scan,
        )
    }

    #[test]
    fn what_is_written_is_read() {
        let Reading::Box(read) = understand(&record().text().unwrap(), &NAME.parse().unwrap())
        else {
            panic!("not a box");
        };
        assert_eq!(read, record());
    }

    #[track_caller]
    fn check_unreadable(text: &[u8], name: &str, expect: &str) {
        match understand(text, &name.parse().unwrap()) {
            Reading::Unreadable(why) => assert!(why.contains(expect), "{why}"),
            other @ (Reading::Box(_) | Reading::Missing) => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_ours_is_said_to_be_so() {
        let text = record().text().unwrap();
        check_unreadable(&text[..text.len() / 2], NAME, "does not parse");
        check_unreadable(b"", NAME, "does not parse");
        check_unreadable(&text, "lse-zzzzzzzzzzzzzzzzzzzz-0", "is that of");
        let newer = String::from_utf8(text).unwrap().replace("\"format\": 1", "\"format\": 2");
        check_unreadable(newer.as_bytes(), NAME, "format 2");
        check_unreadable(&vec![b' '; 70_000], NAME, "too large");
    }
}
