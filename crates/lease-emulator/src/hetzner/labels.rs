//! Labels: what may be one, and the language that selects by them.

use std::collections::BTreeMap;

const NAME_CHARS_MAX: usize = 63;
const PREFIX_CHARS_MAX: usize = 253;
const RESERVED_PREFIX: &str = "hetzner.cloud";

/// Labels, as a resource has them.
pub(super) type Labels = BTreeMap<String, String>;

/// What is wrong with a label's key or value, if anything.
pub(super) fn fault(key: &str, value: &str) -> Option<String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if prefix == Some(RESERVED_PREFIX) {
        return Some(format!("label key '{key}' has a reserved prefix"));
    }
    if !(prefix.is_none_or(is_prefix) && is_word(name)) {
        return Some(format!("label key '{key}' is invalid"));
    }
    (!value.is_empty() && !is_word(value)).then(|| format!("label value '{value}' is invalid"))
}

/// A DNS name, as RFC 1123 has it.
pub(super) fn is_dns_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let inside = |c: char| c.is_ascii_alphanumeric() || c == '-';
        label.len() <= 63
            && label.chars().all(inside)
            && label.starts_with(|c: char| c.is_ascii_alphanumeric())
            && label.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    text.split('.').all(is_label)
}

fn is_prefix(prefix: &str) -> bool {
    prefix.len() <= PREFIX_CHARS_MAX && is_dns_name(prefix)
}

fn is_word(word: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    word.len() <= NAME_CHARS_MAX
        && word.chars().all(inside)
        && word.starts_with(|c: char| c.is_ascii_alphanumeric())
        && word.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// A conjunction of conditions on labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selector(Vec<Condition>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Present(String),
    Missing(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
}

impl Selector {
    /// Reads a selector. `None` is one that is not in the language. An empty text selects everything.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.trim().is_empty() {
            return Some(Self(Vec::new()));
        }
        split_outside_parentheses(text)?.into_iter().map(condition).collect::<Option<_>>().map(Self)
    }

    /// Whether the labels meet every condition. As elsewhere with this language, a label that is missing is unequal to
    /// every value.
    pub(super) fn selects(&self, labels: &Labels) -> bool {
        self.0.iter().all(|condition| match condition {
            Condition::Present(key) => labels.contains_key(key),
            Condition::Missing(key) => !labels.contains_key(key),
            Condition::In(key, values) => {
                labels.get(key).is_some_and(|value| values.contains(value))
            }
            Condition::NotIn(key, values) => {
                labels.get(key).is_none_or(|value| !values.contains(value))
            }
        })
    }
}

fn split_outside_parentheses(text: &str) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut inside) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match (c, inside) {
            ('(', false) => inside = true,
            (')', true) => inside = false,
            ('(', true) | (')', false) => return None,
            (',', false) => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (!inside).then_some(parts)
}

fn condition(text: &str) -> Option<Condition> {
    let text = text.trim();
    if let Some(set) = text.strip_suffix(')') {
        let (head, values) = set.split_once('(')?;
        let (key, word) = head.trim().rsplit_once(char::is_whitespace)?;
        let values = values.split(',').map(value).collect::<Option<Vec<_>>>()?;
        return match word {
            "in" => Some(Condition::In(name(key)?, values)),
            "notin" => Some(Condition::NotIn(name(key)?, values)),
            _ => None,
        };
    }
    if let Some((key, wanted)) = text.split_once("!=") {
        return Some(Condition::NotIn(name(key)?, vec![value(wanted)?]));
    }
    if let Some((key, wanted)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Some(Condition::In(name(key)?, vec![value(wanted)?]));
    }
    match text.strip_prefix('!') {
        Some(key) => Some(Condition::Missing(name(key)?)),
        None => Some(Condition::Present(name(text)?)),
    }
}

fn name(text: &str) -> Option<String> {
    let text = text.trim();
    let word = text.split_once('/').map_or(text, |(_, word)| word);
    let prefix = text.split_once('/').map(|(prefix, _)| prefix);
    (is_word(word) && prefix.is_none_or(is_prefix)).then(|| text.to_owned())
}

fn value(text: &str) -> Option<String> {
    let text = text.trim();
    (text.is_empty() || is_word(text)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(selector: &str, selected: &[&str]) {
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect()
        };
        let all = [
            ("none", labels(&[])),
            ("prod", labels(&[("env", "prod"), ("type", "db")])),
            ("test", labels(&[("env", "test")])),
            ("bare", labels(&[("env", ""), ("example.com/my", "1")])),
        ];
        let parsed = Selector::parse(selector).unwrap();
        let found: Vec<_> = all
            .iter()
            .filter(|(_, labels)| parsed.selects(labels))
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(found, selected, "{selector}");
    }

    #[test]
    fn a_selector_means_what_the_documents_say() {
        check("", &["none", "prod", "test", "bare"]);
        check("env", &["prod", "test", "bare"]);
        check("!env", &["none"]);
        check("env=prod", &["prod"]);
        check("env==prod", &["prod"]);
        check("env=", &["bare"]);
        check("env!=prod", &["none", "test", "bare"]);
        check("env in (prod,test)", &["prod", "test"]);
        check("env in ( prod , test )", &["prod", "test"]);
        check("env notin (prod, test)", &["none", "bare"]);
        check("env==prod,!type", &[]);
        check("env,!type", &["test", "bare"]);
        check("env in (prod,test),type!=db", &["test"]);
        check("example.com/my=1", &["bare"]);
        check("env = test", &["test"]);
    }

    #[test]
    fn what_is_not_in_the_language_is_refused() {
        for text in
            ["=", "a b", "a in b", "a in (b", "a)", "a in ((b))", ",", "a,", "a=b=c", "!", "a>1"]
        {
            assert_eq!(Selector::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_label_is_valid_or_says_why_not() {
        let long = "a".repeat(64);
        for (key, value) in [
            ("a", ""),
            ("a", "b"),
            ("a-b_c.d", "A.9"),
            ("example.com/my", "label"),
            (&long[1..], &long[1..]),
        ] {
            assert_eq!(fault(key, value), None, "{key}={value}");
        }
        for (key, value) in [
            ("", "v"),
            ("-a", "v"),
            ("a-", "v"),
            ("a b", "v"),
            ("/a", "v"),
            ("a/", "v"),
            ("a/b/c", "v"),
            ("a_b.com/x", "v"),
            ("hetzner.cloud/x", "v"),
            (&long, "v"),
            ("a", "-v"),
            ("a", "v w"),
            ("a", "v/w"),
            ("a", &long),
        ] {
            assert!(fault(key, value).is_some(), "{key}={value}");
        }
    }
}
