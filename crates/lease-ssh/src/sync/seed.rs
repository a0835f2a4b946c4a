//! The first sync of a box that can fetch most of the tree itself: what it is told, and what is left to send.

use std::time::Duration;

use lease_tree::{Delta, Overlap, Published, Tree};

use super::flow::blocking;
use super::paths::listing;
use super::remote::{Ground, Remote, Survey};
use crate::error::{Result, SshError, shortened};

/// The protocol that names the host, and keeps from others what is fetched.
const SCHEMES: &[&str] = &["https"];
/// Others wait for a minute for the lock, so a box that is busy with a dead client's fetch is free again by then.
const TIME_MAX: Duration = Duration::from_secs(45);
const TIME_MIN: Duration = Duration::from_secs(5);
/// What a slow link takes of a tree in a second, packed: a fetch is not waited for longer than the stream may take.
const STREAM_BYTES_PER_SECOND: u64 = 4 * 1024 * 1024;
const COMPRESSION_LEVEL: i32 = 3;

/// Leave for a box that has nothing yet to fetch what the tree's origin has of it, with the box's git and nobody's
/// credentials.
///
/// The box is told the origin's URL and a commit, and contacts the origin's host. What it fetches counts where it is, byte
/// for byte, what the tree has; the rest is sent. When anything is odd everything is sent.
#[derive(Clone, Copy, Debug)]
pub struct Seeding<'a> {
    /// The tree of the order's scan. Its git says what the origin has.
    pub tree: &'a Tree,
    /// How many bytes have to be common for it to be tried.
    pub bytes_min: u64,
    /// How long the fetch may take.
    pub time_max: Duration,
    /// Which URLs may be fetched from.
    pub schemes: &'a [&'a str],
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Seeded {
    /// Nothing was changed.
    Not,
    /// The box's tree is marked as being changed, and everything has to be sent.
    Half,
    /// It is marked, and the box has the files that are not in the rest.
    Whole(Box<Overlap>),
}

impl<'a> Seeding<'a> {
    /// Leave to fetch over https, where so many bytes are common.
    pub fn new(tree: &'a Tree, bytes_min: u64) -> Self {
        Self { tree, bytes_min, time_max: TIME_MAX, schemes: SCHEMES }
    }

    /// Has the box fetch, where it can and it is worth it. The tree's records are given for a box that has none.
    pub(super) async fn seed(
        &self,
        remote: &Remote<'_>,
        survey: &Survey,
        (delta, union): (&Delta, &[u8]),
    ) -> Result<Seeded> {
        if survey.ground != Ground::BareWithGit || delta.bytes() < self.bytes_min {
            return Ok(Seeded::Not);
        }
        let Some(published) = Published::find(self.tree, self.schemes).await else {
            tracing::debug!("the tree has no commit that anybody may fetch");
            return Ok(Seeded::Not);
        };
        let Published { url, commit, .. } = published.clone();
        let all = delta.clone();
        let overlap = blocking(move || Overlap::of(&all, &published)).await?;
        if overlap.files == 0 || overlap.bytes < self.bytes_min {
            return Ok(Seeded::Not);
        }
        let scheme = url.split("://").next().unwrap_or_default();
        let seconds = self.seconds(overlap.bytes).to_string();
        let octal = |bits: u32| format!("{bits:03o}");
        let mask = octal(overlap.mask);
        let (file, program) = (octal(0o666 & !overlap.mask), octal(0o777 & !overlap.mask));
        let mut lists = lists(&overlap, union).map_err(|error| SshError::lost(&error))?;
        if survey.zstd {
            lists = zstd::bulk::compress(&lists, COMPRESSION_LEVEL)
                .map_err(|error| SshError::lost(&error))?;
        }
        let unpacker = if survey.zstd { "zstd" } else { "" };
        let words = [&url, scheme, &commit, &seconds, &mask, &file, &program, unpacker];
        let (word, said) = remote.seed(&words.map(str::as_bytes), &lists).await?;
        Ok(match word.as_slice() {
            b"seeded" => Seeded::Whole(Box::new(overlap)),
            b"half" => Seeded::Half,
            _ => {
                tracing::debug!(said = shortened(&said), "the box cannot fetch the tree's commit");
                Seeded::Not
            }
        })
    }

    /// How long the fetch of something that holds so many bytes may take.
    fn seconds(&self, bytes: u64) -> u64 {
        let time = Duration::from_secs(bytes / STREAM_BYTES_PER_SECOND).max(TIME_MIN);
        time.min(self.time_max).as_secs().max(1)
    }
}

/// What the box needs to know: which files of the commit it does not get, their times, and the records of all to come.
fn lists(overlap: &Overlap, union: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |name: String, time: u64, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_mtime(time);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, content)
    };
    add("union".to_owned(), 0, union)?;
    let without = listing(overlap.without.iter().map(std::path::PathBuf::as_path));
    add("without".to_owned(), 0, &without)?;
    for (at, (time, paths)) in overlap.times.iter().enumerate() {
        // The first time is that of every file that no other list names.
        let paths = if at == 0 { &[][..] } else { paths };
        add(format!("at.{at}"), *time, &listing(paths.iter().map(std::path::PathBuf::as_path)))?;
    }
    add("complete".to_owned(), 0, &[])?;
    builder.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_takes_no_longer_than_the_stream_would() {
        let tree = Tree { root: "/".into(), environment: Vec::new(), ignore: Vec::new() };
        let seeding = Seeding::new(&tree, 0);
        let mebibyte = 1024 * 1024;
        let seconds = [0, mebibyte, 80 * mebibyte, u64::MAX].map(|it| seeding.seconds(it));
        assert_eq!(seconds, [5, 5, 20, 45]);
        assert_eq!(Seeding { time_max: Duration::ZERO, ..seeding }.seconds(0), 1);
    }
}
