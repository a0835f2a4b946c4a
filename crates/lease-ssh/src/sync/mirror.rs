//! What this machine knows about what a box holds, kept beside the lease's keys.
//!
//! Two files: `mirror` names a generation, `tree.GENERATION` is what the box holds in it. They are written once the box
//! has said that it is in that generation, the tree first, so a client that dies in between still names the older one,
//! and the box tells that it is not in that any more. Neither is flushed to the disk: what a power failure leaves of them
//! is nothing, or an older generation.

use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use lease_tree::{Manifest, Tree};

use crate::box_root::BoxRoot;
use crate::client::Client;
use crate::error::{Result, SshError};
use crate::keys::LeaseFiles;

const VERSION: &str = "lease-mirror 1";

/// How a box looks after a command which files have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// By `find -cnewer`, which sees every change.
    Fine,
    /// By `find -newer`, in whole seconds of the modification time.
    Whole,
    /// It cannot.
    Never,
}

impl Look {
    /// The test of `find`, as the wrapper takes it.
    pub(crate) fn test(self) -> &'static str {
        match self {
            Self::Fine => "cnewer",
            Self::Whole => "newer",
            Self::Never => "",
        }
    }

    /// How finely it reads times, as the scripts take it.
    pub(super) fn clock(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Whole => "whole",
            Self::Never => "",
        }
    }
}

/// What a box has, as far as a sync cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tools {
    /// The option with which its `tar` removes a file before it writes it anew.
    pub(super) tar: String,
    pub(crate) look: Look,
}

/// What a box holds.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) generation: String,
    pub(super) tools: Tools,
    pub(super) manifest: Manifest,
}

/// What this machine knows about what the box of a lease holds. It may be lost: the box is asked then.
///
/// One sync of a lease at a time may use it.
#[derive(Clone, Debug)]
pub struct Mirror {
    directory: PathBuf,
    root: String,
    tree: String,
    pub(super) known: Option<Known>,
    is_of_tree: bool,
}

impl Client {
    /// Reads what is known about the box of a lease, for a sync of `tree`. It blocks.
    ///
    /// # Errors
    /// When the lease's id is none.
    pub fn mirror(&self, lease: &str, root: &BoxRoot, tree: &Tree) -> Result<Mirror> {
        let directory = LeaseFiles::new(&self.settings().keys, lease)?.directory().to_owned();
        let shown = tree.root.as_os_str().as_bytes().escape_ascii().to_string();
        let root = root.as_str().as_bytes().escape_ascii().to_string();
        let mut mirror = Mirror { directory, root, tree: shown, known: None, is_of_tree: false };
        mirror.load();
        Ok(mirror)
    }
}

impl Mirror {
    /// What is known about the same tree, which makes a look at it cheap.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.known.as_ref().filter(|_| self.is_of_tree).map(|it| &it.manifest)
    }

    fn load(&mut self) {
        let Some(line) = Head::read(&self.directory) else { return };
        if line.root != self.root {
            return;
        }
        let Some(manifest) = Manifest::load(&self.tree_file(&line.generation)) else { return };
        self.is_of_tree = line.tree == self.tree;
        self.known = Some(Known { generation: line.generation, tools: line.tools, manifest });
    }

    /// Writes down what the box has just said it holds.
    pub(super) fn keep(&mut self, known: Known) -> Result<()> {
        let is_new = self.known.as_ref().is_none_or(|it| {
            it.generation != known.generation || !it.manifest.is_same(&known.manifest)
        });
        if !is_new && self.is_of_tree {
            return Ok(());
        }
        let path = self.tree_file(&known.generation);
        known.manifest.save(&path)?;
        let head = Head {
            generation: known.generation.clone(),
            root: self.root.clone(),
            tree: self.tree.clone(),
            tools: known.tools.clone(),
        };
        head.write(&self.directory)?;
        self.sweep(&path);
        (self.known, self.is_of_tree) = (Some(known), true);
        Ok(())
    }

    /// Removes the trees of other generations. One that stays costs room and nothing else.
    fn sweep(&self, keep: &Path) {
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        for path in entries.filter_map(|it| Some(it.ok()?.path())) {
            let is_tree = path.file_name().is_some_and(|it| it.as_bytes().starts_with(b"tree."));
            if is_tree && path != keep {
                drop(fs::remove_file(path));
            }
        }
    }

    fn tree_file(&self, generation: &str) -> PathBuf {
        self.directory.join(format!("tree.{generation}"))
    }
}

/// How the box of a lease looks at its files after a command: what a sync has found out, or by somebody else.
pub(crate) fn look_of(files: &LeaseFiles) -> &'static str {
    Head::read(files.directory()).map_or("-", |it| it.tools.look.test())
}

/// Whether a sync from here has been written down for the box of a lease.
pub(crate) fn is_synced(files: &LeaseFiles) -> bool {
    Head::read(files.directory()).is_some()
}

/// The smaller file.
struct Head {
    generation: String,
    root: String,
    tree: String,
    tools: Tools,
}

impl Head {
    fn read(directory: &Path) -> Option<Self> {
        let text = fs::read_to_string(directory.join("mirror")).ok()?;
        let mut lines = text.strip_suffix("end\n")?.lines();
        if lines.next()? != VERSION {
            return None;
        }
        let mut value = |name: &str| Some(lines.next()?.strip_prefix(name)?.to_owned());
        let generation = value("generation ").filter(|it| is_token(it))?;
        let (root, tree, tar) = (value("root ")?, value("tree ")?, value("tar ")?);
        let look = match value("look ")?.as_str() {
            "cnewer" => Look::Fine,
            "newer" => Look::Whole,
            "" => Look::Never,
            _ => return None,
        };
        Some(Self { generation, root, tree, tools: Tools { tar, look } })
    }

    fn write(&self, directory: &Path) -> Result<()> {
        let path = directory.join("mirror");
        let beside = directory.join(format!("mirror.{}", self.generation));
        let Self { generation, root, tree, tools } = self;
        let text = format!(
            "{VERSION}\ngeneration {generation}\nroot {root}\ntree {tree}\ntar {}\nlook {}\nend\n",
            tools.tar,
            tools.look.test()
        );
        let written = fs::File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| fs::rename(&beside, &path));
        written.map_err(|error| {
            drop(fs::remove_file(&beside));
            SshError::storage("writing", path)(error)
        })
    }
}

/// Whether it is a word as [`random_text`](crate::files::random_text) draws it, and not `dirty`.
pub(super) fn is_token(word: &str) -> bool {
    word.len() >= 16 && word.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit())
}
