//! Has the vendor's own clients use the emulator: what they cannot parse, the real service would not answer. Where the
//! vendors' interface texts are at hand, the emulators' answers are held against them too.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::machine::{Call, cargo, environment, repository_root, say};
use crate::packages;
use crate::quickstart::target_directory;

const PYTHON_CLIENT: &str = "crates/lease-emulator/tests/vendor/hetzner.py";
const COMMAND_LINE_CLIENT: &str = "crates/lease-emulator/tests/vendor/hetzner-cli.sh";
/// The package of the vendor's Python client, at the version that was compared.
const PYTHON_PACKAGE: &str = "hcloud==2.27.0";
/// What reads the descriptions of interfaces.
const SCHEMA_PACKAGES: [&str; 2] = ["jsonschema==4.25.1", "pyyaml==6.0.3"];
const VALIDATOR: &str = "crates/lease-emulator/tests/openapi/validate.py";
/// The variables that name the vendors' texts about their interfaces, which are not ours to pass on.
const OPENAPI: [(&str, &str); 2] =
    [("hetzner", "LEASE_OPENAPI_HETZNER"), ("fal", "LEASE_OPENAPI_FAL")];
/// As long as a real one, and recognisable as none.
const TOKEN: &str = "emulatoremulatoremulatoremulatoremulatoremulatoremulatoremulator";

/// Runs both clients, each against an emulator of its own.
pub(crate) fn run() -> Result<()> {
    packages::ensure(packages::FOR_VENDORS)?;
    let root = repository_root()?;
    let target = target_directory(&root)?;
    cargo().args(["build", "-p", "lease-emulator"]).within(&root).run()?;
    let python = python(&target)?;
    let clients = [(python.as_str(), PYTHON_CLIENT), ("sh", COMMAND_LINE_CLIENT)];
    for (program, script) in clients {
        let emulator = Emulator::start(&target.join("debug/lease-emulator"), "hetzner")?;
        Call::new(program).args([script, &emulator.origin, TOKEN]).within(&root).run()?;
    }
    for (vendor, variable) in OPENAPI {
        let Some(text) = environment(variable).filter(|it| !it.is_empty()) else {
            say(format_args!(
                "vendors: {variable} names no OpenAPI text of {vendor}, so its emulator is not held against one"
            ));
            continue;
        };
        install(&python, &SCHEMA_PACKAGES)?;
        let emulator = Emulator::start(&target.join("debug/lease-emulator"), vendor)?;
        let words = [VALIDATOR, vendor, &text, &emulator.origin, TOKEN];
        Call::new(python.as_str()).args(words).within(&root).run()?;
    }
    say("vendors: ok - the vendor's Python client and command line agree with the emulator");
    Ok(())
}

/// A Python that has the vendor's package, made below `target` once.
fn python(target: &Path) -> Result<String> {
    let home = target.join("vendors");
    let python = home.join("bin/python").display().to_string();
    let has_package = || {
        let shown = Call::new(python.as_str()).args(["-m", "pip", "show", "--quiet", "hcloud"]);
        Path::new(&python).exists() && shown.succeeds()
    };
    if !has_package() {
        Call::new("python3").args(["-m", "venv", "--clear", &home.display().to_string()]).run()?;
        install(&python, &[PYTHON_PACKAGE])?;
    }
    Ok(python)
}

fn install(python: &str, packages: &[&str]) -> Result<()> {
    let words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    Call::new(python).args(words).args(packages.iter().copied()).run()
}

/// A running emulator. It ends when its standard input closes, which happens when this is dropped.
#[derive(Debug)]
struct Emulator {
    process: Child,
    /// Kept until the end, when the emulator prints its ledger.
    output: BufReader<ChildStdout>,
    origin: String,
}

impl Emulator {
    fn start(program: &Path, vendor: &str) -> Result<Self> {
        let words = [vendor, "--machines", "none", "--token", TOKEN];
        let mut process = Call::new(program.display().to_string()).args(words).piped()?;
        let stdout = process.stdout.take().context("the emulator has no output")?;
        let mut line = String::new();
        let mut output = BufReader::new(stdout);
        output.read_line(&mut line)?;
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        let Some(origin) = said["origin"].as_str().map(str::to_owned) else {
            bail!("the emulator did not say where it listens: {line:?}");
        };
        Ok(Self { process, output, origin })
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        drop(std::io::copy(&mut self.output, &mut std::io::sink()));
        if let Err(error) = self.process.wait() {
            say(format_args!("the emulator did not end: {error}"));
        }
    }
}
