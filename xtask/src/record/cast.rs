//! A recording as asciinema plays it: version 2 of its format, <https://docs.asciinema.org/manual/asciicast/v2/>.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::session::Shown;

/// What appears, and when.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cast {
    /// Times in milliseconds since the start.
    pub(super) events: Vec<(u64, String)>,
}

/// How long it takes to type one character.
const KEY_MS: u64 = 35;
/// How long one reads before the next command.
const READING_MS: u64 = 1_200;
/// Nobody wants to see more of a wait.
const WAIT_MS_MAX: u64 = 1_000;

impl Cast {
    /// The session as one would have seen it: commands are typed, waits are cut short.
    pub(super) fn of(session: &[Shown]) -> Self {
        let mut events = Vec::new();
        let mut now = 0;
        for shown in session {
            events.push((now, "$ ".to_owned()));
            now += READING_MS / 2;
            for key in shown.command.chars() {
                events.push((now, key.to_string()));
                now += KEY_MS;
            }
            events.push((now, "\r\n".to_owned()));
            let mut before = Duration::ZERO;
            for (at, line) in &shown.lines {
                now += wait(*at, before);
                before = *at;
                events.push((now, format!("{line}\r\n")));
            }
            now += wait(shown.took, before) + READING_MS;
        }
        events.push((now, "$ ".to_owned()));
        Self { events }
    }

    /// The file.
    pub(super) fn to_text(&self) -> Result<String> {
        let screen = self.screen();
        let width = screen.lines().map(|line| line.chars().count()).max().unwrap_or_default();
        let head = json!({
            "version": 2,
            "width": width,
            "height": screen.lines().count(),
            "title": "lease: a remote machine for one piece of work",
        });
        let mut text = format!("{head}\n");
        for (at, shown) in &self.events {
            let shown = serde_json::to_string(shown)?;
            text.extend([&format!("[{}.{:03}, \"o\", ", at / 1000, at % 1000), &shown, "]\n"]);
        }
        Ok(text)
    }

    /// Reads the file.
    pub(super) fn from_text(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let head: Value = serde_json::from_str(lines.next().unwrap_or_default())
            .context("the recording has no head")?;
        anyhow::ensure!(head["version"] == 2, "the recording is not of version 2");
        let mut events = Vec::new();
        for line in lines {
            let (at, _, shown): (f64, String, String) = serde_json::from_str(line)
                .with_context(|| format!("an event of the recording cannot be read: {line}"))?;
            let at = Duration::try_from_secs_f64(at)?;
            events.push((u64::try_from((at + Duration::from_micros(500)).as_millis())?, shown));
        }
        Ok(Self { events })
    }

    /// Everything that appeared.
    pub(super) fn screen(&self) -> String {
        let all: String = self.events.iter().map(|(_, shown)| shown.as_str()).collect();
        let all = all.replace("\r\n", "\n");
        all.strip_suffix("$ ").unwrap_or(&all).to_owned()
    }
}

fn wait(at: Duration, before: Duration) -> u64 {
    let span = at.saturating_sub(before).as_millis();
    u64::try_from(span).unwrap_or(WAIT_MS_MAX).min(WAIT_MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_read_as_it_was_written() {
        let line = |ms, text: &str| (Duration::from_millis(ms), text.to_owned());
        let shown = Shown {
            command: "lease \"x\"".to_owned(),
            lines: vec![line(5, "one"), line(9_000, "two…")],
            took: Duration::from_secs(9),
        };
        let cast = Cast::of(&[shown]);
        let text = cast.to_text().unwrap();
        assert_eq!(Cast::from_text(&text).unwrap(), cast);
        assert_eq!(cast.screen(), "$ lease \"x\"\none\ntwo…\n");
        let (end, _) = cast.events.last().unwrap();
        assert!(*end < 4_000, "a wait was not cut short: {end} ms");
        assert!(text.starts_with("{\"height\":3,") && text.contains("\"width\":11"), "{text}");
        assert!(Cast::from_text("{\"version\":1}\n").is_err());
    }
}
