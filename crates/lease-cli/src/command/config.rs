//! `lease config show`: each setting with its origin, and whether the repository's file is trusted. It shows what would
//! be refused, so that one can read it before trusting it.

use crate::args::{ConfigArgs, ConfigCommand};
use crate::config::Layers;
use crate::config::trust::Trust;
use crate::context::Base;
use crate::document::{RepositoryDescription, SettingDescription, SettingsDocument};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Table;

/// Shows the settings.
pub(crate) fn run(base: &Base<'_>, args: ConfigArgs) -> Result<Exit, Failure> {
    let ConfigCommand::Show = args.command.unwrap_or(ConfigCommand::Show);
    let layers = Layers::read(base.environment, &[])?;
    let trust = layers.trust(&base.trust()?)?;
    let settings = layers.resolve()?;
    let needs_trust: Vec<_> =
        layers.need_trust().into_iter().map(|(key, _)| key.to_owned()).collect();
    let repository = layers.repository.as_ref().map(|file| RepositoryDescription {
        path: file.path.display().to_string(),
        trust: if needs_trust.is_empty() { "not_needed" } else { word(trust) }.to_owned(),
        needs_trust,
    });
    if let Some(it) = repository.as_ref().filter(|_| trust != Trust::Given) {
        let keys = it.needs_trust.join(", ");
        base.output.note(&format!(
            "{} is not trusted to set {keys}; run: lease trust {}",
            it.path, it.path
        ));
    }
    if let Err(failure) = crate::catalog::resolve(settings.provider()) {
        base.output.note(&format!("nothing can be leased like this: {}", failure.what()));
    }
    let described: Vec<_> =
        settings.iter().map(|(key, sourced)| SettingDescription::of(key, sourced)).collect();
    let mut table = Table::new(&["SETTING", "VALUE", "ORIGIN"]);
    for (key, sourced) in settings.iter() {
        let value = match sourced.value.to_json() {
            serde_json::Value::String(text) => text,
            serde_json::Value::Null => "-".to_owned(),
            other @ (serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::Array(_)
            | serde_json::Value::Object(_)) => other.to_string(),
        };
        table.row([key.to_owned(), value, sourced.origin.to_string()]);
    }
    base.output.result(&SettingsDocument::new(described, repository), || table.render())?;
    Ok(Exit::Success)
}

fn word(trust: Trust) -> &'static str {
    match trust {
        Trust::Given => "given",
        Trust::Stale => "stale",
        Trust::Missing => "missing",
    }
}
