//! The outcome as a section of the page, and its charts.

use super::chart::Chart;
use super::contest::{Contestant, FIRST, STREAM, WARM};
use super::link::Link;
use super::network::Run;
use super::outcome::{Heat, Outcome};
use super::targets::{Limit, Target, Verdict, targets};
use super::{Plan, Surroundings};

/// Where the charts are, from the root of the repository, and from the page.
pub(super) const CHARTS: &str = "docs/performance";
const CHARTS_FROM_PAGE: &str = "performance";
/// The tree and the link of the table of costs.
const COSTS_FILES: usize = 10_000;
const COSTS_LINK: Link = Link::ms(50);

const DISTURBED: &str =
    " **Other work was using this machine: the times are too long, and the ratios are uncertain.**";

/// The section.
pub(super) fn markdown(plan: &Plan, around: &Surroundings, outcome: &Outcome) -> String {
    let mut lines = introduction(plan, around);
    for files in Outcome::sizes(&outcome.warm) {
        let heats: Vec<&Heat> = outcome.warm.iter().filter(|heat| heat.files == files).collect();
        lines.push(format!("\n### {files} files that are on the box already\n"));
        lines.extend(table(&heats, WARM, Contestant::Bare));
        lines.push(picture(&warm_name(files), &warm_title(files)));
    }
    for files in Outcome::sizes(&outcome.first) {
        let heats: Vec<&Heat> = outcome.first.iter().filter(|heat| heat.files == files).collect();
        lines.push(format!("\n### First sync of {files} files\n"));
        lines.extend(table(&heats, FIRST, Contestant::RsyncFirst));
        lines.push(picture(&first_name(files), &first_title(files)));
    }
    if let Some(heat) = &outcome.stream {
        lines.push("\n### 1 GiB of output\n".to_owned());
        lines.extend(table(&[heat], STREAM, Contestant::BareStream));
    }
    let costs = Outcome::find(&outcome.warm, COSTS_FILES, COSTS_LINK);
    lines.extend(costs.map(costs_table).unwrap_or_default());
    lines.extend(targets_table(&targets(outcome)));
    lines.extend(by_hand(plan));
    lines.join("\n")
}

/// The charts: the name of the file and the drawing.
pub(super) fn charts(outcome: &Outcome) -> Vec<(String, String)> {
    let warm = outcome.warm.as_slice();
    let first = outcome.first.as_slice();
    let drawn = |heats, files, who, peer, title| chart(heats, files, (who, peer), title).svg();
    let warm = Outcome::sizes(warm).into_iter().map(|files| {
        let title = warm_title(files);
        (warm_name(files), drawn(warm, files, &WARM[1..], Contestant::Bare, title))
    });
    let first = Outcome::sizes(first).into_iter().map(|files| {
        let title = first_title(files);
        (first_name(files), drawn(first, files, &FIRST[1..], Contestant::RsyncFirst, title))
    });
    warm.chain(first).collect()
}

/// Bars of `who` for each link, as ratios to `peer`.
fn chart(
    heats: &[Heat],
    files: usize,
    (who, peer): (&[Contestant], Contestant),
    title: String,
) -> Chart {
    let bars = |heat: &Heat| who.iter().map(|who| heat.ratio(*who, peer)).collect();
    let of_tree = heats.iter().filter(|heat| heat.files == files);
    Chart {
        title,
        series: who.iter().map(|who| who.name().to_owned()).collect(),
        groups: of_tree.map(|heat| (heat.link.to_string(), bars(heat))).collect(),
    }
}

