//! Measures scans of a tree beside `git status` on it: `cargo run --release -p lease-tree --example scan -- DIR`.
//!
//! It reads the tree and writes one manifest into the temporary directory, which it removes.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use lease_core::time::Timestamp;
use lease_process::{Limits, Program, output};
use lease_tree::{Compare, Delta, Layout, Manifest, Tree, scan, write_delta};
use tokio::time::Instant;

/// Each round runs every variant once, so that what else the machine does meets all of them.
const ROUNDS: usize = 15;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args_os().nth(1).ok_or("say which directory")?;
    let root = std::fs::canonicalize(root)?;
    #[expect(clippy::disallowed_methods, reason = "git needs the caller's environment")]
    let environment: Vec<_> = std::env::vars_os().collect();
    let tree = Tree { root, environment, ignore: Vec::new() };
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("manifest");

    let first = scan(&tree, None, now()).await?;
    let (files, bytes) = (first.manifest().len(), first.manifest().bytes());
    println!("{files} files, {bytes} bytes, {:?}", first.source());
    let delta = Delta::between(&Manifest::default(), &first, Compare::Stamps)?;
    let began = Instant::now();
    let written = write_delta(&delta, &Layout::default(), std::io::sink())?;
    println!("read and hashed as a stream in {:.1} ms", ms(began.elapsed()));
    // A second look makes what is younger than the first one settled.
    let second = scan(&tree, Some(&written.manifest), now()).await?;
    let delta = Delta::between(&written.manifest, &second, Compare::Stamps)?;
    delta.refreshed().unwrap_or(written.manifest).save(&file)?;
    println!("manifest of {} bytes", std::fs::metadata(&file)?.len());

    let names = [
        "load",
        "save",
        "scan, kept",
        "compare",
        "load, scan, compare",
        "scan, anew",
        "git status",
    ];
    let mut samples: Vec<Vec<f64>> = names.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (sample, took) in samples.iter_mut().zip(round(&tree, &file).await?) {
            sample.push(took);
        }
    }
    let medians: Vec<f64> = samples.into_iter().map(median).collect();
    let git = medians.last().copied().unwrap_or(f64::NAN);
    for (name, median) in names.iter().zip(medians) {
        println!("{name:>20} {median:8.2} ms {:6.2} x git status", median / git);
    }
    Ok(())
}

/// Milliseconds of each variant, in the order of the names.
async fn round(tree: &Tree, file: &Path) -> Result<[f64; 7], Box<dyn Error>> {
    let began = Instant::now();
    let held = Manifest::load(file).ok_or("the manifest cannot be read")?;
    let load = began.elapsed();
    let began = Instant::now();
    let kept = scan(tree, Some(&held), now()).await?;
    let scanned = began.elapsed();
    let began = Instant::now();
    let delta = Delta::between(&held, &kept, Compare::Stamps)?;
    let compared = began.elapsed();
    if !delta.is_empty() || delta.hashed_files() > 0 {
        return Err("the tree changed meanwhile".into());
    }
    let whole = load + scanned + compared;
    let began = Instant::now();
    held.save(&file.with_extension("saved"))?;
    let saved = began.elapsed();
    let began = Instant::now();
    scan(tree, None, now()).await?;
    let anew = began.elapsed();
    let began = Instant::now();
    let status = Program::new("git")
        .inherit_env(tree.environment.iter().cloned())
        .env("GIT_OPTIONAL_LOCKS", "0")
        .arg("-C")
        .arg(&tree.root)
        .args(["status", "--porcelain", "-z", "-uall"]);
    output(&status, Limits { stdout_bytes_max: 512 * 1024 * 1024, ..Limits::default() }).await?;
    let status = began.elapsed();
    Ok([load, saved, scanned, compared, whole, anew, status].map(ms))
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}

#[expect(clippy::disallowed_methods, reason = "an example is its own main")]
fn now() -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_millis(now.map_or(0, lease_core::time::millis))
}
