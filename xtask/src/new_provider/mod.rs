//! Makes the crate of a new provider from `xtask/template`, and enters it where a crate must be known.
//!
//! What is made compiles, follows the rules and passes the behaviour suite, with a stand-in where the vendor will be. It
//! is not offered by the command line: that is the last step, and a person's.

mod proof;
mod registration;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::machine::{Call, cargo, repository_root, say};
use crate::workspace::{OTHERS, PROVIDERS};

/// Where the template is, from the root.
const TEMPLATE: &str = "xtask/template";
/// The name that the template has, in the three ways that a name is written.
const PLACEHOLDER: [&str; 3] = ["sample", "Sample", "SAMPLE"];
/// What a new crate consists of.
const FILES: &[&str] = &[
    "Cargo.toml",
    "README.md",
    "src/config.rs",
    "src/descriptor.rs",
    "src/error.rs",
    "src/labels.rs",
    "src/lib.rs",
    "src/provider.rs",
    "src/vendor.rs",
    "tests/behavior.rs",
];
const LICENCES: &[&str] = &["LICENSE-APACHE", "LICENSE-MIT"];
/// What marks each place that waits for the vendor.
const MARK: &str = "VENDOR:";
const NAME_CHARS_MAX: usize = 20;

/// Makes the crate that the words after `new-provider` name, or proves that one can be made.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let root = repository_root()?;
    match words {
        ["--check"] => proof::run(&root),
        [name] if !name.starts_with('-') => make(&root, name),
        _ => bail!("say what the provider is called: cargo xtask new-provider NAME"),
    }
}

fn make(root: &Path, name: &str) -> Result<()> {
    check_name(name)?;
    let place = root.join("crates").join(format!("lease-{name}"));
    if place.exists() {
        bail!("{} is there already", place.display());
    }
    // All texts are made before the first is written, so that a file that cannot be edited leaves the tree as it was.
    let edited = registration::edited(root, name)?;
    let made = filled(root, name)?;
    let marks: usize = made.iter().map(|(_, text)| text.matches(MARK).count()).sum();
    write(&place, &made)?;
    for licence in LICENCES {
        std::os::unix::fs::symlink(Path::new("../..").join(licence), place.join(licence))?;
    }
    for (path, text) in &edited {
        fs::write(root.join(path), text).with_context(|| format!("cannot write {path}"))?;
        say(format_args!("{path}: entered"));
    }
    cargo().args(["fmt", "-p", "xtask", "-p", &format!("lease-{name}")]).within(root).run()?;
    say(left_to_do(name, marks));
    Ok(())
}

/// Refuses what could not be the name of a crate, a feature, a setting and a type at once.
fn check_name(name: &str) -> Result<()> {
    let is_plain = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit();
    let starts_well = name.starts_with(|it: char| it.is_ascii_lowercase());
    if !starts_well || name.len() > NAME_CHARS_MAX || !name.chars().all(is_plain) {
        bail!(
            "{name:?} cannot be the name of a provider: write 1 to {NAME_CHARS_MAX} lower-case letters and \
             digits, the first a letter"
        );
    }
    let own = format!("lease-{name}");
    if PROVIDERS.contains(&own.as_str()) || OTHERS.contains(&own.as_str()) || name == "full" {
        bail!("{name:?} is taken");
    }
    Ok(())
}

/// The files of the crate, from its directory.
fn filled(root: &Path, name: &str) -> Result<Vec<(&'static str, String)>> {
    let read = |path: &&'static str| {
        let from = root.join(TEMPLATE).join(path);
        let text = fs::read_to_string(&from).with_context(|| from.display().to_string())?;
        Ok((*path, renamed(&text, name)))
    };
    FILES.iter().map(read).collect()
}

/// `text` of the template with `name` in place of its own, in each of the three ways.
fn renamed(text: &str, name: &str) -> String {
    let capital = name[..1].to_uppercase() + &name[1..];
    let [low, title, high] = PLACEHOLDER;
    text.replace(low, name).replace(title, &capital).replace(high, &name.to_uppercase())
}

fn write(place: &Path, files: &[(&str, String)]) -> Result<()> {
    for (path, text) in files {
        let path = place.join(path);
        let parent = path.parent().context("a file has no directory")?;
        fs::create_dir_all(parent)?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Formats, or only compares, the sources of a crate that no workspace has as a member.
fn rustfmt(root: &Path, place: &Path, words: &[&str]) -> Call {
    let config = root.join("rustfmt.toml").display().to_string();
    let call = Call::new("rustfmt").args(["--edition", "2024", "--config-path", &config]);
    call.args(words).args(["src/lib.rs", "tests/behavior.rs"]).within(place)
}

fn left_to_do(name: &str, marks: usize) -> String {
    format!(
        "\ncrates/lease-{name} is made, and passes: cargo test -p lease-{name}\n\n\
         Yours, in this order; CONTRIBUTING.md says more of each step:\n  \
         2-6  the {marks} places that `grep -rn {MARK} crates/lease-{name}` lists: first what is promised, then how\n  \
         7    offer it: OFFERS, `descriptors`, `made`, a module and the `compile_error!` in\n       \
         crates/lease-cli/src/catalog.rs, its settings in offers.rs, and `{name}` at the end of the feature `full`;\n       \
         then cargo xtask provider-matrix, cargo xtask faults, cargo xtask trim"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::PROVIDER_FILES;

    #[test]
    fn a_name_fits_a_crate_a_type_and_a_setting() {
        for good in ["pasture", "ec2"] {
            check_name(good).unwrap();
        }
        for bad in ["", "Pasture", "a-b", "2ec", "local", "core", "full", "a\nb", &"x".repeat(21)] {
            check_name(bad).unwrap_err();
        }
    }

    #[test]
    fn the_template_has_what_every_provider_has_and_nothing_of_it_keeps_its_name() {
        let root = repository_root().unwrap();
        let made = filled(&root, "pasture").unwrap();
        for file in PROVIDER_FILES {
            assert!(made.iter().any(|(path, _)| path == file), "{file}");
        }
        for (path, text) in &made {
            assert!(!text.to_lowercase().contains(PLACEHOLDER[0]), "{path} keeps the name");
        }
        let provider = made.iter().find(|(path, _)| *path == "src/provider.rs").unwrap();
        assert!(provider.1.contains("pub struct PastureProvider"));
    }

    #[test]
    fn every_file_of_the_template_is_used() {
        let root = repository_root().unwrap();
        let tree = crate::tree::Tree::load(&root).unwrap();
        let there: Vec<&str> =
            tree.iter().filter_map(|(path, _)| path.strip_prefix("xtask/template/")).collect();
        assert_eq!(there, FILES);
    }

    #[test]
    fn what_is_left_names_each_place_and_the_last_step() {
        let told = left_to_do("pasture", 9);
        assert!(told.contains("the 9 places") && told.contains("catalog.rs"), "{told}");
    }
}
