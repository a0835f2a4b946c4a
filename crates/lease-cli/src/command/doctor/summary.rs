//! The last line of a check-up: how many problems there are, where they stand above, and what to type first.

use crate::document::{CheckDescription, DoctorDocument};
use crate::failure::Failure;
use crate::output::{Output, report_failure};

/// Says it on standard error. A program that asked for JSON has it all in the document.
pub(crate) fn tell(output: &Output, document: &DoctorDocument) {
    if output.is_json() {
        return;
    }
    let of = |verdict: &str| -> Vec<&CheckDescription> {
        document.checks.iter().filter(|it| it.verdict == verdict).collect()
    };
    let (problems, warnings) = (of("problem"), counted(of("warning").len(), "warning"));
    let Some(first) = problems.first() else {
        output.note(&format!("no problem was found, {warnings}; run: lease run -- COMMAND"));
        return;
    };
    let names: Vec<_> = problems.iter().map(|it| format!("{} {}", it.group, it.name)).collect();
    let found =
        format!("{} ({}), {warnings}", counted(problems.len(), "problem"), names.join(", "));
    let next = command_in(&first.detail).unwrap_or("lease doctor").to_owned();
    report_failure(&Failure::invalid(found, next), false);
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        0 => format!("no {noun}"),
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

/// The command that a remedy names: what stands after the words `run:`, or else the last that is quoted as one.
fn command_in(detail: &str) -> Option<&str> {
    if let Some((_, command)) = detail.rsplit_once("run: ") {
        return Some(command.trim_matches('`'));
    }
    detail.split('`').skip(1).step_by(2).filter(|it| it.contains(' ')).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(detail: &str, expect: Option<&str>) {
        assert_eq!(command_in(detail), expect, "{detail:?}");
    }

    #[test]
    fn the_command_of_a_remedy_is_found() {
        check("others may read /k; run: chmod 600 /k", Some("chmod 600 /k"));
        check(
            "there is no sshd; on Debian: `sudo apt-get install openssh-server`",
            Some("sudo apt-get install openssh-server"),
        );
        check(
            "`contain` is odd; `lease config show` says where it is set",
            Some("lease config show"),
        );
        check("Slurm's commands run here", None);
        check("set `path`", None);
    }
}
