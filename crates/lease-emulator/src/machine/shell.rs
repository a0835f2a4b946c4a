//! The texts that a machine is made of: its server's configuration and the script that is its first process.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::user_data::UserData;

/// Marks everything that runs on a machine of an emulator.
pub(super) const MARK: &str = "LEASE_EMULATOR_MACHINE";
/// What a session finds programs in unless the test says otherwise.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What would turn off the machine that the tests run on. A machine finds these in their place, which only take notes.
const POWER: [&str; 6] = ["shutdown", "poweroff", "halt", "reboot", "systemctl", "systemd-run"];

/// The directory of one machine and what is in it.
#[derive(Clone, Debug)]
pub(super) struct Place(pub(super) PathBuf);

impl Place {
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn shown(&self, name: &str) -> String {
        self.at(name).to_string_lossy().into_owned()
    }

    /// Writes a file that only its owner can read, which sshd demands of a host key.
    pub(super) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.at(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
    }

    /// Writes the commands that take the place of those that would turn off the host.
    pub(super) fn write_power_commands(&self) -> io::Result<()> {
        fs::create_dir(self.at("bin"))?;
        for name in POWER {
            let path = self.at("bin").join(name);
            let notes = word(&self.shown("power"));
            fs::write(&path, format!("#!/bin/sh\necho \"{name} $*\" >>{notes}\n"))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        }
        Ok(())
    }

    /// The environment of everything on the machine.
    pub(super) fn environment(
        &self,
        mark: &str,
        given: &[(String, String)],
    ) -> Vec<(String, String)> {
        let path = given.iter().rev().find(|(name, _)| name == "PATH");
        let path = path.map_or(PATH, |(_, value)| value.as_str());
        let mut environment = vec![
            (MARK.to_owned(), mark.to_owned()),
            ("PATH".to_owned(), format!("{}:{path}", self.shown("bin"))),
            // bash, as the first shell below an sshd, would read the files of whoever runs the emulator.
            ("SHLVL".to_owned(), "1".to_owned()),
        ];
        environment.extend(given.iter().filter(|(name, _)| name != "PATH").cloned());
        environment
    }

    /// The server's configuration. Of several `SetEnv` lines sshd obeys the first only, so there is one.
    pub(super) fn sshd_config(&self, server: &Server<'_>) -> String {
        let set: Vec<String> = server
            .environment
            .iter()
            .map(|(name, value)| quoted(&format!("{name}={value}")))
            .collect();
        format!(
            "ListenAddress {address}\n\
             Port {port}\n\
             HostKey {host_key}\n\
             AuthorizedKeysFile {authorized_keys}\n\
             AuthenticationMethods publickey\n\
             PasswordAuthentication no\n\
             KbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\n\
             AllowUsers {user}\n\
             UsePAM no\n\
             StrictModes no\n\
             PidFile {pid_file}\n\
             LoginGraceTime 30\n\
             MaxStartups 100\n\
             MaxSessions 100\n\
             X11Forwarding no\n\
             AllowAgentForwarding no\n\
             PermitUserEnvironment no\n\
             PermitUserRC no\n\
             PrintMotd no\n\
             PrintLastLog no\n\
             UseDNS no\n\
             Subsystem sftp internal-sftp\n\
             {penalties}SetEnv {set}\n",
            address = server.address,
            port = server.port,
            host_key = quoted(&self.shown("host_key")),
            // This one value is expanded.
            authorized_keys = quoted(&self.shown("authorized_keys").replace('%', "%%")),
            user = quoted(server.user),
            // All clients of all machines come from one address, which must not be shut out for one failed login.
            penalties = if server.version >= (9, 8) { "PerSourcePenalties no\n" } else { "" },
            pid_file = quoted(&self.shown("sshd.pid")),
            set = set.join(" "),
        )
    }

    /// The script that is the first process of a machine.
    ///
    /// It waits for a line before it lets anybody in, which is the boot delay, and ends when its input ends, so that a
    /// machine cannot outlive the emulator however that ends.
    pub(super) fn script(&self, data: &UserData, sshd: Option<&Path>) -> String {
        let log = word(&self.shown("boot.log"));
        let quiet = format!("</dev/null >>{log} 2>&1");
        let mut lines = vec!["#!/bin/sh".to_owned()];
        if !data.bootcmd.is_empty() {
            lines.push(format!("/bin/sh {} {quiet}", word(&self.shown("bootcmd.sh"))));
        }
        lines.push("read -r _ || exit 0".to_owned());
        for (number, file) in data.write_files.iter().enumerate() {
            let path = word(&file.path.to_string_lossy());
            let staged = word(&self.shown(&format!("file-{number}")));
            let mode = file.mode();
            lines.push(format!("mkdir -p \"$(dirname {path})\" {quiet}"));
            lines.push(format!("cp {staged} {path} {quiet} && chmod {mode} {path} {quiet}"));
        }
        if let Some(sshd) = sshd {
            let (sshd, config) = (word(&sshd.to_string_lossy()), word(&self.shown("sshd_config")));
            let sshd_log = word(&self.shown("sshd.log"));
            lines.push(format!("{sshd} -D -f {config} -E {sshd_log} {quiet} &"));
        }
        if !data.runcmd.is_empty() {
            lines.push(format!("/bin/sh {} {quiet} &", word(&self.shown("runcmd.sh"))));
        }
        lines.extend(["cat >/dev/null".to_owned(), "kill -KILL 0".to_owned()]);
        lines.join("\n") + "\n"
    }
}

/// What the server of one machine has to know.
#[derive(Debug)]
pub(super) struct Server<'a> {
    pub(super) address: std::net::Ipv4Addr,
    pub(super) port: u16,
    pub(super) user: &'a str,
    pub(super) version: (u32, u32),
    pub(super) environment: &'a [(String, String)],
}

/// A word for `sshd_config`.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A word for `sh`.
pub(super) fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
