//! What of the tree here is not as the last sync sent it.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use lease_core::Claim;
use lease_ssh::{Mirror, Scan};

use crate::context::Context;
use crate::failure::Failure;
use crate::session::fresh::sent_and_here;
use crate::session::place::Place;

/// The tree as it is, beside what a box was sent of it.
#[derive(Debug)]
pub(crate) struct Difference {
    tree: PathBuf,
    scan: Scan,
    sent: Mirror,
}

impl Difference {
    /// Looks at the tree. The box is not asked.
    pub(crate) async fn look(
        context: &Context<'_>,
        claim: &Claim,
        place: &Place,
    ) -> Result<Self, Failure> {
        let (sent, scan) = sent_and_here(context, claim, place).await?;
        Ok(Self { tree: place.tree.root.clone(), scan, sent })
    }

    /// Whether a file of the tree is there that was not sent as it is. What git ignores is no file of the tree.
    ///
    /// It blocks where only the content of the file can tell.
    pub(crate) fn is_changed(&self, path: &Path) -> bool {
        let sent = self.sent.manifest().and_then(|it| it.get(path));
        match (self.scan.manifest().get(path), sent) {
            (None, None) => false,
            (None, Some(_)) | (Some(_), None) => true,
            (Some(now), Some(sent)) => {
                let form = (now.kind, now.bytes) != (sent.kind, sent.bytes)
                    || (now.kind == lease_ssh::Kind::File && now.permissions != sent.permissions);
                form || match (now.content, sent.content) {
                    (_, None) => true,
                    (Some(now), Some(sent)) => now != sent,
                    // The stamps do not vouch for it.
                    (None, Some(sent)) => {
                        content(&self.tree.join(path)).map_or(true, |now| now != sent.0)
                    }
                }
            }
        }
    }

    /// Whether the tree is another than the one that was sent. It blocks.
    pub(crate) fn is_any(&self) -> bool {
        let Some(sent) = self.sent.manifest() else { return true };
        let now = self.scan.manifest();
        if now.is_same(sent) {
            return false;
        }
        let gone = |path: &Path| now.get(path).is_none();
        sent.entries().any(|it| it.content.is_some() && gone(it.path))
            || now.entries().any(|it| self.is_changed(it.path))
    }
}

/// The hash of a file's content, or of a link's target.
fn content(path: &Path) -> io::Result<[u8; 32]> {
    if fs::symlink_metadata(path)?.is_symlink() {
        return Ok(*blake3::hash(fs::read_link(path)?.as_os_str().as_bytes()).as_bytes());
    }
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(*hasher.finalize().as_bytes())
}
