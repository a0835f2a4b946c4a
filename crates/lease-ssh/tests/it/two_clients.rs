//! Two clients with different trees that sync one box at the same time: one after the other has it, and never both.

use std::fs;
use std::path::{Path, PathBuf};

use lease_ssh::{Client, Order, Outcome, Sinks, SshError};

use crate::edits::{Chance, differences};
use crate::fixture::{LEASE, scan, sh, tree_at};
use crate::syncing::{Case, git};

/// A client that knows nothing of the other one, and its tree.
struct Party {
    client: Client,
    tree: PathBuf,
}

impl Party {
    async fn new(case: &Case, name: &str) -> Self {
        let (home, tree) = (case.it.at(name), case.it.at(&format!("{name}/tree")));
        fs::create_dir_all(&tree).unwrap();
        git(&tree, &["init", "-q"]).await;
        let mut settings = case.it.client.settings().clone();
        settings.keys = home.join("keys");
        let client = Client::new(settings);
        client.prepare(LEASE).unwrap();
        Self { client, tree }
    }

    async fn run(&self, case: &Case, name: &str) -> Result<Outcome, SshError> {
        let tree = tree_at(&self.tree);
        let mut mirror = self.client.mirror(LEASE, &case.it.root, &tree).unwrap();
        let scan = scan(&tree, mirror.manifest()).await.unwrap();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut sinks = Sinks::new(&mut stdout, &mut stderr);
        let (place, order) = ((&case.it.root, name), Order::new(&mut mirror, &scan));
        let started = case.session.start_synced(place, order, &sh("exit 2")).await?;
        Box::pin(started.carry(&b""[..], &mut sinks)).await
    }
}

#[tokio::test]
async fn of_two_clients_at_once_each_gets_its_turn_and_the_box_holds_the_whole_tree_of_one() {
    let case = Case::new().await;
    let mut chance = Chance::new(2);
    let (one, two) = (Party::new(&case, "one").await, Party::new(&case, "two").await);
    let trees = |it: &Path| [differences(&one.tree, it), differences(&two.tree, it)];
    for round in 0..8 {
        for (tree, word) in [(&one.tree, "one"), (&two.tree, "two")] {
            chance.edit(tree, 4);
            fs::write(tree.join(word), format!("{word} {round}")).unwrap();
            drop(fs::remove_dir_all(tree.join("both")));
            fs::create_dir(tree.join("both")).unwrap();
            // Some changes fit into a request, and some do not.
            for number in 0..if round % 3 == 2 { 150 } else { 20 } {
                let content = format!("{word} {round}").repeat(100);
                fs::write(tree.join(format!("both/{number}")), content).unwrap();
            }
        }
        let names = [format!("one-{round}"), format!("two-{round}")];
        let (first, second) = tokio::join!(one.run(&case, &names[0]), two.run(&case, &names[1]));
        for ended in [first, second] {
            assert_eq!(ended.unwrap(), Outcome::Finished(2), "round {round}");
        }
        let wrong = trees(&case.it.work());
        assert!(wrong.iter().any(Vec::is_empty), "round {round}: a mixture: {wrong:#?}");
        // Whoever was first finds the other one's tree, and has its own again.
        let party = [&one, &two][round % 2];
        assert_eq!(party.run(&case, &format!("next-{round}")).await.unwrap(), Outcome::Finished(2));
        let wrong = differences(&party.tree, &case.it.work());
        assert!(wrong.is_empty(), "round {round}: {wrong:#?}");
    }
    case.it.end().await;
}
