//! An adapter of this repository, whose machines are `sshd` processes, with a script in front that breaks calls.

use std::fs;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::commands::Faulty;
use super::{Place, look};
use crate::house::House;
use crate::judge::Inventory;
use crate::plan::Harm;
use crate::processes::entries;
use crate::trouble::Trouble;

const ADAPTER: &str = include_str!("../../../lease-cli/tests/external/adapters/machines.py");
/// A lease of somebody else, named as ours are.
const THEIRS: &str = "lse-aaaaaaaaaaaaaaaaaaaa";

/// The adapter's directory.
#[derive(Debug)]
pub(super) struct AdapterPlace {
    machines: PathBuf,
    faulty: Faulty,
}

/// Sets the adapter up, with a machine of somebody else.
pub(super) fn open(house: House) -> Result<(House, Box<dyn Place>), Trouble> {
    let root = house.root();
    let machines = root.join("adapter/machines");
    fs::create_dir_all(machines.join(THEIRS))?;
    fs::create_dir_all(root.join("work"))?;
    let lease = format!(
        r#"{{"leaseId":"{THEIRS}","slug":"theirs","name":"theirs","cloudId":"theirs","status":"ready","labels":{{}}}}"#
    );
    fs::write(machines.join(THEIRS).join("lease"), lease)?;
    let program = root.join("machines.py");
    fs::write(&program, ADAPTER)?;
    make_executable(&program)?;
    let faulty = Faulty::build(root, &["adapter"], &program)?;
    let lines = [
        format!("command: {}", faulty.programs().join("adapter").display()),
        "config:".to_owned(),
        format!("  state: {}", root.join("adapter").display()),
        format!("  work_root: {}", root.join("work").display()),
        "settle: 200ms".to_owned(),
        "landing: 2s".to_owned(),
        "acquire_deadline: 12s".to_owned(),
        "release_deadline: 12s".to_owned(),
        "call_deadline: 10s".to_owned(),
    ];
    house.configure("external", &lines)?;
    Ok((house, Box::new(AdapterPlace { machines, faulty })))
}

fn make_executable(path: &Path) -> Result<(), Trouble> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

#[async_trait]
impl Place for AdapterPlace {
    async fn harm(&self, harm: Harm, number: u64) -> Result<(), Trouble> {
        // The way to an adapter is a pipe; it is cut when call after call is turned away.
        let calls = if harm == Harm::Cut { 2 + number % 2 } else { 1 };
        let harm = if harm == Harm::Cut { Harm::Refused } else { harm };
        (0..calls).try_for_each(|_| self.faulty.plan(harm))
    }

    fn harmed(&self) -> usize {
        self.faulty.met()
    }

    async fn cure(&self) -> Result<(), Trouble> {
        self.faulty.cancel();
        Ok(())
    }

    async fn inventory(&self) -> Result<Inventory, Trouble> {
        let theirs = self.machines.join(THEIRS);
        let ours = entries(&self.machines).into_iter().filter(|it| *it != theirs);
        Ok(Inventory {
            ours: ours.map(|it| format!("machine {}", it.display())).collect(),
            foreign: look(&theirs).into_iter().collect(),
        })
    }

    async fn close(&self) -> Result<(), Trouble> {
        Ok(())
    }
}
