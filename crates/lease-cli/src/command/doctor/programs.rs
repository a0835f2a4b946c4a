//! The programs that `lease` runs here: not only whether they are there, but whether they answer.

use std::time::Duration;

use lease_core::provider::{Check, Verdict};
use lease_process::{Exit, Limits, Program, find, output};
use lease_ssh::{VERSION_MIN, version};

use crate::env::Environment;

/// How long a program may take to say its version.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// What a program says about itself.
enum Said {
    /// It is not there, or cannot be started.
    Nothing(String),
    /// It ended like that, with these words.
    Words(Exit, String),
}

/// The SSH client, without which nobody logs in to any box.
pub(crate) async fn ssh(environment: &Environment) -> Check {
    const NAME: &str = "ssh";
    const REMEDY: &str = "on Debian: `sudo apt-get install openssh-client`";
    let program = in_path(environment, NAME);
    let Ok(path) = find(&program) else {
        let why = format!("ssh is not in PATH; install the OpenSSH client, {REMEDY}");
        return Check::new(NAME, Verdict::Problem, why);
    };
    let path = path.display();
    let problem = |why: String| Check::new(NAME, Verdict::Problem, why);
    match said(program.arg("-V")).await {
        Said::Nothing(why) => {
            problem(format!("{path} cannot be run ({why}); reinstall the OpenSSH client, {REMEDY}"))
        }
        Said::Words(exit, words) => match version(&words) {
            Some(found @ (major, minor)) if found >= VERSION_MIN => {
                Check::new(NAME, Verdict::Ok, format!("{path} is OpenSSH {major}.{minor}"))
            }
            Some((major, minor)) => problem(format!(
                "{path} is OpenSSH {major}.{minor}, and {}.{} is the first that works; install a newer one, {REMEDY}",
                VERSION_MIN.0, VERSION_MIN.1
            )),
            None if exit.success() => Check::new(
                NAME,
                Verdict::Warning,
                format!("{path} does not say that it is OpenSSH, and nothing else was tried"),
            ),
            None => problem(format!(
                "{path} cannot say its version ({exit}); reinstall the OpenSSH client, {REMEDY}"
            )),
        },
    }
}

/// Git, which knows what belongs to a working tree. Without it a sync reads the ignore files itself; with one that does
/// not work, no tree is synced.
pub(crate) async fn git(environment: &Environment) -> Check {
    const NAME: &str = "git";
    const REMEDY: &str = "on Debian: `sudo apt-get install git`";
    let program = in_path(environment, NAME);
    let Ok(path) = find(&program) else {
        let why = format!(
            "git is not in PATH; without git, sync walks the tree and its ignore files; install it, {REMEDY}"
        );
        return Check::new(NAME, Verdict::Warning, why);
    };
    let path = path.display();
    let why = match said(program.arg("--version")).await {
        Said::Words(exit, words) if exit.success() => {
            let words = words.lines().next().unwrap_or_default();
            return Check::new(NAME, Verdict::Ok, format!("{path} is {words}"));
        }
        Said::Words(exit, _) => exit.to_string(),
        Said::Nothing(why) => why,
    };
    let why = format!(
        "{path} cannot say its version ({why}), so no tree is synced; reinstall git, {REMEDY}"
    );
    Check::new(NAME, Verdict::Problem, why)
}

fn in_path(environment: &Environment, name: &str) -> Program {
    let known = ["PATH", "HOME"].into_iter().filter_map(|it| Some((it, environment.variable(it)?)));
    known.fold(Program::new(name), |program, (name, value)| program.env(name, value))
}

/// What a program says on either stream.
async fn said(program: Program) -> Said {
    let limits = Limits { deadline: ANSWER_TIME_MAX, ..Limits::default() };
    match output(&program, limits).await {
        Ok(answer) => {
            let mut said = answer.stdout;
            said.extend(answer.stderr);
            Said::Words(answer.status, String::from_utf8_lossy(&said).into_owned())
        }
        Err(error) => Said::Nothing(error.to_string()),
    }
}
