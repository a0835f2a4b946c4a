//! Records the session of README.md with the real program: its text, an asciicast, and a picture of that.
//!
//! Whoever changes what the program prints runs `cargo xtask record`; `--check` runs the session again and compares what
//! does not differ from run to run. Everything happens on `local`, in a home and a state directory that are then removed.

mod cast;
mod drawing;
mod session;

use std::fs;

use anyhow::{Context, Result, bail};

use crate::generated::{Mode, between_markers, reconcile};
use crate::machine::{repository_root, say};
use cast::Cast;
use session::{Shown, compared};

const README: &str = "README.md";
const CAST: &str = "docs/session.cast";
const PICTURE: &str = "docs/session.svg";
const COMMAND: &str = "cargo xtask record";

/// A part of the session: the marker around its text in README.md, and its lines as one types them.
struct Scene {
    marker: &'static str,
    lines: &'static [&'static str],
}

const SCENES: &[Scene] = &[
    Scene { marker: "session-run", lines: &["lease run -- cargo test"] },
    Scene {
        marker: "session-keep",
        lines: &[
            "lease acquire --slug demo",
            "lease run -q --id demo -- sh -c 'uname; exit 7'; echo $?",
            "lease list",
            "lease release -q demo",
            "lease history",
        ],
    },
];

/// Records the session, or compares it with what is recorded.
pub(crate) fn run(mode: Mode) -> Result<()> {
    let root = repository_root()?;
    let lines: Vec<&str> = SCENES.iter().flat_map(|scene| scene.lines).copied().collect();
    let shown = session::perform(&root, &lines)?;
    let mut readme = fs::read_to_string(root.join(README)).context("cannot read README.md")?;
    if mode == Mode::Write {
        let mut rest = shown.as_slice();
        for scene in SCENES {
            let (these, others) = rest.split_at(scene.lines.len());
            readme = between_markers(&readme, scene.marker, &block(these))?;
            rest = others;
        }
        reconcile(&root, README, &readme, mode, COMMAND)?;
        let cast = Cast::of(&shown);
        reconcile(&root, CAST, &cast.to_text()?, mode, COMMAND)?;
        return reconcile(&root, PICTURE, &drawing::draw(&cast), mode, COMMAND);
    }
    // A name that was drawn in one scene is seen in another, so they are compared as one.
    let scenes = SCENES.iter().map(|scene| between(&readme, scene.marker));
    same(README, &scenes.collect::<Result<String>>()?, &text(&shown))?;
    let recorded = fs::read_to_string(root.join(CAST)).with_context(|| format!("no {CAST}"))?;
    let recorded = Cast::from_text(&recorded)?;
    same(CAST, &recorded.screen(), &text(&shown))?;
    reconcile(&root, PICTURE, &drawing::draw(&recorded), mode, COMMAND)?;
    say(format_args!("record: ok - {} commands print what {README} and {CAST} show", lines.len()));
    Ok(())
}

/// What one saw.
fn text(shown: &[Shown]) -> String {
    let each = shown.iter().map(|it| {
        let lines = it.lines.iter().map(|(_, line)| format!("{line}\n"));
        format!("$ {}\n{}", it.command, lines.collect::<String>())
    });
    each.collect()
}

fn block(shown: &[Shown]) -> String {
    format!("```console\n{}```", text(shown))
}

/// What stands between the markers of `name`.
fn between(document: &str, name: &str) -> Result<String> {
    let (_, rest) = document
        .split_once(&format!("<!-- {name}:start -->"))
        .with_context(|| format!("the marker of {name} is missing"))?;
    let (body, _) = rest
        .split_once(&format!("<!-- {name}:end -->"))
        .with_context(|| format!("the marker of {name} is not closed"))?;
    Ok(body.to_owned())
}

/// Fails when two texts differ in more than what differs from run to run.
fn same(path: &str, recorded: &str, now: &str) -> Result<()> {
    let (recorded, now) = (compared(recorded), compared(now));
    if recorded == now {
        return Ok(());
    }
    let all = recorded.iter().zip(&now);
    let at = all.take_while(|(recorded, now)| recorded == now).count();
    let line = |lines: &[String]| lines.get(at).map_or("its end", String::as_str).to_owned();
    bail!(
        "{path} shows `{}` where the program now prints `{}`: run `{COMMAND}` and commit the result",
        line(&recorded),
        line(&now)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_prints_something_else_is_not_the_recorded_one() {
        same("x", "$ lease list\nNAME  AGE\nx  2s\n", "$ lease list\nNAME AGE\nx     3s\n")
            .unwrap();
        let error = same("x", "$ lease list\nNAME\n", "$ lease list\nNAMES\n").unwrap_err();
        assert!(error.to_string().contains("x shows `NAME` where the program now prints `NAMES`"));
        let error = same("x", "a\n", "a\nb\n").unwrap_err().to_string();
        assert!(error.contains("x shows `its end`") && error.contains("`b`"), "{error}");
    }

    #[test]
    fn the_text_between_markers_is_found() {
        let document = "a\n<!-- x:start -->\nb\n<!-- x:end -->\nc\n";
        assert_eq!(between(document, "x").unwrap(), "\nb\n");
        assert!(between(document, "y").is_err());
    }
}
