//! What somebody outside of this repository gets: the packages that would be published, a tool that is built against
//! them, and the examples that show how.
//!
//! A workspace hides what a package lacks, since every crate finds the files and features of its neighbours. So the
//! packages are made, unpacked, and used from there; the registry is asked for nothing.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::machine::{Call, cargo, repository_root, say};
use crate::packages;
use crate::quickstart::{private_directory, target_directory};

/// The outside crate, and the name of its program.
const TOOL: &str = "testdata/embedder";
const PROGRAM: &str = "errand";
/// What each package must hold beside its sources.
const HELD: &[&str] = &["Cargo.toml", "README.md", "LICENSE-APACHE", "LICENSE-MIT"];
/// The examples that run to their end by themselves.
const EXAMPLES: &[&str] = &["embed", "own_store", "progress"];

/// A crate that can be published.
#[derive(Debug, PartialEq, Eq)]
struct Published {
    name: String,
    version: String,
}

impl Published {
    /// The package's file without its suffix, and the directory in it.
    fn stem(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }
}

/// Makes, unpacks and checks the packages, builds and runs the outside crate against them, and runs the examples.
pub(crate) fn run() -> Result<()> {
    packages::ensure(packages::TO_RUN)?;
    let root = repository_root()?;
    let target = target_directory(&root)?;
    // First, because this may fetch what the packages need as well; everything after it is done offline.
    run_examples(&root, &target)?;
    let metadata =
        cargo().args(["metadata", "--no-deps", "--format-version", "1"]).within(&root).output()?;
    let crates = published(&serde_json::from_str(&metadata)?)?;

    let place = target.join("embedder");
    if place.exists() {
        fs::remove_dir_all(&place).with_context(|| format!("cannot empty {}", place.display()))?;
    }
    unpack(&root, &target, &place.join("packages"), &crates)?;
    let patch = write_patch(&place, &crates)?;
    compile(&root, &target, &place, &patch)?;
    let program = build_tool(&root, &target, &place, &patch)?;
    use_tool(&program)?;
    say(format_args!(
        "embedder: ok - {} packages are whole, {PROGRAM} was built against them and used a box, {} examples ran",
        crates.len(),
        EXAMPLES.len()
    ));
    Ok(())
}

/// The crates of the workspace that are not kept from being published.
fn published(metadata: &Value) -> Result<Vec<Published>> {
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let text = |package: &Value, field: &str| {
        package[field]
            .as_str()
            .map(str::to_owned)
            .with_context(|| format!("a crate has no {field}"))
    };
    let mut found = Vec::new();
    for package in packages.iter().filter(|it| it["publish"].is_null()) {
        let (name, version) = (text(package, "name")?, text(package, "version")?);
        let lacks = |field: &str| package[field].as_array().is_none_or(Vec::is_empty);
        for field in ["description", "license", "repository", "readme", "rust_version"] {
            text(package, field).with_context(|| format!("{name} cannot be published"))?;
        }
        if let Some(field) = ["keywords", "categories"].into_iter().find(|field| lacks(field)) {
            bail!("{name} has no {field}, by which people find a crate");
        }
        found.push(Published { name, version });
    }
    Ok(found)
}

/// Makes the packages as they would be uploaded, and unpacks them.
fn unpack(root: &Path, target: &Path, into: &Path, crates: &[Published]) -> Result<()> {
    // What is not committed yet is packaged too: this is run before a commit. The build comes later, of all at once.
    let words = ["package", "--quiet", "--offline", "--allow-dirty", "--no-verify"];
    let chosen = crates.iter().flat_map(|it| ["-p", &it.name]);
    cargo().args(words).args(chosen).within(root).run()?;
    fs::create_dir_all(into)?;
    for one in crates {
        let file = target.join("package").join(format!("{}.crate", one.stem()));
        // With the times that are in it, which never change, cargo would take an old build of it for a new one.
        let words = ["-xzmf".to_owned(), file.display().to_string()];
        Call::new("tar").args(words).within(into).run()?;
        let unpacked = into.join(one.stem());
        if let Some(missing) = HELD.iter().find(|it| !unpacked.join(it).is_file()) {
            bail!("the package of {} holds no {missing}", one.name);
        }
    }
    Ok(())
}

/// Compiles every package, with all its features, against the others.
fn compile(root: &Path, target: &Path, place: &Path, patch: &str) -> Result<()> {
    // With the profile of this repository, so that dependencies that were built for it serve here as well.
    const MANIFEST: &str = "[workspace]\nresolver = \"3\"\nmembers = [\"packages/*\"]\n\n\
                            [profile.dev]\ndebug = \"line-tables-only\"\n";
    fs::write(place.join("Cargo.toml"), MANIFEST)?;
    fs::copy(root.join("Cargo.lock"), place.join("Cargo.lock"))?;
    let target = target.display().to_string();
    let words = ["check", "--offline", "--workspace", "--all-features"];
    cargo().args(words).args(["--config", patch, "--target-dir", &target]).within(place).run()
}

