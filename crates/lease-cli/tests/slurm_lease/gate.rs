//! Slurm's own commands with a gate before and behind them: a client can be stopped exactly there. What it asks is
//! answered by the real cluster, nothing is faked, and what the reaper asks passes freely.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::installation::{ANSWER_WITHIN, Deadline, entries, eventually};
use crate::site::Site;

/// Everything that is started to ask or change something: Slurm's commands, and the knock at a box.
const COMMANDS: &[&str] = &["sbatch", "squeue", "scancel", "sinfo", "scontrol", "ssh"];

/// Stops at the call whose number, or whose name, is in `at`, before or after its effect.
const SCRIPT: &str = r#"#!/bin/sh
name=${0##*/}
real=$(PATH=/usr/local/bin:/usr/bin:/bin command -v "$name")
gate=GATE
until [ -s "$gate/client" ]; do sleep 0.02; done
client=$(cat "$gate/client") above=$$
while [ "$above" -gt 1 ] && [ "$above" != "$client" ]; do
    above=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$above/status" 2>/dev/null)
    above=${above:-0}
done
[ "$above" = "$client" ] || exec "$real" "$@"
echo "$name" >>"$gate/calls"
read -r at side <"$gate/at"
number=$(wc -l <"$gate/calls")
if [ "$at" != "$number" ] && [ "$at" != "$name" ] || ! mkdir "$gate/reached" 2>/dev/null; then exec "$real" "$@"; fi
hold() {
    : >"$gate/held"
    until [ -e "$gate/open" ]; do sleep 0.02; done
}
[ "$side" = after ] || hold
"$real" "$@"
code=$?
[ "$side" = before ] || hold
: >"$gate/over"
exit "$code"
"#;

/// A setting with which a box does not end by itself before it is cancelled.
pub(crate) const UNHURRIED: &str = "watch: 60s\n";

/// On which side of a call's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

/// The gate of one installation.
pub(crate) struct Gate {
    directory: PathBuf,
}

impl Gate {
    /// Puts the gate around the commands that this installation runs. `at` is the number of a call, from 1, or the name
    /// of a command, which means the first of it from now on.
    pub(crate) fn build(site: &Site, more: &str) -> Self {
        let directory = site.installation.root().join("gate");
        let bin = directory.join("bin");
        fs::create_dir_all(&bin).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        for name in COMMANDS {
            let script = SCRIPT.replace("GATE", &directory.display().to_string());
            fs::write(bin.join(name), script).unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        site.configure(&format!(
            "path: {}:/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin\n{more}",
            bin.display()
        ));
        let gate = Self { directory };
        gate.close_at("none", Side::Before);
        gate
    }

    /// Where the next client stops.
    pub(crate) fn close_at(&self, at: &str, side: Side) {
        let side = if side == Side::Before { "before" } else { "after" };
        fs::write(self.directory.join("at"), format!("{at} {side}\n")).unwrap();
    }

    /// Says whose calls are counted; until then, nobody is answered.
    pub(crate) fn watch(&self, client: u32) {
        let draft = self.directory.join("client.part");
        fs::write(&draft, client.to_string()).unwrap();
        fs::rename(draft, self.directory.join("client")).unwrap();
    }

    /// Whether the client stands before the gate.
    pub(crate) fn holds(&self) -> bool {
        self.directory.join("held").exists()
    }

    /// Lets the call go on, or its answer.
    pub(crate) fn open(&self) {
        fs::write(self.directory.join("open"), "").unwrap();
    }

    /// Waits until the call that was stopped has been answered, or ended.
    pub(crate) fn await_over(&self) {
        let is_over = || self.directory.join("over").exists();
        eventually(Deadline::after(ANSWER_WITHIN), is_over)
            .unwrap_or_else(|()| panic!("the call does not end: {:?}", self.calls()));
    }

    /// The commands that the client ran, in their order.
    pub(crate) fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.directory.join("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // Whoever still waits here goes on.
        if entries(&self.directory).next().is_some() {
            self.open();
            if !self.directory.join("client").exists() {
                self.watch(1);
            }
        }
    }
}
