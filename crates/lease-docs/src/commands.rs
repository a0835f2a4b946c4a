//! Finds the uses of a program in a document: lines of shell sessions, lines of an overview, and words in running text.
//!
//! A line in a fence of `sh` or `console` is a whole command, as one would type it. What stands between single
//! backquotes, or in a fence of `text`, is a mention: it may leave out what every command of that name needs.

use pulldown_cmark::{CodeBlockKind, Event, Tag, TagEnd};

use crate::markdown::{events, line_at};

/// How much of a command is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As one would type it.
    Whole,
    /// The name of a command, or as much of it as the sentence needs.
    Mention,
}

/// One use of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The line of the document that it begins on, from 1.
    pub line: usize,
    /// How much of it is there.
    pub form: Form,
    /// The words, the program's name first; nothing when the quotes do not match.
    pub words: Option<Vec<String>>,
}

/// Words before a program that start it.
const STARTERS: &[&str] =
    &["time", "env", "exec", "sudo", "nohup", "!", "if", "while", "then", "do"];

/// Every use of `program` in the Markdown document `text`.
pub fn in_markdown(program: &str, text: &str) -> Vec<Use> {
    let mut found = Vec::new();
    let mut fence: Option<String> = None;
    for (event, range) in events(text) {
        match (&fence, event) {
            (_, Event::Start(Tag::CodeBlock(kind))) => {
                let info = if let CodeBlockKind::Fenced(info) = &kind { info } else { "" };
                fence = Some(info.split([' ', ',']).next().unwrap_or_default().to_owned());
            }
            (_, Event::End(TagEnd::CodeBlock)) => fence = None,
            (Some(language), Event::Text(block)) => {
                let line = line_at(text, range.start);
                found.extend(in_block(program, language, &block, line));
            }
            (None, Event::Code(words)) => {
                let line = line_at(text, range.start);
                found.extend(mention(program, &words).map(|words| Use { line, ..words }));
            }
            _ => {}
        }
    }
    found
}

/// Every use of `program` in a help text: lines that begin with it are whole, words between backquotes are mentions.
pub fn in_help(program: &str, text: &str) -> Vec<Use> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let uses: Vec<Use> = if begins(program, line.trim_start()) {
            whole(program, line)
        } else {
            line.split('`').skip(1).step_by(2).filter_map(|it| mention(program, it)).collect()
        };
        found.extend(uses.into_iter().map(|it| Use { line: at + 1, ..it }));
    }
    found
}

fn in_block(program: &str, language: &str, block: &str, first: usize) -> Vec<Use> {
    let mut found = Vec::new();
    let mut lines = block.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let mut command = match language {
            "sh" | "bash" => line.to_owned(),
            // What the program says may name the next command to type.
            "console" => match line.strip_prefix("$ ") {
                Some(typed) => typed.to_owned(),
                None if begins(program, line.trim_start()) => line.to_owned(),
                None => continue,
            },
            "" | "text" if begins(program, line) => {
                let uses = overview(program, line);
                found.extend(uses.into_iter().map(|it| Use { line: first + at, ..it }));
                continue;
            }
            _ => continue,
        };
        while command.ends_with('\\') {
            command.pop();
            let Some((_, next)) = lines.next() else { break };
            command.push_str(next.strip_prefix("> ").unwrap_or(next));
        }
        found.extend(whole(program, &command).into_iter().map(|it| Use { line: first + at, ..it }));
    }
    found
}

fn begins(program: &str, line: &str) -> bool {
    line.strip_prefix(program).is_some_and(|rest| rest.starts_with(' '))
}

/// The uses in a line of shell.
fn whole(program: &str, line: &str) -> Vec<Use> {
    let uses = simple_commands(line).into_iter().filter_map(|command| {
        let words = match shlex::split(&command) {
            Some(words) => after_starters(program, words)?,
            // Only a command that names the program is ours to judge.
            None if command.split_whitespace().any(|it| it == program) => {
                return Some(Use { line: 0, form: Form::Whole, words: None });
            }
            None => return None,
        };
        Some(Use { line: 0, form: form_of(&words), words: Some(without_ellipsis(words)) })
    });
    uses.collect()
}

/// The names of commands with a bar of dots between them, and after two blanks what they do.
fn overview(program: &str, line: &str) -> Vec<Use> {
    let names = line.split("  ").next().unwrap_or_default();
    let names = names.strip_prefix(program).unwrap_or_default();
    names.split(" · ").filter_map(|it| mention(program, &format!("{program} {it}"))).collect()
}

/// The words of a mention, if it is one of `program`: an optional part counts as given.
fn mention(program: &str, text: &str) -> Option<Use> {
    // What is between brackets with a bar is one word out of several.
    let mut depth = 0_usize;
    let mut plain = String::new();
    for c in text.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            '|' if depth > 0 => plain.push('_'),
            c => plain.push(c),
        }
    }
    let command = simple_commands(&plain).into_iter().next()?;
    if !begins(program, command.trim_start()) {
        return None;
    }
    let words = shlex::split(&command).map(without_ellipsis);
    // The name and a version is no command.
    let version = |word: &String| word.starts_with(|c: char| c.is_ascii_digit());
    if words.as_ref().and_then(|it| it.get(1)).is_some_and(version) {
        return None;
    }
    Some(Use { line: 0, form: Form::Mention, words })
}

