//! The measurements as a page for people and as data.

use serde_json::{Value, json};

use super::crowd::Crowd;
use super::figures::Sample;

/// One command, what it cost, and what was promised.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) command: String,
    /// In milliseconds.
    pub(super) wall: Sample,
    pub(super) wall_ms_max: f64,
    pub(super) memory_mib: f64,
    pub(super) memory_mib_max: Option<f64>,
}

/// One build of the program.
#[derive(Debug)]
pub(super) struct Binary {
    pub(super) features: &'static str,
    pub(super) bytes: u64,
    pub(super) crates: usize,
}

/// Everything that was measured in one go.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) machine: String,
    /// The bare start of a process that does nothing, in milliseconds: the peer of every ratio.
    pub(super) spawn: Sample,
    pub(super) measured: Vec<Measured>,
    pub(super) binaries: Vec<Binary>,
    pub(super) crowd: Crowd,
    pub(super) runs: usize,
    pub(super) claims: usize,
}

impl Measured {
    fn broken(&self) -> Option<String> {
        if self.wall.median > self.wall_ms_max {
            return Some(format!(
                "{} took {:.1} ms of {}",
                self.command, self.wall.median, self.wall_ms_max
            ));
        }
        let max = self.memory_mib_max.filter(|max| self.memory_mib > *max)?;
        Some(format!("{} used {:.1} MiB of {max}", self.command, self.memory_mib))
    }
}

impl Report {
    /// The promises that were not kept, one sentence each.
    pub(super) fn broken(&self) -> Vec<String> {
        self.measured.iter().filter_map(Measured::broken).collect()
    }

    pub(super) fn json(&self) -> Value {
        let sample =
            |it: Sample| json!({"median_ms": it.median, "min_ms": it.min, "max_ms": it.max});
        let measured = |it: &Measured| {
            json!({
                "command": it.command, "wall": sample(it.wall), "wall_ms_max": it.wall_ms_max,
                "ratio_to_spawn": it.wall.ratio_to(self.spawn),
                "memory_mib": it.memory_mib, "memory_mib_max": it.memory_mib_max,
            })
        };
        let binary =
            |it: &Binary| json!({"features": it.features, "bytes": it.bytes, "crates": it.crates});
        json!({
            "schema": "lease.bench/1", "machine": self.machine, "runs": self.runs, "claims": self.claims,
            "spawn": sample(self.spawn),
            "measured": self.measured.iter().map(measured).collect::<Vec<_>>(),
            "binaries": self.binaries.iter().map(binary).collect::<Vec<_>>(),
            "crowd": self.crowd.json(),
        })
    }

    pub(super) fn markdown(&self) -> String {
        let mut lines = vec![
            "## The command line".to_owned(),
            String::new(),
            format!(
                "Measured on: {}. Repeat it with `cargo xtask bench --only command-line`. Each figure stands beside \
                 the bare start of a process on the same machine, because an absolute number says more about the \
                 machine than about us.",
                self.machine
            ),
            String::new(),
            format!(
                "The state directory holds {} live claims. Wall time is the median of {} runs after one that warms \
                 the caches; memory is the highest resident set of three runs. The peer is the bare start of a process \
                 that does nothing (`true`): {:.2} ms on this machine.",
                self.claims, self.runs, self.spawn.median
            ),
            String::new(),
            "| Command | Median | Fastest – slowest | Limit | × bare process | Memory | Limit |"
                .to_owned(),
            "| --- | --- | --- | --- | --- | --- | --- |".to_owned(),
        ];
        lines.extend(self.measured.iter().map(|it| self.line(it)));
        lines.extend(
            [
                "",
                "| Features | Binary (release, stripped) | Crates linked |",
                "| --- | --- | --- |",
            ]
            .map(str::to_owned),
        );
        lines.extend(
            self.binaries
                .iter()
                .map(|it| format!("| {} | {} KiB | {} |", it.features, it.bytes / 1024, it.crates)),
        );
        lines.extend(self.crowd.markdown());
        lines.extend(self.by_hand());
        lines.join("\n") + "\n"
    }

    /// The commands that make one figure without xtask.
    fn by_hand(&self) -> Vec<String> {
        let mut lines =
            vec![String::new(), "By hand, in a directory `S` that does not exist yet:".to_owned()];
        lines.extend(["", "```sh"].map(str::to_owned));
        lines.push("cargo build --release -p lease-cli".to_owned());
        lines.push(format!(
            "cargo run --release -p lease-testkit --bin lease-claims -- S {}",
            self.claims
        ));
        for it in &self.measured {
            lines.push(format!("time env LEASE_STATE_DIR=S target/release/{}", it.command));
        }
        lines.push("cargo run --release -p lease-hetzner --example crowd".to_owned());
        lines.push("```".to_owned());
        lines
    }

    fn line(&self, it: &Measured) -> String {
        let ratio =
            it.wall.ratio_to(self.spawn).map_or("–".to_owned(), |ratio| format!("{ratio:.1}"));
        let limit = it.memory_mib_max.map_or("–".to_owned(), |max| format!("{max:.0} MiB"));
        format!(
            "| `{}` | {:.1} ms | {:.1} – {:.1} ms | {:.0} ms | {ratio} | {:.1} MiB | {limit} |",
            it.command, it.wall.median, it.wall.min, it.wall.max, it.wall_ms_max, it.memory_mib
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(median: f64, memory_mib: f64) -> Report {
        let sample = |median| Sample { median, min: 1.0, max: 200.0 };
        Report {
            machine: "2 cores".to_owned(),
            spawn: sample(1.0),
            measured: vec![Measured {
                command: "lease list".to_owned(),
                wall: sample(median),
                wall_ms_max: 150.0,
                memory_mib,
                memory_mib_max: Some(60.0),
            }],
            binaries: vec![Binary { features: "default", bytes: 4096, crates: 70 }],
            crowd: Crowd::parse(r#"{"leases":2,"left":0}"#).unwrap(),
            runs: 15,
            claims: 10,
        }
    }

    #[test]
    fn a_limit_that_is_passed_is_named() {
        assert!(report(149.0, 60.0).broken().is_empty());
        assert_eq!(report(151.0, 1.0).broken(), ["lease list took 151.0 ms of 150"]);
        assert_eq!(report(1.0, 61.0).broken(), ["lease list used 61.0 MiB of 60"]);
    }

    #[test]
    fn the_page_and_the_data_hold_the_same_figures() {
        let report = report(12.5, 30.0);
        let page = report.markdown();
        assert!(
            page.contains(
                "| `lease list` | 12.5 ms | 1.0 – 200.0 ms | 150 ms | 12.5 | 30.0 MiB | 60 MiB |"
            ),
            "{page}"
        );
        assert!(page.contains("| default | 4 KiB | 70 |"), "{page}");
        let data = report.json();
        assert_eq!(data["measured"][0]["wall"]["median_ms"], 12.5);
        assert_eq!(data["measured"][0]["ratio_to_spawn"], 12.5);
    }
}
