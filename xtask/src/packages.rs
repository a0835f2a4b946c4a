//! Finds the programs that the work needs, and installs what is missing where that can be done.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::machine::{Call, can_ask, environment, say};

/// A program, and the Debian package that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tool {
    program: &'static str,
    package: &'static str,
}

const fn tool(program: &'static str, package: &'static str) -> Tool {
    Tool { program, package }
}

/// What leasing a local box needs.
pub(crate) const TO_RUN: &[Tool] = &[
    tool("git", "git"),
    tool("cc", "gcc libc6-dev"),
    tool("ssh", "openssh-client"),
    tool("ssh-keygen", "openssh-client"),
    tool("sshd", "openssh-server"),
    tool("tar", "tar"),
];

/// What the tests need besides.
pub(crate) const TO_TEST: &[Tool] = &[
    tool("rsync", "rsync"),
    tool("ps", "procps"),
    tool("python3", "python3"),
    tool("shellcheck", "shellcheck"),
    tool("zstd", "zstd"),
];

/// What reads scripts of the shell.
pub(crate) const TO_LINT: &[Tool] = &[tool("shellcheck", "shellcheck")];

/// What only tests on Linux need: strace kills the program under test at a chosen system call.
pub(crate) const TO_TEST_ON_LINUX: &[Tool] =
    &[tool("strace", "strace"), tool("busybox", "busybox")];

/// What a real Slurm cluster on this machine is made of, with accounting and with users of its own.
pub(crate) const FOR_CLUSTER: &[Tool] = &[
    tool("slurmctld", "slurmctld"),
    tool("slurmd", "slurmd"),
    tool("sbatch", "slurm-client"),
    tool("munged", "munge"),
    tool("slurmdbd", "slurmdbd slurm-wlm-mysql-plugin"),
    tool("mariadbd", "mariadb-server"),
    tool("sshd", "openssh-server"),
    tool("ssh-keygen", "openssh-client"),
    tool("unshare", "util-linux"),
    tool("setpriv", "util-linux"),
    tool("nsenter", "util-linux"),
];

/// What comparing the emulators with the vendors' own clients needs.
pub(crate) const FOR_VENDORS: &[Tool] = &[
    tool("hcloud", "hcloud-cli"),
    tool("python3", "python3 python3-venv"),
    tool("ssh-keygen", "openssh-client"),
];

/// What measuring memory needs.
pub(crate) const TO_MEASURE: &[Tool] = &[tool("time", "time")];

/// Installs packages and keeps their services from starting.
const INSTALL: &str = include_str!("install.sh");

/// What measuring the data plane needs besides what a local box needs.
pub(crate) const TO_MEASURE_THE_DATA_PLANE: &[Tool] = &[
    tool("ip", "iproute2"),
    tool("unshare", "util-linux"),
    tool("rsync", "rsync"),
    tool("python3", "python3"),
];

/// Where programs for administrators are, which an ordinary `PATH` does not name.
const SYSTEM_DIRECTORIES: &[&str] = &["/usr/sbin", "/sbin", "/usr/local/sbin"];
/// sshd drops its rights there; the package's service makes it, and in a container no service runs.
const PRIVILEGE_SEPARATION: &str = "/run/sshd";

/// Makes sure that every one of `tools` is there; prints what it finds and each command that it runs.
pub(crate) fn ensure(tools: &[Tool]) -> Result<()> {
    let missing: Vec<Tool> =
        tools.iter().copied().filter(|tool| find(tool.program).is_none()).collect();
    if missing.is_empty() {
        let names: Vec<&str> = tools.iter().map(|tool| tool.program).collect();
        say(format_args!("found: {}", names.join(", ")));
    } else {
        install(&missing)?;
    }
    if let Some(tool) = tools.iter().find(|tool| find(tool.program).is_none()) {
        bail!("`{}` is still missing after its installation", tool.program);
    }
    if tools.iter().any(|tool| tool.program == "sshd") {
        privilege_separation()?;
    }
    Ok(())
}

/// The path of `program`, if it is installed.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = environment("PATH").unwrap_or_default();
    let directories =
        std::env::split_paths(&path).chain(SYSTEM_DIRECTORIES.iter().map(PathBuf::from));
    directories.map(|directory| directory.join(program)).find(|full| is_executable(full))
}

