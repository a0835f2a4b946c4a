//! The network that the data plane is measured on: `lease-testnet` holds it, this speaks with it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::machine::Call;

/// How to start something on a host.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) address: String,
    enter: Vec<String>,
}

impl Host {
    fn parse(told: &Value) -> Result<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let enter = told["enter"].as_array().and_then(|words| words.iter().map(text).collect());
        Ok(Self {
            address: text(&told["address"]).context("a host has no address")?,
            enter: enter.context("a host cannot be entered")?,
        })
    }

    /// That command on this host.
    pub(super) fn call(&self, program: &str) -> Call {
        Call::new(&self.enter[0]).args(&self.enter[1..]).args([program])
    }
}

/// What one command cost, on this machine and on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Run {
    pub(super) wall_ms: f64,
    pub(super) cpu_ms: f64,
    pub(super) rss_mib: f64,
    pub(super) out_bytes: f64,
    pub(super) back_bytes: f64,
    pub(super) packets: f64,
    pub(super) round_trips: f64,
}

impl Run {
    /// Reads what `lease-testnet measure` and `take` print; nothing when a number is missing or the command failed.
    fn parse(cost: &Value, wire: &Value) -> Option<Self> {
        if cost["code"] != 0 {
            return None;
        }
        Some(Self {
            wall_ms: cost["wall_ms"].as_f64()?,
            cpu_ms: cost["cpu_ms"].as_f64()?,
            rss_mib: cost["rss_kib"].as_f64()? / 1024.0,
            out_bytes: wire["out"]["bytes"].as_f64()?,
            back_bytes: wire["back"]["bytes"].as_f64()?,
            packets: wire["out"]["packets"].as_f64()? + wire["back"]["packets"].as_f64()?,
            round_trips: wire["round_trips"].as_f64()?,
        })
    }
}

/// A running network. It ends, with everything on it, when this is dropped and when this process ends.
#[derive(Debug)]
pub(super) struct Network {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    pub(super) client: Host,
    pub(super) hosts: Vec<Host>,
    testnet: PathBuf,
}

impl Network {
    /// Starts `testnet` with those links. It removes `scratch` when it ends.
    pub(super) fn start(testnet: &Path, scratch: &Path, links: &[String]) -> Result<Self> {
        // In a session of its own, an interrupt at the terminal reaches it as the end of its input, and it clears up.
        let program = testnet.display().to_string();
        let words = [program, "serve".to_owned(), scratch.display().to_string()];
        let mut child = Call::new("setsid").args(words).args(links).piped()?;
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().context("the network has no output")?);
        let told = answer(&mut output)?;
        let hosts = told["hosts"].as_array().context("the network has no hosts")?;
        Ok(Self {
            client: Host::parse(&told["client"])?,
            hosts: hosts.iter().map(Host::parse).collect::<Result<_>>()?,
            child,
            input,
            output,
            testnet: testnet.to_path_buf(),
        })
    }

    /// Runs `call` on the client, in that directory, and returns what it cost and what it sent over that link.
    pub(super) fn measure(&mut self, link: usize, job: &Job<'_>) -> Result<Run> {
        self.take(link)?;
        let directory = job.directory.display().to_string();
        let errors = job.errors.display().to_string();
        let mut call = self.client.call(&self.testnet.display().to_string());
        for (name, value) in job.environment {
            call = call.env(name, value);
        }
        let told = call.args(["measure", &directory, &errors]).args(job.words).output()?;
        let cost: Value = serde_json::from_str(&told).context("a measurement told no figures")?;
        let wire = self.take(link)?;
        Run::parse(&cost, &wire).with_context(|| {
            let said = std::fs::read_to_string(job.errors).unwrap_or_default();
            format!("`{}` did not succeed: {cost}\n{said}", job.words.join(" "))
        })
    }

    fn take(&mut self, link: usize) -> Result<Value> {
        let input = self.input.as_mut().context("the network has ended")?;
        writeln!(input, "take {link}")?;
        input.flush()?;
        answer(&mut self.output)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.child.wait());
    }
}

/// A command to measure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job<'a> {
    pub(super) directory: &'a Path,
    /// The file that gets its standard error.
    pub(super) errors: &'a Path,
    pub(super) environment: &'a [(&'static str, String)],
    pub(super) words: &'a [String],
}

fn answer(output: &mut impl BufRead) -> Result<Value> {
    let mut line = String::new();
    output.read_line(&mut line)?;
    if line.is_empty() {
        bail!("the network ended; it needs the rights of root, /dev/net/tun, and namespaces");
    }
    serde_json::from_str(&line).context("the network said something else")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_is_what_it_cost_here_and_on_the_wire() {
        let cost = json!({"code": 0, "wall_ms": 2.5, "cpu_ms": 1.0, "rss_kib": 2048});
        let way = |packets: u32| json!({"packets": packets, "bytes": packets * 100});
        let wire = json!({"out": way(3), "back": way(2), "round_trips": 2});
        let run = Run::parse(&cost, &wire).unwrap();
        assert_eq!((run.rss_mib, run.packets, run.back_bytes), (2.0, 5.0, 200.0));
        assert_eq!(Run::parse(&json!({"code": 1, "wall_ms": 2.5}), &wire), None);
        assert_eq!(Run::parse(&cost, &json!({})), None);
    }

    #[test]
    fn a_host_is_entered_by_the_words_that_the_network_tells() {
        let told = json!({"address": "10.77.0.2", "enter": ["nsenter", "--net=x"]});
        assert_eq!(Host::parse(&told).unwrap().call("true").to_string(), "nsenter --net=x true");
        assert!(Host::parse(&json!({"address": "10.77.0.2"})).is_err());
    }
}
