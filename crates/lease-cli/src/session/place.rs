//! Which tree goes to the box, and where in it the command starts.

use std::path::{Path, PathBuf};

use lease_ssh::{Mirror, Scan, Source, Tree, WhySkipped};

use crate::context::Context;
use crate::failure::{Failure, Meaning};
use crate::output::Output;

/// How many skipped files are named; the others are counted.
const NAMED_MAX: usize = 5;

/// A tree and a directory in it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The tree that is synced.
    pub(crate) tree: Tree,
    /// Where the command starts, relative to the tree; `None` for the tree itself.
    pub(crate) directory: Option<String>,
}

impl Place {
    /// The directory that was named, or the git tree around the current directory, or the current directory.
    pub(crate) fn of(context: &Context<'_>, named: Option<&Path>) -> Result<Self, Failure> {
        let current = context.directory()?;
        let (root, directory) = match named {
            Some(named) => (existing(context.base.environment.absolute(named)?)?, None),
            None => match tree_around(current) {
                Some(root) => {
                    let inside = current.strip_prefix(&root).unwrap_or(Path::new(""));
                    let directory = (!inside.as_os_str().is_empty()).then(|| inside.to_owned());
                    (root, directory)
                }
                None => (current.to_owned(), None),
            },
        };
        let directory = match directory {
            None => None,
            Some(inside) => Some(inside.into_os_string().into_string().map_err(|inside| {
                let what =
                    format!("the directory {} is not valid UTF-8", Path::new(&inside).display());
                Failure::invalid(what, "cd to the top of the tree").meaning(Meaning::NothingCreated)
            })?),
        };
        let tree = Tree {
            root,
            environment: super::environment(&context.base),
            ignore: context.settings.sync_ignore().to_vec(),
        };
        Ok(Self { tree, directory })
    }

    /// Looks at what would be sent. Done before a box is leased, so that a bad tree costs nothing.
    pub(crate) async fn scan(&self, context: &Context<'_>) -> Result<Scan, Failure> {
        self.scan_with(context, None).await
    }

    /// The same with the help of what is known of the tree, which is cheaper.
    pub(crate) async fn scan_with(
        &self,
        context: &Context<'_>,
        known: Option<&Mirror>,
    ) -> Result<Scan, Failure> {
        let known = known.and_then(Mirror::manifest);
        lease_ssh::scan(&self.tree, known, context.base.now()).await.map_err(|error| {
            let what = format!("the tree {} cannot be synced: {error}", self.tree.root.display());
            let next = next_for(&what, &self.tree.root);
            Failure::invalid(what, next).meaning(Meaning::NothingCreated).kind("invalid")
        })
    }
}

/// The directory that was named, if it is one.
fn existing(named: PathBuf) -> Result<PathBuf, Failure> {
    if named.is_dir() {
        return Ok(named);
    }
    let what = format!("--dir {}: there is no such directory", named.display());
    let failure = Failure::invalid(what, format!("ls -ld {}", named.display()));
    Err(failure.meaning(Meaning::NothingCreated).kind("usage"))
}

/// The command that helps with a tree that cannot be listed.
fn next_for(what: &str, root: &Path) -> String {
    let root_name = root.display();
    if what.contains("safe.directory") {
        // Git says this of a tree of somebody else, and `git status` would only say it again.
        format!("git config --global --add safe.directory {root_name}")
    } else if root.join(".git").exists() {
        "git status".to_owned()
    } else {
        format!("ls -la {root_name}")
    }
}

/// Says what a person should know about a list of files.
pub(crate) fn tell(output: &Output, source: &Source, skipped: &[lease_ssh::Skipped]) {
    if let Source::Walk { why } = source {
        output
            .note(&format!("{why}: every file that no .gitignore or .leaseignore names is synced"));
    }
    for it in skipped.iter().take(NAMED_MAX) {
        output.note(&format!("not synced: {} ({})", it.path.display(), reason(it.why)));
    }
    if skipped.len() > NAMED_MAX {
        output.note(&format!("not synced: {} more", skipped.len() - NAMED_MAX));
    }
}

fn reason(why: WhySkipped) -> &'static str {
    match why {
        WhySkipped::Special => "a socket, FIFO or device",
        WhySkipped::Unreadable => "it cannot be read",
        WhySkipped::Changing => "it kept changing while it was read",
        WhySkipped::Vanished => "it vanished while the tree was read",
        WhySkipped::EmptySubmodule => "a submodule that is not checked out",
    }
}

fn tree_around(directory: &Path) -> Option<PathBuf> {
    directory.ancestors().find(|it| it.join(".git").exists()).map(Path::to_owned)
}
