//! Journals as a person would read them: line by line, without the program's own reader.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// What stands in one journal.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    /// Whether the lease is not proven to be released.
    pub(crate) is_live: bool,
    /// The name of each event, in order.
    pub(crate) events: Vec<String>,
    /// The marks of its resources.
    pub(crate) nonces: Vec<String>,
    /// Why it was released.
    pub(crate) releasing: Option<String>,
}

impl Journal {
    /// Reads all journals of a state directory; a line that is not complete is not there yet.
    pub(crate) fn read_all(state: &Path) -> Vec<Self> {
        let of = |name: &str, is_live: bool| {
            let files = super::entries(&state.join(name));
            let journals = files.filter(|it| it.extension().is_some_and(|it| it == "jsonl"));
            journals.filter_map(move |it| Some(Self::parse(&fs::read_to_string(it).ok()?, is_live)))
        };
        of("leases", true).chain(of("archive", false)).collect()
    }

    fn parse(text: &str, is_live: bool) -> Self {
        let mut it = Self { is_live, events: Vec::new(), nonces: Vec::new(), releasing: None };
        for line in text.split_inclusive('\n').filter(|it| it.ends_with('\n')) {
            let record: Value = serde_json::from_str(line).unwrap();
            let (name, event) = record["event"].as_object().unwrap().iter().next().unwrap();
            it.events.push(name.clone());
            for intended in event.as_array().into_iter().flatten() {
                it.nonces.push(intended["nonce"].as_str().unwrap().to_owned());
            }
            if name == "releasing" {
                it.releasing = event["why"].as_str().map(str::to_owned);
            }
        }
        it
    }

    pub(crate) fn has(&self, event: &str) -> bool {
        self.events.iter().any(|it| it == event)
    }
}
