//! The server of a box: where its program is, what it reads, how it is started.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lease_core::host::HostKey;
use lease_core::{Nonce, Reach};
use lease_process::{Limits, Program, output};

use crate::config::{LocalConfig, MARK};
use crate::containment::Containment;
use crate::error::LocalError;

pub(crate) const CONFIG_FILE: &str = "sshd_config";
pub(crate) const HOST_KEY_FILE: &str = "host_key";
pub(crate) const HOST_PUBLIC_KEY_FILE: &str = "host_key.pub";
pub(crate) const AUTHORIZED_KEYS_FILE: &str = "authorized_keys";
pub(crate) const CONNECT_FILE: &str = "connect";
const LOG_FILE: &str = "sshd.log";
/// The directory that belongs to the lease.
pub(crate) const ROOT_DIRECTORY: &str = "root";

/// Makes bash leave `~/.bashrc` alone, which it reads as the first shell below an sshd even for a single command. What such
/// a file sets is in the given environment, and what else it does, each command would pay for and print.
const NOT_THE_FIRST_SHELL: &str = "SHLVL=1";
/// The first version with `SetEnv`.
pub(crate) const VERSION_MIN: (u32, u32) = (7, 8);

/// Where the server's program may be; sshd insists on being started by its absolute path.
const PROGRAMS: [&str; 7] = [
    "/usr/sbin/sshd",
    "/usr/local/sbin/sshd",
    "/opt/homebrew/sbin/sshd",
    "/usr/libexec/sshd",
    "/usr/bin/sshd",
    "/sbin/sshd",
    "/run/current-system/sw/bin/sshd",
];

/// The directory in which the superuser's sshd gives up its rights. Distributions make it with their own server.
const PRIVILEGE_SEPARATION: &str = "/run/sshd";

const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);

/// Finds the server's program.
pub(crate) fn find(config: &LocalConfig) -> Result<PathBuf, LocalError> {
    if let Some(chosen) = &config.sshd {
        let missing = || {
            LocalError::Machine(format!(
                "the configured sshd {} is not there; correct providers.local.sshd",
                chosen.display()
            ))
        };
        return chosen.is_file().then(|| chosen.clone()).ok_or_else(missing);
    }
    let found = PROGRAMS.iter().map(Path::new).find(|it| it.is_file());
    found.map(Path::to_owned).ok_or_else(|| {
        let why =
            "there is no sshd on this machine; on Debian: `sudo apt-get install openssh-server`";
        LocalError::Machine(why.to_owned())
    })
}

