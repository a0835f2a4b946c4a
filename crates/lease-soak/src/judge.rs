//! What is left, what of others was touched and what is stuck, told by the providers' own books and never by the client.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a provider's own books show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inventory {
    /// What exists there and belongs to the installation.
    pub(crate) ours: Vec<String>,
    /// What belongs to others, by its name there, with everything that changes when it is touched.
    pub(crate) foreign: BTreeMap<String, String>,
}

/// What is left on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Here {
    /// Records of leases that are not released. Nothing is ever kept on purpose in a long run.
    pub(crate) records: Vec<String>,
    /// Living processes, the reaper too: nothing is left that it could wait for.
    pub(crate) processes: Vec<String>,
    /// Keys and sockets.
    pub(crate) files: Vec<String>,
}

/// What is wrong at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// Resources of ours that are still there.
    pub(crate) leaked: Vec<String>,
    /// Things of others that were changed or deleted.
    pub(crate) foreign: Vec<String>,
    /// Records, processes and files that nobody ends any more, and clients that did not end.
    pub(crate) stuck: Vec<String>,
}

impl Verdict {
    pub(crate) fn is_clean(&self) -> bool {
        self.leaked.is_empty() && self.foreign.is_empty() && self.stuck.is_empty()
    }

    /// Every finding, a line each.
    pub(crate) fn findings(&self) -> Vec<String> {
        let kinds = [("leaked", &self.leaked), ("foreign", &self.foreign), ("stuck", &self.stuck)];
        kinds
            .into_iter()
            .flat_map(|(kind, found)| found.iter().map(move |it| format!("{kind}: {it}")))
            .collect()
    }
}

/// Compares what there was before the first lease with what there is after the last.
pub(crate) fn judge(before: &Inventory, after: &Inventory, here: &Here) -> Verdict {
    let mut foreign = Vec::new();
    for (name, was) in &before.foreign {
        match after.foreign.get(name) {
            Some(is) if is == was => {}
            Some(is) => foreign.push(format!("{name} was {was} and is {is}")),
            None => foreign.push(format!("{name} is gone; it was {was}")),
        }
    }
    let stuck = [&here.records, &here.processes, &here.files];
    Verdict {
        leaked: after.ours.clone(),
        foreign,
        stuck: stuck.into_iter().flatten().cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_and_a_changed_foreign_thing_count_and_a_new_one_is_nobodys_business() {
        let of = |pairs: &[(&str, &str)]| Inventory {
            ours: Vec::new(),
            foreign: pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
        };
        let before = of(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let after = of(&[("a", "1"), ("b", "2"), ("d", "1")]);
        let verdict = judge(&before, &after, &Here::default());
        assert_eq!(verdict.foreign, ["b was 1 and is 2", "c is gone; it was 1"]);
        assert!(verdict.leaked.is_empty() && verdict.stuck.is_empty() && !verdict.is_clean());
    }
}