/// Writes where cargo finds the packages when somebody asks the registry for them; returns the file's path.
fn write_patch(place: &Path, crates: &[Published]) -> Result<String> {
    let mut patch = "[patch.crates-io]\n".to_owned();
    for one in crates {
        let package = place.join("packages").join(one.stem()).display().to_string();
        writeln!(patch, "{} = {{ path = {package:?} }}", one.name)?;
    }
    let file = place.join("patch.toml");
    fs::write(&file, patch)?;
    Ok(file.display().to_string())
}

/// Builds the outside crate, in a copy of its own, and returns its program.
fn build_tool(root: &Path, target: &Path, place: &Path, patch: &str) -> Result<PathBuf> {
    let tool = place.join(PROGRAM);
    fs::create_dir_all(tool.join("src"))?;
    let source = root.join(TOOL);
    fs::copy(source.join("Cargo.toml"), tool.join("Cargo.toml"))?;
    for entry in fs::read_dir(source.join("src"))? {
        let entry = entry?;
        fs::copy(entry.path(), tool.join("src").join(entry.file_name()))?;
    }
    // The same versions as here, so that nothing has to be fetched.
    fs::copy(root.join("Cargo.lock"), tool.join("Cargo.lock"))?;
    let directory = target.display().to_string();
    let words = ["build", "--offline", "--quiet", "--config", patch, "--target-dir", &directory];
    cargo().args(words).within(&tool).run()?;
    Ok(target.join("debug").join(PROGRAM))
}

/// Has the program use a box, and fail to get one; both leave nothing.
fn use_tool(program: &Path) -> Result<()> {
    const SAID: &str = "hello from a leased box";
    let private = private_directory()?;
    let state = private.path().join("state");
    let errand = |provider: &str, words: &[&str]| {
        let call = Call::new(program.display().to_string()).args([provider]);
        let call = call.args([state.display().to_string()]).args(words);
        say(format_args!("$ {call}"));
        call.outcome()
    };
    let done = errand("local", &["echo", SAID])?;
    if !done.success || done.stdout.trim_end() != SAID {
        bail!("{PROGRAM} ended with {} and printed {:?}", done.status, done.stdout);
    }
    let refused = errand("external:/no/such/adapter", &["echo", SAID])?;
    if refused.success || !refused.stdout.is_empty() {
        bail!("{PROGRAM} took an adapter that is not there for one that leased a box");
    }
    let ledger = fs::read_to_string(state.join("ledger")).context("the ledger is not there")?;
    let left: Vec<&str> = ledger.lines().filter(|line| line.starts_with("live ")).collect();
    if !left.is_empty() || !ledger.contains("archived ") {
        bail!("the ledger says what was not proven gone: {left:?}");
    }
    for directory in ["boxes", "keys"] {
        let names: Vec<String> = fs::read_dir(state.join(directory))?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<_>>()?;
        if let Some(left) = names.iter().find(|name| *name != ".root-id") {
            bail!("{left} is left in {directory}");
        }
    }
    private.close().context("cannot remove the temporary directory")
}

/// Runs what the examples of `lease-core` show. They are built as the tests are, so that nothing is built for them alone.
fn run_examples(root: &Path, target: &Path) -> Result<()> {
    let words = ["build", "--locked", "--workspace", "--all-features"];
    let examples = EXAMPLES.iter().flat_map(|it| ["--example", it]);
    cargo().args(words).args(examples).within(root).run()?;
    for example in EXAMPLES {
        let program = target.join("debug/examples").join(example);
        Call::new(program.display().to_string()).run()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn described(name: &str, publish: &Value) -> Value {
        json!({
            "name": name, "version": "0.1.0", "publish": publish, "description": "a crate",
            "license": "MIT", "repository": "https://example.org", "readme": "README.md",
            "rust_version": "1.89", "keywords": ["lease"], "categories": ["os"],
        })
    }

    #[test]
    fn what_is_kept_from_being_published_is_not_packaged() {
        let packages = [described("a", &Value::Null), described("b", &json!([]))];
        let found = published(&json!({ "packages": packages })).unwrap();
        assert_eq!(found.iter().map(Published::stem).collect::<Vec<_>>(), ["a-0.1.0"]);
    }

    #[test]
    fn a_crate_that_nobody_would_find_is_a_finding() {
        let mut package = described("a", &Value::Null);
        package["keywords"] = json!([]);
        let error = published(&json!({ "packages": [package.clone()] })).unwrap_err();
        assert!(error.to_string().contains("no keywords"), "{error:#}");
        package["description"] = Value::Null;
        let error = published(&json!({ "packages": [package] })).unwrap_err();
        assert!(format!("{error:#}").contains("a cannot be published"), "{error:#}");
    }
}
