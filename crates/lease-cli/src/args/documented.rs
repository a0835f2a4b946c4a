//! Every `lease …` in the documents and in the help texts is understood by the parser that reads what people type.

use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use lease_docs::Tree;
use lease_docs::commands::{Form, Use, in_help, in_markdown};

/// Where commands are written down for readers of this version. The changelog tells of older ones.
const READ: &[&str] =
    &["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "STYLE.md"];

fn is_read(path: &str) -> bool {
    let of_a_crate = path.starts_with("crates/") && path.ends_with("/README.md");
    READ.contains(&path) || path.starts_with("docs/") || of_a_crate
}

/// What the parser says against it.
fn judge(found: &Use) -> Result<(), String> {
    let words = found.words.as_ref().ok_or("its quotes do not match")?;
    if super::parse::topic(&words.iter().map(Into::into).collect::<Vec<_>>()).is_some() {
        return Ok(());
    }
    let Err(error) = super::command().try_get_matches_from(words) else { return Ok(()) };
    let mention = found.form == Form::Mention;
    let kind = error.kind();
    let answers = matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let incomplete = matches!(
        kind,
        ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    let refuses = matches!(
        kind,
        ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::InvalidSubcommand
    );
    let value = refused(&error);
    let open = refuses && (stands_for_a_value(&value) || mention && value.is_empty());
    let fine = answers || open || incomplete && mention;
    if fine { Ok(()) } else { Err(error.to_string().lines().next().unwrap_or_default().to_owned()) }
}

/// The word that the error is about.
fn refused(error: &clap::Error) -> String {
    let kinds = [ContextKind::InvalidValue, ContextKind::InvalidSubcommand];
    let value = kinds.iter().find_map(|kind| error.get(*kind));
    if let Some(ContextValue::String(value)) = value { value.clone() } else { String::new() }
}

/// A word in capitals is to be replaced by whoever types it.
fn stands_for_a_value(word: &str) -> bool {
    let mut letters = word.chars().filter(|c| c.is_alphabetic()).peekable();
    letters.peek().is_some() && letters.all(char::is_uppercase)
}

/// `place:line: words: what is wrong` for every use that is.
fn wrong(place: &str, uses: &[Use]) -> Vec<String> {
    let judged = uses.iter().filter_map(|found| Some((found, judge(found).err()?)));
    judged
        .map(|(found, why)| {
            let words = found.words.as_deref().unwrap_or_default().join(" ");
            format!("{place}:{}: {words}: {why}", found.line)
        })
        .collect()
}

#[test]
fn every_command_in_the_documents_is_understood() {
    let tree = Tree::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap();
    let mut all = 0;
    let mut whole = 0;
    let mut found = Vec::new();
    for (path, text) in tree.documents().filter(|(path, _)| is_read(path)) {
        let uses = in_markdown("lease", text);
        all += uses.len();
        whole += uses.iter().filter(|it| it.form == Form::Whole).count();
        found.extend(wrong(path, &uses));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(whole > 25 && all > 100, "only {all} uses were found, {whole} of them whole");
}

#[test]
fn every_example_in_the_help_is_understood() {
    let mut examples = 0;
    let mut open = vec![super::command()];
    let mut found = Vec::new();
    while let Some(mut command) = open.pop() {
        let help = command.render_long_help().to_string();
        // What follows the list of options and the line of usage is written by hand, and what is above is, too.
        let uses = in_help("lease", &help);
        examples += uses.iter().filter(|it| it.form == Form::Whole).count();
        found.extend(wrong(command.get_name(), &uses));
        open.extend(command.get_subcommands().cloned());
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(examples > 35, "only {examples} examples were found");
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let found = wrong("x", &in_markdown("lease", text));
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(expected), "{found} does not say {expected}");
    }
}

#[test]
fn a_wrong_line_is_found_wherever_it_stands() {
    check("```sh\nlease run --provder local -- true\n```\n", &["x:2: lease run --provder"]);
    check("```console\n$ true && lease relase demo\n```\n", &["x:2: lease relase demo: "]);
    check("```console\nit is ready\n  lease ssh\n```\n", &["x:3: lease ssh: "]);
    check("```text\nlease list · lists   x\n```\n", &["x:2: lease lists: "]);
    check("Type `lease run --slog x`.\n", &["x:1: lease run --slog x: "]);
    check("```sh\nlease completions tcsh\n```\n", &["lease completions tcsh: "]);
    check("```sh\nlease run -- 'true\n```\n", &["its quotes do not match"]);
}

#[test]
fn what_a_reader_replaces_or_knows_may_be_left_open() {
    check("`lease ssh`, `lease run --id`, `lease COMMAND --help`, `lease --version`\n", &[]);
    check("```sh\nlease acquire --idle-timeout SPAN\nlease run --id ID -- COMMAND\n```\n", &[]);
}
