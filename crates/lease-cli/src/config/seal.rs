//! Trust is given to programs as they are: what a repository's settings name is sealed with its content.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::keys::{self, Repository};
use crate::config::layer::{self, Layer};
use crate::config::sourced::OriginKind;
use crate::config::trust::{Trust, TrustStore};
use crate::durable::read_bounded;

/// A file of the repository that is longer than this is trusted by its name alone.
const SEALED_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A text of a setting that needs trust, and what it named beside or below its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seal {
    /// The repository's file that has the setting.
    pub(crate) file: PathBuf,
    /// The setting.
    pub(crate) key: String,
    text: String,
    /// The BLAKE3 hash of the content; none where it named no file of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
}

impl Seal {
    /// Seals what a layer of the file `path` names. `seen` gets each text that names something, with its content.
    pub(crate) fn all(path: &Path, layer: &Layer, mut seen: impl FnMut(&str, &[u8])) -> Vec<Self> {
        let needs_trust =
            |key: &str| keys::find(key).is_some_and(|it| it.repository == Repository::NeedsTrust);
        let mut seals = Vec::new();
        for (key, sourced) in layer.iter().filter(|(key, _)| needs_trust(key)) {
            let mut texts = Vec::new();
            texts_of(&sourced.value.to_json(), &mut texts);
            for text in texts {
                let content = content(path, &text);
                if let Some(content) = &content {
                    seen(&text, content);
                }
                let hash = content.as_deref().map(hash);
                let (file, key) = (path.to_owned(), (*key).to_owned());
                seals.push(Self { file, key, text, hash });
            }
        }
        seals
    }

    /// What the text names, as a path.
    pub(crate) fn named(&self) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("/")).join(&self.text)
    }

    /// The first of the seals that is broken, unless its file was trusted again with what is there now. What is gone
    /// breaks none: it cannot be run.
    pub(crate) fn first_broken<'a>(seals: &'a [Self], trust: &TrustStore) -> Option<&'a Self> {
        let mut broken = seals.iter().filter(|it| it.is_broken());
        broken.find(|it| !it.is_trusted_again(trust))
    }

    fn is_broken(&self) -> bool {
        self.hash != self.hash_now() && self.named().symlink_metadata().is_ok()
    }

    fn hash_now(&self) -> Option<String> {
        content(&self.file, &self.text).as_deref().map(hash)
    }

    fn is_trusted_again(&self, trust: &TrustStore) -> bool {
        let Ok(Some(now)) = layer::file(&self.file, OriginKind::Repository) else { return false };
        let is_trusted = matches!(trust.check(&now.path, &now.bytes), Ok(Trust::Given));
        let hash = self.hash_now();
        is_trusted && now.seals.iter().any(|it| it.text == self.text && it.hash == hash)
    }
}

/// The content of the file that `text` names beside or below `path`.
fn content(path: &Path, text: &str) -> Option<Vec<u8>> {
    let directory = path.parent()?.canonicalize().ok()?;
    let named = directory.join(text).canonicalize().ok()?;
    if named.starts_with(&directory) { read_bounded(&named, SEALED_BYTES_MAX).ok() } else { None }
}

fn hash(content: &[u8]) -> String {
    blake3::hash(content).to_hex().to_string()
}

fn texts_of(value: &serde_json::Value, texts: &mut Vec<String>) {
    use serde_json::Value as Json;
    match value {
        Json::String(text) => texts.push(text.clone()),
        Json::Array(items) => items.iter().for_each(|it| texts_of(it, texts)),
        Json::Object(entries) => entries.values().for_each(|it| texts_of(it, texts)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use lease_core::Timestamp;

    use super::*;
    use crate::config::sourced::{Origin, Sourced};

    /// A setting of this build that needs trust and takes a text.
    fn key() -> Option<&'static keys::Key> {
        let takes_text = |it: &&'static keys::Key| {
            let is_text = matches!(it.kind, keys::Kind::Text | keys::Kind::Path);
            it.repository == Repository::NeedsTrust && is_text
        };
        keys::all().find(takes_text)
    }

    fn seals(file: &Path, text: &str) -> Option<Vec<Seal>> {
        let origin = Origin::in_file(OriginKind::Repository, file, 1);
        let sourced = Sourced { value: keys::Value::Text(text.to_owned()), origin };
        Some(Seal::all(file, &Layer::from([(key()?.path, sourced)]), |_, _| {}))
    }

    #[test]
    fn a_program_that_is_longer_shorter_or_elsewhere_breaks_its_seal() {
        let dir = tempfile::tempdir().unwrap();
        let (file, program) = (dir.path().join("lease.yaml"), dir.path().join("program"));
        fs::write(&program, "one").unwrap();
        let Some(seals) = seals(&file, "program") else { return };
        let trust = TrustStore::new(&dir.path().join("state"));
        let is_broken = || Seal::first_broken(&seals, &trust).is_some();
        assert!(!is_broken());
        fs::write(&program, "two").unwrap();
        assert!(is_broken());
        // What is too long to be sealed is not what was sealed.
        fs::File::create(&program).unwrap().set_len(SEALED_BYTES_MAX + 1).unwrap();
        assert!(is_broken());
        fs::remove_file(&program).unwrap();
        assert!(!is_broken(), "it cannot be run");
        std::os::unix::fs::symlink("/bin/true", &program).unwrap();
        assert!(is_broken());
    }

    #[test]
    fn what_named_nothing_and_names_something_now_breaks_its_seal() {
        let dir = tempfile::tempdir().unwrap();
        let Some(seals) = seals(&dir.path().join("lease.yaml"), "program") else { return };
        let trust = TrustStore::new(&dir.path().join("state"));
        assert!(Seal::first_broken(&seals, &trust).is_none());
        fs::write(dir.path().join("program"), "one").unwrap();
        assert_eq!(Seal::first_broken(&seals, &trust), seals.first());
    }

    #[test]
    fn trust_that_is_given_again_mends_the_seal_of_what_is_there_then() {
        let dir = tempfile::tempdir().unwrap();
        let (file, program) = (dir.path().join("lease.yaml"), dir.path().join("program"));
        let Some(path) = key().map(|it| it.path) else { return };
        let mut text = "program".to_owned();
        for name in path.rsplit('.') {
            text = format!("{{{name}: {text}}}");
        }
        fs::write(&file, text).unwrap();
        fs::write(&program, "one").unwrap();
        let read = || layer::file(&file, OriginKind::Repository).unwrap().unwrap();
        let seals = read().seals;
        let trust = TrustStore::new(&dir.path().join("state"));
        let is_broken = || Seal::first_broken(&seals, &trust).is_some();
        fs::write(&program, "two").unwrap();
        assert!(is_broken());
        trust.give(&file, &read().bytes, Timestamp::from_millis(1)).unwrap();
        assert!(!is_broken());
        fs::write(&program, "three").unwrap();
        assert!(is_broken());
    }
}
