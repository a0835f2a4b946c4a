//! Starting the reaper after a reboot: a systemd timer of the user where there is systemd, a line of cron elsewhere.
//!
//! Both start `lease reaper run` every five minutes; it ends at once when there is nothing to watch. Neither holds a
//! credential: the unit reads a file that the user may write for it, and a crontab has a place for variables.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lease_process::{Input, Limits, Program, output};

use crate::context::Base;
use crate::durable;
use crate::failure::Failure;

const UNIT: &str = "lease-reaper";
const CRON_MARK: &str = "# lease-reaper";

/// What starts programs for the user on this machine.
#[derive(Debug)]
enum Starter {
    /// The user's systemd, with the directory of its units.
    Systemd(PathBuf),
    /// Cron.
    Cron,
}

/// Installs it and returns what was done, in lines; with `dry_run` what would be done.
pub(crate) async fn install(base: &Base<'_>, dry_run: bool) -> Result<Vec<String>, Failure> {
    let command = command_line(base)?;
    match starter(base)? {
        Starter::Systemd(units) => install_units(base, &units, &command, dry_run).await,
        Starter::Cron => {
            let line = format!("*/5 * * * * {command} {CRON_MARK}");
            if dry_run {
                return Ok(vec![format!("would add to the crontab: {line}")]);
            }
            let mut table = crontab_without_ours(base).await?;
            table.push_str(&line);
            table.push('\n');
            write_crontab(base, table).await?;
            Ok(vec![
                format!("added to the crontab: {line}"),
                "it holds no credential; for leases at a cloud, add a line such as HCLOUD_TOKEN=… above it with `crontab -e`"
                    .to_owned(),
            ])
        }
    }
}

/// Takes the installation back; what is not there is no error.
pub(crate) async fn uninstall(base: &Base<'_>) -> Result<Vec<String>, Failure> {
    match starter(base)? {
        Starter::Systemd(units) => {
            let timer = format!("{UNIT}.timer");
            // It fails when it was never enabled, and then there is nothing to disable.
            drop(run(base, "systemctl", &["--user", "disable", "--now", &timer], None).await);
            let mut done = Vec::new();
            for name in [timer, format!("{UNIT}.service")] {
                let path = units.join(name);
                if path.exists() {
                    std::fs::remove_file(&path)
                        .map_err(|error| Failure::tool(format!("{}: {error}", path.display())))?;
                    done.push(format!("removed {}", path.display()));
                }
            }
            Ok(done)
        }
        Starter::Cron => {
            let table = crontab_without_ours(base).await?;
            write_crontab(base, table).await?;
            Ok(vec!["removed our line from the crontab".to_owned()])
        }
    }
}

async fn install_units(
    base: &Base<'_>,
    units: &Path,
    command: &str,
    dry_run: bool,
) -> Result<Vec<String>, Failure> {
    // The hyphen lets the unit start without it.
    let credentials = base.environment.config_dir()?.join("reaper.env");
    let service = format!(
        "[Unit]\nDescription=Release abandoned leases\n\n[Service]\nType=simple\nEnvironmentFile=-{}\nExecStart={}\n",
        credentials.display().to_string().replace('%', "%%"),
        command.replace('%', "%%")
    );
    let timer = "[Unit]\nDescription=Look for abandoned leases\n\n[Timer]\nOnStartupSec=1min\nOnUnitInactiveSec=5min\n\n\
                 [Install]\nWantedBy=timers.target\n";
    let mut done = Vec::new();
    for (name, text) in
        [(format!("{UNIT}.service"), service.as_str()), (format!("{UNIT}.timer"), timer)]
    {
        let path = units.join(name);
        if dry_run {
            done.push(format!("would write {}:\n{text}", path.display()));
            continue;
        }
        let written = durable::create_private_dir(units)
            .and_then(|()| durable::replace(&path, text.as_bytes()));
        written.map_err(|error| Failure::tool(format!("{}: {error}", path.display())))?;
        done.push(format!("wrote {}", path.display()));
    }
    if !dry_run {
        run(base, "systemctl", &["--user", "daemon-reload"], None).await?;
        let timer = format!("{UNIT}.timer");
        run(base, "systemctl", &["--user", "enable", "--now", &timer], None).await?;
        done.push(format!(
            "the unit holds no credential; for leases at a cloud, write a line such as HCLOUD_TOKEN=… into {} and make it private with chmod 600",
            credentials.display()
        ));
        done.push(format!(
            "enabled {timer}; it needs `loginctl enable-linger` to run while you are logged out"
        ));
    }
    Ok(done)
}

fn starter(base: &Base<'_>) -> Result<Starter, Failure> {
    if Path::new("/run/systemd/system").is_dir() {
        let config = base.environment.user_config_home()?;
        return Ok(Starter::Systemd(config.join("systemd/user")));
    }
    Ok(Starter::Cron)
}

/// The command for a unit or a crontab; a percent sign or a line break would mean something else there.
fn command_line(base: &Base<'_>) -> Result<String, Failure> {
    let (state_dir, executable) = (base.state_dir()?, base.environment.executable()?);
    let mut words = Vec::new();
    for path in [state_dir.as_path(), executable] {
        let text = path.to_str().filter(|it| !it.contains(['\n', '\'', '%', '"', '\\']));
        words.push(text.ok_or_else(|| {
            Failure::invalid(
                format!("{} has characters that a unit or crontab cannot hold", path.display()),
                "lease reaper install --dry-run",
            )
        })?);
    }
    Ok(format!("/usr/bin/env 'LEASE_STATE_DIR={}' '{}' reaper run", words[0], words[1]))
}

async fn crontab_without_ours(base: &Base<'_>) -> Result<String, Failure> {
    // Without a crontab the program fails and says so; that is an empty one. After any other failure the table is not
    // known, and writing would lose it.
    let table = match run(base, "crontab", &["-l"], None).await {
        Err(failure) if failure.what().contains("no crontab for") => String::new(),
        result => result?,
    };
    let kept = table.lines().filter(|it| !it.ends_with(CRON_MARK));
    Ok(kept.flat_map(|it| [it, "\n"]).collect())
}

async fn write_crontab(base: &Base<'_>, table: String) -> Result<(), Failure> {
    run(base, "crontab", &["-"], Some(table)).await.map(drop)
}

async fn run(
    base: &Base<'_>,
    name: &str,
    args: &[&str],
    input: Option<String>,
) -> Result<String, Failure> {
    let variables =
        base.environment.all_variables().iter().map(|(name, value)| (name.clone(), value.clone()));
    let stdin = input.map_or(Input::Null, |it| Input::Bytes(it.into_bytes()));
    let program = Program::new(name).args(args).inherit_env(variables).stdin(stdin);
    let limits = Limits { deadline: Duration::from_secs(30), ..Limits::default() };
    let failed = |why: String| {
        let what = format!("{name} {}: {why}", args.join(" "));
        Failure::invalid(what, "lease reaper install --dry-run").kind("unavailable")
    };
    let result = output(&program, limits).await.map_err(|error| failed(error.to_string()))?;
    if !result.status.success() {
        return Err(failed(String::from_utf8_lossy(&result.stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&result.stdout).into_owned())
}
