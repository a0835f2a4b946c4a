//! Programs that a provider runs, with faults in front of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::plan::Harm;
use crate::processes::entries;
use crate::trouble::Trouble;

const SCRIPT: &str = include_str!("faulty.sh");

/// The programs of one installation that meet faults.
#[derive(Debug)]
pub(super) struct Faulty {
    directory: PathBuf,
    number: AtomicUsize,
}

impl Faulty {
    /// Puts the script in the place of `names`. `real` is the program that does the work, or a directory, which means
    /// the program of the same name that is found as usual.
    pub(super) fn build(root: &Path, names: &[&str], real: &Path) -> Result<Self, Trouble> {
        let directory = root.join("faults");
        let script = SCRIPT.replace("FAULTS", &directory.display().to_string());
        let script = script.replace("REAL", &real.display().to_string());
        fs::create_dir_all(directory.join("met"))?;
        fs::create_dir_all(directory.join("bin"))?;
        for name in names {
            let path = directory.join("bin").join(name);
            fs::write(&path, &script)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        // Whoever the programs run as takes the plans.
        for path in [directory.clone(), directory.join("met")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777))?;
        }
        Ok(Self { directory, number: AtomicUsize::new(0) })
    }

    /// Where the programs are.
    pub(super) fn programs(&self) -> PathBuf {
        self.directory.join("bin")
    }

    /// Has the next call meet this.
    pub(super) fn plan(&self, harm: Harm) -> Result<(), Trouble> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        Ok(fs::write(self.directory.join(format!("{number:06}.{}", harm.name())), "")?)
    }

    /// How many were met.
    pub(super) fn met(&self) -> usize {
        entries(&self.directory.join("met")).len()
    }

    /// Takes all plans back that nobody met.
    pub(super) fn cancel(&self) {
        let plans = entries(&self.directory).into_iter().filter(|it| it.is_file());
        // One that was met meanwhile is not there any more.
        plans.for_each(|it| fs::remove_file(it).unwrap_or_default());
    }
}