/// A line that leaves something out says so.
fn form_of(words: &[String]) -> Form {
    if words.iter().any(|word| word.ends_with('…')) { Form::Mention } else { Form::Whole }
}

fn without_ellipsis(words: Vec<String>) -> Vec<String> {
    let words = words.into_iter().map(|word| word.trim_end_matches('…').to_owned());
    words.filter(|word| !word.is_empty()).collect()
}

/// The words from `program` on, when it is what these words start; without redirections.
fn after_starters(program: &str, words: Vec<String>) -> Option<Vec<String>> {
    let starts = |word: &String| {
        let name = word.split('=').next().unwrap_or_default();
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        STARTERS.contains(&word.as_str()) || (word.contains('=') && is_name)
    };
    let mut words = words.into_iter().skip_while(starts);
    let first = words.next()?;
    if first.rsplit('/').next() != Some(program) {
        return None;
    }
    let mut kept = vec![program.to_owned()];
    while let Some(word) = words.next() {
        let operator = word.trim_start_matches(|c: char| c.is_ascii_digit());
        if !operator.starts_with(['>', '<']) {
            kept.push(word);
        } else if operator.trim_start_matches(['>', '<', '&']).is_empty() {
            // The file is the next word.
            words.next();
        }
    }
    Some(kept)
}

/// Cuts a line where the shell would: at `;`, `&`, `|` and parentheses outside quotes, and at a comment.
fn simple_commands(line: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut quote: Option<char> = None;
    let mut before = ' ';
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let ends = match (quote, c) {
            (None, '#') if before.is_whitespace() => break,
            (None, '&') => before != '>',
            (None, ';' | '|' | '(' | ')') => true,
            (None, '\'' | '"') => {
                quote = Some(c);
                false
            }
            (Some(open), c) if open == c => {
                quote = None;
                false
            }
            _ => false,
        };
        if ends {
            found.push(String::new());
        } else if let Some(last) = found.last_mut() {
            last.push(c);
            if c == '\\' && quote != Some('\'') {
                last.extend(chars.next());
            }
        }
        before = c;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each use as its line, `!` for a whole command, and its words between bars.
    fn shown(uses: &[Use]) -> Vec<String> {
        let show = |it: &Use| {
            let mark = if it.form == Form::Whole { "!" } else { "" };
            let words = it.words.as_ref().map_or("?".to_owned(), |words| words.join("|"));
            format!("{}{mark} {words}", it.line)
        };
        uses.iter().map(show).collect()
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(shown(&in_markdown("lease", text)), expected);
    }

    #[test]
    fn a_session_is_read_as_a_shell_reads_it() {
        check(
            "x\n\n```console\n$ lease run -- sh -c 'a; b | c'; echo $?\nlease: ready\n  lease ssh demo\nlease is fine\n```\n",
            &["4! lease|run|--|sh|-c|a; b | c", "6! lease|ssh|demo", "7! lease|is|fine"],
        );
        check(
            "```sh\nA=1 B='x y' lease list --json | jq . && lease stop x > log 2>&1 # lease gone\ntime env X=Y target/release/lease list\nlease \\\n  doctor\n./lease-hosts lease\necho lease list\n```\n",
            &["2! lease|list|--json", "2! lease|stop|x", "3! lease|list", "4! lease|doctor"],
        );
        check(
            "```sh\nid=$(lease list -q)\n(lease doctor)\n```\n",
            &["2! lease|list|-q", "3! lease|doctor"],
        );
        check("```sh\nlease run -- 'open\necho \"x\n```\n", &["2! ?"]);
        check("```yaml\nlease x\n```\n", &[]);
    }

    #[test]
    fn a_line_that_leaves_something_out_is_a_mention() {
        check("```sh\nlease run -- …\n```\n", &["2 lease|run|--"]);
    }

    #[test]
    fn words_in_running_text_are_mentions() {
        check(
            "Use `lease run … | head`,\n`lease attach [RUN|LEASE]`, `leases x`, `lease`, `lease 0.1.0` and `lease-cli x`.\n",
            &["1 lease|run", "2 lease|attach|RUN_LEASE"],
        );
    }

    #[test]
    fn an_overview_names_several_commands_in_a_line() {
        check(
            "```text\nlease run [--keep] -- CMD…   lease, run\nlease cp · config show      files\nthe lease is x\n```\n",
            &["2 lease|run|--keep|--|CMD", "3 lease|cp", "3 lease|config|show"],
        );
    }

    #[test]
    fn a_help_text_has_examples_and_mentions() {
        let help = "Example:\n  lease cp demo:a .\n\nSee `lease sync` and `x`.\n";
        assert_eq!(shown(&in_help("lease", help)), ["2! lease|cp|demo:a|.", "4 lease|sync"]);
    }
}
