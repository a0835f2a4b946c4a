//! What `cargo xtask site` runs: checks the documents of the repository and writes them as a site.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it reports to the person who started it"
)]

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use lease_docs::{Tree, links, site};

const USAGE: &str = "usage: lease-docs ROOT OUT COMMANDS REPOSITORY

  ROOT        the repository
  OUT         the directory that becomes the site; what is in it is removed
  COMMANDS    a Markdown file, the reference of the command line
  REPOSITORY  the address of the repository, for links to its files";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [root, out, commands, repository] = words.as_slice() else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    match make(Path::new(root), Path::new(out), Path::new(commands), repository) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn make(root: &Path, out: &Path, commands: &Path, repository: &str) -> io::Result<String> {
    let tree = Tree::read(root)?;
    let mut found = links::check(&tree);
    found.extend(site::unlisted(&tree));
    for finding in &found {
        println!("{finding}");
    }
    if !found.is_empty() {
        return Err(io::Error::other(format!("{} findings in the documents", found.len())));
    }
    let commands = fs::read_to_string(commands)?;
    let written = site::write(&tree, &site::Extra { root, commands: &commands, repository }, out)?;
    let documents = tree.documents().count();
    let site::Written { pages, references } = written;
    Ok(format!(
        "{documents} documents have sound links; {pages} pages with {references} references: {}",
        out.join("index.html").display()
    ))
}
