//! `docs/providers/slurm.md`, kept true by running its examples as they stand there.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use lease_slurm::SlurmConfig;

use crate::cluster::Cluster;
use crate::cluster::login::LoginNode;
use crate::installation::Ended;
use crate::site::Site;

const PAGE: &str = include_str!("../../../../docs/providers/slurm.md");

/// The blocks of the page in that language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fenced = PAGE.split("\n```").skip(1).step_by(2);
    fenced.filter_map(|it| it.strip_prefix(language)?.strip_prefix('\n')).collect()
}

/// The page's configuration, with the names of this cluster instead of those of the page's.
fn configuration(site: &Site, ssh_config: &str) -> String {
    let own = [
        ("shared_dir", site.shared_dir().display().to_string()),
        ("login_host", format!("{}@login", site.cluster.user())),
    ];
    let block = blocks("yaml")[0];
    let lines = block.split_once("  slurm:\n").unwrap().1.lines().map(|line| {
        let (key, value) = line.trim().split_once(": ").unwrap();
        let own = own.iter().find(|(name, _)| *name == key);
        format!("{key}: {}", own.map_or(value, |(_, value)| value))
    });
    let mut lines: Vec<_> = lines.collect();
    lines.push(format!("login_ssh_config: {ssh_config}"));
    lines.join("\n")
}

#[test]
fn the_examples_of_the_page_work() {
    let cluster = Arc::new(Cluster::start(&[
        "CPUS=8",
        "EXTRA=PartitionName=gpu Nodes=ALL MaxTime=24:00:00 State=UP\\n",
    ]));
    let site = Site::away_from(Arc::clone(&cluster));
    let login = site.wait(LoginNode::start(&cluster));
    // A profile that talks belongs to other tests.
    fs::write(cluster.path().join("home/.bashrc"), "").unwrap();
    site.configure(&configuration(&site, &login.ssh_config));
    let script = site.installation.tree().join("train.sh");
    fs::write(&script, "#!/bin/sh\necho trained\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let commands: Vec<_> = blocks("console")
        .iter()
        .flat_map(|it| it.lines())
        .filter_map(|it| it.strip_prefix("$ "))
        .collect();
    assert!(commands.len() >= 8, "{commands:?}");
    for line in commands {
        let line = line.replacen("lease", &site.installation.program().display().to_string(), 1);
        let mut shell = site.process("/bin/sh");
        let ended = Ended::of(&shell.args(["-c", &line]).output().unwrap());
        assert_eq!(ended.code, 0, "{line}: {}", ended.stderr);
    }
    site.assert_clean();
    site.wait(login.end());
}

#[test]
fn the_page_names_every_setting_and_no_other() {
    let rows = PAGE.split_once("## Settings").unwrap().1.split_once("\n## ").unwrap().0;
    let first =
        rows.lines().filter(|it| it.starts_with("| `")).filter_map(|it| it.split('|').nth(1));
    let named: BTreeSet<_> =
        first.flat_map(|it| it.split('`').skip(1).step_by(2)).map(str::to_owned).collect();
    let known = serde_json::to_value(SlurmConfig::default()).unwrap();
    let mut known: BTreeSet<_> = known.as_object().unwrap().keys().cloned().collect();
    // The program fills that in, and this one is its own.
    known.remove("environment");
    known.insert("ready_timeout".to_owned());
    assert_eq!(named, known);
}
