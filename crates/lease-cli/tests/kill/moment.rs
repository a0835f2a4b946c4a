//! Moments of a run that can be seen from the outside.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use crate::installation::{Installation, entries};
use crate::neighbour::is_planted;
use crate::trial::Length;

/// A moment: from then on the condition holds for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) name: &'static str,
    pub(crate) has_come: fn(&Installation) -> bool,
    /// How long the command goes on; short for what comes after it.
    pub(crate) length: Length,
    /// Whether a reaper is there by then.
    pub(crate) is_watched: bool,
}

const fn early(name: &'static str, has_come: fn(&Installation) -> bool) -> Moment {
    Moment { name, has_come, length: Length::Long, is_watched: false }
}

const fn watched(name: &'static str, has_come: fn(&Installation) -> bool) -> Moment {
    Moment { name, has_come, length: Length::Long, is_watched: true }
}

const fn late(name: &'static str, has_come: fn(&Installation) -> bool) -> Moment {
    Moment { name, has_come, length: Length::Short, is_watched: true }
}

/// From the beginning of a run to its end.
pub(crate) const MOMENTS: &[Moment] = &[
    early("state directory", |it| it.state().exists()),
    early("installation id", |it| it.state().join("installation").exists()),
    early("root of the boxes", |it| it.boxes().join(".root-id").exists()),
    early("journal", |it| !it.journals().is_empty()),
    early("log of the reaper", |it| it.state().join("reaper.log").exists()),
    watched("lock of the reaper", Installation::is_watched),
    watched("directory of keys", |it| key(it, "").is_some()),
    watched("private key", |it| key(it, "id_ed25519").is_some()),
    watched("public key", |it| key(it, "id_ed25519.pub").is_some()),
    watched("intended", |it| it.journals().iter().any(|it| it.has("intended"))),
    watched("sent", |it| events(it, 3)),
    watched("draft of a box", |it| in_draft(it, "")),
    watched("record in the draft", |it| in_draft(it, "box.json")),
    watched("server's configuration in the draft", |it| in_draft(it, "sshd_config")),
    watched("box", |it| in_boxes(it, "-0", "")),
    watched("created", |it| events(it, 4)),
    watched("pinned host key", |it| key(it, "known_hosts").is_some()),
    watched("configuration of the connection", |it| key(it, "config").is_some()),
    watched("socket of the connection", |it| {
        let socket =
            |it: PathBuf| fs::symlink_metadata(it).is_ok_and(|it| it.file_type().is_socket());
        entries(&it.runtime()).any(socket)
    }),
    watched("ready", |it| it.journals().iter().any(|it| it.has("ready"))),
    watched("record of the run", |it| {
        entries(&it.state().join("runs")).any(|it| it.join("record.json").exists())
    }),
    watched("first synced file", |it| {
        entries(&it.boxes()).filter(|it| !is_planted(it)).any(|it| holds(&it.join("root"), "a.txt"))
    }),
    watched("command", |it| it.root().join("mark.begun").exists()),
    watched("end of the command's work", |it| it.root().join("mark.done").exists()),
    watched("recorded output", |it| {
        let written = |it: PathBuf| fs::metadata(it.join("stdout")).is_ok_and(|it| it.len() > 0);
        entries(&it.state().join("runs")).any(written)
    }),
    late("releasing", |it| it.journals().iter().any(|it| it.has("releasing"))),
    late("destroying", |it| events(it, 7)),
    late("box that is being removed", |it| in_boxes(it, ".gone", "")),
];

fn key(installation: &Installation, name: &str) -> Option<PathBuf> {
    entries(&installation.state().join("keys")).map(|it| it.join(name)).find(|it| it.exists())
}

fn events(installation: &Installation, count: usize) -> bool {
    installation.journals().iter().any(|it| it.events.len() >= count)
}

/// A draft has its final name soon, so that counts too.
fn in_draft(installation: &Installation, name: &str) -> bool {
    in_boxes(installation, ".part", name) || in_boxes(installation, "-0", name)
}

fn in_boxes(installation: &Installation, suffix: &str, name: &str) -> bool {
    let named = |it: &PathBuf| it.to_string_lossy().ends_with(suffix) && !is_planted(it);
    entries(&installation.boxes()).filter(named).any(|it| it.join(name).exists())
}

fn holds(dir: &Path, name: &str) -> bool {
    entries(dir).any(|it| it.ends_with(name) || it.is_dir() && holds(&it, name))
}
