//! `lease provider test` and `lease provider new`: for authors of adapters.

use std::path::Path;

use lease_core::{LeaseId, OsEntropy};
use serde_json::{Map, Value as Json};

use crate::args::{AdapterTestArgs, Language};
use crate::catalog::{self, Trial};
use crate::config::Settings;
use crate::config::keys::Value;
use crate::context::Base;
use crate::document::{AdapterFilesDocument, AdapterTestDocument};
use crate::exit::Exit;
use crate::failure::{Failure, Meaning};
use crate::session;

const CONFIG: &str = "providers.external.config";

/// Holds an adapter against the protocol with leases of its own, which are given back.
pub(crate) async fn test(base: Base<'_>, args: &AdapterTestArgs) -> Result<Exit, Failure> {
    let config = config(&base, args.config.as_deref())?;
    // It makes the directory that the key is kept in meanwhile.
    base.store()?;
    let transport = session::transport(&base)?;
    // An adapter may show the key to a real machine, so it is a new one that nobody else has.
    let lease = LeaseId::draw(&OsEntropy)?;
    let public_key = transport.prepare(&lease).await?;
    let trial = Trial {
        argv: &args.adapter,
        config,
        idempotent: args.idempotent_lease_id,
        public_key: &public_key,
    };
    base.output.progress().step("testing the adapter");
    let tested = catalog::check_adapter(&base, trial).await;
    transport.forget(&lease).await?;
    let (told, conforming, text) =
        tested.map_err(|failure| failure.next("lease provider test --help"))?;
    let document = AdapterTestDocument::new(told, conforming, text);
    base.output.result(&document, || document.text.clone())?;
    Ok(if document.conforming { Exit::Success } else { Exit::AnswerIsNo })
}

/// Writes an adapter to begin with.
pub(crate) fn begin(
    base: Base<'_>,
    directory: &Path,
    language: Option<Language>,
) -> Result<(), Failure> {
    let directory = base.environment.absolute(directory)?;
    let files = catalog::write_skeletons(&directory, language.map(Language::name));
    let files = files.map_err(|failure| failure.next("lease provider new DIR"))?;
    base.output.result(&AdapterFilesDocument::new(&files), || {
        let lines = files.iter().map(|it| {
            let it = it.display();
            format!("wrote {it}\n  lease provider test --idempotent-lease-id -- {it}\n")
        });
        lines.collect()
    })
}

fn config(base: &Base<'_>, given: Option<&str>) -> Result<Map<String, Json>, Failure> {
    let Some(text) = given else {
        let settings = Settings::load_own(base.environment)?;
        return Ok(match settings.value(CONFIG) {
            Some(Value::Tree(entries)) => entries.clone(),
            _ => Map::new(),
        });
    };
    serde_json::from_str(text).map_err(|error| {
        let failure = Failure::invalid(
            format!("--config: a JSON object is expected: {error}"),
            "lease provider test --help",
        );
        failure.meaning(Meaning::NothingChanged).kind("usage")
    })
}
