//! One page: the document as HTML, with the way to all others beside it.

use pulldown_cmark::{CowStr, Event, Tag, html};

use super::{STYLE, Site, chapters, page_of, title};
use crate::markdown::{events, headings};
use crate::summary::Chapter;
use crate::tree::relative;

/// The page of the document `path`.
pub(super) fn render(site: &Site<'_>, path: &str, text: &str) -> String {
    let here = page_of(path);
    let title = escaped(&title(path, text));
    let style = relative(&here, STYLE);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · lease</title>\n<link rel=\"stylesheet\" href=\"{style}\">\n</head>\n<body>\n\
         <nav aria-label=\"All pages\">\n{}</nav>\n<main>\n{}{}</main>\n</body>\n</html>\n",
        navigation(site, path, text),
        body(site, path, text),
        neighbours(site, path),
    )
}

/// The document, with anchors at its headings and with its references as they are on the site.
fn body(site: &Site<'_>, path: &str, text: &str) -> String {
    let mut anchors = headings(text).into_iter().map(|heading| heading.anchor);
    let led = |target: &CowStr<'_>| CowStr::from(site.target(path, target));
    let events = events(text).map(|(event, _)| match event {
        Event::Start(Tag::Heading { level, classes, attrs, .. }) => {
            let id = anchors.next().map(CowStr::from);
            Event::Start(Tag::Heading { level, id, classes, attrs })
        }
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let dest_url = led(&dest_url);
            Event::Start(Tag::Link { link_type, dest_url, title, id })
        }
        Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
            let dest_url = led(&dest_url);
            Event::Start(Tag::Image { link_type, dest_url, title, id })
        }
        event => event,
    });
    let mut page = String::new();
    html::push_html(&mut page, events);
    page
}

/// All chapters; under the one that is shown, the headings of the page.
fn navigation(site: &Site<'_>, path: &str, text: &str) -> String {
    let here = page_of(path);
    let current = site.chapter(path);
    let mut html =
        format!("<a class=\"home\" href=\"{}\">lease</a>\n", relative(&here, "index.html"));
    let mut number = 0;
    for part in &site.parts {
        html.extend(["<h2>", &escaped(&part.title), "</h2>\n<ul>\n"]);
        for chapter in &part.chapters {
            let shown = current == Some(number);
            let mark = if shown { " aria-current=\"page\"" } else { "" };
            html.extend(["<li>", &link(&here, chapter, mark)]);
            if shown && chapter.path == path {
                html.push_str(&sections(text));
            }
            html.push_str("</li>\n");
            number += 1;
        }
        html.push_str("</ul>\n");
    }
    html
}

fn sections(text: &str) -> String {
    let headings = headings(text);
    let second = headings.iter().filter(|it| it.level == pulldown_cmark::HeadingLevel::H2);
    let mut html = String::new();
    for heading in second {
        let (anchor, text) = (escaped(&heading.anchor), escaped(&heading.text));
        html.extend(["<li><a href=\"#", &anchor, "\">", &text, "</a></li>\n"]);
    }
    if html.is_empty() { html } else { format!("\n<ul>\n{html}</ul>\n") }
}

/// The chapters before and after, for who reads all of it.
fn neighbours(site: &Site<'_>, path: &str) -> String {
    let Some(at) = site.chapter(path) else { return String::new() };
    let here = page_of(path);
    let all: Vec<&Chapter> = chapters(&site.parts).collect();
    let mut html = String::from("<footer>\n");
    for (chapter, rel) in [(at.checked_sub(1), "prev"), (Some(at + 1), "next")] {
        if let Some(chapter) = chapter.and_then(|at| all.get(at)) {
            html.push_str(&link(&here, chapter, &format!(" rel=\"{rel}\"")));
            html.push('\n');
        }
    }
    html + "</footer>\n"
}

fn link(here: &str, chapter: &Chapter, mark: &str) -> String {
    let target = relative(here, &page_of(&chapter.path));
    format!("<a href=\"{target}\"{mark}>{}</a>", escaped(&chapter.title))
}

fn escaped(text: &str) -> String {
    let mut html = String::new();
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            c => html.push(c),
        }
    }
    html
}
