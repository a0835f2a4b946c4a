//! Takes credentials out of text by their value, because whoever answers may print back what it was sent.

use std::fmt;

use lease_core::Secret;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands where a credential was.
const REPLACEMENT: &str = "[redacted]";

/// The most characters of foreign text that an error keeps.
const TEXT_CHARS_MAX: usize = 300;

/// The fewest characters at which the first half of a credential counts as the credential. Hetzner Cloud prints the
/// first 32 of a token's 64 characters when it refuses for too many requests; that others print a part of another
/// length is inferred.
const HALF_CHARS_MIN: usize = 16;

/// The fewest characters of each part around a colon that make the parts credentials of their own.
const PART_CHARS_MIN: usize = 8;

/// Removes known credentials from text: whole, by their first half or more, by their parts around a colon, and in the
/// forms that percent-encoding and JSON give them.
#[derive(Clone, Default)]
pub struct Redactor {
    forms: Vec<Form>,
}

/// One spelling of a credential.
#[derive(Clone)]
struct Form {
    text: String,
    /// How many bytes of its beginning are enough to recognise it.
    enough: usize,
}

impl Redactor {
    /// Makes a redactor for these credentials; empty ones are nothing to remove.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut redactor = Self::default();
        for secret in secrets {
            for part in parts(secret.expose()) {
                for spelling in spellings(part) {
                    redactor.add(spelling);
                }
            }
        }
        // The longest match at a place wins, so the order matters only for equal beginnings.
        redactor.forms.sort_by_key(|form| std::cmp::Reverse(form.text.len()));
        redactor
    }

    /// `text` without any of the credentials.
    pub fn redact(&self, text: &str) -> String {
        let mut clean = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((start, length)) = self.first_match(rest) {
            let (before, found) = rest.split_at(start);
            clean.push_str(before);
            clean.push_str(REPLACEMENT);
            rest = found.split_at(length).1;
        }
        clean.push_str(rest);
        clean
    }

    /// `text` as an error message may show it: without credentials, on one line, without characters that a terminal
    /// obeys, and of a bounded length.
    pub fn excerpt(&self, text: &str) -> String {
        let clean = self.redact(text);
        let words = clean.split(|it: char| it.is_whitespace() || is_obeyed(it));
        let words: Vec<&str> = words.filter(|it| !it.is_empty()).take(TEXT_CHARS_MAX).collect();
        let line = words.join(" ");
        // Joining over what was dropped may have put a credential together again.
        let line = self.redact(&line);
        match line.char_indices().nth(TEXT_CHARS_MAX) {
            Some((end, _)) => format!("{}…", line.split_at(end).0),
            None => line,
        }
    }

    fn add(&mut self, text: String) {
        if text.is_empty() || self.forms.iter().any(|it| it.text == text) {
            return;
        }
        let half = text.chars().count() / 2;
        let enough = if half >= HALF_CHARS_MIN {
            text.char_indices().nth(half).map_or(text.len(), |(at, _)| at)
        } else {
            text.len()
        };
        self.forms.push(Form { text, enough });
    }

    /// Where the first credential begins and how many bytes of it follow.
    fn first_match(&self, text: &str) -> Option<(usize, usize)> {
        let found = self.forms.iter().filter_map(|form| {
            let start = text.find(form.text.split_at(form.enough).0)?;
            let there = text.split_at(start).1;
            let same = there.chars().zip(form.text.chars()).take_while(|(a, b)| a == b);
            Some((start, same.map(|(it, _)| it.len_utf8()).sum::<usize>()))
        });
        found.min_by_key(|&(start, length)| (start, std::cmp::Reverse(length)))
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("forms", &self.forms.len()).finish()
    }
}

/// The credential, and what is around its colon where both sides are long enough to be recognised.
fn parts(secret: &str) -> Vec<&str> {
    let mut all = vec![secret];
    if secret.contains(':') && secret.split(':').all(|it| it.chars().count() >= PART_CHARS_MIN) {
        all.extend(secret.split(':'));
    }
    all
}

/// The forms in which a text may come back.
fn spellings(text: &str) -> Vec<String> {
    let percent = utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let path = utf8_percent_encode(text, crate::call::SEGMENT).to_string();
    let quoted = serde_json::Value::from(text).to_string();
    let json = quoted.trim_start_matches('"').strip_suffix('"').unwrap_or(&quoted).to_owned();
    vec![
        text.to_owned(),
        lower_escapes(&percent),
        lower_escapes(&path),
        percent,
        path,
        json.replace('/', "\\/"),
        json,
    ]
}

/// Percent-encoded text with the digits of its escapes in lower case.
fn lower_escapes(percent: &str) -> String {
    let mut lower = String::with_capacity(percent.len());
    let mut digits = 0;
    for it in percent.chars() {
        lower.push(if digits > 0 { it.to_ascii_lowercase() } else { it });
        digits = if it == '%' { 2_u8 } else { digits.saturating_sub(1) };
    }
    lower
}

/// Whether a terminal would act on the character instead of showing it, or would show the others in another order.
fn is_obeyed(it: char) -> bool {
    it.is_control()
        || matches!(it, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
