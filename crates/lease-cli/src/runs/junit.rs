//! A run as JUnit XML, the form in which CI systems read results.
//!
//! The form has no standard of its own; this is the part that readers agree on, inferred from what Jenkins, GitLab and
//! GitHub actions show: a suite, one case, and `failure` or `error` in it.

use std::fmt::Write as _;

use super::Recorded;
use crate::document::RunRecord;

/// How much of the end of each stream is shown.
const TAIL_BYTES_MAX: usize = 64 * 1024;

/// The report of a run that has ended. `trouble` is what kept the tool from doing its part, if anything did.
pub(crate) fn junit(
    record: &RunRecord,
    (stdout, stderr): (&Recorded, &Recorded),
    trouble: Option<&str>,
) -> String {
    let seconds = record.phases.run_ms.unwrap_or(0);
    let time = format!("{}.{:03}", seconds / 1000, seconds % 1000);
    let name = attribute(&record.command.join(" "));
    let exit = record.exit.filter(|_| trouble.is_none());
    let (failures, errors) = match (exit, trouble) {
        (_, Some(_)) => (0, 1),
        (Some(0), None) => (0, 0),
        (_, None) => (1, 0),
    };
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let mut line = |it: &str| writeln!(text, "{it}").unwrap_or_default();
    line(&format!(
        "<testsuite name=\"lease run\" tests=\"1\" failures=\"{failures}\" errors=\"{errors}\" time=\"{time}\" \
         timestamp=\"{}\">",
        attribute(record.started_at.as_str())
    ));
    line("<properties>");
    let exit_text = exit.map(|it| it.to_string()).unwrap_or_default();
    let properties = [
        ("run", record.id.as_str()),
        ("lease", &record.lease),
        ("provider", &record.provider),
        ("exit", &exit_text),
    ];
    for (name, value) in properties {
        line(&format!("<property name=\"{name}\" value=\"{}\"/>", attribute(value)));
    }
    line("</properties>");
    line(&format!(
        "<testcase name=\"{name}\" classname=\"{}\" time=\"{time}\">",
        attribute(&record.slug)
    ));
    match (exit, trouble) {
        (_, Some(trouble)) => {
            line(&format!("<error type=\"lease\" message=\"{}\"/>", attribute(trouble)));
        }
        (Some(0), None) => {}
        (exit, None) => {
            let code =
                exit.map_or_else(|| "no exit code".to_owned(), |it| format!("exit code {it}"));
            line(&format!("<failure type=\"exit\" message=\"{code}\"/>"));
        }
    }
    line(&format!("<system-out>{}</system-out>", tail(stdout)));
    line(&format!("<system-err>{}</system-err>", tail(stderr)));
    line("</testcase>\n</testsuite>\n</testsuites>");
    text
}

/// The end of a stream as text.
fn tail(recorded: &Recorded) -> String {
    let head = if recorded.left_out_bytes > 0 { &[] } else { recorded.head.as_slice() };
    let bytes = [head, &recorded.tail].concat();
    let start = bytes.len().saturating_sub(TAIL_BYTES_MAX);
    let left_out = start > 0 || recorded.left_out_bytes > 0;
    // A cut may fall into the middle of a character.
    let start = (start..bytes.len()).find(|at| bytes[*at] & 0xc0 != 0x80).unwrap_or(start);
    let text = escaped(&String::from_utf8_lossy(&bytes[start..]), Where::Text);
    if left_out { format!("[…]{text}") } else { text }
}

fn attribute(text: &str) -> String {
    escaped(text, Where::Attribute)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Text,
    Attribute,
}

/// XML 1.0 has no way to write most control characters, so U+FFFD stands for them.
fn escaped(text: &str, place: Where) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // A reader would make something else of them.
            '\r' => escaped.push_str("&#13;"),
            '\n' if place == Where::Attribute => escaped.push_str("&#10;"),
            '\t' if place == Where::Attribute => escaped.push_str("&#9;"),
            '\n' | '\t' => escaped.push(c),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_one_that_xml_has() {
        let odd: String =
            ('\0'..='\u{20}').chain(['\u{fffe}', '\u{ffff}', '<', '&', '"', 'ä']).collect();
        let text = escaped(&odd, Where::Attribute);
        let is_plain = |it: char| it >= ' ' && it != '\u{fffe}' && it != '\u{ffff}';
        assert!(text.chars().all(is_plain), "{text:?}");
        assert!(text.contains("&#9;&#10;") && text.ends_with("&lt;&amp;&quot;ä"), "{text:?}");
        assert_eq!(escaped("a\r\n\tb", Where::Text), "a&#13;\n\tb");
    }

    #[test]
    fn the_end_of_a_long_stream_is_shown() {
        let long = Recorded { head: b"begin".to_vec(), left_out_bytes: 7, tail: b"end".to_vec() };
        assert_eq!(tail(&long), "[…]end");
        let bytes = "ä".repeat(TAIL_BYTES_MAX).into_bytes();
        let cut = Recorded { head: bytes[1..].to_vec(), left_out_bytes: 0, tail: Vec::new() };
        let shown = tail(&cut);
        assert!(shown.starts_with("[…]ä") && !shown.contains('\u{fffd}'));
        let short = Recorded { head: b"all".to_vec(), left_out_bytes: 0, tail: Vec::new() };
        assert_eq!(tail(&short), "all");
    }
}
