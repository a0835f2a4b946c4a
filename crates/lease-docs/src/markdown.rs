//! What the rest wants to know of a Markdown text: its headings with their anchors, and its references.

use std::collections::BTreeMap;
use std::ops::Range;

use pulldown_cmark::{Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd};

/// A heading of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heading {
    pub(crate) level: HeadingLevel,
    pub(crate) text: String,
    /// What follows `#` in a link to it.
    pub(crate) anchor: String,
}

/// A link or an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) target: String,
}

/// The events of `text`, in the dialect that GitHub shows.
pub(crate) fn events(text: &str) -> impl Iterator<Item = (Event<'_>, Range<usize>)> {
    let dialect =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    Parser::new_ext(text, dialect).into_offset_iter()
}

/// The line of the byte `at` in `text`, from 1.
pub(crate) fn line_at(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The headings in their order.
pub(crate) fn headings(text: &str) -> Vec<Heading> {
    let mut found = Vec::new();
    let mut seen = BTreeMap::new();
    let mut open: Option<(HeadingLevel, String)> = None;
    for (event, _) in events(text) {
        match (&mut open, event) {
            (_, Event::Start(Tag::Heading { level, .. })) => open = Some((level, String::new())),
            (_, Event::End(TagEnd::Heading(_))) => {
                if let Some((level, text)) = open.take() {
                    let anchor = unique(&mut seen, slug(&text));
                    found.push(Heading { level, text, anchor });
                }
            }
            (Some((_, words)), Event::Text(part) | Event::Code(part)) => words.push_str(&part),
            _ => {}
        }
    }
    found
}

/// Anchors that are written as HTML.
pub(crate) fn written_anchors(text: &str) -> Vec<String> {
    let html = html(text);
    html.iter().flat_map(|(_, html)| attributes(html, &["id", "name"])).collect()
}

/// Every link and image, those of raw HTML included.
pub(crate) fn references(text: &str) -> Vec<Reference> {
    let mut found = Vec::new();
    for (event, range) in events(text) {
        let target = match event {
            // `<me@x.org>` leaves the scheme out.
            Event::Start(Tag::Link { link_type: LinkType::Email, dest_url, .. }) => {
                format!("mailto:{dest_url}")
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                dest_url.into_string()
            }
            _ => continue,
        };
        found.push(Reference { line: line_at(text, range.start), target });
    }
    for (line, html) in html(text) {
        let targets = attributes(&html, &["href", "src"]);
        found.extend(targets.into_iter().map(|target| Reference { line, target }));
    }
    found
}

fn html(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (event, range) in events(text) {
        if let Event::Html(html) | Event::InlineHtml(html) = event {
            found.push((line_at(text, range.start), html.into_string()));
        }
    }
    found
}

/// The values of the attributes `names` in a piece of HTML.
pub(crate) fn attributes(html: &str, names: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for name in names {
        let start = format!(" {name}=\"");
        for (at, _) in html.match_indices(&start) {
            let value = html[at + start.len()..].split('"').next().unwrap_or_default();
            found.push(value.to_owned());
        }
    }
    found
}

/// The anchor that GitHub makes of a heading: lower case, blanks as hyphens, without what is neither letter, digit,
/// hyphen nor underscore. Inferred from pages there; its documentation gives the rule without the last part.
fn slug(text: &str) -> String {
    let lower = text.trim().to_lowercase();
    let kept = lower.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The second `x` of a document is `x-1`.
fn unique(seen: &mut BTreeMap<String, usize>, slug: String) -> String {
    let count = seen.entry(slug.clone()).or_insert(0);
    *count += 1;
    match *count {
        1 => slug,
        count => format!("{slug}-{}", count - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_those_of_github() {
        let text = "# Add a provider\n## `lease run`, in 60 s\n## What *it* costs?\n## A\n### A\n";
        let anchors: Vec<_> = headings(text).into_iter().map(|it| it.anchor).collect();
        assert_eq!(anchors, ["add-a-provider", "lease-run-in-60-s", "what-it-costs", "a", "a-1"]);
    }

    #[test]
    fn references_have_lines_and_code_has_none() {
        let text = "[a](b.md)\n`[x](y.md)`\n\n```\n[x](y.md)\n```\n![i](i.svg)\n<img src=\"j.svg\"> <https://x.org>\n[r]\n\n[r]: z.md\n";
        let found: Vec<_> = references(text).into_iter().map(|it| (it.line, it.target)).collect();
        let expected = [(1, "b.md"), (7, "i.svg"), (8, "https://x.org"), (9, "z.md"), (8, "j.svg")];
        assert_eq!(found, expected.map(|(line, target)| (line, target.to_owned())));
    }

    #[test]
    fn an_anchor_may_be_written_as_html() {
        assert_eq!(written_anchors("<a id=\"here\"></a>\n\ntext\n"), ["here"]);
    }
}
