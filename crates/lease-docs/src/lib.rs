//! Reads the documents of this repository: checks their links, makes the site of them, and finds the commands in them.
//!
//! It is a crate of its own so that a reader of Markdown is neither part of what a newcomer builds first, which is
//! `xtask`, nor of the program. [`commands`] gives the command lines in a text, for whoever can parse them; [`links`]
//! finds references that lead nowhere; [`site`] writes the pages.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "most of what Markdown can say is of no interest here"
)]

pub mod commands;
pub mod links;
mod markdown;
pub mod site;
mod summary;
mod tree;

pub use tree::Tree;

use std::fmt;

/// Something in a document that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The document, from the root of the repository.
    pub path: String,
    /// The line in it, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}