fn introduction(plan: &Plan, around: &Surroundings) -> Vec<String> {
    vec![
        "## The data plane".to_owned(),
        String::new(),
        format!(
            "Measured on: {}; trees on {}; load average {:.2} before and {:.2} after, in which measuring has its part.{}",
            around.machine, around.file_system, around.load_before, around.load_after,
            if around.disturbed() { DISTURBED } else { "" }
        ),
        format!(
            "This was a {} run of `{}`. Repeat it, as root, with `{}`.",
            plan.name, around.program, plan.command
        ),
        String::new(),
        "`lease run --id` of a leased box against what one would do without it, over links with a chosen round-trip \
         time between two network namespaces of this machine. Packets are delayed in user space; TCP is the kernel's, \
         with cubic. The trees are in git, with files of 1 to 30 kB (4.5 kB in the middle), twelve to a directory. \
         Both ends share this machine's processors and disk. The contestants run once a round each, in an order that \
         changes; a ratio is the median over the rounds of the ratio within a round. Who brings a change has a file that \
         was changed a tenth of a second before, another one each time. Everybody's connection is open beforehand. \
         `mutagen` is not among them: no package registry that this repository installs from has it."
            .to_owned(),
    ]
}

/// A line for each contestant: the median wall time on each link, and the ratio to `peer`.
fn table(heats: &[&Heat], who: &[Contestant], peer: Contestant) -> Vec<String> {
    let head: Vec<String> =
        heats.iter().map(|heat| format!("{} (n = {})", heat.link, heat.rounds())).collect();
    let mut lines = vec![
        format!("| Wall time and × {} | {} |", peer.name(), head.join(" | ")),
        format!("| --- |{}", " --- |".repeat(heats.len())),
    ];
    for &contestant in who {
        let cell = |heat: &&Heat| match (heat.wall_ms(contestant), heat.ratio(contestant, peer)) {
            (Some(wall), Some(ratio)) => format!("{wall:.1} ms (**{ratio:.2}**)"),
            _ => "–".to_owned(),
        };
        let cells: Vec<String> = heats.iter().map(cell).collect();
        lines.push(format!("| {} | {} |", contestant.name(), cells.join(" | ")));
    }
    lines
}

fn costs_table(heat: &Heat) -> Vec<String> {
    let mut lines = vec![
        format!("\n### What a warm run costs, {} files, {}\n", heat.files, heat.link),
        "CPU time and memory are those of the client's processes that had ended with the command (`getrusage`): not \
         those of a connection that stays. A round trip is counted on the wire, from the packets: the count is the \
         longest chain there and back in which each packet was sent after the one before it had arrived. Outwards, \
         only packets with data are answered; inwards, acknowledgements free a full window, but only data ends the \
         chain. A stream therefore counts one for each round-trip time that it lasts."
            .to_owned(),
        String::new(),
        "| Median | CPU | Memory | Bytes out | Bytes back | Packets | Round trips |".to_owned(),
        "| --- | --- | --- | --- | --- | --- | --- |".to_owned(),
    ];
    for &who in WARM {
        let of =
            |figure: fn(&Run) -> f64| heat.sample(who, figure).map_or(f64::NAN, |it| it.median);
        lines.push(format!(
            "| {} | {:.1} ms | {:.1} MiB | {:.1} kB | {:.1} kB | {:.0} | {:.0} |",
            who.name(),
            of(|run| run.cpu_ms),
            of(|run| run.rss_mib),
            of(|run| run.out_bytes / 1000.0),
            of(|run| run.back_bytes / 1000.0),
            of(|run| run.packets),
            of(|run| run.round_trips)
        ));
    }
    lines
}

fn targets_table(targets: &[Target]) -> Vec<String> {
    let count = |verdict| targets.iter().filter(|it| it.verdict() == verdict).count();
    let mut lines = vec![
        "\n### Targets\n".to_owned(),
        format!(
            "What the data plane shall reach. In this run {} held, {} did not hold, and {} were not measured.",
            count(Verdict::Holds),
            count(Verdict::Fails),
            count(Verdict::NotMeasured)
        ),
        String::new(),
        "| Target | Limit | Measured | In this run |".to_owned(),
        "| --- | --- | --- | --- |".to_owned(),
    ];
    for target in targets {
        let limit = match target.limit {
            Limit::AtMost(most, unit) => format!("at most {most} {unit}"),
            Limit::AtLeast(least, unit) => format!("at least {least} {unit}"),
        };
        let measured = target.measured.map_or("–".to_owned(), |it| format!("{it:.2}"));
        let verdict = match target.verdict() {
            Verdict::Holds => "holds",
            Verdict::Fails => "**does not hold**",
            Verdict::NotMeasured => "not measured",
        };
        lines.push(format!("| {} | {} | {measured} | {verdict} |", target.what, limit.trim()));
    }
    lines
}

