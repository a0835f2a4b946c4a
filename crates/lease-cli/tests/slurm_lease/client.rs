//! A `lease run` that goes on until it is told to stop, or is killed; its command leaves children of all kinds.

use std::fs::{self, File};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use crate::installation::{ANSWER_WITHIN, Deadline, eventually};
use crate::site::Site;

/// `$0` is a path for signs, `$1` a number that only these children sleep for.
const SCRIPT: &str = r#"
sleep "$1" </dev/null >/dev/null 2>&1 &
nohup sleep "$1" </dev/null >/dev/null 2>&1 &
setsid sleep "$1" </dev/null >/dev/null 2>&1 &
(setsid sleep "$1" </dev/null >/dev/null 2>&1 &) &
setsid sh -c 'trap "" TERM HUP; sleep "$0" & wait' "$1" </dev/null >/dev/null 2>&1 &
env -i setsid sleep "$1" </dev/null >/dev/null 2>&1 &
: >"$0.begun"
until [ -e "$0.finish" ]; do sleep 0.1; done
exit 3
"#;

/// A job that could not be started, because munge was down, is tried again by Slurm when its credential has expired.
const ENDED_WITHIN: Duration = Duration::from_secs(270);

/// What the command ends with.
pub(crate) const CODE: i32 = 3;

/// A client.
pub(crate) struct Client {
    child: Child,
}

impl Client {
    /// Starts it in the background.
    pub(crate) fn start(site: &Site, options: &[&str]) -> Self {
        Self::start_in(site, site.command(&[]), options)
    }

    /// The same with a prepared command, which ends with the program.
    pub(crate) fn start_in(site: &Site, mut command: Command, options: &[&str]) -> Self {
        let root = site.installation.root();
        let file = |name: &str| File::create(root.join(name)).unwrap();
        command.arg("run").args(options).args(["--", "sh", "-c", SCRIPT]);
        command.arg(root.join("mark")).arg(site.word());
        let child = command.stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap();
        Self { child }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Lets the command come to its end.
    pub(crate) fn let_finish(site: &Site) {
        fs::write(site.installation.root().join("mark.finish"), "").unwrap();
    }

    /// Whether the command runs, or ran.
    pub(crate) fn has_begun(site: &Site) -> bool {
        site.installation.root().join("mark.begun").exists()
    }

    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until the condition holds, or the client ends before that.
    ///
    /// # Errors
    /// When it ended, or neither came in time.
    pub(crate) fn until(
        &mut self,
        site: &Site,
        what: &str,
        holds: impl Fn() -> bool,
    ) -> Result<(), String> {
        let mut ended = None;
        let come = eventually(Deadline::after(ANSWER_WITHIN), || {
            let holds = holds();
            ended = self.has_ended();
            holds || ended.is_some()
        });
        if come.is_ok() && holds() {
            return Ok(());
        }
        Err(format!("{what} never came, it ended with {ended:?}: {}", Self::said(site)))
    }

    /// `SIGKILL`, and waits for the end.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end; its code.
    ///
    /// # Errors
    /// When it does not end.
    pub(crate) fn code(&mut self, site: &Site) -> Result<i32, String> {
        let mut status = None;
        let ended = eventually(Deadline::after(ENDED_WITHIN), || {
            status = self.has_ended();
            status.is_some()
        });
        let code = status.and_then(|it| it.code());
        ended.map_err(|()| format!("it does not end: {}", Self::said(site)))?;
        code.ok_or_else(|| "it was killed".to_owned())
    }

    /// What it said.
    pub(crate) fn said(site: &Site) -> String {
        let path = site.installation.root().join("stderr");
        fs::read_to_string(path).unwrap_or_default().replace('\n', " | ")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|it| it.is_none()) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