/// The version in what an OpenSSH program says about itself.
pub(crate) fn version(said: &str) -> Option<(u32, u32)> {
    let (_, tail) = said.split_once("OpenSSH_")?;
    let mut numbers = tail.split(|it: char| !it.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The server's configuration. Nobody but the caller gets in, with nothing but the lease's key.
pub(crate) fn config_text(config: &LocalConfig, directory: &Path, nonce: &Nonce) -> String {
    let file = |name: &str| quoted(&directory.join(name).to_string_lossy());
    let mut text = format!(
        "HostKey {host_key}\n\
         AuthorizedKeysFile {authorized_keys}\n\
         AuthenticationMethods publickey\n\
         PasswordAuthentication no\n\
         KbdInteractiveAuthentication no\n\
         PermitRootLogin prohibit-password\n\
         AllowUsers {user}\n\
         UsePAM no\n\
         StrictModes no\n\
         PidFile none\n\
         LoginGraceTime 30\n\
         MaxSessions 100\n\
         X11Forwarding no\n\
         AllowAgentForwarding no\n\
         PermitUserRC no\n\
         PrintMotd no\n\
         PrintLastLog no\n\
         UseDNS no\n\
         Subsystem sftp internal-sftp\n",
        host_key = file(HOST_KEY_FILE),
        // This one value is expanded.
        authorized_keys = file(AUTHORIZED_KEYS_FILE).replace('%', "%%"),
        user = quoted(&config.user),
    );
    // Of several such lines, sshd obeys the first only.
    text.push_str("SetEnv ");
    text.push_str(&quoted(&format!("{MARK}={nonce}")));
    text.push(' ');
    text.push_str(&quoted(NOT_THE_FIRST_SHELL));
    for (name, value) in &config.environment {
        text.push(' ');
        text.push_str(&quoted(&format!("{name}={value}")));
    }
    text.push('\n');
    text
}

/// How the server of the box in `directory` is started.
pub(crate) fn server_argv(sshd: &Path, directory: &Path) -> Vec<String> {
    let path = |name: &str| directory.join(name).to_string_lossy().into_owned();
    let sshd = sshd.to_string_lossy().into_owned();
    vec![sshd, "-i".into(), "-f".into(), path(CONFIG_FILE), "-E".into(), path(LOG_FILE)]
}

/// What ssh runs as its proxy command.
pub(crate) fn connect_argv(directory: &Path) -> Vec<String> {
    vec!["/bin/sh".to_owned(), directory.join(CONNECT_FILE).to_string_lossy().into_owned()]
}

/// The script behind [`connect_argv`].
///
/// The shell stays and waits, since sshd writes a title over its own arguments and environment: by the shell, the
/// connection can be told from every other one.
pub(crate) fn connect_text(
    config: &LocalConfig,
    sshd: &Path,
    directory: &Path,
    containment: Containment,
) -> Result<String, LocalError> {
    let argv = containment.wrap(config.is_root(), server_argv(sshd, directory))?;
    let line: Vec<_> = argv.iter().map(|word| shell_word(word)).collect();
    let line = line.join(" ");
    Ok(format!("#!/bin/sh\n# ssh starts this as its proxy command.\n{line}\nexit \"$?\"\n"))
}

/// How to log in to the box in `directory`.
pub(crate) fn reach(directory: &Path, host: &str, user: &str, host_key: &str) -> Reach {
    let root = directory.join(ROOT_DIRECTORY).to_string_lossy().into_owned();
    let mut reach = Reach::new(host, user, HostKey::Pinned(host_key.to_owned()), root);
    reach.proxy = connect_argv(directory);
    reach
}

/// Asks sshd whether it accepts the configuration in `directory`, which names files in the final place.
///
/// For the superuser, sshd wants a directory of its own on the system; where the distribution left that to a service
/// that never ran, it is made here, since no box can be entered without it.
pub(crate) async fn test(sshd: &Path, directory: &Path, is_root: bool) -> Result<(), LocalError> {
    let Err(said) = ask(sshd, directory).await? else { return Ok(()) };
    let is_missing =
        said.contains("privilege separation directory") && said.contains(PRIVILEGE_SEPARATION);
    if !(is_root && is_missing) {
        return Err(LocalError::Refused(said));
    }
    let path = Path::new(PRIVILEGE_SEPARATION);
    make_public_directory(path).map_err(LocalError::file("making", path))?;
    ask(sshd, directory).await?.map_err(LocalError::Refused)
}

/// Whether the superuser's sshd may miss its directory.
pub(crate) fn lacks_privilege_separation() -> bool {
    cfg!(target_os = "linux") && !Path::new(PRIVILEGE_SEPARATION).is_dir()
}

async fn ask(sshd: &Path, directory: &Path) -> Result<Result<(), String>, LocalError> {
    let key = quoted(&directory.join(HOST_KEY_FILE).to_string_lossy());
    let program = Program::new(sshd)
        .arg("-t")
        .arg("-f")
        .arg(directory.join(CONFIG_FILE))
        .arg("-o")
        .arg(format!("HostKey {key}"));
    let limits = Limits { deadline: ANSWER_TIME_MAX, ..Limits::default() };
    let answer = output(&program, limits).await?;
    if answer.status.success() {
        return Ok(Ok(()));
    }
    let said = String::from_utf8_lossy(&answer.stderr);
    // That the key is not in its final place yet is no news, and a line of the configuration may hold a secret.
    let is_news = |it: &&str| !it.contains("SetEnv") && !it.contains("load host key");
    let told: Vec<&str> = said.lines().map(str::trim).filter(is_news).collect();
    Ok(Err(if told.is_empty() { answer.status.to_string() } else { told.join("; ") }))
}

fn make_public_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        // Under a tight umask it would be a directory that sshd refuses.
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(0o755)),
    }
}

/// A word for `sshd_config`.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A word for `sh`.
fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_version(said: &str, expect: Option<(u32, u32)>) {
        assert_eq!(version(said), expect, "{said:?}");
    }

    #[test]
    fn reads_versions_old_and_new() {
        check_version("OpenSSH_9.2p1 Debian-2+deb12u3, OpenSSL 3.0.15", Some((9, 2)));
        check_version("unknown option -- V\nOpenSSH_8.4p1, LibreSSL 2.7.3\nusage:", Some((8, 4)));
        check_version("OpenSSH_10.0p2, LibreSSL 3.3.6", Some((10, 0)));
        check_version("Dropbear v2022.83", None);
    }

    #[test]
    fn only_the_caller_gets_in_and_each_value_is_one_word() {
        let mut config = LocalConfig::new("/srv", "ann", 1000);
        config.environment.push(("A".to_owned(), "b \"c\" #d".to_owned()));
        let nonce = "n".repeat(26).parse().unwrap();
        let text = config_text(&config, Path::new("/srv/100%"), &nonce);
        let line =
            |start: &str| text.lines().filter(|it| it.starts_with(start)).collect::<Vec<_>>();
        assert_eq!(line("AllowUsers"), [r#"AllowUsers "ann""#]);
        assert_eq!(
            line("AuthorizedKeysFile"),
            [r#"AuthorizedKeysFile "/srv/100%%/authorized_keys""#]
        );
        assert_eq!(line("HostKey"), [r#"HostKey "/srv/100%/host_key""#]);
        let environment = format!(r#"SetEnv "LEASE_BOX={nonce}" "SHLVL=1" "A=b \"c\" #d""#);
        assert_eq!(line("SetEnv"), [environment]);
    }

    #[test]
    fn words_survive_both_readers() {
        assert_eq!(quoted(r#"A=b "c" \d"#), r#""A=b \"c\" \\d""#);
        assert_eq!(shell_word("it's"), r"'it'\''s'");
    }
}
