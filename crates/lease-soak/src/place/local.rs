//! This machine: boxes are directories of it, and what can be cut, halted or late is a connection to one of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use lease_core::retry::{Bounds, Pace, pause};
use rustix::process::Signal;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::{Place, look};
use crate::house::House;
use crate::judge::Inventory;
use crate::plan::Harm;
use crate::processes::{connections_below, entries};
use crate::trouble::Trouble;

/// A directory named like a box that says nothing about itself.
const NAMELESS: &str = "lse-foreignforeignforeig-0";
/// How long a connection is waited for that could be harmed.
const OPPORTUNITY: Duration = Duration::from_secs(4);
/// How long one stands still that is late.
const HALT: Duration = Duration::from_millis(1500);

/// The directory of boxes.
#[derive(Debug)]
pub(super) struct LocalPlace {
    root: PathBuf,
    harmed: Arc<AtomicUsize>,
    under_way: Mutex<JoinSet<()>>,
}

/// Sets it up, with a directory of somebody else among the boxes.
pub(super) fn open(house: House) -> Result<(House, Box<dyn Place>), Trouble> {
    let root = house.root().to_path_buf();
    let nameless = root.join("state/boxes").join(NAMELESS);
    fs::create_dir_all(nameless.join("root"))?;
    fs::write(nameless.join("root/precious"), "precious\n")?;
    fs::set_permissions(&nameless, fs::Permissions::from_mode(0o700))?;
    house.configure("local", &[])?;
    let place = LocalPlace { root, harmed: Arc::default(), under_way: Mutex::default() };
    Ok((house, Box::new(place)))
}

#[async_trait]
impl Place for LocalPlace {
    async fn harm(&self, harm: Harm, number: u64) -> Result<(), Trouble> {
        let (root, harmed) = (self.root.clone(), Arc::clone(&self.harmed));
        let mut under_way = self.under_way.lock().await;
        while under_way.try_join_next().is_some() {}
        under_way.spawn(async move {
            let mut pace = Pace::start(
                Bounds::within(OPPORTUNITY)
                    .paused(Duration::from_millis(100), Duration::from_millis(250)),
            );
            loop {
                let open = connections_below(&root);
                let at = usize::try_from(number).unwrap_or_default() % open.len().max(1);
                if let Some(one) = open.get(at) {
                    harmed.fetch_add(1, Ordering::Relaxed);
                    match harm {
                        Harm::Late | Harm::Never | Harm::Twice => {
                            one.send(Signal::STOP);
                            pause(HALT).await;
                            one.send(Signal::CONT);
                        }
                        Harm::Refused | Harm::Wrong => one.send(Signal::TERM),
                        Harm::Lost | Harm::Cut => one.send(Signal::KILL),
                    }
                    return;
                }
                if !pace.wait(None).await {
                    return;
                }
            }
        });
        Ok(())
    }

    fn harmed(&self) -> usize {
        self.harmed.load(Ordering::Relaxed)
    }

    async fn cure(&self) -> Result<(), Trouble> {
        // They end by themselves soon, and none may be left half-way: what stands still has to go on.
        while self.under_way.lock().await.join_next().await.is_some() {}
        Ok(())
    }

    async fn inventory(&self) -> Result<Inventory, Trouble> {
        let boxes = self.root.join("state/boxes");
        let theirs = boxes.join(NAMELESS);
        let is_ours = |it: &PathBuf| {
            let name = it.file_name().unwrap_or_default().as_encoded_bytes();
            // The file that tells the directory of boxes from others stays.
            *it != theirs && !name.starts_with(b".root-id")
        };
        let ours = entries(&boxes).into_iter().filter(is_ours);
        let mut foreign: std::collections::BTreeMap<_, _> = look(&theirs).into_iter().collect();
        foreign.insert(theirs.display().to_string(), theirs.is_dir().to_string());
        Ok(Inventory { ours: ours.map(|it| format!("box {}", it.display())).collect(), foreign })
    }

    async fn close(&self) -> Result<(), Trouble> {
        Ok(())
    }
}
