//! Which files outside of the listed directories decide git's list, so that a list can be kept while they are the same.
//!
//! What cannot be told exactly makes the list one that is not kept: that is slower, and never wrong.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::git::Git;
use super::matcher;
use crate::manifest::{LookHow, Stamp};
use crate::stat::Stat;
use crate::tree::Tree;

/// Where a system-wide configuration may appear; git is built with one of them. One that exists is told by git itself.
const SYSTEM_CONFIGURATIONS: [&str; 4] = [
    "/etc/gitconfig",
    "/usr/local/etc/gitconfig",
    "/opt/homebrew/etc/gitconfig",
    "/opt/local/etc/gitconfig",
];
/// They move the repository, the index or the tree away from where the directory says.
const MOVING_VARIABLES: [&str; 6] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_CEILING_DIRECTORIES",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
];

/// A hash of what the caller decides.
pub(crate) fn inputs(tree: &Tree) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut add = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    };
    add(tree.root.as_os_str().as_bytes());
    add(&(tree.ignore.len() as u64).to_le_bytes());
    tree.ignore.iter().for_each(|it| add(it.as_bytes()));
    let decides = |name: &OsStr| {
        name == "HOME" || name == "XDG_CONFIG_HOME" || name.as_bytes().starts_with(b"GIT_")
    };
    let mut variables: Vec<_> = tree.environment.iter().filter(|(it, _)| decides(it)).collect();
    // Of two settings of one variable the last one counts, so a stable sort keeps what they mean.
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, value) in variables {
        add(name.as_bytes());
        add(value.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// The stamps of everything that decides the list of the repository in `directory`, except the `.gitignore` files of
/// directories inside the tree. `None` when it cannot be told.
pub(crate) async fn stamps(tree: &Tree, directory: &Path, repository: u32) -> Option<Vec<Stamp>> {
    if tree.environment.iter().any(|(name, _)| MOVING_VARIABLES.iter().any(|it| name == it)) {
        return None;
    }
    let git = Git::of(tree, directory);
    let asked = [
        "rev-parse",
        "--path-format=absolute",
        "--show-toplevel",
        "--git-dir",
        "--git-common-dir",
        "--git-path",
        "index",
        "--git-path",
        "info/exclude",
    ];
    let (said, configuration) =
        tokio::join!(git.about(&asked), git.about(&["config", "--list", "--show-origin", "-z"]));
    let said = said?;
    let lines: Vec<&[u8]> = said.strip_suffix(b"\n")?.split(|it| *it == b'\n').collect();
    let [top, git_directory, common, index, exclude] = lines.as_slice() else { return None };
    let path = |it: &[u8]| PathBuf::from(OsString::from_vec(it.to_vec()));
    let top = path(top);
    let mut found = Found { repository, stamps: Vec::new() };
    found.add(path(index), LookHow::Index);
    found.add(path(exclude), LookHow::Through);
    found.add(path(common).join("config"), LookHow::Through);
    found.add(path(git_directory).join("config.worktree"), LookHow::Through);
    found.add(tree.root.join(matcher::FILE_NAME), LookHow::Through);
    configured(tree, &top, &configuration?, &mut found)?;
    above(directory, &top, &mut found)?;
    found.stamps.sort_by(|a, b| a.path.cmp(&b.path));
    found.stamps.dedup_by(|a, b| a.path == b.path && a.how == b.how);
    Some(found.stamps)
}

/// How a file is now, as [`Stamp::seen`].
pub(crate) fn look(path: &Path, how: LookHow) -> Option<Stat> {
    let seen = match how {
        LookHow::Through | LookHow::Index | LookHow::Identity => rustix::fs::stat(path),
        LookHow::Itself => rustix::fs::lstat(path),
    };
    let mut stat = Stat::from(&seen.ok()?);
    if how == LookHow::Identity && stat.is_directory() {
        stat = Stat { mode: stat.mode, ino: stat.ino, dev: stat.dev, ..Stat::default() };
    }
    Some(stat)
}

struct Found {
    repository: u32,
    stamps: Vec<Stamp>,
}

impl Found {
    fn add(&mut self, path: PathBuf, how: LookHow) {
        let seen = look(&path, how);
        let path = path.into_os_string().into_vec();
        self.stamps.push(Stamp { path, how, seen, repository: self.repository });
    }
}

/// The markers and `.gitignore` files from the directory up to the top of its working tree.
fn above(directory: &Path, top: &Path, found: &mut Found) -> Option<()> {
    // git tells the resolved path, so the climb begins at the resolved path too.
    let from = std::fs::canonicalize(directory).ok()?;
    if !from.starts_with(top) {
        return None;
    }
    for above in from.ancestors() {
        found.add(above.join(".git"), LookHow::Identity);
        let ignore = above.join(".gitignore");
        // A link is read or not, depending on git's version.
        if look(&ignore, LookHow::Itself).is_some_and(|it| !is_plain(&it)) {
            return None;
        }
        found.add(ignore, LookHow::Itself);
        if above == top {
            break;
        }
    }
    Some(())
}

/// Whether a `.gitignore` is one that every git reads.
pub(crate) fn is_plain(stat: &Stat) -> bool {
    stat.file_type() == rustix::fs::FileType::RegularFile
}

/// The files that git took its configuration from, those it would take it from, and the global file of patterns.
fn configured(tree: &Tree, top: &Path, said: &[u8], found: &mut Found) -> Option<()> {
    let variable = |wanted: &str| {
        let mut all = tree.environment.iter().rev();
        all.find(|(name, value)| name == wanted && !value.is_empty()).map(|(_, value)| value)
    };
    let home = variable("HOME").map(PathBuf::from);
    let xdg = match (variable("XDG_CONFIG_HOME"), &home) {
        (Some(it), _) => Some(PathBuf::from(it)),
        (None, home) => home.as_ref().map(|it| it.join(".config")),
    };
    let mut excludes = xdg.as_ref().map(|it| it.join("git/ignore"));
    let mut fields = said.split(|it| *it == 0);
    while let (Some(origin), Some(setting)) = (fields.next(), fields.next()) {
        let at = setting.iter().position(|it| *it == b'\n').unwrap_or(setting.len());
        let (key, value) = (&setting[..at], setting.get(at + 1..).unwrap_or_default());
        let file = origin.strip_prefix(b"file:").map(|it| top.join(OsStr::from_bytes(it)));
        let beside = file.as_deref().and_then(Path::parent);
        if key == b"core.excludesfile" {
            let named = |it| expand(it, home.as_deref(), None);
            excludes = if value.is_empty() { None } else { Some(named(value)?) };
        } else if key.starts_with(b"includeif.onbranch:") {
            return None;
        } else if key.starts_with(b"include") && key.ends_with(b".path") {
            found.add(expand(value, home.as_deref(), beside)?, LookHow::Through);
        }
        if let Some(file) = file {
            found.add(file, LookHow::Through);
        }
        found.stamps.dedup_by(|a, b| a.path == b.path);
    }
    let global = home.iter().map(|it| it.join(".gitconfig"));
    let global = global.chain(xdg.iter().map(|it| it.join("git/config")));
    let named = ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"].into_iter().filter_map(variable);
    let system = SYSTEM_CONFIGURATIONS.iter().map(PathBuf::from);
    for file in global.chain(named.map(PathBuf::from)).chain(system).chain(excludes) {
        found.add(file, LookHow::Through);
    }
    Some(())
}

/// A path of the configuration; `None` for the forms that only git can expand.
fn expand(value: &[u8], home: Option<&Path>, beside: Option<&Path>) -> Option<PathBuf> {
    if let Some(rest) = value.strip_prefix(b"~/") {
        return Some(home?.join(OsStr::from_bytes(rest)));
    }
    if value.starts_with(b"~") || value.starts_with(b"%(") || value.starts_with(b":") {
        return None;
    }
    let path = Path::new(OsStr::from_bytes(value));
    if path.is_absolute() { Some(path.to_owned()) } else { Some(beside?.join(path)) }
}
