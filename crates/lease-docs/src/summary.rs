//! The order of the site: `docs/SUMMARY.md`, in the form that mdBook gave to such files.
//!
//! A heading starts a part, each item of a list under it is a chapter. GitHub shows the same file as a page of links.

use pulldown_cmark::{Event, HeadingLevel, Tag, TagEnd};

use crate::markdown::events;
use crate::tree::resolve;

/// Where the order is written down.
pub(crate) const PATH: &str = "docs/SUMMARY.md";

/// A part of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) title: String,
    pub(crate) chapters: Vec<Chapter>,
}

/// A page in the navigation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chapter {
    pub(crate) title: String,
    /// The document, from the root of the repository.
    pub(crate) path: String,
}

/// The parts in their order. The title of the file is no part.
pub(crate) fn parts(text: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut words = String::new();
    let mut target = String::new();
    for (event, _) in events(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => words.clear(),
            Event::Start(Tag::Link { dest_url, .. }) => {
                words.clear();
                target = dest_url.into_string();
            }
            Event::Text(part) | Event::Code(part) => words.push_str(&part),
            Event::End(TagEnd::Heading(level)) if level != HeadingLevel::H1 => {
                parts.push(Part { title: words.clone(), chapters: Vec::new() });
            }
            Event::End(TagEnd::Link) => {
                if let (Some(part), Some(path)) = (parts.last_mut(), resolve(PATH, &target)) {
                    part.chapters.push(Chapter { title: words.clone(), path });
                }
            }
            _ => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_their_chapters() {
        let text = "# Contents\n\n## Use\n\n* [Start `x`](../README.md)\n* [Files](around.md)\n\n## Inside\n\n* [Map](../A.md)\n";
        let parts = parts(text);
        let titles: Vec<_> = parts.iter().map(|part| part.title.as_str()).collect();
        assert_eq!(titles, ["Use", "Inside"]);
        let chapter = |title: &str, path: &str| Chapter { title: title.into(), path: path.into() };
        assert_eq!(
            parts[0].chapters,
            [chapter("Start x", "README.md"), chapter("Files", "docs/around.md")]
        );
    }
}
