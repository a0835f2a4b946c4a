//! `lease history`: the past runs, the newest first.

use crate::args::HistoryArgs;
use crate::config::span;
use crate::context::Base;
use crate::document::{HistoryDocument, RunRecord};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Table;

/// Lists past runs.
pub(crate) fn run(base: &Base<'_>, args: &HistoryArgs) -> Result<Exit, Failure> {
    let document = HistoryDocument::new(base.runs()?.list(args.count)?);
    if document.runs.is_empty() && !base.output.is_json() {
        base.output.note("no run is recorded yet; run: lease run -- COMMAND");
        return Ok(Exit::Success);
    }
    base.output.result(&document, || table(&document.runs))?;
    Ok(Exit::Success)
}

fn table(runs: &[RunRecord]) -> String {
    let mut table = Table::new(&["RUN", "STARTED", "TOOK", "EXIT", "LEASE", "COMMAND"]);
    for run in runs {
        let took = run.phases.run_ms.map(|ms| span::rough(std::time::Duration::from_millis(ms)));
        table.row([
            run.id.clone(),
            run.started_at.as_str().to_owned(),
            took.unwrap_or_default(),
            run.exit.map_or("unfinished".to_owned(), |it| it.to_string()),
            run.slug.clone(),
            run.command.join(" "),
        ]);
    }
    table.render()
}
