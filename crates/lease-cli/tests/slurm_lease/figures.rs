//! How long it takes from the submission to the first byte of a command, one lease after the other and sixteen at once.
//!
//! The figures are printed, and written to the file that `LEASE_SLURM_FIGURES` names; none of them is judged.

use std::fs;
use std::sync::Arc;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::installation::entries;
use crate::site::Site;

const IN_TURN: usize = 10;
const AT_ONCE: usize = 16;

const HEAD: &str = "\
| Leases on 8 processors | Submission to first byte | Submission to a login that works | Release to proven absence |
|---|---|---|---|
";

/// The milliseconds that one lease took.
#[derive(Clone, Copy, Debug)]
struct Figures {
    first_byte: u64,
    ready: u64,
    release: u64,
}

#[test]
fn sixteen_runs_share_eight_processors() {
    let cluster = Arc::new(Cluster::start(&[]));
    let site = Site::on(Arc::clone(&cluster));
    let in_turn: Vec<_> = (0..IN_TURN).map(|_| run(&site)).collect();
    let sites: Vec<_> = (0..AT_ONCE).map(|_| Site::on(Arc::clone(&cluster))).collect();
    let at_once: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> =
            sites.into_iter().map(|site| scope.spawn(move || run(&site))).collect();
        running.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let table = [row("one after the other", &in_turn), row("sixteen at once", &at_once)].concat();
    println!("{HEAD}{table}");
    write_where_asked(&format!("{HEAD}{table}"));
}

/// Runs a command whose first byte says when it was written.
fn run(site: &Site) -> Figures {
    let ended = site.lease(&["run", "--", "date", "+%s%3N"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let first_byte: u64 = String::from_utf8(ended.stdout).unwrap().trim().parse().unwrap();
    site.assert_clean();
    let archive = entries(&site.installation.state().join("archive"));
    let journals = archive.filter(|it| it.extension().is_some_and(|it| it == "jsonl"));
    let mut journals: Vec<_> =
        journals.map(|it| events(&fs::read_to_string(it).unwrap())).collect();
    // The last one is this one: the others began earlier.
    journals.sort_by_key(|it| it[0].0);
    let journal = journals.pop().unwrap();
    let at = |name: &str| journal.iter().find(|(_, it)| it.contains(name)).unwrap().0;
    let (sent, ready) = (at("\"sent\""), at("\"ready\""));
    Figures {
        first_byte: first_byte.saturating_sub(sent),
        ready: ready.saturating_sub(sent),
        release: at("\"proven_absent\"").saturating_sub(at("\"releasing\"")),
    }
}

/// The events of a journal with their times.
fn events(text: &str) -> Vec<(u64, String)> {
    let event = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        (record["at"].as_u64().unwrap(), record["event"].to_string())
    };
    text.lines().map(event).collect()
}

fn row(what: &str, all: &[Figures]) -> String {
    let of = |figure: fn(&Figures) -> u64| {
        let mut sorted: Vec<_> = all.iter().map(figure).collect();
        sorted.sort_unstable();
        let last = sorted.len() - 1;
        format!("{} ms ({} – {})", sorted[last / 2], sorted[0], sorted[last])
    };
    format!(
        "| {}, {what} | {} | {} | {} |\n",
        all.len(),
        of(|it| it.first_byte),
        of(|it| it.ready),
        of(|it| it.release)
    )
}

#[expect(clippy::disallowed_methods, reason = "whoever runs the test says where it reports")]
fn write_where_asked(text: &str) {
    if let Some(path) = std::env::var_os("LEASE_SLURM_FIGURES") {
        fs::write(path, text).unwrap();
    }
}
