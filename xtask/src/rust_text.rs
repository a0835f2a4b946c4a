//! Rust source with its prose blanked, so that a rule about code is not tripped by a comment or a string.

/// `text` with the content of comments, strings and character literals replaced by blanks; lines stay where they are.
pub(crate) fn blank_prose(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let follows_word = code.chars().next_back().is_some_and(is_word);
        let (bytes, is_code) = token(rest, follows_word);
        let (piece, tail) = rest.split_at(bytes);
        if is_code {
            code.push_str(piece);
        } else {
            code.extend(piece.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        rest = tail;
    }
    code
}

/// Whether `c` can be part of an identifier.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `word` stands in `text` as a whole identifier.
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    word_positions(text, word).next().is_some()
}

/// Where `word` stands in `text` as a whole identifier, in bytes.
pub(crate) fn word_positions<'t>(text: &'t str, word: &'t str) -> impl Iterator<Item = usize> + 't {
    text.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        !text[..at].chars().next_back().is_some_and(is_word)
            && !text[at + word.len()..].chars().next().is_some_and(is_word)
    })
}

/// The number, from 1, of the line that byte `at` is on.
pub(crate) fn line_at(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The length of the first token of `rest` in bytes, and whether it is code.
fn token(rest: &str, follows_word: bool) -> (usize, bool) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), false);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), false);
    }
    if !follows_word && let Some(bytes) = raw_string(rest) {
        return (bytes, false);
    }
    if rest.starts_with('"') {
        return (quoted(rest, '"'), false);
    }
    if rest.starts_with('\'') && is_char_literal(rest) {
        return (quoted(rest, '\''), false);
    }
    (rest.chars().next().map_or(rest.len(), char::len_utf8), true)
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(tail) = rest.get(at..).filter(|tail| !tail.is_empty()) {
        if tail.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if tail.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += tail.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> Option<usize> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        rest.strip_prefix(prefix).is_some_and(|tail| tail.trim_start_matches('#').starts_with('"'))
    })?;
    let hashes = rest[prefix.len()..].bytes().take_while(|&b| b == b'#').count();
    let body = prefix.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len()))
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn is_char_literal(rest: &str) -> bool {
    let mut inside = rest.chars().skip(1);
    match inside.next() {
        Some('\\') => true,
        Some(_) => inside.next() == Some('\''),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, code: &str) {
        assert_eq!(blank_prose(source).trim_end(), code);
    }

    #[test]
    fn comments_go_and_lines_stay() {
        check("a // b\nc", "a     \nc");
        check("a /* b /* c */ d\n */ e", "a               \n    e");
        check("/* never closed", "");
    }

    #[test]
    fn strings_go_in_every_spelling() {
        check(r#"f("todo!()", x)"#, "f(         , x)");
        check(r##"f(r#"a " b"#, x)"##, "f(          , x)");
        check(r#"f("a \" b", x)"#, "f(        , x)");
        check("for r in \"x\" {}", "for r in     {}");
        check(r#"f(b"\\", x)"#, "f(b    , x)");
    }

    #[test]
    fn a_lifetime_is_code_and_a_character_is_not() {
        check("fn f<'a>(x: &'a str) { '\"' }", "fn f<'a>(x: &'a str) {     }");
        check(r"'\'' x", "     x");
        check("'é' x", "    x");
    }

    #[test]
    fn a_word_is_found_whole_only() {
        assert!(has_word("use foo;", "foo"));
        assert!(!has_word("use food;", "foo"));
        assert!(!has_word("use a_foo;", "foo"));
        assert_eq!(line_at("a\nb\nc", 4), 3);
    }
}
