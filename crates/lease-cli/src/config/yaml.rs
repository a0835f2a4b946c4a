//! The only file that knows YAML: from bytes to a tree in which every value remembers its line.
//!
//! The tree is all the configuration needs, so this is the part of YAML that configuration needs: one document,
//! mappings with text keys, sequences and scalars. Anchors, aliases and tags are refused; without aliases a small file
//! cannot grow into a large tree.

use std::collections::BTreeMap;
use std::fmt;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

/// The most bytes of one file that are read.
pub(crate) const BYTES_MAX: u64 = 1024 * 1024;

/// How deep values may be nested.
const DEPTH_MAX: usize = 32;

/// A place in a file, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The line.
    pub(crate) line: usize,
    /// The column.
    pub(crate) column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A value with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// Where it begins.
    pub(crate) place: Place,
    /// What it is.
    pub(crate) value: Yaml,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Yaml {
    /// An empty value, `~` or `null`.
    Null,
    /// A scalar as it was written; `plain` when it had no quotes and so may be a number or a truth value.
    Scalar {
        /// Its text.
        text: String,
        /// Whether it was written without quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// Where it stands.
    pub(crate) place: Place,
    /// Its text.
    pub(crate) text: String,
}

impl Yaml {
    /// What kind of value it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar { .. } => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Where.
    pub(crate) place: Place,
    /// What.
    pub(crate) what: String,
}

impl Wrong {
    /// Says what is wrong at a place.
    pub(crate) fn at(place: Place, what: impl Into<String>) -> Self {
        Self { place, what: what.into() }
    }
}

/// Reads one document. An empty one is [`Yaml::Null`].
pub(crate) fn parse(bytes: &[u8]) -> Result<Node, Wrong> {
    let start = Place { line: 1, column: 1 };
    if bytes.len() as u64 > BYTES_MAX {
        return Err(Wrong::at(start, format!("the file is longer than {BYTES_MAX} bytes")));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.split(|it| *it == b'\n').count();
        let column = before.iter().rev().take_while(|it| **it != b'\n').count() + 1;
        Wrong::at(Place { line, column }, "this is not UTF-8")
    })?;
    refuse_tabs(text)?;
    let mut reader =
        Reader { parser: Parser::new_from_str(text.trim_start_matches('\u{feff}')), depth: 0 };
    reader.document()
}

/// A tab as indentation is not YAML; the parser's own words for it vary, so it is said here.
fn refuse_tabs(text: &str) -> Result<(), Wrong> {
    for (number, line) in text.lines().enumerate() {
        let indent = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
        if let Some(at) = indent.find('\t')
            && !line.trim().is_empty()
            && !line.trim_start().starts_with('#')
        {
            let place = Place { line: number + 1, column: at + 1 };
            return Err(Wrong::at(place, "a tab is used as indentation; YAML wants spaces"));
        }
    }
    Ok(())
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Node, Wrong> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart
                | Event::DocumentStart(_)
                | Event::DocumentEnd
                | Event::Nothing => {}
                Event::StreamEnd => break,
                event if root.is_none() => root = Some(self.node(event, span)?),
                Event::Alias(_)
                | Event::Scalar(..)
                | Event::SequenceStart(..)
                | Event::SequenceEnd
                | Event::MappingStart(..)
                | Event::MappingEnd => {
                    return Err(Wrong::at(
                        place(&span.start),
                        "a second document begins; one is allowed",
                    ));
                }
            }
        }
        Ok(root.unwrap_or(Node { place: Place { line: 1, column: 1 }, value: Yaml::Null }))
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Wrong> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(Wrong::at(place(error.marker()), error.info())),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, Wrong> {
        let place = place(&span.start);
        let (anchor, tagged) = match &event {
            Event::Scalar(_, _, anchor, tag) => (*anchor, tag.is_some()),
            Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => {
                (*anchor, tag.is_some())
            }
            Event::Alias(_) => {
                return Err(Wrong::at(place, "aliases (`*name`) are not supported here"));
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(Wrong::at(place, "a value is missing")),
        };
        if anchor != 0 {
            return Err(Wrong::at(place, "anchors (`&name`) are not supported here"));
        }
        if tagged {
            return Err(Wrong::at(place, "tags (`!name`) are not supported here"));
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Wrong::at(place, format!("values are nested deeper than {DEPTH_MAX}")));
        }
        let value = match event {
            Event::Scalar(text, style, ..) => scalar(text.into_owned(), style),
            Event::SequenceStart(..) => self.list()?,
            // What is neither was refused above.
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::Alias(_)
            | Event::SequenceEnd
            | Event::MappingStart(..)
            | Event::MappingEnd => self.map()?,
        };
        self.depth -= 1;
        Ok(Node { place, value })
    }

    fn list(&mut self) -> Result<Yaml, Wrong> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Yaml::List(items));
            }
            items.push(self.node(event, span)?);
        }
    }

    fn map(&mut self) -> Result<Yaml, Wrong> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Yaml::Map(entries));
            }
            let key = self.node(event, span)?;
            let Yaml::Scalar { text, .. } = key.value else {
                return Err(Wrong::at(key.place, "a key must be plain text"));
            };
            if let Some(first) = lines.insert(text.clone(), key.place.line) {
                let what = format!("the key {text:?} stands here twice, first in line {first}");
                return Err(Wrong::at(key.place, what));
            }
            let (event, span) = self.next()?;
            let value = self.node(event, span)?;
            entries.push((Key { place: key.place, text }, value));
        }
    }
}

