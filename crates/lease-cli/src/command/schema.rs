//! `lease schema`: the JSON schemas of what is printed and of what is configured.

use crate::args::SchemaArgs;
use crate::config::nearest;
use crate::context::Base;
use crate::document::{SchemasDocument, schema_named, schemas};
use crate::exit::Exit;
use crate::failure::Failure;

/// Prints one schema or all of them; both are JSON with or without `--json`.
pub(crate) fn run(base: &Base<'_>, args: &SchemaArgs) -> Result<Exit, Failure> {
    let Some(name) = &args.name else {
        let document = SchemasDocument::all();
        base.output.result(&document, || pretty(&document))?;
        return Ok(Exit::Success);
    };
    let schema = schema_named(name).ok_or_else(|| {
        let names: Vec<_> = schemas().into_iter().map(|(name, _)| name).collect();
        let hint = nearest(name, names.iter().copied())
            .map(|it| format!("; did you mean {it:?}?"))
            .unwrap_or_default();
        let what = format!("there is no schema {name:?}{hint}; there is: {}", names.join(", "));
        Failure::invalid(what, "lease schema").kind("not_found")
    })?;
    base.output.result(&schema, || pretty(&schema))?;
    Ok(Exit::Success)
}

fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
