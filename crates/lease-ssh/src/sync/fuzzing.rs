//! Any bytes as what a box says about its tree.

use std::os::unix::ffi::OsStrExt as _;

use lease_tree::is_inside;

use super::flow::Answer;
use super::records::Records;
use super::remote::Survey;
use crate::fuzzing::NONCE;

pub(crate) fn said(choice: u8, said: &[u8]) {
    match choice {
        b's' => {
            let Ok(survey) = Survey::parse(said) else { return };
            assert!(!survey.whole || !survey.generation().is_empty());
            if let Some(records) = survey.records {
                are_inside(records);
            }
        }
        b'a' => {
            let mut rest = said.to_vec();
            let answer = Answer::take(&mut rest, NONCE);
            assert_eq!(answer.is_none(), rest.len() == said.len());
            let line = format!("lease-1 {NONCE} ").into_bytes();
            assert!(answer.is_none() || said.windows(line.len()).any(|it| it == line));
        }
        _ => {
            if let Ok(records) = Records::parse(said) {
                are_inside(records);
            }
        }
    }
}

fn are_inside(records: Records) {
    for path in records.paths().iter() {
        assert!(is_inside(path.as_os_str().as_bytes()), "{} leads outside", path.display());
    }
    if let Some(manifest) = records.manifest() {
        drop(manifest);
    }
}
