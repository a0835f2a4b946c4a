//! How much a first sync would send, looked at before anything is sent: a forgotten data set must not go over the line
//! unnoticed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lease_ssh::Scan;

use crate::config::size;
use crate::context::Context;
use crate::failure::{Failure, Meaning};

/// How many places are named that hold the most.
const NAMED_MAX: usize = 3;

/// Refuses a first sync that would send more than the settings allow; `meaning` is what that means for the machine, and
/// `next` the command that goes on all the same.
pub(crate) fn refuse_large(
    context: &Context<'_>,
    scan: &Scan,
    (meaning, next): (Meaning, &str),
) -> Result<(), Failure> {
    let (bytes, most) = (scan.manifest().bytes(), context.settings.sync_max_size());
    let Some(most) = most.filter(|most| bytes > *most) else { return Ok(()) };
    let biggest = biggest(scan.manifest().entries().map(|it| (it.path, it.bytes)));
    let named =
        biggest.iter().map(|(path, sum)| format!("{} ({})", path.display(), size::rough(*sum)));
    let what = format!(
        "the first sync would send {} in {} files, and sync.max_size is {}; the most is in {}; name in .leaseignore \
         what the box does not need, or give --allow-large",
        size::rough(bytes),
        scan.manifest().len(),
        size::format(most),
        named.collect::<Vec<_>>().join(", ")
    );
    let failure = Failure::invalid(what, next);
    Err(failure.meaning(meaning).kind("too_large"))
}

/// The places that hold the most: what is at the top of the tree, or the one place below it that holds nearly all of it.
fn biggest<'a>(entries: impl Iterator<Item = (&'a Path, u64)>) -> Vec<(PathBuf, u64)> {
    let mut sums: BTreeMap<&Path, u64> = BTreeMap::new();
    for (path, bytes) in entries {
        for place in path.ancestors() {
            *sums.entry(place).or_default() += bytes;
        }
    }
    let inside = |place: &Path| {
        let mut inside: Vec<_> = sums.iter().filter(|(it, _)| it.parent() == Some(place)).collect();
        inside.sort_by_key(|(path, sum)| (std::cmp::Reverse(**sum), **path));
        inside
    };
    let top = inside(Path::new(""));
    let narrowed = top.into_iter().take(NAMED_MAX).map(|(place, sum)| {
        let (mut place, mut sum) = (*place, *sum);
        // Four fifths are nearly all.
        while let Some((within, most)) = inside(place).first()
            && *most / 4 >= sum / 5
            && **most > 0
        {
            (place, sum) = (**within, **most);
        }
        (place.to_owned(), sum)
    });
    narrowed.filter(|(_, sum)| *sum > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_that_hold_the_most_are_named_as_exactly_as_is_useful() {
        let tree = [
            ("data/raw/one.bin", 500),
            ("data/raw/two.bin", 450),
            ("data/readme", 50),
            ("src/a/b.rs", 10),
            ("src/c.rs", 9),
            ("big.iso", 300),
            ("small", 1),
        ];
        let named = biggest(tree.iter().map(|(path, bytes)| (Path::new(path), *bytes)));
        let named: Vec<_> =
            named.iter().map(|(path, sum)| (path.to_str().unwrap(), *sum)).collect();
        assert_eq!(named, [("data/raw", 950), ("big.iso", 300), ("src", 19)]);
    }

    #[test]
    fn a_tree_of_empty_files_has_no_biggest_place() {
        assert_eq!(biggest([(Path::new("a/b"), 0)].into_iter()), []);
    }
}
