//! The program that runs commands stays on the box, and a box that has it no more gets it again.

use std::fs;
use std::path::PathBuf;

use lease_ssh::{Command, Drift};

use crate::fixture::{LEASE, sh, text};
use crate::hooked::{hook, hooked};
use crate::syncing::Case;
use crate::warm::shown;

/// A box that notes how long each request is.
async fn case() -> Case {
    let it = hooked().await;
    let note = format!("echo ${{#SSH_ORIGINAL_COMMAND}} >>{}", it.at("lengths").display());
    hook(&it, "", &note);
    Case::on(it).await
}

impl Case {
    /// The lengths of the requests since it was asked last.
    fn lengths(&self) -> Vec<usize> {
        let path = self.it.at("lengths");
        let text = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, "").unwrap();
        text.lines().map(|it| it.parse().unwrap()).collect()
    }

    fn kept(&self) -> Vec<PathBuf> {
        let names = fs::read_dir(self.it.at("box/.lease/sync")).unwrap();
        let paths = names.map(|it| it.unwrap().path());
        paths.filter(|it| it.file_name().unwrap().as_encoded_bytes().starts_with(b"run.")).collect()
    }
}

#[tokio::test]
async fn after_the_first_run_a_request_does_not_bring_the_program_along() {
    let case = case().await;
    case.put("a", "one");
    case.run("first", "true").await;
    case.lengths();
    // What is said on the session's standard input is not among it.
    for (run, is_far, change) in [("near", false, ..1_000), ("far", true, ..4_000)] {
        if is_far {
            case.far();
        }
        let (_, ran) = case.run(run, "cat a").await;
        assert_eq!(text(&ran.stdout), "one");
        let unchanged = case.lengths();
        assert!(matches!(unchanged[..], [..1_000]), "{run}: {unchanged:?}");
        case.put("b", run);
        if is_far {
            case.far();
        }
        let (_, ran) = case.run(&format!("{run}-changed"), "cat b").await;
        assert_eq!(text(&ran.stdout), run);
        let changed = case.lengths();
        assert!(changed.len() == 1 && change.contains(&changed[0]), "{run}: {changed:?}");
    }
    case.it.end().await;
}

#[tokio::test]
async fn a_look_that_takes_longer_than_the_way_goes_on_beside_the_opening() {
    let case = case().await;
    case.put("a", "one");
    case.run("first", "true").await;
    let noted = |name: &str| case.it.at("keys").join(LEASE).join(name);
    let microseconds = |name: &str| fs::read_to_string(noted(name)).unwrap().parse::<u64>();
    assert!(!noted("look").exists(), "the first look is a long one");
    case.run("second", "true").await;
    assert!(microseconds("way").unwrap() > 0 && microseconds("look").unwrap() > 0);
    for (near, look, is_opened) in [
        (false, "49000", false),
        (false, "62500", false),
        (false, "62501", true),
        (true, "1", true),
    ] {
        case.far();
        if near {
            fs::write(noted("near"), "").unwrap();
        }
        fs::write(noted("way"), "50000").unwrap();
        fs::write(noted("look"), look).unwrap();
        let ahead = case.session.open_ahead((&case.it.root, "next")).await;
        assert_eq!(ahead.is_some(), is_opened, "{look}");
    }
    for damaged in ["", "x", "-1", "99999999999999999999999"] {
        case.far();
        fs::write(noted("look"), damaged).unwrap();
        assert!(case.session.open_ahead((&case.it.root, "next")).await.is_none(), "{damaged}");
    }
    let (_, ran) = case.run("next", "cat a").await;
    assert_eq!(text(&ran.stdout), "one");
    assert!(microseconds("look").unwrap() > 0, "what is damaged is written anew");
    case.it.end().await;
}

#[tokio::test]
async fn a_box_that_has_lost_the_program_gets_it_again() {
    let case = case().await;
    case.put("a", "one");
    case.run("first", "true").await;
    for (run, is_cut, is_far) in
        [("lost", false, false), ("emptied", true, false), ("far", true, true)]
    {
        let kept = case.kept();
        assert_eq!(kept.len(), 1, "{kept:?}");
        if is_cut {
            fs::write(&kept[0], "").unwrap();
        } else {
            fs::remove_file(&kept[0]).unwrap();
        }
        case.put("a", run);
        case.lengths();
        if is_far {
            case.far();
        }
        let (report, ran) = case.run(run, "cat a; echo; echo x >>log; cat log").await;
        assert_eq!((report.sent_files, text(&ran.stdout).lines().next()), (1, Some(run)));
        let lengths = case.lengths();
        // One ends or is refused, between them it is asked whether anything has begun, and one brings it along.
        let is_short = lengths.len() == if is_far { 2 } else { 3 };
        assert!(is_short && lengths[0] < 4_000, "{run}: {lengths:?}");
        assert!(lengths[lengths.len() - 1] > 10_000, "{run}: {lengths:?}");
        case.run(&format!("{run}-next"), "true").await;
        assert_eq!(case.lengths().len(), 1);
    }
    assert_eq!(fs::read_to_string(case.on_box("log")).unwrap(), "x\nx\nx\n", "each ran once");
    case.it.end().await;
}

#[tokio::test]
async fn where_the_program_cannot_be_kept_commands_run_all_the_same() {
    let case = case().await;
    case.put("a", "one");
    case.run("first", "true").await;
    let kept = case.kept().remove(0);
    fs::remove_file(&kept).unwrap();
    // No file may be larger than this, which is enough for all that a small run writes.
    hook(&case.it, "", "ulimit -f 8");
    let command =
        Command { environment: vec![("A".into(), b"b c".to_vec())], ..sh("cat a; echo $A") };
    case.put("a", "two\n");
    let (report, ran) = case.try_run("second", &command, (Drift::Overwrite, b"")).await;
    report.unwrap();
    assert_eq!(text(&ran.stdout), "two\nb c");
    case.looked().await;
    assert_eq!(shown(&case.it.work()), shown(&case.tree));
    let names = fs::read_dir(kept.parent().unwrap()).unwrap().map(|it| it.unwrap().file_name());
    let left: Vec<_> = names.filter(|it| it.as_encoded_bytes().starts_with(b"run.")).collect();
    assert!(left.is_empty(), "{left:?}");
    case.it.end().await;
}
