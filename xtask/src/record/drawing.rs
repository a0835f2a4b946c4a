//! Draws a recording as a picture that a page can show: each line appears at its time, and stays.
//!
//! A viewer that animates nothing, or is asked not to, shows all lines at once.

use super::cast::Cast;

const CHARACTER_PX: usize = 8;
const LINE_PX: usize = 18;
const BORDER_PX: usize = 20;
const BAR_PX: usize = 32;

/// The picture of `cast`, as SVG.
pub(super) fn draw(cast: &Cast) -> String {
    let lines = lines(cast);
    let longest = lines.iter().map(|(_, line)| line.chars().count()).max().unwrap_or_default();
    let width = longest * CHARACTER_PX + 2 * BORDER_PX;
    let height = lines.len() * LINE_PX + BAR_PX + BORDER_PX;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>A session with lease, recorded by cargo xtask record</title>\n\
         <style>\n\
         text {{ font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #e6edf3; white-space: pre; animation: appear 1ms backwards; }}\n\
         .typed {{ fill: #7ee787; font-weight: bold; }}\n\
         .ours {{ fill: #9198a1; }}\n\
         @keyframes appear {{ from {{ opacity: 0; }} }}\n\
         @media (prefers-reduced-motion: reduce) {{ text {{ animation: none; }} }}\n\
         </style>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#0d1117\"/>\n"
    );
    for (at, colour) in ["#ff5f57", "#febc2e", "#28c840"].iter().enumerate() {
        let x = BORDER_PX + at * LINE_PX;
        svg.push_str(
            &["<circle cx=\"", &x.to_string(), "\" cy=\"16\" r=\"6\" fill=\"", colour, "\"/>\n"]
                .concat(),
        );
    }
    for (number, (at, line)) in lines.iter().enumerate().filter(|(_, (_, line))| !line.is_empty()) {
        svg.push_str(&text(number, *at, line));
    }
    svg + "</svg>\n"
}

fn text(number: usize, at_ms: u64, line: &str) -> String {
    let class = match line {
        line if line.starts_with("$ ") => " class=\"typed\"",
        line if line.starts_with("lease: ") => " class=\"ours\"",
        _ => "",
    };
    let y = BAR_PX + (number + 1) * LINE_PX - 4;
    // The width is given, so that columns stand below each other in whatever font the viewer has.
    let width = line.chars().count() * CHARACTER_PX;
    format!(
        "<text{class} x=\"{BORDER_PX}\" y=\"{y}\" textLength=\"{width}\" lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\" style=\"animation-delay: {at_ms}ms\">{}</text>\n",
        escaped(line)
    )
}

/// Each line with the time at which its first character appears; a typed one with that of its last.
fn lines(cast: &Cast) -> Vec<(u64, String)> {
    let mut lines: Vec<(u64, String)> = Vec::new();
    let mut open = String::new();
    for (at, shown) in &cast.events {
        open.push_str(shown);
        while let Some((line, rest)) = open.split_once("\r\n") {
            lines.push((*at, line.to_owned()));
            open = rest.to_owned();
        }
    }
    lines
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_appears_at_its_time() {
        let events =
            [(0, "$ "), (10, "a"), (20, "\r\n"), (30, "lease: <x> & y\r\n\r\n"), (40, "$ ")];
        let cast = Cast { events: events.map(|(at, shown)| (at, shown.to_owned())).to_vec() };
        let svg = draw(&cast);
        assert!(svg.contains("class=\"typed\"") && svg.contains("20ms\">$ a</text>"), "{svg}");
        assert!(svg.contains("30ms\">lease: &lt;x&gt; &amp; y</text>"), "{svg}");
        assert_eq!(svg.matches("<text").count(), 2, "{svg}");
        assert!(svg.contains("height=\"106\""), "an empty line takes its place: {svg}");
    }
}