/// Whether we are the superuser.
pub(crate) fn is_root() -> Result<bool> {
    Ok(Call::new("id").args(["-u"]).output()?.trim() == "0")
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn install(missing: &[Tool]) -> Result<()> {
    let names: Vec<&str> = missing.iter().map(|tool| tool.program).collect();
    let packages = packages(missing);
    say(format_args!("missing: {} (Debian packages: {})", names.join(", "), packages.join(" ")));
    let refusal = || {
        format!(
            "install these and try again: {} (Debian: {})",
            names.join(", "),
            packages.join(" ")
        )
    };
    if find("apt-get").is_none() {
        bail!("there is no apt-get here; {}", refusal());
    }
    let sudo: &[&str] = match (is_root()?, find("sudo").is_some()) {
        (true, _) => &[],
        // Without a terminal a question for a password would wait for ever.
        (false, true) if !can_ask() => &["sudo", "-n"],
        (false, true) => &["sudo"],
        (false, false) => bail!("installing needs root or sudo; {}", refusal()),
    };
    // Package lists may be old or absent; an unreachable source must not stop what the others can deliver.
    if let Err(error) = apt(sudo, &["update"]).run() {
        say(format_args!("{error:#}; trying with the lists that are here"));
    }
    let script = tempfile::NamedTempFile::new()?;
    std::fs::write(script.path(), INSTALL)?;
    let words = sudo.iter().copied().chain(["sh"]);
    let call = Call::new("env").args(words).args([script.path().display().to_string()]);
    call.args(&packages).interactive().run().with_context(refusal)?;
    if Path::new("/run/systemd/system").exists() {
        say(
            "note: services of these packages were not started, but Debian starts them with the machine; lease needs",
        );
        say("      only the programs. `systemctl disable NAME` keeps a service off.");
    }
    Ok(())
}

fn apt(sudo: &[&str], words: &[&str]) -> Call {
    let words =
        sudo.iter().chain(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]).chain(words);
    let mut words = words.copied();
    let program = words.next().unwrap_or("env");
    Call::new(program).args(words).interactive()
}

/// The packages that hold `missing`, each once.
fn packages(missing: &[Tool]) -> Vec<&'static str> {
    let mut packages: Vec<&str> = missing.iter().flat_map(|tool| tool.package.split(' ')).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

fn privilege_separation() -> Result<()> {
    let linux = Path::new("/proc/self").exists();
    if linux && is_root()? && !Path::new(PRIVILEGE_SEPARATION).is_dir() {
        Call::new("mkdir").args(["-p", "-m", "0755", PRIVILEGE_SEPARATION]).run()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_installed_once() {
        assert_eq!(
            packages(&TO_RUN[1..5]),
            ["gcc", "libc6-dev", "openssh-client", "openssh-server"]
        );
    }

    #[test]
    fn programs_are_found_by_name_and_must_be_executable() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-here").is_none());
        let directory = tempfile::tempdir().unwrap();
        let plain = directory.path().join("plain");
        std::fs::write(&plain, "").unwrap();
        assert!(!is_executable(&plain));
    }

    /// What is left of the policy after a pretended installation that ends with `code`, and what it was meanwhile.
    fn policy_after(before: Option<&str>, code: u8) -> (Option<String>, String) {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let apt = format!("#!/bin/sh\ncp \"$POLICY\" '{}'\nexit {code}\n", at("seen").display());
        std::fs::write(at("apt-get"), apt).unwrap();
        std::fs::set_permissions(at("apt-get"), PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::write(at("install.sh"), INSTALL).unwrap();
        if let Some(text) = before {
            std::fs::write(at("policy"), text).unwrap();
        }
        let call = Call::new("sh")
            .args([at("install.sh").display().to_string(), "slurmctld".to_owned()])
            .env("PATH", format!("{}:/usr/bin:/bin", directory.path().display()))
            .env("POLICY", at("policy").display().to_string());
        assert_eq!(call.succeeds(), code == 0);
        let left = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(left, 3 + usize::from(before.is_some()), "a draft is left");
        (std::fs::read_to_string(at("policy")).ok(), std::fs::read_to_string(at("seen")).unwrap())
    }

    #[test]
    fn services_are_kept_from_starting_and_the_policy_of_the_machine_is_put_back() {
        for code in [0, 100] {
            for before in [None, Some("#!/bin/sh\nexit 0\n")] {
                let (after, meanwhile) = policy_after(before, code);
                assert_eq!(after.as_deref(), before);
                assert!(meanwhile.contains("exit 101"), "{meanwhile}");
            }
        }
    }

    #[test]
    fn the_installer_asks_nothing() {
        let call = apt(&["sudo", "-n"], &["update"]).to_string();
        assert_eq!(call, "sudo -n env DEBIAN_FRONTEND=noninteractive apt-get -q update");
    }
}
