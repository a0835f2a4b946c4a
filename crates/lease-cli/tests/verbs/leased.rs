//! An installation with one lease that stays, called `demo`.

use std::path::PathBuf;

use crate::installation::{Ended, Installation, entries};

/// What a program printed that succeeded.
pub(crate) struct Good {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// The installation.
pub(crate) struct Leased(pub(crate) Installation);

impl Leased {
    pub(crate) fn new() -> Self {
        let installation = Installation::new();
        let ended = installation.lease(["acquire", "--slug", "demo"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        Self(installation)
    }

    /// Runs the program to success.
    #[track_caller]
    pub(crate) fn good(&self, words: &[&str]) -> Good {
        let Ended { code, stdout, stderr } = self.0.lease(words);
        assert_eq!(code, 0, "{words:?}: {stderr}");
        Good { stdout, stderr }
    }

    /// The JSON that a command prints, which says no more and no less than its schema.
    #[track_caller]
    pub(crate) fn json(&self, words: &[&str]) -> serde_json::Value {
        let document = self.0.json(words);
        self.is_described(&document);
        document
    }

    #[track_caller]
    pub(crate) fn is_described(&self, document: &serde_json::Value) {
        let schema = self.0.json(&["schema", document["schema"].as_str().unwrap()]);
        let keys = |it: &serde_json::Value| -> Vec<String> {
            it.as_object().unwrap().keys().cloned().collect()
        };
        assert_eq!(keys(document), keys(&schema["properties"]), "{document}");
    }

    /// The tree on the only box.
    pub(crate) fn work(&self) -> PathBuf {
        let boxes = entries(&self.0.boxes());
        let mut roots = boxes.map(|it| it.join("root")).filter(|it| it.exists());
        roots.next().unwrap().join("work")
    }

    /// Gives the lease back and asserts that nothing is left.
    #[track_caller]
    pub(crate) fn end(self) {
        self.good(&["release", "-q", "demo"]);
        self.0.assert_clean();
    }
}