fn scalar(text: String, style: ScalarStyle) -> Yaml {
    let plain = style == ScalarStyle::Plain;
    if plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") {
        Yaml::Null
    } else {
        Yaml::Scalar { text, plain }
    }
}

fn place(marker: &Marker) -> Place {
    Place { line: marker.line().max(1), column: marker.col() + 1 }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[track_caller]
    fn refused(text: &str, place: &str, what: &str) {
        let wrong = parse(text.as_bytes()).unwrap_err();
        assert!(wrong.what.contains(what), "{wrong:?}");
        assert_eq!(wrong.place.to_string(), place, "{wrong:?}");
    }

    #[test]
    fn values_remember_their_place() {
        let root = parse(b"# note\nprovider: local\nsync:\n  ignore: [a, \"b\"]\n").unwrap();
        let Yaml::Map(entries) = &root.value else { panic!("{root:?}") };
        assert_eq!(entries[0].0.place, Place { line: 2, column: 1 });
        assert_eq!(entries[0].1.place, Place { line: 2, column: 11 });
        let Yaml::Map(sync) = &entries[1].1.value else { panic!("{root:?}") };
        let Yaml::List(items) = &sync[0].1.value else { panic!("{root:?}") };
        assert_eq!(items[1].value, Yaml::Scalar { text: "b".to_owned(), plain: false });
    }

    #[test]
    fn nothing_is_nothing() {
        for text in ["", "\n", "# only a note\n", "---\n", "~\n", "\u{feff}"] {
            assert_eq!(parse(text.as_bytes()).unwrap().value, Yaml::Null, "{text:?}");
        }
    }

    #[test]
    fn a_file_full_of_keys_is_read_without_comparing_each_with_each() {
        let text: String = (0..100_000).fold(String::new(), |mut text, number| {
            let _written = writeln!(text, "k{number}:");
            text
        });
        let root = parse(text.as_bytes()).unwrap();
        assert!(matches!(root.value, Yaml::Map(entries) if entries.len() == 100_000));
    }

    #[test]
    fn what_is_refused_is_located() {
        refused("a:\n\tb: 1\n", "2:1", "tab");
        refused("a: 1\nb: 2\na: 3\n", "3:1", "twice, first in line 1");
        refused("a: &x 1\nb: *x\n", "1:7", "anchors");
        refused("a: *x\n", "1:4", "");
        refused("a: !!python/object x\n", "1:20", "tags");
        refused("? [a, b]\n: 1\n", "1:3", "key must be plain text");
        refused("a: 1\n---\nb: 2\n", "3:1", "second document");
        refused("a: [1, 2\n", "2:1", "");
        refused(&format!("{}{}", "[".repeat(40), "]".repeat(40)), "1:33", "nested deeper");
    }

    #[test]
    fn size_and_encoding_are_checked_before_anything_is_parsed() {
        let long = vec![b'#'; usize::try_from(BYTES_MAX).unwrap() + 1];
        assert!(parse(&long).unwrap_err().what.contains("longer than"));
        let wrong = parse(b"a: 1\nb: \xff\n").unwrap_err();
        assert_eq!(
            (wrong.place.to_string().as_str(), wrong.what.as_str()),
            ("2:4", "this is not UTF-8")
        );
    }

    #[test]
    fn an_alias_bomb_is_refused_at_its_first_anchor() {
        let mut text = "a: &a [x, x, x]\n".to_owned();
        for (one, two) in "abcdefgh".chars().zip("bcdefghi".chars()) {
            writeln!(text, "{two}: &{two} [*{one}, *{one}, *{one}]").unwrap();
        }
        refused(&text, "1:7", "anchors");
    }
}
