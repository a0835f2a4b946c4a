//! The crowd: many leases of one project at once, over HTTP and beyond its rate limit.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::machine::{Call, cargo, say};

const EXAMPLE: &[&str] = &["build", "--release", "-p", "lease-hetzner", "--example", "crowd"];

/// What came of it, as the example prints it.
#[derive(Debug)]
pub(super) struct Crowd(Value);

impl Crowd {
    /// Lets the crowd come and go once. The example fails when anything of it is left.
    pub(super) fn measure(root: &Path, release: &Path) -> Result<Self> {
        cargo().args(EXAMPLE).within(root).run()?;
        say("measuring: crowd");
        let program = release.join("examples/crowd").display().to_string();
        Self::parse(&Call::new(program).output()?)
    }

    pub(super) fn parse(line: &str) -> Result<Self> {
        let told: Value = serde_json::from_str(line).context("the crowd told no figures")?;
        if told["leases"].as_u64().is_none() || told["left"] != 0 {
            bail!("the crowd left something: {told}");
        }
        Ok(Self(told))
    }

    pub(super) fn json(&self) -> &Value {
        &self.0
    }

    pub(super) fn markdown(&self) -> Vec<String> {
        let of = |name: &str| {
            let told = &self.0[name];
            if told.is_null() { "–".to_owned() } else { told.to_string() }
        };
        let memory = of("peak_rss_mib");
        vec![
            String::new(),
            format!(
                "A crowd: {} leases of one project, acquired and given back at once by one engine, over HTTP against the \
                 emulated Hetzner Cloud with its documented limit of 3600 requests, of which 600 come back each second. \
                 Who is refused asks again. The memory is that of the engine and the emulator together.",
                of("leases")
            ),
            String::new(),
            "| Leases | Requests | Refused (429) | Time | Memory | Left |".to_owned(),
            "| --- | --- | --- | --- | --- | --- |".to_owned(),
            format!(
                "| {} | {} | {} | {} s | {memory} MiB | {} |",
                of("leases"),
                of("requests"),
                of("refused_429"),
                of("seconds"),
                of("left")
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"leases":200,"requests":15000,"refused_429":300,"seconds":48.5,"peak_rss_mib":33,"left":0}"#;

    #[test]
    fn the_figures_of_the_crowd_stand_in_one_line() {
        let crowd = Crowd::parse(LINE).unwrap();
        let page = crowd.markdown().join("\n");
        assert!(page.ends_with("| 200 | 15000 | 300 | 48.5 s | 33 MiB | 0 |"), "{page}");
        assert_eq!(crowd.json()["requests"], 15000);
    }

    #[test]
    fn a_crowd_that_leaves_something_is_no_figure() {
        assert!(Crowd::parse(&LINE.replace("\"left\":0", "\"left\":1")).is_err());
        assert!(Crowd::parse("").is_err());
    }
}
