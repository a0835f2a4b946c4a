//! Makes the site of the documents in `target/site`, with the reference of the command line from the program itself.
//!
//! The reader of Markdown is in `lease-docs`, so that `xtask` stays quick to build.

use std::fs;

use anyhow::{Context, Result};

use crate::machine::{Call, cargo, repository_root};
use crate::quickstart::target_directory;
use crate::workspace;

/// Checks all links, then writes the pages.
pub(crate) fn run() -> Result<()> {
    let root = repository_root()?;
    // With all features, as for the table of providers: one build serves both.
    cargo().args(["build", "--quiet", "-p", "lease-cli", "--all-features"]).within(&root).run()?;
    let target = target_directory(&root)?;
    let lease = target.join("debug/lease").display().to_string();
    let commands = tempfile::NamedTempFile::new()?;
    fs::write(commands.path(), reference(&|words| help(&lease, words))?)?;
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let repository = workspace::value(&manifest, "[workspace.package]", "repository")
        .context("Cargo.toml names no repository")?;
    cargo()
        .args(["run", "--quiet", "-p", "lease-docs", "--"])
        .args([root.display().to_string(), target.join("site").display().to_string()])
        .args([commands.path().display().to_string(), repository.to_owned()])
        .within(&root)
        .run()
}

/// What the program says of a command, whatever the person's own settings are.
fn help(lease: &str, words: &[String]) -> Result<String> {
    Call::new(lease).args(words).args(["--help"]).output()
}

/// A page with the help of every command, in the order of the help itself.
fn reference(help: &dyn Fn(&[String]) -> Result<String>) -> Result<String> {
    let mut page = String::from(
        "# Command line\n\nWhat the program itself says to `--help`, command by command.\n",
    );
    let mut open: Vec<Vec<String>> = vec![Vec::new()];
    while let Some(words) = open.pop() {
        let text = help(&words)?;
        let name = [&["lease".to_owned()], words.as_slice()].concat().join(" ");
        page.push_str(&["\n## ", &name, "\n\n```text\n", text.trim_end(), "\n```\n"].concat());
        for command in subcommands(&text).into_iter().rev() {
            open.push([words.as_slice(), &[command.to_owned()]].concat());
        }
    }
    Ok(page)
}

/// The names in the section `Commands:` of a help text.
fn subcommands(help: &str) -> Vec<&str> {
    let section = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let section = section.take_while(|line| !line.is_empty());
    // A description that goes on in the next line stands further right.
    let names =
        section.filter_map(|line| line.strip_prefix("  ").filter(|it| !it.starts_with(' ')));
    names.filter_map(|line| line.split(' ').next()).filter(|name| *name != "help").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_help_in_the_reference() {
        let help = |words: &[String]| {
            Ok(match words.join(" ").as_str() {
                "" => "The tool\n\nCommands:\n  run     Runs\n          it\n  config  Shows\n  help    x\n\nOptions:\n  -q\n",
                "config" => "Config\n\nCommands:\n  show  Shows\n",
                _ => "Usage\n",
            }
            .to_owned())
        };
        let page = reference(&help).unwrap();
        let headings: Vec<_> = page.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(
            headings,
            ["## lease", "## lease run", "## lease config", "## lease config show"]
        );
        assert!(page.contains("```text\nUsage\n```\n"), "{page}");
    }
}