fn by_hand(plan: &Plan) -> Vec<String> {
    let words: Vec<String> = plan.links().into_iter().map(Link::word).collect();
    let mut lines = vec![
        "\n### The commands\n".to_owned(),
        format!(
            "`{}` does everything. By hand, `lease-testnet` gives the network and says how to enter its client and \
             its hosts for as long as it runs; a host needs an `sshd`, `SSH` is `ssh` with an open connection to it \
             (`-S SOCKET`), `BOX` its address, `DIR` an empty directory there, and `ID` a lease of it by \
             [the example adapter](examples/hosts/README.md).",
            plan.command
        ),
        String::new(),
        "```sh".to_owned(),
        "cargo build --release -p lease-cli --features external".to_owned(),
        format!("cargo run --release -p lease-testnet -- serve SCRATCH {}", words.join(" ")),
    ];
    for who in WARM.iter().chain(FIRST).chain(STREAM) {
        let line = who.shell().to_owned();
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.push("```".to_owned());
    lines
}

fn warm_name(files: usize) -> String {
    format!("warm-{files}.svg")
}

fn warm_title(files: usize) -> String {
    format!("{files} files: time of a run, × bare ssh, by round-trip time")
}

fn first_name(files: usize) -> String {
    format!("first-{files}.svg")
}

fn first_title(files: usize) -> String {
    format!("First sync of {files} files: time, × rsync, by round-trip time")
}

fn picture(name: &str, title: &str) -> String {
    format!("\n![{title}]({CHARTS_FROM_PAGE}/{name})")
}

#[cfg(test)]
mod tests {
    use super::super::QUICK;
    use super::super::outcome::tests::heat;
    use super::*;
    use Contestant::{Bare, Lease, RsyncFirst, TarFirst};

    fn outcome() -> Outcome {
        Outcome {
            warm: vec![heat(
                10_000,
                Link::ms(50),
                &[(Bare, &[100.0, 100.0]), (Lease, &[110.0, 110.0])],
            )],
            first: vec![heat(1000, Link::ms(0), &[(RsyncFirst, &[200.0]), (TarFirst, &[100.0])])],
            stream: None,
        }
    }

    #[test]
    fn the_section_says_under_what_load_and_which_targets_hold() {
        let around = Surroundings {
            machine: "2 cores".to_owned(),
            file_system: "tmpfs".to_owned(),
            program: "lease 0.1.0".to_owned(),
            processors: 2,
            load_before: 3.5,
            load_after: 4.0,
        };
        let page = markdown(&QUICK, &around, &outcome());
        for text in [
            "load average 3.50 before and 4.00 after",
            "Other work was using this machine",
            "| `lease run` | 110.0 ms (**1.10**) |",
            "| `tar` through `ssh` | 100.0 ms (**0.50**) |",
            "| 1.10 | holds |",
            "![10000 files: time of a run, × bare ssh, by round-trip time](performance/warm-10000.svg)",
            "(n = 2)",
        ] {
            assert!(page.contains(text), "{text} is missing:\n{page}");
        }
    }

    #[test]
    fn each_tree_has_a_chart_that_the_page_shows() {
        let outcome = outcome();
        let drawn = charts(&outcome);
        let names: Vec<&str> = drawn.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["warm-10000.svg", "first-1000.svg"]);
        assert!(drawn[0].1.contains(">1.10<"), "{}", drawn[0].1);
    }
}
