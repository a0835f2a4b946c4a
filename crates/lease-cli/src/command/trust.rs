//! `lease trust`: lets one content of one file set what could run programs or move data.

use std::path::PathBuf;

use crate::args::TrustArgs;
use crate::config::sourced::OriginKind;
use crate::config::{layer, need_trust, repository_file};
use crate::context::Base;
use crate::document::{TrustDocument, TrustedFile};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Table;

/// Gives trust, lists it, or takes it back.
pub(crate) fn run(base: &Base<'_>, args: &TrustArgs) -> Result<Exit, Failure> {
    let store = base.trust()?;
    if args.list {
        let text = |files: &[TrustedFile]| {
            let mut table = Table::new(&["TRUSTED", "SINCE"]);
            for it in files {
                table.row([it.path.clone(), it.trusted_at.as_str().to_owned()]);
            }
            if files.is_empty() { "no file is trusted".to_owned() } else { table.render() }
        };
        let document = document(base)?;
        let shown = document.files.clone();
        base.output.result(&document, || text(&shown))?;
        return Ok(Exit::Success);
    }
    let path = chosen(base, args)?;
    if args.revoke {
        let was = store.revoke(&path)?;
        let said = if was { "is not trusted any more" } else { "was not trusted" };
        base.output.result(&document(base)?, || format!("{} {said}", path.display()))?;
        return Ok(Exit::Success);
    }
    let file = layer::file(&path, OriginKind::Repository)?.ok_or_else(|| {
        Failure::invalid(format!("{} does not exist", path.display()), "lease trust FILE")
            .kind("not_found")
    })?;
    store.give(&path, &file.bytes, base.now())?;
    let sensitive = need_trust(&file);
    base.output.result(&document(base)?, || {
        let mut text = format!("{} is trusted as it is now; a change asks again\n", path.display());
        if sensitive.is_empty() {
            text.push_str("it sets nothing that needs trust\n");
        }
        for (key, line) in &sensitive {
            let value =
                file.layer.get(key).map(|it| it.value.to_json().to_string()).unwrap_or_default();
            text.push_str(&crate::failure::one_line(&format!("  line {line}: {key} = {value}")));
            text.push('\n');
        }
        text
    })?;
    Ok(Exit::Success)
}

fn chosen(base: &Base<'_>, args: &TrustArgs) -> Result<PathBuf, Failure> {
    match &args.file {
        Some(file) => base.environment.absolute(file),
        None => repository_file(base.environment.directory()?).ok_or_else(|| {
            Failure::invalid("there is no lease.yaml in this repository", "lease trust FILE")
                .kind("not_found")
        }),
    }
}

fn document(base: &Base<'_>) -> Result<TrustDocument, Failure> {
    let files = base.trust()?.list()?.into_iter();
    let files =
        files.map(|it| TrustedFile { path: it.path, hash: it.hash, trusted_at: it.at.into() });
    Ok(TrustDocument::new(files.collect()))
}
